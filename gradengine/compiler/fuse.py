"""Fusion: which equations become one kernel, and in which order kernels run.

A kernel goes over rows. An equation joins a kernel of as many rows if all that it reads of that kernel's own results
are its own rows; so a chain of layers, its loss and its gradients become one kernel, in which no thread waits for
another. Inside, equations over the same columns share a loop nest, and a product's bias and activation follow it
while its rows are still in the cache. What reads all rows of a result (the product that makes a weight's gradient)
goes to a later kernel.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gradengine_kernels import expr, loops, scalar_types
from gradengine_kernels.loops import DRAWN, Access

from ..backend import devices
from ..errors import CompileError
from .affine_index import canonical, full, stretched, strided
from .graph import Equation, Graph, Var
from .loop_ir import AT_COLUMN, BROADCAST, CHECK, COPY, DOT, DRAW, LABEL_IS, LABEL_OUTSIDE, REDUCE, RESHAPE

if TYPE_CHECKING:
    pass

COMPUTED_IN = {"float16": "float32", "bfloat16": "float32"}  # what half precision is computed in
LEAVES = ("input", "constant")  # of a scalar expression
MOST_WAITING = 64  # equations that wait for each other
LARGE_PRODUCT = 1 << 22  # multiplications that are worth a thread each


@dataclasses.dataclass(eq=False)
class Draft:
    """A stage in the making: equations over the same columns, or one that stands alone, a product or a draw."""

    columns: int
    equations: list[Equation]
    alone: bool = False
    after: list[Equation] = dataclasses.field(default_factory=list)  # numbers that are computed of its sums

    def every(self) -> list[Equation]:
        """All equations, in order."""
        return [*self.equations, *self.after]


@dataclasses.dataclass(eq=False)
class Unit:
    """A kernel in the making, or (rows 0) an equation whose own kernel is called from Python.

    With `across`, its threads share out columns, of which it has `rows`, and each goes over all `across` rows.
    """

    rows: int
    real: str
    stages: list[Draft]
    across: int = 0
    checks: list[Equation] = dataclasses.field(default_factory=list)

    @property
    def call(self) -> Equation | None:
        """The equation that is called from Python, if this is one."""
        return None if self.rows else self.stages[0].equations[0]

    def equations(self) -> list[Equation]:
        """All equations, in order."""
        return [e for stage in self.stages for e in stage.every()]


@dataclasses.dataclass(frozen=True)
class Form:
    """An equation as a loop: over how many rows and columns, and for a reduction along what it adds up."""

    rows: int
    columns: int
    along: str = ""  # "columns" of each row; "rows"; "all"
    across: bool = False  # whether a product's columns are shared out rather than its rows

    @property
    def shared(self) -> tuple[int, int]:
        """What threads share out, and the rows that each goes over if that is columns."""
        return (self.columns, self.rows) if self.across else (self.rows, 0)


class Fusion:
    """The units of a graph in the loop IR, in the order in which they run.

    `operations` are the scalar operations that the backend's kernels may consist of, `reals` their dtypes. With
    `rows_only`, kernels never share out columns, and each loop is a launch: the fewer the better.
    """

    def __init__(
        self, graph: Graph, operations: frozenset[str], reals: frozenset[str], rows_only: bool = False
    ) -> None:
        self.graph, self.operations, self.reals, self.rows_only = graph, operations, reals, rows_only
        self.units: list[Unit] = []
        self.host: list[Equation] = []  # arithmetic of Python numbers, done before the program runs
        self.roots: dict[Var, Var] = {}  # of a view, what it is a view of
        self.place: dict[Var, tuple[int, int]] = {}  # of a variable: its unit and stage
        self.drawn: set[Var] = set()
        self.late: set[Var] = set()  # sums over rows, which are known when a kernel has ended
        self.ended: set[Var] = set()  # those of them that are one number, and numbers that are computed of these
        self.closed = 0  # units that nothing more joins: with `rows_only`, checks that need no product come first
        self.templates: dict[Any, Any] = {}
        floats = [v.dtype.name for v in self.variables() if v.dtype.name in reals and not v.weak]
        self.usual = COMPUTED_IN.get(floats[0], floats[0]) if floats else "float32"
        self.depths: dict[Var, int] = {}  # how many such equations read each other, one after the other
        self.waiting: dict[Var, Equation] = {}  # what depends on inputs alone is computed where it is first read
        for e in graph.equations:
            self.add(e)
        for e in list(self.waiting.values()):
            self.place_waiting(e.out)
        if rows_only:
            for index, unit in enumerate(self.units):
                if unit.rows:
                    self.join_loops(index, unit)

    def variables(self) -> list[Var]:
        """All variables."""
        return [*self.graph.inputs, *self.graph.constants, *(e.out for e in self.graph.equations)]

    def root(self, x: Var) -> Var:
        """The variable whose memory holds `x`."""
        return self.roots.get(x, x)

    # -- placing equations --------------------------------------------------------------------------------------

    def add(self, e: Equation) -> None:
        """Find a place for an equation."""
        if e.op is RESHAPE:
            self.roots[e.out] = self.root(e.inputs[0])
            return
        if e.out.weak:
            self.host.append(e)
            return
        if e.op is CHECK:
            unit, _ = self.place[self.root(e.inputs[0])]
            self.units[unit].checks.append(e)
            if self.rows_only and not any(stage.alone for unit in self.units for stage in unit.stages):
                self.closed = len(self.units)
            return
        form = self.form(e)
        if form is not None and self.can_wait(e):
            self.waiting[e.out] = e
            return
        if form is not None and self.rows_only and self.can_follow(e):
            return
        if form is None:
            for x in e.variables():
                self.place_waiting(self.root(x))
            self.append(Unit(0, "", [Draft(0, [e])]), e)
            return
        self.find_unit(e, form)

    def can_wait(self, e: Equation) -> bool:
        """Whether an equation is cheap and needs nothing that a kernel computes."""
        if e.op.kind != "pointwise" and e.op not in (COPY, BROADCAST):
            return False
        roots = [self.root(x) for x in e.variables()]
        self.depths[e.out] = depth = 1 + max([self.depths.get(x, 0) for x in roots], default=0)
        return depth % MOST_WAITING > 0 and all(x not in self.place for x in roots)

    def can_follow(self, e: Equation) -> bool:
        """Compute a scalar that depends on grid reductions in the epilogue of the last one.

        The thread that holds the sum computes it: a separate kernel would cost a launch for one number.
        """
        if e.op.kind != "pointwise" or e.out.size != 1 or e.out.dtype.name not in ("float32", "float64", "bool"):
            return False
        before: list[tuple[int, int]] = []
        sums: list[tuple[int, int]] = []
        for x in e.variables():
            root = self.root(x)
            if x.weak or (root not in self.place and root not in self.waiting):
                continue  # it is given
            if root in self.waiting:
                return False
            (sums if root in self.ended else before).append(self.place[root])
        if not sums or any(place >= max(sums) for place in before):
            return False
        index, stage = max(sums)
        if self.real_of(e) not in ("", self.units[index].real):
            return False
        self.units[index].stages[stage].after.append(e)
        self.place[e.out] = index, stage
        self.late.add(e.out)
        self.ended.add(e.out)
        return True

    def place_waiting(self, x: Var, unit: int = -1) -> None:
        """Place an equation that has waited for a reader, in the reader's unit if it fits there."""
        e = self.waiting.pop(x, None)
        if e is None:
            return
        form = self.form_of(e)
        for y in e.variables():
            self.place_waiting(self.root(y), unit)
        least = self.least_unit(e, form)
        real = self.real_of(e)
        if least <= unit < len(self.units) and self.units[unit].rows and self.fits(e, form, unit, real, True):
            self.join(unit, e, form)
        else:
            self.find_unit(e, form)

    def least_unit(self, e: Equation, form: Form) -> int:
        """The first unit that an equation can be in, by what it reads."""
        least = 0
        for x in e.variables():
            unit, _ = self.place.get(self.root(x), (-1, 0))
            own = unit >= 0 and self.aligned(e, x, form, self.units[unit])
            least = max(least, unit if own else unit + 1)
        return least

    def find_unit(self, e: Equation, form: Form) -> None:
        """Put an equation into the first kernel that it fits into, or into a new one."""
        real = self.real_of(e)
        while True:
            least = self.least_unit(e, form)
            index = next((i for i in range(least, len(self.units)) if self.fits(e, form, i, real)), len(self.units))
            waiting = [self.root(x) for x in e.variables() if self.root(x) in self.waiting]
            if not waiting:
                break
            if index == len(self.units):
                self.units.append(Unit(form.shared[0], real or self.usual, [], across=form.shared[1]))
            for x in waiting:
                self.place_waiting(x, index)
        if index == len(self.units):
            self.units.append(Unit(form.shared[0], real or self.usual, [], across=form.shared[1]))
        self.join(index, e, form)

    def append(self, unit: Unit, e: Equation) -> None:
        """Add a unit of its own."""
        self.units.append(unit)
        self.place[e.out] = len(self.units) - 1, 0

    def join(self, index: int, e: Equation, form: Form) -> None:
        """Add an equation to a kernel, in the first stage that it can be in."""
        unit, least = self.units[index], 0
        alone = e.op in (DOT, DRAW)
        for x in e.variables():
            where, stage = self.place.get(self.root(x), (-1, 0))
            if where == index:
                draft = unit.stages[stage]
                shared = not alone and not draft.alone and form.columns in (draft.columns, 1)
                least = max(least, stage if shared else stage + 1)
        if not alone:
            for s in range(least, len(unit.stages)):
                draft = unit.stages[s]
                if (not draft.alone and form.columns == draft.columns) or (
                    not draft.alone and form.columns == 1 and form.along != "columns" and self.reads_from(e, index, s)
                ):
                    return self.put(e, form, index, s, draft)
        unit.stages.append(Draft(form.columns, [], alone))
        return self.put(e, form, index, len(unit.stages) - 1, unit.stages[-1])

    def join_loops(self, index: int, unit: Unit) -> None:
        """Make one loop of two that depend on each other, over the same columns, or one of them over rows alone."""
        stages = unit.stages
        pairs = [(s, t) for t in range(len(stages)) for s in range(t)]
        for s, t in pairs:
            one, other = stages[s], stages[t]
            if one.alone or other.alone or not one.equations or not other.equations:
                continue
            between = stages[s + 1 : t]
            if not depends(self, other, one) or any(depends(self, other, x) for x in between):
                continue
            if one.columns != other.columns:
                rows = [x for x in (one, other) if x.columns == 1]
                sums = [e for x in rows for e in x.equations if e.op is REDUCE and self.form_of(e).along == "columns"]
                if not rows or sums:
                    continue
            one.equations += other.equations
            one.after += other.after
            one.columns, other.equations, other.after = max(one.columns, other.columns), [], []
        unit.stages = [stage for stage in stages if stage.equations]
        for s, stage in enumerate(unit.stages):
            for e in stage.every():
                self.place[e.out] = index, s

    def reads_from(self, e: Equation, unit: int, stage: int) -> bool:
        """Whether an equation reads what a stage computes."""
        return any(self.place.get(self.root(x)) == (unit, stage) for x in e.variables())

    def put(self, e: Equation, form: Form, index: int, stage: int, draft: Draft) -> None:
        """Add an equation to a stage."""
        draft.equations.append(e)
        self.place[e.out] = index, stage
        if form.along in ("rows", "all"):
            self.late.add(e.out)
        if form.along == "all" and e.out.dtype.name in ("float32", "float64"):
            self.ended.add(e.out)
        if e.op is DRAW:
            self.drawn.add(e.out)

    def fits(self, e: Equation, form: Form, index: int, real: str, is_read: bool = False) -> bool:
        """Whether an equation may join a kernel, as far as rows and dtype go; `is_read` if it is read there."""
        unit = self.units[index]
        if index < self.closed or not unit.rows or (real and unit.real != real):
            return False
        if not unit.across:
            return unit.rows == form.rows and not form.across
        if form.across:
            return False  # one product each: they are large
        same = (form.columns, form.rows) == (unit.rows, unit.across) and form.along in ("", "rows")
        reads = is_read or any(self.place.get(self.root(x), (-1,))[0] == index for x in e.variables())
        return same and e.op is not DOT and reads

    def aligned(self, e: Equation, x: Var, form: Form, unit: Unit) -> bool:
        """Whether each row (or column) of an equation reads only its own one of `x`, which the unit computes."""
        root = self.root(x)
        if root in self.late or form.across or not unit.rows:
            return False
        if root in self.drawn and canonical(root.shape)[1] != DRAWN:
            return False  # a draw's rows are blocks of so many numbers, whatever its shape is
        if unit.across:
            same = (form.columns, form.rows) == (unit.rows, unit.across) and form.along in ("", "rows")
            return same and e.op is not DOT and self.access(e, x, form) == full(form.columns)
        if unit.rows != form.rows:
            return False
        if e.op is DRAW:
            return False
        if e.op is DOT:
            a, b = e.inputs
            same = canonical(root.shape) == (form.rows, a.shape[-1]) and len(a.shape) == 2
            return same and x is a and x is not b and not e.params["ta"]
        access = self.access(e, x, form)
        rows, columns = canonical(root.shape)
        return access == Access(((1, 0, columns),), 0 if columns == 1 else 1) and rows == form.rows

    # -- what an equation is ------------------------------------------------------------------------------------

    def real_of(self, e: Equation) -> str:
        """The floating-point dtype that an equation computes with; "" where there is none."""
        for x in (e.out, *e.variables()):
            if x.dtype.name in self.reals and not x.weak:
                return COMPUTED_IN.get(x.dtype.name, x.dtype.name)
        return ""

    def form_of(self, e: Equation) -> Form:
        """The form of an equation that is part of a kernel."""
        form = self.form(e)
        if form is None:
            raise CompileError(f"jit: {e.name} is no loop; please report this with the step's code")
        return form

    def form(self, e: Equation) -> Form | None:
        """An equation as a loop or a product; None where its own kernel has to be called."""
        if not e.out.size or any(not x.size for x in e.variables()):
            return None
        if e.op is DRAW:
            return Form(-(-e.out.size // DRAWN), DRAWN)
        if e.op is DOT:
            return Form(e.out.shape[0], e.out.shape[-1], across=self.prefers_columns(e))
        if e.op is REDUCE:
            return self.form_of_reduction(e)
        if e.op in (COPY, BROADCAST, AT_COLUMN, LABEL_IS, LABEL_OUTSIDE):
            return Form(*canonical(e.out.shape))
        if e.op.kind != "pointwise" or self.template(e) is None:
            return None
        return Form(*canonical(e.out.shape))

    def prefers_columns(self, e: Equation) -> bool:
        """Whether threads had better share out a product's columns.

        Each then has to lay out all of `a` for its own use, and otherwise all of `b`, which is slow if it is stored
        transposed. A small product stays with its neighbours, which need all columns of a row; and the gradient of a
        weight is shared out by rows, as the weight itself is where it is stored transposed.
        """
        a, b = e.inputs
        if self.rows_only or len(e.out.shape) != 2 or a is b or e.params["ta"]:
            return False
        (m, n), k = e.out.shape, a.shape[-1]
        return n >= 64 and m * n * k >= LARGE_PRODUCT and n * (2 if e.params["tb"] else 1) > m

    def form_of_reduction(self, e: Equation) -> Form | None:
        """A reduction as one along the columns, along the rows, or along both."""
        (x,), axes = tuple(e.variables()), set(e.params["axes"])
        long = [i for i, n in enumerate(x.shape) if n > 1]
        reduced = [i in axes for i in long]
        if all(reduced):
            rows, columns = canonical(x.shape)
            if rows == 1 and columns > 1:
                return Form(1, columns, "columns")
            return Form(rows, columns, "all") if e.params["how"] == "sum" else None
        count = sum(reduced)
        if reduced == [False] * (len(long) - count) + [True] * count:
            columns = math.prod(x.shape[i] for i in long[len(long) - count :])
            return Form(x.size // columns, columns, "columns")
        if reduced == [True] * count + [False] * (len(long) - count) and e.params["how"] == "sum":
            rows = math.prod(x.shape[i] for i in long[:count])
            return Form(rows, x.size // rows, "rows")
        return None

    def template(self, e: Equation) -> Any:
        """A pointwise op as a scalar expression of inputs called x0, x1, ...; None where it has none."""
        key = (e.op, repr(e.params), tuple([(x.dtype, x.weak) if isinstance(x, Var) else repr(x) for x in e.inputs]))
        if key not in self.templates:
            self.templates[key] = template(e, self.operations, self.reals)
        return self.templates[key]

    # -- memory -------------------------------------------------------------------------------------------------

    def access(self, e: Equation, x: Var, form: Form) -> Access:
        """Where an equation finds the elements of `x`."""
        if e.op in (COPY, BROADCAST):
            return strided(e.out.shape, e.params["steps"], e.params["start"])
        if e.op is REDUCE:
            return full(form.columns)
        if e.op in (AT_COLUMN, LABEL_IS, LABEL_OUTSIDE):
            return full(1)
        found = stretched(x.shape, e.out.shape)
        if form.rows == 1 and not found.terms:  # so that it is read when its row's turn comes, not before
            return Access(((1, 0, canonical(x.shape)[1]),), found.column, found.offset)
        return found

    def out_access(self, form: Form) -> Access:
        """Where an equation's results go."""
        if form.along == "columns":
            return full(1)
        return full(form.columns)


def depends(fusion: Fusion, later: Draft, earlier: Draft) -> bool:
    """Whether a stage reads what another computes."""
    made = {e.out for e in earlier.equations}
    return any(fusion.root(x) in made for e in later.every() for x in e.variables())


def template(e: Equation, operations: frozenset[str], allowed: frozenset[str]) -> Any:
    """A pointwise equation as a scalar expression; None where it has none, or its dtypes are not compiled for."""
    reals = {x.dtype.name for x in (e.out, *e.variables()) if not x.weak and x.dtype.kind != "b"}
    if not reals <= allowed or len({COMPUTED_IN.get(name, name) for name in reals}) > 1:
        return None
    if any(x.weak and x.dtype.kind != "f" for x in e.variables()):
        return None
    names = [f"x{i}" for i, x in enumerate(e.inputs) if isinstance(x, Var)]
    body = e.op.body or (lambda k, *inputs, **params: getattr(k, e.name)(*inputs, **params))

    def function(k: Any, *symbols: Any) -> Any:
        left = iter(symbols)
        return body(k, *[next(left) if isinstance(x, Var) else x for x in e.inputs], **e.params)

    bodies = {op.name: op.body for op in devices.ALL_OPS.values() if op.body is not None and op.kind == "pointwise"}
    given = {f"x{i}": kind_of(x) for i, x in enumerate(e.inputs) if isinstance(x, Var)}
    try:
        (found,) = expr.trace(function, names, {}, bodies, operations)
        if any(x.op not in operations for x in expr.walk([found]) if x.op not in LEAVES):
            return None  # a power, say, which expressions write by themselves
        kind = scalar_types.kind_of(found, given)
    except expr.NotPointwiseError:
        return None
    return found if (kind == loops.MASK) == (e.out.dtype == np.bool_) else None


def kind_of(x: Var) -> str:
    """What a variable is in a scalar expression."""
    return loops.SCALAR if x.weak else loops.MASK if x.dtype == np.bool_ else loops.NUMBER
