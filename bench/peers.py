"""PyTorch and JAX at their best settings, as callables; each part says when a peer is not installed."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = sorted({1, os.cpu_count() or 1})


def have(package: str) -> bool:
    """Whether a peer is installed."""
    return importlib.util.find_spec(package) is not None


def torch_threads(function: Callable[[], Any], threads: int) -> Callable[[], Any]:
    """The function with PyTorch's thread count set, which costs under a microsecond when it stays the same."""
    import torch

    def call() -> Any:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        return function()

    return call


def each_thread_count(function: Callable[[], Any]) -> dict[str, Callable[[], Any]]:
    """The PyTorch candidate once for one thread and once for all."""
    return {f"PyTorch, {n} thread{'s' if n > 1 else ''}": torch_threads(function, n) for n in THREADS}
