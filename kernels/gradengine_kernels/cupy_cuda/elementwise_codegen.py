"""A loop without sums as a CUDA C kernel: a thread takes as many elements at once as one access of 16 bytes holds."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..loop_codegen import Scope
from ..loop_schedule import uses_column
from ..loops import ELEMENT, ONCE, ROW, Access, Load, Loop
from .dialect import BYTES
from .loop_codegen import BLOCK, CudaWriter, Given, Source, indented, is_vector, vector_of


class Flat(CudaWriter):
    """A loop nest over elements."""

    def __init__(self, loop: Loop, given: Given) -> None:
        loop, self.scale = as_line(loop)
        super().__init__(loop, given)
        operands = [v.operand for v in loop.values if isinstance(v, Load)] + [s.operand for s in loop.stores]
        largest = max([BYTES[o.dtype] for o in operands if o.dtype in BYTES and o.dtype != "int64"], default=4)
        self.line = loop.columns == 1
        if not given.aligned:
            self.width = 1
        elif self.line:
            self.width = 16 // largest
        else:
            self.width = vector_of(largest, loop.columns, given.divisor)

    def source(self, name: str) -> Source:
        """The kernel."""
        once = self.once_scope()
        width, columns = self.width, self.loop.columns
        row, lines = Scope(once), []
        if self.line:
            lines.append("const idx left = n - e0;" if width > 1 else "[[maybe_unused]] const idx r = e0;")
        else:
            lines += [f"const idx r = e0 / (idx){columns};", f"const idx j0 = e0 - r * (idx){columns};"]
        inner, scope = self.per_element(row, lines)
        body = [
            f"const idx n = rows * (idx){columns};" if not self.line else "const idx n = rows;",
            f"for (idx e0 = ((idx)BLOCK_AT * {BLOCK} + threadIdx.x) * {width}; e0 < n; "
            f"e0 += (idx)BLOCKS * {BLOCK * width}) {{",
            *indented(lines),
            *indented(inner),
            "}",
        ]
        if self.line:
            per_block, scale = BLOCK * width, self.scale
        elif isinstance(columns, int):
            per_block, scale = BLOCK * width, columns
        else:
            per_block, scale = 1, 1  # as many blocks as there are rows
        about = dict(per_block=per_block, scale=scale, width=width, elements=self.scale, step=BLOCK * width)
        return self.finished(name, BLOCK, body, **about)

    def per_element(self, row: Scope, lines: list[str]) -> tuple[list[str], Scope]:
        """The code for the elements that a thread takes at once; `lines` get what they have in common."""
        width, scope = self.width, Scope(row)
        inner: list[str] = []
        if width > 1:
            index, start = ("r", "e0") if self.line else ("j", "j0")
            inner.append(f"[[maybe_unused]] const idx {index} = {start} + u;")
            if self.line and self.touches_single_elements():
                inner.append("if (r >= n) break;")  # without it, all elements are computed side by side
        elif not self.line:
            inner.append("[[maybe_unused]] const idx j = j0;")
        element = ROW if self.line else ELEMENT
        rows = scope if self.line else row  # where a row's place is known
        loads: list[tuple[Any, str]] = []
        row_lines = inner if self.line else lines
        for v in self.loop.values:
            level = self.levels[v.name]
            if level == ONCE:
                continue
            if level < element:
                self.emit(v, row, lines, lines)
            elif isinstance(v, Load) and is_vector(v.operand, width, self.line):
                array = f"x{self.fresh()}"
                lines.append(f"{self.type_of(v.name)} {array}[{width}];")
                loads.append((v.operand, array))
                scope.names[v.name] = f"{array}[u]"
            else:
                self.emit(v, scope, inner, row_lines, rows)
        lines += self.accesses("load", loads, row, lines)
        stores: list[tuple[Any, str]] = []
        for s in self.loop.stores:
            value = self.as_stored(s.name, scope.find(s.name), s.operand.dtype)
            if is_vector(s.operand, width, self.line):
                array = f"y{self.fresh()}"
                lines.append(f"{stored_type(s.operand.dtype)} {array}[{width}];")
                inner.append(f"{array}[u] = {value};")
                stores.append((s.operand, array))
            elif s.operand.access.level < element:
                first = "e0" if self.line or s.operand.access.level == ONCE else "j0"
                lines.append(f"if ({first} == 0) put({self.element(s.operand, row, lines)}, {value});")
            else:
                inner.append(f"put({self.element(s.operand, rows, row_lines)}, {value});")
        after = self.accesses("store", stores, row, lines)
        if width == 1:
            return [*inner, *after], scope
        return ["#pragma unroll", f"for (int u = 0; u < {width}; ++u) {{", *indented(inner), "}", *after], scope

    def touches_single_elements(self) -> bool:
        """Whether some elements of a line are read or written one by one, which must not go past its end."""
        operands = [v.operand for v in self.loop.values if isinstance(v, Load)] + [s.operand for s in self.loop.stores]
        return any(o.access.level != ONCE and not is_vector(o, self.width, True) for o in operands)

    def accesses(self, what: str, found: list[tuple[Any, str]], row: Scope, lines: list[str]) -> list[str]:
        """The statements that load or store several elements of each operand.

        Where a line's end has to be minded, all of them do so together: all that a thread reads is then under way
        before it waits for any of it.
        """
        width, vectors, some = self.width, [], []
        for operand, array in found:
            pointer = self.pointer(operand.slot, operand.dtype)
            if self.line:
                vectors.append(f"{what}<{width}>({pointer} + e0, {array});")
                some.append(f"{what}_some<{width}>({pointer} + e0, {array}, left);")
            else:
                start = self.row_part(operand.access, row, lines)
                vectors.append(f"{what}<{width}>({pointer} + {start} + j0, {array});")
        if not self.line:
            return vectors
        if len(found) < 2:
            return some
        return [f"if (left >= {width}) {{", *indented(vectors), "} else {", *indented(some), "}"]


def stored_type(dtype: str) -> str:
    """The C type that a value has before it is put into an array."""
    return {"float64": "double", "bool": "bool", "int64": "i64"}.get(dtype, "float")


def as_line(loop: Loop) -> tuple[Loop, int]:
    """A loop whose arrays are all in order, or the same for all elements, as one over a line of elements."""
    columns = loop.columns
    if columns == 1 or not isinstance(columns, int) or any(uses_column(v) for v in loop.values):
        return loop, 1
    whole, line = Access(((1, 0, columns),), 1), Access(((1, 0, 1),))
    operands = [v.operand for v in loop.values if isinstance(v, Load)] + [s.operand for s in loop.stores]
    if any(o.access != whole and o.access.level != ONCE for o in operands):
        return loop, 1

    def moved(x: Any) -> Any:
        if not hasattr(x, "operand") or x.operand.access != whole:
            return x
        return dataclasses.replace(x, operand=dataclasses.replace(x.operand, access=line))

    made = dataclasses.replace(
        loop, columns=1, values=[moved(v) for v in loop.values], stores=[moved(s) for s in loop.stores]
    )
    return made, columns
