"""Batches of Tensors, cut by array indexing, in an order that a seed decides and a checkpoint remembers.

May import backend, errors, tensor and ops.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..backend import for_device, home_of
from ..dispatch import no_grad
from ..errors import ArgumentError, CheckpointError, DataError, ShapeError
from ..migration_hints import advising
from ..ops import random
from ..tensor import Tensor, constant, to_array, wrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Index = int | slice | np.ndarray


class Dataset(Protocol):
    """What a `DataLoader` needs: a length, and arrays that are indexed together along their first axis."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> tuple[Any, ...]: ...


class TensorDataset:
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


class DataLoader:
    """Goes through a dataset in batches, each a tuple of Tensors; every `for` loop over it is one epoch.

    Parameters
    ----------
    dataset
        An array or Tensor, a tuple or list of them, a `TensorDataset`, or anything with a length that gives a tuple
        of arrays when it is indexed by a slice or by an array of indices. A list of tuples is one of samples, such
        as `list(zip(images, labels))`; they are stacked once, into an array per place in the tuples.
    batch_size
        Samples in a batch; the last one may be smaller.
    shuffle
        Draw a new order for each epoch.
    drop_last
        Leave out a last batch that is smaller.
    generator
        Where orders are drawn from; by default the engine's own generator, which `manual_seed` seeds.
    device
        Where the batches are to be, by default where the data is. Arrays and Tensors are moved there once.

    Raises
    ------
    DeviceError
        For a device that is unknown or cannot be used here.
    ArgumentError
        If the batch size is no positive int, or the dataset has no length or cannot be indexed.
    ShapeError
        As `TensorDataset` does, or if samples are not all of one shape.
    DataError
        In the loop, if a dataset of another kind cannot be indexed by many positions at once.

    Examples
    --------
    >>> import gradengine as ge
    >>> loader = DataLoader((ge.arange(5), ge.arange(5) * 10), batch_size=2)
    >>> for x, y in loader:
    ...     print(x, y)
    tensor([0, 1]) tensor([ 0, 10])
    tensor([2, 3]) tensor([20, 30])
    tensor([4]) tensor([40])
    >>> len(loader)
    3
    """

    @advising("DataLoader")
    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        generator: random.Generator | None = None,
        device: Any = None,
    ) -> None:
        try:
            self.batch_size = operator.index(batch_size)
        except TypeError:
            self.batch_size = 0
        if self.batch_size < 1 or isinstance(batch_size, bool):
            raise ArgumentError(f"DataLoader: batch_size must be a positive int, got {batch_size!r}")
        if isinstance(dataset, (Tensor, np.ndarray)):
            dataset = TensorDataset(dataset)
        elif isinstance(dataset, (tuple, list)):
            samples = isinstance(dataset, list) and bool(dataset) and all(isinstance(one, tuple) for one in dataset)
            arrays: Sequence[Any] = _stacked(dataset) if samples else dataset
            dataset = TensorDataset(*arrays)
        elif not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise ArgumentError(
                f"DataLoader: a dataset needs __len__ and __getitem__, and {type(dataset).__name__} lacks them; pass "
                "the arrays, as in DataLoader((images, labels))"
            )
        if device is not None:
            device = for_device(device).device
        if device is not None and isinstance(dataset, TensorDataset):
            dataset = TensorDataset(*(tensor.to(device) for tensor in dataset.tensors))
        self.dataset: Dataset = dataset
        self.shuffle, self.drop_last, self.device = bool(shuffle), bool(drop_last), device
        self.generator = generator if generator is not None else random.default_generator
        self._epoch: _Epoch | None = None  # the one under way
        self._resumed = False

    def __len__(self) -> int:
        samples = len(self.dataset)
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        if self._epoch is None or not self._resumed:
            self._epoch = _Epoch(self, self._generator_state(), self.generator)
        self._resumed = False
        return self._epoch

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands: the epoch under way, how many of its batches were handed out, the generator.

        Inside the loop the batch in hand counts as handed out, so take the state once that batch has been trained
        on. A loop that was left early counts as an epoch under way.

        Examples
        --------
        >>> import gradengine as ge
        >>> data = ge.arange(6)
        >>> loader = DataLoader(data, batch_size=2, shuffle=True, generator=ge.Generator(1))
        >>> epoch = iter(loader)
        >>> _ = next(epoch)
        >>> other = DataLoader(data, batch_size=2, shuffle=True, generator=ge.Generator(2))
        >>> other.load_state_dict(loader.state_dict())
        >>> [x.tolist() for x, in other] == [x.tolist() for x, in epoch]
        True
        """
        return {
            **self._settings(),
            "generator": self._generator_state(),
            "epoch": self._epoch and {"generator": self._epoch.start, "position": self._epoch.position},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken: the next `for` loop gives the rest of that epoch, batch for batch.

        That rest is empty if the state was taken at the epoch's last batch. The generator of a loader that shuffles
        is set to its state of then. Raises CheckpointError if the state is not one of a loader with the same number
        of samples, batch size and settings.
        """
        try:
            saved = {name: state[name] for name in self._settings()}
            generator, epoch = state["generator"], state["epoch"]
            start, position = (epoch["generator"], int(epoch["position"])) if epoch else (generator, 0)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"DataLoader: this is no state of a loader: {error!r}") from error
        if saved != self._settings():
            raise CheckpointError(
                f"DataLoader: the state is that of a loader with {_described(saved)}, this one has "
                f"{_described(self._settings())}; make it with the same data and settings"
            )
        if not 0 <= position <= len(self):
            raise CheckpointError(f"DataLoader: the state is {position} batches into an epoch of {len(self)}")
        self._epoch, self._resumed = None, bool(epoch)
        if self.shuffle:
            self.generator.load_state_dict(generator)
        if epoch:
            source = self.generator.clone()  # others may have drawn from the generator since this epoch began
            if self.shuffle:
                source.load_state_dict(start)
            self._epoch = _Epoch(self, start, source, position)

    def _generator_state(self) -> dict[str, Any] | None:
        return self.generator.state_dict() if self.shuffle else None

    def _settings(self) -> dict[str, Any]:
        return {
            "samples": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
        }

    def __repr__(self) -> str:
        return f"DataLoader({self.dataset!r}, {_described(self._settings())})"


class _Epoch:
    """One pass: its order, and how many batches of it were handed out."""

    def __init__(self, loader: DataLoader, start: Any, source: random.Generator, position: int = 0) -> None:
        self.loader, self.start, self.position = loader, start, position
        self.order: Any = None
        if loader.shuffle:  # drawn on the CPU, and once for all batches where the data is
            order = random.randperm(len(loader.dataset), generator=source, device="cpu")
            homes = {t.device for t in loader.dataset.tensors} if isinstance(loader.dataset, TensorDataset) else set()
            self.order = order.numpy() if homes <= {"cpu"} or len(homes) > 1 else order.to(device=homes.pop())

    def __iter__(self) -> _Epoch:
        return self

    def __next__(self) -> tuple[Tensor, ...]:
        loader, begin = self.loader, self.position * self.loader.batch_size
        if self.position >= len(loader):
            if loader._epoch is self:
                loader._epoch, loader._resumed = None, False
            raise StopIteration
        self.position += 1
        batch = slice(begin, min(begin + loader.batch_size, len(loader.dataset)))
        index = batch if self.order is None else self.order[batch]
        if isinstance(loader.dataset, TensorDataset):
            return loader.dataset[index]
        values = _many(loader.dataset, index, batch.stop - begin)
        return values if loader.device is None else tuple(value.to(loader.device) for value in values)


def _many(dataset: Any, index: Index, count: int) -> tuple[Tensor, ...]:
    """What a dataset of the user's own gives for `count` positions. Raises DataError if it only knows single ones."""
    advice = "return arrays for arrays of positions, or wrap the arrays in TensorDataset"
    asked = (
        f"DataLoader: the loader indexes with a slice or an array of positions, here {count} of them, and "
        f"{type(dataset).__name__}.__getitem__"
    )
    try:
        values = dataset[index]
        tensors = tuple(map(wrap, values if isinstance(values, (tuple, list)) else (values,)))
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise DataError(f"{asked} failed for it ({type(error).__name__}: {error}); {advice}") from error
    if any(tensor.shape[:1] != (count,) for tensor in tensors):
        shapes = ", ".join(str(tensor.shape) for tensor in tensors)
        raise DataError(f"{asked} returned shapes {shapes}, whose first axes are not that long; {advice}")
    return tensors


def _stacked(samples: Sequence[tuple[Any, ...]]) -> list[Tensor]:
    """An array for each place in the tuples."""
    try:
        places = [list(place) for place in zip(*samples, strict=True)]
        return [shared(np.stack(place) if hasattr(place[0], "dtype") else place) for place in places]
    except ValueError as error:
        raise ShapeError(
            f"DataLoader: samples in a list must be tuples of equal length with values of equal shapes ({error}); "
            "to pass whole arrays, put them into a tuple"
        ) from error


def shared(array: Any) -> Tensor:
    """A Tensor on the very memory of an array; only what is no array yet, or is on another device, is copied."""
    if isinstance(array, Tensor):
        return array
    backend = for_device(home_of(array))
    return constant(to_array(array, None, backend), backend)


def _described(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in settings.items())
