"""One eager training step of the MLP 784-128-10: forward, cross-entropy, backward, optimizer update.

Every step takes another batch, as training does: on one batch for ever the gradients of units that died vanish, and
their momentum decays into subnormal numbers, on which every library computes at a crawl.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import gradengine as ge

from . import peers, timing

WIDTHS = (784, 128, 10)
BATCH, BATCHES = 128, 64


def data() -> tuple[Any, Any]:
    """Normalised random images, and labels, for several batches."""
    rng = np.random.default_rng(0)
    n = BATCH * BATCHES
    return rng.standard_normal((n, WIDTHS[0]), np.float32), rng.integers(0, WIDTHS[-1], n)


def step_of(nn: Any, optim: Any, tensor: Any, optimizer: str) -> Any:
    """The same step for gradengine and PyTorch: their names are the same."""
    model = nn.Sequential(nn.Linear(WIDTHS[0], WIDTHS[1]), nn.ReLU(), nn.Linear(WIDTHS[1], WIDTHS[2]))
    updates = {
        "SGD with momentum": lambda: optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
        "Adam": lambda: optim.Adam(model.parameters(), lr=1e-3),
    }[optimizer]()
    loss_of = nn.CrossEntropyLoss()
    images, labels = (tensor(a) for a in data())
    batches = itertools.cycle(range(0, BATCH * BATCHES, BATCH))

    def step() -> None:
        i = next(batches)
        loss = loss_of(model(images[i : i + BATCH]), labels[i : i + BATCH])
        updates.zero_grad()
        loss.backward()
        updates.step()

    return step


def jax_step(optimizer: str) -> Any:
    """The step as one jitted function with donated state."""
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    params = [rng.standard_normal(s).astype(np.float32) * 0.05 for s in ((784, 128), (128,), (128, 10), (10,))]
    state: list[Any] = [jax.tree.map(jnp.asarray, params)]
    state.append(jax.tree.map(jnp.zeros_like, state[0]))
    state.append(jax.tree.map(jnp.zeros_like, state[0]))
    state.append(jnp.zeros(()))
    images, labels = data()
    batches = itertools.cycle(range(0, BATCH * BATCHES, BATCH))

    def loss_of(p: Any, x: Any, y: Any) -> Any:
        z = jax.nn.relu(x @ p[0] + p[1]) @ p[2] + p[3]
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], 1))

    def sgd(p: Any, m: Any, v: Any, t: Any, x: Any, y: Any) -> Any:
        g = jax.grad(loss_of)(p, x, y)
        m = jax.tree.map(lambda m, g: 0.9 * m + g, m, g)
        return jax.tree.map(lambda p, m: p - 0.01 * m, p, m), m, v, t

    def adam(p: Any, m: Any, v: Any, t: Any, x: Any, y: Any) -> Any:
        g, t = jax.grad(loss_of)(p, x, y), t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        scale, root = 1 / (1 - 0.9**t), 1 / (1 - 0.999**t)
        p = jax.tree.map(lambda p, m, v: p - 1e-3 * m * scale / (jnp.sqrt(v * root) + 1e-8), p, m, v)
        return p, m, v, t

    compiled = jax.jit({"SGD with momentum": sgd, "Adam": adam}[optimizer], donate_argnums=(0, 1, 2, 3))

    def step() -> None:
        i = next(batches)
        state[:] = compiled(*state, images[i : i + BATCH], labels[i : i + BATCH])
        jax.block_until_ready(state)

    return step


def rows() -> list[dict[str, Any]]:
    """A row per optimizer and CPU backend."""
    found = []
    for optimizer in ("SGD with momentum", "Adam"):
        candidates: dict[str, Any] = {}
        for backend in ("numba", "numpy"):
            if ge.backends()[backend] == "available":
                candidates[f"gradengine {backend}"] = on_backend(backend, optimizer)
        if peers.have("torch"):
            import torch

            candidates |= peers.each_thread_count(step_of(torch.nn, torch.optim, torch.tensor, optimizer))
        if peers.have("jax"):
            candidates["JAX jit"] = jax_step(optimizer)
        times = timing.in_turns(candidates, target=0.15)
        for ours in [name for name in candidates if name.startswith("gradengine")]:
            found.append({"row": f"{optimizer} ({ours.split()[1]})", **timing.summary(times, ours, "PyTorch")})
    return found


def on_backend(backend: str, optimizer: str) -> Any:
    """The step made and run on one CPU backend."""
    ge.set_cpu_backend(backend)
    step = step_of(ge.nn, ge.optim, ge.tensor, optimizer)

    def call() -> None:
        ge.set_cpu_backend(backend)
        step()

    return call
