"""Joining and cutting: several arrays made one, or one made several.

A sequence may hold numbers and lists, which take the dtype of the arrays beside them.
"""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import numpy as np

from .. import shapes
from ..core.tensor_class import Tensor, fresh, wrap
from ..errors import ArgumentError, DTypeError, ShapeError, SpellingWarning, describe
from ..shapes.dtypes import check_range, promoted
from . import pytorch_forms
from .arguments import IN_A_LIST, checked
from .declare import primitive
from .shape import broadcast_to, reshape
from .tensor_methods import method

__all__ = ["concat", "stack", "broadcast_arrays", "narrow", "split", "chunk", "unstack", "cat", "concatenate"]

WEAK = {"b": False, "i": 0, "u": 0, "f": 0.0, "V": 0.0}  # a Python number of each kind, as which NumPy promotes weakly


def as_tensors(name: str, arrays: Any, axis: Any = 0) -> list[Tensor]:
    """A sequence of arrays as Tensors; numbers and lists are weak: they take the dtype of the arrays beside them."""
    if isinstance(axis, (Tensor, np.ndarray, list)):
        raise DTypeError(f"{name}: {IN_A_LIST.format(name=name)}; got an array where the axis belongs")
    if isinstance(arrays, Tensor) or not isinstance(arrays, (list, tuple)):
        arrays = list(arrays) if hasattr(arrays, "__iter__") and getattr(arrays, "ndim", 1) != 0 else arrays
    if not isinstance(arrays, (list, tuple)):
        raise DTypeError(f"{name}: takes a sequence of arrays, got {describe(arrays)}")
    if not arrays:
        raise ShapeError(f"{name}: needs at least one array, got none")
    if all([isinstance(x, Tensor) for x in arrays]):
        return list(arrays)
    like = next((x for x in arrays if isinstance(x, Tensor)), None)
    tensors = [
        wrap(x, None, name) if like is None or isinstance(x, Tensor) else fresh(x, device=like.device) for x in arrays
    ]
    weak = [t for x, t in zip(arrays, tensors, strict=True) if not hasattr(x, "dtype")]
    if weak:
        given = [t.dtype for x, t in zip(arrays, tensors, strict=True) if hasattr(x, "dtype")]
        common = promoted(*given, *[WEAK[t.dtype.kind] for t in weak])
        for t in weak:
            check_range(name, t.array, common)
        tensors = [t.to(common) if not hasattr(x, "dtype") else t for x, t in zip(arrays, tensors, strict=True)]
    return tensors


def concat_rule(k: Any, g: Any, y: Any, *arrays: Any, axis: Any, i: int) -> Any:
    """The stretch of g that came from array i."""
    shape = arrays[i].shape
    if axis is None:
        start = sum(math.prod(a.shape) for a in arrays[:i])
        return k.reshape(k.narrow(g, axis=0, start=start, length=math.prod(shape)), shape=shape)
    start = sum(a.shape[axis] for a in arrays[:i])
    return k.narrow(g, axis=axis, start=start, length=shape[axis])


@primitive(concat_rule, shape=shapes.concat, shown="concat")
def concat_arrays(*arrays, axis=0):
    """`concat` of arrays given one by one."""


@checked
def concat(arrays: Any, /, axis: int | None = 0) -> Tensor:
    """Arrays joined along an axis that they have; flattened first when `axis` is None.

    Raises ShapeError when there are none, or when sizes differ along another axis.

    >>> import gradengine as ge
    >>> ge.concat([ge.ones((1, 2)), ge.zeros((1, 2))])
    tensor([[1., 1.],
            [0., 0.]])
    """
    return concat_arrays(*as_tensors("concat", arrays, axis), axis=axis)


cat = concatenate = concat


def stack_rule(k: Any, g: Any, y: Any, *arrays: Any, axis: int, i: int) -> Any:
    """Slice i of g."""
    return k.reshape(k.narrow(g, axis=axis, start=i, length=1), shape=arrays[i].shape)


@primitive(stack_rule, shape=shapes.stack, shown="stack")
def stack_arrays(*arrays, axis=0):
    """`stack` of arrays given one by one."""


@checked
def stack(arrays: Any, /, axis: int = 0) -> Tensor:
    """Arrays of one shape joined along a new axis.

    Raises ShapeError when there are none or their shapes differ.

    >>> import gradengine as ge
    >>> ge.stack([ge.tensor([1.0, 2.0]), ge.tensor([3.0, 4.0])], axis=1)
    tensor([[1., 3.],
            [2., 4.]])
    """
    return stack_arrays(*as_tensors("stack", arrays, axis), axis=axis)


@checked
def broadcast_arrays(*arrays: Any) -> list[Tensor]:
    """The arrays, each broadcast to their common shape. Raises ShapeError when there is none.

    >>> import gradengine as ge
    >>> [x.shape for x in ge.broadcast_arrays(ge.ones(3), ge.ones((2, 1)))]
    [(2, 3), (2, 3)]
    """
    tensors = as_tensors("broadcast_arrays", arrays) if arrays else []
    common = shapes.broadcast("broadcast_arrays", *[t.shape for t in tensors])
    return [broadcast_to(t, shape=common) for t in tensors]


def narrow_rule(k: Any, g: Any, y: Any, x: Any, axis: int, start: int, length: int) -> Any:
    """g with zeros around it."""
    place = axis % len(x.shape)
    ends = (start, x.shape[place] - start - length)
    return k.pad(g, pad_width=tuple([ends if i == place else (0, 0) for i in range(len(x.shape))]))


@primitive(narrow_rule, shape=shapes.narrow, view=True, any_precision=True, method=True)
def narrow(x, /, axis, start, length):
    """The elements from `start` on, `length` of them, along one axis.

    Raises ShapeError when they do not lie within the axis.

    >>> import gradengine as ge
    >>> ge.narrow(ge.arange(6), axis=0, start=2, length=3)
    tensor([2, 3, 4])
    """


def pieces(x: Tensor, axis: int, ends: list[int]) -> tuple[Tensor, ...]:
    """The stretches of an axis between consecutive `ends`, which NumPy clips to the axis."""
    length = x.shape[axis]
    bounds = [0, *[min(max(e + length if e < 0 else e, 0), length) for e in ends], length]
    return tuple([narrow(x, axis=axis, start=a, length=max(b - a, 0)) for a, b in itertools.pairwise(bounds)])


def maybe_sizes(x: Any, given: Any, axis: int = 0) -> None:
    """A SpellingWarning at the line that calls split, if what is given means other pieces to PyTorch."""
    x = wrap(x, None, "split")
    place = shapes.axis_of("split", axis, x.ndim)
    length, cuts = x.shape[place], shapes.sizes_of("split", given)
    if getattr(given, "ndim", None) == 0 or isinstance(given, int):
        if length == cuts[0] * cuts[0]:
            return
        taken, other = f"{given} pieces of equal size", "pieces of that size"
    elif sum(cuts) == length:
        taken, other = "pieces that end at these indices", "pieces of these sizes"
    else:
        return
    warnings.warn(
        f"split: by position, {given!r} means {taken}, as in NumPy; write dim={axis} for PyTorch's {other}, or "
        f"axis={axis} for this",
        SpellingWarning,
        stacklevel=4,
    )


@method
@checked(words={"tensor": "x"}, form=pytorch_forms.split, mark=maybe_sizes)
def split(x: Any, /, indices_or_sections: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """x cut along an axis (the first by default), into equal pieces or before each of the given indices, as `np.split`.

    With `dim` or `split_size` it is PyTorch's, by the size of the pieces or a list of sizes. Without either word or
    `axis=`, a SpellingWarning says so where PyTorch's pieces would be others. Raises ShapeError when the pieces would
    not be equal, or for an axis that x does not have.

    >>> import gradengine as ge
    >>> ge.split(ge.arange(6), 3, axis=0)
    (tensor([0, 1]), tensor([2, 3]), tensor([4, 5]))
    >>> ge.split(ge.arange(6), [1, 4], axis=0)
    (tensor([0]), tensor([1, 2, 3]), tensor([4, 5]))
    >>> ge.split(ge.arange(6), 3, dim=0)
    (tensor([0, 1, 2]), tensor([3, 4, 5]))
    """
    x = wrap(x, None, "split")
    place = shapes.axis_of("split", axis, x.ndim)
    cuts = shapes.sizes_of("split", indices_or_sections, "indices_or_sections is")
    if getattr(indices_or_sections, "ndim", None) == 0 or isinstance(indices_or_sections, int):
        length, sections = x.shape[place], cuts[0]
        if sections < 1 or length % sections:
            raise ShapeError(
                f"split: axis {place} of shape {x.shape} has {length} elements, which do not make {sections} equal "
                "pieces; give the indices to cut at, or use chunk"
            )
        cuts = tuple(range(length // sections, length, length // sections)) if length else (0,) * (sections - 1)
    return pieces(x, place, list(cuts))


@method
@checked
def chunk(x: Any, /, chunks: int, axis: int = 0) -> tuple[Tensor, ...]:
    """x cut along an axis into at most `chunks` pieces of equal size, the last one maybe smaller, as in PyTorch.

    Raises ShapeError for an axis that x does not have, ArgumentError for fewer than one chunk.

    >>> import gradengine as ge
    >>> ge.chunk(ge.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    x = wrap(x)
    place = shapes.axis_of("chunk", axis, x.ndim)
    if not isinstance(chunks, int) or chunks < 1:
        raise ArgumentError(f"chunk: chunks must be an int from 1 on, got {chunks!r}")
    size = -(-x.shape[place] // chunks)
    return pieces(x, place, list(range(size, x.shape[place], size)) if size else [0] * (chunks - 1))


@method
@checked
def unstack(x: Any, /, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices of x along an axis, which they no longer have: what `stack` takes back.

    Raises ShapeError for an axis that x does not have.

    >>> import gradengine as ge
    >>> ge.unstack(ge.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    (tensor([1., 3.]), tensor([2., 4.]))
    """
    x = wrap(x)
    place = shapes.axis_of("unstack", axis, x.ndim)
    shape = x.shape[:place] + x.shape[place + 1 :]
    return tuple([reshape(narrow(x, axis=place, start=i, length=1), shape=shape) for i in range(x.shape[place])])
