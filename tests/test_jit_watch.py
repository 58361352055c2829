"""What a step changes in Python outside itself: that it is found, with its line and name, and that nothing else is."""

import argparse
import collections
import contextlib
import dataclasses
import enum
import functools
import gc
import inspect
import sys
import threading
import time
import types
import weakref

import numpy as np
import pytest

import gradengine as ge
from gradengine import nn, optim
from gradengine.compiler import purity as watching
from gradengine.compiler.purity import Watch
from gradengine.errors import TraceError

count = 0
history = []
settings = types.SimpleNamespace(steps=0, seen=[])


@pytest.fixture(autouse=True)
def no_other_tracer():
    """The lines can be found even where a coverage tool runs the tests."""
    before = sys.gettrace()
    sys.settrace(None)
    yield
    assert sys.gettrace() is None
    sys.settrace(before)


@pytest.fixture(autouse=True)
def fresh_globals():
    global count
    count = 0
    history.clear()
    settings.__dict__.update(steps=0, seen=[])


def watched(function, *args, **kwargs):
    """The message for one run of the function; empty if nothing was found."""
    with Watch(function, args, kwargs) as watch:
        function(*args, **kwargs)
    assert sys.gettrace() is None
    try:
        watch.check()
    except TraceError as error:
        return str(error)
    return ""


def check(message, source, *parts):
    """Hold a message to the line that it should show, which is the one with this text."""
    with open(__file__) as file:
        number = [line.strip() for line in file].index(source) + 1
    assert f"line {number} of test_jit_watch.py changes a Python" in message
    assert f":\n    {source}\n" in message
    for part in parts:
        assert part in message


# -- containers -----------------------------------------------------------------------------------------------------


def test_message():
    losses = []

    def step():
        losses.append(1)  # as in the message

    number = inspect.getsourcelines(step)[1] + 1
    assert watched(step) == (
        f"jit: line {number} of test_jit_watch.py changes a Python object outside the function, which a compiled step "
        "cannot repeat:\n    losses.append(1)  # as in the message\n`losses` (a list) has another item now. Return the "
        "value from the function and append it where you call it."
    )


def test_the_containers_of_a_closure():
    a_list, a_dict, a_set, a_deque, a_buffer = [3, 4], {"steps": 1, "old": 2}, {1}, collections.deque([1]), bytearray(2)

    def lengthen():
        a_list.extend([5, 6])

    def shorten():
        a_list.pop()

    def change():
        a_list[1] = 5

    def insert():
        a_dict["new"] = 3

    def replace():
        a_dict["steps"] += 1

    def delete():
        del a_dict["old"]

    def add():
        a_set.add(2)

    add_and_take = lambda: (a_set.add(7), a_set.discard(1))

    def push():
        a_deque.appendleft(0)

    def fill():
        a_buffer[1] = 7

    check(watched(lengthen), "a_list.extend([5, 6])", "`a_list` (a list) has 2 items more now. Return", "append it")
    check(watched(shorten), "a_list.pop()", "`a_list` (a list) has one item fewer now. Take items out where you call")
    check(watched(change), "a_list[1] = 5", "`a_list[1]` changed from 4 to 5. Keep it in a Tensor, or count where")
    check(watched(insert), 'a_dict["new"] = 3', "`a_dict` (a dict) has another item now. Return", "and set it where")
    check(watched(replace), 'a_dict["steps"] += 1', "`a_dict['steps']` changed from 1 to 2. Keep it in a Tensor")
    check(watched(delete), 'del a_dict["old"]', "`a_dict` (a dict) has one item fewer now.")
    check(watched(add), "a_set.add(2)", "`a_set` (a set) has another item now. Return the value", "and add it where")
    assert "`a_set` (a set) has other items now." in watched(add_and_take)
    check(watched(push), "a_deque.appendleft(0)", "`a_deque` (a deque) has another item now.")
    check(watched(fill), "a_buffer[1] = 7", "`a_buffer[1]` changed from 0 to 7.")


def test_a_tensor_that_is_kept():
    losses, last, best = [], {}, {}

    def step(x):
        loss = (x * x).sum()
        losses.append(loss)

    def store(x):
        last["loss"] = x * 2

    def forget(x):
        best["loss"] = x

    best["loss"] = ge.ones(1)
    x = ge.ones(3, requires_grad=True)
    check(watched(step, x), "losses.append(loss)", "`losses` (a list) has another item", "Return the Tensor from the")
    assert "append it where you call it, or let over(...) collect it." in watched(step, x)
    check(watched(store, x), 'last["loss"] = x * 2', "`last` (a dict) has another item", "Return the Tensor")
    check(
        watched(forget, x), 'best["loss"] = x', "`best['loss']` is another Tensor now. Return the Tensor", "and set it"
    )


def test_the_first_of_several_changes():
    a, b, c = [], [], []

    def step():
        c.append(1)
        c.clear()
        b.append(1)  # the first that lasts
        a.append(1)
        b.append(2)

    def again():
        a.append(3)
        a.pop()
        a.append(4)  # once more, and it lasts
        return a

    check(watched(step), "b.append(1)  # the first that lasts", "`b` (a list) has 2 items more now.")
    check(watched(again), "a.append(4)  # once more, and it lasts", "`a` (a list) has another item now.")


def test_scratch_use_is_no_change():
    items, table, unique, path = [1.5, "a", (1, 2)], {"a": 1, "b": [2]}, {1, 2}, []
    number = float("nan")

    def step():
        nonlocal number
        number = float("nan")
        items.append(2)
        items.sort(key=str)
        items[:] = [1.0 + 0.5, "a", (1, 1 + 1)]
        kept = table.pop("a")
        table["a"] = kept
        unique.add(3)
        unique.discard(3)
        path.append(1)
        path.pop()
        inner = [len(path)]
        inner.append(2)
        return {"inner": inner}

    assert watched(step) == ""


def test_deep_containers_and_their_paths():
    config = types.SimpleNamespace(history=[[]], table={"a": {(1, 2): [0]}})
    stats = {"steps": 0, "kinds": [{"count": 0}], object(): [0]}

    def first():
        config.history[0].append(1)

    def second():
        config.table["a"][1, 2][0] = 7

    def third():
        stats["kinds"][0]["count"] += 1

    def fourth():
        list(stats.values())[2][0] = 8

    assert "`config.history[0]` (a list) has another item" in watched(first)
    assert "`config.table['a'][a tuple][0]` changed from 0 to 7." in watched(second)
    assert "`stats['kinds'][0]['count']` changed from 0 to 1." in watched(third)
    assert "`stats[an object][0]` changed from 0 to 8." in watched(fourth)


def test_a_big_container_is_watched_by_its_length():
    big = list(range(5000))

    def replace():
        big[3] = -1

    def lengthen():
        big.append(1)

    assert watched(replace) == ""
    check(watched(lengthen), "big.append(1)", "`big` (a list) has another item now. Return the value")


def test_subclasses_of_containers():
    class Log(list):
        def __iter__(self):
            raise RuntimeError("not to be called")

        def write(self, item):
            self.append(item)

    log, counts, order = Log(), collections.Counter("a"), collections.OrderedDict(a=1)
    user = collections.UserDict(a=1)

    def write():
        log.write(1)  # by its own method

    def tally():
        counts["a"] += 1

    def reorder():
        order["b"] = 2

    def overwrite():
        user["a"] = 2

    check(watched(write), "self.append(item)", "`log` (a Log) has another item")
    check(watched(tally), 'counts["a"] += 1', "`counts['a']` changed from 1 to 2.")
    check(watched(reorder), 'order["b"] = 2', "`order` (an OrderedDict) has another item")
    check(watched(overwrite), 'user["a"] = 2', "`user.data['a']` changed from 1 to 2.")


# -- variables ------------------------------------------------------------------------------------------------------


def step_that_counts():
    global count
    count += 1  # the global


def step_that_makes_a_global():
    global made_in_a_test
    made_in_a_test = 1


def step_that_calls():
    return [step_that_calls_more() for _ in range(1)]


def step_that_calls_more():
    history.append(count)


def step_with_inner_function():
    def inner():
        global count
        count = 5  # in the inner function

    inner()


def test_globals():
    message = watched(step_that_counts)
    check(message, "count += 1  # the global", "`count` changed from 0 to 1. Keep it in a Tensor, or count where you")
    assert "changes a Python variable outside" in message
    check(watched(step_with_inner_function), "count = 5  # in the inner function", "`count` changed from 1 to 5.")
    check(watched(step_that_calls), "history.append(count)", "`history` (a list) has another item")
    check(watched(step_that_makes_a_global), "made_in_a_test = 1", "`made_in_a_test` is new: 1.")
    del globals()["made_in_a_test"]


def test_variables_of_an_enclosing_function():
    steps, state, flag, best = 0, ge.ones(2), False, None

    def number():
        nonlocal steps
        steps += 1

    def tensor():
        nonlocal state
        state = state * 0.5

    def in_place():
        nonlocal state
        state *= 0.5

    def switch():
        nonlocal flag
        flag = True

    def remember():
        nonlocal best
        best = state.sum()

    def forget():
        nonlocal steps
        del steps

    check(watched(number), "steps += 1", "`steps` changed from 0 to 1. Keep it in a Tensor")
    check(watched(tensor), "state = state * 0.5", "`state` is another Tensor now. Return the Tensor", "and set it")
    assert watched(in_place) == ""
    check(watched(switch), "flag = True", "`flag` changed from False to True. Return the value")
    check(watched(remember), "best = state.sum()", "`best` changed from None to a Tensor. Return the Tensor")
    check(watched(forget), "del steps", "`steps` is gone now.")


def test_defaults_are_reachable():
    def step(x, cache=[], *, extra={}):  # noqa: B006
        cache.append(1)  # a default
        return x

    def named(x, cache=[], *, extra={}):  # noqa: B006
        extra["a"] = 1  # a keyword's default

    check(watched(step, 1), "cache.append(1)  # a default", "`cache` (a list)")
    check(watched(named, 1), 'extra["a"] = 1  # a keyword\'s default', "`extra` (a dict)")


# -- attributes -----------------------------------------------------------------------------------------------------


class Meter:
    def __init__(self):
        self.count, self.values, self.last = 0, [], None

    def update(self, value):
        self.count += 1  # in update
        return value

    def keep(self, value):
        self.values.append(value)

    def remember(self, value):
        self.last = value

    def __call__(self, value):
        self.count += 2  # in __call__

    @property
    def doubled(self):
        settings.steps += 1  # in a property
        return 2 * self.count

    @staticmethod
    def elsewhere():
        settings.seen.append(1)  # in a static method


class Slotted:
    __slots__ = ("empty", "steps")

    def __init__(self):
        self.steps = 0


@dataclasses.dataclass
class Stats:
    steps: int = 0
    shape: tuple = (1, 2)


def test_attributes():
    meter, stats, slotted = Meter(), Stats(), Slotted()
    space = argparse.Namespace(lr=0.5)

    def first():
        meter.update(1)

    def second():
        stats.steps = 5

    def third():
        slotted.steps += 1

    def fourth():
        slotted.empty = "now"

    def fifth():
        stats.shape = (1, 3)

    def sixth():
        space.lr *= 0.5

    def seventh():
        del stats.shape

    def same():
        stats.shape = (1, 1 + 2)
        stats.steps = 4 + 1

    check(watched(first), "self.count += 1  # in update", "`meter.count` changed from 0 to 1. Keep it in a Tensor")
    check(watched(second), "stats.steps = 5", "`stats.steps` changed from 0 to 5.")
    check(watched(third), "slotted.steps += 1", "`slotted.steps` changed from 0 to 1.")
    check(watched(fourth), 'slotted.empty = "now"', "`slotted.empty` is new: 'now'. Return the value from")
    check(watched(fifth), "stats.shape = (1, 3)", "`stats.shape` is another tuple now.")
    check(watched(sixth), "space.lr *= 0.5", "`space.lr` changed from 0.5 to 0.25.")
    assert watched(same) == ""
    check(watched(seventh), "del stats.shape", "`stats.shape` is gone now. Delete it where you call the step.")


def test_methods_and_objects_that_are_called():
    meter = Meter()
    check(watched(meter.update, 1), "self.count += 1  # in update", "`self.count` changed from 0 to 1.")
    check(watched(meter.keep, 1), "self.values.append(value)", "`self.values` (a list) has another item")
    check(watched(meter.remember, 1), "self.last = value", "`self.last` changed from None to 1.")
    check(watched(meter, 1), "self.count += 2  # in __call__", "`self.count` changed from 1 to 3.")
    check(watched(lambda: meter.doubled), "settings.steps += 1  # in a property", "`settings.steps` changed")
    check(watched(lambda: meter.elsewhere()), "settings.seen.append(1)  # in a static method", "`settings.seen`")


def test_partials_lambdas_arguments_and_functions():
    def collect(into, value, *rest, **named):
        into.append(value)  # collect
        for other in (*rest, *named.values()):
            other.append(value)  # the others

    def counted():
        counted.calls += 1

    @functools.wraps(counted)
    def wrapper():
        return counted()

    @ge.no_grad()
    def quiet(into):
        into.append(1)  # quiet

    a, b, c = [], [], []
    counted.calls = 0
    check(watched(collect, a, 1), "into.append(value)  # collect", "`into` (a list)")
    check(watched(functools.partial(collect, a), 1), "into.append(value)  # collect", "`into` (a list)")
    check(watched(functools.partial(collect, into=a, value=1)), "into.append(value)  # collect", "`into` (a list)")
    assert "`rest[0]` (a list)" in watched(lambda *rest: rest[0].append(1), b)
    assert "`extra` (a list)" in watched(lambda **named: named["extra"].append(1), extra=c)
    add = lambda: a.append(1)  # a lambda
    check(watched(add), "add = lambda: a.append(1)  # a lambda", "`a` (a list)")
    check(watched(counted), "counted.calls += 1", "`counted.calls` changed from 0 to 1.")
    check(watched(wrapper), "counted.calls += 1", "`counted.calls` changed from 1 to 2.")
    check(watched(quiet, a), "into.append(1)  # quiet", "`into` (a list)")
    check(watched(functools.partial(functools.partial(quiet), a)), "into.append(1)  # quiet", "`into` (a list)")


def test_what_wraps_a_function():
    seen = []

    @functools.cache
    def cached(i):
        seen.append(i)  # in a cached function

    @functools.singledispatch
    def dispatched(i):
        seen.append(i)  # in a dispatched function

    @ge.no_grad()
    def quiet(i):
        seen.append(i)  # in a quiet function

    for function, source in ((cached, "cached"), (dispatched, "dispatched"), (quiet, "quiet")):
        check(watched(lambda: function(1)), f"seen.append(i)  # in a {source} function", "`seen` (a list)")  # noqa: B023


def test_generators_and_callbacks():
    seen = []

    def batches():
        for i in range(3):
            seen.append(i)  # in the generator
            yield i

    def step():
        return sum(batches())

    def ordered():
        return sorted([2, 1], key=lambda item: seen.append(item) or item)

    check(watched(step), "seen.append(i)  # in the generator", "`seen` (a list) has 3 items more")
    check(watched(ordered), "return sorted([2, 1], key=lambda item: seen.append(item) or item)", "2 items more")


def test_the_line_that_goes_on_after_a_call():
    out = []

    def inner():
        return 1

    def step():
        out.append(inner())  # after the call

    check(watched(step), "out.append(inner())  # after the call")


# -- modules, optimizers, Tensors -----------------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        self.register_buffer("mean", ge.zeros(2))
        self.calls, self.outputs, self.state, self.cached = 0, [], ge.zeros(2), None
        self.counting = self.keeping = self.caching = False

    def forward(self, x):
        y = self.body(x)
        self.mean = self.mean * 0.9 + y.detach().mean(0) * 0.1
        self.state = y.detach().mean(0)
        if self.counting:
            self.calls += 1
        if self.keeping:
            self.outputs.append(y)
        if self.caching:
            self.cached = y
        return y


def make_step(net, optimizer, schedule=None):
    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()
        return loss

    return step


def batch():
    return ge.ones((3, 4)), ge.tensor([0, 1, 1])


def test_a_training_step_is_no_change():
    net = Net()
    optimizer = optim.Adam(net.parameters(), lr=0.1)
    schedule = optim.lr_scheduler.StepLR(optimizer, 1)
    groups, generator, scores = optimizer.param_groups, ge.Generator(), np.zeros(3)
    step = make_step(net, optimizer, schedule)

    def whole(x, y):
        loss = step(x, y)
        groups[0]["lr"] = 0.25
        scores[0] = 1.0
        x += ge.rand(4, generator=generator)
        net.body[0].weight.grad = None
        net.eval()
        net.train()
        return loss

    assert watched(whole, *batch()) == ""
    assert watched(whole, *batch()) == ""
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_modules():
    net = Net()
    step = make_step(net, optim.SGD(net.parameters(), lr=0.1))
    net.counting = True
    check(watched(step, *batch()), "self.calls += 1", "`net.calls` changed from 0 to 1.")
    check(watched(net, batch()[0]), "self.calls += 1", "`self.calls` changed from 1 to 2.")
    check(watched(net.forward, batch()[0]), "self.calls += 1", "`self.calls` changed from 2 to 3.")
    net.counting, net.keeping = False, True
    check(watched(step, *batch()), "self.outputs.append(y)", "`net.outputs` (a list) has another", "Return the Tensor")
    net.keeping, net.caching = False, True
    check(watched(step, *batch()), "self.cached = y", "`net.cached` changed from None to a Tensor. Return the Tensor")
    assert watched(step, *batch()) == ""  # a Tensor in the place of a Tensor

    def freeze():
        net.body[0].eval()

    check(watched(freeze), "net.body[0].eval()", "`net.body[0].training` changed from True to False.")


def test_hooks():
    net, seen = Net(), []
    assert watched(net, batch()[0]) == ""

    def hook(module, args, output):
        seen.append(output)

    def register():
        net.body[0].register_forward_hook(hook)

    check(watched(register), "net.body[0].register_forward_hook(hook)", "`net.body[0]._forward_hooks` (a dict)")
    check(watched(net, batch()[0]), "seen.append(output)", "`seen` (a list) has another item")


# -- what is not reachable, or not to be looked at ------------------------------------------------------------------


def test_what_is_left_alone():
    lock, log, tensor = threading.Lock(), threading.local(), ge.ones(2)

    def step():
        local = {"a": 1}
        local["b"] = [local]
        log.a = 1
        with lock:
            log.b = 2
        tensor.requires_grad_(True)
        (tensor * 2).sum().backward()
        return local

    assert watched(step) == ""


def test_the_attributes_of_classes_and_of_modules():
    class Base:
        steps, history, last = 0, [], None

        @classmethod
        def remember(cls):
            cls.history.append(1)

    class Config(Base):
        pass

    own = types.ModuleType("own")
    own.__file__, own.steps = __file__, 0

    def count():
        Base.steps += 1

    def through_the_instance(config):
        type(config).steps = 5

    def set_last():
        Base.last = "x"

    def count_in_the_module():
        own.steps += 1

    advice = "Keep it in a Tensor, or count where"
    check(watched(count), "Base.steps += 1", f"`Base.steps` changed from 0 to 1. {advice}")
    check(watched(through_the_instance, Config()), "type(config).steps = 5", "`Config.steps` is new: 5. Return")
    check(watched(set_last), 'Base.last = "x"', "`Base.last` changed from None to 'x'. Return the value")
    check(watched(Config().remember), "cls.history.append(1)", "`Base.history` (a list) has another item now.")
    check(watched(count_in_the_module), "own.steps += 1", f"`own.steps` changed from 0 to 1. {advice}")

    step = ge.jit(lambda x: setattr(Config, "last", x.sum()) or x)
    with pytest.raises(TraceError, match=r"`Config.last` is new: a Tensor"):
        step(ge.ones(2))
    assert "last" not in vars(Config)  # no symbol is left


def test_classes_and_modules_of_others_are_not_watched():
    class Colour(enum.Flag):  # whose combinations Python notes in the class when they are first met
        RED, GREEN = 1, 2

    def step():
        np.made_in_a_test = 1
        argparse.Namespace.made_in_a_test = 1
        return Colour.RED | Colour.GREEN

    assert watched(step) == ""
    del np.made_in_a_test, argparse.Namespace.made_in_a_test


def test_cycles_and_too_many_objects():
    chain = []
    chain.append(chain)
    objects = [[[] for _ in range(900)] for _ in range(900)]
    first = []

    def step():
        chain.append(1)

    link = None
    for _ in range(20_000):
        link = types.SimpleNamespace(next=link, steps=0)

    def deep():
        link.next.next.steps = 1

    def large():
        objects[-1][-1].append(1)
        first.append(1)

    check(watched(step), "chain.append(1)", "`chain` (a list)")
    check(watched(deep), "link.next.next.steps = 1", "`link.next.next.steps` changed from 0 to 1.")
    while link is not None:  # one by one: Python frees a chain by recursion
        link = link.next
    check(watched(large), "first.append(1)", "`first` (a list)")


def test_items_whose_own_methods_fail():
    class Odd:
        __hash__ = object.__hash__

        def __eq__(self, other):
            raise RuntimeError("not to be called")

        def __getattribute__(self, name):
            raise RuntimeError("not to be called")

    class Clash:
        def __hash__(self):
            return 1

        def __eq__(self, other):
            raise RuntimeError("not to be called")

    odd, items, table, seen = Odd(), [Odd()], {Clash(): 1}, []

    def step():
        items[0] = odd
        table[1] = table.pop(next(iter(table)))
        seen.append(1)

    assert "items[0]` is another Odd now" in watched(step)


# -- the tracer -----------------------------------------------------------------------------------------------------


def test_with_another_tracer():
    losses, events = [], []

    def tracer(frame, event, argument):
        events.append(event)
        return tracer

    def decorator(function):
        return function

    @decorator
    def step():
        losses.append(1)  # traced by another

    sys.settrace(tracer)
    try:
        with Watch(step) as watch:
            assert sys.gettrace() is tracer
            step()
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(None)
    with pytest.raises(TraceError, match=r"`losses` \(a list\) has another item") as caught:
        watch.check()
    number = inspect.getsourcelines(step)[1] + 1
    assert f"jit: step (line {number} of test_jit_watch.py) changes a Python object" in str(caught.value)
    assert "\n    def step():\n" in str(caught.value)
    assert "line" in events


def test_a_debugger_that_starts_inside_stays():
    def tracer(frame, event, argument):
        return None

    def step():
        sys.settrace(tracer)

    with Watch(step) as watch:
        step()
    assert sys.gettrace() is tracer
    sys.settrace(None)
    watch.check()


def test_an_error_inside_stays_the_error():
    losses = []

    def step():
        losses.append(1)
        raise KeyError("the function's own")

    with pytest.raises(KeyError, match="the function's own"), Watch(step) as watch:
        step()
    assert sys.gettrace() is None
    watch.check()


def test_an_error_that_is_caught_inside():
    losses = []

    def fail():
        losses.append(1)  # before it fails
        raise KeyError("caught")

    def step():
        with contextlib.suppress(KeyError):
            fail()
        return 1

    check(watched(step), "losses.append(1)  # before it fails", "`losses` (a list)")


def test_the_tracer_never_raises(monkeypatch):
    losses = []

    def step():
        losses.append(1)  # the tracer fails
        return 1

    def fail(self):
        raise RuntimeError("in the tracer")

    monkeypatch.setattr(Watch, "compare", fail)
    message = watched(step)
    assert "jit: step (line" in message
    assert "`losses` (a list) has another item" in message


def test_many_lines_cost_no_more_than_the_limit(monkeypatch):
    losses = []

    def step():
        for _ in range(1000):
            pass
        losses.append(1)  # after many lines

    monkeypatch.setattr(watching, "LINES", 100)
    message = watched(step)
    assert "jit: step (line" in message
    assert "`losses` (a list) has another item" in message


def test_code_without_a_file():
    space = {"losses": []}
    exec("def step():\n    losses.append(1)", space)
    message = watched(space["step"])
    assert "jit: line 2 of <string> changes a Python object outside the function" in message
    assert "cannot repeat: `losses` (a list) has another item now." in message


def test_functions_written_in_c():
    items = []
    message = watched(items.append, 1)
    assert "jit: the function changes a Python object" in message
    assert "cannot repeat: `append` (a list) has another item" in message
    assert watched(len, items) == ""


def test_nothing_is_kept_alive():
    class Thing:
        items = ()

    thing = Thing()
    held = weakref.ref(thing)

    def step(thing):
        thing.items = [1]

    with Watch(step, (thing,)) as watch:
        step(thing)
    del thing
    gc.collect()
    assert held() is None
    with pytest.raises(TraceError, match=r"`thing\.items` is new: a list"):
        watch.check()


def test_the_cost_of_a_training_step():
    net = Net()
    step = make_step(net, optim.Adam(net.parameters(), lr=0.1))
    step(*batch())
    best = min(timed(step) for _ in range(5))
    assert best < 0.05  # seconds; it takes 2 ms or so


def timed(step):
    start = time.perf_counter()
    assert watched(step, *batch()) == ""
    return time.perf_counter() - start
