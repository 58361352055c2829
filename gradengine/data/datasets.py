"""Datasets: what a DataLoader goes through, and how they are put together and cut apart.

`Dataset` and `IterableDataset` are PyTorch's protocols, for a user's own classes: one index gives one sample.
`TensorDataset` holds arrays and takes slices and arrays of positions too, which the loader uses.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..backend.backend import home_of
from ..backend.devices import for_device
from ..core.dispatch import no_grad
from ..core.tensor_class import Tensor, constant, to_array
from ..errors import ArgumentError, DTypeError, IndexRangeError, ShapeError, describe
from ..ops import random
from ..validation import check_number, known_class, known_words

if TYPE_CHECKING:
    import numpy as np

    Index = int | slice | np.ndarray

T = TypeVar("T")


@known_class
class Dataset(Generic[T]):
    """The base of user-defined datasets: define `__getitem__(index)`, which gives one sample, and `__len__`.

    A subclass may define `__getitems__(indices)` as well, which gives the list of samples of a batch at once.

    >>> import gradengine as ge
    >>> class Squares(ge.data.Dataset):
    ...     def __len__(self):
    ...         return 4
    ...     def __getitem__(self, index):
    ...         return index, {"square": float(index * index)}
    >>> next(iter(ge.data.DataLoader(Squares(), batch_size=2)))
    [tensor([0, 1]), {'square': tensor([0., 1.], dtype=float64)}]
    """

    def __getitem__(self, index: Any, /) -> Any:
        """The sample at a position."""
        raise NotImplementedError(
            f"{type(self).__name__} has no __getitem__: define `def __getitem__(self, index): ...`"
        )

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([self, other])


@known_class
class IterableDataset(Dataset[T]):
    """The base of datasets that come as a stream: define `__iter__`, which gives one sample after the other.

    With `num_workers`, every worker goes through the whole stream unless `__iter__` asks `get_worker_info()` for its
    part.

    >>> import gradengine as ge
    >>> class Count(ge.data.IterableDataset):
    ...     def __iter__(self):
    ...         return iter(range(5))
    >>> [batch.tolist() for batch in ge.data.DataLoader(Count(), batch_size=2)]
    [[0, 1], [2, 3], [4]]
    """

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__: define `def __iter__(self): ...`")

    def __add__(self, other: Any) -> Any:
        return ChainDataset([self, other])


@known_class
class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Arrays that belong together along their first axis, such as pictures and their labels.

    Parameters
    ----------
    arrays
        Tensors, NumPy arrays or what NumPy can make arrays of, each (n, ...). They are shared, not copied, so
        leave them as they are while batches of them are in use.

    Raises
    ------
    ArgumentError
        If there is no array.
    ShapeError
        If their first axes differ in length, or one has no axis.

    Examples
    --------
    >>> import gradengine as ge
    >>> pairs = TensorDataset(ge.arange(6).reshape((3, 2)), ge.tensor([7, 8, 9]))
    >>> len(pairs)
    3
    >>> pairs[[0, 2]]
    (tensor([[0, 1], [4, 5]]), tensor([7, 9]))
    """

    def __init__(self, *arrays: Any) -> None:
        if not arrays:
            raise ArgumentError("TensorDataset: needs at least one array")
        self.tensors = tuple(shared(array) for array in arrays)
        shapes = ", ".join(str(tensor.shape) for tensor in self.tensors)
        if any(tensor.ndim == 0 for tensor in self.tensors):
            raise ShapeError(f"TensorDataset: every array needs a first axis to index, got shapes {shapes}")
        if len({tensor.shape[0] for tensor in self.tensors}) > 1:
            raise ShapeError(f"TensorDataset: the arrays must be equally long along their first axis, got {shapes}")

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def __getitem__(self, index: Index | Tensor | Sequence[int]) -> tuple[Tensor, ...]:
        with no_grad():
            return tuple([tensor[index] for tensor in self.tensors])

    def __repr__(self) -> str:
        return f"TensorDataset({', '.join(f'{tensor.dtype}{list(tensor.shape)}' for tensor in self.tensors)})"


class Rows(TensorDataset):
    """The rows of one array: what a loader makes of an array alone, so that its batches are Tensors, as in PyTorch."""

    def __init__(self, array: Any) -> None:
        super().__init__(array)

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(index)[0]


def is_of_arrays(dataset: Any) -> bool:
    """Whether whole batches can be cut out of a dataset's arrays."""
    return type(dataset) is TensorDataset or type(dataset) is Rows


@known_class
class StackDataset(Dataset[Any]):
    """Several datasets side by side: a sample is the tuple (or, of keywords, the dict) of theirs.

    Raises ShapeError when they are not equally long, ArgumentError for none or for both kinds at once.

    >>> import gradengine as ge
    >>> ge.data.StackDataset(image=ge.arange(3), text=["a", "b", "c"])[1]
    {'image': tensor(1), 'text': 'b'}
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ArgumentError("StackDataset: needs datasets, either all by position or all by keyword")
        self.datasets: Any = kwargs or args
        lengths = [len(dataset) for dataset in self.parts()]
        if len(set(lengths)) > 1:
            raise ShapeError(f"StackDataset: the datasets must be equally long, got lengths {lengths}")
        self.length = lengths[0]

    def parts(self) -> list[Any]:
        """The datasets."""
        return list(self.datasets.values() if isinstance(self.datasets, dict) else self.datasets)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)


@known_class
class ConcatDataset(Dataset[Any]):
    """Datasets one after the other, as one.

    Raises ArgumentError for none, DTypeError for one without a length.

    >>> import gradengine as ge
    >>> both = ge.data.ConcatDataset([["a", "b"], ["c"]])
    >>> len(both), both[2], both[-1]
    (3, 'c', 'c')
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = listed("ConcatDataset", "datasets", datasets)
        for dataset in self.datasets:
            if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
                raise DTypeError(
                    f"ConcatDataset: every dataset needs a length, {type(dataset).__name__} has none; ChainDataset "
                    "takes streams"
                )
        self.cumulative_sizes = list(itertools.accumulate(len(dataset) for dataset in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexRangeError(f"ConcatDataset: index {index} is out of range for {len(self)} samples")
        place = bisect.bisect_right(self.cumulative_sizes, position)
        return self.datasets[place][position - (self.cumulative_sizes[place - 1] if place else 0)]


@known_class
class ChainDataset(IterableDataset[Any]):
    """Streams one after the other, as one.

    >>> import gradengine as ge
    >>> class Count(ge.data.IterableDataset):
    ...     def __iter__(self):
    ...         return iter(range(2))
    >>> list(Count() + Count())
    [0, 1, 0, 1]
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = listed("ChainDataset", "datasets", datasets)

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise DTypeError(f"ChainDataset: needs IterableDatasets, got {describe(dataset)}")
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)


@known_class
class Subset(Dataset[Any]):
    """The samples of a dataset at some positions.

    >>> import gradengine as ge
    >>> part = ge.data.Subset(["a", "b", "c"], [2, 0])
    >>> len(part), part[0]
    (2, 'c')
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        if not hasattr(dataset, "__getitem__") or isinstance(dataset, IterableDataset):
            raise DTypeError(f"Subset: needs a dataset that is indexed, got {describe(dataset)}")
        if isinstance(indices, Tensor):
            indices = indices.tolist()
        if not hasattr(indices, "__getitem__") or not hasattr(indices, "__len__"):
            raise DTypeError(f"Subset: indices must be a list of positions, got {describe(indices)}")
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> list[Any]:
        positions = [self.indices[i] for i in indices]
        several = getattr(self.dataset, "__getitems__", None)
        return several(positions) if callable(several) else [self.dataset[position] for position in positions]


@known_words
def random_split(
    dataset: Any, lengths: Sequence[int | float], generator: random.Generator | None = None
) -> list[Subset]:
    """Cut a dataset into parts of random samples: `lengths` are numbers of samples, or fractions that sum to 1.

    Of fractions, what rounding leaves over goes to the first parts, one sample each. Raises ArgumentError for lengths
    that do not sum to the dataset's.

    >>> import gradengine as ge
    >>> parts = ge.data.random_split(range(10), [0.7, 0.3], generator=ge.Generator(0))
    >>> [len(part) for part in parts]
    [7, 3]
    """
    if not hasattr(dataset, "__len__"):
        raise DTypeError(f"random_split: needs a dataset with a length, got {describe(dataset)}")
    parts = listed("random_split", "lengths", lengths)
    for length in parts:
        check_number("random_split", "each length", length, 0)
    total = len(dataset)
    sizes = list(parts)
    if math.isclose(sum(parts), 1) and sum(parts) <= 1 and any(isinstance(part, float) for part in parts):
        sizes = [math.floor(total * part) for part in parts]
        for i in range(total - sum(sizes)):
            sizes[i % len(sizes)] += 1
    if any(size != int(size) for size in sizes) or sum(sizes) != total:
        raise ArgumentError(
            f"random_split: lengths must sum to the {total} samples of the dataset, or be fractions that sum to 1, got "
            f"{parts}"
        )
    order = random.randperm(total, generator=generator, device="cpu").tolist()
    ends = list(itertools.accumulate(map(int, sizes)))
    return [Subset(dataset, order[end - int(size) : end]) for end, size in zip(ends, sizes, strict=True)]


def listed(owner: str, name: str, values: Any) -> list[Any]:
    """What must be a list that is not empty."""
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise DTypeError(f"{owner}: {name} must be a list, got {describe(values)}")
    found = list(values)
    if not found:
        raise ArgumentError(f"{owner}: {name} must not be empty")
    return found


def shared(array: Any) -> Tensor:
    """A Tensor on the very memory of an array; only what is not an array yet, or is on another device, is copied."""
    if isinstance(array, Tensor):
        return array
    backend = for_device(home_of(array))
    return constant(to_array(array, None, backend), backend)
