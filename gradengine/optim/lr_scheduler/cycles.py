"""Schedules that go up and down again."""

from __future__ import annotations

import math
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ...errors import ArgumentError
from ...validation import check_callable, check_choice, check_flag, check_integer
from .base import LRScheduler, check_optimizer, in_range, positive, rates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..groups import Group
    from ..optimizer import Optimizer


class CosineAnnealingWarmRestarts(LRScheduler):
    """The rate along half a cosine down to `eta_min`, again and again: in `T_0` epochs, then `T_mult` times as many.

    `step(epoch)` takes fractions of epochs. Formula: Loshchilov and Hutter 2017.

    >>> import gradengine as ge
    >>> optimizer = ge.optim.SGD([ge.tensor(1.0, requires_grad=True)], lr=1.0)
    >>> scheduler = ge.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
    >>> optimizer.step(); scheduler.step(); scheduler.step()
    >>> scheduler.get_last_lr()
    [1.0]
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_0, self.T_i, self.T_mult, self.eta_min = T_0, T_0, T_mult, eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        for name in ("T_0", "T_i", "T_mult"):
            setattr(self, name, positive(self, name, getattr(self, name)))
        in_range(self, "eta_min", self.eta_min)

    def next_lr(self, lr: float, base: float) -> float:
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2

    def step(self, epoch: float | None = None) -> None:
        """Go on to the next epoch, or to `epoch`, which may be a fraction."""
        if epoch is None and self.last_epoch >= 0:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            epoch = epoch or 0
            if epoch < 0:
                raise ArgumentError(f"CosineAnnealingWarmRestarts: epoch must not be negative, got {epoch}")
            self.T_cur, self.T_i = epoch, self.T_0
            if epoch >= self.T_0 and self.T_mult == 1:
                self.T_cur = epoch % self.T_0
            elif epoch >= self.T_0:
                cycle = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
                self.T_cur = epoch - self.T_0 * (self.T_mult**cycle - 1) / (self.T_mult - 1)
                self.T_i = self.T_0 * self.T_mult**cycle
        self._step_count += 1
        self.move_to(math.floor(epoch))


class OneCycleLR(LRScheduler):
    """One cycle of `total_steps` batches: up to `max_lr` in the first `pct_start` of them, then far down.

    It starts at `max_lr / div_factor` and ends at that over `final_div_factor`. With `cycle_momentum`, momentum (or
    beta1) goes from `max_momentum` down to `base_momentum` and back. `three_phase` comes down as it went up and then
    goes to the end. Call `step()` after every batch. Formula: Smith and Topin 2019. Raises ArgumentError for settings
    that make no cycle, and when it is stepped more than `total_steps` times.

    >>> import gradengine as ge
    >>> optimizer = ge.optim.SGD([ge.tensor(1.0, requires_grad=True)], momentum=0.9)
    >>> scheduler = ge.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    >>> [round(lr, 6) for lr in scheduler.get_last_lr()]
    [0.04]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(self, optimizer)
        check_integer("OneCycleLR", "last_epoch", last_epoch, -1)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ArgumentError("OneCycleLR: give total_steps, or both epochs and steps_per_epoch")
            total_steps = positive(self, "epochs", epochs) * positive(self, "steps_per_epoch", steps_per_epoch)
        self.total_steps = positive(self, "total_steps", total_steps)
        self.anneal_strategy = anneal_strategy
        in_range(self, "div_factor", div_factor, 0, above=True)
        in_range(self, "final_div_factor", final_div_factor, 0, above=True)
        warm = float(in_range(self, "pct_start", pct_start, 0, 1)) * self.total_steps - 1
        up: list[Any] = [warm, "initial_lr", "max_lr", "max_momentum", "base_momentum"]
        if three_phase:
            down: list[Any] = [2 * warm, "max_lr", "initial_lr", "base_momentum", "max_momentum"]
            self.phases = [up, down, [self.total_steps - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum"]]
        else:
            self.phases = [up, [self.total_steps - 1, "max_lr", "min_lr", "base_momentum", "max_momentum"]]
        self.cycle_momentum = cycle_momentum
        peaks = rates(self, optimizer, "max_lr", max_lr)
        if last_epoch == -1:
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["initial_lr"] = peak / div_factor
                group["max_lr"] = peak
                group["min_lr"] = group["initial_lr"] / final_div_factor
        if cycle_momentum:
            lows, highs = momenta(self, optimizer, base_momentum, max_momentum)
            if last_epoch == -1:
                start_momenta(optimizer, lows, highs)
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        self.total_steps = positive(self, "total_steps", self.total_steps)
        check_choice("OneCycleLR", "anneal_strategy", self.anneal_strategy, ANNEALING)
        for end, *names in self.phases:
            in_range(self, "the end of a phase", end, -1)
            for name in names:
                check_choice("OneCycleLR", "a phase's end", name, PHASE_ENDS)

    def get_lr(self) -> list[float]:
        step = self.last_epoch
        if step > self.total_steps:
            raise ArgumentError(
                f"OneCycleLR: step {step}, but the cycle has total_steps={self.total_steps}; step it once per batch "
                "and make total_steps the number of all batches"
            )
        start: float = 0
        end, *names = self.phases[0]
        for following in self.phases[1:]:
            if step <= end:
                break
            start, (end, *names) = end, following
        anneal, done = ANNEALING[self.anneal_strategy], (step - start) / (end - start) if end != start else 1.0
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                set_momentum(group, anneal(group[names[2]], group[names[3]], done))
        return [anneal(group[names[0]], group[names[1]], done) for group in self.optimizer.param_groups]


class CyclicLR(LRScheduler):
    """The rate up from `base_lr` to `max_lr` in `step_size_up` batches and down again in `step_size_down`.

    `mode` "triangular2" halves the height with each cycle, "exp_range" multiplies it by `gamma` with each batch;
    `scale_fn` is your own function, of the cycle or of the batch as `scale_mode` says. With `cycle_momentum`,
    momentum (or beta1) goes the other way. Formula: Smith 2017. Raises ArgumentError for settings that make no cycle.

    >>> import gradengine as ge
    >>> optimizer = ge.optim.SGD([ge.tensor(1.0, requires_grad=True)], momentum=0.9)
    >>> scheduler = ge.optim.lr_scheduler.CyclicLR(optimizer, base_lr=0.0, max_lr=1.0, step_size_up=2)
    >>> rates = []
    >>> for _ in range(5):
    ...     rates += scheduler.get_last_lr()
    ...     optimizer.step(); scheduler.step()
    >>> rates
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | Sequence[float],
        max_lr: float | Sequence[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.8,
        max_momentum: float | Sequence[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(self, optimizer)
        check_integer("CyclicLR", "last_epoch", last_epoch, -1)
        bases = rates(self, optimizer, "base_lr", base_lr)
        self.max_lrs = rates(self, optimizer, "max_lr", max_lr)
        up = float(in_range(self, "step_size_up", step_size_up, 0, above=True))
        down = up if step_size_down is None else float(in_range(self, "step_size_down", step_size_down, 0, above=True))
        self.total_size, self.step_ratio = up + down, up / (up + down)
        self.mode = mode if scale_fn is not None else check_choice("CyclicLR", "mode", mode, SCALES)
        self.gamma = gamma
        self.scale = scale_fn if scale_fn is None else check_callable("CyclicLR", "scale_fn", scale_fn, "of one number")
        check_choice("CyclicLR", "scale_mode", scale_mode, ("cycle", "iterations"))
        self.scale_mode = scale_mode if scale_fn is not None else SCALES[mode]
        self.cycle_momentum = check_flag("CyclicLR", "cycle_momentum", cycle_momentum)
        if last_epoch == -1:
            for group, base in zip(optimizer.param_groups, bases, strict=True):
                group["lr"] = base
        if cycle_momentum:
            self.base_momentums, self.max_momentums = momenta(self, optimizer, base_momentum, max_momentum)
            if last_epoch == -1:
                start_momenta(optimizer, self.base_momentums, self.max_momentums)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = bases

    def check_settings(self) -> None:
        in_range(self, "total_size", self.total_size, 0, above=True)
        in_range(self, "step_ratio", self.step_ratio, 0, 1, above=True, below=True)
        in_range(self, "gamma", self.gamma, 0)
        check_choice("CyclicLR", "scale_mode", self.scale_mode, ("cycle", "iterations"))
        if self.scale is None:
            check_choice("CyclicLR", "mode", self.mode, SCALES)

    def scale_fn(self, x: float) -> float:
        """The factor of the height in cycle `x`, or at batch `x`."""
        if self.scale is not None:
            return self.scale(x)
        if self.mode == "exp_range":
            return self.gamma**x
        return 1 / 2.0 ** (x - 1) if self.mode == "triangular2" else 1.0

    def get_lr(self) -> list[float]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        height *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            limits = zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True)
            for group, low, high in limits:
                set_momentum(group, high - (high - low) * height)
        return [base + (peak - base) * height for base, peak in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and a function; of a callable object, its attributes."""
        state = super().state_dict()
        plain = self.scale is None or isinstance(self.scale, FunctionType)
        return {**state, "scale": None if plain else dict(vars(self.scale))}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        scale = self.scale
        super().load_state_dict(state_dict)
        saved: Any = self.scale
        self.scale = scale
        if saved is not None and scale is not None:
            vars(scale).update(saved)


# What a group holds for the ends of a OneCycleLR's phases.
PHASE_ENDS = ("initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum")
# By mode of a CyclicLR: what its factor is a function of.
SCALES = {"triangular": "cycle", "triangular2": "cycle", "exp_range": "iterations"}

ANNEALING: dict[str, Callable[[float, float, float], float]] = {
    "cos": lambda start, end, done: end + (start - end) / 2.0 * (math.cos(math.pi * done) + 1),
    "linear": lambda start, end, done: (end - start) * done + start,
}


def momenta(scheduler: LRScheduler, optimizer: Optimizer, low: Any, high: Any) -> tuple[list[Any], list[Any]]:
    """The limits of momentum, per group. Raises ArgumentError for an optimizer that has none."""
    if not {"momentum", "betas"} & set(optimizer.defaults):
        raise ArgumentError(
            f"{type(scheduler).__name__}: {type(optimizer).__name__} has no momentum to cycle; pass "
            "cycle_momentum=False"
        )
    return rates(scheduler, optimizer, "base_momentum", low), rates(scheduler, optimizer, "max_momentum", high)


def start_momenta(optimizer: Optimizer, lows: list[Any], highs: list[Any]) -> None:
    """Set each group's momentum to its largest."""
    for group, low, high in zip(optimizer.param_groups, lows, highs, strict=True):
        set_momentum(group, high)
        group["max_momentum"], group["base_momentum"] = high, low


def set_momentum(group: Group, value: float) -> None:
    """Set a group's momentum, or the first of its betas."""
    if "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value
