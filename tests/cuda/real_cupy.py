"""The real CuPy without a GPU: `install()`, before anything imports CuPy. See host_driver for what lies beneath.

CuPy's dtype rules, packing of arguments, arrays, streams, graphs and DLPack are its own here; `fake_cupy` only promises
them. Kernels, the engine's and those that CuPy generates, are compiled by g++ as the emulator does. Products go to
the reference in NumPy and sorts, which are thrust's, to NumPy.

Every array has memory of its own, between pages that nobody may touch (`exact`); `pooled()` has CuPy's pool back.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from . import guarded, host_driver, launching, machine, toolchain

CARRAY = (Path(__file__).parent / "carray.h").read_text()
INCLUDE = re.compile(r"^\s*#\s*include.*$", re.M)
kernels: dict[tuple[str, str], toolchain.Kernel] = {}


def why_not() -> str:
    """Why the real CuPy cannot run here, or ""."""
    if importlib.util.find_spec("cupy_backends") is None:
        return "CuPy is not installed: make cuda-test installs it"
    return toolchain.why_not()


def compiled(source: str, options: tuple[str, ...]) -> Callable[[str], launching.Function]:
    """A source's kernels by name. Raises CuPy's CompileException."""
    if toolchain.END in source:  # the engine's
        from cupy.cuda import compiler

        try:
            module = launching.module(source, options)
        except launching.CompileException as error:
            raise compiler.CompileException(error.get_message(), source, "kernel.cu", options, "nvrtc") from None
        return lambda name: launching.Function(module.kernel(name))
    return lambda name: launching.Function(of_cupy(source, name))


def of_cupy(source: str, name: str) -> toolchain.Kernel:
    """A kernel that CuPy has generated: carray.h stands for CuPy's own header."""
    found = kernels.get((source, name))
    if found is None:
        text = CARRAY + INCLUDE.sub("", source)
        waits = "__syncthreads" in source  # maybe in a macro
        found = kernels[source, name] = toolchain.Module(text, (), waits=waits, keep=False).kernel(name)
    return found


def load(source: str, options: tuple[str, ...] = (), *_: Any, **__: Any) -> Any:
    """Where CuPy compiles a source and loads the result: an empty module that knows its kernels."""
    from cupy.cuda import function

    machine.refuse("module load")
    found = compiled(source, tuple(options))
    module = function.Module()
    module.load(b"")
    host_driver.modules[module.ptr] = found
    return module


def exact(size: int) -> Any:
    """Memory for one array alone, exactly as large as it is."""
    from cupy.cuda import memory

    return memory.MemoryPointer(memory.Memory(size), 0)


@contextlib.contextmanager
def pooled() -> Iterator[None]:
    """CuPy's own pool inside."""
    import cupy

    cupy.cuda.set_allocator(cupy.get_default_memory_pool().malloc)
    try:
        yield
    finally:
        cupy.cuda.set_allocator(exact)


# -- thrust -------------------------------------------------------------------------------------------------------


def view(address: int, dtype: Any, shape: Any) -> Any:
    """An array in device memory as NumPy's."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if size and not guarded.is_live(address, size):
        raise toolchain.EmulatorError(f"thrust: {size} bytes at {guarded.explain(address)}")
    return np.frombuffer((ctypes.c_char * size).from_address(address), dtype).reshape(tuple(shape))


def sort(dtype: Any, data: int, keys: int, shape: Any) -> None:
    """Sort along the last axis."""
    values = view(data, dtype, shape)
    values[...] = np.sort(values, axis=-1, kind="stable")


def argsort(dtype: Any, index: int, data: int, keys: int, shape: Any) -> None:
    """The order that sorts along the last axis."""
    view(index, np.int64, shape)[...] = np.argsort(view(data, dtype, shape), axis=-1, kind="stable")


# -- installing ---------------------------------------------------------------------------------------------------


def install() -> Any:
    """Make `import cupy` work here, and give CuPy."""
    os.environ["CUPY_ACCELERATORS"] = ""  # CUB's reductions are compiled, and call the driver themselves
    host_driver.install()
    # As the interpreter ends, CuPy frees what it holds, through functions that are gone by then.
    atexit.register(lambda: os._exit(status))
    import cupy
    from cupy.cuda import compiler, thrust

    compiler._compile_module_with_cache = load
    thrust.sort, thrust.argsort = sort, argsort
    cupy.cuda.set_allocator(exact)

    from gradengine_kernels.cupy_cuda.gemm import cublaslt

    from . import reference_products

    hooks = reference_products.emulated()
    hooks.enqueue = lambda stream, work: host_driver.to_stream(stream, work)
    cublaslt.found = reference_products.Reference(hooks)
    return cupy


status = 0  # what the process ends with


def leave(code: int) -> None:
    """End this process now with that status."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
