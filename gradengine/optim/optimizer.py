"""Optimizer: parameter groups, the state of each parameter, and the step that every optimizer here shares.

A subclass says which slots a parameter has, which scalars its update needs, and which pointwise rule makes the new
parameter and slots of the old ones and the gradient.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.dispatch import enable_grad
from ..core.host_callbacks import concrete_hyperparameters, current, host_callback
from ..core.tensor_class import HookHandle, Tensor, constant, to_array
from ..core.views import clear_grad
from ..errors import ArgumentError, DeviceError, DTypeError, ShapeError, describe
from ..validation import check_callable, check_number, is_number, known_class
from .groups import Group, check_implementation, checked_group
from .hooks import Hooks, with_hooks
from .loading import load, load_array, load_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Group", "Optimizer"]

# What `step` asks a subclass for each parameter; nobody else calls these.
OWN = frozenset({
    "rule", "slots", "slots_of", "slot_shape", "initial", "scalars", "scalars_of", "step_group", "slot_of", "advance",
    "new_slot", "make_slots", "fitting", "loaded",
})  # fmt: skip


class Optimizer:
    """The base of all optimizers: `params` are Tensors, or dicts with "params" and the options of that group.

    User-defined subclasses, as in PyTorch, call `super().__init__(params, defaults)` and define `step`, working on
    `self.param_groups` and `self.state[parameter]`. Raises ArgumentError for no parameters at all or for one that
    is given twice, GraphError for one that is not a leaf.

    >>> import gradengine as ge
    >>> weight = ge.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = ge.optim.SGD([weight], lr=0.5)
    >>> (weight * weight).sum().backward()
    >>> optimizer.step()
    >>> weight.tolist()
    [0.0, 0.0]
    """

    rule: Callable[..., None]  # the pointwise update, as a staticmethod made of ops.declare.update
    counts_steps = True  # whether the state of a parameter holds its number of steps
    has_rule = True  # whether the base's step updates with `rule`
    flags: tuple[str, ...] = ()  # the options that are True or False
    numbers: tuple[str, ...] = ()  # what the state of a parameter holds beside its slots and its count

    def __init__(self, params: Iterable[Any], defaults: Group, **implementation: Any) -> None:
        check_implementation(self._name, implementation, defaults)
        if not isinstance(defaults, dict):
            raise DTypeError(f"{self._name}: defaults must be a dict of options, got {describe(defaults)}")
        self.defaults = defaults
        self.hooks = Hooks()
        self.param_groups: list[Group] = []
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.fresh: set[Tensor] = set()  # parameters whose slots are there but have not taken a step yet
        # None: a subclass steps by itself, so a scheduler cannot tell whether it has.
        self.stepped: bool | None = False if type(self).step is Optimizer.step else None
        if isinstance(params, (Tensor, str, type)) or not hasattr(params, "__iter__"):
            advice = "; use .parameters() of the module" if hasattr(params, "parameters") else ""
            raise DTypeError(
                f"{self._name}: params must be a sequence of Tensors or of dicts, got {describe(params)}{advice}"
            )
        groups = list(params)
        if groups and isinstance(groups[0], tuple):
            groups = [{"params": groups}]  # of names and parameters
        if not groups:
            raise ArgumentError(f"{self._name}: got no parameters; is the module's parameters() used up or empty?")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__ and cls.__module__.startswith("gradengine."):
            cls.flags = tuple(name for name, kind in cls.__init__.__annotations__.items() if kind == "bool")
        if "step" in cls.__dict__:
            cls.has_rule, cls.step = False, with_hooks(cls.step)  # type: ignore[method-assign]
        if cls.__module__.startswith("gradengine."):
            known_class(cls, skip=OWN)

    @property
    def _name(self) -> str:
        """The class's name, for messages."""
        return type(self).__name__

    # -- what a subclass says -----------------------------------------------------------------------------------

    def check(self, group: Group) -> None:
        """Raise ArgumentError for options that make no sense."""

    def slots(self, group: Group) -> tuple[str, ...]:
        """The names of the Tensors that are kept beside each parameter, in the order that the rule takes them."""
        return ()

    slots_vary = False  # whether they, and their shapes, depend on the parameter's shape

    def slots_of(self, group: Group, p: Tensor) -> tuple[str, ...]:
        """The slots of one parameter."""
        return self.slots(group)

    def slot_shape(self, p: Tensor, slot: str) -> tuple[int, ...]:
        """The shape of a slot."""
        return p.shape

    def initial(self, group: Group, slot: str) -> float:
        """What a slot is filled with at first."""
        return 0.0

    def scalars(self, group: Group, step: int, first: bool) -> dict[str, Any]:
        """The rule's scalars at this step: floats, and bools or None for what is decided once and for all."""
        raise NotImplementedError(f"{self._name} defines neither scalars nor a step of its own")

    # Whether parameters at the same step have the same scalars; else they come from `scalars_of`.
    shares_scalars = True

    def scalars_of(self, group: Group, state: dict[str, Any], first: bool) -> dict[str, Any]:
        """The rule's scalars for a parameter with numbers of its own, which are brought to this step in `state`."""
        return self.scalars(group, state["step"], first)

    # -- stepping -----------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; returns what `closure`, which recomputes the loss, returns."""
        loss = None
        if closure is not None:
            check_callable(f"{self._name}.step", "closure", closure, "that computes the loss")
            with enable_grad():
                loss = closure()
        self.stepped = True
        # Once for all parameters; what overflows shows in the values.
        with concrete_hyperparameters(self), np.errstate(all="ignore"):
            for group in self.param_groups:
                self.step_group(group)
        return loss

    def step_group(self, group: Group) -> None:
        """Update the parameters of one group."""
        moving = [(p, g) for p in group["params"] if (g := p.grad) is not None]
        if not moving:
            return
        params = [p for p, _ in moving]
        rule, states, names = self.rule, self.state, self.slots(group)
        all_scalars = host_callback(lambda: self.advance(group, params), lambda: self.standing(group, params))
        if current.trace is not None:  # which holds as long as these Tensors are what the optimizer works on
            current.trace.add_guard("param_groups", lambda: self.param_groups)
            current.trace.add_guard("params", lambda: len(group["params"]))
            for p in params:
                for slot in self.slots_of(group, p):
                    current.trace.add_guard(slot, functools.partial(self.slot_of, p, slot))
        for (p, g), scalars in zip(moving, all_scalars):
            if g.array.dtype is not p.array.dtype or g.array.shape != p.array.shape or g.backend is not p.backend:
                g = self.fitting(p, g)
            if self.slots_vary:
                names = self.slots_of(group, p)
            rule((p, *[states[p][slot] for slot in names]) if names else (p,), (g,), **scalars)

    def slot_of(self, p: Tensor, slot: str) -> Any:
        """A slot of a parameter, None if it has none."""
        return self.state[p].get(slot) if p in self.state else None

    def advance(self, group: Group, params: list[Tensor]) -> list[dict[str, Any]]:
        """The host's part of a step: make slots that are missing, count the step, and say the rule's scalars."""
        states, counts, fresh, names = self.state, self.counts_steps, self.fresh, self.slots(group)
        scalars_of: tuple[int, bool] | None = None
        scalars: dict[str, Any] = {}
        all_scalars = []
        step = 0
        for p in params:
            first = False
            if counts or names:
                state = states[p]
                if fresh and p in fresh:
                    first = True
                    fresh.discard(p)
                if self.slots_vary:
                    names = self.slots_of(group, p)
                for slot in names:
                    if slot not in state:
                        state[slot] = self.new_slot(group, p, slot)
                        first = True
                    elif state[slot].backend is not p.backend and state[slot].device != p.device:
                        state[slot] = state[slot].to(p.device)  # where its parameter has gone in the meantime
                if counts:
                    step = state["step"] = state.get("step", 0) + 1
            if not self.shares_scalars:
                scalars = self.scalars_of(group, states[p], first)
            elif scalars_of != (step, first):  # the same for all parameters, as a rule
                scalars_of, scalars = (step, first), self.scalars(group, step, first)
            all_scalars.append(scalars)
        return all_scalars

    def new_slot(self, group: Group, p: Tensor, slot: str) -> Tensor:
        """A slot before the first step of its parameter."""
        return filled_like(p, self.initial(group, slot), self.slot_shape(p, slot) if self.slots_vary else None)

    def make_slots(self, group: Group, p: Tensor) -> None:
        """Give a parameter the slots that it lacks, before its first step."""
        state = self.state[p]
        missing = [slot for slot in self.slots_of(group, p) if slot not in state]
        for slot in missing:
            state[slot] = self.new_slot(group, p, slot)
        if missing:
            self.fresh.add(p)

    def standing(self, group: Group, params: list[Tensor]) -> Callable[[], None]:
        """What undoes an `advance`: numbers go back; slots that it has made stay, but are as good as new.

        It changes nothing that belongs to other parameters, so several may be undone in any order.
        """
        before = []
        for p in params:
            held = self.state.get(p, {})
            first = p in self.fresh or any([slot not in held for slot in self.slots_of(group, p)])
            before.append((p, first, numbers_in(held)))

        def undo() -> None:
            for p, first, numbers in before:
                if first:
                    self.fresh.add(p)
                if p in self.state:
                    state = self.state[p]
                    for key in numbers_in(state):
                        if key not in numbers:
                            del state[key]
                    state.update(numbers)

        return undo

    def fitting(self, p: Tensor, g: Tensor) -> Tensor:
        """A gradient in its parameter's dtype. Raises ShapeError when their shapes differ."""
        if g.shape != p.shape:
            raise ShapeError(f"{self._name}: a parameter has shape {p.shape}, but its grad {g.shape}")
        if g.device != p.device:
            raise DeviceError(
                f"{self._name}: a parameter of shape {p.shape} is on {p.device!r}, its grad on {g.device!r}; move the "
                f"grad with .to({p.device!r})"
            )
        return constant(to_array(g, p.dtype, p.backend), p.backend)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                clear_grad(p, set_to_none)

    # -- groups -------------------------------------------------------------------------------------------------

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters with options of their own; what the dict does not say is as in the constructor.

        >>> import gradengine as ge
        >>> a, b = ge.nn.Linear(2, 2), ge.nn.Linear(2, 2)
        >>> optimizer = ge.optim.SGD(a.parameters(), lr=0.1)
        >>> optimizer.add_param_group({"params": b.parameters(), "lr": 0.01})
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.1, 0.01]
        """
        self.param_groups.append(checked_group(self, param_group))

    def require_non_negative(self, group: Group, *options: str) -> None:
        """Raise ArgumentError for an option that is negative, infinite, NaN or no number."""
        for option in options:
            self.require(group, option, 0)

    def require(self, group: Group, option: str, low: float = -np.inf, high: float = np.inf, **ends: bool) -> None:
        """Raise ArgumentError unless the option is a number in this range."""
        check_number(self._name, option, group[option], low, high, **ends)

    def require_betas(self, group: Group, option: str = "betas") -> None:
        """Raise ArgumentError unless the option is two numbers from 0 up to below 1."""
        betas = group[option]
        if not is_pair(betas) or not all(0 <= beta < 1 for beta in betas):
            raise ArgumentError(
                f"{self._name}: {option} must be two numbers from 0 up to below 1, got {describe(betas)}"
            )

    # -- hooks --------------------------------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may return other `(args, kwargs)`."""
        return self.hooks.add(self._name, "step_pre", hook, "hook(optimizer, args, kwargs)")

    def register_step_post_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call `hook(optimizer, args, kwargs)` after each step.

        >>> import gradengine as ge
        >>> optimizer = ge.optim.SGD([ge.tensor(1.0, requires_grad=True)], lr=0.1)
        >>> handle = optimizer.register_step_post_hook(lambda optimizer, args, kwargs: print("stepped"))
        >>> optimizer.step()
        stepped
        """
        return self.hooks.add(self._name, "step_post", hook, "hook(optimizer, args, kwargs)")

    def register_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> HookHandle:
        """Call `hook(optimizer)` before each `state_dict()`."""
        return self.hooks.add(self._name, "state_dict_pre", hook, "hook(optimizer)", prepend)

    def register_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> HookHandle:
        """Call `hook(optimizer, state_dict)` after each `state_dict()`; what it returns, if anything, replaces it."""
        return self.hooks.add(self._name, "state_dict_post", hook, "hook(optimizer, state_dict)", prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> HookHandle:
        """Call `hook(optimizer, state_dict)` before loading; what it returns, if anything, is loaded instead."""
        return self.hooks.add(self._name, "load_state_dict_pre", hook, "hook(optimizer, state_dict)", prepend)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> HookHandle:
        """Call `hook(optimizer)` after loading."""
        return self.hooks.add(self._name, "load_state_dict_post", hook, "hook(optimizer)", prepend)

    # -- saving and loading -------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """`{"state": {number: {...}}, "param_groups": [...]}`: PyTorch's structure, of plain values and Tensors.

        Parameters are numbered in the order of the groups. The Tensors share the elements of the
        state, so later steps change them: `copy.deepcopy` keeps them.

        >>> import gradengine as ge
        >>> optimizer = ge.optim.Adam([ge.tensor(1.0, requires_grad=True)], lr=0.1)
        >>> optimizer.state_dict()["param_groups"][0]["params"]
        [0]
        """
        self.hooks.run("state_dict_pre", self)
        numbers: dict[Tensor, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers.setdefault(p, len(numbers))
            groups.append({**group, "params": [numbers[p] for p in group["params"]]})
        state = {
            numbers[p]: {key: detached(value) for key, value in held.items()}
            for p, held in self.state.items()
            if p in numbers and held and p not in self.fresh
        }
        saved = {"state": state, "param_groups": groups}
        for hook in tuple(self.hooks.by_kind["state_dict_post"].values()):
            saved = saved if (changed := hook(self, saved)) is None else changed
        return saved

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a `state_dict()`: state and options are its, parameters are matched by their number.

        Raises CheckpointError when the groups, their sizes or the shapes differ, or when options or numbers make no
        sense; nothing is changed then.
        """
        for hook in tuple(self.hooks.by_kind["load_state_dict_pre"].values()):
            state_dict = state_dict if (changed := hook(self, state_dict)) is None else changed
        load(self, state_dict)
        self.hooks.run("load_state_dict_post", self)

    def loaded(self, p: Tensor, number: Any, key: str, value: Any) -> Any:
        """A value of the state of `p`: arrays go to its device and dtype, counts become ints."""
        if key == "step" or key in self.numbers:
            return load_number(number, key, value, whole=key == "step")
        return value if not hasattr(value, "shape") else load_array(p, number, key, value, self.slot_shape(p, key))

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines += [f"Parameter Group {i}"] + [f"    {k}: {group[k]}" for k in sorted(group) if k != "params"]
        return "\n".join([f"{self._name} (", *lines, ")"])


Optimizer.step = with_hooks(Optimizer.step)  # type: ignore[method-assign]
known_class(Optimizer, skip=OWN)


def is_pair(value: Any) -> bool:
    """True for two numbers."""
    return isinstance(value, (tuple, list)) and len(value) == 2 and all(map(is_number, value))


def detached(value: Any) -> Any:
    """A value of the state as a `state_dict` has it."""
    if isinstance(value, Tensor):
        return value.detach()
    return [detached(item) for item in value] if isinstance(value, list) else value


def numbers_in(state: dict[str, Any]) -> dict[str, Any]:
    """What a parameter's state holds beside Tensors: its count of steps, and the like."""
    return {key: value for key, value in state.items() if not isinstance(value, Tensor)}


def filled_like(x: Tensor, value: float, shape: tuple[int, ...] | None = None) -> Tensor:
    """A Tensor of the same dtype and backend, and of the same shape unless told, filled with `value`."""
    with x.backend.quiet():
        return constant(x.backend.arrays.full(x.shape if shape is None else shape, value, x.dtype), x.backend)
