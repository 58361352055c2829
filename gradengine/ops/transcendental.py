"""Pointwise exponentials, logarithms, trigonometric and hyperbolic functions.

Names are the array API standard's. Angles are in radians. Outside a function's domain the result is NaN.
"""

from __future__ import annotations

import math
from typing import Any

from .declare import elementwise
from .tensor_methods import methods

__all__ = [
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "logaddexp",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "atan2",
    "sinc",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
]

LOG_2, LOG_10 = math.log(2), math.log(10)

# -- exponentials and logarithms ----------------------------------------------------------------------------------

exp = elementwise(
    "exp",
    lambda k, g, y, x: g * y,
    doc="""e to the power `x`.

    >>> import gradengine as ge
    >>> ge.exp(ge.tensor([0.0, 1.0]))
    tensor([1.    , 2.7183])
    """,
    precision="high",
    method=True,
)

exp2 = elementwise(
    "exp2",
    lambda k, g, y, x: g * (y * LOG_2),
    doc="""2 to the power `x`.

    >>> import gradengine as ge
    >>> ge.exp2(ge.tensor([-1.0, 3.0]))
    tensor([0.5, 8. ])
    """,
    precision="high",
    method=True,
)

expm1 = elementwise(
    "expm1",
    lambda k, g, y, x: g * (y + 1),
    doc="""`exp(x) - 1`, exact to the last digits for small `x` too.

    >>> import gradengine as ge
    >>> ge.expm1(ge.tensor([0.0, 1.0]))
    tensor([0.    , 1.7183])
    """,
    precision="high",
    method=True,
)

log = elementwise(
    "log",
    lambda k, g, y, x: g / x,
    doc="""The natural logarithm; -inf at 0.

    >>> import gradengine as ge
    >>> ge.log(ge.tensor([1.0, 10.0]))
    tensor([0.    , 2.3026])
    """,
    precision="high",
    method=True,
)

log2 = elementwise(
    "log2",
    lambda k, g, y, x: g / (x * LOG_2),
    doc="""The logarithm to base 2; -inf at 0.

    >>> import gradengine as ge
    >>> ge.log2(ge.tensor([1.0, 8.0]))
    tensor([0., 3.])
    """,
    precision="high",
    method=True,
)

log10 = elementwise(
    "log10",
    lambda k, g, y, x: g / (x * LOG_10),
    doc="""The logarithm to base 10; -inf at 0.

    >>> import gradengine as ge
    >>> ge.log10(ge.tensor([1.0, 100.0]))
    tensor([0., 2.])
    """,
    precision="high",
    method=True,
)

log1p = elementwise(
    "log1p",
    lambda k, g, y, x: g / (1 + x),
    doc="""`log(1 + x)`, exact to the last digits for small `x` too; -inf at -1.

    >>> import gradengine as ge
    >>> ge.log1p(ge.tensor([0.0, 1.0]))
    tensor([0.    , 0.6931])
    """,
    precision="high",
    method=True,
)

logaddexp = elementwise(
    "logaddexp",
    lambda k, g, y, a, b: g * k.sigmoid(a - b),
    lambda k, g, y, a, b: g * k.sigmoid(b - a),
    doc="""`log(exp(x1) + exp(x2))` without overflow on the way.

    >>> import gradengine as ge
    >>> ge.logaddexp(ge.tensor([0.0, 1000.0]), ge.tensor([0.0, 0.0]))
    tensor([   0.6931, 1000.    ])
    """,
    precision="high",
    method=True,
)

# -- trigonometric functions --------------------------------------------------------------------------------------

sin = elementwise(
    "sin",
    lambda k, g, y, x: g * k.cos(x),
    doc="""The sine.

    >>> import gradengine as ge
    >>> ge.sin(ge.tensor([0.0, 1.0]))
    tensor([0.    , 0.8415])
    """,
    method=True,
)

cos = elementwise(
    "cos",
    lambda k, g, y, x: -g * k.sin(x),
    doc="""The cosine.

    >>> import gradengine as ge
    >>> ge.cos(ge.tensor([0.0, 1.0]))
    tensor([1.    , 0.5403])
    """,
    method=True,
)

tan = elementwise(
    "tan",
    lambda k, g, y, x: g * (1 + y * y),
    doc="""The tangent.

    >>> import gradengine as ge
    >>> ge.tan(ge.tensor([0.0, 1.0]))
    tensor([0.    , 1.5574])
    """,
    precision="high",
    method=True,
)

asin = elementwise(
    "asin",
    lambda k, g, y, x: g * k.rsqrt(1 - x * x),
    doc="""The angle, from -π/2 to π/2, that has the sine `x`. Its gradient at -1 and 1 is infinite.

    >>> import gradengine as ge
    >>> ge.asin(ge.tensor([0.0, 1.0]))
    tensor([0.    , 1.5708])
    """,
    precision="high",
    method=True,
)

acos = elementwise(
    "acos",
    lambda k, g, y, x: -g * k.rsqrt(1 - x * x),
    doc="""The angle, from 0 to π, that has the cosine `x`. Its gradient at -1 and 1 is infinite.

    >>> import gradengine as ge
    >>> ge.acos(ge.tensor([0.0, 1.0]))
    tensor([1.5708, 0.    ])
    """,
    precision="high",
    method=True,
)

atan = elementwise(
    "atan",
    lambda k, g, y, x: g / (1 + x * x),
    doc="""The angle, from -π/2 to π/2, that has the tangent `x`.

    >>> import gradengine as ge
    >>> ge.atan(ge.tensor([0.0, 1.0]))
    tensor([0.    , 0.7854])
    """,
    method=True,
)


def angle_rule(k: Any, g: Any, a: Any, b: Any) -> Any:
    """b / (a² + b²) without overflow, and 0 at the origin."""
    radius = k.hypot(a, b)
    radius = k.where(k.equal(radius, 0), 1.0, radius)
    return g * (b / radius / radius)


atan2 = elementwise(
    "atan2",
    lambda k, g, y, a, b: angle_rule(k, g, a, b),
    lambda k, g, y, a, b: -angle_rule(k, g, b, a),
    doc="""The angle, from -π to π, of the point whose ordinate is `x1` and whose abscissa is `x2`.

    >>> import gradengine as ge
    >>> ge.atan2(ge.tensor([1.0, -1.0]), ge.tensor([1.0, -1.0]))
    tensor([ 0.7854, -2.3562])
    """,
    method=True,
)


def sinc_body(k: Any, x: Any) -> Any:
    """1 at 0, where the quotient is none."""
    u = math.pi * k.where(k.equal(x, 0), 1.0, x)
    return k.where(k.equal(x, 0), 1.0, k.sin(u) / u)


def sinc_rule(k: Any, g: Any, y: Any, x: Any) -> Any:
    """(cos πx - sinc x) / x, and near 0 the power series, so that gradients of every order are right there too."""
    near = k.less(k.abs(x), 0.25)
    w = k.square(math.pi * k.where(near, x, 0.0))
    series = 0.0
    for n in range(8, 0, -1):
        series = (-1) ** n * 2 * n / math.factorial(2 * n + 1) + w * series
    far = k.where(near, 1.0, x)
    return g * k.where(near, x * (math.pi**2 * series), (k.cos(math.pi * far) - y) / far)


sinc = elementwise(
    "sinc",
    sinc_rule,
    body=sinc_body,
    doc="""`sin(πx) / (πx)`, and 1 at 0, as in NumPy.

    >>> import gradengine as ge
    >>> ge.sinc(ge.tensor([0.0, 0.5]))
    tensor([1.    , 0.6366])
    """,
    method=True,
)

# -- hyperbolic functions -----------------------------------------------------------------------------------------

sinh = elementwise(
    "sinh",
    lambda k, g, y, x: g * k.cosh(x),
    doc="""The hyperbolic sine.

    >>> import gradengine as ge
    >>> ge.sinh(ge.tensor([0.0, 1.0]))
    tensor([0.    , 1.1752])
    """,
    precision="high",
    method=True,
)

cosh = elementwise(
    "cosh",
    lambda k, g, y, x: g * k.sinh(x),
    doc="""The hyperbolic cosine.

    >>> import gradengine as ge
    >>> ge.cosh(ge.tensor([0.0, 1.0]))
    tensor([1.    , 1.5431])
    """,
    precision="high",
    method=True,
)

tanh = elementwise(
    "tanh",
    lambda k, g, y, x: g * (1 - y * y),
    doc="""The hyperbolic tangent.

    >>> import gradengine as ge
    >>> ge.tanh(ge.tensor([0.0, 1.0]))
    tensor([0.    , 0.7616])
    """,
    method=True,
)

asinh = elementwise(
    "asinh",
    lambda k, g, y, x: g / k.hypot(x, 1.0),
    doc="""The inverse of the hyperbolic sine.

    >>> import gradengine as ge
    >>> ge.asinh(ge.tensor([0.0, 1.0]))
    tensor([0.    , 0.8814])
    """,
    method=True,
)

acosh = elementwise(
    "acosh",
    lambda k, g, y, x: g * k.rsqrt(x * x - 1),
    doc="""The inverse of the hyperbolic cosine; NaN below 1. Its gradient at 1 is infinite.

    >>> import gradengine as ge
    >>> ge.acosh(ge.tensor([1.0, 2.0]))
    tensor([0.   , 1.317])
    """,
    method=True,
)

atanh = elementwise(
    "atanh",
    lambda k, g, y, x: g / (1 - x * x),
    doc="""The inverse of the hyperbolic tangent; infinite at -1 and 1.

    >>> import gradengine as ge
    >>> ge.atanh(ge.tensor([0.0, 0.5]))
    tensor([0.    , 0.5493])
    """,
    method=True,
)

# What NumPy calls them besides.
arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh = acos, acosh, asin, asinh, atan, atan2, atanh
methods(arccos=acos, arccosh=acosh, arcsin=asin, arcsinh=asinh, arctan=atan, arctan2=atan2, arctanh=atanh)
