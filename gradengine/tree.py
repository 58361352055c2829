"""Functions on nested containers, as `jax.tree` has them: `ge.tree.map(lambda p, g: p - 0.1 * g, params, grads)`.

Containers are tuples, named tuples, lists, dicts and dataclasses; all else is a leaf, and None is an empty container.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from .core import pytrees
from .errors import ArgumentError, DTypeError, describe

__all__ = ["flatten", "leaves", "map", "reduce", "structure", "unflatten"]


class Structure:
    """How a value is nested: what `flatten` returns beside the leaves. Equal nesting compares equal."""

    def __init__(self, nested: Any, count: int, empty: tuple[int, ...]) -> None:
        self.nested, self.num_leaves, self.empty = nested, count, empty

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Structure) and (self.nested, self.empty) == (other.nested, other.empty)

    def __hash__(self) -> int:
        return hash((self.nested, self.empty))

    def __repr__(self) -> str:
        return f"Structure({unflatten(self, ['*'] * self.num_leaves)})"


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """The leaves of a nested value, and its structure, from which `unflatten` builds it again.

    Dicts are taken in the order of their keys, as in JAX.

    >>> import gradengine as ge
    >>> ge.tree.flatten({"b": 1.0, "a": [2.0, 3.0]})[0]
    [2.0, 3.0, 1.0]
    """
    found: list[Any] = []
    nested = pytrees.flatten(ordered(tree), found)
    empty = tuple([i for i, leaf in enumerate(found) if leaf is None])
    kept = [leaf for leaf in found if leaf is not None]
    return kept, Structure(nested, len(kept), empty)


def ordered(value: Any) -> Any:
    """The value with its dicts in the order of their keys, as JAX has them, where keys can be ordered."""
    parts = parts_of(value)
    if parts is None:
        return value
    if type(value) is dict:
        try:
            keys = sorted(value)
        except TypeError:
            keys = list(value)
        return {key: ordered(value[key]) for key in keys}
    return rebuilt(value, [ordered(part) for part in parts.values()])


def unflatten(structure: Structure, leaves: Any) -> Any:
    """The nested value of that structure with those leaves. Raises ArgumentError for another number of leaves.

    >>> import gradengine as ge
    >>> leaves, structure = ge.tree.flatten({"a": 1.0, "b": [2.0, 3.0]})
    >>> ge.tree.unflatten(structure, [4.0, 5.0, 6.0])
    {'a': 4.0, 'b': [5.0, 6.0]}
    """
    given = list(leaves)
    if len(given) != structure.num_leaves:
        raise ArgumentError(f"unflatten: the structure has {structure.num_leaves} leaves, got {len(given)}")
    for place in structure.empty:
        given.insert(place, None)
    return pytrees.unflatten(structure.nested, iter(given))


def leaves(tree: Any) -> list[Any]:
    """The leaves of a nested value, in order.

    >>> import gradengine as ge
    >>> ge.tree.leaves((1.0, [2.0], None))
    [1.0, 2.0]
    """
    return flatten(tree)[0]


def structure(tree: Any) -> Structure:
    """The structure of a nested value, without its leaves.

    >>> import gradengine as ge
    >>> ge.tree.structure((1.0, [2.0]))
    Structure(('*', ['*']))
    """
    return flatten(tree)[1]


def map(function: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """`function` of each leaf, and of the leaves in the same places of other trees, in containers like those of `tree`.

    Raises ArgumentError where the others are nested in another way, DTypeError for anything that is not a function.

    >>> import gradengine as ge
    >>> ge.tree.map(lambda p, g: p - g, {"w": 3.0, "b": [1.0]}, {"w": 1.0, "b": [0.5]})
    {'w': 2.0, 'b': [0.5]}
    """
    if not callable(function):
        raise DTypeError(f"map: needs a function, got {describe(function)}")
    return mapped(function, tree, rest, "")


def mapped(function: Callable[..., Any], first: Any, rest: tuple[Any, ...], path: str) -> Any:
    """`map` below one place. Dicts are matched by their keys, in whatever order."""
    parts = parts_of(first)
    if parts is None:
        return None if first is None else function(first, *rest)
    others = [parts_of(other) for other in rest]
    for other, found in zip(rest, others, strict=True):
        if type(other) is not type(first) or found is None or found.keys() != parts.keys():
            raise ArgumentError(
                f"map: trees differ at {path or 'the top'}: {describe(first)} and {describe(other)}; they must be "
                "nested alike"
            )
    new = [mapped(function, part, tuple([o[key] for o in others if o is not None]), f"{path}[{key!r}]")
           for key, part in parts.items()]  # fmt: skip
    return rebuilt(first, new)


def parts_of(value: Any) -> dict[Any, Any] | None:
    """The parts of a container by their keys; None for a leaf."""
    kind = type(value)
    if kind is dict:
        return value
    if kind is list or (isinstance(value, tuple) and (kind is tuple or hasattr(kind, "_fields"))):
        return dict(enumerate(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def rebuilt(like: Any, parts: list[Any]) -> Any:
    """A container as `like`, with other parts."""
    nested = pytrees.shallow(like)
    return pytrees.unflatten(nested, iter(parts))


def reduce(function: Callable[[Any, Any], Any], tree: Any, *initial: Any) -> Any:
    """The leaves combined two at a time, from `initial` on where that is given.

    >>> import gradengine as ge
    >>> ge.tree.reduce(lambda total, leaf: total + leaf, {"w": 3.0, "b": [1.0]}, 0.0)
    4.0
    """
    return functools.reduce(function, leaves(tree), *initial)
