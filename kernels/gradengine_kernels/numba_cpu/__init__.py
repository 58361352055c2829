"""Device "cpu", backend "numba": compiled, threaded kernels for large arrays; the NumPy way for all others.

`pointwise` fuses a pointwise function into one loop; `kernels` wraps NumPy's reductions along rows. Importing this
costs nothing: Numba loads with the first array that is large enough.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from . import fused, rows
from .fused import SMALL, pointwise
from .rows import kernels

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SMALL", "every_size", "kernels", "pointwise"]


@contextlib.contextmanager
def every_size() -> Iterator[None]:
    """Compiled kernels for arrays of every size in all threads, so that small cases test them."""
    before = fused.SMALL
    fused.SMALL = rows.SMALL = 0
    try:
        yield
    finally:
        fused.SMALL = rows.SMALL = before
