"""Every row of the case table on every backend: forward, first and second order, and beside PyTorch."""

import warnings

import numpy as np
import pytest

import gradengine as ge
from gradengine.inspect import check
from tests.cases import CASES, Case

BY_NAME = {case.name: case for case in CASES}
WITH_TORCH = [name for name, case in BY_NAME.items() if case.torch is not None]


def test_rows_have_names_of_their_own():
    assert len(BY_NAME) == len(CASES)


def test_every_declared_op_is_reached_by_a_row():
    """Ops that no row runs, forward or backward, are not held to anything."""
    from gradengine.backend import devices as backend

    backend.load("numpy")
    reached = set()
    originals = {}
    table = backend._loaded["numpy"].table

    def spy(name, kernel):
        def call(*arrays, **params):
            reached.add(name)
            return kernel(*arrays, **params)

        return call

    ge.set_cpu_backend("numpy")
    for op, kernel in list(table.items()):
        originals[op] = kernel
        table[op] = spy(op.name, kernel)
    try:
        with np.errstate(all="ignore"):
            for case in CASES:
                result = check.Result(case.name, "numpy")
                arrays = check.in_dtype(check.sample(case), np.float64)
                check.forward(case, arrays)
                if case.order:
                    check.first_order(case, lambda y: ge.ones_like(y), arrays, create_graph=True)
                assert result.passed
    finally:
        table.update(originals)
    engines = backend.BUILT_IN  # not what users, docstrings and distributions declare
    declared = {op.name for op in table if op.name in engines and op.kind != "composite"}
    declared = {name for name in declared if not name.startswith("random_")}
    assert sorted(declared - reached) == []


@pytest.mark.grid("first", 0, 2)
@pytest.mark.parametrize("name", BY_NAME)
def test_row(name, backend):
    result = check.check_case(BY_NAME[name], backend)
    assert result.passed, "; ".join(result.failures)


@pytest.mark.torch
@pytest.mark.parametrize("name", WITH_TORCH)
def test_row_beside_torch(name, torch):
    """Values and gradients in float64 equal PyTorch's."""
    case = BY_NAME[name]
    arrays = check.in_dtype(check.sample(case), np.float64)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch advises against some of the settings that it has
        ours = check.tensors(arrays, requires_grad=bool(case.order))
        theirs = [torch.tensor(a) if isinstance(a, np.ndarray) else a for a in arrays]
        floats = [i for i, a in enumerate(arrays) if check.is_float(a) and case.order]
        for i in floats:
            theirs[i].requires_grad_()
        y, z = case.call(*ours), case.torch(torch, *theirs)
        assert y.shape == tuple(z.shape)
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-9, atol=1e-9)
        if not floats or not z.requires_grad:
            return
        v = np.random.default_rng(1).uniform(0.5, 1.5, y.shape)
        got = ge.grad(y, [ours[i] for i in floats], ge.tensor(v), allow_unused=True)
        want = torch.autograd.grad(z, [theirs[i] for i in floats], torch.tensor(v), allow_unused=True)
    for g, w in zip(got, want, strict=True):
        if g is None or w is None:
            assert g is None or not np.any(np.asarray(g))
            assert w is None or not w.any()
        else:
            np.testing.assert_allclose(g.numpy(), w.numpy(), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("order", [1, 2])
def test_the_checker_catches_a_wrong_rule(order):
    """A rule that says 2.001 where 2 is right must be found, at the order at which it is wrong."""
    wrong = 2.001
    first, second = (wrong, 2.0) if order == 1 else (2.0, wrong)

    slope = ge.elementwise(f"doc_slope{order}", lambda k, g, y, x: g * second, body=lambda k, x: x * first)
    square = ge.elementwise(
        f"doc_square{order}",
        lambda k, g, y, x: g * (slope(x) if k.is_tensor else x * first),
        body=lambda k, x: x * x,
    )
    case = Case("square", square, lambda rng: (rng.uniform(1, 2, (2, 3)),), lambda x: x * x)
    result = check.check_case(case, "numpy")
    assert not result.passed
    assert ("first" if order == 1 else "second") in result.failures[0]


def test_the_checker_catches_a_wrong_forward():
    case = Case("tanh", lambda x: ge.tanh(x) * 1.001, lambda rng: (rng.uniform(1, 2, 4),), np.tanh, order=0)
    result = check.check_case(case, "numpy")
    assert "forward is off" in result.failures[0]


def test_ulp_distance():
    one = np.float32(1)
    up = np.nextafter(one, np.float32(2))
    assert check.ulp_distance(np.array([one]), np.array([up])) == 1
    assert check.ulp_distance(np.array([-0.0], "f"), np.array([0.0], "f")) == 0
    assert check.ulp_distance(np.array([np.nan], "f"), np.array([np.nan], "f")) == 0
    tiny = np.float32(1e-45)
    assert check.ulp_distance(np.array([tiny]), np.array([-tiny])) == 2
    assert check.ulp_distance(np.array([1.0], "f"), np.array([1.0])) > 2**60
