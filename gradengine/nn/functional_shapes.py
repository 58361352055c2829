"""Functions that gate, combine and rearrange channels: glu, bilinear, rms_norm, pixel_shuffle and the like."""

from __future__ import annotations

import math
from typing import Any

from .. import ops, shapes
from ..core.tensor_class import Tensor, wrap
from ..errors import ArgumentError, ShapeError
from ..ops.arguments import beside, checked, whole
from ..shapes.dtypes import finfo, is_half

__all__ = ["bilinear", "channel_shuffle", "glu", "pixel_shuffle", "pixel_unshuffle", "rms_norm"]


@checked
def glu(input: Any, dim: int = -1) -> Tensor:
    """The gated linear unit: the first half along an axis times the sigmoid of the second half.

    Raises ShapeError for an axis of odd size. Source: Dauphin et al., arXiv:1612.08083.

    >>> import gradengine as ge
    >>> ge.nn.functional.glu(ge.tensor([2.0, 4.0, 0.0, 0.0]))
    tensor([1., 2.])
    """
    x = wrap(input)
    axis = shapes.axis_of("glu", dim, x.ndim)
    if x.shape[axis] % 2:
        raise ShapeError(f"glu: the size of axis {dim} must be even, got shape {x.shape}")
    half = x.shape[axis] // 2
    return ops.narrow(x, axis, 0, half) * ops.sigmoid(ops.narrow(x, axis, half, half))


@checked
def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Tensor:
    """`input1 @ weight[o] @ input2` for each output o, plus the bias: (..., in1), (..., in2) -> (..., out).

    `weight` is (out, in1, in2). Raises ShapeError for shapes that do not fit.

    >>> import gradengine as ge
    >>> ge.nn.functional.bilinear(ge.ones(2, 3), ge.ones(2, 4), ge.ones(5, 3, 4)).shape
    (2, 5)
    """
    a, b, w = beside("bilinear", input1, input2, weight)
    if w.ndim != 3 or not a.ndim or a.shape[:-1] != b.shape[:-1] or (a.shape[-1], b.shape[-1]) != w.shape[1:]:
        raise ShapeError(
            f"bilinear: needs (..., in1), (..., in2) and a weight (out, in1, in2), got {a.shape}, {b.shape} and "
            f"{w.shape}"
        )
    rows, (count, in1, in2) = math.prod(a.shape[:-1]), w.shape
    a, b = ops.reshape(a, (rows, in1)), ops.reshape(b, (rows, 1, in2))
    # (rows, in1) @ (in1, out * in2) -> (rows, out, in2)
    products: Any = ops.matmul(a, ops.reshape(ops.permute_dims(w, (1, 0, 2)), (in1, count * in2)))
    out: Any = ops.sum(ops.reshape(products, (rows, count, in2)) * b, axis=-1)
    out = ops.reshape(out, (*wrap(input1).shape[:-1], count))
    return out if bias is None else out + wrap(bias)


@checked
def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Tensor:
    """The input divided by its root mean square over the last axes, then times `weight`.

    `normalized_shape` (an int or a tuple) is the shape of those axes and of `weight`; `eps` is that of the dtype
    unless told. Raises ShapeError when one of them has another shape. Source: Zhang and Sennrich (2019).

    >>> import gradengine as ge
    >>> ge.nn.functional.rms_norm(ge.tensor([[3.0, 4.0]]), 2)
    tensor([[0.8485, 1.1314]])
    """
    x = wrap(input)
    wanted = shapes.sizes_of("rms_norm", normalized_shape, "normalized_shape is")
    if not wanted or x.shape[len(x.shape) - len(wanted) :] != wanted:
        raise ShapeError(f"rms_norm: the input's last axes must be normalized_shape {wanted}, got shape {x.shape}")
    least = float(finfo(x.dtype).eps) if eps is None else eps
    wide = x.to("float32") if is_half(x.dtype) else x  # float16 has no squares above 65504
    out = wide * ops.rsqrt(ops.mean(wide * wide, axis=tuple(range(-len(wanted), 0)), keepdims=True) + least)
    out = out.to(x.dtype)
    if weight is None:
        return out
    w = wrap(weight)
    if w.shape != wanted:
        raise ShapeError(f"rms_norm: weight must have the shape {wanted}, got {w.shape}")
    return out * w


@checked
def pixel_shuffle(input: Any, upscale_factor: int) -> Tensor:
    """Channels to pixels: (..., C r r, H, W) -> (..., C, H r, W r). Raises ShapeError for channels that do not divide.

    >>> import gradengine as ge
    >>> ge.nn.functional.pixel_shuffle(ge.zeros(1, 8, 2, 3), 2).shape
    (1, 2, 4, 6)
    """
    x, r = wrap(input), factor("pixel_shuffle", "upscale_factor", upscale_factor)
    if x.ndim < 3 or x.shape[-3] % (r * r):
        raise ShapeError(
            f"pixel_shuffle: needs (..., channels, H, W) with channels divisible by {r * r}, got {x.shape}"
        )
    *front, c, h, w = x.shape
    parts = ops.reshape(x, (-1, c // (r * r), r, r, h, w))
    return ops.reshape(ops.permute_dims(parts, (0, 1, 4, 2, 5, 3)), (*front, c // (r * r), h * r, w * r))


@checked
def pixel_unshuffle(input: Any, downscale_factor: int) -> Tensor:
    """Pixels to channels: (..., C, H r, W r) -> (..., C r r, H, W). Raises ShapeError for sizes that do not divide.

    >>> import gradengine as ge
    >>> ge.nn.functional.pixel_unshuffle(ge.zeros(1, 2, 4, 6), 2).shape
    (1, 8, 2, 3)
    """
    x, r = wrap(input), factor("pixel_unshuffle", "downscale_factor", downscale_factor)
    if x.ndim < 3 or x.shape[-1] % r or x.shape[-2] % r:
        raise ShapeError(f"pixel_unshuffle: needs (..., channels, H, W) with H and W divisible by {r}, got {x.shape}")
    *front, c, h, w = x.shape
    parts = ops.reshape(x, (-1, c, h // r, r, w // r, r))
    return ops.reshape(ops.permute_dims(parts, (0, 1, 3, 5, 2, 4)), (*front, c * r * r, h // r, w // r))


@checked
def channel_shuffle(input: Any, groups: int) -> Tensor:
    """Channels (axis 1) in another order: as if they were a (groups, C / groups) table that is transposed.

    Raises ShapeError for channels that do not divide. Source: Zhang et al., ShuffleNet (2018).

    >>> import gradengine as ge
    >>> ge.nn.functional.channel_shuffle(ge.arange(4).reshape((1, 4, 1)), 2).ravel().tolist()
    [0, 2, 1, 3]
    """
    x, g = wrap(input), factor("channel_shuffle", "groups", groups)
    if x.ndim < 3 or x.shape[1] % g:
        raise ShapeError(f"channel_shuffle: needs (batch, channels, ...) with channels divisible by {g}, got {x.shape}")
    n, c, *rest = x.shape
    return ops.reshape(ops.swapaxes(ops.reshape(x, (n, g, c // g, *rest)), 1, 2), x.shape)


def factor(name: str, what: str, value: Any) -> int:
    """A positive integer."""
    found = whole(name, what, value)
    if found < 1:
        raise ArgumentError(f"{name}: {what} must be above 0, got {value!r}")
    return found
