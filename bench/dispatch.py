"""What an op costs when the arrays are tiny: a chain of 40 ops on 4x4 float32, and a single forward add."""

from __future__ import annotations

from typing import Any

import numpy as np

import gradengine as ge

from . import peers, timing

LOOPS = 20  # calls inside one timed call, so that the thread switch is not what is measured


def chain(a: Any, b: Any) -> None:
    """Forty ops, forward and backward."""
    x = a
    for _ in range(20):
        x = x * b + a
    x.sum().backward()


def chains(a: Any, b: Any) -> Any:
    """A candidate: several chains."""

    def call() -> None:
        for _ in range(LOOPS):
            chain(a, b)

    return call


def adds(a: Any, b: Any) -> Any:
    """A candidate: several forward adds."""

    def call() -> None:
        for _ in range(LOOPS):
            a + b

    return call


def rows() -> list[dict[str, Any]]:
    """Both rows for each CPU backend, beside PyTorch eager and JAX without jit."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((4, 4)).astype(np.float32) for _ in range(2)]
    found = []
    for label, make in (("chain of 40 ops, forward and backward", chains), ("forward add", adds)):
        candidates: dict[str, Any] = {}
        for backend in ("numba", "numpy"):
            if ge.backends()[backend] == "available":
                ge.set_cpu_backend(backend)
                candidates[f"gradengine {backend}"] = make(*(ge.tensor(a, requires_grad=True) for a in arrays))
        if peers.have("torch"):
            import torch

            pair = [torch.tensor(a, requires_grad=True) for a in arrays]
            candidates |= peers.each_thread_count(make(*pair))
        if peers.have("jax") and make is adds:
            import jax.numpy as jnp

            candidates["JAX, op by op"] = make(*(jnp.asarray(a) for a in arrays))
        times = {name: [t / LOOPS for t in values] for name, values in timing.in_turns(candidates).items()}
        for ours in [name for name in candidates if name.startswith("gradengine")]:
            found.append({"row": f"{label} ({ours.split()[1]})", **timing.summary(times, ours, "PyTorch")})
    return found
