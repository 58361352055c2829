"""Python's operators, and the ops that they stand for: on Tensors, on the symbols of a trace, and on plain numbers."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

# By the name of the special method, without its underscores.
BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "pow", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or",
    "xor": "bitwise_xor", "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift",
}  # fmt: skip
COMPARISONS = {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}  # fmt: skip
UNARY = {"neg": "negative", "pos": "positive", "abs": "abs", "invert": "bitwise_invert"}
# What an op means of Python numbers, integers of any size included.
OF_NUMBERS: dict[str, Callable[..., Any]] = {
    op: getattr(operator, f"__{dunder}__") for dunder, op in (BINARY | COMPARISONS | UNARY).items()
}
