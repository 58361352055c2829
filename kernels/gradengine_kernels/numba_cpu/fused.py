"""Fused kernels for pointwise functions: `pointwise` wraps the NumPy way, and takes over when arrays are large.

May import expr, render and, when the first large array comes, runtime.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import expr, render

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# Arrays with fewer elements go the NumPy way.
SMALL = 1 << 14

F32, F64, BOOL = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.bool_)
ndarray = np.ndarray
FULL, ROW, COLUMN = render.FULL, render.ROW, render.COLUMN


class Fused:
    """The kernels of one pointwise function, made when they are first needed, by dtype and layout of the operands."""

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        fallback: Callable[..., Any],
        bodies: Mapping[str, Callable[..., Any]] | None,
    ) -> None:
        self.name, self.function, self.fallback, self.bodies = name, function, fallback, bodies
        self.plans: dict[Any, Plan | None] = {}

    def __call__(self, arrays: Sequence[Any], params: Mapping[str, Any], out: Sequence[Any] | None = None) -> Any:
        """Run the kernel that fits the operands, or the fallback where none does."""
        shape: tuple[int, ...] = ()
        size = 0
        dtype = None
        for x in arrays:
            if type(x) is ndarray:
                if x.size > size:
                    shape, size = x.shape, x.size
                if x.dtype is not BOOL:
                    dtype = x.dtype
        if size < SMALL or (dtype is not F32 and dtype is not F64):
            return self.fallback(*arrays, **params)
        key: list[Any] = [dtype is F32]
        buffers = []
        scalars = []
        columns = 0
        for x in arrays:
            if type(x) is ndarray:
                if x.shape == shape and (x.dtype is dtype or x.dtype is BOOL) and x.flags.c_contiguous:
                    buffers.append(x)
                    key.append(1 if x.dtype is dtype else 2)
                    continue
                code, x, length = self.classify(x, shape, dtype)
                if code is None or (length and columns and length != columns):
                    return self.fallback(*arrays, **params)
                columns = columns or length
                key.append(code)
                if code == 0:
                    scalars.append(x)
                else:
                    buffers.append(x)
            elif type(x) is float or type(x) is int or (isinstance(x, np.floating) and x.dtype is dtype):
                key.append(0)
                scalars.append(float(x))
            else:
                return self.fallback(*arrays, **params)
        for name, value in params.items():
            if isinstance(value, float):
                key.append(name)
                scalars.append(value)
            else:
                key.append((name, value, type(value)))
        alias: list[int] = []
        if out is not None:
            alias_or_none = self.aliases(out, buffers, shape, dtype)
            if alias_or_none is None:
                return self.fallback(*arrays, **params)
            alias = alias_or_none
            key += ["out", *alias]
        try:
            plan = self.plans[k] if (k := tuple(key)) in self.plans else self.make(k, arrays, params, alias)
        except TypeError:  # a parameter that cannot be part of a key
            return self.fallback(*arrays, **params)
        if plan is None:
            return self.fallback(*arrays, **params)
        return plan.run(buffers, scalars, shape, size, dtype, columns, out)

    @staticmethod
    def classify(x: Any, shape: tuple[int, ...], dtype: Any) -> tuple[int | None, Any, int]:
        """How an array that is smaller than the output stretches over it: code, operand, length of a row."""
        if x.dtype is not dtype and x.dtype is not BOOL:
            return None, x, 0
        mask = x.dtype is BOOL
        if x.ndim > len(shape) or not x.flags.c_contiguous or x.shape == shape:
            return None, x, 0
        if x.size == 1:
            return (None, x, 0) if mask else (0, float(x.item()), 0)
        own = x.shape
        while own[0] == 1:
            own = own[1:]
        if own == shape[len(shape) - len(own) :]:
            return 4 if mask else 3, x, x.size
        own = x.shape
        if len(own) != len(shape):
            return None, x, 0
        n = len(own)
        while own[n - 1] == 1:
            n -= 1
        if own[:n] == shape[:n]:
            length = 1
            for extent in shape[n:]:
                length *= extent
            return 6 if mask else 5, x, length
        return None, x, 0

    @staticmethod
    def aliases(out: Sequence[Any], buffers: Sequence[Any], shape: tuple[int, ...], dtype: Any) -> list[int] | None:
        """Which buffer each output array is (-1 for none); None when they overlap or do not fit."""
        found = []
        for target in out:
            if type(target) is not ndarray or target.shape != shape or target.dtype is not dtype:
                return None
            if not target.flags.c_contiguous or not target.flags.writeable:
                return None
            place = -1
            for i, x in enumerate(buffers):
                if x is target:
                    place = i
                elif np.may_share_memory(x, target):
                    return None
            found.append(place)
        used = [i for i in found if i >= 0]
        if len(set(used)) != len(used) or len({id(t) for t in out}) != len(out):
            return None
        return found

    def make(self, key: tuple[Any, ...], arrays: Sequence[Any], params: Mapping[str, Any], alias: Any) -> Plan | None:
        """Generate and compile the kernel for a key; None, remembered, when there is none."""
        with _lock:
            if key not in self.plans:
                self.plans[key] = self.build(key, len(arrays), params, alias)
            return self.plans[key]

    def build(self, key: tuple[Any, ...], arity: int, params: Mapping[str, Any], alias: Sequence[int]) -> Plan | None:
        real = "float32" if key[0] else "float64"
        codes = key[1 : 1 + arity]
        names = input_names(arity)
        floats = [name for name, value in params.items() if isinstance(value, float)]
        operands = []
        place = 0
        for name, code in zip(names, codes):
            if code == 0:
                operands.append(render.Operand(name, render.SCALAR))
                continue
            layout = {1: FULL, 2: FULL, 3: ROW, 4: ROW, 5: COLUMN, 6: COLUMN}[code]
            operands.append(render.Operand(name, render.NUMBER if code % 2 else render.MASK, layout, place))
            place += 1
        scalars = [o.name for o in operands if o.kind == render.SCALAR] + floats
        rows = any(o.layout != FULL for o in operands)
        try:
            outputs = expr.trace(self.function, names, params, self.bodies, render.NUMBA.known)
            if any(e.op in ("input", "param", "constant") for e in outputs):
                return None  # nothing to compute: the NumPy way makes no copy
            if not any(e.op == "input" and covers(e.args[0], operands) for e in expr.walk(outputs)):
                return None  # the output is smaller than the largest operand
            if alias and len(outputs) != len(alias):
                return None
            targets = []
            fresh = place
            for i in range(len(outputs)):
                if alias and alias[i] >= 0:
                    targets.append(alias[i])
                else:
                    targets.append(fresh)
                    fresh += 1
            source, kinds = render.numba_loop(outputs, operands, targets, scalars, real, fresh if rows else None)
            if alias and render.MASK in kinds:
                return None
        except expr.NotPointwiseError:
            return None
        from . import runtime

        return Plan(runtime.Kernel(self.name, source, real), kinds, targets, place)


def covers(name: str, operands: Sequence[render.Operand]) -> bool:
    """True for an input that has the shape of the output."""
    return any(o.name == name and o.kind != render.SCALAR and o.layout == FULL for o in operands)


def input_names(arity: int) -> list[str]:
    return [f"x{i}" for i in range(arity)]


class Plan:
    """A kernel and what it wants to be given."""

    __slots__ = ("inputs", "kernel", "kinds", "single", "targets")

    def __init__(self, kernel: Any, kinds: list[str], targets: list[int], inputs: int) -> None:
        self.kernel, self.kinds, self.targets, self.inputs = kernel, kinds, targets, inputs
        self.single = len(kinds) == 1

    def run(
        self, buffers: list[Any], scalars: list[float], shape: Any, size: int, dtype: Any, columns: int, out: Any
    ) -> Any:
        if out is None:
            out = [np.empty(shape, dtype if kind == render.NUMBER else BOOL) for kind in self.kinds]
        table = buffers + [x for x, place in zip(out, self.targets) if place >= self.inputs]
        self.kernel(table, (columns,) if columns else (), scalars, size)
        return out[0] if self.single else tuple(out)


_lock = threading.RLock()


def pointwise(
    name: str,
    function: Callable[..., Any],
    arity: int | None,
    fallback: Callable[..., Any],
    bodies: Mapping[str, Callable[..., Any]] | None = None,
) -> Callable[..., Any]:
    """`fallback`, but large contiguous arrays go through one fused loop made of `function(k, *inputs, **params)`.

    The result takes `(*arrays, out=None, **params)`; `arity` (None for any number) makes the call of a small array
    cheaper. `out`, a sequence of arrays of the output's shape, offers memory that the outputs may be written to, be
    it that of inputs; what is returned counts, not what stands there.
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
