"""A matrix with gaps as the product of two factors and biases, by alternating gradient steps on several arguments."""

import autograd.numpy as np
import numpy as onp
from autograd import grad


def main():
    rs = onp.random.RandomState(3)
    truth = rs.randn(8, 2) @ rs.randn(2, 6) + rs.randn(8, 1)
    known = rs.rand(8, 6) < 0.7

    def loss(left, right, bias):
        residual = np.where(known, np.matmul(left, np.transpose(right)) + bias - truth, 0.0)
        return np.sum(residual**2) / np.sum(known) + 0.01 * (np.sum(left**2) + np.sum(right**2))

    by_left, by_right, by_bias = grad(loss, 0), grad(loss, 1), grad(loss, 2)
    left, right, bias = 0.5 * rs.randn(8, 2), 0.5 * rs.randn(6, 2), onp.zeros((8, 1))
    curve = []
    for _ in range(40):
        left = left - 0.5 * by_left(left, right, bias)
        right = right - 0.5 * by_right(left, right, bias)
        bias = bias - 0.5 * by_bias(left, right, bias)
        curve.append(float(loss(left, right, bias)))
    return curve, [left, right, bias]
