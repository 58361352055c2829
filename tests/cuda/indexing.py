"""Indices as CuPy understands them, for NumPy: integers beyond an axis count round it instead of raising."""

from __future__ import annotations

from typing import Any

import numpy as np

QUIET = dict(all="ignore")


def plain_key(key: Any, operand: Any) -> tuple[Any, bool]:
    """An index for NumPy that gives arrays even for single elements, and whether arrays are part of it."""
    items = key if type(key) is tuple else (key,)
    out, arrays, dots = [], False, False
    for item in items:
        kind = type(item)
        if kind is list or hasattr(item, "_a"):
            item = np.asarray(operand(item))
            if item.dtype.kind not in "iub" and item.size:
                raise IndexError("arrays used as indices must be of integer or boolean type.")
            arrays = True
        elif isinstance(item, np.ndarray):
            raise TypeError(f"an index of NumPy's, of {item.dtype}: move it to the device first")
        elif item is ...:
            dots = True
        out.append(item)
    if not dots:
        out.append(...)
    return tuple(out), arrays


def wrapped(index: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[Any, ...]:
    """The index with its integer arrays counted round the axes, as CuPy does instead of raising."""
    taken = sum(
        i.ndim if isinstance(i, np.ndarray) and i.dtype.kind == "b" else i is not None and i is not ... for i in index
    )
    out, axis = [], 0
    for item in index:
        if item is ...:
            axis += len(shape) - taken
        elif item is not None:
            if isinstance(item, np.ndarray) and item.dtype.kind in "iu" and axis < len(shape) and shape[axis]:
                item = item % shape[axis]
            axis += item.ndim if isinstance(item, np.ndarray) and item.dtype.kind == "b" else 1
        out.append(item)
    return tuple(out)


def assign(target: Any, index: tuple[Any, ...], arrays: bool, value: Any) -> None:
    """Assign. Of an element that is named twice, the first value stays: CuPy says nothing about which."""
    if arrays:
        ints = [i for i in index if isinstance(i, np.ndarray)]
        if len(ints) == len(index) - 1 and all(i.dtype.kind in "iu" for i in ints) and index[-1] is ...:
            at = np.broadcast_arrays(*ints)
            last = wrapped((*at, ...), target.shape)[:-1]
            shape = at[0].shape + target.shape[len(at) :]
            values = np.broadcast_to(value, shape).reshape(-1, *target.shape[len(at) :])
            target[tuple(i.reshape(-1)[::-1] for i in last)] = values[::-1]
            return
    with np.errstate(**QUIET):
        try:
            target[index] = value
        except IndexError:
            if not arrays:
                raise
            target[wrapped(index, target.shape)] = value
