"""Sorting kernels. NaN counts as the largest number. May import NumPy."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

numpy_searchsorted: Callable[..., Any] = np.searchsorted  # its type has a literal for each side


def sort(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The elements in order along an axis."""
    axis = operator.index(axis)
    out = np.sort(x, axis, "stable" if stable else None)
    return np.flip(out, axis) if descending else out


def argsort(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The indices that sort; equal elements keep their order when descending too."""
    axis = operator.index(axis)
    if not descending:
        return np.argsort(x, axis, "stable" if stable else None)
    reverse = np.argsort(np.flip(x, axis), axis, "stable" if stable else None)
    return x.shape[axis] - 1 - np.flip(reverse, axis)


def top_indices(x: Any, count: int, axis: int = -1, largest: bool = True) -> Any:
    """The indices of the `count` largest or smallest elements, in order; among equal ones, of the first."""
    if not 0 <= operator.index(count) <= x.shape[axis]:
        raise ValueError("out of range")
    order = argsort(x, axis, descending=largest)
    return order[(slice(None),) * (axis % x.ndim) + (slice(count),)]


def searchsorted(x: Any, values: Any, side: str = "left") -> Any:
    """Where values would go in a sorted vector."""
    return numpy_searchsorted(x, values, side)


KERNELS: dict[str, Callable[..., Any]] = {
    "sort": sort,
    "argsort": argsort,
    "top_indices": top_indices,
    "searchsorted": searchsorted,
}
