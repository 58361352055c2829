"""The kernels under pytest-benchmark: `pytest bench/test_kernels.py --benchmark-group-by=param:row,param:size`."""

from __future__ import annotations

from typing import Any

import pytest

import gradengine as ge
from bench import kernels


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("size", kernels.SIZES)
@pytest.mark.parametrize("row", kernels.FORWARD)
def test_forward(benchmark: Any, row: str, size: int, backend: str) -> None:
    """The op alone."""
    if ge.backends()[backend] != "available":
        pytest.skip(f"{backend}: {ge.backends()[backend]}")
    benchmark(kernels.candidates_for(row, size, backward=False)[f"gradengine {backend}"])


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("size", kernels.SIZES)
@pytest.mark.parametrize("row", kernels.BACKWARD)
def test_backward(benchmark: Any, row: str, size: int, backend: str) -> None:
    """The op and its gradient."""
    if ge.backends()[backend] != "available":
        pytest.skip(f"{backend}: {ge.backends()[backend]}")
    benchmark(kernels.candidates_for(row, size, backward=True)[f"gradengine {backend}"])
