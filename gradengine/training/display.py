"""What a run shows while it trains: a table that grows by a line per epoch, and on a terminal a progress bar below.

Written to a file or a pipe it is plain text.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from gradengine_kernels.progress import Listener

if TYPE_CHECKING:
    from collections.abc import Callable

HEADER = "  epoch  train loss  accuracy   test loss  accuracy   images/s     time     left"


class Standing(NamedTuple):
    """How far the epoch under way is, and what it has given so far."""

    epoch: int
    epochs: int
    images: int  # of `total` in this epoch
    total: int
    loss: float
    accuracy: float
    images_per_second: float
    seconds: float  # in this epoch
    seconds_left: float  # of the whole run; 0 while nobody knows


def duration(seconds: float) -> str:
    """A time in few characters.

    >>> duration(3.21), duration(75), duration(7262)
    ('3.2 s', '1:15 min', '2:01 h')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def row(standing: Standing, test: tuple[float, float] | None = None) -> str:
    """A line of the table; without test results, of an epoch that is under way."""
    if test is None:
        tested = f"{f'{standing.images / standing.total:.0%} of this epoch':>20}"
    else:
        tested = f"{number(test[0]):>10}{percent(test[1])}"
    left = duration(standing.seconds_left) if standing.seconds_left else ""
    return (
        f"{f'{standing.epoch}/{standing.epochs}':>7}  {number(standing.loss):>10}{percent(standing.accuracy)}  {tested}"
        f"  {standing.images_per_second:9,.0f} {duration(standing.seconds):>8} {left:>8}"
    ).rstrip()


def number(loss: float) -> str:
    """A loss in at most ten characters.

    >>> number(0.06251), number(7770215426145082408960.0)
    ('0.0625', '7.77e+21')
    """
    return f"{loss:.4f}" if loss < 1e4 else f"{loss:.4g}"


def percent(share: float) -> str:
    """A share in percent, ten characters wide."""
    return f"{100 * share:8.2f} %"


class Display:
    """Plain lines on stdout, none of them when `quiet`; warnings always, on stderr."""

    every = 10.0  # seconds between two calls of `progress`,
    apart = 10.0  # and between the line of an epoch and the next call

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet

    def say(self, text: str = "") -> None:
        """Print a line."""
        if not self.quiet:
            print(text, flush=True)

    def warn(self, text: str) -> None:
        """Print a line on stderr that cannot be overlooked."""
        print(f"gradengine: WARNING: {text}", file=sys.stderr, flush=True)

    def header(self) -> None:
        """Print the head of the table."""
        self.say(HEADER)

    def progress(self, standing: Standing) -> None:
        """Show how far the epoch is."""
        self.say(row(standing))

    def epoch(self, standing: Standing, test_loss: float, test_accuracy: float) -> None:
        """Show a finished epoch."""
        self.say(row(standing, (test_loss, test_accuracy)))

    def compilation(self, of: Callable[[], str] = lambda: "") -> Listener:
        """What shows that something compiles; `of` says for what it is at that moment."""
        return Listener() if self.quiet else Announcement(self, of)

    def close(self) -> None:
        """Stop showing progress."""


class Announcement(Listener):
    """A line for each compilation of the training step; kernels of a single op take no time worth a line."""

    def __init__(self, display: Display, of: Callable[[], str]) -> None:
        self.display, self.of, self.said = display, of, False

    def begin(self, what: str) -> None:
        self.said = False

    def report(self, done: int, total: int) -> None:
        if not self.said:
            self.said = True
            self.display.say(f"  compiling the training step{self.of()} ...")


class Bar(Display):
    """The same on a terminal, with a bar for the epoch under way; rich draws it."""

    every, apart = 0.1, 0.0  # an epoch may take less than the former

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self.console = Console(highlight=False, markup=False, emoji=False)
        self.bar = Progress(
            TextColumn("{task.description}", style="bold"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[figures]}"),
            console=self.console,
            expand=True,
            transient=True,
            auto_refresh=False,
        )
        self.task: Any = None

    def say(self, text: str = "") -> None:
        self.console.print(text, soft_wrap=True)

    def warn(self, text: str) -> None:
        from rich.console import Console

        Console(stderr=True).print(f"gradengine: WARNING: {text}", style="bold yellow", soft_wrap=True, markup=False)

    def header(self) -> None:
        self.console.print(HEADER, style="bold", soft_wrap=True)

    def progress(self, standing: Standing) -> None:
        left = f"  {duration(standing.seconds_left)} left" if standing.seconds_left else ""
        figures = (
            f"loss {number(standing.loss)}  {100 * standing.accuracy:.1f} %  "
            f"{standing.images_per_second:,.0f} images/s{left}"
        )
        shown: dict[str, Any] = dict(
            description=f"epoch {standing.epoch}/{standing.epochs}",
            total=standing.total,
            completed=standing.images,
            figures=figures,
        )
        if self.task is None:
            self.bar.start()
            self.task = self.bar.add_task(**shown)
        else:
            self.bar.update(self.task, **shown)
        self.bar.refresh()

    def compilation(self, of: Callable[[], str] = lambda: "") -> Listener:
        return CompilationBar(self)

    def close(self) -> None:
        if self.task is not None:
            # A terminal that has gone away is not a reason to lose what comes after.
            with contextlib.suppress(OSError):
                self.bar.stop()
            self.task = None


class CompilationBar(Listener):
    """A live line for what takes longer than a moment to compile: which kernel of how many, and for how long."""

    patience, every = 0.3, 0.1  # seconds until it appears, and between two pictures of it

    def __init__(self, display: Bar) -> None:
        self.display = display
        self.finished = threading.Event()
        self.drawn = threading.Thread()
        self.kernels = (0, 0, 0)

    def begin(self, what: str) -> None:
        self.finished.clear()
        self.kernels = (0, 0, 0)  # in programs that are finished, and of the one that is under way: done, total
        self.drawn = threading.Thread(target=self.draw, args=(time.perf_counter(),), daemon=True)
        self.drawn.start()

    def report(self, done: int, total: int) -> None:
        before, _, former = self.kernels
        self.kernels = before if done else before + former, done, total

    def end(self, what: str, seconds: float) -> None:
        self.finished.set()
        self.drawn.join()

    def draw(self, began: float) -> None:
        """Show the line until the compilation is finished."""
        if not self.finished.wait(self.patience):
            with contextlib.suppress(OSError):  # a terminal that has gone away
                self.show(began)

    def show(self, began: float) -> None:
        """Start the line, and keep it up to date."""
        bar = self.display.bar
        started = self.display.task is None  # nothing else is shown
        if started:
            bar.start()
        task = bar.add_task("compiling", total=None, figures="")
        while True:
            before, done, total = self.kernels
            which = f"kernel {before + min(done + 1, total)}" if total else ""
            if not before and total:  # of a step in several programs, nobody knows how many there will be
                which += f" of {total}"
            shown = f"{which}  {duration(time.perf_counter() - began)}"
            bar.update(task, total=None if before else total or None, completed=done, figures=shown)
            bar.refresh()
            if self.finished.wait(self.every):
                break
        bar.remove_task(task)
        bar.refresh()
        if started:
            bar.stop()


def choose(quiet: bool) -> Display:
    """A bar where stdout is a terminal that can move its cursor and rich is installed, else plain lines."""
    terminal = sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM", "") != "dumb"
    if quiet or not terminal or importlib.util.find_spec("rich") is None:
        return Display(quiet)
    return Bar()
