"""Schedules one after the other, and schedules at once."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from ...errors import ArgumentError, CheckpointError, DTypeError, describe
from ...validation import check_integer
from .base import LRScheduler, check_optimizer, current_rates
from .decay import epochs_of
from .plateau import ReduceLROnPlateau

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..optimizer import Optimizer


class Composed(LRScheduler):
    """A schedule that is made of others: its state has theirs."""

    schedulers: list[LRScheduler]

    def state_dict(self) -> dict[str, Any]:
        """The state of the whole and of each of its schedules."""
        return {**super().state_dict(), "schedulers": [scheduler.state_dict() for scheduler in self.schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a saved state. Raises CheckpointError for one of other schedules."""
        schedulers = self.schedulers
        load_parts(schedulers, state_dict)
        super().load_state_dict(state_dict)
        self.schedulers = schedulers


class SequentialLR(Composed):
    """Several schedules, one after the other: the next one takes over at each of the epochs `milestones`.

    Raises ArgumentError unless there is one milestone fewer than schedules, all of them of this optimizer.

    >>> import gradengine as ge
    >>> from gradengine.optim.lr_scheduler import ConstantLR, ExponentialLR, SequentialLR
    >>> optimizer = ge.optim.SGD([ge.tensor(1.0, requires_grad=True)], lr=1.0)
    >>> parts = [ConstantLR(optimizer, factor=0.1), ExponentialLR(optimizer, gamma=0.5)]
    >>> scheduler = SequentialLR(optimizer, parts, milestones=[1])
    >>> rates = []
    >>> for _ in range(4):
    ...     rates += scheduler.get_last_lr()
    ...     optimizer.step(); scheduler.step()
    >>> rates
    [0.1, 1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = check_optimizer(self, optimizer)
        self.schedulers, self.milestones = (
            parts_of(self, schedulers, optimizer),
            epochs_of(self, "milestones", milestones),
        )
        if not self.schedulers or len(self.milestones) != len(self.schedulers) - 1:
            raise ArgumentError(
                f"SequentialLR: {len(self.schedulers)} schedulers need {max(len(self.schedulers) - 1, 0)} milestones, "
                f"got {len(self.milestones)}"
            )
        if self.milestones != sorted(self.milestones):
            raise ArgumentError(f"SequentialLR: milestones must rise, got {self.milestones}")
        check_integer("SequentialLR", "last_epoch", last_epoch, -1)
        self.last_epoch = last_epoch + 1
        # Each schedule has set its first rate when it was made; only the first of them was meant to.
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self.undo()
        first = self.schedulers[bisect_right(self.milestones, 0)]
        first.start()
        self._last_lr = first.get_last_lr()

    def undo(self) -> None:
        """Put every schedule in the sequence back before its first epoch."""
        for scheduler in self.schedulers:
            if isinstance(scheduler, SequentialLR):
                scheduler.undo()
            else:
                scheduler.last_epoch -= 1

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch."""
        self.last_epoch += 1
        current = bisect_right(self.milestones, self.last_epoch)
        scheduler = self.schedulers[current]
        if current > 0 and self.milestones[current - 1] == self.last_epoch:
            scheduler.move_to(0, jump=True)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(Composed):
    """Several schedules at once: each `step()` is a step of all of them, and their factors multiply.

    Raises ArgumentError unless all schedules are of one optimizer, DTypeError for anything that is not a schedule.

    >>> import gradengine as ge
    >>> from gradengine.optim.lr_scheduler import ChainedScheduler, ConstantLR, ExponentialLR
    >>> optimizer = ge.optim.SGD([ge.tensor(1.0, requires_grad=True)], lr=1.0)
    >>> parts = [ConstantLR(optimizer, factor=0.5, total_iters=9), ExponentialLR(optimizer, gamma=0.5)]
    >>> scheduler = ChainedScheduler(parts)
    >>> optimizer.step(); scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        held: list[Any] = list(schedulers) if hasattr(schedulers, "__iter__") else [schedulers]
        if not held:
            raise ArgumentError("ChainedScheduler: needs at least one schedule, got none")
        known = getattr(held[0], "optimizer", None) if optimizer is None else check_optimizer(self, optimizer)
        self.schedulers = parts_of(self, held, known)
        self.optimizer = held[0].optimizer
        self._last_lr = current_rates(self.optimizer)

    def step(self, epoch: int | None = None) -> None:
        """Move all schedules to the next epoch."""
        for scheduler in self.schedulers:
            scheduler.step()
        self._last_lr = current_rates(self.optimizer)


def parts_of(owner: LRScheduler, schedulers: Any, optimizer: Any) -> list[LRScheduler]:
    """The schedules that another one is made of. Raises typed errors for what cannot be part of it."""
    name = type(owner).__name__
    if not hasattr(schedulers, "__iter__"):
        raise DTypeError(f"{name}: schedulers must be a list of schedules, got {describe(schedulers)}")
    parts = list(schedulers)
    for i, scheduler in enumerate(parts):
        if not isinstance(scheduler, LRScheduler) or isinstance(scheduler, ReduceLROnPlateau):
            raise ArgumentError(
                f"{name}: schedulers[{i}] cannot be one of a sequence: {describe(scheduler)}"
                + ("; its step() needs a metric" if isinstance(scheduler, ReduceLROnPlateau) else "")
            )
        if scheduler.optimizer is not optimizer:
            raise ArgumentError(f"{name}: schedulers[{i}] belongs to another optimizer")
    return parts


def load_parts(schedulers: list[LRScheduler], state_dict: Mapping[str, Any]) -> None:
    """Load the state of each schedule. Raises CheckpointError where there is another number of them."""
    states = state_dict.get("schedulers") if hasattr(state_dict, "get") else None
    if not isinstance(states, (list, tuple)) or len(states) != len(schedulers):
        raise CheckpointError(f"load_state_dict: the state is not that of a sequence of {len(schedulers)} schedules")
    for scheduler, state in zip(schedulers, states, strict=True):
        scheduler.load_state_dict(state)
