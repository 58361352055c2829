"""Random numbers on the device: for an equal state the bits that the NumPy backend draws.

A `state` of two uint64, seed and offset, may be a NumPy array or lie on the device.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ...xp_kernels import by_name
from .. import driver
from ..lazy_cupy import cp
from . import philox
from .common import as_array

MASK = (1 << 64) - 1
THREADS = 128
STORED = {"float64": "double", "float32": "float", "float16": "f16", "bfloat16": "bf16"}
KEPT = {"float32": 24, "float16": 11, "bfloat16": 8}  # the bits of a uniform number
UNSIGNED = {1: "unsigned char", 2: "unsigned short", 4: "unsigned int", 8: "u64"}


@functools.cache
def kernel(kind: str, element: str, per_block: int, on_device: bool, kept: int = 53) -> Any:
    """A compiled kernel and nothing else."""
    if kind == "uniform":
        body = (philox.UNIFORM[per_block] + philox.MOVED).replace("UNIT", repr(2.0**-kept)).replace("KEPT", str(kept))
        made = body, "i64 moved, double low, double span, double top", ""
    elif kind == "normal":
        unit = repr(2.0**-52 if per_block == 4 else 2.0**-32)
        body = philox.DRAWN_NORMAL[per_block].replace("UNIT", unit) + philox.SPREAD
        made = body, "double mean, double std", philox.NORMAL
    elif kind == "integers":
        made = philox.INTEGER, "u64 limit, u64 span, u64 low", ""
    else:
        made = philox.BELOW, "u64 limit, double yes, double no", ""
    body, params, helpers = made
    text = philox.source("random_KIND", element, per_block, body, params, on_device, helpers)
    name = driver.named(f"random_{kind}", text)
    return driver.function(name, text.replace("random_KIND", name))


def draw(
    kind: str, state: Any, out: Any, element: str, per_block: int, params: tuple[Any, ...], *, kept: int = 53
) -> Any:
    """`out`, filled by a kernel."""
    count = out.size
    if count:
        on_device = isinstance(state, cp.ndarray)
        words = (state,) if on_device else (np.uint64(state[0]), np.uint64(state[1]))
        run = kernel(kind, element, per_block, on_device, kept)
        blocks = -(-count // per_block)
        grid = min(-(-blocks // THREADS), 32 * driver.multiprocessors(driver.here()))
        driver.launch(run, grid, THREADS, (*words, out, count, *params))
    return out


def stored(dtype: Any) -> tuple[str, int, np.dtype[Any]]:
    """How C names a floating-point dtype, how many numbers of it a block gives, and the dtype."""
    dtype = np.dtype(dtype)
    return STORED[dtype.name], 4 if dtype == np.float64 else 8, dtype


def random_uniform(state: Any, shape: tuple[int, ...], low: float, high: float, dtype: Any) -> Any:
    """Uniform in [low, high): multiples of 2^-53, 2^-24 (float32), 2^-11 (float16) or 2^-8, then scaled and moved."""
    element, per_block, dtype = stored(dtype)
    moved, top = low != 0 or high != 1, math.inf
    if low < high:  # rounding may have reached the bound
        top = float(np.nextafter(dtype.type(high), dtype.type(low)))
    params = int(moved), float(low), float(high) - float(low), top
    kept = KEPT.get(dtype.name, 53)
    return draw("uniform", state, cp.empty(shape, dtype), element, per_block, params, kept=kept)


def random_normal(state: Any, shape: tuple[int, ...], mean: float, std: float, dtype: Any) -> Any:
    """Normal numbers: the inverse distribution function of (k + 1/2) / 2^52 (float64) or / 2^32, in float64."""
    element, per_block, dtype = stored(dtype)
    return draw("normal", state, cp.empty(shape, dtype), element, per_block, (float(mean), float(std)))


def random_integers(state: Any, shape: tuple[int, ...], low: int, high: int, dtype: Any) -> Any:
    """Integers in [low, high): word modulo range, without the words that would favour small results."""
    out, span = cp.empty(shape, dtype), high - low
    limit = (1 << 64) - (1 << 64) % span
    params = np.uint64(limit & MASK), np.uint64(span & MASK), np.uint64(low & MASK)  # 2^64 is 0: no limit
    return draw("integers", state, out, UNSIGNED[out.itemsize], 4, params)


def words(state: Any, count: int) -> Any:
    """The first `count` words, uint64."""
    return draw("integers", state, cp.empty(count, np.uint64), "u64", 4, (np.uint64(0), np.uint64(0), np.uint64(0)))


def random_permutation(state: Any, n: int) -> Any:
    """0 to n - 1 in the order of n random words; equal words keep their order."""
    return cp.argsort(words(state, n), kind="stable").astype(np.int64, copy=False) if n else cp.empty(0, np.int64)


def below(state: Any, p: Any, shape: tuple[int, ...]) -> Any:
    """True with probability p, an array: the half word is below p times 2^32, rounded up."""
    count = math.prod(shape)
    drawn = words(state, (count + 1) // 2).view(np.uint32)[:count].reshape(shape)
    limit = cp.ceil(as_array(p).astype(np.float64) * 2.0**32).astype(np.uint64)
    return drawn.astype(np.uint64) < limit


def chosen(state: Any, shape: tuple[int, ...], p: float, yes: float, no: float, dtype: Any) -> Any:
    """`yes` with probability p, else `no`."""
    limit = np.uint64(math.ceil(p * 2.0**32))
    if dtype.name in STORED:
        return draw("below", state, cp.empty(shape, dtype), STORED[dtype.name], 8, (limit, float(yes), float(no)))
    out = draw("below", state, cp.empty(shape, np.bool_), "u8", 8, (limit, float(yes), float(no)))
    return out.astype(dtype, copy=False)


def random_bernoulli(state: Any, p: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """1 with probability p, else 0."""
    if isinstance(p, cp.ndarray):
        return below(state, p, shape).astype(dtype, copy=False)
    return chosen(state, shape, float(p), 1.0, 0.0, np.dtype(dtype))


def random_dropout(state: Any, shape: tuple[int, ...], p: float, dtype: Any) -> Any:
    """0 with probability p, else 1 / (1 - p)."""
    dtype = np.dtype(dtype)
    if p == 1:
        return cp.zeros(shape, dtype)
    return chosen(state, shape, p, 0.0, float(dtype.type(1.0 / (1.0 - p))), dtype)


KERNELS = by_name(
    random_uniform, random_normal, random_integers, random_permutation, random_bernoulli, random_dropout,
)  # fmt: skip
