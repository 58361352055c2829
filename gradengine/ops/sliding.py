"""Windows along an axis, which `Tensor.unfold` gives."""

from __future__ import annotations

import numpy as np

from .. import shapes
from ..errors import ShapeError
from .arguments import whole
from .declare import composite

__all__: list[str] = []  # a method of Tensor


@composite
def windows(k, x, /, axis, size, step):
    """Windows of `size` elements along an axis, one every `step`, which become a new last axis: PyTorch's `unfold`.

    A view of x where the windows do not overlap. Raises ShapeError where the axis is shorter than a window.

    >>> import gradengine as ge
    >>> ge.ops.windows(ge.arange(5), 0, 3, 2)
    tensor([[0, 1, 2],
            [2, 3, 4]])
    """
    place = shapes.axis_of("unfold", axis, len(x.shape) or 1)
    size, step = whole("unfold", "size", size), whole("unfold", "step", step)
    if not x.shape:  # one window, as in PyTorch
        return k.reshape(x, shape=(1,))
    n = x.shape[place]
    if not 0 <= size <= n or step < 1:
        raise ShapeError(f"unfold: windows of {size} elements every {step} do not fit {n} elements along axis {axis}")
    count = (n - size) // step + 1
    if step >= size and count * step <= n:
        rows = k.narrow(x, axis=place, start=0, length=count * step)
        split = k.reshape(rows, shape=(*x.shape[:place], count, step, *x.shape[place + 1 :]))
        return k.moveaxis(k.narrow(split, axis=place + 1, start=0, length=size), source=place + 1, destination=-1)
    at = np.arange(count)[:, None] * step + np.arange(size)
    return k.moveaxis(k.take(x, at, axis=place), source=place + 1, destination=-1)


windows.op.shown = "unfold"
