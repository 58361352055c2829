"""float16 and bfloat16: computed in float32 and rounded once, on every backend; and what bfloat16 is to the rest."""

import pickle
import subprocess
import sys
import zlib

import numpy as np
import pytest

import gradengine as ge
from gradengine.errors import CheckpointError, DTypeError
from gradengine.inspect import check
from gradengine.nn import functional as F
from tests.cases import CASES

ml_dtypes = pytest.importorskip("ml_dtypes")

EPS = {"float16": 2.0**-11, "bfloat16": 2.0**-8}  # how far rounding may move a number, relative to it
HALVES = sorted(EPS)
BY_NAME = {case.name: case for case in CASES}
# The dtype is part of the call.
CHOSEN = {"astype", "rand", "randn", "uniform", "normal", "bernoulli", "dropout_mask"}
# Made of several ops, each of which rounds, and terms that cancel: how many roundings of the largest element.
LOOSER = {"kl_div/sum": 8, "hinge_embedding_loss/mean": 32, "cross_entropy/all options": 8}
# The gradient reads the rounded output (softmax of 300 is exp(300 - 300.5)), or adds up what was rounded.
LOOSER_GRADIENT = {
    "corrcoef": 8,
    "logsumexp/large": 512,
    "broadcast_to/large": 32,
    "pow/broadcast": 8,
    "cross_entropy/weight's gradient": 16,
    **LOOSER,
}
# Floor, remainder and their like jump at some numbers; rounded inputs that meet them are as good, but elsewhere.


def in_half(name, arrays):
    """The inputs in half precision, and the same numbers in float32."""
    half = check.in_dtype(arrays, ge.bfloat16 if name == "bfloat16" else name)
    return half, check.in_dtype(half, np.float32)


def gradients(case, arrays, order=1):
    """The gradients of a weighted sum of the row's output; for order 2, of the sum of those."""
    tensors = check.tensors(arrays, requires_grad=True)
    y = case.call(*tensors)
    weights = np.random.default_rng(0).integers(-4, 5, y.shape) / 4  # which half precision has too
    xs = [x for x in tensors if isinstance(x, ge.Tensor) and x.requires_grad]
    first = ge.grad((y * ge.tensor(weights.astype(y.dtype))).sum(), xs, allow_unused=True, create_graph=order > 1)
    if order == 1:
        return first
    terms = [g.sum() for g in first if g is not None and g.requires_grad]
    return ge.grad(sum(terms[1:], terms[0]), xs, allow_unused=True) if terms else ()


def one_of_two(names):
    """Each name in both dtypes, one of which, by a hash of the name, is left to the slow tests."""
    chosen = {name: sorted(HALVES)[zlib.crc32(name.encode()) % 2] for name in names}
    marks = lambda name, dtype: () if chosen[name] == dtype else (pytest.mark.slow, pytest.mark.nightly)
    return [pytest.param(name, dtype, marks=marks(name, dtype)) for name in names for dtype in HALVES]


@pytest.mark.grid("first")
@pytest.mark.parametrize(("name", "dtype"), one_of_two([case.name for case in CASES]))
def test_every_row_is_computed_in_single_precision_and_rounded(name, dtype, backend):
    case = BY_NAME[name]
    half, single = in_half(dtype, check.sample(case))
    with check.on_backend(backend), np.errstate(all="ignore"):
        y, want = case.call(*check.tensors(half)), case.call(*check.tensors(single))
        if name not in CHOSEN:
            given = any([getattr(a, "dtype", None) == dtype for a in half])
            assert y.dtype == (dtype if want.dtype == np.float32 and given else want.dtype)
        assert check.relative_error(y.numpy().astype(float), want.numpy()) <= LOOSER.get(name, 2) * EPS[dtype]
        if not case.order:
            return
        for g, w in zip(gradients(case, half), gradients(case, single), strict=True):
            assert (g is None) == (w is None)
            if g is not None:
                assert g.dtype == dtype
                error = check.relative_error(g.numpy().astype(float), w.numpy())
                assert error <= LOOSER_GRADIENT.get(name, 4) * EPS[dtype]
        if case.order > 1:
            assert {g.dtype for g in gradients(case, half, order=2) if g is not None} <= {np.dtype(dtype)}


JITTED = ["matmul/batch", "softmax", "layer_norm", "cross_entropy", "gelu", "sum/axis=-1", "mul", "where", "logsumexp"]


@pytest.mark.grid("first")
@pytest.mark.parametrize(
    ("name", "dtype"),
    one_of_two([case.name for case in CASES if case.order and case.op in {n.split("/")[0] for n in JITTED}]),
)
def test_jitted_rows_are_the_eager_ones(name, dtype, backend):
    case = BY_NAME[name]
    half, single = in_half(dtype, check.sample(case))
    arrays = [a for a in half if isinstance(a, np.ndarray)]

    @ge.jit
    def run(*tensors):
        given = iter(tensors)
        y = case.call(*[next(given) if isinstance(a, np.ndarray) else a for a in half])
        return y, ge.grad(y.sum(), [x for x in tensors if x.requires_grad], allow_unused=True)

    with np.errstate(all="ignore"):
        tensors = [ge.Tensor(a, requires_grad=check.is_float(a)) for a in arrays]
        y, found = run(*tensors)
        want, first = run.__wrapped__(*tensors)
        assert y.dtype == want.dtype
        # Within a program each op of a rule rounds, where an eager rule does so once.
        assert check.relative_error(y.numpy().astype(float), want.detach().numpy().astype(float)) <= 4 * EPS[dtype]
        for g, w in zip(found, first, strict=True):
            assert (g is None) == (w is None)
            if g is not None:
                assert g.dtype == dtype
                size = max(1.0, float(np.abs(w.numpy().astype(float)).max(initial=0)))
                assert (
                    np.abs(g.numpy().astype(float) - w.numpy().astype(float)).max(initial=0) <= 16 * EPS[dtype] * size
                )


@pytest.mark.parametrize("dtype", HALVES)
def test_sums_and_products_accumulate_in_single_precision(dtype, backend, rng):
    ones = ge.ones((4096, 1), dtype=dtype)
    total = 4096  # which adding 1s in half precision never reaches
    assert ge.sum(ones).item() == total
    assert (ones.T @ ones).item() == total
    assert ge.linear(ones.T, ones.T).item() == total
    assert ge.vecdot(ones[:, 0], ones[:, 0]).item() == total
    assert ge.einsum("ij,ij->", ones, ones).item() == total
    large = np.float32(60000).astype(ones.dtype)
    assert ge.mean(ones * 60000).item() == ge.mean(ones * 60000, axis=0).item() == large
    assert [f(ones * 300, axis=0).item() for f in (ge.var, ge.std)] == [0, 0]
    assert ge.norm(ones * 300).item() == np.float32(19200).astype(ones.dtype)  # whose square float16 has not
    assert ge.norm(ones * 300, axis=0).item() == np.float32(19200).astype(ones.dtype)
    assert ge.sum(ge.ones(4096), dtype=dtype).item() == ge.cumsum(ge.ones(4096), dtype=dtype)[-1].item() == total
    a = rng.standard_normal((64, 300)).astype(ones.dtype)
    b = rng.standard_normal((300, 64)).astype(ones.dtype)
    exact = a.astype(float) @ b.astype(float)
    assert np.abs((ge.tensor(a) @ ge.tensor(b)).numpy().astype(float) - exact).max() <= EPS[dtype] * np.abs(exact).max()


@pytest.mark.torch
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", ["gelu", "softmax", "log_softmax", "sigmoid", "silu", "softplus"])
def test_results_are_pytorchs(name, dtype, backend, torch, rng):
    given = rng.standard_normal((8, 16)).astype(np.float32)
    ours = ge.tensor(given).to(dtype).requires_grad_()
    theirs = torch.tensor(given).to(getattr(torch, dtype)).requires_grad_()
    axis = {"axis": -1} if "softmax" in name else {}
    y = getattr(ge.nn.functional, name)(ours, **axis)
    want = getattr(torch.nn.functional, name)(theirs, **({"dim": -1} if axis else {}))
    (y * y).sum().backward()
    (want * want).sum().backward()
    for got, wanted in ((y, want), (ours.grad, theirs.grad)):
        assert got.dtype == dtype
        wanted = wanted.detach().double().numpy()
        assert np.abs(got.detach().numpy().astype(float) - wanted).max() <= 4 * EPS[dtype] * max(
            1, np.abs(wanted).max()
        )


RANGE = {
    "cosine_similarity": lambda F, x: F.cosine_similarity(x, x * 1.0, dim=-1),
    "normalize": lambda F, x: F.normalize(x, dim=-1),
    "rms_norm": lambda F, x: F.rms_norm(x, (300,)),
    "layer_norm": lambda F, x: F.layer_norm(x, (300,)),
    "l1_loss": lambda F, x: F.l1_loss(x, x * 0),
    "huber_loss": lambda F, x: F.huber_loss(x, x * 0),
    "binary_cross_entropy_with_logits": lambda F, x: F.binary_cross_entropy_with_logits(x, x * 0 + 1),
    "var": lambda F, x: x.var(dim=-1),
    "mean": lambda F, x: x.mean(),
    "logsumexp": lambda F, x: x.logsumexp(-1),
    "log_softmax": lambda F, x: F.log_softmax(x, -1),
}


@pytest.mark.torch
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", RANGE)
def test_what_lies_between_stays_in_range(name, dtype, backend, torch, rng):
    """Squares and sums of numbers that float16 has need not be numbers that it has."""
    given = (rng.standard_normal((2, 300)) * 15 + 20).astype(np.float32)
    ours = ge.tensor(given).to(dtype).requires_grad_()
    theirs = torch.tensor(given).to(getattr(torch, dtype)).requires_grad_()
    y, want = RANGE[name](ge.nn.functional, ours), RANGE[name](torch.nn.functional, theirs)
    y.to("float32").sum().backward()
    want.float().sum().backward()
    assert y.dtype == ours.grad.dtype == dtype
    for got, wanted in ((y.detach(), want.detach()), (ours.grad, theirs.grad)):
        wanted = wanted.double().numpy()
        assert np.isfinite(got.numpy().astype(float)).all()
        bound = 8 * EPS[dtype] * max(np.abs(wanted).max(), 0.05 if got is ours.grad else 0)
        assert np.abs(got.numpy().astype(float) - wanted).max() <= bound


COUNT = 70_000  # elements: 1 / COUNT is a number of float16, COUNT is none
SHARED = {
    "mean": lambda F, x: x.mean(),
    "mean along an axis": lambda F, x: x.mean(axis=0),
    "l1_loss": lambda F, x: F.l1_loss(x, x * 0),
    "mse_loss": lambda F, x: F.mse_loss(x, x * 0) / 2,
    "smooth_l1_loss": lambda F, x: F.smooth_l1_loss(x * 2, x * 0) / 2,
    "huber_loss": lambda F, x: F.huber_loss(x * 2, x * 0) / 2,
    "hinge_embedding_loss": lambda F, x: F.hinge_embedding_loss(x, x * 0 + 1),
    "margin_ranking_loss": lambda F, x: F.margin_ranking_loss(-x, x * 0, x * 0 + 1),
    "nll_loss": lambda F, x: F.nll_loss(-x.reshape(-1, 1), ge.zeros(COUNT, dtype=ge.int64)),
    "nll_loss, weighted": lambda F, x: F.nll_loss(
        -x.reshape(-1, 1), ge.zeros(COUNT, dtype=ge.int64), weight=ge.ones(1, dtype=x.dtype)
    ),
    "sum over count": lambda F, x: x.sum() / COUNT,
}


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", SHARED)
def test_gradients_of_means_of_many(name, dtype, backend):
    """Each element's share is rounded once, not made of a count that is infinite."""
    x = ge.ones(COUNT, dtype=dtype, requires_grad=True)
    (g,) = ge.grad(SHARED[name](ge.nn.functional, x), x)
    assert g.dtype == dtype
    np.testing.assert_allclose(g.numpy().astype(float), 1 / COUNT, rtol=5e-3)


# -- bfloat16 among the dtypes ------------------------------------------------------------------------------------


@pytest.mark.torch
def test_promotion_is_pytorchs_for_floats_and_python_numbers(backend, torch):
    for other in ("bfloat16", "float16", "float32", "float64", "bool", "int8", "uint8", "int64"):
        ours = ge.ones(3, dtype=ge.bfloat16) + ge.ones(3, dtype=other)
        theirs = torch.ones(3, dtype=torch.bfloat16) + torch.ones(3, dtype=getattr(torch, other))
        assert str(theirs.dtype) == f"torch.{ours.dtype}"
        assert ge.result_type(ge.bfloat16, ge.ones(3, dtype=other)) == ours.dtype
        assert ge.result_type(getattr(ge, other), ge.bfloat16) == ours.dtype
    x = ge.ones(3, dtype=ge.bfloat16)
    for y in (
        x + 1,
        x * 1.5,
        2.0 - x,
        x / 3,
        x**2,
        x**2.5,
        2**x,
        ge.maximum(x, 0.5),
        ge.where(x > 0, x, 0.0),
        x + True,
    ):
        assert y.dtype == ge.bfloat16
    assert ge.result_type(ge.bfloat16, 1.5, 2, True) == ge.bfloat16
    assert ge.concat([x, ge.ones(1, dtype=ge.float16)]).dtype == ge.float32
    assert ge.concat([x, [1.5]]).dtype == ge.bfloat16
    assert ge.stack([x, x]).dtype == ge.bfloat16


def test_what_can_be_asked_about_it():
    assert ge.bfloat16 == np.dtype(ml_dtypes.bfloat16)
    assert "bfloat16" in dir(ge)
    info = ge.finfo(ge.bfloat16)
    assert (float(info.eps), float(info.max)) == (2.0**-7, 3.3895313892515355e38)
    with pytest.raises(DTypeError, match="bfloat16 is not an integer dtype"):
        ge.iinfo(ge.bfloat16)
    assert ge.can_cast(ge.bfloat16, ge.float32)
    assert ge.can_cast(ge.int8, ge.bfloat16)
    assert ge.can_cast(ge.bfloat16, ge.bfloat16)
    for source, target in ((ge.float32, ge.bfloat16), (ge.bfloat16, ge.float16), (ge.float16, ge.bfloat16)):
        assert not ge.can_cast(source, target)
    for kind in ("real floating", "numeric", ge.bfloat16, ("bool", "real floating"), ("integral", ge.bfloat16)):
        assert ge.isdtype(ge.bfloat16, kind)
    for kind in ("integral", "bool", ge.float16, ("bool", ge.float32)):
        assert not ge.isdtype(ge.bfloat16, kind)
    with pytest.raises(DTypeError, match="no kind of dtype"):
        ge.isdtype(ge.bfloat16, "round")


def test_a_tensor_of_it(backend):
    x = ge.tensor([1.5, -2.0, 3.14159], dtype=ge.bfloat16, requires_grad=True)
    where = "" if x.device == "cpu" else ", device='cuda:0'"
    assert repr(x) == f"tensor([ 1.5   , -2.    ,  3.1406], dtype=bfloat16{where}, requires_grad=True)"
    assert repr(ge.tensor(2.0, dtype="bfloat16")) == f"tensor(2., dtype=bfloat16{where})"
    assert x.tolist() == [1.5, -2.0, 3.140625]
    assert x[2].item() == 3.140625
    assert x.detach().numpy().dtype == ml_dtypes.bfloat16
    assert ge.tensor(x.detach().numpy()).dtype == ge.bfloat16
    assert ge.zeros(2, dtype=ge.bfloat16).dtype == ge.full((2,), 1.5, dtype=ge.bfloat16).dtype == ge.bfloat16
    assert ge.arange(3, dtype=ge.bfloat16).tolist() == [0, 1, 2]
    assert ge.linspace(0, 1, 3, dtype=ge.bfloat16).tolist() == [0, 0.5, 1]
    assert ge.eye(2, dtype=ge.bfloat16).tolist() == [[1, 0], [0, 1]]
    assert x.float().dtype == ge.float32
    assert x.float().bfloat16().dtype == x.to("bfloat16").dtype == ge.bfloat16
    assert (x > 1).tolist() == [True, False, True]
    assert ge.isclose(x, x).tolist() == [True] * 3
    assert ge.argmax(x).item() == 2
    assert ge.sort(x).tolist() == [-2, 1.5, 3.140625]
    assert ge.isnan(ge.tensor([1.0, float("nan")], dtype=ge.bfloat16)).tolist() == [False, True]
    back = pickle.loads(pickle.dumps(x))
    assert (back.dtype, back.tolist(), back.requires_grad) == (ge.bfloat16, x.tolist(), True)


def test_changes_in_place(backend):
    x = ge.zeros(4, dtype=ge.bfloat16)
    x[0] = 1.5
    x[1:3] = ge.tensor([2.0, 3.0])
    x += 0.25
    x *= ge.full((4,), 2.0)
    assert (x.dtype, x.tolist()) == (ge.bfloat16, [3.5, 4.5, 6.5, 0.5])
    x.copy_(ge.ones(4))
    assert x.tolist() == [1] * 4
    with pytest.raises(DTypeError, match="int64"):
        ge.zeros(4, dtype=ge.int64).__iadd__(x)


def test_casts_overflow_to_infinity_without_a_warning(backend):
    ge.ones(1, dtype=ge.float16)
    with np.errstate(over="raise"):
        assert ge.tensor([1e30, 1.0]).to(ge.float16).tolist() == [np.inf, 1]
        assert (ge.full((2,), 300.0, dtype=ge.float16) ** 2).tolist() == [np.inf] * 2


def test_gradients_come_back_in_the_operands_dtype(backend):
    w = ge.ones(3, requires_grad=True)
    x = ge.ones(3, dtype=ge.bfloat16, requires_grad=True)
    y = (w * x.to(ge.float32)).to(ge.bfloat16) * x
    y.sum().backward()
    assert (w.grad.dtype, x.grad.dtype) == (ge.float32, ge.bfloat16)


@pytest.mark.parametrize("dtype", HALVES)
def test_random_numbers(dtype, backend):
    ge.manual_seed(3)
    u = ge.rand(20000, dtype=dtype)
    steps = u.numpy().astype(float) * (2048 if dtype == "float16" else 256)
    assert u.dtype == dtype
    assert np.all(steps == np.round(steps))
    assert steps.min() >= 0
    assert u.numpy().max() < 1
    assert abs(u.numpy().astype(float).mean() - 0.5) < 0.01
    assert np.all(ge.uniform(0.25, 1.0, (20000,), dtype=dtype).numpy() < 1)
    z = ge.randn(20000, dtype=dtype).numpy().astype(float)
    assert abs(z.mean()) < 0.03
    assert abs(z.std() - 1) < 0.03
    kept = ge.nn.functional.dropout(ge.ones(2000, dtype=dtype), 0.25)
    assert kept.dtype == dtype
    assert set(kept.tolist()) == {0.0, float(np.float32(1 / 0.75).astype(kept.dtype))}
    ge.manual_seed(3)
    with check.on_backend("numpy"):
        assert ge.rand(20000, dtype=dtype).numpy().tobytes() == u.numpy().tobytes()


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("make", [ge.optim.SGD, ge.optim.Adam, ge.optim.AdamW, ge.optim.RMSprop])
def test_a_module_trains_in_half_precision(make, dtype, backend, rng):
    net = ge.nn.Sequential(ge.nn.Linear(4, 16), ge.nn.Tanh(), ge.nn.LayerNorm(16), ge.nn.Linear(16, 1)).to(dtype=dtype)
    x = ge.tensor(rng.standard_normal((32, 4))).to(dtype)
    y = x.sum(axis=1, keepdims=True)
    optimizer = make(net.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        loss = ge.nn.functional.mse_loss(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert {p.dtype for p in net.parameters()} == {p.grad.dtype for p in net.parameters()} == {np.dtype(dtype)}
    assert losses[-1] < 0.7 * losses[0]


def test_an_update_is_rounded_once(backend):
    p = ge.tensor([1.0], dtype=ge.bfloat16, requires_grad=True)
    p.grad = ge.tensor([1.0], dtype=ge.bfloat16)
    ge.optim.SGD([p], lr=0.3).step()
    assert p.tolist() == [float(np.float32(0.7).astype(ge.bfloat16))]


def test_modules_become_bfloat16():
    net = ge.nn.Linear(2, 2).bfloat16()
    assert net.weight.dtype == net.bias.dtype == ge.bfloat16
    assert net(ge.ones((1, 2), dtype=ge.bfloat16)).dtype == ge.bfloat16


# -- to and from the rest of the world ------------------------------------------------------------------------------


def test_checkpoints_hold_it(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "x.safetensors"
    x = ge.randn(3, 2, dtype=ge.bfloat16)
    ge.save({"x": x, "scalar": ge.tensor(1.5, dtype=ge.bfloat16)}, path)
    state = ge.load(path)
    assert (state["x"].dtype, state["x"].tolist(), state["scalar"].item()) == (ge.bfloat16, x.tolist(), 1.5)
    code = f"import gradengine as ge; print(ge.load({str(path)!r})['x'].tolist())"  # where nobody has asked for it yet
    assert subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip() == str(x.tolist())


def test_without_ml_dtypes(monkeypatch, tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "x.safetensors"
    ge.save({"x": ge.ones(2, dtype=ge.bfloat16)}, path)
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(DTypeError, match=r"ml_dtypes is not installed; .* -m pip install '\.\[bfloat16\]' in"):
        ge.bfloat16  # noqa: B018
    with pytest.raises(CheckpointError, match=r"x\.safetensors.*ml_dtypes is not installed"):
        ge.load(path)


def test_importing_the_engine_does_not_import_ml_dtypes():
    code = "import sys, gradengine as ge; ge.ones(2) + 1; print('ml_dtypes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.torch
def test_dlpack_says_what_to_do(torch):
    x = ge.ones(2, dtype=ge.bfloat16)
    with pytest.raises(DTypeError, match=r"DLPack: NumPy cannot export bfloat16; .*\.to\(ge\.float32\)"):
        torch.from_dlpack(x)
    with pytest.raises(DTypeError, match="from_dlpack"):
        ge.from_dlpack(torch.ones(2, dtype=torch.bfloat16))


def test_other_dtypes_of_that_kind_are_refused():
    with pytest.raises(DTypeError, match="not supported"):
        ge.ones(2, dtype=np.dtype("V2"))
    with pytest.raises(DTypeError, match="not supported"):
        ge.ones(2, dtype=ml_dtypes.float8_e4m3fn)
    with pytest.raises(DTypeError, match="no array of numbers"):
        ge.tensor(np.zeros(2, [("a", np.int16)]))


def test_what_is_not_in_half_precision_computes_as_before(backend, rng):
    ge.ones(1, dtype=ge.float16)
    a, b = (rng.standard_normal((33, 5)).astype(np.float32) for _ in range(2))
    assert (ge.tensor(a) + ge.tensor(b)).numpy().tobytes() == (a + b).tobytes()
    x = ge.tensor(a.astype(np.float64), requires_grad=True)
    (x * x).sum().backward()
    assert (x.grad.dtype, x.grad.numpy().tobytes()) == (ge.float64, (2 * a.astype(np.float64)).tobytes())


# -- jitted ---------------------------------------------------------------------------------------------------------

LARGE = 70_000  # more than float16 holds
DIVIDED = {  # by a count, or by a sum of shares
    "mean": lambda x: x.mean(),
    "mean of an axis": lambda x: x.reshape(2, -1).mean(axis=1).sum(),
    "std": lambda x: x.std(),
    "max": lambda x: x.max(),
    "infinite norm": lambda x: ge.vector_norm(x, ord=float("inf")),
    "logsumexp": lambda x: ge.logsumexp(x, axis=-1),
    "mse": lambda x: F.mse_loss(x, x.detach() * 0),
    "l1": lambda x: F.l1_loss(x, x.detach() * 0),
    "huber": lambda x: F.huber_loss(x, x.detach() * 0),
    "cross entropy": lambda x: F.cross_entropy(x.reshape(-1, 2), ge.zeros(LARGE // 2, dtype=ge.int64)),
}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("dtype", ["float16", pytest.param("bfloat16", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", DIVIDED)
def test_gradients_of_means_of_many_elements(name, dtype, create_graph, backend):
    """Jitted as eager, and as in double precision: 1 / 70000 is no 0."""

    def gradient(x):
        return ge.grad(DIVIDED[name](x), x, create_graph=create_graph)[0].detach()

    values = np.ones(LARGE)
    x = ge.tensor(values, dtype=dtype, requires_grad=True)
    got, eager = ge.jit(gradient)(x), gradient(x)
    want = gradient(ge.tensor(values, requires_grad=True)).numpy()
    assert got.dtype == eager.dtype == x.dtype
    np.testing.assert_array_equal(got.to(ge.float32).numpy(), eager.to(ge.float32).numpy())
    np.testing.assert_allclose(got.to(ge.float32).numpy(), want, rtol=0.05, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta"])
def test_jitted_updates_round_once(name, dtype, backend):
    ends = []
    for make in (lambda f: f, ge.jit):
        w = ge.tensor(np.linspace(-1, 1, 7), dtype=dtype, requires_grad=True)
        optimizer = getattr(ge.optim, name)([w], lr=0.01)

        def step(x, w=w, optimizer=optimizer):
            loss = ((w * x - 1) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        run = make(step)
        for i in range(3):
            run(ge.tensor(np.arange(7.0) * 0.41 * i, dtype=dtype))  # no gradient is nearly 0: Adam divides by it
        ends.append(w.to(ge.float32).numpy(force=True))
    if backend == "cupy":  # fused kernels keep float32 between ops, where eager ones round: one unit a step
        np.testing.assert_allclose(*ends, rtol=4 * EPS[dtype], atol=4 * EPS[dtype] * 0.01)
    else:
        np.testing.assert_array_equal(*ends)
