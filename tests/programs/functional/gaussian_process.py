"""Kernels and their derivatives: a length scale by leave-one-out regression, and the covariance of slopes."""

import jax.numpy as jnp
import numpy as np
from jax import grad, value_and_grad


def kernel(x, y, params):
    return jnp.exp(params["log_amplitude"]) * jnp.exp(-0.5 * (x - y) ** 2 * jnp.exp(-2 * params["log_scale"]))


def slope_covariance(x, y, params):
    """cov(f'(x), f'(y)) is the mixed second derivative of the kernel."""
    return grad(grad(kernel, argnums=0), argnums=1)(x, y, params)


def leave_one_out(params, xs, ys):
    weights = kernel(xs[:, None], xs[None, :], params) * (1 - jnp.eye(len(xs)))
    predicted = jnp.sum(weights * ys[None, :], axis=1) / jnp.sum(weights, axis=1)
    return jnp.mean((predicted - ys) ** 2)


def main():
    rs = np.random.RandomState(4)
    xs = jnp.array(np.sort(rs.uniform(-3, 3, 15)), dtype=jnp.float32)
    ys = jnp.sin(xs) + jnp.array(0.1 * rs.randn(15), dtype=jnp.float32)
    params, curve = {"log_amplitude": 0.0, "log_scale": 0.5}, []
    objective = value_and_grad(leave_one_out)
    for _ in range(15):
        value, gradient = objective(params, xs, ys)
        params = {name: params[name] - 0.5 * gradient[name] for name in params}
        curve.append(float(value))
    curve += [float(slope_covariance(0.1, y, params)) for y in (0.1, 0.3, 1.5)]
    by_params = grad(slope_covariance, argnums=2)(0.1, 0.4, params)
    return curve, [np.array([float(params["log_scale"])]), np.array([float(by_params[k]) for k in sorted(by_params)])]
