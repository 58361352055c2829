"""GradScaler: losses scaled up, so that their gradients in float16 do not vanish, and gradients scaled down again."""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from . import ops
from .backend import devices
from .core.dispatch import no_grad
from .core.host_callbacks import concrete_hyperparameters, current, host_callback, untraced
from .core.tensor_class import Tensor, constant
from .core.views import set_value
from .errors import ArgumentError, CheckpointError, DTypeError, GraphError, TraceError, describe
from .validation import known_class

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FLOAT32, INT32, FLOAT16 = "float32", "int32", "float16"
quiet = np.errstate(all="ignore")  # as a decorator: to meet infinities is what all this is for
OPTIONS = ("growth_factor", "backoff_factor", "growth_interval")


@known_class
class GradScaler:
    """Scales losses by a number that grows until gradients overflow, and skips the steps in which they do.

    As `torch.amp.GradScaler`: call `scale(loss).backward()`, maybe `unscale_(optimizer)` and then clip, `step` for
    each optimizer, and `update()` at the end. The scale starts at `init_scale`, is multiplied by `growth_factor` after
    `growth_interval` steps without an infinite or NaN gradient, and by `backoff_factor` after one with. With
    `enabled=False` all of it does nothing but step.

    Works within `ge.jit`, where a skipped step computes new parameters and keeps the old ones. What the host knows of
    steps (how many Adam and its like have taken, whether the first with dampening is still to come) is put right before
    the next step (of `over`: after the whole of it). Raises ArgumentError for factors out of their range.

    >>> import gradengine as ge
    >>> weight = ge.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = ge.optim.SGD([weight], lr=0.5)
    >>> scaler = ge.amp.GradScaler(init_scale=1024.0)
    >>> scaler.scale((weight * weight).sum()).backward()
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> weight.tolist(), scaler.get_scale()
    ([0.0, 0.0], 1024.0)
    """

    def __init__(
        self,
        device: Any = None,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if not isinstance(enabled, (bool, np.bool_)):
            raise ArgumentError(f"GradScaler: enabled must be True or False, got {describe(enabled)}")
        self.enabled = bool(enabled)
        self.set_growth_factor(growth_factor)
        self.set_backoff_factor(backoff_factor)
        self.set_growth_interval(growth_interval)
        init_scale = number("GradScaler: init_scale", init_scale)
        self.used = False  # whether anything was scaled yet; a compiled step is scaled while it is traced
        # Of each optimizer that was unscaled or stepped since the last update: 1 where a gradient was not finite.
        self.found: dict[int, Tensor] = {}
        self.stepped: set[int] = set()
        # Of each optimizer that is stepped in a compiled step: how many steps were skipped, and of how many we know.
        self.skips: weakref.WeakKeyDictionary[Any, Tensor] = weakref.WeakKeyDictionary()
        self.known: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        # Of the parameters that were stepped for the first time in a compiled step: how often, less the steps skipped.
        self.begun: weakref.WeakKeyDictionary[Any, dict[Tensor, int]] = weakref.WeakKeyDictionary()
        if enabled:
            backend = devices.for_device(device)
            self.factor = ops.full((), init_scale, dtype=FLOAT32, device=backend.device)
            self.good = ops.zeros((), dtype=INT32, device=backend.device)  # steps since the scale has changed

    # -- a step ---------------------------------------------------------------------------------------------------

    @quiet
    def scale(self, outputs: Any) -> Any:
        """A Tensor times the scale, or each of several in a list or tuple."""
        if not self.enabled:
            return outputs
        if isinstance(outputs, Tensor):
            self.follow(outputs)
            self.used = True
            return outputs * self.factor
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(self.scale(x) for x in outputs)
        raise DTypeError(f"GradScaler.scale: takes a Tensor, or a list or tuple of them, got {describe(outputs)}")

    def follow(self, x: Tensor) -> None:
        """Keep the state where the losses are."""
        if x.device != self.factor.device:
            with untraced():
                self.factor, self.good = self.factor.to(x.device), self.good.to(x.device)

    @no_grad()
    @quiet
    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer's parameters by the scale, once before its step; then one may clip.

        Raises GraphError when that was done since the last `update`, or no parameter has a gradient, and DTypeError
        for float16 gradients: their parameters belong in float32, cast by `autocast`.
        """
        if not self.enabled:
            return
        self.check_use("unscale_", optimizer)
        if id(optimizer) in self.found:
            when = "step" if id(optimizer) in self.stepped else "unscale_"
            raise GraphError(
                f"GradScaler.unscale_: {when} was called for this {type(optimizer).__name__} already; call it once, "
                "before step, and update() at the end"
            )
        inverse = ops.reciprocal(self.factor)
        finite: list[Tensor] = []
        for p in self.moving(optimizer):
            g: Any = p.grad
            if g.dtype == FLOAT16:
                raise DTypeError(
                    "GradScaler.unscale_: a gradient is float16, which small ones cannot be unscaled in; keep "
                    "parameters in float32 and let ge.autocast cast them"
                )
            new = ops.astype(g.detach() * inverse, g.dtype)
            set_value(g, new.array)
            finite.append(ops.all(ops.isfinite(new)))
        if not finite:
            raise GraphError(
                f"GradScaler: no parameter of this {type(optimizer).__name__} has a gradient; call backward first"
            )
        every = ops.all(ops.stack(finite)) if len(finite) > 1 else finite[0]
        self.found[id(optimizer)] = ops.logical_not(every)

    def check_use(self, what: str, optimizer: Any) -> None:
        """Raise for anything but an optimizer, and if no loss was scaled: unscaling would shrink its gradients."""
        if not hasattr(optimizer, "param_groups"):
            raise ArgumentError(f"GradScaler.{what}: takes an optimizer, got {describe(optimizer)}")
        if self.enabled and not self.used:
            raise GraphError(
                f"GradScaler.{what}: no loss was scaled; call scaler.scale(loss).backward() instead of loss.backward()"
            )

    def moving(self, optimizer: Any) -> list[Tensor]:
        """The parameters that have a gradient."""
        return [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step(*args, **kwargs)` unless a gradient is infinite or NaN; unscales them unless that was done.

        Returns what that returns, None for a skipped step. Raises GraphError for a second call before `update` and
        where no loss was scaled, ArgumentError for a closure, which would compute other gradients.
        """
        self.check_use("step", optimizer)
        if not self.enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs or args:
            raise ArgumentError("GradScaler.step: takes no closure: its gradients would be neither scaled nor checked")
        if id(optimizer) in self.stepped:
            raise GraphError("GradScaler.step: called a second time since the last update(); call update() in between")
        if id(optimizer) not in self.found:
            self.unscale_(optimizer)
        self.stepped.add(id(optimizer))
        found = self.found[id(optimizer)]
        if current.trace is not None:
            with concrete_hyperparameters(optimizer):
                return self.step_traced(optimizer, found, kwargs)
        if optimizer in self.known:
            self.settle(optimizer)
        return None if bool(found.item()) else optimizer.step(**kwargs)

    @no_grad()
    def step_traced(self, optimizer: Any, found: Tensor, kwargs: dict[str, Any]) -> Any:
        """A step where the host cannot know whether it is one: what it changes gets its old value or the new."""
        from .optim import Optimizer

        if type(optimizer).step is not Optimizer.step:
            raise TraceError(
                f"jit: GradScaler cannot tell what a step of {type(optimizer).__name__} changes; scale and step "
                "outside the jitted function, or use an optimizer of ge.optim"
            )
        with untraced():
            if optimizer not in self.skips:
                self.skips[optimizer] = ops.zeros((), dtype=INT32, device=self.factor.device)
        held, moving = [], []
        for group in optimizer.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                held.append(p)
                moving.append(p)
                with untraced():
                    optimizer.make_slots(group, p)
                held += [optimizer.state[p][slot] for slot in optimizer.slots(group)]
        if optimizer.counts_steps or any([starts_apart(optimizer, group) for group in optimizer.param_groups]):
            host_callback(lambda: self.begin(optimizer, moving), lambda: self.unsettle(optimizer))
        before = [constant(t.array, t.backend) for t in held]
        result = optimizer.step(**kwargs)
        for t, old in zip(held, before, strict=True):
            set_value(t, ops.where(found, old, t.detach()).array)
        self.skips[optimizer].add_(ops.astype(found, INT32))
        return result

    def begin(self, optimizer: Any, moving: list[Tensor]) -> None:
        """The host's part of a compiled step of some parameters, before it."""
        self.settle(optimizer)
        begun = self.begun.setdefault(optimizer, {})
        for p in moving:
            if p in begun or p in optimizer.fresh:
                begun[p] = begun.get(p, 0) + 1

    def settle(self, optimizer: Any) -> None:
        """Take back the counts of compiled steps that turned out to be skipped; a first step is still to come then."""
        skipped = int(self.skips[optimizer].item())
        late = skipped - self.known.get(optimizer, 0)
        self.known[optimizer] = skipped
        if late:
            for held in optimizer.state.values():
                if "step" in held:
                    held["step"] -= late
                    if held["step"] <= 0:
                        del held["step"]
            begun = self.begun.get(optimizer, {})
            for p in list(begun):
                begun[p] -= late
                if begun[p] <= 0:
                    del begun[p]
                    optimizer.fresh.add(p)

    def unsettle(self, optimizer: Any) -> Callable[[], None]:
        """What undoes a `begin`."""
        known, begun = self.known.get(optimizer, 0), dict(self.begun.get(optimizer, {}))
        fresh = set(optimizer.fresh)
        counts = [(held, held["step"]) for held in optimizer.state.values() if "step" in held]

        def undo() -> None:
            self.known[optimizer], self.begun[optimizer], optimizer.fresh = known, begun, fresh
            for held, count in counts:
                held["step"] = count

        return undo

    @no_grad()
    @quiet
    def update(self, new_scale: Any = None) -> None:
        """Make the scale larger or smaller by what the steps since the last `update` have met, or `new_scale`.

        Raises GraphError when no optimizer was unscaled or stepped since.
        """
        if not self.enabled:
            return
        if isinstance(new_scale, Tensor):
            if new_scale.size != 1:
                raise ArgumentError(f"GradScaler.update: new_scale must be one number, got shape {new_scale.shape}")
            self.factor.copy_(new_scale.detach().reshape(()).to(self.factor.device))
        elif new_scale is not None:
            self.factor.fill_(number("GradScaler.update: new_scale", new_scale))
        else:
            if not self.found:
                raise GraphError("GradScaler.update: nothing was unscaled or stepped since the last update()")
            flags = list(self.found.values())
            bad = ops.any(ops.stack([f.to(self.factor.device) for f in flags])) if len(flags) > 1 else flags[0]
            grown = self.factor * self.growth_factor
            due = ops.greater_equal(self.good + 1, self.growth_interval)
            kept = ops.where(ops.logical_and(due, ops.isfinite(grown)), grown, self.factor)
            self.factor.copy_(ops.where(bad, self.factor * self.backoff_factor, kept))
            self.good.copy_(ops.where(ops.logical_or(bad, due), 0, self.good + 1))
        self.found, self.stepped = {}, set()

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy. Raises GraphError between `unscale_` or `step` and `update`: what was found is lost."""
        if self.found:
            raise GraphError("GradScaler: cannot be pickled or copied between unscale_ or step and update()")
        of_optimizers = ("found", "stepped", "skips", "known", "begun")
        return {name: value for name, value in self.__dict__.items() if name not in of_optimizers}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.found, self.stepped = {}, set()
        self.skips, self.known, self.begun = (weakref.WeakKeyDictionary() for _ in range(3))

    # -- settings and state ---------------------------------------------------------------------------------------

    def get_scale(self) -> float:
        """The scale as a number, which waits for the device; 1.0 when not enabled."""
        return float(self.factor.item()) if self.enabled else 1.0

    def is_enabled(self) -> bool:
        """Whether it does anything."""
        return self.enabled

    def state_dict(self) -> dict[str, Any]:
        """The scale, its settings and how many steps it has stood: numbers, under PyTorch's names; {} if not enabled.

        >>> import gradengine as ge
        >>> ge.amp.GradScaler(init_scale=4.0).state_dict()["scale"]
        4.0
        """
        if not self.enabled:
            return {}
        settings = {name: getattr(self, name) for name in OPTIONS}
        return {"scale": self.get_scale(), **settings, "_growth_tracker": int(self.good.item())}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a `state_dict()`. Raises CheckpointError for one that lacks something."""
        if not self.enabled:
            return
        missing = [name for name in ("scale", *OPTIONS, "_growth_tracker") if name not in state_dict]
        if missing:
            raise CheckpointError(
                f"GradScaler.load_state_dict: the state has no {', '.join(missing)}; was it saved by one that was not "
                "enabled?"
            )
        for name in OPTIONS:
            setattr(self, name, state_dict[name])
        self.factor.fill_(float(state_dict["scale"]))
        self.good.fill_(int(state_dict["_growth_tracker"]))

    def get_growth_factor(self) -> float:
        """By what the scale grows."""
        return self.growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set by what the scale grows. Raises ArgumentError unless it is above 1."""
        self.growth_factor = number("GradScaler: growth_factor", new_factor, 1)

    def get_backoff_factor(self) -> float:
        """By what the scale shrinks."""
        return self.backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set by what the scale shrinks. Raises ArgumentError unless it is between 0 and 1."""
        self.backoff_factor = number("GradScaler: backoff_factor", new_factor, 0, 1)

    def get_growth_interval(self) -> int:
        """After how many steps the scale grows."""
        return self.growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set after how many steps the scale grows. Raises ArgumentError unless it is an int of 1 or more."""
        if isinstance(new_interval, bool) or not isinstance(new_interval, (int, np.integer)) or new_interval < 1:
            raise ArgumentError(
                f"GradScaler: growth_interval must be an int of 1 or more, got {describe(new_interval)}"
            )
        self.growth_interval = int(new_interval)


def number(what: str, value: Any, above: float = 0, below: float = math.inf) -> float:
    """A setting as a float. Raises ArgumentError unless it is a number between two others."""
    known = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if known and above < value < below:
        return float(value)
    wanted = f"between {above} and {below}" if below != math.inf else f"above {above}, and finite"
    raise ArgumentError(f"{what} must be a number {wanted}, got {describe(value)}")


def starts_apart(optimizer: Any, group: dict[str, Any]) -> bool:
    """Whether the first step of a parameter differs from later ones, as that of momentum with dampening does."""
    return bool(optimizer.scalars(group, 2, True) != optimizer.scalars(group, 2, False))
