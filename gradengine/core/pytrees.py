"""Arguments and results taken apart: nested tuples, lists, dicts and dataclasses, and the leaves in them.

`flatten` gives the leaves and a structure that can be compared and hashed; `unflatten` puts leaves back. Imports
nothing of the engine.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAF = "leaf"


def shallow(value: Any) -> Any:
    """The structure of a container, whose parts are leaves whatever they are."""
    kind = type(value)
    if kind is dict:
        return (kind, tuple(value), *[LEAF] * len(value))
    if issubclass(kind, (tuple, list)):
        return (kind, *[LEAF] * len(value))
    names = tuple(field.name for field in dataclasses.fields(value))
    return (kind, names, *[LEAF] * len(names))


@functools.lru_cache(maxsize=1024)
def is_leaf(kind: type) -> bool:
    """Whether values of a type other than tuple, list and dict are not taken apart."""
    return not (issubclass(kind, tuple) and hasattr(kind, "_fields")) and not dataclasses.is_dataclass(kind)


def flatten(value: Any, leaves: list[Any]) -> Any:
    """The structure of a value, whose leaves are added to `leaves`."""
    kind = type(value)
    if kind is tuple or kind is list:
        return (kind, *[flatten(item, leaves) for item in value])
    if kind is dict:
        return (kind, tuple(value), *[flatten(item, leaves) for item in value.values()])
    if is_leaf(kind):  # type: ignore[arg-type]
        leaves.append(value)
        return LEAF
    if issubclass(kind, tuple):
        return (kind, *[flatten(item, leaves) for item in value])
    names = tuple(field.name for field in dataclasses.fields(value))
    return (kind, names, *[flatten(getattr(value, name), leaves) for name in names])


def unflatten(structure: Any, leaves: Iterator[Any]) -> Any:
    """The value of that structure with those leaves."""
    if structure is LEAF:
        return next(leaves)
    kind, *parts = structure
    if kind is tuple or kind is list:
        return kind([unflatten(part, leaves) for part in parts])
    if kind is dict:
        return dict(zip(parts[0], [unflatten(part, leaves) for part in parts[1:]], strict=True))
    if issubclass(kind, tuple):
        return kind(*[unflatten(part, leaves) for part in parts])
    made = object.__new__(kind)  # a dataclass, which may compute in its __init__ what is among its fields
    for name, part in zip(parts[0], parts[1:], strict=True):
        object.__setattr__(made, name, unflatten(part, leaves))
    return made
