"""A loop nest as a kernel in CUDA C: with sums a team of threads takes a row, without them a thread takes elements."""

from __future__ import annotations

from ..loops import Loop, Reduce
from .elementwise_codegen import Flat
from .loop_codegen import Given, Source
from .reduction_codegen import Rows


def source_of(loop: Loop, given: Given, name: str = "loop") -> Source:
    """A loop as a kernel."""
    sums = loop.totals or any(isinstance(v, Reduce) for v in loop.values)
    return Rows(loop, given).source(name) if sums else Flat(loop, given).source(name)
