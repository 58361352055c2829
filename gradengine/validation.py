"""Checks of settings, shared by layers, optimizers, schedules, loaders and distributions; imports only errors.

Each check returns the value and raises ArgumentError in the name of its owner: what came, what was needed.
`known_arguments` decorates a constructor: arguments that it has no place for are a SignatureError that names the likely
one, "did you mean lr?".
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from .errors import ArgumentError, DTypeError, GradengineError, SignatureError, describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

P = ParamSpec("P")
R = TypeVar("R")
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
    """A function's flag, which may be None or a whole number as in NumPy. Raises SignatureError for others."""
    if value is None or isinstance(value, (bool, int, np.bool_, np.integer)):
        return value
    if getattr(getattr(value, "dtype", None), "kind", "") in ("b", "i", "u") and getattr(value, "shape", None) == ():
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
    function = inspect.unwrap(function)
    code = function.__code__
    names, given = code.co_varnames[: code.co_argcount], function.__defaults__ or ()
    start = len(names) - len(given)
    flags = {names[start + i]: start + i for i, value in enumerate(given) if type(value) is bool}
    first = min(flags.values(), default=NOWHERE)
    flags |= {name: NOWHERE for name, value in (function.__kwdefaults__ or {}).items() if type(value) is bool}
    return flags, first


def check_flags(name: str, flags: Mapping[str, int], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Raise SignatureError for a flag that is given and is none."""
    for flag, place in flags.items():
        value = kwargs.get(flag, False)
        if value is not True and value is not False:
            flag_or_raise(name, flag, value)
        if place < len(args) and args[place] is not True and args[place] is not False:
            placed_flag(name, flag, args[place], args[place - 1])


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
            typed = None if isinstance(error, GradengineError) else misfit(init, args, kwargs)
            if typed is None:
                raise
        raise typed from None

    return call


def known_words(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function: arguments that do not fit its signature, and flags that are none, are a SignatureError."""
    flags, first = flags_of(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if flags and (kwargs or len(args) > first):
            check_flags(function.__name__, flags, args, kwargs)
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            typed = None if isinstance(error, GradengineError) else misfit(function, args, kwargs, function.__name__)
            if typed is None:
                raise
        raise typed from None

    return call


def misfit(
    init: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], name: str = ""
) -> SignatureError | None:
    """The error for arguments that a constructor, or the function `name`, has no place for; None where they fit."""
    signature = inspect.signature(init)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        owner = name or (type(args[0]).__name__ if args else init.__qualname__)
        kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        accepted = [name for name, p in list(signature.parameters.items())[not name :] if p.kind not in kinds]
        for name in kwargs:
            if name not in accepted:
                return unexpected(owner, name, accepted)
        return SignatureError(f"{owner}: {error}; its arguments: {', '.join(accepted)}")
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
            typed = misfit(init, args, kwargs) or DTypeError(f"{owner}: {error}")
        raise typed from None

    return call
