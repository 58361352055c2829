"""Writing at positions, out of place: scatter, index_fill, index_copy, index_put, masked_scatter and their like.

Each gives a new Tensor, through which gradients flow.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import shapes
from ..core.tensor_class import Tensor, wrap
from ..errors import ArgumentError, DTypeError, ShapeError
from ..shapes.dtypes import is_floating
from .arguments import beside, checked, whole
from .creation import arange, full, ones_like
from .elementwise import add, divide, maximum, minimum, multiply, negative, subtract, where
from .index import (
    check_gather,
    gather,
    head,
    put_at,
    read,
    scatter_add,
    split_index,
    take,
    take_along_axis,
)  # fmt: skip
from .joining import concat, narrow
from .predicates import equal, isfinite
from .scans import cumsum
from .shape import broadcast_to, fill_diagonal, reshape
from .sorting import argsort
from .tensor_methods import method

__all__ = [
    "scatter", "scatter_reduce", "index_fill", "index_copy", "index_put", "masked_scatter", "select_scatter",
    "slice_scatter", "diagonal_scatter", "put", "index_reduce",
]  # fmt: skip


def positions(index: Tensor, axis: int) -> tuple[Tensor, ...]:
    """The indices of all axes for elements that `index` places along one axis."""
    found = []
    for i, n in enumerate(index.shape):
        if i == axis:
            found.append(index)
        else:
            shape = tuple([n if j == i else 1 for j in range(index.ndim)])
            found.append(reshape(arange(n, device=index.device), shape=shape))
    return tuple(found)


def whole_or_float(name: str, x: Tensor, src: Tensor) -> Tensor:
    """What is to be written into `x`. Raises DTypeError for floats that would be cut to integers on the way."""
    if src.shape and is_floating(src.dtype) and not is_floating(x.dtype):
        raise DTypeError(
            f"{name}: the source is {src.dtype}, but it is written into {x.dtype}, which has no fractions; "
            f"convert one of them, for example x.to({src.dtype})"
        )
    return src


def source_of(name: str, x: Tensor, index: Tensor, src: Any) -> Tensor:
    """What is written: a number for all, or the part of an array that the index sees."""
    src = whole_or_float(name, x, wrap(src, x, name) if not isinstance(src, Tensor) else src)
    if not src.shape:
        return src
    check_gather(name, src, -1, index, "the source")
    used = head(src, index.shape, -1)
    return src if used == (slice(None),) * src.ndim else read(src, index=used)


@method(in_place=True)
@checked(words={"value": "src"}, lifts=True)
def scatter(x: Any, axis: int, index: Any, src: Any, *, reduce: str | None = None) -> Tensor:
    """`x` with the elements of `src` (or one number) written at integer `index` along `axis`, as in PyTorch.

    Of several elements written to one place the last counts. `reduce` is None, "add" or "multiply". Raises ShapeError
    when the shapes do not fit, IndexRangeError for an index outside the axis.

    >>> import gradengine as ge
    >>> ge.scatter(ge.zeros(2, 3), 1, ge.tensor([[2], [0]]), 1.0)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    x, index = beside("scatter", x, index)
    place = shapes.axis_of("scatter", axis, x.ndim)
    check_gather("scatter", x, place, index)
    if reduce not in (None, "add", "multiply"):
        raise ArgumentError(f"scatter: reduce must be None, 'add' or 'multiply', got {reduce!r}; see scatter_reduce")
    written = source_of("scatter", x, index, src)
    if reduce is not None:
        if not hasattr(written.array, "dtype"):  # a Python number
            written = full((), written.array, device=x.device, dtype=x.dtype)
        spread = written if written.shape == index.shape else broadcast_to(written, shape=index.shape)
        spread = spread if spread.dtype == x.dtype else spread.to(x.dtype)
        if reduce == "add":
            return scatter_add(x, place, index, spread)
        return scatter_reduce(x, place, index, spread, "prod")
    if not x.ndim:
        return broadcast_to(written, shape=()).to(x.dtype) if written.dtype != x.dtype else written
    return put_at(x, written, *positions(index, place), index=("integers",) * x.ndim)


@method(in_place=True)
@checked(lifts=True)
def scatter_reduce(x: Any, axis: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Tensor:
    """`x` with the elements of `src` combined at integer `index` along `axis`, as in PyTorch.

    `reduce` is "sum", "mean", "prod", "amax" or "amin"; without `include_self` what stands in `x` does not count.

    >>> import gradengine as ge
    >>> ge.scatter_reduce(ge.zeros(2), 0, ge.tensor([0, 0, 1]), ge.tensor([1.0, 5.0, 2.0]), "amax")
    tensor([5., 2.])
    """
    if reduce not in ("sum", "mean", "prod", "amax", "amin"):
        raise ArgumentError(f"scatter_reduce: reduce must be 'sum', 'mean', 'prod', 'amax' or 'amin', got {reduce!r}")
    x, index, src = beside("scatter_reduce", x, index, src)
    place = shapes.axis_of("scatter_reduce", axis, x.ndim)
    check_gather("scatter_reduce", x, place, index)
    written = source_of("scatter_reduce", x, index, src)
    ones = full(index.shape, 1, dtype="int64", device=x.device)
    count = scatter_add(full(x.shape, 0, dtype="int64", device=x.device), place, index, ones)
    hit = count > 0
    if reduce in ("sum", "mean"):
        start = x if include_self else where(hit, 0, x)
        total = scatter_add(start, place, index, written)
        if reduce == "sum":
            return total
        shares = where(hit, count + int(include_self), 1)
        return divide(total, shares.to(x.dtype)) if x.dtype.kind in "fV" else total // shares
    if reduce == "prod":
        return product_at(x, place, index, written, include_self)
    return extremum_at(x, place, index, written, 1 if reduce == "amax" else -1, include_self)


def product_at(x: Tensor, axis: int, index: Tensor, src: Tensor, include_self: bool) -> Tensor:
    """The product of what lands in each place: running products within runs of one index, of which the last counts."""
    order = argsort(index, axis=axis)
    at, totals = take_along_axis(index, order, axis=axis), take_along_axis(src, order, axis=axis)
    n, step = index.shape[axis], 1
    part = lambda whole, start, length: narrow(whole, axis=axis, start=start, length=length)
    while step < n:
        same = equal(part(at, step, n - step), part(at, 0, n - step))
        later = multiply(part(totals, step, n - step), where(same, part(totals, 0, n - step), 1))
        totals = concat([part(totals, 0, step), later], axis=axis)
        step *= 2
    if include_self:
        return multiply(x, scatter(ones_like(x), axis, at, totals))
    return scatter(x, axis, at, totals)


def extremum_at(x: Tensor, axis: int, index: Tensor, src: Tensor, sign: int, include_self: bool) -> Tensor:
    """The largest (or smallest) of what lands in each place; equal ones share the gradient evenly, as in PyTorch."""
    known, values = x.detach(), src.detach()
    order = argsort(values if sign > 0 else negative(values), axis=axis)  # the last that is written is the best
    best = scatter(known, axis, take_along_axis(index, order, axis=axis), take_along_axis(values, order, axis=axis))
    if include_self:
        best = (maximum if sign > 0 else minimum)(known, best)
    wins = equal(src, gather(best, axis, index))
    ones = full(x.shape, 0, dtype=x.dtype, device=x.device)
    number = scatter_add(ones, axis, index, wins.to(x.dtype))
    stays = equal(x, best) if include_self else equal(number, 0)
    number = maximum(add(number, stays.to(x.dtype)) if include_self else number, 1)
    if x.op is None and src.op is None:
        return best
    # 0 in value, and what gradients flow through: best is one of these.
    change = lambda t: where(isfinite(t), subtract(t, t.detach()), 0)
    moved = scatter_add(ones, axis, index, where(wins, change(src), 0))
    return add(best, divide(add(moved, where(stays, change(x), 0)), number))


@method(in_place=True)
@checked
def index_fill(x: Any, axis: int, index: Any, value: Any) -> Tensor:
    """`x` with one number in all slices at a vector of indices along an axis.

    >>> import gradengine as ge
    >>> ge.index_fill(ge.ones(3, 2), 0, ge.tensor([1]), 0.0)
    tensor([[1., 1.],
            [0., 0.],
            [1., 1.]])
    """
    x, index = beside("index_fill", x, index)
    value = wrap(value, x, "index_fill")
    if value.ndim:
        raise ShapeError(f"index_fill: the value must be one number, got shape {value.shape}")
    if not x.ndim:
        return reshape(at_slices("index_fill", reshape(x, shape=(1,)), axis, index, value), shape=())
    return at_slices("index_fill", x, axis, index, value)


def at_slices(name: str, x: Tensor, axis: int, index: Tensor, value: Tensor) -> Tensor:
    """`x` with `value` written to slices along an axis."""
    place = shapes.axis_of(name, axis, x.ndim)
    if index.ndim > 1 or index.dtype.kind not in "iu":
        raise ShapeError(f"{name}: the index must be a vector of integers, got {index.dtype}{list(index.shape)}")
    structure = (*(slice(None),) * place, "integers")
    return put_at(x, value, reshape(index, shape=(-1,)), index=structure)


@method(in_place=True)
@checked(words={"source": "src"}, lifts=True)
def index_copy(x: Any, axis: int, index: Any, src: Any) -> Tensor:
    """`x` with the slices of `src` in the place of those at a vector of indices along an axis.

    >>> import gradengine as ge
    >>> ge.index_copy(ge.zeros(3, 2), 0, ge.tensor([2, 0]), ge.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [0., 0.],
            [1., 2.]])
    """
    x, index, src = beside("index_copy", x, index, src)
    place = shapes.axis_of("index_copy", axis, x.ndim)
    wanted = (*x.shape[:place], math.prod(index.shape), *x.shape[place + 1 :])
    if src.shape != wanted:
        raise ShapeError(f"index_copy: the source must have shape {wanted}, got {src.shape}")
    whole_or_float("index_copy", x, src)
    return at_slices("index_copy", x, place, index, src)


@method(in_place=True)
@checked(words={"source": "src"}, lifts=True)
def index_reduce(x: Any, axis: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Tensor:
    """`x` with the slices of `src` combined at a vector of indices along an axis, as in PyTorch.

    `reduce` is "prod", "mean", "amax" or "amin"; without `include_self` what stands in `x` does not count.

    >>> import gradengine as ge
    >>> ge.index_reduce(ge.ones(2, 2), 0, ge.tensor([0, 0]), ge.tensor([[2.0, 3.0], [4.0, 5.0]]), "prod")
    tensor([[ 8., 15.],
            [ 1.,  1.]])
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise ArgumentError(f"index_reduce: reduce must be 'prod', 'mean', 'amax' or 'amin', got {reduce!r}")
    x, index, src = beside("index_reduce", x, index, src)
    place = shapes.axis_of("index_reduce", axis, x.ndim)
    wanted = (*x.shape[:place], math.prod(index.shape), *x.shape[place + 1 :])
    if index.ndim > 1 or src.shape != wanted:
        raise ShapeError(f"index_reduce: needs a vector of indices and a source of shape {wanted}, got {src.shape}")
    column = reshape(index, shape=[-1 if i == place else 1 for i in range(x.ndim)])
    return scatter_reduce(x, place, broadcast_to(column, shape=wanted), src, reduce, include_self=include_self)


@method(in_place=True)
@checked
def index_put(x: Any, indices: Any, values: Any, accumulate: bool = False) -> Tensor:
    """`x` with `values` at `x[indices]`, a tuple of index arrays (or None for a whole axis); added with `accumulate`.

    >>> import gradengine as ge
    >>> ge.index_put(ge.zeros(3), (ge.tensor([0, 0]),), ge.tensor(1.0), accumulate=True)
    tensor([2., 0., 0.])
    """
    from .index import place

    x = wrap(x, None, "index_put")
    values = wrap(values, x, "index_put")
    index = tuple([slice(None) if i is None else i for i in indices])
    structure, at = split_index(index, x, True)
    if not accumulate:
        return put_at(x, whole_or_float("index_put", x, values), *at, index=structure)
    target = read(x, *at, index=structure).shape
    spread = values if values.shape == target else broadcast_to(values, shape=target)
    return add(x, place(spread, *at, index=structure, shape=x.shape))


@method(in_place=True)
@checked
def masked_scatter(x: Any, mask: Any, source: Any) -> Tensor:
    """`x` with elements of `source`, in order, wherever the mask (which broadcasts) is true.

    >>> import gradengine as ge
    >>> ge.masked_scatter(ge.zeros(3), ge.tensor([True, False, True]), ge.tensor([1.0, 2.0]))
    tensor([1., 0., 2.])
    """
    x, mask, source = beside("masked_scatter", x, mask, source)
    if mask.dtype != np.bool_:
        raise DTypeError(f"masked_scatter: the mask must be bool, got {mask.dtype}")
    mask = mask if mask.shape == x.shape else broadcast_to(mask, shape=x.shape)
    flat = reshape(source, shape=(-1,))
    if not flat.shape[0]:
        return x
    at = maximum(subtract(cumsum(reshape(mask, shape=(-1,)), axis=0), 1), 0)
    return where(mask, reshape(take(flat, at, axis=0), shape=x.shape), x)


@method
@checked
def select_scatter(x: Any, src: Any, axis: int, index: int) -> Tensor:
    """`x` with `src` as its slice at one index of an axis.

    >>> import gradengine as ge
    >>> ge.select_scatter(ge.zeros(2, 2), ge.ones(2), 0, 1)
    tensor([[0., 0.],
            [1., 1.]])
    """
    x, src = beside("select_scatter", x, src)
    place = shapes.axis_of("select_scatter", axis, x.ndim)
    wanted = x.shape[:place] + x.shape[place + 1 :]
    if src.shape != wanted:
        raise ShapeError(f"select_scatter: the slice has shape {wanted}, src has {src.shape}")
    return put_at(x, src, index=(*(slice(None),) * place, index))


@method
@checked
def slice_scatter(
    x: Any, src: Any, axis: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """`x` with `src` in the place of `x[start:end:step]` along an axis.

    >>> import gradengine as ge
    >>> ge.slice_scatter(ge.zeros(4), ge.ones(2), start=1, end=3)
    tensor([0., 1., 1., 0.])
    """
    x, src = beside("slice_scatter", x, src)
    place = shapes.axis_of("slice_scatter", axis, x.ndim)
    step = whole("slice_scatter", "step", step)
    return put_at(x, src, index=(*(slice(None),) * place, slice(start, end, step)))


@method
@checked(words={"dim1": "axis1", "dim2": "axis2"})
def diagonal_scatter(x: Any, src: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """`x` with `src` on a diagonal of two axes, the first two as in PyTorch.

    >>> import gradengine as ge
    >>> ge.diagonal_scatter(ge.zeros(2, 2), ge.ones(2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    x, src = beside("diagonal_scatter", x, src)
    shape = shapes.diagonal("diagonal_scatter", x.shape, offset=offset, axis1=axis1, axis2=axis2)
    if src.shape != shape:
        raise ShapeError(f"diagonal_scatter: the diagonal has shape {shape}, src has {src.shape}")
    places = fill_diagonal(full(shape, True, device=x.device), x.shape, offset, axis1, axis2)
    return where(places, fill_diagonal(src, x.shape, offset, axis1, axis2), x)


@method
@checked
def put(x: Any, index: Any, source: Any, accumulate: bool = False) -> Tensor:
    """`x` with `source` at positions of the flattened array; added with `accumulate`.

    >>> import gradengine as ge
    >>> ge.put(ge.zeros(2, 2), ge.tensor([1, 3]), ge.tensor([5.0, 6.0]))
    tensor([[0., 5.],
            [0., 6.]])
    """
    x, index, source = beside("put", x, index, source)
    at, values = reshape(index, shape=(-1,)), reshape(source, shape=(-1,))
    return reshape(index_put(reshape(x, shape=(-1,)), (at,), values, accumulate), shape=x.shape)
