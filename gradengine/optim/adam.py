"""Adam and AdamW: steps scaled by running averages of the gradient and its square."""

from __future__ import annotations

from typing import Any, Unpack

from ..ops.declare import update
from .groups import Group, Implementation
from .optimizer import Optimizer
from .rules import loss_gradient, moments, shrunk, unless_zero


def adam(
    k: Any,
    p: Any,
    mean: Any,
    square: Any,
    *largest_and_g: Any,
    step_size: float,
    intake1: float,
    beta2: float,
    intake2: float,
    root_correction: float,
    eps: float,
    weight_decay: float | None,
    shrink: float | None,
    amsgrad: bool,
    maximize: bool,
) -> tuple[Any, ...]:
    g = loss_gradient(p, largest_and_g[-1], weight_decay, maximize)
    p = shrunk(p, shrink)
    mean, square = moments(mean, square, g, intake1, beta2, intake2)
    if not amsgrad:
        return p - step_size * mean / (k.sqrt(square) / root_correction + eps), mean, square
    largest = k.maximum(largest_and_g[0], square)
    return p - step_size * mean / (k.sqrt(largest) / root_correction + eps), mean, square, largest


class AdamFamily(Optimizer):
    """The base of Adam and its variants, whose options `betas` and `eps` shape two running averages."""

    def check(self, group: Group) -> None:
        self.require_non_negative(group, "lr", "eps", "weight_decay")
        self.require_betas(group)

    def slots(self, group: Group) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def averaging(self, group: Group) -> dict[str, Any]:
        """The scalars of the averages."""
        beta1, beta2 = group["betas"]
        intakes = {"intake1": 1.0 - beta1, "beta2": float(beta2), "intake2": 1.0 - beta2}
        return {**intakes, "eps": float(group["eps"]), "maximize": bool(group["maximize"])}

    def decay(self, group: Group, lr: float, decoupled: bool) -> dict[str, Any]:
        """The scalars of weight decay, which goes into the gradient or, decoupled, shrinks the parameter."""
        decay = unless_zero(group["weight_decay"])
        if decoupled:
            return {"weight_decay": None, "shrink": None if decay is None else 1 - lr * decay}
        return {"weight_decay": decay, "shrink": None}


class Adam(AdamFamily):
    """Adam: `p -= lr * m / (sqrt(v) + eps)` with bias-corrected averages m of the gradient and v of its square.

    `weight_decay` adds its multiple of `p` to the gradient; `amsgrad` divides by the largest v so far; `maximize`
    climbs instead. Formulas and defaults are those of `torch.optim.Adam` (Kingma and Ba 2015; Reddi et al. 2018).
    Raises ArgumentError for options out of their range.

    >>> import gradengine as ge
    >>> x = ge.tensor(3.0, requires_grad=True)
    >>> optimizer = ge.optim.Adam([x], lr=0.1)
    >>> for _ in range(300):
    ...     optimizer.zero_grad()
    ...     ((x - 1) ** 2).backward()
    ...     optimizer.step()
    >>> round(x.item(), 2)
    1.0
    """

    rule = staticmethod(update("adam", adam))
    decoupled = False  # whether weight decay shrinks p itself, as AdamW's does

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
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
                amsgrad=amsgrad,
                maximize=maximize,
                **implementation,
            ),
            **implementation,
        )

    def slots(self, group: Group) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if group["amsgrad"] else ("exp_avg", "exp_avg_sq")

    def scalars(self, group: Group, step: int, first: bool) -> dict[str, Any]:
        lr, (beta1, beta2) = float(group["lr"]), group["betas"]
        return {
            **self.averaging(group),
            **self.decay(group, lr, self.decoupled),
            "step_size": lr / (1 - beta1**step),
            "root_correction": (1 - beta2**step) ** 0.5,
            "amsgrad": bool(group["amsgrad"]),
        }


class AdamW(Adam):
    """Adam whose weight decay shrinks `p` by `lr * weight_decay` and stays out of the averages.

    Formulas and defaults are those of `torch.optim.AdamW` (Loshchilov and Hutter 2019). Raises ArgumentError for
    options out of their range.

    >>> import gradengine as ge
    >>> x = ge.tensor(1.0, requires_grad=True)
    >>> optimizer = ge.optim.AdamW([x], lr=0.1, weight_decay=0.5)
    >>> (0 * x).backward()
    >>> optimizer.step()
    >>> round(x.item(), 4)
    0.95
    """

    decoupled = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        **implementation: Unpack[Implementation],
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, **implementation)
