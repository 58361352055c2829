"""Schedules that follow one formula from the first epoch on."""

from __future__ import annotations

import math
from bisect import bisect_right
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ...errors import DTypeError, describe
from ...validation import check_callable, check_integer, check_number
from .base import LRScheduler, check_optimizer, in_range, per_group, positive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..optimizer import Optimizer


class LambdaLR(LRScheduler):
    """The initial rate times `lr_lambda(epoch)`; one function, or a list of one per group.

    >>> import gradengine as ge
    >>> optimizer = ge.optim.SGD([ge.tensor(1.0, requires_grad=True)], lr=1.0)
    >>> scheduler = ge.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
    >>> optimizer.step(); scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas = per_group(self, check_optimizer(self, optimizer), "lr_lambda", lr_lambda)
        for function in self.lr_lambdas:
            check_callable(type(self).__name__, "lr_lambda", function, "of the epoch")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        factors = [check_number("LambdaLR", "what lr_lambda returns", f(self.last_epoch)) for f in self.lr_lambdas]
        return [base * factor for base, factor in zip(self.base_lrs, factors, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and functions; of callable objects, their attributes."""
        saved = [None if isinstance(f, FunctionType) else dict(vars(f)) for f in self.lr_lambdas]
        return {**super().state_dict(), "lr_lambdas": saved}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        functions = self.lr_lambdas
        super().load_state_dict(state_dict)
        for function, attributes in zip(functions, self.lr_lambdas, strict=True):
            if attributes is not None:
                vars(function).update(attributes)
        self.lr_lambdas = functions


class MultiplicativeLR(LambdaLR):
    """The rate times `lr_lambda(epoch)` at each epoch; one function, or a list of one per group.

    >>> import gradengine as ge
    >>> optimizer = ge.optim.SGD([ge.tensor(1.0, requires_grad=True)], lr=1.0)
    >>> scheduler = ge.optim.lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 0.5)
    >>> optimizer.step(); scheduler.step(); scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def get_lr(self) -> list[float]:
        groups = self.optimizer.param_groups
        if self._starting:
            return [group["lr"] for group in groups]
        owner, epoch = "MultiplicativeLR", self.last_epoch
        factors = [check_number(owner, "what lr_lambda returns", function(epoch)) for function in self.lr_lambdas]
        return [group["lr"] * factor for group, factor in zip(groups, factors, strict=True)]


class StepLR(LRScheduler):
    """The rate times `gamma` every `step_size` epochs.

    >>> import gradengine as ge
    >>> optimizer = ge.optim.SGD([ge.tensor(1.0, requires_grad=True)], lr=1.0)
    >>> scheduler = ge.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    >>> optimizer.step(); scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        self.step_size = positive(self, "step_size", self.step_size)
        in_range(self, "gamma", self.gamma)

    def next_lr(self, lr: float, base: float) -> float:
        return lr if self.last_epoch == 0 or self.last_epoch % self.step_size else lr * self.gamma

    def lr_at(self, base: float) -> float:
        return base * self.gamma ** (self.last_epoch // self.step_size)


class MultiStepLR(LRScheduler):
    """The rate times `gamma` at each of the epochs `milestones`.

    >>> import gradengine as ge
    >>> optimizer = ge.optim.SGD([ge.tensor(1.0, requires_grad=True)], lr=1.0)
    >>> scheduler = ge.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
    >>> optimizer.step(); scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones: Any = milestones
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        self.milestones = sorted(epochs_of(self, "milestones", self.milestones))
        in_range(self, "gamma", self.gamma)

    def next_lr(self, lr: float, base: float) -> float:
        return lr * self.gamma ** self.milestones.count(self.last_epoch)

    def lr_at(self, base: float) -> float:
        return base * self.gamma ** bisect_right(self.milestones, self.last_epoch)


class ConstantLR(LRScheduler):
    """The rate times `factor` until epoch `total_iters`, then the full rate.

    >>> import gradengine as ge
    >>> optimizer = ge.optim.SGD([ge.tensor(1.0, requires_grad=True)], lr=1.0)
    >>> ge.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=4).get_last_lr()
    [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        in_range(self, "factor", self.factor, 0, 1)
        self.total_iters = positive(self, "total_iters", self.total_iters)

    def next_lr(self, lr: float, base: float) -> float:
        if self.last_epoch == 0:
            return lr * self.factor
        if self.last_epoch != self.total_iters:
            return lr
        return lr * (1.0 / self.factor) if self.factor else base  # from 0, no factor leads back

    def lr_at(self, base: float) -> float:
        return base if self.last_epoch >= self.total_iters else base * self.factor


class LinearLR(LRScheduler):
    """The rate times a factor that goes in a line from `start_factor` to `end_factor` in `total_iters` epochs.

    >>> import gradengine as ge
    >>> optimizer = ge.optim.SGD([ge.tensor(1.0, requires_grad=True)], lr=1.0)
    >>> scheduler = ge.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> optimizer.step(); scheduler.step()
    >>> scheduler.get_last_lr()
    [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        in_range(self, "start_factor", self.start_factor, 0, 1, above=True)
        in_range(self, "end_factor", self.end_factor, 0, 1)
        self.total_iters = positive(self, "total_iters", self.total_iters)

    def next_lr(self, lr: float, base: float) -> float:
        if self.last_epoch == 0:
            return lr * self.start_factor
        if self._starting or self.last_epoch > self.total_iters:
            return lr
        rise = self.end_factor - self.start_factor
        return lr * (1.0 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise))

    def lr_at(self, base: float) -> float:
        done = min(self.total_iters, self.last_epoch) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * done)


class ExponentialLR(LRScheduler):
    """The rate times `gamma` every epoch.

    >>> import gradengine as ge
    >>> optimizer = ge.optim.SGD([ge.tensor(1.0, requires_grad=True)], lr=1.0)
    >>> scheduler = ge.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> optimizer.step(); scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        in_range(self, "gamma", self.gamma)

    def next_lr(self, lr: float, base: float) -> float:
        return lr if self._starting else lr * self.gamma

    def lr_at(self, base: float) -> float:
        return base * self.gamma**self.last_epoch


class PolynomialLR(LRScheduler):
    """The initial rate times `(1 - epoch / total_iters) ** power`, which is 0 from `total_iters` on.

    >>> import gradengine as ge
    >>> optimizer = ge.optim.SGD([ge.tensor(1.0, requires_grad=True)], lr=1.0)
    >>> scheduler = ge.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=4, power=2.0)
    >>> optimizer.step(); scheduler.step(); scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        self.total_iters = positive(self, "total_iters", self.total_iters)
        in_range(self, "power", self.power, 0)

    def next_lr(self, lr: float, base: float) -> float:
        if self._starting or self.last_epoch > self.total_iters:
            return lr
        now, before = (1.0 - epoch / self.total_iters for epoch in (self.last_epoch, self.last_epoch - 1))
        return lr * (now / before) ** self.power

    def lr_at(self, base: float) -> float:
        return base * (1.0 - min(self.total_iters, self.last_epoch) / self.total_iters) ** self.power


class CosineAnnealingLR(LRScheduler):
    """The rate along half a cosine from its start down to `eta_min` in `T_max` epochs, then up again.

    Formula: Loshchilov and Hutter 2017, without the restarts.

    >>> import gradengine as ge
    >>> optimizer = ge.optim.SGD([ge.tensor(1.0, requires_grad=True)], lr=1.0)
    >>> scheduler = ge.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    >>> optimizer.step(); scheduler.step()
    >>> [round(lr, 6) for lr in scheduler.get_last_lr()]
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        self.T_max = positive(self, "T_max", self.T_max)
        in_range(self, "eta_min", self.eta_min)

    def next_lr(self, lr: float, base: float) -> float:
        if self._starting:
            return lr
        if self._step_count == 1 and self.last_epoch > 0:
            return self.lr_at(base)
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # at the bottom a ratio would divide by zero
            return lr + (base - self.eta_min) * (1 - math.cos(math.pi / self.T_max)) / 2
        now, before = (1 + math.cos(math.pi * t / self.T_max) for t in (self.last_epoch, self.last_epoch - 1))
        if before == 0.0:  # a cosine that is rounded to -1, near the bottom of a long schedule
            return self.lr_at(base)
        return now / before * (lr - self.eta_min) + self.eta_min

    def lr_at(self, base: float) -> float:
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2


def epochs_of(scheduler: LRScheduler, name: str, value: Any) -> list[int]:
    """A list of numbers of epochs. Raises typed errors for what is none."""
    owner = type(scheduler).__name__
    if isinstance(value, (str, set, frozenset)) or not hasattr(value, "__iter__"):
        raise DTypeError(f"{owner}: {name} must be a list of epochs, got {describe(value)}")
    return [check_integer(owner, f"each of {name}", epoch, 0) for epoch in value]
