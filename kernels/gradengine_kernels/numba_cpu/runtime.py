"""Compiled kernels and the threads that run them. The only file that imports Numba, on first use.

A kernel is a C function `kernel(reals, masks, sizes, scalars, start, stop)` generated as Numba source: it finds its
arrays in a table of addresses. So one driver, compiled once, spreads every kernel over the threads, and a kernel
itself compiles in a few hundredths of a second (Numba's own `parallel=True` takes five times as long). Sources and
machine code are kept in a cache folder for the next process.

Imports nothing of this package.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import re
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

# Elements that a thread must have to do before another is worth waking.
GRAIN = 1 << 16

HEADER = """\
import math
import numpy as np
from numba import boolean, cfunc, float32, float64, int32, int64, intp, njit, types, uint8, uint32, uint64
"""

KERNEL = """
signature = types.void(
    types.CPointer(types.CPointer({real})), types.CPointer(types.CPointer(uint8)), types.CPointer(intp),
    types.CPointer(float64), intp, intp,
)
kernel = cfunc(signature, cache=True, nopython=True, error_model="numpy")(kernel)
"""

# The driver. `objects` of the table's entries are NumPy arrays given by the address of the Python object: NumPy's C
# interface fixes that the pointer to the elements comes right after the object's head. Fetching it here costs a
# nanosecond; `array.ctypes.data` costs one call nearly a microsecond for each array.
DRIVER = """
from llvmlite import ir
from numba import prange
from numba.extending import intrinsic

@intrinsic
def call(typingctx, address, objects, table, scalars, start, stop):
    def codegen(context, builder, signature, args):
        address, objects, table, scalars, start, stop = args
        word, double = ir.IntType(64), ir.DoubleType()
        pointer = word.as_pointer()
        entries = builder.alloca(ir.ArrayType(word, signature.args[2].count))
        for i in range(signature.args[2].count):
            value = builder.extract_value(table, i)
            slot = builder.gep(entries, [ir.IntType(32)(0), ir.IntType(32)(i)])
            is_object = builder.icmp_signed("<", word(i), objects)
            with builder.if_else(is_object) as (then, otherwise):
                with then:
                    data = builder.inttoptr(builder.add(value, word({head})), pointer)
                    builder.store(builder.load(data), slot)
                with otherwise:
                    builder.store(value, slot)
        numbers = builder.alloca(ir.ArrayType(double, signature.args[3].count))
        for i in range(signature.args[3].count):
            slot = builder.gep(numbers, [ir.IntType(32)(0), ir.IntType(32)(i)])
            builder.store(builder.extract_value(scalars, i), slot)
        entries = builder.bitcast(entries, pointer)
        numbers = builder.bitcast(numbers, double.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [pointer, pointer, pointer, double.as_pointer(), word, word])
        function = builder.inttoptr(address, kind.as_pointer())
        builder.call(function, [entries, entries, entries, numbers, start, stop])
        return context.get_dummy_value()
    return types.void(types.int64, types.int64, table, scalars, types.int64, types.int64), codegen

@njit(nogil=True, cache=True)
def serial(address, total, tasks, objects, {slots}, {numbers}):
    call(address, objects, ({slots}), ({numbers}), 0, total)

@njit(nogil=True, cache=True, parallel=True)
def spread(address, total, tasks, objects, {slots}, {numbers}):
    # Whole cache lines of the smallest element type, so that no two threads write to one.
    share = (total // tasks + 63) // 64 * 64 if total > 64 * tasks else (total + tasks - 1) // tasks
    for task in prange(tasks):
        start = min(task * share, total)
        stop = total if task == tasks - 1 else min(start + share, total)
        if stop > start:
            call(address, objects, ({slots}), ({numbers}), start, stop)
"""

_lock = threading.RLock()


@functools.cache
def cache_folder() -> Path:
    """The folder of generated sources and their machine code; a temporary one where nothing else can be written."""
    import numba

    named = os.environ.get("GRADENGINE_CACHE_DIR")
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    leaf = f"numba-{numba.__version__}-numpy-{np.__version__}-py{sys.version_info[0]}{sys.version_info[1]}"
    candidates = [Path(named) / leaf] if named else [Path(home) / "gradengine" / leaf]
    candidates.append(Path(tempfile.gettempdir()) / f"gradengine-{os.getuid() if hasattr(os, 'getuid') else ''}" / leaf)
    for folder in candidates:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK | os.X_OK):
                return folder
    return Path(tempfile.mkdtemp(prefix="gradengine-"))


def load_source(name: str, source: str) -> ModuleType:
    """The module with that source, from a file in the cache folder whose name holds a hash of it."""
    digest = hashlib.sha256(source.encode()).hexdigest()[:20]
    stem = f"{re.sub(r'[^A-Za-z0-9_]', '_', name)}_{digest}"
    path = cache_folder() / f"{stem}.py"
    if not path.exists():
        # A hard link appears all at once and never replaces: Numba's cache goes by the file's time of change, so
        # the first of several processes decides it.
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(descriptor, "w") as file:
            file.write(source)
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            os.replace(temporary, path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    spec = importlib.util.spec_from_file_location(f"gradengine_generated_{stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load the generated kernel {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where Numba looks for it when it reads machine code from its cache
    spec.loader.exec_module(module)
    return module


class Kernel:
    """A compiled kernel: `kernel(arrays, sizes, scalars, total, grain)` runs it for elements 0 to total."""

    __slots__ = ("address", "compiled", "source")

    def __init__(self, name: str, source: str, real: str) -> None:
        prepare()
        self.source = HEADER + source + KERNEL.format(real=real)
        with _lock:
            self.compiled = load_source(name, self.source).kernel
        self.address = self.compiled.address

    def __call__(
        self, arrays: Sequence[Any], sizes: Sequence[int], scalars: Sequence[float], total: int, grain: int = GRAIN
    ) -> None:
        if total <= 0:
            return
        used, numbers = len(arrays) + len(sizes), len(scalars)
        serial, spread, slots, most_numbers = driver(used, numbers)
        table = [*map(id, arrays), *sizes, *ZEROS[: slots - used]]
        numbers_padded = (*scalars, *ZEROS_F[: most_numbers - numbers])
        tasks = min(total // grain, _pool.threads)
        if tasks < 2 or _pool.forked:
            serial(self.address, total, 1, len(arrays), *table, *numbers_padded)
        elif _pool.lock is None:
            spread(self.address, total, tasks, len(arrays), *table, *numbers_padded)
        else:
            with _pool.lock:
                spread(self.address, total, tasks, len(arrays), *table, *numbers_padded)


ZEROS = (0,) * 64
ZEROS_F = (0.0,) * 64
SIZES_OF_DRIVERS = ((6, 2), (16, 8), (64, 32))  # entries of the table, scalars
_drivers: dict[tuple[int, int], Any] = {}


def driver(used: int, numbers: int) -> Any:
    """The smallest driver with room for so many table entries and scalars."""
    for slots, most in SIZES_OF_DRIVERS:
        if used <= slots and numbers <= most:
            break
    else:
        raise OverflowError(f"a kernel with {used} arrays and {numbers} scalars")
    found = _drivers.get((slots, most))
    if found is None:
        with _lock:
            source = DRIVER.format(
                head=object.__basicsize__,
                slots=", ".join(f"a{i}" for i in range(slots)),
                numbers=", ".join(f"s{i}" for i in range(most)),
            )
            module = load_source(f"driver{slots}", HEADER + source)
            found = _drivers[slots, most] = module.serial, module.spread, slots, most
    return found


class Pool:
    """What is known about Numba's thread pool."""

    lock: threading.Lock | None = None  # for a threading layer that breaks when two threads enter it
    threads = 1
    forked = False  # the child of a process that had threads: OpenMP would end it, so it runs on one thread


_pool = Pool()


@functools.cache
def prepare() -> None:
    """Import Numba, choose its threading layer, and hold BLAS to one thread: two pools fight for the cores."""
    with _lock:
        import numba
        from numba.np.ufunc import parallel

        config: Any = numba.config
        if "NUMBA_THREADING_LAYER" not in os.environ and "NUMBA_THREADING_LAYER_PRIORITY" not in os.environ:
            config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]
        parallel._launch_threads()
        _pool.threads = config.NUMBA_NUM_THREADS
        if numba.threading_layer() == "workqueue":
            _pool.lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_after_fork)
        limit_blas()


def _after_fork() -> None:
    _pool.forked = True
    if _pool.lock is not None:
        _pool.lock = threading.Lock()


@functools.cache
def limit_blas() -> None:
    """One thread for NumPy's and SciPy's OpenBLAS, for good."""
    import threadpoolctl

    threadpoolctl.ThreadpoolController().select(internal_api="openblas").limit(limits=1)


def probe() -> bool:
    """True when an array's elements are where the driver looks for their address."""
    import ctypes

    array = np.zeros(4)
    return ctypes.c_ssize_t.from_address(id(array) + object.__basicsize__).value == array.ctypes.data
