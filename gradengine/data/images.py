"""Labelled pictures in memory, split into training and test data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ..validation import known_class

Split = Literal["train", "test"]


@known_class
@dataclass(frozen=True, repr=False, eq=False)
class ImageData:
    """Grey pictures with class labels, as `mnist` and `digits` return them.

    Attributes
    ----------
    name
        What the data is: "mnist" or "digits".
    train_images, test_images
        uint8 (n, height, width), from 0 to `brightest`.
    train_labels, test_labels
        int64 (n,), from 0 to `classes` - 1.
    classes, brightest
        The number of classes, and the pixel value that means full intensity.
    fallback
        Why this is not what was asked for first (see `load`); empty when it is.

    Raises
    ------
    ShapeError, DTypeError
        If pictures and labels do not go together, or the pictures are not uint8.

    Examples
    --------
    >>> from gradengine.data import digits
    >>> data = digits()
    >>> data
    ImageData('digits', 1442 train and 355 test pictures of 8x8, 10 classes)
    >>> images, labels = data.arrays("train", flatten=True)
    >>> images.shape, images.dtype, images.min(), images.max()
    ((1442, 64), dtype('float32'), np.float32(0.0), np.float32(1.0))
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: int = 10
    brightest: int = 255
    fallback: str = ""

    def __post_init__(self) -> None:
        for split in ("train", "test"):
            images, labels = self.raw(split)
            if images.dtype != np.uint8:
                raise DTypeError(f"ImageData: {split}_images must be uint8, got {images.dtype}")
            if images.ndim != 3 or labels.shape != images.shape[:1] or images.shape[1:] != self.shape:
                raise ShapeError(
                    f"ImageData: {split}_images {images.shape} and {split}_labels {labels.shape} must be "
                    f"(n, height, width) and (n,), the pictures of one size, here {self.shape}"
                )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a picture."""
        return self.train_images.shape[1:]

    @property
    def features(self) -> int:
        """The number of pixels of a picture: the length of a flattened one."""
        return self.shape[0] * self.shape[1]

    @cached_property
    def mean_and_std(self) -> tuple[float, float]:
        """Mean and standard deviation of all training pixels, scaled to [0, 1]; 0.1307 and 0.3081 for MNIST."""
        counts = np.zeros(256, np.int64)
        for block in np.array_split(self.train_images, max(1, self.train_images.size // 2**22)):  # saves memory
            counts += np.bincount(block.reshape(-1), minlength=256)
        values, total = np.arange(256) / self.brightest, max(1, counts.sum())
        mean = float(counts @ values / total)
        return mean, float(np.sqrt(counts @ (values - mean) ** 2 / total))

    def raw(self, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """The uint8 pictures and int64 labels of "train" or "test". Raises ArgumentError for another split."""
        if split == "train":
            return self.train_images, self.train_labels
        if split == "test":
            return self.test_images, self.test_labels
        raise ArgumentError(f"split must be 'train' or 'test', got {split!r}")

    def arrays(self, split: Split, *, flatten: bool = False, normalize: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Pictures as float32 in [0, 1], and their labels, for a `DataLoader`.

        Parameters
        ----------
        split
            "train" or "test".
        flatten
            Give (n, height * width) instead of (n, height, width).
        normalize
            Shift and scale by the mean and standard deviation of the *training* pixels, for either split.

        Examples
        --------
        >>> from gradengine.data import digits
        >>> images, labels = digits().arrays("train", normalize=True)
        >>> f"{abs(images.mean()):.3f} {images.std():.3f}"
        '0.000 1.000'
        """
        pixels, labels = self.raw(split)
        images = pixels.astype(np.float32)
        images /= self.brightest
        if normalize:
            mean, std = self.mean_and_std
            images -= mean
            images /= std or 1.0
        return (images.reshape(len(images), self.features) if flatten else images), labels

    def __repr__(self) -> str:
        height, width = self.shape
        return (
            f"ImageData({self.name!r}, {len(self.train_labels)} train and {len(self.test_labels)} test pictures "
            f"of {height}x{width}, {self.classes} classes)"
        )
