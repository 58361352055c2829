"""How the batch at some positions is got out of a dataset: by one look into arrays, or sample by sample."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..core.tensor_class import Tensor, wrap
from ..errors import DataError
from .collate import default_collate, default_convert
from .datasets import Dataset, Rows, Subset, TensorDataset
from .workers import noted

Fetch = Callable[[Any], Any]  # from a slice or an array of positions to a batch
END = object()  # what a stream gives when it is at its end


def fetch_of(dataset: Any, collate: Callable[[list[Any]], Any] | None, batched: bool) -> Fetch:
    """The function that gets the batch at some positions; of a loader that makes no batches, the sample at one."""
    if not batched:
        convert = collate or default_convert
        return lambda index: convert(sample_at(dataset, index))
    if collate is not None:
        return lambda index: collate(samples_at(dataset, positions_of(index)))
    known = looks_into_arrays(dataset)
    if known is not None:
        return known
    if isinstance(dataset, (Dataset, list)) or hasattr(dataset, "__getitems__"):
        return lambda index: default_collate(samples_at(dataset, positions_of(index)))
    return Probing(dataset)


def looks_into_arrays(dataset: Any) -> Fetch | None:
    """The function that takes a batch out of a dataset's arrays at once, if it has such."""
    if type(dataset) is Rows:
        return dataset.__getitem__
    if type(dataset) is TensorDataset:
        return lambda index: list(dataset[index])
    if type(dataset) is Subset and (inner := looks_into_arrays(dataset.dataset)) is not None:
        indices = np.asarray(dataset.indices)
        if indices.dtype.kind in "iu" and indices.ndim == 1:
            return lambda index: inner(indices[index])
    return None


class Probing:
    """A dataset that is neither of PyTorch's kind nor of arrays: its first batch tells what its `__getitem__` takes.

    One that takes arrays of positions, and gives for them what it gives for each of them, is asked for whole batches.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.takes_many: bool | None = None

    def __call__(self, index: Any) -> Any:
        if self.takes_many is None:
            return self.first(index)
        if self.takes_many:
            return many(self.dataset, index, len(positions_of(index)))
        return default_collate(samples_at(self.dataset, positions_of(index)))

    def first(self, index: Any) -> Any:
        """The first batch, in whichever way the dataset gives one."""
        positions = positions_of(index)
        single: Any = None
        failure: Exception | None = None
        try:
            single = self.dataset[positions[0]]
        except Exception as error:  # a user's code raises what it likes
            failure = error
        try:
            batch = many(self.dataset, index, len(positions))
        except DataError:
            if failure is not None:
                raise noted(failure, note_of(positions[0])) from None
            self.takes_many = False
            return self(index)
        self.takes_many = failure is not None or agrees(batch, single)
        return batch if self.takes_many else self(index)


def agrees(batch: Tensor | list[Tensor], single: Any) -> bool:
    """Whether the first sample of a batch is the same as that sample by itself."""
    columns = batch if isinstance(batch, list) else [batch]
    parts = single if isinstance(single, (tuple, list)) else (single,)
    if len(parts) != len(columns):
        return False
    for whole, part in zip(columns, parts, strict=True):
        try:
            value = np.asarray(part)
        except (TypeError, ValueError):
            return False
        if value.shape != whole.shape[1:] or not np.array_equal(np.asarray(whole)[0], value):
            return False
    return True


def many(dataset: Any, index: Any, count: int) -> Tensor | list[Tensor]:
    """What a dataset of the user's own gives for `count` positions. Raises DataError if it only knows single ones."""
    try:
        values = dataset[index]
        several = isinstance(values, (tuple, list))
        tensors = [wrap(value) for value in (values if several else (values,))]
    except Exception as error:  # as above
        raise DataError(f"DataLoader: {type(dataset).__name__}.__getitem__ takes no array of positions") from error
    if any(tensor.shape[:1] != (count,) for tensor in tensors):
        shapes = ", ".join(str(tensor.shape) for tensor in tensors)
        raise DataError(
            f"DataLoader: {type(dataset).__name__}.__getitem__ returned shapes {shapes} for {count} positions; return "
            "one sample for one position, or arrays of that length for an array of positions"
        )
    return tensors if several else tensors[0]


# -- sample by sample ---------------------------------------------------------------------------------------------


def positions_of(index: Any) -> list[Any]:
    """The positions that a slice, an array or a list stands for."""
    if isinstance(index, slice):
        return list(range(index.start, index.stop))
    return index.tolist() if hasattr(index, "tolist") else list(index)


def samples_at(dataset: Any, positions: list[Any]) -> list[Any]:
    """The samples at some positions."""
    several = getattr(dataset, "__getitems__", None)
    if callable(several):
        try:
            found = several(positions)
        except Exception as error:
            raise foreign(error, positions[0] if len(positions) == 1 else positions) from None
        if not hasattr(found, "__len__") or len(found) != len(positions):
            raise DataError(
                f"DataLoader: {type(dataset).__name__}.__getitems__ must return a list of {len(positions)} samples"
            )
        return list(found)
    return [sample_at(dataset, position) for position in positions]


def sample_at(dataset: Any, position: Any) -> Any:
    """One sample; what its dataset raises says which one it was."""
    try:
        return dataset[position]
    except Exception as error:
        raise foreign(error, position) from None


def foreign(error: Exception, position: Any) -> Exception:
    """The error of a dataset with a note of where it came from; StopIteration would end the loop without a word."""
    if isinstance(error, StopIteration):
        error = DataError("DataLoader: the dataset raised StopIteration; raise IndexError for an index that is wrong")
    noted(error, note_of(position))
    return error


def note_of(position: Any) -> str:
    """What is added to an error of the dataset."""
    return f"raised by the dataset for the sample at index {position}"


# -- streams ------------------------------------------------------------------------------------------------------


def stream_of(dataset: Any, size: int | None, drop_last: bool, collate: Callable[[list[Any]], Any] | None) -> Fetch:
    """The function that gets the next batch of a stream, or END."""
    samples = iter(dataset)
    made: Callable[[Any], Any] = collate or (default_convert if size is None else default_collate)

    def fetch(_: Any) -> Any:
        if size is None:
            found = next(samples, END)
            return found if found is END else made(found)
        batch = list(itertools.islice(samples, size))
        if not batch or (drop_last and len(batch) < size):
            return END
        return made(batch)

    return fetch


def all_of(fetch: Fetch) -> Iterator[Any]:
    """The batches of a stream."""
    while (found := fetch(None)) is not END:
        yield found
