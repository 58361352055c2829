"""`cupy.ndarray` over NumPy: an array of its own kind, in guarded memory, that never turns into NumPy's by itself.

Every method computes with NumPy and moves what is new to an emulated device. What real CuPy refuses raises here too:
NumPy arrays as operands, implicit conversion, an array of another device, anything but launches during a capture.
"""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from . import device_memory, machine
from .capsules import DLPACK_CPU, DLPACK_CUDA, Host, to_device
from .device_memory import MemoryPointer, pools
from .indexing import QUIET, assign, plain_key, wrapped
from .machine import Device, local, perform, refuse
from .toolchain import EmulatorError

API = json.loads(Path(__file__).with_name("cupy_api.json").read_text())
SCALARS = frozenset({int, float, bool, complex, str, type(None), type(...), slice, np.dtype, type})


class ndarray:
    """An array in an emulated device's memory."""

    __slots__ = ("__weakref__", "_a", "_mem", "_ptr", "base")
    __array_priority__ = 100

    def __new__(
        cls, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: str = "C"
    ) -> ndarray:
        shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        dtype = np.dtype(dtype)
        if memptr is None:
            return new(shape, dtype, order, poison=True)
        size = math.prod(shape) * dtype.itemsize
        if size == 0:
            return from_numpy(np.empty(shape, dtype), memptr.mem, None)
        mem, offset = memptr.mem, memptr.ptr - memptr.mem.start
        if not mem.ptr <= memptr.ptr or (strides is None and memptr.ptr + size > mem.ptr + mem.size):
            raise EmulatorError(f"ndarray: {size} bytes at {offset} are outside of a memory of {mem.size} bytes")
        return from_numpy(np.ndarray(shape, dtype, mem.bytes, offset, strides, order), mem, None)

    # -- what it is ---------------------------------------------------------------------------------------------

    @property
    def data(self) -> MemoryPointer:
        return MemoryPointer(self._mem, address(self) - self._mem.ptr if self._mem.ptr else 0)

    @property
    def device(self) -> Device:
        return Device(self._mem.device_id)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._a.shape

    @shape.setter
    def shape(self, shape: Any) -> None:
        self._a.shape = shape

    dtype = property(lambda self: self._a.dtype)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    nbytes = property(lambda self: self._a.nbytes)
    itemsize = property(lambda self: self._a.itemsize)
    strides = property(lambda self: self._a.strides)
    _c_contiguous = property(lambda self: self._a.flags.c_contiguous)
    _f_contiguous = property(lambda self: self._a.flags.f_contiguous)
    _c_contiguous = property(lambda self: self._a.flags.c_contiguous)
    _f_contiguous = property(lambda self: self._a.flags.f_contiguous)
    T = property(lambda self: view(self._a.T, self))
    mT = property(lambda self: view(self._a.mT, self))
    real = property(lambda self: view(self._a.real, self))

    @property
    def flags(self) -> Flags:
        return Flags(self._a.flags, self.base is None)

    @property
    def flat(self) -> Any:
        raise NotImplementedError("ndarray.flat is not emulated")

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        found = dict(self._a.__array_interface__)
        found.update(data=(address(self), False), version=3, stream=1)
        found.setdefault("strides", None)
        found.pop("offset", None)
        return found

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None
    ) -> Any:
        capsule = self._a.__dlpack__()
        to_device(capsule, DLPACK_CUDA, self._mem.device_id)
        return capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return DLPACK_CUDA, self._mem.device_id

    # -- to the host, which waits -------------------------------------------------------------------------------

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array "
            "explicitly."
        )

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> Any:
        refuse("memcpy from the device")
        if out is not None:
            out[...] = self._a
            return out
        return np.array(self._a, order=order)

    def set(self, arr: Any, stream: Any = None) -> None:
        refuse("memcpy to the device")
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.shape != self.shape or arr.dtype != self.dtype:
            raise ValueError(f"Shape or dtype mismatch. Old {self.shape} {self.dtype}, new {arr.shape} {arr.dtype}")
        self._a[...] = arr

    def item(self) -> Any:
        refuse("memcpy from the device")
        return self._a.item()

    def tolist(self) -> Any:
        refuse("memcpy from the device")
        return self._a.tolist()

    def tobytes(self, order: str = "C") -> bytes:
        refuse("memcpy from the device")
        return self._a.tobytes(order)

    def __bool__(self) -> bool:
        refuse("memcpy from the device")
        return bool(self._a)

    def __float__(self) -> float:
        refuse("memcpy from the device")
        return float(self._a)

    def __int__(self) -> int:
        refuse("memcpy from the device")
        return int(self._a)

    def __complex__(self) -> complex:
        refuse("memcpy from the device")
        return complex(self._a)

    def __index__(self) -> int:
        refuse("memcpy from the device")
        return self._a.__index__()

    def __len__(self) -> int:
        return len(self._a)

    def __iter__(self) -> Any:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self._a)))

    def __repr__(self) -> str:
        return repr(self._a) if not local.capturing else object.__repr__(self)

    def __str__(self) -> str:
        return str(self._a)

    def __format__(self, spec: str) -> str:
        return format(self.item() if not self.ndim else self._a, spec)

    def __reduce__(self) -> Any:
        return restored, (self.get(),)

    def __copy__(self) -> ndarray:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> ndarray:
        return self.copy()

    __hash__ = None  # type: ignore[assignment]

    # -- NumPy's protocols --------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        import cupy

        mine = getattr(cupy, ufunc.__name__, None)
        if mine is None or method not in ("__call__", "reduce", "accumulate", "at", "outer"):
            return NotImplemented
        return (mine if method == "__call__" else getattr(mine, method))(*inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        import cupy

        if not all(issubclass(t, ndarray) for t in types):
            return NotImplemented
        module = cupy.linalg if function.__module__ == "numpy.linalg" else cupy
        mine = getattr(module, function.__name__, None)
        return NotImplemented if mine is None else mine(*args, **kwargs)

    # -- elements -----------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> ndarray:
        if isinstance(key, (str, list)) and self._a.dtype.names:
            return view(self._a[key], self)
        index, arrays = plain_key(key, operand)
        try:
            return view(self._a[index], self)
        except IndexError:
            if not arrays:
                raise
            return view(self._a[wrapped(index, self._a.shape)], self)

    def __setitem__(self, key: Any, value: Any) -> None:
        index, arrays = plain_key(key, operand)
        target, plain = self._a, operand(value)
        if isinstance(plain, (list, tuple)):
            plain = np.asarray(plain)
        perform(lambda: assign(target, index, arrays, plain), uses=arrays_among((self, key, value)))

    def astype(
        self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True
    ) -> ndarray:
        with np.errstate(**QUIET):
            return view(self._a.astype(dtype, order=order, casting=casting or "unsafe", copy=copy), self)

    def view(self, dtype: Any = None, type: Any = None) -> ndarray:
        return view(self._a.view() if dtype is None else self._a.view(dtype), self)

    def fill(self, value: Any) -> None:
        target, plain = self._a, operand(value)
        perform(lambda: target.__setitem__(..., plain), uses=arrays_among((self, value)))

    def take(self, indices: Any, axis: Any = None, out: Any = None) -> ndarray:
        at = operand(indices)
        with contextlib.suppress(IndexError):
            return finished(self._a.take(at, axis), out, self)
        return finished(self._a.take(at, axis, mode="wrap"), out, self)

    def copy(self, order: str = "C") -> ndarray:
        return moved(self._a.copy(order))

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> ndarray:
        found = self._a.diagonal(offset, axis1, axis2)
        found.flags.writeable = True
        return view(found, self)

    def scatter_add(self, slices: Any, value: Any) -> None:
        scatter(np.add, self, slices, value)

    def scatter_max(self, slices: Any, value: Any) -> None:
        scatter(np.maximum, self, slices, value)

    def scatter_min(self, slices: Any, value: Any) -> None:
        scatter(np.minimum, self, slices, value)

    def reduced_view(self, dtype: Any = None) -> ndarray:
        return self

    def dot(self, b: Any, out: Any = None) -> ndarray:
        refuse("cuBLAS, which CuPy does not call on a capturing stream")
        return finished(self._a.dot(operand(b)), out, self)


class Flags:
    """`ndarray.flags`."""

    def __init__(self, flags: Any, own: bool) -> None:
        self.c_contiguous, self.f_contiguous, self.owndata = flags.c_contiguous, flags.f_contiguous, own
        self.forc, self.fnc, self.contiguous = flags.forc, flags.fnc, flags.c_contiguous

    def __getitem__(self, name: str) -> bool:
        return bool(getattr(self, name.lower()))


# -- making them --------------------------------------------------------------------------------------------------


def address(array: ndarray) -> int:
    """Where an array begins."""
    found = array._ptr
    if found is None:
        found = array._ptr = array._a.__array_interface__["data"][0] if array._mem.ptr else 0
    return found


def from_numpy(a: Any, mem: Any, base: ndarray | None, ptr: int | None = None) -> ndarray:
    """The array around `a`, which lies in `mem` already."""
    out = object.__new__(ndarray)
    out._a, out._mem, out.base, out._ptr = a, mem, base, ptr
    return out


def new(shape: tuple[int, ...], dtype: Any, order: str = "C", poison: bool = False) -> ndarray:
    """A new array. `poison` makes whole numbers in it easy to recognise; floats are NaN anyway."""
    mem = pools[local.device].malloc(math.prod(shape) * dtype.itemsize).mem
    if not mem.size:
        return from_numpy(np.empty(shape, dtype, order), mem, None, 0)
    a = np.ndarray(shape, dtype, mem.bytes, mem.ptr - mem.start, None, "F" if order == "F" else "C")
    if poison and dtype.kind in "iub":
        at = mem.ptr - mem.start
        mem.bytes[at : at + mem.size] = 0xA5
    return from_numpy(a, mem, None, mem.ptr)


def moved(a: Any) -> ndarray:
    """A copy of NumPy's array on the device, in the same order."""
    flags = a.flags
    out = new(a.shape, a.dtype, "F" if flags.f_contiguous and not flags.c_contiguous else "C")
    out._a[...] = a
    return out


def restored(a: Any) -> ndarray:
    """What was pickled."""
    return moved(a)


def view(r: Any, *owners: ndarray) -> Any:
    """What NumPy has computed from the owners' arrays: their memory still, or something new."""
    if type(r) is not np.ndarray:
        if isinstance(r, np.generic):
            return moved(np.asarray(r))
        if isinstance(r, (tuple, list)):
            return (
                type(r)([view(item, *owners) for item in r])
                if type(r) in (tuple, list)
                else tuple(view(i, *owners) for i in r)
            )
        return moved(np.asarray(r)) if isinstance(r, np.ndarray) else r
    base = r.base
    for owner in owners:
        if r is owner._a:
            return owner
        if base is not None and (base is owner._a.base or base is owner._a) and owner._mem.size:
            return from_numpy(r, owner._mem, owner.base if owner.base is not None else owner)
    return moved(r)


def finished(r: Any, out: Any, *owners: ndarray) -> Any:
    """A result, or `out` with the result in it."""
    if out is None:
        return view(r, *owners)
    out._a[...] = r
    return out


def operand(value: Any) -> Any:
    """What NumPy can compute with, of an operand that CuPy would take."""
    kind = type(value)
    if kind is ndarray:
        if value._mem.device_id != local.device and value._mem.size:
            raise ValueError(
                f"Array device must be same as the current device: array device = {value._mem.device_id} "
                f"while current = {local.device}"
            )
        return value._a
    if kind in SCALARS:
        return value
    if kind is tuple or kind is list:
        return kind([operand(item) for item in value])
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {kind}")
    if hasattr(value, "__cuda_array_interface__"):
        return adopted(value)._a
    return value


def arrays_among(args: Any) -> list[ndarray]:
    """The arrays among some arguments."""
    found = []
    for a in args:
        if type(a) is ndarray:
            found.append(a)
        elif type(a) in (tuple, list):
            found += arrays_among(a)
    return found


def adopted(value: Any) -> ndarray:
    """An array of another library, which describes its memory by the CUDA array interface."""
    told = value.__cuda_array_interface__
    ptr, dtype = told["data"][0], np.dtype(told["typestr"])
    return around(device_memory.UnownedMemory, ptr, tuple(told["shape"]), dtype, told.get("strides"), value)


def around(
    kind: Any, ptr: int, shape: tuple[int, ...], dtype: Any, strides: Any, owner: Any, ordinal: int = -1
) -> ndarray:
    """An array around somebody else's memory."""
    size = 0
    if all(shape):
        size = sum((n - 1) * s for n, s in zip(shape, strides)) if strides else (math.prod(shape) - 1) * dtype.itemsize
        size += dtype.itemsize
    mem = kind(ptr, size, owner, ordinal)
    return from_numpy(np.ndarray(shape, dtype, mem.bytes if size else None, 0, strides), mem, None)


def from_dlpack(array: Any, *, device: Any = None, copy: Any = None) -> ndarray:
    """An array around the memory that another library exports."""
    kind, ordinal = array.__dlpack_device__()
    if int(kind) == DLPACK_CPU:
        raise TypeError(
            "CPU arrays cannot be directly imported to CuPy. Use `cupy.array(numpy.from_dlpack(input))` instead."
        )
    if isinstance(array, ndarray):
        return view(array._a.view(), array)
    a = np.from_dlpack(Host(array.__dlpack__(stream=machine.current_stream().ptr or 1)))
    where = a.__array_interface__["data"][0]
    return around(device_memory.DLPackMemory, where, a.shape, a.dtype, a.strides, (array, a), ordinal)


def scatter(how: Any, array: ndarray, slices: Any, value: Any) -> None:
    """`how.at`, with the indices counted round."""
    index, _ = plain_key(slices, operand)
    target, plain = array._a, operand(value)
    perform(lambda: how.at(target, wrapped(index, target.shape), plain), uses=arrays_among((array, slices, value)))
