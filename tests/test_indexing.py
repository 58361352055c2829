"""Indexing against NumPy: random indices of every kind, assignment with repeated indices, gathers, errors."""

import operator

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import gradengine as ge
from gradengine import shapes
from gradengine.ops.index import split_index


@st.composite
def slices(draw, n):
    bound = st.none() | st.integers(-n - 1, n + 1)
    return slice(draw(bound), draw(bound), draw(st.sampled_from((None, 1, 2, -1, -2))))


@st.composite
def shapes_and_indices(draw):
    """A shape, and an index into it of ints, slices, None, an ellipsis, arrays and masks."""
    shape = tuple(draw(st.lists(st.integers(0, 3), min_size=1, max_size=4)))
    common = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
    index = []
    axis = 0
    while axis < len(shape):
        n = shape[axis]
        kind = draw(st.sampled_from(("int", "slice", "slice", "array", "list", "mask", "none", "stop")))
        if kind == "stop":
            break
        if kind == "none":
            if sum(i is None for i in index) < 2:
                index.append(None)
            continue
        if kind in ("int", "array", "list") and n == 0:
            kind = "slice"
        if kind == "int":
            index.append(draw(st.integers(-n, n - 1)))
        elif kind == "slice":
            index.append(draw(slices(n)))
        elif kind == "array":
            own = tuple(draw(st.sampled_from((m, 1))) for m in common)[draw(st.integers(0, len(common))) :]
            values = draw(st.lists(st.integers(-n, n - 1), min_size=int(np.prod(own)), max_size=int(np.prod(own))))
            index.append(np.array(values, draw(st.sampled_from((np.int64, np.int32)))).reshape(own))
        elif kind == "list":
            m = common[-1] if common else 1
            index.append(draw(st.lists(st.integers(-n, n - 1), min_size=m, max_size=m)))
        else:  # as many true elements as the arrays have, so that they broadcast
            dims = draw(st.integers(1, min(2, len(shape) - axis)))
            size = int(np.prod(shape[axis : axis + dims]))
            wanted = min(common[-1] if common else draw(st.integers(0, size)), size)
            mask = np.arange(size) < wanted
            index.append(mask[draw(st.permutations(range(size)))].reshape(shape[axis : axis + dims]))
            axis += dims - 1
        axis += 1
    if draw(st.booleans()):
        index.insert(draw(st.integers(0, len(index))), ...)
    return shape, index[0] if len(index) == 1 and draw(st.booleans()) else tuple(index)


@settings(max_examples=200)
@given(shapes_and_indices())
def test_reading_at_any_index(case):
    shape, index = case
    a = np.random.default_rng(0).standard_normal(shape)
    try:
        want = a[index]
    except IndexError:
        with pytest.raises(ge.GradengineError):
            ge.tensor(a)[index]
        return
    x = ge.tensor(a, requires_grad=True)
    y = x[index]
    np.testing.assert_array_equal(y.detach().numpy(), want)
    assert y.shape == want.shape
    structure, at = split_index(index, x, False)
    try:
        told = shapes.getitem("getitem", shape, *[i.shape for i in at], index=structure)
    except ge.ShapeError:
        assert a.size == 0  # where nothing can be read, NumPy lets a mask be of the wrong shape
        return
    assert len(told) == want.ndim
    assert all(n in (m, -1) for n, m in zip(told, want.shape))
    v = np.random.default_rng(1).standard_normal(want.shape)
    (g,) = ge.grad(y, x, ge.tensor(v))
    expected = np.zeros(shape)
    np.add.at(expected, index, v)
    np.testing.assert_allclose(g.numpy(), expected, atol=1e-12)


def assign_in_order(a, index, v):
    """`a[index] = v` element by element in the order of the index: what is written, and by which element of v."""
    position = np.arange(a.size).reshape(a.shape)[index]
    v = np.broadcast_to(np.asarray(v).reshape(np.shape(v)[max(np.ndim(v) - position.ndim, 0) :]), position.shape)
    out, writer = a.copy().reshape(-1), np.full(a.size, -1)
    for i, (p, value) in enumerate(zip(position.ravel(), v.ravel())):
        out[p], writer[p] = value, i
    return out.reshape(a.shape), writer.reshape(a.shape), position.shape


@settings(max_examples=200)
@given(shapes_and_indices(), st.data())
def test_writing_at_any_index(case, data):
    shape, index = case
    rng = np.random.default_rng(0)
    a = rng.standard_normal(shape)
    try:
        target = a[index].shape
    except IndexError:
        return
    own = tuple(data.draw(st.sampled_from((n, 1))) for n in target)[data.draw(st.integers(0, len(target))) :]
    value = rng.standard_normal((1,) * data.draw(st.integers(0, 1)) * (len(own) == len(target)) + own)
    value = np.asfortranarray(value) if data.draw(st.booleans()) else value
    want, writer, _ = assign_in_order(a, index, value)
    leaf, v = ge.tensor(a, requires_grad=True), ge.tensor(value, requires_grad=True)
    x = leaf.clone()
    x[index] = v
    np.testing.assert_array_equal(x.detach().numpy(), want)
    w = rng.standard_normal(shape)
    gx, gv = ge.grad(x, (leaf, v), ge.tensor(w), create_graph=True)
    np.testing.assert_array_equal(gx.detach().numpy(), np.where(writer < 0, w, 0))
    by_element = np.zeros(int(np.prod(target)))
    by_element[writer[writer >= 0]] = w[writer >= 0]
    full = by_element.reshape(target)
    kept = value.shape[max(value.ndim - full.ndim, 0) :]
    full = full.sum(tuple(range(full.ndim - len(kept))))
    full = full.sum(tuple(i for i, n in enumerate(kept) if n == 1), keepdims=True)
    np.testing.assert_allclose(gv.detach().numpy(), full.reshape(value.shape), atol=1e-12)
    plain = ge.tensor(a)  # nothing is recorded, nobody shares it: written in place
    plain[index] = value
    np.testing.assert_array_equal(plain.numpy(), want)


def test_the_last_of_many_writes_counts(rng):
    """Also where NumPy could prefer another order: columns first, or in blocks of its own."""
    a, v = rng.standard_normal((50, 60)), rng.standard_normal((300, 200))
    rows = np.asfortranarray(rng.integers(-50, 50, (200, 300))).T[:, :1]
    columns = rng.integers(-60, 60, (200, 1)).T
    grid = np.asfortranarray(np.broadcast_to(columns, (300, 200)))
    for index in ((rows, columns), (rows, grid), (rows, columns[0])):
        want, writer, _ = assign_in_order(a, index, v)
        x, leaf = ge.tensor(a), ge.tensor(np.asfortranarray(v), requires_grad=True)
        x[index] = leaf
        np.testing.assert_array_equal(x.detach().numpy(), want)
        x.sum().backward()
        written = np.zeros(v.size)
        written[writer[writer >= 0]] = 1
        np.testing.assert_array_equal(leaf.grad.numpy().ravel(), written)


# -- what indices may be ----------------------------------------------------------------------------------------


def test_numbers_of_any_kind_are_indices():
    x = ge.arange(5)
    for i in (2, np.int64(2), np.uint8(2), ge.tensor(2), np.array(2)):
        assert x[i].item() == 2
        assert x[i].shape == ()
    assert x[ge.tensor(1) : ge.tensor(3)].tolist() == [1, 2]
    assert x[range(1, 3)].tolist() == [1, 2]
    assert x[[]].shape == (0,)
    assert x[[True, False, False, True, False]].tolist() == [0, 3]
    assert x[True].shape == (1, 5)
    assert x[np.False_].shape == (0, 5)
    assert ge.tensor([[1, 2]])[[0], [1]].tolist() == [2]


def test_an_assignment_reaches_views_and_what_they_are_views_of():
    x = ge.arange(4.0)
    y = x[1:3]
    x[1] = 10.0
    assert y.tolist() == [10, 2]
    y[0] = 20.0
    assert x.tolist() == [0, 20, 2, 3]


def test_an_index_array_may_change_after_the_forward_pass():
    index = np.array([0, 1])
    x = ge.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x[index].sum()
    index[:] = 2
    y.backward()
    assert x.grad.tolist() == [1, 1, 0]


# -- assignment -------------------------------------------------------------------------------------------------


def test_assignment_writes_in_place_only_where_nobody_looks():
    x = ge.zeros(1000)
    buffer = x.array
    address = buffer.ctypes.data
    del buffer
    x[3] = 1.0
    x[[4, 5]] = 2.0
    assert x.array.ctypes.data == address
    seen = x.numpy()
    x[3] = 7.0
    assert seen[3] == 1
    assert x.array.ctypes.data != address


def test_assignment_of_overlapping_parts():
    x = ge.arange(5)
    x[1:] = x[:-1]
    assert x.tolist() == [0, 0, 1, 2, 3]
    y = ge.arange(3.0)
    y[:] = y[::-1]
    assert y.tolist() == [2, 1, 0]
    z = ge.tensor([2, 0, 1])
    z[z] = z
    assert z.tolist() == [0, 1, 2]


def test_assignment_and_the_graph():
    w = ge.tensor([1.0, 2.0, 3.0], requires_grad=True)
    with pytest.raises(ge.GraphError, match="leaf that requires grad"):
        w[0] = 5.0
    with ge.no_grad():
        w[0] = 5.0
    assert w.tolist() == [5, 2, 3]
    y = w * 1
    z = y * y  # reads y before it changes
    y[0] = w[1] * 10
    y[1] = 0.0
    (z.sum() + (y * y).sum()).backward()
    assert w.grad.tolist() == [2 * 5, 2 * 2 + 2 * 20 * 10, 2 * 3 + 2 * 3]


def test_assignment_in_a_loop_like_torch(torch, rng):
    """A recurrence that fills its own buffer."""
    a = rng.standard_normal(6)

    def run(x, out):
        for i in range(1, 6):
            out[i] = out[i - 1] * x[i] + x[i] * x[i]
        return out

    x, z = ge.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    ours = run(x, ge.ones(6, dtype=ge.float64))
    parts = [torch.ones((), dtype=torch.float64)]
    for i in range(1, 6):
        parts.append(parts[-1] * z[i] + z[i] * z[i])
    theirs = torch.stack(parts)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy())
    ours.sum().backward()
    theirs.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), z.grad.numpy())


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64", "uint8", "bool"])
def test_assignment_keeps_the_dtype(dtype):
    x = ge.zeros(3, dtype=dtype)
    x[1] = 1
    x[2] = True
    assert x.dtype == np.dtype(dtype)
    assert x.tolist() == [0, 1, 1]


def test_assignment_to_a_recorded_float_casts_the_gradient():
    x = ge.zeros(2, dtype=ge.float64)
    v = ge.tensor(3.0, requires_grad=True)
    x[0] = v
    x.sum().backward()
    assert v.grad.dtype == ge.float32


# -- take, gather, scatter --------------------------------------------------------------------------------------


@given(st.integers(0, 5), st.lists(st.integers(1, 3), min_size=1, max_size=3), st.data())
def test_take_and_its_gradient(count, sizes, data):
    rng = np.random.default_rng(count)
    axis = data.draw(st.none() | st.integers(-len(sizes), len(sizes) - 1))
    a = rng.standard_normal(sizes)
    n = a.size if axis is None else a.shape[axis]
    indices = rng.integers(-n, n, data.draw(st.sampled_from([(), (count,), (2, count)])))
    x = ge.tensor(a, requires_grad=True)
    y = ge.take(x, indices, axis=axis)
    want = np.take(a, indices, axis)
    np.testing.assert_array_equal(y.detach().numpy(), want)
    v = rng.standard_normal(want.shape)
    (g,) = ge.grad(y, x, ge.tensor(v))
    expected = np.zeros_like(a)
    if axis is None:
        np.add.at(expected.reshape(-1), indices, v)
    else:
        np.add.at(
            np.moveaxis(expected, axis, 0),
            indices,
            np.moveaxis(v, range(axis % a.ndim, axis % a.ndim + indices.ndim), range(indices.ndim)),
        )
    np.testing.assert_allclose(g.numpy(), expected, atol=1e-12)


@pytest.mark.torch
@given(st.data())
def test_gather_and_scatter_add_like_torch(data):
    import torch

    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    axis = data.draw(st.integers(-len(sizes), len(sizes) - 1))
    at = axis % len(sizes)
    smaller = [data.draw(st.integers(0, 5) if i == at else st.integers(1, n)) for i, n in enumerate(sizes)]
    rng = np.random.default_rng(0)
    index = rng.integers(0, sizes[at], smaller)
    a, src = rng.standard_normal(sizes), rng.standard_normal(smaller)
    for ours, theirs, arrays in (
        (lambda x: ge.gather(x, axis, ge.tensor(index)), lambda x: torch.gather(x, axis, torch.tensor(index)), [a]),
        (
            lambda x, s: ge.scatter_add(x, axis, ge.tensor(index), s),
            lambda x, s: torch.scatter_add(x, axis, torch.tensor(index), s),
            [a, src],
        ),
    ):
        xs = [ge.tensor(b, requires_grad=True) for b in arrays]
        zs = [torch.tensor(b, requires_grad=True) for b in arrays]
        y, z = ours(*xs), theirs(*zs)
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), atol=1e-12)
        v = rng.standard_normal(y.shape)
        for g, w in zip(ge.grad(y, xs, ge.tensor(v)), torch.autograd.grad(z, zs, torch.tensor(v))):
            np.testing.assert_allclose(g.numpy(), w.numpy(), atol=1e-12)


def test_embedding_sized_gradient_is_exact(rng, backend):
    rows, width, count = 500, 16, 3000
    index, v = rng.integers(-rows, rows, count), rng.standard_normal((count, width))
    x = ge.tensor(rng.standard_normal((rows, width)), requires_grad=True)
    for y in (x[index], ge.take(x, index, axis=0)):
        (g,) = ge.grad(y, x, ge.tensor(v))
        expected = np.zeros((rows, width))
        np.add.at(expected, index, v)
        np.testing.assert_allclose(g.numpy(), expected, atol=1e-12)


def test_one_hot():
    assert ge.one_hot([1, 0]).tolist() == [[0, 1], [1, 0]]
    assert ge.one_hot(ge.tensor(2), 4, dtype=ge.float32).tolist() == [0, 0, 1, 0]
    assert ge.one_hot(np.zeros((2, 0), int), 3).shape == (2, 0, 3)


# -- errors -----------------------------------------------------------------------------------------------------

X = ge.zeros((3, 4))


def assign(index, value, dtype=ge.float32):
    x = ge.zeros((3, 4), dtype=dtype)
    operator.setitem(x, index, value)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: X[3],
            ge.IndexRangeError,
            "index: index 3 is out of range for axis 0 with size 3; valid are -3 to 2",
        ),
        (lambda: X[0, -5], ge.IndexRangeError, "index: index -5 is out of range for axis 1 with size 4"),
        (lambda: X[:, [0, 9]], ge.IndexRangeError, "index: index 9 is out of range for axis 1 with size 4"),
        (lambda: X[0, 0, 0], ge.IndexRangeError, "index: 3 indices for 2 dimensions"),
        (lambda: X[..., ...], ge.IndexRangeError, "index: more than one ..."),
        (lambda: X[::0], ge.ArgumentError, "step cannot be 0"),
        (lambda: X[np.ones(4, bool)], ge.ShapeError, r"a mask of shape \(4,\) does not fit axes 0 to 0"),
        (lambda: X[:, np.ones((4, 4), bool)], ge.GradengineError, "index: 3 indices for 2 dim"),
        (lambda: X[[0, 1], [0, 1, 2]], ge.ShapeError, "index: shapes .* do not broadcast"),
        (lambda: X[1.0], ge.DTypeError, "float 1.0 is no index"),
        (lambda: X["a"], ge.DTypeError, "str 'a' is no index"),
        (lambda: X[[0.5]], ge.DTypeError, "must hold integers or bools, got float64"),
        (lambda: X[[[0], [1, 2]]], ge.ShapeError, "is no array"),
        (lambda: ge.zeros(())[0], ge.IndexRangeError, "1 indices for 0 dimensions"),
        (lambda: assign(3, 1.0), ge.IndexRangeError, "setitem: index 3 is out of range for axis 0 with size 3"),
        (lambda: assign([0, 7], 1.0), ge.IndexRangeError, "index 7 is out of range for axis 0 with size 3"),
        (lambda: assign(0, np.zeros(3)), ge.ShapeError, r"setitem: .* shape \(3,\) does not broadcast .* \(4,\)"),
        (lambda: assign(np.ones(4, bool), 1.0), ge.ShapeError, "setitem: a mask"),
        (lambda: assign(X > 0, np.zeros(5)), ge.ShapeError, "setitem"),
        (lambda: assign(0, 1.5, ge.int64), ge.DTypeError, "setitem: .*float64 does not fit into a Tensor of int64"),
        (lambda: assign(0, ge.tensor([1.5] * 4), ge.int64), ge.DTypeError, "setitem: float32 does not fit"),
        (lambda: assign(0, 2, ge.bool), ge.DTypeError, "does not fit into a Tensor of bool"),
        (lambda: assign(0, 300, ge.uint8), ge.DTypeError, "300"),
        (lambda: ge.take(X, [5], axis=0), ge.IndexRangeError, "take: index 5 is out of range for axis 0 with size 3"),
        (lambda: ge.take(X, [0], axis=2), ge.ShapeError, "take: axis 2 is out of range"),
        (lambda: ge.take(X, [0.5], axis=0), ge.DTypeError, "take"),
        (lambda: ge.take(X, [True], axis=0), ge.DTypeError, "take.*integers, got bool"),
        (lambda: ge.take_along_axis(X, ge.tensor([[9]])), ge.IndexRangeError, "take_along_axis.*index 9"),
        (lambda: ge.take_along_axis(X, ge.tensor([0])), ge.ShapeError, "same number of dimensions"),
        (lambda: ge.take_along_axis(X, ge.tensor([[0], [0]])), ge.ShapeError, "take_along_axis: .*do not broadcast"),
        (lambda: ge.gather(X, 0, ge.tensor([0])), ge.ShapeError, "gather: an index of shape"),
        (lambda: ge.gather(X, 2, ge.tensor([[0]])), ge.ShapeError, "gather: axis 2 is out of range"),
        (lambda: ge.gather(X, 0, ge.tensor([[3]])), ge.IndexRangeError, "index 3"),
        (lambda: ge.scatter_add(X, 0, ge.tensor([[3]]), ge.ones((1, 1))), ge.IndexRangeError, "index 3"),
        (lambda: ge.scatter_add(X, 0, ge.tensor([[0, 1]]), ge.ones((1, 1))), ge.ShapeError, "the source of shape"),
        (lambda: ge.index_add(X, 0, ge.tensor([0]), ge.ones((2, 4))), ge.ShapeError, "index_add"),
        (lambda: ge.one_hot([3], 3), ge.IndexRangeError, "one_hot.*label 3 is out of range for 3 classes"),
        (lambda: ge.one_hot([-1]), ge.IndexRangeError, "label -1"),
        (lambda: ge.one_hot([0.5], 3), ge.DTypeError, "labels must be integers"),
        (lambda: ge.nonzero(ge.tensor(1)), ge.ShapeError, "nonzero: a 0-d array"),
        (lambda: ge.masked_select(X, ge.tensor([0, 1, 0, 1])), ge.DTypeError, "mask must be bool"),
    ],
)
def test_errors_name_the_op_and_the_index(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
