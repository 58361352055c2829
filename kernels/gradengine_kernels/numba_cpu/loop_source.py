"""Kernels of compiled programs, written as Numba source; see loops for what they are.

A kernel is a C function `kernel(f4, f8, u1, i8, words, start, stop, task)`; the first five are one table of
addresses, seen as arrays of several types and as whole numbers.
"""

from __future__ import annotations

import math
from typing import Any

from ..expr import walk
from ..loops import DRAWN, Compute, Dot, Draw, Kernel, Loop
from ..render import CALLS, constant
from .loop_writer import TABLES, LoopWriter, indented, padded

HEAD = "def kernel(f4, f8, u1, i8, words, start, stop, task):"


def kernel_source(kernel: Kernel) -> str:
    """The kernel as source."""
    lines = [HEAD]
    if any(isinstance(s, Loop) and uses_calls(s) for s in kernel.stages):
        lines.append("    wide_vectors()")
    writers: list[Any] = [writer_of(stage, f"s{i}_") for i, stage in enumerate(kernel.stages)]
    for writer in writers:
        lines += indented(writer.before)
    body = [line for writer in writers for line in writer.rows("lo", "hi")]
    if kernel.tile:
        lines += [
            f"    for lo in range(start, stop, {kernel.tile}):",
            f"        hi = min(lo + {kernel.tile}, stop)",
            *indented(body, 2),
        ]
    else:
        lines += ["    lo, hi = start, stop", *indented(body)]
    for writer in writers:
        lines += indented(writer.after)
    return "\n".join(lines) + "\n"


def writer_of(stage: Any, prefix: str) -> Any:
    """What writes a stage."""
    if isinstance(stage, Loop):
        return LoopWriter(stage, prefix)
    return DotWriter(stage) if isinstance(stage, Dot) else DrawWriter(stage, prefix)


def finish_source(kernel: Kernel) -> str:
    """What adds up the accumulators of all threads, when there are any: `stop` is how many threads there were."""
    lines = [HEAD]
    for loop, total in kernel.totals:
        out, accumulators = f"{TABLES[total.out.dtype]}[{total.out.slot}]", f"f8[{total.accumulators}]"
        width = loop.columns if total.by_columns else 1
        lines += [
            f"    for j in range({width}):",
            f"        total = {accumulators}[j]",
            "        for t in range(1, stop):",
            f"            total += {accumulators}[t * {padded(width)} + j]",
            f"        {out}[j] = {total.out.dtype}(total)",
        ]
    return "\n".join(lines) + "\n" if len(lines) > 1 else ""


def uses_calls(loop: Loop) -> bool:
    """Whether elementary functions are called."""
    return any(isinstance(v, Compute) and any(e.op in CALLS for e in walk([v.expr])) for v in loop.values)


class DotWriter:
    """A matrix product: BLAS stores by columns, so it is asked for c.T = b.T @ a.T, whose operands lie as they are."""

    def __init__(self, dot: Dot) -> None:
        self.dot = dot
        self.before: list[str] = []
        self.after: list[str] = []

    def rows(self, lo: str, hi: str) -> list[str]:
        """The product for rows (or matrices) lo to hi."""
        d = self.dot
        item = 4 if d.real == "float32" else 8
        gemm, one = f"words[{0 if item == 4 else 1}]", f"{d.real}(1.0)"
        lda, ldb = (d.m if d.ta else d.k), (d.k if d.tb else d.n)
        if d.batch:
            sizes = f"{d.n}, {d.m}, {d.k}, words[{d.b}] + i * {d.k * d.n * item}, {ldb}, "
            sizes += f"words[{d.a}] + i * {d.m * d.k * item}, {lda}, words[{d.c}] + i * {d.m * d.n * item}, {d.n}"
            return [f"for i in range({lo}, {hi}):", f"    call_gemm({gemm}, {int(d.tb)}, {int(d.ta)}, {sizes}, {one})"]
        if d.across:
            b = f"words[{d.b}] + {lo} * {(ldb if d.tb else 1) * item}"
            sizes = f"{hi} - {lo}, {d.m}, {d.k}, {b}, {ldb}, words[{d.a}], {lda}, words[{d.c}] + {lo} * {item}, {d.n}"
            return [f"call_gemm({gemm}, {int(d.tb)}, {int(d.ta)}, {sizes}, {one})"]
        a = f"words[{d.a}] + {lo} * {(1 if d.ta else lda) * item}"
        c = f"words[{d.c}] + {lo} * {d.n * item}"
        sizes = f"{d.n}, {hi} - {lo}, {d.k}, words[{d.b}], {ldb}, {a}, {lda}, {c}, {d.n}"
        return [f"call_gemm({gemm}, {int(d.tb)}, {int(d.ta)}, {sizes}, {one})"]


class DrawWriter:
    """A draw of random numbers, block by block. A kernel may have several, so variables have the stage's prefix."""

    def __init__(self, draw: Draw, prefix: str) -> None:
        self.draw = draw
        state, self.out, self.seed, self.offset = (prefix + name for name in ("state", "out", "seed", "offset"))
        self.before = [
            f"{state}, {self.out} = i8[{draw.state}], {TABLES[draw.real]}[{draw.out}]",
            f"{self.seed}, {self.offset} = np.uint64({state}[0]), np.uint64({state}[1])",
        ]
        self.after: list[str] = []

    def rows(self, lo: str, hi: str) -> list[str]:
        """The numbers of blocks lo to hi."""
        d = self.draw
        limit = math.ceil(d.p * 2.0**32)
        scale = f"{d.real}({constant(1.0 / (1.0 - d.p))})"
        return [
            f"for b in range({lo}, {hi}):",
            f"    bits = philox({self.seed}, {self.offset}, np.uint64(b))",
            f"    for h in range(min({DRAWN}, {d.size} - b * {DRAWN})):",
            "        half = (bits[h // 2] >> np.uint64(32 * (h % 2))) & np.uint64(0xFFFFFFFF)",
            f"        {self.out}[b * {DRAWN} + h] = {d.real}(0.0) if half < np.uint64({limit}) else {scale}",
        ]
