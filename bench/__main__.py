"""`python -m bench [startup] [dispatch] [train_step] [kernels] [accuracy]`: run, print tables, store the results.

`accuracy` trains for minutes and needs MNIST, so it runs only when it is named. With `--readme` the README's tables
are written anew from the stored results, after running nothing.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys

PARTS = ("startup", "dispatch", "train_step", "kernels")
ON_DEMAND = ("accuracy",)


def main() -> int:
    """Run the parts asked for (all of them by default)."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"which to run: {', '.join(PARTS + ON_DEMAND)}")
    parser.add_argument("--readme", action="store_true", help="only write the README's table from the stored results")
    args = parser.parse_args()
    unknown = [part for part in args.parts if part not in PARTS + ON_DEMAND]
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; choose from {', '.join(PARTS + ON_DEMAND)}")
    from . import readme, timing

    if not args.readme:
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        for part in args.parts or PARTS:
            module = importlib.import_module(f"bench.{part}")
            rows = module.rows()
            path = timing.write(part, rows)
            print(f"### {part}\n\n{getattr(module, 'table', timing.table)(rows)}\n\nwritten to {path}\n", flush=True)
    readme.update()
    return 0


sys.exit(main())
