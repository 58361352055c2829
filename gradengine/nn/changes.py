"""Changes of a whole module: its mode, its device and dtype, whether its parameters are learned.

`ModuleChanges` is the part of `Module` that does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..backend.devices import is_ordinal
from ..core.tensor_class import Tensor
from ..core.views import clear_grad, leave
from ..errors import DTypeError, describe
from ..ops.methods import cuda_name
from ..shapes.dtypes import check_dtype, is_floating
from ..validation import check_callable, check_flag, check_ignored, known_class
from .parameter import Parameter, cast_later, is_uninitialized

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    M = TypeVar("M", bound="ModuleChanges")


@known_class
class ModuleChanges:
    """Mode, device and dtype of a module."""

    if TYPE_CHECKING:

        def children(self) -> Iterator[Any]: ...
        def modules(self) -> Iterator[Any]: ...
        def parameters(self, recurse: bool = True) -> Iterator[Parameter]: ...
        def _own(self, kind: str) -> list[tuple[str, Any]]: ...
        def _get_name(self) -> str: ...

    def apply(self: M, function: Callable[[Any], Any]) -> M:
        """Call `function` on every module below this one, then on this one: how weights are initialised.

        >>> import gradengine as ge
        >>> net = ge.nn.Sequential(ge.nn.Linear(2, 2), ge.nn.ReLU())
        >>> _ = net.apply(lambda m: ge.nn.init.zeros_(m.weight) if isinstance(m, ge.nn.Linear) else None)
        >>> net[0].weight.tolist()
        [[0.0, 0.0], [0.0, 0.0]]
        """
        check_callable(f"{self._get_name()}.apply", "function", function, "(module)")
        for module in self.children():
            module.apply(function)
        function(self)
        return self

    def train(self: M, mode: bool = True) -> M:
        """Set training mode (dropout is active) here and below."""
        if not isinstance(mode, bool):
            raise DTypeError(f"train: mode must be a bool, got {describe(mode)}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """Set evaluation mode (dropout does nothing) here and below."""
        return self.train(False)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Ask (or stop asking) for the gradients of all parameters."""
        check_flag(f"{self._get_name()}.requires_grad_", "requires_grad", requires_grad)
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all parameters' gradients, or set them to zeros."""
        for parameter in self.parameters():
            clear_grad(parameter, set_to_none)

    def to(
        self: M,
        *targets: Any,
        device: Any = None,
        dtype: Any = None,
        non_blocking: bool = False,
        tensor: Tensor | None = None,
        memory_format: Any = None,
    ) -> M:
        """Move to a device and (floating-point Tensors only) to a dtype, both in any order, or those of a Tensor.

        `non_blocking` and `memory_format` are accepted as PyTorch's and change nothing. Parameters keep their identity,
        so an optimizer still updates them. Raises DTypeError for a dtype that is not floating-point, DeviceError for a
        device that is unknown or not usable here.

        >>> import gradengine as ge
        >>> ge.nn.Linear(2, 2).to("cpu", ge.float64).weight.dtype
        dtype('float64')
        """
        check_ignored("to", "memory_format", memory_format)
        if len(targets) > 1 and isinstance(targets[-1], bool):
            targets = targets[:-1]  # non_blocking
        for target in targets if tensor is None else (*targets, tensor):
            if isinstance(target, Tensor):
                device, dtype = target.device, target.dtype
            elif is_dtype(target) and not is_ordinal(target):
                dtype = target
            elif target is not None:
                device = target
        if dtype is not None and not is_floating(check_dtype(dtype)):
            raise DTypeError(f"to: a module can only become floating-point, not {np.dtype(dtype)}")

        def move(tensor: Tensor) -> Tensor:
            value = tensor.detach()
            if device is not None:
                value = value.to(device=device)
            return value.to(dtype) if dtype is not None and is_floating(value.dtype) else value

        for module in self.modules():
            for _, tensor in [*module._own("parameter"), *module._own("buffer")]:
                if is_uninitialized(tensor):
                    cast_later(tensor, device, dtype)
        return self._change_tensors(move)

    def _change_tensors(self: M, change: Callable[[Tensor], Tensor]) -> M:
        """Give every parameter (and its gradient) and buffer a new value, keeping its identity."""
        seen: set[Tensor] = set()
        for module in self.modules():
            for _, tensor in [*module._own("parameter"), *module._own("buffer")]:
                if tensor in seen:
                    continue
                seen.add(tensor)
                if is_uninitialized(tensor):
                    continue
                value = change(tensor)
                leave(tensor)  # as in PyTorch, what shared its elements keeps them
                tensor.array, tensor.backend = value.array, value.backend
                if tensor.grad is not None:
                    tensor.grad = change(tensor.grad)
        return self

    def type(self: M, dst_type: Any) -> M:
        """Cast floating-point parameters and buffers to a dtype, as `to(dtype=dst_type)` does."""
        return self.to(dtype=dst_type)

    def to_empty(self: M, *, device: Any, recurse: bool = True) -> M:
        """Move to a device without the values, which are to be set afterwards."""
        return self.to(device=device)

    def float(self: M) -> M:
        """Cast floating-point parameters and buffers to float32."""
        return self.to(dtype=np.dtype(np.float32))

    def double(self: M) -> M:
        """Cast floating-point parameters and buffers to float64."""
        return self.to(dtype=np.dtype(np.float64))

    def half(self: M) -> M:
        """Cast floating-point parameters and buffers to float16."""
        return self.to(dtype=np.dtype(np.float16))

    def bfloat16(self: M) -> M:
        """Cast floating-point parameters and buffers to bfloat16. Raises DTypeError where ml_dtypes is missing."""
        return self.to(dtype="bfloat16")

    def cpu(self: M) -> M:
        """Move to the CPU."""
        return self.to("cpu")

    def cuda(self: M, device: Any = None) -> M:
        """Move to a GPU, given by number or name; the first one unless told. Raises DeviceError where there is none."""
        return self.to(cuda_name(device))


def is_dtype(value: Any) -> bool:
    """True for a dtype, its name or its NumPy class, False for the name of a device."""
    try:
        return value is not None and check_dtype(value) is not None
    except DTypeError:
        return False
