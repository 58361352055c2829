"""NumPy's functions on Tensors: NumPy's answer or a typed error, for each of them; gradients by finite differences."""

import itertools

import numpy as np
import pytest

import gradengine as ge
from docs import make_numpy, numpy_calls, numpy_walk

FUNCTIONS = numpy_calls.public()
OUTCOMES = {}


@pytest.fixture(autouse=True)
def on_the_cpu():
    ge.set_cpu_backend("numpy")


def outcome(name):
    if name not in OUTCOMES:
        OUTCOMES[name] = numpy_walk.walked(name, FUNCTIONS[name])
    return OUTCOMES[name]


def test_the_walk_finds_the_functions():
    assert len(FUNCTIONS) > 350
    assert {"linalg.norm", "fft.rfft", "add", "trace"} <= set(FUNCTIONS)


@pytest.mark.parametrize("start", range(0, len(FUNCTIONS), 40))
def test_no_function_gives_another_answer(start):
    page = make_numpy.PAGE.read_text(encoding="utf-8")
    for name in list(FUNCTIONS)[start : start + 40]:
        found = outcome(name)
        assert not found.wrong, "\n".join(found.wrong[:5])
        assert not found.untyped, "\n".join(found.untyped[:5])
        assert found.tried, f"no call of np.{name} is one that NumPy itself answers"
        assert make_numpy.row(found) in page, "run `make docs`"


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, len(FUNCTIONS), 40))
def test_no_function_gives_another_answer_for_any_kind_of_array(start):
    for name in list(FUNCTIONS)[start : start + 40]:
        found = numpy_walk.walked(name, FUNCTIONS[name], whole=True)
        assert not found.wrong, "\n".join(found.wrong[:5])
        assert not found.untyped, "\n".join(found.untyped[:5])


def test_the_walk_notices_another_answer(monkeypatch):
    from gradengine.ops.numpy_api.registry import ADAPTERS

    monkeypatch.setitem(ADAPTERS, np.trace, lambda a, *rest, **more: ge.trace(a))
    found = numpy_walk.walked("trace", np.trace)
    assert any("shape" in text for text in found.wrong)


def test_gradients_are_those_of_numpys_function():
    checked = 0
    for name, function in FUNCTIONS.items():
        for args, kwargs in itertools.islice(numpy_calls.calls(name, function), 4):
            pair = numpy_walk.slope(function, args, kwargs)
            if pair is not None:
                checked += 1
                assert pair[0] == pytest.approx(pair[1], rel=2e-4, abs=2e-4), numpy_walk.described(name, args, kwargs)
    assert checked > 200


def test_what_was_wrong_once():
    m = ge.tensor([[3.0, 0.0], [4.0, 5.0]])
    t = ge.tensor(np.arange(24.0).reshape(2, 3, 4))
    assert np.linalg.norm(m, 2).item() == pytest.approx(6.7082, rel=1e-4)
    np.testing.assert_array_equal(np.trace(t).numpy(), np.trace(t.numpy()))
    assert np.sort(m, axis=None).tolist() == [0, 3, 4, 5]
    assert np.argsort(ge.tensor([3.0, 1.0, 2.0]), 0, "stable").tolist() == [1, 2, 0]
    assert np.shape(ge.ones(2, 2)) == (2, 2)
    assert np.round(ge.tensor([1.26]), 1).tolist() == pytest.approx([1.3])


def test_a_lost_gradient_is_an_error_and_integers_are_none():
    x = ge.tensor([3.0, 1.0, 2.0], requires_grad=True)
    for call in (lambda: np.fft.fft(x), lambda: np.unique(x), lambda: np.cov(x), lambda: np.spacing(x)):
        with pytest.raises(ge.GraphError, match=r"requires grad; use np\.asarray\(t\.detach\(\)\)"):
            call()
    assert np.argpartition(x, 1).tolist()[1] == 2
    assert np.array_equal(x, x)
    with ge.no_grad():
        assert np.unique(x).tolist() == [1, 2, 3]


def test_out_is_changed_or_refused():
    out, x = ge.zeros(2), ge.tensor([1.0, 4.0])
    assert np.sqrt(x, out=out) is out
    assert out.tolist() == [1, 2]
    assert np.sum(x, out=(total := ge.zeros(()))) is total
    assert total.item() == 5
    array = np.zeros(2, np.float32)
    array += x
    assert array.tolist() == [1, 4]
    np.copyto(out, [7.0, 8.0])
    assert out.tolist() == [7, 8]
    np.add.at(out, np.array([0, 0]), 1.0)
    assert out.tolist() == [9, 8]
    np.multiply(x, 2, out=out, where=np.array([True, False]))
    assert out.tolist() == [2, 8]
    with pytest.raises(ge.GraphError):
        array += x.requires_grad_()
    with pytest.raises(ge.ShapeError):
        np.sqrt(x.detach(), out=ge.zeros(3))
    with pytest.raises(ge.DTypeError):
        np.sqrt(x.detach(), out=ge.zeros(2, dtype=ge.int64))


def test_numpy_errors_are_typed():
    x = ge.ones(2, 3)
    for call, kind in (
        (lambda: np.sum(x, axis=5), ge.ShapeError),
        (lambda: np.partition(x, 10), ge.ShapeError),
        (lambda: np.delete(x, 10, 0), ge.IndexRangeError),
    ):
        with pytest.raises(kind):
            call()
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.inv(ge.zeros(2, 2))


def test_numpy_functions_in_a_jitted_step():
    pytest.importorskip("numba")
    ge.set_cpu_backend("numba")
    step = ge.jit(lambda x: np.sum(np.exp(x), axis=0) + np.concatenate([x[0], x[1]])[:3])
    x = ge.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    np.testing.assert_allclose(step(x).numpy(), np.exp(x.numpy()).sum(0) + x[0].numpy(), rtol=1e-6)
    with pytest.raises(ge.TraceError):
        ge.jit(lambda x: np.linalg.inv(x))(ge.ones(2, 2))


def test_integers_beside_doubles_lose_no_digits():
    """A float function of the integers alone would round them to float32 first."""
    x, i = np.array([0.1, 2.5, 3.0]), np.array([3, 7, 11])
    for ours, theirs in ((ge.logaddexp2, np.logaddexp2), (ge.xlogy, lambda a, b: a * np.log(b))):
        np.testing.assert_allclose(ours(ge.tensor(x), ge.tensor(i)).numpy(), theirs(x, i), rtol=1e-14)


@pytest.mark.parametrize("cpu", ["numpy", "numba"])
def test_numpy_scalars_are_close(cpu):
    ge.set_cpu_backend(cpu)
    x = ge.tensor(4.5, dtype=ge.float64, requires_grad=True)
    assert np.allclose(x, np.float64(4.5))
    assert bool(ge.isclose(np.float64(4.5), x))


def test_numbers_beside_numpy_arrays_alone_lose_no_digits():
    a = np.array([1.0])
    for y in (ge.multiply(a, 0.1), ge.multiply(0.1, a), ge.where(np.array([False]), a, 0.1), ge.maximum(a * 0, 0.1)):
        assert y.dtype == np.float64
        assert y.item() == 0.1
    assert ge.add(np.array([1.0], np.float32), 0.1).dtype == np.float32


def test_the_default_dtype_is_what_integers_give():
    ints = ge.tensor([[2, 1], [1, 3]])
    assert np.linalg.inv(ints).dtype == np.float32
    ge.set_default_dtype(ge.float64)
    try:
        for function in (np.linalg.inv, np.mean, np.rint, np.degrees, np.cov):
            assert function(ints).dtype == np.float64
    finally:
        ge.set_default_dtype(ge.float32)


def test_arrays_of_tensors():
    a, b = ge.tensor([1.0, 2.0]), ge.tensor([3.0, 4.0])
    np.testing.assert_array_equal(np.array([a, b]), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(np.asarray(a), [1, 2])
    np.testing.assert_allclose(a, [1, 2])
    for call in (np.array, np.asarray, lambda t: np.array([t, t])):
        with pytest.raises(ge.GraphError):
            call(ge.tensor([1.0, 2.0], requires_grad=True))


@pytest.mark.cuda
def test_numpy_functions_on_a_gpu():
    ge.set_default_device("cuda")
    x = ge.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    for call in (np.exp, np.sum, np.trace, lambda t: np.concatenate([t, t]), lambda t: np.linalg.norm(t, axis=0)):
        y = call(x)
        assert y.device == "cuda:0"
        assert y.requires_grad
        np.testing.assert_allclose(y.detach().cpu().numpy(), call(x.detach().cpu().numpy()), rtol=1e-6)
    assert np.shape(x) == (2, 2)
    with pytest.raises(ge.DeviceError, match=r"NumPy cannot compute on 'cuda:0'; move the Tensor with .to\('cpu'\)"):
        np.linalg.inv(x.detach())
    assert ge.unique_values(ge.tensor([3, 1, 3])).tolist() == [1, 3]
    assert ge.nextafter(ge.tensor([1.0]), ge.tensor([2.0])).device == "cuda:0"
    assert ge.grad(lambda p: (p["w"] ** 2).sum())({"w": x.detach()})["w"].device == "cuda:0"
