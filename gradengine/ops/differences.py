"""Differences of neighbours."""

from __future__ import annotations

from typing import Any

from .. import shapes
from ..core.tensor_class import Tensor, wrap
from ..errors import ArgumentError, ShapeError
from .arguments import checked, whole
from .elementwise import subtract
from .joining import concat, narrow
from .predicates import not_equal
from .tensor_methods import method

__all__ = ["diff"]


@method
@checked
def diff(x: Any, /, n: int = 1, axis: int = -1, *, prepend: Any = None, append: Any = None) -> Tensor:
    """The difference of each element and the one before it along an axis, `n` times over.

    Of bools, it is whether they differ. `prepend` and `append` are put before and after x first. Raises ShapeError for
    a 0-d array and an axis that x does not have, ArgumentError for a negative `n`.

    >>> import gradengine as ge
    >>> ge.diff(ge.tensor([1.0, 4.0, 9.0, 16.0]))
    tensor([3., 5., 7.])
    >>> ge.diff(ge.tensor([1.0, 4.0, 9.0, 16.0]), n=2)
    tensor([2., 2.])
    """
    x = wrap(x, None, "diff")
    times = whole("diff", "n", n)
    if times < 0:
        raise ArgumentError(f"diff: n must not be negative, got {times}")
    if not x.shape:
        raise ShapeError("diff: a 0-d array has no neighbours; needs at least one axis")
    place = shapes.axis_of("diff", axis, x.ndim)
    if times == 0:
        return x
    parts = [wrap(part, x, "diff") for part in (prepend, x, append) if part is not None]
    x = concat(parts, axis=place) if len(parts) > 1 else x
    for _ in range(times):
        length = x.shape[place]
        if length == 0:
            break
        later = narrow(x, axis=place, start=1, length=length - 1)
        earlier = narrow(x, axis=place, start=0, length=length - 1)
        x = not_equal(later, earlier) if x.dtype.kind == "b" else subtract(later, earlier)
    return x
