"""What the kernels of compiled programs call, as source for either dtype. See row_kernels and product_kernels."""

# mypy: no-check-untyped-defs

import numpy as np


def any_order_add(a, b):
    """A sum that may be taken in any order."""
    return a + b


def call_gemm(gemm, ta, tb, m, n, k, a, lda, b, ldb, c, ldc, one):
    """BLAS's gemm by its address; what is compiled has it."""
    raise NotImplementedError


def high_word(a, b):
    """The upper half of the product of two 64-bit words."""
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    a_low, a_high, b_low, b_high = a & low, a >> shift, b & low, b >> shift
    middle = a_high * b_low + ((a_low * b_low) >> shift)
    return a_high * b_high + (middle >> shift) + (((middle & low) + a_low * b_high) >> shift)


def philox(seed, offset, block):
    """Philox4x64-10 of the counter (offset + block, 0, 0, 0) under the key (seed, 0): four words.

    Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
    """
    c0 = offset + block
    c1 = np.uint64(1) if c0 < offset else np.uint64(0)
    c2, c3, k0, k1 = np.uint64(0), np.uint64(0), seed, np.uint64(0)
    m0, m1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
    for _ in range(10):
        high0, low0, high1, low1 = high_word(m0, c0), m0 * c0, high_word(m1, c2), m1 * c2
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0 += np.uint64(0x9E3779B97F4A7C15)
        k1 += np.uint64(0xBB67AE8584CAA73B)
    return c0, c1, c2, c3
