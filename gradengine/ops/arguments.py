"""Typed errors for calls that do not fit, in the name of what the user called."""

from __future__ import annotations

import functools
import inspect
import operator
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ..backend import devices
from ..core.dispatch import afresh, written
from ..core.promotion import SAMPLES, is_weak
from ..core.spelling import NONE, Signed, Spelling, on_vectors
from ..core.tensor_class import Tensor, fresh, mode, wrap
from ..errors import ArgumentError, DTypeError, GradengineError, GraphError, OutOfMemoryError, SignatureError, describe
from ..shapes.dtypes import promoted
from ..validation import check_flags, flags_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

P = ParamSpec("P")
R = TypeVar("R")

IN_A_LIST = "the arrays go into a list: {name}([a, b], axis=0)"
# What comes of bad arguments: Python's and NumPy's errors, and ours, which get the function's name.
UNTYPED = (GradengineError, TypeError, ValueError, AttributeError, LookupError, OverflowError, MemoryError)
FUNCTIONS = {"tensor"}  # the names of plain functions, by which their errors begin


def checked(
    function: Callable[P, R] | None = None,
    *,
    words: Mapping[str, str] = NONE,
    form: Callable[..., Any] | None = None,
    ignored: frozenset[str] = frozenset(),
    lifts: bool = False,
    mark: Callable[..., None] | None = None,
) -> Any:
    """`function`, all of whose errors are typed ones in its own name, not in that of an op that it is made of.

    `words` maps other names of its arguments to its own, beyond those that all functions know; `form` is PyTorch's
    function, where that means something else (see `declare.primitive`); `ignored` are words that change nothing here;
    `lifts` says that a 0-d array is a vector of one element, as to PyTorch, where an axis is given. `mark(*args)` sees
    the arguments of a call that has them all by position. It warns where they mean something else to PyTorch.
    `function` must not call what a user has written: that has errors of its own.
    """
    if function is None:
        return functools.partial(checked, words=words, form=form, ignored=ignored, lifts=lifts, mark=mark)
    name = function.__name__
    FUNCTIONS.add(name)
    spelling = spelling_of(function, words, form, ignored)
    run = lifting(function) if lifts else function if mark is None else marking(function, mark)
    flags, first = flags_of(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if flags and (kwargs or len(args) > first):
            check_flags(name, flags, args, kwargs)
        try:
            return run(*args, **kwargs)
        except UNTYPED as error:
            if kwargs and (
                not kwargs.keys() <= set(spelling.parameters[spelling.first :]) or spelling.variadic in kwargs
            ):
                return afresh(in_other_words, call, spelling, args, kwargs)
            typed = in_the_name_of(function, error, args, kwargs)
        raise typed from None

    vars(call)["__wrapped__"] = Signed(function, spelling)
    return call


def lifting(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, to which a 0-d array with an axis is a vector of one element."""

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if args and getattr(args[0], "shape", None) == () and (len(args) > 1 or kwargs):
            result: R = on_vectors(function, args, kwargs)
            return result
        return function(*args, **kwargs)

    return call


def marking(function: Callable[P, R], mark: Callable[..., None]) -> Callable[P, R]:
    """`function`, whose calls go to `mark`, too, unless a keyword says what they mean."""

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        result = function(*args, **kwargs)
        if not kwargs:
            mark(*args)
        return result

    return call


def spelling_of(
    function: Callable[..., Any], words: Mapping[str, str], form: Callable[..., Any] | None, ignored: frozenset[str]
) -> Spelling:
    """The spelling of a plain function, read off its code."""
    code = inspect.unwrap(function).__code__
    count = code.co_argcount + code.co_kwonlyargcount
    variadic = code.co_varnames[count] if code.co_flags & inspect.CO_VARARGS else ""
    return Spelling(
        function.__name__, code.co_varnames[:count], code.co_posonlyargcount, words, form, None, variadic, ignored
    )


def in_other_words(
    call: Callable[..., Any], spelling: Spelling, args: tuple[Any, ...], given: Mapping[str, Any]
) -> Any:
    """A call of a plain function with keywords that it does not have."""
    if "out" in given and "out" not in spelling.words:
        given = dict(given)
        out = given.pop("out")
        return written(out, spelling.name, lambda: call(*args, **given))
    if spelling.chooses_form(given):
        return spelling.in_pytorch_form(args, given)
    args, given = spelling.translate(args, given)
    return call(*args, **given)


def in_the_name_of(
    function: Callable[..., Any], error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> GradengineError:
    """The error to raise for one that came out of a function."""
    name = function.__name__
    if isinstance(error, GradengineError):
        inner, _, words = error.message.partition(": ")
        if words and inner != name and (inner in FUNCTIONS or inner in names_of_ops()):
            error.message = f"{name}: {words}"
            error.args = (error.message,)
        return error
    if isinstance(error, MemoryError):
        return OutOfMemoryError(f"{name}: {error or 'there is no memory for the result'}")
    signature = inspect.signature(inspect.unwrap(function))
    takes = [parameter for parameter in signature.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
    try:
        bound = signature.bind(*args, **kwargs).arguments
    except TypeError as misfit:
        return does_not_fit(name, [parameter.name for parameter in takes], str(misfit), args)
    if isinstance(error, AttributeError) and "'NoneType'" in str(error):
        nothing = [key for key, value in bound.items() if value is None]
        return DTypeError(f"{name}: takes arrays, got None for {', '.join(nothing)}")
    given = ", ".join([f"{key}={brief(value)}" for key, value in bound.items()])
    kind = ArgumentError if isinstance(error, (ValueError, LookupError, OverflowError)) else DTypeError
    return kind(f"{name}: {error} (given {given})")


def does_not_fit(name: str, takes: list[str], problem: str, args: tuple[Any, ...]) -> SignatureError:
    """The error for arguments that the signature has no place for, or that are missing."""
    if takes and takes[0] == "arrays" and len(args) > 1:
        problem = IN_A_LIST.format(name=name)
    return SignatureError(f"{name}: {problem}; accepted: {', '.join(takes)}")


def whole(name: str, what: str, value: Any) -> int:
    """An argument as a Python int. Raises DTypeError for what is none."""
    try:
        return operator.index(value)
    except TypeError:
        raise DTypeError(f"{name}: {what} must be an int, got {describe(value)}") from None


def real(name: str, what: str, value: Any) -> Any:
    """An argument that must be a number, as it is.

    Raises DTypeError for what is none, GraphError for a Tensor that requires grad: its gradient would vanish.
    """
    if not hasattr(value, "__float__") or getattr(value, "size", 1) != 1:
        raise DTypeError(f"{name}: {what} must be a number, got {describe(value)}")
    if isinstance(value, Tensor) and value.op is not None and mode.recording:
        raise GraphError(
            f"{name}: {what} is a Tensor that requires grad, but no gradient flows to it here; give a number "
            f"({what}.item()), or compute with the Tensor outside"
        )
    return value


def operands(name: str, *values: Any) -> list[Tensor]:
    """Arrays as Tensors, on one device; a Python number takes the dtype of the others as it does in arithmetic."""
    like = next((x for x in values if isinstance(x, Tensor) and not is_weak(x)), None)
    if like is None:
        return beside(name, *values)
    found = []
    for x in values:
        t = wrap(x, like, name)
        if not hasattr(t.array, "dtype"):
            t = fresh(t.array, promoted(like.dtype, t.array), like.device)
        elif is_weak(t):  # a number that `jit` traces
            t = t.to(promoted(like.dtype, SAMPLES[t.dtype.kind]))
        found.append(t)
    return found


def names_of_ops() -> set[str]:
    """What errors of the engine's own ops begin with."""
    return {devices.ALL_OPS[name].shown for name in devices.BUILT_IN} | devices.BUILT_IN


def brief(value: Any) -> str:
    """An argument, in a list of them."""
    if isinstance(value, Tensor):
        return f"{value.dtype}{list(value.shape)}"
    return describe(value).partition(" ")[2] if isinstance(value, (int, float, str, type(None))) else describe(value)


def beside(name: str, *values: Any) -> list[Tensor]:
    """Arrays as Tensors, on the device of those that are Tensors already; a number has a dtype of its own."""
    like = next((x for x in values if isinstance(x, Tensor)), None)
    found = [x if isinstance(x, Tensor) else wrap(x, like, name) for x in values]
    return [t if hasattr(t.array, "dtype") else fresh(t.array, device=t.device) for t in found]
