"""Kullback-Leibler divergences, by pairs of distributions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import ops
from ..errors import ArgumentError, DTypeError, describe
from ..validation import known_words
from .continuous import Cauchy, Exponential, Gumbel, HalfNormal, Laplace, Normal, Uniform
from .discrete import Bernoulli, Categorical, Geometric, OneHotCategorical, Poisson
from .distribution import Distribution, event_sum
from .gammas import Beta, Dirichlet, Gamma
from .multivariate import MultivariateNormal, half_log_det
from .transformed import Independent, LogNormal
from .triangular import solve_triangular

Formula = Callable[[Any, Any], Any]
FORMULAS: dict[tuple[type, type], Formula] = {}


@known_words
def register_kl(type_p: type, type_q: type) -> Callable[[Formula], Formula]:
    """Decorate the function that computes `kl_divergence(p, q)` for two classes of distributions.

    Raises DTypeError for anything but such classes.

    >>> import gradengine as ge
    >>> d = ge.distributions
    >>> class Mine(d.Normal): ...
    >>> @d.register_kl(Mine, Mine)
    ... def kl_of_mine(p, q):
    ...     return ge.tensor(7.0)
    >>> d.kl_divergence(Mine(0.0, 1.0), Mine(0.0, 1.0)).item()
    7.0
    """
    for value in (type_p, type_q):
        if not isinstance(value, type) or not issubclass(value, Distribution):
            raise DTypeError(f"register_kl: needs classes of distributions, got {describe(value)}")

    def decorate(formula: Formula) -> Formula:
        FORMULAS[type_p, type_q] = formula
        return formula

    return decorate


@known_words
def kl_divergence(p: Any, q: Any) -> Any:
    """The Kullback-Leibler divergence of q from p: the mean of log p(x) - log q(x) under p.

    Raises NotImplementedError for a pair without a formula, DTypeError for anything but distributions.

    >>> import gradengine as ge
    >>> d = ge.distributions
    >>> d.kl_divergence(d.Normal(0.0, 1.0), d.Normal(1.0, 1.0)).item()
    0.5
    """
    for value in (p, q):
        if not isinstance(value, Distribution):
            raise DTypeError(f"kl_divergence: needs two distributions, got {describe(value)}")
    for a in type(p).__mro__:
        for b in type(q).__mro__:
            if (a, b) in FORMULAS:
                return FORMULAS[a, b](p, q)
    raise NotImplementedError(
        f"kl_divergence: no formula for {type(p).__name__} and {type(q).__name__}; add one with register_kl"
    )


@register_kl(Normal, Normal)
def normal_normal(p: Normal, q: Normal) -> Any:
    ratio, shift = p.scale / q.scale, (p.loc - q.loc) / q.scale
    return 0.5 * (ratio * ratio + shift * shift - 1 - 2 * ops.log(ratio))


@register_kl(LogNormal, LogNormal)
def log_normals(p: LogNormal, q: LogNormal) -> Any:
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(HalfNormal, HalfNormal)
def half_normals(p: HalfNormal, q: HalfNormal) -> Any:
    ratio = p.scale / q.scale
    return 0.5 * (ratio * ratio - 1 - 2 * ops.log(ratio))


@register_kl(Laplace, Laplace)
def laplaces(p: Laplace, q: Laplace) -> Any:
    ratio, distance = p.scale / q.scale, ops.abs(p.loc - q.loc)
    return -ops.log(ratio) + distance / q.scale + ratio * ops.exp(-distance / p.scale) - 1


@register_kl(Cauchy, Cauchy)
def cauchys(p: Cauchy, q: Cauchy) -> Any:
    total, shift = p.scale + q.scale, p.loc - q.loc
    return ops.log(total * total + shift * shift) - ops.log(4 * p.scale * q.scale)


@register_kl(Gumbel, Gumbel)
def gumbels(p: Gumbel, q: Gumbel) -> Any:
    ratio = p.scale / q.scale
    shift = q.loc / q.scale - p.loc / q.scale
    return -ops.log(ratio) - shift + ratio * EULER + ops.exp(shift + ops.lgamma(1 + ratio)) - (1 + EULER)


EULER = 0.5772156649015329


@register_kl(Uniform, Uniform)
def uniforms(p: Uniform, q: Uniform) -> Any:
    inside = (q.low <= p.low) & (q.high >= p.high)
    return ops.where(inside, ops.log((q.high - q.low) / (p.high - p.low)), math.inf)


@register_kl(Exponential, Exponential)
def exponentials(p: Exponential, q: Exponential) -> Any:
    ratio = q.rate / p.rate
    return ratio - ops.log(ratio) - 1


@register_kl(Bernoulli, Bernoulli)
def bernoullis(p: Bernoulli, q: Bernoulli) -> Any:
    a, x, y = p.probs, p.logits, q.logits
    low, high = -ops.log_sigmoid(-y) + ops.log_sigmoid(-x), -ops.log_sigmoid(y) + ops.log_sigmoid(x)
    return a * high + (1 - a) * low


@register_kl(Geometric, Geometric)
def geometrics(p: Geometric, q: Geometric) -> Any:
    return -p.entropy() - ops.log1p(-q.probs) / p.probs - q.logits


@register_kl(Poisson, Poisson)
def poissons(p: Poisson, q: Poisson) -> Any:
    return p.rate * (ops.log(p.rate) - ops.log(q.rate)) - (p.rate - q.rate)


@register_kl(Categorical, Categorical)
def categoricals(p: Any, q: Any) -> Any:
    if p._num_events != q._num_events:
        raise ArgumentError(f"kl_divergence: {p._num_events} classes and {q._num_events} classes do not go together")
    terms = p.probs * (p.logits - q.logits)
    terms = ops.where((q.probs == 0) & (p.probs > 0), math.inf, terms)
    return ops.sum(ops.where(p.probs == 0, 0.0 * terms, terms), axis=-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def one_hot_categoricals(p: Any, q: Any) -> Any:
    return categoricals(p, q)


@register_kl(Gamma, Gamma)
def gammas(p: Gamma, q: Gamma) -> Any:
    a, b = p.concentration, q.concentration
    return (
        b * ops.log(p.rate / q.rate)
        + ops.lgamma(b)
        - ops.lgamma(a)
        + (a - b) * ops.digamma(a)
        + (q.rate - p.rate) * (a / p.rate)
    )


@register_kl(Beta, Beta)
def betas(p: Beta, q: Beta) -> Any:
    a1, a0, b1, b0 = p.concentration1, p.concentration0, q.concentration1, q.concentration0
    a, b = a1 + a0, b1 + b0
    return (
        ops.lgamma(b1)
        + ops.lgamma(b0)
        + ops.lgamma(a)
        - ops.lgamma(b)
        - ops.lgamma(a1)
        - ops.lgamma(a0)
        + (a1 - b1) * ops.digamma(a1)
        + (a0 - b0) * ops.digamma(a0)
        + (b - a) * ops.digamma(a)
    )


@register_kl(Dirichlet, Dirichlet)
def dirichlets(p: Dirichlet, q: Dirichlet) -> Any:
    a, b = p.concentration, q.concentration
    total = ops.sum(a, axis=-1)
    slopes = ops.digamma(a) - ops.expand_dims(ops.digamma(total), axis=-1)
    return (
        ops.lgamma(total)
        - ops.lgamma(ops.sum(b, axis=-1))
        - ops.sum(ops.lgamma(a) - ops.lgamma(b), axis=-1)
        + ops.sum((a - b) * slopes, axis=-1)
    )


@register_kl(MultivariateNormal, MultivariateNormal)
def multivariate_normals(p: MultivariateNormal, q: MultivariateNormal) -> Any:
    if p.event_shape != q.event_shape:
        raise ArgumentError(f"kl_divergence: events of {p.event_shape} and {q.event_shape} do not go together")
    n = p.event_shape[0]
    logs = half_log_det(q.scale_tril) - half_log_det(p.scale_tril)
    ratio = solve_triangular(q.scale_tril, p.scale_tril)
    shift = solve_triangular(q.scale_tril, ops.expand_dims(q.loc - p.loc, axis=-1))
    squares = ops.sum(ratio * ratio, axis=(-2, -1)) + ops.sum(shift * shift, axis=(-2, -1))
    return logs + 0.5 * (squares - n)


@register_kl(Independent, Independent)
def independents(p: Independent, q: Independent) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("kl_divergence: two Independent need the same number of reinterpreted axes")
    return event_sum(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)
