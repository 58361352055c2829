"""Newton's method for minima and roots of functions of one variable, by gradients of gradients."""

import autograd.numpy as np
import numpy as onp
from autograd import grad


def minimize(f, x, steps):
    first, second = grad(f), grad(grad(f))
    trace = []
    for _ in range(steps):
        x = x - first(x) / second(x)
        trace.append(float(x))
    return trace


def taylor(f, x, order):
    """The coefficients of the Taylor series, each by one more gradient."""
    coefficients, factorial = [float(f(x))], 1.0
    for n in range(1, order + 1):
        f = grad(f)
        factorial *= n
        coefficients.append(float(f(x)) / factorial)
    return coefficients


def main():
    curve = minimize(lambda x: x**2 + np.exp(-x) * 2, 3.0, 5)
    curve += minimize(lambda x: np.log(np.cosh(x - 1.0)) + 0.1 * x * x, 0.8, 5)
    curve += taylor(np.sin, 0.5, 4) + taylor(lambda x: 1 / (1 + np.exp(-x)), 0.2, 3)
    return curve, [onp.array([curve[4], curve[9]])]
