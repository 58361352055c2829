"""At the limits: numbers that a dtype does not hold, arrays for which there is no memory, axes that are not there."""

import numpy as np
import pytest

import gradengine as ge
from gradengine.nn import functional as F

MASK = [True, False]


def changed(x, index, value):
    x[index] = value
    return x


# -- numbers that an integer dtype does not hold --------------------------------------------------------------------

TOO_LARGE = {
    "add": lambda x, n: x + n,
    "right": lambda x, n: n - x,
    "in place": lambda x, n: x.add_(n),
    "remainder": lambda x, n: x % n,
    "bits": lambda x, n: x & n,
    "where": lambda x, n: ge.where(ge.tensor(MASK), x, n),
    "where, left": lambda x, n: ge.where(ge.tensor(MASK), n, x),
    "NumPy's": lambda x, n: ge.where(ge.tensor(MASK), x, np.int64(n)),
    "maximum": lambda x, n: ge.maximum(x, n),
    "clip": lambda x, n: ge.clip(x, 0, n),
    "full_like": lambda x, n: ge.full_like(x, n),
    "full": lambda x, n: ge.full((2,), n, dtype=x.dtype),
    "tensor": lambda x, n: ge.tensor([1, n], dtype=x.dtype),
    "asarray": lambda x, n: ge.asarray(n, dtype=x.dtype),
    "masked_fill": lambda x, n: x.masked_fill(ge.tensor(MASK), n),
    "setitem": lambda x, n: changed(x, 0, n),
    "setitem, mask": lambda x, n: changed(x, ge.tensor(MASK), n),
    "setitem, list": lambda x, n: changed(x, slice(None), [1, n]),
    "fill_": lambda x, n: x.fill_(n),
    "pad": lambda x, n: ge.pad(x, ((1, 1),), constant_values=n),
    "concat": lambda x, n: ge.concat([x, [n]]),
    "stack": lambda x, n: ge.stack([x[0], n]),
    "jit": lambda x, n: ge.jit(lambda x: ge.where(x > 0, x, n))(x),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_numbers_that_an_integer_dtype_does_not_hold(name, backend):
    for dtype in (ge.int8, ge.uint8, ge.int16, ge.int32):
        info = ge.iinfo(dtype)
        for n in (info.max + 1, info.min - 1):
            with pytest.raises(ge.DTypeError):
                TOO_LARGE[name](ge.tensor([1, 2], dtype=dtype), n)
        assert TOO_LARGE[name](ge.tensor([1, 2], dtype=dtype), info.max).dtype in (dtype, ge.int64)


def test_comparisons_with_such_numbers_are_right(backend):
    x = ge.tensor([1, 2], dtype=ge.uint8)
    for n in (256, 1000, 2**70):
        assert (x < n).all()
        assert not (x == n).any()
        assert (n > x).all()
        assert (x > -n).all()
        assert (x != -n).all()


TOGETHER = [[2**63, -1], [[2**64 - 1], [-5]], [2**63, 1], [True, 2**63, -1], [2**64], [-(2**63) - 1]]


@pytest.mark.parametrize("data", TOGETHER)
def test_integers_that_no_dtype_holds_together_are_no_floats(data, backend):
    for make in (ge.tensor, ge.asarray, lambda x: ge.stack([ge.tensor(x), ge.tensor(x)])):
        with pytest.raises(ge.DTypeError, match=r"64 bits|no integer dtype holds"):
            make(data)
    assert ge.tensor(data, dtype=ge.float64).tolist() == np.array(data, float).tolist()


def test_the_ends_of_64_bits(backend):
    assert ge.tensor([2**63 - 1, -(2**63)]).tolist() == [2**63 - 1, -(2**63)]
    assert ge.tensor(2**64 - 1).item() == 2**64 - 1
    assert ge.tensor([2.0**63, -1]).dtype == ge.float32
    assert ge.tensor([np.uint64(2**63), np.int64(-1)]).dtype == ge.float64
    for call in (lambda x: x + 2**63, lambda x: ge.where(x > 0, x, 2**63), lambda x: changed(x, 0, 2**63)):
        with pytest.raises(ge.DTypeError):
            call(ge.tensor([1, 2]))
    with pytest.raises(ge.ArgumentError, match="arange"):
        ge.arange(2**63 - 2, 2**63)


# -- memory ---------------------------------------------------------------------------------------------------------

N, ROOT = 2**50, 2**26
BY_SIZE = {"eye": ROOT, "tri": ROOT, **dict.fromkeys(("zeros", "ones", "empty", "rand", "randn", "randperm"), N)}
LARGE = {
    **{name: lambda x, name=name, size=size: getattr(ge, name)(size) for name, size in BY_SIZE.items()},
    "arange": lambda x: ge.arange(N, dtype=ge.int32),
    "linspace": lambda x: ge.linspace(0, 1, N),
    "full": lambda x: ge.full((N,), 2),
    "randint": lambda x: ge.randint(0, 5, (N,)),
    "bernoulli": lambda x: ge.bernoulli(0.5, (N,)),
    "repeat": lambda x: ge.repeat(x, N),
    "tile": lambda x: ge.tile(x, (N,)),
    "pad": lambda x: ge.pad(x, ((N, 1),)),
    "broadcast and add": lambda x: ge.broadcast_to(x, (N,)) + 1,
    "broadcast and copy": lambda x: ge.broadcast_to(x, (N,)).clone(),
    "astype": lambda x: ge.broadcast_to(x, (N,)).to(ge.float64),
    "outer": lambda x: ge.outer(ge.broadcast_to(x, (ROOT,)), ge.broadcast_to(x, (ROOT,))),
    "one_hot": lambda x: F.one_hot(ge.tensor([1]), N),
    "concat": lambda x: ge.concat([ge.broadcast_to(x, (N,)), x]),
    "zeros_like": lambda x: ge.zeros_like(ge.broadcast_to(x, (N,))),
    "tensor": lambda x: ge.tensor(np.broadcast_to(np.float32(1), (N,))),
    "Embedding": lambda x: ge.nn.Embedding(2**45, 8),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_memory_that_cannot_be_had(name, clean_state):
    for cpu in ("numpy", "numba") if ge.backends()["numba"] == "available" else ("numpy",):
        ge.set_cpu_backend(cpu)
        with pytest.raises(ge.OutOfMemoryError):
            LARGE[name](ge.ones(1))


# -- axes -----------------------------------------------------------------------------------------------------------

AXES = [
    "sum",
    "mean",
    "prod",
    "max",
    "argmax",
    "any",
    "cumsum",
    "cumprod",
    "sort",
    "argsort",
    "flip",
    "squeeze",
    "unstack",
]
AXES += ["softmax", "logsumexp", "var", "std", "median", "vector_norm", "expand_dims", "count_nonzero", "log_softmax"]


@pytest.mark.parametrize("name", AXES)
@pytest.mark.parametrize("axis", [5, -5])
def test_an_axis_that_is_not_there_is_an_index_error(name, axis, backend):
    for shape in ((2, 3), ()):
        with pytest.raises(IndexError, match=f"{name}.* axis {axis} is out of range") as caught:
            getattr(ge, name)(ge.ones(shape), axis=axis)
        assert isinstance(caught.value, ge.AxisError)
        assert isinstance(caught.value, ge.ShapeError)


@pytest.mark.parametrize(
    ("call", "want"),
    [
        (lambda x: ge.repeat(x, 2, axis=0), 2.0),
        (lambda x: ge.take(x, 0, axis=0), 1.0),
        (lambda x: ge.take(x, ge.tensor([0, 0, 0]), axis=-1), 3.0),
        (lambda x: ge.sum(x, axis=0), 1.0),
        (lambda x: ge.prod(x, axis=-1), 1.0),
        (lambda x: ge.max(x, axis=0), 1.0),
        (lambda x: ge.logsumexp(x, axis=0), 1.0),
        (lambda x: ge.expand_dims(x, axis=0), 1.0),
        (lambda x: ge.permute_dims(x, axes=()), 1.0),
    ],
)
def test_gradients_of_0_d_tensors_along_an_axis(call, want, backend):
    x = ge.tensor(1.5, requires_grad=True)
    (first,) = ge.grad((call(x) ** 2).sum(), x, create_graph=True)
    first.backward()
    assert (first.item(), x.grad.item()) == (3 * want, 2 * want)


def test_facts_of_dtypes_are_python_numbers():
    for dtype in (ge.float16, ge.float32, ge.float64):
        info, theirs = ge.finfo(dtype), np.finfo(dtype)
        for field in ("eps", "max", "min", "smallest_normal", "tiny", "resolution"):
            assert type(getattr(info, field)) is float
            assert getattr(info, field) == float(getattr(theirs, field))
        assert type(info.bits) is int
        assert info.dtype == dtype
    for dtype in (ge.int8, ge.uint64):
        info = ge.iinfo(dtype)
        assert {type(n) for n in (info.bits, info.max, info.min)} == {int}
        assert (info.min, info.max) == (np.iinfo(dtype).min, np.iinfo(dtype).max)
    assert (ge.ones(2) * ge.finfo(ge.float64).eps).dtype == ge.float32
