"""Saving and loading a module: `state_dict`, `load_state_dict` and their hooks.

Loading sets all values or none, and names every one that does not fit. `ModuleState` is the part of `Module` that does
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.tensor_class import Tensor, to_array, wrap
from ..core.views import set_value
from ..errors import CheckpointError, DTypeError, GradengineError, describe
from ..validation import known_class
from .parameter import Parameter, is_uninitialized

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EXTRA = "_extra_state"


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict(strict=False)` left out: keys it had no value for, and keys it had no use for."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


@known_class
class ModuleState:
    """Saving and loading of a module."""

    if TYPE_CHECKING:
        _transient: set[str]
        _state_dict_hooks: dict[int, Any]
        _state_dict_pre_hooks: dict[int, Any]
        _load_state_dict_pre_hooks: dict[int, Any]
        _load_state_dict_post_hooks: dict[int, Any]

        def _get_name(self) -> str: ...
        def _own(self, kind: str) -> list[tuple[str, Any]]: ...
        def named_modules(self, memo: Any = None, prefix: str = "", remove_duplicate: bool = True) -> Any: ...

    def get_extra_state(self) -> Any:
        """What is to be in the `state_dict` beside parameters and buffers: for subclasses, with `set_extra_state`."""
        raise NotImplementedError(
            f"{self._get_name()} has no extra state: define get_extra_state and set_extra_state to have one"
        )

    def set_extra_state(self, state: Any) -> None:
        """Take what `get_extra_state` gave when the state was saved."""
        raise NotImplementedError(
            f"{self._get_name()} cannot take extra state: define set_extra_state beside get_extra_state"
        )

    def _has_extra_state(self) -> bool:
        return type(self).get_extra_state is not ModuleState.get_extra_state

    def state_dict(
        self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Every parameter and persistent buffer by its path: detached, or themselves with `keep_vars`.

        Entries share the elements of the module's Tensors, so later training changes them: `copy.deepcopy` keeps them.
        They go into `destination`, if one is given, with `prefix` before their paths.

        >>> import gradengine as ge
        >>> {path: tensor.shape for path, tensor in ge.nn.Linear(3, 2).state_dict().items()}
        {'weight': (2, 3), 'bias': (2,)}
        """
        if args:  # as older programs give them
            destination, prefix, keep_vars = (*args, *(destination, prefix, keep_vars)[len(args) :])[:3]
        if not isinstance(prefix, str):
            raise DTypeError(f"{self._get_name()}.state_dict: prefix must be a str, got {describe(prefix)}")
        state: dict[str, Any] = {} if destination is None else destination
        for hook in tuple(self._state_dict_pre_hooks.values()):
            hook(self, prefix, keep_vars)
        for path, tensor in self._own_state(prefix):
            state[path] = tensor if keep_vars or is_uninitialized(tensor) else tensor.detach()
        if self._has_extra_state():
            state[prefix + EXTRA] = self.get_extra_state()
        for name, module in self._own("module"):
            module.state_dict(destination=state, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in tuple(self._state_dict_hooks.values()):
            hook(self, state, prefix, {})
        return state

    def _own_state(self, prefix: str) -> Iterator[tuple[str, Tensor]]:
        """This module's own parameters and persistent buffers."""
        for kind in ("parameter", "buffer"):
            for name, tensor in self._own(kind):
                if name not in self._transient:
                    yield prefix + name, tensor

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Set parameters and buffers, found by their paths, to the values (Tensors or arrays) of `state_dict`.

        Values are copied, and cast to the dtype that the module has; with `assign` they take the place of the
        module's own, with their dtype and device. With `strict=False`, keys that are missing or not known are
        returned instead of raised. Raises CheckpointError that names every missing, unexpected and wrong-shape key;
        nothing is changed then.

        >>> import gradengine as ge
        >>> a, b = ge.nn.Linear(3, 2), ge.nn.Linear(3, 2)
        >>> b.load_state_dict(a.state_dict())
        <All keys matched successfully>
        >>> bool((a.weight == b.weight).all())
        True
        """
        if not hasattr(state_dict, "keys"):
            raise DTypeError(f"load_state_dict: needs a mapping of path to value, got {describe(state_dict)}")
        return Loading(self, dict(state_dict), bool(strict), bool(assign)).run()


class Loading:
    """One `load_state_dict`."""

    def __init__(self, module: Any, state: dict[str, Any], strict: bool, assign: bool) -> None:
        self.module, self.state, self.strict, self.assign = module, state, strict, assign
        self.errors: list[str] = []
        self.modules = list(module.named_modules(remove_duplicate=False))

    def run(self) -> IncompatibleKeys:
        """Check all, then set all."""
        missing: list[str] = []
        unexpected: list[str] = []
        for path, module in self.modules:
            for hook in tuple(module._load_state_dict_pre_hooks.values()):
                prefix = f"{path}." if path else ""
                hook(module, self.state, prefix, {}, self.strict, missing, unexpected, self.errors)
        places = {f"{path}.{name}" if path else name: (module, name) for path, module, name in self.all_places()}
        extra = {f"{path}.{EXTRA}" if path else EXTRA: m for path, m in self.modules if m._has_extra_state()}
        own = {path: module.__dict__[name] for path, (module, name) in places.items()}
        given = {path: self.state[path] for path in own if path in self.state}
        missing += [path for path in (*own, *extra) if path not in self.state]
        unexpected += [path for path in self.state if path not in own and path not in extra]
        keys = IncompatibleKeys(missing, unexpected)
        arrays = self.values(own, given)
        if (not self.errors and not self.module._load_state_dict_post_hooks) or self.errors:
            self.refuse(keys, own)
        self.set(places, own, given, arrays)
        for path, module in extra.items():
            if path in self.state:
                module.set_extra_state(self.state[path])
        for _, module in reversed(self.modules):
            for hook in tuple(module._load_state_dict_post_hooks.values()):
                hook(module, keys)
        self.refuse(keys, own)
        return keys

    def all_places(self) -> Iterator[tuple[str, Any, str]]:
        """Path, module and name of all that is saved."""
        for path, module in self.modules:
            for name, _ in module._own_state(""):
                yield path, module, name

    def values(self, own: dict[str, Tensor], given: dict[str, Any]) -> dict[str, Any]:
        """The arrays to set; what does not fit is noted."""
        arrays: dict[str, Any] = {}
        for path, value in given.items():
            held = own[path]
            if is_uninitialized(value):
                if not is_uninitialized(held):
                    self.errors.append(f"uninitialized: {path}, where the model has {held.shape}")
                continue
            try:
                shape_of(value)
            except ValueError:
                self.errors.append(f"no array: {path}, {describe(value)}")
                continue
            if not is_uninitialized(held) and shape_of(value) != held.shape:
                self.errors.append(f"wrong shape: {path}, {shape_of(value)} where the model has {held.shape}")
                continue
            try:
                if self.assign:
                    arrays[path] = value if isinstance(value, Tensor) else wrap(np.asarray(value))
                else:
                    dtype = None if is_uninitialized(held) else held.dtype
                    arrays[path] = to_array(value, dtype, held.backend, copy=True)
            except GradengineError as error:
                self.errors.append(f"no values: {path}, {error.message}")
        return arrays

    def set(self, places: Any, own: dict[str, Tensor], given: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Give the Tensors their values."""
        for path, value in arrays.items():
            held = own[path]
            module, name = places[path]
            if is_uninitialized(held):
                held.materialize(shape_of(given[path]))
                value = value if self.assign else to_array(value, held.dtype, held.backend)
            if not self.assign:
                set_value(held, value)
            elif isinstance(held, Parameter):
                is_one = isinstance(value, Parameter)
                setattr(module, name, value if is_one else Parameter(value.detach(), held.requires_grad))
            else:
                setattr(module, name, value.detach())

    def refuse(self, keys: IncompatibleKeys, own: dict[str, Tensor]) -> None:
        """Raise CheckpointError that names all that does not fit."""
        problems = []
        if self.strict:
            problems += [f"missing: {path}{shown(own.get(path))}" for path in keys.missing_keys]
            problems += [f"unexpected: {path}{shown(self.state.get(path))}" for path in keys.unexpected_keys]
        problems += self.errors
        if problems:
            listed = "\n    ".join(problems)
            raise CheckpointError(
                f"load_state_dict: the values are not those of this {self.module._get_name()}:\n    {listed}\n"
                "Build the model with the sizes it was saved with"
                + (", or pass strict=False to load what fits by name" if self.strict else "")
            )


def shown(value: Any) -> str:
    """The shape of a value, where it has one."""
    if value is None or is_uninitialized(value):
        return ""
    try:
        return f", {shape_of(value)}"
    except ValueError:
        return f", {describe(value)}"


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of a Tensor, an array or nested lists."""
    return tuple(value.shape) if hasattr(value, "shape") else np.shape(value)
