"""Module: a part of a network, with its parameters, buffers and sub-modules.

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.head = nn.Linear(784, 128), nn.Linear(128, 10)

        def forward(self, x):
            return self.head(F.relu(self.hidden(x)))

Parameters, buffers and sub-modules are ordinary attributes; `_registered` says which attributes are which. An error
that a forward raises ends with the path of the module it came from. May import ops.methods, backend, tensor, dtypes,
errors, parameter, state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..backend import is_ordinal
from ..dtypes import check_dtype, is_floating
from ..errors import ArgumentError, DTypeError, GradengineError, describe
from ..hostwork import current
from ..ops.methods import cuda_name
from ..tensor import HookHandle, Tensor
from ..views import clear_grad, leave
from .parameter import Parameter
from .state import IncompatibleKeys, load_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    M = TypeVar("M", bound="Module")

PARAMETER, BUFFER, MODULE = "parameter", "buffer", "module"


class Module:
    """A part of a network: subclass it, assign layers and Parameters as attributes, and define `forward`.

    Calling the module runs `forward`. Errors raised inside end with the module's path. Names and behaviour are
    those of `torch.nn.Module`.

    >>> import gradengine as ge
    >>> class Scale(ge.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = ge.nn.Parameter(ge.tensor(2.0))
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> Scale()(ge.tensor([1.0, 2.0])).tolist()
    [2.0, 4.0]
    >>> [name for name, _ in Scale().named_parameters()]
    ['factor']
    """

    training: bool
    _registered: dict[str, str]  # attribute name -> PARAMETER, BUFFER or MODULE, in order of registration
    _transient: set[str]  # buffers that are no part of the state_dict
    _forward_hooks: dict[int, Any]
    _forward_pre_hooks: dict[int, Any]

    if TYPE_CHECKING:
        forward: Callable[..., Any]

        def __getattr__(self, name: str) -> Any: ...  # what register_buffer and add_module attach
    else:

        def forward(self, *args, **kwargs):
            """What the module computes; every subclass defines its own."""
            raise NotImplementedError(f"{type(self).__name__} has no forward: define `def forward(self, x): ...`")

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        # Here and not in __init__, so that a subclass may assign layers before it calls super().__init__().
        self = super().__new__(cls)
        self.__dict__.update(training=True, _registered={}, _transient=set(), _forward_hooks={}, _forward_pre_hooks={})
        return self

    # -- running ------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if current.trace is not None:
            current.trace.note_module(self)
        try:
            if self._forward_hooks or self._forward_pre_hooks:
                return self._call_with_hooks(args, kwargs)
            return self.forward(*args, **kwargs)
        except GradengineError as error:
            self._note_passage(error)
            raise

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for before in tuple(self._forward_pre_hooks.values()):
            changed = before(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        output = self.forward(*args, **kwargs)
        for after in tuple(self._forward_hooks.values()):
            changed = after(self, args, output)
            if changed is not None:
                output = changed
        return output

    def _note_passage(self, error: GradengineError) -> None:
        """Add this module's part to the path that the error's message ends with."""
        inner = error.module
        if inner is None:
            leaf = not any(True for _ in self.children())
            error.enter_module("", repr(self) if leaf else f"{self._get_name()}(...)")
        elif inner is not self:
            error.enter_module(next((path for path, module in self.named_modules() if module is inner), ""))
        error.module = self

    def register_forward_pre_hook(self, hook: Callable[[Module, tuple[Any, ...]], Any]) -> HookHandle:
        """Call `hook(module, args)` before each forward; what it returns, if anything, takes the place of `args`."""
        return HookHandle(self._forward_pre_hooks, hook)

    def register_forward_hook(self, hook: Callable[[Module, tuple[Any, ...], Any], Any]) -> HookHandle:
        """Call `hook(module, args, output)` after each forward; what it returns, if anything, replaces the output.

        >>> import gradengine as ge
        >>> layer = ge.nn.Identity()
        >>> handle = layer.register_forward_hook(lambda module, args, output: output * 10)
        >>> layer(ge.tensor(1.0)).item()
        10.0
        >>> handle.remove()
        >>> layer(ge.tensor(1.0)).item()
        1.0
        """
        return HookHandle(self._forward_hooks, hook)

    # -- attributes ---------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        known = self._registered.get(name)
        if current.trace is not None and (isinstance(value, Tensor) or known in (PARAMETER, BUFFER)):
            current.trace.give_attribute(self, name, value, known == BUFFER)
        elif isinstance(value, Parameter):
            self._set(name, value, PARAMETER)
        elif isinstance(value, Module):
            self._set(name, value, MODULE)
        elif known is None:
            object.__setattr__(self, name, value)
        elif value is None or (known == BUFFER and isinstance(value, Tensor)):
            self.__dict__[name] = value
        else:
            wanted = {PARAMETER: "nn.Parameter", BUFFER: "Tensor", MODULE: "nn.Module"}[known]
            raise DTypeError(
                f"{self._get_name()}.{name} is a {known}: assign a {wanted} or None, not {describe(value)}"
                + ("; nn.Parameter(value) makes one of a Tensor" if known == PARAMETER else "")
            )

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._registered.pop(name, None)
        self._transient.discard(name)

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name[0].isdigit()]

    def _set(self, name: str, value: Any, kind: str) -> None:
        self.__dict__[name] = value
        if self._registered.get(name) != kind:
            self._registered.pop(name, None)  # it comes last in the order, as a new attribute does
            self._registered[name] = kind
            self._transient.discard(name)

    def _register(self, name: str, value: Any, kind: str, wanted: type) -> None:
        what = f"{self._get_name()}: {kind} name"
        if not isinstance(name, str):
            raise DTypeError(f"{what} must be a str, got {describe(name)}")
        if not name or "." in name:
            raise ArgumentError(f"{what} {name!r} must be non-empty and without dots, which separate the path's parts")
        if name not in self._registered and hasattr(self, name):
            raise ArgumentError(f"{what} {name!r} is taken by another attribute; choose another name")
        if value is not None and not isinstance(value, wanted):
            raise DTypeError(f"{self._get_name()}: {kind} {name!r} must be a {wanted.__name__}, got {describe(value)}")
        self._set(name, value, kind)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter (or None, to hold its place) as attribute `name`."""
        self._register(name, param, PARAMETER, Parameter)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a Tensor that is state but not learned; it is part of the state_dict if `persistent`.

        >>> import gradengine as ge
        >>> layer = ge.nn.Module()
        >>> layer.register_buffer("running_mean", ge.zeros(3))
        >>> list(layer.state_dict())
        ['running_mean']
        """
        self._register(name, tensor, BUFFER, Tensor)
        if not persistent:
            self._transient.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a sub-module as attribute `name`."""
        self._register(name, module, MODULE, Module)

    register_module = add_module

    # -- what is inside -----------------------------------------------------------------------------------------

    def _own(self, kind: str) -> list[tuple[str, Any]]:
        """This module's own parameters, buffers or sub-modules that are not None."""
        values = self.__dict__
        return [(name, values[name]) for name, k in self._registered.items() if k == kind and values[name] is not None]

    def _named_tensors(
        self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen = set()
        modules = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, tensor in module._own(kind):
                if remove_duplicate:
                    if tensor in seen:
                        continue
                    seen.add(tensor)
                yield (f"{path}.{name}" if path else name), tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Paths and parameters of this module and those below it; a shared parameter comes once."""
        return self._named_tensors(PARAMETER, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters of this module and those below it: what an optimizer is given.

        >>> import gradengine as ge
        >>> sum(parameter.size for parameter in ge.nn.Linear(3, 2).parameters())
        8
        """
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Paths and buffers of this module and those below it."""
        return self._named_tensors(BUFFER, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers of this module and those below it."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Names and modules directly below this one; a module under two names comes once."""
        seen = set()
        for name, module in self._own(MODULE):
            if module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules directly below this one."""
        return (module for _, module in self.named_children())

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Paths and modules: this one, whose path is `prefix`, and all below it, each before its own children."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._own(MODULE):
            yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as "encoder.0". Raises AttributeError where there is none."""
        module = self
        for name in target.split(".") if target else ():
            if module._registered.get(name) != MODULE or module.__dict__[name] is None:
                raise AttributeError(
                    f"{self._get_name()} has no module {target!r}: {module._get_name()} has "
                    f"{', '.join(repr(n) for n, _ in module._own(MODULE)) or 'no modules'}, not {name!r}"
                )
            module = module.__dict__[name]
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as "encoder.0.weight". Raises AttributeError where there is none."""
        return self._get_tensor(target, PARAMETER)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path such as "norm.running_mean". Raises AttributeError where there is none."""
        return self._get_tensor(target, BUFFER)

    def _get_tensor(self, target: str, kind: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if module._registered.get(name) != kind:
            raise AttributeError(f"{self._get_name()} has no {kind} {target!r}")
        return module.__dict__[name]

    # -- saving and loading -------------------------------------------------------------------------------------

    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Every parameter and persistent buffer by its path: detached, or themselves with `keep_vars`.

        Entries share the elements of the module's Tensors, so later training changes them: `copy.deepcopy` keeps them.

        >>> import gradengine as ge
        >>> {path: tensor.shape for path, tensor in ge.nn.Linear(3, 2).state_dict().items()}
        {'weight': (2, 3), 'bias': (2,)}
        """
        state = {} if destination is None else destination
        for path, tensor in self._state(prefix):
            state[path] = tensor if keep_vars else tensor.detach()
        return state

    def _state(self, prefix: str) -> Iterator[tuple[str, Tensor]]:
        for kind in (PARAMETER, BUFFER):
            for name, tensor in self._own(kind):
                if name not in self._transient:
                    yield prefix + name, tensor
        for name, module in self._own(MODULE):
            yield from module._state(f"{prefix}{name}.")

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Set parameters and buffers, found by their paths, to the values (Tensors or arrays) of `state_dict`.

        Values are copied, and cast to the dtype that the module has. With `strict=False`, keys that are missing or
        not known are returned instead of raised. Raises CheckpointError that names every missing, unexpected and
        wrong-shape key; nothing is changed then.

        >>> import gradengine as ge
        >>> a, b = ge.nn.Linear(3, 2), ge.nn.Linear(3, 2)
        >>> b.load_state_dict(a.state_dict())
        <All keys matched successfully>
        >>> bool((a.weight == b.weight).all())
        True
        """
        return load_values(self._get_name(), dict(self._state("")), state_dict, strict)

    # -- changing all of it -------------------------------------------------------------------------------------

    def apply(self: M, function: Callable[[Module], Any]) -> M:
        """Call `function` on every module below this one, then on this one: how weights are initialised.

        >>> import gradengine as ge
        >>> net = ge.nn.Sequential(ge.nn.Linear(2, 2), ge.nn.ReLU())
        >>> _ = net.apply(lambda m: ge.nn.init.zeros_(m.weight) if isinstance(m, ge.nn.Linear) else None)
        >>> net[0].weight.tolist()
        [[0.0, 0.0], [0.0, 0.0]]
        """
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
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all parameters' gradients, or set them to zeros."""
        for parameter in self.parameters():
            clear_grad(parameter, set_to_none)

    def to(self: M, *targets: Any, device: Any = None, dtype: Any = None) -> M:
        """Move to a device and (floating-point Tensors only) to a dtype, both in any order, or those of a Tensor.

        Parameters keep their identity, so an optimizer goes on working. Raises DTypeError for a dtype that is not
        floating-point, DeviceError for a device that is unknown or not usable here.

        >>> import gradengine as ge
        >>> ge.nn.Linear(2, 2).to("cpu", ge.float64).weight.dtype
        dtype('float64')
        """
        for target in targets:
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

        return self._change_tensors(move)

    def _change_tensors(self: M, change: Callable[[Tensor], Tensor]) -> M:
        """Give every parameter (and its gradient) and buffer a new value, keeping its identity."""
        for kind in (PARAMETER, BUFFER):
            for _, tensor in self._named_tensors(kind, "", True, True):
                value = change(tensor)
                leave(tensor)  # as in PyTorch, what shared its elements keeps them
                tensor.array, tensor.backend = value.array, value.backend
                if tensor.grad is not None:
                    tensor.grad = change(tensor.grad)
        return self

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

    # -- printing -----------------------------------------------------------------------------------------------

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What stands between the parentheses of the repr; layers give their settings."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): {indent(repr(module))}" for name, module in self._own(MODULE)]
        if len(lines) == 1 and not children:
            return f"{self._get_name()}({lines[0]})"
        inside = "\n  ".join(lines + children)
        return f"{self._get_name()}(\n  {inside}\n)" if inside else f"{self._get_name()}()"


def indent(text: str) -> str:
    """`text` with every line but the first moved two spaces to the right."""
    return text.replace("\n", "\n  ")


def is_dtype(value: Any) -> bool:
    """True for a dtype, its name or its NumPy class, False for the name of a device."""
    try:
        return value is not None and check_dtype(value) is not None
    except DTypeError:
        return False
