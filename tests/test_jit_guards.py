"""Compiled steps after a change of what they read in Python: the answer is the eager one, never that of before.

A row of CHANGES makes a step and says what is changed behind its back. The step is compiled, the change is made, and
the jitted answer is compared with the eager one; then it is called again, which finds the program.
"""

import argparse
import collections
import contextlib
import dataclasses
import functools
import gc
import sys
import types
import weakref

import numpy as np
import pytest

import gradengine as ge
from gradengine import nn
from gradengine.nn import functional as F

FACTOR = 2.0
TABLE = {"w": 2.0, "inner": {"list": [1.0, 2.0]}}


def helper(x):
    return x * FACTOR + TABLE["inner"]["list"][1]


class Base:
    shared = 1.0

    def offset(self):
        return 1.0


class Config(Base):
    """What a step may read: attributes, a property, class attributes, slots below."""

    def __init__(self):
        self.scale, self.unread, self.items, self.array = 2.0, 0, [1.0, 2.0], np.ones(3, np.float32)
        self.chosen = "mul"

    @property
    def double(self):
        return 2 * self.scale


class Slotted:
    __slots__ = ("__weakref__", "scale")

    def __init__(self):
        self.scale = 2.0


@dataclasses.dataclass
class Settings:
    scale: float = 2.0
    parts: list = dataclasses.field(default_factory=lambda: [1.0])


class Net(nn.Module):
    """A network of a user's own, which reads attributes of every sort."""

    power = 2.0

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.layers = nn.ModuleList([nn.Linear(3, 3), nn.Tanh()])
        self.heads = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)})
        self.names, self.shape, self.mask = ["a"], (2, 3), np.ones(3, np.float32)
        self.spare = nn.Linear(3, 3)

    def forward(self, x):
        y = self.second(self.first(x)) * self.power
        for layer in self.layers:
            y = layer(y)
        for name in self.names:
            y = y + self.heads[name](y)
        return (y * self.mask).reshape(*self.shape)


def of_config(kind, read):
    """A step that reads a config, and the config."""
    config = kind()
    return lambda x: read(config, x), config


def row(make, change):
    """A row of the table: `make()` gives a step and what is to be changed."""
    return make, change


def config_row(read, change, kind=Config):
    return lambda: of_config(kind, read), change


def net_row(change):
    def make():
        net = Net()
        return (lambda x: net(x)), net

    return make, change


def times(n):
    return lambda module, args, output: output * n


def shift(n):
    return lambda module, args: (args[0] + n,)


def hooked(register, first, second):
    """A hook in the place of another one: there are as many as before."""

    def make():
        layer = nn.Linear(3, 3)
        handle = getattr(layer, register)(first)
        return (lambda x: layer(x)), (layer, handle)

    def change(held):
        layer, handle = held
        handle.remove()
        getattr(layer, register)(second)

    return make, change


def tensor_hooked(found):
    """The same for the hooks of a Tensor."""

    def make():
        w = ge.tensor([1.0, 2.0, 3.0], requires_grad=True)
        handle = w.register_hook(lambda g: g * 10)

        def step(x):
            w.grad = None
            (x * w).sum().backward()
            return found(w)

        return step, (w, handle)

    def change(held):
        w, handle = held
        handle.remove()
        w.register_hook(lambda g: g * 100)

    return make, change


def set_attribute(name, value):
    return lambda owner: setattr(owner, name, here(value))


def set_item(key, value):
    return lambda owner: owner.__setitem__(key, here(value))


def here(value):
    """A Tensor or module of a row, which was made when the table was, on the device of the test."""
    return value.to(ge.get_default_device()) if isinstance(value, (ge.Tensor, nn.Module)) else value


def in_list(change):
    """A row of a step that reads all items of a list."""

    def make():
        items = [1.0, 2.0]
        return (lambda x: functools.reduce(lambda a, b: a * b, items, x)), items

    return make, change


def in_dict(kind, change):
    def make():
        table = kind({"a": 1.0, "b": 2.0})
        return (lambda x: sum([x * v for v in table.values()])), table

    return make, change


def sequential(change):
    def make():
        net = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
        return (lambda x: net(x)), net

    return make, change


def closure(change):
    def make():
        scale = 2.0

        def assign(value):
            nonlocal scale
            scale = value

        return (lambda x: x * scale), assign

    return make, change


def partial_row():
    keywords = {"p": 2.0}
    return functools.partial(lambda x, p: x * p, **keywords)


class Callable:
    def __init__(self):
        self.scale = 2.0

    def __call__(self, x):
        return x * self.scale


class Model:
    """A step that is a method, as of a trainer."""

    def __init__(self):
        self.net, self.rate, self.epoch, self.history = nn.Linear(3, 3), 2.0, 0, []

    def step(self, x):
        return self.net(x) * self.rate


def of_model(change):
    def make():
        model = Model()
        return model.step, model

    return make, change


def jitted_inside():
    table = [2.0]
    inner = ge.jit(lambda x: x * table[0])
    return (lambda x: inner(x) + 1), table


def wrapped_step():
    config = Config()

    @ge.no_grad()
    def inner(x):
        return x * config.scale

    return (lambda x: inner(x)), config


def from_a_list_of_functions():
    functions = [lambda x: x * 2, lambda x: x + 1]
    return (lambda x: functions[0](functions[1](x))), functions


def with_dynamic_names():
    config = Config()
    return (lambda x: sum([x * getattr(config, "sc" + end) for end in ("ale",)])), config


def with_a_module():
    module = types.ModuleType("settings")
    module.__file__ = __file__
    module.SCALE = 2.0
    return (lambda x: x * module.SCALE), module


def with_an_array(dtype=np.float32):
    array = np.arange(3).astype(dtype)
    return (lambda x: x * array), array


def an_element():
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    return (lambda x: x * float(array[1, 1])), array


CHANGES = {
    "a dict's entry that is a Tensor": row(
        lambda: (lambda ps: (lambda x: x * ps["w"], ps))({"w": ge.ones(3)}), set_item("w", ge.full((3,), 5.0))
    ),
    "a list's entry that is a Tensor": row(
        lambda: (lambda ps: (lambda x: x * ps[0], ps))([ge.ones(3)]), set_item(0, ge.full((3,), 5.0))
    ),
    "a tuple in a list": row(lambda: (lambda ps: (lambda x: x * ps[0][1], ps))([(1, 2.0)]), set_item(0, (1, 3.0))),
    "an attribute": config_row(lambda c, x: x * c.scale, set_attribute("scale", 3.0)),
    "an attribute through a property": config_row(lambda c, x: x * c.double, set_attribute("scale", 3.0)),
    "an attribute that is a string": config_row(
        lambda c, x: x * 2 if c.chosen == "mul" else x + 1, set_attribute("chosen", "add")
    ),
    "an int in the place of an equal float": config_row(
        lambda c, x: ge.tensor([1, 2, 3]) * c.scale, set_attribute("scale", 2)
    ),
    "zero and minus zero": row(
        lambda: (lambda c: (lambda x: ge.atan2(x * x * 0, ge.tensor(c.scale)), c))(types.SimpleNamespace(scale=0.0)),
        set_attribute("scale", -0.0),
    ),
    "an attribute that was not there": config_row(
        lambda c, x: x * getattr(c, "extra", 1.0), set_attribute("extra", 3.0)
    ),
    "an attribute that is gone": row(
        lambda: (lambda c: (lambda x: x * (c.scale if hasattr(c, "scale") else 7.0), c))(
            types.SimpleNamespace(scale=1.0)
        ),
        lambda c: delattr(c, "scale"),
    ),
    "an attribute by a computed name": row(with_dynamic_names, set_attribute("scale", 3.0)),
    "an item below an attribute": config_row(lambda c, x: x * c.items[1], lambda c: c.items.__setitem__(1, 5.0)),
    "an array below an attribute": config_row(lambda c, x: x * c.array, lambda c: c.array.__setitem__(0, 5.0)),
    "an attribute of a class": config_row(
        lambda c, x: x + c.shared * 1.0, lambda c: setattr(type(c), "shared", type(c).shared + 1)
    ),
    "a slot": config_row(lambda c, x: x * c.scale, set_attribute("scale", 3.0), Slotted),
    "a dataclass": config_row(lambda c, x: x * c.scale * c.parts[0], lambda c: c.parts.__setitem__(0, 4.0), Settings),
    "a dataclass's field": config_row(lambda c, x: x * c.scale, set_attribute("scale", 4.0), Settings),
    "a namespace": config_row(
        lambda c, x: x * c.scale,
        set_attribute("scale", 3.0),
        lambda: argparse.Namespace(scale=2.0),
    ),
    "a UserDict": config_row(
        lambda c, x: x * c["scale"], set_item("scale", 3.0), lambda: collections.UserDict(scale=2.0)
    ),
    "an attribute of a module": row(with_a_module, set_attribute("SCALE", 3.0)),
    "a variable of an enclosing function": closure(lambda assign: assign(3.0)),
    "an appended item": in_list(lambda items: items.append(3.0)),
    "an item in the place of another": in_list(set_item(0, 4.0)),
    "items in another order": row(
        lambda: (lambda c: (lambda x: (x - c[0]) * c[1], c))([1.0, 2.0]), lambda c: c.reverse()
    ),
    "a cleared list": in_list(lambda items: items.clear()),
    "a dict's value": in_dict(dict, set_item("a", 5.0)),
    "a dict's new key": in_dict(dict, set_item("c", 5.0)),
    "a dict's key that is gone": in_dict(dict, lambda d: d.pop("a")),
    "an ordered dict": in_dict(collections.OrderedDict, set_item("b", 5.0)),
    "a counter": in_dict(collections.Counter, lambda c: c.update(a=1)),
    "a set": row(
        lambda: (lambda s: (lambda x: x * (2.0 if "double" in s else 1.0), s))({"other"}), lambda s: s.add("double")
    ),
    "a deque": row(lambda: (lambda s: (lambda x: x * s[0], s))(collections.deque([1.0, 2.0])), lambda s: s.rotate()),
    "an array": row(with_an_array, set_item(0, 7)),
    "an array of ints": row(lambda: with_an_array(np.int64), set_item(0, 7)),
    "an element that becomes a number": row(an_element, set_item((1, 1), 7)),
    "a function in a list": row(from_a_list_of_functions, set_item(1, lambda x: x - 1)),
    "what another jitted step reads": row(jitted_inside, set_item(0, 3.0)),
    "what a decorated function reads": row(wrapped_step, set_attribute("scale", 3.0)),
    "what a callable object holds": row(lambda: (Callable(),) * 2, set_attribute("scale", 3.0)),
    "a partial function's argument": row(
        lambda: (lambda p: (p, p))(partial_row()), lambda p: p.keywords.__setitem__("p", 3.0)
    ),
    "a trainer's setting": of_model(set_attribute("rate", 3.0)),
    "a trainer's network": of_model(set_attribute("net", nn.Linear(3, 3))),
    # Modules.
    "a forward hook": hooked("register_forward_hook", times(10), times(100)),
    "a forward pre-hook": hooked("register_forward_pre_hook", shift(10), shift(100)),
    "a hook of a Tensor": tensor_hooked(lambda w: w.grad),
    "another hook": row(
        lambda: (lambda m: (lambda x: m(x), m))(nn.Linear(3, 3)), lambda m: m.register_forward_hook(times(3))
    ),
    "an appended module": sequential(lambda net: net.append(nn.Linear(3, 4))),
    "an extended container": sequential(lambda net: net.extend([nn.Tanh(), nn.Tanh()])),
    "an inserted module": sequential(lambda net: net.insert(1, nn.Linear(3, 3))),
    "a module that is taken out": sequential(lambda net: net.pop()),
    "a deleted module": sequential(lambda net: net.__delitem__(1)),
    "a module in the place of another": sequential(lambda net: net.__setitem__(0, nn.Linear(3, 3))),
    "an added module": sequential(lambda net: net.add_module("last", nn.Tanh())),
    "exchanged modules": sequential(
        lambda net: (lambda a, b: (net.__setitem__(0, b), net.__setitem__(2, a)))(*net[::2])
    ),
    "a weight in the place of another": sequential(
        lambda net: setattr(net[0], "weight", nn.Parameter(ge.full((3, 3), 2.0)))
    ),
    "a bias that is gone": sequential(lambda net: setattr(net[0], "bias", None)),
    "a module's mode": row(
        lambda: (lambda m: (lambda x: m(x), m))(nn.Sequential(nn.Dropout(0.999))), lambda m: m.eval()
    ),
    "a module's list": net_row(lambda net: net.names.append("b")),
    "a module's array": net_row(lambda net: net.mask.__setitem__(0, 0.0)),
    "a module's shape": net_row(set_attribute("shape", (3, 2))),
    "a module's class": net_row(lambda net: setattr(Net, "power", Net.power + 1.0)),
    "a part that is another module": net_row(set_attribute("second", nn.Tanh())),
    "parts that are exchanged": net_row(
        lambda net: net.__dict__.update(first=net.second, second=net.first),
    ),
    "a forward of its own": net_row(lambda net: setattr(net.first, "forward", lambda x: x * 7)),
    "a method of its own": config_row(lambda c, x: x * c.offset(), set_attribute("offset", lambda: 7.0)),
    "a module list's end": net_row(lambda net: net.layers.append(nn.ReLU())),
    "a module list's order": net_row(lambda net: net.layers.insert(0, net.layers.pop())),
    "a module list's length": net_row(lambda net: net.layers.pop()),
    "a module dict's entry": net_row(lambda net: net.heads.update({"a": nn.Tanh()})),
    "a hook of a part": net_row(lambda net: net.first.register_forward_hook(times(3))),
    "a weight that is learned no more": row(
        lambda: (lambda m: (lambda x: ge.tensor(1.0 if m(x).requires_grad else 2.0), m))(nn.Linear(3, 3)),
        lambda m: m.requires_grad_(False),
    ),
}


@pytest.fixture
def x():
    return ge.tensor(np.linspace(-1.0, 1.0, 6).reshape(2, 3).astype(np.float32))


@pytest.fixture(autouse=True)
def classes_as_before():
    yield
    Base.shared, Net.power = 1.0, 2.0
    with contextlib.suppress(AttributeError):
        del Config.shared


def assert_equal(got, want):
    want = want.detach()
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", CHANGES)
def test_after_a_change_the_answer_is_the_eager_one(name, backend, x):
    make, change = CHANGES[name]
    step, held = make()
    jitted = ge.jit(step)
    if name != "a module's mode":
        assert_equal(jitted(x), step(x))
    jitted(x)
    assert jitted.cache_info().misses == 1
    change(held)
    want = step(x)
    assert_equal(jitted(x), want)
    assert_equal(jitted(x), want)
    assert jitted.cache_info().misses == 2


def test_globals_of_helpers_are_read_too(backend, x, monkeypatch):
    step = ge.jit(lambda x: helper(x))
    assert_equal(step(x), helper(x))
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    assert_equal(step(x), helper(x))
    TABLE["inner"]["list"][1] = 5.0
    assert_equal(step(x), helper(x))
    TABLE["inner"]["list"][1] = 2.0
    assert_equal(step(x), helper(x))
    assert step.cache_info().misses == 3  # the last is that of the second call


def test_what_no_code_reads_may_change(backend, x):
    """Counters, histories and the like beside what a step reads make no new program."""
    model = Model()
    model.step = ge.jit(Model.step).__get__(model)
    config = Config()
    other = ge.jit(lambda x: x * config.scale)
    unused = Net()
    run = ge.jit(lambda x: unused.first(x))
    for i in range(4):
        model.epoch += 1
        model.history.append(i)
        config.unread += 1
        config.items.append(i)
        unused.names.append("c")
        model.step(x), other(x), run(x)
    assert [f.cache_info().misses for f in (model.step, other, run)] == [1, 1, 1]


def test_a_hook_of_an_argument_is_a_part_of_the_program(backend):
    def step(w):
        return ge.grad((w * w).sum(), w)[0]

    jitted = ge.jit(step)
    for factor in (10, 100, 10):
        w = ge.tensor([1.0, 2.0], requires_grad=True)
        w.register_hook(lambda g, factor=factor: g * factor)
        for _ in range(2):
            assert jitted(w).tolist() == step(w).tolist()


def test_objects_that_take_the_place_of_others_in_memory(backend, x):
    """A new object may have the id of one that is gone."""

    class Scale:
        def __init__(self, value):
            self.value = value

        def __call__(self, x):
            return x * self.value

    run = ge.jit(lambda f, x: f(x))
    for i in range(20):
        assert_equal(run(Scale(float(i)), x), x * float(i))
    layer = nn.Identity()
    step = ge.jit(lambda x: layer(x))
    for i in range(6):
        handle = layer.register_forward_hook(times(i))
        assert_equal(step(x), x * i)
        handle.remove()
        del handle
        gc.collect()


@pytest.mark.parametrize("train", [False, True])
def test_what_was_given_to_a_step_may_go(backend, x, train):
    """Programs of modules that are gone go as well, and what they held."""

    def step(model, x):
        loss = (model(x) ** 2).sum()
        if train:
            model.zero_grad()
            loss.backward()
        return loss

    step = ge.jit(step)
    modules, weights = [], []
    for _ in range(6):
        model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
        step(model, x)
        modules.append(weakref.ref(model))
        weights.append(weakref.ref(model[0].weight))
    del model
    gc.collect()
    assert sum(r() is not None for r in modules) == 0
    step(nn.Linear(3, 3), x)
    gc.collect()
    assert sum(r() is not None for r in weights) == 0
    assert step.cache_info().currsize == 1


def test_what_a_step_reads_is_found_beside_a_debugger(x):
    """Lines are traced already, so calls are noted in another way."""
    config = Config()
    step = ge.jit(lambda x: x * config.scale)
    before = sys.gettrace()
    sys.settrace(lambda frame, event, argument: None)
    try:
        step(x)
    finally:
        sys.settrace(before)
    config.scale = 5.0
    assert_equal(step(x), x * 5.0)
    assert sys.getprofile() is None


def test_a_schedule_of_a_users_own_may_read_what_changes(backend, x):
    """What the host does at each call is done at each call: nothing of it is built in."""
    layer, factors = nn.Linear(3, 3), [1.0]
    optimizer = ge.optim.SGD(layer.parameters(), lr=1.0)
    schedule = ge.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: factors[-1])

    @ge.jit
    def step(x):
        optimizer.zero_grad()
        F.mse_loss(layer(x), x).backward()
        optimizer.step()
        schedule.step()

    for i in range(4):
        factors.append(1.0 / (i + 2))
        step(x)
        assert optimizer.param_groups[0]["lr"] == factors[-1]
    assert step.cache_info().misses == 1


def test_code_that_garbage_collection_runs_is_not_the_steps():
    """A callback that changes a variable at each collection does not make the step compile again."""
    noted = {"collections": 0}

    def callback(phase, info):
        noted["collections"] = noted["collections"] + 1

    def step(x):
        for _ in range(5):
            x = x * 2.0
            [[] for _ in range(2000)]
        return x

    before = gc.get_threshold()
    gc.callbacks.append(callback)
    gc.set_threshold(10)
    try:
        jitted = ge.jit(step)
        for _ in range(4):
            assert jitted(ge.ones(2)).tolist() == [32.0, 32.0]
    finally:
        gc.callbacks.remove(callback)
        gc.set_threshold(*before)
    assert noted["collections"] > 0
    assert jitted.cache_info().misses == 1


@pytest.mark.parametrize("change", ["attribute", "default", "keyword default", "code"])
def test_parts_of_a_function_that_change(change):
    def scale(x, a=2.0, *, b=3.0):
        return x * (a + b + scale.c)

    scale.c = 1.0
    step = lambda x: scale(x)
    if change == "code":
        one, two = (lambda x: x * 2.0), (lambda x: x * 3.0)
        step = lambda x: one(x)
    jitted = ge.jit(step)
    assert jitted(ge.ones(2)).tolist() == step(ge.ones(2)).tolist()
    if change == "attribute":
        scale.c = 5.0
    elif change == "default":
        scale.__defaults__ = (7.0,)
    elif change == "keyword default":
        scale.__kwdefaults__["b"] = 11.0
    else:
        one.__code__ = two.__code__
    for _ in range(2):
        assert jitted(ge.ones(2)).tolist() == step(ge.ones(2)).tolist()
    assert jitted.cache_info().misses == 2


def test_a_step_cannot_read_a_generators_state():
    for read in (ge.get_rng_state, ge.default_generator.get_state, ge.default_generator.state_dict):
        with pytest.raises(ge.TraceError, match="read it outside"):
            ge.jit(lambda x, read=read: (read(), x)[1])(ge.ones(2))
