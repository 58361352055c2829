"""The methods and operators of `cupy.ndarray` to which NumPy's of the same name answer."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .gpu_array import API, SCALARS, arrays_among, finished, moved, ndarray, operand, view
from .indexing import QUIET
from .machine import perform, refuse


def method(name: str, known: list[str]) -> Any:
    """NumPy's method of that name, with CuPy's parameters."""
    theirs = getattr(np.ndarray, name)
    names = [p.lstrip("*") for p in known]

    @functools.wraps(theirs)
    def call(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        for key in kwargs:
            if key not in names:
                raise TypeError(f"ndarray.{name}() got an unexpected keyword argument {key!r}")
        out = kwargs.pop("out", None)
        with np.errstate(**QUIET):
            r = theirs(operand(self), *[operand(a) for a in args], **{k: operand(v) for k, v in kwargs.items()})
        return finished(r, out, self)

    return call


def defers(x: ndarray, other: Any) -> bool:
    """Whether CuPy leaves a binary operator to the operand on the right."""
    try:
        return other.__array_ufunc__ is None
    except AttributeError:
        return x.__array_priority__ < getattr(other, "__array_priority__", 0)


def operator(ufunc: Any, reflected: bool) -> Any:
    """A binary operator."""

    def call(self: ndarray, other: Any) -> Any:
        kind = type(other)
        if kind is not ndarray and kind not in SCALARS and not isinstance(other, np.generic):
            if defers(self, other):
                return NotImplemented
            if isinstance(other, (np.ndarray, list, tuple)):
                raise TypeError(f"Unsupported type {kind}")
            if not hasattr(other, "__cuda_array_interface__"):
                return NotImplemented
        a, b = operand(self), operand(other)
        with np.errstate(**QUIET):
            r = ufunc(b, a) if reflected else ufunc(a, b)
        return moved(np.asarray(r)) if type(r) is not tuple else view(r)

    return call


def in_place(ufunc: Any) -> Any:
    """An operator such as `+=`."""

    def call(self: ndarray, other: Any) -> Any:
        if not isinstance(other, (ndarray, np.generic, int, float, bool, complex)):
            raise TypeError(f"Unsupported type {type(other)}")
        a, b = operand(self), operand(other)
        with np.errstate(**QUIET):
            perform(lambda: ufunc(a, b, out=a, casting="same_kind"), uses=arrays_among((self, other)))
        return self

    return call


def unary(ufunc: Any) -> Any:
    """An operator of one operand."""

    def call(self: ndarray) -> ndarray:
        with np.errstate(**QUIET):
            return moved(np.asarray(ufunc(operand(self))))

    return call


def matmul(a: Any, b: Any) -> Any:
    """Through cuBLAS, in CuPy."""
    refuse("cuBLAS, which CuPy does not call on a capturing stream")
    return np.matmul(a, b)


BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "floordiv": np.floor_divide,
    "mod": np.remainder, "pow": np.power, "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
    "lshift": np.left_shift, "rshift": np.right_shift, "divmod": np.divmod, "matmul": matmul,
}  # fmt: skip
COMPARISONS = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}  # fmt: skip
UNARY = {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}


def complete() -> type[ndarray]:
    """The class, with its operators."""
    for name, known in API["ndarray"].items():
        if isinstance(known, list) and name not in ndarray.__dict__ and hasattr(np.ndarray, name):
            setattr(ndarray, name, method(name, known))
    for name, ufunc in BINARY.items():
        setattr(ndarray, f"__{name}__", operator(ufunc, False))
        setattr(ndarray, f"__r{name}__", operator(ufunc, True))
        if name not in ("divmod", "matmul"):
            setattr(ndarray, f"__i{name}__", in_place(ufunc))
    for name, ufunc in COMPARISONS.items():
        setattr(ndarray, f"__{name}__", operator(ufunc, False))
    for name, ufunc in UNARY.items():
        setattr(ndarray, f"__{name}__", unary(ufunc))
    return ndarray
