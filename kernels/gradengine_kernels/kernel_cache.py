"""The kernels of a pointwise function, made when they are first needed, whatever makes and runs them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MISSING = object()
lock = threading.RLock()


class Plans:
    """The kernels of one pointwise function by a key that says for which operands, `most` of them at most."""

    most: int  # a parameter that never comes twice must not compile for ever

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        fallback: Callable[..., Any],
        bodies: Mapping[str, Callable[..., Any]] | None,
    ) -> None:
        self.name, self.function, self.fallback, self.bodies = name, function, fallback, bodies
        self.plans: dict[Any, Any] = {}
        self.alike: dict[Any, Any] = {}  # for operands of one shape and dtype, and no more to know: by dtype

    def build(self, *about: Any) -> Any:
        """The kernel for such operands, or None. Raises NotPointwiseError where it cannot be written."""
        raise NotImplementedError

    def plan(self, key: Any, about: tuple[Any, ...]) -> Any:
        """The kernel for a key, `build(*about)` if it is new; None, remembered, where there is none."""
        try:
            found = self.plans.get(key, MISSING)
        except TypeError:  # a parameter that cannot be part of a key
            return None
        return self.add(key, about) if found is MISSING else found

    def add(self, key: Any, about: tuple[Any, ...]) -> Any:
        """A new kernel, unless there are too many."""
        from .expr import NotPointwiseError

        with lock:
            if key not in self.plans:
                if len(self.plans) >= self.most:
                    return None
                try:
                    self.plans[key] = self.build(*about)
                except NotPointwiseError:
                    self.plans[key] = None
            return self.plans[key]
