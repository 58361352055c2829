"""Activation functions of neural networks, each one op.

Names, parameters and gradients at kinks are PyTorch's; in `gradengine.nn.functional` they are public. A body in
simpler pointwise ops defines each, so that every backend has it; its rule is written out to be safe where the body's
own derivative would overflow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..core.tensor_class import Tensor, wrap
from ..errors import ArgumentError, ShapeError, describe
from ..validation import is_number
from .arguments import checked
from .declare import elementwise
from .pytorch_forms import in_place

__all__ = ["relu", "sigmoid"]

# -- straight lines with kinks ------------------------------------------------------------------------------------

relu = elementwise(
    "relu",
    lambda k, g, y, x: k.where(k.less_equal(y, 0), 0, g),
    form=in_place("relu"),
    body=lambda k, x: k.maximum(x, 0),
    doc="""`max(x, 0)`; its gradient at 0 is 0.

    >>> import gradengine as ge
    >>> ge.nn.functional.relu(ge.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """,
    method=True,
)


def between(k: Any, x: Any, low: Any, high: Any) -> Any:
    """Where x is strictly between two bounds; NaN is not."""
    return k.logical_and(k.greater(x, low), k.less(x, high))


relu6 = elementwise(
    "relu6",
    lambda k, g, y, x: k.where(between(k, x, 0, 6), g, 0),
    form=in_place("relu6"),
    body=lambda k, x: k.minimum(k.maximum(x, 0), 6),
    doc="""`min(max(x, 0), 6)`; its gradient at 0 and at 6 is 0.

    >>> import gradengine as ge
    >>> ge.nn.functional.relu6(ge.tensor([-1.0, 2.0, 8.0]))
    tensor([0., 2., 6.])
    """,
)

leaky_relu = elementwise(
    "leaky_relu",
    lambda k, g, y, x, negative_slope: k.where(k.greater(x, 0), g, g * negative_slope),
    form=in_place("leaky_relu", "negative_slope"),
    body=lambda k, x, negative_slope=0.01: k.where(k.greater(x, 0), x, x * negative_slope),
    doc="""`x` where it is positive, else `negative_slope * x`.

    >>> import gradengine as ge
    >>> ge.nn.functional.leaky_relu(ge.tensor([-1.0, 2.0]))
    tensor([-0.01,  2.  ])
    """,
)

prelu_slope = elementwise(
    "prelu_slope",
    lambda k, g, y, x, a: k.where(k.greater(x, 0), g, g * a),
    lambda k, g, y, x, a: k.where(k.greater(x, 0), 0, g * x),
    body=lambda k, x, a: k.where(k.greater(x, 0), x, x * a),
    doc="`x1` where it is positive, else `x1 * x2`; `prelu` gives `x2` its shape.",
)


@checked(words={"weight": "weight"})
def prelu(x: Any, weight: Any, /) -> Tensor:
    """`x` where it is positive, else `weight * x`, with one learned weight or one for each channel (axis 1).

    Raises ShapeError when the number of weights is neither 1 nor that of the channels. He et al., arXiv:1502.01852.

    >>> import gradengine as ge
    >>> ge.nn.functional.prelu(ge.tensor([[-1.0, -1.0]]), ge.tensor([0.25, 0.5]))
    tensor([[-0.25, -0.5 ]])
    """
    x = wrap(x)
    weight = wrap(weight, x)
    if weight.ndim > 1:
        raise ShapeError(f"prelu: weight must be 0-d or 1-d, got shape {weight.shape}; use .flatten()")
    if weight.size != 1:
        channels = x.shape[1] if x.ndim > 1 else 1
        if weight.size != channels:
            raise ShapeError(
                f"prelu: {weight.size} weights for {channels} channels (axis 1 of shape {x.shape}); "
                "give one weight, or one for each channel"
            )
        weight = weight.reshape((1, channels) + (1,) * (x.ndim - 2))
    elif weight.ndim > x.ndim:
        weight = weight.reshape(())
    return prelu_slope(x, weight)


threshold = elementwise(
    "threshold",
    lambda k, g, y, x, threshold, value: k.where(k.less_equal(x, threshold), 0, g),
    form=in_place("threshold", "threshold", "value"),
    body=lambda k, x, threshold, value: k.where(
        k.less_equal(x, threshold), value - 0, x
    ),  # only a number has a difference
    doc="""`x` where it is above `threshold`, else `value`.

    >>> import gradengine as ge
    >>> ge.nn.functional.threshold(ge.tensor([0.5, 2.0]), 1, -7)
    tensor([-7.,  2.])
    """,
)


def check_limits(name: str, given: Mapping[str, Any]) -> None:
    """Raise ArgumentError for limits in the wrong order; numbers of a step that is traced are not known."""
    low, high = given["min_val"], given["max_val"]
    if is_number(low) and is_number(high) and low > high:
        raise ArgumentError(f"{name}: min_val must be at most max_val, got min_val={low} and max_val={high}")


def check_lambd(name: str, given: Mapping[str, Any]) -> None:
    """Raise ArgumentError for a distance below 0."""
    if is_number(given["lambd"]) and not given["lambd"] >= 0:
        raise ArgumentError(f"{name}: lambd must be a number >= 0, got {given['lambd']}")


hardtanh = elementwise(
    "hardtanh",
    lambda k, g, y, x, min_val, max_val: k.where(between(k, x, min_val, max_val), g, 0),
    form=in_place("hardtanh", "min_val", "max_val"),
    check=check_limits,
    body=lambda k, x, min_val=-1.0, max_val=1.0: k.minimum(k.maximum(x, min_val), max_val),
    doc="""`x` held between `min_val` and `max_val`; its gradient on the bounds is 0.

    >>> import gradengine as ge
    >>> ge.nn.functional.hardtanh(ge.tensor([-2.0, 0.5, 2.0]))
    tensor([-1. ,  0.5,  1. ])
    """,
)


def beyond(k: Any, x: Any, bound: Any) -> Any:
    """Where |x| is larger than the bound; NaN is not."""
    return k.logical_or(k.greater(x, bound), k.less(x, -bound))


hardshrink = elementwise(
    "hardshrink",
    lambda k, g, y, x, lambd: k.where(beyond(k, x, lambd), g, 0),
    body=lambda k, x, lambd=0.5: k.where(k.less_equal(k.abs(x), lambd), 0, x),
    doc="""`x`, and 0 where |x| is at most `lambd`.

    >>> import gradengine as ge
    >>> ge.nn.functional.hardshrink(ge.tensor([-2.0, 0.25, 2.0]))
    tensor([-2.,  0.,  2.])
    """,
)


def softshrink_body(k: Any, x: Any, lambd: float = 0.5) -> Any:
    """In the middle 0 times x, so that NaN stays."""
    return k.where(k.greater(x, lambd), x - lambd, k.where(k.less(x, -lambd), x + lambd, x * 0))


softshrink = elementwise(
    "softshrink",
    lambda k, g, y, x, lambd: k.where(beyond(k, x, lambd), g, 0),
    body=softshrink_body,
    check=check_lambd,
    doc="""`x` moved towards 0 by `lambd`, and 0 where |x| is at most `lambd`.

    >>> import gradengine as ge
    >>> ge.nn.functional.softshrink(ge.tensor([-2.0, 0.25, 2.0]))
    tensor([-1.5,  0. ,  1.5])
    """,
)

# -- sigmoids -----------------------------------------------------------------------------------------------------

sigmoid = elementwise(
    "sigmoid",
    lambda k, g, y, x: g * ((1 - y) * y),
    body=lambda k, x: 1 / (1 + k.exp(-x)),
    doc="""The logistic function, `1 / (1 + exp(-x))`.

    >>> import gradengine as ge
    >>> ge.nn.functional.sigmoid(ge.tensor([0.0, 1.0]))
    tensor([0.5   , 0.7311])
    """,
    method=True,
)

log_sigmoid = elementwise(
    "log_sigmoid",
    lambda k, g, y, x: g * k.sigmoid(-x),
    body=lambda k, x: k.minimum(x, 0) - k.log1p(k.exp(-k.abs(x))),
    doc="""The logarithm of the sigmoid, also where the sigmoid itself rounds to 0. PyTorch's name is `logsigmoid`.

    >>> import gradengine as ge
    >>> ge.nn.functional.log_sigmoid(ge.tensor([0.0, -1000.0]))
    tensor([   -0.6931, -1000.    ])
    """,
    precision="high",
)

logsigmoid = log_sigmoid

hardsigmoid = elementwise(
    "hardsigmoid",
    lambda k, g, y, x: k.where(between(k, x, -3, 3), g / 6, 0),
    form=in_place("hardsigmoid"),
    body=lambda k, x: k.minimum(k.maximum(x + 3, 0), 6) / 6,
    doc="""A sigmoid of three straight lines, `relu6(x + 3) / 6`. Howard et al., arXiv:1905.02244.

    >>> import gradengine as ge
    >>> ge.nn.functional.hardsigmoid(ge.tensor([-4.0, 0.0, 1.5]))
    tensor([0.  , 0.5 , 0.75])
    """,
)


def softplus_body(k: Any, x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """Beyond the threshold x itself, which is equal to many digits."""
    z = x * beta
    return k.where(k.greater(z, threshold), x, k.log1p(k.exp(z)) / beta)


softplus = elementwise(
    "softplus",
    lambda k, g, y, x, beta, threshold: k.where(k.greater(x * beta, threshold), g, g * k.sigmoid(x * beta)),
    body=softplus_body,
    doc="""A smooth relu, `log(1 + exp(beta * x)) / beta`, and `x` itself where `beta * x` is above `threshold`.

    >>> import gradengine as ge
    >>> ge.nn.functional.softplus(ge.tensor([0.0, 1000.0]))
    tensor([   0.6931, 1000.    ])
    """,
    precision="high",
)

softsign = elementwise(
    "softsign",
    lambda k, g, y, x: g * k.square(k.reciprocal(1 + k.abs(x))),
    body=lambda k, x: x / (1 + k.abs(x)),
    doc="""`x / (1 + |x|)`.

    >>> import gradengine as ge
    >>> ge.nn.functional.softsign(ge.tensor([0.0, 1.0]))
    tensor([0. , 0.5])
    """,
)

tanhshrink = elementwise(
    "tanhshrink",
    lambda k, g, y, x: g * k.square(k.tanh(x)),
    body=lambda k, x: x - k.tanh(x),
    doc="""`x - tanh(x)`.

    >>> import gradengine as ge
    >>> ge.nn.functional.tanhshrink(ge.tensor([0.0, 1.0]))
    tensor([0.    , 0.2384])
    """,
)

# -- exponential and Gaussian units -------------------------------------------------------------------------------


def exp_of_negative(k: Any, x: Any) -> Any:
    """exp(x), and 1 where x is not negative: there it is not wanted, or 1 anyway, and might overflow."""
    return k.exp(k.where(k.greater_equal(x, 0), 0, x))


elu = elementwise(
    "elu",
    lambda k, g, y, x, alpha: k.where(k.greater(x, 0), g, g * (alpha * exp_of_negative(k, x))),
    form=in_place("elu", "alpha"),
    body=lambda k, x, alpha=1.0: k.where(k.greater(x, 0), x, alpha * k.expm1(x)),
    doc="""`x` where it is positive, else `alpha * (exp(x) - 1)`. Clevert et al., arXiv:1511.07289.

    >>> import gradengine as ge
    >>> ge.nn.functional.elu(ge.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.    ])
    """,
)

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def selu_rule(k: Any, g: Any, y: Any, x: Any) -> Any:
    """The derivative of elu, scaled."""
    return k.where(k.greater(x, 0), g * SELU_SCALE, g * (SELU_SCALE * SELU_ALPHA * exp_of_negative(k, x)))


selu = elementwise(
    "selu",
    selu_rule,
    form=in_place("selu"),
    body=lambda k, x: k.where(k.greater(x, 0), SELU_SCALE * x, SELU_SCALE * SELU_ALPHA * k.expm1(x)),
    doc="""An elu whose two constants keep mean 0 and variance 1. Klambauer et al., arXiv:1706.02515.

    >>> import gradengine as ge
    >>> ge.nn.functional.selu(ge.tensor([-1.0, 2.0]))
    tensor([-1.1113,  2.1014])
    """,
)


def check_alpha(name: str, given: Mapping[str, Any]) -> None:
    """Raise ArgumentError for an alpha of 0, by which is divided."""
    if is_number(given["alpha"]) and given["alpha"] == 0:
        raise ArgumentError(f"{name}: alpha must not be 0")


celu = elementwise(
    "celu",
    lambda k, g, y, x, alpha: k.where(k.greater(x, 0), g, g * exp_of_negative(k, x / alpha)),
    form=in_place("celu", "alpha"),
    check=check_alpha,
    body=lambda k, x, alpha=1.0: k.where(k.greater(x, 0), x, alpha * k.expm1(x / alpha)),
    doc="""`x` where it is positive, else `alpha * (exp(x / alpha) - 1)`. Barron, arXiv:1704.07483.

    >>> import gradengine as ge
    >>> ge.nn.functional.celu(ge.tensor([-1.0, 2.0]), alpha=0.5)
    tensor([-0.4323,  2.    ])
    """,
)

GELU_SLOPE, GELU_CUBIC = math.sqrt(2 / math.pi), 0.044715


def gelu_body(k: Any, x: Any, approximate: str = "none") -> Any:
    """x Φ(x), or the same with a tanh for Φ."""
    if approximate == "none":
        return 0.5 * x * (1 + k.erf(x * math.sqrt(0.5)))
    if approximate == "tanh":
        return 0.5 * x * (1 + k.tanh(GELU_SLOPE * x * (1 + GELU_CUBIC * (x * x))))
    raise ArgumentError(f"gelu: approximate must be 'none' or 'tanh', got {describe(approximate)}")


def gelu_rule(k: Any, g: Any, y: Any, x: Any, approximate: str) -> Any:
    """Φ(x) + x φ(x). The tanh is 1 beyond 10 to the last digit; there x² might overflow, and its slope is 0."""
    if approximate == "none":
        density = k.exp(-0.5 * (x * x)) / math.sqrt(2 * math.pi)
        return g * (0.5 * (1 + k.erf(x * math.sqrt(0.5))) + x * density)
    x = k.minimum(k.maximum(x, -10), 10)
    t = k.tanh(GELU_SLOPE * x * (1 + GELU_CUBIC * (x * x)))
    return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (GELU_SLOPE * (1 + 3 * GELU_CUBIC * (x * x))))


gelu = elementwise(
    "gelu",
    gelu_rule,
    body=gelu_body,
    doc="""`x` times the normal distribution function of `x`; with `approximate="tanh"`, a tanh stands for that.

    Raises ArgumentError for another `approximate`. Hendrycks and Gimpel, arXiv:1606.08415.

    >>> import gradengine as ge
    >>> ge.nn.functional.gelu(ge.tensor([-1.0, 2.0]))
    tensor([-0.1587,  1.9545])
    """,
)


def silu_rule(k: Any, g: Any, y: Any, x: Any) -> Any:
    """s (1 + x (1 - s))."""
    s = k.sigmoid(x)
    return g * (s * (1 + x * (1 - s)))


silu = elementwise(
    "silu",
    silu_rule,
    form=in_place("silu"),
    body=lambda k, x: x * k.sigmoid(x),
    doc="""`x * sigmoid(x)`, also known as swish. Elfwing et al., arXiv:1702.03118.

    >>> import gradengine as ge
    >>> ge.nn.functional.silu(ge.tensor([-1.0, 2.0]))
    tensor([-0.2689,  1.7616])
    """,
)


def mish_rule(k: Any, g: Any, y: Any, x: Any) -> Any:
    """t + x s (1 - t²), where t is the tanh of softplus and s its slope, the sigmoid."""
    t = k.tanh(-k.log_sigmoid(-x))
    return g * (t + x * k.sigmoid(x) * (1 - t * t))


mish = elementwise(
    "mish",
    mish_rule,
    form=in_place("mish"),
    body=lambda k, x: x * k.tanh(-k.log_sigmoid(-x)),
    doc="""`x * tanh(softplus(x))`. Misra, arXiv:1908.08681.

    >>> import gradengine as ge
    >>> ge.nn.functional.mish(ge.tensor([-1.0, 2.0]))
    tensor([-0.3034,  1.944 ])
    """,
)


def hardswish_rule(k: Any, g: Any, y: Any, x: Any) -> Any:
    """0, a straight line, 1."""
    return k.where(k.less_equal(x, -3), 0, k.where(k.greater_equal(x, 3), g, g * (x / 3 + 0.5)))


hardswish = elementwise(
    "hardswish",
    hardswish_rule,
    form=in_place("hardswish"),
    body=lambda k, x: x * k.minimum(k.maximum(x + 3, 0), 6) / 6,
    doc="""`x * hardsigmoid(x)`. Howard et al., arXiv:1905.02244.

    >>> import gradengine as ge
    >>> ge.nn.functional.hardswish(ge.tensor([-1.0, 2.0]))
    tensor([-0.3333,  1.6667])
    """,
)
