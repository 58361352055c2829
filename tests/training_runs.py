"""What the tests of training share: running the command, stopping it in a step, and comparing two runs bit by bit."""

import json
from pathlib import Path

import numpy as np

from gradengine import cli
from gradengine.core.tensor_class import Tensor
from gradengine.io import load_checkpoint
from gradengine.training import loop, metrics, options

STEPS = 46  # in an epoch of the digits, batch size 32
BASE = ["train", "--no-pictures", "--quiet"]


def train(*arguments, status=0):
    """The command; it ends with this status."""
    assert cli.main([*BASE, *map(str, arguments)]) == status


def on(backend):
    """The options that choose a backend: its name, or its device."""
    return ["--device", "cuda"] if backend == "cupy" else ["--backend", backend]


def chosen_on(backend, **given):
    """The options of a run on the digits, as Trainer takes them."""
    given = {**given, **({"device": "cuda"} if backend == "cupy" else {})}
    return options.resolve(given, dataset="digits", backend="numpy" if backend == "cupy" else backend)


def fails(capsys, *arguments, status):
    """The one line with which the command fails."""
    train(*arguments, status=status)
    err = capsys.readouterr().err
    assert err.startswith("gradengine: error: ")
    assert err.count("\n") == 1
    return err


def lines(folder):
    """The metrics without what the clock says."""
    records = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in record.items() if key not in metrics.TIMES} for record in records]


def content(folder):
    """All that the checkpoint holds, without what the clock says."""
    tensors, rest = load_checkpoint(Path(folder) / "checkpoint.safetensors")
    text = rest.pop("metrics").tobytes()
    assert text == (Path(folder) / "metrics.jsonl").read_bytes()
    del rest["sums"]["seconds"]
    return tensors, rest


def same(a, b):
    """Equal in type and in every bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (Tensor, np.ndarray)):
        a, b = np.asarray(a), np.asarray(b)
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def assert_same_run(a, b):
    (tensors_a, rest_a), (tensors_b, rest_b) = content(a), content(b)
    assert same(tensors_a, tensors_b)
    assert rest_a.keys() == rest_b.keys()
    for key in rest_a:
        assert same(rest_a[key], rest_b[key]), key
    assert lines(a) == lines(b)


class Crash(BaseException):
    """What kill -9 does: nothing that the program has planned for runs any more."""


def at_step(monkeypatch, step, action):
    """Do something in the middle of a step, once."""
    plain = loop.Trainer._train_step
    done = []

    def train_step(self, *batch):
        if self.step == step and not done:
            done.append(step)
            action()
        return plain(self, *batch)

    monkeypatch.setattr(loop.Trainer, "_train_step", train_step)


def crash():
    raise Crash
