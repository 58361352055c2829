"""Schedules one after the other. May import errors and this package's other files."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from ...errors import ArgumentError, CheckpointError, describe
from .base import LRScheduler, check_optimizer
from .plateau import ReduceLROnPlateau

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..optimizer import Optimizer


class SequentialLR(LRScheduler):
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
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        for i, scheduler in enumerate(self.schedulers):
            if not isinstance(scheduler, LRScheduler) or isinstance(scheduler, ReduceLROnPlateau):
                raise ArgumentError(
                    f"SequentialLR: schedulers[{i}] cannot be one of a sequence: {describe(scheduler)}"
                    + ("; its step() needs a metric" if isinstance(scheduler, ReduceLROnPlateau) else "")
                )
            if scheduler.optimizer is not optimizer:
                raise ArgumentError(f"SequentialLR: schedulers[{i}] belongs to another optimizer")
        if not self.schedulers or len(self.milestones) != len(self.schedulers) - 1:
            raise ArgumentError(
                f"SequentialLR: {len(self.schedulers)} schedulers need {max(len(self.schedulers) - 1, 0)} milestones, "
                f"got {len(self.milestones)}"
            )
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

    def state_dict(self) -> dict[str, Any]:
        """The state of the sequence and of each of its schedules."""
        return {**super().state_dict(), "schedulers": [scheduler.state_dict() for scheduler in self.schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        schedulers = self.schedulers
        if len(state_dict.get("schedulers", ())) != len(schedulers):
            raise CheckpointError(
                f"load_state_dict: the state is not that of a sequence of {len(schedulers)} schedules"
            )
        for scheduler, state in zip(schedulers, state_dict["schedulers"], strict=True):
            scheduler.load_state_dict(state)
        super().load_state_dict(state_dict)
        self.schedulers = schedulers
