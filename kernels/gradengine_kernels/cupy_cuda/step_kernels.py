"""Small kernels for programs: numbers brought to the device, batches gathered, results stacked, failures recorded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..loops import DRAWN
from . import driver
from .dialect import COMPUTED, STORED, real_constant
from .lazy_cupy import cp
from .loop_codegen import BLOCK, Source

if TYPE_CHECKING:
    from ..loops import Draw

WORDS = 8  # that one launch brings
MOST_SEGMENTS, SEGMENT = 64, 8  # segments at first, and words of each

# The words come as arguments: a launch copies those at once, so that the host may change its own right after.
SET_WORDS = """
extern "C" __global__ void set_words(void* at, const i64 count, const i64 a, const i64 b, const i64 c, const i64 d,
                                     const i64 e, const i64 f, const i64 g, const i64 h) {
  const i64 words[8] = {a, b, c, d, e, f, g, h};
  #pragma unroll
  for (int i = 0; i < 8; ++i) if (i < count) ((i64*)at)[i] = words[i];
}
"""

# `flag` is a sum of how many elements are wrong. The first kernel to find one stops all that follow: `code` says which.
NOTE_FAILURE = """
extern "C" __global__ void note_failure_{real}(const {real}* flag, i64* stop, const i64 code) {{
  if (*stop == 0 && get(*flag) != 0) *stop = code;
}}
"""

# A segment is moved at every step: `source` and `target` are addresses, `bytes` those of a row, of which there are
# `rows`. One of them is a stack with so many rows for each step: the target of results (`stacked`), which are moved
# after their step, or the source of what the next step reads. Where there is an `order`, rows of the source are those
# that it names. Block b belongs to the last segment that starts up to it. `state` has the step that has ended, how many
# there are to be, and a counter of blocks; the last block goes on to the next step.
BETWEEN_STEPS = """
struct Segment { i64 source, target, bytes, rows, stacked, order, unit, start; };
template <typename T> __device__ __forceinline__ void move(const Segment& s, i64 step, i64 first, i64 stride) {
  const i64 per_row = s.bytes / sizeof(T), all = per_row * s.rows;
  for (i64 e = first; e < all; e += stride) {
    const i64 row = e / per_row, at = e - row * per_row, own = step * s.rows + row;
    const i64 from = s.stacked ? row : s.order ? ((const i64*)s.order)[own] : own, to = s.stacked ? own : row;
    ((T*)s.target)[to * per_row + at] = ((const T*)s.source)[from * per_row + at];
  }
}
extern "C" __global__ void __launch_bounds__(256) between_steps(const i64* stop, i64* state, const i64* segments,
                                                                const i64 count) {
  if (*stop) return;
  const i64 ended = state[0], steps = state[1];
  const Segment* all = (const Segment*)segments;
  if (count > 0) {
    int at = 0;
    while (at + 1 < count && all[at + 1].start <= (i64)blockIdx.x) ++at;
    const Segment s = all[at];
    const i64 stop_at = at + 1 < count ? all[at + 1].start : (i64)gridDim.x;
    const i64 first = (blockIdx.x - s.start) * 256 + threadIdx.x, stride = (stop_at - s.start) * 256;
    const i64 step = s.stacked ? ended : ended + 1;
    if (step >= 0 && step < steps) {
      if (s.unit == 16) move<uint4>(s, step, first, stride);
      else if (s.unit == 4) move<unsigned int>(s, step, first, stride);
      else move<unsigned char>(s, step, first, stride);
    }
  }
  if (is_last_block((unsigned int*)(state + 2)) && threadIdx.x == 0) state[0] = ended + 1;
}
"""

DRAW = """(const u64* __restrict__ state, {stored}* out, const i64 rows_) {{
{guard}  const u64 seed = state[0], offset = state[1];
  for (i64 b = (i64)blockIdx.x * {block} + threadIdx.x; b < rows_; b += (i64)gridDim.x * {block}) {{
    const Words w = philox(seed, offset, (u64)b);
    #pragma unroll
    for (int h = 0; h < {drawn}; ++h) {{
      const i64 at = b * {drawn} + h;
      const u64 half = (w.item[h / 2] >> (32 * (h % 2))) & 0xffffffffULL;
      if (at < {size}LL) put(out[at], half < {limit}ULL ? ({real})0 : {scale});
    }}
  }}
}}
"""


def draw_source(draw: Draw, guarded: bool) -> Source:
    """A draw of what dropout multiplies with: a thread makes blocks of numbers."""
    text = DRAW.format(
        stored=STORED[draw.real],
        guard="  if (*stop) return;\n" if guarded else "",
        block=BLOCK,
        drawn=DRAWN,
        size=draw.size,
        limit=math.ceil(draw.p * 2.0**32),
        real=COMPUTED[draw.real],
        scale=real_constant(1.0 / (1.0 - draw.p), draw.real),
    )
    if guarded:
        text = "(const i64* __restrict__ stop, " + text[1:]
    start = f'extern "C" __global__ void __launch_bounds__({BLOCK}) '
    name = driver.named("draw", start + text)
    return Source(name, f"{start}{name}{text}", BLOCK, BLOCK, (draw.state, draw.out))


def set_words(target: Any, words: Any) -> None:
    """Bring 64-bit words (of any type) to a device array, in order with what runs on the current stream."""
    kernel = driver.function("set_words", SET_WORDS)
    bits = np.ascontiguousarray(words).reshape(-1).view(np.int64).tolist()
    flat = target.reshape(-1)
    for start in range(0, len(bits), WORDS):
        part = bits[start : start + WORDS]
        driver.launch(kernel, 1, 1, (flat[start:], len(part), *part, *[0] * (WORDS - len(part))))


def note_failure(real: str) -> Any:
    """The kernel that looks at a flag of that dtype."""
    kind = STORED[real]
    return driver.function(f"note_failure_{kind}", NOTE_FAILURE.format(real=kind))


class Moving:
    """What comes from stacks before each step, and goes to stacks after it. Graphs read where from at each run."""

    def __init__(self) -> None:
        self.kernel = driver.function("between_steps", BETWEEN_STEPS)
        self.table = cp.zeros((MOST_SEGMENTS, SEGMENT), np.int64)
        self.state = cp.zeros(3, np.int64)
        self.rows: list[tuple[int, ...]] = []
        self.blocks = 0
        self.kept: Any = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """What graphs have built in."""
        return len(self.rows), self.blocks, self.table.data.ptr

    def aim(self, tables: Any, batches: Any, order: Any, stacks: Any) -> None:
        """Say what is moved from now on; see Program.run_many."""
        self.rows, self.blocks = [], 0
        names = 0 if order is None else order.data.ptr
        for several, named in ((tables, 0), (batches, names)):
            for stack, array, rows in several:
                self.add(stack, array, array.nbytes // rows, rows, False, named)
        for array, stack in stacks:
            self.add(array, stack, array.nbytes, 1, True)
        if len(self.rows) > len(self.table):
            self.table = cp.zeros((2 * len(self.rows), SEGMENT), np.int64)
        if self.rows:
            self.table[: len(self.rows)].set(np.array(self.rows, np.int64))
        self.kept = tables, batches, order, stacks

    def add(self, source: Any, target: Any, row_bytes: int, rows: int, stacked: bool, order: int = 0) -> None:
        """Move `rows` rows at every step."""
        start, stop = source.data.ptr, target.data.ptr
        unit = next(u for u in (16, 4, 1) if not (start | stop | row_bytes) % u)
        work = max(1, row_bytes * rows // unit)
        self.rows.append((start, stop, row_bytes, rows, int(stacked), order, unit, self.blocks))
        self.blocks += min(-(-work // (4 * BLOCK)), 1024)

    def start(self, stop: Any, steps: int) -> None:
        """Make ready for the first of so many steps."""
        set_words(self.state, np.array([-1, steps, 0], np.int64))
        self.launch(stop)

    def launch(self, stop: Any) -> None:
        """Move what a step has made, and what the next one reads."""
        driver.launch(self.kernel, max(self.blocks, 1), BLOCK, (stop, self.state, self.table, len(self.rows)))

    def done(self) -> int:
        """How many steps have ended, once the device has got so far."""
        return int(self.state.get()[0])
