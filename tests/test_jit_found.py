"""Jitted steps where they once differed from eager ones, or may: sizes that look alike, Tensors known by two names,
memory that somebody else sees, and what changes behind a compiled step's back."""

import types

import numpy as np
import pytest

import gradengine as ge
from gradengine import nn
from gradengine.errors import ArgumentError, DTypeError, GraphError, IndexRangeError, ShapeError, TraceError
from gradengine.nn import functional as F

VECTOR = np.arange(1.0, 6.0, dtype=np.float32)
SCALE = 2.0


def arrays_of(result):
    """The Tensors of a result as NumPy arrays."""
    return [t.numpy(force=True).copy() for t in (result if isinstance(result, tuple) else (result,))]


def assert_alike(function, *args):
    """Three jitted calls give what the function gives."""
    jitted = ge.jit(function)
    for _ in range(3):
        for want, got in zip(arrays_of(function(*args)), arrays_of(jitted(*args)), strict=True):
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


ALIKE = {
    "slices of two lengths": (lambda v: v[:2].sum() + v[:4].sum(), VECTOR),
    "slices as results": (lambda v: (v[:2], v[:4]), VECTOR),
    "slices in products": (lambda v: (v[:3] * 2).sum() + (v[:5] * 3).sum(), VECTOR),
    "broadcasts to two heights": (
        lambda v: ge.broadcast_to(v, (2, 5)).sum() * ge.broadcast_to(v, (3, 5)).sum(),
        VECTOR,
    ),
    "a sum over one column": (lambda x: x.sum(axis=1, keepdims=True).sum(axis=1), np.ones((3, 300), np.float32)),
    "a mean over one column": (lambda x: x.sum(axis=1, keepdims=True).mean(axis=1), np.ones((3, 7), np.float32)),
    "a softmax over one column": (lambda x: F.softmax(x.sum(axis=1, keepdims=True), -1), np.ones((3, 7), np.float32)),
    "the sum of a repeated row": (
        lambda x: ge.broadcast_to(x.sum(axis=1, keepdims=True), (3, 5)).sum(),
        np.ones((3, 5), np.float32),
    ),
    "two sums of one value": (
        lambda x: ge.tanh(x).sum() + 2 * ge.tanh(x).sum(axis=1).sum(),
        np.ones((2, 1, 3), np.float32),
    ),
    "reductions of a scalar": (lambda x: x.sum(axis=0) + x.mean(axis=-1) + ge.logsumexp(x, axis=0), np.float32(3)),
    "an element of a result": (
        lambda a: a.exp()[0, ...] + 0 * ((a.exp() * 2.0).exp()).sum(),
        np.zeros(5000, np.float32),
    ),
}


@pytest.mark.parametrize("name", ALIKE)
def test_what_looks_alike_is_told_apart(backend, name):
    function, array = ALIKE[name]
    assert_alike(function, ge.tensor(array))


def test_a_scalar_parameter_gets_a_share_of_every_element(backend):
    x = ge.tensor(np.ones((3, 5), np.float32))

    def gradient(w):
        (found,) = ge.grad((((x + w).mean(axis=1)) ** 2).sum(), w)
        return found

    for shape in ((), (1,)):
        assert_alike(gradient, ge.tensor(np.ones(shape, np.float32), requires_grad=True))


def test_several_losses_in_one_step(backend, rng):
    x, y = ge.tensor(rng.standard_normal((6, 5)).astype(np.float32)), ge.tensor(rng.integers(0, 3, 6))

    def losses(x, y):
        ignoring = F.nll_loss(F.log_softmax(x, -1), y, ignore_index=1)
        return F.cross_entropy(x, y) + F.cross_entropy(x[:, :3], y) + ignoring

    assert_alike(losses, x, y)
    with pytest.raises(IndexRangeError, match="3 classes"):
        ge.jit(losses)(x, ge.tensor([0, 1, 2, 3, 0, 0]))


def test_a_bad_label_has_its_loss_named(backend):
    for loss in (F.cross_entropy, F.nll_loss):
        step = ge.jit(lambda x, y, loss=loss: loss(x, y))
        with pytest.raises(IndexRangeError, match=rf"{loss.__name__}: target\[1\] is 7"):
            step(ge.ones((2, 3)), ge.tensor([0, 7]))
        step(ge.ones((2, 3)), ge.tensor([0, 1]))
        with pytest.raises(IndexRangeError, match="out of range for 3 classes"):
            step(ge.ones((2, 3)), ge.tensor([0, 7]))


def test_dropout_of_any_shape(backend):
    def masked(x):
        return F.dropout(ge.exp(x).sum(axis=1, keepdims=True) * 0 + ge.ones((7, 7)), 0.5)

    jitted = ge.jit(masked)
    x = ge.zeros((7, 50))
    for seed in range(3):
        ge.manual_seed(seed)
        want = masked(x).numpy()
        ge.manual_seed(seed)
        np.testing.assert_array_equal(jitted(x).numpy(), want)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))
    assert ge.jit(lambda x: model(x))(ge.ones((16, 4))).shape == (16, 2)


DRAWS = {
    "dropout": lambda x, p: F.dropout(x, p),
    "of another shape": lambda x, p: F.dropout(ge.ones(5), p).sum() + x,
    "bernoulli": lambda x, p: x * ge.bernoulli(p, x.shape),
    "probabilities of a draw": lambda x, p: x * ge.bernoulli(F.dropout(ge.full(x.shape, 0.05), p)),
    "uniform": lambda x, p: x + ge.rand(*x.shape) * p,
    "normal": lambda x, p: x + ge.normal(0.0, p, x.shape),
    "in double precision": lambda x, p: x + ge.rand(*x.shape, dtype=ge.float64).to(x.dtype),
    "integers": lambda x, p: x * ge.randint(1, 5, x.shape).to(x.dtype),
    "a permutation": lambda x, p: ge.take(x.reshape(-1), ge.randperm(x.size)).reshape(*x.shape),
    "another generator": lambda x, p: x + ge.rand(*x.shape, generator=OTHER) * p,
    "dropout of another generator": lambda x, p: x * ge.ops.dropout_mask(x.shape, p, generator=OTHER),
}
OTHER = ge.Generator(3)


@pytest.mark.parametrize("shape", [(8,), (3, 5), (4, 8), (16, 3)], ids=str)
@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize("fed", [False, True], ids=["side by side", "one after the other"])
def test_several_draws_are_those_of_the_eager_step(backend, rng, shape, count, fed):
    """Numbers are compared with eager ones of one seed: garbage differs from garbage as well."""
    chosen = [(DRAWS[name], float(rng.uniform(0.1, 0.9))) for name in rng.choice([*DRAWS, *["dropout"] * 9], count)]

    def step(x):
        found = []
        for draw, p in chosen:
            found.append(draw(found[-1] if fed and found else x, p))
        return tuple(found)

    jitted = ge.jit(step)
    for seed in range(2):
        ends = []
        for function in (step, jitted):
            ge.manual_seed(seed)
            OTHER.manual_seed(seed + 7)
            ends.append([y.numpy() for y in function(ge.ones(shape))])
            ends[-1].append(np.array([ge.default_generator.offset, OTHER.offset]))
        for want, got in zip(*ends, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-6)


# -- memory -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 100])
def test_a_gradient_that_is_returned_too_is_new_at_each_call(backend, size):
    w = ge.tensor(np.ones(size, np.float32), requires_grad=True)
    kept = []

    @ge.jit
    def step(x):
        w.grad = None
        loss = ((w * x) ** 2).sum()
        loss.backward()
        return loss, w.grad

    for i in range(8):
        _, gradient = step(ge.tensor(np.full(size, i, np.float32)))
        kept.append(gradient)
        np.testing.assert_allclose(w.grad.numpy(), 2.0 * i * i)
    for i, gradient in enumerate(kept):
        np.testing.assert_allclose(gradient.numpy(), 2.0 * i * i)


def test_gradients_that_are_views_of_one_result_keep_shape_and_value(backend):
    p = ge.tensor(np.ones(40, np.float32), requires_grad=True)
    q = ge.tensor(np.ones((1, 40), np.float32), requires_grad=True)

    @ge.jit
    def step(x):
        p.grad = q.grad = None
        ((p.reshape(1, 40) + q) * x).exp().sum().backward()

    kept = []
    for i in range(6):
        step(ge.tensor(0.1 * i))
        assert (p.grad.shape, q.grad.shape) == ((40,), (1, 40))
        kept.append((q.grad.detach(), q.grad.numpy().copy()))
    for gradient, value in kept:
        np.testing.assert_array_equal(gradient.numpy(), value)


def test_over_leaves_gradients_of_their_own_shape(backend):
    model = nn.Linear(4, 3)
    optimizer = ge.optim.SGD(model.parameters(), lr=0.1)

    @ge.jit
    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    x, y = ge.randn(12, 4), np.array([0, 1, 2] * 4)
    step.over(x, y, batch_size=4)
    assert model.bias.grad.shape == (3,)
    optimizer.step()
    before = model.weight.grad.numpy().copy()
    y[0] = 99
    with pytest.raises(IndexRangeError, match=r"99|out of range"):
        step.over(x, y, batch_size=4)
    if backend == "cupy":  # a product has written over it
        assert model.weight.grad is None
        return
    np.testing.assert_array_equal(model.weight.grad.numpy(), before)


def test_over_tells_what_is_stacked_from_what_stays(backend):
    total = ge.zeros(())

    @ge.jit
    def step(x):
        total.add_(x.sum())
        return total.clone()

    assert step.over(ge.ones(6), batch_size=2).tolist() == [2.0, 4.0, 6.0]
    assert total.item() == 6.0


# -- one Tensor under two names -----------------------------------------------------------------------------------


def test_an_argument_may_be_a_tensor_that_the_step_finds_by_itself(backend):
    centre = ge.tensor([1.0, 2.0, 3.0, 4.0])
    distance = ge.jit(lambda x: ((x - centre) ** 2).sum())
    assert distance(centre).item() == 0.0
    assert distance(ge.zeros(4)).item() == 30.0
    assert distance.cache_info().misses == 1


def test_an_argument_that_is_changed_may_be_one_too(backend):
    w = ge.tensor([1.0, 2.0])

    @ge.jit
    def step(x):
        x.add_(1)
        return (x * w).sum()

    other = ge.tensor([0.0, 0.0])
    assert step(other).item() == 3.0
    assert step(w).item() == 13.0
    assert w.tolist() == [2.0, 3.0]
    assert step(other).item() == 2 * 2 + 2 * 3
    assert step.cache_info().misses == 2


# -- what changes behind a step's back ----------------------------------------------------------------------------


def after_loading_a_state(jitted):
    """A weight after an optimizer has gone back to an earlier state in the middle."""
    w = ge.tensor([1.0, 2.0], requires_grad=True)
    optimizer = ge.optim.SGD([w], lr=0.1, momentum=0.9)

    def step(x):
        loss = ((w - x) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step = ge.jit(step) if jitted else step
    step(1.0)
    saved = optimizer.state_dict()
    step(1.0)
    step(1.0)
    optimizer.load_state_dict(saved)
    step(1.0)
    optimizer.param_groups[0]["lr"] = 0.01
    step(1.0)
    return w.tolist()


def test_an_optimizer_may_load_a_state(backend):
    np.testing.assert_allclose(after_loading_a_state(True), after_loading_a_state(False), rtol=1e-6)


def test_hooks_and_parts_of_modules_may_change(backend):
    w = ge.tensor([1.0, 2.0], requires_grad=True)

    @ge.jit
    def step():
        w.grad = None
        (w * w).sum().backward()

    step()
    w.register_hook(lambda g: g * 10)
    step()
    assert w.grad.tolist() == [20.0, 40.0]
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    run = ge.jit(lambda x: model(x))
    x = ge.ones((1, 2))
    run(x)
    model[0] = nn.Linear(2, 2)
    np.testing.assert_allclose(run(x).numpy(), model(x).numpy(force=True), rtol=1e-6)
    model.register_forward_hook(lambda module, args, output: output * 3)
    np.testing.assert_allclose(run(x).numpy(), model(x).numpy(force=True), rtol=1e-6)


def test_globals_read_inside_inner_functions_are_looked_at(backend, monkeypatch):
    step = ge.jit(lambda x: sum([x * SCALE for _ in range(2)]))
    assert step(ge.ones(1)).item() == 4.0
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert step(ge.ones(1)).item() == 6.0


def test_a_name_that_is_only_an_attribute_is_not(backend, monkeypatch):
    monkeypatch.setitem(globals(), "sum", 0)  # a global counter, of the name of a method

    @ge.jit
    def step(x):
        return x.sum()

    for i in range(5):
        monkeypatch.setitem(globals(), "sum", i)
        step(ge.ones(2))
    assert step.cache_info().misses == 1


def test_static_arguments_are_told_apart_in_tuples(backend):
    step = ge.jit(lambda x, s: x * s[0], static_argnames="s")
    assert step(ge.tensor([1, 2]), (2,)).dtype == np.int64
    assert step(ge.tensor([1, 2]), (2.0,)).dtype == ge.float32


def test_lowering_leaves_no_slots_to_be_saved(backend):
    w = ge.tensor([1.0], requires_grad=True)
    optimizer = ge.optim.SGD([w], lr=0.1, momentum=0.9, dampening=0.5)

    @ge.jit
    def step():
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()

    step.lower()
    assert optimizer.state_dict()["state"] == {}


def test_mistaken_options_are_named():
    with pytest.raises(ArgumentError, match="static_argnames has 'typo', but the arguments are x"):
        ge.jit(lambda x: x, static_argnames="typo")
    with pytest.raises(ArgumentError, match="maxsize must be an int"):
        ge.jit(lambda x: x, maxsize="3")
    step = ge.jit(lambda x: x.sum())
    with pytest.raises(DTypeError, match="one axis of integers"):
        step.over(ge.ones(4), batch_size=2, order=[[1, 2], [3]])
    with pytest.raises(IndexRangeError, match="names sample -1, but there are samples 0 to 3"):
        step.over(ge.ones(4), batch_size=2, order=[-1, 0])


# -- masks ------------------------------------------------------------------------------------------------------------


def written(x, mask, v):
    y = x * 1.0
    y[mask] = v
    return y


WRITTEN = {  # x has shape (3, 4), and four of its elements are negative
    "a number": ((), lambda x: x < 0),
    "a value of one element": ((1,), lambda x: x < 0),
    "a value with more axes": ((1, 1, 1), lambda x: x < 0),
    "a value for each": ((4,), lambda x: x < 0),
    "a row for each": ((2, 4), lambda x: x[:, 0] > 0),
    "one row for all": ((4,), lambda x: x[:, 0] > 0),
    "one row for all, two axes": ((1, 4), lambda x: x[:, 0] > 0),
    "a column for each": ((2, 1), lambda x: x[:, 0] > 0),
    "columns": ((), lambda x: (slice(None), x[0] > 0)),
    "columns, each another": ((3, 2), lambda x: (slice(None), x[0] > 0)),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_through_a_mask_has_gradients(name, backend):
    """Of first and second order, in the array and in the value."""
    shape, mask = WRITTEN[name]
    rng = np.random.default_rng(1)
    array = np.array([[1.0, 2.0, -3.0, -1.0], [-2.0, 1.0, 3.0, 2.0], [2.0, 4.0, -1.0, 0.5]])

    def orders(x, v):
        y = written(x, mask(x), v)
        first = ge.grad((y**3).sum(), [x, v], create_graph=True)
        second = ge.grad(sum((g * g).sum() for g in first), [x, v])
        return (y, *first, *second)

    jitted = ge.jit(orders)
    for shift in (0.0, 0.25):
        x = ge.tensor(array + shift, requires_grad=True)
        v = ge.tensor(rng.normal(size=shape), requires_grad=True)
        for got, want in zip(jitted(x, v), orders(x, v), strict=True):
            np.testing.assert_allclose(got.numpy(), want.numpy(force=True), rtol=1e-10)


def test_masks_that_do_not_fit_are_named(backend):
    step = ge.jit(lambda x, v: written(x, x < 0, v))
    assert step(ge.tensor([1.0, -1.0, -2.0]), ge.tensor([5.0, 6.0])).tolist() == [1.0, 5.0, 6.0]
    with pytest.raises(ShapeError, match="setitem"):
        step(ge.tensor([1.0, 1.0, -2.0]), ge.tensor([5.0, 6.0]))

    @ge.jit
    def selected(x):
        y = x * 1.0
        return y[x < 0].sum()

    with pytest.raises(TraceError) as caught:
        selected(ge.ones(2))
    assert "return y[x < 0].sum()" in str(caught.value)
    assert "ge.where(mask, x, 0) with a sum" in str(caught.value)


# -- what a newcomer tries ----------------------------------------------------------------------------------------


def test_a_caught_trace_error_is_raised_all_the_same(backend):
    @ge.jit
    def step(x):
        try:
            scale = float(x.sum())
        except Exception:
            scale = 0.0
        return x * scale

    with pytest.raises(TraceError, match="by float"):
        step(ge.ones(2))


def test_settings_of_modules_may_change(backend):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.alpha = 1.0

        def forward(self, x):
            return x * self.alpha

    model = nn.Sequential(Scaled(), nn.LeakyReLU(0.5))
    step = ge.jit(lambda x: model(x))
    x = ge.tensor([1.0, -1.0])
    assert step(x).tolist() == [1.0, -0.5]
    model[0].alpha = 3.0
    assert step(x).tolist() == [3.0, -1.5]
    model[1].negative_slope = 0.25
    assert step(x).tolist() == [3.0, -0.75]
    step(x)
    assert step.cache_info().misses == 3


def test_a_step_may_change_the_mode_itself(backend):
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))

    @ge.jit
    def step(x):
        model.eval()
        found = model(x)
        model.train()
        return found

    for _ in range(3):
        step(ge.ones((1, 2)))
    assert step.cache_info().misses == 1


def test_a_jitted_method_has_all_that_a_step_has(backend):
    class Trainer:
        def __init__(self):
            self.total = ge.zeros(())

        @ge.jit
        def step(self, x):
            self.total.add_(x.sum())
            return x.mean()

    trainer = Trainer()
    assert trainer.step.over(ge.ones(6), batch_size=2).tolist() == [1.0, 1.0, 1.0]
    assert trainer.total.item() == 6.0
    assert trainer.step(ge.ones(2)).item() == 1.0
    assert "sum" in str(trainer.step.lower(ge.ones(2)))
    assert trainer.step.cache_info().misses == 1


def test_what_is_left_of_a_trace_says_so(backend):
    kept, elsewhere = [], types.ModuleType("elsewhere")  # into modules, nobody looks

    @ge.jit
    def step(x, module):
        module.kept = x * 2
        kept.append(module.kept)
        return x

    with pytest.raises(TraceError, match="has another item"):
        step(ge.ones(2), elsewhere)
    assert kept == []
    kept.append(elsewhere.kept)
    for use in (lambda t: t + 1, repr, lambda t: t.numpy()):
        with pytest.raises(GraphError, match="left over"):
            use(kept[0])


def test_backward_outside_names_the_compiled_step(backend):
    w = ge.tensor([1.0, 2.0], requires_grad=True)
    forward = ge.jit(lambda x: (w * x).sum())
    with pytest.raises(GraphError, match=r"ge\.jit has compiled"):
        forward(ge.ones(2)).backward()
