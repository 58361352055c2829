"""`python3 -m bench.gpu_check`: check and measure the CUDA backend on this machine's GPU, in under 8 minutes.

It needs no installation and no network: a Python with NumPy and CuPy will do, and what else is missing (PyTorch, JAX,
pytest) is left out and named. The most important parts come first, each in a process of its own; one that fails or
takes too long does not end the rest. After each part `gpu.json` and `gpu.md` are written anew. Where there is no GPU,
it says why and writes nothing.
"""

from __future__ import annotations

import argparse
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
from .gpu import machine, probe, tables
from .gpu.parts import PARTS, ROOT, TOTAL, Part, Settings, environment
from .gpu.report import write, write_text

GRACE = 2.0  # seconds between asking a part to end and ending it
TAIL = 1500  # characters of a failed part's output that are kept
NO_DEVICE = 2  # the exit status


def main(argv: list[str] | None = None) -> int:
    """Run the parts asked for; 1 when one failed, 2 when there is no device. A missed target is no failure."""
    args, settings = options(argv)
    deadline = time.monotonic() + args.budget
    if args.list:
        for part in PARTS:
            print(f"{part.name:10} {part.seconds:4.0f} s  {part.title}")
        return 0
    if reason := probe.why_not(settings):
        print(f"nothing checked, nothing written: {reason} (--emulate is a dry run without a GPU)", file=sys.stderr)
        return NO_DEVICE
    for folder in filter(None, (args.out, args.logs)):
        folder.mkdir(parents=True, exist_ok=True)
    chosen = [part for part in PARTS if not args.only or part.name in args.only]
    stored: dict[str, Any] = {"environment": machine.environment(settings), "quick": settings.quick, "parts": {}}
    with tempfile.TemporaryDirectory() as scratch:
        folders = Path(scratch), (args.logs or Path(scratch)).absolute()
        scale = args.budget / sum(part.seconds for part in chosen)
        for i, part in enumerate(chosen):
            later = sum(part.seconds for part in chosen[i + 1 :]) * scale  # what a part saves, the others may use
            stored["parts"][part.name] = run(part, settings, deadline - time.monotonic() - later, *folders)
            stored["environment"]["after"] = {} if settings.tiny else machine.state()
            save(stored, args.out)
    if args.out is None:
        print(tables.report(stored))
    else:
        print(tables.summary(stored), f"written to {args.out}/gpu.json and {args.out}/gpu.md", sep="\n\n")
    return int(any(part["status"] != "passed" for part in stored["parts"].values() if part["status"] != "left out"))


def options(argv: list[str] | None) -> tuple[argparse.Namespace, Settings]:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python3 -m bench.gpu_check", description=__doc__)
    names = [part.name for part in PARTS]
    parser.add_argument("--out", type=Path, help="folder for gpu.json and gpu.md (default: bench/results)")
    parser.add_argument("--logs", type=Path, help="folder for each part's whole output (default: none is kept)")
    parser.add_argument("--only", nargs="+", choices=names, metavar="PART", help=f"of {', '.join(names)}")
    parser.add_argument("--budget", type=float, default=TOTAL, metavar="SECONDS", help=f"in all (default: {TOTAL:g})")
    parser.add_argument("--data", default=os.environ.get("GRADENGINE_DATA", ""), help="the folder that holds mnist/")
    parser.add_argument("--quick", action="store_true", help="fewer rounds of the measurements")
    parser.add_argument("--list", action="store_true", help="name the parts, and do nothing")
    parser.add_argument("--emulate", action="store_true", help="dry run on the tests' emulator, with tiny sizes")
    parser.add_argument("--device", default="cuda", help='another device; "cpu" tries this script out')
    args = parser.parse_args(argv)
    partial = args.quick or args.emulate or args.only or args.device == "cpu"
    if args.out is None and not partial:  # what is no full run replaces no stored result unless --out says where
        args.out = timing.RESULTS
    data = str(Path(args.data).absolute()) if args.data else ""
    return args, Settings(device=args.device, emulate=args.emulate, quick=args.quick, data=data)


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


def save(stored: dict[str, Any], folder: Path | None) -> None:
    """Write what is known so far."""
    if folder is not None:
        write(folder / "gpu.json", stored)
        write_text(folder / "gpu.md", tables.report(stored) + "\n")


if __name__ == "__main__":
    sys.exit(main())
