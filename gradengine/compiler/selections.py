"""What a boolean mask selects while a step is traced: elements of which nobody knows how many there are.

A compiled program has fixed shapes, so `x[mask]` has no array. What is done to it element by element, and then written
back through the same mask, has a fixed form all the same: `x[mask] += v` is `x = where(mask, x + v, x)`. A Selection
waits for that. Whatever else it is used for is a TraceError that names the line of the selection. Elements which are
not selected are computed as well, but from ones, so that neither a value nor a gradient of theirs spoils the others.
"""

from __future__ import annotations

import contextlib
import operator
from operator import is_
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..core import pytrees as tree
from ..core.tensor_class import Tensor, wrap
from ..errors import DTypeError
from ..ops import reshape, where
from ..ops.index import MASK, READ, setitem, split_index, storable
from .trace_errors import shape_error
from .tracers import weak

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


Trace: TypeAlias = Any  # tracing.Trace, which imports this file
BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor"]
UNARY = ["neg", "pos", "abs", "invert"]
HERE = ("arrays", "error", "index", "mask", "shape", "structure", "trace", "value")


class Selection:
    """`x[index]`, where a mask among the indices has a value only when the program runs."""

    __slots__ = HERE

    def __init__(self, trace: Trace, index: Any, parts: Any, mask: Tensor, x: Tensor, error: Exception) -> None:
        self.trace, self.index, self.mask, self.error = trace, index, mask, error
        self.structure, self.arrays = parts[0], [a.array for a in parts[1]]
        self.shape, self.value = x.shape, where(mask, x, x.new_ones(()))
        trace.selections.append(self)

    def complain(self) -> Exception:
        """The error for a use that needs the elements themselves."""
        self.trace.failure = self.error
        return self.error

    def operand(self, v: Any) -> Any:
        """What stands beside this in an operation, in a shape that broadcasts with all elements."""
        if isinstance(v, Selection):
            if v.index is not self.index or v.shape != self.shape or not all(map(is_, v.arrays, self.arrays)):
                raise self.complain()
            return v.value
        if not isinstance(v, (Tensor, np.ndarray, np.generic, list)):
            return v
        if isinstance(v, np.generic) or (isinstance(v, Tensor) and weak(v.array)):
            return v  # a number
        v = v if isinstance(v, Tensor) else wrap(v, self.value, "index")
        after = len(self.shape) - self.index.ndim if self.structure is MASK else 0  # axes after the selected elements
        before = max(0, v.ndim - after)
        if before > 1 or v.shape[:before] not in ((), (1,)):
            raise self.complain()  # it has as many elements as are selected, which nobody knows
        return where(self.mask, reshape(v, v.shape[before:]), v.new_ones(()))

    def combined(self, value: Tensor) -> Selection:
        """Other elements at the same places."""
        made = object.__new__(Selection)
        for name in HERE:
            object.__setattr__(made, name, getattr(self, name))
        made.value = value
        return made

    def __getattr__(self, name: str) -> Any:
        raise self.complain()

    def refuse(self, *args: Any) -> Any:
        """What every other use of it meets."""
        raise self.complain()

    __len__ = __iter__ = __getitem__ = __setitem__ = __bool__ = __float__ = __int__ = __index__ = __repr__ = refuse
    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = __contains__ = __array__ = __matmul__ = refuse
    __array_ufunc__ = None  # so that NumPy's operators leave it to this class
    __hash__ = object.__hash__

    def write(self, x: Tensor, index: Any) -> None:
        """`x[index] = self`."""
        if index is not self.index or x.shape != self.shape:
            raise self.complain()
        if not all(map(is_, [a.array for a in split_index(index, x, False)[1]], self.arrays)):
            raise self.complain()  # the mask has been changed in between
        value, mask = self.value, self.mask
        if value.dtype is not x.dtype and not storable(value, x.dtype):
            raise DTypeError(
                f"setitem: {value.dtype} does not fit into a Tensor of {x.dtype}; convert it with .to(...)"
            )
        value = value.to(x.dtype)
        x.become(lambda old: where(mask, value, old), "setitem")


def binary(name: str) -> Callable[[Selection, Any], Selection]:
    function = getattr(operator, f"{name}_" if name in ("and", "or") else name)
    return lambda s, v: s.combined(function(s.value, s.operand(v)))


def reflected(name: str) -> Callable[[Selection, Any], Selection]:
    function = getattr(operator, f"{name}_" if name in ("and", "or") else name)
    return lambda s, v: s.combined(function(s.operand(v), s.value))


def in_place(name: str) -> Callable[[Selection, Any], Selection]:
    function = getattr(operator, f"i{name}")

    def call(s: Selection, v: Any) -> Selection:
        s.value = function(s.value, s.operand(v))
        return s

    return call


def unary(name: str) -> Callable[[Selection], Selection]:
    function = getattr(operator, name)
    return lambda s: s.combined(function(s.value))


for _name in BINARY:
    setattr(Selection, f"__{_name}__", binary(_name))
    setattr(Selection, f"__r{_name}__", reflected(_name))
    setattr(Selection, f"__i{_name}__", in_place(_name))
for _name in UNARY:
    setattr(Selection, f"__{_name}__", unary(_name))


def has_mask(index: Any) -> bool:
    """Whether there is an array of bools among indices."""
    for item in index if type(index) is tuple else (index,):
        if isinstance(item, (Tensor, np.ndarray)) and item.dtype == np.bool_:
            return True
    return False


def select(trace: Trace, x: Tensor, index: Any, read: Callable[[Tensor, Any], Any]) -> Any:
    """`x[index]` where there is a mask; `read` is what reads where the mask is the same at each call."""
    structure, at = split_index(index, x, False)
    masks = [a for name, a in zip([s for s in structure if s in ("mask", "integers")], at) if name == "mask"]
    if all([trace.is_constant(m) for m in masks]):
        return read(x, with_positions(index))
    mask = x.new_zeros(x.shape, dtype=np.bool_)
    setitem(mask, index, True)
    return Selection(trace, index, (structure, at), mask, x, shape_error(READ))


def with_positions(index: Any) -> Any:
    """Indices with the positions of constant masks in the place of the masks."""
    found: list[Any] = []
    for item in index if type(index) is tuple else (index,):
        if isinstance(item, (Tensor, np.ndarray)) and item.dtype == np.bool_:
            found += np.nonzero(item if isinstance(item, np.ndarray) else item.numpy())
        else:
            found.append(item)
    return tuple(found)


@contextlib.contextmanager
def unselected(trace: Trace) -> Iterator[None]:
    """A block in which what an op says of a Selection is said of the line that has made it."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if trace.selections and Selection.__name__ in str(error):
            raise trace.selections[-1].complain() from None
        raise


def check_result(result: Any) -> None:
    """Raise TraceError where a Selection is returned."""
    leaves: list[Any] = []
    tree.flatten(result, leaves)
    for leaf in leaves:
        if type(leaf) is Selection:
            raise leaf.complain()
