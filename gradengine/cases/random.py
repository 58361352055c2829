"""Rows for random draws, against NumPy's own Philox and SciPy's inverse normal distribution."""

from __future__ import annotations

from typing import Any

import numpy as np

import gradengine as ge

from .case import Case


def words(seed: int, count: int) -> Any:
    """What NumPy's generator gives from counter 0 on."""
    return np.random.Philox(key=seed, counter=(1 << 256) - 1).random_raw(count)


def halves(seed: int, count: int) -> Any:
    """The same in 32-bit halves, the low one first."""
    drawn = words(seed, (count + 1) // 2)
    return np.stack([drawn & np.uint64(0xFFFFFFFF), drawn >> np.uint64(32)], 1).reshape(-1)[:count]


def normals(seed: int) -> Any:
    """Five normal numbers."""
    from scipy.special import ndtri

    return ndtri((halves(seed, 5) + 0.5) / 2**32)


def row(name: str, call: Any, reference: Any) -> Case:
    """A draw from a generator that is seeded with the row's input."""
    return Case(name, lambda seed: call(ge.Generator(seed)), lambda rng: (12345,), reference, order=0)


CASES: list[Case] = [
    row("rand", lambda g: ge.rand(5, generator=g), lambda s: (halves(s, 5) >> np.uint64(8)) / 2**24),
    row(
        "rand/float64",
        lambda g: ge.rand((2, 3), dtype=ge.float64, generator=g),
        lambda s: (words(s, 6) >> np.uint64(11)).reshape(2, 3) / 2**53,
    ),
    row("randn", lambda g: ge.randn(5, generator=g), normals),
    row(
        "uniform",
        lambda g: ge.uniform(-2.0, 3.0, (5,), generator=g),
        lambda s: (halves(s, 5) >> np.uint64(8)) / 2**24 * 5 - 2,
    ),
    row("normal", lambda g: ge.normal(1.0, 2.0, (5,), generator=g), lambda s: 1 + 2 * normals(s)),
    row(
        "randint",
        lambda g: ge.randint(-3, 7, (5,), generator=g),
        lambda s: (words(s, 5) % np.uint64(10)).astype(np.int64) - 3,
    ),
    row("randperm", lambda g: ge.randperm(7, generator=g), lambda s: np.argsort(words(s, 7), kind="stable")),
    row("bernoulli", lambda g: ge.bernoulli(0.25, (9,), generator=g), lambda s: halves(s, 9) < 0.25 * 2**32),
    row(
        "dropout_mask",
        lambda g: ge.ops.dropout_mask((9,), 0.5, generator=g),
        lambda s: 2.0 * (halves(s, 9) >= 0.5 * 2**32),
    ),
]
