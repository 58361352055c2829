"""The graph that a trace records: typed variables, equations, and a program of them that prints and typechecks.

    { lambda a:f32[4,3] b:f32[3,2] .
      let c:f32[4,2] = matmul a b
          d:f32[4,2] = tanh c
      in (d) }

An equation applies one op to variables and numbers. This file does not interpret ops.
"""

from __future__ import annotations

import dataclasses
import itertools
import string
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import CompileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Var:
    """A variable: an array of that shape and dtype; a `weak` one is a Python number, known when the program runs."""

    __slots__ = ("dtype", "number", "shape", "weak")
    numbers = itertools.count()

    def __init__(self, shape: tuple[int, ...], dtype: Any, weak: bool = False) -> None:
        self.shape, self.dtype, self.weak = tuple(shape), np.dtype(dtype), weak
        self.number = next(self.numbers)

    @property
    def size(self) -> int:
        """The number of elements."""
        size = 1
        for extent in self.shape:
            size *= extent
        return size

    @property
    def nbytes(self) -> int:
        """The bytes that it takes."""
        return self.size * self.dtype.itemsize

    @property
    def type(self) -> str:
        """The type as it is printed: `f32[4,3]`; a weak one has no brackets."""
        kind = {"b": "bool", "V": "bf16"}.get(self.dtype.kind)
        name = kind or f"{self.dtype.kind}{8 * self.dtype.itemsize}"
        return name if self.weak else f"{name}[{','.join(map(str, self.shape))}]"

    def __repr__(self) -> str:
        return f"v{self.number}:{self.type}"


@dataclasses.dataclass(eq=False, slots=True)
class Equation:
    """`out = op(*inputs, **params)`; inputs are Vars and Python numbers. `name` tells ops apart."""

    op: Any
    inputs: tuple[Any, ...]
    params: dict[str, Any]
    out: Var

    @property
    def name(self) -> str:
        """The op's name."""
        return self.op.name

    def variables(self) -> Iterator[Var]:
        """The inputs that are variables."""
        return (x for x in self.inputs if isinstance(x, Var))


@dataclasses.dataclass(eq=False, slots=True)
class Graph:
    """A program: inputs, constants, equations in an order in which they can run, and outputs."""

    inputs: list[Var]
    constants: dict[Var, Any]
    equations: list[Equation]
    outputs: list[Any]

    def __str__(self) -> str:
        return show(self)

    def definitions(self) -> dict[Var, Equation]:
        """The equation behind each variable that has one."""
        return {e.out: e for e in self.equations}


def typecheck(graph: Graph, infer: Callable[[Equation], Var | None] | None = None, after: str = "trace") -> Graph:
    """Raise CompileError unless every variable is defined once, before it is read, and has the type that it says.

    `infer(equation)` gives the type that an equation's output should have, or None where that is not known.
    """
    known = {*graph.inputs, *graph.constants}
    if len(known) != len(graph.inputs) + len(graph.constants):
        raise broken(after, "an input or constant is there twice")
    for equation in graph.equations:
        for x in equation.inputs:
            if isinstance(x, Var):
                if x not in known:
                    raise broken(after, f"{equation.name} reads {x!r} before it is computed")
            elif not isinstance(x, (bool, int, float)):
                raise broken(after, f"{equation.name} reads {x!r}, which is no variable and no number")
        if equation.out in known:
            raise broken(after, f"{equation.out!r} is computed twice")
        found = infer(equation) if infer is not None else None
        if found is not None and (found.shape, found.dtype) != (equation.out.shape, equation.out.dtype):
            raise broken(after, f"{equation.name} makes {found.type}, but {equation.out!r} is to hold it")
        known.add(equation.out)
    for x in graph.outputs:
        if isinstance(x, Var) and x not in known:
            raise broken(after, f"the output {x!r} is never computed")
    for var, value in graph.constants.items():
        if np.shape(value) != var.shape or np.asarray(value).dtype != var.dtype:
            raise broken(after, f"the constant {var!r} holds {np.asarray(value).dtype}{list(np.shape(value))}")
    return graph


def broken(after: str, what: str) -> CompileError:
    """The error for a graph that a pass has broken: the engine's fault, never the user's."""
    return CompileError(f"jit: the graph is broken after {after!r}: {what}; please report this with the step's code")


# -- printing -----------------------------------------------------------------------------------------------------


WORDS = frozenset(
    [
        "am",
        "an",
        "as",
        "at",
        "be",
        "by",
        "do",
        "go",
        "he",
        "if",
        "in",
        "is",
        "it",
        "me",
        "my",
        "no",
        "of",
        "on",
        "or",
        "so",
        "to",
        "up",
        "us",
        "we",
        "and",
        "let",
    ]
)


def letters() -> Iterator[str]:
    """a, b, ..., z, aa, ab, ..., without the words among them."""
    for length in itertools.count(1):
        for chosen in itertools.product(string.ascii_lowercase, repeat=length):
            if (name := "".join(chosen)) not in WORDS:
                yield name


class Names(dict[Var, str]):
    """A short name for each variable, given when it is first asked for: the same one wherever it is shown."""

    def __init__(self, graph: Graph | None = None) -> None:
        super().__init__()
        self.fresh = letters()
        if graph is not None:
            self.learn(graph)

    def learn(self, graph: Graph) -> Names:
        """Name the variables of a graph, in order of appearance."""
        for var in (*graph.inputs, *graph.constants, *(e.out for e in graph.equations)):
            if var not in self:
                self[var] = next(self.fresh)
        return self


def show(graph: Graph, names: Names | None = None) -> str:
    """The graph as text, a line per equation."""
    names = Names(graph) if names is None else names.learn(graph)
    typed = lambda v: f"{names[v]}:{v.type}"
    lines = [f"{{ lambda {' '.join(typed(v) for v in graph.inputs)} ."]
    body = [f"{typed(v)} = constant {short(value)}" for v, value in graph.constants.items()]
    body += [f"{typed(e.out)} = {show_right_side(e, names)}" for e in graph.equations]
    lines += [f"  {'let' if i == 0 else '   '} {text}" for i, text in enumerate(body)]
    lines.append(f"  in ({', '.join(name_of(x, names) for x in graph.outputs)}) }}")
    return "\n".join(lines)


def show_right_side(equation: Equation, names: dict[Var, str]) -> str:
    """An equation's op, its parameters and its inputs."""
    params = {k: v for k, v in equation.params.items() if v is not None and v is not False}
    shown = f"[{' '.join(f'{k}={show_param(v)}' for k, v in params.items())}]" if params else ""
    return " ".join([equation.name + shown, *(name_of(x, names) for x in equation.inputs)])


def show_param(value: Any) -> str:
    """A parameter, without the spaces that would make it look like two."""
    if callable(value):
        return value.__name__
    return repr(value) if isinstance(value, str) and " " in value else str(value).replace(" ", "")


def name_of(x: Any, names: dict[Var, str]) -> str:
    """A variable's name, or a number as it is."""
    return names[x] if isinstance(x, Var) else repr(x)


def short(value: Any) -> str:
    """A constant, if it is small enough to be shown."""
    array = np.asarray(value)
    return str(array.tolist()) if array.size <= 4 else "..."
