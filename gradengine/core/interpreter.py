"""The interpreter `k` of Tensors: what gradient rules and bodies speak to when their own work is to be recorded.

On raw arrays `k` is a backend, under `jit` a tracer; on Tensors it is this object. Ops enter it as they are declared, a
user's own among them, and `gradengine.ops` adds its other functions. So nothing has to import the ops to run a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


class TensorInterpreter:
    """Every op, and every function of ops, as an attribute. `k.is_tensor` tells it from backends and tracers."""

    is_tensor = True

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(f"k: there is no op {name!r}")

    def offer(self, names: Mapping[str, Any]) -> None:
        """Add functions under their names."""
        vars(self).update(names)


k = TensorInterpreter()
