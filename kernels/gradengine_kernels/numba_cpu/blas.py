"""The BLAS library that compiled kernels call, and its number of threads while they do.

Kernels call BLAS from Numba's threads, so each call must run on one thread: two thread pools compete for the cores.
BLAS libraries have one setting for the whole process, and it belongs to the user. `one_thread` changes it for the
length of a call and restores it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import os
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Setting = tuple[Callable[[], int], Callable[[int], Any]]  # how to read and write a number of threads

PREFIXES, SUFFIXES = ("openblas_", "scipy_openblas_"), ("", "64_", "_64", "_")


@functools.cache
def gemm_address(real: str) -> int:
    """The address of BLAS's matrix product for a dtype: in NumPy's own library, else in the one that SciPy brings."""
    name = "sgemm" if real == "float32" else "dgemm"
    for library in blas_libraries():
        handle = ctypes.CDLL(library.filepath)
        for symbol in (f"scipy_{name}_64_", f"{name}_64_", f"{name}_"):
            if hasattr(handle, symbol):
                return ctypes.cast(getattr(handle, symbol), ctypes.c_void_p).value or 0
    from numba.extending import get_cython_function_address

    address = get_cython_function_address("scipy.linalg.cython_blas", name)
    one_thread.settings = None  # SciPy's BLAS has only now been loaded
    return address


def blas_libraries() -> list[Any]:
    """The BLAS libraries that are loaded, NumPy's first; none without threadpoolctl."""
    with contextlib.suppress(ImportError):
        import threadpoolctl

        return threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
    return []


def setting(library: Any) -> Setting:
    """How to read and write a library's number of threads; OpenBLAS's own functions take a tenth of a microsecond."""
    handle = ctypes.PyDLL(library.filepath)  # keeps the GIL: releasing it would cost more than the call
    for prefix, suffix in itertools.product(PREFIXES, SUFFIXES):
        read = getattr(handle, f"{prefix}get_num_threads{suffix}", None)
        write = getattr(handle, f"{prefix}set_num_threads{suffix}", None)
        if read is not None and write is not None:
            read.argtypes, read.restype = [], ctypes.c_int
            write.argtypes, write.restype = [ctypes.c_int], None
            return read, write
    return library.get_num_threads, library.set_num_threads


class OneThread:
    """`with one_thread:` runs the block with one BLAS thread, and then restores the number there was before.

    Blocks may nest, and several Python threads may be inside at once: the first to enter changes the setting, the
    last to leave restores it. A number that somebody else has set meanwhile stays.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.settings: list[Setting] | None = None
        self.inside = 0
        self.changed: list[tuple[Setting, int]] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.after_fork)

    def __enter__(self) -> None:
        with self.lock:
            if not self.inside:
                if self.settings is None:
                    self.settings = [setting(library) for library in blas_libraries()]
                for each in self.settings:
                    number = each[0]()
                    if number > 1:
                        self.changed.append((each, number))
                        each[1](1)
            self.inside += 1

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside and self.changed:
                self.restore()

    def restore(self) -> None:
        """Set the numbers of threads to what they were, unless they have changed since."""
        while self.changed:
            (read, write), number = self.changed.pop()
            if read() == 1:
                write(number)

    def after_fork(self) -> None:
        """The child has none of the threads that were inside."""
        self.lock = threading.Lock()
        if self.inside:
            self.inside = 0
            self.restore()


one_thread = OneThread()
