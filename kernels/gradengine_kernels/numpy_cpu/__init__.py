"""Device "cpu", backend "numpy": the definition that every other backend is held to.

A kernel takes and returns raw NumPy arrays, keeps their dtype and never writes to its inputs. Files by family:
pointwise, reduce, shape, index, linalg, nn, random. Imports NumPy only (SciPy where it is installed, for special functions).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import index, linalg, nn, pointwise, random, reduce, shape, sorting

if TYPE_CHECKING:
    from collections.abc import Callable

KERNELS: dict[str, Callable[..., Any]] = {
    **pointwise.KERNELS,
    **reduce.KERNELS,
    **shape.KERNELS,
    **sorting.KERNELS,
    **index.KERNELS,
    **linalg.KERNELS,
    **nn.KERNELS,
    **random.KERNELS,
}
