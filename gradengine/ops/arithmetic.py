"""Pointwise functions of PyTorch's that are made of others: lerp, addcmul, fmod, frac, nan_to_num, logit and more."""

from __future__ import annotations

import math
from typing import Any

from ..core.tensor_class import Tensor, wrap
from ..errors import ArgumentError, SignatureError
from ..shapes.dtypes import finfo, get_default_dtype, is_floating, result_type
from .arguments import checked, operands
from .elementwise import (
    abs,
    add,
    clip,
    divide,
    maximum,
    minimum,
    multiply,
    negative,
    remainder,
    sign,
    subtract,
    trunc,
    where,
)  # fmt: skip
from .powers import pow
from .predicates import equal, greater, isfinite, isinf, isnan, less, less_equal, logical_and, logical_or
from .tensor_methods import method, methods
from .transcendental import exp2, log, log1p, logaddexp

__all__ = [
    "rsub", "lerp", "addcmul", "addcdiv", "frac", "fmod", "clamp_min", "clamp_max", "nan_to_num", "logit", "xlogy",
    "float_power", "fmax", "fmin", "deg2rad", "rad2deg", "isposinf", "isneginf", "isreal", "heaviside", "logaddexp2",
    "ldexp", "sgn",
]  # fmt: skip

sgn = sign
methods(sgn=sign)


def is_one(factor: Any) -> bool:
    """Whether a factor is the number 1, and no Tensor that a gradient may flow to."""
    return type(factor) in (int, float) and factor == 1


@method(in_place=True)
@checked
def clamp_min(x: Any, /, min: Any) -> Tensor:
    """`x`, or `min` where that is larger.

    >>> import gradengine as ge
    >>> ge.clamp_min(ge.tensor([-1.0, 2.0]), 0.0)
    tensor([0., 2.])
    """
    if min is None:
        raise SignatureError("clamp_min: needs a number or a Tensor for min, got None")
    return clip(x, min=min)


@method(in_place=True)
@checked
def clamp_max(x: Any, /, max: Any) -> Tensor:
    """`x`, or `max` where that is smaller.

    >>> import gradengine as ge
    >>> ge.clamp_max(ge.tensor([-1.0, 2.0]), 0.0)
    tensor([-1.,  0.])
    """
    if max is None:
        raise SignatureError("clamp_max: needs a number or a Tensor for max, got None")
    return clip(x, max=max)


@checked
def rsub(x1: Any, x2: Any, /, *, alpha: Any = 1) -> Tensor:
    """`x2 - alpha * x1`.

    >>> import gradengine as ge
    >>> ge.rsub(ge.tensor([1.0, 2.0]), 10)
    tensor([9., 8.])
    """
    return subtract(x2, x1 if is_one(alpha) else multiply(x1, alpha))


@method(in_place=True)
@checked
def lerp(start: Any, end: Any, weight: Any) -> Tensor:
    """`start + weight * (end - start)`, a mix of two arrays; `weight` is a number or an array.

    >>> import gradengine as ge
    >>> ge.lerp(ge.tensor([0.0, 10.0]), ge.tensor([1.0, 20.0]), 0.5)
    tensor([ 0.5, 15. ])
    """
    return add(start, multiply(subtract(end, start), weight))


@method(in_place=True)
@checked(words={"tensor1": "x1", "tensor2": "x2"})
def addcmul(x: Any, x1: Any, x2: Any, /, *, value: Any = 1) -> Tensor:
    """`x + value * x1 * x2`.

    >>> import gradengine as ge
    >>> ge.addcmul(ge.tensor([1.0]), ge.tensor([2.0]), ge.tensor([3.0]), value=0.5)
    tensor([4.])
    """
    product = multiply(x1, x2)
    return add(x, product if is_one(value) else multiply(product, value))


@method(in_place=True)
@checked(words={"tensor1": "x1", "tensor2": "x2"})
def addcdiv(x: Any, x1: Any, x2: Any, /, *, value: Any = 1) -> Tensor:
    """`x + value * x1 / x2`.

    >>> import gradengine as ge
    >>> ge.addcdiv(ge.tensor([1.0]), ge.tensor([3.0]), ge.tensor([2.0]))
    tensor([2.5])
    """
    return add(x, divide(x1 if is_one(value) else multiply(x1, value), x2))


@method(in_place=True)
@checked
def frac(x: Any, /) -> Tensor:
    """What is behind the point, with the sign of x: `x - trunc(x)`.

    >>> import gradengine as ge
    >>> ge.frac(ge.tensor([1.5, -2.25]))
    tensor([ 0.5 , -0.25])
    """
    return subtract(x, trunc(x))


@method(in_place=True)
@checked
def fmod(x1: Any, x2: Any, /) -> Tensor:
    """The remainder of a division rounded towards 0: it has the sign of x1 (`remainder` has that of x2).

    >>> import gradengine as ge
    >>> ge.fmod(ge.tensor([5.0, -5.0]), 3)
    tensor([ 2., -2.])
    """
    a, b = operands("fmod", x1, x2)
    below = less(a, 0)
    rest = remainder(where(below, negative(a), a), abs(b))
    return where(below, negative(rest), rest)


@method(in_place=True)
@checked
def nan_to_num(x: Any, /, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """`x` with NaN as `nan` (0 for None) and infinities as `posinf` and `neginf` (the ends of the dtype for None).

    What is replaced has gradient 0.

    >>> import gradengine as ge
    >>> ge.nan_to_num(ge.tensor([float("nan"), 1.0]))
    tensor([0., 1.])
    """
    x = wrap(x, None, "nan_to_num")
    if not is_floating(x.dtype):
        return x
    ends = finfo(x.dtype)
    high, low = (float(ends.max) if posinf is None else posinf), (float(ends.min) if neginf is None else neginf)
    infinite = isinf(x)
    positive = logical_and(infinite, greater(x, 0))
    plain = where(isfinite(x), x, 0.0)
    return where(isnan(x), 0.0 if nan is None else nan, where(positive, high, where(infinite, low, plain)))


@method(in_place=True)
@checked
def logit(x: Any, /, eps: float | None = None) -> Tensor:
    """`log(x / (1 - x))`, the inverse of `sigmoid`; with `eps`, x is held between eps and 1 - eps first.

    >>> import gradengine as ge
    >>> ge.logit(ge.tensor([0.5, 0.9]))
    tensor([0.    , 2.1972])
    """
    x = wrap(x, None, "logit")
    if eps is not None:
        if not 0 <= eps <= 0.5:
            raise ArgumentError(f"logit: eps must be from 0 to 0.5, got {eps}")
        x = clip(x, eps, 1 - eps)
    return subtract(log(x), log1p(multiply(x, -1)))


@method(in_place=True)
@checked
def xlogy(x1: Any, x2: Any, /) -> Tensor:
    """`x1 * log(x2)`, and 0 where x1 is 0, unless x2 is NaN.

    >>> import gradengine as ge
    >>> ge.xlogy(ge.tensor([0.0, 2.0]), ge.tensor([0.0, 1.0]))
    tensor([0., 0.])
    """
    a, b = in_floats(*operands("xlogy", x1, x2))
    nothing = logical_and(equal(a, 0), logical_or(less_equal(b, 0), isinf(b)))
    return where(nothing, 0.0, multiply(a, log(where(nothing, 1.0, b))))


def in_floats(*values: Any) -> list[Any]:
    """Arrays in the widest of their floating-point dtypes, before a function of one is taken that would round."""
    known = [x.dtype for x in values if isinstance(x, Tensor) and is_floating(x.dtype)]
    if not known:
        return list(values)
    wanted = result_type(*known)
    return [x.to(wanted) if isinstance(x, Tensor) else x for x in values]


@method(in_place=True)
@checked(words={"exponent": "x2"})
def float_power(x1: Any, x2: Any, /) -> Tensor:
    """`x1 ** x2` in float64, as in NumPy and PyTorch.

    >>> import gradengine as ge
    >>> ge.float_power(ge.tensor([2, 3]), 2)
    tensor([4., 9.], dtype=float64)
    """
    return pow(in_float64(x1), in_float64(x2))


def in_float64(x: Any) -> Any:
    """An array in double precision; a number as it is."""
    return float(x) if isinstance(x, (int, float)) else wrap(x, None, "float_power").to("float64")


@method
@checked
def fmax(x1: Any, x2: Any, /) -> Tensor:
    """The larger of two values, the other one where one is NaN.

    >>> import gradengine as ge
    >>> ge.fmax(ge.tensor([1.0, float("nan")]), 0)
    tensor([1., 0.])
    """
    a, b = operands("fmax", x1, x2)
    return where(isnan(a), b, where(isnan(b), a, maximum(a, b)))


@method
@checked
def fmin(x1: Any, x2: Any, /) -> Tensor:
    """The smaller of two values, the other one where one is NaN.

    >>> import gradengine as ge
    >>> ge.fmin(ge.tensor([1.0, float("nan")]), 0)
    tensor([0., 0.])
    """
    a, b = operands("fmin", x1, x2)
    return where(isnan(a), b, where(isnan(b), a, minimum(a, b)))


@method(in_place=True)
@checked
def deg2rad(x: Any, /) -> Tensor:
    """Degrees as radians.

    >>> import gradengine as ge
    >>> ge.deg2rad(ge.tensor([180.0]))
    tensor([3.1416])
    """
    return multiply(x, math.pi / 180)


@method(in_place=True)
@checked
def rad2deg(x: Any, /) -> Tensor:
    """Radians as degrees.

    >>> import gradengine as ge
    >>> ge.rad2deg(ge.tensor([ge.pi]))
    tensor([180.])
    """
    return multiply(x, 180 / math.pi)


@method
@checked
def isposinf(x: Any, /) -> Tensor:
    """Whether each element is infinite and positive.

    >>> import gradengine as ge
    >>> ge.isposinf(ge.tensor([ge.inf, -ge.inf, 1.0]))
    tensor([ True, False, False])
    """
    return logical_and(isinf(x), greater(x, 0))


@method
@checked
def isneginf(x: Any, /) -> Tensor:
    """Whether each element is infinite and negative.

    >>> import gradengine as ge
    >>> ge.isneginf(ge.tensor([ge.inf, -ge.inf, 1.0]))
    tensor([False,  True, False])
    """
    return logical_and(isinf(x), less(x, 0))


@method
@checked
def isreal(x: Any, /) -> Tensor:
    """True for each element: there are no complex numbers here.

    >>> import gradengine as ge
    >>> ge.isreal(ge.tensor([1.0, 2.0]))
    tensor([ True,  True])
    """
    from .creation import ones_like

    return ones_like(x, dtype="bool")


@method(in_place=True)
@checked(words={"values": "x2"})
def heaviside(x1: Any, x2: Any, /) -> Tensor:
    """0 where x1 is negative, 1 where it is positive, x2 where it is 0. It has no gradient.

    >>> import gradengine as ge
    >>> ge.heaviside(ge.tensor([-1.0, 0.0, 2.0]), ge.tensor(0.5))
    tensor([0. , 0.5, 1. ])
    """
    a, b = [t.detach() for t in operands("heaviside", x1, x2)]
    step = where(greater(a, 0), 1, where(less(a, 0), 0, b))
    return where(isnan(a), a, step)


@method
@checked
def logaddexp2(x1: Any, x2: Any, /) -> Tensor:
    """`log2(2**x1 + 2**x2)`, computed so that it does not overflow.

    >>> import gradengine as ge
    >>> ge.logaddexp2(ge.tensor([1.0]), ge.tensor([1.0]))
    tensor([2.])
    """
    two = math.log(2)
    x1, x2 = in_floats(*operands("logaddexp2", x1, x2))
    return divide(logaddexp(multiply(x1, two), multiply(x2, two)), two)


@method(in_place=True)
@checked
def ldexp(x1: Any, x2: Any, /) -> Tensor:
    """`x1 * 2**x2`.

    >>> import gradengine as ge
    >>> ge.ldexp(ge.tensor([1.0, 3.0]), ge.tensor([2.0, 1.0]))
    tensor([4., 6.])
    """
    a, b = operands("ldexp", x1, x2)
    if not is_floating(b.dtype):
        b = b.to(a.dtype if is_floating(a.dtype) else get_default_dtype())
    return multiply(a, exp2(b))
