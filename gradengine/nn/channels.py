"""Layers that gate, combine and rearrange channels, and borders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from .. import ops
from ..core.tensor_class import Tensor
from ..errors import ArgumentError, DTypeError, ShapeError, describe
from . import functional as F
from . import init
from .layers import size
from .module import Module
from .parameter import Parameter


class GLU(Module):
    """The gated linear unit along an axis: `functional.glu`.

    >>> import gradengine as ge
    >>> ge.nn.GLU()(ge.tensor([2.0, 4.0, 0.0, 0.0]))
    tensor([1., 2.])
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax2d(Module):
    """The softmax over the channels of (batch, channels, height, width), or of the same without the batch.

    >>> import gradengine as ge
    >>> ge.nn.Softmax2d()(ge.zeros(1, 2, 1, 1)).ravel().tolist()
    [0.5, 0.5]
    """

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            raise ShapeError(f"Softmax2d: needs (batch, channels, height, width) or no batch, got shape {input.shape}")
        return F.softmax(input, axis=-3)


class Bilinear(Module):
    """`x1 @ weight[o] @ x2 + bias[o]` for each output o: `functional.bilinear`.

    `weight` is (out_features, in1_features, in2_features), uniform between +-1 / sqrt(in1_features).

    >>> import gradengine as ge
    >>> ge.nn.Bilinear(3, 4, 5)(ge.ones(2, 3), ge.ones(2, 4)).shape
    (2, 5)
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in1_features = size("Bilinear", "in1_features", in1_features)
        self.in2_features = size("Bilinear", "in2_features", in2_features)
        self.out_features = size("Bilinear", "out_features", out_features)
        if not in1_features:
            raise ArgumentError("Bilinear: in1_features must be above 0")
        shape = (out_features, in1_features, in2_features)
        self.weight = Parameter(ops.empty(shape, device=device, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(ops.empty((out_features,), device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """The input divided by its root mean square over the last axes, times a learned weight: `functional.rms_norm`.

    `normalized_shape` (an int or a tuple) is the shape of those axes; `eps` is that of the dtype unless told.

    >>> import gradengine as ge
    >>> [round(v, 4) for v in ge.nn.RMSNorm(2)(ge.tensor([3.0, 4.0])).tolist()]
    [0.8485, 1.1314]
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        learned = Parameter(ops.empty(shape, device=device, dtype=dtype)) if elementwise_affine else None
        self.register_parameter("weight", learned)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set weights to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class PixelShuffle(Module):
    """Channels to pixels: `functional.pixel_shuffle`.

    >>> import gradengine as ge
    >>> ge.nn.PixelShuffle(2)(ge.zeros(1, 8, 2, 3)).shape
    (1, 2, 4, 6)
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Pixels to channels: `functional.pixel_unshuffle`.

    >>> import gradengine as ge
    >>> ge.nn.PixelUnshuffle(2)(ge.zeros(1, 2, 4, 6)).shape
    (1, 8, 2, 3)
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """Channels in another order: `functional.channel_shuffle`.

    >>> import gradengine as ge
    >>> ge.nn.ChannelShuffle(2)(ge.arange(4).reshape((1, 4, 1))).ravel().tolist()
    [0, 2, 1, 3]
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"


class CosineSimilarity(Module):
    """The cosine of the angle between vectors along an axis: `functional.cosine_similarity`.

    >>> import gradengine as ge
    >>> ge.nn.CosineSimilarity()(ge.tensor([[1.0, 0.0]]), ge.tensor([[1.0, 1.0]]))
    tensor([0.7071])
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, axis=self.dim, eps=self.eps)


class PairwiseDistance(Module):
    """The p-norm of the difference of vectors: `functional.pairwise_distance`.

    >>> import gradengine as ge
    >>> ge.nn.PairwiseDistance(eps=0.0)(ge.tensor([[3.0, 0.0]]), ge.tensor([[0.0, 4.0]]))
    tensor([5.])
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


# -- borders ------------------------------------------------------------------------------------------------------


class Padding(Module):
    """The base of layers that put a border around the last axes: `functional.pad`."""

    axes: ClassVar[int]
    mode: ClassVar[str] = "constant"
    value: float = 0.0

    def __init__(self, padding: Any) -> None:
        super().__init__()
        widths = (padding,) * (2 * self.axes) if isinstance(padding, int) else padding
        if not isinstance(widths, (tuple, list)) or not all(isinstance(w, int) for w in widths):
            raise DTypeError(f"{self._get_name()}: padding must be an int or a tuple of ints, got {describe(padding)}")
        if len(widths) != 2 * self.axes:
            raise ArgumentError(
                f"{self._get_name()}: padding must be an int or {2 * self.axes} ints, got {len(widths)} of them"
            )
        self.padding = tuple(widths)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode, self.value if self.mode == "constant" else None)

    def extra_repr(self) -> str:
        return str(self.padding)


class ConstantPadding(Padding):
    """A border of one value."""

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


def padding_layer(name: str, axes: int, base: type[Padding], mode: str, what: str) -> Any:
    """A layer of a name for inputs with a number of axes."""
    arguments = "1, 5.0" if base is ConstantPadding else "1"
    shape = ", ".join(["1", "1"] + ["3"] * axes)
    padded = ", ".join(["1", "1"] + ["5"] * axes)
    doc = f"""{what} around the last {axes} {"axes" if axes > 1 else "axis"}: `functional.pad`.

    `padding` is one width, or (before, after) of the last axis, then of the one before it.

    >>> import gradengine as ge
    >>> ge.nn.{name}({arguments})(ge.zeros({shape})).shape
    ({padded})
    """
    return type(name, (base,), {"__doc__": doc, "__module__": __name__, "axes": axes, "mode": mode})


ZeroPad1d, ZeroPad2d, ZeroPad3d = (
    padding_layer(f"ZeroPad{n}d", n, Padding, "constant", "A border of zeros") for n in (1, 2, 3)
)
ConstantPad1d, ConstantPad2d, ConstantPad3d = (
    padding_layer(f"ConstantPad{n}d", n, ConstantPadding, "constant", "A border of one value") for n in (1, 2, 3)
)
ReflectionPad1d, ReflectionPad2d, ReflectionPad3d = (
    padding_layer(f"ReflectionPad{n}d", n, Padding, "reflect", "A border that mirrors the input") for n in (1, 2, 3)
)
ReplicationPad1d, ReplicationPad2d, ReplicationPad3d = (
    padding_layer(f"ReplicationPad{n}d", n, Padding, "replicate", "A border that repeats the edge") for n in (1, 2, 3)
)
CircularPad1d, CircularPad2d, CircularPad3d = (
    padding_layer(f"CircularPad{n}d", n, Padding, "circular", "A border that goes on at the other side")
    for n in (1, 2, 3)
)
