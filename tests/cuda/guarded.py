"""The emulated devices' memory: every block ends at a page that nobody may touch, and is watched on its other side.

New memory reads as NaN (0xff) and freed memory does again. A block ends at most 15 bytes before its guard page, since
kernels ask for 16-byte alignment; those bytes, and the 64 before the block, must be as they were when it is freed.
"""

from __future__ import annotations

import bisect
import ctypes
import mmap
from typing import Any

import numpy as np

PAGE = mmap.PAGESIZE
BATCH = 64  # one-page slots that are mapped at once
# A process may have 65,530 mappings, and kernels need some: blocks beyond so many have no page of their own.
MOST_GUARDED = 12_000
KEPT = 256  # pages up to which a freed slot is kept for the next block of its size
BEFORE = 64
CANARY = b"\xff" * BEFORE
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
NONE, READ_WRITE = 0, mmap.PROT_READ | mmap.PROT_WRITE

damage: list[str] = []  # what was found out where nothing can be raised
guarded = 0
free_slots: dict[int, list[Slot]] = {}
spare_slots: dict[int, list[Slot]] = {}  # without guard pages, for when there are too many
starts: list[int] = []  # of all slots, in order
slots: dict[int, Slot] = {}


def reserve(size: int, protection: int) -> int:
    """Address space."""
    where = libc.mmap(None, size, protection, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    if where is None or where == ctypes.c_size_t(-1).value:
        raise MemoryError(f"the emulator cannot map {size} bytes")
    return int(where)


class Slot:
    """Some pages between two guard pages: room for one block at a time."""

    __slots__ = ("block", "bytes", "end", "guarded", "pages", "start", "view")

    def __init__(self, start: int, pages: int, guarded: bool) -> None:
        self.start, self.pages, self.end, self.guarded = start, pages, start + pages * PAGE, guarded
        buffer = (ctypes.c_ubyte * (pages * PAGE)).from_address(start)
        self.bytes = np.frombuffer(buffer, np.uint8)
        self.view = memoryview(buffer).cast("B")
        self.bytes[:] = 0xFF
        self.block: tuple[int, int, int] | None = None  # address, size and device of what lies here
        bisect.insort(starts, start)
        slots[start] = self


def pages_for(size: int) -> int:
    """Pages of a slot: few different numbers, so that slots find new use."""
    pages = -(-size // PAGE)
    if pages > 4:
        unit = 1 << (pages.bit_length() - 2)
        pages = -(-pages // unit) * unit
    return pages


def discard_free() -> None:
    """Give back the memory of slots that nobody uses, each with the page behind it: only whole mappings go away."""
    global guarded
    for ready in free_slots.values():
        for slot in ready:
            del slots[slot.start]
            guarded -= 1
            slot.bytes = slot.view = None
            libc.munmap(slot.start, (slot.pages + 1) * PAGE)
        if ready:
            ready.clear()
            starts[:] = sorted(slots)


def take_slot(pages: int) -> Slot:
    """A slot of so many pages: one that was used before, else a new one."""
    global guarded
    ready = free_slots.setdefault(pages, [])
    if ready:
        return ready.pop()
    count = BATCH if pages == 1 else 1
    if guarded + count > MOST_GUARDED:
        discard_free()
    if guarded + count <= MOST_GUARDED:
        guarded += count
        ready += map_slots(pages, count, True)
        return ready.pop()
    ready = spare_slots.setdefault(pages, [])
    if not ready:
        ready += map_slots(pages, count, False)
    return ready.pop()


def map_slots(pages: int, count: int, protected: bool) -> list[Slot]:
    """New slots, each between two pages that nobody may touch if they are `protected`."""
    stride = (pages + 1) * PAGE
    where = reserve(count * stride + PAGE, NONE if protected else READ_WRITE)
    made = []
    for i in range(count):
        start = where + PAGE + i * stride
        if protected and libc.mprotect(start, pages * PAGE, READ_WRITE):
            raise MemoryError("the emulator cannot protect memory")
        made.append(Slot(start, pages, protected))
    return made


class Block:
    """One allocation; its memory goes back when it is collected."""

    __slots__ = ("__weakref__", "bytes", "device_id", "on_free", "ptr", "size", "slot", "start")

    def __init__(self, size: int, device_id: int, on_free: Any = None) -> None:
        self.size, self.device_id, self.on_free, self.slot = size, device_id, on_free, None
        if not size:
            self.ptr = self.start = 0
            self.bytes = np.empty(0, np.uint8)
            return
        pages = pages_for(size)
        slot = self.slot = take_slot(pages)
        self.ptr = slot.end - (size + 15) // 16 * 16
        self.start, self.bytes = slot.start, slot.bytes
        slot.block = (self.ptr, size, device_id)

    def intact(self) -> str:
        """What has been written to beside the block, or ""."""
        slot = self.slot
        if slot is None:
            return ""
        at = self.ptr - slot.start
        if slot.view[at + self.size :] != CANARY[: slot.end - self.ptr - self.size]:
            return f"was written to after its end ({self.size} bytes)"
        before = min(BEFORE, at)
        if slot.view[at - before : at] != CANARY[:before]:
            return f"was written to before its beginning ({self.size} bytes)"
        return ""

    def __del__(self) -> None:
        slot = self.slot
        if slot is None:
            return
        found = self.intact()
        if found:
            damage.append(f"an array {found}")
        slot.block = None
        if slot.pages <= KEPT:
            slot.bytes[max(0, self.ptr - slot.start - BEFORE) :] = 0xFF
            (free_slots if slot.guarded else spare_slots)[slot.pages].append(slot)
        else:
            global guarded
            guarded -= slot.guarded
            slot.bytes = slot.view = None
            starts.remove(slot.start)
            del slots[slot.start]
            libc.munmap(slot.start - PAGE, (slot.pages + 2) * PAGE)
        if self.on_free is not None:
            self.on_free(self.size)


def slot_at(address: int) -> Slot | None:
    """The slot of which an address, or the page behind or before it, is part."""
    i = bisect.bisect_right(starts, address) - 1
    for start in starts[max(i, 0) : i + 2]:
        slot = slots[start]
        if slot.start - PAGE <= address < slot.end + PAGE:
            return slot
    return None


def is_live(address: int, size: int = 1) -> bool:
    """Whether these bytes are part of a block that somebody holds."""
    slot = slot_at(address)
    if slot is None or slot.block is None:
        return False
    begin, length, _ = slot.block
    return begin <= address and address + size <= begin + length


def explain(address: int) -> str:
    """What an address is near to."""
    if address < PAGE:
        return "a null pointer"
    slot = slot_at(address)
    if slot is None or slot.block is None:
        return "memory of no array"
    begin, length, _ = slot.block
    if address >= begin + length:
        return f"{address - begin - length} bytes after the end of an array of {length} bytes"
    if address < begin:
        return f"{begin - address} bytes before an array of {length} bytes"
    return f"byte {address - begin} of an array of {length} bytes"
