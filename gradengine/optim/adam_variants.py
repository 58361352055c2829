"""Adamax, NAdam and RAdam: Adam with another norm, with Nesterov's momentum, and with a rectified variance."""

from __future__ import annotations

from typing import Any, Unpack

from ..ops.declare import update
from .adam import AdamFamily
from .groups import Group, Implementation
from .rules import loss_gradient, moments, shrunk, unless_zero


def adamax(
    k: Any,
    p: Any,
    mean: Any,
    largest: Any,
    g: Any,
    *,
    step_size: float,
    intake1: float,
    beta2: float,
    eps: float,
    weight_decay: float | None,
    maximize: bool,
) -> tuple[Any, ...]:
    g = loss_gradient(p, g, weight_decay, maximize)
    mean = mean + intake1 * (g - mean)
    largest = k.maximum(beta2 * largest, k.abs(g) + eps)
    return p - step_size * mean / largest, mean, largest


class Adamax(AdamFamily):
    """Adam whose divisor is the largest gradient so far, which decays by beta2, instead of a root mean square.

    Formulas and defaults are those of `torch.optim.Adamax` (Kingma and Ba 2015, section 7.1). Raises ArgumentError
    for options out of their range.

    >>> import gradengine as ge
    >>> x = ge.tensor(3.0, requires_grad=True)
    >>> optimizer = ge.optim.Adamax([x], lr=0.5)
    >>> (x ** 2).backward()
    >>> optimizer.step()
    >>> round(x.item(), 4)
    2.5
    """

    rule = staticmethod(update("adamax", adamax))

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **implementation: Unpack[Implementation],
    ) -> None:
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize)
        super().__init__(params, defaults, **implementation)

    def slots(self, group: Group) -> tuple[str, ...]:
        return ("exp_avg", "exp_inf")

    def scalars(self, group: Group, step: int, first: bool) -> dict[str, Any]:
        beta1, beta2 = group["betas"]
        return {
            "step_size": group["lr"] / (1 - beta1**step),
            "intake1": 1.0 - beta1,
            "beta2": float(beta2),
            "eps": float(group["eps"]),
            "weight_decay": unless_zero(group["weight_decay"]),
            "maximize": bool(group["maximize"]),
        }


def nadam(
    k: Any,
    p: Any,
    mean: Any,
    square: Any,
    g: Any,
    *,
    of_gradient: float,
    of_mean: float,
    intake1: float,
    beta2: float,
    intake2: float,
    correction: float,
    eps: float,
    weight_decay: float | None,
    shrink: float | None,
    maximize: bool,
) -> tuple[Any, ...]:
    g = loss_gradient(p, g, weight_decay, maximize)
    p = shrunk(p, shrink)
    mean, square = moments(mean, square, g, intake1, beta2, intake2)
    return p - (of_gradient * g + of_mean * mean) / (k.sqrt(square / correction) + eps), mean, square


class NAdam(AdamFamily):
    """Adam with Nesterov's momentum, whose momentum grows with the steps as `momentum_decay` says.

    `decoupled_weight_decay` shrinks `p` itself, as AdamW does. Formulas and defaults are those of `torch.optim.NAdam`
    (Dozat 2016). Raises ArgumentError for options out of their range.

    >>> import gradengine as ge
    >>> x = ge.tensor(3.0, requires_grad=True)
    >>> optimizer = ge.optim.NAdam([x], lr=0.1)
    >>> for _ in range(200):
    ...     optimizer.zero_grad()
    ...     ((x - 1) ** 2).backward()
    ...     optimizer.step()
    >>> round(x.item(), 2)
    1.0
    """

    rule = staticmethod(update("nadam", nadam))
    shares_scalars = False
    numbers = ("mu_product",)  # of all momenta so far

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **implementation: Unpack[Implementation],
    ) -> None:
        super().__init__(
            params,
            dict(
                lr=lr,
                betas=betas,
                eps=eps,
                weight_decay=weight_decay,
                momentum_decay=momentum_decay,
                decoupled_weight_decay=decoupled_weight_decay,
                maximize=maximize,
            ),
            **implementation,
        )

    def check(self, group: Group) -> None:
        super().check(group)
        self.require_non_negative(group, "momentum_decay")

    def scalars_of(self, group: Group, state: dict[str, Any], first: bool) -> dict[str, Any]:
        lr, (beta1, beta2), step = group["lr"], group["betas"], state["step"]
        now, following = (beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1))
        product = state["mu_product"] = state.get("mu_product", 1.0) * now
        return {
            **self.averaging(group),
            **self.decay(group, lr, group["decoupled_weight_decay"]),
            "of_gradient": lr * (1 - now) / (1 - product),
            "of_mean": lr * following / (1 - product * following),
            "correction": 1.0 - beta2**step,
        }


def radam(
    k: Any,
    p: Any,
    mean: Any,
    square: Any,
    g: Any,
    *,
    plain: float,
    adaptive: float,
    intake1: float,
    beta2: float,
    intake2: float,
    eps: float,
    weight_decay: float | None,
    shrink: float | None,
    maximize: bool,
) -> tuple[Any, ...]:
    g = loss_gradient(p, g, weight_decay, maximize)
    p = shrunk(p, shrink)
    mean, square = moments(mean, square, g, intake1, beta2, intake2)
    return p - mean * (plain + adaptive / (k.sqrt(square) + eps)), mean, square


class RAdam(AdamFamily):
    """Adam that takes plain momentum steps until the variance is known well enough, and rectifies its scale then.

    `decoupled_weight_decay` shrinks `p` itself, as AdamW does. Formulas and defaults are those of `torch.optim.RAdam`
    (Liu et al. 2020). Raises ArgumentError for options out of their range.

    >>> import gradengine as ge
    >>> x = ge.tensor(3.0, requires_grad=True)
    >>> optimizer = ge.optim.RAdam([x], lr=0.1)
    >>> (x ** 2).backward()
    >>> optimizer.step()
    >>> round(x.item(), 4)
    2.4
    """

    rule = staticmethod(update("radam", radam))

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **implementation: Unpack[Implementation],
    ) -> None:
        super().__init__(
            params,
            dict(
                lr=lr,
                betas=betas,
                eps=eps,
                weight_decay=weight_decay,
                decoupled_weight_decay=decoupled_weight_decay,
                maximize=maximize,
            ),
            **implementation,
        )

    def scalars(self, group: Group, step: int, first: bool) -> dict[str, Any]:
        lr, (beta1, beta2) = group["lr"], group["betas"]
        step_size, correction = lr / (1 - beta1**step), 1 - beta2**step
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * step * beta2**step / correction
        rectified = length > 5
        scale = 0.0
        if rectified:
            ratio = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            scale = step_size * (correction * ratio) ** 0.5
        return {
            **self.averaging(group),
            **self.decay(group, lr, group["decoupled_weight_decay"]),
            "plain": 0.0 if rectified else step_size,
            "adaptive": scale,
            "eps": float(group["eps"]) if rectified else 1.0,  # 0 / 0 is NaN, also where the term is left out
        }
