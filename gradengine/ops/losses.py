"""Losses of regression, of two classes and of distributions: PyTorch's names, arguments and values.

Every loss takes `reduction`: "mean" (the default), "sum", or "none" for the loss of each element. Input and target
must have one shape: (8, 1) against (8,) would broadcast to (8, 8) and train on nonsense, so it is a ShapeError.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import shapes
from ..core import dispatch
from ..core.host_callbacks import current
from ..core.interpreter import k
from ..core.tensor_class import EMPTY, Tensor, wrap
from ..errors import ArgumentError, ShapeError, describe
from ..shapes.dtypes import is_floating
from . import nn
from .arguments import checked, real
from .declare import elementwise

__all__: list[str] = []  # public in nn.functional

REDUCTIONS = ("mean", "sum", "none")
quiet = np.errstate(all="ignore")  # as a decorator: infinite losses and means over nothing are values, not warnings


# -- what losses have in common -----------------------------------------------------------------------------------


def check_reduction(name: str, reduction: str, allowed: tuple[str, ...] = REDUCTIONS) -> None:
    """Raise ArgumentError for a reduction that the loss does not know."""
    if reduction not in allowed:
        raise ArgumentError(f"{name}: reduction must be one of {', '.join(allowed)}; got {describe(reduction)}")


def tensors(name: str, input: Any, target: Any) -> tuple[Tensor, Tensor]:
    """Both as Tensors; a Python number takes the other's dtype."""
    if not isinstance(input, Tensor):
        input = wrap(input, target, name)
    target = target if isinstance(target, Tensor) else wrap(target, input, name)
    if dispatch.casting:  # every loss is computed in the precision of this one
        return dispatch.prepare(nn.mean_squared_error.op, (input, target), EMPTY)  # type: ignore[attr-defined]
    return input, target


def operands(name: str, input: Any, target: Any) -> tuple[Tensor, Tensor]:
    """Input and target as Tensors of one shape; integer targets take the input's dtype. Raises ShapeError."""
    input, target = tensors(name, input, target)
    if input.shape != target.shape:
        raise ShapeError(unequal(name, input.shape, target.shape))
    if not is_floating(target.dtype) and is_floating(input.dtype):
        target = k.astype(target, input.dtype)
    return input, target


def unequal(name: str, a: tuple[int, ...], b: tuple[int, ...]) -> str:
    """What to say about two shapes that should be one."""
    text = f"{name}: the input has shape {a}, the target {b}; they must be equal"
    if tuple(n for n in a if n != 1) == tuple(n for n in b if n != 1):
        fewer, which = (b, "target") if len(b) <= len(a) else (a, "input")
        fuller = a if fewer is b else b
        return f"{text}: use {which}.reshape{fuller} (broadcasting would pair every element with every other)"
    return text


def tensor_like(value: Any, like: Tensor) -> Tensor:
    """An operand as a Tensor."""
    return value if isinstance(value, Tensor) else wrap(value, like)


def rescaled(name: str, losses: Tensor, weight: Any, what: str = "weight") -> Tensor:
    """The losses times a weight that broadcasts to them. Raises ShapeError when they would broadcast to it."""
    if weight is None:
        return losses
    weight = tensor_like(weight, losses)
    if shapes.broadcast(f"{name}: {what}", losses.shape, weight.shape) != losses.shape:
        raise ShapeError(f"{name}: {what} of shape {weight.shape} does not broadcast to the elements' {losses.shape}")
    return losses * weight


def reduced(losses: Tensor, reduction: str) -> Tensor:
    """The losses' mean, sum, or themselves."""
    if reduction == "mean":
        return k.mean(losses)
    return k.sum(losses) if reduction == "sum" else losses


# -- regression ---------------------------------------------------------------------------------------------------

huber_elements = elementwise(
    "huber_elements",
    lambda k, g, y, a, b, delta: g * k.clip(a - b, min=-delta, max=delta),
    lambda k, g, y, a, b, delta: g * k.clip(b - a, min=-delta, max=delta),
    body=lambda k, a, b, delta=1.0: k.where(
        k.less_equal(k.abs(a - b), delta), 0.5 * ((a - b) * (a - b)), delta * (k.abs(a - b) - 0.5 * delta)
    ),
    shown="huber_loss",
    doc="Half the squared difference up to delta, then linear.",
    precision="high",
)


@checked
def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """Squared error, (input - target)**2.

    Input and target of one shape. Raises ShapeError for two shapes, also for such as would broadcast, and
    ArgumentError for an unknown reduction.

    >>> import gradengine as ge
    >>> ge.nn.functional.mse_loss(ge.tensor([1.0, 2.0]), ge.tensor([0.0, 4.0]))
    tensor(2.5)
    """
    input, target = operands("mse_loss", input, target)
    if reduction == "mean":
        return nn.mean_squared_error(input, target)
    check_reduction("mse_loss", reduction)
    return squared(input, target, reduction)


@quiet
def squared(input: Tensor, target: Tensor, reduction: str) -> Tensor:
    """The squared differences, reduced."""
    return reduced(k.square(input - target), reduction)


@checked
@quiet
def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """Absolute error, |input - target|; its gradient is 0 where both are equal.

    Input and target of one shape. Raises ShapeError for two shapes, ArgumentError for an unknown reduction.

    >>> import gradengine as ge
    >>> ge.nn.functional.l1_loss(ge.tensor([1.0, 2.0]), ge.tensor([0.0, 4.0]))
    tensor(1.5)
    """
    input, target = operands("l1_loss", input, target)
    check_reduction("l1_loss", reduction)
    return reduced(k.abs(input - target), reduction)


@checked
@quiet
def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """Half the squared error up to `delta`, then linear: delta * (|input - target| - delta/2).

    Input and target of one shape. Raises ShapeError for two shapes, ArgumentError for an unknown reduction or a
    delta that is not positive. Formula: Huber, Robust Estimation of a Location Parameter (1964).

    >>> import gradengine as ge
    >>> ge.nn.functional.huber_loss(ge.tensor([0.5, 3.0]), ge.tensor([0.0, 0.0]), reduction="none")
    tensor([0.125, 2.5  ])
    """
    input, target = operands("huber_loss", input, target)
    check_reduction("huber_loss", reduction)
    if not real("huber_loss", "delta", delta) > 0:
        raise ArgumentError(f"huber_loss: delta must be positive, got {delta!r}")
    return reduced(huber_elements(input, target, delta=delta), reduction)


@checked
@quiet
def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """The absolute error, rounded off below `beta`: d**2 / (2 beta) there, |d| - beta/2 beyond.

    Input and target of one shape; beta = 0 is `l1_loss`. Raises ShapeError for two shapes, ArgumentError for an
    unknown reduction or a negative beta. Formula: Girshick, Fast R-CNN (2015), equation 3.

    >>> import gradengine as ge
    >>> ge.nn.functional.smooth_l1_loss(ge.tensor([0.5, 3.0]), ge.tensor([0.0, 0.0]), reduction="none", beta=2.0)
    tensor([0.0625, 2.    ])
    """
    if real("smooth_l1_loss", "beta", beta) == 0:
        return l1_loss(input, target, reduction)
    input, target = operands("smooth_l1_loss", input, target)
    check_reduction("smooth_l1_loss", reduction)
    if not beta > 0:
        raise ArgumentError(f"smooth_l1_loss: beta must not be negative, got {beta!r}")
    return reduced(huber_elements(input, target, delta=beta) * (1 / beta), reduction)


# -- two classes --------------------------------------------------------------------------------------------------


def clamped_log(k: Any, x: Any) -> Any:
    """max(log(x), -100) for x >= 0, with a gradient that is a number at 0 too."""
    positive = k.greater(x, 0)
    return k.where(positive, k.maximum(k.log(k.where(positive, x, 1.0)), -100.0), -100.0)


def clamped_log1m(k: Any, x: Any) -> Any:
    """max(log(1 - x), -100) for x <= 1, with a gradient that is a number at 1 too."""
    below = k.less(x, 1)
    return k.where(below, k.maximum(k.log1p(-k.where(below, x, 0.0)), -100.0), -100.0)


binary_cross_entropy_elements = elementwise(
    "binary_cross_entropy_elements",
    lambda k, g, y, p, t: g * ((p - t) / k.maximum(p * (1 - p), 1e-12)),
    lambda k, g, y, p, t: g * (k.log1p(-p) - k.log(p)),
    body=lambda k, p, t: (t - 1) * clamped_log1m(k, p) - t * clamped_log(k, p),
    shown="binary_cross_entropy",
    doc="-(t log p + (1 - t) log(1 - p)), each logarithm at least -100.",
    precision="high",
)

logistic_loss_elements = elementwise(
    "logistic_loss_elements",
    lambda k, g, y, x, t: g * (k.sigmoid(x) - t),
    lambda k, g, y, x, t: -g * x,
    body=lambda k, x, t: k.where(k.greater(x, 0), x * (1 - t), -x * t) + k.log1p(k.exp(-k.abs(x))),
    shown="binary_cross_entropy_with_logits",
    doc="Binary cross-entropy of sigmoid(x) and t, without overflow.",
    precision="high",
)


@checked
@quiet
def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Tensor:
    """Binary cross-entropy of probabilities: -(t log p + (1 - t) log(1 - p)), each logarithm at least -100.

    Input and target of one shape; `weight` rescales the elements and broadcasts to them. With logits, use
    `binary_cross_entropy_with_logits`, which is exact where a sigmoid saturates. Raises ArgumentError for an input
    outside 0..1 or an unknown reduction, ShapeError for two shapes.

    >>> import gradengine as ge
    >>> ge.nn.functional.binary_cross_entropy(ge.tensor([0.5, 0.0]), ge.tensor([1.0, 1.0]), reduction="none")
    tensor([  0.6931, 100.    ])
    """
    input, target = operands("binary_cross_entropy", input, target)
    check_reduction("binary_cross_entropy", reduction)
    if input.size and current.trace is None:  # a traced value cannot be looked at
        low, high = float(k.min(input.detach())), float(k.max(input.detach()))
        if not (low >= 0 and high <= 1):
            raise ArgumentError(
                f"binary_cross_entropy: the input must be probabilities from 0 to 1, got values from {low:g} to "
                f"{high:g}; for logits use binary_cross_entropy_with_logits"
            )
    losses = binary_cross_entropy_elements(input, target)
    return reduced(rescaled("binary_cross_entropy", losses, weight), reduction)


@checked
@quiet
def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Tensor:
    """Binary cross-entropy of sigmoid(input), exact for logits of any size.

    Input and target of one shape; `weight` rescales the elements, `pos_weight` the positive part of each, and both
    broadcast to them. Raises ShapeError for two shapes, ArgumentError for an unknown reduction.

    >>> import gradengine as ge
    >>> logits, target = ge.tensor([0.0, 1000.0]), ge.tensor([1.0, 0.0])
    >>> ge.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    tensor([   0.6931, 1000.    ])
    """
    name = "binary_cross_entropy_with_logits"
    input, target = operands(name, input, target)
    check_reduction(name, reduction)
    if pos_weight is None:
        losses = logistic_loss_elements(input, target)
    else:
        factor = 1 + rescaled(name, target, tensor_like(pos_weight, input) - 1, "pos_weight")
        losses = (1 - target) * input - factor * k.log_sigmoid(input)
    return reduced(rescaled(name, losses, weight), reduction)


@checked
@quiet
def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """The input where the target is 1, max(0, margin - input) where it is -1.

    Input (distances) and target (1 or -1) of one shape. Raises ShapeError for two shapes, ArgumentError for an
    unknown reduction.

    >>> import gradengine as ge
    >>> ge.nn.functional.hinge_embedding_loss(ge.tensor([0.3, 0.3]), ge.tensor([1.0, -1.0]), reduction="none")
    tensor([0.3, 0.7])
    """
    input, target = operands("hinge_embedding_loss", input, target)
    check_reduction("hinge_embedding_loss", reduction)
    far = k.where(k.not_equal(target, 1), k.clip(real("hinge_embedding_loss", "margin", margin) - input, min=0), 0)
    return reduced(far + k.where(k.not_equal(target, -1), input, 0), reduction)


@checked
@quiet
def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """log(1 + exp(-target * input)), for targets 1 and -1.

    Input and target of one shape. Raises ShapeError for two shapes, ArgumentError for an unknown reduction.

    >>> import gradengine as ge
    >>> ge.nn.functional.soft_margin_loss(ge.tensor([0.0, 1.0]), ge.tensor([1.0, -1.0]), reduction="none")
    tensor([0.6931, 1.3133])
    """
    input, target = operands("soft_margin_loss", input, target)
    check_reduction("soft_margin_loss", reduction)
    return reduced(-k.log_sigmoid(input * target), reduction)


@checked
@quiet
def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Tensor:
    """max(0, margin - target * (input1 - input2)): input1 should rank higher where the target is 1, lower where -1.

    All three of one shape. Raises ShapeError for different shapes, ArgumentError for an unknown reduction.

    >>> import gradengine as ge
    >>> a, b, y = ge.tensor([1.0, 1.0]), ge.tensor([0.0, 0.0]), ge.tensor([1.0, -1.0])
    >>> ge.nn.functional.margin_ranking_loss(a, b, y, reduction="none")
    tensor([0., 1.])
    """
    input1, input2 = operands("margin_ranking_loss", input1, input2)
    _, target = operands("margin_ranking_loss", input1, target)
    check_reduction("margin_ranking_loss", reduction)
    margin = real("margin_ranking_loss", "margin", margin)
    return reduced(k.clip(margin - target * (input1 - input2), min=0), reduction)


# -- distributions ------------------------------------------------------------------------------------------------

kl_elements = elementwise(
    "kl_elements",
    lambda k, g, y, x, t: -g * t,
    lambda k, g, y, x, t: g * (k.log(t) + 1 - x),
    body=lambda k, x, t: t * k.log(k.where(k.equal(t, 0), 1.0, t)) - t * x,
    shown="kl_div",
    doc="t (log t - x), which is 0 where t is 0.",
    precision="high",
)


@checked
@quiet
def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """Kullback-Leibler divergence, target * (log(target) - input), of an `input` of log-probabilities.

    Input and target of one shape; with `log_target` the target is in logarithms too. "batchmean" divides the sum by
    the first size, which is the divergence per sample; "mean" divides by the number of elements, as in PyTorch.
    Raises ShapeError for two shapes, ArgumentError for an unknown reduction.

    Formula: Kullback and Leibler, On Information and Sufficiency (1951).

    >>> import gradengine as ge
    >>> p, q = ge.tensor([[0.5, 0.5]]), ge.tensor([[0.9, 0.1]])
    >>> ge.nn.functional.kl_div(ge.log(q), p, reduction="batchmean")
    tensor(0.5108)
    """
    input, target = operands("kl_div", input, target)
    check_reduction("kl_div", reduction, (*REDUCTIONS, "batchmean"))
    losses = k.exp(target) * (target - input) if log_target else kl_elements(input, target)
    if reduction == "batchmean":
        return k.sum(losses) / (input.shape[0] if input.shape else 1)
    return reduced(losses, reduction)
