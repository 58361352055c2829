"""What a declaration says of an op holds wherever the engine asks: ops of a user's own are as good as the engine's."""

from types import SimpleNamespace

import numpy as np
import pytest

import gradengine as ge
from gradengine import nn
from gradengine.backend.kernel_table import ALL_OPS
from gradengine.compiler.loop_ir import Builder

NAMES = ("softbend", "is_large", "upside_down", "spread")


@pytest.fixture(scope="module")
def ops():
    """Ops of a user's own; Tensor loses their methods when the tests of this file are over."""
    softbend = ge.elementwise(
        "declared_softbend",
        lambda k, g, y, x: g * k.exp(-x) * y * y,
        body=lambda k, x: 1.0 / (1.0 + k.exp(-x)),
        precision="high",
        method=True,
    )
    weigh = ge.elementwise(
        "declared_weigh",
        lambda k, g, y, x, h: g * k.log(h),
        lambda k, g, y, x, h: g * x / h,
        body=lambda k, x, h: x * k.log(h),
    )
    is_large = ge.elementwise(
        "declared_is_large", None, body=lambda k, x: k.greater(k.abs(x), 1.0), boolean=True, method=True
    )

    @ge.primitive(
        lambda k, g, y, x: k.flip(g, axis=0),
        kernel=lambda x: np.flip(x, 0),
        any_precision=True,
        method=True,
        in_place=True,
    )
    def declared_upside_down(x, /):
        """The rows in reverse order."""

    @ge.composite(method=True)
    def declared_spread(k, x, /, axis=-1):
        """The largest element less the smallest."""
        return k.max(x, axis=axis) - k.min(x, axis=axis)

    @ge.primitive(
        lambda k, g, y, x: 2.0 * g * x,
        kernel=lambda x: (x * x).sum(),
        shape=lambda name, x: (),
        loop_form=lambda k, x: k.view(k.total(x * x, tuple(range(x.ndim))), ()),
    )
    def declared_energy(x, /):
        """The sum of the squares."""

    yield SimpleNamespace(
        energy=declared_energy, softbend=softbend, weigh=weigh, is_large=is_large, upside_down=declared_upside_down
    )
    for name in NAMES:
        for form in (name, f"{name}_"):
            if hasattr(ge.Tensor, f"declared_{form}"):
                delattr(ge.Tensor, f"declared_{form}")


def test_methods_and_their_forms_in_place(ops):
    x = ge.tensor([[-2.0, 0.5], [1.0, 3.0]])
    assert x.declared_softbend().tolist() == ops.softbend(x).tolist()
    assert x.declared_is_large().tolist() == [[True, False], [False, True]]
    assert x.declared_spread().tolist() == [2.5, 2.0]
    assert x.declared_spread(axis=0).tolist() == [3.0, 2.5]
    y = x.clone()
    assert y.declared_upside_down_() is y
    assert y.tolist() == [[1.0, 3.0], [-2.0, 0.5]]
    assert y.declared_softbend_().tolist() == ops.softbend(ops.upside_down(x)).tolist()
    assert not hasattr(x, "declared_spread_")


@pytest.mark.parametrize("jitted", [False, True], ids=["eager", "jitted"])
def test_under_autocast_and_in_half_precision(ops, backend, jitted):
    x = ge.tensor(np.linspace(-2.0, 2.0, 6).reshape(3, 2), dtype=ge.float16, requires_grad=True)

    def step(x):
        with ge.autocast("cuda" if x.is_cuda else "cpu", dtype=ge.float16):
            y = x.declared_softbend()
            turned = ops.upside_down(x)
        return y, turned, ops.is_large(x)

    y, turned, large = (ge.jit(step) if jitted else step)(x)
    assert (y.dtype, turned.dtype, large.dtype) == (ge.float32, ge.float16, np.bool_)
    np.testing.assert_allclose(y.detach().numpy(), 1 / (1 + np.exp(-x.detach().numpy().astype("f4"))), rtol=1e-6)
    np.testing.assert_array_equal(turned.detach().numpy(), x.detach().numpy()[::-1])


@pytest.mark.parametrize("size", [3, 20_000])
@pytest.mark.parametrize("h", [0.25, np.float64(0.25), np.float32(0.25), np.array(0.25, np.float32)], ids=repr)
def test_a_number_as_the_other_operand_widens_nothing(ops, backend, size, h):
    x = ge.tensor(np.linspace(0.5, 2.0, size), dtype=ge.float32)
    for run in (ops.weigh, ge.jit(ops.weigh)):
        y = run(x, h)
        assert y.dtype == ge.float32
        np.testing.assert_allclose(y.numpy(), x.numpy() * np.log(np.float32(0.25)), rtol=2e-6)
        z = run(h, x)
        assert z.dtype == ge.float32
        np.testing.assert_allclose(z.numpy(), 0.25 * np.log(x.numpy()), rtol=2e-6, atol=1e-6)


def test_training_with_ops_of_a_users_own(ops, backend):
    ge.manual_seed(0)
    x, t = ge.randn(8, 3), ge.randint(0, 2, (8,))
    ends = []
    for jitted in (False, True):
        ge.manual_seed(1)
        model = nn.Linear(3, 2)
        optimizer = ge.optim.SGD(model.parameters(), lr=0.5)

        def step(x, t, model=model, optimizer=optimizer):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(ops.upside_down(model(x).declared_softbend()), t)
            loss.backward()
            optimizer.step()
            return loss

        run = ge.jit(step) if jitted else step
        losses = [run(x, t).item() for _ in range(4)]
        ends.append([*losses, *model.weight.detach().numpy().ravel()])
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-5)


@pytest.mark.skipif(ge.backends()["numba"] != "available", reason="Numba is not installed")
def test_a_loop_form_is_fused_with_what_surrounds_it(ops):
    ge.set_cpu_backend("numba")
    x = ge.tensor(np.linspace(-1.0, 2.0, 12, dtype=np.float32).reshape(3, 4), requires_grad=True)

    def step(x):
        y = ops.energy(ge.tanh(x) + 1.0)
        return y, *ge.grad(y, [x])

    jitted = ge.jit(step)
    for got, want in zip(jitted(x), step(x), strict=True):
        np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), rtol=1e-6)
    before, _, after = str(jitted.lower(x)).partition("-- lower --")
    assert "declared_energy" in before
    assert "declared_energy" not in after


def test_declarations_whose_arrays_do_not_fit():
    rule = lambda k, g, y, x: g
    with pytest.raises(
        ge.ArgumentError, match=r"rules: 1, arrays before the `/` .*: 0; .* `def declared_no_slash\(x, /\)"
    ):

        @ge.primitive(rule, kernel=np.copy)
        def declared_no_slash(x):
            """An array that is taken for a setting."""

    with pytest.raises(ge.ArgumentError, match="rules: 2, arrays before the `/` of its signature: 1"):

        @ge.primitive(rule, rule, kernel=np.copy)
        def declared_two_rules(x, /):
            """One array."""

    with pytest.raises(ge.ArgumentError, match="composite 'declared_without_k': must take `k`, then each array"):

        @ge.composite
        def declared_without_k(x):
            return x * 2


def test_a_truth_value_is_one_in_the_loop_ir(ops):
    k = Builder({}, frozenset(("float32",)))
    x = k.unknown((2, 3), np.dtype("float32"))
    assert k.greater(x, 1.0).dtype == np.bool_
    assert k.declared_is_large(x).dtype == np.bool_
    assert (x * 2.0).dtype == np.float32


def test_facts_of_the_engines_own_ops():
    """The few that many parts rely on."""
    assert ALL_OPS["matmul"].precision == "low"
    assert ALL_OPS["softmax"].precision == "high"
    assert ALL_OPS["reshape"].same_order
    assert ALL_OPS["reshape"].any_precision
    assert ALL_OPS["take"].checks_index
    assert ALL_OPS["isnan"].boolean


def test_a_number_beside_an_array_of_an_own_primitive_is_weak(backend):
    @ge.primitive(lambda k, g, y, a, b: g * b, lambda k, g, y, a, b: g * a, kernel=lambda a, b: a * b)
    def test_own_product(a, b, /): ...

    for dtype in (ge.float16, ge.bfloat16, ge.float32, ge.float64):
        x = ge.ones(3, dtype=dtype)
        for number in (2, 2.5, True, np.float64(2.5), np.int64(3)):
            for given in ((x, number), (number, x)):
                for call in (test_own_product, ge.jit(test_own_product)):
                    y = call(*given)
                    assert y.dtype == dtype
                    assert y.tolist() == [number] * 3


def test_a_jitted_function_sees_that_an_op_has_been_declared_again(request):
    names = [f"test_again_{i}" for i in (1, 2, 3)]
    request.addfinalizer(lambda: [delattr(ge.Tensor, name) for name in (*names, "test_again_1_")])

    def declare(n):
        ge.elementwise("test_again_1", lambda k, g, y, x: g * n, body=lambda k, x: x * n, method=True)

        @ge.primitive(lambda k, g, y, x: g * n, kernel=lambda x: x * n, method=True)
        def test_again_2(x, /): ...

        @ge.composite(method=True)
        def test_again_3(k, x, /):
            return k.sum(x * n)

    call = ge.jit(lambda x: (x.test_again_1(), x.test_again_2(), x.test_again_3()))
    for n in (2.0, 3.0, 2.0):
        declare(n)
        for _ in range(2):
            assert [y.sum().item() for y in call(ge.ones(2))] == [2 * n] * 3
