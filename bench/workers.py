"""Candidates in processes of their own, which take turns: one computes, all others wait for a line.

A thread count belongs to a process: Numba, OpenMP and XLA read it once, when they start. A worker makes its candidate,
warms it up and says so; on `choose` it times its variants and keeps the fastest; on a number it runs that many steps
and answers with the microseconds of one. Workers of one thread all run on the same core, so that none is luckier than
others, and a library that keeps threads of its own has no second core for them.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from . import candidates, workloads

PREPARE_LIMIT = 300.0  # seconds until a candidate must be warm: compilers take their time
ANSWER_LIMIT = 120.0
PAUSE = 0.02  # between turns, in which threads that spin while they wait fall asleep


def environment(threads: int, **more: str) -> dict[str, str]:
    """A worker's environment: every library's thread count; BLAS has one thread, since Numba's threads call it."""
    found = {**os.environ, "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "2", **more}
    found |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    found |= dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), str(threads))
    if threads == 1:
        found["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    return found


def command(name: str, work: workloads.Workload, threads: int, probe: str = "") -> list[str]:
    """The command line that starts a worker."""
    line = [sys.executable, "-m", "bench.jit_step", "--worker", name, "--workload", work.title]
    return line + ["--threads", str(threads)] + (["--probe", probe] if probe else [])


class Worker:
    """One candidate's process, seen from outside; `reason` says why it cannot be used."""

    def __init__(self, name: str, work: workloads.Workload, threads: int):
        self.name, self.reason, self.ready = name, "", {}
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it lives as long as the process
        self.process = subprocess.Popen(
            command(name, work, threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=Path(__file__).parents[1],
            env=environment(threads),
        )
        self.ready = self.answer(PREPARE_LIMIT)

    def answer(self, limit: float) -> dict[str, Any]:
        """The next line that the worker says."""
        assert self.process.stdout is not None
        line = ""
        if select.select([self.process.stdout], [], [], limit)[0]:
            line = self.process.stdout.readline()
        else:
            self.reason = f"not ready after {limit:.0f} s"
        if not line:
            self.errors.seek(0)
            said = self.errors.read().strip().splitlines()
            self.reason = self.reason or (said[-1] if said else "the process ended")
            self.close()
            return {}
        found = json.loads(line)
        self.reason = found.get("unavailable", "")
        return found

    def ask(self, request: str) -> dict[str, Any]:
        """Send a line and wait for the answer."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{request}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.reason = "the process ended"
            return {}
        return self.answer(ANSWER_LIMIT)

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self.errors.close()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def take_turns(
    names: tuple[str, ...], work: workloads.Workload, threads: int, rounds: int, target: float
) -> dict[str, Any]:
    """Microseconds by candidate and round, with what each chose and checked, and why the rest are missing."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # only to prepare: that takes as long as all else
        workers = list(pool.map(lambda name: Worker(name, work, threads), names))
    try:
        chosen = {}
        for worker in workers:
            if not worker.reason:
                time.sleep(PAUSE)
                chosen[worker.name] = worker.ask("choose")
        bursts = {
            name: max(1, int(target * 1e6 / said["microseconds"] / work.unit)) * work.unit
            for name, said in chosen.items()
            if said
        }
        times: dict[str, list[float]] = {name: [] for name in bursts}
        for _ in range(rounds):
            for worker in workers:
                if worker.name in bursts and not worker.reason:
                    time.sleep(PAUSE)
                    said = worker.ask(str(bursts[worker.name]))
                    times[worker.name].append(said.get("microseconds", float("nan")))
        times = {worker.name: times[worker.name] for worker in workers if not worker.reason}
        return {
            "times": times,
            "variants": {name: chosen[name]["variant"] for name in times if chosen[name]["variant"]},
            "failed_variants": {w.name: w.ready["failed"] for w in workers if w.ready.get("failed")},
            "checks": {name: chosen[name]["check"] for name in times},
            "unavailable": {worker.name: worker.reason for worker in workers if worker.reason},
        }
    finally:
        for worker in workers:
            worker.close()


def private_output() -> Any:
    """The pipe to the parent; whatever a library prints goes to standard error."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return out


def keep_to_one_core() -> None:
    """The last core is the one for single threads, wherever the system can say so."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def warm(name: str, work: workloads.Workload, threads: int) -> tuple[dict[str, Any], dict[str, float], dict[str, str]]:
    """The variants that work, each after its first pass, with their check; and why the others do not."""
    runners, checks, failed = {}, {}, {}
    for label, make in candidates.variants(name, work, threads).items():
        try:
            runner = make()
            runner.run(work.unit)
            runners[label], checks[label] = runner, runner.check()
        except Exception as error:  # any failure of a compiler is a result here
            failed[label] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    return runners, checks, failed


def microseconds(runner: candidates.Runner, n: int) -> float:
    """The time of one step over n of them."""
    start = time.perf_counter()
    runner.run(n)
    return (time.perf_counter() - start) / n * 1e6


def serve(name: str, work: workloads.Workload, threads: int) -> None:
    """Be a worker until the parent closes the pipe."""
    out = private_output()
    if threads == 1 and name in (candidates.JAX, candidates.SCAN):
        keep_to_one_core()  # before XLA counts the cores; the others compile faster on all
    try:
        runners, checks, failed = warm(name, work, threads)
        unavailable = "" if runners else "; ".join(failed.values())
    except candidates.Unavailable as error:
        runners, checks, failed, unavailable = {}, {}, {}, str(error)
    print(json.dumps({"unavailable": unavailable} if unavailable else {"failed": failed}), file=out)
    if unavailable:
        return
    if threads == 1:
        keep_to_one_core()
    label = next(iter(runners))
    for line in sys.stdin:
        if line.strip() == "choose":
            trials: dict[str, list[float]] = {key: [] for key in runners}
            for _ in range(3):
                for key, runner in runners.items():
                    trials[key].append(microseconds(runner, work.unit))
            best = {key: statistics.median(values) for key, values in trials.items()}
            label = min(best, key=lambda key: best[key])
            said = {"variant": label, "microseconds": best[label], "check": checks[label], "trials": best}
            print(json.dumps(said), file=out)
        else:
            print(json.dumps({"microseconds": microseconds(runners[label], int(line))}), file=out)
