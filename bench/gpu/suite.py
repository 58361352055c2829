"""The project's own tests on the device, with their outcomes stored as they come.

pytest runs in this process (its workers, where pytest-xdist is installed, in others), so what has run when the time is
up is known.
"""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .parts import Settings
    from .report import Report

WORKERS = 16  # most of a test's time is the compiler's
MODE = "GRADENGINE_TEST_CUDA"  # tells the tests where "cuda" is: on the device, or emulated


CASES, JIT_CASES = ["test_cases.py"], ["test_jit_cases.py"]
NAMES = ("jit_training", "jit_over", "optim", "nn", "train", "random", "functional", "autodiff", "amp")
TRAINING = [f"test_{name}.py" for name in NAMES]


def cases(report: Report, settings: Settings) -> None:
    """The case table, eager."""
    tests(report, settings, CASES, "test_cases.py", "test_row and hypot")


def jit_cases(report: Report, settings: Settings) -> None:
    """The case table, jitted."""
    tests(report, settings, JIT_CASES, "test_jit_cases.py", "test_row_in_single_precision and hypot")


def training(report: Report, settings: Settings) -> None:
    """Training, layers, optimizers, random numbers."""
    tests(report, settings, TRAINING, "test_functional.py", "found_in_a_large_batch")


def others(report: Report, settings: Settings) -> None:
    """All else that runs on the device."""
    tests(report, settings, [], "test_reductions.py", "an_axis_out_of_range")


def tests(report: Report, settings: Settings, files: list[str], file: str, few: str) -> None:
    """The tests in these files that run on the device, or all in others; a dry run takes `few` of one file."""
    for package in ("pytest", "hypothesis"):
        if importlib.util.find_spec(package) is None:
            report.fact("left out", f"{package} is not installed")
            return
    import pytest

    from .recorder import Outcome

    command = [f"tests/{name}" for name in files]
    if settings.tiny:
        command = [f"tests/{file}", "-k", f"({few}) and {'numpy' if settings.device == 'cpu' else 'cupy'}"]
    elif not files:
        command = ["tests", *(f"--ignore=tests/{name}" for name in (*CASES, *JIT_CASES, *TRAINING))]
    if settings.device != "cpu":
        os.environ[MODE] = "emulator" if settings.emulate else "device"
        command += ["-m", "cuda and not slow"]
    # Warnings are errors in CI, where versions are known; here they are nobody's fault.
    command += ["-W", "default", "-p", "no:cacheprovider", "-q", "-p", "bench.gpu.recorder", "--tb", "short", "-r", "N"]
    workers = min(WORKERS, os.cpu_count() or 1)
    if importlib.util.find_spec("xdist") is not None:
        command += ["-n", "0"] if settings.tiny else ["-n", str(workers), "--dist", "worksteal"]
    else:
        report.note("pytest-xdist is not installed, so the tests run one after the other")
    outcome = Outcome(report)
    status = pytest.main(command, plugins=[outcome])
    outcome.finish()
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        report.add("pytest", False, f"ended with status {status!r}")
