"""PyTorch's names of Tensor types, such as FloatTensor: they make Tensors, and `isinstance` asks for the dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend.devices import for_device
from ..errors import DTypeError, ShapeError
from ..shapes.dtypes import check_dtype
from ..validation import unexpected
from .tensor_class import Tensor, constant, to_array

__all__ = [
    "FloatTensor", "DoubleTensor", "HalfTensor", "LongTensor", "IntTensor", "ShortTensor", "CharTensor", "ByteTensor",
    "BoolTensor", "BFloat16Tensor",
]  # fmt: skip

NAMES = {
    "FloatTensor": "float32", "DoubleTensor": "float64", "HalfTensor": "float16", "LongTensor": "int64",
    "IntTensor": "int32", "ShortTensor": "int16", "CharTensor": "int8", "ByteTensor": "uint8", "BoolTensor": "bool",
    "BFloat16Tensor": "bfloat16",
}  # fmt: skip


class TensorType(type):
    """What FloatTensor and its like are: each knows its dtype."""

    dtype_name: str

    @property
    def dtype(cls) -> np.dtype[Any]:
        """The dtype of its Tensors."""
        return check_dtype(cls.dtype_name, cls.__name__)

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, Tensor) and value.dtype == cls.dtype

    def __call__(cls, *given: Any, **more: Any) -> Tensor:
        device = more.pop("device", None)
        for word in more:
            raise unexpected(cls.__name__, word, ["device"])
        return sized_or_given(cls.__name__, given, cls.dtype, device)


def sized_or_given(name: str, given: tuple[Any, ...], dtype: Any, device: Any) -> Tensor:
    """`FloatTensor(2, 3)` by sizes, with whatever was in memory; `FloatTensor([1, 2])` from data."""
    backend = for_device(device)
    if all([isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in given]):
        sizes = tuple([int(n) for n in given]) if given else (0,)
        try:
            return constant(backend.arrays.empty(sizes, dtype), backend)
        except ValueError as error:
            raise ShapeError(f"{name}: cannot make an array of shape {sizes}: {error}") from None
    if len(given) != 1:
        raise DTypeError(f"{name}: takes sizes, or data such as a list, got {len(given)} arguments")
    (data,) = given
    if isinstance(data, float):
        raise DTypeError(f"{name}: takes sizes or a sequence, got the number {data}; use ge.tensor({data})")
    return constant(to_array(data, dtype, backend, True, name), backend)


def made(name: str, dtype: str) -> TensorType:
    """The type of that name."""
    doc = f"Tensors of {dtype}: `{name}(2, 3)` makes one of a shape, `{name}([1, 2])` one of data."
    return TensorType(name, (), {"dtype_name": dtype, "__doc__": doc, "__module__": __name__})


FloatTensor, DoubleTensor, HalfTensor = [made(n, NAMES[n]) for n in ("FloatTensor", "DoubleTensor", "HalfTensor")]
LongTensor, IntTensor, ShortTensor = [made(n, NAMES[n]) for n in ("LongTensor", "IntTensor", "ShortTensor")]
CharTensor, ByteTensor, BoolTensor = [made(n, NAMES[n]) for n in ("CharTensor", "ByteTensor", "BoolTensor")]
BFloat16Tensor = made("BFloat16Tensor", "bfloat16")


def type_name(dtype: Any) -> str:
    """The name of the type of Tensors of a dtype, such as "FloatTensor"."""
    return next((name for name, own in NAMES.items() if own == str(dtype)), f"Tensor of {dtype}")


def dtype_of_type(value: Any) -> Any:
    """The dtype that a type, its name, or a dtype stands for."""
    if isinstance(value, TensorType):
        return value.dtype
    if isinstance(value, str) and value.rpartition(".")[2] in NAMES:
        return check_dtype(NAMES[value.rpartition(".")[2]], "type")
    return value
