"""What a part has found so far, stored after each thing that it finds, so that a part that is killed loses nothing."""

from __future__ import annotations

import json
import math
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TRACE = 1500  # characters of a traceback that are kept


class Report:
    """The numbers of one part.

    A check is one thing that works or does not; a row is a line of a table; a target compares a number with what is
    asked for. A missed target is no failure.
    """

    def __init__(self, path: Path, limit: float = float("inf")) -> None:
        self.path, self.end = path, time.monotonic() + limit
        self.found: dict[str, Any] = {"checks": [], "rows": [], "targets": [], "notes": [], "facts": {}}
        self.last_save = 0.0

    def left(self) -> float:
        """Seconds until the part is ended."""
        return self.end - time.monotonic()

    def check(self, name: str, function: Callable[[], Any]) -> bool:
        """Run one check; what it raises is its failure, and what it returns is noted. The part goes on."""
        start = time.perf_counter()
        said, ok, trace = "", True, ""
        try:
            result = function()
            said = "" if result is None else str(result)
        except Exception as error:
            ok, said, trace = False, described(error), traceback.format_exc()[-TRACE:]
            print(f"--- {name}\n{trace}", file=sys.stderr)
        self.add(name, ok, said, round(time.perf_counter() - start, 3), trace)
        self.save()
        return ok

    def add(self, name: str, ok: bool, said: str = "", seconds: float = 0.0, trace: str = "") -> None:
        """Note the outcome of a check that ran elsewhere."""
        check: dict[str, Any] = {"name": name, "ok": ok, "said": said, "seconds": seconds}
        self.found["checks"].append({**check, "trace": trace} if trace else check)
        self.save()

    def attempt(self, name: str, function: Callable[[], Any], required: bool = False) -> Any:
        """What the function returns, or None when it fails: a remark for peers, for what is `required` a failure."""
        try:
            return function()
        except Exception as error:
            trace = traceback.format_exc()[-TRACE:]
            print(f"--- {name}\n{trace}", file=sys.stderr)
            if required:
                self.add(name, False, described(error), trace=trace)
            else:
                self.note(f"{name}: {described(error)}")
            return None

    def row(self, title: str, **columns: Any) -> None:
        """Add a line to the part's table."""
        self.found["rows"].append({"row": title, **columns})
        self.save()

    def target(self, name: str, value: float | None, *, least: float | None = None, most: float | None = None) -> None:
        """Compare a number with what it has to be; None is a number that could not be had. The same name replaces."""
        met = value is not None and math.isfinite(value)
        met = met and (least is None or value >= least) and (most is None or value <= most)  # type: ignore[operator]
        needed = f"at least {least:g}" if least is not None else f"at most {most:g}"
        target = {"name": name, "value": value, "needed": needed, "met": met}
        targets = self.found["targets"]
        at = next((i for i, former in enumerate(targets) if former["name"] == name), len(targets))
        targets[at : at + 1] = [target]
        self.save()

    def note(self, text: str) -> None:
        """Add a remark."""
        self.found["notes"].append(text)
        self.save()

    def fact(self, name: str, value: Any) -> None:
        """Set a number that stands by itself; it may be set again."""
        self.found["facts"][name] = value
        if time.monotonic() - self.last_save > 0.2:
            self.save()

    def save(self) -> None:
        """Store everything, in one piece."""
        write(self.path, self.found)
        self.last_save = time.monotonic()


def described(error: BaseException) -> str:
    """An error in one line."""
    lines = [line.strip() for line in f"{type(error).__name__}: {error}".splitlines() if line.strip()]
    return " / ".join(lines[:3])[:300]


def write(path: Path, value: Any) -> None:
    """Store JSON in one piece."""
    write_text(path, json.dumps(value, indent=1, default=str) + "\n")


def write_text(path: Path, text: str) -> None:
    """Store text in one piece."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)
