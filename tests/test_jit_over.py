"""`step.over`: what it does to parameters, optimizers and generators is what calling the step batch by batch does."""

import os
import signal
import threading
import time

import numpy as np
import pytest

import gradengine as ge
from gradengine import nn
from gradengine.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError

SAMPLES, FEATURES, CLASSES = 103, 7, 4
OPTIMIZERS = {
    "sgd": lambda p: ge.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.2),
    "adam": lambda p: ge.optim.Adam(p, lr=0.02),
}


class Run:
    """A small model, its optimizer and its jitted step, always with the same initial state."""

    def __init__(self, optimizer="sgd", dropout=0.0, scheduled=False):
        ge.manual_seed(7)
        self.model = nn.Sequential(
            nn.Linear(FEATURES, 9), nn.ReLU(), nn.Dropout(dropout) if dropout else nn.Identity(), nn.Linear(9, CLASSES)
        )
        self.optimizer = OPTIMIZERS[optimizer](self.model.parameters())
        self.schedule = ge.optim.lr_scheduler.ExponentialLR(self.optimizer, 0.97) if scheduled else None

        @ge.jit
        def step(x, y):
            loss = nn.functional.cross_entropy(self.model(x), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            if self.schedule is not None:
                self.schedule.step()
            return loss

        self.step = step

    def state(self):
        """All that a step changes, as NumPy arrays and numbers."""
        found = [p.numpy(force=True).copy() for p in self.model.parameters()]
        found += [p.grad.numpy().copy() for p in self.model.parameters()]
        for p in self.model.parameters():
            held = self.optimizer.state[p]
            found += [np.array(held[key].numpy() if hasattr(held[key], "numpy") else held[key]) for key in sorted(held)]
        rates = [group["lr"] for group in self.optimizer.param_groups]
        return [*found, np.array(rates), np.array(ge.default_generator.offset)]


@pytest.fixture
def data(rng):
    x = rng.standard_normal((SAMPLES, FEATURES)).astype(np.float32)
    return x, rng.integers(0, CLASSES, SAMPLES)


def same(a, b):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("dropout", "scheduled"), [(0.0, False), (0.4, True)])
@pytest.mark.parametrize("ordered", [False, True])
def test_over_is_the_loop_over_batches(backend, data, rng, optimizer, dropout, scheduled, ordered):
    x, y = data
    order = rng.permutation(SAMPLES) if ordered else None
    one, other = Run(optimizer, dropout, scheduled), Run(optimizer, dropout, scheduled)
    xs, ys = (x, y) if order is None else (x[order], y[order])
    ge.manual_seed(3)
    want = [one.step(ge.tensor(xs[i : i + 10]), ge.tensor(ys[i : i + 10])).item() for i in range(0, SAMPLES, 10)]
    wanted = one.state()
    ge.manual_seed(3)
    got = other.step.over(ge.tensor(x), ge.tensor(y), batch_size=10, order=order)
    assert got.shape == (11,)
    np.testing.assert_array_equal(got.numpy(), np.array(want, np.float32))
    same(other.state(), wanted)
    assert other.step.cache_info().misses == 2  # whole batches, and the last one


def test_over_drops_the_last_batch_if_asked_to(backend, data):
    run = Run()
    assert run.step.over(*data, batch_size=10, drop_last=True).shape == (10,)
    assert run.step.cache_info().misses == 1


def test_over_takes_an_order_that_is_a_tensor(backend, data):
    run = Run()
    assert run.step.over(*data, batch_size=25, order=ge.randperm(SAMPLES)).shape == (5,)


def test_over_runs_natively_where_all_is_compiled(data, monkeypatch):
    """On numba the step itself is not called from Python again: what is called is native."""
    pytest.importorskip("numba")
    ge.set_cpu_backend("numba")
    run = Run(dropout=0.5)
    run.step.over(*data, batch_size=10, drop_last=True)
    monkeypatch.setattr(type(run.step), "__call__", lambda *args: pytest.fail("the step was called from Python"))
    run.step.over(*data, batch_size=10, drop_last=True)


def test_results_may_be_nested_and_of_any_shape(backend, data):
    x, _ = data
    factor = ge.tensor(2.0)

    @ge.jit
    def step(x):
        return {"sum": x.sum(), "rows": (x * factor).sum(axis=0)}, "name"

    (found, name) = step.over(x, batch_size=20, drop_last=True)
    assert name == "name"
    want = x[:100].reshape(5, 20, FEATURES)
    np.testing.assert_allclose(found["rows"].numpy(), 2 * want.sum(1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["sum"].numpy(), want.sum((1, 2)), rtol=1e-4, atol=1e-4)


def test_results_that_do_not_stack_are_an_error(backend, data):
    step = ge.jit(lambda x: x * 2)
    with pytest.raises(ShapeError, match=r"drop_last=True"):
        step.over(data[0], batch_size=20)
    assert step.over(data[0], batch_size=20, drop_last=True).shape == (5, 20, FEATURES)


def test_a_step_with_ops_that_are_not_compiled_gives_the_same(backend, data):
    x, _ = data
    total = ge.zeros((FEATURES,))

    @ge.jit
    def step(x):
        total.add_(ge.sort(ge.sin(x), axis=0)[0])
        return ge.cumsum(x, axis=0)[-1]

    found = step.over(x, batch_size=10, drop_last=True)
    want = [np.sort(np.sin(x[i : i + 10]), axis=0)[0] for i in range(0, 100, 10)]
    np.testing.assert_allclose(total.numpy(), np.sum(want, 0), rtol=1e-5, atol=1e-5)
    assert found.shape == (10, FEATURES)


def test_gradients_that_accumulate_do_so(backend, data):
    x, _ = data
    weight = ge.tensor(np.ones(FEATURES, np.float32), requires_grad=True)

    @ge.jit
    def step(x):
        loss = (x * weight).sum()
        loss.backward()
        return loss

    step.over(x, batch_size=10, drop_last=True)
    np.testing.assert_allclose(weight.grad.numpy(), x[:100].sum(0), rtol=1e-4, atol=1e-4)


def test_numbers_and_modules_may_go_along(backend, data):
    x, _ = data
    step = ge.jit(lambda x, factor, layer: layer(x).sum() * factor)
    layer = nn.Linear(FEATURES, 1)
    found = step.over(x, batch_size=50, drop_last=True, factor=0.5, layer=layer).numpy()
    want = [0.5 * layer(ge.tensor(x[i : i + 50])).sum().item() for i in (0, 50)]
    np.testing.assert_allclose(found, want, rtol=1e-5)


def test_a_bad_label_stops_at_its_batch(backend, data):
    x, y = data
    bad = y.copy()
    bad[57] = CLASSES
    run, reference = Run("adam", dropout=0.3), Run("adam", dropout=0.3)
    for each in (run, reference):
        ge.manual_seed(1)
        each.step(ge.tensor(x[:10]), ge.tensor(y[:10]))
    ge.manual_seed(5)
    for i in range(0, 50, 10):
        reference.step(ge.tensor(x[i : i + 10]), ge.tensor(y[i : i + 10]))
    wanted = reference.state()
    ge.manual_seed(5)
    with pytest.raises(IndexRangeError, match="out of range for 4 classes"):
        run.step.over(x, bad, batch_size=10)
    found = [p.detach().numpy() for p in run.model.parameters()]
    same(found, wanted[: len(found)])
    counts = [run.optimizer.state[p]["step"] for p in run.model.parameters()]
    assert set(counts) <= {6, 7}  # where steps are called one by one, the one that failed was counted


def run_for_long(step, x, y):
    for _ in range(1000):
        step.over(x, y, batch_size=10)


def test_an_interrupt_leaves_whole_steps(backend, rng):
    """After Ctrl-C in the middle, all is as after some number of whole steps: one that the optimizer has counted."""
    x = rng.standard_normal((40_000, FEATURES)).astype(np.float32)
    y = rng.integers(0, CLASSES, len(x))
    run, reference = Run("adam", dropout=0.3), Run("adam", dropout=0.3)
    for each in (run, reference):
        ge.manual_seed(1)
        each.step(ge.tensor(x[:10]), ge.tensor(y[:10]))
    ge.manual_seed(5)

    def interrupt():
        time.sleep(0.15)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_for_long(run.step, x, y)
    thread.join()
    found = run.state()
    parameter = next(iter(run.model.parameters()))
    steps = run.optimizer.state[parameter]["step"] - 1
    assert steps > 0
    ge.manual_seed(5)
    for i in range(steps):
        start = 10 * (i % (len(x) // 10))
        reference.step(ge.tensor(x[start : start + 10]), ge.tensor(y[start : start + 10]))
    same(found, reference.state())


def test_bad_arguments_are_named(backend, data):
    step = ge.jit(lambda x: x.sum())
    x = data[0]
    with pytest.raises(ArgumentError, match="batch_size must be a positive int, got float"):
        step.over(x, batch_size=2.5)
    with pytest.raises(ArgumentError, match="needs the arrays"):
        step.over(batch_size=2)
    with pytest.raises(DTypeError, match="takes Tensors and arrays"):
        step.over([1.0, 2.0], batch_size=2)
    with pytest.raises(ShapeError, match="equally long"):
        ge.jit(lambda x, y: x.sum()).over(x, x[1:], batch_size=2)
    with pytest.raises(IndexRangeError, match="there are samples 0 to 102"):
        step.over(x, batch_size=2, order=[0, 103])
    with pytest.raises(DTypeError, match="one axis of integers"):
        step.over(x, batch_size=2, order=np.zeros((2, 2), int))
    with pytest.raises(ArgumentError, match="make no batch"):
        step.over(x, batch_size=200, drop_last=True)


def one_by_one(run, x, y):
    """The losses of steps over single samples."""
    ge.manual_seed(3)
    return [run.step(ge.tensor(x[i : i + 1]), ge.tensor(y[i : i + 1])).item() for i in range(len(x))]


def test_stretches_longer_than_what_is_decided_ahead(backend, rng):
    """What the host decides comes in pieces on a GPU."""
    count = 203
    x, y = rng.standard_normal((count, FEATURES)).astype(np.float32), rng.integers(0, CLASSES, count)
    one, other = Run("adam", 0.3, True), Run("adam", 0.3, True)
    want = one_by_one(one, x, y)
    ge.manual_seed(3)
    first = other.step.over(ge.tensor(x[:40]), ge.tensor(y[:40]), batch_size=1)  # from which the pace is known
    rest = other.step.over(ge.tensor(x[40:]), ge.tensor(y[40:]), batch_size=1)
    np.testing.assert_array_equal(np.concatenate([first.numpy(), rest.numpy()]), np.array(want, np.float32))
    same(other.state(), one.state())


def test_after_a_failure_the_host_stands_where_the_steps_do(backend, rng):
    if backend == "numpy":
        pytest.skip("steps are called one by one there, and the one that fails is counted")
    count, bad = 203, 150
    x, y = rng.standard_normal((count, FEATURES)).astype(np.float32), rng.integers(0, CLASSES, count)
    one, other = Run("adam", 0.3, True), Run("adam", 0.3, True)
    one_by_one(one, x[:bad], y[:bad])
    y[bad] = CLASSES
    ge.manual_seed(3)
    other.step.over(ge.tensor(x[:40]), ge.tensor(y[:40]), batch_size=1)
    with pytest.raises(IndexRangeError, match=rf"in batch {bad - 40}\)"):
        other.step.over(ge.tensor(x[40:]), ge.tensor(y[40:]), batch_size=1)
    drawn = ge.default_generator.offset
    for run in (one, other):
        for p in run.model.parameters():
            p.grad = ge.zeros_like(p)  # on a GPU some are lost
    same(other.state()[:-1], one.state()[:-1])
    one_by_one(one, x[:bad], y[:bad])
    assert drawn == ge.default_generator.offset


@pytest.mark.parametrize("late", [0, 1, 20, 65])
def test_what_the_host_decides_may_become_of_another_kind(backend, rng, late, monkeypatch):
    """A decay that is 0 in the trace, and built in, is there later on: the steps from then on are compiled anew."""
    from gradengine.optim.sgd import SGD

    scalars = SGD.scalars
    count = 100
    x, y = rng.standard_normal((count, FEATURES)).astype(np.float32), rng.integers(0, CLASSES, count)

    def run(all_at_once):
        calls = 0
        run = Run()

        def changing(self, group, step, first):
            nonlocal calls
            calls += 1
            made = scalars(self, group, step, first)
            return {**made, "weight_decay": 0.25} if self.after(group) else made

        def after(self, group):
            return group["lr"] < 0.1 * 0.9 ** (late + 0.5)

        monkeypatch.setattr(SGD, "scalars", changing)
        monkeypatch.setattr(SGD, "after", after, raising=False)
        run.schedule = ge.optim.lr_scheduler.ExponentialLR(run.optimizer, 0.9)
        pairs = ge.tensor(x), ge.tensor(y)
        if all_at_once:
            run.step.over(pairs[0][:2], pairs[1][:2], batch_size=1)
            run.step.over(pairs[0][2:], pairs[1][2:], batch_size=1)
        else:
            for i in range(count):
                run.step(pairs[0][i : i + 1], pairs[1][i : i + 1])
        return run.state(), run.step.cache_info().misses

    (wanted, _), (found, misses) = run(False), run(True)
    same(found, wanted)
    assert misses >= 1


def test_a_schedule_that_fails_leaves_whole_steps(backend):
    """The steps before it are done, and the one that it belongs to is not, as if each had been called."""

    def trained(by_over):
        weight = ge.tensor([1.0, 2.0, 3.0], requires_grad=True)
        optimizer = ge.optim.Adam([weight], lr=0.1)

        def rate(epoch):
            if epoch == 20:
                raise ValueError("no rate for epoch 20")
            return 1 / (1 + epoch)

        schedule = ge.optim.lr_scheduler.LambdaLR(optimizer, rate)

        @ge.jit
        def step(x):
            optimizer.zero_grad()
            loss = (x * weight).sum()
            loss.backward()
            optimizer.step()
            schedule.step()
            return loss

        x = ge.ones((90, 3))
        run = (lambda: step.over(x, batch_size=1)) if by_over else (lambda: [step(x[i : i + 1]) for i in range(90)])
        with pytest.raises(ValueError, match="no rate for epoch 20"):
            run()
        counts = [int(optimizer.state[weight]["step"]), schedule.last_epoch]
        return counts, [*weight.tolist(), optimizer.param_groups[0]["lr"]]

    counts, numbers = trained(True)
    assert counts == [19, 19]
    assert numbers == pytest.approx(trained(False)[1])
