"""Adapters of NumPy's products and norms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core.interpreter import k
from ...core.tensor_class import Tensor
from ...shapes.dtypes import is_floating
from .registry import adapts, only, tensor, tensors


@adapts(np.dot)
def dot(a, b, out=None):
    a, b = tensors(a, b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    if b.ndim <= 2:
        return k.matmul(a, b)
    return k.tensordot(a, b, axes=([a.ndim - 1], [b.ndim - 2]))


@adapts(np.inner)
def inner(a, b, /):
    a, b = tensors(a, b)
    return a * b if a.ndim == 0 or b.ndim == 0 else k.tensordot(a, b, axes=([a.ndim - 1], [b.ndim - 1]))


@adapts(np.vdot)
def vdot(a, b, /):
    a, b = tensors(a, b)
    return k.matmul(k.ravel(a), k.ravel(b))


@adapts(np.outer)
def outer(a, b, out=None):
    return k.outer(*tensors(a, b))


@adapts(np.linalg.outer)
def outer_of_vectors(x1, x2, /):
    a, b = tensors(x1, x2)
    only(a.ndim == 1 and b.ndim == 1)
    return outer(a, b)


@adapts(np.linalg.matmul)
def matmul(x1, x2, /):
    return k.matmul(*tensors(x1, x2))


@adapts(np.linalg.vecdot)
def vecdot(x1, x2, /, *, axis=-1):
    a, b = tensors(x1, x2)
    return k.vecdot(a, b, axis=axis)


@adapts(np.tensordot)
def tensordot(a, b, axes=2):
    a, b = tensors(a, b)
    if not isinstance(axes, int):
        left, right = [[axis] if isinstance(axis, int) else list(axis) for axis in axes]
        axes = ([axis % a.ndim for axis in left], [axis % b.ndim for axis in right])
    return k.tensordot(a, b, axes=axes)


@adapts(np.linalg.tensordot)
def tensordot_of_linalg(x1, x2, /, *, axes=2):
    return tensordot(x1, x2, axes)


@adapts(np.einsum)
def einsum(*operands, out=None, optimize=False, **kwargs):
    only(isinstance(operands[0], str) and not kwargs)
    return k.einsum(operands[0], *tensors(*operands[1:]))


@adapts(np.kron)
def kron(a, b):
    return k.kron(*tensors(a, b))


@adapts(np.cross)
def cross(a, b, axisa=-1, axisb=-1, axisc=-1, axis=None):
    a, b = tensors(a, b)
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = k.moveaxis(a, axisa, -1), k.moveaxis(b, axisb, -1)
    only(a.shape[-1] == 3 and b.shape[-1] == 3)
    return k.moveaxis(k.cross(a, b, axis=-1), -1, axisc)


@adapts(np.linalg.cross)
def cross_of_linalg(x1, x2, /, *, axis=-1):
    only(axis is not None)
    return cross(x1, x2, axis=axis)


@adapts(np.linalg.multi_dot)
def multi_dot(arrays, *, out=None):
    only(len(arrays) >= 2)
    result, *others = tensors(*arrays)
    for x in others:
        result = k.matmul(result, x)
    return result


@adapts(np.linalg.matrix_power)
def matrix_power(a, n):
    x = tensor(a)
    only(isinstance(n, int) and 0 < n < 64)
    result = x
    for _ in range(n - 1):
        result = k.matmul(result, x)
    return result


# -- norms --------------------------------------------------------------------------------------------------------


@adapts(np.linalg.norm)
def norm(x, ord=None, axis=None, keepdims=False):
    x = tensor(x)
    if axis is None:
        if ord is None or (x.ndim == 2 and ord == "fro") or (x.ndim == 1 and ord == 2):
            result = vector(k.ravel(x), 2, None, False)
            return k.reshape(result, shape=(1,) * x.ndim) if keepdims else result
        axis = tuple(range(x.ndim))
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    if len(axes) == 1:
        return vector(x, 2 if ord is None else ord, axes[0], keepdims)
    return of_matrices(x, "fro" if ord is None else ord, axes, keepdims)


def vector(x: Tensor, ord: Any, axis: Any, keepdims: bool) -> Tensor:
    """The norm of vectors."""
    only(isinstance(ord, (int, float)) and not isinstance(ord, bool) and is_floating(x.dtype))
    only(x.ndim > 0 or axis in (None, ()))
    return k.vector_norm(x, ord, axis=axis, keepdims=keepdims)


def of_matrices(x: Tensor, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """Those norms of matrices that need no singular values."""
    only(x.ndim > 1 and len(axes) == 2 and is_floating(x.dtype) and axes[0] % x.ndim != axes[1] % x.ndim)
    if ord == "fro":
        return k.vector_norm(x, 2, axis=axes, keepdims=keepdims)
    only(ord in (1, -1, math.inf, -math.inf) and not isinstance(ord, str))
    added, chosen = axes if abs(ord) == 1 else axes[::-1]
    sums = k.sum(k.abs(x), axis=added, keepdims=True)
    found = (k.max if ord > 0 else k.min)(sums, axis=chosen, keepdims=True)
    return found if keepdims else k.squeeze(found, axis=axes)


@adapts(np.linalg.vector_norm)
def vector_norm(x, /, *, axis=None, keepdims=False, ord=2):
    return vector(tensor(x), ord, axis, keepdims)


@adapts(np.linalg.matrix_norm)
def matrix_norm(x, /, *, keepdims=False, ord="fro"):
    return of_matrices(tensor(x), ord, (-2, -1), keepdims)
