"""The loader as PyTorch's users know it: datasets of single samples, samplers, workers, beside torch.utils.data."""

import collections
import dataclasses
import gc
import threading
import time
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

import gradengine as ge
from gradengine import data
from gradengine.errors import ArgumentError, DataError, DTypeError, IndexRangeError, ShapeError, SignatureError
from gradengine.utils.data import DataLoader, Dataset, IterableDataset


class Pair(NamedTuple):
    x: Any
    y: Any


@dataclasses.dataclass
class Sample:
    x: Any
    y: Any


X = np.arange(22, dtype=np.float32).reshape(11, 2)
KINDS = {
    "array": lambda t, i: X[i],
    "tensor": lambda t, i: t(X[i]),
    "float": lambda t, i: float(i),
    "int": lambda t, i: i,
    "bool": lambda t, i: i % 2 == 0,
    "numpy number": lambda t, i: X[i, 0],
    "tuple": lambda t, i: (t(X[i]), i),
    "list": lambda t, i: [t(X[i]), i],
    "dict": lambda t, i: {"x": t(X[i]), "label": i, "inner": {"y": (float(i), "text")}},
    "ordered dict": lambda t, i: collections.OrderedDict(b=i, a=t(X[i])),
    "named tuple": lambda t, i: Pair(t(X[i]), i),
    "strings": lambda t, i: (str(i), b"x"),
    "empty tuple": lambda t, i: (),
    "scalar tensor": lambda t, i: t(np.float64(i)),
}


def plain(value: Any) -> Any:
    """A batch as plain values with the dtypes and kinds of its parts."""
    if hasattr(value, "detach"):
        array = np.asarray(value.detach())
        return ("array", str(array.dtype), array.shape, array.tolist())
    if isinstance(value, dict):
        return (type(value).__name__, {key: plain(part) for key, part in value.items()})
    if isinstance(value, (tuple, list)):
        return (type(value).__name__, [plain(part) for part in value])
    return value


def dataset_of(base: Any, make: Any, tensor: Any, length: int = 11) -> Any:
    class Samples(base):
        def __len__(self) -> int:
            return length

        def __getitem__(self, index: int) -> Any:
            assert isinstance(index, int)
            return make(tensor, index)

    return Samples()


@pytest.mark.torch
@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_samples_are_pytorchs(kind: str, workers: int, torch: ModuleType) -> None:
    td = torch.utils.data
    for settings in (dict(batch_size=4), dict(batch_size=4, drop_last=True), dict(batch_size=None), dict()):
        theirs = td.DataLoader(dataset_of(td.Dataset, KINDS[kind], torch.tensor), **settings)
        ours = DataLoader(dataset_of(Dataset, KINDS[kind], ge.tensor), num_workers=workers, **settings)
        assert len(ours) == len(theirs)
        for _ in range(2):
            assert list(map(plain, ours)) == list(map(plain, theirs))


def test_dataclasses_become_dataclasses_of_batches() -> None:
    loader = DataLoader(dataset_of(Dataset, lambda t, i: Sample(t(X[i]), i), ge.tensor), batch_size=4)
    first = next(iter(loader))
    assert isinstance(first, Sample)
    np.testing.assert_array_equal(first.x.numpy(), X[:4])
    assert first.y.tolist() == [0, 1, 2, 3]


@pytest.mark.torch
@pytest.mark.parametrize("workers", [0, 2])
def test_collate_functions_samplers_and_lists_are_pytorchs(workers: int, torch: ModuleType) -> None:
    td = torch.utils.data
    make = lambda t, i: (t(X[i]), i)
    cases: list[Any] = [
        lambda m, d: dict(collate_fn=lambda batch: [i for _, i in batch], batch_size=3),
        lambda m, d: dict(sampler=m.SubsetRandomSampler([5]), batch_size=2),
        lambda m, d: dict(sampler=[3, 1, 2, 9], batch_size=3),
        lambda m, d: dict(sampler=m.SequentialSampler(d), batch_size=3, drop_last=True),
        lambda m, d: dict(batch_sampler=m.BatchSampler(m.SequentialSampler(d), 4, False)),
        lambda m, d: dict(batch_sampler=[[0, 1], [7], [3, 3, 3]]),
        lambda m, d: dict(sampler=range(5), batch_size=None),
    ]
    for case in cases:
        a, b = dataset_of(Dataset, make, ge.tensor), dataset_of(td.Dataset, make, torch.tensor)
        ours = DataLoader(a, num_workers=workers, **case(data, a))
        theirs = td.DataLoader(b, **case(td, b))
        assert len(ours) == len(theirs)
        assert list(map(plain, ours)) == list(map(plain, theirs))
    for samples in ([1, 2, 3], ["a", "b", "c"], [{"x": 1}, {"x": 2}], [np.ones(2), np.zeros(2)]):
        assert list(map(plain, DataLoader(samples, 2))) == list(map(plain, td.DataLoader(samples, 2)))


@pytest.mark.torch
def test_datasets_are_put_together_and_cut_as_pytorchs(torch: ModuleType) -> None:
    td = torch.utils.data
    for module, tensor in ((data, ge.tensor), (td, torch.tensor)):
        a, b = module.TensorDataset(tensor(X)), module.TensorDataset(tensor(X[:3]))
        both = a + b
        assert isinstance(both, module.ConcatDataset)
        assert (len(both), both.cumulative_sizes) == (14, [11, 14])
        assert both[12][0].tolist() == both[-2][0].tolist() == X[1].tolist()
        part = module.Subset(both, [13, 0])
        assert (len(part), part[0][0].tolist()) == (2, X[2].tolist())
        stacked = module.StackDataset(tensor(X), list(range(11)))
        assert (stacked[3][0].tolist(), stacked[3][1]) == (X[3].tolist(), 3)
        assert [len(p) for p in module.random_split(range(11), [5, 6])] == [5, 6]
        assert [len(p) for p in module.random_split(range(11), [0.5, 0.3, 0.2])] == [6, 3, 2]
        assert [len(p) for p in module.random_split(range(10), [0.34, 0.33, 0.33])] == [4, 3, 3]
    parts = data.random_split(list(range(11)), [0.5, 0.5], generator=ge.Generator(1))
    again = data.random_split(list(range(11)), [0.5, 0.5], generator=ge.Generator(1))
    assert [list(p) for p in parts] == [list(p) for p in again]
    assert sorted([*parts[0], *parts[1]]) == list(range(11))


def test_subsets_of_arrays_are_cut_at_once() -> None:
    whole = data.TensorDataset(X, np.arange(11))
    train, _ = data.random_split(whole, [8, 3], generator=ge.Generator(3))
    seen = []
    for x, y in DataLoader(train, batch_size=3, shuffle=True):
        np.testing.assert_array_equal(x.numpy(), X[y.numpy()])
        seen += y.tolist()
    assert sorted(seen) == sorted(train.indices)


def test_samplers_draw_as_they_say() -> None:
    g = ge.Generator(0)
    assert sorted(data.RandomSampler(range(5), generator=g)) == list(range(5))
    assert len(list(data.RandomSampler(range(5), num_samples=12, generator=g))) == 12
    drawn = list(data.RandomSampler(range(3), replacement=True, num_samples=3000, generator=g))
    assert np.bincount(drawn, minlength=3) == pytest.approx([1000] * 3, rel=0.15)
    weighted = list(data.WeightedRandomSampler([1.0, 0.0, 3.0], 4000, generator=g))
    assert np.bincount(weighted, minlength=3) == pytest.approx([1000, 0, 3000], rel=0.12)
    firsts = [
        next(iter(data.WeightedRandomSampler([1.0, 2.0, 1.0], 2, replacement=False, generator=g))) for _ in range(2000)
    ]
    assert np.bincount(firsts) == pytest.approx([500, 1000, 500], rel=0.2)
    assert sorted(data.WeightedRandomSampler([1.0, 2.0, 0.0], 2, replacement=False)) == [0, 1]


# -- streams --------------------------------------------------------------------------------------------------------


class Count(IterableDataset):
    def __init__(self, n: int) -> None:
        self.begin, self.end = 0, n

    def __iter__(self) -> Any:
        info = data.get_worker_info()
        step, start = (1, 0) if info is None else (info.num_workers, info.id)
        return iter(range(self.begin + start, self.end, step))


@pytest.mark.parametrize("persistent", [False, True])
def test_streams_are_cut_into_batches(persistent: bool) -> None:
    assert [b.tolist() for b in DataLoader(Count(5), batch_size=2)] == [[0, 1], [2, 3], [4]]
    assert [b.tolist() for b in DataLoader(Count(5), batch_size=2, drop_last=True)] == [[0, 1], [2, 3]]
    assert list(DataLoader(Count(3), batch_size=None)) == [0, 1, 2]
    loader = DataLoader(Count(9), batch_size=2, num_workers=2, persistent_workers=persistent)
    for _ in range(3):
        assert [b.tolist() for b in loader] == [[0, 2], [1, 3], [4, 6], [5, 7], [8]]


def test_each_worker_has_a_dataset_of_its_own() -> None:
    def share(worker: int) -> None:
        info = data.get_worker_info()
        info.dataset.begin = 10 * worker

    class Range(Count):
        def __iter__(self) -> Any:
            return iter(range(self.begin, self.begin + 3))

    loader = DataLoader(Range(3), batch_size=3, num_workers=2, worker_init_fn=share)
    assert [b.tolist() for b in loader] == [[0, 1, 2], [10, 11, 12]]


# -- workers --------------------------------------------------------------------------------------------------------


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("DataLoader worker")]


def none_left() -> bool:
    end = time.monotonic() + 5
    while threads() and time.monotonic() < end:
        gc.collect()
        time.sleep(0.005)
    return not threads()


def test_workers_keep_the_order_and_end() -> None:
    slow = dataset_of(Dataset, lambda t, i: (time.sleep(0.002 * (i % 3)), i)[1], None)
    loader = DataLoader(slow, batch_size=2, num_workers=3, prefetch_factor=1)
    assert [b.tolist() for b in loader] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10]]
    assert none_left()
    for _ in loader:
        break
    loader.__iter__()
    assert none_left(), "a loop that is left early leaves no worker behind"


def test_shuffled_batches_do_not_depend_on_workers_and_resume() -> None:
    make = lambda workers: DataLoader(
        dataset_of(Dataset, lambda t, i: i, None), 2, True, num_workers=workers, generator=ge.Generator(5)
    )
    expected = [[b.tolist() for b in loader] for loader in [make(0)] for _ in range(2)]
    for workers in (1, 3):
        loader = make(workers)
        assert [b.tolist() for b in loader] == expected[0]
        epoch = iter(loader)
        first = [next(epoch).tolist() for _ in range(2)]
        other = make(workers)
        other.load_state_dict(loader.state_dict())
        assert first + [b.tolist() for b in other] == expected[1]


@pytest.mark.parametrize("workers", [0, 2])
def test_errors_of_a_dataset_reach_the_loop_with_the_index(workers: int) -> None:
    class MyError(Exception):
        pass

    def make(t: Any, i: int) -> int:
        if i == 5:
            raise MyError("no such picture")
        return i

    loader = DataLoader(dataset_of(Dataset, make, None), batch_size=2, num_workers=workers)
    epoch = iter(loader)
    assert [next(epoch).tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(MyError, match="no such picture") as caught:
        next(epoch)
    assert any("sample at index 5" in note for note in caught.value.__notes__)
    assert not workers or any("in worker 0 of a DataLoader" in note for note in caught.value.__notes__)
    assert next(epoch).tolist() == [6, 7]

    def stops(t: Any, i: int) -> int:
        raise StopIteration

    with pytest.raises(DataError, match="the dataset raised StopIteration"):
        list(DataLoader(dataset_of(Dataset, stops, None), num_workers=workers))


def test_init_functions_seeds_and_persistent_workers() -> None:
    begun, seeds = [], set()

    def init(worker: int) -> None:
        info = data.get_worker_info()
        begun.append((worker, info.id, info.num_workers))
        seeds.add(info.seed)

    dataset = dataset_of(Dataset, lambda t, i: i, None)
    loader = DataLoader(dataset, 2, num_workers=2, worker_init_fn=init, persistent_workers=True)
    for _ in range(3):
        assert len(list(loader)) == 6
    assert sorted(begun) == [(0, 0, 2), (1, 1, 2)]
    assert len(seeds) == 2
    epoch = iter(loader)
    next(epoch)
    assert [b.tolist() for b in loader][-1] == [10], "an epoch that is left early leaves nothing for the next"
    del loader, epoch
    assert none_left()

    def fails(worker: int) -> None:
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        list(DataLoader(dataset, num_workers=2, worker_init_fn=fails))


def test_a_worker_that_takes_too_long() -> None:
    go_on = threading.Event()
    loader = DataLoader(dataset_of(Dataset, lambda t, i: go_on.wait(5), None), num_workers=1, timeout=0.05)
    try:
        with pytest.raises(DataError, match=r"no batch came within timeout=0\.05 seconds"):
            next(iter(loader))
    finally:
        go_on.set()


def test_an_interrupt_ends_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    from gradengine.data.workers import WorkerPool

    def interrupted(self: Any, number: int, timeout: float) -> Any:
        raise KeyboardInterrupt

    loader = DataLoader(dataset_of(Dataset, lambda t, i: i, None), num_workers=2)
    epoch = iter(loader)
    next(epoch)
    monkeypatch.setattr(WorkerPool, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(epoch)
    assert none_left()


# -- mistakes -------------------------------------------------------------------------------------------------------


def test_samples_that_do_not_go_together() -> None:
    for makes, error, message in (
        (lambda t, i: np.zeros(i), DataError, r"different shapes, \(0,\) and \(1,\); make them"),
        (lambda t, i: (1, 2)[: i + 1], DataError, r"different lengths, \[1, 2\]"),
        (lambda t, i: {"a": 1} if i else {"b": 1}, DataError, r"different keys"),
        (lambda t, i: 1 if i else np.ones(2), DataError, "different kinds: int, ndarray"),
        (lambda t, i: {"x": (1, np.zeros(i))}, DataError, r"samples\['x'\]\[1\] have different shapes"),
        (lambda t, i: None, DTypeError, "cannot make a batch of NoneType None; return Tensors"),
        (lambda t, i: object(), DTypeError, "cannot make a batch of object"),
        (lambda t, i: np.array(["a"]), DTypeError, "arrays of <U1; use numbers"),
    ):
        with pytest.raises(error, match=message):
            next(iter(DataLoader(dataset_of(Dataset, makes, None), batch_size=2)))
    with pytest.raises(DataError, match="needs a list of samples"):
        data.default_collate([])


def test_settings_that_exclude_each_other_or_make_no_sense() -> None:
    dataset = dataset_of(Dataset, lambda t, i: i, None)
    for settings, message in (
        (dict(shuffle=True, sampler=[1]), "shuffle and sampler exclude each other"),
        (dict(batch_sampler=[[1]], batch_size=2), "batch_sampler excludes batch_size"),
        (dict(batch_sampler=[[1]], drop_last=True), "batch_sampler excludes"),
        (dict(batch_size=None, drop_last=True), "drop_last needs a batch_size"),
        (dict(prefetch_factor=2), "prefetch_factor needs num_workers above 0"),
        (dict(persistent_workers=True), "persistent_workers needs num_workers"),
        (dict(timeout=1), "timeout needs num_workers"),
        (dict(num_workers=-1), "num_workers must be an integer >= 0"),
        (dict(num_workers=1.5), "num_workers must be an integer"),
        (dict(num_workers=1, timeout=-1), "timeout must be"),
        (dict(num_workers=1, timeout=float("nan")), "timeout must be"),
        (dict(num_workers=1, prefetch_factor=0), "prefetch_factor must be an integer above 0"),
        (dict(shuffle="yes"), "shuffle must be True or False"),
        (dict(multiprocessing_context="spawn"), "workers are threads"),
    ):
        with pytest.raises(ArgumentError, match=message):
            DataLoader(dataset, **settings)
    for settings, message in (
        (dict(collate_fn=5), "collate_fn must be a function"),
        (dict(worker_init_fn="f"), "worker_init_fn must be a function"),
        (dict(generator=np.random.default_rng(0)), "generator must be a ge.Generator"),
        (dict(sampler=5), "sampler must give positions"),
        (dict(batchsize=5), r"unexpected keyword 'batchsize' \(did you mean batch_size\?\)"),
    ):
        with pytest.raises((DTypeError, SignatureError), match=message):
            DataLoader(dataset, **settings)
    with pytest.raises(ArgumentError, match="an IterableDataset has its own order"):
        DataLoader(Count(3), shuffle=True)
    for loader in (DataLoader(Count(3)), DataLoader(dataset, sampler=[1])):
        with pytest.raises(ArgumentError, match="only a loader that decides the order itself"):
            loader.state_dict()
    DataLoader(dataset, pin_memory=True, pin_memory_device="cuda", in_order=False)


def test_datasets_and_samplers_say_what_they_need() -> None:
    for call, error, message in (
        (lambda: data.ConcatDataset([]), ArgumentError, "must not be empty"),
        (lambda: data.ConcatDataset([Count(3)]), DTypeError, "ChainDataset takes streams"),
        (lambda: data.ConcatDataset([[1]])[1], IndexRangeError, "index 1 is out of range for 1 samples"),
        (lambda: data.StackDataset([1], [1, 2]), ShapeError, r"equally long, got lengths \[1, 2\]"),
        (lambda: data.StackDataset(), ArgumentError, "needs datasets"),
        (lambda: data.Subset(5, [1]), DTypeError, "needs a dataset that is indexed"),
        (lambda: data.Subset([1], 5), DTypeError, "indices must be a list"),
        (lambda: data.random_split([1, 2], [1, 2]), ArgumentError, "must sum to the 2 samples"),
        (lambda: data.random_split([1, 2], [0.5, 0.6]), ArgumentError, "must sum to the 2 samples"),
        (lambda: data.random_split([1, 2], [-1, 3]), ArgumentError, "each length must be"),
        (lambda: data.RandomSampler(range(3), num_samples=0), ArgumentError, "num_samples must be"),
        (lambda: data.RandomSampler(5), DTypeError, "data_source must have a length"),
        (lambda: data.WeightedRandomSampler([-1.0], 1), ArgumentError, "finite numbers >= 0"),
        (lambda: data.WeightedRandomSampler([np.nan], 1), ArgumentError, "finite numbers >= 0"),
        (lambda: data.WeightedRandomSampler([1.0, 0.0], 2, replacement=False), ArgumentError, "cannot draw 2"),
        (lambda: data.WeightedRandomSampler(["a"], 2), DTypeError, "weights must be numbers"),
        (lambda: data.BatchSampler(range(3), 0, False), ArgumentError, "batch_size must be an integer above 0"),
        (lambda: data.BatchSampler(3, 1, False), DTypeError, "sampler must give positions"),
        (lambda: data.BatchSampler(range(3), batchsize=1), SignatureError, r"did you mean batch_size\?"),
        (lambda: list(data.ChainDataset([[1]])), DTypeError, "needs IterableDatasets"),
    ):
        with pytest.raises(error, match=message):
            call()
