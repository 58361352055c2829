"""Rules for the same elements in another shape or place, and for joining and cutting."""

from __future__ import annotations

import math
from typing import Any

from ..errors import AxisError, ShapeError
from .axes import Shape, axes_of, axis_of, matrices, sizes_of


def reshape(name: str, x: Shape, *, shape: Any, **metadata: Any) -> Shape:
    """`shape` with -1 replaced by what is left."""
    wanted = sizes_of(name, shape)
    given, known = math.prod(x), math.prod(n for n in wanted if n != -1)
    if wanted.count(-1) > 1 or any(n < -1 for n in wanted):
        raise ShapeError(f"{name}: shape {wanted}: sizes cannot be negative, except for one -1")
    if -1 in wanted:
        if known == 0 or given % known:
            raise ShapeError(f"{name}: cannot make {x} into {wanted}: {given} elements do not divide by {known}")
        return tuple(given // known if n == -1 else n for n in wanted)
    if given != known:
        raise ShapeError(f"{name}: cannot make {x} into {wanted}: {given} elements against {known}")
    return wanted


def flatten(name: str, x: Shape, *, start_axis: Any = 0, end_axis: Any = -1, **metadata: Any) -> Shape:
    """A run of axes made one."""
    if not x:
        axis_of(name, start_axis, 1), axis_of(name, end_axis, 1)
        return (1,)
    first, last = axis_of(name, start_axis, len(x)), axis_of(name, end_axis, len(x))
    if first > last:
        raise ShapeError(f"{name}: start_axis {start_axis} comes after end_axis {end_axis} in shape {x}")
    return (*x[:first], math.prod(x[first : last + 1]), *x[last + 1 :])


def broadcast_to(name: str, x: Shape, *, shape: Any, **metadata: Any) -> Shape:
    """`shape`, which x must broadcast to."""
    wanted = sizes_of(name, shape)
    if any(n < 0 for n in wanted):
        raise ShapeError(f"{name}: shape {wanted}: sizes cannot be negative")
    if len(x) > len(wanted):
        raise ShapeError(f"{name}: cannot broadcast {x} to {wanted}: it has {len(x)} axes, more than {len(wanted)}")
    for position in range(-1, -1 - len(x), -1):
        if x[position] not in (1, wanted[position]):
            raise ShapeError(
                f"{name}: cannot broadcast {x} to {wanted}: along axis {position} size {x[position]} is neither 1 "
                f"nor {wanted[position]}"
            )
    return wanted


def sum_to(name: str, x: Shape, *, shape: Any, **metadata: Any) -> Shape:
    """`shape`, which must broadcast to x."""
    wanted = sizes_of(name, shape)
    try:
        broadcast_to(name, wanted, shape=x)
    except ShapeError:
        raise ShapeError(f"{name}: {wanted} does not broadcast to {x}, so {x} cannot be summed to it") from None
    return wanted


def permutation(name: str, x: Shape, *, axes: Any, **metadata: Any) -> Shape:
    """The sizes in the order of `axes`."""
    places = tuple([axis_of(name, axis, len(x)) for axis in sizes_of(name, axes, "axes is")])
    if sorted(places) != list(range(len(x))):
        raise ShapeError(f"{name}: axes {axes!r} must name each of the {len(x)} axes of shape {x} once")
    return tuple(x[a] for a in places)


def swapaxes(name: str, x: Shape, *, axis1: Any = -1, axis2: Any = -2, **metadata: Any) -> Shape:
    """Two sizes swapped."""
    i, j = axis_of(name, axis1, len(x)), axis_of(name, axis2, len(x))
    out = list(x)
    out[i], out[j] = x[j], x[i]
    return tuple(out)


def matrix_transpose(name: str, x: Shape, **metadata: Any) -> Shape:
    """The last two sizes swapped."""
    *batch, rows, columns = matrices(name, x)
    return (*batch, columns, rows)


def moveaxis(name: str, x: Shape, *, source: Any, destination: Any, **metadata: Any) -> Shape:
    """The sizes in their new order."""
    sources = axes_of(name, sizes_of(name, source, "source is"), len(x))
    places = axes_of(name, sizes_of(name, destination, "destination is"), len(x))
    if len(sources) != len(places):
        raise ShapeError(f"{name}: {len(sources)} source axes for {len(places)} destinations; they must be as many")
    order = [a for a in range(len(x)) if a not in sources]
    for place, a in sorted(zip(places, sources)):
        order.insert(place, a)
    return tuple(x[a] for a in order)


def expand_dims(name: str, x: Shape, *, axis: Any = 0, **metadata: Any) -> Shape:
    """New sizes of 1 at `axis` of the result."""
    count = len(axis) if isinstance(axis, (tuple, list)) else 1
    ndim = len(x) + count
    try:
        places = axes_of(name, axis, ndim)
    except AxisError:
        raise AxisError(
            f"{name}: axis {axis} is out of range for a result of {ndim} dimensions; valid are {-ndim} to {ndim - 1}"
        ) from None
    sizes = iter(x)
    return tuple(1 if a in places else next(sizes) for a in range(ndim))


def squeeze(name: str, x: Shape, *, axis: Any = None, **metadata: Any) -> Shape:
    """Sizes of 1 taken away."""
    places = [a for a, n in enumerate(x) if n == 1] if axis is None else axes_of(name, axis, len(x))
    for a in places:
        if x[a] != 1:
            raise ShapeError(f"{name}: axis {a} of shape {x} has size {x[a]}; only axes of size 1 can go")
    return tuple(n for a, n in enumerate(x) if a not in places)


def flip(name: str, x: Shape, *, axis: Any = None, **metadata: Any) -> Shape:
    """Unchanged."""
    axes_of(name, axis, len(x))
    return x


def roll(name: str, x: Shape, *, shift: Any, axis: Any = None, **metadata: Any) -> Shape:
    """Unchanged."""
    shifts = sizes_of(name, shift, "shift is")
    for a in () if axis is None else sizes_of(name, axis, "axis is"):
        axis_of(name, a, len(x))
    if axis is not None and len(shifts) not in (1, len(sizes_of(name, axis))) and len(sizes_of(name, axis)) != 1:
        raise ShapeError(f"{name}: {len(shifts)} shifts for {len(sizes_of(name, axis))} axes")
    return x


def concat(name: str, *shapes: Shape, axis: Any = 0, **metadata: Any) -> Shape:
    """Sizes added up along `axis`, equal along the others."""
    if axis is None:
        return (sum(math.prod(s) for s in shapes),)
    first = shapes[0]
    place = axis_of("concat", axis, len(first))
    for i, shape in enumerate(shapes):
        if len(shape) != len(first):
            raise ShapeError(f"concat: array {i} has shape {shape}, array 0 {first}: the numbers of axes differ")
        for a, (n, m) in enumerate(zip(first, shape)):
            if a != place and n != m:
                raise ShapeError(
                    f"concat: array {i} has shape {shape}, array 0 {first}: along axis {a} the sizes {m} and {n} "
                    f"differ; only axis {place} may"
                )
    return (*first[:place], sum(s[place] for s in shapes), *first[place + 1 :])


def stack(name: str, *shapes: Shape, axis: Any = 0, **metadata: Any) -> Shape:
    """A new axis as long as there are arrays."""
    first = shapes[0]
    for i, shape in enumerate(shapes):
        if shape != first:
            raise ShapeError(f"stack: array {i} has shape {shape}, array 0 {first}; all must be equal")
    expand_dims("stack", first, axis=axis)
    place = axis_of("stack", axis, len(first) + 1)
    return (*first[:place], len(shapes), *first[place:])


def narrow(name: str, x: Shape, *, axis: Any, start: Any, length: Any, **metadata: Any) -> Shape:
    """`length` elements along `axis`."""
    place = axis_of(name, axis, len(x))
    if not 0 <= start <= start + length <= x[place]:
        raise ShapeError(
            f"{name}: elements {start} to {start + length} do not lie within axis {axis} of shape {x}, size {x[place]}"
        )
    return (*x[:place], length, *x[place + 1 :])
