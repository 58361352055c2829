"""Compiled programs on a GPU: how many graphs and launches there are, what stops them, and what they leave behind."""

from types import SimpleNamespace

import numpy as np
import pytest

import gradengine as ge
from gradengine import nn, optim
from gradengine.errors import DeviceError, IndexRangeError
from gradengine_kernels.cupy_cuda import loop_codegen, loop_kernel, programs, row_kernels

pytestmark = pytest.mark.cuda


@pytest.fixture(autouse=True)
def on_cuda(clean_state):
    ge.set_default_device("cuda")


class Training:
    """A small network with everything that a step has."""

    def __init__(self, optimizer="Adam", **options):
        ge.manual_seed(3)
        self.model = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 5))
        self.optimizer = getattr(optim, optimizer)(self.model.parameters(), lr=0.05, **options)
        self.loss = nn.CrossEntropyLoss()

    def step(self, x, y):
        self.optimizer.zero_grad()
        loss = self.loss(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss

    def parameters(self):
        return [p.detach().numpy().copy() for p in self.model.parameters()]


def batch(rng, size=12):
    return ge.tensor(rng.normal(size=(size, 20)).astype("f")), ge.tensor(rng.integers(0, 5, size))


def program_of(step):
    """The only compiled program of a step."""
    ((program,),) = step.programs.values()
    (part,) = program.executor.parts
    return part


def test_one_graph_serves_all_calls_whatever_is_kept_of_them(rng):
    training = Training()
    step = ge.jit(training.step)
    kept = [step(*batch(rng)) for _ in range(6)]
    assert len(program_of(step).graphs) == 1
    assert len({float(loss) for loss in kept}) == 6


def test_programs_that_may_run_on_two_streams_share_no_scratch_memory(rng):
    x, w = (ge.tensor(rng.normal(size=shape).astype("f")) for shape in ((3, 100), (100, 4)))
    steps = [ge.jit(lambda x: x @ w), ge.jit(lambda x: (x @ w) * 2)]
    for step in steps:
        step(x)
    used = []
    for program in map(program_of, steps):
        launch = next(launch for launch in program.launches if launch.plan is not None)
        plan, launch.plan = launch.plan, SimpleNamespace(run=lambda *at, **more: used.append(more["workspace"]))
        program.one(launch)()
        launch.plan = plan
        assert program.workspace.nbytes >= plan.workspace_bytes
    assert len({*used, 0}) == 3


def test_gradients_that_a_user_keeps_stay_as_they_are(rng):
    training = Training()
    step, eager = ge.jit(training.step), Training()
    for _ in range(4):
        x, y = batch(rng)
        step(x, y)
        eager.step(x, y)
        p, q = next(training.model.parameters()), next(eager.model.parameters())
        held, before = p.grad, p.grad.numpy().copy()
        np.testing.assert_allclose(before, q.grad.numpy(), rtol=1e-4, atol=1e-6)
        step(x, y)
        eager.step(x, y)
        np.testing.assert_array_equal(held.numpy(), before)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_the_updates_of_all_parameters_are_one_launch(optimizer, rng):
    training = Training(optimizer)
    step = ge.jit(training.step)
    step(*batch(rng))
    part = program_of(step)
    groups = programs.joined(part.launches, part.arrays)
    assert [len(group) for group in groups if len(group) > 1] == [4]
    assert len(groups) == 10


def test_launches_that_depend_on_each_other_stay_apart(rng):
    """Each of these is the same kernel, but reads what the one before has written."""

    @ge.jit
    def step(x, weights):
        for w in weights:
            x = (x @ w) * 2.0 + 1.0
        return x

    x = ge.tensor(rng.normal(size=(4, 4)))
    weights = [ge.tensor(rng.normal(size=(4, 4))) for _ in range(3)]
    got = step(x, weights)
    part = program_of(step)
    assert all(len(group) == 1 for group in programs.joined(part.launches, part.arrays))
    want = x.numpy()
    for w in weights:
        want = want @ w.numpy() * 2.0 + 1.0
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-12)


def test_a_label_out_of_range_stops_the_step_before_anything_is_updated(rng):
    training = Training()
    step = ge.jit(training.step)
    x, y = batch(rng)
    step(x, y)
    before = training.parameters()
    wrong = y.numpy().copy()
    wrong[3] = 5
    with pytest.raises(IndexRangeError, match="labels are 0 to 4"):
        step(x, ge.tensor(wrong))
    for p, q in zip(training.parameters(), before, strict=True):
        np.testing.assert_array_equal(p, q)
    assert np.isfinite(float(step(x, y)))
    assert any(not np.array_equal(p, q) for p, q in zip(training.parameters(), before, strict=True))


def test_a_label_out_of_range_ends_a_pass_after_the_steps_before_it(rng):
    data, labels = rng.normal(size=(80, 20)).astype("f"), rng.integers(0, 5, 80)
    labels[50] = -7
    training, eager = Training(), Training()
    with pytest.raises(IndexRangeError, match="in batch 5"):
        ge.jit(training.step).over(ge.tensor(data), ge.tensor(labels), batch_size=10)
    for start in range(0, 50, 10):
        eager.step(ge.tensor(data[start : start + 10]), ge.tensor(labels[start : start + 10]))
    for p, q in zip(training.parameters(), eager.parameters(), strict=True):
        np.testing.assert_allclose(p, q, rtol=2e-4, atol=1e-5)


def test_a_pass_is_a_few_graphs_of_several_steps(rng):
    data, labels = rng.normal(size=(200, 20)).astype("f"), rng.integers(0, 5, 200)
    training = Training("SGD", momentum=0.9)
    step = ge.jit(training.step)
    order = rng.permutation(200)
    losses = step.over(ge.tensor(data), ge.tensor(labels), batch_size=10, order=order)
    eager = Training("SGD", momentum=0.9)
    want = []
    for i in range(0, 200, 10):
        rows = order[i : i + 10]
        want.append(float(eager.step(ge.tensor(data[rows]), ge.tensor(labels[rows]))))
    np.testing.assert_allclose(losses.numpy(), want, rtol=2e-5)
    assert 1 <= len(program_of(step).graphs) <= 4


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_step_in_half_precision_is_one_program(dtype, rng):
    def made():
        training = Training("SGD")

        def step(x, y):
            training.optimizer.zero_grad()
            with ge.autocast("cuda", dtype=getattr(ge, dtype)):
                loss = training.loss(training.model(x), y)
            loss.backward()
            training.optimizer.step()
            return loss

        return step

    eager, step = made(), ge.jit(made())
    for _ in range(5):
        x, y = batch(rng)
        np.testing.assert_allclose(float(step(x, y)), float(eager(x, y)), rtol=2e-2)
    products = [launch.plan.product.dtype for launch in program_of(step).launches if launch.plan is not None]
    assert len(products) == 5
    assert set(products) == {dtype}


def test_a_step_without_arguments_runs_where_its_parameters_are(rng):
    ge.set_default_device("cpu")
    w = ge.tensor(rng.normal(size=5), device="cuda", requires_grad=True)

    @ge.jit
    def step():
        loss = (w * w).sum()
        loss.backward()
        return loss

    assert step().device == "cuda:0"
    np.testing.assert_allclose(w.grad.numpy(), 2 * w.detach().numpy(), rtol=1e-12)


def test_a_step_on_two_devices_is_refused(rng):
    w = ge.tensor(rng.normal(size=5), device="cpu")
    step = ge.jit(lambda x: (x * w).sum())
    with pytest.raises(DeviceError, match=r"jit: the step computes on 'cuda:0' and on 'cpu'"):
        step(ge.ones(5, device="cuda"))


@pytest.fixture
def captures(monkeypatch):
    """How many graphs have been captured."""
    from gradengine_kernels.cupy_cuda import driver

    counted, capture = [], driver.capture
    monkeypatch.setattr(driver, "capture", lambda *parts: counted.append(1) or capture(*parts))
    return counted


def test_ops_that_are_called_leave_their_results_where_graphs_look_for_them(captures):
    table, head = nn.Embedding(10, 4), nn.Linear(4, 3)
    optimizer = optim.SGD([*table.parameters(), *head.parameters()], lr=0.1)

    @ge.jit
    def step(words, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(head(table(words)), y)
        loss.backward()
        optimizer.step()
        return loss

    losses = [float(step(ge.arange(6), ge.arange(6) % 3)) for _ in range(8)]
    assert len(captures) <= 8
    assert losses == sorted(losses, reverse=True)


def test_what_is_not_aligned_is_copied_to_one_place(captures, rng):
    v = ge.tensor(rng.normal(size=9))[1:]
    step = ge.jit(lambda x: (x * v).sum())
    for _ in range(5):
        x = rng.normal(size=8)
        np.testing.assert_allclose(float(step(ge.tensor(x))), x @ v.numpy(), rtol=1e-12)
    assert len(captures) == 1


def test_gradients_that_are_always_kept_do_not_cost_a_graph_each(captures, rng):
    layer = nn.Linear(4, 3)

    @ge.jit
    def step(x):
        layer.zero_grad()
        (layer(x) ** 2).sum().backward()

    held, want = [], []
    for _ in range(10):
        x = ge.tensor(rng.normal(size=(5, 4)).astype("f"))
        step(x)
        held.append(layer.weight.grad)
        (g,) = ge.grad((layer(x) ** 2).sum(), [layer.weight])
        want.append(g.numpy())
    assert len(captures) <= 6
    for h, w in zip(held, want, strict=True):
        np.testing.assert_allclose(h.numpy(), w, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mean", "var", "mse", "cross entropy"])
def test_half_precision_is_divided_before_it_is_rounded(name):
    """A sum of 70,000 elements is more than float16 holds; their mean is not."""
    x = ge.full((70000, 2), 2.0, dtype=ge.float16)
    function = {
        "mean": lambda x: x.mean(),
        "var": lambda x: x.var(0),
        "mse": lambda x: nn.functional.mse_loss(x, x * 0.0),
        "cross entropy": lambda x: nn.functional.cross_entropy(x, ge.zeros(70000, dtype=ge.int64)),
    }[name]
    np.testing.assert_array_equal(ge.jit(function)(x).numpy(), function(x).numpy())
    assert np.isfinite(function(x).numpy()).all()


def test_a_switch_of_tf32_makes_another_program():
    product = ge.jit(lambda a: a @ a)
    product(ge.ones(4, 4))
    ge.cuda.set_tf32(True)
    try:
        product(ge.ones(4, 4))
    finally:
        ge.cuda.set_tf32(False)
    assert product.cache_info().misses == 2


COLUMNS = [1, 2, 3, 10, 31, 33, 100, 128, 1000, 4100, 9001]


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_rows_of_every_length(columns, dtype, rng):
    """Softmax and its gradient, which every team of threads, from one lane to a block, computes alike."""
    x = ge.tensor(rng.normal(size=(5, columns)) * 3, dtype=getattr(ge, dtype), requires_grad=True)
    g = rng.normal(size=(5, columns))
    y = ge.softmax(x, axis=-1)
    y.backward(ge.tensor(g, dtype=getattr(ge, dtype)))
    wide = x.detach().numpy().astype(np.float64)
    e = np.exp(wide - wide.max(1, keepdims=True))
    want = e / e.sum(1, keepdims=True)
    g = g.astype(y.dtype).astype(np.float64)
    eps = {"float32": 1e-6, "float64": 1e-14, "float16": 2e-3, "bfloat16": 2e-2}[dtype]
    np.testing.assert_allclose(y.detach().numpy().astype(np.float64), want, rtol=eps * 8, atol=eps)
    slope = want * (g - (g * want).sum(1, keepdims=True))
    np.testing.assert_allclose(x.grad.numpy().astype(np.float64), slope, rtol=eps * 8, atol=eps * 4)


@pytest.mark.parametrize("shape", [(1, 7), (3, 1), (300, 5), (64, 33), (1000, 128), (17, 5000)])
def test_sums_of_columns_by_many_blocks(shape, rng):
    x = rng.normal(size=shape)
    for dtype, eps in ((np.float64, 1e-12), (np.float32, 2e-5)):
        for axis in (0, 1, None):
            got = ge.tensor(x.astype(dtype)).sum(axis=axis)
            np.testing.assert_allclose(got.numpy(), x.astype(dtype).sum(axis), rtol=eps, atol=eps * 10)


FAULTS = {
    "a barrier after the partial sums": (
        "if (lane == 0) parts[warp] = x;\n  __syncthreads();",
        "if (lane == 0) parts[warp] = x;",
    ),
    "the lanes of half a warp": ("for (int o = LANES / 2;", "for (int o = LANES / 4;"),
    "the last block": ("return before == gridDim.x - 1;", "return before == 0;"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_what_kernels_share_is_found(fault, monkeypatch, rng):
    """The very checks above fail when the code that they are to check is wrong."""
    from gradengine_kernels.cupy_cuda import driver, rows

    right, wrong = FAULTS[fault]
    assert right in driver.PRELUDE
    monkeypatch.setattr(driver, "PRELUDE", driver.PRELUDE.replace(right, wrong))
    driver.loaded.cache_clear()
    rows.forget()

    def checks():
        test_rows_of_every_length(1000, "float32", rng)
        test_sums_of_columns_by_many_blocks((1000, 128), rng)

    try:
        with pytest.raises(AssertionError):
            checks()
    finally:
        driver.loaded.cache_clear()
        rows.forget()


def test_the_host_waits_for_the_check_of_labels_alone(rng, monkeypatch):
    """The first graph has one launch and tells the host; the other is started before the host waits."""
    training = Training()
    step = ge.jit(training.step)
    step(*batch(rng))
    part = program_of(step)
    assert [len(launches) for launches in part.parts] == [1, len(part.launches) - 1]
    assert part.parts[0][0].plan is None
    (graphs,) = part.graphs.values()
    order = []
    for name, graph in zip("ab", graphs, strict=True):
        monkeypatch.setattr(graph, "launch", lambda graph=graph.launch, name=name: (order.append(name), graph()))
    read = part.verdict.read
    monkeypatch.setattr(part.verdict, "read", lambda: (order.append("read"), read())[1])
    step(*batch(rng))
    assert order == ["a", "b", "read"]


def test_labels_that_a_product_makes_are_checked_after_it(rng):
    """The host has to wait for the product then."""
    w = ge.tensor(rng.normal(size=(20, 7)).astype("f"), requires_grad=True)
    head = ge.tensor(rng.normal(size=(20, 3)).astype("f"))
    optimizer = optim.SGD([w], lr=0.1)

    @ge.jit
    def step(x, lift):
        y = ge.argmax(x @ head, axis=1) + lift
        loss = nn.functional.cross_entropy(x @ w, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    x, _ = batch(rng)
    before = w.detach().numpy().copy()
    assert np.isfinite(float(step(x, ge.zeros(12, dtype=ge.int64))))
    after = w.detach().numpy().copy()
    assert not np.array_equal(before, after)
    with pytest.raises(IndexRangeError, match="labels are 0 to 6"):
        step(x, ge.full(12, 7, dtype=ge.int64))
    np.testing.assert_array_equal(w.detach().numpy(), after)


def test_cross_entropy_and_its_gradient_are_one_kernel(rng):
    training = Training("SGD")
    step = ge.jit(training.step)
    x, y = batch(rng)
    step(x, y)
    program, _ = step.find((x, y), {})
    stages = [{e.name for e in stage.equations} for unit in program.executor.units for stage in unit.stages]
    assert [names for names in stages if {"exp", "log"} <= names and "at_column" in names and "where" in names]
    assert sum("exp" in names for names in stages) == 1


def test_between_steps_results_and_batches_move_in_one_launch(rng):
    training = Training("SGD")
    step = ge.jit(training.step)
    data, labels = ge.tensor(rng.normal(size=(96, 20)).astype("f")), ge.tensor(rng.integers(0, 5, 96))
    step.over(data, labels, batch_size=2)
    part = program_of(step)
    groups = len(programs.joined(part.launches, part.arrays))
    nodes = {key[0]: len(graphs[0].kept[0].nodes) for key, graphs in part.graphs.items() if key[1] is not None}
    assert nodes == {1: groups + 1, 8: 8 * (groups + 1)} or nodes == {8: 8 * (groups + 1)}


@pytest.mark.parametrize("steps", [1, 7, 8, 9, 17])
def test_over_reads_no_sample_beyond_the_last(steps, rng):
    """After the last step nothing is left to be gathered."""
    x = ge.tensor(rng.normal(size=(steps * 3, 5)).astype("f"))
    total = ge.zeros(5)

    @ge.jit
    def step(batch):
        total.add_(batch.sum(axis=0))
        return batch.mean()

    got = step.over(x, batch_size=3)
    want = x.numpy().reshape(steps, 3, 5)
    np.testing.assert_allclose(got.numpy(), want.mean((1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(total.numpy(), want.sum((0, 1)), rtol=1e-4, atol=1e-5)
    order = ge.randperm(steps * 3)
    got = step.over(x, batch_size=3, order=order)
    want = x.numpy()[order.numpy()].reshape(steps, 3, 5)
    np.testing.assert_allclose(got.numpy(), want.mean((1, 2)), rtol=1e-5, atol=1e-6)


# -- what a thread asks for before it waits -----------------------------------------------------------------------


def test_all_operands_of_a_line_are_asked_for_together():
    text = ge.cuda.source(ge.multiply, dtype="bfloat16")
    together = text[text.index("if (left >= 8) {") : text.index("} else {")]
    assert together.count("load<8>") == 2
    assert "break" not in text


def rows_of(draft, real, columns):
    made = row_kernels.Draft(real)
    draft(made)
    given = loop_codegen.Given(1 << 17, ("columns",), tuple(made.scalars), columns, 16)
    return loop_kernel.source_of(made.loop, given).code


def test_several_rows_are_read_before_the_first_is_added():
    text = rows_of(row_kernels.sum_columns, "float32", 1024)
    assert text.index("load<4>") < text.index("step < 4", text.index("step < 4") + 1) < text.index("columns0[team")


def test_half_precision_is_read_before_it_is_converted():
    text = rows_of(row_kernels.softmax_grad, "bfloat16", 1024)
    assert text.count("fetch(") == text.count("spread(") == 2
    assert text.rindex("fetch(") < text.index("spread(")


# -- numbers that follow sums --------------------------------------------------------------------------------------

STEPS = {  # numbers that follow sums, in ways that other kernels, checks or results go on from
    "of one sum": lambda x, w, n: (x / (x * x).sum().sqrt(), x.sum() * 2),
    "of two sums": lambda x, w, n: ((x.sum() - w.sum()) / (w * w).sum(), x * (x.sum() / w.sum())),
    "a chain": lambda x, w, n: (ge.where(x.sum().exp() + 1 > 2, x.mean(), -x.mean()), ge.tanh(x.sum() * w.sum() + 1)),
    "of a number that is given": lambda x, w, n: (x.sum() * n + n, (w * (x.sum() * n)).sum()),
    "of one element": lambda x, w, n: (x[0, 0] * x.sum(), (x[0, 0] + 1) * w.sum() + x[0, 0]),
    "a condition": lambda x, w, n: (x.sum() > w.sum(), ge.where(x.sum() > w.sum(), x, w)),
    "a sum of sums": lambda x, w, n: (((x * x.sum()).sum() * w).sum() * 2, ge.logical_not(x.sum() > 0)),
    "of a product": lambda x, w, n: ((x @ w.mT).sum() / n, (x @ w.mT) / (x @ w.mT).sum()),
    "of rows": lambda x, w, n: (x.sum(axis=1).max() * 2, x.max() * w.sum(), x.sum(axis=0).sum() + 1),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", STEPS)
def test_numbers_that_follow_sums(name, dtype, rng):
    function = STEPS[name]
    step = ge.jit(function)
    for n in (2.0, 0.5):
        x, w = (ge.tensor(rng.uniform(0.1, 1.0, (5, 7)).astype(dtype)) for _ in range(2))
        for found, want in zip(step(x, w, n), function(x, w, n), strict=True):
            assert (found.shape, found.dtype) == (want.shape, want.dtype)
            np.testing.assert_allclose(found.numpy(), want.numpy(), rtol=1e-12 if dtype == "float64" else 2e-5)


def test_numbers_that_follow_sums_have_no_kernels_of_their_own(rng):
    """The norm of all gradients, and what they are multiplied with, come with the last sum."""
    training = Training("SGD")

    @ge.jit
    def step(x, y):
        training.optimizer.zero_grad()
        loss = training.loss(training.model(x), y)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(training.model.parameters(), 0.1)
        training.optimizer.step()
        return loss, norm

    eager = Training("SGD")
    for _ in range(3):
        x, y = batch(rng)
        loss, norm = step(x, y)
        eager.optimizer.zero_grad()
        wanted = eager.loss(eager.model(x), y)
        wanted.backward()
        np.testing.assert_allclose(
            float(norm), float(nn.utils.clip_grad_norm_(eager.model.parameters(), 0.1)), rtol=1e-5
        )
        eager.optimizer.step()
        np.testing.assert_allclose(float(loss), float(wanted), rtol=1e-5)
    for p, q in zip(training.parameters(), eager.parameters(), strict=True):
        np.testing.assert_allclose(p, q, rtol=1e-4, atol=1e-6)
    (program,) = [found for programs in step.programs.values() for found in programs]
    stages = [stage for unit in program.executor.units for stage in unit.stages if not stage.alone]
    assert all(stage.columns > 1 or unit.rows > 1 for unit in program.executor.units for stage in unit.stages)
    assert [e.name for stage in stages for e in stage.after].count("sqrt") >= 1


def test_sums_of_labels_may_depend_on_each_other(rng):
    """Counts, what is computed of them, and sums of that again: all of it comes before the first product."""

    def function(x, w, y):
        seen = ge.astype(ge.not_equal(y, 2), ge.float32)
        share = seen.sum() / 12.0
        spread = ((seen - share) ** 2).sum()
        loss = nn.functional.cross_entropy(x @ w, y, ignore_index=2)
        return loss * share, spread, ge.sqrt(spread + 1) * share, (x * spread).sum()

    x, w = (ge.tensor(rng.normal(size=shape).astype("f")) for shape in ((12, 6), (6, 4)))
    y = ge.tensor(rng.integers(0, 4, 12))
    step = ge.jit(function)
    for found, want in zip(step(x, w, y), function(x, w, y), strict=True):
        np.testing.assert_allclose(found.numpy(), want.numpy(), rtol=1e-5)
    with pytest.raises(IndexRangeError, match="labels are 0 to 3"):
        step(x, w, y + 2)


def test_long_chains_are_compiled(rng):
    """Each op waits for who reads it, but not all of them for each other."""

    @ge.jit
    def step(x):
        for _ in range(1500):
            x = x * 1.001 + 0.001
        return x.sum()

    x = rng.normal(size=5).astype("f")
    want = x.copy()
    for _ in range(1500):
        want = want * np.float32(1.001) + np.float32(0.001)
    for device in ("cuda", "cpu"):
        np.testing.assert_allclose(step(ge.tensor(x, device=device)).numpy(), want.sum(), rtol=1e-4)
