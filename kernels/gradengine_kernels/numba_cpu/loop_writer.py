"""A loop nest, written as Numba source. Sums may be added in any order within SUMMED elements, and in double precision
beyond; everything else rounds as it does in an eager run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..loop_codegen import Scope, Writer
from ..loop_schedule import uses_column
from ..loops import ELEMENT, MASK, ONCE, ROW, SCALAR, Reduce
from ..render import NUMBA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..loops import Loop, Number, Size


SUMMED = 256  # elements that are summed in any order
TABLES = {"float32": "f4", "float64": "f8", "bool": "u1", "int64": "i8"}


def padded(width: int) -> int:
    """Accumulators that one thread has: whole cache lines, so that no two threads write to one."""
    return (width + 7) // 8 * 8


def indented(lines: Sequence[str], levels: int = 1) -> list[str]:
    return ["    " * levels + line for line in lines]


class LoopWriter(Writer):
    """A loop nest: code before all rows, code for each row in passes over its columns, and code after all rows.

    What a later pass needs again is read from scratch memory if it was expensive.
    """

    dialect = NUMBA

    def __init__(self, loop: Loop, prefix: str) -> None:
        super().__init__(loop, prefix)
        self.row_range, self.column_range = "<lo>, <hi>", str(loop.columns)
        if loop.across:
            self.row_range, self.column_range = str(loop.across), "<lo>, <hi>"
        self.after: list[str] = []
        self.pointers: dict[str, str] = {}
        self.spilled = {name: i for i, name in enumerate(self.needed_later(NUMBA.heavy))}
        self.body = self.write_flat() if loop.columns == 1 else self.write_rows()

    def rows(self, lo: str, hi: str) -> list[str]:
        """The loop over rows lo to hi."""
        return [line.replace("<lo>", lo).replace("<hi>", hi) for line in self.body]

    # -- Numba's way --------------------------------------------------------------------------------------------

    def declared(self, kind: str, name: str, value: str) -> str:
        return f"{name} = {value}"

    def pointer(self, slot: int, dtype: str) -> str:
        key = f"{TABLES[dtype]}[{slot}]"
        if key not in self.pointers:
            self.pointers[key] = f"{self.prefix}p{slot}"
            self.before.append(f"{self.pointers[key]} = {key}")
        return self.pointers[key]

    def term(self, over: Size, count: Size, step: Size) -> str:
        index = "r" if over == 1 else f"(r // {over})"
        if count:
            index = f"({index} % {count})"
        return index if step == 1 and index == "r" else f"{index} * {step}"

    def read(self, place: str, kind: str) -> str:
        return f"{place} != 0" if kind == MASK else place

    def number(self, v: Number) -> str:
        return f"f8[2][{v.place}]"

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
            place = self.element(s.operand, scope, lines)
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
        columns, row = self.loop.columns, Scope(self.once_scope())
        lines: list[str] = []
        sums = {t.accumulators: self.start_total(t, i) for i, t in enumerate(self.loop.totals) if not t.by_columns}
        for i, t in enumerate(self.loop.totals):
            if t.by_columns:
                self.before.append(f"c{i}_{t.accumulators} = f8[{t.accumulators}]")
                self.before += [f"for j in range({columns}):"]
                self.before += [f"    c{i}_{t.accumulators}[task * {padded(columns)} + j] = 0.0"]
        for when in self.every_pass:
            for v in self.loop.values:
                if self.levels[v.name] == ROW and self.passes[v.name] == when and not isinstance(v, Reduce):
                    self.emit(v, row, lines, lines)
            lines += self.write_pass(when, row, sums)
        for s in self.loop.stores:
            if s.operand.access.level != ELEMENT:
                place = self.element(s.operand, row, lines)
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
            if name in self.spilled and self.passes[name] < when:
                kind = self.kinds[name]
                scope.names[name] = self.hold(kind, self.read(self.spill_place(name), kind), inner)
                return
            for n in self.inputs[name]:
                need(n)
            self.emit(self.values[name], scope, inner, lines)

        for name in [*roots, *spilled_now]:
            need(name)
        for name in spilled_now:
            value = self.as_dtype(name, scope, self.real)
            inner.append(f"{self.spill_place(name)} = {value}")
        for s in self.loop.stores:
            if s.operand.access.level == ELEMENT and self.passes[s.name] == when:
                need(s.name)
                place = self.element(s.operand, scope, lines)
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
        pointer = self.pointer(self.loop.scratch or 0, self.real)
        return f"{pointer}[task * {len(self.spilled) * columns} + {item * columns} + j]"
