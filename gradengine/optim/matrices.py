"""Adafactor and Muon: optimizers whose update looks at a matrix as a whole.

Their rules are written in ops of Tensors, and take and change Tensors as the pointwise rules do.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Unpack

from .. import ops
from ..core.dispatch import no_grad
from ..core.host_callbacks import current
from ..core.tensor_class import Tensor
from ..errors import ArgumentError, ShapeError, describe
from ..shapes.dtypes import finfo
from ..validation import check_choice, check_integer, check_number, is_number
from .groups import Group, Implementation
from .optimizer import Optimizer
from .rules import unless_zero

Tensors = tuple[Tensor, ...]


@dataclasses.dataclass(frozen=True)
class Constants:
    """Numbers of a rule that are built into a compiled step: with others, the step is compiled again."""

    values: tuple[float, ...]


def numbers(*values: Any) -> list[Any]:
    """Scalars of a rule as ops take them: while a step is traced, floats are symbols."""
    trace = current.trace
    return [x if trace is None or x is None or type(x) is float else trace.number(x) for x in values]


def root_mean_square(x: Any) -> Any:
    """The root of the mean of all squares, as a 0-d Tensor."""
    return ops.norm(x) / math.sqrt(max(x.size, 1))


@no_grad()
def adafactor(
    targets: Tensors,
    inputs: Tensors,
    *,
    intake: float,
    rate: float,
    limits: Constants,
    shrink: float | None,
    maximize: bool,
) -> None:
    """One update of a parameter and its factors of the variance."""
    p, *slots = targets
    g: Any = -inputs[0] if maximize else inputs[0]
    least, eps2, d = limits.values
    intake, rate, shrink = numbers(intake, rate, shrink)
    least = float(finfo(p.dtype).eps) if least < 0 else least
    value: Any = p.detach()
    alpha = ops.maximum(root_mean_square(value), eps2) * rate
    if shrink is not None:
        value = value * shrink
    if g.ndim > 1:
        rows, columns = slots
        for slot, axis in ((rows, -1), (columns, -2)):
            squares = ops.square(ops.norm(g, axis=axis, keepdims=True)) / g.shape[axis]
            slot.copy_(slot + intake * (squares - slot))
        variance = (rows @ columns) / ops.clip(ops.mean(rows, axis=-2, keepdims=True), min=least)
    else:
        (squares,) = slots
        squares.copy_(squares + intake * (g * g - squares))
        variance = squares
    change = ops.rsqrt(ops.clip(variance, min=least * least)) * g
    alpha = alpha / ops.maximum(root_mean_square(change) / d, 1.0)
    p.data.copy_(value - alpha * change)


class Adafactor(Optimizer):
    """Adafactor: of a matrix, only the means of squared gradients by row and by column are kept.

    `beta2_decay` says how fast averages forget, `d` limits the size of a step, `eps` are two regularising numbers
    (the first is the dtype's `eps` when None). Formulas and defaults are those of `torch.optim.Adafactor` (Shazeer
    and Stern 2018). Raises ArgumentError for options out of their range.

    >>> import gradengine as ge
    >>> layer = ge.nn.Linear(3, 2)
    >>> optimizer = ge.optim.Adafactor(layer.parameters())
    >>> layer(ge.ones(1, 3)).sum().backward()
    >>> optimizer.step()
    >>> optimizer.state[layer.weight]["row_var"].shape, optimizer.state[layer.weight]["col_var"].shape
    ((2, 1), (1, 3))
    """

    rule = staticmethod(adafactor)
    slots_vary = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **implementation: Unpack[Implementation],
    ) -> None:
        defaults = dict(lr=lr, beta2_decay=beta2_decay, eps=eps, d=d, weight_decay=weight_decay, maximize=maximize)
        super().__init__(params, defaults, **implementation)

    def check(self, group: Group) -> None:
        self.require_non_negative(group, "lr", "weight_decay")
        self.require(group, "beta2_decay", high=0)
        self.require(group, "d", 1)
        eps = group["eps"]
        if not isinstance(eps, (tuple, list)) or len(eps) != 2:
            raise ArgumentError(
                f"Adafactor: eps must be two numbers, of which the first may be None, got {describe(eps)}"
            )
        for value in eps if eps[0] is not None else eps[1:]:
            check_number("Adafactor", "each of eps", value, 0)

    def slots_of(self, group: Group, p: Tensor) -> tuple[str, ...]:
        return ("row_var", "col_var") if p.ndim > 1 else ("variance",)

    def slots(self, group: Group) -> tuple[str, ...]:
        return ("variance",)

    def slot_shape(self, p: Tensor, slot: str) -> tuple[int, ...]:
        if slot == "row_var":
            return (*p.shape[:-1], 1)
        return (*p.shape[:-2], 1, p.shape[-1]) if slot == "col_var" else p.shape

    def scalars(self, group: Group, step: int, first: bool) -> dict[str, Any]:
        lr, decay = float(group["lr"]), unless_zero(group["weight_decay"])
        eps1, eps2 = group["eps"]
        return {
            "intake": float(step) ** group["beta2_decay"],
            "rate": min(lr, 1 / step**0.5),
            "limits": Constants((-1.0 if eps1 is None else float(eps1), float(eps2), float(group["d"]))),
            "shrink": None if decay is None else 1 - lr * decay,
            "maximize": bool(group["maximize"]),
        }


def orthogonalized(x: Any, constants: tuple[float, ...], steps: int) -> Any:
    """About the nearest matrix with orthonormal rows or columns, by a quintic Newton-Schulz iteration."""
    a, b, c, eps = constants
    tall = x.shape[0] > x.shape[1]
    x = x.mT if tall else x
    x = x / ops.clip(ops.norm(x), min=eps)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.mT if tall else x


@no_grad()
def muon(
    targets: Tensors,
    inputs: Tensors,
    *,
    step_size: float,
    intake: float,
    momentum: float,
    shrink: float,
    nesterov: bool,
    constants: Constants,
    steps: int,
) -> None:
    """One update of a matrix and its momentum."""
    (p, velocity), (g,) = targets, inputs
    step_size, intake, momentum, shrink = numbers(step_size, intake, momentum, shrink)
    velocity.copy_(velocity + intake * (g - velocity))
    direction = g + momentum * (velocity - g) if nesterov else velocity
    change = orthogonalized(direction, constants.values, steps)
    p.data.copy_(p.detach() * shrink - step_size * change)


class Muon(Optimizer):
    """Muon: the momentum of each weight matrix, made orthogonal. It takes matrices only.

    Give it the weights of hidden layers, and the rest (biases, embeddings, the last layer) to AdamW. `adjust_lr_fn`
    "match_rms_adamw" scales steps so that AdamW's learning rate fits. Formulas and defaults are those of
    `torch.optim.Muon` (Jordan et al. 2024), except that the iteration is computed in the parameter's dtype, where
    PyTorch rounds to bfloat16. Raises ArgumentError for options out of their range, ShapeError for other shapes.

    >>> import gradengine as ge
    >>> weight = ge.nn.Linear(3, 3, bias=False).weight
    >>> optimizer = ge.optim.Muon([weight], lr=0.1)
    >>> (weight ** 2).sum().backward()
    >>> optimizer.step()
    >>> optimizer.state[weight]["momentum_buffer"].shape
    (3, 3)
    """

    rule = staticmethod(muon)
    counts_steps = False

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        super().__init__(
            params,
            dict(
                lr=lr,
                weight_decay=weight_decay,
                momentum=momentum,
                nesterov=nesterov,
                ns_coefficients=ns_coefficients,
                eps=eps,
                ns_steps=ns_steps,
                adjust_lr_fn=adjust_lr_fn,
            ),
        )

    def check(self, group: Group) -> None:
        self.require_non_negative(group, "lr", "weight_decay", "momentum", "eps")
        coefficients, steps = group["ns_coefficients"], group["ns_steps"]
        if (
            not isinstance(coefficients, (tuple, list))
            or len(coefficients) != 3
            or not all(map(is_number, coefficients))
        ):
            raise ArgumentError(f"Muon: ns_coefficients must be three numbers, got {describe(coefficients)}")
        if check_integer("Muon", "ns_steps", steps, 0) >= 100:
            raise ArgumentError(f"Muon: ns_steps must be below 100, got {steps}; 5 are usual")
        check_choice("Muon", "adjust_lr_fn", group["adjust_lr_fn"], (None, "original", "match_rms_adamw"))
        for p in group["params"]:
            if p.ndim != 2:
                raise ShapeError(
                    f"Muon: parameters must be matrices, got one of shape {p.shape}; give the others to AdamW"
                )

    slots_vary = True

    def slots(self, group: Group) -> tuple[str, ...]:
        return ("momentum_buffer",)

    shares_scalars = False

    def scalars_of(self, group: Group, state: dict[str, Any], first: bool) -> dict[str, Any]:
        rows, columns = state["momentum_buffer"].shape
        lr, adjust = float(group["lr"]), group["adjust_lr_fn"]
        ratio = (
            0.2 * math.sqrt(max(rows, columns)) if adjust == "match_rms_adamw" else math.sqrt(max(1, rows / columns))
        )
        return {
            "step_size": lr * ratio,
            "intake": 1.0 - group["momentum"],
            "momentum": float(group["momentum"]),
            "shrink": 1 - lr * group["weight_decay"],
            "nesterov": bool(group["nesterov"]),
            "constants": Constants((*map(float, group["ns_coefficients"]), float(group["eps"]))),
            "steps": group["ns_steps"],
        }
