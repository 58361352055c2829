"""The same seed gives the same bits on every backend: first weights, batch order, dropout masks."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from .parts import Settings
    from .report import Report


def run(report: Report, settings: Settings) -> None:
    """Digests on each backend, and whether they are equal."""
    settings.prepare()
    import gradengine as ge
    from gradengine.inspect import check

    names = [name for name in ("numpy", "numba", "cupy") if ge.backends()[name] == "available"]
    if settings.device == "cpu":
        names = [name for name in names if name != "cupy"]
    report.fact("backends", ", ".join(names))
    for title, draw in DRAWS.items():
        digests: dict[str, str] = {}
        for name in names:
            with check.on_backend(name, every_size=False):
                found = report.attempt(f"{title}, {name}", lambda f=draw: digest(f(ge)), True)
                digests |= {name: found} if found else {}
        report.row(title, **digests)
        report.check(title, lambda d=digests: equal(d, names))


def digest(arrays: list[Any]) -> str:
    """A hash of all bits, with shapes and dtypes."""
    seen = hashlib.sha256()
    for array in arrays:
        value = np.ascontiguousarray(array.detach().to("cpu").numpy())
        seen.update(f"{value.dtype}{value.shape}".encode() + value.tobytes())
    return seen.hexdigest()[:12]


def equal(digests: dict[str, str], names: list[str]) -> str:
    """Raise when a backend is missing or differs."""
    if set(digests) != set(names) or len(set(digests.values())) != 1:
        raise ValueError(f"differs: {digests}")
    return "equal"


def weights(ge: Any) -> list[Any]:
    """The first weights of layers."""
    ge.manual_seed(7)
    layers = [ge.nn.Linear(784, 128), ge.nn.Linear(128, 10)]
    return [p for layer in layers for p in layer.parameters()]


def normal_weights(ge: Any) -> list[Any]:
    """Weights drawn from a normal distribution."""
    ge.manual_seed(7)
    return [ge.nn.init.normal_(ge.nn.Linear(784, 30).weight)]


def batches(ge: Any) -> list[Any]:
    """The order of two epochs."""
    ge.manual_seed(8)
    loader = ge.data.DataLoader(ge.arange(1000), batch_size=64, shuffle=True)
    return [batch if not isinstance(batch, tuple) else batch[0] for _ in range(2) for batch in loader]


def masks(ge: Any) -> list[Any]:
    """Dropout, three times."""
    ge.manual_seed(9)
    return [ge.nn.functional.dropout(ge.ones((128, 77)), 0.3) for _ in range(3)]


def jitted_masks(ge: Any) -> list[Any]:
    """Dropout in a jitted function, three calls, and the numbers that come next."""
    ge.manual_seed(9)
    drop = ge.jit(lambda x: ge.nn.functional.dropout(x, 0.3))
    return [*(drop(ge.ones((128, 77))) for _ in range(3)), ge.rand((5,))]


DRAWS: dict[str, Callable[[Any], list[Any]]] = {
    "first weights": weights,
    "normal weights": normal_weights,
    "batch order": batches,
    "dropout": masks,
    "dropout, jitted": jitted_masks,
}
