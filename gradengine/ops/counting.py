"""Which elements there are, and how often: unique, bincount, histc. They have no gradients.

How many elements `unique` and `bincount` give depends on values, so a jitted step has no place for them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import shapes
from ..core.tensor_class import Tensor, wrap
from ..errors import ArgumentError, DTypeError, ShapeError
from ..shapes.dtypes import get_default_dtype, is_floating
from .arguments import checked, real, whole
from .creation import arange, asarray, linspace, ones
from .elementwise import clip, divide, floor, multiply, subtract, where
from .index import accumulate, masked_select, take
from .joining import concat, narrow
from .predicates import equal, greater_equal, less, less_equal, logical_and, not_equal
from .reduce import max, min, sum
from .scans import cumsum
from .shape import reshape
from .sorting import argsort, inverse_permutation, searchsorted
from .tensor_methods import method

__all__ = ["unique", "unique_consecutive", "bincount", "histc", "histogram", "bucketize"]


class Histogram(NamedTuple):
    """How many elements fall between each two edges, and the edges."""

    hist: Tensor
    bin_edges: Tensor


def chosen(values: Tensor, inverse: Any, counts: Any, return_inverse: bool, return_counts: bool) -> Any:
    """What was asked for: the values alone, or a tuple."""
    parts = [values, *([inverse] if return_inverse else []), *([counts] if return_counts else [])]
    return values if len(parts) == 1 else tuple(parts)


def runs(flat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of a vector the first of each run of equal elements, the number of each element's run, and the runs' lengths."""
    n = flat.shape[0]
    if not n:
        nothing = arange(0, device=flat.device)
        return flat, nothing, nothing
    differs = not_equal(narrow(flat, axis=0, start=1, length=n - 1), narrow(flat, axis=0, start=0, length=n - 1))
    starts = concat([ones(1, dtype="bool", device=flat.device), differs])
    number = subtract(cumsum(starts, axis=0), 1)
    values = masked_select(flat, starts)
    at = masked_select(arange(n, device=flat.device), starts)
    ends = concat([narrow(at, axis=0, start=1, length=at.shape[0] - 1), asarray([n], device=flat.device)])
    return values, number, subtract(ends, at)


@method
@checked
def unique(
    x: Any, /, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, axis: int | None = None
) -> Any:
    """The distinct elements in order, or the distinct slices along an axis.

    With `return_inverse` a tuple with the place of each element among them, with `return_counts` how often each is
    there. Each NaN is distinct, as in PyTorch. `sorted=False` gives them in order, too.

    >>> import gradengine as ge
    >>> ge.unique(ge.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    x = wrap(x, None, "unique").detach()
    if axis is not None:
        return unique_slices(x, shapes.axis_of("unique", axis, x.ndim), return_inverse, return_counts)
    flat = reshape(x, shape=(-1,))
    order = argsort(flat, axis=0)
    values, number, counts = runs(take(flat, order, axis=0))
    inverse = (
        reshape(take(number, inverse_permutation(order, axis=0), axis=0), shape=x.shape) if return_inverse else None
    )
    return chosen(values, inverse, counts, return_inverse, return_counts)


def unique_slices(x: Tensor, axis: int, return_inverse: bool, return_counts: bool) -> Any:
    """The distinct slices along an axis, by NumPy."""
    found = np.unique(x.numpy(), return_inverse=True, return_counts=True, axis=axis, equal_nan=False)
    values, inverse, counts = [asarray(np.ascontiguousarray(a), device=x.device) for a in found]
    return chosen(values, reshape(inverse, shape=(-1,)), counts, return_inverse, return_counts)


@method
@checked
def unique_consecutive(x: Any, /, return_inverse: bool = False, return_counts: bool = False) -> Any:
    """The first of each run of equal elements of the flattened array; more as in `unique`.

    >>> import gradengine as ge
    >>> ge.unique_consecutive(ge.tensor([1, 1, 2, 1]))
    tensor([1, 2, 1])
    """
    x = wrap(x, None, "unique_consecutive").detach()
    values, number, counts = runs(reshape(x, shape=(-1,)))
    return chosen(values, reshape(number, shape=x.shape), counts, return_inverse, return_counts)


@method
@checked
def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Tensor:
    """How often each integer from 0 on is in a vector, or the sum of its weights.

    Raises DTypeError for anything but integers, ShapeError for anything but a vector, ArgumentError for negative ones.

    >>> import gradengine as ge
    >>> ge.bincount(ge.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
    x = wrap(x, None, "bincount")
    if x.dtype.kind not in "iub":
        raise DTypeError(f"bincount: counts integers, got {x.dtype}; convert with .to(ge.int64)")
    if x.ndim != 1:
        raise ShapeError(f"bincount: takes a vector, got shape {x.shape}")
    if x.shape[0] and int(min(x)) < 0:
        raise ArgumentError("bincount: the integers must be from 0 on")
    length = builtin_max(int(max(x)) + 1 if x.shape[0] else 0, whole("bincount", "minlength", minlength))
    if weights is None:
        amounts = ones(x.shape, dtype="int64", device=x.device)
    else:
        amounts = wrap(weights, x, "bincount")
        if amounts.shape != x.shape:
            raise ShapeError(f"bincount: {amounts.shape} weights for {x.shape} integers; give one for each")
        if not is_floating(amounts.dtype):
            amounts = amounts.to("float64")
    return accumulate(amounts, x.to("int64"), axis=0, shape=(length,))


def builtin_max(a: int, b: int) -> int:
    """Python's own `max`."""
    return a if a > b else b


def in_bins(x: Any, bins: int, low: Any, high: Any, weights: Any = None) -> Tensor:
    """How many elements of a flat array (or the sum of their weights) fall into equal bins from `low` to `high`."""
    inside = logical_and(greater_equal(x, low), less_equal(x, high))
    width = subtract(high, low)
    scaled = multiply(divide(subtract(x, low), width), bins)
    at = clip(floor(where(inside, scaled, 0.0)), 0, bins - 1).to("int64")
    amounts = inside.to(x.dtype) if weights is None else multiply(inside, weights)
    return accumulate(amounts, at, axis=0, shape=(bins,))


def ends_of(name: str, x: Tensor, low: Any, high: Any) -> tuple[Any, Any]:
    """The ends of the bins: those of the data where both are 0, one apart where they are equal."""
    if real(name, "min", low) > real(name, "max", high):
        raise ArgumentError(f"{name}: min must not be larger than max, got {low} and {high}")
    if low == high and low == 0 and x.shape[0]:
        low, high = float(min(x)), float(max(x))
    return (low - 1, high + 1) if low == high else (low, high)


@method
@checked
def histc(x: Any, /, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements fall into each of `bins` equal bins from `min` to `max` (those of the data where both are 0).

    >>> import gradengine as ge
    >>> ge.histc(ge.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3)
    tensor([0., 2., 1., 0.])
    """
    flat = reshape(wrap(x, None, "histc").detach(), shape=(-1,))
    if not is_floating(flat.dtype):
        raise DTypeError(f"histc: takes floating-point numbers, got {flat.dtype}; convert with .to(ge.float32)")
    count = whole("histc", "bins", bins)
    if count < 1:
        raise ArgumentError(f"histc: bins must be from 1 on, got {bins}")
    if not min <= max:
        raise ArgumentError(f"histc: min must be at most max, got min={min} and max={max}")
    low, high = ends_of("histc", flat, min, max)
    return in_bins(flat, count, float(low), float(high))


@method
@checked
def histogram(x: Any, /, bins: Any = 10, range: Any = None, weight: Any = None, density: bool = False) -> Histogram:
    """How many elements fall between each two edges, as a named tuple (hist, bin_edges).

    `bins` is a number of equal bins over `range` (that of the data by default), or the edges in order.

    >>> import gradengine as ge
    >>> ge.histogram(ge.tensor([1.0, 2.0, 1.0]), bins=2).hist
    tensor([2., 1.])
    """
    flat = reshape(wrap(x, None, "histogram").detach(), shape=(-1,))
    flat = flat if is_floating(flat.dtype) else flat.to(get_default_dtype())
    amounts = None if weight is None else reshape(wrap(weight, None, "histogram"), shape=(-1,))
    if isinstance(bins, int):
        low, high = ends_of("histogram", flat, *((0, 0) if range is None else range))
        edges = linspace(low, high, bins + 1, dtype=flat.dtype, device=flat.device)
    else:
        edges = wrap(bins, flat, "histogram")
    at = subtract(searchsorted(edges, flat, side="right"), 1)
    last = edges.shape[0] - 1
    at = where(equal(flat, take(edges, last)), last - 1, at)
    inside = logical_and(greater_equal(at, 0), less(at, last))
    counted = inside.to(flat.dtype) if amounts is None else multiply(inside, amounts)
    hist = accumulate(counted, clip(at, 0, last - 1), axis=0, shape=(last,))
    if density:
        width = subtract(narrow(edges, axis=0, start=1, length=last), narrow(edges, axis=0, start=0, length=last))
        hist = divide(divide(hist, sum(hist)), width)
    return Histogram(hist, edges)


@method
@checked(words={"boundaries": "boundaries"})
def bucketize(x: Any, boundaries: Any, /, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """Into which bucket between the boundaries, in order, each element falls; on one, the lower unless `right`.

    >>> import gradengine as ge
    >>> ge.bucketize(ge.tensor([0.5, 3.0]), ge.tensor([1.0, 2.0, 3.0]))
    tensor([0, 2])
    """
    boundaries = wrap(boundaries, x, "bucketize")
    found = searchsorted(boundaries, wrap(x, boundaries, "bucketize"), side="right" if right else "left")
    return found.to("int32") if out_int32 else found
