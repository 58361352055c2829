"""`python -m bench [dispatch] [train_step] [kernels] [startup]`: run, print as Markdown, write bench/results/*.json.

With `--readme` the README's table is written anew from the results, after running nothing.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys

PARTS = ("startup", "dispatch", "train_step", "kernels")


def main() -> int:
    """Run the parts asked for (all of them by default)."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"which to run: {', '.join(PARTS)} (default: all)")
    parser.add_argument("--readme", action="store_true", help="only write the README's table from the stored results")
    args = parser.parse_args()
    unknown = [part for part in args.parts if part not in PARTS]
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; choose from {', '.join(PARTS)}")
    from . import readme, timing

    if not args.readme:
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        for part in args.parts or PARTS:
            rows = importlib.import_module(f"bench.{part}").rows()
            path = timing.write(part, rows)
            print(timing.table(part, rows), f"\n\nwritten to {path}\n", flush=True)
    readme.update()
    return 0


sys.exit(main())
