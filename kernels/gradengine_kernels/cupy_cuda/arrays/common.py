"""What several families of kernels need: operands as arrays, axes in order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..lazy_cupy import cp

NUMBERS = (int, float, bool)


def as_array(x: Any) -> Any:
    """A Python number as a 0-d array, of the dtype that NumPy gives it; an array as it is."""
    return x if isinstance(x, cp.ndarray) else cp.asarray(x)


def is_floating(dtype: Any) -> bool:
    """True for floating-point dtypes; bfloat16 is of kind "V"."""
    return dtype.kind in "fV"


def choose(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, else b, as NumPy's `where` has it; CuPy 14 makes float32 of bfloat16."""
    found = cp.where(condition, a, b)
    kinds = {x.dtype for x in (a, b) if hasattr(x, "dtype")}
    return found.astype(*kinds) if len(kinds) == 1 and kinds != {found.dtype} and found.dtype.kind == "f" else found


def axis_of(axis: int, ndim: int) -> int:
    """An axis counted from the front. Raises NumPy's AxisError for one that is not there."""
    if not -ndim <= axis < ndim:
        raise np.exceptions.AxisError(axis, ndim)
    return axis % ndim


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes of a reduction, which NumPy lets be 0 or -1 for an array that has none."""
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, tuple) else (axis,)
    if ndim == 0 and len(given) == 1 and given[0] in (0, -1):
        return ()
    axes = tuple([axis_of(a.__index__(), ndim) for a in given])
    if len(set(axes)) < len(axes):
        raise ValueError("duplicate value in 'axis'")
    return axes


def reduced_shape(shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool) -> tuple[int, ...]:
    """The shape that a reduction leaves."""
    if keepdims:
        return tuple([1 if i in axes else n for i, n in enumerate(shape)])
    return tuple([n for i, n in enumerate(shape) if i not in axes])


def reduced_count(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    """How many elements go into each result."""
    return math.prod([shape[a] for a in axes])
