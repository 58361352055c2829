"""Kernels that change an array's shape, or the order of its elements; views wherever CuPy can give one.

Where elements come from in a border, or in copies of different numbers, NumPy works out on the host.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from ...xp_kernels import by_name, diagonal, matrices, matrix_transpose, moving, narrow, swapaxes, unpadding
from ..lazy_cupy import cp
from . import moves
from .common import as_array, choose
from .reduce import reduced

if TYPE_CHECKING:
    from collections.abc import Callable

numpy_pad: Callable[..., Any] = np.pad  # its type has a literal for each mode
moveaxis, roll, overwrite, stacked = moving(cp)


def broadcast_to(x: Any, shape: Any) -> Any:
    """x repeated to `shape`."""
    return cp.broadcast_to(as_array(x), shape)


def sum_to(x: Any, shape: tuple[int, ...]) -> Any:
    """The sums over all that `broadcast_to` repeats."""
    x = as_array(x)
    lead = x.ndim - len(shape)
    kept = x.shape[lead:]
    axes = (*range(lead), *[i + lead for i, n in enumerate(shape) if n == 1 and kept[i] != 1])
    if x.dtype.itemsize == 2 and x.dtype.kind in "fV":
        return reduced("sum", x.astype(np.float32), axes, False, np.dtype(np.float32)).astype(x.dtype).reshape(shape)
    dtype = x.dtype
    if dtype.kind in "biu":
        dtype = np.dtype(np.uint64 if dtype.kind == "u" else np.int64)
    return reduced("sum", x, axes, False, dtype).reshape(shape)


def reshape(x: Any, shape: Any) -> Any:
    """The same elements in another shape."""
    return as_array(x).reshape(shape)


def permute_dims(x: Any, axes: tuple[int, ...]) -> Any:
    """The axes in another order."""
    return as_array(x).transpose(axes)


def expand_dims(x: Any, axis: Any = 0) -> Any:
    """A new axis of size 1."""
    return cp.expand_dims(as_array(x), axis)


def squeeze(x: Any, axis: Any = None) -> Any:
    """Axes of size 1 taken away."""
    return as_array(x).squeeze(axis)


def concat_arrays(*arrays: Any, axis: int | None = 0) -> Any:
    """Arrays joined along an axis."""
    return cp.concatenate([as_array(x) for x in arrays], axis)


def stack_arrays(*arrays: Any, axis: int = 0) -> Any:
    """Arrays joined along a new axis."""
    return stacked(*[as_array(x) for x in arrays], axis=axis)


def flip(x: Any, axis: Any = None) -> Any:
    """The elements in reverse order along axes."""
    return cp.flip(x, axis)


def widths(pad_width: Any, ndim: int) -> Any:
    """A pair (before, after) for each axis, from any of the forms that `np.pad` takes."""
    given = np.asarray(pad_width)
    if given.dtype.kind != "i":
        raise TypeError("`pad_width` must be of integral type.")
    if given.size and given.min() < 0:
        raise ValueError("index can't contain negative values")
    return np.broadcast_to(given, (ndim, 2)).tolist()


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    """x with a border."""
    pairs = widths(pad_width, x.ndim)
    if mode != "constant":
        for axis, (before, after) in enumerate(pairs):
            if before or after:
                x = moves.gather(x, cp.asarray(numpy_pad(np.arange(x.shape[axis]), (before, after), mode)), axis)
        return x
    if not isinstance(constant_values, (int, float)):
        return cp.pad(x, pairs, constant_values=constant_values)
    shape = [n + before + after for n, (before, after) in zip(x.shape, pairs)]
    out = cp.full(shape, constant_values, x.dtype) if constant_values != 0 else cp.zeros(shape, x.dtype)
    out[tuple([slice(before, before + n) for n, (before, _) in zip(x.shape, pairs)])] = x
    return out


def add_groups(x: Any, group: Any, count: int, axis: int) -> Any:
    """The sums of the elements of each of `count` groups along an axis; `group` says where each belongs."""
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    return moves.scatter_add(x, cp.asarray(group), axis, shape, checked=False)


def tile(x: Any, repetitions: Any) -> Any:
    """Copies of x side by side."""
    return cp.tile(as_array(x), repetitions)


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each element several times."""
    x = as_array(x)
    if axis is None:
        x, axis = x.reshape(-1), 0
    if type(repeats) is int:
        return cp.repeat(x, repeats, axis)
    repeats = np.asarray(repeats)
    if repeats.dtype.kind not in "iub" and repeats.size:
        raise TypeError("repeats must be integers")
    return moves.gather(x, cp.asarray(np.repeat(np.arange(x.shape[axis]), repeats.astype(np.int64))), axis % x.ndim)


def unrepeat(x: Any, repeats: Any, axis: int, length: int) -> Any:
    """The adjoint of `repeat`: the copies of each element added up."""
    if isinstance(repeats, int):
        copies = x.reshape((*x.shape[:axis], length, repeats, *x.shape[axis + 1 :]))
        return reduced("sum", copies, axis + 1, False, x.dtype)
    return add_groups(x, np.repeat(np.arange(length), repeats), length, axis)


def tril(x: Any, k: int = 0) -> Any:
    """x with zeros above diagonal k."""
    return triangle(x, operator.index(k), "less_equal")


def triu(x: Any, k: int = 0) -> Any:
    """x with zeros below diagonal k."""
    return triangle(x, operator.index(k), "greater_equal")


def triangle(x: Any, k: int, relation: str) -> Any:
    """x where column - row has a relation to k, else 0."""
    rows, columns = matrices(x).shape[-2:]
    difference = cp.arange(columns) - cp.arange(rows)[:, None]
    return choose(getattr(cp, relation)(difference, k), x, cp.zeros((), x.dtype))


def fill_diagonal(x: Any, shape: tuple[int, ...], offset: int = 0, axis1: int = -2, axis2: int = -1) -> Any:
    """Zeros of `shape` with x on a diagonal: the adjoint of `diagonal`."""
    out = cp.zeros(shape, x.dtype)
    view = cp.moveaxis(out, (axis1, axis2), (-2, -1))
    places = cp.arange(max(min(view.shape[-2] + min(offset, 0), view.shape[-1] - max(offset, 0)), 0))
    if places.size:
        view[..., places + max(-offset, 0), places + max(offset, 0)] = x
    return out


def diag(x: Any, offset: int = 0) -> Any:
    """A vector as a diagonal matrix, a matrix' diagonal as a vector."""
    if x.ndim == 1:
        size = len(x) + abs(offset)
        return fill_diagonal(x, (size, size), offset)
    if x.ndim != 2:
        raise ValueError("Input must be 1- or 2-d.")
    return x.diagonal(offset)


unpad = unpadding(add_groups)

KERNELS = by_name(
    overwrite, broadcast_to, sum_to, reshape, permute_dims, swapaxes, matrix_transpose, moveaxis, expand_dims,
    squeeze, concat_arrays, stack_arrays, narrow, flip, roll, pad, unpad, tile, repeat, unrepeat, tril, triu,
    diagonal, fill_diagonal, diag,
)  # fmt: skip
