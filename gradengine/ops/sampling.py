"""More draws in PyTorch's words: rand_like and its like, multinomial, poisson, and the state of the generator."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..core.host_callbacks import current
from ..core.tensor_class import Tensor, wrap
from ..errors import ArgumentError, ShapeError
from ..shapes.dtypes import is_floating
from ..validation import known_words
from .arguments import checked, whole
from .creation import arange, asarray
from .elementwise import divide, where
from .predicates import greater, less_equal
from .random import Generator, default_generator, rand, randint, randn
from .reduce import max, sum
from .scans import cumsum
from .shape import expand_dims
from .sorting import topk
from .tensor_methods import method
from .transcendental import log

__all__ = [
    "rand_like", "randn_like", "randint_like", "multinomial", "poisson", "get_rng_state", "set_rng_state",
    "initial_seed", "seed",
]  # fmt: skip

IGNORED = frozenset({"layout", "memory_format", "pin_memory"})


def of_its_like(name: str, x: Any, dtype: Any, device: Any) -> tuple[tuple[int, ...], Any, str]:
    """Shape, dtype and device of a Tensor that is like x."""
    x = wrap(x, None, name)
    return x.shape, x.dtype if dtype is None else dtype, x.device if device is None else device


@checked(ignored=IGNORED)
def rand_like(
    x: Any, /, *, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Uniform numbers in [0, 1) with the shape, dtype and device of x.

    >>> import gradengine as ge
    >>> ge.rand_like(ge.ones(2, 3)).shape
    (2, 3)
    """
    shape, dtype, device = of_its_like("rand_like", x, dtype, device)
    return rand(shape, generator=generator, dtype=dtype, device=device, requires_grad=requires_grad)


@checked(ignored=IGNORED)
def randn_like(
    x: Any, /, *, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Normal numbers of mean 0 and standard deviation 1 with the shape, dtype and device of x.

    >>> import gradengine as ge
    >>> ge.randn_like(ge.ones(2, 3)).shape
    (2, 3)
    """
    shape, dtype, device = of_its_like("randn_like", x, dtype, device)
    return randn(shape, generator=generator, dtype=dtype, device=device, requires_grad=requires_grad)


@checked(ignored=IGNORED)
def randint_like(
    x: Any, /, low: int, high: int | None = None, *, generator: Generator | None = None, dtype: Any = None,
    device: Any = None,
) -> Tensor:  # fmt: skip
    """Integers from `low` (0 if there is no `high`) up to but without `high`, with the shape, dtype and device of x.

    >>> import gradengine as ge
    >>> ge.randint_like(ge.ones(2), 1)
    tensor([0., 0.])
    """
    shape, dtype, device = of_its_like("randint_like", x, dtype, device)
    low, high = (0, low) if high is None else (low, high)
    drawn = randint(low, high, shape, generator=generator, device=device)
    return drawn.to(dtype)


@method
@checked
def multinomial(
    x: Any, /, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices drawn from each row of weights, which need not add up to 1: shape (..., num_samples), int64.

    Without `replacement` no index comes twice. The numbers are not those of PyTorch with the same seed. Raises
    ShapeError for more than two axes, ArgumentError for weights that are negative, all 0, or too few.

    >>> import gradengine as ge
    >>> ge.multinomial(ge.tensor([0.0, 1.0, 0.0]), 2, replacement=True)
    tensor([1, 1])
    """
    x = wrap(x, None, "multinomial").detach()
    count = whole("multinomial", "num_samples", num_samples)
    if x.ndim not in (1, 2) or not is_floating(x.dtype):
        raise ShapeError(f"multinomial: takes floating-point weights of 1 or 2 dimensions, got {x.dtype}{x.shape}")
    if count < 1 or (not replacement and count > x.shape[-1]):
        raise ArgumentError(f"multinomial: cannot draw {count} of {x.shape[-1]} without replacement")
    if current.trace is None:  # a traced value cannot be looked at
        check_weights(x.numpy(), count, replacement)
    if replacement:
        ends = cumsum(x, axis=-1)
        total = ends[..., -1:]
        at = rand((*x.shape[:-1], count), generator=generator, dtype=x.dtype, device=x.device) * total
        passed = less_equal(expand_dims(ends, axis=-2), expand_dims(at, axis=-1))
        last = max(where(greater(x, 0), arange(x.shape[-1], device=x.device), -1), axis=-1, keepdims=True)
        return sum(passed, axis=-1).minimum(last)  # rounding may lead beyond the last weight that is not 0
    times = -log(1 - rand(x.shape, generator=generator, dtype=x.dtype, device=x.device))  # exponential
    rank = where(greater(x, 0), divide(x, where(greater(times, 0), times, 1e-30)), -1.0)
    return topk(rank, count, axis=-1).indices


def check_weights(weights: np.ndarray[Any, Any], count: int, replacement: bool) -> None:
    """Raise ArgumentError for weights that one cannot draw from."""
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ArgumentError("multinomial: weights must be finite and not negative")
    positive = (weights > 0).sum(axis=-1)
    needed = 1 if replacement else count
    if (positive < needed).any():
        raise ArgumentError(f"multinomial: a row has {int(positive.min())} weights above 0, and {needed} are needed")


@checked
def poisson(x: Any, /, generator: Generator | None = None) -> Tensor:
    """Poisson numbers, each of the rate that the element of x is. They have no gradient; on the CPU, not in `ge.jit`.

    >>> import gradengine as ge
    >>> ge.poisson(ge.tensor([0.0, 0.0]))
    tensor([0., 0.])
    """
    x = wrap(x, None, "poisson").detach()
    rates = x.numpy()
    if not (rates >= 0).all():
        raise ArgumentError("poisson: rates must not be negative")
    source = default_generator if generator is None else generator
    seed, offset = (int(n) for n in source.advance(4 * x.size))
    bits = np.random.Philox(key=[seed, 0x706F6973], counter=[offset, 0, 0, 0])
    drawn = np.random.Generator(bits).poisson(rates).astype(x.dtype)
    return asarray(drawn, device=x.device)


# -- the generator's state ----------------------------------------------------------------------------------------


@known_words
def get_rng_state() -> Tensor:
    """The state of the default generator, seed and offset, for `set_rng_state`.

    >>> import gradengine as ge
    >>> state = ge.get_rng_state()
    >>> a = ge.rand(2)
    >>> ge.set_rng_state(state)
    >>> bool((ge.rand(2) == a).all())
    True
    """
    return default_generator.get_state()


@checked(words={"new_state": "state"})
def set_rng_state(state: Any) -> None:
    """Continue with the default generator where `get_rng_state` was called. Raises CheckpointError for another state.

    >>> import gradengine as ge
    >>> ge.set_rng_state(ge.get_rng_state())
    """
    default_generator.set_state(state)


@known_words
def initial_seed() -> int:
    """The seed of the default generator.

    >>> import gradengine as ge
    >>> _ = ge.manual_seed(7)
    >>> ge.initial_seed()
    7
    """
    return default_generator.initial_seed()


@known_words
def seed() -> int:
    """Seed the default generator by the operating system; returns the seed.

    >>> import gradengine as ge
    >>> ge.seed() == ge.initial_seed()
    True
    """
    fresh = int.from_bytes(os.urandom(7), "little")
    default_generator.manual_seed(fresh)
    return fresh
