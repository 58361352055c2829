"""Whole jitted models beside eager ones: every layer of gradengine.nn, several times in one step, and every optimizer.

A step runs each layer of a group twice, with weights of its own, and one of the two once more after the other; it takes
the gradients and updates. After each step results, parameters, buffers, gradients, the optimizer's state and the
generator's offset are those of the eager step under the same seed; then `over` does the same to batches. Layers and
optimizers are found by their classes: one that is added to the package has no row, and the test says so.

Below that, random programs of rows of the case table, with draws and changes in place.
"""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradengine as ge
from gradengine import nn, optim
from gradengine.errors import TraceError
from gradengine.inspect import check
from gradengine.nn import functional as F
from gradengine.ops.random import default_generator
from tests.cases import CASES
from tests.test_jit_training import World, assert_same, without_graph

NUMBA = pytest.mark.skipif(ge.backends()["numba"] != "available", reason="Numba is not installed")
ROWS, FEATURES, STEPS, GROUP = 8, 6, 3, 6
TOLERANCE = 1e-10  # of float64, relative to the largest element: compiled sums are added in another order


# -- layers -------------------------------------------------------------------------------------------------------


def numbers(*shape):
    """Inputs: normal numbers, with an axis for samples in front."""
    return lambda rng, rows: rng.normal(size=(rows, *shape))


def positive(*shape):
    return lambda rng, rows: rng.uniform(0.2, 0.8, size=(rows, *shape))


def integers(high, *shape):
    return lambda rng, rows: rng.integers(0, high, size=(rows, *shape))


def signs(*shape):
    return lambda rng, rows: rng.choice([-1.0, 1.0], size=(rows, *shape))


def bits(*shape):
    return lambda rng, rows: rng.choice([0.0, 1.0], size=(rows, *shape))


def logs(*shape):
    """Logarithms of probabilities."""
    return lambda rng, rows: np.log(rng.dirichlet(np.ones(shape[-1]), size=(rows, *shape[:-1])))


VECTOR = numbers(FEATURES)
ROW = (VECTOR,)
PAIR = (VECTOR, VECTOR)


class Looping(nn.Module):
    """Layers in a list or dict, which have no forward of their own."""

    def __init__(self, layers):
        super().__init__()
        self.layers = layers

    def forward(self, x):
        for layer in self.layers.values() if isinstance(self.layers, nn.ModuleDict) else self.layers:
            x = layer(x)
        return x


class Weighted(nn.Module):
    """Parameters in a list or dict."""

    def __init__(self, parameters):
        super().__init__()
        self.held = parameters

    def forward(self, x):
        for p in self.held.values() if hasattr(self.held, "values") else self.held:
            x = x * p
        return x


def lazy():
    """A layer that has seen its input."""
    layer = nn.LazyLinear(FEATURES)
    layer(ge.ones((1, FEATURES)))
    return layer


def parts():
    return [nn.Linear(FEATURES, FEATURES), nn.Dropout(0.3), nn.Tanh()]


LAYERS = {  # of each: what makes one, and what it is given
    "Sequential": (lambda: nn.Sequential(*parts()), ROW),
    "ModuleList": (lambda: Looping(nn.ModuleList(parts())), ROW),
    "ModuleDict": (lambda: Looping(nn.ModuleDict({f"part{i}": part for i, part in enumerate(parts())})), ROW),
    "ParameterList": (lambda: Weighted(nn.ParameterList([nn.Parameter(ge.full((FEATURES,), 1.5))] * 2)), ROW),
    "ParameterDict": (lambda: Weighted(nn.ParameterDict({"a": nn.Parameter(ge.full((FEATURES,), 1.5))})), ROW),
    "Linear": (lambda: nn.Linear(FEATURES, FEATURES), ROW),
    "LazyLinear": (lazy, ROW),
    "Bilinear": (lambda: nn.Bilinear(FEATURES, FEATURES, 3), PAIR),
    "Embedding": (lambda: nn.Embedding(9, 4, padding_idx=2), (integers(9, 3),)),
    "LayerNorm": (lambda: nn.LayerNorm(FEATURES), ROW),
    "RMSNorm": (lambda: nn.RMSNorm(FEATURES), ROW),
    "Flatten": (nn.Flatten, (numbers(2, 3),)),
    "Unflatten": (lambda: nn.Unflatten(1, (2, 3)), ROW),
    "PReLU": (lambda: nn.PReLU(FEATURES), ROW),
    "Threshold": (lambda: nn.Threshold(0.1, 20.0), ROW),
    "GLU": (nn.Identity if not hasattr(nn, "GLU") else lambda: nn.GLU(-1), ROW),
    "Softmax": (lambda: nn.Softmax(-1), ROW),
    "Softmin": (lambda: nn.Softmin(-1), ROW),
    "LogSoftmax": (lambda: nn.LogSoftmax(-1), ROW),
    "Softmax2d": (lambda: nn.Softmax2d(), (numbers(2, 2, 3),)),
    "ChannelShuffle": (lambda: nn.ChannelShuffle(2), (numbers(4, 2, 2),)),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), (numbers(4, 2, 2),)),
    "PixelUnshuffle": (lambda: nn.PixelUnshuffle(2), (numbers(2, 4, 2),)),
    # Of one's own draws.
    "Dropout": (lambda: nn.Dropout(0.4), ROW),
    "AlphaDropout": (lambda: nn.AlphaDropout(0.4), ROW),
    "FeatureAlphaDropout": (lambda: nn.FeatureAlphaDropout(0.4), (numbers(4, 3),)),
    "Dropout1d": (lambda: nn.Dropout1d(0.4), (numbers(4, 3),)),
    "Dropout2d": (lambda: nn.Dropout2d(0.4), (numbers(4, 3, 2),)),
    "Dropout3d": (lambda: nn.Dropout3d(0.4), (numbers(4, 3, 2, 2),)),
    "RReLU": (lambda: nn.RReLU(), ROW),
    # Distances and losses.
    "CosineSimilarity": (lambda: nn.CosineSimilarity(1), PAIR),
    "PairwiseDistance": (lambda: nn.PairwiseDistance(), PAIR),
    "BCELoss": (nn.BCELoss, (lambda rng, rows: rng.uniform(0.1, 0.5, size=(rows, FEATURES)), bits(FEATURES))),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss, (VECTOR, bits(FEATURES))),
    "CrossEntropyLoss": (lambda: nn.CrossEntropyLoss(ignore_index=1, label_smoothing=0.1), (VECTOR, integers(4))),
    "NLLLoss": (nn.NLLLoss, (VECTOR, integers(FEATURES))),
    "KLDivLoss": (lambda: nn.KLDivLoss(reduction="batchmean"), (logs(FEATURES), positive(FEATURES))),
    "HingeEmbeddingLoss": (nn.HingeEmbeddingLoss, (VECTOR, signs(FEATURES))),
    "MarginRankingLoss": (lambda: nn.MarginRankingLoss(0.2), (VECTOR, VECTOR, signs(FEATURES))),
    "SoftMarginLoss": (nn.SoftMarginLoss, (VECTOR, signs(FEATURES))),
    "CosineEmbeddingLoss": (lambda: nn.CosineEmbeddingLoss(0.1), (VECTOR, VECTOR, signs())),
    "GaussianNLLLoss": (lambda: nn.GaussianNLLLoss(), (VECTOR, VECTOR, positive(FEATURES))),
    "MultiLabelMarginLoss": (lambda: nn.MultiLabelMarginLoss(), (VECTOR, integers(FEATURES, FEATURES))),
    "MultiLabelSoftMarginLoss": (lambda: nn.MultiLabelSoftMarginLoss(), (VECTOR, bits(FEATURES))),
    "MultiMarginLoss": (lambda: nn.MultiMarginLoss(), (VECTOR, integers(FEATURES))),
    "PoissonNLLLoss": (lambda: nn.PoissonNLLLoss(), (VECTOR, integers(5, FEATURES))),
    "TripletMarginLoss": (lambda: nn.TripletMarginLoss(), (VECTOR, VECTOR, VECTOR)),
    "TripletMarginWithDistanceLoss": (lambda: nn.TripletMarginWithDistanceLoss(), (VECTOR, VECTOR, VECTOR)),
}
PLAIN = (
    "Identity CELU ELU GELU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid Mish ReLU ReLU6 SELU "
    "Sigmoid SiLU Softplus Softshrink Softsign Tanh Tanhshrink"
)
LAYERS |= {name: (lambda name=name: getattr(nn, name)(), ROW) for name in PLAIN.split()}
LAYERS |= {
    name: (lambda name=name: getattr(nn, name)(), PAIR) for name in ("MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss")
}
for _axes in (1, 2, 3):
    for _kind in ("ConstantPad", "ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad"):
        _name, _given = f"{_kind}{_axes}d", ((1, 0.5) if _kind == "ConstantPad" else (1,))
        LAYERS[_name] = (lambda name=_name, given=_given: getattr(nn, name)(*given), (numbers(2, *(3, 2, 2)[:_axes]),))
NO_LAYERS = {"Module"}
FOUND = [
    name
    for name in nn.__all__
    if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module) and name not in NO_LAYERS
]
GROUPS = [FOUND[i : i + GROUP] for i in range(0, len(FOUND), GROUP)]

# Settings that a step may have; what is not here has those of its constructor.
SETTINGS = {
    "SGD": dict(lr=0.05, momentum=0.9, dampening=0.3, weight_decay=0.1),
    "RMSprop": dict(lr=0.01, momentum=0.5, centered=True),
    "Adam": dict(lr=0.01, amsgrad=True, weight_decay=0.1),
    "Adagrad": dict(lr=0.05, lr_decay=0.1),
}
OF_MATRICES = {"Muon"}
NO_STEP = {"Optimizer", "LBFGS"}  # the base, and one that calls a closure many times
OPTIMIZERS = [
    name
    for name in optim.__all__
    if isinstance(getattr(optim, name), type) and issubclass(getattr(optim, name), optim.Optimizer)
    if name not in NO_STEP
]
RUNS = [(GROUPS[i % len(GROUPS)], OPTIMIZERS[i % len(OPTIMIZERS)]) for i in range(max(len(GROUPS), len(OPTIMIZERS)))]


class Several(nn.Module):
    """A layer twice, side by side and, where it gives what it takes, once more after the first.

    Its inputs that are floating-point are scaled by parameters, so that gradients flow through layers that have none.
    """

    def __init__(self, name):
        super().__init__()
        make, self.samples = LAYERS[name]
        self.layers = nn.ModuleList([make() for _ in range(2)])
        shape = self.samples[0](np.random.default_rng(0), 1).shape  # another gain for each, which no layer takes away
        self.gain = nn.Parameter(ge.linspace(0.5, 1.5, int(np.prod(shape))).reshape(*shape))

    def forward(self, *given):
        first, *rest = [self.gain * x if i == 0 and x.dtype.kind == "f" else x for i, x in enumerate(given)]
        found = [layer(first, *rest) for layer in self.layers]
        if not rest and found[0].shape == first.shape and found[0].dtype == first.dtype:
            found.append(self.layers[1](found[0]))
        return found


def build(names, optimizer):
    """The model of a group of layers, and the usual step."""
    models = nn.ModuleList([Several(name) for name in names]).double()
    learned = [p for p in models.parameters() if p.ndim == 2 or optimizer not in OF_MATRICES]
    made = getattr(optim, optimizer)(learned, **SETTINGS.get(optimizer, {}))

    def step(*given):
        arrays = iter(given)
        found = [y for model in models for y in model(*[next(arrays) for _ in model.samples])]
        loss = sum([(y * y + y).mean() for y in found])
        made.zero_grad()
        loss.backward()
        made.step()
        return loss, [(y * y).mean() for y in found]

    return World(step, models, made)


def samples(names, seed, rows):
    rng = np.random.default_rng(seed)
    return [ge.tensor(sample(rng, rows)) for name in names for sample in LAYERS[name][1]]


def built_twice(names, optimizer):
    """Two equal worlds, for the eager step and the jitted one."""
    for _ in range(2):
        ge.manual_seed(1)
        yield build(names, optimizer)


def test_every_layer_has_a_row():
    missing = [name for name in FOUND if name not in LAYERS]
    assert not missing, f"give a row of LAYERS to {', '.join(missing)}"


def runs():
    """Each group on NumPy; where kernels are compiled, which takes seconds, one in eight outside the slow tests."""
    for i, (names, optimizer) in enumerate(RUNS):
        for backend in ("numpy", "numba", "cupy"):
            marks = [pytest.mark.slow] if backend != "numpy" and i % 8 else []
            marks += {"numba": [NUMBA], "cupy": [pytest.mark.cuda]}.get(backend, [])
            yield pytest.param(backend, names, optimizer, marks=marks, id="-".join([backend, optimizer, *names]))


@pytest.mark.parametrize(("chosen", "names", "optimizer"), [*runs()])
def test_a_model_of_several_layers(chosen, names, optimizer):
    if chosen == "cupy":
        ge.set_default_device("cuda")
    else:
        ge.set_cpu_backend(chosen)
    eager, jitted = built_twice(names, optimizer)
    step = ge.jit(jitted.step)
    for i in range(STEPS):
        ends = []
        for world, run in ((eager, eager.step), (jitted, step)):
            ge.manual_seed(i)
            ends.append((without_graph(run(*samples(names, i, ROWS))), world.state(), default_generator.offset))
        assert_same(ends[1], ends[0], TOLERANCE, f"step {i}")
    assert step.cache_info().misses == 1
    # Batches of one call, the last of which is smaller.
    data, order = samples(names, 7, 2 * ROWS + 3), np.random.default_rng(8).permutation(2 * ROWS + 3)
    ge.manual_seed(9)
    want = []
    for start in range(0, len(order), ROWS):
        want.append(eager.step(*[x[ge.tensor(order[start : start + ROWS])] for x in data])[0].item())
    offset = default_generator.offset
    ge.manual_seed(9)
    losses, _ = step.over(*data, batch_size=ROWS, order=order)
    np.testing.assert_allclose(losses.numpy(), want, rtol=TOLERANCE)
    assert_same(jitted.state(), eager.state(), TOLERANCE, "after batches")
    assert default_generator.offset == offset


def test_whole_and_last_batches_take_turns(backend):
    """The two programs of a step change the same state, epoch after epoch."""
    names = ["Linear", "Dropout", "CrossEntropyLoss"]
    eager, jitted = built_twice(names, "Adam")
    step = ge.jit(jitted.step)
    for i, rows in enumerate([ROWS, 3, ROWS, ROWS, 3, ROWS]):
        for run in (eager.step, step):
            ge.manual_seed(i)
            run(*samples(names, i, rows))
        assert_same(jitted.state(), eager.state(), TOLERANCE, f"step {i}")
    assert step.cache_info()[:2] == (4, 2)


def test_what_calls_the_step_many_times_says_so():
    w = ge.tensor([1.0], requires_grad=True)
    optimizer = optim.LBFGS([w])

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with pytest.raises(TraceError, match="LBFGS"):
        ge.jit(lambda: optimizer.step(closure))()


# -- random programs ----------------------------------------------------------------------------------------------

SHAPE = (3, 4)
BY_DATA = ("argwhere", "masked_select", "nonzero", "getitem/mask", "getitem/true", "unique")  # shapes that data decide


def fitting(case):
    """Whether a row maps the first of its arrays, of the shape of programs, to a floating-point array."""
    if case.order < 1 or case.name.startswith(BY_DATA):
        return False
    rng = np.random.default_rng(0)
    arrays = case.sample(rng)
    try:
        with np.errstate(all="ignore"), ge.no_grad():
            given = [ge.tensor(rng.uniform(0.2, 0.8, SHAPE)), *check.tensors(arrays[1:])]
            y = case.call(*given)
        return isinstance(y, ge.Tensor) and y.dtype == ge.float64 and np.isfinite(y.numpy()).all()
    except Exception:
        return False  # it needs another shape


@functools.cache
def usable():
    return [case for case in CASES if fitting(case)]


def back(y, like):
    """Any result as an array of the programs' shape, between 0 and 1."""
    return F.sigmoid(y.mean() + like * 0.5) if y.shape != SHAPE else F.sigmoid(y)


def in_place(x, v, how):
    y = x * 1.0
    if how == 0:
        y[1] = v[0]
    elif how == 1:
        y[:, 1:3] += v[:, :2]
    elif how == 2:
        y[v > 0.5] = 0.25
    elif how == 3:
        y.mul_(v).add_(0.5)
    else:
        y[ge.tensor([0, 2])] = v[1:]
    return y


DRAWN = [
    lambda x, p: F.dropout(x, p),
    lambda x, p: x * ge.bernoulli(p, x.shape, dtype=x.dtype),
    lambda x, p: x + ge.rand(*x.shape, dtype=x.dtype) * p,
    lambda x, p: x * ge.randint(1, 3, x.shape).to(x.dtype),
    lambda x, p: ge.take(x, ge.randperm(x.shape[0]), axis=0),
    lambda x, p: x + ge.randn(4).to(x.dtype) * p,
]

place = st.integers(0, 99)
STEP = st.one_of(
    st.tuples(st.just("case"), place, st.integers(0, 10_000)),
    st.tuples(st.just("draw"), place, st.integers(0, len(DRAWN) - 1), st.floats(0.1, 0.9)),
    st.tuples(st.just("write"), place, place, st.integers(0, 4)),
    st.tuples(st.just("join"), place, place),
)


def random_program(steps):
    """A function of two arrays: its value, and the gradients of it."""

    def run(x, w):
        known = [F.sigmoid(x), F.sigmoid(w)]
        for kind, at, *rest in steps:
            a = known[at % len(known)]
            if kind == "case":
                case = usable()[rest[0] % len(usable())]
                others = check.tensors(case.sample(np.random.default_rng(rest[0]))[1:])
                known.append(back(case.call(a * 0.6 + 0.2, *others), a))
            elif kind == "draw":
                known.append(F.sigmoid(DRAWN[rest[0]](a, rest[1])))
            elif kind == "write":
                known.append(in_place(a, known[rest[0] % len(known)], rest[1]))
            else:
                known.append(F.softmax(a, -1) * known[rest[0] % len(known)] + a.sum(0) * 0.1)
        value = sum([(y * y).mean() for y in known])
        return (value, *known[2:], *ge.grad(value, [x, w]))

    return run


def check_random_program(steps):
    function = random_program(steps)
    jitted = ge.jit(function)
    with np.errstate(all="ignore"):
        for seed in range(2):
            rng = np.random.default_rng(seed)
            given = [ge.tensor(rng.normal(size=SHAPE), requires_grad=True) for _ in range(2)]
            ends = []
            for run in (function, jitted):
                ge.manual_seed(seed)
                ends.append([y.detach().numpy() for y in run(*given)])
            for want, got in zip(*ends, strict=True):
                np.testing.assert_allclose(got, want, rtol=1e-7, atol=1e-9)


@given(steps=st.lists(STEP, min_size=1, max_size=8))
@settings(max_examples=40)
def test_random_programs_replayed(steps):
    ge.set_cpu_backend("numpy")
    check_random_program(steps)


COMPILED = [pytest.param(2), pytest.param(40, marks=pytest.mark.slow)]  # examples, each with kernels of its own


@NUMBA
@pytest.mark.parametrize("examples", COMPILED)
def test_random_programs_compiled(examples):
    @given(steps=st.lists(STEP, min_size=1, max_size=8))
    @settings(max_examples=examples)
    def run(steps):
        ge.set_cpu_backend("numba")
        check_random_program(steps)

    run()
