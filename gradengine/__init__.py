"""gradengine: a tensor autograd engine. One graph, run by NumPy, Numba or CUDA kernels.

Array functions follow the Python array API standard, autograd, layers and optimizers follow PyTorch. This file only
gives names; `nn`, `optim`, `data`, `io`, `cuda`, `autograd` and `inspect` load when they are first used.

>>> import gradengine as ge
>>> x = ge.tensor([1.0, 2.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([2., 4.])
"""

import importlib as _importlib
from typing import Any as _Any

import numpy as _np

from . import amp, errors, ops
from . import environment as _environment
from ._version import __version__
from .amp import autocast, get_autocast_dtype, is_autocast_enabled
from .array_namespace import VERSION as __array_api_version__
from .array_namespace import ArrayNamespaceInfo as __array_namespace_info__
from .backend.devices import backends, get_cpu_backend, get_default_device, set_cpu_backend, set_default_device
from .constants import *
from .core.dispatch import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .core.tensor_class import Tensor
from .core.tensor_class import Tensor as ndarray
from .core.tensor_types import *
from .environment import *
from .errors import *
from .module_paths import install as _install_paths
from .ops import (
    Generator,
    abs,
    absolute,
    acos,
    acosh,
    add,
    all,
    allclose,
    amax,
    amin,
    any,
    arange,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    argmax,
    argmin,
    argsort,
    argwhere,
    as_tensor,
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
    bitwise_not,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    broadcast_arrays,
    broadcast_to,
    cat,
    ceil,
    chunk,
    clamp,
    clip,
    clone,
    concat,
    concatenate,
    conj,
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
    diff,
    digamma,
    div,
    divide,
    einsum,
    empty,
    empty_like,
    eq,
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
    fix,
    flatten,
    flip,
    floor,
    floor_divide,
    from_dlpack,
    from_numpy,
    full,
    full_like,
    gather,
    greater,
    greater_equal,
    gt,
    hypot,
    imag,
    index_add,
    invert,
    isclose,
    isfinite,
    isin,
    isinf,
    isnan,
    le,
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
    logspace,
    logsumexp,
    lt,
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
    mul,
    multiply,
    narrow,
    ne,
    neg,
    negative,
    nextafter,
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
    real,
    reciprocal,
    relu,
    remainder,
    repeat,
    reshape,
    roll,
    round,
    rsqrt,
    scalar_tensor,
    scatter_add,
    searchsorted,
    sigmoid,
    sign,
    signbit,
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
    sub,
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
    true_divide,
    trunc,
    uniform,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
    unstack,
    var,
    vecdot,
    vector_norm,
    where,
    zeros,
    zeros_like,
)
from .ops import arithmetic as _arithmetic
from .ops import counting as _counting
from .ops import greater_equal as _greater_equal
from .ops import matrix_products as _matrix_products
from .ops import rearranging as _rearranging
from .ops import sampling as _sampling
from .ops import scattering as _scattering
from .ops import stacking as _stacking
from .ops import statistics as _statistics
from .ops import tensor as array
from .ops.arithmetic import *
from .ops.counting import *
from .ops.declare import composite, elementwise, primitive
from .ops.matrix_products import *
from .ops.rearranging import *
from .ops.sampling import *
from .ops.scattering import *
from .ops.stacking import *
from .ops.statistics import *
from .shapes.dtypes import *
from .shapes.dtypes import bfloat16_dtype as _bfloat16_dtype
from .transforms.gradients import grad, value_and_grad

# `bfloat16` is not among them: it is there with ml_dtypes only, and `import *` asks for all of them.
__all__ = [
    # what holds values, and how it is made
    "Tensor", "tensor", "array", "ndarray", "asarray", "from_dlpack", "zeros", "ones", "full", "empty",
    "zeros_like", "ones_like", "full_like", "empty_like", "arange", "linspace", "eye", "tri", "meshgrid", "one_hot",
    # autograd, and ops of one's own
    "grad", "value_and_grad", "no_grad", "enable_grad", "set_grad_enabled", "is_grad_enabled", "elementwise",
    "primitive", "composite",
    # pointwise
    "abs", "acos", "acosh", "add", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_and", "bitwise_invert",
    "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "ceil", "clamp", "clip", "copysign",
    "cos", "cosh", "digamma", "div", "divide", "equal", "erf", "erfc", "erfinv", "exp", "exp2", "expm1", "floor",
    "floor_divide", "greater", "greater_equal", "hypot", "isclose", "isfinite", "isinf", "isnan", "less", "less_equal",
    "lgamma", "log", "log10", "log1p", "log2", "logaddexp", "logical_and", "logical_not", "logical_or", "logical_xor",
    "masked_fill", "maximum", "minimum", "mul", "multiply", "neg", "negative", "not_equal", "polygamma", "positive",
    "pow", "reciprocal", "relu", "remainder", "round", "rsqrt", "sigmoid", "sign", "sin", "sinc", "sinh", "sqrt",
    "square", "sub", "subtract", "tan", "tanh", "trunc", "where", "conj", "imag", "nextafter", "real", "signbit",
    # along axes
    "all", "allclose", "amax", "amin", "any", "argmax", "argmin", "argsort", "count_nonzero", "cumprod", "cumsum",
    "cumulative_prod", "cumulative_sum", "log_softmax", "logsumexp", "max", "mean", "median", "min", "norm", "prod",
    "quantile", "searchsorted", "softmax", "sort", "std", "sum", "topk", "var", "vector_norm",
    "diff", "isin", "unique_all", "unique_counts", "unique_inverse", "unique_values",
    # shapes and parts
    "argwhere", "astype", "broadcast_arrays", "broadcast_to", "chunk", "clone", "concat", "diag", "diagonal", "expand",
    "expand_dims", "flatten", "flip", "gather", "index_add", "masked_select", "matrix_transpose", "moveaxis", "narrow",
    "nonzero", "pad", "permute_dims", "ravel", "repeat", "reshape", "roll", "scatter_add", "split", "squeeze", "stack",
    "swapaxes", "take", "take_along_axis", "tile", "transpose", "tril", "triu", "unstack",
    # products
    "einsum", "linear", "matmul", "outer", "tensordot", "trace", "vecdot",
    # random numbers
    "Generator", "bernoulli", "default_generator", "manual_seed", "normal", "rand", "randint", "randn", "randperm",
    "uniform",
    # dtypes and constants
    "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool",
    "can_cast", "finfo", "get_default_dtype", "iinfo", "isdtype", "result_type", "set_default_dtype", "e", "inf", "nan",
    "newaxis", "pi",
    # devices, precision, compiling, files
    "backends", "get_cpu_backend", "set_cpu_backend", "get_default_device", "set_default_device", "autocast",
    "get_autocast_dtype", "is_autocast_enabled", "jit", "save", "load",
    # errors
    "ArgumentError", "AxisError", "CheckpointError", "CompileError", "CudaFaultError", "DTypeError", "DataError",
    "DeviceError", "GradengineError", "GraphError", "IndexRangeError", "MissingCheckpointError", "OutOfMemoryError",
    "ShapeError", "SignatureError", "SpellingWarning", "TraceError", "TrainingError",
]  # fmt: skip

__all__ += [
    "absolute", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "as_tensor", "bitwise_not",
    "cat", "concatenate", "eq", "fix", "from_numpy", "gt", "invert", "le", "logspace", "lt", "ne", "scalar_tensor",
    "true_divide", "BFloat16Tensor", "BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor",
    "HalfTensor", "IntTensor", "LongTensor", "ShortTensor",
]  # fmt: skip
__all__ += _arithmetic.__all__
__all__ += _counting.__all__
__all__ += _matrix_products.__all__
__all__ += _rearranging.__all__
__all__ += _sampling.__all__
__all__ += _scattering.__all__
__all__ += _stacking.__all__
__all__ += _statistics.__all__
__all__ += _environment.__all__

# Names that `from gradengine import *` leaves alone, for they would take the place of Python's own, or of `ge`.
_BY_NAME = {
    "float": float32, "double": float64, "half": float16, "long": int64, "int": int32, "short": int16,
    "ge": _greater_equal,
    "dtype": _np.dtype,
}  # fmt: skip
_SUBMODULES = (
    "accelerator",
    "autograd",
    "cases",
    "cuda",
    "data",
    "distributions",
    "func",
    "inspect",
    "io",
    "nn",
    "optim",
    "tree",
    "utils",
)
_LAZY = {
    "save": "io",
    "load": "io",
    "jit": "compiler",
    "compile": "compiler",
    # what PyTorch has here as well as in nn.functional
    **dict.fromkeys(
        (
            "alpha_dropout",
            "bilinear",
            "celu",
            "cosine_similarity",
            "dropout",
            "layer_norm",
            "pairwise_distance",
            "pdist",
            "prelu",
            "rrelu",
            "selu",
            "threshold",
        ),
        "nn.functional",
    ),
}  # names that load with their file, when they are first used


def __getattr__(name: str) -> _Any:
    if name in _SUBMODULES:
        return _importlib.import_module(f".{name}", __name__)
    if name == "bfloat16":
        return _bfloat16_dtype()
    if name in _BY_NAME:
        return _BY_NAME[name]
    if name in _LAZY:
        return getattr(_importlib.import_module(f".{_LAZY[name]}", __name__), "jit" if name == "compile" else name)
    from .missing_names import missing as _missing

    raise _missing(__name__, name)


def __dir__() -> list[str]:
    return sorted(
        {
            *__all__,
            *_BY_NAME,
            *_SUBMODULES,
            "amp",
            "bfloat16",
            "compile",
            "errors",
            *(name for name in globals() if name.startswith("__")),
        }
    )


_install_paths()
