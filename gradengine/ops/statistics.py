"""Statistics along axes: pairs of them, running extremes, NaN left out, covariance, distances, differences."""

from __future__ import annotations

import builtins
import math
from typing import Any, NamedTuple

from .. import shapes
from ..core.interpreter import k as ops
from ..core.tensor_class import Tensor, wrap
from ..errors import ArgumentError, ShapeError
from ..shapes.dtypes import get_default_dtype, is_floating
from .arguments import checked, real, whole
from .creation import arange
from .differences import diff
from .elementwise import add, astype, clip, divide, maximum, multiply, subtract, where
from .index import take_along_axis
from .joining import concat, narrow, stack
from .linalg import matmul
from .pairs import ValuesIndices
from .powers import sqrt
from .predicates import equal, greater_equal, isnan, less_equal, logical_and, logical_not, logical_or
from .pytorch_forms import paired
from .reduce import max, mean, min, std, sum, var, vector_norm
from .shape import broadcast_to, expand_dims, matrix_transpose, moveaxis, reshape, squeeze
from .sorting import argsort, check_interpolation, quantile, sort
from .tensor_methods import method

__all__ = [
    "var_mean", "std_mean", "aminmax", "cummax", "cummin", "mode", "kthvalue", "msort", "nansum", "nanmean",
    "nanmedian", "nanquantile", "cov", "corrcoef", "cdist", "dist", "cross", "logcumsumexp", "trapezoid",
    "trapz", "cumulative_trapezoid", "renorm",
]  # fmt: skip


class MinMax(NamedTuple):
    """The smallest and the largest elements."""

    min: Tensor
    max: Tensor


def correction_of(name: str, unbiased: bool | None, correction: Any) -> Any:
    """What is taken off n: 1, as in PyTorch, unless told otherwise."""
    if unbiased is not None and correction is not None:
        raise ArgumentError(f"{name}: give unbiased or correction, not both")
    return correction if correction is not None else 1 if unbiased is None else int(unbiased)


@checked
def var_mean(
    x: Any, /, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> tuple[Tensor, Tensor]:
    """The variance, with correction 1 as in PyTorch, and the mean along `dim`.

    >>> import gradengine as ge
    >>> ge.var_mean(ge.tensor([1.0, 3.0]))
    (tensor(2.), tensor(2.))
    """
    wanted = correction_of("var_mean", unbiased, correction)
    return var(x, axis=dim, correction=wanted, keepdims=keepdim), mean(x, axis=dim, keepdims=keepdim)


@checked
def std_mean(
    x: Any, /, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> tuple[Tensor, Tensor]:
    """The standard deviation, with correction 1 as in PyTorch, and the mean along `dim`.

    >>> import gradengine as ge
    >>> ge.std_mean(ge.tensor([1.0, 3.0]), correction=0)
    (tensor(1.), tensor(2.))
    """
    wanted = correction_of("std_mean", unbiased, correction)
    return std(x, axis=dim, correction=wanted, keepdims=keepdim), mean(x, axis=dim, keepdims=keepdim)


@method
@checked
def aminmax(x: Any, /, *, dim: int | None = None, keepdim: bool = False) -> MinMax:
    """The smallest and the largest elements, of all or along `dim`, as a named tuple (min, max).

    >>> import gradengine as ge
    >>> ge.aminmax(ge.tensor([3.0, 1.0, 2.0])).max
    tensor(3.)
    """
    return MinMax(min(x, axis=dim, keepdims=keepdim), max(x, axis=dim, keepdims=keepdim))


def running_extremum(name: str, x: Any, axis: int, better: Any) -> ValuesIndices:
    """The best element so far and its index (the last of equals, as in PyTorch), in log2(n) passes."""
    x = wrap(x, None, name)
    if not x.shape:
        shapes.axis_of(name, axis, 1)
        return ValuesIndices(add(x, 0), arange(1, device=x.device).reshape(()))
    place = shapes.axis_of(name, axis, x.ndim)
    n = x.shape[place]
    shape = tuple([n if i == place else 1 for i in range(x.ndim)])
    indices = broadcast_to(reshape(arange(n, device=x.device), shape=shape), shape=x.shape)
    values, step = x.detach(), 1
    while step < n:
        earlier = [narrow(part, axis=place, start=0, length=n - step) for part in (values, indices)]
        later = [narrow(part, axis=place, start=step, length=n - step) for part in (values, indices)]
        stays = logical_or(isnan(later[0]), logical_and(better(later[0], earlier[0]), logical_not(isnan(earlier[0]))))
        heads = [narrow(part, axis=place, start=0, length=step) for part in (values, indices)]
        values = concat([heads[0], where(stays, later[0], earlier[0])], axis=place)
        indices = concat([heads[1], where(stays, later[1], earlier[1])], axis=place)
        step *= 2
    return ValuesIndices(take_along_axis(x, indices, axis=place), indices)


@method
@checked
def cummax(x: Any, /, axis: int) -> ValuesIndices:
    """The largest element so far along an axis, and its index: a named tuple (values, indices).

    >>> import gradengine as ge
    >>> ge.cummax(ge.tensor([1.0, 3.0, 2.0]), dim=0).indices
    tensor([0, 1, 1])
    """
    return running_extremum("cummax", x, axis, greater_equal)


@method
@checked
def cummin(x: Any, /, axis: int) -> ValuesIndices:
    """The smallest element so far along an axis, and its index: a named tuple (values, indices).

    >>> import gradengine as ge
    >>> ge.cummin(ge.tensor([2.0, 3.0, 1.0]), dim=0).values
    tensor([2., 2., 1.])
    """
    return running_extremum("cummin", x, axis, less_equal)


@method
@checked
def kthvalue(x: Any, /, k: int, axis: int = -1, keepdims: bool = False) -> ValuesIndices:
    """The `k`-th smallest element along an axis, counted from 1, and its index: a named tuple (values, indices).

    >>> import gradengine as ge
    >>> ge.kthvalue(ge.tensor([3.0, 1.0, 2.0]), 2).values
    tensor(2.)
    """
    x = wrap(x, None, "kthvalue")
    place = shapes.axis_of("kthvalue", axis, builtins.max(x.ndim, 1))
    length = x.shape[place] if x.ndim else 1
    if not 1 <= whole("kthvalue", "k", k) <= length:
        raise ShapeError(f"kthvalue: k must be from 1 to {length}, the elements along axis {axis}, got {k}")
    if not x.ndim:
        return ValuesIndices(add(x, 0), ops.argmax(x))
    order = narrow(argsort(x, axis=place), axis=place, start=k - 1, length=1)
    return paired(ops, x, order, place, keepdims)


@method
@checked
def mode(x: Any, /, axis: int = -1, keepdims: bool = False) -> ValuesIndices:
    """The most frequent element along an axis, the smallest of equally frequent ones, and the index of its last place.

    >>> import gradengine as ge
    >>> ge.mode(ge.tensor([1.0, 2.0, 2.0, 3.0])).values
    tensor(2.)
    """
    x = wrap(x, None, "mode")
    place = shapes.axis_of("mode", axis, x.ndim or 1)
    if not x.ndim:
        return ValuesIndices(add(x, 0), ops.argmax(x))
    shapes.extremum("mode", x.shape, axis=place)
    order = argsort(x, axis=place)
    rows = moveaxis(take_along_axis(x.detach(), order, axis=place), source=place, destination=-1)
    same = equal(expand_dims(rows, axis=-1), expand_dims(rows, axis=-2))
    best = expand_dims(ops.argmax(sum(same, axis=-1), axis=-1), axis=-1)  # the first of equally frequent ones
    last = ops.where(equal(rows, take_along_axis(rows, best, axis=-1)), arange(rows.shape[-1], device=x.device), -1)
    at = moveaxis(max(last, axis=-1, keepdims=True), source=-1, destination=place)
    return paired(ops, x, take_along_axis(order, at, axis=place), place, keepdims)


@method
@checked
def msort(x: Any, /) -> Tensor:
    """The elements in order along the first axis.

    >>> import gradengine as ge
    >>> ge.msort(ge.tensor([3.0, 1.0]))
    tensor([1., 3.])
    """
    x = wrap(x, None, "msort")
    return sort(x, axis=0) if x.ndim else add(x, 0)


# -- NaN left out -------------------------------------------------------------------------------------------------


def without_nan(x: Any, name: str) -> tuple[Tensor, Tensor]:
    """`x` with 0 for NaN, and where there is none."""
    x = wrap(x, None, name)
    valid = logical_not(isnan(x))
    return where(valid, x, 0), valid


@method
@checked
def nansum(x: Any, /, axis: Any = None, keepdims: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum along `axis` of all elements that are not NaN.

    >>> import gradengine as ge
    >>> ge.nansum(ge.tensor([1.0, float("nan"), 2.0]))
    tensor(3.)
    """
    return sum(without_nan(x, "nansum")[0], axis=axis, keepdims=keepdims, dtype=dtype)


@method
@checked
def nanmean(x: Any, /, axis: Any = None, keepdims: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean along `axis` of all elements that are not NaN.

    >>> import gradengine as ge
    >>> ge.nanmean(ge.tensor([1.0, float("nan"), 3.0]))
    tensor(2.)
    """
    x = x if dtype is None else astype(x, dtype)
    filled, valid = without_nan(x, "nanmean")
    filled = filled if is_floating(filled.dtype) else filled.to(get_default_dtype())
    return divide(
        sum(filled, axis=axis, keepdims=keepdims), sum(valid, axis=axis, keepdims=keepdims, dtype=filled.dtype)
    )


def nanmedian_form(k: Any, x: Any, /, dim: int, keepdim: bool = False) -> ValuesIndices:
    """PyTorch's nanmedian along an axis: the lower of the middle two, and its index."""
    x = wrap(x, None, "nanmedian")
    place = shapes.axis_of("nanmedian", dim, x.ndim or 1)
    if not x.ndim:
        return ValuesIndices(k.clone(x), k.argmax(x))
    count = k.sum(k.logical_not(k.isnan(x)), axis=place, keepdims=True)
    middle = k.maximum(k.floor_divide(count - 1, 2), 0)
    return paired(k, x, k.take_along_axis(k.argsort(x, axis=place), middle, axis=place), place, keepdim)


@method
@checked(form=nanmedian_form)
def nanmedian(x: Any, /, axis: Any = None, keepdims: bool = False) -> Tensor:
    """`median` of all elements that are not NaN; NaN where there is no other.

    >>> import gradengine as ge
    >>> ge.nanmedian(ge.tensor([1.0, float("nan"), 3.0]))
    tensor(2.)
    """
    return nanquantile(x, 0.5, axis=axis, keepdims=keepdims)


@method
@checked(lifts=True)
def nanquantile(x: Any, /, q: Any, axis: Any = None, keepdims: bool = False, interpolation: str = "linear") -> Tensor:
    """`quantile` of all elements that are not NaN; NaN where there is no other.

    >>> import gradengine as ge
    >>> ge.nanquantile(ge.tensor([1.0, float("nan"), 3.0]), 0.5)
    tensor(2.)
    """
    x = wrap(x, None, "nanquantile")
    if not is_floating(x.dtype):
        return quantile(x, q, axis=axis, keepdims=keepdims, interpolation=interpolation)
    check_interpolation("nanquantile", interpolation)
    several = q.tolist() if hasattr(q, "tolist") else q
    if isinstance(several, (list, tuple)):
        return stack([nanquantile(x, one, axis, keepdims, interpolation) for one in several], axis=0)
    if not 0 <= real("nanquantile", "q", q) <= 1:
        raise ArgumentError(f"nanquantile: q must be from 0 to 1, got {q}")
    out = shapes.extremum("nanquantile", x.shape, axis=axis, keepdims=keepdims)
    axes = shapes.axes_of("nanquantile", axis, x.ndim)
    kept = [i for i in range(x.ndim) if i not in axes]
    rows = reshape(x.permute(*kept, *axes) if x.ndim else x, shape=(*[x.shape[i] for i in kept], -1))
    ordered = sort(rows, axis=-1)
    count = sum(logical_not(isnan(rows)), axis=-1, keepdims=True)
    place = multiply(clip(count - 1, 0, None).to(rows.dtype), float(q))
    if interpolation in ("lower", "higher", "nearest"):
        place = {"lower": place.floor, "higher": place.ceil, "nearest": place.round}[interpolation]()
    below = place.floor()
    low = take_along_axis(ordered, below.to("int64"), axis=-1)
    high = take_along_axis(ordered, place.ceil().to("int64"), axis=-1)
    share = subtract(place, below)
    if interpolation == "midpoint":
        share = where(equal(share, 0), 0.0, 0.5)
    mixed = where(equal(share, 0), low, add(low, multiply(share, subtract(high, low))))
    return reshape(mixed, shape=out)


# -- covariance and distances -------------------------------------------------------------------------------------


@method
@checked(words={"bias": "correction"})
def cov(x: Any, /, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Tensor:
    """The covariance of variables in rows, of which the columns are observations, as PyTorch's and NumPy's `cov`.

    Weights count observations (`fweights`, integers) or weigh them (`aweights`). Raises ShapeError above 2-d.

    >>> import gradengine as ge
    >>> ge.cov(ge.tensor([[1.0, 3.0], [2.0, 6.0]]))
    tensor([[2., 4.],
            [4., 8.]])
    """
    x, correction = wrap(x, None, "cov"), whole("cov", "correction", correction)
    if x.ndim > 2:
        raise ShapeError(f"cov: takes at most 2 dimensions, got shape {x.shape}")
    rows = reshape(x, shape=(1, -1)) if x.ndim < 2 else x
    rows = rows if is_floating(rows.dtype) else multiply(rows, 1.0)
    weights = None
    for given in (fweights, aweights):
        if given is not None:
            weight = wrap(given, None, "cov").to(rows.dtype)
            weights = weight if weights is None else multiply(weights, weight)
    if weights is None:
        centered, total = subtract(rows, mean(rows, axis=1, keepdims=True)), rows.shape[1]
        product, freedom = matmul(centered, matrix_transpose(centered)), builtins.max(total - correction, 0)
        result = divide(product, freedom)
    else:
        total = sum(weights)
        centered = subtract(rows, divide(sum(multiply(rows, weights), axis=1, keepdims=True), total))
        product = matmul(multiply(centered, weights), matrix_transpose(centered))
        spread = total if aweights is None else divide(sum(multiply(weights, wrap(aweights).to(rows.dtype))), total)
        freedom = subtract(total, multiply(spread, correction) if aweights is not None else correction)
        result = divide(product, clip(freedom, 0, None))
    return squeeze(result) if x.ndim < 2 else result


@method
@checked
def corrcoef(x: Any, /) -> Tensor:
    """The correlation coefficients of variables in rows, from -1 to 1.

    >>> import gradengine as ge
    >>> ge.corrcoef(ge.tensor([[1.0, 3.0], [2.0, 6.0]]))
    tensor([[1., 1.],
            [1., 1.]])
    """
    found = cov(x)
    if not found.ndim:
        return divide(found, found)
    scale = sqrt(found.diagonal())
    ratio = divide(divide(found, expand_dims(scale, axis=1)), expand_dims(scale, axis=0))
    return clip(ratio, -1, 1)


@checked(words={"x1": "x1", "x2": "x2"}, ignored=frozenset({"compute_mode"}))
def cdist(x1: Any, x2: Any, /, p: float = 2.0) -> Tensor:
    """The p-norm of the difference of each row of x1 and each row of x2: (..., m, d) and (..., n, d) give (..., m, n).

    >>> import gradengine as ge
    >>> ge.cdist(ge.tensor([[0.0, 0.0]]), ge.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """
    a, b = wrap(x1, x2, "cdist"), wrap(x2, x1, "cdist")
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-1]:
        raise ShapeError(f"cdist: takes rows of equal length, got shapes {a.shape} and {b.shape}")
    if not p >= 0:
        raise ArgumentError(f"cdist: p must be a number >= 0, got {p}")
    return vector_norm(subtract(expand_dims(a, axis=-2), expand_dims(b, axis=-3)), ord=p, axis=-1)


@method
@checked
def dist(x1: Any, x2: Any, /, p: float = 2.0) -> Tensor:
    """The p-norm of the difference of two arrays.

    >>> import gradengine as ge
    >>> ge.dist(ge.tensor([1.0, 2.0]), ge.tensor([4.0, 6.0]))
    tensor(5.)
    """
    return vector_norm(subtract(x1, x2), ord=p)


@method(in_place=True)
@checked
def renorm(x: Any, /, p: float, axis: int, maxnorm: float) -> Tensor:
    """Each slice along an axis, scaled down where its p-norm is larger than `maxnorm`.

    >>> import gradengine as ge
    >>> ge.renorm(ge.tensor([[3.0, 4.0], [0.3, 0.4]]), 2, 0, 1.0)
    tensor([[0.6, 0.8],
            [0.3, 0.4]])
    """
    x = wrap(x, None, "renorm")
    place = shapes.axis_of("renorm", axis, x.ndim)
    others = tuple([i for i in range(x.ndim) if i != place])
    norms = vector_norm(x, ord=p, axis=others, keepdims=True)
    return multiply(x, where(norms > maxnorm, divide(maxnorm, add(norms, 1e-7)), 1.0))


@method
@checked
def cross(x1: Any, x2: Any, /, axis: int | None = None) -> Tensor:
    """The cross product of vectors of three elements along an axis, the last by default (as in the array API).

    PyTorch's `cross` without `dim` takes the first axis of three elements, which can be another: then say which.

    >>> import gradengine as ge
    >>> ge.cross(ge.tensor([1.0, 0.0, 0.0]), ge.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    a, b = wrap(x1, x2, "cross"), wrap(x2, x1, "cross")
    shape = shapes.broadcast("cross", a.shape, b.shape)
    if axis is None:
        first = next((i for i, n in enumerate(shape) if n == 3), len(shape) - 1)
        if first != len(shape) - 1:
            raise ArgumentError(
                f"cross: in shape {shape} PyTorch takes axis {first}, NumPy the last; say which with axis="
            )
        axis = -1
    place = shapes.axis_of("cross", axis, len(shape))
    if shape[place] != 3:
        raise ShapeError(f"cross: needs 3 elements along axis {axis}, got shapes {a.shape} and {b.shape}")
    a, b = (x if x.shape == shape else broadcast_to(x, shape=shape) for x in (a, b))
    at = lambda x, i: narrow(x, axis=place, start=i, length=1)
    product = lambda i, j: subtract(multiply(at(a, i), at(b, j)), multiply(at(a, j), at(b, i)))
    return concat([product(1, 2), product(2, 0), product(0, 1)], axis=place)


# -- along an axis ------------------------------------------------------------------------------------------------


@method
@checked
def logcumsumexp(x: Any, /, axis: int) -> Tensor:
    """`log(cumsum(exp(x)))` along an axis, computed so that it does not overflow.

    >>> import gradengine as ge
    >>> ge.logcumsumexp(ge.tensor([1000.0, 1000.0]), dim=0)
    tensor([1000.    , 1000.6932])
    """
    from .transcendental import logaddexp

    x = wrap(x, None, "logcumsumexp")
    place = shapes.axis_of("logcumsumexp", axis, x.ndim or 1)
    if not x.ndim:
        return add(x, 0)
    n, step = x.shape[place], 1
    while step < n:
        head = narrow(x, axis=place, start=0, length=step)
        pairs = [narrow(x, axis=place, start=start, length=n - step) for start in (step, 0)]
        nothing = equal(maximum(*pairs), -math.inf)  # the gradient of 0 + 0 is that of neither
        sums = logaddexp(*[where(nothing, 0.0, part) for part in pairs])
        x = concat([head, where(nothing, -math.inf, sums)], axis=place)
        step *= 2
    return x


def trapezoids(name: str, y: Any, x: Any, dx: Any, axis: int) -> Tensor:
    """The area between each two neighbours."""
    y = wrap(y, None, name)
    place = shapes.axis_of(name, axis, y.ndim)
    length = builtins.max(y.shape[place] - 1, 0)
    both = add(*[narrow(y, axis=place, start=start, length=length) for start in (1 if length else 0, 0)])
    if x is None:
        return multiply(both, divide(dx, 2.0) if isinstance(dx, Tensor) else dx / 2)
    x = wrap(x, y, name)
    if x.ndim == 1:
        return multiply(both, divide(reshape(diff(x), shape=[-1 if i == place else 1 for i in range(y.ndim)]), 2))
    return multiply(both, divide(diff(x, axis=place), 2))


@checked(words={"y": "y"})
def trapezoid(y: Any, /, x: Any = None, *, dx: Any = 1, axis: int = -1) -> Tensor:
    """The integral along an axis by the trapezoidal rule; `x` are the places, or `dx` is the distance between them.

    >>> import gradengine as ge
    >>> ge.trapezoid(ge.tensor([1.0, 2.0, 3.0]))
    tensor(4.)
    """
    return sum(trapezoids("trapezoid", y, x, dx, axis), axis=axis)


trapz = trapezoid


@checked(words={"y": "y"})
def cumulative_trapezoid(y: Any, /, x: Any = None, *, dx: Any = 1, axis: int = -1) -> Tensor:
    """The running integral along an axis by the trapezoidal rule.

    >>> import gradengine as ge
    >>> ge.cumulative_trapezoid(ge.tensor([1.0, 2.0, 3.0]))
    tensor([1.5, 4. ])
    """
    from .scans import cumsum

    return cumsum(trapezoids("cumulative_trapezoid", y, x, dx, axis), axis=axis)
