"""Fused kernels for pointwise functions: `pointwise` makes a kernel of the function's one declaration.

A kernel is made for each kind of operands: their dtypes, and how they are laid out. Arrays that are contiguous are
read 16 bytes at a time; others by strides, which the kernel is given, so that a new shape needs no new kernel.
What no kernel can be made for (integers, say) goes to `fallback`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import expr
from ..kernel_cache import Plans
from ..loop_schedule import Placement
from ..loops import MASK, Access, Compute, Load, Loop, Number, Operand, Store
from . import driver
from .dialect import COMPUTED, OPERATIONS
from .lazy_cupy import cp
from .loop_codegen import MOST_BLOCKS, WIDE, Given, Source
from .loop_kernel import source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MOST_WAYS = 1024  # kinds of calls of a function that are known; where shapes always change, they are forgotten
MOST_PLANS = 256  # kernels of a function; a parameter that never comes twice must not compile for ever
LINE = Access(((1, 0, 1),))
BOOL = np.dtype(np.bool_)


class Plan:
    """A kernel and what it is given: outputs are new arrays, or those offered."""

    __slots__ = ("block", "kernel", "kinds", "per_block", "source")

    def __init__(self, source: Source, kinds: list[bool]) -> None:
        self.source, self.kinds = source, kinds  # of each output, whether it is a mask
        self.kernel = driver.function(source.name, source.code)
        self.per_block, self.block = source.per_block, (source.block,)


class Fused(Plans):
    """The kernels of one pointwise function, made when they are first needed."""

    most = MOST_PLANS

    def __init__(self, *about: Any) -> None:
        super().__init__(*about)
        self.ways: dict[Any, Any] = {}  # a Way, or the fallback in its signature
        self.needless = False  # found to give back an operand or a number, whatever the operands are

    def __call__(self, arrays: Sequence[Any], params: Mapping[str, Any], out: Sequence[Any] | None = None) -> Any:
        """Run the kernel that fits the operands, or the fallback where none does."""
        x = arrays[0]
        if not params and out is None and type(x) is cp.ndarray:
            plan = self.alike.get(x.dtype)
            if plan is not None:
                shape, dtype = x.shape, x.dtype
                for x in arrays:
                    alike = type(x) is cp.ndarray and x.shape == shape and x.dtype is dtype
                    if not alike or not x._c_contiguous or x.data.ptr & 15:
                        break
                else:
                    size = x.size
                    if 0 < size < WIDE:
                        result = cp.ndarray(shape, BOOL if plan.kinds[0] else dtype)
                        plan.kernel((-(-size // plan.per_block),), plan.block, (*arrays, result, size))
                        return result
            elif self.needless:
                return self.fallback(*arrays)
        key = look(arrays, params, out)
        try:
            way = self.ways.get(key)
        except TypeError:  # a parameter that cannot be part of a key
            key = way = None
        if way is not None and (out is None or apart(arrays, out)):
            return way(arrays, params, out)
        return self.laid_out(arrays, params, out, key)

    def without_kernel(self, arrays: Sequence[Any], params: Mapping[str, Any], out: Sequence[Any] | None) -> Any:
        """The way of calls that no kernel serves."""
        return self.fallback(*arrays, **params)

    def remember(self, look: Any, way: Any) -> Any:
        """The way of all calls that look like this one."""
        if look is not None:
            if len(self.ways) >= MOST_WAYS:
                self.ways.clear()
            self.ways[look] = way
        return way

    def laid_out(self, arrays: Sequence[Any], params: Mapping[str, Any], out: Sequence[Any] | None, look: Any) -> Any:
        """The same for operands of any kind; the next call that looks like this one finds its way by that."""
        found = [x for x in arrays if type(x) is cp.ndarray]
        reals = {x.dtype for x in found if x.dtype != BOOL}
        real = next(iter(reals)).name if len(reals) == 1 else ""
        if real not in COMPUTED or any(not is_number(x) for x in arrays if type(x) is not cp.ndarray):
            return self.remember(look, self.without_kernel)(arrays, params, out)
        shape = found[0].shape if len(found) == 1 else np.broadcast_shapes(*[x.shape for x in found])
        size = math.prod(shape)
        params = {k: v.item() if isinstance(v, np.generic) else v for k, v in params.items()}
        if not size:
            return self.remember(look, self.without_kernel)(arrays, params, out)
        if out is not None and not fits(out, found, shape, real):
            return self.fallback(*arrays, **params)
        places = [next((i for i, x in enumerate(arrays) if x is target), None) for target in out or ()]
        sizes, strides = collapsed(shape, found)
        aligned = not any([x.data.ptr & 15 for x in (*found, *(out or ()))])
        layouts = tuple([pattern(s) for s in strides])
        divisor = widest(sizes, strides) if len(sizes) > 1 else 1
        kinds = tuple([x.dtype == BOOL if type(x) is cp.ndarray else None for x in arrays])
        static = tuple([(k, None) if isinstance(v, float) else (k, v, type(v)) for k, v in params.items()])
        wide = size >= WIDE or any([reach(sizes, own) >= WIDE for own in strides])
        key = (real, kinds, layouts, len(sizes), divisor, aligned, wide, static, tuple(places))
        plan = self.plan(key, (key, arrays, params, places, out))
        if plan is None:  # for good, unless there are too many plans
            known = look if self.is_planned(key) else None
            return self.remember(known, self.without_kernel)(arrays, params, out)
        plain = layouts == (("1",),) * len(arrays) and not params and out is None and not any(kinds)
        if plain and aligned and len(plan.kinds) == 1:
            self.alike[found[0].dtype] = plan
        way = self.remember(look, Way(plan, arrays, params, shape, (sizes, strides)))
        return way(arrays, params, out)

    def is_planned(self, key: Any) -> bool:
        """Whether it is known which kernel serves operands of that kind, or that none does."""
        try:
            return key in self.plans
        except TypeError:  # a parameter that cannot be part of a key
            return False

    def build(self, key: Any, arrays: Sequence[Any], params: Mapping[str, Any], places: Any, out: Any) -> Plan | None:
        """The kernel for operands of that kind. Raises NotPointwiseError where it cannot be written."""
        real, masks, layouts, rank, divisor, aligned, wide, _, _ = key
        names = [f"x{i}" for i in range(len(arrays))]
        outputs = expr.trace(self.function, names, params, self.bodies, OPERATIONS)
        if out is None and any(e.op in ("input", "param", "constant") for e in outputs):
            self.needless = not params
            return None  # what is there already is not to be copied
        if out is not None and len(out) != len(outputs):
            return None
        if any(not self.is_whole(e, names, arrays) for e in outputs):
            return None
        sizes = [f"n{d}" for d in range(rank)]
        overs = [f"o{d}" for d in range(rank - 2)]
        values: list[Any] = []
        slots: dict[str, int] = {}
        strides: list[str] = []
        laid = iter(layouts)
        scalars = []
        for i, (name, mask) in enumerate(zip(names, masks)):
            if mask is None:
                scalars.append(name)
                values.append(Number(name, -1))
                continue
            slots[name] = i
            access = access_of(next(laid), i, rank, strides)
            values.append(Load(name, Operand(i, "bool" if mask else real, access)))
        given = [name for name, value in params.items() if isinstance(value, float)]
        scalars += [f"given_{name}" for name in given]
        values += [Number(f"given_{name}", -1) for name in given]
        whole = LINE if rank < 2 else Access(((1, 0, sizes[-1]),), 1)
        stores = []
        kinds = []
        for i, e in enumerate(outputs):
            values.append(Compute(f"y{i}", as_inputs(e)))
            place = places[i] if places else None
            slot = len(arrays) + i if place is None else place
            kind = kind_of(values, f"y{i}")
            kinds.append(kind)
            stores.append(Store(f"y{i}", Operand(slot, "bool" if kind else real, whole)))
        if out is not None and any(kinds):
            return None
        columns: Any = 1 if rank < 2 else sizes[-1]
        loop = Loop(real, columns, values, stores)
        names_given = (*(sizes if rank > 1 else ()), *overs, *strides)
        about = Given(1, names_given, tuple(scalars), 1, divisor, aligned, wide)
        return Plan(source_of(loop, about, self.name), kinds)

    def is_whole(self, e: expr.Expr, names: list[str], arrays: Sequence[Any]) -> bool:
        """Whether an output is as large as all operands together: not all of them need be in it."""
        used = {x.args[0] for x in expr.walk([e]) if x.op == "input"}
        found = [x.shape for name, x in zip(names, arrays) if type(x) is cp.ndarray and name in used]
        whole = np.broadcast_shapes(*[x.shape for x in arrays if type(x) is cp.ndarray])
        return bool(found) and np.broadcast_shapes(*found) == whole


class Way:
    """A kernel, and all that it is given besides arrays and numbers: what calls with operands that look alike share."""

    __slots__ = ("block", "dtypes", "fixed", "floats", "grid", "kernel", "numbers", "shape", "slots")

    def __init__(self, plan: Plan, arrays: Sequence[Any], params: Mapping[str, Any], shape: Any, laid: Any) -> None:
        source, (sizes, strides) = plan.source, laid
        found = [x for x in arrays if type(x) is cp.ndarray]
        self.kernel, self.block, self.slots, self.shape = plan.kernel, source.block, source.slots, shape
        self.dtypes = [BOOL if mask else real_of(found) for mask in plan.kinds]
        rank, size = len(sizes), math.prod(sizes)
        rows = size // sizes[-1] if rank > 1 else size
        self.fixed: list[Any] = [rows]
        if rank > 1:
            self.fixed += sizes
            self.fixed += [math.prod(sizes[d + 1 : -1]) for d in range(rank - 2)]
        self.fixed += [s for own in strides for d, s in enumerate(own) if pattern(own)[d] == "s"]
        self.numbers = [i for i, x in enumerate(arrays) if type(x) is not cp.ndarray]
        self.floats = [k for k, v in params.items() if isinstance(v, float)]
        blocks = -(-size // (source.block * source.width)) if rank > 1 else source.grid(rows, 0)
        self.grid = min(blocks, MOST_BLOCKS)

    def __call__(self, arrays: Sequence[Any], params: Mapping[str, Any], out: Sequence[Any] | None) -> Any:
        """The outputs, in new arrays or in those offered."""
        results = [cp.ndarray(self.shape, dtype) for dtype in self.dtypes] if out is None else list(out)
        table = [*arrays, *results]
        args = [table[slot] for slot in self.slots]
        args += self.fixed
        args += [float(arrays[i]) for i in self.numbers]
        args += [float(params[k]) for k in self.floats]
        driver.launch(self.kernel, self.grid, self.block, args)
        return results[0] if len(results) == 1 else tuple(results)


def look(arrays: Sequence[Any], params: Mapping[str, Any], out: Sequence[Any] | None) -> Any:
    """What calls share that the same kernel serves in the same way; None where there are operands of another kind."""
    found: list[Any] = []
    for x in (*arrays, *(out or ())):
        kind = type(x)
        if kind is cp.ndarray:
            found.append((x.shape, x.dtype, None if x._c_contiguous else x.strides, x.data.ptr & 15))
        elif kind is float or kind is int:
            found.append(kind)
        else:
            return None
    for name, value in params.items():
        found.append(name if type(value) is float else (name, type(value), value))
    if out is not None:
        found += [next((i for i, x in enumerate(arrays) if x is target), -1) for target in out]
    return tuple(found)


def apart(arrays: Sequence[Any], out: Sequence[Any]) -> bool:
    """Whether outputs share no memory with others, but for operands that they are themselves; all are contiguous."""
    spans = [(x, x.data.ptr, x.data.ptr + x.nbytes) for x in (*arrays, *out) if type(x) is cp.ndarray]
    if not all([x._c_contiguous for x, _, _ in spans]) or len({*map(id, out)}) < len(out):
        return False
    for target in out:
        start, stop = target.data.ptr, target.data.ptr + target.nbytes
        if any([x is not target and first < stop and start < last for x, first, last in spans]):
            return False
    return True


def real_of(found: list[Any]) -> Any:
    """The floating-point dtype among arrays."""
    return next(x.dtype for x in found if x.dtype != BOOL)


def is_number(x: Any) -> bool:
    """Whether an operand is a Python number that a kernel can be given."""
    return type(x) is float or type(x) is int


def fits(out: Sequence[Any], found: list[Any], shape: tuple[int, ...], real: str) -> bool:
    """Whether results can be written to the arrays offered."""
    for target in out:
        if type(target) is not cp.ndarray or target.shape != shape or target.dtype.name != real:
            return False
        if not target._c_contiguous:
            return False
        if any(x is not target and overlap(x, target) for x in (*found, *out)):
            return False
        if any(x is target and x.shape != shape for x in found):
            return False
    return len({id(target) for target in out}) == len(out)


def overlap(a: Any, b: Any) -> bool:
    """Whether two arrays may share memory."""
    return bool(cp.may_share_memory(a, b))


def collapsed(shape: tuple[int, ...], arrays: list[Any]) -> tuple[list[int], list[list[int]]]:
    """The axes that are left when those are merged that all arrays go through alike, and the strides of each array.

    Strides are of elements, and 0 along what an array is stretched over.
    """
    strides = []
    for x in arrays:
        own = [0 if n == 1 else s // x.itemsize for n, s in zip(x.shape, x.strides)]
        strides.append([0] * (len(shape) - len(own)) + own)
    sizes: list[int] = []
    kept: list[list[int]] = [[] for _ in arrays]
    for d, n in enumerate(shape):
        if n == 1:
            continue
        if sizes and all(k[-1] == s[d] * n for k, s in zip(kept, strides)):
            sizes[-1] *= n
            for k, s in zip(kept, strides):
                k[-1] = s[d]
        else:
            sizes.append(n)
            for k, s in zip(kept, strides):
                k.append(s[d])
    return (sizes, kept) if sizes else ([1], [[0] for _ in arrays])


def reach(sizes: list[int], strides: list[int]) -> int:
    """How far from its first element an operand is read."""
    return sum([(n - 1) * abs(s) for n, s in zip(sizes, strides)])


def pattern(strides: list[int]) -> tuple[str, ...]:
    """What a kernel is made for: along each axis "" (stretched), "1" (the last, in order) or "s" (by a stride)."""
    last = len(strides) - 1
    return tuple(["" if s == 0 else "1" if s == 1 and d == last else "s" for d, s in enumerate(strides)])


def access_of(layout: tuple[str, ...], i: int, rank: int, strides: list[str]) -> Access:
    """Where the elements of operand i are; names of its strides are added to `strides`."""
    terms: list[tuple[Any, Any, Any]] = []
    column: Any = 0
    for d, kind in enumerate(layout):
        if not kind:
            continue
        step: Any = 1
        if kind == "s":
            step = f"s{i}_{d}"
            strides.append(step)
        if rank > 1 and d == rank - 1:
            column = step
        else:
            over: Any = 1 if d >= rank - 2 else f"o{d}"
            terms.append((over, 0 if d == 0 else f"n{d}", step))
    return Access(tuple(terms), column)


def widest(sizes: list[int], strides: list[list[int]]) -> int:
    """What divides the columns, and all steps from row to row of arrays that are read in order, up to 16."""
    found = math.gcd(sizes[-1], 16)
    for own in strides:
        if own[-1] == 1:
            for s in own[:-1]:
                found = math.gcd(found, s)
    return found


def as_inputs(e: expr.Expr) -> expr.Expr:
    """An expression whose parameters are inputs called given_NAME."""
    done: dict[int, expr.Expr] = {}
    for x in expr.walk([e]):
        if x.op == "param":
            done[id(x)] = expr.Expr("input", f"given_{x.args[0]}")
        elif x.op in ("input", "constant"):
            done[id(x)] = x
        else:
            done[id(x)] = expr.Expr(x.op, *[done[id(y)] for y in x.args])
    return done[id(e)]


def kind_of(values: list[Any], name: str) -> bool:
    """Whether a value is a truth value."""
    return Placement(Loop("", 1, values)).kinds[name] == MASK


def pointwise(
    name: str,
    function: Callable[..., Any],
    arity: int | None,
    fallback: Callable[..., Any],
    bodies: Mapping[str, Callable[..., Any]] | None = None,
) -> Callable[..., Any]:
    """A kernel made of `function(k, *inputs, **params)`, or `fallback` where none can be made for the operands.

    The result takes `(*arrays, **params)`. With arity None it takes any number of arrays and `out`, a sequence of
    arrays of the output's shape that offers memory which the outputs may be written to, be it that of inputs; what is
    returned counts, not what stands there. One output comes bare, several as a tuple.
    """
    fused = Fused(name, function, fallback, bodies)
    if arity is None:

        def wrapper(*arrays: Any, out: Sequence[Any] | None = None, **params: Any) -> Any:
            return fused(arrays, params, out)

    else:

        def wrapper(*arrays: Any, **params: Any) -> Any:  # type: ignore[misc]
            return fused(arrays, params)

    wrapper.__name__ = wrapper.__qualname__ = name
    wrapper.fused = fused  # type: ignore[attr-defined]
    return wrapper
