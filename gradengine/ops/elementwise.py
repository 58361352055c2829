"""Pointwise ops: arithmetic, powers, rounding, choice, comparisons, logic. May import declare and tensor.

Names are the array API standard's. Each op broadcasts its operands as NumPy does and keeps their dtype; a Python
number takes the other operand's dtype. Gradients at kinks are PyTorch's.
"""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor, check_dtype
from .declare import elementwise, primitive

__all__ = [
    "abs", "add", "astype", "clip", "divide", "equal", "exp", "greater", "greater_equal", "less", "less_equal", "log",
    "logical_and", "logical_not", "logical_or", "logical_xor", "maximum", "minimum", "multiply", "negative",
    "not_equal", "positive", "pow", "reciprocal", "relu", "sigmoid", "sign", "sqrt", "square", "subtract", "tanh",
    "where",
]  # fmt: skip


def zero(k: Any, g: Any, y: Any, *inputs: Any) -> Any:
    """The gradient of a step function: 0, also where g is infinite."""
    return k.where(k.less(g, g), g, 0.0)


add = elementwise("add", lambda k, g, y, a, b: g, lambda k, g, y, a, b: g, doc="The sum.")
subtract = elementwise("subtract", lambda k, g, y, a, b: g, lambda k, g, y, a, b: -g, doc="The difference.")
multiply = elementwise("multiply", lambda k, g, y, a, b: g * b, lambda k, g, y, a, b: g * a, doc="The product.")
divide = elementwise("divide", lambda k, g, y, a, b: g / b, lambda k, g, y, a, b: -g * (y / b), doc="The quotient.")
negative = elementwise("negative", lambda k, g, y, x: -g, doc="The value with its sign changed.")
positive = elementwise("positive", lambda k, g, y, x: g, doc="The same value.")
abs = elementwise("abs", lambda k, g, y, x: g * k.sign(x), doc="The absolute value.")
sign = elementwise("sign", zero, doc="-1, 0 or 1.")
square = elementwise("square", lambda k, g, y, x: g * (2 * x), doc="The square.")
sqrt = elementwise("sqrt", lambda k, g, y, x: g / (2 * y), doc="The square root.")
reciprocal = elementwise("reciprocal", lambda k, g, y, x: -g * (y * y), doc="1 / x.")


def pow_base(k: Any, g: Any, y: Any, a: Any, b: Any) -> Any:
    """b a^(b-1), and 0 where b is 0, as a^0 is 1 everywhere."""
    return k.where(k.equal(b, 0), 0.0, g * (b * k.pow(a, b - 1)))


def pow_exponent(k: Any, g: Any, y: Any, a: Any, b: Any) -> Any:
    """a^b log a, and 0 where a is 0 and b is not negative."""
    flat = k.logical_and(k.equal(a, 0), k.greater_equal(b, 0))
    return k.where(flat, 0.0, g * (y * k.log(k.where(flat, 1.0, a))))


_pow = elementwise("pow", pow_base, pow_exponent)
power_by_scalar = elementwise(
    "power_by_scalar",
    lambda k, g, y, x, exponent: g * (exponent * x ** (exponent - 1)),
    body=lambda k, x, exponent=1.0: x**exponent,
)


def pow(x1: Any, x2: Any, /) -> Tensor:
    """x1 to the power x2."""
    if (type(x2) is int or type(x2) is float) and isinstance(x1, Tensor) and x1.dtype.kind == "f":
        if x2 == 2:
            return square(x1)
        if x2 != 0:
            return power_by_scalar(x1, exponent=x2)
    return _pow(x1, x2)


exp = elementwise("exp", lambda k, g, y, x: g * y, doc="e to the power x.")
log = elementwise("log", lambda k, g, y, x: g / x, doc="The natural logarithm.")
tanh = elementwise("tanh", lambda k, g, y, x: g * (1 - y * y), doc="The hyperbolic tangent.")
sigmoid = elementwise(
    "sigmoid", lambda k, g, y, x: g * (1 - y) * y, body=lambda k, x: 1 / (1 + k.exp(-x)), doc="1 / (1 + exp(-x))."
)
relu = elementwise(
    "relu",
    lambda k, g, y, x: k.where(k.greater(y, 0), g, 0),
    body=lambda k, x: k.maximum(x, 0),
    doc="max(x, 0).",
)


def maximum_rule(k: Any, g: Any, own: Any, other: Any) -> Any:
    """g where `own` wins, half of it where both are equal."""
    return k.where(k.equal(own, other), g / 2, k.where(k.less(own, other), 0.0, g))


def minimum_rule(k: Any, g: Any, own: Any, other: Any) -> Any:
    """g where `own` wins, half of it where both are equal."""
    return k.where(k.equal(own, other), g / 2, k.where(k.greater(own, other), 0.0, g))


maximum = elementwise(
    "maximum", lambda k, g, y, a, b: maximum_rule(k, g, a, b), lambda k, g, y, a, b: maximum_rule(k, g, b, a)
)
minimum = elementwise(
    "minimum", lambda k, g, y, a, b: minimum_rule(k, g, a, b), lambda k, g, y, a, b: minimum_rule(k, g, b, a)
)
where = elementwise(
    "where",
    None,
    lambda k, g, y, c, a, b: k.where(c, g, 0),
    lambda k, g, y, c, a, b: k.where(c, 0, g),
    doc="a where the condition holds, else b.",
)


def clip_rule(k: Any, g: Any, y: Any, x: Any, min: Any = None, max: Any = None) -> Any:
    """g within the bounds and on them."""
    if min is None:
        return k.where(k.less_equal(x, max), g, 0)
    inside = k.greater_equal(x, min)
    return k.where(inside if max is None else k.logical_and(inside, k.less_equal(x, max)), g, 0)


_clip = elementwise("clip", clip_rule)


def clip(x: Any, /, min: Any = None, max: Any = None) -> Tensor:
    """x, no less than min and no more than max."""
    if min is None and max is None:
        return positive(x)
    return _clip(x, min=min, max=max)


equal = elementwise("equal", None, None)
not_equal = elementwise("not_equal", None, None)
less = elementwise("less", None, None)
less_equal = elementwise("less_equal", None, None)
greater = elementwise("greater", None, None)
greater_equal = elementwise("greater_equal", None, None)
logical_and = elementwise("logical_and", None, None)
logical_or = elementwise("logical_or", None, None)
logical_xor = elementwise("logical_xor", None, None)
logical_not = elementwise("logical_not", None)


@primitive(lambda k, g, y, x, dtype: g, name="astype")
def _astype(x, /, dtype):  # type: ignore[no-untyped-def]
    """The stub of astype."""


def astype(x: Any, /, dtype: Any) -> Tensor:
    """x in another dtype."""
    wanted = check_dtype(dtype)
    return _astype(x.detach() if wanted.kind != "f" and isinstance(x, Tensor) else x, dtype=wanted)
