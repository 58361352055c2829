"""Matrix products by one-thread BLAS on tiles, as source for either dtype; see row_kernels for what a kernel is.

The table holds the addresses of a, b, c and of BLAS's gemm, then sizes and strides in elements. A matrix is stored
by rows or, when its flag `t` is 1, by columns; c is stored by rows. BLAS stores by columns, so it is asked for
c.T = b.T @ a.T, whose operands it finds as they lie.
"""

# mypy: no-check-untyped-defs

import numpy as np

from .libm64 import real

ITEM = np.dtype(real).itemsize


def call_gemm(gemm, ta, tb, m, n, k, a, lda, b, ldb, c, ldc, one):
    """BLAS's gemm by its address; what is compiled has it. `one` tells the dtype of the factors 1 and 0."""
    raise NotImplementedError


def matmul_rows(reals, masks, ints, sizes, scalars, start, stop):
    """Rows start to stop of a @ b."""
    a, b, c, gemm = sizes[0], sizes[1], sizes[2], sizes[3]
    n, k, lda, ldb, ldc, ta, tb = sizes[4], sizes[5], sizes[6], sizes[7], sizes[8], sizes[9], sizes[10]
    a += start * (1 if ta else lda) * ITEM
    c += start * ldc * ITEM
    call_gemm(gemm, tb, ta, n, stop - start, k, b, ldb, a, lda, c, ldc, 1.0)


def matmul_columns(reals, masks, ints, sizes, scalars, start, stop):
    """Columns start to stop of a @ b."""
    a, b, c, gemm = sizes[0], sizes[1], sizes[2], sizes[3]
    m, k, lda, ldb, ldc, ta, tb = sizes[4], sizes[5], sizes[6], sizes[7], sizes[8], sizes[9], sizes[10]
    b += start * (ldb if tb else 1) * ITEM
    c += start * ITEM
    call_gemm(gemm, tb, ta, stop - start, m, k, b, ldb, a, lda, c, ldc, 1.0)


def matmul_batch(reals, masks, ints, sizes, scalars, start, stop):
    """Matrices start to stop of a stack of products."""
    a, b, c, gemm = sizes[0], sizes[1], sizes[2], sizes[3]
    m, n, k, lda, ldb, ta, tb = sizes[4], sizes[5], sizes[6], sizes[7], sizes[8], sizes[9], sizes[10]
    step_a, step_b = sizes[11], sizes[12]
    for i in range(start, stop):
        at_a, at_b, at_c = a + i * step_a * ITEM, b + i * step_b * ITEM, c + i * m * n * ITEM
        call_gemm(gemm, tb, ta, n, m, k, at_b, ldb, at_a, lda, at_c, n, 1.0)
