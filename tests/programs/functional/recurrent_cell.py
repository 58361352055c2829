"""A recurrent cell by dicts of parameters, which learns to add up a sequence."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import grad, jit


def init(rs, inputs, hidden):
    draw = lambda *shape: jnp.array(0.3 * rs.randn(*shape), dtype=jnp.float32)
    return {
        "cell": {"wx": draw(inputs, hidden), "wh": draw(hidden, hidden), "b": jnp.zeros(hidden)},
        "out": [draw(hidden, 1), jnp.zeros(1)],
    }


def cell(params, h, x):
    return jnp.tanh(x @ params["wx"] + h @ params["wh"] + params["b"])


def predict(params, xs):
    h = jnp.zeros((xs.shape[0], params["cell"]["wh"].shape[0]))
    for t in range(xs.shape[1]):
        h = cell(params["cell"], h, xs[:, t])
    w, b = params["out"]
    return h @ w + b


def loss(params, xs, ys):
    return jnp.mean((predict(params, xs) - ys) ** 2)


@jit
def update(params, xs, ys):
    grads = grad(loss)(params, xs, ys)
    return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)


def main():
    rs = np.random.RandomState(6)
    params = init(rs, 1, 8)
    curve = []
    for _ in range(15):
        xs = jnp.array(rs.randn(12, 5, 1), dtype=jnp.float32)
        ys = jnp.sum(xs, axis=1)
        curve.append(float(loss(params, xs, ys)))
        params = update(params, xs, ys)
    return curve, jax.tree.leaves(params)
