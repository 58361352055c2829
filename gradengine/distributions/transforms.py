"""Transforms: invertible functions with the logarithm of their derivative."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import ops
from ..core.tensor_class import Tensor
from ..errors import DTypeError, describe
from ..shapes.dtypes import finfo
from ..validation import check_choice, check_integer, is_number, known_calls
from . import constraints
from .constraints import Constraint
from .distribution import event_sum

__all__ = [
    "AffineTransform",
    "ComposeTransform",
    "ExpTransform",
    "PowerTransform",
    "SigmoidTransform",
    "SoftplusTransform",
    "TanhTransform",
    "Transform",
]


class Transform:
    """An invertible function: `t(x)`, `t.inv(y)`, and `t.log_abs_det_jacobian(x, y)`.

    Subclasses define `_call`, `_inverse` and `log_abs_det_jacobian`, and say their `domain` and `codomain`.

    >>> import gradengine as ge
    >>> t = ge.distributions.ExpTransform()
    >>> round(t.inv(t(ge.tensor(2.0))).item(), 4)
    2.0
    """

    bijective = True
    domain: Any = constraints.real
    codomain: Any = constraints.real
    sign: Any = 1

    def __init__(self, cache_size: int = 0) -> None:
        check_choice(type(self).__name__, "cache_size", cache_size, (0, 1))
        self._inverted: Transform | None = None

    @property
    def event_dim(self) -> int:
        """How many axes of the input belong together."""
        return max(self.domain.event_dim, self.codomain.event_dim)

    @property
    def inv(self) -> Any:
        """The inverse transform."""
        return Inverse(self)

    def __call__(self, x: Any) -> Any:
        return self._call(x)

    def _call(self, x: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no _call")

    def _inverse(self, y: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no _inverse")

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The logarithm of |dy / dx|."""
        raise NotImplementedError(f"{type(self).__name__} has no log_abs_det_jacobian")

    def forward_shape(self, shape: Any) -> Any:
        """The shape of the result for an input of a shape."""
        return shape

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Inverse(Transform):
    """The inverse of a transform."""

    def __init__(self, base: Transform) -> None:
        super().__init__()
        self.base, self.domain, self.codomain = base, base.codomain, base.domain
        self.sign, self.bijective = base.sign, base.bijective

    @property
    def inv(self) -> Any:
        return self.base

    def _call(self, x: Any) -> Any:
        return self.base._inverse(x)

    def _inverse(self, y: Any) -> Any:
        return self.base._call(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -self.base.log_abs_det_jacobian(y, x)


class AffineTransform(Transform):
    """`loc + scale * x`; `event_dim` axes belong together.

    >>> import gradengine as ge
    >>> ge.distributions.AffineTransform(1.0, 2.0)(ge.tensor(3.0)).item()
    7.0
    """

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc = number_or_tensor("AffineTransform", "loc", loc)
        self.scale = number_or_tensor("AffineTransform", "scale", scale)
        count = check_integer("AffineTransform", "event_dim", event_dim, 0)
        self.domain = self.codomain = constraints.independent(constraints.real, count)

    @property
    def sign(self) -> Any:
        return ops.sign(self.scale) if hasattr(self.scale, "shape") else math.copysign(1, self.scale)

    def _call(self, x: Any) -> Any:
        return self.loc + self.scale * x

    def _inverse(self, y: Any) -> Any:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        scale = self.scale
        found = ops.log(ops.abs(scale)) if hasattr(scale, "shape") else math.log(abs(scale))
        return event_sum(0 * x + found, self.event_dim)


class ExpTransform(Transform):
    """`exp(x)`.

    >>> import gradengine as ge
    >>> ge.distributions.ExpTransform()(ge.tensor(0.0)).item()
    1.0
    """

    codomain = constraints.positive

    def _call(self, x: Any) -> Any:
        return ops.exp(x)

    def _inverse(self, y: Any) -> Any:
        return ops.log(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return x


class PowerTransform(Transform):
    """`x ** exponent` of positive numbers.

    >>> import gradengine as ge
    >>> ge.distributions.PowerTransform(2.0)(ge.tensor(3.0)).item()
    9.0
    """

    domain = constraints.positive
    codomain = constraints.positive

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent = number_or_tensor("PowerTransform", "exponent", exponent)

    def _call(self, x: Any) -> Any:
        return x**self.exponent

    def _inverse(self, y: Any) -> Any:
        return y ** (1 / self.exponent)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return ops.log(ops.abs(self.exponent * y / x))


class SigmoidTransform(Transform):
    """The sigmoid.

    >>> import gradengine as ge
    >>> ge.distributions.SigmoidTransform()(ge.tensor(0.0)).item()
    0.5
    """

    codomain = constraints.unit_interval

    def _call(self, x: Any) -> Any:
        info = finfo(x.dtype)
        return ops.clip(ops.sigmoid(x), min=float(info.tiny), max=1.0 - float(info.eps))

    def _inverse(self, y: Any) -> Any:
        info = finfo(y.dtype)
        y = ops.clip(y, min=float(info.tiny), max=1.0 - float(info.eps))
        return ops.log(y) - ops.log1p(-y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return ops.log_sigmoid(x) + ops.log_sigmoid(-x)


class TanhTransform(Transform):
    """The hyperbolic tangent.

    >>> import gradengine as ge
    >>> ge.distributions.TanhTransform()(ge.tensor(0.0)).item()
    0.0
    """

    codomain = constraints.interval(-1.0, 1.0)

    def _call(self, x: Any) -> Any:
        return ops.tanh(x)

    def _inverse(self, y: Any) -> Any:
        return ops.atanh(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return 2.0 * (math.log(2.0) - x + ops.log_sigmoid(2.0 * x))  # as x - softplus(-2x): without cancellation


class SoftplusTransform(Transform):
    """`log(1 + exp(x))`.

    >>> import gradengine as ge
    >>> round(ge.distributions.SoftplusTransform()(ge.tensor(0.0)).item(), 4)
    0.6931
    """

    codomain = constraints.positive

    def _call(self, x: Any) -> Any:
        return -ops.log_sigmoid(-x)

    def _inverse(self, y: Any) -> Any:
        return ops.log(-ops.expm1(-y)) + y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return ops.log_sigmoid(x)


class ComposeTransform(Transform):
    """Several transforms, one after the other.

    >>> import gradengine as ge
    >>> d = ge.distributions
    >>> d.ComposeTransform([d.AffineTransform(0.0, 2.0), d.ExpTransform()])(ge.tensor(0.0)).item()
    1.0
    """

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = checked_transforms("ComposeTransform", parts)
        self.domain: Constraint = self.parts[0].domain if self.parts else constraints.real
        self.codomain: Constraint = self.parts[-1].codomain if self.parts else constraints.real

    @property
    def event_dim(self) -> int:
        return max([part.event_dim for part in self.parts], default=0)

    @property
    def sign(self) -> Any:
        return math.prod(part.sign for part in self.parts)

    def _call(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x

    def _inverse(self, y: Any) -> Any:
        for part in reversed(self.parts):
            y = part._inverse(y)
        return y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        total: Any = 0.0 * event_sum(x, self.event_dim)
        for part in self.parts:
            following = part(x)
            total = total + event_sum(part.log_abs_det_jacobian(x, following), self.event_dim - part.event_dim)
            x = following
        return total

    def __repr__(self) -> str:
        return f"ComposeTransform({self.parts})"


def checked_transforms(owner: str, transforms: Any) -> list[Transform]:
    """Transforms in a list. Raises DTypeError for what are none."""
    parts = [transforms] if isinstance(transforms, Transform) else transforms
    if not isinstance(parts, (list, tuple)) or not all(isinstance(part, Transform) for part in parts):
        raise DTypeError(f"{owner}: needs Transforms, got {describe(transforms)}")
    return list(parts)


identity_transform = ComposeTransform([])


def number_or_tensor(owner: str, name: str, value: Any) -> Any:
    """A parameter of a transform, as it is. Raises DTypeError for what is neither a number nor a Tensor."""
    if not is_number(value) and not isinstance(value, Tensor):
        raise DTypeError(f"{owner}: {name} must be a number or a Tensor, got {describe(value)}")
    return value


known_calls(__name__)
