"""Pointwise kernels of the "numpy" backend: NumPy's own functions wherever it has them. May import NumPy and SciPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST_UNROLLED_POWER = 16  # beyond it, errors of repeated multiplication outgrow those of np.power
BRANCHY = 4096  # elements from which np.where loses more to mispredicted branches than a multiplication costs
INTEGERS = {2: np.int16, 4: np.int32, 8: np.int64}


def relu(x: Any) -> Any:
    """max(x, 0); NaN stays."""
    return np.maximum(x, 0)


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


def where(condition: Any, a: Any, b: Any) -> Any:
    """np.where; masking a large array with 0 is a product of integers, which has no branches and keeps NaN out."""
    if type(b) in (int, float) and b == 0 and type(a) is np.ndarray and a.size > BRANCHY and a.dtype.kind == "f":
        if condition.shape == a.shape and condition.dtype == np.bool_:
            integers = INTEGERS[a.dtype.itemsize]
            out = np.empty(a.shape, a.dtype)
            np.multiply(a.view(integers), condition, out.view(integers))
            return out
    return np.where(condition, a, b)


def power_by_scalar(x: Any, exponent: float) -> Any:
    """x ** exponent for one number; small whole exponents as products, which is many times faster than np.power."""
    whole = int(exponent) if exponent == exponent // 1 and abs(exponent) <= LARGEST_UNROLLED_POWER else 0
    if abs(whole) < 3 or x.dtype.kind != "f":
        return x**exponent
    product = repeated(x, abs(whole))
    return product if whole > 0 else np.reciprocal(product)


def repeated(x: Any, count: int) -> Any:
    """x ** count by squaring."""
    if count == 1:
        return x
    half = np.square(repeated(x, count // 2))
    return half * x if count % 2 else half


def clip(x: Any, min: Any, max: Any) -> Any:
    """np.clip without its Python layers; where the bounds cross, `max` wins."""
    if min is not None:
        x = np.maximum(x, min)
    return x if max is None else np.minimum(x, max)


KERNELS: dict[str, Callable[..., Any]] = {
    # arithmetic
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "negative": np.negative,
    "positive": np.positive,
    "abs": np.absolute,
    "sign": np.sign,
    "square": np.square,
    "sqrt": np.sqrt,
    "reciprocal": np.reciprocal,
    "pow": np.power,
    "power_by_scalar": power_by_scalar,
    # exponentials
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "relu": relu,
    # choice
    "maximum": np.maximum,
    "minimum": np.minimum,
    "clip": clip,
    "where": where,
    # comparisons
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "logical_not": np.logical_not,
    "astype": lambda x, dtype: np.asarray(x).astype(dtype),
}
