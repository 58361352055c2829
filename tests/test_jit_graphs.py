"""Random expression graphs jitted: values, gradients and gradients of gradients equal the eager run's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradengine as ge
from tests.test_graphs import arrays_of, programs, run


def all_orders(steps):
    """The program's value, its gradients, and the gradients of the sum of their squares."""

    def function(tensors):
        value = run(ge, tensors, steps, lambda name: getattr(ge, name))
        first = ge.grad(value, tensors, create_graph=True)
        squares = [(g * g).sum() for g in first if g.requires_grad]
        second = ge.grad(sum(squares[1:], squares[0]), tensors, allow_unused=True) if squares else ()
        return value, first, second

    return function


def check_program(program, dtype, tolerance):
    leaves, steps, seed = program
    eager = all_orders(steps)
    step = ge.jit(eager)
    with np.errstate(all="ignore"):
        for call in range(2):
            tensors = [ge.tensor(a.astype(dtype), requires_grad=True) for a in arrays_of(leaves, seed + call)]
            (value, first, second), want = step(tensors), eager(tensors)
            scale = max(1.0, abs(want[0].item()))
            for got, expected in ((value, want[0]), *zip(first, want[1], strict=True)):
                assert_close(got, expected, scale, tolerance)
            # The squares are of the first order's size, so theirs is what rounds.
            scale = max([scale, *[float(abs(g).max().item()) ** 2 for g in want[1]]])
            for got, expected in zip(second, want[2], strict=True):
                assert_close(got, expected, scale, tolerance)
    assert step.cache_info()[:2] == (1, 1)


def assert_close(got, want, scale, tolerance):
    assert (got is None) == (want is None)
    if got is not None:
        got, want = got.detach().numpy(), want.detach().numpy()
        assert (got.shape, got.dtype) == (want.shape, want.dtype)
        assert np.abs(got - want).max(initial=0.0) <= tolerance * max(scale, np.abs(want).max(initial=0.0))


@given(program=programs())
@settings(max_examples=100)
def test_replayed_equals_eager(program):
    """The graph after the passes, kernel by kernel."""
    ge.set_cpu_backend("numpy")
    check_program(program, np.float64, 1e-12)


NUMBA = pytest.mark.skipif(ge.backends()["numba"] != "available", reason="Numba is not installed")


def compiled(strategy, check, examples):
    """Run `check` on programs that are compiled; each has kernels of its own, so there are few outside slow tests."""

    @given(program=strategy)
    @settings(max_examples=examples)
    def run(program):
        ge.set_cpu_backend("numba")
        check(program)

    run()


def few_or(many):
    return pytest.mark.parametrize("examples", [6, pytest.param(many, marks=pytest.mark.slow)])


@NUMBA
@few_or(40)
def test_compiled_equals_eager(examples):
    compiled(programs(), lambda program: check_program(program, np.float64, 1e-12), examples)


@NUMBA
@few_or(15)
def test_compiled_equals_eager_in_single_precision(examples):
    compiled(programs(), lambda program: check_program(program, np.float32, 3e-6), examples)


# -- state that is written over -----------------------------------------------------------------------------------

MOVES = {
    "sum": lambda a, b: ge.tanh(a + b),
    "product": lambda a, b: a * b + 0.5,
    "copy": lambda a, b: b,
    "transposed": lambda a, b: a.mT,
    "transposed, added": lambda a, b: b + a.mT,
    "reversed": lambda a, b: ge.flip(a, axis=0),
    "rolled": lambda a, b: ge.concat([a[1:], b[:1]]),
    "first row": lambda a, b: a - b[0],
    "column sums": lambda a, b: ge.tanh(a + b.sum(0)),
    "row sums": lambda a, b: ge.tanh(b + a.sum(1, keepdims=True)),
    "total": lambda a, b: a / (1.0 + (b * b).sum()),
    "matmul": lambda a, b: ge.tanh(a @ b),
    "matmul, transposed": lambda a, b: ge.tanh(a.mT @ b),
    "softmax": lambda a, b: ge.softmax(a, axis=-1) - b * 0.5,
    "cumsum": lambda a, b: ge.tanh(ge.cumsum(b, axis=0)),
}
WAYS = ["copy_", "add_", "mul_", "grad", "row"]


@st.composite
def updates(draw):
    """Changes in place: target, what it is given, of which two, and how; and what is returned at the end."""
    place = st.integers(0, 3)
    change = st.tuples(place, st.sampled_from(list(MOVES)), place, place, st.sampled_from(WAYS))
    return draw(st.lists(change, min_size=1, max_size=6)), draw(st.lists(place, max_size=3)), draw(st.booleans())


def updated(states, changes, returned):
    """The changes, one after the other; "grad" gives the value to the gradient, which is a state as well."""

    def step(x):
        out = []
        with ge.no_grad():
            for target, move, a, b, way in changes:
                values = [*states, x]
                value = MOVES[move](values[a], values[b]) * 0.9
                t = states[min(target, len(states) - 1)]
                if way == "grad":
                    t.grad = value if t.grad is None else t.grad + value
                elif way == "row":
                    t[1] = value[2]
                else:
                    getattr(t, way)(value)
                if way == "copy_":
                    out.append(value.sum())
        return [*out, *[[*states, x][i] * 1.0 for i in returned]]

    return step


def check_updates(program):
    changes, returned, keep = program
    rng = np.random.default_rng(7)
    start = [rng.uniform(-1, 1, (4, 4)) for _ in range(3)]
    eager, jitted = ([ge.tensor(a) for a in start] for _ in range(2))
    run_eagerly, step = updated(eager, changes, returned), ge.jit(updated(jitted, changes, returned))
    kept = []
    with np.errstate(all="ignore"):
        for _ in range(4):
            x = rng.uniform(-1, 1, (4, 4))
            want, got = run_eagerly(ge.tensor(x)), step(ge.tensor(x))
            assert len(got) == len(want)
            for g, w in zip((*got, *jitted), (*want, *eager), strict=True):
                np.testing.assert_allclose(g.numpy(), w.numpy(), rtol=1e-10, atol=1e-10)
                kept.append((g.detach(), g, g.numpy().copy(), g.numpy() if keep else None))
            for t, u in zip(jitted, eager, strict=True):
                assert (t.grad is None) == (u.grad is None)
                if u.grad is not None:
                    np.testing.assert_allclose(t.grad.numpy(), u.grad.numpy(), rtol=1e-10, atol=1e-10)
            if not keep:
                kept.clear()
    for alias, owner, before, array in kept:  # what shares elements follows, arrays stay as they were
        np.testing.assert_array_equal(alias.numpy(), owner.numpy())
        np.testing.assert_array_equal(array, before)


@given(program=updates())
@settings(max_examples=100)
def test_state_that_is_replayed_equals_eager(program):
    ge.set_cpu_backend("numpy")
    check_updates(program)


@NUMBA
@few_or(40)
def test_state_that_is_written_over_equals_eager(examples):
    compiled(updates(), check_updates, examples)
