"""Batches of Tensors, in an order that a seed decides and a checkpoint remembers."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..backend.devices import for_device
from ..core.tensor_class import Tensor
from ..errors import ArgumentError, CheckpointError, DTypeError, ShapeError, SpellingWarning, describe
from ..ops import random
from ..validation import check_callable, check_flag, check_integer, check_number, known_class
from .collate import mapped
from .datasets import IterableDataset, Rows, TensorDataset, is_of_arrays, shared
from .fetching import END, all_of, fetch_of, stream_of
from .samplers import BatchSampler, RandomSampler, SequentialSampler
from .workers import Prefetched, Streamed, WorkerPool

AHEAD = 2  # batches that are prepared for each worker, unless told


@known_class
class DataLoader:
    """Goes through a dataset in batches; every `for` loop over it is one epoch.

    Parameters
    ----------
    dataset
        An array or Tensor, whose batches are Tensors; a tuple of them that belong together along their first axis, or
        a `TensorDataset`, whose batches are lists of Tensors. Both are cut out at once. A user-defined `Dataset` gives
        one sample for one index (Tensors, arrays, numbers, or tuples, dicts and dataclasses of them), which
        `collate_fn` makes batches of; so does a list of samples. An `IterableDataset` is a stream. Another object with
        `__len__` and `__getitem__` is asked for whole batches if it gives the same for an array of positions as for
        each of them.
    batch_size
        Samples in a batch; the last one may be smaller. None: no batches, the samples themselves.
    shuffle
        Draw a new order for each epoch.
    sampler, batch_sampler
        What gives the positions of an epoch, one by one or in lists, instead of `shuffle`.
    num_workers
        How many threads prepare batches in the background. 0: the loop prepares each when it asks for it.
    collate_fn
        From a list of samples to a batch; `default_collate` unless told.
    pin_memory
        Accepted as PyTorch's, without effect: `device="cuda"` has batches there.
    drop_last
        Leave out a last batch that is smaller.
    timeout
        Seconds to wait for a batch of a worker; 0 waits for ever.
    worker_init_fn
        Called as `worker_init_fn(worker_id)` in each worker before its first sample.
    generator
        Where orders are drawn from; by default the engine's own generator, which `manual_seed` seeds.
    prefetch_factor
        Batches that are prepared ahead for each worker; 2 unless told.
    persistent_workers
        Keep the workers from epoch to epoch.
    device
        Where the batches are to be, by default where the data is. Arrays and Tensors are moved there once.

    Raises
    ------
    DeviceError
        For a device that is unknown or cannot be used here.
    ArgumentError
        For settings that are out of range or exclude each other, or a dataset without length or index.
    ShapeError
        As `TensorDataset` does, or if samples in a list of tuples are not all of one shape.
    DataError
        In the loop, for samples that do not go together. What the dataset raises comes through, with the sample's
        index in a note.

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

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: random.Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        device: Any = None,
    ) -> None:
        owner = "DataLoader"
        if batch_size is not None and (
            not isinstance(batch_size, (int, np.integer)) or isinstance(batch_size, bool) or batch_size < 1
        ):
            raise ArgumentError(f"DataLoader: batch_size must be a positive int, got {batch_size!r}")
        self.batch_size = None if batch_size is None else int(batch_size)
        self.shuffle = False if shuffle is None else check_flag(owner, "shuffle", shuffle)
        self.drop_last = check_flag(owner, "drop_last", drop_last)
        self.num_workers = check_integer(owner, "num_workers", num_workers, 0)
        self.timeout = check_number(owner, "timeout", timeout, 0)
        self.persistent_workers = check_flag(owner, "persistent_workers", persistent_workers)
        self.prefetch_factor = (
            AHEAD if prefetch_factor is None else check_integer(owner, "prefetch_factor", prefetch_factor, 1)
        )
        self.pin_memory, self.pin_memory_device = check_flag(owner, "pin_memory", pin_memory), pin_memory_device
        check_flag(owner, "in_order", in_order)
        for name, function in (("collate_fn", collate_fn), ("worker_init_fn", worker_init_fn)):
            if function is not None:
                check_callable(owner, name, function)
        self.collate_fn, self.worker_init_fn = collate_fn, worker_init_fn
        if generator is not None and not isinstance(generator, random.Generator):
            raise DTypeError(f"DataLoader: generator must be a ge.Generator, got {describe(generator)}")
        if multiprocessing_context is not None:
            raise ArgumentError(
                "DataLoader: multiprocessing_context is not supported, because workers are threads; leave it out"
            )
        self.check_together(sampler, batch_sampler, prefetch_factor, timeout)
        self.device = None if device is None else for_device(device).device
        self.dataset: Any = self.dataset_of(dataset)
        self.generator = generator if generator is not None else random.default_generator
        self.streams = isinstance(self.dataset, IterableDataset)
        if self.streams and (self.shuffle or sampler is not None or batch_sampler is not None):
            raise ArgumentError(
                "DataLoader: an IterableDataset has its own order; leave out shuffle, sampler and batch_sampler"
            )
        # The order is drawn here, in one piece, unless it is left to a sampler of the user's.
        self.follows = next((x for x in (sampler, batch_sampler) if x is not None), None)
        self.sampler: Any = sampler
        if sampler is None and not self.streams:
            self.sampler = (
                RandomSampler(self.dataset, generator=generator) if shuffle else SequentialSampler(self.dataset)
            )
        self.batch_sampler: Any = batch_sampler
        if batch_sampler is not None:
            self.batch_size, self.sampler = None, getattr(batch_sampler, "sampler", None)
        elif self.batch_size is not None and not self.streams:
            self.batch_sampler = BatchSampler(self.sampler, self.batch_size, self.drop_last)
        self._epoch: _Epoch | None = None  # the one under way
        self._resumed = False
        self._pool: WorkerPool | None = None
        self._epochs = 0

    def check_together(self, sampler: Any, batch_sampler: Any, prefetch_factor: Any, timeout: float) -> None:
        """Raise ArgumentError for settings that exclude each other."""
        for name, value in (("sampler", sampler), ("batch_sampler", batch_sampler)):
            if value is not None and not hasattr(value, "__iter__"):
                raise DTypeError(f"DataLoader: {name} must give positions when it is iterated, got {describe(value)}")
        problem = ""
        if sampler is not None and self.shuffle:
            problem = "shuffle and sampler exclude each other; a RandomSampler shuffles"
        elif batch_sampler is not None and (
            self.batch_size != 1 or self.shuffle or sampler is not None or self.drop_last
        ):
            problem = "batch_sampler excludes batch_size, shuffle, sampler and drop_last, which it decides"
        elif self.batch_size is None and self.drop_last:
            problem = "drop_last needs a batch_size"
        elif not self.num_workers:
            background = {"prefetch_factor": prefetch_factor, "persistent_workers": self.persistent_workers or None}
            background["timeout"] = timeout or None
            named = [name for name, value in background.items() if value is not None]
            problem = f"{' and '.join(named)} needs num_workers above 0" if named else ""
        if problem:
            raise ArgumentError(f"DataLoader: {problem}")

    def dataset_of(self, given: Any) -> Any:
        """What was given, as a dataset whose arrays are on the loader's device."""
        if isinstance(given, (Tensor, np.ndarray)):
            given = Rows(given)
        elif isinstance(given, tuple) and not hasattr(given, "_fields"):
            given = TensorDataset(*given)
        elif isinstance(given, list) and given and all(type(one) is tuple for one in given) and self.collate_fn is None:
            given = TensorDataset(*_stacked(given)) if has_arrays(given[0]) else given
        elif isinstance(given, IterableDataset):
            return given
        elif isinstance(given, list) and looks_like_columns(given):
            warnings.warn(
                f"DataLoader: a list is one of samples, as in PyTorch, here {len(given)} of shape {given[0].shape}; "
                "arrays that belong together along their first axis go into a tuple",
                SpellingWarning,
                stacklevel=4,
            )
        elif not (hasattr(given, "__len__") and hasattr(given, "__getitem__")):
            raise ArgumentError(
                f"DataLoader: a dataset needs __len__ and __getitem__, and {type(given).__name__} lacks them; pass "
                "the arrays, as in DataLoader((images, labels)), or make a stream an IterableDataset"
            )
        if self.device is not None and is_of_arrays(given):
            given = type(given)(*[tensor.to(self.device) for tensor in given.tensors])
        return given

    def __len__(self) -> int:
        if self.batch_sampler is not None and self.follows is not None:
            return len(self.batch_sampler)
        samples = len(self.dataset if self.sampler is None else self.sampler)
        if self.batch_size is None:
            return samples
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        if self._epoch is None or not self._resumed:
            self._epoch = _Epoch(self, self._generator_state(), self.generator)
        self._resumed = False
        return self._epoch

    # -- saving and loading -------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands: the epoch under way, how many of its batches were handed out, the generator.

        Inside the loop the batch in hand counts as handed out, so take the state once that batch has been trained
        on. A loop that was left early counts as an epoch under way. Raises ArgumentError where a stream or a sampler
        of the user's decides the order, which the loader cannot know.

        Examples
        --------
        >>> import gradengine as ge
        >>> data = ge.arange(6)
        >>> loader = DataLoader(data, batch_size=2, shuffle=True, generator=ge.Generator(1))
        >>> epoch = iter(loader)
        >>> _ = next(epoch)
        >>> other = DataLoader(data, batch_size=2, shuffle=True, generator=ge.Generator(2))
        >>> other.load_state_dict(loader.state_dict())
        >>> [x.tolist() for x in other] == [x.tolist() for x in epoch]
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
        if self.streams or self.follows is not None:
            raise ArgumentError(
                "DataLoader: only a loader that decides the order itself, by shuffle, has a state; save that of the "
                f"{'stream' if self.streams else 'sampler'} yourself"
            )
        return {
            "samples": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
        }

    def __repr__(self) -> str:
        settings = {"batch_size": self.batch_size, "shuffle": self.shuffle, "drop_last": self.drop_last}
        if not self.streams:
            settings = {"samples": len(self.dataset), **settings}
        return f"DataLoader({self.dataset!r}, {_described(settings)})"

    # -- workers ------------------------------------------------------------------------------------------------

    def pool(self) -> WorkerPool:
        """The workers of an epoch."""
        self._epochs += 1
        if self._pool is not None and self.persistent_workers and self._pool.close.alive:
            return self._pool
        # A draw from a copy: how many workers there are changes no order.
        seed = int(random.randint(0, 2**62, (), generator=self.generator.clone(), device="cpu").item())
        pool = WorkerPool(
            self.dataset, self.num_workers, seed + self._epochs * 1000, self.worker_init_fn, self.fetch_from
        )
        self._pool = pool if self.persistent_workers else None
        return pool

    @property
    def fetch_from(self) -> Callable[[Any], Callable[[Any], Any]]:
        """The function that gives, for a worker's dataset, its function from a task to a batch."""
        collate, size, drop_last = self.collate_fn, self.batch_size, self.drop_last
        if self.streams:
            return lambda dataset: stream_of(dataset, size, drop_last, collate)
        batched = self.batch_sampler is not None
        return lambda dataset: fetch_of(dataset, collate, batched)


class _Epoch:
    """One pass: its order, and how many batches of it were handed out."""

    def __init__(self, loader: DataLoader, start: Any, source: random.Generator, position: int = 0) -> None:
        self.loader, self.start, self.position = loader, start, position
        self.order: Any = None
        self.limit = math.inf if loader.streams or loader.follows is not None else len(loader)
        if loader.shuffle:  # drawn on the CPU, and once for all batches where the data is
            order = random.randperm(len(loader.dataset), generator=source, device="cpu")
            is_arrays = is_of_arrays(loader.dataset)
            homes = {t.device for t in loader.dataset.tensors} if is_arrays else set()
            self.order = order.numpy() if homes <= {"cpu"} or len(homes) > 1 else order.to(device=homes.pop())
        self.batches: Iterator[Any] | None = None

    def __iter__(self) -> _Epoch:
        return self

    def __next__(self) -> Any:
        if self.position >= self.limit:
            self.end()
            raise StopIteration
        if self.batches is None:
            self.batches = self.begin()
        before, self.position = self.position, self.position + 1
        try:
            batch = next(self.batches)
        except StopIteration:
            self.position = before
            self.end()
            raise
        device = self.loader.device
        if device is None or is_of_arrays(self.loader.dataset):
            return batch
        return mapped(lambda t: t.to(device), batch)

    def end(self) -> None:
        """Note that the epoch is over."""
        self.batches = iter(())
        if self.loader._epoch is self:
            self.loader._epoch, self.loader._resumed = None, False

    def begin(self) -> Iterator[Any]:
        """What gives the batches from `position` on."""
        loader = self.loader
        if loader.num_workers:
            ahead, timeout = loader.prefetch_factor, loader.timeout
            if loader.streams:
                return Streamed(loader.pool(), ahead, timeout, END)
            return Prefetched(loader.pool(), self.tasks(), ahead, timeout)
        fetch = loader.fetch_from(loader.dataset)
        return all_of(fetch) if loader.streams else map(fetch, self.tasks())

    def tasks(self) -> Iterator[Any]:
        """The positions of each batch (or sample) from `position` on."""
        loader, size = self.loader, self.loader.batch_size
        if loader.follows is not None:
            tasks = iter(loader.sampler if loader.batch_sampler is None else loader.batch_sampler)
            arrays = loader.batch_sampler is not None and is_of_arrays(loader.dataset)
            return (np.asarray(task, np.int64) for task in tasks) if arrays else tasks
        return itertools.starmap(self.task, ((i, size) for i in range(self.position, len(loader))))

    def task(self, number: int, size: int | None) -> Any:
        """The positions of a batch, or that of a sample."""
        if size is None:
            return number if self.order is None else int(self.order[number])
        batch = slice(number * size, min(number * size + size, len(self.loader.dataset)))
        return batch if self.order is None else self.order[batch]


def looks_like_columns(given: list[Any]) -> bool:
    """Whether a list of samples may be meant as arrays that belong together: two or three that are longer than it."""
    if not 1 < len(given) < 4 or not all(isinstance(one, (Tensor, np.ndarray)) and one.ndim for one in given):
        return False
    lengths = {one.shape[0] for one in given}
    return len(lengths) == 1 and lengths.pop() > len(given) and len({one.shape for one in given}) > 1


def has_arrays(sample: tuple[Any, ...]) -> bool:
    """Whether a sample consists of what arrays can be made of."""
    return all(isinstance(part, (Tensor, np.ndarray, np.generic, int, float, list)) for part in sample)


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


def _described(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in settings.items())
