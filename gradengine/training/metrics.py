"""metrics.jsonl: what training measures, a JSON object per line, written as it comes.

A checkpoint holds the text of the file so far, so a resumed run has the file that it would have had, whatever
has been written after the checkpoint or happened to the file.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError
from ..io.files import atomic_writer

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMES = ("seconds", "images_per_second")  # the keys that differ between two runs of equal options


@contextlib.contextmanager
def saving(path: Path) -> Iterator[None]:
    """Raise a CheckpointError that names the file for an OSError in the block."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f"cannot write {path}: {error.strerror or error}; free some space, or choose another folder with --out"
        ) from error


class Metrics:
    """The file `path`, which starts with `text` and grows by a line with every `add`.

    Raises CheckpointError when it cannot be written.

    >>> import tempfile
    >>> metrics = Metrics(Path(tempfile.mkdtemp()) / "metrics.jsonl")
    >>> metrics.add(kind="epoch", epoch=1, test_accuracy=0.98)
    >>> metrics.close()
    >>> metrics.path.read_text()
    '{"kind": "epoch", "epoch": 1, "test_accuracy": 0.98}\\n'
    """

    def __init__(self, path: Path, text: bytes = b"") -> None:
        self.path = path
        self.text = bytearray(text)
        with saving(path):
            with atomic_writer(path) as file:
                file.write(text)
            self._file = open(path, "ab")  # noqa: SIM115 - it stays open

    def add(self, **record: Any) -> None:
        """Write a record."""
        line = (json.dumps(record, allow_nan=False) + "\n").encode()
        with saving(self.path):
            self._file.write(line)
            self._file.flush()
        self.text += line

    def records(self, kind: str) -> list[dict[str, Any]]:
        """The records of one kind so far."""
        return [record for line in self.text.splitlines() if (record := json.loads(line)).get("kind") == kind]

    def close(self) -> None:
        """Close the file."""
        # What could not be written has been reported; closing tries it again.
        with contextlib.suppress(OSError):
            self._file.close()
