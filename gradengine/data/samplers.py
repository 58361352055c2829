"""Samplers: in which order a DataLoader goes through a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np

from ..core.tensor_class import Tensor
from ..errors import ArgumentError, DTypeError, describe
from ..ops import random
from ..validation import check_flag, check_integer, known_class

T = TypeVar("T", covariant=True)


@known_class
class Sampler(Generic[T]):
    """The base of user-defined samplers: define `__iter__`, which gives positions, and `__len__`.

    >>> import gradengine as ge
    >>> class Backwards(ge.data.Sampler):
    ...     def __init__(self, data):
    ...         self.data = data
    ...     def __iter__(self):
    ...         return iter(reversed(range(len(self.data))))
    ...     def __len__(self):
    ...         return len(self.data)
    >>> data = ge.data.TensorDataset(ge.arange(3))
    >>> [x.tolist() for x, in ge.data.DataLoader(data, batch_size=2, sampler=Backwards(data))]
    [[2, 1], [0]]
    """

    def __init__(self, data_source: Any = None) -> None: ...

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("gradengine."):
            known_class(cls)

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__: define `def __iter__(self): ...`")


class SequentialSampler(Sampler[int]):
    """All positions in order.

    >>> import gradengine as ge
    >>> list(ge.data.SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = sized("SequentialSampler", data_source)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """Positions in a random order, each once; with `replacement`, each drawn from all. `num_samples` is how many.

    >>> import gradengine as ge
    >>> sorted(ge.data.RandomSampler("abcd", generator=ge.Generator(0)))
    [0, 1, 2, 3]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: random.Generator | None = None,
    ) -> None:
        self.data_source = sized("RandomSampler", data_source)
        self.replacement = check_flag("RandomSampler", "replacement", replacement)
        self._num_samples = (
            None if num_samples is None else check_integer("RandomSampler", "num_samples", num_samples, 1)
        )
        self.generator = generator_of("RandomSampler", generator)

    @property
    def num_samples(self) -> int:
        """How many positions are drawn: as many as there are samples, unless told."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        count, wanted = len(self.data_source), self.num_samples
        if self.replacement:
            yield from random.randint(0, max(count, 1), (wanted,), generator=self.generator, device="cpu").tolist()
            return
        while wanted > 0 and count:
            yield from random.randperm(count, generator=self.generator, device="cpu").tolist()[:wanted]
            wanted -= count

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given positions in a random order.

    >>> import gradengine as ge
    >>> sorted(ge.data.SubsetRandomSampler([7, 3, 5], generator=ge.Generator(0)))
    [3, 5, 7]
    """

    def __init__(self, indices: Sequence[int], generator: random.Generator | None = None) -> None:
        self.indices = sized("SubsetRandomSampler", indices, "indices")
        self.generator = generator_of("SubsetRandomSampler", generator)

    def __iter__(self) -> Iterator[int]:
        for i in random.randperm(len(self.indices), generator=self.generator, device="cpu").tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """`num_samples` positions, each drawn with a probability that is proportional to its weight.

    Raises ArgumentError for weights that are negative or not finite, or too few of them without `replacement`.

    >>> import gradengine as ge
    >>> list(ge.data.WeightedRandomSampler([0.0, 1.0], 3))
    [1, 1, 1]
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: random.Generator | None = None,
    ) -> None:
        owner = "WeightedRandomSampler"
        given = weights.tolist() if isinstance(weights, Tensor) else weights
        try:
            self.weights = np.asarray(given, np.float64)
        except (TypeError, ValueError):
            raise DTypeError(f"{owner}: weights must be numbers, got {describe(weights)}") from None
        if self.weights.ndim != 1 or not np.isfinite(self.weights).all() or (self.weights < 0).any():
            raise ArgumentError(f"{owner}: weights must be a list of finite numbers >= 0, got {describe(weights)}")
        self.num_samples = check_integer(owner, "num_samples", num_samples, 1)
        self.replacement = check_flag(owner, "replacement", replacement)
        possible = int((self.weights > 0).sum())
        if not possible or (not replacement and self.num_samples > possible):
            raise ArgumentError(f"{owner}: cannot draw {num_samples} positions from {possible} weights above 0")
        self.generator = generator_of(owner, generator)

    def __iter__(self) -> Iterator[int]:
        draw = lambda n: random.rand(n, dtype=np.float64, generator=self.generator, device="cpu").numpy()
        if self.replacement:
            bounds = np.cumsum(self.weights)
            found = np.searchsorted(bounds, draw(self.num_samples) * bounds[-1], side="right")
        else:  # the smallest of exponential waiting times come as draws without replacement do
            with np.errstate(divide="ignore"):
                times = -np.log1p(-draw(len(self.weights))) / self.weights
            found = np.argsort(times, kind="stable")[: self.num_samples]
        return iter(found.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of `batch_size` positions that a sampler gives; `drop_last` leaves out a last one that is shorter.

    >>> import gradengine as ge
    >>> list(ge.data.BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not hasattr(sampler, "__iter__"):
            raise DTypeError(f"BatchSampler: sampler must give positions when it is iterated, got {describe(sampler)}")
        self.sampler = sampler
        self.batch_size = check_integer("BatchSampler", "batch_size", batch_size, 1)
        self.drop_last = check_flag("BatchSampler", "drop_last", drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # type: ignore[arg-type]
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)


def sized(owner: str, value: Any, name: str = "data_source") -> Any:
    """Raise DTypeError for what has no length."""
    if not hasattr(value, "__len__"):
        raise DTypeError(f"{owner}: {name} must have a length, got {describe(value)}")
    return value


def generator_of(owner: str, generator: Any) -> random.Generator | None:
    """Raise DTypeError for what is no Generator."""
    if generator is not None and not isinstance(generator, random.Generator):
        raise DTypeError(f"{owner}: generator must be a ge.Generator, got {describe(generator)}")
    return generator
