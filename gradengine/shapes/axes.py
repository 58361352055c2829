"""Axes and sizes as users give them, and the rules that every family builds on."""

from __future__ import annotations

import operator
from typing import Any

from ..errors import AxisError, DTypeError, ShapeError

Shape = tuple[int, ...]


def broadcast(name: str, *shapes: Shape, **metadata: Any) -> Shape:
    """The common shape of operands, as NumPy broadcasts."""
    out: list[int] = []
    for position in range(-1, -1 - max((len(s) for s in shapes), default=0), -1):
        sizes = [s[position] for s in shapes if len(s) >= -position]
        wanted = {n for n in sizes if n != 1}
        if len(wanted) > 1:
            given = " and ".join(map(str, shapes))
            raise ShapeError(
                f"{name}: shapes {given} do not broadcast: along axis {position} the sizes are "
                f"{' and '.join(map(str, sizes))}, and they must be equal or 1"
            )
        out.append(wanted.pop() if wanted else 1)
    return tuple(reversed(out))


def axis_of(name: str, axis: Any, ndim: int) -> int:
    """A non-negative axis of an array with `ndim` axes."""
    try:
        value = operator.index(axis)
    except TypeError:
        raise DTypeError(f"{name}: axis must be an int, got {axis!r}") from None
    if not -ndim <= value < ndim:
        valid = f"valid are {-ndim} to {ndim - 1}" if ndim else "a 0-d array has none"
        raise AxisError(f"{name}: axis {value} is out of range for {ndim} dimensions; {valid}")
    return value % ndim


def axes_of(name: str, axis: Any, ndim: int) -> Shape:
    """The axes that `axis` (None, an int or a tuple) stands for, non-negative and in the order given."""
    if axis is None:
        return tuple(range(ndim))
    if not isinstance(axis, (tuple, list)):
        return (axis_of(name, axis, ndim),)
    axes = tuple(axis_of(name, a, ndim) for a in axis)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{name}: axis {tuple(axis)} names an axis twice; name each at most once")
    return axes


def sizes_of(name: str, shape: Any, what: str = "a shape is") -> Shape:
    """`shape`, an int or a sequence of ints, as a tuple."""
    try:
        return (operator.index(shape),)
    except TypeError:
        pass
    try:
        if isinstance(shape, (bytes, dict, set, frozenset)):  # which have no order, or mean something else
            raise TypeError
        return tuple([operator.index(n) for n in shape])
    except TypeError:
        raise DTypeError(f"{name}: {what} an int or a tuple of ints, got {shape!r}") from None


def same(name: str, x: Shape, *rest: Shape, axis: Any = None, **metadata: Any) -> Shape:
    """Unchanged, for ops that work along one axis."""
    if axis is not None:
        axes_of(name, axis, len(x))
    return x


def matrices(name: str, x: Shape, **metadata: Any) -> Shape:
    """Unchanged; x must have at least two axes."""
    if len(x) < 2:
        raise ShapeError(f"{name}: works on matrices, so it needs at least 2 dimensions, got shape {x}")
    return x
