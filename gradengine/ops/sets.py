"""Sets of values: the distinct ones, how often each is there, and membership.

Composed of sorting and indexing, so they run on every device; values carry gradients.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..core.tensor_class import Tensor, wrap
from .arguments import beside, checked
from .index import nonzero, take
from .joining import concat, narrow
from .predicates import equal, logical_not, not_equal
from .reduce import any
from .scans import cumsum
from .shape import expand_dims, ravel, reshape
from .sorting import argsort, inverse_permutation
from .tensor_methods import method

__all__ = ["unique_all", "unique_counts", "unique_inverse", "unique_values", "isin"]


class UniqueAll(NamedTuple):
    """What `unique_all` returns."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What `unique_counts` returns."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What `unique_inverse` returns."""

    values: Tensor
    inverse_indices: Tensor


@checked
def unique_all(x: Any, /) -> UniqueAll:
    """The distinct values in ascending order, where each comes first, which one each element is, and their counts.

    Indices are those of the flattened array; `inverse_indices` has the shape of x. NaN equals nothing, so each NaN is
    a value of its own.

    >>> import gradengine as ge
    >>> found = ge.unique_all(ge.tensor([3.0, 1.0, 3.0]))
    >>> found.values, found.indices, found.inverse_indices, found.counts
    (tensor([1., 3.]), tensor([1, 0]), tensor([1, 0, 1]), tensor([1, 2]))
    """
    x = wrap(x, None, "unique_all")
    flat = ravel(x)
    order = argsort(flat.detach(), axis=0, stable=True)
    n = flat.shape[0]
    one = wrap(np.ones(min(n, 1), np.bool_), None).to(device=x.device)
    ordered = take(flat.detach(), order, axis=0)
    later = not_equal(narrow(ordered, axis=0, start=min(n, 1), length=max(n - 1, 0)),
                      narrow(ordered, axis=0, start=0, length=max(n - 1, 0)))  # fmt: skip
    begins = concat([one, later], axis=0)
    (starts,) = nonzero(begins)
    indices = take(order, starts, axis=0)
    end = wrap(np.array([n]), None).to(device=x.device)
    ends = concat([narrow(starts, axis=0, start=min(n, 1), length=max(starts.shape[0] - 1, 0)), end[: min(n, 1)]])
    group = cumsum(begins, axis=0, dtype=np.int64) - 1
    inverse = take(group, inverse_permutation(order, axis=0), axis=0)
    return UniqueAll(take(flat, indices, axis=0), indices, reshape(inverse, shape=x.shape), ends - starts)


@checked
def unique_counts(x: Any, /) -> UniqueCounts:
    """The distinct values in ascending order, and how often each is there.

    >>> import gradengine as ge
    >>> ge.unique_counts(ge.tensor([3.0, 1.0, 3.0])).counts
    tensor([1, 2])
    """
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


@checked
def unique_inverse(x: Any, /) -> UniqueInverse:
    """The distinct values in ascending order, and which of them each element of x is.

    >>> import gradengine as ge
    >>> ge.unique_inverse(ge.tensor([3.0, 1.0, 3.0])).inverse_indices
    tensor([1, 0, 1])
    """
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


@checked
def unique_values(x: Any, /) -> Tensor:
    """The distinct values in ascending order; gradients go to where each comes first.

    >>> import gradengine as ge
    >>> ge.unique_values(ge.tensor([3.0, 1.0, 3.0]))
    tensor([1., 3.])
    """
    return unique_all(x).values


@method
@checked(words={"elements": "x1", "test_elements": "x2"}, ignored=frozenset({"assume_unique"}))
def isin(x1: Any, x2: Any, /, *, invert: bool = False) -> Tensor:
    """Whether each element of x1 is among those of x2, or is not among them with `invert`.

    >>> import gradengine as ge
    >>> ge.isin(ge.tensor([1, 2, 3]), ge.tensor([3, 1]))
    tensor([ True, False,  True])
    """
    x1, x2 = beside("isin", x1, x2)
    found = any(equal(expand_dims(x1, axis=-1), ravel(x2)), axis=-1)
    return logical_not(found) if invert else found
