"""Pointwise powers and roots.

A Python number for an exponent is metadata, not an operand: the rule then knows it, and squares stay squares.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.tensor_class import Tensor
from ..errors import DTypeError
from ..shapes.dtypes import is_floating
from .arguments import checked
from .declare import elementwise
from .elementwise import flat
from .tensor_methods import method

__all__ = [
    "square",
    "sqrt",
    "rsqrt",
    "reciprocal",
    "pow",
    "hypot",
]

square = elementwise(
    "square",
    lambda k, g, y, x: g * (2 * x),
    doc="""The square, `x * x`.

    >>> import gradengine as ge
    >>> ge.square(ge.tensor([1.0, -3.0]))
    tensor([1., 9.])
    """,
    precision="high",
    method=True,
)

sqrt = elementwise(
    "sqrt",
    lambda k, g, y, x: g / (2 * y),
    doc="""The square root; NaN for negative values. Its gradient at 0 is infinite.

    >>> import gradengine as ge
    >>> ge.sqrt(ge.tensor([4.0, 9.0]))
    tensor([2., 3.])
    """,
    method=True,
)

rsqrt = elementwise(
    "rsqrt",
    lambda k, g, y, x: g * (-0.5 * (y * y * y)),
    body=lambda k, x: 1 / k.sqrt(x),
    doc="""The reciprocal of the square root, `1 / sqrt(x)`.

    >>> import gradengine as ge
    >>> ge.rsqrt(ge.tensor([4.0, 0.25]))
    tensor([0.5, 2. ])
    """,
    precision="high",
    method=True,
)

reciprocal = elementwise(
    "reciprocal",
    lambda k, g, y, x: -g * (y * y),
    doc="""The reciprocal, `1 / x`.

    >>> import gradengine as ge
    >>> ge.reciprocal(ge.tensor([4.0, -0.5]))
    tensor([ 0.25, -2.  ])
    """,
    precision="high",
    method=True,
)


def pow_base(k: Any, g: Any, y: Any, a: Any, b: Any) -> Any:
    """b a^(b-1), and 0 where b is 0: a^0 is 1 whatever a is. There the power is never taken, as it may be infinite."""
    constant = k.equal(b, 0)
    return k.where(constant, 0, g * (b * k.pow(a, k.where(constant, 1.0, b - 1))))


def pow_exponent(k: Any, g: Any, y: Any, a: Any, b: Any) -> Any:
    """a^b log a, and 0 where 0 is raised to what is not negative. The 1 there has the dtype of y: a may be a number."""
    constant = k.logical_and(k.equal(a, 0), k.greater_equal(b, 0))
    return k.where(constant, 0, g * (y * k.log(k.where(constant, k.maximum(y, 1.0), a))))


def power_by_scalar_rule(k: Any, g: Any, y: Any, x: Any, exponent: Any) -> Any:
    """n x^(n-1). The int 0 is known before anything runs, be it on arrays or symbols."""
    if type(exponent) is int and exponent == 0:
        return flat(k, g, y)
    return g * (exponent * k.pow(x, exponent - 1))


power = elementwise("pow", pow_base, pow_exponent, precision="high")

power_by_scalar = elementwise(
    "power_by_scalar",
    power_by_scalar_rule,
    body=lambda k, x, exponent: k.pow(x, exponent),
    shown="pow",
    doc="""`x` to the power of one Python number, which is no operand but metadata; `pow` chooses it.

    >>> import gradengine as ge
    >>> ge.ops.powers.power_by_scalar(ge.tensor([2.0, -2.0]), exponent=3)
    tensor([ 8., -8.])
    """,
    precision="high",
)


def power_of(x1: Any, x2: Any) -> Any:
    """`x1 ** x2` as the operator has it: `pow` without its other words."""
    if isinstance(x2, np.number):
        x2 = x2.item()
    if (type(x2) is int or type(x2) is float) and isinstance(x1, Tensor):
        floating = is_floating(x1.dtype)
        if x2 == 2 and (floating or (type(x2) is int and x1.dtype.kind != "b")):
            return square(x1)
        if floating:
            # A whole exponent is known to be one when rules run on symbols, and becomes products there.
            return power_by_scalar(x1, exponent=int(x2) if type(x2) is float and x2.is_integer() else x2)
        if x2 < 0 and type(x2) is int:
            raise DTypeError(
                f"pow: {x1.dtype} to the power {x2} is no integer; convert the base, for example with .to(ge.float32)"
            )
    return power(x1, x2)


@method(in_place=True)
@checked(words={"exponent": "x2"})
def pow(x1: Any, x2: Any, /) -> Tensor:
    """`x1` to the power `x2`; NaN for a negative number to a fractional power.

    Integers to a Python float's power have the default floating dtype, 2.0 included.
    Raises DTypeError for an integer to a negative integer power.

    >>> import gradengine as ge
    >>> ge.pow(ge.tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    >>> 2 ** ge.tensor([1.0, 2.0, 3.0])
    tensor([2., 4., 8.])
    """
    return power_of(x1, x2)


hypot = elementwise(
    "hypot",
    lambda k, g, y, a, b: g * (a / y),
    lambda k, g, y, a, b: g * (b / y),
    doc="""`sqrt(x1**2 + x2**2)` without overflow on the way. Its gradient at (0, 0) is NaN.

    >>> import gradengine as ge
    >>> ge.hypot(ge.tensor([3.0, 3e30]), ge.tensor([4.0, 4e30]))
    tensor([5.e+00, 5.e+30])
    """,
    method=True,
)
