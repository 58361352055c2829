"""The headline: a training step of MLP 784-128-10 in float32, beside PyTorch and JAX, in turns in one process.

All get the same data and first weights, so the loss after one pass over the data says whether they compute the same.
The data is on the device from the start, in every candidate; times are of whole passes, synchronised at their end.
"""

from __future__ import annotations

import functools
import statistics
import time
from typing import TYPE_CHECKING, Any

from .. import candidates, timing, workloads
from . import torch_peers

if TYPE_CHECKING:
    from collections.abc import Callable

    from .parts import Settings
    from .report import Report

BATCHES = (128, 1024)
UNROLLED = 8  # steps in one turn of JAX's loop, in another candidate
TOLERANCE = 1e-3
COSTLY = (candidates.COMPILE, f"{candidates.SCAN} (")  # those that take long to compile
LEAST = 20.0  # seconds that must be left for one of them
NEEDED = {candidates.TORCH: 10.0, candidates.COMPILE: 1.5, candidates.SCAN: 1.0}  # how many times as fast as these


def run(report: Report, settings: Settings) -> None:
    """Both batch sizes."""
    if settings.peers:
        prepare_peers(report, settings)
        if not settings.torch:
            report.note("PyTorch is not installed")
    settings.prepare()
    for batch in (32,) if settings.tiny else BATCHES:
        rows = 128 if settings.tiny else 16_384
        widths = (12, 8, 4) if settings.tiny else workloads.HEADLINE.widths
        one_size(report, settings, workloads.Training(f"batch {batch}", widths, batch, rows=rows))


def prepare_peers(report: Report, settings: Settings) -> None:
    """float32 products in float32, before anything is compiled."""

    def jax() -> None:
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")
        if settings.device != "cpu" and jax.devices()[0].platform != "gpu":
            raise RuntimeError(f"JAX sees no GPU: {jax.devices()}")

    if settings.torch:
        report.attempt("PyTorch", torch_peers.prepare)
    report.attempt("JAX", jax)


def makers(settings: Settings, work: workloads.Training) -> dict[str, Callable[[], candidates.Runner]]:
    """How to make each candidate."""
    ours = (candidates.JIT, candidates.OVER, candidates.EAGER)
    found: dict[str, Any] = {name: functools.partial(candidates.gradengine_training, work, name) for name in ours}
    if settings.peers:
        found |= torch_peers.steps(work, settings.device) if settings.torch else {}
        found[candidates.JAX] = lambda: candidates.jax_training(work, scan=False)
        for unroll in (1, min(UNROLLED, work.unit)):
            name = candidates.SCAN if unroll == 1 else f"{candidates.SCAN} ({unroll} unrolled)"
            found[name] = lambda n=unroll: candidates.jax_training(work, scan=True, unroll=n)
    return found


def one_size(report: Report, settings: Settings, work: workloads.Training) -> None:
    """Warm every candidate up, measure those that work in turns, and compare."""
    passes: dict[str, Callable[[], None]] = {}
    first, losses = {}, {}
    for name, make in makers(settings, work).items():
        if name.startswith(COSTLY) and report.left() < LEAST:
            report.note(f"{work.title}, {name}: left out, since the time is short")
            continue
        start = time.perf_counter()
        ours = name.startswith("gradengine")
        warm = report.attempt(f"{work.title}, {name}", functools.partial(warmed, settings, work, name, make), ours)
        if warm is not None:
            passes[name], losses[name] = warm
            first[name] = time.perf_counter() - start
            report.fact(f"{work.title}: last", name)
    middle = statistics.median_low(losses.values()) if losses else 0.0
    for name, loss in losses.items():
        if not abs(loss - middle) <= TOLERANCE * abs(middle):
            report.add(f"{work.title}, {name}: loss after one pass", False, f"{loss} where most have {middle}")
    times = timing.in_turns(passes, settings.rounds, settings.target)
    for name, values in times.items():
        micro = [value / work.unit * 1e6 for value in values]
        report.row(
            f"{work.title}, {name}",
            **{"µs a step": statistics.median(micro), "fastest": min(micro), "first pass, s": first[name]},
            rounds=micro,
        )
    report.found["facts"].pop(f"{work.title}: last", None)
    for form in (candidates.JIT, candidates.OVER):
        for peer, needed in NEEDED.items() if settings.peers else ():
            faster = speedup(times, form, peer)
            if peer == candidates.SCAN and form == candidates.JIT:
                continue  # a call for each step is not what a scan is compared with
            report.target(f"{work.title}: {form}, times as fast as {peer}", faster, least=needed)


def warmed(
    settings: Settings, work: workloads.Training, name: str, make: Callable[[], candidates.Runner]
) -> tuple[Callable[[], None], float]:
    """A pass over the data that waits for its end, after the first one, and the loss at the end of the first."""
    runner = make()
    wait = settings.synchronize if name.startswith("gradengine") else _no_wait
    if name.startswith("PyTorch"):
        wait = torch_peers.wait(settings.device)

    def one() -> None:
        runner.run(work.unit)
        wait()

    one()
    loss = runner.check()
    one()
    return one, loss


def _no_wait() -> None:
    """JAX's candidates wait by themselves."""


def speedup(times: dict[str, list[float]], ours: str, peer: str) -> float | None:
    """How many times as fast `ours` is as the best of the candidates whose names start so: the median of the turns."""
    peers = {name: statistics.median(values) for name, values in times.items() if name.startswith(peer)}
    if ours not in times or not peers:
        return None
    best = min(peers, key=lambda name: peers[name])
    return statistics.median(theirs / own for theirs, own in zip(times[best], times[ours], strict=True))
