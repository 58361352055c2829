"""Which dtype an op gives for operands of mixed dtypes: PyTorch's, for all pairs, numbers and backends, also jitted."""

import doctest
import itertools
import operator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import gradengine as ge
from gradengine.nn import functional as F

pytest.importorskip("ml_dtypes")
INTEGERS = ["bool", "uint8", "int8", "int16", "int32", "int64"]
FLOATS = ["float16", "bfloat16", "float32", "float64"]
NAMES = [*INTEGERS, "uint16", "uint32", "uint64", *FLOATS]
OPERATORS = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lt", "eq"]
FUNCTIONS = ["atan2", "hypot", "maximum", "logaddexp", "copysign", "where"]
NUMBERS = [2, 2.0, True, np.float64(2), np.float32(2), np.int64(2), np.int8(2), np.True_]


def calls(name, library):
    """An op of two arrays, in gradengine or PyTorch."""
    if name in OPERATORS:
        return getattr(operator, name)
    if name == "where":
        return lambda a, b: library.where(library.tensor([True, False]), a, b)
    return getattr(library, name)


def dtype_of(call, *operands):
    """The name of the result's dtype; None where the op refuses."""
    try:
        return str(call(*operands).dtype).rpartition(".")[2]
    except (RuntimeError, NotImplementedError, TypeError, ge.GradengineError):
        return None


@contextmanager
def default_float(dtype):
    before = ge.get_default_dtype()
    ge.set_default_dtype(dtype)
    try:
        yield
    finally:
        ge.set_default_dtype(before)


@pytest.mark.torch
@pytest.mark.parametrize("name", [*OPERATORS, *FUNCTIONS])
def test_pairs_of_tensors_are_pytorchs(name, backend, torch):
    ours, theirs = calls(name, ge), calls(name, torch)
    compared = 0
    for left, right in itertools.product(NAMES, NAMES):
        for shape in ((2,), ()):
            want = dtype_of(theirs, *[torch.ones(shape, dtype=getattr(torch, n)) for n in (left, right)])
            got = dtype_of(ours, *[ge.ones(shape, dtype=n) for n in (left, right)])
            if want is not None:
                assert got == want, (left, right, shape)
                compared += 1
    assert compared >= 40


@pytest.mark.torch
@pytest.mark.parametrize("name", OPERATORS)
def test_numbers_are_weak_as_pytorchs(name, backend, torch):
    """Python's and NumPy's, on either side of a Tensor of any dtype."""
    call = calls(name, ge)
    for left, number in itertools.product([*INTEGERS, *FLOATS], NUMBERS):
        plain = number.item() if isinstance(number, np.generic) else number
        for shape in ((2,), ()):
            ours, theirs = ge.ones(shape, dtype=left), torch.ones(shape, dtype=getattr(torch, left))
            for pair, other in (((ours, number), (theirs, plain)), ((number, ours), (plain, theirs))):
                want = dtype_of(call, *other)
                if backend == "cupy" and name == "pow" and pair[0] is np.True_:
                    continue  # NumPy computes this one itself, which a DeviceError says it cannot on a GPU
                if want is not None and not (name == "pow" and left == "bool" and plain is True):
                    assert dtype_of(call, *pair) == want, (left, number, shape)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_an_array_and_a_number(name, backend):
    call = calls(name, ge)
    for left, number in itertools.product(NAMES, NUMBERS):
        x = ge.ones(2, dtype=left)
        want = ge.result_type(x, number)
        if name not in ("maximum", "where") and want.kind not in "fV":
            want = ge.float32
        assert call(x, number).dtype == call(number, x).dtype == want, (left, number)


@pytest.mark.parametrize("shape", [(3,), ()])
def test_the_rule_in_words(shape, backend):
    """One table, as the documentation has it."""
    x, i, b = ge.ones(shape), ge.ones(shape, dtype=ge.int64), ge.ones(shape, dtype=bool)
    d, h = ge.ones(shape, dtype=ge.float64), ge.ones(shape, dtype=ge.float16)
    for y in (
        i * 1.5, i / 2, i / i, b * 1.0, i**2.0, i ** ge.tensor(2.0), 2.0**i, ge.sqrt(i), ge.exp(b), i.mean(),
        x * i, x * b, i * x, x / i, x**i, ge.where(b, 1.0, 0.0), ge.where(b, x, i), ge.where(b, i, 0.5),
        x * np.float64(2), np.float64(2) * x, x / np.sqrt(3), x * np.int64(2), np.int64(2) * x, i * np.float64(2),
        ge.atan2(i, i), ge.maximum(i, 0.5), ge.clip(i, 0.5), ge.var(i), ge.std(b), ge.norm(i), ge.logsumexp(i),
        F.softmax(ge.ones(3, dtype=ge.int8)), F.elu(ge.ones(3, dtype=ge.int8)), F.mse_loss(x, i), F.gelu(i),
        ge.sqrt(ge.ones(shape, dtype=ge.int8)), ge.hypot(*[ge.ones(shape, dtype=ge.uint8)] * 2), ge.logaddexp(i, 1),
        ge.ones(2, 2) @ ge.ones((2, 2), dtype=ge.int64), ge.concat([ge.ones(2), ge.arange(2)]), ge.erf(i),
        ge.linear(ge.ones(2), ge.ones((3, 2), dtype=ge.int64), ge.ones(3)), ge.sigmoid(ge.ones(3, dtype=ge.int8)),
        ge.tensor([1.5]), ge.zeros(2), ge.rand(2), ge.arange(0, 1, 0.5), ge.linspace(0, 1, 3), ge.full((2,), 1.5),
    ):  # fmt: skip
        assert y.dtype == ge.float32
    for y in (h * i, h * 2.5, h * np.float64(2.5), h / i, ge.maximum(h, i), h * ge.ones(shape, dtype=ge.int16)):
        assert y.dtype == ge.float16
    for y in (d * i, d * x, x * d, d * 1.5, i * d, x * np.ones(1), ge.sum(i, dtype=ge.float64), x * np.array(2.0)):
        assert y.dtype == ge.float64
    for y in (i + 1, i + b, b + 1, i // 2, i**2, ge.sum(b), ge.where(b, 1, 0), i * True, i * np.int8(2), b**2):
        assert y.dtype == ge.int64
    for y in (i < 0.5, x == i, ge.logical_and(i, x), ge.isnan(i)):
        assert y.dtype == ge.bool


@pytest.mark.torch
def test_values_and_gradients_of_mixed_kinds_are_pytorchs(backend, torch, rng):
    data, whole = rng.uniform(0.5, 2, (3, 4)).astype("f4"), rng.integers(1, 4, (3, 4))

    def step(library, x, i, where):
        mask = i > 2
        y = x * i + i / x + x**i + mask * 1.0 + where(mask, x, i) + library.maximum(x, i) + i * 0.5
        return (y + where(mask, 1.0, 0.0) * x).sum()

    theirs = torch.tensor(data, requires_grad=True)
    want = step(torch, theirs, torch.tensor(whole), torch.where)
    want.backward()
    x, i = ge.tensor(data, requires_grad=True), ge.tensor(whole)
    run = lambda x, i: (loss := step(ge, x, i, ge.where), ge.grad(loss, x)[0])
    for loss, gradient in (run(x, i), ge.jit(run)(x, i)):
        assert loss.dtype == gradient.dtype == ge.float32
        np.testing.assert_allclose(loss.item(), want.item(), rtol=1e-6)
        np.testing.assert_allclose(gradient.numpy(), theirs.grad.numpy(), rtol=1e-5)


def test_jitted_steps_follow_the_rule(backend):
    """Arrays, and numbers that are arguments, on either side."""
    step = lambda x, i, b, k: (
        x * i,
        i * k,
        k * i,
        i / 2,
        ge.sqrt(i),
        b * k,
        k / i,
        ge.where(b, k, 0.0),
        i.mean(),
        i**k,
    )
    x, i, b = ge.ones(3), ge.arange(3), ge.tensor([True, False, True])
    for k in (1.5, 2.0):
        for got, want in zip(ge.jit(step)(x, i + 1, b, k), step(x, i + 1, b, k), strict=True):
            assert got.dtype == want.dtype == ge.float32
            np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-6)


def test_the_default_can_be_float64(backend):
    with default_float("float64"):
        i = ge.ones(3, dtype=ge.int16)
        single = ge.ones(3, dtype=ge.float32)
        for y in (
            i * 1.5, ge.sqrt(i), i / i, i.mean(), ge.tensor(1.5), ge.zeros(2), ge.rand(2), ge.randn(2),
            ge.nn.Linear(1, 1).weight, F.softmax(i, axis=0), ge.atan2(i, i), ge.where(i > 0, 1.0, 0.0), F.elu(i),
            ge.full((2,), 0.5), ge.stack([1, 0.5]), ge.exp(ge.ones(2, dtype=bool)), ge.jit(lambda i: i * 1.5)(i),
            ge.linspace(0, 1, 3), ge.nanmean(i), ge.ldexp(i, i), ge.histogram(i, 2).bin_edges,
            ge.distributions.Poisson(i).rate,
        ):  # fmt: skip
            assert y.dtype == ge.float64
        for y in (single * 1.5, single * i, ge.sqrt(single), single.mean(), F.elu(single)):
            assert y.dtype == ge.float32
        step = ge.jit(lambda i: i * 1.5)
        assert step(i).dtype == ge.float64
        ge.set_default_dtype(ge.float32)
        assert step(i).dtype == ge.float32


@pytest.mark.parametrize("dtype", ["float16", "int64", "bool", "bfloat16", "nonsense", None])
def test_the_default_is_single_or_double(dtype):
    with pytest.raises(ge.DTypeError, match="set_default_dtype"):
        ge.set_default_dtype(ge.ones if dtype is None else dtype)


@pytest.mark.parametrize("dtype", NAMES[:9])
def test_integers_to_float_powers_are_floats(dtype, backend):
    x = ge.tensor([1, 1, 1] if dtype == "bool" else [3, 2, 1], dtype=dtype)
    for exponent in (2.0, 1.0, 0.0, 0.5, 3.0, -1.0, np.float64(2), np.float32(2), ge.tensor(2.0), np.array(2.0, "f4")):
        for y in (x**exponent, ge.pow(x, exponent), ge.jit(lambda x, e=exponent: x**e)(x)):
            assert y.dtype == ge.float32
            with np.errstate(all="ignore"):
                want = x.numpy().astype("f8") ** float(exponent)
            np.testing.assert_allclose(y.numpy(), want, rtol=1e-6)
    whole = (-1, np.int64(-1), ge.tensor(-1), np.array(-1))
    for exponent in whole[:2] if dtype == "uint64" else whole:  # with int64 it makes float64
        with pytest.raises(ge.DTypeError, match="pow"):
            x**exponent
    assert (ge.tensor([100000], dtype=ge.int32) ** 2.0).tolist() == [1e10]


# -- the page of the documentation ------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[1] / "docs" / "dtypes.md"


def of(dtype, *data):
    """The same array in gradengine, PyTorch and NumPy; a 0-d one is an array there, not a scalar."""

    def make(library):
        if library is np:
            return np.array(data[0] if len(data) == 1 else data, dtype)
        return library.tensor(data[0] if len(data) == 1 else data, dtype=getattr(library, dtype))

    return make


# What each line of the table computes, from the library.
LINES = [
    lambda xp: of("float32", 1, 2)(xp) * of("int64", 1, 2)(xp),
    lambda xp: of("int64", 1, 2)(xp) * 1.5,
    lambda xp: of("int64", 1, 2)(xp) / of("int64", 1, 2)(xp),
    lambda xp: xp.sqrt(of("int8", 1, 2)(xp)),
    lambda xp: of("float32", 1, 2)(xp) * np.float64(2),
    lambda xp: of("float16", 1, 2)(xp) * of("int32", 1, 2)(xp),
    lambda xp: of("float32", 1, 2)(xp) * of("float64", 2)(xp),
    lambda xp: of("int32", 1, 2)(xp) * of("int64", 2)(xp),
    lambda xp: xp.maximum(of("uint16", 1, 2)(xp), of("int16", 1, 2)(xp)),
    lambda xp: of("int64", 1, 2)(xp) * of("uint64", 1, 2)(xp),
    lambda xp: of("bool", True, False)(xp) ** of("bool", True, True)(xp),
    lambda xp: of("int64", 1, 2)(xp) ** -1,
    lambda xp: of("int8", 1, 2)(xp) + 1000,
    lambda xp: xp.mean(of("int64", 1, 2)(xp)),
    lambda xp: agreed(call(of("uint8", 1, 2)(xp)) for call in (xp.sum, xp.prod, lambda x: xp.cumsum(x, 0))),
    lambda xp: xp.sum(of("int32", 1, 2)(xp)),
    lambda xp: agreed(call(of("uint8", 1, 2)(xp)) for call in (xp.any, xp.all)),
    lambda xp: xp.reciprocal(of("int64", 1, 2)(xp)),
    lambda xp: xp.rsqrt(of("int64", 1, 2)(xp)),
]


def agreed(results):
    """One of some results, all of one dtype."""
    first, *others = results
    assert all(x.dtype == first.dtype for x in others)
    return first


@pytest.mark.torch
def test_every_line_of_the_page(torch):
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.read_text().splitlines() if line[:1] == "|"
    ]
    assert rows[0][1:4] == ["gradengine", "PyTorch", "NumPy 2"]
    for row, call in zip(rows[2:], LINES, strict=True):
        for cell, library in zip(row[1:4], (ge, torch, np)):
            try:
                found = str(call(library).dtype).rpartition(".")[2]
            except (RuntimeError, OverflowError, ValueError, AttributeError, ge.GradengineError):
                found = "error"
            assert found == {"wraps": "int8"}.get(cell, cell), (row, library.__name__)


def test_the_page_s_examples():
    assert doctest.testfile(str(PAGE), module_relative=False).failed == 0
