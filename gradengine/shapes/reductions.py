"""Rules for reductions, running totals, norms, sorting and searching."""

from __future__ import annotations

import math
from typing import Any

from ..errors import ArgumentError, DTypeError, ShapeError
from .axes import Shape, axes_of, axis_of


def is_only_axis(x: Shape, axis: Any) -> bool:
    """True for the axis that NumPy and PyTorch grant a 0-d array: 0 or -1."""
    return x == () and isinstance(axis, int) and axis in (0, -1)


def reduction(name: str, x: Shape, *, axis: Any = None, keepdims: bool = False, **metadata: Any) -> Shape:
    """The shape after reducing along `axis`."""
    axes = () if is_only_axis(x, axis) else axes_of(name, axis, len(x))
    if not isinstance(keepdims, int):
        raise DTypeError(f"{name}: keepdims must be True or False, got {keepdims!r}")
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(x))
    return tuple(n for i, n in enumerate(x) if i not in axes)


def extremum(name: str, x: Shape, *, axis: Any = None, keepdims: bool = False, **metadata: Any) -> Shape:
    """A reduction that needs at least one element."""
    out = reduction(name, x, axis=axis, keepdims=keepdims)
    for a in () if x == () else axes_of(name, axis, len(x)):
        if x[a] == 0:
            raise ShapeError(f"{name}: axis {a} of shape {x} has no elements, so there is no {name} along it")
    return out


def single_axis_extremum(name: str, x: Shape, *, axis: Any = None, keepdims: bool = False, **metadata: Any) -> Shape:
    """The same along one axis, or all of them."""
    if isinstance(axis, (tuple, list)):
        raise DTypeError(f"{name}: axis must be one int or None, got {axis!r}")
    return extremum(name, x, axis=axis, keepdims=keepdims)


def vector_norm(
    name: str, x: Shape, *, ord: Any = 2, axis: Any = None, keepdims: bool = False, **metadata: Any
) -> Shape:
    """A reduction, whose order must be a number."""
    if not isinstance(ord, (int, float)):
        raise DTypeError(f"{name}: ord must be a number, inf or -inf, got {ord!r}")
    rule = extremum if ord < 0 else reduction
    return rule(name, x, axis=axis, keepdims=keepdims)


def accumulation(name: str, x: Shape, *, axis: Any = None, **metadata: Any) -> Shape:
    """Unchanged along `axis`; flat for None."""
    if axis is None:
        return (math.prod(x),)
    axis_of(name, axis, len(x))
    return x


def sort(name: str, x: Shape, *, axis: Any = -1, **metadata: Any) -> Shape:
    """Unchanged; `axis` must be one that x has."""
    axis_of(name, axis, len(x))
    return x


def topk(name: str, x: Shape, *, count: Any, axis: Any = -1, **metadata: Any) -> Shape:
    """`count` elements along `axis`."""
    place = axis_of("topk", axis, len(x))
    if not isinstance(count, int) or not 0 <= count <= x[place]:
        raise ShapeError(f"topk: k={count!r} along axis {axis} of shape {x}; k must be an int from 0 to {x[place]}")
    return (*x[:place], count, *x[place + 1 :])


def searchsorted(name: str, x: Shape, values: Shape, *, side: Any = "left", **metadata: Any) -> Shape:
    """A place for each value."""
    if side not in ("left", "right"):
        raise ArgumentError(f"{name}: side must be 'left' or 'right', got {side!r}")
    if len(x) != 1:
        raise ShapeError(f"{name}: searches a 1-d array, got shape {x}")
    return values
