"""The gamma function's derivatives beside exact sums of fractions: all orders, both sides of 0, ends of the range."""

import math
from fractions import Fraction

import numpy as np
import pytest

import gradengine as ge

BERNOULLI = [Fraction(1, 6), Fraction(-1, 30), Fraction(1, 42), Fraction(-1, 30), Fraction(5, 66), Fraction(-691, 2730)]
BERNOULLI += [Fraction(7, 6), Fraction(-3617, 510)]
POINTS = [0.125, 0.5, 1, 1.5, 2.75, 10, 50, 300.5, -0.5, -1.5, -2.25, -36.3125, -37.5, -20.5, -0.015625, -7.75]


def exact(n, x):
    """psi_n(x) by the recurrence up to where the asymptotic series is as good as exact."""
    x, total = Fraction(float(x)), Fraction(0)
    while x < 60 + n:
        total += Fraction(1) / x ** (n + 1)
        x += 1
    total += Fraction(1, n) / x**n + Fraction(1, 2) / x ** (n + 1)
    for i, number in enumerate(BERNOULLI, 1):
        factor = Fraction(math.factorial(2 * i + n - 1), math.factorial(2 * i) * math.factorial(n))
        total += number * factor / x ** (2 * i + n)
    value = (-1) ** (n + 1) * math.factorial(n) * total
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def assert_close(got, want, dtype, units):
    """Within units in the last place, where the dtype has the number."""
    with np.errstate(over="ignore", under="ignore"):
        rounded = np.asarray(want).astype(dtype)
    info = np.finfo(dtype)
    normal = np.isfinite(rounded) & (np.abs(rounded) > info.tiny)
    assert (np.isfinite(got) == np.isfinite(rounded)).all()
    assert (got[~np.isfinite(rounded)] == rounded[~np.isfinite(rounded)]).all()
    error = np.abs(got[normal].astype(float) - np.asarray(want)[normal]) / np.abs(np.asarray(want)[normal])
    assert error.max(initial=0) <= units * info.eps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 6, 7, 10, 20, 30])
def test_polygamma(n, dtype, backend):
    points = np.array(POINTS, dtype)
    want = [exact(n, x) for x in points]
    x = ge.tensor(points, requires_grad=True)
    with np.errstate(all="ignore"):
        y = ge.polygamma(x, n)
        y.backward(ge.ones_like(y).detach())
    assert_close(y.detach().numpy(), want, dtype, 10 + 4 * n)
    assert_close(x.grad.numpy(), [exact(n + 1, x) for x in points], dtype, 14 + 4 * n)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_polygamma_of_many(dtype, backend):
    """Generated kernels, jitted programs and single numbers agree."""
    points = np.tile(np.array(POINTS, dtype), 1024)
    want = np.tile([exact(6, x) for x in points[: len(POINTS)]], 1024)
    with np.errstate(all="ignore"):
        for call in (lambda x: ge.polygamma(x, 6), ge.jit(lambda x: ge.polygamma(x, 6))):
            assert_close(call(ge.tensor(points)).numpy(), want, dtype, 40)


@pytest.mark.parametrize("n", [50, 100])
def test_polygamma_of_high_orders(n, backend):
    """What is too large is infinite, never NaN."""
    points = np.array([0.5, 2, 30, 200, -2.25, -37.5, -0.375])
    with np.errstate(all="ignore"):
        for dtype in (np.float32, np.float64):
            got = ge.polygamma(ge.tensor(points.astype(dtype)), n).numpy()
            assert_close(got, [exact(n, x) for x in points.astype(dtype)], dtype, 300)


def test_polygamma_at_the_ends(backend):
    with np.errstate(all="ignore"):
        for n in (1, 2, 5):
            x = ge.tensor([0.0, math.inf, math.nan])
            got = ge.polygamma(x, n).tolist()
            assert got[0] == (-1) ** (n + 1) * math.inf
            assert got[1] == 0
            assert math.isnan(got[2])
    assert ge.polygamma(ge.tensor(-37.5), 6).item() == pytest.approx(-3.980648091653062e-08, rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["digamma", "lgamma", "erfinv", "erf", "erfc"])
def test_the_others_are_scipys(name, dtype, backend):
    scipy = pytest.importorskip("scipy.special")
    points = np.array([*POINTS, 3, 6, 9, 10, 13, 1e5, 1e10, 1e30, 1e-30, -100.5, -20.25], dtype)
    if name == "erfinv":
        points = np.array([0, 1e-30, -1e-8, 0.3, -0.5, 0.9, 0.999, 1 - 1e-6, 1 - 6e-8, -1 + 6e-8, 1, -1], dtype)
    reference = getattr(scipy, {"lgamma": "gammaln"}.get(name, name))
    with np.errstate(all="ignore"):
        assert_close(getattr(ge, name)(ge.tensor(points)).numpy(), reference(points.astype(float)), dtype, 64)


@pytest.mark.torch
@pytest.mark.parametrize("seed", range(4))
def test_second_gradients_of_logcumsumexp(seed, backend, torch):
    """Of plain numbers, ties, one element, a wide range, and behind -inf, of which nothing is left."""
    r = np.random.default_rng(seed)
    plain = r.normal(size=5) * 3
    given = [plain, np.round(plain / 3), plain[:1], plain * 100, r.normal(size=(2, 4))]
    given += [np.where(np.arange(5) < n, -np.inf, plain) for n in (1, 2, 4)]
    for x in given:
        w, v, last = r.normal(size=x.shape), r.normal(size=x.shape), x.ndim - 1
        found = []
        for m in (torch, ge):
            t = m.tensor(x, requires_grad=True)
            y = m.logcumsumexp(t, dim=last)
            finite = m.tensor(np.isfinite(y.detach().numpy()))
            (first,) = m.autograd.grad((y[finite] * m.tensor(w)[finite]).sum(), t, create_graph=True)
            second = np.zeros_like(x)
            if first.requires_grad:
                first_at = first[m.tensor(np.isfinite(x))] if np.isinf(x).any() else first
                (g,) = m.autograd.grad((first_at * m.tensor(v[np.isfinite(x)]).reshape(first_at.shape)).sum(), t)
                second = g.numpy()
            found.append((y.detach().numpy(), first.detach().numpy(), second))
        for ours, theirs in zip(found[1], found[0], strict=True):
            at = np.isfinite(x) & ~np.isnan(theirs)  # PyTorch has NaN at -inf
            np.testing.assert_allclose(ours[at], theirs[at], rtol=1e-8, atol=1e-10)
            assert not np.isnan(ours).any()
