"""What a step reads through plain Python: a guard for each namespace, container and array on the way.

`guards_of` starts at the step, its arguments, and the global variables of all code that has run in the trace. From
there it follows the names that this code loads, and every item of a container, to whatever is outside: an attribute
that no code names is not read, and may change as it likes. Where names are computed (`getattr`, `vars`), all
attributes count as read.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import gc
import operator
import os
import random
import re
import sys
from array import array
from collections import ChainMap, OrderedDict, UserDict, UserList, UserString, deque
from contextvars import ContextVar
from threading import local
from types import BuiltinFunctionType, CodeType, FunctionType, MappingProxyType, MemberDescriptorType, ModuleType
from typing import TYPE_CHECKING, Any
from weakref import ProxyTypes, ReferenceType, WeakKeyDictionary, WeakSet, WeakValueDictionary

import numpy as np

from ..core.host_callbacks import current
from ..core.tensor_class import Tensor
from .purity import CLOSED, CONTAINERS, METHODS, OPEN, WRAPPED, WRAPPERS
from .read_guards import (
    Answer,
    Attributes,
    Buffer,
    Cells,
    Classes,
    Elements,
    FunctionParts,
    Items,
    Parts,
    Variables,
    contents_of,
    dict_of,
)
from .source_files import STANDARD, is_outside, is_users
from .streams import volatile
from .trace_errors import volatile_error
from .values import NOTHING, PLAIN, is_a

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MOST = 50_000  # objects that are looked at
HIDDEN = frozenset(("__dict__", "__weakref__", "__doc__", "__module__"))  # entries of a class that mean nothing here
COMPUTED = frozenset(("getattr", "vars", "dir", "__dict__", "attrgetter", "eval", "exec", "__getattribute__"))
COMPUTING = (getattr, vars, dir, eval, exec, hasattr)
FIELD = re.compile(r"[.\[](\w+)")  # an attribute or item that a format string names
# Containers of the standard library that hold their items in attributes, and what shows all attributes as text.
HOLDING = (UserDict, UserList, UserString, ChainMap, WeakKeyDictionary, WeakValueDictionary, WeakSet)
TYPES = frozenset(("type", "isinstance", "__class__"))
SHOWN = {"SimpleNamespace", "Namespace"}
SHOWING = frozenset(("repr", "str", "format", "print", "ascii"))
READ: tuple[Any, ...] = (OrderedDict, *CONTAINERS)  # containers, each before those that it is a kind of
ENVIRONMENT = {f.__code__ for f in vars(type(os.environ)).values() if isinstance(f, FunctionType)}


@functools.cache
def names_in(code: CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """The global variables that code reads, and the attributes: what it names, or has as a string that could be one."""
    variables, attributes = set(), set(code.co_names)
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            variables.add(step.argval)
        elif step.opname in ("FORMAT_VALUE", "FORMAT_SIMPLE"):
            attributes.add("format")
    for value in code.co_consts:
        if isinstance(value, CodeType):  # which runs inside, or is given to somebody who runs it
            inner = names_in(value)
            variables |= inner[0]
            attributes |= inner[1]
        strings = [x for x in (value if isinstance(value, tuple) else (value,)) if type(x) is str]
        attributes.update(strings, *[FIELD.findall(x) for x in strings if "{" in x])
    return frozenset(variables), frozenset(attributes)


@functools.cache
def keys_in(code: CodeType) -> frozenset[str]:
    """The strings in code, but for those under which it only sets items."""
    steps = [*dis.get_instructions(code)]
    found = {a.argval for a, b in zip(steps, [*steps[1:], None]) if a.opname == "LOAD_CONST" and not sets_item(b)}
    for value in [x for x in found if isinstance(x, tuple)]:
        found.update(value)
    return frozenset(x for x in found if type(x) is str).union(
        *[keys_in(x) for x in code.co_consts if isinstance(x, CodeType)]
    )


def sets_item(step: Any) -> bool:
    """Whether an instruction sets an item."""
    return step is not None and step.opname == "STORE_SUBSCR"


def keys_read(calls: Calls) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Strings that the step's own code may read items under, those where it asks for types, and all that it names."""
    typed = [keys_in(code) for code in calls.found if not TYPES.isdisjoint(code.co_names)]
    return frozenset().union(*map(keys_in, calls.found)), frozenset().union(*typed), names_read(calls)


def names_read(calls: Calls) -> frozenset[str]:
    """The attributes that the step's own code names, and its strings."""
    return calls.names.union(*[names_in(code)[1] for code in calls.found])


# -- the walk -------------------------------------------------------------------------------------------------------


class Walk:
    """Finds what is read. `calls` are the code that has run, with its global variables; `ran` the modules that have.

    The trace has noted the parts, hooks and plain settings of those.
    """

    def __init__(self, calls: Calls, ran: Iterable[Any]) -> None:
        from ..nn import Module
        from ..ops.random import Generator
        from ..optim import Optimizer
        from ..optim.lr_scheduler import LRScheduler

        self.calls, self.module, self.containers = calls.found, Module, calls.containers
        self.ran = set(map(id, ran))
        # The trace follows these by itself.
        self.followed = (Tensor, Generator, Optimizer, LRScheduler, np.generic)
        self.names = names_read(calls)
        self.every = not COMPUTED.isdisjoint(self.names) or any([f in calls.functions for f in COMPUTING])
        self.shown = self.every or not SHOWING.isdisjoint(self.names)
        self.all_variables = globals in calls.functions or "globals" in self.names
        self.more_names: set[str] = set()  # names and code that only the walk has met
        self.more_code: dict[CodeType, dict[str, Any]] = {}
        self.classes = Classes()
        self.found: list[Any] = []
        self.seen: dict[int, Any] = {}  # by id; as they stay alive, so do the ids
        for cache in (sys.modules, sys.path_importer_cache):  # any import adds to them; no answer depends on that
            self.seen[id(cache)] = cache
        self.queue: deque[tuple[str, Any]] = deque()

    def run(self, roots: Iterable[tuple[str, Any]]) -> list[Any]:
        """Walk from these values, and from the global variables of all code; returns the guards."""
        self.queue += roots
        spaces: dict[int, tuple[dict[str, Any], set[str]]] = {}
        for code, variables in self.calls.items():
            spaces.setdefault(id(variables), (variables, set()))[1].update(names_in(code)[0])
        for variables, names in spaces.values():
            if self.all_variables:
                names.update([name for name in variables if name[:2] != "__"])
            self.hold_variables("", variables, sorted(names))
        while self.queue and len(self.seen) < MOST:
            path, value = self.queue.popleft()
            if id(value) in self.containers:  # the options of an optimizer
                self.containers[id(value)] = True
            elif type(value) not in PLAIN and not is_a(value, self.followed) and id(value) not in self.seen:
                self.seen[id(value)] = value
                self.visit(path, value)
        if self.classes.before:
            self.found.append(self.classes)
        return self.found

    def hold_variables(self, path: str, space: Any, names: list[str], absent: Iterable[str] = ()) -> None:
        """Guard entries of a namespace, and go on to what they are."""
        if names or absent:
            self.found.append(Variables(path, space, names, absent))
            self.queue += [(path + name, space[name]) for name in names if name in space]

    def visit(self, path: str, value: Any) -> None:
        """Guard what can be read of a value."""
        if is_a(value, (np.ndarray, array, memoryview)):
            self.visit_array(path, value)
        elif is_a(value, FunctionType):
            self.visit_function(path, value)
        elif is_a(value, WRAPPERS):
            self.every |= value in COMPUTING if type(value) is BuiltinFunctionType else False
            self.queue += [(path, getattr(value, name, None)) for name in WRAPPED]
        elif is_a(value, (tuple, frozenset)):
            self.queue += [(f"{path}[{i}]", item) for i, item in enumerate(value)]
            if type(value).__dictoffset__:
                self.visit_object(path, value)
        elif is_a(value, ModuleType):
            if is_outside(file := getattr(value, "__file__", None) or "") or not (file or hasattr(value, "__spec__")):
                space = vars(value)
                every = self.every and is_users(file)
                names = [name for name in space if name[:2] != "__"] if every else self.names & space.keys()
                self.hold_variables(f"{path}.", space, sorted(names), self.names - space.keys() if every else ())
        elif is_a(value, type):
            self.visit_class(value)
        elif type(value).__module__ == "gradengine.compiler":  # another jitted step, or method
            self.queue += [(path, dict_of(value).get(name)) for name in ("function", "step", "instance")]
        elif not self.visit_built_in(path, value):
            self.visit_object(path, value)
            kind = next((kind for kind in READ if is_a(value, kind)), None)
            if kind is not None:
                self.found.append(Items(path, value, kind))
                if kind is not bytearray:
                    self.queue += self.found[-1].values()

    def visit_built_in(self, path: str, value: Any) -> bool:
        """Guard what stands behind an object of Python's own that is no container; False for others."""
        kind = type(value)
        if kind is MappingProxyType:
            self.queue += [(path, behind) for behind in gc.get_referents(value)]
        elif kind is ContextVar:
            self.answer(path, functools.partial(value.get, NOTHING))
        elif is_a(value, ReferenceType):
            self.answer(path, value)
        elif kind in ProxyTypes:
            with contextlib.suppress(ReferenceError, AttributeError):
                self.queue.append((path, value.__repr__.__self__))  # what it stands for
        elif kind is operator.attrgetter or kind is operator.methodcaller:
            for part in value.__reduce__()[1]:
                self.more_names.update(str(part).split("."))
        elif kind is functools._lru_cache_wrapper:  # which may have known the answer, so that its function has not run
            function = value.__wrapped__
            self.queue.append((path, function))
            if is_a(function, FunctionType) and is_outside(function.__code__.co_filename):
                self.more_code[function.__code__] = function.__globals__
        else:
            return False
        return True

    def answer(self, path: str, look: Callable[[], Any]) -> None:
        """Guard what a question gives, and go on to that."""
        self.found.append(Answer(path, look))
        self.queue += self.found[-1].values()

    def visit_array(self, path: str, value: Any) -> None:
        """Guard the elements of an array, its attributes, and what elements refer to."""
        self.found.append((Elements if is_a(value, np.ndarray) else Buffer)(path, value))
        if is_a(value, np.ndarray) and value.dtype.hasobject and value.dtype.names is None:
            self.queue += [(path, item) for item in value.flat]
        if type(value).__dictoffset__:
            self.visit_object(path, value)

    def visit_function(self, path: str, function: FunctionType) -> None:
        """Guard the variables that a function finds around it, if it has run, or wraps another one."""
        code, cells = function.__code__, function.__closure__ or ()
        if code in self.calls or not is_outside(code.co_filename):
            named = list(zip(code.co_freevars, cells, strict=True))
            if code in self.calls and named:
                self.found.append(Cells(named))
            self.queue += [(name, contents_of(cell)) for name, cell in named]
            self.found.append(FunctionParts(path, function))
            self.queue += self.found[-1].values()
            space = vars(function)
            attributes = sorted(self.names & space.keys())
            self.found.append(Attributes(path, function, attributes, self.names - space.keys(), ()))
            self.queue += self.found[-1].values()
        self.queue.append((path, vars(function).get("__wrapped__")))

    def visit_class(self, kind: type) -> None:
        """Guard attributes of a user's class and its bases; methods lead on to what they read."""
        for base in kind.__mro__:
            if str(base.__module__).partition(".")[0] in CLOSED or (id(base) in self.seen and base is not kind):
                continue
            self.seen[id(base)] = base
            space = vars(base)
            run = [name for name, x in space.items() if name in self.names or (is_a(x, METHODS) and self.has_run(x))]
            names = sorted(name for name in run if name not in HIDDEN)
            if self.every:
                names = [name for name in space if name not in HIDDEN]
            self.hold_variables(f"{base.__name__}.", space, names, self.names - space.keys())
        if str(kind.__module__).partition(".")[0] not in CLOSED:
            self.classes.before.append((kind, kind.__mro__))
            if type(kind) is not type:
                self.queue.append((kind.__name__, type(kind)))

    def has_run(self, method: Any) -> bool:
        """Whether a function, or what wraps one, is of code that has run."""
        function = getattr(method, "fget", None) or getattr(method, "__func__", method)
        return getattr(function, "__code__", None) in self.calls

    def visit_object(self, path: str, owner: Any) -> None:
        """Guard an object's attributes."""
        kind = type(owner)
        is_module = is_a(owner, self.module)
        bases = [b for b in kind.__mro__ if str(b.__module__).partition(".")[0] not in CLOSED or b.__name__ in OPEN]
        is_holding = is_a(owner, HOLDING)
        if not (bases or is_module or is_holding or is_a(owner, local)):
            return
        space = dict_of(owner)
        every = self.every or is_holding or (self.shown and kind.__name__ in SHOWN)
        if every or (is_module and not bases):
            names = [name for name in space if type(name) is str]
        else:
            names = sorted(self.names & space.keys())
        if is_module:
            names = [name for name in names if name != "training" and not name.startswith("_")]
            self.queue += [(f"{path}.{name}", space[name]) for name in space["_registered"]]
            if id(owner) not in self.ran:
                self.found.append(Parts(owner))
            elif not bases:  # its settings are guarded already
                self.queue += [(f"{path}.{name}", space[name]) for name in names]
                names = []
        members = [
            x
            for b in bases
            for name, x in vars(b).items()
            if type(x) is MemberDescriptorType and (self.every or name in self.names)
        ]
        absent = self.names - space.keys() if bases and kind.__dictoffset__ else ()
        if names or members or absent or every:
            found = Attributes(path, owner, names, absent, members, every and not is_module)
            self.found.append(found)
            self.queue += found.values()
        if id(kind) not in self.seen and bases:
            self.queue.append((path, kind))


def guards_of(function: Any, arguments: Iterable[Any], modules: Iterable[Any], calls: Calls) -> list[Any]:
    """The guards for what a step has read. `modules` are those that have run, `calls` the code.

    `arguments` are the leaves of the step's arguments: their containers are rebuilt for each trace.
    """
    roots = [("", function), *(("argument", x) for x in arguments), *(("module", m) for m in modules)]
    if calls.environment:
        roots.append(("os.environ", os.environ._data))  # type: ignore[attr-defined]
    while True:
        walk = Walk(calls, modules)
        every = walk.every
        found = walk.run(roots)
        if every is walk.every and walk.more_names <= walk.names and walk.more_code.keys() <= calls.found.keys():
            return found
        calls.names |= walk.more_names  # the walk before did not look for these
        calls.found |= walk.more_code
        if walk.every:
            calls.functions.add(getattr)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """A trace in which no garbage is collected: what `gc.callbacks` run by chance is not the step's code."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


NOTED = frozenset((*COMPUTING, globals))


def root_of_package(variables: dict[str, Any]) -> str:
    """The package that global variables belong to."""
    return str(variables.get("__name__")).partition(".")[0]


SEED = random.Random.seed.__code__


def is_importing(frame: Any) -> bool:
    """Whether the code runs because a module is imported, which happens once however often a step is called."""
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


def caller_of(frame: Any) -> Any:
    """The frame of the code that has called into Python's standard library."""
    while frame is not None and frame.f_code.co_filename.startswith((*STANDARD, "<frozen")):
        frame = frame.f_back
    return frame


class Calls:
    """The code that runs in a trace, and its global variables."""

    def __init__(self) -> None:
        self.found: dict[CodeType, dict[str, Any]] = {}
        self.names: frozenset[str] = frozenset()  # that are read, beside those which the code names
        self.functions: set[Any] = set()  # functions written in C that code outside has called
        self.containers: dict[int, bool] = {}  # groups of optimizers, by id: whether the step has found them by itself
        self.volatile: Exception | None = None  # for a clock that was asked, or a random number
        self.seeded: dict[int, Any] = {}  # generators that the step has given a seed, by id: the same at each call
        self.environment = False  # whether os.environ was read
        self.other: Any = None

    def note(self, frame: Any) -> None:
        """Note a call, unless it is the engine's, or work of the host that is done at each call."""
        code = frame.f_code
        if code not in self.found and is_outside(code.co_filename) and current.trace is not None:
            if is_importing(frame):
                return
            if code.co_filename[0] != "<" or root_of_package(frame.f_globals) not in CLOSED:  # made for a dataclass
                self.found[code] = frame.f_globals
        elif code in ENVIRONMENT and current.trace is not None:
            caller = caller_of(frame)
            self.environment |= caller is not None and is_outside(caller.f_code.co_filename)

    def note_built_in(self, frame: Any, function: Any) -> None:
        """Note the call of a function that is written in C."""
        if current.trace is None:
            return
        if function in NOTED:
            if is_outside(frame.f_code.co_filename):
                self.functions.add(function)
        elif frame.f_code is SEED and frame.f_locals.get("a") is not None:
            self.seeded[id(frame.f_locals["self"])] = frame.f_locals["self"]
        elif id(getattr(function, "__self__", None)) in self.seeded:
            return
        elif (kind := volatile(function)) and self.volatile is None:
            caller = caller_of(frame) if kind == "random" else frame  # a library may ask a clock, as to log
            file = caller.f_code.co_filename if caller is not None else ""
            if is_outside(file) and (kind == "random" or is_users(file)):
                self.volatile = volatile_error(kind, caller)

    def install(self) -> None:
        """Have Python tell of calls, beside a profiler that it tells already."""
        self.other = sys.getprofile()
        if self.other is None or callable(self.other):
            sys.setprofile(self.profile)

    def remove(self) -> None:
        """Undo `install`."""
        if sys.getprofile() == self.profile:
            sys.setprofile(self.other)

    def profile(self, frame: Any, event: str, argument: Any) -> None:
        """What Python calls at each call and return."""
        if event == "call":
            self.note(frame)
        elif event == "c_call":
            self.note_built_in(frame, argument)
        if self.other is not None:
            self.other(frame, event, argument)
