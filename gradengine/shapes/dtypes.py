"""The dtypes, which are NumPy's own objects, how they combine, and what can be asked about them.

`promoted` is the one statement of the promotion rule; `promotion` applies it where NumPy's own result differs. May
import backend and errors.

`ge.bfloat16` is the NumPy dtype of the package ml_dtypes, which is imported when it is first asked for. NumPy's kind of
it is "V", so what asks whether a dtype is a floating-point one asks `is_floating`.
"""

from __future__ import annotations

import builtins
import dataclasses
from typing import Any

import numpy as np

from ..backend import devices
from ..errors import AbsentDtypeError, DTypeError, describe, installing
from ..validation import known_calls

__all__ = [
    "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool",
    "finfo", "iinfo", "result_type", "can_cast", "isdtype", "set_default_dtype", "get_default_dtype",
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
    if hasattr(dtype, "dtype") and not isinstance(dtype, type):  # of which NumPy takes the dtype
        raise DTypeError(f"{what}: dtype must be a dtype, got {type(dtype).__name__}; use its .dtype")
    try:
        found = np.dtype(dtype)
    except TypeError:
        if isinstance(dtype, str) and dtype == "bfloat16":
            found = bfloat16_dtype()
        else:
            raise DTypeError(f"{what}: {dtype!r} is no dtype of gradengine's; {meant(dtype)}") from None
    if is_half(found):
        devices.use_halves()
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


# -- how they combine ---------------------------------------------------------------------------------------------

_default = float32  # what Python floats become, and float functions of integers return
doubtful: np.dtype[Any] | None = None  # float32 while the default is float64: of a function of int16 it is too narrow


def set_default_dtype(dtype: Any) -> None:
    """Choose what Python floats become, and what float functions of integers return: float32 (at first) or float64.

    It is also the dtype of `zeros`, `rand` and their like, of new layers' parameters, and of an integer Tensor times
    a Python float. Raises DTypeError for any other dtype.

    >>> import gradengine as ge
    >>> ge.set_default_dtype(ge.float64)
    >>> ge.zeros(2).dtype, (ge.arange(2) * 1.5).dtype
    (dtype('float64'), dtype('float64'))
    >>> ge.set_default_dtype(ge.float32)
    """
    global _default, doubtful
    found = check_dtype(dtype, "set_default_dtype")
    if found not in (float32, float64):
        raise DTypeError(f"set_default_dtype: must be ge.float32 or ge.float64, got {found}")
    _default, doubtful = found, float32 if found == float64 else None


def get_default_dtype() -> np.dtype[Any]:
    """What Python floats become, and float functions of integers return.

    >>> import gradengine as ge
    >>> ge.get_default_dtype()
    dtype('float32')
    """
    return _default


def promoted(*values: Any) -> np.dtype[Any]:
    """The dtype of an op on these dtypes and Python numbers, which are weak.

    Floating-point dtypes win over integers and bools, whatever their sizes, and among themselves the wider one wins;
    float16 with bfloat16 gives float32. Integers and bools promote as in the array API standard, which leaves a signed
    integer with uint64 open: NumPy's float64. A Python float makes integers and bools the default dtype.
    """
    given = [v for v in values if isinstance(v, np.dtype)]
    floats = [d for d in given if d.kind in FLOATS]
    if floats:
        wide = [d for d in floats if d.kind == "f"]
        if len(wide) == len(floats):
            return np.result_type(*wide)
        return np.result_type(float32, *wide) if wide else floats[0]
    if any([type(v) is float for v in values]):
        return _default
    return np.result_type(*values)


def fits(source: Any, target: Any) -> builtins.bool:
    """Whether a value may be stored in another dtype: in one of the same kind or a wider kind."""
    if source.kind == "V" or target.kind == "V":
        return target.kind in FLOATS
    return np.can_cast(source, target, "same_kind")


def check_range(what: str, array: Any, dtype: Any) -> None:
    """Raise DTypeError, for `what`, where integers that a user has written lie outside of an integer dtype's range."""
    if dtype.kind not in "iu":
        return
    if type(array) is int or (array.dtype.kind in "iu" and array.size):
        low, high = (array, array) if type(array) is int else (int(array.min()), int(array.max()))
        limits = np.iinfo(dtype)
        if low < limits.min or high > limits.max:
            bad = low if low < limits.min else high
            raise DTypeError(
                f"{what}: {bad} is out of range for {dtype} ({limits.min} to {limits.max}); use a wider dtype"
            )


# -- what users ask -----------------------------------------------------------------------------------------------


def dtype_of(name: str, value: Any) -> np.dtype[Any]:
    """The dtype that a Tensor, an array or the name of a dtype stands for. Errors are those of the function `name`."""
    if hasattr(value, "dtype") and not isinstance(value, type):
        return np.dtype(value.dtype)
    if value is None:
        raise DTypeError(f"{name}: needs a Tensor or a dtype, got None")
    return check_dtype(value, name)


@dataclasses.dataclass(frozen=True, slots=True)
class FloatInfo:
    """What `finfo` returns: Python's numbers, so that they are weak beside a Tensor."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    tiny: float
    resolution: float
    dtype: np.dtype[Any]


@dataclasses.dataclass(frozen=True, slots=True)
class IntegerInfo:
    """What `iinfo` returns: Python's ints."""

    bits: int
    max: int
    min: int
    dtype: np.dtype[Any]


def finfo(dtype: Any, /) -> FloatInfo:
    """The range and precision of a floating-point dtype (or of a Tensor's). Raises DTypeError for any other.

    >>> import gradengine as ge
    >>> ge.finfo(ge.float32).max
    3.4028234663852886e+38
    """
    found = dtype_of("finfo", dtype)
    if not is_floating(found):
        raise DTypeError(f"finfo: {found} is not a floating-point dtype; use iinfo for integers")
    if found.kind == "V":
        from ml_dtypes import finfo

        info: Any = finfo(found)
    else:
        info = np.finfo(found)
    names = ("eps", "max", "min", "smallest_normal", "tiny", "resolution")
    return FloatInfo(bits=int(info.bits), dtype=found, **{name: float(getattr(info, name)) for name in names})


def iinfo(dtype: Any, /) -> IntegerInfo:
    """The range of an integer dtype (or of a Tensor's). Raises DTypeError for any other.

    >>> import gradengine as ge
    >>> ge.iinfo(ge.int8).max
    127
    """
    found = dtype_of("iinfo", dtype)
    if found.kind not in "iu":
        raise DTypeError(f"iinfo: {found} is not an integer dtype; use finfo for floating-point ones")
    info = np.iinfo(found)
    return IntegerInfo(int(info.bits), int(info.max), int(info.min), found)


def result_type(*values: Any) -> np.dtype[Any]:
    """The dtype of an op on these Tensors, dtypes and numbers. Python and NumPy numbers are weak.

    A float dtype with an integer or bool dtype gives the float dtype. Float dtypes promote to the wider one, bfloat16
    with float16 to float32. Integers promote as in the array API standard; a signed integer with uint64 gives float64,
    as in NumPy. A Python float with integers or bools gives the default dtype. Raises DTypeError for a value without
    a dtype, or when there are no values.

    >>> import gradengine as ge
    >>> ge.result_type(ge.float32, ge.tensor([1, 2]))
    dtype('float32')
    >>> ge.result_type(ge.int64, 1.5)
    dtype('float32')
    """
    if not values:
        raise DTypeError("result_type: give at least one Tensor, dtype or number")
    given = [value.item() if isinstance(value, np.generic) else value for value in values]
    return promoted(*[value if type(value) in PYTHON_SCALARS else dtype_of("result_type", value) for value in given])


def can_cast(source: Any, target: Any, /) -> Any:
    """Whether every value of `source` (a dtype or a Tensor) survives in dtype `target`.

    >>> import gradengine as ge
    >>> ge.can_cast(ge.float32, ge.float64), ge.can_cast(ge.float32, ge.int64)
    (True, False)
    """
    given, wanted = dtype_of("can_cast", source), dtype_of("can_cast", target)
    if wanted.kind == "V":  # eight bits of precision
        return given == wanted or given.itemsize == 1
    if given.kind == "V":
        return wanted in (float32, float64)
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


def dtype_for(values: tuple[Any, ...]) -> np.dtype[Any]:
    """The dtype of a new Tensor that holds these numbers and Tensors: int64 or bool for ints and bools."""
    return promoted(*[v.dtype if hasattr(v, "dtype") else v for v in values])


known_calls(__name__)
