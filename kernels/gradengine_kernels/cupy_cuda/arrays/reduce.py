"""Reductions and running totals over CuPy's, which know no `initial` and refuse a maximum of no elements."""

from __future__ import annotations

import builtins
import functools
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from ...numpy_cpu.reduce import wanted
from ...xp_kernels import BACKWARDS, along, by_name, cumprod_gradient_by_factors
from ..lazy_cupy import cp
from .common import as_array, axes_of, axis_of, choose, is_floating, reduced_count, reduced_shape

if TYPE_CHECKING:
    from collections.abc import Callable

HALVES = 2  # bytes


def reduced(name: str, x: Any, axis: Any, keepdims: bool, dtype: Any) -> Any:
    """CuPy's reduction of that name, to a result of type `dtype`; without axes it is the array itself."""
    axes = axes_of(axis, x.ndim)
    if not axes:
        return x.astype(dtype)
    if not x.size:
        shape = reduced_shape(x.shape, axes, keepdims)
        return cp.full(shape, 1 if name in ("prod", "all") else 0, dtype)
    if name in ("sum", "prod"):
        return getattr(cp, name)(x, axis=axes, dtype=dtype, keepdims=keepdims)
    return getattr(cp, name)(x, axis=axes, keepdims=keepdims)


def summed_as(dtype: Any) -> Any:
    """What elements of a dtype are summed as: small integers as the largest ones, as in NumPy."""
    if dtype.kind in "bi":
        return np.dtype(np.int64)
    return np.dtype(np.uint64) if dtype.kind == "u" else dtype


def total(name: str, x: Any, axis: Any, keepdims: bool, dtype: Any) -> Any:
    """A sum or product; one of half precision is computed in single precision."""
    x = as_array(x)
    result = summed_as(x.dtype) if dtype is None else wanted(x, dtype)
    if result.itemsize == HALVES and is_floating(result):
        return reduced(name, x.astype(np.float32), axis, keepdims, np.dtype(np.float32)).astype(result)
    return reduced(name, x, axis, keepdims, result)


def sum(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The sum along axes."""
    return total("sum", x, axis, keepdims, dtype)


def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The product along axes."""
    return total("prod", x, axis, keepdims, dtype)


def in_single(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction that computes half precision in single precision, and rounds once."""

    @functools.wraps(kernel)
    def call(x: Any, *settings: Any, **named: Any) -> Any:
        dtype = getattr(x, "dtype", None)
        if dtype is None or dtype.itemsize != HALVES or not is_floating(dtype):
            return kernel(x, *settings, **named)
        return kernel(x.astype(np.float32), *settings, **named).astype(dtype)

    return call


@in_single
def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean along axes; NaN where there are no elements."""
    x = as_array(x)
    dtype = x.dtype if is_floating(x.dtype) else np.dtype(np.float64)
    number = reduced_count(x.shape, axes_of(axis, x.ndim))
    total = sum(x, axis, keepdims, dtype)
    return total / dtype.type(number) if number else total * dtype.type(np.nan)


@in_single
def var(x: Any, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The mean square deviation from the mean."""
    x = as_array(x)
    deviation = x - mean(x, axis, True)
    number = builtins.max(reduced_count(x.shape, axes_of(axis, x.ndim)) - correction, 0)
    total = sum(deviation * deviation, axis, keepdims)
    return total / total.dtype.type(number)


@in_single
def std(x: Any, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The root of the variance."""
    return cp.sqrt(var(x, axis, correction, keepdims))


def floats(x: Any) -> Any:
    """An array of floats: integers and bools become float64, as in NumPy's exp."""
    x = as_array(x)
    return x if is_floating(x.dtype) else x.astype(np.float64)


@in_single
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) that does not overflow; -inf where there are no elements."""
    x = floats(x)
    top = extremum("max", x, axis, True, -np.inf)
    top = choose(cp.isinf(top), x.dtype.type(0), top)
    total = cp.log(sum(cp.exp(x - top), axis, keepdims))
    return total + top.reshape(total.shape)


@in_single
def vector_norm(x: Any, ord: float = 2, axis: Any = None, keepdims: bool = False) -> Any:
    """The p-norm along axes."""
    x = floats(x)
    if ord == 2:
        return cp.sqrt(sum(x * x, axis, keepdims))
    size = cp.absolute(x)
    if ord == 1:
        return sum(size, axis, keepdims)
    if ord == 0:
        return sum(size != 0, axis, keepdims, x.dtype)
    if ord == np.inf:
        return extremum("max", size, axis, keepdims, 0)
    if ord == -np.inf:
        return extremum("min", size, axis, keepdims)
    number = x.dtype.type
    return cp.power(sum(cp.power(size, number(ord)), axis, keepdims), number(1 / ord))


# -- extrema ------------------------------------------------------------------------------------------------------


def extremum(name: str, x: Any, axis: Any, keepdims: bool, initial: float | None = None) -> Any:
    """The largest or smallest element; of no elements `initial`, or a ValueError where there is none."""
    axes = axes_of(axis, x.ndim)
    if not x.size:
        shape = reduced_shape(x.shape, axes, keepdims)
        if initial is None and not reduced_count(x.shape, axes):
            raise ValueError(f"zero-size array to reduction operation {name}imum which has no identity")
        return cp.full(shape, initial or 0, x.dtype)
    if x.dtype.itemsize == HALVES and is_floating(x.dtype):
        return reduced(name, x.astype(np.float32), axis, keepdims, np.dtype(np.float32)).astype(x.dtype)
    return reduced(name, x, axis, keepdims, x.dtype)


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest element; NaN where there is one."""
    return extremum("max", as_array(x), axis, keepdims)


def min(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The smallest element; NaN where there is one."""
    return extremum("min", as_array(x), axis, keepdims)


def where_extreme(name: str, x: Any, axis: int | None, keepdims: bool) -> Any:
    """Where the first extreme element is, or the first NaN, which CuPy does not promise."""
    x = as_array(x)
    if axis is None:
        out = where_extreme(name, x.reshape(-1), 0, False)
        return out.reshape((1,) * x.ndim) if keepdims else out
    if not x.ndim and axis in (0, -1):
        return cp.zeros((), np.int64)
    axis = axis_of(axis, x.ndim)
    if not x.shape[axis]:
        raise ValueError(f"attempt to get arg{name} of an empty sequence")
    best = extremum(name, x, axis, True)
    found = x == best
    if is_floating(x.dtype):
        found = found | (x != x)
    places = cp.arange(x.shape[axis]).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    return extremum("min", choose(found, places, x.shape[axis]), axis, keepdims)


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Where the first largest element is."""
    return where_extreme("max", x, axis, keepdims)


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Where the first smallest element is."""
    return where_extreme("min", x, axis, keepdims)


# -- truth --------------------------------------------------------------------------------------------------------


def truth(x: Any) -> Any:
    """Which elements are not 0."""
    x = as_array(x)
    return x if x.dtype == np.bool_ else x != 0


def any(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether any element is true."""
    return reduced("any", truth(x), axis, keepdims, np.dtype(np.bool_))


def all(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether all elements are true."""
    return reduced("all", truth(x), axis, keepdims, np.dtype(np.bool_))


def count_nonzero(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """How many elements are not 0."""
    return reduced("sum", truth(x), axis, keepdims, np.dtype(np.int64))


# -- running totals -----------------------------------------------------------------------------------------------


def accumulate(name: str, x: Any, axis: int | None, dtype: Any) -> Any:
    """A running total; of all elements in order when axis is None."""
    x = as_array(x)
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = operator.index(axis)
    if not x.ndim and axis in (0, -1):
        raise TypeError("cannot accumulate on a scalar")
    axis = axis_of(axis, x.ndim)
    result = summed_as(x.dtype) if dtype is None else wanted(x, dtype)
    if result.itemsize == HALVES and is_floating(result):
        return accumulate(name, x.astype(np.float32), axis, np.float32).astype(result)
    if result == np.bool_:  # CuPy would count
        counts = accumulate(name, truth(x), axis, np.int64)
        return counts != 0
    x = x.astype(result, copy=False)
    return getattr(cp, name)(x, axis=axis, dtype=result) if x.size else x.copy()


def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Running sums."""
    return accumulate("cumsum", x, axis, dtype)


def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Running products."""
    return accumulate("cumprod", x, axis, dtype)


def product_of_others(x: Any, axis: Any = None) -> Any:
    """For each element, the product of all others along the axes: those before it times those after it."""
    x = as_array(x)
    axes = axes_of(axis, x.ndim)
    if len(axes) == 1:
        return before(x, axes[0]) * along(before(along(x, axes[0], BACKWARDS), axes[0]), axes[0], BACKWARDS)
    last = tuple(range(-len(axes), 0))
    moved = cp.moveaxis(x, axes, last)
    flat = moved.reshape((*moved.shape[: x.ndim - len(axes)], reduced_count(x.shape, axes)))
    return cp.moveaxis(product_of_others(flat, -1).reshape(moved.shape), last, axes)


def before(x: Any, axis: int) -> Any:
    """For each element the product of those before it."""
    if x.shape[axis] < 2:
        return cp.ones(x.shape, x.dtype)
    along = (slice(None),) * axis
    first = cp.ones(x[(*along, slice(1))].shape, x.dtype)
    return cp.concatenate((first, cumprod(x[(*along, slice(None, -1))], axis, x.dtype)), axis)


def cumprod_gradient(g: Any, x: Any, y: Any, axis: int = -1) -> Any:
    """The sum of g_i times the product of the other factors of y_i, over i from j on.

    That is the sum of g y from the end over x, unless a factor is 0 or a product nearly so, or infinite.
    """
    if not y.size:
        return g
    axis = axis_of(axis, y.ndim)
    size, kind = cp.absolute(y), np.finfo(y.dtype)
    g = cp.broadcast_to(as_array(g), y.shape)
    if bool(((size > kind.smallest_normal) & (size <= kind.max)).all()):
        return along(cumsum(along(g * y, axis, BACKWARDS), axis), axis, BACKWARDS) / x
    return cumprod_gradient_by_factors(cp, g, x, y, axis)


KERNELS = by_name(
    sum, prod, mean, var, std, logsumexp, vector_norm, max, min, argmax, argmin, any, all, count_nonzero, cumsum,
    cumprod, product_of_others, cumprod_gradient,
)  # fmt: skip
