"""Signals that ask training to stop, noted so that it can stop where it is safe."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

ASKING = ("SIGINT", "SIGTERM", "SIGHUP")  # Ctrl-C, kill, the terminal is closed; Windows has no SIGHUP


class StopSignals:
    """While the block runs, `received` is the number of the first signal that asked to stop, or None.

    A second one raises KeyboardInterrupt at once, and so does the first while `at_once` is True. Signals that the
    process ignores (nohup) stay ignored, and only the main thread can receive any.

    >>> with StopSignals() as stop:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     stop.received == signal.SIGTERM
    True
    """

    received: int | None = None
    at_once = False

    def __enter__(self) -> StopSignals:
        self._former: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            numbers = [getattr(signal, name) for name in ASKING if hasattr(signal, name)]
            for number in numbers:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):  # None: not Python's to put back
                    self._former[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        again = self.received is not None
        self.received = self.received or number
        if again or self.at_once:
            raise KeyboardInterrupt

    def __exit__(self, *error: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
