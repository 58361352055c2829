"""A loop nest as a CUDA C kernel; see loops for what it is.

A loop without sums is `Flat`: each thread takes elements, as many at once as one access of 16 bytes holds. One with
sums is `Rows`: a team of threads, be it some lanes of a warp or a whole block, takes a row, and keeps what it has
read of it in registers, so that memory is read once. Sums over rows are added up by the block that ends last.

A kernel takes the addresses of `slots`, then the number of rows, then sizes, then scalars.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from ..loop_codegen import PLACE, Scope, Writer
from ..loops import INDEX, MASK, NUMBER, SCALAR, Access, Load, Loop, Number, Operand
from . import driver
from .dialect import COMPUTED, CUDA, STORED, chosen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..loops import Size

BLOCK = 256
MOST_BLOCKS = 1 << 20
THREADS = 2048  # that a multiprocessor runs at once
WIDE = 1 << 30  # elements from which indices need 64 bits
MOST_RESIDENT = 64  # registers of a thread for elements that several passes read
NUMBERS = 2  # the slot of the numbers that are given at each run


@dataclasses.dataclass(frozen=True)
class Source:
    """A kernel as source. A block of `block` threads takes `per_block` rows at a time; `scale` elements are a row.

    `several` is the code that does the same for several sets of arrays in one launch, if there is one.
    """

    name: str
    code: str
    block: int
    per_block: int
    slots: tuple[int, ...]
    sizes: tuple[str, ...] = ()
    scale: int = 1
    elements: int = 1  # what the number of rows is to be multiplied with before the kernel is told
    width: int = 1  # elements that a thread takes at once
    step: int = 1  # how far a block's index goes in one step, over the number of blocks
    totals: tuple[tuple[int, int], ...] = ()  # the slots of accumulators, and how many each block has
    few: bool = False  # whether each block leaves a sum for each column
    several: tuple[str, str] = ("", "")

    @classmethod
    def of(cls, name: str, parameters: Sequence[tuple[str, str]], text: str, guarded: bool, **found: Any) -> Source:
        """A kernel of that body, with parameters by name and type."""
        start = f'extern "C" __global__ void __launch_bounds__({found["block"]}) '
        constant = "" if "*stop =" in text else "const "
        stop, guard = (f"{constant}i64* stop, ", "  if (*stop) return;\n") if guarded else ("", "")
        listed = ", ".join(kind + variable for variable, kind in parameters)
        own = text.replace("BLOCK_AT", "blockIdx.x").replace("BLOCKS", "gridDim.x")
        code = f"({stop}{listed}) {{\n{guard}{own}\n}}\n"
        full = driver.named(name, start + code)
        several = ("", "")
        if "BLOCK_AT" in text and all("*" in kind for variable, kind in parameters if variable != "rows_"):
            # A row of `table` is a set of arguments; block b belongs to the row whose `starts` is the last up to b.
            lines = ["int at = 0;", "while (at + 1 < count && starts[at + 1] <= (i64)blockIdx.x) ++at;"]
            lines += [f"const i64* row = table + (i64)at * {len(parameters)};"]
            for i, (variable, kind) in enumerate(parameters):
                cast = kind.replace("__restrict__ ", "").strip()
                cast = cast if "*" in cast else "i64"
                lines.append(f"{kind}{variable} = ({cast})row[{i}];")
            lines += ["const i64 BLOCK_AT = blockIdx.x - starts[at], BLOCKS = starts[at + 1] - starts[at];"]
            head = "".join(f"  {line}\n" for line in lines)
            table = "const i64* __restrict__ table, const i64* __restrict__ starts, const int count"
            many = f"({stop}{table}) {{\n{guard}{head}{text}\n}}\n"
            many = many.replace("BLOCK_AT", "block_at").replace("BLOCKS", "blocks")
            several = driver.named(f"{name}s", start + many), many
            several = several[0], f"{start}{several[0]}{many}"
        return cls(full, f"{start}{full}{code}", several=several, **found)

    def grid(self, rows: int, multiprocessors: int) -> int:
        """How many blocks are to be launched."""
        blocks = -(-rows * self.scale // self.per_block)
        if self.totals:  # not too many, for one block adds up what all leave, yet enough for all multiprocessors
            each = 2 if self.few else THREADS // self.block
            blocks = min(max(-(-blocks // 8), min(blocks, 16)), each * multiprocessors)
        # Below WIDE, indices have 32 bits: one step beyond the end must not wrap around.
        return max(1, min(blocks, MOST_BLOCKS, WIDE // self.step))


def vector_of(real_bytes: int, columns: Size, divisor: int) -> int:
    """How many elements one access of 16 bytes holds, if rows consist of whole such accesses."""
    most = max(1, 16 // real_bytes)
    length = divisor if isinstance(columns, str) else columns
    return math.gcd(most, length)


class CudaWriter(Writer):
    """What both forms share."""

    dialect = CUDA
    size = "(idx){}"

    def __init__(self, loop: Loop, given: Given) -> None:
        super().__init__(loop, "t")
        self.given, self.ctype = given, COMPUTED[loop.real]
        self.types = {NUMBER: self.ctype, MASK: "bool", INDEX: "i64", SCALAR: "double", PLACE: "idx"}
        self.pointers: dict[int, str] = {}  # slot: dtype
        written = {s.operand.slot for s in loop.every_store()} | {t.out.slot for t in loop.totals}
        self.written = written | {t.accumulators for t in loop.totals}

    def declared(self, kind: str, name: str, value: str) -> str:
        return f"const {self.types[kind]} {name} = {value};"

    def pointer(self, slot: int, dtype: str) -> str:
        self.pointers[slot] = dtype
        return f"p{slot}"

    def term(self, over: Size, count: Size, step: Size) -> str:
        index = "r" if over == 1 else f"(r / (idx){over})"
        if count:
            index = f"({index} % (idx){count})"
        return index if step == 1 else f"{index} * (idx){step}"

    def read(self, place: str, kind: str) -> str:
        return f"get({place})"

    def number(self, v: Number) -> str:
        return f"{self.pointer(NUMBERS, 'float64')}[{v.place}]"

    def emit(self, v: Any, scope: Scope, lines: list[str], row_lines: list[str], rows: Scope | None = None) -> None:
        if isinstance(v, Number) and v.name in self.given.scalars:
            scope.names[v.name] = v.name
        else:
            super().emit(v, scope, lines, row_lines, rows)

    def type_of(self, name: str) -> str:
        """The C type of a value."""
        return self.types[self.kinds[name]]

    def as_stored(self, name: str, variable: str, dtype: str) -> str:
        """A value as it is put into an array of that dtype."""
        if dtype == "bool":
            return f"(bool)({variable})"
        to = COMPUTED.get(dtype, "i64")
        return chosen(variable, to) if self.kinds[name] == MASK else f"({to})({variable})"

    def as_real(self, name: str, variable: str) -> str:
        """A value as a number to be summed."""
        return chosen(variable, self.ctype) if self.kinds[name] == MASK else variable

    def finished(self, name: str, block: int, body: list[str], **found: Any) -> Source:
        """The kernel around `body`."""
        given, slots = self.given, tuple(sorted(self.pointers))
        parameters = []
        for slot in slots:
            kind = STORED.get(self.pointers[slot], self.pointers[slot])
            alone = slot not in self.written
            parameters.append((f"p{slot}", f"{'const ' if alone else ''}{kind}* {'__restrict__ ' if alone else ''}"))
        parameters.append(("rows_", "const i64 "))
        parameters += [(f"{size}_", "const i64 ") for size in given.sizes]
        parameters += [(scalar, "const double ") for scalar in given.scalars]
        head = [f"typedef {'i64' if given.wide else 'int'} idx;", "const idx rows = (idx)rows_;"]
        head += [f"const idx {size} = (idx){size}_;" for size in given.sizes]
        text = "\n".join(f"  {line}" for line in [*head, *self.before, *body])
        return Source.of(name, parameters, text, given.guarded, block=block, slots=slots, sizes=given.sizes, **found)


@dataclasses.dataclass(frozen=True)
class Given:
    """What a kernel is given besides arrays, and what is known of them.

    `sizes` and `scalars` are parameters by name. Where the columns are one of `sizes`, there are `most` of them at
    most, and `divisor` divides their number. `aligned` if all arrays start at a multiple of 16 bytes, `wide` if indices
    need 64 bits. With `guarded`, the first parameter is a word that must be 0, or nothing is done; a sum over rows that
    is not 0 and goes to a slot among `noted` sets that word to what stands there.
    """

    rows: int
    sizes: tuple[str, ...] = ()
    scalars: tuple[str, ...] = ()
    most: int = 1
    divisor: int = 1
    aligned: bool = True
    wide: bool = False
    guarded: bool = False
    noted: Mapping[int, int] = dataclasses.field(default_factory=dict)


def known(loop: Loop, rows: int, guarded: bool = False, noted: Mapping[int, int] | None = None) -> Given:
    """What is given to a loop whose sizes are all known."""
    columns = int(loop.columns)
    operands = [v.operand for v in loop.values if isinstance(v, Load)] + [s.operand for s in loop.stores]
    wide = any([reach(o.access, rows, columns) >= WIDE for o in operands]) or rows * columns >= WIDE
    return Given(rows, most=columns, divisor=columns, wide=wide, guarded=guarded, noted=noted or {})


def reach(access: Access, rows: int, columns: int) -> int:
    """How far from its start an array is read, about."""
    along = [abs(int(step)) * (int(count) or -(-rows // int(over))) for over, count, step in access.terms]
    return access.offset + sum(along) + abs(int(access.column)) * columns


def is_vector(operand: Operand, width: int, flat: bool) -> bool:
    """Whether `width` elements that follow each other can be had in one access."""
    a = operand.access
    if width == 1:
        return False
    if flat:
        return a == Access(((1, 0, 1),))
    steps = [step for _, _, step in a.terms]
    return a.column == 1 and a.offset % width == 0 and all(isinstance(s, str) or s % width == 0 for s in steps)


def indented(lines: Sequence[str], levels: int = 1) -> list[str]:
    return ["  " * levels + line for line in lines]
