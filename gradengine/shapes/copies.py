"""Rules for borders, copies side by side, triangles and diagonals."""

from __future__ import annotations

import math
import operator
from typing import Any

from ..errors import ArgumentError, DTypeError, ShapeError
from .axes import Shape, axis_of, matrices, sizes_of

PAD_MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


def pad_widths(name: str, pad_width: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    """(before, after) for each axis, from any form that NumPy takes: an int, a pair, or a pair per axis."""
    try:
        widths = [sizes_of(name, w, "a width is") for w in pad_width]
    except TypeError:
        widths = [sizes_of(name, pad_width, "pad_width is")]
    except DTypeError:
        widths = []
    if len(widths) == 2 and all(len(w) == 1 for w in widths) and not isinstance(pad_width[0], (tuple, list)):
        widths = [widths[0] + widths[1]]
    pairs = [w * 2 if len(w) == 1 else w for w in widths]
    if len(pairs) == 1:
        pairs = pairs * ndim
    if len(pairs) != ndim or any(len(w) != 2 for w in pairs):
        raise ShapeError(
            f"{name}: pad_width {pad_width!r} does not fit {ndim} dimensions; give an int, a pair (before, after), or "
            "a pair for each axis"
        )
    if any(n < 0 for w in pairs for n in w):
        raise ShapeError(f"{name}: pad_width {pad_width!r}: widths cannot be negative")
    return tuple((before, after) for before, after in pairs)


def pad(name: str, x: Shape, *, pad_width: Any, mode: Any = "constant", **metadata: Any) -> Shape:
    """Each size with what is put before and after."""
    if mode not in PAD_MODES:
        raise ArgumentError(f"{name}: mode {mode!r} is none; choose one of {', '.join(PAD_MODES)}")
    widths = pad_widths(name, pad_width, len(x))
    for a, (n, w) in enumerate(zip(x, widths)):
        if n == 0 and any(w) and mode != "constant":
            raise ShapeError(f"{name}: axis {a} of shape {x} is empty, and mode {mode!r} has nothing to pad it with")
    return tuple(n + before + after for n, (before, after) in zip(x, widths))


def unpad(name: str, x: Shape, *, pad_width: Any, **metadata: Any) -> Shape:
    """Each size without what was put before and after."""
    return tuple(n - before - after for n, (before, after) in zip(x, pad_widths(name, pad_width, len(x))))


def tile(name: str, x: Shape, *, repetitions: Any, **metadata: Any) -> Shape:
    """Each size times its repetitions."""
    times = sizes_of(name, repetitions, "repetitions is")
    if any(n < 0 for n in times):
        raise ShapeError(f"{name}: repetitions {times} cannot be negative")
    ndim = max(len(x), len(times))
    padded = (1,) * (ndim - len(x)) + x
    return tuple(n * m for n, m in zip(padded, (1,) * (ndim - len(times)) + times))


def repeat(name: str, x: Shape, *, repeats: Any, axis: Any = None, **metadata: Any) -> Shape:
    """One size times `repeats`, or the sum of as many numbers."""
    if axis is None:
        x, axis = (math.prod(x),), 0
    place = axis_of(name, axis, len(x))
    times = sizes_of(name, repeats, "repeats is")
    if any(n < 0 for n in times):
        raise ShapeError(f"{name}: repeats {times} cannot be negative")
    if len(times) not in (1, x[place]):
        raise ShapeError(f"{name}: {len(times)} repeats for the {x[place]} elements along axis {axis} of shape {x}")
    length = x[place] * times[0] if len(times) == 1 else sum(times)
    return (*x[:place], length, *x[place + 1 :])


def unrepeat(name: str, x: Shape, *, repeats: Any, axis: Any, length: int, **metadata: Any) -> Shape:
    """The size that was repeated."""
    return (*x[:axis], length, *x[axis + 1 :])


def triangle(name: str, x: Shape, *, k: Any = 0, **metadata: Any) -> Shape:
    """Unchanged; x must be matrices."""
    operator.index(k)
    return matrices(name, x)


def diagonal(name: str, x: Shape, *, offset: Any = 0, axis1: Any = -2, axis2: Any = -1, **metadata: Any) -> Shape:
    """Two axes replaced by their diagonal, which comes last."""
    matrices(name, x)
    i, j = axis_of(name, axis1, len(x)), axis_of(name, axis2, len(x))
    if i == j:
        raise ShapeError(f"{name}: axis1 and axis2 must be two axes, both are {i}")
    shift = operator.index(offset)
    length = min(x[i] + min(shift, 0), x[j] - max(shift, 0))
    return (*[n for a, n in enumerate(x) if a not in (i, j)], max(length, 0))


def fill_diagonal(name: str, x: Shape, *, shape: Shape, **metadata: Any) -> Shape:
    """The shape that the diagonal was taken from."""
    return shape


def diag(name: str, x: Shape, *, offset: Any = 0, **metadata: Any) -> Shape:
    """A vector's matrix, or a matrix' diagonal."""
    if len(x) == 1:
        n = x[0] + abs(operator.index(offset))
        return (n, n)
    if len(x) == 2:
        return diagonal(name, x, offset=offset)
    raise ShapeError(f"{name}: takes a vector or a matrix, got shape {x}")
