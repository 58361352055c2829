"""Loop forms: what ops are in the loop IR, of pointwise ops, reductions, matrix products, draws and strided copies.

A form takes `(k, *inputs, **params)`, where `k` builds equations of the loop IR, and returns what it has built, or None
where the form does not fit; then the op's own kernel is called. What neural networks are made of is written out here,
so that fusion puts each op into one kernel again, together with what surrounds it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..shapes.dtypes import is_floating
from ..shapes.layout import strides_of


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes in order and from 0; none of an array that has none."""
    if axis is None or not ndim:
        return tuple(range(ndim))
    return tuple(sorted({a % ndim for a in (axis if isinstance(axis, tuple) else (axis,))}))


def is_real(*nodes: Any) -> bool:
    """True for arrays, not numbers, of one floating-point dtype that kernels are compiled for."""
    dtypes = {x.dtype.name if hasattr(x, "var") else "" for x in nodes}
    return len(dtypes) == 1 and "" not in dtypes and dtypes <= nodes[0].k.reals


def is_last(axis: Any, x: Any) -> bool:
    """True for the last axis of an array that has one."""
    return x.ndim > 0 and isinstance(axis, int) and axis % x.ndim == x.ndim - 1


def without(k: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """A reduction's result, without the axes of size 1 unless they are asked for."""
    return x if keepdims else k.view(x, tuple([n for i, n in enumerate(x.shape) if i not in axes]))


def total(k: Any, x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    if dtype is not None and np.dtype(dtype) != x.dtype and x.dtype != np.bool_:
        return None
    if x.dtype == np.bool_:
        if dtype is None or not is_floating(np.dtype(dtype)):
            return None
        x = k.cast(x, np.dtype(dtype))
    axes = axes_of(axis, x.ndim)
    if not is_real(x) or not axes or not x.var.size:
        return None
    return without(k, k.total(x, axes), axes, keepdims)


def mean(k: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    axes = axes_of(axis, x.ndim)
    if not is_real(x) or not axes or not x.var.size:
        return None
    count = math.prod([x.shape[a] for a in axes])
    return without(k, k.total(x, axes) / float(count), axes, keepdims)


def vecdot(k: Any, a: Any, b: Any, axis: int = -1) -> Any:
    if not is_real(a, b) or a.shape != b.shape or not a.ndim or not a.var.size:
        return None
    axes = axes_of(axis, a.ndim)
    return without(k, k.total(a * b, axes), axes, False)


def extreme(how: str) -> Callable[..., Any]:
    def form(k: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        axes = axes_of(axis, x.ndim)
        if not is_real(x) or axes != tuple(range(x.ndim - len(axes), x.ndim)) or not axes or not x.var.size:
            return None
        return without(k, k.reduce(how, x, axes), axes, keepdims) if len(axes) < x.ndim else None

    return form


def sum_to(k: Any, x: Any, shape: tuple[int, ...]) -> Any:
    if not is_real(x) or not x.var.size:
        return None
    lead = x.ndim - len(shape)
    axes = (*range(lead), *[i + lead for i, n in enumerate(shape) if n == 1 and x.shape[i + lead] != 1])
    return k.view(k.total(x, axes) if axes else x, tuple(shape))


def softmax(k: Any, x: Any, axis: int) -> Any:
    if not is_real(x) or not is_last(axis, x) or x.ndim < 2 or not x.var.size:
        return None
    last = (x.ndim - 1,)
    e = k.exp(x - k.reduce("max", x, last))
    return e * (1.0 / k.total(e, last))


def softmax_grad(k: Any, g: Any, y: Any, axis: int) -> Any:
    if not is_real(g, y) or not is_last(axis, y) or y.ndim < 2 or not y.var.size or g.shape != y.shape:
        return None
    return y * (g - k.total(g * y, (y.ndim - 1,)))


def log_softmax(k: Any, x: Any, axis: int) -> Any:
    if not is_real(x) or not is_last(axis, x) or x.ndim < 2 or not x.var.size:
        return None
    last = (x.ndim - 1,)
    shifted = x - k.reduce("max", x, last)
    return shifted - k.log(k.total(k.exp(shifted), last))


def log_softmax_grad(k: Any, g: Any, y: Any, axis: int) -> Any:
    if not is_real(g, y) or not is_last(axis, y) or y.ndim < 2 or not y.var.size or g.shape != y.shape:
        return None
    return g - k.exp(y) * k.total(g, (y.ndim - 1,))


def logsumexp(k: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    if not is_real(x) or axes_of(axis, x.ndim) != (x.ndim - 1,) or x.ndim < 2 or not x.var.size:
        return None
    last = (x.ndim - 1,)
    top = k.reduce("max", x, last)
    top = k.where(k.isinf(top), 0.0, top)
    return without(k, k.log(k.total(k.exp(x - top), last)) + top, last, keepdims)


def var(k: Any, x: Any, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    axes = axes_of(axis, x.ndim)
    if not is_real(x) or not axes or not x.var.size:
        return None
    count = math.prod([x.shape[a] for a in axes])
    if not count - correction > 0:
        return None
    centred = x - k.total(x, axes) / float(count)
    return without(k, k.total(centred * centred, axes) / float(count - correction), axes, keepdims)


def standardize(k: Any, x: Any, axis: Any = -1, eps: float = 1e-5) -> Any:
    axes = axes_of(axis, x.ndim)
    if not is_real(x) or not axes or not x.var.size:
        return None
    count = float(math.prod([x.shape[a] for a in axes]))
    centred = x - k.total(x, axes) / count
    deviation = k.sqrt(k.total(centred * centred, axes) / count + eps)
    return centred * (1.0 / deviation)


def mean_squared_error(k: Any, a: Any, b: Any) -> Any:
    if not is_real(a, b) or a.shape != b.shape or not a.var.size:
        return None
    d = a - b
    return k.view(k.total(d * d, tuple(range(d.ndim))) / float(a.var.size), ()) if d.ndim else d * d


class Labels:
    """What cross-entropy and its like need of labels: masks, how many count, and a check of their range."""

    def __init__(self, k: Any, labels: Any, logits: Any, ignore_index: int, name: str = "cross_entropy") -> None:
        self.k, (rows, self.classes), self.real = k, logits.shape, logits.dtype
        column = k.view(labels, (rows, 1))
        self.hit = k.at_column(column, logits.shape)
        ignored = k.label_is(column, ignore_index)
        self.counts = k.logical_not(ignored)
        if 0 <= ignore_index < self.classes:
            self.hit = k.logical_and(self.hit, self.counts)
        outside = k.label_outside(column, self.classes)
        wide = np.dtype(np.float64 if self.real == np.float64 else np.float32)  # losses of half precision share a flag
        bad = k.cast(k.logical_and(outside, self.counts), wide)
        message = f"{name}: {label_message(self.classes, ignore_index)}"
        k.check(k.total(bad, (0, 1)), message)

    def share(self, reduction: str) -> Any:
        """What each row counts: 1, or 1 / (rows that count) under a mean."""
        if reduction != "mean":
            return None
        return self.k.view(1.0 / self.k.total(self.k.cast(self.counts, self.real), (0, 1)), ())


def label_message(classes: int, ignore_index: int) -> str:
    """What is said about a label out of range."""
    rest = f", or ignore_index={ignore_index}" if ignore_index < 0 else ""
    return f"the target holds a label that is out of range for {classes} classes: labels are 0 to {classes - 1}{rest}"


def are_rows(logits: Any, labels: Any) -> bool:
    """True for a matrix of floats with something in it, and int64 labels of its rows."""
    return is_real(logits) and logits.ndim == 2 and labels.dtype == np.int64 and logits.var.size > 0


def cross_entropy(k: Any, x: Any, labels: Any, ignore_index: int, reduction: str) -> Any:
    if not are_rows(x, labels):
        return None
    row = Labels(k, labels, x, ignore_index)
    shifted = x - k.reduce("max", x, (1,))
    own = k.total(k.where(row.hit, shifted, 0.0), (1,))
    losses = k.where(row.counts, k.log(k.total(k.exp(shifted), (1,))) - own, 0.0)
    if reduction == "none":
        return k.view(losses, x.shape[:1])
    total = k.view(k.total(losses, (0, 1)), ())
    return total * row.share(reduction) if reduction == "mean" else total


def cross_entropy_grad(k: Any, g: Any, x: Any, labels: Any, ignore_index: int, reduction: str) -> Any:
    if not are_rows(x, labels) or (hasattr(g, "var") and g.dtype != x.dtype):
        return None
    row = Labels(k, labels, x, ignore_index)
    g = g if hasattr(g, "var") else k.constant(g, x.dtype)
    if reduction == "mean":
        g = row.share(reduction) * g
    elif g.ndim == 1:
        g = k.view(g, (x.shape[0], 1))
    e = k.exp(x - k.reduce("max", x, (1,)))
    slope = e * (g / k.total(e, (1,))) - k.where(row.hit, g, 0.0)
    return k.where(row.counts, slope, 0.0)


def pick_class(k: Any, x: Any, labels: Any, ignore_index: int) -> Any:
    if not are_rows(x, labels):
        return None
    row = Labels(k, labels, x, ignore_index, "nll_loss")
    return k.view(k.total(k.where(row.hit, x, 0.0), (1,)), x.shape[:1])


def place_class(k: Any, g: Any, labels: Any, classes: int, ignore_index: int) -> Any:
    if not is_real(g) or g.ndim != 1 or labels.dtype != np.int64 or not g.var.size or not classes:
        return None
    row = Labels(k, labels, k.unknown((g.shape[0], classes), g.dtype), ignore_index, "nll_loss")
    return k.where(row.hit, k.view(g, (g.shape[0], 1)), 0.0)


def matmul(k: Any, a: Any, b: Any, ta: bool = False, tb: bool = False) -> Any:
    if not is_real(a, b) or not a.var.size or not b.var.size or a.ndim < 2 or b.ndim < 2:
        return None
    if a.ndim > 2 and b.ndim == 2 and not ta:
        rows = k.view(a, (math.prod(a.shape[:-1]), a.shape[-1]))
        found = k.dot(rows, b, ta, tb)
        return k.view(found, (*a.shape[:-1], found.shape[-1]))
    if a.shape[:-2] != b.shape[:-2]:
        return None
    if a.ndim > 3:
        batch = math.prod(a.shape[:-2])
        found = k.dot(k.view(a, (batch, *a.shape[-2:])), k.view(b, (batch, *b.shape[-2:])), ta, tb)
        return k.view(found, (*a.shape[:-2], *found.shape[-2:]))
    return k.dot(a, b, ta, tb)


def linear(k: Any, x: Any, weight: Any, *bias: Any) -> Any:
    if x.ndim < 1 or weight.ndim != 2 or not is_real(x, weight, *bias) or not x.var.size or not weight.var.size:
        return None
    product = matmul(k, x if x.ndim > 1 else k.view(x, (1, *x.shape)), weight, tb=True)
    if product is None:
        return None
    product = product + bias[0] if bias else product
    return product if x.ndim > 1 else k.view(product, product.shape[1:])


def permute(k: Any, x: Any, axes: Any) -> Any:
    steps, axes = strides_of(x.shape), [a % x.ndim for a in axes]
    shape = tuple([x.shape[a] for a in axes])
    return copied(k, x, shape, 0, tuple([steps[a] for a in axes]))


def copied(k: Any, x: Any, shape: tuple[int, ...], start: int, steps: tuple[int, ...]) -> Any:
    """An array whose elements are those of another, found by steps."""
    if not is_copied(k, x.dtype) or not math.prod(shape) or x.var.weak:
        return None
    return k.copy(x, shape, start, steps)


def is_copied(k: Any, dtype: Any) -> bool:
    """Whether kernels can move elements of a dtype."""
    return dtype == np.bool_ or dtype.name in k.reals


def swapped(ndim: int, axis1: int = -1, axis2: int = -2) -> list[int]:
    """The axes with two of them exchanged."""
    axes = list(range(ndim))
    axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
    return axes


def broadcast(k: Any, x: Any, shape: tuple[int, ...]) -> Any:
    lead = len(shape) - x.ndim
    steps = [0] * lead + [0 if n == 1 else s for n, s in zip(x.shape, strides_of(x.shape), strict=True)]
    if not is_copied(k, x.dtype) or not math.prod(shape) or x.var.weak:
        return None
    return k.broadcast(x, tuple(shape), tuple(steps))


def getitem(k: Any, x: Any, *at: Any, index: Any) -> Any:
    items = index if type(index) is tuple else (index,)
    if at or any(not (isinstance(i, (int, slice, type(None))) or i is ...) or isinstance(i, bool) for i in items):
        return None
    given = sum(isinstance(i, (int, slice)) for i in items)
    if ... in [i if i is ... else None for i in items]:
        place = next(p for p, i in enumerate(items) if i is ...)
        items = (*items[:place], *[slice(None)] * (x.ndim - given), *items[place + 1 :])
    else:
        items = (*items, *[slice(None)] * (x.ndim - given))
    old, shape, steps, start, axis = strides_of(x.shape), [], [], 0, 0
    for item in items:
        if item is None:
            shape.append(1)
            steps.append(0)
            continue
        if isinstance(item, int):
            start += (item % x.shape[axis]) * old[axis]
        else:
            first, last, step = item.indices(x.shape[axis])
            if step < 0:
                return None
            start += first * old[axis]
            shape.append(len(range(first, last, step)))
            steps.append(step * old[axis])
        axis += 1
    return copied(k, x, tuple(shape), start, tuple(steps))


def cast(k: Any, x: Any, dtype: Any) -> Any:
    wanted = np.dtype(dtype)
    if wanted.name not in k.reals or not x.var.size:
        return None
    if x.dtype == np.bool_:
        return k.cast(x, wanted)
    if x.dtype.name not in k.reals or k.reals <= ON_CPU:
        return None
    return k.copy(x, x.shape, 0, strides_of(x.shape), wanted)


ON_CPU = frozenset(("float32", "float64"))  # a kernel for the CPU has one of them for all that it reads and writes


def dropout(k: Any, state: Any, shape: tuple[int, ...], p: float, dtype: Any) -> Any:
    if np.dtype(dtype).name not in k.reals or not 0 < p < 1 or not math.prod(shape):
        return None
    return k.draw(state, tuple(shape), p, np.dtype(dtype))


def transposed(k: Any, x: Any) -> Any:
    return permute(k, x, swapped(x.ndim))


def swapaxes(k: Any, x: Any, axis1: int = -1, axis2: int = -2) -> Any:
    return permute(k, x, swapped(x.ndim, axis1, axis2))


def overwrite(k: Any, x: Any, value: Any) -> Any:
    return broadcast(k, value, x.shape) if value.dtype == x.dtype else None


def clone(k: Any, x: Any) -> Any:
    return copied(k, x, x.shape, 0, strides_of(x.shape))
