"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from typing import Any, Unpack

from ..errors import ArgumentError
from ..ops.declare import update
from .groups import Group, Implementation
from .optimizer import Optimizer
from .rules import loss_gradient, unless_zero


def sgd(
    k: Any,
    p: Any,
    *velocity_and_g: Any,
    lr: float,
    momentum: float | None,
    intake: float,
    weight_decay: float | None,
    nesterov: bool,
    maximize: bool,
) -> tuple[Any, ...]:
    g = loss_gradient(p, velocity_and_g[-1], weight_decay, maximize)
    if momentum is None:
        return (p - lr * g,)
    velocity = momentum * velocity_and_g[0] + intake * g
    return p - lr * (g + momentum * velocity if nesterov else velocity), velocity


class SGD(Optimizer):
    """Gradient descent: `velocity = momentum * velocity + gradient; p -= lr * velocity`.

    `dampening` scales the gradient's part of the velocity after the first step, `nesterov` looks one step ahead,
    `weight_decay` adds its multiple of `p` to the gradient, `maximize` climbs instead. Formulas and defaults are
    those of `torch.optim.SGD` (Sutskever et al. 2013). Raises ArgumentError for options out of their range.

    >>> import gradengine as ge
    >>> x = ge.tensor(3.0, requires_grad=True)
    >>> optimizer = ge.optim.SGD([x], lr=0.1, momentum=0.5)
    >>> for _ in range(60):
    ...     optimizer.zero_grad()
    ...     ((x - 1) ** 2).backward()
    ...     optimizer.step()
    >>> round(x.item(), 4)
    1.0
    """

    rule = staticmethod(update("sgd", sgd))
    counts_steps = False

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        **implementation: Unpack[Implementation],
    ) -> None:
        super().__init__(
            params,
            dict(
                lr=lr,
                momentum=momentum,
                dampening=dampening,
                weight_decay=weight_decay,
                nesterov=nesterov,
                maximize=maximize,
            ),
            **implementation,
        )

    def check(self, group: Group) -> None:
        self.require_non_negative(group, "lr", "momentum", "weight_decay")
        self.require(group, "dampening")
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ArgumentError(
                f"SGD: nesterov needs a momentum above 0 and no dampening, got momentum={group['momentum']}, "
                f"dampening={group['dampening']}"
            )

    def slots(self, group: Group) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] else ()

    def scalars(self, group: Group, step: int, first: bool) -> dict[str, Any]:
        return {
            "lr": float(group["lr"]),
            "momentum": unless_zero(group["momentum"]),
            "intake": 1.0 if first else 1.0 - group["dampening"],  # the first velocity is the whole gradient
            "weight_decay": unless_zero(group["weight_decay"]),
            "nesterov": bool(group["nesterov"]),
            "maximize": bool(group["maximize"]),
        }
