"""compute-sanitizer over a small script, a tool at a time: reads and writes out of bounds (memcheck), races in shared
memory (racecheck), reads of memory that nobody has written to (initcheck)."""

from __future__ import annotations

import shutil
import site
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from . import sanitized

if TYPE_CHECKING:
    from .parts import Settings
    from .report import Report

FOUND = 86  # the exit status that says that the tool has found something
REFUSED = ("Device not supported", "not supported on this", "Unable to find")  # what it says where it cannot work
FOLDERS = ("/usr/local/cuda*/bin", "/usr/local/cuda*/compute-sanitizer", "/opt/nvidia/*", "/opt/nvidia/*/*")


def memcheck(report: Report, settings: Settings) -> None:
    """Accesses."""
    run(report, settings, "memcheck")


def racecheck(report: Report, settings: Settings) -> None:
    """Races."""
    run(report, settings, "racecheck")


def initcheck(report: Report, settings: Settings) -> None:
    """Memory that is read before it is written."""
    run(report, settings, "initcheck")


def run(report: Report, settings: Settings, tool: str) -> None:
    """The script under one tool. A dry run has the script by itself, to which CUDA's tools mean nothing."""
    if settings.tiny:
        report.check("the script by itself", lambda: sanitized.main(settings))
        return
    program = find()
    if program is None:
        report.fact("left out", "there is no compute-sanitizer here")
        return
    report.check(tool, lambda: under(report, program, tool, settings))


def find() -> str | None:
    """Where compute-sanitizer is."""
    name = "compute-sanitizer"
    if found := shutil.which(name):
        return found
    packages = [Path(folder) / "nvidia" for folder in site.getsitepackages()]
    places = [*(Path("/").glob(pattern[1:]) for pattern in FOLDERS), *(p.glob("*/bin") for p in packages)]
    return next((str(folder / name) for place in places for folder in place if (folder / name).is_file()), None)


def under(report: Report, program: str, tool: str, settings: Settings) -> str:
    """What the tool says. Raises when it has found something, or did not end well."""
    ours = [program, "--tool", tool, "--error-exitcode", str(FOUND), "--print-limit", "20"]
    if tool == "memcheck":  # libraries ask the driver for what it may not have, and do without
        ours += ["--report-api-errors", "no"]
    command = [*ours, sys.executable, "-m", "bench.gpu.sanitized", settings.text()]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=max(5.0, report.left() - 3))
    except subprocess.TimeoutExpired as error:
        print((error.stdout or b"").decode(errors="replace"))  # what it has found by then
        raise TimeoutError(f"not done after {error.timeout:.0f} s") from None
    said = done.stdout + done.stderr
    print(said)
    if any(text in said for text in REFUSED):
        report.note(f"{tool} cannot work here: {next(text for text in REFUSED if text in said)}")
        return "not possible here"
    summary = [line.strip("= ") for line in said.splitlines() if "SUMMARY" in line]
    if done.returncode or not summary:
        first = [line.strip("= ") for line in said.splitlines() if "=====" in line and line.strip("= \n")][:6]
        raise RuntimeError(f"status {done.returncode}: {'; '.join(summary + first)}"[:600])
    return summary[-1]
