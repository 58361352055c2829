"""What eager kernels that go by rows compute: each is a function that drafts a loop.

A draft is written in the terms in which compiled programs are. `columns` is a size that the kernel is told when it
runs.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from .. import expr
from ..loops import Access, Compute, Load, Loop, Number, Operand, Reduce, Store, Total
from .dialect import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

FULL, LINE, ONCE = Access(((1, 0, "columns"),), 1), Access(((1, 0, 1),)), Access()


def wide(real: str) -> str:
    """The dtype that counts and sums of a dtype are kept in."""
    return "float64" if real == "float64" else "float32"


class Draft:
    """A loop in the making. Operands are arrays in the order in which they are asked for, then come outputs."""

    def __init__(self, real: str, columns: Any = "columns") -> None:
        self.real, self.loop = real, Loop(real, columns)
        self.scalars: list[str] = []
        self.slots = 3

    def read(self, access: Access = FULL, dtype: str = "") -> str:
        """An operand's element."""
        return self.value(lambda name: Load(name, self.operand(access, dtype)))

    def scalar(self) -> str:
        """A number that is given at each run."""
        name = self.value(lambda name: Number(name, -1))
        self.scalars.append(name)
        return name

    def compute(self, function: Callable[..., Any], *names: str) -> str:
        """A value of others."""
        (found,) = expr.trace(lambda k, *x: function(k, *x), names, {}, {}, OPERATIONS)
        return self.value(lambda name: Compute(name, found))

    def index(self, op: str, label: str, *args: Any) -> str:
        """A question about a label."""
        constants = [expr.Expr("constant", x) for x in args]
        return self.value(lambda name: Compute(name, expr.Expr(op, expr.Expr("input", label), *constants)))

    def reduce(self, kind: str, name: str) -> str:
        """The sum, maximum or minimum of a row."""
        return self.value(lambda made: Reduce(made, kind, name))

    def store(self, name: str, access: Access = FULL) -> None:
        """Write a value to an output."""
        self.loop.stores.append(Store(name, self.operand(access)))

    def output(self) -> int:
        """The slot of an output that sums go to."""
        self.slots += 1
        return self.slots - 1

    def total(self, name: str, out: int, place: int = 0, by_columns: bool = False) -> None:
        """The sum over rows of a value, written to slot `out`."""
        self.slots += 1
        operand = Operand(out, self.real, Access((), 0, place))
        self.loop.totals.append(Total(name, 1, by_columns, self.slots - 1, operand))

    def operand(self, access: Access, dtype: str = "") -> Operand:
        self.slots += 1
        return Operand(self.slots - 1, dtype or self.real, access)

    def value(self, make: Callable[[str], Any]) -> str:
        name = f"v{len(self.loop.values)}"
        self.loop.values.append(make(name))
        return name


def softmax(d: Draft) -> None:
    x = d.read()
    e = d.compute(lambda k, x, m: k.exp(x - m), x, d.reduce("max", x))
    d.store(d.compute(lambda k, e, over: e * over, e, d.compute(lambda k, s: 1.0 / s, d.reduce("sum", e))))


def log_softmax(d: Draft) -> None:
    x = d.read()
    shifted = d.compute(lambda k, x, m: x - m, x, d.reduce("max", x))
    total = d.reduce("sum", d.compute(lambda k, s: k.exp(s), shifted))
    d.store(d.compute(lambda k, x, log: x - log, shifted, d.compute(lambda k, s: k.log(s), total)))


def softmax_grad(d: Draft) -> None:
    g, y = d.read(), d.read()
    along = d.reduce("sum", d.compute(lambda k, g, y: g * y, g, y))
    d.store(d.compute(lambda k, g, y, s: y * (g - s), g, y, along))


def log_softmax_grad(d: Draft) -> None:
    g, y = d.read(), d.read()
    d.store(d.compute(lambda k, g, y, s: g - k.exp(y) * s, g, y, d.reduce("sum", g)))


def logsumexp(d: Draft) -> None:
    x = d.read()
    top = d.compute(lambda k, m: k.where(k.isinf(m), 0.0, m), d.reduce("max", x))
    total = d.reduce("sum", d.compute(lambda k, x, m: k.exp(x - m), x, top))
    d.store(d.compute(lambda k, s, m: k.log(s) + m, total, top), LINE)


def standardize(d: Draft) -> None:
    x, n, eps = d.read(), d.scalar(), d.scalar()
    mean = d.compute(lambda k, s, n: s / n, d.reduce("sum", x), n)
    centred = d.compute(lambda k, x, m: x - m, x, mean)
    squares = d.reduce("sum", d.compute(lambda k, c: c * c, centred))
    over = d.compute(lambda k, s, n, eps: 1.0 / k.sqrt(s / n + eps), squares, n, eps)
    d.store(d.compute(lambda k, c, over: c * over, centred, over))


def standardize_grad(d: Draft) -> None:
    g, y, x, n, eps = d.read(), d.read(), d.read(), d.scalar(), d.scalar()
    centre = d.compute(lambda k, s, n: s / n, d.reduce("sum", x), n)
    centred = d.compute(lambda k, x, m: x - m, x, centre)
    squares = d.reduce("sum", d.compute(lambda k, c: c * c, centred))
    over = d.compute(lambda k, s, n, eps: 1.0 / k.sqrt(s / n + eps), squares, n, eps)
    share = lambda k, s, n: s / n
    along = d.compute(share, d.reduce("sum", d.compute(lambda k, g, y: g * y, g, y)), n)
    mean = d.compute(share, d.reduce("sum", g), n)
    d.store(d.compute(lambda k, g, y, m, a, over: (g - m - y * a) * over, g, y, mean, along, over))


def sum_rows(d: Draft) -> None:
    d.store(d.reduce("sum", d.read()), LINE)


def mean_rows(d: Draft) -> None:
    x, n = d.read(), d.scalar()
    d.store(d.compute(lambda k, s, n: s / n, d.reduce("sum", x), n), LINE)


def max_rows(d: Draft) -> None:
    d.store(d.reduce("max", d.read()), LINE)


def min_rows(d: Draft) -> None:
    d.store(d.reduce("min", d.read()), LINE)


def sum_columns(d: Draft) -> None:
    x = d.read()
    d.total(x, d.output(), by_columns=True)


def sum_all(d: Draft) -> None:
    x = d.read(LINE)
    d.total(x, d.output())


def squares_all(d: Draft) -> None:
    a, b = d.read(LINE), d.read(LINE)
    d.total(d.compute(lambda k, a, b: (a - b) * (a - b), a, b), d.output())


def cross_entropy(ignore: int, reduction: str) -> Callable[[Draft], None]:
    """Losses of rows; for a reduction an output of three: their sum, how many count, how many have no such class."""

    def write(d: Draft) -> None:
        x, label = d.read(), d.read(LINE, "int64")
        shifted = d.compute(lambda k, x, m: x - m, x, d.reduce("max", x))
        hit = d.index("at_column", label)
        own = d.reduce("sum", d.compute(lambda k, hit, s: k.where(hit, s, 0.0), hit, shifted))
        total = d.reduce("sum", d.compute(lambda k, s: k.exp(s), shifted))
        ignored = d.index("index_is", label, ignore)
        loss = lambda k, i, t, own: k.where(i, 0.0, k.log(t) - own)
        losses = d.compute(loss, ignored, total, own)
        outside = d.index("index_outside", label, "columns")
        if reduction == "none":
            d.store(losses, LINE)
        sums = d.output()
        if reduction != "none":
            d.total(losses, sums, 0)
        d.total(d.compute(lambda k, i: k.where(i, 0.0, 1.0), ignored), sums, 1)
        d.total(d.compute(lambda k, i, o: k.where(o & ~i, 1.0, 0.0), ignored, outside), sums, 2)

    return write


def count_labels(ignore: int) -> Callable[[Draft], None]:
    """How many labels count."""

    def write(d: Draft) -> None:
        ignored = d.index("index_is", d.read(LINE, "int64"), ignore)
        d.total(d.compute(lambda k, i: k.where(i, 0.0, 1.0), ignored), d.output())

    return write


def cross_entropy_grad(ignore: int, per_row: bool, mean: bool) -> Callable[[Draft], None]:
    """The slope of rows' losses; under a mean, the last operand is how many rows count."""

    def write(d: Draft) -> None:
        g, x, label = d.read(LINE if per_row else ONCE), d.read(), d.read(LINE, "int64")
        if mean:
            g = d.compute(lambda k, g, n: g * (1.0 / n), g, d.read(ONCE, wide(d.real)))
        e = d.compute(lambda k, x, m: k.exp(x - m), x, d.reduce("max", x))
        hit, ignored = d.index("at_column", label), d.index("index_is", label, ignore)
        scale = d.compute(lambda k, g, s: g / s, g, d.reduce("sum", e))
        slope = lambda k, i, hit, e, scale, g: k.where(i, 0.0, e * scale - k.where(hit, g, 0.0))
        d.store(d.compute(slope, ignored, hit, e, scale, g))

    return write


@functools.cache
def writer_of(make: Callable[..., Any], *args: Any) -> Any:
    """What writes a kernel, the same object for the same settings."""
    found = make(*args)
    found.__name__ = make.__name__
    return found
