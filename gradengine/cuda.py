"""What can be asked of CUDA and set for it: devices, their memory, when to wait, TF32.

Ops on a "cuda" Tensor run on CuPy's current stream of this thread, one after the other, and the host does not wait
for them: `.item()`, `.numpy()` and `synchronize()` do. Work of your own on the same stream is in order with them:

    with cupy.cuda.Stream():      # this thread's ops go there; wait before another stream reads the results
        y = model(x)

Other libraries' arrays come and go without copies through DLPack and `__cuda_array_interface__`, both of which say on
which stream an array is ready.

>>> import gradengine as ge
>>> x = ge.ones(3, device="cuda" if ge.cuda.is_available() else "cpu")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from . import ops
from .backend import devices
from .backend.kernel_table import primitive_call
from .errors import ArgumentError, DeviceError, DTypeError, describe
from .shapes.dtypes import check_dtype
from .validation import known_calls

__path__: list[str] = []  # PyTorch's paths go further down: see module_paths
__all__ = [
    "manual_seed", "manual_seed_all", "set_device", "is_bf16_supported", "is_initialized",
    "current_device", "device_count", "empty_cache", "get_device_name", "is_available", "is_synchronous", "is_tf32",
    "mem_get_info", "memory_allocated", "memory_reserved", "set_synchronous", "set_tf32", "source",
    "synchronize",
]  # fmt: skip


if not TYPE_CHECKING:  # to a type checker, other names are simply missing

    def __getattr__(name: str) -> Any:
        if name == "amp":
            return importlib.import_module(f"{__name__}.amp")
        from .missing_names import missing

        raise missing(__name__, name)


def is_available() -> bool:
    """True when Tensors can be on "cuda" here; `ge.backends()["cupy"]` says why not.

    >>> import gradengine as ge
    >>> ge.cuda.is_available() == (ge.backends()["cupy"] == "available")
    True
    """
    return not devices.why_not("cupy")


def device_count() -> int:
    """How many GPUs there are; 0 where CUDA cannot be used.

    >>> import gradengine as ge
    >>> (ge.cuda.device_count() > 0) == ge.cuda.is_available()
    True
    """
    if not is_available():
        return 0
    from gradengine_kernels.cupy_cuda import memory

    return memory.device_count()


def manual_seed(seed: int) -> None:
    """Seed what is drawn, on every device: there is one generator.

    >>> import gradengine as ge
    >>> ge.cuda.manual_seed(0)
    """
    ops.manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """Seed what is drawn, on every device: there is one generator.

    >>> import gradengine as ge
    >>> ge.cuda.manual_seed_all(0)
    """
    ops.manual_seed(seed)


def set_device(device: Any) -> None:
    """Make a GPU, given by number or name, the default device. Raises DeviceError when it cannot be used.

    >>> import gradengine as ge
    >>> if ge.cuda.is_available():
    ...     ge.cuda.set_device(0)
    ...     ge.set_default_device("cpu")
    """
    devices.set_default_device(device)


def is_bf16_supported() -> bool:
    """Whether Tensors can be in bfloat16 on the GPU: where there is one.

    >>> import gradengine as ge
    >>> ge.cuda.is_bf16_supported() == ge.cuda.is_available()
    True
    """
    return is_available()


def is_initialized() -> bool:
    """Whether a GPU has been used.

    >>> import gradengine as ge
    >>> ge.cuda.is_initialized() in (True, False)
    True
    """
    return bool(devices.loaded_gpus())


def current_device() -> int:
    """The number of the GPU that "cuda" stands for where no number is given: 0, or that of the default device.

    >>> import gradengine as ge
    >>> number = ge.cuda.current_device() if ge.cuda.is_available() else None
    """
    default = devices.get_default_device()
    return int(default[5:]) if default.startswith("cuda:") else gpu().memory.ordinal


def gpu(device: Any = None) -> Any:
    """The backend of a GPU, given as a number, a name or (None) the current one. Raises DeviceError for the CPU."""
    if device is None:
        default = devices.get_default_device()
        device = default if default != "cpu" else "cuda"
    backend = devices.for_device(device)
    if backend.device == "cpu":
        raise DeviceError(f"cuda: {device!r} is no GPU; use 'cuda' or 'cuda:<number>'")
    return backend


def get_device_name(device: Any = None) -> str:
    """The manufacturer's name of a GPU. Raises DeviceError if there is no such device.

    >>> import gradengine as ge
    >>> name = ge.cuda.get_device_name() if ge.cuda.is_available() else None
    """
    return gpu(device).memory.name()


def names() -> list[str]:
    """The names of all GPUs, in the order of their numbers; none where CUDA cannot be used."""
    return [get_device_name(i) for i in range(device_count())]


def synchronize(device: Any = None) -> None:
    """Wait until a GPU has done all that it was given. What went wrong there since is raised here.

    >>> import gradengine as ge
    >>> if ge.cuda.is_available():
    ...     ge.cuda.synchronize()
    """
    gpu(device).synchronize()


def memory_allocated(device: Any = None) -> int:
    """The bytes that arrays take on a GPU, CuPy's own among them.

    >>> import gradengine as ge
    >>> taken = ge.cuda.memory_allocated() if ge.cuda.is_available() else 0
    """
    return gpu(device).memory.used()


def memory_reserved(device: Any = None) -> int:
    """The bytes that this process holds in CuPy's pool of a GPU's memory, in use or ready for use.

    >>> import gradengine as ge
    >>> held = ge.cuda.memory_reserved() if ge.cuda.is_available() else 0
    """
    return gpu(device).memory.reserved()


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """The bytes of a GPU that no process has, and those that there are.

    >>> import gradengine as ge
    >>> free, total = ge.cuda.mem_get_info() if ge.cuda.is_available() else (0, 0)
    """
    return gpu(device).memory.free_and_total()


def empty_cache() -> None:
    """Give back to CUDA the memory that the pools of all used GPUs hold and no array uses.

    >>> import gradengine as ge
    >>> ge.cuda.empty_cache()
    """
    for backend in devices.loaded_gpus():
        backend.memory.release()


def switch(what: str, on: Any) -> bool:
    """A setting that is on or off. Raises ArgumentError for anything else."""
    if not isinstance(on, (bool, np.bool_)):
        raise ArgumentError(f"cuda.{what}: takes True or False, got {on!r}")
    return bool(on)


def set_synchronous(on: bool) -> None:
    """Wait for each kernel to end before the next begins, so that a fault is raised by the op that has caused it.

    A debugging aid: it takes most of the speed. GRADENGINE_CUDA_SYNC=1 in the environment does it from the start.

    >>> import gradengine as ge
    >>> ge.cuda.set_synchronous(True)
    >>> ge.cuda.is_synchronous()
    True
    >>> ge.cuda.set_synchronous(False)
    """
    from gradengine_kernels.cupy_cuda import driver

    driver.set_synchronous(switch("set_synchronous", on))
    for backend in devices.loaded_gpus():
        backend.set_synchronous(driver.synchronous)


def is_synchronous() -> bool:
    """True when each kernel is waited for.

    >>> import gradengine as ge
    >>> ge.cuda.is_synchronous()
    False
    """
    from gradengine_kernels.cupy_cuda import driver

    return driver.synchronous


def source(op: Any, dtype: Any = "float32", gradient: int | None = None, **metadata: Any) -> str:
    """The CUDA C of a pointwise op for contiguous arrays, or that of its gradient by the operand number `gradient`.

    What the op takes beside its operands goes by name. It is text, so neither a GPU nor CuPy is needed; what all
    kernels start with (types, loads, mathematics) is left out. The kernels of a whole step: `step.lower(...)`. Raises
    ArgumentError for an op that is not pointwise or has no kernel of its own, DTypeError for an unsupported dtype.

    >>> import gradengine as ge
    >>> halved = ge.elementwise("doc_halved", lambda k, g, y, x: g * 0.5, body=lambda k, x: x * 0.5)
    >>> text = ge.cuda.source(halved)
    >>> print(next(line.strip() for line in text.splitlines() if "0.5" in line))
    const float t2 = xt1[u] * (float)0.5;
    >>> ge.cuda.source(halved, dtype=ge.float64, gradient=0).split("(")[0]
    'extern "C" __global__ void __launch_bounds__'
    """
    from gradengine_kernels import expr, loops
    from gradengine_kernels.cupy_cuda import dialect, loop_codegen, loop_kernel
    from gradengine_kernels.cupy_cuda.pointwise_kernels import LINE, as_inputs, kind_of

    found, real = op_of(op), check_dtype(dtype, "cuda.source").name
    if found is None or found.kind != "pointwise":
        raise ArgumentError(
            f"cuda.source: takes a pointwise op, such as ge.tanh, got {describe(op)}; for a jitted step, "
            "step.lower(...) shows all kernels"
        )
    if real not in dialect.COMPUTED:
        raise DTypeError(f"cuda.source: kernels are generated for {', '.join(dialect.COMPUTED)}, not for {real}")
    name, function, arity = found.name, found.body or primitive_call(found.name), len(found.rules)
    if gradient is not None:
        if gradient not in range(arity) or found.rules[gradient] is None:
            there = [str(i) for i, rule in enumerate(found.rules) if rule is not None]
            others = f"there is one by {' and by '.join(there)}" if there else "it has none"
            raise ArgumentError(f"cuda.source: {name} has no gradient by an operand {gradient!r}; {others}")
        name, function, arity = f"{name}_grad{gradient}", found.rules[gradient], arity + 2
    takes = f"it takes {', '.join(found.names) or 'nothing beside its operands'}"
    for key in metadata.keys() - set(found.names):
        raise ArgumentError(f"cuda.source: {found.name} does not take {key}; {takes}")
    names, params = [f"x{i}" for i in range(arity)], {**found.defaults, **metadata}
    for key in set(found.names) - params.keys():
        raise ArgumentError(f"cuda.source: {found.name} needs {key}; {takes}")
    bodies = {other.name: other.body for other in devices.ALL_OPS.values() if other.body is not None}
    try:
        (result,) = expr.trace(function, names, params, bodies, dialect.OPERATIONS)
        if result.op in ("input", "param", "constant"):
            raise expr.NotPointwiseError(f"it is {result}, and nothing is computed")
        given = [f"given_{key}" for key, value in params.items() if isinstance(value, float)]
        condition = (0 if gradient is None else 2) if found.name == "where" else None
        kinds = ["bool" if i == condition else real for i in range(arity)]
        values: list[Any] = [loops.Load(x, loops.Operand(i, kinds[i], LINE)) for i, x in enumerate(names)]
        values += [loops.Number(x, -1) for x in given]
        values.append(loops.Compute("y0", as_inputs(result)))
        kind = "bool" if kind_of(values, "y0") else real
    except expr.NotPointwiseError as error:
        raise ArgumentError(f"cuda.source: no kernel is generated for {name} of {real} arrays: {error}") from None
    loop = loops.Loop(real, 1, values, [loops.Store("y0", loops.Operand(arity, kind, LINE))])
    return loop_kernel.source_of(loop, loop_codegen.Given(1, (), tuple(given)), name).code


def op_of(function: Any) -> Any:
    """The op that a function is, or that it chooses in general, as `ge.clip` does; None for any other."""
    name = getattr(function, "__name__", "")
    chooses = getattr(ops, name, None) is function
    return getattr(function, "op", devices.ALL_OPS.get(name) if chooses else None)


def set_tf32(on: bool) -> None:
    """Multiply float32 matrices in TF32, which keeps 10 bits of each factor, or not (as at first).

    >>> import gradengine as ge
    >>> ge.cuda.set_tf32(True)
    >>> ge.cuda.is_tf32()
    True
    >>> ge.cuda.set_tf32(False)
    """
    from gradengine_kernels.cupy_cuda.gemm import kernels

    kernels.set_tf32(switch("set_tf32", on))


def is_tf32() -> bool:
    """True when float32 matrix products are computed in TF32.

    >>> import gradengine as ge
    >>> ge.cuda.is_tf32()
    False
    """
    from gradengine_kernels.cupy_cuda.gemm import kernels

    return kernels.is_tf32()


known_calls(__name__)
