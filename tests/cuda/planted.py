"""What the tests of the emulator share: a kernel, and the care that no planted fault leaves a trace."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cuda import guarded, launching

MARKS = [
    pytest.mark.cuda,
    pytest.mark.skipif(os.environ.get("GRADENGINE_TEST_CUDA") == "device", reason="about the emulator itself"),
]
cp = pytest.importorskip("cupy")
ADD = """
extern "C" __global__ void add(const float* a, const float* b, float* c, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) c[i] = a[i] + b[i];
}
"""


@pytest.fixture(autouse=True)
def unrecorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No real compiler is to see what is wrong on purpose, and no fault outlives its test."""
    monkeypatch.delenv("EMULATED_SOURCES", raising=False)
    before = launching.seed
    yield
    launching.set_seed(before)
    guarded.damage.clear()


def kernel(source: str, name: str) -> Any:
    return cp.RawKernel(source, name, ("-std=c++17",))
