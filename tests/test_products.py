"""Products against NumPy and PyTorch: every combination of ranks, einsum over random equations, and the errors."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import gradengine as ge
from gradengine import shapes

SIZES = (1, 2, 3)


def batches(draw):
    """Two shapes that broadcast, and with some luck are not equal."""
    full = draw(st.lists(st.sampled_from(SIZES), max_size=2))
    one = [draw(st.sampled_from((n, 1))) for n in full]
    other = [draw(st.sampled_from((n, 1))) for n in full]
    return tuple(one[draw(st.integers(0, len(one))) :]), tuple(other[draw(st.integers(0, len(other))) :])


@st.composite
def matmul_shapes(draw):
    m, n, p = (draw(st.sampled_from((0, *SIZES))) for _ in range(3))
    left, right = batches(draw)
    a = draw(st.sampled_from([(n,), (*left, m, n)]))
    b = draw(st.sampled_from([(n,), (*right, n, p)]))
    return a, b


def gradients(function, *arrays, weights):
    """The value and the gradients of sum(weights * function)."""
    tensors = [ge.tensor(a, requires_grad=True) for a in arrays]
    out = function(*tensors)
    return out.detach().numpy(), [g.numpy() for g in ge.grad(out, tensors, ge.tensor(weights))]


def torch_gradients(torch, function, *arrays, weights):
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    out = function(*tensors)
    return out.detach().numpy(), [g.numpy() for g in torch.autograd.grad(out, tensors, torch.tensor(weights))]


@given(matmul_shapes(), st.integers(0, 99))
def test_matmul_of_any_ranks(pair, seed):
    rng = np.random.default_rng(seed)
    a, b = (rng.standard_normal(shape) for shape in pair)
    want = np.matmul(a, b)
    assert shapes.matmul("matmul", a.shape, b.shape) == want.shape
    v = rng.standard_normal(want.shape)
    got, (da, db) = gradients(ge.matmul, a, b, weights=v)
    np.testing.assert_array_equal(got, want)
    left, right = (a if a.ndim > 1 else a[None]), (b if b.ndim > 1 else b[:, None])
    g = v.reshape(np.matmul(left, right).shape)
    np.testing.assert_allclose(da, unbroadcast(g @ right.mT, left.shape).reshape(a.shape), atol=1e-12)
    np.testing.assert_allclose(db, unbroadcast(left.mT @ g, right.shape).reshape(b.shape), atol=1e-12)


def unbroadcast(x, shape):
    """Sum to a shape."""
    x = x.sum(tuple(range(x.ndim - len(shape))))
    return x.sum(tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "bool"])
def test_matmul_keeps_the_dtype_as_numpy_does(dtype, backend):
    a, b = np.ones((2, 3), dtype), np.ones((3, 2), dtype)
    out = ge.tensor(a) @ ge.tensor(b)
    assert out.dtype == np.matmul(a, b).dtype
    np.testing.assert_array_equal(out.numpy(), np.matmul(a, b))


def test_matmul_of_transposed_and_strided_operands(rng):
    a, b = rng.standard_normal((6, 4)), rng.standard_normal((10, 12))
    x, y = ge.tensor(a), ge.tensor(b)
    np.testing.assert_allclose((x.mT @ y[::-2, ::2].mT).numpy(), a.T @ b[::-2, ::2].T)
    wide = ge.broadcast_to(x, shape=(3, 6, 4))
    np.testing.assert_allclose((wide.mT @ wide).numpy(), np.stack([a.T @ a] * 3))


def test_operators_take_arrays_and_lists():
    x = ge.tensor([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal((np.eye(2) @ x).numpy(), x.numpy())
    np.testing.assert_array_equal((x @ [1.0, 0.0]).numpy(), [1, 3])


@pytest.mark.torch
@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 3), (0, 3), (2, 1, 2, 3)])
@pytest.mark.parametrize("biased", [True, False])
def test_linear_like_torch(shape, biased, rng, torch, backend):
    arrays = [rng.standard_normal(shape), rng.standard_normal((5, 3))] + ([rng.standard_normal(5)] if biased else [])
    v = rng.standard_normal((*shape[:-1], 5))
    ours = gradients(ge.linear, *arrays, weights=v)
    theirs = torch_gradients(torch, torch.nn.functional.linear, *arrays, weights=v)
    np.testing.assert_allclose(ours[0], theirs[0], atol=1e-12)
    for g, w in zip(ours[1], theirs[1]):
        np.testing.assert_allclose(g, w, atol=1e-12)


def test_linear_promotes_and_does_not_write_to_its_inputs():
    x, w, b = ge.ones((2, 3)), ge.ones((4, 3)), ge.ones(4, dtype=ge.float64)
    assert ge.linear(x, w, b).dtype == ge.float64
    assert ge.linear(x, w, b.to(ge.float32)).dtype == ge.float32
    np.testing.assert_array_equal(b.numpy(), np.ones(4))


# -- vecdot, outer, tensordot -----------------------------------------------------------------------------------


@given(st.data(), st.integers(0, 99))
def test_vecdot_along_any_axis(data, seed):
    rng = np.random.default_rng(seed)
    left, right = batches(data.draw)
    n = data.draw(st.sampled_from((0, *SIZES)))
    axis = data.draw(st.integers(-1 - min(len(left), len(right)), -1))
    a = np.moveaxis(rng.standard_normal((*left, n)), -1, axis)
    b = np.moveaxis(rng.standard_normal((*right, n)), -1, axis)
    want = np.vecdot(a, b, axis=axis)
    assert shapes.vecdot("vecdot", a.shape, b.shape, axis=axis) == want.shape
    v = rng.standard_normal(want.shape)
    got, (da, db) = gradients(lambda x, y: ge.vecdot(x, y, axis=axis), a, b, weights=v)
    np.testing.assert_allclose(got, want, atol=1e-12)
    g = np.expand_dims(v, axis)
    np.testing.assert_allclose(da, unbroadcast(g * b, a.shape), atol=1e-12)
    np.testing.assert_allclose(db, unbroadcast(g * a, b.shape), atol=1e-12)


def test_vecdot_counts_a_positive_axis_in_each_operand(rng):
    a, b, v = rng.standard_normal((4, 3, 2)), rng.standard_normal((2, 3)), rng.standard_normal((4, 2))
    got, (da, db) = gradients(lambda x, y: ge.vecdot(x, y, axis=1), a, b, weights=v)
    np.testing.assert_allclose(got, np.einsum("aij,ji->aj", a, b))
    np.testing.assert_allclose(da, np.einsum("aj,ji->aij", v, b))
    np.testing.assert_allclose(db, np.einsum("aj,aij->ji", v, a))


@pytest.mark.parametrize("axes", [0, 1, 2, ([0], [1]), ([1, 0], [0, 1]), (0, -1), ([], [])])
def test_tensordot_like_numpy(axes, rng):
    a, b = rng.standard_normal((2, 2, 2)), rng.standard_normal((2, 2, 2))
    np.testing.assert_allclose(ge.tensordot(a, b, axes=axes).numpy(), np.tensordot(a, b, axes=axes))


def test_outer_flattens(rng):
    a, b = rng.standard_normal((2, 3)), rng.standard_normal((2, 0))
    np.testing.assert_array_equal(ge.outer(a, a).numpy(), np.outer(a, a))
    assert ge.outer(a, b).shape == (6, 0)


# -- einsum -----------------------------------------------------------------------------------------------------


@st.composite
def equations(draw):
    """An equation with 1 to 4 operands, repeated letters, broadcasting sizes and an ellipsis or two."""
    size = dict(zip("abcde", draw(st.lists(st.sampled_from((1, 2, 3)), min_size=5, max_size=5))))
    dots = draw(st.lists(st.sampled_from((1, 2)), max_size=2))
    terms, arrays = [], []
    for _ in range(draw(st.integers(1, 4))):
        letters = draw(st.text("abcde", max_size=3))
        shape = [size[c] for c in letters]
        for c in sorted(set(letters)):
            if draw(st.booleans()) and draw(st.booleans()):  # the whole letter broadcasts in this operand
                shape = [1 if d == c else n for d, n in zip(letters, shape)]
        if draw(st.booleans()):
            at = draw(st.integers(0, len(letters)))
            own = dots[draw(st.integers(0, len(dots))) :]
            own = [draw(st.sampled_from((1, n))) for n in own]
            shape[at:at] = own
            letters = f"{letters[:at]}...{letters[at:]}"
        terms.append(letters)
        arrays.append(shape)
    equation = ",".join(terms)
    if draw(st.booleans()):
        used = sorted(set(equation) - set(",."))
        output = draw(st.permutations(used))[: draw(st.integers(0, len(used)))]
        at = draw(st.integers(0, len(output)))
        middle = "..." if "..." in equation else ""
        equation += "->" + "".join(output[:at]) + middle + "".join(output[at:])
    return equation, arrays


@settings(max_examples=300)
@given(equations(), st.integers(0, 99))
def test_einsum_of_random_equations(case, seed):
    equation, sizes = case
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(shape) for shape in sizes]
    want = np.einsum(equation, *arrays)
    v = rng.standard_normal(want.shape)
    tensors = [ge.tensor(a, requires_grad=True) for a in arrays]
    out = ge.einsum(equation, *tensors)
    np.testing.assert_allclose(out.detach().numpy(), want, atol=1e-9)
    # The function is linear in each operand: its gradient times the operand gives the value back.
    for a, g in zip(arrays, ge.grad(out, tensors, ge.tensor(v), create_graph=True)):
        np.testing.assert_allclose((g.detach().numpy() * a).sum(), (v * want).sum(), atol=1e-9)


@pytest.mark.torch
@pytest.mark.parametrize(
    ("equation", "sizes"),
    [
        ("bhqd,bhkd,bhkv->bhqv", [(2, 2, 3, 4), (2, 2, 3, 4), (2, 2, 3, 5)]),
        ("...ii->...i", [(2, 3, 3)]),
        ("ij,ij,ij->", [(2, 3)] * 3),
        ("a...,b...->ab...", [(2, 3, 1), (4, 5)]),
        ("ijk,jil->kl", [(2, 3, 4), (3, 2, 5)]),
    ],
)
def test_einsum_gradients_like_torch(equation, sizes, rng, torch):
    arrays = [rng.standard_normal(shape) for shape in sizes]
    v = rng.standard_normal(torch.einsum(equation, *map(torch.tensor, arrays)).shape)
    ours = gradients(lambda *xs: ge.einsum(equation, *xs), *arrays, weights=v)
    theirs = torch_gradients(torch, lambda *xs: torch.einsum(equation, *xs), *arrays, weights=v)
    np.testing.assert_allclose(ours[0], theirs[0], atol=1e-10)
    for g, w in zip(ours[1], theirs[1]):
        np.testing.assert_allclose(g, w, atol=1e-10)


def test_einsum_contracts_in_a_cheap_order():
    """Left to right, the second would make a matrix of 10^8 elements."""
    x = ge.ones((10_000, 1))
    assert ge.einsum("ia,jb,jb->i", x, x, x).shape == (10_000,)
    assert ge.einsum("ia,ja,jb->ib", x, x, x).shape == (10_000, 1)


@pytest.mark.torch
def test_einsum_of_one_operand_is_a_view_as_in_numpy_and_pytorch(torch):
    x = ge.tensor([[1.0, 2.0]])
    a, t = np.array([[1.0, 2.0]]), torch.tensor([[1.0, 2.0]])
    for library, array in ((ge, x), (np, a), (torch, t)):
        y = library.einsum("ij->ji", array)
        y += 1
    assert x.tolist() == a.tolist() == t.tolist() == [[2.0, 3.0]]


@pytest.mark.parametrize("dtype", ["int32", "float16", "float32"])
def test_einsum_keeps_the_dtype(dtype):
    x = np.ones((3, 3), dtype)
    for equation in ("ii", "ij->i", "ij->ji", "ij->"):
        assert ge.einsum(equation, ge.tensor(x)).dtype == np.dtype(dtype)
    assert ge.einsum("ij,jk->ik", ge.tensor(x), ge.tensor(x)).dtype == np.dtype(dtype)


# -- errors -----------------------------------------------------------------------------------------------------

A, B = ge.ones((64, 784)), ge.ones((512, 10))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: A @ B, ge.ShapeError, r"^matmul: \(64, 784\) @ \(512, 10\): inner sizes 784 and 512 differ$"),
        (lambda: A @ 2.0, ge.ShapeError, "matmul: .*at least one dimension; use \\*"),
        (lambda: ge.ones((2, 3, 4)) @ ge.ones((5, 4, 3)), ge.ShapeError, "matmul: shapes .* do not broadcast"),
        (lambda: ge.vecdot(A, B), ge.ShapeError, "vecdot: .* sizes 784 and 10 differ"),
        (lambda: ge.vecdot(A, A, axis=2), ge.ShapeError, "vecdot: axis 2 is out of range"),
        (lambda: ge.tensordot(A, B), ge.ShapeError, "tensordot: .*axis 0 of size 64 meets axis 0 of size 512"),
        (lambda: ge.tensordot(A, B, axes=3), ge.ShapeError, "tensordot: .*no 3 axes"),
        (lambda: ge.tensordot(A, B, axes=([0], [0, 1])), ge.ShapeError, "tensordot: .*pair 1 axes with 2"),
        (lambda: ge.linear(A, B), ge.ShapeError, r"linear: input \(64, 784\) .*sizes 784 and 10 differ"),
        (lambda: ge.linear(A, A, ge.ones(784)), ge.ShapeError, r"linear: bias \(784,\) .*must be \(64,\)"),
        (lambda: ge.linear(A, A, ge.ones(1)), ge.ShapeError, "linear: bias"),
        (lambda: ge.linear(A, ge.ones(784)), ge.ShapeError, "linear: weight must have shape"),
        (lambda: ge.einsum("ij,jk->ik", A, B), ge.ShapeError, "'j' has sizes 784 and 512"),
        (lambda: ge.einsum("ii", A), ge.ShapeError, "'i' names axes of sizes 64 and 784"),
        (lambda: ge.einsum("i", A), ge.ShapeError, "'i' does not describe operand 0"),
        (lambda: ge.einsum("...i,...i->i", A, ge.ones((3, 784))), ge.ShapeError, r"'...' has sizes 64 and 3"),
        (lambda: ge.einsum("ij,jk", A), ge.ArgumentError, "2 operands, 1 were given"),
        (lambda: ge.einsum("ij->ik", A), ge.ArgumentError, "each letter of the output"),
        (lambda: ge.einsum("ij->ii", A), ge.ArgumentError, "each letter of the output"),
        (lambda: ge.einsum("i1->i", A), ge.ArgumentError, "letters and one"),
        (lambda: ge.einsum("i.j->i", A), ge.ArgumentError, "letters and one"),
        (lambda: ge.einsum(A, "ij"), ge.ArgumentError, "equation comes first"),
    ],
)
def test_errors_name_the_op_and_the_sizes(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
