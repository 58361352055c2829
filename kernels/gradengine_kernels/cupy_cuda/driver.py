"""The CUDA driver, as far as kernels need it: compile CUDA C, launch it, capture many launches as one graph.

The only file that does so. Work goes to CuPy's current stream and nobody waits for it, unless `synchronous` is set.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import os
import threading
import warnings
from typing import TYPE_CHECKING, Any

from .lazy_cupy import cp
from .prelude import PRELUDE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

OPTIONS = ("-std=c++17",)
synchronous = os.environ.get("GRADENGINE_CUDA_SYNC", "") == "1"  # `diagnosis` refuses all but 0 and 1


class CudaError(RuntimeError):
    """The CUDA driver, or a library on top of it, has refused."""


class CompileError(CudaError):
    """A kernel that NVRTC does not take: its `source`, and the compiler's `log`."""

    def __init__(self, message: str, source: str, log: str) -> None:
        super().__init__(message)
        self.source, self.log = source, log


class OutOfMemoryError(CudaError):
    """The device has no memory left for an array."""


class FaultError(CudaError):
    """A kernel that ran earlier has gone wrong; the device is of no use to this process any more."""


# -- compiling and launching --------------------------------------------------------------------------------------


def named(name: str, code: str) -> str:
    """A kernel's name with a hash of its code, so that no two kernels share one."""
    return f"{name}_{hashlib.sha256(code.encode()).hexdigest()[:12]}"


def function(name: str, code: str, options: tuple[str, ...] = OPTIONS) -> Any:
    """The kernel `name` in `code`, which comes without the prelude, for the current device; loaded, once."""
    return loaded(name, code, options, here())


IN_MEMORY = "CUPY_CACHE_IN_MEMORY"  # CuPy reads this variable whenever it compiles


@functools.cache
def loaded(name: str, code: str, options: tuple[str, ...], device: int) -> Any:
    """A kernel, compiled. CuPy keeps the machine code on disk, and verifies what it reads from there."""
    source = f"{PRELUDE}\n{code}"
    try:
        try:
            kernel = compiled(source, name, options)
        except OSError as error:  # a full disk, say
            if os.environ.get(IN_MEMORY) == "1":
                raise
            os.environ[IN_MEMORY] = "1"
            warnings.warn(
                f"CuPy cannot keep compiled kernels ({error}), so every process compiles them again; free some space "
                "in ~/.cupy, or set CUPY_CACHE_DIR to a folder that you may write to",
                RuntimeWarning,
                stacklevel=2,
            )
            kernel = compiled(source, name, options)
    except Exception as error:
        log = compiler_log(error)
        if log is None:
            raise
        message = f"CUDA kernel {name} does not compile:\n{log}\n-- source --\n{code}"
        raise CompileError(message, source, log) from None
    _ = kernel.attributes  # CUDA loads a kernel when it is first looked at, which must not be in a capture
    return kernel


def compiled(source: str, name: str, options: tuple[str, ...]) -> Any:
    """CuPy's kernel, compiled."""
    kernel = cp.RawKernel(source, name, options=options)
    kernel.compile()
    return kernel


def compiler_log(error: Exception) -> str | None:
    """What NVRTC has said, if that is what the error is about."""
    if type(error).__name__ == "CompileException":
        get = getattr(error, "get_message", None)
        return str(get()) if get is not None else str(error)
    return None


def launch(kernel: Any, grid: int, block: int, args: Sequence[Any], shared: int = 0) -> None:
    """Run a kernel on the current stream."""
    kernel((grid,), (block,), args, shared_mem=shared)
    if synchronous:
        wait()


def to_host(address: int, array: Any) -> None:
    """Copy an array to pinned host memory on the current stream, also while that captures."""
    # An array's own way to the host refuses to be captured, although CUDA does not.
    runtime = cp.cuda.runtime
    stream = cp.cuda.get_current_stream().ptr
    runtime.memcpyAsync(address, array.data.ptr, array.nbytes, runtime.memcpyDeviceToHost, stream)


def wait() -> None:
    """Let the device catch up, unless this is being captured."""
    stream = cp.cuda.get_current_stream()
    if not stream.is_capturing():
        stream.synchronize()


def set_synchronous(on: bool) -> None:
    """Wait after every launch, or not: a fault is then raised by what has caused it."""
    global synchronous
    synchronous = bool(on)


@functools.cache
def multiprocessors(device: int) -> int:
    """How many multiprocessors a device has."""
    return int(cp.cuda.runtime.getDeviceProperties(device)["multiProcessorCount"])


def here() -> int:
    """The number of the current device."""
    return int(cp.cuda.runtime.getDevice())


# -- graphs -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """No garbage collection inside: it could free memory of another graph, which a capture must not see."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


capturing = threading.Lock()  # there is one stream for all captures


@functools.cache
def capture_stream(device: int) -> Any:
    """The stream that captures go through."""
    return cp.cuda.Stream(non_blocking=True)


def capture(work: Callable[[], None], prepare: Callable[[], None]) -> Any:
    """What `work` launches, as a graph: `graph.launch()` repeats it on the current stream.

    All memory must have its place, and all kernels be loaded, before; `prepare` does so on the stream of the capture.
    """
    stream = capture_stream(here())
    with capturing, no_collection(), stream:
        prepare()
        stream.synchronize()
        stream.begin_capture()
        try:
            work()
        except BaseException:
            with contextlib.suppress(Exception):  # a capture that went wrong has no graph to give
                stream.end_capture()
            raise
        return stream.end_capture()
