"""Reductions, running totals and sorting: NumPy's values, PyTorch's gradients at ties and zeros, typed errors."""

import warnings

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradengine as ge
from gradengine.errors import ArgumentError, DTypeError, ShapeError

FLOATS = st.floats(-4, 4, width=32)
SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
inf, nan = float("inf"), float("nan")


@st.composite
def array_and_axis(draw, elements=FLOATS, dtype=np.float64):
    """An array, contiguous or not, and an axis, several, or None."""
    x = draw(arrays.arrays(dtype, draw(SHAPES), elements=elements))
    if x.ndim and draw(st.booleans()):
        x = np.flip(x.T, draw(st.integers(0, x.ndim - 1)))
    axes = draw(st.lists(st.integers(-x.ndim, x.ndim - 1), unique_by=lambda a: a % x.ndim)) if x.ndim else []
    axis = draw(st.sampled_from([None, tuple(axes), *axes[:1]]))
    return x, axis, draw(st.booleans())


def same(got, want, rtol=1e-12):
    """Equal values and shapes; `got` is a Tensor."""
    want = np.asarray(want)
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got.detach().numpy(), want, rtol=rtol, atol=1e-12)


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "var", "std", "any", "all", "count_nonzero"])
@given(case=array_and_axis())
def test_reductions_are_numpys(name, case):
    x, axis, keepdims = case
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        want = getattr(np, name)(x, axis=axis, keepdims=keepdims)
    same(getattr(ge, name)(ge.asarray(x), axis=axis, keepdims=keepdims), want, rtol=1e-9)


@pytest.mark.parametrize("name", ["max", "min"])
@given(case=array_and_axis(st.one_of(FLOATS, st.sampled_from([inf, -inf, nan, 0.0]))))
def test_extrema_are_numpys(name, case):
    x, axis, keepdims = case
    try:
        want = getattr(np, name)(x, axis=axis, keepdims=keepdims)
    except ValueError:
        with pytest.raises(ShapeError, match=f"{name}: axis . of shape .* has no elements"):
            getattr(ge, name)(ge.asarray(x), axis=axis, keepdims=keepdims)
        return
    same(getattr(ge, name)(ge.asarray(x), axis=axis, keepdims=keepdims), want)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "cumsum", "cumprod"])
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "int64", "uint64", "float16", "float32"])
def test_integers_are_as_wide_as_numpys(name, dtype, rng):
    x = rng.integers(0, 3, (3, 4)).astype(dtype)
    same(getattr(ge, name)(ge.tensor(x), axis=1), getattr(np, name)(x, axis=1))


def test_means_of_integers_have_the_default_dtype():
    x = ge.tensor([1, 2, 4])
    assert {y.dtype for y in (ge.mean(x), ge.var(x), ge.std(x), ge.norm(x), ge.logsumexp(x))} == {ge.float32}


def test_half_precision_is_summed_in_single_precision():
    x = np.full(4096, 0.1, np.float16)
    columns = ge.tensor(np.ones((4096, 1), np.float16))
    assert ge.sum(ge.tensor(x)).item() == np.float16(x.astype(np.float32).sum())
    assert ge.sum(columns, axis=0).item() == 4096  # NumPy says 2048: from there on, adding 1 changes nothing
    assert ge.mean(columns * 60000, axis=0).item() == np.float16(60000)
    assert ge.ops.sum_to(columns, (1,)).item() == 4096
    assert ge.cumsum(columns, axis=0)[-1].item() == 4096
    results = [f(columns) for f in (ge.sum, ge.mean, ge.var, ge.std, ge.norm, ge.logsumexp, ge.prod)]
    assert {y.dtype for y in results} == {ge.float16}


def test_dtype_argument():
    x = ge.tensor([100, 100, 100], dtype=ge.int8)
    assert ge.sum(x, dtype=ge.int8).item() == 44
    assert ge.sum(x).item() == 300
    assert ge.sum(ge.ones(3), dtype=ge.float16).dtype == ge.float16
    y = ge.tensor([1.5, 2.5], requires_grad=True)
    ge.sum(y, dtype=ge.float64).backward()
    assert y.grad.dtype == ge.float32
    assert y.grad.tolist() == [1, 1]
    with pytest.raises(DTypeError, match="complex128 is not supported"):
        ge.sum(x, dtype=complex)


def test_a_sum_rounded_to_integers_has_no_gradient():
    x = ge.tensor([1.5, 2.5], dtype=ge.float64, requires_grad=True)
    (ge.sum(x, dtype=ge.int64) * ge.sum(x)).backward()
    assert x.grad.tolist() == [3, 3]  # of 3 * sum(x)


def test_empty_reductions():
    x = ge.zeros(0, 3)
    assert ge.sum(x, axis=0).tolist() == [0, 0, 0]
    assert ge.prod(x).item() == 1
    assert ge.logsumexp(x, axis=0).tolist() == [-inf] * 3
    assert ge.norm(x).item() == 0
    assert not ge.any(x).item()
    assert ge.all(x).item()
    assert np.isnan(ge.mean(x).item())
    assert np.isnan(ge.var(x, axis=0).numpy()).all()
    assert ge.max(x, axis=1).shape == (0,)


def test_gradients_of_empty_reductions():
    for reduce in (ge.sum, ge.mean, ge.prod, ge.var, ge.std, ge.logsumexp, ge.norm):
        for axis in (None, 0, (0, 1)):
            x = ge.zeros(0, 3, requires_grad=True)
            (g,) = ge.grad(ge.sum(reduce(x, axis=axis)), x)
            assert g.shape == (0, 3)


def test_the_only_axis_of_a_number():
    """NumPy and PyTorch grant a 0-d array the axes 0 and -1."""
    for reduce in (ge.sum, ge.mean, ge.prod, ge.max, ge.var, ge.std, ge.logsumexp, ge.norm):
        x = ge.tensor(3.0, dtype=ge.float64, requires_grad=True)
        y = reduce(x, axis=-1)
        assert y.shape == ()
        y.backward()
        assert x.grad.shape == ()


def gradients(f, x, torch, g):
    """Of sum(f(x)), and of a weighted sum of that, here and in PyTorch."""
    ours = ge.tensor(np.array(x, np.float64), requires_grad=True)
    theirs = torch.tensor(np.array(x, np.float64), requires_grad=True)
    y, z = f(ge, ours), f(torch, theirs)
    (a,) = ge.grad(ge.sum(y), ours, create_graph=True)
    (b,) = torch.autograd.grad(z.sum(), theirs, create_graph=True)
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-12)
    if a.requires_grad and b.requires_grad:
        (aa,) = ge.grad(ge.sum(a * ge.tensor(g)), ours, allow_unused=True)
        (bb,) = torch.autograd.grad((b * torch.tensor(g)).sum(), theirs, allow_unused=True)
        if aa is not None and bb is not None:
            np.testing.assert_allclose(aa.numpy(), bb.numpy(), rtol=1e-9, atol=1e-12)


TIES = [[1.0, 3.0, 3.0, -3.0], [2.0, 2.0, 2.0, 2.0], [-1.0, 0.0, 0.0, 5.0]]


@pytest.mark.torch
@pytest.mark.parametrize("name", ["amax", "amin"])
@pytest.mark.parametrize("axis", [0, 1, (0, 1)])
def test_ties_share_evenly(name, axis, torch, backend, rng):
    gradients(lambda m, x: getattr(m, name)(x, axis), TIES, torch, rng.standard_normal((3, 4)))


@pytest.mark.torch
def test_extrema_of_nan(torch):
    gradients(lambda m, x: m.amax(x, 1), [[nan, 1.0], [2.0, 2.0]], torch, np.ones((2, 2)))


ZEROS = [[2.0, 0.0, -3.0, 0.5], [0.0, 0.0, 1.0, 2.0], [0.0, 0.0, 0.0, 1.0], [1.0, 2.0, 3.0, 4.0]]


@pytest.mark.torch
def test_products_with_zeros(torch, backend, rng):
    g = rng.standard_normal((4, 4))
    for axis in (0, 1, -1):
        gradients(lambda m, x: m.prod(x, axis), ZEROS, torch, g)  # noqa: B023
        gradients(lambda m, x: m.cumprod(x, axis), ZEROS, torch, g)  # noqa: B023
    gradients(lambda m, x: m.prod(x), ZEROS[:1], torch, g[:1])


def test_products_of_several_axes_with_zeros(rng):
    """The gradient of prod over two axes is that of prod over one after the other."""
    x = rng.standard_normal((3, 2, 4))
    x[0, 1, 2] = x[1, 0, 0] = x[1, 1, 3] = 0
    for axes in ((0, 2), (2, 0), (1, 0), (-1, -3)):
        a, b = ge.tensor(x, requires_grad=True), ge.tensor(x, requires_grad=True)
        first, second = sorted((axis % 3 for axis in axes), reverse=True)
        (g,) = ge.grad(ge.sum(ge.prod(a, axis=axes)), a, create_graph=True)
        (h,) = ge.grad(ge.sum(ge.prod(ge.prod(b, axis=first), axis=second)), b, create_graph=True)
        np.testing.assert_allclose(g.detach().numpy(), h.detach().numpy(), atol=1e-12)
        (gg,), (hh,) = ge.grad(ge.sum(g * g), a), ge.grad(ge.sum(h * h), b)
        np.testing.assert_allclose(gg.numpy(), hh.numpy(), atol=1e-12)


def test_products_do_not_overflow_on_the_way():
    x = ge.tensor([1e30, 1e30, 1e-30], requires_grad=True)
    with np.errstate(over="ignore"):
        ge.prod(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), [1, 1, inf])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cumprod_with_and_without_division(dtype, rng):
    """Ordinary numbers take a division, zeros and products near 0 a scan; both are what the op's definition says."""
    ordinary = rng.uniform(0.5, 2, (2, 12)).astype(dtype)
    zeros, tiny = ordinary.copy(), ordinary.copy()
    zeros[0, 3] = zeros[1, 0] = zeros[1, 7] = 0
    tiny[0, 4] = tiny[0, 6] = np.finfo(dtype).tiny
    for x in (ordinary, zeros, tiny):
        for axis in (0, 1):
            with np.errstate(all="ignore"):
                g = rng.standard_normal(x.shape).astype(dtype)
                t = ge.tensor(x, requires_grad=True)
                y = ge.cumprod(t, axis=axis)
                (got,) = ge.grad(y, t, ge.tensor(g))
                want = ge.ops.cumprod_gradient(ge.tensor(g), t.detach(), y.detach(), axis=axis)
            np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-4 if dtype == "float32" else 1e-11)


@pytest.mark.torch
@pytest.mark.parametrize("ord", [0.5, 1, 1.5, 2, 3, 10, inf, -inf, -1])
@pytest.mark.parametrize("axis", [None, 1])
def test_norms_at_zero_and_ties(ord, axis, torch, backend):
    rows = [[0.0, 3.0, -4.0], [0.0, 0.0, 0.0], [3.0, -3.0, 3.0]]

    def norm(m, x):
        return ge.vector_norm(x, ord, axis) if m is ge else torch.linalg.vector_norm(x, ord, axis)

    for row in rows:
        ours = ge.tensor(np.array([row]), requires_grad=True)
        theirs = torch.tensor(np.array([row]), requires_grad=True)
        norm(ge, ours).sum().backward()
        norm(torch, theirs).sum().backward()
        np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_large_orders_do_not_overflow():
    x = ge.tensor([3e5, 4e5], requires_grad=True)
    (g,) = ge.grad(ge.vector_norm(x, 6), x)
    size = np.array([3e5, 4e5])
    np.testing.assert_allclose(g.numpy(), (size / (size**6).sum() ** (1 / 6)) ** 5, rtol=1e-5)


@pytest.mark.torch
def test_deviations_at_zero(torch, backend):
    g = np.array([[1.0, 2.0], [3.0, -1.0]])
    for f in (lambda m, x: m.std(x, 1, correction=0), lambda m, x: m.var(x, 1, correction=1)):
        gradients(f, [[1.0, 1.0], [2.0, 5.0]], torch, g)


def test_deviations_with_too_few_elements():
    x = ge.ones(1, 2)
    assert np.isnan(ge.std(x, axis=0, correction=1).numpy()).all()
    assert ge.var(ge.tensor([1.0, 2.0]), correction=3).item() == inf


@pytest.mark.torch
def test_logsumexp_at_infinity(torch, backend):
    gradients(lambda m, x: m.logsumexp(x, 1), [[-inf, 1.0], [700.0, 800.0], [1.0, 2.0]], torch, np.ones((3, 2)))


def test_argmax_takes_the_first():
    x = ge.tensor([[1.0, 3.0, 3.0], [nan, 2.0, nan]])
    assert ge.argmax(x, axis=1).tolist() == [1, 0]
    assert ge.argmin(x, axis=1).tolist() == [0, 0]
    assert ge.argmax(x).item() == 3
    assert ge.argmax(x, axis=0, keepdims=True).shape == (1, 3)
    assert ge.argmax(x).dtype == ge.int64
    assert not ge.argmax(ge.ones(3, requires_grad=True)).requires_grad


@given(
    x=arrays.arrays(np.float64, arrays.array_shapes(min_dims=1, max_dims=3, min_side=0), elements=FLOATS),
    data=st.data(),
)
def test_running_totals_are_numpys(x, data):
    axis = data.draw(st.one_of(st.none(), st.integers(-x.ndim, x.ndim - 1)))
    same(ge.cumsum(ge.asarray(x), axis=axis), np.cumsum(x, axis=axis))
    same(ge.cumprod(ge.asarray(x), axis=axis), np.cumprod(x, axis=axis))
    if axis is not None:
        same(ge.cumulative_sum(ge.asarray(x), axis=axis), np.cumsum(x, axis=axis))
        want = np.insert(np.cumprod(x, axis=axis), 0, 1, axis=axis)
        same(ge.cumulative_prod(ge.asarray(x), axis=axis, include_initial=True), want)


@given(
    x=arrays.arrays(
        np.float64,
        arrays.array_shapes(min_dims=1, max_dims=3, max_side=5),
        elements=st.sampled_from([1.0, 2.0, 3.0, nan, inf]),
    ),
    data=st.data(),
)
def test_sorting_is_numpys(x, data):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    t = ge.asarray(x)
    same(ge.sort(t, axis=axis), np.sort(x, axis=axis))
    same(ge.argsort(t, axis=axis), np.argsort(x, axis=axis, stable=True))
    descending = ge.argsort(t, axis=axis, descending=True)
    same(ge.sort(t, axis=axis, descending=True), np.take_along_axis(x, descending.numpy(), axis))
    same(ge.sort(t, axis=axis, descending=True), np.flip(np.sort(x, axis=axis), axis))
    k = data.draw(st.integers(0, x.shape[axis]))
    values, indices = ge.topk(t, k, axis=axis)
    same(indices, np.take(descending.numpy(), np.arange(k), axis))
    same(values, np.take_along_axis(x, indices.numpy(), axis))


def test_descending_keeps_the_order_of_equal_elements():
    assert ge.argsort(ge.tensor([1.0, 2.0, 1.0, 2.0]), descending=True).tolist() == [1, 3, 0, 2]
    assert ge.topk(ge.tensor([1.0, 2.0, 1.0, 2.0]), 3, largest=False)[1].tolist() == [0, 2, 1]


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("values", [3, 1000, 10**9])
def test_topk_of_many(largest, values, rng):
    """Without sorting everything it says what sorting everything does, however many are equal at the cut."""
    x = rng.integers(0, values, (5, 400)).astype(np.float64)
    x[4, ::3] = nan
    for axis, array in ((1, x), (0, x.T)):
        order = ge.argsort(ge.tensor(array), axis=axis, descending=largest).numpy()
        _, indices = ge.topk(ge.tensor(array), 7, axis=axis, largest=largest)
        np.testing.assert_array_equal(indices.numpy(), np.take(order, np.arange(7), axis))


@pytest.mark.torch
def test_gradients_of_sorting_with_ties(torch, backend):
    x = np.array([[2.0, 1.0, 2.0, 1.0], [3.0, 3.0, 3.0, 0.0]])
    v = np.arange(8.0).reshape(2, 4)
    ours, theirs = ge.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    for descending in (False, True):
        (g,) = ge.grad(ge.sort(ours, descending=descending), ours, ge.tensor(v))
        y = torch.sort(theirs, dim=-1, descending=descending, stable=True)[0]
        (h,) = torch.autograd.grad(y, theirs, torch.tensor(v))
        np.testing.assert_array_equal(g.numpy(), h.numpy())


@given(case=array_and_axis(), q=st.floats(0, 1))
def test_quantiles_are_numpys(case, q):
    x, axis, keepdims = case
    if x.size and axis != ():
        t = ge.asarray(x)
        same(ge.quantile(t, q, axis=axis, keepdims=keepdims), np.quantile(x, q, axis=axis, keepdims=keepdims), 1e-9)
        same(ge.median(t, axis=axis, keepdims=keepdims), np.median(x, axis=axis, keepdims=keepdims), 1e-9)


REDUCTIONS = [
    "sum", "mean", "prod", "max", "min", "var", "std", "logsumexp", "norm", "argmax", "argmin", "any", "all",
    "count_nonzero", "median", "cumsum", "cumprod",
]  # fmt: skip


@pytest.mark.parametrize("name", [*REDUCTIONS, "sort", "argsort"])
def test_an_axis_out_of_range(name, backend):
    x = ge.ones(2, 3)
    said = "vector_norm" if name == "norm" else name
    with pytest.raises(ShapeError, match=f"{said}: axis 2 is out of range for 2 dimensions; valid are -2 to 1"):
        getattr(ge, name)(x, axis=2)
    with pytest.raises(DTypeError, match=f"{said}: axis must be"):
        getattr(ge, name)(x, axis="first")
    if name not in ("sort", "argsort"):
        with pytest.raises((ShapeError, DTypeError), match=f"{said}: axis"):
            getattr(ge, name)(x, axis=(0, 0))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: ge.sum(x, 0, True, None, 4), ge.SignatureError, "sum: takes 1 array, then axis, keepdims, dtype"),
        (lambda x: ge.max(ge.zeros(2, 0), axis=1), ShapeError, "max: axis 1 of shape (2, 0) has no elements"),
        (lambda x: ge.argmin(ge.zeros(0)), ShapeError, "argmin: axis 0 of shape (0,) has no elements"),
        (lambda x: ge.argmax(x, axis=(0, 1)), DTypeError, "argmax: axis must be one int or None"),
        (lambda x: ge.norm(x, ord="fro"), DTypeError, "vector_norm: ord must be a number"),
        (lambda x: ge.cumulative_sum(x), ShapeError, "cumulative_sum: shape (2, 3) has 2 axes"),
        (lambda x: ge.trace(ge.ones(3)), ShapeError, "trace: works on matrices"),
        (lambda x: ge.sort(ge.tensor(1.0)), ShapeError, "sort: axis -1 is out of range for 0 dimensions"),
        (lambda x: ge.topk(x, 4), ShapeError, "topk: k=4 along axis -1 of shape (2, 3)"),
        (lambda x: ge.topk(x, 1, axis=2), ShapeError, "topk: axis 2 is out of range"),
        (lambda x: ge.searchsorted(x, x), ShapeError, "searchsorted: searches a 1-d array"),
        (lambda x: ge.searchsorted(x[0], x, side="top"), ArgumentError, "searchsorted: side must be"),
        (lambda x: ge.quantile(x, 1.5), ArgumentError, "quantile: q must be from 0 to 1"),
        (lambda x: ge.median(ge.zeros(0)), ShapeError, "median: axis 0 of shape (0,) has no elements"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call(ge.ones(2, 3))
    assert text in str(caught.value)
