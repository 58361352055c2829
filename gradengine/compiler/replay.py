"""A graph run equation by equation, with the kernels of a backend: what `jit` does where nothing is compiled.

Results of NumPy's own functions are written to fixed places in one arena, so that nothing large is allocated in a loop.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..backend import devices
from ..core.operators import OF_NUMBERS
from ..core.tensor_class import is_half
from . import arena
from .graph import Equation, Graph, Names, Var

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..core.tensor_class import Op

LARGE = 1 << 12  # bytes from which a fixed place costs less than new memory


class Replay:
    """`run(values)` gives the outputs of a graph for the values of its inputs; results are arrays of their own."""

    source = ""
    in_place: ClassVar[dict[Var, Var]] = {}

    def __init__(self, graph: Graph, backend: Any) -> None:
        self.graph, self.backend, self.outputs = graph, backend, graph.outputs
        self.kernels = [of_numbers(e) if e.out.weak else kernel_of(backend, e) for e in graph.equations]
        self.places: dict[Var, int] = {}
        for var in (*graph.inputs, *graph.constants, *(e.out for e in graph.equations)):
            self.places[var] = len(self.places)
        self.constants = [np.asarray(value) for value in graph.constants.values()]
        self.plan_memory()
        self.steps = [self.step(i) for i in range(len(graph.equations))]
        self.results = [
            (self.places[x], x in self.shared) if isinstance(x, Var) else (Literal(x), False) for x in graph.outputs
        ]

    def plan_memory(self) -> None:
        """Places for the large results of NumPy's functions. What another kernel makes of one may be a view of it."""
        last: dict[Var, int] = {}
        behind: dict[Var, set[Var]] = {}  # of a result, the variables in whose memory it may lie
        for i, (e, kernel) in enumerate(zip(self.graph.equations, self.kernels, strict=True)):
            alone = has_place(e, kernel)
            behind[e.out] = set() if alone else {y for x in e.variables() for y in (x, *behind.get(x, ()))}
            for x in e.variables():
                for y in (x, *behind.get(x, ())):
                    last[y] = i
        asked = {x for x in self.graph.outputs if isinstance(x, Var)}
        lives = {
            e.out: arena.Lifetime(e.out, i, last.get(e.out, i))
            for i, (e, kernel) in enumerate(zip(self.graph.equations, self.kernels, strict=True))
            if has_place(e, kernel) and e.out not in asked and e.out.nbytes >= LARGE
        }
        self.shared = {x for x in asked if behind.get(x, set()) & lives.keys()}
        for x in self.shared:  # an output that may be a view is copied at the end
            for y in behind[x] & lives.keys():
                lives[y].last = len(self.graph.equations)
        for i, e in enumerate(self.graph.equations):
            if e.out in lives and e.op.kind == "pointwise":
                dying = [lives[x] for x in e.variables() if x in lives and lives[x].last == i]
                fits = [x for x in dying if (x.var.shape, x.var.dtype) == (e.out.shape, e.out.dtype)]
                lives[e.out].instead = fits[0] if fits else None
        self.lives = list(lives.values())
        self.arena_size = arena.plan(self.lives)
        memory = np.empty(self.arena_size, np.uint8)
        self.fixed = {
            x.var: memory[x.offset : x.offset + x.var.nbytes].view(x.var.dtype).reshape(x.var.shape) for x in self.lives
        }

    def step(self, index: int) -> tuple[Callable[..., Any], list[Any], dict[str, Any], int, list[int]]:
        """An equation as what is called: kernel, places of its inputs, metadata, place of its output, what dies."""
        e = self.graph.equations[index]
        later = {x for other in self.graph.equations[index + 1 :] for x in other.variables()}
        kept = later | {x for x in self.graph.outputs if isinstance(x, Var)} | {*self.graph.inputs}
        dead = [self.places[x] for x in {*e.variables()} - kept - {*self.graph.constants}]
        inputs = [self.places[x] if isinstance(x, Var) else Literal(x) for x in e.inputs]
        params = {**e.params, "out": self.fixed[e.out]} if e.out in self.fixed else e.params
        return self.kernels[index], inputs, params, self.places[e.out], dead

    def run(self, values: list[Any], targets: dict[int, Any]) -> list[Any]:
        """The outputs, for the values of the inputs."""
        held: list[Any] = [*values, *self.constants, *[None] * len(self.steps)]
        with np.errstate(all="ignore"):
            steps = iter(self.steps)
            try:
                for kernel, inputs, params, place, dead in steps:
                    given = [held[x] if type(x) is int else x.value for x in inputs]
                    held[place] = kernel(*given, **params)
                    for x in dead:
                        held[x] = None
            except Exception as error:
                note(error, self.graph.equations[len(self.steps) - 1 - sum(1 for _ in steps)], given)
                raise
        return [
            x.value if isinstance(x, Literal) else np.array(held[x]) if shared else held[x]
            for x, shared in self.results
        ]

    def show_groups(self, names: Names) -> str:
        """Nothing: each equation runs by itself."""
        return ""

    def show_memory(self, names: Names) -> str:
        """The memory plan."""
        return arena.show(self.lives, names, self.arena_size)

    def holds(self, var: Any, array: Any) -> bool:
        """False: nothing is bound beyond a call."""
        return False


def note(error: Exception, e: Equation, given: list[Any]) -> None:
    """Let an error say which equation has raised it, and what that was given."""
    with contextlib.suppress(AttributeError):
        error.equation = e, given  # type: ignore[attr-defined]


@contextlib.contextmanager
def raised_by(e: Equation, given: list[Any]) -> Iterator[None]:
    """The block in which an equation is run."""
    try:
        yield
    except Exception as error:
        note(error, e, given)
        raise


class Literal:
    """A number among the inputs."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def has_place(e: Equation, kernel: Any) -> bool:
    """Whether an equation's result can be written to a place of our choice."""
    return isinstance(kernel, np.ufunc) and not e.params and bool(e.out.shape) and not e.out.weak


# What an op means of Python numbers: operators, and what powers become.
ON_NUMBERS: dict[str, Callable[..., Any]] = {
    **OF_NUMBERS, "square": lambda x: x**2, "sqrt": lambda x: x**0.5, "reciprocal": lambda x: x**-1,
}  # fmt: skip


def of_numbers(e: Equation) -> Callable[..., Any]:
    """What computes an equation of Python numbers: the result is one, which leaves the dtype to arrays it meets."""
    return number_kernel(e.op) if e.op.kind != "call" else e.op.body


def number_kernel(op: Op) -> Callable[..., Any]:
    """An op on Python numbers."""
    if op.name in ON_NUMBERS and op.name in devices.BUILT_IN:
        return ON_NUMBERS[op.name]
    host = devices.load("numpy")
    kernel = host.table[op] if op in host.table or op.body is None else functools.partial(op.body, host)

    def run(*numbers: Any, **params: Any) -> Any:
        value = kernel(*numbers, **params)
        return value.item() if isinstance(value, (np.generic, np.ndarray)) and not np.shape(value) else value

    return run


def kernel_of(backend: Any, e: Equation) -> Callable[..., Any]:
    """The kernel that runs an op on raw arrays; what a rule has called of NumPy's is run as it was."""
    op = e.op
    if op.kind == "call":
        return op.body
    if op not in backend.table:
        return lambda *arrays, **params: op.body(backend, *arrays, **params)
    kernel = backend.table[op]
    plain = not any([is_half(x.dtype) for x in (e.out, *e.variables())])
    return getattr(kernel, "plain", kernel) if plain else kernel
