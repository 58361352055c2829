"""`njit` and `cfunc` for generated code: Numba's own, with machine code kept in files that are verified.

Numba's own cache unpickles what it finds, so a damaged file breaks every later run and a forged one runs any code.
Here an entry's key is all that its machine code depends on: the source, the function and its signature, the versions,
the processor and the compiler's settings. The entry itself is what Numba's cache would hold.
"""

from __future__ import annotations

import functools
import pickle
import platform
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from ..disk_cache import DiskCache, root

if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT = 1  # of what is pickled


@functools.cache
def disk() -> DiskCache:
    """The cache on disk."""
    return DiskCache(root() / "numba-kernels")


@functools.cache
def versions() -> tuple[Any, ...]:
    """What machine code depends on besides its source and the processor."""
    import llvmlite
    import numba

    config: Any = numba.config
    settings = (config.OPT, config.LOOP_VECTORIZE, config.SLP_VECTORIZE, config.BOUNDSCHECK, config.DEBUGINFO_DEFAULT)
    python = (platform.python_implementation(), *sys.version_info[:3], getattr(sys, "abiflags", ""))
    return (FORMAT, numba.__version__, llvmlite.__version__, np.__version__, python, settings)


class KernelCache:
    """What Numba asks for a function's machine code: the interface of its own caches."""

    cache_path = None

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def key(self, signature: Any, codegen: Any) -> str:
        """The key of the function's code for a signature."""
        code = self.function.__globals__["__source__"]  # with what it imports: its names hold digests of their sources
        return repr((self.function.__qualname__, str(signature), codegen.magic_tuple(), versions(), code))

    def load_overload(self, signature: Any, context: Any) -> Any:
        """The compiled function, or None if there is no good entry."""
        from numba.core.compiler import CompileResult

        context.refresh()
        content = disk().read(self.key(signature, context.codegen()))
        if content is None:
            return None
        try:
            return CompileResult._rebuild(context, *pickle.loads(content))
        except Exception:  # an entry that some other installation of the same versions has written
            return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep a compiled function, if it can be kept."""
        from numba.core.serialize import dumps

        if result.library.has_dynamic_globals or any([not lifted.can_cache for lifted in result.lifted]):
            return
        disk().write(self.key(signature, result.target_context.codegen()), dumps(result._reduce()))

    def flush(self) -> None:
        """Part of Numba's interface."""


def njit(*signatures: Any, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Numba's `njit` with this cache; for signatures that are given, the function is compiled at once."""
    import numba
    from numba.core import typeinfer

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**options)(function)
        dispatcher._cache = KernelCache(function)
        if signatures:
            with typeinfer.register_dispatcher(dispatcher):
                for signature in signatures:
                    dispatcher.compile(signature)
                dispatcher.disable_compile()
        return dispatcher

    return decorate


def cfunc(signature: Any, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Numba's `cfunc` with this cache."""
    from numba.core import sigutils
    from numba.core.ccallback import CFunc

    def decorate(function: Callable[..., Any]) -> Any:
        made: Any = CFunc(function, sigutils.normalize_signature(signature), locals={}, options=options)
        made._cache = KernelCache(function)
        made.compile()
        return made

    return decorate
