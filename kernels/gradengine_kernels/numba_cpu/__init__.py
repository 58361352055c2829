"""Device "cpu", backend "numba": compiled, threaded kernels for large arrays; the NumPy way for all others.

`pointwise` fuses a pointwise function into one loop; `kernels` wraps NumPy's reductions along rows and its matrix
products. Importing this costs nothing: Numba loads with the first array that is large enough.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from . import fused, products, rows
from .fused import SMALL, pointwise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["SMALL", "every_size", "kernels", "operations", "pointwise", "program", "usable", "when_unusable", "why_not"]


def kernels(numpy_kernels: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Kernels for large arrays over the NumPy ones of the same names, which take all others."""
    wrappers = {**rows.WRAPPERS, **products.WRAPPERS}
    return {name: wrap(numpy_kernels[name]) for name, wrap in wrappers.items() if name in numpy_kernels}


def program(*parts: Any) -> Any:
    """A program of kernels, compiled; see programs.Program."""
    from .programs import Program

    return Program(*parts)


def operations() -> frozenset[str]:
    """The scalar operations that a program's kernels may consist of."""
    from ..render import NUMBA

    return NUMBA.known


def why_not() -> str:
    """Why Numba, which is installed, cannot be imported, or "". It is imported for that."""
    from . import runtime

    return runtime.why_not()


def usable() -> bool:
    """Whether programs can be compiled. Warns where Numba is installed and cannot be imported."""
    from . import runtime

    return runtime.usable()


def when_unusable(call: Callable[[], None]) -> None:
    """Have `call` called should Numba turn out not to load when it is first needed."""
    from . import runtime

    runtime.unusable.append(call)


@contextlib.contextmanager
def every_size() -> Iterator[None]:
    """Compiled kernels for arrays of every size in all threads, so that small cases test them."""
    before = fused.SMALL, rows.SMALL, products.SMALL_OPERAND, products.LARGE_PRODUCT
    fused.SMALL = rows.SMALL = products.SMALL_OPERAND = products.LARGE_PRODUCT = 0
    try:
        yield
    finally:
        fused.SMALL, rows.SMALL, products.SMALL_OPERAND, products.LARGE_PRODUCT = before
