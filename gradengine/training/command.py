"""`gradengine train`: from options to a finished run in a folder."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import math
import os
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradengine_kernels import progress

from .. import cuda
from .._version import __version__
from ..backend import devices
from ..data import load
from ..errors import ArgumentError, DeviceError, GradengineError, installing
from . import display as displays
from . import models, options, state
from .lock import locked
from .loop import Trainer

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping


def run(args: argparse.Namespace) -> int:
    """The command with parsed arguments; returns the exit status."""
    names = {field.name for field in dataclasses.fields(options.Options)}
    return train(
        {name: value for name, value in vars(args).items() if name in names},
        out=args.out,
        resume=args.resume,
        overwrite=args.overwrite,
        checkpoint_every=args.checkpoint_every,
        quiet=args.quiet,
        pictures=args.pictures,
    )


def train(
    given: Mapping[str, Any],
    *,
    out: str | None = None,
    resume: str | None = None,
    overwrite: bool = False,
    checkpoint_every: int | None = None,
    quiet: bool = False,
    pictures: bool = True,
) -> int:
    """Train a digit classifier.

    Parameters
    ----------
    given
        Options by name (see `Options`); what is left out takes the value that suits the model.
    out
        The folder for checkpoint, metrics and pictures; by default a new one under runs/.
    resume
        The folder or checkpoint of a run to resume, "" for the newest one under runs/.
    overwrite
        Replace the run that is in the folder.
    checkpoint_every
        Save every so many steps too, not only after each epoch; None goes on as before.
    quiet, pictures
        Show nothing but warnings; draw pictures in the end.

    Returns
    -------
    int
        0, or 128 plus the number of the signal that stopped it.

    Raises
    ------
    ArgumentError, CheckpointError, DataError, DeviceError, TrainingError
        With a remedy each; see the errors' own descriptions.
    """
    options.check({**given, "checkpoint_every": checkpoint_every or 0})
    if out == "":
        raise ArgumentError("--out needs the name of a folder, got ''; leave it out for a new folder under runs/")
    if resume is not None and overwrite:
        raise ArgumentError(
            "--resume continues a run and --overwrite replaces one; leave out --overwrite to continue, or leave out "
            "--resume to start again"
        )
    _require("safetensors", "checkpoints need")
    if pictures:
        _require("matplotlib", "pictures (or leave them out with --no-pictures) need")
    display = displays.choose(quiet)
    with _one_blas_thread(), contextlib.ExitStack() as locks:
        saved = None
        if resume is not None:
            path = state.find(resume, out)
            _lock(Path(out) if out else path.parent, locks, display, "--resume" if out is None else "--out")
            saved = state.read(path)
        if saved is not None:
            stored = options.resume(saved.options, given, done=saved.epoch, source=str(saved.path))
            backend, device, dataset = stored.backend, stored.device, stored.dataset
        else:
            stored = None
            backend, device = given.get("backend") or devices.get_cpu_backend(), given.get("device", "cpu")
            dataset = given.get("dataset", "auto")
        with _naming("backend", given):
            devices.set_cpu_backend(backend)
        with _naming("device", given):
            devices.for_device(device)
        if stored is None and dataset != "auto":
            stored = options.resolve(given, dataset=dataset, backend=backend)
        data = load(dataset, progress=not quiet, on_fallback=display.warn)
        chosen = stored or options.resolve(given, dataset=data.name, backend=backend)
        folder = _folder(out, saved, chosen.model)
        if saved is None:
            _lock(folder, locks, display, "--out")
        _clear(folder, saved, overwrite)
        trainer = Trainer(chosen, data, folder, display, checkpoint_every=checkpoint_every, saved=saved)
        try:
            return _train(trainer, folder, pictures)
        finally:
            display.close()
            trainer.metrics.close()


def _train(trainer: Trainer, folder: Path, pictures: bool) -> int:
    display, chosen = trainer.display, trainer.options
    for line in introduction(trainer, folder):
        display.say(line)
    if trainer.epoch < chosen.epochs:
        display.header()
    else:
        display.say(f"{trainer.epoch} of {chosen.epochs} epochs are finished; use a larger --epochs to train on")
    compiled = progress.seconds
    received = trainer.run()
    compiled = progress.seconds - compiled
    display.close()
    if received is not None:
        print(
            f"gradengine: stopped in epoch {trainer.epoch + 1} after step {trainer.step:,} and saved; resume with: "
            f"{called()} train --resume {shlex.quote(str(folder))}",
            file=sys.stderr,
            flush=True,
        )
        return 128 + received
    growth = grown(trainer)
    if growth:
        display.warn(growth)
    files = [state.CHECKPOINT, state.METRICS]
    if pictures:
        files += draw(trainer, folder)
    if compiled >= 0.05:
        display.say(f"compiling took {displays.duration(compiled)}, which the times above do not count")
    for line in conclusion(trainer, folder, files):
        display.say(line)
    return 0


def called() -> str:
    """The command as it was called this time, for a shell: a path that is not on PATH, or `python -m gradengine`."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py" and program.parent.name == "gradengine":
        return f"{shlex.quote(sys.orig_argv[0])} -m gradengine"
    if program.stem == "gradengine" and shutil.which(program.name) != str(program):
        return shlex.quote(str(program))
    return "gradengine"


def grown(trainer: Trainer) -> str:
    """What to warn of when the training loss has ended clearly above where it began; else nothing."""
    epochs = trainer.metrics.records("epoch")
    first, last = min(trainer.sums.first_loss or math.inf, epochs[0]["train_loss"]), epochs[-1]["train_loss"]
    if last <= 1.05 * first:
        return ""
    return f"the training loss grew from {first:.4g} to {last:.4g}: a smaller --lr than {trainer.options.lr:g} may help"


def introduction(trainer: Trainer, folder: Path) -> list[str]:
    """What is about to be trained, in a few lines."""
    chosen, data = trainer.options, trainer.data
    details = [chosen.optimizer, f"lr {chosen.lr:g}"]
    if chosen.momentum:
        details.append(f"momentum {chosen.momentum:g}")
    if chosen.weight_decay:
        details.append(f"weight decay {chosen.weight_decay:g}")
    if chosen.schedule != "none":
        gamma = "" if chosen.gamma is None else f" (gamma {chosen.gamma:g})"
        details.append(f"{chosen.schedule} schedule{gamma}")
    details += [f"batch size {chosen.batch_size}", f"seed {chosen.seed}"]
    device = next(trainer.model.parameters()).device
    where = chosen.backend if device == "cpu" else f"{device} ({cuda.get_device_name(device)})"
    where += ", compiled" * chosen.jit
    return [
        f"gradengine {__version__} with {where}: {chosen.model} ({models.describe(trainer.model)}) on {data.name} "
        f"({len(data.train_labels):,} pictures, {len(data.test_labels):,} to test)",
        ", ".join(details),
        f"resuming {folder} after step {trainer.step:,}" if trainer.step else f"output in {folder}",
    ]


def conclusion(trainer: Trainer, folder: Path, files: list[str]) -> list[str]:
    """What has come out, in a few lines."""
    epochs = trainer.metrics.records("epoch")
    last, best = epochs[-1], max(epochs, key=lambda record: record["test_accuracy"])
    total = len(trainer.data.test_labels)
    wrong = total - round(last["test_accuracy"] * total)
    text = f"test accuracy {100 * last['test_accuracy']:.2f} %, {wrong:,} of {total:,} wrong"
    if best["test_accuracy"] > last["test_accuracy"]:
        text += f" (the best was {100 * best['test_accuracy']:.2f} % after epoch {best['epoch']})"
    return [text, f"in {folder}: {', '.join(files)}"]


def draw(trainer: Trainer, folder: Path) -> list[str]:
    """Draw the pictures of a finished run; returns the names of their files."""
    from . import pictures

    chosen, data = trainer.options, trainer.data
    _, accuracy, probabilities = trainer.evaluate()
    title = f"{chosen.model} on {data.name}, {trainer.epoch} epoch{'s' * (trainer.epoch > 1)}"
    curves, confusion, mistakes = (folder / name for name in state.PICTURES)
    epochs, steps = trainer.metrics.records("epoch"), trainer.metrics.records("step")
    pictures.draw_curves(curves, title, epochs, steps, len(trainer.loader))
    predicted = probabilities.argmax(axis=1)
    wrong = int((predicted != data.test_labels).sum())
    title = f"{title}: {wrong:,} of {len(predicted):,} test pictures taken for another digit"
    pictures.draw_confusion(confusion, title, data.test_labels, predicted, data.classes)
    title = f"{chosen.model} on {data.name}: {pictures.mistakes_shown(wrong)}"
    pictures.draw_mistakes(mistakes, title, data.test_images, data.test_labels, probabilities)
    return list(state.PICTURES)


def _lock(folder: Path, locks: contextlib.ExitStack, display: displays.Display, option: str) -> None:
    """Hold the lock of a run's folder, if there is the folder. Raises ArgumentError when another run holds it."""
    if os.path.isdir(folder):
        with _writing(folder):
            locks.enter_context(locked(folder, f"{option} {folder}", display.warn))


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Raise an ArgumentError that names the folder for an OSError in the block."""
    try:
        yield
    except OSError as error:
        if os.path.isfile(folder):
            raise ArgumentError(f"--out {folder}: it is a file; choose a folder, which need not exist yet") from error
        raise ArgumentError(
            f"--out {folder}: cannot write there ({error.strerror or error}); choose a folder that you may write to"
        ) from error


def _folder(out: str | None, saved: state.Saved | None, model: str) -> Path:
    """The folder of the run, created if need be. Raises ArgumentError when it cannot be."""
    if out is None and saved is not None:
        return saved.path.parent
    if out is None:
        return _new_folder(model)
    folder = Path(out)
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _clear(folder: Path, saved: state.Saved | None, overwrite: bool) -> None:
    """Prepare a folder for the run's files. Raises ArgumentError when it holds another run, or cannot be written to."""
    with _writing(folder):
        found = [name for name in (state.CHECKPOINT, state.METRICS, *state.PICTURES) if (folder / name).exists()]
        within = [] if found else sorted(folder.glob(f"*/{state.METRICS}"))
        if within:
            raise ArgumentError(
                f"--out {folder} has the folders of runs in it ({within[0].parent.name}); name one of its own, such as "
                f"{folder / 'mine'}"
            )
        own = saved is not None and saved.path.resolve() == (folder / state.CHECKPOINT).resolve()
        if found and not own:
            if not overwrite:
                replace = "" if saved else ", replace it with --overwrite"
                raise ArgumentError(
                    f"--out {folder} holds a run already ({found[0]}); go on with it by --resume {folder}{replace}, or "
                    "choose another folder with --out"
                )
            for name in found:
                (folder / name).unlink()
        for name in (state.CHECKPOINT, state.METRICS, *state.PICTURES):
            for left in folder.glob(f".{name}.*.tmp"):  # by a run that was killed while it wrote
                left.unlink()
        probe = folder / ".gradengine-can-write"
        probe.touch()
        probe.unlink()


@contextlib.contextmanager
def _naming(name: str, given: Mapping[str, Any]) -> Iterator[None]:
    """Let a DeviceError name the option if it was given."""
    try:
        yield
    except DeviceError as error:
        text = str(error).replace("or use device='cpu'", "or use --device cpu")
        if name in given:
            text = text.removeprefix("set_cpu_backend: ").removeprefix("device: ")
            text = f"{options.flag(name)} {given[name]}: {text.removeprefix(f'device {given[name]!r}: ')}"
        raise DeviceError(text) from error


def _new_folder(model: str) -> Path:
    """A new folder under runs/, which no other run that starts in this second has."""
    base = state.RUNS / f"{time.strftime('%Y%m%d-%H%M%S')}-{model}"
    folder, number = base, 1
    with _writing(base):
        while True:
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                if folder.parent.exists() and not folder.parent.is_dir():
                    raise
            else:
                return folder
            number += 1
            folder = base.with_name(f"{base.name}-{number}")


@contextlib.contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread during the block, where threadpoolctl (which comes with scikit-learn) is installed.

    Products of this size gain next to nothing by a second thread and lose a lot when another process wants the core;
    and the bits of a result may depend on the number of threads, which is none of a run's options.
    """
    try:
        import threadpoolctl
    except ImportError:
        yield
        return
    with threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
        yield


def _require(package: str, what: str) -> None:
    """Raise an error before training rather than after it."""
    found = None
    with contextlib.suppress(ImportError, ValueError):
        found = importlib.util.find_spec(package)
    if found is None:
        raise GradengineError(f"{what} the package {package}, which is not installed; {installing('train')}")
