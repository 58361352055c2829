"""A run that is stopped and goes on is bit for bit the one that was never stopped; what runs write; what they learn."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gradengine as ge
from gradengine import cli
from gradengine.data import ImageData, digits
from gradengine.io import load_checkpoint
from gradengine.tensor import Tensor
from gradengine.training import loop, metrics, models, options, pictures, signals, state

for package in ("safetensors", "sklearn"):
    pytest.importorskip(package)

STEPS = 46  # in an epoch of the digits, batch size 32
BASE = ["train", "--no-pictures", "--quiet"]


def train(*arguments, status=0):
    assert cli.main([*BASE, *map(str, arguments)]) == status


# -- comparing runs -------------------------------------------------------------------------------------------------


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


def test_the_comparison_can_fail(tmp_path):
    train("--dataset", "digits", "--backend", "numpy", "--epochs", 1, "--out", tmp_path / "a")
    train("--dataset", "digits", "--backend", "numpy", "--epochs", 1, "--seed", 1, "--out", tmp_path / "b")
    with pytest.raises(AssertionError):
        assert_same_run(tmp_path / "a", tmp_path / "b")
    assert not same(np.zeros(2), -np.zeros(2))
    assert not same({"a": 1}, {"a": 1.0})


# -- stopping and going on ------------------------------------------------------------------------------------------

KINDS = {
    "adam": [],
    "momentum and onecycle": ["--optimizer", "sgd", "--schedule", "onecycle", "--lr", "0.1"],
    "rmsprop and cosine": ["--optimizer", "rmsprop", "--momentum", "0.5", "--schedule", "cosine", "--log-every", "7"],
    "adadelta and linear": ["--optimizer", "adadelta", "--schedule", "linear", "--model", "16x16"],
    "adamw and step": ["--optimizer", "adamw", "--schedule", "step", "--step-size", "1", "--weight-decay", "0.1"],
    "nielsen": ["--model", "nielsen", "--batch-size", "32"],
    "adagrad": ["--optimizer", "adagrad", "--schedule", "none", "--seed", "12345678901234567890"],
}


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


@pytest.mark.parametrize("kind", KINDS)
def test_stopped_by_a_signal(tmp_path, monkeypatch, capsys, rng, backend, kind):
    line = ["--dataset", "digits", "--backend", backend, "--epochs", 3, *KINDS[kind]]
    train(*line, "--out", tmp_path / "whole")
    step = int(rng.integers(3 * STEPS - 1))
    at_step(monkeypatch, step, lambda: signal.raise_signal(signal.SIGINT))
    stopped = tmp_path / "a run"
    at_the_end = (step + 1) % STEPS == 0  # then the epoch is finished first
    train(*line, "--out", stopped, status=130)
    rest = load_checkpoint(stopped / "checkpoint.safetensors")[1]
    assert (rest["step"], rest["epoch"]) == (step + 1, (step + 1) // STEPS)
    assert rest["sums"]["images"] == (0 if at_the_end else 32 * ((step + 1) % STEPS))
    err = capsys.readouterr().err
    assert f"step {step + 1} and saved" in err
    assert f"gradengine train --resume '{stopped}'" in err
    train("--resume", stopped)
    assert_same_run(tmp_path / "whole", stopped)


@pytest.mark.parametrize("step", [0, STEPS - 1, STEPS, 2 * STEPS - 1])
def test_stopped_at_the_edge_of_an_epoch(tmp_path, monkeypatch, step):
    line = ["--dataset", "digits", "--backend", "numpy", "--epochs", 3, "--log-every", 5]
    train(*line, "--out", tmp_path / "whole")
    at_step(monkeypatch, step, lambda: signal.raise_signal(signal.SIGTERM))
    train(*line, "--out", tmp_path / "run", status=143)
    train("--resume", tmp_path / "run")
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_a_signal_in_the_last_step_stops_nothing(tmp_path, monkeypatch):
    line = ["--dataset", "digits", "--backend", "numpy", "--epochs", 1]
    train(*line, "--out", tmp_path / "whole")
    at_step(monkeypatch, STEPS - 1, lambda: signal.raise_signal(signal.SIGINT))
    train(*line, "--out", tmp_path / "run")
    assert_same_run(tmp_path / "whole", tmp_path / "run")


@pytest.mark.parametrize("every", [0, 10])
@pytest.mark.parametrize("kind", ["adam", "momentum and onecycle"])
def test_crashed_in_a_step(tmp_path, monkeypatch, rng, backend, kind, every):
    line = ["--dataset", "digits", "--backend", backend, "--epochs", 3, "--log-every", 1, *KINDS[kind]]
    line += ["--checkpoint-every", every]
    train(*line, "--out", tmp_path / "whole")
    step = int(rng.integers(STEPS + 1, 2 * STEPS))
    at_step(monkeypatch, step, crash)
    with pytest.raises(Crash):
        train(*line, "--out", tmp_path / "run")
    saved_at = load_checkpoint(tmp_path / "run" / "checkpoint.safetensors")[1]["step"]
    assert saved_at == (max(STEPS, step // every * every) if every else STEPS)
    assert lines(tmp_path / "run")[-1]["step"] == step  # lines after the checkpoint, which have to go
    train("--resume", tmp_path / "run")
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_crashed_before_the_first_checkpoint_of_an_epoch(tmp_path, monkeypatch):
    line = ["--dataset", "digits", "--backend", "numpy", "--epochs", 1]
    train(*line, "--out", tmp_path / "whole")
    at_step(monkeypatch, 7, crash)
    with pytest.raises(Crash):
        train(*line, "--out", tmp_path / "run")
    train("--resume", tmp_path / "run")
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_stopped_again_and_again(tmp_path, monkeypatch, rng):
    line = ["--dataset", "digits", "--backend", "numpy", "--epochs", 3, "--log-every", 3]
    train(*line, "--out", tmp_path / "whole")
    run = ["--out", tmp_path / "run", *line]
    for step in sorted(rng.choice(3 * STEPS - 1, 5, replace=False)):
        with monkeypatch.context() as patch:
            at_step(patch, step, lambda: signal.raise_signal(signal.SIGINT))
            train(*run, status=130)
        run = ["--resume", tmp_path / "run"]
    train(*run)
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_a_longer_run_is_the_run_that_was_meant_to_be_longer(tmp_path):
    line = ["--dataset", "digits", "--backend", "numpy"]
    train(*line, "--epochs", 4, "--out", tmp_path / "whole")
    train(*line, "--epochs", 1, "--out", tmp_path / "run")
    train("--resume", tmp_path / "run", "--epochs", 4)
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_going_on_in_another_folder_leaves_the_first_alone(tmp_path, monkeypatch):
    line = ["--dataset", "digits", "--backend", "numpy", "--epochs", 2]
    train(*line, "--out", tmp_path / "whole")
    at_step(monkeypatch, 60, lambda: signal.raise_signal(signal.SIGINT))
    train(*line, "--out", tmp_path / "first", status=130)
    before = {path.name: path.read_bytes() for path in (tmp_path / "first").iterdir()}
    train("--resume", tmp_path / "first", "--out", tmp_path / "second")
    assert_same_run(tmp_path / "whole", tmp_path / "second")
    assert {path.name: path.read_bytes() for path in (tmp_path / "first").iterdir()} == before


@pytest.mark.parametrize("how", ["gone", "cut", "other"])
def test_metrics_come_back_from_the_checkpoint(tmp_path, monkeypatch, how):
    line = ["--dataset", "digits", "--backend", "numpy", "--epochs", 2, "--log-every", 9]
    train(*line, "--out", tmp_path / "whole")
    at_step(monkeypatch, 70, lambda: signal.raise_signal(signal.SIGINT))
    train(*line, "--out", tmp_path / "run", status=130)
    path = tmp_path / "run" / "metrics.jsonl"
    path.unlink() if how == "gone" else path.write_bytes(path.read_bytes()[:-7] if how == "cut" else b"notes\n" * 99)
    train("--resume", tmp_path / "run")
    assert_same_run(tmp_path / "whole", tmp_path / "run")


# A process of its own, to which a signal is sent in the middle of a step, or of writing the n-th checkpoint.
PROCESS = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test may run where it is ignored
from gradengine import cli
from gradengine.io import files
from gradengine.training import loop
number, step, saves = map(int, sys.argv[1:4])
plain_step, plain_replace = loop.Trainer._train_step, os.replace
def train_step(self, *batch):
    if self.step == step:
        os.kill(os.getpid(), number)
    return plain_step(self, *batch)
def replace(source, target):
    global saves
    saves -= "checkpoint" in str(target)
    if saves == 0:
        os.kill(os.getpid(), number)
    return plain_replace(source, target)
loop.Trainer._train_step, os.replace = train_step, replace
sys.exit(cli.main(sys.argv[4:]))
"""


def process(number, *arguments, step=-1, saves=-1):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    line = [sys.executable, "-c", PROCESS, *map(str, (int(number), step, saves)), *BASE, *map(str, arguments)]
    return subprocess.run(line, env=environment, text=True, capture_output=True)


@pytest.mark.skipif(os.name == "nt", reason="signals are another thing there")
def test_a_process_that_gets_ctrl_c(tmp_path, rng):
    line = ["--dataset", "digits", "--backend", "numpy", "--epochs", 3]
    train(*line, "--out", tmp_path / "whole")
    step = int(rng.integers(STEPS - 1))
    done = process(signal.SIGINT, *line, "--out", tmp_path / "run", step=step)
    assert done.returncode == 130
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f"epoch 1, step {step + 1}" in done.stderr
    train("--resume", tmp_path / "run")
    assert_same_run(tmp_path / "whole", tmp_path / "run")


@pytest.mark.skipif(os.name == "nt", reason="signals are another thing there")
@pytest.mark.parametrize("where", ["in a step", "while it saves"])
def test_a_process_that_is_killed(tmp_path, rng, where):
    line = ["--dataset", "digits", "--backend", "numpy", "--epochs", 3, "--checkpoint-every", 20, "--log-every", 4]
    train(*line, "--out", tmp_path / "whole")
    when = {"step": int(rng.integers(1, 3 * STEPS))} if where == "in a step" else {"saves": int(rng.integers(2, 9))}
    done = process(signal.SIGKILL, *line, "--out", tmp_path / "run", **when)
    assert done.returncode == -signal.SIGKILL
    leftovers = list((tmp_path / "run").glob(".*"))
    assert bool(leftovers) == (where == "while it saves")
    train("--resume", tmp_path / "run")
    assert_same_run(tmp_path / "whole", tmp_path / "run")
    assert not list((tmp_path / "run").glob(".*"))


def test_the_second_signal_stops_at_once():
    with signals.StopSignals() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.received == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals.StopSignals() as stop:
            signal.raise_signal(signal.SIGINT)
            assert stop.received is None
    finally:
        signal.signal(signal.SIGINT, before)


# -- when it goes wrong ---------------------------------------------------------------------------------------------


def fails(capsys, *arguments, status):
    train(*arguments, status=status)
    err = capsys.readouterr().err
    assert err.startswith("gradengine: error: ")
    assert err.count("\n") == 1
    return err


def test_a_loss_that_is_no_number_stops_training(tmp_path, capsys, backend):
    line = ["--dataset", "digits", "--optimizer", "sgd", "--momentum", 0, "--epochs", 2]
    err = fails(capsys, *line, "--lr", 1e30, "--backend", backend, "--out", tmp_path, status=1)
    assert "in epoch 1, step 2" in err or "in epoch 1, step 3" in err
    assert "lower --lr (it was 1e+30)" in err
    tensors, rest = load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert rest["step"] == 0
    assert all(np.isfinite(np.asarray(tensor)).all() for tensor in tensors.values())


def test_a_parameter_that_is_no_number_is_never_saved(tmp_path, capsys, monkeypatch):
    plain = loop.Trainer._train_step

    def overflow(self, *batch):
        result = plain(self, *batch)
        if self.step == 14:
            self.model.linear2.bias.data = self.model.linear2.bias.data * np.inf
        return result

    monkeypatch.setattr(loop.Trainer, "_train_step", overflow)
    line = ["--dataset", "digits", "--backend", "numpy", "--checkpoint-every", 5, "--out", tmp_path]
    err = fails(capsys, *line, status=1)
    assert "linear2.bias" in err
    assert "step 15" in err
    assert "after step 10" in err
    assert load_checkpoint(tmp_path / "checkpoint.safetensors")[1]["step"] == 10


def test_a_test_loss_that_is_no_number(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(loop.Trainer, "evaluate", lambda self: (np.nan, 0.1, None))
    err = fails(capsys, "--dataset", "digits", "--backend", "numpy", "--out", tmp_path, status=1)
    assert f"the test loss became nan in epoch 1, step {STEPS}" in err


def test_a_disk_that_is_full_leaves_the_old_checkpoint(tmp_path, capsys, monkeypatch):
    line = ["--dataset", "digits", "--backend", "numpy", "--epochs", 2]
    train(*line, "--out", tmp_path / "whole")
    plain, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 5:  # after the metrics and two checkpoints, file and folder each
            raise OSError(28, "No space left on device")
        plain(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        err = fails(capsys, *line, "--checkpoint-every", 30, "--out", tmp_path / "run", status=2)
    assert "No space left on device" in err
    assert "free some space" in err
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["checkpoint.safetensors", "metrics.jsonl"]
    train("--resume", tmp_path / "run", "--checkpoint-every", 0)
    assert_same_run(tmp_path / "whole", tmp_path / "run")


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))  # enough for the first checkpoint, not for Adam's slots
from gradengine import cli
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="there are no such limits")
def test_a_file_that_cannot_grow(tmp_path):
    line = ["--dataset", "digits", "--backend", "numpy", "--epochs", "2"]
    train(*line, "--out", tmp_path / "whole")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", FULL, *BASE, *line, "--out", str(tmp_path / "run")]
    done = subprocess.run(command, env=environment, text=True, capture_output=True)
    assert done.returncode == 2
    assert "cannot save the checkpoint" in done.stderr
    assert done.stderr.count("\n") == 1
    train("--resume", tmp_path / "run")
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_metrics_that_cannot_be_written(tmp_path, capsys, monkeypatch):
    def add(self, **record):
        with metrics.saving(self.path):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(metrics.Metrics, "add", add)
    err = fails(capsys, "--dataset", "digits", "--backend", "numpy", "--out", tmp_path, status=2)
    assert "metrics.jsonl" in err


# -- what a run writes ----------------------------------------------------------------------------------------------


def test_metrics(tmp_path):
    train("--dataset", "digits", "--backend", "numpy", "--epochs", 3, "--log-every", 10, "--out", tmp_path)
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    epochs = [record for record in records if record["kind"] == "epoch"]
    steps = [record for record in records if record["kind"] == "step"]
    assert [record["epoch"] for record in epochs] == [1, 2, 3]
    assert [record["step"] for record in epochs] == [STEPS, 2 * STEPS, 3 * STEPS]
    assert [record["step"] for record in steps] == list(range(10, 3 * STEPS + 1, 10))
    assert [record["epoch"] for record in steps] == [1 + (step - 1) // STEPS for step in range(10, 3 * STEPS + 1, 10)]
    losses = [record["test_loss"] for record in epochs]
    assert losses == sorted(losses, reverse=True)
    assert [round(record["lr"], 12) for record in epochs] == [0.002, 0.0018, 0.00162]
    for record in epochs:
        assert 0 <= record["train_accuracy"] <= 1
        assert 0 <= record["test_accuracy"] <= 1
        assert record["images_per_second"] > 0


def test_the_last_line_is_what_the_checkpoint_gives(tmp_path):
    train("--dataset", "digits", "--backend", "numpy", "--epochs", 2, "--model", "16x16", "--out", tmp_path)
    tensors, _ = load_checkpoint(tmp_path / "checkpoint.safetensors")
    model = models.build(models.RECIPES["16x16"], 64, 10)
    model.load_state_dict(tensors)
    images, labels = digits().arrays("test", flatten=True, normalize=True)
    with ge.no_grad():
        accuracy = float((model(ge.asarray(images)).numpy().argmax(axis=1) == labels).mean())
    assert accuracy == lines(tmp_path)[-1]["test_accuracy"]


def test_backends_agree(tmp_path):
    if ge.backends()["numba"] != "available":
        pytest.skip("Numba is not installed")
    found = []
    for backend in ("numpy", "numba"):
        train("--dataset", "digits", "--backend", backend, "--epochs", 3, "--out", tmp_path / backend)
        found.append([record["test_loss"] for record in lines(tmp_path / backend) if record["kind"] == "epoch"])
    np.testing.assert_allclose(*found, rtol=1e-3)


def png_size(path):
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert b"IEND" in content[-12:]
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


def test_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    line = ["train", "--quiet", "--dataset", "digits", "--backend", "numpy", "--epochs", "2", "--out", str(tmp_path)]
    assert cli.main(line) == 0
    assert png_size(tmp_path / "curves.png") == (1650, 720)
    assert png_size(tmp_path / "confusion.png") == (1200, 1140)
    assert png_size(tmp_path / "mistakes.png")[0] == 1260
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("wrong", [0, 1, 30])
def test_pictures_of_few_and_many_mistakes(tmp_path, rng, wrong):
    pytest.importorskip("matplotlib")
    labels = rng.integers(10, size=40)
    predicted = np.where(np.arange(40) < wrong, (labels + 1) % 10, labels)
    probabilities = np.full((40, 10), 0.02)
    probabilities[np.arange(40), predicted] = rng.uniform(0.5, 1.0, 40)
    pictures.draw_mistakes(tmp_path / "m.png", "title", rng.integers(256, size=(40, 8, 8)), labels, probabilities)
    pictures.draw_confusion(tmp_path / "c.png", "title", labels, predicted, 10)
    assert png_size(tmp_path / "m.png")[1] > 300
    assert png_size(tmp_path / "c.png") == (1200, 1140)


def test_curves_of_one_epoch(tmp_path):
    pytest.importorskip("matplotlib")
    epoch = {"epoch": 1, "train_loss": 0.5, "test_loss": 0.4, "train_accuracy": 0.8, "test_accuracy": 1.0}
    pictures.draw_curves(tmp_path / "c.png", "title", [epoch], [], 10)
    assert png_size(tmp_path / "c.png") == (1650, 720)


# -- models ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "described"),
    [
        ("mlp", "784-128-10, 101,770 parameters"),
        ("16x16", "784-16-16-10, 13,002 parameters"),
        ("nielsen", "784-30-10, 23,860 parameters"),
    ],
)
def test_sizes_of_the_models(name, described):
    model = models.build(models.RECIPES[name], 784, 10)
    assert models.describe(model) == described
    assert model(ge.zeros((2, 784))).shape == (2, 10)


def test_squared_error_is_nielsens(rng):
    outputs = rng.uniform(size=(6, 10)).astype(np.float32)
    labels = rng.integers(10, size=6)
    want = np.mean([0.5 * np.sum((a - np.eye(10)[label]) ** 2) for a, label in zip(outputs, labels, strict=True)])
    x = ge.tensor(outputs, requires_grad=True)
    loss = models.squared_error(x, ge.tensor(labels))
    loss.backward()
    np.testing.assert_allclose(loss.item(), want, rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), (outputs - np.eye(10)[labels]) / 6, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("optimizer", options.OPTIMIZERS)
def test_every_optimizer_learns(tmp_path, optimizer):
    line = ["--dataset", "digits", "--backend", "numpy", "--epochs", 10]
    train(*line, "--optimizer", optimizer, "--out", tmp_path)
    assert lines(tmp_path)[-1]["test_accuracy"] > 0.93


@pytest.mark.parametrize("schedule", options.SCHEDULES)
def test_every_schedule_learns(tmp_path, schedule):
    line = ["--dataset", "digits", "--backend", "numpy", "--epochs", 8]
    train(*line, "--schedule", schedule, "--out", tmp_path)
    last = lines(tmp_path)[-1]
    assert last["test_accuracy"] > 0.93
    if schedule in options.LAID_OUT:
        assert last["lr"] < 1e-4


@pytest.mark.parametrize(("model", "least"), [("mlp", 0.96), ("16x16", 0.93), ("nielsen", 0.95)])
def test_digits_are_learnt(tmp_path, model, least):
    train("--dataset", "digits", "--model", model, "--out", tmp_path)
    assert lines(tmp_path)[-1]["test_accuracy"] > least


def test_steps_need_no_memory(tmp_path):
    """What a step allocates, it gives back."""
    import tracemalloc

    chosen = options.resolve({"epochs": 3, "batch_size": 32}, dataset="digits", backend="numpy")
    ge.set_cpu_backend("numpy")
    trainer = loop.Trainer(chosen, digits(), tmp_path, loop_display())
    trainer.run()
    tracemalloc.start()
    try:
        trainer.options = options.resume(chosen, {"epochs": 6}, done=3, source="")
        trainer.run()
        before = tracemalloc.get_traced_memory()[0]
        trainer.options = options.resume(chosen, {"epochs": 12}, done=6, source="")
        trainer.run()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
        trainer.metrics.close()
    assert grown < 20_000  # the text of the metrics, which is kept


def loop_display():
    from gradengine.training.display import Display

    return Display(quiet=True)


def test_a_dataset_of_another_size(tmp_path, rng):
    images, labels = rng.integers(256, size=(50, 3, 5), dtype=np.uint8), rng.integers(10, size=50)
    data = ImageData("digits", images, labels, images[:7], labels[:7])
    chosen = options.resolve({"epochs": 2, "batch_size": 100}, dataset="digits", backend=ge.get_cpu_backend())
    trainer = loop.Trainer(chosen, data, tmp_path, loop_display())
    assert trainer.run() is None
    trainer.metrics.close()
    assert (trainer.step, trainer.model.linear1.in_features) == (2, 15)
    assert state.read(tmp_path / "checkpoint.safetensors").options == chosen


# -- MNIST ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "seeds", "least"), [("mlp", 5, 0.975), ("16x16", 5, 0.945), ("nielsen", 1, 0.95)], ids=options.MODELS
)
def test_mnist_is_learnt(tmp_path, mnist_dir, model, seeds, least):
    found = []
    for seed in range(seeds):
        train("--dataset", "mnist", "--model", model, "--seed", seed, "--out", tmp_path / str(seed))
        found.append(lines(tmp_path / str(seed))[-1]["test_accuracy"])
    print(model, found)
    assert np.mean(found) >= least


@pytest.mark.slow
def test_mnist_goes_on_bit_for_bit(tmp_path, monkeypatch, mnist_dir, rng, backend):
    """As above, with matrices that are large enough for every kernel and thread."""
    line = ["--dataset", "mnist", "--backend", backend, "--epochs", 2]
    train(*line, "--out", tmp_path / "whole")
    at_step(monkeypatch, int(rng.integers(1000)), lambda: signal.raise_signal(signal.SIGINT))
    train(*line, "--out", tmp_path / "run", status=130)
    train("--resume", tmp_path / "run")
    assert_same_run(tmp_path / "whole", tmp_path / "run")
