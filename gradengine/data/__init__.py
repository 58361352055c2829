"""Datasets and the loader that cuts them into batches."""

from typing import TYPE_CHECKING, Any

from .idx import read_idx
from .images import ImageData
from .loader import DataLoader, TensorDataset
from .sources import digits, load, mnist

__all__ = ["DataLoader", "ImageData", "TensorDataset", "digits", "load", "mnist", "read_idx"]


if not TYPE_CHECKING:  # to a type checker, other names are simply missing

    def __getattr__(name: str) -> Any:
        from ..migration_hints import missing

        raise missing(__name__, name)
