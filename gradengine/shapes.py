"""Shape rules, one per kind of op: what shape comes out, or a ShapeError that says what does not fit.

A rule is `rule(name, *shapes, **metadata) -> shape`. Rules run when a kernel has failed, to explain it, and when a
graph is traced; the path that works pays nothing. Imports errors only.
"""

from __future__ import annotations

import operator
from typing import Any

from .errors import DTypeError, ShapeError

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
        raise ShapeError(f"{name}: axis {value} is out of range for {ndim} dimensions; {valid}")
    return value % ndim


def axes_of(name: str, axis: Any, ndim: int) -> Shape:
    """The axes that `axis` (None, an int or a tuple) stands for, non-negative and in the order given."""
    if axis is None:
        return tuple(range(ndim))
    if not isinstance(axis, (tuple, list)):
        return (axis_of(name, axis, ndim),)
    axes = tuple(axis_of(name, a, ndim) for a in axis)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{name}: axis {tuple(axis)} names an axis twice")
    return axes


def reduction(name: str, x: Shape, *, axis: Any = None, keepdims: bool = False, **metadata: Any) -> Shape:
    """The shape after reducing along `axis`."""
    axes = axes_of(name, axis, len(x))
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(x))
    return tuple(n for i, n in enumerate(x) if i not in axes)


def same(name: str, x: Shape, *rest: Shape, axis: Any = None, **metadata: Any) -> Shape:
    """Unchanged, for ops that work along one axis."""
    if axis is not None:
        axes_of(name, axis, len(x))
    return x


def matmul(name: str, a: Shape, b: Shape, **metadata: Any) -> Shape:
    """The shape of a product of (stacks of) matrices; 1-d operands are vectors."""
    if not a or not b:
        raise ShapeError(f"{name}: {a} @ {b}: operands need at least one dimension; use * to multiply by a scalar")
    left = a if len(a) > 1 else (1, *a)
    right = b if len(b) > 1 else (*b, 1)
    if left[-1] != right[-2]:
        raise ShapeError(f"{name}: {a} @ {b}: inner sizes {left[-1]} and {right[-2]} differ")
    batch = broadcast(name, left[:-2], right[:-2])
    return batch + ((left[-2],) if len(a) > 1 else ()) + ((right[-1],) if len(b) > 1 else ())
