"""Activations as layers. `inplace` is taken for PyTorch's sake: values are never overwritten here.

Each applies the function of the same name in `nn.functional`, which says what it computes. May import functional and
module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from .. import ops
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class Activation(Module):
    """A pointwise function with settings: the base of the layers in this file."""

    function: ClassVar[Callable[..., Tensor]]
    settings: ClassVar[tuple[str, ...]] = ()  # the attributes that the function is called with
    shown: ClassVar[tuple[str, ...]] = ()  # those that the repr shows with their names
    inplace = False

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(input, **{name: getattr(self, name) for name in self.settings})

    def extra_repr(self) -> str:
        parts = [f"{name}={getattr(self, name)!r}" for name in self.shown]
        return ", ".join(parts + ["inplace=True"] * self.inplace)


class Plain(Activation):
    """An activation that has no settings but `inplace`."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(input)


class ReLU(Plain):
    """`max(0, x)`.

    >>> import gradengine as ge
    >>> ge.nn.ReLU()(ge.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    function = staticmethod(F.relu)


class SELU(Plain):
    """The self-normalising ELU (Klambauer et al. 2017)."""

    function = staticmethod(F.selu)


class SiLU(Plain):
    """`x * sigmoid(x)`, also called swish."""

    function = staticmethod(F.silu)


class Mish(Plain):
    """`x * tanh(softplus(x))` (Misra 2019)."""

    function = staticmethod(F.mish)


class Hardsigmoid(Plain):
    """The sigmoid in three straight pieces."""

    function = staticmethod(F.hardsigmoid)


class Hardswish(Plain):
    """`x * hardsigmoid(x)` (Howard et al. 2019)."""

    function = staticmethod(F.hardswish)


class Sigmoid(Activation):
    """`1 / (1 + exp(-x))`.

    >>> import gradengine as ge
    >>> ge.nn.Sigmoid()(ge.tensor(0.0)).item()
    0.5
    """

    function = staticmethod(F.sigmoid)


class LogSigmoid(Activation):
    """`log(sigmoid(x))`, without underflow."""

    function = staticmethod(F.logsigmoid)


class Tanh(Activation):
    """The hyperbolic tangent."""

    function = staticmethod(F.tanh)


class Softsign(Activation):
    """`x / (1 + |x|)`."""

    function = staticmethod(F.softsign)


class LeakyReLU(Activation):
    """`x` where it is positive, else `negative_slope * x`."""

    function = staticmethod(F.leaky_relu)
    settings = shown = ("negative_slope",)

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace


class PReLU(Module):
    """A leaky ReLU that learns its slope: one `weight`, or one for each of `num_parameters` channels (axis 1).

    >>> import gradengine as ge
    >>> ge.nn.PReLU()(ge.tensor([-4.0, 2.0])).tolist()
    [-1.0, 2.0]
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(ops.empty((num_parameters,), device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the slopes to their initial value."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class ELU(Activation):
    """`x` where it is positive, else `alpha * (exp(x) - 1)` (Clevert et al. 2016)."""

    function = staticmethod(F.elu)
    settings = shown = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace


class CELU(Activation):
    """`x` where it is positive, else `alpha * (exp(x / alpha) - 1)` (Barron 2017)."""

    function = staticmethod(F.celu)
    settings = shown = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace


class GELU(Activation):
    """`x` times the normal distribution function of `x`; `approximate="tanh"` is the quicker form."""

    function = staticmethod(F.gelu)
    settings = shown = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate


class Softplus(Activation):
    """`log(1 + exp(beta * x)) / beta`, and `x` itself where `beta * x` is above `threshold`."""

    function = staticmethod(F.softplus)
    settings = shown = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold


class Hardtanh(Activation):
    """`x` limited to the range from `min_val` to `max_val`."""

    function = staticmethod(F.hardtanh)
    settings = shown = ("min_val", "max_val")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace


class ReLU6(Hardtanh):
    """`x` limited to the range from 0 to 6."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        return "inplace=True" * self.inplace


class AlongAxis(Module):
    """A function along the axis `dim`."""

    function: ClassVar[Callable[..., Tensor]]

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(input, axis=self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(AlongAxis):
    """`exp(x)` divided by its sum along the axis `dim`.

    >>> import gradengine as ge
    >>> ge.nn.Softmax(dim=-1)(ge.tensor([0.0, 0.0])).tolist()
    [0.5, 0.5]
    """

    function = staticmethod(F.softmax)


class LogSoftmax(AlongAxis):
    """The logarithm of the softmax along the axis `dim`, without underflow."""

    function = staticmethod(F.log_softmax)
