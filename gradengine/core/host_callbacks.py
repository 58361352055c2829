"""Host callbacks: counters, schedules and draws from a generator, which a step does in Python.

Eagerly they just run. While a step is traced for `jit`, they are recorded too: the compiled step runs them again at
each call, and what they return is an input of the compiled program. So a learning rate, a step count or a random
state may change at every call without a retrace.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Current(threading.local):
    """The trace that runs in this thread, if one does."""

    trace: Any = None


current = Current()


def host_callback(work: Callable[[], Any], restore: Callable[[], Callable[[], None]]) -> Any:
    """`work()`, now and at each call of a compiled step.

    It returns floats and arrays in tuples, lists and dicts. `restore()` says how to get back to where things stand
    before it, which a trace does when it is over. Whatever else is in the result must be the same at each call.
    """
    trace = current.trace
    return work() if trace is None else trace.host_work(work, restore)


def concrete_hyperparameters(optimizer: Any) -> contextlib.AbstractContextManager[Any]:
    """A block that works with an optimizer's options: they are numbers there, whatever a traced step has set."""
    if current.trace is None:
        return contextlib.nullcontext()
    current.trace.options.meet(optimizer)
    return current.trace.options.concrete()


def as_array(t: Any) -> Any:
    """A Tensor, with an array of its own if it is a number that a traced step was given."""
    return t if current.trace is None else current.trace.as_array(t)


@contextlib.contextmanager
def untraced() -> Iterator[None]:
    """A block whose Tensors are not part of a trace: they stay when it is over."""
    before, current.trace = current.trace, None
    try:
        yield
    finally:
        current.trace = before
