"""Calls that look like an earlier one go the same way: it must be the right one whatever else is different."""

import itertools
import sys

import numpy as np
import pytest

from gradengine_kernels.cupy_cuda import driver
from gradengine_kernels.cupy_cuda.lazy_cupy import cp
from gradengine_kernels.cupy_cuda.pointwise_kernels import Fused, pointwise

pytestmark = pytest.mark.cuda


def kernel(function, arity, name="tried"):
    """A kernel of a function, beside the same function on NumPy's arrays."""
    plain = lambda *arrays, **params: function(np, *arrays, **params)
    made = pointwise(name, function, arity, lambda *arrays, **params: None)
    return made, plain


VIEWS = {  # of an array, and what is seen of it: arrays of one shape, or such as stretch to it
    "in order": ((6, 8), lambda x: x),
    "transposed": ((8, 6), lambda x: x.T),
    "every other column": ((6, 16), lambda x: x[:, ::2]),
    "without a column": ((6, 9), lambda x: x[:, 1:]),
    "every other row": ((12, 8), lambda x: x[::2]),
    "one row": ((8,), lambda x: x),
    "one column": ((6, 1), lambda x: x),
    "not aligned": ((49,), lambda x: x[1:].reshape(6, 8)),
    "backwards": ((6, 8), lambda x: x[::-1]),
    "one number": ((1, 1), lambda x: x),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layouts_are_told_apart(rng, dtype):
    call, plain = kernel(lambda k, x, y: k.exp(x) * y + x, 2)
    for _ in range(2):  # the second time by ways that are known
        for (one, see), (other, look) in itertools.product(VIEWS.values(), VIEWS.values()):
            a, b = rng.normal(size=one).astype(dtype), rng.normal(size=other).astype(dtype)
            found = call(see(cp.asarray(a)), look(cp.asarray(b)))
            np.testing.assert_allclose(found.get(), plain(see(a), look(b)), rtol=1e-5, atol=1e-6)


def test_numbers_are_given_at_each_call(rng):
    call, plain = kernel(lambda k, x, y, *, by, flag=False: x * y + by if flag else x * y - by, 2)
    x = rng.normal(size=(5, 3)).astype("f")
    given = cp.asarray(x)
    for y in (2.0, 3.0, 4, 5, -0.0):
        for by in (0.5, 1.5, 2):
            for flag in (False, True):
                want = plain(x, np.float32(y), by=np.float32(by), flag=flag)
                np.testing.assert_allclose(call(given, y, by=by, flag=flag).get(), want, rtol=1e-5, atol=1e-6)
                np.testing.assert_allclose(
                    call(cp.asarray(x + 1), y, by=by, flag=flag).get(), want + y, rtol=1e-5, atol=1e-6
                )


def test_numbers_on_either_side(rng):
    call, plain = kernel(lambda k, x, y: x - 2.0 * y, 2)
    x = rng.normal(size=7).astype("f")
    for _ in range(2):
        np.testing.assert_allclose(call(cp.asarray(x), 3.0).get(), plain(x, np.float32(3)), rtol=1e-6)
        np.testing.assert_allclose(call(3.0, cp.asarray(x)).get(), plain(np.float32(3), x), rtol=1e-6)


def test_dtypes_and_masks_are_told_apart(rng):
    call, plain = kernel(lambda k, x, y: k.where(x > 0, y, x), 2)
    for dtype in ("float32", "float64", "float32"):
        x, y = rng.normal(size=(2, 4, 5)).astype(dtype)
        found = call(cp.asarray(x), cp.asarray(y))
        assert found.dtype == dtype
        np.testing.assert_array_equal(found.get(), plain(x, y))
    call, plain = kernel(lambda k, x, y: k.where(x, y, 0.0), 2)
    for _ in range(2):
        mask, y = rng.normal(size=(4, 5)) > 0, rng.normal(size=(4, 5)).astype("f")
        np.testing.assert_array_equal(call(cp.asarray(mask), cp.asarray(y)).get(), plain(mask, y))
        assert call(cp.asarray(y), cp.asarray(y)) is None  # a number as a truth value has no kernel


def test_outputs_that_overlap_are_not_written_to(rng):
    """The third call looks like those before it, but its output lies over an operand."""
    call, plain = kernel(lambda k, x, y: (x + y, x - y), None)
    for _ in range(3):
        a, b = rng.normal(size=(2, 64)).astype("f")
        x, y = cp.asarray(a), cp.asarray(b)
        add, subtract = call(x, y, out=[x, y])
        assert [id(add), id(subtract)] == [id(x), id(y)]
        np.testing.assert_array_equal(x.get(), a + b)
        np.testing.assert_array_equal(y.get(), a - b)
    memory = cp.zeros(256, np.float32)
    x, y, z = memory[:64], memory[64:128], memory[128:192]
    for _ in range(2):
        assert call(x, y, out=[z, memory[192:]]) is not None
    assert call(x, y, out=[memory[4:68], z]) is None
    assert call(x, y, out=[z, z]) is None
    assert call(x, y, out=[memory[128:192], memory[132:196]]) is None


def test_ways_are_forgotten_where_shapes_never_come_twice(monkeypatch):
    monkeypatch.setattr(sys.modules["gradengine_kernels.cupy_cuda.pointwise_kernels"], "MOST_WAYS", 5)
    call, _ = kernel(lambda k, x: x * 2.0, 1)
    for n in range(1, 30):
        np.testing.assert_array_equal(call(cp.ones((n, 3), "f").T).get(), np.full((3, n), 2.0))
        assert len(call.fused.ways) <= 5


def test_calls_that_no_kernel_serves_are_known_the_second_time(rng, monkeypatch):
    """An operand that comes back as it is, a sum of integers, a number as a truth value."""
    x, y = (cp.asarray(rng.normal(size=(4, 5)).astype("f")) for _ in range(2))
    column, whole = cp.ones((4, 1), "f"), cp.arange(20).reshape(4, 5)
    tried = [
        (lambda k, g, y, x: g, 3, (x, y, column), {}),
        (lambda k, g, y, x, *, by: g, 3, (x, y, y), {"by": 2.0}),
        (lambda k, g, y, x, *, flag: g if flag else y, 3, (x, y, y), {"flag": True}),
        (lambda k, a, b: a + b, 2, (whole, whole), {}),
        (lambda k, a, b: a + b, 2, (whole, 2), {}),
        (lambda k, c, a: k.where(c, a, 0.0), 2, (y, y), {}),
        (lambda k, a: a * 2.0, 1, (cp.empty((0, 3), "f"),), {}),
    ]
    calls = []
    for function, arity, arrays, params in tried:
        calls.append(pointwise("tried", function, arity, lambda *arrays, **params: arrays[0]))
        assert calls[-1](*arrays, **params) is arrays[0]
    monkeypatch.setattr(Fused, "laid_out", lambda *_: pytest.fail("worked out again"))
    for call, (_, _, arrays, params) in zip(calls, tried):
        assert call(*arrays, **params) is arrays[0]


def test_a_second_backward_works_nothing_out(rng, monkeypatch):
    import gradengine as ge

    a, b = (ge.tensor(rng.uniform(0.5, 1, size=(4, 4)).astype("f"), device="cuda", requires_grad=True) for _ in "ab")
    row = ge.tensor(rng.uniform(0.5, 1, size=4).astype("f"), device="cuda", requires_grad=True)
    worked_out = []
    laid_out = Fused.laid_out
    monkeypatch.setattr(Fused, "laid_out", lambda self, *rest: worked_out.append(self.name) or laid_out(self, *rest))
    ops = {
        "chain": lambda: (a * b + a) * b + a, "rows": lambda: a * row + row, "minus": lambda: row - a - b,
        "numbers": lambda: 2.0 - a * 3.0 + 1.0, "powers": lambda: a**2 + a**0.5 + a**b, "over": lambda: a / b / row,
        "choice": lambda: ge.where(a > b, a, b) + ge.maximum(a, row) + ge.clip(a, 0.6, 0.9) + ge.relu(b),
        "functions": lambda: ge.exp(a) + ge.log(b) + ge.tanh(row) + ge.abs(a) - ge.sqrt(b),
    }  # fmt: skip
    for name, op in ops.items():
        for orders in (False, True):
            for again in (False, True):
                worked_out.clear()
                first = ge.grad(op().sum(), [a], create_graph=orders)
                if orders:
                    ge.grad((first[0] * first[0] + a).sum(), [a])
                assert not (again and worked_out), (name, worked_out)


def test_sums_of_many_sizes_find_their_kernels(rng):
    """Kernels are made for powers of two; grids and sizes are those of each call."""
    import gradengine as ge

    for _ in range(2):
        for rows in (1, 2, 3, 127, 128, 129):
            for columns in (1, 2, 7, 64, 65):
                x = rng.normal(size=(rows, columns)).astype("f")
                t = ge.tensor(x, device="cuda")
                for axis in (0, 1, None):
                    np.testing.assert_allclose(ge.sum(t, axis=axis).numpy(), x.sum(axis), rtol=1e-4, atol=1e-5)
                np.testing.assert_allclose(ge.max(t, axis=1).numpy(), x.max(1))


def test_synchronous_mode_holds_for_known_ways(monkeypatch):
    call, _ = kernel(lambda k, x, y: x * y, 2)
    x, y = cp.ones((4, 4), "f"), cp.ones(4, "f")
    call(x, y)
    waits = []
    monkeypatch.setattr(driver, "wait", lambda: waits.append(1))
    monkeypatch.setattr(driver, "synchronous", True)
    call(x, y)
    assert waits
