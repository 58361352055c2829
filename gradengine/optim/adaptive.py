"""RMSprop, Adagrad and Adadelta: steps divided by a measure of the gradients so far."""

from __future__ import annotations

from typing import Any, Unpack

from ..ops.declare import update
from .groups import Group, Implementation
from .optimizer import Optimizer
from .rules import loss_gradient, unless_zero


def rmsprop(
    k: Any,
    p: Any,
    square: Any,
    *mean_velocity_g: Any,
    lr: float,
    alpha: float,
    intake: float,
    eps: float,
    weight_decay: float | None,
    momentum: float | None,
    centered: bool,
    maximize: bool,
) -> tuple[Any, ...]:
    *slots, g = mean_velocity_g
    g = loss_gradient(p, g, weight_decay, maximize)
    square = alpha * square + intake * (g * g)
    new_slots = [square]
    variance = square
    if centered:
        mean = slots[0] + intake * (g - slots[0])
        new_slots.append(mean)
        variance = square - mean * mean
    scaled = g / (k.sqrt(variance) + eps)
    if momentum is None:
        return p - lr * scaled, *new_slots
    velocity = momentum * slots[-1] + scaled
    return p - lr * velocity, *new_slots, velocity


class RMSprop(Optimizer):
    """RMSprop: the gradient divided by the root of the running average of its square.

    `centered` divides by the running standard deviation instead; `momentum` accumulates the scaled gradients.
    Formulas and defaults are those of `torch.optim.RMSprop` (Hinton, Coursera lecture 6; Graves 2013). Raises
    ArgumentError for options out of their range.

    >>> import gradengine as ge
    >>> x = ge.tensor(3.0, requires_grad=True)
    >>> optimizer = ge.optim.RMSprop([x], lr=0.01, alpha=0.0)
    >>> (x ** 2).backward()
    >>> optimizer.step()
    >>> round(x.item(), 4)
    2.99
    """

    rule = staticmethod(update("rmsprop", rmsprop))

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
        **implementation: Unpack[Implementation],
    ) -> None:
        super().__init__(
            params,
            dict(
                lr=lr,
                alpha=alpha,
                eps=eps,
                weight_decay=weight_decay,
                momentum=momentum,
                centered=centered,
                maximize=maximize,
            ),
            **implementation,
        )

    def check(self, group: Group) -> None:
        self.require_non_negative(group, "lr", "alpha", "eps", "weight_decay", "momentum")

    def slots(self, group: Group) -> tuple[str, ...]:
        mean = ("grad_avg",) if group["centered"] else ()
        return ("square_avg", *mean, *(("momentum_buffer",) if group["momentum"] else ()))

    def scalars(self, group: Group, step: int, first: bool) -> dict[str, Any]:
        return {
            "lr": float(group["lr"]),
            "alpha": float(group["alpha"]),
            "intake": 1.0 - group["alpha"],
            "eps": float(group["eps"]),
            "weight_decay": unless_zero(group["weight_decay"]),
            "momentum": unless_zero(group["momentum"]),
            "centered": bool(group["centered"]),
            "maximize": bool(group["maximize"]),
        }


def adagrad(
    k: Any, p: Any, total: Any, g: Any, *, lr: float, eps: float, weight_decay: float | None, maximize: bool
) -> tuple[Any, ...]:
    g = loss_gradient(p, g, weight_decay, maximize)
    total = total + g * g
    return p - lr * g / (k.sqrt(total) + eps), total


class Adagrad(Optimizer):
    """Adagrad: the gradient divided by the root of the sum of all its squares so far.

    `lr_decay` shrinks the rate to `lr / (1 + (step - 1) * lr_decay)`; the sums start at `initial_accumulator_value`.
    Formulas and defaults are those of `torch.optim.Adagrad` (Duchi et al. 2011). Raises ArgumentError for options
    out of their range.

    >>> import gradengine as ge
    >>> x = ge.tensor(3.0, requires_grad=True)
    >>> optimizer = ge.optim.Adagrad([x], lr=0.5)
    >>> (x ** 2).backward()
    >>> optimizer.step()
    >>> round(x.item(), 4)
    2.5
    """

    rule = staticmethod(update("adagrad", adagrad))

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        **implementation: Unpack[Implementation],
    ) -> None:
        super().__init__(
            params,
            dict(
                lr=lr,
                lr_decay=lr_decay,
                eps=eps,
                weight_decay=weight_decay,
                initial_accumulator_value=initial_accumulator_value,
                maximize=maximize,
            ),
            **implementation,
        )

    def check(self, group: Group) -> None:
        self.require_non_negative(group, "lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def slots(self, group: Group) -> tuple[str, ...]:
        return ("sum",)

    def initial(self, group: Group, slot: str) -> float:
        return float(group["initial_accumulator_value"])

    def scalars(self, group: Group, step: int, first: bool) -> dict[str, Any]:
        return {
            "lr": float(group["lr"]) / (1 + (step - 1) * float(group["lr_decay"])),
            "eps": float(group["eps"]),
            "weight_decay": unless_zero(group["weight_decay"]),
            "maximize": bool(group["maximize"]),
        }


def adadelta(
    k: Any,
    p: Any,
    square: Any,
    moved: Any,
    g: Any,
    *,
    lr: float,
    rho: float,
    intake: float,
    eps: float,
    weight_decay: float | None,
    maximize: bool,
) -> tuple[Any, ...]:
    g = loss_gradient(p, g, weight_decay, maximize)
    square = rho * square + intake * (g * g)
    delta = k.sqrt(moved + eps) / k.sqrt(square + eps) * g
    return p - lr * delta, square, rho * moved + intake * (delta * delta)


class Adadelta(Optimizer):
    """Adadelta: steps in units of the running size of former steps over that of the gradients.

    Formulas and defaults are those of `torch.optim.Adadelta` (Zeiler 2012). Raises ArgumentError for options out of
    their range.

    >>> import gradengine as ge
    >>> x = ge.tensor(3.0, requires_grad=True)
    >>> optimizer = ge.optim.Adadelta([x])
    >>> (x ** 2).backward()
    >>> optimizer.step()
    >>> round(x.item(), 4)
    2.9968
    """

    rule = staticmethod(update("adadelta", adadelta))

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **implementation: Unpack[Implementation],
    ) -> None:
        super().__init__(
            params, dict(lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize), **implementation
        )

    def check(self, group: Group) -> None:
        self.require_non_negative(group, "lr", "eps", "weight_decay")
        self.require(group, "rho", 0, 1)

    def slots(self, group: Group) -> tuple[str, ...]:
        return ("square_avg", "acc_delta")

    def scalars(self, group: Group, step: int, first: bool) -> dict[str, Any]:
        return {
            "lr": float(group["lr"]),
            "rho": float(group["rho"]),
            "intake": 1.0 - group["rho"],
            "eps": float(group["eps"]),
            "weight_decay": unless_zero(group["weight_decay"]),
            "maximize": bool(group["maximize"]),
        }
