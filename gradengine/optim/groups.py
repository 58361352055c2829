"""Parameter groups: what is checked before an optimizer takes one, and options that only say how PyTorch computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from ..core.tensor_class import Tensor
from ..errors import ArgumentError, DTypeError, GraphError, describe
from ..shapes.dtypes import is_floating
from ..validation import check_choice, check_flag, unexpected

if TYPE_CHECKING:
    from collections.abc import Iterable


Group = dict[str, Any]


class Implementation(TypedDict, total=False):
    """Options of PyTorch's optimizers that choose an implementation: accepted where they cannot change a result."""

    foreach: bool | None
    fused: bool | None
    capturable: bool
    differentiable: bool


def check_implementation(owner: str, given: dict[str, Any], options: Iterable[str]) -> None:
    """Accept what chooses an implementation; raise for what would change results, and for unknown keywords.

    There is one implementation: a fused update that a compiled or captured step can hold.
    """
    for name, value in given.items():
        if name not in Implementation.__annotations__:
            own = [option for option in options if option not in given]
            raise unexpected(owner, name, ["params", *own, *Implementation.__annotations__])
        if name in ("foreach", "fused"):
            check_choice(owner, name, value, (None, True, False))
        elif check_flag(owner, name, value) and name == "differentiable":
            raise ArgumentError(
                f"{owner}: differentiable=True is not supported, because updates are not recorded; to differentiate "
                "through a step, compute the new parameters yourself, p - lr * ge.grad(loss, p, create_graph=True)[0]"
            )
    if given.get("foreach") and given.get("fused"):
        raise ArgumentError(f"{owner}: foreach and fused exclude each other; give one of them")


def checked_group(optimizer: Any, param_group: Group) -> Group:
    """A group with its parameters in a list and all options set. Raises typed errors for what makes no group."""
    owner = type(optimizer).__name__
    if not isinstance(param_group, dict) or "params" not in param_group:
        raise DTypeError(f'{owner}: a group is a dict with "params", got {describe(param_group)}')
    params, names = listed(owner, param_group["params"])
    group = {**param_group, "params": params}
    if names:
        group["param_names"] = names
    if optimizer.param_groups and ("param_names" in group) != ("param_names" in optimizer.param_groups[0]):
        raise ArgumentError(f"{owner}: all groups are given with names of parameters, or none")
    known = {p for held in optimizer.param_groups for p in held["params"]}
    for p in params:
        check_parameter(owner, p, known)
        known.add(p)
    for option, value in optimizer.defaults.items():
        group.setdefault(option, value)
    for option, value in group.items():
        if isinstance(value, np.generic):  # JSON knows no NumPy numbers
            group[option] = value.item()
    if type(optimizer).__module__.startswith("gradengine."):  # another's may have options that its defaults lack
        known_options = {*optimizer.defaults, "params", "param_names", *RESERVED}
        for option in group:
            if option not in known_options:
                if option in Implementation.__annotations__:
                    check_implementation(owner, {option: group[option]}, optimizer.defaults)
                elif close := likely(option, optimizer.defaults):
                    raise DTypeError(f"{owner}: a group has no option {option!r}; did you mean {close}?")
    check_group(optimizer, group)
    return group


def check_group(optimizer: Any, group: Group) -> None:
    """Raise ArgumentError for options that make no sense."""
    for option in optimizer.flags:
        if option in group and not (isinstance(group[option], int) and group[option] in (0, 1)):
            check_flag(type(optimizer).__name__, option, group[option])
    optimizer.check(group)


# What schedules note in groups.
RESERVED = ("initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum", "swa_lr")


def likely(option: str, options: Iterable[str]) -> str:
    """The option that a misspelled one stands for, or "": users keep other things in groups as well."""
    message = unexpected("", option, options).message
    return message.partition("did you mean ")[2].partition("?")[0]


def listed(owner: str, params: Any) -> tuple[list[Any], list[str]]:
    """The parameters of a group in a list, and their names if they came as pairs."""
    if isinstance(params, set):
        raise DTypeError(f"{owner}: a set of parameters has no order to save them in; give a list")
    if isinstance(params, str) or not (isinstance(params, Tensor) or hasattr(params, "__iter__")):
        raise DTypeError(f"{owner}: params must be a sequence of Tensors, got {describe(params)}")
    items = [params] if isinstance(params, Tensor) else list(params)
    pairs = [item for item in items if isinstance(item, tuple)]
    if not pairs:
        return items, []
    if len(pairs) != len(items) or any(len(pair) != 2 or not isinstance(pair[0], str) for pair in pairs):
        raise DTypeError(
            f"{owner}: named parameters are pairs of a name and a Tensor, all of them, as in model.named_parameters()"
        )
    return [p for _, p in pairs], [name for name, _ in pairs]


def check_parameter(owner: str, p: Any, known: set[Any]) -> None:
    """Raise for what cannot be optimized: no Tensor, no leaf, or one that is there already."""
    if not isinstance(p, Tensor):
        raise DTypeError(f"{owner}: parameters must be Tensors, got {describe(p)}")
    if not p.is_leaf:
        raise GraphError(
            f"{owner}: a parameter of shape {p.shape} is the result of an op and has no grad of its own; "
            "optimize the leaf it was computed from, or .detach() it"
        )
    if not is_floating(p.dtype):
        raise DTypeError(f"{owner}: a parameter of shape {p.shape} is {p.dtype}; only floating-point ones are learned")
    if p in known:
        raise ArgumentError(f"{owner}: a parameter of shape {p.shape} is given more than once")
