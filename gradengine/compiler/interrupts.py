"""Interrupts that wait. Imports nothing of the engine."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """A block that an interrupt waits for: Ctrl-C is served when it is left, and all is as after a whole step."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    # Whichever thread the signal reaches, Python runs its handler in this one; so it is the handler that waits.
    pending: list[Any] = []
    signal.signal(signal.SIGINT, lambda *details: pending.append(details))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pending:
            before(*pending[-1])
