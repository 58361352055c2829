"""Hooks of optimizers: before and after a step, and around saving and loading."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..core.tensor_class import HookHandle
from ..errors import ArgumentError, describe
from ..validation import check_callable

KINDS = ("step_pre", "step_post", "state_dict_pre", "state_dict_post", "load_state_dict_pre", "load_state_dict_post")


class Hooks:
    """The hooks of one optimizer, by kind; without any, a step looks only at `any`."""

    def __init__(self) -> None:
        self.by_kind: dict[str, dict[int, Any]] = {kind: {} for kind in KINDS}
        self.stepping = False  # a step that calls its base's step is one step

    def add(self, owner: str, kind: str, hook: Any, called: str, prepend: bool = False) -> HookHandle:
        """Keep a hook; `prepend` puts it before those that are there."""
        check_callable(f"{owner}.register_{kind}_hook", "hook", hook, called)
        return HookHandle(self.by_kind[kind], hook, prepend)

    def run(self, kind: str, *args: Any) -> list[Any]:
        """Call all hooks of a kind, and give what they return."""
        return [hook(*args) for hook in tuple(self.by_kind[kind].values())]


def with_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    """An optimizer's `step`, between its hooks."""

    @functools.wraps(step)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        hooks = self.__dict__.get("hooks")
        if hooks is None or hooks.stepping or not (hooks.by_kind["step_pre"] or hooks.by_kind["step_post"]):
            return step(self, *args, **kwargs)
        hooks.stepping = True
        try:
            for changed in hooks.run("step_pre", self, args, kwargs):
                if changed is None:
                    continue
                if not isinstance(changed, tuple) or len(changed) != 2:
                    raise ArgumentError(
                        f"{type(self).__name__}: a hook before the step returns None or (args, kwargs), got "
                        f"{describe(changed)}"
                    )
                args, kwargs = changed
            result = step(self, *args, **kwargs)
            hooks.run("step_post", self, args, kwargs)
        finally:
            hooks.stepping = False
        return result

    return call
