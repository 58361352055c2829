"""What a step reads through plain Python: a guard for each namespace, container and array on the way.

`guards_of` starts at the step, its arguments, and the global variables of all code that has run in the trace. From
there it follows the names that this code loads, and every item of a container, to whatever is outside: an attribute
that no code names is not read, and may change as it likes. Where names are computed (`getattr`, `vars`), all
attributes count as read.

May import read_guards, values, watch, hostwork, tensor and, when it is first asked, nn and optim.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import gc
import os
import sys
import sysconfig
from collections import deque
from pathlib import Path
from types import CodeType, FunctionType, MemberDescriptorType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..hostwork import current
from ..tensor import Tensor
from .read_guards import Attributes, Cells, Elements, FunctionParts, Items, Parts, Variables, contents_of, dict_of
from .values import PLAIN, is_a
from .watch import CLOSED, CONTAINERS, METHODS, OPEN, WRAPPED, WRAPPERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MOST = 50_000  # objects that are looked at
HIDDEN = frozenset(("__dict__", "__weakref__", "__doc__", "__module__"))  # entries of a class that mean nothing here
COMPUTED = frozenset(("getattr", "vars", "__dict__", "attrgetter", "eval", "exec", "__getattribute__"))

ENGINE = Path(__file__).parents[1]
STANDARD = [sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")] + [os.path.dirname(os.__file__)]
FOLDERS = (ENGINE, ENGINE.parent / "kernels" / "gradengine_kernels", Path(str(np.__file__)).parent)
OWN: tuple[str, ...] = ("<frozen", "<__array", *(str(folder) + os.sep for folder in FOLDERS))
# What backends run on: a kernel that compiles during a trace runs their code, which is not state of the step.
RUNTIMES = tuple(f"-packages{os.sep}{name}" for name in ("numba", "llvmlite", "cupy", "scipy", "threadpoolctl", "cuda"))


@functools.cache
def is_outside(file: str) -> bool:
    """Whether a file belongs neither to the engine, to NumPy or another package that it runs on, nor to Python."""
    installed = "site-packages" in file or "dist-packages" in file
    if installed and any([part in file for part in RUNTIMES]):
        return False
    return not file.startswith(OWN) and (installed or not file.startswith(tuple(STANDARD)))


@functools.cache
def names_in(code: CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """The global variables that code reads, and the attributes: what it names, or has as a string that could be one."""
    variables, attributes = set(), set(code.co_names)
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            variables.add(step.argval)
    for value in code.co_consts:
        if isinstance(value, CodeType):  # which runs inside, or is given to somebody who runs it
            inner = names_in(value)
            variables |= inner[0]
            attributes |= inner[1]
        attributes |= {x for x in (value if isinstance(value, tuple) else (value,)) if type(x) is str}
    return frozenset(variables), frozenset(attributes)


# -- the walk -------------------------------------------------------------------------------------------------------


class Walk:
    """Finds what is read. `calls` are the code that has run, with its global variables; `ran` the modules that have.

    The trace has noted the parts, hooks and plain settings of those.
    """

    def __init__(self, calls: dict[CodeType, dict[str, Any]], ran: Iterable[Any]) -> None:
        from ..nn import Module
        from ..ops.random import Generator
        from ..optim import Optimizer
        from ..optim.lr_scheduler import LRScheduler

        self.calls, self.module = calls, Module
        self.ran = set(map(id, ran))
        # The trace follows these by itself.
        self.followed = (Tensor, Generator, Optimizer, LRScheduler, np.generic)
        names = [names_in(code)[1] for code in calls]
        self.names = frozenset().union(*names)
        self.every = not COMPUTED.isdisjoint(self.names)
        self.found: list[Any] = []
        self.seen: dict[int, Any] = {}  # by id; as they stay alive, so do the ids
        self.queue: deque[tuple[str, Any]] = deque()

    def run(self, roots: Iterable[tuple[str, Any]]) -> list[Any]:
        """Walk from these values, and from the global variables of all code; returns the guards."""
        self.queue += roots
        spaces: dict[int, tuple[dict[str, Any], set[str]]] = {}
        for code, variables in self.calls.items():
            spaces.setdefault(id(variables), (variables, set()))[1].update(names_in(code)[0])
        for variables, names in spaces.values():
            self.hold_variables("", variables, sorted(names))
        while self.queue and len(self.seen) < MOST:
            path, value = self.queue.popleft()
            if type(value) not in PLAIN and not is_a(value, self.followed) and id(value) not in self.seen:
                self.seen[id(value)] = value
                self.visit(path, value)
        return self.found

    def hold_variables(self, path: str, space: Any, names: list[str], absent: Iterable[str] = ()) -> None:
        """Guard entries of a namespace, and go on to what they are."""
        if names or absent:
            self.found.append(Variables(path, space, names, absent))
            self.queue += [(path + name, space[name]) for name in names if name in space]

    def visit(self, path: str, value: Any) -> None:
        """Guard what can be read of a value."""
        if is_a(value, np.ndarray):
            self.found.append(Elements(path, value))
        elif is_a(value, FunctionType):
            self.visit_function(path, value)
        elif is_a(value, WRAPPERS):
            self.queue += [(path, getattr(value, name, None)) for name in WRAPPED]
        elif is_a(value, (tuple, frozenset)):
            self.queue += [(f"{path}[{i}]", item) for i, item in enumerate(value)]
        elif is_a(value, ModuleType):
            if is_outside(getattr(value, "__file__", None) or ""):
                self.hold_variables(f"{path}.", vars(value), sorted(self.names & vars(value).keys()))
        elif is_a(value, type):
            self.visit_class(value)
        elif type(value).__module__ == "gradengine.compiler":  # another jitted step, or method
            self.queue += [(path, dict_of(value).get(name)) for name in ("function", "step", "instance")]
        else:
            self.visit_object(path, value)
            kind = next((kind for kind in CONTAINERS if is_a(value, kind)), None)
            if kind is not None:
                self.found.append(Items(path, value, kind))
                if kind not in (set, bytearray):
                    self.queue += self.found[-1].values()

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
            self.hold_variables(f"{base.__name__}.", space, names, self.names - space.keys())

    def has_run(self, method: Any) -> bool:
        """Whether a function, or what wraps one, is of code that has run."""
        function = getattr(method, "fget", None) or getattr(method, "__func__", method)
        return getattr(function, "__code__", None) in self.calls

    def visit_object(self, path: str, owner: Any) -> None:
        """Guard an object's attributes."""
        kind = type(owner)
        is_module = is_a(owner, self.module)
        bases = [b for b in kind.__mro__ if str(b.__module__).partition(".")[0] not in CLOSED or b.__name__ in OPEN]
        if not bases and not is_module:
            return
        space = dict_of(owner)
        if self.every or (is_module and not bases) or kind.__name__ in ("UserDict", "UserList"):
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
        if names or members or absent:
            found = Attributes(path, owner, names, absent, members)
            self.found.append(found)
            self.queue += found.values()
        if id(kind) not in self.seen and bases:
            self.queue.append((path, kind))


def guards_of(
    function: Any, arguments: Iterable[Any], modules: Iterable[Any], calls: dict[CodeType, dict[str, Any]]
) -> list[Any]:
    """The guards for what a step has read. `modules` are those that have run, `calls` the code.

    `arguments` are the leaves of the step's arguments: their containers are rebuilt for each trace.
    """
    walk = Walk(calls, modules)
    return walk.run([("", function), *(("argument", x) for x in arguments), *(("module", m) for m in modules)])


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


class Calls:
    """The code that runs in a trace, and its global variables."""

    def __init__(self) -> None:
        self.found: dict[CodeType, dict[str, Any]] = {}
        self.other: Any = None

    def note(self, frame: Any) -> None:
        """Note a call, unless it is the engine's, or work of the host that is done at each call."""
        code = frame.f_code
        if code not in self.found and is_outside(code.co_filename) and current.trace is not None:
            self.found[code] = frame.f_globals

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
        if self.other is not None:
            self.other(frame, event, argument)
