"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from ..validation import known_words

if TYPE_CHECKING:
    from collections.abc import Iterator


@known_words
@contextmanager
def atomic_writer(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that takes its place when the block ends, and only then.

    The content is on the disk (fsync) before the rename, and the rename before the return, so neither a kill nor a
    power cut leaves half a file. If the block or the writing fails, the temporary file is removed, whatever stood at
    `path` stays as it was, and the error is passed on.

    Raises
    ------
    OSError
        If the folder is missing or not writable, or the disk is full.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> with atomic_writer(folder / "note.txt") as file:
    ...     _ = file.write(b"all of it")
    >>> [(entry.name, entry.read_bytes()) for entry in folder.iterdir()]
    [('note.txt', b'all of it')]
    """
    target = os.path.realpath(path)  # a link keeps its target
    folder, name = os.path.split(target)
    # Not tempfile: its files are readable by their owner alone, and the rename would keep that.
    temporary = os.path.join(folder, f".{name[:40]}.{os.urandom(6).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems know no such thing
            raise
    finally:
        os.close(descriptor)
