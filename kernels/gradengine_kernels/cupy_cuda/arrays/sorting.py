"""Sorting kernels. NaN counts as the largest number; CuPy has no sort but a stable one."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from ...xp_kernels import BACKWARDS, along, by_name
from ..lazy_cupy import cp
from . import moves
from .common import as_array, axis_of, is_floating
from .index import flat_positions

if TYPE_CHECKING:
    pass


def sortable(x: Any) -> Any:
    """x as a dtype that CuPy sorts: half precision becomes float32, in the same order."""
    return x.astype(np.float32) if x.dtype.itemsize == 2 and is_floating(x.dtype) else x


def sort(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The elements in order along an axis."""
    axis = axis_of(operator.index(axis), x.ndim)
    out = cp.sort(sortable(x), axis).astype(x.dtype, copy=False) if x.size else x.copy()
    return along(out, axis, BACKWARDS) if descending else out


def argsort(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The indices that sort; equal elements keep their order when descending too."""
    axis = axis_of(operator.index(axis), x.ndim)
    if not x.size:
        return cp.zeros(x.shape, np.int64)
    if not descending:
        return cp.argsort(sortable(x), axis, "stable")
    reverse = cp.argsort(along(sortable(x), axis, BACKWARDS), axis, "stable")
    return x.shape[axis] - 1 - along(reverse, axis, BACKWARDS)


def inverse_permutation(x: Any, axis: int = -1) -> Any:
    """Where each index along an axis is found."""
    axis = axis_of(axis, x.ndim)
    out = cp.empty(x.shape, x.dtype)
    if x.size:
        places = cp.arange(x.shape[axis], dtype=x.dtype).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
        positions = flat_positions(x, axis, x.shape)
        moves.assign(out.reshape(-1), cp.broadcast_to(places, x.shape).reshape(-1), positions, 0)
    return out


def top_indices(x: Any, count: int, axis: int = -1, largest: bool = True) -> Any:
    """The indices of the `count` largest or smallest elements, in order; among equal ones, of the first."""
    axis = axis_of(axis, x.ndim)
    if not 0 <= operator.index(count) <= x.shape[axis]:
        raise ValueError("out of range")
    return along(argsort(x, axis, descending=largest), axis, slice(count))


def searchsorted(x: Any, values: Any, side: str = "left") -> Any:
    """Where values would go in a sorted vector."""
    if side not in ("left", "right"):
        raise ValueError(f"side must be 'left' or 'right', got {side!r}")
    values = as_array(values)
    common = np.result_type(x.dtype, values.dtype)
    return cp.searchsorted(sortable(x.astype(common, copy=False)), sortable(values.astype(common, copy=False)), side)


KERNELS = by_name(
    sort, argsort, inverse_permutation, top_indices, searchsorted,
)  # fmt: skip
