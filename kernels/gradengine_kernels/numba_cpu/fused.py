"""Fused kernels for pointwise functions: `pointwise` wraps the NumPy way, and takes over when arrays are large."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernel_cache import Plans, lock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# Arrays with fewer elements go the NumPy way. A fused loop of a few operations wins from about here; an operation
# that is one NumPy function wins nothing before there is work for two threads.
SMALL = 1 << 13
SMALL_FOR_ONE_OPERATION = 1 << 20
MOST_PLANS = 64  # kernels per function; a parameter that never comes twice must not compile for ever

F32, F64, BOOL = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.bool_)
ndarray = np.ndarray
# How an operand is laid out, as it stands in the key of a plan; one more for a mask.
SCALAR, FULL, ROW, COLUMN = 0, 1, 3, 5
SLOW_IN_NUMPY = frozenset(("sigmoid", "erf", "where", "sign", "isinf"))


class Fused(Plans):
    """The kernels of one pointwise function, made when they are first needed, by dtype and layout of the operands."""

    most = MOST_PLANS
    one_operation = False  # found to be so, for operands of one shape

    def __call__(self, arrays: Sequence[Any], params: Mapping[str, Any], out: Sequence[Any] | None = None) -> Any:
        """Run the kernel that fits the operands, or the fallback where none does."""
        x = arrays[0]
        if type(x) is ndarray and not params and out is None:
            shape, dtype = x.shape, x.dtype
            for x in arrays:
                if type(x) is not ndarray or x.shape != shape or x.dtype is not dtype:
                    break
                flags = x.flags
                if not (flags.c_contiguous and flags.aligned):
                    break
            else:
                size = x.size
                if self.one_operation and size < SMALL_FOR_ONE_OPERATION and SMALL:
                    return self.fallback(*arrays)
                plan = self.alike.get(dtype)
                if plan is not None and size:
                    return plan.run(arrays, (), shape, size, dtype, 0, None)
        return self.run_laid_out(arrays, params, out)

    def run_laid_out(self, arrays: Sequence[Any], params: Mapping[str, Any], out: Sequence[Any] | None) -> Any:
        """The same for operands of any kind."""
        largest = max([x for x in arrays if type(x) is ndarray], key=lambda x: x.size, default=None)
        if largest is None or largest.size < SMALL or not largest.size:
            return self.fallback(*arrays, **params)
        shape = largest.shape
        dtype = next((x.dtype for x in arrays if type(x) is ndarray and x.dtype is not BOOL), None)
        if dtype is not F32 and dtype is not F64:
            return self.fallback(*arrays, **params)
        codes, buffers, scalars, columns = [], [], [], 0
        for x in arrays:
            if type(x) is ndarray:
                code, length = layout(x, shape, dtype)
                if code is None or (length and columns and length != columns):
                    return self.fallback(*arrays, **params)
                columns = columns or length
            elif type(x) is float or type(x) is int or (isinstance(x, np.floating) and x.dtype is dtype):
                code = SCALAR
            else:
                return self.fallback(*arrays, **params)
            codes.append(code)
            if code == SCALAR:
                scalars.append(float(x if type(x) is not ndarray else x.item()))
            else:
                buffers.append(x)
        params = {k: float(v) if isinstance(v, np.floating) else v for k, v in params.items()}
        scalars += [v for v in params.values() if isinstance(v, float)]
        static = [(k, None) if isinstance(v, float) else (k, v, type(v)) for k, v in params.items()]
        places = None if out is None else places_of(out, buffers, shape, dtype)
        if out is not None and places is None:
            return self.fallback(*arrays, **params)
        key = (dtype.char, *codes, *static, None if places is None else tuple(places))
        plan = self.plan(key, (dtype, codes, params, places))
        if plan is None or (largest.size < plan.least and SMALL) or not plan.can_run():
            return self.fallback(*arrays, **params)
        if codes == [FULL] * len(arrays) and not params and out is None:
            self.alike[dtype] = plan
        return plan.run(buffers, scalars, shape, largest.size, dtype, columns, out)

    def build(self, dtype: Any, codes: Sequence[int], params: Mapping[str, Any], places: Any) -> Plan | None:
        """The kernel for operands laid out so. Raises NotPointwiseError where it cannot be written."""
        from .. import expr, render

        layouts = {FULL: render.FULL, ROW: render.ROW, COLUMN: render.COLUMN}
        real, names = dtype.name, [f"x{i}" for i in range(len(codes))]
        operands = []
        for name, code in zip(names, codes):
            if code == SCALAR:
                operands.append(render.Operand(name, render.SCALAR))
            else:
                kind = render.NUMBER if code % 2 else render.MASK
                buffer = sum(o.buffer is not None for o in operands)
                operands.append(render.Operand(name, kind, layouts[code - (kind == render.MASK)], buffer))
        outputs = expr.trace(self.function, names, params, self.bodies, render.NUMBA.known)
        nodes = list(expr.walk(outputs))
        full = {o.name for o in operands if o.buffer is not None and o.layout == render.FULL}
        for e in outputs:
            # What is an input already is not to be copied; what is smaller than the largest operand stays smaller.
            if e.op in ("input", "param", "constant") or not full & {x.args[0] for x in expr.walk([e]) if x.args}:
                return None
        inputs = sum(o.buffer is not None for o in operands)
        fresh = iter(range(inputs, inputs + len(outputs) + 1))
        if places is not None and len(places) != len(outputs):
            return None
        targets = [next(fresh) if place is None else place for place in places or [None] * len(outputs)]
        rows = any(o.layout != render.FULL for o in operands)
        scalars = [o.name for o in operands if o.kind == render.SCALAR]
        scalars += [f"given_{name}" for name, value in params.items() if isinstance(value, float)]
        source, kinds = render.numba_loop(outputs, operands, targets, scalars, real, next(fresh) if rows else None)
        if places is not None and render.MASK in kinds:
            return None
        work = [e.op for e in nodes if e.op not in ("input", "param", "constant")]
        one_operation = len(work) == 1 and work[0] not in SLOW_IN_NUMPY and not rows
        self.one_operation = self.one_operation or one_operation
        plan = Plan(self.name, source, real)
        plan.masks, plan.cost = [kind == render.MASK for kind in kinds], render.cost(outputs, real)
        plan.new = [i for i, place in enumerate(targets) if place >= inputs]
        plan.least = SMALL_FOR_ONE_OPERATION if one_operation else 0
        return plan


def layout(x: Any, shape: tuple[int, ...], dtype: Any) -> tuple[int | None, int]:
    """How an array stretches over the output, and the length of a row if it does so by rows; None if no way fits."""
    if x.dtype is dtype:
        mask = 0
    elif x.dtype is BOOL:
        mask = 1
    else:
        return None, 0
    own = x.shape
    if not x.flags.c_contiguous or not x.flags.aligned or len(own) > len(shape):
        return None, 0
    if own == shape:
        return FULL + mask, 0
    if x.size == 1:
        return (None, 0) if mask else (SCALAR, 0)
    if len(own) == len(shape):
        kept = len(own)
        while own[kept - 1] == 1:
            kept -= 1
        if own[:kept] == shape[:kept]:
            length = 1
            for extent in shape[kept:]:
                length *= extent
            return COLUMN + mask, length
    while own[0] == 1:
        own = own[1:]
    return (ROW + mask, x.size) if own == shape[len(shape) - len(own) :] else (None, 0)


def places_of(out: Sequence[Any], buffers: Sequence[Any], shape: Any, dtype: Any) -> list[int | None] | None:
    """Which input each output array is, if any; None when one does not fit or overlaps with an array in use."""
    found: list[int | None] = []
    for target in out:
        if type(target) is not ndarray or target.shape != shape or target.dtype is not dtype:
            return None
        if not target.flags.carray:  # contiguous, aligned and writeable
            return None
        place = next((i for i, x in enumerate(buffers) if x is target), None)
        others = [x for x in (*buffers, *out) if x is not target]
        if any([np.may_share_memory(x, target) for x in others]):
            return None
        found.append(place)
    return found if len({id(target) for target in out}) == len(found) else None


class Plan:
    """A kernel, compiled when it first runs, and what it wants to be given."""

    __slots__ = ("cost", "kernel", "least", "masks", "name", "new", "real", "source")
    masks: list[bool]  # for each output, whether it is one
    new: list[int]  # the outputs that are not inputs
    cost: float  # nanoseconds for an element
    least: int  # elements below which NumPy is as fast

    def __init__(self, name: str, source: str, real: str) -> None:
        self.name, self.source, self.real = name, source, real
        self.kernel: Any = None

    def can_run(self) -> bool:
        """Whether it has been compiled, or can be."""
        from . import runtime

        return self.kernel is not None or runtime.usable()

    def compile(self) -> None:
        from . import runtime

        with lock:
            self.kernel = self.kernel or runtime.Kernel(self.name, self.source, self.real)

    def run(
        self,
        buffers: Sequence[Any],
        scalars: Sequence[float],
        shape: tuple[int, ...],
        size: int,
        dtype: Any,
        columns: int,
        out: Sequence[Any] | None,
    ) -> Any:
        """The outputs, in new arrays or in those offered."""
        if self.kernel is None:
            self.compile()
        sizes = (columns,) if columns else ()
        if len(self.masks) == 1 and out is None:
            result = np.empty(shape, BOOL if self.masks[0] else dtype)
            self.kernel((*buffers, result), sizes, scalars, size, self.cost)
            return result
        if out is None:
            out = [np.empty(shape, BOOL if mask else dtype) for mask in self.masks]
        self.kernel((*buffers, *[out[i] for i in self.new]), sizes, scalars, size, self.cost)
        return out[0] if len(out) == 1 else tuple(out)


def pointwise(
    name: str,
    function: Callable[..., Any],
    arity: int | None,
    fallback: Callable[..., Any],
    bodies: Mapping[str, Callable[..., Any]] | None = None,
) -> Callable[..., Any]:
    """`fallback`, but large contiguous arrays go through one fused loop made of `function(k, *inputs, **params)`.

    The result takes `(*arrays, **params)`; `arity` makes the call of a small array cheaper. With arity None it takes
    any number of arrays and `out`, a sequence of arrays of the output's shape that offers memory which the outputs
    may be written to, be it that of inputs; what is returned counts, not what stands there. One output comes bare,
    several as a tuple.
    """
    large = Fused(name, function, fallback, bodies)
    wrapper = WRAPPERS.get(arity, any_arity)(large, fallback)
    wrapper.__name__ = wrapper.__qualname__ = name
    wrapper.fused = large
    return wrapper


# On a 4 x 4 array the wrapper is most of what the backend adds, so there is one for each arity: it looks at one size,
# and calls without ** when there is nothing to pass on. A first operand that is a Python number has no size.


def unary(large: Fused, fallback: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(x: Any, **params: Any) -> Any:
        if x.size < SMALL:
            return fallback(x, **params) if params else fallback(x)
        return large((x,), params)

    return wrapper


def binary(large: Fused, fallback: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(a: Any, b: Any, **params: Any) -> Any:
        try:
            if a.size < SMALL:
                return fallback(a, b, **params) if params else fallback(a, b)
        except AttributeError:
            if hasattr(a, "size"):
                raise
        return large((a, b), params)

    return wrapper


def ternary(large: Fused, fallback: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(a: Any, b: Any, c: Any, **params: Any) -> Any:
        try:
            if a.size < SMALL:
                return fallback(a, b, c, **params) if params else fallback(a, b, c)
        except AttributeError:
            if hasattr(a, "size"):
                raise
        return large((a, b, c), params)

    return wrapper


def quaternary(large: Fused, fallback: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(a: Any, b: Any, c: Any, d: Any, **params: Any) -> Any:
        try:
            if a.size < SMALL:
                return fallback(a, b, c, d, **params) if params else fallback(a, b, c, d)
        except AttributeError:
            if hasattr(a, "size"):
                raise
        return large((a, b, c, d), params)

    return wrapper


def any_arity(large: Fused, fallback: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*arrays: Any, out: Sequence[Any] | None = None, **params: Any) -> Any:
        if getattr(arrays[0], "size", SMALL) < SMALL:
            return fallback(*arrays, **params) if params else fallback(*arrays)
        return large(arrays, params, out)

    return wrapper


WRAPPERS: dict[int | None, Any] = {1: unary, 2: binary, 3: ternary, 4: quaternary}
