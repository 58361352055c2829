"""Test accuracy of the models that `gradengine train` offers, on MNIST, seed by seed. Needs the MNIST files."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SEEDS = {"mlp": range(5), "16x16": range(5), "nielsen": range(3)}


def train(model: str, seed: int, folder: Path) -> dict[str, Any]:
    """The last epoch's metrics of one run with the model's own defaults."""
    options = ["--dataset", "mnist", "--model", model, "--seed", str(seed), "--out", str(folder)]
    command = [sys.executable, "-m", "gradengine", "train", "--quiet", "--no-pictures", *options]
    subprocess.run(command, check=True)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "test_accuracy" in line][-1]


def rows() -> list[dict[str, Any]]:
    """A row per model: test accuracy of each seed in percent, and the mean."""
    found = []
    for model, seeds in SEEDS.items():
        with tempfile.TemporaryDirectory() as folder:
            last = [train(model, seed, Path(folder) / str(seed)) for seed in seeds]
        percent = [100 * line["test_accuracy"] for line in last]
        found.append({"row": model, "epochs": last[0]["epoch"], "percent": percent, "mean": statistics.mean(percent)})
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = ["| `--model` | epochs | mean test accuracy | each seed |", "| --- | ---: | ---: | --- |"]
    for row in rows:
        each = ", ".join(f"{value:.2f}" for value in row["percent"])
        lines.append(f"| `{row['row']}` | {row['epochs']} | {row['mean']:.2f} % | {each} |")
    return "\n".join(lines)
