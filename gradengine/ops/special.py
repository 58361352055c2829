"""Special functions: the error function and its kin, the logarithm of gamma and its derivatives.

Names are SciPy's or PyTorch's. What has a body here is computed by it wherever a backend has no kernel of its own.
"""

from __future__ import annotations

import functools
import math
import operator
from fractions import Fraction
from typing import Any

from ..core.tensor_class import Tensor
from ..errors import ArgumentError, describe
from ..validation import known_words
from .declare import elementwise
from .tensor_methods import method

__all__ = ["erf", "erfc", "erfinv", "lgamma", "digamma", "polygamma"]

BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)  # B2, B4, ..., B16

# -- the error function -------------------------------------------------------------------------------------------

erf = elementwise(
    "erf",
    lambda k, g, y, x: g * (2 / math.sqrt(math.pi) * k.exp(-(x * x))),
    doc="""The error function, 2/√π times the integral of exp(-t²) from 0 to `x`.

    >>> import gradengine as ge
    >>> ge.erf(ge.tensor([0.0, 1.0]))
    tensor([0.    , 0.8427])
    """,
    method=True,
)

erfc = elementwise(
    "erfc",
    lambda k, g, y, x: g * (-2 / math.sqrt(math.pi) * k.exp(-(x * x))),
    doc="""`1 - erf(x)`, exact to the last digits for large `x` too.

    >>> import gradengine as ge
    >>> ge.erfc(ge.tensor([0.0, 1.0]))
    tensor([1.    , 0.1573])
    """,
    method=True,
)

# Giles, "Approximating the erfinv function" (2010): a polynomial in w - 2.5, w = -log(1 - x²), highest power first.
GILES = (
    *(2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087),
    *(-0.00125372503, -0.00417768164, 0.246640727, 1.50140941),
)
WINITZKI = 0.147  # his approximation's constant; it is right to 3 digits, in the tail too


def polynomial(coefficients: tuple[float, ...], w: Any) -> Any:
    """The polynomial with those coefficients, highest power first."""
    total: Any = coefficients[0]
    for c in coefficients[1:]:
        total = total * w + c
    return total


def erfinv_body(k: Any, x: Any) -> Any:
    """An approximation, then two of Halley's steps; in the tail these go by erfc, where 1 - |x| is exact."""
    a = k.abs(x)
    w = -k.log((1 - a) * (1 + a))
    t = 2 / (math.pi * WINITZKI) - w / 2
    tail = k.sqrt(k.sqrt(t * t + w / WINITZKI) - t)
    z = k.where(k.less(w, 5), a * polynomial(GILES, w - 2.5), tail)
    for _ in range(2):
        error = k.where(k.less(a, 0.5), k.erf(z) - a, (1 - a) - k.erfc(z))
        step = error / (2 / math.sqrt(math.pi) * k.exp(-(z * z)))
        z = z - step / (1 + z * step)
    z = k.where(k.equal(a, 1), math.inf, z)
    return k.where(k.less(x, 0), -z, z)


erfinv = elementwise(
    "erfinv",
    lambda k, g, y, x: g * (math.sqrt(math.pi) / 2 * k.exp(y * y)),
    body=erfinv_body,
    doc="""The number whose `erf` is `x`; infinite at -1 and 1, NaN beyond.

    >>> import gradengine as ge
    >>> ge.erfinv(ge.tensor([0.0, 0.8427008]))
    tensor([0., 1.])
    """,
    precision="high",
    method=True,
)

# -- gamma and its logarithmic derivatives ------------------------------------------------------------------------

lgamma = elementwise(
    "lgamma",
    lambda k, g, y, x: g * k.digamma(x),
    doc="""The logarithm of |Γ(x)|; infinite at 0, -1, -2, ...

    >>> import gradengine as ge
    >>> ge.lgamma(ge.tensor([1.0, 5.0]))
    tensor([0.    , 3.1781])
    """,
    precision="high",
    method=True,
)


def digamma_body(k: Any, x: Any) -> Any:
    """Reflection below 0, ten steps of the recurrence, then the asymptotic series (Abramowitz and Stegun 6.3)."""
    x = 1.0 * x  # integers become floats
    below = k.less(x, 0)
    z = k.where(below, 1 - x, x)
    total = -1 / z
    for i in range(1, 10):
        total = total - 1 / (z + i)
    w = z + 10
    series = 0.0
    for i in range(7, 0, -1):
        series = (BERNOULLI[i - 1] / (2 * i) + series) / (w * w)
    total = total + k.log(w) - 0.5 / w - series
    mirrored = k.where(k.equal(x, k.round(x)), math.nan, math.pi * cotangent_of_half_turns(k, x))
    return k.where(below, total - mirrored, total)


digamma = elementwise(
    "digamma",
    lambda k, g, y, x: g * k.polygamma(x, n=1),
    body=digamma_body,
    doc="""The derivative of `lgamma`; infinite at 0, NaN at -1, -2, ...

    >>> import gradengine as ge
    >>> ge.digamma(ge.tensor([1.0, 2.0]))
    tensor([-0.5772,  0.4228])
    """,
    precision="high",
    method=True,
)


def polygamma_body(k: Any, x: Any, n: int) -> Any:
    """As digamma_body, for the derivatives (Abramowitz and Stegun 6.4); the more of them, the more steps.

    n! / z^(n+1), which all terms have in common, is one power: neither of its two parts need be in the dtype's range.
    """
    x = 1.0 * x
    below = k.less(x, 0)
    z = k.where(below, 1 - x, x)
    steps = 10 + n
    root = math.exp(math.lgamma(n + 1) / (n + 1))  # of n!, of order n + 1
    total = 1.0
    for i in range(1, steps):
        total = total + k.pow(1 + i / z, -(n + 1))
    w = z + steps
    series = 0.0
    for i in range(8, 0, -1):
        coefficient = BERNOULLI[i - 1] * (math.factorial(2 * i + n - 1) / (math.factorial(2 * i) * math.factorial(n)))
        series = (coefficient + series) / (w * w)
    shrunk = 1 + steps / z
    total = root / z * (total + 0.5 * k.pow(shrunk, -(n + 1))) + root * (1 / n + series) * k.pow(shrunk, -n)
    value = (-1) ** (n + 1) * (k.pow(root / z, n) * total)
    # psi_n(x) = (-1)^n psi_n(1 - x) - π (d/dx)^n cot πx, the last as a polynomial in the cotangent.
    c = cotangent_of_half_turns(k, x)
    # Every other coefficient is 0 and the rest are of one sign: what overflows is infinite, never NaN.
    squares = polynomial(cotangent_derivative(n)[::2], c * c)
    mirrored = k.where(k.equal(c, 0), cotangent_derivative(n)[-1], squares if n % 2 else c * squares)
    value = k.where(below, (-1) ** n * value, value)
    return k.where(below, k.where(k.isinf(mirrored), -mirrored, value - mirrored), value)


def cotangent_of_half_turns(k: Any, x: Any) -> Any:
    """cot πx, which is exact where it is 0: from 1/4 on by the tangent of what is left to 1/2."""
    turn = x - k.round(x)
    size = k.abs(turn)
    near = k.less(size, 0.25)
    tangent = k.tan(math.pi * k.where(near, size, 0.5 - size))
    cotangent = k.where(near, 1 / tangent, tangent)
    return k.where(k.less(turn, 0), -cotangent, cotangent)


@functools.cache
def cotangent_derivative(n: int) -> tuple[float, ...]:
    """π (d/dx)^n cot πx as a polynomial in the cotangent, highest power first: c' = -(1 + c²).

    What is too large for a float is infinite, as the derivatives then are nearly everywhere.
    """
    coefficients = [0, 1]
    for _ in range(n):
        slopes = [i * c for i, c in enumerate(coefficients)][1:]
        coefficients = [0] * (len(slopes) + 2)
        for i, slope in enumerate(slopes):
            coefficients[i] -= slope
            coefficients[i + 2] -= slope
    scale = Fraction(math.pi) ** (n + 1)
    return tuple(rounded(scale * c) for c in reversed(coefficients))


def rounded(number: Fraction) -> float:
    """The nearest float; infinite for what is too large."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


derivative_of_digamma = elementwise(
    "polygamma", lambda k, g, y, x, n: g * k.polygamma(x, n=n + 1), body=polygamma_body, precision="high"
)


@method(in_place=True)
@known_words
def polygamma(x: Any, /, n: int) -> Any:
    """The n-th derivative of `digamma`, n = 0, 1, 2, ...; infinite at 0.

    SciPy and PyTorch take `n` first; that order is accepted too.

    Raises ArgumentError for a negative `n`.

    >>> import gradengine as ge
    >>> ge.polygamma(ge.tensor([1.0, 2.0]), 1)
    tensor([1.6449, 0.6449])
    """
    if isinstance(n, Tensor) and type(x) is int:
        x, n = n, x  # PyTorch's order, which can mean nothing else
    try:
        order = -1 if isinstance(n, Tensor) else operator.index(n)
    except TypeError:
        order = -1
    if order < 0:
        raise ArgumentError(f"polygamma: n must be 0, 1, 2, ..., got {describe(n)}; x comes first here")
    if order > 1000:
        raise ArgumentError(f"polygamma: n must be at most 1000, got {describe(n)}")
    return digamma(x) if order == 0 else derivative_of_digamma(x, n=order)
