"""Softmax, cross-entropy, embedding and the other kernels of neural networks.

A softmax is shifted by its maximum before the exponential, so no logit overflows. Labels are checked here, with one
pass over them: an IndexError says which label, where, and how many classes there are.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from ..xp_kernels import by_name
from .sums import total

if TYPE_CHECKING:
    from collections.abc import Callable

NARROW = 64  # rows of up to so many elements reduce faster across a transposed copy than one by one
BLAS_ALONE = 8192  # BLAS keeps matrices of up to so many elements on one thread


# -- softmax ----------------------------------------------------------------------------------------------------


def floating(x: Any) -> Any:
    """An array of floats: integers and bools become float64, as in NumPy's exp."""
    x = np.asarray(x)
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def maximum_along(x: Any, axis: Any) -> Any:
    """The maximum along an axis, which stays as size 1."""
    if x.ndim == 2 and axis in (-1, 1) and x.shape[1] <= NARROW:
        return np.maximum.reduce(np.array(x.T, order="C"), 0)[:, None]
    return np.maximum.reduce(x, axis, keepdims=True)


def sum_along(x: Any, axis: Any) -> Any:
    """The sum along an axis, which stays as size 1."""
    if x.ndim == 2 and axis in (-1, 1) and x.size <= BLAS_ALONE and x.dtype != np.float16:
        return np.dot(x, np.ones((x.shape[1], 1), x.dtype))
    return total(x, axis, keepdims=True)


def along_axis(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel along one axis, made to take 0-d arrays (one element) and empty ones (nothing to do) too."""

    @functools.wraps(kernel)
    def call(x: Any, axis: Any = -1) -> Any:
        x = floating(x)
        if x.dtype == np.float16:  # computed in float32, rounded once
            return call(x.astype(np.float32), axis).astype(np.float16)
        if x.ndim == 0:
            return kernel(x[None], axis).reshape(())
        if x.size == 0:
            np.add.reduce(x, axis)  # which raises for an axis that is not there
            return x.copy()
        return kernel(x, axis)

    return call


@along_axis
def softmax(x: Any, axis: Any) -> Any:
    """exp(x) / sum(exp(x))."""
    with np.errstate(all="ignore"):
        e = x - maximum_along(x, axis)
        np.exp(e, e)
        e /= sum_along(e, axis)
    return e


@along_axis
def log_softmax(x: Any, axis: Any) -> Any:
    """x - log(sum(exp(x)))."""
    with np.errstate(all="ignore"):
        shifted = x - maximum_along(x, axis)
        shifted -= np.log(sum_along(np.exp(shifted), axis))
    return shifted


def softmax_grad(g: Any, y: Any, axis: Any) -> Any:
    """y * (g - sum(g * y)): the softmax's transposed Jacobian times g."""
    if np.ndim(y) == 0:
        return np.zeros_like(y)
    with np.errstate(all="ignore"):
        out = g * y
        out -= y * sum_along(out, axis)
    return out


def log_softmax_grad(g: Any, y: Any, axis: Any) -> Any:
    """g - exp(y) * sum(g): the log-softmax's transposed Jacobian times g."""
    if np.ndim(y) == 0:
        return np.zeros_like(y)
    with np.errstate(all="ignore"):
        out = np.exp(y)
        out *= sum_along(np.asarray(g), axis)
        np.subtract(g, out, out)
    return out


# -- cross-entropy ----------------------------------------------------------------------------------------------


def counted(labels: Any, classes: int, ignore_index: int) -> Any:
    """None when every label counts, else the mask of those that do. Raises IndexError for one out of range."""
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels must be integers, got {labels.dtype}")
    unsigned = labels if labels.dtype.kind == "u" else labels.view(f"u{labels.itemsize}")  # below 0 becomes huge
    if not 0 <= ignore_index < classes and (labels.size == 0 or np.maximum.reduce(unsigned) < classes):
        return None
    mask = labels != ignore_index
    bad = mask & ((labels < 0) | (labels >= classes))
    if bad.any():
        i = int(bad.argmax())
        raise IndexError(f"label {labels[i]} at position {i} is out of range for {classes} classes")
    return None if mask.all() else mask


def pick_class(x: Any, labels: Any, ignore_index: int) -> Any:
    """x[i, labels[i]] of every row i, 0 where the label is to be ignored."""
    mask = counted(labels, x.shape[1], ignore_index)
    if mask is None:
        return x[np.arange(len(x)), labels]
    out = np.zeros(len(x), x.dtype)
    out[mask] = x[mask, labels[mask]]
    return out


def place_class(g: Any, labels: Any, classes: int, ignore_index: int) -> Any:
    """The transpose of `pick_class`: zeros, with g[i] at [i, labels[i]]."""
    out = np.zeros((len(labels), classes), g.dtype)
    mask = counted(labels, classes, ignore_index)
    if mask is None:
        out[np.arange(len(labels)), labels] = g
    else:
        out[mask, labels[mask]] = g[mask]
    return out


def label_weights(labels: Any, logits: Any, ignore_index: int, reduction: str) -> Any:
    """What each row counts in the loss, as a column: 0 where ignored, and 1/(rows that count) under a mean."""
    mask = counted(labels, logits.shape[1], ignore_index)
    out = np.ones(len(labels), logits.dtype) if mask is None else mask.astype(logits.dtype)
    if reduction == "mean" and len(labels):
        out *= share(labels, mask)
    return out[:, None]


def share(labels: Any, mask: Any) -> float:
    """A row's share in a mean over the rows that count."""
    n = len(labels) if mask is None else int(np.count_nonzero(mask))
    return 1.0 / n if n else float("nan")


def cross_entropy_rows(logits: Any, labels: Any, ignore_index: int, reduction: str) -> Any:
    """log(sum(exp(logits))) - logits[label] of every row, reduced."""
    x = floating(logits)
    if x.dtype == np.float16:
        losses = cross_entropy_rows(x.astype(np.float32), labels, ignore_index, reduction)
        return losses.astype(np.float16)
    mask = counted(labels, x.shape[1], ignore_index)
    if len(labels) != len(x):
        raise ValueError(f"{len(x)} rows of logits but {len(labels)} labels")
    if x.size == 0:
        losses = np.zeros(len(x), x.dtype)
    else:
        with np.errstate(all="ignore"):
            shifted = x - maximum_along(x, 1)
            safe = labels if mask is None else np.where(mask, labels, 0)
            picked = shifted[np.arange(len(x)), safe]
            np.exp(shifted, shifted)
            losses = np.log(sum_along(shifted, 1)[:, 0])
            losses -= picked
        if mask is not None:
            losses[~mask] = 0
    if reduction == "none":
        return losses
    loss = np.add.reduce(losses)
    return loss * share(labels, mask) if reduction == "mean" else loss


def cross_entropy_rows_grad(g: Any, logits: Any, labels: Any, ignore_index: int, reduction: str) -> Any:
    """(softmax(logits) - one_hot(labels)) * g, the reduction's share included."""
    x = floating(logits)
    if x.dtype == np.float16:
        wide = np.asarray(g, np.float32), x.astype(np.float32)
        return cross_entropy_rows_grad(*wide, labels, ignore_index, reduction).astype(np.float16)
    if x.size == 0:
        return np.zeros_like(x)
    mask = counted(labels, x.shape[1], ignore_index)
    if reduction == "mean":
        g = g * share(labels, mask)
    scale = np.asarray(g, x.dtype)
    if mask is not None:
        scale = np.where(mask, scale, x.dtype.type(0))
    with np.errstate(all="ignore"):
        out = x - maximum_along(x, 1)
        np.exp(out, out)
        out *= (scale[:, None] if scale.ndim else scale) / sum_along(out, 1)
    if mask is None:
        out[np.arange(len(x)), labels] -= scale
    else:
        out[~mask] = 0
        out[mask, labels[mask]] -= scale[mask]
    return out


# -- losses -----------------------------------------------------------------------------------------------------


def mean_squared_error(a: Any, b: Any) -> Any:
    """mean((a - b)**2)."""
    d = floating(a - b).reshape(-1)
    with np.errstate(all="ignore"):
        if d.dtype == np.float16:
            return np.mean(np.square(d.astype(np.float32))).astype(np.float16)
        squares = np.dot(d, d) if d.size <= BLAS_ALONE else np.add.reduce(np.square(d, d))
        return squares / d.dtype.type(d.size)


# -- embedding and normalisation ----------------------------------------------------------------------------------


def embedding_rows(weight: Any, indices: Any, padding_idx: int | None, blank: bool) -> Any:
    """weight[indices]. Raises IndexError for an index out of range, also below 0."""
    if indices.dtype.kind not in "iu":
        raise TypeError(f"indices must be integers, got {indices.dtype}")
    outside = (indices < 0) | (indices >= len(weight))
    if outside.any():
        position = np.unravel_index(int(outside.argmax()), indices.shape)
        place = ", ".join(map(str, position)) or "0"
        raise IndexError(f"index {indices[position]} at position {place} is out of range for {len(weight)} rows")
    out = weight[indices]
    if blank:
        out[indices == padding_idx] = 0
    return out


def embedding_rows_grad(g: Any, indices: Any, rows: int, padding_idx: int | None) -> Any:
    """Zeros of so many rows, with each g added to the row that its index names."""
    width = g.shape[indices.ndim :]
    out = np.zeros((rows, *width), g.dtype)
    flat = indices.reshape(-1)
    if flat.size and out.size:
        order = np.argsort(flat, kind="stable")
        ordered = flat[order]
        first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        out[ordered[first]] = np.add.reduceat(g.reshape(flat.size, *width)[order], first, axis=0)
    if padding_idx is not None:
        out[padding_idx] = 0
    return out


def standardize(x: Any, axis: Any, eps: float) -> Any:
    """(x - mean) / sqrt(variance + eps)."""
    x = floating(x)
    with np.errstate(all="ignore"):
        out = x - np.mean(x, axis, keepdims=True)
        out /= np.sqrt(np.mean(np.square(out), axis, keepdims=True) + x.dtype.type(eps))
    return out


KERNELS = by_name(
    softmax, log_softmax, softmax_grad, log_softmax_grad, pick_class, place_class, label_weights,
    cross_entropy_rows, cross_entropy_rows_grad, mean_squared_error, embedding_rows, embedding_rows_grad,
    standardize,
)  # fmt: skip
