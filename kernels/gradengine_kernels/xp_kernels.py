"""Kernels whose text is the same for NumPy's arrays and CuPy's, and how a family lists its own.

What needs the library takes it as `xp`, or is made for it once; the rest are methods of arrays.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

BACKWARDS = slice(None, None, -1)
numpy_pad: Callable[..., Any] = np.pad  # its type has a literal for each mode


def by_name(*kernels: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """A family's table: each kernel under its own name."""
    return {kernel.__name__: kernel for kernel in kernels}


# -- methods of arrays --------------------------------------------------------------------------------------------


def swapaxes(x: Any, axis1: int = -1, axis2: int = -2) -> Any:
    """Two axes swapped."""
    return x.swapaxes(axis1, axis2)


def matrix_transpose(x: Any) -> Any:
    """The last two axes swapped."""
    return x.swapaxes(-1, -2)


def narrow(x: Any, axis: int, start: int, length: int) -> Any:
    """The slice [start, start + length) of one axis."""
    ndim = x.ndim
    if not (-ndim <= axis < ndim and 0 <= start <= start + length <= x.shape[axis]):
        raise ValueError("out of range")
    return x[(slice(None),) * (axis % ndim) + (slice(start, start + length),)]


def along(x: Any, axis: int, part: Any) -> Any:
    """x[..., part, ...] on one axis."""
    return x[(slice(None),) * (axis % x.ndim) + (part,)]


def matrices(x: Any) -> Any:
    """x, when it has two dimensions; NumPy would make a matrix of a vector."""
    if x.ndim < 2:
        raise ValueError("not a matrix")
    return x


def diagonal(x: Any, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Any:
    """A diagonal of two axes, as the last one."""
    return x.diagonal(offset, axis1, axis2)


def unpadding(add_groups: Callable[..., Any]) -> Callable[..., Any]:
    """`unpad`, for arrays of whose elements `add_groups(x, group, count, axis)` sums those of each group."""

    def unpad(x: Any, pad_width: tuple[tuple[int, int], ...], mode: str) -> Any:
        """The adjoint of `pad` in the modes that repeat elements: what was copied from an element is added to it."""
        for axis, (before, after) in enumerate(pad_width):
            if before or after:
                length = x.shape[axis] - before - after
                x = add_groups(x, numpy_pad(np.arange(length), (before, after), mode), length, axis)
        return x

    return unpad


# -- of a library -------------------------------------------------------------------------------------------------


def moving(xp: Any) -> tuple[Callable[..., Any], ...]:
    """`moveaxis`, `roll`, `overwrite` and `stack_arrays` for the arrays of `xp`, which is NumPy or CuPy."""

    def moveaxis(x: Any, source: Any, destination: Any) -> Any:
        """Axes moved to new places."""
        return xp.moveaxis(x, source, destination)

    def roll(x: Any, shift: Any, axis: Any = None) -> Any:
        """The elements moved round."""
        return xp.roll(x, shift if isinstance(shift, tuple) else operator.index(shift), axis)

    def overwrite(old: Any, value: Any) -> Any:
        """A new array of `old`'s shape and dtype, filled with `value`."""
        out = xp.empty(old.shape, old.dtype)
        out[...] = value
        return out

    def stack_arrays(*arrays: Any, axis: int = 0) -> Any:
        """Arrays joined along a new axis."""
        shape = arrays[0].shape
        place = axis if axis >= 0 else axis + len(shape) + 1
        if not 0 <= place <= len(shape) or any([x.shape != shape for x in arrays]):
            raise ValueError("out of range, or not of one shape")
        widened = shape[:place] + (1,) + shape[place:]
        return xp.concatenate([x.reshape(widened) for x in arrays], place)

    return moveaxis, roll, overwrite, stack_arrays


def cumprod_gradient_by_factors(xp: Any, g: Any, x: Any, y: Any, axis: int) -> Any:
    """What `cumprod_gradient` gives, without a division by x.

    s_j = g_j + x_(j+1) s_(j+1) is found in log2(n) passes and multiplied by the product of those before j.
    """
    total = along(g, axis, BACKWARDS).swapaxes(axis, -1).copy()
    factor = xp.ones(total.shape, x.dtype)
    factor[..., 1:] = along(x, axis, BACKWARDS).swapaxes(axis, -1)[..., :-1]
    step = 1
    while step < total.shape[-1]:
        total[..., step:] += factor[..., step:] * total[..., :-step]
        factor[..., step:] *= factor[..., :-step].copy()
        step *= 2
    before = xp.ones(total.shape, x.dtype)
    before[..., 1:] = y.swapaxes(axis, -1)[..., :-1]
    return (before * total[..., ::-1]).swapaxes(axis, -1)
