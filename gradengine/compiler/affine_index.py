"""Where the elements of arrays are, for a loop over rows and columns. All arrays are contiguous."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gradengine_kernels.loops import Access

if TYPE_CHECKING:
    from collections.abc import Sequence


def canonical(shape: tuple[int, ...]) -> tuple[int, int]:
    """The rows and columns that an array of that shape is seen as."""
    if len(shape) < 2:
        return (shape[0] if shape else 1), 1
    return math.prod(shape[:-1]), shape[-1]


def full(columns: int) -> Access:
    """All elements in order."""
    return Access(((1, 0, columns),), 0 if columns == 1 else 1)


def stretched(shape: tuple[int, ...], wanted: tuple[int, ...]) -> Access:
    """Where the elements of a contiguous array are that is broadcast to another shape."""
    steps: list[int] = []
    step = 1
    for n in reversed(shape):
        steps.insert(0, 0 if n == 1 else step)
        step *= n
    return strided(wanted, (*[0] * (len(wanted) - len(shape)), *steps), 0)


def strided(shape: tuple[int, ...], steps: Sequence[int], start: int) -> Access:
    """Where the elements of an output of that shape are found by steps along its axes."""
    if not shape:
        return Access((), 0, start)
    if len(shape) == 1:
        shape, steps = (*shape, 1), (*steps, 0)
    column = steps[-1] if shape[-1] > 1 else 0
    terms: list[tuple[int, int, int]] = []
    over, merged = 1, None
    for n, step in zip(reversed(shape[:-1]), reversed(steps[:-1])):
        if merged is not None and step == merged[2] * merged[1] and n > 1:
            merged = (merged[0], merged[1] * n, merged[2])  # one axis, as far as steps go
        elif n > 1:
            if merged is not None:
                terms.append(merged)
            merged = (over, n, step)
        over *= n
    if merged is not None:
        terms.append(merged)
    rows = math.prod(shape[:-1])
    found = [(o, 0 if o * n >= rows else n, s) for o, n, s in terms if s]
    return Access(tuple(found[::-1]), column, start)
