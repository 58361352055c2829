"""Optimizer: parameter groups, the state of each parameter, and the step that every optimizer here shares.

A subclass says which slots a parameter has, which scalars its update needs, and which pointwise rule makes the new
parameter and slots of the old ones and the gradient. May import tensor, hostwork, errors
and ops.declare.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dispatch import enable_grad
from ..errors import ArgumentError, CheckpointError, DeviceError, DTypeError, GraphError, ShapeError, describe
from ..hostwork import current, each_time, settled
from ..tensor import Tensor, constant, to_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Group = dict[str, Any]


class Optimizer:
    """The base of all optimizers: `params` are Tensors, or dicts with "params" and the options of that group.

    Subclasses of one's own, as in PyTorch, call `super().__init__(params, defaults)` and define `step`, working on
    `self.param_groups` and `self.state[parameter]`. Raises ArgumentError for no parameters at all or for one that
    is given twice, GraphError for one that is no leaf.

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

    def __init__(self, params: Iterable[Any], defaults: Group) -> None:
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.fresh: set[Tensor] = set()  # parameters whose slots are there but have not taken a step yet
        # None: a subclass steps by itself, so a scheduler cannot tell whether it has.
        self.stepped: bool | None = False if type(self).step is Optimizer.step else None
        if isinstance(params, (Tensor, str)) or not hasattr(params, "__iter__"):
            raise DTypeError(f"{self._name}: params must be a sequence of Tensors or of dicts, got {describe(params)}")
        groups = list(params)
        if not groups:
            raise ArgumentError(f"{self._name}: got no parameters; is the module's parameters() used up or empty?")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

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

    def initial(self, group: Group, slot: str) -> float:
        """What a slot is filled with at first."""
        return 0.0

    def scalars(self, group: Group, step: int, first: bool) -> dict[str, Any]:
        """The rule's scalars at this step: floats, and bools or None for what is decided once and for all."""
        raise NotImplementedError(f"{self._name} defines neither scalars nor a step of its own")

    # -- stepping -----------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; returns what `closure`, which recomputes the loss, returns."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self.stepped = True
        with settled(self), np.errstate(all="ignore"):  # once for all parameters; what overflows shows in the values
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
        all_scalars = each_time(lambda: self.advance(group, params), lambda: self.standing(group, params))
        if current.trace is not None:  # which holds as long as these Tensors are what the optimizer works on
            current.trace.note_look("param_groups", lambda: self.param_groups)
            current.trace.note_look("params", lambda: len(group["params"]))
            for p in params:
                for slot in names:
                    current.trace.note_look(slot, functools.partial(self.slot_of, p, slot))
        for (p, g), scalars in zip(moving, all_scalars):
            if g.array.dtype is not p.array.dtype or g.array.shape != p.array.shape or g.backend is not p.backend:
                g = self.fitting(p, g)
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
                for slot in names:
                    if slot not in state:
                        state[slot] = filled_like(p, self.initial(group, slot))
                        first = True
                    elif state[slot].backend is not p.backend and state[slot].device != p.device:
                        state[slot] = state[slot].to(p.device)  # where its parameter has gone in the meantime
                if counts:
                    step = state["step"] = state.get("step", 0) + 1
            if scalars_of != (step, first):  # the same for all parameters, as a rule
                scalars_of, scalars = (step, first), self.scalars(group, step, first)
            all_scalars.append(scalars)
        return all_scalars

    def make_slots(self, group: Group, p: Tensor) -> None:
        """Give a parameter the slots that it lacks, before its first step."""
        state = self.state[p]
        missing = [slot for slot in self.slots(group) if slot not in state]
        for slot in missing:
            state[slot] = filled_like(p, self.initial(group, slot))
        if missing:
            self.fresh.add(p)

    def standing(self, group: Group, params: list[Tensor]) -> Callable[[], None]:
        """What undoes an `advance`: the counts go back; slots that it has made stay, but are as good as new.

        It changes nothing that belongs to other parameters, so several may be undone in any order.
        """
        names = self.slots(group)
        before = []
        for p in params:
            held = self.state.get(p, {})
            before.append((p, p in self.fresh or any([slot not in held for slot in names]), held.get("step")))

        def undo() -> None:
            for p, was_fresh, step in before:
                if was_fresh:
                    self.fresh.add(p)
                if step is not None:
                    self.state[p]["step"] = step
                elif p in self.state:
                    self.state[p].pop("step", None)

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
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad = filled_like(p.grad, 0.0)

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
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise DTypeError(f'{self._name}: a group is a dict with "params", got {describe(param_group)}')
        params = param_group["params"]
        group = {**param_group, "params": [params] if isinstance(params, Tensor) else list(params)}
        if isinstance(params, set):
            raise DTypeError(f"{self._name}: a set of parameters has no order to save them in; give a list")
        known = {p for held in self.param_groups for p in held["params"]}
        for p in group["params"]:
            if not isinstance(p, Tensor):
                raise DTypeError(f"{self._name}: parameters must be Tensors, got {describe(p)}")
            if not p.is_leaf:
                raise GraphError(
                    f"{self._name}: a parameter of shape {p.shape} is the result of an op and has no grad of its own; "
                    "optimize the leaf it was computed from, or .detach() it"
                )
            if p in known:
                raise ArgumentError(f"{self._name}: a parameter of shape {p.shape} is given more than once")
            known.add(p)
        for option, value in self.defaults.items():
            group.setdefault(option, value)
        for option, value in group.items():
            if isinstance(value, np.generic):  # JSON knows no NumPy numbers
                group[option] = value.item()
        self.check(group)
        self.param_groups.append(group)

    def require_non_negative(self, group: Group, *options: str) -> None:
        """Raise ArgumentError for an option that is negative, infinite, NaN or no number."""
        for option in options:
            self.require(group, option, lambda x: 0 <= x < float("inf"), "a finite number >= 0")

    def require(self, group: Group, option: str, fits: Callable[[Any], bool], wanted: str) -> None:
        """Raise ArgumentError unless `fits` accepts the option's value."""
        value = group[option]
        if not isinstance(value, (int, float, np.number)) or isinstance(value, bool) or not fits(value):
            raise ArgumentError(f"{self._name}: {option} must be {wanted}, got {describe(value)}")

    # -- saving and loading -------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """`{"state": {number: {...}}, "param_groups": [...]}`: PyTorch's structure, of plain values and Tensors.

        Parameters are numbered in the order of the groups. The Tensors are snapshots: later steps leave them alone.

        >>> import gradengine as ge
        >>> optimizer = ge.optim.Adam([ge.tensor(1.0, requires_grad=True)], lr=0.1)
        >>> optimizer.state_dict()["param_groups"][0]["params"]
        [0]
        """
        numbers: dict[Tensor, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers.setdefault(p, len(numbers))
            groups.append({**group, "params": [numbers[p] for p in group["params"]]})
        state = {
            numbers[p]: {key: value.detach() if isinstance(value, Tensor) else value for key, value in held.items()}
            for p, held in self.state.items()
            if p in numbers and held and p not in self.fresh
        }
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a `state_dict()`: state and options are its, parameters are matched by their number.

        Raises CheckpointError when the groups, their sizes or the shapes differ; nothing is changed then.
        """
        try:
            groups, states = list(state_dict["param_groups"]), dict(state_dict["state"])
            sizes = [len(group["params"]) for group in groups]
        except (TypeError, KeyError, ValueError) as error:
            raise CheckpointError(
                f'load_state_dict: a state of {self._name} has "state" and "param_groups" (with "params"): {error!r}'
            ) from None
        own_sizes = [len(group["params"]) for group in self.param_groups]
        if sizes != own_sizes:
            raise CheckpointError(
                f"load_state_dict: this {self._name} has groups of {own_sizes} parameters, the state of {sizes}; "
                "build the optimizer with the parameters it was saved with"
            )
        by_number: dict[Any, Tensor] = {}
        loaded_groups = []
        for own, group in zip(self.param_groups, groups, strict=True):
            missing = [option for option in self.defaults if option not in group]
            if missing:
                raise CheckpointError(f"load_state_dict: {self._name} needs {', '.join(missing)}; the state has none")
            by_number.update(zip(group["params"], own["params"], strict=True))
            # JSON knows no tuples.
            options = {k: tuple(v) if isinstance(v, list) else v for k, v in group.items() if k != "params"}
            loaded_groups.append({**options, "params": own["params"]})
        loaded_states: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        for number, held in states.items():
            p = by_number.get(int(number) if isinstance(number, str) and number.isdigit() else number)
            if p is None:
                raise CheckpointError(f"load_state_dict: the state is of parameter {number!r}, which is in no group")
            loaded_states[p] = {
                key: self.loaded(p, number, key, value) for key, value in held.items() if value is not None
            }
        for group in loaded_groups:
            for p in group["params"]:
                held = loaded_states.get(p)
                absent = [slot for slot in self.slots(group) if held is not None and slot not in held]
                if absent and self.counts_steps:
                    raise CheckpointError(
                        f"load_state_dict: {self._name} needs {', '.join(absent)} for a parameter of shape {p.shape}; "
                        "is the state of another optimizer?"
                    )
        self.param_groups, self.state, self.fresh = loaded_groups, loaded_states, set()

    def loaded(self, p: Tensor, number: Any, key: str, value: Any) -> Any:
        """A value of the state of `p`: arrays go to its device and dtype, counts become ints."""
        if key == "step":
            return int(value)
        if not hasattr(value, "shape"):
            return value
        shape = tuple(value.shape)
        if shape != p.shape:
            raise CheckpointError(
                f"load_state_dict: {key} of parameter {number} has shape {shape}, the parameter {p.shape}; "
                "build the optimizer with the parameters it was saved with"
            )
        return constant(to_array(value, p.dtype, p.backend, copy=True), p.backend)

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines += [f"Parameter Group {i}"] + [f"    {k}: {group[k]}" for k in sorted(group) if k != "params"]
        return "\n".join([f"{self._name} (", *lines, ")"])


def filled_like(x: Tensor, value: float) -> Tensor:
    """A Tensor of the same shape, dtype and backend, filled with `value`."""
    with x.backend.quiet():
        return constant(x.backend.arrays.full(x.shape, value, x.dtype), x.backend)
