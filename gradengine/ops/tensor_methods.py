"""Which functions are methods of Tensor, and which of those have a form that works in place: said where they are made.

@method
def narrow(x, /, axis, start, length): ...

exp = elementwise("exp", lambda k, g, y, x: g * y, method=True)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])


class Method(NamedTuple):
    """A method of Tensor; with `in_place` there is one with a trailing underscore too, which changes the Tensor."""

    function: Callable[..., Any]
    in_place: bool


METHODS: dict[str, Method] = {}
listeners: list[Callable[[str, Method], None]] = []  # told of what is declared once Tensor has its methods


@overload
def method(function: F) -> F: ...
@overload
def method(*, in_place: bool = False) -> Callable[[F], F]: ...
def method(function: Any = None, *, in_place: bool = False) -> Any:
    """Make a function that takes a Tensor first a method of Tensor, under its own name."""

    def declare(function: F) -> F:
        add(function.__name__, function, in_place)
        return function

    return declare if function is None else declare(function)


def methods(*, in_place: bool | None = None, **functions: Callable[..., Any]) -> None:
    """Give methods further names. What is elementwise works in place, unless that is said otherwise."""
    for name, function in functions.items():
        add(name, function, is_elementwise(function) if in_place is None else in_place)


def add(name: str, function: Callable[..., Any], in_place: bool) -> None:
    """Note a method, and tell who gives Tensor its methods."""
    METHODS[name] = Method(function, in_place)
    for told in listeners:
        told(name, METHODS[name])


def is_elementwise(function: Callable[..., Any]) -> bool:
    """Whether a function is an op that works on each element by itself."""
    return getattr(getattr(function, "op", None), "kind", "") == "pointwise"
