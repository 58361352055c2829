"""What a training run is asked to do: the options, what suits each model, and what may change when a run resumes."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DATASETS = ("auto", "mnist", "digits")
MODELS = ("mlp", "16x16", "nielsen")
# The learning rate of each optimizer where the model has been tuned for another one.
OPTIMIZERS = {"sgd": 0.05, "adam": 0.002, "adamw": 0.002, "rmsprop": 0.001, "adagrad": 0.02, "adadelta": 1.0}
WITH_MOMENTUM = ("sgd", "rmsprop")
SCHEDULES = {
    "none": "constant",
    "step": "multiply by --gamma every --step-size epochs",
    "exponential": "multiply by --gamma every epoch",
    "cosine": "half a cosine, down to 0",
    "linear": "linear, down to 0",
    "onecycle": "rise to --lr, then fall to nearly 0",
}
WITH_GAMMA = {"step": 0.5, "exponential": 0.8}  # and its default
LAID_OUT = ("cosine", "linear", "onecycle")  # over the whole run, so that its length cannot change any more

# Measured: mean test accuracies over five seeds are in the README.
SUITED: dict[str, dict[str, dict[str, Any]]] = {
    "mlp": {
        "mnist": dict(epochs=5, batch_size=64, optimizer="adam", lr=0.002, schedule="exponential", gamma=0.6),
        "digits": dict(epochs=20, batch_size=32, optimizer="adam", lr=0.002, schedule="exponential", gamma=0.9),
    },
    "16x16": {
        "mnist": dict(epochs=10, batch_size=64, optimizer="adam", lr=0.003, schedule="exponential", gamma=0.75),
        "digits": dict(epochs=30, batch_size=32, optimizer="adam", lr=0.005, schedule="exponential", gamma=0.95),
    },
    "nielsen": {
        "mnist": dict(epochs=30, batch_size=10, optimizer="sgd", lr=3.0, momentum=0.0, schedule="none"),
        "digits": dict(epochs=30, batch_size=10, optimizer="sgd", lr=3.0, momentum=0.0, schedule="none"),
    },
}
GENERAL: dict[str, Any] = dict(weight_decay=0.0, seed=0, device="cpu", log_every=50)
CHANGEABLE = ("epochs", "jit", "device")  # when a run resumes
ADDED: dict[str, Any] = {"jit": False}  # options that checkpoints may lack, and what the runs that wrote them did


@dataclasses.dataclass(frozen=True)
class Options:
    """Everything that decides what a run computes. A checkpoint holds it, so that the run can resume.

    `momentum`, `gamma` and `step_size` are None where the optimizer or the schedule has none. `jit` is one of
    them, for the kernels of a compiled step may add up in another order.

    >>> options = resolve({"model": "16x16", "seed": 3}, dataset="mnist", backend="numpy")
    >>> options.optimizer, options.lr, options.seed
    ('adam', 0.003, 3)
    """

    dataset: str
    model: str
    backend: str
    device: str
    epochs: int
    batch_size: int
    optimizer: str
    lr: float
    momentum: float | None
    weight_decay: float
    schedule: str
    gamma: float | None
    step_size: int | None
    seed: int
    log_every: int
    jit: bool


def flag(name: str) -> str:
    """An option's name on the command line."""
    return "--" + name.replace("_", "-")


def _number(fits: Callable[[Any], bool], wanted: str) -> tuple[Callable[[Any], bool], str]:
    def check(value: Any) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and fits(value)

    return check, wanted


def _whole(least: int) -> tuple[Callable[[Any], bool], str]:
    return lambda value: type(value) is int and least <= value <= MOST, f"a whole number from {least} to {MOST}"


def _one_of(names: Any) -> tuple[Callable[[Any], bool], str]:
    return lambda value: isinstance(value, str) and value in names, f"one of {', '.join(names)}"


MOST = 2**31 - 1  # of anything that is counted
OPTIONAL = ("momentum", "gamma", "step_size")  # what an optimizer or a schedule may not have

CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "dataset": _one_of(DATASETS),
    "model": _one_of(MODELS),
    "optimizer": _one_of(tuple(OPTIMIZERS)),
    "schedule": _one_of(tuple(SCHEDULES)),
    "epochs": _whole(1),
    "batch_size": _whole(1),
    "step_size": _whole(1),
    "log_every": _whole(1),
    "checkpoint_every": _whole(0),
    "seed": (lambda value: type(value) is int and 0 <= value < 2**64, "a whole number from 0 to 2**64 - 1"),
    "lr": _number(lambda value: value > 0, "a number above 0"),
    "momentum": _number(lambda value: 0 <= value < 1, "a number from 0 up to below 1"),
    "weight_decay": _number(lambda value: value >= 0, "a number of at least 0"),
    "gamma": _number(lambda value: 0 < value <= 1, "a number above 0 and up to 1"),
    "jit": (lambda value: isinstance(value, bool), "true or false"),
    "backend": (lambda value: isinstance(value, str), "the name of a backend"),
    "device": (lambda value: isinstance(value, str), "the name of a device"),
}


def check(given: Mapping[str, Any]) -> None:
    """Raise ArgumentError, naming the option, for a value outside its range."""
    for name, value in given.items():
        fits, wanted = CHECKS.get(name, (lambda _: True, ""))
        if not fits(value):
            raise ArgumentError(f"{flag(name)} must be {wanted}, got {value}")


def resolve(given: Mapping[str, Any], *, dataset: str, backend: str) -> Options:
    """The options of a new run: what is given, and for the rest what suits the model and the dataset.

    Raises ArgumentError for a value outside its range, or an option that the optimizer or the schedule does not have.
    """
    check(given)
    model = given.get("model", "mlp")
    suited = SUITED[model][dataset]
    found = {**GENERAL, **suited, **given, "model": model, "dataset": dataset, "backend": backend}
    found["jit"] = given.get("jit", True)
    optimizer, schedule = found["optimizer"], found["schedule"]
    if optimizer != suited["optimizer"]:
        found["lr"] = given.get("lr", OPTIMIZERS[optimizer])
    if optimizer == "adamw":
        found["weight_decay"] = given.get("weight_decay", 0.01)
    usual = suited.get("momentum", 0.9) if optimizer == "sgd" else 0.0
    found["momentum"] = given.get("momentum", usual if optimizer in WITH_MOMENTUM else None)
    if found["momentum"] is not None and optimizer not in WITH_MOMENTUM:
        raise ArgumentError(
            f"--momentum: the optimizer {optimizer} has no momentum; leave it out, or choose --optimizer sgd"
        )
    if schedule != suited["schedule"]:
        found["gamma"] = given.get("gamma", WITH_GAMMA.get(schedule))
    if found.get("gamma") is not None and schedule not in WITH_GAMMA:
        raise ArgumentError(f"--gamma: the schedule {schedule!r} has no gamma; leave it out, or choose --schedule step")
    found["step_size"] = given.get("step_size", 2 if schedule == "step" else None)
    if found["step_size"] is not None and schedule != "step":
        raise ArgumentError(
            f"--step-size: the schedule {schedule!r} has no steps; leave it out, or choose --schedule step"
        )
    values: dict[str, Any] = {field.name: found.get(field.name) for field in dataclasses.fields(Options)}
    return Options(**values)


def resume(stored: Options, given: Mapping[str, Any], *, done: int, source: str) -> Options:
    """The options of a resumed run: those that it was started with, but for the number of epochs and for `jit`
    and `device`, which change no more than the last bits of a result.

    `done` is the number of epochs that are finished, `source` names the checkpoint. Raises CheckpointError when
    another model is given than the checkpoint's, ArgumentError for any other option that contradicts it.
    """
    check(given)
    for name, value in given.items():
        before = getattr(stored, name)
        if name in CHANGEABLE or value == before or (name == "dataset" and value == "auto"):
            continue
        if name == "model":
            raise CheckpointError(
                f"{source} is a checkpoint of the model {before}, not of {value}; leave out --model to go on with "
                f"{before}, or leave out --resume to start with {value}"
            )
        was = "none" if before is None else before
        raise ArgumentError(
            f"{flag(name)} {value} contradicts {source}, whose run has {was}; leave it out to go on, or leave out "
            "--resume to start a new run"
        )
    epochs = given.get("epochs", stored.epochs)
    if epochs < done:
        raise ArgumentError(f"--epochs {epochs}: {source} has {done} finished epochs already; give a larger number")
    if epochs != stored.epochs and stored.schedule in LAID_OUT:
        raise ArgumentError(
            f"--epochs {epochs}: the {stored.schedule} schedule of {source} was laid out for {stored.epochs} epochs, "
            "and a run of another length would be another run; start a new one without --resume"
        )
    free = {name: given.get(name, getattr(stored, name)) for name in CHANGEABLE}
    return dataclasses.replace(stored, **free)


def restore(values: Any, source: str) -> Options:
    """The options that stand in a checkpoint. Raises CheckpointError when they are not ones of this version."""
    names = {field.name for field in dataclasses.fields(Options)}
    values = {**ADDED, **values} if isinstance(values, dict) else {}
    if values.keys() != names:
        raise CheckpointError(f"{source} holds no options of a training run that this version of gradengine knows")
    try:
        check({name: value for name, value in values.items() if value is not None or name not in OPTIONAL})
    except ArgumentError as error:
        raise CheckpointError(f"{source} holds options that make no sense: {error}") from error
    return Options(**values)
