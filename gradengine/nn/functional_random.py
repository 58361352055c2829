"""Functions of neural networks that draw random numbers: dropout in all its forms, rrelu, gumbel_softmax."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..core.tensor_class import Tensor, wrap
from ..errors import ArgumentError, ShapeError
from ..ops.arguments import checked, real, whole

__all__ = [
    "alpha_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
    "gumbel_softmax",
    "rrelu",
]

ALPHA = -1.7580993408473766  # where a selu saturates


def given(x: Tensor, made: Tensor, inplace: bool, name: str) -> Tensor:
    """The result, or with `inplace` the input, which has become it."""
    return x.become(lambda old: made, name) if inplace else made


def probability(name: str, p: Any) -> Any:
    """Raise ArgumentError for anything that is not a probability."""
    if not 0 <= real(name, "p", p) <= 1:
        raise ArgumentError(f"{name}: p must be a probability from 0 to 1, got {p!r}")
    return p


@checked
def dropout(
    input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None
) -> Tensor:
    """In training, each element is 0 with probability `p` and otherwise divided by 1 - p; else the input itself.

    Any shape, kept; the mask comes from `generator` (the default one of `manual_seed` when None). Raises
    ArgumentError for a probability outside 0..1. Source: Srivastava et al., Dropout (2014).

    >>> import gradengine as ge
    >>> ge.nn.functional.dropout(ge.ones(3), p=0.5, training=False)
    tensor([1., 1., 1.])
    """
    probability("dropout", p)
    x = wrap(input)
    if not training or p == 0:
        return x
    if inplace:
        return x.become(lambda old: dropped(old, p, x.shape, generator), "dropout")
    return dropped(x, p, x.shape, generator)


def dropped(x: Any, p: float, shape: tuple[int, ...], generator: Any) -> Any:
    """The input times a mask of a shape that broadcasts to it."""
    if p == 1:
        return x * 0
    return x * ops.dropout_mask(shape, p, dtype=x.dtype, generator=generator, device=x.device)


def features(name: str, x: Tensor, axes: int) -> tuple[int, ...]:
    """The shape of a mask with one element per channel of an input that has `axes` more behind."""
    if x.ndim == axes + 2:
        return (*x.shape[:2], *(1,) * axes)
    if x.ndim == axes + 1:
        return (x.shape[0], *(1,) * axes)
    raise ShapeError(
        f"{name}: needs (batch, channels{', length' * axes}) or the same without the batch, got shape {x.shape}"
    )


def channel_dropout(name: str, axes: int, input: Any, p: Any, training: bool, inplace: bool, generator: Any) -> Tensor:
    """Dropout of whole channels."""
    probability(name, p)
    x = wrap(input)
    shape = features(name, x, axes)
    if not training or p == 0:
        return x
    if inplace:
        return x.become(lambda old: dropped(old, p, shape, generator), name)
    return dropped(x, p, shape, generator)


@checked
def dropout1d(
    input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None
) -> Tensor:
    """Dropout of whole channels of (batch, channels, length), or (channels, length).

    Raises ArgumentError for a probability outside 0..1, ShapeError for other numbers of axes.

    >>> import gradengine as ge
    >>> ge.nn.functional.dropout1d(ge.ones(1, 2, 3), training=False).shape
    (1, 2, 3)
    """
    return channel_dropout("dropout1d", 1, input, p, training, inplace, generator)


@checked
def dropout2d(
    input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None
) -> Tensor:
    """Dropout of whole channels of (batch, channels, height, width), or (channels, height, width).

    Raises ArgumentError for a probability outside 0..1, ShapeError for other numbers of axes.

    >>> import gradengine as ge
    >>> x = ge.nn.functional.dropout2d(ge.ones(1, 50, 2, 2))
    >>> sorted(set(x.sum(axis=(0, 2, 3)).tolist()))
    [0.0, 8.0]
    """
    return channel_dropout("dropout2d", 2, input, p, training, inplace, generator)


@checked
def dropout3d(
    input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None
) -> Tensor:
    """Dropout of whole channels of (batch, channels, depth, height, width), or the same without the batch.

    Raises ArgumentError for a probability outside 0..1, ShapeError for other numbers of axes.

    >>> import gradengine as ge
    >>> ge.nn.functional.dropout3d(ge.ones(1, 2, 1, 1, 1), training=False).shape
    (1, 2, 1, 1, 1)
    """
    return channel_dropout("dropout3d", 3, input, p, training, inplace, generator)


def saturated(x: Any, p: float, shape: tuple[int, ...], generator: Any) -> Any:
    """Alpha dropout: what is dropped saturates, and mean and variance stay what they were."""
    if p == 1:
        return x * 0
    mask = ops.dropout_mask(shape, p, dtype=x.dtype, generator=generator, device=x.device) * (1 - p)
    scale = 1.0 / math.sqrt((1 - p) * (1 + p * ALPHA * ALPHA))
    return (x * mask + ALPHA * (1 - mask) - ALPHA * p) * scale


@checked
def alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Any = None
) -> Tensor:
    """Dropout for selu: what is dropped saturates, and zero mean and unit variance are kept.

    Any shape, kept. Raises ArgumentError for a probability outside 0..1. Source: Klambauer et al. (2017).

    >>> import gradengine as ge
    >>> x = ge.nn.functional.alpha_dropout(ge.randn(10000), p=0.3, training=True)
    >>> abs(x.mean().item()) < 0.1 and abs(x.std().item() - 1) < 0.1
    True
    """
    probability("alpha_dropout", p)
    x = wrap(input)
    if not training or p == 0:
        return x
    return given(x, saturated(x, p, x.shape, generator), inplace, "alpha_dropout")


@checked
def feature_alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Any = None
) -> Tensor:
    """`alpha_dropout` of whole channels: the first two axes are batch and channels.

    Raises ArgumentError for a probability outside 0..1, ShapeError for fewer axes.

    >>> import gradengine as ge
    >>> ge.nn.functional.feature_alpha_dropout(ge.ones(2, 3, 4)).shape
    (2, 3, 4)
    """
    probability("feature_alpha_dropout", p)
    x = wrap(input)
    if x.ndim < 2:
        raise ShapeError(f"feature_alpha_dropout: needs a batch axis and one of channels, got shape {x.shape}")
    if not training or p == 0:
        return x
    shape = (*x.shape[:2], *(1,) * (x.ndim - 2))
    return given(x, saturated(x, p, shape, generator), inplace, "feature_alpha_dropout")


@checked
def rrelu(
    input: Any,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Any = None,
) -> Tensor:
    """`x` where it is not negative, else `x` times a slope drawn from `lower` to `upper`.

    When not training, the slope is the mean of both. Any shape, kept. Raises ArgumentError when `lower` is above
    `upper`. Source: Xu et al., arXiv:1505.00853.

    >>> import gradengine as ge
    >>> ge.nn.functional.rrelu(ge.tensor([-24.0, 1.0]))
    tensor([-5.5,  1. ])
    """
    low, high = real("rrelu", "lower", lower), real("rrelu", "upper", upper)
    if not low <= high:
        raise ArgumentError(f"rrelu: lower must not be above upper, got {lower!r} and {upper!r}")
    x: Any = wrap(input)
    if training:
        slope: Any = ops.uniform(low, high, x.shape, dtype=x.dtype, generator=generator, device=x.device)
    else:
        slope = (low + high) / 2
    return given(x, ops.where(x >= 0, x, x * slope), inplace, "rrelu")


@checked
def gumbel_softmax(
    logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1, *, generator: Any = None
) -> Tensor:
    """Samples of a categorical distribution that gradients flow through: softmax((logits + Gumbel noise) / tau).

    With `hard` the value is one-hot, the gradient that of the soft sample. `eps` is accepted as PyTorch's and not
    used. Any shape, kept. Raises ArgumentError unless tau is above 0. Sources: Jang et al.; Maddison et al. (2017).

    >>> import gradengine as ge
    >>> ge.nn.functional.gumbel_softmax(ge.zeros(2, 3), hard=True).sum(axis=1).tolist()
    [1.0, 1.0]
    """
    if not real("gumbel_softmax", "tau", tau) > 0:
        raise ArgumentError(f"gumbel_softmax: tau must be above 0, got {tau!r}")
    x: Any = wrap(logits)
    dim = whole("gumbel_softmax", "dim", dim)
    u = ops.rand(x.shape, dtype=x.dtype, generator=generator, device=x.device)
    noise = -ops.log(-ops.log1p(-u * (1 - 2.0**-24)) + 2.0**-80)
    soft: Any = ops.softmax((x + noise) / tau, axis=dim)
    if not hard:
        return soft
    if not soft.ndim:
        return 1 - soft.detach() + soft
    largest: Any = ops.argmax(soft.detach(), axis=dim, keepdims=True)
    places = ops.arange(soft.shape[dim], device=x.device)
    shape = [1] * soft.ndim
    shape[dim] = -1
    one = ops.astype(ops.equal(ops.reshape(places, shape=tuple(shape)), largest), dtype=soft.dtype)
    return one - soft.detach() + soft
