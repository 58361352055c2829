"""Running an op: the closure that its declaration gets for its arity, what it records, and how a failure is explained.

What a generic apply(op, *args) would look up on every call, a closure made for one op knows: on small arrays that is
most of the cost. Whether anything is recorded is each thread's own switch, `no_grad` and its like.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from ..backend import devices
from ..backend.backend import Backend
from ..errors import (
    AxisError,
    DeviceError,
    DTypeError,
    GradengineError,
    GraphError,
    IndexRangeError,
    ShapeError,
    SignatureError,
    describe,
)
from ..shapes import dtypes
from ..shapes.dtypes import check_dtype
from ..validation import flag_or_raise, known_class, known_words, placed_flag
from .promotion import DOUBLE, HALF, promoted_result
from .spelling import on_vectors
from .tensor_class import EMPTY, Op, Tensor, mode, order, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["enable_grad", "is_grad_enabled", "no_grad", "set_grad_enabled"]

silent = 0  # how many threads have switched recording off: while none has, nobody need ask `mode`
silence = threading.Lock()
pruning = threading.Lock()
FEW = 64  # weak references that a family may hold before dead ones are looked for
casting = 0  # in how many regions of `autocast` threads are: while in none, nobody need ask what to cast
prepare: Callable[..., Any] = lambda op, args, params: args  # `amp` puts its own here
WRONG_DTYPE = ("not supported for the input types", "did not contain a loop", "numpy boolean")  # what NumPy says of it
NO_SUCH_INTEGER = "Integers to negative integer powers"  # what NumPy says of 2 ** -1, as a ValueError
# What Python and NumPy say of metadata of a wrong type, which an op's own words would name.
WRONG_SETTING = ("not supported", "cannot be interpreted", "operand type", "integer is", "loop", "must be real")
MISSING: Any = object()  # the default of an array that has to be given
SETTLED = frozenset({int, float, bool, str, type(None)})  # kinds of metadata that nobody can change afterwards
UNORDERED = frozenset({dict, set, frozenset, bytes, bytearray})  # kinds that no setting of an op of ours is of
OF_FLAGS = SETTLED - {float, str}  # those among which no flag is wrong
ONLY_BOOL = frozenset({bool})
NOTHING: frozenset[type] = frozenset()


def common_backend(op: Op, tensors: tuple[Tensor, ...]) -> Backend:
    """The one backend for all operands. Raises DeviceError when they live on two devices."""
    first = tensors[0]
    for other in tensors[1:]:
        if other.backend.device != first.backend.device:
            here, there = where_to_move(first, other)
            raise DeviceError(
                f"{op.shown}: operands live on {first.device!r} (shape {first.shape}) and {other.device!r} "
                f"(shape {other.shape}); move the one on {here!r} with .to({there!r})"
            )
    return devices.for_device(first.device) if any(t.backend is not first.backend for t in tensors) else first.backend


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
    devices_own = (tensors[0].backend if tensors else devices.for_device(None)).typed(op.shown, error)
    if devices_own is not None:
        return devices_own
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
        return AxisError(text) if isinstance(error, IndexError) else ShapeError(text)
    return GradengineError(text)


def unary(op: Op) -> Callable[..., Tensor]:
    """The function that runs a one-array op without metadata. `words` are those that PyTorch has: `out`."""
    new, tracked = Tensor.__new__, any(op.rules)

    def call(input: Any = MISSING, *extra: Any, **words: Any) -> Tensor:
        if extra or words:
            return in_other_words(op, call, (input,), extra, words)
        x = input
        if type(x) is not Tensor and not isinstance(x, Tensor):
            x = wrap(x, None, op.shown) if x is not MISSING else incomplete(op, 0)
        if casting:
            (x,) = prepare(op, (x,), EMPTY)
        backend = x.backend
        array = x.array
        result = new(Tensor)
        try:
            result.array = value = backend.table[op](array)
        except Exception as error:
            raise explain(op, error, (x,), EMPTY) from None
        result.backend = backend
        result._grad = result.hooks = result.family = None
        if x.op is not None and tracked and (not silent or mode.recording):
            result.op = op
            result.inputs = (x,)
            result.saved = (array,)
            result.params = EMPTY
            result.order = next(order)
        else:
            result.op = None
            try:
                found = value.dtype  # only here can x be an integer
            except AttributeError:  # a bool, of a Python number
                return result
            if found is DOUBLE or found is HALF or found is dtypes.doubtful:
                return promoted_result(call, op, (x,), EMPTY, result)
        return result

    return call


def binary(op: Op) -> Callable[..., Tensor]:
    """The function that runs a two-array op without metadata. `words` are those that PyTorch has: `alpha`, `out`."""
    new, tracked = Tensor.__new__, any(op.rules)

    def call(input: Any = MISSING, other: Any = MISSING, *extra: Any, **words: Any) -> Tensor:
        if extra or words:
            return in_other_words(op, call, (input, other), extra, words)
        a, b = input, other
        if type(b) is not Tensor and not isinstance(b, Tensor):
            b = wrap(b, a, op.shown) if b is not MISSING else incomplete(op, 1)
        if type(a) is not Tensor and not isinstance(a, Tensor):
            a = wrap(a, b, op.shown) if a is not MISSING else incomplete(op, 0)
        if casting:
            a, b = prepare(op, (a, b), EMPTY)
        backend = a.backend
        if b.backend is not backend:
            backend = common_backend(op, (a, b))
        left = a.array
        right = b.array
        result = new(Tensor)
        try:
            result.array = value = backend.table[op](left, right)
        except Exception as error:
            raise explain(op, error, (a, b), EMPTY) from None
        result.backend = backend
        result._grad = result.hooks = result.family = None
        if (a.op is not None or b.op is not None) and tracked and (not silent or mode.recording):
            result.op = op
            result.inputs = (a, b)
            result.saved = (left, right)
            result.params = EMPTY
            result.order = next(order)
            if a.op is not None and b.op is not None:
                return result  # of two floats
        else:
            result.op = None
        try:
            found = value.dtype
        except AttributeError:  # a bool, of two Python numbers
            return result
        if found is DOUBLE or found is HALF or found is dtypes.doubtful:
            return promoted_result(call, op, (a, b), EMPTY, result)
        return result

    return call


def in_other_words(
    op: Op, call: Callable[..., Tensor], arrays: tuple[Any, ...], extra: tuple[Any, ...], words: dict[str, Any]
) -> Any:
    """A call of an op without metadata that has more than its arrays: `out`, a setting of PyTorch's, or a mistake."""
    if len(extra) == 1 and "out" not in words and (extra[0] is None or isinstance(extra[0], Tensor)):  # as in NumPy
        words = {**words, "out": extra[0]}
    elif len(extra) == 1 and type(extra[0]) is bool and "inplace" in op.spelling.choosing:
        return op.spelling.in_pytorch_form((*arrays, *extra), words)  # as in `relu(x, True)`
    elif extra:
        several = "1 array" if len(arrays) == 1 else f"{len(arrays)} arrays"
        given = len(arrays) + len(extra)
        raise SignatureError(f"{op.shown}: takes {several}; got {given} positional arguments; {op.spelling.accepted()}")
    return spelled(op, call, tuple([x for x in arrays if x is not MISSING]), words)


def incomplete(op: Op, given: int) -> Tensor:
    """Raise SignatureError for a call of an op without metadata that lacks arrays."""
    needed = len(op.spelling.parameters)
    raise SignatureError(f"{op.shown}: needs {needed} array{'s' if needed > 1 else ''}, got {given}")


def nary(op: Op, count: int | None) -> Callable[..., Tensor]:
    """The function that runs an op of `count` arrays (None: any number) with metadata."""
    new = Tensor.__new__
    names, defaults, has_rules = op.names, op.defaults, any(op.rules)
    incomplete = len(defaults) != len(names)
    view, may_copy = bool(op.view), op.view == "maybe"
    flags = frozenset([name for name, value in defaults.items() if type(value) is bool])
    # `keepdims` may be any int, as in NumPy: else each axis would have to be looked at.
    settled_kinds = OF_FLAGS if flags == {"keepdims"} else ONLY_BOOL if flags else SETTLED
    if "axis" in names:
        settled_kinds = settled_kinds - ({float} if flags else {float, bool})
    if op.check is not None:
        settled_kinds = NOTHING

    def call(*args: Any, **params: Any) -> Tensor:
        if count is not None and len(args) != count:
            if len(args) < count or op.spelling.form is not None:
                return spelled(op, call, args, params, count)
            args, params = split_metadata(op, count, args, params)
        merged = defaults
        if params:
            merged = {**defaults, **params}
            if len(merged) != len(names):
                return spelled(op, call, args, params, count)
            for key, value in params.items():
                if type(value) not in settled_kinds:
                    check_setting(op, flags, merged, key, value)
        elif incomplete:
            raise lacking(op, merged)
        backend = None
        for x in args:
            if type(x) is not Tensor and not isinstance(x, Tensor):
                like = first_array(args)
                args = tuple([t if isinstance(t, Tensor) else wrap(t, like, op.shown) for t in args])
                break
        if casting:
            args = prepare(op, args, merged)
        backend = args[0].backend if args else devices.for_device(None)
        for x in args:
            if x.backend is not backend:
                backend = common_backend(op, args)
        arrays = tuple([x.array for x in args])
        out = new(Tensor)
        try:
            out.array = value = backend.table[op](*arrays, **merged)
        except Exception as error:
            if merged.keys() != defaults.keys() and not merged.keys() <= set(names):  # as many words, but others
                return afresh(spelled, op, call, args, params, count)
            raise explain(op, error, args, merged) from None
        out.backend = backend
        out.op = out._grad = out.hooks = out.family = None
        if has_rules and (not silent or mode.recording):
            for x in args:
                if x.op is not None:
                    out.op, out.inputs, out.saved, out.params, out.order = op, args, arrays, merged, next(order)
                    break
        if view and len(args) == 1 and (not may_copy or backend.is_view(out.array, arrays[0])):  # `enlist`, written out
            (x,) = args
            if may_copy and getattr(x, "view_of", None) is not None and repeats(x, out.array.shape):
                return out
            out.view_of = (x, op, merged, ())
            family = x.family
            if family is None:
                x.family = [ref(x), ref(out)]
            else:
                if len(family) >= FEW:
                    prune(family)
                family.append(ref(out))
        if out.op is None or len(args) > 1:  # else of one float
            found = getattr(value, "dtype", None)
            if found is DOUBLE or found is HALF or found is dtypes.doubtful:
                return promoted_result(call, op, args, merged, out)
        return out

    return call


def viewing(op: Op) -> Callable[..., Tensor]:
    """The function that runs an op without metadata whose result is a view of its one array."""
    plain = unary(op)

    def call(input: Any = MISSING, *extra: Any, **words: Any) -> Tensor:
        if extra or words:
            return in_other_words(op, call, (input,), extra, words)
        x = input if isinstance(input, Tensor) or input is MISSING else wrap(input, None, op.shown)
        result = plain(x)
        enlist(x, result, op, EMPTY)
        return result

    return call


def repeats(x: Tensor, shape: tuple[int, ...]) -> bool:
    """Whether `x` repeats elements of what it is a view of in such a way that it has no view of that shape.

    A small one is a copy in memory already, so memory does not tell; strides of an array like its base's do.
    """
    links: list[Any] = []
    t, spread = x, False
    while (link := getattr(t, "view_of", None)) is not None:
        links.append((link, t.array.shape))
        spread |= not t.backend.is_view(t.array, link[0].array) or t.size > link[0].size
        t = link[0]
    if not spread:
        return False
    kernels = devices.load("numpy").table
    template: Any = np.empty(t.array.shape, np.bool_)
    for (_, op, *rest), seen in reversed(links):
        if not rest:  # of `x[index]`, written short
            template = template[op]
        elif op.name == "broadcast_to":  # whose kernel copies what is small
            template = np.broadcast_to(template, seen)
        else:
            template = kernels[op](template, *rest[1], **rest[0])
    return not np.may_share_memory(template.reshape(shape), template)


def enlist(x: Tensor, view: Tensor, op: Op, params: dict[str, Any]) -> None:
    """Note that `view`, which an op has made of `x`, shares its elements: see gradengine.core.views."""
    view.view_of = (x, op, params, ())
    enroll(x, view)


def enroll(base: Tensor, view: Tensor) -> None:
    """Let `base` know of a view of it."""
    family = base.family
    if family is None:
        base.family = [ref(base), ref(view)]
    else:
        if len(family) >= FEW:
            prune(family)
        family.append(ref(view))


def prune(family: list[Any]) -> None:
    """Drop weak references to Tensors that are gone, once the family has grown to the next power of two."""
    n = len(family)
    if n & (n - 1) == 0:
        with pruning:  # another thread may append meanwhile
            family[:n] = [member for member in family[:n] if member() is not None]


def first_array(args: tuple[Any, ...]) -> Any:
    """What numbers among operands take their dtype of: the first Tensor, or the first array where there is none."""
    for kind in (Tensor, np.ndarray):
        for x in args:
            if isinstance(x, kind):
                return x
    return None


def check_setting(op: Op, flags: frozenset[str], merged: dict[str, Any], key: str, value: Any) -> None:
    """Check and freeze one setting among all of a call."""
    if key == "axis" and (type(value) is float or type(value) is bool):
        raise DTypeError(f"{op.shown}: axis must be an int, got {describe(value)}")
    merged[key] = flag_or_raise(op.shown, key, value) if key in flags else freeze(value, op)
    if op.check is not None and merged.keys() == set(op.names):  # in other words, it is checked once translated
        op.check(op.shown, merged)


def freeze(value: Any, op: Op) -> Any:
    """Metadata as it is now: lists and arrays become tuples, for a gradient may read them again much later."""
    if type(value) is list or type(value) is tuple:
        for item in value:
            if type(item) is not int:
                return tuple([freeze(item, op) for item in value])
        return tuple(value)
    if type(value) in SETTLED:
        return value
    if isinstance(value, Tensor):
        if value.dtype.kind not in "iub":
            advice = "an op has as many arrays as gradient rules"  # which who has declared this one may not know
            if op.name in devices.BUILT_IN:
                advice = "give Python's own numbers, as .item() and .tolist() do"
            raise DTypeError(
                f"{op.shown}: got a Tensor of shape {value.shape} where a setting belongs ({', '.join(op.names)}); "
                f"{advice}"
            )
        value = value.tolist()
        return freeze(value, op)
    if type(value) in UNORDERED and op.name in devices.BUILT_IN:
        raise DTypeError(f"{op.shown}: a setting cannot be {describe(value)}; give a number, a tuple or a list")
    if type(value) is complex:
        raise DTypeError(f"{op.shown}: there are no complex numbers here, got {value!r}; give a real one")
    return freeze(value.tolist(), op) if type(value) is np.ndarray else value


def split_metadata(op: Op, count: int, args: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Arguments beyond the arrays, as the metadata that they stand for: `sum(x, 0)` is `sum(x, axis=0)`."""
    extra = args[count:]
    if len(args) < count or len(extra) > len(op.names):
        wanted = f"{count} array{'s' if count != 1 else ''}" + (f", then {', '.join(op.names)}" if op.names else "")
        axes = len(extra) > 1 and op.names == ("axis",) and all([type(value) is int for value in extra])
        advice = f"; several axes go into a tuple, {extra}" if axes else ""
        raise SignatureError(f"{op.shown}: takes {wanted}; got {len(args)} positional arguments{advice}")
    before = None
    for name, value in zip(op.names, extra, strict=False):
        if name in params:
            raise SignatureError(f"{op.shown}: got {name!r} twice")
        if type(op.defaults.get(name)) is bool and type(value) is not bool:
            value = placed_flag(op.shown, name, value, before)
        elif type(value) is bool and name == "axis":
            flag = next((word for word, usual in op.defaults.items() if type(usual) is bool), "")
            advice = f"; for the flag write {flag}={value}" if flag else ""
            raise SignatureError(f"{op.shown}: the axis comes first and must be an int, got bool {value}{advice}")
        before = value
        params = {**params, name: value}
    return args[:count], params


def lacking(op: Op, given: Mapping[str, Any]) -> SignatureError:
    """The error for metadata that is missing."""
    missing = [name for name in op.names if name not in given]
    return SignatureError(f"{op.shown}: needs {', '.join(missing)}; {op.spelling.accepted()}")


def afresh(function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)` instead of a call that has failed, whose error is not shown."""
    try:
        return function(*args)
    except Exception as error:
        raise error from None


def spelled(
    op: Op, call: Callable[..., Any], args: tuple[Any, ...], params: dict[str, Any], count: int | None = None
) -> Any:
    """A call that does not fit as it stands: in other words, in PyTorch's form, with `out`, or wrong."""
    spelling, params = op.spelling, dict(params)
    if "out" in params:
        out = params.pop("out")
        return written(out, op.shown, lambda: call(*args, **params))
    if spelling.chooses_form(params):
        return spelling.in_pytorch_form(args, params)
    if count is None:  # of any number of arrays: nobody outside the engine calls these
        raise spelling.unknown(params) if any([word not in op.names for word in params]) else lacking(op, params)
    if any([word not in op.names for word in params]):
        own = spelling.translate(args, params)
        for name, value in own[1].items():
            if type(value) is not bool and type(op.defaults.get(name)) is bool:
                flag_or_raise(op.shown, name, value)
        return on_vectors(call, *own) if spelling.takes_vectors(args, params) else call(*own[0], **own[1])
    if len(args) > count and spelling.form is not None and any([isinstance(x, Tensor) for x in args[count:]]):
        return spelling.in_pytorch_form(args, params)  # as in `max(x, y)`
    if spelling.form is not None and len(args) < count and len(args) == spelling.form.__code__.co_posonlyargcount - 1:
        return spelling.in_pytorch_form(args, params)  # as in `where(condition)`
    first = args[count] if len(args) > count else None
    if (type(first) is bool and "unbiased" in spelling.choosing) or (type(first) is str and "p" in spelling.choosing):
        return spelling.in_pytorch_form(args, params)  # as in `std(False)` and `norm("fro")`
    if "inplace" in spelling.choosing and len(args) == count + len(op.names) + 1:
        return spelling.in_pytorch_form(args, params)  # as in `elu(x, 1.0, True)`
    if len(args) == count:
        raise lacking(op, {**op.defaults, **params})
    by_word = spelling.mark is None or spelling.mark.unless in params
    args, params = split_metadata(op, count, args, params)
    result = call(*args, **params)
    return result if by_word else spelling.mark(result, op.shown, params)


def written(out: Any, what: str, compute: Callable[[], Any]) -> Any:
    """A result written into the Tensor (or Tensors) of `out=`. Raises GraphError where one of them has a gradient."""
    if out is None:
        return compute()
    several = out if isinstance(out, (tuple, list)) else (out,)
    if not several or not all([isinstance(x, Tensor) for x in several]):
        raise SignatureError(f"{what}: out must be a Tensor or a tuple of them, got {describe(out)}")
    result = compute()
    results = result if isinstance(result, tuple) else (result,)
    if len(results) != len(several):
        raise SignatureError(f"{what}: gives {len(results)} Tensors, out has {len(several)}")
    for target, value in zip(several, results, strict=True):
        if value.op is not None or target.op is not None:
            raise GraphError(f"{what}: what is written into out= has no gradient; assign the result, or use no_grad")
        target.become(lambda old, value=value: value, f"{what}(out=)")
    return out


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


@known_class
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


@known_class
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
    """Record again inside a `no_grad` block: `with ge.enable_grad():` or `@ge.enable_grad()`.

    >>> import gradengine as ge
    >>> x = ge.tensor(1.0, requires_grad=True)
    >>> with ge.no_grad(), ge.enable_grad():
    ...     (x * 2).requires_grad
    True
    """

    enabled = True


@known_words
def is_grad_enabled() -> bool:
    """True when ops are recorded in this thread.

    >>> import gradengine as ge
    >>> with ge.no_grad():
    ...     ge.is_grad_enabled()
    False
    """
    return mode.recording
