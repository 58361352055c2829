"""The trace: run a step once, with symbols in the place of arrays, and note every op as an equation.

While a trace runs in a thread, `Tensor.array`, `Tensor.backend` and `Tensor.grad` answer that thread through it. A
Tensor from outside becomes an input the first time somebody looks at its array; what it is given then stands in the
trace alone, so the Tensor itself keeps its value until the compiled program has run, and whatever happens to the
trace, nothing is lost. Symbols carry values, so that shapes and dtypes, and errors, are those of an eager run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend.backend import Backend
from ..core.host_callbacks import current, untraced
from ..core.tensor_class import LEAF, Op, Tensor, constant, to_array
from ..core.views import link_of
from ..errors import GraphError, TraceError
from .device_arrays import buffers_of
from .graph import Equation, Graph, Var
from .guards import ModuleGuard, Source
from .hyperparameters import Assignment, Options
from .read_guards import Answer
from .replay import ON_NUMBERS, number_kernel
from .selections import Selection, has_mask, select
from .source_files import is_outside
from .trace_errors import NumberError, shape_error, user_frame, value_error
from .tracers import ARRAY, Traced, TracingBackend, traced_array, weak
from .values import PLAIN, is_a

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..optim import Optimizer

NUMBERS = (bool, int, float)
OF_NUMBERS = {bool: np.bool_, int: np.int64, float: np.float64}
NAMES = ("array", "backend", "grad", "become", "requires_grad", "__getitem__", "__setitem__")
OWN = {name: getattr(Tensor, name) if name[:2] == "__" else Tensor.__dict__[name] for name in NAMES}
_, BACKEND, GRAD, BECOME, FLAG, READ, WRITE = OWN.values()


# -- the trace ----------------------------------------------------------------------------------------------------


class OtherDeviceError(Exception):
    """The step computes on a device for which it is not being traced."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(f"the step computes on {backend.device}")
        self.backend = backend


class HostWork:
    """Work that is done on the host at each call, and which parts of its result are inputs of the program.

    `paths` lead to those. What is at `fixed`, and that the dicts at `same` are one object, was built into the program.
    """

    def __init__(self, work: Callable[[], Any], restore: Callable[[], Callable[[], None]]) -> None:
        self.work, self.restore = work, restore
        self.paths: list[tuple[Any, ...]] = []
        self.types: list[type] = []
        self.fixed: list[tuple[tuple[Any, ...], Any]] = []
        self.same: list[tuple[tuple[Any, ...], tuple[Any, ...]]] = []

    def run(self, arguments: list[Any], host: list[list[Any]]) -> list[Any] | None:
        """Call it. Returns the inputs, or None if the structure or a type in the result differs from the trace."""
        result = self.work()
        for path, value in self.fixed:
            found = follow(result, path)
            if found is not value and found != value:
                return None
        for path, other in self.same:
            if follow(result, path) is not follow(result, other):
                return None
        found = [follow(result, path) for path in self.paths]
        if [type(value) for value in found] != self.types:
            return None
        return found


def follow(value: Any, path: tuple[Any, ...]) -> Any:
    """What is at the end of a path of indices and keys."""
    for key in path:
        value = value[key]
    return value


LEFT_OVER = (
    "jit: this Tensor is left over from a trace that is over, in which it had no value; return what is to be read "
    "outside from the step"
)


class Trace:
    """One run of a step. `arguments` are the Tensors and numbers among its arguments, in order.

    After the run, `graph` holds the equations, `sources` says for each input where it comes from, and `arrays` and
    `grads` what Tensors from outside have been given.
    """

    def __init__(
        self,
        real: Backend,
        arguments: list[Any],
        exact: bool = False,
        followed: frozenset[tuple[int, str]] = frozenset(),
        built_in: frozenset[tuple[int, str]] = frozenset(),
    ) -> None:
        self.real = real
        self.kinds: tuple[Any, ...] = (np.ndarray, np.generic, buffers_of(real).kind)  # what is an array
        self.backend: Any = TracingBackend(self, real)
        self.graph = Graph([], {}, [], [])
        self.constants = self.graph.constants
        self.sources: list[Source] = []
        self.host: list[HostWork | Assignment] = []
        self.undoes: list[Callable[[], None]] = []  # what lets the host stand where it stood before the trace
        self.options = Options(self, followed, built_in)
        self.attributes: dict[tuple[int, str], tuple[Any, str, Any]] = {}  # of optimizers and schedules that are read
        self.tensors: dict[int, Tensor] = {}  # all from outside that the step has met; they stay alive with it
        # The step is given others in the place of its arguments, so that a Tensor which it finds by itself as well is
        # told from the argument, which may be another one at the next call. Unless `exact`: then they are the same.
        others = {id(t): t if exact else stand_in(t) for t in arguments if isinstance(t, Tensor)}
        self.arguments = [others.get(id(t), t) for t in arguments]
        self.origins: dict[int, Source] = {
            id(t): Source("argument", place=i)
            for i, t in reversed([*enumerate(self.arguments)])
            if isinstance(t, Tensor)
        }
        self.lifted: dict[int, Traced] = {}
        self.arrays: dict[int, Traced] = {}
        self.grads: dict[int, Tensor | None] = {}
        self.grads_read: dict[int, Tensor | None] = {}
        self.modules: dict[int, ModuleGuard] = {}
        self.ran: list[Any] = []  # the modules that these are of; they stay alive with the trace
        self.thread: int | None = None  # in which it runs
        self.failure: Exception | None = None  # what was raised for a value that is not there, be it caught or not
        self.selections: list[Selection] = []
        self.flags: dict[int, Tensor] = {}  # Tensors of which it was asked whether they require grad
        self.guards: list[tuple[str, Callable[[], Any], Any]] = []  # a name, what reads a value, and the value

    def argument(self, place: int) -> Tensor:
        """What the step is given as an argument: a Tensor as it is, a number as a Tensor that has none yet."""
        given = self.arguments[place]
        if isinstance(given, Tensor):
            return given
        return self.number(self.input(Source("argument", place=place), given))

    def number(self, symbol: Traced) -> Tensor:
        """A number that the step works with, as a Tensor that has no value yet."""
        return constant(symbol, self.real)

    def as_array(self, t: Tensor) -> Tensor:
        """A Tensor, with an array of its own if it is a number."""
        symbol = traced_array(t)
        return t if symbol is None or not symbol.var.weak else self.number(self.firm(symbol))

    # -- what runs ----------------------------------------------------------------------------------------------

    def emit(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Run an op and note it; one whose inputs are all constants is a constant itself."""
        self.check_runs()
        if op.shaped_by_data is not None and op.shaped_by_data(params):
            self.failure = shape_error(op)
            raise self.failure
        if any([type(a) is Traced and a.var.weak for a in args]) and op.name != "astype":
            args = self.with_numbers(op, args)
        values = [a.value if type(a) is Traced else a for a in args]
        if values and all([type(v) in NUMBERS for v in values]) and op.name != "astype":
            return self.note(op, args, params, number_kernel(op)(*values, **params))
        table = self.real.table
        kernel = table[op] if op in table or op.body is None else op.body
        return self.note(op, args, params, kernel(*values, **params))

    def with_numbers(self, op: Op, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The operands of an op that is given Python numbers: arithmetic has them as they are, other ops as arrays.

        An array of integers may not hold a number that is written to it, so such a number is to be known.
        """
        only = all([type(a) in NUMBERS or (type(a) is Traced and a.var.weak) for a in args])
        if (op.kind == "pointwise" and not only) or (only and op.name in ON_NUMBERS):
            return args
        if op.kind != "pointwise" and any([hasattr(a, "dtype") and a.dtype.kind in "iub" for a in args if not weak(a)]):
            self.need_number()
        return tuple([self.firm(a) if weak(a) else a for a in args])

    def need_number(self) -> None:
        """Give up: the value of a number is needed, which the step is to be traced with."""
        self.failure = value_error(NumberError)
        raise self.failure

    def firm(self, number: Traced) -> Any:
        """A Python number as the array that it is to an op which takes arrays only."""
        return self.backend.astype(number, dtype=to_array(number.value, None, self.real).dtype)

    def meet(self, backend: Backend) -> Any:
        """Give up: the step computes on another device, for which it is to be traced instead."""
        if self.failure is None:
            self.failure = OtherDeviceError(backend)
        raise self.failure

    def check_runs(self) -> None:
        """Raise GraphError when this trace is over, TraceError if host code reads a value while tracing."""
        if current.trace is not self:
            if self.thread != threading.get_ident():
                raise GraphError(LEFT_OVER)
            self.failure = value_error()
            raise self.failure

    def call(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run a NumPy function that a rule of the user's own calls on raw arrays, and note it as an op of its own."""
        found: list[Any] = []
        shape = collect((args, kwargs), found)

        def body(*arrays: Any) -> Any:
            positional, named = rebuild(shape, list(arrays))
            return function(*positional, **named)

        op = Op(f"numpy.{getattr(function, '__name__', 'function')}", kind="call", body=body)
        return self.note(op, tuple(found), {}, body(*[a.value for a in found]))

    def note(self, op: Op, args: tuple[Any, ...], params: dict[str, Any], value: Any) -> Any:
        """The symbol for an op's result."""
        known = [a.var in self.constants for a in args if type(a) is Traced]
        if all(known):
            return self.constant(value)
        inputs = tuple(
            [a.var if type(a) is Traced else a if type(a) in NUMBERS else self.constant(a).var for a in args]
        )
        out = var_of(value)
        self.graph.equations.append(Equation(op, inputs, params, out))
        return Traced(self, out, value)

    def is_constant(self, t: Tensor) -> bool:
        """Whether a Tensor has the same value at each call."""
        array = t.array
        return type(array) is not Traced or array.var in self.constants

    def constant(self, value: Any) -> Any:
        """The symbol for an array that is the same at each call; a Python number stays what it is."""
        if type(value) in NUMBERS:
            return value
        value = value if isinstance(value, self.kinds) else np.asarray(value)
        var = Var(value.shape, value.dtype)
        self.constants[var] = np.asarray(self.real.to_numpy(value))
        return Traced(self, var, value)

    def input(self, source: Source, value: Any) -> Traced:
        """The symbol for an input."""
        symbol = Traced(self, var_of(value), value)
        self.graph.inputs.append(symbol.var)
        self.sources.append(source)
        return symbol

    def host_work(self, work: Callable[[], Any], restore: Callable[[], Callable[[], None]]) -> Any:
        """Do the host's work, note it, and give symbols for the floats and arrays that it returns."""
        with self.options.concrete():
            return self.work(work, restore)

    def work(self, work: Callable[[], Any], restore: Callable[[], Callable[[], None]], ints: bool = False) -> Any:
        """Do work that has nothing to do with options; with `ints`, there are symbols for ints as well."""
        noted, place = HostWork(work, restore), len(self.host)
        self.host.append(noted)
        self.undoes.append(restore())
        with untraced():
            result = work()
        shared: dict[int, tuple[Any, tuple[Any, ...]]] = {}

        def symbols(value: Any, path: tuple[Any, ...]) -> Any:
            if isinstance(value, dict):
                if id(value) in shared:
                    made, first = shared[id(value)]
                    noted.same.append((path, first))
                    return made
                made = {key: symbols(item, (*path, key)) for key, item in value.items()}
                shared[id(value)] = made, path
                return made
            if isinstance(value, (tuple, list)):
                return type(value)(symbols(item, (*path, i)) for i, item in enumerate(value))
            if type(value) is float or isinstance(value, np.ndarray) or (ints and type(value) is int):
                noted.paths.append(path)
                noted.types.append(type(value))
                return self.input(Source("host", place=place), value)
            noted.fixed.append((path, value))
            return value

        return symbols(result, ())

    # -- Tensors, as the thread of the trace sees them ----------------------------------------------------------

    def array_of(self, t: Tensor) -> Any:
        """What `t.array` is."""
        array = ARRAY.__get__(t)
        if type(array) is Traced:
            if array.trace is not self:
                raise GraphError(LEFT_OVER)
            return array
        if not isinstance(array, self.kinds) and not hasattr(array, "__array_interface__"):
            return array  # a Python number, or several arrays that belong to one node
        found = self.arrays.get(id(t))
        return self.lift(t, array) if found is None else found

    def lift(self, t: Tensor, array: Any) -> Traced:
        """Make a Tensor from outside an input."""
        if t.op is not None and t.op is not LEAF:
            raise GraphError(
                f"jit: the step reads a Tensor of shape {t.shape} that was computed by {t.op.name} outside, with a "
                "graph that cannot be followed in here; pass it as .detach(), or compute it inside the step"
            )
        source = self.origins.get(id(t)) or Source("tensor", t)
        changed = self.changed_value(t)
        symbol = self.input(source, array) if changed is None else changed
        self.tensors[id(t)] = t
        self.origins[id(t)], self.lifted[id(t)], self.arrays[id(t)] = source, symbol, symbol
        return symbol

    def changed_value(self, t: Tensor) -> Traced | None:
        """What a Tensor from outside is because the step has changed what it shares elements with; None otherwise."""
        if id(t) in self.arrays:
            found = self.arrays[id(t)]
            return found if found is not self.lifted[id(t)] else None
        link = link_of(t)
        if link is not None:
            base, op, params, at = link
            value = self.changed_value(base)
            return None if value is None else self.backend.table[op](value, *[a.array for a in at], **params)
        for member in tuple(getattr(t, "family", None) or ()):
            other = member()
            if other is not None and other is not t and id(other) in self.arrays and link_of(other) is None:
                return self.changed_value(other)
        return None

    def check_data(self, t: Tensor, value: Any) -> None:
        """Raise TraceError where `t.data = value` would change which Tensors from outside share elements."""
        others = [member() for member in tuple(getattr(t, "family", None) or ())]
        shared = link_of(t) is not None or any(
            [other is not None and other is not t and self.is_from_outside(other) for other in others]
        )
        if self.is_from_outside(t) and (shared or (isinstance(value, Tensor) and self.is_from_outside(value))):
            where, _ = user_frame()
            raise TraceError(
                f"jit: an assignment to .data in {where}changes which Tensors share elements, which a compiled step "
                "cannot do; change the values in place (x.copy_(...)), or assign outside the step"
            )

    def check_shape(self, t: Tensor, what: str) -> None:
        """Raise TraceError where a Tensor from outside would get another shape."""
        if self.is_from_outside(t):
            where, _ = user_frame()
            raise TraceError(
                f"jit: {what} changes the shape of a Tensor from outside in {where}but a compiled step keeps the "
                "shapes of what it finds; work on another view of it, or change the shape outside the step"
            )

    def give_array(self, t: Tensor, array: Any) -> None:
        """`t.array = array`."""
        if isinstance(array, self.kinds):
            array = self.constant(array)
        if self.is_from_outside(t):
            if id(t) not in self.arrays:
                self.lift(t, ARRAY.__get__(t))
            self.arrays[id(t)] = array
        else:
            ARRAY.__set__(t, array)

    def is_from_outside(self, t: Tensor) -> bool:
        """False for a Tensor that the step itself has made."""
        try:
            array = ARRAY.__get__(t)
        except AttributeError:
            return False
        return isinstance(array, self.kinds)

    def grad_of(self, t: Tensor) -> Any:
        """What `t.grad` is."""
        if not self.is_from_outside(t):
            return GRAD.__get__(t)
        if id(t) in self.grads:
            return self.grads[id(t)]
        grad = GRAD.__get__(t)
        self.tensors[id(t)] = t
        self.grads_read[id(t)] = grad
        if grad is not None:
            self.origins.setdefault(id(grad), Source("grad", grad, owner=self.source_of(t)))
        return grad

    def give_grad(self, t: Tensor, grad: Any) -> None:
        """`t.grad = grad`."""
        if self.is_from_outside(t):
            self.tensors[id(t)] = t
            self.grads[id(t)] = grad
        else:
            GRAD.__set__(t, grad)

    def give_attribute(self, module: Any, name: str, value: Any, is_buffer: bool) -> None:
        """`module.name = value` for a Tensor: a buffer keeps its identity and gets the value."""
        old = module.__dict__.get(name)
        fits = is_buffer and isinstance(value, Tensor) and isinstance(old, Tensor)
        if fits and (old.shape, old.dtype) == (value.shape, value.dtype):
            self.give_array(old, value.array)
            return
        where, _ = user_frame()
        raise TraceError(
            f"jit: the attribute {name!r} of {type(module).__name__} is given another Tensor in {where}"
            "but a compiled step finds Tensors by identity; change it in place (x.copy_(...), x += ...), or register "
            "it as a buffer of the same shape and dtype"
        )

    def source_of(self, t: Tensor) -> Source:
        """Where a Tensor from outside is found."""
        return self.origins.setdefault(id(t), Source("tensor", t))

    def knows(self, t: Tensor) -> bool:
        """Whether a Tensor has a value in this trace already; others take theirs from what they are views of."""
        return id(t) in self.arrays or not self.is_from_outside(t)

    def note_module(self, module: Any) -> None:
        """Remember how a module was when it ran: with another mode, setting, hook or part, another program is right."""
        self.modules[id(module)] = ModuleGuard(module)
        self.ran.append(module)

    def add_guard(self, name: str, look: Callable[[], Any]) -> None:
        """Add a guard: another value of `look()` means a retrace."""
        with untraced():
            self.guards.append((name, look, look()))

    def note_attribute(self, owner: Any, name: str, value: Any) -> None:
        """Remember that the step's own code reads an attribute of an optimizer or a schedule."""
        if name == "param_groups":
            self.options.note_read(owner)
        elif name != "optimizer" and not is_a(value, Tensor):
            found = copy_of(value) if name == "state" else value
            self.attributes.setdefault((id(owner), name), (owner, name, found))

    def attribute_guards(self, keys: frozenset[str]) -> list[Any]:
        """Guards for what was read of optimizers and schedules; of an optimizer's state, the numbers under `keys`."""
        found = []
        for owner, name, value in self.attributes.values():
            look, path = functools.partial(attribute_of, weakref.ref(owner), name), f"{type(owner).__name__}.{name}"
            if name == "state":
                found.append(Answer(path, lambda look=look: counts_in(look(), keys), counts_in(value, keys)))  # type: ignore[misc]
            else:
                found.append(Answer(path, look, value))
        return found

    def note_flag(self, t: Tensor) -> None:
        """Remember whether a Tensor from outside requires grad."""
        if id(t) not in self.flags and id(t) not in self.origins:  # of an argument, it is a part of the key
            self.flags[id(t)] = t
            self.guards.append(("requires_grad", functools.partial(FLAG.fget, t), t.op is not None))

    def release(self) -> None:
        """Take Tensors from outside out of the graph that a change in place has made them part of: it has no values."""
        for key in self.lifted:
            t = self.tensors[key]
            if t.op is not None and t.op is not LEAF:
                t.op = None
                t.inputs = t.saved = ()
            if type(ARRAY.__get__(getattr(t, "past", t))) is Traced:
                del t.past
        for t in self.tensors.values():
            family = getattr(t, "family", None)
            if family is not None:  # what the step has made shares elements with nothing when it is over
                family[:] = [
                    member for member in family if (x := member()) is not None and type(ARRAY.__get__(x)) is not Traced
                ]

    # -- running ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The block whose ops are traced. When it is left, the host stands where it stood before."""
        with tracing_lock, np.errstate(all="ignore"):
            install()
            current.trace, self.thread = self, threading.get_ident()
            try:
                yield
            finally:
                self.release()
                current.trace = self.thread = None
                uninstall()
                for undo in reversed(self.undoes):
                    undo()


def attribute_of(owner: Any, name: str) -> Any:
    """An attribute of what a weak reference refers to; None when that is gone."""
    found = owner()
    return None if found is None else vars(found).get(name)


def copy_of(state: Any) -> dict[int, Any]:
    """What there is in an optimizer's state now."""
    return {i: dict(held) if is_a(held, dict) else {} for i, held in enumerate(state.values())}


def counts_in(state: Any, keys: frozenset[str]) -> tuple[Any, ...]:
    """The plain values under some keys in an optimizer's state."""
    return tuple([held[key] for held in state.values() for key in held if key in keys and type(held[key]) in PLAIN])


def stand_in(t: Tensor) -> Tensor:
    """Another Tensor that is all that `t` is."""
    made = type(t).__new__(type(t))
    made.array, made.backend, made.op, made.grad, made.hooks = t.array, t.backend, t.op, t.grad, t.hooks
    made.family = made.view_of = None
    if t.op is LEAF:
        made.inputs, made.saved, made.params, made.order = t.inputs, t.saved, t.params, t.order
    return made


def var_of(value: Any) -> Var:
    """The variable for a value."""
    if type(value) in NUMBERS:
        return Var((), OF_NUMBERS[type(value)], weak=True)
    return Var(np.shape(value), value.dtype)


def collect(value: Any, found: list[Any]) -> Any:
    """A structure with places in place of symbols, which go to `found`."""
    if type(value) is Traced:
        found.append(value)
        return Place
    if isinstance(value, (tuple, list)):
        return [type(value), *(collect(item, found) for item in value)]
    if isinstance(value, dict):
        return [dict, *((key, collect(item, found)) for key, item in value.items())]
    return Fixed(value)


class Place:
    """The place of a symbol in a structure."""


@dataclasses.dataclass(slots=True)
class Fixed:
    """A value that is the same at each call."""

    value: Any


def rebuild(shape: Any, arrays: list[Any]) -> Any:
    """The structure that `collect` took apart, with arrays in the places."""
    if shape is Place:
        return arrays.pop(0)
    if isinstance(shape, Fixed):
        return shape.value
    kind, *items = shape
    if kind is dict:
        return {key: rebuild(item, arrays) for key, item in items}
    return kind(rebuild(item, arrays) for item in items)


# -- Tensor's attributes while any trace runs ---------------------------------------------------------------------

tracing_lock = threading.RLock()


def get_array(t: Tensor) -> Any:
    return ARRAY.__get__(t) if current.trace is None else current.trace.array_of(t)


def set_array(t: Tensor, array: Any) -> None:
    ARRAY.__set__(t, array) if current.trace is None else current.trace.give_array(t, array)


def get_backend(t: Tensor) -> Any:
    backend, trace = BACKEND.__get__(t), current.trace
    if trace is None:
        return backend
    return trace.backend if backend.device == trace.real.device else trace.meet(backend)


def get_grad(t: Tensor) -> Any:
    return GRAD.__get__(t) if current.trace is None else current.trace.grad_of(t)


def set_grad(t: Tensor, grad: Any) -> None:
    GRAD.__set__(t, grad) if current.trace is None else current.trace.give_grad(t, grad)


def become(t: Tensor, compute: Callable[[Tensor], Tensor], what: str) -> Tensor:
    """A change in place; a Python number is immutable, so `rate *= 2` rebinds the name and changes nothing else."""
    array = None if current.trace is None else traced_array(t)
    return BECOME(t, compute, what) if array is None or not array.var.weak else compute(t)


def get_requires_grad(t: Tensor) -> bool:
    """Whether a Tensor requires grad; that of one from outside may be changed there."""
    trace = current.trace
    if trace is not None and trace.is_from_outside(t) and id(t) not in trace.lifted:
        trace.note_flag(t)
    return t.op is not None


def get_item(t: Tensor, index: Any) -> Any:
    """`t[index]`: what a mask selects waits for being written back."""
    trace = current.trace
    return READ(t, index) if trace is None or not has_mask(index) else select(trace, t, index, READ)


def set_item(t: Tensor, index: Any, value: Any) -> None:
    """`t[index] = value`."""
    value.write(t, index) if type(value) is Selection else WRITE(t, index, value)


THROUGH_TRACE = {
    "become": become,
    "array": property(get_array, set_array),
    "backend": property(get_backend, BACKEND.__set__),
    "grad": property(get_grad, set_grad),
    "requires_grad": property(get_requires_grad, FLAG.fset),
    "__getitem__": get_item,
    "__setitem__": set_item,
}


def get_groups(optimizer: Optimizer) -> Any:
    if current.trace is not None:
        current.trace.options.meet(optimizer)
    try:
        return vars(optimizer)["param_groups"]
    except KeyError:
        raise AttributeError(f"{type(optimizer).__name__} has no param_groups yet") from None


def set_groups(optimizer: Optimizer, groups: Any) -> None:
    vars(optimizer)["param_groups"] = groups


def get_attribute(owner: Any, name: str) -> Any:
    """An attribute of an optimizer or a schedule: what the step's own code reads is noted."""
    value, trace = object.__getattribute__(owner, name), current.trace
    if trace is None or name[:2] == "__" or name not in object.__getattribute__(owner, "__dict__"):
        return value
    if name == "_last_lr" or is_outside(sys._getframe(1).f_code.co_filename):
        trace.note_attribute(owner, name, value)
    return value


def install() -> None:
    """Let Tensors and optimizers answer through the trace."""
    from ..optim import Optimizer
    from ..optim.lr_scheduler import LRScheduler

    Optimizer.__getattribute__ = LRScheduler.__getattribute__ = get_attribute  # type: ignore[method-assign]

    for name, attribute in THROUGH_TRACE.items():
        setattr(Tensor, name, attribute)
    Optimizer.param_groups = property(get_groups, set_groups)  # type: ignore[assignment]


def uninstall() -> None:
    """Give Tensor and Optimizer their own attributes back."""
    from ..optim import Optimizer
    from ..optim.lr_scheduler import LRScheduler

    del Optimizer.param_groups, Optimizer.__getattribute__, LRScheduler.__getattribute__  # type: ignore[misc]
    for name, attribute in OWN.items():
        setattr(Tensor, name, attribute)
