"""Running totals along an axis, with gradients right to every order, also at zeros.

`axis=None` runs through the flattened array.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import shapes
from ..core.tensor_class import Tensor, wrap
from ..errors import ShapeError
from ..shapes.dtypes import is_floating
from .arguments import checked
from .declare import composite, primitive
from .reduce import product_of_those_before, shifted
from .shape import pad

__all__ = ["cumsum", "cumprod", "cumulative_sum", "cumulative_prod"]


def cumsum_rule(k: Any, g: Any, y: Any, x: Any, axis: Any, dtype: Any) -> Any:
    """The running sum of g from the end."""
    if dtype is not None and not is_floating(np.dtype(dtype)):
        g = g * 0.0
    place = 0 if axis is None else axis
    return k.reshape(k.flip(k.cumsum(k.flip(g, axis=place), axis=place), axis=place), shape=x.shape)


@primitive(cumsum_rule, shape=shapes.accumulation, lifts=True, precision="high", method=True, in_place=True)
def cumsum(x, /, axis=None, dtype=None):
    """Running sums along one axis, or of the flattened array.

    Raises ShapeError for an axis that `x` does not have.

    >>> import gradengine as ge
    >>> ge.cumsum(ge.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    tensor([[1., 3.],
            [3., 7.]])
    """


def cumprod_rule(k: Any, g: Any, y: Any, x: Any, axis: Any, dtype: Any) -> Any:
    """The cotangent along the axis, or of the flattened array."""
    if dtype is not None and not is_floating(np.dtype(dtype)):
        g = g * 0.0
    if axis is not None:
        return k.cumprod_gradient(g, x, y, axis=axis)
    return k.reshape(k.cumprod_gradient(g, k.reshape(x, shape=y.shape), y, axis=0), shape=x.shape)


@primitive(cumprod_rule, shape=shapes.accumulation, lifts=True, precision="high", method=True, in_place=True)
def cumprod(x, /, axis=None, dtype=None):
    """Running products along one axis, or of the flattened array.

    Raises ShapeError for an axis that `x` does not have.

    >>> import gradengine as ge
    >>> ge.cumprod(ge.tensor([1.0, 2.0, 3.0, 4.0]))
    tensor([ 1.,  2.,  6., 24.])
    """


@composite
def cumprod_gradient(k, g, x, y, /, axis=-1):
    """The cotangent of x, given that of y = cumprod(x): the sum of g_i over i >= j times the other factors of y_i.

    It is p_j s_j, with p_j the product before j and s_j = g_j + x_(j+1) s_(j+1), found in log2(n) passes of sums and
    products: zeros need no special case. The value of y is not used.

    >>> import gradengine as ge
    >>> x = ge.tensor([2.0, 0.0, 4.0])
    >>> ge.ops.cumprod_gradient(ge.ones(3), x, ge.cumprod(x))
    tensor([ 1., 10.,  0.])
    """
    n = x.shape[axis]
    if n == 0:
        return g
    rows = k.swapaxes(x, axis1=axis, axis2=-1)
    factor = shifted(k, k.flip(rows, axis=-1), 1, 1.0)
    total, step = k.flip(k.swapaxes(g, axis1=axis, axis2=-1), axis=-1), 1
    while step < n:
        total = total + factor * shifted(k, total, step, 0.0)
        factor = factor * shifted(k, factor, step, 1.0)
        step *= 2
    return k.swapaxes(product_of_those_before(k, rows) * k.flip(total, axis=-1), axis1=axis, axis2=-1)


@checked
def cumulative_sum(x: Any, /, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Tensor:
    """Running sums along `axis`, the array API's `cumsum`; `include_initial` puts a 0 before them.

    Raises ShapeError for an axis that `x` does not have, or for no axis when there are several.

    >>> import gradengine as ge
    >>> ge.cumulative_sum(ge.tensor([1.0, 2.0, 3.0]), include_initial=True)
    tensor([0., 1., 3., 6.])
    """
    return with_initial(cumsum, "cumulative_sum", x, axis, dtype, 0 if include_initial else None)


@checked
def cumulative_prod(x: Any, /, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Tensor:
    """Running products along `axis`, the array API's `cumprod`; `include_initial` puts a 1 before them.

    Raises ShapeError for an axis that `x` does not have, or for no axis when there are several.

    >>> import gradengine as ge
    >>> ge.cumulative_prod(ge.tensor([1.0, 2.0, 3.0]), include_initial=True)
    tensor([1., 1., 2., 6.])
    """
    return with_initial(cumprod, "cumulative_prod", x, axis, dtype, 1 if include_initial else None)


def with_initial(scan: Any, name: str, x: Any, axis: int | None, dtype: Any, initial: int | None) -> Tensor:
    """A running total under the array API's conditions."""
    x = wrap(x)
    if axis is None and x.ndim > 1:
        raise ShapeError(f"{name}: shape {x.shape} has {x.ndim} axes; say along which with axis=")
    place = 0 if axis is None else shapes.axis_of(name, axis, x.ndim)
    totals = scan(x, axis=None if axis is None else place, dtype=dtype)
    if initial is None:
        return totals
    width = tuple([(1, 0) if i == place else (0, 0) for i in range(totals.ndim)])
    return pad(totals, width, constant_values=initial)
