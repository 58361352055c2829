"""Emulated devices, streams and graphs: CuPy's `cupy.cuda`, as far as it does not concern memory.

GRADENGINE_EMULATED_DEVICES says how many devices there are (1 unless it says otherwise; "none" means no driver). What
is launched runs at once. While a stream captures, launches and copies are recorded, and what CUDA refuses then raises.
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
import time
import types
import weakref
from typing import Any

DEVICE_BYTES = 80 << 30

RUNTIME_ERRORS = {
    1: ("cudaErrorInvalidValue", "invalid argument"),
    2: ("cudaErrorMemoryAllocation", "out of memory"),
    35: ("cudaErrorInsufficientDriver", "CUDA driver version is insufficient for CUDA runtime version"),
    100: ("cudaErrorNoDevice", "no CUDA-capable device is detected"),
    101: ("cudaErrorInvalidDevice", "invalid device ordinal"),
    700: ("cudaErrorIllegalAddress", "an illegal memory access was encountered"),
    715: ("cudaErrorIllegalInstruction", "an illegal instruction was encountered"),
    900: ("cudaErrorStreamCaptureUnsupported", "operation not permitted when stream is capturing"),
    901: ("cudaErrorStreamCaptureInvalidated", "operation failed due to a previous error during capture"),
    905: ("cudaErrorStreamCaptureIsolation", "dependency created on uncaptured work in another stream"),
    906: (
        "cudaErrorStreamCaptureImplicit",
        "operation would make the legacy stream depend on a capturing blocking stream",
    ),
}


class CUDARuntimeError(RuntimeError):
    """What CUDA's runtime answers."""

    def __init__(self, status: int, detail: str = "") -> None:
        name, text = RUNTIME_ERRORS[status]
        super().__init__(f"{name}: {text}" + (f" [{detail}]" if detail else ""))
        self.status = status


class CUDADriverError(RuntimeError):
    """What CUDA's driver answers."""

    def __init__(self, status: int, detail: str = "") -> None:
        name, text = {
            1: ("CUDA_ERROR_INVALID_VALUE", "invalid argument"),
            500: ("CUDA_ERROR_NOT_FOUND", "named symbol not found"),
        }[status]
        super().__init__(f"{name}: {text}" + (f" [{detail}]" if detail else ""))
        self.status = status


class OutOfMemoryError(MemoryError):
    """CuPy's, with its words."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        text = f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes"
        super().__init__(f"{text}, limit set to: {limit:,} bytes)." if limit else f"{text}).")


# -- devices ------------------------------------------------------------------------------------------------------


class Local(threading.local):
    """Each thread has its own current device, and current stream on each device."""

    def __init__(self) -> None:
        self.device = 0
        self.streams: dict[int, list[Stream]] = {}
        self.capturing: list[Stream] = []


local = Local()


def device_count() -> int:
    """How many devices there are."""
    text = os.environ.get("GRADENGINE_EMULATED_DEVICES", "1")
    if text == "none":
        raise CUDARuntimeError(35)
    if text == "0":
        raise CUDARuntimeError(100)
    return int(text)


def check_device(ordinal: int) -> int:
    """The ordinal, of a device that is there."""
    if not 0 <= ordinal < device_count():
        raise CUDARuntimeError(101)
    return ordinal


class Device:
    """A device, which `with` makes the current one."""

    def __init__(self, device: Any = None) -> None:
        self.id = local.device if device is None else int(getattr(device, "id", device))
        self.before: list[int] = []

    def use(self) -> None:
        local.device = check_device(self.id)

    def __enter__(self) -> Device:
        self.before.append(local.device)
        self.use()
        return self

    def __exit__(self, *error: Any) -> None:
        local.device = self.before.pop()

    def synchronize(self) -> None:
        refuse("deviceSynchronize")

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self) -> int:
        return self.id

    def __int__(self) -> int:
        return self.id

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    compute_capability = "90"
    attributes = types.MappingProxyType({"MultiProcessorCount": 4, "MaxSharedMemoryPerBlockOptin": 227 << 10})

    @property
    def pci_bus_id(self) -> str:
        return f"0000:{self.id + 1:02X}:00.0"

    @property
    def mem_info(self) -> tuple[int, int]:
        from .device_memory import pools

        return DEVICE_BYTES - pools[self.id].total_bytes(), DEVICE_BYTES


# -- streams and graphs -------------------------------------------------------------------------------------------


class Stream:
    """A queue of work that is done at once, or recorded."""

    numbers = itertools.count(0x1000, 16)
    null: Stream
    ptds: Stream

    def __init__(
        self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: Any = None
    ) -> None:
        self.ptr = 0 if null else 2 if ptds else next(self.numbers)
        self.device_id, self.is_non_blocking, self.priority = local.device, non_blocking, priority or 0
        self.nodes: list[Any] | None = None
        self.spoilt = False

    def __enter__(self) -> Stream:
        local.streams.setdefault(local.device, []).append(self)
        return self

    def __exit__(self, *error: Any) -> None:
        local.streams[local.device].pop()

    def use(self) -> Stream:
        stack = local.streams.setdefault(local.device, [])
        stack[-1:] = [self]
        return self

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Stream) and other.ptr == self.ptr

    def __hash__(self) -> int:
        return self.ptr

    @property
    def done(self) -> bool:
        return True

    def synchronize(self) -> None:
        if self.nodes is not None:
            refuse("streamSynchronize")

    def record(self, event: Any = None) -> Any:
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Any) -> None:
        if self.nodes is not None and event.captured is not self:
            self.spoilt = True
            raise CUDARuntimeError(905)

    def add_callback(self, callback: Any, arg: Any) -> None:
        refuse("streamAddCallback")
        callback(self, 0, arg)

    def launch_host_func(self, callback: Any, arg: Any) -> None:
        perform(lambda: callback(arg), self)

    def begin_capture(self, mode: Any = None) -> None:
        if self.ptr in (0, 2):
            raise CUDARuntimeError(900, "the legacy default stream cannot be captured")
        if self.nodes is not None:
            raise CUDARuntimeError(1, "the stream is capturing already")
        self.nodes, self.spoilt = [], False
        local.capturing.append(self)

    def end_capture(self) -> Graph:
        if self.nodes is None:
            raise CUDARuntimeError(1, "the stream is not capturing")
        nodes, self.nodes = self.nodes, None
        local.capturing.remove(self)
        if self.spoilt:
            raise CUDARuntimeError(901)
        return Graph(nodes)

    def is_capturing(self) -> bool:
        return self.nodes is not None


Stream.null = Stream(null=True)
Stream.ptds = Stream(ptds=True)


class ExternalStream(Stream):
    """A stream that somebody else has made."""

    def __init__(self, ptr: int, device_id: int = -1) -> None:
        super().__init__()
        self.ptr = ptr


class Graph:
    """What was recorded, to be repeated. It keeps nothing alive, as in CUDA."""

    def __init__(self, nodes: list[Any]) -> None:
        self.nodes, self.graph, self.graphExec = nodes, id(nodes), id(self)

    def launch(self, stream: Any = None) -> None:
        for node in self.nodes:
            perform(node, stream)

    def upload(self, stream: Any = None) -> None:
        refuse("graphUpload")


class Event:
    """A moment in a stream."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.time, self.captured, self.ptr = 0.0, None, id(self)

    def record(self, stream: Any = None) -> None:
        stream = stream or current_stream()
        self.time, self.captured = time.perf_counter(), stream if stream.nodes is not None else None

    @property
    def done(self) -> bool:
        return True

    def synchronize(self) -> None:
        if self.captured is not None:
            refuse("eventSynchronize")


def elapsed_time(start: Event, end: Event) -> float:
    """Milliseconds between two events."""
    return (end.time - start.time) * 1e3


def current_stream(device_id: int | None = None) -> Stream:
    """The stream that work goes to."""
    stack = local.streams.get(local.device if device_id is None else device_id)
    return stack[-1] if stack else Stream.null


def stream_of(pointer: int) -> Stream:
    """The stream with that address, of those that this thread knows."""
    for stream in (current_stream(), *local.capturing):
        if stream.ptr == pointer:
            return stream
    return Stream.null if not pointer else ExternalStream(pointer)


def refuse(what: str) -> None:
    """Raise, and spoil the capture, when this thread captures: for what CUDA does not permit then."""
    if local.capturing:
        for stream in local.capturing:
            stream.spoilt = True
        raise CUDARuntimeError(900, what)


def perform(action: Any, stream: Any = None, uses: Any = ()) -> None:
    """Do what goes to a stream, or record it. When it runs later, the arrays that it `uses` must still be there."""
    stream = stream or current_stream()
    if stream.nodes is not None:
        if uses:
            action = functools.partial(repeat, action, [weakref.ref(array._mem) for array in uses])
        stream.nodes.append(action)
    elif local.capturing:
        for capturing in local.capturing:
            capturing.spoilt = True
        raise CUDARuntimeError(906, "work for another stream than the one that captures")
    else:
        action()


def repeat(action: Any, memories: list[Any]) -> None:
    """Do what was recorded."""
    if any(memory() is None for memory in memories):
        raise CUDARuntimeError(700, "a graph uses memory of an array that has been freed")
    action()
