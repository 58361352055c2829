"""`python3 -m bench.gpu_check right`, then `python3 -m bench.gpu_check fast`: check and measure CUDA on this GPU.

The first call says within 200 s whether results are right, the second within 420 s how fast they come. Neither needs
an installation or a network: a Python with NumPy and CuPy will do, and what else is missing (PyTorch, JAX, pytest) is
left out and named. Each part runs in a process of its own; one that fails, hangs or cannot be imported is ended in
time, and costs the others nothing. After each stage the results are written anew; at the end all of them, with the
kernels that were compiled, become one archive, which the second call finds in `.gpu/`. Where there is no GPU, it says
why and writes nothing.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from . import timing
from .gpu import archive, machine, probe, tables
from .gpu.parts import CACHES, CALLS, PARTS, PLACE, REST, ROOT, SECONDS, Part, Settings, environment
from .gpu.report import write, write_text

GRACE = 2.0  # seconds between asking a part to end and ending it
TAIL = 1500  # characters of a failed part's output that are kept
NO_DEVICE = 2  # the exit status


def main(argv: list[str] | None = None) -> int:
    """Run the parts asked for; 1 when one failed, 2 when there is no device. A missed target is no failure."""
    started = time.monotonic()
    args, settings = options(argv)
    if args.list:
        for call, stages in CALLS.items():
            print(f"{call}, within {SECONDS[call]:g} s:")
            for part in [part for stage in stages for part in stage]:
                print(f"  {part.name:10} {part.seconds:4.0f} s  {part.title}")
        return 0
    if reason := probe.why_not(settings):
        print(f"nothing checked, nothing written: {reason} (--emulate is a dry run without a GPU)", file=sys.stderr)
        return NO_DEVICE
    for folder in filter(None, (args.out, args.logs)):
        folder.mkdir(parents=True, exist_ok=True)
    stored: dict[str, Any] = {"environment": machine.environment(settings), "quick": settings.quick, "parts": {}}
    calls = [args.call] if args.call else list(CALLS)
    stages = [stage for call in calls for stage in chosen(CALLS[call], args.only)]
    budget = args.budget or sum(SECONDS[call] for call in calls)
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch) / "results"
        results.mkdir()
        folders = Path(scratch), (args.logs or results).absolute()
        earlier = found_earlier(args, results)
        keep = Keeper(stored, earlier, args.out)
        try:
            run_stages(stages, settings, started + budget, folders, keep)
        finally:
            keep()
            if (args.out is not None and not settings.tiny) or args.pack:
                for name in ("gpu.json", "gpu.md"):
                    write_text(results / name, (args.out / name).read_text())
                pieces = archive.pack(args.call or "all", args.out, results, CACHES)
                print("packed:", *(f"{path.name} ({path.stat().st_size >> 10} KiB)" for path in pieces))
    if args.out is None:
        print(tables.report(stored))
    else:
        print(tables.summary(stored), f"written to {args.out}/gpu.json and {args.out}/gpu.md", sep="\n\n")
    print(f"{' and '.join(calls)}: {time.monotonic() - started:.0f} s of {budget:.0f}")
    return int(any(part["status"] not in ("passed", "left out") for part in stored["parts"].values()))


def options(argv: list[str] | None) -> tuple[argparse.Namespace, Settings]:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python3 -m bench.gpu_check", description=__doc__)
    names = [part.name for part in PARTS]
    parser.add_argument("call", nargs="?", choices=[*CALLS], help="which of the two calls (default: both)")
    parser.add_argument("--out", type=Path, help="folder for gpu.json, gpu.md and the archive (default: bench/results)")
    parser.add_argument("--logs", type=Path, help="folder for each part's whole output (default: the archive has it)")
    parser.add_argument("--only", nargs="+", choices=names, metavar="PART", help=f"of {', '.join(names)}")
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="in all (default: 200 and 420)")
    parser.add_argument("--earlier", type=Path, default=PLACE, help="where the first call's archive is (default: .gpu)")
    parser.add_argument("--data", default=os.environ.get("GRADENGINE_DATA", ""), help="the folder that holds mnist/")
    parser.add_argument("--quick", action="store_true", help="fewer rounds of the measurements")
    parser.add_argument("--list", action="store_true", help="name the parts, and do nothing")
    parser.add_argument("--emulate", action="store_true", help="dry run on the tests' emulator, with tiny sizes")
    parser.add_argument("--pack", action="store_true", help="pack the archive in a dry run too")
    parser.add_argument("--device", default="cuda", help='another device; "cpu" tries this script out')
    args = parser.parse_args(argv)
    partial = args.quick or args.emulate or args.only or args.device == "cpu"
    if args.out is None and not partial:  # what is no full run replaces no stored result unless --out says where
        args.out = timing.RESULTS
    if args.pack and args.out is None:
        parser.error("--pack needs --out")
    data = args.data or (str(PLACE / "data") if (PLACE / "data" / "mnist").is_dir() else "")
    data = str(Path(data).absolute()) if data else ""
    return args, Settings(device=args.device, emulate=args.emulate, quick=args.quick, data=data)


def chosen(stages: tuple[tuple[Part, ...], ...], only: list[str] | None) -> list[tuple[Part, ...]]:
    """The stages with those parts alone."""
    kept = [tuple(part for part in stage if not only or part.name in only) for stage in stages]
    return [stage for stage in kept if stage]


def found_earlier(args: argparse.Namespace, results: Path) -> dict[str, Any]:
    """What the first call has stored; its kernels are put where they are looked for."""
    folder = results.parent / "earlier"
    if args.call != "fast" or not archive.unpack("right", args.earlier, folder, CACHES):
        return {}
    stored = folder / "gpu.json"
    return json.loads(stored.read_text()) if stored.exists() else {}


class Keeper:
    """Writes what is known so far: that of the first call, and then that of the second."""

    def __init__(self, stored: dict[str, Any], earlier: dict[str, Any], folder: Path | None) -> None:
        self.stored, self.folder = stored, folder
        self.before = earlier.get("parts", {})

    def __call__(self) -> None:
        if self.folder is not None:
            whole = {**self.stored, "parts": {**self.before, **self.stored["parts"]}}
            write(self.folder / "gpu.json", whole)
            write_text(self.folder / "gpu.md", tables.report(whole) + "\n")


def run_stages(
    stages: list[tuple[Part, ...]], settings: Settings, deadline: float, folders: tuple[Path, Path], keep: Keeper
) -> None:
    """One stage after the other; what one saves, the later ones may use."""
    stored = keep.stored
    wanted = sum(seconds_of(stage) for stage in stages)
    end = deadline - min(REST, 0.1 * (deadline - time.monotonic()))
    scale = min(1.0, (end - time.monotonic()) / wanted) if wanted else 1.0
    for i, stage in enumerate(stages):
        later = sum(seconds_of(stage) for stage in stages[i + 1 :]) * scale
        limit = end - time.monotonic() - later
        settings = settings.after({**keep.before, **stored["parts"]})
        with concurrent.futures.ThreadPoolExecutor(len(stage)) as pool:
            futures = {
                part.name: pool.submit(run, part, settings, limit_of(part, limit, settings), *folders) for part in stage
            }
            for name, future in futures.items():
                stored["parts"][name] = future.result()
        stored["environment"]["after"] = {} if settings.tiny else machine.state()
        keep()


def limit_of(part: Part, limit: float, settings: Settings) -> float:
    """The seconds of a part that may take `limit`; an emulator may take them all."""
    return limit if settings.tiny else min(limit, part.most)


def seconds_of(stage: tuple[Part, ...]) -> float:
    """What a stage takes: its parts run at the same time."""
    return max(part.seconds for part in stage)


def run(part: Part, settings: Settings, limit: float, scratch: Path, logs: Path) -> dict[str, Any]:
    """A part's numbers, with its status, the seconds it took, and the end of its output if it failed."""
    print(f"{part.name}: {part.title} (at most {limit:.0f} s) ...", flush=True)
    if limit < 1:
        return {"title": part.title, "status": "not reached", "seconds": 0.0}
    result, output = scratch / f"{part.name}.json", logs / f"{part.name}.txt"
    command = [sys.executable, "-m", "bench.gpu.child", part.name, str(result), str(limit), settings.text()]
    start = time.monotonic()
    with output.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, cwd=ROOT, env=environment(settings), start_new_session=True
        )
        try:
            process.wait(limit)
            status = "passed" if process.returncode == 0 else "failed"
        except subprocess.TimeoutExpired:
            status = "out of time"
        finally:
            end(process)
    found = json.loads(plain(result)) if result.exists() else {}
    if not all(check["ok"] for check in found.get("checks", [])) and status == "passed":
        status = "failed"
    if status == "passed" and found.get("facts", {}).get("left out"):
        status = "left out"
    said = {"title": part.title, "status": status, "seconds": round(time.monotonic() - start, 1), **found}
    if status in ("failed", "out of time"):
        said["output"] = plain(output)[-TAIL:]
        if status == "failed" and all(check["ok"] for check in said.get("checks", [])):
            said.setdefault("error", ending(said["output"], process.returncode))
    print(tables.one_line(part.name, said), flush=True)
    return said


def ending(output: str, returned: int) -> str:
    """Why a process failed that could not say so itself: its last line, and the signal that has ended it."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    said = [f"ended by signal {-returned}"] * (returned < 0) + lines[-1:]
    return "; ".join(said) or f"ended with status {returned}"


def plain(path: Path) -> str:
    """A file's text, without where this folder is."""
    return path.read_text(errors="replace").replace(f"{ROOT}/", "")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a part with all its processes."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            break
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


if __name__ == "__main__":
    sys.exit(main())
