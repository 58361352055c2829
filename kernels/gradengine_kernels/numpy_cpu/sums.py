"""Sums of float32 that keep their accuracy along every axis, which `np.add.reduce` does only along the last one.

NumPy adds neighbours in pairs of pairs, but rows one after the other: the error of a sum of n rows grows with n. Here
long axes are cut into short stretches first, and the sums of those are added up the same way. A matrix of few columns
is seen as one of fewer and longer rows, which is many times faster too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

SINGLE = np.dtype(np.float32)
FEW = 2048  # elements whose sum needs no care
STRETCH = 32  # rows that are added one after the other
LONG = 4096  # products that BLAS may add up to one element of a matrix
WIDE = 512  # elements that make a row worth a loop of its own
add_reduce: Callable[..., Any] = np.add.reduce


def total(x: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> Any:
    """`np.add.reduce`; float32 is added up in pairs of short stretches along each axis."""
    if x.size <= FEW or x.dtype is not SINGLE or (dtype is not None and dtype != SINGLE):
        return add_reduce(x, axis, dtype, None, keepdims)
    ndim = x.ndim
    if axis is None:
        axes = tuple(range(ndim))
    elif isinstance(axis, tuple):
        if len({a % ndim for a in axis}) < len(axis) or not all([-ndim <= a < ndim for a in axis]):
            return add_reduce(x, axis, None, None, keepdims)  # which says what is wrong
        axes = tuple(sorted([a % ndim for a in axis]))
    elif -ndim <= axis < ndim:
        axes = (axis % ndim,)
    else:
        return add_reduce(x, axis, None, None, keepdims)
    if all([x.shape[a] <= 4 * STRETCH for a in axes]) or in_one_piece(x, axes):
        return add_reduce(x, axes, None, None, keepdims)
    kept = tuple([1 if a in axes else n for a, n in enumerate(x.shape)])
    y = summed(x, axes)
    return y.reshape(kept) if keepdims else y


def in_one_piece(x: Any, axes: tuple[int, ...]) -> bool:
    """Whether the elements of each sum are neighbours in memory, so that NumPy adds them in pairs."""
    flags = x.flags
    if len(axes) == x.ndim:
        return bool(flags.c_contiguous or flags.f_contiguous)
    if flags.c_contiguous:
        return axes[0] == x.ndim - len(axes)
    return bool(flags.f_contiguous) and axes[-1] == len(axes) - 1


def summed(x: Any, axes: tuple[int, ...]) -> Any:
    """The sums over sorted axes: last ones that lie together first, then one axis after the other."""
    first = len(axes)
    if x.flags.c_contiguous:
        while first and axes[first - 1] == x.ndim - 1 - (len(axes) - first):
            first -= 1
    if first < len(axes):
        x = add_reduce(x, axes[first:])
    for a in reversed(axes[:first]):
        x = along(x, a)
    return x


def along(x: Any, axis: int) -> Any:
    """The sums along one axis."""
    shape = x.shape
    rows, columns = shape[axis], x.size // shape[axis] if shape[axis] else 0
    if not axis and columns < WIDE and rows > 2 * STRETCH and x.flags.c_contiguous and columns:
        fold = min(WIDE // columns, rows // STRETCH)
        if fold > 1:
            whole = rows // fold * fold
            folded = stretches(x[:whole].reshape(rows // fold, fold * columns), 0)
            y = stretches(folded.reshape(fold, *shape[1:]), 0)
            return y if whole == rows else y + add_reduce(x[whole:], 0)
    if axis == x.ndim - 1 and x.strides[axis] == x.itemsize:
        return add_reduce(x, axis)
    return stretches(x, axis)


def stretches(x: Any, axis: int) -> Any:
    """The sums along one axis, stretch by stretch; what is left after two rounds is little: in double precision."""
    rounds = 0
    while x.shape[axis] > 2 * STRETCH and rounds < 2:
        rounds += 1
        count, rest = divmod(x.shape[axis], STRETCH)
        before, after = x.shape[:axis], x.shape[axis + 1 :]
        along = (slice(None),) * axis
        whole = x[(*along, slice(count * STRETCH))].reshape(*before, count, STRETCH, *after)
        y = add_reduce(whole, axis + 1)
        if rest:
            y[(*along, -1)] += add_reduce(x[(*along, slice(-rest, None))], axis)
        x = y
    if x.shape[axis] > 2 * STRETCH:
        return add_reduce(x, axis, np.float64).astype(SINGLE)
    return add_reduce(x, axis)


def dot(x: Any, y: Any) -> Any:
    """The dot product of two vectors, of float32 in stretches: BLAS adds them up in single precision."""
    if x.size <= FEW or x.dtype is not SINGLE or y.dtype is not SINGLE:
        return np.dot(x, y)
    whole = x.size // FEW * FEW
    parts: Any = np.vecdot(x[:whole].reshape(-1, FEW), y[:whole].reshape(-1, FEW))
    return add_reduce(parts) + np.dot(x[whole:], y[whole:])


def product(x: Any, y: Any) -> Any:
    """The product of two matrices of float32 that many products make each element of, some of them at a time."""
    found = np.zeros((x.shape[0], y.shape[1]))
    for start in range(0, x.shape[1], LONG):
        found += np.matmul(x[:, start : start + LONG], y[start : start + LONG])
    return found.astype(SINGLE)
