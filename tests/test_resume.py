"""A run that is stopped and goes on is bit for bit the one that was never stopped."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from training_runs import BASE, STEPS, Crash, assert_same_run, at_step, crash, fails, lines, on, same, train

from gradengine.io import load_checkpoint, save_checkpoint
from gradengine.training import command, signals

for package in ("safetensors", "sklearn"):
    pytest.importorskip(package)


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


RUNS = [  # a compiled step takes seconds to make, so most of those are slow tests
    pytest.param(kind, jit, marks=[pytest.mark.slow] if jit == "--jit" and kind not in list(KINDS)[:3:2] else [])
    for kind in KINDS
    for jit in ("--jit", "--no-jit")
]


@pytest.mark.parametrize(("kind", "jit"), RUNS)
def test_stopped_by_a_signal(tmp_path, monkeypatch, capsys, rng, backend, kind, jit):
    line = ["--dataset", "digits", *on(backend), "--epochs", 3, jit, *KINDS[kind]]
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
def test_stopped_at_the_edge_of_an_epoch(tmp_path, monkeypatch, backend, step):
    line = ["--dataset", "digits", *on(backend), "--epochs", 3, "--log-every", 5]
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


@pytest.mark.parametrize("jit", ["--jit", "--no-jit"])
@pytest.mark.parametrize("every", [0, 10])
@pytest.mark.parametrize("kind", ["adam", "momentum and onecycle"])
def test_crashed_in_a_step(tmp_path, monkeypatch, rng, backend, kind, every, jit):
    line = ["--dataset", "digits", *on(backend), "--epochs", 3, "--log-every", 1, *KINDS[kind]]
    line += ["--checkpoint-every", every, jit]
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


def test_stopped_again_and_again(tmp_path, monkeypatch, rng, backend):
    line = ["--dataset", "digits", *on(backend), "--epochs", 3, "--log-every", 3]
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


# -- whether the step is compiled -----------------------------------------------------------------------------------


def stored(folder):
    return load_checkpoint(folder / "checkpoint.safetensors")[1]["options"]


@pytest.mark.parametrize(("first", "then"), [("--jit", "--no-jit"), ("--no-jit", "--jit")])
def test_a_run_goes_on_as_it_was_unless_it_is_told_otherwise(tmp_path, backend, first, then):
    line = ["--dataset", "digits", *on(backend)]
    train(*line, "--epochs", 1, first, "--out", tmp_path / "run")
    train("--resume", tmp_path / "run", "--epochs", 2)
    train(*line, "--epochs", 2, first, "--out", tmp_path / "whole")
    assert_same_run(tmp_path / "whole", tmp_path / "run")
    train("--resume", tmp_path / "run", "--epochs", 3, then)
    assert (stored(tmp_path / "whole")["jit"], stored(tmp_path / "run")["jit"]) == (first == "--jit", then == "--jit")
    train(*line, "--epochs", 3, first, "--out", tmp_path / "other")
    a, b = lines(tmp_path / "other")[-1], lines(tmp_path / "run")[-1]
    np.testing.assert_allclose(b["test_loss"], a["test_loss"], rtol=1e-3)


def test_a_checkpoint_from_before_steps_were_compiled(tmp_path, backend):
    line = ["--dataset", "digits", *on(backend), "--no-jit"]
    train(*line, "--epochs", 2, "--out", tmp_path / "whole")
    train(*line, "--epochs", 1, "--out", tmp_path / "run")
    path = tmp_path / "run" / "checkpoint.safetensors"
    tensors, rest = load_checkpoint(path)
    del rest["options"]["jit"]
    save_checkpoint(path, tensors, rest)
    train("--resume", tmp_path / "run", "--epochs", 2)
    assert_same_run(tmp_path / "whole", tmp_path / "run")


# -- metrics, processes ---------------------------------------------------------------------------------------------


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
EMULATED = """
from tests.cuda import fake_cupy
fake_cupy.install()
from tests.cuda import reference_products
reference_products.install()
from tests.cuda import untraced
untraced.install()
"""
PROCESS = f"""
{EMULATED if "tests.cuda.fake_cupy" in sys.modules else ""}
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
def test_a_process_that_gets_ctrl_c(tmp_path, rng, backend):
    line = ["--dataset", "digits", *on(backend), "--epochs", 3]
    train(*line, "--out", tmp_path / "whole")
    step = int(rng.integers(1, STEPS - 1))  # at step 0 it need not finish the step
    done = process(signal.SIGINT, *line, "--out", tmp_path / "run", step=step)
    assert done.returncode == 130
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f"in epoch 1 after step {step + 1} and saved" in done.stderr
    train("--resume", tmp_path / "run")
    assert_same_run(tmp_path / "whole", tmp_path / "run")


@pytest.mark.skipif(os.name == "nt", reason="signals are another thing there")
@pytest.mark.parametrize("where", ["in a step", "while it saves"])
def test_a_process_that_is_killed(tmp_path, rng, backend, where):
    line = ["--dataset", "digits", *on(backend), "--epochs", 3, "--checkpoint-every", 20, "--log-every", 4]
    train(*line, "--out", tmp_path / "whole")
    when = {"step": int(rng.integers(1, 3 * STEPS))} if where == "in a step" else {"saves": int(rng.integers(2, 9))}
    done = process(signal.SIGKILL, *line, "--out", tmp_path / "run", **when)
    assert done.returncode == -signal.SIGKILL
    leftovers = list((tmp_path / "run").glob(".*.tmp"))
    assert bool(leftovers) == (where == "while it saves")
    train("--resume", tmp_path / "run")
    assert_same_run(tmp_path / "whole", tmp_path / "run")
    assert not list((tmp_path / "run").glob(".*"))


@pytest.mark.parametrize(
    ("program", "original", "expected"),
    [
        (".venv/bin/gradengine", ["python3"], ".venv/bin/gradengine"),
        ("/opt/my env/bin/gradengine", ["python3"], "'/opt/my env/bin/gradengine'"),
        ("{path}/gradengine", ["python3"], "gradengine"),
        ("/lib/gradengine/__main__.py", [".venv/bin/python", "-m"], ".venv/bin/python -m gradengine"),
        ("/lib/pytest/__main__.py", ["python3"], "gradengine"),
        ("-c", ["python3"], "gradengine"),
    ],
)
def test_what_goes_on_with_a_run_is_called_as_it_was(tmp_path, monkeypatch, program, original, expected):
    (tmp_path / "gradengine").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [program.format(path=tmp_path)])
    monkeypatch.setattr(sys, "orig_argv", original)
    assert command.called() == expected


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


# -- a full disk ------------------------------------------------------------------------------------------------------


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


@pytest.mark.slow
@pytest.mark.nightly
def test_mnist_goes_on_bit_for_bit(tmp_path, monkeypatch, mnist_dir, rng, backend):
    """As above, with matrices that are large enough for every kernel and thread."""
    line = ["--dataset", "mnist", *on(backend), "--epochs", 2]
    train(*line, "--out", tmp_path / "whole")
    at_step(monkeypatch, int(rng.integers(1000)), lambda: signal.raise_signal(signal.SIGINT))
    train(*line, "--out", tmp_path / "run", status=130)
    train("--resume", tmp_path / "run")
    assert_same_run(tmp_path / "whole", tmp_path / "run")


# -- on a GPU -------------------------------------------------------------------------------------------------------


@pytest.mark.cuda
@pytest.mark.parametrize(("first", "then"), [("cuda", "cpu"), ("cpu", "cuda")])
def test_a_run_goes_on_on_another_device(tmp_path, capsys, first, then):
    line = ["--dataset", "digits", "--backend", "numpy"]
    train(*line, "--device", first, "--epochs", 1, "--out", tmp_path / "run")
    train("--resume", tmp_path / "run", "--device", then, "--epochs", 3)
    assert (stored(tmp_path / "run")["device"], stored(tmp_path / "run")["epochs"]) == (then, 3)
    train(*line, "--device", first, "--epochs", 3, "--out", tmp_path / "whole")
    a, b = lines(tmp_path / "whole"), lines(tmp_path / "run")
    assert [record["step"] for record in a] == [record["step"] for record in b]
    np.testing.assert_allclose(a[-1]["test_loss"], b[-1]["test_loss"], rtol=1e-3)


@pytest.mark.cuda
def test_a_device_that_is_gone_is_named_with_the_remedy(tmp_path, capsys, monkeypatch):
    train("--dataset", "digits", "--device", "cuda", "--epochs", 1, "--out", tmp_path / "run")
    from gradengine.backend import devices as backend

    monkeypatch.setattr(backend, "why_not", lambda name: "CUDA sees no GPU" if name == "cupy" else "")
    monkeypatch.delitem(backend._loaded, "cupy")
    err = fails(capsys, "--resume", tmp_path / "run", "--epochs", 2, status=2)
    assert "device 'cuda': CUDA sees no GPU; or use --device cpu" in err
    train("--resume", tmp_path / "run", "--epochs", 2, "--device", "cpu")


@pytest.mark.cuda
def test_the_first_line_names_the_gpu(tmp_path, capsys):
    from gradengine import cli, cuda

    line = ["train", "--no-pictures", "--dataset", "digits", "--device", "cuda", "--epochs", "1"]
    assert cli.main([*line, "--out", str(tmp_path / "run")]) == 0
    assert f" with cuda:0 ({cuda.get_device_name()}), compiled: mlp (" in capsys.readouterr().out.splitlines()[0]
    assert cli.main(["backends"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"cuda:0  {cuda.get_device_name()}"
