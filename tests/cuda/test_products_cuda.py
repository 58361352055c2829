"""Matrix products of the CUDA backend against NumPy: on the emulator with a strict reference in cuBLASLt's place.

Where GRADENGINE_TEST_CUDA is "device", the same tests run with cuBLASLt itself, but for those about the reference. The
last of these plant faults and see it catch them.
"""

from __future__ import annotations

import ctypes
import dataclasses
import itertools
import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gradengine_kernels.cupy_cuda import driver
from gradengine_kernels.cupy_cuda.driver import CudaError
from gradengine_kernels.cupy_cuda.gemm import cublaslt, kernels, plans
from gradengine_kernels.cupy_cuda.gemm.cublaslt import Compute, Data, Desc, Layout
from gradengine_kernels.cupy_cuda.gemm.product import Product
from gradengine_kernels.cupy_cuda.lazy_cupy import cp
from gradengine_kernels.numpy_cpu import linalg
from tests.cuda import fake_cupy, reference_products

FLOATS = ["float64", "float32", "float16", "bfloat16"]
ROUNDING = {"float64": 1e-13, "float32": 2e-5, "float16": 2e-3, "bfloat16": 1.6e-2}


ON_DEVICE = os.environ.get("GRADENGINE_TEST_CUDA") == "device"


class Watched:
    """cuBLASLt itself, with the reference's counts."""

    def __init__(self, real: Any) -> None:
        self.real, self.products, self.questions = real, 0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def matmul(self, *arguments: int) -> Any:
        self.products += 1
        return self.real.matmul(*arguments)

    def matmul_algo_get_heuristic(self, *arguments: int) -> Any:
        self.questions += 1
        return self.real.matmul_algo_get_heuristic(*arguments)


@pytest.fixture
def lt() -> Iterator[Any]:
    """What computes products, new for each test: the reference, or cuBLASLt itself."""
    before = cublaslt.found
    if ON_DEVICE:
        kernels.forget()
        cublaslt.found = Watched(cublaslt.lib())
    else:
        fake_cupy.install()
        reference_products.install()
    yield cublaslt.found
    kernels.forget()
    cublaslt.found = before


@pytest.fixture
def reference(lt: Any) -> reference_products.Reference:
    """The reference; the test skips where cuBLASLt itself computes."""
    if ON_DEVICE:
        pytest.skip("about the reference, which cuBLASLt itself replaces here")
    return lt


def dtype_of(name: str) -> np.dtype[Any]:
    if name == "bfloat16":
        return np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    return np.dtype(name)


def draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Any:
    """An array on the device, and the same numbers as float64."""
    host = rng.standard_normal(shape).astype(dtype_of(dtype))
    return cp.asarray(host), host.astype(np.float64)


def close(got: Any, want: Any, dtype: str, terms: int = 1) -> None:
    assert got.dtype == dtype_of(dtype)
    assert got.shape == want.shape
    tolerance = ROUNDING[dtype] * max(1.0, math.sqrt(terms))
    np.testing.assert_allclose(cp.asnumpy(got).astype(np.float64), want, rtol=ROUNDING[dtype], atol=tolerance)


# How the same matrices may lie in memory: each takes a NumPy array to the device.
LAYOUTS = {
    "packed": lambda x: cp.asarray(x),
    "transposed": lambda x: cp.asarray(np.ascontiguousarray(np.moveaxis(x, -1, -2))).swapaxes(-1, -2),
    "columns": lambda x: cp.asarray(np.concatenate([x, x + 1, x], -1))[..., : x.shape[-1]],
    "rows": lambda x: cp.asarray(np.concatenate([x + 1, x], -2))[..., x.shape[-2] :, :],
    "transposed columns": lambda x: LAYOUTS["columns"](np.moveaxis(x, -1, -2)).swapaxes(-1, -2),
    "batch last": lambda x: cp.asarray(np.ascontiguousarray(np.moveaxis(x, 0, -1))).transpose(
        x.ndim - 1, *range(x.ndim - 1)
    ),
    "every second": lambda x: cp.asarray(np.repeat(x, 2, -1))[..., ::2],
    "reversed": lambda x: cp.asarray(np.ascontiguousarray(x[..., ::-1, :]))[..., ::-1, :],
    "reversed batch": lambda x: cp.asarray(np.ascontiguousarray(x[::-1]))[::-1],
    "offset": lambda x: cp.asarray(np.concatenate([x.reshape(-1)[:1], x.reshape(-1)]))[1:].reshape(x.shape),
}
IN_PLACE = ["packed", "transposed", "columns", "rows", "transposed columns", "offset"]  # cuBLASLt reads these as is

SHAPES = [
    ((3, 5), (5, 7)),
    ((1, 1), (1, 1)),
    ((1, 130), (130, 3)),
    ((7, 1), (1, 2)),
    ((5,), (5, 7)),
    ((3, 5), (5,)),
    ((2, 3, 5), (5,)),
    ((5,), (2, 5, 7)),
    ((2, 3, 5), (5, 4)),
    ((3, 5), (2, 5, 4)),
    ((6, 3, 5), (6, 5, 4)),
    ((2, 3, 4, 5), (2, 3, 5, 1)),
    ((2, 3, 1, 5), (5, 4)),
    ((2, 1, 4, 5), (3, 5, 2)),
    ((1, 3, 4, 5), (2, 1, 5, 2)),
    ((4, 1, 3, 5), (1, 6, 5, 2)),
    ((1, 1, 3, 5), (4, 5, 2)),
    ((33, 100), (100, 17)),
]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_matmul(shapes, dtype, lt, rng):
    (a, x), (b, y) = (draw(rng, shape, dtype) for shape in shapes)
    close(kernels.matmul(a, b), np.matmul(x, y), dtype, shapes[0][-1])
    assert lt.products == 1


@pytest.mark.parametrize("layout_b", LAYOUTS)
@pytest.mark.parametrize("layout_a", LAYOUTS)
@pytest.mark.parametrize("shapes", [((3, 5), (5, 7)), ((4, 3, 5), (4, 5, 2)), ((4, 6, 5), (5, 2))], ids=str)
def test_matmul_of_operands_as_they_lie(shapes, layout_a, layout_b, lt, rng, monkeypatch):
    x, y = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    a, b = LAYOUTS[layout_a](x), LAYOUTS[layout_b](y)
    before = cp.asnumpy(a), cp.asnumpy(b)
    np.testing.assert_array_equal(before[0], x)
    copies = []
    copy = cp.ascontiguousarray
    monkeypatch.setattr(cp, "ascontiguousarray", lambda x: copies.append(x) or copy(x))
    close(kernels.matmul(a, b), np.matmul(x.astype(float), y.astype(float)), "float32", 5)
    if layout_a in IN_PLACE and layout_b in IN_PLACE:
        assert not copies
    np.testing.assert_array_equal(cp.asnumpy(a), before[0])
    np.testing.assert_array_equal(cp.asnumpy(b), before[1])


@pytest.mark.parametrize("shapes", [((2, 3, 4, 5), (5, 6)), ((2, 3, 1, 5), (5,)), ((7, 1, 5), (5, 6))], ids=str)
def test_a_batch_times_one_matrix_is_one_tall_product(shapes, lt, rng, monkeypatch):
    seen = []
    monkeypatch.setattr(kernels, "plan", lambda product: seen.append(product) or plans.plan(product))
    (a, x), (b, y) = (draw(rng, shape, "float32") for shape in shapes)
    close(kernels.matmul(a, b), np.matmul(x, y), "float32", 5)
    assert [p.batch for p in seen] == [1]


def test_broadcast_matrices_are_not_copied(lt, rng, monkeypatch):
    a, x = draw(rng, (3, 5), "float32")
    b, y = draw(rng, (4, 5, 2), "float32")
    wide = cp.broadcast_to(a, (4, 3, 5))
    monkeypatch.setattr(cp, "ascontiguousarray", None)
    close(kernels.matmul(wide, b), np.matmul(x, y), "float32", 5)
    close(kernels.matmul(b.swapaxes(1, 2), wide.swapaxes(1, 2)), np.matmul(y.swapaxes(1, 2), x.T), "float32", 5)


@pytest.mark.parametrize(("rows", "step"), [(1, 2), (3, 2), (3, 15)])
def test_windows_that_overlap(rows, step, lt, rng):
    memory, host = draw(rng, (60,), "float32")
    b, y = draw(rng, (5, 2), "float32")
    for shape, steps in (((4, rows, 5), (step, 5, 1)), ((4, 5), (2, 1))):
        a = cp.ndarray(shape, np.float32, memptr=memory.data, strides=tuple(4 * n for n in steps))
        x = np.lib.stride_tricks.as_strided(host, shape, tuple(8 * n for n in steps))
        close(kernels.matmul(a, b), np.matmul(x, y), "float32", 5)


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("shapes", [((3, 5), (5, 7)), ((5,), (5,)), ((2, 3, 5), (5,)), ((3, 0), (0, 2))], ids=str)
def test_integers_and_bool_multiply_exactly(shapes, dtype, lt, rng):
    x, y = (rng.integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype) for shape in shapes)
    got = kernels.matmul(cp.asarray(x), cp.asarray(y))
    assert got.dtype == x.dtype
    np.testing.assert_array_equal(cp.asnumpy(got), np.matmul(x, y))


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        ("float32", "float64", "float64"),
        ("int32", "float32", "float64"),
        ("int8", "float16", "float16"),
        ("bool", "float32", "float32"),
        ("float16", "float32", "float32"),
        ("bfloat16", "float32", "float32"),
        ("int64", "bool", "int64"),
        ("bfloat16", "float16", "float32"),
        ("bfloat16", "float64", "float64"),
        ("int16", "bfloat16", "bfloat16"),
        ("bfloat16", "int32", "float64"),
    ],
)
def test_mixed_dtypes_are_promoted_as_numpy_does(first, second, result, lt):
    x = np.arange(6).reshape(2, 3).astype(dtype_of(first))
    y = np.arange(6).reshape(3, 2).astype(dtype_of(second))
    got = kernels.matmul(cp.asarray(x), cp.asarray(y))
    assert got.dtype == dtype_of(result)
    wide = "float64" if result == "bfloat16" else result  # in which NumPy multiplies
    np.testing.assert_array_equal(cp.asnumpy(got), np.matmul(x.astype(wide), y.astype(wide)))
    dot = kernels.vecdot(cp.asarray(x), cp.asarray(y.T))
    assert dot.dtype == got.dtype
    np.testing.assert_array_equal(cp.asnumpy(dot), np.vecdot(x.astype(wide), y.T.astype(wide)))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32"])
@pytest.mark.parametrize(
    "shapes",
    [((0, 3), (3, 2)), ((2, 0), (0, 3)), ((2, 3), (3, 0)), ((0, 2, 3), (3, 2)), ((0,), (0, 3)), ((0,), (0,))],
    ids=str,
)
def test_empty_products_never_reach_the_library(shapes, dtype, lt):
    x, y = (np.ones(shape, dtype_of(dtype)) for shape in shapes)
    got = kernels.matmul(cp.asarray(x), cp.asarray(y))
    assert got.dtype == x.dtype
    assert got.shape == np.matmul(np.ones(shapes[0]), np.ones(shapes[1])).shape
    assert not cp.asnumpy(got).any()
    assert not lt.questions


@pytest.mark.parametrize(
    "shapes",
    [((2, 3), (4, 2)), ((3,), (4,)), ((2, 3), (2,)), ((), (2,)), ((2, 2), ()), ((2, 3, 3), (4, 3, 3))],
    ids=str,
)
def test_what_does_not_fit_is_refused_in_numpys_words(shapes, lt):
    x, y = (np.ones(shape, np.float32) for shape in shapes)
    with pytest.raises(ValueError, match=r".") as theirs:
        np.matmul(x, y)
    with pytest.raises(ValueError, match=r".") as ours:
        kernels.matmul(cp.asarray(x), cp.asarray(y))
    if "broadcast" in str(theirs.value):
        assert "broadcast" in str(ours.value)
    else:
        assert str(ours.value) == str(theirs.value).replace("vecdot", "matmul")


def test_numbers_and_arrays_of_the_host_are_refused(lt):
    a = cp.asarray(np.ones((2, 2), np.float32))
    for kernel in (kernels.matmul, kernels.linear_no_bias, kernels.vecdot):
        with pytest.raises(ValueError, match=r"dimension"):
            kernel(a, 2.0)
    with pytest.raises(ValueError, match=r"operand 0 does not have enough dimensions"):
        kernels.linear(2.0, a, a)
    with pytest.raises(TypeError, match=r"matmul: all operands must be CuPy arrays"):
        kernels.matmul(a, np.ones((2, 2), np.float32))


# -- linear and vecdot ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", ["packed", "transposed", "columns", "every second"])
@pytest.mark.parametrize("shape", [(4, 5), (5,), (2, 3, 5), (1, 5), (0, 5), (4, 0)], ids=str)
def test_linear(shape, layout, dtype, lt, rng):
    host = rng.standard_normal((3, shape[-1])).astype(dtype_of(dtype))
    weight, w = LAYOUTS[layout](host), host.astype(np.float64)
    (x, hx), (bias, hb) = draw(rng, shape, dtype), draw(rng, (3,), dtype)
    close(kernels.linear_no_bias(x, weight), linalg.linear_no_bias(hx, w), dtype, shape[-1])
    close(kernels.linear(x, weight, bias), linalg.linear(hx, w, hb), dtype, shape[-1])


def test_linear_adds_the_bias_in_the_product_where_cublaslt_does(lt, rng, monkeypatch):
    monkeypatch.setattr(kernels, "add_bias", None)
    for shape in ((4, 5), (5,), (2, 3, 5)):
        (x, hx), (w, hw), (b, hb) = (draw(rng, s, "float32") for s in (shape, (3, 5), (3,)))
        close(kernels.linear(x, w, b), linalg.linear(hx, hw, hb), "float32", 5)


@pytest.mark.parametrize("dtypes", [*itertools.product(["float64", "float32", "int32"], repeat=3)], ids=str)
def test_linear_promotes_as_numpy_does(dtypes, lt):
    x, w, b = (np.arange(math.prod(shape)).reshape(shape) for shape in ((4, 5), (3, 5), (3,)))
    host = [array.astype(dtype) for array, dtype in zip((x, w, b), dtypes)]
    want = linalg.linear(*host)
    got = kernels.linear(*map(cp.asarray, host))
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(cp.asnumpy(got), want)


def test_linear_with_a_bias_that_is_a_view(lt, rng):
    (x, hx), (w, hw), (b, hb) = (draw(rng, s, "float32") for s in ((4, 5), (3, 5), (6,)))
    close(kernels.linear(x, w, b[::2]), linalg.linear(hx, hw, hb[::2]), "float32", 5)
    close(kernels.linear(x, w, b[1:4]), linalg.linear(hx, hw, hb[1:4]), "float32", 5)
    one = cp.broadcast_to(b[:1], (3,))
    close(kernels.linear(x, w, one), linalg.linear(hx, hw, np.repeat(hb[:1], 3)), "float32", 5)


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (((4, 5), (5,), (5,)), "weight must have two dimensions"),
        (((4, 5), (3, 6), (3,)), "mismatch in its core dimension"),
        (((4, 5), (3, 5), (1,)), "bias must have one element per row"),
        (((4, 5), (3, 5), (5, 3)), "bias must have one element per row"),
        (((), (3, 5), (3,)), "does not have enough dimensions"),
    ],
)
def test_linear_refuses_what_numpy_refuses(shapes, words, lt):
    host = [np.ones(shape, np.float32) for shape in shapes]
    for kernel, arrays in ((linalg.linear, host), (kernels.linear, [cp.asarray(x) for x in host])):
        with pytest.raises(ValueError, match=words):
            kernel(*arrays)


@pytest.mark.parametrize("dtype", [*FLOATS, "int32", "bool"])
@pytest.mark.parametrize(
    ("first", "second", "axis"),
    [((5,), (5,), -1), ((5,), (5,), 0), ((3, 5), (5,), -1), ((5, 3), (5, 3), 0), ((2, 3, 5), (4, 1, 3, 5), -1)],
)
def test_vecdot(first, second, axis, dtype, lt, rng):
    kind = dtype_of(dtype)
    x, y = ((rng.standard_normal(shape) * 3).astype(kind) for shape in (first, second))
    got = kernels.vecdot(cp.asarray(x), cp.asarray(y), axis=axis)
    if dtype in FLOATS:
        close(got, np.vecdot(x.astype(float), y.astype(float), axis=axis), dtype, 5)
    else:
        want = np.vecdot(x, y, axis=axis)
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(cp.asnumpy(got), want)


def test_vecdot_of_nothing_and_of_what_does_not_fit(lt):
    empty = cp.asarray(np.ones((2, 0), np.float32))
    np.testing.assert_array_equal(cp.asnumpy(kernels.vecdot(empty, empty)), [0, 0])
    a = cp.asarray(np.ones((2, 3), np.float32))
    with pytest.raises(ValueError, match=r"vecdot: .*size 2 is different from 3"):
        kernels.vecdot(a, cp.asarray(np.ones(2, np.float32)))
    with pytest.raises(ValueError, match=r"vecdot: .*operand 1 does not have enough dimensions"):
        kernels.vecdot(a, cp.asarray(np.float32(1)))


def test_halves_are_summed_as_float32(lt):
    """4096 ones and then 4096 times 1/4096: in float16 itself the sum would stay at 2048 or 4096."""
    x = np.concatenate([np.ones(4096), np.full(4096, 0.25)]).astype(np.float16)
    ones = cp.asarray(np.ones(8192, np.float16))
    assert float(kernels.vecdot(cp.asarray(x), ones)) == 5120
    assert float(kernels.matmul(cp.asarray(x[None]), ones)[0]) == 5120
    large = np.array([300, 300], np.float16)  # whose square float16 does not hold
    assert float(kernels.vecdot(cp.asarray(large), cp.asarray(large * np.float16([1, -1])))) == 0


# -- products of programs -------------------------------------------------------------------------------------------


def run(p: Product, a: Any, b: Any, d: Any, bias: Any = None, aux: Any = None, **scalars: float) -> Any:
    ready = plans.plan(p)
    ready.run(
        a.data.ptr,
        b.data.ptr,
        d.data.ptr,
        0 if bias is None else bias.data.ptr,
        0 if aux is None else aux.data.ptr,
        **scalars,
    )
    return ready


def gelu(x: Any) -> Any:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def slope(x: Any) -> Any:
    return (gelu(x + 1e-5) - gelu(x - 1e-5)) / 2e-5


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize(("ta", "tb"), [(False, False), (False, True), (True, False)])
@pytest.mark.parametrize(("m", "n", "k"), [(3, 5, 4), (2, 130, 7), (16, 8, 100)])
@pytest.mark.parametrize("epilogue", [name for name in cublaslt.EPILOGUES if name])
def test_epilogues(epilogue, m, n, k, ta, tb, dtype, lt, rng):
    p = Product(dtype, m, n, k, ta=ta, tb=tb, epilogue=epilogue)
    (a, x), (b, y) = draw(rng, p.stored("a"), dtype), draw(rng, p.stored("b"), dtype)
    x, y = x.T if ta else x, y.T if tb else y
    bias, hb = draw(rng, (p.bias_length,), dtype)
    d = cp.empty((m, n), dtype_of(dtype))
    aux = cp.empty((p.aux_bytes,), np.uint8)
    product = x @ y
    sign = product
    if "aux" in epilogue or epilogue.startswith("d"):
        sign = product + (hb if "bias" in epilogue else 0)
    if epilogue.startswith("d"):
        kind, sign = epilogue[1:5], rng.standard_normal((m, n))
        if kind == "relu":
            bits = np.zeros((m, p.aux_ld), bool)
            bits[:, :n] = sign > 0
            aux = cp.asarray(np.packbits(bits, axis=1, bitorder="little").reshape(-1))
            want = product * (sign > 0)
        else:
            held = np.zeros((m, p.aux_ld), dtype_of(dtype))
            held[:, :n] = sign
            aux = cp.asarray(held.view(np.uint8).reshape(-1))
            want = product * slope(held[:, :n].astype(float))
    else:
        want = product + (hb if "bias" in epilogue else 0)
        want = gelu(want) if "gelu" in epilogue else np.maximum(want, 0) if "relu" in epilogue else want
    if not run(p, a, b, d, bias, aux).epilogue_done:
        assert ON_DEVICE
        pytest.skip("cuBLASLt does not do this here")
    close(d, want, dtype, k)
    if "bgrad" in epilogue:
        sums = {"bgrad_a": y.sum(0), "bgrad_b": x.sum(1)}.get(epilogue, want.sum(0))
        close(bias, sums, dtype, k * max(m, n))
    else:
        np.testing.assert_array_equal(cp.asnumpy(bias).astype(float), hb)
    if "relu_aux" in epilogue:
        bits = np.unpackbits(cp.asnumpy(aux).reshape(m, -1), axis=1, bitorder="little", count=n)
        np.testing.assert_array_equal(bits[abs(sign) > 0.1], (sign > 0)[abs(sign) > 0.1])
    if "gelu_aux" in epilogue:
        held = cp.asnumpy(aux).view(dtype_of(dtype)).reshape(m, p.aux_ld)[:, :n]
        np.testing.assert_allclose(held.astype(float), sign, atol=ROUNDING[dtype] * k, rtol=ROUNDING[dtype])


def test_a_plan_tells_every_run_its_own_addresses(lt, rng):
    p = Product("float32", 2, 3, 4, epilogue="bias")
    (a, x), (b, y) = draw(rng, (2, 4), "float32"), draw(rng, (4, 3), "float32")
    for _ in range(3):
        bias, hb = draw(rng, (3,), "float32")
        d = cp.empty((2, 3), np.float32)
        run(p, a, b, d, bias)
        close(d, x @ y + hb, "float32", 4)


@pytest.mark.parametrize("dtype", FLOATS)
def test_scaled_and_added_to_what_is_there(dtype, lt, rng):
    (a, x), (b, y), (d, z) = (draw(rng, shape, dtype) for shape in ((3, 5), (5, 4), (3, 4)))
    run(Product(dtype, 3, 4, 5), a, b, d, alpha=0.5, beta=2.0)
    close(d, 0.5 * x @ y + 2 * z, dtype, 5)


@pytest.mark.parametrize("epilogue", ["", "bias"])
def test_gaps_and_batches_of_the_result_are_left_alone(epilogue, lt, rng):
    p = Product("float32", 2, 3, 4, batch=2, ldd=5, stride_d=12, epilogue=epilogue)
    (a, x), (b, y) = draw(rng, (2, 2, 4), "float32"), draw(rng, (2, 4, 3), "float32")
    bias, hb = draw(rng, (3,), "float32")
    d = cp.asarray(np.full(24, 7, np.float32))
    assert run(p, a, b, d, bias).epilogue_done
    want = np.full(24, 7.0)
    for i in range(2):
        want[i * 12 : i * 12 + 10].reshape(2, 5)[:, :3] = x[i] @ y[i] + (hb if epilogue else 0)
    close(d, want, "float32", 4)


@pytest.mark.parametrize("beta", [0.0, 1.0])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("ldd", [0, 5])
def test_sums_of_nothing_are_zeros(ldd, batch, beta, lt):
    p = Product("float32", 2, 3, 0, batch=batch, ldd=ldd)
    d = cp.asarray(np.full(p.span("d") // 4 + 2, 7, np.float32))
    run(p, d, d, d, beta=beta)
    want = np.full(d.shape, 7.0)
    for i in range(batch):
        for j in range(2):
            start = i * 2 * p.ldd + j * p.ldd
            want[start : start + 3] *= beta
    close(d, want, "float32")
    assert not lt.questions


def test_nothing_is_written_where_there_is_nothing(lt):
    ready = plans.plan(Product("float32", 0, 3, 2, epilogue="bias"))
    ready.run(0, 0, 0)
    assert not ready.epilogue_done
    with pytest.raises(CudaError, match="beta must be 0 or 1"):
        plans.plan(Product("float32", 2, 3, 0)).run(0, 0, 0, beta=0.5)


# -- plans ----------------------------------------------------------------------------------------------------------


def test_equal_products_share_a_plan_and_one_question(lt, rng):
    one = plans.plan(Product("float32", 3, 4, 5))
    assert plans.plan(Product("float32", 3, 4, 5, lda=5, ldb=4, ldd=4, compute="float32")) is one
    assert plans.plan(Product("float32", 3, 4, 5, lda=6)) is not one
    assert lt.questions == 2
    (a, x), (b, y) = draw(rng, (3, 5), "float32"), draw(rng, (5, 4), "float32")
    for _ in range(3):
        close(kernels.matmul(a, b), x @ y, "float32", 5)
    assert lt.questions == 2
    assert lt.products == 3


def test_plans_that_are_forgotten_give_their_descriptors_back(reference):
    for n in range(1, 20):
        plans.plan(Product("float32", 1, n, 1, epilogue="bias"))
    assert len(reference.things) == 19 * 4
    kernels.forget()
    assert not reference.things


@pytest.mark.parametrize("epilogue", ["bias", "drelu_bgrad"])
def test_an_epilogue_that_the_library_lacks_is_left_out_and_said_so(epilogue, reference, rng):
    (a, x), (b, y) = draw(rng, (3, 5), "float32"), draw(rng, (5, 4), "float32")
    reference.unsupported.add(cublaslt.EPILOGUES[epilogue])
    d = cp.empty((3, 4), np.float32)
    assert not run(Product("float32", 3, 4, 5, epilogue=epilogue), a, b, d).epilogue_done
    close(d, x @ y, "float32", 5)
    bias, hb = draw(rng, (4,), "float32")
    close(kernels.linear(a, cp.asarray(cp.asnumpy(b).T.copy()), bias), x @ y + hb, "float32", 5)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("left", LAYOUTS)
def test_layouts_that_are_not_supported_are_copied(left, dtype, reference, rng):
    reference.plain_only = True
    for right, lay in LAYOUTS.items():
        for shape_a, shape_b in (((3, 5), (5, 7)), ((2, 3, 5), (2, 5, 4)), ((2, 3, 5), (5, 4))):
            if "batch" in left + right and min(len(shape_a), len(shape_b)) < 3:
                continue
            x, y = (rng.standard_normal(shape).astype(dtype_of(dtype)) for shape in (shape_a, shape_b))
            close(kernels.matmul(LAYOUTS[left](x), lay(y)), x.astype(np.float64) @ y.astype(np.float64), dtype, 5)


def test_biases_beside_layouts_that_are_not_supported(reference, rng):
    reference.plain_only = True
    (x, a), (w, b), (bias, c) = draw(rng, (3, 5), "float32"), draw(rng, (4, 5), "float32"), draw(rng, (4,), "float32")
    close(kernels.linear(x, w, bias), a @ b.T + c, "float32", 5)


def test_copies_are_made_in_a_graph_too(reference, rng):
    """Also into a place with gaps, and added to what is there."""
    reference.plain_only = True
    (a, x), (b, y), (d, z) = (draw(rng, shape, "float32") for shape in ((5, 3), (4, 5), (3, 6)))
    ready = plans.plan(Product("float32", 3, 4, 5, ta=True, tb=True, ldd=6))
    work = lambda: ready.run(a.data.ptr, b.data.ptr, d.data.ptr, alpha=2.0, beta=1.0)
    graph = driver.capture(work, ready.warm)
    want = z.copy()
    for _ in range(2):
        graph.launch()
        want[:, :4] += 2 * x.T @ y.T
    close(d, want, "float32", 5)


def test_a_product_that_is_not_supported_at_all(reference, monkeypatch):
    status = cublaslt.NOT_SUPPORTED
    monkeypatch.setattr(reference, "need_plain", lambda *_: (_ for _ in ()).throw(reference_products.refuse(status)))
    reference.plain_only = True
    with pytest.raises(CudaError, match=r"NOT_SUPPORTED: no algorithm for the float32 product \(3, 5\) @ \(5, 4\)"):
        kernels.matmul(cp.ones((3, 5), np.float32), cp.ones((4, 5), np.float32).T)


@pytest.mark.parametrize(
    "p",
    [Product("float64", 2, 3, 4, epilogue="relu"), Product("float32", 2, 3, 4, batch=2, epilogue="relu_aux_bias")],
    ids=str,
)
def test_epilogues_that_are_not_even_asked_for(p, lt):
    assert not plans.plan(p).epilogue_done
    assert lt.questions == 1


def test_tf32_is_a_switch_that_is_off(lt, rng):
    assert not kernels.is_tf32()
    (a, x), (b, y) = draw(rng, (3, 100), "float32"), draw(rng, (100, 4), "float32")
    exact = cp.asnumpy(kernels.matmul(a, b))
    kernels.set_tf32(True)
    try:
        rounded = cp.asnumpy(kernels.matmul(a, b))
        assert plans.plan(Product("float32", 3, 4, 100)).product.compute == "tf32"
        assert plans.plan(Product("float64", 3, 4, 100)).product.compute == "float64"
    finally:
        kernels.set_tf32(False)
    assert abs(exact - x @ y).max() < 1e-4
    assert 1e-4 < abs(rounded - x @ y).max() < 0.1
    np.testing.assert_array_equal(cp.asnumpy(kernels.matmul(a, b)), exact)


def test_a_product_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="lda must be at least 5"):
        Product("float32", 3, 4, 5, lda=4)
    with pytest.raises(ValueError, match="cuBLASLt has none"):
        Product("int32", 3, 4, 5)
    with pytest.raises(ValueError, match="epilogue 'swish'"):
        Product("float32", 3, 4, 5, epilogue="swish")


@pytest.mark.parametrize("epilogue", ["", "bias", "relu_aux_bias"])
def test_captured_products_run_when_the_graph_does(epilogue, lt, rng):
    p = Product("float32", 3, 4, 100, epilogue=epilogue)
    (a, x), (b, y), (bias, hb) = (draw(rng, shape, "float32") for shape in ((3, 100), (100, 4), (4,)))
    d, aux = cp.zeros((3, 4), np.float32), cp.zeros((max(p.aux_bytes, 1),), np.uint8)
    before = []
    prepare = lambda: (plans.plan(p).warm(), before.append(lt.products))
    graph = driver.capture(lambda: run(p, a, b, d, bias, aux), prepare)
    assert [lt.products] == before
    kernels.forget()  # a graph needs neither plans nor descriptors
    for scale in (1, 3):
        a[...] = cp.asarray((x * scale).astype(np.float32))
        graph.launch()
        cp.cuda.get_current_stream().synchronize()
        want = scale * x @ y + (hb if epilogue else 0)
        close(d, np.maximum(want, 0) if "relu" in epilogue else want, "float32", 300)


def test_a_capture_neither_chooses_algorithms_nor_makes_room(reference, rng, monkeypatch):
    monkeypatch.setattr(plans, "workspaces", {})
    nothing = lambda: None
    p = Product("float32", 3, 4, 100)
    (a, _), (b, _), (d, _) = (draw(rng, shape, "float32") for shape in ((3, 100), (100, 4), (3, 4)))
    with pytest.raises(CudaError, match="no algorithm can be chosen while the stream captures"):
        driver.capture(lambda: run(p, a, b, d), nothing)
    ready = plans.plan(p)
    assert ready.workspace_bytes
    with pytest.raises(CudaError, match=r"call its plan's warm\(\) on the stream before"):
        driver.capture(lambda: run(p, a, b, d), nothing)
    with pytest.raises(CudaError, match=r"warm\(\) cannot run while the stream captures"):
        driver.capture(ready.warm, nothing)
    room = cp.zeros((ready.workspace_bytes,), np.uint8)
    driver.capture(lambda: ready.run(a.data.ptr, b.data.ptr, d.data.ptr, workspace=room.data.ptr), nothing).launch()


def test_warming_up_leaves_the_workspace_of_the_stream_alone(reference, monkeypatch):
    # A graph captured on this stream may be running on another one, with that workspace.
    monkeypatch.setattr(plans, "workspaces", {})
    used: list[int] = []
    run_it = reference.matmul
    monkeypatch.setattr(reference, "matmul", lambda *given: (used.append(given[13]), run_it(*given))[1])
    stream = cp.cuda.Stream(non_blocking=True)
    with stream:
        plans.plan(Product("float32", 3, 4, 100)).warm()
    (memory,) = plans.workspaces.values()
    assert len(used) == 1
    assert used[0] not in (0, memory.data.ptr)


def test_each_stream_has_a_workspace_of_its_own(reference, rng, monkeypatch):
    monkeypatch.setattr(plans, "workspaces", {})
    (a, x), (b, y) = draw(rng, (3, 100), "float32"), draw(rng, (100, 4), "float32")
    streams = [cp.cuda.Stream(non_blocking=True) for _ in range(2)]
    for stream in streams:
        with stream:
            d = kernels.matmul(a, b)
            stream.synchronize()
        close(d, x @ y, "float32", 100)
    assert {(0, stream.ptr) for stream in streams} == set(plans.workspaces)
    assert len({memory.data.ptr for memory in plans.workspaces.values()}) == 2


def test_errors_of_the_library_name_the_product_and_the_status(lt, rng, monkeypatch):
    (a, _), (b, _), (d, _) = (draw(rng, shape, "float32") for shape in ((3, 5), (5, 4), (3, 4)))

    def refuse(*arguments: Any) -> None:
        raise cublaslt.StatusError(cublaslt.NOT_SUPPORTED, "words")

    for matmul in (refuse, lambda *arguments: cublaslt.NOT_SUPPORTED):
        kernels.forget()
        monkeypatch.setattr(lt, "matmul", matmul)
        with pytest.raises(CudaError, match=r"CUBLAS_STATUS_NOT_SUPPORTED: float32 product \(3, 5\) @ \(5, 4\)") as e:
            run(Product("float32", 3, 4, 5), a, b, d)
        assert f"d at {d.data.ptr:#x}" in str(e.value)
    monkeypatch.setattr(lt, "matmul_algo_get_heuristic", refuse)
    with pytest.raises(CudaError, match=r"NOT_SUPPORTED: no algorithm for the float32 product \(3, 5\) @ \(5, 9\)"):
        plans.plan(Product("float32", 3, 9, 5))
    monkeypatch.setattr(lt, "create", lambda: refuse())
    kernels.forget()
    with pytest.raises(CudaError, match="CUBLAS_STATUS_NOT_SUPPORTED"):
        plans.plan(Product("float32", 3, 9, 5))


@pytest.mark.parametrize("epilogue", ["", "bias"])
def test_with_the_debug_switch_every_product_is_waited_for(epilogue, lt, rng, monkeypatch):
    (a, _), (b, _), (d, _), (bias, _) = (draw(rng, shape, "float32") for shape in ((3, 5), (5, 4), (3, 4), (4,)))
    waits: list[int] = []
    monkeypatch.setattr(driver, "wait", lambda: waits.append(lt.products))
    for on, seen in ((False, []), (True, [2])):
        monkeypatch.setattr(driver, "synchronous", on)
        run(Product("float32", 3, 4, 5, epilogue=epilogue), a, b, d, bias)
        assert waits == seen


def test_operands_of_a_device_that_is_not_the_current_one(lt, monkeypatch):
    a = cp.asarray(np.ones((2, 2), np.float32))
    monkeypatch.setattr(driver, "here", lambda: 1)
    with pytest.raises(CudaError, match="operands are on device 0, but device 1 is the current one"):
        kernels.matmul(a, a)


# -- planted faults -------------------------------------------------------------------------------------------------


@pytest.fixture
def planted(reference, rng):
    """A plan's insides, and operands to run it on."""
    p = Product("float32", 3, 5, 100, epilogue="relu_aux_bias", compute="float32")
    chosen = plans.Chosen.make(p, cublaslt.EPILOGUES[p.epilogue], 0)
    sizes = (300, 500, 15, 5, p.aux_bytes // 4, 1024)
    arrays = [cp.zeros((size,), np.float32) for size in sizes]
    return chosen, arrays


def launch(chosen: Any, arrays: Any, **other: int) -> None:
    a, b, d, bias, aux, space = (x.data.ptr for x in arrays)
    run = chosen.runner()
    run(**{"a": a, "b": b, "d": d, "bias": bias, "aux": aux, "workspace": space} | other)


def test_the_reference_takes_what_is_right(planted):
    launch(*planted)


FAULTS = {
    "misaligned operand": (lambda c, x: careless(c, a=x[0].data.ptr + 4), "not aligned to 16"),
    "misaligned result": (lambda c, x: careless(c, d=x[2].data.ptr + 8), "not aligned to 16"),
    "result over an operand": (lambda c, x: dict(d=x[1].data.ptr + 16), "overlaps D"),
    "result over the bias": (lambda c, x: dict(bias=x[2].data.ptr + 16), "bias overlaps D"),
    "result over aux": (lambda c, x: dict(aux=x[2].data.ptr), "aux overlaps D"),
    "no operand": (lambda c, x: dict(b=0), "not aligned"),
    "no bias": (lambda c, x: dict(bias=0), "no address for bias"),
    "no aux": (lambda c, x: dict(aux=0), "no address for aux"),
    "misaligned aux": (lambda c, x: careless(c, aux=x[4].data.ptr + 8), "AUX_POINTER .* is not aligned to 16"),
    "misaligned bias": (lambda c, x: careless(c, bias=x[3].data.ptr + 4), "BIAS_POINTER .* is not aligned to 16"),
    "transposed later": (lambda c, x: cublaslt.set_desc(c.desc, Desc.TRANSA, 1), "INVALID_VALUE"),
    "other sizes": (lambda c, x: cublaslt.set_layout(c.layouts[1], Layout.COLS, 4), "INVALID_VALUE"),
    "leading dimension": (lambda c, x: cublaslt.set_layout(c.layouts[2], Layout.LD, 4), "INVALID_VALUE"),
    "other leading dimension": (lambda c, x: cublaslt.set_layout(c.layouts[2], Layout.LD, 6), "another product"),
    "row-major": (lambda c, x: cublaslt.set_layout(c.layouts[0], Layout.ORDER, 1), "column-major"),
    "other type": (lambda c, x: cublaslt.set_layout(c.layouts[0], Layout.TYPE, Data.float16), "NOT_SUPPORTED"),
    "other scale": (lambda c, x: cublaslt.set_desc(c.desc, Desc.SCALE_TYPE, Data.float64), "NOT_SUPPORTED"),
    "device scalars": (lambda c, x: cublaslt.set_desc(c.desc, Desc.POINTER_MODE, 1), "from the host"),
    "aux of 120 bits": (lambda c, x: cublaslt.set_desc(c.desc, Desc.EPILOGUE_AUX_LD, 120), "INVALID_VALUE"),
    "aux too narrow": (lambda c, x: cublaslt.set_desc(c.desc, Desc.EPILOGUE_AUX_LD, 0), "INVALID_VALUE"),
    "bias type": (lambda c, x: cublaslt.set_desc(c.desc, Desc.BIAS_DATA_TYPE, Data.float16), "type of d"),
    "other epilogue": (lambda c, x: cublaslt.set_desc(c.desc, Desc.EPILOGUE, 4), "another product"),
    "unknown epilogue": (lambda c, x: cublaslt.set_desc(c.desc, Desc.EPILOGUE, 3), "INVALID_VALUE"),
    "batch without stride": (lambda c, x: set_batches(c, 2, epilogue=1), "results of a batch overlap"),
    "batches differ": (lambda c, x: cublaslt.set_layout(c.layouts[0], Layout.BATCH_COUNT, 2), "INVALID_VALUE"),
    "aux of a batch": (lambda c, x: set_batches(c, 2, stride=15), "aux of a batch"),
    "destroyed": (lambda c, x: c.lib.matmul_desc_destroy(c.desc), "was destroyed"),
    "a layout for a description": (lambda c, x: setattr(c, "desc", c.layouts[0]), "is a layout, not a desc"),
    "no such algorithm": (lambda c, x: setattr(c, "algorithm", ctypes.addressof(c.results[0])), "no such algorithm"),
    "no workspace": (lambda c, x: setattr(c, "workspace_bytes", 0), "0 bytes of workspace"),
    "no handle": (lambda c, x: c.lib.destroy(c.handle), "no such handle"),
}


def careless(chosen: Any, **address: int) -> dict[str, int]:
    """An address that the plan itself would refuse: its product now says that any will do."""
    chosen.product = dataclasses.replace(chosen.product, align=1)
    return address


def set_batches(chosen: Any, count: int, stride: int = 0, epilogue: int | None = None) -> None:
    for layout in chosen.layouts:
        cublaslt.set_layout(layout, Layout.BATCH_COUNT, count)
        cublaslt.set_layout(layout, Layout.STRIDED_BATCH_OFFSET, stride)
    if epilogue is not None:
        cublaslt.set_desc(chosen.desc, Desc.EPILOGUE, epilogue)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_reference_finds_the_fault(fault, planted):
    plant, words = FAULTS[fault]
    chosen, arrays = planted
    chosen.release.detach()  # what is broken cannot be given back
    other = plant(chosen, arrays)
    with pytest.raises(CudaError, match=words):
        launch(chosen, arrays, **(other or {}))


def test_an_attribute_of_another_size_is_refused(reference):
    desc = reference.matmul_desc_create(int(Compute.float32), int(Data.float32))
    cell = ctypes.c_int64(1)
    for attribute, size in ((Desc.TRANSA, 8), (Desc.EPILOGUE_AUX_LD, 4), (99, 8)):
        with pytest.raises(cublaslt.StatusError, match="INVALID_VALUE"):
            reference.matmul_desc_set_attribute(desc, int(attribute), ctypes.addressof(cell), size)
    for compute, scale in ((Compute.float64, Data.float32), (Compute.tf32, Data.float64), (999, Data.float32)):
        with pytest.raises(cublaslt.StatusError, match="NOT_SUPPORTED"):
            reference.matmul_desc_create(int(compute), int(scale))


def test_a_product_read_at_another_alignment_has_another_plan(lt):
    p = Product("float16", 3, 4, 5)
    x = cp.zeros((200,), np.float16)
    at = x.data.ptr + 2
    with pytest.raises(CudaError, match=r"no multiple of 16, for which the plan was made: float16 product"):
        plans.plan(p).run(at, x.data.ptr + 64, x.data.ptr + 160)
    plans.plan(dataclasses.replace(p, align=2)).run(at, x.data.ptr + 64, x.data.ptr + 160)
