"""Arrays in a GPU's memory: made, moved, handed over to other libraries. And the device's memory as numbers.

`Memory(ordinal)` does on one GPU what NumPy does for host memory; everything runs on CuPy's current stream. Imports
CuPy when one is made.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

DLPACK_CUDA, DLPACK_MANAGED = 2, 13  # the kinds of DLPack device whose memory a GPU can reach
BORROWED = ("UnownedMemory", "DLPackMemory")  # what CuPy calls memory that it has not allocated


def device_count() -> int:
    """How many GPUs CUDA sees. Raises CuPy's error where there is no driver."""
    import cupy

    return int(cupy.cuda.runtime.getDeviceCount())


def home(value: Any) -> int | None:
    """The ordinal of the GPU that holds an array of any library; None for what is not in a GPU's memory."""
    if hasattr(value, "__dlpack_device__"):
        kind, ordinal = value.__dlpack_device__()
        return int(ordinal) if int(kind) in (DLPACK_CUDA, DLPACK_MANAGED) else None
    if not hasattr(value, "__cuda_array_interface__"):
        return None
    import cupy

    attributes = cupy.cuda.runtime.pointerGetAttributes(value.__cuda_array_interface__["data"][0])
    return int(attributes.device)


class Memory:
    """The arrays of one GPU."""

    def __init__(self, ordinal: int) -> None:
        import cupy

        self.cupy, self.ordinal = cupy, ordinal
        self.alone = device_count() == 1  # then it is always the current device, and nobody need say so
        self.device = cupy.cuda.Device(ordinal)
        self.one: dict[Any, Any] = {}  # the scalar 1 of each dtype, where every backward walk begins

    def here(self) -> contextlib.AbstractContextManager[Any]:
        """A context in which this GPU is CUDA's current one. (A Device would remember one former device only.)"""
        return contextlib.nullcontext() if self.alone else self.cupy.cuda.Device(self.ordinal)

    def asarray(self, value: Any, dtype: Any = None, copy: bool = False) -> Any:
        """`value` as an array of this GPU, without a copy of what is there already unless `copy`."""
        with self.here():
            if not isinstance(value, self.cupy.ndarray):
                if home(value) is None:
                    return self.cupy.asarray(np.asarray(value, dtype))
                value = self.adopt(value)
            if copy or value.device.id != self.ordinal:
                return self.cupy.array(value, dtype)
            return value if dtype is None else value.astype(dtype, copy=False)

    def adopt(self, value: Any) -> Any:
        """Another library's array on a GPU as CuPy's, around the same memory and in order with its stream."""
        if hasattr(value, "__dlpack__"):
            return self.cupy.from_dlpack(value)
        return self.cupy.asarray(value)

    def shares(self, value: Any, array: Any) -> bool:
        """True when `value`, of any library, begins where `array` does."""
        if home(value) != self.ordinal:
            return False
        there = value if isinstance(value, self.cupy.ndarray) else self.adopt(value)
        return bool(there.data.ptr == array.data.ptr)

    def new_ones(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """An array of ones."""
        if shape:
            with self.here():
                return self.cupy.ones(shape, dtype)
        found = self.one.get(dtype)
        if found is None:
            with self.here():
                found = self.one[dtype] = self.cupy.ones((), dtype)
        return found

    def cast(self, array: Any, dtype: Any) -> Any:
        """The array in another dtype, itself when it has that dtype already."""
        if not isinstance(array, self.cupy.ndarray):
            return self.asarray(array, dtype)
        with self.here():
            return array.astype(dtype, copy=False)

    def to_numpy(self, array: Any) -> np.ndarray[Any, Any]:
        """The array in host memory; waits for what computes it."""
        if not isinstance(array, self.cupy.ndarray):
            return np.asarray(array)
        return array.get()

    def duplicate(self, array: Any) -> Any:
        """A copy that nobody else sees."""
        return self.asarray(array, copy=True)

    def writable(self, array: Any) -> bool:
        """True for an array that owns its memory; what another library has handed over, that one can see too."""
        return type(array) is self.cupy.ndarray and array.base is None and type(array.data.mem).__name__ not in BORROWED

    def exportable(self, array: Any) -> Any:
        """The array as one that describes itself to DLPack."""
        return self.asarray(array)

    # -- the device ---------------------------------------------------------------------------------------------

    def name(self) -> str:
        """What the manufacturer calls the GPU."""
        name = self.cupy.cuda.runtime.getDeviceProperties(self.ordinal)["name"]
        return name.decode() if isinstance(name, bytes) else str(name)

    def synchronize(self) -> None:
        """Wait for everything that this GPU was given to do."""
        self.device.synchronize()

    def used(self) -> int:
        """How many bytes arrays take."""
        with self.here():
            return int(self.cupy.get_default_memory_pool().used_bytes())

    def reserved(self) -> int:
        """How many bytes the pool has got from CUDA, in use or not."""
        with self.here():
            return int(self.cupy.get_default_memory_pool().total_bytes())

    def free_and_total(self) -> tuple[int, int]:
        """How many bytes CUDA could still give out, and how many the GPU has."""
        free, total = self.device.mem_info
        return int(free), int(total)

    def release(self) -> None:
        """Give back to CUDA what no array uses."""
        with self.here():
            self.cupy.get_default_memory_pool().free_all_blocks()


class Exports:
    """Arrays whose addresses other libraries have been told, kept as long as what told them lives."""

    def __init__(self) -> None:
        self.kept: dict[int, tuple[Any, list[Any]]] = {}
        self.lock = threading.RLock()  # a collection, and so a farewell, may come at any moment

    def keep(self, owner: Any, array: Any, refer: Callable[..., Any]) -> None:
        """Keep `array` as long as `owner` lives; `refer(owner, farewell)` makes a weak reference."""
        with self.lock:
            key = id(owner)
            if key not in self.kept:
                self.kept[key] = refer(owner, lambda _: self.kept.pop(key, None)), []
            if not any(array is known for known in self.kept[key][1]):
                self.kept[key][1].append(array)
