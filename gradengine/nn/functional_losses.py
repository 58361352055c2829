"""Losses beyond those of `gradengine.ops`: of margins, triplets, several labels and likelihoods. PyTorch's values.

Every loss takes `reduction`: "mean" (the default), "sum", or "none".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import ops, shapes
from ..core.host_callbacks import current
from ..core.tensor_class import Tensor, wrap
from ..errors import ArgumentError, DTypeError, IndexRangeError, ShapeError, describe
from ..ops.arguments import beside, checked, real
from ..ops.losses import REDUCTIONS, check_reduction, operands, quiet, reduced
from ..validation import check_choice, check_flag, known_words

__all__ = [
    "cosine_embedding_loss",
    "gaussian_nll_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "pairwise_distance",
    "pdist",
    "poisson_nll_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def above(x: Any, low: float = 0.0) -> Any:
    """max(x, low)."""
    return ops.clip(x, min=low)


# -- distances ----------------------------------------------------------------------------------------------------


@checked
def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis. The operands broadcast.

    Raises ShapeError for shapes that do not broadcast. Formula: `torch.nn.functional.pairwise_distance`.

    >>> import gradengine as ge
    >>> ge.nn.functional.pairwise_distance(ge.tensor([[3.0, 0.0]]), ge.tensor([[0.0, 4.0]]), eps=0.0)
    tensor([5.])
    """
    a, b = beside("pairwise_distance", x1, x2)
    shape = shapes.broadcast("pairwise_distance", a.shape, b.shape)
    if not shape:
        raise ShapeError("pairwise_distance: the vectors need an axis, got numbers")
    return ops.vector_norm(a - b + eps, ord=p, axis=-1, keepdims=keepdim)


@checked
def pdist(input: Any, p: float = 2.0) -> Tensor:
    """The p-norm distances between all pairs of rows of a matrix (n, d), as a vector of n (n - 1) / 2 numbers.

    Raises ShapeError for anything that is not a matrix, ArgumentError for a negative p.

    >>> import gradengine as ge
    >>> ge.nn.functional.pdist(ge.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))
    tensor([5.    , 1.    , 4.2426])
    """
    x = wrap(input)
    if x.ndim != 2:
        raise ShapeError(f"pdist: needs a matrix of rows, got shape {x.shape}")
    if not real("pdist", "p", p) >= 0:
        raise ArgumentError(f"pdist: p must not be negative, got {p!r}")
    first, second = [], []
    for i in range(x.shape[0]):
        for j in range(i + 1, x.shape[0]):
            first.append(i)
            second.append(j)
    a, b = (ops.take(x, wrap(places or [0][:0], None).to("int64"), axis=0) for places in (first, second))
    return ops.vector_norm(a - b, ord=p, axis=-1)


# -- pairs and triplets -------------------------------------------------------------------------------------------


@checked
@quiet
def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """1 - cos(input1, input2) where the target is 1, max(0, cos - margin) where it is -1.

    Inputs (N, D) and target (N,), or (D,) and (). Raises ShapeError for other shapes, ArgumentError for an unknown
    reduction.

    >>> import gradengine as ge
    >>> a, b = ge.tensor([[1.0, 0.0], [1.0, 0.0]]), ge.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> ge.nn.functional.cosine_embedding_loss(a, b, ge.tensor([1.0, -1.0]), reduction="none")
    tensor([0., 1.])
    """
    check_reduction("cosine_embedding_loss", reduction)
    a, b, t = beside("cosine_embedding_loss", input1, input2, target)
    if a.shape != b.shape or not 1 <= a.ndim <= 2 or t.shape != a.shape[:-1]:
        raise ShapeError(
            f"cosine_embedding_loss: needs inputs (N, D) and a target (N,), or (D,) and (), got {a.shape}, {b.shape} "
            f"and {t.shape}"
        )
    product: Any = ops.sum(a * b, axis=-1)
    squares = [ops.sum(x * x, axis=-1) + 1e-12 for x in (a, b)]
    cosine = product / ops.sqrt(squares[0] * squares[1])
    losses = ops.where(ops.equal(t, 1), 1 - cosine, 0.0 * cosine)
    return reduced(losses + ops.where(ops.equal(t, -1), above(cosine - margin), 0.0 * cosine), reduction)


@checked
@quiet
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), where d is `pairwise_distance`.

    With `swap`, d(positive, negative) counts where it is smaller. Raises ShapeError for unequal numbers of axes,
    ArgumentError for an unknown reduction or a margin that is not above 0.

    >>> import gradengine as ge
    >>> a, p, n = ge.tensor([[0.0]]), ge.tensor([[1.0]]), ge.tensor([[1.5]])
    >>> round(ge.nn.functional.triplet_margin_loss(a, p, n).item(), 4)
    0.5
    """
    distance = lambda x, y: pairwise_distance(x, y, p=p, eps=eps)
    return triplets("triplet_margin_loss", anchor, positive, negative, distance, margin, swap, reduction)


@known_words
@quiet
def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with your own distance; `pairwise_distance` by default.

    Raises DTypeError for a distance that is not a function, ArgumentError for an unknown reduction.

    >>> import gradengine as ge
    >>> a, p, n = ge.tensor([[0.0]]), ge.tensor([[1.0]]), ge.tensor([[1.5]])
    >>> far = lambda x, y: (x - y).abs().sum(axis=-1)
    >>> ge.nn.functional.triplet_margin_with_distance_loss(a, p, n, distance_function=far).item()
    0.5
    """
    name = "triplet_margin_with_distance_loss"
    distance = pairwise_distance if distance_function is None else distance_function
    if not callable(distance):
        raise DTypeError(f"{name}: distance_function must be a function of two Tensors, got {describe(distance)}")
    return triplets(name, anchor, positive, negative, distance, margin, swap, reduction)


def triplets(
    name: str, anchor: Any, positive: Any, negative: Any, distance: Any, margin: float, swap: bool, reduction: str
) -> Tensor:
    """The loss of triplets with any distance."""
    check_choice(name, "reduction", reduction, REDUCTIONS)
    check_flag(name, "swap", swap)
    if not real(name, "margin", margin) > 0:
        raise ArgumentError(f"{name}: margin must be above 0, got {margin!r}")
    a, b, c = beside(name, anchor, positive, negative)
    if not a.ndim == b.ndim == c.ndim:
        raise ShapeError(
            f"{name}: anchor, positive and negative need the same number of axes, got {a.shape}, {b.shape} and "
            f"{c.shape}"
        )
    near, far = distance(a, b), distance(a, c)
    if swap:
        far = ops.minimum(far, distance(b, c))
    return reduced(above(near - far + margin), reduction)


# -- several classes ----------------------------------------------------------------------------------------------


@checked
@quiet
def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Tensor:
    """The mean over other classes i of max(0, margin - x[target] + x[i]) ** p, times the target's weight.

    Input (N, C) and labels (N,), or (C,) and (). Raises ShapeError for other shapes, ArgumentError unless p is 1 or 2,
    IndexRangeError for a label that is not a class.

    >>> import gradengine as ge
    >>> x = ge.tensor([[0.1, 0.2, 0.4, 0.8]])
    >>> ge.nn.functional.multi_margin_loss(x, ge.tensor([3]))
    tensor(0.325)
    """
    name = "multi_margin_loss"
    check_reduction(name, reduction)
    if p not in (1, 2):
        raise ArgumentError(f"{name}: p must be 1 or 2, got {p!r}")
    x, t = beside(name, input, target)
    x, t = labelled(name, x, t)
    classes = x.shape[1]
    place: Any = ops.reshape(t, (-1, 1))
    own = ops.take_along_axis(x, place, axis=1)
    losses: Any = above(margin - own + x)
    losses = losses * losses if p == 2 else losses
    if weight is not None:
        w = wrap(weight)
        if w.shape != (classes,):
            raise ShapeError(f"{name}: weight must have a number per class, shape ({classes},), got {w.shape}")
        losses = losses * ops.reshape(ops.take(w, t, axis=0), (-1, 1))
    others = ops.not_equal(ops.arange(classes, device=x.device), place)
    found = ops.sum(ops.where(others, losses, 0.0 * losses), axis=1) / classes
    return reduced(found if len(wrap(input).shape) == 2 else ops.reshape(found, ()), reduction)


def labelled(name: str, x: Any, t: Any) -> tuple[Any, Any]:
    """Rows of scores and a label for each. Raises typed errors for other shapes, dtypes and labels."""
    if not 1 <= x.ndim <= 2 or t.shape != x.shape[:-1]:
        raise ShapeError(f"{name}: needs scores (N, C) and labels (N,), or (C,) and (), got {x.shape} and {t.shape}")
    if t.dtype.kind not in "iu":
        raise DTypeError(f"{name}: labels must be integers, got {t.dtype}; use .to(ge.int64)")
    x, t = (ops.reshape(x, (1, -1)), ops.reshape(t, (1,))) if x.ndim == 1 else (x, t)
    check_labels(name, t, 0, x.shape[1])
    return x, t


def check_labels(name: str, t: Any, least: int, classes: int) -> None:
    """Raise IndexRangeError for labels that are not classes, where their values are known."""
    if current.trace is None and t.size and not least <= int(ops.min(t).item()) <= int(ops.max(t).item()) < classes:
        raise IndexRangeError(f"{name}: labels must be from {least} to {classes - 1}, the number of classes - 1")


@checked
@quiet
def multilabel_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """The mean over classes of max(0, 1 - (x[label] - x[i])), for all labels and all classes i that are none.

    The target has the input's shape, (N, C) or (C,): labels, and -1 after the last one. Raises ShapeError for other
    shapes, IndexRangeError for a label that is not a class.

    >>> import gradengine as ge
    >>> x, y = ge.tensor([[0.1, 0.2, 0.4, 0.8]]), ge.tensor([[3, 0, -1, 1]])
    >>> ge.nn.functional.multilabel_margin_loss(x, y)
    tensor(0.85)
    """
    name = "multilabel_margin_loss"
    check_reduction(name, reduction)
    x, t = beside(name, input, target)
    if x.shape != t.shape or not 1 <= x.ndim <= 2:
        raise ShapeError(f"{name}: input and target must have one shape, (N, C) or (C,), got {x.shape} and {t.shape}")
    if t.dtype.kind not in "iu":
        raise DTypeError(f"{name}: labels must be integers, got {t.dtype}; use .to(ge.int64)")
    rows, labels = ops.reshape(x, (-1, x.shape[-1])), ops.reshape(t, (-1, x.shape[-1]))
    classes = x.shape[-1]
    check_labels(name, labels, -1, classes)
    there: Any = ops.equal(ops.cumsum(ops.astype(ops.less(labels, 0), "int64"), axis=1), 0)
    index = ops.where(there, labels, 0 * labels)
    own: Any = ops.take_along_axis(rows, index, axis=1)  # (N, L)
    one = ops.logical_and(
        ops.equal(ops.expand_dims(index, axis=-1), ops.arange(classes, device=x.device)),
        ops.expand_dims(there, axis=-1),
    )
    is_label = ops.any(one, axis=1)  # (N, C)
    losses: Any = above(1 - (ops.expand_dims(own, axis=-1) - ops.expand_dims(rows, axis=1)))
    counts = ops.logical_and(ops.expand_dims(there, axis=-1), ops.logical_not(ops.expand_dims(is_label, axis=1)))
    found = ops.sum(ops.where(counts, losses, 0.0 * losses), axis=(1, 2)) / classes
    return reduced(ops.reshape(found, x.shape[:-1]), reduction)


@checked
@quiet
def multilabel_soft_margin_loss(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Tensor:
    """Binary cross-entropy of logits and a target of 0 and 1 per class, as a mean over the last axis.

    Input and target (N, C) of one shape; `weight` has a number per class. Raises ShapeError for two shapes.

    >>> import gradengine as ge
    >>> round(ge.nn.functional.multilabel_soft_margin_loss(ge.zeros(2, 3), ge.ones(2, 3)).item(), 4)
    0.6931
    """
    name = "multilabel_soft_margin_loss"
    check_reduction(name, reduction)
    x, t = operands(name, input, target)
    if not x.ndim:
        raise ShapeError(f"{name}: needs an axis of classes, got a number")
    losses: Any = -(t * ops.log_sigmoid(x) + (1 - t) * ops.log_sigmoid(-x))
    if weight is not None:
        losses = losses * wrap(weight)
    return reduced(ops.mean(losses, axis=-1), reduction)


# -- likelihoods --------------------------------------------------------------------------------------------------


@checked
@quiet
def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """(log(var) + (input - target)**2 / var) / 2: minus the log-likelihood of a normal distribution.

    `var` has the input's shape, that without the last axis, or one with size 1 there, or is a number; it counts as
    `eps` where it is smaller. `full` adds the constant log(2 pi) / 2. Raises ArgumentError for a negative variance.

    >>> import gradengine as ge
    >>> ge.nn.functional.gaussian_nll_loss(ge.tensor([1.0]), ge.tensor([3.0]), ge.tensor([1.0]))
    tensor(2.)
    """
    name = "gaussian_nll_loss"
    check_reduction(name, reduction)
    if not real(name, "eps", eps) > 0:
        raise ArgumentError(f"{name}: eps must be above 0, got {eps!r}")
    x, t, v = beside(name, input, target, var)
    if v.shape not in (x.shape, ()):
        if x.shape[:-1] == v.shape:
            v = ops.expand_dims(v, axis=-1)
        elif x.shape[:-1] != v.shape[:-1] or v.shape[-1] != 1:
            raise ShapeError(f"{name}: var of shape {v.shape} does not go with the input's {x.shape}")
    if current.trace is None and v.size and bool(ops.any(ops.less(v.detach(), 0)).item()):
        raise ArgumentError(f"{name}: var must not be negative")
    v = v + (ops.clip(v.detach(), min=eps) - v.detach())  # the bound has no gradient
    losses: Any = 0.5 * (ops.log(v) + (x - t) * (x - t) / v)
    return reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


@checked
@quiet
def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
) -> Tensor:
    """exp(input) - target * input, or input - target * log(input + eps) without `log_input`.

    `full` adds Stirling's approximation of log(target!) for targets above 1. Input and target broadcast.

    >>> import gradengine as ge
    >>> ge.nn.functional.poisson_nll_loss(ge.tensor([0.0]), ge.tensor([2.0]))
    tensor(1.)
    """
    check_reduction("poisson_nll_loss", reduction)
    real("poisson_nll_loss", "eps", eps)
    x, t = beside("poisson_nll_loss", input, target)
    losses: Any = ops.exp(x) - t * x if log_input else x - t * ops.log(x + eps)
    if full:
        large = ops.where(ops.greater(t, 1), t, 0 * t + 1)
        stirling = large * ops.log(large) - large + 0.5 * ops.log(2 * math.pi * large)
        losses = losses + ops.where(ops.greater(t, 1), stirling, 0.0 * stirling)
    return reduced(losses, reduction)
