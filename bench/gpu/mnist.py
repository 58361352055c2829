"""MNIST on the GPU: the model `mlp` with its own options until 97.5 % of the test pictures are right.

Training time is that of the passes over the training pictures, synchronised, once everything is compiled; compile time
is that of a first call with a few batches. Then the command line trains once from start to end.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .parts import Settings
    from .report import Report

GOAL, SECONDS, EPOCHS = 97.5, 1.0, 10


def run(report: Report, settings: Settings) -> None:
    """Training by `over`, then by the command."""
    settings.prepare()
    import gradengine as ge

    if settings.tiny:
        rng = np.random.default_rng(0)
        images, labels = rng.standard_normal((160, 784), np.float32), rng.integers(0, 10, 160)
        report.check("training", lambda: train(report, settings, ge, (images, labels), (images, labels), 0.0))
        return
    if not settings.data or not (Path(settings.data) / "mnist").is_dir():
        report.fact("left out", "no MNIST here: --data names the folder that holds mnist/")
        return
    data = ge.data.mnist(settings.data, fetch=False, progress=False)
    train_set, test_set = (data.arrays(part, flatten=True, normalize=True) for part in ("train", "test"))
    report.check("training", lambda: train(report, settings, ge, train_set, test_set, GOAL))
    report.check(f"gradengine train --device {settings.device}", lambda: command(report, settings))


def train(report: Report, settings: Settings, ge: Any, train_set: Any, test_set: Any, goal: float) -> str:
    """Train until the accuracy is reached; says how it went."""
    from gradengine.training import models, options

    chosen = options.resolve({"model": "mlp", "device": settings.device}, dataset="mnist", backend="numpy")
    recipe = models.RECIPES["mlp"]
    ge.manual_seed(chosen.seed)
    model = models.build(recipe, 784, 10).to(settings.device)
    optimizer = models.make_optimizer(chosen, model)
    schedule = models.make_schedule(chosen, optimizer, -(-len(train_set[0]) // chosen.batch_size)).scheduler
    images, labels, test_images = (ge.asarray(a) for a in (*train_set, test_set[0]))

    @ge.jit
    def step(x: Any, y: Any) -> Any:
        loss = recipe.loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    def one_pass(count: int | None = None) -> float:
        order = ge.randperm(len(images))[:count]
        settings.synchronize()
        start = time.perf_counter()
        step.over(images, labels, batch_size=chosen.batch_size, order=order)
        settings.synchronize()
        return time.perf_counter() - start

    # Two whole batches and the smaller one that an epoch ends with; what they train is little.
    report.fact("compile seconds", one_pass(2 * chosen.batch_size + len(images) % chosen.batch_size))
    compiled, total, accuracy = step.cache_info().misses, 0.0, 0.0
    for epoch in range(1, EPOCHS + 1):
        seconds = one_pass()
        total += seconds
        with ge.no_grad():
            predicted = model(test_images).numpy().argmax(axis=1)
        accuracy = 100 * float((predicted == test_set[1]).mean())
        if schedule is not None:
            schedule.step()
        report.row(f"epoch {epoch}", seconds=seconds, **{"test accuracy, %": accuracy})
        if accuracy >= goal:
            break
    again = step.cache_info().misses - compiled
    if again:
        report.note(f"{again} programs were compiled after the first calls")
    if not settings.tiny:
        reached = total if accuracy >= goal else None
        report.target(f"MNIST, mlp: seconds of training to {goal} % test accuracy", reached, most=SECONDS)
    return f"{accuracy:.2f} % after {epoch} epochs"


def command(report: Report, settings: Settings) -> str:
    """`gradengine train` as a user runs it: seconds of all, of its epochs, and the accuracy."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--dataset", "mnist", "--model", "mlp", "--device", settings.device, "--out", folder]
        line = [sys.executable, "-m", "gradengine", "train", "--quiet", "--no-pictures", *options]
        start = time.perf_counter()
        done = subprocess.run(line, capture_output=True, text=True)
        seconds = time.perf_counter() - start
        if done.returncode:
            raise RuntimeError(done.stderr.strip()[-300:])
        lines = [json.loads(text) for text in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if "test_accuracy" in line]
    report.row("the command, all of it", seconds=seconds, **{"test accuracy, %": 100 * epochs[-1]["test_accuracy"]})
    for line in epochs:
        accuracy = 100 * line["test_accuracy"]
        report.row(f"the command, epoch {line['epoch']}", seconds=line["seconds"], **{"test accuracy, %": accuracy})
    return f"{100 * epochs[-1]['test_accuracy']:.2f} % after {len(epochs)} epochs"
