"""What gives something else each time it is asked: generators of random numbers, iterators and clocks.

A compiled step has asked once, when it was traced, so it cannot repeat that. `reader_of` says where a random generator
or an iterator stands; `volatile` says whether a function of Python's, written in C, asks a clock or draws a number.
"""

from __future__ import annotations

import functools
import gc
import itertools
import operator
import os
import random
import time
import warnings
from datetime import date
from types import GeneratorType
from typing import TYPE_CHECKING, Any

import numpy as np

from .values import PLAIN, is_a

if TYPE_CHECKING:
    from collections.abc import Callable

CLOCKS = frozenset(
    getattr(time, name + end)
    for name in ("time", "perf_counter", "monotonic", "process_time", "thread_time")
    for end in ("", "_ns")
    if hasattr(time, name + end)
)
TODAY = frozenset(("now", "utcnow", "today"))
DRAWING = frozenset(("random", "getrandbits"))
EMPTY: tuple[Any, ...] = ([], (), {}, {}.values(), {}.items(), set(), range(1), reversed([]))
ITERATORS = tuple([type(iter(x)) for x in EMPTY])
INSIDE = (map, zip, enumerate, filter, itertools.chain, itertools.islice, itertools.starmap, itertools.takewhile)


def volatile(function: Any) -> str:
    """ "clock" or "random" for a function that asks a clock or draws a random number; otherwise nothing."""
    owner = getattr(function, "__self__", None)
    if function is os.urandom or (is_a(owner, random.Random) and function.__name__ in DRAWING):
        return "random"
    if function in CLOCKS or (isinstance(owner, type) and issubclass(owner, date) and function.__name__ in TODAY):
        return "clock"
    return ""


def reader_of(value: Any) -> Callable[[], Any] | None:
    """What says where a random generator or an iterator stands; None for anything else."""
    kind = type(value)
    if issubclass(kind, (np.random.Generator, np.random.RandomState, np.random.BitGenerator)):
        bits = value._bit_generator if issubclass(kind, np.random.RandomState) else value
        return lambda: flat(getattr(bits, "bit_generator", bits).state)
    if kind is random.Random:
        return value.getstate
    if kind is GeneratorType:
        return functools.partial(frame_state, value)
    if kind in ITERATORS:
        return functools.partial(operator.length_hint, value, -1)
    if kind is itertools.count:
        return functools.partial(repr, value)
    if kind is itertools.cycle:
        return functools.partial(cycle_state, value)
    if kind.__module__.startswith("gradengine.") and hasattr(kind, "__next__"):
        return lambda: {name: held for name, held in vars(value).items() if type(held) in PLAIN}
    return None


def flat(state: Any) -> Any:
    """The state of a bit generator, in values that compare."""
    if is_a(state, dict):
        return tuple([(key, flat(value)) for key, value in state.items()])
    return state.tobytes() if is_a(state, np.ndarray) else state


def frame_state(generator: Any) -> Any:
    """Where a generator function stands, and its variables."""
    frame = generator.gi_frame
    return frame and (frame.f_lasti, tuple([(name, id(value)) for name, value in frame.f_locals.items()]))


def cycle_state(cycle: Any) -> Any:
    """Where `itertools.cycle` stands, as far as it says so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            _, (inner,), (saved, _) = cycle.__reduce__()
        except Exception:  # of Python 3.14, which copies no iterators
            return None
    return operator.length_hint(inner, -1), len(saved)


def inner_iterators(value: Any) -> list[Any]:
    """The iterators that one of Python's own takes from."""
    return gc.get_referents(value) if type(value) in (*INSIDE, itertools.cycle) else []
