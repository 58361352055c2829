"""A line search that ends where the strong Wolfe conditions hold.

Formulas: Nocedal and Wright, Numerical Optimization (2006), section 3.5, with the safeguards of minFunc that PyTorch
has too: a bracket is found first and then made smaller by cubic interpolation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Point(NamedTuple):
    """A step along the direction: its length, the loss, the gradient, and the slope along the direction."""

    t: float
    loss: float
    gradient: Any
    slope: float


def cubic_minimum(a: Point, b: Point, bounds: tuple[float, float] | None = None) -> float:
    """Where the cubic through two points with their slopes has its minimum, within `bounds` (or the two points)."""
    low, high = bounds if bounds is not None else (min(a.t, b.t), max(a.t, b.t))
    # the bracket may hold one point twice: no division error, as for floats of NumPy
    ratio = divided(a.loss - b.loss, a.t - b.t)
    d1 = a.slope + b.slope - 3 * ratio
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2.0
    d2 = math.sqrt(square)
    left, right = (a, b) if a.t <= b.t else (b, a)
    share = divided(right.slope + d2 - d1, right.slope - left.slope + 2 * d2)
    return min(max(right.t - (right.t - left.t) * share, low), high)


def divided(a: float, b: float) -> float:
    """a / b by the rules of floating-point numbers."""
    if b:
        return a / b
    return math.nan if not a or math.isnan(a) else math.copysign(math.inf, a)


def strong_wolfe(
    evaluate: Callable[[float], Point],
    start: Point,
    t: float,
    size: float,
    limit: int,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance: float = 1e-9,
) -> tuple[Point, int]:
    """The point that was found, and how often the loss was computed, from `start` (t = 0) with the first guess `t`.

    `size` is the largest element of the direction, `limit` the most evaluations after the first.
    """
    previous, new = start, evaluate(t)
    count = tries = 0
    done = False
    bracket: list[Point] = []
    while tries < limit:
        too_high = new.loss > start.loss + c1 * new.t * start.slope
        if too_high or (tries > 1 and new.loss >= previous.loss):
            bracket = [previous, new]
        elif abs(new.slope) <= -c2 * start.slope:
            bracket, done = [new], True
        elif new.slope >= 0:
            bracket = [previous, new]
        if bracket:
            break
        bounds = (new.t + 0.01 * (new.t - previous.t), new.t * 10)
        t = cubic_minimum(previous, new, bounds)
        previous, new = new, evaluate(t)
        count, tries = count + 1, tries + 1
    if not bracket:
        bracket = [start, new]
    stuck = False
    low, high = order(bracket)
    while not done and tries < limit:
        first, last = (min(p.t for p in bracket), max(p.t for p in bracket))
        if (last - first) * size < tolerance:
            break
        t, stuck = inside(cubic_minimum(bracket[0], bracket[1]), first, last, stuck)
        new = evaluate(t)
        count, tries = count + 1, tries + 1
        if new.loss > start.loss + c1 * t * start.slope or new.loss >= bracket[low].loss:
            bracket[high] = new
            low, high = order(bracket)
            continue
        if abs(new.slope) <= -c2 * start.slope:
            done = True
        elif new.slope * (bracket[high].t - bracket[low].t) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = new
    return bracket[low], count + 1


def order(bracket: list[Point]) -> tuple[int, int]:
    """The places of the lower and the higher loss."""
    return (0, 1) if bracket[0].loss <= bracket[-1].loss else (1, 0)


def inside(t: float, first: float, last: float, stuck: bool) -> tuple[float, bool]:
    """A step that makes progress: one too near to an end for the second time is moved a tenth away from it."""
    margin = 0.1 * (last - first)
    if not min(last - t, t - first) < margin:
        return t, False
    if stuck or t >= last or t <= first:
        return (last - margin if abs(t - last) < abs(t - first) else first + margin), False
    return t, True
