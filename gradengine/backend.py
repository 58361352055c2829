"""Backends and devices: where ops run, and what arrays are there. The only file that knows backends by name.

A Backend maps every op to a kernel on raw arrays (`resolve` says to which). It is also what a gradient rule sees as
`k`: each op is an attribute. Ops register themselves through `register`; kernels load when a device is first used.

May import errors, resolve, NumPy and `gradengine_kernels`.
"""

from __future__ import annotations

import contextlib
import operator
import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from . import device_names
from .errors import DeviceError, OutOfMemoryError, installing
from .resolve import ALL_OPS, REPLACED, UPDATES, Kernels
from .validation import known_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CPU_BACKENDS = ("numba", "numpy")  # in order of preference
BUILT_IN: set[str] = set()  # the names of the ops that come with the engine, once all are declared
_loaded: dict[str, Backend] = {}
_chosen_cpu: str | None = None
_default = "cpu"  # the device of Tensors that are made without one
IN_HOST_MEMORY = frozenset({np.ndarray, list, tuple, int, float, bool, *np.sctypeDict.values()})
_halves = False  # whether anything in this process is in half precision


class Backend(Kernels):
    """The kernels and arrays of one device.

    `pointwise` generates fused kernels, where the backend can. `program(kernels, ...)` compiles whole programs for
    `jit`, where the backend can (`compiles()`), of kernels that may consist of the scalar `operations()`.
    """

    def __init__(
        self,
        name: str,
        device: str,
        kernels: dict[str, Callable[..., Any]],
        pointwise: Callable[..., Any] | None = None,
        small: float = float("inf"),
        force: Callable[[], contextlib.AbstractContextManager[None]] | None = None,
        program: Callable[..., Any] | None = None,
        operations: Callable[[], frozenset[str]] = frozenset,
        halves: Any = None,
        ready: Callable[[], bool] | None = None,
    ) -> None:
        self.name, self.device, self.force = name, str.__new__(device_names.device, device), force
        self.program, self.operations = program, operations
        if ready is not None:
            self.ready = ready
        super().__init__(kernels, pointwise, small, halves)
        if _halves:
            self.widen()

    def __repr__(self) -> str:
        return f"<backend {self.name} on {self.device}>"

    @contextlib.contextmanager
    def every_size(self) -> Iterator[None]:
        """Generated kernels for arrays of every size, which is how they are tested."""
        before = self.small
        self.small = 0 if self.generate is not None else before
        try:
            with contextlib.nullcontext() if self.force is None else self.force():
                yield
        finally:
            self.small = before

    ready: Callable[[], bool] = staticmethod(lambda: True)  # whether what `program` needs can be imported

    def compiles(self) -> bool:
        """Whether programs can be compiled."""
        return self.program is not None and self.ready()

    def quiet(self) -> contextlib.AbstractContextManager[Any]:
        """A context in which floating-point events do not warn."""
        return np.errstate(all="ignore")

    def typed(self, what: str, error: Exception) -> Exception | None:
        """The typed error for one that the device raised while `what` ran; None for an error that is not its own."""
        if isinstance(error, MemoryError) and not isinstance(error, OutOfMemoryError):
            return OutOfMemoryError(f"{what}: {error or 'there is no memory for the result'}")
        return None

    # -- arrays; a device backend overrides these ---------------------------------------------------------------

    reals = frozenset(("float32", "float64"))  # the floating-point dtypes that programs are compiled for
    variant: Any = None  # settings that a compiled program has built in
    arrays: Any = np  # whose functions make new arrays here
    plus: Callable[[Any, Any], Any] = staticmethod(operator.add)  # how cotangents add up
    part: Callable[[Any, Any], Any] = staticmethod(operator.getitem)  # the view at ints, slices, `...` and None

    def asarray(self, value: Any, dtype: Any = None, copy: bool = False) -> Any:
        """`value` as an array of this device."""
        home = home_of(value)
        if home is not None:
            there = for_device(home)
            array = there.to_numpy(there.asarray(value))
            return array if dtype is None else self.cast(array, dtype)
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            value = np.from_dlpack(value)
        if copy and isinstance(value, np.ndarray):
            return np.array(value, dtype)
        array = np.asarray(value, dtype)  # some foreign arrays do not know NumPy's own `copy` argument
        return array.copy() if copy and hasattr(value, "__array__") else array

    def new_ones(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """A new array of ones."""
        return np.ones(shape, dtype) if shape else dtype.type(1)

    def cast(self, array: Any, dtype: Any) -> Any:
        """The array in another dtype, itself when it has that dtype already."""
        return np.asarray(array).astype(dtype, copy=False)

    def receive(self, array: Any, origin: Backend) -> Any:
        """An array of another backend's device as one of this device."""
        return self.asarray(origin.to_numpy(array))

    def shares(self, value: Any, array: Any) -> bool:
        """True when `value`, of any library, is in the memory of `array`."""
        return isinstance(value, np.ndarray) and np.may_share_memory(value, array)

    def in_order(self, array: Any) -> bool:
        """Whether the elements of an array follow one another in memory."""
        flags = getattr(array, "flags", None)  # a Python number has none
        return flags is None or bool(flags.c_contiguous)

    def is_view(self, value: Any, array: Any) -> bool:
        """Whether `value`, which an op has made of `array`, is in the same memory; a single element always counts."""
        base = value.base
        return base is array or (base is not None and base is getattr(array, "base", None)) or value.size < 2

    def to_numpy(self, array: Any) -> np.ndarray[Any, Any]:
        """The array in host memory, as NumPy's."""
        return np.asarray(array)

    def duplicate(self, array: Any) -> Any:
        """A copy that nobody else sees."""
        return np.array(array)

    def writable(self, array: Any) -> bool:
        """True for an array that owns its memory and may be written to."""
        return type(array) is np.ndarray and array.base is None and array.flags.writeable

    def exportable(self, array: Any) -> Any:
        """The array in a form whose memory DLPack can describe."""
        array = np.asarray(array)
        return array if array.flags.writeable else array.copy()


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

    return Backend("numpy", "cpu", numpy_cpu.KERNELS, halves=numpy_cpu.halves)


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
        halves=numpy_cpu.halves,
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
    global _halves
    if not _halves:
        _halves = True
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


def home_of(value: Any) -> str | None:
    """The device of another library's array, when it is in a GPU's memory; None for everything else.

    Raises DeviceError when the engine cannot use GPUs here.
    """
    kind = type(value)
    if kind in IN_HOST_MEMORY or not (hasattr(kind, "__dlpack_device__") or hasattr(value, "__cuda_array_interface__")):
        return None
    try:
        from gradengine_kernels.cupy_cuda import memory

        ordinal = memory.home(value)
    except (RuntimeError, TypeError, ValueError, BufferError, AttributeError, ImportError):
        return None  # what it is, the attempt to take it will say
    return None if ordinal is None else f"cuda:{ordinal}"


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


device_names.default[:] = [get_default_device, set_default_device]
