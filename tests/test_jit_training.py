"""Training steps jitted: parameters, gradients, state and draws are those of the eager run, step by step."""

import collections
import dataclasses
import threading
from typing import Any

import numpy as np
import pytest

import gradengine as ge
from gradengine import nn, optim
from gradengine.errors import IndexRangeError
from gradengine.nn import functional as F
from gradengine.ops.random import default_generator

STEPS = 20
TOLERANCE = 1e-10  # of float64 after some steps, relative to the largest element

OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", dict(lr=0.1)),
    ("SGD", dict(lr=0.1, weight_decay=0.2, maximize=True)),
    ("SGD", dict(lr=0.1, momentum=0.9)),
    ("SGD", dict(lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.1)),
    ("SGD", dict(lr=0.1, momentum=0.9, nesterov=True)),
    ("Adam", dict(lr=0.01)),
    ("Adam", dict(lr=0.01, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1, amsgrad=True)),
    ("AdamW", dict(lr=0.01, weight_decay=0.3)),
    ("AdamW", dict(lr=0.01, amsgrad=True, maximize=True)),
    ("RMSprop", dict(lr=0.01)),
    ("RMSprop", dict(lr=0.01, momentum=0.9, centered=True, weight_decay=0.1)),
    ("Adagrad", dict(lr=0.1, lr_decay=0.2, initial_accumulator_value=0.5)),
    ("Adadelta", dict(lr=0.5, rho=0.7)),
]


class World:
    """What a step works on: `step` is the function, the rest is looked at when it has run."""

    def __init__(self, step, model=None, optimizer=None, owners=()):
        self.step, self.model, self.optimizer = step, model, optimizer
        self.owners = [*owners, *(model.parameters() if model else ()), *(model.buffers() if model else ())]

    def state(self):
        """Everything that a step may have changed."""
        found = {}
        for i, t in enumerate(self.owners):
            found[f"value {i}"] = t
            found[f"grad {i}"] = t.grad
        if self.optimizer is not None:
            for i, held in enumerate(self.optimizer.state.values()):
                found |= {f"{key} {i}": value for key, value in held.items()}
            found["rates"] = [group["lr"] for group in self.optimizer.param_groups]
        return found


def assert_same(got, want, tolerance=TOLERANCE, where=""):
    """Results, or states, are equal: of the same structure, types, shapes and dtypes, and close in value."""
    assert type(got) is type(want), where
    if isinstance(want, ge.Tensor):
        assert (got.shape, got.dtype, got.requires_grad) == (want.shape, want.dtype, want.requires_grad), where
        got, want = got.detach().numpy(), want.detach().numpy()
        scale = max(1e-300, float(np.abs(want[np.isfinite(want)]).max(initial=0.0))) if want.dtype.kind == "f" else 1.0
        np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * scale, err_msg=where)
    elif isinstance(want, dict):
        assert list(got) == list(want), where
        for key in want:
            assert_same(got[key], want[key], tolerance, f"{where} {key}")
    elif isinstance(want, (list, tuple)):
        assert len(got) == len(want), where
        for i, (a, b) in enumerate(zip(got, want, strict=True)):
            assert_same(a, b, tolerance, f"{where}[{i}]")
    else:
        assert got == want, where


def without_graph(result):
    """A result as a jitted step gives it: values alone, for its graph ends with the step."""
    if isinstance(result, ge.Tensor):
        return result.detach()
    return type(result)(map(without_graph, result)) if isinstance(result, (tuple, list)) else result


def compare(build, batch, steps=STEPS, misses=1, tolerance=TOLERANCE, between=None):
    """Run an eager world and a jitted one side by side; after each step everything is the same in both.

    `build()` makes a world, `batch(rng, i)` the arguments of step i, and `between(world, i)` may do something after it.
    """
    ge.manual_seed(1)
    eager = build()
    ge.manual_seed(1)
    jitted = build()
    step = ge.jit(jitted.step)
    offset = default_generator.offset
    for i in range(steps):
        ends = []
        for world, function in ((eager, eager.step), (jitted, step)):
            default_generator.offset = offset
            result = function(*batch(np.random.default_rng(i), i))
            if between is not None:
                between(world, i)
            ends.append((result, world.state(), default_generator.offset))
        (want, want_state, offset), (got, got_state, got_offset) = ends
        assert_same(got, without_graph(want), tolerance, f"step {i}: the result")
        assert_same(got_state, want_state, tolerance, f"step {i}:")
        assert got_offset == offset
    assert step.cache_info().misses == misses
    return step


def tensor(a):
    return ge.tensor(np.asarray(a, np.float64))


def regression(rng, i=0, rows=8):
    return tensor(rng.normal(size=(rows, 5))), tensor(rng.normal(size=(rows, 3)))


def classification(rng, i=0, rows=8, classes=4):
    return tensor(rng.normal(size=(rows, 5))), ge.tensor(rng.integers(0, classes, rows))


def network(out=3):
    return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, out)).double()


def trained(model, make_optimizer, loss_of):
    """The world of the usual loop."""
    optimizer = make_optimizer(model.parameters())

    def step(*arguments):
        loss = loss_of(model, *arguments)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return World(step, model, optimizer)


def squared_error(model, x, y):
    return F.mse_loss(model(x), y)


def sgd(parameters):
    return optim.SGD(parameters, lr=0.1)


def momentum(parameters):
    return optim.SGD(parameters, lr=0.05, momentum=0.9)


# -- optimizers and schedules -------------------------------------------------------------------------------------


@pytest.mark.grid("first")
@pytest.mark.parametrize(("name", "options"), OPTIMIZERS, ids=[f"{name}-{list(o)[1:]}" for name, o in OPTIMIZERS])
def test_optimizers(name, options, backend):
    make = lambda parameters: getattr(optim, name)(parameters, **options)
    compare(lambda: trained(network(), make, squared_error), regression)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_training_in_each_precision(dtype, backend):
    def build():
        model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3)).to(dtype)
        return trained(model, momentum, squared_error)

    batch = lambda rng, i: [t.to(dtype) for t in regression(rng)]
    compare(build, batch, tolerance=1e-5 if dtype is np.float32 else TOLERANCE)


def test_parameter_groups(backend):
    def build():
        model = network()
        groups = [{"params": model[0].parameters(), "lr": 0.02}, {"params": model[2].parameters(), "weight_decay": 0.5}]
        return trained(model, lambda _: optim.Adam(groups, lr=0.1), squared_error)

    compare(build, regression)


GROUPED = {
    name: [dict(options), {"lr": options["lr"] / 2, "weight_decay": 0.1}, {}]
    for name, options in {
        "SGD": dict(lr=0.1, momentum=0.5, dampening=0.5),
        "Adam": dict(lr=0.1, amsgrad=True),
        "AdamW": dict(lr=0.1),
        "RMSprop": dict(lr=0.1, momentum=0.5, centered=True),
        "Adagrad": dict(lr=0.1, lr_decay=0.3),
        "Adadelta": dict(lr=0.5),
    }.items()
}


@pytest.mark.grid("first", 0, 2)
@pytest.mark.parametrize("name", GROUPED)
def test_groups_whose_parameters_begin_at_different_steps(name, backend):
    """Several groups with options of their own; the second layer gets its first gradient in the third step."""
    first, second, third = GROUPED[name]

    def build():
        layers = [nn.Linear(5, 5).double() for _ in range(3)]
        groups = [{"params": m.parameters(), **o} for m, o in zip(layers, (first, second, third), strict=True)]
        optimizer = getattr(optim, name)(groups, **{**first, "lr": 0.03})

        def step(x, late):
            y = layers[2](layers[0](x))
            loss = ((layers[1](y) if late else y) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        return World(step, nn.ModuleList(layers), optimizer)

    batch = lambda rng, i: (regression(rng)[0], i in (2, 3, 6))
    compare(build, batch, steps=8, misses=2)


SCHEDULES = {
    "step": lambda o: optim.lr_scheduler.StepLR(o, step_size=3, gamma=0.5),
    "cosine": lambda o: optim.lr_scheduler.CosineAnnealingLR(o, T_max=10),
    "one cycle": lambda o: optim.lr_scheduler.OneCycleLR(o, max_lr=0.3, total_steps=STEPS + 2),
    "exponential": lambda o: optim.lr_scheduler.ExponentialLR(o, gamma=0.9),
    "lambda": lambda o: optim.lr_scheduler.LambdaLR(o, lambda epoch: 1 / (1 + epoch)),
    "sequential": lambda o: optim.lr_scheduler.SequentialLR(
        o, [optim.lr_scheduler.LinearLR(o, total_iters=4), optim.lr_scheduler.ExponentialLR(o, gamma=0.9)], [4]
    ),
}


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name, inside, backend):
    """The rate changes at each step, and nothing is compiled anew."""

    def build():
        world = trained(network(), momentum, squared_error)
        world.schedule, update = SCHEDULES[name](world.optimizer), world.step

        def step(*arguments):
            loss = update(*arguments)
            world.schedule.step()
            return loss

        if inside:
            world.step = step
        return world

    compare(build, regression, between=None if inside else lambda world, i: world.schedule.step())


def test_a_thousand_rates_make_one_program(backend):
    world = trained(network(), sgd, squared_error)
    step = ge.jit(world.step)
    arguments = regression(np.random.default_rng(0))
    for i in range(1000):
        world.optimizer.param_groups[0]["lr"] = 0.1 / (1 + i)
        step(*arguments)
    assert step.cache_info().misses == 1


# -- layers and losses --------------------------------------------------------------------------------------------


def test_dropout_draws_the_same_numbers(backend):
    def build():
        model = nn.Sequential(nn.Linear(5, 40), nn.Dropout(0.5), nn.ReLU(), nn.Linear(40, 3)).double()
        return trained(model, sgd, squared_error)

    compare(build, regression)


def test_generators_inside_are_as_new_at_each_call(backend):

    def build():
        own = ge.Generator(3)

        def step():
            generator = ge.Generator(7)
            first = ge.rand(3, generator=generator)
            ge.manual_seed(11)
            copied = own.clone()
            drawn = ge.rand(9, generator=own)
            own.offset = 5
            return first, ge.rand(3, generator=generator), ge.rand(4), ge.randn(2, generator=copied), drawn

        return World(step)

    compare(build, lambda rng, i: (), steps=4)


def test_generator_without_a_seed_is_another_at_each_call(backend):
    step = ge.jit(lambda: ge.rand(8, generator=ge.Generator()))
    assert step().tolist() != step().tolist()


def test_layer_norm_and_embedding(backend):
    def build():
        model = nn.ModuleDict({"embed": nn.Embedding(7, 6), "norm": nn.LayerNorm(6), "out": nn.Linear(6, 4)}).double()

        def loss_of(model, tokens, labels):
            hidden = F.gelu(model["norm"](model["embed"](tokens)))
            return F.cross_entropy(model["out"](hidden).reshape(-1, 4), labels.reshape(-1))

        return trained(model, lambda p: optim.AdamW(p, lr=0.01), loss_of)

    batch = lambda rng, i: (ge.tensor(rng.integers(0, 7, (3, 5))), ge.tensor(rng.integers(0, 4, (3, 5))))
    compare(build, batch)


class Attention(nn.Module):
    """Two heads, a causal mask, a residual connection."""

    def __init__(self, width=8, heads=2):
        super().__init__()
        self.heads = heads
        self.project, self.out, self.norm = nn.Linear(width, 3 * width), nn.Linear(width, width), nn.LayerNorm(width)
        self.register_buffer("mask", ge.tensor(np.triu(np.full((6, 6), -np.inf), 1)))

    def forward(self, x):
        n, t, c = x.shape
        parts = self.project(self.norm(x)).reshape(n, t, 3, self.heads, c // self.heads).permute_dims((2, 0, 3, 1, 4))
        q, k, v = parts[0], parts[1], parts[2]
        weights = F.softmax(q @ k.mT / (c // self.heads) ** 0.5 + self.mask, axis=-1)
        return x + self.out((weights @ v).permute_dims((0, 2, 1, 3)).reshape(n, t, c))


def test_attention(backend):
    build = lambda: trained(
        Attention().double(), lambda p: optim.Adam(p, lr=0.01), lambda model, x: (model(x) ** 2).mean()
    )
    compare(build, lambda rng, i: (tensor(rng.normal(size=(2, 6, 8))),), steps=8)


LOSSES = {
    "mse": lambda model, x, t: F.mse_loss(model(x), F.one_hot(t, 4).double()),
    "huber": lambda model, x, t: F.huber_loss(model(x), F.one_hot(t, 4).double(), delta=0.3),
    "binary": lambda model, x, t: F.binary_cross_entropy(ge.sigmoid(model(x)), F.one_hot(t, 4).double()),
    "binary with logits": lambda model, x, t: F.binary_cross_entropy_with_logits(
        model(x), F.one_hot(t, 4).double(), pos_weight=tensor([1.0, 2.0, 3.0, 4.0])
    ),
    "nll": lambda model, x, t: F.nll_loss(F.log_softmax(model(x), axis=-1), t),
    "cross entropy": lambda model, x, t: F.cross_entropy(model(x), t),
    "cross entropy, sum": lambda model, x, t: F.cross_entropy(model(x), t, reduction="sum") / 8,
    "cross entropy, ignore_index": lambda model, x, t: F.cross_entropy(model(x), t, ignore_index=2),
    "cross entropy, label_smoothing": lambda model, x, t: F.cross_entropy(model(x), t, label_smoothing=0.1),
    "cross entropy, weight": lambda model, x, t: F.cross_entropy(model(x), t, tensor([1.0, 2.0, 0.5, 1.0])),
    "cross entropy, int32": lambda model, x, t: F.cross_entropy(model(x), t.to(np.int32)),
}


@pytest.mark.grid("first", 0, 2)
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, backend):
    compare(lambda: trained(network(4), sgd, LOSSES[name]), classification, steps=5)


@pytest.mark.parametrize("rows", [1, 300, 700])
def test_classifiers_of_many_rows(rows, backend):
    """Several tiles, and several threads."""
    build = lambda: trained(
        nn.Sequential(nn.Linear(5, 64), nn.ReLU(), nn.Linear(64, 4)).double(), momentum, LOSSES["cross entropy"]
    )
    compare(build, lambda rng, i: classification(rng, rows=rows), steps=4)


# -- gradients ----------------------------------------------------------------------------------------------------


def test_clipping(backend):
    def build():
        model = network()
        optimizer = sgd(model.parameters())

        def step(x, y):
            loss = squared_error(model, x, y) * 100
            optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            return loss, norm

        return World(step, model, optimizer)

    compare(build, regression)


def test_gradients_accumulate_over_calls(backend):
    """A program for a first call, with no gradient there, and one for the later calls."""

    def build():
        model = network()

        def step(x, y):
            loss = squared_error(model, x, y)
            loss.backward()
            return loss

        return World(step, model)

    def forget(world, i):
        if i % 4 == 3:
            world.model.zero_grad()

    compare(build, regression, steps=9, misses=2, between=forget)


@pytest.mark.parametrize("set_to_none", [True, False])
@pytest.mark.parametrize("when", ["before", "after"])
def test_zero_grad(when, set_to_none, backend):
    def build():
        model = network()
        optimizer = momentum(model.parameters())

        def step(x, y):
            if when == "before":
                optimizer.zero_grad(set_to_none)
            loss = squared_error(model, x, y)
            loss.backward()
            optimizer.step()
            if when == "after":
                optimizer.zero_grad(set_to_none)
            return loss

        return World(step, model, optimizer)

    # With zeros, the second call finds gradients where the first one found none.
    compare(build, regression, steps=6, misses=1 if set_to_none else 2)


def test_a_gradient_that_the_caller_keeps_stays_as_it_is(backend):
    model = network()
    step = ge.jit(trained(model, sgd, squared_error).step)
    kept = []
    for i in range(5):
        step(*regression(np.random.default_rng(i)))
        grad = model[0].weight.grad
        kept.append((grad, grad.numpy().copy(), grad.numpy()))
    for grad, before, view in kept:
        np.testing.assert_array_equal(grad.numpy(), before)
        np.testing.assert_array_equal(view, before)


def test_frozen_parameters_and_shared_ones(backend):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.hidden, self.out = nn.Embedding(7, 6), nn.Linear(6, 6), nn.Linear(6, 7, bias=False)
            self.out.weight = self.embed.weight

        def forward(self, tokens):
            return self.out(ge.tanh(self.hidden(self.embed(tokens))))

    def build():
        model = Tied().double()
        model.hidden.bias.requires_grad_(False)
        parameters = [p for p in model.parameters() if p.requires_grad]
        return trained(model, lambda _: momentum(parameters), lambda m, x, t: F.cross_entropy(m(x), t))

    batch = lambda rng, i: (ge.tensor(rng.integers(0, 7, 9)), ge.tensor(rng.integers(0, 7, 9)))
    compare(build, batch, steps=6)


def test_gradients_of_gradients_in_a_step(backend):
    """A gradient penalty."""

    def build():
        model = network(1)

        def loss_of(model, x, _):
            (slope,) = ge.grad(model(x).sum(), x, create_graph=True)
            return ((ge.sqrt((slope * slope).sum(1) + 1e-12) - 1) ** 2).mean()

        return trained(model, sgd, loss_of)

    batch = lambda rng, i: (regression(rng)[0].requires_grad_(), 0.0)
    compare(build, batch, steps=5)


# -- state --------------------------------------------------------------------------------------------------------


def test_running_buffers(backend):
    class Counted(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(ge.ones(5))
            self.register_buffer("mean", ge.zeros(5))
            self.register_buffer("count", ge.tensor(0))

        def forward(self, x):
            if self.training:
                with ge.no_grad():
                    self.mean.copy_(0.9 * self.mean + 0.1 * x.mean(0))
                    self.count += 1
            return (x - self.mean) * self.scale

    build = lambda: trained(Counted().double(), sgd, lambda model, x, y: (model(x) ** 2).mean())
    compare(build, regression, steps=6)


def test_train_and_eval_are_programs_of_their_own(backend):
    def build():
        model = nn.Sequential(nn.Linear(5, 6), nn.Dropout(0.5), nn.Linear(6, 3)).double()
        return World(lambda x, y: squared_error(model, x, y), model)

    def switch(world, i):
        world.model.train(i % 3 == 0)

    compare(build, regression, steps=12, misses=2, between=switch)


def test_parameters_that_are_given_other_data(backend):
    def replace(world, i):
        if i % 2:
            world.model[0].weight.data = ge.tensor(np.random.default_rng(i).normal(size=(6, 5)))
        if i == 4:
            world.model.load_state_dict({k: v * 0.5 for k, v in world.model.state_dict().items()})

    compare(lambda: trained(network(), momentum, squared_error), regression, steps=8, between=replace)


def test_requires_grad_switched_between_calls(backend):
    def build():
        model = network()

        def step(x, y):
            model.zero_grad()
            loss = squared_error(model, x, y)
            loss.backward()
            return loss

        return World(step, model)

    def switch(world, i):
        world.model[0].weight.requires_grad_(i % 2 == 0)

    compare(build, regression, steps=8, misses=2, between=switch)


def test_batches_of_two_sizes(backend):
    compare(
        lambda: trained(network(), momentum, squared_error),
        lambda rng, i: regression(rng, rows=8 if i % 3 else 4),
        steps=8,
        misses=2,
    )


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_what_shares_elements_follows_a_compiled_step(name, backend):
    """A compiled step writes over parameters and slots: views of them follow, arrays and graphs stay as they were."""
    model = network()
    options = {"momentum": 0.9} if name == "SGD" else {}
    optimizer = getattr(optim, name)(model.parameters(), lr=0.1, **options)

    def update(x, y):
        optimizer.zero_grad()
        loss = squared_error(model, x, y)
        loss.backward()
        optimizer.step()
        return loss

    step = ge.jit(update)
    batch = regression(np.random.default_rng(0))
    for _ in range(3):
        step(*batch)
    taken = {}
    for i, p in enumerate(model.parameters()):
        taken |= {f"detached {i}": p.detach(), f"numpy {i}": p.detach().numpy(), f"data {i}": p.data}
        taken |= {f"view {i}": p.detach().reshape(-1), f"grad {i}": p.grad}
    taken |= {f"model {k}": v for k, v in model.state_dict().items()}
    taken |= {
        f"{k} {number}": v
        for number, held in optimizer.state_dict()["state"].items()
        for k, v in held.items()
        if isinstance(v, ge.Tensor)
    }
    square = (model[0].weight ** 2).sum()  # which has saved the weight
    slope = 2 * model[0].weight.detach().numpy().copy()
    before = {key: np.array(value.numpy() if isinstance(value, ge.Tensor) else value) for key, value in taken.items()}
    for i in range(4):
        step(*regression(np.random.default_rng(i)))
    for key, value in taken.items():
        if key.startswith(("numpy", "grad")):
            np.testing.assert_array_equal(value, before[key], err_msg=key)
    for i, p in enumerate(model.parameters()):
        for key in (f"detached {i}", f"data {i}"):
            np.testing.assert_array_equal(taken[key], p.detach(), err_msg=key)
        np.testing.assert_array_equal(taken[f"view {i}"], p.detach().reshape(-1))
    for k, v in [*model.state_dict().items()]:
        np.testing.assert_array_equal(taken[f"model {k}"], v, err_msg=k)
    for number, held in optimizer.state_dict()["state"].items():
        for k, v in held.items():
            if isinstance(v, ge.Tensor):
                np.testing.assert_array_equal(taken[f"{k} {number}"], v, err_msg=k)
    (found,) = ge.grad(square, model[0].weight)
    np.testing.assert_allclose(found.numpy(), slope)


# -- arguments and results ----------------------------------------------------------------------------------------

Pair = collections.namedtuple("Pair", "first second")


@dataclasses.dataclass
class Batch:
    x: Any
    y: Any
    note: str = "a"


def test_nested_arguments_and_results(backend):
    model = network()

    def step(batch, pair, *rest, scale, table):
        loss = squared_error(model, batch.x, batch.y) * scale + pair.first.sum() * pair.second
        named = {"loss": loss, "nothing": None, "parts": (pair, [table["a"] * 2, *rest], batch.note)}
        return named, model[0].weight, 3, Batch(loss, None, "b")

    def batch(rng, i):
        x, y = regression(rng)
        return Batch(x, y), Pair(tensor(rng.normal(size=3)), i * 0.5), tensor(rng.normal(size=(2, 1)))

    jitted = ge.jit(step)
    for i in range(3):
        rng = np.random.default_rng(i)
        arguments, options = batch(rng, i), {"scale": 0.5 * i, "table": {"a": tensor(rng.normal(size=2)), "b": ()}}
        want, got = step(*arguments, **options), jitted(*arguments, **options)
        assert type(got[0]["parts"][0]) is Pair
        assert got[1] is model[0].weight
        got_batch, want_batch = got[3], want[3]
        assert_same(vars(got_batch), {**vars(want_batch), "x": want_batch.x.detach()})
        assert_same(got[2], 3)
        # A result is a value: its graph ends with the step.
        assert_same(got[0]["loss"], want[0]["loss"].detach())
        assert got[0]["nothing"] is None
        assert_same(got[0]["parts"][1], [t.detach() for t in want[0]["parts"][1]])
        assert got[0]["parts"][2] == "a"
        assert_same(got[0]["parts"][0].first, want[0]["parts"][0].first)
        assert float(got[0]["parts"][0].second) == want[0]["parts"][0].second
    assert jitted.cache_info().misses == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_numbers_as_arguments(dtype, backend, rng):
    """A number stays weak, as in an eager run: it takes the array's dtype. Its value may change, its type may not."""
    x = ge.tensor((rng.normal(size=4) * 3).astype(dtype))
    function = lambda x, number: (x * number + 1, number - x, x > number, ge.maximum(x, number), x * (number * 2 + 1))
    step = ge.jit(function)
    for number in (1.5, -2.0, 0.0, 1e-3):
        assert_same(step(x, number), function(x, number), 1e-6)
    assert step.cache_info().misses == 1
    for number in (2, -3, 0):
        assert_same(step(x, number), function(x, number), 1e-6)
    assert step.cache_info().misses == 2
    assert_same(step(x, True), function(x, True), 1e-6)
    assert step.cache_info().misses == 3


def test_static_argnames(backend):
    @ge.jit(static_argnames=("power", "names"))
    def step(x, power, names=("a",)):
        return x**power if "a" in names else x

    x = tensor([1.0, 2.0, 3.0])
    for power in (2, 3, 2, 3):
        assert step(x, power).tolist() == [n**power for n in (1.0, 2.0, 3.0)]
    assert step.cache_info().misses == 2
    assert step(x, power=2, names=("b",)).tolist() == [1.0, 2.0, 3.0]
    assert step.cache_info().misses == 3


def test_modules_and_optimizers_as_arguments(backend):
    def update(model, optimizer, x, y):
        optimizer.zero_grad()
        loss = squared_error(model, x, y)
        loss.backward()
        optimizer.step()
        return loss

    step = ge.jit(update)
    for seed in (1, 2):
        worlds = []
        for function in (update, step):
            ge.manual_seed(seed)
            model = network()
            optimizer = momentum(model.parameters())
            losses = [function(model, optimizer, *regression(np.random.default_rng(i))) for i in range(4)]
            worlds.append(([loss.item() for loss in losses], World(None, model, optimizer).state()))
        np.testing.assert_allclose(worlds[1][0], worlds[0][0], rtol=TOLERANCE)
        assert_same(worlds[1][1], worlds[0][1])
    assert step.cache_info().misses == 2


def test_methods_and_steps_in_steps(backend):
    class Trainer:
        def __init__(self):
            self.model = network()
            self.optimizer = momentum(self.model.parameters())

        @ge.jit
        def loss(self, x, y):
            return squared_error(self.model, x, y)

        @ge.jit
        def step(self, x, y):
            self.optimizer.zero_grad()
            loss = self.loss(x, y)  # a part of this step
            loss.backward()
            self.optimizer.step()
            return loss

        def eagerly(self, x, y):
            self.optimizer.zero_grad()
            loss = squared_error(self.model, x, y)
            loss.backward()
            self.optimizer.step()
            return loss

    ge.manual_seed(0)
    first = Trainer()
    ge.manual_seed(0)
    second = Trainer()
    for i in range(4):
        batch = regression(np.random.default_rng(i))
        want, got = first.eagerly(*batch), first.loss(*batch)
        assert got.requires_grad is False
        assert_same(second.step(*batch), want.detach())
    assert Trainer.step.cache_info().misses == 1
    state = lambda trainer: World(None, trainer.model, trainer.optimizer).state()
    assert_same(state(second), state(first))


# -- ops of a user's own ------------------------------------------------------------------------------------------

bump = ge.elementwise("doc_jit_bump", lambda k, g, y, x: g * y * (-2.0 * x), body=lambda k, x: k.exp(-x * x))


@ge.primitive(lambda k, g, y, x: k.flip(g, axis=0), kernel=lambda x: np.flip(x, 0))
def doc_jit_upside_down(x, /):
    """The rows in reverse order."""


class Cube(ge.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x * x * g


@pytest.mark.parametrize("op", [bump, doc_jit_upside_down, Cube.apply], ids=["elementwise", "primitive", "Function"])
def test_ops_of_a_users_own(op, backend):
    compare(lambda: trained(network(), sgd, lambda model, x, y: (op(model(x)) * y).mean()), regression, steps=4)


def test_mixed_dtypes(backend):
    """A model in float32 whose loss is computed in float64, with masks and whole numbers in between."""

    def build():
        model = nn.Linear(5, 3)

        def loss_of(model, x, y):
            out = model(x.float())
            error = (out.double() - y) ** 2
            count = (out > 0).sum().to(np.float32)
            return (error * (y > 0)).sum() / (1 + count)

        return trained(model, momentum, loss_of)

    compare(build, regression, steps=5, tolerance=1e-5)


# -- when something goes wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_labels_out_of_range_change_nothing(name, backend):
    options = {"momentum": 0.9} if name == "SGD" else {}
    world = trained(network(4), lambda p: getattr(optim, name)(p, lr=0.1, **options), LOSSES["cross entropy"])
    step = ge.jit(world.step)
    x, t = classification(np.random.default_rng(0))
    step(x, t)
    step(x, t)
    before = snapshot(world)
    wrong = t.numpy().copy()
    wrong[3] = 4
    for _ in range(2):
        with pytest.raises(IndexRangeError, match="out of range for 4 classes"):
            step(x, ge.tensor(wrong))
        assert_unchanged(world, before if backend != "cupy" else without_lost(before, world))
    step(x, t)
    assert step.cache_info().misses == 1


def without_lost(before, world):
    """What was there, without the gradients that products on a GPU have written over: they must be gone."""
    lost = [key for key, value in snapshot(world).items() if value is None and before[key] is not None]
    assert all("grad" in key and before[key].ndim == 2 for key in lost)
    return {**before, **dict.fromkeys(lost)}


def test_a_gradient_beside_a_check_is_not_written_over_before_it(backend):
    """One layer: the bias's gradient comes from the same kernel as the check of the labels."""
    layer = nn.Linear(5, 4).double()

    def gradients(x, t):
        layer.zero_grad()
        F.cross_entropy(layer(x), t, reduction="sum").backward()

    step = ge.jit(gradients)
    for i in range(3):
        step(*classification(np.random.default_rng(i)))
    before = [np.array(p.grad.numpy()) for p in layer.parameters()]
    with pytest.raises(IndexRangeError):
        step(classification(np.random.default_rng(9))[0], ge.tensor([0, 1, 9, 0, 0, 0, 0, 0]))
    for p, value in zip(layer.parameters(), before, strict=True):
        if p.grad is not None or backend != "cupy":  # a product on a GPU has written over it, so it is gone
            np.testing.assert_array_equal(p.grad.numpy(), value)


def snapshot(world):
    copy = lambda v: np.array(v.detach().numpy()) if isinstance(v, ge.Tensor) else v
    return {key: copy(value) for key, value in world.state().items()}


def assert_unchanged(world, before):
    now = snapshot(world)
    assert list(now) == list(before)
    for key, value in before.items():
        assert type(now[key]) is type(value), key
        np.testing.assert_array_equal(now[key], value, err_msg=key)


@pytest.mark.parametrize("after", [0, 3])
def test_an_error_while_tracing_changes_nothing(after, backend):
    """Before anything has run, and after some steps: values, gradients, counts, slots, rates and draws."""
    model = nn.Sequential(nn.Linear(5, 6), nn.Dropout(0.5), nn.Linear(6, 3)).double()
    world = trained(model, lambda p: optim.Adam(p, lr=0.01), squared_error)
    schedule = optim.lr_scheduler.StepLR(world.optimizer, 1)
    for i in range(after):
        world.step(*regression(np.random.default_rng(i)))
    before, offset, epoch = snapshot(world), default_generator.offset, schedule.last_epoch

    def broken(x, y):
        world.step(x, y)
        schedule.step()
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ge.jit(broken)(*regression(np.random.default_rng(9)))
    now = snapshot(world)
    if not after:  # slots may be there already, but have not taken a step
        assert not any(key.startswith("step") for key in now)
        now = {key: value for key, value in now.items() if key in before}
    assert list(now) == list(before)
    for key, value in before.items():
        np.testing.assert_array_equal(now[key], value, err_msg=key)
    assert (default_generator.offset, schedule.last_epoch) == (offset, epoch)
    ge.manual_seed(2)
    twin = trained(nn.Sequential(nn.Linear(5, 6), nn.Dropout(0.5), nn.Linear(6, 3)).double(), optim.Adam, squared_error)
    twin.model.load_state_dict(model.state_dict())
    if not after:  # the optimizer goes on as if nothing had happened
        twin.optimizer.param_groups[0]["lr"] = 0.01
        for one in (world, twin):
            ge.manual_seed(3)
            for i in range(3):
                one.step(*regression(np.random.default_rng(i)))
        assert_same(twin.state(), world.state())


# -- programs -----------------------------------------------------------------------------------------------------


def test_the_cache_is_bounded(backend):
    step = ge.jit(lambda x: x * 2.0, maxsize=2)
    for size in (1, 2, 3, 3, 2, 1):
        assert step(ge.ones(size)).tolist() == [2.0] * size
    assert step.cache_info() == (2, 4, 2, 2)
    step.cache_clear()
    assert step.cache_info() == (0, 0, 2, 0)


def test_two_threads_call_one_step(backend):
    """Each call is whole: a sum of whole numbers loses none."""
    total = ge.tensor(np.zeros(300))

    def add(x):
        with ge.no_grad():
            total.add_(x)
        return (x * x).sum()

    step = ge.jit(add)
    failures = []

    def work(number):
        x = ge.tensor(np.full(300, float(number)))
        for _ in range(200):
            found = step(x).item()
            if found != 300.0 * number * number:
                failures.append(found)

    threads = [threading.Thread(target=work, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert total.tolist() == [600.0] * 300
    assert step.cache_info().misses == 1


def test_a_thread_that_traces_leaves_the_others_alone(backend):
    """While one thread traces, arrays of Tensors in another are what they are."""
    shared = nn.Linear(30, 30)
    stop = threading.Event()
    wrong = []

    def trace():
        for size in range(1, 30):
            ge.jit(lambda x: ge.tanh(shared(x)).sum())(ge.ones((size, 30)))
        stop.set()

    def eager():
        want = shared(ge.ones((2, 30))).detach().numpy().copy()
        while not stop.is_set():
            got = shared(ge.ones((2, 30)))
            if not np.array_equal(got.detach().numpy(), want):
                wrong.append(got)

    threads = [threading.Thread(target=trace), threading.Thread(target=eager)]
    ge.set_cpu_backend("numpy")  # compiling thirty kernels would prove no more
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert stop.is_set()
    assert not wrong


@pytest.mark.skipif(ge.backends()["numba"] != "available", reason="Numba is not installed")
def test_the_backend_switched_between_calls():
    build = lambda: trained(network(), momentum, squared_error)

    def switch(world, i):
        ge.set_cpu_backend("numpy" if i % 4 < 2 else "numba")

    ge.set_cpu_backend("numba")
    compare(build, regression, steps=8, misses=2, between=switch)


def test_recording_is_part_of_the_key(backend):
    x = tensor([1.0, 2.0]).requires_grad_()
    step = ge.jit(lambda x: (x * x).requires_grad)
    assert step(x) is True
    with ge.no_grad():
        assert step(x) is False
    assert step(x) is True
    assert step.cache_info().misses == 2


def test_an_index_out_of_range_comes_before_any_update(backend):
    """Where the index is computed first, the update is ready before the index is looked up: it has to wait."""
    weight = ge.tensor([1.0, 2.0, 3.0], requires_grad=True)
    optimizer = ge.optim.Adam([weight], lr=0.1)
    table = ge.asarray(np.arange(6))

    @ge.jit
    def step(x, i):
        y = weight * x
        found = table[ge.argmax(y) + i]
        optimizer.zero_grad()
        y.sum().backward()
        optimizer.step()
        return found

    x = ge.ones(3)
    assert step(x, ge.asarray(np.array(0))).item() == 2
    before = weight.tolist()
    with pytest.raises(IndexRangeError, match="index 11 is out of range"):
        step(x, ge.asarray(np.array(9)))
    assert weight.tolist() == before
    assert step(x, ge.asarray(np.array(1))).item() == 3
    assert weight.tolist() == pytest.approx([0.8, 1.8, 2.8])


def test_labels_of_two_losses_in_two_precisions(backend):
    rows = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    full, half = (ge.tensor(rows.astype(dtype), requires_grad=True) for dtype in (np.float32, np.float16))

    def losses(first, second):
        both = nn.functional.cross_entropy(full, first), nn.functional.cross_entropy(half, second)
        return both[0] + ge.astype(both[1], ge.float32)

    step = ge.jit(losses)
    right, wrong = ge.asarray(np.array([0, 1, 3])), ge.asarray(np.array([0, 4, 3]))
    assert step(right, right).item() == pytest.approx(losses(right, right).item(), rel=1e-3)
    for labels in ((wrong, right), (right, wrong)):
        with pytest.raises(IndexRangeError, match="out of range for 4 classes"):
            step(*labels)
    assert step(right, right).item() == pytest.approx(losses(right, right).item(), rel=1e-3)


def test_steps_of_two_shapes_take_turns(backend):
    """They are two programs, which change the same parameters."""
    weight = ge.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([weight], lr=0.1)
    armed, entered, ended, overtaken = threading.Event(), threading.Event(), threading.Event(), []

    def rate(epoch):
        if armed.is_set():
            armed.clear()
            entered.set()
            overtaken.append(ended.wait(0.3))
        return 1.0

    schedule = optim.lr_scheduler.LambdaLR(optimizer, rate)

    @ge.jit
    def step(x):
        optimizer.zero_grad()
        (x * weight).sum().backward()
        optimizer.step()
        schedule.step()

    def other():
        entered.wait(10)
        step(ge.ones(3))
        ended.set()

    step(ge.ones(2))
    step(ge.ones(3))
    thread = threading.Thread(target=other)
    thread.start()
    armed.set()
    step(ge.ones(2))
    thread.join()
    assert overtaken == [False]
    assert weight.item() == pytest.approx(0.0, abs=1e-6)
