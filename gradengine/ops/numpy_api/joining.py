"""Adapters of NumPy's functions that make one array of several."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.interpreter import k
from ...core.tensor_class import Tensor
from ...shapes.dtypes import check_dtype
from .registry import adapts, only, tensors


def cast(x: Tensor, dtype: Any, casting: str) -> Tensor:
    """A joined array in the dtype that is asked for."""
    if dtype is None:
        return x
    wanted = check_dtype(dtype, "dtype")
    only(np.can_cast(x.dtype, wanted, casting))  # type: ignore[arg-type]
    return x.to(wanted)


def listed(arrays: Any) -> list[Tensor]:
    """A sequence of arrays, or the rows of one."""
    return tensors(*(k.unstack(arrays) if isinstance(arrays, Tensor) else arrays))


@adapts(np.concatenate)
def concatenate(arrays, /, axis=0, out=None, *, dtype=None, casting="same_kind"):
    return cast(k.concat(listed(arrays), axis=axis), dtype, casting)


@adapts(np.stack)
def stack(arrays, axis=0, out=None, *, dtype=None, casting="same_kind"):
    return cast(k.stack(listed(arrays), axis=axis), dtype, casting)


@adapts(np.hstack)
def hstack(tup, *, dtype=None, casting="same_kind"):
    return cast(k.hstack(listed(tup)), dtype, casting)


@adapts(np.vstack)
def vstack(tup, *, dtype=None, casting="same_kind"):
    return cast(k.vstack(listed(tup)), dtype, casting)


@adapts(np.dstack)
def dstack(tup):
    return k.dstack(listed(tup))


@adapts(np.column_stack)
def column_stack(tup):
    return k.column_stack(listed(tup))


@adapts(np.append)
def append(arr, values, axis=None):
    x, more = tensors(arr, values)
    return k.concat([k.ravel(x), k.ravel(more)] if axis is None else [x, more], axis=0 if axis is None else axis)


@adapts(np.block)
def block(arrays):
    only(isinstance(arrays, list) and len(arrays) > 0)
    nested = [isinstance(row, list) for row in arrays]
    only(all(nested) or not any(nested))
    rows = arrays if all(nested) else [arrays]
    only(all([len(row) > 0 and not any([isinstance(x, list) for x in row]) for row in rows]))
    parts = [tensors(*row) for row in rows]
    most = max([x.ndim for row in parts for x in row] + [2 if all(nested) else 1])
    grown = [[k.reshape(x, shape=(1,) * (most - x.ndim) + x.shape) for x in row] for row in parts]
    joined = [k.concat(row, axis=-1) for row in grown]
    return k.concat(joined, axis=-2) if all(nested) else joined[0]
