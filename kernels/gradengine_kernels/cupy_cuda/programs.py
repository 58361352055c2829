"""Compiled programs: kernels that run one after the other as one CUDA graph.

A graph has the addresses of its arrays built in. So there are graphs for each set of arrays that the program has met
lately, captured when they are first needed; whoever runs it keeps arrays where they are. Checks have a graph that comes
first: the host waits for that one, and not for the rest. A kernel's stages are launches:
a loop is a generated kernel, a product is cuBLASLt's. Launches of one kernel for several sets of arrays, such as the
updates of all parameters, are one launch.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from ..loops import Dot, Draw, Load, Loop, Store
from . import driver, step_kernels
from .gemm import kernels
from .lazy_cupy import cp
from .loop_codegen import NUMBERS, Source, known
from .loop_kernel import source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..loops import Kernel

MOST_GRAPHS = 8  # that a program keeps
UNROLLED = 8  # steps in a graph of several
SCRATCH = 1  # the first of a place among the accumulators: before them is a counter


class Bound:
    """An array's memory: kept, without keeping the array, which others may then take for theirs alone."""

    def __init__(self, array: Any) -> None:
        self.memory, self.size, self.dtype = array.data, array.size, array.dtype
        self.start, self.stop = array.data.ptr, array.data.ptr + max(array.nbytes, 1)

    def array(self) -> Any:
        """The memory as an array."""
        return cp.ndarray((self.size,), self.dtype, memptr=self.memory)


@dataclasses.dataclass(eq=False)
class Launch:
    """One kernel of a graph: what it reads and writes, by the names of buffers, and how it is run."""

    source: Source | None
    plan: Any
    buffers: list[Any]  # in the order of the kernel's arguments
    reads: set[Any]
    writes: set[Any]
    rows: int = 0
    function: Any = None
    noted: tuple[Any, ...] = ()  # the flags that the kernel itself looks at


class Program:
    """A program of kernels. `tables[i]` has for each slot of kernel i a buffer, or anything for accumulators.

    `bind(buffer, array)` says which array a buffer is; `run()` runs all kernels and returns 0, or 1 + the number of the
    kernel whose flag was raised: `flags[i]` is the buffer (of a float) that must hold 0 after kernel i, or None. Where
    there are flags, the host waits for them; no kernel runs after one that has raised its flag.
    """

    def __init__(
        self,
        kernels: Sequence[Kernel],
        tables: Sequence[Sequence[Any]],
        costs: Sequence[float],
        flags: Sequence[Any],
    ) -> None:
        self.device = driver.here()
        self.guarded = any(flag is not None for flag in flags)
        self.arrays: dict[Any, Bound] = {}
        self.launches: list[Launch] = []
        self.stop = cp.zeros(1, np.int64)
        for i, (kernel, table) in enumerate(zip(kernels, tables)):
            for stage in kernel.stages:
                self.launches.append(self.launch_of(stage, kernel, table, flags[i], i + 1))
            noted = any(flags[i] in launch.noted for launch in self.launches)
            if flags[i] is not None and not noted:
                self.launches.append(Launch(None, None, [flags[i]], {flags[i]}, set(), rows=i + 1))
        self.sources = list(dict.fromkeys(launch.source.code for launch in self.launches if launch.source))
        self.parts = self.in_parts()
        self.verdict: Verdict | None = None
        self.graphs: collections.OrderedDict[Any, Any] = collections.OrderedDict()
        self.changed = True
        self.current: Any = None
        self.moving: step_kernels.Moving | None = None
        self.workspace: Any = None  # of its products: two programs may run at the same time, on different streams

    # -- what is launched ---------------------------------------------------------------------------------------

    def launch_of(self, stage: Any, kernel: Kernel, table: Sequence[Any], flag: Any, code: int) -> Launch:
        """A stage as a launch. Slots 0 and 1 of a table are not used here. `code` says that `flag` was raised."""
        name = lambda slot: table[slot - 2]
        if isinstance(stage, Dot):
            batch = kernel.rows if stage.batch else 1
            product = kernels.Product(stage.real, stage.m, stage.n, stage.k, batch, stage.ta, stage.tb)
            operands = [name(stage.a), name(stage.b), name(stage.c)]
            return Launch(None, kernels.plan(product), operands, set(operands[:2]), {operands[2]})
        if isinstance(stage, Draw):
            source = step_kernels.draw_source(stage, self.guarded)
            made = Launch(source, None, [name(s) for s in source.slots], {name(stage.state)}, {name(stage.out)})
            made.rows = kernel.rows
        else:
            made = self.loop(stage, stage.across or kernel.rows, table, flag, code)
        made.function = driver.function(made.source.name, made.source.code)  # type: ignore[union-attr]
        return made

    def loop(self, loop: Loop, rows: int, table: Sequence[Any], flag: Any, code: int) -> Launch:
        """A loop as a launch."""
        loop, table = with_slots_in_order(loop, table)
        name = lambda operand: table[operand.slot - 2]
        noted = {t.out.slot: code for t in loop.totals if flag is not None and name(t.out) == flag}
        source = source_of(loop, known(loop, rows, self.guarded, noted))
        blocks = source.grid(rows, driver.multiprocessors(self.device))
        sums = {slot: Bound(cp.zeros(SCRATCH + blocks * width, np.float64)) for slot, width in source.totals}
        reads = {name(v.operand) for v in loop.every_load()}
        writes = {name(s.operand) for s in loop.every_store()} | {name(t.out) for t in loop.totals}
        buffers = [sums[slot] if slot in sums else table[slot - 2] for slot in source.slots]
        return Launch(source, None, buffers, reads, writes, rows, noted=(flag,) if noted else ())

    def in_parts(self) -> list[list[Launch]]:
        """The launches up to the last flag, for which the host waits, and those after it, for which it does not."""
        flagged = [i for i, x in enumerate(self.launches) if x.noted or (x.plan is None and x.source is None)]
        split = max(flagged) + 1 if flagged else 0
        parts = [self.launches[:split], self.launches[split:]]
        return [part for part in parts if part]

    # -- running ------------------------------------------------------------------------------------------------

    def bind(self, buffer: Any, array: Any) -> None:
        """Say which array a buffer is."""
        self.arrays[buffer] = Bound(array)
        self.changed = True

    def run(self) -> int:
        """Run all kernels."""
        if self.changed:
            self.current, self.changed = self.graph(1, None), False
        first, *rest = self.current
        first.launch()
        if self.verdict is not None:
            self.verdict.given.record()
        for graph in rest:
            graph.launch()
        if driver.synchronous:
            driver.wait()
        if self.verdict is None or not (code := self.verdict.read()):
            return 0
        self.stop.fill(0)
        return code

    def graph(self, steps: int, moving: step_kernels.Moving | None) -> Any:
        """The graphs for the arrays that are bound now: one for each part, or one for several steps."""
        moved = None if moving is None else moving.shape
        key = (steps, moved, *[a.start for a in self.arrays.values()])
        found = self.graphs.get(key)
        if found is None:
            found = self.graphs[key] = self.capture(steps, moving)
            if len(self.graphs) > MOST_GRAPHS:
                self.graphs.popitem(last=False)
        self.graphs.move_to_end(key)
        return found

    def capture(self, steps: int, moving: step_kernels.Moving | None) -> list[Graph]:
        """New graphs: all that they need is compiled, loaded and placed before they are captured."""
        if moving is not None:
            turn = functools.partial(moving.launch, self.stop)
            return [self.captured(self.launches, [turn], steps, moving)]
        if self.guarded and self.verdict is None:
            self.verdict = Verdict(self.stop)
        first = [self.captured(self.parts[0], [] if self.verdict is None else [self.verdict.tell])]
        return first + [self.captured(part, []) for part in self.parts[1:]]

    def captured(
        self, launches: list[Launch], closing: list[Callable[[], None]], times: int = 1, kept: Any = None
    ) -> Graph:
        """A graph of these launches and what closes them, several times."""
        groups = joined(launches, self.arrays)
        runs = [self.several(group) if len(group) > 1 else self.one(group[0]) for group in groups]
        driver.wait()  # whatever stream runs the graph will find the tables
        plans = [launch.plan for launch in launches if launch.plan is not None]

        def prepare() -> None:
            for plan in plans:
                plan.warm()

        def work() -> None:
            for run in [*runs, *closing] * times:
                run()

        return Graph(driver.capture(work, prepare), (dict(self.arrays), groups, runs, kept))

    def one(self, launch: Launch) -> Callable[[], None]:
        """What runs a launch."""
        if launch.plan is not None:
            a, b, c = [self.arrays[x].start for x in launch.buffers]
            room = self.room()
            return lambda: launch.plan.run(a, b, c, workspace=room)
        if launch.source is None:
            flag = self.arrays[launch.buffers[0]].array()
            note = step_kernels.note_failure(flag.dtype.name)
            return lambda: driver.launch(note, 1, 1, (flag, self.stop, launch.rows))
        source = launch.source
        arrays = [(x if isinstance(x, Bound) else self.arrays[x]).array() for x in launch.buffers]
        args = [*([self.stop] if self.guarded else []), *arrays, launch.rows * source.elements]
        blocks = source.grid(launch.rows, driver.multiprocessors(self.device))
        block = source.block
        return lambda: driver.launch(launch.function, blocks, block, args)

    def room(self) -> int:
        """The address of scratch memory that is enough for each of the products."""
        if self.workspace is None:
            sizes = [launch.plan.workspace_bytes for launch in self.launches if launch.plan is not None]
            self.workspace = cp.empty(max(1, *sizes), np.uint8)
        return int(self.workspace.data.ptr)

    def several(self, group: list[Launch]) -> Callable[[], None]:
        """What runs one kernel for several sets of arrays."""
        source: Any = group[0].source
        name, code = source.several
        function = driver.function(name, code)
        processors = driver.multiprocessors(self.device)
        table, starts = [], [0]
        for launch in group:
            own: Any = launch.source
            table.append([*[self.arrays[x].start for x in launch.buffers], launch.rows * own.elements])
            starts.append(starts[-1] + own.grid(launch.rows, processors))
        rows, begins = cp.asarray(np.array(table, np.int64)), cp.asarray(np.array(starts, np.int64))
        args = [*([self.stop] if self.guarded else []), rows, begins, np.int32(len(group))]
        return lambda: driver.launch(function, starts[-1], source.block, args)

    # -- many steps ---------------------------------------------------------------------------------------------

    def run_many(
        self, tables: Any, batches: Any, order: Any, stacks: Any, steps: int, bring: Callable[[int], int]
    ) -> tuple[int, int]:
        """Run all kernels `steps` times; returns how many times that was before a flag was raised, and was to be.

        Before each time, the next row of each of `tables`, (stack, array, 1), and the next so many rows of each of
        `batches`, (stack, array, rows), go to the array; of batches, those rows that `order` names, where it is not
        None. After it, each of `stacks`, (array, stack), gets a row. `bring(n)` is called, while the device runs,
        before it comes to row n - 1 of the tables; it returns how many rows are there, which may be no more.
        """
        moving = self.moving = self.moving or step_kernels.Moving()
        moving.aim(tables, batches, order, stacks)
        bring(1)
        moving.start(self.stop, steps)
        count = 0
        while count < steps:
            length = UNROLLED if count + UNROLLED <= steps else 1
            there = bring(min(count + length + 1, steps))  # after a step the next one's row is read
            if there == count:
                break
            if there < count + length:
                length = 1
            (graph,) = self.graph(length, moving)
            graph.launch()
            count += length
        done = moving.done()
        if done < count:
            self.stop.fill(0)
        self.changed = True
        return done, count


class Verdict:
    """A word in host memory that the device tells whether, and where, a check has stopped a program."""

    def __init__(self, stop: Any) -> None:
        self.stop, self.memory = stop, cp.cuda.alloc_pinned_memory(8)
        self.word = np.frombuffer(self.memory, np.int64, 1)
        self.given = cp.cuda.Event(disable_timing=True)

    def tell(self) -> None:
        """Have the device write it."""
        driver.to_host(self.memory.ptr, self.stop)

    def read(self) -> int:
        """What the device has written, once it has got so far: 1 + the number of the kernel, or 0."""
        self.given.synchronize()
        return int(self.word[0])


class Graph:
    """A captured graph, and all that it refers to."""

    def __init__(self, graph: Any, kept: Any) -> None:
        self.launch, self.kept = graph.launch, (graph, kept)


def with_slots_in_order(loop: Loop, table: Sequence[Any]) -> tuple[Loop, list[Any]]:
    """A loop whose operands are numbered as they come, so that loops that do the same are the same kernel."""
    numbers = {slot: slot for slot in range(NUMBERS + 1)}
    number = lambda slot: numbers.setdefault(slot, len(numbers))
    out_of = lambda operand, slot: dataclasses.replace(operand, slot=slot)

    def moved(x: Any) -> Any:
        if not isinstance(x, (Load, Store)):
            return x
        return dataclasses.replace(x, operand=out_of(x.operand, number(x.operand.slot)))

    values, stores = [moved(v) for v in loop.values], [moved(s) for s in loop.stores]
    totals = [
        dataclasses.replace(
            t, accumulators=number(t.accumulators), out=dataclasses.replace(t.out, slot=number(t.out.slot))
        )
        for t in loop.totals
    ]
    after = [moved(v) for v in loop.after]
    made = dataclasses.replace(loop, values=values, stores=stores, totals=totals, after=after, scratch=None)
    return made, [table[slot - 2] if slot >= 2 else None for slot in list(numbers)[2:]]


# -- one launch for several ---------------------------------------------------------------------------------------


def joined(launches: list[Launch], arrays: dict[Any, Bound]) -> list[list[Launch]]:
    """The launches, those of one kernel together where what lies between has nothing to do with them."""
    spans = {buffer: (a.start, a.stop) for buffer, a in arrays.items()}

    def touches(one: set[Any], other: set[Any]) -> bool:
        return any(
            spans[x][0] < spans[y][1] and spans[y][0] < spans[x][1]
            for x in one
            for y in other
            if x in spans and y in spans
        )

    def conflict(a: Launch, b: Launch) -> bool:
        return touches(a.writes, b.reads | b.writes) or touches(a.reads, b.writes)

    groups: list[list[Launch]] = []
    for launch in launches:
        source = launch.source
        if source is not None and source.several[0] and not source.totals:
            for i in range(len(groups) - 1, -1, -1):
                group = groups[i]
                same = group[0].source is not None and group[0].source.name == source.name
                if same and not any(conflict(member, launch) for member in group):
                    # The group moves here: nothing after it may depend on it, or be what it depends on.
                    later = [x for g in groups[i + 1 :] for x in g]
                    if not any(conflict(member, x) for member in group for x in later):
                        groups.append([*groups.pop(i), launch])
                        break
            else:
                groups.append([launch])
            continue
        groups.append([launch])
    return groups
