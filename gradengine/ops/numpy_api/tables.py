"""The whole table of adapters, filled by the files that it imports, and how a function is run by it."""

from __future__ import annotations

from typing import Any

from . import creation, joining, pointwise, products, reductions, shapes  # noqa: F401 - they fill the table
from .registry import ADAPTERS, perform


def run(function: Any, args: Any, kwargs: Any) -> Any:
    """A NumPy function on arguments that hold Tensors."""
    return perform(function, ADAPTERS.get(function), args, kwargs)
