"""`python -m bench [startup] [dispatch] [train_step] [kernels] [jit] [accuracy]`: run, print tables, store the results.

Results go into a new folder, runs/bench-<time>, or into --out. Only --update replaces those in the repository, and
rewrites the README's tables from them; `python -m bench readme` does the latter alone. `accuracy` trains for minutes
and needs MNIST, so it runs only when it is named. `--quick` cuts `jit` short, and then nothing is stored.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from pathlib import Path
from typing import NoReturn

PARTS = ("startup", "dispatch", "train_step", "kernels", "jit")
ON_DEMAND = ("accuracy", "readme")
MODULES = {"jit": "jit_step"}  # where they have other names


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as those of `gradengine`."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"gradengine: error: {message} (see {self.prog} --help)\n")


def main() -> int:
    """Run the parts asked for (all of them by default)."""
    parser = Parser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"which to run: {', '.join(PARTS + ON_DEMAND)}")
    parser.add_argument("--quick", action="store_true", help="`jit` alone: the headline and a few kernels")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the results (default: runs/bench-<time>)")
    parser.add_argument("--update", action="store_true", help="replace the results in bench/results and the README")
    args = parser.parse_args()
    unknown = [part for part in args.parts if part not in PARTS + ON_DEMAND]
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; choose from {', '.join(PARTS + ON_DEMAND)}")
    if args.quick and args.parts != ["jit"]:
        parser.error("--quick is for `jit` alone")
    if args.update and (args.out or args.quick):
        parser.error("--update writes to bench/results: leave out --out and --quick")
    from . import readme, timing

    folder = timing.RESULTS if args.update else args.out or Path("runs") / f"bench-{time.strftime('%Y%m%d-%H%M%S')}"
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    for part in args.parts or PARTS:
        if part == "readme":
            readme.update()
            continue
        module = importlib.import_module(f"bench.{MODULES.get(part, part)}")
        if args.quick:
            print(module.table(module.rows(quick=True)))
            continue
        rows = module.rows()
        path = timing.write(part, rows, folder)
        print(f"### {part}\n\n{getattr(module, 'table', timing.table)(rows)}\n\nwritten to {path}\n", flush=True)
    if args.update:
        readme.update()
    return 0


if __name__ == "__main__":
    sys.exit(main())
