"""What one does with all gradients or all parameters at once. May import ops, dispatch, tensor and errors."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import ops
from ..dispatch import no_grad
from ..errors import ArgumentError, ShapeError, TrainingError
from ..tensor import Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "vector_to_parameters"]


@no_grad()
@np.errstate(all="ignore")  # gradients may be infinite, which whoever scales losses expects now and then
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale all gradients so that their norm, taken together, is at most `max_norm`; returns the norm before.

    `norm_type` may be any positive number or infinity. Raises ArgumentError for a norm type that is none and, with
    `error_if_nonfinite`, TrainingError when the norm is NaN or infinite. Formula: `torch.nn.utils.clip_grad_norm_`.

    >>> import gradengine as ge
    >>> w = ge.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w / 2).sum().backward()
    >>> ge.nn.utils.clip_grad_norm_([w], max_norm=1.0)
    tensor(5.)
    >>> w.grad
    tensor([0.6, 0.8])
    """
    order = float(norm_type)
    if not order > 0:
        raise ArgumentError(f"clip_grad_norm_: norm_type must be above 0, got {norm_type!r}")
    owners = with_grad(parameters)
    if not owners:
        return ops.zeros(())
    total = norm_of([p.grad for p in owners], order)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise TrainingError(
            f"clip_grad_norm_: the gradients' norm of order {norm_type} is {total.item()}, so they cannot be clipped; "
            "lower the learning rate, or look for the step whose loss is not finite"
        )
    scale = ops.minimum(max_norm / (total + 1e-6), 1.0)
    for p in owners:
        p.grad = ops.astype(p.grad.detach() * scale.to(device=p.grad.device), dtype=p.grad.dtype)
    return total


@no_grad()
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of all gradients to the range from -clip_value to clip_value.

    >>> import gradengine as ge
    >>> w = ge.tensor([1.0, -9.0], requires_grad=True)
    >>> (w * w / 2).sum().backward()
    >>> ge.nn.utils.clip_grad_value_([w], 2.0)
    >>> w.grad
    tensor([ 1., -2.])
    """
    limit = float(clip_value)
    for p in with_grad(parameters):
        p.grad = ops.clip(p.grad.detach(), -limit, limit)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters' elements as one 1-d Tensor; gradients flow through.

    >>> import gradengine as ge
    >>> ge.nn.utils.parameters_to_vector(ge.nn.Linear(3, 2).parameters()).shape
    (8,)
    """
    return ops.concat([ops.reshape(p, (-1,)) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Set all parameters to slices of a 1-d Tensor: the inverse of `parameters_to_vector`.

    Raises ShapeError when the vector is too short or too long.
    """
    owners = list(parameters)
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


def with_grad(parameters: Tensor | Iterable[Tensor]) -> list[Any]:
    """The parameters that have a gradient."""
    return [p for p in ([parameters] if isinstance(parameters, Tensor) else parameters) if p.grad is not None]


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
