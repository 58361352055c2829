"""Datasets and the loader that cuts them into batches."""

from .idx import read_idx
from .images import ImageData
from .loader import DataLoader, TensorDataset
from .sources import digits, load, mnist

__all__ = ["DataLoader", "ImageData", "TensorDataset", "digits", "load", "mnist", "read_idx"]
