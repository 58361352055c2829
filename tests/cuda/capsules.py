"""DLPack capsules of emulated device memory: NumPy makes and reads them, and is told that it is the host's."""

from __future__ import annotations

import ctypes
from typing import Any

DLPACK_CPU, DLPACK_CUDA = 1, 2
capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
capsule_pointer.restype, capsule_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
capsule_name = ctypes.pythonapi.PyCapsule_GetName
capsule_name.restype, capsule_name.argtypes = ctypes.c_char_p, [ctypes.py_object]


def to_device(capsule: Any, kind: int, ordinal: int) -> None:
    """Change where a DLPack capsule says that its memory is."""
    name = capsule_name(capsule)
    where = capsule_pointer(capsule, name) + (32 if name == b"dltensor_versioned" else 0)
    ctypes.c_int32.from_address(where + 8).value = kind
    ctypes.c_int32.from_address(where + 12).value = ordinal


class Host:
    """A capsule of device memory as NumPy takes it: here it is host memory after all."""

    def __init__(self, capsule: Any) -> None:
        to_device(capsule, DLPACK_CPU, 0)
        self.capsule = capsule

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return DLPACK_CPU, 0
