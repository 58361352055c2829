"""The project's own tests on the device, with their outcomes stored as they come.

pytest runs in this process (its workers, where pytest-xdist is installed, in others), so what has run when the time is
up is known. What says most comes first: see `order` in recorder.
"""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .parts import Settings
    from .report import Report

WORKERS = 12  # most of a test's time is the compiler's; some cores are left for what runs beside
MODE = "GRADENGINE_TEST_CUDA"  # tells the tests where "cuda" is
SYNCHRONOUS = "GRADENGINE_CUDA_SYNC"
FEW = {  # for a dry run, of each kind
    "tests/test_cases.py": "test_row and hypot",
    "tests/test_jit_cases.py": "test_row_in_single_precision and hypot",
    "tests/test_functional.py": "found_in_a_large_batch",
    "tests/test_reductions.py": "an_axis_out_of_range",
}


def run(report: Report, settings: Settings) -> None:
    """All tests that run on the device; a dry run takes a few."""
    if settings.tiny:
        place = "numpy" if settings.device == "cpu" else "cupy"
        chosen = [*FEW, "-k", f"({' or '.join(f'({words})' for words in FEW.values())}) and {place}"]
    else:
        chosen = ["tests"]
    tests(report, settings, chosen, WORKERS)


def again(report: Report, settings: Settings) -> None:
    """Those that have failed, with launches that are waited for, so that the right one is blamed for a fault."""
    if not settings.failed:
        report.fact("left out", "no test has failed in the first call")
        return
    os.environ[SYNCHRONOUS] = "1"
    tests(report, settings, list(settings.failed), 4)


def tests(report: Report, settings: Settings, chosen: list[str], workers: int) -> None:
    """Run these tests."""
    for package in ("pytest", "hypothesis"):
        if importlib.util.find_spec(package) is None:
            report.fact("left out", f"{package} is not installed")
            return
    import pytest

    from .recorder import Outcome

    command = list(chosen)
    if settings.device != "cpu":
        os.environ[MODE] = settings.emulation
        command += ["-m", "cuda"]
    # Warnings are errors in CI, where versions are known; here they are nobody's fault.
    command += ["-W", "default", "-p", "no:cacheprovider", "-q", "-p", "bench.gpu.recorder", "--tb", "short", "-r", "N"]
    if importlib.util.find_spec("xdist") is not None:
        workers = min(workers, os.cpu_count() or 1)
        # In order and a few at a time: when the time is up, what matters most has run.
        command += ["-n", "0"] if settings.tiny else ["-n", str(workers), "--dist", "load", "--maxschedchunk", "8"]
    else:
        report.note("pytest-xdist is not installed, so the tests run one after the other")
    outcome = Outcome(report)
    status = pytest.main(command, plugins=[outcome])
    outcome.finish()
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        report.add("pytest", False, f"ended with status {status!r}")
