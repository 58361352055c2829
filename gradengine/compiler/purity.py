"""Finding what a step changes in Python outside itself: it would happen in the trace, and never again.

    with Watch(function, args, kwargs) as watch:
        result = function(*args, **kwargs)
    watch.check()

A Watch notes what the function can reach before it runs (variables, attributes of objects, items of containers) and
compares afterwards. It finds the line by comparing also after each line of the user's own files. Tensors, optimizers,
schedules and random generators are left out: the trace itself follows them.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import inspect
import itertools
import linecache
import sys
from collections import deque
from dataclasses import dataclass
from operator import is_
from pathlib import Path
from types import BuiltinMethodType, CellType, CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.tensor_class import Tensor
from ..errors import TraceError
from .leaked_tracers import has_rest, new_in, put_back, remove_rests
from .source_files import is_users
from .streams import inner_iterators
from .streams import reader_of as stream_reader
from .values import PLAIN, is_a, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

    from .reads import Calls

SIZE = 100_000  # of what is reachable only so much is watched: an object counts for 10, and so do 10 items
PATH = 120  # nothing is watched that takes more letters than that to reach
ITEMS = 1_000  # of a container with more items, only their number is watched
NEAR = 2_000  # after each line so much is compared, the nearest first,
LINES = 20_000  # until so many lines have run

NUMBERS = (int, float, complex, np.number)
CONTAINERS: tuple[Any, ...] = (list, dict, set, deque, bytearray)
VARIABLE, ATTRIBUTE, ITEM = "variable", "attribute", "item"
BOOKKEEPING = {"_registered", "_transient"}  # what a Module notes of its own attributes
# The state of these packages' objects is not watched, except for those that are made to hold a user's attributes.
CLOSED = sys.stdlib_module_names | {"gradengine", "gradengine_kernels", "numpy", "numba"}
OPEN = {"SimpleNamespace", "Namespace", "UserDict", "UserList"}
METHODS = (FunctionType, property, staticmethod, classmethod)
WRAPPERS = (functools.partial, MethodType, BuiltinMethodType, *METHODS[1:])
WRAPPED = ("func", "args", "keywords", "fget", "__func__", "__self__")  # what these hold, each its own
CONTENTS = vars(CellType)["cell_contents"]
ASSIGNING = {dis.opmap["STORE_GLOBAL"], dis.opmap["DELETE_GLOBAL"]}


# -- what is watched ------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Holder:
    """Something that holds values: what it held before the run, and the line since which it holds others."""

    path: str  # how the user's code reaches it
    kind: str  # VARIABLE, ATTRIBUTE or ITEM
    owner: Any
    read: Callable[[], Any]  # a copy of its contents: a dict, a list, a set, bytes, or the number of items
    same: Callable[[Any, Any], bool]
    before: Any
    size: int  # how much there is to compare
    since: tuple[int, str, int] | None = None  # when it was found, the file and the number of the line

    def differs(self) -> bool:
        """Whether it holds anything else than before; False if that cannot be told, as an item's own method fails."""
        try:
            now, before, same = self.read(), self.before, self.same
            if type(before) is dict:
                if (
                    len(now) == len(before)
                    and all(map(is_, now, before))
                    and all(map(is_, now.values(), before.values()))
                ):
                    return False
                return now.keys() != before.keys() or not all(same(now[key], before[key]) for key in before)
            if type(before) is list:
                return len(now) != len(before) or not (all(map(is_, now, before)) or all(map(same, now, before)))
            return bool(now != before)
        except Exception:
            return False

    def take_back(self) -> None:
        """Let it hold what it held before, if what is new in it has been left by the trace."""
        with contextlib.suppress(Exception):  # an object that cannot be read or set is left alone
            now = self.read()
            if type(self.before) is int:  # too many items to have been copied
                remove_rests(self.owner)
            elif type(now) in (dict, list, set) and has_rest(new_in(now, self.before)):
                put_back(self.owner, now, self.before, self.kind != ITEM)

    def child(self, key: Any) -> str:
        """The path of the value under `key`."""
        if self.kind == VARIABLE:
            return self.path or str(key)
        if self.kind == ATTRIBUTE and not key.isdigit():
            return self.path if key == "__wrapped__" else f"{self.path}.{key}"
        return f"{self.path}[{key if self.kind == ATTRIBUTE else shown(key)}]"


def same_in_module(a: Any, b: Any) -> bool:
    """The same among a Module's attributes, where a Tensor that replaces a Tensor is a buffer's new value."""
    return same(a, b) or (is_a(a, Tensor) and is_a(b, Tensor))


class State(Holder):
    """A container of an optimizer or a schedule: it may change, but not keep what has a value only in the trace."""

    def differs(self) -> bool:
        """Whether there is a symbol in it that was not there before."""
        now = self.read()
        return type(now) in (dict, list) and has_rest(new_in(now, self.before))


class Stream(Holder):
    """A random generator or an iterator: where it stands."""


def attributes_of(owner: Any, members: Iterable[Any]) -> dict[str, Any]:
    """An object's attributes: its `__dict__` and these members of its class, read without running code of the class."""
    found = dict.copy(object.__getattribute__(owner, "__dict__")) if type(owner).__dictoffset__ else {}
    for member in members:
        with contextlib.suppress(AttributeError, ValueError):  # it has no value
            found[member.__name__] = member.__get__(owner)
    return found


def attributes_of_class(kind: type) -> dict[str, Any]:
    """A class's own attributes, without those that Python or a metaclass keeps under names such as `_member_map_`."""
    return {name: value for name, value in vars(kind).items() if not (name[0] == "_" == name[-1])}


def reader_of(container: Any) -> Callable[[], Any]:
    """What copies a container's items, or counts them, by the built-in type's methods and not by a subclass's."""
    kind = next(kind for kind in CONTAINERS if is_a(container, kind))
    if kind.__len__(container) > ITEMS:
        return functools.partial(kind.__len__, container)
    return (lambda: list(kind.__iter__(container))) if kind is deque else functools.partial(kind.copy, container)


def assigned_globals(code: CodeType) -> set[str]:
    """The global variables that the code assigns or deletes."""
    if ASSIGNING.isdisjoint(code.co_code[::2]):
        return set()
    return {step.argval for step in dis.get_instructions(code) if step.opcode in ASSIGNING}


# -- what a function reaches ----------------------------------------------------------------------------------------


class Reach:
    """The holders that a function can reach from outside, the nearest ones first."""

    def __init__(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        from ..nn import Module
        from ..ops.random import Generator
        from ..optim import Optimizer
        from ..optim.lr_scheduler import LRScheduler

        self.module, self.followed = Module, (Optimizer, LRScheduler)
        self.opaque = (Tensor, Generator, np.ndarray, np.generic)
        self.holders: list[Holder] = []
        self.seen: dict[int, Any] = {}  # by id; as they stay alive, so do the ids
        self.optimizers: list[Any] = []
        self.state: list[Holder] = []  # what optimizers and schedules hold
        self.elsewhere: set[int] = set()  # the containers inside optimizers and schedules
        self.queue: deque[tuple[str, Any]] = deque()
        self.size = 0
        self.code = self.start(function, args, kwargs)
        while self.queue and self.size < SIZE:
            path, value = self.queue.popleft()
            if id(value) not in self.seen:
                self.seen[id(value)] = value
                self.size += 1
                self.push(self.visit(path, value))
        self.holders = [holder for holder in self.holders if id(holder.owner) not in self.elsewhere] + self.state
        drawing: Any = np.random.mtrand._rand  # of np.random.rand and its like
        standing = stream_reader(drawing)
        if id(drawing) not in self.seen and standing is not None:  # looked at once, when the step is over
            self.holders.append(Stream("np.random", ITEM, drawing, standing, same, standing(), NEAR + 1))

    def start(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CodeType | None:
        """Begin with the function and its arguments, which are called what its parameters are; returns its code."""
        while not isinstance(function, FunctionType):
            if isinstance(function, functools.partial):
                args, kwargs = (*function.args, *args), {**function.keywords, **kwargs}
                function = function.func
            elif isinstance(function, MethodType):
                args, function = (function.__self__, *args), function.__func__
            else:
                method = getattr(type(function), "forward" if isinstance(function, self.module) else "__call__", None)
                if not isinstance(method, FunctionType):
                    break  # it is written in C
                args, function = (function, *args), method
        self.push([(getattr(function, "__name__", "function"), function)])
        with contextlib.suppress(TypeError, ValueError):  # the arguments do not fit, or nobody knows what would
            self.push(inspect.signature(function).bind(*args, **kwargs).arguments.items())
        return getattr(inspect.unwrap(function), "__code__", None)

    def push(self, found: Iterable[tuple[str, Any]]) -> None:
        """Visit values later, but for those in which nothing could change."""
        for path, value in found:
            if type(value) not in PLAIN and not is_a(value, self.opaque) and len(path) <= PATH:
                self.queue.append((path, value))

    def hold(self, path: str, kind: str, owner: Any, read: Callable[[], Any]) -> list[tuple[str, Any]]:
        """Watch what `read` gives; returns the paths and values in it."""
        before, compare = read(), same_in_module if is_a(owner, self.module) else same
        holder = Holder(path, kind, owner, read, compare, before, 10 + (0 if type(before) is int else len(before)))
        self.holders.append(holder)
        self.size += holder.size
        if type(before) is list:
            return [(holder.child(i), value) for i, value in enumerate(before)]
        items = before.items() if type(before) is dict else ()
        return [(holder.child(key), value) for key, value in items if key not in BOOKKEEPING]

    def visit(self, path: str, value: Any) -> list[tuple[str, Any]]:
        """Watch a value if it can change; returns the paths and values that it leads to."""
        if is_a(value, self.followed):
            if is_a(value, self.followed[0]):
                self.optimizers.append(value)
            return self.leave_out(path, vars(value), top=True)
        if is_a(value, WRAPPERS):
            return [(path, getattr(value, name, None)) for name in WRAPPED]
        if is_a(value, type):
            return self.visit_class(value)
        if is_a(value, ModuleType):
            return self.visit_module(path, value)
        if (standing := stream_reader(value)) is not None:
            self.holders.append(Stream(path, ITEM, value, standing, same, standing(), 10))
        if inner := inner_iterators(value):
            return [(path, part) for part in inner]
        if is_a(value, tuple):
            return [(f"{path}[{i}]", item) for i, item in enumerate(itertools.islice(tuple.__iter__(value), ITEMS))]
        if is_a(value, CellType):
            return self.hold(path, VARIABLE, value, functools.partial(attributes_of, value, [CONTENTS]))
        found = self.visit_attributes(path, value)
        if is_a(value, FunctionType) and is_users(value.__code__.co_filename):
            found += self.visit_code(value)
        if is_a(value, CONTAINERS):
            found += self.hold(path, ITEM, value, reader_of(value))
        return found

    def visit_attributes(self, path: str, owner: Any) -> list[tuple[str, Any]]:
        """Watch an object's attributes; they lead to their values, and to the methods of its class."""
        bases = [
            b for b in type(owner).__mro__ if str(b.__module__).partition(".")[0] not in CLOSED or b.__name__ in OPEN
        ]
        function = is_a(owner, FunctionType)
        if not (bases or is_a(owner, self.module) or (function and is_users(owner.__code__.co_filename))):
            return [(path, attributes_of(owner, ()).get("__wrapped__"))]
        members = [m for base in bases for m in vars(base).values() if type(m) is MemberDescriptorType]
        found: list[tuple[str, Any]] = []
        if not function or vars(owner):
            found += self.hold(path, ATTRIBUTE, owner, functools.partial(attributes_of, owner, members))
        return found + [(base.__name__, base) for base in bases]

    def visit_class(self, kind: type) -> list[tuple[str, Any]]:
        """Watch the attributes of a user's class. A class leads to its bases and methods."""
        module = str(kind.__module__)
        if module.partition(".")[0] in CLOSED:
            return []
        name = kind.__name__
        found = [(name, part) for part in (*kind.__bases__, *vars(kind).values()) if is_a(part, (type, *METHODS))]
        if is_users(getattr(sys.modules.get(module), "__file__", None) or ""):
            found += self.hold(name, ATTRIBUTE, kind, functools.partial(attributes_of_class, kind))
        return found

    def visit_module(self, path: str, module: ModuleType) -> list[tuple[str, Any]]:
        """Watch the variables that a user's module has already: imports inside a step may add others."""
        file, space = getattr(module, "__file__", None), vars(module)
        if file and is_users(file):
            names = [name for name in space if name[:2] != "__"]
            read = lambda: {name: space[name] for name in names if name in space}
            self.hold(path, ATTRIBUTE, module, read)
        return []

    def visit_code(self, function: FunctionType) -> list[tuple[str, Any]]:
        """Watch the variables that a function may assign; it leads to those that it names, and to its defaults."""
        code, variables = function.__code__, function.__globals__
        codes = [code]
        for inner in codes:  # which grows by the functions defined inside
            codes += [constant for constant in inner.co_consts if isinstance(constant, CodeType)]
        if assigned := sorted(set().union(*map(assigned_globals, codes))):
            read = lambda: {name: variables[name] for name in assigned if name in variables}
            self.hold("", VARIABLE, variables, read)
        named = {name: variables[name] for inner in codes for name in inner.co_names if name in variables}
        names, defaults = code.co_varnames[: code.co_argcount], function.__defaults__ or ()
        return [
            *zip(code.co_freevars, function.__closure__ or ()),
            *named.items(),
            *zip(names[len(names) - len(defaults) :], defaults),
            *(function.__kwdefaults__ or {}).items(),
        ]

    def leave_out(self, path: str, value: Any, top: bool = False) -> list[tuple[str, Any]]:
        """Note the containers in an optimizer or a schedule: the trace follows them already.

        They may change, then, but must not keep symbols.
        """
        self.elsewhere.add(id(value))
        items = value.items() if is_a(value, dict) else enumerate(value)
        if not is_a(value, tuple) and not (is_a(value, dict) and "params" in value):  # the trace follows groups
            read, kind = reader_of(value), ATTRIBUTE if top else ITEM
            self.state.append(State(path, kind, value, read, same, read(), 10 + len(value)))
        for key, inner in items:
            if is_a(inner, (list, dict, tuple)) and id(inner) not in self.elsewhere:
                self.leave_out(f"{path}.{key}" if top else f"{path}[{shown(key)}]", inner)
        return []


# -- the watch ------------------------------------------------------------------------------------------------------


class Watch:
    """Watches what a function can reach from outside while the block runs; `check` then says whether it changed.

    Where a debugger or a coverage tool traces the lines already, it keeps doing so, and the message names the
    function instead of the line. `calls` is told of each call.
    """

    def __init__(
        self,
        function: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        calls: Calls | None = None,
    ) -> None:
        self.calls = calls
        reach = Reach(function, args, kwargs or {})
        self.code, self.holders, self.optimizers = reach.code, reach.holders, reach.optimizers
        sizes = itertools.accumulate(holder.size for holder in self.holders)
        self.nearest = [holder for holder, size in zip(self.holders, sizes) if size <= NEAR]
        self.lines = 0
        self.here: tuple[str, int] | None = None  # the user's line that runs now
        self.message = ""

    def __enter__(self) -> Watch:
        if self.calls is not None:
            self.calls.install()
        if sys.gettrace() is None:
            sys.settrace(self.trace)
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if sys.gettrace() == self.trace:
            sys.settrace(None)
        if self.calls is not None:
            self.calls.remove()
        changed = [holder for holder in self.holders if holder.differs()]
        if error is None:
            changed.sort(key=lambda holder: holder.since[0] if holder.since else sys.maxsize)
            self.message = self.describe(changed[0]) if changed else ""
        for holder in changed:
            holder.take_back()
        self.holders, self.nearest = [], []

    def check(self) -> None:
        """Raise TraceError for the first change, or for what gives something else at each call."""
        if self.calls is not None and self.calls.volatile is not None:
            raise self.calls.volatile
        if self.message:
            raise TraceError(self.message)

    def trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        """What Python calls at each call, line and return. It never raises: an error would become the user's."""
        try:
            if event == "call":
                if self.calls is not None:
                    self.calls.note(frame)
                if not is_users(frame.f_code.co_filename):
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
        self.lines += 1
        if self.lines > LINES:
            self.nearest = []
        for holder in self.nearest:
            if holder.differs() is (holder.since is None):
                holder.since = (self.lines, *self.here) if self.here and not holder.since else None

    def describe(self, holder: Holder) -> str:
        """The message for a holder that has changed."""
        file, number, where = "", 0, "the function"
        if holder.since:
            _, file, number = holder.since
            where = f"line {number} of {Path(file).name}"
        elif self.code:
            file, number = self.code.co_filename, self.code.co_firstlineno
            while linecache.getline(file, number).lstrip().startswith("@"):
                number += 1
            where = f"{self.code.co_name} (line {number} of {Path(file).name})"
        source = linecache.getline(file, number).strip()
        quoted = f"\n    {source}\n" if source else " "
        what = "variable" if holder.kind == VARIABLE else "object"
        begun = f"jit: {where} changes a Python {what} outside the function, which a compiled step cannot repeat:"
        return begun + quoted + explain(holder)


# -- in words -------------------------------------------------------------------------------------------------------


def explain(holder: Holder) -> str:
    """What is different, and what to do about it."""
    now, before, path = holder.read(), holder.before, holder.path
    if type(holder) is Stream:
        return (
            f"`{path}` ({shown(holder.owner)}) gives something else at each call. Take from it where you call the "
            "step, and pass what it gives as an argument; random numbers inside come from ge.rand and its like."
        )
    if type(holder) is State:
        pairs = now.items() if type(now) is dict else enumerate(now)
        key, value = next((key, value) for key, value in pairs if has_rest(new_in({key: value}, {})))
        where = holder.child(key)
        return (
            f"`{where}` is {shown(value)} that has a value only inside. Make it before the first compiled step, and "
            "change it in place."
        )
    if holder.kind == ITEM and (isinstance(before, (int, set)) or len(now) != len(before)):
        more = now - before if type(before) is int else len(now) - len(before)
        few = {1: "another item", 0: "other items", -1: "one item fewer"}
        many = few.get(more, f"{abs(more)} items {'more' if more > 0 else 'fewer'}")
        verb = "set" if is_a(holder.owner, dict) else "add" if is_a(holder.owner, set) else "append"
        held, known = (x.values() if type(x) is dict else () if type(x) is int else x for x in (now, before))
        ids = set(map(id, known))
        added = [value for value in held if id(value) not in ids]
        advice = remedy(added, verb) if more >= 0 else "Take items out where you call the step."
        return f"`{path}` ({shown(holder.owner)}) has {many} now. {advice}"
    old, new = (items if type(items) is dict else dict(enumerate(items)) for items in (before, now))
    key = next(k for k in [*old, *new] if k not in old or k not in new or not holder.same(new[k], old[k]))
    path = holder.child(key)
    if key not in new:
        return f"`{path}` is gone now. Delete it where you call the step."
    a, b = old.get(key), new[key]
    if key not in old:
        return f"`{path}` is new: {shown(b)}. {remedy([b], 'set')}"
    if shown(a) == shown(b):
        return f"`{path}` is another {type(b).__name__} now. {remedy([b], 'set')}"
    counted = is_a(a, NUMBERS) and is_a(b, NUMBERS) and type(b) is not bool
    advice = "Keep it in a Tensor, or count where you call the step." if counted else remedy([b], "set")
    return f"`{path}` changed from {shown(a)} to {shown(b)}. {advice}"


def remedy(values: list[Any], verb: str) -> str:
    """What to do with values that cannot be left outside."""
    what = "Tensor" if any(is_a(value, Tensor) for value in values) else "value"
    collect = ", or let over(...) collect it" if what == "Tensor" and verb != "set" else ""
    return f"Return the {what} from the function and {verb} it where you call it{collect}."


def shown(value: Any) -> str:
    """A value in a few words."""
    text, kind = repr(value) if type(value) in PLAIN or is_a(value, np.generic) else "", type(value).__name__
    return text if text and len(text) <= 40 else f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
