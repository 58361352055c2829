"""Why there is no GPU to be had, and what an error of CUDA's means."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import Any

from . import driver

# By the names that CUDA has for them, in its runtime (cudaErrorLaunchTimeout) and its driver (CUDA_ERROR_...).
FAULTS = (
    "IllegalAddress", "LaunchFailure", "LaunchTimeout", "Assert", "HardwareStackError", "IllegalInstruction",
    "MisalignedAddress", "InvalidAddressSpace", "InvalidPc", "ECCUncorrectable", "ContextIsDestroyed", "Unknown",
    "StreamDetached", "TensorMemoryLeak",
)  # fmt: skip
FAULT_NAMES = frozenset(name.lower() for name in (*FAULTS, "LaunchFailed"))


def why_not() -> str:
    """Why CuPy, which is installed, cannot compute here, and what to do about it; "" when it can."""
    wanted = os.environ.get("GRADENGINE_CUDA_SYNC", "")
    if wanted not in ("", "0", "1"):
        return f"GRADENGINE_CUDA_SYNC must be 1 or 0, not {wanted!r}"
    try:
        import cupy
    except Exception as error:  # a library that is missing raises all kinds
        return f"CuPy is installed, but cannot be imported: {first_line(error)}"
    runtime = cupy.cuda.runtime
    try:
        count = runtime.getDeviceCount()
    except Exception as error:
        return why_no_devices(runtime, error)
    if not count:
        return no_device()
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:
        return f"CuPy does not find NVRTC, which compiles kernels ({first_line(error)}); {installing(runtime)}"
    if not finds_headers():
        return f"CuPy does not find CUDA's headers, without which it compiles no kernel; {installing(runtime)}"
    return ""


def finds_headers() -> bool:
    """Whether CuPy 14 will find CUDA's headers, asked as it asks; earlier ones bring their own."""
    try:
        from cuda.pathfinder import find_nvidia_header_directory
    except ImportError:
        return True
    try:
        return find_nvidia_header_directory("cudart") is not None
    except Exception:  # it will say so itself, when the first kernel is compiled
        return True


def installing(runtime: Any) -> str:
    """What brings what CuPy needs beside itself."""
    major = runtime.runtimeGetVersion() // 1000
    return f"{sys.executable} -m pip install 'cupy-cuda{major}x[ctk]', or set CUDA_PATH to a CUDA {major} toolkit"


def why_no_devices(runtime: Any, error: Exception) -> str:
    """What it means that CUDA cannot even count its devices."""
    said, supported, built = first_line(error), 0, 0
    with contextlib.suppress(Exception):
        supported, built = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    if "NoDevice" in said:
        return no_device()
    if not supported:
        return (
            f"no CUDA driver on this machine (CUDA says {said}); install NVIDIA's driver, or give the container its "
            "GPUs (docker run --gpus all)"
        )
    if supported // 1000 < built // 1000:
        return (
            f"this CuPy is built for CUDA {built // 1000}, the driver supports CUDA {version(supported)}; install "
            f"cupy-cuda{supported // 1000}x in its place, or a newer driver"
        )
    return f"CUDA does not start: {said} (driver for CUDA {version(supported)}, CuPy for CUDA {version(built)})"


def no_device() -> str:
    """What to say where there is a driver, but nothing for it to drive."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    hint = "" if visible is None else f" (CUDA_VISIBLE_DEVICES is {visible!r})"
    return f"CUDA sees no GPU{hint}"


def version(number: int) -> str:
    """CUDA's 12080 is version 12.8."""
    return f"{number // 1000}.{number % 1000 // 10}"


def first_line(error: Exception) -> str:
    """The beginning of an error's message, which may be pages long."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def kind(error: BaseException) -> str:
    """What went wrong on the device: "memory", "fault", "compile", "cuda" for anything else there, or ""."""
    if isinstance(error, (driver.OutOfMemoryError, MemoryError)):
        return "memory"
    if isinstance(error, driver.FaultError):
        return "fault"
    names = {each.__name__ for each in type(error).__mro__}  # CuPy's classes, wherever it keeps them
    if "CUBLAS_STATUS_ALLOC_FAILED" in str(error):
        return "memory"
    if isinstance(error, driver.CompileError) or names & {"CompileException", "NVRTCError"}:
        return "compile"
    if names & {"CUDARuntimeError", "CUDADriverError"}:
        code = str(error).split(":")[0].strip().replace("CUDA_ERROR_", "").replace("cudaError", "")
        code = code.replace("_", "").lower()
        if code in ("memoryallocation", "outofmemory"):
            return "memory"
        return "fault" if code in FAULT_NAMES else "cuda"
    return "cuda" if isinstance(error, driver.CudaError) or "CUBLASError" in names else ""


def source_and_log(error: BaseException) -> tuple[str, str]:
    """The CUDA C that did not compile, and what the compiler said."""
    log = getattr(error, "log", None)
    return str(getattr(error, "source", "")), str(error) if log is None else str(log)


def excerpt(source: str, log: str, around: int = 3, most: int = 40) -> str:
    """The numbered lines of the source that the log complains of, `kernel.cu(12): error`; its end if of none."""
    lines = source.splitlines()
    named = sorted({int(number) for number in re.findall(r"\((\d+)\)\s*:", log) if int(number) <= len(lines)})
    shown = {n for number in named for n in range(number - around, number + around + 1) if 0 < n <= len(lines)}
    chosen = sorted(shown)[:most] or range(max(1, len(lines) - most + 1), len(lines) + 1)
    return "\n".join(f"{n:5} {lines[n - 1]}" for n in chosen)
