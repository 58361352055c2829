"""What a scalar expression is while it is computed: a number, a truth value, a Python number, or an index.

The rules are those of every backend: Python numbers among themselves are computed in double precision, and truth
values are not numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .expr import COMPARISONS, LOGIC, PREDICATES, Expr, NotPointwiseError, walk
from .loops import INDEX, MASK, NUMBER, SCALAR

if TYPE_CHECKING:
    from collections.abc import Sequence

# What an element of a dtype is.
KINDS = {**dict.fromkeys(("float32", "float64", "float16", "bfloat16"), NUMBER), "bool": MASK, "int64": INDEX}
# Operations on an index: is it the column's, is it a given one, is it outside of so many.
OF_INDEX = frozenset(("at_column", "index_is", "index_outside"))
SCALAR_OPERATIONS = frozenset(("add", "subtract", "multiply", "divide", "negative", "abs"))


def combine(op: str, given: Sequence[str]) -> str:
    """The kind that an operation makes of its arguments' kinds. Raises NotPointwiseError where they do not fit."""
    if op in OF_INDEX:
        return MASK
    if INDEX in given:
        raise NotPointwiseError("an index is no number")
    if op in LOGIC or op in COMPARISONS or op in PREDICATES:
        if op in LOGIC and set(given) != {MASK}:
            raise NotPointwiseError(f"{op} of numbers")
        if op in COMPARISONS and given == [MASK, MASK] and op not in ("equal", "not_equal"):
            raise NotPointwiseError(f"{op} of two truth values")
        return MASK
    if op == "where":
        if given[0] != MASK:
            raise NotPointwiseError("where of a number")
        return MASK if list(given[1:]) == [MASK, MASK] else NUMBER
    if all(kind == SCALAR for kind in given) and op in SCALAR_OPERATIONS:
        return SCALAR
    if all(kind == MASK for kind in given):
        raise NotPointwiseError(f"{op} of truth values only has an integer type")
    return NUMBER


def kind_of(expr: Expr, kinds: dict[str, str]) -> str:
    """The kind of an expression. Raises NotPointwiseError where it cannot be written."""
    found: dict[int, str] = {}
    for e in walk([expr]):
        if e.op == "input":
            found[id(e)] = kinds[e.args[0]]
        elif e.op == "constant":
            found[id(e)] = MASK if isinstance(e.args[0], bool) else SCALAR
        else:
            found[id(e)] = combine(e.op, [found[id(x)] for x in e.args])
    return found[id(expr)]
