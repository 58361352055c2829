"""PyTorch's form of functions that mean something else in NumPy: it runs once a keyword is given that only PyTorch has.

Each is `form(k, *arrays, **words)` over the ops `k`, and stands in the declaration of the op whose name it shares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import shapes
from ..core.promotion import is_weak
from ..core.tensor_class import Tensor, wrap
from ..errors import ArgumentError, ShapeError, SignatureError, describe
from ..validation import flag_or_raise
from .arguments import operands, whole
from .pairs import ValuesIndices

if TYPE_CHECKING:
    from collections.abc import Callable

MISSING: Any = object()


def paired(k: Any, x: Any, indices: Any, axis: int, keepdim: bool) -> ValuesIndices:
    """The elements at one index along an axis, which gradients flow to, and the index; it has size 1 along the axis."""
    if not x.shape:
        return ValuesIndices(k.clone(x), indices)
    values = k.take_along_axis(x, indices, axis=axis)
    if not keepdim:
        values, indices = k.squeeze(values, axis=axis), k.squeeze(indices, axis=axis)
    return ValuesIndices(values, indices)


def extremum(name: str) -> Callable[..., Any]:
    """PyTorch's max or min: of all, along `dim` with indices, or of two arrays."""

    def form(k: Any, x: Any, /, dim: Any = MISSING, keepdim: bool = False, other: Any = MISSING) -> Any:
        if other is MISSING and hasattr(dim, "dtype"):
            dim, other = MISSING, dim  # max(x, y)
        if other is not MISSING:
            return getattr(k, f"{name}imum")(x, other)
        if dim is MISSING:
            if keepdim:
                raise SignatureError(f"{name}: keepdim needs dim; write axis=None, keepdims=True to keep all axes")
            return getattr(k, name)(x)
        x = wrap(x, None, name)
        axis = shapes.axis_of(name, dim, max(x.ndim, 1))
        shapes.extremum(name, x.shape, axis=axis)
        found = getattr(k, f"arg{name}")(x, axis=axis if x.shape else None, keepdims=True)
        return paired(k, x, found, axis, keepdim)

    return form


def spread(name: str) -> Callable[..., Any]:
    """PyTorch's std or var, which divides by n - 1 unless told otherwise."""

    def form(
        k: Any, x: Any, /, dim: Any = None, unbiased: Any = None, keepdim: bool = False, correction: Any = None
    ) -> Any:
        if isinstance(dim, bool) and unbiased is None:
            dim, unbiased = None, dim
        if unbiased is not None:
            if correction is not None:
                raise SignatureError(f"{name}: give unbiased or correction, not both")
            correction = int(flag_or_raise(name, "unbiased", unbiased))
        wanted = 1 if correction is None else correction
        return getattr(k, name)(x, axis=None if dim == () else dim, correction=wanted, keepdims=keepdim)

    return form


def mean(
    k: Any,
    x: Any,
    /,
    dim: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Any:
    """The mean, computed in `dtype`: PyTorch's and NumPy's words for it."""
    x = wrap(x, None, "mean")
    place = None if dim == () else dim if dim is not None else axis
    return k.mean(x if dtype is None else k.astype(x, dtype), axis=place, keepdims=keepdim or keepdims)


def sort(k: Any, x: Any, /, dim: int = -1, descending: bool = False, stable: bool = False) -> ValuesIndices:
    """PyTorch's sort: the values in order, and where each was."""
    x = wrap(x, None, "sort")
    if not x.shape:
        return ValuesIndices(k.clone(x), k.argmax(x))
    indices = k.argsort(x, axis=dim, descending=bool(descending), stable=True)
    return ValuesIndices(k.take_along_axis(x, indices, axis=dim), indices)


def median(k: Any, x: Any, /, dim: Any = MISSING, keepdim: bool = False) -> Any:
    """PyTorch's median along an axis: the lower of the middle two, and its index; NaN where there is one."""
    x = wrap(x, None, "median")
    if dim is MISSING:
        raise SignatureError("median: keepdim needs dim; write axis=None, keepdims=True to keep all axes")
    axis = shapes.axis_of("median", dim, max(x.ndim, 1))
    shapes.extremum("median", x.shape, axis=axis)
    if not x.shape:
        return ValuesIndices(k.clone(x), k.argmax(x))
    indices = k.argsort(x, axis=axis)
    middle = k.narrow(indices, axis=axis, start=(x.shape[axis] - 1) // 2, length=1)
    last = k.narrow(indices, axis=axis, start=x.shape[axis] - 1, length=1)  # NaN is the largest
    bad = k.isnan(k.take_along_axis(x, last, axis=axis))
    return paired(k, x, k.where(bad, last, middle), axis, keepdim)


def split(k: Any, x: Any, /, split_size_or_sections: Any = MISSING, dim: int = 0, split_size: Any = MISSING) -> Any:
    """PyTorch's split: into pieces of a size, the last one maybe smaller, or of the sizes that a list gives."""
    wanted = split_size if split_size_or_sections is MISSING else split_size_or_sections
    if split_size_or_sections is not MISSING and split_size is not MISSING:
        raise SignatureError("split: got the size of the pieces twice")
    if wanted is MISSING:
        raise SignatureError("split: needs the size of the pieces, or a list of sizes")
    x = wrap(x, None, "split")
    place = shapes.axis_of("split", dim, x.ndim)
    length = x.shape[place]
    if isinstance(wanted, (list, tuple)):
        sizes = [int(size) for size in shapes.sizes_of("split", wanted)]
        if sum(sizes) != length or min(sizes, default=0) < 0:
            raise ShapeError(f"split: sizes {sizes} do not add up to the {length} elements along axis {place}")
    else:
        (size,) = shapes.sizes_of("split", wanted)
        if size < 0 or (size == 0 and length):
            raise ArgumentError(f"split: pieces must have a size from 1 on, got {size}")
        sizes = [min(size, length - at) for at in range(0, length, size)] if length else [0]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple([k.narrow(x, axis=place, start=at, length=n) for at, n in zip(starts, sizes, strict=True)])


def squeeze(k: Any, x: Any, /, dim: Any = None) -> Any:
    """PyTorch's squeeze: axes of another size stay."""
    x = wrap(x, None, "squeeze")
    axes = range(x.ndim) if dim is None else shapes.axes_of("squeeze", dim, max(x.ndim, 1))
    return k.squeeze(x, axis=tuple([a for a in axes if x.shape and x.shape[a] == 1]))


def diagonal(k: Any, x: Any, /, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """PyTorch's diagonal, of the first two axes unless told otherwise."""
    return k.diagonal(x, offset=offset, axis1=dim1, axis2=dim2)


def norm(k: Any, x: Any, /, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """PyTorch's norm of vectors; "fro" is the root of the sum of squares."""
    if p == "nuc":
        raise ArgumentError("norm: the nuclear norm needs singular values, which are not there yet")
    x = x if dtype is None else k.astype(x, dtype)
    return k.vector_norm(x, ord=2 if p in ("fro", None) else p, axis=dim, keepdims=keepdim)


def add(sign: int) -> Callable[..., Any]:
    """PyTorch's add or sub: the other array counts `alpha` times."""

    def form(k: Any, x: Any, other: Any, /, alpha: Any = 1, out: Any = None) -> Any:
        call = k.add if sign > 0 else k.subtract
        if type(alpha) is not int or alpha != 1:
            other, alpha = [n.item() if isinstance(n, np.generic) else n for n in (other, alpha)]
            if isinstance(other, (int, float)) and isinstance(alpha, (int, float)):
                other = other * alpha
            else:  # truth values count as numbers of the other array's dtype
                truths = getattr(other, "dtype", None) == np.bool_ and isinstance(x, Tensor) and not is_weak(x)
                truths = truths and x.dtype != np.bool_
                other = k.multiply(k.astype(other, x.dtype) if truths else other, alpha)
        return call(x, other, out)

    return form


def swapaxes(k: Any, x: Any, /, axis0: int, axis1: int) -> Any:
    """PyTorch's swapaxes, whose `axis1` is the second of the two."""
    return k.swapaxes(x, dim0=axis0, dim1=axis1)


def divide(k: Any, x: Any, other: Any, /, rounding_mode: str | None = None, out: Any = None) -> Any:
    """PyTorch's div: rounded towards 0 ("trunc"), down ("floor"), or not."""
    if rounding_mode is None:
        return k.divide(x, other, out)
    if rounding_mode == "floor":
        return k.floor_divide(x, other, out)
    if rounding_mode != "trunc":
        raise ArgumentError(f"divide: rounding_mode must be None, 'trunc' or 'floor', got {rounding_mode!r}")
    x, other = operands("divide", x, other)
    if all([t.dtype.kind in "iub" for t in (x, other)]):
        down = k.floor_divide(x, other)  # which is exact
        inexact = k.logical_and(k.not_equal(down * other, x), k.less(x, 0) != k.less(other, 0))
        return k.add(down, inexact, out)
    return k.trunc(k.divide(x, other), out)


def rounded(k: Any, x: Any, /, decimals: int = 0, out: Any = None) -> Any:
    """PyTorch's and NumPy's round: to `decimals` digits behind the point, or before it where that is negative."""
    digits = whole("round", "decimals", decimals)
    if digits == 0 or (digits > 0 and x.dtype.kind in "iu"):
        return k.round(x, out)
    if abs(digits) > 300:
        raise ArgumentError(f"round: decimals must be from -300 to 300, got {describe(decimals)}")
    scale = 10.0 ** abs(digits)
    if digits > 0:
        return k.divide(k.round(k.multiply(x, scale)), scale, out)
    return k.multiply(k.round(k.divide(x, scale)), scale, out)


def where(k: Any, condition: Any, /) -> Any:
    """`where` of a condition alone, in NumPy and PyTorch: where it holds, an array of indices for each axis."""
    return k.nonzero(condition)


def nonzero(k: Any, x: Any, /, as_tuple: bool = False) -> Any:
    """PyTorch's nonzero: a row of indices for each element, or an array for each axis."""
    return k.nonzero(x) if as_tuple else k.argwhere(x)


def transpose(k: Any, x: Any, /, dim0: int, dim1: int) -> Any:
    """PyTorch's transpose: two axes swapped."""
    return k.swapaxes(x, dim0=dim0, dim1=dim1)


def in_dtype(name: str) -> Callable[..., Any]:
    """PyTorch's softmax with `dtype`, in which it is computed."""

    def form(k: Any, x: Any, /, dim: int = -1, dtype: Any = None) -> Any:
        x = wrap(x, None, name)
        return getattr(k, name)(x if dtype is None else k.astype(x, dtype), axis=dim)

    return form


def in_place(name: str, *settings: str) -> Callable[..., Any]:
    """PyTorch's activation with `inplace`: its settings by position or name, then whether the array itself changes."""

    def form(k: Any, x: Any, /, *given: Any, inplace: Any = False, **words: Any) -> Any:
        if len(given) > len(settings):
            *given, inplace = given  # type: ignore[assignment]
        function = getattr(k, name)
        if not isinstance(inplace, (bool, int)):
            raise SignatureError(f"{name}: inplace must be True or False, got {describe(inplace)}")
        words = dict(zip(settings, given, strict=False)) | words  # by name, a Tensor is a setting and no other array
        if not inplace:
            return function(x, **words)
        if not isinstance(x, Tensor):
            raise SignatureError(f"{name}: inplace=True needs a Tensor to change, got {describe(x)}")
        return x.become(lambda old: function(old, **words), f"{name}_")

    return form
