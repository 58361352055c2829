"""Distributions on the line: Normal, Uniform, Laplace, Cauchy, Gumbel, Exponential, HalfNormal."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from .. import ops
from ..core.host_callbacks import current
from ..errors import ArgumentError
from ..shapes.dtypes import finfo
from . import constraints
from .constraints import Constraint
from .distribution import LOG_2PI, Distribution, brief, broadcast_all

EULER = 0.5772156649015329


def uniform01(shape: tuple[int, ...], like: Any) -> Any:
    """Uniform numbers in (0, 1): neither end."""
    u = ops.rand(shape, dtype=like.dtype, device=like.device)
    return ops.clip(u, min=float(finfo(like.dtype).tiny), max=1 - float(finfo(like.dtype).eps) / 2)


class LocationScale(Distribution):
    """The base of distributions with `loc` and `scale`."""

    arg_constraints: ClassVar[dict[str, Constraint]] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(type(self).__name__, loc, scale)
        super().__init__(self.loc.shape, (), validate_args)

    def standard(self, value: Any) -> Any:
        """A value in units of the scale."""
        return (self._validated(value) - self.loc) / self.scale


class Normal(LocationScale):
    """The normal distribution with mean `loc` and standard deviation `scale`.

    >>> import gradengine as ge
    >>> normal = ge.distributions.Normal(0.0, 1.0)
    >>> round(normal.log_prob(ge.tensor(0.0)).item(), 4)
    -0.9189
    """

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def stddev(self) -> Any:
        return self.scale

    @property
    def variance(self) -> Any:
        return self.scale * self.scale

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        return self.loc + self.scale * ops.randn(shape, dtype=self.loc.dtype, device=self.loc.device)

    def log_prob(self, value: Any) -> Any:
        z = self.standard(value)
        return -0.5 * (z * z) - ops.log(self.scale) - 0.5 * LOG_2PI

    def cdf(self, value: Any) -> Any:
        return 0.5 * (1 + ops.erf(self.standard(value) / math.sqrt(2)))

    def icdf(self, value: Any) -> Any:
        return self.loc + self.scale * ops.erfinv(2 * value - 1) * math.sqrt(2)

    def entropy(self) -> Any:
        return 0.5 + 0.5 * LOG_2PI + ops.log(self.scale)


class Laplace(LocationScale):
    """The Laplace distribution: density exp(-|x - loc| / scale) / (2 scale).

    >>> import gradengine as ge
    >>> round(ge.distributions.Laplace(0.0, 1.0).log_prob(ge.tensor(1.0)).item(), 4)
    -1.6931
    """

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return 2 * self.scale * self.scale

    @property
    def stddev(self) -> Any:
        return math.sqrt(2) * self.scale

    def rsample(self, sample_shape: Any = ()) -> Any:
        u = 2 * uniform01(self._extended_shape(sample_shape), self.loc) - 1
        limit = 1 - float(finfo(self.loc.dtype).eps) / 2
        return self.loc - self.scale * ops.sign(u) * ops.log1p(-ops.clip(ops.abs(u), max=limit))

    def log_prob(self, value: Any) -> Any:
        return -ops.log(2 * self.scale) - ops.abs(self.standard(value))

    def cdf(self, value: Any) -> Any:
        z = self.standard(value)
        return 0.5 - 0.5 * ops.sign(z) * ops.expm1(-ops.abs(z))

    def icdf(self, value: Any) -> Any:
        term = value - 0.5
        return self.loc - self.scale * ops.sign(term) * ops.log1p(-2 * ops.abs(term))

    def entropy(self) -> Any:
        return 1 + ops.log(2 * self.scale)


class Cauchy(LocationScale):
    """The Cauchy distribution, which has no mean and an infinite variance.

    >>> import gradengine as ge
    >>> round(ge.distributions.Cauchy(0.0, 1.0).log_prob(ge.tensor(0.0)).item(), 4)
    -1.1447
    """

    @property
    def mean(self) -> Any:
        return ops.full_like(self.loc.detach(), math.nan)

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return ops.full_like(self.loc.detach(), math.inf)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.icdf(uniform01(self._extended_shape(sample_shape), self.loc))

    def log_prob(self, value: Any) -> Any:
        z = self.standard(value)
        return -math.log(math.pi) - ops.log(self.scale) - ops.log1p(z * z)

    def cdf(self, value: Any) -> Any:
        return ops.atan(self.standard(value)) / math.pi + 0.5

    def icdf(self, value: Any) -> Any:
        return self.loc + self.scale * ops.tan(math.pi * (value - 0.5))

    def entropy(self) -> Any:
        return math.log(4 * math.pi) + ops.log(self.scale)


class Gumbel(LocationScale):
    """The Gumbel distribution: of the largest of many.

    >>> import gradengine as ge
    >>> round(ge.distributions.Gumbel(0.0, 1.0).mean.item(), 4)
    0.5772
    """

    @property
    def mean(self) -> Any:
        return self.loc + EULER * self.scale

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return (math.pi**2 / 6) * self.scale * self.scale

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.icdf(uniform01(self._extended_shape(sample_shape), self.loc))

    def log_prob(self, value: Any) -> Any:
        z = -self.standard(value)
        return z - ops.exp(z) - ops.log(self.scale)

    def cdf(self, value: Any) -> Any:
        return ops.exp(-ops.exp(-self.standard(value)))

    def icdf(self, value: Any) -> Any:
        return self.loc - self.scale * ops.log(-ops.log(value))

    def entropy(self) -> Any:
        return ops.log(self.scale) + (1 + EULER)


class Uniform(Distribution):
    """The uniform distribution from `low` up to `high`. Raises ArgumentError unless low is below high.

    >>> import gradengine as ge
    >>> ge.distributions.Uniform(0.0, 4.0).log_prob(ge.tensor(1.0)).exp().item()
    0.25
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {"low": constraints.dependent, "high": constraints.dependent}
    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = broadcast_all("Uniform", low, high)
        super().__init__(self.low.shape, (), validate_args)
        if self._validate_args and current.trace is None and not bool(ops.all(self.low < self.high)):
            raise ArgumentError(f"Uniform: low must be below high, got {brief(self.low)} and {brief(self.high)}")

    @property
    def support(self) -> Constraint:
        return constraints.interval(self.low, self.high)

    @property
    def mean(self) -> Any:
        return (self.low + self.high) / 2

    @property
    def mode(self) -> Any:
        return ops.full_like(self.low.detach(), math.nan)

    @property
    def stddev(self) -> Any:
        return (self.high - self.low) / math.sqrt(12)

    @property
    def variance(self) -> Any:
        width = self.high - self.low
        return width * width / 12

    def rsample(self, sample_shape: Any = ()) -> Any:
        u = ops.rand(self._extended_shape(sample_shape), dtype=self.low.dtype, device=self.low.device)
        return self.low + u * (self.high - self.low)

    def log_prob(self, value: Any) -> Any:
        value = self._validated(value)
        width = ops.log(self.high - self.low)
        inside = (value >= self.low) & (value < self.high)
        return ops.where(inside, -width, -math.inf)

    def cdf(self, value: Any) -> Any:
        return ops.clip((self._validated(value) - self.low) / (self.high - self.low), min=0, max=1)

    def icdf(self, value: Any) -> Any:
        return self.low + value * (self.high - self.low)

    def entropy(self) -> Any:
        return ops.log(self.high - self.low)


class Exponential(Distribution):
    """The exponential distribution: density rate * exp(-rate * x) from 0 on.

    >>> import gradengine as ge
    >>> ge.distributions.Exponential(2.0).mean.item()
    0.5
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {"rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all("Exponential", rate)
        super().__init__(self.rate.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return 1 / self.rate

    @property
    def mode(self) -> Any:
        return ops.zeros_like(self.rate.detach())

    @property
    def stddev(self) -> Any:
        return 1 / self.rate

    @property
    def variance(self) -> Any:
        return 1 / (self.rate * self.rate)

    def rsample(self, sample_shape: Any = ()) -> Any:
        u = ops.rand(self._extended_shape(sample_shape), dtype=self.rate.dtype, device=self.rate.device)
        return -ops.log1p(-u) / self.rate

    def log_prob(self, value: Any) -> Any:
        return ops.log(self.rate) - self.rate * self._validated(value)

    def cdf(self, value: Any) -> Any:
        return -ops.expm1(-self.rate * self._validated(value))

    def icdf(self, value: Any) -> Any:
        return -ops.log1p(-value) / self.rate

    def entropy(self) -> Any:
        return 1 - ops.log(self.rate)


class HalfNormal(Distribution):
    """The distribution of |x| for a normal x with mean 0 and standard deviation `scale`.

    >>> import gradengine as ge
    >>> round(ge.distributions.HalfNormal(1.0).mean.item(), 4)
    0.7979
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        (self.scale,) = broadcast_all("HalfNormal", scale)
        super().__init__(self.scale.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def mode(self) -> Any:
        return ops.zeros_like(self.scale.detach())

    @property
    def variance(self) -> Any:
        return self.scale * self.scale * (1 - 2 / math.pi)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        return self.scale * ops.abs(ops.randn(shape, dtype=self.scale.dtype, device=self.scale.device))

    def log_prob(self, value: Any) -> Any:
        z = self._validated(value) / self.scale
        return -0.5 * (z * z) - ops.log(self.scale) - 0.5 * LOG_2PI + math.log(2)

    def cdf(self, value: Any) -> Any:
        return ops.erf(self._validated(value) / self.scale / math.sqrt(2))

    def icdf(self, value: Any) -> Any:
        return self.scale * ops.erfinv(value) * math.sqrt(2)

    def entropy(self) -> Any:
        return 0.5 + 0.5 * LOG_2PI - math.log(2) + ops.log(self.scale)
