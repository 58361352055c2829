"""NumPy's universal functions on Tensors, and their methods `reduce`, `accumulate`, `outer` and `at`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.interpreter import k
from ...core.tensor_class import Tensor
from ...errors import GradengineError, TraceError
from ...shapes.dtypes import check_dtype, get_default_dtype, is_floating
from .on_values import on_values
from .registry import OutsideError, only, store, tensor, tensors

if TYPE_CHECKING:
    from collections.abc import Callable


def of_floats(op: Callable[..., Any]) -> Callable[..., Any]:
    """The op for floats alone: NumPy means something else by it for integers."""

    def call(*inputs: Any) -> Any:
        only(all([is_floating(x.dtype) for x in tensors(*inputs)]))
        return op(*inputs)

    return call


def as_floats(op: Callable[..., Any]) -> Callable[..., Any]:
    """The op, for which integers become floats first."""

    def call(x: Any) -> Any:
        x = tensor(x)
        return op(x if is_floating(x.dtype) else x.to(get_default_dtype()))

    return call


def logaddexp2(a: Any, b: Any) -> Any:
    """log2(2**a + 2**b), where one of the two is a floating-point Tensor."""
    only(any([isinstance(x, Tensor) and is_floating(x.dtype) for x in (a, b)]))
    return k.logaddexp2(a, b)


def power(a: Any, b: Any) -> Any:
    """Powers of numbers; what those of bools are, NumPy says."""
    only(tensor(a).dtype.kind != "b")
    return k.pow(a, b)


def division(a: Any, b: Any) -> tuple[Any, Any]:
    """Quotient and remainder."""
    return k.floor_divide(a, b), k.remainder(a, b)


def matvec(a: Any, v: Any) -> Any:
    """Matrices times vectors, over the last axes."""
    a, v = tensors(a, v)
    return k.squeeze(k.matmul(a, k.expand_dims(v, axis=-1)), axis=-1)


def vecmat(v: Any, a: Any) -> Any:
    """Vectors times matrices, over the last axes."""
    v, a = tensors(v, a)
    return k.squeeze(k.matmul(k.expand_dims(v, axis=-2), a), axis=-2)


UFUNCS: dict[Any, Callable[..., Any]] = {
    np.abs: k.abs, np.add: k.add, np.arccos: k.acos, np.arccosh: k.acosh, np.arcsin: k.asin,
    np.arcsinh: k.asinh, np.arctan: k.atan, np.arctan2: k.atan2, np.arctanh: k.atanh,
    np.bitwise_and: k.bitwise_and, np.bitwise_or: k.bitwise_or, np.bitwise_xor: k.bitwise_xor,
    np.ceil: k.ceil, np.conjugate: k.positive, np.copysign: k.copysign, np.cos: k.cos, np.cosh: k.cosh,
    np.deg2rad: as_floats(k.deg2rad), np.degrees: as_floats(k.rad2deg), np.divide: k.divide, np.divmod: division,
    np.equal: k.equal, np.exp: k.exp, np.exp2: k.exp2, np.expm1: k.expm1, np.fabs: as_floats(k.abs),
    np.floor: k.floor, np.floor_divide: k.floor_divide, np.fmax: of_floats(k.fmax),
    np.fmin: of_floats(k.fmin), np.greater: k.greater, np.greater_equal: k.greater_equal,
    np.hypot: k.hypot, np.invert: k.bitwise_invert, np.isfinite: k.isfinite, np.isinf: k.isinf,
    np.isnan: k.isnan, np.left_shift: k.bitwise_left_shift, np.less: k.less, np.less_equal: k.less_equal,
    np.log: k.log, np.log10: k.log10, np.log1p: k.log1p, np.log2: k.log2, np.logaddexp: k.logaddexp,
    np.logaddexp2: logaddexp2, np.logical_and: k.logical_and, np.logical_not: k.logical_not,
    np.logical_or: k.logical_or, np.logical_xor: k.logical_xor, np.matmul: k.matmul,
    np.maximum: k.maximum, np.minimum: k.minimum, np.multiply: k.multiply, np.negative: k.negative,
    np.not_equal: k.not_equal, np.positive: k.positive, np.power: power, np.rad2deg: as_floats(k.rad2deg),
    np.radians: as_floats(k.deg2rad), np.reciprocal: of_floats(k.reciprocal), np.remainder: k.remainder,
    np.right_shift: k.bitwise_right_shift, np.rint: as_floats(k.round), np.sign: k.sign, np.sin: k.sin,
    np.sinh: k.sinh, np.sqrt: k.sqrt, np.square: k.square, np.subtract: k.subtract, np.tan: k.tan,
    np.tanh: k.tanh, np.trunc: k.trunc, np.vecdot: k.vecdot,
}  # fmt: skip
for newer, function in (("matvec", matvec), ("vecmat", vecmat)):  # since NumPy 2.2
    if hasattr(np, newer):
        UFUNCS[getattr(np, newer)] = function

# Which of NumPy's functions a ufunc's `reduce` and `accumulate` are.
REDUCING = {np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min}
REDUCING |= {np.logical_and: np.all, np.logical_or: np.any}
ACCUMULATING = {np.add: np.cumsum, np.multiply: np.cumprod}
PREDICATES = {np.logical_and, np.logical_or}


def run(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A ufunc, or one of its methods, on arguments among which there are Tensors."""
    if method == "__call__" and not kwargs:
        op = UFUNCS.get(ufunc)
        if op is not None and ufunc.nin == len(inputs):
            try:
                return op(*inputs)
            except OutsideError:
                return on_values(ufunc, inputs, kwargs, in_graph=True)
            except TraceError:
                raise
            except GradengineError as error:
                return on_values(ufunc, inputs, kwargs, error, in_graph=True)
    name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
    earlier: GradengineError | None = None
    how = METHODS.get(method)
    if how is not None:
        try:
            return how(ufunc, *inputs, **kwargs)
        except OutsideError:
            pass
        except TraceError:
            raise
        except GradengineError as error:
            earlier = error
    if "out" in kwargs and len(kwargs["out"]) == 1 and method != "__call__":
        kwargs = {**kwargs, "out": kwargs["out"][0]}
    writes = method == "at"
    return on_values(getattr(ufunc, method), inputs, kwargs, earlier, UFUNCS.get(ufunc) is not None, name, writes)


def called(
    ufunc: Any, *inputs: Any, out: Any = (None,), where: Any = True, dtype: Any = None, casting: str = "same_kind",
    **kwargs: Any,
) -> Any:  # fmt: skip
    """A call with arguments of ufuncs: `out=` a Tensor, `where=` together with it, and a floating `dtype=`."""
    op = UFUNCS.get(ufunc)
    only(op is not None and ufunc.nin == len(inputs) and ufunc.nout == 1 and not kwargs)
    (place,) = out
    only((place is None and where is True) or isinstance(place, Tensor))
    if dtype is not None:
        wanted = check_dtype(dtype, "dtype")
        inputs = tuple(tensors(*inputs))
        only(is_floating(wanted) and ufunc.nout == 1 and all([np.can_cast(x.dtype, wanted, casting) for x in inputs]))  # type: ignore[arg-type]
        inputs = tuple([x.to(wanted) for x in inputs])
    result = op(*inputs)  # type: ignore[misc]
    if place is None:
        only(dtype is None or result.dtype == wanted)
        return result
    return store(place, k.broadcast_to(tensor(result), shape=place.shape), casting, where)


def reduced(ufunc: Any, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, **kwargs: Any) -> Any:
    """`reduce`, as the function of NumPy that it is."""
    from .tables import ADAPTERS

    function = REDUCING.get(ufunc)
    only(function is not None and (dtype is None or function in (np.sum, np.prod)))
    array = tensor(array)
    only(array.ndim > 0 and (ufunc not in PREDICATES or "initial" not in kwargs))
    if type(out) is tuple:
        (out,) = out
    given = {**kwargs, **({"dtype": dtype} if dtype is not None else {}), **({"out": out} if out is not None else {})}
    return ADAPTERS[function](array, axis=axis, **given)


def accumulated(ufunc: Any, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    """`accumulate`, as the function of NumPy that it is."""
    from .tables import ADAPTERS

    function = ACCUMULATING.get(ufunc)
    only(function is not None and axis is not None)
    if type(out) is tuple:
        (out,) = out
    return ADAPTERS[function](array, axis=axis, dtype=dtype, out=out)


def outer(ufunc: Any, a: Any, b: Any, **kwargs: Any) -> Any:
    """`outer`: the ufunc of each element of `a` with each of `b`."""
    op = UFUNCS.get(ufunc)
    only(op is not None and not kwargs and ufunc.signature is None)
    a, b = tensors(a, b)
    return op(k.reshape(a, shape=a.shape + (1,) * b.ndim), b)  # type: ignore[misc]


METHODS: dict[str, Callable[..., Any]] = {
    "__call__": called,
    "reduce": reduced,
    "accumulate": accumulated,
    "outer": outer,
}
