"""gradengine: a tensor autograd engine. One graph, run by NumPy, Numba or CUDA kernels.

Array functions follow the Python array API standard, autograd, layers and optimizers follow PyTorch. This file only
gives names; `nn`, `optim`, `data`, `io`, `cuda`, `autograd` and `inspect` load when they are first used.

>>> import gradengine as ge
>>> x = ge.tensor([1.0, 2.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([2., 4.])
"""

from __future__ import annotations

import importlib as _importlib
from typing import Any as _Any

from . import amp, errors, ops
from ._version import __version__
from .amp import autocast, get_autocast_dtype, is_autocast_enabled
from .autodiff import grad
from .backend import backends, get_cpu_backend, get_default_device, set_cpu_backend, set_default_device
from .constants import *
from .dispatch import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .dtypes import *
from .errors import *
from .ops import (
    Generator,
    abs,
    acos,
    acosh,
    add,
    all,
    allclose,
    amax,
    amin,
    any,
    arange,
    argmax,
    argmin,
    argsort,
    argwhere,
    asarray,
    asin,
    asinh,
    astype,
    atan,
    atan2,
    atanh,
    bernoulli,
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    broadcast_arrays,
    broadcast_to,
    ceil,
    chunk,
    clip,
    clone,
    concat,
    copysign,
    cos,
    cosh,
    count_nonzero,
    cumprod,
    cumsum,
    cumulative_prod,
    cumulative_sum,
    default_generator,
    diag,
    diagonal,
    digamma,
    divide,
    einsum,
    empty,
    empty_like,
    equal,
    erf,
    erfc,
    erfinv,
    exp,
    exp2,
    expand,
    expand_dims,
    expm1,
    eye,
    flatten,
    flip,
    floor,
    floor_divide,
    from_dlpack,
    full,
    full_like,
    gather,
    greater,
    greater_equal,
    hypot,
    index_add,
    isclose,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    lgamma,
    linear,
    linspace,
    log,
    log1p,
    log2,
    log10,
    log_softmax,
    logaddexp,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    logsumexp,
    manual_seed,
    masked_fill,
    masked_select,
    matmul,
    matrix_transpose,
    max,
    maximum,
    mean,
    median,
    meshgrid,
    min,
    minimum,
    moveaxis,
    multiply,
    narrow,
    negative,
    nonzero,
    norm,
    normal,
    not_equal,
    one_hot,
    ones,
    ones_like,
    outer,
    pad,
    permute_dims,
    polygamma,
    positive,
    pow,
    prod,
    quantile,
    rand,
    randint,
    randn,
    randperm,
    ravel,
    reciprocal,
    relu,
    remainder,
    repeat,
    reshape,
    roll,
    round,
    rsqrt,
    scatter_add,
    searchsorted,
    sigmoid,
    sign,
    sin,
    sinc,
    sinh,
    softmax,
    sort,
    split,
    sqrt,
    square,
    squeeze,
    stack,
    std,
    subtract,
    sum,
    swapaxes,
    take,
    take_along_axis,
    tan,
    tanh,
    tensor,
    tensordot,
    tile,
    topk,
    trace,
    transpose,
    tri,
    tril,
    triu,
    trunc,
    uniform,
    unstack,
    var,
    vecdot,
    vector_norm,
    where,
    zeros,
    zeros_like,
)
from .ops.declare import composite, elementwise, primitive
from .tensor import Tensor
from .tensor import bfloat16_dtype as _bfloat16_dtype

SUBMODULES = ("autograd", "cases", "cuda", "data", "inspect", "io", "nn", "optim")
LAZY = {"save": "io", "load": "io", "jit": "compiler"}  # names that load with their file, when they are first used
# What PyTorch or NumPy calls otherwise, for those who try that name first.
OTHERWISE = {"cat": "concat", "concatenate": "concat", "from_numpy": "asarray", "as_tensor": "asarray"}


def __getattr__(name: str) -> _Any:
    if name in SUBMODULES:
        return _importlib.import_module(f".{name}", __name__)
    if name == "bfloat16":
        return _bfloat16_dtype()
    if name in LAZY:
        return getattr(_importlib.import_module(f".{LAZY[name]}", __name__), name)
    hint = f"; here it is ge.{OTHERWISE[name]}" if name in OTHERWISE else ""
    raise AttributeError(f"module 'gradengine' has no attribute {name!r}{hint}")


def __dir__() -> list[str]:
    return sorted({*globals(), *SUBMODULES, *LAZY, "bfloat16"})
