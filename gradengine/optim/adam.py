"""Adam and AdamW: steps scaled by running averages of the gradient and its square.

May import ops.declare and this package's base.
"""

from __future__ import annotations

from typing import Any, Unpack

from ..ops.declare import update
from .groups import Group, Implementation
from .optimizer import Optimizer
from .rules import loss_gradient, unless_zero


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
    if shrink is not None:
        p = p * shrink
    mean = mean + intake1 * (g - mean)
    square = beta2 * square + intake2 * (g * g)
    if not amsgrad:
        return p - step_size * mean / (k.sqrt(square) / root_correction + eps), mean, square
    largest = k.maximum(largest_and_g[0], square)
    return p - step_size * mean / (k.sqrt(largest) / root_correction + eps), mean, square, largest


class Adam(Optimizer):
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

    def check(self, group: Group) -> None:
        self.require_non_negative(group, "lr", "eps", "weight_decay")
        self.require_betas(group)

    def slots(self, group: Group) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if group["amsgrad"] else ("exp_avg", "exp_avg_sq")

    def scalars(self, group: Group, step: int, first: bool) -> dict[str, Any]:
        lr, (beta1, beta2), decay = float(group["lr"]), group["betas"], unless_zero(group["weight_decay"])
        return {
            "step_size": lr / (1 - beta1**step),
            "intake1": 1.0 - beta1,
            "beta2": float(beta2),
            "intake2": 1.0 - beta2,
            "root_correction": (1 - beta2**step) ** 0.5,
            "eps": float(group["eps"]),
            "weight_decay": None if self.decoupled else decay,
            "shrink": 1 - lr * decay if self.decoupled and decay is not None else None,
            "amsgrad": bool(group["amsgrad"]),
            "maximize": bool(group["maximize"]),
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
