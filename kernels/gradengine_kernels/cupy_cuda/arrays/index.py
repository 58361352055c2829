"""Kernels that read and write elements at positions: indexing, take, and the sums that are their gradients.

CuPy lets indices out of range wrap round and leaves open which of several writes to an element lasts, so indices are
checked here, and what may be named twice is written by kernels of our own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...numpy_cpu.index import complete, lone_axis, may_repeat
from ...xp_kernels import by_name
from ..lazy_cupy import cp
from . import moves
from .common import as_array, axis_of, choose

FULL = slice(None)


# -- the parts of an index ----------------------------------------------------------------------------------------


def integers_only(shape: tuple[int, ...], index: Any, at: tuple[Any, ...]) -> tuple[Any, Any, tuple[Any, ...]]:
    """The same index with integer arrays for masks, and the shape of the array that it is an index of.

    A mask without axes is an index to a new axis of size 1, which the array must be reshaped to have.
    """
    if "mask" not in index:
        return shape, index, at
    arrays, axis, sizes = iter(at), 0, list(shape)
    named = sum([places(item, a) for item, a in zip(index, aligned(index, at))])
    structure: list[Any] = []
    found: list[Any] = []
    for item in index:
        if item is ...:
            axis += len(sizes) - named
            structure.append(item)
        elif item is None:
            structure.append(item)
        elif item == "mask":
            mask = next(arrays)
            if mask.ndim == 0:
                sizes.insert(axis, 1)
                named += 1
                mask = mask.reshape(1)
            for i, n in enumerate(mask.shape):
                if axis + i >= len(sizes):
                    raise IndexError("too many indices for array")
                if n != sizes[axis + i]:
                    raise IndexError(
                        f"boolean index did not match indexed array along axis {axis + i}; size of axis is "
                        f"{sizes[axis + i]} but size of corresponding boolean axis is {n}"
                    )
            axis += mask.ndim
            structure.extend(["integers"] * mask.ndim)
            found.extend(cp.nonzero(mask))
        else:
            axis += 1
            structure.append(item)
            if item == "integers":
                found.append(next(arrays))
    return tuple(sizes), tuple(structure), tuple(found)


def aligned(index: Any, at: tuple[Any, ...]) -> list[Any]:
    """The array of each item of an index, None where it has none."""
    arrays = iter(at)
    return [next(arrays) if type(item) is str else None for item in index]


def places(item: Any, array: Any) -> int:
    """How many axes an item of an index takes."""
    if item is None or item is ...:
        return 0
    return int(array.ndim) if type(item) is str and item == "mask" else 1


def check_integers(shape: tuple[int, ...], index: Any, at: tuple[Any, ...]) -> None:
    """Raise IndexError for an index outside its axis. There are no masks left."""
    arrays, axis = iter(at), 0
    named = sum([places(item, None) for item in index])
    if named > len(shape):
        raise IndexError(f"too many indices for array: array is {len(shape)}-dimensional, but {named} were indexed")
    for item in index:
        if type(item) is str:
            moves.check(next(arrays), shape[axis], axis)
        axis += len(shape) - named if item is ... else places(item, None)


def numbered(shape: tuple[int, ...], index: Any, at: tuple[Any, ...]) -> Any:
    """The position in the flattened array of each element of `x[index]`. Raises IndexError outside of it."""
    check_integers(shape, index, at)
    return cp.arange(math.prod(shape), dtype=np.int64).reshape(shape)[complete(index, at)]


# -- x[index] -----------------------------------------------------------------------------------------------------


def getitem(x: Any, *at: Any, index: Any) -> Any:
    """`x[index]`."""
    if not at:
        return x[index]
    if len(at) == 1 and "integers" in index:
        axis = lone_axis(index)
        if axis is not None and x.ndim:
            return taken(x, at[0], axis_of(axis, x.ndim))
    if index == ("mask",) and at[0].shape == x.shape and x.ndim:
        return x[at[0]]
    shape, index, at = integers_only(x.shape, index, at)
    check_integers(shape, index, at)
    return x.reshape(shape)[complete(index, at)]


def taken(x: Any, indices: Any, axis: int) -> Any:
    """Slices along an axis. CuPy reads an array that is not contiguous in place, which pays if little is read."""
    read = math.prod(x.shape[:axis]) * indices.size * math.prod(x.shape[axis + 1 :])
    if not x.flags.c_contiguous and 4 * read < x.size:
        moves.check(indices, x.shape[axis], axis)
        return x.take(indices, axis)
    return moves.gather(x, indices, axis)


def put_at(x: Any, v: Any, *at: Any, index: Any, copy: bool = True) -> Any:
    """`x` with `v` at `index`; of elements named twice, the one that comes last in `index` counts."""
    out = x.copy() if copy else x
    if not at:
        out[index] = v
        return out
    shape, index, at = integers_only(x.shape, index, at) if "mask" in index else (x.shape, index, at)
    target = out if shape == out.shape and out.flags.c_contiguous else cp.ascontiguousarray(out.reshape(shape))
    written(target, v, index, at)
    if target is not out:
        out[...] = target.reshape(out.shape)
    return out


def written(out: Any, v: Any, index: Any, at: tuple[Any, ...]) -> None:
    """Write `v` at an index without masks to the contiguous `out`."""
    if len(at) == 1 and out.ndim:
        axis = lone_axis(index)
        if axis is not None:
            axis = axis_of(axis, out.ndim)
            shape = out.shape[:axis] + at[0].shape + out.shape[axis + 1 :]
            moves.assign(out, spread(v, shape, out.dtype), at[0], axis)
            return
    where = numbered(out.shape, index, at)
    moves.assign(out.reshape(-1), spread(v, where.shape, out.dtype).reshape(-1), where.reshape(-1), 0)


def spread(v: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """`v` in a dtype, broadcast to a shape; leading axes of size 1 may be too many, as in an assignment."""
    v = as_array(v).astype(dtype, copy=False)
    while v.ndim > len(shape) and v.shape[0] == 1:
        v = v.reshape(v.shape[1:])
    return cp.broadcast_to(v, shape)


def last_writes(*at: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Which elements of an assignment to `index` are still there afterwards: a mask of the shape of `x[index]`."""
    shape, index, at = integers_only(shape, index, at)
    where = numbered(shape, index, at)
    last, positions = moves.claims(where.reshape(-1), math.prod(shape), 0)
    order = cp.arange(1, positions.size + 1, dtype=np.uint64)
    return (moves.gather(last, positions, 0) == order).reshape(where.shape)


def place(g: Any, *at: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of `shape` with `g` added at `index`."""
    g = as_array(g)
    if not at:
        out = cp.zeros(shape, g.dtype)
        out[index] = g
        return out
    if len(at) == 1 and may_repeat(index):
        axis = lone_axis(index)
        if axis is not None and shape:
            return accumulate(g, at[0], axis, shape)
    if index == ("mask",) and at[0].shape == shape and shape:
        out = cp.zeros(shape, g.dtype)
        out[at[0]] = g
        return out
    full, index, at = integers_only(shape, index, at)
    where = numbered(full, index, at)
    values = cp.broadcast_to(g, where.shape).reshape(-1)
    return moves.scatter_add(values, where.reshape(-1), 0, (math.prod(shape),)).reshape(shape)


# -- along one axis -----------------------------------------------------------------------------------------------


def take(x: Any, indices: Any, axis: int | None) -> Any:
    """Slices of `x` at `indices`."""
    x, indices = as_array(x), as_array(indices)
    if axis is None or (x.ndim == 0 and axis in (0, -1)):
        return moves.gather(x.reshape(-1), indices, 0)
    return taken(x, indices, axis_of(axis, x.ndim))


def accumulate(g: Any, indices: Any, axis: int | None, shape: tuple[int, ...]) -> Any:
    """Zeros of `shape` to which the slices of `g` are added at `indices` along `axis`; the gradient of `take`."""
    g, indices = as_array(g), as_array(indices)
    if axis is None or not shape:
        return moves.scatter_add(g, indices, 0, (math.prod(shape),)).reshape(shape)
    axis = axis_of(axis, len(shape))
    return moves.scatter_add(cp.broadcast_to(g, shape[:axis] + indices.shape + shape[axis + 1 :]), indices, axis, shape)


def flat_positions(indices: Any, axis: int, shape: tuple[int, ...]) -> Any:
    """Positions in the flattened array of the elements at indices along an axis, as `take_along_axis` reads them.

    The indices are checked; the result broadcasts to the shape of what is read.
    """
    if indices.dtype.kind not in "iu":
        raise TypeError(f"indices must be integers, got {indices.dtype}")
    if indices.ndim != len(shape):
        raise ValueError(f"indices have {indices.ndim} dimensions, the array {len(shape)}")
    size = shape[axis]
    moves.check(indices, size, axis)
    flat = indices.astype(np.int64)
    flat = choose(flat < 0, flat + size, flat) * math.prod(shape[axis + 1 :])
    for i, n in enumerate(shape):
        if i != axis and n > 1:
            along = cp.arange(n, dtype=np.int64) * math.prod(shape[i + 1 :])
            flat = flat + along.reshape([n if j == i else 1 for j in range(len(shape))])
    return flat


def take_along_axis(x: Any, indices: Any, axis: int) -> Any:
    """Elements of `x` at `indices` along an axis."""
    axis = axis_of(axis, x.ndim)
    where = flat_positions(indices, axis, x.shape)
    shape = tuple([m if n == 1 or i == axis else n for i, (n, m) in enumerate(zip(x.shape, where.shape))])
    return moves.gather(x.reshape(-1), cp.broadcast_to(where, shape), 0)


def accumulate_along_axis(g: Any, indices: Any, axis: int, shape: tuple[int, ...]) -> Any:
    """Zeros of `shape` to which `g` is added at `indices` along an axis; the gradient of `take_along_axis`."""
    where = cp.broadcast_to(flat_positions(indices, axis_of(axis, len(shape)), shape), g.shape)
    return moves.scatter_add(g.reshape(-1), where.reshape(-1), 0, (math.prod(shape),)).reshape(shape)


def one_hot(labels: Any, num_classes: int, dtype: Any) -> Any:
    """A row per label, with 1 in the label's column."""
    labels = as_array(labels)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels must be integers, got {labels.dtype}")
    low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, -1)
    if num_classes < 0:
        num_classes = high + 1
    if low < 0 or high >= num_classes:
        raise IndexError(f"label {low if low < 0 else high} is out of range for {num_classes} classes")
    classes = cp.arange(num_classes, dtype=np.int64)
    return (labels.astype(np.int64)[..., None] == classes).astype(dtype)


KERNELS = by_name(
    getitem, put_at, last_writes, place, take, accumulate, take_along_axis, accumulate_along_axis, one_hot,
)  # fmt: skip
KERNELS["argwhere"] = lambda x: cp.argwhere(as_array(x))
