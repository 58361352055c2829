"""`jit`: a step traced once, and run as one compiled program from then on.

    tracing          runs the step with symbols for arrays (tracers) and records every op
    graph            what was recorded: typed equations that print and typecheck
    graph_passes     passes that leave out what need not be computed
    program          a traced step: finds inputs and puts outputs back at each call
    hyperparameters  learning rates and other options that a step sets
    guards           what must hold for a program to be used again
    reads            what the step reads in Python, found for guards (read_guards: one class for each kind of it)
    source_files     whether a file is the user's, a package's or the engine's
    streams          clocks, random generators and iterators, which a step may not ask
    selections       what a boolean mask selects, which has no fixed shape
    purity           finds what the step changes in Python, which a compiled step cannot repeat
    leaked_tracers   symbols that the step has stored, and how they are taken out again
    trace_errors     error messages for steps that cannot be traced
    loop_ir          the few ops of the loop IR: reductions, products, copies, draws
    lower            the graph in the loop IR (loop_passes: passes over it)
    fuse             which equations become one kernel
    codegen          what each kernel does (affine_index: where it finds its elements)
    arena            a fixed place in one arena for every intermediate result
    device_arrays    arrays on the host and on a GPU
    host_executor    compiled kernels, bound to memory and run
    batch_loop       many steps in one native call
    replay           the graph run kernel by kernel, where nothing is compiled
    interrupts       Ctrl-C that waits until a step is whole

This file has what users meet: `jit`, and the step that it returns.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import inspect
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from gradengine_kernels import progress

from .. import amp
from ..backend import devices
from ..backend.backend import Backend
from ..backend.kernel_table import REPLACED
from ..core import pytrees as tree
from ..core.dispatch import mode
from ..core.host_callbacks import current
from ..core.tensor_class import Tensor, constant, describe
from ..errors import ArgumentError, CompileError, DeviceError, DTypeError, TraceError
from ..shapes.dtypes import get_default_dtype
from ..validation import known_words
from .batch_loop import over
from .graph import Names, show
from .graph_passes import frozen
from .hyperparameters import FollowError
from .interrupts import ServedBetweenKernels, uninterrupted
from .program import GuardFailure, Program
from .purity import Watch
from .reads import Calls, guards_of, keys_read, uncollected
from .selections import check_result, unselected
from .trace_errors import NumberError, own_change_error
from .tracing import OtherDeviceError, Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CacheInfo = collections.namedtuple("CacheInfo", "hits misses maxsize currsize")
MOST_PROGRAMS = 64
WORD = 1 << 63  # integers beyond are not numbers that a kernel can be given
MANY = 8  # programs for arguments of one kind that are too many to be meant


@dataclasses.dataclass(frozen=True)
class Lowered:
    """A step on its way to machine code, as text. `passes` has the graph after each pass, "trace" first.

    `groups` says which equations became one kernel, `memory` where results are kept, `source` is what was generated;
    where nothing is compiled, the last three are empty.
    """

    passes: dict[str, str]
    groups: str
    memory: str
    source: str

    def __str__(self) -> str:
        parts: list[str] = []
        last = ""
        for name, text in self.passes.items():
            parts.append(f"-- {name} --\n{text}" if text != last else f"-- {name} -- (as before)")
            last = text
        for name, text in (("kernels", self.groups), ("memory", self.memory), ("source", self.source)):
            parts += [f"-- {name} --\n{text}"] if text else []
        return "\n\n".join(parts)


class Place:
    """The place of a Tensor or number among the arguments."""

    def __init__(self, number: int) -> None:
        self.number = number


class Static:
    """An argument that is built into the program; 1, 1.0 and True make three programs, in tuples as well."""

    def __init__(self, value: Any) -> None:
        self.value, self.key = value, frozen(value)

    def __repr__(self) -> str:
        return repr(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Static) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


class Identity:
    """An object as a part of a key, which does not keep it alive. Once it is gone, the key is equal to no other."""

    __slots__ = ("hash", "reference")

    def __init__(self, value: Any) -> None:
        self.reference, self.hash = weakref.ref(value), hash(value)

    def __eq__(self, other: object) -> bool:
        value = self.reference()
        return isinstance(other, Identity) and value is not None and value is other.reference()

    def __hash__(self) -> int:
        return self.hash


def as_key(value: Any) -> Any:
    """An argument that is built into a program, as a part of its key: by identity if that is how it compares."""
    kind = type(value)
    by_identity = kind.__eq__ is object.__eq__ and kind.__hash__ is object.__hash__
    return Identity(value) if by_identity and kind.__weakrefoffset__ and not isinstance(value, type) else value


class Step:
    """What `jit` returns: call it as you would call the function."""

    def __init__(self, function: Callable[..., Any], static_argnames: tuple[str, ...], maxsize: int) -> None:
        functools.update_wrapper(self, function, updated=())
        self.function, self.static, self.maxsize = function, static_argnames, maxsize
        self.signature = inspect.signature(function) if static_argnames else None
        self.programs: collections.OrderedDict[Any, list[Program]] = collections.OrderedDict()
        self.hits = self.misses = 0
        self.building_in: dict[Any, int] = {}  # keys for which numbers are built in, and how often they were
        self.gone: collections.deque[Any] = collections.deque()  # keys of which an object is no more
        self.lock = threading.RLock()
        self.turns = threading.RLock()  # held by programs that change something: they change the same

    def __repr__(self) -> str:
        return f"<jit {getattr(self.function, '__qualname__', self.function)}>"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else Method(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if current.trace is not None or mode.differentiating:
            return self.function(*args, **kwargs)  # a part of the step that is being traced, or differentiated
        program, arguments = self.find(args, kwargs)
        try:
            return program.run(arguments)
        except GuardFailure:
            return self.run_another(program, args, kwargs)
        except Exception as error:
            unmeant = getattr(error, "misfit", isinstance(error, (ArithmeticError, CompileError)))
            if not unmeant or not has_numbers(arguments):
                raise
        with self.lock:  # a number does not fit: built in, it gives what it gives eagerly, an error most likely
            _, program, arguments, _ = self.traced_program(args, kwargs, built_in=True)
        return program.run(arguments)

    def run_another(self, stale: Program, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The call by a program for what the host now decides: one that is there already, or a new one."""
        with self.lock:
            key, arguments, _, _ = self.known_apart(args, kwargs)
            for program in list(self.programs.get(key, ())):
                if program is not stale and program.guard.holds(arguments):
                    with contextlib.suppress(GuardFailure):
                        return program.run(arguments)
            return self.compile(args, kwargs)[0].run(arguments)

    def find(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Program, list[Any]]:
        """The program for these arguments, and the Tensors and numbers among them."""
        with self.lock:
            while self.gone:
                self.programs.pop(self.gone.popleft(), None)
            key, arguments, _, _ = self.known_apart(args, kwargs)
            known = self.programs.get(key)
            if known is not None:
                for program in known:
                    if program.guard.holds(arguments):
                        self.hits += 1
                        self.programs.move_to_end(key)
                        return program, arguments
            return self.compile(args, kwargs)

    def known_apart(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, list[Any], list[Any], Any]:
        """The arguments, taken apart; where it is known that numbers have to be built in, they are."""
        found = self.take_apart(args, kwargs)
        return self.take_apart(args, kwargs, built_in=True) if found[0] in self.building_in else found

    def take_apart(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], built_in: bool = False
    ) -> tuple[Any, list[Any], list[Any], Any]:
        """What tells programs apart, the Tensors and numbers among the arguments, all leaves, and their structure.

        Among the leaves, a Place stands for each of the Tensors and numbers, unless numbers are to be built in.
        """
        if self.signature is not None:
            args, kwargs = self.mark_static(args, kwargs)
        leaves: list[Any] = []
        structure = tree.flatten((args, kwargs), leaves)
        backend = backend_of(leaves)
        kinds: list[Any] = []
        arguments: list[Any] = []
        places: dict[int, int] = {}
        for i, leaf in enumerate(leaves):
            if isinstance(leaf, np.ndarray):
                leaf = constant(backend.asarray(leaf), backend)
            if isinstance(leaf, Tensor):
                array, place = leaf.array, places.setdefault(id(leaf), len(arguments))
                hooks = leaf.hooks and tuple(leaf.hooks)
                kinds.append(
                    (array.shape, array.dtype, leaf.op, place, hooks) if hasattr(array, "shape") else leaf.dtype
                )
            elif (type(leaf) is float or (type(leaf) is int and -WORD <= leaf < WORD)) and not built_in:
                kinds.append(type(leaf))
            elif type(leaf) is float:
                kinds.append(frozen(leaf))
                continue
            else:
                kinds.append((type(leaf), as_key(leaf)))
                try:
                    hash(leaf)
                except TypeError:
                    raise DTypeError(
                        f"jit: the argument {describe(leaf)} is neither made of Tensors, numbers, tuples, lists, dicts "
                        "and dataclasses nor hashable; pass its Tensors, or let the step find it as a variable"
                    ) from None
                continue
            leaves[i] = Place(len(arguments))
            arguments.append(leaf)
        settings = (mode.recording, backend.name, backend.variant, amp.state(), get_default_dtype(), len(REPLACED))
        key = (structure, tuple(kinds), *settings)
        return key, arguments, leaves, structure

    def mark_static(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments, with those that are to be built in marked as such."""
        bound = self.signature.bind(*args, **kwargs)  # type: ignore[union-attr]
        for name in self.static:
            if name in bound.arguments:
                value = bound.arguments[name]
                if isinstance(value, Tensor):
                    raise DTypeError(
                        f"jit: the static argument {name!r} is a Tensor; only plain values can be built in"
                    )
                bound.arguments[name] = Static(value)
        return bound.args, bound.kwargs

    def compile(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Program, list[Any]]:
        """Trace and compile the step for these arguments."""
        with progress.compiling(getattr(self.function, "__name__", "a step")):
            key, program, arguments, leaves = self.traced_program(args, kwargs)
        if program.guard.changes or program.host:
            program.lock = self.turns
        gone = self.gone
        program.owners = [
            weakref.ref(leaf, lambda _: gone.append(key))
            for leaf in leaves
            if not isinstance(leaf, Place) and isinstance(as_key(leaf), Identity)
        ]
        self.misses += 1
        known = self.programs.setdefault(key, [])
        known.insert(0, program)
        if len(known) == MANY:
            changed = program.guard.changed_since(known[1].guard)
            warnings.warn(
                f"jit: {self!r} was compiled {MANY} times for arguments of one kind"
                + (f", the last time because {', '.join(changed)} changed" if changed else "")
                + "; what changes often should be a Tensor or an argument, which does not need a new program",
                stacklevel=4,
            )
        self.programs.move_to_end(key)
        while sum(map(len, self.programs.values())) > self.maxsize:
            oldest = next(iter(self.programs))
            self.programs[oldest].pop()
            if not self.programs[oldest]:
                del self.programs[oldest]
        return program, arguments

    def traced_program(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], listen: Any = None, built_in: bool = False
    ) -> tuple[Any, Program, list[Any], list[Any]]:
        """The key of a program for these arguments, the program, the Tensors and numbers that it takes, and all leaves.

        Where a step does something else with a number than computing, the number is built in, so that whatever can be
        done with a number eagerly can be done here: it may be a setting of an op, or not fit an array's dtype.
        """
        key, arguments, leaves, structure = self.take_apart(args, kwargs)
        if not built_in and key not in self.building_in:
            try:
                return key, self.trace(arguments, leaves, structure, listen), arguments, leaves
            except Exception as error:
                refused = isinstance(error, (TraceError, CompileError)) and not isinstance(error, NumberError)
                if refused or not has_numbers(arguments):
                    raise
        own, arguments, leaves, structure = self.take_apart(args, kwargs, built_in=True)
        program = self.trace(arguments, leaves, structure, listen)
        if not built_in:
            times = self.building_in[key] = self.building_in.get(key, 0) + 1
            if times == MANY:
                warnings.warn(
                    f"jit: {self!r} was compiled {MANY} times for numbers among its arguments with which it does more "
                    "than to compute; what changes often should be a Tensor",
                    stacklevel=5,
                )
        return own, program, arguments, leaves

    def trace(self, arguments: list[Any], leaves: list[Any], structure: Any, listen: Any = None) -> Program:
        """The program for these arguments."""
        program = self.traced(arguments, leaves, structure)
        if same := program.guard.confuses(arguments):
            program = self.traced(arguments, leaves, structure, exact=True)
            program.guard.exact = same
        # An interrupt in the middle of its imports would leave Numba unusable.
        with uninterrupted() as block, progress.listening(ServedBetweenKernels(block)):
            return program.compile(listen)

    def traced(self, arguments: list[Any], leaves: list[Any], structure: Any, exact: bool = False) -> Program:
        """The step, traced; `exact` if it finds some of its arguments by itself as well, and changes them."""
        backend = backend_of(arguments)
        try:
            return self.traced_on(backend, arguments, leaves, structure, exact)
        except OtherDeviceError as other:
            if any(isinstance(leaf, Tensor) for leaf in arguments):
                raise two_devices(backend, other.backend) from None
            found = other.backend
        try:
            return self.traced_on(found, arguments, leaves, structure, exact)
        except OtherDeviceError as other:
            raise two_devices(found, other.backend) from None

    def traced_on(
        self, backend: Backend, arguments: list[Any], leaves: list[Any], structure: Any, exact: bool
    ) -> Program:
        """The step, traced for a device. Raises OtherDeviceError where it computes on another one."""
        followed: frozenset[tuple[int, str]] = frozenset()
        read = built_in = followed
        while True:
            try:
                return self.traced_once(Trace(backend, arguments, exact, followed, built_in), leaves, structure)
            except FollowError as found:
                followed, read = found.keys, read | found.read
            except OtherDeviceError:
                raise
            except Exception:
                if not read:
                    raise
                followed, built_in = followed - read, built_in | read  # it needs the values of options that it reads
                read = frozenset()

    def traced_once(self, trace: Trace, leaves: list[Any], structure: Any) -> Program:
        """The step, run by a trace."""
        with trace.running():
            values = [
                trace.argument(leaf.number)
                if isinstance(leaf, Place)
                else leaf.value
                if isinstance(leaf, Static)
                else leaf
                for leaf in leaves
            ]
            args, kwargs = tree.unflatten(structure, iter(values))
            calls = Calls()
            with uncollected(), Watch(self.function, args, kwargs, calls) as watch:
                for optimizer in watch.optimizers:
                    trace.options.meet(optimizer)
                with unselected(trace):
                    result = self.function(*args, **kwargs)
            if trace.failure is not None:
                raise trace.failure  # which the step has caught, but then it has gone on with something else
            watch.check()
            keys, typed, named = keys_read(calls)
            own = trace.attribute_guards(keys)
            calls.containers = dict.fromkeys(trace.options.groups, False)
            read = own + guards_of(self.function, [*values, *[x for g in own for _, x in g.values()]], trace.ran, calls)
            trace.options.check_read(keys, typed, named, calls.containers)
            trace.options.finish()
            trace.release()
            check_result(result)
            program = Program(trace, result, read, trace.real)
        for guard in own:  # the host stands where it stood before
            if not guard.holds():
                raise own_change_error(guard.path)
        return program

    @known_words
    def over(self, *data: Any, batch_size: int, order: Any = None, drop_last: bool = False, **kwargs: Any) -> Any:
        """Call the step with one batch of `data` after the other; returns the results, stacked along a first axis.

        `data` are Tensors or arrays of equal length; `order` (positions, such as ge.randperm(n)) says which samples
        come in which order. The last batch may be smaller, or is left out with `drop_last`. Where native code can
        repeat the whole step, nothing runs in Python in between, and an interrupt is served after a whole step.

        >>> import gradengine as ge
        >>> total = ge.zeros(())
        >>> @ge.jit
        ... def add(x):
        ...     total.add_(x.sum())
        ...     return x.mean()
        >>> add.over(ge.tensor([1.0, 3.0, 5.0, 7.0, 9.0]), batch_size=2)
        tensor([2., 6., 9.])
        >>> total
        tensor(25.)
        """
        return over(self, data, batch_size, order, drop_last, kwargs)

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """How the step is compiled for these arguments: the graph after each pass, the kernels, memory and source.

        Nothing is run, and nothing is kept.
        """
        passes: dict[str, str] = {}
        names = Names()
        listen = lambda name, graph: passes.update({name: show(graph, names)})
        executor = self.traced_program(args, kwargs, listen)[1].executor
        return Lowered(passes, executor.show_groups(names), executor.show_memory(names), executor.source)

    @known_words
    def cache_info(self) -> CacheInfo:
        """Calls that found a program, calls that had to compile one, how many are kept at most, and are kept now."""
        with self.lock:
            return CacheInfo(self.hits, self.misses, self.maxsize, sum(map(len, self.programs.values())))

    @known_words
    def cache_clear(self) -> None:
        """Forget all programs."""
        with self.lock:
            self.programs.clear()
            self.building_in.clear()
            self.hits = self.misses = 0


class Method:
    """A jitted method of an object."""

    def __init__(self, step: Step, instance: Any) -> None:
        functools.update_wrapper(self, step.function, updated=())
        self.step, self.instance = step, instance
        self.cache_info, self.cache_clear = step.cache_info, step.cache_clear

    def __repr__(self) -> str:
        return f"<bound {self.step!r} of {self.instance!r}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.step(self.instance, *args, **kwargs)

    def find(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Program, list[Any]]:
        """The program for these arguments, and the Tensors and numbers among them."""
        return self.step.find((self.instance, *args), kwargs)

    @known_words
    def over(self, *data: Any, batch_size: int, order: Any = None, drop_last: bool = False, **kwargs: Any) -> Any:
        """As `Step.over`."""
        return over(self, data, batch_size, order, drop_last, kwargs)

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """As `Step.lower`."""
        return self.step.lower(self.instance, *args, **kwargs)


def has_numbers(arguments: list[Any]) -> bool:
    """Whether there are Python numbers among these."""
    return any([type(x) is float or type(x) is int for x in arguments])


def backend_of(leaves: list[Any]) -> Backend:
    """The backend of the first Tensor, else that of the default device."""
    for leaf in leaves:
        if isinstance(leaf, Tensor):
            return leaf.backend
    return devices.for_device(None)


def two_devices(one: Backend, other: Backend) -> DeviceError:
    """The error for a step that computes on two devices."""
    return DeviceError(
        f"jit: the step computes on {one.device!r} and on {other.device!r}, but a compiled step runs on one; move what "
        f"it reads with .to({one.device!r}) or .to({other.device!r}) before"
    )


@known_words
def jit(
    function: Callable[..., Any] | None = None,
    *,
    static_argnames: str | Iterable[str] = (),
    maxsize: int = MOST_PROGRAMS,
) -> Any:
    """Compile a step: forward, backward and update, as one program, traced at the first call.

    The arguments and results of `function` are Tensors in tuples, lists, dicts and dataclasses; NumPy arrays and
    numbers among the arguments are inputs too, and may change from call to call. Other arguments are built into the
    program, and so are those that `static_argnames` names; another value makes another program. Other Tensors, modules
    and optimizers are found by identity and changed as an eager step changes them. At most `maxsize` programs are
    kept. What is returned is outside the graph. Also a decorator, with or without options, of functions and methods.

    The result is called as the function is, and has `over` (many batches in one call), `lower` (how it is compiled),
    `cache_info` and `cache_clear`. Raises TraceError for a step that needs a value while it is traced, or changes
    Python objects from outside.

    >>> import gradengine as ge
    >>> weight = ge.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = ge.optim.SGD([weight], lr=0.25)
    >>> @ge.jit
    ... def step(x):
    ...     loss = ((weight - x) ** 2).sum()
    ...     optimizer.zero_grad()
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> [round(step(ge.tensor([3.0, 3.0])).item(), 4) for _ in range(3)]
    [5.0, 1.25, 0.3125]
    """
    if function is None:
        return functools.partial(jit, static_argnames=static_argnames, maxsize=maxsize)
    if not callable(function):
        raise DTypeError(f"jit: takes a function, got {describe(function)}")
    names = (static_argnames,) if isinstance(static_argnames, str) else tuple(static_argnames)
    if names:
        known = inspect.signature(function).parameters
        if missing := [name for name in names if name not in known]:
            raise ArgumentError(f"jit: static_argnames has {missing[0]!r}, but the arguments are {', '.join(known)}")
    if not isinstance(maxsize, int) or maxsize < 1:
        raise ArgumentError(f"jit: maxsize must be an int of at least 1, got {describe(maxsize)}")
    return Step(function, names, maxsize)
