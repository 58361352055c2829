"""Layers that draw random numbers in training: all forms of dropout, and RReLU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..core.tensor_class import Tensor
from ..errors import ArgumentError, describe
from . import functional as F
from .module import Module


class DropoutLayer(Module):
    """The base of the layers that drop: with probability `p`, in training."""

    function: ClassVar[Callable[..., Tensor]]

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ArgumentError(f"{self._get_name()}: p must be a probability from 0 to 1, got {describe(p)}")
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(input, p=self.p, training=self.training, inplace=self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(DropoutLayer):
    """In training, sets each element to 0 with probability `p` and divides the others by 1 - p; else the identity.

    With `inplace`, the input itself changes. Raises ArgumentError unless p is from 0 to 1. Srivastava et al. 2014.

    >>> import gradengine as ge
    >>> layer = ge.nn.Dropout(0.5)
    >>> sorted(set(layer(ge.ones(100)).tolist()))
    [0.0, 2.0]
    >>> layer.eval()(ge.ones(2)).tolist()
    [1.0, 1.0]
    """

    function = staticmethod(F.dropout)


class Dropout1d(DropoutLayer):
    """Dropout of whole channels of (batch, channels, length): `functional.dropout1d`.

    >>> import gradengine as ge
    >>> ge.nn.Dropout1d().eval()(ge.ones(1, 2, 3)).shape
    (1, 2, 3)
    """

    function = staticmethod(F.dropout1d)


class Dropout2d(DropoutLayer):
    """Dropout of whole channels of (batch, channels, height, width): `functional.dropout2d`.

    >>> import gradengine as ge
    >>> ge.nn.Dropout2d().eval()(ge.ones(1, 2, 3, 3)).shape
    (1, 2, 3, 3)
    """

    function = staticmethod(F.dropout2d)


class Dropout3d(DropoutLayer):
    """Dropout of whole channels of (batch, channels, depth, height, width): `functional.dropout3d`.

    >>> import gradengine as ge
    >>> ge.nn.Dropout3d().eval()(ge.ones(1, 2, 3, 3, 3)).shape
    (1, 2, 3, 3, 3)
    """

    function = staticmethod(F.dropout3d)


class AlphaDropout(DropoutLayer):
    """Dropout for SELU, which keeps zero mean and unit variance: `functional.alpha_dropout`.

    >>> import gradengine as ge
    >>> ge.nn.AlphaDropout(0.2).eval()(ge.ones(2)).tolist()
    [1.0, 1.0]
    """

    function = staticmethod(F.alpha_dropout)


class FeatureAlphaDropout(DropoutLayer):
    """Alpha dropout of whole channels: `functional.feature_alpha_dropout`.

    >>> import gradengine as ge
    >>> ge.nn.FeatureAlphaDropout().eval()(ge.ones(1, 2, 3)).shape
    (1, 2, 3)
    """

    function = staticmethod(F.feature_alpha_dropout)


class RReLU(Module):
    """A leaky ReLU whose slope is drawn from `lower` to `upper` in training, and their mean else: `functional.rrelu`.

    >>> import gradengine as ge
    >>> ge.nn.RReLU().eval()(ge.tensor([-24.0, 1.0]))
    tensor([-5.5,  1. ])
    """

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        if not lower <= upper:
            raise ArgumentError(f"RReLU: lower must not be above upper, got {lower!r} and {upper!r}")
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Any) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")
