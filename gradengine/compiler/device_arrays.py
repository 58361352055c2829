"""Memory of compiled programs, on the host and on a GPU: the same questions, answered for either.

On the host a program finds its arrays by address at each run. On a GPU addresses are part of a graph, so what changes
from call to call (arguments, and what the host has computed) is copied to where it was.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

HEAD = object.__basicsize__  # NumPy's C interface fixes that an array's address comes right after the object's head
FEW = 256  # bytes that a launch can bring along
word_at = ctypes.c_ssize_t.from_address


def address_of(array: np.ndarray[Any, Any]) -> int:
    """Where the elements of an array are; its own attribute for it takes a microsecond."""
    return word_at(id(array) + HEAD).value


class HostBuffers:
    """NumPy's arrays."""

    fixed = False  # whether arrays have to stay where they are
    kind: Any = np.ndarray

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """A new array."""
        return np.empty(shape, dtype)

    def handle(self, array: Any) -> Any:
        """What a program is bound to."""
        return address_of(array)

    def address(self, array: Any) -> int:
        """Where an array's elements are."""
        return address_of(array)

    def fits(self, value: Any) -> bool:
        """Whether a program can read (and write) an array as it is."""
        return type(value) is np.ndarray and value.flags.carray

    def alone(self, value: Any) -> bool:
        """Whether an array has memory of its own that a program can write to."""
        return type(value) is np.ndarray and value.flags.carray and value.flags.owndata

    def copy(self, value: Any, dtype: Any = None) -> Any:
        """A copy that a program can read and write."""
        return np.array(value, dtype, order="C")

    def array(self, value: Any) -> Any:
        """What a kernel has made, as an array."""
        return np.asarray(value)

    def fill(self, target: Any, value: Any) -> None:
        """Copy a value to where a program finds it."""
        target[...] = value

    def joined(self, arrays: Any) -> Any:
        """Arrays along their first axis."""
        return np.concatenate(arrays)

    def contiguous(self, array: Any) -> Any:
        """The same elements in order, itself where they are."""
        return np.array(array, order="C", copy=None)


class DeviceBuffers:
    """CuPy's arrays, on one GPU."""

    fixed = True

    def __init__(self, cupy: Any) -> None:
        self.cupy, self.kind = cupy, cupy.ndarray

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """A new array."""
        return self.cupy.empty(shape, dtype)

    def handle(self, array: Any) -> Any:
        """What a program is bound to."""
        return array

    def address(self, array: Any) -> int:
        """Where an array's elements are."""
        return int(array.data.ptr)

    def fits(self, value: Any) -> bool:
        """Whether a program can read (and write) an array as it is: its accesses are of 16 bytes."""
        return type(value) is self.kind and value.flags.c_contiguous and not value.data.ptr % 16

    def alone(self, value: Any) -> bool:
        """Whether an array has memory of its own that a program can write to."""
        return self.fits(value) and value.base is None

    def copy(self, value: Any, dtype: Any = None) -> Any:
        """A copy that a program can read and write."""
        if type(value) is self.kind and dtype in (None, value.dtype):
            return value.copy()
        return self.cupy.array(value, dtype, order="C")

    def array(self, value: Any) -> Any:
        """What a kernel has made, as an array."""
        return value if type(value) is self.kind else self.cupy.asarray(value)

    def fill(self, target: Any, value: Any) -> None:
        """Copy a value to where a program finds it; what the host has computed may change right after."""
        if not target.size:
            return
        if type(value) is not self.kind:
            value = np.ascontiguousarray(value, target.dtype)
            if value.nbytes <= FEW and not value.nbytes % 8:
                from gradengine_kernels.cupy_cuda.step_kernels import set_words

                set_words(target, value)
            else:
                target.set(value)
        elif value.flags.c_contiguous and value.dtype == target.dtype:
            target.data.copy_from_device_async(value.data, value.nbytes)
        else:
            target[...] = value

    def joined(self, arrays: Any) -> Any:
        """Arrays along their first axis."""
        return self.cupy.concatenate(arrays)

    def contiguous(self, array: Any) -> Any:
        """The same elements in order, itself where they are."""
        return self.cupy.ascontiguousarray(array)


def buffers_of(backend: Any) -> HostBuffers | DeviceBuffers:
    """The memory of a backend's device."""
    return HostBuffers() if backend.arrays is np else DeviceBuffers(backend.arrays)
