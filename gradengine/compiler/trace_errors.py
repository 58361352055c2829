"""What is said about a step that cannot be traced: the user's own line, and what to do instead."""

from __future__ import annotations

import contextlib
import linecache
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import gradengine_kernels

from ..errors import TraceError

if TYPE_CHECKING:
    from ..core.tensor_class import Op

PACKAGE = str(Path(__file__).parents[1]) + os.sep
INNER = (PACKAGE, *[str(Path(str(package.__file__)).parent) + os.sep for package in (gradengine_kernels, np)])
INNER += (contextlib.__file__,)
ADVICE = {
    "__bool__": (
        "as a bool (by if, while, and, or, not, assert)",
        "choose with ge.where(condition, a, b), or decide where you call the step; name an argument that is a number "
        "in ge.jit(..., static_argnames=...)",
    ),
    "__repr__": ("by print", "return the value from the step and print it where you call it"),
}
ADVICE |= dict.fromkeys(("__format__", "__str__"), ADVICE["__repr__"])
ADVICE |= dict.fromkeys(
    ("__int__", "__index__", "freeze"),
    (
        "as an int",
        "index with ge.take or x[tensor]; name an argument that shapes or loops depend on in "
        "ge.jit(..., static_argnames=...)",
    ),
)
ADVICE |= dict.fromkeys(
    ("call", "__call__"),
    (
        "by an op that needs plain numbers",
        "pass lists of numbers as a Tensor or a NumPy array, and settings of ops by ge.jit(..., static_argnames=...)",
    ),
)
READING = ("item", "tolist", "numpy")
ADVICE |= {
    name: (f"by .{name}()", f"return the Tensor from the step and call .{name}() on it there") for name in READING
}
OTHERWISE = (
    "by {name}",
    "return the value from the step and read it where you call it, compute with gradengine's own ops, or, for a "
    "number that is given as an argument, use ge.jit(..., static_argnames=...)",
)


def user_frame() -> tuple[str, str]:
    """The line of the user's own that is running, as text, and the engine's function that it has called.

    That a slice makes ints of its parts says more than which function was given the slice, and `item` more than the
    `call` that wraps it.
    """
    frame: Any = sys._getframe(1)
    name = ""
    while frame is not None and frame.f_code.co_filename.startswith(INNER):
        if frame.f_code.co_filename.startswith(PACKAGE) and name != "__index__":
            inner, name = name, frame.f_code.co_name
            if name == "call" and inner in READING:
                name = inner
        frame = frame.f_back
    return "" if frame is None else line_of(frame), name


def line_of(frame: Any) -> str:
    """The line that a frame runs, as text."""
    file, line = frame.f_code.co_filename, frame.f_lineno
    text = linecache.getline(file, line).strip()
    return f"line {line} of {Path(file).name}" + (f":\n    {text}\n" if text else ": ")


class NumberError(TraceError):
    """What is raised for a number that is to be built into the program, as an argument may be."""


def value_error(kind: type[TraceError] = TraceError) -> TraceError:
    """The error for a value that is asked for while there is none yet."""
    where, name = user_frame()
    how, advice = ADVICE.get(name, OTHERWISE)
    return kind(
        f"jit: a value is used {how.format(name=name.strip('_'))} in {where}"
        f"but a compiled step is recorded once and has values only when it runs; {advice}"
    )


def shape_error(op: Op) -> TraceError:
    """The error for a result whose shape the data decides."""
    where, _ = user_frame()
    return TraceError(
        f"jit: {op.shown} gives a result whose shape depends on the data, in {where}"
        "but a compiled program has fixed shapes; use ge.where(mask, x, 0) with a sum, a change in place by operators "
        "(x[mask] += v), a fixed number of elements (ge.topk), or do it where you call the step"
    )


def own_change_error(path: str) -> TraceError:
    """The error for a step that reads what it changes itself at each call."""
    return TraceError(
        f"jit: the step reads {path}, which it changes itself, but a compiled step has read it once, when it was "
        "recorded; read it where you call the step, and give it as an argument"
    )


def volatile_error(kind: str, frame: Any) -> TraceError:
    """The error for a line that asks a "clock", or draws a "random" number of Python's."""
    where = line_of(frame)
    if kind == "clock":
        return TraceError(
            f"jit: a clock is asked in {where}but a compiled step has asked it once, when it was recorded; measure "
            "where you call the step, or pass the time as an argument"
        )
    return TraceError(
        f"jit: Python draws a random number in {where}but a compiled step has drawn it once, when it was recorded; "
        "draw with ge.rand and its like, or where you call the step, and pass the number as an argument"
    )
