"""Distributions made of gamma variables: Gamma, Chi2, Beta, Dirichlet, StudentT.

Samples are drawn on the CPU (Marsaglia and Tsang 2000); gradients flow through them as `pathwise` says.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from .. import ops
from ..core.dispatch import is_grad_enabled
from ..core.host_callbacks import current
from ..core.tensor_class import wrap
from ..errors import ShapeError, TraceError
from . import constraints
from .constraints import Constraint
from .distribution import Distribution, broadcast_all, floats
from .pathwise import DirichletSample, GammaSample


def standard_gamma(owner: str, concentration: Any, shape: tuple[int, ...]) -> Any:
    """Gamma variables of rate 1. The numbers come from the engine's generator."""
    if current.trace is not None:
        raise TraceError(
            f"jit: {owner} draws by rejection, which a compiled step cannot; draw before the step, and pass the sample"
        )
    alpha = np.broadcast_to(concentration.detach().numpy().astype(np.float64), shape)
    draw = lambda n: ops.rand(n, dtype=np.float64, device="cpu").numpy()
    boost = np.where(alpha < 1, draw(alpha.size).reshape(shape) ** (1 / alpha), 1.0)
    d = (np.where(alpha < 1, alpha + 1, alpha) - 1 / 3).ravel()
    c, out, left = 1 / np.sqrt(9 * d), np.empty(d.size), np.arange(d.size)
    while left.size:
        x = ops.randn(left.size, dtype=np.float64, device="cpu").numpy()
        v = (1 + c[left] * x) ** 3
        u = 1 - draw(left.size)
        with np.errstate(all="ignore"):
            good = (v > 0) & (np.log(u) < 0.5 * x * x + d[left] * (1 - v + np.log(v)))
        out[left[good]] = (d[left] * v)[good]
        left = left[~good]
    values = np.maximum(out.reshape(shape) * boost, np.finfo(concentration.dtype).tiny)
    return wrap(np.asarray(values, concentration.dtype)).to(concentration.device)


def gamma_sample(owner: str, concentration: Any, shape: tuple[int, ...]) -> Any:
    """Gamma variables of rate 1, with a gradient by their concentration."""
    drawn = standard_gamma(owner, concentration, shape)
    if not concentration.requires_grad or not is_grad_enabled():
        return drawn
    return GammaSample.apply(ops.broadcast_to(concentration, shape=shape), drawn)


def dirichlet_sample(owner: str, concentration: Any, shape: tuple[int, ...]) -> Any:
    """Dirichlet variables, with a gradient by their concentration."""
    drawn = standard_gamma(owner, concentration, shape)
    drawn = drawn / ops.sum(drawn, axis=-1, keepdims=True)
    if not concentration.requires_grad or not is_grad_enabled():
        return drawn
    return DirichletSample.apply(ops.broadcast_to(concentration, shape=shape), drawn)


class Gamma(Distribution):
    """The gamma distribution of a `concentration` (shape) and a `rate`.

    >>> import gradengine as ge
    >>> ge.distributions.Gamma(2.0, 4.0).mean.item()
    0.5
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "concentration": constraints.positive,
        "rate": constraints.positive,
    }
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast_all(type(self).__name__, concentration, rate)
        super().__init__(self.concentration.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration / self.rate

    @property
    def mode(self) -> Any:
        return ops.clip((self.concentration - 1) / self.rate, min=0)

    @property
    def variance(self) -> Any:
        return self.concentration / (self.rate * self.rate)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return gamma_sample(type(self).__name__, self.concentration, self._extended_shape(sample_shape)) / self.rate

    def log_prob(self, value: Any) -> Any:
        value, a = self._validated(value), self.concentration
        return a * ops.log(self.rate) + (a - 1) * ops.log(value) - self.rate * value - ops.lgamma(a)

    def entropy(self) -> Any:
        a = self.concentration
        return a - ops.log(self.rate) + ops.lgamma(a) + (1.0 - a) * ops.digamma(a)


class Chi2(Gamma):
    """The distribution of a sum of `df` squares of standard normal variables.

    >>> import gradengine as ge
    >>> ge.distributions.Chi2(3.0).mean.item()
    3.0
    """

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (half,) = broadcast_all("Chi2", df)
        super().__init__(0.5 * half, 0.5, validate_args)

    @property
    def df(self) -> Any:
        """The degrees of freedom."""
        return 2 * self.concentration


class Beta(Distribution):
    """The beta distribution on 0 to 1, of `concentration1` and `concentration0`.

    >>> import gradengine as ge
    >>> ge.distributions.Beta(1.0, 3.0).mean.item()
    0.25
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = broadcast_all("Beta", concentration1, concentration0)
        super().__init__(self.concentration1.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Any:
        a, b = self.concentration1, self.concentration0
        inner = (a - 1) / (a + b - 2)
        return ops.where((a >= 1) & (b >= 1), inner, ops.where(a > b, inner * 0 + 1, inner * 0))

    @property
    def variance(self) -> Any:
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total * total * (total + 1))

    def rsample(self, sample_shape: Any = ()) -> Any:
        both = ops.stack([self.concentration1, self.concentration0], axis=-1)
        return dirichlet_sample("Beta", both, (*self._extended_shape(sample_shape), 2))[..., 0]

    def log_prob(self, value: Any) -> Any:
        value, a, b = self._validated(value), self.concentration1, self.concentration0
        return (
            (a - 1) * ops.log(value) + (b - 1) * ops.log1p(-value) + ops.lgamma(a + b) - ops.lgamma(a) - ops.lgamma(b)
        )

    def entropy(self) -> Any:
        a, b = self.concentration1, self.concentration0
        whole = a + b
        return (
            ops.lgamma(a)
            + ops.lgamma(b)
            - ops.lgamma(whole)
            - (a - 1) * ops.digamma(a)
            - (b - 1) * ops.digamma(b)
            + (whole - 2) * ops.digamma(whole)
        )


class Dirichlet(Distribution):
    """The Dirichlet distribution on probabilities: `concentration` is (..., K).

    >>> import gradengine as ge
    >>> ge.distributions.Dirichlet(ge.tensor([1.0, 3.0])).mean.tolist()
    [0.25, 0.75]
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "concentration": constraints.independent(constraints.positive, 1)
    }
    support = constraints.simplex
    has_rsample = True

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        self.concentration = floats("Dirichlet", "concentration", concentration)
        if not self.concentration.ndim:
            raise ShapeError("Dirichlet: concentration must have at least one axis")
        super().__init__(self.concentration.shape[:-1], self.concentration.shape[-1:], validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration / ops.sum(self.concentration, axis=-1, keepdims=True)

    @property
    def mode(self) -> Any:
        reduced = ops.clip(self.concentration - 1, min=0)
        total = ops.sum(reduced, axis=-1, keepdims=True)
        places = ops.arange(self.concentration.shape[-1], device=self.concentration.device)
        corner = ops.astype(ops.equal(places, 0), dtype=reduced.dtype)  # of all below 1, the first, as in PyTorch
        return ops.where(total > 0, reduced / ops.where(total > 0, total, 1.0), corner)

    @property
    def variance(self) -> Any:
        total = ops.sum(self.concentration, axis=-1, keepdims=True)
        return self.concentration * (total - self.concentration) / (total * total * (total + 1))

    def rsample(self, sample_shape: Any = ()) -> Any:
        return dirichlet_sample("Dirichlet", self.concentration, self._extended_shape(sample_shape))

    def log_prob(self, value: Any) -> Any:
        value, a = self._validated(value), self.concentration
        kernel = ops.where(a == 1, 0.0 * a, (a - 1) * ops.log(value))
        return ops.sum(kernel, axis=-1) + ops.lgamma(ops.sum(a, axis=-1)) - ops.sum(ops.lgamma(a), axis=-1)

    def entropy(self) -> Any:
        a = self.concentration
        total, count = ops.sum(a, axis=-1), a.shape[-1]
        return (
            ops.sum(ops.lgamma(a), axis=-1)
            - ops.lgamma(total)
            - (count - total) * ops.digamma(total)
            - ops.sum((a - 1.0) * ops.digamma(a), axis=-1)
        )


class StudentT(Distribution):
    """Student's t-distribution with `df` degrees of freedom.

    >>> import gradengine as ge
    >>> round(ge.distributions.StudentT(3.0).variance.item(), 4)
    3.0
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
    has_rsample = True

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = broadcast_all("StudentT", df, loc, scale)
        super().__init__(self.df.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return ops.where(self.df > 1, self.loc, math.nan)

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        found = self.scale * self.scale * self.df / (self.df - 2)
        return ops.where(self.df > 2, found, ops.where(self.df > 1, math.inf, math.nan))

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        z = ops.randn(shape, dtype=self.df.dtype, device=self.df.device)
        half = gamma_sample("StudentT", 0.5 * self.df, shape)
        return self.loc + self.scale * z * ops.rsqrt(2 * half / self.df)

    def log_prob(self, value: Any) -> Any:
        z, df = (self._validated(value) - self.loc) / self.scale, self.df
        scale = ops.log(self.scale) + 0.5 * ops.log(df) + 0.5 * math.log(math.pi)
        return -0.5 * (df + 1.0) * ops.log1p(z * z / df) - scale - ops.lgamma(0.5 * df) + ops.lgamma(0.5 * (df + 1.0))

    def entropy(self) -> Any:
        half, next_half = 0.5 * self.df, 0.5 * (self.df + 1)
        beta = ops.lgamma(half) + math.lgamma(0.5) - ops.lgamma(next_half)
        slope = ops.digamma(next_half) - ops.digamma(half)
        return ops.log(self.scale) + next_half * slope + 0.5 * ops.log(self.df) + beta
