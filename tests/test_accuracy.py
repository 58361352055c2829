"""Sums of many float32 numbers: a relative error of 1e-6 along every axis, in values and gradients, also jitted."""

import numpy as np
import pytest

import gradengine as ge
from gradengine.nn import functional as F

COUNT = 200_000
SHAPES = [
    ((COUNT,), 0),
    ((COUNT // 4, 4), 0),
    ((4, COUNT // 4), 1),
    ((COUNT // 100, 100), 0),
    ((COUNT // 40, 2, 20), (0, 2)),
]
SHAPES += [((2, COUNT // 40, 20), 1), ((2, COUNT // 40, 20), (0, 1)), ((COUNT // 4, 4), None), ((4, COUNT // 4), 0)]
VIEWS = {
    "contiguous": lambda x: x,
    "transposed": np.asfortranarray,
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
}
# What is summed up, and how to say it in NumPy and double precision; and how far a mean of positive numbers may be off.
REDUCTIONS = {
    "sum": (ge.sum, np.sum),
    "mean": (ge.mean, np.mean),
    "var": (ge.var, np.var),
    "std": (ge.std, np.std),
    "norm": (ge.vector_norm, lambda x, axis: np.sqrt((x * x).sum(axis))),
    "norm of order 1": (lambda x, axis: ge.vector_norm(x, ord=1, axis=axis), np.sum),
    "norm of order 3": (lambda x, axis: ge.vector_norm(x, ord=3, axis=axis), lambda x, axis: np.cbrt((x**3).sum(axis))),
    "logsumexp": (ge.logsumexp, lambda x, axis: np.log(np.exp(x).sum(axis))),
}
CPU = [b for b in ("numpy", "numba") if ge.backends()[b] == "available"]


def close(got, want, tolerance=1e-6):
    np.testing.assert_allclose(np.asarray(got.detach(), np.float64), want, rtol=tolerance)


@pytest.fixture(params=CPU)
def cpu(request, clean_state):
    ge.set_cpu_backend(request.param)
    return request.param


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, view, cpu, rng):
    ours, reference = REDUCTIONS[name]
    for values in (np.full(COUNT, 0.1, "f4"), rng.random(COUNT, dtype="f4")):
        for shape, axis in SHAPES:
            if values[0] == values[1] and name in ("var", "std"):
                continue
            x = VIEWS[view](values.reshape(shape))
            close(ours(ge.asarray(x), axis=axis), reference(x.astype("f8"), axis=axis))


@pytest.mark.parametrize("axis", [0, 1])
def test_running_sums(axis, cpu):
    x = np.full((COUNT // 4, 4) if axis == 0 else (4, COUNT // 4), 0.1, "f4")
    ours = ge.tensor(x, requires_grad=True)
    close(ours.cumsum(axis=axis), x.astype("f8").cumsum(axis))
    ours.cumsum(axis=axis).backward(ge.tensor(x))
    close(ours.grad, np.flip(np.flip(x.astype("f8"), axis).cumsum(axis), axis))
    assert abs(ge.full((1_000_000,), 0.1).cumsum(axis=0)[-1].item() - 100000) < 0.1
    assert ge.cumsum(ge.ones(4096, dtype=ge.float16), dtype=ge.float32)[-1].item() == 4096


def test_gradients_that_add_up(cpu, rng):
    """Of what was broadcast, of what was taken more than once, of a factor that all share."""
    g = rng.random(COUNT, dtype="f4")
    wide = g.astype("f8")
    for own, given, axes in (
        ((4,), (-1, 4), 0),
        ((4, 1), (4, -1), 1),
        ((1, 4, 1), (-1, 4, 10), (0, 2)),
        ((), (-1,), 0),
    ):
        b = ge.zeros(own, requires_grad=True)
        cotangent = g.reshape(given)
        (b + ge.zeros(cotangent.shape)).backward(ge.tensor(cotangent))
        close(b.grad, wide.reshape(given).sum(axes).reshape(own))
    once = ge.tensor(np.zeros(COUNT, int))
    for read in (lambda w: w[once], lambda w: ge.take(w, once, axis=0), lambda w: w.expand(COUNT)):
        w = ge.zeros(1, requires_grad=True)
        read(w).backward(ge.tensor(g))
        close(w.grad, [wide.sum()])


def test_products(cpu, rng):
    x = rng.random(COUNT, dtype="f4")
    wide = x.astype("f8")
    t = ge.tensor(x)
    for got in (t @ t, ge.vecdot(t, t), ge.einsum("i,i->", t, t), (t[None] @ t[:, None])[0, 0], (t[None] @ t)[0]):
        close(got, wide @ wide)
    columns = t.reshape(-1, 4)
    close(columns.T @ columns, wide.reshape(-1, 4).T @ wide.reshape(-1, 4))
    close(ge.vecdot(columns, columns, axis=0), (wide.reshape(-1, 4) ** 2).sum(0))
    close(F.softmax(columns, axis=0), np.exp(wide.reshape(-1, 4)) / np.exp(wide.reshape(-1, 4)).sum(0))


@pytest.mark.parametrize("name", ["sum", "mean", "var", "norm"])
def test_jitted_reductions(name, cpu, rng):
    ours, reference = REDUCTIONS[name]
    x = rng.random((COUNT // 4, 4), dtype="f4")
    for axis in (0, None):
        close(ge.jit(lambda x, axis=axis: ours(x, axis=axis))(ge.tensor(x)), reference(x.astype("f8"), axis=axis))


def test_half_precision_is_added_up_as_well(cpu):
    x = np.full((COUNT, 2), 0.1, "f2")
    for got in (ge.mean(ge.tensor(x), axis=0), ge.sum(ge.tensor(x) / 1000, axis=0) / 200):
        np.testing.assert_allclose(got.numpy().astype("f8"), 0.1, rtol=2e-3)
    close(ge.sum(ge.tensor(x), axis=0, dtype=ge.float32), x.astype("f8").sum(0))
