"""autograd.Function: hand-written gradients, to every order, with several outputs, and its errors."""

import gc
import tracemalloc
import weakref

import numpy as np
import pytest

import gradengine as ge
from gradengine.autograd import Function, gradcheck, gradgradcheck, once_differentiable


def point(*values):
    return ge.tensor(np.array(values), requires_grad=True)


class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 3 * x * x


class Exp(Function):
    """Saves its output."""

    @staticmethod
    def forward(ctx, x):
        y = ge.exp(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y


class ProductAndSum(Function):
    """Two differentiable outputs and one of bools, two Tensors and one plain argument; saves an output."""

    calls = 0

    @staticmethod
    def forward(ctx, a, b, scale, power=1):
        product = a * b * scale
        ctx.save_for_backward(a, b, None, product)
        ctx.scale, ctx.power = scale, power
        return product, a + b, a > b

    @staticmethod
    def backward(ctx, g, h, flags):
        ProductAndSum.calls += 1
        a, b, nothing, product = ctx.saved_tensors
        assert nothing is None
        assert product.shape == a.shape
        assert ctx.needs_input_grad == (True, True, False)
        return g * b * ctx.scale + h, g * a * ctx.scale + h, None


# -- gradients ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, 100_000])
def test_backward_and_grad(backend, size):
    x = ge.tensor(np.linspace(-1, 1, size), requires_grad=True)
    y = Cube.apply(x)
    assert y.requires_grad
    assert not y.is_leaf
    np.testing.assert_allclose(y.detach().numpy(), x.detach().numpy() ** 3)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 3 * x.detach().numpy() ** 2)
    (g,) = ge.grad(Cube.apply(x).sum(), x)
    np.testing.assert_allclose(g.numpy(), x.grad.numpy())


def test_every_order_when_backward_is_written_in_tensor_ops():
    x = point(1.5)
    derivatives = [Cube.apply(x)]
    for _ in range(3):
        derivatives.append(ge.grad(derivatives[-1], x, create_graph=True)[0])
    assert [d.item() for d in derivatives] == pytest.approx([3.375, 6.75, 9.0, 6.0])


def test_a_saved_output_takes_part_in_the_graph():
    y = Exp.apply(x := ge.tensor(1.0, dtype=ge.float64, requires_grad=True))
    for _ in range(3):
        (y,) = ge.grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(np.e)
    assert gradcheck(Exp.apply, point(0.5, 1.0))
    assert gradgradcheck(Exp.apply, point(0.5, 1.0))


@pytest.mark.parametrize("size", [3, 100_000])
def test_several_outputs_run_backward_once(backend, size):
    a = ge.tensor(np.linspace(1, 2, size), requires_grad=True)
    b = ge.tensor(np.linspace(3, 1, size), requires_grad=True)
    product, total, flags = ProductAndSum.apply(a, b, 2.0, power=3)
    assert product.requires_grad
    assert total.requires_grad
    assert not flags.requires_grad
    assert flags.dtype == bool
    ProductAndSum.calls = 0
    ((product * product).sum() + total.sum()).backward()
    assert ProductAndSum.calls == 1
    x, y = a.detach().numpy(), b.detach().numpy()
    np.testing.assert_allclose(a.grad.numpy(), 2 * (x * y * 2) * y * 2 + 1)
    np.testing.assert_allclose(b.grad.numpy(), 2 * (x * y * 2) * x * 2 + 1)


def test_several_outputs_to_second_order():
    def function(a, b):
        return ProductAndSum.apply(a, b, 2.0)[:2]

    assert gradcheck(function, (point(1.0, 2.0), point(3.0, 0.5)))
    assert gradgradcheck(function, (point(1.0, 2.0), point(3.0, 0.5)))


def test_an_output_that_is_not_used_gives_zeros_or_none():
    seen = []

    class Pair(Function):
        @staticmethod
        def forward(ctx, x, materialize):
            ctx.set_materialize_grads(materialize)
            return x * 1, x * 2

        @staticmethod
        def backward(ctx, g, h):
            seen.append(h)
            return g, None

    x = point(1.0, 2.0)
    for materialize in (True, False):
        Pair.apply(x, materialize)[0].sum().backward()
    assert seen[0].tolist() == [0.0, 0.0]
    assert seen[1] is None
    assert x.grad.tolist() == [2.0, 2.0]


def test_none_is_no_gradient():
    class First(Function):
        @staticmethod
        def forward(ctx, x, y):
            return x + y

        @staticmethod
        def backward(ctx, g):
            return g, None

    x, y = point(1.0), point(2.0)
    First.apply(x, y).backward()
    assert x.grad.tolist() == [1.0]
    assert y.grad is None
    (First.apply(x, y) * y).backward()  # along another path it has one
    assert y.grad.tolist() == [3.0]
    with pytest.raises(ge.GraphError, match=r"do not depend on inputs\[1\]"):
        ge.grad(First.apply(x, y), (x, y))
    assert ge.grad(First.apply(x, y), (x, y), allow_unused=True)[1] is None
    for create_graph in (False, True):
        assert ge.grad(First.apply(x, y), y, create_graph=create_graph, allow_unused=True) == (None,)


def test_the_same_tensor_twice():
    x = point(3.0)
    product, total, _ = ProductAndSum.apply(x, x, 1.0)
    (product + total).backward()
    assert x.grad.tolist() == [8.0]


def test_the_same_call_in_a_longer_graph(torch):
    class TorchCube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3 * x * x

    def chain(cube, sin, x):
        y = cube(sin(x))
        return (cube(y) * y + x).sum()

    ours, theirs = point(0.3, -0.7), torch.tensor([0.3, -0.7], dtype=torch.float64, requires_grad=True)
    (g,) = ge.grad(chain(Cube.apply, ge.sin, ours), ours, create_graph=True)
    (h,) = torch.autograd.grad(chain(TorchCube.apply, torch.sin, theirs), theirs, create_graph=True)
    np.testing.assert_allclose(g.detach().numpy(), h.detach().numpy())
    g.sum().backward()
    h.sum().backward()
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy())


def test_retain_graph():
    x = point(2.0)
    y = Cube.apply(x)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [24.0]
    with pytest.raises(ge.GraphError, match="the graph behind Cube was released"):
        y.backward()


def test_no_grad_and_inputs_that_need_none():
    x = point(2.0)
    with ge.no_grad():
        y = Cube.apply(x)
    assert not y.requires_grad
    assert not Cube.apply(x.detach()).requires_grad
    assert not Cube.apply(ge.tensor([2.0])).requires_grad


def test_forward_is_not_recorded():
    class Check(Function):
        @staticmethod
        def forward(ctx, x):
            assert not ge.is_grad_enabled()
            assert not (x * 2).requires_grad
            return x * 2

        @staticmethod
        def backward(ctx, g):
            ctx.seen.append(ge.is_grad_enabled())
            return g * 2

        @staticmethod
        def note(ctx, seen):
            ctx.seen = seen

    seen = []

    class Noting(Check):
        @staticmethod
        def forward(ctx, x):
            ctx.seen = seen
            return Check.forward(ctx, x)

    x = point(1.0)
    Noting.apply(x).backward()
    ge.grad(Noting.apply(x), x, create_graph=True)
    assert seen == [False, True]


def test_an_input_that_is_returned_is_an_output_of_its_own():
    class Identity(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 5

    x = point(2.0)
    y = Identity.apply(x)
    assert y is not x
    y.backward()
    assert x.grad.tolist() == [5.0]
    with ge.no_grad():
        assert Identity.apply(x) is not x


def test_saved_values_are_those_of_the_call():
    x = point(2.0)
    y = x * 1.0
    z = Cube.apply(y)
    y += 10.0
    z.backward()
    assert x.grad.tolist() == [12.0]

    w = point(2.0)
    loss = Cube.apply(w)
    with ge.no_grad():
        w += 10.0
    loss.backward()
    assert w.grad.tolist() == [12.0]


def test_mark_non_differentiable(backend):
    class Sorted(Function):
        @staticmethod
        def forward(ctx, x):
            order = ge.argsort(x)
            copy = x * 1.0
            ctx.mark_non_differentiable(order, copy)
            ctx.save_for_backward(order)
            return ge.take(x, order), order, copy

        @staticmethod
        def backward(ctx, g, *rest):
            assert all(r is not None for r in rest)
            (order,) = ctx.saved_tensors
            return ge.take(g, ge.argsort(order))

    x = point(3.0, 1.0, 2.0)
    values, order, copy = Sorted.apply(x)
    assert values.requires_grad
    assert not order.requires_grad
    assert not copy.requires_grad
    (values * ge.tensor(np.array([1.0, 10.0, 100.0]))).sum().backward()
    assert x.grad.tolist() == [100.0, 1.0, 10.0]


def test_setup_context():
    class Scale(Function):
        @staticmethod
        def forward(x, factor):
            return x * factor

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, factor = inputs
            ctx.save_for_backward(x, output)
            ctx.factor = factor

        @staticmethod
        def backward(ctx, g):
            x, output = ctx.saved_tensors
            np.testing.assert_array_equal(output.numpy(force=True), x.numpy(force=True) * ctx.factor)
            return g * ctx.factor, None

    assert gradcheck(lambda x: Scale.apply(x, 3.0), point(1.0, 2.0))


def test_hooks_and_retain_grad():
    x = point(2.0)
    y = Cube.apply(x)
    y.retain_grad()
    y.register_hook(lambda g: g * 2)
    (y * 1.0).backward()
    assert x.grad.tolist() == [24.0]


def test_gradients_are_summed_and_cast_to_the_input():
    class Add(Function):
        @staticmethod
        def forward(ctx, x, y):
            return x + y

        @staticmethod
        def backward(ctx, g):
            return g.to(ge.float64), g.to(ge.float64)

    x, y = ge.ones((2, 3), requires_grad=True), ge.ones(3, requires_grad=True)
    Add.apply(x, y).sum().backward()
    assert y.grad.tolist() == [2.0, 2.0, 2.0]
    assert x.grad.dtype == y.grad.dtype == np.float32


def test_repr_names_the_function():
    assert "op=Cube" in repr(Cube.apply(point(1.0)))
    assert "op=ProductAndSum" in repr(ProductAndSum.apply(point(1.0), point(2.0), 1.0)[0])


def test_closures_that_require_grad_take_part_to_second_order():
    w = point(3.0)

    class TimesW(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(w)
            return x * w

        @staticmethod
        def backward(ctx, g):
            (saved,) = ctx.saved_tensors
            return g * saved

    x = point(2.0)
    (g,) = ge.grad(TimesW.apply(x), x, create_graph=True)
    (h,) = ge.grad(g, w)
    assert h.tolist() == [1.0]


# -- once_differentiable ------------------------------------------------------------------------------------------


class NumpySine(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.cosine = np.cos(x.numpy(force=True))
        return ge.tensor(np.sin(x.numpy(force=True)))

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        return ge.tensor(g.numpy() * ctx.cosine)


@pytest.mark.parametrize("size", [2, 100_000])
def test_once_differentiable(backend, size):
    x = ge.tensor(np.linspace(0, 1, size), requires_grad=True)
    (g,) = ge.grad(NumpySine.apply(x).sum(), x)
    np.testing.assert_allclose(g.numpy(), np.cos(x.detach().numpy()))
    (g,) = ge.grad(NumpySine.apply(x).sum(), x, create_graph=True)
    np.testing.assert_allclose(g.detach().numpy(), np.cos(x.detach().numpy()))
    with pytest.raises(ge.GraphError, match="NumpySine: its backward is marked once_differentiable"):
        g.sum().backward()


# -- errors -------------------------------------------------------------------------------------------------------


def faulty(result):
    """A Function of (Tensor, number) whose backward returns `result`."""

    class Faulty(Function):
        @staticmethod
        def forward(ctx, x, n):
            return x * n

        @staticmethod
        def backward(ctx, g):
            return result

    return Faulty


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda: ge.ones(3), ge.GraphError, r"Faulty.backward: returned 1 gradient, but forward took 2 arguments"),
        (lambda: (ge.ones(3), None, ge.ones(3)), ge.GraphError, "returned 3 gradients, but forward took 2 arguments"),
        (lambda: (ge.ones(3), ge.ones(3)), ge.GraphError, "gradient 1 is for an argument that is no Tensor"),
        (lambda: (np.ones(3), None), ge.DTypeError, "gradient 0 must be a Tensor or None, got ndarray"),
        (lambda: (2.0, None), ge.DTypeError, "gradient 0 must be a Tensor or None, got float 2.0"),
        (lambda: (ge.ones(2), None), ge.ShapeError, r"gradient 0 has shape \(2,\), but argument 0 has shape \(3,\)"),
        (lambda: (ge.ones(()), None), ge.ShapeError, r"gradient 0 has shape \(\), but argument 0 has shape \(3,\)"),
    ],
)
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_wrong_result_of_backward(result, error, message, create_graph):
    x = ge.ones(3, requires_grad=True)
    y = faulty(result()).apply(x, 2.0)
    with pytest.raises(error, match=message):
        ge.grad(y.sum(), x, create_graph=create_graph)


def test_more_gradients_than_arguments_are_fine_when_they_are_none():
    x = ge.ones(3, requires_grad=True)
    faulty((ge.ones(3), None, None)).apply(x, 2.0).sum().backward()
    assert x.grad.tolist() == [1.0] * 3


def test_errors_of_forward():
    class NoTensor(Function):
        @staticmethod
        def forward(ctx, x):
            return 3

    class SavesAnArray(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(np.ones(2))

    class InPlace(Function):
        @staticmethod
        def forward(ctx, x):
            x += 1
            return x

    class Dirty(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)

    x = point(1.0)
    with pytest.raises(
        ge.DTypeError, match=r"NoTensor\.forward: must return a Tensor or a tuple of Tensors, got int 3"
    ):
        NoTensor.apply(x)
    with pytest.raises(ge.DTypeError, match="SavesAnArray: save_for_backward takes Tensors and None, argument 0 is"):
        SavesAnArray.apply(x)
    with pytest.raises(ge.GraphError, match="InPlace: forward must not change its inputs in place"):
        InPlace.apply(x)
    with pytest.raises(ge.GraphError, match="Dirty: forward must not change its inputs in place"):
        Dirty.apply(x)
    with pytest.raises(ge.ArgumentError, match="subclass Function"):
        Function.apply(x)
    with pytest.raises(ge.ArgumentError, match=r"Cube.apply: 'x' requires grad but is given by keyword"):
        Cube.apply(x=x)
    with pytest.raises(NotImplementedError, match="needs a static method forward"):
        type("Nothing", (Function,), {}).apply(x)


def test_saved_tensors_outside_backward():
    contexts = []

    class Keeps(Cube):
        @staticmethod
        def forward(ctx, x):
            contexts.append(ctx)
            return Cube.forward(ctx, x)

    x = point(2.0)
    y = Keeps.apply(x)
    with pytest.raises(ge.GraphError, match=r"Keeps: ctx.saved_tensors can be read in backward only"):
        contexts[0].saved_tensors  # noqa: B018
    y.backward()
    assert x.grad.tolist() == [12.0]


def test_what_backward_raises_reaches_the_caller():
    class Fails(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            raise ZeroDivisionError("on purpose")

    with pytest.raises(ZeroDivisionError, match="on purpose"):
        Fails.apply(point(1.0)).backward()
    assert ge.is_grad_enabled()


# -- memory -------------------------------------------------------------------------------------------------------


def test_a_call_is_freed_with_its_result():
    kept = []

    class Keeps(Function):
        @staticmethod
        def forward(ctx, x):
            middle = x * 2
            kept.append(weakref.ref(ctx))
            ctx.save_for_backward(middle)
            return middle * 2

        @staticmethod
        def backward(ctx, g):
            return g * 4

    gc.disable()
    try:
        x = point(1.0)
        y = Keeps.apply(x)
        y.backward()
        del y
        assert kept[0]() is None
    finally:
        gc.enable()


def test_memory_stays_where_it_is():
    x = ge.tensor(np.ones(1000), requires_grad=True)

    def step():
        a, b, _ = ProductAndSum.apply(Exp.apply(x), x, 2.0)
        (Cube.apply(a) + b).sum().backward()
        x.grad = None

    for _ in range(20):
        step()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(100):
            step()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 20_000


# -- autograd.backward --------------------------------------------------------------------------------------------


def test_backward_of_several_tensors():
    x = point(1.0, 2.0)
    y = Cube.apply(x)
    ge.autograd.backward([y.sum(), y], [None, ge.tensor(np.array([1.0, 10.0]))])
    assert x.grad.tolist() == [6.0, 132.0]
    with pytest.raises(ge.ArgumentError, match="2 tensors but 1 grad_tensors"):
        ge.autograd.backward([y, y], [None])


def test_backward_into_some_inputs_only():
    x, w = point(2.0), point(3.0)
    ge.autograd.backward((x * w).sum(), inputs=[x])
    assert x.grad.tolist() == [3.0]
    assert w.grad is None
