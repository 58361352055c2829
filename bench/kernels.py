"""Single ops at 1e3, 1e5 and 1e7 elements: matmul, activations and their backward, softmax, reductions.

The same rows run under pytest-benchmark (`pytest bench/test_kernels.py`) by backend and size.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import gradengine as ge

from . import peers, timing

SIZES = (1_000, 100_000, 10_000_000)


def arrays_for(row: str, size: int) -> tuple[np.ndarray[Any, Any], ...]:
    """Inputs with `size` elements each, as squarish matrices; for matmul the result counts."""
    rng = np.random.default_rng(0)
    if row == "matmul":
        n = min(int(size**0.5), 2048)
        return tuple(rng.standard_normal((n, n)).astype(np.float32) for _ in range(2))
    columns = 100 if size < 1_000_000 else 1000
    return (rng.standard_normal((size // columns, columns)).astype(np.float32),)


FORWARD = {
    "matmul": lambda m, a, b: a @ b,
    "relu": lambda m, x: m.relu(x),
    "tanh": lambda m, x: m.tanh(x),
    "gelu": lambda m, x: m.gelu(x),
    "softmax": lambda m, x: m.softmax(x, -1),
    "sum": lambda m, x: x.sum(),
    "sum over rows": lambda m, x: x.sum(0),
    "max over columns": lambda m, x: m.amax(x, -1),
}
BACKWARD = ("relu", "tanh", "gelu", "softmax")


class Ours:
    """gradengine's names for the rows."""

    relu = staticmethod(ge.nn.functional.relu)
    tanh = staticmethod(ge.tanh)
    gelu = staticmethod(ge.nn.functional.gelu)
    softmax = staticmethod(ge.softmax)
    amax = staticmethod(ge.amax)


def torch_names() -> Any:
    """PyTorch's names for the rows."""
    import torch

    class Theirs:
        relu, tanh, softmax, amax = torch.relu, torch.tanh, torch.softmax, torch.amax
        gelu = torch.nn.functional.gelu

    return Theirs


def jax_names() -> Any:
    """JAX's names for the rows, each op compiled."""
    import jax
    import jax.numpy as jnp

    class Theirs:
        relu, softmax = jax.jit(jax.nn.relu), jax.jit(jax.nn.softmax, static_argnums=1)
        gelu = jax.jit(lambda x: jax.nn.gelu(x, approximate=False))
        tanh, amax = jnp.tanh, jnp.max

    return Theirs


def forward(module: Any, row: str, tensors: Any) -> Any:
    """A candidate that runs the row once."""
    function = FORWARD[row]
    return lambda: function(module, *tensors)


def ours_backward(row: str, x: Any, g: Any) -> Any:
    """A candidate that runs the row and its gradient, on gradengine."""
    function = FORWARD[row]
    return lambda: ge.grad(function(Ours, x), x, g)


def torch_backward(row: str, x: Any, g: Any) -> Any:
    """A candidate that runs the row and its gradient, on PyTorch."""
    import torch

    function, names = FORWARD[row], torch_names()
    return lambda: torch.autograd.grad(function(names, x), x, g)


def candidates_for(row: str, size: int, backward: bool) -> dict[str, Any]:
    """One row's candidates: our backends, PyTorch by threads, JAX."""
    found: dict[str, Any] = {}
    arrays = arrays_for(row, size)
    for backend in ("numba", "numpy"):
        if ge.backends()[backend] == "available":
            ge.set_cpu_backend(backend)
            tensors = [ge.tensor(a, requires_grad=backward) for a in arrays]
            found[f"gradengine {backend}"] = (
                ours_backward(row, tensors[0], ge.tensor(arrays[0])) if backward else forward(Ours, row, tensors)
            )
    if peers.have("torch"):
        import torch

        theirs = [torch.tensor(a, requires_grad=backward) for a in arrays]
        call = (
            torch_backward(row, theirs[0], torch.tensor(arrays[0])) if backward else forward(torch_names(), row, theirs)
        )
        found |= peers.each_thread_count(call)
    if peers.have("jax") and not backward:
        import jax
        import jax.numpy as jnp

        run = forward(jax_names(), row, [jnp.asarray(a) for a in arrays])
        found["JAX"] = lambda: jax.block_until_ready(run())
    return found


def rows() -> list[dict[str, Any]]:
    """Every row, size and direction, each beside its peers."""
    found = []
    for row in FORWARD:
        for backward in (False, True) if row in BACKWARD else (False,):
            for size in SIZES:
                candidates = candidates_for(row, size, backward)
                times = timing.in_turns(candidates, rounds=5, target=0.03)
                label = f"{row}{' + backward' if backward else ''}, {size:.0e}"
                for ours in [name for name in candidates if name.startswith("gradengine")]:
                    found.append({"row": f"{label} ({ours.split()[1]})", **timing.summary(times, ours, "PyTorch")})
    return found
