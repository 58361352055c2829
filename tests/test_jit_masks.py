"""Assignments through a mask that is computed in a compiled step: eager ones, PyTorch's, and the jitted ones agree.

Values, gradients and second derivatives are compared. What is selected by a mask has a length that a compiled program
cannot know, so it can be changed element by element and written back, and nothing else.
"""

import numpy as np
import pytest

import gradengine as ge

DATA = [[1.0, -2.0, 3.0], [4.0, -5.0, 6.0]]


def scalar(x, y):
    y[y > 0] = 0.5


def scalar_of_the_step(x, y):
    y[y > 0] = x.sum()


def add(x, y):
    y[y > 0] += 2.0


def subtract_a_scalar(x, y):
    y[y > 0] -= x.mean()


def multiply_twice(x, y):
    y[y > 0] *= 2.0
    y[y > 3] *= x[0, 0]


def divide(x, y):
    y[y > 0] /= x[1, 1]


def divide_where_others_are_zero(x, y):
    y[y < 0] = 0.0
    m = y > 0
    y[m] = 1.0 / y[m]


def root_where_others_are_negative(x, y):
    y[y > 0] **= 0.5


def root_of_a_row(x, y):
    y[x.sum(1) > 3] += x[0] * x[0]


def rows(x, y):
    y[x.sum(1) > 3] = 1.5


def rows_by_a_row(x, y):
    y[x.sum(1) > 3] = x[0]


def rows_times_a_row(x, y):
    y[x.sum(1) > 3] *= x[0]


def rows_plus_one_row(x, y):
    y[x.sum(1) > 3] += x[:1]


def rows_of_a_column(x, y):
    y[x.sum(1) > 3, 1] += 1.0


def columns(x, y):
    y[:, x.sum(0) > 3] *= 3.0


def last_columns(x, y):
    y[..., x.sum(0) > 3] *= 3.0


def of_another(x, y):
    m = y > 0
    y[m] = (x * x)[m]


def add_of_another(x, y):
    m = y > 0
    y[m] += (x * x)[m]


def computed(x, y):
    m = y > 0
    y[m] = 2.0 - y[m] * (x * x)[m] / 3.0


def none(x, y):
    y[y > 100] *= x[0, 0]


def part_of_a_view(x, y):
    z = y[0]
    z[z > 0] += 1.0


FUNCTIONS = [v for v in list(globals().values()) if getattr(v, "__module__", "") == __name__]


def ge_results(edit, x):
    y = x * 1.0
    edit(x, y)
    (d,) = ge.grad((y**3).sum(), x, create_graph=True)
    (dd,) = ge.grad((d**2).sum(), x)
    return y, d, dd


def torch_results(torch, edit):
    x = torch.tensor(DATA, requires_grad=True)
    y = x * 1.0
    edit(x, y)
    (d,) = torch.autograd.grad((y**3).sum(), x, create_graph=True)
    (dd,) = torch.autograd.grad((d**2).sum(), x)
    return y, d, dd


@pytest.mark.parametrize("edit", FUNCTIONS, ids=lambda f: f.__name__)
def test_an_assignment_through_a_mask(edit, backend, torch):
    eager = ge_results(edit, ge.tensor(DATA, requires_grad=True))
    jitted = ge.jit(lambda x: ge_results(edit, x))(ge.tensor(DATA, requires_grad=True))
    for got, compiled, want in zip(eager, jitted, torch_results(torch, edit), strict=True):
        np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), rtol=2e-5, atol=1e-4)
        np.testing.assert_allclose(compiled.numpy(), want.detach().numpy(), rtol=2e-5, atol=1e-4)


def test_another_mask_at_each_call(backend):
    @ge.jit
    def step(x):
        y = x * 1.0
        y[y > 0] += 10.0
        return y

    for x in ([1.0, -1.0, 2.0], [-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]):
        assert step(ge.tensor(x)).tolist() == [v + 10.0 if v > 0 else v for v in x]
    assert step.cache_info().misses == 1


def test_state_is_changed_through_a_mask(backend):
    state = ge.tensor([1.0, -1.0, 2.0])

    @ge.jit
    def step(v):
        state[state > 0] += v

    step(ge.tensor(1.0))
    step(ge.tensor(2.0))
    assert state.tolist() == [4.0, -1.0, 5.0]


def test_a_mask_that_is_always_the_same_selects_elements(backend):
    mask = np.array([True, False, True])
    step = ge.jit(lambda x: x[mask] * 2)
    assert step(ge.tensor([1.0, 2.0, 3.0])).tolist() == [2.0, 6.0]
    mask[1] = True
    assert step(ge.tensor([1.0, 2.0, 3.0])).tolist() == [2.0, 4.0, 6.0]


def test_integers_and_bools(backend):
    def step(x):
        y, z = x + 0, x > 1
        y[y > 1] //= 2
        y[y > 1] |= 4
        z[y > 1] ^= True
        return y, z

    x = ge.tensor([1, 2, 3, 4, 5])
    for got, want in zip(ge.jit(step)(x), step(x), strict=True):
        assert (got.tolist(), got.dtype) == (want.tolist(), want.dtype)


def changed_mask(x):
    y, m = x * 1.0, x > 0
    selected = y[m]
    m[0] = False
    y[m] = selected
    return y


REFUSED = {
    "returned": lambda x: x[x > 0],
    "summed": lambda x: x[x > 0].sum(),
    "given to an op": lambda x: ge.exp(x[x > 0]),
    "beside a Tensor": lambda x: x[x > 0] + ge.ones(2),
    "asked for its length": lambda x: x * len(x[x > 0]),
    "of another mask": lambda x: x[x > 0] + x[x > 1],
    "by a changed mask": changed_mask,
    "printed": lambda x: x * len(str(x[x > 0])),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_selected_has_no_other_use(name):
    with pytest.raises(ge.TraceError, match=r"shape depends on the data, in line \d+ of test_jit_masks.py"):
        ge.jit(REFUSED[name])(ge.tensor([1.0, -2.0, 3.0]))
