"""Finding what a step changes in Python outside itself: it would happen in the trace, and never again.

    with Watch(function, args, kwargs) as watch:
        result = function(*args, **kwargs)
    watch.check()

Before the run, a Watch notes what the function can reach: variables, attributes of objects, contents of containers.
After it, it compares. Which line did it is found while it runs, by comparing again after each line of the user's own
files. Tensors, optimizers, schedules and random generators are followed by the trace itself and are left out.

May import errors and tensor; the classes that it leaves out are imported when a Watch is made.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import inspect
import itertools
import linecache
import os
import sys
import sysconfig
from collections import deque
from dataclasses import dataclass
from operator import is_
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GraphError
from ..tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import CellType, FrameType

    Line = tuple[str, int]  # a file and a line number

OBJECTS = 10_000  # what is reachable beyond so many objects is not watched,
LEVELS = 8  # nor is what lies deeper than so many levels,
ITEMS = 1_000  # and of a container with more items than that, only their number
NEAREST = 300  # how many holders, the nearest ones, are compared after each line
COMPARISONS = 2_000_000  # how many such comparisons a run may cost: about a second

PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None), range, slice})
CONTAINERS = (list, dict, set, deque, bytearray)
VARIABLE, ATTRIBUTE, ITEM = "variable", "attribute", "item"
OWN_NAMES = ("_registered", "_transient")  # a Module's account of its attributes
# Objects of these packages keep their own house, but for those that are only there to hold a user's attributes.
HOUSES = sys.stdlib_module_names | {"gradengine", "gradengine_kernels", "numpy", "numba"}
NAMESPACES = {
    ("types", "SimpleNamespace"),
    ("argparse", "Namespace"),
    ("collections", "UserDict"),
    ("collections", "UserList"),
}

ENGINE = Path(__file__).parents[1]
LIBRARIES = tuple(
    folder + os.sep
    for folder in {
        *(str(ENGINE), str(ENGINE.parent / "kernels" / "gradengine_kernels"), os.path.dirname(os.__file__)),
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    }
)


@functools.cache
def is_users(file: str) -> bool:
    """Whether a file is the user's own: no part of the engine, of Python, or of an installed package."""
    installed = "site-packages" in file or "dist-packages" in file
    return not (installed or file.startswith(("<frozen", "<__array", *LIBRARIES)))


# -- what is watched ------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Holder:
    """Something that holds values, what it held before the run, and since which line it holds others."""

    path: str  # how the user's code reaches it
    kind: str  # VARIABLE, ATTRIBUTE or ITEM
    owner: Any
    read: Callable[[], Any]  # its contents now, copied: a dict, a list, a set, bytes, or a number of items
    same: Callable[[Any, Any], bool]
    before: Any
    since: tuple[int, Line] | None = None

    def differs(self) -> bool:
        """Whether it holds anything else now than before."""
        now, before, same = self.read(), self.before, self.same
        if type(before) is dict:
            return now.keys() != before.keys() or not (
                all(map(is_, now.values(), before.values())) or all(same(now[key], before[key]) for key in before)
            )
        if type(before) is list:
            return len(now) != len(before) or not (all(map(is_, now, before)) or all(map(same, now, before)))
        return bool(now != before)

    def child(self, key: Any) -> str:
        """The path of the value under `key`."""
        if self.kind == VARIABLE:
            return str(key)
        if self.kind == ATTRIBUTE:
            return f"{self.path}[{key}]" if str(key).isdigit() else f"{self.path}.{key}"
        return f"{self.path}[{repr(key) if type(key) in PLAIN and len(repr(key)) <= 40 else '...'}]"


def same(a: Any, b: Any) -> bool:
    """Whether two values are one object, or plain values that cannot be told apart."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if type(a) is tuple:
        return len(a) == len(b) and all(map(same, a, b))
    return (type(a) in PLAIN or isinstance(a, np.generic)) and bool(a == b or (a != a and b != b))


def same_in_module(a: Any, b: Any) -> bool:
    """The same for a Module's attributes, where a Tensor in another's place is a buffer's new value."""
    return same(a, b) or (isinstance(a, Tensor) and isinstance(b, Tensor))


def reader(container: Any) -> Callable[[], Any]:
    """What copies a container's contents, by the methods of the built-in type, whatever a subclass makes of them."""
    if len(container) > ITEMS:
        return functools.partial(len, container)
    if isinstance(container, (list, dict)):
        return functools.partial(list.copy if isinstance(container, list) else dict.copy, container)
    if isinstance(container, deque):
        return lambda: list(deque.__iter__(container))
    return functools.partial(set if isinstance(container, set) else bytes, container)


def content(cell: CellType, name: str) -> dict[str, Any]:
    """A closure's variable, by its name, if it has a value."""
    try:
        return {name: cell.cell_contents}
    except ValueError:
        return {}


def keeps_attributes(cls: type) -> bool:
    """Whether the attributes of such objects are a user's affair, and not their library's."""
    return cls.__module__.partition(".")[0] not in HOUSES or (cls.__module__, cls.__name__) in NAMESPACES


def attributes_of(owner: Any) -> Any:
    """An object's `__dict__`, asked of the object itself and not of what its class makes of attributes."""
    try:
        return object.__getattribute__(owner, "__dict__")
    except AttributeError:
        return None


def slots(owner: Any, bases: list[type]) -> dict[str, Any]:
    """The values in an object's `__slots__`, which these classes of it declare."""
    found = {}
    for base in bases:
        for name, member in vars(base).items():
            if type(member) is MemberDescriptorType:
                with contextlib.suppress(AttributeError):  # the slot is empty
                    found[name] = member.__get__(owner)
    return found


# -- what a function reaches ----------------------------------------------------------------------------------------


class Reach:
    """The holders that a function can reach from outside, the nearest ones first."""

    def __init__(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        from ..nn import Module
        from ..ops.random import Generator
        from ..optim import Optimizer
        from ..optim.lr_scheduler import LRScheduler

        self.module, self.followed = Module, (Optimizer, LRScheduler)
        self.opaque = (Tensor, Generator, np.ndarray, np.generic, ModuleType, type, BuiltinFunctionType)
        self.code: CodeType | None = None  # of the function itself
        self.holders: list[Holder] = []
        self.seen: dict[Any, Any] = {}  # by id; the values keep the objects alive, so that an id stays theirs
        self.elsewhere: set[int] = set()  # containers inside optimizers and schedules
        self.queue: deque[tuple[str, Any, int]] = deque()
        self.start(function, args, kwargs)
        while self.queue and len(self.seen) < OBJECTS:
            self.visit(*self.queue.popleft())
        self.holders = [holder for holder in self.holders if id(holder.owner) not in self.elsewhere]

    def start(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Begin with the function and its arguments, which are called as its parameters are."""
        while not isinstance(function, FunctionType):
            if isinstance(function, functools.partial):
                args, kwargs = (*function.args, *args), {**function.keywords, **kwargs}
                function = function.func
            elif isinstance(function, MethodType):
                args, function = (function.__self__, *args), function.__func__
            else:
                method = getattr(type(function), "forward" if isinstance(function, self.module) else "__call__", None)
                if not isinstance(method, FunctionType):
                    break
                args, function = (function, *args), method
        names: tuple[str, ...] = ()
        more = "args"
        if isinstance(function, FunctionType):
            self.code = code = getattr(inspect.unwrap(function), "__code__", function.__code__)
            names = code.co_varnames[: code.co_argcount]
            if code.co_flags & inspect.CO_VARARGS:
                more = code.co_varnames[code.co_argcount + code.co_kwonlyargcount]
        self.push(getattr(function, "__name__", "function"), function, 0)
        for i, value in enumerate(args):
            self.push(names[i] if i < len(names) else f"{more}[{i - len(names)}]", value, 0)
        for name, value in kwargs.items():
            self.push(name, value, 0)

    def push(self, path: str, value: Any, level: int) -> None:
        """Visit a value later, unless there is nothing in it that could change."""
        if level <= LEVELS and type(value) not in PLAIN and not isinstance(value, self.opaque):
            self.queue.append((path, value, level))

    def hold(self, path: str, kind: str, owner: Any, read: Callable[[], Any]) -> Holder:
        """Watch what `read` gives."""
        compare = same_in_module if isinstance(owner, self.module) else same
        self.holders.append(Holder(path, kind, owner, read, compare, read()))
        return self.holders[-1]

    def visit(self, path: str, value: Any, level: int) -> None:
        """Watch a value, and visit what it holds."""
        if id(value) in self.seen:
            return
        self.seen[id(value)] = value
        if isinstance(value, self.followed):
            self.leave_out(vars(value))
        elif isinstance(value, functools.partial):
            for part in (value.func, value.args, value.keywords):
                self.push(path, part, level)
        elif isinstance(value, MethodType):
            self.push(path, value.__self__, level)
            self.push(path, value.__func__, level)
        elif isinstance(value, tuple):
            for i, item in enumerate(value[:ITEMS]):
                self.push(f"{path}[{i}]", item, level + 1)
        else:
            if isinstance(value, FunctionType):
                self.visit_code(value, level)
            if isinstance(value, CONTAINERS):
                holder = self.hold(path, ITEM, value, reader(value))
                if isinstance(holder.before, (list, dict)):
                    items = holder.before.items() if isinstance(holder.before, dict) else enumerate(holder.before)
                    self.push_all(holder, items, level)
            self.visit_attributes(path, value, level)

    def push_all(self, holder: Holder, items: Iterable[tuple[Any, Any]], level: int) -> None:
        """Visit what a holder holds."""
        for key, value in items:
            if type(value) not in PLAIN:
                self.push(holder.child(key), value, level + 1)

    def visit_attributes(self, path: str, owner: Any, level: int) -> None:
        """Watch an object's attributes, and visit their values and the methods of its class."""
        function, module = isinstance(owner, FunctionType), isinstance(owner, self.module)
        if not (function or module or keeps_attributes(type(owner))):
            return
        attributes = attributes_of(owner)
        if attributes or (attributes is not None and not function):
            holder = self.hold(path, ATTRIBUTE, owner, functools.partial(dict.copy, attributes))
            self.push_all(holder, [item for item in attributes.items() if item[0] not in OWN_NAMES], level)
        bases = [base for base in type(owner).__mro__ if keeps_attributes(base)]
        if found := slots(owner, bases):
            self.push_all(self.hold(path, ATTRIBUTE, owner, lambda: slots(owner, bases)), found.items(), level)
        for base in bases:
            if id(base) not in self.seen:
                self.seen[id(base)] = base
                for name, method in vars(base).items():
                    method = method.fget if isinstance(method, property) else getattr(method, "__func__", method)
                    if isinstance(method, FunctionType):
                        self.push(f"{base.__name__}.{name}", method, level + 1)

    def visit_code(self, function: FunctionType, level: int) -> None:
        """Watch the variables that a function's code may assign, and visit those that it names, and its defaults."""
        code, variables = function.__code__, function.__globals__
        if not is_users(code.co_filename):
            return
        codes = [code]
        for inner in codes:  # which grows by the functions defined inside
            codes += [constant for constant in inner.co_consts if isinstance(constant, CodeType)]
        assigned = set().union(*map(assigned_globals, codes))
        for name in sorted(assigned):
            if (id(variables), name) not in self.seen:
                self.seen[id(variables), name] = variables
                self.hold(name, VARIABLE, None, lambda name=name: {name: variables[name]} if name in variables else {})
        for name in dict.fromkeys(itertools.chain(*(inner.co_names for inner in codes))):
            if name in variables:
                self.push(name, variables[name], level + 1)
        for name, cell in zip(code.co_freevars, function.__closure__ or ()):
            if id(cell) not in self.seen:
                self.seen[id(cell)] = cell
                holder = self.hold(name, VARIABLE, None, functools.partial(content, cell, name))
                self.push_all(holder, holder.before.items(), level)
        defaults = function.__defaults__ or ()
        parameters = code.co_varnames[: code.co_argcount]
        for name, value in (*zip(parameters[::-1], defaults[::-1]), *(function.__kwdefaults__ or {}).items()):
            self.push(name, value, level + 1)

    def leave_out(self, value: Any, level: int = 0) -> None:
        """Note the containers in an optimizer or a schedule: whoever else holds them, they are followed already."""
        self.elsewhere.add(id(value))
        for inner in value.values() if isinstance(value, dict) else value:
            if isinstance(inner, (list, dict, tuple)) and level < LEVELS:
                self.leave_out(inner, level + 1)


def assigned_globals(code: CodeType) -> set[str]:
    """The global variables that the code assigns or deletes."""
    if not GLOBAL_STORES.intersection(code.co_code[::2]):
        return set()
    return {step.argval for step in dis.get_instructions(code) if step.opcode in GLOBAL_STORES}


GLOBAL_STORES = {dis.opmap["STORE_GLOBAL"], dis.opmap["DELETE_GLOBAL"]}


# -- the watch ------------------------------------------------------------------------------------------------------


class Watch:
    """Watches what a function can reach from outside while the block runs; `check` then says whether it changed.

    Where a debugger or a coverage tool traces the lines already, it goes on doing so, and the message names the
    function instead of the line.
    """

    def __init__(self, function: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> None:
        reach = Reach(function, args, kwargs or {})
        self.code, self.holders = reach.code, reach.holders
        self.nearest = self.holders[:NEAREST]
        self.here: Line | None = None  # the user's line that runs now
        self.moments = itertools.count()
        self.message = ""

    def __enter__(self) -> Watch:
        self.left = COMPARISONS
        if sys.gettrace() is None:
            sys.settrace(self.trace)
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if sys.gettrace() == self.trace:
            sys.settrace(None)
        if error is None:
            changed = [holder for holder in self.holders if differs(holder)]
            if changed:
                never = (sys.maxsize, None)
                self.message = self.describe(min(changed, key=lambda holder: (holder.since or never)[0]))
        self.holders, self.nearest = [], []

    def check(self) -> None:
        """Raise GraphError for the first change."""
        if self.message:
            raise GraphError(self.message)

    def trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        """What Python calls before each line and at each call and return. Whatever happens, the user's code goes on."""
        try:
            if event == "call" and not is_users(frame.f_code.co_filename):
                return None
            if event != "exception":
                self.compare()
                at: FrameType | None = frame
                if event == "return":
                    at = frame.f_back
                    while at is not None and not is_users(at.f_code.co_filename):
                        at = at.f_back
                self.here = at and (at.f_code.co_filename, at.f_lineno)
        except Exception:
            self.nearest = []
        return self.trace

    def compare(self) -> None:
        """Note which holders differ since the line that has just run, and which are as before again."""
        self.left -= len(self.nearest)
        if self.left < 0:
            self.nearest = []
        for holder in self.nearest:
            if differs(holder) is (holder.since is None):
                holder.since = (next(self.moments), self.here) if self.here and not holder.since else None

    def describe(self, holder: Holder) -> str:
        """The message for a holder that has changed."""
        file, number, where = "", 0, "the function"
        if holder.since is not None:
            file, number = holder.since[1]
            where = f"line {number} of {Path(file).name}"
        elif self.code is not None:
            file, number = self.code.co_filename, self.code.co_firstlineno
            where = f"{self.code.co_name} (line {number} of {Path(file).name})"
        source = linecache.getline(file, number).strip()
        what = "variable" if holder.kind == VARIABLE else "object"
        change, remedy = explain(holder)
        return (
            f"jit: {where} changes a Python {what} outside the function, which a compiled step cannot repeat"
            + (f":\n    {source}\n" if source else ": ")
            + f"{change} {remedy}"
        )


def differs(holder: Holder) -> bool:
    """Whether a holder has changed; one that cannot be compared, because its items' own methods fail, has not."""
    try:
        return holder.differs()
    except Exception:
        return False


# -- in words -------------------------------------------------------------------------------------------------------


def explain(holder: Holder) -> tuple[str, str]:
    """What is different, and what to do about it."""
    now, before = holder.read(), holder.before
    kind = type(holder.owner).__name__
    if isinstance(before, dict):
        for key in before:
            if key not in now:
                return f"`{holder.child(key)}` is gone now.", "Delete it where you call the step."
            if not holder.same(now[key], before[key]):
                return change(holder.child(key), before[key], now[key])
        added = {key: now[key] for key in now if key not in before}
        if holder.kind != ITEM:
            name, value = next(iter(added.items()))
            return f"`{holder.child(name)}` is new: {shown(value)}.", remedy([value], "set")
        return grown(holder.path, kind, len(added)), remedy(list(added.values()), "set")
    if isinstance(before, int):
        return grown(holder.path, kind, now - before), remedy([], "add")
    if len(now) == len(before) and not isinstance(before, set):
        i = next(i for i in range(len(now)) if not same(now[i], before[i]))
        return change(holder.child(i), before[i], now[i])
    known = set(map(id, before))
    added = [value for value in now if id(value) not in known]
    return grown(holder.path, kind, len(now) - len(before)), remedy(added, "add" if kind == "set" else "append")


def grown(path: str, kind: str, more: int) -> str:
    """The sentence for a container that has so many more items."""
    count = "another item" if more == 1 else f"{more} more items" if more > 0 else "other items"
    if more < 0:
        count = "an item less" if more == -1 else f"{-more} items less"
    return f"`{path}` ({article(kind)}) has {count} now."


def change(path: str, old: Any, new: Any) -> tuple[str, str]:
    """The sentence and the remedy for a value that has taken another's place."""
    numbers = (int, float, complex, np.number)
    if shown(old) == shown(new):
        text = f"`{path}` is another {type(new).__name__} now."
    else:
        text = f"`{path}` changed from {shown(old)} to {shown(new)}."
    if isinstance(old, numbers) and isinstance(new, numbers) and not isinstance(new, bool):
        return text, "Keep it in a Tensor, or count where you call the step."
    return text, remedy([new], "set")


def remedy(values: list[Any], verb: str) -> str:
    """What to do instead of putting values somewhere."""
    if any(isinstance(value, Tensor) for value in values):
        collect = "" if verb == "set" else ", or let over(...) collect what it returns"
        return f"Return the Tensor from the function and {verb} it where you call it{collect}."
    return f"Return the value from the function and {verb} it where you call it."


def shown(value: Any) -> str:
    """A value in a few words."""
    text = repr(value) if type(value) in PLAIN or isinstance(value, np.generic) else ""
    return text if text and len(text) <= 40 else article(type(value).__name__)


def article(kind: str) -> str:
    """The kind of an object, with its article."""
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
