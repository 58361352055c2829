"""The functions of neural networks under PyTorch's names: activations, softmax, losses, dropout, embedding.

    import gradengine.nn.functional as F

Arguments are PyTorch's too; where it says `dim`, `axis` works as well.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from .. import ops, shapes
from ..core.tensor_class import Tensor, wrap
from ..errors import ArgumentError, DTypeError, ShapeError, SpellingWarning, describe
from ..ops import nn
from ..ops.activations import (
    celu,
    elu,
    gelu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    log_sigmoid,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softplus,
    softshrink,
    softsign,
    tanhshrink,
    threshold,
)
from ..ops.arguments import beside, checked, real, whole
from ..ops.classification import cross_entropy, nll_loss
from ..ops.index import one_hot
from ..ops.linalg import linear
from ..ops.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    hinge_embedding_loss,
    huber_loss,
    kl_div,
    l1_loss,
    margin_ranking_loss,
    mse_loss,
    smooth_l1_loss,
    soft_margin_loss,
)
from ..ops.transcendental import tanh
from ..validation import check_number, known_words
from .functional_embedding import embedding
from .functional_losses import (
    cosine_embedding_loss,
    gaussian_nll_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    pairwise_distance,
    pdist,
    poisson_nll_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from .functional_random import (
    alpha_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
    gumbel_softmax,
    rrelu,
)
from .functional_shapes import bilinear, channel_shuffle, glu, pixel_shuffle, pixel_unshuffle, rms_norm

__all__ = [
    "celu", "elu", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "log_sigmoid",
    "logsigmoid", "mish", "prelu", "relu", "relu6", "selu", "sigmoid", "silu", "softplus", "softshrink", "softsign",
    "tanh", "tanhshrink", "threshold", "softmax", "softmin", "log_softmax",
    "cross_entropy", "nll_loss", "mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "hinge_embedding_loss", "soft_margin_loss", "margin_ranking_loss", "kl_div",
    "linear", "dropout", "embedding", "one_hot", "flatten", "pad", "layer_norm", "normalize", "cosine_similarity",
    "glu", "rrelu", "gumbel_softmax", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout",
    "bilinear", "rms_norm", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "pairwise_distance", "pdist",
    "cosine_embedding_loss", "gaussian_nll_loss", "multi_margin_loss", "multilabel_margin_loss",
    "multilabel_soft_margin_loss", "poisson_nll_loss", "triplet_margin_loss", "triplet_margin_with_distance_loss",
    "celu_", "elu_", "hardtanh_", "leaky_relu_", "relu_", "rrelu_", "selu_", "threshold_",
]  # fmt: skip


# -- in place --------------------------------------------------------------------------------------------------------


def in_place(function: Any, name: str) -> Any:
    """The function that changes its input into what another gives for it."""

    def call(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not isinstance(input, Tensor):
            raise DTypeError(f"{name}: needs a Tensor to change, got {describe(input)}")
        return input.become(lambda old: function(old, *args, **kwargs), name)

    call.__name__ = call.__qualname__ = name
    call = known_words(call)
    call.__doc__ = f"""`{name[:-1]}`, in place: the input has the result's values, and is returned.

    Raises GraphError for a leaf that requires grad, DTypeError for what is no Tensor.

    >>> import gradengine as ge
    >>> x = ge.tensor([2.0])
    >>> y = ge.nn.functional.{name}(x{", 0.5, 0.0" if name == "threshold_" else ""})
    >>> y is x
    True
    """
    return call


celu_, elu_, hardtanh_ = in_place(celu, "celu_"), in_place(elu, "elu_"), in_place(hardtanh, "hardtanh_")
leaky_relu_, relu_, rrelu_ = in_place(leaky_relu, "leaky_relu_"), in_place(relu, "relu_"), in_place(rrelu, "rrelu_")
selu_, threshold_ = in_place(selu, "selu_"), in_place(threshold, "threshold_")


# -- softmax ------------------------------------------------------------------------------------------------------


def axis_or_implicit(name: str, x: Tensor, axis: int | None, level: int = 4) -> int:
    """The axis, or without one that which PyTorch takes: the first of a 3-d input, else the second where there is one.

    A SpellingWarning is given where that is not the last axis, `level` frames up.
    """
    if axis is not None:
        return axis
    implicit = 0 if x.ndim in (0, 1, 3) else 1
    if implicit < x.ndim - 1:
        warnings.warn(
            f"{name}: without dim, axis {implicit} of shape {x.shape} is taken, as in PyTorch; write dim={implicit} "
            "for this, or dim=-1 for the last axis",
            SpellingWarning,
            stacklevel=level,
        )
    return implicit


def along(function: Any, input: Any, axis: int | None, dim: int | None, dtype: Any) -> Tensor:
    """A function along an axis of the input, computed in a dtype."""
    x = wrap(input)
    place = axis_or_implicit(function.__name__, x, axis if dim is None else dim, level=5)
    return function(x if dtype is None else x.to(dtype=dtype), axis=place)


@checked(ignored=frozenset({"_stacklevel"}))
def softmax(input: Any, axis: int | None = None, *, dim: int | None = None, dtype: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) along an axis: `gradengine.softmax`.

    Any shape, kept; computed in `dtype` where that is given. Without an axis it is the first of a 3-d input and the
    second of 4 or more axes, as in PyTorch, with a SpellingWarning. Raises ShapeError for an axis that is not there.

    >>> import gradengine as ge
    >>> ge.nn.functional.softmax(ge.tensor([0.0, 1000.0, 1000.0]), dim=0)
    tensor([0. , 0.5, 0.5])
    """
    return along(nn.softmax, input, axis, dim, dtype)


@checked(ignored=frozenset({"_stacklevel"}))
def softmin(input: Any, axis: int | None = None, *, dim: int | None = None, dtype: Any = None) -> Tensor:
    """The softmax of -x, which is largest for the smallest element.

    Any shape, kept; without an axis as in `softmax`. Raises ShapeError for an axis that is not there.

    >>> import gradengine as ge
    >>> ge.nn.functional.softmin(ge.tensor([0.0, 1000.0, 0.0]), dim=0)
    tensor([0.5, 0. , 0.5])
    """
    return along(nn.softmax, -wrap(input), axis, dim, dtype)


@checked(ignored=frozenset({"_stacklevel"}))
def log_softmax(input: Any, axis: int | None = None, *, dim: int | None = None, dtype: Any = None) -> Tensor:
    """log(softmax(x)) along an axis, without underflow: `gradengine.log_softmax`.

    Any shape, kept; without an axis as in `softmax`. Raises ShapeError for an axis that is not there.

    >>> import gradengine as ge
    >>> ge.nn.functional.log_softmax(ge.tensor([0.0, 0.0]), dim=0)
    tensor([-0.6931, -0.6931])
    """
    return along(nn.log_softmax, input, axis, dim, dtype)


# -- layers as functions ------------------------------------------------------------------------------------------


@checked
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from `start_dim` to `end_dim` as one; a 0-d input becomes (1,).

    Raises ShapeError for an axis that is not there, or when the first comes after the last.

    >>> import gradengine as ge
    >>> ge.nn.functional.flatten(ge.zeros(2, 3, 4), start_dim=1).shape
    (2, 12)
    """
    return ops.flatten(input, start_axis=start_dim, end_axis=end_dim)


def cut_away(x: Tensor, widths: tuple[tuple[int, int], ...]) -> tuple[Tensor, tuple[tuple[int, int], ...]]:
    """The input without what negative widths take from its ends, and the widths that are left to add."""
    for axis, (before, after) in enumerate(widths):
        lost = max(-before, 0), max(-after, 0)
        if sum(lost) > x.shape[axis]:
            raise ShapeError(f"pad: widths {before, after} take more than the {x.shape[axis]} elements of axis {axis}")
        if any(lost):
            x = ops.narrow(x, axis=axis, start=lost[0], length=x.shape[axis] - sum(lost))
    return x, tuple([(max(before, 0), max(after, 0)) for before, after in widths])


PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@checked
def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    """A border around the input: `pad` is (before, after) of the last axis, then of the one before it, and so on.

    Negative widths take elements away. `mode` is "constant" (with `value`, 0 when None), "reflect", "replicate" or
    "circular". `gradengine.pad` takes NumPy's widths. Raises ArgumentError for another mode or widths that are not
    pairs, ShapeError for too many, or for more than there is to take away.

    >>> import gradengine as ge
    >>> ge.nn.functional.pad(ge.tensor([[1.0, 2.0]]), (1, 2))
    tensor([[0., 1., 2., 0., 0.]])
    """
    x, widths = wrap(input), shapes.sizes_of("pad", pad, "pad is")
    if len(widths) % 2:
        raise ArgumentError(f"pad: needs (before, after) for each axis, got {len(widths)} numbers")
    if len(widths) > 2 * len(x.shape):
        raise ShapeError(f"pad: got widths for {len(widths) // 2} axes, but the input has shape {x.shape}")
    if mode not in PAD_MODES:
        raise ArgumentError(f"pad: mode must be one of {', '.join(PAD_MODES)}; got {mode!r}")
    pairs = [(widths[i], widths[i + 1]) for i in range(0, len(widths), 2)]
    full = ((0, 0),) * (len(x.shape) - len(pairs)) + tuple(reversed(pairs))
    if min(widths, default=0) < 0:
        x, full = cut_away(x, full)
    return ops.pad(x, pad_width=full, mode=PAD_MODES[mode], constant_values=0 if value is None else value)


@checked
def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """Zero mean and unit variance over the last axes, then times `weight` plus `bias`.

    `normalized_shape` (an int or a tuple) is the shape of those axes, of `weight` and of `bias`. Raises ShapeError
    when one of them has another shape. Formula: Ba, Kiros and Hinton, Layer Normalization (2016).

    >>> import gradengine as ge
    >>> ge.nn.functional.layer_norm(ge.tensor([[1.0, 3.0], [0.0, 0.0]]), 2)
    tensor([[-1.,  1.],
            [ 0.,  0.]])
    """
    x = wrap(input)
    wanted = shapes.sizes_of("layer_norm", normalized_shape, "normalized_shape is")
    if not wanted or x.shape[len(x.shape) - len(wanted) :] != wanted:
        raise ShapeError(f"layer_norm: the input's last axes must be normalized_shape {wanted}, got shape {x.shape}")
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and wrap(value).shape != wanted:
            raise ShapeError(f"layer_norm: {name} must have the shape {wanted}, got {wrap(value).shape}")
    out = nn.standardize(x, axis=tuple(range(-len(wanted), 0)), eps=eps)
    if weight is not None:
        out = out * weight
    return out if bias is None else out + bias


@checked
def normalize(input: Any, p: float = 2.0, axis: int = 1, eps: float = 1e-12, *, dim: int | None = None) -> Tensor:
    """The input divided by its p-norm along an axis, or by `eps` where the norm is smaller.

    Any shape, kept. Raises ShapeError for an axis that is not there.

    >>> import gradengine as ge
    >>> ge.nn.functional.normalize(ge.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6, 0.8],
            [0. , 0. ]])
    """
    x, eps = wrap(input), real("normalize", "eps", eps)
    length = ops.norm(x, ord=p, axis=axis if dim is None else dim, keepdims=True)
    return x / ops.clip(length, min=eps)


@checked
def cosine_similarity(x1: Any, x2: Any, axis: int = 1, eps: float = 1e-8, *, dim: int | None = None) -> Tensor:
    """The cosine of the angle between vectors along an axis: x1.x2 / (|x1| |x2|), each length at least `eps`.

    The operands broadcast; the axis is gone from the result. Raises ShapeError for shapes that do not broadcast.

    >>> import gradengine as ge
    >>> ge.nn.functional.cosine_similarity(ge.tensor([[1.0, 0.0]]), ge.tensor([[1.0, 1.0]]))
    tensor([0.7071])
    """
    axis = whole("cosine_similarity", "axis", axis if dim is None else dim)
    check_number("cosine_similarity", "eps", eps, 0)
    x1, x2 = beside("cosine_similarity", x1, x2)
    shape = shapes.broadcast("cosine_similarity", x1.shape, x2.shape)
    a, b = ops.broadcast_to(x1, shape=shape), ops.broadcast_to(x2, shape=shape)
    lengths = [ops.norm(x, axis=axis, keepdims=True) for x in (a, b)]
    # As in PyTorch, the bound has no gradient; each vector is divided before products can overflow.
    bounded = [length + (ops.clip(length.detach(), min=eps) - length.detach()) for length in lengths]
    return ops.sum((a / bounded[0]) * (b / bounded[1]), axis=axis)


if not TYPE_CHECKING:  # to a type checker, other names are simply missing

    def __getattr__(name: str) -> Any:
        from ..missing_names import missing

        raise missing(__name__, name)
