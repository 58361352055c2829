"""Compiled kernels and the threads that run them. The only file that imports Numba, on first use.

A kernel is a C function `kernel(reals, masks, ints, sizes, scalars, start, stop)` generated as Numba source: it finds
its arrays in a table of addresses. So one driver, compiled once, spreads every kernel over the threads, and a kernel
itself compiles in a few hundredths of a second (Numba's own `parallel=True` takes five times as long).
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

from .. import progress
from .generated_modules import load_source
from .intrinsics import driver_source, kernel_source, names_of, pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

# Nanoseconds of work that make a thread worth waking. Two threads did not gain before a quarter of a millisecond.
WORTH = 125_000

SPINS = "20000"  # looks at whether there is work; on a processor of 2023 they took about a millisecond

_lock = threading.RLock()


@functools.cache
def kernel_of(file: str, name: str, real: str) -> Kernel:
    """The kernel of that name in one of the files of kernels, for a dtype."""
    prepare()
    with _lock:
        module, kernels = pieces(file, real)
        # How a product is cut into tiles may show in its last bits, and equal runs are to give equal bits.
        return Kernel(name, f"{names_of(module)}\n\n{kernels[name]}", real, steady=file == "product_kernels.py")


class Pace:
    """What all threads gain over one, where others may want the processor's cores too."""

    def __init__(self) -> None:
        self.lately = [0.0, 0.0]  # time over cost on one thread and on all
        self.calls, self.look, self.pause = 0, 8, 8  # the slower way is tried again at call `look`

    def spread_pays(self) -> bool:
        """Whether all threads have lately been faster than one, where others may want the processor's cores too.

        A thread that has to wait for a core holds up all of them. Now and then the slower way is tried again.
        """
        return self.ahead(1)[0]

    def ahead(self, most: int) -> tuple[bool, int]:
        """Whether the next calls had better take all threads, and how many of `most` until another way is tried."""
        alone, together = self.lately
        if not (alone and together):
            return not together, 1
        self.calls += 1
        if self.calls >= self.look:
            return together >= alone, 1
        count = min(most, self.look - self.calls)
        self.calls += count - 1
        return together < alone, count

    def note(self, spread: bool, pace: float) -> None:
        """Remember how fast a call was: the usual way's pace is an average, the other's is news."""
        alone, together = self.lately
        usual = (together < alone) == spread
        self.lately[spread] = (self.lately[spread] + pace) / 2 if usual and self.lately[spread] else pace
        if self.calls >= self.look:
            changed = (self.lately[1] < self.lately[0]) != (together < alone)
            self.pause = 8 if changed else min(2 * self.pause, 256)
            self.look = self.calls + self.pause


class Kernel:
    """A compiled kernel: `kernel(arrays, sizes, scalars, total, cost)` runs it for elements (or rows) 0 to total.

    `cost` is what one of them takes, in nanoseconds and roughly. Every call gives as many arrays, sizes and scalars
    as the first. A `steady` kernel takes all threads for all that is large; others take note of what that gains.
    """

    def __init__(self, name: str, source: str, real: str, steady: bool = False) -> None:
        prepare()
        with _lock, progress.compiling(name):
            self.source = kernel_source(source, real)
            self.compiled = load_source(name, self.source).kernel
        self.address, self.steady = self.compiled.address, steady
        self.driver: Any = None
        self.pace = Pace()

    def __call__(
        self, arrays: Sequence[Any], sizes: Sequence[int], scalars: Sequence[float], total: int, cost: float
    ) -> None:
        if self.driver is None:
            self.bind(len(arrays), len(sizes), len(scalars))
        tasks = min(int(total * cost / WORTH), _pool.threads)
        rest = (self.objects, *map(id, arrays), *sizes, *self.padding, *scalars, *self.numbers)
        if tasks < 2:
            self.driver.serial(self.address, total, 1, *rest)
            return
        spread = self.steady or self.pace.spread_pays()
        started = time.perf_counter_ns()
        if spread:
            with _pool.lock:
                self.driver.spread(self.address, total, tasks, *rest)
        else:
            self.driver.serial(self.address, total, 1, *rest)
        self.pace.note(spread, (time.perf_counter_ns() - started) / (total * cost))

    def bind(self, arrays: int, sizes: int, scalars: int) -> None:
        """Choose the smallest driver with room for so many."""
        slots, most = next((s, n) for s, n in ROOM if arrays + sizes <= s and scalars <= n)
        self.objects = arrays
        self.padding, self.numbers = (0,) * (slots - arrays - sizes), (0.0,) * (most - scalars)
        self.driver = driver(slots, most)


ROOM = ((6, 2), (16, 8), (64, 32))  # table entries and scalars that a driver has room for


@functools.cache
def driver(slots: int, numbers: int) -> ModuleType:
    """The driver with room for so many table entries and scalars."""
    with _lock:
        return load_source(f"driver{slots}", driver_source(slots, numbers))


class Pool:
    """What is known about Numba's thread pool."""

    threads = 1
    lock: Any = contextlib.nullcontext()  # a real one for the threading layer that breaks when two threads enter it


_pool = Pool()


unusable: list[Callable[[], None]] = []  # to be called where Numba turns out not to load


@functools.cache
def why_not() -> str:
    """Why Numba, which is installed, cannot be imported, or ""."""
    try:
        prepare()
    except Exception as error:  # Numba says ImportError for a NumPy that it does not know, a broken library anything
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        return f"Numba is installed, but cannot be imported: {said}"
    return ""


@functools.cache
def usable() -> bool:
    """Whether there are compiled kernels. Warns where there should be, the first time that one is wanted."""
    reason = why_not()
    if reason:
        for call in unusable:
            call()
        warnings.warn(f"{reason}; NumPy computes in its place", RuntimeWarning, stacklevel=2)
    return not reason


@functools.cache
def prepare() -> None:
    """Import Numba, and choose its threading layer."""
    with _lock:
        import numba
        from numba.np.ufunc import parallel

        config: Any = numba.config
        # OpenMP's threads are to wait awake while a step has other things to do, about a millisecond long, for
        # waking one costs more than many a kernel takes; and then to sleep, for others may want the cores. It reads
        # this once.
        waiting = {"GOMP_SPINCOUNT": SPINS, "KMP_BLOCKTIME": "1"}
        chosen = {"OMP_WAIT_POLICY", *waiting} & os.environ.keys()
        if not chosen:
            os.environ.update(waiting)
        if "NUMBA_THREADING_LAYER" not in os.environ and "NUMBA_THREADING_LAYER_PRIORITY" not in os.environ:
            config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]
        with contextlib.suppress(ImportError, ValueError):  # Numba says ValueError when no layer of threads loads
            parallel._launch_threads()
            _pool.threads = config.NUMBA_NUM_THREADS
            if numba.threading_layer() == "workqueue":
                _pool.lock = threading.Lock()
        if not chosen:
            for name in waiting:
                del os.environ[name]
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    """A child has none of its parent's threads, and OpenMP would end it for asking: it runs on one."""
    _pool.threads = 1
