"""The files of a run, and the checkpoint from which it resumes."""

from __future__ import annotations

import contextlib
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.tensor_class import Tensor
from ..errors import CheckpointError, GradengineError, MissingCheckpointError
from ..io import load_checkpoint, save_checkpoint
from . import options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CHECKPOINT, METRICS = "checkpoint.safetensors", "metrics.jsonl"
PICTURES = ("curves.png", "confusion.png", "mistakes.png")
RUNS = Path("runs")  # where runs go that are not told where
KIND = {"kind": "gradengine train", "version": 1}
LARGEST = 2**63 - 1  # of a count
LARGEST_SEED = 2**64 - 1


class Saved(NamedTuple):
    """What a checkpoint holds."""

    path: Path
    options: options.Options
    epoch: int
    step: int
    checkpoint_every: int
    tensors: dict[str, Any]
    rest: dict[str, Any]
    metrics: bytes

    @contextlib.contextmanager
    def understood(self) -> Iterator[None]:
        """Raise a CheckpointError that names the file when the block finds it to be of another kind."""
        with understanding(self.path):
            yield


@contextlib.contextmanager
def understanding(path: Path) -> Iterator[None]:
    """Raise a CheckpointError that names the file when the block does not find in it what it should."""
    try:
        yield
    except CheckpointError as error:
        text = str(error)
        raise CheckpointError(text if str(path) in text else f"{path}: {text}") from error
    except (GradengineError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is no checkpoint that this version of gradengine train can go on from: {error!r}"
        ) from error


def write(path: Path, tensors: Mapping[str, Any], rest: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all. Raises CheckpointError when it cannot be written."""
    save_checkpoint(path, tensors, {**KIND, **rest})


def read(path: Path) -> Saved:
    """Read a checkpoint. Raises CheckpointError for one that is missing, damaged, or not of a training run."""
    tensors, rest = load_checkpoint(path)
    kind, version = rest.get("kind"), rest.get("version")
    kind = kind if isinstance(kind, str) else None
    if not (kind == KIND["kind"] and type(version) is int and version == KIND["version"]):
        if kind == KIND["kind"]:
            raise CheckpointError(
                f"{path} is of version {rest.get('version')!r} of this format, this gradengine reads "
                f"{KIND['version']}; update gradengine, or use the version that saved it"
            )
        raise CheckpointError(f"{path} holds no run of gradengine train, so there is nothing to go on with")
    with understanding(path):
        return Saved(
            path=path,
            options=options.restore(rest["options"], str(path)),
            epoch=count("epoch", rest["epoch"]),
            step=count("step", rest["step"]),
            checkpoint_every=count("checkpoint_every", rest["checkpoint_every"]),
            tensors=tensors,
            rest=rest,
            metrics=metrics_in(rest["metrics"], rest["epoch"]),
        )


def count(name: str, value: Any) -> int:
    """A number that counts something. Raises CheckpointError for any other value."""
    if type(value) is not int or not 0 <= value <= LARGEST:
        raise CheckpointError(f"{name} must be a whole number of at least 0, not {value!r}")
    return value


def metrics_in(value: Any, epochs: int) -> bytes:
    """The text of metrics.jsonl so far. Raises CheckpointError unless it has a line for each finished epoch."""
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8 or value.ndim != 1:
        raise CheckpointError("its metrics are no text")
    text = value.tobytes()
    try:
        records = [json.loads(line) for line in text.splitlines()]
        found = [record["epoch"] for record in records if record["kind"] == "epoch"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise CheckpointError(f"its metrics cannot be read ({error!r})") from error
    if found != list(range(1, epochs + 1)):
        raise CheckpointError(f"its metrics do not have a line for each of {epochs} finished epochs")
    return text


def require_like(found: Any, made: Any, name: str) -> None:
    """Raise CheckpointError unless a stored state has the form of one that was just made.

    Where both have a value, its type must agree, and numbers must be finite; keys that only one of them has are left
    to whatever loads the state, and so is a value where there was None.
    """
    if isinstance(made, dict) and isinstance(found, dict):
        for key in found.keys() & made.keys():
            require_like(found[key], made[key], f"{name}.{key}")
        return
    if isinstance(made, (list, tuple)) and type(found) is type(made) and len(found) == len(made):
        for i, (one, other) in enumerate(zip(found, made)):
            require_like(one, other, f"{name}.{i}")
        return
    number = lambda x: isinstance(x, (int, float)) and not isinstance(x, bool)
    if made is not None and not (number(made) and number(found)) and type(found) is not type(made):
        raise CheckpointError(f"{name} must be a {type(made).__name__}, not {found!r}")
    if isinstance(made, (list, tuple)):
        raise CheckpointError(f"{name} must have {len(made)} entries, not {len(found)}")
    require_finite(found, name)


def require_finite(value: Any, name: str) -> None:
    """Raise CheckpointError for a number that is none, or too large to count."""
    if isinstance(value, (int, float)) and not (math.isfinite(value) and abs(value) <= LARGEST_SEED):
        raise CheckpointError(f"{name} must be a finite number, not {value!r}")


def require_slots(states: Any, shapes: Sequence[tuple[int, ...]]) -> None:
    """Raise CheckpointError unless an optimizer's arrays for each parameter have its shape, and `step` is a count."""
    for number, slots in dict(states).items():
        for name, value in dict(slots).items():
            full = f"optimizer.state.{number}.{name}"
            shape = tuple(value.shape) if isinstance(value, (Tensor, np.ndarray)) else None
            if name == "step":
                if shape == ():
                    value = value.item()
                if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LARGEST:
                    raise CheckpointError(f"{full} must be a number of steps, not {value!r}")
            elif value is not None and (shape != shapes[number] or value.dtype.kind not in "fV"):
                raise CheckpointError(f"{full} must be floats of shape {shapes[number]}, not {value!r}")


def find(resume: str, out: str | None) -> Path:
    """The checkpoint that `--resume` means: a file, that of a folder, or the newest under runs/.

    Raises CheckpointError when there is none.
    """
    if not resume and out is None:
        found = sorted(RUNS.glob(f"*/{CHECKPOINT}"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise CheckpointError(
                f"--resume: there is no run under {RUNS.absolute()}; name the folder or the checkpoint of one"
            )
        return found[-1]
    path = Path(resume or out or "")
    if os.path.isdir(path):  # which a name that is too long is not; Path.is_dir raises an error
        if not (path / CHECKPOINT).exists():
            raise CheckpointError(f"--resume: there is no {CHECKPOINT} in {path}; name the folder of a run")
        return path / CHECKPOINT
    if not os.path.exists(path):
        text = f"--resume {path}: there is no such file or folder; name the folder or the checkpoint of a run"
        raise MissingCheckpointError(text, str(path))
    return path
