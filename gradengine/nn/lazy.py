"""Lazy layers: the first input decides the sizes that were left open.

    class LazyLinear(LazyModuleMixin, Linear): ...

A lazy layer has uninitialized parameters; `initialize_parameters(*inputs)` gives them their shapes at the first call,
after which the layer is one of the class `cls_to_become`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ..core.host_callbacks import current
from ..core.tensor_class import Tensor
from ..errors import ShapeError, TraceError
from ..validation import known_class
from .layers import Linear, size
from .module import Module
from .parameter import UninitializedParameter, is_uninitialized


@known_class
class LazyModuleMixin:
    """What makes a layer lazy; it stands before the layer among the bases of a class.

    The class says what it becomes (`cls_to_become`), sets attributes that are open to UninitializedParameter or
    UninitializedBuffer, and defines `initialize_parameters(*inputs)`.

    >>> import gradengine as ge
    >>> class LazyScale(ge.nn.LazyModuleMixin, ge.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = ge.nn.UninitializedParameter()
    ...     def initialize_parameters(self, x):
    ...         self.factor.materialize(x.shape[-1:])
    ...         ge.nn.init.ones_(self.factor)
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> layer = LazyScale()
    >>> layer(ge.zeros(2, 3)).shape, layer.factor.shape
    ((2, 3), (3,))
    """

    cls_to_become: ClassVar[type[Module] | None] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        module: Any = self
        module._initialize_hook = module.register_forward_pre_hook(initialize, with_kwargs=True)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give uninitialized parameters their shapes and values, by the first input."""
        raise NotImplementedError(f"{type(self).__name__} has no initialize_parameters(*inputs), which it needs")

    def has_uninitialized_params(self: Any) -> bool:
        """Whether there are parameters or buffers of this module without values."""
        return any(is_uninitialized(t) for kind in ("parameter", "buffer") for _, t in self._own(kind))

    def _finish(self: Any) -> None:
        """Become the class that is not lazy."""
        handle = self.__dict__.pop("_initialize_hook", None)
        if handle is not None:
            handle.remove()
        if type(self).cls_to_become is not None:
            self.__class__ = type(self).cls_to_become


def initialize(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """The hook before the first forward."""
    if not isinstance(module, LazyModuleMixin):
        return
    if module.has_uninitialized_params():
        if current.trace is not None:
            raise TraceError(
                f"jit: {type(module).__name__} has no parameters before its first call, which a compiled step cannot "
                "make; call the model once with an input before the step is compiled"
            )
        module.initialize_parameters(*args, **kwargs)
    module._finish()


class LazyLinear(LazyModuleMixin, Linear):
    """A Linear layer whose `in_features` is the size of the first input's last axis.

    Its parameters have no shape before that; call the model once before an optimizer is made.

    >>> import gradengine as ge
    >>> layer = ge.nn.LazyLinear(2)
    >>> layer(ge.ones(5, 3)).shape
    (5, 2)
    >>> layer
    Linear(in_features=3, out_features=2, bias=True)
    """

    cls_to_become = Linear

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(0, 0, False, device, dtype)
        self.out_features = size("LazyLinear", "out_features", out_features)
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw new weights, if there are any."""
        if not self.has_uninitialized_params() and self.in_features:
            super().reset_parameters()

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Take the size of the input's last axis."""
        x = args[0] if args else kwargs["input"]
        if not isinstance(x, Tensor) or not x.ndim:
            raise ShapeError("LazyLinear: the first input must be a Tensor with a last axis of features")
        self.in_features = x.shape[-1]
        self.weight.materialize((self.out_features, self.in_features))
        if self.bias is not None:
            self.bias.materialize((self.out_features,))
        Linear.reset_parameters(self)
