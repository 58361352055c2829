"""Emulated device memory as CuPy sees it: pools, pointers, and copies, whose addresses are checked.

And the module `cupy.cuda.runtime`, most of which is about memory.
"""

from __future__ import annotations

import ctypes
import os
import types
from typing import Any

import numpy as np

from . import guarded
from .machine import (
    DEVICE_BYTES,
    CUDARuntimeError,
    Device,
    OutOfMemoryError,
    check_device,
    current_stream,
    device_count,
    local,
    perform,
    refuse,
    stream_of,
)

ROUND = 512  # CuPy's pool gives out multiples of this


class Pool:
    """CuPy's memory pool, one for all devices, with each device's own numbers."""

    def __init__(self, device: int) -> None:
        self.device, self.used, self.kept, self.limit = device, 0, 0, 0
        self.kept_sizes: list[int] = []

    def malloc(self, size: int) -> MemoryPointer:
        """Memory for an array. Raises OutOfMemoryError."""
        if local.capturing:
            refuse("memory allocation; it would be given to others once it is freed, but the graph would use it still")
        rounded = -(-size // ROUND) * ROUND
        total = self.used + self.kept
        most = min(self.limit or DEVICE_BYTES, DEVICE_BYTES)
        if rounded > self.kept and total + rounded > most:
            self.kept, total = 0, self.used  # CuPy frees what it keeps, and tries again
            if total + rounded > most:
                raise OutOfMemoryError(rounded, total, self.limit)
        block = guarded.Block(size, self.device, self.freed)
        self.used += rounded
        self.kept = max(0, self.kept - rounded)
        return MemoryPointer(block, 0)

    def freed(self, size: int) -> None:
        """A block has come back."""
        rounded = -(-size // ROUND) * ROUND
        self.used -= rounded
        self.kept += rounded

    def used_bytes(self) -> int:
        return self.used

    def free_bytes(self) -> int:
        return self.kept

    def total_bytes(self) -> int:
        return self.used + self.kept

    def n_free_blocks(self) -> int:
        return int(self.kept > 0)

    def free_all_blocks(self, stream: Any = None) -> None:
        refuse("cudaFree")
        self.kept = 0

    def get_limit(self) -> int:
        return self.limit

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        self.limit = int(DEVICE_BYTES * fraction) if fraction is not None else int(size or 0)


pools = {i: Pool(i) for i in range(8)}


class MemoryPool:
    """The pool of whichever device is current."""

    def __init__(self, allocator: Any = None) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return getattr(pools[local.device], name)


class UnownedMemory:
    """Memory that somebody else owns."""

    def __init__(self, ptr: int, size: int, owner: Any, device_id: int = -1) -> None:
        self.ptr = self.start = int(ptr)
        self.size, self.owner = size, owner
        self.device_id = local.device if device_id < 0 else device_id
        self.bytes = (
            np.frombuffer((ctypes.c_ubyte * size).from_address(ptr), np.uint8) if size else np.empty(0, np.uint8)
        )

    @property
    def device(self) -> Device:
        return Device(self.device_id)


class DLPackMemory(UnownedMemory):
    """Memory that came by DLPack."""


class MemoryPointer:
    """An address in some memory."""

    __slots__ = ("mem", "ptr")

    def __init__(self, mem: Any, offset: int) -> None:
        self.mem, self.ptr = mem, mem.ptr + offset if mem.ptr else 0

    def __add__(self, offset: int) -> MemoryPointer:
        return MemoryPointer(self.mem, self.ptr + offset - self.mem.ptr)

    def __sub__(self, offset: int) -> MemoryPointer:
        return self + -offset

    def __int__(self) -> int:
        return self.ptr

    @property
    def device_id(self) -> int:
        return int(self.mem.device_id)

    @property
    def device(self) -> Device:
        return Device(self.mem.device_id)

    def memset(self, value: int, size: int) -> None:
        refuse("memset")
        fill(self.ptr, value, size)

    def memset_async(self, value: int, size: int, stream: Any = None) -> None:
        pointer = self.ptr
        perform(lambda: fill(pointer, value, size), stream)

    def copy_from_device_async(self, source: MemoryPointer, size: int, stream: Any = None) -> None:
        to, of = self.ptr, source.ptr
        perform(lambda: move(to, of, size, 3), stream)

    def copy_from_async(self, source: Any, size: int, stream: Any = None) -> None:
        if isinstance(source, MemoryPointer):
            self.copy_from_device_async(source, size, stream)
        else:
            self.copy_from_host_async(source, size, stream)

    def copy_from_host_async(self, source: Any, size: int, stream: Any = None) -> None:
        not_captured(stream, "H2D")
        to, of = self.ptr, address_of(source)
        perform(lambda: move(to, of, size, 1), stream)

    def copy_from(self, source: Any, size: int) -> None:
        refuse("memcpy")
        move(self.ptr, address_of(source), size, 4)

    copy_from_host = copy_from_device = copy_from

    def copy_to_host(self, to: Any, size: int) -> None:
        refuse("memcpy")
        move(address_of(to), self.ptr, size, 2)

    def copy_to_host_async(self, to: Any, size: int, stream: Any = None) -> None:
        not_captured(stream, "D2H")
        target, of = address_of(to), self.ptr
        perform(lambda: move(target, of, size, 2), stream)


def not_captured(stream: Any, what: str) -> None:
    """Raise what CuPy itself does, although CUDA would capture such copies: cupy.cuda.runtime.memcpyAsync is left."""
    if (stream or current_stream()).is_capturing():
        raise RuntimeError(f"the current stream is capturing, so {what} transfers are disallowed")


def address_of(memory: Any) -> int:
    """The address in what a copy may name."""
    if isinstance(memory, ctypes.c_void_p):
        return int(memory.value or 0)
    return int(getattr(memory, "ptr", memory))


class PinnedMemory(UnownedMemory):
    """Host memory that a device may copy from while the host goes on."""


class PinnedMemoryPointer:
    """Makes a buffer, as CuPy's does."""

    def __new__(cls, size: int) -> Any:
        kind = type("PinnedMemoryPointer", (ctypes.c_ubyte * max(size, 1),), {"size": lambda self: size})
        made = kind()
        made.ptr = ctypes.addressof(made)
        made.mem = made
        return made


def touchable(address: int, size: int, what: str) -> None:
    """Raise what a device would, unless the bytes are part of an array."""
    if size and not guarded.is_live(address, size) and guarded.slot_at(address) is not None:
        raise CUDARuntimeError(700, f"{what} of {size} bytes at {guarded.explain(address)}")


def fill(address: int, value: int, size: int) -> None:
    """Set bytes of a device."""
    if size and not guarded.is_live(address, size):
        raise CUDARuntimeError(700, f"memset of {size} bytes at {guarded.explain(address)}")
    ctypes.memset(address, value, size)


def move(to: int, source: int, size: int, kind: int) -> None:
    """Copy bytes; `kind` is cudaMemcpyKind."""
    if kind not in (1, 2, 3, 4):
        raise CUDARuntimeError(1, f"memcpy of kind {kind}")
    for address, device, what in ((to, kind in (1, 3), "copy to"), (source, kind in (2, 3), "copy from")):
        if size and device and not guarded.is_live(address, size) and guarded.slot_at(address) is None:
            raise CUDARuntimeError(1, f"{what} {address:#x}, which is memory of no array")
        touchable(address, size, what)
    ctypes.memmove(to, source, size)


# -- cupy.cuda.runtime --------------------------------------------------------------------------------------------


def properties(device: int) -> dict[str, Any]:
    """What CUDA says about a device."""
    check_device(device)
    return {
        "name": b"Emulated GPU", "totalGlobalMem": DEVICE_BYTES, "multiProcessorCount": 4, "major": 9, "minor": 0,
        "sharedMemPerBlock": 48 << 10, "sharedMemPerBlockOptin": 227 << 10, "sharedMemPerMultiprocessor": 228 << 10,
        "warpSize": 32, "maxThreadsPerBlock": 1024, "maxThreadsPerMultiProcessor": 2048, "regsPerBlock": 65536,
        "clockRate": 1980000, "memoryClockRate": 2619000, "memoryBusWidth": 5120, "l2CacheSize": 50 << 20,
        "maxGridSize": (2**31 - 1, 65535, 65535), "maxThreadsDim": (1024, 1024, 64),
    }  # fmt: skip


def set_device(device: int) -> None:
    """cudaSetDevice."""
    local.device = check_device(device)


def pointer_attributes(address: int) -> Any:
    """cudaPointerGetAttributes."""
    slot = guarded.slot_at(address)
    device = slot.block[2] if slot is not None and slot.block is not None else local.device
    return types.SimpleNamespace(device=device, devicePointer=address, hostPointer=0, type=2)


class Runtime(types.ModuleType):
    """The module `cupy.cuda.runtime`."""

    CUDARuntimeError = CUDARuntimeError
    is_hip = False
    memcpyHostToDevice, memcpyDeviceToHost, memcpyDeviceToDevice, memcpyDefault = 1, 2, 3, 4
    streamCaptureModeGlobal, streamCaptureModeThreadLocal, streamCaptureModeRelaxed = 0, 1, 2
    streamDefault, streamNonBlocking, streamLegacy, streamPerThread = 0, 1, 1, 2
    streamCaptureStatusNone, streamCaptureStatusActive, streamCaptureStatusInvalidated = 0, 1, 2
    getDeviceCount = staticmethod(device_count)
    getDeviceProperties = staticmethod(properties)
    getDevice = staticmethod(lambda: local.device)
    setDevice = staticmethod(set_device)
    deviceSynchronize = staticmethod(lambda: refuse("deviceSynchronize"))
    streamSynchronize = staticmethod(lambda stream: stream_of(stream).synchronize())
    streamIsCapturing = staticmethod(lambda stream: int(stream_of(stream).is_capturing()))
    memGetInfo = staticmethod(lambda: Device().mem_info)
    pointerGetAttributes = staticmethod(pointer_attributes)
    deviceGetAttribute = staticmethod(lambda attribute, device: {16: 4, 75: 9, 76: 0, 97: 227 << 10}[attribute])

    @staticmethod
    def driverGetVersion() -> int:
        return 0 if os.environ.get("GRADENGINE_EMULATED_DEVICES") == "none" else 13000

    @staticmethod
    def runtimeGetVersion() -> int:
        return 13000

    @staticmethod
    def memcpyAsync(dst: int, src: int, size: int, kind: int, stream: int) -> None:
        perform(lambda: move(dst, src, size, kind), stream_of(stream))

    @staticmethod
    def memsetAsync(dst: int, value: int, size: int, stream: int) -> None:
        perform(lambda: fill(dst, value, size), stream_of(stream))

    @staticmethod
    def memcpy(dst: int, src: int, size: int, kind: int) -> None:
        refuse("memcpy")
        move(dst, src, size, kind)

    @staticmethod
    def memset(dst: int, value: int, size: int) -> None:
        refuse("memset")
        fill(dst, value, size)
