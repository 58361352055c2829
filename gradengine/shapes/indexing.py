"""Rules for `x[index]`, for writing at an index, and for taking along an axis."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError, IndexRangeError, ShapeError
from .axes import Shape, axis_of, broadcast


def getitem(name: str, x: Shape, *at: Shape, index: Any, **metadata: Any) -> Shape:
    """The shape of `x[index]`; -1 where it depends on how many elements of a mask are true."""
    return selection(name, x, *at, index=index)


def selection(name: str, x: Shape, *at: Shape, index: Any) -> Shape:
    """The same, by shapes alone."""
    items = list(index) if isinstance(index, tuple) else [index]
    arrays = list(at)
    used = sum(len(at[i]) for i in range(len(at)) if mask_at(items, i)) + sum(
        item is not None and item is not ... and item != "mask" for item in items
    )
    if used > len(x) or sum(item is ... for item in items) > 1:
        problem = f"{used} indices for {len(x)} dimensions" if used > len(x) else "more than one ..."
        raise IndexRangeError(f"{name}: {problem} (shape {x})")
    if ... not in items:
        items.append(...)
    out: list[int] = []
    found: list[Shape] = []  # the shapes of index arrays, ints among them
    place, gap, apart, axis = None, False, False, 0
    advanced = bool(arrays)
    for item in items:
        gap = gap or (place is not None and (item is None or item is ... or isinstance(item, slice)))
        if item is None:
            out.append(1)
        elif item is ...:
            n = len(x) - used
            out += x[axis : axis + n]
            axis += n
        elif isinstance(item, slice):
            if item.step == 0:
                raise ArgumentError(f"{name}: a slice's step cannot be 0")
            out.append(len(range(*item.indices(x[axis]))))
            axis += 1
        elif isinstance(item, str) or advanced:
            apart = apart or gap
            place = len(out) if place is None else place
            shape = arrays.pop(0) if isinstance(item, str) else ()
            if item == "mask":
                sizes = x[axis : axis + len(shape)]
                if sizes != shape:
                    raise ShapeError(
                        f"{name}: a mask of shape {shape} does not fit axes {axis} to {axis + len(shape) - 1} of "
                        f"shape {x}: it must be {sizes}"
                    )
                axis += len(shape)
                found.append((-1,))
            else:
                if not isinstance(item, str):
                    check_index(name, item, axis, x)
                axis += 1
                found.append(shape)
        else:
            check_index(name, item, axis, x)
            axis += 1
    if place is None:
        return tuple(out)
    known = [s for s in found if s != (-1,)]
    common = broadcast(name, *known) if known else ()
    if len(known) < len(found) and common[-1:] in ((), (1,)):
        common = (*common[:-1], -1)
    return common + tuple(out) if apart else tuple(out[:place]) + common + tuple(out[place:])


def mask_at(items: list[Any], i: int) -> bool:
    """Whether array i of an index is a mask."""
    return [item for item in items if isinstance(item, str)][i] == "mask"


def check_index(name: str, item: int, axis: int, x: Shape) -> None:
    """Raise for an int outside its axis."""
    if not -x[axis] <= item < x[axis]:
        valid = f"valid are {-x[axis]} to {x[axis] - 1}" if x[axis] else "the axis is empty"
        raise IndexRangeError(f"{name}: index {item} is out of range for axis {axis} with size {x[axis]}; {valid}")


def place(name: str, g: Shape, *at: Shape, index: Any, shape: Shape) -> Shape:
    """The shape that something is placed into."""
    return shape


def put_at(name: str, x: Shape, v: Shape, *at: Shape, index: Any, **metadata: Any) -> Shape:
    """The shape of `x` with `v` written at an index."""
    target = selection(name, x, *at, index=index)
    kept = v[max(len(v) - len(target), 0) :] if set(v[: max(len(v) - len(target), 0)]) <= {1} else v
    pairs = list(zip(reversed(kept), reversed(target)))
    if len(kept) > len(target) or any(n not in (1, m) and m != -1 for n, m in pairs):
        raise ShapeError(f"{name}: a value of shape {v} does not broadcast to x[index], whose shape is {target}")
    return x


def take(name: str, x: Shape, indices: Shape, *, axis: Any = None) -> Shape:
    """The shape of slices taken along `axis`."""
    i = 0 if axis is None else axis_of(name, axis, len(x))
    return indices if axis is None else x[:i] + indices + x[i + 1 :]


def take_along_axis(name: str, x: Shape, indices: Shape, *, axis: Any = -1) -> Shape:
    """The shape of elements taken along `axis`, one index each."""
    i = axis_of(name, axis, len(x))
    if len(indices) != len(x):
        raise ShapeError(f"{name}: {x} and indices {indices} must have the same number of dimensions")
    rest = broadcast(name, x[:i] + (1,) + x[i + 1 :], indices[:i] + (1,) + indices[i + 1 :])
    return rest[:i] + indices[i : i + 1] + rest[i + 1 :]


def accumulate(name: str, g: Shape, indices: Shape, *, axis: Any, shape: Shape) -> Shape:
    """The shape that something is added into."""
    return shape


def one_hot(name: str, labels: Shape, *, num_classes: int, **metadata: Any) -> Shape:
    """An axis more, for the classes; -1 where the labels decide how many."""
    return (*labels, num_classes)


def rows_of_table(name: str, table: Shape, indices: Shape, **metadata: Any) -> Shape:
    """A row for each index."""
    return indices + table[1:]
