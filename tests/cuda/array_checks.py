"""Kernels on CuPy's arrays beside NumPy's: `agree(name, *operands)` runs both and compares what they give.

Values, dtypes, shapes, memory order of the operands, and errors. Used by test_arrays and test_array_positions.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gradengine.backend.kernel_table import ALL_OPS
from gradengine_kernels import numpy_cpu
from gradengine_kernels.cupy_cuda import arrays
from gradengine_kernels.cupy_cuda.lazy_cupy import cp
from gradengine_kernels.numpy_cpu.low_precision import widened

if TYPE_CHECKING:
    from collections.abc import Callable

BFLOAT = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
HALF, SINGLE, DOUBLE = np.dtype("float16"), np.dtype("float32"), np.dtype("float64")
FLOATS = (SINGLE, DOUBLE, HALF, BFLOAT)
INTEGERS = tuple([np.dtype(c) for c in "bBhHiIlL"])
TOLERANCE = {"float64": 1e-12, "float32": 2e-6, "float16": 2e-3, "bfloat16": 1.6e-2}
NAN, INF = math.nan, math.inf

Generator = np.random.Generator


def any_precision(name: str) -> bool:
    return name in ALL_OPS and ALL_OPS[name].any_precision


REFERENCE = {name: widened(run, any_precision(name)) for name, run in numpy_cpu.KERNELS.items()}
KERNELS = arrays.kernels(any_precision)


def to_device(x: Any) -> Any:
    return laid_out_like(x) if isinstance(x, np.ndarray) else x


def laid_out_like(x: np.ndarray) -> Any:
    """A copy with the same strides: views of what the memory holds, as the operand is one."""
    base = x
    while isinstance(base.base, np.ndarray):
        base = base.base
    if base is x or x.size == 0 or not x.strides:
        return cp.asarray(x)
    held = cp.asarray(np.ascontiguousarray(base)).reshape(-1)
    start = (x.ctypes.data - base.ctypes.data) // x.itemsize
    return cp.ndarray(x.shape, x.dtype, held[start:].data, x.strides)


def outcome(run: Callable[..., Any], operands: list[Any], params: dict[str, Any]) -> Any:
    try:
        with np.errstate(all="ignore"):
            return run(*operands, **params)
    except (IndexError, ValueError, TypeError, OverflowError) as error:
        return error


def same_error(name: str, expected: Exception, got: Any) -> None:
    assert isinstance(got, Exception), f"{name} gives {got!r}, NumPy raises {expected!r}"
    kind = next(each for each in type(expected).__mro__ if each.__module__ in ("builtins", "numpy.exceptions"))
    if kind is np.exceptions.AxisError:  # CuPy has plain ValueErrors too; users see what the op's shape rule raises
        kind = ValueError
    assert isinstance(got, kind), repr(got)


def agree(name: str, *operands: Any, exact: bool = False, words: str = "", **params: Any) -> Any:
    """Run a kernel on both; returns NumPy's result."""
    expected = outcome(REFERENCE[name], list(operands), params)
    before = [x.copy() if isinstance(x, np.ndarray) else x for x in operands]
    given = [to_device(x) for x in operands]
    got = outcome(KERNELS[name], given, params)
    if isinstance(expected, Exception):
        same_error(name, expected, got)
        if words:
            for error in (expected, got):
                assert words in str(error).replace("out of bounds", "out of range"), repr(error)
        return expected
    assert not words, f"{name}: no error"
    if isinstance(got, Exception):
        raise got
    compare(name, expected, got, exact)
    for x, y in zip(given, before):
        if isinstance(y, np.ndarray) and not (name == "put_at" and params.get("copy") is False):
            assert cp.asnumpy(x).tobytes() == y.tobytes(), f"{name} wrote to its operand"
    return expected


def compare(name: str, expected: Any, got: Any, exact: bool) -> None:
    assert isinstance(got, cp.ndarray), f"{name}: {type(got)}"
    expected, found = np.asarray(expected), cp.asnumpy(got)
    assert found.shape == expected.shape, f"{name}: shape {found.shape}, NumPy's is {expected.shape}"
    assert found.dtype == expected.dtype, f"{name}: {found.dtype}, NumPy's is {expected.dtype}"
    if expected.dtype.kind not in "fV":
        np.testing.assert_array_equal(found, expected, err_msg=name)
        return
    tolerance = 0.0 if exact else TOLERANCE[expected.dtype.name]
    found, expected = found.astype(DOUBLE), expected.astype(DOUBLE)  # which keeps every value
    np.testing.assert_allclose(found, expected, tolerance, tolerance, err_msg=name)


def numbers(rng: Generator, shape: Any, dtype: Any = SINGLE, low: float = -3.0, high: float = 3.0) -> np.ndarray:
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        return rng.integers(0 if dtype.kind == "u" else -5, 6, shape).astype(dtype)
    return rng.uniform(low, high, shape).astype(dtype)


def layouts(x: np.ndarray) -> list[np.ndarray]:
    """The same elements as they are, in Fortran's order, and as every other of a larger array."""
    found = [x]
    if x.ndim > 1:
        found.append(np.ascontiguousarray(x.T).T)
    if x.ndim:
        wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
        wide[..., ::2] = x
        found.append(wide[..., ::2])
        found.append(np.ascontiguousarray(x[..., ::-1])[..., ::-1])
    return found
