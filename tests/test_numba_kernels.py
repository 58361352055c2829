"""The Numba kernels by themselves: expressions, generated loops, the cache, threads. Compared with NumPy and mpmath."""

import contextlib
import ctypes
import functools
import math
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradengine_kernels import expr, numba_cpu, numpy_cpu, render
from gradengine_kernels.expr import Expr, NotPointwiseError, Symbols, trace

pytest.importorskip("numba")
LARGE = 4 * numba_cpu.SMALL
DTYPES = [np.float32, np.float64]


def refuse(*arrays: Any, **params: Any) -> Any:
    raise AssertionError("the NumPy way was taken")


def numpy_way(function: Any) -> Any:
    """The function on whole arrays, NumPy being its interpreter."""

    def call(*arrays: Any, **params: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(np, *arrays, **params)

    return call


def fused(function: Any, arity: int | None = None) -> Any:
    """The function's compiled kernel, whatever the size."""
    call = numba_cpu.pointwise("tested", function, arity, refuse)

    @functools.wraps(call)
    def at_every_size(*arrays: Any, **params: Any) -> Any:
        with numba_cpu.every_size():
            return call(*arrays, **params)

    return at_every_size


# -- expressions --------------------------------------------------------------------------------------------------


def test_expressions_print_as_they_were_written() -> None:
    (e,) = trace(lambda k, g, y, x: g * (1 - y * y) / (x - (2.5 - y)), ["g", "y", "x"])
    assert repr(e) == "g * (1 - y * y) / (x - (2.5 - y))"
    (e,) = trace(lambda k, x, *, slope: k.where((x > 0) & ~(x == 3), x, slope * k.exp(-x)), ["x"], {"slope": 0.1})
    assert repr(e) == "where((x > 0) & logical_not(x == 3), x, slope * exp(-x))"


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda k, x: -(x + 1), "-(x + 1)"),
        (lambda k, x: (x / 2) / (3 / x), "x / 2 / (3 / x)"),
        (lambda k, x: x - (x - 1), "x - (x - 1)"),
        (lambda k, x: (-x) * x, "-x * x"),
        (lambda k, x: -(x * x), "-(x * x)"),
        (lambda k, x: x**x * 2, "x ** x * 2"),
        (lambda k, x: 2.0**x, "2 ** x"),
        (lambda k, x: x * -3.0, "x * -3"),
        (lambda k, x: k.maximum(x, np.float32(0.5)), "maximum(x, 0.5)"),
    ],
)
def test_brackets(function: Any, text: str) -> None:
    assert repr(trace(function, ["x"])[0]) == text


def test_shared_parts_are_computed_once() -> None:
    def function(k: Any, x: Any) -> Any:
        return k.exp(x) * k.exp(x) + 1 / (1 + k.exp(x)), k.exp(x)

    first, second = trace(function, ["x"])
    exps = [e for e in expr.walk([first, second]) if e.op == "exp"]
    assert len(exps) == 1
    assert second is exps[0]
    before, inside, results = render.statements([first, second], {"x": render.NUMBER}, "float32")
    assert sum("exp" in line for line in inside) == 1
    assert len({name for name, _ in results}) == 2


def test_constants_that_only_look_equal_stay_apart() -> None:
    (e,) = trace(lambda k, x: (x * 0.0 + x * -0.0) + k.where(x > 1, 1.0, 0.0), ["x"])
    assert repr(e) == "x * 0 + x * -0 + where(x > 1, 1, 0)"
    assert len([c for c in expr.walk([e]) if c.op == "constant"]) == 3


def test_powers() -> None:
    assert repr(trace(lambda k, x: x**2, ["x"])[0]) == "x * x"
    assert [e.op for e in expr.walk(trace(lambda k, x: x**-3, ["x"]))].count("multiply") == 2
    assert repr(trace(lambda k, x: x**0.5, ["x"])[0]) == "sqrt(x)"
    assert repr(trace(lambda k, x: k.pow(x, 2.5), ["x"])[0]) == "x ** 2.5"


def test_bodies_expand_where_the_renderer_knows_no_symbol() -> None:
    bodies = {"silu": lambda k, x: x * k.sigmoid(x), "tanh": lambda k, x: refuse()}
    assert repr(trace(lambda k, x: k.silu(x) + k.tanh(x), ["x"], bodies=bodies)[0]) == "x * sigmoid(x) + tanh(x)"
    bodies = {"sigmoid": lambda k, x: 1 / (1 + k.exp(-x))}
    known = render.NUMBA.known - {"sigmoid"}
    assert repr(trace(lambda k, x: k.sigmoid(x), ["x"], bodies=bodies, known=known)[0]) == "1 / (1 + exp(-x))"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda k, x: x if x > 0 else -x, r"x > 0 has no truth value.*k\.where"),
        (lambda k, x: k.sum(x), "sum is no scalar operation"),
        (lambda k, x: x.shape, "no attribute 'shape'"),
        (lambda k, x: x + np.ones(3), "is not a number"),
        (lambda k, x: k.exp(x, x), "exp takes 1 arguments, not 2"),
        (lambda k, x: x + "a", "is not a number"),
        (lambda k, x: np.exp(x), "TypeError"),
        (lambda k, x: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_what_is_not_pointwise_is_said_to_be(function: Any, message: str) -> None:
    with pytest.raises(NotPointwiseError, match=message):
        trace(function, ["x"])


@pytest.mark.parametrize(
    "function",
    [lambda k, m: m + m, lambda k, m: -m, lambda k, m: k.exp(m), lambda k, m: m > m],
)
def test_integer_arithmetic_of_masks_is_refused(function: Any) -> None:
    with pytest.raises(NotPointwiseError):
        render.statements(trace(function, ["m"]), {"m": render.MASK}, "float32")


def test_symbols_build_what_operators_build() -> None:
    k, x = Symbols(), Expr("input", "x")
    for named, operator in [
        (k.subtract(x, 1), x - 1),
        (k.sub(1, x), 1 - x),
        (k.divide(x, 2), x / 2),
        (k.neg(x), -x),
        (k.abs(x), abs(x)),
        (k.less_equal(x, 1), x <= 1),
        (k.not_equal(x, 1), x != 1),
        (k.logical_or(x, x), x | x),
        (k.square(x), x * x),
        (k.rsqrt(x), 1 / k.sqrt(x)),
    ]:
        assert repr(named) == repr(operator)


def unaligned(x: Any) -> Any:
    """The same numbers one byte beside where numbers lie."""
    memory = np.empty(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    memory[...] = x
    assert not memory.flags.aligned
    return memory


# -- generated loops ----------------------------------------------------------------------------------------------


def special(dtype: Any, size: int, rng: np.random.Generator) -> Any:
    """Random numbers of every magnitude, with zeros, infinities, NaN and subnormal numbers among them."""
    info = np.finfo(dtype)
    x = (rng.standard_normal(size) * 10.0 ** rng.integers(-3, 3, size)).astype(dtype)
    marks = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, info.tiny, -info.tiny, info.smallest_subnormal, info.max]
    x[: 64 * len(marks) : 64] = np.array(marks, dtype)
    rng.shuffle(x)
    return x


EXACT: dict[str, Any] = {
    "add": lambda k, a, b: a + b,
    "mixed": lambda k, a, b: 2 * a / b - (b - 0.1) * a + 1 / b,
    "negative": lambda k, a, b: -a,
    "maximum": lambda k, a, b: k.maximum(a, b) * 3,
    "minimum": lambda k, a, b: k.minimum(a, b) + k.minimum(b, 0.5),
    "sign": lambda k, a, b: k.sign(a),
    "abs": lambda k, a, b: abs(a) + b,
    "sqrt": lambda k, a, b: k.sqrt(a) * b,
    "rounding": lambda k, a, b: k.floor(a) + k.ceil(b) - k.rint(a) * k.trunc(b),
    "where": lambda k, a, b: k.where(a > b, a, b * 2.0),
    "where_nan": lambda k, a, b: k.where(a != a, 0.0, k.where(k.isinf(a), 1.0, a)),
    "logic": lambda k, a, b: k.where((a > 0) & (b > 0) | ~(a <= 1), a, -b),
    "mask_arithmetic": lambda k, a, b: (a > 0) * b + b * (b >= a),
    "isfinite": lambda k, a, b: k.where(k.isfinite(a), a, b),
    "square": lambda k, a, b: a**2 * b,
    "compare": lambda k, a, b: a < b,
    "equal": lambda k, a, b: a == b,
    "constants": lambda k, a, b: a * 3.3 + math.pi,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_arithmetic_equals_numpy_bit_for_bit(name: str, dtype: Any, rng: np.random.Generator) -> None:
    function = EXACT[name]
    a, b = special(dtype, LARGE, rng), special(dtype, LARGE, rng)
    expected = numpy_way(function)(a, b)
    found = fused(function, 2)(a, b)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_columns_and_scalars(dtype: Any, rng: np.random.Generator) -> None:
    def function(k: Any, x: Any, y: Any) -> Any:
        return (x - y) * k.maximum(y, x)

    x = rng.standard_normal((64, 40, 50)).astype(dtype)
    call = fused(function, 2)
    shapes = [(50,), (1, 50), (1, 1, 50), (40, 50), (1, 40, 50), (64, 40, 1), (64, 1, 1), (1,), (1, 1, 1), ()]
    for shape in shapes:
        y = rng.standard_normal(shape).astype(dtype)
        y = y if isinstance(y, np.ndarray) else np.array(y)
        np.testing.assert_array_equal(call(x, y), function(np, x, y), err_msg=str(shape))
        np.testing.assert_array_equal(call(x, y), function(np, x, y), err_msg=str(shape))
        np.testing.assert_array_equal(
            call(y, x) if y.size >= numba_cpu.SMALL else function(np, y, x), function(np, y, x)
        )
    for y in (2.0, 3, dtype(0.3)):
        found = call(x, y)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, function(np, x, y))
    long = rng.standard_normal((2, LARGE)).astype(dtype)
    for y in (rng.standard_normal((2, 1)).astype(dtype), rng.standard_normal(LARGE).astype(dtype)):
        np.testing.assert_array_equal(call(long, y), function(np, long, y))


def test_a_row_and_a_column_together(rng: np.random.Generator) -> None:
    def layer_norm(k: Any, x: Any, mean: Any, scale: Any, weight: Any, bias: Any) -> Any:
        return (x - mean) * scale * weight + bias

    x = rng.standard_normal((300, 200)).astype(np.float32)
    mean, scale = rng.standard_normal((2, 300, 1)).astype(np.float32)
    weight, bias = rng.standard_normal((2, 200)).astype(np.float32)
    call = fused(layer_norm, 5)
    np.testing.assert_array_equal(call(x, mean, scale, weight, bias), layer_norm(np, x, mean, scale, weight, bias))


@pytest.mark.parametrize("dtype", DTYPES)
def test_masks_as_operands(dtype: Any, rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((2, 200, 300)).astype(dtype)
    call = fused(lambda k, c, a, b: k.where(c, a, b), 3)
    for c in (x > 0, x[0] > 0, x[:, :1].copy() > 0):
        np.testing.assert_array_equal(call(np.ascontiguousarray(np.broadcast_to(c, x.shape)), x, y), np.where(c, x, y))
    dropout = fused(lambda k, x, keep, p: x * keep / (1 - p), 2)
    np.testing.assert_array_equal(dropout(x, y > 0, p=0.25), x * (y > 0) / 0.75)


@pytest.mark.parametrize(
    "arrays",
    [
        lambda x: (x.astype(np.float16), x.astype(np.float16)),
        lambda x: (x.astype(np.int64), x.astype(np.int64)),
        lambda x: (x, x.astype(np.float64)),
        lambda x: (x, np.float64(0.1)),
        lambda x: (x, np.array([0.1])),
        lambda x: (x.T, x.T),
        lambda x: (x[::2], x[::2]),
        lambda x: (x, x.T),
        lambda x: (x[:, :1].copy(), x[:1]),
        lambda x: (x[:, :, None], x[:1, None, :]),
        lambda x: (x.astype(">f4"), x),
        lambda x: (x, unaligned(x)),
        lambda x: (unaligned(x), unaligned(x)),
        lambda x: (x[:, None], x[0][:, None]),
        lambda x: (x, x[:1, :1][None]),
    ],
)
def test_all_else_goes_the_numpy_way(arrays: Any, rng: np.random.Generator) -> None:
    a, b = arrays(rng.standard_normal((256, 256)).astype(np.float32))
    calls = []
    call = numba_cpu.pointwise("tested", lambda k, a, b: a + b, 2, lambda a, b: calls.append(1) or np.add(a, b))
    found = call(a, b)
    assert calls
    np.testing.assert_array_equal(found, a + b)
    assert found.dtype == (a + b).dtype


def test_small_and_empty_arrays_go_the_numpy_way() -> None:
    for function, arity in [(lambda k, x: -x, 1), (lambda k, x, y: x + y, 2), (lambda k, x, y, z: x + y + z, 3)]:
        call = numba_cpu.pointwise("tested", function, arity, lambda *arrays, **params: (arrays, params))
        for x in (np.ones((4, 4)), np.ones(0), np.ones(()), np.float32(1), np.ones((0, LARGE))):
            assert call(*[x] * arity) == ((x,) * arity, {})
            assert call(*[x] * arity, p=1) == ((x,) * arity, {"p": 1})


def test_what_cannot_be_traced_goes_the_numpy_way_and_is_tried_once(rng: np.random.Generator) -> None:
    x = rng.standard_normal(LARGE)
    tries = []

    def rule(k: Any, x: Any) -> Any:
        tries.append(k)
        return k.cumsum(x)

    call = numba_cpu.pointwise("tested", rule, 1, np.cumsum)
    for _ in range(3):
        np.testing.assert_array_equal(call(x), np.cumsum(x))
    assert len(tries) == 1
    same = numba_cpu.pointwise("tested", lambda k, g, y: g, 2, lambda g, y: g)
    assert same(x, x + 1) is x


def test_float_params_are_given_at_run_time_and_others_compile_anew(rng: np.random.Generator) -> None:
    x = rng.standard_normal(LARGE).astype(np.float32)

    def function(k: Any, x: Any, *, slope: float, kind: str) -> Any:
        return k.where(x > 0, x, x * slope) if kind == "leaky" else k.maximum(x, slope)

    call = fused(function, 1)
    for slope in (0.1, 0.2, math.nan):
        np.testing.assert_array_equal(call(x, slope=slope, kind="leaky"), np.where(x > 0, x, x * np.float32(slope)))
    assert len(call.fused.plans) == 1
    np.testing.assert_array_equal(call(x, slope=0.5, kind="max"), np.maximum(x, np.float32(0.5)))
    assert len(call.fused.plans) == 2


def test_a_parameter_may_be_called_what_it_likes(rng: np.random.Generator) -> None:
    x = rng.standard_normal(LARGE)
    for name in ("i", "x0", "t0", "p0", "columns", "scalars", "exp", "real", "start", "np"):
        call = fused(lambda k, x, **params: k.exp(x) * params[name], 1)  # noqa: B023 - called at once
        np.testing.assert_allclose(call(x, **{name: 0.3}), np.exp(x) * 0.3, rtol=1e-14)


def test_parameters_that_never_come_twice_do_not_compile_for_ever(rng: np.random.Generator) -> None:
    from gradengine_kernels.numba_cpu.fused import MOST_PLANS

    x = rng.standard_normal(LARGE)
    call = numba_cpu.pointwise("tested", lambda k, x, *, step: x * x + step, 1, lambda x, step: x * x + step)
    for step in range(MOST_PLANS + 10):
        call.fused.plans[step] = None
    np.testing.assert_array_equal(call(x, step=7), x * x + 7)
    assert len(call.fused.plans) == MOST_PLANS + 10


def adam(k: Any, p: Any, m: Any, v: Any, g: Any, *, rate: float, beta1: float, beta2: float, nesterov: bool) -> Any:
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    return p - rate * m / (k.sqrt(v) + 1e-8), m, v


@pytest.mark.parametrize("dtype", DTYPES)
def test_updates_write_in_place(dtype: Any, rng: np.random.Generator) -> None:
    p, m, g = rng.standard_normal((3, LARGE)).astype(dtype)
    v = np.abs(m)
    scalars = dict(rate=0.1, beta1=0.9, beta2=0.99, nesterov=False)
    expected = adam(np, p, m, v, g, **scalars)
    call = fused(adam)
    for out in (None, [p, m, v], [np.empty_like(p), m.copy(), np.empty_like(p)]):
        arrays = [x.copy() for x in (p, m, v, g)]
        targets = None
        if out is not None:
            targets = [arrays[i] if o is x else o for i, (o, x) in enumerate(zip(out, (p, m, v)))]
        found = call(*arrays, out=targets, **scalars)
        assert isinstance(found, tuple)
        for i in range(3):
            np.testing.assert_allclose(found[i], expected[i], rtol=4 * np.finfo(dtype).eps, atol=1e-7)
            if targets is not None:
                assert found[i] is targets[i]


def test_out_that_overlaps_is_not_written_to(rng: np.random.Generator) -> None:
    memory = rng.standard_normal(LARGE + 1)
    before = memory.copy()
    x, shifted = memory[:-1], memory[1:]
    calls = []

    def in_numpy(x: Any) -> Any:
        calls.append(x)
        return 3 * x * x

    call = numba_cpu.pointwise("tested", lambda k, x: 3 * x * x, None, in_numpy)
    np.testing.assert_array_equal(call(x, out=[shifted]), 3 * before[:-1] * before[:-1])
    np.testing.assert_array_equal(memory, before)
    assert len(calls) == 1
    found = call(x, out=[x])  # the very same memory is fine
    assert found is x
    np.testing.assert_array_equal(x, 3 * before[:-1] * before[:-1])
    assert len(calls) == 1


def test_a_known_kernel_is_not_given_another_dtype(rng: np.random.Generator) -> None:
    x = rng.standard_normal(LARGE).astype(np.float32)
    call = numba_cpu.pointwise("tested", lambda k, a, b: a * b + a, 2, lambda a, b: a * b + a)
    for other in (x, x.astype(np.float64), x.astype(np.float16), x > 0, x[::-1], x[: LARGE // 2, None], unaligned(x)):
        for a, b in ((x, other), (other, x)):
            if a.ndim == b.ndim == 1:
                np.testing.assert_array_equal(call(a, b), a * b + a, strict=True)


# -- elementary functions -------------------------------------------------------------------------------------------

# The largest error that is let pass, in units in the last place.
ULPS = {"exp": 1.0, "expm1": 2.0, "log": 1.0, "log1p": 2.0, "tanh": 2.6, "sigmoid": 2.6, "erf": 1.6}


def worst_ulps(found: Any, exact: Any, dtype: Any) -> float:
    """The largest distance in units in the last place of the exact results; NaN, infinities and 0 have to agree."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(dtype)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(rounded))
        np.testing.assert_array_equal(np.isinf(found), np.isinf(rounded))
        np.testing.assert_array_equal(np.signbit(found[rounded == 0]), np.signbit(rounded[rounded == 0]))
        finite = np.isfinite(rounded)
        spacing = np.spacing(np.abs(rounded[finite])).astype(np.longdouble)
        return float(np.max(np.abs(found[finite].astype(np.longdouble) - exact[finite]) / spacing))


def elementary(name: str, x: Any) -> Any:
    return fused(lambda k, x: getattr(k, name)(x), 1)(x)


def logistic(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


@pytest.mark.parametrize("name", ULPS)
def test_elementary_functions_of_float32(name: str) -> None:
    """A million numbers spread over all bit patterns, and as many where the functions bend."""
    special = pytest.importorskip("scipy.special")
    x = np.arange(0, 2**32, 4099, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = np.concatenate([x, np.linspace(-100, 100, 600_001), np.linspace(-1.5, 1.5, 400_001)], dtype=np.float32)
    exact = {"sigmoid": logistic, "erf": special.erf}.get(name) or getattr(np, name)
    with np.errstate(all="ignore"):
        assert worst_ulps(elementary(name, x), exact(x.astype(np.float64)), np.float32) <= ULPS[name]


@pytest.mark.parametrize("name", ULPS)
def test_elementary_functions_of_float64(name: str, rng: np.random.Generator) -> None:
    mpmath = pytest.importorskip("mpmath")
    bits = rng.integers(0, 2**64, 1500, dtype=np.uint64).view(np.float64)
    near = [rng.uniform(-a, a, 1500) for a in (1e-3, 1.5, 8, 750)]
    edges = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 5e-324, -5e-324, 709.78, 709.79, -745.1, -745.2]
    x = np.concatenate([bits, *near, 1 + near[0], -1 + np.abs(near[0]), edges])
    function = {"sigmoid": lambda v: 1 / (1 + mpmath.exp(-v))}.get(name) or getattr(mpmath, name)
    with mpmath.workprec(200), np.errstate(all="ignore"):
        exact = [exactly(name, function, v, mpmath) for v in x.tolist()]
        high = np.array([float(v) for v in exact])
        low = np.array([float(v - h) if math.isfinite(h) else 0.0 for v, h in zip(exact, high.tolist())])
        found = elementary(name, x)
        assert np.array_equal(np.isnan(found), np.isnan(high))
        finite = np.isfinite(high)
        assert np.array_equal(found[~finite], high[~finite], equal_nan=True)
        error = np.abs((found[finite] - high[finite]) - low[finite]) / np.spacing(np.abs(high[finite]))
        assert error.max() <= ULPS[name], x[finite][error.argmax()]


def exactly(name: str, function: Any, x: float, mpmath: Any) -> Any:
    """The function's value, with NumPy's choice where mpmath says complex or pole."""
    if math.isnan(x) or (name == "log" and x < 0) or (name == "log1p" and x < -1):
        return mpmath.nan
    if (name == "log" and x == 0) or (name == "log1p" and x == -1):
        return -mpmath.inf
    if math.isinf(x):
        return mpmath.mpf(float(logistic(np.float64(x)))) if name == "sigmoid" else function(mpmath.mpf(x))
    return function(mpmath.mpf(x))


def test_the_ulp_test_can_fail() -> None:
    x = np.linspace(0.1, 5, 1000, dtype=np.float32)
    exact = np.exp(x.astype(np.float64))
    assert worst_ulps(np.exp(x), exact, np.float32) < 2.6
    assert worst_ulps(np.exp(x) * np.float32(1 + 4e-7), exact, np.float32) > 2.6


def test_logaddexp_is_written_from_its_body(rng: np.random.Generator) -> None:
    a, b = special(np.float64, LARGE, rng), special(np.float64, LARGE, rng)
    with np.errstate(all="ignore"):
        # Where the result crosses 0 only the absolute error is small.
        found = fused(lambda k, a, b: k.logaddexp(a, b), 2)(a, b)
        np.testing.assert_allclose(found, np.logaddexp(a, b), rtol=1e-14, atol=1e-15)


# -- rows -----------------------------------------------------------------------------------------------------------

NUMPY = numpy_cpu.KERNELS


def spied() -> tuple[dict[str, Any], list[str]]:
    """The kernels over NumPy ones that note when they are called."""
    calls: list[str] = []

    def noting(name: str) -> Any:
        def call(*arrays: Any, **params: Any) -> Any:
            calls.append(name)
            return NUMPY[name](*arrays, **params)

        return call

    return numba_cpu.kernels({name: noting(name) for name in NUMPY}), calls


SHAPES = [(3, 5), (1, 1), (7, 1), (1, 300), (257, 10), (12, 1024), (5, 1025), (2, 5000), (4, 6, 50), (90,)]


def close(found: Any, exact: Any, dtype: Any, count: int = 1) -> None:
    assert found.dtype == dtype
    assert found.shape == exact.shape
    eps = float(np.finfo(dtype).eps)
    with np.errstate(all="ignore"):
        scale = np.nanmax(np.abs(np.where(np.isfinite(exact), exact, 0)), initial=0)
    np.testing.assert_allclose(found.astype(np.float64), exact, rtol=16 * eps, atol=8 * eps * (scale + count**0.5))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_softmaxes(shape: Any, dtype: Any, rng: np.random.Generator) -> None:
    kernels, calls = spied()
    x = (rng.standard_normal(shape) * 10).astype(dtype)
    g = rng.standard_normal(shape).astype(dtype)
    wide = x.astype(np.longdouble).astype(np.float64)
    with numba_cpu.every_size():
        for axis in (-1, x.ndim - 1):
            for name in ("softmax", "log_softmax"):
                y = kernels[name](x, axis=axis)
                close(y, NUMPY[name](wide, axis), dtype)
                exact = NUMPY[f"{name}_grad"](g.astype(np.float64), y.astype(np.float64), axis)
                close(kernels[f"{name}_grad"](g, y, axis=axis), exact, dtype, x.size)
        for keepdims in (False, True):
            close(kernels["logsumexp"](x, axis=-1, keepdims=keepdims), NUMPY["logsumexp"](wide, -1, keepdims), dtype)
    assert calls == []


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [3, 40, 2000])
def test_softmaxes_of_infinities_and_nan(columns: int, dtype: Any, rng: np.random.Generator) -> None:
    kernels, calls = spied()
    x = rng.standard_normal((8, columns)).astype(dtype)
    x[0, 1], x[1, 0], x[2], x[3, 2], x[4] = -np.inf, np.inf, -np.inf, np.nan, np.inf
    x[5] = np.finfo(dtype).max
    x[6, :2] = np.nan, np.inf
    with numba_cpu.every_size(), np.errstate(all="ignore"):
        for name in ("softmax", "log_softmax", "logsumexp"):
            with np.errstate(all="ignore"):
                np.testing.assert_allclose(kernels[name](x, axis=-1), NUMPY[name](x, axis=-1), rtol=1e-4, atol=1e-6)
        for name in ("max", "min"):
            np.testing.assert_array_equal(kernels[name](x, axis=-1), NUMPY[name](x, axis=-1))
        for name in ("sum", "mean"):
            np.testing.assert_allclose(kernels[name](x, axis=-1), NUMPY[name](x, axis=-1), rtol=1e-4)
            for row in x:
                np.testing.assert_allclose(kernels[name](row), NUMPY[name](row), rtol=1e-4)
    assert calls == []


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*SHAPES, (64, 130), (129, 3), (1000, 7), (2, 3, 4, 5)])
def test_sums_and_extremes(shape: Any, dtype: Any, rng: np.random.Generator) -> None:
    kernels, calls = spied()
    x = rng.standard_normal(shape).astype(dtype)
    wide = x.astype(np.float64)
    last = tuple(range(1, x.ndim))
    with numba_cpu.every_size():
        for axis in (None, 0, -1, (0,), last or None, tuple(range(x.ndim))):
            for keepdims in (False, True):
                for name in ("sum", "mean"):
                    found = kernels[name](x, axis=axis, keepdims=keepdims)
                    close(found, NUMPY[name](wide, axis, keepdims), dtype, x.size)
                for name in ("max", "min"):
                    found = kernels[name](x, axis=axis, keepdims=keepdims)
                    np.testing.assert_array_equal(found, NUMPY[name](x, axis, keepdims), strict=True)
        close(kernels["sum"](x, 0), wide.sum(0), dtype, x.size)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_to_what_was_broadcast(dtype: Any, rng: np.random.Generator) -> None:
    kernels, calls = spied()
    x = rng.standard_normal((130, 3, 40)).astype(dtype)
    with numba_cpu.every_size():
        for shape in [(40,), (3, 40), (1, 40), (1, 1, 1), (), (1,), (130, 3, 1), (130, 1, 1), (1, 1, 40), (3, 1)]:
            exact = NUMPY["sum_to"](x.astype(np.float64), shape)
            close(kernels["sum_to"](x, shape), exact, dtype, x.size)
        assert calls == []
        close(kernels["sum_to"](x, (130, 1, 40)), NUMPY["sum_to"](x.astype(np.float64), (130, 1, 40)), dtype, x.size)
        kernels["sum_to"](x, x.shape)
    assert calls == ["sum_to"] * 2


def test_sums_of_float32_lose_nothing(rng: np.random.Generator) -> None:
    """Added one after the other, these numbers are off by more than a hundredth part."""
    kernels, calls = spied()
    x = np.full(1 << 22, 0.1, np.float32)
    exact = math.fsum(x.tolist())
    assert abs(float(np.cumsum(x)[-1]) / exact - 1) > 0.01
    assert abs(float(kernels["sum"](x)) - exact) <= np.spacing(np.float32(exact))
    rows = x.reshape(4, -1)
    np.testing.assert_array_max_ulp(kernels["sum"](rows, axis=1), np.full(4, exact / 4, np.float32), 1)
    columns = kernels["sum"](x.reshape(-1, 4), axis=0)
    np.testing.assert_allclose(columns, exact / 4, rtol=1e-6)
    assert calls == []


def test_sums_of_float64_keep_what_one_addition_would_lose() -> None:
    """1e16 + 1 is 1e16: the ones come through only if what each addition rounds off is kept."""
    kernels, calls = spied()
    x = np.zeros((2, 1 << 14))
    x[:, ::256] = 1.0
    x[:, 0] = 1e16
    ones = x.shape[1] // 256 - 1
    np.testing.assert_array_equal(kernels["sum"](x, axis=1), [1e16 + ones + 1] * 2)
    assert ones == 63
    assert kernels["sum"](x[0]) == 1e16 + ones + 1
    a, b = np.sqrt(x), np.zeros_like(x)
    assert kernels["mean_squared_error"](a, b) * x.size == 2e16 + 2 * (ones + 1)
    assert calls == []


@pytest.mark.parametrize("axis", [7, -8, (0, 0), "a", 1.0])
def test_axes_that_are_not_there_are_left_to_numpy_to_refuse(axis: Any) -> None:
    kernels, calls = spied()
    x = np.ones((100, 200))
    with pytest.raises((ValueError, TypeError)):
        kernels["sum"](x, axis=axis)
    assert calls == ["sum"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("labels_dtype", [np.int64, np.int32, np.uint8])
@pytest.mark.parametrize("shape", [(1, 3), (500, 10), (7, 200), (3, 3000)])
def test_cross_entropy(shape: Any, labels_dtype: Any, dtype: Any, rng: np.random.Generator) -> None:
    kernels, calls = spied()
    x = (rng.standard_normal(shape) * 5).astype(dtype)
    labels = rng.integers(0, min(shape[1], 250), shape[0]).astype(labels_dtype)
    wide = x.astype(np.float64)
    with numba_cpu.every_size():
        for ignore_index in (-100, 1):
            for reduction in ("none", "sum", "mean"):
                metadata = dict(ignore_index=ignore_index, reduction=reduction)
                exact = NUMPY["cross_entropy_rows"](wide, labels, **metadata)
                close(kernels["cross_entropy_rows"](x, labels, **metadata), exact, dtype, shape[0])
                g = rng.standard_normal(shape[0]).astype(dtype) if reduction == "none" else dtype(0.7)
                exact = NUMPY["cross_entropy_rows_grad"](g.astype(np.float64), wide, labels, **metadata)
                close(kernels["cross_entropy_rows_grad"](g, x, labels, **metadata), exact, dtype)
    assert calls == []


@pytest.mark.parametrize("bad", [10, -1, 2**40])
def test_labels_out_of_range_are_left_to_numpy_to_refuse(bad: int, rng: np.random.Generator) -> None:
    kernels, calls = spied()
    x = rng.standard_normal((5000, 10))
    labels = np.zeros(5000, np.int64)
    labels[17] = bad
    for ignore_index in (-100, 3):
        with pytest.raises(IndexError, match="at position 17"):
            kernels["cross_entropy_rows"](x, labels, ignore_index=ignore_index, reduction="mean")
        with pytest.raises(IndexError, match="at position 17"):
            kernels["cross_entropy_rows_grad"](1.0, x, labels, ignore_index=ignore_index, reduction="mean")
    kernels["cross_entropy_rows"](x, labels, ignore_index=bad, reduction="mean")


def test_a_loss_of_no_rows_that_count_is_nan() -> None:
    kernels, calls = spied()
    x, labels = np.zeros((5000, 10)), np.full(5000, 3)
    assert np.isnan(kernels["cross_entropy_rows"](x, labels, ignore_index=3, reduction="mean"))
    assert kernels["cross_entropy_rows"](x, labels, ignore_index=3, reduction="sum") == 0
    assert not kernels["cross_entropy_rows_grad"](1.0, x, labels, ignore_index=3, reduction="sum").any()
    assert calls == []


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp", "sum", "mean", "max", "min"])
def test_rows_that_do_not_lie_together_go_the_numpy_way(name: str, rng: np.random.Generator) -> None:
    kernels, calls = spied()
    x = rng.standard_normal((300, 400))
    arrays = [x.T, x[:, ::2], x.astype(np.float16), x[:0], unaligned(x)]
    if name not in ("sum", "mean", "max", "min"):
        arrays.append(x.astype(np.int64))
    for array in arrays:
        if not (array.size == 0 and name in ("max", "min")):
            kernels[name](array, axis=-1)
    kernels[name](x, axis=0)
    assert len(calls) >= len(arrays) - 1


# -- products -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (5, 7, 3), (64, 1, 64), (1, 99, 9), (30, 20, 1), (130, 70, 257)])
def test_tiled_products(m: int, k: int, n: int, dtype: Any, rng: np.random.Generator) -> None:
    kernels, calls = spied()
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    larger = rng.standard_normal((k + 3, n + 5)).astype(dtype)
    bias = rng.standard_normal(n).astype(dtype)
    many = rng.standard_normal((9, m, k)).astype(dtype)
    stack = rng.standard_normal((9, k, n)).astype(dtype)
    eps = np.finfo(dtype).eps
    check = functools.partial(np.testing.assert_allclose, rtol=4 * k * eps, atol=4 * k * eps)
    with numba_cpu.every_size(), one_nanosecond_is_worth_a_thread():
        for x in (a, np.asfortranarray(a)):
            for y in (b, np.asfortranarray(b), larger[1:-2, 3:-2]):
                check(kernels["matmul"](x, y), np.matmul(x, y))
            check(kernels["linear"](x, b.T, bias), x @ b + bias)
            check(kernels["linear"](x, b.T.copy(), bias), x @ b + bias)
            check(kernels["linear_no_bias"](x, b.T), x @ b)
        check(kernels["matmul"](many, b), many @ b)
        check(kernels["matmul"](many, stack), many @ stack)
        check(kernels["matmul"](many, stack.swapaxes(1, 2).copy().swapaxes(1, 2)), many @ stack)
        check(kernels["linear"](many, b.T, bias), many @ b + bias)
        check(kernels["matmul"](many.reshape(3, 3, m, k), stack.reshape(3, 3, k, n)).reshape(9, m, n), many @ stack)
    assert calls == []


@contextlib.contextmanager
def one_nanosecond_is_worth_a_thread() -> Any:
    """Every kernel runs on all threads."""
    from gradengine_kernels.numba_cpu import runtime

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "WORTH", 1)
        patch.setattr(runtime.Pace, "spread_pays", lambda pace: True)
        yield


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.ones((300, 400)), np.ones(400)),
        (np.ones((300, 400)), np.ones((400, 50), np.float32)),
        (np.ones((300, 400), int), np.ones((400, 50), int)),
        (np.ones((300, 400))[:, ::2], np.ones((200, 50))),
        (np.ones((300, 0)), np.ones((0, 50))),
        (np.ones((4, 30, 40)), np.ones((1, 40, 50))),
        (np.ones((2, 4, 30, 40)), np.ones((1, 4, 40, 50))),
        (np.ones((30, 40), [("a", "f8"), ("b", "f4")])["a"], np.ones((40, 50))),
        (unaligned(np.ones((30, 40))), np.ones((40, 50))),
        (np.broadcast_to(np.ones(40), (30, 40)), np.ones((40, 50))),
    ],
)
def test_other_products_go_the_numpy_way(a: Any, b: Any) -> None:
    kernels, calls = spied()
    with numba_cpu.every_size():
        found = kernels["matmul"](a, b)
    np.testing.assert_array_equal(found, np.matmul(a, b), strict=True)
    assert calls == ["matmul"]


def test_products_that_do_not_fit_are_left_to_numpy_to_refuse() -> None:
    kernels, calls = spied()
    with numba_cpu.every_size(), pytest.raises(ValueError, match="mismatch"):
        kernels["matmul"](np.ones((3, 4)), np.ones((5, 6)))


def test_every_split_over_threads_gives_the_same_bits(rng: np.random.Generator) -> None:
    kernels, calls = spied()
    call = fused(lambda k, a, b: k.exp(a) * b + a, 2)
    for size in (1, 2, 63, 64, 65, 127, 129, 1000, 4097):
        a, b = rng.standard_normal((2, size))
        rows = rng.standard_normal((size, 3))
        with numba_cpu.every_size():
            alone = call(a, b), kernels["softmax"](rows, -1), kernels["sum"](rows, 0), kernels["sum"](a)
            with one_nanosecond_is_worth_a_thread():
                together = call(a, b), kernels["softmax"](rows, -1), kernels["sum"](rows, 0), kernels["sum"](a)
        for x, y in zip(alone, together):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("columns", [3, 63, 64, 65, 129, 1000])
def test_threads_may_meet_inside_a_row(columns: int, rng: np.random.Generator) -> None:
    call = fused(lambda k, x, row, column: (x - column) * row, 3)
    with one_nanosecond_is_worth_a_thread():
        for count in (1, 2, 3, 10):
            x, row, column = rng.standard_normal((count, columns)), rng.standard_normal(columns), np.ones((count, 1))
            np.testing.assert_array_equal(call(x, row, column), (x - column) * row)


def test_threads_are_taken_while_they_pay() -> None:
    from gradengine_kernels.numba_cpu import runtime

    pace = runtime.Pace()

    def chosen(calls: int, alone: float, together: float) -> int:
        """How many of so many calls took all threads."""
        count = 0
        for _ in range(calls):
            spread = pace.spread_pays()
            pace.note(spread, together if spread else alone)
            count += spread
        return count

    assert chosen(2, 1.0, 0.6) == 1  # each way once
    assert chosen(1000, 1.0, 0.6) >= 980
    assert chosen(1000, 1.0, 5.0) <= 50
    assert chosen(1000, 1.0, 0.6) >= 700


def test_long_stretches_try_the_other_way_as_often() -> None:
    """What made all threads slow once must not decide for the many steps of a whole stretch, or of several."""
    from gradengine_kernels.numba_cpu import runtime

    pace = runtime.Pace()

    def chosen(steps: int, alone: float, together: float) -> int:
        """How many steps of a stretch took all threads."""
        done = count = 0
        while done < steps:
            spread, several = pace.ahead(steps - done)
            pace.note(spread, together if spread else alone)
            done += several
            count += several if spread else 0
        assert done == steps
        return count

    assert chosen(1000, 1.0, 5.0) <= 50
    assert chosen(1000, 1.0, 0.6) >= 700
    assert chosen(1000, 1.0, 0.6) >= 980


# -- cache, threads, processes ------------------------------------------------------------------------------------

PROGRAM = """
import sys
import numpy as np
from gradengine_kernels import numba_cpu
assert "numba" not in sys.modules and "scipy" not in sys.modules
double = numba_cpu.pointwise("double", lambda k, x: 2 * x * x, 1, None)
x = np.ones(100_000, np.float32)
y = double(x)
assert (y == 2).all()
(plan,) = double.fused.plans.values()
print(plan.kernel.compiled.cache_hits)
"""


def run_program(folder: Path, program: str = PROGRAM, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(sys.path)
    env = {**os.environ, "GRADENGINE_CACHE_DIR": str(folder), "PYTHONPATH": path, **environment}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=env, text=True, capture_output=True, timeout=300
    )


def test_a_second_process_reads_machine_code_from_the_cache(tmp_path: Path) -> None:
    first = run_program(tmp_path)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.strip() == "0"
    second = run_program(tmp_path)
    assert second.stdout.strip() == "1", second.stderr
    assert not list(tmp_path.rglob("*.tmp"))


def test_processes_that_start_together_share_the_cache(tmp_path: Path) -> None:
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(run_program(tmp_path))) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [r.returncode for r in results] == [0] * 3, [r.stderr for r in results]
    assert run_program(tmp_path).stdout.strip() == "1"


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_python_threads_may_call_at_once(layer: str, tmp_path: Path) -> None:
    program = """
import threading
import numpy as np
from gradengine_kernels import numba_cpu
call = numba_cpu.pointwise("double", lambda k, x: 2 * x * x, 1, None)
failures = []
def work(seed):
    x = np.random.default_rng(seed).standard_normal(300_000)
    for _ in range(30):
        if not np.array_equal(call(x), 2 * x * x):
            failures.append(seed)
threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
[t.start() for t in threads]
[t.join() for t in threads]
import numba
assert not failures and numba.threading_layer() == LAYER, (failures, numba.threading_layer())
""".replace("LAYER", repr(layer))
    found = run_program(tmp_path, program, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2")
    if "Threading layer is not initialized" in found.stderr:
        pytest.skip(f"no {layer} here")
    assert found.returncode == 0, found.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_computes(tmp_path: Path) -> None:
    program = """
import os
import numpy as np
from gradengine_kernels import numba_cpu
call = numba_cpu.pointwise("double", lambda k, x: 2 * x * x, 1, None)
x = np.ones(1_000_000)
call(x)
child = os.fork()
if child == 0:
    os._exit(0 if (call(x) == 2).all() else 3)
assert os.waitpid(child, 0)[1] == 0
assert (call(x) == 2).all()
"""
    found = run_program(tmp_path, program, NUMBA_NUM_THREADS="2")
    assert found.returncode == 0, found.stderr


def test_arrays_are_where_the_driver_looks_for_them() -> None:
    array = np.zeros(4)
    assert ctypes.c_ssize_t.from_address(id(array) + object.__basicsize__).value == array.ctypes.data
