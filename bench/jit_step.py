"""Compiled training steps and large kernels on the CPU, beside PyTorch, JAX and a program written by hand.

`python -m bench jit` runs all and stores the result. `python -m bench.jit_step` prints the tables alone: `--quick` for
the headline and a few kernels, `--only TEXT` for the rows whose title has the text. Each candidate has a process of its
own for each thread count; the processes take turns, and ratios compare times of the same round.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from typing import Any

from . import candidates, jit_probes, peers, workers, workloads

ROUNDS, TARGET = 15, 0.1  # short bursts in many rounds: what disturbs a round disturbs all candidates in it
TOLERANCE = 1e-3  # a pass over the data adds rounding up, in an order of its own in each library
OURS = (candidates.JIT, candidates.OVER, candidates.EAGER)
COMPILED = (candidates.JIT, candidates.OVER)
PEERS = (candidates.TORCH, candidates.COMPILE, candidates.JAX, candidates.SCAN)


def rows(quick: bool = False, only: str = "", rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """A row for each workload and thread count, then first calls, memory and compiled programs."""
    works: tuple[workloads.Workload, ...] = (
        (workloads.HEADLINE, *workloads.KERNELS[::2]) if quick else (*workloads.TRAINING, *workloads.KERNELS)
    )
    rounds = min(rounds, 7) if quick else rounds
    floors = {n: jit_probes.run("", workloads.HEADLINE, n, "floor") for n in peers.THREADS}
    found: list[dict[str, Any]] = [{"kind": "floor", "row": "floor", "threads": n, **floors[n]} for n in peers.THREADS]
    for work in works:
        if only in work.title:
            for threads in peers.THREADS:
                print(f"{work.title}, threads: {threads} ...", file=sys.stderr, flush=True)
                found.append(row(work, threads, floors, rounds))
    return found + ([] if only else jit_probes.rows(quick))


def row(work: workloads.Workload, threads: int, floors: dict[int, Any], rounds: int) -> dict[str, Any]:
    """One workload's times, ratios and distances from the floor."""
    taken = workers.take_turns(candidates.names_for(work), work, threads, rounds, TARGET)
    times = taken.pop("times")
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratios = {
        ours: {name: pairwise(times[ours], values) for name, values in times.items() if name not in OURS}
        for ours in OURS
        if ours in times
    }
    theirs = [name for name in PEERS if name in medians]
    best_peer = min(theirs, key=lambda name: medians[name]) if theirs else None
    fastest = min((ours for ours in COMPILED if ours in medians), key=lambda name: medians[name], default=None)
    copy = floors[threads]["copy"]
    bandwidth = copy[str(work.size)] if isinstance(work, workloads.Kernel) else copy[max(copy, key=int)]
    floor = {
        "flops": work.flops,
        "bytes": work.bytes,
        "compute": work.flops / (floors[1]["flops"] * threads) * 1e6,
        "memory": work.bytes / bandwidth * 1e6,
    }
    lowest = max(floor["compute"], floor["memory"])
    return {
        "kind": "kernel" if isinstance(work, workloads.Kernel) else "step",
        "row": work.title,
        "threads": threads,
        "microseconds": medians,
        "fastest": {name: min(values) for name, values in times.items()},
        "best_peer": best_peer,
        "ratio": ratios[fastest][best_peer] if fastest and best_peer else None,
        "ratios": ratios,
        "floor": floor,
        "distance": {name: value / lowest for name, value in medians.items()},
        **taken,
        "rounds": times,
    }


def pairwise(ours: list[float], theirs: list[float]) -> float:
    """The median of the ratios of the same round."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def table(rows: list[dict[str, Any]]) -> str:
    """All rows as Markdown."""
    parts = [steps_table(rows), kernels_table(rows), "\n".join(facts(rows))]
    return "\n\n".join(part for part in parts if part)


def steps_table(rows: list[dict[str, Any]]) -> str:
    """Training steps: microseconds by candidate, two ratios, and the distance from the floor."""
    steps = [row for row in rows if row["kind"] == "step"]
    names = [
        name for name in (*COMPILED, *PEERS, candidates.HAND_OVER) if any(name in r["microseconds"] for r in steps)
    ]
    heads = [*names, "jit / PyTorch eager", "best / best peer", "floor", "distance"]
    lines = [f"| step, µs | threads | {' | '.join(heads)} |", "| --- |" + " ---: |" * (len(heads) + 1)]
    for row in steps:
        floor = max(row["floor"]["compute"], row["floor"]["memory"])
        ours = [row["distance"][name] for name in COMPILED if name in row["distance"]]
        cells = [number(row["microseconds"].get(name), 0) for name in names]
        cells.append(number(row["ratios"].get(candidates.JIT, {}).get(candidates.TORCH), 2))
        cells += [number(row["ratio"], 2), number(floor, 0), number(min(ours, default=None), 2)]
        lines.append(f"| {row['row']} | {row['threads']} | {' | '.join(cells)} |")
    return "\n".join(lines) if steps else ""


def kernels_table(rows: list[dict[str, Any]]) -> str:
    """Kernels: microseconds, the ratio, and the part of the copy's bandwidth that each reaches."""
    lines = [
        "| kernel, µs | threads | gradengine jit | PyTorch eager | ratio | of a copy's bandwidth | PyTorch's |",
        "| --- |" + " ---: |" * 6,
    ]
    for row in rows:
        if row["kind"] == "kernel":
            times, distance = row["microseconds"], row["distance"]
            pair = candidates.JIT, candidates.TORCH
            cells = [number(times.get(name), 0) for name in pair]
            cells.append(number(row["ratios"].get(candidates.JIT, {}).get(candidates.TORCH), 2))
            cells += [number(1 / distance[name] if name in distance else None, 2) for name in pair]
            lines.append(f"| {row['row']} | {row['threads']} | {' | '.join(cells)} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def facts(rows: list[dict[str, Any]]) -> list[str]:
    """First calls, memory, compiled programs and the machine's floor, a line each."""
    found = []
    missing: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row["kind"] == "first call":
            said = ", ".join(f"{name} {value:.2f} s" for name, value in row["seconds"].items())
            found.append(f"- The first call of the step ({row['row']}) takes: {said}.")
        elif row["kind"] == "memory":
            said = ", ".join(f"{name} {value / 1e6:.1f} MB" for name, value in row["bytes"].items())
            found.append(f"- Memory at its peak, above that before the first step ({row['row']}): {said}; ")
            said = ", ".join(f"{name} {value / 1e6:.0f} MB" for name, value in row["library"].items())
            found[-1] += f"a small first step, which loads what it needs: {said}."
        elif row["kind"] == "programs" and "misses" in row:
            found.append(f"- Programs compiled in 1,000 steps with a changing learning rate: {row['misses']}.")
        elif row["kind"] == "floor":
            copy = ", ".join(f"{value / 1e9:.0f} GB/s at {int(size):.0e}" for size, value in row["copy"].items())
            found.append(
                f"- Floor, threads: {row['threads']}: {row['flops'] / 1e9:.0f} GFLOP/s in each thread's float32 matrix "
                f"product, copies at {copy} numbers."
            )
        where = f"{row['row']}, threads: {row['threads']}" if "threads" in row else row["row"]
        reasons = row.get("unavailable", {})
        for name, reason in ({row["kind"]: reasons} if isinstance(reasons, str) else reasons).items():
            missing.setdefault((name, reason), []).append(where)
        found += [f"- {where}: {name} computes something else: {value}" for name, value in disagreeing(row).items()]
    for (name, reason), places in missing.items():
        more = f" and {len(places) - 1} more rows" if len(places) > 1 else ""
        found.append(f"- No {name} in {places[0]}{more}: {reason}")
    return found


def disagreeing(row: dict[str, Any]) -> dict[str, float]:
    """The candidates whose number after the first pass is not that of most others."""
    checks = row.get("checks", {})
    middle = statistics.median_low(checks.values()) if checks else 0.0
    return {name: value for name, value in checks.items() if not abs(value - middle) <= TOLERANCE * abs(middle)}


def number(value: float | None, digits: int) -> str:
    """A table's cell."""
    return "-" if value is None else f"{value:,.{digits}f}"


def main() -> None:
    """Print the tables, or be one of the processes that they come from."""
    parser = argparse.ArgumentParser(prog="python -m bench.jit_step", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the headline and a few kernels, in fewer rounds")
    parser.add_argument("--only", default="", help="only workloads whose title has this text")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of each candidate")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--probe", help=argparse.SUPPRESS)
    parser.add_argument("--workload", default=workloads.HEADLINE.title, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.probe:
        jit_probes.answer(args.worker, workloads.by_title(args.workload), args.threads, args.probe)
    elif args.worker:
        workers.serve(args.worker, workloads.by_title(args.workload), args.threads)
    else:
        print(table(rows(args.quick, args.only, args.rounds)))


if __name__ == "__main__":
    main()
