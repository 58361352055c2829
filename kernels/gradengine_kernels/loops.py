"""What a compiled kernel does, in no language in particular: stages over rows, each a loop nest or a matrix product.

A kernel is run for some of its `rows`, by several threads for a part each. Its stages see the rows as a matrix: row
r, column j. A value of a Loop is known once ("once"), for each row ("row") or for each element ("element"); a Reduce
makes a value of each row from the elements, and sums over rows go to accumulators of the thread's own, which `finish`
adds up when all threads are done. Sums are accumulated in double precision.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .expr import Expr

NUMBER, MASK, SCALAR, INDEX = "number", "mask", "scalar", "index"
ONCE, ROW, ELEMENT = 0, 1, 2
Size = int | str


@dataclass(frozen=True)
class Access:
    """Where element (r, j) is: `offset + sum((r // over % count) * step) + j * column`; a count of 0 is no limit.

    Where a size is known at run time alone, there is a variable's name in its place.
    """

    terms: tuple[tuple[Size, Size, Size], ...] = ()  # (over, count, step)
    column: Size = 0
    offset: int = 0

    @property
    def level(self) -> int:
        """How often there is another element."""
        return ELEMENT if self.column else ROW if self.terms else ONCE


@dataclass(frozen=True)
class Operand:
    """An array: its place in the kernel's table of addresses, its dtype, and where elements are."""

    slot: int
    dtype: str
    access: Access


@dataclass(frozen=True)
class Load:
    """A value that is read."""

    name: str
    operand: Operand


@dataclass(frozen=True)
class Number:
    """A Python number that is given at each run: its place in the program's numbers."""

    name: str
    place: int


@dataclass(frozen=True)
class Compute:
    """A value by a scalar expression of those before it."""

    name: str
    expr: Expr


@dataclass(frozen=True)
class Reduce:
    """The sum, maximum or minimum over the columns of a value."""

    name: str
    kind: str  # "sum", "max", "min"
    source: str


@dataclass(frozen=True)
class Store:
    """A value that is written."""

    name: str
    operand: Operand


@dataclass(frozen=True)
class Total:
    """A sum over rows, by columns or of everything, in the thread's own accumulators, then in `out`.

    It takes each value of a row so many times as there are `columns`.
    """

    name: str
    columns: int
    by_columns: bool
    accumulators: int  # their slot
    out: Operand


@dataclass(frozen=True)
class Ended:
    """What a sum of everything has come to: its place among the totals of the loop. Known when all rows are done."""

    name: str
    total: int


@dataclass
class Loop:
    """A loop nest over rows and columns. With `across`, a thread has some columns of all so many rows.

    `after` has what is computed and stored, once, when all rows are done: a backend may leave that to other kernels.
    """

    real: str
    columns: int
    values: list[Any] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)
    totals: list[Total] = field(default_factory=list)
    after: list[Any] = field(default_factory=list)
    across: int = 0
    scratch: int | None = None  # the slot of rows that values are kept in between two passes over the columns

    def every_load(self) -> list[Load]:
        """What is read, whenever that is."""
        return [v for v in (*self.values, *self.after) if isinstance(v, Load)]

    def every_store(self) -> list[Store]:
        """What is written, but for sums."""
        return [*self.stores, *[v for v in self.after if isinstance(v, Store)]]


@dataclass(frozen=True)
class Dot:
    """Rows of `a @ b`; `ta` and `tb` say that an operand is stored transposed. All are matrices without gaps.

    With `batch`, rows are matrices of a stack. With `across`, a thread has some columns of the product, not rows.
    """

    real: str
    a: int
    b: int
    c: int
    m: int
    n: int
    k: int
    ta: bool
    tb: bool
    batch: bool = False
    across: bool = False


DRAWN = 8  # numbers that one block of random bits makes


@dataclass(frozen=True)
class Draw:
    """What dropout multiplies with: 0 with probability `p`, else 1 / (1 - p). A row is a block of DRAWN numbers.

    `state` holds seed and offset, two uint64; which bits make which number is what numpy_cpu.random says.
    """

    real: str
    state: int
    out: int
    size: int
    p: float


@dataclass
class Kernel:
    """Stages that run one after the other for some rows; with a `tile`, for so many rows at a time."""

    rows: int
    stages: list[Any]
    tile: int = 0

    @property
    def totals(self) -> list[tuple[Loop, Total]]:
        """The sums over rows, with the loop that each is in."""
        return [(loop, total) for loop in self.stages if isinstance(loop, Loop) for total in loop.totals]
