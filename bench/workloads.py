"""What the benchmark of compiled steps runs: training steps of MLPs, and kernels over one large array.

Every candidate gets the same data and the same first weights, and walks through batches in the same order, so the loss
after the first pass says whether they compute the same thing. Labels are random: there is nothing to learn but the rows
themselves, and within a run no gradient fades to subnormal numbers, on which every library computes at a crawl.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
FLOAT = 4  # bytes


@dataclass(frozen=True)
class Training:
    """A step of an MLP with ReLU and cross-entropy: forward, backward, update."""

    title: str
    widths: tuple[int, ...] = (784, 128, 10)
    batch: int = 128
    optimizer: str = "SGD"
    rows: int = 16_384

    @property
    def lr(self) -> float:
        """The learning rate."""
        return 0.01 if self.optimizer == "SGD" else 0.001

    @property
    def unit(self) -> int:
        """Steps in one pass over the data: every burst is a whole number of passes."""
        return self.rows // self.batch

    @property
    def parameters(self) -> int:
        """How many numbers the model has."""
        return sum((m + 1) * n for m, n in zip(self.widths, self.widths[1:]))

    @property
    def flops(self) -> int:
        """Floating-point operations of a step's matrix products; the first layer's input needs no gradient."""
        weights = [m * n for m, n in zip(self.widths, self.widths[1:])]
        return 2 * self.batch * (3 * sum(weights) - weights[0])

    @property
    def bytes(self) -> int:
        """Bytes of a step: parameters, slots and gradients read and written once each, and the batch read."""
        slots = {"SGD": 1, "Adam": 2}[self.optimizer]
        return FLOAT * (2 * self.parameters * (2 + slots) + self.batch * self.widths[0])

    def data(self) -> tuple[Array, Array]:
        """Normalised random images, and labels."""
        rng = np.random.default_rng(0)
        images = rng.standard_normal((self.rows, self.widths[0]), np.float32)
        return images, rng.integers(0, self.widths[-1], self.rows)

    def weights(self) -> list[Array]:
        """The first weights as `nn.Linear` has them, (outputs, inputs), each followed by its bias."""
        rng = np.random.default_rng(1)
        found: list[Array] = []
        for m, n in zip(self.widths, self.widths[1:]):
            found.append(rng.standard_normal((n, m), np.float32) / np.float32(m**0.5))
            found.append(np.zeros(n, np.float32))
        return found


@dataclass(frozen=True)
class Kernel:
    """One op, or one update of one parameter, on an array of `size` float32 numbers in rows of 1,000."""

    op: str
    size: int
    unit: int = 1
    flops: int = 0

    @property
    def title(self) -> str:
        """What the tables call it."""
        return f"{self.op}, {self.size:.0e}"

    @property
    def bytes(self) -> int:
        """Bytes that must move: the input read and the result written; for Adam p, m, v both ways and g read."""
        return FLOAT * self.size * (7 if self.op == "Adam update" else 2)

    def data(self) -> Array:
        """The input; for Adam the gradient."""
        return np.random.default_rng(0).standard_normal((self.size // 1000, 1000), np.float32)


Workload = Training | Kernel

HEADLINE = Training("MLP 784-128-10, batch 128, SGD")
TRAINING = (
    HEADLINE,
    Training("batch 32", batch=32),
    Training("batch 1024", batch=1024),
    Training("width 16", widths=(784, 16, 10)),
    Training("width 512", widths=(784, 512, 10)),
    Training("width 2048", widths=(784, 2048, 10), rows=4096),
    Training("Adam", optimizer="Adam"),
    Training("MLP 784-256-256-256-256-256-10", widths=(784, 256, 256, 256, 256, 256, 10), rows=8192),
)
KERNELS = tuple(Kernel(op, size) for op in ("softmax", "layer_norm", "gelu", "Adam update") for size in (10**6, 10**7))


def by_title(title: str) -> Workload:
    """The workload that has this title."""
    return next(work for work in (*TRAINING, *KERNELS) if work.title == title)
