"""Compiled kernels and the threads that run them. The only file that imports Numba, on first use.

A kernel is a C function `kernel(reals, masks, ints, sizes, scalars, start, stop)` generated as Numba source: it finds
its arrays in a table of addresses. So one driver, compiled once, spreads every kernel over the threads, and a kernel
itself compiles in a few hundredths of a second (Numba's own `parallel=True` takes five times as long).

May import generated.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .generated import functions_for, load_source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

# Nanoseconds of work that make a thread worth waking. Two threads did not gain before a quarter of a millisecond.
WORTH = 125_000

HEADER = """\
import math
import numpy as np
from numba import cfunc, float32, float64, int64, intp, njit, types, uint8
"""

KERNEL = """
signature = types.void(
    types.CPointer(types.CPointer(REAL)), types.CPointer(types.CPointer(uint8)),
    types.CPointer(types.CPointer(int64)), types.CPointer(intp), types.CPointer(float64), intp, intp,
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
        kind = ir.FunctionType(ir.VoidType(), [pointer] * 4 + [double.as_pointer(), word, word])
        function = builder.inttoptr(address, kind.as_pointer())
        builder.call(function, [entries] * 4 + [numbers, start, stop])
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


INTRINSIC_HEADER = """\
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic
"""

# How the functions that kernels call are compiled. Elementary functions may round a * b + c once, which makes them
# more exact, and one kind of sum may be added in any order. Kernels themselves get no such leave: each operation
# rounds as NumPy's does, and NaN, infinities and signed zeros are what IEEE 754 says.
INLINED = 'njit(cache=True, forceinline=True, error_model="numpy"{flags})'
CONTRACT, ANY_ORDER = ', fastmath={"contract"}', ', fastmath={"contract", "reassoc"}'
FOLDER = Path(__file__).parent


# What a kernel cannot say in Python, by the name of the function that stands for it in the kernels' files.
INTRINSICS = {
    # LLVM halves the vectors of AVX-512, for the sake of processors of 2017 that slowed down; elementary functions
    # are a third faster with whole ones. llvmlite knows no such attribute, but writes what is in the set.
    "wide_vectors": """
@intrinsic
def wide_vectors(typingctx):
    def codegen(context, builder, signature, args):
        if isinstance(builder.function.attributes, set):
            set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()
    return types.void(), codegen
""",
    "block_buffer": """
@intrinsic
def block_buffer(typingctx, like):
    def codegen(context, builder, signature, args):
        space = cgutils.alloca_once(builder, context.get_value_type(like.dtype), size=BLOCK)
        return builder.bitcast(space, context.get_value_type(like))
    return like(like), codegen
""",
    # Fortran takes everything by address: characters, sizes, factors. A size of 64 bits serves BLAS with 32 as well,
    # which reads its lower half.
    "call_gemm": """
@intrinsic
def call_gemm(typingctx, gemm, ta, tb, m, n, k, a, lda, b, ldb, c, ldc, one):
    def codegen(context, builder, signature, args):
        gemm, ta, tb, m, n, k, a, lda, b, ldb, c, ldc, one = args
        byte = ir.IntType(8)
        def at(value):
            slot = cgutils.alloca_once(builder, value.type)
            builder.store(value, slot)
            return builder.bitcast(slot, byte.as_pointer())
        def flag(value):
            return at(builder.select(builder.icmp_signed("!=", value, value.type(0)), byte(ord("T")), byte(ord("N"))))
        def size(value):
            return at(value)
        def matrix(value):
            return builder.inttoptr(value, byte.as_pointer())
        given = [flag(ta), flag(tb), size(m), size(n), size(k), at(one), matrix(a), size(lda), matrix(b), size(ldb)]
        given += [at(one.type(0.0)), matrix(c), size(ldc)]
        kind = ir.FunctionType(ir.VoidType(), [byte.as_pointer()] * 13)
        builder.call(builder.inttoptr(gemm, kind.as_pointer()), given)
        return context.get_dummy_value()
    return types.void(*[types.int64] * 12, one), codegen
""",
}


@functools.cache
def elementary(real: str) -> ModuleType:
    """The elementary functions for a dtype; each is compiled when it is first used."""
    source = HEADER + INTRINSIC_HEADER
    for file in (f"libm{real.removeprefix('float')}.py", "libm.py"):
        constants, functions = functions_for(real, FOLDER / file)
        source += constants
        for name, text in functions.items():
            source += INTRINSICS.get(name, f"\n\n@{INLINED.format(flags=CONTRACT)}\n{text}")
    return load_source(f"elementary_{real}", source)


@functools.cache
def pieces(file: str, real: str) -> tuple[ModuleType, dict[str, str]]:
    """What the kernels in a file are made of, for a dtype, and the sources of the kernels themselves by name."""
    constants, functions = functions_for(real, FOLDER / file)
    source, kernels = f"{HEADER}{names_of(elementary(real))}{constants}", {}
    for name, text in functions.items():
        if text.startswith(f"def {name}(reals,"):
            kernels[name] = text.replace(f"def {name}(", "def kernel(", 1)
        else:
            flags = ANY_ORDER if name.startswith("any_order_") else ""
            source += INTRINSICS.get(name, f"\n\n@{INLINED.format(flags=flags)}\n{text}")
    return load_source(f"{file.removesuffix('_kernels.py')}_{real}", source), kernels


def names_of(module: ModuleType) -> str:
    """The statement that imports everything which a generated module defines or has imported from another."""
    names = [name for name in vars(module) if not name.startswith("__") and name not in HEADER]
    return f"from {module.__name__} import {', '.join(sorted(names))}\n"


@functools.cache
def kernel_of(file: str, name: str, real: str) -> Kernel:
    """The kernel of that name in one of the files of kernels, for a dtype."""
    prepare()
    with _lock:
        module, kernels = pieces(file, real)
        # How a product is cut into tiles may show in its last bits, and equal runs are to give equal bits.
        return Kernel(name, f"{names_of(module)}\n\n{kernels[name]}", real, steady=file == "product_kernels.py")


@functools.cache
def gemm_address(real: str) -> int:
    """Where BLAS's matrix product for a dtype is: in NumPy's own library, else in the one that SciPy brings along."""
    prepare()
    name = "sgemm" if real == "float32" else "dgemm"
    with contextlib.suppress(ImportError):
        import ctypes

        import threadpoolctl

        for library in threadpoolctl.threadpool_info():
            if library["user_api"] == "blas":
                handle = ctypes.CDLL(library["filepath"])
                for symbol in (f"scipy_{name}_64_", f"{name}_64_", f"{name}_"):
                    if hasattr(handle, symbol):
                        return ctypes.cast(getattr(handle, symbol), ctypes.c_void_p).value or 0
    from numba.extending import get_cython_function_address

    address = get_cython_function_address("scipy.linalg.cython_blas", name)
    limit_blas()  # SciPy's BLAS has only now been loaded
    return address


class Kernel:
    """A compiled kernel: `kernel(arrays, sizes, scalars, total, cost)` runs it for elements (or rows) 0 to total.

    `cost` is what one of them takes, in nanoseconds and roughly. Every call gives as many arrays, sizes and scalars
    as the first. A `steady` kernel takes all threads for all that is large; others take note of what that gains.
    """

    def __init__(self, name: str, source: str, real: str, steady: bool = False) -> None:
        prepare()
        with _lock:
            self.source = f"{HEADER}{names_of(elementary(real))}\n\n{source}{KERNEL}".replace("REAL", real)
            self.compiled = load_source(name, self.source).kernel
        self.address, self.steady = self.compiled.address, steady
        self.driver: Any = None
        self.pace = [0.0, 0.0]  # time over cost on one thread and on all, lately
        self.calls, self.look, self.pause = 0, 8, 8  # the slower way is tried again at call `look`

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
        spread = self.steady or self.spread_pays()
        started = time.perf_counter_ns()
        if spread:
            with _pool.lock:
                self.driver.spread(self.address, total, tasks, *rest)
        else:
            self.driver.serial(self.address, total, 1, *rest)
        self.note(spread, (time.perf_counter_ns() - started) / (total * cost))

    def spread_pays(self) -> bool:
        """Whether all threads have lately been faster than one, where others may want the processor's cores too.

        A thread that has to wait for a core holds up all of them. Now and then the slower way is tried again.
        """
        alone, together = self.pace
        if not (alone and together):
            return not together
        self.calls += 1
        return (together < alone) != (self.calls >= self.look)

    def note(self, spread: bool, pace: float) -> None:
        """Remember how fast a call was: the usual way's pace is an average, the other's is news."""
        alone, together = self.pace
        usual = (together < alone) == spread
        self.pace[spread] = (self.pace[spread] + pace) / 2 if usual and self.pace[spread] else pace
        if self.calls >= self.look:
            changed = (self.pace[1] < self.pace[0]) != (together < alone)
            self.pause = 8 if changed else min(2 * self.pause, 256)
            self.look = self.calls + self.pause

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
    source = DRIVER.format(
        head=object.__basicsize__,
        slots=", ".join(f"a{i}" for i in range(slots)),
        numbers=", ".join(f"s{i}" for i in range(numbers)),
    )
    with _lock:
        return load_source(f"driver{slots}", HEADER + source)


class Pool:
    """What is known about Numba's thread pool."""

    threads = 1
    lock: Any = contextlib.nullcontext()  # a real one for the threading layer that breaks when two threads enter it


_pool = Pool()


@functools.cache
def prepare() -> None:
    """Import Numba, choose its threading layer, and hold BLAS to one thread: two pools fight for the cores."""
    with _lock:
        import numba
        from numba.np.ufunc import parallel

        config: Any = numba.config
        # OpenMP's threads are to sleep between calls: spinning, they take the time that others need, and on a machine
        # that is shared the two ends of a barrier then wait for each other, milliseconds long. It reads this once.
        passive = not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & os.environ.keys()
        if passive:
            os.environ["OMP_WAIT_POLICY"] = "passive"
        if "NUMBA_THREADING_LAYER" not in os.environ and "NUMBA_THREADING_LAYER_PRIORITY" not in os.environ:
            config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]
        parallel._launch_threads()
        if passive:
            del os.environ["OMP_WAIT_POLICY"]
        _pool.threads = config.NUMBA_NUM_THREADS
        if numba.threading_layer() == "workqueue":
            _pool.lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_after_fork)
        limit_blas()


def _after_fork() -> None:
    """A child has none of its parent's threads, and OpenMP would end it for asking: it runs on one."""
    _pool.threads = 1


def limit_blas() -> None:
    """One thread for NumPy's and SciPy's OpenBLAS, for good."""
    with contextlib.suppress(ImportError):
        import threadpoolctl

        threadpoolctl.ThreadpoolController().select(internal_api="openblas").limit(limits=1)
