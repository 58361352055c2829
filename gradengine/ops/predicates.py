"""Pointwise comparisons, logic and bits: results that have no gradient.

Names are the array API standard's; NaN, infinity and signed zeros compare as in NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.tensor_class import Tensor, wrap
from ..errors import ArgumentError
from ..shapes.dtypes import PYTHON_SCALARS, is_floating
from ..validation import is_number
from .arguments import checked
from .declare import elementwise
from .elementwise import abs, add, multiply, subtract
from .tensor_methods import method, methods

__all__ = [
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "isclose", "allclose", "isnan", "isinf",
    "isfinite", "logical_and", "logical_or", "logical_xor", "logical_not", "bitwise_and", "bitwise_or", "bitwise_xor",
    "bitwise_invert", "bitwise_left_shift", "bitwise_right_shift", "eq", "ne", "lt", "le", "gt", "bitwise_not",
    "invert",
]  # fmt: skip

# -- comparisons --------------------------------------------------------------------------------------------------

equal = elementwise(
    "equal",
    None,
    None,
    doc="""`x1 == x2`; NaN equals nothing.

    >>> import gradengine as ge
    >>> ge.equal(ge.tensor([1.0, 2.0]), 2)
    tensor([False,  True])
    """,
    boolean=True,
)

not_equal = elementwise(
    "not_equal",
    None,
    None,
    doc="""`x1 != x2`; NaN differs from everything.

    >>> import gradengine as ge
    >>> ge.not_equal(ge.tensor([1.0, 2.0]), 2)
    tensor([ True, False])
    """,
    boolean=True,
    method=True,
)

less = elementwise(
    "less",
    None,
    None,
    doc="""`x1 < x2`; False where one is NaN.

    >>> import gradengine as ge
    >>> ge.less(ge.tensor([1.0, 2.0, 3.0]), 2)
    tensor([ True, False, False])
    """,
    boolean=True,
    method=True,
)

less_equal = elementwise(
    "less_equal",
    None,
    None,
    doc="""`x1 <= x2`; False where one is NaN.

    >>> import gradengine as ge
    >>> ge.less_equal(ge.tensor([1.0, 2.0, 3.0]), 2)
    tensor([ True,  True, False])
    """,
    boolean=True,
    method=True,
)

greater = elementwise(
    "greater",
    None,
    None,
    doc="""`x1 > x2`; False where one is NaN.

    >>> import gradengine as ge
    >>> ge.greater(ge.tensor([1.0, 2.0, 3.0]), 2)
    tensor([False, False,  True])
    """,
    boolean=True,
    method=True,
)

greater_equal = elementwise(
    "greater_equal",
    None,
    None,
    doc="""`x1 >= x2`; False where one is NaN.

    >>> import gradengine as ge
    >>> ge.greater_equal(ge.tensor([1.0, 2.0, 3.0]), 2)
    tensor([False,  True,  True])
    """,
    boolean=True,
    method=True,
)

isnan = elementwise(
    "isnan",
    None,
    doc="""Whether a value is NaN.

    >>> import gradengine as ge
    >>> ge.isnan(ge.tensor([1.0, float("nan"), float("inf")]))
    tensor([False,  True, False])
    """,
    boolean=True,
    method=True,
    in_place=False,
)

isinf = elementwise(
    "isinf",
    None,
    doc="""Whether a value is infinite, of either sign.

    >>> import gradengine as ge
    >>> ge.isinf(ge.tensor([1.0, float("nan"), float("-inf")]))
    tensor([False, False,  True])
    """,
    boolean=True,
    method=True,
    in_place=False,
)

isfinite = elementwise(
    "isfinite",
    None,
    doc="""Whether a value is neither infinite nor NaN.

    >>> import gradengine as ge
    >>> ge.isfinite(ge.tensor([1.0, float("nan"), float("inf")]))
    tensor([ True, False, False])
    """,
    boolean=True,
    method=True,
    in_place=False,
)

# -- logic: every number but 0 is true ----------------------------------------------------------------------------

logical_and = elementwise(
    "logical_and",
    None,
    None,
    doc="""Whether both values are true.

    >>> import gradengine as ge
    >>> ge.logical_and(ge.tensor([True, True, False]), ge.tensor([True, False, False]))
    tensor([ True, False, False])
    """,
    boolean=True,
    method=True,
)

logical_or = elementwise(
    "logical_or",
    None,
    None,
    doc="""Whether at least one of the values is true.

    >>> import gradengine as ge
    >>> ge.logical_or(ge.tensor([True, True, False]), ge.tensor([True, False, False]))
    tensor([ True,  True, False])
    """,
    boolean=True,
    method=True,
)

logical_xor = elementwise(
    "logical_xor",
    None,
    None,
    doc="""Whether exactly one of the values is true.

    >>> import gradengine as ge
    >>> ge.logical_xor(ge.tensor([True, True, False]), ge.tensor([True, False, False]))
    tensor([False,  True, False])
    """,
    boolean=True,
    method=True,
)

logical_not = elementwise(
    "logical_not",
    None,
    doc="""Whether a value is not true.

    >>> import gradengine as ge
    >>> ge.logical_not(ge.tensor([True, False]))
    tensor([False,  True])
    """,
    boolean=True,
    method=True,
)

# -- bits of integers; of bools, the same as logic. Floats raise DTypeError. --------------------------------------

bitwise_and = elementwise(
    "bitwise_and",
    None,
    None,
    doc="""The bits that are set in both integers, `x1 & x2`. Raises DTypeError for floats.

    >>> import gradengine as ge
    >>> ge.bitwise_and(ge.tensor([12, 10]), 6)
    tensor([4, 2])
    """,
    method=True,
)

bitwise_or = elementwise(
    "bitwise_or",
    None,
    None,
    doc="""The bits that are set in at least one of two integers, `x1 | x2`. Raises DTypeError for floats.

    >>> import gradengine as ge
    >>> ge.bitwise_or(ge.tensor([12, 10]), 6)
    tensor([14, 14])
    """,
    method=True,
)

bitwise_xor = elementwise(
    "bitwise_xor",
    None,
    None,
    doc="""The bits that are set in exactly one of two integers, `x1 ^ x2`. Raises DTypeError for floats.

    >>> import gradengine as ge
    >>> ge.bitwise_xor(ge.tensor([12, 10]), 6)
    tensor([10, 12])
    """,
    method=True,
)

bitwise_invert = elementwise(
    "bitwise_invert",
    None,
    doc="""The bits that are not set, `~x`; of bools, the opposite. Raises DTypeError for floats.

    >>> import gradengine as ge
    >>> ge.bitwise_invert(ge.tensor([0, 5]))
    tensor([-1, -6])
    """,
)

bitwise_left_shift = elementwise(
    "bitwise_left_shift",
    None,
    None,
    doc="""The bits of `x1` moved up by `x2` places, `x1 << x2`. Raises DTypeError for floats.

    >>> import gradengine as ge
    >>> ge.bitwise_left_shift(ge.tensor([1, 3]), 2)
    tensor([ 4, 12])
    """,
    method=True,
)

bitwise_right_shift = elementwise(
    "bitwise_right_shift",
    None,
    None,
    doc="""The bits of `x1` moved down by `x2` places, `x1 >> x2`. Raises DTypeError for floats.

    >>> import gradengine as ge
    >>> ge.bitwise_right_shift(ge.tensor([4, -12]), 2)
    tensor([ 1, -3])
    """,
    method=True,
)

# What PyTorch calls them besides. `ge.ge` is not among the names of `from gradengine import *`.
eq, ne, lt, le, gt, ge = equal, not_equal, less, less_equal, greater, greater_equal
methods(eq=equal, ne=not_equal, lt=less, le=less_equal, gt=greater, ge=greater_equal)
bitwise_not = invert = bitwise_invert
methods(bitwise_not=bitwise_invert)

# -- equal but for rounding ---------------------------------------------------------------------------------------


@method
@checked
def isclose(x1: Any, x2: Any, /, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Tensor:
    """`|x1 - x2| <= atol + rtol * |x2|` for each element, as `np.isclose`: equal infinities are close, NaN is not.

    With `equal_nan` NaN is close to NaN. The arrays broadcast; raises ShapeError when they do not.

    >>> import gradengine as ge
    >>> ge.isclose(ge.tensor([1.0, 1.0]), ge.tensor([1.000001, 1.1]))
    tensor([ True, False])
    """
    for name, value in (("rtol", rtol), ("atol", atol)):
        if is_number(value) and not value >= 0:
            raise ArgumentError(f"isclose: {name} must be a number >= 0, got {value}")
    x1, x2 = [
        np.asarray(x) if type(x) in PYTHON_SCALARS or isinstance(x, np.generic) else x for x in (x1, x2)
    ]  # exact, in any company
    x1 = wrap(x1, x2).detach()
    x2 = wrap(x2, x1).detach()
    if not is_floating(x2.dtype):
        x2 = multiply(x2, 1.0)  # integers would overflow, and bools know no difference
    with np.errstate(all="ignore"):  # inf - inf
        near = less_equal(abs(subtract(x1, x2)), add(multiply(abs(x2), rtol), atol))
    close = logical_or(logical_and(near, isfinite(x2)), equal(x1, x2))
    return logical_or(close, logical_and(isnan(x1), isnan(x2))) if equal_nan else close


@method
@checked
def allclose(x1: Any, x2: Any, /, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements are close, by `isclose`. Raises ShapeError for shapes that do not broadcast.

    >>> import gradengine as ge
    >>> ge.allclose(ge.tensor([0.1]) + 0.2, ge.tensor([0.3]))
    True
    """
    return bool(isclose(x1, x2, rtol, atol, equal_nan).numpy().all())
