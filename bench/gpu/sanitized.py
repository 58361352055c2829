"""What runs under compute-sanitizer: jitted steps of a small MLP, softmax, scatter-add and random numbers.

Arrays come from CUDA itself rather than from CuPy's pool, in which one array's end is the next one's beginning, and
nothing out of bounds would be noticed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .parts import Settings


def main(settings: Settings) -> str:
    """Run it all; sizes are odd, so that what is left over after whole blocks and vectors comes up."""
    settings.prepare()
    import gradengine as ge

    if settings.device != "cpu" and not settings.emulate:
        import cupy

        cupy.cuda.set_allocator(None)
    rng = np.random.default_rng(0)
    model = ge.nn.Sequential(ge.nn.Linear(37, 19), ge.nn.ReLU(), ge.nn.Dropout(0.25), ge.nn.Linear(19, 5))
    optimizer = ge.optim.Adam(model.parameters(), lr=0.01)

    @ge.jit
    def step(x: Any, y: Any) -> Any:
        loss = ge.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    x = ge.tensor(rng.standard_normal((33, 37)).astype(np.float32))
    y = ge.tensor(rng.integers(0, 5, 33))
    losses = [step(x, y).item() for _ in range(2)]
    step.over(x, y, batch_size=11)

    table = ge.tensor(rng.standard_normal((7, 37)).astype(np.float32), requires_grad=True)
    index = ge.tensor(rng.integers(0, 7, 101))
    (ge.softmax(table[index] * 3.0, axis=-1) ** 2).sum().backward()  # its gradient is scattered
    wide = ge.randn((13, 1031))
    normal = ge.nn.functional.layer_norm(wide, (1031,))
    total = (ge.logsumexp(normal, -1) + ge.sort(wide)[:, 0]).sum() + ge.index_add(wide, 0, index[:13], wide).sum()
    values = [*losses, total.item(), table.grad.sum().item(), float(model[0].weight.detach().sum().item())]
    if not np.isfinite(values).all():
        raise ValueError(f"results are {values}")
    return f"losses {losses[0]:.3f} and {losses[1]:.3f}"


if __name__ == "__main__":
    from .parts import Settings

    print(main(Settings.read(sys.argv[1])))
