"""Parameter and Buffer: the Tensors that a module learns, and those that it keeps.

Uninitialized ones stand in for those whose shape the first input decides, in lazy layers.
"""

from __future__ import annotations

import functools
from typing import Any, NoReturn

from ..backend.devices import for_device
from ..core.copies import copied_alone
from ..core.tensor_class import Tensor
from ..core.views import share
from ..errors import ArgumentError, DTypeError, describe
from ..shapes.dtypes import check_dtype
from ..validation import check_flag, known_arguments, known_class


class Parameter(Tensor):
    """A Tensor that becomes one of a module's `parameters()` when it is assigned to an attribute of the module.

    `Parameter(data, requires_grad=True)` takes a Tensor (whose elements it shares) or whatever `ge.tensor` takes.
    Raises DTypeError when gradients are asked of integers.

    >>> import gradengine as ge
    >>> scale = ge.nn.Parameter(ge.ones(2))
    >>> scale.requires_grad, scale.is_leaf
    (True, True)
    """

    __slots__ = ()

    @known_arguments
    def __init__(self, data: Any = (), requires_grad: bool = True) -> None:
        if isinstance(data, Tensor):
            stand_for(self, data)
        else:
            super().__init__(data)
        self.become_leaf(requires_grad)

    __deepcopy__ = copied_alone

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A Tensor that becomes one of a module's `buffers()` when it is assigned to an attribute of the module.

    It is part of the `state_dict` if `persistent`, as with `register_buffer`.

    >>> import gradengine as ge
    >>> layer = ge.nn.Identity()
    >>> layer.mean = ge.nn.Buffer(ge.zeros(3))
    >>> list(layer.state_dict())
    ['mean']
    """

    __slots__ = ("persistent",)
    persistent: bool

    @known_arguments
    def __init__(self, data: Any = (), *, persistent: bool = True) -> None:
        if isinstance(data, Tensor):
            stand_for(self, data)
        else:
            super().__init__(data)
        self.persistent = bool(persistent)


def stand_for(t: Tensor, data: Tensor) -> None:
    """Give a new Tensor the elements of another, which it shares, but nothing of its graph."""
    t.array, t.backend = data.array, data.backend
    t.op = t._grad = t.hooks = t.family = t.view_of = None
    share(t, data)


class NotThere:
    """What an uninitialized parameter has in the place of an array: every look at it is an error."""

    def __init__(self, dtype: Any) -> None:
        self.__dict__["pending"] = dtype

    def __getattr__(self, name: str) -> NoReturn:
        raise ArgumentError(
            "a lazy layer's parameter has no shape and no values yet; call the module once with an input (also before "
            "an optimizer is made of its parameters)"
        )


class UninitializedParameter(Parameter):
    """A Parameter whose shape is not known yet: `materialize(shape)` makes it an ordinary one.

    Everything that needs its shape or values raises ArgumentError until then.

    >>> import gradengine as ge
    >>> weight = ge.nn.UninitializedParameter()
    >>> weight.materialize((2, 3))
    >>> type(weight).__name__, weight.shape
    ('Parameter', (2, 3))
    """

    __slots__ = ()

    @known_arguments
    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        begin(self, device, dtype)
        if check_flag("UninitializedParameter", "requires_grad", requires_grad):
            self.requires_grad_later()

    def requires_grad_later(self) -> None:
        """Ask for the gradient, whatever the values will be."""
        from ..core.tensor_class import EMPTY, LEAF

        self.op, self.inputs, self.saved, self.params, self.order = LEAF, (), (), EMPTY, 1

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary Parameter of a shape; its values are not set."""
        requires_grad = self.op is not None
        allocate(self, shape, device, dtype)
        self.__class__ = Parameter  # type: ignore[assignment]
        self.become_leaf(requires_grad)

    def __repr__(self) -> str:
        return "<UninitializedParameter>"


@known_class
class UninitializedBuffer(Tensor):
    """A buffer whose shape is not known yet: `materialize(shape)` makes it an ordinary Tensor.

    >>> import gradengine as ge
    >>> mean = ge.nn.UninitializedBuffer()
    >>> mean.materialize((3,))
    >>> mean.shape
    (3,)
    """

    __slots__ = ()

    def __init__(self, device: Any = None, dtype: Any = None) -> None:
        begin(self, device, dtype)

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary Tensor of a shape; its values are not set."""
        allocate(self, shape, device, dtype)
        self.__class__ = Tensor  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "<UninitializedBuffer>"


def copied_without_values(self: Any, memo: dict[int, Any]) -> Any:
    """`copy.deepcopy` of what has no values yet."""
    kind: Any = type(self)
    out = kind.__new__(kind)
    begin(out, self.backend.device, self.array.__dict__["pending"])
    if self.op is not None:
        out.requires_grad_later()
    memo[id(self)] = out
    return out


def reduced_without_values(self: Any) -> Any:
    """How what has no values yet is pickled."""
    dtype = self.array.__dict__["pending"]
    settings = {"device": self.backend.device, "dtype": None if dtype is None else dtype.name}
    if isinstance(self, UninitializedParameter):
        settings["requires_grad"] = self.op is not None
    kind: Any = type(self)
    return functools.partial(kind, **settings), ()


def cast_later(t: Any, device: Any, dtype: Any) -> None:
    """Note the device and the dtype of the values that are to come."""
    pending = t.array.__dict__["pending"] if dtype is None else check_dtype(dtype)
    t.backend = t.backend if device is None else for_device(device)
    t.array = NotThere(pending)


for kind in (UninitializedParameter, UninitializedBuffer):
    kind.__deepcopy__ = copied_without_values  # type: ignore[method-assign]
    kind.__reduce__ = reduced_without_values  # type: ignore[method-assign]


def begin(t: Tensor, device: Any, dtype: Any) -> None:
    """Make a Tensor without values, which are to be on a device and of a dtype."""
    t.backend = for_device(device)
    t.op = t._grad = t.hooks = t.family = t.view_of = None
    t.array = NotThere(None if dtype is None else check_dtype(dtype))


def allocate(t: Tensor, shape: Any, device: Any, dtype: Any) -> None:
    """Give a Tensor without values an array of a shape."""
    from .. import ops

    if not isinstance(shape, (tuple, list)):
        raise DTypeError(f"materialize: shape must be a tuple, got {describe(shape)}")
    wanted = t.array.__dict__["pending"] if dtype is None else dtype
    made = ops.empty(tuple(shape), device=t.backend.device if device is None else device, dtype=wanted)
    t.array, t.backend = made.array, made.backend


def is_uninitialized(value: Any) -> bool:
    """Whether a Tensor has no shape and no values yet."""
    return isinstance(value, (UninitializedParameter, UninitializedBuffer))
