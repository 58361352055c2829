"""Rules for products: matrices, vectors, tensors, linear layers."""

from __future__ import annotations

import operator
from typing import Any

from ..errors import DTypeError, ShapeError
from .axes import Shape, axes_of, axis_of, broadcast


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


def vecdot(name: str, a: Shape, b: Shape, *, axis: int = -1, **metadata: Any) -> Shape:
    """The shape of dot products along `axis`, which is missing from the result."""
    i, j = axis_of(name, axis, len(a)), axis_of(name, axis, len(b))
    if a[i] != b[j]:
        raise ShapeError(f"{name}: {a} and {b} along axis {axis}: sizes {a[i]} and {b[j]} differ")
    return broadcast(name, a[:i] + a[i + 1 :], b[:j] + b[j + 1 :])


def linear(name: str, x: Shape, weight: Shape, *bias: Shape) -> Shape:
    """The shape of `x @ weight.T + bias`."""
    if len(weight) != 2:
        raise ShapeError(f"linear: weight must have shape (out, in), got {weight}")
    if not x or x[-1] != weight[1]:
        given = f"sizes {x[-1]} and {weight[1]} differ" if x else "the input is 0-d"
        raise ShapeError(f"linear: input {x} with weight {weight}: {given}; the input must be (..., {weight[1]})")
    if bias and bias[0] != weight[:1]:
        raise ShapeError(f"linear: bias {bias[0]} with weight {weight}: the bias must be {weight[:1]}")
    return x[:-1] + weight[:1]


def tensordot_axes(a: Shape, b: Shape, axes: Any) -> tuple[Shape, Shape]:
    """The paired axes that `tensordot` sums over."""
    if isinstance(axes, (tuple, list)):
        if len(axes) != 2:
            raise ShapeError(f"tensordot: axes must be a number or two sequences of axes, got {axes!r}")
        left, right = (axes_of("tensordot", list_or_one, len(s)) for list_or_one, s in zip(axes, (a, b)))
    else:
        try:
            n = operator.index(axes)
        except TypeError:
            raise DTypeError(f"tensordot: axes must be a number or two sequences of axes, got {axes!r}") from None
        if not 0 <= n <= min(len(a), len(b)):
            raise ShapeError(f"tensordot: {a} and {b} have no {n} axes to sum over")
        left, right = tuple(range(len(a) - n, len(a))), tuple(range(n))
    if len(left) != len(right):
        raise ShapeError(f"tensordot: axes {axes!r} pair {len(left)} axes with {len(right)}")
    for i, j in zip(left, right):
        if a[i] != b[j]:
            raise ShapeError(f"tensordot: {a} and {b}: axis {i} of size {a[i]} meets axis {j} of size {b[j]}")
    return left, right
