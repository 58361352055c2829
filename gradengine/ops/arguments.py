"""Typed errors for calls that do not fit a plain function's signature. May import errors."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from ..errors import DTypeError, GradengineError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

OTHER_NAMES = {"dim": "axis", "keepdim": "keepdims", "dims": "axes", "tensors": "arrays"}  # PyTorch's -> those here
IN_A_LIST = "the arrays go into a list: {name}([a, b], axis=0)"


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, with a DTypeError that says what it takes in place of Python's own TypeError."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            if isinstance(error, GradengineError):
                raise
            signature = inspect.signature(function)
            try:
                signature.bind(*args, **kwargs)
            except TypeError as misfit:
                problem = str(misfit)
            else:
                raise
        name, takes = function.__name__, list(signature.parameters)
        unknown = [key for key in kwargs if key not in takes]
        if unknown:
            hints = [f"{OTHER_NAMES[key]} for {key}" for key in unknown if OTHER_NAMES.get(key) in takes]
            advice = f" (use {' and '.join(hints)})" if hints else ""
            problem = f"does not take {', '.join(unknown)}{advice}"
        elif takes[0] == "arrays" and len(args) > 1:
            problem = IN_A_LIST.format(name=name)
        raise DTypeError(f"{name}: {problem}; its arguments: {', '.join(takes)}")

    return call
