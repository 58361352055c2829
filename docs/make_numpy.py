"""Write the table of docs/numpy_functions.md: what each NumPy function does with Tensors. `make docs` runs it."""

from __future__ import annotations

import sys
from pathlib import Path

import gradengine as ge
from docs import numpy_calls, numpy_walk
from docs.numpy_walk import Outcome

PAGE = Path(__file__).with_name("numpy_functions.md")
BEGIN, END = "<!-- table -->", "<!-- end of table -->"


def row(outcome: Outcome) -> str:
    """One function's line."""
    counts = outcome.counts
    refused = counts[numpy_walk.REFUSED]
    values = "typed error" if not counts[numpy_walk.EQUAL] else "NumPy's answer"
    if refused and counts[numpy_walk.EQUAL]:
        values += "; some arguments: typed error"
    if outcome.in_graph:
        grad = "in the graph" + ("; some arguments: typed error" if outcome.refused_grad else "")
    else:
        grad = "typed error" if outcome.refused_grad and not outcome.no_floats else "no gradient to have"
        if outcome.refused_grad and outcome.no_floats:
            grad = "typed error where floats would come back"
    return f"| `{outcome.name}` | {values} | {grad} |"


def table() -> str:
    """All lines, under their heading."""
    rows = [row(numpy_walk.walked(name, function)) for name, function in numpy_calls.public().items()]
    return "\n".join(["| Function | No Tensor requires grad | A Tensor requires grad |", "| --- | --- | --- |", *rows])


def compose(page: str, made: str) -> str:
    """The page with the table in its place."""
    for marker in (BEGIN, END):
        if page.count(marker) != 1:
            raise SystemExit(f"{PAGE.name} needs the line {marker} once")
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{made}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    ge.set_cpu_backend("numpy")
    PAGE.write_text(compose(PAGE.read_text(encoding="utf-8"), table()), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
