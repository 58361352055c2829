"""Kernels that read and write elements at positions: indexing, take, and the sums that are their gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..xp_kernels import by_name

CROWDED = 16  # values for each element from which on they are added in double precision


def complete(index: Any, at: tuple[Any, ...]) -> Any:
    """The index with its arrays in place."""
    if not at:
        return index
    arrays = iter(at)
    return tuple([next(arrays) if type(item) is str else item for item in index])


def may_repeat(index: Any) -> bool:
    """Whether an element can be named twice: only integer arrays do that."""
    return type(index) is tuple and "integers" in index


def getitem(x: Any, *at: Any, index: Any) -> Any:
    """`x[index]`."""
    if not at:
        return x[index]
    if len(index) == 1:
        lone = at[0]
        return take(x, lone, 0) if lone.dtype.kind == "i" and x.ndim else x[lone]  # several times as fast
    return x[complete(index, at)]


def put_at(x: Any, v: Any, *at: Any, index: Any, copy: bool = True) -> Any:
    """`x` with `v` at `index`; of elements named twice, the one that comes last in `index` counts."""
    out = np.array(x) if copy else x
    if may_repeat(index):  # NumPy writes in memory order, which for C-contiguous operands is the order of the index
        at = tuple([np.asarray(a, order="C") for a in at])
        v = np.asarray(v, order="C") if isinstance(v, np.ndarray) else v
    if (all(np.ndim(a) == 0 for a in at) or (index == ("mask",) and np.ndim(v) > 1)) and ... not in index:
        index = (*index, ...)  # then a value with leading axes of size 1 broadcasts to elements and masks too
    out[complete(index, at)] = v
    return out


def last_writes(*at: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Which elements of an assignment to `index` are still there afterwards: a mask of the shape of `x[index]`."""
    number = np.zeros(shape, np.intp)
    where = complete(index, tuple([np.asarray(a, order="C") for a in at]))
    written = number[where]
    order = np.arange(written.size).reshape(written.shape)
    number[where] = order
    return number[where] == order


def place(g: Any, *at: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of `shape` with `g` added at `index`."""
    out = np.zeros(shape, g.dtype)
    if not may_repeat(index):
        out[complete(index, at)] = g
        return out
    if len(at) == 1:
        axis = lone_axis(index)
        if axis is not None:
            return accumulate(g, at[0], axis, shape)
    if len(at) == len(shape) == len(index) and "mask" not in index:
        positions = flat_positions(at, shape)
        add_flat(out, positions, np.broadcast_to(g, positions.shape))
        return out
    np.add.at(out, complete(index, at), g)
    return out


def lone_axis(index: tuple[Any, ...]) -> int | None:
    """The axis of the only array in an index of otherwise full slices, when that is what it is."""
    axis = index.index("integers")
    if all(item == slice(None) or item is ... for i, item in enumerate(index) if i != axis):
        return axis - len(index) if ... in index[:axis] else axis
    return None


def wrapped(indices: Any, size: int, axis: int) -> Any:
    """Indices with the negative ones counted from the end. Raises IndexError for one outside the axis."""
    indices = np.asarray(indices)
    if indices.dtype.kind not in "iu":
        raise TypeError(f"indices must be integers, got {indices.dtype}")
    if indices.size:
        low, high = int(indices.min()), int(indices.max())
        if low < -size or high >= size:
            bad = high if high >= size else low
            raise IndexError(f"index {bad} is out of range for axis {axis} with size {size}")
        if low < 0:
            return np.where(indices < 0, indices + size, indices)
    return indices


def flat_positions(coordinates: Any, shape: tuple[int, ...]) -> Any:
    """Positions in the flattened array, from one array of indices per axis."""
    flat: Any = 0
    for axis, (indices, size) in enumerate(zip(coordinates, shape)):
        flat = flat * size + wrapped(indices, size, axis).astype(np.intp, copy=False)
    return flat


def add_flat(out: Any, positions: Any, values: Any) -> None:
    """Add values at positions of the flattened contiguous zeros `out`; NumPy is fast at this in one dimension only."""
    positions, values, flat = np.ravel(positions), np.ravel(values), out.reshape(-1)
    if values.size >= CROWDED * flat.size > 0 and values.dtype == np.float32:  # adds up in double precision
        flat[:] = np.bincount(positions, values, flat.size)
    else:
        np.add.at(flat, positions, values)


def accumulate(g: Any, indices: Any, axis: int | None, shape: tuple[int, ...]) -> Any:
    """Zeros of `shape` to which the slices of `g` are added at `indices` along `axis`; the gradient of `take`."""
    out = np.zeros(shape, g.dtype)
    if axis is None:
        add_flat(out, wrapped(indices, out.size, 0), g)
        return out
    axis = axis % len(shape)
    positions = np.ravel(wrapped(indices, shape[axis], axis))
    before, after = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    values = g.reshape(before, positions.size, after)
    target = out.reshape(before, shape[axis], after)
    seen = np.zeros(shape[axis], np.bool_)
    seen[positions] = True
    if np.count_nonzero(seen) == positions.size:  # each once
        target[:, positions] = values
        return out
    flat = positions[:, None] * after + np.arange(after)
    if before > 1:
        flat = np.arange(before)[:, None, None] * (shape[axis] * after) + flat
    add_flat(out, flat, values)
    return out


def along_axis(indices: Any, axis: int, shape: tuple[int, ...]) -> list[Any]:
    """One array of indices per axis, as `take_along_axis` reads them."""
    if indices.ndim != len(shape):
        raise ValueError(f"indices have {indices.ndim} dimensions, the array {len(shape)}")
    coordinates: list[Any] = []
    for i, size in enumerate(shape):
        if i == axis:
            coordinates.append(wrapped(indices, size, axis))
        else:
            coordinates.append(np.arange(size).reshape([-1 if j == i else 1 for j in range(len(shape))]))
    return coordinates


def take(x: Any, indices: Any, axis: int | None) -> Any:
    """Slices of `x` at `indices`."""
    indices = np.asarray(indices)
    try:
        if indices.dtype.kind == "i":
            return x.take(indices, axis)
    except IndexError:
        pass  # NumPy does not say which index, when the axis is empty
    size, place = (x.size, 0) if axis is None else (x.shape[axis], axis % x.ndim)
    return x.take(wrapped(indices, size, place).astype(np.intp), axis)


def take_along_axis(x: Any, indices: Any, axis: int) -> Any:
    """Elements of `x` at `indices` along an axis."""
    if indices.dtype.kind not in "iu":
        raise TypeError(f"indices must be integers, got {indices.dtype}")
    return np.take_along_axis(x, indices, axis)


def accumulate_along_axis(g: Any, indices: Any, axis: int, shape: tuple[int, ...]) -> Any:
    """Zeros of `shape` to which `g` is added at `indices` along an axis; the gradient of `take_along_axis`."""
    out = np.zeros(shape, g.dtype)
    axis = axis % len(shape)
    coordinates = along_axis(indices, axis, shape)
    if indices.shape[axis] == 1 and all(g.shape[i] == n for i, n in enumerate(shape) if i != axis):
        out[tuple(coordinates)] = g
    else:
        add_flat(out, np.broadcast_to(flat_positions(coordinates, shape), g.shape), g)
    return out


def one_hot(labels: Any, num_classes: int, dtype: Any) -> Any:
    """A row per label, with 1 in the label's column."""
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels must be integers, got {labels.dtype}")
    if num_classes < 0:
        num_classes = int(labels.max()) + 1 if labels.size else 0
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        bad = labels.min() if labels.min() < 0 else labels.max()
        raise IndexError(f"label {bad} is out of range for {num_classes} classes")
    out = np.zeros((labels.size, num_classes), dtype)
    out[np.arange(labels.size), labels.reshape(-1)] = 1
    return out.reshape(*labels.shape, num_classes)


KERNELS = by_name(
    getitem, put_at, last_writes, place, take, accumulate, take_along_axis, accumulate_along_axis, one_hot,
)  # fmt: skip
KERNELS["argwhere"] = lambda x: np.argwhere(x)
