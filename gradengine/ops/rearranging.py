"""The same elements in another shape or order: unflatten, movedim, rot90, select, diag_embed, triangles' indices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import shapes
from ..core.tensor_class import Tensor, wrap
from ..errors import ShapeError
from .arguments import checked, whole
from .creation import asarray
from .index import read, take
from .joining import unstack
from .shape import (
    expand_dims,
    fill_diagonal,
    flip,
    matrix_transpose,
    moveaxis,
    permute_dims,
    repeat,
    reshape,
    swapaxes,
)  # fmt: skip
from .tensor_methods import method, methods

__all__ = [
    "movedim", "swapdims", "unbind", "unflatten", "select", "fliplr", "flipud", "rot90", "diag_embed", "diagflat",
    "triu_indices", "tril_indices", "unsqueeze", "permute", "t", "adjoint", "repeat_interleave", "take_along_dim",
    "index_select", "unravel_index",
]  # fmt: skip

movedim, swapdims, unbind, unsqueeze, permute = moveaxis, swapaxes, unstack, expand_dims, permute_dims
methods(movedim=moveaxis, swapdims=swapaxes, unbind=unstack)


@method
@checked(words={"sizes": "shape"})
def unflatten(x: Any, /, axis: int, shape: Any) -> Tensor:
    """One axis as several, of the sizes `shape`, one of which may be -1.

    >>> import gradengine as ge
    >>> ge.unflatten(ge.zeros(2, 6), 1, (3, -1)).shape
    (2, 3, 2)
    """
    x = wrap(x, None, "unflatten")
    place = shapes.axis_of("unflatten", axis, x.ndim)
    sizes = list(shapes.sizes_of("unflatten", shape))
    known = math.prod([n for n in sizes if n != -1])
    if sizes.count(-1) == 1 and known and x.shape[place] % known == 0:
        sizes[sizes.index(-1)] = x.shape[place] // known
    if math.prod(sizes) != x.shape[place] or -1 in sizes:
        raise ShapeError(f"unflatten: sizes {tuple(shape)} do not make the {x.shape[place]} elements of axis {place}")
    return reshape(x, shape=(*x.shape[:place], *sizes, *x.shape[place + 1 :]))


@method
@checked
def select(x: Any, /, axis: int, index: int) -> Tensor:
    """The slice at one index of an axis, which is then gone: `x[index]` for the first axis.

    >>> import gradengine as ge
    >>> ge.select(ge.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, 0)
    tensor([1., 3.])
    """
    x = wrap(x, None, "select")
    place = shapes.axis_of("select", axis, x.ndim)
    return read(x, index=(*(slice(None),) * place, whole("select", "index", index)))


@method
@checked(lifts=True)
def index_select(x: Any, /, axis: int, index: Any) -> Tensor:
    """The slices at a vector of indices along an axis: `take(x, index, axis=axis)`.

    Raises ShapeError for an index that is not a vector, IndexRangeError for one outside the axis.

    >>> import gradengine as ge
    >>> ge.index_select(ge.tensor([[1.0, 2.0], [3.0, 4.0]]), 0, ge.tensor([1]))
    tensor([[3., 4.]])
    """
    x = wrap(x, None, "index_select")
    index = wrap(index, x, "index_select")
    if index.ndim > 1:
        raise ShapeError(f"index_select: the index must be a vector, got shape {index.shape}; `take` takes others")
    return take(x, reshape(index, shape=(-1,)), axis=axis)


@method
@checked(words={"indices": "indices"})
def take_along_dim(x: Any, indices: Any, /, axis: Any = None) -> Tensor:
    """`take_along_axis`, of the flattened array where no axis is given.

    >>> import gradengine as ge
    >>> ge.take_along_dim(ge.tensor([[1.0, 2.0], [3.0, 4.0]]), ge.tensor([[1], [0]]), dim=1)
    tensor([[2.],
            [3.]])
    """
    from .index import take_along_axis

    x = wrap(x, None, "take_along_dim")
    indices = wrap(indices, x, "take_along_dim")
    if axis is None:
        return take_along_axis(reshape(x, shape=(-1,)), reshape(indices, shape=(-1,)), axis=0)
    return take_along_axis(x, indices, axis=axis)


@method
@checked
def fliplr(x: Any, /) -> Tensor:
    """The second axis in reverse order. Raises ShapeError below two dimensions.

    >>> import gradengine as ge
    >>> ge.fliplr(ge.tensor([[1.0, 2.0]]))
    tensor([[2., 1.]])
    """
    x = wrap(x, None, "fliplr")
    if x.ndim < 2:
        raise ShapeError(f"fliplr: needs at least 2 dimensions, got shape {x.shape}")
    return flip(x, axis=1)


@method
@checked
def flipud(x: Any, /) -> Tensor:
    """The first axis in reverse order. Raises ShapeError for a 0-d array.

    >>> import gradengine as ge
    >>> ge.flipud(ge.tensor([1.0, 2.0]))
    tensor([2., 1.])
    """
    x = wrap(x, None, "flipud")
    if not x.ndim:
        raise ShapeError("flipud: needs at least 1 dimension, got a 0-d array")
    return flip(x, axis=0)


@method
@checked
def rot90(x: Any, /, k: int = 1, axes: Any = (0, 1)) -> Tensor:
    """Turned by 90 degrees `k` times, from the first of two axes towards the second.

    >>> import gradengine as ge
    >>> ge.rot90(ge.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[2., 4.],
            [1., 3.]])
    """
    x = wrap(x, None, "rot90")
    found = shapes.axes_of("rot90", tuple(axes), x.ndim)
    if len(found) != 2:
        raise ShapeError(f"rot90: needs two axes, got {axes!r}")
    first, second = found
    turns = whole("rot90", "k", k) % 4
    if turns == 0:
        return x
    if turns == 2:
        return flip(x, axis=found)
    if turns == 1:
        return swapaxes(flip(x, axis=second), axis1=first, axis2=second)
    return flip(swapaxes(x, axis1=first, axis2=second), axis=second)


@method
@checked(words={"dim1": "axis1", "dim2": "axis2"})
def diag_embed(x: Any, /, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Tensor:
    """The last axis as the diagonal of two new axes, `axis1` and `axis2` of the result; zeros elsewhere.

    >>> import gradengine as ge
    >>> ge.diag_embed(ge.tensor([1.0, 2.0]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    x = wrap(x, None, "diag_embed")
    if not x.ndim:
        raise ShapeError("diag_embed: needs at least 1 dimension, got a 0-d array")
    ndim = x.ndim + 1
    first, second = (shapes.axis_of("diag_embed", axis, ndim) for axis in (axis1, axis2))
    if first == second:
        raise ShapeError(f"diag_embed: axis1 and axis2 must differ, got {axis1} and {axis2}")
    size = x.shape[-1] + abs(offset)
    made = fill_diagonal(x, shape=(*x.shape[:-1], size, size), offset=offset)
    return moveaxis(made, source=(-2, -1), destination=(first, second))


@method
@checked(words={"k": "offset"})
def diagflat(x: Any, /, offset: int = 0) -> Tensor:
    """A matrix with all elements of x on a diagonal.

    >>> import gradengine as ge
    >>> ge.diagflat(ge.tensor([[1.0, 2.0]]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    return diag_embed(reshape(x, shape=(-1,)), offset=offset)


def triangle(name: str, keep: Any, rows: int, columns: int, offset: int, dtype: Any, device: Any) -> Tensor:
    """The row and column indices of the elements that are kept, in two rows."""
    sizes = whole(name, "row", rows), whole(name, "col", columns)
    found = np.nonzero(keep(np.ones(sizes, bool), whole(name, "offset", offset)))
    return asarray(np.stack(found), dtype=dtype, device=device)


@checked(ignored=frozenset({"layout"}))
def tril_indices(row: int, col: int, offset: int = 0, dtype: Any = None, device: Any = None) -> Tensor:
    """The indices of a lower triangle: a Tensor of two rows, as in PyTorch (NumPy's is a tuple).

    >>> import gradengine as ge
    >>> ge.tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    return triangle("tril_indices", np.tril, row, col, offset, dtype or "int64", device)


@checked(ignored=frozenset({"layout"}))
def triu_indices(row: int, col: int, offset: int = 0, dtype: Any = None, device: Any = None) -> Tensor:
    """The indices of an upper triangle: a Tensor of two rows, as in PyTorch (NumPy's is a tuple).

    >>> import gradengine as ge
    >>> ge.triu_indices(2, 2)
    tensor([[0, 0, 1],
            [0, 1, 1]])
    """
    return triangle("triu_indices", np.triu, row, col, offset, dtype or "int64", device)


@method
@checked
def t(x: Any, /) -> Tensor:
    """A matrix transposed; an array of fewer axes as it is. Raises ShapeError for more than two.

    >>> import gradengine as ge
    >>> ge.t(ge.tensor([[1.0, 2.0]]))
    tensor([[1.],
            [2.]])
    """
    x = wrap(x, None, "t")
    if x.ndim > 2:
        raise ShapeError(f"t: takes at most 2 dimensions, got shape {x.shape}; use .mT or .permute")
    return matrix_transpose(x) if x.ndim == 2 else x


adjoint = matrix_transpose
methods(adjoint=matrix_transpose)


@method
@checked(ignored=frozenset({"output_size"}))
def repeat_interleave(x: Any, /, repeats: Any = None, axis: int | None = None) -> Tensor:
    """Each element `repeats` times along an axis, as NumPy's `repeat`; of one vector of counts, each index so often.

    >>> import gradengine as ge
    >>> ge.repeat_interleave(ge.tensor([1.0, 2.0]), 2)
    tensor([1., 1., 2., 2.])
    """
    if repeats is None:
        counts = wrap(x, None, "repeat_interleave")
        if counts.ndim != 1 or counts.dtype.kind not in "iu":
            raise ShapeError(f"repeat_interleave: counts must be a vector of ints, got {counts.dtype}{counts.shape}")
        return asarray(np.repeat(np.arange(counts.shape[0]), counts.numpy()), device=counts.device)
    return repeat(x, repeats=repeats, axis=axis)


@checked
def unravel_index(indices: Any, shape: Any) -> tuple[Tensor, ...]:
    """The index along each axis for positions in a flattened array of a shape.

    >>> import gradengine as ge
    >>> ge.unravel_index(ge.tensor([5]), (2, 3))
    (tensor([1]), tensor([2]))
    """
    indices = wrap(indices, None, "unravel_index")
    found = []
    sizes = shapes.sizes_of("unravel_index", shape)
    if min(sizes, default=0) < 0:
        raise ShapeError(f"unravel_index: a size must be at least 0, got shape {sizes}")
    for size in reversed(sizes):
        found.append(indices % size)
        indices = indices // size
    return tuple(reversed(found))
