"""The gradient checker: it passes what is right and, above all, catches what is wrong."""

import numpy as np
import pytest

import gradengine as ge
from gradengine.autograd import GradcheckError, gradcheck, gradgradcheck


def point(*values):
    return ge.tensor(np.array(values), requires_grad=True)


class Double(ge.autograd.Function):
    """2x, whose gradient says what `slope` says."""

    slope = 2.0

    @staticmethod
    def forward(ctx, x):
        return x * 2.0

    @staticmethod
    def backward(ctx, g):
        return g * Double.slope


def test_right_gradients_pass(backend):
    assert gradcheck(lambda x: ge.exp(x) * 3, point(0.1, -0.5))
    assert gradcheck(lambda x, y: (x @ y, ge.sin(x)), (point(1.0, 2.0), point(-1.0, 0.5)))
    assert gradgradcheck(lambda x, y: ge.exp(x * y), (point(0.1, 0.2), point(0.3, 0.4)))


def test_a_rule_that_says_2_001_for_2_is_caught(monkeypatch):
    assert gradcheck(Double.apply, point(1.0, 2.0), rtol=1e-4)
    monkeypatch.setattr(Double, "slope", 2.001)
    with pytest.raises(GradcheckError, match=r"d output 0\[0\] / d input 0\[0\]: analytic 2.001, numeric 2"):
        gradcheck(Double.apply, point(1.0, 2.0), rtol=1e-4)
    assert not gradcheck(Double.apply, point(1.0, 2.0), rtol=1e-4, raise_exception=False)


def test_a_declared_rule_that_says_2_001_for_2_is_caught():
    wrong = ge.elementwise("doc_wrong_square", lambda k, g, y, x: g * 2.001 * x, body=lambda k, x: x * x)
    with pytest.raises(GradcheckError, match=r"analytic 6\.003, numeric 6"):
        gradcheck(wrong, point(3.0), rtol=1e-4)


def test_a_wrong_second_derivative_is_caught():
    class Sine(ge.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return ge.sin(x)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * ge.cos(x).detach()  # right to first order, a constant to second

    assert gradcheck(Sine.apply, point(0.5))
    with pytest.raises(GradcheckError, match=r"analytic 0, numeric -0\.\d+"):
        gradgradcheck(Sine.apply, point(0.5))
    assert not gradgradcheck(Sine.apply, point(0.5), raise_exception=False)


def test_the_error_says_which_input_output_and_element(monkeypatch):
    monkeypatch.setattr(Double, "slope", 3.0)
    x, y = point(1.0, 2.0), ge.tensor(np.ones((2, 3)), requires_grad=True)

    def function(x, y):
        return x * x, ge.concat([y[:1], Double.apply(y[1:])])

    with pytest.raises(GradcheckError, match=r"d output 1\[1, 0\] / d input 1\[1, 0\]: analytic 3, numeric 2 \(1 of 6"):
        gradcheck(function, (x, y))


def test_a_missing_gradient_is_caught():
    with pytest.raises(GradcheckError, match="analytic 0, numeric 2"):
        gradcheck(lambda x, y: x.detach() * 2 + y, (point(1.0), point(1.0)))


def test_a_gradient_that_differs_from_pass_to_pass_is_caught():
    calls = iter(range(100))

    class Restless(ge.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1.0

        @staticmethod
        def backward(ctx, g):
            return g * (1.0 + 1e-7 * next(calls))

    with pytest.raises(GradcheckError, match="not deterministic"):
        gradcheck(Restless.apply, point(1.0))
    assert gradcheck(Restless.apply, point(1.0), nondet_tol=1e-5)


def test_inputs_that_need_no_gradient_and_outputs_that_are_no_floats_are_left_alone():
    assert gradcheck(lambda x, n, flag: (x * n, x > 0), (point(1.0, 2.0), ge.tensor([2.0, 3.0]), True))
    assert gradcheck(lambda x: ge.sum(x), ge.tensor(np.zeros((0, 2)), requires_grad=True))


def test_what_cannot_be_checked_is_said():
    with pytest.raises(ge.ArgumentError, match="no input requires grad"):
        gradcheck(ge.exp, ge.tensor([1.0]))
    with pytest.raises(ge.DTypeError, match=r"input 0 is float32; .* use .to\(ge.float64\)"):
        gradcheck(ge.exp, ge.tensor([1.0], requires_grad=True))
    with pytest.raises(ge.DTypeError, match="must return a floating-point Tensor"):
        gradcheck(lambda x: x > 0, point(1.0))
    with pytest.raises(ge.ArgumentError, match="1 outputs but 2 grad_outputs"):
        gradgradcheck(ge.exp, point(1.0), (point(1.0), point(1.0)))


def test_gradgradcheck_with_given_cotangents():
    assert gradgradcheck(ge.exp, point(1.0, 2.0), ge.tensor(np.array([0.5, 2.0])))


def test_nothing_is_left_behind():
    x = point(1.0, 2.0)
    gradcheck(ge.exp, x)
    assert x.grad is None
    assert x.tolist() == [1.0, 2.0]
