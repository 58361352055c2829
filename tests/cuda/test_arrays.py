"""Pointwise kernels, reductions, sorting and shapes on CuPy's arrays give what NumPy's give, errors included."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from gradengine_kernels import numpy_cpu
from tests.cuda.array_checks import (
    BFLOAT,
    DOUBLE,
    FLOATS,
    HALF,
    INF,
    INTEGERS,
    KERNELS,
    NAN,
    SINGLE,
    Generator,
    agree,
    layouts,
    numbers,
)

pytestmark = pytest.mark.cuda

PRODUCTS = {"matmul", "linear", "linear_no_bias", "vecdot"}


def test_that_no_kernel_is_missing() -> None:
    assert set(numpy_cpu.KERNELS) - PRODUCTS <= set(KERNELS)


def test_that_a_wrong_number_is_noticed(rng: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    right = KERNELS["sum"]
    monkeypatch.setitem(KERNELS, "sum", lambda x, **params: right(x, **params) * 1.0001)
    with pytest.raises(AssertionError):
        agree("sum", numbers(rng, (20,), low=1), axis=0)


# -- pointwise ----------------------------------------------------------------------------------------------------

UNARY = [
    "negative", "positive", "abs", "sign", "square", "sqrt", "rsqrt", "reciprocal", "floor", "ceil", "trunc", "round",
    "relu", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sigmoid", "sin", "cos", "tan", "asin", "acos",
    "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "lgamma", "isnan", "isinf", "isfinite",
    "logical_not",
]  # fmt: skip
BINARY = [
    "add", "subtract", "multiply", "divide", "copysign", "pow", "hypot", "remainder", "floor_divide", "maximum",
    "minimum", "at_least", "at_most", "logaddexp", "atan2", "equal", "not_equal", "less", "less_equal", "greater",
    "greater_equal", "logical_and", "logical_or", "logical_xor",
]  # fmt: skip
BITS = ["bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift"]
ODD = [0.0, -0.0, 1.0, -1.0, 0.1, -0.1, 2.5, -2.5, 0.5, 1.5, 7.0, 1e-3, INF, -INF, NAN]
SHAPES: list[tuple[int, ...]] = [(), (0,), (1,), (7,), (3, 5), (2, 1, 4), (2, 0, 3)]


@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str, rng: Generator) -> None:
    for dtype in FLOATS:
        agree(name, np.array(ODD, dtype))
        for shape in SHAPES:
            agree(name, numbers(rng, shape, dtype))
        for x in layouts(numbers(rng, (3, 5), dtype)):
            agree(name, x)
    # Of small integers SciPy makes float32 and CuPy float64 here: dispatch decides the dtype.
    for dtype in INTEGERS if name not in ("reciprocal", "rsqrt", "lgamma", "erf", "erfc") else ():
        agree(name, numbers(rng, (3, 4), dtype))
    if name not in ("erf", "erfc", "lgamma"):
        agree(name, numbers(rng, (6,), bool))


@pytest.mark.parametrize("name", BINARY)
def test_binary(name: str, rng: Generator) -> None:
    pairs = [np.array(x) for x in zip(*itertools.product(ODD, ODD))]
    for dtype in FLOATS:
        a, b = [x.astype(dtype) for x in pairs]
        if dtype.itemsize == 2 and name == "floor_divide":  # 1 / 0.001 differs by the rounding of 0.001
            a, b = a[np.abs(b) != 0.001], b[np.abs(b) != 0.001]
        agree(name, a, b, exact=name in ("remainder", "floor_divide") and dtype.itemsize > 2)
        agree(name, numbers(rng, (3, 1, 4), dtype), numbers(rng, (5, 1), dtype, 0.5))
        agree(name, numbers(rng, (0, 3), dtype), numbers(rng, (3,), dtype))
        for number in (2, 0.5, -3, True, 0.0):
            agree(name, numbers(rng, (6,), dtype), number)
            agree(name, number, numbers(rng, (6,), dtype, 0.5))
    agree(name, 2.0, 3.0)


@pytest.mark.parametrize("name", BINARY)
def test_binary_of_integers(name: str, rng: Generator) -> None:
    for one, other in itertools.product(("b", "B", "i", "l", "?", "f", "d"), repeat=2):
        a, b = numbers(rng, (9,), one), numbers(rng, (9,), other)
        agree(name, a, np.abs(b) if name == "pow" and b.dtype.kind == "i" else b)
    for one in ("b", "B", "h", "i", "I", "l", "L", "?"):
        a = numbers(rng, (9,), one)
        for number in (2, True, 0.5, 300, -1):
            agree(name, a, number)
            if name != "pow":
                agree(name, number, a)


def test_comparisons_with_huge_numbers() -> None:
    for dtype in ("i", "l", "L", "B"):
        held = np.iinfo(dtype)
        x = np.array([held.min, 0, held.max], dtype)
        for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"):
            for number in (held.max + 1, held.min - 1, 1 << 80, held.max, held.min):
                agree(name, x, number)
                agree(name, number, x)


@pytest.mark.parametrize("name", BITS)
def test_bits(name: str, rng: Generator) -> None:
    for dtype in (*INTEGERS, np.dtype(bool)):
        a, b = numbers(rng, (40,), dtype), numbers(rng, (40,), dtype)
        agree(name, a, b)
        agree(name, a, 3)
        if "shift" in name and dtype.kind in "iu":
            agree(name, a, np.full(40, 100, dtype))
            agree(name, a, np.arange(40).astype(dtype))
    agree("bitwise_invert", numbers(rng, (5,), dtype))


def test_powers(rng: Generator) -> None:
    for dtype in (*FLOATS, np.dtype("i"), np.dtype("l")):
        x = np.abs(numbers(rng, (3, 4), dtype)) + dtype.type(1)
        for exponent in (-1, 0, 0.5, 1, 2, 3, 5, -2, 2.5, 20, 0.0, 2.0):
            agree("power_by_scalar", x, exponent)
            agree("pow", x, exponent)
    agree("pow", np.array([1, 2]), np.array([1, -1]))
    agree("power_by_scalar", np.array([-0.0, -INF, NAN]), 0.5)
    agree("power_by_scalar", np.array([-0.0, -INF, NAN]), 0)


def test_choices(rng: Generator) -> None:
    mask = numbers(rng, (3, 4), bool)
    for dtype in (*FLOATS, *INTEGERS, np.dtype(bool)):
        a, b = numbers(rng, (3, 4), dtype), numbers(rng, (3, 4), dtype)
        agree("where", mask, a, b, exact=True)
        agree("where", mask[0], a, 0)
        agree("where", mask, 1, b)
        agree("where", a, a, b)
        if dtype.kind != "b":
            agree("clip", a, min=-1 if dtype.kind != "u" else 1)
            agree("clip", a, max=2)
            agree("clip", a, min=3, max=1)
    agree("where", mask, 1, 0.5)
    agree("where", mask, 1, 2)
    agree("where", True, 1.0, 2.0)
    for source, target in itertools.product((SINGLE, HALF, BFLOAT, np.dtype("i"), np.dtype(bool)), repeat=2):
        agree("astype", numbers(rng, (5,), source), dtype=target)
    agree("erfinv", np.array([-1.0, -0.5, 0.0, 0.7, 1.0, 1.5, NAN]))


# -- reductions ---------------------------------------------------------------------------------------------------

REDUCTIONS = [
    "sum", "prod", "mean", "var", "std", "logsumexp", "vector_norm", "max", "min", "any", "all", "count_nonzero",
]  # fmt: skip
AXES: list[Any] = [None, 0, -1, 1, (0, 1), (0, 2), (), (0, 0), 5]


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name: str, rng: Generator) -> None:
    dtypes = (*FLOATS, np.dtype("i"), np.dtype("B"), np.dtype(bool)) if name != "var" and name != "std" else FLOATS
    for dtype, axis, keepdims in itertools.product(dtypes, AXES, (False, True)):
        for x in layouts(numbers(rng, (3, 4, 5), dtype, 0.5, 1.5)):
            agree(name, x, axis=axis, keepdims=keepdims)
        for shape in ((0,), (2, 0), (0, 3), (2, 0, 3), ()):
            agree(name, numbers(rng, shape, dtype), axis=axis, keepdims=keepdims)
    for axis in (None, 0, -1):
        agree(name, np.array(2.0), axis=axis)
        agree(name, np.array([[1.0, NAN, INF], [-INF, 2.0, -INF]]), axis=axis)
        agree(name, np.array([[INF, 1.0], [-INF, -INF]], HALF), axis=axis)


def test_reductions_into_other_dtypes(rng: Generator) -> None:
    for name, source, target in itertools.product(("sum", "prod"), "beifd?B", "beifd?B"):
        x = numbers(rng, (3, 4), source, 1, 2)
        agree(name, x, axis=0, dtype=np.dtype(target))
    agree("sum", numbers(rng, (3, 4)), axis=0, dtype=BFLOAT)
    agree("sum", numbers(rng, (3, 4)), axis=0, dtype=np.dtype(complex))
    for ord in (0, 1, 2, 3, 0.5, INF, -INF, -1):
        for dtype in FLOATS:
            agree("vector_norm", numbers(rng, (3, 4), dtype, 0.5, 2), ord=ord, axis=1)
            agree("vector_norm", numbers(rng, (3, 0), dtype), ord=ord, axis=1)
    for correction in (0, 1, 0.5, 3, 4):
        agree("var", numbers(rng, (3, 4)), axis=0, correction=correction)
        agree("std", numbers(rng, (3, 4), HALF), axis=0, correction=correction)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_arg_extrema(name: str, rng: Generator) -> None:
    for dtype in (*FLOATS, np.dtype("i"), np.dtype("B"), np.dtype(bool)):
        for axis, keepdims in itertools.product((None, 0, 1, -1, 7), (False, True)):
            agree(name, numbers(rng, (4, 9), dtype).round(), axis=axis, keepdims=keepdims)
            for shape in ((), (0,), (0, 3), (3, 0)):
                agree(name, numbers(rng, shape, dtype), axis=axis, keepdims=keepdims)
    x = np.array([[1.0, NAN, 3.0, NAN], [0.0, -0.0, INF, INF], [-INF, 2, -INF, 2]])
    for axis in (None, 0, 1):
        agree(name, x, axis=axis)


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_running_totals(name: str, rng: Generator) -> None:
    for dtype, axis in itertools.product((*FLOATS, *INTEGERS, np.dtype(bool)), (None, 0, 1, -1, 4)):
        agree(name, numbers(rng, (3, 4), dtype), axis=axis)
        agree(name, numbers(rng, (0, 4), dtype), axis=axis)
        agree(name, numbers(rng, (), dtype), axis=axis)
    for source, target in itertools.product("beif?", "beif?"):
        agree(name, numbers(rng, (3, 4), source), axis=1, dtype=np.dtype(target))


def test_products_of_others(rng: Generator) -> None:
    for dtype, axis in itertools.product(FLOATS, (None, 0, -1, (0, 1), (0, 2))):
        x = numbers(rng, (3, 4, 2), dtype, 0.5, 2)
        x[1, 2] = 0
        agree("product_of_others", x, axis=axis)
        agree("product_of_others", numbers(rng, (0, 4, 2), dtype), axis=axis)
    agree("product_of_others", numbers(rng, (1,)), axis=0)
    for dtype, axis, zeros in itertools.product(FLOATS, (0, 1, -1), (False, True)):
        g, x = numbers(rng, (3, 5), dtype), numbers(rng, (3, 5), dtype, 0.5, 2)
        if zeros:
            x[1, 2] = x[0, 4] = 0
        y = np.cumprod(x.astype(DOUBLE), axis).astype(dtype)
        agree("cumprod_gradient", g, x, y, axis=axis)
    agree("cumprod_gradient", *[np.zeros((0, 3))] * 3, axis=1)


# -- sorting ------------------------------------------------------------------------------------------------------


def test_sorting(rng: Generator) -> None:
    for dtype in (*FLOATS, *INTEGERS, np.dtype(bool)):
        for axis, descending in itertools.product((0, 1, -1, 3), (False, True)):
            for x in layouts(numbers(rng, (4, 7), dtype).round()):
                agree("sort", x, axis=axis, descending=descending, exact=True)
                agree("argsort", x, axis=axis, descending=descending)
            agree("sort", numbers(rng, (0, 3), dtype), axis=axis, descending=descending)
            agree("argsort", numbers(rng, (3, 0), dtype), axis=axis, descending=descending)
    agree("sort", np.array(1.0))
    for dtype in FLOATS:
        x = np.array([[NAN, 1, INF, NAN], [0.0, -0.0, 0.0, NAN]], dtype)
        for descending in (False, True):
            agree("sort", x, descending=descending)
            agree("argsort", x, descending=descending)
            agree("top_indices", x, count=2, largest=descending)


def test_top_indices_and_permutations(rng: Generator) -> None:
    for count, axis, largest in itertools.product((0, 1, 3, 5, 9), (0, -1), (False, True)):
        agree("top_indices", numbers(rng, (5, 30)).round(), count=count, axis=axis, largest=largest)
    for axis in (0, 1):
        order = rng.random((4, 6)).argsort(axis)
        agree("inverse_permutation", order, axis=axis)
        agree("inverse_permutation", order.astype("i"), axis=axis)
    agree("inverse_permutation", np.zeros((0, 3), int), axis=0)


def test_searchsorted(rng: Generator) -> None:
    for one, other, side in itertools.product("fdile", "fdile", ("left", "right")):
        x = np.sort(numbers(rng, (9,), one))
        agree("searchsorted", x, numbers(rng, (3, 5), other), side=side)
    x = np.array([1.0, 2.0, 2.0, NAN])
    for side in ("left", "right", "middle"):
        agree("searchsorted", x, np.array([NAN, 2.0, 0.0, 9.0]), side=side)
        agree("searchsorted", x, 2.0, side=side)
        agree("searchsorted", x[:0], np.array([1.0]), side=side)
    agree("searchsorted", np.zeros((2, 2)), np.array([1.0]))


# -- shapes -------------------------------------------------------------------------------------------------------


def shape_calls(rng: Generator, dtype: Any) -> list[tuple[Any, ...]]:
    x, y = numbers(rng, (2, 3, 4), dtype), numbers(rng, (3, 4), dtype)
    calls: list[tuple[Any, ...]] = [
        ("broadcast_to", x, {"shape": (5, 2, 3, 4)}),
        ("broadcast_to", y, {"shape": (60, 3, 4)}),
        ("broadcast_to", y, {"shape": (2, 4)}),
        *[("sum_to", x, {"shape": s}) for s in ((), (3, 4), (4,), (1, 4), (2, 1, 1), (2, 3, 4), (1, 1, 1))],
        *[("reshape", x, {"shape": s}) for s in ((4, 6), (-1,), (2, -1, 2), (5, 5))],
        ("permute_dims", x, {"axes": (2, 0, 1)}),
        ("swapaxes", x, {"axis1": 0, "axis2": -1}),
        ("swapaxes", x, {"axis1": 0, "axis2": 5}),
        ("matrix_transpose", x, {}),
        ("moveaxis", x, {"source": 0, "destination": -1}),
        ("moveaxis", x, {"source": (0, 1), "destination": (-1, 0)}),
        *[("expand_dims", x, {"axis": a}) for a in (0, -1, 2, (0, 3), 9)],
        *[("squeeze", numbers(rng, (1, 3, 1), dtype), {"axis": a}) for a in (None, 0, (0, 2), 1)],
        *[("narrow", x, {"axis": a, "start": 1, "length": n}) for a, n in ((0, 1), (-1, 3), (1, 5))],
        *[("flip", x, {"axis": a}) for a in (None, 0, (0, -1), 3)],
        *[("roll", x, {"shift": s, "axis": a}) for s, a in ((2, None), (-1, 1), ((1, 2), (0, 2)), (7, 0))],
        *[("tile", y, {"repetitions": r}) for r in (2, (2, 3), (2, 1, 2), ())],
        *[("repeat", x, {"repeats": r, "axis": a}) for r, a in ((2, None), (3, 1), ((1, 0, 2), 1), ((2,), 0), (-1, 0))],
        ("repeat", x, {"repeats": (1, 2), "axis": 1}),
        ("repeat", x, {"repeats": (0.5,), "axis": 1}),
        *[("tril", x, {"k": k}) for k in (0, 1, -2)],
        *[("triu", x, {"k": k}) for k in (0, 1, -2)],
        ("tril", y[0], {}),
        *[("diagonal", x, {"offset": k}) for k in (0, 1, -1, 9)],
        ("diagonal", x, {"offset": 1, "axis1": 0, "axis2": 2}),
        *[("diag", z, {"offset": k}) for z, k in itertools.product((y, y[0], y[0, 0]), (0, 2, -1))],
        ("fill_diagonal", numbers(rng, (2, 3), dtype), {"shape": (2, 4, 3)}),
        ("fill_diagonal", numbers(rng, (2, 2), dtype), {"shape": (2, 3, 3), "offset": -1}),
        ("fill_diagonal", numbers(rng, (3, 2), dtype), {"shape": (2, 3, 3), "offset": 1, "axis1": 0, "axis2": 2}),
        ("fill_diagonal", numbers(rng, (2, 0), dtype), {"shape": (2, 3, 3), "offset": 5}),
    ]
    return calls


@pytest.mark.parametrize("dtype", [SINGLE, HALF, BFLOAT, np.dtype("i"), np.dtype(bool)], ids=str)
def test_shapes(dtype: Any, rng: Generator) -> None:
    for name, x, params in shape_calls(rng, dtype):
        for given in layouts(x):
            agree(name, given, **params, exact=name != "sum_to")
    for name, axis in itertools.product(("concat_arrays", "stack_arrays"), (0, 1, -1, 2)):
        agree(name, *[numbers(rng, (2, 3), dtype) for _ in range(3)], axis=axis)
        agree(name, numbers(rng, (2, 3), dtype), numbers(rng, (2, 2), dtype), axis=axis)
    agree("concat_arrays", numbers(rng, (2, 3), dtype), numbers(rng, (4,), dtype), axis=None)
    agree("concat_arrays", numbers(rng, (2,), "i"), numbers(rng, (2,), "f"), axis=0)
    agree("overwrite", numbers(rng, (2, 3), dtype), numbers(rng, (3,), SINGLE))
    agree("overwrite", numbers(rng, (2, 3), dtype), 1)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
def test_pad(mode: Any, rng: Generator) -> None:
    for dtype in (*FLOATS, np.dtype("i"), np.dtype(bool)):
        x = numbers(rng, (3, 4), dtype)
        for given, width in itertools.product(layouts(x), (2, (1, 3), ((0, 2), (5, 1)), ((1,), (2,)), 11)):
            agree("pad", given, pad_width=width, mode=mode, exact=True)
        agree("pad", x, pad_width=-1, mode=mode)
        agree("pad", x, pad_width=0.5, mode=mode)
        agree("pad", np.zeros((0, 3), dtype), pad_width=1, mode=mode)
        if mode != "constant" and dtype in FLOATS:
            for widths in (((1, 2), (0, 0)), ((0, 0), (9, 4))):
                padded = np.pad(x.astype(DOUBLE), widths, mode).astype(dtype)
                agree("unpad", padded, pad_width=widths, mode=mode)
    if mode == "constant":
        agree("pad", x, pad_width=((1, 1), (0, 2)), constant_values=1)
        agree("pad", numbers(rng, (2, 3)), pad_width=((1, 1), (0, 2)), constant_values=2.5)


def test_unrepeat(rng: Generator) -> None:
    for dtype in (*FLOATS, np.dtype("i"), np.dtype("b")):
        agree("unrepeat", numbers(rng, (2, 6), dtype), repeats=3, axis=1, length=2)
        agree("unrepeat", numbers(rng, (6, 2), dtype), repeats=(1, 0, 5), axis=0, length=3)
