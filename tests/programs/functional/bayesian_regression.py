"""Bayesian linear regression: a Gaussian posterior as a named tuple, fitted by stochastic gradients of the bound."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import value_and_grad


class Posterior(NamedTuple):
    mean: jnp.ndarray
    log_std: jnp.ndarray


def main():
    rs = np.random.RandomState(5)
    x = rs.randn(30, 2).astype(np.float32)
    y = (x @ np.array([1.5, -0.7]) + 0.2 * rs.randn(30)).astype(np.float32)
    noise = rs.randn(25, 2).astype(np.float32)

    def bound(posterior, eps):
        weights = posterior.mean + jnp.exp(posterior.log_std) * eps
        residual = y - x @ weights
        fit = -0.5 * jnp.sum(residual**2) / 0.2**2
        divergence = 0.5 * jnp.sum(posterior.mean**2 + jnp.exp(2 * posterior.log_std) - 1 - 2 * posterior.log_std)
        return divergence - fit, {"residual": jnp.max(jnp.abs(residual))}

    objective = value_and_grad(bound, has_aux=True)
    posterior = Posterior(jnp.zeros(2), jnp.zeros(2) - 2)
    curve = []
    for eps in noise:
        (value, info), gradient = objective(posterior, eps)
        posterior = jax.tree.map(lambda p, g: p - 5e-4 * g, posterior, gradient)
        curve += [float(value) / 100, float(info["residual"])]
    return curve, [posterior.mean, posterior.log_std]
