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


def cases(report: Report, settings: Settings) -> None:
    """The case table, eager."""
    tests(report, settings, ["test_cases.py"], "tanh or softmax")


def jit_cases(report: Report, settings: Settings) -> None:
    """The case table, jitted."""
    tests(report, settings, ["test_jit_cases.py"], "test_row_in_single_precision and tanh")


def training(report: Report, settings: Settings) -> None:
    """Training, layers, optimizers, random numbers."""
    names = ["jit_training", "jit_over", "optim", "nn", "train", "random", "functional", "products", "autodiff"]
    tests(report, settings, [f"test_{name}.py" for name in names], "test_optim and sgd")


def tests(report: Report, settings: Settings, files: list[str], few: str) -> None:
    """The tests of these files that run on the device; a dry run takes those that match `few`."""
    if importlib.util.find_spec("pytest") is None:
        report.fact("left out", "pytest is not installed")
        return
    import pytest

    from .recorder import Outcome

    backend = "numpy" if settings.device == "cpu" else "cupy"
    wanted = f"{backend} and ({few})" if settings.tiny else backend
    os.environ[MODE] = "emulator" if settings.emulate else "device"
    # Warnings are errors in CI, where versions are known; here they are nobody's fault.
    command = [f"tests/{name}" for name in files] + ["-k", wanted, "-W", "default", "-p", "no:cacheprovider", "-q"]
    command += ["-p", "bench.gpu.recorder", "--tb", "short", "-r", "N"]
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
