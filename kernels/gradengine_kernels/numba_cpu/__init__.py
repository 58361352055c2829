"""Device "cpu", backend "numba": compiled, threaded kernels for large arrays; the NumPy way for all others.

`pointwise` fuses a pointwise function into one loop; `kernels` wraps NumPy's reductions along rows. Importing this
costs nothing: Numba loads with the first array that is large enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .fused import SMALL, pointwise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["SMALL", "kernels", "pointwise"]


def kernels(numpy_kernels: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Kernels for large arrays over the NumPy ones of the same names, which take all others."""
    return {}
