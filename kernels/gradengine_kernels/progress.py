"""Who is told while something compiles, and how long it has taken so far.

    with progress.compiling("the training step"):
        for i, kernel in enumerate(kernels):
            progress.report(i, len(kernels))
            ...

A listener may raise: between two kernels is a good place to serve an interrupt.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Listener:
    """What is called, in the thread that compiles. Each method does nothing unless it is overridden."""

    def begin(self, what: str) -> None:
        """Something starts to compile."""

    def report(self, done: int, total: int) -> None:
        """So many of its kernels are compiled."""

    def end(self, what: str, seconds: float) -> None:
        """It is compiled, or failed, or was interrupted."""


listeners: list[Listener] = []
_depth = threading.local()
seconds = 0.0  # spent in blocks of `compiling`, in this process


@contextlib.contextmanager
def compiling(what: str) -> Iterator[None]:
    """A block that compiles `what`. Of nested blocks, listeners hear of the outermost."""
    global seconds
    depth = getattr(_depth, "value", 0)
    _depth.value = depth + 1
    began = time.perf_counter()
    try:
        if not depth:
            tell(lambda listener: listener.begin(what))
        yield
    finally:
        _depth.value = depth
        if not depth:
            spent = time.perf_counter() - began
            seconds += spent
            tell(lambda listener: listener.end(what, spent))


def report(done: int, total: int) -> None:
    """Tell listeners that so many kernels of a program are compiled."""
    tell(lambda listener: listener.report(done, total))


def tell(call: Callable[[Listener], None]) -> None:
    """Call each listener."""
    for listener in list(listeners):
        call(listener)


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell a listener of what compiles during the block."""
    listeners.append(listener)
    try:
        yield
    finally:
        listeners.remove(listener)
