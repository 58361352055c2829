"""A lock on the folder of a run, so that two processes never write to one.

The operating system holds the lock and releases it with the process, however that ends. The lock file says who has it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import time
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOCK = ".lock"
AFTER = 1 << 30  # the byte that Windows locks: behind the text, which others are to read
TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


@contextlib.contextmanager
def locked(folder: Path, subject: str, warn: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a folder during the block.

    Where the file system has no locks, `warn` is called and the block runs without one.

    Raises
    ------
    ArgumentError
        If another process, or another thread of this one, holds the lock. `subject` is what the message begins with.
    OSError
        If the lock file cannot be written.
    """
    path = folder / LOCK
    descriptor = _open(path)
    try:
        try:
            while not _acquire(descriptor, path):  # its last owner has removed the file meanwhile
                os.close(descriptor)
                descriptor = _open(path)
        except OSError as error:
            if error.errno in TAKEN:
                raise ArgumentError(
                    f"{subject} is in use{_owner(path)}; wait until that run has ended, or stop it, or choose another "
                    "folder with --out"
                ) from None
            warn(f"cannot lock {folder} ({error.strerror or error}); do not start another run there")
        _sign(descriptor)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # Windows removes no file that is open
                path.unlink()
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)


def _acquire(descriptor: int, path: Path) -> bool:
    """Lock the open file. Returns False if it is no longer the one at `path`. Raises OSError if it cannot be locked."""
    _lock(descriptor)
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(descriptor))


def _lock(descriptor: int) -> None:
    module: Any
    if os.name == "nt":
        import msvcrt

        module = msvcrt
        os.lseek(descriptor, AFTER, os.SEEK_SET)
        module.locking(descriptor, module.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sign(descriptor: int) -> None:
    """Write down who holds the lock."""
    owner = {"pid": os.getpid(), "host": platform.node(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps(owner).encode())


def _owner(path: Path) -> str:
    """Who holds the lock, in words; nothing if the file does not say."""
    try:
        found = json.loads(path.read_bytes())
        return f" by process {found['pid']} on {found['host']} since {found['since']}"
    except (OSError, ValueError, LookupError, TypeError):
        return " by another process"
