"""Functions of functions under PyTorch's names: `torch.func`, as far as it is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .nn.stateless import functional_call
from .transforms.gradients import grad, value_and_grad
from .validation import known_words

__all__ = ["functional_call", "grad", "grad_and_value"]


@known_words
def grad_and_value(func: Callable[..., Any], argnums: Any = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of `func`, and its value: `value_and_grad` the other way round.

    >>> import gradengine as ge
    >>> ge.func.grad_and_value(lambda x: x * x)(ge.tensor(3.0))
    (tensor(6.), tensor(9.))
    """
    both = value_and_grad(func, argnums, has_aux)

    def call(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return gradient, value

    return call


if not TYPE_CHECKING:  # to a type checker, other names are simply missing

    def __getattr__(name: str) -> Any:
        from .missing_names import missing

        raise missing(__name__, name)
