"""Reductions, with gradients right to every order, also at zeros, ties and NaN.

Names are the array API standard's, then NumPy's, then PyTorch's. `axis` is None (all), an int or a tuple of ints;
`keepdims` leaves reduced axes with size 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import shapes
from ..shapes.dtypes import is_floating, is_half
from . import loop_forms, pytorch_forms
from .declare import composite, primitive
from .pairs import values_alone
from .tensor_methods import methods

__all__ = [
    "sum", "mean", "prod", "max", "min", "amax", "amin", "var", "std", "logsumexp", "vector_norm", "norm", "argmax",
    "argmin", "any", "all", "count_nonzero", "trace",
]  # fmt: skip


def regrow(k: Any, g: Any, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """A reduction's cotangent (or output) with the reduced axes back as size 1; a scalar broadcasts as it is."""
    if keepdims or axis is None or not shape:
        return g
    axes = (axis % len(shape),) if type(axis) is int else shapes.axes_of("axis", axis, len(shape))
    return k.reshape(g, shape=tuple([1 if i in axes else n for i, n in enumerate(shape)]))


def reduced_size(shape: tuple[int, ...], axis: Any) -> int:
    """How many elements go into each result; at least 1, so that it can divide."""
    if axis is None or not shape:
        return math.prod(shape) or 1
    return math.prod([shape[a] for a in (axis if isinstance(axis, tuple) else (axis,))]) or 1


def sum_rule(k: Any, g: Any, y: Any, x: Any, axis: Any, keepdims: bool, dtype: Any) -> Any:
    """g for every element; nothing flows through a sum that was rounded to integers."""
    if dtype is not None and not is_floating(np.dtype(dtype)):
        g = g * 0.0
    return k.broadcast_to(regrow(k, g, x.shape, axis, keepdims), shape=x.shape)


@primitive(sum_rule, shape=shapes.reduction, precision="high", method=True, loop_form=loop_forms.total)
def sum(x, /, axis=None, keepdims=False, dtype=None):
    """The sum of the elements along `axis`; 0 where there are none.

    Integers and bools are summed as int64 (NumPy's rule), half precision in single precision; `dtype` asks for
    another type. Raises ShapeError for an axis that `x` does not have.

    >>> import gradengine as ge
    >>> ge.sum(ge.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    tensor([4., 6.])
    """


@primitive(
    lambda k, g, y, x, axis, keepdims: k.broadcast_to(
        regrow(k, g, x.shape, axis, keepdims) / reduced_size(x.shape, axis), shape=x.shape
    ),
    shape=shapes.reduction,
    form=pytorch_forms.mean,
    precision="high",
    method=True,
    loop_form=loop_forms.mean,
)
def mean(x, /, axis=None, keepdims=False):
    """The mean of the elements along `axis`; NaN where there are none. Integers give the default dtype.

    Raises ShapeError for an axis that `x` does not have.

    >>> import gradengine as ge
    >>> ge.mean(ge.tensor([[1.0, 2.0], [3.0, 6.0]]), axis=1, keepdims=True)
    tensor([[1.5],
            [4.5]])
    """


def prod_rule(k: Any, g: Any, y: Any, x: Any, axis: Any, keepdims: bool, dtype: Any) -> Any:
    """g times the product of all other elements, which no division finds when there are zeros."""
    if dtype is not None and not is_floating(np.dtype(dtype)):
        g = g * 0.0
    g = regrow(k, g, x.shape, axis, keepdims)
    return g * k.product_of_others(x, axis=axis) if x.shape and axis != () else g


@primitive(prod_rule, shape=shapes.reduction, precision="high", method=True)
def prod(x, /, axis=None, keepdims=False, dtype=None):
    """The product of the elements along `axis`; 1 where there are none.

    Raises ShapeError for an axis that `x` does not have.

    >>> import gradengine as ge
    >>> x = ge.tensor([2.0, 0.0, 4.0], requires_grad=True)
    >>> ge.prod(x).backward()
    >>> x.grad
    tensor([0., 8., 0.])
    """


@composite
def product_of_others(k, x, /, axis=None):
    """For each element, the product of all others along `axis`: the gradient of `prod`.

    Raises ShapeError for an axis that `x` does not have.

    >>> import gradengine as ge
    >>> ge.ops.product_of_others(ge.tensor([2.0, 0.0, 4.0]))
    tensor([0., 8., 0.])
    """
    axes = shapes.axes_of("product_of_others", axis, len(x.shape))
    kept = tuple([i for i in range(len(x.shape)) if i not in axes])
    order = kept + axes
    moved = tuple([x.shape[i] for i in order])
    flat = k.reshape(k.permute_dims(x, axes=order), shape=moved[: len(kept)] + (math.prod(moved[len(kept) :]),))
    before = product_of_those_before(k, flat)
    after = k.flip(product_of_those_before(k, k.flip(flat, axis=-1)), axis=-1)
    inverse = tuple([order.index(i) for i in range(len(order))])
    return k.permute_dims(k.reshape(before * after, shape=moved), axes=inverse)


def shifted(k: Any, x: Any, step: int, fill: float) -> Any:
    """The last axis moved up by `step`, with `fill` in the places set free."""
    n = x.shape[-1]
    width = ((0, 0),) * (len(x.shape) - 1) + ((step, 0),)
    return k.pad(k.narrow(x, axis=-1, start=0, length=n - step), pad_width=width, constant_values=fill)


def product_of_those_before(k: Any, x: Any) -> Any:
    """For each element, the product of those before it on the last axis, in log2(n) passes of plain products."""
    n = x.shape[-1]
    if n == 0:
        return x
    y, step = shifted(k, x, 1, 1.0), 1
    while step < n:
        y = y * shifted(k, y, step, 1.0)
        step *= 2
    return y


def count(k: Any, mask: Any, axis: Any, dtype: np.dtype[Any]) -> Any:
    """How many elements are marked, in a dtype that can hold it: half precision counts in float32."""
    return k.sum(mask, axis=axis, keepdims=True, dtype=np.dtype(np.float32) if is_half(dtype) else dtype)


def extremum_rule(k: Any, g: Any, y: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """g shared evenly by the elements equal to the result, as torch.amax does."""
    mask = k.equal(x, regrow(k, y, x.shape, axis, keepdims))
    shares = count(k, mask, axis, g.dtype)
    return mask * (regrow(k, g, x.shape, axis, keepdims) / shares)


@primitive(
    extremum_rule,
    shape=shapes.extremum,
    form=pytorch_forms.extremum("max"),
    mark=values_alone,
    method=True,
    loop_form=loop_forms.extreme("max"),
)
def max(x, /, axis=None, keepdims=False):
    """The largest element along `axis`, NaN where there is one; equal largest elements share the gradient evenly.

    Raises ShapeError for an axis that `x` does not have, or along which it has no elements.

    >>> import gradengine as ge
    >>> x = ge.tensor([1.0, 3.0, 3.0], requires_grad=True)
    >>> ge.max(x).backward()
    >>> x.grad
    tensor([0. , 0.5, 0.5])
    """


@primitive(
    extremum_rule,
    shape=shapes.extremum,
    form=pytorch_forms.extremum("min"),
    mark=values_alone,
    method=True,
    loop_form=loop_forms.extreme("min"),
)
def min(x, /, axis=None, keepdims=False):
    """The smallest element along `axis`, NaN where there is one; equal smallest elements share the gradient evenly.

    Raises ShapeError for an axis that `x` does not have, or along which it has no elements.

    >>> import gradengine as ge
    >>> ge.min(ge.tensor([[1.0, 3.0], [2.0, 0.0]]), axis=-1)
    tensor([1., 0.])
    """


@composite(method=True)
def amax(k, x, /, axis=None, keepdims=False):
    """The largest element along `axis`, as `max`; given as `dim`, too, it gives the values alone.

    Raises ShapeError for an axis that `x` does not have, or along which it has no elements.

    >>> import gradengine as ge
    >>> ge.amax(ge.tensor([[1.0, 3.0], [2.0, 0.0]]), dim=1)
    tensor([3., 2.])
    """
    return k.max(x, axis=axis, keepdims=keepdims)


@composite(method=True)
def amin(k, x, /, axis=None, keepdims=False):
    """The smallest element along `axis`, as `min`; given as `dim`, too, it gives the values alone.

    Raises ShapeError for an axis that `x` does not have, or along which it has no elements.

    >>> import gradengine as ge
    >>> ge.amin(ge.tensor([[1.0, 3.0], [2.0, 0.0]]), dim=1)
    tensor([1., 0.])
    """
    return k.min(x, axis=axis, keepdims=keepdims)


def deviation(k: Any, x: Any, axis: Any) -> Any:
    """How far each element is from the mean."""
    return x - k.mean(x, axis=axis, keepdims=True)


def var_rule(k: Any, g: Any, y: Any, x: Any, axis: Any, correction: float, keepdims: bool) -> Any:
    """2 (x - mean) / (n - correction)."""
    freedom = reduced_size(x.shape, axis) - correction
    return regrow(k, g, x.shape, axis, keepdims) * (2 / freedom if freedom > 0 else math.nan) * deviation(k, x, axis)


@primitive(
    var_rule,
    shape=shapes.reduction,
    form=pytorch_forms.spread("var"),
    precision="high",
    method=True,
    loop_form=loop_forms.var,
)
def var(x, /, axis=None, correction=0.0, keepdims=False):
    """The variance along `axis`: the sum of squared deviations from the mean, divided by n - `correction`.

    `correction=1` gives the sample variance (PyTorch's default, not NumPy's). NaN or infinity where n is no larger.
    Raises ShapeError for an axis that `x` does not have.

    >>> import gradengine as ge
    >>> ge.var(ge.tensor([1.0, 2.0, 3.0, 4.0]), correction=1)
    tensor(1.6667)
    """


def std_rule(k: Any, g: Any, y: Any, x: Any, axis: Any, correction: float, keepdims: bool) -> Any:
    """(x - mean) / ((n - correction) y), and 0 where y is 0, as in PyTorch."""
    freedom = reduced_size(x.shape, axis) - correction
    flat = k.equal(y, 0)
    scale = k.where(flat, 0, g / (k.where(flat, 1, y) * (freedom if freedom > 0 else math.nan)))
    return regrow(k, scale, x.shape, axis, keepdims) * deviation(k, x, axis)


@primitive(std_rule, shape=shapes.reduction, form=pytorch_forms.spread("std"), precision="high", method=True)
def std(x, /, axis=None, correction=0.0, keepdims=False):
    """The standard deviation along `axis`, the root of `var`; where it is 0 its gradient is 0.

    Raises ShapeError for an axis that `x` does not have.

    >>> import gradengine as ge
    >>> ge.std(ge.tensor([[1.0, 3.0], [2.0, 8.0]]), axis=1)
    tensor([1., 3.])
    """


def logsumexp_rule(k: Any, g: Any, y: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """g exp(x - y)."""
    return regrow(k, g, x.shape, axis, keepdims) * k.exp(x - regrow(k, y, x.shape, axis, keepdims))


@primitive(logsumexp_rule, shape=shapes.reduction, precision="high", method=True, loop_form=loop_forms.logsumexp)
def logsumexp(x, /, axis=None, keepdims=False):
    """log(sum(exp(x))) along `axis`, computed so that it does not overflow; -inf where there are no elements.

    Raises ShapeError for an axis that `x` does not have.

    >>> import gradengine as ge
    >>> ge.logsumexp(ge.tensor([1000.0, 1000.0]))
    tensor(1000.6932)
    """


def norm_rule(k: Any, g: Any, y: Any, x: Any, ord: float, axis: Any, keepdims: bool) -> Any:
    """sign(x) (|x| / y)^(p-1), with PyTorch's values at the kinks: 0 where the norm, or the element, is 0."""
    g, y = regrow(k, g, x.shape, axis, keepdims), regrow(k, y, x.shape, axis, keepdims)
    if ord == 0:
        return k.broadcast_to(g * 0, shape=x.shape)
    if ord == 1:
        return g * k.sign(x)
    if math.isinf(ord):
        mask = k.equal(k.abs(x), y)
        return k.sign(x) * mask * (g / count(k, mask, axis, g.dtype))
    flat = k.equal(y, 0)
    y = k.where(flat, 1, y)
    if ord == 2:
        return k.where(flat, 0, g / y) * x
    zero = k.equal(x, 0)
    ratio = k.where(zero, 1, k.abs(x)) / y
    return k.where(k.logical_or(zero, flat), 0, g * k.sign(x) * ratio ** (ord - 1))


@primitive(norm_rule, shape=shapes.vector_norm, form=pytorch_forms.norm, precision="high")
def vector_norm(x, /, ord=2, axis=None, keepdims=False):
    """The p-norm of the vectors along `axis` (all elements for None): (sum |x|^p)^(1/p).

    `ord` is any number: 0 counts what is not 0, inf and -inf give the largest and smallest |x|. Equal extremes share
    the gradient evenly, and where the norm is 0 the gradient is 0. Integers give the default dtype. Also called `norm`.
    Raises ShapeError for an axis that `x` does not have.

    >>> import gradengine as ge
    >>> ge.vector_norm(ge.tensor([[3.0, 4.0], [6.0, 8.0]]), axis=1)
    tensor([ 5., 10.])
    """


norm = vector_norm
methods(norm=vector_norm)


@primitive(None, shape=shapes.single_axis_extremum, method=True)
def argmax(x, /, axis=None, keepdims=False):
    """The index of the (first) largest element along one axis, or in the flattened array.

    Raises ShapeError for an axis that `x` does not have, or along which it has no elements.

    >>> import gradengine as ge
    >>> ge.argmax(ge.tensor([[1.0, 5.0, 5.0], [7.0, 2.0, 0.0]]), axis=1)
    tensor([1, 0])
    """


@primitive(None, shape=shapes.single_axis_extremum, method=True)
def argmin(x, /, axis=None, keepdims=False):
    """The index of the (first) smallest element along one axis, or in the flattened array.

    Raises ShapeError for an axis that `x` does not have, or along which it has no elements.

    >>> import gradengine as ge
    >>> ge.argmin(ge.tensor([4.0, 1.0, 1.0]))
    tensor(1)
    """


@primitive(None, shape=shapes.reduction, method=True)
def any(x, /, axis=None, keepdims=False):
    """Whether any element along `axis` is not 0; False where there are none.

    Raises ShapeError for an axis that `x` does not have.

    >>> import gradengine as ge
    >>> ge.any(ge.tensor([[True, False], [False, False]]), axis=1)
    tensor([ True, False])
    """


@primitive(None, shape=shapes.reduction, method=True)
def all(x, /, axis=None, keepdims=False):
    """Whether every element along `axis` is not 0; True where there are none.

    Raises ShapeError for an axis that `x` does not have.

    >>> import gradengine as ge
    >>> ge.all(ge.tensor([[True, False], [True, True]]), axis=1)
    tensor([False,  True])
    """


@primitive(None, shape=shapes.reduction, method=True)
def count_nonzero(x, /, axis=None, keepdims=False):
    """How many elements along `axis` are not 0.

    Raises ShapeError for an axis that `x` does not have.

    >>> import gradengine as ge
    >>> ge.count_nonzero(ge.tensor([[0.0, 2.0], [3.0, 4.0]]), axis=0)
    tensor([1, 2])
    """


@composite(method=True)
def trace(k, x, /, offset=0):
    """The sum of each matrix' diagonal; the last two axes are the matrices, as in the array API.

    `offset` counts diagonals above (positive) or below the main one. Raises ShapeError below two dimensions.

    >>> import gradengine as ge
    >>> ge.trace(ge.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    shapes.matrices("trace", x.shape)
    return k.sum(k.diagonal(x, offset=offset, axis1=-2, axis2=-1), axis=-1)
