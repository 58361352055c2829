"""Plugins of pytest: tests come in order of what they say, the main process counts the outcomes, and a worker whose
device context is lost ends.

After a fault in a kernel every later call in the same process fails, so the rest of that worker's tests would say
nothing; pytest-xdist starts another worker for them.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .report import Report

LISTED = 60  # failures that are kept, with the end of what each says
ENDING = 700  # characters
LOST = (
    "IllegalAddress",
    "illegal memory access",
    "LaunchFailure",
    "MisalignedAddress",
    "FaultError",
    "CUDA_ERROR_ILLEGAL",
)

TABLES = ("test_cases.py", "test_jit_cases.py")
TRAINING = tuple(
    f"test_{name}.py"
    for name in ("jit_training", "jit_over", "optim", "nn", "train", "random", "functional", "autodiff", "amp")
)
SLOW = "slow"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Put first what says most, and leave out what is slow for another reason than its kernels, which rows are not."""
    dropped = [item for item in items if item.get_closest_marker(SLOW) and item.path.name not in TABLES]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
    items[:] = sorted([item for item in items if item not in dropped], key=order)


def order(item: Any) -> int:
    """One or two rows of each family of the tables, training, all else, and then the tables' other rows."""
    if item.path.name in TABLES:
        return 3 if item.get_closest_marker(SLOW) else 0
    return 1 if item.path.name in TRAINING else 2


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: Any) -> None:
    """End this worker when a test says that the context is lost; the report of that test is sent by then."""
    if not report.failed or "PYTEST_XDIST_WORKER" not in os.environ:
        return
    if any(word in str(report.longrepr) for word in LOST):
        print(f"{report.nodeid}: the device context is lost", file=sys.stderr, flush=True)
        os._exit(3)


class Outcome:
    """Counts the outcomes and keeps what failed; a plugin of pytest's main process."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        self.failed: list[str] = []

    def pytest_collection_finish(self, session: Any) -> None:
        """How many there are, without pytest-xdist."""
        self.report.fact("tests", len(session.items))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: Any) -> None:
        """How many there are, with it: the main process itself collects nothing."""
        self.report.fact("tests", len(ids))

    def pytest_collectreport(self, report: Any) -> None:
        """A file that cannot be imported, or leaves itself out."""
        if report.failed:
            self.report.add(f"collecting {report.nodeid}", False, ending(report))
        elif report.skipped:
            self.report.note(f"{report.nodeid} is left out: {report.longrepr[2]}")

    def pytest_runtest_logreport(self, report: Any) -> None:
        """One phase of one test: its outcome counts if it is the call, or if nothing was called."""
        if report.when == "call" or report.outcome != "passed":
            self.counts[report.outcome] += 1
            self.report.fact(report.outcome, self.counts[report.outcome])
        if report.failed:
            self.failed.append(report.nodeid)
            self.report.found["failed tests"] = self.failed
            if len(self.failed) <= LISTED:
                name = report.nodeid.removeprefix("tests/")
                trace = str(report.longrepr)
                self.report.add(name, False, ending(report), round(report.duration, 2), trace[-ENDING:])

    def finish(self) -> None:
        """One check stands for all that passed; the rest of what failed is named."""
        if self.counts["passed"]:
            self.report.add(f"{self.counts['passed']} tests", True)
        if len(self.failed) > LISTED:
            self.report.note(f"also failed: {' '.join(self.failed[LISTED:])[:4000]}")
        for outcome, count in self.counts.items():
            self.report.fact(outcome, count)
        self.report.save()


def ending(report: Any) -> str:
    """The line that says what went wrong."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[:2] if crash is not None else lines[-2:])[:300]
