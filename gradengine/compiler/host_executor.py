"""A graph as compiled kernels: which variables need memory and where, and what is bound and run at each call.

Equations that no kernel was made for are run by the backend's own kernels, between compiled programs.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.tensor_class import EXCLUSIVE
from ..errors import CompileError, IndexRangeError
from . import arena
from .affine_index import full
from .codegen import KernelMaker
from .device_arrays import buffers_of
from .fuse import Fusion, Unit
from .graph import Equation, Graph, Names, Var, show_right_side
from .graph_passes import simplify
from .loop_ir import infer_loop
from .loop_passes import loop_passes
from .replay import kernel_of, of_numbers, raised_by

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST_MOVES = 4  # of an output whose address is built in
KEPT = 2  # arrays of one result that are kept to be given again, once nobody holds them


class Compiled:
    """A graph, compiled. `updates` has pairs of outputs and inputs: what the output replaces, so it may overwrite it.

    `run(values, targets)` gives the outputs for the values of the inputs; `targets` may offer arrays for outputs.
    The inputs in `in_place` are written to, and must be arrays that nobody else sees. Those at `passing` are other
    arrays at each call, and the outputs at `returned` are handed to a user, who may keep them.
    """

    def __init__(
        self,
        graph: Graph,
        backend: Any,
        updates: Sequence[tuple[int, int]],
        passing: Sequence[int] = (),
        returned: Sequence[int] = (),
        listen: Callable[..., None] | None = None,
    ) -> None:
        self.backend, self.buffers = backend, buffers_of(backend)
        self.returned = frozenset(returned) if self.buffers.fixed else frozenset()
        self.graph = graph = simplify(graph, listen, loop_passes(backend.reals, self.buffers.fixed), infer_loop)
        self.fusion = fusion = Fusion(graph, backend.operations(), backend.reals, rows_only=self.buffers.fixed)
        self.units = fusion.units
        self.inputs = list(graph.inputs)
        weak = [v for v in graph.inputs if v.weak] + [e.out for e in fusion.host]
        self.numbers = {v: i for i, v in enumerate(weak)}
        self.memory = np.zeros(max(len(weak), 1), np.float64)
        self.count_reads()
        self.outputs = [fusion.root(x) if isinstance(x, Var) else x for x in graph.outputs]
        checked = max([u for u, unit in enumerate(self.units) if unit.checks], default=-1)
        called = [u for u, unit in enumerate(self.units) if unit.call is not None and may_refuse(unit.call)]
        last = max(checked, *called, -1)
        self.certain = {x for x, (u, _) in fusion.place.items() if u > last}  # written when nothing can fail now
        self.lost = self.find_lost(checked)
        self.in_place = self.find_in_place(updates)
        passing_here = {graph.inputs[i] for i in passing} if self.buffers.fixed else set()
        self.copied = passing_here - {*self.in_place.values()} - set(weak)  # inputs with a place of their own
        self.plan_memory()
        self.make_parts()

    # -- what needs memory --------------------------------------------------------------------------------------

    def count_reads(self) -> None:
        """Note for each root where it is written, which units read it, and whether it has to be in memory."""
        fusion = self.fusion
        self.readers: dict[Var, list[tuple[int, int, Equation]]] = {}
        for u, unit in enumerate(self.units):
            for s, stage in enumerate(unit.stages):
                for e in stage.every():
                    for x in e.variables():
                        if not x.weak:
                            self.readers.setdefault(fusion.root(x), []).append((u, s, e))
        asked = {fusion.root(x) for x in self.graph.outputs if isinstance(x, Var)}
        asked |= {fusion.root(e.inputs[0]) for unit in self.units for e in unit.checks}
        self.stored = {
            root
            for root, place in fusion.place.items()
            if root in asked or root in fusion.late or any((u, s) != place for u, s, _ in self.readers.get(root, ()))
        }
        self.stored |= {e.out for unit in self.units for d in unit.stages if d.alone for e in d.equations}

    def find_lost(self, checked: int) -> set[Var]:
        """What a graph on a GPU writes although a check has failed: products, which nothing can stop."""
        if not self.buffers.fixed or checked < 0:
            return set()
        return {e.out for unit in self.units for stage in unit.stages if stage.alone for e in stage.equations}

    def find_in_place(self, updates: Sequence[tuple[int, int]]) -> dict[Var, Var]:
        """The outputs that are written over the input which they replace: nobody reads it later, or elsewhere."""
        found: dict[Var, Var] = {}
        for output, number in updates:
            new, old = self.outputs[output], self.graph.inputs[number]
            fits = isinstance(new, Var) and new in self.certain and new not in self.fusion.late | self.lost
            if not fits or new in found or self.outputs.count(new) > 1 or old in self.outputs or new.shape != old.shape:
                continue
            if self.units[self.fusion.place[new][0]].call is None and self.may_overwrite(new, old):
                found[new] = old
        return found

    def may_overwrite(self, new: Var, old: Var) -> bool:
        """Whether `new` can be written where `old` is: all have read it, or read the very element that is written."""
        unit, stage = self.fusion.place[new]
        draft = self.units[unit].stages[stage]
        if new.nbytes != old.nbytes or (draft.alone and any(u == unit for u, _, _ in self.readers.get(old, ()))):
            return False
        one_pass = not any(e.op.name == "reduce" for e in draft.equations)
        for u, s, e in self.readers.get(old, ()):
            if u < unit:
                continue
            form = self.fusion.form(e)
            if u > unit or s > stage or form is None or draft.alone:
                return False
            own = [self.fusion.access(e, x, form) for x in e.variables() if self.fusion.root(x) is old]
            if s < stage or not one_pass or any(access != full(draft.columns) for access in own):
                return False
        return True

    def plan_memory(self) -> None:
        """Places in the arena for all results that kernels hand to kernels."""
        self.lives: dict[Var, arena.Lifetime] = {}
        own = {x for x in self.outputs if isinstance(x, Var)}
        for root in sorted(self.stored, key=lambda v: (self.fusion.place[v], v.number)):
            unit = self.fusion.place[root][0]
            if root in own or self.units[unit].call is not None:
                continue
            last = max([u for u, _, _ in self.readers.get(root, ())], default=unit)
            life = arena.Lifetime(root, unit, last)
            life.instead = self.dying(root, unit)
            self.lives[root] = life
        self.arena_size = arena.plan(list(self.lives.values()))
        self.arena = self.buffers.empty((self.arena_size + arena.LINE,), np.uint8)
        self.arena_start = -(-self.buffers.address(self.arena) // arena.LINE) * arena.LINE

    def dying(self, root: Var, unit: int) -> arena.Lifetime | None:
        """An operand that is read for the last time by what writes `root`, and whose place it may take."""
        taken = {life.instead for life in self.lives.values()}
        for old, life in self.lives.items():
            same = old.dtype == root.dtype and old.nbytes == root.nbytes and life.last == unit and life.first < unit
            if same and life not in taken and self.may_overwrite(root, old):
                return life
        return None

    # -- parts: compiled programs, and calls between them -------------------------------------------------------

    def make_parts(self) -> None:
        """Compile the kernels between two calls as one program each."""
        self.parts: list[Any] = []
        self.makers: list[KernelMaker] = []
        batch: list[KernelMaker] = []
        places = dict(self.in_place)
        for var, life in self.lives.items():
            while life.instead is not None:
                life = life.instead
            places[var] = life.var
        for unit in self.units:
            if unit.call is None:
                batch.append(KernelMaker(self.fusion, unit, self.stored, places, self.numbers))
            else:
                self.close(batch)
                batch = []
                self.parts.append(unit.call)
        self.close(batch)
        self.arrays: dict[Var, Any] = {}  # what each variable in memory is, or was at the last call
        self.programs = [part for part in self.parts if not isinstance(part, Equation)]
        self.calls = {e.out for e in self.parts if isinstance(e, Equation)}
        self.given_numbers = self.memory if not self.buffers.fixed else self.buffers.copy(self.memory)
        self.last_numbers = self.memory.tobytes()
        for program in self.programs:
            program.bind("numbers", self.buffers.handle(self.given_numbers))
        for var, value in self.graph.constants.items():
            self.bind(var, self.buffers.copy(value))
        for var in self.copied:
            self.bind(var, self.buffers.empty(var.shape, var.dtype))
        start = self.arena_start - self.buffers.address(self.arena)
        for var, life in self.lives.items():
            begin = start + life.offset
            self.bind(var, self.arena[begin : begin + var.nbytes].view(var.dtype).reshape(var.shape))
        self.pool: dict[int, list[Any]] = {}
        self.own_places: dict[Var, Any] = {}  # where inputs are copied to that kernels cannot read as they are
        self.moves: dict[int, int] = {}  # how often an output had to have another place
        self.replaced = {old: new for new, old in self.in_place.items()}
        first = {x: i for i, x in reversed([*enumerate(self.outputs)]) if isinstance(x, Var)}
        self.fresh = [
            (i, x)
            for x, i in first.items()
            if x in self.fusion.place and x not in self.calls and x not in self.in_place
        ]
        self.written = {*self.in_place, *(x for _, x in self.fresh)}
        shapes = [getattr(x, "shape", None) for x in self.graph.outputs]
        made = {x: shapes[i] for i, x in self.fresh}  # an output that is a view is written in the view's shape
        self.own = {i for i, x in self.fresh}  # the outputs that are handed out as they are written
        self.staying = {x for i, x in self.fresh if i in self.returned}  # and those that are copied first
        for i, x in self.fresh:
            if x in self.staying:
                self.bind(x, self.buffers.empty(shapes[i], x.dtype))
        self.handed = [
            (x, x in self.written and x not in self.staying and made.get(x, x.shape) == shape)
            if isinstance(x, Var)
            else (x, False)
            for x, shape in zip(self.outputs, shapes, strict=True)
        ]

    def close(self, batch: list[KernelMaker]) -> None:
        """Compile a run of kernels."""
        if not batch:
            return
        flags = []
        for maker in batch:
            if len(maker.unit.checks) > 1:
                raise CompileError("jit: a kernel has two checks; please report this")
            flags.append(self.fusion.root(maker.unit.checks[0].inputs[0]) if maker.unit.checks else None)
        program = self.backend.program(
            [m.kernel for m in batch], [m.table for m in batch], [m.cost for m in batch], flags
        )
        program.checks = [m.unit.checks for m in batch]
        self.makers += batch
        self.parts.append(program)

    def bind(self, var: Var, array: Any) -> None:
        """Say where a variable's elements are, unless they are where they were."""
        if self.arrays.get(var) is not array:
            self.arrays[var] = array
            handle = self.buffers.handle(array)
            for program in self.programs:
                program.bind(var, handle)

    def holds(self, var: Var, array: Any) -> int:
        """How many of those who refer to an array are this program: from the last call, or to give it out again."""
        count = 1 if self.arrays.get(var) is array else 0
        for several in self.pool.values():
            for x in several:
                if x is array:
                    count += 1
        return count

    # -- running ------------------------------------------------------------------------------------------------

    def run(self, values: list[Any], targets: dict[int, Any]) -> list[Any]:
        """The outputs. Raises IndexRangeError for a label out of range, before anything is updated that it changes."""
        self.bind_inputs(values)
        self.bind_outputs(targets)
        for part in self.parts:
            if isinstance(part, Equation):
                self.call(part)
            elif failed := part.run():
                raise failure(part.checks[failed - 1])
        return self.results()

    def results(self) -> list[Any]:
        """The outputs of the last run."""
        arrays = self.arrays
        return [arrays[x] if direct else self.output(i) for i, (x, direct) in enumerate(self.handed)]

    def bind_inputs(self, values: list[Any]) -> None:
        """Tell the kernels where the inputs are."""
        arrays, numbers, memory = self.arrays, self.numbers, self.memory
        for var, value in zip(self.inputs, values):
            if var.weak:
                memory[numbers[var]] = arrays[var] = value
            elif var in self.copied:
                self.buffers.fill(arrays[var], value)
            elif arrays.get(var) is not value:
                if not self.buffers.fits(value):
                    value = self.fitting(var, value)
                self.bind(var, value)
                if var in self.replaced:
                    self.bind(self.replaced[var], value)
        if self.fusion.host:
            self.compute_numbers(arrays)
            for e in self.fusion.host:
                memory[numbers[e.out]] = arrays[e.out]
        if self.buffers.fixed and memory.tobytes() != self.last_numbers:
            self.buffers.fill(self.given_numbers, memory)
            self.last_numbers = memory.tobytes()

    def fitting(self, var: Var, value: Any) -> Any:
        """A copy of an input that kernels can read; where addresses are built in, always in one place."""
        if not self.buffers.fixed:
            return self.buffers.copy(value, var.dtype)
        if var not in self.own_places:
            self.own_places[var] = self.buffers.empty(var.shape, var.dtype)
        self.buffers.fill(self.own_places[var], value)
        return self.own_places[var]

    def compute_numbers(self, known: dict[Var, Any]) -> None:
        """Do the arithmetic of Python numbers."""
        for e in self.fusion.host:
            given = [known[x] if isinstance(x, Var) else x for x in e.inputs]
            known[e.out] = of_numbers(e)(*given, **e.params)

    def bind_outputs(self, targets: dict[int, Any]) -> None:
        """Find arrays for the outputs that kernels write, and tell them."""
        for i, var in self.fresh:
            if var not in self.staying:
                array = targets.get(i)
                if array is None and self.buffers.fixed and (i in self.pool or i in self.moves):
                    self.moves[i] = self.moves.get(i, 0) + 1
                    if self.moves[i] == MOST_MOVES:
                        self.stay(var)
                        continue
                self.bind(var, self.new_array(i, var) if array is None else array)

    def stay(self, var: Var) -> None:
        """Keep an output where it is, and hand out copies: somebody keeps what was given before."""
        self.staying.add(var)
        self.handed = [(x, direct and x not in self.staying) for x, direct in self.handed]
        self.bind(var, self.buffers.empty(self.arrays[var].shape, var.dtype))

    def new_array(self, i: int, var: Var) -> Any:
        """An array for an output: one that was given before and that nobody holds any more, or a new one."""
        kept = self.pool.setdefault(i, [])
        for array in kept:
            if sys.getrefcount(array) - (self.arrays.get(var) is array) == EXCLUSIVE:  # the pool alone has it
                return array
        array = self.buffers.empty(self.graph.outputs[i].shape, var.dtype)
        if len(kept) < KEPT and (self.buffers.fixed or var.nbytes > arena.LINE):
            kept.append(array)
        return array

    def call(self, e: Equation) -> None:
        """Run the backend's own kernel of an op."""
        given = [self.value(x) if isinstance(x, Var) else x for x in e.inputs]
        with np.errstate(all="ignore"), raised_by(e, given):
            value = kernel_of(self.backend, e)(*given, **e.params)
        value = self.buffers.array(value)
        if (value.shape, value.dtype) != (e.out.shape, e.out.dtype):
            raise CompileError(
                f"jit: {e.name} has made {value.dtype}{list(value.shape)}, not {e.out!r}; please report it"
            )
        if self.buffers.fixed:
            if e.out not in self.arrays:
                self.bind(e.out, self.buffers.empty(value.shape, value.dtype))
            self.buffers.fill(self.arrays[e.out], value)
            return
        if not self.buffers.alone(value) or any(value is x for x in given):
            value = self.buffers.copy(value)
        self.bind(e.out, value)

    def value(self, x: Var) -> Any:
        """The array that a variable stands for."""
        found = self.arrays[self.fusion.root(x)]
        return found if x.weak or found.shape == x.shape else found.reshape(x.shape)

    def output(self, i: int) -> Any:
        """An output as it is handed out: memory of its own, unless it replaces an input."""
        x = self.graph.outputs[i]
        if not isinstance(x, Var):
            return x
        root = self.outputs[i]
        own = (root in self.calls and not self.buffers.fixed) or (root in self.written and root not in self.staying)
        return self.value(x) if own or x.weak else self.buffers.copy(self.value(x))

    # -- showing ------------------------------------------------------------------------------------------------

    def show_groups(self, names: Names) -> str:
        """Which equations are one kernel, in the order in which they run."""
        makers = iter(self.makers)
        lines = []
        for i, unit in enumerate(self.units):
            lines.append(f"unit {i}: {describe(unit, makers)}")
            for s, stage in enumerate(unit.stages):
                kind = (
                    stage.equations[0].name
                    if stage.alone
                    else f"loop over {stage.columns} columns"
                    if unit.rows
                    else "call"
                )
                lines.append(f"  stage {s}: {kind}")
                for e in stage.every():
                    when = "  after all rows" if e in stage.after else ""
                    lines.append(f"    {names[e.out]}:{e.out.type} = {show_right_side(e, names)}{when}")
            lines += [f"  check that {names[e.inputs[0]]} is 0: {e.params['message']}" for e in unit.checks]
        return "\n".join(lines)

    def show_memory(self, names: Names) -> str:
        """The memory plan."""
        own = [f"{names[new]} overwrites the input {names[old]}" for new, old in self.in_place.items()]
        return "\n".join([*own, arena.show(list(self.lives.values()), names, self.arena_size)])

    @property
    def source(self) -> str:
        """The generated source of all kernels."""
        kernels = [source for program in self.programs for source in program.sources]
        return "\n\n".join(kernels)


def may_refuse(e: Equation) -> bool:
    """Whether the kernel that is called may raise an error for what it finds: an index, or a number out of range."""
    kinds = {x.dtype.kind for x in e.variables()}
    found = e.op.checks_index and "b" in kinds  # a mask, which may have another number of elements
    return found or (not kinds.isdisjoint("iu") and (e.op.checks_index or any(x.weak for x in e.variables())))


def failure(checks: Sequence[Equation], where: str = "") -> IndexRangeError:
    """The error that a raised flag stands for: one of these checks has failed."""
    return IndexRangeError("; or ".join(check.params["message"] for check in checks) + where)


def describe(unit: Unit, makers: Any) -> str:
    """A unit in a few words."""
    if unit.call is not None:
        return f"{unit.call.name}, by its own kernel"
    cost = next(makers).cost / 1000
    return f"{unit.rows} rows of {unit.real}, about {cost:.0f} µs on one thread"
