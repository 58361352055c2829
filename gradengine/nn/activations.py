"""Activations as layers. With `inplace`, the input itself gets the result's values.

Each applies the function of the same name in `nn.functional`, which says what it computes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from .. import ops
from ..core.tensor_class import Tensor
from ..ops.activations import check_limits
from ..validation import check_choice
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
        settings = {name: getattr(self, name) for name in self.settings}
        if self.inplace:
            settings["inplace"] = True
        return type(self).function(input, **settings)

    def extra_repr(self) -> str:
        parts = [f"{name}={getattr(self, name)!r}" for name in self.shown]
        return ", ".join(parts + ["inplace=True"] * self.inplace)


class Plain(Activation):
    """An activation that has no settings but `inplace`."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(input, inplace=True) if self.inplace else type(self).function(input)


class ReLU(Plain):
    """`max(0, x)`.

    >>> import gradengine as ge
    >>> ge.nn.ReLU()(ge.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    function = staticmethod(F.relu)


class ReLU6(Plain):
    """`x` limited to the range from 0 to 6.

    >>> import gradengine as ge
    >>> ge.nn.ReLU6()(ge.tensor([-3.0, 0.0, 8.0]))
    tensor([0., 0., 6.])
    """

    function = staticmethod(F.relu6)


class SELU(Plain):
    """The self-normalising ELU (Klambauer et al. 2017).

    >>> import gradengine as ge
    >>> ge.nn.SELU()(ge.tensor([-2.0, 0.0, 3.0]))
    tensor([-1.5202,  0.    ,  3.1521])
    """

    function = staticmethod(F.selu)


class SiLU(Plain):
    """`x * sigmoid(x)`, also called swish.

    >>> import gradengine as ge
    >>> ge.nn.SiLU()(ge.tensor([-2.0, 0.0, 3.0]))
    tensor([-0.2384,  0.    ,  2.8577])
    """

    function = staticmethod(F.silu)


class Mish(Plain):
    """`x * tanh(softplus(x))` (Misra 2019).

    >>> import gradengine as ge
    >>> ge.nn.Mish()(ge.tensor([-2.0, 0.0, 3.0]))
    tensor([-0.2525,  0.    ,  2.9865])
    """

    function = staticmethod(F.mish)


class Hardsigmoid(Plain):
    """The sigmoid in three straight pieces.

    >>> import gradengine as ge
    >>> ge.nn.Hardsigmoid()(ge.tensor([-2.0, 0.0, 3.0]))
    tensor([0.1667, 0.5   , 1.    ])
    """

    function = staticmethod(F.hardsigmoid)


class Hardswish(Plain):
    """`x * hardsigmoid(x)` (Howard et al. 2019).

    >>> import gradengine as ge
    >>> ge.nn.Hardswish()(ge.tensor([-2.0, 0.0, 3.0]))
    tensor([-0.3333,  0.    ,  3.    ])
    """

    function = staticmethod(F.hardswish)


class Sigmoid(Activation):
    """`1 / (1 + exp(-x))`.

    >>> import gradengine as ge
    >>> ge.nn.Sigmoid()(ge.tensor(0.0)).item()
    0.5
    """

    function = staticmethod(F.sigmoid)


class LogSigmoid(Activation):
    """`log(sigmoid(x))`, without underflow.

    >>> import gradengine as ge
    >>> ge.nn.LogSigmoid()(ge.tensor([-2.0, 0.0, 3.0]))
    tensor([-2.1269, -0.6931, -0.0486])
    """

    function = staticmethod(F.logsigmoid)


class Tanh(Activation):
    """The hyperbolic tangent.

    >>> import gradengine as ge
    >>> ge.nn.Tanh()(ge.tensor([-2.0, 0.0, 3.0]))
    tensor([-0.964 ,  0.    ,  0.9951])
    """

    function = staticmethod(F.tanh)


class Softsign(Activation):
    """`x / (1 + |x|)`.

    >>> import gradengine as ge
    >>> ge.nn.Softsign()(ge.tensor([-2.0, 0.0, 3.0]))
    tensor([-0.6667,  0.    ,  0.75  ])
    """

    function = staticmethod(F.softsign)


class Tanhshrink(Activation):
    """`x - tanh(x)`.

    >>> import gradengine as ge
    >>> ge.nn.Tanhshrink()(ge.tensor([-2.0, 0.0, 3.0]))
    tensor([-1.036 ,  0.    ,  2.0049])
    """

    function = staticmethod(F.tanhshrink)


class LeakyReLU(Activation):
    """`x` where it is positive, else `negative_slope * x`.

    >>> import gradengine as ge
    >>> ge.nn.LeakyReLU(0.1)(ge.tensor([-2.0, 0.0, 3.0]))
    tensor([-0.2,  0. ,  3. ])
    """

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
    """`x` where it is positive, else `alpha * (exp(x) - 1)` (Clevert et al. 2016).

    >>> import gradengine as ge
    >>> ge.nn.ELU()(ge.tensor([-2.0, 0.0, 3.0]))
    tensor([-0.8647,  0.    ,  3.    ])
    """

    function = staticmethod(F.elu)
    settings = shown = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace


class CELU(Activation):
    """`x` where it is positive, else `alpha * (exp(x / alpha) - 1)` (Barron 2017).

    >>> import gradengine as ge
    >>> ge.nn.CELU(alpha=2.0)(ge.tensor([-2.0, 0.0, 3.0]))
    tensor([-1.2642,  0.    ,  3.    ])
    """

    function = staticmethod(F.celu)
    settings = shown = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace


class GELU(Activation):
    """`x` times the normal distribution function of `x`; `approximate="tanh"` is the quicker form.

    >>> import gradengine as ge
    >>> ge.nn.GELU(approximate="tanh")(ge.tensor([-2.0, 0.0, 3.0]))
    tensor([-0.0454,  0.    ,  2.9964])
    """

    function = staticmethod(F.gelu)
    settings = shown = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = check_choice("GELU", "approximate", approximate, ("none", "tanh"))


class Softplus(Activation):
    """`log(1 + exp(beta * x)) / beta`, and `x` itself where `beta * x` is above `threshold`.

    >>> import gradengine as ge
    >>> ge.nn.Softplus()(ge.tensor([-2.0, 0.0, 3.0]))
    tensor([0.1269, 0.6931, 3.0486])
    """

    function = staticmethod(F.softplus)
    settings = shown = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold


class Hardtanh(Activation):
    """`x` limited to the range from `min_val` to `max_val`.

    >>> import gradengine as ge
    >>> ge.nn.Hardtanh()(ge.tensor([-2.0, 0.0, 3.0]))
    tensor([-1.,  0.,  1.])
    """

    function = staticmethod(F.hardtanh)
    settings = shown = ("min_val", "max_val")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        check_limits("Hardtanh", {"min_val": min_val, "max_val": max_val})
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace


class Threshold(Activation):
    """`x` where it is above `threshold`, else `value`.

    >>> import gradengine as ge
    >>> ge.nn.Threshold(0.5, -7)(ge.tensor([0.25, 2.0]))
    tensor([-7.,  2.])
    """

    function = staticmethod(F.threshold)
    settings = ("threshold", "value")

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}" + ", inplace=True" * self.inplace


class Hardshrink(Activation):
    """`x` where it is farther from 0 than `lambd`, else 0.

    >>> import gradengine as ge
    >>> ge.nn.Hardshrink()(ge.tensor([-2.0, 0.0, 3.0]))
    tensor([-2.,  0.,  3.])
    """

    function = staticmethod(F.hardshrink)
    settings = ("lambd",)

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def extra_repr(self) -> str:
        return str(self.lambd)


class Softshrink(Hardshrink):
    """`x` moved towards 0 by `lambd`, and not beyond.

    >>> import gradengine as ge
    >>> ge.nn.Softshrink()(ge.tensor([-2.0, 0.0, 3.0]))
    tensor([-1.5,  0. ,  2.5])
    """

    function = staticmethod(F.softshrink)


class AlongAxis(Module):
    """A function along the axis `dim`; without one along that which `functional.softmax` takes, as in PyTorch."""

    function: ClassVar[Callable[..., Tensor]]

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        dim = F.axis_or_implicit(type(self).__name__, input, self.dim)
        return type(self).function(input, axis=dim)

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
    """The logarithm of the softmax along the axis `dim`, without underflow.

    >>> import gradengine as ge
    >>> ge.nn.LogSoftmax()(ge.tensor([0.0, 0.0]))
    tensor([-0.6931, -0.6931])
    """

    function = staticmethod(F.log_softmax)


class Softmin(AlongAxis):
    """The softmax of `-x` along the axis `dim`.

    >>> import gradengine as ge
    >>> ge.nn.Softmin()(ge.tensor([0.0, 1000.0, 0.0]))
    tensor([0.5, 0. , 0.5])
    """

    function = staticmethod(F.softmin)
