"""Eager kernels that go by rows: reductions, softmax, cross-entropy, normalisation, and their gradients.

Each is written as a loop, in the terms in which compiled programs are, and becomes one kernel for about so many
columns; how many there are exactly, it is told when it runs. An array that is not laid out so, or of another dtype,
goes to the kernel that `kernels` was given.
"""

from __future__ import annotations

import collections.abc
import functools
import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import expr
from ..loops import Compute, Load, Loop, Operand, Store, Total
from . import driver, row_kernels
from .arrays.common import reduced_shape
from .dialect import COMPUTED
from .lazy_cupy import cp
from .loop_codegen import WIDE, Given, Source
from .loop_kernel import source_of
from .row_kernels import FULL, LINE, Draft, wide, writer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Kernel = collections.abc.Callable[..., Any]
LABELS = np.dtype(np.int64)
FEW_ROWS, LONG = 32, 1 << 15  # rows that do not fill a GPU, if they are so long: CuPy shares out columns


@functools.cache
def name_of(dtype: Any) -> str:
    """A dtype's name, which NumPy builds each time: two microseconds."""
    return str(dtype.name)


# -- compiling and running ------------------------------------------------------------------------------------------


class Compiled:
    """A kernel, ready to run."""

    def __init__(self, source: Source, draft: Draft) -> None:
        self.source, self.draft = source, draft
        self.function = driver.function(source.name, source.code)
        self.sums = {t.accumulators: i for i, t in enumerate(draft.loop.totals)}


@functools.lru_cache(4096)
def compiled(
    write: Callable[[Draft], None], real: str, rows: int, most: int, divisor: int, aligned: bool, wide: bool
) -> Compiled:
    """The kernel for about so many rows of `most` columns at most."""
    draft = Draft(real, "columns" if most > 1 else 1)
    write(draft)
    sizes = ("columns",) if most > 1 else ()
    if most == 1:
        draft.loop = at_one_column(draft.loop)
    given = Given(rows, sizes, tuple(draft.scalars), most, divisor, aligned, wide)
    return Compiled(source_of(draft.loop, given, write.__name__), draft)


def at_one_column(loop: Loop) -> Loop:
    """A loop over rows of one element."""
    for i, v in enumerate(loop.values):
        if isinstance(v, Load) and v.operand.access == FULL:
            loop.values[i] = Load(v.name, Operand(v.operand.slot, v.operand.dtype, LINE))
        elif isinstance(v, Compute) and v.expr.op == "index_outside":
            loop.values[i] = Compute(v.name, expr.Expr(v.expr.op, v.expr.args[0], expr.Expr("constant", 1)))
    for i, s in enumerate(loop.stores):
        if s.operand.access == FULL:
            loop.stores[i] = Store(s.name, Operand(s.operand.slot, s.operand.dtype, LINE))
    return loop


named_writers: dict[Any, Any] = {}


class Ready:
    """A kernel and how it is launched: `table` has what it takes, an operand (None) or a sum and its size."""

    __slots__ = ("block", "blocks", "function", "sizes", "table")

    def __init__(self, kernel: Compiled, rows: int, columns: int, device: int) -> None:
        source = kernel.source
        self.function, self.block = kernel.function, source.block
        self.blocks = source.grid(rows, driver.multiprocessors(device))
        self.table: list[tuple[int, int] | None] = []
        for slot in source.slots:
            i = kernel.sums.get(slot)
            width = columns if i is not None and kernel.draft.loop.totals[i].by_columns else 1
            self.table.append(None if i is None else (i, 1 + self.blocks * width))
        self.sizes = (rows, columns) if columns > 1 else (rows,)


@functools.lru_cache(4096)
def ready(write: Callable[[Draft], None], real: str, rows: int, columns: int, aligned: bool, device: int) -> Ready:
    """The kernel for so many rows and columns."""
    about = min(1 << (rows - 1).bit_length(), 1 << 20)
    most = 1 << (columns - 1).bit_length() if columns > 1 else 1
    kernel = compiled(write, real, about, most, math.gcd(columns, 16), aligned, rows * columns >= WIDE)
    return Ready(kernel, rows, columns, device)


def forget() -> None:
    """Drop compiled kernels after a change of what they are built from."""
    compiled.cache_clear()
    ready.cache_clear()


def run(
    write: Callable[[Draft], None], real: str, arrays: Sequence[Any], rows: int, columns: int, *scalars: float
) -> None:
    """Run a kernel on `rows` rows of `columns` elements; `arrays` are its operands and outputs."""
    low, device = 0, driver.here()
    for x in arrays:
        low |= x.data.ptr
    kernel = ready(write, real, rows, columns, not low & 15, device)
    operands = iter(arrays)
    args = [next(operands) if what is None else partial_sums(device, *what) for what in kernel.table]
    driver.launch(kernel.function, kernel.blocks, kernel.block, (*args, *kernel.sizes, *map(float, scalars)))


workspaces: dict[Any, Any] = {}


def partial_sums(device: int, i: int, size: int) -> Any:
    """Memory for what blocks leave for the last of them: kernels on one stream use it one after the other."""
    # The default streams of two threads may go by one address.
    key = device, cp.cuda.get_current_stream().ptr, threading.get_ident(), i
    found = workspaces.get(key)
    if found is None or found.size < size:
        found = workspaces[key] = cp.zeros(max(size, 1 << 14), np.float64)
    return found


# -- the kernels --------------------------------------------------------------------------------------------------


def fits(*arrays: Any) -> bool:
    """True for contiguous arrays of one floating-point dtype with something in them."""
    x = arrays[0]
    if type(x) is not cp.ndarray or not x.size or name_of(x.dtype) not in COMPUTED:
        return False
    return all([type(a) is cp.ndarray and a.dtype == x.dtype and a._c_contiguous for a in arrays])


def axes_of(axis: Any, ndim: int) -> tuple[int, ...] | None:
    """The axes in order and from 0, or None for ones that are to be complained about."""
    axes = tuple(range(ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if not all([type(a) is int and -ndim <= a < ndim for a in axes]):
        return None
    found = sorted({a % ndim for a in axes})
    return tuple(found) if len(found) == len(axes) else None


def split(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, int, int]:
    """An array as (before, along, after) axes that are reduced and follow each other; (0, 0, 0) if they do not."""
    first, last = axes[0], axes[-1]
    if axes != tuple(range(first, last + 1)):
        return 0, 0, 0
    return math.prod(shape[:first]), math.prod(shape[first : last + 1]), math.prod(shape[last + 1 :])


def summed(x: Any, axes: tuple[int, ...], shape: tuple[int, ...], divisor: float) -> Any:
    """The sum over axes, divided; None where CuPy does as well."""
    before, along, after = split(x.shape, axes)
    if not along:
        return None
    out = cp.empty(shape, x.dtype)
    real = name_of(x.dtype)
    if after == 1 and before > 1:
        if before < FEW_ROWS and along > LONG:
            return None
        if divisor == 1.0:
            run(row_kernels.sum_rows, real, (x, out), before, along)
        else:
            run(row_kernels.mean_rows, real, (x, out), before, along, divisor)
        return out
    if before != 1 or (divisor != 1.0 and x.dtype.itemsize == 2):  # a sum that half precision may not hold
        return None
    if after == 1:
        run(row_kernels.sum_all, real, (x, out), along, 1)
    else:
        run(row_kernels.sum_columns, real, (x, out), along, after)
    return out if divisor == 1.0 else out / divisor


def make_sum(plain: Kernel, by_count: bool) -> Kernel:
    """`sum`, or `mean` when the sum is to be divided by the count."""

    def reduce(x: Any, axis: Any = None, keepdims: bool = False, **params: Any) -> Any:
        if params.get("dtype") is None and fits(x):
            axes = axes_of(axis, x.ndim)
            if axes:
                count = math.prod([x.shape[a] for a in axes])
                found = summed(x, axes, reduced_shape(x.shape, axes, keepdims), float(count) if by_count else 1.0)
                if found is not None:
                    return found
        return plain(x, axis, keepdims, **params) if params else plain(x, axis, keepdims)

    return reduce


def mean_rule(g: Any, y: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """The gradient of `mean` for half precision: float16 has no count above 65504. None for other dtypes."""
    axes = axes_of(axis, x.ndim) if name_of(x.dtype) in ("float16", "bfloat16") else None
    if axes is None:
        return None
    count = max(math.prod([x.shape[a] for a in axes]), 1)
    share = (g.astype(np.float32) / np.float32(count)).astype(x.dtype)
    return cp.broadcast_to(share.reshape(reduced_shape(x.shape, axes, True)), x.shape)


def make_extreme(plain: Kernel, write: Callable[[Draft], None]) -> Kernel:
    """`max` or `min` along the last axes."""

    def reduce(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        if fits(x):
            axes = axes_of(axis, x.ndim)
            before, along, after = split(x.shape, axes) if axes else (0, 0, 0)
            if after == 1 and before > 1 and not (before < FEW_ROWS and along > LONG):
                out = cp.empty(reduced_shape(x.shape, axes or (), keepdims), x.dtype)
                run(write, name_of(x.dtype), (x, out), before, along)
                return out
        return plain(x, axis, keepdims)

    return reduce


def make_sum_to(plain: Kernel) -> Kernel:
    """The sums over all that broadcasting from `shape` has repeated: what a bias gets from its gradient."""

    def reduce(x: Any, shape: tuple[int, ...]) -> Any:
        lead = x.ndim - len(shape)
        if lead >= 0 and fits(x) and all([n in (1, m) for n, m in zip(shape, x.shape[lead:])]):
            axes = (*range(lead), *[i + lead for i, n in enumerate(shape) if n == 1 and x.shape[i + lead] != 1])
            if axes:
                found = summed(x, axes, tuple(shape), 1.0)
                if found is not None:
                    return found
        return plain(x, shape=shape)

    return reduce


def along_rows(plain: Kernel, write: Callable[[Draft], None]) -> Kernel:
    """A kernel along one axis that keeps the shape: softmax and its like, of one array or two."""

    def call(*arrays: Any, axis: Any = -1) -> Any:
        x = arrays[-1]
        same = all([type(a) is cp.ndarray and a.shape == x.shape and a.dtype == x.dtype for a in arrays])
        fitting = same and x.ndim and x.size and name_of(x.dtype) in COMPUTED
        if fitting and type(axis) is int and -x.ndim <= axis < x.ndim:
            moved = axis % x.ndim != x.ndim - 1
            rows = [cp.ascontiguousarray(cp.moveaxis(a, axis, -1) if moved else a) for a in arrays]
            out = cp.empty(rows[-1].shape, x.dtype)
            columns = out.shape[-1]
            run(write, name_of(x.dtype), (*rows, out), out.size // columns, columns)
            return cp.ascontiguousarray(cp.moveaxis(out, -1, axis)) if moved else out
        return plain(*arrays, axis=axis)

    return call


def make_logsumexp(plain: Kernel) -> Kernel:
    """log(sum(exp(x))) along the last axes."""

    def call(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        if fits(x):
            axes = axes_of(axis, x.ndim)
            before, along, after = split(x.shape, axes) if axes else (0, 0, 0)
            if after == 1 and along and not (before < FEW_ROWS and along > LONG):
                out = cp.empty(reduced_shape(x.shape, axes or (), keepdims), x.dtype)
                run(row_kernels.logsumexp, name_of(x.dtype), (x, out), before, along)
                return out
        return plain(x, axis, keepdims)

    return call


def trailing(x: Any, axis: Any) -> tuple[int, int]:
    """Rows and columns, where the axes are the last ones; else (0, 0)."""
    axes = axes_of(axis, x.ndim)
    before, along, after = split(x.shape, axes) if axes else (0, 0, 0)
    return (before, along) if after == 1 else (0, 0)


def make_standardize(plain: Kernel) -> Kernel:
    """(x - mean) / sqrt(variance + eps) over the last axes."""

    def call(x: Any, axis: Any = -1, eps: float = 1e-5) -> Any:
        rows, columns = trailing(x, axis) if fits(x) else (0, 0)
        if not columns:
            return plain(x, axis, eps)
        out = cp.empty(x.shape, x.dtype)
        run(row_kernels.standardize, name_of(x.dtype), (x, out), rows, columns, columns, eps)
        return out

    return call


def standardize_rule(g: Any, y: Any, x: Any, axis: Any, eps: float) -> Any:
    """The gradient of `standardize`; None where the rule's own way has to be taken."""
    rows, columns = trailing(x, axis) if fits(x, y) else (0, 0)
    if not columns or type(g) is not cp.ndarray or g.shape != x.shape or g.dtype != x.dtype:
        return None
    out = cp.empty(x.shape, x.dtype)
    run(
        row_kernels.standardize_grad,
        name_of(x.dtype),
        (cp.ascontiguousarray(g), y, x, out),
        rows,
        columns,
        columns,
        eps,
    )
    return out


def make_mean_squared_error(plain: Kernel) -> Kernel:
    """mean((a - b)**2)."""

    def call(a: Any, b: Any) -> Any:
        if not (fits(a, b) and a.shape == b.shape) or a.dtype.itemsize == 2:  # whose sum of squares may not fit
            return plain(a, b)
        out = cp.empty((), a.dtype)
        run(row_kernels.squares_all, name_of(a.dtype), (a, b, out), a.size, 1)
        return out / float(a.size)

    return call


def are_labelled(x: Any, labels: Any) -> bool:
    """True for rows of floats, with a class for each, that a kernel can go through."""
    fit = fits(x) and x.ndim == 2 and type(labels) is cp.ndarray and labels.dtype == LABELS and labels._c_contiguous
    return bool(fit and labels.shape == x.shape[:1])


def make_cross_entropy(plain: Kernel) -> Kernel:
    """log(sum(exp(logits))) - logits[label] of every row, reduced. The host waits for whether labels are in range."""

    def call(logits: Any, labels: Any, ignore_index: int, reduction: str) -> Any:
        if not are_labelled(logits, labels):
            return plain(logits, labels, ignore_index, reduction)
        rows, columns = logits.shape
        sums = cp.zeros(3, wide(name_of(logits.dtype)))
        outs = (sums,) if reduction != "none" else (cp.empty(rows, logits.dtype), sums)
        write = writer_of(row_kernels.cross_entropy, ignore_index, reduction)
        run_mixed(write, name_of(logits.dtype), name_of(sums.dtype), (logits, labels, *outs), rows, columns)
        total, count, outside = sums.tolist()
        if outside:
            return plain(logits, labels, ignore_index, reduction)  # which says what is wrong
        if reduction == "none":
            return outs[0]
        share = (1.0 / count if count else math.nan) if reduction == "mean" else 1.0
        return (sums[0] * share).astype(logits.dtype, copy=False)

    return call


def run_mixed(write: Any, real: str, sums: str, arrays: Sequence[Any], rows: int, columns: int) -> None:
    """Run a kernel whose sums over rows are of a wider dtype than its elements."""
    key = write, sums
    if key not in named_writers:

        def wider(d: Draft) -> None:
            write(d)
            d.loop.totals = [
                Total(t.name, t.columns, t.by_columns, t.accumulators, Operand(t.out.slot, sums, t.out.access))
                for t in d.loop.totals
            ]

        wider.__name__ = write.__name__
        named_writers[key] = wider
    run(named_writers[key], real, arrays, rows, columns)


def make_cross_entropy_grad(plain: Kernel) -> Kernel:
    """(softmax(logits) - one_hot(labels)) * g, the reduction's share included."""

    def call(g: Any, logits: Any, labels: Any, ignore_index: int, reduction: str) -> Any:
        if not are_labelled(logits, labels):
            return plain(g, logits, labels, ignore_index, reduction)
        rows, columns = logits.shape
        real, per_row = name_of(logits.dtype), getattr(g, "ndim", 0) == 1
        g = cp.ascontiguousarray(cp.asarray(g, logits.dtype))
        out = cp.empty(logits.shape, logits.dtype)
        extra: tuple[Any, ...] = ()
        if reduction == "mean":
            count = cp.empty((), wide(real))
            run(writer_of(row_kernels.count_labels, ignore_index), wide(real), (labels, count), rows, 1)
            extra = (count,)
        write = writer_of(row_kernels.cross_entropy_grad, ignore_index, per_row, reduction == "mean")
        run(write, real, (g, logits, labels, *extra, out), rows, columns)
        return out

    return call


def kernels(plain: dict[str, Kernel]) -> dict[str, Kernel]:
    """Kernels by rows, over those of the same names that take all other arrays."""
    return {
        "sum": make_sum(plain["sum"], False),
        "mean": make_sum(plain["mean"], True),
        "mean.grad0": mean_rule,
        "max": make_extreme(plain["max"], row_kernels.max_rows),
        "min": make_extreme(plain["min"], row_kernels.min_rows),
        "sum_to": make_sum_to(plain["sum_to"]),
        "softmax": along_rows(plain["softmax"], row_kernels.softmax),
        "log_softmax": along_rows(plain["log_softmax"], row_kernels.log_softmax),
        "softmax_grad": along_rows(plain["softmax_grad"], row_kernels.softmax_grad),
        "log_softmax_grad": along_rows(plain["log_softmax_grad"], row_kernels.log_softmax_grad),
        "logsumexp": make_logsumexp(plain["logsumexp"]),
        "standardize": make_standardize(plain["standardize"]),
        "standardize.grad0": standardize_rule,
        "mean_squared_error": make_mean_squared_error(plain["mean_squared_error"]),
        "cross_entropy_rows": make_cross_entropy(plain["cross_entropy_rows"]),
        "cross_entropy_rows_grad": make_cross_entropy_grad(plain["cross_entropy_rows_grad"]),
    }
