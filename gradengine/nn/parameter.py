"""Parameter: the Tensor that a module learns. May import tensor, views and errors."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from ..views import share


class Parameter(Tensor):
    """A Tensor that becomes one of a module's `parameters()` when it is assigned to an attribute of the module.

    `Parameter(data, requires_grad=True)` takes a Tensor (whose elements it shares) or
    whatever `gradengine.tensor` takes. Raises DTypeError when gradients are asked of integers.

    >>> import gradengine as ge
    >>> scale = ge.nn.Parameter(ge.ones(2))
    >>> scale.requires_grad, scale.is_leaf
    (True, True)
    """

    __slots__ = ()

    def __init__(self, data: Any = (), requires_grad: bool = True) -> None:
        if isinstance(data, Tensor):
            self.array, self.backend = data.array, data.backend
            self.op = self.grad = self.hooks = self.family = self.view_of = None
            share(self, data)
        else:
            super().__init__(data)
        self.become_leaf(requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"
