"""Scalar expressions, written as source code in any language, and loops around them for Numba.

A Dialect says how a language writes each operation; `NUMBA` is the one for Numba. `write` turns expressions into
straight-line code, each shared part once; `numba_loop` puts them into one fused loop over contiguous arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .expr import LOGIC, Expr, NotPointwiseError, walk
from .loops import MASK, NUMBER, SCALAR
from .scalar_types import OF_INDEX, combine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Dialect:
    """How a language writes scalar operations.

    {0}, {1}, {2} are the arguments, {real} is the dtype; {f} and {bits} are what names end in for it, in C.
    """

    operations: Mapping[str, str]
    constant: Callable[[float], str]  # a Python number
    real: Callable[[float, str], str]  # a Python number that is known, as a number of that dtype
    number: Callable[[str, str, str], str]  # a variable of that kind, MASK or SCALAR, as a number of that dtype
    heavy: frozenset[str]  # operations whose values are better kept than computed again
    inline: bool = False  # whether `number` stands wherever it is needed, not in a variable of its own

    @property
    def known(self) -> frozenset[str]:
        """The operations of functions that can be written."""
        return frozenset(self.operations) - OF_INDEX


def write(
    outputs: Sequence[Expr],
    dialect: Dialect,
    real: str,
    find: Callable[[str], tuple[str, str]],
    hold: Callable[[str, str, bool], str],
    converted: dict[str, str],
) -> list[tuple[str, str]]:
    """Straight-line code for expressions; returns the variable (or constant) that holds each, and its kind.

    `find(name)` gives the variable of an input or param, and its kind. `hold(kind, value, once)` writes a line that
    gives a value of that kind a variable; `once` if it is made of Python numbers alone. `converted` are variables by
    those whose values they are as numbers. Raises NotPointwiseError where the kinds do not fit.
    """
    names: dict[int, tuple[str, str]] = {}

    def as_number(e: Expr) -> str:
        name, kind = names[id(e)]
        if kind == NUMBER:
            return name
        if e.op == "constant" and (kind == SCALAR or dialect.inline):
            return dialect.real(e.args[0], real)
        if dialect.inline:
            return dialect.number(name, kind, real)
        if name not in converted:
            converted[name] = hold(NUMBER, dialect.number(name, kind, real), kind == SCALAR)
        return converted[name]

    for e in walk(outputs):
        if e.op in ("input", "param"):
            names[id(e)] = find(local(e))
            continue
        if e.op == "constant":
            names[id(e)] = dialect.constant(e.args[0]), MASK if isinstance(e.args[0], bool) else SCALAR
            continue
        if e.op not in dialect.operations:
            raise NotPointwiseError(f"{e.op} cannot be written here")
        given = [names[id(x)][1] for x in e.args]
        kind = combine(e.op, given)
        if e.op in OF_INDEX:
            args = [names[id(e.args[0])][0], *[str(x.args[0]) for x in e.args[1:]]]
        elif e.op in LOGIC or kind == SCALAR or given in ([MASK, MASK], [MASK, MASK, MASK]):
            args = [names[id(x)][0] for x in e.args]
        elif e.op == "where":
            args = [names[id(e.args[0])][0], *[as_number(x) for x in e.args[1:]]]
        else:
            args = [as_number(x) for x in e.args]
        own = "float64" if kind == SCALAR else real
        f, bits = ("", 64) if own == "float64" else ("f", 32)
        value = dialect.operations[e.op].format(*args, real=own, f=f, bits=bits)
        names[id(e)] = hold(kind, value, kind == SCALAR), kind
    return [names[id(e)] for e in outputs]


def local(e: Expr) -> str:
    """The name that an input or a param goes by; a param may be called what it likes."""
    return e.args[0] if e.op == "input" else f"given_{e.args[0]}"


def constant(value: float, nan: str = "math.nan", infinity: str = "math.inf") -> str:
    """A number as source; brackets keep -1.0 ** 2 what it was."""
    if isinstance(value, bool):
        return repr(value)
    if math.isnan(value):
        return nan
    if math.isinf(value):
        return infinity if value > 0 else f"(-{infinity})"
    return repr(value) if math.copysign(1.0, value) > 0 else f"({value!r})"


def numba_number(name: str, kind: str, real: str) -> str:
    """A truth value or a Python number as a number of a dtype."""
    return f"{real}(1.0) if {name} else {real}(0.0)" if kind == MASK else f"{real}({name})"


CALLS = frozenset(("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "erf"))

# Conditional expressions only ever choose between two values that are there already, so that LLVM turns each into a
# select and the loop stays free of branches.
NUMBA = Dialect(
    operations={
        "add": "{0} + {1}",
        "subtract": "{0} - {1}",
        "multiply": "{0} * {1}",
        "divide": "{0} / {1}",
        "negative": "-{0}",
        "abs": "abs({0})",
        "sign": "{real}(1.0) if {0} > 0 else {real}(-1.0) if {0} < 0 else {0} + {real}(0.0)",
        "sqrt": "math.sqrt({0})",
        "floor": "np.floor({0})",
        "ceil": "np.ceil({0})",
        "trunc": "np.trunc({0})",
        "round": "np.rint({0})",
        # NaN wins, whichever side it is on.
        "maximum": "{0} if {0} >= {1} or {0} != {0} else {1}",
        "minimum": "{0} if {0} <= {1} or {0} != {0} else {1}",
        "less": "{0} < {1}",
        "less_equal": "{0} <= {1}",
        "greater": "{0} > {1}",
        "greater_equal": "{0} >= {1}",
        "equal": "{0} == {1}",
        "not_equal": "{0} != {1}",
        "logical_and": "{0} & {1}",
        "logical_or": "{0} | {1}",
        "logical_xor": "{0} ^ {1}",
        "logical_not": "not {0}",
        "isnan": "{0} != {0}",
        "isinf": "abs({0}) == math.inf",
        "isfinite": "abs({0}) < math.inf",
        "where": "{1} if {0} else {2}",
        "exp": "exp({0})",
        "expm1": "expm1({0})",
        "log": "log({0})",
        "log1p": "log1p({0})",
        "tanh": "tanh({0})",
        "sigmoid": "sigmoid({0})",
        "erf": "erf({0})",
        "at_column": "{0} == j",
        "index_is": "{0} == {1}",
        "index_outside": "({0} < 0) | ({0} >= {1})",
    },
    constant=constant,
    real=lambda value, real: f"{real}({constant(value)})",
    number=numba_number,
    heavy=CALLS | {"divide", "sqrt"},
)


def statements(
    outputs: Sequence[Expr], kinds: Mapping[str, str], real: str
) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """Straight-line code for Numba: lines before the loop, lines in it, and each output's name and kind.

    `kinds` says which inputs are NUMBERs and MASKs; others and params are SCALARs. What is made of SCALARs alone is
    computed before the loop, in double precision as Python would. Raises NotPointwiseError where the kinds do not fit.
    """
    before: list[str] = []
    inside: list[str] = []
    converted: dict[str, str] = {}

    def hold(kind: str, value: str, once: bool) -> str:
        name = f"t{len(before) + len(inside)}"
        (before if once else inside).append(f"{name} = {value}")
        return name

    found = write(outputs, NUMBA, real, lambda name: (name, kinds.get(name, SCALAR)), hold, converted)
    results = []
    for name, kind in found:
        if kind == SCALAR:
            name, kind = hold(NUMBER, NUMBA.number(name, kind, real), True), NUMBER
        results.append((name, kind))
    return before, inside, results


def cost(outputs: Sequence[Expr], real: str) -> float:
    """Roughly what one element takes on one thread, in nanoseconds: memory first, then calls of functions."""
    nodes = list(walk(outputs))
    streams = len(outputs) + sum(e.op == "input" for e in nodes)
    return (0.1 * streams + 0.4 * sum(e.op in CALLS for e in nodes)) * (2 if real == "float64" else 1)


# How an operand's elements are found.
FULL, ROW, COLUMN = "full", "row", "column"


@dataclass(frozen=True)
class Operand:
    """An input of a fused loop: its name, what an element is, and how it stretches over the output."""

    name: str
    kind: str = NUMBER  # NUMBER, MASK or SCALAR
    layout: str = FULL  # FULL, ROW (repeated for every row) or COLUMN (one element for each row)
    buffer: int | None = None  # its place in the table of addresses; None for a SCALAR

    @property
    def load(self) -> str:
        """The statement that reads its current element."""
        element = f"p{self.buffer}[{ {FULL: 'i', ROW: 'j', COLUMN: 'r'}[self.layout] }]"
        return f"{self.name} = {element}" + (" != 0" if self.kind == MASK else "")


def numba_loop(
    outputs: Sequence[Expr],
    operands: Sequence[Operand],
    targets: Sequence[int],
    scalars: Sequence[str],
    real: str,
    columns: int | None = None,
) -> tuple[str, list[str]]:
    """Source of `kernel(reals, masks, ints, sizes, scalars, start, stop)` for output elements start to stop.

    `reals`, `masks` and `sizes` are one table of addresses and sizes, seen as three types. `targets` are the places
    of the outputs in it, `columns` that of the length of a row, when an operand is a ROW or a COLUMN. `scalars` are
    the variables of the SCALAR operands and params, in the order in which they are given. Also returns the kinds of
    the outputs.
    """
    before, inside, results = statements(outputs, {o.name: o.kind for o in operands}, real)
    used = {local(e) for e in walk(outputs) if e.op in ("input", "param")}
    arrays = [o for o in operands if o.buffer is not None and o.name in used]
    # An output that is one of the inputs has the same place, hence the same pointer: LLVM then sees that an element
    # is read before it is written, and vectorises.
    pointers = {place: kind for place, (_, kind) in zip(targets, results)} | {o.buffer: o.kind for o in arrays}
    lines = ["def kernel(reals, masks, ints, sizes, scalars, start, stop):"]
    if any(e.op in CALLS for e in walk(outputs)):
        lines.append("    wide_vectors()")
    lines += [f"    p{p} = {'masks' if kind == MASK else 'reals'}[{p}]" for p, kind in pointers.items()]
    lines += [f"    {name} = scalars[{place}]" for place, name in enumerate(scalars) if name in used]
    lines += [f"    {line}" for line in before]
    stores = [
        f"p{place}[i] = {f'np.uint8({name})' if kind == MASK else name}"
        for place, (name, kind) in zip(targets, results)
    ]
    if columns is None:
        lines.append("    for i in range(start, stop):")
        lines += [f"        {line}" for line in [o.load for o in arrays] + inside + stores]
    else:
        # start and stop count elements, so that two long rows are shared out as well as many short ones.
        lines += [
            f"    columns = sizes[{columns}]",
            "    for r in range(start // columns, (stop + columns - 1) // columns):",
            "        first = r * columns",
            *(f"        {o.load}" for o in arrays if o.layout == COLUMN),
            "        for j in range(max(start - first, 0), min(stop - first, columns)):",
            "            i = first + j",
            *(f"            {line}" for line in [o.load for o in arrays if o.layout != COLUMN] + inside + stores),
        ]
    return "\n".join(lines) + "\n", [kind for _, kind in results]
