"""Pointwise ops where the case table does not look: special values, kinks, dtypes, large arrays, errors."""

import contextlib
import math

import numpy as np
import pytest

import gradengine as ge
from gradengine import ArgumentError, ops
from gradengine.backend import devices
from gradengine.inspect.check import on_backend
from gradengine.ops import activations, special
from gradengine_kernels.numpy_cpu import pointwise

F = ge.nn.functional
inf, nan = math.inf, math.nan


def words(text):
    return text.split()


SAME_NAME = words(
    "negative positive abs sign square sqrt rsqrt reciprocal floor ceil trunc round exp exp2 expm1 log log2 log10 "
    "log1p sin cos tan asin acos atan sinc sinh cosh tanh asinh acosh atanh erf erfc erfinv lgamma digamma"
)
IN_FUNCTIONAL = words(
    "relu relu6 leaky_relu hardtanh hardshrink softshrink sigmoid logsigmoid hardsigmoid softplus softsign tanhshrink "
    "elu selu celu gelu silu mish hardswish"
)
TWO_OPERANDS = words("add subtract multiply divide copysign pow hypot maximum minimum remainder logaddexp atan2")
VARIANTS = {
    "gelu/tanh": lambda f: lambda x: f.gelu(x, approximate="tanh"),
    "elu/alpha": lambda f: lambda x: f.elu(x, alpha=2.0),
    "celu/alpha": lambda f: lambda x: f.celu(x, alpha=2.0),
    "threshold": lambda f: lambda x: f.threshold(x, 0.5, 2.0),
    "softplus/beta": lambda f: lambda x: f.softplus(x, beta=2.0, threshold=3.0),
    "leaky_relu/slope": lambda f: lambda x: f.leaky_relu(x, 0.25),
}
OPERATORS = {
    **{f"pow/{n}": lambda x, n=n: x**n for n in (0, 1, 2, 3, -1, -2, 0.5, 2.5, -0.5, 4, 17, 3.0, 0.0)},
    "pow/of 2": lambda x: 2.0**x,
    "pow/of 0": lambda x: 0.0**x,
    "clip": lambda x: x.clip(-1, 1),
    "clip/min": lambda x: x.clip(0),
    "clip/max": lambda x: x.clip(max=0.5),
    "clip/crossed": lambda x: x.clip(1, -1),
    "clip/array min": lambda x, low: x.clip(low),
    "clip/array max": lambda x, high: x.clip(max=high),
    "clip/arrays": lambda x, low, high: x.clip(low, high),
    "remainder/2": lambda x: x % 2,
}


def pairs(torch):
    """Each function here and in PyTorch, with the number of its operands."""
    for name in SAME_NAME:
        yield name, getattr(ge, name), getattr(torch, name), 1
    for name in IN_FUNCTIONAL:
        there = torch.sigmoid if name == "sigmoid" else getattr(torch.nn.functional, name)
        yield name, getattr(F, name), there, 1
    for name in TWO_OPERANDS:
        yield name, getattr(ge, name), getattr(torch, name), 2
    for name, make in VARIANTS.items():
        yield name, make(F), make(torch.nn.functional), 1
    for name, call in OPERATORS.items():
        yield name, call, call, call.__code__.co_argcount - len(call.__defaults__ or ())
    for n in range(4):
        yield f"polygamma/{n}", lambda x, n=n: ge.polygamma(x, n), lambda x, n=n: torch.polygamma(n, x), 1
    yield "prelu", activations.prelu_slope, torch._prelu_kernel, 2


def special_values(dtype):
    """Zeros, kinks, infinities, NaN, the largest and smallest numbers, and what is in between."""
    limits = np.finfo(dtype)
    ordinary = [0.0, 1, 0.5, 2, 3, 6, 0.1, 1.3, 2.7, 10, 20, 25, 90, 100, 1e-8, 1e4, inf, limits.tiny, limits.max]
    return np.array([sign * x for x in ordinary for sign in (1, -1)] + [nan], dtype)


def operands(count, dtype):
    """All combinations of two special values; of three, many."""
    values = special_values(dtype)
    if count == 1:
        return [values]
    first, second = (grid.ravel() for grid in np.meshgrid(values, values))
    return [first, second, np.roll(second, 5)][:count]


# Where we differ from what PyTorch computes, on purpose; there no values are compared.
DIFFERENT = {
    # PyTorch's gradient at NaN depends on whether the element fell into a vector register; ours is 0.
    **dict.fromkeys(("relu6", "hardtanh", "hardshrink", "softshrink"), lambda x: np.isnan(x)),
    # PyTorch's second derivative of hardswish forgets the NaN.
    "hardswish": lambda x: np.isnan(x),
    # At minus infinity there is no limit; PyTorch says infinity.
    **{f"polygamma/{n}": lambda x: x == -inf for n in range(4)},
    "digamma": lambda x: x == -inf,
    # PyTorch takes differences of nearly equal numbers here, or squares and underflows.
    "sinc": lambda x: np.abs(x) < 1e-7,
    "atan2": lambda a, b: np.hypot(a, b) < 1e-7,
    # At 0 PyTorch's gradient is that of the negative side, whose own derivative by the weight it then leaves out.
    "prelu": lambda x, a: x == 0,
    # A number below two bounds that are equal: we say it is the lower one that counts, PyTorch that none does.
    "clip/arrays": lambda x, low, high: (low == high) | np.isnan(low) | np.isnan(high),
}
# A sixth in single precision, in PyTorch.
INEXACT = {"hardsigmoid": 1e-7}


def first_and_second(call, arrays):
    """Output, gradients, and the gradients of each gradient; None for what has none."""
    xs = [ge.tensor(a, requires_grad=True) for a in arrays]
    y = call(*xs)
    ones = ge.ones_like(y).detach()
    plain = ge.grad(y, xs, ones, retain_graph=True, allow_unused=True)
    slopes = ge.grad(y, xs, ones, create_graph=True, allow_unused=True)
    for on_arrays, on_tensors in zip(plain, slopes):
        np.testing.assert_allclose(np.asarray(on_arrays), on_tensors.detach().numpy(), rtol=1e-4, atol=1e-30)
    bends = []
    for g in slopes:
        again = ge.grad(g, xs, ones, retain_graph=True, allow_unused=True) if g.requires_grad else [None] * len(xs)
        bends += [None if h is None else np.asarray(h) for h in again]
    return y.detach().numpy(), [g.detach().numpy() for g in slopes], bends


def first_and_second_of_torch(torch, call, arrays):
    xs = [torch.tensor(a, requires_grad=True) for a in arrays]
    y = call(*xs)
    slopes = torch.autograd.grad(y.sum(), xs, create_graph=True)
    bends = []
    for g in slopes:
        again = [None] * len(xs)
        if g.requires_grad:
            with contextlib.suppress(RuntimeError):  # PyTorch has no second derivative of hardsigmoid
                again = torch.autograd.grad(g.sum(), xs, retain_graph=True, allow_unused=True)
        bends += [None if h is None else h.numpy(force=True) for h in again]
    return y.numpy(force=True), [g.numpy(force=True) for g in slopes], bends


def assert_like_torch(what, ours, theirs, arrays, ignored, rtol, atol):
    """Equal wherever PyTorch has a value; where it has NaN we may have one, and NaN may always stay NaN."""
    ours = np.zeros_like(arrays[0]) if ours is None else ours
    theirs = np.zeros_like(arrays[0]) if theirs is None else theirs
    assert ours.dtype == theirs.dtype
    near = np.abs(ours - theirs) <= atol + rtol * np.maximum(np.abs(ours), np.abs(theirs))
    stayed = np.isnan(ours) & np.any(np.isnan(arrays), axis=0)
    wrong = ~(np.isnan(theirs) | (ours == theirs) | near | stayed | ignored)
    shown = [(*(float(a[i]) for a in arrays), ours[i], theirs[i]) for i in np.flatnonzero(wrong)]
    assert not shown, f"{what}: operands, ours, PyTorch's: {shown[:5]} and {len(shown)} in all"


@pytest.mark.torch
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_special_values_are_those_of_torch(dtype, backend, torch):
    """The forward, the gradients and theirs, for every op at every special value."""
    rtol = 1e-9 if dtype is np.float64 else 2e-4
    atols = (1e-15, 1e-11, 1e-8) if dtype is np.float64 else (1e-7, 1e-6, 1e-5)
    with on_backend(backend), np.errstate(all="ignore"):
        for name, here, there, count in pairs(torch):
            arrays = operands(count, dtype)
            ours = first_and_second(here, arrays)
            theirs = first_and_second_of_torch(torch, there, arrays)
            ignored = DIFFERENT.get(name, lambda *a: np.zeros(len(a[0]), bool))(*arrays)
            loose = max(rtol, INEXACT.get(name, 0))
            assert_like_torch(f"{name}, forward", ours[0], theirs[0], arrays, ignored, rtol, atols[0])
            for i in range(count):
                assert_like_torch(f"{name}, d{i}", ours[1][i], theirs[1][i], arrays, ignored, loose, atols[1])
            for i, (h, w) in enumerate(zip(ours[2], theirs[2], strict=True)):
                what = f"{name}, d{i // count}{i % count}"
                assert_like_torch(what, h, w, arrays, ignored, loose, atols[2])


SMOOTH = words("exp exp2 expm1 sin cos tan sinh cosh tanh asinh atan erf erfc")
POSITIVE = words("log log2 log10 log1p sqrt rsqrt reciprocal lgamma digamma")


@pytest.mark.torch
@pytest.mark.parametrize("name", SMOOTH + POSITIVE)
def test_third_order(name, torch, rng):
    data = rng.uniform(0.3, 1.2, 5) * (1 if name in POSITIVE else rng.choice([-1, 1], 5))
    x, z = ge.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    y, w = getattr(ge, name)(x), getattr(torch, name)(z)
    for _ in range(3):
        (y,) = ge.grad(y, x, ge.ones_like(y).detach(), create_graph=True)
        (w,) = torch.autograd.grad(w.sum(), z, create_graph=True)
        np.testing.assert_allclose(y.detach().numpy(), w.detach().numpy(), rtol=1e-8)


def test_sinc_has_its_derivatives_at_0():
    x = ge.tensor(np.zeros(1), requires_grad=True)
    y, found = ge.sinc(x), []
    for _ in range(4):
        (y,) = ge.grad(y, x, ge.ones_like(y).detach(), create_graph=True)
        found.append(y.item())
    np.testing.assert_allclose(found, [0, -(math.pi**2) / 3, 0, math.pi**4 / 5], atol=1e-12)


# -- what does not overflow ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "x", "want", "slope"),
    [
        (F.sigmoid, -1000.0, 0.0, 0.0),
        (F.sigmoid, 1000.0, 1.0, 0.0),
        (F.log_sigmoid, -1000.0, -1000.0, 1.0),
        (F.softplus, 1000.0, 1000.0, 1.0),
        (F.silu, -1000.0, 0.0, 0.0),
        (F.mish, 1000.0, 1000.0, 1.0),
        (F.elu, 1000.0, 1000.0, 1.0),
        (F.selu, -1000.0, -1.7580993408473766, 0.0),
        (lambda x: F.gelu(x, approximate="tanh"), 1e30, 1e30, 1.0),
        (lambda x: ge.logaddexp(x, 0.0), 1000.0, 1000.0, 1.0),
        (lambda x: ge.hypot(x, 1e30), 1e30, math.sqrt(2) * 1e30, math.sqrt(0.5)),
        (lambda x: ge.atan2(x, 1e30), 1e30, math.pi / 4, 0.5e-30),
        (ge.asinh, 1e30, 69.7707, 1e-30),
    ],
)
def test_safe_where_the_naive_form_overflows(call, x, want, slope, backend):
    with on_backend(backend):
        x = ge.tensor([x], requires_grad=True)
        y = call(x)
        (g,) = ge.grad(y, x, ge.ones_like(y).detach(), create_graph=True)
        np.testing.assert_allclose([y.item(), g.item()], [want, slope], rtol=1e-5)
        if g.requires_grad:
            (h,) = ge.grad(g, x, ge.ones_like(y).detach())
            assert np.isfinite(h.item())


@pytest.mark.parametrize("dtype", [ge.float16, ge.float32, ge.float64])
@pytest.mark.parametrize("call", [ops.relu, lambda x: ge.where(x > 0, x, 0), lambda x: ge.where(x <= 0, 0, x)])
def test_masking_keeps_out_what_is_masked(call, dtype, backend):
    """Large arrays are masked by another method than small ones; neither lets NaN or infinity through."""
    x = np.tile([1.0, -1.0, 2.0, -0.0], 5000).astype(dtype)
    seed = np.tile([3.0, nan, inf, -inf], 5000).astype(dtype)
    for n in (8, len(x)):
        t = ge.tensor(x[:n], requires_grad=True)
        y = call(t)
        (g,) = ge.grad(y, t, ge.tensor(seed[:n]))
        assert y.dtype == g.dtype == dtype
        np.testing.assert_array_equal(y.detach().numpy(), np.maximum(x[:n], 0))
        np.testing.assert_array_equal(g.numpy(), np.tile([3.0, 0.0, inf, 0.0], n // 4))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32])
def test_choosing_among_many(dtype, rng):
    """Large arrays of floats are chosen from by their bits."""
    a, b = (rng.normal(size=(200, 100)).astype(dtype) for _ in range(2))
    if a.dtype.kind == "f":
        a[0, :4], b[0, 2:6] = (nan, inf, -inf, -0.0), (nan, inf, -inf, -0.0)
    c = rng.random((200, 100)) < 0.5
    for condition, x, y in ((c, a, b), (c.T, a.T, b.T), (c[:, :1], a, b), (c, a, b[0]), (c, a, 2), (c, -0.0, b)):
        got = pointwise.where(condition, x, y)
        want = np.where(condition, x, y)
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(np.signbit(got), np.signbit(want))


# -- powers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [*range(-18, 19), 2.0, 0.5, -0.5, 3.5])
def test_powers_by_numbers(exponent, rng):
    """Whole exponents become products, squares or reciprocals, and say the same."""
    x = rng.uniform(0.5, 1.5, 7)
    np.testing.assert_allclose((ge.tensor(x) ** exponent).numpy(), np.power(x, float(exponent)), rtol=1e-13)


def test_squares_are_squares():
    x = ge.tensor([3.0], requires_grad=True)
    assert (x**2).op.name == (x**2.0).op.name == "square"
    assert (x**2).dtype == ge.float32
    assert (ge.tensor([3]) ** 2).dtype == ge.int64


def test_power_of_integers():
    assert (ge.tensor([2, 3]) ** ge.tensor([3, 2])).tolist() == [8, 9]
    assert (ge.tensor([2, 3]) ** 0.5).dtype == np.float32
    with pytest.raises(ge.DTypeError, match=r"pow: int64 to the power -1.*\.to\(ge\.float32\)"):
        ge.tensor([2, 3]) ** -1


# -- dtypes -------------------------------------------------------------------------------------------------------

ONE_FLOAT = [
    *(getattr(ge, name) for name in SAME_NAME if name != "acosh"),
    lambda x: ge.acosh(x + 1),
    *(getattr(F, name) for name in IN_FUNCTIONAL),
    *(make(F) for make in VARIANTS.values()),
    *(lambda x, n=n: ge.polygamma(x, n) for n in (0, 1, 2)),
    *(lambda x, n=n: x**n for n in (0, 1, 2, 3, -2, 0.5, 2.5)),
    *(lambda x, op=op: op(x, 0.5) for op in (ge.add, ge.divide, ge.remainder, ge.hypot, ge.maximum, ge.logaddexp)),
    *(lambda x, op=op: op(0.5, x) for op in (ge.subtract, ge.pow, ge.atan2, ge.minimum, ge.copysign)),
    lambda x: x.clip(0, 0.5),
    lambda x: x.clip(np.float64(0.25)),
    lambda x: ge.where(x > 0.5, x, 0.5),
]


@pytest.mark.parametrize("dtype", [ge.float16, ge.float32, ge.float64])
@pytest.mark.parametrize("shape", [(3,), (), (0, 2)])
def test_floats_keep_their_dtype(dtype, shape, backend, rng):
    """Forward and backward, with Python numbers beside them, 0-d and empty too."""
    data = np.asarray(rng.uniform(0.3, 0.7, shape)).astype(dtype)
    with on_backend(backend):
        for call in ONE_FLOAT:
            x = ge.tensor(data, requires_grad=True)
            y = call(x)
            assert y.dtype == dtype
            assert y.shape == shape
            (g,) = ge.grad(y, x, ge.ones_like(y).detach(), create_graph=True)
            assert g.dtype == dtype
            assert g.shape == shape
            assert np.isfinite(g.detach().numpy()).all()


NUMPYS = {
    **{name: getattr(np, name) for name in words("add subtract multiply divide floor_divide remainder maximum")},
    **{name: getattr(np, name) for name in words("minimum equal less logical_and logical_or logical_xor pow")},
    **{name: getattr(np, name) for name in words("hypot atan2 logaddexp bitwise_and bitwise_or bitwise_xor")},
    **{name: getattr(np, name) for name in words("bitwise_left_shift bitwise_right_shift copysign")},
    **{name: getattr(np, name) for name in words("negative positive abs sign square sqrt floor ceil")},
    **{name: getattr(np, name) for name in words("trunc exp expm1 log1p sin tan asinh isnan isfinite logical_not")},
    "bitwise_invert": np.invert,
    "round": lambda x: x if x.dtype.kind in "iub" else np.round(x),
}
INTEGERS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint32, np.bool_]


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("name", NUMPYS)
def test_integers_and_bools_are_as_in_numpy(name, dtype):
    arrays = [np.array([1, 0, 5, 3], dtype), np.array([2, 1, 1, 2], dtype)]
    arrays = arrays[: getattr(NUMPYS[name], "nin", 1)]
    call = getattr(ge, name)
    with np.errstate(all="ignore"):
        try:
            want = NUMPYS[name](*arrays)
        except TypeError:
            with pytest.raises(ge.DTypeError, match=name):
                call(*(ge.tensor(a) for a in arrays))
            return
        got = call(*(ge.tensor(a) for a in arrays))
    if want.dtype.kind == "f":  # NumPy's own result is float16 for small integers, float64 for large ones
        assert got.dtype == ge.float32
        np.testing.assert_allclose(got.numpy(), NUMPYS[name](*[a.astype("f8") for a in arrays]), rtol=3e-7)
        return
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got.numpy(), want)


@pytest.mark.parametrize("special_op", [ge.erf, ge.erfc, ge.lgamma, ge.digamma, F.sigmoid, F.gelu])
def test_special_functions_of_integers_are_floats(special_op):
    got = special_op(ge.tensor([1, 2]))
    np.testing.assert_allclose(got.numpy(), special_op(ge.tensor([1.0, 2.0], dtype=ge.float64)).numpy(), rtol=1e-6)


def test_casting():
    x = ge.tensor([1.5, -2.5], requires_grad=True)
    wide = ge.astype(x, ge.float64)
    wide.backward(ge.tensor([1.0, 2.0], dtype=ge.float64))
    assert wide.dtype == np.float64
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [1.0, 2.0]
    assert not ge.astype(x, "int32").requires_grad
    assert ge.astype(x, bool).tolist() == [True, True]
    with pytest.raises(ge.DTypeError, match="complex64 is not supported"):
        ge.astype(x, "complex64")


# -- what is recorded ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", words("equal less greater_equal floor_divide isnan logical_not logical_and"))
def test_results_without_gradient_are_not_recorded(name):
    x = ge.tensor([1.0, 2.0], requires_grad=True)
    call = getattr(ge, name)
    result = call(x, x) if name not in ("isnan", "logical_not") else call(x)
    assert not result.requires_grad
    result.numpy()


@pytest.mark.parametrize("name", words("floor ceil trunc round sign"))
def test_steps_have_gradient_0(name):
    """Not none: what is behind a step gets zeros, even when what comes back is infinite."""
    x = ge.tensor([0.3, -1.7], requires_grad=True)
    getattr(ge, name)(x).backward(ge.tensor([inf, nan]))
    assert x.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", IN_FUNCTIONAL)
def test_an_activation_is_one_node(name):
    x = ge.tensor([0.3, -1.7], requires_grad=True)
    y = getattr(F, name)(x)
    assert y.inputs == (x,)


def test_numpys_names(rng):
    """NumPy's functions run the op that has another name here."""
    a, b = rng.uniform(0.2, 0.8, (2, 3)), rng.uniform(0.2, 0.8, 3)
    t = ge.tensor(a)
    for name in words("power arctan2 hypot"):
        got = getattr(np, name)(t, b)
        assert isinstance(got, ge.Tensor)
        np.testing.assert_array_equal(got.numpy(), getattr(np, name)(a, b))
    for name in words("absolute arcsin arccos arctan arcsinh arctanh rint"):
        np.testing.assert_array_equal(getattr(np, name)(t).numpy(), getattr(np, name)(a))
    np.testing.assert_array_equal((b**t).numpy(), b**a)
    assert np.invert(ge.tensor([True])).tolist() == [False]
    assert np.left_shift(ge.tensor([1]), 2).tolist() == [4]


# -- shapes -------------------------------------------------------------------------------------------------------


def test_gradients_of_broadcast_operands(rng, backend):
    shapes = [((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2, 3)), ((4, 1, 3), (2, 1)), ((0, 3), (3,)), ((1,), (2, 3))]
    for left, right in shapes:
        a = ge.tensor(rng.uniform(1, 2, left), requires_grad=True)
        b = ge.tensor(rng.uniform(1, 2, right), requires_grad=True)
        for op in (ge.add, ge.multiply, ge.divide, ge.pow, ge.maximum, ge.hypot, ge.atan2, ge.logaddexp):
            y = op(a, b)
            for g, x in zip(ge.grad(y, [a, b], ge.ones_like(y).detach()), (a, b)):
                assert g.shape == x.shape


def test_strided_operands(rng, backend):
    data = rng.normal(size=(200, 300))
    x = ge.tensor(data).mT
    for view in (x, x[::2], x[:, ::-1], x[::3, 5]):
        np.testing.assert_allclose(ge.tanh(view).numpy(), np.tanh(view.numpy()), rtol=1e-14)
        np.testing.assert_allclose((view * view + 1).numpy(), view.numpy() ** 2 + 1, rtol=1e-14)
        np.testing.assert_array_equal(ge.where(view > 0, view, 0).numpy(), np.maximum(view.numpy(), 0))


def test_no_operand_is_written_to(rng):
    data = rng.uniform(0.2, 0.8, 5000)
    for call in ONE_FLOAT:
        x = ge.tensor(data, requires_grad=True)
        y = call(x)
        y.backward(ge.ones_like(y).detach())
        np.testing.assert_array_equal(x.detach().numpy(), data)
        assert not np.shares_memory(y.detach().numpy(), x.detach().numpy())


# -- without SciPy ------------------------------------------------------------------------------------------------


def test_bodies_of_special_functions_are_as_exact_as_scipy(rng):
    """erfinv has one for where there is no SciPy, digamma and polygamma for everywhere."""
    scipy = pytest.importorskip("scipy.special")
    k = devices.load("numpy")
    body = {op.name: k.quietly(op.body) for op in k.table if op.name in ("erfinv", "digamma", "polygamma")}
    tails = 1 - np.logspace(-16, -1, 200)
    x = np.concatenate([rng.uniform(-1, 1, 1000), tails, -tails, [0.0, 1.0, -1.0, 1.5, 1e-300, nan]])
    np.testing.assert_allclose(body["erfinv"](x), scipy.erfinv(x), rtol=2e-14)
    x = np.concatenate([rng.uniform(1e-3, 60, 1000), rng.uniform(-9.9, -0.1, 200), [1e-300, 1e300, inf, 0.0, -0.0, -2]])
    np.testing.assert_allclose(body["digamma"](x), scipy.psi(x), rtol=1e-11, atol=1e-14)
    x = np.concatenate([rng.uniform(1e-3, 60, 1000), [1e30, inf]])
    for n in range(1, 8):
        np.testing.assert_allclose(body["polygamma"](x, n=n), scipy.polygamma(n, x), rtol=1e-13)


def test_polygamma_below_0_continues_the_recurrence(rng):
    """psi_n(x + 1) = psi_n(x) + (-1)^n n! / x^(n + 1)."""
    x = rng.integers(-6, 0, 50) + rng.uniform(0.2, 0.8, 50)
    for n in range(5):
        here, next_to = (ge.polygamma(ge.tensor(v), n).numpy() for v in (x, x + 1))
        np.testing.assert_allclose(next_to, here + (-1) ** n * math.factorial(n) / x ** (n + 1), rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "element"), [("erf", math.erf), ("erfc", math.erfc), ("gammaln", pointwise.log_gamma)]
)
def test_kernels_from_the_standard_library(name, element, rng, monkeypatch):
    scipy = pytest.importorskip("scipy.special")
    monkeypatch.setattr(pointwise, "HAS_SCIPY", False)
    kernel = pointwise.special(name, element)
    x = np.concatenate([rng.uniform(-5, 5, 100), [0.0, -1.0, inf, nan, 1e30]])
    np.testing.assert_allclose(kernel(x), getattr(scipy, name)(x), rtol=1e-12)
    assert kernel(x.astype("f")).dtype == np.float32
    assert kernel(np.float32(0.5)).dtype == np.float32
    assert kernel(np.empty((0, 2), np.float16)).shape == (0, 2)


def test_coefficients_of_the_derivatives_of_the_cotangent():
    assert special.cotangent_derivative(1) == pytest.approx([-(math.pi**2), 0.0, -(math.pi**2)], rel=1e-15)
    assert special.cotangent_derivative(2) == pytest.approx([2 * math.pi**3, 0.0, 2 * math.pi**3, 0.0], rel=1e-15)


# -- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call", [ge.add, ge.multiply, ge.maximum, ge.pow, ge.less, ge.logical_and, ge.atan2, lambda a, b: a.clip(b)]
)
def test_shapes_that_do_not_broadcast(call):
    with pytest.raises(ge.ShapeError) as caught:
        call(ge.ones((2, 3)), ge.ones((4, 2)))
    text = str(caught.value)
    assert "(2, 3) and (4, 2) do not broadcast" in text
    assert "along axis -1 the sizes are 3 and 2, and they must be equal or 1" in text
    if hasattr(call, "op"):
        assert text.startswith(call.op.name)


def test_where_says_what_does_not_fit():
    with pytest.raises(ge.ShapeError, match=r"where: shapes \(3,\) and \(2,\) and \(1,\) do not broadcast"):
        ge.where(ge.tensor([True, False, True]), ge.ones(2), ge.ones(1))


def test_polygamma_takes_the_order_of_pytorch():
    x = ge.tensor([0.5, 2.0])
    np.testing.assert_array_equal(ge.polygamma(2, x), ge.polygamma(x, 2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: F.gelu(x, approximate="fast"), ge.ArgumentError, "gelu: approximate must be 'none' or 'tanh'"),
        (lambda x: ge.polygamma(x, -1), ge.ArgumentError, "polygamma: n must be 0, 1, 2"),
        (lambda x: ge.polygamma(x, x), ge.ArgumentError, "x comes first here"),
        (lambda x: F.prelu(x, ge.ones(2)), ge.ShapeError, "prelu: 2 weights for 3 channels"),
        (lambda x: F.prelu(x, ge.ones((3, 1))), ge.ShapeError, r"weight must be 0-d or 1-d.*\.flatten\(\)"),
        (
            lambda x: F.leaky_relu(x, slope=0.1),
            ge.SignatureError,
            "leaky_relu: unexpected keyword 'slope'.*negative_slope",
        ),
        (lambda x: F.elu(x, 1.0, False, 2.0), ge.SignatureError, "elu: takes 1 array, then alpha"),
        (lambda x: F.threshold(x, 1.0), ge.SignatureError, "threshold: needs value"),
        (lambda x: ~x, ge.DTypeError, "bitwise_invert.*float32"),
        (lambda x: x & x, ge.DTypeError, "bitwise_and.*float32"),
        (lambda x: x << 1, ge.DTypeError, "bitwise_left_shift.*float32"),
        (lambda x: ge.tensor([True]) - ge.tensor([True]), ge.DTypeError, "subtract.*bool"),
        (lambda x: ge.astype(x, "float33"), ge.DTypeError, "float33"),
    ],
)
def test_mistakes(call, error, message):
    with pytest.raises(error, match=message):
        call(ge.ones((2, 3)))


CLOSE = [
    ([1.0, np.inf, -np.inf, np.nan], [1.0, np.inf, np.inf, np.nan]),
    ([1e10, 1e-7, 0.0], [1.00001e10, 1e-8, 1e-9]),
    (np.array([0, 200], np.uint8), np.array([255, 200], np.uint8)),
    (np.array([True, False]), np.array([True, True])),
    ([[1.0], [2.0]], 2.0),
    (3, [3.0, 4.0]),
    (np.ones(2, np.float16), np.ones(2, np.float32)),
    (np.zeros((0, 2)), np.zeros(2)),
]


@pytest.mark.parametrize("equal_nan", [False, True])
@pytest.mark.parametrize("pair", CLOSE, ids=str)
def test_close_is_what_numpy_calls_close(pair, equal_nan, backend):
    a, b = (x if isinstance(x, (int, float)) else ge.asarray(x) for x in pair)
    expected = np.isclose(*(np.asarray(x) for x in (a, b)), equal_nan=equal_nan)
    found = ge.isclose(a, b, equal_nan=equal_nan)
    assert found.dtype == np.bool_
    np.testing.assert_array_equal(found.numpy(), expected)
    assert ge.allclose(a, b, equal_nan=equal_nan) is bool(expected.all())


def test_close_with_tolerances_and_outside_the_graph():
    x = ge.tensor([1.0, 2.0], requires_grad=True)
    assert not ge.isclose(x, x + 1e-3).requires_grad
    assert ge.isclose(x, x + 1e-3).tolist() == [False, False]
    assert ge.allclose(x, x + 1e-3, rtol=0, atol=2e-3) is True
    assert ge.isclose(x, x * 1.01, rtol=ge.tensor([0.1, 0.001]), atol=0).tolist() == [True, False]
    with pytest.raises(ge.ShapeError, match=r"\(2,\) and \(3,\)"):
        ge.allclose(x, ge.ones(3))


def test_a_body_that_looks_at_more_than_one_element_is_refused():
    rule = lambda k, g, y, x, *rest, **metadata: g
    for i, (body, asked) in enumerate(
        [
            (lambda k, x: k.sum(x), "sum"),
            (lambda k, x: x * x.sum(), "sum"),
            (lambda k, x: x - k.mean(x), "(sum|mean)"),
            (lambda k, x, scale=2.0: k.softmax(x) * scale, "(max|sum|softmax)"),
            (lambda k, x: k.matmul(x, x), "matmul"),
        ]
    ):
        words = f"^elementwise 'no_op_{i}': the body uses {asked}, which is no function of each element by itself; "
        with pytest.raises(ArgumentError, match=words):
            ge.elementwise(f"no_op_{i}", rule, body=body)
    # What symbols cannot follow runs on whole arrays, as before.
    stretched = ge.elementwise("stretched", rule, body=lambda k, x, by: x * by.real)
    assert stretched(ge.ones(2), by=3).tolist() == [3.0, 3.0]
