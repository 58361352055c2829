"""Training steps of a two-layer MLP (SGD with momentum, cross-entropy) written by hand in Numba.

Two programs do the same arithmetic. `step_in_one` runs on one thread. `step_in_tiles` splits the batch between the
threads up to the gradient of the hidden layer, and then its rows, so that each thread updates the rows of the first
weight while their gradient is still in its own cache; BLAS has one thread in both. Weights lie as `nn.Linear` has them,
(outputs, inputs). Nothing here knows gradengine, and nothing is general: this is what a compiler could reach.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import njit, prange

ZERO = np.float32(0)


@njit(fastmath=True)
def bias_relu(h: Any, b: Any) -> None:
    """h = max(h + b, 0), in place."""
    for i in range(h.shape[0]):
        for j in range(h.shape[1]):
            h[i, j] = max(h[i, j] + b[j], ZERO)


@njit(fastmath=True)
def cross_entropy(z: Any, b: Any, y: Any, n: int) -> float:
    """These rows' share of the loss, a mean over n rows; z + b becomes the gradient, in place."""
    share, loss = np.float32(1) / np.float32(n), 0.0
    for i in range(z.shape[0]):
        top = z[i, 0] + b[0]
        for j in range(z.shape[1]):
            z[i, j] += b[j]
            top = max(top, z[i, j])
        label, total = z[i, y[i]], ZERO
        for j in range(z.shape[1]):
            z[i, j] = np.exp(z[i, j] - top)
            total += z[i, j]
        loss += np.log(total) + top - label
        scale = share / total
        for j in range(z.shape[1]):
            z[i, j] *= scale
        z[i, y[i]] -= share
    return loss / n


@njit(fastmath=True)
def relu_backward(g: Any, h: Any, gb: Any) -> None:
    """g = 0 where h is 0, in place; gb = g summed over the rows."""
    gb[:] = ZERO
    for i in range(h.shape[0]):
        for j in range(h.shape[1]):
            g[i, j] = g[i, j] if h[i, j] > ZERO else ZERO
            gb[j] += g[i, j]


@njit(fastmath=True)
def sum_rows(g: Any, gb: Any) -> None:
    """gb = g summed over the rows."""
    gb[:] = ZERO
    for i in range(g.shape[0]):
        for j in range(g.shape[1]):
            gb[j] += g[i, j]


@njit(fastmath=True)
def update(p: Any, v: Any, g: Any, lr: Any, momentum: Any) -> None:
    """v = momentum v + g; p -= lr v, in place."""
    p, v, g = p.reshape(-1), v.reshape(-1), g.reshape(-1)
    for i in range(p.size):
        v[i] = momentum * v[i] + g[i]
        p[i] -= lr * v[i]


@njit(fastmath=True)
def step_in_one(x: Any, y: Any, params: Any, slots: Any, scratch: Any, lr: Any, momentum: Any) -> float:
    """One step on one thread; the loss."""
    (W1, b1, W2, b2), (V1, v1, V2, v2) = params, slots
    h, z, gh, gW1, gW2, gb1, gb2, _ = scratch
    np.dot(x, W1.T, h)
    bias_relu(h, b1)
    np.dot(h, W2.T, z)
    loss = cross_entropy(z, b2, y, len(x))
    np.dot(z.T, h, gW2[0])
    sum_rows(z, gb2[0])
    np.dot(z, W2, gh)
    relu_backward(gh, h, gb1[0])
    np.dot(gh.T, x, gW1)
    update(W1, V1, gW1, lr, momentum)
    update(b1, v1, gb1[0], lr, momentum)
    update(W2, V2, gW2[0], lr, momentum)
    update(b2, v2, gb2[0], lr, momentum)
    return loss


@njit(fastmath=True, parallel=True)
def step_in_tiles(x: Any, y: Any, params: Any, slots: Any, scratch: Any, lr: Any, momentum: Any) -> float:
    """One step on as many threads as the scratch has tiles; the loss."""
    (W1, b1, W2, b2), (V1, v1, V2, v2) = params, slots
    h, z, gh, gW1, gW2, gb1, gb2, losses = scratch
    n, hidden, tiles = len(x), len(W1), len(losses)
    for t in prange(tiles):  # each tile has rows of the batch, and sums of its own
        start, stop = t * n // tiles, (t + 1) * n // tiles
        ht, zt, gt = h[start:stop], z[start:stop], gh[start:stop]
        np.dot(x[start:stop], W1.T, ht)
        bias_relu(ht, b1)
        np.dot(ht, W2.T, zt)
        losses[t] = cross_entropy(zt, b2, y[start:stop], n)
        np.dot(zt.T, ht, gW2[t])
        sum_rows(zt, gb2[t])
        np.dot(zt, W2, gt)
        relu_backward(gt, ht, gb1[t])
    for t in prange(tiles):  # each tile has rows of the first weight
        start, stop = t * hidden // tiles, (t + 1) * hidden // tiles
        columns = np.ascontiguousarray(gh[:, start:stop])
        np.dot(columns.T, x, gW1[start:stop])
        update(W1[start:stop], V1[start:stop], gW1[start:stop], lr, momentum)
    for t in range(1, tiles):
        gW2[0] += gW2[t]
        gb1[0] += gb1[t]
        gb2[0] += gb2[t]
    update(b1, v1, gb1[0], lr, momentum)
    update(W2, V2, gW2[0], lr, momentum)
    update(b2, v2, gb2[0], lr, momentum)
    return losses.sum()


@njit
def epoch_in_one(x: Any, y: Any, batch: int, params: Any, slots: Any, scratch: Any, lr: Any, momentum: Any) -> Any:
    """Steps over all batches on one thread; their losses."""
    losses = np.empty(len(x) // batch)
    for i in range(len(losses)):
        rows = slice(i * batch, (i + 1) * batch)
        losses[i] = step_in_one(x[rows], y[rows], params, slots, scratch, lr, momentum)
    return losses


@njit
def epoch_in_tiles(x: Any, y: Any, batch: int, params: Any, slots: Any, scratch: Any, lr: Any, momentum: Any) -> Any:
    """Steps over all batches on several threads; their losses."""
    losses = np.empty(len(x) // batch)
    for i in range(len(losses)):
        rows = slice(i * batch, (i + 1) * batch)
        losses[i] = step_in_tiles(x[rows], y[rows], params, slots, scratch, lr, momentum)
    return losses


class Program:
    """A model with its slots and scratch arrays, for one batch size and thread count."""

    def __init__(self, weights: list[np.ndarray[Any, Any]], batch: int, threads: int, lr: float, momentum: float):
        numba.set_num_threads(threads)
        self.threads, self.batch = threads, batch
        self.params = tuple(w.copy() for w in weights)
        self.slots = tuple(np.zeros_like(w) for w in weights)
        hidden, classes = len(weights[1]), len(weights[3])
        shapes = (batch, hidden), (batch, classes), (batch, hidden), weights[0].shape
        sums = (threads, classes, hidden), (threads, hidden), (threads, classes)
        arrays = tuple(np.empty(shape, np.float32) for shape in (*shapes, *sums))
        self.scratch = (*arrays, np.empty(threads))
        self.rates = np.float32(lr), np.float32(momentum)

    def step(self, x: Any, y: Any) -> float:
        """One step; its loss."""
        function = step_in_one if self.threads == 1 else step_in_tiles
        return function(x, y, self.params, self.slots, self.scratch, *self.rates)

    def epoch(self, x: Any, y: Any) -> Any:
        """Steps over all batches of x and y in one compiled call; their losses."""
        function = epoch_in_one if self.threads == 1 else epoch_in_tiles
        return function(x, y, self.batch, self.params, self.slots, self.scratch, *self.rates)
