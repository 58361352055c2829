"""Pointwise kernels over CuPy's functions, for the dtypes and layouts that no generated kernel takes.

CuPy decides for itself what a Python number beside an array becomes, and divides floats as CUDA does; here both are
as in NumPy.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...numpy_cpu.pointwise import is_small_whole
from ..lazy_cupy import Lazy, cp
from .common import as_array, choose, is_floating

if TYPE_CHECKING:
    from collections.abc import Callable

special_functions = Lazy("cupyx.scipy.special")


SMALL: dict[int, Any] = {1: np.float16, 2: np.float32}  # the floats that hold integers of so many bytes


# -- operands -----------------------------------------------------------------------------------------------------


def operands(*values: Any) -> list[Any]:
    """Arrays as they are, and Python numbers in the dtype that NumPy would make of them beside these arrays."""
    dtypes = [x.dtype for x in values if hasattr(x, "dtype")]
    if len(dtypes) == len(values):
        return list(values)
    if not dtypes:
        first, *rest = values
        return operands(as_array(first), *rest)
    common = result_type(dtypes, [x for x in values if not hasattr(x, "dtype")])
    return [x if hasattr(x, "dtype") else common.type(x) for x in values]


def result_type(dtypes: list[Any], numbers: list[Any]) -> Any:
    """What arrays of these dtypes are computed as beside these numbers. bfloat16 beside a number stays."""
    common = np.result_type(*dtypes)
    return common if common.kind == "V" else np.result_type(common, *numbers)


def unary(name: str) -> Callable[..., Any]:
    """CuPy's function of one array."""
    return lambda x: getattr(cp, name)(as_array(x))


def binary(name: str) -> Callable[..., Any]:
    """CuPy's function of two arrays."""
    return lambda a, b: getattr(cp, name)(*operands(a, b))


def inexact(name: str) -> Callable[..., Any]:
    """CuPy's function of two arrays whose result is a float; so a Python integer may be larger than the array's."""

    def call(a: Any, b: Any) -> Any:
        try:
            a, b = operands(a, b)
        except OverflowError:
            (dtype,) = [x.dtype for x in (a, b) if hasattr(x, "dtype")]
            kind = SMALL.get(dtype.itemsize, np.float64) if name != "divide" else np.float64
            a, b = [x if hasattr(x, "dtype") else kind(x) for x in (a, b)]
        return getattr(cp, name)(a, b)

    return call


def logical(name: str) -> Callable[..., Any]:
    """CuPy's function of the truth of two arrays."""
    return lambda a, b: getattr(cp, name)(*operands(*[bool(x) if type(x) is int else x for x in (a, b)]))


def comparison(name: str) -> Callable[..., Any]:
    """CuPy's comparison; an integer that the other's dtype does not hold is as good as an infinite one."""

    def call(a: Any, b: Any) -> Any:
        try:
            a, b = operands(a, b)
        except OverflowError:
            a, b = [x if hasattr(x, "dtype") else np.float64(math.copysign(math.inf, x)) for x in (a, b)]
        return getattr(cp, name)(a, b)

    return call


# -- powers -------------------------------------------------------------------------------------------------------


def power(a: Any, b: Any) -> Any:
    """a ** b; a Python number for the exponent may be had for less. Raises ValueError for integers below 0."""
    if (type(b) is int or type(b) is float) and hasattr(a, "dtype"):
        return power_by_scalar(a, b)
    a, b = operands(a, b)
    if a.dtype.kind in "biu" and b.dtype.kind == "i" and bool((as_array(b) < 0).any()):
        raise ValueError("Integers to negative integer powers are not allowed.")
    return cp.power(a, b)


def power_by_scalar(x: Any, exponent: float) -> Any:
    """x ** exponent; small whole exponents as products."""
    if not is_floating(x.dtype):
        base, power = operands(x, exponent)
        if type(exponent) is int and exponent < 0:
            raise ValueError("Integers to negative integer powers are not allowed.")
        return cp.power(base, power)
    if exponent == 0.5:
        return cp.sqrt(x)
    if not is_small_whole(exponent):
        return cp.power(*operands(x, exponent))
    if exponent == 0:
        return cp.ones(x.shape, x.dtype)
    product = repeated(x, abs(int(exponent)))
    return product if exponent > 0 else cp.reciprocal(product)


def repeated(x: Any, count: int) -> Any:
    """x ** count by squaring."""
    if count == 1:
        return cp.positive(x)
    half = cp.square(repeated(x, count // 2))
    return half * x if count % 2 else half


def reciprocal(x: Any) -> Any:
    """1 / x, which of integers is a float."""
    x = as_array(x)
    return cp.true_divide(1, x) if x.dtype.kind in "iub" else cp.reciprocal(x)


def rsqrt(x: Any) -> Any:
    """1 / sqrt(x)."""
    return cp.reciprocal(cp.sqrt(as_array(x)))


# -- division with a rest -----------------------------------------------------------------------------------------


def remainder(a: Any, b: Any) -> Any:
    """a modulo b, with the sign of b; CuPy's is off by the rounding of a / b."""
    a, b = operands(a, b)
    if not is_floating(np.result_type(a.dtype, b.dtype)):
        return cp.remainder(a, b)
    rest = cp.fmod(a, b)
    moved = choose((rest < 0) != (b < 0), rest + b, rest)
    return choose(rest == 0, cp.copysign(rest, b), moved)


def floor_divide(a: Any, b: Any) -> Any:
    """The whole number of times that b goes into a, as Python counts it."""
    a, b = operands(a, b)
    common = np.result_type(a.dtype, b.dtype)
    if not is_floating(common):
        return cp.floor_divide(a, b)
    rest, quotient = cp.fmod(a, b), cp.divide(a, b)
    one = common.type(1)
    exact = (a - rest) / b
    exact = choose((rest != 0) & ((rest < 0) != (b < 0)), exact - one, exact)
    whole = cp.floor(exact)
    whole = choose(exact - whole > 0.5, whole + one, whole)
    whole = choose(exact == 0, cp.copysign(common.type(0), quotient), whole)
    return choose(as_array(b == 0), quotient, whole)


# -- choosing and rounding ----------------------------------------------------------------------------------------


def sign(x: Any) -> Any:
    """-1, 0 or 1; of truth values, of which CuPy makes int8, there is none."""
    x = as_array(x)
    if x.dtype == np.bool_:
        raise TypeError("sign: truth values have none")
    return cp.sign(x)


def relu(x: Any) -> Any:
    """max(x, 0); NaN stays."""
    return cp.maximum(*operands(x, 0))


def where(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, else b."""
    condition = as_array(condition)
    a, b = operands(a, b)
    return choose(condition if condition.dtype == np.bool_ else condition != 0, a, b)


def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """x between bounds; where they cross, max wins."""
    if min is not None:
        x = cp.maximum(*operands(x, min))
    return x if max is None else cp.minimum(*operands(x, max))


def round_half_even(x: Any) -> Any:
    """The nearest whole number, of two the even one."""
    x = as_array(x)
    return cp.rint(x) if is_floating(x.dtype) else x.copy()


# -- exponentials and special functions ---------------------------------------------------------------------------


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)): where exp overflows, the result is 0 all the same."""
    x = as_array(x)
    if not is_floating(x.dtype):
        x = x.astype(np.float64)
    return cp.reciprocal(cp.exp(-x) + x.dtype.type(1))


def special(name: str) -> Callable[..., Any]:
    """CuPy's special function of that name, in the dtype of the array; integers become float64."""

    def kernel(x: Any) -> Any:
        x = as_array(x)
        if is_floating(x.dtype):
            wide = np.dtype(np.float32) if x.dtype.itemsize == 2 else x.dtype
            return getattr(special_functions, name)(x.astype(wide, copy=False)).astype(x.dtype, copy=False)
        return getattr(special_functions, name)(x.astype(np.float64))

    return kernel


# -- bits ---------------------------------------------------------------------------------------------------------


def shift(name: str) -> Callable[..., Any]:
    """A shift; one by as many bits as there are, or more, or below 0, leaves nothing but the sign."""

    def call(a: Any, b: Any) -> Any:
        a, b = operands(a, b)
        common = np.result_type(a.dtype, b.dtype)
        if common == np.bool_:
            common = np.dtype(np.int8)
        if common.kind not in "iu":
            raise TypeError(f"{name} takes integers, got {a.dtype} and {b.dtype}")
        a, b = as_array(a).astype(common, copy=False), as_array(b).astype(common, copy=False)
        bits = 8 * common.itemsize
        far = b >= common.type(bits) if common.kind == "u" else (b >= common.type(bits)) | (b < common.type(0))
        near = getattr(cp, name)(a, choose(far, common.type(0), b))
        nothing = common.type(0)
        if name == "right_shift" and common.kind == "i":
            return choose(far, choose(a < nothing, common.type(-1), nothing), near)
        return choose(far, nothing, near)

    return call


# -- the table ----------------------------------------------------------------------------------------------------


# fmt: off
def astype(x: Any, dtype: Any) -> Any:
    """The elements in another dtype; half precision makes infinities of large numbers as a matter of course."""
    if dtype.itemsize != 2:
        return as_array(x).astype(dtype)
    with np.errstate(over="ignore"):
        return as_array(x).astype(dtype)


SAME_NAME = [
    "negative", "positive", "sign", "square", "sqrt", "floor", "ceil", "trunc", "exp", "exp2", "expm1",
    "log", "log2", "log10", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh", "isnan", "isinf", "isfinite",
    "logical_not",
]
OF_TWO = [
    "add", "subtract", "multiply", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor",
]
# fmt: on
COMPARISONS = ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]
OTHER_NAME = {
    "abs": "absolute",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
    "bitwise_invert": "invert",
}

KERNELS: dict[str, Callable[..., Any]] = {
    **{name: unary(name) for name in SAME_NAME},
    "sign": sign,
    **{name: unary(cupys) for name, cupys in OTHER_NAME.items()},
    **{name: binary(name) for name in OF_TWO},
    **{name: inexact(name) for name in ("divide", "copysign", "hypot", "logaddexp")},
    **{name: logical(name) for name in ("logical_and", "logical_or", "logical_xor")},
    **{name: comparison(name) for name in COMPARISONS},
    "at_least": binary("maximum"),
    "at_most": binary("minimum"),
    "atan2": inexact("arctan2"),
    "reciprocal": reciprocal,
    "rsqrt": rsqrt,
    "pow": power,
    "power_by_scalar": power_by_scalar,
    "round": round_half_even,
    "remainder": remainder,
    "floor_divide": floor_divide,
    "clip": clip,
    "where": where,
    "relu": relu,
    "astype": astype,
    "sigmoid": sigmoid,
    "erf": special("erf"),
    "erfc": special("erfc"),
    "erfinv": special("erfinv"),
    "lgamma": special("gammaln"),
    "bitwise_left_shift": shift("left_shift"),
    "bitwise_right_shift": shift("right_shift"),
}
