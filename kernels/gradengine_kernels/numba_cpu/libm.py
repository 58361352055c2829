"""Elementary functions for either dtype, in terms of those in libm32 and libm64."""

# mypy: no-check-untyped-defs

from .libm64 import exp


def wide_vectors():
    """In a kernel that is compiled: use the widest vectors there are."""


def sigmoid(x):
    # Of the two exponentials the one that cannot overflow.
    e = exp(-abs(x))
    return (1.0 if x >= 0.0 else e) / (1.0 + e)
