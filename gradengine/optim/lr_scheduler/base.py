"""The base of all schedules, and how they check their settings."""

from __future__ import annotations

import copy
import functools
import math
import warnings
from typing import TYPE_CHECKING, Any

from ...core.host_callbacks import host_callback
from ...errors import ArgumentError, CheckpointError, DTypeError, describe
from ...validation import check_integer, check_number, is_number, known_class, known_words
from ..optimizer import Optimizer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@known_class
class LRScheduler:
    """The base of all schedules. A subclass defines `next_lr`, or `get_lr` as in PyTorch.

    `last_epoch` is the number of the epoch to continue after; -1 starts at the beginning. Raises DTypeError when
    `optimizer` is none, ArgumentError when it has never been scheduled but `last_epoch` says so.

    >>> import gradengine as ge
    >>> class HalveEachTime(ge.optim.lr_scheduler.LRScheduler):
    ...     def next_lr(self, lr, base):
    ...         return base if self.last_epoch == 0 else lr / 2
    >>> optimizer = ge.optim.SGD([ge.tensor(1.0, requires_grad=True)], lr=1.0)
    >>> scheduler = HalveEachTime(optimizer)
    >>> optimizer.step(); scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    # lr_at(base) is the rate at last_epoch, where a formula gives it without the rates before; SequentialLR and
    # step(epoch) jump with it.
    lr_at: Callable[[float], float] | None = None

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = check_optimizer(self, optimizer)
        check_integer(type(self).__name__, "last_epoch", last_epoch, -1)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ArgumentError(
                    f"{type(self).__name__}: last_epoch={last_epoch} continues a schedule, but param_groups[{i}] has "
                    "no initial_lr; load the optimizer's state_dict first"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.check_settings()
        self.start()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = on_the_host(cls.step)  # type: ignore[method-assign]
        if cls.__module__.startswith("gradengine."):
            known_class(cls)

    def standing(self) -> Callable[[], None]:
        """What goes back to where the schedule and the rates stand now."""
        groups = self.optimizer.param_groups
        state = copy.deepcopy(self.state_dict())
        options = [{key: value for key, value in group.items() if key != "params"} for group in groups]

        def undo() -> None:
            self.load_state_dict(state)
            for group, old in zip(groups, options, strict=True):
                group.update(old)

        return undo

    def check_settings(self) -> None:
        """Raise ArgumentError for a setting out of its range, both when a schedule is made and when a state is loaded.

        NumPy's integers become Python's.
        """

    def start(self) -> None:
        """Set the rates of the first epoch."""
        self._step_count = 0
        self._starting = True
        try:
            self.step()
        finally:
            self._starting = False

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch, or to `epoch`. Call it after the optimizer's step."""
        if epoch is not None:
            check_number(f"{type(self).__name__}.step", "epoch", epoch, 0)
        if self._step_count == 1 and self.optimizer.stepped is False:
            warnings.warn(
                f"{type(self).__name__}.step() came before the optimizer's first step(), so the first learning rate "
                "is never used: call optimizer.step() first",
                stacklevel=6,  # past the layers that make this work of the host
            )
        self._step_count += 1
        self.move_to(self.last_epoch + 1 if epoch is None else epoch, jump=epoch is not None)

    def move_to(self, epoch: int, jump: bool = False) -> None:
        """Make `epoch` the current one and set its rates; `jump` when the rates before may not be its neighbours'."""
        groups = self.optimizer.param_groups
        if len(groups) != len(self.base_lrs):
            raise ArgumentError(
                f"{type(self).__name__}: made for {len(self.base_lrs)} parameter groups, the optimizer has "
                f"{len(groups)} now; add groups before the schedule is made"
            )
        self.last_epoch = epoch
        if jump and self.lr_at is not None:
            rates = [self.lr_at(base) for base in self.base_lrs]
        else:
            rates = self.get_lr()
        for group, lr in zip(groups, rates, strict=True):
            group["lr"] = lr
        self._last_lr = current_rates(self.optimizer)

    def get_lr(self) -> list[float]:
        """The rates of the groups at `last_epoch`, from those that they have now."""
        groups = self.optimizer.param_groups
        return [self.next_lr(group["lr"], base) for group, base in zip(groups, self.base_lrs, strict=True)]

    def next_lr(self, lr: float, base: float) -> float:
        """The rate at `last_epoch` of a group that has rate `lr` and started at `base`."""
        raise NotImplementedError(f"{type(self).__name__} defines neither next_lr nor get_lr")

    def get_last_lr(self) -> list[float]:
        """The rates that the last step has set, one per group."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, as plain values."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a `state_dict()`; load the optimizer's too.

        Raises CheckpointError for another schedule's, or one with a setting out of its range.
        """
        own = self.state_dict()
        if not hasattr(state_dict, "keys"):
            raise CheckpointError(f"load_state_dict: needs the dict of a state, got {describe(state_dict)}")
        if own.keys() != state_dict.keys():
            raise CheckpointError(
                f"load_state_dict: the state is not that of a {type(self).__name__}: missing "
                f"{sorted(own.keys() - state_dict.keys())}, unexpected {sorted(state_dict.keys() - own.keys())}"
            )
        for key, value in state_dict.items():
            if not is_alike(value, own[key]):
                raise CheckpointError(
                    f"load_state_dict: {key} of a {type(self).__name__} is {describe(value)} in the state, where the "
                    f"schedule has {describe(own[key])}"
                )
        loaded = copy.copy(self)
        loaded.__dict__.update(state_dict)
        try:
            if "last_epoch" in own:
                check_number(type(self).__name__, "last_epoch", loaded.last_epoch, -1)
            loaded.check_settings()
        except ArgumentError as error:
            raise CheckpointError(
                f"load_state_dict: the state has a setting that makes no schedule: {error}"
            ) from error
        self.__dict__.update(loaded.__dict__)


def on_the_host(step: Callable[..., None]) -> Callable[..., None]:
    """A schedule's `step` as work of the host: a compiled training step does it at each call."""

    @functools.wraps(step)
    def call(self: LRScheduler, *args: Any, **kwargs: Any) -> None:
        host_callback(lambda: step(self, *args, **kwargs), self.standing)

    return known_words(call, "LRScheduler")


LRScheduler.step = on_the_host(LRScheduler.step)  # type: ignore[method-assign]


def is_alike(value: Any, own: Any) -> bool:
    """Whether a value of a saved state can stand where `own` does: numbers for numbers, lists of equal length."""
    if is_number(own):
        return is_number(value) and (math.isfinite(value) or not math.isfinite(own) or math.isinf(value))
    if isinstance(own, (list, tuple)) and own:
        lists = isinstance(value, (list, tuple)) and len(value) == len(own)
        return lists and all(is_alike(new, old) for new, old in zip(value, own))
    return isinstance(value, str) if isinstance(own, str) else isinstance(value, bool) == isinstance(own, bool)


def check_optimizer(scheduler: LRScheduler, optimizer: Any) -> Optimizer:
    """Raise DTypeError for anything that is not an optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise DTypeError(f"{type(scheduler).__name__}: needs an optimizer, got {describe(optimizer)}")
    return optimizer


def current_rates(optimizer: Optimizer) -> list[float]:
    """The rate of each group."""
    return [group["lr"] for group in optimizer.param_groups]


def per_group(scheduler: LRScheduler, optimizer: Optimizer, name: str, value: Any) -> list[Any]:
    """One value per group. Raises ArgumentError for a list of another length."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ArgumentError(f"{type(scheduler).__name__}: {name} has {len(value)} values for {count} parameter groups")
    return list(value)


def positive(scheduler: LRScheduler, name: str, value: Any) -> int:
    """Raise ArgumentError unless `value` is a positive integer."""
    return check_integer(type(scheduler).__name__, name, value, 1)


def in_range(
    scheduler: LRScheduler, name: str, value: Any, low: float = -math.inf, high: float = math.inf, **ends: bool
) -> Any:
    """Raise ArgumentError unless `value` is a finite number in this range."""
    return check_number(type(scheduler).__name__, name, value, low, high, **ends)


def rates(scheduler: LRScheduler, optimizer: Optimizer, name: str, value: Any) -> list[Any]:
    """One number >= 0 per group."""
    return [in_range(scheduler, name, rate, 0) for rate in per_group(scheduler, optimizer, name, value)]
