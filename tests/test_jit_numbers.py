"""Numbers as arguments of jitted steps: wherever an op takes arrays, and as options of optimizers."""

import numpy as np
import pytest

import gradengine as ge
from gradengine.errors import DTypeError, IndexRangeError, TraceError

ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)


def assigned(x, i):
    y = x * 1
    y[i] += 1
    return y


def gradient(x, i):
    w = x.detach().requires_grad_()
    (w[i] * w[i]).sum().backward()
    return w.grad


TAKING = {
    "a row": lambda x, i: x[i],
    "a column": lambda x, i: x[:, i],
    "an element": lambda x, i: x[i, 0] + x[0, i],
    "a row by two": lambda x, i: x[i - 1] * x[-i],
    "take": lambda x, i: ge.take(x, i, axis=0),
    "an assignment": assigned,
    "a gradient": gradient,
    "one_hot": lambda x, i: ge.one_hot(i, 4),
}
ARRAYS = {
    "sum": lambda x, i: ge.sum(i) * x,
    "reshape": lambda x, i: ge.reshape(i, (1,)) + x[:, 0],
    "stack": lambda x, i: ge.stack([i, i]),
    "broadcast_to": lambda x, i: ge.broadcast_to(i, (2, 2)),
    "expand_dims": lambda x, i: ge.expand_dims(i, axis=0),
    "mean": lambda x, i: ge.mean(i),
    "cumulative_sum": lambda x, i: ge.cumulative_sum(i),
    "astype": lambda x, i: x * ge.astype(i, ge.float64),
    "tile": lambda x, i: ge.tile(i, (2,)),
}


@pytest.mark.parametrize("name", TAKING)
def test_a_number_may_be_an_index(backend, name):
    x, function = ge.tensor(ROWS), TAKING[name]
    jitted = ge.jit(function)
    for i in (1, 2, -1, 0):
        if name != "one_hot" or i >= 0:
            got, want = jitted(x, i), function(x, i)
            assert (got.dtype, got.shape, got.tolist()) == (want.dtype, want.shape, want.tolist())
    assert jitted.cache_info().misses == 1
    with pytest.raises(IndexRangeError):
        jitted(x, 4)


def test_arithmetic_of_numbers(backend):
    x = ge.tensor(ROWS)
    function = lambda x, i: x * -i + abs(i) * x - (i**2 - i // 2) % 3
    jitted = ge.jit(function)
    for number in (2, -3):
        assert jitted(x, number).tolist() == function(x, number).tolist()
    assert jitted.cache_info().misses == 1


@pytest.mark.parametrize("name", ARRAYS)
def test_a_number_may_be_an_array(backend, name):
    x, function = ge.tensor(ROWS), ARRAYS[name]
    jitted = ge.jit(function)
    for number in (2, 3, 2.5, 0.5):
        got, want = jitted(x, number), function(x, number)
        assert (got.dtype, got.shape, got.tolist()) == (want.dtype, want.shape, want.tolist())
    assert jitted.cache_info().misses == 2


def test_a_float_is_no_index(backend):
    with pytest.raises(DTypeError, match="must hold integers or bools"):
        ge.jit(lambda x, i: x[i])(ge.tensor(ROWS), 1.0)


def test_a_length_is_named_with_the_line_of_the_user(backend):
    @ge.jit
    def step(x, n):
        y = x * 2
        return y[:n]

    with pytest.raises(TraceError) as caught:
        step(ge.tensor(ROWS), 2)
    message = str(caught.value)
    assert "a value is used as an int in line" in message
    if not backend.startswith("cu"):  # the emulated array's own lines count as the user's
        assert "of test_jit_numbers.py:\n    return y[:n]\n" in message
