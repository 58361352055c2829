"""A module with CuPy's shape over NumPy, for machines without a GPU: `install()` makes `import cupy` find it.

It has the names that CuPy 14 has (cupy_api.json lists them, with their parameters) and computes them with NumPy, on
arrays in guarded memory; kernels are compiled by g++. What is not emulated raises NotImplementedError.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.machinery
import sys
import types
from typing import Any

import numpy as np

from . import device_memory, guarded, launching, machine, operators
from .device_memory import pools
from .gpu_array import API, adopted, arrays_among, finished, from_dlpack, moved, ndarray, new, operand, scatter, view
from .indexing import QUIET
from .machine import local, perform, refuse

UFUNCS = frozenset(API["ufuncs"])
CUBLAS = frozenset(
    {"matmul", "dot", "tensordot", "inner", "outer", "vdot", "einsum", "kron", "cross", "vecdot", "matvec"}
)
SAME_AS_NUMPY = frozenset(
    {"result_type", "promote_types", "can_cast", "issubdtype", "iinfo", "finfo", "broadcast_shapes", "common_type"}
    | {"min_scalar_type", "dtype", "errstate", "index_exp", "s_", "newaxis", "printoptions", "set_printoptions"}
)


# CuPy sorts by Thrust, which it has compiled for the types of C; and some ufuncs were left out.
NO_BFLOAT16 = frozenset(API["no_bfloat16"]) | {
    "sort",
    "argsort",
    "lexsort",
    "partition",
    "argpartition",
    "searchsorted",
}


def check_parameters(name: str, known: list[str] | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise TypeError for what NumPy would take and CuPy does not."""
    if known is None:
        return
    names = [p.lstrip("*") for p in known]
    places = known.index("*") if "*" in known else len(known)
    if len(args) > places and not any(p.startswith("*") and len(p) > 1 for p in known):
        raise TypeError(f"{name}() takes at most {places} positional arguments ({len(args)} given)")
    for key in kwargs:
        if key not in names and not any(p.startswith("**") for p in known):
            raise TypeError(f"{name}() got an unexpected keyword argument {key!r}")


def delegate(name: str, theirs: Any, known: list[str] | None, refused: str = "") -> Any:
    """NumPy's function of that name, with CuPy's parameters, on device arrays."""

    @functools.wraps(theirs)
    def call(*args: Any, **kwargs: Any) -> Any:
        check_parameters(name, known, args, kwargs)
        if local.capturing and refused:
            refuse(refused)
        out = kwargs.pop("out", None)
        plain = [operand(a) for a in args]
        if name in NO_BFLOAT16 and any(getattr(a, "dtype", None) is not None and a.dtype.char == "E" for a in plain):
            raise TypeError(f"Wrong type (bfloat16) of arguments for {name!r}")
        more = {k: operand(v) for k, v in kwargs.items()}
        with np.errstate(**QUIET):
            if out is None:
                try:
                    r = theirs(*plain, **more)
                except IndexError:
                    if name not in ("take", "take_along_axis", "put_along_axis"):
                        raise
                    r = around(name, theirs, plain, more)
                if name == "where" and isinstance(r, np.ndarray) and r.dtype.name == "bfloat16":
                    r = r.astype(np.float32)  # as CuPy 14 has it
                return view(r, *arrays_among(args), *arrays_among(kwargs.values()))
            if isinstance(theirs, np.ufunc):
                target = operand(out)
                perform(lambda: theirs(*plain, out=target, **more), uses=arrays_among((*args, out)))
                return out
            return finished(theirs(*plain, **more), out)

    return call


def around(name: str, theirs: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """The call again with indices counted round the axis: CuPy does not raise for those outside."""
    names = API["cupy"][name]
    given = {**dict(zip(names, args)), **kwargs}
    key, array = ("indices", given.get("a", given.get("arr")))
    axis = given.get("axis", -1 if name != "take" else None)
    size = array.size if axis is None else array.shape[axis]
    given[key] = np.asarray(given[key]) % size
    return theirs(**given)


class ufunc:
    """CuPy's kind of universal function."""

    def __init__(self, name: str, theirs: Any) -> None:
        self.name = self.__name__ = name
        self.theirs = theirs
        self.nin, self.nout, self.nargs = theirs.nin, theirs.nout, theirs.nargs
        self.call = delegate(name, theirs, API["cupy"].get(name), "cuBLAS" if name in CUBLAS else "")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) > self.nin:  # the results' arrays by position
            kwargs["out"], args = args[self.nin], args[: self.nin]
        return self.call(*args, **kwargs)

    def reduce(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        with np.errstate(**QUIET):
            return finished(self.theirs.reduce(operand(array), axis, dtype, keepdims=keepdims), out, array)

    def accumulate(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        return finished(self.theirs.accumulate(operand(array), axis, dtype), out, array)

    def reduceat(self, array: Any, indices: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        return finished(self.theirs.reduceat(operand(array), operand(indices), axis, dtype), out, array)

    def outer(self, A: Any, B: Any, **kwargs: Any) -> Any:
        return view(self.theirs.outer(operand(A), operand(B), **kwargs))

    def at(self, a: Any, indices: Any, b: Any = None) -> None:
        scatter(self.theirs, a, indices, b)


# -- functions that take what others refuse -----------------------------------------------------------------------


def array(
    obj: Any, dtype: Any = None, copy: Any = True, order: str = "K", subok: bool = False, ndmin: int = 0, *,
    blocking: bool = False,
) -> ndarray:  # fmt: skip
    """A new array of anything: host data, or another array."""
    dtype = None if dtype is None else np.dtype(dtype)
    if type(obj) is not ndarray and hasattr(obj, "__cuda_array_interface__"):
        obj = adopted(obj)
    if type(obj) is ndarray:
        if obj._mem.device_id != local.device and obj._mem.size:
            refuse("memcpy between devices")
            return moved(np.array(obj._a, dtype, order=order, ndmin=ndmin))
        same = not copy and (dtype is None or dtype == obj.dtype) and ndmin <= obj.ndim
        if same and (order in ("K", "A", None) or obj._a.flags[order]):
            return obj
        return moved(np.array(obj._a, dtype, order=order or "K", ndmin=ndmin))
    refuse("memcpy to the device")
    if isinstance(obj, (list, tuple)):
        obj = operand(obj)
    found = np.array(obj, dtype, order=order or "K", ndmin=ndmin)
    if found.dtype.hasobject:  # such as an int that 64 bits do not hold
        raise ValueError(f"Unsupported dtype {found.dtype}")
    return moved(found)


def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False) -> ndarray:
    """An array of anything, itself when it is one of that dtype."""
    return array(a, dtype, bool(copy), order or "K")


def ascontiguousarray(a: Any, dtype: Any = None) -> ndarray:
    """The array in C order."""
    out = array(a, dtype, False, "C")
    return out if out.ndim else out.reshape(1)


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> Any:
    """The array in host memory."""
    if type(a) is ndarray:
        return a.get(stream, order, out)
    return np.asarray(a, order=order)


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    """An array that nobody has written to."""
    shape = (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(map(int, shape))
    return new(shape, np.dtype(dtype), order, poison=True)


def empty_like(prototype: Any, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None) -> ndarray:
    """An array like another that nobody has written to."""
    flags = prototype._a.flags
    fortran = order == "F" or (order in "KA" and flags.f_contiguous and not flags.c_contiguous)
    return empty(prototype.shape if shape is None else shape, dtype or prototype.dtype, "F" if fortran else "C")


def full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C") -> ndarray:
    """An array of one value."""
    value = operand(fill_value)
    out = empty(shape, np.asarray(value).dtype if dtype is None else dtype, order)
    out.fill(fill_value)
    return out


def zeros(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    """An array of zeros."""
    out = empty(shape, dtype, order)
    out._a[...] = 0
    return out


def ones(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    """An array of ones."""
    out = empty(shape, dtype, order)
    out._a[...] = 1
    return out


def copyto(dst: ndarray, src: Any, casting: str = "same_kind", where: Any = None) -> None:
    """Copy values."""
    target, source, mask = dst._a, operand(src), True if where is None else operand(where)
    perform(lambda: np.copyto(target, source, casting, where=mask), uses=arrays_among((dst, src, where)))


def get_array_module(*args: Any) -> Any:
    """The module that the arguments belong to."""
    return sys.modules["cupy"] if arrays_among(args) else np


def may_share_memory(a: Any, b: Any, max_work: Any = None) -> bool:
    """Whether two arrays could overlap."""
    return np.may_share_memory(operand(a), operand(b))


def diagonal(a: ndarray, offset: int = 0, axis1: int = 0, axis2: int = 1) -> ndarray:
    """A diagonal, which may be written to."""
    return a.diagonal(offset, axis1, axis2)


OWN: dict[str, Any] = {
    f.__name__: f
    for f in (
        array, asarray, ascontiguousarray, asnumpy, copyto, diagonal, empty, empty_like, from_dlpack, full,
        get_array_module, may_share_memory, ones, zeros,
    )
}  # fmt: skip
OWN |= {
    "asanyarray": asarray, "ndarray": operators.complete(), "ufunc": ufunc, "RawKernel": launching.RawKernel,
    "RawModule": launching.RawModule, "is_available": lambda: bool(machine.device_count()),
    "get_default_memory_pool": device_memory.MemoryPool, "shares_memory": may_share_memory,
    "get_default_pinned_memory_pool": lambda: types.SimpleNamespace(free_all_blocks=lambda: None),
    "show_config": lambda: None, "scatter_add": None,
}  # fmt: skip
del OWN["scatter_add"]


class Fake(types.ModuleType):
    """A module whose names are those of a real one."""

    def __init__(self, name: str, section: str, own: dict[str, Any], numpy_module: Any, **kinds: Any) -> None:
        super().__init__(name)
        self.__path__: list[str] = []
        self._known, self._theirs, self._kinds = API[section], numpy_module, kinds
        self.__dict__.update(own)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self._known:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        theirs = getattr(self._theirs, name, None)
        if theirs is None:
            raise NotImplementedError(f"{self.__name__}.{name} is not emulated: add it in tests/cuda/fake_cupy.py")
        known = self._known[name]
        if self.__name__ == "cupy" and (isinstance(theirs, type) or not callable(theirs) or name in SAME_AS_NUMPY):
            made = (
                of_dtypes(theirs)
                if name in SAME_AS_NUMPY and callable(theirs) and not isinstance(theirs, type)
                else theirs
            )
        elif self.__name__ == "cupy" and name in UFUNCS and isinstance(theirs, np.ufunc):
            made = ufunc(name, theirs)
        else:
            refused = self._kinds.get("refused", "") or ("cuBLAS" if name in CUBLAS else "")
            made = delegate(name, theirs, known if isinstance(known, list) else None, refused)
        self.__dict__[name] = made
        return made


def of_dtypes(theirs: Any) -> Any:
    """A function of dtypes, to which an array means its dtype."""

    @functools.wraps(theirs)
    def call(*args: Any, **kwargs: Any) -> Any:
        return theirs(*[a._a if type(a) is ndarray else a for a in args], **kwargs)

    return call


def special(name: str) -> Any:
    """A function of SciPy's, in the types that CuPy's has: of float16 some give float64."""
    import scipy.special

    theirs, types_ = getattr(scipy.special, name), API["special_types"].get(name)
    if types_ is None:
        return theirs

    @functools.wraps(theirs)
    def call(*args: Any) -> Any:
        dtypes = [a.dtype if hasattr(a, "dtype") else np.result_type(a) for a in args]
        for loop in types_:
            given, _, made = loop.partition("->")
            if len(given) == len(args) and all(np.can_cast(d, t) for d, t in zip(dtypes, given)):
                return np.asarray(theirs(*[np.asarray(a, t) for a, t in zip(args, given)])).astype(made)
        raise TypeError(f"Wrong type ({dtypes[0]}) of arguments for {name!r}")

    return call


class Special(types.ModuleType):
    """`cupyx.scipy.special`."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in API["special"]:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        made = self.__dict__[name] = delegate(name, special(name), API["special"][name])
        return made


def cuda_module() -> types.ModuleType:
    """`cupy.cuda`."""
    cuda = types.ModuleType("cupy.cuda")
    memory = types.ModuleType("cupy.cuda.memory")
    compiler, nvrtc = types.ModuleType("cupy.cuda.compiler"), types.ModuleType("cupy.cuda.nvrtc")
    stream, driver = types.ModuleType("cupy.cuda.stream"), types.ModuleType("cupy.cuda.driver")
    device, function = types.ModuleType("cupy.cuda.device"), types.ModuleType("cupy.cuda.function")
    compiler.CompileException = launching.CompileException
    nvrtc.getVersion = lambda: (13, 0)
    driver.CUDADriverError = machine.CUDADriverError
    function.Function = launching.Function
    for module in (cuda, memory):
        module.OutOfMemoryError = machine.OutOfMemoryError
        module.MemoryPointer, module.UnownedMemory = device_memory.MemoryPointer, device_memory.UnownedMemory
        module.MemoryPool, module.Memory = device_memory.MemoryPool, guarded.Block
        module.alloc = lambda size: pools[local.device].malloc(size)
    for module in (cuda, stream):
        module.Stream, module.ExternalStream, module.Event = machine.Stream, machine.ExternalStream, machine.Event
        module.get_current_stream, module.get_elapsed_time = machine.current_stream, machine.elapsed_time
    for module in (cuda, device):
        module.Device = machine.Device
    del cuda.OutOfMemoryError
    cuda.Graph, cuda.Function = machine.Graph, launching.Function
    cuda.alloc_pinned_memory = device_memory.PinnedMemoryPointer
    cuda.get_device_id = lambda: local.device
    cuda.is_available = available
    cuda.runtime = device_memory.Runtime("cupy.cuda.runtime")
    for module in (memory, compiler, nvrtc, stream, driver, device, function, cuda.runtime):
        setattr(cuda, module.__name__.rsplit(".", 1)[1], module)
    cuda.__path__ = []
    return cuda


def available() -> bool:
    """`cupy.cuda.is_available`."""
    try:
        return machine.device_count() > 0
    except machine.CUDARuntimeError:
        return False


def build() -> dict[str, types.ModuleType]:
    """All modules, by name."""
    cuda = cuda_module()
    cupy = Fake("cupy", "cupy", OWN, np)
    cupy.__version__ = API["version"]
    cupy.cuda = cuda
    cupy.random = Fake("cupy.random", "random", {}, np.random, refused="cuRAND")
    cupy.linalg = Fake("cupy.linalg", "linalg", {}, np.linalg, refused="cuSOLVER")
    cupyx = types.ModuleType("cupyx")
    cupyx.__path__ = []
    cupyx.scatter_add = lambda a, slices, value: a.scatter_add(slices, value)
    cupyx.scatter_max = lambda a, slices, value: a.scatter_max(slices, value)
    cupyx.scatter_min = lambda a, slices, value: a.scatter_min(slices, value)
    cupyx.rsqrt = delegate("rsqrt", lambda x: (1 / np.sqrt(x)).astype(x.dtype), ["x", "out"])
    cupyx.scipy = types.ModuleType("cupyx.scipy")
    cupyx.scipy.special = Special("cupyx.scipy.special")
    core, dlpack = types.ModuleType("cupy._core"), types.ModuleType("cupy._core.dlpack")
    core.__path__, core.dlpack, core.ndarray = [], dlpack, ndarray
    dlpack.DLPackMemory = device_memory.DLPackMemory
    cupy._core = core
    found = [cupy, cuda, cupy.random, cupy.linalg, cupyx, cupyx.scipy, cupyx.scipy.special, core, dlpack]
    found += [m for m in vars(cuda).values() if isinstance(m, types.ModuleType)]
    for module in found:  # whoever looks for the package finds that it is there
        module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
    return {m.__name__: m for m in found}


def install() -> types.ModuleType:
    """Make `import cupy` find the emulator. Nothing else may have imported CuPy before."""
    present = sys.modules.get("cupy")
    if present is not None:
        if isinstance(present, Fake):
            return present
        raise RuntimeError("CuPy is imported already; the emulator must come first")
    sys.modules.update(build())
    with contextlib.suppress(ImportError):  # CUDA's headers, which CuPy asks this for, are not needed here
        from cuda import pathfinder

        pathfinder.find_nvidia_header_directory = lambda name: "emulated"
    return sys.modules["cupy"]
