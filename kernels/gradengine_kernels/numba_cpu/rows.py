"""Reductions and softmaxes along rows, for large contiguous arrays; all else goes to the NumPy kernels wrapped here.

Axes are brought to one of three forms: the last ones (rows), the first ones (columns) or all of them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..numpy_cpu.sums import total
from .fused import F32, F64, SMALL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STRETCH = 1 << 14  # elements of an array without rows that make one partial sum
HEIGHT = 64  # rows that are added up before their sum joins the others
SHORT = 256  # NumPy's maximum of a longer row is as fast as can be; its loop over short ones is not
ndarray = np.ndarray


# What a kernel takes for one element of float32, in nanoseconds and on one thread.
COSTS = {
    **dict.fromkeys(("sum_rows", "sum_columns", "sum_stretches", "squared_distances", "max_rows", "min_rows"), 0.2),
    **dict.fromkeys(("softmax_grad", "log_softmax_grad"), 0.6),
    **dict.fromkeys(("softmax", "log_softmax", "logsumexp", "cross_entropy", "cross_entropy_grad"), 1.2),
}


def run(name: str, arrays: list[Any], sizes: tuple[int, ...], rows: int, columns: int, divisor: float = 1.0) -> None:
    """Run a kernel of row_kernels.py on `rows` rows of `columns` elements."""
    from . import runtime

    dtype = arrays[0].dtype
    cost = COSTS[name] * columns * (dtype.itemsize / 4)
    runtime.kernel_of("row_kernels.py", name, dtype.name)(arrays, sizes, (divisor,), rows, cost)


def fits(x: Any) -> bool:
    """True for a contiguous array of float32 or float64 with something in it."""
    if type(x) is not ndarray or not x.size or (x.dtype is not F32 and x.dtype is not F64):
        return False
    from . import runtime

    return x.flags.c_contiguous and x.flags.aligned and runtime.usable()


def axes_of(axis: Any, ndim: int) -> tuple[int, ...] | None:
    """The axes in order and from 0, or None for ones that NumPy should complain about."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, tuple) else (axis,)
    if not all([isinstance(a, int) and -ndim <= a < ndim for a in axes]):
        return None
    found = sorted({a % ndim for a in axes})
    return tuple(found) if len(found) == len(axes) else None


# -- reductions -------------------------------------------------------------------------------------------------


def summed(numpy_sum: Callable[..., Any], by_count: bool) -> Callable[..., Any]:
    """`sum`, or `mean` when the sum is to be divided by the count."""

    def reduce(x: Any, axis: Any = None, keepdims: bool = False, **params: Any) -> Any:
        if x.size < SMALL or params.get("dtype") is not None or not fits(x):
            return numpy_sum(x, axis, keepdims, **params) if params else numpy_sum(x, axis, keepdims)
        axes = axes_of(axis, x.ndim)
        if not axes:
            return numpy_sum(x, axis, keepdims)
        count = math.prod([x.shape[a] for a in axes])
        result = sum_over(x, axes, float(count) if by_count else 1.0)
        if result is None:
            return numpy_sum(x, axis, keepdims)
        if keepdims:
            return result.reshape([1 if a in axes else n for a, n in enumerate(x.shape)])
        return result

    return reduce


def sum_to(numpy_sum_to: Callable[..., Any]) -> Callable[..., Any]:
    """The sums over all that broadcasting from `shape` has repeated: what a bias gets from its gradient."""

    def reduce(x: Any, shape: tuple[int, ...]) -> Any:
        if x.size < SMALL or not fits(x):
            return numpy_sum_to(x, shape)
        lead = x.ndim - len(shape)
        axes = (*range(lead), *[i + lead for i, n in enumerate(shape) if n == 1 and x.shape[i + lead] != 1])
        result = sum_over(x, axes, 1.0) if axes else None
        return numpy_sum_to(x, shape) if result is None else np.asarray(result).reshape(shape)

    return reduce


def sum_over(x: Any, axes: tuple[int, ...], divisor: float) -> Any:
    """The sum over sorted axes, which go, divided by `divisor`; None where NumPy does as well."""
    ndim = x.ndim
    tail = 0
    while tail < len(axes) and axes[len(axes) - 1 - tail] == ndim - 1 - tail:
        tail += 1
    if tail == ndim:
        return sum_all(x, divisor)
    if tail:
        rest = axes[: len(axes) - tail]
        kept = x.shape[: ndim - tail]
        out = np.empty(kept, x.dtype)
        columns = math.prod(x.shape[ndim - tail :])
        run("sum_rows", [x, out], (columns,), out.size, columns, 1.0 if rest else divisor)
        return total(out, rest) / x.dtype.type(divisor) if rest else out
    rows = math.prod(x.shape[: len(axes)])
    if axes == tuple(range(len(axes))) and rows >= 2 * HEIGHT:
        return sum_columns(x.reshape(rows, -1), divisor).reshape(x.shape[len(axes) :])
    return None


def sum_all(x: Any, divisor: float) -> Any:
    """The sum of all elements, as a NumPy scalar."""
    return x.dtype.type(stretches("sum_stretches", [x]) / divisor)


def stretches(name: str, arrays: list[Any]) -> float:
    """A sum over all elements from its partial sums, which do not depend on the number of threads."""
    x = arrays[0]
    partial = np.empty(((x.size + STRETCH - 1) // STRETCH, 2), x.dtype)
    run(name, [*arrays, partial], (STRETCH, x.size), len(partial), STRETCH)
    return float(np.add.reduce(partial, None, F64))


def sum_columns(x: Any, divisor: float) -> Any:
    """The sums of a matrix's columns."""
    rows, columns = x.shape
    groups = (rows + HEIGHT - 1) // HEIGHT
    partial = np.empty((groups, columns), x.dtype)
    run("sum_columns", [x, partial], (columns, HEIGHT, rows), groups, columns * HEIGHT)
    found = sum_columns(partial, 1.0) if groups > HEIGHT else np.add.reduce(partial, 0)
    return found if divisor == 1.0 else found / x.dtype.type(divisor)


def extreme(numpy_reduce: Callable[..., Any], name: str) -> Callable[..., Any]:
    """`max` or `min` along the last axes."""

    def reduce(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        if x.size < SMALL or not fits(x):
            return numpy_reduce(x, axis, keepdims)
        axes = axes_of(axis, x.ndim)
        if not axes or axes != tuple(range(x.ndim - len(axes), x.ndim)) or len(axes) == x.ndim:
            return numpy_reduce(x, axis, keepdims)
        kept = x.shape[: x.ndim - len(axes)]
        out = np.empty(kept + (1,) * len(axes) if keepdims else kept, x.dtype)
        columns = x.size // out.size
        if columns > SHORT and SMALL:
            return numpy_reduce(x, axis, keepdims)
        run(name, [x, out], (columns,), out.size, columns)
        return out

    return reduce


def mean_squared_error(numpy_kernel: Callable[..., Any]) -> Callable[..., Any]:
    def call(a: Any, b: Any) -> Any:
        if a.size < SMALL or not fits(a) or not fits(b) or a.shape != b.shape or a.dtype is not b.dtype:
            return numpy_kernel(a, b)
        return a.dtype.type(stretches("squared_distances", [a, b]) / a.size)

    return call


# -- softmax ----------------------------------------------------------------------------------------------------


def is_last(axis: Any, x: Any) -> bool:
    """True for the one axis along which neighbours lie."""
    return axis == -1 or axis == x.ndim - 1


def rowwise(numpy_kernel: Callable[..., Any], name: str) -> Callable[..., Any]:
    """`softmax` or `log_softmax` along the last axis."""

    def call(x: Any, axis: int = -1) -> Any:
        if x.size < SMALL or not fits(x) or not x.ndim or not is_last(axis, x):
            return numpy_kernel(x, axis)
        columns = x.shape[-1]
        out = np.empty(x.shape, x.dtype)
        run(name, [x, out], (columns,), x.size // columns, columns)
        return out

    return call


def rowwise_grad(numpy_kernel: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The gradient of `softmax` or `log_softmax` along the last axis, from its value y."""

    def call(g: Any, y: Any, axis: int) -> Any:
        if y.size < SMALL or not fits(y) or not y.ndim or not is_last(axis, y):
            return numpy_kernel(g, y, axis)
        if type(g) is not ndarray or g.shape != y.shape or g.dtype is not y.dtype:
            return numpy_kernel(g, y, axis)
        columns = y.shape[-1]
        out = np.empty(y.shape, y.dtype)
        run(name, [g if fits(g) else g.copy(), y, out], (columns,), y.size // columns, columns)
        return out

    return call


def logsumexp(numpy_kernel: Callable[..., Any]) -> Callable[..., Any]:
    def reduce(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        if x.size < SMALL or not fits(x) or not x.ndim or not (is_last(axis, x) or axis == (x.ndim - 1,)):
            return numpy_kernel(x, axis, keepdims)
        columns = x.shape[-1]
        out = np.empty(x.shape[:-1] + (1,) if keepdims else x.shape[:-1], x.dtype)
        run("logsumexp", [x, out], (columns,), out.size, columns)
        return out

    return reduce


# -- cross-entropy ----------------------------------------------------------------------------------------------


def checked(logits: Any, labels: Any, ignore_index: int) -> tuple[Any, int] | None:
    """The labels as int64 and how many of them count; None where NumPy should look at them, and complain."""
    if not fits(logits) or logits.ndim != 2 or type(labels) is not ndarray or labels.shape != logits.shape[:1]:
        return None
    if labels.dtype.kind not in "iu":
        return None
    labels = np.require(labels, np.int64, ("C", "A"))
    # A negative label is a huge unsigned number.
    if np.maximum.reduce(labels.view(np.uint64)) < logits.shape[1] and not 0 <= ignore_index < logits.shape[1]:
        return labels, len(labels)
    counts = labels != ignore_index
    kept = labels[counts]
    if kept.size and np.maximum.reduce(kept.view(np.uint64)) >= logits.shape[1]:
        return None
    return labels, len(kept)


def cross_entropy_rows(numpy_kernel: Callable[..., Any]) -> Callable[..., Any]:
    def call(logits: Any, labels: Any, ignore_index: int, reduction: str) -> Any:
        if logits.size < SMALL or (good := checked(logits, labels, ignore_index)) is None:
            return numpy_kernel(logits, labels, ignore_index, reduction)
        rows, columns = logits.shape
        labels, count = good
        losses = np.empty(rows, logits.dtype)
        run("cross_entropy", [logits, labels, losses], (columns, ignore_index), rows, columns)
        if reduction == "none":
            return losses
        loss = np.add.reduce(losses)
        return loss * (1.0 / count if count else math.nan) if reduction == "mean" else loss

    return call


def cross_entropy_rows_grad(numpy_kernel: Callable[..., Any]) -> Callable[..., Any]:
    def call(g: Any, logits: Any, labels: Any, ignore_index: int, reduction: str) -> Any:
        if logits.size < SMALL or (good := checked(logits, labels, ignore_index)) is None:
            return numpy_kernel(g, logits, labels, ignore_index, reduction)
        rows, columns = logits.shape
        labels, count = good
        if np.ndim(g) and np.shape(g) != (rows,):
            return numpy_kernel(g, logits, labels, ignore_index, reduction)
        if reduction == "mean":
            g = g * (1.0 / count if count else math.nan)
        scale = np.empty(rows, logits.dtype)
        scale[...] = g
        out = np.empty(logits.shape, logits.dtype)
        run("cross_entropy_grad", [logits, labels, scale, out], (columns, ignore_index), rows, columns)
        return out

    return call


WRAPPERS: Mapping[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "sum": lambda f: summed(f, by_count=False),
    "mean": lambda f: summed(f, by_count=True),
    "sum_to": sum_to,
    "max": lambda f: extreme(f, "max_rows"),
    "min": lambda f: extreme(f, "min_rows"),
    "mean_squared_error": mean_squared_error,
    "softmax": lambda f: rowwise(f, "softmax"),
    "log_softmax": lambda f: rowwise(f, "log_softmax"),
    "softmax_grad": lambda f: rowwise_grad(f, "softmax_grad"),
    "log_softmax_grad": lambda f: rowwise_grad(f, "log_softmax_grad"),
    "logsumexp": logsumexp,
    "cross_entropy_rows": cross_entropy_rows,
    "cross_entropy_rows_grad": cross_entropy_rows_grad,
}
