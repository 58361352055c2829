"""The files of a run, and the checkpoint from which it goes on. May import io, errors and options."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import CheckpointError, GradengineError
from ..io import load_checkpoint, save_checkpoint
from . import options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CHECKPOINT, METRICS = "checkpoint.safetensors", "metrics.jsonl"
PICTURES = ("curves.png", "confusion.png", "mistakes.png")
RUNS = Path("runs")  # where runs go that are not told where
KIND = {"kind": "gradengine train", "version": 1}


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
    except (GradengineError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is no checkpoint that this version of gradengine train can go on from: {error!r}"
        ) from error


def write(path: Path, tensors: Mapping[str, Any], rest: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all. Raises CheckpointError when it cannot be written."""
    save_checkpoint(path, tensors, {**KIND, **rest})


def read(path: Path) -> Saved:
    """Read a checkpoint. Raises CheckpointError for one that is missing, damaged, or not of a training run."""
    tensors, rest = load_checkpoint(path)
    if {key: rest.get(key) for key in KIND} != KIND:
        if rest.get("kind") == KIND["kind"]:
            raise CheckpointError(
                f"{path} is of version {rest.get('version')!r} of this format, this gradengine reads "
                f"{KIND['version']}; update gradengine, or use the version that saved it"
            )
        raise CheckpointError(f"{path} holds no run of gradengine train, so there is nothing to go on with")
    with understanding(path):
        return Saved(
            path=path,
            options=options.restore(rest["options"], str(path)),
            epoch=int(rest["epoch"]),
            step=int(rest["step"]),
            checkpoint_every=int(rest["checkpoint_every"]),
            tensors=tensors,
            rest=rest,
            metrics=rest["metrics"].tobytes(),
        )


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
    if path.is_dir():
        if not (path / CHECKPOINT).exists():
            raise CheckpointError(f"--resume: there is no {CHECKPOINT} in {path}; name the folder of a run")
        return path / CHECKPOINT
    return path
