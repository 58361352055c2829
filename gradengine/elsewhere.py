"""What is said of a name or an argument that PyTorch or NumPy has and that is not here. May import errors."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from .errors import DTypeError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

# What has another name in `ge`.
RENAMED = {
    "absolute": "abs", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh", "arctan": "atan",
    "arctan2": "atan2", "arctanh": "atanh", "around": "round", "array_split": "split", "as_tensor": "asarray",
    "asanyarray": "asarray", "ascontiguousarray": "asarray", "average": "mean", "bitwise_not": "bitwise_invert",
    "broadcast_tensors": "broadcast_arrays", "cat": "concat", "compile": "jit", "concatenate": "concat",
    "copy": "clone", "double": "float64", "eq": "equal", "fabs": "abs", "fix": "trunc", "float": "float32",
    "from_numpy": "asarray", "ge": "greater_equal", "gt": "greater", "half": "float16", "identity": "eye",
    "index_select": "take", "inference_mode": "no_grad", "inner": "vecdot", "int": "int32",
    "invert": "bitwise_invert", "le": "less_equal", "left_shift": "bitwise_left_shift", "long": "int64", "lt": "less",
    "mod": "remainder", "movedim": "moveaxis", "ndarray": "Tensor", "ne": "not_equal", "percentile": "quantile",
    "permute": "permute_dims", "power": "pow", "repeat_interleave": "repeat", "right_shift": "bitwise_right_shift",
    "row_stack": "concat", "seed": "manual_seed", "swapdims": "swapaxes", "t": "matrix_transpose",
    "take_along_dim": "take_along_axis", "tensor_split": "split", "true_divide": "divide", "unbind": "unstack",
    "unsqueeze": "expand_dims", "vdot": "vecdot", "view": "reshape", "vstack": "concat",
}  # fmt: skip

PRODUCT = "use ge.matmul, or @"
STACKED = "use ge.concat or ge.stack with an axis"
LAYERS = "convolutions, pooling and recurrent layers are not there yet"
NORMS = "layer norm is the one normalisation that there is"
ATTENTION = "attention is not there yet"
DATA = {
    "DistributedSampler": "there is one process; use RandomSampler",
    "IterDataPipe": "use IterableDataset",
    "MapDataPipe": "use Dataset",
}
PEAK = "no peak is kept; memory_allocated() and memory_reserved() say what is taken now"
STREAM = "ops run on CuPy's current stream"

# By module: what to do instead for a name, or for all names that begin with one that ends with `*`.
INSTEAD = {
    "gradengine": {
        "addmm": "write c + a @ b",
        "array": "use ge.tensor, which copies, or ge.asarray",
        "array_equal": "use ge.equal(a, b).all()",
        "bmm": PRODUCT,
        "column_stack": STACKED,
        "device": "a device is a str: 'cpu', 'cuda' or 'cuda:<number>'",
        "dot": "use ge.vecdot, or @",
        "dstack": STACKED,
        "dtype": "dtypes are NumPy's, such as ge.float32",
        "func": "ge.grad gives gradients of any order; there is no vmap yet",
        "hstack": STACKED,
        "is_floating_point": "use ge.isdtype(x.dtype, 'real floating')",
        "is_tensor": "use isinstance(x, ge.Tensor)",
        "linalg": "use @, ge.norm, ge.vector_norm, ge.trace or ge.outer",
        "mm": PRODUCT,
        "mv": PRODUCT,
        "nan_to_num": "use ge.where(ge.isnan(x), 0, x)",
        "numel": "use x.size",
        "rand_like": "use ge.rand(x.shape, dtype=x.dtype, device=x.device)",
        "randn_like": "use ge.randn(x.shape, dtype=x.dtype, device=x.device)",
        "random": "use ge.rand, ge.randn, ge.randint, ge.uniform or ge.normal; ge.manual_seed seeds them",
        "scatter": "use ge.scatter_add, or write x[index] = value",
        "set_num_threads": "NUMBA_NUM_THREADS in the environment says how many threads there are",
        "shape": "use x.shape",
        "size": "use x.size or x.shape",
        "vmap": "it is not there yet; ops take batches in the axes in front",
    },
    "gradengine.nn": {
        "Buffer": "use Module.register_buffer",
        "Parameter*": "set parameters as attributes, or put modules into nn.ModuleList or nn.ModuleDict",
        "Multihead*": ATTENTION,
        "Transformer*": ATTENTION,
        **{f"{start}*": LAYERS for start in ("Conv", "MaxPool", "AvgPool", "Adaptive", "LSTM", "GRU", "RNN")},
        **{f"{start}*": NORMS for start in ("BatchNorm", "GroupNorm", "InstanceNorm", "RMSNorm", "SyncBatchNorm")},
    },
    "gradengine.nn.functional": {
        "scaled_dot_product_attention": "write softmax(q @ k.mT / d**0.5) @ v",
        **{f"{start}*": LAYERS for start in ("conv", "max_pool", "avg_pool", "adaptive")},
        **{f"{start}*": NORMS for start in ("batch_norm", "group_norm", "instance_norm", "rms_norm")},
    },
    "gradengine.optim": {"SparseAdam": "gradients are never sparse here; use ge.optim.Adam"},
    "gradengine.data": DATA,
    "gradengine.utils": {
        "checkpoint": "nothing recomputes activations yet",
        "tensorboard": "write values with the tensorboard package, from x.item() or x.numpy()",
    },
    "gradengine.utils.data": DATA,
    "gradengine.cuda": {
        "CUDAGraph": "ge.jit captures a step as a CUDA graph",
        "Event": f"use cupy.cuda.Event; {STREAM}",
        "Stream": f"use cupy.cuda.Stream; {STREAM}",
        "amp": "use ge.amp",
        "current_stream": f"use cupy.cuda.get_current_stream(); {STREAM}",
        "device": "give device= where a Tensor is made, or use ge.set_default_device('cuda:<number>')",
        "manual_seed*": "ge.manual_seed seeds what is drawn on every device",
        "max_memory*": PEAK,
        "reset_peak*": PEAK,
        "set_device": "use ge.set_default_device('cuda:<number>')",
        "stream": f"use `with cupy.cuda.Stream():`; {STREAM}",
    },
}
PICKLES = "leave it out: no pickle is ever read"

# By function: what to do instead of an argument.
ARGUMENTS = {
    "load": {
        "map_location": "Tensors come back on the default device; move them with .to(...)",
        "pickle_module": PICKLES,
        "weights_only": PICKLES,
    },
}


def advising(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate the function `name`: an argument that it lacks and PyTorch has is an error that says what to do."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for key in kwargs:
                if key in ARGUMENTS[name]:
                    raise DTypeError(f"{name}: does not take {key}; {ARGUMENTS[name][key]}")
            return function(*args, **kwargs)

        return call

    return decorate


def missing(module: str, name: str) -> AttributeError:
    """The error for a name that a module does not have, with what to use instead where that is known."""
    hint = ""
    if module == "gradengine" and name in RENAMED:
        hint = f"; here it is ge.{RENAMED[name]}"
    for known, said in INSTEAD.get(module, {}).items():
        if name == known or (known.endswith("*") and name.startswith(known[:-1])):
            hint = f"; {said}"
    return AttributeError(f"module {module!r} has no attribute {name!r}{hint}")
