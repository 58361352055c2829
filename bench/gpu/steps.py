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
    """Both batch sizes: first all that is ready soon, so that a compiler that takes too long costs no other number."""
    if settings.peers:
        prepare_peers(report, settings)
        if not settings.torch:
            report.note("PyTorch is not installed")
    settings.prepare()
    rows, widths = (128, (12, 8, 4)) if settings.tiny else (16_384, workloads.HEADLINE.widths)
    works = [workloads.Training(f"batch {n}", widths, n, rows=rows) for n in ((32,) if settings.tiny else BATCHES)]
    sizes = [Size(report, settings, work) for work in works]
    for size in sizes:
        size.quick()
    for size in sizes:
        size.costly()


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


class Size:
    """One batch size: the candidates that are warm, in two rounds of turns, of which each measures some of them."""

    def __init__(self, report: Report, settings: Settings, work: workloads.Training) -> None:
        self.report, self.settings, self.work = report, settings, work
        self.makers = makers(settings, work)
        self.passes: dict[str, Callable[[], None]] = {}
        self.first: dict[str, float] = {}
        self.losses: dict[str, float] = {}

    def quick(self) -> None:
        """Ours, and what is ready soon."""
        names = [name for name in self.makers if not name.startswith(COSTLY)]
        self.warm_up(names)
        self.compare(self.measure(names, names), NEEDED)

    def costly(self) -> None:
        """What takes long to compile, in turns with ours and with the kind of candidate that it is one of."""
        report, names = self.report, [name for name in self.makers if name.startswith(COSTLY)]
        for name in names:
            if report.left() < LEAST:
                report.note(f"{self.work.title}, {name}: left out, since the time is short")
            else:
                self.warm_up([name])
        if any(name in self.passes for name in names):
            peers = {peer: needed for peer, needed in NEEDED.items() if peer != candidates.TORCH}
            self.compare(self.measure([candidates.JIT, candidates.OVER, candidates.SCAN, *names], names), peers)

    def warm_up(self, names: list[str]) -> None:
        """Make these candidates, and compare their losses with those of most."""
        report, title = self.report, self.work.title
        for name in names:
            start = time.perf_counter()
            make = functools.partial(warmed, self.settings, self.work, name, self.makers[name])
            report.fact(f"{title}: last", name)
            warm = report.attempt(f"{title}, {name}", make, name.startswith("gradengine"))
            if warm is not None:
                self.passes[name], self.losses[name] = warm
                self.first[name] = time.perf_counter() - start
        report.found["facts"].pop(f"{title}: last", None)
        middle = statistics.median_low(self.losses.values()) if self.losses else 0.0
        for name in names:
            loss = self.losses.get(name, middle)
            if not abs(loss - middle) <= TOLERANCE * abs(middle):
                report.add(f"{title}, {name}: loss after one pass", False, f"{loss} where most have {middle}")

    def measure(self, names: list[str], told: list[str]) -> dict[str, list[float]]:
        """Those of these candidates that are warm, in turns; the table gets the ones in `told`."""
        chosen = {name: self.passes[name] for name in names if name in self.passes}
        times = timing.in_turns(chosen, self.settings.rounds, self.settings.target)
        for name in told:
            if name in times:
                micro = [value / self.work.unit * 1e6 for value in times[name]]
                columns = {
                    "µs a step": statistics.median(micro),
                    "fastest": min(micro),
                    "first pass, s": self.first[name],
                }
                self.report.row(f"{self.work.title}, {name}", **columns, rounds=micro)
        return times

    def compare(self, times: dict[str, list[float]], peers: dict[str, float]) -> None:
        """Ours beside these peers. A peer that comes later is not measured yet."""
        for form in (candidates.JIT, candidates.OVER):
            for peer, needed in peers.items() if self.settings.peers else ():
                if peer == candidates.SCAN and form == candidates.JIT:
                    continue  # a call for each step is not what a scan is compared with
                faster = speedup(times, form, peer)
                self.report.target(f"{self.work.title}: {form}, times as fast as {peer}", faster, least=needed)


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
