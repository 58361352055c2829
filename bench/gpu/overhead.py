"""What an eager op costs when the arrays are tiny, beside PyTorch eager: the host's work, for the device has none."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import timing
from . import torch_peers
from .steps import speedup

if TYPE_CHECKING:
    from collections.abc import Callable

    from .parts import Settings
    from .report import Report

OURS, THEIRS = "gradengine eager", "PyTorch eager"


def run(report: Report, settings: Settings) -> None:
    """A chain of 40 ops forward and backward, a single add, and a small product."""
    settings.prepare()
    measure(report, settings)


def measure(report: Report, settings: Settings) -> None:
    """The same in a process that is prepared."""
    import gradengine as ge

    from .. import dispatch

    if settings.tiny:
        dispatch.LOOPS = 1
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((4, 4)).astype(np.float32) for _ in range(2)]
    rows = {"chain of 40 ops, forward and backward": dispatch.chains, "forward add": dispatch.adds}
    for title, make in {**rows, "forward matmul": products}.items():
        ours = report.attempt(f"{title}, {OURS}", lambda f=make: ours_of(ge, f, arrays, settings), True)
        theirs = report.attempt(f"{title}, {THEIRS}", lambda f=make: theirs_of(f, arrays, settings))
        found = {name: call for name, call in ((OURS, ours), (THEIRS, theirs)) if call is not None}
        times = timing.in_turns(found, settings.rounds, settings.target)
        micro = {f"{name}, µs": statistics.median(values) / dispatch.LOOPS * 1e6 for name, values in times.items()}
        faster = speedup(times, OURS, THEIRS)
        report.row(title, **micro, ratio=faster and 1 / faster)
        if make is dispatch.chains and settings.peers:
            report.target(f"eager: {title}, time over PyTorch's", faster and 1 / faster, most=1.0)


def products(a: Any, b: Any) -> Callable[[], None]:
    """A candidate: several small products."""
    from .. import dispatch

    def call() -> None:
        for _ in range(dispatch.LOOPS):
            a @ b

    return call


def ours_of(ge: Any, make: Any, arrays: list[Any], settings: Settings) -> Callable[[], None]:
    """gradengine's candidate, warm."""
    return waiting(make(*(ge.tensor(a, requires_grad=True) for a in arrays)), settings.synchronize)


def theirs_of(make: Any, arrays: list[Any], settings: Settings) -> Callable[[], None] | None:
    """PyTorch's candidate, warm."""
    if not settings.torch:
        return None
    import torch

    tensors = [torch.tensor(a, device=settings.device, requires_grad=True) for a in arrays]
    return waiting(make(*tensors), torch_peers.wait(settings.device))


def waiting(call: Callable[[], Any], wait: Callable[[], None], times: int = 1) -> Callable[[], None]:
    """So many calls and a wait for the device at their end, tried once."""

    def whole() -> None:
        for _ in range(times):
            call()
        wait()

    whole()
    return whole
