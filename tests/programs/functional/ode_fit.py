"""The parameters of a predator and prey model, fitted through a Runge-Kutta integrator."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import jit, value_and_grad


def derivative(state, theta):
    prey, predator = state
    alpha, beta, gamma, delta = theta
    return prey * (alpha - beta * predator), predator * (delta * prey - gamma)


def runge_kutta(state, theta, dt):
    add = lambda s, k, h: jax.tree.map(lambda x, dx: x + h * dx, s, k)
    k1 = derivative(state, theta)
    k2 = derivative(add(state, k1, dt / 2), theta)
    k3 = derivative(add(state, k2, dt / 2), theta)
    k4 = derivative(add(state, k3, dt), theta)
    return jax.tree.map(lambda x, a, b, c, d: x + dt / 6 * (a + 2 * b + 2 * c + d), state, k1, k2, k3, k4)


def simulate(theta, steps=8, dt=0.1):
    state, states = (jnp.array(1.0), jnp.array(0.5)), []
    for _ in range(steps):
        state = runge_kutta(state, theta, dt)
        states.append(jnp.stack(state))
    return jnp.stack(states)


def main():
    target = simulate(tuple(jnp.array(x) for x in (1.1, 0.4, 0.4, 0.1)))

    @jit
    def step(theta):
        value, gradient = value_and_grad(lambda t: jnp.mean((simulate(t) - target) ** 2))(theta)
        return value, tuple(t - 0.3 * g for t, g in zip(theta, gradient))

    theta, curve = tuple(jnp.array(x) for x in (0.8, 0.5, 0.3, 0.2)), []
    for _ in range(20):
        value, theta = step(theta)
        curve.append(float(value))
    return curve, [np.array([float(t) for t in theta])]
