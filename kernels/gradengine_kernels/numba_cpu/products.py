"""Large matrix products: one-thread BLAS on tiles, spread over Numba's threads; all others go to NumPy.

Both run with one BLAS thread (see blas); NumPy's products of two small operands run as the user has set it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .blas import gemm_address, one_thread
from .fused import F32, F64

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Two operands with fewer elements than this make no large product, and none that BLAS spreads over threads.
SMALL_OPERAND = 1 << 12
# Multiplications that two threads do faster than one.
LARGE_PRODUCT = 1 << 25
ndarray = np.ndarray


def stored(x: Any) -> tuple[int, int] | None:
    """(distance of rows or columns, 1 if by columns) of a matrix, or of a stack of them, as BLAS can read it."""
    if not x.flags.aligned or any([step % x.itemsize for step in x.strides]):
        return None
    rows, columns = x.shape[-2:]
    down, right = x.strides[-2] // x.itemsize, x.strides[-1] // x.itemsize
    if right == 1 and down >= columns:
        return down, 0
    if down == 1 and right >= rows:
        return right, 1
    return None


def tiled(a: Any, b: Any) -> Any:
    """a @ b for matrices, or stacks of them, on all threads; None where NumPy should do it."""
    if type(a) is not ndarray or type(b) is not ndarray or a.dtype is not b.dtype or a.ndim < 2 or b.ndim < 2:
        return None
    if (a.dtype is not F32 and a.dtype is not F64) or a.shape[-1] != b.shape[-2]:
        return None
    work = a.size * b.shape[-1]
    if work < LARGE_PRODUCT or not work:
        return None
    if b.ndim == 2 and a.ndim > 2 and a.flags.c_contiguous:
        return None if (c := tiled(a.reshape(-1, a.shape[-1]), b)) is None else c.reshape(*a.shape[:-1], b.shape[1])
    if a.ndim == b.ndim > 3 and a.shape[:-2] == b.shape[:-2]:
        c = tiled(a.reshape(-1, *a.shape[-2:]), b.reshape(-1, *b.shape[-2:]))
        return None if c is None else c.reshape(*a.shape[:-2], *c.shape[1:])
    layout_a, layout_b = stored(a), stored(b)
    if layout_a is None or layout_b is None:
        return None
    (lda, ta), (ldb, tb) = layout_a, layout_b
    m, k = a.shape[-2:]
    n = b.shape[-1]
    from . import runtime

    if not runtime.usable():
        return None
    sizes: tuple[int, ...]
    gemm = gemm_address(a.dtype.name)
    if a.ndim == 2 and b.ndim == 2:
        c = np.empty((m, n), a.dtype)
        name, other, total = ("matmul_rows", n, m) if m >= n else ("matmul_columns", m, n)
        sizes = (gemm, other, k, lda, ldb, n, ta, tb)
    else:
        if a.shape[:-2] != b.shape[:-2] or a.ndim != 3:
            return None
        c = np.empty((len(a), m, n), a.dtype)
        name, total = "matmul_batch", len(a)
        steps = (a.strides[0] // a.itemsize, b.strides[0] // b.itemsize)
        sizes = (gemm, m, n, k, lda, ldb, ta, tb, *steps)
    run = runtime.kernel_of("product_kernels.py", name, a.dtype.name)
    with one_thread:
        run((a, b, c), sizes, (), total, work / total * (0.012 if a.dtype is F32 else 0.024))
    return c


def by_numpy(kernel: Callable[..., Any], *arrays: Any) -> Any:
    """NumPy's own kernel, with one BLAS thread: Numba's are waiting on the other cores."""
    with one_thread:
        return kernel(*arrays)


def matmul(numpy_matmul: Callable[..., Any]) -> Callable[..., Any]:
    def call(a: Any, b: Any) -> Any:
        if a.size < SMALL_OPERAND and b.size < SMALL_OPERAND:
            return numpy_matmul(a, b)
        c = tiled(a, b)
        return by_numpy(numpy_matmul, a, b) if c is None else c

    return call


def linear(numpy_linear: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any, weight: Any, bias: Any) -> Any:
        if x.size < SMALL_OPERAND and weight.size < SMALL_OPERAND:
            return numpy_linear(x, weight, bias)
        y = tiled(x, weight.T) if weight.ndim == 2 and bias.shape == weight.shape[:1] else None
        if y is None or bias.dtype is not y.dtype:
            return by_numpy(numpy_linear, x, weight, bias)
        y += bias
        return y

    return call


def linear_no_bias(numpy_linear: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any, weight: Any) -> Any:
        if x.size < SMALL_OPERAND and weight.size < SMALL_OPERAND:
            return numpy_linear(x, weight)
        y = tiled(x, weight.T) if weight.ndim == 2 else None
        return by_numpy(numpy_linear, x, weight) if y is None else y

    return call


WRAPPERS: Mapping[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "matmul": matmul,
    "linear": linear,
    "linear_no_bias": linear_no_bias,
}
