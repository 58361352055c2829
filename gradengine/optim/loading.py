"""Loading an optimizer's saved state: all of it or nothing, and every part that does not fit is an error."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from ..core.tensor_class import Tensor, constant, to_array
from ..errors import CheckpointError, GradengineError, describe
from .groups import Group, check_group

if TYPE_CHECKING:
    from collections.abc import Mapping


State = dict[str, Any]


def load(optimizer: Any, state_dict: Mapping[str, Any]) -> None:
    """Give the optimizer the groups and the state of a `state_dict`. Raises CheckpointError and changes nothing."""
    owner = type(optimizer).__name__
    try:
        groups, states = [dict(group) for group in state_dict["param_groups"]], dict(state_dict["state"])
        numbers = [list(group["params"]) for group in groups]
    except (TypeError, KeyError, ValueError) as error:
        raise CheckpointError(
            f'load_state_dict: a state of {owner} has "state" and "param_groups" (with "params"): {error!r}'
        ) from None
    sizes, own_sizes = list(map(len, numbers)), [len(group["params"]) for group in optimizer.param_groups]
    if sizes != own_sizes:
        raise CheckpointError(
            f"load_state_dict: this {owner} has groups of {own_sizes} parameters, the state of {sizes}; "
            "build the optimizer with the parameters it was saved with"
        )
    by_number: dict[Any, Tensor] = {}
    loaded_groups = []
    for own, group in zip(optimizer.param_groups, groups, strict=True):
        missing = [option for option in optimizer.defaults if option not in group]
        if missing:
            raise CheckpointError(f"load_state_dict: {owner} needs {', '.join(missing)}; the state has none")
        by_number.update(zip(group["params"], own["params"], strict=True))
        loaded_groups.append(options_of(optimizer, own, group))
    loaded_states: defaultdict[Tensor, State] = defaultdict(dict)
    for number, held in states.items():
        p = by_number.get(int(number) if isinstance(number, str) and number.isdigit() else number)
        if p is None:
            raise CheckpointError(f"load_state_dict: the state is of parameter {number!r}, which is in no group")
        if not hasattr(held, "items"):
            raise CheckpointError(f"load_state_dict: the state of parameter {number!r} is no dict: {describe(held)}")
        loaded_states[p] = {
            key: optimizer.loaded(p, number, key, value) for key, value in held.items() if value is not None
        }
    for group in loaded_groups:
        check_slots(optimizer, group, loaded_states)
    optimizer.param_groups, optimizer.state, optimizer.fresh = loaded_groups, loaded_states, set()


def options_of(optimizer: Any, own: Group, group: Group) -> Group:
    """A saved group with this optimizer's parameters. Raises CheckpointError for options that make no sense."""
    # JSON knows no tuples.
    options = {
        k: tuple(v) if isinstance(v, list) else v for k, v in group.items() if k not in ("params", "param_names")
    }
    if "param_names" in own:
        options["param_names"] = own["param_names"]
    loaded = {**options, "params": own["params"]}
    try:
        check_group(optimizer, loaded)
    except GradengineError as error:
        raise CheckpointError(f"load_state_dict: {error.message}") from None
    return loaded


def check_slots(optimizer: Any, group: Group, states: Mapping[Tensor, State]) -> None:
    """Raise CheckpointError for a parameter whose state lacks what this optimizer keeps."""
    for p in group["params"]:
        held = states.get(p)
        if held is None or not optimizer.counts_steps:
            continue
        absent = [slot for slot in (*optimizer.slots_of(group, p), *optimizer.numbers) if slot not in held]
        if "step" not in held and optimizer.has_rule:
            absent.append("step")
        if absent:
            raise CheckpointError(
                f"load_state_dict: {type(optimizer).__name__} needs {', '.join(absent)} for a parameter of shape "
                f"{p.shape}; is the state of another optimizer?"
            )


def load_number(number: Any, key: str, value: Any, whole: bool) -> float:
    """A number of the state. Raises CheckpointError for what is none."""
    try:
        found = float(value)
    except (TypeError, ValueError, RuntimeError):
        found = math.nan
    if not math.isfinite(found) or (whole and (found < 0 or found != int(found))):
        wanted = "an integer >= 0" if whole else "a finite number"
        raise CheckpointError(f"load_state_dict: {key} of parameter {number} must be {wanted}, got {describe(value)}")
    return int(found) if whole else found


def load_array(p: Tensor, number: Any, key: str, value: Any, shape: tuple[int, ...]) -> Tensor:
    """An array of the state on the device and in the dtype of its parameter. Raises CheckpointError for shapes."""
    if tuple(value.shape) != shape:
        raise CheckpointError(
            f"load_state_dict: {key} of parameter {number} has shape {tuple(value.shape)}, the parameter {p.shape}; "
            "build the optimizer with the parameters it was saved with"
        )
    try:
        return constant(to_array(value, p.dtype, p.backend, copy=True), p.backend)
    except GradengineError as error:
        raise CheckpointError(f"load_state_dict: {key} of parameter {number}: {error.message}") from None
