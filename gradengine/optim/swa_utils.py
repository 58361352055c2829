"""Averages of weights: stochastic weight averaging (SWA) and exponential moving averages (EMA).

    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999))
    for x, y in loader:
        train(model, x, y)
        averaged.update_parameters(model)

Names and formulas are those of `torch.optim.swa_utils` (Izmailov et al. 2018).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from .. import ops
from ..core.dispatch import no_grad
from ..core.tensor_class import Tensor
from ..errors import ArgumentError, DTypeError, ShapeError, describe
from ..nn.module import Module
from ..shapes.dtypes import is_floating
from ..validation import check_callable, check_choice, check_flag, check_integer, check_number, known_calls
from .lr_scheduler import LRScheduler
from .lr_scheduler.base import check_optimizer, rates

if TYPE_CHECKING:
    from .optimizer import Optimizer

__all__ = [
    "AveragedModel",
    "SWALR",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

AverageFunction = Callable[[Any, Any, Any], Any]


def get_ema_avg_fn(decay: float = 0.999) -> AverageFunction:
    """The function `decay * average + (1 - decay) * value`, for `AveragedModel(avg_fn=...)`.

    >>> import gradengine as ge
    >>> average = ge.optim.swa_utils.get_ema_avg_fn(0.75)
    >>> average(ge.tensor(4.0), ge.tensor(0.0), 1).item()
    3.0
    """
    check_number("get_ema_avg_fn", "decay", decay, 0, 1)
    return lambda average, value, count: decay * average + (1 - decay) * value


def get_swa_avg_fn() -> AverageFunction:
    """The function that makes the mean of `count + 1` values of that of `count`.

    >>> import gradengine as ge
    >>> ge.optim.swa_utils.get_swa_avg_fn()(ge.tensor(4.0), ge.tensor(0.0), 3).item()
    3.0
    """
    return lambda average, value, count: average + (value - average) / (count + 1)


def get_ema_multi_avg_fn(decay: float = 0.999) -> AverageFunction:
    """`get_ema_avg_fn` for lists of Tensors, which it changes in place.

    >>> import gradengine as ge
    >>> averages = [ge.tensor(4.0)]
    >>> ge.optim.swa_utils.get_ema_multi_avg_fn(0.75)(averages, [ge.tensor(0.0)], 1)
    >>> averages[0].item()
    3.0
    """
    check_number("get_ema_multi_avg_fn", "decay", decay, 0, 1)
    return for_lists(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> AverageFunction:
    """`get_swa_avg_fn` for lists of Tensors, which it changes in place.

    >>> import gradengine as ge
    >>> averages = [ge.tensor(4.0)]
    >>> ge.optim.swa_utils.get_swa_multi_avg_fn()(averages, [ge.tensor(0.0)], 1)
    >>> averages[0].item()
    2.0
    """
    return for_lists(get_swa_avg_fn())


def for_lists(average: AverageFunction) -> AverageFunction:
    """A function of two Tensors as one of two lists, the first of which gets the results."""

    @no_grad()
    def update(averages: list[Tensor], values: list[Tensor], count: Any) -> None:
        for held, value in zip(averages, values, strict=True):
            held.copy_(ops.astype(average(held.detach(), value, count), dtype=held.dtype))

    return update


class AveragedModel(Module):
    """A copy of a model whose parameters are the average of the model's at each `update_parameters(model)`.

    `avg_fn(average, value, count)` gives the new average of one parameter, `multi_avg_fn` sets those of lists; the
    mean of all values (SWA) unless told. `use_buffers` averages buffers too, else they are those of the model.
    Raises ArgumentError for both functions at once, ShapeError for a model of other shapes.

    >>> import gradengine as ge
    >>> model = ge.nn.Linear(1, 1, bias=False)
    >>> averaged = ge.optim.swa_utils.AveragedModel(model)
    >>> for value in (1.0, 3.0):
    ...     _ = ge.nn.init.constant_(model.weight, value)
    ...     averaged.update_parameters(model)
    >>> averaged(ge.ones(1)).item(), averaged.n_averaged.item()
    (2.0, 2)
    """

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: AverageFunction | None = None,
        multi_avg_fn: AverageFunction | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(model, Module):
            raise DTypeError(f"AveragedModel: model must be a Module, got {describe(model)}")
        if avg_fn is not None and multi_avg_fn is not None:
            raise ArgumentError("AveragedModel: avg_fn and multi_avg_fn exclude each other; give one of them")
        for name, function in (("avg_fn", avg_fn), ("multi_avg_fn", multi_avg_fn)):
            if function is not None:
                check_callable("AveragedModel", name, function, "(average, value, count)")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module.to(device)
        self.register_buffer("n_averaged", ops.zeros((), dtype="int64"))
        self.avg_fn, self.multi_avg_fn = avg_fn, multi_avg_fn
        self.use_buffers = check_flag("AveragedModel", "use_buffers", use_buffers)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take the parameters of the model into the average; the first time, they are copied."""
        own = [*self.module.parameters(), *(self.module.buffers() if self.use_buffers else ())]
        new = [*model.parameters(), *(model.buffers() if self.use_buffers else ())]
        if [t.shape for t in own] != [t.shape for t in new]:
            raise ShapeError(
                f"AveragedModel.update_parameters: the model has parameters of shapes {[t.shape for t in new]}, the "
                f"average {[t.shape for t in own]}; give the model that it was made of"
            )
        values = [value.detach().to(held.device) for held, value in zip(own, new, strict=True)]
        if self.n_averaged.item() == 0:
            for held, value in zip(own, values, strict=True):
                held.data.copy_(value)
        elif self.multi_avg_fn is not None:
            averages = [held.detach() for held in own]
            self.multi_avg_fn(averages, values, self.n_averaged)
            for held, average in zip(own, averages, strict=True):
                held.data.copy_(average)
        else:
            average_of = self.avg_fn or get_swa_avg_fn()
            for held, value in zip(own, values, strict=True):
                made = average_of(held.detach(), value, self.n_averaged.item())
                held.data.copy_(ops.astype(made, dtype=held.dtype) if is_floating(held.dtype) else made)
        if not self.use_buffers:
            for buffer, value in zip(self.module.buffers(), model.buffers(), strict=True):
                buffer.data.copy_(value.detach().to(buffer.device))
        self.n_averaged += 1


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Recompute the running statistics of batch normalisation. There are no such layers yet, so this does nothing.

    Raises DTypeError for what is no Module.

    >>> import gradengine as ge
    >>> ge.optim.swa_utils.update_bn([], ge.nn.Linear(2, 2))
    """
    if not isinstance(model, Module):
        raise DTypeError(f"update_bn: model must be a Module, got {describe(model)}")


class SWALR(LRScheduler):
    """The rate from where it stands to `swa_lr` in `anneal_epochs` epochs, along half a cosine or a line; then fixed.

    >>> import gradengine as ge
    >>> optimizer = ge.optim.SGD([ge.tensor(1.0, requires_grad=True)], lr=1.0)
    >>> scheduler = ge.optim.swa_utils.SWALR(optimizer, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear")
    >>> optimizer.step(); scheduler.step()
    >>> scheduler.get_last_lr()
    [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        goals = rates(self, check_optimizer(self, optimizer), "swa_lr", swa_lr)
        self.anneal_epochs = check_integer("SWALR", "anneal_epochs", anneal_epochs, 0)
        self.anneal_strategy = check_choice("SWALR", "anneal_strategy", anneal_strategy, ("cos", "linear"))
        for group, goal in zip(optimizer.param_groups, goals, strict=True):
            group["swa_lr"] = goal
        super().__init__(optimizer, last_epoch)

    def share(self, step: int) -> float:
        """How far the rate has come at a step, from 0 to 1."""
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return t if self.anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def get_lr(self) -> list[float]:
        step = self._step_count - 1
        step = max(1, step) if self.anneal_epochs == 0 else step
        before, now = self.share(step - 1), self.share(step)
        found = []
        for group in self.optimizer.param_groups:
            lr, goal = group["lr"], group["swa_lr"]
            start = goal if before == 1 else (lr - before * goal) / (1 - before)
            found.append(goal * now + start * (1 - now))
        return found


known_calls(__name__)
