"""Compiled steps after a change of what they read in less common ways: the answer is the eager one.

Each function of the table gives a step and a change. The step is compiled, the change is made, and the jitted answer is
compared with the eager one. What a step reads that it changes itself, or that no guard can see, is a TraceError.
"""

import array
import collections
import contextvars
import datetime
import functools
import itertools
import logging
import operator
import os
import random
import secrets
import sys
import threading
import time
import types
import uuid
import weakref

import numpy as np
import pytest

import gradengine as ge
from gradengine import nn

CASES = {}
VALUE = 2.0
CONTEXT = contextvars.ContextVar("context", default=2.0)


class Config:
    k = 2.0

    def __init__(self):
        self.scale = 2.0


class Other(Config):
    k = 5.0


class Thread(threading.local):
    pass


class Tagged(np.ndarray):
    pass


class Sequence(tuple):
    pass


def case(make):
    """A row of the table."""
    CASES[make.__name__] = make
    return make


def reads(name, make, read, change):
    """A row for something that a step has in a variable."""

    def row():
        held = make()
        return (lambda x: read(held, x)), lambda: change(held)

    CASES[name] = row


def folded(items, x):
    """A number that depends on items and their order."""
    return functools.reduce(lambda a, b: a * 2 + b, items, x)


def weight(**kwargs):
    return ge.tensor([1.0, 2.0, 3.0], requires_grad=True, **kwargs)


def sgd(*groups, **kwargs):
    return ge.optim.SGD([*groups] or [weight()], **{"lr": 0.5, **kwargs})


# Optimizers and schedules.
def option(name, make, read, change):
    reads(name, make, lambda o, x: x * read(o), change)


def first(o):
    return o.param_groups[0]


option("an_option", sgd, lambda o: first(o)["lr"], lambda o: first(o).update(lr=0.25))
option("an_option_by_get", sgd, lambda o: first(o).get("lr"), lambda o: first(o).update(lr=0.25))
option("momentum", lambda: sgd(momentum=0.9), lambda o: first(o)["momentum"], lambda o: first(o).update(momentum=0.5))
option(
    "a_pair_of_options",
    lambda: ge.optim.Adam([weight()]),
    lambda o: first(o)["betas"][0],
    lambda o: first(o).update(betas=(0.5, 0.9)),
)
option(
    "an_option_that_is_text",
    lambda: sgd({"params": [weight()], "name": "a"}),
    lambda o: 1.0 if first(o)["name"] == "a" else 2.0,
    lambda o: first(o).update(name="b"),
)
option("a_new_option", sgd, lambda o: first(o).get("factor", 3.0), lambda o: first(o).update(factor=7.0))
option(
    "an_option_that_decides",
    sgd,
    lambda o: 2.0 if first(o)["lr"] > 0.3 else 3.0,
    lambda o: first(o).update(lr=0.25),
)
option(
    "all_options",
    sgd,
    lambda o: sum(v for v in first(o).values() if type(v) is float),
    lambda o: first(o).update(lr=0.25),
)
option(
    "the_number_of_groups",
    sgd,
    lambda o: len(o.param_groups),
    lambda o: o.add_param_group({"params": [weight()]}),
)
option("defaults", sgd, lambda o: o.defaults["lr"], lambda o: o.defaults.update(lr=0.25))
option("a_schedules_epoch", lambda: schedule(), lambda s: s.last_epoch + 1, lambda s: s.step())
option("a_schedules_rates", lambda: schedule(), lambda s: s.get_last_lr()[0], lambda s: s.step())
option(
    "a_schedules_first_rates",
    lambda: schedule(),
    lambda s: s.base_lrs[0],
    lambda s: s.base_lrs.__setitem__(0, 3.0),
)
option("a_rate_that_a_schedule_sets", lambda: schedule(), lambda s: first(s.optimizer)["lr"], lambda s: s.step())


def schedule():
    optimizer = sgd()
    optimizer.param_groups[0]["params"][0].grad = ge.ones(3)
    optimizer.step()
    return ge.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)


@case
def a_group_in_a_variable():
    optimizer = sgd()
    group = first(optimizer)
    return (lambda x: x * group["lr"] * len(optimizer.param_groups)), lambda: group.update(lr=0.25)


@case
def an_attribute_of_an_optimizer():
    optimizer = sgd()
    optimizer.factor = 3.0
    return (lambda x: x * optimizer.factor), lambda: setattr(optimizer, "factor", 4.0)


@case
def the_count_of_an_optimizers_steps():
    p = weight()
    optimizer = ge.optim.Adam([p])

    def advance():
        p.grad = ge.ones(3)
        optimizer.step()

    advance()
    return (lambda x: x * optimizer.state[p]["step"]), advance


@case
def whether_a_tensor_requires_grad():
    p = weight()
    return (lambda x: x * (2.0 if p.requires_grad else 3.0)), lambda: p.requires_grad_(False)


@case
def whether_parameters_require_grad():
    layer = nn.Linear(3, 3)
    return (
        lambda x: x * sum(p.requires_grad for p in layer.parameters()),
        lambda: layer.weight.requires_grad_(False),
    )


# Containers.
for kind in (collections.OrderedDict, type("Ordered", (collections.OrderedDict,), {})):
    reads(
        f"the_order_of_{kind.__name__}",
        lambda kind=kind: kind(a=1.0, b=2.0),
        lambda c, x: folded(c.values(), x),
        lambda c: c.move_to_end("a"),
    )
reads(
    "the_order_of_equal_items",
    lambda: collections.OrderedDict(a=1.0, b=1.0),
    lambda c, x: x * (2.0 if next(iter(c)) == "a" else 3.0),
    lambda c: c.move_to_end("a"),
)
reads(
    "a_chain_map",
    lambda: collections.ChainMap({"a": 2.0}, {"b": 1.0}),
    lambda c, x: x * c["a"] * c["b"],
    lambda c: c.maps[1].update(b=7.0),
)
reads("a_user_string", lambda: collections.UserString("ab"), lambda c, x: x * len(c), lambda c: setattr(c, "data", "c"))
reads(
    "a_set_of_equal_numbers",
    lambda: {1},
    lambda c, x: ge.tensor([True]) * next(iter(c)),
    lambda c: (c.clear(), c.add(True)),
)
reads("pythons_array", lambda: array.array("d", [1.0, 2.0]), lambda c, x: folded(c, x), lambda c: c.__setitem__(0, 3.0))
reads("pythons_longer_array", lambda: array.array("d", [1.0]), lambda c, x: folded(c, x), lambda c: c.append(3.0))
reads(
    "an_object_array",
    lambda: np.array([[1.0], None], object),
    lambda c, x: x * c[0][0],
    lambda c: c[0].__setitem__(0, 3.0),
)
reads(
    "a_masked_array",
    lambda: np.ma.array([1.0, 2.0, 3.0]),
    lambda c, x: x * float(c.sum()),
    lambda c: c.__setitem__(0, np.ma.masked),
)
reads(
    "an_arrays_attribute",
    lambda: np.zeros(2).view(Tagged),
    lambda c, x: x * getattr(c, "tag", 2.0),
    lambda c: setattr(c, "tag", 3.0),
)
reads(
    "a_tuples_attribute",
    Sequence,
    lambda c, x: x * getattr(c, "tag", 2.0),
    lambda c: setattr(c, "tag", 3.0),
)


@case
def a_mapping_proxy():
    table = {"a": 2.0}
    proxy = types.MappingProxyType(table)
    return (lambda x: x * proxy["a"]), lambda: table.update(a=3.0)


@case
def a_memory_view():
    numbers = np.arange(3.0)
    view = memoryview(numbers)
    return (lambda x: x * view[1]), lambda: numbers.__setitem__(1, 5.0)


@case
def an_array_that_only_others_may_write():
    numbers = np.arange(4.0)
    view = numbers[::2]
    view.flags.writeable = False
    return (lambda x: x * float(view[1])), lambda: numbers.__setitem__(2, 9.0)


@case
def an_array_that_is_made_writable():
    numbers = np.arange(4.0)
    numbers.flags.writeable = False

    def change():
        numbers.flags.writeable = True
        numbers[1] = 7.0

    return (lambda x: x * float(numbers[1])), change


# Names that are computed.
def named(name, read, make=Config, attribute="scale"):
    reads(name, make, read, lambda c: setattr(c, attribute, 5.0))


FORMAT = "{.scale}"
get, key, method = operator.attrgetter("sc" + "ale"), ["scale"], operator.methodcaller("__getattribute__", "scale")
lookup = getattr
named("an_attribute_getter", lambda c, x: x * get(c))
named("an_attribute_getter_in_c", lambda c, x: x * sum(map(get, [c])))
named("a_method_caller", lambda c, x: x * method(c))
named("getattr_by_another_name", lambda c, x: x * lookup(c, key[0]))
named("a_class_attribute_by_a_computed_name", lambda c, x: x * lookup(c, "kk"[:1]), attribute="k")
named("a_new_attribute_by_a_computed_name", lambda c, x: x * lookup(c, "fo" + key[0], 2.0), attribute="foscale")
named("the_number_of_attributes", lambda c, x: x * len(vars(c)), attribute="new")
named("the_names_of_attributes", lambda c, x: x * len(dir(c)), attribute="new")
named("an_attribute_in_a_format", lambda c, x: x * len(FORMAT.format(c)))
reads(
    "a_namespace_as_text",
    lambda: types.SimpleNamespace(a=1),
    lambda c, x: x * len(f"{c}"),
    lambda c: setattr(c, "a", 111),
)
reads(
    "a_namespace_as_text_in_a_list",
    lambda: [types.SimpleNamespace(a=1)],
    lambda c, x: x * len(repr(c)),
    lambda c: setattr(c[0], "a", 111),
)


@case
def an_attribute_of_a_module_by_a_computed_name():
    module = types.ModuleType("settings")
    module.__file__ = __file__
    module.scale = 2.0
    return (lambda x: x * lookup(module, key[0])), lambda: setattr(module, "scale", 5.0)


@case
def variables_by_a_computed_name():
    name = "VALUE"
    return (lambda x: x * globals()[name]), lambda: globals().update(VALUE=VALUE + 1)


# Classes.
named("another_class", lambda c, x: x * c.k, attribute="k")
reads("the_class_of_an_object", Config, lambda c, x: x * c.k, lambda c: setattr(c, "__class__", Other))
reads(
    "whether_it_is_of_a_class",
    Config,
    lambda c, x: x * (2.0 if isinstance(c, Other) else 3.0),
    lambda c: setattr(c, "__class__", Other),
)


@case
def the_class_of_a_module():
    class Scaled(nn.Linear):
        def forward(self, x):
            return super().forward(x) * 5

    layer = nn.Linear(3, 3)
    return (lambda x: layer(x).detach()), lambda: setattr(layer, "__class__", Scaled)


@case
def the_bases_of_a_class():
    class One:
        k = 2.0

    class Two:
        k = 3.0

    class Both(One):
        pass

    held = Both()
    return (lambda x: x * held.k), lambda: setattr(Both, "__bases__", (Two,))


@case
def an_attribute_of_a_metaclass():
    class Meta(type):
        k = 2.0

    class Kind(metaclass=Meta):
        pass

    return (lambda x: x * Kind.k), lambda: setattr(Meta, "k", 5.0)


@case
def a_cached_function():
    table = [2.0]

    @functools.lru_cache
    def read():
        return table[0]

    def change():
        table[0] = 3.0
        read.cache_clear()

    read()
    return (lambda x: x * read()), change


# Weak references.
@case
def whether_an_object_is_there():
    held = [Config()]
    reference = weakref.ref(held[0])
    return (lambda x: x * (2.0 if reference() is not None else 3.0)), held.clear


@case
def what_is_referred_to_weakly():
    held = Config()
    reference = weakref.ref(held)
    return (lambda x: x * reference().scale), lambda: setattr(held, "scale", 7.0)


@case
def a_weak_proxy():
    held = Config()
    proxy = weakref.proxy(held)
    return (lambda x: x * proxy.scale), lambda: setattr(held, "scale", 7.0)


@case
def a_weak_dictionary():
    held = Config()
    table = weakref.WeakKeyDictionary({held: 2.0})
    return (lambda x: x * sum(table.values())), lambda: table.update({held: 7.0})


@case
def hidden_state_of_a_property():
    hidden = weakref.WeakKeyDictionary()

    class Kind:
        @property
        def scale(self):
            return hidden.get(self, 2.0)

    held = Kind()
    return (lambda x: x * held.scale), lambda: hidden.update({held: 5.0})


# What the process or the thread holds.
@case
def a_context_variable():
    CONTEXT.set(2.0)
    return (lambda x: x * CONTEXT.get()), lambda: CONTEXT.set(3.0)


for kind in (threading.local, Thread):

    def in_thread(kind=kind):
        held = kind()
        held.scale = 2.0
        return (lambda x: x * held.scale), lambda: setattr(held, "scale", 3.0)

    CASES[f"an_attribute_of_{kind.__name__}"] = in_thread

for how, read in {"item": os.environ.__getitem__, "get": os.environ.get, "getenv": os.getenv}.items():

    def in_environment(read=read):
        os.environ["GRADENGINE_TEST"] = "2"
        return (lambda x: x * float(read("GRADENGINE_TEST"))), lambda: os.environ.update(GRADENGINE_TEST="3")

    CASES[f"the_environment_by_{how}"] = in_environment


@pytest.fixture
def x():
    return ge.tensor([[-1.0, -0.5, 0.0], [0.25, 0.5, 1.0]])


@pytest.fixture(autouse=True)
def as_before():
    yield
    globals().update(VALUE=2.0)
    os.environ.pop("GRADENGINE_TEST", None)


def assert_equal(got, want):
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_after_a_change_the_answer_is_the_eager_one(name, backend, x):
    step, change = CASES[name]()
    jitted = ge.jit(step)
    assert_equal(jitted(x), step(x))
    assert_equal(jitted(x), step(x))
    assert jitted.cache_info().misses == 1
    change()
    want = step(x)
    assert_equal(jitted(x), want)
    assert_equal(jitted(x), want)
    assert jitted.cache_info().misses <= 2


def test_a_rate_that_is_read_needs_no_new_program(backend, x):
    """The program takes the number that is there at each call, whoever sets it."""
    optimizer = sgd()
    schedule = ge.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)

    def step(x):
        before = optimizer.param_groups[0]["lr"]
        optimizer.step()
        schedule.step()
        return x * before, x * optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["lr"]

    jitted = ge.jit(step)
    for i in range(4):
        rate = 0.5 ** (i + 1)
        before, after, number = jitted(x)
        assert_equal(before, x * rate)
        assert_equal(after, x * (rate / 2))
        assert number == rate / 2
    optimizer.param_groups[0]["lr"] = 3.0
    assert_equal(jitted(x)[0], x * 3.0)
    assert jitted.cache_info().misses == 1


def test_a_rate_that_is_read_and_then_set(backend, x):
    optimizer = sgd()

    def step(x, rate):
        y = x * optimizer.param_groups[0]["lr"]
        optimizer.param_groups[0]["lr"] = rate
        return y

    jitted = ge.jit(step)
    assert_equal(jitted(x, 2.0), x * 0.5)
    assert_equal(jitted(x, 3.0), x * 2.0)
    assert_equal(jitted(x, 4.0), x * 3.0)
    assert jitted.cache_info().misses == 1


def test_a_rate_that_decides_and_is_then_set(backend, x):
    """What it was at the beginning of a call decides, so another rate makes another program."""
    optimizer = sgd()

    def step(x, rate):
        y = x * (2.0 if optimizer.param_groups[0]["lr"] > 0.3 else 3.0)
        optimizer.param_groups[0]["lr"] = rate
        return y

    jitted = ge.jit(step)
    for rate, factor in ((0.1, 2.0), (0.2, 3.0), (0.9, 3.0), (0.1, 2.0)):
        assert_equal(jitted(x, rate), x * factor)


def test_an_optimizer_of_a_users_own_that_counts_steps_in_python(x):
    class Slowing(ge.optim.Optimizer):
        def step(self):
            for group in self.param_groups:
                for p in group["params"]:
                    state = self.state[p]
                    state["count"] = state.get("count", 0) + 1
                    with ge.no_grad():
                        p.sub_(p.grad * (group["lr"] / state["count"]))

    optimizer = Slowing([p := weight()], {"lr": 0.1})
    p.grad = ge.ones(3)
    with pytest.raises(ge.TraceError, match=r"Slowing.state, which it changes itself"):
        ge.jit(lambda: optimizer.step())()


def test_what_a_step_changes_itself_cannot_be_read(x):
    optimizer = ge.optim.Adam([p := weight()])
    schedule = ge.optim.lr_scheduler.StepLR(optimizer, 1)

    def train():
        p.grad = ge.ones(3)
        optimizer.step()
        schedule.step()

    train()
    for read in (
        lambda: schedule.last_epoch,
        lambda: schedule.get_last_lr()[0],
        lambda: optimizer.state[p]["step"],
    ):
        with pytest.raises(ge.TraceError, match="which it changes itself"):
            ge.jit(lambda x, read=read: (train(), read(), x)[2])(x)


def test_a_thread_reads_its_own_attributes(x):
    held = threading.local()
    held.scale = 2.0
    jitted = ge.jit(lambda x: x * held.scale)
    found = []

    def run():
        held.scale = 3.0
        found.append(jitted(x))

    assert_equal(jitted(x), x * 2.0)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert_equal(found[0], x * 3.0)
    assert_equal(jitted(x), x * 2.0)


def test_what_cannot_be_written_is_not_compared():
    """Elements in bytes stay as they are; others are compared where they lie."""
    from gradengine.compiler.read_guards import Elements

    assert Elements("a", np.frombuffer(bytes(8), np.float32)).kind == "fixed"
    assert Elements("a", np.zeros(4)).kind == "memory"
    assert Elements("a", np.zeros((4, 4)).T[::2]).kind == "bytes"


COUNT, CYCLE, ITEMS = itertools.count(), itertools.cycle([1.0, 2.0, 3.0]), iter([1.0] * 1000)
NUMPY, OLD, PYTHON = np.random.default_rng(0), np.random.RandomState(0), random.Random(0)
NUMBERS = (float(i) for i in range(1000))
BATCHES = iter(ge.data.DataLoader([float(i) for i in range(100)], batch_size=1))
VOLATILE = {
    "random": lambda: random.random(),
    "random.gauss": lambda: random.gauss(0, 1),
    "random.choice": lambda: random.choice([1.0, 2.0]),
    "random.Random": lambda: PYTHON.uniform(0, 1),
    "secrets": lambda: secrets.randbelow(100),
    "uuid": lambda: uuid.uuid4().int % 100,
    "os.urandom": lambda: os.urandom(1)[0],
    "a new generator": lambda: np.random.default_rng().normal(),
    "np.random": lambda: np.random.rand(),
    "a generator": lambda: NUMPY.normal(),
    "a RandomState": lambda: OLD.rand(),
    "time": lambda: time.time(),
    "perf_counter": lambda: time.perf_counter(),
    "datetime": lambda: datetime.datetime.now().second,
    "a count": lambda: next(COUNT),
    "a cycle": lambda: next(CYCLE),
    "an iterator of a list": lambda: next(ITEMS),
    "a generator function": lambda: next(NUMBERS),
    "a loader": lambda: next(BATCHES)[0],
    "a zip": lambda: next(PAIRS)[0],
}
PAIRS = zip([1.0] * 100, itertools.repeat(1), strict=False)


@pytest.mark.parametrize("name", VOLATILE)
def test_what_gives_something_else_each_time_is_refused(name, x):
    """Its first answer would be the answer at each call."""
    read = VOLATILE[name]
    with pytest.raises(ge.TraceError, match="as an argument") as caught:
        ge.jit(lambda x: x * float(read()))(x)
    assert "test_jit_reads.py" in str(caught.value)


def test_iterators_and_random_numbers_beside_what_is_traced(x):
    """Those of the step's own, and draws of the engine's, are no fault; neither is a library's clock."""

    def step(x):
        first = next(iter([2.0, 3.0]))
        for factor, _ in zip([1.0, 2.0], itertools.count()):
            x = x * factor
        logging.getLogger("gradengine.test").info("traced")
        return x * first + ge.rand(()) * 0

    assert_equal(ge.jit(step)(x), step(x))


def test_imports_make_no_retrace(backend):
    """Modules that are imported in the step or between calls, and `sys`, which lists them."""

    def step(x):
        import colorsys

        return x * len(sys.byteorder) + colorsys.ONE_THIRD

    jitted = ge.jit(step)
    x = ge.ones(3)
    for name in ("sndhdr_of_nobody", "this_is_no_module"):
        np.testing.assert_array_equal(jitted(x).numpy(), step(x).numpy())
        sys.modules[name] = types.ModuleType(name)
    jitted(x)
    for name in ("sndhdr_of_nobody", "this_is_no_module"):
        del sys.modules[name]
    assert jitted.cache_info().misses == 1


def test_a_generator_with_a_seed_of_the_step(backend):
    """It gives the same at each call, unlike one that stands outside."""

    def step(x):
        numbers = random.Random(7)
        return x * numbers.random() + numbers.randint(1, 9)

    jitted = ge.jit(step)
    for _ in range(3):
        np.testing.assert_allclose(jitted(ge.ones(3)).numpy(), step(ge.ones(3)).numpy(), rtol=1e-6)
    with pytest.raises(ge.TraceError, match="random"):
        ge.jit(lambda x: x * random.Random().random())(ge.ones(3))
