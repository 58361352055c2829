"""Guards: what a traced step has read of Python, which must be as it was for its program to be used again.

A step reads modules, hooks, gradients and Tensors through the trace, which notes them. What it reads through plain
Python (variables, attributes, entries of containers, elements of NumPy arrays) is found here: starting from the step
and its arguments, `reads` follows the names that the code which has run loads, and guards whatever lies on the way.
Nothing is compared by an id: guards hold what they compare with, but refer weakly to the objects that own attributes.
"""

from __future__ import annotations

import dataclasses
import weakref
from operator import is_
from typing import TYPE_CHECKING, Any, TypeAlias

from ..core.tensor_class import Tensor
from ..core.views import link_of, root_of
from .values import NOTHING, same

if TYPE_CHECKING:
    from collections.abc import Callable


SETTINGS = frozenset((bool, int, float, str, type(None), tuple, frozenset))  # what a module's forward may depend on


Trace: TypeAlias = Any  # tracing.Trace, which imports this file


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Source:
    """Where a program finds an input, or puts an output: a Tensor, argument `place`, or the gradient of `owner`."""

    kind: str  # "tensor", "argument", "grad", "host"
    tensor: Tensor | None = None
    place: int = 0
    owner: Source | None = None


def find(source: Source, arguments: list[Any]) -> Any:
    """The Tensor (or number) at a source."""
    if source.kind == "tensor":
        return source.tensor
    if source.kind == "argument":
        return arguments[source.place]
    return find(source.owner, arguments).grad  # type: ignore[arg-type]


class ModuleGuard:
    """How a module was when it ran: its hooks, its parts and their order, and plain settings.

    Hooks are told by their keys, which are never given twice.
    """

    __slots__ = ("hooks", "kind", "module", "names", "parts")

    def __init__(self, module: Any) -> None:
        held = module.__dict__
        self.module, self.kind = weakref.ref(module), type(module)
        self.names = list(held["_registered"])
        self.hooks = [(name, tuple(d)) for name, d in held.items() if name.endswith("_hooks") and type(d) is dict]
        registered = held["_registered"]
        own = type(module).__module__.startswith("gradengine.")  # its settings are all that its forward reads
        self.parts = [
            (name, x)
            for name, x in held.items()
            if name in registered or type(x) in SETTINGS or (own and name[0] != "_" and not isinstance(x, dict))
        ]
        self.parts.append(("forward", held.get("forward", NOTHING)))  # one of its own, if it has been given one

    def without_changes(self) -> ModuleGuard:
        """Leave out what the step itself has changed since the module ran, such as its mode: it does so each time."""
        module = self.module()
        held = {} if module is None else module.__dict__
        self.parts = [(name, x) for name, x in self.parts if same(held.get(name, NOTHING), x)]
        return self

    def holds(self) -> bool:
        module = self.module()
        if type(module) is not self.kind:  # it is gone, or has been given another class
            return False
        held, names = module.__dict__, self.names
        for name, keys in self.hooks:
            hooks = held[name]
            if (hooks or keys) and tuple(hooks) != keys:
                return False
        registered = held["_registered"]
        if len(registered) != len(names) or not all(map(is_, registered, names)):
            return False
        for name, part in self.parts:
            found = held.get(name, NOTHING)
            if found is not part and not same(found, part):
                return False
        return True


class Guard:
    """What must be as it was in the trace for the program to be right."""

    def __init__(self, trace: Trace, read: list[Any]) -> None:
        self.read = read
        self.guards: list[tuple[str, Callable[[], Any], Any]] = trace.guards
        lifted = [(trace.origins[key], trace.tensors[key], symbol.var) for key, symbol in trace.lifted.items()]
        self.tensors = [
            (source if source.kind == "grad" else None, t, t.op, var.shape, var.dtype, tuple(t.hooks or ()))
            for source, t, var in lifted
            if source.kind != "argument"
        ]
        self.grads = [(trace.source_of(trace.tensors[key]), grad is None) for key, grad in trace.grads_read.items()]
        self.modules = [module.without_changes() for module in trace.modules.values()]
        # An argument may be one of the Tensors that the step finds by itself, as long as neither is changed.
        captured: list[Any] = [
            trace.source_of(t).tensor for t in trace.tensors.values() if trace.source_of(t).kind == "tensor"
        ]
        self.captured = {id(t): t for t in captured}
        moved = [key for key, array in trace.arrays.items() if array is not trace.lifted[key]]
        self.changes = bool(moved) or bool(trace.grads)
        # What shares elements with what is changed is changed as well: the trace must have seen that.
        sources: list[Any] = [trace.origins[key] for key in moved]
        self.roots = {id(root): root for root in map(root_of, captured)}
        self.changed_roots = {id(root_of(source.tensor)) for source in sources if source.kind == "tensor"}
        self.changed_places = [source.place for source in sources if source.kind == "argument"]
        self.exact: dict[int, Any] = {}  # arguments that have to be these very Tensors

    def confuses(self, arguments: list[Any]) -> dict[int, Any]:
        """The arguments that the step finds by itself as well, if it changes any Tensor."""
        if not self.changes:
            return {}
        shared = self.sharing(arguments)
        return {i: t for i, t in enumerate(arguments) if id(t) in self.captured or i in shared}

    def sharing(self, arguments: list[Any]) -> set[int]:
        """Which arguments share elements with something, where the step changes one of the two."""
        keys = {}
        for i, t in enumerate(arguments):
            if isinstance(t, Tensor):
                root = root_of(t)
                if root is not t or root.family is not None:
                    members = [x for member in tuple(root.family or ()) if (x := member()) is not None]
                    keys[i] = {id(x) for x in (root, *members) if link_of(x) is None}
        found = {i for i, known in keys.items() if known & self.changed_roots}
        for j in self.changed_places:
            if j in keys:
                others = {i for i, known in keys.items() if i != j and known & keys[j]}
                found |= others | ({j} if others or keys[j] & self.roots.keys() else set())
        return found

    def holds(self, arguments: list[Any]) -> bool:
        """Whether the program fits what is there now."""
        for module in self.modules:
            if not module.holds():
                return False
        for read in self.read:
            if not read.holds():
                return False
        for _, look, value in self.guards:
            found = look()
            if found is not value and not same(found, value):
                return False
        for source, absent in self.grads:
            if (find(source, arguments).grad is None) is not absent:
                return False
        for i, t in self.exact.items():
            if arguments[i] is not t:
                return False
        if self.changes and not self.exact:
            for t in arguments:
                if id(t) in self.captured:
                    return False
            if self.sharing(arguments):
                return False
        for grad, t, op, shape, dtype, hooks in self.tensors:
            if grad is not None:
                t = find(grad, arguments)
            array = t.array
            if t.op is not op or array.shape != shape or array.dtype != dtype or tuple(t.hooks or ()) != hooks:
                return False
        return True

    def changed_since(self, former: Guard) -> list[str]:
        """The names of what another program has been compiled with another value of."""
        known = dict(former.values())
        return [name for name, value in self.values() if name in known and not same(value, known[name])]

    def values(self) -> list[tuple[str, Any]]:
        """What plain Python code has read, by name."""
        return [pair for read in self.read for pair in read.values()] + [
            (name, value) for name, _, value in self.guards
        ]
