"""Timing in pairs on noisy machines: candidates take turns, medians are compared, and what was run on is recorded."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("gradengine", "numpy", "numba", "scipy", "torch", "jax", "jaxlib")


def seconds(function: Callable[[], Any], calls: int) -> float:
    """The time of one call, over `calls` calls in a row."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def calls_for(function: Callable[[], Any], target: float) -> int:
    """How many calls take about `target` seconds; the function is warm afterwards."""
    function()
    once = max(min(seconds(function, 1), seconds(function, 1)), 1e-7)
    return max(1, min(int(target / once), 100_000))


def in_turns(candidates: dict[str, Callable[[], Any]], rounds: int = 9, target: float = 0.05) -> dict[str, list[float]]:
    """Seconds per call of each candidate, measured in turns: A B C, A B C, ..."""
    calls = {name: calls_for(function, target) for name, function in candidates.items()}
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, function in candidates.items():
            found[name].append(seconds(function, calls[name]))
    return found


def summary(times: dict[str, list[float]], ours: str, baseline: str) -> dict[str, Any]:
    """Medians per candidate, and the ratio of `ours` to the best candidate whose name starts with `baseline`."""
    medians = {name: statistics.median(values) for name, values in times.items()}
    peers = {name: value for name, value in medians.items() if name.startswith(baseline)}
    best = min(peers, key=lambda name: peers[name]) if peers else None
    ratio = statistics.median(a / b for a, b in zip(times[ours], times[best], strict=True)) if best else None
    return {"microseconds": {k: v * 1e6 for k, v in medians.items()}, "best_peer": best, "ratio": ratio}


def environment() -> dict[str, Any]:
    """The machine and the versions that a result was measured on."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
    }


def cpu_name() -> str:
    """What the processor calls itself."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def write(name: str, rows: list[dict[str, Any]], folder: Path) -> Path:
    """Store a benchmark's rows with the environment, in one piece."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({"environment": environment(), "rows": rows}, indent=1) + "\n")
    partial.replace(path)
    return path


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as Markdown: a column per candidate in microseconds, then the ratio to the best PyTorch."""
    names = list(dict.fromkeys(name for row in rows for name in row["microseconds"]))
    lines = [f"| row | {' | '.join(names)} | ratio to best PyTorch |"]
    lines.append("| --- |" + " ---: |" * (len(names) + 1))
    for row in rows:
        cells = [f"{row['microseconds'][n]:,.1f}" if n in row["microseconds"] else "-" for n in names]
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
        lines.append(f"| {row['row']} | {' | '.join(cells)} | {ratio} |")
    return "\n".join(lines)
