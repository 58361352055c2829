"""A loop with sums as a CUDA C kernel: a team of threads takes a row.

What a row's elements need in several passes stays in registers where there are enough, and is read again where there
are not. Sums over rows are kept by each thread, then by each block, and added up by the block that ends last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..loop_codegen import Scope
from ..loops import ELEMENT, NUMBER, ONCE, ROW, Ended, Load, Loop, Reduce, Store
from .dialect import BYTES, COMPUTED, CUDA, STORED
from .elementwise_codegen import stored_type
from .loop_codegen import BLOCK, MOST_RESIDENT, CudaWriter, Given, Source, indented, is_vector, vector_of

if TYPE_CHECKING:
    from collections.abc import Sequence

HOW = {"sum": "Sum", "max": "Max", "min": "Min"}
HALF = 2  # bytes of half precision, which is computed in float32
SHARED = 40 << 10  # bytes of a block for the sums of its columns
UNDER_WAY, MOST_AT_ONCE = 64, 8  # bytes that a thread asks for before it waits, and rows that it may take for that
BUSY = 1 << 16  # threads that keep a large GPU busy: up to there, more of them take a row


class Rows(CudaWriter):
    """A loop nest over rows, each of which is summed or adds to sums."""

    def __init__(self, loop: Loop, given: Given) -> None:
        super().__init__(loop, given)
        operands = [v.operand for v in loop.values if isinstance(v, Load)] + [s.operand for s in loop.stores]
        columned = [BYTES[o.dtype] for o in operands if o.access.level == ELEMENT]
        self.width = 1
        if given.aligned and columned:
            self.width = vector_of(max(columned), loop.columns, given.divisor)
        self.by_columns = [t for t in loop.totals if t.by_columns]
        self.most = max(given.most, 1)
        self.keeping = self.worth_keeping()
        self.words = sum(2 if self.type_of(n) in ("double", "i64") else 1 for n in self.keeping)
        self.choose_team(self.most, given.rows)
        self.place_resident()
        self.steps = self.at_once()

    # -- how threads share the work -----------------------------------------------------------------------------

    def choose_team(self, most: int, rows: int) -> None:
        """How many threads take a row, and how many elements each has."""
        accesses, each = -(-most // self.width), max(1, self.words * self.width)
        self.team = min(32, power_of_two(accesses))
        while self.team < 1024 and accesses > self.team:
            own = -(-accesses // self.team)
            if own * each <= room_of(self.team) and rows * self.team >= BUSY and not self.by_columns:
                break
            self.team *= 2
        self.block = self.team if self.team > 32 else BLOCK if rows * self.team >= BLOCK * 64 else 128
        # What blocks leave is to be added up once more: for sums of columns, rather few and large blocks.
        if self.by_columns and self.team <= 32 and rows * self.team >= 1 << 20:
            self.block = 1024
        item = len(self.by_columns) * most * (8 if self.ctype == "double" else 4)
        while self.block > max(128, self.team) and item * (self.block // self.team) > SHARED:
            self.block //= 2
        self.shared = item * (self.block // self.team) <= SHARED
        if not self.shared:
            self.team = self.block = max(32, self.team)
            self.shared = item <= SHARED
        self.teams = self.block // self.team
        self.own = -(-accesses // self.team)  # accesses of a thread for each row

    def worth_keeping(self) -> list[str]:
        """The values of elements that a thread had better keep for its part of a row: what is read, what is costly."""
        needed = self.needed_later(CUDA.heavy)
        elements = [v for v in self.loop.values if self.levels[v.name] == ELEMENT]
        return [v.name for v in elements if isinstance(v, Load) or v.name in needed]

    def place_resident(self) -> None:
        """Keep those values, if there are registers for them."""
        self.is_resident = self.words * self.own * self.width <= room_of(self.team)
        self.kept = {name: f"k{i}" for i, name in enumerate(self.keeping)} if self.is_resident else {}

    # -- code ---------------------------------------------------------------------------------------------------

    def source(self, name: str) -> Source:
        """The kernel."""
        once = self.once_scope()
        self.accumulators: list[str] = []
        for i, t in enumerate(self.loop.totals):
            if not t.by_columns:
                self.accumulators.append(f"double total{i} = 0.0;")
        body = [
            *self.accumulators,
            *self.column_sums(),
            f"[[maybe_unused]] const int lane = threadIdx.x % {self.team}, team = threadIdx.x / {self.team};",
            *self.over_rows(once),
            *self.closing(),
        ]
        totals = tuple(
            (t.accumulators, self.loop.columns if t.by_columns and isinstance(self.loop.columns, int) else 1)
            for t in self.loop.totals
        )
        few = bool(self.by_columns)
        step = self.teams * self.steps
        return self.finished(name, self.block, body, per_block=self.teams, totals=totals, few=few, step=step)

    def over_rows(self, once: Scope) -> list[str]:
        """The loop over rows, several of which are read before any is waited for where there is little to read."""
        row = ["const bool live = first + team < rows;", "const idx r = live ? first + team : rows - 1;"]
        start, apart = f"(idx)blockIdx.x * {self.teams}", f"(idx)gridDim.x * {self.teams}"
        if self.steps == 1:
            inner = [*row, *self.row_body(once)]
            return [f"for (idx first = {start}; first < rows; first += {apart}) {{", *indented(inner), "}"]

        def each(inner: list[str]) -> list[str]:
            index = f"const idx first = start + {apart} * step;"
            loop = f"for (int step = 0; step < {self.steps}; ++step) {{"
            return ["#pragma unroll", loop, *indented([index, *row, *inner]), "}"]

        inner = each(self.row_body(once))
        if self.kept:  # the reads of all rows come first, and are known in the other loop by what they have left
            scope, lines = Scope(once), list[str]()
            reads, _ = self.read_all(scope, lines)
            inner = [*self.declarations(), *each([*lines, *reads]), *inner]
        return [f"for (idx start = {start}; start < rows; start += {apart} * {self.steps}) {{", *indented(inner), "}"]

    def at_once(self) -> int:
        """How many rows a thread takes at once; one where the threads of a row wait for each other."""
        loads = [v for v in self.loop.values if isinstance(v, Load) and self.levels[v.name] != ONCE]
        single = self.loop.columns == 1
        if not loads or not (single or self.is_resident):
            return 1
        if not single and any(isinstance(v, Reduce) for v in self.loop.values):
            return 1
        own = lambda v: self.own * self.width if self.levels[v.name] == ELEMENT else 1
        steps = min(UNDER_WAY // sum(BYTES[v.operand.dtype] * own(v) for v in loads), MOST_AT_ONCE)
        return 1 << max(steps, 1).bit_length() - 1

    def row_body(self, once: Scope) -> list[str]:
        """What a team does with a row."""
        row, lines = Scope(once), []
        if self.kept and self.steps == 1:
            lines += self.declarations()
        if self.loop.columns == 1:
            self.single(row, lines)
        else:
            for v in self.loop.values:  # rows' own values first, so that all reads are under way at once
                if self.levels[v.name] == ROW and isinstance(v, Load):
                    self.emit(v, row, lines, lines)
            if self.is_resident:
                if self.steps == 1:
                    reads, converted = self.read_all(row, lines)
                    lines += [*reads, *converted]
                else:  # they have been read by now
                    lines += self.read_all(Scope(once), [])[1]
            for when in self.every_pass:
                for v in self.loop.values:
                    at_row = self.levels[v.name] == ROW and self.passes[v.name] == when
                    if at_row and not isinstance(v, (Reduce, Load)):
                        self.emit(v, row, lines, lines)
                lines += self.write_pass(when, row)
        for s in self.loop.stores:
            if s.operand.access.level == ELEMENT:
                continue
            value = self.as_stored(s.name, row.find(s.name), s.operand.dtype)
            alone = "live && lane == 0" if s.operand.access.level == ROW else "live && lane == 0 && r == 0"
            lines.append(f"if ({alone}) put({self.element(s.operand, row, lines)}, {value});")
        for i, t in enumerate(self.loop.totals):
            if not t.by_columns and self.levels[t.name] != ELEMENT:
                value = f"(double){self.as_real(t.name, row.find(t.name))}"
                times = f" * {t.columns}" if t.columns > 1 else ""
                lines.append(f"if (live && lane == 0) total{i} += {value}{times};")
        return lines

    def single(self, row: Scope, lines: list[str]) -> None:
        """The values of a row of one element."""
        if any(v for v in self.loop.values if not isinstance(v, Reduce)):
            lines.append("[[maybe_unused]] const idx j = 0;")
        for v in self.loop.values:
            if isinstance(v, Reduce):
                row.names[v.name] = self.as_real(v.source, row.find(v.source))
            elif self.levels[v.name] != ONCE:
                self.emit(v, row, lines, lines)
        for t in self.by_columns:
            lines.append(f"{self.column_place(t)} += live ? {self.as_real(t.name, row.find(t.name))} : 0;")

    def declarations(self) -> list[str]:
        """The registers of what stays."""
        accesses, lines = self.steps * self.own, []
        for name, array in self.kept.items():
            v = self.values[name]
            lines.append(f"{self.type_of(name)} {array}[{accesses * self.width}];")
            if isinstance(v, Load) and self.is_raw(v):
                lines.append(f"Vector<{self.width}, {STORED[v.operand.dtype]}> {array}_[{accesses}];")
        return lines

    def columns_loop(self, inner: list[str]) -> list[str]:
        """Code for each access of a thread, `j0` being its first column."""
        columns = f"(idx){self.loop.columns}"
        step = self.team * self.width
        if self.is_resident:
            return [
                "#pragma unroll",
                f"for (int k = 0; k < {self.own}; ++k) {{",
                f"  const idx j0 = (idx)(k * {self.team} + lane) * {self.width};",
                f"  if (j0 < {columns}) {{",
                *indented(inner, 2),
                "  }",
                "}",
            ]
        return [
            f"for (idx j0 = (idx)lane * {self.width}; j0 < {columns}; j0 += {step}) {{",
            *indented(inner),
            "}",
        ]

    def each(self, inner: list[str]) -> list[str]:
        """Code for each element of an access."""
        if self.width == 1:
            return ["[[maybe_unused]] const idx j = j0;", *inner]
        inner = ["[[maybe_unused]] const idx j = j0 + u;", *inner]
        return ["#pragma unroll", f"for (int u = 0; u < {self.width}; ++u) {{", *indented(inner), "}"]

    @property
    def kept_at(self) -> str:
        """Where among what stays the elements of an access are."""
        return f"k * {self.width}" if self.steps == 1 else f"(step * {self.own} + k) * {self.width}"

    def at(self, array: str) -> str:
        """An element of what stays."""
        index = self.kept_at + (" + u" if self.width > 1 else "")
        return f"{array}[{index}]" if self.steps * self.own * self.width > 1 else f"{array}[0]"

    def read_all(self, row: Scope, row_lines: list[str]) -> tuple[list[str], list[str]]:
        """Code that reads all that stays, and code that converts what has to be: to wait for it comes last."""
        inner: list[str] = []
        converted: list[str] = []
        single: list[str] = []
        for v in self.loop.values:
            if v.name not in self.kept or not isinstance(v, Load):
                continue
            array = self.kept[v.name]
            if is_vector(v.operand, self.width, False):
                start = self.row_part(v.operand.access, row, row_lines)
                pointer = self.pointer(v.operand.slot, v.operand.dtype)
                if self.is_raw(v):
                    access = "k" if self.steps == 1 else f"step * {self.own} + k"
                    inner.append(f"fetch({pointer} + {start} + j0, {array}_[{access}]);")
                    converted.append(f"spread({array}_[{access}], {array} + {self.kept_at});")
                else:
                    inner.append(f"load<{self.width}>({pointer} + {start} + j0, {array} + {self.kept_at});")
            else:
                single.append(f"{self.at(array)} = get({self.element(v.operand, row, row_lines)});")
        if single:
            inner += self.each(single)
        return self.columns_loop(inner) if inner else [], self.columns_loop(converted) if converted else []

    def is_raw(self, v: Any) -> bool:
        """Whether a value is kept as it was read at first: several accesses of half precision."""
        half = v.operand.dtype in COMPUTED and BYTES[v.operand.dtype] == HALF
        return half and self.steps * self.own > 1 and is_vector(v.operand, self.width, False)

    def write_pass(self, when: int, row: Scope) -> list[str]:
        """One pass over the columns: what is known by now is stored and summed."""
        roots = self.roots(when)
        keep_now = [n for n in self.kept if not isinstance(self.values[n], Load) and self.passes[n] == when]
        reduces = [v for v in self.loop.values if isinstance(v, Reduce) and self.passes[v.source] == when]
        if not roots and not keep_now:
            return self.reduce_rows(reduces, row)
        scope, inner, vectors, after, row_lines = Scope(row), [], [], [], []  # type: ignore[var-annotated]
        before: list[str] = []

        def compute(name: str) -> None:
            if name in scope.names or name in row.names or self.levels[name] != ELEMENT:
                return
            v = self.values[name]
            if name in self.kept and (isinstance(v, Load) or self.passes[name] < when):
                scope.names[name] = self.at(self.kept[name])
                return
            if isinstance(v, Load):
                if is_vector(v.operand, self.width, False):
                    array = f"x{self.fresh()}"
                    start = self.row_part(v.operand.access, row, row_lines)
                    vectors.append(f"{self.type_of(name)} {array}[{self.width}];")
                    pointer = self.pointer(v.operand.slot, v.operand.dtype)
                    vectors.append(f"load<{self.width}>({pointer} + {start} + j0, {array});")
                    scope.names[name] = f"{array}[u]"
                else:
                    self.emit(v, scope, inner, row_lines, row)
                return
            for n in self.inputs[name]:
                compute(n)
            self.emit(v, scope, inner, row_lines)
            if name in keep_now:
                inner.append(f"{self.at(self.kept[name])} = {scope.names[name]};")

        for name in (*roots, *keep_now):
            compute(name)
        for v in reduces:
            if self.levels[v.source] == ELEMENT:
                before.append(f"{self.ctype} a_{v.name} = {self.nothing(v.kind)};")
                value = self.as_real(v.source, scope.find(v.source))
                inner.append(f"a_{v.name} = {HOW[v.kind]}::of(a_{v.name}, {value});")
        for i, t in enumerate(self.loop.totals):
            if t.name not in roots:
                continue
            value = self.as_real(t.name, scope.find(t.name))
            if t.by_columns:
                inner.append(f"{self.column_place(t)} += live ? {value} : 0;")
            elif self.levels[t.name] == ELEMENT:
                before.append(f"{self.ctype} b{i} = 0;")
                inner.append(f"b{i} += {value};")
        for s in self.loop.stores:
            if s.operand.access.level == ELEMENT and self.passes[s.name] == when:
                self.store(s, scope, row, inner, vectors, after, row_lines)
        lines = [*row_lines, *before, *self.columns_loop([*vectors, *self.each(inner), *after])]
        lines += [
            f"if (live) total{i} += (double)b{i};"
            for i, t in enumerate(self.loop.totals)
            if t.name in roots and not t.by_columns and self.levels[t.name] == ELEMENT
        ]
        return lines + self.reduce_rows(reduces, row)

    def store(
        self,
        s: Any,
        scope: Scope,
        row: Scope,
        inner: list[str],
        vectors: list[str],
        after: list[str],
        row_lines: list[str],
    ) -> None:
        """Write a value of elements."""
        value = self.as_stored(s.name, scope.find(s.name), s.operand.dtype)
        if is_vector(s.operand, self.width, False):
            array = f"y{self.fresh()}"
            start = self.row_part(s.operand.access, row, row_lines)
            vectors.append(f"{stored_type(s.operand.dtype)} {array}[{self.width}];")
            inner.append(f"{array}[u] = {value};")
            pointer = self.pointer(s.operand.slot, s.operand.dtype)
            after.append(f"if (live) store<{self.width}>({pointer} + {start} + j0, {array});")
        else:
            inner.append(f"if (live) put({self.element(s.operand, row, row_lines)}, {value});")

    def nothing(self, kind: str) -> str:
        """The sum, maximum or minimum of no numbers."""
        bits = 64 if self.ctype == "double" else 32
        return {"sum": "0", "max": f"-INF{bits}", "min": f"INF{bits}"}[kind]

    def reduce_rows(self, reduces: Sequence[Reduce], row: Scope) -> list[str]:
        """Bring together what the threads of a team have summed."""
        lines: list[str] = []
        for v in reduces:
            if self.levels[v.source] == ELEMENT:
                call = f"reduce<{HOW[v.kind]}, {self.team}>(a_{v.name}, ({self.ctype}){self.nothing(v.kind)})"
            else:  # the same for all columns
                value = self.as_real(v.source, row.find(v.source))
                call = f"{value} * ({self.ctype}){self.loop.columns}" if v.kind == "sum" else value
            row.names[v.name] = self.hold(NUMBER, call, lines)
        return lines

    # -- sums over rows -----------------------------------------------------------------------------------------

    def column_sums(self) -> list[str]:
        """Where threads sum their columns: in shared memory where there is room, else in the block's partial sums."""
        lines = []
        columns = self.loop.columns
        for i, t in enumerate(self.by_columns):
            if self.shared:
                lines.append(f"__shared__ {self.ctype} columns{i}[{self.teams * self.most}];")
                lines.append(f"for (int j = threadIdx.x; j < {self.teams * self.most}; j += {self.block}) ")
                lines[-1] += f"columns{i}[j] = 0;"
            else:
                partial = self.partial(t)
                lines.append(f"for (idx j = threadIdx.x; j < (idx){columns}; j += {self.block}) {partial}[j] = 0.0;")
        return [*lines, "__syncthreads();"] if lines else []

    def partial(self, t: Any) -> str:
        """The block's own place among the accumulators: after the counter, a row of doubles for each block."""
        pointer = self.pointer(t.accumulators, "double")
        width = f"(i64){self.loop.columns}" if t.by_columns else "1"
        return f"({pointer} + 1 + (i64)blockIdx.x * {width})"

    def column_place(self, t: Any) -> str:
        """Where a thread sums column j."""
        i = self.by_columns.index(t)
        if self.shared:
            return f"columns{i}[team * {self.most} + j]"
        return f"{self.partial(t)}[j]"

    def closing(self) -> list[str]:
        """Add up what all threads of all blocks have summed."""
        if not self.loop.totals:
            return []
        lines: list[str] = []
        for i, t in enumerate(self.loop.totals):
            if t.by_columns:
                continue
            lines.append(f"total{i} = reduce<Sum, {self.block}>(total{i}, 0.0);")
            lines.append(f"if (threadIdx.x == 0) *{self.partial(t)} = total{i};")
        columns = self.loop.columns
        if self.shared and self.by_columns:
            lines.append("__syncthreads();")
            lines.append(f"for (int j = threadIdx.x; j < (int){columns}; j += {self.block}) {{")
            for i, t in enumerate(self.by_columns):
                lines.append(f"  double c{i} = 0.0;")
                part = f"columns{i}[m * {self.most} + j]"
                lines.append(f"  for (int m = 0; m < {self.teams}; ++m) c{i} += (double){part};")
                lines.append(f"  {self.partial(t)}[j] = c{i};")
            lines.append("}")
        counter = self.pointer(self.loop.totals[0].accumulators, "double")
        lines.append(f"if (!is_last_block((unsigned int*){counter})) return;")
        for i, t in enumerate(self.loop.totals):
            pointer = self.pointer(t.accumulators, "double")
            out = self.pointer(t.out.slot, t.out.dtype)
            if t.by_columns:
                width = f"(i64){columns}"
                lines += [
                    f"for (idx j = threadIdx.x; j < (idx){columns}; j += {self.block}) {{",
                    "  double sum = 0.0;",
                    "  #pragma unroll 16",
                    f"  for (int b = 0; b < (int)gridDim.x; ++b) sum += __ldcg({pointer} + 1 + b * {width} + j);",
                    f"  put({out}[j], ({COMPUTED[t.out.dtype]})sum);",
                    "}",
                ]
            else:
                lines += [
                    f"double sum{i} = 0.0;",
                    f"for (int b = threadIdx.x; b < (int)gridDim.x; b += {self.block}) "
                    f"sum{i} += __ldcg({pointer} + 1 + b);",
                    f"sum{i} = reduce<Sum, {self.block}>(sum{i}, 0.0);",
                    f"if (threadIdx.x == 0) put({out}[{t.out.access.offset}], ({COMPUTED[t.out.dtype]})sum{i});",
                ]
                if t.out.slot in self.given.noted:
                    lines.append(f"if (threadIdx.x == 0 && sum{i} != 0.0) *stop = {self.given.noted[t.out.slot]};")
        if self.loop.after:
            lines += ["if (threadIdx.x == 0) {", *indented(self.following()), "}"]
        return lines

    def following(self) -> list[str]:
        """What one thread computes of the sums."""
        scope, lines = Scope(), []  # type: ignore[var-annotated]
        for v in self.loop.after:
            if isinstance(v, Store):
                value = self.as_stored(v.name, scope.find(v.name), v.operand.dtype)
                lines.append(f"put({self.element(v.operand, scope, lines)}, {value});")
                continue
            self.place(v)
            if isinstance(v, Ended):
                scope.names[v.name] = self.hold(NUMBER, f"({self.ctype})sum{v.total}", lines)
            else:
                self.emit(v, scope, lines, lines)
        return lines


def room_of(team: int) -> int:
    """How many registers a thread can keep a row's elements in: half of what there are for so many threads."""
    return min(MOST_RESIDENT, (1 << 15) // team)


def power_of_two(n: int) -> int:
    """The smallest power of two that is no smaller."""
    return 1 << max(0, n - 1).bit_length()
