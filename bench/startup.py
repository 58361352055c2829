"""What `import gradengine` adds to `import numpy`, as whole processes in turns."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Any


def once(statement: str) -> float:
    """Seconds that a new interpreter takes for a statement."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def rows(rounds: int = 15) -> list[dict[str, Any]]:
    """One row: medians of both, and of the difference pair by pair (in microseconds, like every row)."""
    statements = {"import numpy": "import numpy", "import gradengine": "import gradengine"}
    for statement in statements.values():
        once(statement)
    pairs = [{name: once(statement) for name, statement in statements.items()} for _ in range(rounds)]
    medians = {name: statistics.median(pair[name] for pair in pairs) * 1e6 for name in statements}
    extra = statistics.median(pair["import gradengine"] - pair["import numpy"] for pair in pairs) * 1e6
    return [{"row": "start", "microseconds": {**medians, "difference": extra}, "best_peer": None, "ratio": None}]
