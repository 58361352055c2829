"""The array API standard, version 2024.12: what its inspection asks of the namespace `gradengine`.

Libraries that are written for the standard, such as SciPy with SCIPY_ARRAY_API=1 and scikit-learn with
array_api_dispatch=True, ask a Tensor for `__array_namespace__()` and compute with the functions of `gradengine`. The
extensions for linear algebra and FFT are not there, and neither are complex numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .backend import devices
from .errors import ArgumentError, DTypeError
from .shapes import dtypes

VERSION = "2024.12"
VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")  # each holds what the one before it has
NAMES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")


class ArrayNamespaceInfo:
    """What `ge.__array_namespace_info__()` returns: capabilities, devices and dtypes of this namespace."""

    def capabilities(self) -> dict[str, Any]:
        """Boolean indexing and shapes that depend on values are there; the number of axes is at most NumPy's 64."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """The device of Tensors that are made without one."""
        return devices.get_default_device()

    def devices(self) -> list[Any]:
        """The devices that can be used here."""
        found = ["cpu"]
        if devices.why_not("cupy") == "":
            found.append("cuda")
        return found

    def default_dtypes(self, *, device: Any = None) -> dict[str, Any]:
        """The dtypes of Tensors that are made without one. Complex numbers are not supported; theirs is NumPy's."""
        real = dtypes.get_default_dtype()
        return {
            "real floating": real,
            "complex floating": np.dtype(np.complex64 if real == np.float32 else np.complex128),
            "integral": dtypes.int64,
            "indexing": dtypes.int64,
        }

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, Any]:
        """The dtypes of the standard that there are, of a kind such as "real floating", or of several."""
        found = {name: np.dtype(name) for name in NAMES}
        if kind is None:
            return found
        if kind == ():
            return {}
        try:
            return {name: dtype for name, dtype in found.items() if np.isdtype(dtype, kind)}
        except (TypeError, ValueError):
            raise ArgumentError(f"dtypes: {kind!r} is no kind of dtype, such as 'real floating'") from None


def check_version(api_version: Any) -> None:
    """Raise for a version of the standard that the namespace does not follow."""
    if api_version is not None and not isinstance(api_version, str):
        raise DTypeError(f"__array_namespace__: api_version must be a str, such as {VERSION!r}, got {api_version!r}")
    if api_version is not None and api_version not in VERSIONS:
        raise ArgumentError(f"__array_namespace__: version {api_version} is not supported; there is {VERSIONS[-1]}")
