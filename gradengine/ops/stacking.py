"""Arrays side by side, and cut apart: hstack, vstack, dstack, tensor_split and more."""

from __future__ import annotations

import itertools
import math
from typing import Any

from .. import shapes
from ..core.tensor_class import Tensor, wrap
from ..errors import ArgumentError, ShapeError
from ..validation import known_words
from .arguments import checked
from .creation import tensor, zeros
from .joining import as_tensors, broadcast_arrays, chunk, concat, narrow, pieces, split, stack
from .shape import broadcast_to, pad, reshape
from .tensor_methods import method, methods

__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "hstack", "vstack", "dstack", "column_stack", "row_stack",
    "tensor_split", "hsplit", "vsplit", "dsplit", "block_diag", "cartesian_prod", "combinations", "broadcast_tensors",
    "array_split", "split_with_sizes", "unsafe_split", "unsafe_chunk", "unsafe_split_with_sizes", "broadcast_shapes",
]  # fmt: skip

MANY = 1 << 24  # pieces


def at_least(ndim: int, x: Any, name: str) -> Tensor:
    """`x` with new axes, where NumPy and PyTorch put them, until it has `ndim`."""
    x = wrap(x, None, name)
    if x.ndim >= ndim:
        return x
    shape = x.shape if x.ndim else (1,)
    if ndim >= 2 and len(shape) == 1:
        shape = (1, *shape)
    return reshape(x, shape=(*shape, 1) if ndim == 3 else shape)


def several(ndim: int, name: str, arrays: tuple[Any, ...]) -> Any:
    """One array, or a tuple of as many as were given; PyTorch takes them in a list, too."""
    if len(arrays) == 1 and isinstance(arrays[0], (list, tuple)) and any([isinstance(x, Tensor) for x in arrays[0]]):
        return tuple([at_least(ndim, x, name) for x in arrays[0]])
    found = tuple([at_least(ndim, x, name) for x in arrays])
    return found[0] if len(found) == 1 else found


@checked
def atleast_1d(*arrays: Any) -> Any:
    """The array with at least one axis; of several arrays, a tuple.

    >>> import gradengine as ge
    >>> ge.atleast_1d(ge.tensor(1.0))
    tensor([1.])
    """
    return several(1, "atleast_1d", arrays)


@checked
def atleast_2d(*arrays: Any) -> Any:
    """The array with at least two axes, a vector as a row; of several arrays, a tuple.

    >>> import gradengine as ge
    >>> ge.atleast_2d(ge.tensor([1.0, 2.0]))
    tensor([[1., 2.]])
    """
    return several(2, "atleast_2d", arrays)


@checked
def atleast_3d(*arrays: Any) -> Any:
    """The array with at least three axes: a vector as (1, n, 1), a matrix as (m, n, 1); of several arrays, a tuple.

    >>> import gradengine as ge
    >>> ge.atleast_3d(ge.tensor([1.0, 2.0])).shape
    (1, 2, 1)
    """
    return several(3, "atleast_3d", arrays)


@checked
def hstack(arrays: Any, /) -> Tensor:
    """Arrays side by side: joined along the second axis, vectors along their only one.

    >>> import gradengine as ge
    >>> ge.hstack([ge.tensor([1.0]), ge.tensor([2.0, 3.0])])
    tensor([1., 2., 3.])
    """
    tensors = [at_least(1, x, "hstack") for x in as_tensors("hstack", arrays)]
    return concat(tensors, axis=0 if tensors[0].ndim == 1 else 1)


@checked
def vstack(arrays: Any, /) -> Tensor:
    """Arrays on top of each other: joined along the first axis, vectors as rows.

    >>> import gradengine as ge
    >>> ge.vstack([ge.tensor([1.0, 2.0]), ge.tensor([3.0, 4.0])])
    tensor([[1., 2.],
            [3., 4.]])
    """
    return concat([at_least(2, x, "vstack") for x in as_tensors("vstack", arrays)], axis=0)


row_stack = vstack


@checked
def dstack(arrays: Any, /) -> Tensor:
    """Arrays behind each other: joined along the third axis.

    >>> import gradengine as ge
    >>> ge.dstack([ge.tensor([1.0, 2.0]), ge.tensor([3.0, 4.0])]).shape
    (1, 2, 2)
    """
    return concat([at_least(3, x, "dstack") for x in as_tensors("dstack", arrays)], axis=2)


@checked
def column_stack(arrays: Any, /) -> Tensor:
    """Arrays side by side, vectors as columns.

    >>> import gradengine as ge
    >>> ge.column_stack([ge.tensor([1.0, 2.0]), ge.tensor([3.0, 4.0])])
    tensor([[1., 3.],
            [2., 4.]])
    """
    tensors = as_tensors("column_stack", arrays)
    return concat([x if x.ndim > 1 else reshape(x, shape=(-1, 1)) for x in tensors], axis=1)


@method
@checked(words={"sections": "indices_or_sections", "indices": "indices_or_sections"})
def tensor_split(x: Any, /, indices_or_sections: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """x cut into so many pieces, the first ones larger by one where need be, or before each of the given indices.

    NumPy's `array_split`. Raises ShapeError for an axis that x does not have, ArgumentError for no pieces.

    >>> import gradengine as ge
    >>> ge.tensor_split(ge.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    x = wrap(x, None, "tensor_split")
    place = shapes.axis_of("tensor_split", axis, x.ndim)
    cuts = shapes.sizes_of("tensor_split", indices_or_sections, "indices_or_sections is")
    if not isinstance(indices_or_sections, (list, tuple)) and getattr(indices_or_sections, "ndim", 0) == 0:
        if cuts[0] < 1:
            raise ArgumentError(f"tensor_split: needs at least one piece, got {cuts[0]}")
        if cuts[0] > MANY:
            raise ArgumentError(f"tensor_split: {cuts[0]} pieces are more than there can be; x has shape {x.shape}")
        size, larger = divmod(x.shape[place], cuts[0])
        cuts = tuple([i * size + min(i, larger) for i in range(1, cuts[0])])
    return pieces(x, place, list(cuts))


array_split = tensor_split


def split_along(name: str, x: Any, cuts: Any, axis: int, ndim: int) -> tuple[Tensor, ...]:
    """`tensor_split` into equal pieces."""
    x = wrap(x, None, name)
    if x.ndim < ndim:
        raise ShapeError(f"{name}: needs at least {ndim} axes, got shape {x.shape}")
    if isinstance(cuts, int) and (cuts < 1 or x.shape[axis] % cuts):
        raise ShapeError(f"{name}: {x.shape[axis]} elements do not make {cuts} equal pieces; use tensor_split")
    return tensor_split(x, cuts, axis=axis)


@method
@checked(words={"sections": "indices_or_sections", "indices": "indices_or_sections"})
def hsplit(x: Any, /, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """x cut along its second axis, a vector along its only one: what `hstack` takes back.

    >>> import gradengine as ge
    >>> ge.hsplit(ge.tensor([[1.0, 2.0]]), 2)
    (tensor([[1.]]), tensor([[2.]]))
    """
    x = wrap(x, None, "hsplit")
    return split_along("hsplit", x, indices_or_sections, 0 if x.ndim == 1 else 1, 1)


@method
@checked(words={"sections": "indices_or_sections", "indices": "indices_or_sections"})
def vsplit(x: Any, /, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """x cut along its first axis, of two or more: what `vstack` takes back.

    >>> import gradengine as ge
    >>> ge.vsplit(ge.tensor([[1.0], [2.0]]), 2)
    (tensor([[1.]]), tensor([[2.]]))
    """
    return split_along("vsplit", x, indices_or_sections, 0, 2)


@method
@checked(words={"sections": "indices_or_sections", "indices": "indices_or_sections"})
def dsplit(x: Any, /, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """x cut along its third axis: what `dstack` takes back.

    >>> import gradengine as ge
    >>> ge.dsplit(ge.tensor([[[1.0, 2.0]]]), 2)
    (tensor([[[1.]]]), tensor([[[2.]]]))
    """
    return split_along("dsplit", x, indices_or_sections, 2, 3)


@method
@checked(words={"split_sizes": "sizes"})
def split_with_sizes(x: Any, /, sizes: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """x cut into pieces of these sizes, as PyTorch's `split`. Raises ShapeError unless they add up to the axis.

    >>> import gradengine as ge
    >>> ge.split_with_sizes(ge.arange(5), [2, 3])
    (tensor([0, 1]), tensor([2, 3, 4]))
    """
    return split(x, split_size=list(shapes.sizes_of("split_with_sizes", sizes)), dim=axis)


@method
@known_words
def unsafe_split(x: Any, /, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """PyTorch's `split`, by the size of the pieces: nothing is unsafe here.

    >>> import gradengine as ge
    >>> ge.unsafe_split(ge.arange(3), 2)
    (tensor([0, 1]), tensor([2]))
    """
    return split(x, split_size=split_size, dim=dim)


unsafe_chunk, unsafe_split_with_sizes = chunk, split_with_sizes
methods(unsafe_chunk=chunk, unsafe_split_with_sizes=split_with_sizes)


@checked
def broadcast_shapes(*several: Any) -> tuple[int, ...]:
    """The shape that arrays of these shapes broadcast to. Raises ShapeError where they do not.

    >>> import gradengine as ge
    >>> ge.broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    return shapes.broadcast("broadcast_shapes", *[shapes.sizes_of("broadcast_shapes", shape) for shape in several])


@checked
def block_diag(*arrays: Any) -> Tensor:
    """Matrices along a diagonal, zeros elsewhere; a vector is one row, a number one element.

    >>> import gradengine as ge
    >>> ge.block_diag(ge.tensor([[1.0]]), ge.tensor([[2.0, 3.0]]))
    tensor([[1., 0., 0.],
            [0., 2., 3.]])
    """
    if len(arrays) == 1 and isinstance(arrays[0], (list, tuple)):
        arrays = tuple(arrays[0])
    blocks = [at_least(2, x, "block_diag") for x in as_tensors("block_diag", arrays)] if arrays else [zeros(1, 0)]
    if any([x.ndim > 2 for x in blocks]):
        raise ShapeError(f"block_diag: takes at most 2-d arrays, got shapes {[x.shape for x in blocks]}")
    columns, before, rows = sum([x.shape[1] for x in blocks]), 0, []
    for block in blocks:
        rows.append(pad(block, ((0, 0), (before, columns - before - block.shape[1]))))
        before += block.shape[1]
    return concat(rows, axis=0)


@checked
def cartesian_prod(*arrays: Any) -> Tensor:
    """Every choice of one element from each vector, a row each; of one vector, the vector itself.

    >>> import gradengine as ge
    >>> ge.cartesian_prod(ge.tensor([1, 2]), ge.tensor([3, 4])).tolist()
    [[1, 3], [1, 4], [2, 3], [2, 4]]
    """
    vectors = as_tensors("cartesian_prod", arrays)
    if any([x.ndim != 1 for x in vectors]):
        raise ShapeError(f"cartesian_prod: takes vectors, got shapes {[x.shape for x in vectors]}")
    if len(vectors) == 1:
        return vectors[0]
    lengths = tuple([x.shape[0] for x in vectors])
    grids = [
        broadcast_to(reshape(x, shape=(1,) * i + (-1,) + (1,) * (len(vectors) - i - 1)), shape=lengths)
        for i, x in enumerate(vectors)
    ]
    return reshape(stack(grids, axis=-1), shape=(math.prod(lengths), len(vectors)))


@checked
def combinations(x: Any, /, r: int = 2, with_replacement: bool = False) -> Tensor:
    """Every choice of `r` elements of a vector, a row each, as `itertools.combinations`.

    >>> import gradengine as ge
    >>> ge.combinations(ge.tensor([1, 2, 3])).tolist()
    [[1, 2], [1, 3], [2, 3]]
    """
    from .index import take

    x = wrap(x, None, "combinations")
    if x.ndim != 1 or r < 0:
        raise ShapeError(f"combinations: takes a vector and r from 0 on, got shape {x.shape} and r={r}")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = list(choose(range(x.shape[0]), r))
    if not rows or not r:
        return reshape(narrow(x, axis=0, start=0, length=0), shape=(0, r) if r else (0,))
    return take(x, tensor(rows, device=x.device), axis=0)


@checked
def broadcast_tensors(*arrays: Any) -> tuple[Tensor, ...]:
    """`broadcast_arrays` as a tuple, as PyTorch gives it.

    >>> import gradengine as ge
    >>> [x.shape for x in ge.broadcast_tensors(ge.ones(3), ge.ones(2, 1))]
    [(2, 3), (2, 3)]
    """
    return tuple(
        broadcast_arrays(*(arrays[0] if len(arrays) == 1 and isinstance(arrays[0], (list, tuple)) else arrays))
    )
