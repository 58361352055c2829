"""Numbers as arguments of jitted steps: wherever an op takes arrays, and as options of optimizers."""

import dataclasses
import types
import warnings
from collections import OrderedDict, deque

import numpy as np
import pytest

import gradengine as ge
from gradengine import optim
from gradengine.errors import DTypeError, IndexRangeError, TraceError
from gradengine.nn import functional as F

ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)


def assigned(x, i):
    y = x * 1
    y[i] += 1
    return y


def gradient(x, i):
    w = x.detach().requires_grad_()
    (w[i] * w[i]).sum().backward()
    return w.grad


TAKING = {
    "a row": lambda x, i: x[i],
    "a column": lambda x, i: x[:, i],
    "an element": lambda x, i: x[i, 0] + x[0, i],
    "a row by two": lambda x, i: x[i - 1] * x[-i],
    "take": lambda x, i: ge.take(x, i, axis=0),
    "an assignment": assigned,
    "a gradient": gradient,
    "one_hot": lambda x, i: ge.one_hot(i, 4),
}
ARRAYS = {
    "sum": lambda x, i: ge.sum(i) * x,
    "reshape": lambda x, i: ge.reshape(i, (1,)) + x[:, 0],
    "stack": lambda x, i: ge.stack([i, i]),
    "broadcast_to": lambda x, i: ge.broadcast_to(i, (2, 2)),
    "expand_dims": lambda x, i: ge.expand_dims(i, axis=0),
    "mean": lambda x, i: ge.mean(i),
    "cumulative_sum": lambda x, i: ge.cumulative_sum(i),
    "astype": lambda x, i: x * ge.astype(i, ge.float64),
    "tile": lambda x, i: ge.tile(i, (2,)),
}


@pytest.mark.parametrize("name", TAKING)
def test_a_number_may_be_an_index(backend, name):
    x, function = ge.tensor(ROWS), TAKING[name]
    jitted = ge.jit(function)
    for i in (1, 2, -1, 0):
        if name != "one_hot" or i >= 0:
            got, want = jitted(x, i), function(x, i)
            assert (got.dtype, got.shape, got.tolist()) == (want.dtype, want.shape, want.tolist())
    assert jitted.cache_info().misses == 1
    with pytest.raises(IndexRangeError):
        jitted(x, 4)


def test_arithmetic_of_numbers(backend):
    x = ge.tensor(ROWS)
    function = lambda x, i: x * -i + abs(i) * x - (i**2 - i // 2) % 3
    jitted = ge.jit(function)
    for number in (2, -3):
        assert jitted(x, number).tolist() == function(x, number).tolist()
    assert jitted.cache_info().misses == 1


@pytest.mark.parametrize("name", ARRAYS)
def test_a_number_may_be_an_array(backend, name):
    x, function = ge.tensor(ROWS), ARRAYS[name]
    jitted = ge.jit(function)
    for number in (2, 3, 2.5, 0.5):
        got, want = jitted(x, number), function(x, number)
        assert (got.dtype, got.shape, got.tolist()) == (want.dtype, want.shape, want.tolist())
    assert jitted.cache_info().misses == 2


def test_a_float_is_no_index(backend):
    with pytest.raises(DTypeError, match=r"float 1\.0 is no index"):
        ge.jit(lambda x, i: x[i])(ge.tensor(ROWS), 1.0)


def test_a_length_is_named_with_the_line_of_the_user(backend):
    @ge.jit
    def step(x, n):
        y = x * 2
        return y[:n]

    with pytest.raises(TraceError) as caught:
        step(ge.tensor(ROWS), 2)
    message = str(caught.value)
    assert "a value is used as an int in line" in message
    if backend != "cupy":  # the emulated array's own lines count as the user's
        assert "of test_jit_numbers.py:\n    return y[:n]\n" in message


@pytest.mark.parametrize("method", ["item", "tolist", "numpy"])
def test_a_value_that_is_read_in_the_step(method, backend):
    for step in (lambda x: getattr(x.sum(), method)(), lambda x: print(getattr(x.sum(), method)())):
        with pytest.raises(TraceError) as caught:
            ge.jit(step)(ge.tensor(ROWS))
        message = str(caught.value)
        assert f"a value is used by .{method}() in line" in message
        assert f"return the Tensor from the step and call .{method}() on it there" in message


def test_a_list_of_numbers_for_an_array(backend):
    model = ge.nn.Linear(2, 1)
    for step in (lambda x: ge.tensor(x), lambda x: ge.ones(2) * x, lambda x: model(x)):
        with pytest.raises(
            TraceError, match=r"by an op that needs plain numbers in .*\n.*\n.*pass lists of numbers as"
        ):
            ge.jit(step)([1.0, 2.0])


FORMS = {  # whatever can be done with a number: x is an array of three elements
    "add": lambda x, k: x + k,
    "subtract from": lambda x, k: k - x,
    "divide": lambda x, k: x / k,
    "divide by": lambda x, k: k // (x + 1),
    "power": lambda x, k: x**k,
    "to the power": lambda x, k: k**x,
    "compare": lambda x, k: k < x,
    "and": lambda x, k: x & k,
    "maximum": lambda x, k: ge.maximum(k, x),
    "where": lambda x, k: ge.where(x > 0, k, x),
    "where, two numbers": lambda x, k: ge.where(x > 0, k, 1),
    "clip": lambda x, k: ge.clip(x, 0, k),
    "full": lambda x, k: ge.full((2,), k),
    "full of a dtype": lambda x, k: ge.full((2,), k, dtype=x.dtype),
    "full_like": lambda x, k: ge.full_like(x, k),
    "tensor": lambda x, k: ge.tensor(k) * ge.ones(2),
    "tensor of a list": lambda x, k: ge.tensor([1, k]),
    "tensor of a dtype": lambda x, k: ge.tensor(k, dtype=x.dtype),
    "asarray": lambda x, k: ge.asarray(k),
    "fill_": lambda x, k: (x * 1).fill_(k),
    "add_": lambda x, k: (x * 1).add_(k),
    "set an element": lambda x, k: changed(x, 0, k),
    "set by a mask": lambda x, k: changed(x, x > 0, k),
    "set at": lambda x, k: changed(x, k, 1),
    "masked_fill": lambda x, k: ge.masked_fill(x, x > 0, k),
    "an index": lambda x, k: x[k],
    "an axis": lambda x, k: ge.sum(x, axis=k),
    "a shift": lambda x, k: ge.roll(x, k),
    "a correction": lambda x, k: ge.var(x, correction=k),
    "a norm": lambda x, k: ge.vector_norm(x * 1.0, ord=k),
    "a quantile": lambda x, k: ge.quantile(x * 1.0, k),
    "a slope": lambda x, k: F.leaky_relu(x * 1.0, k),
    "a delta": lambda x, k: F.huber_loss(x * 1.0, x * 0.5, delta=k),
    "an eps": lambda x, k: F.layer_norm(x * 1.0, (3,), eps=k),
    "a fill of padding": lambda x, k: ge.pad(x, ((1, 1),), constant_values=k),
    "a probability": lambda x, k: ge.bernoulli(k, (3,)) * 0,
    "a share of dropout": lambda x, k: F.dropout(x * 1.0, k) * 0,
    "a bound of a draw": lambda x, k: ge.randint(0, k, (3,)) * 0,
    "the number": lambda x, k: k,
    "arithmetic": lambda x, k: (k * 2.5 - 1, k // 2, k % 3, -k, abs(k), k**2),
    "rounded": lambda x, k: round(k),
}


def changed(x, index, value):
    y = x * 1
    y[index] = value
    return y


def outcome(function, *args):
    """What a call gives, or the type of its error."""
    ge.manual_seed(0)
    try:
        with np.errstate(all="ignore"):
            return function(*args)
    except Exception as error:
        return error


@pytest.mark.parametrize("dtype", ["float32", "int8", "int64", "uint8", "bool"])
@pytest.mark.parametrize("name", FORMS)
def test_what_can_be_done_with_a_number(name, dtype, backend):
    """Eager's value, dtype and error, or a TraceError that shows the line; numbers of one type share a program."""
    function = FORMS[name]
    jitted = ge.jit(function, maxsize=4)
    for number in (2, -1, 300, 0, 10**20, 2.5, -0.0, float("nan"), float("inf"), 1e20):
        x = ge.tensor(np.array([1, 0, 3]).astype(dtype))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # eager runs warn of invalid values, and steps of many programs
            want, got = outcome(function, x, number), outcome(jitted, x, number)
        if isinstance(got, TraceError):
            assert "line" in str(got), number
        else:
            assert type(got) is type(want), (number, got, want)
            if not isinstance(want, Exception):
                same_values(got, want, number)


def same_values(got, want, number):
    if isinstance(want, tuple):
        for a, b in zip(got, want, strict=True):
            same_values(a, b, number)
    elif isinstance(want, ge.Tensor):
        assert (got.dtype, got.shape) == (want.dtype, want.shape), number
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-6, err_msg=str(number))
    else:
        assert repr(got) == repr(want), number


def test_numbers_that_do_not_fit_have_eager_errors(backend):
    add, power = ge.jit(lambda x, k: x + k), ge.jit(lambda x, k: x**k)
    x, y = ge.ones(2, dtype=ge.int8), ge.full((2,), 3, dtype=ge.int64)
    assert add(x, 1).tolist() == [2, 2]
    assert power(y, 2).tolist() == [9, 9]
    for _ in range(2):
        with pytest.raises(DTypeError, match="add: Python integer 300 out of range for int8"):
            add(x, 300)
        with pytest.raises(DTypeError, match="pow: int64 to the power -1"):
            power(y, -1)
    assert add(x, 3).tolist() == [4, 4]
    assert add.cache_info().currsize == 1


def test_a_number_that_does_not_fit_changes_nothing(backend):
    total, count = ge.ones(2), ge.ones(2, dtype=ge.int8)

    @ge.jit
    def step(k):
        total.add_(1.0)
        count.add_(k)

    step(1)
    with pytest.raises(DTypeError, match="300 out of range for int8"):
        step(300)
    assert (total.tolist(), count.tolist()) == ([2.0, 2.0], [2, 2])


# -- options of optimizers ----------------------------------------------------------------------------------------

OPTIMIZERS = {
    "sgd": lambda w: optim.SGD(w, lr=0.1),
    "momentum": lambda w: optim.SGD(w, lr=0.1, momentum=0.9),
    "adam": lambda w: optim.Adam(w, lr=0.1),
    "adamw": lambda w: optim.AdamW(w, lr=0.1),
    "rmsprop": lambda w: optim.RMSprop(w, lr=0.1),
}


class World:
    """A weight, its optimizer, and a step that uses both."""

    def __init__(self, make=OPTIMIZERS["sgd"], prepare=None):
        self.weight = ge.tensor([1.0, 2.0, 3.0], requires_grad=True)
        self.optimizer = make([self.weight])
        optimizer, weight = self.optimizer, self.weight

        def step(x, *numbers):
            if prepare is not None:
                prepare(optimizer, *numbers)
            loss = (x * weight * weight).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        self.step = step

    def options(self):
        return [{k: v for k, v in group.items() if k != "params"} for group in self.optimizer.param_groups]


def set_rate(optimizer, rate):
    for group in optimizer.param_groups:
        group["lr"] = rate


def hold(make, prepare, calls, between=None, misses=1):
    """A jitted step does to weights and options what the step does."""
    eager, jitted = World(make, prepare), World(make, prepare)
    step = ge.jit(jitted.step)
    for call in calls:
        for world, run in ((eager, eager.step), (jitted, step)):
            run(ge.tensor([0.5, 1.0, 1.5]), *call)
            if between is not None:
                between(world)
        np.testing.assert_allclose(jitted.weight.tolist(), eager.weight.tolist(), rtol=1e-6)
        assert jitted.options() == eager.options()
        assert [type(v) for v in jitted.options()[0].values()] == [type(v) for v in eager.options()[0].values()]
    assert step.cache_info().misses == misses


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_rate_may_be_an_argument(backend, name):
    hold(OPTIMIZERS[name], set_rate, [(0.1,), (0.2,), (0.05,), (0.05,)])


def test_an_int_may_be_a_rate(backend):
    hold(OPTIMIZERS["sgd"], set_rate, [(1,), (0,), (2,)])


def test_other_options_may_be_arguments(backend):
    def prepare(optimizer, momentum, decay):
        optimizer.param_groups[0]["momentum"], optimizer.param_groups[0]["weight_decay"] = momentum, decay

    hold(OPTIMIZERS["momentum"], prepare, [(0.9, 0.1), (0.5, 0.2), (0.8, 0.01)])

    def betas(optimizer, one, two):
        optimizer.param_groups[0]["betas"] = (one, two)

    hold(OPTIMIZERS["adam"], betas, [(0.9, 0.99), (0.8, 0.9), (0.5, 0.999)])


def test_an_option_may_be_computed_from_arguments(backend):
    hold(OPTIMIZERS["sgd"], lambda o, rate, t: set_rate(o, rate * 0.5**t / 2 + 0.01), [(0.1, 0), (0.2, 1), (0.3, 2)])


def test_an_option_may_go_on_from_what_it_was(backend):
    def halve(optimizer):
        optimizer.param_groups[0]["lr"] *= 0.5

    def grow(optimizer, factor):
        rate = optimizer.param_groups[0]["lr"]
        optimizer.param_groups[0]["lr"] = rate * factor
        rate *= 100.0

    hold(OPTIMIZERS["adam"], halve, [()] * 4)
    hold(OPTIMIZERS["adam"], grow, [(2.0,), (0.5,), (1.5,)])
    hold(OPTIMIZERS["adam"], halve, [()] * 3, between=lambda world: set_rate(world.optimizer, 0.3))


def test_an_option_may_be_a_constant_of_the_step(backend):
    hold(OPTIMIZERS["sgd"], lambda o: set_rate(o, 0.01), [()] * 3, between=lambda world: set_rate(world.optimizer, 0.3))


def test_a_static_rate_is_that_of_the_call(backend):
    world = World(prepare=lambda optimizer, rate: set_rate(optimizer, rate))
    step = ge.jit(lambda x, rate: world.step(x, rate), static_argnames=("rate",))
    for rate in (0.1, 0.2, 0.1):
        step(ge.ones(3), rate)
        assert world.options()[0]["lr"] == rate


def test_a_schedule_goes_on_from_the_rate_of_an_argument(backend):
    def run(jitted):
        world = World(prepare=set_rate)
        schedule = optim.lr_scheduler.ExponentialLR(world.optimizer, 0.5)

        def step(x, rate):
            loss = world.step(x, rate)
            schedule.step()
            return loss

        step = ge.jit(step) if jitted else step
        found = []
        for rate in (0.1, 0.4, 0.2):
            step(ge.ones(3), rate)
            found.append((world.weight.tolist(), world.options(), schedule.get_last_lr()))
        return found

    for got, want in zip(run(True), run(False), strict=True):
        np.testing.assert_allclose(got[0], want[0], rtol=1e-6)
        assert got[1:] == want[1:]


def test_a_rate_goes_through_over(backend):
    def run(jitted):
        world = World(prepare=lambda optimizer: None)

        def step(x, *, rate):
            set_rate(world.optimizer, rate)
            return world.step(x)

        compiled = ge.jit(step)
        data = ge.tensor(np.linspace(0.1, 0.9, 36, dtype=np.float32).reshape(12, 3))
        for rate in (0.1, 0.05):
            if jitted:
                compiled.over(data, batch_size=2, rate=rate)
            else:
                for i in range(0, 12, 2):
                    step(data[i : i + 2], rate=rate)
        return world.weight.tolist(), world.options()

    got, want = run(True), run(False)
    np.testing.assert_allclose(got[0], want[0], rtol=1e-5)
    assert got[1] == want[1]


def test_a_penalty_that_comes_and_goes_makes_two_programs(backend):
    world, twin = World(), World()
    step = ge.jit(world.step)
    for decay in (0.1, 0.0, 0.2, 0.0, 0.3):
        for one, run in ((world, step), (twin, twin.step)):
            one.optimizer.param_groups[0]["weight_decay"] = decay
            run(ge.ones(3))
    np.testing.assert_allclose(world.weight.tolist(), twin.weight.tolist(), rtol=1e-6)
    assert len(next(iter(step.programs.values()))) == 2


def test_what_the_step_computes_is_no_option(backend):
    world = World(prepare=lambda optimizer, rate: None)

    @ge.jit
    def step(x):
        set_rate(world.optimizer, x.mean())
        return world.step(x, 0.1)

    with pytest.raises(TraceError, match="the option 'lr' of SGD is set to a Tensor's value") as caught:
        step(ge.ones(3))
    assert "of test_jit_numbers.py" in str(caught.value)
    assert world.options() == World().options()
    world.step(ge.ones(3), 0.1)


def test_after_an_error_the_options_are_as_before(backend):
    world = World(prepare=set_rate)

    @ge.jit
    def step(x, rate):
        loss = world.step(x, rate)
        return loss if loss > 0 else x

    with pytest.raises(TraceError, match="as a bool"):
        step(ge.ones(3), 0.7)
    assert world.options() == World().options()
    world.step(ge.ones(3), 0.1)


class Averaging(optim.Optimizer):
    """An optimizer of a user's, which makes its state when it first steps."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if "mean" not in state:
                    state["mean"] = ge.zeros_like(p.detach())
                with ge.no_grad():
                    state["mean"].mul_(0.5).add_(p.grad)
                    p.sub_(group["lr"] * state["mean"])


def test_an_optimizer_of_ones_own_is_not_left_with_what_has_no_value(backend):
    world = World(Averaging)
    with pytest.raises(TraceError, match=r"has a value only inside\. Make it before the first compiled step"):
        ge.jit(world.step)(ge.ones(3))
    assert not world.optimizer.state.get(world.weight)
    hold(first_step_by_hand, set_rate, [(0.1,), (0.2,), (0.3,)])
    hold(first_step_by_hand, None, [()] * 3, between=None)


def first_step_by_hand(params):
    optimizer = Averaging(params)
    optimizer.state[params[0]]["mean"] = ge.zeros_like(params[0].detach())
    return optimizer


def test_an_optimizer_of_ones_own_has_the_rate_of_its_call(backend):
    def halve(world):
        world.optimizer.param_groups[0]["lr"] /= 2

    hold(first_step_by_hand, None, [()] * 3, between=halve, misses=3)


# -- what stays in a user's objects -------------------------------------------------------------------------------


@dataclasses.dataclass
class Report:
    loss: object


class Slotted:
    __slots__ = ("rate",)


def test_nothing_traced_stays_in_objects(backend):
    plain, slotted, losses, known, queue, many = types.SimpleNamespace(rate=1.0), Slotted(), [1], {}, deque([2]), set()
    ordered, long = OrderedDict(a=1.0, b=2.0), list(range(2000))
    schedule = optim.lr_scheduler.StepLR(World().optimizer, 1)
    rate_outside = 0.5

    @ge.jit
    def step(x, rate):
        nonlocal rate_outside
        plain.rate, plain.new, slotted.rate = rate, {"a": [rate]}, rate
        losses.append(Report(x * rate))
        known["loss"], ordered["a"] = (rate,), rate
        queue.appendleft(rate)
        many.add(rate)
        long.append(rate)
        schedule.gamma = rate
        rate_outside = rate
        return x * rate

    with pytest.raises(TraceError):
        step(ge.ones(3), 0.7)
    assert (vars(plain), losses, known, list(queue), many) == ({"rate": 1.0}, [1], {}, [2], set())
    assert (list(ordered.items()), len(long)) == ([("a", 1.0), ("b", 2.0)], 2000)
    assert (schedule.gamma, rate_outside) == (0.1, 0.5)
    assert not hasattr(slotted, "rate")


def test_what_has_a_value_stays_after_an_error(backend):
    counts = {"calls": 0}

    @ge.jit
    def step(x):
        counts["calls"] += 1
        return float(x.sum())

    with pytest.raises(TraceError, match="by float"):
        step(ge.ones(3))
    assert counts == {"calls": 1}


def test_a_schedule_cannot_be_moved_by_what_has_no_value(backend):
    world = World()
    plateau = optim.lr_scheduler.ReduceLROnPlateau(world.optimizer)
    world.step(ge.ones(3))
    before = world.options()

    @ge.jit
    def watch(x):
        plateau.step(x.sum())
        return x

    where = r"a value is used .* of test_jit_numbers.py:\n    plateau.step"
    with pytest.raises(TraceError, match=where if backend != "cupy" else "a value is used"):  # emulated arrays ask
        watch(ge.ones(2))
    assert world.options() == before


def test_a_schedule_may_be_moved_by_an_argument(backend):
    rates = []
    for make in (lambda f: f, ge.jit):
        world = World()
        schedule = optim.lr_scheduler.StepLR(world.optimizer, 1)
        world.step(ge.ones(3))
        jump = make(schedule.step)
        for epoch in (3, 1, 2):
            jump(epoch)
            rates.append(world.options()[0]["lr"])
    assert rates[:3] == rates[3:]


def test_a_sum_outside_the_step_is_in_no_graph(backend):
    total, weight = ge.zeros(()), ge.tensor([1.0, 2.0], requires_grad=True)

    @ge.jit
    def step(x, fails):
        nonlocal total
        total += (x * weight).sum()
        return float(total) if fails else x

    with pytest.raises(TraceError, match="by float"):
        step(ge.ones(2), True)
    assert (total.item(), total.requires_grad) == (0.0, False)
    for _ in range(2):
        step(ge.ones(2), False)
    assert (total.item(), total.requires_grad, step.cache_info().misses) == (6.0, False, 1)
