"""Adapters of NumPy's reductions, running totals, sorting and quantiles."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.interpreter import k
from ...core.tensor_class import Tensor
from ...shapes.dtypes import check_dtype, is_floating
from .registry import NoValue, adapts, flag, floats, given, only, tensor, tensors


def kept(x: Tensor, where: Any, neutral: float) -> Tensor:
    """x, with what a reduction passes over replaced by what does not count in it."""
    if where is NoValue or where is True:
        return x
    mask = tensor(where, x)
    only(np.broadcast_shapes(mask.shape, x.shape) == x.shape and mask.dtype == np.bool_)
    return k.where(mask, x, neutral)


def added(x: Any, initial: Any) -> Any:
    """`initial`, where x has its kind: NumPy casts it to the dtype of x."""
    only(initial is NoValue or is_floating(x.dtype) or (type(initial) is int and x.dtype.kind in "iu"))
    return initial


def has_axis(x: Tensor, axis: Any) -> Tensor:
    """x, if it has the axis: NumPy's statistics refuse an axis of a 0-d array, which sums take."""
    only(x.ndim > 0 or axis in (None, ()))
    return x


def some_axis(x: Tensor, axis: Any) -> Tensor:
    """x, if there are axes to take the quantile along: for none NumPy has answers of its own."""
    only(axis != ())
    return has_axis(x, axis)


def target(out: Any, dtype: Any) -> Any:
    """The dtype to add up in: that of `out` where only this is given, as NumPy does it."""
    return out.dtype if dtype is None and isinstance(out, Tensor) else dtype


@adapts(np.sum)
def sum(a, axis=None, dtype=None, out=None, keepdims=NoValue, initial=NoValue, where=NoValue):
    total = k.sum(kept(tensor(a), where, 0), axis=axis, keepdims=flag(keepdims), dtype=target(out, dtype))
    return total + added(total, initial) if given(initial) else total


@adapts(np.prod)
def prod(a, axis=None, dtype=None, out=None, keepdims=NoValue, initial=NoValue, where=NoValue):
    total = k.prod(kept(tensor(a), where, 1), axis=axis, keepdims=flag(keepdims), dtype=target(out, dtype))
    return total * added(total, initial) if given(initial) else total


def extremum(reduce: Any, choose: Any, a: Any, axis: Any, keepdims: Any, initial: Any, where: Any) -> Any:
    """The largest or smallest element, or `initial` beyond it."""
    x = tensor(a)
    only(where is NoValue or where is True or given(initial))
    added(x, initial)
    found = reduce(kept(x, where, initial), axis=axis, keepdims=flag(keepdims))
    return choose(found, initial) if given(initial) else found


@adapts(np.max, np.amax)
def max(a, axis=None, out=None, keepdims=NoValue, initial=NoValue, where=NoValue):
    return extremum(k.max, k.maximum, a, axis, keepdims, initial, where)


@adapts(np.min, np.amin)
def min(a, axis=None, out=None, keepdims=NoValue, initial=NoValue, where=NoValue):
    return extremum(k.min, k.minimum, a, axis, keepdims, initial, where)


@adapts(np.ptp)
def ptp(a, axis=None, out=None, keepdims=NoValue):
    x = tensor(a)
    return k.max(x, axis=axis, keepdims=flag(keepdims)) - k.min(x, axis=axis, keepdims=flag(keepdims))


def counted(x: Tensor, axis: Any, keepdims: bool, where: Any) -> Any:
    """How many elements go into each result, where some are passed over."""
    mask = k.broadcast_to(tensor(where, x).to(x.dtype), shape=x.shape)
    return k.sum(mask, axis=axis, keepdims=keepdims)


@adapts(np.mean)
def mean(a, axis=None, dtype=None, out=None, keepdims=NoValue, *, where=NoValue):
    x = has_axis(floats(tensor(a), dtype), axis)
    if where is NoValue or where is True:
        return k.mean(x, axis=axis, keepdims=flag(keepdims))
    only(is_floating(x.dtype))
    total = k.sum(kept(x, where, 0), axis=axis, keepdims=flag(keepdims))
    return total / counted(x, axis, flag(keepdims), where)


def variance(a: Any, axis: Any, dtype: Any, ddof: Any, where: Any, correction: Any) -> tuple[Any, Any]:
    """What `var` and `std` need of their arguments: the Tensor and the correction."""
    only(where is NoValue or where is True)
    return has_axis(floats(tensor(a), dtype), axis), correction if given(correction) else ddof


@adapts(np.var)
def var(
    a, axis=None, dtype=None, out=None, ddof=0, keepdims=NoValue, *, where=NoValue, mean=NoValue, correction=NoValue
):  # fmt: skip
    only(mean is NoValue)
    x, less = variance(a, axis, dtype, ddof, where, correction)
    return k.var(x, axis=axis, correction=less, keepdims=flag(keepdims))


@adapts(np.std)
def std(
    a, axis=None, dtype=None, out=None, ddof=0, keepdims=NoValue, *, where=NoValue, mean=NoValue, correction=NoValue
):  # fmt: skip
    only(mean is NoValue)
    x, less = variance(a, axis, dtype, ddof, where, correction)
    return k.std(x, axis=axis, correction=less, keepdims=flag(keepdims))


@adapts(np.any)
def any(a, axis=None, out=None, keepdims=NoValue, *, where=NoValue):
    return k.any(kept(tensor(a), where, False), axis=axis, keepdims=flag(keepdims))


@adapts(np.all)
def all(a, axis=None, out=None, keepdims=NoValue, *, where=NoValue):
    return k.all(kept(tensor(a), where, True), axis=axis, keepdims=flag(keepdims))


@adapts(np.count_nonzero)
def count_nonzero(a, axis=None, *, keepdims=False):
    return k.count_nonzero(tensor(a), axis=axis, keepdims=keepdims)


@adapts(np.argmax)
def argmax(a, axis=None, out=None, *, keepdims=NoValue):
    return k.argmax(tensor(a), axis=axis, keepdims=flag(keepdims))


@adapts(np.argmin)
def argmin(a, axis=None, out=None, *, keepdims=NoValue):
    return k.argmin(tensor(a), axis=axis, keepdims=flag(keepdims))


@adapts(np.average)
def average(a, axis=None, weights=None, returned=False, *, keepdims=NoValue):
    only(weights is not None and not returned)
    x, w = tensors(a, weights)
    if w.shape != x.shape:
        only(w.ndim == 1 and isinstance(axis, int) and w.shape == (x.shape[axis],))
        place = axis % x.ndim
        w = k.broadcast_to(k.reshape(w, shape=(1,) * place + (-1,) + (1,) * (x.ndim - place - 1)), shape=x.shape)
    total = k.sum(w, axis=axis, keepdims=flag(keepdims))
    return k.sum(x * w, axis=axis, keepdims=flag(keepdims)) / total


@adapts(np.nansum)
def nansum(a, axis=None, dtype=None, out=None, keepdims=NoValue, initial=NoValue, where=NoValue):
    x = tensor(a)
    only(is_floating(x.dtype))
    return sum(k.where(k.isnan(x), 0, x), axis, target(out, dtype), None, keepdims, initial, where)


@adapts(np.nanmean)
def nanmean(a, axis=None, dtype=None, out=None, keepdims=NoValue, *, where=NoValue):
    x = tensor(a)
    only(is_floating(x.dtype) and dtype is None and where is NoValue)
    return k.nanmean(x, axis=axis, keepdims=flag(keepdims))


@adapts(np.cumsum)
def cumsum(a, axis=None, dtype=None, out=None):
    return k.cumsum(tensor(a), axis=axis, dtype=target(out, dtype))


@adapts(np.cumprod)
def cumprod(a, axis=None, dtype=None, out=None):
    return k.cumprod(tensor(a), axis=axis, dtype=target(out, dtype))


@adapts("cumulative_sum")
def cumulative_sum(x, /, *, axis=None, dtype=None, out=None, include_initial=False):
    return k.cumulative_sum(tensor(x), axis=axis, dtype=target(out, dtype), include_initial=include_initial)


@adapts("cumulative_prod")
def cumulative_prod(x, /, *, axis=None, dtype=None, out=None, include_initial=False):
    return k.cumulative_prod(tensor(x), axis=axis, dtype=target(out, dtype), include_initial=include_initial)


@adapts(np.diff)
def diff(a, n=1, axis=-1, prepend=NoValue, append=NoValue):
    return k.diff(
        tensor(a),
        axis=axis,
        n=n,
        prepend=None if prepend is NoValue else along(prepend, a, axis),
        append=None if append is NoValue else along(append, a, axis),
    )


def along(value: Any, a: Any, axis: int) -> Any:
    """A number to put before or after an array, as a slice of it."""
    value, x = tensors(value, a)
    if value.ndim:
        return value
    shape = list(x.shape)
    shape[axis] = 1
    return k.broadcast_to(value, shape=tuple(shape))


@adapts(np.trapezoid)
def trapezoid(y, x=None, dx=1.0, axis=-1):
    y = tensor(y)
    return k.trapezoid(y, None if x is None else tensor(x, y), dx=dx, axis=axis)


@adapts(np.sort)
def sort(a, axis=-1, kind=None, order=None, *, stable=None):
    only(order is None and (kind is None or stable is None))
    x = tensor(a)
    return k.sort(k.ravel(x) if axis is None else x, axis=-1 if axis is None else axis)


@adapts(np.argsort)
def argsort(a, axis=-1, kind=None, order=None, *, stable=None):
    only(order is None and (kind is None or stable is None))
    x = tensor(a)
    return k.argsort(k.ravel(x) if axis is None else x, axis=-1 if axis is None else axis, stable=True)


@adapts(np.searchsorted)
def searchsorted(a, v, side="left", sorter=None):
    only(sorter is None)
    x, values = tensors(a, v)
    return k.searchsorted(x, values, side=side)


@adapts(np.median)
def median(a, axis=None, out=None, overwrite_input=False, keepdims=False):
    return k.median(some_axis(tensor(a), axis), axis=axis, keepdims=flag(keepdims))


@adapts(np.quantile)
def quantile(
    a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False, *, weights=None,
    interpolation=None,
):  # fmt: skip
    only(method == "linear" and weights is None and interpolation is None)
    q = q if isinstance(q, Tensor) or np.ndim(q) == 0 else np.asarray(q)
    x = some_axis(tensor(a), axis)
    only(np.ndim(q) < 2 and x.dtype.kind != "b")
    return k.quantile(x, q, axis=axis, keepdims=flag(keepdims))


@adapts(np.percentile)
def percentile(
    a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False, *, weights=None,
    interpolation=None,
):  # fmt: skip
    q = q if isinstance(q, Tensor) else np.asarray(q, dtype=np.float64)
    return quantile(a, q / 100, axis, None, False, method, keepdims, weights=weights, interpolation=interpolation)


@adapts(np.trace)
def trace(a, offset=0, axis1=0, axis2=1, dtype=None, out=None):
    diagonal = k.diagonal(tensor(a), offset=offset, axis1=axis1, axis2=axis2)
    return k.sum(diagonal, axis=-1, dtype=target(out, dtype))


@adapts(np.linalg.trace)
def matrix_trace(x, /, *, offset=0, dtype=None):
    x = tensor(x)
    return k.sum(
        k.diagonal(x, offset=offset, axis1=-2, axis2=-1),
        axis=-1,
        dtype=None if dtype is None else check_dtype(dtype, "trace"),
    )
