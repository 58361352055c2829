"""Layers that hold weights or change shapes: Linear, LayerNorm, Flatten, ..."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import ops, shapes
from ..core.tensor_class import Tensor
from ..errors import ArgumentError, AxisError, DTypeError, describe
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class Identity(Module):
    """Returns its input; takes any arguments, so it can stand in for any layer.

    >>> import gradengine as ge
    >>> ge.nn.Identity()(ge.tensor(2.0)).item()
    2.0
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Linear(Module):
    """`x @ weight.T + bias`: from (..., in_features) to (..., out_features).

    `weight` is (out_features, in_features), uniform between +-1 / sqrt(in_features) as in PyTorch; so is `bias`.
    Raises ShapeError when the last axis is not `in_features` long, ArgumentError for sizes that are none.

    >>> import gradengine as ge
    >>> ge.nn.Linear(4, 2)(ge.ones((3, 4))).shape
    (3, 2)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features = size("Linear", "in_features", in_features)
        self.out_features = size("Linear", "out_features", out_features)
        self.weight = Parameter(ops.empty((out_features, in_features), device=device, dtype=dtype))
        self.bias: Parameter | None
        if bias:
            self.bias = Parameter(ops.empty((out_features,), device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class LayerNorm(Module):
    """Zero mean and unit variance over the last axes, then `* weight + bias`, which are learned.

    `normalized_shape` (an int or a tuple) is the shape of those axes. `elementwise_affine=False` leaves weight and
    bias out, `bias=False` the bias. Raises ShapeError when the input's last axes are others. Ba et al. 2016.

    >>> import gradengine as ge
    >>> ge.nn.LayerNorm(2)(ge.tensor([1.0, 3.0])).shape
    (2,)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        for name, wanted in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            learned = Parameter(ops.empty(shape, device=device, dtype=dtype)) if wanted else None
            self.register_parameter(name, learned)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set weights to 1 and biases to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        bias = self.bias is not None
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, bias={bias}"


class Flatten(Module):
    """Makes the axes from `start_dim` to `end_dim` one: (batch, 1, 28, 28) becomes (batch, 784).

    >>> import gradengine as ge
    >>> ge.nn.Flatten()(ge.zeros((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return F.flatten(input, start_dim=self.start_dim, end_dim=self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Makes several axes, of sizes `unflattened_size`, of the axis `dim`; one size may be -1.

    >>> import gradengine as ge
    >>> ge.nn.Unflatten(1, (3, 4))(ge.zeros((2, 12))).shape
    (2, 3, 4)
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        super().__init__()
        if not isinstance(unflattened_size, (tuple, list)):
            raise DTypeError(f"Unflatten: unflattened_size must be a tuple of ints, got {describe(unflattened_size)}")
        self.dim, self.unflattened_size = dim, shapes.sizes_of("Unflatten", unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        shape, ndim = input.shape, input.ndim
        if not -ndim <= self.dim < ndim:
            raise AxisError(f"unflatten: axis {self.dim} is out of range for shape {shape}")
        axis = self.dim % ndim
        known = math.prod(n for n in self.unflattened_size if n != -1)
        if known != shape[axis] and not (-1 in self.unflattened_size and known and shape[axis] % known == 0):
            raise AxisError(f"unflatten: axis {axis} of {shape} cannot become {self.unflattened_size}")
        return ops.reshape(input, shape=shape[:axis] + self.unflattened_size + shape[axis + 1 :])

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


def size(layer: str, name: str, value: Any) -> int:
    """Raise ArgumentError unless `value` is a size: an integer that is not negative."""
    if not isinstance(value, int) or value < 0:
        raise ArgumentError(f"{layer}: {name} must be an integer >= 0, got {describe(value)}")
    return value
