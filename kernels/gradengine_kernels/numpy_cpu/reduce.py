"""Reductions and running totals of the "numpy" backend.

`ufunc.reduce` is called directly: NumPy's methods around it (`x.sum()`, `np.mean`) cost more than small arrays do.
Half precision is summed in single precision and rounded once.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..xp_kernels import by_name, cumprod_gradient_by_factors
from .sums import FEW, dot, total

if TYPE_CHECKING:
    from collections.abc import Callable

HALF = np.dtype(np.float16)
SINGLE = np.dtype(np.float32)
add_reduce: Callable[..., Any] = np.add.reduce
multiply_reduce: Callable[..., Any] = np.multiply.reduce
max_reduce: Callable[..., Any] = np.maximum.reduce
min_reduce: Callable[..., Any] = np.minimum.reduce
or_reduce: Callable[..., Any] = np.logical_or.reduce
and_reduce: Callable[..., Any] = np.logical_and.reduce


def sum(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The sum along axes."""
    if x.dtype is HALF or dtype is not None:
        return converted(total, x, axis, keepdims, dtype)
    if x.size > FEW:
        return total(x, axis, None, None, keepdims)
    return add_reduce(x, axis, None, None, keepdims)


def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The product along axes."""
    if x.dtype is HALF or dtype is not None:
        return converted(multiply_reduce, x, axis, keepdims, dtype)
    return multiply_reduce(x, axis, None, None, keepdims)


def converted(reduce: Callable[..., Any], x: Any, axis: Any, keepdims: bool, dtype: Any) -> Any:
    """A reduction with a result of type `dtype`; one of half precision is computed in single precision."""
    dtype = wanted(x, dtype)
    if dtype in (HALF, SINGLE):
        return reduce(x.astype(SINGLE, copy=False), axis, None, None, keepdims).astype(dtype, copy=False)
    return reduce(x, axis, dtype, None, keepdims).astype(dtype, copy=False)


def wanted(x: Any, dtype: Any) -> np.dtype[Any]:
    """`dtype`, or that of x."""
    found = x.dtype if dtype is None else np.dtype(dtype)
    if found.kind not in "fiubV" or found.itemsize > 8:  # "V": bfloat16
        raise TypeError(f"{found} is not supported; use float16/32/64, bfloat16, an integer type or bool")
    return found


def count(shape: tuple[int, ...], axis: Any) -> int:
    """How many elements go into each result of a reduction."""
    number = 1
    if shape:
        for a in range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,):
            number *= shape[a]
    return number


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean along axes; NaN where there are no elements."""
    dtype = x.dtype
    if dtype is HALF:
        return narrowed_mean(x, axis, keepdims)
    found = total(x, axis, None if dtype.kind == "f" else np.float64, None, keepdims)
    number = count(x.shape, axis)
    return found / number if number else found * np.nan


def narrowed_mean(x: Any, axis: Any, keepdims: bool) -> Any:
    """The mean of half-precision numbers, computed in single precision."""
    return mean(x.astype(SINGLE), axis, keepdims).astype(HALF)


def var(x: Any, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The mean square deviation from the mean."""
    if x.dtype is HALF:
        return var(x.astype(SINGLE), axis, correction, keepdims).astype(HALF)
    deviation = x - mean(x, axis, True)
    number = count(x.shape, axis) - correction
    squares = total(deviation * deviation, axis, None, None, keepdims)
    if number > 0:
        return squares / number
    with np.errstate(all="ignore"):
        return np.true_divide(squares, squares.dtype.type(0))


def std(x: Any, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The root of the variance."""
    if x.dtype is HALF:
        return std(x.astype(SINGLE), axis, correction, keepdims).astype(HALF)
    return np.sqrt(var(x, axis, correction, keepdims))


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) that does not overflow; -inf where there are no elements."""
    if x.dtype is HALF:
        return logsumexp(x.astype(SINGLE), axis, keepdims).astype(HALF)
    if x.dtype.kind != "f":
        x = x.astype(np.float64)
    with np.errstate(all="ignore"):
        top = max_reduce(x, axis, None, None, True, -np.inf)
        top = np.where(np.isinf(top), 0, top)
        shifted = np.asarray(x - top)
        found = np.log(total(np.exp(shifted, shifted), axis, None, None, keepdims))
        return found + top.reshape(found.shape)


def vector_norm(x: Any, ord: float = 2, axis: Any = None, keepdims: bool = False) -> Any:
    """The p-norm along axes."""
    if x.dtype is HALF:
        return vector_norm(x.astype(SINGLE), ord, axis, keepdims).astype(HALF)
    if x.dtype.kind != "f":
        x = x.astype(np.float64)
    if ord == 2:
        if axis is None and not keepdims:
            flat = x.ravel(order="K")
            return np.sqrt(dot(flat, flat))
        return np.sqrt(total(x * x, axis, None, None, keepdims))
    size = np.abs(x)
    if ord == 1:
        return total(size, axis, None, None, keepdims)
    if ord == 0:
        return add_reduce(size != 0, axis, np.int64, None, keepdims).astype(x.dtype)
    if ord == np.inf:
        return max_reduce(size, axis, None, None, keepdims, 0)
    if ord == -np.inf:
        return min_reduce(size, axis, None, None, keepdims)
    with np.errstate(all="ignore"):
        return np.power(total(np.power(size, ord), axis, None, None, keepdims), 1 / ord)


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest element; NaN where there is one."""
    return max_reduce(x, axis, None, None, keepdims)


def min(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The smallest element; NaN where there is one."""
    return min_reduce(x, axis, None, None, keepdims)


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Where the first largest element is."""
    return x.argmax(axis, keepdims=keepdims)


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Where the first smallest element is."""
    return x.argmin(axis, keepdims=keepdims)


def any(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether any element is true."""
    return or_reduce(x, axis, None, None, keepdims)


def all(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether all elements are true."""
    return and_reduce(x, axis, None, None, keepdims)


def count_nonzero(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """How many elements are not 0."""
    return add_reduce(x if x.dtype == np.bool_ else x != 0, axis, np.int64, None, keepdims)


def accumulate(scan: np.ufunc, x: Any, axis: int | None, dtype: Any) -> Any:
    """A running total; of all elements in order when axis is None."""
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = operator.index(axis)
    if x.dtype is HALF or dtype is not None:
        dtype = wanted(x, dtype)
        x, dtype = x.astype(SINGLE, copy=False) if dtype == HALF else x, np.dtype(dtype)
        return scan.accumulate(x, axis, np.float64 if dtype in (HALF, SINGLE) else dtype).astype(dtype, copy=False)
    if x.dtype is SINGLE:  # each step would round what is already large
        return scan.accumulate(x, axis, np.float64).astype(SINGLE)
    return scan.accumulate(x, axis)


def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Running sums."""
    return accumulate(np.add, x, axis, dtype)


def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Running products."""
    return accumulate(np.multiply, x, axis, dtype)


def product_of_others(x: Any, axis: Any = None) -> Any:
    """For each element, the product of all others along the axes: those before it times those after it."""
    if axis is None:
        return product_of_others(x.reshape(-1), 0).reshape(x.shape)
    if isinstance(axis, tuple):
        last = tuple(range(-len(axis), 0))
        moved = np.moveaxis(x, axis, last)
        flat = moved.reshape(moved.shape[: x.ndim - len(axis)] + (math.prod(moved.shape[x.ndim - len(axis) :]),))
        return np.moveaxis(product_of_others(flat, -1).reshape(moved.shape), last, axis)
    if x.dtype is HALF:
        return product_of_others(x.astype(SINGLE), axis).astype(HALF)
    along = (slice(None),) * (axis % x.ndim)
    but_first, but_last = (*along, slice(1, None)), (*along, slice(None, -1))
    out = np.ones(x.shape, x.dtype)
    np.multiply.accumulate(x[but_last], axis, None, out[but_first])
    if out.shape[axis] > 1:
        backwards = (*along, slice(None, 0, -1))
        out[but_last] *= np.multiply.accumulate(x[backwards], axis, out.dtype)[(*along, slice(None, None, -1))]
    return out


def cumprod_gradient(g: Any, x: Any, y: Any, axis: int = -1) -> Any:
    """The sum of g_i times the product of the other factors of y_i, over i from j on.

    That is the sum of g y from the end over x, unless a factor is 0 or a product nearly so, or infinite.
    """
    if x.dtype is HALF:
        return cumprod_gradient(g.astype(SINGLE), x.astype(SINGLE), y.astype(SINGLE), axis).astype(HALF)
    if not y.size:
        return g
    backwards = (slice(None),) * (axis % x.ndim) + (slice(None, None, -1),)
    size, kind = np.abs(y), np.finfo(y.dtype)
    if size.min() > kind.smallest_normal and size.max() <= kind.max:
        return np.add.accumulate((g * y)[backwards], axis)[backwards] / x
    return cumprod_gradient_by_factors(np, g, x, y, axis)


KERNELS = by_name(
    sum, prod, mean, var, std, logsumexp, vector_norm, max, min, argmax, argmin, any, all, count_nonzero, cumsum,
    cumprod, product_of_others, cumprod_gradient,
)  # fmt: skip
