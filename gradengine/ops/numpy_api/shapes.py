"""Adapters of NumPy's functions of shapes and parts: reshape, transpose, flip, pad, take, diagonal and their like."""

from __future__ import annotations

import numpy as np

from ...core.interpreter import k as ops
from ...shapes.dtypes import is_floating
from .registry import adapts, only, tensor, tensors


@adapts(np.reshape)
def reshape(a, /, shape, order="C", *, copy=None):
    only(order in ("C", "A", None))
    x = ops.reshape(tensor(a), shape=shape)
    return ops.clone(x) if copy else x


@adapts(np.ravel)
def ravel(a, order="C"):
    only(order in ("C", "A", "K"))
    return ops.ravel(tensor(a))


@adapts(np.transpose, np.permute_dims)
def transpose(a, axes=None):
    return ops.transpose(tensor(a), axes=axes)


@adapts(np.matrix_transpose, np.linalg.matrix_transpose)
def matrix_transpose(x, /):
    return ops.matrix_transpose(tensor(x))


@adapts(np.swapaxes)
def swapaxes(a, axis1, axis2):
    return ops.swapaxes(tensor(a), axis1=axis1, axis2=axis2)


@adapts(np.moveaxis)
def moveaxis(a, source, destination):
    return ops.moveaxis(tensor(a), source=source, destination=destination)


@adapts(np.rollaxis)
def rollaxis(a, axis, start=0):
    x = tensor(a)
    only(-x.ndim <= axis < x.ndim and -x.ndim <= start <= x.ndim)
    axis, start = axis % x.ndim, start + x.ndim if start < 0 else start
    return ops.moveaxis(x, source=axis, destination=start - 1 if axis < start else start)


@adapts(np.expand_dims)
def expand_dims(a, axis):
    return ops.expand_dims(tensor(a), axis=axis)


@adapts(np.squeeze)
def squeeze(a, axis=None):
    return ops.squeeze(tensor(a), axis=axis)


@adapts(np.broadcast_to)
def broadcast_to(array, shape, subok=False):
    return ops.broadcast_to(tensor(array), shape=shape)


@adapts(np.broadcast_arrays)
def broadcast_arrays(*args, subok=False):
    return tuple(ops.broadcast_arrays(*tensors(*args)))


@adapts(np.flip)
def flip(m, axis=None):
    return ops.flip(tensor(m), axis=axis)


@adapts(np.flipud)
def flipud(m):
    return ops.flip(tensor(m), axis=0)


@adapts(np.fliplr)
def fliplr(m):
    return ops.flip(tensor(m), axis=1)


@adapts(np.rot90)
def rot90(m, k=1, axes=(0, 1)):
    x = tensor(m)
    only(len(tuple(axes)) == 2 and axes[0] % x.ndim != axes[1] % x.ndim)
    return ops.rot90(x, k, axes)


@adapts(np.roll)
def roll(a, shift, axis=None):
    x = tensor(a)
    several = isinstance(shift, (tuple, list)) or isinstance(axis, (tuple, list))
    only(not several or (isinstance(shift, (tuple, list)) and isinstance(axis, (tuple, list))))
    return ops.roll(x, shift=shift, axis=axis)


@adapts(np.tile)
def tile(A, reps):
    return ops.tile(tensor(A), repetitions=reps)


@adapts(np.repeat)
def repeat(a, repeats, axis=None):
    return ops.repeat(tensor(a), repeats=repeats, axis=axis)


PAD_MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


@adapts(np.pad)
def pad(array, pad_width, mode="constant", **kwargs):
    value = kwargs.pop("constant_values", 0)
    only(
        not kwargs and mode in ("constant", "edge", "reflect", "symmetric", "wrap") and not isinstance(pad_width, dict)
    )
    only(type(value) in (int, float, bool))
    x = tensor(array)
    only(type(value) is int or is_floating(x.dtype))
    widths = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2)).tolist()
    only(mode == "constant" or all([max(w) < n for w, n in zip(widths, x.shape, strict=True)]))
    return ops.pad(x, tuple([tuple(w) for w in widths]), mode=mode, constant_values=value)


@adapts(np.tril)
def tril(m, k=0):
    return ops.tril(tensor(m), k=k)


@adapts(np.triu)
def triu(m, k=0):
    return ops.triu(tensor(m), k=k)


@adapts(np.diag)
def diag(v, k=0):
    return ops.diag(tensor(v), offset=k)


@adapts(np.diagflat)
def diagflat(v, k=0):
    return ops.diagflat(tensor(v), offset=k)


@adapts(np.diagonal)
def diagonal(a, offset=0, axis1=0, axis2=1):
    return ops.diagonal(tensor(a), offset=offset, axis1=axis1, axis2=axis2)


@adapts(np.linalg.diagonal)
def matrix_diagonal(x, /, *, offset=0):
    return ops.diagonal(tensor(x), offset=offset, axis1=-2, axis2=-1)


@adapts(np.take)
def take(a, indices, axis=None, out=None, mode="raise"):
    only(mode == "raise")
    x, at = tensors(a, indices)
    return ops.take(x, at, axis=axis)


@adapts(np.take_along_axis)
def take_along_axis(arr, indices, axis=-1):
    x, at = tensors(arr, indices)
    return ops.take_along_axis(ops.ravel(x) if axis is None else x, at, axis=-1 if axis is None else axis)


@adapts(np.compress)
def compress(condition, a, axis=None, out=None):
    chosen, x = tensors(condition, a)
    only(chosen.ndim == 1)
    (places,) = ops.nonzero(chosen)
    return ops.take(x, places, axis=axis)


@adapts(np.extract)
def extract(condition, arr):
    chosen, x = tensors(condition, arr)
    (places,) = ops.nonzero(ops.ravel(chosen))
    return ops.take(ops.ravel(x), places, axis=0)


@adapts(np.nonzero)
def nonzero(a):
    return ops.nonzero(tensor(a))


@adapts(np.flatnonzero)
def flatnonzero(a):
    return ops.nonzero(ops.ravel(tensor(a)))[0]


@adapts(np.argwhere)
def argwhere(a):
    return ops.argwhere(tensor(a))


@adapts(np.atleast_1d)
def atleast_1d(*arys):
    return ops.atleast_1d(*tensors(*arys))


@adapts(np.atleast_2d)
def atleast_2d(*arys):
    return ops.atleast_2d(*tensors(*arys))


@adapts(np.atleast_3d)
def atleast_3d(*arys):
    return ops.atleast_3d(*tensors(*arys))


@adapts(np.meshgrid)
def meshgrid(*xi, copy=True, sparse=False, indexing="xy"):
    only(not sparse)
    return tuple(ops.meshgrid(*[ops.ravel(x) for x in tensors(*xi)], indexing=indexing))


@adapts(np.ediff1d)
def ediff1d(ary, to_end=None, to_begin=None):
    only(to_end is None and to_begin is None)
    only(tensor(ary).dtype.kind != "b")
    return ops.diff(ops.ravel(tensor(ary)))


@adapts("unstack")
def unstack(x, /, *, axis=0):
    return ops.unstack(tensor(x), axis=axis)


@adapts(np.array_split)
def array_split(ary, indices_or_sections, axis=0):
    several = bool(np.ndim(indices_or_sections))
    where = [int(i) for i in indices_or_sections] if several else int(indices_or_sections)
    return list(ops.tensor_split(tensor(ary), where, axis=axis))


@adapts(np.split)
def split(ary, indices_or_sections, axis=0):
    x = tensor(ary)
    only(bool(np.ndim(indices_or_sections)) or x.shape[axis] % int(indices_or_sections) == 0)
    return array_split(x, indices_or_sections, axis)


@adapts(np.hsplit)
def hsplit(ary, indices_or_sections):
    x = tensor(ary)
    return split(x, indices_or_sections, 1 if x.ndim > 1 else 0)


@adapts(np.vsplit)
def vsplit(ary, indices_or_sections):
    x = tensor(ary)
    only(x.ndim > 1)
    return split(x, indices_or_sections, 0)


@adapts(np.dsplit)
def dsplit(ary, indices_or_sections):
    x = tensor(ary)
    only(x.ndim > 2)
    return split(x, indices_or_sections, 2)
