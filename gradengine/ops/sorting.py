"""Sorting, the largest elements, and quantiles. NaN counts as the largest number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import shapes
from ..core.tensor_class import Tensor, mode, wrap
from ..errors import ArgumentError, ShapeError, describe
from ..shapes.dtypes import FLOATS
from . import pytorch_forms
from .arguments import checked, real
from .declare import composite, primitive
from .pairs import ValuesIndices, values_alone
from .tensor_methods import method

__all__ = ["sort", "argsort", "topk", "searchsorted", "median", "quantile"]


def sort_rule(k: Any, g: Any, y: Any, x: Any, axis: int, descending: bool, stable: bool) -> Any:
    """g taken from where each element went."""
    order = k.argsort(x, axis=axis, descending=descending, stable=stable)
    return k.take_along_axis(g, k.inverse_permutation(order, axis=axis), axis=axis)


@primitive(sort_rule, shape=shapes.sort, form=pytorch_forms.sort, mark=values_alone, method=True)
def sort(x, /, axis=-1, descending=False, stable=True):
    """The elements in order along an axis; NaN is the largest.

    Raises ShapeError for an axis that x does not have.

    >>> import gradengine as ge
    >>> ge.sort(ge.tensor([3.0, 1.0, 2.0]), descending=True)
    tensor([3., 2., 1.])
    """


@primitive(None, shape=shapes.sort, lifts=True, method=True)
def argsort(x, /, axis=-1, descending=False, stable=True):
    """The indices that put the elements in order along an axis; equal ones keep theirs when `stable`.

    Raises ShapeError for an axis that x does not have.

    >>> import gradengine as ge
    >>> ge.argsort(ge.tensor([3.0, 1.0, 2.0]))
    tensor([1, 2, 0])
    """


@primitive(None, shape=shapes.sort)
def inverse_permutation(x, /, axis=-1):
    """Where each index along an axis is found: what takes the reordering by these indices back.

    >>> import gradengine as ge
    >>> ge.ops.inverse_permutation(ge.tensor([1, 2, 0]))
    tensor([2, 0, 1])
    """


@primitive(None, shape=shapes.topk)
def top_indices(x, /, count, axis=-1, largest=True):
    """The indices of the `count` largest (or smallest) elements along an axis, in order.

    Raises ShapeError for an axis that x does not have, or fewer than `count` elements along it.

    >>> import gradengine as ge
    >>> ge.ops.top_indices(ge.tensor([3.0, 1.0, 2.0]), 2)
    tensor([0, 2])
    """


@method
@checked(lifts=True)
def topk(x: Any, /, k: int, axis: int = -1, largest: bool = True, sorted: bool = True) -> ValuesIndices:
    """The `k` largest (or smallest) elements along an axis and their indices, in order, whatever `sorted` says.

    Of equal elements the first are taken. Raises ShapeError for an axis that x does not have, or fewer than k
    elements along it.

    >>> import gradengine as ge
    >>> ge.topk(ge.tensor([3.0, 1.0, 2.0]), 2)
    ValuesIndices(values=tensor([3., 2.]), indices=tensor([0, 2]))
    """
    from .index import take_along_axis

    x = wrap(x)
    indices = top_indices(x, count=k, axis=axis, largest=largest)
    return ValuesIndices(take_along_axis(x, indices, axis=axis), indices)


def searchsorted_form(
    k: Any, x: Any, values: Any, /, side: str = "left", *, sorter: Any = None, right: bool = False
) -> Any:
    """`searchsorted` with the array API's and PyTorch's `sorter`, and PyTorch's `right`."""
    x = x if sorter is None else k.take(x, sorter, axis=0)
    return k.searchsorted(x, values, side="right" if right else side)


@primitive(
    None,
    None,
    shape=shapes.searchsorted,
    words={"sorted_sequence": "x", "input": "values"},
    form=searchsorted_form,
)
def searchsorted(x, values, /, side="left"):
    """Where each value would go in a sorted vector: before equal elements ("left") or after them ("right").

    `sorter` holds the indices that sort x, if it is not sorted itself. Raises ShapeError when x is not a vector.

    >>> import gradengine as ge
    >>> ge.searchsorted(ge.tensor([1.0, 2.0, 3.0]), ge.tensor([2.0, 2.5]))
    tensor([1, 2])
    """


@composite(method=True)
def quantile(k, x, /, q, axis=None, keepdims=False, interpolation="linear"):
    """The `q`-quantile of the elements along `axis`.

    Between two elements it is found by `interpolation`: "linear", "lower", "higher", "nearest" or "midpoint".
    `q` is a number from 0 to 1, or several (then they come as the first axis of the result). NaN where there is one.
    Raises ArgumentError for another q, ShapeError for an axis that x does not have or without elements.

    >>> import gradengine as ge
    >>> ge.quantile(ge.tensor([1.0, 2.0, 3.0, 4.0]), 0.25)
    tensor(1.75)
    """
    return quantile_of(k, "quantile", x, q, axis, keepdims, interpolation)


@composite(form=pytorch_forms.median, method=True)
def median(k, x, /, axis=None, keepdims=False):
    """The middle element along `axis`, or the mean of the middle two as in NumPy (PyTorch takes the lower).

    NaN where there is one. Raises ShapeError for an axis that x does not have or without elements.

    >>> import gradengine as ge
    >>> ge.median(ge.tensor([[1.0, 5.0, 2.0], [4.0, 0.0, 9.0]]), axis=1)
    tensor([2., 4.])
    """
    return quantile_of(k, "median", x, 0.5, axis, keepdims)


INTERPOLATIONS = ("linear", "lower", "higher", "nearest", "midpoint")


def check_interpolation(name: str, interpolation: Any) -> None:
    """Raise ArgumentError for a way between two elements that there is not."""
    if interpolation not in INTERPOLATIONS:
        words = ", ".join(INTERPOLATIONS)
        raise ArgumentError(f"{name}: interpolation must be one of {words}; got {describe(interpolation)}")


def share_between(share: float, below: int, interpolation: str) -> float:
    """How much of the element above is in a quantile that lies `share` of the way from that below."""
    if interpolation == "linear" or not share:
        return share
    if interpolation == "nearest":
        return float(round(below + share) - below)  # halves go to the even place
    return {"lower": 0.0, "higher": 1.0, "midpoint": 0.5}[interpolation]


def quantile_of(k: Any, name: str, x: Any, q: Any, axis: Any, keepdims: bool, interpolation: str = "linear") -> Any:
    """One quantile, or several stacked."""
    check_interpolation(name, interpolation)
    out = shapes.extremum(name, x.shape, axis=axis, keepdims=keepdims)
    axes = () if not x.shape else shapes.axes_of(name, axis, len(x.shape))
    kept = tuple([i for i in range(len(x.shape)) if i not in axes])
    length = math.prod([x.shape[i] for i in axes])
    if length == 0:
        raise ShapeError(f"{name}: shape {x.shape} has no elements along axis {axis}")
    rows = k.reshape(k.permute_dims(x, axes=kept + axes), shape=(*[x.shape[i] for i in kept], length))
    ordered = k.sort(rows if x.dtype.kind in FLOATS else rows * 1.0, axis=-1)
    at = lambda i: k.reshape(k.narrow(ordered, axis=-1, start=i, length=1), shape=out)
    largest = at(length - 1)
    if isinstance(q, Tensor) and q.op is not None and mode.recording and interpolation == "linear":
        return quantile_at(k, name, ordered, q, out)
    found = []
    several = q.tolist() if hasattr(q, "tolist") else q
    for value in several if isinstance(several, (list, tuple)) else [several]:
        if not 0 <= real(name, "q", value) <= 1:
            raise ArgumentError(f"{name}: q must be from 0 to 1, got {value}")
        below = min(int(value * (length - 1)), length - 1)
        share = share_between(value * (length - 1) - below, below, interpolation)
        result = at(below + 1) if share == 1 else at(below)
        if 0 < share < 1:
            result = result * (1 - share) + at(below + 1) * share
        found.append(k.where(k.equal(largest, largest), result, largest))
    return k.stack_arrays(*found, axis=0) if isinstance(several, (list, tuple)) else found[0]


def quantile_at(k: Any, name: str, ordered: Any, q: Tensor, shape: tuple[int, ...]) -> Any:
    """Quantiles at places that a gradient flows to: the slope between the two elements around each."""
    if q.ndim > 1:
        raise ShapeError(f"{name}: q must be a number or a vector, got shape {q.shape}")
    length = ordered.shape[-1]
    place = k.reshape(q, shape=(-1,)).to(ordered.dtype) * (length - 1)
    inside = k.logical_and(k.greater_equal(place.detach(), 0), k.less_equal(place.detach(), length - 1))
    if not hasattr(q.array, "weak") and not bool(k.all(inside)):  # symbols have no values to check
        raise ArgumentError(f"{name}: q must be from 0 to 1, got {q.detach().tolist()}")
    below = k.minimum(k.floor(place.detach()), max(length - 2, 0))
    at = below.to(np.int64)
    share = place - below
    low, high = k.take(ordered, at, axis=-1), k.take(ordered, k.minimum(at + 1, length - 1), axis=-1)
    largest = k.narrow(ordered, axis=-1, start=length - 1, length=1)
    found = k.where(k.equal(largest, largest), low * (1 - share) + high * share, largest)
    return k.reshape(k.moveaxis(found, source=-1, destination=0), shape=(*q.shape, *shape))
