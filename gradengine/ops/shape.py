"""Shape ops: new shapes, axes in another order, padding, copies, triangles, diagonals.

Names are the array API standard's, then NumPy's, then PyTorch's. Each is linear, so a rule is the op that puts the
cotangent back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import shapes
from ..core.tensor_class import Tensor
from ..core.views import is_repeated
from ..errors import ArgumentError, ShapeError
from . import loop_forms, pytorch_forms
from .declare import composite, primitive
from .pairs import last_two_axes

__all__ = [
    "broadcast_to", "reshape", "permute_dims", "swapaxes", "matrix_transpose", "moveaxis", "expand_dims", "squeeze",
    "expand", "flatten", "ravel", "transpose", "flip", "roll", "pad", "tile", "repeat", "tril", "triu", "diagonal",
    "diag",
]  # fmt: skip


SWAPPED = {"dim0": "axis1", "dim1": "axis2"}  # PyTorch's words for two axes


@primitive(
    lambda k, g, y, x, shape: k.sum_to(g, shape=x.shape),
    shape=shapes.broadcast_to,
    view=True,
    any_precision=True,
    method=True,
    loop_form=loop_forms.broadcast,
)
def broadcast_to(x, /, shape):
    """x repeated along axes of size 1, and along new axes in front, until it has `shape`. Also called `expand`.

    Raises ShapeError when the shapes do not broadcast.

    >>> import gradengine as ge
    >>> ge.broadcast_to(ge.tensor([[1.0], [2.0]]), (2, 3))
    tensor([[1., 1., 1.],
            [2., 2., 2.]])
    """


expand = broadcast_to


@primitive(lambda k, g, y, x, shape: k.broadcast_to(g, shape=x.shape), shape=shapes.sum_to, loop_form=loop_forms.sum_to)
def sum_to(x, /, shape):
    """x summed along the axes that broadcasting from `shape` would repeat: what takes `broadcast_to` back.

    Raises ShapeError when `shape` does not broadcast to that of x.

    >>> import gradengine as ge
    >>> ge.ops.sum_to(ge.tensor([[1.0, 2.0], [3.0, 4.0]]), (2, 1))
    tensor([[3.],
            [7.]])
    """


def reshape_copied(k: Any, x: Any, /, shape: Any, *, copy: bool | None = None) -> Any:
    """The array API's form of `reshape`, with `copy`."""
    y = k.reshape(x, shape=shape)
    return k.clone(y) if copy else y


def check_sizes(name: str, given: Mapping[str, Any]) -> None:
    """Raise a typed error for what is no shape, and for a negative size other than -1, which NumPy takes for one."""
    wanted = given["shape"]
    if type(wanted) is not tuple:
        wanted = shapes.sizes_of(name, wanted)
    if wanted and type(wanted[0]) is int and min(wanted) < -1:
        raise ShapeError(f"{name}: a size must be -1 or at least 0, got shape {wanted}")


@primitive(
    lambda k, g, y, x, shape: k.reshape(g, shape=x.shape),
    shape=shapes.reshape,
    form=reshape_copied,
    view="maybe",
    check=check_sizes,
    any_precision=True,
    same_order=True,
)
def reshape(x, /, shape):
    """The same elements in another shape; one size may be -1, which stands for what is left.

    `copy=True` gives memory of its own. Raises ShapeError when the number of elements differs.

    >>> import gradengine as ge
    >>> ge.reshape(ge.arange(6), (2, -1))
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """


@composite(words={"start_dim": "start_axis", "end_dim": "end_axis"}, method=True)
def flatten(k, x, /, start_axis=0, end_axis=-1):
    """The axes from `start_axis` to `end_axis` made one; a 0-d array becomes one element.

    Raises ShapeError for an axis that x does not have, or when they come in the wrong order.

    >>> import gradengine as ge
    >>> ge.flatten(ge.zeros((2, 3, 4)), start_axis=1).shape
    (2, 12)
    """
    return k.reshape(x, shape=shapes.flatten("flatten", x.shape, start_axis=start_axis, end_axis=end_axis))


@composite(method=True)
def ravel(k, x, /):
    """All elements along one axis: a view where they lie in memory in that order, else a copy.

    >>> import gradengine as ge
    >>> ge.ravel(ge.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 2., 3., 4.])
    """
    return k.reshape(in_order(k, x), shape=(-1,))


def in_order(k: Any, x: Any) -> Any:
    """`x` where its elements lie in memory in their order, each once; else a copy, which shares nothing with it."""
    return k.clone(x) if isinstance(x, Tensor) and not is_in_order(x) else x


def is_in_order(x: Tensor) -> bool:
    """Whether the elements of `x` lie in memory in their order, each once."""
    return x.backend.in_order(x.array) and not is_repeated(x)


def inverse(axes: Any) -> tuple[int, ...] | None:
    """The permutation that undoes `axes`; None, which reverses all, undoes itself."""
    if axes is None:
        return None
    order = [a % len(axes) for a in axes]
    return tuple([order.index(i) for i in range(len(order))])


def check_axes(name: str, given: Mapping[str, Any]) -> None:
    """Raise ArgumentError for no axes at all, of which NumPy makes all in reverse."""
    if given["axes"] is None:
        raise ArgumentError(f"{name}: needs the axes in their new order, such as (1, 0), got None; x.T reverses them")


@primitive(
    lambda k, g, y, x, axes: k.permute_dims(g, axes=inverse(axes)),
    shape=shapes.permutation,
    view=True,
    check=check_axes,
    any_precision=True,
    method=True,
    loop_form=loop_forms.permute,
)
def permute_dims(x, /, axes):
    """The axes in another order: axis i of the result is axis `axes[i]` of x.

    Raises ShapeError when `axes` is not a permutation of the axes of x.

    >>> import gradengine as ge
    >>> ge.permute_dims(ge.zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """


@composite(form=pytorch_forms.transpose)
def transpose(k, x, /, axes=None, other_axis=None):
    """The axes in another order, by default reversed, as `np.transpose`; of two ints these two swapped, as in PyTorch.

    Raises ShapeError when `axes` is not a permutation of the axes of x.

    >>> import gradengine as ge
    >>> ge.transpose(ge.zeros((2, 3, 4))).shape
    (4, 3, 2)
    >>> ge.transpose(ge.zeros((2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    if other_axis is not None:
        return k.swapaxes(x, axis1=axes, axis2=other_axis)
    if axes is None:
        return k.permute_dims(x, axes=tuple(reversed(range(len(x.shape)))))
    shapes.permutation("transpose", x.shape, axes=axes)
    return k.permute_dims(x, axes=axes)


@primitive(
    lambda k, g, y, x, axis1, axis2: k.swapaxes(g, axis1=axis1, axis2=axis2),
    shape=shapes.swapaxes,
    view=True,
    words=SWAPPED,
    form=pytorch_forms.swapaxes,
    lifts=True,
    any_precision=True,
    method=True,
    loop_form=loop_forms.swapaxes,
)
def swapaxes(x, /, axis1=-1, axis2=-2):
    """Two axes swapped, by default the last two. Raises ShapeError for an axis that x does not have.

    >>> import gradengine as ge
    >>> ge.swapaxes(ge.zeros((2, 3, 4)), 0, -1).shape
    (4, 3, 2)
    """


@primitive(
    lambda k, g, y, x: k.matrix_transpose(g),
    shape=shapes.matrix_transpose,
    view=True,
    any_precision=True,
    method=True,
    loop_form=loop_forms.transposed,
)
def matrix_transpose(x, /):
    """The last two axes swapped: each matrix transposed; `x.mT` is the same. Raises ShapeError below two dimensions.

    >>> import gradengine as ge
    >>> ge.matrix_transpose(ge.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[1., 3.],
            [2., 4.]])
    """


@primitive(
    lambda k, g, y, x, source, destination: k.moveaxis(g, source=destination, destination=source),
    shape=shapes.moveaxis,
    view=True,
    any_precision=True,
    method=True,
)
def moveaxis(x, /, source, destination):
    """The axes `source` (an int or several) moved to the places `destination`; the others keep their order.

    Raises ShapeError for an axis that x does not have, or when the numbers of axes differ.

    >>> import gradengine as ge
    >>> ge.moveaxis(ge.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """


@primitive(
    lambda k, g, y, x, axis: k.reshape(g, shape=x.shape),
    shape=shapes.expand_dims,
    view=True,
    any_precision=True,
    same_order=True,
    method=True,
)
def expand_dims(x, /, axis=0):
    """New axes of size 1, at the places `axis` (an int or a tuple) of the result.

    Raises ShapeError for a place that the result does not have.

    >>> import gradengine as ge
    >>> ge.expand_dims(ge.tensor([1.0, 2.0]), axis=1).shape
    (2, 1)
    """


@primitive(
    lambda k, g, y, x, axis: k.reshape(g, shape=x.shape),
    shape=shapes.squeeze,
    view=True,
    form=pytorch_forms.squeeze,
    any_precision=True,
    same_order=True,
    method=True,
)
def squeeze(x, /, axis=None):
    """Axes of size 1 taken away: `axis` (an int or a tuple), or all of them for None.

    Raises ShapeError for an axis of another size, or one that x does not have.

    >>> import gradengine as ge
    >>> ge.squeeze(ge.zeros((1, 3, 1)), axis=0).shape
    (3, 1)
    """


@primitive(
    lambda k, g, y, x, axis: k.flip(g, axis=axis),
    shape=shapes.flip,
    words={"dims": "axis"},
    lifts=True,
    any_precision=True,
    method=True,
)
def flip(x, /, axis=None):
    """The elements in reverse order along `axis` (an int, a tuple, or None for all).

    Raises ShapeError for an axis that x does not have.

    >>> import gradengine as ge
    >>> ge.flip(ge.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    tensor([[2., 1.],
            [4., 3.]])
    """


def back(shift: Any) -> Any:
    """The shifts that undo `shift`."""
    return tuple([-s for s in shift]) if isinstance(shift, (tuple, list)) else -shift


def check_shift(name: str, given: Mapping[str, Any]) -> None:
    """Raise DTypeError for a shift that is no int: NumPy cuts fractions in a tuple."""
    shapes.sizes_of(name, given["shift"], "shift is")


@primitive(
    lambda k, g, y, x, shift, axis: k.roll(g, shift=back(shift), axis=axis),
    shape=shapes.roll,
    words={"shifts": "shift", "dims": "axis"},
    check=check_shift,
    any_precision=True,
    method=True,
)
def roll(x, /, shift, axis=None):
    """The elements moved on by `shift` places, round the end; for several axes, a tuple of each.

    Without an axis the array is rolled as if flat. Raises ShapeError for an axis that x does not have.

    >>> import gradengine as ge
    >>> ge.roll(ge.arange(5), 2)
    tensor([3, 4, 0, 1, 2])
    """


def pad_rule(k: Any, g: Any, y: Any, x: Any, pad_width: Any, mode: str, constant_values: Any) -> Any:
    """g without the border; what the border repeats is added to where it came from."""
    widths = shapes.pad_widths("pad", pad_width, len(x.shape))
    if mode != "constant":
        return k.unpad(g, pad_width=widths, mode=mode)
    for axis, (before, after) in enumerate(widths):
        if before or after:
            g = k.narrow(g, axis=axis, start=before, length=x.shape[axis])
    return g


@primitive(pad_rule, shape=shapes.pad, any_precision=True)
def pad(x, /, pad_width, mode="constant", constant_values=0):
    """x with a border, as `np.pad`: `pad_width` is an int, a pair (before, after), or a pair for each axis.

    `mode` is "constant" (the number `constant_values`), "edge", "reflect", "symmetric" or "wrap". Raises ShapeError
    for widths that do not fit x, ArgumentError for another mode.

    >>> import gradengine as ge
    >>> ge.pad(ge.tensor([1.0, 2.0, 3.0]), (2, 1))
    tensor([0., 0., 1., 2., 3., 0.])
    >>> ge.pad(ge.tensor([1.0, 2.0, 3.0]), (2, 1), mode="reflect")
    tensor([3., 2., 1., 2., 3., 2.])
    """


@primitive(lambda k, g, y, x, pad_width, mode: k.pad(g, pad_width=pad_width, mode=mode), shape=shapes.unpad)
def unpad(x, /, pad_width, mode):
    """The adjoint of `pad` in the modes that repeat elements; `pad_width` has a pair for each axis.

    >>> import gradengine as ge
    >>> ge.ops.unpad(ge.tensor([1.0, 2.0, 3.0, 4.0]), ((1, 1),), "edge")
    tensor([3., 7.])
    """


def tile_rule(k: Any, g: Any, y: Any, x: Any, repetitions: Any) -> Any:
    """The copies added up."""
    times = shapes.sizes_of("tile", repetitions)
    ndim = len(y.shape)
    times = (1,) * (ndim - len(times)) + times
    sizes = (1,) * (ndim - len(x.shape)) + x.shape
    copies = k.reshape(g, shape=tuple([n for pair in zip(times, sizes, strict=True) for n in pair]))
    return k.reshape(k.sum(copies, axis=tuple(range(0, 2 * ndim, 2))), shape=x.shape)


@primitive(
    tile_rule, shape=shapes.tile, words={"dims": "repetitions", "reps": "repetitions"}, any_precision=True, method=True
)
def tile(x, /, repetitions):
    """Copies of x side by side: `repetitions` (an int or a tuple) says how many along each of the last axes.

    Raises ShapeError for a negative number.

    >>> import gradengine as ge
    >>> ge.tile(ge.tensor([1.0, 2.0]), (2, 2))
    tensor([[1., 2., 1., 2.],
            [1., 2., 1., 2.]])
    """


def repeat_rule(k: Any, g: Any, y: Any, x: Any, repeats: Any, axis: int | None) -> Any:
    """The copies of each element added up."""
    place, length = 0, math.prod(x.shape)
    if axis is not None and x.shape:  # a 0-d array is one of a single element, as it is in NumPy
        place = axis % len(x.shape)
        length = x.shape[place]
    times = np.asarray(repeats).reshape(-1).tolist()
    sums = k.unrepeat(g, repeats=times[0] if len(times) == 1 else tuple(times), axis=place, length=length)
    return k.reshape(sums, shape=x.shape)


@primitive(repeat_rule, shape=shapes.repeat, any_precision=True, method=True)
def repeat(x, /, repeats, axis=None):
    """Each element `repeats` times along an axis (of the flattened array for None); or as often as each number says.

    As in NumPy, not PyTorch (whose `repeat` is `tile` here). Raises ShapeError for numbers that do not fit.

    >>> import gradengine as ge
    >>> ge.repeat(ge.tensor([1.0, 2.0]), 2)
    tensor([1., 1., 2., 2.])
    >>> ge.repeat(ge.tensor([[1.0, 2.0]]), [3, 1], axis=1)
    tensor([[1., 1., 1., 2.]])
    """


@primitive(lambda k, g, y, x, repeats, axis, length: k.repeat(g, repeats=repeats, axis=axis), shape=shapes.unrepeat)
def unrepeat(x, /, repeats, axis, length):
    """The adjoint of `repeat`: the copies of each of the `length` elements along `axis`, added up.

    >>> import gradengine as ge
    >>> ge.ops.unrepeat(ge.tensor([1.0, 2.0, 3.0]), (1, 2), 0, 2)
    tensor([1., 5.])
    """


def tril_rule(ops: Any, g: Any, y: Any, x: Any, /, k: int) -> Any:
    """The same triangle of g. (The array API calls the diagonal k, so the interpreter has another name here.)"""
    return ops.tril(g, k=k)


def triu_rule(ops: Any, g: Any, y: Any, x: Any, /, k: int) -> Any:
    """The same triangle of g."""
    return ops.triu(g, k=k)


@primitive(tril_rule, shape=shapes.triangle, any_precision=True, method=True, in_place=True)
def tril(x, /, k=0):
    """The matrices of x with zeros above diagonal `k`. Raises ShapeError below two dimensions.

    >>> import gradengine as ge
    >>> ge.tril(ge.ones((2, 3)))
    tensor([[1., 0., 0.],
            [1., 1., 0.]])
    """


@primitive(triu_rule, shape=shapes.triangle, any_precision=True, method=True, in_place=True)
def triu(x, /, k=0):
    """The matrices of x with zeros below diagonal `k`. Raises ShapeError below two dimensions.

    >>> import gradengine as ge
    >>> ge.triu(ge.ones((2, 3)), k=1)
    tensor([[0., 1., 1.],
            [0., 0., 1.]])
    """


def diagonal_rule(k: Any, g: Any, y: Any, x: Any, **where: Any) -> Any:
    """Zeros with g on the diagonal."""
    return k.fill_diagonal(g, shape=x.shape, **where)


@primitive(
    diagonal_rule,
    shape=shapes.diagonal,
    view=True,
    form=pytorch_forms.diagonal,
    mark=last_two_axes,
    any_precision=True,
    method=True,
)
def diagonal(x, /, offset=0, axis1=-2, axis2=-1):
    """A diagonal of two axes, by default the last two as in the array API; it becomes the last axis.

    `offset` counts diagonals above (positive) or below the main one. Raises ShapeError for axes that x does not have.

    >>> import gradengine as ge
    >>> ge.diagonal(ge.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 4.])
    """


@primitive(lambda k, g, y, x, shape, **where: k.diagonal(g, **where), shape=shapes.fill_diagonal, any_precision=True)
def fill_diagonal(x, /, shape, offset=0, axis1=-2, axis2=-1):
    """Zeros of `shape` with x on a diagonal: the adjoint of `diagonal`.

    >>> import gradengine as ge
    >>> ge.ops.fill_diagonal(ge.tensor([1.0, 2.0]), (2, 3), offset=1)
    tensor([[0., 1., 0.],
            [0., 0., 2.]])
    """


def diag_rule(k: Any, g: Any, y: Any, x: Any, offset: int) -> Any:
    """The diagonal of g, or g on the diagonal."""
    return k.diagonal(g, offset=offset) if len(x.shape) == 1 else k.fill_diagonal(g, shape=x.shape, offset=offset)


@primitive(diag_rule, shape=shapes.diag, any_precision=True, method=True)
def diag(x, /, offset=0):
    """A vector as a diagonal matrix, or a matrix' diagonal as a vector, as `np.diag`.

    Raises ShapeError for other shapes.

    >>> import gradengine as ge
    >>> ge.diag(ge.tensor([1.0, 2.0]))
    tensor([[1., 0.],
            [0., 2.]])
    """
