"""What the update rules share. A rule is pointwise: `rule(k, p, *slots, g, **scalars)` -> the new p and slots.

Bools and None among the scalars decide which formula it is; floats may change with every step. An average takes in
`intake` of what is new: 1 minus its decay, subtracted in float64, because float32 would lose digits.
"""

from __future__ import annotations

from typing import Any


def unless_zero(value: Any) -> float | None:
    """An option as a rule's scalar; None, which leaves the term out, when it is 0."""
    return float(value) if value else None


def loss_gradient(p: Any, g: Any, weight_decay: float | None, maximize: bool) -> Any:
    """The gradient of the loss with its L2 penalty, or of minus the objective that is to grow."""
    g = -g if maximize else g
    return g if weight_decay is None else g + weight_decay * p


def shrunk(p: Any, shrink: float | None) -> Any:
    """The parameter after decoupled weight decay."""
    return p if shrink is None else p * shrink


def moments(mean: Any, square: Any, g: Any, intake1: float, beta2: float, intake2: float) -> tuple[Any, Any]:
    """Adam's running averages of the gradient and of its square."""
    return mean + intake1 * (g - mean), beta2 * square + intake2 * (g * g)
