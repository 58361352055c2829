"""`step.over(...)`: a compiled step run for one batch after the other, without Python in between.

A stretch of many steps is one native call. What the host decides at each of them (rates, counts) is decided ahead for
the whole stretch, and a stretch is short enough that an interrupt is served within a fraction of a second, after a
whole step. A step that native code alone cannot repeat is called from Python instead, with the same results.

On a GPU the samples stay where they are; numbers for a stretch go there together, and batches are gathered, steps run
and results stacked by graphs of several steps each.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np

from ..backend.devices import for_device
from ..core import pytrees as tree
from ..core.tensor_class import Tensor, constant, describe, to_array
from ..errors import ArgumentError, DeviceError, DTypeError, IndexRangeError, ShapeError
from .device_arrays import address_of, buffers_of
from .graph import Var
from .guards import find
from .host_executor import Compiled, failure
from .interrupts import uninterrupted
from .program import Program

STRETCH = 0.1  # seconds that a native call may take, about
FIRST = 16  # steps in the first stretch of all, from which the time of one is known
AHEAD = 64  # steps for which the host decides numbers while a GPU runs others


def over(step: Any, data: tuple[Any, ...], batch_size: int, order: Any, drop_last: bool, kwargs: dict[str, Any]) -> Any:
    """The results of `step(*batch, **kwargs)` for all batches, stacked."""
    backend = next((x.backend for x in data if isinstance(x, Tensor)), None) or for_device(None)
    arrays, order, count = checked(data, batch_size, order, backend)
    full, rest = divmod(count, batch_size)
    pieces = []
    if full:
        pieces += run_batches(step, arrays, order, batch_size, full, kwargs, backend)
    if rest and not drop_last:
        batch = cut(arrays, order, full * batch_size, count, backend)
        pieces.append(one(step(*batch, **kwargs), backend))
    if not pieces:
        raise ArgumentError(
            f"over: {count} samples make no batch of {batch_size}" + ("; drop_last leaves nothing" if drop_last else "")
        )
    return joined(pieces, backend)


def checked(data: tuple[Any, ...], batch_size: int, order: Any, backend: Any) -> tuple[list[Any], Any, int]:
    """The data as arrays, the order as int64 positions or None, and how many samples there are."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ArgumentError(f"over: batch_size must be a positive int, got {describe(batch_size)}")
    if not data:
        raise ArgumentError("over: needs the arrays that batches are cut from, such as over(images, labels, ...)")
    arrays = []
    for x in data:
        if not isinstance(x, (Tensor, np.ndarray)):
            raise DTypeError(
                f"over: takes Tensors and arrays to cut batches from, got {describe(x)}; give others by keyword"
            )
        if isinstance(x, Tensor) and x.op is not None:
            raise DTypeError("over: the data requires grad, which batches of it cannot pass on; give x.detach()")
        if isinstance(x, Tensor) and x.backend.device != backend.device:
            raise DeviceError(
                f"over: the data live on {backend.device!r} and {x.device!r}; move them with .to({backend.device!r})"
            )
        arrays.append(buffers_of(backend).contiguous(x.array if isinstance(x, Tensor) else backend.asarray(x)))
    shapes = [x.shape for x in arrays]
    if any(not shape or shape[0] != shapes[0][0] for shape in shapes):
        raise ShapeError(f"over: the arrays must be equally long along their first axis, got shapes {shapes}")
    samples = shapes[0][0]
    if order is None:
        return arrays, None, samples
    try:
        order = order.detach().numpy() if isinstance(order, Tensor) else np.asarray(order)
    except ValueError:
        raise DTypeError(f"over: order must be one axis of integers, got {describe(order)}") from None
    if order.ndim != 1 or order.dtype.kind not in "iu":
        raise DTypeError(
            f"over: order must be one axis of integers, got {order.dtype}{list(order.shape)}; try ge.randperm"
        )
    order = np.array(order, np.int64)
    if order.size and (order.min() < 0 or order.max() >= samples):
        wrong = int(order[(order < 0) | (order >= samples)][0])
        raise IndexRangeError(f"over: order names sample {wrong}, but there are samples 0 to {samples - 1}")
    return arrays, order, len(order)


def cut(arrays: list[Any], order: Any, start: int, stop: int, backend: Any) -> list[Tensor]:
    """The batch from start to stop."""
    index = slice(start, stop) if order is None else backend.asarray(order[start:stop])
    return [constant(x[index], backend) for x in arrays]


def one(result: Any, backend: Any) -> tuple[Any, list[Any]]:
    """A result of one step, as a piece: its structure, and its leaves with an axis for steps."""
    leaves: list[Any] = []
    structure = tree.flatten(result, leaves)
    array = buffers_of(backend).array
    return structure, [array(leaf.array)[None] if isinstance(leaf, Tensor) else Fixed(leaf) for leaf in leaves]


class Fixed:
    """A leaf that is no Tensor."""

    def __init__(self, value: Any) -> None:
        self.value = value


def joined(pieces: list[tuple[Any, list[Any]]], backend: Any) -> Any:
    """All pieces as one result, whose Tensors have an axis for the steps in front."""
    structure = pieces[0][0]
    leaves = []
    for column in zip(*[leaves for _, leaves in pieces], strict=True):
        if isinstance(column[0], Fixed):
            values = [x.value for x in column]
            varying = any([type(x) in (int, float) and x != values[0] for x in values])  # what the host has decided
            numbers = to_array(values, None, for_device("cpu")) if varying else None
            leaves.append(values[0] if numbers is None else constant(buffers_of(backend).array(numbers), backend))
            continue
        shapes = {x.shape[1:] for x in column}
        if len(shapes) > 1:
            raise ShapeError(
                f"over: the last, smaller batch gives a result of another shape than the others ({sorted(shapes)}), so "
                "they cannot be stacked; pass drop_last=True, or return a mean"
            )
        leaves.append(constant(column[0] if len(column) == 1 else buffers_of(backend).joined(column), backend))
    return tree.unflatten(structure, iter(leaves))


def run_batches(
    step: Any, arrays: list[Any], order: Any, batch: int, steps: int, kwargs: dict[str, Any], backend: Any
) -> list[tuple[Any, list[Any]]]:
    """The pieces for `steps` whole batches."""
    pieces = []
    done = 0
    while done < steps:
        program, arguments = step.find(tuple(cut(arrays, order, done * batch, (done + 1) * batch, backend)), kwargs)
        native = Native.of(program, arguments, len(arrays))
        started, count = time.perf_counter(), 0
        if native is not None:
            with program.lock, uninterrupted():
                count, piece = native.run(arrays, order, batch, done, min(program.stretch or FIRST, steps - done))
        if count:
            program.stretch = max(1, int(STRETCH / max((time.perf_counter() - started) / count, 1e-9)))
        else:  # it cannot be repeated, or the host has decided otherwise than it did in the trace
            with uninterrupted():
                result = step(*cut(arrays, order, done * batch, (done + 1) * batch, backend), **kwargs)
            count, piece = 1, one(result, backend)
        pieces.append(piece)
        done += count
    return pieces


@dataclasses.dataclass(frozen=True)
class Stretch:
    """Steps in a row, `count` after `done` others: what they read, a row for each, and where results are stacked."""

    arrays: list[Any]
    order: Any
    batch: int
    done: int
    count: int
    numbers: Any
    states: dict[Var, Any]
    made: dict[int, Any]


class Native:
    """A program that native code can repeat: all its kernels are compiled, and each step leaves it as it found it."""

    def __init__(self, program: Program, arguments: list[Any], data: int) -> None:
        self.program, self.arguments, self.data = program, arguments, data
        self.executor: Compiled = program.executor

    @classmethod
    def of(cls, program: Program, arguments: list[Any], data: int) -> Native | None:
        """The program as one that can be repeated, or None where it cannot."""
        executor = program.executor
        if not isinstance(executor, Compiled) or len(executor.parts) != 1 or executor.calls:
            return None
        fresh = {i for i, _ in executor.fresh}
        results = [what for kind, what in program.results if kind == "tensor"]
        if any(kind not in ("tensor", "fixed") for kind, _ in program.results) or not set(results) <= fresh:
            return None
        grads = {made[1] for _, made in program.grads if made is not None and made[0] == "tensor"}
        states = {place for _, place in program.states}
        stacked = {executor.outputs[place] for place in results}
        if stacked & {executor.outputs[place] for place in grads | states} or states & fresh:
            return None  # what is stacked is not what stays
        if any(source.kind == "grad" for source in program.sources) or any(made == "same" for _, made in program.grads):
            return None
        for source, absent in program.guard.grads:  # what the next step finds must be what this one found
            given = [made for target, made in program.grads if target is source]
            if given and (given[0] is None) is not absent:
                return None
        places = [s.place for s in program.sources if s.kind == "argument" and s.place < data]
        return None if len(places) != len(set(places)) else cls(program, arguments, data)

    def run(self, arrays: list[Any], order: Any, batch: int, done: int, count: int) -> tuple[int, Any]:
        """Up to `count` steps after `done` others; returns how many, and what they give, as a piece."""
        program, executor = self.program, self.executor
        self.moved: list[Var] = []
        undo = [work.restore() for work in program.host]
        numbers, states = self.numbers(min(count, AHEAD) if executor.buffers.fixed else count)
        if not len(numbers):
            return 0, None
        count = count if executor.buffers.fixed else len(numbers)
        for i, var in program.written.items():
            program.own(program.graph.inputs[i], var, find(program.sources[i], self.arguments))
        first = cut(arrays, order, done * batch, (done + 1) * batch, program.backend)
        arguments = [*first, *self.arguments[self.data :]]
        given = {var: table[0] for var, table in states.items()}
        values = [
            numbers[0][executor.numbers[var]]
            if var.weak
            else given[var]
            if var in given
            else find(source, arguments).array
            for var, source in zip(executor.inputs, program.sources, strict=True)
        ]
        targets, again = program.targets(arguments)
        executor.bind_inputs(values)
        executor.bind_outputs(targets)
        results = [(i, var) for i, var in executor.fresh if ("tensor", i) in program.results]
        made = {i: executor.buffers.empty((count, *var.shape), var.dtype) for i, var in results}
        stretch = Stretch(arrays, order, batch, done, count, numbers, states, made)
        finished, count = self.on_device(stretch) if executor.buffers.fixed else (self.on_host(stretch), count)
        if finished:
            program.write(executor.results(), arguments, again)
        for var in self.moved:
            executor.arrays.pop(var, None)  # what is bound has moved on
        if finished < count:
            for back in reversed(undo):
                back()
            self.numbers(finished)
            program.forget(arguments, {k for k, (_, made) in enumerate(program.grads) if made is not None})
            checks = [check for unit in executor.units for check in unit.checks]
            raise failure(checks, f" (in batch {done + finished})")
        if count < stretch.count:
            made = {i: stack[:count] for i, stack in made.items()}
        leaves = [
            made[what].reshape(count, *executor.graph.outputs[what].shape) if kind == "tensor" else Fixed(what)
            for kind, what in program.results
        ]
        return count, (program.structure, leaves)

    def data_inputs(self) -> list[tuple[Var, int]]:
        """The inputs that are batches, and of which data."""
        pairs = zip(self.executor.inputs, self.program.sources, strict=True)
        return [(var, s.place) for var, s in pairs if s.kind == "argument" and s.place < self.data]

    def on_host(self, s: Stretch) -> int:
        """Run a stretch by one native call; returns how many steps were finished."""
        executor = self.executor
        sources = {var: (address_of(table), table[0].nbytes) for var, table in s.states.items()}
        gathers = []
        for var, place in self.data_inputs():
            x = s.arrays[place]
            row = x.nbytes // max(len(x), 1)
            if s.order is None:
                sources[var] = address_of(x) + s.done * s.batch * row, s.batch * row
            else:
                gathers.append((address_of(x), address_of(executor.arrays[var]), row))
        fresh = dict(executor.fresh)
        for i, stack in s.made.items():
            sources[fresh[i]] = address_of(stack), fresh[i].nbytes
        self.moved = list(sources)
        positions = np.zeros(0, np.int64) if s.order is None else s.order[s.done * s.batch :]
        memory = address_of(executor.memory)
        return executor.parts[0].run_many(s.numbers, sources, gathers, positions, s.batch, s.count, memory)

    def on_device(self, s: Stretch) -> tuple[int, int]:
        """Run a stretch by graphs, from stacks on the device to stacks there.

        Returns how many steps were finished, and how many were to be: fewer where the host decides otherwise from
        then on than it did in the trace. What the host decides it brings while the device runs the steps before.
        """
        executor, fresh = self.executor, dict(self.executor.fresh)
        empty, asarray = executor.buffers.empty, executor.buffers.array
        numbers = empty((s.count, s.numbers.shape[1]), s.numbers.dtype)
        states = {var: empty((s.count, *table.shape[1:]), table.dtype) for var, table in s.states.items()}
        tables = [(numbers, executor.given_numbers, 1)]
        tables += [(table, executor.arrays[var], 1) for var, table in states.items()]
        start = s.done * s.batch
        named = None if s.order is None else asarray(s.order[start : start + s.count * s.batch])
        batches = []
        for var, place in self.data_inputs():
            x = s.arrays[place]
            batches.append((x if s.order is not None else x[start:], executor.arrays[var], s.batch))
        stacks = [(executor.arrays[fresh[i]], stack) for i, stack in s.made.items()]
        ready = 0
        more = s.numbers, s.states

        def bring(wanted: int) -> int:
            """Bring what the host decides for steps up to `wanted`; returns up to which it is there."""
            nonlocal ready, more
            while ready < wanted:
                rows, arrays = more if not ready else self.numbers(min(AHEAD, s.count - ready))
                if not len(rows):
                    break
                stop = ready + len(rows)
                executor.buffers.fill(numbers[ready:stop], rows)
                for var, table in arrays.items():
                    executor.buffers.fill(states[var][ready:stop], table)
                ready = stop
            return ready

        finished, count = executor.parts[0].run_many(tables, batches, named, stacks, s.count, bring)
        executor.last_numbers = b""  # the device has had others since
        return finished, count

    def numbers(self, count: int) -> tuple[Any, dict[Var, Any]]:
        """What the host decides for the next steps: numbers, and arithmetic with them; and arrays; a row for each.

        There are `count` rows, or fewer, where the program does not fit what the host decides from then on, or the
        host's part fails, as a schedule of the user's may.
        """
        executor, program = self.executor, self.program
        sources = [*zip(executor.inputs, program.sources, strict=True)]
        given = {v: self.arguments[source.place] for v, source in sources if v.weak and source.kind == "argument"}
        decided = [(v, source.place) for v, source in sources if source.kind == "host"]
        known, rows = dict(given), []
        states: dict[Var, list[Any]] = {v: [] for v, _ in decided if not v.weak}
        columns = [v for v in executor.numbers if v in given or v not in executor.inputs or v in dict(decided)]
        for _ in range(count):
            try:
                host = program.host_values(self.arguments)
            except Exception:  # the step that it belongs to is to raise it, when those before have been run
                break
            for var, place in decided:
                value = host[place].pop()
                if var.weak:
                    known[var] = value
                else:
                    states[var].append(value)
            executor.compute_numbers(known)
            rows.append([known[v] for v in columns])
        table = np.zeros((len(rows), len(executor.memory)))
        if rows and columns:
            table[:, [executor.numbers[v] for v in columns]] = rows
        return table, {var: np.stack(values) for var, values in states.items() if values}
