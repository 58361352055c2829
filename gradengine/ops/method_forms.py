"""Methods of Tensor that are more than an op under its own name: shapes as several ints, PyTorch's `repeat`, `new_*`.

Where PyTorch and NumPy mean different things by a method, `docs/spellings.md` says which is taken and why.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ..core.dispatch import enlist
from ..core.interpreter import k
from ..core.tensor_class import Tensor, wrap
from ..core.tensor_types import dtype_of_type, type_name
from ..core.views import root_of
from ..errors import DTypeError, ShapeError, SignatureError, SpellingWarning, describe
from ..validation import check_ignored
from . import pytorch_forms
from .arguments import checked
from .shape import in_order, is_in_order
from .sliding import windows

__all__ = [
    "reshape", "view", "permute", "transpose", "unsqueeze", "expand", "repeat", "tile", "flip", "view_as",
    "reshape_as", "expand_as", "contiguous", "is_contiguous", "sum_to_size", "type", "type_as", "new_zeros",
    "new_ones", "new_empty", "new_full", "new_tensor", "equal", "where", "unfold", "copy", "resolve_conj",
    "resolve_neg",
]  # fmt: skip


def several(given: tuple[Any, ...]) -> Any:
    """`x.reshape(2, 3)` and `x.reshape((2, 3))` alike."""
    return given[0] if len(given) == 1 and isinstance(given[0], (tuple, list)) else given


@checked
def reshape(self: Tensor, *shape: Any) -> Tensor:
    """The same elements in another shape; one size may be -1.

    >>> import gradengine as ge
    >>> ge.arange(6).reshape(2, -1).shape
    (2, 3)
    """
    return k.reshape(self, shape=several(shape))


@checked
def view(self: Tensor, *shape: Any) -> Tensor:
    """The same elements in another shape, as `reshape`. Raises DTypeError for a dtype: bits are not reinterpreted.

    >>> import gradengine as ge
    >>> ge.arange(6).view(3, 2).shape
    (3, 2)
    """
    if len(shape) == 1 and isinstance(shape[0], (np.dtype, str)):
        raise DTypeError(f"view: {shape[0]!r} is a dtype, and bits are not reinterpreted; use .to(...) to convert")
    return k.reshape(self, shape=several(shape))


@checked(words={"dims": "axes"})
def permute(self: Tensor, *axes: Any) -> Tensor:
    """The axes in another order.

    >>> import gradengine as ge
    >>> ge.ones(2, 3, 4).permute(2, 0, 1).shape
    (4, 2, 3)
    """
    return k.permute_dims(self, axes=several(axes))


@checked(form=pytorch_forms.transpose, lifts=True)
def transpose(self: Tensor, *axes: Any) -> Tensor:
    """Two axes swapped, as PyTorch's `transpose(0, 1)`; with none or more, the axes in another order, as NumPy's.

    >>> import gradengine as ge
    >>> ge.ones(2, 3, 4).transpose(0, 2).shape
    (4, 3, 2)
    """
    if len(axes) == 2 and not isinstance(axes[0], (tuple, list)):
        return k.swapaxes(self, axis1=axes[0], axis2=axes[1])
    return k.transpose(self, axes=several(axes) or None)


@checked
def unsqueeze(self: Tensor, axis: int) -> Tensor:
    """A new axis of size 1.

    >>> import gradengine as ge
    >>> ge.ones(3).unsqueeze(0).shape
    (1, 3)
    """
    return k.expand_dims(self, axis=axis)


@checked(ignored=frozenset({"implicit"}))
def expand(self: Tensor, *shape: Any) -> Tensor:
    """Broadcast to a shape, in which -1 keeps an axis as it is.

    >>> import gradengine as ge
    >>> ge.ones(1, 3).expand(2, -1).shape
    (2, 3)
    """
    wanted = list(several(shape))
    for i in range(1, min(len(wanted), self.ndim) + 1):
        if wanted[-i] == -1:
            wanted[-i] = self.shape[-i]
    return k.broadcast_to(self, shape=tuple(wanted))


def ambiguous(call: str, taken: str, instead: str, level: int = 4) -> None:
    """A SpellingWarning at the line that calls a method: `level` frames up."""
    warnings.warn(f"{call}: {taken}; {instead}", SpellingWarning, stacklevel=level)


@checked
def repeat(self: Tensor, *repeats: Any, axis: int | None = None) -> Tensor:
    """With several sizes PyTorch's `repeat`, which is `tile`; with `axis` or one number NumPy's, element by element.

    `x.repeat(2)` of a vector means another thing in either: it is NumPy's, and a SpellingWarning says so.

    >>> import gradengine as ge
    >>> ge.tensor([1, 2]).repeat(2, axis=0)
    tensor([1, 1, 2, 2])
    """
    if not repeats:
        raise SignatureError("repeat: needs how often; accepted: repeats, axis")
    first = repeats[0]
    if axis is not None:
        if len(repeats) > 1:
            raise SignatureError(f"repeat: takes one number, or a list of them, with axis; got {len(repeats)}")
        return k.repeat(self, repeats=first, axis=axis)
    if len(repeats) == 1:
        return repeat_once(self, first)
    sizes = tuple([int(n) if hasattr(n, "__index__") else n for n in repeats])
    if len(sizes) == 2 and isinstance(sizes[1], int) and -self.ndim <= sizes[1] < self.ndim:
        if sizes[1] <= 0:  # of which PyTorch makes nothing, or an error
            return k.repeat(self, repeats=first, axis=sizes[1])
        if self.ndim <= 2:
            ambiguous(
                f"x.repeat{sizes}",
                "this is PyTorch's, the whole as often along each axis",
                f"write x.repeat({sizes[0]}, axis={sizes[1]}) for NumPy's, or x.tile({sizes}) for this in both",
            )
        else:
            return k.repeat(self, repeats=first, axis=sizes[1])  # PyTorch needs a size for each axis
    return tiled("repeat", self, sizes)


def repeat_once(x: Tensor, count: Any) -> Tensor:
    """`x.repeat(2)` and `x.repeat((2, 3))`."""
    if isinstance(count, (tuple, list)):
        if len(count) >= max(x.ndim, 1) and len(count) not in (1, x.size):
            return tiled("repeat", x, tuple(count))  # NumPy needs a number for each element
        differs = len(count) >= max(x.ndim, 1)
    else:
        differs = x.ndim < 2 and x.size > 1 and not hasattr(count, "shape") and count != 1
    if differs:
        ambiguous(
            f"x.repeat({count})",
            "this is NumPy's, element by element",
            f"write x.tile({count}) for PyTorch's, or x.repeat_interleave({count}) for this in both",
            level=5,
        )
    return k.repeat(x, repeats=count)


def tiled(name: str, x: Tensor, sizes: tuple[Any, ...]) -> Tensor:
    """`tile`, with at least a size for each axis, as PyTorch's `repeat` asks."""
    if len(sizes) < x.ndim:
        raise ShapeError(f"{name}: {len(sizes)} sizes for the {x.ndim} axes of {x.shape}; give one for each")
    return k.tile(x, repetitions=sizes)


@checked(words={"dims": "repetitions", "reps": "repetitions"})
def tile(self: Tensor, *repetitions: Any) -> Tensor:
    """Copies of the whole side by side: how many along each of the last axes.

    >>> import gradengine as ge
    >>> ge.tensor([1, 2]).tile(2)
    tensor([1, 2, 1, 2])
    """
    return k.tile(self, repetitions=several(repetitions))


@checked(words={"dims": "axis", "dim": "axis"}, lifts=True)
def flip(self: Tensor, *axis: Any) -> Tensor:
    """The elements in reverse order along some axes, or along all where none is given.

    >>> import gradengine as ge
    >>> ge.tensor([1, 2, 3]).flip(0)
    tensor([3, 2, 1])
    """
    axes = several(axis)
    return k.flip(self, axis=None if not axis or axes == (None,) else tuple(axes))


@checked(words={"dimension": "axis"})
def unfold(self: Tensor, axis: int, size: int, step: int) -> Tensor:
    """Windows of `size` elements along an axis, one every `step`, which become a new last axis.

    A view where the windows do not overlap. Where they do, a change in place raises GraphError.

    >>> import gradengine as ge
    >>> ge.arange(4).unfold(0, 2, 2)
    tensor([[0, 1],
            [2, 3]])
    """
    found = windows(self, axis, size, step)
    if root_of(found) is not root_of(self):
        enlist(self, found, windows.op, {"axis": axis, "size": size, "step": step})
    return found


def view_as(self: Tensor, other: Tensor) -> Tensor:
    """The same elements in the shape of another Tensor.

    >>> import gradengine as ge
    >>> ge.arange(4).view_as(ge.ones(2, 2)).shape
    (2, 2)
    """
    return k.reshape(self, shape=wrap(other, self, "view_as").shape)


def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """The same elements in the shape of another Tensor.

    >>> import gradengine as ge
    >>> ge.arange(4).reshape_as(ge.ones(2, 2)).shape
    (2, 2)
    """
    return k.reshape(self, shape=wrap(other, self, "reshape_as").shape)


def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """Broadcast to the shape of another Tensor.

    >>> import gradengine as ge
    >>> ge.ones(3).expand_as(ge.ones(2, 3)).shape
    (2, 3)
    """
    return k.broadcast_to(self, shape=wrap(other, self, "expand_as").shape)


@checked
def sum_to_size(self: Tensor, *shape: Any) -> Tensor:
    """Summed along the axes that broadcasting from a shape would repeat.

    >>> import gradengine as ge
    >>> ge.ones(2, 3).sum_to_size(1, 3)
    tensor([[2., 2., 2.]])
    """
    return k.sum_to(self, shape=several(shape))


def contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    """This Tensor where its elements lie in order, else a copy in which they do, which shares nothing with it.

    >>> import gradengine as ge
    >>> ge.ones(2, 3).T.contiguous().is_contiguous()
    True
    """
    check_ignored("contiguous", "memory_format", memory_format)
    return in_order(k, self)


def is_contiguous(self: Tensor, memory_format: Any = None) -> bool:
    """Whether the elements lie in memory in their order; no op asks for that.

    >>> import gradengine as ge
    >>> ge.ones(2, 3).T.is_contiguous()
    False
    """
    check_ignored("is_contiguous", "memory_format", memory_format)
    return is_in_order(self)


def resolve_conj(self: Tensor) -> Tensor:
    """This Tensor: nothing is conjugated lazily.

    >>> import gradengine as ge
    >>> ge.ones(1).resolve_conj()
    tensor([1.])
    """
    return self


def resolve_neg(self: Tensor) -> Tensor:
    """This Tensor: nothing is negated lazily.

    >>> import gradengine as ge
    >>> ge.ones(1).resolve_neg()
    tensor([1.])
    """
    return self


def type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The name of this Tensor's type, "gradengine.FloatTensor"; with a dtype or a type, this Tensor in that dtype.

    >>> import gradengine as ge
    >>> ge.ones(2).type()
    'gradengine.FloatTensor'
    >>> ge.ones(2).type(ge.int64).dtype
    dtype('int64')
    """
    return f"gradengine.{type_name(self.dtype)}" if dtype is None else self.to(dtype=dtype_of_type(dtype))


def type_as(self: Tensor, other: Tensor) -> Tensor:
    """This Tensor in the dtype of another.

    >>> import gradengine as ge
    >>> ge.ones(2).type_as(ge.arange(2)).dtype
    dtype('int64')
    """
    return self.to(dtype=wrap(other, None, "type_as").dtype)


def made_like(name: str, x: Tensor, shape: tuple[Any, ...], fill: Any, options: dict[str, Any]) -> Tensor:
    """A new Tensor with the dtype and device of x, unless the options say otherwise."""
    kept = {"dtype": x.dtype, "device": x.device}
    given = {key: value for key, value in options.items() if value is not None}
    more = {**kept, **given}
    if fill is None:
        return getattr(k, name.removeprefix("new_"))(*shape, **more)
    return k.full(several(shape), fill, **more)


def new_zeros(self: Tensor, *shape: Any, **options: Any) -> Tensor:
    """Zeros of a shape, with this Tensor's dtype and device unless `dtype` and `device` say otherwise.

    >>> import gradengine as ge
    >>> ge.arange(2).new_zeros(3)
    tensor([0, 0, 0])
    """
    return made_like("new_zeros", self, shape, None, options)


def new_ones(self: Tensor, *shape: Any, **options: Any) -> Tensor:
    """Ones of a shape, with this Tensor's dtype and device unless `dtype` and `device` say otherwise.

    >>> import gradengine as ge
    >>> ge.arange(2).new_ones(3)
    tensor([1, 1, 1])
    """
    return made_like("new_ones", self, shape, None, options)


def new_empty(self: Tensor, *shape: Any, **options: Any) -> Tensor:
    """A Tensor of a shape and whatever was in memory, with this Tensor's dtype and device unless told otherwise.

    >>> import gradengine as ge
    >>> ge.arange(2).new_empty(3).dtype
    dtype('int64')
    """
    return made_like("new_empty", self, shape, None, options)


def new_full(self: Tensor, size: Any, fill_value: Any, **options: Any) -> Tensor:
    """A Tensor of a shape and one value, with this Tensor's dtype and device unless told otherwise.

    >>> import gradengine as ge
    >>> ge.arange(2).new_full((3,), 7)
    tensor([7, 7, 7])
    """
    return made_like("new_full", self, (size,), fill_value, options)


def new_tensor(self: Tensor, data: Any, **options: Any) -> Tensor:
    """A copy of data, with this Tensor's dtype and device unless `dtype` and `device` say otherwise.

    >>> import gradengine as ge
    >>> ge.ones(2).new_tensor([1, 2])
    tensor([1., 2.])
    """
    given = {key: value for key, value in options.items() if value is not None}
    return k.tensor(data, **{"dtype": self.dtype, "device": self.device, **given})


def equal(self: Tensor, other: Any) -> bool:
    """Whether two Tensors have the same shape and elements, as PyTorch's `equal`. (`ge.equal` is `==`.)

    >>> import gradengine as ge
    >>> ge.ones(2).equal(ge.ones(2)), ge.ones(2).equal(ge.ones(3))
    (True, False)
    """
    if not isinstance(other, Tensor):
        raise DTypeError(f"equal: takes a Tensor, got {describe(other)}; use (x == value).all()")
    return self.shape == other.shape and bool(k.all(k.equal(self, other)))


@checked(words={"y": "other"})
def where(self: Tensor, condition: Any, other: Any) -> Tensor:
    """The elements of this Tensor where the condition holds, those of `other` elsewhere.

    >>> import gradengine as ge
    >>> x = ge.tensor([-1.0, 2.0])
    >>> x.where(x > 0, 0.0)
    tensor([0., 2.])
    """
    return k.where(condition, self, other)


def copy(self: Tensor) -> Tensor:
    """A copy that gradients flow through, as `clone`: NumPy's word.

    >>> import gradengine as ge
    >>> x = ge.ones(2)
    >>> y = x.copy()
    >>> _ = y.zero_()
    >>> x
    tensor([1., 1.])
    """
    return k.clone(self)
