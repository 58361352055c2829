"""What a process of its own measures once: the machine's floor, a first call, peak memory, the programs compiled."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import candidates, peers, workers, workloads

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[workloads.Training], candidates.Runner]

LIMIT = 600.0
SMALL = workloads.Training("small", widths=(784, 64, 10), batch=64, rows=128)  # enough to load the compiler
COPIES = 10  # in a row, so that starting the threads is not what is measured


def run(name: str, work: workloads.Workload, threads: int, probe: str, **more: str) -> dict[str, Any]:
    """One probe's result; `unavailable` says why there is none."""
    try:
        done = subprocess.run(
            workers.command(name, work, threads, probe),
            capture_output=True,
            text=True,
            timeout=LIMIT,
            cwd=Path(__file__).parents[1],
            env=workers.environment(threads, **more),
        )
    except subprocess.TimeoutExpired:
        return {"unavailable": f"not done after {LIMIT:.0f} s"}
    if done.returncode:
        return {"unavailable": (done.stderr.strip().splitlines() or ["the process failed"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def answer(name: str, work: workloads.Workload, threads: int, probe: str) -> None:
    """The probe's side in the new process: measure, and print one line."""
    out = workers.private_output()
    if probe == "floor":
        print(json.dumps(floor(threads)), file=out)
        return
    measure = {"first call": first_call, "memory": memory, "programs": programs}[probe]
    try:
        print(json.dumps(measure(lambda work: last_variant(name, work, threads), work)), file=out)
    except Exception as error:  # any failure is a result here
        print(json.dumps({"unavailable": f"{type(error).__name__}: {error}".splitlines()[0][:200]}), file=out)


def last_variant(name: str, work: workloads.Workload, threads: int) -> candidates.Runner:
    """The candidate's last variant, ready to run: the fused optimizer, where there are several."""
    return list(candidates.variants(name, work, threads).values())[-1]()


def floor(threads: int) -> dict[str, Any]:
    """The best of many: one thread's float32 product in operations/s, and all threads' copies in bytes/s by size."""
    a, b, c = np.ones((3, 1024, 1024), np.float32)
    found: dict[str, Any] = {"flops": 2 * 1024**3 / best(lambda: np.matmul(a, b, out=c), 15), "copy": {}}
    with ThreadPoolExecutor(threads) as pool:
        for size in sorted({work.size for work in workloads.KERNELS}):
            source, target = np.ones((2, size), np.float32)
            parts = list(zip(np.array_split(target, threads), np.array_split(source, threads)))

            def copies(parts: Any = parts) -> None:
                list(pool.map(lambda part: [np.copyto(*part) for _ in range(COPIES)], parts))

            found["copy"][str(size)] = COPIES * 2 * source.nbytes / best(copies, 15)
    return found


def best(function: Any, calls: int) -> float:
    """Seconds of the fastest call."""
    function()
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def first_call(make: Make, work: workloads.Training) -> dict[str, Any]:
    """Seconds until the first step is done, with the model and the data at hand."""
    runner = make(work)
    start = time.perf_counter()
    runner.run(1)
    return {"seconds": time.perf_counter() - start}


def memory(make: Make, work: workloads.Training) -> dict[str, Any]:
    """Bytes by which the peak rises from right before the first step, once a small step has loaded the library."""
    library = growth(make(SMALL), SMALL)
    return {"bytes": growth(make(work), work), "library": library}


def growth(runner: candidates.Runner, work: workloads.Training) -> int:
    """How far the peak of memory rises in one pass, compilation included."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak of what came before
    before = peak_bytes()
    runner.run(work.unit)
    return peak_bytes() - before


def peak_bytes() -> int:
    """The largest resident set so far; macOS counts in bytes, Linux in kilobytes."""
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def programs(make: Make, work: workloads.Training) -> dict[str, Any]:
    """How many programs a thousand steps with a changing learning rate compile."""
    runner = make(work)
    groups = runner.handles["optimizer"].param_groups
    for i in range(1000):
        for group in groups:
            group["lr"] = 0.01 / (1 + i)
        runner.run(1)
    info = runner.handles["step"].cache_info()
    return {"hits": info.hits, "misses": info.misses, "currsize": info.currsize}


def rows(quick: bool) -> list[dict[str, Any]]:
    """First calls with an empty cache and with a filled one, peaks of memory, and compiled programs."""
    return [first_calls(1 if quick else 3), *(peaks(work) for work in memory_works(quick)), changing_rate()]


def memory_works(quick: bool) -> list[workloads.Training]:
    """The steps whose memory is measured."""
    return [work for work in workloads.TRAINING if work is workloads.HEADLINE or (work.batch == 1024 and not quick)]


def first_calls(repeats: int) -> dict[str, Any]:
    """Medians over processes of their own; JAX keeps no cache unless told to."""
    times: dict[str, list[float]] = {}
    unavailable: dict[str, str] = {}
    names = [candidates.JIT, *[candidates.COMPILE] * peers.have("torch"), *[candidates.JAX] * peers.have("jax")]
    for name in names:
        for _ in range(repeats):
            with tempfile.TemporaryDirectory() as folder:
                places = {"GRADENGINE_CACHE_DIR": folder, "TORCHINDUCTOR_CACHE_DIR": folder}
                for state in ("empty cache", "filled cache") if name != candidates.JAX else ("no cache",):
                    found = run(name, workloads.HEADLINE, os.cpu_count() or 1, "first call", **places)
                    if "seconds" in found:
                        times.setdefault(f"{name}, {state}", []).append(found["seconds"])
                    else:
                        unavailable[f"{name}, {state}"] = found["unavailable"]
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {"kind": "first call", "row": workloads.HEADLINE.title, "seconds": medians, "unavailable": unavailable}


def peaks(work: workloads.Training) -> dict[str, Any]:
    """Peak memory on one thread; what gradengine compiled before comes from its cache, as in all but a first run."""
    found: dict[str, int] = {}
    library: dict[str, int] = {}
    unavailable: dict[str, str] = {}
    for name in (candidates.JIT, candidates.OVER, candidates.EAGER, *[candidates.TORCH] * peers.have("torch")):
        said = run(name, work, 1, "memory")
        if "bytes" in said:
            found[name], library[name] = said["bytes"], said["library"]
        else:
            unavailable[name] = said["unavailable"]
    return {"kind": "memory", "row": work.title, "bytes": found, "library": library, "unavailable": unavailable}


def changing_rate() -> dict[str, Any]:
    """The programs that a changing learning rate compiles: one is right."""
    return {
        "kind": "programs",
        "row": workloads.HEADLINE.title,
        **run(candidates.JIT, workloads.HEADLINE, 1, "programs"),
    }
