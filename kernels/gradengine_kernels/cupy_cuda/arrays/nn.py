"""Softmax, cross-entropy, embedding and the other kernels of neural networks.

Labels are checked by one kernel, which the host waits for: an IndexError says which label, where, and how many
classes there are.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from ...xp_kernels import by_name
from .. import driver
from ..lazy_cupy import cp
from . import moves, reduce
from .common import as_array, axes_of, choose

if TYPE_CHECKING:
    from collections.abc import Callable


# -- softmax ------------------------------------------------------------------------------------------------------


def maximum_along(x: Any, axis: Any) -> Any:
    """The maximum along an axis, which stays as size 1."""
    return reduce.max(x, axis, True)


def sum_along(x: Any, axis: Any) -> Any:
    """The sum along an axis, which stays as size 1."""
    return reduce.sum(x, axis, True)


def along_axis(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel along one axis, made to take 0-d arrays (one element) and empty ones (nothing to do) too."""

    @functools.wraps(kernel)
    def call(x: Any, axis: Any = -1) -> Any:
        x = reduce.floats(x)
        axes = axes_of(axis, x.ndim)
        if x.ndim == 0:
            return kernel(x.reshape(1), 0).reshape(())
        return kernel(x, axes) if x.size else x.copy()

    return call


@along_axis
def softmax(x: Any, axis: Any) -> Any:
    """exp(x) / sum(exp(x))."""
    e = cp.exp(x - maximum_along(x, axis))
    return e / sum_along(e, axis)


@along_axis
def log_softmax(x: Any, axis: Any) -> Any:
    """x - log(sum(exp(x)))."""
    shifted = x - maximum_along(x, axis)
    return shifted - cp.log(sum_along(cp.exp(shifted), axis))


def softmax_grad(g: Any, y: Any, axis: Any) -> Any:
    """y * (g - sum(g * y)): the softmax's transposed Jacobian times g."""
    y = as_array(y)
    if y.ndim == 0:
        return cp.zeros_like(y)
    out = g * y
    return out - y * sum_along(out, axis)


def log_softmax_grad(g: Any, y: Any, axis: Any) -> Any:
    """g - exp(y) * sum(g): the log-softmax's transposed Jacobian times g."""
    y = as_array(y)
    if y.ndim == 0:
        return cp.zeros_like(y)
    total = sum_along(g, axis) if getattr(g, "ndim", 0) else g
    return g - cp.exp(y) * total


# -- labels -------------------------------------------------------------------------------------------------------

ROWS = r"""
extern "C" __global__ void NAME(PARAMS, i64 rows, i64 classes, i64 ignored) {
  const i64 step = (i64)gridDim.x * blockDim.x;
  for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < rows; i += step) {
    const i64 label = labels[i];
    BODY
  }
}
"""
BODIES = {
    "check_labels": (
        "const INT* labels, u64* found",
        """if (label == ignored) atomicAdd(&found[1], (u64)1);
    else if (label < 0 || label >= classes) atomicMin(&found[0], (u64)i);""",
    ),
    "pick_class": (
        "const void* x, const INT* labels, void* out",
        "const WORD zero = {}; ((WORD*)out)[i] = label == ignored ? zero : ((const WORD*)x)[i * classes + label];",
    ),
    "place_class": (
        "const void* g, const INT* labels, void* out",
        "if (label != ignored) ((WORD*)out)[i * classes + label] = ((const WORD*)g)[i];",
    ),
}


@functools.cache
def label_kernel(kind: str, word: str, index: str) -> Any:
    """A compiled kernel that reads one label per row."""
    params, body = BODIES[kind]
    text = ROWS.replace("PARAMS", params).replace("BODY", body).replace("WORD", word).replace("INT", index)
    name = driver.named(kind, text)
    return driver.function(name, text.replace("NAME", name))


def launch(kind: str, word: str, arrays: tuple[Any, ...], labels: Any, classes: int, ignore_index: int) -> None:
    """Run a kernel that reads one label per row."""
    if labels.size:
        run = label_kernel(kind, word, "int" if labels.itemsize == 4 else "i64")
        grid = min(-(-labels.size // moves.THREADS), 32 * driver.multiprocessors(driver.here()))
        driver.launch(run, grid, moves.THREADS, (*arrays, labels.size, classes, ignore_index))


def counted(labels: Any, classes: int, ignore_index: int) -> tuple[Any, int]:
    """The labels as the kernels read them, and how many of them count. Raises IndexError for one out of range."""
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels must be integers, got {labels.dtype}")
    at = moves.prepared(labels)
    if not at.size:
        return at, 0
    found = cp.asarray(np.array([moves.NOWHERE, 0], np.uint64))
    launch("check_labels", "", (at, found), at, classes, ignore_index)
    bad, ignored = found.tolist()
    if bad != moves.NOWHERE:
        raise IndexError(f"label {int(labels[bad])} at position {bad} is out of range for {classes} classes")
    return at, at.size - ignored


def word_of(dtype: Any) -> str:
    """An unsigned type as large as an element."""
    return moves.WORDS[dtype.itemsize]


def picked(x: Any, labels: Any, ignore_index: int) -> Any:
    """x[i, labels[i]] of every row i, for labels that have been checked."""
    out = cp.empty(len(x), x.dtype)
    launch("pick_class", word_of(x.dtype), (cp.ascontiguousarray(x), labels, out), labels, x.shape[1], ignore_index)
    return out


def placed(g: Any, labels: Any, classes: int, ignore_index: int) -> Any:
    """Zeros, with g[i] at [i, labels[i]], for labels that have been checked."""
    out = cp.zeros((labels.size, classes), g.dtype)
    g = cp.ascontiguousarray(cp.broadcast_to(g, labels.shape))
    launch("place_class", word_of(g.dtype), (g, labels, out), labels, classes, ignore_index)
    return out


def pick_class(x: Any, labels: Any, ignore_index: int) -> Any:
    """x[i, labels[i]] of every row i, 0 where the label is to be ignored."""
    at, _ = counted(labels, x.shape[1], ignore_index)
    same_rows(x, labels)
    return picked(x, at, ignore_index)


def place_class(g: Any, labels: Any, classes: int, ignore_index: int) -> Any:
    """The transpose of `pick_class`: zeros, with g[i] at [i, labels[i]]."""
    at, _ = counted(labels, classes, ignore_index)
    return placed(as_array(g), at, classes, ignore_index)


def same_rows(x: Any, labels: Any) -> None:
    """Raise ValueError unless there is a label for each row."""
    if len(labels) != len(x):
        raise ValueError(f"{len(x)} rows of logits but {len(labels)} labels")


# -- cross-entropy ------------------------------------------------------------------------------------------------


def share(count: int) -> float:
    """A row's share in a mean over the rows that count."""
    return 1.0 / count if count else float("nan")


def label_weights(labels: Any, logits: Any, ignore_index: int, reduction: str) -> Any:
    """What each row counts in the loss, as a column: 0 where ignored, and 1/(rows that count) under a mean."""
    at, count = counted(labels, logits.shape[1], ignore_index)
    out = cp.ones(len(labels), logits.dtype) if count == at.size else (at != ignore_index).astype(logits.dtype)
    if reduction == "mean" and at.size:
        out = (out * share(count)).astype(logits.dtype, copy=False)
    return out[:, None]


def cross_entropy_rows(logits: Any, labels: Any, ignore_index: int, reduction: str) -> Any:
    """log(sum(exp(logits))) - logits[label] of every row, reduced."""
    x = reduce.floats(logits)
    at, count = counted(labels, x.shape[1], ignore_index)
    same_rows(x, labels)
    if x.size == 0:
        losses = cp.zeros(len(x), x.dtype)
    else:
        shifted = x - maximum_along(x, 1)
        losses = cp.log(reduce.sum(cp.exp(shifted), 1)) - picked(shifted, at, ignore_index)
        if count < at.size:
            losses = choose(at != ignore_index, losses, x.dtype.type(0))
    if reduction == "none":
        return losses
    total = reduce.sum(losses)
    return total * x.dtype.type(share(count)) if reduction == "mean" else total


def cross_entropy_rows_grad(g: Any, logits: Any, labels: Any, ignore_index: int, reduction: str) -> Any:
    """(softmax(logits) - one_hot(labels)) * g, the reduction's share included."""
    x = reduce.floats(logits)
    if x.size == 0:
        return cp.zeros_like(x)
    at, count = counted(labels, x.shape[1], ignore_index)
    scale = as_array(g).astype(x.dtype, copy=False)
    if reduction == "mean":
        scale = scale * x.dtype.type(share(count))
    scale = cp.broadcast_to(scale, at.shape)
    if count < at.size:
        scale = choose(at != ignore_index, scale, x.dtype.type(0))
    e = cp.exp(x - maximum_along(x, 1))
    out = e * (scale[:, None] / sum_along(e, 1)) - placed(scale, at, x.shape[1], ignore_index)
    return choose((at != ignore_index)[:, None], out, x.dtype.type(0)) if count < at.size else out


# -- losses -------------------------------------------------------------------------------------------------------


def mean_squared_error(a: Any, b: Any) -> Any:
    """mean((a - b)**2)."""
    d = reduce.floats(as_array(a) - b)
    if d.dtype.itemsize == 2:
        return mean_squared_error(as_array(a).astype(np.float32), as_array(b).astype(np.float32)).astype(d.dtype)
    return reduce.sum(d * d) / d.dtype.type(d.size)


# -- embedding and normalisation ----------------------------------------------------------------------------------


def embedding_rows(weight: Any, indices: Any, padding_idx: int | None, blank: bool) -> Any:
    """weight[indices]. Raises IndexError for an index out of range, also below 0."""
    indices = as_array(indices)

    def fail(first: int) -> None:
        position = tuple(map(int, np.unravel_index(first, indices.shape)))
        place = ", ".join(map(str, position)) or "0"
        raise IndexError(f"index {int(indices[position])} at position {place} is out of range for {len(weight)} rows")

    if not weight.size:
        moves.check(indices, len(weight), 0)
    empty = padding_idx if blank and padding_idx is not None else -1
    return moves.gather(weight, indices, 0, low=0, blank=empty, fail=fail)


def embedding_rows_grad(g: Any, indices: Any, rows: int, padding_idx: int | None) -> Any:
    """Zeros of so many rows, with each g added to the row that its index names."""
    g, indices = as_array(g), as_array(indices)
    blank = -1 if padding_idx is None else padding_idx % max(rows, 1)
    shape = (rows, *g.shape[indices.ndim :])
    return moves.scatter_add(g, indices, 0, shape, blank=blank, checked=False)


def standardize(x: Any, axis: Any, eps: float) -> Any:
    """(x - mean) / sqrt(variance + eps)."""
    x = reduce.floats(x)
    if x.ndim == 0 and axis is not None:
        raise np.exceptions.AxisError(axis, 0)
    out = x - reduce.mean(x, axis, True)
    return out / cp.sqrt(reduce.mean(out * out, axis, True) + x.dtype.type(eps))


KERNELS = by_name(
    softmax, log_softmax, softmax_grad, log_softmax_grad, pick_class, place_class, label_weights,
    cross_entropy_rows, cross_entropy_rows_grad, mean_squared_error, embedding_rows, embedding_rows_grad,
    standardize,
)  # fmt: skip
