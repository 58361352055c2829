"""A backend whose arrays live in a GPU's memory: where its kernels run, and what its errors mean to a user.

`devices` loads it when the first CUDA device is asked for.
"""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

from gradengine_kernels.cupy_cuda import diagnosis, driver
from gradengine_kernels.cupy_cuda.gemm import plans
from gradengine_kernels.cupy_cuda.memory import Exports, Memory

from ..errors import CompileError, CudaFaultError, DeviceError, GradengineError, IndexRangeError, OutOfMemoryError
from .backend import Backend
from .kernel_table import ALL_OPS

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable


ASYNCHRONOUS = (
    "Kernels run asynchronously: this was the first to notice, not the one that failed. To find that one, set "
    "GRADENGINE_CUDA_SYNC=1 or call ge.cuda.set_synchronous(True)."
)
GIBIBYTE = 1 << 30
EXPORTS = Exports()


class GpuBackend(Backend):
    """The kernels of one GPU, run with it as CUDA's current device, and arrays in its memory."""

    reals = frozenset(("float32", "float64", "float16", "bfloat16"))

    def __init__(self, name: str, device: str, kernels: dict[str, Any], *parts: Any, **more: Any) -> None:
        self.memory = Memory(int(device.partition(":")[2]))
        self.arrays = self.memory.cupy
        self.waiting = driver.synchronous
        super().__init__(name, device, kernels, *parts, **more)

    # -- kernels ------------------------------------------------------------------------------------------------

    def resolve(self, op: Any) -> None:
        super().resolve(op)
        if op in self.table and not self.direct:
            self.table[op] = self.placed(self.table[op])
            self.rules[op] = tuple([rule and self.placed(rule) for rule in self.rules[op]])
            setattr(self, op.name, self.table[op])
        if op.name == "add":
            self.plus = self.table[op]

    def resolve_update(self, name: str, function: Callable[..., Any]) -> None:
        super().resolve_update(name, function)
        if not self.direct:
            self.updates[name] = self.placed(self.updates[name])

    @property
    def direct(self) -> bool:
        """True where a kernel runs as it is: there is one GPU, and nobody waits for it."""
        return self.memory.alone and not self.waiting

    def placed(self, kernel: Callable[..., Any]) -> Callable[..., Any]:
        """A kernel that runs on this GPU, whichever is the current one, and is waited for in the synchronous mode."""

        @functools.wraps(kernel)
        def call(*arrays: Any, **params: Any) -> Any:
            with self.memory.here():
                result = kernel(*arrays, **params)
                if self.waiting:
                    driver.wait()
                return result

        return call

    def set_synchronous(self, on: bool) -> None:
        """Wait for each kernel to end before the next begins, or not."""
        if on != self.waiting:
            self.waiting = on
            self.resolve_all()

    def quietly(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` with this backend as its interpreter; a GPU gives no warnings."""
        return functools.wraps(function)(functools.partial(function, self))

    @property
    def variant(self) -> Any:
        """Whether products round to TF32."""
        return plans.is_tf32()

    def quiet(self) -> contextlib.AbstractContextManager[Any]:
        """A context in which this GPU is the current one."""
        return self.memory.here()

    # -- arrays -------------------------------------------------------------------------------------------------

    def asarray(self, value: Any, dtype: Any = None, copy: bool = False) -> Any:
        """`value` as an array of this GPU."""
        return self.tried("asarray", self.memory.asarray, value, dtype, copy)

    def receive(self, array: Any, origin: Backend) -> Any:
        """An array of another backend's device as one of this GPU, straight from GPU to GPU."""
        return self.asarray(array if isinstance(origin, GpuBackend) else origin.to_numpy(array))

    def shares(self, value: Any, array: Any) -> bool:
        """True when `value`, of any library, is in the memory of `array`."""
        return self.tried("asarray", self.memory.shares, value, array)

    def interface(self, tensor: Any) -> dict[str, Any]:
        """The CUDA array interface of a Tensor, whose array stays where it is as long as the Tensor lives.

        Who reads it keeps the Tensor, not the array, which the next change in place would set free.
        """
        EXPORTS.keep(tensor, tensor.array, weakref.ref)
        return dict(self.exportable(tensor.array).__cuda_array_interface__)

    def new_ones(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """An array of ones."""
        return self.tried("ones", self.memory.new_ones, shape, dtype)

    def cast(self, array: Any, dtype: Any) -> Any:
        """The array in another dtype, itself when it has that dtype already."""
        return self.tried("astype", self.memory.cast, array, dtype)

    def to_numpy(self, array: Any) -> Any:
        """The array in host memory, as NumPy's; waits for what computes it."""
        return self.tried("numpy", self.memory.to_numpy, array)

    def duplicate(self, array: Any) -> Any:
        """A copy that nobody else sees."""
        return self.tried("copy", self.memory.duplicate, array)

    def part(self, array: Any, index: Any) -> Any:
        """The view of an array at ints, slices, `...` and None."""
        return self.getitem(array, index=index)

    def writable(self, array: Any) -> bool:
        """True for an array that owns its memory and may be written to."""
        return self.memory.writable(array)

    def exportable(self, array: Any) -> Any:
        """The array in a form whose memory DLPack can describe."""
        return self.tried("DLPack", self.memory.exportable, array)

    def synchronize(self) -> None:
        """Wait for all that was started here."""
        self.tried("synchronize", self.memory.synchronize)

    # -- errors -------------------------------------------------------------------------------------------------

    def tried(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """`function(*arguments)`, with an error of the device's as one that a user can act upon."""
        try:
            return function(*arguments)
        except IndexError as error:  # found by a kernel that ran some time ago
            raise IndexRangeError(str(error)) from None
        except Exception as error:
            typed = self.typed(what, error)
            if typed is None:
                raise
            raise typed from error

    def typed(self, what: str, error: Exception) -> GradengineError | None:
        """The typed error for one of CUDA's that came while `what` ran; None for an error that is not the device's."""
        if isinstance(error, GradengineError):
            return error
        kind, words = diagnosis.kind(error), str(error).strip().rstrip(".")
        if kind == "memory":
            return OutOfMemoryError(f"{what}: {words}; {self.occupancy()}")
        if kind == "compile":
            source, log = diagnosis.source_and_log(error)
            typed = CompileError(
                f"{what}: the CUDA compiler refuses a kernel, through no fault of yours; this error has all of its "
                f"`source` and `log`.\n{log}\n{diagnosis.excerpt(source, log)}"
            )
            typed.source, typed.log = source, log
            return typed
        if kind == "fault":
            blame = "" if self.waiting else f" {ASYNCHRONOUS}"
            return CudaFaultError(
                f"{what}: a kernel on {self.device!r} has failed: {words}.{blame} This process can use the device no "
                "more; start a new one"
            )
        return DeviceError(f"{what}: CUDA on {self.device!r} says {words}") if kind else None

    def occupancy(self) -> str:
        """Who holds the memory of the device, and what can be done about it."""
        try:
            free, total = self.memory.free_and_total()
            used, reserved = self.memory.used(), self.memory.reserved()
        except Exception as error:
            return f"{self.device!r} no longer says how much is in use ({error})"
        return (
            f"on {self.device!r} arrays take {used / GIBIBYTE:.2f} GiB of the {reserved / GIBIBYTE:.2f} GiB that this "
            f"process holds, and {free / GIBIBYTE:.2f} of {total / GIBIBYTE:.2f} GiB are free, after unused memory was "
            "given back and the allocation tried again; use smaller batches, or let go of Tensors (graphs keep what "
            "they were computed from: ge.no_grad(), .detach())"
        )


def load(ordinal: int, name: str) -> GpuBackend:
    """The backend of a GPU."""
    from gradengine_kernels import cupy_cuda

    return GpuBackend(
        name,
        f"cuda:{ordinal}",
        cupy_cuda.kernels(lambda name: name in ALL_OPS and ALL_OPS[name].any_precision),
        cupy_cuda.pointwise,
        0,
        force=cupy_cuda.every_size,
        program=cupy_cuda.program,
        operations=cupy_cuda.operations,
    )
