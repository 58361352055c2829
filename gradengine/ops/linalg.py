"""Products: matmul, vecdot, outer, tensordot, linear. `einsum` is in `contractions`."""

from __future__ import annotations

import math
from typing import Any

from .. import shapes
from ..core.tensor_class import Tensor
from . import loop_forms
from .arguments import checked
from .declare import composite, primitive

__all__ = ["matmul", "vecdot", "outer", "tensordot", "linear"]


def rows(k: Any, x: Any) -> Any:
    """All axes but the last as one."""
    return x if x.ndim == 2 else k.reshape(x, shape=(math.prod(x.shape[:-1]), x.shape[-1]))


def matmul_grad_a(k: Any, g: Any, y: Any, a: Any, b: Any) -> Any:
    """The cotangent of the left operand."""
    if b.ndim == 1:
        return (k.expand_dims(g, axis=-1) if g.ndim else g) * b
    if a.ndim == 1:
        g = k.expand_dims(g, axis=-2)
    d = k.matmul(g, k.matrix_transpose(b))
    return k.reshape(d, shape=d.shape[:-2] + d.shape[-1:]) if a.ndim == 1 else d


def matmul_grad_b(k: Any, g: Any, y: Any, a: Any, b: Any) -> Any:
    """The cotangent of the right operand."""
    if a.ndim == 1:
        return a * g if b.ndim == 1 else k.expand_dims(a, axis=-1) * k.expand_dims(g, axis=-2)
    if b.ndim == 1:  # contract all rows at once, as for one matrix
        return k.matmul(k.reshape(g, shape=(math.prod(g.shape),)), rows(k, a))
    if b.ndim == 2 and a.ndim > 2:
        a, g = rows(k, a), rows(k, g)
    return k.matmul(k.matrix_transpose(a), g)


@primitive(matmul_grad_a, matmul_grad_b, shape=shapes.matmul, precision="low", method=True, loop_form=loop_forms.matmul)
def matmul(x1, x2, /):
    """Matrix product over the last two axes; the axes before them broadcast.

    (..., m, n) @ (..., n, p) gives (..., m, p). A 1-d operand is a row on the left or a column on the right, and its
    axis is missing from the result. Raises ShapeError for 0-d operands and for sizes that do not fit.

    >>> import gradengine as ge
    >>> ge.matmul(ge.tensor([[1.0, 2.0], [3.0, 4.0]]), ge.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """


def last_axis(axis: int, ndim: int) -> int:
    """The axis counted from the end, so that it names the same axis in a broader array."""
    return axis if axis < 0 else axis - ndim


def vecdot_grad(k: Any, g: Any, x: Any, other: Any, axis: int) -> Any:
    """The cotangent of `x` in a dot product with `other`."""
    source, target = last_axis(axis, other.ndim), last_axis(axis, x.ndim)
    if source != -1:
        other = k.moveaxis(other, source=source, destination=-1)
    d = k.expand_dims(g, axis=-1) * other if g.ndim else g * other
    return d if target == -1 else k.moveaxis(d, source=-1, destination=target)


@primitive(
    lambda k, g, y, x1, x2, axis: vecdot_grad(k, g, x1, x2, axis),
    lambda k, g, y, x1, x2, axis: vecdot_grad(k, g, x2, x1, axis),
    shape=shapes.vecdot,
    precision="low",
    loop_form=loop_forms.vecdot,
)
def vecdot(x1, x2, /, axis=-1):
    """Dot products of the vectors along `axis`; the other axes broadcast.

    Raises ShapeError when the vectors differ in length or the other axes do not broadcast.

    >>> import gradengine as ge
    >>> ge.vecdot(ge.tensor([[1.0, 2.0], [3.0, 4.0]]), ge.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """


@composite(words={"vec2": "x2"}, method=True)
def outer(k, x1, x2, /):
    """Every element of `x1` times every element of `x2`: shape (x1.size, x2.size). Both are flattened, as in NumPy.

    >>> import gradengine as ge
    >>> ge.outer(ge.tensor([1.0, 2.0]), ge.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    return k.reshape(x1, shape=(-1, 1)) * k.reshape(x2, shape=(1, -1))


@composite(words={"a": "x1", "b": "x2"})
def tensordot(k, x1, x2, /, axes=2):
    """Sum of products over pairs of axes: the other axes of `x1`, then those of `x2`, remain.

    `axes` is a number n (the last n axes of `x1` with the first n of `x2`) or two sequences of axes of equal length.
    Raises ShapeError when paired axes differ in size or do not exist.

    >>> import gradengine as ge
    >>> a, b = ge.ones((2, 3, 4)), ge.ones((4, 3, 5))
    >>> ge.tensordot(a, b, axes=([1, 2], [1, 0])).shape
    (2, 5)
    """
    left, right = shapes.tensordot_axes(x1.shape, x2.shape, axes)
    kept_left = [i for i in range(len(x1.shape)) if i not in left]
    kept_right = [i for i in range(len(x2.shape)) if i not in right]
    shape = tuple(x1.shape[i] for i in kept_left) + tuple(x2.shape[i] for i in kept_right)
    inner = math.prod(x1.shape[i] for i in left)
    a = k.permute_dims(x1, axes=(*kept_left, *left))
    b = k.permute_dims(x2, axes=(*right, *kept_right))
    a = k.reshape(a, shape=(math.prod(x1.shape[i] for i in kept_left), inner))
    b = k.reshape(b, shape=(inner, math.prod(x2.shape[i] for i in kept_right)))
    return k.reshape(k.matmul(a, b), shape=shape)


def linear_grad_weight(k: Any, g: Any, y: Any, x: Any, *parameters: Any) -> Any:
    """The cotangent of the weight: one product over all rows."""
    return k.matmul(k.matrix_transpose(rows(k, g)), rows(k, x))


linear_no_bias = primitive(
    lambda k, g, y, x, w: k.matmul(g, w),
    linear_grad_weight,
    shape=shapes.linear,
    name="linear_no_bias",
    loop_form=loop_forms.linear,
    precision="low",
    shown="linear",
)(lambda x, weight, /: None)

linear_bias = primitive(
    lambda k, g, y, x, w, b: k.matmul(g, w),
    linear_grad_weight,
    lambda k, g, y, x, w, b: g,
    shape=shapes.linear,
    name="linear",
    loop_form=loop_forms.linear,
    precision="low",
)(lambda x, weight, bias, /: None)


@checked
def linear(x: Any, weight: Any, bias: Any = None) -> Tensor:
    """`x @ weight.T + bias`: x (..., in), weight (out, in), bias (out,) or None; the result is (..., out).

    Raises ShapeError when the sizes do not fit.

    >>> import gradengine as ge
    >>> ge.linear(ge.tensor([[1.0, 2.0]]), ge.tensor([[3.0, 4.0], [5.0, 6.0]]), ge.tensor([0.5, 0.5]))
    tensor([[11.5, 17.5]])
    """
    return linear_no_bias(x, weight) if bias is None else linear_bias(x, weight, bias)
