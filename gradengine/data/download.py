"""Files from the network: from the first mirror that has the right one, and kept only if it is right."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from ..errors import DataError, MissingDataError, installing
from ..io.files import atomic_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType

T = TypeVar("T")

PATIENCE = (5, 30)  # seconds until a server answers, and between two pieces of its answer


def cache_folder() -> Path:
    """Where downloads are kept: `$GRADENGINE_CACHE_DIR`, else the system's folder for caches.

    Raises
    ------
    MissingDataError
        If neither the variable nor pooch, which knows the folder, is there.

    Examples
    --------
    >>> cache_folder().is_absolute()
    True
    """
    given = os.environ.get("GRADENGINE_CACHE_DIR")
    return Path(given).absolute() if given else Path(_pooch().os_cache("gradengine"))


def download(
    urls: Sequence[str], target: Path, check: Callable[[Path, str], T], most: int, *, progress: bool = True
) -> T:
    """Fetch `target` from the first of `urls` that answers with the right content, and return what `check` returns.

    Parameters
    ----------
    urls
        Places of the same file, tried in order.
    target
        Where it is to lie. Its folder is made if need be.
    check
        `check(path, url)` reads the file and raises a DataError unless it is right. Only then does it get its name.
    most
        The largest size that the file may have, in bytes. A download that grows beyond it is stopped.
    progress
        Show a bar on stderr, or a line where stderr is not a terminal. Nothing of a bar remains.

    Raises
    ------
    MissingDataError
        If no place gave the right file, with each one's reason, or it could not be written.
    """
    pooch = _pooch()
    import requests

    failures = []
    for url in urls:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_writer(target) as file, _shown(url, progress) as bar:
                pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=PATIENCE)(
                    url, _Limited(file, most, url), None
                )
                file.flush()
                return check(Path(file.name), url)
        except requests.RequestException as error:
            failures.append(f"{url}: {_reason(error)}")
        except DataError as error:
            failures.append(str(error))
        except OSError as error:
            raise MissingDataError(
                f"Cannot keep the download {target}: {error.strerror or error}; free some space, or name another "
                "folder in GRADENGINE_CACHE_DIR"
            ) from error
    raise MissingDataError("Downloading failed: " + "; ".join(failures))


def _reason(error: Any) -> str:
    """The cause in a few words: the library's own are a paragraph."""
    if error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    kinds: dict[str, str] = {
        "ConnectTimeout": "no answer",
        "ReadTimeout": "the server fell silent",
        "ConnectionError": "cannot connect",
    }
    return kinds.get(type(error).__name__, f"the transfer failed ({type(error).__name__})")


@contextmanager
def _shown(url: str, wanted: bool) -> Iterator[Any]:
    """What pooch takes as its progress bar: a rich one on a terminal, else a line and False."""
    if not wanted:
        yield False
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
    except ImportError:
        console = None
    else:
        console = Console(stderr=True)
    if console is None or not console.is_terminal:
        print(f"downloading {url}", file=sys.stderr)
        yield False
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(progress, progress.add_task(url.rsplit("/", 1)[-1], total=None))


class _Limited:
    """A file that takes `most` bytes and no more."""

    def __init__(self, file: BinaryIO, most: int, url: str) -> None:
        self.file, self.rest, self.url = file, most, url

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, piece: bytes) -> int:
        self.rest -= len(piece)
        if self.rest < 0:
            raise DataError(f"{self.url}: the server sends more than such a file can hold")
        return self.file.write(piece)


class _Bar:
    """The four things that pooch asks of a progress bar, done by rich."""

    def __init__(self, progress: Any, task: Any) -> None:
        self.progress, self.task = progress, task

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "total":
            self.progress.update(self.task, total=value or None)  # 0: the server has not said

    def update(self, size: int) -> None:
        self.progress.advance(self.task, size)

    def reset(self) -> None:
        self.progress.update(self.task, completed=0)

    def close(self) -> None:
        pass


def _pooch() -> ModuleType:
    try:
        import pooch
    except ImportError:
        raise MissingDataError(
            f"Downloads need the package pooch, which is not installed; {installing('train')}"
        ) from None
    return pooch
