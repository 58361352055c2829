"""The errors for names and arguments that are not here: what to use instead, or which name was probably meant."""

from __future__ import annotations

import fnmatch
import functools
import opcode
import sys
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from .errors import DTypeError
from .migration_hints import ABSENT_MODULES, ARGUMENTS, INSTEAD
from .validation import close_to

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


def advising(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate the function `name`: an argument that it lacks and PyTorch has is an error that says what to do."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for key in kwargs:
                if key in ARGUMENTS[name]:
                    raise DTypeError(f"{name}: does not take {key}; {ARGUMENTS[name][key]}")
            return function(*args, **kwargs)

        return call

    return decorate


IMPORT_FROM = opcode.opmap["IMPORT_FROM"]


def hint_for(module: str, name: str) -> str:
    """What to use instead of a name that a module does not have; "" where that is not known.

    What is said of the name itself comes first, then of the patterns that it fits, then of the module of that path; a
    name that is spelled much as one that is here comes before what is said of all names.
    """
    rows, row = INSTEAD.get(module, {}), row_for(module, name)
    if row:
        return rows[row]
    path = f"{module}.{name}".removeprefix("gradengine.")
    return ABSENT_MODULES.get(path) or misspelt(module, name) or rows.get("*", "")


def row_for(module: str, name: str) -> str:
    """The name or pattern in the table that a name falls under; "" where there is none but for all names."""
    rows = INSTEAD.get(module, {})
    if name in rows:
        return name
    fits = (row for row in rows if row != "*" and "*" in row and fnmatch.fnmatchcase(name, row))
    return next(fits, "")


def misspelt(module: str, name: str) -> str:
    """The question for the name that was probably meant; "" where none is spelled alike."""
    if name.startswith("_"):
        return ""
    loaded = sys.modules.get(module)  # a path of PyTorch's that is only a name here may not be loaded
    if loaded is None:
        return ""
    public = [known for known in dir(loaded) if not known.startswith("_")]
    # A module beside a class of the same name, such as optim.adam, is not what is meant.
    public.sort(key=lambda known: not isinstance(vars(loaded).get(known), type(sys)))
    there = {known.lower(): known for known in public}
    close = close_to(name.lower(), there, 0.8)
    return f"did you mean {there[close[0]]}?" if close else ""


def missing(module: str, name: str) -> Exception:
    """The error for a name that a module does not have, with what to use instead where that is known.

    Python replaces an AttributeError by words of its own where `from module import name` asks; then it is an
    ImportError, which is left as it is.
    """
    hint = hint_for(module, name)
    hint = f"; {hint}" if hint else ""
    asks = sys._getframe(2)  # this function is called by the module's `__getattr__`
    if asks.f_lasti >= 0 and asks.f_code.co_code[asks.f_lasti] == IMPORT_FROM:
        return ImportError(f"cannot import name {name!r} from {module!r}{hint}", name=name)
    return AttributeError(f"module {module!r} has no attribute {name!r}{hint}")
