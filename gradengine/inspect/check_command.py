"""`gradengine check`: the case table on the user's own machine, as a table and as JSON."""

from __future__ import annotations

import json
import math
import platform
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import cuda
from .._version import __version__
from ..backend import devices
from ..cases import table
from ..errors import ArgumentError
from ..io.files import atomic_writer
from ..validation import close_to, did_you_mean
from .check import Result, check_case

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

DEFAULT = "gradengine-check.json"
COLUMNS = ("row", "backend", "forward", "1st order", "2nd order", "ULP apart", "")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--backend", action="append", help="check only this backend (may be repeated)")
    parser.add_argument("--op", action="append", help="check only the rows of this op (may be repeated)")
    parser.add_argument("--json", metavar="FILE", default=DEFAULT, help=f"where the results go (default: {DEFAULT})")
    parser.add_argument("--quiet", action="store_true", help="print failures and the summary only")


def run(args: argparse.Namespace) -> int:
    """Check, print, write; 0 when every row passed, 1 when one failed."""
    known = devices.backends()
    for name in args.backend or ():
        if name not in known:
            raise ArgumentError(f"--backend {name}: there is no {name!r}; choose from {', '.join(known)}")
        devices.load(name)
    cases = table()
    unknown = set(args.op or ()) - {case.op for case in cases}
    if unknown:
        meant = did_you_mean([near for name in sorted(unknown) for near in close_to(name, {case.op for case in cases})])
        raise ArgumentError(
            f"--op: no row is named {', '.join(sorted(unknown))}{meant}; the rows are named after the ops, such as tanh"
        )
    cases = [case for case in cases if not args.op or case.op in args.op]
    require_place(Path(args.json))
    names = args.backend or [name for name, status in known.items() if status == "available"]
    results = [result for name in names for result in progress(cases, name, args.quiet)]
    failed = [result for result in results if not result.passed]
    show(failed if args.quiet else results)
    write_json(Path(args.json), results)
    print(f"written to {args.json}")
    for name, status in known.items():
        if status != "available":
            print(f"not checked: {name}: {status}")
    if find_spec("scipy") is None:
        print("SciPy is not installed: rows whose reference it gives show no forward error")
    print(f"{len(cases)} rows on {', '.join(names)}: {len(results) - len(failed)} passed, {len(failed)} failed")
    for result in failed:
        print(f"FAILED {result.case} on {result.backend}: {'; '.join(result.failures)}", file=sys.stderr)
    return 1 if failed else 0


def require_place(path: Path) -> None:
    """Raise ArgumentError for a file that cannot be written, before the rows are checked, which takes minutes."""
    if path.is_dir():
        raise ArgumentError(f"--json {path}: it is a folder; name a file in it, such as {path / DEFAULT}")
    if not path.parent.is_dir():
        raise ArgumentError(f"--json {path}: there is no folder {path.parent}; create it, or choose another file")


def progress(cases: Sequence[Any], backend: str, quiet: bool) -> list[Result]:
    """The results of one backend, with a progress bar where there is a terminal and rich to draw it."""
    if sys.stderr.isatty() and not quiet:
        try:
            from rich.console import Console
            from rich.progress import track
        except ImportError:
            pass
        else:
            steps = track(cases, description=f"checking {backend}", console=Console(stderr=True), transient=True)
            return [check_case(case, backend) for case in steps]
    return [check_case(case, backend) for case in cases]


def cells(result: Result) -> list[str]:
    """One result as the texts of a row."""

    def error(value: float | None) -> str:
        return "-" if value is None else f"{value:.1e}"

    ulp = "-" if result.ulp is None else str(result.ulp)
    verdict = "ok" if result.passed else "FAILED"
    return [result.case, result.backend, error(result.forward), error(result.first), error(result.second), ulp, verdict]


def show(results: Sequence[Result]) -> None:
    """Print the results as a table: rich's on a terminal, plain columns otherwise."""
    rows = [cells(result) for result in results]
    if not rows:
        return
    if sys.stdout.isatty():
        try:
            from rich.console import Console
            from rich.table import Table
        except ImportError:
            pass
        else:
            grid = Table(title=f"gradengine {__version__}: worst error of each row, relative to its largest element")
            for i, column in enumerate(COLUMNS):
                grid.add_column(column, justify="left" if i < 2 else "right")
            for row in rows:
                grid.add_row(*row, style=None if row[-1] == "ok" else "bold red")
            Console().print(grid)
            return
    widths = [max(len(row[i]) for row in [list(COLUMNS), *rows]) for i in range(len(COLUMNS))]
    for row in [list(COLUMNS), *rows]:
        print(
            "  ".join(
                text.ljust(w) if i < 2 else text.rjust(w) for i, (text, w) in enumerate(zip(row, widths, strict=True))
            )
        )


def write_json(path: Path, results: Sequence[Result]) -> None:
    """Write the results and what they were measured on, in one piece or not at all."""

    def number(value: Any) -> Any:
        return value if value is None or math.isfinite(value) else str(value)

    document = {
        "gradengine": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": f"{platform.machine()} {platform.system()}",
        "backends": devices.backends(),
        "gpus": cuda.names(),
        "results": [
            {
                "row": r.case,
                "backend": r.backend,
                "forward": number(r.forward),
                "first": number(r.first),
                "second": number(r.second),
                "ulp": r.ulp,
                "failures": r.failures,
            }
            for r in results
        ],
    }
    try:
        with atomic_writer(path) as file:
            file.write(f"{json.dumps(document, indent=1)}\n".encode())
    except OSError as error:
        raise ArgumentError(
            f"--json {path}: cannot write it ({error.strerror or error}); choose another file"
        ) from None
