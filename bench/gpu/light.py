"""First light, in two seconds: what everything else needs of CUDA, each by itself, so that the first run on a machine
says at once which of them is missing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from .parts import halves

if TYPE_CHECKING:
    from collections.abc import Callable

    from .parts import Settings
    from .report import Report

CODE = """
extern "C" __global__ void light(const float* x, float* y, const i64 n) {
  const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = 2.0f * x[i] + 1.0f;
}
"""
COUNT, TIMED = 1000, 200
TOLERANCE = {"float64": 1e-12, "float32": 1e-5, "float16": 2e-3, "bfloat16": 2e-2}


def run(report: Report, settings: Settings) -> None:
    """All of them; those after the first that fails are tried all the same."""
    start = time.perf_counter()
    if settings.device == "cpu":
        report.fact("left out", "the CPU has no driver")
        return
    if not report.check("CuPy is imported, and has a device", lambda: device(settings)):
        return
    from gradengine_kernels.cupy_cuda import driver

    state: dict[str, Any] = {}
    checks: dict[str, Callable[[], Any]] = {
        "memory is allocated, and a copy comes back": lambda: copies(state),
        "NVRTC compiles a kernel": lambda: state.update(kernel=driver.function("light", CODE)),
        "the driver launches it": lambda: launched(state),
        "launches are captured, and a graph replays them": lambda: captured(state),
        "a copy to the host is captured": lambda: copied_in_a_graph(state),
        "a copy on the device is captured": lambda: copied_on_the_device(state),
    }
    for name in ("float64", "float32", *halves(report)):
        checks[f"cuBLASLt multiplies {name}"] = lambda n=name: multiplied(n)
    for name, function in checks.items():
        report.check(name, function)
    report.fact("seconds", round(time.perf_counter() - start, 2))


def device(settings: Settings) -> str:
    """What is there."""
    settings.prepare()
    import cupy

    from gradengine_kernels.cupy_cuda import diagnosis
    from gradengine_kernels.cupy_cuda.gemm import cublaslt

    if reason := diagnosis.why_not():
        raise RuntimeError(reason)
    runtime = cupy.cuda.runtime
    said = (
        f"CUDA {runtime.runtimeGetVersion()}, driver {runtime.driverGetVersion()}, NVRTC {cupy.cuda.nvrtc.getVersion()}"
    )
    return f"{said}, cuBLASLt {cublaslt.lib().get_version()}"


def copies(state: dict[str, Any]) -> None:
    """To the device and back."""
    import cupy

    given = np.arange(COUNT, dtype=np.float32)
    state["x"], state["given"] = cupy.asarray(given), given
    state["y"] = cupy.empty_like(state["x"])
    same(state["x"].get(), given)


def same(found: Any, wanted: Any) -> None:
    """Raise where they differ."""
    if not np.array_equal(found, wanted):
        raise ValueError(f"{found[:3]}... instead of {wanted[:3]}...")


def launch(state: dict[str, Any]) -> None:
    """Twice x, and 1, to y."""
    from gradengine_kernels.cupy_cuda import driver

    driver.launch(state["kernel"], -(-COUNT // 256), 256, (state["x"], state["y"], COUNT))


def launched(state: dict[str, Any]) -> str:
    """Its result, and what a launch costs the host."""
    launch(state)
    same(state["y"].get(), 2 * state["given"] + 1)
    start = time.perf_counter()
    for _ in range(TIMED):
        launch(state)
    return f"{(time.perf_counter() - start) / TIMED * 1e6:.1f} us each"


def captured(state: dict[str, Any]) -> str:
    """A graph of two launches."""
    from gradengine_kernels.cupy_cuda import driver

    state["y"].fill(0)

    def work() -> None:
        launch(state)
        launch(state)

    graph = driver.capture(work, lambda: None)
    state["y"].fill(0)
    graph.launch()
    same(state["y"].get(), 2 * state["given"] + 1)
    start = time.perf_counter()
    for _ in range(TIMED):
        graph.launch()
    driver.wait()
    return f"{(time.perf_counter() - start) / TIMED * 1e6:.1f} us for two"


def copied_in_a_graph(state: dict[str, Any]) -> None:
    """A graph with a node that copies to pinned memory."""
    import cupy

    from gradengine_kernels.cupy_cuda import driver

    memory = cupy.cuda.alloc_pinned_memory(state["y"].nbytes)
    host = np.frombuffer(memory, np.float32, COUNT)
    graph = driver.capture(lambda: driver.to_host(memory.ptr, state["y"]), lambda: None)
    host[:] = 0
    launch(state)
    graph.launch()
    driver.wait()
    same(host, 2 * state["given"] + 1)


def copied_on_the_device(state: dict[str, Any]) -> None:
    """A graph with a node that copies from array to array."""
    import cupy

    from gradengine_kernels.cupy_cuda import driver

    target = cupy.zeros_like(state["x"])
    stream = cupy.cuda.get_current_stream
    copy = lambda: target.data.copy_from_device_async(state["x"].data, target.nbytes, stream())
    driver.capture(copy, lambda: None).launch()
    same(target.get(), state["given"])


def multiplied(name: str) -> str:
    """A product beside NumPy's in float64."""
    import cupy

    from gradengine_kernels.cupy_cuda.gemm import kernels

    if name == "bfloat16":
        import ml_dtypes

        dtype: Any = np.dtype(ml_dtypes.bfloat16)
    else:
        dtype = np.dtype(name)
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((48, 48)).astype(np.float32) for _ in range(2))
    low = [cupy.asarray(x.astype(dtype)) for x in (a, b)]
    want = np.matmul(*[x.get().astype(np.float64) for x in low])
    got = kernels.matmul(*low).get().astype(np.float64)
    off = float(np.abs(got - want).max() / np.abs(want).max())
    if not off <= TOLERANCE[name]:
        raise ValueError(f"off by {off:.1e} of the largest element")
    return f"off by {off:.1e}"
