"""Device "cuda", backend "cupy": arrays are CuPy's, kernels are CUDA C that is generated, products are cuBLASLt's.

    lib           CuPy, imported when it is first used
    driver        compiling, launching, capturing graphs; memory: arrays; diagnosis: what an error means
    prelude       the CUDA C that all kernels start with; dialect: scalar expressions in CUDA C
    loop_source   loops as kernels: flat_source without sums, row_source with sums
    pointwise_kernels  eager kernels of pointwise functions; rows: reductions, softmax and what else goes by rows
    products      matrix products through cuBLASLt
    arrays        the other kernels, and those for dtypes that nothing is generated for, over CuPy's functions
    programs      compiled programs as CUDA graphs

Importing this costs nothing: CuPy loads with the first kernel.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from .pointwise_kernels import pointwise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["every_size", "kernels", "operations", "pointwise", "program"]


def kernels(any_precision: Callable[[str], bool]) -> dict[str, Callable[..., Any]]:
    """The kernel of each op that has one of its own; `any_precision` says of an op whether it computes nothing."""
    from . import arrays, rows
    from .gemm import kernels

    found = {**arrays.kernels(any_precision), **kernels.KERNELS}
    return {**found, **rows.kernels(found)}


def program(*parts: Any) -> Any:
    """A program of kernels, compiled; see programs.Program."""
    from .programs import Program

    return Program(*parts)


def operations() -> frozenset[str]:
    """The scalar operations that a program's kernels may consist of."""
    from .dialect import OPERATIONS

    return OPERATIONS


@contextlib.contextmanager
def every_size() -> Iterator[None]:
    """Nothing: kernels are generated for arrays of every size."""
    yield
