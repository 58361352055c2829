"""How elements lie in memory."""

from __future__ import annotations


def strides_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Steps between elements of a contiguous array."""
    steps: list[int] = []
    step = 1
    for n in reversed(shape):
        steps.insert(0, step)
        step *= n
    return tuple(steps)
