"""Random expression graphs: shapes, broadcasting, values used along several paths, against differences and PyTorch."""

import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradengine as ge
from gradengine.inspect import check

SHAPES = [(), (1,), (3,), (2, 3), (2, 1), (1, 3), (2, 1, 3), (4, 2, 3)]
UNARY = {
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "exp": "exp",
    "sin": "sin",
    "square": "square",
    "negative": "negative",
    "cos": "cos",
}
BINARY = {"add": "add", "multiply": "multiply", "subtract": "subtract", "maximum": "maximum", "minimum": "minimum"}


@st.composite
def programs(draw):
    """Leaves and a list of steps; each step combines values that exist by then, so values are used again and again."""
    leaves = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    steps = []
    for i in range(draw(st.integers(1, 7))):
        count = len(leaves) + i
        kind = draw(st.sampled_from(["unary", "binary", "binary", "sum", "mean", "T", "reshape", "matmul", "index"]))
        a, b = draw(st.integers(0, count - 1)), draw(st.integers(0, count - 1))
        name = draw(st.sampled_from(list(UNARY if kind == "unary" else BINARY)))
        steps.append((kind, name, a, b, draw(st.integers(0, 5))))
    return leaves, steps, draw(st.integers(0, 2**16))


def shape_fits(x, y):
    try:
        return np.broadcast_shapes(x, y)
    except ValueError:
        return None


def run(module, leaves, steps, f):
    """The program's scalar result; `f` names the functions of `module`. Steps that do not fit are passed over."""
    values = list(leaves)
    for kind, name, i, j, n in steps:
        a, b = values[i], values[j]
        shape = tuple(a.shape)
        if kind == "unary":
            out = f(name)(a) * 0.5
        elif kind == "binary" and shape_fits(shape, tuple(b.shape)) is not None:
            out = f(name)(a, b)
        elif kind in ("sum", "mean") and shape:
            out = getattr(a, kind)(n % len(shape))
        elif kind == "T" and len(shape) > 1:
            out = a.swapaxes(n % len(shape), -1)
        elif kind == "reshape":
            out = a.reshape(-1)
        elif kind == "matmul" and len(shape) == 2:
            out = a @ a.mT
        elif kind == "index" and shape:
            out = a[n % shape[0]]
        else:
            out = a
        if max(np.prod(tuple(out.shape), dtype=int), 1) > 300:
            out = out.sum()
        values.append(out)
    return sum(v.sum() * (i + 1) for i, v in enumerate(values[len(leaves) :])) + sum(leaf.sum() for leaf in leaves)


def arrays_of(leaves, seed):
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1.2, 1.2, shape) for shape in leaves]


def ours(arrays, steps, requires_grad=True):
    tensors = [ge.tensor(a, requires_grad=requires_grad) for a in arrays]
    return run(ge, tensors, steps, lambda name: getattr(ge, name)), tensors


@pytest.mark.parametrize("name", ["numpy", "numba"])
@given(program=programs())
@settings(max_examples=60)
def test_gradients_equal_finite_differences(name, program):
    leaves, steps, seed = program
    arrays = arrays_of(leaves, seed)
    if ge.backends()[name] != "available":
        pytest.skip("Numba is not installed")
    ge.set_cpu_backend(name)
    with np.errstate(all="ignore"):
        loss, tensors = ours(arrays, steps)
        loss.backward()
        for i, x in enumerate(tensors):
            want = check.numeric_gradient(lambda *moved: ours(moved, steps, False)[0].item(), arrays, i)
            scale = max(1.0, np.abs(want).max(), abs(loss.item()))
            assert np.abs(x.grad.numpy() - want).max() <= 2e-6 * scale


@pytest.mark.torch
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
@given(program=programs())
@settings(max_examples=150)
def test_value_first_and_second_order_equal_torch(program):
    import torch

    leaves, steps, seed = program
    arrays = arrays_of(leaves, seed)
    names = {"square": torch.square, "negative": torch.neg, "subtract": torch.sub, "multiply": torch.mul}
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    want = run(torch, theirs, steps, lambda name: names.get(name) or getattr(torch, name))
    got, tensors = ours(arrays, steps)
    np.testing.assert_allclose(got.item(), want.item(), rtol=1e-10, atol=1e-10)
    first = ge.grad(got, tensors, create_graph=True)
    first_want = torch.autograd.grad(want, theirs, create_graph=True)
    for g, w in zip(first, first_want, strict=True):
        scale = max(1.0, w.abs().max().item())
        np.testing.assert_allclose(g.detach().numpy(), w.detach().numpy(), rtol=1e-9, atol=1e-9 * scale)
    if not any(w.requires_grad for w in first_want):
        return
    total = sum((g * g).sum() for g in first)
    total_want = sum((w * w).sum() for w in first_want)
    if not total_want.requires_grad:
        return
    second = ge.grad(total, tensors, allow_unused=True)
    second_want = torch.autograd.grad(total_want, theirs, allow_unused=True)
    for g, w in zip(second, second_want, strict=True):
        if w is None or g is None:
            assert g is None or not np.any(g.numpy())
            assert w is None or not w.any()
        else:
            scale = max(1.0, w.abs().max().item())
            np.testing.assert_allclose(g.numpy(), w.numpy(), rtol=1e-8, atol=1e-8 * scale)
