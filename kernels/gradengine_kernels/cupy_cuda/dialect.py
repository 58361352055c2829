"""How CUDA C writes each scalar operation. Half precision is computed in float."""

from __future__ import annotations

import math

from .. import render
from ..loops import MASK

# How elements of a dtype are stored, and what they are computed as.
STORED = {"float32": "float", "float64": "double", "float16": "f16", "bfloat16": "bf16", "bool": "u8", "int64": "i64"}
COMPUTED = {"float32": "float", "float64": "double", "float16": "float", "bfloat16": "float"}
BYTES = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2, "bool": 1, "int64": 8}

SAME_NAME = frozenset(
    ("sqrt", "floor", "ceil", "trunc", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "erf", "erfc", "erfinv")
) | {"sin", "cos", "tan", "sinh", "cosh", "tanh", "cbrt", "lgamma"}
ARCS = {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsinh": "asinh", "arccosh": "acosh"}
ARCS |= {"arctanh": "atanh", "round": "rint", "abs": "fabs"}
OF_TWO = {"arctan2": "atan2", "hypot": "hypot", "copysign": "copysign", "fmod": "fmod", "power": "pow"}


def constant(value: float | str) -> str:
    """A number as source, in double precision."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value  # a size, which is a variable
    return render.constant(float(value), "NAN64", "INF64")


def real_constant(value: float, real: str) -> str:
    """A number as source, in the type that `real` is computed in."""
    if isinstance(value, bool):
        return f"({COMPUTED[real]}){int(value)}"
    if COMPUTED[real] == "double":
        return constant(value)
    return f"(float){constant(value)}" if math.isfinite(value) else render.constant(value, "NAN32", "INF32")


def number(name: str, kind: str, real: str) -> str:
    """A truth value or a Python number, in the type that `real` is computed in."""
    return chosen(name, COMPUTED[real]) if kind == MASK else f"(({COMPUTED[real]}){name})"


def chosen(name: str, ctype: str) -> str:
    """A truth value as a number of a type."""
    return f"(({name}) ? ({ctype})1 : ({ctype})0)"


CUDA = render.Dialect(
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
    constant=constant,
    real=real_constant,
    number=number,
    heavy=frozenset((*SAME_NAME, *ARCS, *OF_TWO, "divide", "sigmoid", "remainder"))
    - {"abs", "round", "copysign", "floor", "ceil", "trunc"},
    inline=True,
)
OPERATIONS = CUDA.known
