"""Hooks of modules: functions that are called before and after a forward, with gradients, and around saving.

`ModuleHooks` is the part of `Module` that keeps them and calls them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.function import Context, Function
from ..core.tensor_class import HookHandle, Tensor
from ..errors import ArgumentError, DTypeError, describe
from ..validation import check_callable, known_class

# The dicts of hooks that every module has, by kind.
KINDS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


@known_class
class ModuleHooks:
    """The hooks of a module."""

    _forward_hooks: dict[int, Any]
    _forward_pre_hooks: dict[int, Any]
    _backward_hooks: dict[int, Any]
    _backward_pre_hooks: dict[int, Any]
    _state_dict_hooks: dict[int, Any]
    _state_dict_pre_hooks: dict[int, Any]
    _load_state_dict_pre_hooks: dict[int, Any]
    _load_state_dict_post_hooks: dict[int, Any]
    _hook_options: dict[int, tuple[bool, bool]]  # of those that are called with keywords, or always

    if TYPE_CHECKING:
        forward: Callable[..., Any]

    # -- registering --------------------------------------------------------------------------------------------

    def _add_hook(
        self, kind: str, hook: Any, called: str, prepend: bool = False, options: tuple[bool, bool] = (False, False)
    ) -> HookHandle:
        """Keep a hook; `prepend` puts it before those that are there."""
        check_callable(f"{type(self).__name__}.register{kind.removesuffix('s')}", "hook", hook, called)
        handle = HookHandle(self.__dict__[kind], hook, prepend)
        if any(options):
            self._hook_options[handle.key] = options
        return handle

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> HookHandle:
        """Call `hook(module, args)` before each forward; what it returns, if anything, takes the place of `args`.

        With `with_kwargs` it is `hook(module, args, kwargs)`, which may return `(args, kwargs)`.
        """
        called = "(module, args, kwargs)" if with_kwargs else "(module, args)"
        return self._add_hook("_forward_pre_hooks", hook, called, prepend, (bool(with_kwargs), False))

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> HookHandle:
        """Call `hook(module, args, output)` after each forward; what it returns, if anything, replaces the output.

        With `with_kwargs` it is `hook(module, args, kwargs, output)`. With `always_call` it is also called, with the
        output None, when the forward has raised an error.

        >>> import gradengine as ge
        >>> layer = ge.nn.Identity()
        >>> handle = layer.register_forward_hook(lambda module, args, output: output * 10)
        >>> layer(ge.tensor(1.0)).item()
        10.0
        >>> handle.remove()
        >>> layer(ge.tensor(1.0)).item()
        1.0
        """
        called = "(module, args, kwargs, output)" if with_kwargs else "(module, args, output)"
        return self._add_hook("_forward_hooks", hook, called, prepend, (bool(with_kwargs), bool(always_call)))

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> HookHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of the module's inputs are known.

        Both are tuples with an entry per positional argument, or per output; None where there is no gradient. A
        tuple that it returns takes the place of `grad_input`.

        >>> import gradengine as ge
        >>> layer = ge.nn.Linear(2, 1, bias=False)
        >>> handle = layer.register_full_backward_hook(lambda module, grad_input, grad_output: print(grad_output))
        >>> layer(ge.ones(1, 2)).sum().backward()
        (tensor([[1.]]),)
        """
        return self._add_hook("_backward_hooks", hook, "(module, grad_input, grad_output)", prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> HookHandle:
        """Call `hook(module, grad_output)` before gradients go back through the module; a tuple replaces them."""
        return self._add_hook("_backward_pre_hooks", hook, "(module, grad_output)", prepend)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call `hook(module, prefix, keep_vars)` before the module's part of a `state_dict()` is made."""
        return self._add_hook("_state_dict_pre_hooks", hook, "(module, prefix, keep_vars)")

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` when the module's part of a `state_dict()` is made.

        It changes the dict in place.
        """
        return self._add_hook("_state_dict_hooks", hook, "(module, state_dict, prefix, local_metadata)")

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call `hook(module, state_dict, prefix, local_metadata, strict, missing, unexpected, errors)` before loading.

        It may change the dict, which is a copy, in place: rename keys of an older version, for example.
        """
        return self._add_hook("_load_state_dict_pre_hooks", hook, "(module, state_dict, prefix, local_metadata, ...)")

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call `hook(module, incompatible_keys)` after loading; it may change the lists of keys, which then count."""
        return self._add_hook("_load_state_dict_post_hooks", hook, "(module, incompatible_keys)")

    # -- calling ------------------------------------------------------------------------------------------------

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A forward between its hooks."""
        try:
            for key, before in tuple(self._forward_pre_hooks.items()):
                args, kwargs = self._changed_input(key, before, args, kwargs)
            passage = Passage(self) if self._backward_hooks or self._backward_pre_hooks else None
            output = self.forward(*(args if passage is None else passage.inputs(args)), **kwargs)
            called: set[int] = set()
            for key, after in tuple(self._forward_hooks.items()):
                called.add(key)
                changed = self._after_forward(key, after, args, kwargs, output)
                output = output if changed is None else changed
            return output if passage is None else passage.outputs(output)
        except Exception:
            self._call_always(args, kwargs, locals().get("called", set()))
            raise

    def _changed_input(
        self, key: int, before: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments after a hook."""
        if not self._hook_options.get(key, (False, False))[0]:
            changed = before(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
            return args, kwargs
        changed = before(self, args, kwargs)
        if changed is None:
            return args, kwargs
        if not isinstance(changed, tuple) or len(changed) != 2 or not isinstance(changed[1], dict):
            raise ArgumentError(
                f"{type(self).__name__}: a forward pre-hook with keywords returns None or (args, kwargs), got "
                f"{describe(changed)}"
            )
        return changed if isinstance(changed[0], tuple) else ((changed[0],), changed[1])

    def _after_forward(self, key: int, after: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        """What a hook after the forward returns."""
        with_kwargs = self._hook_options.get(key, (False, False))[0]
        return after(self, args, kwargs, output) if with_kwargs else after(self, args, output)

    def _call_always(self, args: tuple[Any, ...], kwargs: dict[str, Any], called: set[int]) -> None:
        """Call the hooks that are to be called after an error too; one that fails then is not the error to raise."""
        for key, after in tuple(self._forward_hooks.items()):
            if self._hook_options.get(key, (False, False))[1] and key not in called:
                try:
                    self._after_forward(key, after, args, kwargs, None)
                except Exception:  # as in PyTorch, which warns: the first error is the one to see
                    continue


class Gate(Function):
    """Tensors as they are, whose gradients go through `ctx.visit` on their way back."""

    @staticmethod
    def forward(ctx: Context, visit: Any, *tensors: Tensor) -> Any:
        ctx.visit = visit  # type: ignore[attr-defined]
        ctx.set_materialize_grads(False)
        return tuple(t.detach() for t in tensors)

    @staticmethod
    def backward(ctx: Context, *gradients: Any) -> Any:
        return (None, *ctx.visit(gradients))  # type: ignore[attr-defined]


class Passage:
    """One call of a module with backward hooks: its inputs and outputs go through gates."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.grad_output: tuple[Any, ...] | None = None
        self.has_gate = False
        self.length = 0

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, of which those with a gradient come through a gate."""
        places = [i for i, x in enumerate(args) if isinstance(x, Tensor) and x.requires_grad]
        self.length = len(args)
        if not places:
            return args
        self.has_gate = True
        passed = Gate.apply(lambda g: self.leave(g, places), *[args[i] for i in places])
        made = list(args)
        for i, x in zip(places, passed, strict=True):
            made[i] = x
        return tuple(made)

    def outputs(self, output: Any) -> Any:
        """The output, of which what has a gradient comes through a gate."""
        parts = output if isinstance(output, (tuple, list)) else (output,)
        places = [i for i, x in enumerate(parts) if isinstance(x, Tensor) and x.requires_grad]
        if not places:
            return output
        count = len(parts)
        passed = Gate.apply(lambda g: self.enter(g, places, count), *[parts[i] for i in places])
        made = list(parts)
        for i, x in zip(places, passed, strict=True):
            made[i] = x
        if not isinstance(output, (tuple, list)):
            return made[0]
        return type(output)(*made) if hasattr(output, "_fields") else type(output)(made)

    def enter(self, gradients: tuple[Any, ...], places: list[int], count: int) -> tuple[Any, ...]:
        """Gradients of the outputs: those that the pre-hooks make of them."""
        found = spread(gradients, places, count)
        for hook in tuple(self.module._backward_pre_hooks.values()):
            found = replaced(self.module, "a full backward pre-hook", found, hook(self.module, found))
        self.grad_output = found
        if not self.has_gate:  # no input has a gradient: this is all that goes through the module
            self.leave((), [])
        return tuple(found[i] for i in places)

    def leave(self, gradients: tuple[Any, ...], places: list[int]) -> tuple[Any, ...]:
        """Gradients of the inputs: those that the hooks make of them."""
        found, grad_output = spread(gradients, places, self.length), self.grad_output
        if grad_output is None:  # a walk that has not come through the outputs, as that of second gradients
            return gradients
        self.grad_output = None
        for hook in tuple(self.module._backward_hooks.values()):
            changed = hook(self.module, found, grad_output)
            if places:
                found = replaced(self.module, "a full backward hook", found, changed)
        return tuple(found[i] for i in places)


def spread(gradients: tuple[Any, ...], places: list[int], count: int) -> tuple[Any, ...]:
    """Gradients at their places among all, None elsewhere."""
    found: list[Any] = [None] * count
    for i, g in zip(places, gradients, strict=True):
        found[i] = g
    return tuple(found)


def replaced(module: Any, what: str, before: tuple[Any, ...], changed: Any) -> tuple[Any, ...]:
    """The gradients after a hook. Raises typed errors for what cannot take their place."""
    if changed is None:
        return before
    found = changed if isinstance(changed, tuple) else (changed,)
    if len(found) != len(before):
        raise ArgumentError(
            f"{type(module).__name__}: {what} returned {len(found)} gradients in the place of {len(before)}"
        )
    for g in found:
        if g is not None and not isinstance(g, Tensor):
            raise DTypeError(f"{type(module).__name__}: {what} must return Tensors or None, got {describe(g)}")
    return found


__all__ = ["KINDS", "ModuleHooks"]
