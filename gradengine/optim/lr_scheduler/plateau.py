"""A schedule that follows a metric instead of the epochs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ...errors import DTypeError, describe
from ...validation import check_choice, check_integer
from .base import LRScheduler, check_optimizer, current_rates, in_range, per_group, rates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """The rate times `factor` when a metric has not improved for more than `patience` epochs: `step(metric)`.

    `mode` "min" or "max" says which way is better; an improvement is larger than `threshold`, relative ("rel") or
    absolute ("abs"). After a reduction, `cooldown` epochs do not count. The rate stays above `min_lr`, and is not
    changed by less than `eps`. Raises ArgumentError for settings out of their range.

    >>> import gradengine as ge
    >>> optimizer = ge.optim.SGD([ge.tensor(1.0, requires_grad=True)], lr=1.0)
    >>> scheduler = ge.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in (1.0, 1.0, 1.0):
    ...     scheduler.step(loss)
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        self.optimizer = check_optimizer(self, optimizer)
        self.mode, self.factor, self.patience, self.cooldown, self.eps = mode, factor, patience, cooldown, eps
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.min_lr = min_lr
        self.check_settings()
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = current_rates(optimizer)

    def check_settings(self) -> None:
        owner = type(self).__name__
        in_range(self, "factor", self.factor, 0, 1, below=True)
        check_choice(owner, "mode", self.mode, ("min", "max"))
        check_choice(owner, "threshold_mode", self.threshold_mode, ("rel", "abs"))
        for name in ("patience", "cooldown"):
            setattr(self, name, check_integer(owner, name, getattr(self, name), 0))
        in_range(self, "threshold", self.threshold)
        in_range(self, "eps", self.eps, 0)
        rates(self, self.optimizer, "min_lr", self.min_lr)  # a list stays short until a group is added, so not kept

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """Note this epoch's metric, and reduce the rates when it has not improved for too long."""
        try:
            current = float(metrics)
        except (TypeError, ValueError):
            raise DTypeError(f"ReduceLROnPlateau.step: metrics must be one number, got {describe(metrics)}") from None
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self.is_better(current):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self.reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = current_rates(self.optimizer)

    def is_better(self, current: float) -> bool:
        """Whether a metric improves on the best so far by more than the threshold."""
        sign = 1 if self.mode == "max" else -1
        relative = self.threshold_mode == "rel"
        bound = self.best * (1 + sign * self.threshold) if relative else self.best + sign * self.threshold
        return current > bound if self.mode == "max" else current < bound

    def reduce(self) -> None:
        """Multiply the rates by the factor, down to their minimum."""
        minima = per_group(self, self.optimizer, "min_lr", self.min_lr)
        for group, least in zip(self.optimizer.param_groups, minima, strict=True):
            reduced = max(group["lr"] * self.factor, least)
            if group["lr"] - reduced > self.eps:
                group["lr"] = reduced
