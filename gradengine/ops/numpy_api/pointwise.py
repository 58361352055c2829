"""Adapters of NumPy's functions of each element that are not ufuncs: clip, round, where, isclose, nan_to_num."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.interpreter import k
from ...core.tensor_class import Tensor
from ...shapes.dtypes import check_dtype, is_floating
from .registry import NoValue, adapts, only, tensor, tensors


@adapts(np.clip)
def clip(a, a_min=NoValue, a_max=NoValue, out=None, *, min=NoValue, max=NoValue, **kwargs):
    only(not kwargs and (a_min is NoValue) == (a_max is NoValue))
    only(a_min is NoValue or (min is NoValue and max is NoValue))
    low = a_min if min is NoValue else min
    high = a_max if max is NoValue else max
    x = tensor(a)
    low, high = [bound_for(x, bound) for bound in (low, high)]
    return k.clip(x, low, high)


def bound_for(x: Tensor, bound: Any) -> Any:
    """A bound of `clip`; None where there is none. One that x cannot hold is left to NumPy."""
    if bound is NoValue or bound is None:
        return None
    if type(bound) in (int, float, bool):
        only(is_floating(x.dtype) or (type(bound) is int and np.iinfo(x.dtype).min <= bound <= np.iinfo(x.dtype).max))
        return bound
    return tensor(bound, x)


@adapts(np.round, np.around)
def round(a, decimals=0, out=None):
    x = tensor(a)
    only(x.dtype.kind != "b")
    if decimals == 0:
        return k.round(x)
    only(is_floating(x.dtype))
    return k.round(x, decimals=decimals)


@adapts(np.fix)
def fix(x, out=None):
    return k.trunc(tensor(x))


@adapts(np.where)
def where(condition, x=NoValue, y=NoValue, /):
    if x is NoValue and y is NoValue:
        return k.nonzero(tensor(condition))
    only(x is not NoValue and y is not NoValue)
    c = tensor(condition)
    return k.where(c if c.dtype == np.bool_ else k.not_equal(c, 0), x, y)


@adapts(np.select)
def select(condlist, choicelist, default=0):
    only(len(condlist) == len(choicelist) and len(condlist) > 0)
    result: Any = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        condition = tensor(condition)
        only(condition.dtype == np.bool_)
        result = k.where(condition, choice, result)
    return result


@adapts(np.isclose)
def isclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    return k.isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)


@adapts(np.allclose)
def allclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    return k.allclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)


@adapts(np.nan_to_num)
def nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    x = tensor(x)
    only(is_floating(x.dtype) and copy and np.ndim(nan) == 0)
    only(np.ndim(posinf) == 0 and np.ndim(neginf) == 0)
    return k.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


@adapts(np.sinc)
def sinc(x):
    x = tensor(x)
    only(is_floating(x.dtype))
    return k.sinc(x)


@adapts(np.real, np.real_if_close)
def real(val, tol=100):
    return tensor(val)


@adapts(np.imag)
def imag(val):
    return k.zeros_like(tensor(val))


@adapts(np.astype)
def astype(x, dtype, /, *, copy=True, device=None):
    wanted = check_dtype(dtype, "astype")
    return k.clone(x) if copy and wanted == x.dtype else x.to(wanted)


@adapts(np.copy)
def copy(a, order="K", subok=False):
    return k.clone(tensor(a))


@adapts(np.copyto)
def copyto(dst, src, casting="same_kind", where=True):
    from .registry import store

    only(isinstance(dst, Tensor))
    value = tensor(src, dst)
    if type(src) in (bool, int, float) and np.can_cast(np.min_scalar_type(src), dst.dtype, casting):
        value = value.to(dst.dtype)
    store(dst, k.broadcast_to(value, shape=dst.shape), casting, where if where is True else tensor(where, dst))


@adapts(np.shape)
def shape(a):
    return a.shape if isinstance(a, Tensor) else tensors(*a)[0].shape[:0] + (len(a), *tensors(*a)[0].shape)


@adapts(np.ndim)
def ndim(a):
    return len(shape(a))


@adapts(np.size)
def size(a, axis=None):
    of = shape(a)
    places = range(len(of)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    found = 1
    for place in places:
        found *= of[place]
    return found


@adapts(np.polyval)
def polyval(p, x):
    p, x = tensors(p, x)
    only(p.ndim == 1 and p.shape[0] > 0)
    result = k.zeros_like(x)
    for coefficient in k.unstack(p):
        result = result * x + coefficient
    return result
