"""Scalar expressions as CUDA C: how each operation is written, and straight-line code for an expression.

Half precision is computed in float. May import expr, kinds, loops and render.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..expr import LOGIC, Expr, NotPointwiseError, walk
from ..kinds import OF_INDEX, combine
from ..loops import INDEX, MASK, NUMBER, SCALAR
from ..render import Dialect

if TYPE_CHECKING:
    from collections.abc import Callable

# How elements of a dtype are stored, and what they are computed as.
STORED = {"float32": "float", "float64": "double", "float16": "f16", "bfloat16": "bf16", "bool": "u8", "int64": "i64"}
COMPUTED = {"float32": "float", "float64": "double", "float16": "float", "bfloat16": "float"}
BYTES = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2, "bool": 1, "int64": 8}
KINDS = {**dict.fromkeys(COMPUTED, NUMBER), "bool": MASK, "int64": INDEX}

SAME_NAME = frozenset(
    ("sqrt", "floor", "ceil", "trunc", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "erf", "erfc", "erfinv")
) | {"sin", "cos", "tan", "sinh", "cosh", "tanh", "cbrt", "lgamma"}
ARCS = {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsinh": "asinh", "arccosh": "acosh"}
ARCS |= {"arctanh": "atanh", "round": "rint", "abs": "fabs"}
OF_TWO = {"arctan2": "atan2", "hypot": "hypot", "copysign": "copysign", "fmod": "fmod", "power": "pow"}

# {f} is "f" for functions of float, "" for those of double.
CUDA = Dialect(
    operations={
        "add": "{0} + {1}",
        "subtract": "{0} - {1}",
        "multiply": "{0} * {1}",
        "divide": "{0} / {1}",
        "negative": "-{0}",
        **{name: name + "{f}({0})" for name in sorted(SAME_NAME)},
        **{name: c + "{f}({0})" for name, c in ARCS.items()},
        **{name: c + "{f}({0}, {1})" for name, c in OF_TWO.items()},
        "sign": "ge_sign({0})",
        "sigmoid": "ge_sigmoid({0})",
        "remainder": "ge_remainder({0}, {1})",
        "maximum": "ge_max({0}, {1})",
        "minimum": "ge_min({0}, {1})",
        "less": "{0} < {1}",
        "less_equal": "{0} <= {1}",
        "greater": "{0} > {1}",
        "greater_equal": "{0} >= {1}",
        "equal": "{0} == {1}",
        "not_equal": "{0} != {1}",
        "logical_and": "{0} && {1}",
        "logical_or": "{0} || {1}",
        "logical_xor": "{0} != {1}",
        "logical_not": "!{0}",
        "isnan": "{0} != {0}",
        "isinf": "fabs{f}({0}) == INF{bits}",
        "isfinite": "fabs{f}({0}) < INF{bits}",
        "where": "{0} ? {1} : {2}",
        "at_column": "{0} == (i64)j",
        "index_is": "{0} == {1}",
        "index_outside": "({0} < 0) || ({0} >= {1})",
    },
    real=lambda text, real: f"({COMPUTED[real]})({text})",
    mask_to_real="{0} ? ({real})1 : ({real})0",
)
OPERATIONS = frozenset(CUDA.operations) - OF_INDEX
HEAVY = frozenset((*SAME_NAME, *ARCS, *OF_TWO, "divide", "sigmoid", "remainder")) - {"abs", "round", "copysign"}
HEAVY -= {"floor", "ceil", "trunc"}


def constant(value: float | str) -> str:
    """A number as source, in double precision."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value  # a size, which is a variable
    if math.isnan(value):
        return "NAN64"
    if math.isinf(value):
        return "INF64" if value > 0 else "(-INF64)"
    return repr(float(value)) if math.copysign(1.0, value) > 0 else f"({float(value)!r})"


def real_constant(value: float, real: str) -> str:
    """A number as source, in the type that `real` is computed in."""
    if isinstance(value, bool):
        return f"({COMPUTED[real]}){int(value)}"
    if COMPUTED[real] == "double":
        return constant(value)
    if math.isnan(value) or math.isinf(value):
        return "NAN32" if math.isnan(value) else "INF32" if value > 0 else "(-INF32)"
    return f"(float){constant(value)}"


def expression(
    root: Expr, real: str, find: Callable[[str], tuple[str, str]], fresh: Callable[[], str], lines: list[str]
) -> tuple[str, str]:
    """Straight-line code for an expression; returns the variable (or constant) that holds it, and its kind.

    `find(name)` gives the variable of an input, and its kind. Raises NotPointwiseError where the kinds do not fit.
    """
    names: dict[int, tuple[str, str]] = {}
    ctype = COMPUTED[real]

    def declare(kind: str, value: str, scalar: bool = False) -> str:
        name = fresh()
        lines.append(f"const {'bool' if kind == MASK else 'double' if scalar else ctype} {name} = {value};")
        return name

    def as_number(e: Expr) -> str:
        name, kind = names[id(e)]
        if kind == NUMBER:
            return name
        if kind == INDEX:
            raise NotPointwiseError("an index is no number")
        if e.op == "constant":
            return real_constant(e.args[0], real)
        return f"(({name}) ? ({ctype})1 : ({ctype})0)" if kind == MASK else f"(({ctype}){name})"

    def as_mask(e: Expr) -> str:
        name, kind = names[id(e)]
        if kind != MASK:
            raise NotPointwiseError(f"{e!r} is a number where a truth value is needed")
        return name

    for e in walk([root]):
        if e.op in ("input", "param"):
            names[id(e)] = find(e.args[0])
            continue
        if e.op == "constant":
            names[id(e)] = constant(e.args[0]), MASK if isinstance(e.args[0], bool) else SCALAR
            continue
        if e.op not in CUDA.operations:
            raise NotPointwiseError(f"{e.op} cannot be written in CUDA C")
        given = [names[id(x)][1] for x in e.args]
        kind = combine(e.op, given)
        if e.op in OF_INDEX:
            args = [names[id(e.args[0])][0], *[str(x.args[0]) for x in e.args[1:]]]
        elif e.op in LOGIC:
            args = [as_mask(x) for x in e.args]
        elif e.op == "where":
            args = [as_mask(e.args[0]), *[as_mask(x) if kind == MASK else as_number(x) for x in e.args[1:]]]
        elif given == [MASK, MASK] or kind == SCALAR:
            args = [names[id(x)][0] for x in e.args]
        else:
            args = [as_number(x) for x in e.args]
        double = kind == SCALAR or ctype == "double"
        value = CUDA.operations[e.op].format(*args, f="" if double else "f", bits=64 if double else 32)
        names[id(e)] = declare(kind, value, kind == SCALAR), kind
    return names[id(root)]
