"""ASGD and Rprop: descent whose result is an average, and descent by signs."""

from __future__ import annotations

from typing import Any, Unpack

from ..errors import ArgumentError, describe
from ..ops.declare import update
from .groups import Group, Implementation
from .optimizer import Optimizer, is_pair
from .rules import loss_gradient, unless_zero


def asgd(
    k: Any,
    p: Any,
    average: Any,
    g: Any,
    *,
    rate: float,
    shrink: float,
    share: float,
    weight_decay: float | None,
    maximize: bool,
) -> tuple[Any, ...]:
    g = loss_gradient(p, g, weight_decay, maximize)
    p = p * shrink - rate * g
    return p, average + share * (p - average)


class ASGD(Optimizer):
    """Averaged stochastic gradient descent: `state[p]["ax"]` is the mean of `p` over the steps after `t0`.

    The rate falls as `lr / (1 + lambd * lr * step) ** alpha`. Formulas and defaults are those of `torch.optim.ASGD`
    (Polyak and Juditsky 1992). Raises ArgumentError for options out of their range.

    >>> import gradengine as ge
    >>> x = ge.tensor(3.0, requires_grad=True)
    >>> optimizer = ge.optim.ASGD([x], lr=0.1)
    >>> (x ** 2).backward()
    >>> optimizer.step()
    >>> round(x.item(), 4)
    2.4
    """

    rule = staticmethod(update("asgd", asgd))
    shares_scalars = False
    numbers = ("eta", "mu")  # the rate of the next step, and the share of its result in the average

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **implementation: Unpack[Implementation],
    ) -> None:
        defaults = dict(lr=lr, lambd=lambd, alpha=alpha, t0=t0, weight_decay=weight_decay, maximize=maximize)
        super().__init__(params, defaults, **implementation)

    def check(self, group: Group) -> None:
        self.require_non_negative(group, "lr", "weight_decay", "lambd", "alpha", "t0")

    def slots(self, group: Group) -> tuple[str, ...]:
        return ("ax",)

    def scalars_of(self, group: Group, state: dict[str, Any], first: bool) -> dict[str, Any]:
        lr, step = float(group["lr"]), state["step"]
        rate, share = state.get("eta", lr), state.get("mu", 1.0)
        state["eta"] = lr / (1 + group["lambd"] * lr * step) ** group["alpha"]
        state["mu"] = 1.0 / max(1.0, step - group["t0"])
        return {
            "rate": rate,
            "shrink": 1 - group["lambd"] * rate,
            "share": share,
            "weight_decay": unless_zero(group["weight_decay"]),
            "maximize": bool(group["maximize"]),
        }


def rprop(
    k: Any,
    p: Any,
    previous: Any,
    size: Any,
    g: Any,
    *,
    shorter: float,
    longer: float,
    least: float,
    largest: float,
    maximize: bool,
) -> tuple[Any, ...]:
    g = -g if maximize else g
    agreement = g * previous
    turned = k.less(agreement, 0)
    size = k.where(k.greater(agreement, 0), size * longer, k.where(turned, size * shorter, size))
    size = k.minimum(k.maximum(size, least), largest)
    g = k.where(turned, 0.0, g)
    return p - k.sign(g) * size, g, size


class Rprop(Optimizer):
    """Resilient backpropagation: each element has a step size of its own; only the gradient's sign counts.

    A size grows by `etas[1]` while the sign stays and shrinks by `etas[0]` when it changes, within `step_sizes`. It
    is made for gradients of the whole data set. Formulas and defaults are those of `torch.optim.Rprop` (Riedmiller
    and Braun 1993). Raises ArgumentError for options out of their range.

    >>> import gradengine as ge
    >>> x = ge.tensor(3.0, requires_grad=True)
    >>> optimizer = ge.optim.Rprop([x], lr=0.5)
    >>> (x ** 2).backward()
    >>> optimizer.step()
    >>> round(x.item(), 4)
    2.5
    """

    rule = staticmethod(update("rprop", rprop))

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
        **implementation: Unpack[Implementation],
    ) -> None:
        super().__init__(params, dict(lr=lr, etas=etas, step_sizes=step_sizes, maximize=maximize), **implementation)

    def check(self, group: Group) -> None:
        self.require_non_negative(group, "lr")
        etas, sizes = group["etas"], group["step_sizes"]
        if not is_pair(etas) or not 0 < etas[0] < 1 < etas[1]:
            raise ArgumentError(f"Rprop: etas must be a factor from 0 to 1 and one above 1, got {describe(etas)}")
        if not is_pair(sizes) or not 0 <= sizes[0] <= sizes[1]:
            raise ArgumentError(f"Rprop: step_sizes must be the least and the largest size, got {describe(sizes)}")

    def slots(self, group: Group) -> tuple[str, ...]:
        return ("prev", "step_size")

    def initial(self, group: Group, slot: str) -> float:
        return float(group["lr"]) if slot == "step_size" else 0.0

    def scalars(self, group: Group, step: int, first: bool) -> dict[str, Any]:
        (shorter, longer), (least, largest) = group["etas"], group["step_sizes"]
        return {
            "shorter": float(shorter),
            "longer": float(longer),
            "least": float(least),
            "largest": float(largest),
            "maximize": bool(group["maximize"]),
        }
