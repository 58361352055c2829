"""Units as kernels: what each stage reads, computes and stores, in the language of gradengine_kernels.loops."""

from __future__ import annotations

from typing import Any

from gradengine_kernels import expr, loops, render

from .affine_index import full
from .fuse import Draft, Form, Fusion, Unit
from .graph import Equation, Var
from .loop_ir import AT_COLUMN, BROADCAST, COPY, DRAW, LABEL_IS, LABEL_OUTSIDE, REDUCE

SHORT = 32  # columns that do not fill SIMD registers, so that each takes longer
TILE = 256  # rows of a kernel with products: enough for BLAS, few enough to stay in the cache


class KernelMaker:
    """A unit as a kernel: its stages, and the buffers in its table. `stored` are the variables that need memory.

    Variables that are in one place go by the name that `places` gives: one slot for both shows the compiler that an
    element is read before it is written, so that it need not fear to mix them up when it vectorises.
    """

    def __init__(
        self, fusion: Fusion, unit: Unit, stored: set[Var], places: dict[Var, Var], numbers: dict[Var, int]
    ) -> None:
        self.fusion, self.unit, self.stored, self.places, self.numbers = fusion, unit, stored, places, numbers
        self.table: list[Any] = ["numbers"]  # what each slot after BLAS's two is
        self.slots: dict[Any, int] = {}
        self.cost = 0.0
        stages = [self.single(d.equations[0]) if d.alone else self.loop(d) for d in unit.stages]
        several = any(d.alone for d in unit.stages) and len(stages) > 1
        self.kernel = loops.Kernel(unit.rows, stages, TILE if several else 0)

    def slot(self, buffer: Any) -> int:
        """The place of a buffer in the kernel's table."""
        buffer = self.places.get(buffer, buffer)
        if buffer not in self.slots:
            self.slots[buffer] = len(self.table) + 2
            self.table.append(buffer)
        return self.slots[buffer]

    def scratch(self, size: int) -> int:
        """A slot for memory of so many bytes that each thread has for itself."""
        self.table.append(size)
        return len(self.table) + 1

    def single(self, e: Equation) -> loops.Dot | loops.Draw:
        """A product, or a draw of random numbers."""
        return self.draw(e) if e.op is DRAW else self.dot(e)

    def draw(self, e: Equation) -> loops.Draw:
        """A draw of what dropout multiplies with."""
        state, out = (self.slot(self.fusion.root(x)) for x in (*e.variables(), e.out))
        self.cost += 6.0 * e.out.size
        return loops.Draw(e.out.dtype.name, state, out, e.out.size, e.params["p"])

    def dot(self, e: Equation) -> loops.Dot:
        """A product."""
        a, b = e.inputs
        m, k = a.shape[-2:][:: -1 if e.params["ta"] else 1]
        n = e.out.shape[-1]
        real, batch = e.out.dtype.name, len(e.out.shape) == 3
        sa, sb, sc = (self.slot(self.fusion.root(x)) for x in (a, b, e.out))
        self.cost += e.out.size * k * (0.02 if real == "float32" else 0.04)
        return loops.Dot(real, sa, sb, sc, m, n, k, e.params["ta"], e.params["tb"], batch, bool(self.unit.across))

    def loop(self, draft: Draft) -> loops.Loop:
        """A loop nest."""
        fusion, made = self.fusion, loops.Loop(self.unit.real, draft.columns, across=self.unit.across)
        names: dict[Any, str] = {}
        sums: dict[Var, int] = {}
        here = {e.out for e in draft.equations}
        streams = calls = 0

        def value(e: Equation, x: Var, form: Form) -> str:
            """The name of an operand as a value of this loop."""
            nonlocal streams
            if x.weak:
                key: Any = x
                if key not in names:
                    names[key] = f"n{len(names)}"
                    made.values.append(loops.Number(names[key], self.numbers[x]))
                return names[key]
            root = fusion.root(x)
            if root in here:
                return names[root]
            operand = loops.Operand(self.slot(root), root.dtype.name, fusion.access(e, x, form))
            if operand not in names:
                names[operand] = f"v{len(names)}"
                made.values.append(loops.Load(names[operand], operand))
                streams += 1
            return names[operand]

        for e in draft.equations:
            form = fusion.form_of(e)
            given = [value(e, x, form) for x in e.variables()]
            name = f"v{len(names)}"
            if e.op is REDUCE and form.along != "columns":
                width = draft.columns if form.along == "rows" else 1
                out = loops.Operand(self.slot(e.out), e.out.dtype.name, full(1))
                scratch = self.scratch(8 * (width + 8))
                sums[e.out] = len(made.totals)
                made.totals.append(loops.Total(given[0], form.columns, form.along == "rows", scratch, out))
                continue
            names[e.out] = name
            if e.op is REDUCE:
                made.values.append(loops.Reduce(name, e.params["how"], given[0]))
            else:
                made.values.append(loops.Compute(name, self.expression(e, given)))
                calls += sum(x.op in render.CALLS for x in expr.walk([made.values[-1].expr]))
            if e.out in self.stored:
                operand = loops.Operand(self.slot(e.out), e.out.dtype.name, fusion.out_access(form))
                made.stores.append(loops.Store(name, operand))
                streams += 1
        made.after = self.after(draft, sums)
        if any(isinstance(v, loops.Reduce) for v in made.values):
            made.scratch = self.scratch(8 * draft.columns * len(made.values))
        size = 1 if self.unit.real == "float32" else 2
        short = 4 if 1 < draft.columns < SHORT else 1
        self.cost += short * (self.unit.across or self.unit.rows) * draft.columns * (0.1 * streams + 0.4 * calls) * size
        return made

    def after(self, draft: Draft, sums: dict[Var, int]) -> list[Any]:
        """What is computed when all rows are done, of sums (by their places among the loop's) and single numbers."""
        names: dict[Any, str] = {}
        made: list[Any] = []

        def value(x: Var) -> str:
            key = x if x.weak else self.fusion.root(x)
            if key not in names:
                name = names[key] = f"w{len(names)}"
                if x.weak:
                    made.append(loops.Number(name, self.numbers[x]))
                elif key in sums:
                    made.append(loops.Ended(name, sums[key]))
                else:
                    made.append(loops.Load(name, loops.Operand(self.slot(key), key.dtype.name, loops.Access())))
            return names[key]

        for e in draft.after:
            found = self.expression(e, [value(x) for x in e.variables()])
            name = names[e.out] = f"w{len(names)}"
            made.append(loops.Compute(name, found))
            made.append(loops.Store(name, loops.Operand(self.slot(e.out), e.out.dtype.name, loops.Access())))
        return made

    def expression(self, e: Equation, given: list[str]) -> expr.Expr:
        """An equation's scalar expression over the names of its operands."""
        first = expr.Expr("input", given[0])
        if e.op in (COPY, BROADCAST):
            return first
        if e.op is AT_COLUMN:
            return expr.Expr("at_column", first)
        if e.op is LABEL_IS:
            return expr.Expr("index_is", first, expr.Expr("constant", e.params["value"]))
        if e.op is LABEL_OUTSIDE:
            return expr.Expr("index_outside", first, expr.Expr("constant", e.params["classes"]))
        found = self.fusion.template(e)
        places = [i for i, x in enumerate(e.inputs) if isinstance(x, Var)]
        return renamed(found, {f"x{i}": name for i, name in zip(places, given, strict=True)})


def renamed(root: expr.Expr, names: dict[str, str]) -> expr.Expr:
    """An expression with other names for its inputs; shared parts stay shared."""
    done: dict[int, expr.Expr] = {}
    for e in expr.walk([root]):
        if e.op == "input":
            done[id(e)] = expr.Expr("input", names[e.args[0]])
        elif e.op == "constant":
            done[id(e)] = e
        else:
            done[id(e)] = expr.Expr(e.op, *[done[id(x)] for x in e.args])
    return done[id(root)]
