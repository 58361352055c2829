"""Reading and writing at positions: `x[index]`, `x[index] = v`, take, gather, scatter_add, one_hot, nonzero.

An index is split in two: its static structure (ints, slices, `...`, None) is metadata, and each index array is an
operand, for which the structure holds the marker "integers" or "mask".
"""

from __future__ import annotations

import math
import operator
from typing import Any
from weakref import ref

import numpy as np

from .. import shapes
from ..backend.backend import home_of
from ..core import views
from ..core.dispatch import FEW, enroll, explain, prune
from ..core.tensor_class import LEAF, Tensor, mode, order, wrap
from ..core.views import is_shared, refresh
from ..errors import ArgumentError, DTypeError, ShapeError, describe
from ..shapes.dtypes import check_dtype, check_range, fits
from . import loop_forms, pytorch_forms
from .arguments import beside, checked, whole
from .declare import primitive
from .elementwise import where
from .shape import broadcast_to
from .tensor_methods import method

__all__ = [
    "take", "take_along_axis", "gather", "scatter_add", "index_add", "one_hot", "nonzero", "argwhere",
    "masked_select", "masked_fill",
]  # fmt: skip

MASK, INTEGERS = ("mask",), ("integers",)
BASIC = frozenset({int, slice, type(None), type(...)})


def split_index(index: Any, like: Tensor, recorded: bool) -> tuple[Any, tuple[Tensor, ...]]:
    """The static structure of an index, and its arrays as Tensors: copies when a gradient will read them again."""
    items = index if type(index) is tuple else (index,)
    if BASIC.issuperset(map(type, items)):
        return items, ()
    if isinstance(index, Tensor) and index.array.dtype.kind in "ib":
        return MASK if index.array.dtype.kind == "b" else INTEGERS, (index,)
    structure: list[Any] = []
    arrays: list[Tensor] = []
    for item in items:
        if type(item) in BASIC:
            structure.append(item)
        elif isinstance(item, np.integer):
            structure.append(int(item))
        elif isinstance(item, (Tensor, np.ndarray, np.bool_, bool, list, tuple, range)) or home_of(item) is not None:
            array = item if isinstance(item, Tensor) else wrap(index_array(item, recorded), like, "index")
            kind = array.dtype.kind
            if kind not in "iub":
                raise DTypeError(
                    f"index: an index array must hold integers or bools, got {array.dtype}{list(array.shape)}"
                )
            structure.append("mask" if kind == "b" else "integers")
            arrays.append(array)
        elif hasattr(type(item), "__index__"):
            structure.append(operator.index(item))
        else:
            raise DTypeError(
                f"index: {describe(item)} is no index; use ints, slices, ..., None, and arrays of ints or bools"
            )
    return tuple(structure), tuple(arrays)


def index_array(item: Any, copy: bool) -> Any:
    """A NumPy array, a list of ints or bools, or a single bool, as an array; one on a GPU stays there."""
    if home_of(item) is not None:
        return item
    try:
        array = np.array(item) if copy else np.asarray(item)
    except ValueError as error:
        raise ShapeError(f"index: {describe(item)} is no array: {error}") from None
    return array.astype(np.intp) if not array.size and not isinstance(item, np.ndarray) else array


# -- x[index] ---------------------------------------------------------------------------------------------------


@primitive(
    lambda k, g, y, x, *at, index, i: k.place(g, *at, index=index, shape=x.shape),
    shape=shapes.getitem,
    view=True,
    name="getitem",
    shown="index",
    any_precision=True,
    checks_index=True,
    loop_form=loop_forms.getitem,
)
def read(*arrays, index):
    """The elements of the first array at an index, whose arrays follow."""


def place_rule(k: Any, g: Any, y: Any, x: Any, *at: Any, index: Any, shape: Any, i: int) -> Any:
    """The elements of g at the index; of a mask, the operand knows how many there are."""
    return k.selected(g, *at, index=index, shape=x.shape) if "mask" in index else k.getitem(g, *at, index=index)


@primitive(place_rule, shape=shapes.place, any_precision=True)
def place(*arrays, index, shape):
    """Zeros of `shape` with the first array added at an index, whose arrays follow: the gradient of `x[index]`."""


def selected_rule(k: Any, g: Any, y: Any, x: Any, *at: Any, index: Any, shape: tuple[int, ...], i: int) -> Any:
    """g at the index, for all elements that were summed; leading axes of size 1 are none of the index's."""
    leading = next((axis for axis, n in enumerate(shape) if n != 1), len(shape))
    return k.place(k.reshape(g, shape=shape[leading:]) if leading else g, *at, index=index, shape=x.shape)


@primitive(selected_rule, shape=shapes.place)
def selected(*arrays, index, shape):
    """`x[index]` summed to `shape`, which does not depend on how many elements of a mask are true.

    That is the gradient of what is written through a mask, in the shape of what was written.
    """


def selected_body(k: Any, x: Any, *at: Any, index: Any, shape: tuple[int, ...]) -> Any:
    d = k.getitem(x, *at, index=index)
    if len(shape) <= len(d.shape):
        return k.sum_to(d, shape=shape)
    return k.reshape(k.sum_to(d, shape=shape[len(shape) - len(d.shape) :]), shape=shape)


selected.op.body = selected_body  # type: ignore[attr-defined]


NOT_GIVEN = object()
READ = read.op  # type: ignore[attr-defined]
views.READ = READ
READ.shaped_by_data = lambda params: type(params["index"]) is tuple and "mask" in params["index"]


def item(x: Tensor, index: Any) -> Tensor:
    """`x[index]`: see `getitem`. The case of no arrays is written out, for rows are read in loops."""
    kind = type(index)
    if kind is not int and kind is not slice and not (kind is tuple and BASIC.issuperset(map(type, index))):
        kind, (index, at) = tuple, split_index(index, x, x.op is not None)
        if at:
            return item_at(x, index, at)
    out = Tensor.__new__(Tensor)
    backend = x.backend
    array = x.array
    try:
        out.array = backend.part(array, index)
    except Exception as error:
        raise explain(READ, error, (x,), {"index": index}) from None
    out.backend = backend
    out.op = out._grad = out.hooks = out.family = None
    if x.op is not None and mode.recording:
        out.op, out.inputs, out.saved, out.order = READ, (x,), (array,), next(order)
        out.params = {"index": index if kind is tuple else (index,)}
    out.view_of = (x, index)
    family = x.family
    if family is None:
        x.family = [ref(x), ref(out)]
    else:
        if len(family) >= FEW:
            prune(family)
        family.append(ref(out))
    return out


def item_at(x: Tensor, index: Any, at: tuple[Tensor, ...]) -> Tensor:
    """`x[index]` with arrays among the indices: a view where each stands for one int, a copy otherwise."""
    out = read(x, *at, index=index)
    if all([a.array.ndim == 0 and a.array.dtype.kind != "b" for a in at]):
        out.view_of = (x, READ, {"index": index}, at)
        enroll(x, out)
    return out


def getitem(x: Any, /, *at: Any, index: Any = NOT_GIVEN) -> Tensor:
    """`x[index]` with ints, slices, `...`, None, arrays of ints and boolean masks, as in NumPy: `getitem(x, index)`.

    Negative indices count from the end. What ints, slices, `...` and None select is a view: changing it in place
    changes `x`. Raises IndexRangeError for an index outside its axis or for more indices than axes, ShapeError for a
    mask that does not fit or index arrays that do not broadcast, DTypeError for an invalid index. (Gradient rules call
    `getitem(x, *arrays, index=structure)`, the index already taken apart.)

    >>> import gradengine as ge
    >>> x = ge.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    >>> x[0, 1:]
    tensor([2., 3.])
    >>> x[:, [2, 0]]
    tensor([[3., 1.],
            [6., 4.]])
    >>> x[x > 4]
    tensor([5., 6.])
    """
    if index is NOT_GIVEN:
        (index,) = at
        return item(x if isinstance(x, Tensor) else wrap(x, None, "index"), index)
    return read(x, *at, index=index)


# -- x[index] = v -----------------------------------------------------------------------------------------------


def put_at_rule(k: Any, g: Any, y: Any, x: Any, v: Any, *at: Any, index: Any, copy: bool, i: int) -> Any:
    """What is overwritten has no gradient: neither the elements of `x` nor those of `v` that a later one replaced."""
    if i == 0:
        return k.put_at(g, 0.0, *at, index=index)
    if "mask" in index and "integers" not in index:
        return k.selected(g, *at, index=index, shape=v.shape)
    d = k.getitem(g, *at, index=index)
    if "integers" in index:
        d = k.where(k.last_writes(*at, index=index, shape=x.shape), d, 0.0)
    return k.reshape(d, shape=(1,) * (v.ndim - d.ndim) + d.shape) if v.ndim > d.ndim else d


@primitive(put_at_rule, shape=shapes.put_at, shown="setitem", any_precision=True, checks_index=True)
def put_at(*arrays, index, copy=True):
    """The first array with the second written at an index, whose arrays follow. Without `copy` it is written to."""


PUT_AT = put_at.op  # type: ignore[attr-defined]


@primitive(None, any_precision=True)
def last_writes(*arrays, index, shape):
    """Which elements written to an index of an array of `shape` are not overwritten by later ones: a mask."""


def setitem(x: Tensor, index: Any, v: Any) -> None:
    """`x[index] = v`, for the indices that `x[index]` takes; `v` broadcasts. Differentiable in `x` and in `v`.

    An element named twice gets the value that comes last; the others have gradient 0. Raises what `x[index]` raises,
    ShapeError when `v` does not broadcast, DTypeError when `v` does not fit the dtype, and GraphError for a leaf that
    requires grad, unless recording is off.

    >>> import gradengine as ge
    >>> x, v = ge.zeros(3), ge.tensor(5.0, requires_grad=True)
    >>> x[1] = v * 2
    >>> x
    tensor([ 0., 10.,  0.], op=put_at)
    """
    if not isinstance(v, Tensor):
        written, v = v, wrap(v, x, "setitem")
        if type(written) is int:
            check_range("setitem", written, x.dtype)
        elif type(written) is list or type(written) is tuple:
            check_range("setitem", v.array, x.dtype)
            v = v.to(x.dtype) if v.dtype.kind in "iu" and x.dtype.kind in "iu" else v
    structure, at = split_index(index, x, x.op is not None or v.op is not None)
    if v.dtype is not x.dtype and not storable(v, x.dtype):
        raise DTypeError(f"setitem: {v.dtype} does not fit into a Tensor of {x.dtype}; convert it with .to(...)")
    unrecorded = not mode.recording or (x.op is None and v.op is None)
    if unrecorded and (x.op is None or x.op is LEAF) and v.backend is x.backend and x.is_exclusive():
        shared = is_shared(x)
        try:
            x.backend.table[PUT_AT](x.array, v.array, *[a.array for a in at], index=structure, copy=False)
        except Exception as error:
            raise explain(PUT_AT, error, (x, v, *at), {"index": structure}) from None
        if shared:
            refresh(x)
    else:
        x.become(lambda old: put_at(old, v, *at, index=structure), "setitem")


def storable(v: Tensor, dtype: Any) -> bool:
    """Whether elements of `v` may be written into an array of `dtype`: a Python number may, if its kind fits."""
    if hasattr(v.array, "dtype"):
        return fits(v.dtype, dtype)
    if dtype == np.bool_:
        return v.array in (0, 1)
    return "biufV".index(v.dtype.kind) <= ("biufV".index(dtype.kind) if dtype.kind != "i" else 2)


# -- along one axis ---------------------------------------------------------------------------------------------


@primitive(
    lambda k, g, y, x, indices, axis: k.accumulate(g, indices, axis=axis if x.shape else None, shape=x.shape),
    None,
    shape=shapes.take,
    any_precision=True,
    checks_index=True,
    method=True,
)
def take(x, indices, /, axis=None):
    """The elements of `x` at integer `indices` along `axis`, or of the flattened `x` when `axis` is None.

    The indices may have any shape, which takes the place of that axis. Raises IndexRangeError for an index outside
    the axis, DTypeError for indices that are not integers.

    >>> import gradengine as ge
    >>> ge.take(ge.tensor([[1.0, 2.0], [3.0, 4.0]]), ge.tensor([1, 1, -2]), axis=0)
    tensor([[3., 4.],
            [3., 4.],
            [1., 2.]])
    """


@primitive(
    lambda k, g, y, x, indices, axis, shape: k.take(g, indices, axis=axis),
    None,
    shape=shapes.accumulate,
    shown="index_add",
)
def accumulate(x, indices, /, axis, shape):
    """Zeros of `shape` to which the slices of `x` are added at `indices` along `axis`: the gradient of `take`."""


@primitive(
    lambda k, g, y, x, indices, axis: k.accumulate_along_axis(g, indices, axis=axis, shape=x.shape),
    None,
    shape=shapes.take_along_axis,
    any_precision=True,
    checks_index=True,
    method=True,
)
def take_along_axis(x, indices, /, axis=-1):
    """The elements of `x` at integer `indices` along `axis`, an index for each element of the result.

    `x` and `indices` have as many axes and broadcast along all but `axis`. Raises IndexRangeError for an index
    outside the axis, ShapeError when the shapes do not fit, DTypeError for indices that are not integers.

    >>> import gradengine as ge
    >>> x = ge.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    >>> ge.take_along_axis(x, ge.tensor([[2], [0]]))
    tensor([[3.],
            [4.]])
    """


@primitive(
    lambda k, g, y, x, indices, axis, shape: k.take_along_axis(g, indices, axis=axis),
    None,
    shape=shapes.accumulate,
    shown="scatter_add",
)
def accumulate_along_axis(x, indices, /, axis, shape):
    """Zeros of `shape` to which `x` is added at `indices` along `axis`: the gradient of `take_along_axis`."""


def head(x: Tensor, shape: tuple[int, ...], axis: int) -> tuple[slice, ...]:
    """The slices of `x` that `gather` and `scatter_add` see: `shape` from the start of all axes but `axis`."""
    return tuple([slice(None) if i == axis or n == m else slice(n) for i, (n, m) in enumerate(zip(shape, x.shape))])


def check_gather(name: str, x: Tensor, axis: int, index: Tensor, what: str = "the input") -> None:
    """Raise unless `index` fits into `x` along all axes but `axis`."""
    fits = x.ndim == index.ndim and all(i == axis or n <= m for i, (n, m) in enumerate(zip(index.shape, x.shape)))
    if not fits:
        raise ShapeError(
            f"{name}: an index of shape {index.shape} does not fit {what} of shape {x.shape}: they must have as many "
            f"axes, and the index may be larger along axis {axis} only"
        )


@method
@checked(lifts=True, ignored=frozenset({"sparse_grad"}))
def gather(x: Any, axis: int, index: Any) -> Tensor:
    """The elements of `x` at integer `index` along `axis`, an index for each element of the result, as in PyTorch.

    `index` may be smaller than `x` along other axes; nothing broadcasts. Raises ShapeError when it does not fit,
    IndexRangeError for an index outside the axis.

    >>> import gradengine as ge
    >>> ge.gather(ge.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, ge.tensor([[0, 0], [1, 0]]))
    tensor([[1., 1.],
            [4., 3.]])
    """
    x, index = beside("gather", x, index)
    axis = shapes.axis_of("gather", axis, x.ndim)
    check_gather("gather", x, axis, index)
    seen = head(x, index.shape, axis)
    return take_along_axis(x if seen == (slice(None),) * x.ndim else read(x, index=seen), index, axis=axis)


@method(in_place=True)
@checked(lifts=True)
def scatter_add(x: Any, axis: int, index: Any, src: Any) -> Tensor:
    """`x` with the elements of `src` added at integer `index` along `axis`, as in PyTorch.

    `index` has as many axes as `x` and `src` and may be smaller than both along all but `axis`. Differentiable in
    `x` and `src`. Raises ShapeError when the shapes do not fit, IndexRangeError for an index outside the axis.

    >>> import gradengine as ge
    >>> ge.scatter_add(ge.zeros((2, 2)), 0, ge.tensor([[1, 0], [1, 1]]), ge.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[0., 2.],
            [4., 4.]])
    """
    x, index, src = beside("scatter_add", x, index, src)
    axis = shapes.axis_of("scatter_add", axis, x.ndim)
    check_gather("scatter_add", x, axis, index)
    check_gather("scatter_add", src, -1, index, "the source")
    used = head(src, index.shape, -1)
    seen = head(x, index.shape, axis)
    whole = (slice(None),) * x.ndim
    shape = tuple([m if i == axis else n for i, (n, m) in enumerate(zip(index.shape, x.shape))])
    added = accumulate_along_axis(src if used == whole else read(src, index=used), index, axis=axis, shape=shape)
    return x + (added if seen == whole else place(added, index=seen, shape=x.shape))


@method(in_place=True)
@checked(words={"source": "src"}, lifts=True)
def index_add(x: Any, axis: int, index: Any, src: Any, *, alpha: Any = 1) -> Tensor:
    """`x` with the slices of `src` (times `alpha`) added at the 1-d integer `index` along `axis`, as in PyTorch.

    Differentiable in `x` and `src`. Raises ShapeError unless `src` has the shape of `x` with as many slices along
    `axis` as `index` has elements; IndexRangeError for an index outside the axis.

    >>> import gradengine as ge
    >>> ge.index_add(ge.zeros((3, 2)), 0, ge.tensor([2, 0, 2]), ge.ones((3, 2)))
    tensor([[1., 1.],
            [0., 0.],
            [2., 2.]])
    """
    x, index, src = beside("index_add", x, index, src)
    src = src if alpha == 1 else src * alpha
    axis = shapes.axis_of("index_add", axis, x.ndim)
    if index.ndim != 1 or src.shape != x.shape[:axis] + index.shape + x.shape[axis + 1 :]:
        raise ShapeError(
            f"index_add: {x.shape} with index {index.shape} and source {src.shape}: the index must be 1-d, and the "
            f"source like the input but for one slice per index along axis {axis}"
        )
    return x + accumulate(src, index, axis=axis, shape=x.shape)


# -- masks and classes ------------------------------------------------------------------------------------------


@primitive(None, shape=shapes.one_hot, name="one_hot", any_precision=True, checks_index=True)
def one_hot_rows(labels, /, num_classes, dtype):
    """A row per label, with 1 in the label's column."""


one_hot_rows.op.shaped_by_data = lambda params: params["num_classes"] < 0  # type: ignore[attr-defined]


@checked
def one_hot(labels: Any, num_classes: int = -1, dtype: Any = np.int64) -> Tensor:
    """Integer labels of any shape (...) as rows of 0 and one 1: shape (..., num_classes).

    Without `num_classes` there are as many as the largest label asks for. Raises IndexRangeError for a label outside
    0 to num_classes - 1, DTypeError for labels that are not integers.

    >>> import gradengine as ge
    >>> ge.one_hot(ge.tensor([0, 2]), 3)
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    count = whole("one_hot", "num_classes", num_classes)
    if count == -1 and not math.prod(getattr(labels, "shape", (1,))):
        raise ArgumentError("one_hot: without labels nothing says how many classes there are; give num_classes")
    if count < -1:
        raise ArgumentError(f"one_hot: num_classes must be -1 or at least 0, got {count}; -1 takes it from the labels")
    return one_hot_rows(labels, num_classes=count, dtype=check_dtype(dtype, "one_hot"))


@primitive(None, any_precision=True, method=True)
def argwhere(x, /):
    """The positions of the elements that are not 0, a row of indices each: shape (count, x.ndim), int64.

    >>> import gradengine as ge
    >>> ge.argwhere(ge.tensor([[0, 5], [6, 0]]))
    tensor([[0, 1],
            [1, 0]])
    """


argwhere.op.shaped_by_data = lambda params: True  # type: ignore[attr-defined]


@method
@checked(form=pytorch_forms.nonzero)
def nonzero(x: Any, /) -> tuple[Tensor, ...]:
    """The positions of the elements that are not 0, as one array of indices per axis. Raises ShapeError for 0-d.

    >>> import gradengine as ge
    >>> ge.nonzero(ge.tensor([[0, 5], [6, 0]]))
    (tensor([0, 1]), tensor([1, 0]))
    """
    x = x if isinstance(x, Tensor) else wrap(x)
    if not x.ndim:
        raise ShapeError("nonzero: a 0-d array has no positions; use x != 0")
    found = argwhere(x)
    return Positions([read(found, index=(slice(None), i)) for i in range(x.ndim)])


class Positions(tuple[Tensor, ...]):
    """A tuple of index arrays, as NumPy's nonzero gives. Who treats it as PyTorch's one array is told what to write."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"nonzero gives a tuple of arrays, as in NumPy, which has no {name!r}; write ge.argwhere(x), or "
            "ge.nonzero(x, as_tuple=False), for PyTorch's rows of indices"
        )


@method
@checked
def masked_select(x: Any, mask: Any) -> Tensor:
    """The elements of `x` where `mask` is true, in order, as a 1-d Tensor; the two broadcast.

    >>> import gradengine as ge
    >>> ge.masked_select(ge.tensor([1.0, 2.0, 3.0]), ge.tensor([True, False, True]))
    tensor([1., 3.])
    """
    x, mask = beside("masked_select", x, mask)
    if mask.dtype != np.bool_:
        raise DTypeError(f"masked_select: the mask must be bool, got {mask.dtype}")
    shape = shapes.broadcast("masked_select", x.shape, mask.shape)
    x, mask = (t if t.shape == shape else broadcast_to(t, shape=shape) for t in (x, mask))
    return read(x, mask, index=("mask",))


@method(in_place=True)
@checked
def masked_fill(x: Any, mask: Any, value: Any) -> Tensor:
    """`x` with `value` wherever the bool `mask` is true; the mask broadcasts. The result has the dtype of `x`.

    Raises DTypeError for a mask that is not bool, or a value that the dtype of `x` cannot hold.

    >>> import gradengine as ge
    >>> ge.masked_fill(ge.tensor([1.0, 2.0]), ge.tensor([True, False]), 0.0)
    tensor([0., 2.])
    """
    x = wrap(x, None, "masked_fill")
    kind = getattr(mask, "dtype", np.dtype(bool))
    if kind != np.bool_:
        raise DTypeError(f"masked_fill: the mask must be bool, got {kind}; compare it, as in mask != 0")
    if isinstance(value, float) and value.is_integer() and x.dtype.kind in "iu":
        value = int(value)
    filled = where(mask, value, x)
    if filled.dtype == x.dtype:
        return filled
    if not fits(filled.dtype, x.dtype):
        what = value.dtype if isinstance(value, Tensor) else describe(value)
        raise DTypeError(f"masked_fill: {what} does not fit into a Tensor of {x.dtype}; convert one with .to(...)")
    return filled.to(x.dtype)
