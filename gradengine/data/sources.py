"""The datasets by name: `mnist`, `digits`, and `load`, which takes the best one that can be had."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import ArgumentError, DataError, MissingDataError, installing
from ..validation import known_words
from .download import cache_folder, download
from .idx import read_with_digest
from .images import ImageData

if TYPE_CHECKING:
    from collections.abc import Callable

    StrPath = str | os.PathLike[str]

NAMES = ("auto", "mnist", "digits")
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


SLACK = 1 << 16  # bytes by which a gzip file may be larger than its content


class Part(NamedTuple):
    """One of the files that a dataset consists of, and what the right one holds."""

    file: str
    shape: tuple[int, ...]
    sha256: str  # of the uncompressed bytes: gzip files of equal content differ


MNIST = {
    "train_images": Part(
        "train-images-idx3-ubyte",
        (60000, 28, 28),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train_labels": Part(
        "train-labels-idx1-ubyte",
        (60000,),
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "test_images": Part(
        "t10k-images-idx3-ubyte",
        (10000, 28, 28),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "test_labels": Part(
        "t10k-labels-idx1-ubyte",
        (10000,),
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}


@known_words
def mnist(folder: StrPath | None = None, *, fetch: bool = True, progress: bool = True) -> ImageData:
    """The 70,000 handwritten digits of MNIST, 28x28 pixels, 60,000 of them for training.

    The four IDX files, plain or with `.gz`, are looked for in `folder` (default `$GRADENGINE_DATA`) and its subfolder
    `mnist`, then in the cache (`$GRADENGINE_CACHE_DIR`, else the system's folder for caches). What is in neither is
    downloaded into the cache. Every file is checked by its SHA-256 each time, and a wrong one is never used or kept.

    Parameters
    ----------
    folder
        Where to look first.
    fetch
        Whether to download what is not there.
    progress
        Show downloads on stderr: a bar on a terminal, else a line. False shows nothing.

    Raises
    ------
    MissingDataError
        If files are neither there nor to be downloaded; says where it looked and how to supply them.
    DataError
        If a file is truncated, damaged or another one under this name; says which, and what to do.

    Examples
    --------
    >>> mnist()  # doctest: +SKIP
    ImageData('mnist', 60000 train and 10000 test pictures of 28x28, 10 classes)
    """
    own = _named(folder)
    try:
        places = [*own, cache_folder() / "mnist"]
    except MissingDataError:  # the error comes again, with more words, if anything has to be downloaded
        places = own
    found = {key: _find(part, places) for key, part in MNIST.items()}
    arrays = {}
    for key, part in MNIST.items():
        path = found[key]
        if path is not None:
            advice = "put the original in its place" if path.parent in own else "delete it, and it is downloaded again"
            arrays[key] = _read(part, f"; {advice}", path, str(path))
            continue
        try:
            arrays[key] = _fetch(part, fetch, progress)
        except MissingDataError as error:
            missing = [part.file for key, part in MNIST.items() if found[key] is None]
            raise MissingDataError(
                f"MNIST lacks {', '.join(missing)}. Looked in {', '.join(map(str, places)) or 'no folder'}. {error}. "
                "Put the four files, as they are or with .gz, into a folder and name it in GRADENGINE_DATA, or use "
                "the dataset digits, which needs none."
            ) from error
    return ImageData(
        "mnist",
        arrays["train_images"],
        arrays["train_labels"].astype(np.int64),
        arrays["test_images"],
        arrays["test_labels"].astype(np.int64),
    )


def _named(folder: StrPath | None) -> list[Path]:
    """Where the folder that the caller or $GRADENGINE_DATA names may hold the files; empty if none is named."""
    given = folder or os.environ.get("GRADENGINE_DATA")
    return [Path(given), Path(given) / "mnist"] if given else []


def _fallback(folder: StrPath | None, error: MissingDataError) -> str:
    """One line that says why there is no MNIST, what is used instead, and how to change that."""
    failed = str(error.__cause__ or error).removeprefix("Downloading failed: ")
    failed = re.sub(r"https?://([^/]+)\S*: ", r"\1: ", failed)
    own = _named(folder)
    reason, remedy = "MNIST is not on this machine", "put its files into a folder and name it in GRADENGINE_DATA"
    if own:
        lacking = [part.file for part in MNIST.values() if _find(part, own) is None]
        if not os.path.exists(own[0]):
            what = "does not exist"
        elif len(lacking) == len(MNIST):
            what = "holds none of MNIST's files"
        else:
            what = f"lacks {', '.join(lacking)}"
        reason += f" ({own[0]}{'' if folder else ', named by GRADENGINE_DATA,'} {what})"
        remedy = f"put {', '.join(lacking)} there, as they are or with .gz"
    return (
        f"{reason} and could not be downloaded ({failed}): using the 1,797 small digits of scikit-learn instead (to "
        f"use MNIST, {remedy})"
    )


def _fetch(part: Part, allowed: bool, progress: bool) -> np.ndarray:
    if not allowed:
        raise MissingDataError("Downloading was not allowed")
    urls = [f"{mirror}{part.file}.gz" for mirror in MIRRORS]
    target = cache_folder() / "mnist" / f"{part.file}.gz"
    most = 16 + math.prod(part.shape) + SLACK
    return download(urls, target, functools.partial(_read, part, ""), most, progress=progress)


def _find(part: Part, places: list[Path]) -> Path | None:
    paths = (place / name for place in places for name in (part.file, f"{part.file}.gz"))
    return next((path for path in paths if os.path.isfile(path)), None)


def _read(part: Part, advice: str, path: Path, subject: str) -> np.ndarray:
    """The array in `path` if it is the one that `part` describes. Errors call the file `subject`, and give advice."""

    def expected(dtype: np.dtype, shape: tuple[int, ...]) -> None:
        if dtype != np.uint8 or shape != part.shape:
            raise DataError(
                f"{subject} is not MNIST's {part.file}: it holds {dtype} of shape {shape}, not uint8 of shape "
                f"{part.shape}"
            )

    try:
        array, digest = read_with_digest(path, subject, expected)
    except DataError as error:
        raise DataError(f"{error}{advice}") from error
    if digest != part.sha256:  # Fashion-MNIST, say, has the same names and shapes
        raise DataError(
            f"{subject} is damaged, or of another dataset: its content has SHA-256 {digest}, that of MNIST's "
            f"{part.file} is {part.sha256}{advice}"
        )
    return array


@known_words
def digits() -> ImageData:
    """The 1,797 handwritten digits that come with scikit-learn, 8x8 pixels: no file or network is needed.

    Every fifth picture of each class, in the data's own order, is for testing.

    Raises
    ------
    DataError
        If scikit-learn is not installed.

    Examples
    --------
    >>> digits()
    ImageData('digits', 1442 train and 355 test pictures of 8x8, 10 classes)
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError(f"digits come with scikit-learn, which is not installed; {installing('train')}") from None
    bunch = load_digits()
    images, labels = bunch.images.astype(np.uint8), bunch.target.astype(np.int64)
    by_class = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    place_in_class = np.empty_like(labels)
    place_in_class[by_class] = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    test = place_in_class % 5 == 4
    return ImageData("digits", images[~test], labels[~test], images[test], labels[test], brightest=16)


@known_words
def load(
    name: str = "auto",
    folder: StrPath | None = None,
    *,
    fetch: bool = True,
    progress: bool = True,
    on_fallback: Callable[[str], object] = warnings.warn,
) -> ImageData:
    """A dataset by name: "mnist", "digits", or "auto", which is MNIST where it can be had and digits elsewhere.

    Parameters
    ----------
    name
        "auto", "mnist" or "digits".
    folder, fetch, progress
        As for `mnist`.
    on_fallback
        Called with one line of text when "auto" gives digits. The result's `fallback` holds the whole reason.

    Raises
    ------
    ArgumentError
        If there is no dataset of this name.
    DataError
        As `mnist` and `digits` do. "auto" too raises it for an MNIST file that is there but damaged.

    Examples
    --------
    >>> load("digits").name
    'digits'
    """
    if name not in NAMES:
        raise ArgumentError(f"dataset {name!r} is unknown; choose one of {', '.join(NAMES)}")
    if name == "digits":
        return digits()
    try:
        return mnist(folder, fetch=fetch, progress=progress)
    except MissingDataError as error:
        if name == "mnist":
            raise
        data = dataclasses.replace(digits(), fallback=str(error))
        line = _fallback(folder, error)
    on_fallback(line)
    return data
