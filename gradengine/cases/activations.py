"""Rows of the activation functions, each beside the formula that defines it."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

import gradengine as ge

from .case import Case

if TYPE_CHECKING:
    from collections.abc import Callable


def points(*values: float) -> Callable[[np.random.Generator], tuple[Any]]:
    """A sampler around six points, which are chosen away from kinks."""
    return lambda rng: (np.reshape(values, (2, 3)) + rng.uniform(-0.1, 0.1, (2, 3)),)


def expit(x: Any) -> Any:
    """SciPy's sigmoid."""
    return importlib.import_module("scipy.special").expit(x)


def normal(x: Any) -> Any:
    """SciPy's normal distribution function."""
    return importlib.import_module("scipy.special").ndtr(x)


def row(name: str, sample: Any, reference: Callable[..., Any], **params: Any) -> Case:
    """A row for a function of `gradengine.nn.functional` and the one of the same name in PyTorch."""
    op = name.partition("/")[0]

    def call(*tensors: Any) -> Any:
        return getattr(ge.nn.functional, op)(*tensors, **params)

    def torch(t: Any, *tensors: Any) -> Any:
        if op == "hardsigmoid":  # whose gradient PyTorch computes with a sixth in single precision
            return t.nn.functional.relu6(tensors[0] + 3) / 6
        return getattr(t.nn.functional, op.replace("log_", "log"))(*tensors, **params)

    def numpy(*arrays: Any) -> Any:
        given = {k: v for k, v in params.items() if k in inspect.signature(reference).parameters}
        with np.errstate(all="ignore"):
            return reference(*arrays, **given)

    return Case(name, call, sample, numpy, torch)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """Clevert et al. 2015."""
    return np.where(x > 0, x, alpha * np.expm1(x))


def softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """PyTorch's definition."""
    return np.where(x * beta > threshold, x, np.log1p(np.exp(x * beta)) / beta)


def hardtanh(x: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """np.clip."""
    return np.clip(x, min_val, max_val)


def hardsigmoid(x: Any) -> Any:
    """Howard et al. 2019."""
    return np.clip(x + 3, 0, 6) / 6


def softshrink(x: Any, lambd: float = 0.5) -> Any:
    """PyTorch's definition."""
    return np.sign(x) * np.maximum(np.abs(x) - lambd, 0)


def hardshrink(x: Any, lambd: float = 0.5) -> Any:
    """PyTorch's definition."""
    return np.where(np.abs(x) > lambd, x, 0)


def prelu(x: Any, weight: Any) -> Any:
    """He et al. 2015, with channels along axis 1."""
    shape = (1, -1) + (1,) * (x.ndim - 2) if weight.size > 1 else ()
    return np.where(x > 0, x, x * weight.reshape(shape))


def channels(*shape: int) -> Callable[[np.random.Generator], tuple[Any, Any]]:
    """A sampler of numbers away from 0 and a weight for each channel."""
    return lambda rng: (
        rng.uniform(0.2, 2, shape) * rng.choice([-1, 1], shape),
        rng.uniform(0.1, 0.5, shape[1] if len(shape) > 2 else 1),
    )


SMOOTH = points(-2.5, -1.2, -0.4, 0.3, 1.1, 2.6)
WIDE = points(-30.0, -4.5, -1.0, 0.5, 7.5, 40.0)

CASES = [
    row("relu", SMOOTH, lambda x: np.maximum(x, 0)),
    row("relu6", WIDE, lambda x: np.clip(x, 0, 6)),
    row("leaky_relu", SMOOTH, lambda x: np.where(x > 0, x, 0.01 * x)),
    row("leaky_relu/slope", SMOOTH, lambda x: np.where(x > 0, x, 0.25 * x), negative_slope=0.25),
    row("prelu/one weight", channels(2, 3), prelu),
    row("prelu/channels", channels(2, 3, 2), prelu),
    row("threshold", SMOOTH, lambda x: np.where(x > 0.7, x, -1.5), threshold=0.7, value=-1.5),
    row("hardtanh", SMOOTH, hardtanh),
    row("hardtanh/bounds", SMOOTH, hardtanh, min_val=-0.7, max_val=2.0),
    row("hardshrink", SMOOTH, hardshrink),
    row("hardshrink/lambd", SMOOTH, hardshrink, lambd=0.8),
    row("softshrink", SMOOTH, softshrink),
    row("softshrink/lambd", SMOOTH, softshrink, lambd=0.8),
    row("sigmoid", SMOOTH, expit),
    row("sigmoid/wide", WIDE, expit),
    row("log_sigmoid", SMOOTH, lambda x: -np.logaddexp(0, -x)),
    row("log_sigmoid/wide", WIDE, lambda x: -np.logaddexp(0, -x)),
    row("hardsigmoid", WIDE, hardsigmoid),
    row("softplus", SMOOTH, softplus),
    row("softplus/wide", WIDE, softplus),
    row("softplus/beta", WIDE, softplus, beta=2.0, threshold=5.0),
    row("softsign", SMOOTH, lambda x: x / (1 + np.abs(x))),
    row("tanhshrink", SMOOTH, lambda x: x - np.tanh(x)),
    row("elu", SMOOTH, elu),
    row("elu/alpha", SMOOTH, elu, alpha=1.5),
    row("selu", SMOOTH, lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772)),
    row("celu", SMOOTH, lambda x: np.where(x > 0, x, np.expm1(x))),
    row("celu/alpha", SMOOTH, lambda x: np.where(x > 0, x, 1.5 * np.expm1(x / 1.5)), alpha=1.5),
    row("gelu", SMOOTH, lambda x: x * normal(x)),
    row("gelu/wide", WIDE, lambda x: x * normal(x)),
    row(
        "gelu/tanh",
        SMOOTH,
        lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        approximate="tanh",
    ),
    row("silu", SMOOTH, lambda x: x * expit(x)),
    row("silu/wide", WIDE, lambda x: x * expit(x)),
    row("mish", SMOOTH, lambda x: x * np.tanh(np.logaddexp(0, x))),
    row("mish/wide", WIDE, lambda x: x * np.tanh(np.logaddexp(0, x))),
    row("hardswish", WIDE, lambda x: x * hardsigmoid(x)),
]
