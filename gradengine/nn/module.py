"""Module: a part of a network, with its parameters, buffers and sub-modules.

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.head = nn.Linear(784, 128), nn.Linear(128, 10)

        def forward(self, x):
            return self.head(F.relu(self.hidden(x)))

Parameters, buffers and sub-modules are ordinary attributes; `_registered` says which attributes are which. An error
that a forward raises ends with the path of the module it came from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.host_callbacks import current
from ..core.tensor_class import Tensor
from ..errors import ArgumentError, DTypeError, GradengineError, describe
from ..validation import checked_constructor, known_class, misfit
from .changes import ModuleChanges
from .hooks import KINDS, ModuleHooks
from .parameter import Buffer, Parameter
from .state import ModuleState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARAMETER, BUFFER, MODULE = "parameter", "buffer", "module"
# What PyTorch's modules have beside what is here.
ABSENT = {
    "compile": "use ge.jit, on a function that calls the module",
    "register_backward_hook": "use register_full_backward_hook",
    "share_memory": "threads share Tensors as they are",
}


def module_for(value: Any) -> str:
    """How to get the Module that was meant by something else, for the end of an error message."""
    if isinstance(value, type) and issubclass(value, Module):
        return f"; make one of the class: {value.__name__}(...)"
    if isinstance(value, (list, tuple)):
        return "; give its modules one by one, as in Sequential(*modules)"
    return "; call a function in forward, or use its module, such as ReLU() for relu" if callable(value) else ""


class Module(ModuleHooks, ModuleState, ModuleChanges):
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
    _transient: set[str]  # buffers that are not part of the state_dict

    if TYPE_CHECKING:
        forward: Callable[..., Any]
    else:

        def forward(self, *args, **kwargs):
            """What the module computes; every subclass defines its own."""
            raise NotImplementedError(f"{type(self).__name__} has no forward: define `def forward(self, x): ...`")

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        # Here and not in __init__, so that a subclass may assign layers before it calls super().__init__().
        self = super().__new__(cls)
        self.__dict__.update(training=True, _registered={}, _transient=set(), _hook_options={})
        for kind in KINDS:
            self.__dict__[kind] = {}
        return self

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args or kwargs:
            given = ", ".join([*map(describe, args), *kwargs])
            raise DTypeError(
                f"{self._get_name()}: nn.Module takes no arguments, got {given}; define "
                "`def __init__(self, ...)` and call `super().__init__()` in it"
            )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__ and getattr(cls, "__module__", "").startswith("gradengine.nn."):
            cls.__init__ = checked_constructor(cls.__init__)  # type: ignore[method-assign]
        if getattr(cls, "__module__", "").startswith("gradengine.nn."):
            known_class(cls, constructor=False, skip=("forward",))

    # -- running ------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if current.trace is not None:
            current.trace.note_module(self)
        try:
            if self._forward_hooks or self._forward_pre_hooks or self._backward_hooks or self._backward_pre_hooks:
                return self._call_with_hooks(args, kwargs)
            return self.forward(*args, **kwargs)
        except GradengineError as error:
            self._note_passage(error)
            raise
        except TypeError:
            typed = misfit(self.forward, args, kwargs, self._get_name())  # of what is no fault of its inside
            if typed is None:
                raise
            self._note_passage(typed)
        raise typed from None

    def _note_passage(self, error: GradengineError) -> None:
        """Add this module's part to the path that the error's message ends with."""
        inner = error.module
        if inner is None:
            leaf = not any(True for _ in self.children())
            error.enter_module("", repr(self) if leaf else f"{self._get_name()}(...)")
        elif inner is not self:
            error.enter_module(next((path for path, module in self.named_modules() if module is inner), ""))
        error.module = self

    # -- attributes ---------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        known = self._registered.get(name)
        if current.trace is not None and (isinstance(value, Tensor) or known in (PARAMETER, BUFFER)):
            current.trace.give_attribute(self, name, value, known == BUFFER)
        elif isinstance(value, Parameter):
            self._set(name, value, PARAMETER)
        elif isinstance(value, Buffer):
            self._set(name, value, BUFFER)
            (self._transient.discard if value.persistent else self._transient.add)(name)
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
            advice = module_for(value) if wanted is Module else ""
            raise DTypeError(
                f"{self._get_name()}: {kind} {name!r} must be a {wanted.__name__}, got {describe(value)}{advice}"
            )
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

    def __getattr__(self, name: str) -> Any:
        hint = ABSENT.get(name, "")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint and '; '}{hint}")

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
        if not isinstance(target, str):
            raise DTypeError(f"{self._get_name()}: a path of modules must be a str, got {describe(target)}")
        module = self
        for name in target.split(".") if target else ():
            if module._registered.get(name) != MODULE or module.__dict__[name] is None:
                raise AttributeError(
                    f"{self._get_name()} has no module {target!r}: {module._get_name()} has "
                    f"{', '.join(repr(n) for n, _ in module._own(MODULE)) or 'no modules'}, not {name!r}"
                )
            module = module.__dict__[name]
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put a module at a path such as "encoder.0"; with `strict`, only where there is one already.

        Raises AttributeError where the path leads nowhere, DTypeError for what is no Module.

        >>> import gradengine as ge
        >>> net = ge.nn.Sequential(ge.nn.Linear(2, 2), ge.nn.ReLU())
        >>> net.set_submodule("1", ge.nn.Tanh())
        >>> net[1]
        Tanh()
        """
        owner = f"{self._get_name()}.set_submodule"
        if not isinstance(target, str) or not target:
            raise ArgumentError(f"{owner}: target must be the path of a module, got {describe(target)}")
        if not isinstance(module, Module):
            raise DTypeError(f"{owner}: needs a Module, got {describe(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict:
            parent.get_submodule(name)
        elif name in parent.__dict__ and parent._registered.get(name) != MODULE:
            raise AttributeError(f"{self._get_name()}: {target!r} is no module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as "encoder.0.weight". Raises AttributeError where there is none."""
        return self._get_tensor(target, PARAMETER)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path such as "norm.running_mean". Raises AttributeError where there is none."""
        return self._get_tensor(target, BUFFER)

    def _get_tensor(self, target: str, kind: str) -> Any:
        if not isinstance(target, str):
            raise DTypeError(f"{self._get_name()}: a path must be a str, got {describe(target)}")
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if module._registered.get(name) != kind:
            raise AttributeError(f"{self._get_name()} has no {kind} {target!r}")
        return module.__dict__[name]

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


known_class(Module, constructor=False, skip=("forward",))
