"""`cupy.RawModule` and `cupy.RawKernel`: sources compiled by g++, arguments checked as no device checks them."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np

from . import guarded, machine
from .gpu_array import address, ndarray
from .machine import CUDADriverError, CUDARuntimeError, local, perform, refuse
from .toolchain import FLOAT, INTEGER, MOST_SHARED, MOST_STATIC, POINTER, EmulatorError, Fault, Kernel, Module
from .toolchain import CompileError as BuildError

seed = int(os.environ.get("GRADENGINE_EMULATOR_SEED", "0"))
modules: dict[tuple[str, tuple[str, ...]], Module] = {}
counted = {"launches": 0}


class CompileException(Exception):
    """CuPy's, when NVRTC does not take a source."""

    def __init__(self, msg: str, source: str, name: str, options: Any, backend: str = "nvrtc") -> None:
        super().__init__(msg)
        self._msg, self.source, self.name, self.options, self.backend = msg, source, name, options, backend

    def get_message(self) -> str:
        return self._msg


class KernelFault(CUDARuntimeError):
    """An illegal address, as a device reports it; and in which kernel, which a device does not say."""


def set_seed(number: int) -> int:
    """Choose the order in which threads run; returns the former choice."""
    global seed
    before, seed = seed, number
    return before


def module(code: str, options: tuple[str, ...]) -> Module:
    """A source, compiled once per process."""
    found = modules.get((code, options))
    if found is None:
        try:
            found = modules[code, options] = Module(code, options)
        except BuildError as error:
            raise CompileException(str(error), code, "kernel", options) from None
    return found


class Function:
    """A kernel that can be launched."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.name, self.most_dynamic = kernel, kernel.name, MOST_STATIC - kernel.static

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: Any, shared_mem: int = 0, stream: Any = None
    ) -> None:
        kinds = self.kernel.kinds
        if len(args) != len(kinds):
            raise EmulatorError(f"{self.name}: {len(args)} arguments, the kernel takes {len(kinds)}")
        packed = [pack(self.name, i, a, kind) for i, (a, kind) in enumerate(zip(args, kinds))]
        if self.launch(three(grid, "grid"), three(block, "block"), shared_mem, packed, stream):
            for a in args:
                if type(a) is ndarray and a._mem.__class__ is guarded.Block and (found := a._mem.intact()):
                    raise EmulatorError(f"{self.name}: an argument {found}")

    def launch(
        self, grid: tuple[int, int, int], block: tuple[int, int, int], shared_mem: int, packed: list[Any], stream: Any
    ) -> bool:
        """Run with arguments as struct takes them, or record that; whether it has run."""
        kernel, (gx, gy, gz), (bx, by, bz) = self.kernel, grid, block
        if not (0 < gx < 2**31 and 0 < gy < 65536 and 0 < gz < 65536):
            raise CUDADriverError(1, f"{self.name}: grid {grid}")
        if not (0 < bx <= 1024 and 0 < by <= 1024 and 0 < bz <= 64 and bx * by * bz <= kernel.bound):
            raise CUDADriverError(1, f"{self.name}: block {block}, at most {kernel.bound} threads")
        if not 0 <= shared_mem <= self.most_dynamic:
            raise CUDADriverError(1, f"{self.name}: {shared_mem} bytes of shared memory, at most {self.most_dynamic}")
        data = kernel.packer.pack(gx, gy, gz, bx, by, bz, seed, shared_mem, *packed)
        stream = stream or machine.current_stream()
        if stream.nodes is None and not local.capturing:
            run(kernel, data)
            return True
        perform(lambda: run(kernel, data), stream)
        return False

    @property
    def max_dynamic_shared_size_bytes(self) -> int:
        return self.most_dynamic

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size: int) -> None:
        if size > MOST_SHARED - self.kernel.static:
            raise CUDADriverError(1, f"{self.name}: {size} bytes of shared memory")
        self.most_dynamic = size

    @property
    def attributes(self) -> dict[str, int]:
        return {
            "max_threads_per_block": self.kernel.bound, "shared_size_bytes": self.kernel.static, "num_regs": 32,
            "max_dynamic_shared_size_bytes": self.most_dynamic, "local_size_bytes": 0, "const_size_bytes": 0,
        }  # fmt: skip


def run(kernel: Kernel, data: bytes) -> None:
    """Run a kernel now. Raises KernelFault as a device would, EmulatorError where it would not."""
    if guarded.damage:
        raise EmulatorError("; ".join([guarded.damage.pop() for _ in list(guarded.damage)]))
    counted["launches"] += 1
    try:
        kernel.run(data)
    except Fault as fault:
        if fault.signal in (signal.SIGSEGV, signal.SIGBUS):
            near = guarded.explain(fault.address)
            raise KernelFault(700, f"{kernel.name} touches {near}; {fault.where}") from None
        what = {signal.SIGFPE: "a division of integers by zero"}.get(
            fault.signal, "an access that is not aligned, an index outside of an array, or __trap"
        )
        raise KernelFault(715, f"{kernel.name}: {fault.signal.name}, {what}; {fault.where}") from None


def three(numbers: Any, what: str) -> tuple[int, int, int]:
    """The sizes of a grid or a block."""
    if type(numbers) is not tuple:
        raise TypeError(f"Argument '{what}' has incorrect type (expected tuple, got {type(numbers).__name__})")
    x, y, z = (*numbers, 1, 1)[:3]
    return int(x), int(y), int(z)


def pack(name: str, i: int, a: Any, kind: int) -> Any:
    """An argument as struct takes it. Raises EmulatorError for one that a device would read as something else."""
    size, what = kind >> 4, kind & 15
    if kind & POINTER:
        size = (kind & ~POINTER) >> 4
        if type(a) is ndarray:
            dtype = a._a.dtype
            if what in (INTEGER, FLOAT):
                fits = size == 1 or (dtype.itemsize == size and (what == INTEGER) == (dtype.kind in "iub"))
            else:  # void, a half, or a vector of several elements
                fits = not size or (dtype.itemsize == 2 if size == 2 else size % dtype.itemsize == 0)
            if not fits:
                raise EmulatorError(f"{name}: argument {i} is an array of {dtype}, the kernel reads {said(kind)} each")
            if a._mem.device_id != local.device:
                raise EmulatorError(f"{name}: argument {i} is on device {a._mem.device_id}, current is {local.device}")
            return address(a)
        if type(a) is int or isinstance(a, (np.int64, np.uint64)):
            if a and not guarded.is_live(int(a)):
                raise EmulatorError(f"{name}: argument {i} is the address of {guarded.explain(int(a))}")
            return int(a)
        raise EmulatorError(f"{name}: argument {i} is {type(a).__name__}, the kernel wants a pointer")
    if type(a) is int and what == INTEGER and size == 8:
        return a & 0xFFFFFFFFFFFFFFFF
    if type(a) is float and what == FLOAT and size == 8:
        return a
    if isinstance(a, ndarray):
        raise EmulatorError(f"{name}: argument {i} is an array, the kernel wants {said(kind)}")
    dtype = np.dtype(
        np.int64
        if type(a) is int
        else np.float64
        if type(a) is float
        else np.bool_
        if type(a) is bool
        else a.dtype
        if isinstance(a, np.generic)
        else object
    )
    fits = dtype.kind in "iub" if what == INTEGER else dtype.kind == "f" if what == FLOAT else dtype.kind not in "iubfO"
    if not fits or dtype.itemsize != size:
        raise EmulatorError(f"{name}: argument {i} is {type(a).__name__} ({dtype}), the kernel wants {said(kind)}")
    if what == INTEGER:
        return int(a) & (1 << 8 * size) - 1
    return float(a) if what == FLOAT else a.tobytes()


def said(kind: int) -> str:
    """A kernel's parameter, in words."""
    what, size = kind & 15, (kind & ~POINTER) >> 4
    return f"{'an integer' if what == INTEGER else 'a float' if what == FLOAT else 'a struct'} of {size} bytes"


class RawModule:
    """CUDA C, compiled when its first kernel is asked for."""

    def __init__(
        self,
        code: str | None = None,
        *,
        path: str | None = None,
        options: tuple[str, ...] = (),
        backend: str = "nvrtc",
        translate_cucomplex: bool = False,
        enable_cooperative_groups: bool = False,
        name_expressions: Any = None,
        jitify: bool = False,
    ) -> None:
        if code is None or name_expressions or backend != "nvrtc":
            raise NotImplementedError("the emulator compiles CUDA C from `code` only, without name expressions")
        if type(options) is not tuple:
            raise TypeError(f"Argument 'options' has incorrect type (expected tuple, got {type(options).__name__})")
        self.code, self.options, self.backend = code, options, backend

    def compile(self, log_stream: Any = None) -> None:
        refuse("module load")
        module(self.code, self.options)

    def get_function(self, name: str) -> RawKernel:
        return RawKernel(self.code, name, self.options)


class RawKernel:
    """A kernel of a source, compiled when it is first launched."""

    def __init__(
        self, code: str, name: str, options: tuple[str, ...] = (), backend: str = "nvrtc",
        translate_cucomplex: bool = False, *, enable_cooperative_groups: bool = False, jitify: bool = False,
    ) -> None:  # fmt: skip
        if type(options) is not tuple:
            raise TypeError(f"Argument 'options' has incorrect type (expected tuple, got {type(options).__name__})")
        self.code, self.name, self.options, self.backend = code, name, options, backend
        self.functions: dict[int, Function] = {}

    def compile(self, log_stream: Any = None) -> None:
        self.on_device()

    def on_device(self) -> Function:
        found = self.functions.get(local.device)
        if found is None:
            refuse("module load")
            try:
                found = Function(module(self.code, self.options).kernel(self.name))
            except KeyError:
                raise CUDADriverError(500, self.name) from None
            self.functions[local.device] = found
        return found

    def __call__(self, grid: Any, block: Any, args: Any, *, shared_mem: int = 0, stream: Any = None) -> None:
        found = self.functions.get(local.device) or self.on_device()
        found(grid, block, args, shared_mem, stream)

    @property
    def max_dynamic_shared_size_bytes(self) -> int:
        return self.on_device().max_dynamic_shared_size_bytes

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size: int) -> None:
        self.on_device().max_dynamic_shared_size_bytes = size

    attributes = property(lambda self: self.on_device().attributes)
    num_regs = property(lambda self: 32)
    max_threads_per_block = property(lambda self: self.on_device().kernel.bound)
    shared_size_bytes = property(lambda self: self.on_device().kernel.static)
    local_size_bytes = property(lambda self: 0)
