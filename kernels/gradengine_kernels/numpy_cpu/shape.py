"""Kernels that change an array's shape, or the order of its elements.

Results are views wherever NumPy can give one: an array is a value, so sharing memory is safe. NumPy's Python-level
helpers (`np.broadcast_to`, `np.expand_dims`, `np.pad`) cost microseconds per call, so the ops on every backward
walk do without them.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..xp_kernels import by_name, diagonal, matrices, matrix_transpose, moving, narrow, swapaxes, unpadding
from .sums import FEW, total

if TYPE_CHECKING:
    from collections.abc import Callable

HALF = np.dtype(np.float16)
SINGLE = np.dtype(np.float32)
COPIED = 2048  # up to so many elements a copy costs less than making a broadcast view
add_reduce: Callable[..., Any] = np.add.reduce
add_reduce_at: Callable[..., Any] = np.add.reduceat
numpy_pad: Callable[..., Any] = np.pad  # its type has a literal for each mode
moveaxis, roll, overwrite, stack_arrays = moving(np)


def broadcast_to(x: Any, shape: Any) -> Any:
    """x repeated to `shape`."""
    if type(shape) is tuple and x.ndim <= len(shape) and math.prod(shape) <= COPIED:
        out = np.empty(shape, x.dtype)
        out[...] = x
        return out
    return np.broadcast_to(x, shape)


def sum_to(x: Any, shape: tuple[int, ...]) -> Any:
    """The sums over all that `broadcast_to` repeats."""
    given = x.shape
    lead = len(given) - len(shape)
    if not shape:
        axes: Any = None
    elif lead and given[lead:] == shape:
        axes = 0 if lead == 1 else tuple(range(lead))
    else:
        kept = given[lead:]
        axes = (*range(lead), *[i + lead for i, n in enumerate(shape) if n == 1 and kept[i] != 1])
    if x.dtype is HALF:
        return total(x.astype(SINGLE), axes).astype(HALF).reshape(shape)
    return (total(x, axes) if x.size > FEW else add_reduce(x, axes)).reshape(shape)


def reshape(x: Any, shape: Any) -> Any:
    """The same elements in another shape."""
    return x.reshape(shape)


def permute_dims(x: Any, axes: tuple[int, ...]) -> Any:
    """The axes in another order."""
    return x.transpose(axes)


def expand_dims(x: Any, axis: Any = 0) -> Any:
    """A new axis of size 1."""
    if type(axis) is int:
        shape = x.shape
        place = axis if axis >= 0 else axis + len(shape) + 1
        if 0 <= place <= len(shape):
            return x.reshape(shape[:place] + (1,) + shape[place:])
    return np.expand_dims(x, axis)


def squeeze(x: Any, axis: Any = None) -> Any:
    """Axes of size 1 taken away."""
    return x.squeeze(axis)


def concat_arrays(*arrays: Any, axis: int | None = 0) -> Any:
    """Arrays joined along an axis."""
    return np.concatenate(arrays, axis)


def flip(x: Any, axis: Any = None) -> Any:
    """The elements in reverse order along axes."""
    if type(axis) is int and -x.ndim <= axis < x.ndim:
        return x[(slice(None),) * (axis % x.ndim) + (slice(None, None, -1),)]
    return np.flip(x, axis)


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    """x with a border."""
    if mode != "constant":
        return numpy_pad(x, pad_width, mode)
    if not isinstance(constant_values, (int, float)) or type(pad_width) is not tuple:
        return numpy_pad(x, pad_width, constant_values=constant_values)
    if [len(w) for w in pad_width if type(w) is tuple] != [2] * x.ndim:
        return numpy_pad(x, pad_width, constant_values=constant_values)
    shape = [n + before + after for n, (before, after) in zip(x.shape, pad_width)]
    out = np.zeros(shape, x.dtype)
    if constant_values != 0:
        out.fill(constant_values)
    out[tuple([slice(before, before + n) for n, (before, _) in zip(x.shape, pad_width)])] = x
    return out


def add_groups(x: Any, group: Any, count: int, axis: int) -> Any:
    """The sums of the elements of each of `count` groups along an axis; `group` says where each belongs."""
    order = group.argsort(kind="stable")
    present, starts = np.unique(group[order], return_index=True)
    shape = x.shape[:axis] + (count,) + x.shape[axis + 1 :]
    if not len(present):
        return np.zeros(shape, x.dtype)
    sums = add_reduce_at(x.take(order, axis), starts, axis)
    if len(present) == count:
        return sums
    out = np.zeros(shape, x.dtype)
    out[(slice(None),) * axis + (present,)] = sums
    return out


def tile(x: Any, repetitions: Any) -> Any:
    """Copies of x side by side."""
    return np.tile(x, repetitions)


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each element several times."""
    if type(repeats) is not int:
        repeats = np.asarray(repeats)
        if repeats.dtype.kind not in "iub" and repeats.size:
            raise TypeError("repeats must be integers")
        repeats = repeats.astype(np.int64)
    return x.repeat(repeats, axis)


def unrepeat(x: Any, repeats: Any, axis: int, length: int) -> Any:
    """The adjoint of `repeat`: the copies of each element added up."""
    if isinstance(repeats, int):
        copies = x.reshape(x.shape[:axis] + (length, repeats) + x.shape[axis + 1 :])
        return add_reduce(copies, axis + 1, SINGLE if x.dtype is HALF else None).astype(x.dtype, copy=False)
    return add_groups(x, np.repeat(np.arange(length), repeats), length, axis)


def tril(x: Any, k: int = 0) -> Any:
    """x with zeros above diagonal k."""
    return np.tril(matrices(x), operator.index(k))


def triu(x: Any, k: int = 0) -> Any:
    """x with zeros below diagonal k."""
    return np.triu(matrices(x), operator.index(k))


def fill_diagonal(x: Any, shape: tuple[int, ...], offset: int = 0, axis1: int = -2, axis2: int = -1) -> Any:
    """Zeros of `shape` with x on a diagonal: the adjoint of `diagonal`."""
    out = np.zeros(shape, x.dtype)
    view = out.diagonal(offset, axis1, axis2)
    view.flags.writeable = True
    view[...] = x
    return out


def diag(x: Any, offset: int = 0) -> Any:
    """A vector as a diagonal matrix, a matrix' diagonal as a vector."""
    if x.ndim == 0:
        raise ValueError("0-d")
    return np.diag(x, offset)


unpad = unpadding(add_groups)

KERNELS = by_name(
    overwrite, broadcast_to, sum_to, reshape, permute_dims, swapaxes, matrix_transpose, moveaxis, expand_dims,
    squeeze, concat_arrays, stack_arrays, narrow, flip, roll, pad, unpad, tile, repeat, unrepeat, tril, triu,
    diagonal, fill_diagonal, diag,
)  # fmt: skip
