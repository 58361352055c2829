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
from . import constants as _constants
from . import environment as _environment
from ._version import __version__
from .amp import autocast, get_autocast_dtype, is_autocast_enabled
from .array_namespace import VERSION as __array_api_version__
from .array_namespace import ArrayNamespaceInfo as __array_namespace_info__
from .backend import devices as _devices
from .backend.devices import *
from .constants import *
from .core import dispatch as _dispatch
from .core import tensor_types as _tensor_types
from .core.dispatch import *
from .core.tensor_class import Tensor
from .core.tensor_class import Tensor as ndarray
from .core.tensor_types import *
from .environment import *
from .errors import *
from .module_paths import install as _install_paths
from .ops import *
from .ops import declare as _declare
from .ops import tensor as array
from .ops.declare import *
from .shapes import dtypes as _dtypes
from .shapes.dtypes import *
from .shapes.dtypes import bfloat16_dtype as _bfloat16_dtype
from .transforms import gradients as _gradients
from .transforms.gradients import *

# `bfloat16` is not among them: it is there with ml_dtypes only, and `import *` asks for all of them.
__all__ = ["Tensor", "array", "autocast", "get_autocast_dtype", "is_autocast_enabled", "jit", "load", "ndarray", "save"]
__all__ += _constants.__all__
__all__ += _declare.__all__
__all__ += _devices.__all__
__all__ += _dispatch.__all__
__all__ += _dtypes.__all__
__all__ += _environment.__all__
__all__ += errors.__all__
__all__ += _gradients.__all__
__all__ += ops.__all__
__all__ += _tensor_types.__all__

# Names that `from gradengine import *` leaves alone, for they would take the place of Python's own, or of `ge`.
_BY_NAME = {
    "float": float32, "double": float64, "half": float16, "long": int64, "int": int32, "short": int16,
    "ge": ops.greater_equal,
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
