"""Guards of what a step reads through plain Python: each holds what was read, and says whether it is as it was.

`reads` finds what is read and makes these; each has `holds()`, asked at each call of the compiled step, and `values()`,
the paths and values. Nothing is compared by running a user's code. Guards refer weakly to the objects that own
attributes. May import values.
"""

from __future__ import annotations

import weakref
from collections import deque
from operator import is_
from typing import TYPE_CHECKING, Any

import numpy as np

from .values import NOTHING, PLAIN, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FunctionType


class Variables:
    """Entries of a namespace: global variables, or attributes of a class. What is `absent` must stay so."""

    __slots__ = ("absent", "pairs", "path", "space")

    def __init__(self, path: str, space: Any, names: Iterable[str], absent: Iterable[str] = ()) -> None:
        self.path, self.space, self.absent = path, space, frozenset(absent)
        self.pairs = [(name, space.get(name, NOTHING)) for name in names]

    def holds(self) -> bool:
        if self.absent and not self.absent.isdisjoint(self.space):
            return False
        get = self.space.get
        for name, value in self.pairs:
            found = get(name, NOTHING)
            if found is not value and not same(found, value):
                return False
        return True

    def values(self) -> list[tuple[str, Any]]:
        """Paths and values."""
        return [(self.path + name, value) for name, value in self.pairs if value is not NOTHING]


class Cells:
    """Variables of enclosing functions."""

    __slots__ = ("cells",)

    def __init__(self, cells: list[tuple[str, Any]]) -> None:
        self.cells = [(name, cell, contents_of(cell)) for name, cell in cells]

    def holds(self) -> bool:
        for _, cell, value in self.cells:
            found = contents_of(cell)
            if found is not value and not same(found, value):
                return False
        return True

    def values(self) -> list[tuple[str, Any]]:
        """Names and values."""
        return [(name, value) for name, _, value in self.cells]


class Attributes:
    """Attributes of an object, in its `__dict__` or in slots. Once the object is gone, they are others."""

    __slots__ = ("absent", "members", "owner", "pairs", "path")

    def __init__(
        self, path: str, owner: Any, names: Iterable[str], absent: Iterable[str], members: Iterable[Any]
    ) -> None:
        self.path, self.owner, self.absent = path, reference(owner), frozenset(absent)
        space = dict_of(owner)
        self.pairs = [(name, space.get(name, NOTHING)) for name in names]
        self.members = [(member, member_of(owner, member)) for member in members]

    def holds(self) -> bool:
        owner = self.owner()
        if owner is None:
            return False
        space = dict_of(owner)
        if space and not self.absent.isdisjoint(space):
            return False
        for name, value in self.pairs:
            found = space.get(name, NOTHING)
            if found is not value and not same(found, value):
                return False
        for member, value in self.members:
            found = member_of(owner, member)
            if found is not value and not same(found, value):
                return False
        return True

    def values(self) -> list[tuple[str, Any]]:
        """Paths and values."""
        pairs = [*self.pairs, *((member.__name__, value) for member, value in self.members)]
        return [(f"{self.path}.{name}", value) for name, value in pairs if value is not NOTHING]


class FunctionParts:
    """The code of a function, and the defaults of its parameters."""

    __slots__ = ("before", "function", "path")

    def __init__(self, path: str, function: FunctionType) -> None:
        self.path, self.function = path, reference(function)
        self.before = self.parts(function)

    def parts(self, function: FunctionType) -> tuple[Any, ...]:
        """What must stay."""
        keywords = function.__kwdefaults__ or {}
        return function.__code__, *(function.__defaults__ or ()), NOTHING, *keywords, *keywords.values()

    def holds(self) -> bool:
        function = self.function()
        if function is None:
            return False
        found = self.parts(function)
        return len(found) == len(self.before) and all(map(same, found, self.before))

    def values(self) -> list[tuple[str, Any]]:
        """The defaults."""
        return [(self.path, value) for value in self.before[1:] if value is not NOTHING and type(value) is not str]


class Items:
    """All items of a container: the same ones, or equal plain values, in the same order."""

    __slots__ = ("before", "container", "kind", "path")

    def __init__(self, path: str, container: Any, kind: Any) -> None:
        self.path, self.container, self.kind = path, container, kind
        self.before = self.items()

    def items(self) -> Any:
        kind, container = self.kind, self.container
        if kind is dict:
            return [*dict.keys(container)], [*dict.values(container)]
        return list(kind.__iter__(container)) if kind in (list, deque) else kind.copy(container)

    def holds(self) -> bool:
        kind, container, before = self.kind, self.container, self.before
        try:
            if kind is list or kind is deque:
                return len(before) == kind.__len__(container) and are_same(kind.__iter__(container), before)
            if kind is dict:
                keys, values = before
                here = dict.__len__(container) == len(keys)
                return here and are_same(dict.keys(container), keys) and are_same(dict.values(container), values)
            return bool(kind.__eq__(container, before))
        except Exception:  # of the comparison of items that are not plain values
            return False

    def values(self) -> list[tuple[str, Any]]:
        """Paths and values."""
        pairs = zip(*self.before, strict=True) if self.kind is dict else enumerate(self.before)
        return [(f"{self.path}[{key!r}]" if type(key) in PLAIN else self.path, value) for key, value in pairs]


class Elements:
    """The elements of a NumPy array, which are constants of the program."""

    __slots__ = ("array", "dtype", "path", "saved", "shape")

    def __init__(self, path: str, array: np.ndarray[Any, Any]) -> None:
        self.path, self.array, self.shape, self.dtype = path, array, array.shape, array.dtype
        self.saved = array.tolist() if array.dtype.hasobject else array.tobytes()

    def holds(self) -> bool:
        array = self.array
        if array.shape != self.shape or array.dtype != self.dtype:
            return False
        if array.dtype.hasobject:
            return are_same(array.flat, np.array(self.saved, object).flat)
        return array.tobytes() == self.saved

    def values(self) -> list[tuple[str, Any]]:
        """The path, and the elements as they were."""
        return [(self.path, self.saved)]


class Parts:
    """The parts of a module, and their order."""

    __slots__ = ("before", "module")

    def __init__(self, module: Any) -> None:
        self.module = weakref.ref(module)
        space = module.__dict__
        self.before = [(name, space[name]) for name in space["_registered"]]

    def holds(self) -> bool:
        module = self.module()
        if module is None:
            return False
        space = module.__dict__
        registered = space["_registered"]
        if len(registered) != len(self.before):
            return False
        for (name, part), here in zip(self.before, registered):
            if name != here or space.get(name, NOTHING) is not part:
                return False
        return True

    def values(self) -> list[tuple[str, Any]]:
        """Names and parts."""
        return list(self.before)


def are_same(now: Any, before: Any) -> bool:
    """Whether two sequences of one length hold the same values."""
    now = list(now)
    return all(map(is_, now, before)) or all(map(same, now, before))


def contents_of(cell: Any) -> Any:
    """What a variable of an enclosing function is; it may not have a value yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return NOTHING


def dict_of(owner: Any) -> dict[str, Any]:
    """An object's own attributes, read without running code of its class."""
    found: dict[str, Any] = object.__getattribute__(owner, "__dict__") if type(owner).__dictoffset__ else {}
    return found


def member_of(owner: Any, member: Any) -> Any:
    """What is in a slot."""
    try:
        return member.__get__(owner)
    except (AttributeError, ValueError):
        return NOTHING


def reference(owner: Any) -> Callable[[], Any]:
    """A weak reference; to what does not know such, a strong one."""
    try:
        return weakref.ref(owner)
    except TypeError:
        return lambda: owner
