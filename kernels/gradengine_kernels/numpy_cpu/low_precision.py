"""Half precision on the CPU: kernels that compute float16 and bfloat16 in float32, and round once.

NumPy rounds float16 after every step, and knows bfloat16 only as a dtype of the package ml_dtypes: of kind "V", with a
Python float it becomes float32, and there is no matrix product. So each kernel gets its operands in float32, and its
result is rounded to what they were.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FLOATS = "fV"  # the kinds of floating-point dtypes; "V" is bfloat16
HALF, SINGLE = np.dtype(np.float16), np.dtype(np.float32)


def is_half(dtype: Any) -> bool:
    """True for float16 and bfloat16."""
    return dtype.itemsize == 2 and dtype.kind in FLOATS


def found_in(arrays: Sequence[Any]) -> bool:
    """Whether any of the arrays is in half precision."""
    return any([getattr(x, "itemsize", 0) == 2 and x.dtype.kind in FLOATS for x in arrays])


def meant_by(arrays: Sequence[Any]) -> Any:
    """The dtype to which a float32 result is to be rounded; None when it is to stay, or the arrays are not for us."""
    meant = None
    for x in arrays:
        dtype = getattr(x, "dtype", None)
        if dtype is None:
            continue
        if is_half(dtype):
            if meant is not None and dtype != meant:
                return SINGLE
            meant = dtype
        elif dtype == SINGLE:
            return SINGLE
    return meant


def wide(x: Any) -> Any:
    """An operand in float32 if it is in half precision, as it is otherwise."""
    dtype = getattr(x, "dtype", None)
    return x.astype(SINGLE) if dtype is not None and is_half(dtype) else x


def narrowed(value: Any, dtype: Any) -> Any:
    """A result, or several, rounded if in float32."""
    if isinstance(value, (tuple, list)):
        return type(value)(narrowed(x, dtype) for x in value)
    return value.astype(dtype) if getattr(value, "dtype", None) == SINGLE and dtype != SINGLE else value


def widened(kernel: Callable[..., Any], any_precision: bool = False) -> Callable[..., Any]:
    """A kernel that computes in float32 where it is given, or asked for, half precision.

    With `any_precision` it is as it was: it moves elements, or draws numbers in the dtype that it is told.
    """
    if any_precision:
        return kernel

    @functools.wraps(kernel, updated=())
    def call(*arrays: Any, **params: Any) -> Any:
        asked = params.get("dtype")
        if asked is None or not is_half(np.dtype(asked)):
            if not found_in(arrays):
                return kernel(*arrays, **params)
            meant = meant_by(arrays) if asked is None else SINGLE
            if meant is None:
                return kernel(*arrays, **params)
        else:
            meant, params["dtype"] = np.dtype(asked), SINGLE
        with np.errstate(all="ignore"):
            return narrowed(kernel(*[wide(x) for x in arrays], **params), meant)

    call.plain = kernel  # type: ignore[attr-defined]
    return call


def widened_rule(plain: Callable[..., Any], fused: Callable[..., Any], small: float) -> Callable[..., Any]:
    """A gradient rule for raw arrays that computes in float32; who calls it rounds to the operand's dtype."""

    def rule(k: Any, g: Any, y: Any, /, *inputs: Any, **params: Any) -> Any:
        run = plain if y.size < small else fused
        if found_in((g, y, *inputs)):
            return run(k, wide(g), wide(y), *[wide(x) for x in inputs], **params)
        return run(k, g, y, *inputs, **params)

    return rule


def widened_update(function: Callable[..., Any]) -> Callable[..., Any]:
    """An optimizer's update of arrays in half precision: computed in float32, each target rounded to its own dtype."""

    def call(*arrays: Any, **scalars: Any) -> Any:
        with np.errstate(all="ignore"):
            results = function(*[wide(x) for x in arrays], **scalars)
            results = results if type(results) is tuple else (results,)
            return tuple([np.asarray(y).astype(x.dtype, copy=False) for x, y in zip(arrays, results)])

    return call
