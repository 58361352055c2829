"""The dtypes, which are NumPy's own objects, and what can be asked about them. May import backend and errors.

`ge.bfloat16` is the NumPy dtype of the package ml_dtypes, which is imported when it is first asked for. NumPy's kind of
it is "V", so what asks whether a dtype is a floating-point one asks `is_floating`.
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from . import backend as backends
from .errors import AbsentDtypeError, DTypeError, describe, installing

__all__ = [
    "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool",
    "finfo", "iinfo", "result_type", "can_cast", "isdtype",
]  # fmt: skip

float16, float32, float64 = np.dtype("float16"), np.dtype("float32"), np.dtype("float64")
int8, int16, int32, int64 = np.dtype("int8"), np.dtype("int16"), np.dtype("int32"), np.dtype("int64")
uint8, uint16, uint32, uint64 = np.dtype("uint8"), np.dtype("uint16"), np.dtype("uint32"), np.dtype("uint64")
bool = np.dtype("bool")

PYTHON_SCALARS = (builtins.bool, int, float)
FLOATS = "fV"  # the kinds of floating-point dtypes; to NumPy, bfloat16 is a "V"


# -- which there are ----------------------------------------------------------------------------------------------


def check_dtype(dtype: Any, what: str = "dtype") -> np.dtype[Any]:
    """`dtype` as a NumPy dtype. Raises DTypeError, for `what`, for one that the engine does not compute with."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        if isinstance(dtype, str) and dtype == "bfloat16":
            found = bfloat16_dtype()
        else:
            raise DTypeError(f"{what}: {dtype!r} is no dtype of gradengine's; {meant(dtype)}") from None
    if is_half(found):
        backends.use_halves()
    elif found.kind not in "fiub" or found.itemsize > 8:
        raise DTypeError(f"{what}: {found} is not supported; use float16/32/64, bfloat16, an integer type or bool")
    return found


def meant(dtype: Any) -> str:
    """What to write instead of a dtype that is none, such as another library's."""
    name = str(dtype).rpartition(".")[2]
    if name in ("float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"):
        return f"use ge.{name}"
    return "use ge.float32, ge.int64, ge.bool, ..."


def is_floating(dtype: Any) -> builtins.bool:
    """True for a floating-point dtype."""
    return dtype.kind in FLOATS


def is_half(dtype: Any) -> builtins.bool:
    """True for float16 and bfloat16."""
    return dtype.itemsize == 2 and (dtype.kind == "f" or (dtype.kind == "V" and dtype.name == "bfloat16"))


def bfloat16_dtype() -> np.dtype[Any]:
    """The dtype bfloat16, of the package ml_dtypes. Raises DTypeError where that is not installed."""
    try:
        from ml_dtypes import bfloat16
    except ImportError:
        raise AbsentDtypeError(f"bfloat16: ml_dtypes is not installed; {installing('bfloat16')}") from None
    return np.dtype(bfloat16)


def promoted(*values: Any) -> np.dtype[Any]:
    """The dtype of an op on these dtypes and Python numbers. NumPy's rules; bfloat16 is among them what float16 is.

    With float16 it makes float32, with numbers of less than 32 bits it stays what it is.
    """
    given = [v for v in values if isinstance(v, np.dtype)]
    if not any([d.kind == "V" for d in given]):
        return np.result_type(*values)
    others = [v for v in values if not (isinstance(v, np.dtype) and v.kind == "V")]
    found = np.result_type(np.float32, *others)
    stays = found == np.float32 and not any([d.kind == "f" for d in given])
    return next(d for d in given if d.kind == "V") if stays else found


def fits(source: Any, target: Any) -> builtins.bool:
    """Whether a value may be stored in another dtype: in one of the same kind or a wider kind."""
    if source.kind == "V" or target.kind == "V":
        return target.kind in FLOATS
    return np.can_cast(source, target, "same_kind")


# -- what users ask -----------------------------------------------------------------------------------------------


def dtype_of(name: str, value: Any) -> np.dtype[Any]:
    """The dtype that a Tensor, an array or the name of a dtype stands for. Errors are those of the function `name`."""
    if hasattr(value, "dtype") and not isinstance(value, type):
        return np.dtype(value.dtype)
    return check_dtype(value, name)


def finfo(dtype: Any, /) -> np.finfo[Any]:
    """The range and precision of a floating-point dtype (or of a Tensor's). Raises DTypeError for any other.

    >>> import gradengine as ge
    >>> float(ge.finfo(ge.float32).max)
    3.4028234663852886e+38
    """
    found = dtype_of("finfo", dtype)
    if not is_floating(found):
        raise DTypeError(f"finfo: {found} is not a floating-point dtype; use iinfo for integers")
    if found.kind == "V":
        from ml_dtypes import finfo

        return finfo(found)
    return np.finfo(found)


def iinfo(dtype: Any, /) -> np.iinfo[Any]:
    """The range of an integer dtype (or of a Tensor's). Raises DTypeError for any other.

    >>> import gradengine as ge
    >>> ge.iinfo(ge.int8).max
    127
    """
    found = dtype_of("iinfo", dtype)
    if found.kind not in "iu":
        raise DTypeError(f"iinfo: {found} is not an integer dtype; use finfo for floating-point ones")
    return np.iinfo(found)


def result_type(*values: Any) -> np.dtype[Any]:
    """The dtype that an op on these Tensors, dtypes and Python numbers gives; Python numbers are weak.

    The rules are NumPy's. bfloat16 and float16 make float32; bfloat16 and integers of 8 or 16 bits stay bfloat16.
    Raises DTypeError for what has no dtype, or for nothing at all.

    >>> import gradengine as ge
    >>> ge.result_type(ge.float32, ge.tensor([1, 2]))
    dtype('float64')
    >>> ge.result_type(ge.float32, 1.5)
    dtype('float32')
    """
    if not values:
        raise DTypeError("result_type: give at least one Tensor, dtype or number")
    return promoted(*[value if type(value) in PYTHON_SCALARS else dtype_of("result_type", value) for value in values])


def can_cast(source: Any, target: Any, /) -> Any:
    """Whether every value of `source` (a dtype or a Tensor) survives in dtype `target`.

    >>> import gradengine as ge
    >>> ge.can_cast(ge.float32, ge.float64), ge.can_cast(ge.float32, ge.int64)
    (True, False)
    """
    given, wanted = dtype_of("can_cast", source), dtype_of("can_cast", target)
    if "V" in (given.kind, wanted.kind):
        return given == wanted or promoted(given, wanted) == wanted
    return np.can_cast(given, wanted)


def isdtype(dtype: Any, kind: Any) -> Any:
    """Whether a dtype is of a kind: "bool", "signed integer", "integral", "real floating", "numeric", or a dtype.

    A tuple of kinds means any of them. Raises DTypeError for a kind that is none.

    >>> import gradengine as ge
    >>> ge.isdtype(ge.float32, "real floating")
    True
    """
    found = dtype_of("isdtype", dtype)
    if found.kind == "V":  # it is of those kinds of which float32 is, and the dtype that it is
        kinds = kind if isinstance(kind, tuple) else (kind,)
        return any([isdtype(float32, k) if isinstance(k, str) else dtype_of("isdtype", k) == found for k in kinds])
    try:
        return np.isdtype(found, kind)
    except (TypeError, ValueError):
        raise DTypeError(f"isdtype: {describe(kind)} is no kind of dtype") from None


def default_dtype(values: tuple[Any, ...]) -> np.dtype[Any]:
    """What Python numbers become when nothing else says: float32, int64 or bool."""
    kind = promoted(*[v.dtype if hasattr(v, "dtype") else v for v in values])
    return float32 if kind == float64 and not [v for v in values if hasattr(v, "dtype")] else kind
