"""What a run writes, what it learns, and how it stops when it goes wrong."""

import contextlib
import gc
import itertools
import json
import re

import numpy as np
import pytest
from training_runs import STEPS, chosen_on, content, fails, lines, on, same, train

import gradengine as ge
from gradengine import cli
from gradengine.data import ImageData, digits
from gradengine.errors import TrainingError
from gradengine.io import load_checkpoint
from gradengine.training import display, loop, metrics, models, options, pictures, state

for package in ("safetensors", "sklearn"):
    pytest.importorskip(package)


# -- when it goes wrong ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jit", ["--jit", "--no-jit"])
def test_a_loss_that_is_no_number_stops_training(tmp_path, capsys, backend, jit):
    line = ["--dataset", "digits", "--optimizer", "sgd", "--momentum", 0, "--epochs", 2, jit]
    err = fails(capsys, *line, "--lr", 1e30, *on(backend), "--out", tmp_path, status=1)
    assert "in epoch 1, step 2" in err or "in epoch 1, step 3" in err
    assert "lower --lr (it was 1e+30)" in err
    tensors, rest = load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert rest["step"] == 0
    assert all(np.isfinite(np.asarray(tensor)).all() for tensor in tensors.values())


@pytest.mark.parametrize("jit", [True, False])
def test_a_loss_that_is_no_number_changes_nothing_that_is_saved(tmp_path, backend, jit):
    """A compiled step has updated the parameters by then; the checkpoint has not been touched, and goes on."""
    chosen = chosen_on(backend, optimizer="sgd", jit=jit)
    trainer = loop.Trainer(chosen, digits(), tmp_path, loop_display())
    with contextlib.closing(trainer.metrics):
        images, labels = next(iter(trainer.loader))
        trainer._train_step(images, labels)
        trainer.save()
        before = (tmp_path / "checkpoint.safetensors").read_bytes()
        with pytest.raises(TrainingError, match=r"the loss became nan.*keeps the state after step 0.*lower --lr"):
            trainer._train_step(images * np.nan, labels)
    finite = [np.isfinite(parameter.numpy(force=True)).all() for parameter in trainer.model.parameters()]
    assert all(finite) != jit
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
    saved = state.read(tmp_path / "checkpoint.safetensors")
    again = loop.Trainer(chosen, digits(), tmp_path, loop_display(), saved=saved)
    with contextlib.closing(again.metrics):
        assert np.isfinite(again._train_step(images, labels)[0])


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


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_loss_that_has_grown_is_told(tmp_path, capsys, epochs):
    line = ["--dataset", "digits", "--backend", "numpy", "--epochs", epochs, "--no-pictures"]
    cli.main(["train", *map(str, line), "--lr", "1e10", "--out", str(tmp_path / "run")])
    out, err = capsys.readouterr()
    assert re.fullmatch(
        r"gradengine: WARNING: the training loss grew from 2\.\d+ to \S+: a smaller --lr than 1e\+10 may help\n", err
    )
    assert max(map(len, out.splitlines()[3 : 4 + epochs])) <= len(display.HEADER)
    train(*line, "--out", tmp_path / "good")
    assert capsys.readouterr().err == ""


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
    if [ge.backends()[name] for name in ("numba", "cupy")].count("available") == 0:
        pytest.skip("there is no backend but numpy")
    found = []
    for backend in [name for name, status in ge.backends().items() if status == "available"]:
        train("--dataset", "digits", *on(backend), "--epochs", 3, "--out", tmp_path / backend)
        found.append([record["test_loss"] for record in lines(tmp_path / backend) if record["kind"] == "epoch"])
    for losses in found[1:]:
        np.testing.assert_allclose(losses, found[0], rtol=1e-3)


# -- the compiled step ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", options.MODELS)
def test_a_compiled_step_learns_the_same(tmp_path, backend, model):
    runs = {}
    for jit in ("--jit", "--no-jit"):
        out = tmp_path / jit
        train("--dataset", "digits", *on(backend), "--model", model, "--epochs", 3, jit, "--out", out)
        runs[jit] = lines(out)
    for key, tolerance in (("loss", 1e-3), ("train_loss", 1e-3), ("test_loss", 1e-3), ("test_accuracy", 0.01)):
        a, b = [[record[key] for record in run if key in record] for run in runs.values()]
        assert len(a) >= 2
        np.testing.assert_allclose(a, b, rtol=tolerance)


def test_kernels_of_numpy_give_the_same_bits_in_a_program(tmp_path):
    for jit in ("--jit", "--no-jit"):
        line = ["--dataset", "digits", "--backend", "numpy", "--epochs", 2, "--log-every", 1]
        train(*line, jit, "--out", tmp_path / jit)
    (a, _), (b, _) = content(tmp_path / "--jit"), content(tmp_path / "--no-jit")
    assert same(a, b)
    assert lines(tmp_path / "--jit") == lines(tmp_path / "--no-jit")


@pytest.mark.parametrize("schedule", options.SCHEDULES)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_rate_that_changes_compiles_nothing(tmp_path, backend, schedule, optimizer):
    chosen = chosen_on(backend, epochs=3, schedule=schedule, optimizer=optimizer)
    trainer = loop.Trainer(chosen, digits(), tmp_path, loop_display())
    trainer.run()
    trainer.metrics.close()
    assert trainer.compiled.cache_info()[:2] == (3 * STEPS - 2, 2)  # the last batch is smaller: another program
    rates = [record["lr"] for record in lines(tmp_path)]
    assert (len(set(rates)) > 1) == (schedule != "none")


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
    pictures.draw_curves(tmp_path / "c.png", "title", [epoch], [{"step": 7, "loss": 0.6}], 10)


def test_a_mean_is_drawn_at_the_middle_of_its_steps():
    steps = [{"step": 20 * (i + 1), "loss": float(i)} for i in range(7)]
    at, losses, width = pictures.windows(steps, most=3)  # 3, 3 and 1 of them
    assert (at.tolist(), losses.tolist(), width) == ([30.0, 90.0, 130.0], [1.0, 4.0, 6.0], 60)
    at, losses, width = pictures.windows(steps)
    assert (at.tolist(), losses.tolist(), width) == ([10.0 + 20 * i for i in range(7)], list(range(7)), 20)


def test_a_legend_covers_no_data(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    figures = []
    monkeypatch.setattr(pictures, "_save", lambda figure, path: figures.append(figure))
    epochs = [
        {"epoch": n, "train_loss": 0.5, "test_loss": 0.4, "train_accuracy": 0.8, "test_accuracy": 0.9} for n in (1, 2)
    ]
    pictures.draw_curves(tmp_path / "c.png", "title", epochs[:1], [{"step": 50, "loss": 0.6}], 100)
    pictures.draw_curves(tmp_path / "c.png", "title", epochs, [{"step": 50, "loss": 0.6}], 100)
    for figure in figures:
        figure.draw_without_rendering()
        (legend,) = figure.legends
        assert legend.get_texts()[0].get_text() == "training, mean of 50 steps"
        assert not any(axes.get_tightbbox().overlaps(legend.get_window_extent()) for axes in figure.axes)


def test_the_last_epoch_has_a_tick(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    figures = []
    monkeypatch.setattr(pictures, "_save", lambda figure, path: figures.append(figure))
    keys = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
    for last in (1, 7, 20, 23, 400):
        epochs = [{"epoch": n + 1, **dict.fromkeys(keys, 0.5)} for n in range(last)]
        pictures.draw_curves(tmp_path / "c.png", "title", epochs, [], 100)
        for axes in figures.pop().axes:
            ticks = axes.get_xticks().tolist()
            assert ticks[-1] == last
            assert len(ticks) <= 12
            assert axes.get_xlim() == (0, 1.02 * last)


# -- how long it takes ----------------------------------------------------------------------------------------------


def test_the_time_left_is_that_of_what_is_compiled_already(tmp_path, monkeypatch):
    now, seen, standings = [0.0], set(), []

    def count(outputs, labels):
        kind = trainer.model.training, len(labels)
        now[0] += 0.01 if kind in seen else 10.0
        seen.add(kind)
        return 0

    class Shown(type(loop_display())):
        every = 0.0

        def progress(self, standing):
            standings.append(standing)

        def epoch(self, standing, *test):
            standings.append(standing)

    monkeypatch.setattr(loop.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(loop, "correct_ones", count)
    trainer = loop.Trainer(chosen_on("numpy", epochs=5), digits(), tmp_path, Shown(quiet=True))
    with contextlib.closing(trainer.metrics):
        trainer.run()
    assert now[0] > 30
    assert [s.seconds_left for s in standings[:1]] == [0.0]  # of the first step alone, nothing is known
    left = [s.seconds_left for s in standings if s.images == s.total]
    assert len(left) == 5
    assert left == pytest.approx([(4 - n) * trainer.step / 5 * 0.01 for n in range(5)], rel=0.1)


def test_nothing_is_said_soon_after_what_took_long(tmp_path, monkeypatch):
    """Not of the first step, for which there is no speed, nor of the first one after the line of an epoch."""
    now, images = [0.0], []

    class Shown(type(loop_display())):
        every = 8.0

        def progress(self, standing):
            images.append(standing.images)

        def epoch(self, standing, *test):
            now[0] += 100.0

    plain = loop.Trainer._train_step

    def step(self, *batch):
        now[0] += 20.0 if self.step == 0 else 0.1
        return plain(self, *batch)

    monkeypatch.setattr(loop.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(loop.Trainer, "_train_step", step)
    trainer = loop.Trainer(chosen_on("numpy", epochs=2, batch_size=8), digits(), tmp_path, Shown(quiet=True))
    with contextlib.closing(trainer.metrics):
        trainer.run()
    assert len(images) >= 2
    assert min(images) >= 8 * 75


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


@pytest.mark.parametrize("jit", [True, False])
def test_steps_need_no_memory(tmp_path, backend, jit):
    """What a step allocates, it gives back: caches fill up for a while, a leak grows in every stretch of epochs."""
    import tracemalloc

    stretch, stretches = 3, 5
    chosen = chosen_on(backend, epochs=stretch, batch_size=32, jit=jit)
    trainer = loop.Trainer(chosen, digits(), tmp_path, loop_display())
    trainer.run()
    taken = []
    tracemalloc.start()
    try:
        for done in range(stretch, stretch * (stretches + 1), stretch):
            trainer.options = options.resume(chosen, {"epochs": done + stretch}, done=done, source="")
            trainer.run()
            if backend == "cupy":
                gc.collect()  # the emulator has cycles of its own
            taken.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
        trainer.metrics.close()
    grown = [after - before for before, after in itertools.pairwise(taken)]
    assert min(grown) < 8_000, grown  # the text of the metrics, which is kept


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
@pytest.mark.nightly
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
