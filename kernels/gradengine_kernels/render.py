"""Scalar expressions and loops around them, written as source code.

A Dialect says how a language writes each operation; `NUMBA` is the one for Numba. `statements` writes expressions as
straight-line code, each shared part once; `numba_loop` puts them into one fused loop over contiguous arrays.

May import expr and kinds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .expr import COMPARISONS, LOGIC, PREDICATES, Expr, NotPointwiseError, walk
from .kinds import SCALAR_OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# What an expression is while it is computed: a number of the array's dtype, a truth value, or a number that is the
# same for all elements and is computed once, before the loop, in double precision as Python would.
NUMBER, MASK, SCALAR = "number", "mask", "scalar"


@dataclass(frozen=True)
class Dialect:
    """How a language writes scalar operations; {0}, {1}, {2} are the arguments, {real} is the dtype."""

    operations: Mapping[str, str]
    real: Callable[[str, str], str]  # a constant or double, as a number of that dtype
    mask_to_real: str
    assign: str = "{name} = {value}"

    @property
    def known(self) -> frozenset[str]:
        """The operations that can be written."""
        return frozenset(self.operations)


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
    },
    real=lambda text, real: f"{real}({text})",
    mask_to_real="{real}(1.0) if {0} else {real}(0.0)",
)


def statements(
    outputs: Sequence[Expr], kinds: Mapping[str, str], real: str, dialect: Dialect = NUMBA
) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """Straight-line code for the outputs: lines before the loop, lines in it, and each output's name and kind.

    `kinds` says which inputs are NUMBERs, MASKs and SCALARs. Raises NotPointwiseError where the types do not fit.
    """
    before: list[str] = []
    inside: list[str] = []
    names: dict[int, tuple[str, str]] = {}
    converted: dict[tuple[int, str], str] = {}

    def emit(value: str, lines: list[str]) -> str:
        name = f"t{len(before) + len(inside)}"
        lines.append(dialect.assign.format(name=name, value=value, real=real))
        return name

    def as_number(e: Expr) -> str:
        name, kind = names[id(e)]
        if kind == NUMBER:
            return name
        if e.op == "constant" and kind == SCALAR:
            return dialect.real(name, real)
        key = (id(e), NUMBER)
        if key not in converted:
            if kind == SCALAR:
                converted[key] = emit(dialect.real(name, real), before)
            else:
                converted[key] = emit(dialect.mask_to_real.format(name, real=real), inside)
        return converted[key]

    def as_mask(e: Expr) -> str:
        name, kind = names[id(e)]
        if kind != MASK:
            raise NotPointwiseError(f"{e!r} is a number where a truth value is needed")
        return name

    for e in walk(outputs):
        if e.op in ("input", "param"):
            names[id(e)] = local(e), kinds[e.args[0]] if e.op == "input" else SCALAR
            continue
        if e.op == "constant":
            names[id(e)] = constant(e.args[0]), MASK if isinstance(e.args[0], bool) else SCALAR
            continue
        if e.op not in dialect.operations:
            raise NotPointwiseError(f"{e.op} cannot be written here")
        given = [names[id(x)][1] for x in e.args]
        if e.op in LOGIC:
            kind, args = MASK, [as_mask(x) for x in e.args]
        elif e.op == "where":
            chosen = [as_mask(e.args[0])]
            kind = MASK if given[1:] == [MASK, MASK] else NUMBER
            args = chosen + [as_mask(x) if kind == MASK else as_number(x) for x in e.args[1:]]
        elif e.op in COMPARISONS or e.op in PREDICATES:
            if given == [MASK, MASK] and e.op not in ("equal", "not_equal"):
                raise NotPointwiseError(f"{e.op} of two truth values")
            kind, args = MASK, [names[id(x)][0] if given == [MASK, MASK] else as_number(x) for x in e.args]
        elif all(k == SCALAR for k in given) and e.op in SCALAR_OPERATIONS:
            value = dialect.operations[e.op].format(*(names[id(x)][0] for x in e.args), real="float64")
            names[id(e)] = emit(value, before), SCALAR
            continue
        elif all(k == MASK for k in given):
            raise NotPointwiseError(f"{e.op} of truth values only has an integer type")
        else:
            kind, args = NUMBER, [as_number(x) for x in e.args]
        names[id(e)] = emit(dialect.operations[e.op].format(*args, real=real), inside), kind
    results = []
    for e in outputs:
        kind = names[id(e)][1]
        results.append((as_number(e) if kind == SCALAR else names[id(e)][0], MASK if kind == MASK else NUMBER))
    return before, inside, results


def local(e: Expr) -> str:
    """The variable that holds an input or a param; a param may be called what it likes."""
    return e.args[0] if e.op == "input" else f"given_{e.args[0]}"


CALLS = frozenset(("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "erf"))


def cost(outputs: Sequence[Expr], real: str) -> float:
    """Roughly what one element takes on one thread, in nanoseconds: memory first, then calls of functions."""
    nodes = list(walk(outputs))
    streams = len(outputs) + sum(e.op == "input" for e in nodes)
    return (0.1 * streams + 0.4 * sum(e.op in CALLS for e in nodes)) * (2 if real == "float64" else 1)


def constant(value: float) -> str:
    """A number as source; brackets keep -1.0 ** 2 what it was."""
    if isinstance(value, bool):
        return repr(value)
    if math.isnan(value):
        return "math.nan"
    if math.isinf(value):
        return "math.inf" if value > 0 else "(-math.inf)"
    return repr(value) if math.copysign(1.0, value) > 0 else f"({value!r})"


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
