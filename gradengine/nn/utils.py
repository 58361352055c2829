"""What one does with all gradients or all parameters at once."""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ops
from ..core.dispatch import no_grad
from ..core.tensor_class import Tensor
from ..core.views import set_value
from ..errors import ArgumentError, DTypeError, ShapeError, TrainingError, describe
from ..validation import check_flag, is_number, known_calls, known_words

__path__: list[str] = []  # PyTorch's paths go further down: see module_paths
__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
    "parameters_to_vector",
    "skip_init",
    "vector_to_parameters",
]


@known_words
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients so that their norm, taken together, is at most `max_norm`; returns the norm before.

    `norm_type` may be any positive number or infinity. `foreach` is accepted as PyTorch's and changes nothing. Raises
    ArgumentError for numbers that make no sense and, with `error_if_nonfinite`, TrainingError when the norm is NaN or
    infinite. Formula: `torch.nn.utils.clip_grad_norm_`.

    >>> import gradengine as ge
    >>> w = ge.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w / 2).sum().backward()
    >>> ge.nn.utils.clip_grad_norm_([w], max_norm=1.0)
    tensor(5.)
    >>> w.grad
    tensor([0.6, 0.8])
    """
    owners = with_grad("clip_grad_norm_", parameters)
    check_limit("clip_grad_norm_", "max_norm", max_norm)
    total = total_norm_of("clip_grad_norm_", [p.grad for p in owners], norm_type, error_if_nonfinite)
    clip_grads_with_norm_(owners, max_norm, total, foreach)
    return total


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all elements of several Tensors together; 0 of none.

    Raises ArgumentError for a norm type that is not above 0 and, with `error_if_nonfinite`, TrainingError when the norm
    is NaN or infinite.

    >>> import gradengine as ge
    >>> ge.nn.utils.get_total_norm([ge.tensor([3.0]), ge.tensor([4.0])])
    tensor(5.)
    """
    return total_norm_of("get_total_norm", tensors, norm_type, error_if_nonfinite)


@no_grad()
@np.errstate(all="ignore")  # scaled losses may give infinite gradients
def total_norm_of(owner: str, tensors: Any, norm_type: Any, error_if_nonfinite: bool) -> Tensor:
    """The norm of all elements of several Tensors; errors name the function that was called."""
    try:
        order = float(norm_type)
    except (TypeError, ValueError):
        order = 0.0
    if not order > 0:
        raise ArgumentError(f"{owner}: norm_type must be above 0, got {describe(norm_type)}")
    check_flag(owner, "error_if_nonfinite", error_if_nonfinite)
    held = listed(owner, tensors)
    if not held:
        return ops.zeros(())
    total = norm_of(held, order)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise TrainingError(
            f"{owner}: the norm of order {norm_type} is {total.item()}, and error_if_nonfinite asks for a finite one; "
            "lower the learning rate, or look for the step whose loss is not finite"
        )
    return total


@no_grad()
@np.errstate(all="ignore")
def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale all gradients by `max_norm / total_norm` where that is below 1.

    >>> import gradengine as ge
    >>> w = ge.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w / 2).sum().backward()
    >>> ge.nn.utils.clip_grads_with_norm_([w], 1.0, ge.tensor(10.0))
    >>> w.grad
    tensor([0.3, 0.4])
    """
    check_limit("clip_grads_with_norm_", "max_norm", max_norm)
    owners = with_grad("clip_grads_with_norm_", parameters)
    if not owners:
        return
    scale = ops.minimum(max_norm / (total_norm + 1e-6), 1.0)
    for p in owners:
        scaled = ops.astype(p.grad.detach() * scale.to(device=p.grad.device), dtype=p.grad.dtype)
        set_value(p.grad, scaled.array)


@no_grad()
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Limit every element of all gradients to the range from -clip_value to clip_value.

    Raises ArgumentError for a limit that is negative or no number.

    >>> import gradengine as ge
    >>> w = ge.tensor([1.0, -9.0], requires_grad=True)
    >>> (w * w / 2).sum().backward()
    >>> ge.nn.utils.clip_grad_value_([w], 2.0)
    >>> w.grad
    tensor([ 1., -2.])
    """
    check_limit("clip_grad_value_", "clip_value", clip_value)
    limit = float(clip_value)
    for p in with_grad("clip_grad_value_", parameters):
        set_value(p.grad, ops.clip(p.grad.detach(), -limit, limit).array)


@known_words
def skip_init(module_cls: Any, *args: Any, **kwargs: Any) -> Any:
    """A module as its class makes it; for PyTorch's sake: there the initial values are left out, here they are drawn.

    Raises DTypeError for anything that is not a class of modules.

    >>> import gradengine as ge
    >>> ge.nn.utils.skip_init(ge.nn.Linear, 3, 2).weight.shape
    (2, 3)
    """
    from .module import Module

    if not isinstance(module_cls, type) or not issubclass(module_cls, Module):
        raise DTypeError(f"skip_init: needs a class of modules, got {describe(module_cls)}")
    return module_cls(*args, **kwargs)


@known_words
def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters' elements as one 1-d Tensor; gradients flow through.

    >>> import gradengine as ge
    >>> ge.nn.utils.parameters_to_vector(ge.nn.Linear(3, 2).parameters()).shape
    (8,)
    """
    held = listed("parameters_to_vector", parameters)
    if not held:
        raise ArgumentError("parameters_to_vector: got no parameters; is the module's parameters() used up or empty?")
    return ops.concat([ops.reshape(p, (-1,)) for p in held])


@known_words
def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Set all parameters to slices of a 1-d Tensor: the inverse of `parameters_to_vector`.

    Raises ShapeError when the vector is too short or too long.

    >>> import gradengine as ge
    >>> layer = ge.nn.Linear(1, 1)
    >>> ge.nn.utils.vector_to_parameters(ge.tensor([2.0, 3.0]), layer.parameters())
    >>> layer.weight.item(), layer.bias.item()
    (2.0, 3.0)
    """
    owners = listed("vector_to_parameters", parameters)
    if not isinstance(vec, Tensor):
        raise DTypeError(f"vector_to_parameters: vec must be a Tensor, got {describe(vec)}")
    wanted = sum(p.size for p in owners)
    if vec.shape != (wanted,):
        raise ShapeError(
            f"vector_to_parameters: the parameters have {wanted} elements, the vector has shape {vec.shape}"
        )
    flat: Any = vec.detach()
    start = 0
    for p in owners:
        p.data = ops.astype(ops.reshape(flat[start : start + p.size], p.shape), dtype=p.dtype)
        start += p.size


def listed(name: str, tensors: Any) -> list[Any]:
    """Tensors as a list. Raises DTypeError for what are none."""
    if isinstance(tensors, Tensor):
        return [tensors]
    if isinstance(tensors, str) or not hasattr(tensors, "__iter__"):
        raise DTypeError(f"{name}: needs Tensors, such as model.parameters(), got {describe(tensors)}")
    found = list(tensors)
    for t in found:
        if not isinstance(t, Tensor):
            raise DTypeError(f"{name}: needs Tensors, such as model.parameters(), got one that is {describe(t)}")
    return found


def with_grad(name: str, parameters: Any) -> list[Any]:
    """The parameters that have a gradient."""
    return [p for p in listed(name, parameters) if p.grad is not None]


def check_limit(name: str, what: str, value: Any) -> None:
    """Raise ArgumentError for a limit that is negative, NaN or no number; a Tensor may be one."""
    if not isinstance(value, Tensor) and (not is_number(value) or not value >= 0):
        raise ArgumentError(f"{name}: {what} must be a number >= 0, got {describe(value)}")


def norm_of(tensors: list[Tensor], order: float) -> Any:
    """The norm of all elements of all Tensors together, on the device of the first."""
    flat = [ops.reshape(x.detach(), (-1,)) for x in tensors]
    device = tensors[0].device
    if order == math.inf:
        return functools.reduce(ops.maximum, [ops.max(ops.abs(x)).to(device=device) for x in flat])
    if order == 2:
        sums = [ops.vecdot(x, x) for x in flat]
    else:
        sums = [ops.sum(ops.abs(x) if order == 1 else ops.abs(x) ** order) for x in flat]
    total = functools.reduce(ops.add, [x.to(device=device) for x in sums])
    return total if order == 1 else ops.sqrt(total) if order == 2 else total ** (1.0 / order)


if not TYPE_CHECKING:  # to a type checker, other names are simply missing

    def __getattr__(name: str) -> Any:
        if name in ("rnn", "stateless"):
            return importlib.import_module(f"{__name__}.{name}")
        from ..missing_names import missing

        raise missing(__name__, name)


known_calls(__name__)
