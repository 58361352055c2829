"""Kernels for products of arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .sums import FEW, LONG, dot, product, total


def rows(x: np.ndarray) -> np.ndarray:
    """All axes but the last as one: many small products in one call cost less than many calls."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def linear_no_bias(x: Any, weight: Any) -> Any:
    """`x @ weight.T`."""
    if weight.ndim != 2:
        raise ValueError("weight must have two dimensions")
    if x.ndim <= 2:
        return np.matmul(x, weight.T)
    return np.matmul(rows(x), weight.T).reshape(*x.shape[:-1], weight.shape[0])


def linear(x: Any, weight: Any, bias: Any) -> Any:
    """`x @ weight.T + bias`."""
    y = linear_no_bias(x, weight)
    if bias.shape != weight.shape[:1]:
        raise ValueError("bias must have one element per row of weight")
    if bias.dtype != y.dtype:
        return y + bias
    y += bias
    return y


def vecdot(x1: Any, x2: Any, axis: int) -> Any:
    """Dot products along an axis."""
    if x1.size > FEW and x1.ndim and x1.dtype == np.float32 == x2.dtype and -x1.ndim <= axis < x1.ndim:
        if x1.ndim == x2.ndim == 1:
            return dot(x1, x2)
        if x1.ndim == x2.ndim and (x1.shape[axis] > FEW or axis % x1.ndim < x1.ndim - 1):
            return total(x1 * x2, axis)  # `axis` is one of each operand, so that of other ranks they do not broadcast
    product: Any = np.vecdot  # NumPy's stubs leave out `axis`
    return product(x1, x2, axis=axis)


def matmul(x1: Any, x2: Any) -> Any:
    """The matrix product; long sums of float32 are added up in stretches."""
    if x1.size > FEW and x1.shape[-1] > LONG and x1.dtype == np.float32 == x2.dtype:
        if x1.ndim == x2.ndim == 1 and x1.shape == x2.shape:
            return dot(x1, x2)
        if 4 * LONG < x1.shape[-1] == len(x2) and x1.ndim <= 2 and x2.ndim <= 2:
            columns = x2 if x2.ndim == 2 else x2[:, None]
            found = product(x1 if x1.ndim == 2 else x1[None], columns)
            return found.reshape(x1.shape[:-1] + x2.shape[1:])
    return np.matmul(x1, x2)


KERNELS = {
    "matmul": matmul,
    "linear": linear,
    "linear_no_bias": linear_no_bias,
    "vecdot": vecdot,
}
