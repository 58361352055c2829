"""Automatic differentiation under PyTorch's names: `ge.autograd.Function`, `grad`, `backward`, `gradcheck`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .core.autodiff import add_to_grad, as_sequence, start, walk
from .core.dispatch import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .core.function import Context, Function, once_differentiable
from .core.tensor_class import Tensor
from .errors import ArgumentError, GraphError
from .inspect.gradient_check import GradcheckError, gradcheck, gradgradcheck
from .module_paths import register
from .transforms.gradients import grad
from .validation import known_words

__path__: list[str] = []  # PyTorch's paths go further down: see module_paths
__all__ = [
    "Context",
    "Variable",
    "Function",
    "GradcheckError",
    "backward",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "is_grad_enabled",
    "no_grad",
    "once_differentiable",
    "set_grad_enabled",
]


@known_words
def Variable(data: Tensor, requires_grad: bool = False) -> Tensor:
    """The Tensor itself, asked for its gradient if `requires_grad`: PyTorch's name from before Tensors had gradients.

    Raises DTypeError when gradients are asked of integers.

    >>> import gradengine as ge
    >>> ge.autograd.Variable(ge.ones(2), requires_grad=True)
    tensor([1., 1.], requires_grad=True)
    """
    found = data if isinstance(data, Tensor) else Tensor(data)
    return found.detach().requires_grad_() if requires_grad else found


@known_words
def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add d(sum of tensors)/d(leaf) to the `grad` of every leaf, for several Tensors in one walk.

    `grad_tensors` are the cotangents to start from, one per Tensor (None for a scalar); the rest is as in
    `Tensor.backward`. Raises ArgumentError for another number of them, and GraphError as `Tensor.backward` does.

    >>> import gradengine as ge
    >>> x = ge.tensor(3.0, requires_grad=True)
    >>> ge.autograd.backward([x * x, 2 * x])
    >>> x.grad
    tensor(8.)
    """
    roots = as_sequence(tensors)
    seeds = [None] * len(roots) if grad_tensors is None else as_sequence(grad_tensors)
    if len(seeds) != len(roots):
        raise ArgumentError(f"backward: {len(roots)} tensors but {len(seeds)} grad_tensors; give one for each")
    started = [start(root, seed, "backward", create_graph) for root, seed in zip(roots, seeds, strict=True)]
    targets = None if inputs is None else as_sequence(inputs)
    for x in targets or ():
        if x.op is None:
            raise GraphError("backward: one of `inputs` does not require grad; set requires_grad on it")
    if roots:
        keep = create_graph if retain_graph is None else retain_graph
        for leaf, g in walk(roots, started, keep, create_graph, targets).items():
            if targets is None or any(leaf is x for x in targets):
                add_to_grad(leaf, g, create_graph)


register("gradengine.autograd.gradcheck")  # the name of a function, which an import would replace by the module


if not TYPE_CHECKING:  # to a type checker, other names are simply missing

    def __getattr__(name: str) -> Any:
        from .missing_names import missing

        raise missing(__name__, name)
