"""Shape rules, one per kind of op: what shape comes out, or a ShapeError that says what does not fit.

A rule is `rule(name, *shapes, **metadata) -> shape`. Rules run when a kernel has failed, to explain it, and when a
graph is traced; the path that works pays nothing. Imports errors only.
"""

from __future__ import annotations

import math
import operator
from typing import Any

from .errors import ArgumentError, DTypeError, IndexRangeError, ShapeError

Shape = tuple[int, ...]


def broadcast(name: str, *shapes: Shape, **metadata: Any) -> Shape:
    """The common shape of operands, as NumPy broadcasts."""
    out: list[int] = []
    for position in range(-1, -1 - max((len(s) for s in shapes), default=0), -1):
        sizes = [s[position] for s in shapes if len(s) >= -position]
        wanted = {n for n in sizes if n != 1}
        if len(wanted) > 1:
            given = " and ".join(map(str, shapes))
            raise ShapeError(
                f"{name}: shapes {given} do not broadcast: along axis {position} the sizes are "
                f"{' and '.join(map(str, sizes))}, and they must be equal or 1"
            )
        out.append(wanted.pop() if wanted else 1)
    return tuple(reversed(out))


def axis_of(name: str, axis: Any, ndim: int) -> int:
    """A non-negative axis of an array with `ndim` axes."""
    try:
        value = operator.index(axis)
    except TypeError:
        raise DTypeError(f"{name}: axis must be an int, got {axis!r}") from None
    if not -ndim <= value < ndim:
        valid = f"valid are {-ndim} to {ndim - 1}" if ndim else "a 0-d array has none"
        raise ShapeError(f"{name}: axis {value} is out of range for {ndim} dimensions; {valid}")
    return value % ndim


def axes_of(name: str, axis: Any, ndim: int) -> Shape:
    """The axes that `axis` (None, an int or a tuple) stands for, non-negative and in the order given."""
    if axis is None:
        return tuple(range(ndim))
    if not isinstance(axis, (tuple, list)):
        return (axis_of(name, axis, ndim),)
    axes = tuple(axis_of(name, a, ndim) for a in axis)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{name}: axis {tuple(axis)} names an axis twice")
    return axes


def reduction(name: str, x: Shape, *, axis: Any = None, keepdims: bool = False, **metadata: Any) -> Shape:
    """The shape after reducing along `axis`."""
    if isinstance(axis, list):
        raise DTypeError(f"{name}: axis must be an int, a tuple of ints or None, got the list {axis}; use a tuple")
    axes = () if is_only_axis(x, axis) else axes_of(name, axis, len(x))
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(x))
    return tuple(n for i, n in enumerate(x) if i not in axes)


def same(name: str, x: Shape, *rest: Shape, axis: Any = None, **metadata: Any) -> Shape:
    """Unchanged, for ops that work along one axis."""
    if axis is not None:
        axes_of(name, axis, len(x))
    return x


def matmul(name: str, a: Shape, b: Shape, **metadata: Any) -> Shape:
    """The shape of a product of (stacks of) matrices; 1-d operands are vectors."""
    if not a or not b:
        raise ShapeError(f"{name}: {a} @ {b}: operands need at least one dimension; use * to multiply by a scalar")
    left = a if len(a) > 1 else (1, *a)
    right = b if len(b) > 1 else (*b, 1)
    if left[-1] != right[-2]:
        raise ShapeError(f"{name}: {a} @ {b}: inner sizes {left[-1]} and {right[-2]} differ")
    batch = broadcast(name, left[:-2], right[:-2])
    return batch + ((left[-2],) if len(a) > 1 else ()) + ((right[-1],) if len(b) > 1 else ())


def vecdot(name: str, a: Shape, b: Shape, *, axis: int = -1, **metadata: Any) -> Shape:
    """The shape of dot products along `axis`, which is missing from the result."""
    i, j = axis_of(name, axis, len(a)), axis_of(name, axis, len(b))
    if a[i] != b[j]:
        raise ShapeError(f"{name}: {a} and {b} along axis {axis}: sizes {a[i]} and {b[j]} differ")
    return broadcast(name, a[:i] + a[i + 1 :], b[:j] + b[j + 1 :])


def linear(name: str, x: Shape, weight: Shape, *bias: Shape) -> Shape:
    """The shape of `x @ weight.T + bias`."""
    if len(weight) != 2:
        raise ShapeError(f"linear: weight must have shape (out, in), got {weight}")
    if not x or x[-1] != weight[1]:
        given = f"sizes {x[-1]} and {weight[1]} differ" if x else "the input is 0-d"
        raise ShapeError(f"linear: input {x} with weight {weight}: {given}; the input must be (..., {weight[1]})")
    if bias and bias[0] != weight[:1]:
        raise ShapeError(f"linear: bias {bias[0]} with weight {weight}: the bias must be {weight[:1]}")
    return x[:-1] + weight[:1]


def tensordot_axes(a: Shape, b: Shape, axes: Any) -> tuple[Shape, Shape]:
    """The paired axes that `tensordot` sums over."""
    if isinstance(axes, (tuple, list)):
        if len(axes) != 2:
            raise ShapeError(f"tensordot: axes must be a number or two sequences of axes, got {axes!r}")
        left, right = (axes_of("tensordot", list_or_one, len(s)) for list_or_one, s in zip(axes, (a, b)))
    else:
        n = operator.index(axes)
        if not 0 <= n <= min(len(a), len(b)):
            raise ShapeError(f"tensordot: {a} and {b} have no {n} axes to sum over")
        left, right = tuple(range(len(a) - n, len(a))), tuple(range(n))
    if len(left) != len(right):
        raise ShapeError(f"tensordot: axes {axes!r} pair {len(left)} axes with {len(right)}")
    for i, j in zip(left, right):
        if a[i] != b[j]:
            raise ShapeError(f"tensordot: {a} and {b}: axis {i} of size {a[i]} meets axis {j} of size {b[j]}")
    return left, right


def getitem(name: str, x: Shape, *at: Shape, index: Any, **metadata: Any) -> Shape:
    """The shape of `x[index]`; -1 where it depends on how many elements of a mask are true."""
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
    target = getitem("setitem", x, *at, index=index)
    kept = v[max(len(v) - len(target), 0) :] if set(v[: max(len(v) - len(target), 0)]) <= {1} else v
    pairs = list(zip(reversed(kept), reversed(target)))
    if len(kept) > len(target) or any(n not in (1, m) and m != -1 for n, m in pairs):
        raise ShapeError(f"setitem: a value of shape {v} does not broadcast to x[index], whose shape is {target}")
    return x


def take(name: str, x: Shape, indices: Shape, *, axis: Any = None) -> Shape:
    """The shape of slices taken along `axis`."""
    if axis is None:
        return indices
    i = axis_of(name, axis, len(x))
    return x[:i] + indices + x[i + 1 :]


def take_along_axis(name: str, x: Shape, indices: Shape, *, axis: Any = -1) -> Shape:
    """The shape of elements taken along `axis`, one index each."""
    i = axis_of(name, axis, len(x))
    if len(indices) != len(x):
        raise ShapeError(f"{name}: {x} and indices {indices} must have the same number of dimensions")
    rest = broadcast(name, x[:i] + (1,) + x[i + 1 :], indices[:i] + (1,) + indices[i + 1 :])
    return rest[:i] + indices[i : i + 1] + rest[i + 1 :]


# -- reductions -------------------------------------------------------------------------------------------------


def is_only_axis(x: Shape, axis: Any) -> bool:
    """True for the axis that NumPy and PyTorch grant a 0-d array: 0 or -1."""
    return x == () and isinstance(axis, int) and axis in (0, -1)


def accumulation(name: str, x: Shape, *, axis: Any = None, **metadata: Any) -> Shape:
    """Unchanged along `axis`; flat for None."""
    if axis is None:
        return (math.prod(x),)
    axis_of(name, axis, len(x))
    return x


def extremum(name: str, x: Shape, *, axis: Any = None, keepdims: bool = False, **metadata: Any) -> Shape:
    """A reduction that needs at least one element."""
    out = reduction(name, x, axis=axis, keepdims=keepdims)
    for a in () if x == () else axes_of(name, axis, len(x)):
        if x[a] == 0:
            raise ShapeError(f"{name}: axis {a} of shape {x} has no elements, so there is no {name} along it")
    return out


def single_axis_extremum(name: str, x: Shape, *, axis: Any = None, keepdims: bool = False, **metadata: Any) -> Shape:
    """The same along one axis, or all of them."""
    if isinstance(axis, (tuple, list)):
        raise DTypeError(f"{name}: axis must be one int or None, got {axis!r}")
    return extremum(name, x, axis=axis, keepdims=keepdims)


def vector_norm(
    name: str, x: Shape, *, ord: Any = 2, axis: Any = None, keepdims: bool = False, **metadata: Any
) -> Shape:
    """A reduction, whose order must be a number."""
    if not isinstance(ord, (int, float)):
        raise DTypeError(f"{name}: ord must be a number, inf or -inf, got {ord!r}")
    rule = extremum if ord < 0 else reduction
    return rule(name, x, axis=axis, keepdims=keepdims)


def sort(name: str, x: Shape, *, axis: Any = -1, **metadata: Any) -> Shape:
    """Unchanged; `axis` must be one that x has."""
    axis_of(name, axis, len(x))
    return x


def topk(name: str, x: Shape, *, count: Any, axis: Any = -1, **metadata: Any) -> Shape:
    """`count` elements along `axis`."""
    place = axis_of("topk", axis, len(x))
    if not isinstance(count, int) or not 0 <= count <= x[place]:
        raise ShapeError(f"topk: k={count!r} along axis {axis} of shape {x}; k must be an int from 0 to {x[place]}")
    return (*x[:place], count, *x[place + 1 :])


def searchsorted(name: str, x: Shape, values: Shape, *, side: Any = "left", **metadata: Any) -> Shape:
    """A place for each value."""
    if side not in ("left", "right"):
        raise ArgumentError(f"{name}: side must be 'left' or 'right', got {side!r}")
    if len(x) != 1:
        raise ShapeError(f"{name}: searches a 1-d array, got shape {x}")
    return values


# -- shapes -----------------------------------------------------------------------------------------------------


def sizes_of(name: str, shape: Any, what: str = "a shape is") -> Shape:
    """`shape`, an int or a sequence of ints, as a tuple."""
    try:
        return (operator.index(shape),)
    except TypeError:
        pass
    try:
        return tuple([operator.index(n) for n in shape])
    except TypeError:
        raise DTypeError(f"{name}: {what} an int or a tuple of ints, got {shape!r}") from None


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
    places = axes_of(name, sizes_of(name, axes, "axes is"), len(x))
    if len(places) != len(x):
        raise ShapeError(f"{name}: axes {axes!r} must name each of the {len(x)} axes of shape {x} once")
    return tuple(x[a] for a in places)


def swapaxes(name: str, x: Shape, *, axis1: Any = -1, axis2: Any = -2, **metadata: Any) -> Shape:
    """Two sizes swapped."""
    i, j = axis_of(name, axis1, len(x)), axis_of(name, axis2, len(x))
    out = list(x)
    out[i], out[j] = x[j], x[i]
    return tuple(out)


def matrices(name: str, x: Shape, **metadata: Any) -> Shape:
    """Unchanged; x must have at least two axes."""
    if len(x) < 2:
        raise ShapeError(f"{name}: works on matrices, so it needs at least 2 dimensions, got shape {x}")
    return x


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
    except ShapeError as error:
        if "out of range" not in str(error):
            raise
        raise ShapeError(
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


PAD_MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


def pad_widths(name: str, pad_width: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    """(before, after) for each axis, from any form that NumPy takes: an int, a pair, or a pair per axis."""
    try:
        widths = [sizes_of(name, w, "a width is") for w in pad_width]
    except TypeError:
        widths = [sizes_of(name, pad_width, "pad_width is")]
    except DTypeError:
        widths = []
    if len(widths) == 2 and all(len(w) == 1 for w in widths) and not isinstance(pad_width[0], (tuple, list)):
        widths = [widths[0] + widths[1]]
    pairs = [w * 2 if len(w) == 1 else w for w in widths]
    if len(pairs) == 1:
        pairs = pairs * ndim
    if len(pairs) != ndim or any(len(w) != 2 for w in pairs):
        raise ShapeError(
            f"{name}: pad_width {pad_width!r} does not fit {ndim} dimensions; give an int, a pair (before, after), or "
            "a pair for each axis"
        )
    if any(n < 0 for w in pairs for n in w):
        raise ShapeError(f"{name}: pad_width {pad_width!r}: widths cannot be negative")
    return tuple((before, after) for before, after in pairs)


def pad(name: str, x: Shape, *, pad_width: Any, mode: Any = "constant", **metadata: Any) -> Shape:
    """Each size with what is put before and after."""
    if mode not in PAD_MODES:
        raise ArgumentError(f"{name}: mode {mode!r} is none; choose one of {', '.join(PAD_MODES)}")
    widths = pad_widths(name, pad_width, len(x))
    for a, (n, w) in enumerate(zip(x, widths)):
        if n == 0 and any(w) and mode != "constant":
            raise ShapeError(f"{name}: axis {a} of shape {x} is empty, and mode {mode!r} has nothing to pad it with")
    return tuple(n + before + after for n, (before, after) in zip(x, widths))


def unpad(name: str, x: Shape, *, pad_width: Any, **metadata: Any) -> Shape:
    """Each size without what was put before and after."""
    return tuple(n - before - after for n, (before, after) in zip(x, pad_widths(name, pad_width, len(x))))


def tile(name: str, x: Shape, *, repetitions: Any, **metadata: Any) -> Shape:
    """Each size times its repetitions."""
    times = sizes_of(name, repetitions, "repetitions is")
    if any(n < 0 for n in times):
        raise ShapeError(f"{name}: repetitions {times} cannot be negative")
    ndim = max(len(x), len(times))
    padded = (1,) * (ndim - len(x)) + x
    return tuple(n * m for n, m in zip(padded, (1,) * (ndim - len(times)) + times))


def repeat(name: str, x: Shape, *, repeats: Any, axis: Any = None, **metadata: Any) -> Shape:
    """One size times `repeats`, or the sum of as many numbers."""
    if axis is None:
        x, axis = (math.prod(x),), 0
    place = axis_of(name, axis, len(x))
    times = sizes_of(name, repeats, "repeats is")
    if any(n < 0 for n in times):
        raise ShapeError(f"{name}: repeats {times} cannot be negative")
    if len(times) not in (1, x[place]):
        raise ShapeError(f"{name}: {len(times)} repeats for the {x[place]} elements along axis {axis} of shape {x}")
    length = x[place] * times[0] if len(times) == 1 else sum(times)
    return (*x[:place], length, *x[place + 1 :])


def unrepeat(name: str, x: Shape, *, repeats: Any, axis: Any, length: int, **metadata: Any) -> Shape:
    """The size that was repeated."""
    return (*x[:axis], length, *x[axis + 1 :])


def diagonal(name: str, x: Shape, *, offset: Any = 0, axis1: Any = -2, axis2: Any = -1, **metadata: Any) -> Shape:
    """Two axes replaced by their diagonal, which comes last."""
    matrices(name, x)
    i, j = axis_of(name, axis1, len(x)), axis_of(name, axis2, len(x))
    if i == j:
        raise ShapeError(f"{name}: axis1 and axis2 must be two axes, both are {i}")
    shift = operator.index(offset)
    length = min(x[i] + min(shift, 0), x[j] - max(shift, 0))
    return (*[n for a, n in enumerate(x) if a not in (i, j)], max(length, 0))


def triangle(name: str, x: Shape, *, k: Any = 0, **metadata: Any) -> Shape:
    """Unchanged; x must be matrices."""
    operator.index(k)
    return matrices(name, x)


def fill_diagonal(name: str, x: Shape, *, shape: Shape, **metadata: Any) -> Shape:
    """The shape that the diagonal was taken from."""
    return shape


def diag(name: str, x: Shape, *, offset: Any = 0, **metadata: Any) -> Shape:
    """A vector's matrix, or a matrix' diagonal."""
    if len(x) == 1:
        n = x[0] + abs(operator.index(offset))
        return (n, n)
    if len(x) == 2:
        return diagonal(name, x, offset=offset)
    raise ShapeError(f"{name}: takes a vector or a matrix, got shape {x}")
