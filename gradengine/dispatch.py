"""Running an op: the closure that its declaration gets for its arity, what it records, and how a failure is explained.

What a generic apply(op, *args) would look up on every call, a closure made for one op knows: on small arrays that is
most of the cost. Whether anything is recorded is each thread's own switch, `no_grad` and its like.

May import promotion, tensor, dtypes, backend and errors.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from . import backend as backends
from . import dtypes
from .dtypes import check_dtype
from .errors import DeviceError, DTypeError, GradengineError, IndexRangeError, ShapeError
from .promotion import DOUBLE, HALF, settled
from .tensor import EMPTY, Op, Tensor, mode, order, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

silent = 0  # how many threads have switched recording off: while none has, nobody need ask `mode`
silence = threading.Lock()
casting = 0  # in how many regions of `autocast` threads are: while in none, nobody need ask what to cast
prepare: Callable[..., Any] = lambda op, args, params: args  # `amp` puts its own here
WRONG_DTYPE = ("not supported for the input types", "did not contain a loop", "numpy boolean")  # what NumPy says of it
NO_SUCH_INTEGER = "Integers to negative integer powers"  # what NumPy says of 2 ** -1, as a ValueError
# What Python and NumPy say of metadata of a wrong type, which an op's own words would name.
WRONG_SETTING = ("not supported", "cannot be interpreted", "operand type", "integer is", "loop", "must be real")
SETTLED = frozenset({int, float, bool, str, type(None)})  # kinds of metadata that nobody can change afterwards


def common_backend(op: Op, tensors: tuple[Tensor, ...]) -> backends.Backend:
    """The one backend for all operands. Raises DeviceError when they live on two devices."""
    first = tensors[0]
    for other in tensors[1:]:
        if other.backend.device != first.backend.device:
            here, there = where_to_move(first, other)
            raise DeviceError(
                f"{op.shown}: operands live on {first.device!r} (shape {first.shape}) and {other.device!r} "
                f"(shape {other.shape}); move the one on {here!r} with .to({there!r})"
            )
    return backends.for_device(first.device) if any(t.backend is not first.backend for t in tensors) else first.backend


def where_to_move(a: Tensor, b: Tensor) -> tuple[str, str]:
    """Of two operands, the device of the one to move, and that of the other.

    Data go to the model: what requires grad stays where it is. Where that does not tell, the GPU is meant.
    """
    stays = (a.op is not None, a.device != "cpu") >= (b.op is not None, b.device != "cpu")
    return (b.device, a.device) if stays else (a.device, b.device)


def explain(op: Op, error: Exception, tensors: tuple[Tensor, ...], params: dict[str, Any]) -> Exception:
    """The typed error for a kernel's failure. Shape rules run here, after the fact: the good path pays nothing."""
    if isinstance(error, (GradengineError, Warning)):
        return error
    devices_own = tensors[0].backend.typed(op.shown, error) if tensors else None
    if devices_own is not None or isinstance(error, MemoryError):
        return devices_own or error
    if isinstance(error, KeyError) and error.args and error.args[0] is op:
        device = common_backend(op, tensors)
        return GradengineError(
            f"{op.shown}: {device} has no kernel of that name; declare the op with a body or a kernel"
        )
    shapes = tuple(t.shape for t in tensors)
    if op.shape is not None:
        try:
            op.shape(op.shown, *shapes, **params)
        except GradengineError as typed:
            return typed
        except (TypeError, ValueError, IndexError, AttributeError):
            pass  # the shape rule cannot read such arguments either; the kernel's own words follow
    if isinstance(error, TypeError) and params.get("dtype") is not None:
        try:
            check_dtype(params["dtype"], op.shown)
        except DTypeError as typed:
            return typed
    # The shapes fit, so it was the values or the dtypes: the kernel's own words say which.
    words = str(error).replace("out of bounds", "out of range")
    if isinstance(error, IndexError) and not isinstance(error, ValueError):
        return IndexRangeError(f"{op.shown}: {words}")
    numbers = [t.array for t in tensors if not hasattr(t.array, "dtype")]
    if numbers and isinstance(error, AttributeError):
        return DTypeError(f"{op.shown}: takes an array, got the number {numbers[0]!r}; use ge.tensor({numbers[0]!r})")
    if isinstance(error, TypeError) and not params and any([part in words for part in WRONG_DTYPE]):
        given = " and ".join([str(t.dtype) for t in tensors])
        return DTypeError(f"{op.shown}: does not work on {given}; convert with .to(...), for example .to(ge.int64)")
    shown = [f"{t.dtype}{list(t.shape)}" for t in tensors]
    if isinstance(error, TypeError) and any([part in words for part in WRONG_SETTING]):
        shown += [f"{name}={value!r}" for name, value in params.items()]
    text = f"{op.shown}: {words} (given {', '.join(shown)})"
    if isinstance(error, (TypeError, OverflowError)) or words.startswith(NO_SUCH_INTEGER):
        return DTypeError(text)
    if isinstance(error, ValueError):
        return ShapeError(text)
    return GradengineError(text)


def unary(op: Op) -> Callable[..., Tensor]:
    """The function that runs a one-array op without metadata."""
    new, tracked = Tensor.__new__, any(op.rules)

    def call(x: Any, /) -> Tensor:
        if type(x) is not Tensor and not isinstance(x, Tensor):
            x = wrap(x, None, op.shown)
        if casting:
            (x,) = prepare(op, (x,), EMPTY)
        backend = x.backend
        array = x.array
        out = new(Tensor)
        try:
            out.array = result = backend.table[op](array)
        except Exception as error:
            raise explain(op, error, (x,), EMPTY) from None
        out.backend = backend
        out.grad = out.hooks = None
        if x.op is not None and tracked and (not silent or mode.recording):
            out.op, out.inputs, out.saved, out.params, out.order = op, (x,), (array,), EMPTY, next(order)
        else:
            out.op = None
            found = result.dtype  # only here can x be an integer
            if found is DOUBLE or found is HALF or found is dtypes.doubtful:
                return settled(call, op, (x,), EMPTY, out)
        return out

    return call


def binary(op: Op) -> Callable[..., Tensor]:
    """The function that runs a two-array op without metadata."""
    new, tracked = Tensor.__new__, any(op.rules)

    def call(a: Any, b: Any, /) -> Tensor:
        if type(b) is not Tensor and not isinstance(b, Tensor):
            b = wrap(b, a, op.shown)
        if type(a) is not Tensor and not isinstance(a, Tensor):
            a = wrap(a, b, op.shown)
        if casting:
            a, b = prepare(op, (a, b), EMPTY)
        backend = a.backend
        if b.backend is not backend:
            backend = common_backend(op, (a, b))
        left = a.array
        right = b.array
        out = new(Tensor)
        try:
            out.array = result = backend.table[op](left, right)
        except Exception as error:
            raise explain(op, error, (a, b), EMPTY) from None
        out.backend = backend
        out.grad = out.hooks = None
        if (a.op is not None or b.op is not None) and tracked and (not silent or mode.recording):
            out.op, out.inputs, out.saved, out.params, out.order = op, (a, b), (left, right), EMPTY, next(order)
            if a.op is not None and b.op is not None:
                return out  # of two floats
        else:
            out.op = None
        found = result.dtype
        if found is DOUBLE or found is HALF or found is dtypes.doubtful:
            return settled(call, op, (a, b), EMPTY, out)
        return out

    return call


def nary(op: Op, count: int | None) -> Callable[..., Tensor]:
    """The function that runs an op of `count` arrays (None: any number) with metadata."""
    new = Tensor.__new__
    names, defaults, has_rules = op.names, op.defaults, any(op.rules)

    def call(*args: Any, **params: Any) -> Tensor:
        if count is not None and len(args) != count:
            args, params = split_metadata(op, count, args, params)
        merged = defaults
        if params:
            merged = {**defaults, **params}
            for key, value in params.items():
                if type(value) not in SETTLED:
                    merged[key] = freeze(value, op)
        if len(merged) != len(names):
            check_metadata(op, merged)
        backend = None
        for x in args:
            if type(x) is not Tensor and not isinstance(x, Tensor):
                like = next((t for t in args if isinstance(t, Tensor)), None)
                args = tuple([t if isinstance(t, Tensor) else wrap(t, like, op.shown) for t in args])
                break
        if casting:
            args = prepare(op, args, merged)
        backend = args[0].backend if args else backends.for_device(None)
        for x in args:
            if x.backend is not backend:
                backend = common_backend(op, args)
        arrays = tuple([x.array for x in args])
        out = new(Tensor)
        try:
            out.array = result = backend.table[op](*arrays, **merged)
        except Exception as error:
            raise explain(op, error, args, merged) from None
        out.backend = backend
        out.op = out.grad = out.hooks = None
        if has_rules and (not silent or mode.recording):
            for x in args:
                if x.op is not None:
                    out.op, out.inputs, out.saved, out.params, out.order = op, args, arrays, merged, next(order)
                    break
        if out.op is None or len(args) > 1:  # else a float
            found = getattr(result, "dtype", None)
            if found is DOUBLE or found is HALF or found is dtypes.doubtful:
                return settled(call, op, args, merged, out)
        return out

    return call


def freeze(value: Any, op: Op) -> Any:
    """Metadata as it is now: lists and arrays become tuples, for a gradient may read them again much later."""
    if type(value) is list or type(value) is tuple:
        return tuple([freeze(item, op) for item in value])
    if isinstance(value, Tensor):
        if value.dtype.kind not in "iub":
            advice = "an op has as many arrays as gradient rules"  # which who has declared this one may not know
            if op.name in backends.BUILT_IN:
                advice = "give Python's own numbers, as .item() and .tolist() do"
            raise DTypeError(
                f"{op.shown}: got a Tensor of shape {value.shape} where a setting belongs ({', '.join(op.names)}); "
                f"{advice}"
            )
        value = value.tolist()
        return freeze(value, op)
    return freeze(value.tolist(), op) if type(value) is np.ndarray else value


def split_metadata(op: Op, count: int, args: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Arguments beyond the arrays, as the metadata that they stand for: `sum(x, 0)` is `sum(x, axis=0)`."""
    extra = args[count:]
    if len(args) < count or len(extra) > len(op.names):
        wanted = f"{count} array{'s' if count != 1 else ''}" + (f", then {', '.join(op.names)}" if op.names else "")
        raise DTypeError(f"{op.shown}: takes {wanted}; got {len(args)} positional arguments")
    for name, value in zip(op.names, extra, strict=False):
        if name in params:
            raise DTypeError(f"{op.shown}: got {name!r} twice")
        params = {**params, name: value}
    return args[:count], params


def check_metadata(op: Op, merged: dict[str, Any]) -> None:
    """Raise for metadata that the op does not know, or lacks."""
    unknown = [name for name in merged if name not in op.names]
    missing = [name for name in op.names if name not in merged]
    problem = f"does not take {', '.join(unknown)}" if unknown else f"needs {', '.join(missing)}"
    known = {"dim": "axis", "keepdim": "keepdims", "dims": "axes"}
    hints = [f"{known[name]} for {name}" for name in unknown if known.get(name) in op.names]
    advice = f" (use {' and '.join(hints)})" if hints else ""
    raise DTypeError(f"{op.shown}: {problem}{advice}; its metadata: {', '.join(op.names) or 'none'}")


def switch(enabled: bool) -> None:
    """Record, or not, in this thread from now on."""
    global silent
    if enabled != mode.recording:
        with silence:
            silent += -1 if enabled else 1
        mode.recording = enabled


@contextlib.contextmanager
def uncast() -> Iterator[None]:
    """A block in which `autocast` casts nothing: rules compute in what the ops that they are of have computed in."""
    before, mode.casting = mode.casting, {}
    try:
        yield
    finally:
        mode.casting = before


class Recording:
    """A context manager and decorator that records ops, or does not. Each thread may enter it, more than once."""

    enabled = True

    def __enter__(self) -> None:
        mode.before.append(mode.recording)
        switch(self.enabled)

    def __exit__(self, *exception: object) -> None:
        switch(mode.before.pop())

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generate(*args: Any, **kwargs: Any) -> Any:
                generator = function(*args, **kwargs)
                while True:  # recording is switched for the body alone, not for who reads what it yields
                    with self:
                        try:
                            value = next(generator)
                        except StopIteration as stop:
                            return stop.value
                    yield value

            return generate

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return wrapped


class set_grad_enabled(Recording):
    """Record ops (True) or not (False) in this thread: a statement, a context manager or a decorator.

    >>> import gradengine as ge
    >>> x = ge.tensor(1.0, requires_grad=True)
    >>> with ge.set_grad_enabled(False):
    ...     (x * 2).requires_grad
    False
    """

    def __init__(self, enabled: bool) -> None:
        self.enabled, self.outside = enabled, mode.recording
        switch(enabled)

    def __enter__(self) -> None:
        switch(self.outside)  # the statement's effect ends where the block's begins
        super().__enter__()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        switch(self.outside)
        return super().__call__(function)


class no_grad(Recording):
    """Record nothing inside: `with ge.no_grad():` or `@ge.no_grad()`.

    >>> import gradengine as ge
    >>> x = ge.tensor(1.0, requires_grad=True)
    >>> with ge.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    enabled = False

    def __new__(cls, function: Any = None) -> Any:
        made = super().__new__(cls)
        return made if function is None else made(function)


class enable_grad(no_grad):
    """Record again inside a `no_grad` block: `with ge.enable_grad():` or `@ge.enable_grad()`."""

    enabled = True


def is_grad_enabled() -> bool:
    """True when ops are recorded in this thread.

    >>> import gradengine as ge
    >>> with ge.no_grad():
    ...     ge.is_grad_enabled()
    False
    """
    return mode.recording
