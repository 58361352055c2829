"""Adapters of NumPy's functions that make an array like another one, or from one number to another."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.interpreter import k
from ...core.tensor_class import Tensor, mode
from .registry import adapts, only, tensor


def sizes(x: Tensor, shape: Any) -> Any:
    """The shape that is asked for, or that of x."""
    return x.shape if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)


@adapts(np.zeros_like)
def zeros_like(a, dtype=None, order="K", subok=True, shape=None, *, device=None):
    x = tensor(a)
    return k.zeros(sizes(x, shape), dtype=x.dtype if dtype is None else dtype, device=x.device)


@adapts(np.ones_like)
def ones_like(a, dtype=None, order="K", subok=True, shape=None, *, device=None):
    x = tensor(a)
    return k.ones(sizes(x, shape), dtype=x.dtype if dtype is None else dtype, device=x.device)


@adapts(np.empty_like)
def empty_like(prototype, /, dtype=None, order="K", subok=True, shape=None, *, device=None):
    x = tensor(prototype)
    return k.empty(sizes(x, shape), dtype=x.dtype if dtype is None else dtype, device=x.device)


@adapts(np.full_like)
def full_like(a, fill_value, dtype=None, order="K", subok=True, shape=None, *, device=None):
    x, value = tensor(a), tensor(fill_value)
    only(isinstance(a, Tensor))
    filled = value.to(x.dtype if dtype is None else dtype, device=x.device)
    return k.clone(k.broadcast_to(filled, shape=sizes(x, shape)))


@adapts(np.linspace)
def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0, *, device=None):
    graph = mode.recording and any([isinstance(x, Tensor) and x.op is not None for x in (start, stop)])
    only(graph and not retstep and dtype is None and num > 1)
    first, last = tensor(start), tensor(stop)
    steps = np.linspace(0, 1, num, endpoint=endpoint)
    share = tensor(steps.astype(np.result_type(first.dtype, last.dtype))).to(device=first.device)
    span = last - first
    share = k.reshape(share, shape=(-1,) + (1,) * span.ndim)
    found = first * (1 - share) + last * share
    return found if axis == 0 else k.moveaxis(found, 0, axis)
