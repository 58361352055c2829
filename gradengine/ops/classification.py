"""Cross-entropy and negative log-likelihood: how wrong logits are about labels.

The usual case, integer labels without weights or smoothing, is one node with a kernel of its own; every other
option is a handful of ops.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.host_callbacks import untraced
from ..core.interpreter import k
from ..core.tensor_class import Tensor
from ..errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from ..shapes.dtypes import is_floating, is_half
from . import nn
from .arguments import checked, real, whole
from .losses import check_reduction, quiet, tensor_like, tensors, unequal

__all__: list[str] = []  # public in nn.functional


@checked
def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy between logits and labels: -log(softmax(input)[target]), averaged over the samples.

    `input` holds logits: (N, C), (C,) for one sample, or (N, C, d1, ...) with labels for each position. `target`
    holds class indices (integers, the input's shape without C; `ignore_index` counts for nothing) or class
    probabilities (floats, the input's shape). `weight` (C,) weighs the classes, and a mean is then divided by the
    weights that count; `label_smoothing` mixes the labels with the uniform distribution. A mean over no sample is
    NaN. Raises IndexRangeError for a label outside 0..C-1, ShapeError, DTypeError, ArgumentError.

    Formula: Bishop, Pattern Recognition and Machine Learning, section 4.3.4; options as in PyTorch.

    >>> import gradengine as ge
    >>> logits = ge.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 5.0]], requires_grad=True)
    >>> loss = ge.nn.functional.cross_entropy(logits, ge.tensor([0, 2]))
    >>> loss.backward()
    >>> logits.grad
    tensor([[-0.1065,  0.0533,  0.0533],
            [ 0.0033,  0.0033, -0.0066]])
    """
    input, target = tensors("cross_entropy", input, target)
    check_reduction("cross_entropy", reduction)
    ignore_index = whole("cross_entropy", "ignore_index", ignore_index)
    if is_floating(target.dtype):
        if ignore_index >= 0:
            raise ArgumentError(
                f"cross_entropy: ignore_index={ignore_index} is the label to ignore, but the target holds class "
                f"probabilities ({target.dtype}); give labels, target.to(ge.int64), or leave ignore_index out"
            )
        return probable_cross_entropy(input, target, weight, reduction, label_smoothing)
    logits, labels, shape = rows("cross_entropy", input, target)
    try:
        if weight is None and not label_smoothing:
            losses = nn.cross_entropy_rows(logits, labels, ignore_index=ignore_index, reduction=reduction)
        elif label_smoothing:
            losses = smoothed(logits, labels, weight, ignore_index, reduction, label_smoothing)
        else:
            picked = nn.cross_entropy_rows(logits, labels, ignore_index=ignore_index, reduction="none")
            losses = weighted(picked, logits, labels, weight, ignore_index, reduction)
    except IndexRangeError:
        raise label_error("cross_entropy", target, logits.shape[1], ignore_index) from None
    return losses if reduction != "none" or shape == losses.shape else k.reshape(losses, shape=shape)


def ratio(losses: Any, weights: Any) -> Any:
    """sum(losses) / sum(weights); of half precision in float32, for float16 has no count above 65504."""
    dtype = losses.dtype
    if not is_half(dtype):
        return k.sum(losses) / k.sum(weights)
    return (k.sum(losses, dtype=np.float32) / k.sum(weights, dtype=np.float32)).to(dtype)


def rows(name: str, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Logits as (rows, C) and labels as (rows,), with the shape that the losses of all rows have."""
    shape, wanted = input.shape, target.shape
    if target.dtype.kind not in "iu":
        raise DTypeError(f"{name}: labels must be integers, got {target.dtype}; use .to(ge.int64)")
    if len(shape) == 2 and wanted == shape[:1]:
        return input, target, wanted
    if not shape or wanted != shape[:1] * (len(shape) > 1) + shape[2:]:
        raise ShapeError(label_shapes(name, shape, wanted))
    if len(shape) == 1:
        return k.reshape(input, shape=(1, *shape)), k.reshape(target, shape=(1,)), wanted
    last = k.permute_dims(input, axes=(0, *range(2, len(shape)), 1))
    count = target.size
    return k.reshape(last, shape=(count, shape[1])), k.reshape(target, shape=(count,)), wanted


def label_shapes(name: str, shape: tuple[int, ...], labels: tuple[int, ...]) -> str:
    """What to say about labels that do not fit the logits."""
    if not shape:
        return f"{name}: the input is 0-d; it needs an axis of classes: (C,), (N, C) or (N, C, d1, ...)"
    wanted = shape[:1] * (len(shape) > 1) + shape[2:]
    text = f"{name}: an input of shape {shape} needs labels of shape {wanted}, got {labels}"
    if labels == shape:
        return f"{text}; one-hot targets must be floats: use .argmax(axis=1) or .to(ge.float32)"
    if tuple(n for n in labels if n != 1) == tuple(n for n in wanted if n != 1):
        return f"{text}; use target.reshape{wanted}"
    return text


def label_error(name: str, target: Tensor, classes: int, ignore_index: int) -> IndexRangeError:
    """The error for a label out of range, which says where it stands."""
    with untraced():  # of a trace, in which there are no values to read
        values = target.backend.to_numpy(getattr(target.array, "value", target.array))
    bad = (values != ignore_index) & ((values < 0) | (values >= classes))
    position = tuple(int(i[0]) for i in bad.nonzero()) if values.ndim else ()
    place = f"target[{', '.join(map(str, position))}]" if position else "the target"
    return IndexRangeError(
        f"{name}: {place} is {int(values[position])}, out of range for {classes} classes: labels are 0 to "
        f"{classes - 1}" + (f", or ignore_index={ignore_index}" if ignore_index < 0 else "")
    )


def class_weights(name: str, weight: Any, logits: Tensor) -> Tensor:
    """The weight of each class as a Tensor (C,). Raises ShapeError for another shape."""
    weight = tensor_like(weight, logits)
    if weight.shape != logits.shape[1:]:
        raise ShapeError(f"{name}: weight has shape {weight.shape}, but there are {logits.shape[1]} classes")
    return weight


@quiet
def weighted(losses: Tensor, logits: Tensor, labels: Tensor, weight: Any, ignore_index: int, reduction: str) -> Tensor:
    """The rows' losses times the weights of their classes; a mean is divided by the weights that count."""
    table = k.broadcast_to(class_weights("cross_entropy", weight, logits), shape=logits.shape)
    of_row = nn.pick_class(table, labels, ignore_index=ignore_index)
    total = losses * of_row
    if reduction == "none":
        return total
    return ratio(total, of_row) if reduction == "mean" else k.sum(total)


@quiet
def smoothed(
    logits: Tensor, labels: Tensor, weight: Any, ignore_index: int, reduction: str, smoothing: float
) -> Tensor:
    """Cross-entropy with labels that keep 1 - smoothing for their class and share the rest among all."""
    check_smoothing(smoothing)
    classes = logits.shape[1]
    log_p = nn.log_softmax(logits, axis=1)
    counts = k.reshape(nn.label_weights(labels, logits, ignore_index=ignore_index, reduction="sum"), shape=(-1,))
    own = nn.pick_class(log_p, labels, ignore_index=ignore_index)
    if weight is not None:
        w = class_weights("cross_entropy", weight, logits)
        of_row = nn.pick_class(k.broadcast_to(w, shape=logits.shape), labels, ignore_index=ignore_index)
        own, every = own * of_row, k.sum(log_p * w, axis=1)
    else:
        of_row, every = counts, k.sum(log_p, axis=1)
    # A row that does not count is 0, not 0 times a sum that may be infinite.
    every = k.where(k.greater(counts, 0), every, 0.0)
    losses = own * (smoothing - 1) - every * (smoothing / classes)
    if reduction == "none":
        return losses
    return ratio(losses, of_row) if reduction == "mean" else k.sum(losses)


def check_smoothing(smoothing: float) -> None:
    """Raise ArgumentError for a label smoothing outside 0..1."""
    if not 0 <= real("cross_entropy", "label_smoothing", smoothing) <= 1:
        raise ArgumentError(f"cross_entropy: label_smoothing must be between 0 and 1, got {smoothing!r}")


@quiet
def probable_cross_entropy(input: Tensor, target: Tensor, weight: Any, reduction: str, smoothing: float) -> Tensor:
    """Cross-entropy with class probabilities: -sum(target * log_softmax(input)) over the classes."""
    check_smoothing(smoothing)
    if input.shape != target.shape or not input.shape:
        hint = "; labels must be integers: use target.to(ge.int64)" if len(target.shape) < len(input.shape) else ""
        raise ShapeError(f"{unequal('cross_entropy', input.shape, target.shape)} for class probabilities{hint}")
    axis = 1 if len(input.shape) > 1 else 0
    classes = input.shape[axis]
    log_p = nn.log_softmax(input, axis=axis)
    if smoothing:
        target = target * (1 - smoothing) + smoothing / classes
    terms = log_p * target
    if weight is not None:
        w = tensor_like(weight, input)
        if w.shape != (classes,):
            raise ShapeError(f"cross_entropy: weight has shape {w.shape}, but there are {classes} classes")
        terms = terms * k.reshape(w, shape=(classes, *[1] * (len(input.shape) - axis - 1)))
    if reduction == "none":
        return -k.sum(terms, axis=axis)
    total = -k.sum(terms)
    return total / (input.size // classes if classes else 0) if reduction == "mean" else total


@checked
@quiet
def nll_loss(input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> Tensor:
    """Negative log-likelihood: -input[target], for an `input` of log-probabilities.

    Shapes, `weight`, `ignore_index` and errors as in `cross_entropy`, which is `nll_loss(log_softmax(x), target)`.

    >>> import gradengine as ge
    >>> log_p = ge.log(ge.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
    >>> ge.nn.functional.nll_loss(log_p, ge.tensor([0, 2]), reduction="none")
    tensor([0.6931, 0.2231])
    """
    input, target = tensors("nll_loss", input, target)
    check_reduction("nll_loss", reduction)
    ignore_index = whole("nll_loss", "ignore_index", ignore_index)
    log_p, labels, shape = rows("nll_loss", input, target)
    try:
        losses = -nn.pick_class(log_p, labels, ignore_index=ignore_index)
        if weight is not None:
            losses = weighted(losses, log_p, labels, weight, ignore_index, reduction)
        elif reduction == "mean":
            losses = ratio(losses, nn.label_weights(labels, log_p, ignore_index=ignore_index, reduction="sum"))
        elif reduction == "sum":
            losses = k.sum(losses)
    except IndexRangeError:
        raise label_error("nll_loss", target, log_p.shape[1], ignore_index) from None
    return losses if reduction != "none" or shape == losses.shape else k.reshape(losses, shape=shape)
