"""Sorting kernels. NaN counts as the largest number."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..xp_kernels import BACKWARDS, along, by_name

if TYPE_CHECKING:
    from collections.abc import Callable

numpy_searchsorted: Callable[..., Any] = np.searchsorted  # its type has a literal for each side


def sort(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The elements in order along an axis."""
    axis = operator.index(axis)
    out = np.sort(x, axis, "stable" if stable else None)
    return along(out, axis, BACKWARDS) if descending else out


def argsort(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The indices that sort; equal elements keep their order when descending too."""
    axis = operator.index(axis)
    if not descending:
        return x.argsort(axis, "stable" if stable else None)
    length = x.shape[axis]
    reverse = along(x, axis, BACKWARDS).argsort(axis, "stable" if stable else None)
    return length - 1 - along(reverse, axis, BACKWARDS)


def inverse_permutation(x: Any, axis: int = -1) -> Any:
    """Where each index along an axis is found."""
    out = np.empty_like(x)
    places = np.arange(x.shape[axis]).reshape([-1 if a == axis % x.ndim else 1 for a in range(x.ndim)])
    np.put_along_axis(out, x, places, axis)
    return out


def top_indices(x: Any, count: int, axis: int = -1, largest: bool = True) -> Any:
    """The indices of the `count` largest or smallest elements, in order; among equal ones, of the first."""
    length = x.shape[axis]
    if not 0 <= operator.index(count) <= length:
        raise ValueError("out of range")
    if 0 < count <= length // 8:
        found = partial_top(x, count, axis, largest)
        if found is not None:
            return found
    return along(argsort(x, axis, descending=largest), axis, slice(count))


def partial_top(x: Any, count: int, axis: int, largest: bool) -> Any:
    """The same without sorting everything; None where equal elements (or NaN) stand on both sides of the cut."""
    length = x.shape[axis]
    cut = length - count if largest else count - 1
    order = x.argpartition(cut, axis)
    chosen = along(order, axis, slice(cut, None) if largest else slice(count))
    chosen = np.sort(chosen, axis)
    values = np.take_along_axis(x, chosen, axis)
    last = values.min(axis, keepdims=True) if largest else values.max(axis, keepdims=True)
    if not np.array_equal((x == last).sum(axis), (values == last).sum(axis)) or not (last == last).all():
        return None
    return np.take_along_axis(chosen, argsort(values, axis, descending=largest), axis)


def searchsorted(x: Any, values: Any, side: str = "left") -> Any:
    """Where values would go in a sorted vector."""
    return numpy_searchsorted(x, values, side)


KERNELS = by_name(
    sort, argsort, inverse_permutation, top_indices, searchsorted,
)  # fmt: skip
