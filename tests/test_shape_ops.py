"""Shape ops: NumPy's values over random shapes, adjoints that are adjoint, and errors that say what does not fit."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradengine as ge
from gradengine import shapes
from gradengine.backend import devices
from gradengine.cases.shapes import CASES
from gradengine.errors import ArgumentError, DTypeError, ShapeError

SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
FLAT = arrays.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=5)


def numbered(shape):
    """Different numbers in each place."""
    return np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape)


def is_adjoint(f, x):
    """<f(x), g> = <x, gradient of f at g>, which holds for a linear f alone, and its gradient with respect to g."""
    t = ge.tensor(x, requires_grad=True)
    y = f(t)
    g = ge.tensor(np.random.default_rng(1).standard_normal(y.shape), requires_grad=True)
    (d,) = ge.grad(y, t, g, create_graph=True)
    assert d.shape == x.shape
    left, right = (y.detach().numpy() * g.detach().numpy()).sum(), (x * d.detach().numpy()).sum()
    np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9)
    if y.size:
        (back,) = ge.grad(d, g, t.detach())
        np.testing.assert_allclose(back.numpy(), y.detach().numpy(), rtol=1e-9, atol=1e-9)


@given(shape=SHAPES, data=st.data())
def test_permutations_are_numpys(shape, data):
    x = numbered(shape)
    axes = data.draw(st.permutations(range(len(shape))))
    axes = tuple(a - len(shape) * data.draw(st.booleans()) for a in axes)
    np.testing.assert_array_equal(ge.permute_dims(ge.tensor(x), axes).numpy(), np.transpose(x, axes))
    is_adjoint(lambda t: ge.permute_dims(t, axes), x)
    if shape:
        i, j = (data.draw(st.integers(-len(shape), len(shape) - 1)) for _ in range(2))
        np.testing.assert_array_equal(ge.swapaxes(ge.tensor(x), i, j).numpy(), np.swapaxes(x, i, j))
        np.testing.assert_array_equal(ge.moveaxis(ge.tensor(x), i, j).numpy(), np.moveaxis(x, i, j))
        is_adjoint(lambda t: ge.moveaxis(ge.swapaxes(t, i, j), i, j), x)


@given(shapes=arrays.mutually_broadcastable_shapes(num_shapes=1, max_dims=4, max_side=4), data=st.data())
def test_broadcasting_and_back(shapes, data):
    (given_shape,), result = shapes.input_shapes, shapes.result_shape
    wider = tuple(data.draw(st.integers(1, 3)) for _ in range(data.draw(st.integers(0, 2))))
    wide = wider + tuple(data.draw(st.integers(0, 3)) if n == 1 else n for n in result)
    x = numbered(given_shape)
    np.testing.assert_array_equal(ge.broadcast_to(ge.tensor(x), wide).numpy(), np.broadcast_to(x, wide))
    is_adjoint(lambda t: ge.broadcast_to(t, wide), x)
    is_adjoint(lambda t: ge.ops.sum_to(t, given_shape), numbered(wide))


def test_large_broadcasts_take_no_memory():
    wide = ge.broadcast_to(ge.ones(1000, 1), (1000, 1000))
    assert wide.array.strides == (4, 0)
    assert ge.sum(wide).item() == 1e6


@given(shape=SHAPES, data=st.data())
def test_reshapes_are_numpys(shape, data):
    x = numbered(shape)
    factors = list(data.draw(st.permutations(shape)))
    if factors and 0 not in factors and data.draw(st.booleans()):
        factors[data.draw(st.integers(0, len(factors) - 1))] = -1
    view = ge.tensor(x).T
    np.testing.assert_array_equal(ge.reshape(view, tuple(factors)).numpy(), x.T.reshape(factors))
    is_adjoint(lambda t: ge.reshape(t, tuple(factors)), x)
    axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
    np.testing.assert_array_equal(ge.expand_dims(ge.tensor(x), axis=axis).numpy(), np.expand_dims(x, axis))
    np.testing.assert_array_equal(ge.squeeze(ge.tensor(x)).numpy(), np.squeeze(x))


@given(shape=FLAT, data=st.data())
def test_padding_is_numpys(shape, data):
    x = numbered(shape)
    mode = data.draw(st.sampled_from(shapes.PAD_MODES))
    widths = tuple((data.draw(st.integers(0, 7)), data.draw(st.integers(0, 7))) for _ in shape)
    np.testing.assert_array_equal(ge.pad(ge.tensor(x), widths, mode).numpy(), np.pad(x, widths, mode))
    is_adjoint(lambda t: ge.pad(t, widths, mode), x)


@pytest.mark.parametrize(
    "widths", [2, (1,), (1, 2), ((1, 2),), ((1, 2), (0, 3)), [[1, 2], [0, 3]], np.array([[1, 2], [0, 3]])]
)
def test_forms_of_pad_width(widths):
    x = numbered((2, 3))
    for mode in shapes.PAD_MODES:
        np.testing.assert_array_equal(ge.pad(ge.tensor(x), widths, mode).numpy(), np.pad(x, widths, mode))
        is_adjoint(lambda t: ge.pad(t, widths, mode), x)  # noqa: B023


@given(shape=SHAPES, times=st.lists(st.integers(0, 3), max_size=4))
def test_tiles_are_numpys(shape, times):
    x = numbered(shape)
    np.testing.assert_array_equal(ge.tile(ge.tensor(x), tuple(times)).numpy(), np.tile(x, times))
    is_adjoint(lambda t: ge.tile(t, tuple(times)), x)


@given(shape=FLAT, data=st.data())
def test_repeats_are_numpys(shape, data):
    x = numbered(shape)
    axis = data.draw(st.one_of(st.none(), st.integers(-len(shape), len(shape) - 1)))
    length = x.size if axis is None else shape[axis]
    repeats = data.draw(st.one_of(st.integers(0, 3), st.lists(st.integers(0, 3), min_size=length, max_size=length)))
    np.testing.assert_array_equal(ge.repeat(ge.tensor(x), repeats, axis).numpy(), np.repeat(x, repeats, axis))
    is_adjoint(lambda t: ge.repeat(t, repeats, axis), x)


def test_repeats_from_a_tensor():
    assert ge.repeat(ge.tensor([1.0, 2.0]), ge.tensor([2, 1])).tolist() == [1, 1, 2]
    x = ge.tensor([1.0, 2.0], requires_grad=True)
    ge.sum(ge.repeat(x, ge.tensor([2, 1]))).backward()
    assert x.grad.tolist() == [2, 1]


@given(shape=FLAT, data=st.data())
def test_moves_are_numpys(shape, data):
    x = numbered(shape)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    shift = data.draw(st.integers(-7, 7))
    np.testing.assert_array_equal(ge.roll(ge.tensor(x), shift, axis).numpy(), np.roll(x, shift, axis))
    np.testing.assert_array_equal(ge.flip(ge.tensor(x), axis).numpy(), np.flip(x, axis))
    is_adjoint(lambda t: ge.roll(ge.flip(t, axis), shift, axis), x)
    is_adjoint(lambda t: ge.roll(t, shift), x)


@given(shape=arrays.array_shapes(min_dims=2, max_dims=3, min_side=1), data=st.data())
def test_diagonals_are_numpys(shape, data):
    x = numbered(shape)
    i, j = data.draw(st.permutations(range(len(shape))))[:2]
    offset = data.draw(st.integers(-5, 5))
    np.testing.assert_array_equal(ge.diagonal(ge.tensor(x), offset, i, j).numpy(), np.diagonal(x, offset, i, j))
    is_adjoint(lambda t: ge.diagonal(t, offset, i, j), x)
    np.testing.assert_array_equal(ge.tril(ge.tensor(x), k=offset).numpy(), np.tril(x, offset))
    np.testing.assert_array_equal(ge.triu(ge.tensor(x), offset).numpy(), np.triu(x, offset))
    is_adjoint(lambda t: ge.tril(t, k=offset) + 2 * ge.triu(t, k=-offset), x)


@given(shape=FLAT, data=st.data())
def test_cutting_and_joining(shape, data):
    x = numbered(shape)
    t = ge.tensor(x)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    n = shape[axis]
    cuts = sorted(data.draw(st.lists(st.integers(-n, n + 2), max_size=3)))
    for got, want in zip(ge.split(t, cuts, axis=axis), np.split(x, cuts, axis), strict=True):
        np.testing.assert_array_equal(got.numpy(), want)
    sections = data.draw(st.sampled_from([d for d in range(1, n + 1) if n % d == 0]))
    for got, want in zip(ge.split(t, sections, axis=axis), np.split(x, sections, axis), strict=True):
        np.testing.assert_array_equal(got.numpy(), want)
    np.testing.assert_array_equal(ge.stack(ge.unstack(t, axis=axis), axis=axis).numpy(), x)
    np.testing.assert_array_equal(ge.concat(ge.chunk(t, sections, axis), axis=axis).numpy(), x)
    is_adjoint(lambda t: ge.concat(ge.chunk(t, 2, axis)[::-1], axis=axis), x)
    is_adjoint(lambda t: ge.stack([p * i for i, p in enumerate(ge.unstack(t, axis=axis))], axis=-1), x)


def test_chunks_are_torchs():
    assert [c.shape[0] for c in ge.chunk(ge.arange(7), 4)] == [2, 2, 2, 1]
    assert [c.shape[0] for c in ge.chunk(ge.arange(5), 4)] == [2, 2, 1]
    assert [c.shape[0] for c in ge.chunk(ge.zeros(0), 3)] == [0, 0, 0]


def test_joining_promotes():
    """Each operand's gradient comes back in its own dtype."""
    a = ge.ones(2, dtype=ge.float32, requires_grad=True)
    b = ge.ones(2, dtype=ge.float64, requires_grad=True)
    joined = ge.concat([a, b])
    assert joined.dtype == ge.float64
    joined.sum().backward()
    assert (a.grad.dtype, b.grad.dtype) == (ge.float32, ge.float64)
    assert ge.concat([ge.tensor([1, 2]), ge.tensor([True])]).dtype == ge.int64
    assert ge.stack([a[0], 1.0, 2]).dtype == ge.float32
    assert ge.concat([a, [1.0, 2.0]]).dtype == ge.float32
    assert ge.stack(np.ones((2, 3))).shape == (2, 3)


def test_joining_numbers_and_lists():
    """They are as weak as in arithmetic, and nothing is rounded."""
    whole = ge.tensor([1, 2])
    assert ge.concat([whole, [1.5]]).tolist() == [1, 2, 1.5]
    assert ge.concat([[1.0, 2.0], [3]]).dtype == ge.stack([1, 2.5]).dtype == ge.float32
    assert ge.stack([1, True]).dtype == ge.int64
    assert ge.concat([ge.tensor([1.0], dtype=ge.float16), [2.5, 3.0]]).dtype == ge.float16
    assert ge.concat([np.ones(2), [2.5]]).dtype == ge.float64
    assert ge.pad(ge.ones(2), ((1, 1),), constant_values=(1, 2)).tolist() == [1, 1, 1, 2]


def test_methods():
    x = ge.tensor(numbered((2, 3, 4)), requires_grad=True)
    assert x.flatten().shape == (24,)
    assert x.swapaxes(0, 1).shape == x.transpose(0, 1).shape == (3, 2, 4)
    assert x.mT.shape == (2, 4, 3)
    assert x.T.shape == (4, 3, 2)
    assert x.view(6, -1).shape == x.reshape((6, -1)).shape == (6, 4)
    assert x.permute(2, 0, 1).shape == (4, 2, 3)
    assert x.unsqueeze(0).squeeze(0).shape == x.shape
    assert x.sum(0, True).shape == (1, 3, 4)


LONE = [
    c for c in CASES if c.op not in ("broadcast_arrays", "split", "chunk", "unstack", "meshgrid", "product_of_others")
]


@pytest.mark.parametrize("name", [c.name for c in LONE])
def test_shape_rules_say_the_shape(name, monkeypatch):
    """The rules that explain errors also tell the shape of a result, without computing it."""
    case = next(c for c in LONE if c.name == name)
    ge.set_cpu_backend("numpy")
    table = devices.load("numpy").table
    checked = []

    def spy(op, kernel):
        def call(*inputs, **metadata):
            out = kernel(*inputs, **metadata)
            if op.shape is not None:
                assert op.shape(op.name, *[x.shape for x in inputs], **metadata) == out.shape
                checked.append(op.name)
            return out

        return call

    for op, kernel in list(table.items()):
        if op.kind == "primitive":
            monkeypatch.setitem(table, op, spy(op, kernel))
    inputs = [ge.tensor(a, requires_grad=True) for a in case.sample(np.random.default_rng(0))]
    output = case.call(*inputs)
    ge.grad(output, inputs, ge.ones_like(output), create_graph=True)
    assert checked


ERRORS = [
    (lambda x: ge.reshape(x, (4, 2)), ShapeError, "reshape: cannot make (2, 3) into (4, 2): 6 elements against 8"),
    (lambda x: ge.reshape(x, (-1, 4)), ShapeError, "reshape: cannot make (2, 3) into (-1, 4)"),
    (lambda x: ge.reshape(x, (-1, -1)), ShapeError, "sizes cannot be negative, except for one -1"),
    (lambda x: ge.reshape(x, (2.0, 3)), DTypeError, "reshape: a shape is an int or a tuple of ints"),
    (lambda x: ge.flatten(x, 1, 0), ShapeError, "flatten: start_axis 1 comes after end_axis 0"),
    (lambda x: ge.permute_dims(x, (0,)), ShapeError, "permute_dims: axes (0,) must name each of the 2 axes"),
    (lambda x: ge.permute_dims(x, (0, 0)), ShapeError, "permute_dims: axes (0, 0) must name each of the 2 axes of"),
    (lambda x: ge.transpose(x, (0, 2)), ShapeError, "transpose: axis 2 is out of range"),
    (lambda x: ge.swapaxes(x, 0, 2), ShapeError, "swapaxes: axis 2 is out of range for 2 dimensions"),
    (lambda x: ge.matrix_transpose(x[0]), ShapeError, "matrix_transpose: works on matrices"),
    (lambda x: ge.moveaxis(x, 0, 2), ShapeError, "moveaxis: axis 2 is out of range"),
    (lambda x: ge.moveaxis(x, (0, 1), 0), ShapeError, "moveaxis: 2 source axes for 1 destinations"),
    (lambda x: ge.expand_dims(x, axis=3), ShapeError, "expand_dims: axis 3 is out of range for a result of 3"),
    (lambda x: ge.squeeze(x, axis=0), ShapeError, "squeeze: axis 0 of shape (2, 3) has size 2"),
    (lambda x: ge.broadcast_to(x, (3, 2)), ShapeError, "along axis -1 size 3 is neither 1 nor 2"),
    (lambda x: ge.broadcast_to(x, (3,)), ShapeError, "broadcast_to: cannot broadcast (2, 3) to (3,)"),
    (lambda x: ge.ops.sum_to(x, (4,)), ShapeError, "sum_to: (4,) does not broadcast to (2, 3)"),
    (lambda x: ge.broadcast_arrays(x, ge.ones(2)), ShapeError, "broadcast_arrays: shapes (2, 3) and (2,)"),
    (lambda x: ge.concat([]), ShapeError, "concat: needs at least one array"),
    (
        lambda x: ge.concat([x, ge.ones(3, 4)]),
        ShapeError,
        "concat: array 1 has shape (3, 4), array 0 (2, 3): along axis 1",
    ),
    (lambda x: ge.concat([x, x], axis=2), ShapeError, "concat: axis 2 is out of range for 2 dimensions"),
    (lambda x: ge.concat([x, x[0]]), ShapeError, "the numbers of axes differ"),
    (lambda x: ge.concat(3), DTypeError, "concat: takes a sequence of arrays"),
    (lambda x: ge.stack([x, x.mT]), ShapeError, "stack: array 1 has shape (3, 2), array 0 (2, 3)"),
    (lambda x: ge.stack([x, ge.ones(1, 2, 3)]), ShapeError, "stack: array 1 has shape (1, 2, 3), array 0 (2, 3)"),
    (lambda x: ge.stack([x, x], axis=3), ShapeError, "stack: axis 3 is out of range for a result of 3 dimensions"),
    (lambda x: ge.split(x, 2, axis=1), ShapeError, "split: axis 1 of shape (2, 3) has 3 elements"),
    (lambda x: ge.split(x, 1, axis=2), ShapeError, "split: axis 2 is out of range"),
    (lambda x: ge.chunk(x, 0), ArgumentError, "chunk: chunks must be an int from 1 on"),
    (lambda x: ge.unstack(x, axis=2), ShapeError, "unstack: axis 2 is out of range"),
    (lambda x: ge.narrow(x, 1, 2, 2), ShapeError, "narrow: elements 2 to 4 do not lie within axis 1"),
    (lambda x: ge.flip(x, axis=2), ShapeError, "flip: axis 2 is out of range"),
    (lambda x: ge.roll(x, 1, axis=2), ShapeError, "roll: axis 2 is out of range"),
    (lambda x: ge.roll(x, 1.5), DTypeError, "roll: shift is an int"),
    (lambda x: ge.pad(x, -1), ShapeError, "pad: pad_width -1: widths cannot be negative"),
    (lambda x: ge.pad(x, (1, 2, 3)), ShapeError, "pad: pad_width (1, 2, 3) does not fit 2 dimensions"),
    (lambda x: ge.pad(x, 1, mode="mirror"), ArgumentError, "pad: mode 'mirror' is none; choose one of constant, edge"),
    (lambda x: ge.pad(x[:0], 1, mode="edge"), ShapeError, "pad: axis 0 of shape (0, 3) is empty"),
    (lambda x: ge.tile(x, -1), ShapeError, "tile: repetitions (-1,) cannot be negative"),
    (lambda x: ge.repeat(x, (1, 2, 3), axis=0), ShapeError, "repeat: 3 repeats for the 2 elements along axis 0"),
    (lambda x: ge.repeat(x, 1.5), DTypeError, "repeat: repeats is an int"),
    (lambda x: ge.repeat(x[0], [1.5, 1, 1]), DTypeError, "repeat: repeats is an int"),
    (lambda x: ge.tril(x[0]), ShapeError, "tril: works on matrices"),
    (lambda x: ge.triu(x, 0.5), DTypeError, "triu"),
    (lambda x: ge.diagonal(x, axis1=0, axis2=0), ShapeError, "diagonal: axis1 and axis2 must be two axes"),
    (lambda x: ge.diag(ge.ones(1, 1, 1)), ShapeError, "diag: takes a vector or a matrix"),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_errors(call, error, text, backend):
    with pytest.raises(error) as caught:
        call(ge.ones(2, 3))
    assert text in str(caught.value)


SETTINGS = {
    "roll": lambda x, seq: ge.roll(x, seq(1), axis=seq(0)),
    "roll, two axes": lambda x, seq: ge.roll(x, seq(1, 2), axis=seq(0, 1)),
    "roll, one shift": lambda x, seq: ge.roll(x, 1, axis=seq(0, 1)),
    "permute_dims": lambda x, seq: ge.permute_dims(x, seq(1, 0)),
    "transpose": lambda x, seq: ge.transpose(x, seq(1, 0)),
    "moveaxis": lambda x, seq: ge.moveaxis(x, seq(0, 1), seq(1, 0)),
    "flip": lambda x, seq: ge.flip(x, axis=seq(0, 1)),
    "pad": lambda x, seq: ge.pad(x, seq(seq(1, 2), seq(0, 1))),
    "pad, one pair": lambda x, seq: ge.pad(x, seq(1, 2)),
    "pad, edge": lambda x, seq: ge.pad(x, seq(seq(1, 2), seq(0, 1)), mode="edge"),
    "repeat": lambda x, seq: ge.repeat(x, seq(1, 2), axis=0),
    "tile": lambda x, seq: ge.tile(x, seq(2, 1, 2)),
    "squeeze": lambda x, seq: ge.squeeze(ge.expand_dims(x, axis=seq(0, 3)), axis=seq(0, 3)),
    "broadcast_to": lambda x, seq: ge.broadcast_to(x, seq(2, 2, 3)),
    "reshape": lambda x, seq: ge.reshape(x, seq(3, 2)),
    "tensordot": lambda x, seq: ge.tensordot(x, x, axes=seq(seq(0, 1), seq(0, 1))),
    "sum": lambda x, seq: ge.sum(x, axis=seq(0, 1)),
    "sum of nothing": lambda x, seq: ge.sum(x, axis=seq()),
    "mean": lambda x, seq: ge.mean(x, axis=seq(0), keepdims=True),
    "max": lambda x, seq: ge.max(x, axis=seq(0, 1)),
    "median": lambda x, seq: ge.median(x, axis=seq(0, 1)),
    "vector_norm": lambda x, seq: ge.vector_norm(x, axis=seq(0, 1)),
    "softmax": lambda x, seq: ge.softmax(x, axis=seq(0, 1)),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_lists_of_settings_are_as_good_as_tuples(name, backend):
    results = []
    for sequence in (tuple, list):
        made = []

        def seq(*items, kind=sequence, made=made):
            made.append(kind(items))
            return made[-1]

        x = ge.tensor(numbered((2, 3)), requires_grad=True)
        y = SETTINGS[name](x, seq)
        for lists in made if sequence is list else []:
            lists.clear()  # what is recorded is the settings as they were
        (g,) = ge.grad((y * y).sum(), x, create_graph=True)
        (h,) = ge.grad((g * g).sum(), x)
        results.append((y.tolist(), g.tolist(), h.tolist()))
    assert results[0] == results[1]
