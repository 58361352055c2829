"""Every row of the case table jitted: values, gradients and gradients of gradients equal the eager run's.

A row is one jitted function that returns its output, the gradients of a weighted sum of it, and the gradients of a
weighted sum of those. It is compiled once and called with several inputs, so nothing of the first can be baked in.
"""

import numpy as np
import pytest

import gradengine as ge
from gradengine.errors import TraceError
from gradengine.inspect import check
from tests.cases import CASES, Case

BY_NAME = {case.name: case for case in CASES}
SHAPED_BY_DATA = {
    "argwhere",
    "masked_select",
    "nonzero",
    "getitem/true",
    "unique_counts",
    "unique_inverse",
    "unique_values",
}
DOUBLE = 1e-12 / np.finfo(np.float64).eps
# Of float32, units in the last place of the largest element. Where the eager run itself is further from the float64
# run, because large terms cancel, the jitted one may be LOST times as far from the eager one, but never MOST.
SINGLE, LOST, MOST = 4.0, 3.0, 256.0
WITHOUT_SPECIAL = ("binary_cross_entropy/",)  # they refuse what is no probability when it can be looked at: eagerly
SPECIAL = [0.0, -0.0, np.nan, np.inf, -np.inf, 1e30, -1e-30]


def orders(case, arrays):
    """The row as a function of its arrays, as Tensors, and of the weights of the sums: output, gradients, theirs."""

    def run(tensors, v, us):
        given = iter(tensors)
        y = case.call(*[next(given) if isinstance(a, np.ndarray) else a for a in arrays])
        wanted = [x for x in tensors if x.requires_grad]
        if not y.requires_grad:
            return [y]
        first = ge.grad((y * v).sum(), wanted, create_graph=case.order > 1, allow_unused=True)
        terms = [(g * u).sum() for g, u in zip(first, us, strict=True) if g is not None and g.requires_grad]
        second = ge.grad(sum(terms[1:], terms[0]), wanted, allow_unused=True) if terms and case.order > 1 else ()
        return [y, *first, *second]

    return run


def as_arguments(case, arrays, dtype, seed):
    """Tensors of the arrays, and weights for the sums."""
    rng = np.random.default_rng(seed)
    weights = lambda shape: ge.tensor(rng.uniform(0.5, 1.5, shape).astype(dtype))
    with ge.no_grad():
        shape = case.call(*check.tensors(arrays)).shape
    tensors = [
        ge.asarray(a).requires_grad_(check.is_float(a) and case.order > 0) for a in arrays if isinstance(a, np.ndarray)
    ]
    return tensors, weights(shape), [weights(x.shape) for x in tensors if x.requires_grad]


def ulps(got, want):
    """How many units in the last place of the largest element two results of one dtype are apart at most."""
    return check.relative_error(got, want) / np.finfo(want.dtype).eps


def assert_equal(got, want, allowed, what):
    """Lists of Tensors and Nones are equal: floats up to so many units in the last place, others exactly."""
    assert len(got) == len(want)
    for i, (g, w, most) in enumerate(zip(got, want, allowed, strict=True)):
        assert (g is None) == (w is None), f"{what}: result {i}"
        if g is None:
            continue
        g, w = g.detach().numpy(), w.detach().numpy()
        assert (g.shape, g.dtype) == (w.shape, w.dtype), f"{what}: result {i}"
        if w.dtype.kind != "f":
            np.testing.assert_array_equal(g, w, err_msg=what)
        else:
            assert ulps(g, w) <= most, f"{what}: result {i} is {ulps(g, w):.1f} ULP off: {g} instead of {w}"


def allowed_in_single(eager, arguments, want):
    """For each result in float32, how far the jitted one may be from the eager one."""
    double = lambda x: ge.tensor(x.detach().numpy().astype(np.float64), requires_grad=x.requires_grad)
    tensors, v, us = arguments
    exact = eager([double(x) if x.dtype.kind == "f" else x for x in tensors], double(v), [double(u) for u in us])
    found = []
    for w, e in zip(want, exact, strict=True):
        lost = 0.0 if w is None or e is None or w.dtype.kind != "f" else ulps(w.detach().numpy(), e.detach().numpy())
        found.append(min(max(SINGLE, LOST * lost), MOST))
    return found


def strided(a):
    """The same numbers, not contiguous."""
    if not isinstance(a, np.ndarray) or not a.ndim:
        return a
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def with_special(a, rng):
    """An array of floats with a few elements that are zero, huge, infinite or NaN."""
    if not check.is_float(a) or not a.size:
        return a
    a = np.array(a)
    for value in SPECIAL:
        if rng.uniform() < 0.4:
            a.reshape(-1)[rng.integers(a.size)] = value
    return a


def run_row(case: Case, dtype):
    rng = np.random.default_rng(5)
    arrays = check.in_dtype(check.sample(case), dtype)
    eager = orders(case, arrays)
    step = ge.jit(eager)
    again = check.in_dtype(check.sample(case, seed=1), dtype)
    calls = {
        "the first call": arrays,
        "another input": again,
        "an input that is not contiguous": [strided(a) for a in arrays],
    }
    if not case.name.startswith(WITHOUT_SPECIAL):
        calls["NaN and infinity"] = [with_special(a, rng) for a in again]
    with np.errstate(all="ignore"):
        for seed, (what, given) in enumerate(calls.items()):
            arguments = as_arguments(case, given, dtype, seed)
            want = eager(*arguments)
            allowed = [DOUBLE] * len(want)
            if dtype is np.float32:
                allowed = allowed_in_single(eager, arguments, want)
            assert_equal(step(*arguments), want, allowed, what)
            assert [x.grad for x in arguments[0]] == [None] * len(arguments[0])
    assert step.cache_info()[:2] == (len(calls) - 1, 1)


@pytest.mark.parametrize("name", sorted(SHAPED_BY_DATA))
def test_a_shape_that_the_data_decides_is_refused(name, backend):
    case = BY_NAME[name]
    arrays = check.in_dtype(check.sample(case), np.float64)
    with pytest.raises(TraceError, match="shape depends on the data"):
        ge.jit(orders(case, arrays))(*as_arguments(case, arrays, np.float64, 0))


@pytest.mark.grid("first", 0, 2)
@pytest.mark.parametrize("name", [name for name in BY_NAME if name not in SHAPED_BY_DATA])
def test_row_in_double_precision(name, backend):
    run_row(BY_NAME[name], np.float64)


@pytest.mark.grid("first", 1, 2)
@pytest.mark.parametrize("name", [name for name in BY_NAME if name not in SHAPED_BY_DATA])
def test_row_in_single_precision(name, backend):
    run_row(BY_NAME[name], np.float32)


EMPTY_AND_SINGLE = {
    "tanh": lambda x: ge.tanh(x),
    "a chain": lambda x: ge.exp(-x * x) * x + 1.0,
    "where": lambda x: ge.where(x > 0, x * 2.0, ge.sin(x)),
    "add with a row": lambda x: x + ge.ones(x.shape[-1:], dtype=x.dtype),
    "sum": lambda x: x.sum(),
    "sum over the last axis": lambda x: x.sum(-1) if x.ndim else x.sum(),
    "sum over the first axis": lambda x: x.sum(0, keepdims=True) if x.ndim else x.sum(),
    "softmax": lambda x: ge.softmax(x, axis=-1) if x.ndim else x,
    "matmul": lambda x: x @ x.mT if x.ndim > 1 else x,
    "transposed": lambda x: x.mT * 2.0 if x.ndim > 1 else x,
    "joined": lambda x: ge.concat([x, x]) if x.ndim else ge.stack([x, x]),
    "sliced": lambda x: x[1:] if x.ndim else x[None],
}


@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 3), (3, 0), (1, 1), (2, 0, 3)], ids=str)
@pytest.mark.parametrize("name", EMPTY_AND_SINGLE)
def test_empty_arrays_and_single_elements(name, shape, backend, rng):
    case = Case(name, EMPTY_AND_SINGLE[name], lambda rng: ())
    given = [[rng.normal(size=shape)] for _ in range(2)]
    eager = orders(case, given[0])
    step = ge.jit(eager)
    for seed, arrays in enumerate(given):
        arguments = as_arguments(case, arrays, np.float64, seed)
        want = eager(*arguments)
        assert_equal(step(*arguments), want, [DOUBLE] * len(want), name)
    assert step.cache_info()[:2] == (1, 1)
