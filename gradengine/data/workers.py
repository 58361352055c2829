"""Workers: threads that prepare batches in the background, so that the loop finds them ready.

Threads and not processes: samples are shared instead of pickled and copied, datasets may hold lambdas, open files and
Tensors on any device, and nothing is imported again. Reading files, decompressing and NumPy's work on arrays run beside
each other; Python code runs in turns.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..errors import DataError
from ..validation import known_words

STOP = object()


class WorkerInfo(NamedTuple):
    """What a worker knows of itself: its number, how many there are, a seed of its own and its copy of the dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


class Local(threading.local):
    """Which worker this thread is."""

    info: WorkerInfo | None = None


local = Local()


@known_words
def get_worker_info() -> WorkerInfo | None:
    """In a worker of a DataLoader: its `id`, `num_workers`, `seed` and `dataset`; None anywhere else.

    >>> import gradengine as ge
    >>> ge.data.get_worker_info() is None
    True
    """
    return local.info


class Failure(NamedTuple):
    """What a worker could not do."""

    error: BaseException


class Channel:
    """What the loop and its workers share. It knows nothing of the pool, which can so be collected."""

    def __init__(self, count: int) -> None:
        self.tasks: list[queue.SimpleQueue[Any]] = [queue.SimpleQueue() for _ in range(count)]
        self.results: dict[int, Any] = {}
        self.ready = threading.Condition()
        self.first = 0  # the number of the first task of this epoch: what is left of an epoch before is dropped
        self.stopped = False

    def stop(self) -> None:
        """Let the workers end after what they are doing."""
        self.stopped = True
        for tasks in self.tasks:
            tasks.put(STOP)


def work(channel: Channel, info: WorkerInfo, init: Callable[[int], Any] | None, make: Callable[[Any], Any]) -> None:
    """What a worker does: `make(dataset)` gives its function from a task to a batch."""
    local.info = info
    fetch, begun = None, -1  # for this epoch: a stream restarts with each
    started = init is None
    while (given := channel.tasks[info.id].get()) is not STOP and not channel.stopped:
        number, task = given
        if number < channel.first:
            continue
        try:
            if not started and init is not None:
                init(info.id)
            started = True
            if fetch is None or begun != channel.first:
                fetch, begun = make(info.dataset), channel.first
            found = fetch(task)
        except BaseException as error:
            found = Failure(noted(error, f"in worker {info.id} of a DataLoader"))
        del task, given
        with channel.ready:
            if number >= channel.first:
                channel.results[number] = found
            channel.ready.notify_all()
        del found


def noted(error: BaseException, note: str) -> BaseException:
    """An error with a line more of where it came from."""
    with contextlib.suppress(AttributeError, TypeError):  # an exception of a user's may refuse notes
        error.add_note(note)
    return error


def own_copy(dataset: Any) -> Any:
    """A worker's copy of a dataset: it may set its attributes. The data is shared."""
    try:
        return copy.copy(dataset)
    except Exception:  # whatever a user's class raises: it is shared then
        return dataset


class WorkerPool:
    """Threads that prepare batches, one task after the other each."""

    def __init__(
        self,
        dataset: Any,
        count: int,
        seed: int,
        init: Callable[[int], Any] | None,
        make: Callable[[Any], Any],
    ) -> None:
        self.channel = Channel(count)
        self.count, self.number = count, 0
        self.threads = []
        self.close = weakref.finalize(self, self.channel.stop)
        for i in range(count):
            info = WorkerInfo(i, count, seed + i, own_copy(dataset))
            thread = threading.Thread(
                target=work, args=(self.channel, info, init, make), name=f"DataLoader worker {i}", daemon=True
            )
            thread.start()
            self.threads.append(thread)

    def begin(self) -> None:
        """Begin an epoch: what was asked for before is not needed any more."""
        with self.channel.ready:
            self.channel.first = self.number
            self.channel.results.clear()

    def submit(self, worker: int, task: Any) -> int:
        """Give a worker a task; returns the number to ask for its result."""
        self.number += 1
        self.channel.tasks[worker].put((self.number - 1, task))
        return self.number - 1

    def result(self, number: int, timeout: float) -> Any:
        """What came of a task. Raises what the worker raised, DataError when it takes longer than `timeout`."""
        channel = self.channel
        with channel.ready:
            if not channel.ready.wait_for(lambda: number in channel.results, timeout or None):
                raise DataError(
                    f"DataLoader: no batch came within timeout={timeout} seconds; is the dataset waiting for something?"
                )
            found = channel.results.pop(number)
        if isinstance(found, Failure):
            raise found.error
        return found


class Background:
    """The batches of one epoch as workers prepare them, in the order in which they were asked for."""

    def __init__(self, pool: WorkerPool, ahead: int, timeout: float) -> None:
        self.pool, self.timeout = pool, timeout
        self.waiting: collections.deque[tuple[int, int]] = collections.deque()  # numbers and workers
        pool.begin()
        for _ in range(ahead):
            for worker in range(pool.count):
                self.send(worker)

    def send(self, worker: int) -> None:
        """Give a worker its next task, if there is one."""
        raise NotImplementedError

    def ask(self, worker: int, task: Any) -> None:
        """Give a worker a task, and note that its result is waited for."""
        self.waiting.append((self.pool.submit(worker, task), worker))

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        raise NotImplementedError

    def next_result(self) -> tuple[Any, int]:
        """The result that is next, and who made it. Ctrl-C ends the workers."""
        if not self.waiting:
            raise StopIteration
        number, worker = self.waiting.popleft()
        try:
            return self.pool.result(number, self.timeout), worker
        except BaseException as error:
            if not isinstance(error, Exception):
                self.pool.close()
            else:
                self.send(worker)
            raise


class Prefetched(Background):
    """The batches of tasks that are known before."""

    def __init__(self, pool: WorkerPool, tasks: Iterator[Any], ahead: int, timeout: float) -> None:
        self.tasks = tasks
        super().__init__(pool, ahead, timeout)

    def send(self, worker: int) -> None:
        for task in self.tasks:
            self.ask(worker, task)
            return

    def __next__(self) -> Any:
        found, worker = self.next_result()
        self.send(worker)
        return found


class Streamed(Background):
    """The batches of a stream: each worker goes through its own, and they come in turn until all are at an `end`."""

    def __init__(self, pool: WorkerPool, ahead: int, timeout: float, end: Any) -> None:
        self.end, self.ended = end, set[int]()
        super().__init__(pool, ahead, timeout)

    def send(self, worker: int) -> None:
        if worker not in self.ended:
            self.ask(worker, None)

    def __next__(self) -> Any:
        while True:
            found, worker = self.next_result()
            if found is not self.end:
                self.send(worker)
                return found
            self.ended.add(worker)
