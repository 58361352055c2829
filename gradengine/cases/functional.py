"""Rows for softmax, the losses, dropout, embedding and normalisation."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.tensor_class import Tensor
from ..nn import functional as F
from .case import Case

if TYPE_CHECKING:
    from collections.abc import Callable

CLASS_WEIGHTS = np.array([0.5, 2.0, 1.0, 0.25])
IGNORED = 1  # the label that rows with ignore_index leave out


# -- inputs -------------------------------------------------------------------------------------------------------


def normal(*shapes: tuple[int, ...]) -> Callable[..., tuple[Any, ...]]:
    """Normal arrays."""
    return lambda rng: tuple(rng.normal(size=shape) for shape in shapes)


def apart(*shape: int) -> Callable[..., tuple[Any, ...]]:
    """Two arrays whose elements differ by more than a hundredth, and not by nearly one: away from the kinks."""

    def draw(rng: np.random.Generator) -> tuple[Any, ...]:
        a = rng.normal(size=shape)
        return a, a + rng.choice([-1.0, 1.0], shape) * rng.choice([0.4, 0.7, 1.6, 2.3], shape)

    return draw


def probabilities(*shape: int) -> Callable[..., tuple[Any, ...]]:
    """Two arrays of probabilities, away from 0 and 1."""
    return lambda rng: (rng.uniform(0.1, 0.9, shape), rng.uniform(0.1, 0.9, shape))


def labelled(*shape: int) -> Callable[..., tuple[Any, ...]]:
    """Logits with their classes on axis 1, and labels."""

    def draw(rng: np.random.Generator) -> tuple[Any, ...]:
        labels = shape[:1] + shape[2:] if len(shape) > 1 else ()
        return rng.normal(size=shape) * 2, rng.integers(0, shape[min(1, len(shape) - 1)], labels)

    return draw


def ignoring(*shape: int) -> Callable[..., tuple[Any, ...]]:
    """Logits and labels of which at least one is to be ignored and at least one is not."""

    def draw(rng: np.random.Generator) -> tuple[Any, ...]:
        logits, labels = labelled(*shape)(rng)
        labels.flat[0], labels.flat[-1] = IGNORED, 0
        return logits, labels

    return draw


def shares(*shape: int) -> Callable[..., tuple[Any, ...]]:
    """Logits and class probabilities, the classes on axis 1."""

    def draw(rng: np.random.Generator) -> tuple[Any, ...]:
        target = rng.uniform(0.1, 1.0, shape)
        return rng.normal(size=shape), target / target.sum(min(1, len(shape) - 1), keepdims=True)

    return draw


def signs(*shape: int) -> Callable[..., tuple[Any, ...]]:
    """Numbers away from 0 and 1, and targets that are 1 or -1."""
    return lambda rng: (
        rng.choice([-1.6, -0.8, 0.3, 0.6, 1.7], shape) + rng.uniform(-0.1, 0.1, shape),
        rng.choice([-1, 1], shape),
    )


# -- references ---------------------------------------------------------------------------------------------------


def log_softmax(x: Any, axis: int = -1) -> Any:
    """In NumPy."""
    shifted = x - x.max(axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))


def reduce(losses: Any, reduction: str) -> Any:
    """In NumPy."""
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def nll(
    log_p: Any, labels: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean", smooth: float = 0.0
) -> Any:
    """Negative log-likelihood in NumPy, with every option of cross_entropy."""
    axis = 1 if log_p.ndim > 1 else 0
    classes = log_p.shape[axis]
    weight = np.ones(classes) if weight is None else weight
    counts = labels != ignore_index
    safe = np.where(counts, labels, 0)
    of_label = np.where(counts, weight[safe], 0.0)
    own = -np.squeeze(np.take_along_axis(log_p, np.expand_dims(safe, axis), axis), axis) * of_label
    every = -np.where(counts, np.tensordot(weight, np.moveaxis(log_p, axis, 0), 1), 0.0)
    losses = (1 - smooth) * own + smooth / classes * every
    return losses.sum() / of_label.sum() if reduction == "mean" else reduce(losses, reduction)


def mixed(x: Any, target: Any, weight: Any = None, reduction: str = "mean", smooth: float = 0.0) -> Any:
    """Cross-entropy with class probabilities in NumPy."""
    axis = 1 if x.ndim > 1 else 0
    classes = x.shape[axis]
    weight = np.ones(classes) if weight is None else weight
    mixture = target * (1 - smooth) + smooth / classes
    terms = mixture * log_softmax(x, axis)
    losses = -np.tensordot(weight, np.moveaxis(terms, axis, 0), 1)
    return reduce(losses, reduction)


def layer_norm(x: Any, axes: tuple[int, ...], weight: Any = 1.0, bias: Any = 0.0) -> Any:
    """In NumPy."""
    centred = x - x.mean(axes, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axes, keepdims=True) + 1e-5) * weight + bias


def huber(d: Any, delta: float) -> Any:
    """In NumPy."""
    return np.where(np.abs(d) <= delta, 0.5 * d * d, delta * (np.abs(d) - 0.5 * delta))


# -- rows ---------------------------------------------------------------------------------------------------------


def along(name: str, reference: Callable[..., Any]) -> list[Case]:
    """A softmax along each axis."""

    def row(variant: str, shape: tuple[int, ...], axis: int) -> Case:
        return Case(
            f"{name}/{variant}",
            lambda x: getattr(F, name)(x, axis=axis),
            normal(shape),
            lambda x: reference(x, axis),
            lambda torch, x: getattr(torch.nn.functional, name)(x, dim=axis),
        )

    return [row("last", (2, 3), -1), row("first", (3, 2), 0), row("middle", (2, 3, 2), 1), row("one", (2, 1), -1)]


def cross_entropy_row(variant: str, sample: Callable[..., Any], weighted: bool = False, **options: Any) -> Case:
    """Cross-entropy of labels with some options."""
    weight = CLASS_WEIGHTS if weighted else None
    smooth = options.get("label_smoothing", 0.0)
    rest = {name: value for name, value in options.items() if name != "label_smoothing"}
    return Case(
        f"cross_entropy/{variant}",
        lambda x, t: F.cross_entropy(x, t, cast(weight, x), **options),
        sample,
        lambda x, t: nll(log_softmax(x, min(1, x.ndim - 1)), t, weight, smooth=smooth, **rest),
        lambda torch, x, t: torch.nn.functional.cross_entropy(x, t, torch_weight(torch, weight, x), **options),
    )


def cast(weight: Any, like: Any) -> Any:
    """The class weights as a Tensor of the dtype of `like`."""
    return None if weight is None else Tensor(weight.astype(like.dtype))


def torch_weight(torch: Any, weight: Any, like: Any) -> Any:
    """The class weights as a PyTorch tensor of the dtype of `like`."""
    return None if weight is None else torch.tensor(weight, dtype=like.dtype)


def shares_row(variant: str, sample: Callable[..., Any], weighted: bool = False, **options: Any) -> Case:
    """Cross-entropy of class probabilities with some options."""
    weight = CLASS_WEIGHTS if weighted else None
    smooth = options.get("label_smoothing", 0.0)
    return Case(
        f"cross_entropy/probabilities,{variant}",
        lambda x, t: F.cross_entropy(x, t, cast(weight, x), **options),
        sample,
        lambda x, t: mixed(x, t, weight, options.get("reduction", "mean"), smooth),
        lambda torch, x, t: torch.nn.functional.cross_entropy(x, t, torch_weight(torch, weight, x), **options),
    )


def nll_row(variant: str, sample: Callable[..., Any], weighted: bool = False, **options: Any) -> Case:
    """Negative log-likelihood with some options."""
    weight = CLASS_WEIGHTS if weighted else None
    return Case(
        f"nll_loss/{variant}",
        lambda x, t: F.nll_loss(x, t, cast(weight, x), **options),
        sample,
        lambda x, t: nll(x, t, weight, **options),
        lambda torch, x, t: torch.nn.functional.nll_loss(x, t, torch_weight(torch, weight, x), **options),
    )


def elements(name: str, sample: Callable[..., Any], reference: Callable[..., Any], **options: Any) -> list[Case]:
    """A loss of input and target, element by element, with each reduction."""

    def row(reduction: str) -> Case:
        suffix = "".join(f",{key}={value}" for key, value in options.items())
        return Case(
            f"{name}/{reduction}{suffix}",
            lambda x, t: getattr(F, name)(x, t, reduction=reduction, **options),
            sample,
            lambda x, t: reduce(reference(x, t), reduction),
            lambda torch, x, t: getattr(torch.nn.functional, name)(x, t, reduction=reduction, **options),
        )

    return [row(reduction) for reduction in ("mean", "sum", "none")]


def logistic(x: Any, t: Any, pos_weight: Any = 1.0) -> Any:
    """Binary cross-entropy with logits in NumPy."""
    return (1 - t) * np.logaddexp(0, x) + pos_weight * t * np.logaddexp(0, -x)


CASES: list[Case] = [
    *along("softmax", lambda x, axis: np.exp(log_softmax(x, axis))),
    *along("log_softmax", log_softmax),
    *along("softmin", lambda x, axis: np.exp(log_softmax(-x, axis))),
    # cross-entropy of labels
    *[cross_entropy_row(reduction, labelled(3, 4), reduction=reduction) for reduction in ("mean", "sum", "none")],
    cross_entropy_row("one sample", labelled(4)),
    cross_entropy_row("one class", labelled(3, 1)),
    cross_entropy_row("positions", labelled(2, 4, 3)),
    cross_entropy_row("positions,none", labelled(2, 4, 2, 2), reduction="none"),
    *[
        cross_entropy_row(f"ignore_index,{reduction}", ignoring(4, 4), reduction=reduction, ignore_index=IGNORED)
        for reduction in ("mean", "sum", "none")
    ],
    *[
        cross_entropy_row(f"weight,{reduction}", labelled(3, 4), weighted=True, reduction=reduction)
        for reduction in ("mean", "sum", "none")
    ],
    *[
        cross_entropy_row(f"label_smoothing,{reduction}", labelled(3, 4), reduction=reduction, label_smoothing=0.1)
        for reduction in ("mean", "sum", "none")
    ],
    cross_entropy_row("weight,ignore_index", ignoring(4, 4), weighted=True, ignore_index=IGNORED),
    cross_entropy_row("label_smoothing,ignore_index", ignoring(4, 4), label_smoothing=0.2, ignore_index=IGNORED),
    cross_entropy_row(
        "all options", ignoring(3, 4, 2), weighted=True, label_smoothing=0.2, ignore_index=IGNORED, reduction="mean"
    ),
    cross_entropy_row(
        "all options,none", ignoring(3, 4, 2), True, label_smoothing=0.2, ignore_index=IGNORED, reduction="none"
    ),
    Case(
        "cross_entropy/weight's gradient",
        lambda x, w, t: F.cross_entropy(x, t, w),
        lambda rng: (rng.normal(size=(3, 4)), rng.uniform(0.5, 2.0, 4), rng.integers(0, 4, 3)),
        lambda x, w, t: nll(log_softmax(x), t, w),
    ),
    # cross-entropy of class probabilities
    *[shares_row(reduction, shares(3, 4), reduction=reduction) for reduction in ("mean", "sum", "none")],
    shares_row("one sample", shares(4)),
    shares_row("positions", shares(2, 4, 3)),
    shares_row("weight", shares(3, 4), weighted=True),
    shares_row("label_smoothing", shares(3, 4), label_smoothing=0.1),
    shares_row("all options", shares(2, 4, 2), weighted=True, label_smoothing=0.1, reduction="none"),
    # negative log-likelihood
    *[nll_row(reduction, labelled(3, 4), reduction=reduction) for reduction in ("mean", "sum", "none")],
    nll_row("one sample", labelled(4)),
    nll_row("positions", labelled(2, 4, 3)),
    nll_row("weight", labelled(3, 4), weighted=True),
    nll_row("ignore_index", ignoring(4, 4), ignore_index=IGNORED),
    nll_row("weight,ignore_index,none", ignoring(4, 4), weighted=True, ignore_index=IGNORED, reduction="none"),
    # losses of input and target, element by element
    *elements("mse_loss", normal((2, 3), (2, 3)), lambda x, t: (x - t) ** 2),
    *elements("l1_loss", apart(2, 3), lambda x, t: np.abs(x - t)),
    *elements("huber_loss", apart(2, 3), lambda x, t: huber(x - t, 1.0)),
    *elements("huber_loss", apart(2, 3), lambda x, t: huber(x - t, 0.5), delta=0.5),
    *elements("smooth_l1_loss", apart(2, 3), lambda x, t: huber(x - t, 1.0)),
    *elements("smooth_l1_loss", apart(2, 3), lambda x, t: huber(x - t, 2.0) / 2, beta=2.0),
    *elements("binary_cross_entropy", probabilities(2, 3), lambda p, t: -(t * np.log(p) + (1 - t) * np.log1p(-p))),
    *elements("binary_cross_entropy_with_logits", lambda rng: (rng.normal(size=(2, 3)), rng.random((2, 3))), logistic),
    *elements(
        "kl_div", lambda rng: (rng.normal(size=(2, 3)), rng.random((2, 3)) + 0.1), lambda x, t: t * (np.log(t) - x)
    ),
    *elements("kl_div", normal((2, 3), (2, 3)), lambda x, t: np.exp(t) * (t - x), log_target=True),
    *elements(
        "hinge_embedding_loss",
        signs(2, 3),
        lambda x, t: np.where(t == 1, x, np.maximum(0, 1 - x)),
    ),
    *elements("soft_margin_loss", signs(2, 3), lambda x, t: np.log1p(np.exp(-t * x))),
    Case(
        "kl_div/batchmean",
        lambda x, t: F.kl_div(x, t, reduction="batchmean"),
        lambda rng: (rng.normal(size=(2, 3)), rng.random((2, 3)) + 0.1),
        lambda x, t: (t * (np.log(t) - x)).sum() / 2,
        lambda torch, x, t: torch.nn.functional.kl_div(x, t, reduction="batchmean"),
    ),
    Case(
        "binary_cross_entropy/weight",
        lambda x, t, w: F.binary_cross_entropy(x, t, w),
        lambda rng: (*probabilities(2, 3)(rng), rng.random(3)),
        lambda p, t, w: (-(t * np.log(p) + (1 - t) * np.log1p(-p)) * w).mean(),
    ),
    Case(
        "binary_cross_entropy_with_logits/weight,pos_weight",
        lambda x, t, w, v: F.binary_cross_entropy_with_logits(x, t, w, pos_weight=v),
        lambda rng: (rng.normal(size=(2, 3)), rng.random((2, 3)), rng.random((2, 1)), rng.random(3)),
        lambda x, t, w, v: (logistic(x, t, v) * w).mean(),
    ),
    Case(
        "binary_cross_entropy_with_logits/pos_weight",
        lambda x, t: F.binary_cross_entropy_with_logits(x, t, pos_weight=cast(CLASS_WEIGHTS, x)),
        lambda rng: (rng.normal(size=(2, 4)), rng.random((2, 4))),
        lambda x, t: logistic(x, t, CLASS_WEIGHTS).mean(),
        lambda torch, x, t: torch.nn.functional.binary_cross_entropy_with_logits(
            x, t, pos_weight=torch_weight(torch, CLASS_WEIGHTS, x)
        ),
    ),
    *[
        Case(
            f"margin_ranking_loss/{reduction}",
            functools.partial(F.margin_ranking_loss, margin=0.1, reduction=reduction),
            lambda rng: (*apart(2, 3)(rng), rng.choice([-1, 1], (2, 3))),
            functools.partial(
                lambda a, b, t, reduction: reduce(np.maximum(0, 0.1 - t * (a - b)), reduction), reduction=reduction
            ),
            functools.partial(
                lambda torch, a, b, t, reduction: torch.nn.functional.margin_ranking_loss(
                    a, b, t, margin=0.1, reduction=reduction
                ),
                reduction=reduction,
            ),
        )
        for reduction in ("mean", "sum", "none")
    ],
    # layers as functions
    Case(
        "embedding/1-d",
        lambda w, i: F.embedding(i, w),
        lambda rng: (rng.normal(size=(4, 2)), np.array([3, 0, 3])),
        lambda w, i: w[i],
        lambda torch, w, i: torch.nn.functional.embedding(i, w),
    ),
    Case(
        "embedding/2-d",
        lambda w, i: F.embedding(i, w),
        lambda rng: (rng.normal(size=(4, 2)), rng.integers(0, 4, (2, 3))),
        lambda w, i: w[i],
        lambda torch, w, i: torch.nn.functional.embedding(i, w),
    ),
    Case(
        "dropout/evaluation",
        lambda x: F.dropout(x, 0.5, training=False),
        normal((2, 3)),
        lambda x: x,
        lambda torch, x: torch.nn.functional.dropout(x, 0.5, training=False),
    ),
    Case(
        "layer_norm/last",
        lambda x, w, b: F.layer_norm(x, (3,), w, b),
        normal((2, 3), (3,), (3,)),
        lambda x, w, b: layer_norm(x, (-1,), w, b),
        lambda torch, x, w, b: torch.nn.functional.layer_norm(x, (3,), w, b),
    ),
    Case(
        "layer_norm/two axes",
        lambda x: F.layer_norm(x, (3, 2)),
        normal((2, 3, 2)),
        lambda x: layer_norm(x, (-2, -1)),
        lambda torch, x: torch.nn.functional.layer_norm(x, (3, 2)),
    ),
    Case(
        "normalize/2",
        F.normalize,
        normal((2, 3)),
        lambda x: x / np.sqrt((x**2).sum(1, keepdims=True)),
        lambda torch, x: torch.nn.functional.normalize(x),
    ),
    Case(
        "normalize/3,first axis",
        lambda x: F.normalize(x, p=3.0, axis=0),
        normal((2, 3)),
        lambda x: x / (np.abs(x) ** 3).sum(0, keepdims=True) ** (1 / 3),
        lambda torch, x: torch.nn.functional.normalize(x, p=3.0, dim=0),
    ),
    Case(
        "cosine_similarity/broadcast",
        F.cosine_similarity,
        normal((2, 3), (1, 3)),
        lambda a, b: (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1)),
        lambda torch, a, b: torch.nn.functional.cosine_similarity(a, b),
    ),
    Case(
        "pad/pairs from the last axis",
        lambda x: F.pad(x, (1, 2, 0, 1), value=0.5),
        normal((2, 3)),
        lambda x: np.pad(x, ((0, 1), (1, 2)), constant_values=0.5),
        lambda torch, x: torch.nn.functional.pad(x, (1, 2, 0, 1), value=0.5),
    ),
]
