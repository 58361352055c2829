"""What stands for arrays and for the backend during a trace: symbols, and a backend that notes what is done to them."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..backend import devices
from ..backend.backend import Backend
from ..core.operators import BINARY, COMPARISONS, UNARY
from ..core.tensor_class import Op, Tensor
from ..shapes.dtypes import is_half
from .graph import Var
from .trace_errors import value_error

if TYPE_CHECKING:
    from collections.abc import Callable


Trace: TypeAlias = Any  # tracing.Trace, which imports this file
ARRAY = Tensor.__dict__["array"]


class Traced:
    """What stands for an array during a trace: the variable, and the value that it has in this run."""

    __slots__ = ("trace", "value", "var")

    def __init__(self, trace: Trace, var: Var, value: Any) -> None:
        self.trace, self.var, self.value = trace, var, value

    shape = property(lambda self: self.var.shape)
    dtype = property(lambda self: self.var.dtype)
    size = property(lambda self: self.var.size)
    nbytes = property(lambda self: self.var.nbytes)
    ndim = property(lambda self: len(self.var.shape))
    weak = property(lambda self: self.var.weak)  # a Python number, which takes the dtype of the arrays that it meets
    k = property(lambda self: self.trace.backend)
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<traced {self.var!r}>"

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs and ufunc.__name__ in devices.ALL_OPS:
            return getattr(self.trace.backend, ufunc.__name__)(*inputs)
        return self.trace.call(getattr(ufunc, method), inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return self.trace.call(function, args, kwargs)

    def __getitem__(self, index: Any) -> Any:
        return self.trace.backend.getitem(self, index=index if type(index) is tuple else (index,))

    def __bool__(self) -> bool:
        return bool(self.trace.backend.to_numpy(self))

    def __float__(self) -> float:
        return float(self.trace.backend.to_numpy(self))


def weak(value: Any) -> bool:
    """True for the symbol of a Python number."""
    return type(value) is Traced and value.var.weak


def attach_operators(symbol: Any) -> None:
    """Give a class of symbols Python's operators: each is the op of the symbol's interpreter `k`."""
    for dunder, name in (BINARY | COMPARISONS).items():
        setattr(symbol, f"__{dunder}__", lambda a, b, name=name: getattr(a.k, name)(a, b))
        if dunder in BINARY:
            setattr(symbol, f"__r{dunder}__", lambda a, b, name=name: getattr(a.k, name)(b, a))
    for dunder, name in UNARY.items():
        setattr(symbol, f"__{dunder}__", lambda a, name=name: getattr(a.k, name)(a))


attach_operators(Traced)


class Table(dict):
    """op -> what records it, made when it is first asked for."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.trace = trace

    def __missing__(self, op: Op) -> Callable[..., Any]:
        trace = self.trace
        if op.kind == "composite":
            made = lambda *args, **params: op.body(trace.backend, *args, **params)  # type: ignore[misc]
        else:
            made = lambda *args, **params: trace.emit(op, args, params)
        self[op] = made
        return made


class Made(dict[Any, Any]):
    """A dict whose values are made when they are first asked for."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self.make = make

    def __missing__(self, key: Any) -> Any:
        made = self[key] = self.make(key)
        return made


class WidenedRules:
    """An op's gradient rules where there may be half precision: computed in float32, as eager rules are."""

    def __init__(self, backend: TracingBackend, rules: Any) -> None:
        self.backend, self.rules = backend, rules

    def __getitem__(self, i: int) -> Callable[..., Any] | None:
        rule, wide = self.rules[i], self.backend.wide
        if rule is None:
            return None
        return lambda k, g, y, /, *inputs, **params: rule(k, wide(g), wide(y), *map(wide, inputs), **params)


def widened_update(backend: TracingBackend, function: Callable[..., Any]) -> Callable[..., Any]:
    """An optimizer's update of arrays in half precision: computed in float32, each target rounded to its own dtype."""

    def call(*arrays: Any, **scalars: Any) -> Any:
        results = function(backend, *map(backend.wide, arrays), **scalars)
        results = results if type(results) is tuple else (results,)
        return tuple([backend.cast(y, x.dtype) for x, y in zip(arrays, results)])

    return call


class TracingBackend:
    """The backend of every Tensor in a trace: its table records equations, and computes with the real one."""

    small = float("inf")

    def __init__(self, trace: Trace, real: Backend) -> None:
        self.trace, self.real = trace, real
        self.name, self.device = real.name, real.device
        self.table = Table(trace)
        self.rules: dict[Any, Any] = {}
        self.low = real.low  # whether there may be half precision, in which rules and updates round once
        self.rules_in_halves = Made(lambda op: WidenedRules(self, op.rules))
        self.updates_in_halves = Made(lambda name: widened_update(self, devices.UPDATES[name]))
        self.quiet, self.asarray, self.exportable = real.quiet, real.asarray, real.exportable
        self.arrays, self.receive, self.typed = real.arrays, real.receive, real.typed
        self.plus = operator.add

    def __getattr__(self, name: str) -> Any:
        op = devices.ALL_OPS.get(name)
        if op is None:
            raise AttributeError(name)
        return self.table[op]

    def new_ones(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Ones, which are constants of the program: as symbols, so that what is done to them has an op's meaning."""
        return self.trace.constant(self.real.new_ones(shape, dtype))

    def cast(self, array: Any, dtype: Any) -> Any:
        """The array in another dtype."""
        if type(array) is not Traced:
            return self.real.cast(array, dtype)
        if array.var.weak and np.dtype(dtype).kind in "iub":  # which may not hold it: that is an error, or it wraps
            self.trace.need_number()
        return array if array.dtype == dtype and not array.var.weak else self.astype(array, dtype=np.dtype(dtype))

    def wide(self, array: Any) -> Any:
        """An operand in float32 if it is in half precision."""
        dtype = getattr(array, "dtype", None)
        return self.cast(array, np.dtype(np.float32)) if dtype is not None and is_half(dtype) else array

    def to_numpy(self, array: Any) -> Any:
        """A value that the host asks for: there is one only if it is the same at every call."""
        if type(array) is not Traced:
            return self.real.to_numpy(array)
        self.trace.check_runs()
        if array.var in self.trace.constants:
            return self.real.to_numpy(array.value)
        self.trace.failure = value_error()
        raise self.trace.failure

    def duplicate(self, array: Any) -> Any:
        """A copy; symbols are values, so there is nothing to copy, but a Python number becomes an array."""
        if type(array) is not Traced:
            return self.real.duplicate(array)
        return self.trace.firm(array) if array.var.weak else array

    def part(self, array: Any, index: Any) -> Any:
        """The view of an array at ints, slices, `...` and None."""
        return self.getitem(array, index=index)

    def in_order(self, array: Any) -> bool:
        """Whether the elements of what a symbol stands for follow one another in memory."""
        return self.real.in_order(array.value if type(array) is Traced else array)

    def is_view(self, value: Any, array: Any) -> bool:
        """Whether a symbol stands for a view of another."""
        return bool(self.real.is_view(*[x.value if type(x) is Traced else x for x in (value, array)]))

    def writable(self, array: Any) -> bool:
        """False: every change makes a new symbol."""
        return False


def traced_array(value: Any) -> Traced | None:
    """The tracer that stands for a Tensor's array; None for a concrete Tensor and for any other object."""
    if not isinstance(value, Tensor):
        return None
    try:
        array = ARRAY.__get__(value)
    except AttributeError:
        return None
    return array if type(array) is Traced else None
