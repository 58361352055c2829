"""Pointwise arithmetic: sums and products, rounding, choosing, casting.

Names are the array API standard's, else NumPy's. Operands broadcast as in NumPy and promote as `dtypes.promoted` says:
a number takes the other operand's dtype. Gradients at kinks are PyTorch's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.tensor_class import Tensor, wrap
from ..shapes.dtypes import check_dtype, is_floating
from ..validation import known_words
from . import loop_forms, pytorch_forms
from .arguments import checked
from .declare import elementwise, primitive
from .tensor_methods import method, methods

__all__ = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "negative",
    "positive",
    "abs",
    "sign",
    "copysign",
    "floor",
    "ceil",
    "trunc",
    "round",
    "remainder",
    "floor_divide",
    "maximum",
    "minimum",
    "clip",
    "where",
    "astype",
    "sub",
    "mul",
    "div",
    "neg",
    "clamp",
    "absolute",
    "fix",
    "true_divide",
]


def flat(k: Any, g: Any, y: Any, *inputs: Any) -> Any:
    """The gradient of a function that is constant nearly everywhere: 0, even where g is infinite or NaN."""
    return k.where(k.less(g, g), g, 0)


# -- sums and products --------------------------------------------------------------------------------------------

add = elementwise(
    "add",
    lambda k, g, y, a, b: g,
    lambda k, g, y, a, b: g,
    form=pytorch_forms.add(1),
    doc="""The sum, `x1 + x2`. Raises ShapeError when the shapes do not broadcast.

    >>> import gradengine as ge
    >>> ge.add(ge.tensor([1.0, 2.0]), 10)
    tensor([11., 12.])
    """,
    method=True,
)

subtract = elementwise(
    "subtract",
    lambda k, g, y, a, b: g,
    lambda k, g, y, a, b: -g,
    form=pytorch_forms.add(-1),
    doc="""The difference, `x1 - x2`.

    >>> import gradengine as ge
    >>> ge.subtract(ge.tensor([1.0, 2.0]), 10)
    tensor([-9., -8.])
    """,
    method=True,
)

multiply = elementwise(
    "multiply",
    lambda k, g, y, a, b: g * b,
    lambda k, g, y, a, b: g * a,
    doc="""The product, `x1 * x2`, element by element.

    >>> import gradengine as ge
    >>> ge.multiply(ge.tensor([1.0, 2.0]), ge.tensor([[3.0], [4.0]]))
    tensor([[3., 6.],
            [4., 8.]])
    """,
    method=True,
)

divide = elementwise(
    "divide",
    lambda k, g, y, a, b: g / b,
    lambda k, g, y, a, b: -g * (y / b),
    form=pytorch_forms.divide,
    doc="""The quotient, `x1 / x2`; integers give floats.

    >>> import gradengine as ge
    >>> ge.divide(ge.tensor([1.0, 2.0]), 4)
    tensor([0.25, 0.5 ])
    """,
    method=True,
)

negative = elementwise(
    "negative",
    lambda k, g, y, x: -g,
    doc="""The value with its sign changed, `-x`.

    >>> import gradengine as ge
    >>> ge.negative(ge.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """,
    method=True,
)

positive = elementwise(
    "positive",
    lambda k, g, y, x: g,
    doc="""The value as it is, `+x`.

    >>> import gradengine as ge
    >>> ge.positive(ge.tensor([1.0, -2.0]))
    tensor([ 1., -2.])
    """,
    any_precision=True,
    method=True,
)

abs = elementwise(
    "abs",
    lambda k, g, y, x: g * k.sign(x),
    doc="""The absolute value; its gradient at 0 is 0.

    >>> import gradengine as ge
    >>> ge.abs(ge.tensor([1.0, -2.0]))
    tensor([1., 2.])
    """,
    method=True,
)

sign = elementwise(
    "sign",
    flat,
    doc="""-1, 0 or 1, as the value is negative, zero or positive; NaN stays NaN.

    >>> import gradengine as ge
    >>> ge.sign(ge.tensor([3.0, 0.0, -2.0]))
    tensor([ 1.,  0., -1.])
    """,
    method=True,
)

copysign = elementwise(
    "copysign",
    lambda k, g, y, a, b: g * (k.sign(a) * k.sign(y)),
    flat,
    doc="""The magnitude of `x1` with the sign of `x2`, that of a zero included.

    >>> import gradengine as ge
    >>> ge.copysign(ge.tensor([1.0, 2.0]), ge.tensor([-3.0, 0.0]))
    tensor([-1.,  2.])
    """,
    method=True,
)


# -- rounding -----------------------------------------------------------------------------------------------------

floor = elementwise(
    "floor",
    flat,
    doc="""The largest whole number that is not above `x`; its gradient is 0.

    >>> import gradengine as ge
    >>> ge.floor(ge.tensor([1.5, -1.5]))
    tensor([ 1., -2.])
    """,
    method=True,
)

ceil = elementwise(
    "ceil",
    flat,
    doc="""The smallest whole number that is not below `x`; its gradient is 0.

    >>> import gradengine as ge
    >>> ge.ceil(ge.tensor([1.5, -1.5]))
    tensor([ 2., -1.])
    """,
    method=True,
)

trunc = elementwise(
    "trunc",
    flat,
    doc="""The whole number next to `x` towards 0; its gradient is 0.

    >>> import gradengine as ge
    >>> ge.trunc(ge.tensor([1.5, -1.5]))
    tensor([ 1., -1.])
    """,
    method=True,
)

round = elementwise(
    "round",
    flat,
    form=pytorch_forms.rounded,
    doc="""The nearest whole number, of two the even one; its gradient is 0. `decimals` keeps digits behind the point.

    >>> import gradengine as ge
    >>> ge.round(ge.tensor([0.5, 1.5, -1.7]))
    tensor([ 0.,  2., -2.])
    """,
    method=True,
)

remainder = elementwise(
    "remainder",
    lambda k, g, y, a, b: g,
    lambda k, g, y, a, b: -g * k.floor_divide(a, b),
    doc="""What division leaves, `x1 - floor(x1 / x2) * x2`: it has the sign of the divisor, as Python's `%`.

    >>> import gradengine as ge
    >>> ge.remainder(ge.tensor([5.0, -5.0]), 3)
    tensor([2., 1.])
    """,
    method=True,
)

floor_divide = elementwise(
    "floor_divide",
    None,
    None,
    doc="""The quotient rounded down, as Python's `//`. It has no gradient.

    >>> import gradengine as ge
    >>> ge.floor_divide(ge.tensor([5.0, -5.0]), 3)
    tensor([ 1., -2.])
    """,
    method=True,
)


# -- choosing -----------------------------------------------------------------------------------------------------


def maximum_rule(k: Any, g: Any, own: Any, other: Any) -> Any:
    """g where `own` wins, half of it where both are equal."""
    return k.where(k.equal(own, other), g / 2, k.where(k.less(own, other), 0, g))


def minimum_rule(k: Any, g: Any, own: Any, other: Any) -> Any:
    """g where `own` wins, half of it where both are equal."""
    return k.where(k.equal(own, other), g / 2, k.where(k.greater(own, other), 0, g))


maximum = elementwise(
    "maximum",
    lambda k, g, y, a, b: maximum_rule(k, g, a, b),
    lambda k, g, y, a, b: maximum_rule(k, g, b, a),
    doc="""The larger of two values, NaN if one is. Equal values share the gradient.

    >>> import gradengine as ge
    >>> ge.maximum(ge.tensor([1.0, 5.0]), 3)
    tensor([3., 5.])
    """,
    method=True,
)

minimum = elementwise(
    "minimum",
    lambda k, g, y, a, b: minimum_rule(k, g, a, b),
    lambda k, g, y, a, b: minimum_rule(k, g, b, a),
    doc="""The smaller of two values, NaN if one is. Equal values share the gradient.

    >>> import gradengine as ge
    >>> ge.minimum(ge.tensor([1.0, 5.0]), 3)
    tensor([1., 3.])
    """,
    method=True,
)

at_least = elementwise(
    "at_least",
    lambda k, g, y, x, bound: k.where(k.greater_equal(x, bound), g, 0),
    lambda k, g, y, x, bound: k.where(k.less(x, bound), g, 0),
    body=lambda k, x, bound: k.maximum(x, bound),
    shown="clip",
    doc="`x1`, or `x2` where that is larger; on the bound the gradient is that of `x1`. `clip` uses it.",
)

at_most = elementwise(
    "at_most",
    lambda k, g, y, x, bound: k.where(k.less_equal(x, bound), g, 0),
    lambda k, g, y, x, bound: k.where(k.greater(x, bound), g, 0),
    body=lambda k, x, bound: k.minimum(x, bound),
    shown="clip",
    doc="`x1`, or `x2` where that is smaller; on the bound the gradient is that of `x1`. `clip` uses it.",
)


def clip_rule(k: Any, g: Any, y: Any, x: Any, min: Any = None, max: Any = None) -> Any:
    """g between the bounds and on them."""
    if min is None:
        return k.where(k.less_equal(x, max), g, 0)
    if max is None:
        return k.where(k.greater_equal(x, min), g, 0)
    return k.where(k.logical_and(k.greater_equal(x, min), k.less_equal(x, max)), g, 0)


def clip_body(k: Any, x: Any, min: Any = None, max: Any = None) -> Any:
    """Where the bounds cross, `max` wins, as in NumPy."""
    if min is not None:
        x = k.maximum(x, min)
    return x if max is None else k.minimum(x, max)


clip_to_numbers = elementwise("clip", clip_rule, body=clip_body)


@method(in_place=True)
@checked
def clip(x: Any, /, min: Any = None, max: Any = None) -> Tensor:
    """`x` held between two bounds: numbers, arrays that broadcast with it, or None for no bound.

    On a bound the gradient is that of `x`, beyond it that of the bound. Where the bounds cross, `max` wins.

    >>> import gradengine as ge
    >>> ge.clip(ge.tensor([-2.0, 0.5, 2.0]), -1, 1)
    tensor([-1. ,  0.5,  1. ])
    """
    min, max = as_number(min), as_number(max)
    if is_number(min) and is_number(max):
        return positive(x) if min is None and max is None else clip_to_numbers(x, min=min, max=max)
    if min is not None:
        x = at_least(x, min)
    return x if max is None else at_most(x, max)


def as_number(bound: Any) -> Any:
    """A NumPy number as Python's, which takes the dtype of the array that it meets."""
    return bound.item() if isinstance(bound, np.generic) else bound


def is_number(bound: Any) -> bool:
    """Whether a bound can be metadata."""
    return bound is None or isinstance(bound, int | float)


where = elementwise(
    "where",
    None,
    lambda k, g, y, c, a, b: k.where(c, g, 0),
    lambda k, g, y, c, a, b: k.where(c, 0, g),
    words={"condition": "x1", "input": "x2", "other": "x3", "x": "x2", "y": "x3"},
    form=pytorch_forms.where,
    doc="""`x2` where the condition `x1` holds, else `x3`; the gradient goes to the one that was taken.

    With the condition alone it is `nonzero`, as in NumPy and PyTorch.

    >>> import gradengine as ge
    >>> x = ge.tensor([-1.0, 2.0])
    >>> ge.where(x > 0, x, 0.1 * x)
    tensor([-0.1,  2. ])
    """,
)


# What PyTorch or NumPy calls them besides.
sub, mul, div, neg, clamp, absolute, fix = subtract, multiply, divide, negative, clip, abs, trunc
methods(absolute=abs, fix=trunc)
true_divide = divide
methods(true_divide=divide)


# -- casting ------------------------------------------------------------------------------------------------------


@primitive(lambda k, g, y, x, dtype: g, name="astype", any_precision=True, loop_form=loop_forms.cast)
def cast_array(x, /, dtype):
    """The op behind `astype`."""


@method
@known_words
def astype(x: Any, /, dtype: Any, *, copy: bool = True, device: Any = None) -> Tensor:
    """`x` in another dtype; gradients flow back in the dtype of `x`, and none through integers and bools.

    With `copy=False` it is x itself where x has that dtype already; `device` moves it, too.

    Raises DTypeError for a dtype that the engine does not compute with.

    >>> import gradengine as ge
    >>> ge.astype(ge.tensor([1.5, -1.5]), ge.int64)
    tensor([ 1, -1])
    """
    wanted = check_dtype(dtype, "astype")
    if device is not None:
        x = wrap(x).to(device=device) if not isinstance(x, Tensor) else x.to(device=device)
    if not copy and isinstance(x, Tensor) and x.dtype == wanted:
        return x
    return cast_array(x.detach() if not is_floating(wanted) and isinstance(x, Tensor) else x, dtype=wanted)


methods(sub=subtract, mul=multiply, div=divide, neg=negative)
methods(in_place=True, clamp=clip)
