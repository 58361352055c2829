"""Logistic regression by gradient descent on a flat weight vector."""

import autograd.numpy as np
import numpy as onp
from autograd import grad


def sigmoid(x):
    return 0.5 * (np.tanh(x / 2.0) + 1)


def make_data():
    rs = onp.random.RandomState(0)
    inputs = rs.randn(40, 3)
    targets = (inputs @ onp.array([1.0, -2.0, 0.5]) + 0.3 * rs.randn(40)) > 0
    return inputs, targets


def main():
    inputs, targets = make_data()

    def predictions(weights):
        return sigmoid(np.dot(inputs, weights))

    def training_loss(weights):
        preds = predictions(weights)
        label_probabilities = preds * targets + (1 - preds) * (1 - targets)
        return -np.sum(np.log(label_probabilities)) + 0.1 * np.sum(weights**2)

    training_gradient = grad(training_loss)
    weights = onp.array([0.0, 0.0, 0.0])
    curve = [float(training_loss(weights))]
    for _ in range(30):
        weights = weights - training_gradient(weights) * 0.02
        curve.append(float(training_loss(weights)))
    return curve, [weights]
