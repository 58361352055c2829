"""What PyTorch's programs ask of the library beside array functions: devices, types, draws, options, errors."""

import copy
import inspect
import pickle
import warnings

import numpy as np
import pytest

import gradengine as ge
from gradengine import migration_hints, missing_names
from tests import test_spelling

DEPENDS_ON_VALUES = (
    "unique", "bincount", "nonzero", "argwhere", "masked_select", "m.where(flag)", "repeat_interleave(k)", "histogram",
    "histc(a, bins=3)",
)  # fmt: skip


def jittable(line):
    """Whether a line gives Tensors alone, of shapes that do not depend on values."""
    if any(word in line for word in DEPENDS_ON_VALUES):
        return False
    return all(isinstance(x, ge.Tensor) for x in test_spelling.run(line, ge, False)[0])


@pytest.fixture
def on_numpy():
    """The NumPy backend, on which compiling is quick: spelling is nothing that a kernel sees."""
    before = ge.get_cpu_backend()
    ge.set_cpu_backend("numpy")
    yield
    ge.set_cpu_backend(before)


@pytest.mark.parametrize("part", range(4))
def test_lines_mean_the_same_in_a_jitted_step(on_numpy, part):
    for line in [line for line in test_spelling.LINES[part::4] if jittable(line)]:

        def step(line=line, **arrays):
            return tuple(test_spelling.flat(eval(line, {"m": ge, **arrays})))

        arrays = {name: ge.tensor(x) for name, x in test_spelling.ARRAYS.items()}
        want = test_spelling.run(line, ge, False)[0]
        for ours, eager in zip(ge.jit(step)(**arrays), want, strict=True):
            assert ours.dtype == eager.dtype, line
            np.testing.assert_allclose(ours.numpy(), eager.numpy(), rtol=1e-5, atol=1e-6, err_msg=line)


# -- signatures and errors ----------------------------------------------------------------------------------------


def test_signatures_know_both_spellings():
    assert str(inspect.signature(ge.max)) == "(x, /, axis=None, keepdims=False, *, dim=None, keepdim=None)"
    assert {"dim", "unbiased", "keepdim"} <= set(inspect.signature(ge.std).parameters)
    assert {"split_size", "dim"} <= set(inspect.signature(ge.split).parameters)
    assert {"shape", "size", "dtype"} <= set(inspect.signature(ge.zeros).parameters)
    assert "dims" in inspect.signature(ge.Tensor.permute).parameters


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda x: ge.sum(x, along=1),
            r"^sum: unexpected keyword 'along'; accepted: axis, keepdims, dtype, dim,",
        ),
        (lambda x: ge.sum(x, dim=0, axis=1), "^sum: got 'axis' twice"),
        (lambda x: ge.sum(x, 0, dim=1), "^sum: got 'axis' twice"),
        (lambda x: ge.std(x, axis=0, keepdim=True), "^std: 'keepdim' is PyTorch's word, 'axis' is not; give all in"),
        (lambda x: ge.std(x, dim=0, ddof=1), "^std: .*'ddof'"),
        (lambda x: ge.max(x, keepdim=True), "^max: keepdim needs dim"),
        (lambda x: ge.split(x, dim=0), "^split: needs the size of the pieces"),
        (lambda x: ge.zeros(2, foo=1), "^zeros: unexpected keyword 'foo'"),
        (lambda x: x.repeat(2, 3, axis=0), "^repeat: takes one number"),
        (lambda x: ge.exp(x, out=3), "^exp: out must be a Tensor"),
        (lambda x: ge.Tensor(2, 3.0), "^Tensor: takes data or sizes"),
        (lambda x: ge.arange(), "^arange: needs"),
        (lambda x: ge.add(x, x, alpha=2, beta=3), "beta"),
    ],
)
def test_words_that_do_not_fit_are_errors_that_say_so(call, words):
    with pytest.raises(TypeError, match=words) as caught:
        call(ge.tensor([[1.0, 2.0]]))
    assert not isinstance(caught.value, ge.DTypeError)


def test_out_is_written_to():
    x, y = ge.tensor([1.0, 2.0]), ge.zeros(2)
    assert ge.exp(x, out=y) is y
    np.testing.assert_allclose(y.numpy(), np.exp([1.0, 2.0]), rtol=1e-6)
    assert ge.add(x, x, alpha=2, out=y).tolist() == [3, 6]
    assert ge.sum(ge.ones(2, 2), dim=0, out=y) is y
    assert y.tolist() == [2, 2]
    assert ge.cat([x[:1], x[:1]], out=y).tolist() == [1, 1]
    values, indices = ge.zeros(()), ge.zeros((), dtype=ge.int64)
    ge.max(x, dim=0, out=(values, indices))
    assert (values.item(), indices.item()) == (2, 1)
    with pytest.raises(ge.ShapeError, match="exp"):
        ge.exp(x, out=ge.zeros(3))
    with pytest.raises(ge.GraphError, match="no gradient"):
        ge.exp(ge.tensor([1.0], requires_grad=True), out=ge.zeros(1))


# -- what is marked -----------------------------------------------------------------------------------------------


def test_values_alone_are_a_tensor_like_any_other():
    x = ge.tensor([[1.0, 9.0], [7.0, 2.0]], requires_grad=True)
    y = x.max(1)
    assert isinstance(y, ge.Tensor)
    (y * 2).sum().backward()
    assert x.grad.tolist() == [[0, 2], [2, 0]]
    for made in (
        pickle.loads(pickle.dumps(y.detach())),
        copy.deepcopy(ge.ones(2, 2).max(1)),
        copy.copy(ge.ones(2, 2).max(1)),
    ):
        assert type(made) is ge.Tensor
    assert repr(ge.ones(2, 2).max(1)) == "tensor([1., 1.])"
    with pytest.raises(AttributeError, match=r"x\.max\(dim=1\)"):
        y.values  # noqa: B018


def test_a_hint_for_those_who_take_nonzero_for_one_array():
    with pytest.raises(AttributeError, match=r"no 'squeeze'; write ge\.argwhere\(x\)"):
        ge.nonzero(ge.ones(2)).squeeze()
    assert ge.nonzero(ge.tensor([0, 3]))[0].tolist() == [1]


@pytest.mark.torch
def test_every_name_of_pytorch_s_is_there_or_has_a_hint(torch):
    names = [name for name in dir(torch) if not name.startswith("_") and not hasattr(ge, name)]
    later = {"set_default_dtype", "get_default_dtype", "empty_quantized", "fill"}
    assert not [name for name in names if not missing_names.hint_for("gradengine", name) and name not in later]
    there = set(dir(ge.ones(1)))
    methods = [name for name in dir(torch.Tensor) if not name.startswith("_") and not name.endswith("_")]
    assert not [name for name in methods if name not in there and name not in migration_hints.METHODS]


# -- devices, types, sizes ----------------------------------------------------------------------------------------


def test_a_device_is_a_str_with_a_type_and_an_index():
    device = ge.device("cuda", 1)
    assert device == "cuda:1"
    assert (device.type, device.index) == ("cuda", 1)
    assert (ge.device("cpu").index, ge.device(0)) == (None, "cuda:0")
    assert ge.device(device) == device
    assert pickle.loads(pickle.dumps(device)).type == "cuda"
    x = ge.ones(2, device=ge.device("cpu"))
    assert (x.device, x.device.type) == ("cpu", "cpu")
    assert x.to(ge.device("cpu")) is x
    with ge.device("cpu"):
        assert ge.ones(1).device == "cpu"
    for wrong in ("tpu", "cuda:x", "cuda:1:2"):
        with pytest.raises(ge.DeviceError, match="there is no"):
            ge.device(wrong)
    with pytest.raises(ge.DeviceError, match="index already"):
        ge.device("cuda:1", 2)


def test_size_is_a_number_that_can_be_called():
    x = ge.ones(2, 3)
    assert (x.size, x.size(), x.size(0), x.size(-1), x.size(dim=1)) == (6, (2, 3), 2, 3, 3)
    assert x.size().numel() == 6
    assert isinstance(x.size, int)
    assert type(pickle.loads(pickle.dumps(x.size))) is int
    assert (x / x.size).dtype == ge.float32
    assert ge.zeros(x.size).shape == (6,)
    with pytest.raises(ge.ShapeError, match="size: axis 2"):
        x.size(2)


def test_types_make_tensors_and_ask_for_dtypes():
    assert ge.FloatTensor(2, 3).shape == (2, 3)
    assert ge.LongTensor([1, 2]).dtype == ge.int64
    assert isinstance(ge.ones(1), ge.FloatTensor)
    assert not isinstance(ge.ones(1), ge.DoubleTensor)
    x = ge.ones(1)
    assert x.type() == "gradengine.FloatTensor"
    assert x.type("torch.LongTensor").dtype == ge.int64
    assert (ge.float, ge.long, ge.half) == (ge.float32, ge.int64, ge.float16)
    assert isinstance(ge.float, ge.dtype)
    assert ge.Tensor(np.ones(2)).dtype == ge.float64
    with pytest.raises(ge.DTypeError, match=r"FloatTensor: takes sizes or a sequence, got the number 2\.5"):
        ge.FloatTensor(2.5)
    known: dict = {}
    exec("from gradengine import *", known)
    assert not {"float", "int", "ge", "long"} & set(known)


# -- draws --------------------------------------------------------------------------------------------------------


def test_multinomial_draws_by_weight():
    _ = ge.manual_seed(0)
    counts = ge.bincount(ge.multinomial(ge.tensor([1.0, 0.0, 3.0]), 20_000, replacement=True), minlength=3)
    np.testing.assert_allclose(counts.numpy() / 20_000, [0.25, 0.0, 0.75], atol=0.02)
    rows = ge.multinomial(ge.ones(1000, 4), 4)
    assert (rows.sort(axis=1) == ge.arange(4)).all()
    first = ge.multinomial(ge.broadcast_to(ge.tensor([1.0, 2.0, 1.0]), (20_000, 3)), 1).flatten()
    np.testing.assert_allclose(ge.bincount(first).numpy() / 20_000, [0.25, 0.5, 0.25], atol=0.02)
    for weights, count, words in (
        (ge.tensor([1.0, 0.0]), 2, "1 weights above 0, and 2 are needed"),
        (ge.tensor([1.0, -1.0]), 1, "not negative"),
        (ge.tensor([1.0]), 2, "cannot draw 2 of 1"),
    ):
        with pytest.raises(ge.ArgumentError, match=words):
            ge.multinomial(weights, count)


def test_draws_have_their_mean_and_obey_the_seed():
    _ = ge.manual_seed(0)
    x = ge.poisson(ge.full((20_000,), 3.0))
    np.testing.assert_allclose([x.mean().item(), x.var().item()], [3.0, 3.0], atol=0.1)
    y = ge.normal(ge.full((20_000,), 2.0), ge.full((20_000,), 0.5))
    np.testing.assert_allclose([y.mean().item(), y.std().item()], [2.0, 0.5], atol=0.02)
    state = ge.get_rng_state()
    draws = (
        lambda: ge.randn_like(x),
        lambda: ge.rand_like(x),
        lambda: ge.poisson(ge.ones(9)),
        lambda: ge.randint_like(x, 2, 5),
        lambda: ge.multinomial(ge.ones(5), 3),
    )
    again = [draw() for draw in draws]
    ge.set_rng_state(state)
    for draw, first in zip(draws, again, strict=True):
        assert first.equal(draw())
    assert set(again[3].tolist()) == {2, 3, 4}
    generator = ge.Generator(device="cpu").manual_seed(1)
    state = generator.get_state()
    first = ge.bernoulli(ge.full((8,), 0.5), generator=generator)
    assert ge.bernoulli(ge.full((8,), 0.5), generator=generator.set_state(state)).equal(first)
    assert ge.initial_seed() == 0
    with pytest.raises(ge.CheckpointError, match="needs what get_state gave"):
        ge.set_rng_state(ge.ones(2))


# -- the library itself -------------------------------------------------------------------------------------------


def test_print_options():
    x = ge.tensor([1 / 3, 1e6])
    try:
        ge.set_printoptions(precision=2, sci_mode=True)
        assert repr(x) == "tensor([3.33e-01, 1.00e+06])"
        ge.set_printoptions(precision=1, sci_mode=False)
        assert repr(ge.tensor([1 / 3])) == "tensor([0.3])"
        ge.set_printoptions(threshold=4, edgeitems=1)
        assert repr(ge.arange(9)) == "tensor([0, ..., 8])"
        with pytest.raises(ge.ArgumentError, match="profile"):
            ge.set_printoptions(profile="long")
        with pytest.raises(ge.DTypeError, match="precision must be a number"):
            ge.set_printoptions(precision="a")
    finally:
        ge.set_printoptions(profile="default")
    assert repr(ge.tensor([1 / 3])) == "tensor([0.3333])"


def test_inference_mode_records_nothing():
    x = ge.tensor(1.0, requires_grad=True)
    with ge.inference_mode():
        assert not (x * 2).requires_grad
        with ge.inference_mode(False):
            assert (x * 2).requires_grad

    @ge.inference_mode()
    def doubled(x):
        return x * 2

    assert not doubled(x).requires_grad


def test_switches_that_programs_set_are_there():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ge.backends.cudnn.benchmark = True
        ge.backends.cudnn.deterministic = True
        assert not ge.backends.mps.is_available()
        ge.use_deterministic_algorithms(True)
        ge.set_num_threads(ge.get_num_threads())
        ge.cuda.manual_seed_all(0)
    assert ge.accelerator.is_available() == ge.cuda.is_available()
    assert ge.compile is ge.jit
    with pytest.raises(ge.ArgumentError, match="set_num_threads"):
        ge.set_num_threads(0)
