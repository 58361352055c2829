"""New Tensors: from data, of one value, in steps, and grids.

Each takes `dtype`, `device` and `requires_grad`. Floats get the default dtype; integers give int64 and bools bool.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import shapes
from ..backend import devices
from ..backend.backend import home_of
from ..core.host_callbacks import as_array
from ..core.tensor_class import Tensor, constant, fresh, mode, to_array, wrap
from ..errors import (
    ArgumentError,
    DeviceError,
    DTypeError,
    GraphError,
    ShapeError,
    SignatureError,
    SpellingWarning,
    describe,
)
from ..shapes.dtypes import check_dtype, dtype_for, get_default_dtype, is_floating
from ..validation import flag_or_raise, known_words
from .arguments import checked, real, whole

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "tensor", "asarray", "from_dlpack", "zeros", "ones", "full", "empty", "zeros_like", "ones_like", "full_like",
    "empty_like", "arange", "linspace", "logspace", "eye", "tri", "meshgrid", "as_tensor", "from_numpy",
    "scalar_tensor",
]  # fmt: skip


IGNORED = frozenset({"layout", "memory_format", "pin_memory", "names"})  # words of PyTorch's that change nothing here


@checked(ignored=IGNORED, words={"object": "data"})
def tensor(data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new Tensor with a copy of `data`: nested lists, numbers, Tensors, arrays of NumPy and other libraries.

    Without `device`, Tensors and arrays on a GPU are copied there, all else to the default device. An array keeps its
    dtype, Python floats get the default dtype, integers int64. Raises ShapeError for ragged lists,
    DTypeError for what holds no numbers or when gradients are asked of integers.

    >>> import gradengine as ge
    >>> ge.tensor([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]])
    """
    return fresh(data, dtype, device, requires_grad)


@checked(ignored=IGNORED, words={"obj": "data", "a": "data"})
def asarray(
    data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, copy: bool | None = None
) -> Tensor:
    """`data` as a Tensor that shares an array's memory where it can; a Tensor is returned as it is.

    An array on a GPU, of CuPy, PyTorch, JAX or any library with DLPack or `__cuda_array_interface__`, stays there
    unless `device` says otherwise; what is in host memory goes to the default device. `copy=True` always copies,
    `copy=False` raises ArgumentError where a copy would be needed. The array must not be written to as long as the
    Tensor is used. Raises as `tensor` does.

    >>> import numpy as np
    >>> import gradengine as ge
    >>> a = np.zeros(2)
    >>> np.shares_memory(a, ge.asarray(a).numpy())
    True
    """
    copy = None if copy is None else flag_or_raise("asarray", "copy", copy)
    if dtype is not None:
        dtype = check_dtype(dtype, "asarray")
    if isinstance(data, Tensor) and not copy:
        data = as_array(data) if dtype is None else data
        out = data if dtype is None and device is None else data.to(device=device, dtype=dtype)
        shared = out is data
        if requires_grad and not out.requires_grad:
            out = constant(out.array, out.backend)
    else:
        backend = devices.for_device(home_of(data) if device is None else device)
        out = constant(to_array(data, dtype, backend, bool(copy), "asarray"), backend)
        shared = copy is False and backend.shares(data, out.array)
    if copy is False and not shared:
        raise ArgumentError(f"asarray: cannot take {describe(data)} without a copy; leave out copy=False")
    return out.become_leaf() if requires_grad else out


@known_words
def from_dlpack(x: Any, /, device: Any = None, copy: bool | None = None) -> Tensor:
    """A Tensor around the memory of any object with `__dlpack__`, such as a PyTorch tensor, without a copy.

    It stays on the device where it is, unless `device` names another. On a GPU, what is queued on CuPy's current
    stream sees what the other library has queued on its own, as DLPack asks of both.

    Raises DTypeError for an object without DLPack, for one that requires grad elsewhere and for a dtype that the
    engine does not know, DeviceError for memory that it cannot reach.

    >>> import numpy as np
    >>> import gradengine as ge
    >>> a = np.arange(3.0)
    >>> np.shares_memory(a, ge.from_dlpack(a).numpy())
    True
    """
    if isinstance(x, Tensor):
        return asarray(x.detach(), device=device, copy=copy)
    if not hasattr(x, "__dlpack__"):
        raise DTypeError(f"from_dlpack: {describe(x)} has no __dlpack__; use ge.asarray")
    home = home_of(x)
    if home is not None:
        return asarray(x, device=device, copy=copy)
    try:
        array = np.from_dlpack(x, copy=copy)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        where = getattr(x, "__dlpack_device__", lambda: (1, 0))()
        if where[0] != 1:
            raise DeviceError(f"from_dlpack: cannot reach the memory of DLPack device {where}: {error}") from None
        raise DTypeError(f"from_dlpack: cannot take this {type(x).__name__}: {error}") from None
    return finish(array, check_dtype(array.dtype, "from_dlpack"), "cpu" if device is None else device, False)


def finish(array: Any, dtype: np.dtype[Any], device: Any, requires_grad: bool) -> Tensor:
    """A new array, of the device or in host memory, as a Tensor of the device."""
    backend = devices.for_device(device)
    out = constant(backend.asarray(array, dtype), backend)
    return out.become_leaf() if requires_grad else out


def sizes(name: str, shape: tuple[Any, ...]) -> tuple[int, ...]:
    """`zeros(2, 3)` and `zeros((2, 3))` alike. Raises for anything that is not a shape."""
    given = shape[0] if len(shape) == 1 else shape
    found = shapes.sizes_of(name, given)
    if min(found, default=0) < 0:
        raise ShapeError(f"{name}: shape {found}: sizes cannot be negative")
    return found


def filled(
    name: str, make: Callable[..., Any], shape: tuple[Any, ...], dtype: Any, device: Any, requires_grad: bool
) -> Tensor:
    """`make(arrays, shape, dtype)`, `arrays` being NumPy or CuPy, with errors that a user can act upon."""
    wanted = get_default_dtype() if dtype is None else check_dtype(dtype, name)
    found = sizes(name, shape)
    backend = devices.for_device(device)
    try:
        with backend.quiet():
            array = make(backend.arrays, found, wanted)
    except ValueError as error:
        raise ShapeError(f"{name}: cannot make an array of shape {found}: {error}") from None
    except Exception as error:
        typed = backend.typed(name, error)
        if typed is None:
            raise
        raise typed from None
    out = constant(array, backend)
    return out.become_leaf() if requires_grad else out


@checked(ignored=IGNORED)
def zeros(*shape: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of zeros; the shape is a tuple or several ints. Raises ShapeError or DTypeError for what is none.

    >>> import gradengine as ge
    >>> ge.zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    return filled("zeros", lambda xp, s, t: xp.zeros(s, t), shape, dtype, device, requires_grad)


@checked(ignored=IGNORED)
def ones(*shape: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of ones; the shape is a tuple or several ints. Raises ShapeError or DTypeError for what is none.

    >>> import gradengine as ge
    >>> ge.ones((2,), dtype=ge.int64)
    tensor([1, 1])
    """
    return filled("ones", lambda xp, s, t: xp.ones(s, t), shape, dtype, device, requires_grad)


@checked(ignored=IGNORED)
def empty(*shape: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor whose values are whatever was in memory. Raises ShapeError or DTypeError for anything but a shape.

    >>> import gradengine as ge
    >>> ge.empty(2, 3).shape
    (2, 3)
    """
    return filled("empty", lambda xp, s, t: xp.empty(s, t), shape, dtype, device, requires_grad)


@checked(ignored=IGNORED)
def full(shape: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor with every element `fill_value`, whose type gives the dtype.

    Raises ShapeError for anything that is not a shape, DTypeError for a value that is not a number.

    >>> import gradengine as ge
    >>> ge.full((2, 2), 7)
    tensor([[7, 7],
            [7, 7]])
    """
    return filled_with("full", shape, fill_value, dtype, device, requires_grad)


def filled_with(name: str, shape: Any, fill_value: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    """`full`, whose errors begin with `name`."""
    wanted = None if dtype is None else check_dtype(dtype, name)
    if in_graph(fill_value):
        return filled_in_graph(name, shape, fill_value, wanted, device, requires_grad)
    value = to_array(fill_value, wanted, devices.for_device("cpu"), what=name)
    if value.shape != ():
        raise ShapeError(f"{name}: fill_value must be one number, got shape {value.shape}; use broadcast_to")
    make = lambda xp, s, t: xp.full(s, value.item(), t)
    return filled(name, make, (shape,), value.dtype, device, requires_grad)


def filled_in_graph(name: str, shape: Any, value: Tensor, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    """`full` of a number that requires grad, to which the gradient flows."""
    from .shape import broadcast_to

    if requires_grad:
        raise GraphError(f"{name}: fill_value requires grad, and requires_grad=True makes a leaf; leave out one")
    if value.shape != ():
        raise ShapeError(f"{name}: fill_value must be one number, got shape {value.shape}; use broadcast_to")
    moved = value.to(value.dtype if dtype is None else dtype)
    return broadcast_to(moved if device is None else moved.to(device=device), shape=sizes(name, (shape,)))


def like(name: str, x: Any, make: Callable[..., Any], dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    """A new Tensor of the shape of x, and of its dtype and device unless told otherwise."""
    x = wrap(x, None, name)
    wanted = x.dtype if dtype is None else dtype
    return filled(name, make, (x.shape,), wanted, x.device if device is None else device, requires_grad)


@checked(ignored=IGNORED)
def zeros_like(x: Any, /, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros with the shape, dtype and device of x.

    >>> import gradengine as ge
    >>> ge.zeros_like(ge.tensor([1, 2]))
    tensor([0, 0])
    """
    return like("zeros_like", x, lambda xp, s, t: xp.zeros(s, t), dtype, device, requires_grad)


@checked(ignored=IGNORED)
def ones_like(x: Any, /, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones with the shape, dtype and device of x.

    >>> import gradengine as ge
    >>> ge.ones_like(ge.tensor([1.5, 2.5]))
    tensor([1., 1.])
    """
    return like("ones_like", x, lambda xp, s, t: xp.ones(s, t), dtype, device, requires_grad)


@checked(ignored=IGNORED)
def empty_like(x: Any, /, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of whatever was in memory, with the shape, dtype and device of x.

    >>> import gradengine as ge
    >>> ge.empty_like(ge.tensor([1.5, 2.5])).shape
    (2,)
    """
    return like("empty_like", x, lambda xp, s, t: xp.empty(s, t), dtype, device, requires_grad)


@checked(ignored=IGNORED)
def full_like(x: Any, /, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """`fill_value` everywhere, with the shape, dtype and device of x. Raises DTypeError for anything but a number.

    >>> import gradengine as ge
    >>> ge.full_like(ge.tensor([1.5, 2.5]), 3)
    tensor([3., 3.])
    """
    x = wrap(x, None, "full_like")
    wanted = x.dtype if dtype is None else dtype
    where = x.device if device is None else device
    return filled_with("full_like", x.shape, fill_value, wanted, where, requires_grad)


def in_graph(*values: Any) -> bool:
    """Whether a gradient is to flow to one of several numbers."""
    return mode.recording and any([isinstance(value, Tensor) and value.op is not None for value in values])


def steps_from(name: str, first: Any, step: Any, like: Tensor, requires_grad: bool) -> Tensor:
    """`first + i * step`, in the graph of both, with the shape, dtype and device of `like`, which has the values."""
    from .elementwise import add, multiply

    if not is_floating(like.dtype) or requires_grad:
        what = "requires_grad=True makes a leaf" if requires_grad else f"{like.dtype} has no gradient"
        raise GraphError(f"{name}: takes a number that requires grad, but {what}; give the number's .item()")
    count = constant(like.backend.asarray(np.arange(like.size), like.dtype), like.backend)
    return add(multiply(count, step), first).to(like.dtype)


def stepped(
    name: str, values: tuple[Any, ...], make: Callable[[], Any], dtype: Any, device: Any, requires_grad: bool
) -> Tensor:
    """Evenly spaced numbers, computed in double precision and rounded once."""
    for value in values:
        if not isinstance(value, (int, float, np.number)) and not (isinstance(value, Tensor) and value.size == 1):
            raise DTypeError(f"{name}: takes numbers, got {describe(value)}")
    wanted = dtype_for(values) if dtype is None else check_dtype(dtype, name)
    try:
        with np.errstate(all="ignore"):
            array = make()
    except ZeroDivisionError:
        raise ArgumentError(f"{name}: step must not be 0") from None
    except (ValueError, OverflowError) as error:
        given = ", ".join([repr(number(value)) for value in values])
        raise ArgumentError(f"{name}: {str(error).removeprefix('arange: ')}, given {given}") from None
    if wanted.kind in "iu" and array.dtype.kind == "f" and max([abs(number(v)) for v in values]) >= 2**62:
        given = ", ".join([repr(number(value)) for value in values])
        raise ArgumentError(f"{name}: cannot count in int64 there, given {given}; use dtype=ge.float64")
    if (
        wanted.kind in "iu"
        and array.size
        and not (array.min() >= np.iinfo(wanted).min <= array.max() <= np.iinfo(wanted).max)
    ):
        raise ArgumentError(f"{name}: numbers from {array.min()} to {array.max()} do not fit into {wanted}")
    return finish(array, wanted, device, requires_grad)


def number(value: Any) -> Any:
    """A Python number, also from a Tensor that holds one."""
    return value.item() if isinstance(value, (Tensor, np.number)) else value


@checked(ignored=IGNORED)
def arange(
    start: Any = None, stop: Any = None, step: Any = 1, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The numbers from `start` (or 0) up to but without `stop`; integers give int64, floats the default dtype.

    Raises ArgumentError for a step of 0, DTypeError for anything that is not a number.

    >>> import gradengine as ge
    >>> ge.arange(2, 10, 3)
    tensor([2, 5, 8])
    """
    if start is None:
        if stop is None:
            raise SignatureError("arange: needs the number to stop at")
        start = 0
    given = (start, step) if stop is None else (start, stop, step)
    first, last = (0, start) if stop is None else (start, stop)
    make = lambda: np.arange(number(first), number(last), number(step))
    out = stepped("arange", given, make, dtype, device, requires_grad and not in_graph(first, step))
    return steps_from("arange", first, step, out, requires_grad) if in_graph(first, step) else out


def count_of(name: str, num: Any) -> int:
    """How many numbers to make. Raises DTypeError for what is no int, ArgumentError for a negative one."""
    count = whole(name, "num", num)
    if count < 0:
        raise ArgumentError(f"{name}: num, the number of elements, must be an int >= 0, got {count}")
    return count


@checked(ignored=IGNORED, words={"steps": "num"})
def linspace(
    start: Any, stop: Any, num: int, dtype: Any = None, device: Any = None, endpoint: bool = True,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`num` evenly spaced numbers from `start` to `stop`, which is left out when `endpoint` is false.

    Raises ArgumentError for a negative `num`, DTypeError for anything that is not a number.

    >>> import gradengine as ge
    >>> ge.linspace(0, 1, 5)
    tensor([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    count = count_of("linspace", num)
    make = lambda: np.linspace(number(start), number(stop), count, endpoint=endpoint)
    graph = in_graph(start, stop)
    out = stepped("linspace", (start, stop, 1.0), make, dtype, device, requires_grad and not graph)
    if not graph:
        return out
    step = (stop - start) / max(count - 1 if endpoint else count, 1)
    return steps_from("linspace", start, step, out, requires_grad)


@checked(ignored=IGNORED, words={"n": "n_rows", "m": "n_cols"})
def eye(
    n_rows: int, n_cols: int | None = None, /, k: int = 0, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Ones on diagonal `k`, zeros elsewhere. Raises ShapeError or DTypeError for anything that is not a shape.

    >>> import gradengine as ge
    >>> ge.eye(2, 3, k=1)
    tensor([[0., 1., 0.],
            [0., 0., 1.]])
    """
    columns, diagonal = n_rows if n_cols is None else n_cols, whole("eye", "k", k)
    make = lambda xp, s, t: xp.eye(s[0], s[1], diagonal, t)
    return filled("eye", make, (n_rows, columns), dtype, device, requires_grad)


@checked(ignored=IGNORED)
def tri(
    n_rows: int, n_cols: int | None = None, /, k: int = 0, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Ones on and below diagonal `k`, zeros above. Raises ShapeError or DTypeError for anything that is not a shape.

    >>> import gradengine as ge
    >>> ge.tri(2, 3)
    tensor([[1., 0., 0.],
            [1., 1., 0.]])
    """
    columns, diagonal = n_rows if n_cols is None else n_cols, whole("tri", "k", k)
    make = lambda xp, s, t: xp.tri(s[0], s[1], diagonal, t)
    return filled("tri", make, (n_rows, columns), dtype, device, requires_grad)


as_tensor = asarray


@checked
def from_numpy(array: Any, /) -> Tensor:
    """A Tensor that shares the memory of a NumPy array, as `asarray`. Raises DTypeError for anything else.

    >>> import numpy as np
    >>> import gradengine as ge
    >>> ge.from_numpy(np.array([1.0, 2.0]))
    tensor([1., 2.], dtype=float64)
    """
    if not isinstance(array, np.ndarray):
        raise DTypeError(f"from_numpy: takes a NumPy array, got {describe(array)}; use ge.tensor or ge.asarray")
    return asarray(array)


@checked(ignored=IGNORED)
def scalar_tensor(value: Any, /, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """One number as a 0-d Tensor of the default dtype unless told otherwise.

    >>> import gradengine as ge
    >>> ge.scalar_tensor(2)
    tensor(2.)
    """
    return tensor(number(value), get_default_dtype() if dtype is None else dtype, device, requires_grad)


@checked(ignored=IGNORED, words={"steps": "num"})
def logspace(
    start: Any, stop: Any, num: int, base: float = 10.0, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`num` numbers from `base ** start` to `base ** stop`, evenly spaced on a logarithmic scale.

    >>> import gradengine as ge
    >>> ge.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    count = count_of("logspace", num)
    if in_graph(start, stop, base):
        from .powers import pow

        if requires_grad:
            raise GraphError("logspace: takes a number that requires grad, but requires_grad=True makes a leaf")
        return pow(base, linspace(start, stop, count, dtype=dtype, device=device))
    real("logspace", "base", base)
    make = lambda: np.logspace(number(start), number(stop), count, base=number(base))
    return stepped("logspace", (start, stop, 1.0), make, dtype, device, requires_grad)


@checked
def meshgrid(*arrays: Any, indexing: str | None = None) -> list[Tensor]:
    """Coordinate grids from 1-d arrays, through which gradients flow.

    With "ij" axis i of each grid runs along array i; "xy" swaps the first two axes. Without `indexing` it is "xy", as
    in NumPy, and a SpellingWarning says so, for in PyTorch it is "ij". Raises ShapeError for arrays of
    two or more dimensions, ArgumentError for another `indexing`.

    >>> import gradengine as ge
    >>> rows, columns = ge.meshgrid(ge.arange(2), ge.arange(3), indexing="ij")
    >>> rows
    tensor([[0, 0, 0],
            [1, 1, 1]])
    """
    from .shape import broadcast_to, reshape, swapaxes

    if len(arrays) == 1 and isinstance(arrays[0], (list, tuple)) and any([isinstance(x, Tensor) for x in arrays[0]]):
        arrays = tuple(arrays[0])
    if indexing is None:
        indexing = "xy"
        if len(arrays) > 1:
            warnings.warn(
                "meshgrid: without indexing, NumPy and the array API mean 'xy', which is what you get, and PyTorch "
                "means 'ij'; say indexing='xy' or indexing='ij'",
                SpellingWarning,
                stacklevel=3,
            )
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"meshgrid: indexing must be 'xy' or 'ij', got {indexing!r}")
    axes = [wrap(x, None, "meshgrid") for x in arrays]
    for i, x in enumerate(axes):
        if x.ndim > 1:
            raise ShapeError(f"meshgrid: takes 1-d arrays, array {i} has shape {x.shape}")
    lengths = tuple([math.prod(x.shape) for x in axes])
    grids = [
        broadcast_to(reshape(x, shape=(1,) * i + (-1,) + (1,) * (len(axes) - i - 1)), shape=lengths)
        for i, x in enumerate(axes)
    ]
    return [swapaxes(x, axis1=0, axis2=1) for x in grids] if indexing == "xy" and len(axes) > 1 else grids
