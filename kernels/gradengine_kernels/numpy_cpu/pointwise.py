"""Pointwise kernels of the "numpy" backend: NumPy's own functions wherever it has them."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST_UNROLLED_POWER = 16  # beyond it, the errors of repeated multiplication outgrow those of np.power
FAST_POWERS = (-1, 0, 0.5, 1, 2)  # which arrays know by themselves
BRANCHY = 8192  # elements from which np.where loses more to mispredicted branches than some more passes cost
INTEGERS: dict[int, Any] = {2: np.dtype(np.int16), 4: np.dtype(np.int32), 8: np.dtype(np.int64)}
HAS_SCIPY = importlib.util.find_spec("scipy") is not None


# -- powers -------------------------------------------------------------------------------------------------------


def power(a: Any, b: Any) -> Any:
    """a ** b; a Python number for the exponent may be had for less."""
    if (type(b) is int or type(b) is float) and hasattr(a, "dtype"):
        return power_by_scalar(a, b)
    return np.power(a, b)


def power_by_scalar(x: Any, exponent: float) -> Any:
    """x ** exponent; small whole exponents as products, which is many times faster than np.power."""
    if x.dtype.kind == "b":
        return np.power(x, exponent)  # x**2 would be int8
    if x.dtype.kind != "f" or exponent in FAST_POWERS or not is_small_whole(exponent):
        return x**exponent
    product = repeated(x, abs(int(exponent)))
    return product if exponent > 0 else np.reciprocal(product)


def is_small_whole(exponent: float) -> bool:
    """True for whole numbers whose powers are worth unrolling."""
    return abs(exponent) <= LARGEST_UNROLLED_POWER and exponent == int(exponent)


def repeated(x: Any, count: int) -> Any:
    """x ** count by squaring."""
    if count == 1:
        return x
    half = np.square(repeated(x, count // 2))
    return half * x if count % 2 else half


def reciprocal(x: Any) -> Any:
    """1 / x, which of integers is a float."""
    return np.true_divide(1, x) if x.dtype.kind in "iub" else np.reciprocal(x)


def rsqrt(x: Any) -> Any:
    """1 / sqrt(x)."""
    return np.reciprocal(np.sqrt(x))


# -- choosing and rounding ----------------------------------------------------------------------------------------


def relu(x: Any) -> Any:
    """max(x, 0); NaN stays."""
    return np.maximum(x, 0)


def where(condition: Any, a: Any, b: Any) -> Any:
    """np.where; for large arrays of floats arithmetic on their bits, which does not branch and knows no NaN."""
    if getattr(condition, "size", 0) > BRANCHY and condition.dtype == np.bool_:
        if is_bits(a, condition):
            if is_zero(b):
                return masked(a, condition)
            if is_bits(b, condition) and a.dtype == b.dtype:
                return selected(a, b, condition)
        elif is_zero(a) and is_bits(b, condition):
            return masked(b, np.logical_not(condition))
    if type(a) is int:
        check_fits(a, b)
    elif type(b) is int:
        check_fits(b, a)
    return np.where(condition, a, b)


def check_fits(number: int, beside: Any) -> None:
    """Raise OverflowError where an array's integer dtype does not hold a Python int, which np.where does not ask."""
    dtype = getattr(beside, "dtype", None)
    if dtype is not None and dtype.kind in "iu":
        dtype.type(number)


def is_zero(x: Any) -> bool:
    """True for the Python number 0 (not for -0.0)."""
    return (type(x) is int and x == 0) or (type(x) is float and x == 0 and math.copysign(1, x) > 0)


def is_bits(x: Any, condition: Any) -> bool:
    """True for an array of floats of the condition's shape, whose bits an integer can hold."""
    return type(x) is np.ndarray and x.dtype.kind == "f" and x.shape == condition.shape and x.itemsize in INTEGERS


def masked(x: Any, condition: Any) -> Any:
    """x where the condition holds, else 0."""
    integers = INTEGERS[x.itemsize]
    out = np.empty(x.shape, x.dtype)
    np.multiply(x.view(integers), condition, out.view(integers))
    return out


def selected(a: Any, b: Any, condition: Any) -> Any:
    """a where the condition holds, else b: where it holds, b is changed in the bits that differ."""
    integers = INTEGERS[a.itemsize]
    out = np.empty(a.shape, a.dtype)
    bits, old = out.view(integers), b.view(integers)
    np.bitwise_xor(a.view(integers), old, bits)
    np.multiply(bits, condition, bits)
    np.bitwise_xor(bits, old, bits)
    return out


def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """np.clip without its Python layers; where the bounds cross, max wins."""
    if min is not None:
        x = np.maximum(x, min)
    return x if max is None else np.minimum(x, max)


def round_half_even(x: Any) -> Any:
    """np.rint, which knows floats only."""
    return np.rint(x) if x.dtype.kind == "f" else x.copy()


# -- exponentials -------------------------------------------------------------------------------------------------


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)): where exp overflows, the result is 0 all the same."""
    if x.dtype.kind != "f":
        x = x + 0.0
    with np.errstate(over="ignore"):
        y = np.exp(-x)
        if y.ndim == 0:
            return 1 / (1 + y)
        np.add(y, 1, y)
        return np.reciprocal(y, y)


# -- special functions --------------------------------------------------------------------------------------------


def special(name: str, element: Callable[[float], float] | None = None) -> Callable[..., Any]:
    """SciPy's function of that name, else `element` for one number after the other, in the dtype of the array."""

    @functools.cache
    def function() -> Any:
        if HAS_SCIPY:
            return getattr(importlib.import_module("scipy.special"), name)
        return one_by_one(element)

    def kernel(x: Any) -> Any:
        y = function()(x)
        return y.astype(x.dtype) if x.dtype.kind == "f" and y.dtype != x.dtype else y

    return kernel


def one_by_one(element: Any) -> Callable[[Any], Any]:
    """A function of one number as a function of arrays."""
    call = np.frompyfunc(element, 1, 1)
    return lambda x: np.asarray(call(x), np.float64)


def log_gamma(x: float) -> float:
    """math.lgamma, infinite where that raises: at the poles, and where it overflows."""
    try:
        return math.lgamma(x)
    except (ValueError, OverflowError):
        return math.inf


# -- the table ----------------------------------------------------------------------------------------------------


def astype(x: Any, dtype: Any) -> Any:
    """The elements in another dtype; half precision makes infinities of large numbers as a matter of course."""
    if dtype.itemsize != 2:
        return np.asarray(x).astype(dtype)
    with np.errstate(over="ignore"):
        return np.asarray(x).astype(dtype)


KERNELS: dict[str, Callable[..., Any]] = {
    # sums and products
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "negative": np.negative,
    "positive": np.positive,
    "abs": np.absolute,
    "sign": np.sign,
    "copysign": np.copysign,
    # powers
    "square": np.square,
    "sqrt": np.sqrt,
    "rsqrt": rsqrt,
    "reciprocal": reciprocal,
    "pow": power,
    "power_by_scalar": power_by_scalar,
    "hypot": np.hypot,
    # rounding
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": round_half_even,
    "remainder": np.remainder,
    "floor_divide": np.floor_divide,
    # choosing
    "maximum": np.maximum,
    "minimum": np.minimum,
    "at_least": np.maximum,
    "at_most": np.minimum,
    "clip": clip,
    "where": where,
    "relu": relu,
    "astype": astype,
    # exponentials and logarithms
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "logaddexp": np.logaddexp,
    "sigmoid": sigmoid,
    # trigonometric and hyperbolic functions
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    # special functions
    "erf": special("erf", math.erf),
    "erfc": special("erfc", math.erfc),
    "lgamma": special("gammaln", log_gamma),
    # comparisons, logic, bits
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "isnan": np.isnan,
    "isinf": np.isinf,
    "isfinite": np.isfinite,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "logical_not": np.logical_not,
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "bitwise_invert": np.bitwise_invert,
    "bitwise_left_shift": np.bitwise_left_shift,
    "bitwise_right_shift": np.bitwise_right_shift,
}

if HAS_SCIPY:  # else the op's own body
    KERNELS["erfinv"] = special("erfinv")
