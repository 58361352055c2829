"""CUDA C that moves elements to and from positions: gather, scatter-add, and assignment of which the last one counts.

An array of indices names rows of an axis: x is seen as (before, rows, after), what is read or written as (before,
count, after). A kernel finds the first index outside the axis while it works; the host asks for it once, which is
the only time that it waits.
"""

from __future__ import annotations

import functools
import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import driver
from ..lazy_cupy import cp

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = 256
NOWHERE = np.uint64((1 << 64) - 1)  # a position that no index has
BIG = 1 << 31  # from so many elements on, positions take 64 bits
WORDS = {16: "uint4", 8: "uint2", 4: "unsigned int", 2: "unsigned short", 1: "unsigned char"}
ADDABLE = {"float32": "float", "float64": "double", "uint32": "unsigned int", "uint64": "u64"}

LOOP = r"""
extern "C" __global__ void NAME(PARAMS, i64 rows, i64 count, i64 after, i64 total, i64 low) {
  const SIZE step = (SIZE)gridDim.x * blockDim.x;
  for (SIZE i = (SIZE)blockIdx.x * blockDim.x + threadIdx.x; i < (SIZE)total; i += step) {
    const SIZE a = i % (SIZE)after, rest = i / (SIZE)after, j = rest % (SIZE)count, b = rest / (SIZE)count;
    i64 row = (i64)at[j];
    if (row < low || row >= rows) { OUTSIDE; continue; }
    if (row < 0) row += rows;
    BODY
  }
}
"""
REPORT = "atomicMin(bad, (u64)j)"
KINDS = {  # parameters, what to do outside the axis, and the body; `place` is where the row's element is in x
    "check": ("const INT* at, u64* bad", REPORT, ""),
    "gather": (
        "const void* x, const INT* at, void* out, u64* bad, i64 blank",
        REPORT,
        """const WORD zero = {};
    ((WORD*)out)[i] = row == blank ? zero : ((const WORD*)x)[((i64)b * rows + row) * after + a];""",
    ),
    "add": (
        "const WORD* g, const INT* at, WORD* out, u64* bad, i64 blank",
        REPORT,
        "if (row != blank) atomicAdd(&out[((i64)b * rows + row) * after + a], g[i]);",
    ),
    "add_inside": (
        "const WORD* g, const INT* at, WORD* out, i64 blank",
        "",
        "if (row != blank) atomicAdd(&out[((i64)b * rows + row) * after + a], g[i]);",
    ),
    "claim": ("const INT* at, u64* last, u64* bad", REPORT, "atomicMax(&last[row], (u64)j + 1);"),
    "write": (
        "const void* v, const INT* at, const u64* last, void* out",
        "",
        "if (last[row] == (u64)j + 1) ((WORD*)out)[((i64)b * rows + row) * after + a] = ((const WORD*)v)[i];",
    ),
}


@functools.cache
def kernel(kind: str, word: str, index: str, size: str) -> Any:
    """A compiled kernel."""
    params, outside, body = KINDS[kind]
    text = LOOP.replace("PARAMS", params).replace("OUTSIDE", outside).replace("BODY", body)
    for name, value in (("WORD", word), ("INT", index), ("SIZE", size)):
        text = text.replace(name, value)
    name = driver.named(kind, text)
    return driver.function(name, text.replace("NAME", name))


class Flags(threading.local):
    """Where a thread's kernels leave the first position that is out of range: one number per device, kept clean."""

    def __init__(self) -> None:
        self.of: dict[int, Any] = {}

    def here(self) -> Any:
        """The current device's."""
        device = driver.here()
        if device not in self.of:
            self.of[device] = cp.full(1, NOWHERE, np.uint64)
            cp.cuda.get_current_stream().synchronize()  # the next stream to use it may be another
        return self.of[device]


flags = Flags()


def settled(bad: Any) -> int | None:
    """The first bad position, if there is one. Waits for the device."""
    first = int(bad[0])
    if first == NOWHERE:
        return None
    bad.fill(NOWHERE)
    cp.cuda.get_current_stream().synchronize()
    return first


def launch(kind: str, word: str, args: tuple[Any, ...], at: Any, sizes: tuple[int, int, int, int], low: int) -> None:
    """Run a kernel of this file; `sizes` are before, rows, count, after."""
    before, rows, count, after = sizes
    total = before * count * after
    if total:
        run = kernel(kind, word, "int" if at.itemsize == 4 else "i64", "unsigned int" if total < BIG else "u64")
        grid = min(-(-total // THREADS), 32 * driver.multiprocessors(driver.here()))
        driver.launch(run, grid, THREADS, (*args, rows, count, after, total, low))


def prepared(indices: Any) -> Any:
    """Indices as a contiguous vector of int32 or int64. Raises TypeError for anything but integers."""
    if indices.dtype.kind not in "iu":
        raise TypeError(f"indices must be integers, got {indices.dtype}")
    if indices.dtype != np.int32:
        indices = indices.astype(np.int64, copy=False)  # a huge unsigned number becomes one below 0
    return cp.ascontiguousarray(indices.reshape(-1))


def lowest(indices: Any, size: int) -> int:
    """The smallest index that is allowed: unsigned ones do not count from the end."""
    return -size if indices.dtype.kind == "i" else 0


def complain(indices: Any, size: int, axis: int) -> None:
    """Raise the IndexError for indices of which one is outside the axis."""
    low, high = int(indices.min()), int(indices.max())
    raise IndexError(f"index {high if high >= size else low} is out of range for axis {axis} with size {size}")


def check(indices: Any, size: int, axis: int) -> None:
    """Raise IndexError for an index outside the axis, TypeError for indices that are not integers."""
    at = prepared(indices)
    if at.size:
        bad = flags.here()
        launch("check", "", (at, bad), at, (1, size, at.size, 1), lowest(indices, size))
        if settled(bad) is not None:
            complain(indices, size, axis)


def layout(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """The sizes before, on and after an axis."""
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def widest(arrays: tuple[Any, ...], after: int) -> int:
    """How many bytes can be moved at once when `after` elements lie side by side."""
    size = after * arrays[0].itemsize
    for x in arrays:
        size = math.gcd(size, x.data.ptr)
    return math.gcd(size, 16)


def gather(
    x: Any, indices: Any, axis: int, *, low: int | None = None, blank: int = -1,
    fail: Callable[[int], None] | None = None,
) -> Any:  # fmt: skip
    """The slices of `x` at indices along an axis; zeros instead of row `blank`. `fail(position)` says what is wrong."""
    at = prepared(indices)
    before, rows, after = layout(x.shape, axis)
    x = cp.ascontiguousarray(x)
    out = cp.empty((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)
    if not out.size:
        if at.size and not rows:  # then a slice without elements is out of range too
            complain(indices, rows, axis)
        return out
    width = widest((x, out), after)
    bad, after = flags.here(), after * x.itemsize // width
    sizes = before, rows, at.size, after
    low = lowest(indices, rows) if low is None else low
    launch("gather", WORDS[width], (x, at, out, bad, blank), at, sizes, low)
    first = settled(bad)
    if first is not None:
        (fail or (lambda position: complain(indices, rows, axis)))(first)
    return out


def scatter_add(
    g: Any, indices: Any, axis: int, shape: tuple[int, ...], *, blank: int = -1, checked: bool = True
) -> Any:
    """Zeros of `shape` with the slices of `g` added at indices along an axis, but for those of row `blank`.

    Small integers are summed in 32 bits and half precision in float32. Without `checked` what is outside the axis is
    left out.
    """
    at = prepared(indices)
    before, rows, after = layout(shape, axis)
    dtype = g.dtype
    if dtype.kind in "fV":
        kept: np.dtype[Any] = np.dtype("float64" if dtype == np.float64 else "float32")
    else:
        kept = np.dtype("uint64" if dtype.itemsize == 8 else "uint32")
    out = cp.zeros(shape, kept)
    g = cp.ascontiguousarray(g.astype(kept, copy=False))
    if g.size and not rows:
        complain(indices, rows, axis)
    sizes, low, element = (before, rows, at.size, after), lowest(indices, rows), ADDABLE[kept.name]
    if checked:
        bad = flags.here()
        launch("add", element, (g, at, out, bad, blank), at, sizes, low)
        if g.size and settled(bad) is not None:
            complain(indices, rows, axis)
    else:
        launch("add_inside", element, (g, at, out, blank), at, sizes, low)
    return cp.not_equal(out, 0) if dtype.kind == "b" else out.astype(dtype, copy=False)


def claims(indices: Any, rows: int, axis: int) -> tuple[Any, Any]:
    """For each row of an axis 1 more than the last position in the indices that names it, else 0; and the indices."""
    at = prepared(indices)
    last = cp.zeros(rows, np.uint64)
    if at.size and not rows:
        complain(indices, rows, axis)
    if at.size:
        bad = flags.here()
        launch("claim", "", (at, last, bad), at, (1, rows, at.size, 1), lowest(indices, rows))
        if settled(bad) is not None:
            complain(indices, rows, axis)
    return last, at


def assign(out: Any, v: Any, indices: Any, axis: int) -> None:
    """Write the slices of `v` to the contiguous `out` at indices along an axis; the last one counts.

    `v` has the dtype of `out` and the shape of what is written.
    """
    before, rows, after = layout(out.shape, axis)
    last, at = claims(indices, rows, axis)
    v = cp.ascontiguousarray(v)
    if v.size:
        width = widest((v, out), after)
        after = after * v.itemsize // width
        launch("write", WORDS[width], (v, at, last, out), at, (before, rows, at.size, after), lowest(indices, rows))
