"""What can be asked of CUDA and set for it: devices, their memory, when to wait, TF32.

Ops on a "cuda" Tensor run on CuPy's current stream of this thread, one after the other, and the host does not wait
for them: `.item()`, `.numpy()` and `synchronize()` do. Work of your own on the same stream is in order with them:

    with cupy.cuda.Stream():      # this thread's ops go there; wait before another stream reads the results
        y = model(x)

Other libraries' arrays come and go without copies through DLPack and `__cuda_array_interface__`, both of which say on
which stream an array is ready. May import backend; imports CuPy with the first question to a device.

>>> import gradengine as ge
>>> x = ge.ones(3, device="cuda" if ge.cuda.is_available() else "cpu")
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import backend as backends
from .errors import ArgumentError, DeviceError

__all__ = [
    "current_device", "device_count", "empty_cache", "get_device_name", "is_available", "is_synchronous", "is_tf32",
    "mem_get_info", "memory_allocated", "memory_reserved", "set_synchronous", "set_tf32", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """True when Tensors can be on "cuda" here; `ge.backends()["cupy"]` says why not.

    >>> import gradengine as ge
    >>> ge.cuda.is_available() == (ge.backends()["cupy"] == "available")
    True
    """
    return not backends.why_not("cupy")


def device_count() -> int:
    """How many GPUs there are; 0 where CUDA cannot be used.

    >>> import gradengine as ge
    >>> (ge.cuda.device_count() > 0) == ge.cuda.is_available()
    True
    """
    if not is_available():
        return 0
    from gradengine_kernels.cupy_cuda import memory

    return memory.device_count()


def current_device() -> int:
    """The number of the GPU that "cuda" stands for where no number is given: 0, or that of the default device."""
    default = backends.get_default_device()
    return int(default[5:]) if default.startswith("cuda:") else gpu().memory.ordinal


def gpu(device: Any = None) -> Any:
    """The backend of a GPU, given as a number, a name or (None) the current one. Raises DeviceError for the CPU."""
    if device is None:
        default = backends.get_default_device()
        device = default if default != "cpu" else "cuda"
    backend = backends.for_device(f"cuda:{device}" if isinstance(device, int) else device)
    if backend.device == "cpu":
        raise DeviceError(f"cuda: {device!r} is no GPU; use 'cuda' or 'cuda:<number>'")
    return backend


def get_device_name(device: Any = None) -> str:
    """The name of a GPU, as its manufacturer has it. Raises DeviceError where there is no such device."""
    return gpu(device).memory.name()


def names() -> list[str]:
    """The names of all GPUs, in the order of their numbers; none where CUDA cannot be used."""
    return [get_device_name(i) for i in range(device_count())]


def synchronize(device: Any = None) -> None:
    """Wait until a GPU has done all that it was given. What went wrong there since is raised here."""
    gpu(device).synchronize()


def memory_allocated(device: Any = None) -> int:
    """The bytes that arrays take on a GPU, CuPy's own among them."""
    return gpu(device).memory.used()


def memory_reserved(device: Any = None) -> int:
    """The bytes that this process holds in CuPy's pool of a GPU's memory, in use or ready for use."""
    return gpu(device).memory.reserved()


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """The bytes of a GPU that no process has, and those that there are."""
    return gpu(device).memory.free_and_total()


def empty_cache() -> None:
    """Give back to CUDA the memory that the pools of all used GPUs hold and no array uses."""
    for backend in backends.loaded_gpus():
        backend.memory.release()


def switch(what: str, on: Any) -> bool:
    """A setting that is on or off. Raises ArgumentError for anything else."""
    if not isinstance(on, (bool, np.bool_)):
        raise ArgumentError(f"cuda.{what}: takes True or False, got {on!r}")
    return bool(on)


def set_synchronous(on: bool) -> None:
    """Wait for each kernel to end before the next begins, so that a fault is raised by the op that has caused it.

    A debugging aid: it takes most of the speed. GRADENGINE_CUDA_SYNC=1 in the environment does it from the start.

    >>> import gradengine as ge
    >>> ge.cuda.set_synchronous(True)
    >>> ge.cuda.is_synchronous()
    True
    >>> ge.cuda.set_synchronous(False)
    """
    from gradengine_kernels.cupy_cuda import driver

    driver.set_synchronous(switch("set_synchronous", on))
    for backend in backends.loaded_gpus():
        backend.set_synchronous(driver.synchronous)


def is_synchronous() -> bool:
    """True when each kernel is waited for."""
    from gradengine_kernels.cupy_cuda import driver

    return driver.synchronous


def set_tf32(on: bool) -> None:
    """Multiply float32 matrices in TF32, which keeps 10 bits of each factor, or not (as at first).

    >>> import gradengine as ge
    >>> ge.cuda.set_tf32(True)
    >>> ge.cuda.is_tf32()
    True
    >>> ge.cuda.set_tf32(False)
    """
    from gradengine_kernels.cupy_cuda import products

    products.set_tf32(switch("set_tf32", on))


def is_tf32() -> bool:
    """True when float32 matrix products are computed in TF32."""
    from gradengine_kernels.cupy_cuda import products

    return products.is_tf32()
