"""Files that keep what was compiled, each verified whenever it is read.

What is read from here is run, so a file counts only if it belongs to this user, nobody else may write to it, and its
content matches the digest and the key in its head. Anything else counts as absent: it is compiled again and replaced.
Nothing here raises: where nothing can be written, programs run without a cache, and one warning says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import threading
import time
import warnings
from pathlib import Path

MAGIC = b"gradengine cache 1\n"
HEAD = len(MAGIC) + 32  # then comes the SHA-256 of key and content, then the content
LEFTOVER = 3600  # seconds after which a temporary file has no writer any more
NOT_SAFE = stat.S_IWGRP | stat.S_IWOTH

_warned = threading.Event()
_cleaned: set[Path] = set()


def root() -> Path:
    """The folder of all caches: `$GRADENGINE_CACHE_DIR`, else `gradengine` in the user's folder for caches."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(os.environ.get("GRADENGINE_CACHE_DIR") or os.path.join(home, "gradengine"))


class DiskCache:
    """The entries in a folder, which is created for the first one.

    >>> import tempfile
    >>> cache = DiskCache(Path(tempfile.mkdtemp()) / "kernels")
    >>> cache.write("tanh", b"machine code")
    >>> cache.read("tanh")
    b'machine code'
    >>> cache.read("sinh") is None
    True
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """Where an entry lies. Any string may be a key: the name is its digest."""
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}.bin"

    def read(self, key: str) -> bytes | None:
        """The content of an entry, or None where there is none, or one that cannot be trusted."""
        try:
            # A pipe in the place of a file is not waited for.
            flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
            descriptor = os.open(self.path(key), flags)
        except OSError:
            return None
        try:
            with open(descriptor, "rb") as file:
                if not is_own(os.fstat(descriptor)):
                    return None
                content = file.read()
        except (OSError, MemoryError):
            return None
        if not content.startswith(MAGIC) or content[len(MAGIC) : HEAD] != digest(key, content[HEAD:]):
            return None
        return content[HEAD:]

    def write(self, key: str, content: bytes) -> None:
        """Add an entry, or replace it, whole or not at all. A failed write is not an error: the entry is absent."""
        path = self.path(key)
        temporary = path.with_name(f"{path.stem}.{os.urandom(6).hex()}.tmp")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.clean()
            try:
                with open(
                    os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600), "wb"
                ) as file:
                    file.write(MAGIC + digest(key, content) + content)
                if path.is_dir() and not path.is_symlink():
                    path.rmdir()
                os.replace(temporary, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                raise
        except OSError as error:
            self.warn(error)

    def clean(self) -> None:
        """Remove, once in a process, temporary files of writers that were killed."""
        if self.folder in _cleaned:
            return
        _cleaned.add(self.folder)
        for left in self.folder.glob("*.tmp"):
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > LEFTOVER:
                    left.unlink()

    def warn(self, error: OSError) -> None:
        """Warn, once in a process, that the cache cannot be written."""
        if _warned.is_set():
            return
        _warned.set()
        warnings.warn(
            f"compiled kernels cannot be kept in {self.folder} ({error.strerror or error}), so every process compiles "
            "them again; free some space there, or set GRADENGINE_CACHE_DIR to a folder that you may write to",
            RuntimeWarning,
            stacklevel=2,
        )


def is_own(found: os.stat_result) -> bool:
    """Whether a file is a regular one that only this user, or the system's administrator, can have written."""
    if not stat.S_ISREG(found.st_mode):
        return False
    if sys.platform == "win32":
        return True
    return found.st_uid in (0, os.geteuid()) and not found.st_mode & NOT_SAFE


def digest(key: str, content: bytes) -> bytes:
    """What an entry's head holds: the same bytes under another key are another entry."""
    name = key.encode()
    return hashlib.sha256(len(name).to_bytes(8, "big") + name + content).digest()
