"""What a trace leaves behind in a user's objects, and how to take it out of them again.

A step that is traced may store symbols, which have no values and mean nothing when the trace is over. `has_rest` finds
them in what is new in an object; `put_back` gives the object what it held before.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict, deque
from types import CellType, FunctionType, MemberDescriptorType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.tensor_class import Tensor
from .tracers import Traced, traced_array

if TYPE_CHECKING:
    from collections.abc import Iterable

DEPTH = 6  # so far below a new value symbols are looked for
MOST = 10_000  # values that are looked at
CLOSED = (bool, int, float, complex, str, bytes, type(None), np.ndarray, np.generic, ModuleType, type, FunctionType)


def has_rest(values: Iterable[Any]) -> bool:
    """Whether there is a symbol in any of these values."""
    seen: dict[int, Any] = {}
    layer = list(values)
    for _ in range(DEPTH):
        below: list[Any] = []
        for value in layer:
            kind = type(value)
            if kind is Traced or (issubclass(kind, Tensor) and traced_array(value) is not None):
                return True
            if id(value) in seen or issubclass(kind, (*CLOSED, Tensor)) or len(seen) > MOST:
                continue
            seen[id(value)] = value
            below += parts_of(value)
        layer = below
    return False


def parts_of(value: Any) -> list[Any]:
    """What a value holds: its items, and its attributes."""
    kind, found = type(value), list[Any]()
    if issubclass(kind, dict):
        found += dict.values(value)
    for container in (list, tuple, set, frozenset, deque):
        if issubclass(kind, container):
            found += container.__iter__(value)
    if kind.__dictoffset__:
        found += object.__getattribute__(value, "__dict__").values()
    for base in kind.__mro__:
        for member in vars(base).values():
            if type(member) is MemberDescriptorType:
                with contextlib.suppress(AttributeError, ValueError):
                    found.append(member.__get__(value))
    return found


def new_in(now: Any, before: Any) -> list[Any]:
    """The values in a container that were not in it before."""
    if type(now) is dict:
        return [value for key, value in now.items() if key not in before or before[key] is not value]
    known = set(map(id, before))
    return [value for value in now if id(value) not in known]


def put_back(owner: Any, now: Any, before: Any, is_attributes: bool) -> None:
    """Let an object hold what it held before: `before` and `now` are copies of its attributes, or of its items."""
    if is_attributes:
        if isinstance(owner, dict):  # the variables of a module
            change(owner, now, before, dict.__setitem__, dict.__delitem__)
        elif isinstance(owner, CellType):
            change(owner, now, before, setattr, delattr)
        elif isinstance(owner, type):
            change(owner, now, before, type.__setattr__, type.__delattr__)
        elif isinstance(owner, ModuleType):
            change(owner, now, before, ModuleType.__setattr__, ModuleType.__delattr__)
        else:
            change(owner, now, before, set_attribute, delete_attribute)
    elif isinstance(owner, dict):
        kind = OrderedDict if isinstance(owner, OrderedDict) else dict
        change(owner, now, before, kind.__setitem__, kind.__delitem__)
    elif isinstance(owner, list):
        list.__setitem__(owner, slice(None), before)
    elif isinstance(owner, deque):
        deque.clear(owner)
        deque.extend(owner, before)
    elif isinstance(owner, set):
        set.clear(owner)
        set.update(owner, before)


def change(owner: Any, now: dict[Any, Any], before: dict[Any, Any], give: Any, take: Any) -> None:
    """Go from what is under each key now to what was there before."""
    for key in now:
        if key not in before:
            take(owner, key)
    for key, value in before.items():
        if key not in now or now[key] is not value:
            give(owner, key, value)


def set_attribute(owner: Any, name: str, value: Any) -> None:
    """Set an attribute without running code of the object's class."""
    held = object.__getattribute__(owner, "__dict__") if type(owner).__dictoffset__ else {}
    member = getattr(type(owner), name, None)
    if type(member) is MemberDescriptorType:
        member.__set__(owner, value)
    else:
        held[name] = value


def delete_attribute(owner: Any, name: str) -> None:
    """Take an attribute away without running code of the object's class."""
    member = getattr(type(owner), name, None)
    if type(member) is MemberDescriptorType:
        member.__delete__(owner)
    else:
        object.__getattribute__(owner, "__dict__").pop(name, None)


def remove_rests(owner: Any) -> None:
    """Take symbols out of a container with many items."""
    if isinstance(owner, dict):
        for key in [key for key, value in dict.items(owner) if has_rest([value])]:
            del owner[key]
    elif isinstance(owner, (list, deque)):
        kept = [value for value in owner if not has_rest([value])]
        owner.clear()
        owner.extend(kept)
    elif isinstance(owner, set):
        owner.difference_update([value for value in owner if has_rest([value])])
