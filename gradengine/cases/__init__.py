"""The case table: a row per op, which the test-suite and `gradengine check` run on every backend.

A row says how to call the op, how to make inputs for it, what NumPy (or SciPy) says in float64, and how many times
it can be differentiated. Adding an op means adding a row here, in the file of the op's own family.
"""

from __future__ import annotations

from .case import Case

__all__ = ["Case", "table"]


def table() -> list[Case]:
    """Every row, in order of the families.

    >>> from gradengine.cases import table
    >>> len(table()) > 200
    True
    """
    from . import elementwise, functional, indexing, products, random, reductions, shapes, vocabulary

    families = (elementwise, reductions, shapes, indexing, products, random, functional, vocabulary)
    return [case for family in families for case in family.CASES]
