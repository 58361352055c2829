"""Kernels on CuPy's arrays, by the names, signatures and meaning of `numpy_cpu`: the fallback of generated kernels.

What CuPy does right is left to CuPy. Random numbers, gather, scatter-add and assignment are CUDA C of our own, in
philox and moves. Half precision is computed in float32 and rounded once. Products are in `gemm`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...numpy_cpu.low_precision import widened
from . import index, nn, pointwise, random, reduce, shape, sorting

if TYPE_CHECKING:
    from collections.abc import Callable

FAMILIES: list[Any] = [pointwise, reduce, sorting, shape, index, nn, random]


def kernels(any_precision: Callable[[str], bool]) -> dict[str, Callable[..., Any]]:
    """The kernels by name of their op; `any_precision` says of an op whether it computes nothing that is rounded."""
    found = {name: run for family in FAMILIES for name, run in family.KERNELS.items()}
    return {name: widened(run, any_precision(name)) for name, run in found.items()}
