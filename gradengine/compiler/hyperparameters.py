"""What a step sets in an optimizer's groups: learning rates and other options, noted and set again at each call.

    group["lr"] = rate          # a number argument: the compiled step sets the one of its call
    group["lr"] = 0.9 * group["lr"]

While a step is traced, an option that it sets to a number of its arguments is a symbol, as that number is. Work of the
host, such as an optimizer's step or a schedule's, finds numbers there: around it, options are `concrete`. When the
trace is over, all options are as before. A number that a step sets may come from the one before, which only a second
trace can tell: in that one the option is a symbol from the beginning (it is `followed`).
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..core import pytrees as tree
from ..errors import TraceError
from ..optim import Optimizer
from .graph import Equation, Var
from .replay import of_numbers
from .trace_errors import own_change_error, user_frame
from .tracers import Traced, traced_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOTHING = object()
Trace: TypeAlias = Any  # tracing.Trace, which imports this file


class FollowError(Exception):
    """The step reads options, or sets some that it may have computed from what they were: follow them from the start.

    `read` are those that are followed only because the step's own code reads them.
    """

    def __init__(self, keys: frozenset[tuple[int, str]], read: frozenset[tuple[int, str]]) -> None:
        super().__init__("options are to be followed")
        self.keys, self.read = keys, read


class Numbers:
    """Arithmetic of Python numbers that the host does before a compiled step runs."""

    def __init__(self, trace: Trace, wanted: list[Var]) -> None:
        needed, self.equations = set(wanted), []
        for e in reversed(trace.graph.equations):
            if e.out in needed:
                needed.update(e.variables())
                self.equations.append(e)
        self.equations.reverse()
        self.sources: list[tuple[Var, str, int, int]] = []  # a variable; the number of an argument, or of host work
        count: dict[int, int] = {}
        for var, source in zip(trace.graph.inputs, trace.sources, strict=True):
            position = count.get(source.place, 0)
            if source.kind == "host":
                count[source.place] = position + 1
            if var in needed:
                self.sources.append((var, source.kind, source.place, position))

    def values(self, arguments: list[Any], host: list[list[Any]]) -> dict[Var, Any]:
        """All numbers, for these arguments and what the host's work before has given, the last one first."""
        known: dict[Var, Any] = {}
        for var, kind, place, position in self.sources:
            known[var] = arguments[place] if kind == "argument" else host[place][-1 - position]
        with np.errstate(all="ignore"):
            for e in self.equations:
                known[e.out] = computed(e, known)
        return known


def computed(e: Equation, known: dict[Var, Any]) -> Any:
    """The result of an equation between numbers."""
    return of_numbers(e)(*[known[x] if isinstance(x, Var) else x for x in e.inputs], **e.params)


class Assignment:
    """Options that a step sets, as work of the host: `numbers` among them are other ones at each call."""

    def __init__(self, trace: Trace, items: list[tuple[dict[str, Any], str, Any]]) -> None:
        self.items: list[tuple[dict[str, Any], str, Any, list[Any]]] = []
        wanted: list[Var] = []
        for group, key, value in items:
            leaves: list[Any] = []
            structure = tree.flatten(value, leaves)
            parts = [symbol.var if (symbol := symbol_of(leaf)) is not None else leaf for leaf in leaves]
            wanted += [part for part in parts if isinstance(part, Var)]
            self.items.append((group, key, structure, parts))
        self.numbers = Numbers(trace, wanted)

    def restore(self) -> Callable[[], None]:
        """What takes the assignment back."""
        old = [(group, key, group.get(key, NOTHING)) for group, key, _, _ in self.items]
        return functools.partial(put_back, old)

    def run(self, arguments: list[Any], host: list[list[Any]]) -> list[Any]:
        """Set the options; gives no inputs."""
        known = self.numbers.values(arguments, host)
        for group, key, structure, parts in self.items:
            leaves = [known[part] if isinstance(part, Var) else part for part in parts]
            group[key] = tree.unflatten(structure, iter(leaves))
        return []


def put_back(items: list[tuple[dict[str, Any], str, Any]]) -> None:
    """Give options the values that they had."""
    for group, key, value in items:
        if value is NOTHING:
            group.pop(key, None)
        else:
            group[key] = value


def symbol_of(leaf: Any) -> Traced | None:
    """The symbol that a value is, or holds as a Tensor."""
    return leaf if type(leaf) is Traced else traced_array(leaf)


def symbols_in(value: Any) -> list[Traced]:
    """The symbols in an option."""
    leaves: list[Any] = []
    tree.flatten(value, leaves)
    return [symbol for leaf in leaves if (symbol := symbol_of(leaf)) is not None]


def without_symbols(value: Any) -> Any:
    """An option with the numbers of this run in the place of symbols."""
    leaves: list[Any] = []
    structure = tree.flatten(value, leaves)
    plain = [leaf if (symbol := symbol_of(leaf)) is None else symbol.value for leaf in leaves]
    return tree.unflatten(structure, iter(plain))


def has_numbers(value: Any) -> bool:
    """Whether an option is made of numbers, which may have been computed from others."""
    leaves: list[Any] = []
    tree.flatten(value, leaves)
    return any(type(leaf) in (int, float) or isinstance(leaf, np.number) for leaf in leaves)


def keys_of(groups: list[dict[str, Any]], changed: frozenset[str]) -> tuple[Any, ...]:
    """Which options groups have, but for those that the step sets."""
    return tuple([tuple([key for key in group if key not in changed]) for group in groups])


def params_of(groups: list[dict[str, Any]]) -> tuple[Any, ...]:
    """The parameters of groups."""
    return tuple([tuple(group["params"]) for group in groups])


class Group:
    """A group that the step has met: what its options were, and what it is known to hold now."""

    def __init__(self, optimizer: Any, group: dict[str, Any]) -> None:
        self.name, self.group = type(optimizer).__name__, group
        self.before = self.known = {key: value for key, value in group.items() if key != "params"}
        self.changed: set[str] = set()
        self.own_step = type(optimizer).step is not Optimizer.step


class Options:
    """The options of all optimizers that a trace has met."""

    def __init__(self, trace: Trace, followed: frozenset[tuple[int, str]], known: frozenset[tuple[int, str]]) -> None:
        self.trace, self.followed = trace, followed
        self.built_in = known  # options of which the step needs the value, so that they are guarded
        self.read: set[tuple[int, str]] = set()  # options that the step's own code reads
        self.read_from: dict[int, Any] = {}  # optimizers of which the step's own code reads the groups
        self.optimizers: dict[int, Any] = {}
        self.groups: dict[int, Group] = {}
        self.derived: set[tuple[int, str]] = set()
        self.is_concrete = False

    def meet(self, optimizer: Any) -> None:
        """Follow the options of an optimizer."""
        if self.is_concrete:
            return  # the host has met it
        self.optimizers[id(optimizer)] = optimizer
        for group in vars(optimizer).get("param_groups", ()):
            if id(group) not in self.groups:
                self.meet_group(optimizer, group)

    def meet_group(self, optimizer: Any, group: dict[str, Any]) -> None:
        """Follow a group's options."""
        met = self.groups[id(group)] = Group(optimizer, group)
        self.trace.undoes.append(functools.partial(self.take_back, met))
        met.known = dict(met.before)
        for key, value in met.before.items():
            if type(value) is float:  # one of its own, so that it is told from the same number set by the step
                met.group[key] = met.known[key] = value * 1.0
            if symbols_in(value):  # it was set before the optimizer was met
                met.before[key] = without_symbols(value)
                met.known[key] = NOTHING
            elif (id(group), key) in self.followed:
                self.follow(met, key)

    def take_back(self, met: Group) -> None:
        """Let a group have the options that it had."""
        put_back([(met.group, key, met.before.get(key, NOTHING)) for key in met.changed])
        for key, value in met.group.items():
            if key != "params" and symbols_in(value):
                met.group[key] = met.before.get(key, without_symbols(value))

    def follow(self, met: Group, key: str) -> None:
        """Make symbols of an option's numbers: what it holds at that moment of each call."""
        met.changed.add(key)
        made = self.trace.work(lambda: met.group[key], lambda: lambda: None, ints=True)
        leaves: list[Any] = []
        structure = tree.flatten(made, leaves)
        held = [self.trace.number(leaf) if type(leaf) is Traced else leaf for leaf in leaves]
        met.group[key] = met.known[key] = tree.unflatten(structure, iter(held))

    @contextlib.contextmanager
    def concrete(self) -> Iterator[None]:
        """A block in which the options are numbers: the host works with them. What the step has set is noted."""
        if self.is_concrete:
            yield
            return
        self.note()
        held = []
        for met in self.groups.values():
            for key, value in met.known.items():
                if symbols_in(value):
                    met.group[key] = plain = without_symbols(value)
                    held.append((met, key, value, plain))
        self.is_concrete = True
        try:
            yield
        finally:
            self.is_concrete = False
        for met, key, value, plain in held:
            if met.group.get(key) is plain:
                met.group[key] = value
            else:
                self.follow(met, key)
        for met in self.groups.values():
            for key, value in met.group.items():
                if key != "params" and met.known.get(key, NOTHING) is not value:
                    if (id(met.group), key) in self.followed:
                        self.follow(met, key)
                        continue
                    if (id(met.group), key) in self.built_in:
                        raise own_change_error(f"{met.name}.param_groups[...][{key!r}]")
                    met.known[key] = value
                    if met.own_step and has_numbers(value):
                        self.derived.add((id(met.group), key))

    def note(self) -> None:
        """Note which options the step has set since the last time."""
        for optimizer in list(self.optimizers.values()):
            self.meet(optimizer)
        items = []
        for met in self.groups.values():
            for key, value in met.group.items():
                if key == "params" or met.known.get(key, NOTHING) is value:
                    continue
                symbols = symbols_in(value)
                if any(not symbol.var.weak for symbol in symbols):
                    raise self.complain(met, key)
                place = id(met.group), key
                if key in met.before and place not in self.followed:
                    made = Numbers(self.trace, [symbol.var for symbol in symbols]).equations
                    if has_numbers(value) or any(not isinstance(x, Var) for e in made for x in e.inputs):
                        self.derived.add(place)
                met.changed.add(key)
                met.known[key] = value
                items.append((met.group, key, value))
        if items:
            self.trace.host.append(Assignment(self.trace, items))

    def complain(self, met: Group, key: str) -> TraceError:
        """The error for an option that is set to what the compiled step computes."""
        where, _ = user_frame()
        self.trace.failure = TraceError(
            f"jit: the option {key!r} of {met.name} is set to a Tensor's value, which is needed in {where or ': '}"
            "but a compiled step has values only when it runs; give the option a float that is an argument of the "
            "step, or set it where you call the step"
        )
        return self.trace.failure

    def note_read(self, optimizer: Any) -> None:
        """Remember that the step's own code has asked for an optimizer's groups."""
        if type(optimizer).step is Optimizer.step and not self.is_concrete:
            self.read_from[id(optimizer)] = optimizer

    def check_read(
        self, keys: frozenset[str], typed: frozenset[str], named: frozenset[str], containers: dict[int, bool]
    ) -> None:
        """Guard what the step's own code has read of groups, and have numbers among it followed.

        `keys` are those that it names for reading, `typed` where it asks for types, `named` all that it names, and
        `containers` says which groups it has found in another way than through an optimizer.
        """
        for optimizer in self.optimizers.values():
            groups = vars(optimizer)["param_groups"]
            if id(optimizer) in self.read_from:
                changed = frozenset().union(*[self.groups[id(group)].changed for group in groups])
                self.trace.add_guard("param_groups", functools.partial(keys_of, groups, changed))
                if "params" in keys or named.isdisjoint(frozenset().union(*groups)):
                    self.trace.add_guard("params", functools.partial(params_of, groups))
            for group in groups:
                if id(optimizer) in self.read_from or containers.get(id(group)):
                    self.guard_read(self.groups[id(group)], keys, typed, named)

    def guard_read(self, met: Group, keys: frozenset[str], typed: frozenset[str], named: frozenset[str]) -> None:
        """Follow the numbers among the options of a group that are read, and guard the others."""
        computed = named.isdisjoint(met.group)  # no key is named, so any may be meant
        for key in met.before:
            place = id(met.group), key
            if place in self.followed or not (computed or key in keys):
                continue
            plain = computed or key in typed or place in self.built_in
            if has_numbers(met.before[key]) and not plain:
                self.read.add(place)
            else:
                self.trace.guards.append((key, functools.partial(met.group.get, key, NOTHING), met.before[key]))

    def finish(self) -> None:
        """Note what was set last. Raises FollowError when the trace has to be made again."""
        with self.concrete():
            pass
        for met in self.groups.values():  # where the step of an optimizer is a user's, it has seen the options' values
            for key in met.before if met.own_step else ():
                if key not in met.changed:
                    self.trace.guards.append((key, functools.partial(met.group.get, key, NOTHING), met.before[key]))
        if self.derived or self.read:
            raise FollowError(frozenset(self.derived | self.followed | self.read), frozenset(self.read - self.derived))
