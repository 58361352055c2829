"""One part's process: `python -m bench.gpu.child NAME RESULT LIMIT SETTINGS`, where the settings are JSON."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path

from .parts import PARTS, Settings
from .report import Report, described


def main() -> None:
    """Run the part. What it raises is noted and goes to standard error, and the status says so."""
    name, path, limit, settings = sys.argv[1:]
    part = next(part for part in PARTS if part.name == name)
    report = Report(Path(path), float(limit))
    report.save()
    try:
        getattr(importlib.import_module(f"bench.gpu.{part.module}"), part.function)(report, Settings.read(settings))
    except Exception as error:
        report.found["error"] = described(error)
        traceback.print_exc()
        sys.exit(1)
    finally:
        report.save()


if __name__ == "__main__":
    main()
