"""Backend: what a set of kernels owes the engine, on arrays in host memory unless a subclass says otherwise.

A Backend maps every op to a kernel on raw arrays (`kernel_table` says to which). It is also what a gradient rule sees
as `k`: each op is an attribute.
"""

from __future__ import annotations

import contextlib
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import OutOfMemoryError
from . import device_names
from .kernel_table import Kernels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IN_HOST_MEMORY = frozenset({np.ndarray, list, tuple, int, float, bool, *np.sctypeDict.values()})


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
        if Backend.in_half_precision:
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

    is_tensor = False  # a rule that asks gets raw arrays here
    in_half_precision = False  # whether anything in this process is
    of_device: Callable[[str], Backend]  # finds the backend of another device; `devices` sets it
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
            there = Backend.of_device(home)
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
