"""A mixture of Gaussians with diagonal covariances, fitted by momentum on a dict of parameters."""

import autograd.numpy as np
import numpy as onp
from autograd import value_and_grad


def make_points():
    rs = onp.random.RandomState(1)
    return onp.concatenate([rs.randn(30, 2) * 0.5 + center for center in ([2, 0], [-2, 1], [0, -2])])


def logsumexp(x, axis):
    largest = np.max(x, axis=axis, keepdims=True)
    return np.squeeze(largest, axis=axis) + np.log(np.sum(np.exp(x - largest), axis=axis))


def log_likelihood(params, points):
    log_weights = params["logits"] - logsumexp(params["logits"], 0)
    differences = np.expand_dims(points, 1) - np.expand_dims(params["means"], 0)
    scaled = differences / np.exp(params["log_scales"])
    log_densities = -0.5 * np.sum(scaled**2, axis=-1) - np.sum(params["log_scales"], axis=-1) - np.log(2 * np.pi)
    return np.sum(logsumexp(log_weights + log_densities, 1))


def main():
    points = make_points()
    rs = onp.random.RandomState(2)
    params = {"logits": onp.zeros(3), "means": rs.randn(3, 2), "log_scales": onp.zeros((3, 2))}
    objective = value_and_grad(lambda p: -log_likelihood(p, points) / len(points))
    velocity = {name: onp.zeros_like(value) for name, value in params.items()}
    curve = []
    for _ in range(25):
        value, gradient = objective(params)
        curve.append(float(value))
        velocity = {name: 0.8 * velocity[name] - 0.1 * gradient[name] for name in params}
        params = {name: params[name] + velocity[name] for name in params}
    return curve, [params["logits"], params["means"], params["log_scales"]]
