"""What the kernels of compiled programs call, as source for either dtype. See row_kernels and product_kernels."""

# mypy: no-check-untyped-defs


def any_order_add(a, b):
    """A sum that may be taken in any order."""
    return a + b


def call_gemm(gemm, ta, tb, m, n, k, a, lda, b, ldb, c, ldc, one):
    """BLAS's gemm by its address; what is compiled has it."""
    raise NotImplementedError
