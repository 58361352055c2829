"""Checks of settings, shared by layers, optimizers, schedules, loaders and distributions.

Each check returns the value and raises ArgumentError in the name of its owner: what came, what was needed.
A call that does not fit a signature is a SignatureError that names the likely argument, "did you mean lr?":
`known_arguments` decorates a constructor, `known_words` a function, `known_class` a class with its methods, and
`known_calls` does so for all that a module publishes.
"""

from __future__ import annotations

import functools
import inspect
import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from .errors import ArgumentError, DTypeError, GradengineError, SignatureError, describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")
NOWHERE = 1 << 30  # the place of an argument that has none

# Names that people type for an argument and that are spelled too differently to be recognised.
SYNONYMS = {
    "alpha": ("lr", "momentum"),
    "batch": ("batch_size",),
    "beta1": ("betas",),
    "beta2": ("betas",),
    "decay": ("weight_decay", "gamma"),
    "epsilon": ("eps",),
    "eta": ("lr",),
    "grad": ("requires_grad",),
    "gradient": ("requires_grad",),
    "in_dim": ("in_features",),
    "input_dim": ("in_features",),
    "input_size": ("in_features",),
    "l2": ("weight_decay",),
    "learning_rate": ("lr",),
    "mean": ("loc",),
    "mu": ("loc", "momentum"),
    "n_workers": ("num_workers",),
    "nesterov_momentum": ("nesterov",),
    "out_dim": ("out_features",),
    "output_dim": ("out_features",),
    "output_size": ("out_features",),
    "parameters": ("params",),
    "rate": ("p", "lr", "gamma"),
    "scheduler": ("schedulers",),
    "sigma": ("scale",),
    "std": ("scale",),
    "use_bias": ("bias",),
    "workers": ("num_workers",),
}


# -- settings -----------------------------------------------------------------------------------------------------


def is_number(value: Any) -> bool:
    """True for a real number of Python or NumPy that is not a bool."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def check_number(
    owner: str,
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: bool = False,
    below: bool = False,
) -> Any:
    """A finite number from `low` to `high`; with `above` or `below` that end itself is excluded."""
    fits = is_number(value) and math.isfinite(value) and low <= value <= high
    if not fits or (above and value == low) or (below and value == high):
        raise ArgumentError(f"{owner}: {name} must be {range_of(low, high, above, below)}, got {described(value)}")
    return value


def range_of(low: float, high: float, above: bool, below: bool) -> str:
    """A range of numbers in words."""
    if low == -math.inf and high == math.inf:
        return "a finite number"
    start = f"above {low}" if above else f"from {low}"
    if high == math.inf:
        return f"a finite number {start}" if above else f"a finite number >= {low}"
    end = f"up to below {high}" if below else f"{'up to' if above else 'to'} {high}"
    return f"a finite number {'below' if below else 'up to'} {high}" if low == -math.inf else f"a number {start} {end}"


def check_integer(owner: str, name: str, value: Any, low: float = -math.inf) -> int:
    """An integer that is at least `low`."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < low:
        wanted = {-math.inf: "an integer", 1: "an integer above 0"}.get(low, f"an integer >= {low}")
        raise ArgumentError(f"{owner}: {name} must be {wanted}, got {described(value)}")
    return int(value)


def check_flag(owner: str, name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentError(f"{owner}: {name} must be True or False, got {described(value)}")
    return bool(value)


def flag_or_raise(owner: str, name: str, value: Any) -> Any:
    """A function's flag, which may be 0 or 1 as well. Raises SignatureError for others."""
    if value is True or value is False:
        return value
    if getattr(getattr(value, "dtype", None), "kind", "") in ("b", "i", "u") and getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise SignatureError(f"{owner}: {name} must be True or False, got {described(value)}")


def placed_flag(owner: str, name: str, value: Any, before: Any) -> Any:
    """A flag that is given by position, after the argument `before`; a number there is a second axis that is meant."""
    if type(value) is int:
        several = type(before) is int
        advice = f"; several axes go into a tuple, such as ({before}, {value})" if several else ""
        raise SignatureError(f"{owner}: {name} must be True or False, got int {value}{advice}")
    return flag_or_raise(owner, name, value)


def flags_of(function: Callable[..., Any]) -> tuple[dict[str, int], int]:
    """The arguments of a function that are True or False by their default, with their places, and the first place."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    given, by_word = function.__defaults__ or (), function.__kwdefaults__ or {}
    kinds = [*map(type, given), *map(type, by_word.values())]
    if bool not in kinds:
        return {}, NOWHERE
    code = function.__code__
    start = code.co_argcount - len(given)
    names = code.co_varnames[start : code.co_argcount]
    places = {name: start + i for i, name in enumerate(names)}
    flags = {}
    for name, kind in zip((*names, *by_word), kinds, strict=True):
        if kind is bool and "str" not in str(function.__annotations__.get(name, "")):  # else a flag, or a word
            flags[name] = places.get(name, NOWHERE)
    first = min(flags.values(), default=NOWHERE)
    return flags, first


def check_flags(name: str, flags: Mapping[str, int], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Raise SignatureError for a flag that is given and is none."""
    for flag, place in flags.items():
        value = kwargs.get(flag, False)
        if value is not True and value is not False:
            flag_or_raise(name, flag, value)
        if place < len(args) and args[place] is not True and args[place] is not False:
            placed_flag(name, flag, args[place], args[place - 1])


def check_ignored(owner: str, name: str, value: Any) -> None:
    """Raise ArgumentError for a senseless value of a word that is accepted, as PyTorch's, and changes nothing."""
    if name in ("non_blocking", "pin_memory", "implicit"):
        flag_or_raise(owner, name, value)
    elif name == "_stacklevel":
        check_integer(owner, name, value)
    elif name in ("memory_format", "layout", "names") and value is not None and type(value).__name__ != name:
        raise ArgumentError(
            f"{owner}: {name} changes nothing here and must be None, got {described(value)}; leave it out"
        )


def check_choice(owner: str, name: str, value: Any, choices: Iterable[Any]) -> Any:
    """One of several values."""
    allowed = list(choices)
    if not any(value is choice or (type(value) is type(choice) and value == choice) for choice in allowed):
        words = [repr(choice) for choice in allowed]
        wanted = " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
        raise ArgumentError(f"{owner}: {name} must be {wanted}, got {described(value)}")
    return value


def check_callable(owner: str, name: str, value: Any, called: str = "") -> Any:
    """A function, of which `called` shows the call."""
    if not callable(value):
        wanted = f"a function {called}".strip()
        raise DTypeError(f"{owner}: {name} must be {wanted}, got {described(value)}")
    return value


def described(value: Any) -> str:
    """What came, on one line."""
    return " ".join(describe(value).split())


# -- constructors -------------------------------------------------------------------------------------------------


def close_to(name: str, names: Iterable[str], least: float = 0.75) -> list[str]:
    """The name among `names` that was probably meant, in a list; an empty one where none is near."""
    import difflib

    return difflib.get_close_matches(name, list(names), 1, least)


def did_you_mean(names: list[str]) -> str:
    """What an error says of the name that was probably meant."""
    return f" (did you mean {names[0]}?)" if names else ""


def unexpected(owner: str, name: str, accepted: Iterable[str]) -> SignatureError:
    """The error for a keyword that is not accepted."""
    names = list(accepted)
    advice = did_you_mean([n for n in SYNONYMS.get(name, ()) if n in names] or close_to(name, names, 0.6))
    return SignatureError(f"{owner}: unexpected keyword {name!r}{advice}; accepted: {', '.join(names) or 'none'}")


def known_arguments(init: Callable[P, R]) -> Callable[P, R]:
    """Decorate an `__init__`: arguments that do not fit its signature are a SignatureError in the class's name."""

    @functools.wraps(init)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return init(*args, **kwargs)
        except TypeError as error:
            made = args[0] if args else init  # of `__new__` it is the class
            owner = getattr(made if isinstance(made, type) else type(made), "__name__", init.__qualname__)
            typed = None if isinstance(error, GradengineError) else misfit(init, args, kwargs, owner, bound=True)
            if typed is None:
                raise
        raise typed from None

    return call


def known_words(function: Callable[P, R], owner: str = "") -> Callable[P, R]:
    """Decorate a function: arguments that do not fit its signature, and flags that are none, are a SignatureError.

    It is a method of the class `owner` where that is given.
    """
    flags, first = flags_of(function)
    name = function.__name__
    if flags:

        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if kwargs or len(args) > first:
                check_flags(name, flags, args, kwargs)
            try:
                return function(*args, **kwargs)
            except TypeError as error:
                typed = misfit_of(function, error, args, kwargs, owner)
                if typed is None:
                    raise
            raise typed from None

    else:

        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except TypeError as error:
                typed = misfit_of(function, error, args, kwargs, owner)
                if typed is None:
                    raise
            raise typed from None

    # As functools.wraps, in a third of its time: there are hundreds.
    call.__dict__.update(function.__dict__, __wrapped__=function)
    call.__module__, call.__name__, call.__qualname__ = function.__module__, name, function.__qualname__
    call.__doc__, call.__annotations__ = function.__doc__, function.__annotations__
    return call


def misfit_of(
    function: Callable[..., Any], error: TypeError, args: tuple[Any, ...], kwargs: dict[str, Any], owner: str
) -> SignatureError | None:
    """The error to raise for one that came of a call; None where it is not about the arguments' places."""
    if isinstance(error, GradengineError):
        return None
    if not owner:
        return misfit(function, args, kwargs, function.__name__)
    made = args[0] if args else None
    of = getattr(made if isinstance(made, type) else type(made), "__name__", owner) if args else owner
    return misfit(function, args, kwargs, f"{of}.{function.__name__}", bound=True)


def known_class(cls: type[C], constructor: bool = True, skip: Iterable[str] = ()) -> type[C]:
    """Decorate a class: calls of its constructor and its public methods that do not fit are a SignatureError.

    A class hook does it for the subclasses that come with the engine; what a user has written has errors of its own.
    """
    for name, value in list(vars(cls).items()):
        kind = type(value) if isinstance(value, (staticmethod, classmethod)) else None
        function = value.__func__ if kind else value
        if not inspect.isfunction(function) or is_known(function) or name in skip:
            continue
        if name in ("__init__", "__new__"):
            if constructor:
                setattr(cls, name, kind(known_arguments(function)) if kind else known_arguments(function))
        elif name.startswith("_") or (kind is staticmethod and "<locals>" in function.__qualname__):
            continue
        else:
            known = known_words(function, "" if kind is staticmethod else cls.__name__)
            setattr(cls, name, kind(known) if kind else known)
    if constructor and cls.__init__ is object.__init__ and cls.__new__ is object.__new__:
        cls.__init__ = no_arguments(cls)  # type: ignore[method-assign]
    return cls


def is_known(function: Any) -> bool:
    """Whether a function is decorated already."""
    return function.__code__.co_filename == __file__


def no_arguments(owner: Any) -> Any:
    """The `__init__` of a class that has none: of the next class, so that it takes part in multiple inheritance."""

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            super(owner, self).__init__(*args, **kwargs)
        except TypeError:
            if type(self).__init__ is not owner.__init__ or not (args or kwargs):
                raise
            given = ", ".join([*map(described, args), *[f"{name}={described(x)}" for name, x in kwargs.items()]])
        else:
            return
        raise SignatureError(f"{type(self).__name__}: takes no arguments, got {given}") from None

    init.__name__, init.__qualname__ = "__init__", f"{owner.__qualname__}.__init__"
    return init


def known_calls(module: str, names: Iterable[str] | None = None) -> None:
    """Make wrong calls of what a module publishes, its own functions and classes, a SignatureError.

    Stands at the end of a module; a function keeps its identity, for everything else sees the decorated one.
    """
    space = sys.modules[module].__dict__
    for name in space["__all__"] if names is None else names:
        value = space[name]
        if getattr(value, "__module__", None) != module or isinstance(value, BaseException):
            continue
        if inspect.isfunction(value):
            if not is_known(value):
                space[name] = known_words(value)
        elif isinstance(value, type) and not issubclass(value, BaseException):
            known_class(value)


def misfit(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], owner: str, bound: bool = False
) -> SignatureError | None:
    """The error for arguments that a function has no place for; None where they fit.

    `bound` where the first argument is not the caller's, but the instance or the class.
    """
    signature = inspect.signature(function)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        parameters = list(signature.parameters.values())
        bound = bound or bool(parameters and parameters[0].name == "self")
        accepted = [p.name for p in parameters[bound:] if p.kind not in kinds]
        if bound and not args and function.__name__ not in ("__init__", "__new__"):
            advice = "call it on an instance, which the class makes when it is called"
            return SignatureError(f"{owner}: missing a required argument: 'self'; {advice}")
        for name in kwargs:
            if name not in accepted:
                return unexpected(owner, name, accepted)
        problem = str(error)
        if problem == "too many positional arguments":
            most = sum([p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters[bound:]])
            count = (
                f"at most {most} positional argument{'' if most == 1 else 's'}" if most else "no positional arguments"
            )
            problem = f"takes {count}, got {len(args) - bound}"
        return SignatureError(f"{owner}: {problem}; its arguments: {', '.join(accepted) or 'none'}")
    return None


# By annotation of a constructor's argument: what is accepted, and how that is said.
KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "bool": (lambda value: isinstance(value, (bool, np.bool_)) or value in (0, 1), "True or False"),
    "int": (lambda value: isinstance(value, (int, np.integer)) and not isinstance(value, bool), "an integer"),
    "float": (lambda value: is_number(value) and not math.isnan(value), "a number"),
    "str": (lambda value: isinstance(value, str), "a str"),
}


def checked_constructor(init: Callable[P, R]) -> Callable[P, R]:
    """Decorate the `__init__` of a layer: all that does not fit is a typed error, by the types it is annotated with."""
    annotations = {
        name: annotation
        for name, annotation in init.__annotations__.items()
        if isinstance(annotation, str) and annotation.removesuffix(" | None") in KINDS
    }
    names = init.__code__.co_varnames[1 : init.__code__.co_argcount]

    @functools.wraps(init)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        owner = type(args[0]).__name__
        for name, value in (*zip(names, args[1:]), *kwargs.items()):
            annotation = annotations.get(name, "")
            kind = annotation.removesuffix(" | None")
            if not kind or (value is None and annotation != kind):
                continue
            fits, wanted = KINDS[kind]
            try:
                is_right = fits(value)
            except Exception:  # a comparison of a user's object
                is_right = False
            if not is_right:
                allowed = f"{wanted} or None" if annotation != kind else wanted
                raise ArgumentError(f"{owner}: {name} must be {allowed}, got {described(value)}")
        try:
            return init(*args, **kwargs)
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            if isinstance(error, GradengineError):
                raise
            typed = misfit(init, args, kwargs, owner, bound=True) or DTypeError(f"{owner}: {error}")
        raise typed from None

    return call
