"""Matrix products of 8192 in bfloat16, TF32 and float32, on random data, beside PyTorch's."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import timing
from . import torch_peers
from .overhead import waiting
from .parts import halves
from .steps import speedup

if TYPE_CHECKING:
    from collections.abc import Callable

    from .parts import Settings
    from .report import Report

SIZE = 8192
LEAST = 0.97
SAMPLE = 8  # rows that are compared with float64
ALLOWED = {"bfloat16": 1e-2, "TF32": 2e-3, "float32": 1e-5, "float16": 2e-3}
OURS, THEIRS = "gradengine", "PyTorch"


def run(report: Report, settings: Settings) -> None:
    """A row for each precision."""
    settings.prepare()
    n = 48 if settings.tiny else SIZE
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((n, n), np.float32) for _ in range(2))
    possible = ("TF32", "float32", *halves(report))
    for kind, allowed in ALLOWED.items():
        if kind not in possible:
            continue
        makers: dict[str, Callable[[], Callable[[], Any]]] = {OURS: lambda k=kind: ours(k, a, b, settings)}
        if settings.torch:
            makers[THEIRS] = lambda k=kind: theirs(k, a, b, settings)
        waits = {OURS: settings.synchronize, THEIRS: torch_peers.wait(settings.device) if settings.torch else None}
        calls: dict[str, Callable[[], Any]] = {}
        for name, make in makers.items():
            call = report.attempt(f"{kind}, {name}", make, name == OURS)
            if call is not None and report.check(f"{kind}, {name}", lambda c=call, w=allowed: checked(c(), a, b, w)):
                calls[name] = waiting(call, waits[name], settings.burst)
        times = timing.in_turns(calls, settings.rounds, settings.target)
        speed = {
            f"{name}, TFLOP/s": 2 * n**3 * settings.burst / statistics.median(values) / 1e12
            for name, values in times.items()
        }
        ratio = speedup(times, OURS, THEIRS)
        report.row(f"{kind}, {n}", **speed, ratio=ratio)
        if settings.peers and kind != "float16":
            report.target(f"matmul {n}, {kind}: speed over PyTorch's", ratio, least=LEAST)


def ours(kind: str, a: Any, b: Any, settings: Settings) -> Callable[[], Any]:
    """gradengine's product. The TF32 switch is set in each call, which costs nothing beside the product."""
    import gradengine as ge

    dtype = getattr(ge, "float32" if kind == "TF32" else kind)
    x, y = ge.tensor(a).to(dtype), ge.tensor(b).to(dtype)
    if settings.device == "cpu":
        return lambda: x @ y

    def call() -> Any:
        ge.cuda.set_tf32(kind == "TF32")
        return x @ y

    return call


def theirs(kind: str, a: Any, b: Any, settings: Settings) -> Callable[[], Any]:
    """PyTorch's product."""
    import torch

    dtype = getattr(torch, "float32" if kind == "TF32" else kind)
    x, y = (torch.from_numpy(array).to(settings.device).to(dtype) for array in (a, b))

    def call() -> Any:
        torch.set_float32_matmul_precision("high" if kind == "TF32" else "highest")
        return x @ y

    return call


def checked(product: Any, a: Any, b: Any, allowed: float) -> str:
    """How far the first and last rows are from float64, in norm. Raises when that is too far."""
    rows = np.r_[0:SAMPLE, -SAMPLE:0]
    want = a[rows].astype(np.float64) @ b.astype(np.float64)
    if type(product).__module__.startswith("torch"):
        got = product[rows].double().cpu().numpy()
    else:
        got = product[rows].to("cpu").numpy().astype(np.float64)
    off = float(np.linalg.norm(got - want) / np.linalg.norm(want))
    if not off <= allowed:
        raise ValueError(f"off by {off:.1e} in norm (allowed {allowed:.1e})")
    return f"off by {off:.1e} in norm"
