"""Random programs of views and changes in place: values, first and second gradients beside PyTorch, and jitted."""

import random
from typing import Any

import numpy as np
import pytest

import gradengine as ge
from gradengine.errors import GradengineError

pytestmark = pytest.mark.torch
COUNT = 40


def view(r: random.Random, shape: tuple[int, ...]) -> Any:
    """A function from a Tensor of either library to a view of it."""
    n = len(shape)
    place, diagonal = r.randrange(n + 1), r.choice([-1, 0, 1])
    found = [lambda G, t: t[None], lambda G, t: t[...], lambda G, t: t.unsqueeze(place)]
    found.append(lambda G, t: t.detach())
    if n:
        a = r.randrange(n)
        before = (slice(None),) * a
        found += [lambda G, t: t.reshape(-1), lambda G, t: t.flatten(), lambda G, t: t.view_as(t)]
        if shape[a]:
            i, start = r.randrange(-shape[a], shape[a]), r.randrange(shape[a])
            stop = r.randrange(start, shape[a] + 1)
            found += [
                lambda G, t: t[(*before, i)],
                lambda G, t: t[(*before, slice(start, stop))],
                lambda G, t: t[(*before, slice(None, None, 2))],
                lambda G, t: t.narrow(a, start, stop - start),
                lambda G, t: t.select(a, i),
            ]
        ones = [i for i, size in enumerate(shape) if size == 1]
        if ones:
            gone = r.choice(ones)
            found.append(lambda G, t: t.squeeze(gone))
    if n >= 2:
        one, other = r.sample(range(n), 2)
        order = r.sample(range(n), n)
        found += [
            lambda G, t: t.transpose(one, other),
            lambda G, t: t.permute(*order),
            lambda G, t: t.mT,
            lambda G, t: t.diagonal(diagonal) if n == 2 else t.permute(*order),
            lambda G, t: t.reshape(t.shape[0] * t.shape[1], *t.shape[2:]),
        ]
    return r.choice(found)


def change(r: random.Random, others: int) -> Any:
    """A function that changes a Tensor of either library in place; `c` is a Tensor with one element."""
    x, j = r.choice([0.5, 2.0, -1.0]), r.randrange(others)
    return r.choice([
        lambda G, t, pool, c: t.mul_(x),
        lambda G, t, pool, c: t.add_(c),
        lambda G, t, pool, c: t.mul_(c),
        lambda G, t, pool, c: t.fill_(x),
        lambda G, t, pool, c: t.zero_(),
        lambda G, t, pool, c: t.tanh_(),
        lambda G, t, pool, c: t.clamp_(-0.7, 0.7),
        lambda G, t, pool, c: t.__iadd__(x),
        lambda G, t, pool, c: t.__setitem__((..., slice(0, 1)), c) if len(t.shape) else t.fill_(x),
        lambda G, t, pool, c: t.copy_(pool[j] * 2) if tuple(pool[j].shape) == tuple(t.shape) else t.square_(),
        lambda G, t, pool, c: t.masked_fill_(t > 0.8, x),
    ])  # fmt: skip


def program(seed: int, G: Any, leaf: Any, weight: Any) -> list[Any]:
    """The Tensors that a program has made, their gradients, and those of the gradients' squares."""
    r = random.Random(seed)
    pool, used = [leaf * weight], []
    for _ in range(r.randrange(3, 9)):
        t = pool[r.randrange(len(pool))]
        what = r.choice(["view", "view", "change", "change", "use"])
        if what == "view":
            pool.append(view(r, tuple(t.shape))(G, t))
        elif what == "change":
            change(r, len(pool))(G, t, pool, (weight * weight).sum() if r.random() < 0.5 else leaf.mean())
        else:
            used.append((t * t).sum() if r.random() < 0.5 else (t * 1.5).sum())
    total = sum([(t * t * 0.5 + t).sum() for t in pool] + used[1:], used[0] if used else (leaf * weight).sum())
    gradient = G.grad if G is ge else G.autograd.grad
    first = gradient(total, [leaf, weight], create_graph=True, allow_unused=True)
    square = sum([(g * g).sum() for g in first if g is not None], (leaf * weight).sum())
    second = gradient(square, [leaf, weight], allow_unused=True)
    zeros = [leaf * 0.0, weight * 0.0]
    return [*pool, *(z if g is None else g for g, z in zip([*first, *second], zeros * 2, strict=True))]


def inputs(seed: int, G: Any) -> list[Any]:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 4, rng.integers(1, 4)))
    return [G.tensor(rng.uniform(0.5, 1.5, shape), requires_grad=True) for _ in range(2)]


def compare(seed: int, torch: Any, jitted: bool) -> str:
    """Run a program with both; says which of them refused it."""
    try:
        want = [t.detach().numpy() for t in program(seed, torch, *inputs(seed, torch))]
    except RuntimeError:
        want = None
    run = lambda *given: program(seed, ge, *given)
    try:
        got = (ge.jit(run) if jitted else run)(*inputs(seed, ge))
    except GradengineError:
        return "refused" if want is not None else "both refuse"
    if want is None:
        return "PyTorch refuses"
    assert len(got) == len(want)
    for i, (x, y) in enumerate(zip(got, want, strict=True)):
        np.testing.assert_allclose(x.detach().numpy(), y, rtol=1e-7, atol=1e-9, err_msg=f"seed {seed}, Tensor {i}")
    return "same"


def check(seeds: range, torch: Any, jitted: bool) -> None:
    found = [compare(seed, torch, jitted) for seed in seeds]
    assert found.count("same") > len(found) // 2
    assert found.count("refused") <= len(found) // 50, [s for s, f in zip(seeds, found, strict=True) if f == "refused"]


@pytest.mark.parametrize("part", range(2))
def test_programs_equal_pytorchs(part: int, backend: str, torch: Any) -> None:
    if backend == "cupy":
        pytest.skip("the forms of test_inplace run there, one by one")
    check(range(part * COUNT, (part + 1) * COUNT), torch, jitted=False)


def test_jitted_programs_equal_pytorchs(torch: Any) -> None:
    ge.set_cpu_backend("numpy")
    check(range(100, 100 + COUNT), torch, jitted=True)


@pytest.mark.slow
def test_many_programs_equal_pytorchs(torch: Any) -> None:
    for name in ("numpy", "numba"):
        if ge.backends()[name] == "available":
            ge.set_cpu_backend(name)
            check(range(1000, 2000), torch, jitted=False)
            check(range(2000, 2100), torch, jitted=True)


def reshaped(library: Any, r: random.Random) -> list[Any]:
    """Chains of views of a small array that is changed in between and in the end; what each shows then."""
    shape = [r.randint(1, 3) for _ in range(r.randint(1, 3))]
    x = library.tensor(np.arange(np.prod(shape), dtype=np.float32).reshape(shape))
    views = [x]
    for _ in range(r.randint(1, 4)):
        y = views[-1]
        sizes, kind = (
            tuple(y.shape),
            r.choice(["expand", "expand", "reshape", "reshape", "transpose", "index", "change"]),
        )
        if kind == "expand":
            views.append(y.expand(*[n if n > 1 else r.randint(1, 3) for n in (1, *sizes)]))
        elif kind == "reshape":
            rows = r.choice([n for n in range(1, y.numel() + 1) if y.numel() % n == 0])
            views.append(y.reshape(rows, y.numel() // rows) if r.random() < 0.6 else y.reshape(-1))
        elif kind == "transpose" and len(sizes) > 1:
            views.append(y.transpose(0, len(sizes) - 1))
        elif kind == "index" and len(sizes) > 1:
            views.append(y[0])
        else:
            x.add_(1)
    x.mul_(2)
    return [view.tolist() for view in views]


def test_what_reshape_copies_follows_no_change(torch: Any, backend: str) -> None:
    """Repeated elements are copies in memory where there are few; they are views all the same, or copies, as there."""
    for seed in range(400):
        assert reshaped(ge, random.Random(seed)) == reshaped(torch, random.Random(seed)), seed
