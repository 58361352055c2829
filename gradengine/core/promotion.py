"""Dtype promotion where NumPy's own result differs from `dtypes.promoted`: operands are cast, and the op runs again.

NumPy computes float32 with int64 in float64, integers with a Python float in float64, and functions of small integers
in float16. Dispatch calls `promoted_result` when the dtype of a result is one that such a case could have produced, so
ops on operands of one dtype never get here. Casts are recorded ops: gradients flow through them, and `jit` sees them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..shapes.dtypes import FLOATS, get_default_dtype, is_floating, promoted
from .tensor_class import Op, Tensor, constant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HALF, DOUBLE = np.dtype(np.float16), np.dtype(np.float64)
SAMPLES = {"b": False, "i": 0, "f": 0.0}  # a Python number of each kind


def is_weak(x: Tensor) -> bool:
    """True for a Python number, be it known or a tracer of `jit`."""
    array = x.array
    return not hasattr(array, "dtype") or bool(getattr(array, "weak", False))


def promoted_result(
    call: Callable[..., Tensor], op: Op, args: tuple[Any, ...], params: Mapping[str, Any], out: Any
) -> Any:
    """`out`, the result of an op, if its dtype is right; else the result that promotion asks for."""
    found = out.array.dtype
    if found.kind not in FLOATS or params.get("dtype") is not None:
        return out
    rules = op.rules
    parts = [i for i in range(len(args)) if rules[i] is not None] if any(rules) else [*range(len(args))]
    weak = [i for i in parts if is_weak(args[i])]
    strong = [args[i].dtype for i in parts if i not in weak]
    if found in strong:
        return out
    common = promoted(*strong, *[SAMPLES[args[i].dtype.kind] for i in weak]) if parts else found
    wanted = common if is_floating(common) else get_default_dtype()
    if wanted is found or (not strong and len(weak) == len(args) and op.kind == "pointwise"):
        return out
    floating = any([is_floating(dtype) for dtype in strong])
    if not floating and op.kind != "pointwise":
        return out.to(wanted)  # a reduction of integers, which NumPy has computed in double precision
    new = list(args)
    for i in parts:
        if i in weak:
            if not strong and type(args[i].array) is float:
                new[i] = constant(args[i].backend.asarray(args[i].array, wanted), args[i].backend)
            elif not strong and args[i].dtype.kind == "f":
                new[i] = args[i].to(wanted)
        elif not is_floating(args[i].dtype):
            new[i] = args[i].to(wanted)
    return out if all([a is b for a, b in zip(new, args)]) else call(*new, **params)


def as_arrays(operands: tuple[Any, ...]) -> list[Any]:
    """Operands of which numbers have become arrays without axes, in the floating-point dtype that they are to take.

    A user's own op may compute with a number alone (`k.log(h)`), which NumPy would do in double precision.
    """
    tensors = [x for x in operands if isinstance(x, Tensor)]
    floats = [x.dtype for x in tensors if not is_weak(x) and is_floating(x.dtype)]
    if not tensors:
        return [*operands]
    wanted, backend = promoted(*floats) if floats else get_default_dtype(), tensors[0].backend
    new = [*operands]
    for i, x in enumerate(operands):
        if isinstance(x, Tensor):
            if is_weak(x) and (floats or x.dtype.kind == "f"):
                new[i] = x.to(wanted)
        elif isinstance(x, (float, int, np.number)) and (floats or isinstance(x, (float, np.floating))):
            new[i] = constant(backend.asarray(x, wanted), backend)
    return new
