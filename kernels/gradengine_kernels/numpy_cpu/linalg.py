"""Kernels for products of arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


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
    product: Any = np.vecdot  # NumPy's stubs leave out `axis`
    return product(x1, x2, axis=axis)


KERNELS = {
    "matmul": np.matmul,
    "linear": linear,
    "linear_no_bias": linear_no_bias,
    "vecdot": vecdot,
}
