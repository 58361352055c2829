"""Overhead and a training step in short: a number exists even where the second call never comes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from .. import candidates, workloads
from . import overhead, steps

if TYPE_CHECKING:
    from .parts import Settings
    from .report import Report

KEPT = (candidates.JIT, candidates.OVER, candidates.EAGER, f"{candidates.TORCH} (fused)", "PyTorch graph")


def run(report: Report, settings: Settings) -> None:
    """One batch size, and the candidates that are ready soon."""
    settings = dataclasses.replace(settings, quick=True)
    if settings.torch:
        report.attempt("PyTorch", steps.torch_peers.prepare)
    settings.prepare()
    rows, widths = (128, (12, 8, 4)) if settings.tiny else (16_384, workloads.HEADLINE.widths)
    batch = 32 if settings.tiny else steps.BATCHES[0]
    size = steps.Size(report, settings, workloads.Training(f"batch {batch}", widths, batch, rows=rows))
    size.makers = {name: make for name, make in size.makers.items() if name in KEPT}
    size.quick()
    overhead.measure(report, settings)
