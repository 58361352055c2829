"""Compiled programs: kernels that run one after the other without Python in between, each on one thread or on all.

A program is a plan, a row of numbers for each kernel, and a table of addresses that the kernels find their arrays in.
One compiled function walks the plan. Threads are Numba's, and BLAS has one inside each.
"""

from __future__ import annotations

import contextlib
import functools
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import progress
from ..loops import Dot
from . import loop_source, runtime
from .blas import gemm_address, one_thread
from .generated_modules import load_source
from .intrinsics import HEADER, elementary, names_of, pieces

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from ..loops import Kernel

SIGNATURE = """
signature = types.void(
    types.CPointer(types.CPointer(float32)), types.CPointer(types.CPointer(float64)),
    types.CPointer(types.CPointer(uint8)), types.CPointer(types.CPointer(int64)), types.CPointer(intp),
    intp, intp, intp,
)
kernel = cfunc(signature, nopython=True, error_model="numpy")(kernel)
"""

RUNNER = """
from llvmlite import ir
from numba import boolean, prange
from numba.extending import intrinsic

@intrinsic
def invoke(typingctx, address, table, start, stop, task):
    def codegen(context, builder, signature, args):
        address, table, start, stop, task = args
        word = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [word.as_pointer()] * 5 + [word] * 3)
        function = builder.inttoptr(address, kind.as_pointer())
        builder.call(function, [builder.inttoptr(table, word.as_pointer())] * 5 + [start, stop, task])
        return context.get_dummy_value()
    return types.void(*[types.int64] * 5), codegen

@intrinsic
def word_at(typingctx, address):
    def codegen(context, builder, signature, args):
        return builder.load(builder.inttoptr(args[0], ir.IntType(32).as_pointer()))
    return types.int32(types.int64), codegen

@intrinsic
def copy_bytes(typingctx, target, source, count):
    def codegen(context, builder, signature, args):
        byte = ir.IntType(8).as_pointer()
        target, source = builder.inttoptr(args[0], byte), builder.inttoptr(args[1], byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, byte, ir.IntType(64), ir.IntType(1)])
        memcpy = builder.module.globals.get("llvm.memcpy.p0i8.p0i8.i64")
        if memcpy is None:
            memcpy = ir.Function(builder.module, kind, "llvm.memcpy.p0i8.p0i8.i64")
        builder.call(memcpy, [target, source, args[2], ir.IntType(1)(0)])
        return context.get_dummy_value()
    return types.void(types.int64, types.int64, types.int64), codegen

@njit()
def part(rows, tasks, task):
    share = (rows // tasks + 63) // 64 * 64 if rows > 256 * tasks else (rows + tasks - 1) // tasks
    start = min(task * share, rows)
    return start, rows if task == tasks - 1 else min(start + share, rows)

@njit(types.void(int64, int64, int64, int64), nogil=True, parallel=True)
def spread(address, table, rows, tasks):
    for task in prange(tasks):
        start, stop = part(rows, tasks, task)
        invoke(address, table, start, stop, task)

# A row of the plan: kernel, table, rows, tasks, what adds up its sums (or 0), bits that must be 0 (or 0).
# Without `threads`, one thread does the parts of all in turn: which it is shows in the time alone, not in a bit.
@njit(int64(int64[:, ::1], boolean), nogil=True)
def run(plan, threads):
    for i in range(len(plan)):
        address, table, rows, tasks, finish, flag = plan[i]
        if tasks == 1:
            invoke(address, table, 0, rows, 0)
        elif threads:
            spread(address, table, rows, tasks)
        else:
            for task in range(tasks):
                start, stop = part(rows, tasks, task)
                invoke(address, table, start, stop, task)
        if finish:
            invoke(finish, table, 0, tasks, 0)
        if flag and word_at(flag) != 0:
            return i + 1
    return 0

# A row of `shifts`: a place in the table, and by how much the address there grows with every step. A row of `copies`:
# from where, to where, how many bytes, by how much the source grows. A row of `gathers`: from where, to where, bytes
# in a row; the rows are those that `order` names.
@njit(int64(int64[:, ::1], boolean, int64[::1], int64[:, ::1], int64[:, ::1], int64[:, ::1], int64[::1], int64, int64),
      nogil=True)
def run_many(plan, threads, table, shifts, copies, gathers, order, batch, steps):
    for step in range(steps):
        for i in range(len(copies)):
            source, target, count, grows = copies[i]
            copy_bytes(target, source + step * grows, count)
        for i in range(len(gathers)):
            source, target, count = gathers[i]
            for j in range(batch):
                copy_bytes(target + j * count, source + order[step * batch + j] * count, count)
        failed = run(plan, threads)
        if failed:
            return step
        for i in range(len(shifts)):
            place, grows = shifts[i]
            table[place] += grows
    return steps
"""


# Nanoseconds of work that make a second thread worth its while: it is awake, for the kernel before needed it too.
WORTH = 6_000


@functools.cache
def runner() -> ModuleType:
    """What walks plans."""
    runtime.prepare()
    return load_source("runner", HEADER + RUNNER)


@functools.cache
def more_checks() -> None:
    """Let LLVM compare more addresses before it vectorises a loop: fused loops have many arrays."""
    import llvmlite.binding

    llvmlite.binding.set_option("gradengine", "-runtime-memory-check-threshold=128")


def real_of(kernel: Kernel) -> str:
    """The dtype that the kernel computes with."""
    return next((stage.real for stage in kernel.stages), "float32")


def source_of(kernel: Kernel) -> str:
    """The kernel as it is compiled."""
    return loop_source.kernel_source(kernel)


@functools.cache
def compiled(source: str, real: str) -> Any:
    """The machine code of a kernel's source."""
    runtime.prepare()
    more_checks()
    module, _ = pieces("device_functions.py", real)
    full = f"{HEADER}{names_of(elementary(real))}{names_of(module)}\n\n{source}{SIGNATURE}"
    return load_source("kernel", full).kernel


class Program:
    """A program of kernels. `tables[i]` has for each slot of kernel i a buffer, or the bytes that a thread needs.

    `bind(buffer, address)` says where a buffer is; `run()` runs all kernels and returns 0, or 1 + the number of the
    kernel whose flag was raised: `flags[i]` is the buffer (of a float) that must hold 0 after kernel i, or None.
    """

    def __init__(
        self,
        kernels: Sequence[Kernel],
        tables: Sequence[Sequence[Any]],
        costs: Sequence[float],
        flags: Sequence[Any],
    ) -> None:
        runtime.prepare()
        self.sources = [source_of(k) for k in kernels]
        self.places: dict[Any, list[int]] = {}
        self.flagged: dict[Any, list[tuple[int, int]]] = {}
        self.memory: list[Any] = []
        self.plan = np.zeros((len(kernels), 6), np.int64)
        entries: list[int] = []
        offsets = []
        for i, (kernel, table) in enumerate(zip(kernels, tables)):
            real = real_of(kernel)
            tasks = max(1, min(int(costs[i] / WORTH), threads(), kernel.rows))
            self.plan[i, 2], self.plan[i, 3] = kernel.rows, tasks
            offsets.append(len(entries))
            gemm = gemm_address(real) if any(isinstance(stage, Dot) for stage in kernel.stages) else 0
            entries += [gemm, gemm]
            for what in table:
                if isinstance(what, int):
                    self.memory.append(np.empty(what * tasks + 64, np.uint8))
                    entries.append(aligned(self.memory[-1]))
                else:
                    self.places.setdefault(what, []).append(len(entries))
                    entries.append(0)
            if flags[i] is not None:
                self.flagged.setdefault(flags[i], []).append((i, 4 if real == "float64" else 0))
        self.table = np.array(entries, np.int64)
        start = self.table.ctypes.data
        for i, kernel in enumerate(kernels):
            progress.report(i, len(kernels))
            real, finish = real_of(kernel), loop_source.finish_source(kernel)
            self.plan[i, 0] = compiled(self.sources[i], real).address
            self.plan[i, 1] = start + 8 * offsets[i]
            self.plan[i, 4] = compiled(finish, real).address if finish else 0
        progress.report(len(kernels), len(kernels))
        self.go, self.go_many = runner().run, runner().run_many
        self.cost = sum(costs)
        self.alone = bool((self.plan[:, 3] == 1).all())  # no kernel is worth a second thread
        self.pace = runtime.Pace()
        products = any(isinstance(stage, Dot) for kernel in kernels for stage in kernel.stages)
        self.blas: Any = one_thread if products else contextlib.nullcontext()

    def bind(self, buffer: int, address: int) -> None:
        """Say where a buffer is."""
        for place in self.places.get(buffer, ()):
            self.table[place] = address
        for i, upper in self.flagged.get(buffer, ()):
            self.plan[i, 5] = address + upper

    def run(self) -> int:
        """Run all kernels, on the threads that have been faster lately."""
        if self.alone or runtime._pool.threads < 2:  # which it is after a fork, too
            with self.blas:
                return self.go(self.plan, False)
        spread = self.pace.spread_pays()
        started = time.perf_counter_ns()
        with runtime._pool.lock, self.blas:
            failed = self.go(self.plan, spread)
        self.pace.note(spread, (time.perf_counter_ns() - started) / self.cost)
        return failed

    def run_many(
        self,
        numbers: Any,
        sources: dict[Any, tuple[int, int]],
        gathers: list[tuple[int, int, int]],
        order: Any,
        batch: int,
        steps: int,
        memory: int,
    ) -> int:
        """Run all kernels `steps` times; returns how many times that was before a flag was raised.

        Before each time, a row of `numbers` goes to the address `memory`, and for each of `gathers`, (from, to, bytes
        in a row), the next `batch` rows that `order` names are copied. `sources` has for buffers that move on with
        every step where they start, and by how many bytes they move.
        """
        shifts = []
        for buffer, (start, grows) in sources.items():
            self.bind(buffer, start)
            shifts += [(place, grows) for place in self.places.get(buffer, ())]
        moved, gathered, width = table_of(shifts, 2), table_of(gathers, 3), numbers.shape[1] * 8
        several = not self.alone and runtime._pool.threads > 1
        done = 0
        while done < steps:
            spread, count = self.pace.ahead(steps - done) if several else (False, steps - done)
            copies = np.array([(numbers.ctypes.data + done * width, memory, width, width)], np.int64)
            rest = order[done * batch :]
            started = time.perf_counter_ns()
            with runtime._pool.lock, self.blas:
                finished = self.go_many(self.plan, spread, self.table, moved, copies, gathered, rest, batch, count)
            done += finished
            if finished < count:
                break
            if several:
                self.pace.note(spread, (time.perf_counter_ns() - started) / (self.cost * count))
        return done


def aligned(memory: Any) -> int:
    """The first address in an array that a cache line starts at."""
    return (memory.ctypes.data + 63) // 64 * 64


def table_of(rows: list[Any], columns: int) -> Any:
    """Rows of whole numbers as an array, which may have none."""
    return np.array(rows, np.int64).reshape(-1, columns)


def threads() -> int:
    """How many threads a kernel may be spread over."""
    runtime.prepare()
    return runtime._pool.threads
