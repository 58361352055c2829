"""Gradients of gamma and beta samples by their parameters: implicit reparametrization (Figurnov et al. 2018).

A sample moves with its parameter a so that its quantile stays: dx/da = -(dF/da) / f, with the distribution function F
and the density f. dF/da is the integral of f(t) (log t - E log t) over what is below x, or minus that over the rest.
Both are computed by double-exponential quadrature (Takahasi and Mori 1974), to about ten digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..core.function import Function, once_differentiable
from ..core.tensor_class import Tensor, wrap

STEP = 0.08
NODES = np.arange(-3.6, 5.2, STEP)
AT = np.exp(NODES - np.exp(-NODES))  # places from 0 to infinity
WEIGHTS = AT * (1 + np.exp(-NODES)) * STEP


def digamma(a: Any) -> Any:
    """The digamma function of float64 numbers."""
    return ops.digamma(ops.tensor(a)).numpy()


def integral(scale: Any, exponent: Any, factor: Any) -> Any:
    """The integral of exp(exponent(s)) factor(s) over s from 0, where it lives on a scale."""
    s = scale[..., None] * AT
    with np.errstate(all="ignore"):
        values = np.exp(exponent(s)) * factor(s)
    return scale * (np.where(np.isfinite(values), values, 0) @ WEIGHTS)


def gamma_slope(a: Any, x: Any) -> Any:
    """d x / d a of gamma samples x of rate 1 and concentration a (float64)."""
    centre = np.log(x) - digamma(a)
    below = x <= np.maximum(a, 1)
    wide, sign = np.sqrt(x), np.where(below, -1.0, 1.0)
    scale = 1 / np.where(below, np.where(x < 1, a, np.maximum(a - x, 0) + wide), np.maximum(x - a, 0) + wide)
    a_, x_, sign_, centre_ = (value[..., None] for value in (a, x, sign, centre))
    exponent = lambda s: sign_ * a_ * s - x_ * np.expm1(sign_ * s)
    return x * integral(scale, exponent, lambda s: s + sign_ * centre_)


def beta_slope(a: Any, b: Any, x: Any) -> Any:
    """d x / d a of beta samples x (float64)."""
    centre = np.log(x) - digamma(a) + digamma(a + b)
    below = x <= a / (a + b)
    near, far, rate, other = np.where(below, x, 1 - x), np.where(below, 1 - x, x), *swap(below, a, b)
    pull = np.maximum(other - 1, 0) * near / far
    scale = 1 / (np.maximum(rate - pull, 0) + np.minimum(np.sqrt(pull / far), pull))
    near_, far_, rate_, other_, centre_, below_ = (
        value[..., None] for value in (near, far, rate, other, centre, below)
    )
    moved = lambda s: np.log1p(-near_ * np.expm1(-s) / far_)  # of the other end's distance, relative to what it was
    exponent = lambda s: -rate_ * s + (other_ - 1) * moved(s)
    return near * integral(scale, exponent, lambda s: np.where(below_, s - centre_, centre_ + moved(s)))


def swap(keep: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Two arrays, exchanged where `keep` is false."""
    return np.where(keep, a, b), np.where(keep, b, a)


def float64(x: Tensor) -> Any:
    """The values of a Tensor as float64 on the CPU."""
    return x.detach().cpu().numpy().astype(np.float64)


def like(x: Tensor, values: Any) -> Tensor:
    """A Tensor of the dtype and device of x."""
    return wrap(np.asarray(values)).to(dtype=x.dtype, device=x.device)


class GammaSample(Function):
    """A gamma sample of rate 1, which follows its concentration."""

    @staticmethod
    def forward(ctx: Any, concentration: Tensor, sample: Tensor) -> Tensor:
        ctx.save_for_backward(concentration, sample)
        return sample.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Any:
        concentration, sample = ctx.saved_tensors
        return g * like(g, gamma_slope(float64(concentration), float64(sample))), None


class DirichletSample(Function):
    """A Dirichlet sample, which follows its concentration: each element is beta, and the others share the change."""

    @staticmethod
    def forward(ctx: Any, concentration: Tensor, sample: Tensor) -> Tensor:
        ctx.save_for_backward(concentration, sample)
        return sample.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Any:
        concentration, sample = ctx.saved_tensors
        a, x = float64(concentration), np.clip(float64(sample), 1e-300, 1 - 2**-53)
        slope = like(g, beta_slope(a, a.sum(axis=-1, keepdims=True) - a, x) / (1 - x))
        return slope * (g - ops.sum(sample * g, axis=-1, keepdims=True)), None
