"""`python -m bench [startup] [dispatch] [train_step] [kernels] [jit] [accuracy]`: run, print tables, store the results.

`accuracy` trains for minutes and needs MNIST, so it runs only when it is named. `python -m bench readme` writes the
README's tables anew from the stored results. `--quick` cuts `jit` short, and then nothing is stored.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys

PARTS = ("startup", "dispatch", "train_step", "kernels", "jit")
ON_DEMAND = ("accuracy", "readme")
MODULES = {"jit": "jit_step"}  # where they have other names


def main() -> int:
    """Run the parts asked for (all of them by default)."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"which to run: {', '.join(PARTS + ON_DEMAND)}")
    parser.add_argument("--quick", action="store_true", help="`jit` alone: the headline and a few kernels")
    args = parser.parse_args()
    unknown = [part for part in args.parts if part not in PARTS + ON_DEMAND]
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; choose from {', '.join(PARTS + ON_DEMAND)}")
    if args.quick and args.parts != ["jit"]:
        parser.error("--quick is for `jit` alone")
    from . import readme, timing

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
        path = timing.write(part, rows)
        print(f"### {part}\n\n{getattr(module, 'table', timing.table)(rows)}\n\nwritten to {path}\n", flush=True)
    return 0


sys.exit(main())
