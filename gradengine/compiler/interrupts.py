"""Interrupts that wait."""

from __future__ import annotations

import importlib
import signal
import threading
from typing import Any

from gradengine_kernels import progress

try:  # CPython's own, which `signal` wraps to make enums of handlers: that takes four times as long as the rest
    handlers: Any = importlib.import_module("_signal")
except ImportError:
    handlers = signal
SIGINT = int(signal.SIGINT)


class uninterrupted:
    """A block that an interrupt waits for: Ctrl-C is served when it is left, and all is as after a whole step."""

    __slots__ = ("before", "pending")

    def __enter__(self) -> uninterrupted:
        self.before: Any = None
        self.pending: Any = None
        before = handlers.getsignal(SIGINT)
        if callable(before) and threading.current_thread() is threading.main_thread():
            # Whichever thread the signal reaches, Python runs its handler in this one; so it is the handler that waits.
            self.before = before
            handlers.signal(SIGINT, self.wait)
        return self

    def wait(self, *details: Any) -> None:
        """What is called instead of the handler."""
        self.pending = details

    def serve(self) -> None:
        """Serve an interrupt that waits, at a place where all is whole."""
        if self.pending is not None:
            pending, self.pending = self.pending, None
            self.before(*pending)

    def __exit__(self, *error: object) -> None:
        if self.before is not None:
            handlers.signal(SIGINT, self.before)
            self.serve()


class ServedBetweenKernels(progress.Listener):
    """Serves interrupts of a block that compiles whenever a kernel is finished."""

    def __init__(self, block: uninterrupted) -> None:
        self.block = block

    def report(self, done: int, total: int) -> None:
        self.block.serve()
