"""A loop nest, written as Numba source. Sums may be added in any order within SUMMED elements, and in double precision
beyond; everything else rounds as it does in an eager run.

May import expr, kinds, render and loops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..expr import Expr, walk
from ..kinds import kind_of
from ..loops import (
    ELEMENT,
    INDEX,
    MASK,
    NUMBER,
    ONCE,
    ROW,
    SCALAR,
    Access,
    Compute,
    Load,
    Loop,
    Number,
    Operand,
    Reduce,
    Size,
)
from ..render import NUMBA, write

if TYPE_CHECKING:
    from collections.abc import Sequence


SUMMED = 256  # elements that are summed in any order
TABLES = {"float32": "f4", "float64": "f8", "bool": "u1", "int64": "i8"}
KINDS = {"float32": NUMBER, "float64": NUMBER, "bool": MASK, "int64": INDEX}


def padded(width: int) -> int:
    """Accumulators that one thread has: whole cache lines, so that no two threads write to one."""
    return (width + 7) // 8 * 8


def indented(lines: Sequence[str], levels: int = 1) -> list[str]:
    return ["    " * levels + line for line in lines]


class LoopWriter:
    """A loop nest: code before all rows, code for each row in passes over its columns, and code after all rows.

    A value is computed in the first pass in which all that it needs is known. A later pass that needs it as well
    computes it again, or reads it from scratch memory if it was expensive.
    """

    def __init__(self, loop: Loop, prefix: str) -> None:
        self.loop, self.real, self.prefix = loop, loop.real, prefix
        self.flat = loop.columns == 1
        self.row_range, self.column_range = "<lo>, <hi>", str(loop.columns)
        if loop.across:
            self.row_range, self.column_range = str(loop.across), "<lo>, <hi>"
        self.values = {v.name: v for v in loop.values}
        self.kinds: dict[str, str] = {}
        self.levels: dict[str, int] = {}
        self.passes: dict[str, int] = {}
        for v in loop.values:
            self.place(v)
        self.count = 0
        self.before: list[str] = []
        self.after: list[str] = []
        self.pointers: dict[str, str] = {}
        self.spilled = self.spills() if not self.flat else {}
        self.body = self.write_flat() if self.flat else self.write_rows()

    def rows(self, lo: str, hi: str) -> list[str]:
        """The loop over rows lo to hi."""
        return [line.replace("<lo>", lo).replace("<hi>", hi) for line in self.body]

    # -- where values are computed ------------------------------------------------------------------------------

    def place(self, v: Any) -> None:
        """Find a value's kind, its level, and the pass over the columns in which it is known."""
        if isinstance(v, Load):
            kind, level, when = KINDS[v.operand.dtype], v.operand.access.level, 0
        elif isinstance(v, Number):
            kind, level, when = SCALAR, ONCE, 0
        elif isinstance(v, Reduce):
            kind, level, when = NUMBER, ROW, self.passes[v.source] + 1
        else:
            names = inputs_of(v.expr)
            kind = kind_of(v.expr, self.kinds)
            level = max([self.levels[n] for n in names], default=ONCE)
            when = max([self.passes[n] for n in names], default=0)
            level = ELEMENT if uses_column(v) else level
        if self.flat and level == ELEMENT:
            level = ROW
        self.kinds[v.name], self.levels[v.name], self.passes[v.name] = kind, level, when

    def roots(self, when: int) -> list[str]:
        """The values of elements that a pass has to compute for themselves: to be stored or summed."""
        found = [s.name for s in self.loop.stores if self.store_level(s) == ELEMENT]
        found += [t.name for t in self.loop.totals if t.by_columns or self.levels[t.name] == ELEMENT]
        found += [v.source for v in self.loop.values if isinstance(v, Reduce)]
        return [name for name in dict.fromkeys(found) if self.passes[name] == when]

    def store_level(self, store: Any) -> int:
        """How often a store writes."""
        return store.operand.access.level

    def spills(self) -> dict[str, int]:
        """Expensive values that a later pass reads again, with their places in the scratch memory."""
        found: dict[str, int] = {}

        def need(name: str, when: int) -> None:
            v = self.values[name]
            if self.levels[name] != ELEMENT or not isinstance(v, Compute):
                return
            if self.passes[name] < when and any(e.op in NUMBA.heavy for e in walk([v.expr])):
                found.setdefault(name, len(found))
                return
            for n in inputs_of(v.expr):
                need(n, when)

        for when in range(1 + max(self.passes.values(), default=0)):
            for name in self.roots(when):
                need(name, when)
        return found

    # -- code ---------------------------------------------------------------------------------------------------

    def fresh(self) -> str:
        self.count += 1
        return f"{self.prefix}{self.count}"

    def pointer(self, operand: Operand) -> str:
        """The variable that holds an array's address."""
        key = f"{TABLES[operand.dtype]}[{operand.slot}]"
        if key not in self.pointers:
            name = f"{self.prefix}p{operand.slot}"
            self.pointers[key] = name
            self.before.append(f"{name} = {key}")
        return self.pointers[key]

    def element(self, operand: Operand, rows: dict[Access, str], lines: list[str]) -> str:
        """Where the element of an operand is; `lines` get what is to be computed once for a row."""
        a = operand.access
        pointer = self.pointer(operand)
        if a.level == ONCE:
            return f"{pointer}[{a.offset}]"
        key = Access(a.terms, 0, a.offset)
        if key not in rows:
            parts = [term(over, count, step) for over, count, step in a.terms] + ([str(a.offset)] if a.offset else [])
            rows[key] = self.fresh()
            lines.append(f"{rows[key]} = {' + '.join(parts) or '0'}")
        column = "" if a.column == 0 else " + j" if a.column == 1 else f" + j * {a.column}"
        return f"{pointer}[{rows[key]}{column}]"

    def emit(self, v: Any, scope: Scope, lines: list[str], row_lines: list[str]) -> None:
        """Add the code of a value to `lines`."""
        if isinstance(v, Load):
            place = self.element(v.operand, scope.rows, row_lines)
            name = self.fresh()
            test = " != 0" if self.kinds[v.name] == MASK else ""
            lines.append(f"{name} = {place}{test}")
            scope.names[v.name] = name
        elif isinstance(v, Number):
            name = self.fresh()
            lines.append(f"{name} = f8[2][{v.place}]")
            scope.names[v.name] = name
        else:
            scope.names[v.name] = self.expression(v.expr, scope, lines)

    def expression(self, root: Expr, scope: Scope, lines: list[str]) -> str:
        """Straight-line code for an expression; returns the variable that holds it."""

        def hold(kind: str, value: str, once: bool) -> str:
            made = self.fresh()
            lines.append(f"{made} = {value}")
            return made

        find = lambda name: (scope.find(name), self.kinds[name])
        return write([root], NUMBA, self.real, find, hold, scope.converted)[0][0]

    def as_dtype(self, name: str, scope: Scope, dtype: str) -> str:
        """A value as it is written to an array of that dtype."""
        kind, variable = self.kinds[name], scope.find(name)
        if dtype == "bool":
            return f"np.uint8({variable})"
        return NUMBA.number(variable, kind, dtype) if kind in (MASK, SCALAR) else variable

    # -- one column ---------------------------------------------------------------------------------------------

    def write_flat(self) -> list[str]:
        """Rows of one element: a single loop, in stretches if sums are taken."""
        once, inner = Scope(), ["j = 0"] if any(uses_column(v) for v in self.loop.values) else []
        row_lines: list[str] = []
        scope = Scope(once)
        for v in self.loop.values:
            if isinstance(v, Reduce):  # over the one column that there is
                scope.names[v.name] = scope.find(v.source)
                if self.kinds[v.source] == MASK:
                    scope.names[v.name] = NUMBA.number(scope.find(v.source), MASK, self.real)
            elif self.levels[v.name] == ONCE:
                self.emit(v, once, self.before, self.before)
            else:
                self.emit(v, scope, inner, row_lines)
        inner = [*row_lines, *inner]
        for s in self.loop.stores:
            lines: list[str] = []
            place = self.element(s.operand, scope.rows, lines)
            inner += lines
            inner.append(f"{place} = {self.as_dtype(s.name, scope, s.operand.dtype)}")
        if not self.loop.totals:
            return ["for r in range(<lo>, <hi>):", *indented(inner)]
        outer: list[str] = []
        closing: list[str] = []
        for i, t in enumerate(self.loop.totals):
            double = self.start_total(t, i)
            short = f"short{i}_{t.accumulators}"
            outer.append(f"{short} = {self.real}(0.0)")
            inner.append(f"{short} = any_order_add({short}, {self.as_dtype(t.name, scope, self.real)})")
            closing.append(f"{double} += float64({short})")
        return [
            f"for b in range(<lo>, <hi>, {SUMMED}):",
            *indented(outer),
            f"    for r in range(b, min(b + {SUMMED}, <hi>)):",
            *indented(inner, 2),
            *indented(closing),
        ]

    def start_total(self, total: Any, i: int) -> str:
        """Declare the variable in which a thread sums, and what keeps it when all rows are done."""
        name = f"total{i}_{total.accumulators}"
        self.before.append(f"{name} = float64(0.0)")
        self.after.append(f"f8[{total.accumulators}][task * {padded(1)}] = {name}")
        return name

    # -- several columns ----------------------------------------------------------------------------------------

    def write_rows(self) -> list[str]:
        """Passes over the columns of each row."""
        columns, once = self.loop.columns, Scope()
        for v in self.loop.values:
            if self.levels[v.name] == ONCE:
                self.emit(v, once, self.before, self.before)
        row = Scope(once)
        lines: list[str] = []
        sums = {t.accumulators: self.start_total(t, i) for i, t in enumerate(self.loop.totals) if not t.by_columns}
        for i, t in enumerate(self.loop.totals):
            if t.by_columns:
                self.before.append(f"c{i}_{t.accumulators} = f8[{t.accumulators}]")
                self.before += [f"for j in range({columns}):"]
                self.before += [f"    c{i}_{t.accumulators}[task * {padded(columns)} + j] = 0.0"]
        for when in range(1 + max(self.passes.values(), default=0)):
            for v in self.loop.values:
                if self.levels[v.name] == ROW and self.passes[v.name] == when and not isinstance(v, Reduce):
                    self.emit(v, row, lines, lines)
            lines += self.write_pass(when, row, sums)
        for s in self.loop.stores:
            if self.store_level(s) != ELEMENT:
                place = self.element(s.operand, row.rows, lines)
                value = self.as_dtype(s.name, row, s.operand.dtype)
                lines.append(f"{place} = {value}")
        for t in self.loop.totals:
            if not t.by_columns and self.levels[t.name] != ELEMENT:
                value = self.as_dtype(t.name, row, self.real)
                lines.append(
                    f"{sums[t.accumulators]} += float64({value})" + (f" * {t.columns}" if t.columns > 1 else "")
                )
        return [f"for r in range({self.row_range}):", *indented(lines)]

    def write_pass(self, when: int, row: Scope, sums: dict[int, str]) -> list[str]:
        """One loop over the columns: what is known by now is stored and summed."""
        scope = Scope(row)
        inner: list[str] = []
        lines: list[str] = []
        roots = self.roots(when)
        spilled_now = [n for n in self.spilled if self.passes[n] == when]
        if not roots and not spilled_now:
            return []

        def need(name: str) -> None:
            if self.levels[name] != ELEMENT or name in scope.names:
                return
            v = self.values[name]
            if name in self.spilled and self.passes[name] < when:
                made = self.fresh()
                inner.append(f"{made} = {self.spill_place(name)}" + (" != 0" if self.kinds[name] == MASK else ""))
                scope.names[name] = made
                return
            if isinstance(v, Compute):
                for n in inputs_of(v.expr):
                    need(n)
            self.emit(v, scope, inner, lines)

        for name in [*roots, *spilled_now]:
            need(name)
        for name in spilled_now:
            value = self.as_dtype(name, scope, self.real)
            inner.append(f"{self.spill_place(name)} = {value}")
        for s in self.loop.stores:
            if self.store_level(s) == ELEMENT and self.passes[s.name] == when:
                need(s.name)
                place = self.element(s.operand, scope.rows, lines)
                inner.append(f"{place} = {self.as_dtype(s.name, scope, s.operand.dtype)}")
        return lines + self.with_sums(when, row, scope, inner, sums)

    def with_sums(self, when: int, row: Scope, scope: Scope, inner: list[str], sums: dict[int, str]) -> list[str]:
        """The loop over the columns, with the sums and extremes that it takes."""
        columns = self.loop.columns
        start: list[str] = []
        block_start: list[str] = []
        block_end: list[str] = []
        end: list[str] = []

        def as_real(name: str) -> str:
            return self.as_dtype(name, scope, self.real)

        def sum_into(name: str, total: str) -> None:
            short = self.fresh()
            block_start.append(f"{short} = {self.real}(0.0)")
            inner.append(f"{short} = any_order_add({short}, {as_real(name)})")
            block_end.append(f"{total} += float64({short})")

        for v in self.loop.values:
            if not isinstance(v, Reduce) or self.passes[v.source] != when:
                continue
            result = self.fresh()
            row.names[v.name] = result
            if v.kind == "sum":
                total = self.fresh()
                start.append(f"{total} = float64(0.0)")
                sum_into(v.source, total)
                end.append(f"{result} = {self.real}({total})")
            else:
                sign, worst, nan = (">", "-LAST", "LAST") if v.kind == "max" else ("<", "LAST", "-LAST")
                integer = "np.int32" if self.real == "float32" else "np.int64"
                best, key, value = self.fresh(), self.fresh(), as_real(v.source)
                start.append(f"{best} = {integer}({worst})")
                inner.append(f"{key} = order({value})")
                inner.append(f"{key} = {integer}({nan}) if {value} != {value} else {key}")
                inner.append(f"{best} = {key} if {key} {sign} {best} else {best}")
                end.append(f"{result} = number_at({best})")
        for i, t in enumerate(self.loop.totals):
            if t.by_columns and self.passes[t.name] == when:
                inner.append(f"c{i}_{t.accumulators}[task * {padded(columns)} + j] += float64({as_real(t.name)})")
            elif not t.by_columns and self.levels[t.name] == ELEMENT and self.passes[t.name] == when:
                sum_into(t.name, sums[t.accumulators])
        if not block_start or columns <= SUMMED:
            loop = [*block_start, f"for j in range({self.column_range}):", *indented(inner), *block_end]
        else:
            loop = [
                f"for b in range(0, {columns}, {SUMMED}):",
                *indented(block_start),
                f"    for j in range(b, min(b + {SUMMED}, {columns})):",
                *indented(inner, 2),
                *indented(block_end),
            ]
        return [*start, *loop, *end]

    def spill_place(self, name: str) -> str:
        """The place of a value in the thread's scratch memory."""
        columns, item = self.loop.columns, self.spilled[name]
        operand = Operand(self.loop.scratch or 0, self.real, Access())
        pointer = self.pointer(operand)
        return f"{pointer}[task * {len(self.spilled) * columns} + {item * columns} + j]"


class Scope:
    """Variables by the names of values; what is not found here is looked for outside."""

    def __init__(self, outer: Scope | None = None) -> None:
        self.names: dict[str, str] = {}
        self.converted: dict[str, str] = {}
        self.rows: dict[Access, str] = {}
        self.outer = outer

    def find(self, name: str) -> str:
        """The variable that holds a value."""
        if name in self.names:
            return self.names[name]
        if self.outer is None:
            raise KeyError(name)
        return self.outer.find(name)


def term(over: Size, count: Size, step: Size) -> str:
    """One part of a row's place."""
    index = "r" if over == 1 else f"r // {over}"
    if count:
        index = f"({index}) % {count}" if over != 1 else f"{index} % {count}"
    return index if step == 1 and index == "r" else f"({index}) * {step}" if index != "r" else f"r * {step}"


def uses_column(v: Any) -> bool:
    """Whether a value asks which column it is in."""
    return isinstance(v, Compute) and any(e.op == "at_column" for e in walk([v.expr]))


def inputs_of(expr: Expr) -> list[str]:
    """The values that an expression reads."""
    return [e.args[0] for e in walk([expr]) if e.op == "input"]
