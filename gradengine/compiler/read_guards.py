"""Guards of what a step reads through plain Python: each holds what was read, and says whether it is as it was.

`reads` finds what is read and makes these; each has `holds()`, asked at each call of the compiled step, and `values()`,
the paths and values. Nothing is compared by running a user's code. Guards refer weakly to the objects that own
attributes.
"""

from __future__ import annotations

import contextlib
import weakref
from collections import OrderedDict
from operator import is_
from threading import local
from typing import TYPE_CHECKING, Any

import numpy as np

from .values import NOTHING, PLAIN, is_a, same

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
    """Guard: attributes of an object, in its `__dict__` or in slots, and its class. It fails once the object is gone.

    With `every`, a new attribute fails the guard too.
    """

    __slots__ = ("absent", "every", "kind", "members", "owner", "pairs", "path", "read")

    def __init__(
        self,
        path: str,
        owner: Any,
        names: Iterable[str],
        absent: Iterable[str],
        members: Iterable[Any],
        every: bool = False,
    ) -> None:
        self.path, self.owner, self.absent = path, reference(owner), frozenset(absent)
        self.kind, self.read = type(owner), own_dict if type(owner).__dictoffset__ else dict_of
        if is_a(owner, local):
            self.read = dict_of
        space = self.read(owner)
        self.every = every and len(space)
        self.pairs = [(name, space.get(name, NOTHING)) for name in names]
        self.members = [(member, member_of(owner, member)) for member in members]

    def holds(self) -> bool:
        owner = self.owner()
        if type(owner) is not self.kind:  # it is gone, or has been given another class
            return False
        space = self.read(owner)
        if (space and not self.absent.isdisjoint(space)) or (self.every is not False and len(space) != self.every):
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
    """All items of a container: the same ones, or equal plain values, in the same order.

    `kind` is the built-in type whose methods read them, whatever a subclass says.
    """

    __slots__ = ("before", "container", "kind", "path")

    def __init__(self, path: str, container: Any, kind: Any) -> None:
        self.path, self.container, self.kind = path, container, kind
        pairs = kind in (dict, OrderedDict)
        self.before = ([*kind.keys(container)], [*kind.values(container)]) if pairs else [*kind.__iter__(container)]

    def holds(self) -> bool:
        kind, container, before = self.kind, self.container, self.before
        try:
            if kind is dict or kind is OrderedDict:
                keys, values = before
                here = kind.__len__(container) == len(keys)
                return here and are_same(kind.keys(container), keys) and are_same(kind.values(container), values)
            return len(before) == kind.__len__(container) and are_same(kind.__iter__(container), before)
        except RuntimeError:  # another thread changes it
            return False

    def values(self) -> list[tuple[str, Any]]:
        """Paths and values."""
        pairs = zip(*self.before, strict=True) if self.kind in (dict, OrderedDict) else enumerate(self.before)
        return [(f"{self.path}[{key!r}]" if type(key) in PLAIN else self.path, value) for key, value in pairs]


class Elements:
    """The elements of an array, which are constants of the program. `array` is NumPy's, or has a buffer of bytes."""

    __slots__ = ("array", "dtype", "kind", "path", "saved", "shape")

    def __init__(self, path: str, array: Any) -> None:
        self.path, self.array, self.kind = path, array, "bytes"
        self.shape, self.dtype = array.shape, array.dtype
        self.saved: Any
        if array.dtype.hasobject:
            self.kind, self.saved = "objects", [*array.flat]
            return
        self.saved = array.tobytes()
        base = array
        while type(base) is np.ndarray and not base.flags.writeable:
            base = base.base
        if type(base) is bytes:
            self.kind = "fixed"  # nobody can write there
        elif type(array) in (np.ndarray, np.memmap):
            with contextlib.suppress(TypeError, ValueError, BufferError):  # it is not one piece of memory
                self.saved.startswith(array)
                self.kind = "memory"

    def holds(self) -> bool:
        array, kind = self.array, self.kind
        if array.shape != self.shape or array.dtype != self.dtype:
            return False
        if kind == "memory":
            return bool(self.saved.startswith(array))  # which compares without a copy
        if kind == "objects":
            return are_same(array.flat, self.saved)
        return kind == "fixed" or array.tobytes() == self.saved

    def values(self) -> list[tuple[str, Any]]:
        """The path, and the elements as they were."""
        return [(self.path, self.saved)]


class Buffer:
    """The items of an array of Python's, or of a memoryview."""

    __slots__ = ("before", "buffer", "path")

    def __init__(self, path: str, buffer: Any) -> None:
        self.path, self.buffer, self.before = path, buffer, buffer.tobytes()

    def holds(self) -> bool:
        return bool(self.buffer.tobytes() == self.before)

    def values(self) -> list[tuple[str, Any]]:
        """The path, and the bytes as they were."""
        return [(self.path, self.before)]


class Answer:
    """What a question asked of Python gives, such as a context variable's value, or the target of a weak reference."""

    __slots__ = ("absent", "before", "look", "path")

    def __init__(self, path: str, look: Callable[[], Any], before: Any = NOTHING) -> None:
        found = look() if before is NOTHING else before
        self.path, self.look, self.before, self.absent = path, look, reference(found), found is None

    def holds(self) -> bool:
        found, before = self.look(), self.before()
        return (found is before or same(found, before)) and (found is None) is self.absent

    def values(self) -> list[tuple[str, Any]]:
        """The path and the answer."""
        return [(self.path, self.before())]


class Classes:
    """The bases of classes."""

    __slots__ = ("before",)

    def __init__(self) -> None:
        self.before: list[tuple[type, tuple[type, ...]]] = []

    def holds(self) -> bool:
        return all([kind.__mro__ is bases for kind, bases in self.before])

    def values(self) -> list[tuple[str, Any]]:
        """Names and bases."""
        return [(f"{kind.__name__}.__bases__", bases) for kind, bases in self.before]


class Parts:
    """The parts of a module, and their order."""

    __slots__ = ("before", "kind", "module")

    def __init__(self, module: Any) -> None:
        self.module, self.kind = weakref.ref(module), type(module)
        space = module.__dict__
        self.before = [(name, space[name]) for name in space["_registered"]]

    def holds(self) -> bool:
        module = self.module()
        if module is None or type(module) is not self.kind:
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


def own_dict(owner: Any) -> dict[str, Any]:
    """The `__dict__` of an object that has one, read without running code of its class."""
    found: dict[str, Any] = object.__getattribute__(owner, "__dict__")
    return found


def dict_of(owner: Any) -> dict[str, Any]:
    """The attributes of any object, in this thread."""
    if is_a(owner, local):
        return local.__getattribute__(owner, "__dict__")
    return own_dict(owner) if type(owner).__dictoffset__ else {}


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
