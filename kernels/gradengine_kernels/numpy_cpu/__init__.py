"""Device "cpu", backend "numpy": the definition that every other backend is held to.

A kernel takes and returns raw NumPy arrays, keeps their dtype and never writes to its inputs. Files by family:
pointwise, reduce, sorting, shape, index, linalg, nn, random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import index, linalg, nn, pointwise, random, reduce, shape, sorting
from . import low_precision as low_precision

if TYPE_CHECKING:
    from collections.abc import Callable

FAMILIES: list[Any] = [pointwise, reduce, sorting, shape, index, linalg, nn, random]

KERNELS: dict[str, Callable[..., Any]] = {name: run for family in FAMILIES for name, run in family.KERNELS.items()}
