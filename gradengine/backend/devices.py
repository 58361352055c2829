"""Which backend serves which device: the only file that knows backends by name.

Ops register themselves through `register`; kernels load when a device is first used.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DeviceError, installing
from ..validation import known_words
from . import device_names
from .backend import Backend
from .kernel_table import ALL_OPS, REPLACED, UPDATES

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["backends", "get_cpu_backend", "get_default_device", "set_cpu_backend", "set_default_device"]

CPU_BACKENDS = ("numba", "numpy")  # in order of preference
BUILT_IN: set[str] = set()  # the names of the ops that come with the engine, once all are declared
_loaded: dict[str, Backend] = {}
_chosen_cpu: str | None = None
_default = "cpu"  # the device of Tensors that are made without one


def register(op: Any) -> None:
    """Make a newly declared op known to every backend."""
    if op.name in ALL_OPS:
        REPLACED.append(ALL_OPS[op.name])
    ALL_OPS[op.name] = op
    for backend in _loaded.values():
        backend.resolve(op)


def register_update(name: str, function: Callable[..., Any]) -> None:
    """Make an optimizer's update rule known to every backend."""
    UPDATES[name] = function
    for backend in _loaded.values():
        backend.resolve_update(name, function)


# -- devices ----------------------------------------------------------------------------------------------------


def _load_numpy() -> Backend:
    from gradengine_kernels import numpy_cpu

    return Backend("numpy", "cpu", numpy_cpu.KERNELS, halves=numpy_cpu.low_precision)


def _load_numba() -> Backend:
    from gradengine_kernels import numba_cpu, numpy_cpu

    kernels = {**numpy_cpu.KERNELS, **numba_cpu.kernels(numpy_cpu.KERNELS)}
    numba_cpu.when_unusable(_without_numba)
    return Backend(
        "numba",
        "cpu",
        kernels,
        numba_cpu.pointwise,
        numba_cpu.SMALL,
        force=numba_cpu.every_size,
        program=numba_cpu.program,
        operations=numba_cpu.operations,
        halves=numpy_cpu.low_precision,
        ready=numba_cpu.usable,
    )


def _without_numba() -> None:
    """Numba was chosen because it is installed, and does not load: NumPy serves the CPU from now on."""
    global _chosen_cpu
    load("numpy")
    _chosen_cpu = "numpy"


def _load_cupy(ordinal: int = 0) -> Backend:
    from . import gpu

    return gpu.load(ordinal, "cupy")


LOADERS: dict[str, Callable[[], Backend]] = {"numpy": _load_numpy, "numba": _load_numba, "cupy": _load_cupy}


def _installed(package: str) -> bool:
    from importlib.util import find_spec  # not at the top: it costs a millisecond of every start

    return sys.modules.get(package) is not None or find_spec(package) is not None


def why_not(name: str) -> str:
    """Why a backend cannot be used here, or "" when it can; Numba is imported to find out."""
    reason = why_not_installed(name)
    if name == "numba" and not reason:
        from gradengine_kernels import numba_cpu

        return numba_cpu.why_not()
    return reason


def why_not_installed(name: str) -> str:
    """The same, but Numba is only looked for: importing it takes half a second, which a script may not need."""
    if name == "numba":
        for package in ("numba", "scipy"):
            if not _installed(package):
                return f"{package} is not installed; {installing('numba')}"
    if name == "cupy":
        if not _installed("cupy"):
            return f"CuPy is not installed; {installing('cuda13')} (or '.[cuda12]', by the version of the driver)"
        from gradengine_kernels.cupy_cuda import diagnosis

        return diagnosis.why_not()
    return ""


def load(name: str) -> Backend:
    """The backend of that name, loaded on first use. Raises DeviceError when it cannot be used here."""
    backend = _loaded.get(name)
    if backend is None:
        if name not in LOADERS:
            raise DeviceError(f"backend: there is no {name!r}; known are {', '.join(LOADERS)}")
        reason = why_not_installed(name)
        if reason:
            raise DeviceError(f"backend {name!r}: {reason}")
        backend = _loaded[name] = LOADERS[name]()
    return backend


def use_halves() -> None:
    """Make every backend ready for half precision, which some have to treat in a way that costs all others a little."""
    if not Backend.in_half_precision:
        Backend.in_half_precision = True
        for backend in list(_loaded.values()):
            backend.widen()


def for_device(device: Any) -> Backend:
    """The backend that serves a device; None means the default. Raises DeviceError for what is unknown or absent.

    A device is given by its name, as what prints as that name (such as PyTorch's), or as the number of a GPU.
    """
    if device is None:
        device = _default
    if device == "cpu":
        return _loaded[_chosen_cpu] if _chosen_cpu in _loaded else load(get_cpu_backend())
    text = f"cuda:{device}" if is_ordinal(device) else str(device)
    if text == "cpu":
        return for_device("cpu")
    wanted = "cuda:0" if text == "cuda" else text
    for backend in _loaded.values():
        if backend.device == wanted:
            return backend
    number = wanted.removeprefix("cuda:")
    if number == wanted or not number.isdecimal():
        raise DeviceError(f"device: there is no {text!r}; use 'cpu', 'cuda' or 'cuda:<number>'")
    return _load_gpu(int(number), text)


def is_ordinal(device: Any) -> bool:
    """True for the number of a GPU, which stands for its name wherever a device is asked for."""
    return isinstance(device, (int, np.integer)) and not isinstance(device, bool)


def _load_gpu(ordinal: int, device: str) -> Backend:
    """The backend of the GPU called `device`. Raises DeviceError when there is none, or none of that number."""
    reason = why_not("cupy")
    if reason:
        raise DeviceError(f"device {device!r}: {reason}; or use device='cpu'")
    from gradengine_kernels.cupy_cuda import memory

    count = memory.device_count()
    if ordinal >= count:
        there = "there is one GPU, 'cuda:0'" if count == 1 else f"the {count} GPUs are 'cuda:0' to 'cuda:{count - 1}'"
        raise DeviceError(f"device {device!r}: {there}")
    name = f"cupy:{ordinal}" if ordinal else "cupy"
    if name not in _loaded:
        _loaded[name] = _load_cupy(ordinal)
    return _loaded[name]


def loaded_gpus() -> list[Any]:
    """The backends of the GPUs that were used so far."""
    return [backend for backend in _loaded.values() if hasattr(backend, "memory")]


@known_words
def set_default_device(device: Any) -> None:
    """Choose where Tensors are made when no `device` is given: "cpu", which is the default, "cuda" or "cuda:1".

    Raises DeviceError for a device that is unknown or cannot be used here.

    >>> import gradengine as ge
    >>> ge.set_default_device("cpu")
    >>> ge.zeros(2).device
    'cpu'
    """
    global _default
    _default = "cpu" if device is None else for_device(device).device


@known_words
def get_default_device() -> str:
    """Where Tensors are made when no `device` is given.

    >>> import gradengine as ge
    >>> ge.get_default_device()
    'cpu'
    """
    return _default


@known_words
def get_cpu_backend() -> str:
    """The name of the backend that runs on device "cpu".

    It is what `set_cpu_backend` chose, else the environment variable GRADENGINE_CPU_BACKEND, else "numba" when it
    is installed, else "numpy". A Numba that is installed and cannot be imported is found out when it is first needed:
    a warning says why, and "numpy" takes its place.

    >>> import gradengine as ge
    >>> ge.get_cpu_backend() in ("numpy", "numba")
    True
    """
    global _chosen_cpu
    if _chosen_cpu is None:
        wanted = os.environ.get("GRADENGINE_CPU_BACKEND", "")
        if wanted:
            _choose_cpu(wanted, "GRADENGINE_CPU_BACKEND")
        else:
            _chosen_cpu = next(name for name in CPU_BACKENDS if not why_not_installed(name))
    return _chosen_cpu  # type: ignore[return-value]


@known_words
def set_cpu_backend(name: str) -> None:
    """Choose the backend of device "cpu": "numba" or "numpy". Raises DeviceError when it cannot be used here.

    >>> import gradengine as ge
    >>> before = ge.get_cpu_backend()
    >>> ge.set_cpu_backend("numpy")
    >>> ge.get_cpu_backend()
    'numpy'
    >>> ge.set_cpu_backend(before)
    """
    _choose_cpu(name, "set_cpu_backend")


def _choose_cpu(name: str, what: str) -> None:
    """Choose the backend of device "cpu" because `what` says so."""
    global _chosen_cpu
    if name not in CPU_BACKENDS:
        raise DeviceError(f"{what}: there is no {name!r} for the CPU; choose one of {', '.join(CPU_BACKENDS)}")
    if reason := why_not(name):
        raise DeviceError(f"backend {name!r}: {reason}")
    load(name)
    _chosen_cpu = name


@known_words
def backends() -> dict[str, str]:
    """Every backend that gradengine knows, with "available" or the reason why it is not.

    >>> import gradengine as ge
    >>> ge.backends()["numpy"]
    'available'
    """
    return {name: why_not(name) or "available" for name in ("numpy", "numba", "cupy")}


Backend.of_device = staticmethod(for_device)
device_names.default[:] = [get_default_device, set_default_device]
