"""Rows of the pointwise ops, apart from the activation functions, which stand in a file of their own."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

import gradengine as ge

from .activations import CASES as ACTIVATIONS
from .case import Case

if TYPE_CHECKING:
    from collections.abc import Callable

Sample = Any


def uniform(*ranges: tuple[float, float], shapes: tuple[tuple[int, ...], ...] | None = None) -> Sample:
    """A sampler of arrays of shape (2, 3), or of the given shapes, one for each range."""
    sizes = shapes or ((2, 3),) * len(ranges)
    return lambda rng: tuple(np.asarray(rng.uniform(*r, size)) for r, size in zip(ranges, sizes))


def whole(rng: np.random.Generator) -> tuple[Any, Any]:
    """Integers, of which no shift is too far."""
    return rng.integers(-20, 20, (2, 3)), rng.integers(0, 8, (2, 3))


def truths(rng: np.random.Generator) -> tuple[Any, Any]:
    """Bools."""
    return rng.random((2, 3)) < 0.5, rng.random((2, 3)) < 0.5


def between_whole(rng: np.random.Generator) -> tuple[Any]:
    """Numbers away from where rounding jumps, at whole and at half numbers."""
    return (rng.integers(-5, 5, (2, 3)) + rng.choice([0.25, 0.75], (2, 3)) + rng.uniform(-0.1, 0.1, (2, 3)),)


def divisible(rng: np.random.Generator) -> tuple[Any, Any]:
    """Dividends and divisors of both signs whose quotients are away from whole numbers."""
    divisor = rng.uniform(1, 2, (2, 3)) * rng.choice([-1, 1], (2, 3))
    return (rng.integers(-3, 3, (2, 3)) + rng.uniform(0.2, 0.8, (2, 3))) * divisor, divisor


def signed(low: float, high: float, *shapes: tuple[int, ...]) -> Sample:
    """A sampler of numbers of both signs, away from 0."""
    wanted = shapes or ((2, 3),)
    return lambda rng: tuple(rng.uniform(low, high, s) * rng.choice([-1, 1], s) for s in wanted)


def few(rng: np.random.Generator) -> tuple[Any, Any]:
    """Floats of which some are equal."""
    return rng.integers(-1, 2, (2, 3)) * 1.0, rng.integers(-1, 2, (2, 3)) * 1.0


def nearly(rng: np.random.Generator) -> tuple[Any, Any]:
    """Pairs that are equal, close, apart, infinite, and NaN."""
    order = rng.permutation(6)
    x1, x2 = np.array([[1.0, 2.0, 3.0, np.inf, -np.inf, np.nan], [1.0, 2.000002, 3.1, np.inf, np.inf, np.nan]])
    return x1[order].reshape(2, 3), x2[order].reshape(2, 3)


def special(rng: np.random.Generator) -> tuple[Any]:
    """Finite numbers, infinities and NaN."""
    return (rng.permutation([0.0, 1.5, np.inf, -np.inf, np.nan, -2.0]).reshape(2, 3),)


def scipy(name: str) -> Callable[..., Any]:
    """SciPy's special function of that name, imported when it is called."""
    return lambda *arrays: getattr(importlib.import_module("scipy.special"), name)(*arrays)


def same(name: str, sample: Sample, reference: Callable[..., Any], **settings: Any) -> Case:
    """A row for a function that has one name here and in PyTorch."""

    def call(*tensors: Any) -> Any:
        return getattr(ge, name.partition("/")[0])(*tensors)

    def torch(t: Any, *tensors: Any) -> Any:
        return getattr(t, name.partition("/")[0])(*tensors)

    return Case(name, call, sample, reference, torch, **settings)


ROW_AND_COLUMN = ((1, 3), (2, 1))
ARITHMETIC = [
    same("add", uniform((-2, 2), (-2, 2)), np.add),
    same("add/broadcast", uniform((-2, 2), (-2, 2), shapes=ROW_AND_COLUMN), np.add),
    same("add/0-d", uniform((-2, 2), (-2, 2), shapes=((), ())), np.add),
    same("add/row", uniform((-2, 2), (-2, 2), shapes=((2, 3), (3,))), np.add),
    same("subtract", uniform((-2, 2), (-2, 2)), np.subtract),
    same("subtract/broadcast", uniform((-2, 2), (-2, 2), shapes=((2, 3), ())), np.subtract),
    same("multiply", uniform((-2, 2), (-2, 2)), np.multiply),
    same("multiply/broadcast", uniform((-2, 2), (-2, 2), shapes=((4, 2, 3), (2, 1))), np.multiply),
    same("divide", signed(0.5, 2, (2, 3), (2, 3)), np.divide),
    same("divide/broadcast", signed(0.5, 2, (2, 3), (3,)), np.divide),
    Case("subtract/number first", lambda x: 2.5 - x, uniform((-2, 2)), lambda x: 2.5 - x, lambda t, x: 2.5 - x),
    Case("multiply/number", lambda x: x * 3, uniform((-2, 2)), lambda x: x * 3, lambda t, x: x * 3),
    Case("multiply/by itself", lambda x: x * x, uniform((-2, 2)), np.square, lambda t, x: x * x),
    Case("divide/number first", lambda x: 1 / x, signed(0.5, 2), lambda x: 1 / x, lambda t, x: 1 / x),
    Case("multiply/by a mask", lambda x, m: x * m, lambda rng: (rng.normal(size=(2, 3)), truths(rng)[0]), np.multiply),
    same("negative", uniform((-2, 2)), np.negative),
    same("positive", uniform((-2, 2)), np.positive),
    same("abs", signed(0.2, 2), np.abs),
    same("sign", signed(0.2, 2), np.sign),
    same("copysign", signed(0.2, 2, (2, 3), (2, 3)), np.copysign),
]
POWERS = [
    same("square", uniform((-2, 2)), np.square),
    same("sqrt", uniform((0.2, 3)), np.sqrt),
    same("rsqrt", uniform((0.2, 3)), lambda x: 1 / np.sqrt(x)),
    same("reciprocal", signed(0.5, 2), np.reciprocal),
    same("pow", uniform((0.3, 2), (-2, 3)), np.power),
    same("pow/broadcast", uniform((0.3, 2), (-2, 3), shapes=ROW_AND_COLUMN), np.power),
    Case("pow/exponent array", lambda x: 2.0**x, uniform((-2, 2)), lambda x: 2.0**x, lambda t, x: 2.0**x),
    *(
        Case(f"pow/{n}", lambda x, n=n: x**n, sample, lambda x, n=n: x**n, lambda t, x, n=n: x**n)
        for n, sample in (
            *((0, signed(0.5, 2)), (1, signed(0.5, 2)), (2, signed(0.5, 2)), (3, signed(0.5, 2)), (5, signed(0.5, 2))),
            *((-1, signed(0.5, 2)), (-3, signed(0.5, 2)), (0.5, uniform((0.3, 2))), (-1.5, uniform((0.3, 2)))),
        )
    ),
    same("hypot", signed(0.5, 2, (2, 3), (2, 3)), np.hypot),
]
ROUNDING = [
    same("floor", between_whole, np.floor),
    same("ceil", between_whole, np.ceil),
    same("trunc", between_whole, np.trunc),
    same("round", between_whole, np.rint),
    same("remainder", divisible, np.remainder),
    same("floor_divide", divisible, np.floor_divide, order=0),
    Case("remainder/number", lambda x: x % 2, between_whole, lambda x: x % 2, lambda t, x: x % 2),
    Case(
        "remainder/integers",
        lambda a, b: a % (b + 1),
        whole,
        lambda a, b: a % (b + 1),
        lambda t, a, b: a % (b + 1),
        order=0,
    ),
]
CLIPPED = (np.array([[-2.0, -0.5, 0.25], [0.75, 1.75, -1.5]]),)


def around_bounds(rng: np.random.Generator) -> tuple[Any]:
    """Numbers below, between and above the bounds -1 and 1."""
    return (CLIPPED[0] + rng.uniform(-0.1, 0.1, (2, 3)),)


def with_bounds(rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """The same, with a row of lower and a column of upper bounds."""
    return *around_bounds(rng), rng.uniform(-1.1, -0.9, 3), rng.uniform(0.9, 1.1, (2, 1))


CHOOSING = [
    same("maximum", uniform((-2, 2), (-2, 2)), np.maximum),
    same("maximum/broadcast", uniform((-2, 2), (-2, 2), shapes=ROW_AND_COLUMN), np.maximum),
    same("minimum", uniform((-2, 2), (-2, 2)), np.minimum),
    same("minimum/broadcast", uniform((-2, 2), (-2, 2), shapes=((2, 3), ())), np.minimum),
    Case("maximum/number", lambda x: ge.maximum(x, 0.0), signed(0.2, 2), lambda x: np.maximum(x, 0)),
    Case("clip", lambda x: ge.clip(x, -1, 1), around_bounds, lambda x: np.clip(x, -1, 1), lambda t, x: x.clip(-1, 1)),
    Case("clip/min", lambda x: ge.clip(x, -1), around_bounds, lambda x: np.maximum(x, -1), lambda t, x: x.clip(-1)),
    Case(
        "clip/max",
        lambda x: ge.clip(x, max=1.0),
        around_bounds,
        lambda x: np.minimum(x, 1),
        lambda t, x: x.clip(max=1.0),
    ),
    same("clip/arrays", with_bounds, np.clip),
    Case("clip/none", lambda x: ge.clip(x), around_bounds, lambda x: x),
    same("where", lambda rng: (truths(rng)[0], rng.normal(size=(2, 3)), rng.normal(size=(2, 3))), np.where),
    same("where/broadcast", lambda rng: (truths(rng)[0], rng.normal(size=3), rng.normal(size=(2, 1))), np.where),
    Case(
        "where/number",
        lambda c, x: ge.where(c, x, 0.5),
        lambda rng: (truths(rng)[0], rng.normal(size=(2, 3))),
        lambda c, x: np.where(c, x, 0.5),
        lambda t, c, x: t.where(c, x, 0.5),
    ),
    Case(
        "astype",
        lambda x: ge.astype(ge.astype(x, ge.float64), ge.float32),
        lambda rng: (rng.integers(-8, 8, (2, 3)) / 4,),
        lambda x: x,
        rtol=1e-2,
        order=1,
    ),
    Case("astype/integers", lambda x: ge.astype(x, ge.int64), between_whole, lambda x: x.astype(int), order=0),
]
COMPARISONS = [
    Case("equal", lambda a, b: ge.equal(a, b), few, np.equal, lambda t, a, b: a == b, order=0),
    *(same(f.__name__, few, f, order=0) for f in (np.not_equal, np.less, np.less_equal)),
    *(same(f.__name__, few, f, order=0) for f in (np.greater, np.greater_equal)),
    Case("less/operator", lambda a, b: a < b, whole, np.less, lambda t, a, b: a < b, order=0),
    Case("equal/number", lambda a: a == 1, lambda rng: few(rng)[:1], lambda a: a == 1, lambda t, a: a == 1, order=0),
    *(same(f.__name__, special, f, order=0) for f in (np.isnan, np.isinf, np.isfinite)),
    same("signbit", special, np.signbit, order=0),
    same("nextafter", uniform((-2, 2), (-2, 2)), np.nextafter, order=0),
    same("isclose", nearly, np.isclose, order=0),
    same("isclose/integers", whole, np.isclose, order=0),
    Case(
        "isclose/equal_nan",
        lambda a, b: ge.isclose(a, b, rtol=1e-3, atol=0.1, equal_nan=True),
        nearly,
        lambda a, b: np.isclose(a, b, rtol=1e-3, atol=0.1, equal_nan=True),
        lambda torch, a, b: torch.isclose(a, b, rtol=1e-3, atol=0.1, equal_nan=True),
        order=0,
    ),
    *(same(f.__name__, truths, f, order=0) for f in (np.logical_and, np.logical_or, np.logical_xor)),
    same("logical_and/numbers", few, np.logical_and, order=0),
    same("logical_not", lambda rng: truths(rng)[:1], np.logical_not, order=0),
    *(same(f.__name__, whole, f, order=0) for f in (np.bitwise_and, np.bitwise_or, np.bitwise_xor)),
    same("bitwise_and/bools", truths, np.bitwise_and, order=0),
    Case("bitwise_invert", lambda a: ~a, lambda rng: whole(rng)[:1], np.invert, lambda t, a: ~a, order=0),
    Case("bitwise_invert/bools", lambda a: ~a, lambda rng: truths(rng)[:1], np.invert, lambda t, a: ~a, order=0),
    same("bitwise_left_shift", whole, np.left_shift, order=0),
    same("bitwise_right_shift", whole, np.right_shift, order=0),
]
TRANSCENDENTAL = [
    *(same(name, uniform((-2, 2)), getattr(np, name)) for name in ("exp", "exp2", "expm1", "sin", "cos")),
    *(same(name, uniform((-2, 2)), getattr(np, name)) for name in ("sinh", "cosh", "tanh")),
    *(same(name, uniform((0.3, 3)), getattr(np, name)) for name in ("log", "log2", "log10", "log1p")),
    same("tanh/0-d", uniform((-2, 2), shapes=((),)), np.tanh),
    same("logaddexp", uniform((-2, 2), (-2, 2)), np.logaddexp),
    same("logaddexp/far apart", uniform((-900, 0), (-90, 900)), np.logaddexp),
    same("tan", uniform((-1, 1)), np.tan),
    same("asin", uniform((-0.8, 0.8)), np.arcsin),
    same("acos", uniform((-0.8, 0.8)), np.arccos),
    same("atan", uniform((-2, 2)), np.arctan),
    same("atan2", signed(0.5, 2, (2, 3), (2, 3)), np.arctan2),
    same("atan2/broadcast", signed(0.5, 2, (2, 3), (2, 1)), np.arctan2),
    same("sinc", uniform((-2, 2)), np.sinc),
    same("sinc/near 0", uniform((-0.3, 0.3)), np.sinc),
    same("asinh", uniform((-2, 2)), np.arcsinh),
    same("acosh", uniform((1.3, 3)), np.arccosh),
    same("atanh", uniform((-0.8, 0.8)), np.arctanh),
]


def polygamma(n: int, low: float, high: float) -> Case:
    """A row for one derivative of digamma; SciPy's function knows positive numbers only."""
    return Case(
        f"polygamma/{n}" + ("" if low > 0 else " below 0"),
        lambda x: ge.polygamma(x, n),
        uniform((low, high)),
        (lambda x: scipy("polygamma")(n, x)) if low > 0 else None,
        lambda t, x: t.polygamma(n, x),
    )


SPECIAL = [
    *(same(name, uniform((-2, 2)), scipy(name)) for name in ("erf", "erfc")),
    same("erfinv", uniform((-0.9, 0.9)), scipy("erfinv")),
    same("lgamma", uniform((0.3, 4)), scipy("gammaln")),
    same("lgamma/below 0", uniform((-2.8, -2.2)), scipy("gammaln")),
    same("digamma", uniform((0.3, 4)), scipy("psi")),
    same("digamma/below 0", uniform((-2.8, -2.2)), scipy("psi")),
    *(polygamma(n, 0.5, 4) for n in (0, 1, 2, 3)),
    polygamma(1, -2.8, -2.2),
    polygamma(2, -2.8, -2.2),
]

CASES = [*ARITHMETIC, *POWERS, *ROUNDING, *CHOOSING, *COMPARISONS, *TRANSCENDENTAL, *SPECIAL, *ACTIVATIONS]
