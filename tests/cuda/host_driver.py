"""CUDA's runtime and driver on the host, beneath the real CuPy: an unmodified wheel runs without a GPU or a driver.

CuPy's compiled modules call `cupy_backends.cuda.api.runtime` and `.driver` through the C function pointers in their
`__pyx_capi__`. Every other module copies those pointers when it is first imported, so `install()` replaces them before
`import cupy`. What the functions do is done by the emulator: memory by `guarded`, streams, devices and graphs by
`machine`, kernels by `launching`.

A capsule's name is its C signature, such as "int (int, int, int __pyx_skip_dispatch)"; the types come from there. An
exception cannot leave a ctypes callback, so a few lines of C around each callback raise it (`TRAMPOLINES`).
"""

from __future__ import annotations

import collections
import ctypes
import functools
import itertools
from collections.abc import Callable
from typing import Any

from . import device_memory, guarded, launching, machine, toolchain
from .machine import Stream, local

C_TYPES = {
    "int": ctypes.c_int, "unsigned int": ctypes.c_uint, "size_t": ctypes.c_size_t, "intptr_t": ctypes.c_ssize_t,
    "PyObject *": ctypes.py_object, "float": ctypes.c_float, "uintmax_t": ctypes.c_ulonglong,
}  # fmt: skip
POINTER = "void *"
# What a function returns when it raises: Cython looks for an exception only then. NULL where it returns an object.
FAILED = {"int": "-1", "funcGetAttribute": "-2"}
TRAMPOLINES = """
#include <stdint.h>
#include <stddef.h>
extern "C" {
void PyErr_SetObject(void* kind, void* value);
void *raised = nullptr, *raised_kind = nullptr;
"""
TRAMPOLINE = """
%(type)s (*inner_%(name)s)(%(types)s);
%(type)s outer_%(name)s(%(parameters)s) {
  %(type)s found = inner_%(name)s(%(arguments)s);
  if (!raised) return found;
  void* error = raised;
  raised = nullptr;
  PyErr_SetObject(raised_kind, error);
  return %(failed)s;
}
"""
python = ctypes.pythonapi
python.PyCapsule_GetName.restype, python.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
python.PyCapsule_New.restype = ctypes.py_object
python.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
kept: list[Any] = []  # what C code points to
numbers = itertools.count(0x1000, 0x10)
errors: dict[int, type[Exception]] = {}  # the error of CuPy's own that takes the place of one of the emulator's


# -- memory, streams and graphs -----------------------------------------------------------------------------------

blocks: dict[int, Any] = {}
in_use: collections.Counter[int] = collections.Counter()  # bytes of each device
streams: dict[int, Stream] = {}
events: dict[int, machine.Event] = {}
graphs: dict[int, machine.Graph] = {}


def malloc(size: int, *_: Any) -> int:
    """cudaMalloc: memory that ends at a page that nobody may touch, full of NaN."""
    machine.refuse("malloc")
    if in_use[local.device] + size > machine.DEVICE_BYTES:
        raise machine.CUDARuntimeError(2)
    block = guarded.Block(size, local.device)
    blocks[block.ptr] = block
    in_use[block.device_id] += size
    return int(block.ptr)


def free(address: int, *_: Any) -> None:
    """cudaFree; what was written beside the memory is found here. (A pool's free is none, so a capture permits it.)"""
    block = blocks.pop(address, None)
    if block is not None:
        in_use[block.device_id] -= block.size


def host_alloc(size: int, *_: Any) -> int:
    """cudaHostAlloc."""
    buffer = (ctypes.c_ubyte * max(size, 1))()
    blocks[ctypes.addressof(buffer)] = held = HostBuffer(buffer)
    return held.address


class HostBuffer:
    """Pinned memory of the host."""

    size, device_id = 0, -1

    def __init__(self, buffer: Any) -> None:
        self.buffer, self.address = buffer, ctypes.addressof(buffer)


def mem_info() -> tuple[int, int]:
    """cudaMemGetInfo."""
    return machine.DEVICE_BYTES - in_use[local.device], machine.DEVICE_BYTES


def stream_of(pointer: int) -> Stream:
    """The stream with that address."""
    return streams.get(pointer, Stream.null)


def new_stream(flags: int = 0, priority: int = 0) -> int:
    """cudaStreamCreate."""
    stream = Stream(non_blocking=bool(flags & 1), priority=priority)
    streams[stream.ptr] = stream
    return int(stream.ptr)


def new_event(*_: Any) -> int:
    """cudaEventCreate."""
    events[number := next(numbers)] = machine.Event()
    return number


def keep_graph(graph: machine.Graph) -> int:
    """A number for a graph."""
    graphs[number := next(numbers)] = graph
    return number


def pointer_attributes(runtime: Any, address: int) -> Any:
    """cudaPointerGetAttributes, in an object of CuPy's class, whose fields only C can set."""
    slot = guarded.slot_at(address)
    device = slot.block[2] if slot is not None and slot.block is not None else local.device
    found = runtime.PointerAttributes.__new__(runtime.PointerAttributes)
    fields = id(found) + object.__basicsize__
    ctypes.c_int.from_address(fields).value = device
    for i, value in enumerate((address, 0)):
        ctypes.c_ssize_t.from_address(fields + 8 * (i + 1)).value = value
    ctypes.c_int.from_address(fields + 24).value = 2
    return found


def to_stream(pointer: int, work: Callable[[], None]) -> None:
    """Do work now, or note it where that stream captures."""
    machine.perform(work, stream_of(pointer))


def runtime_functions(runtime: Any) -> dict[str, Callable[..., Any]]:
    """CUDA's runtime."""
    nothing = lambda *_: None
    move, fill = device_memory.move, device_memory.fill
    attributes = {16: 4, 75: 9, 76: 0, 97: 227 << 10}
    peer = lambda to, _, source, __, size, *___: move(to, source, size, 3)
    return dict(
        driverGetVersion=device_memory.Runtime.driverGetVersion, runtimeGetVersion=lambda *_: 13000,
        _ensure_context=nothing, getDeviceCount=lambda *_: machine.device_count(), getDevice=lambda *_: local.device,
        setDevice=lambda device, *_: device_memory.set_device(device),
        getDeviceProperties=lambda device, *_: device_memory.properties(device),
        deviceGetAttribute=lambda which, *_: attributes.get(which, 1024),
        deviceGetPCIBusId=lambda device, *_: machine.Device(device).pci_bus_id,
        deviceSynchronize=lambda *_: machine.refuse("deviceSynchronize"), deviceCanAccessPeer=lambda *_: 1,
        deviceEnablePeerAccess=nothing, _deviceEnsurePeerAccess=nothing,
        memGetInfo=lambda *_: mem_info(), malloc=malloc, free=free, hostAlloc=host_alloc, freeHost=free,
        mallocAsync=malloc, freeAsync=free,
        pointerGetAttributes=lambda address, *_: pointer_attributes(runtime, address),
        pointerGetMemoryType=lambda address, *_: 2 if guarded.slot_at(address) else 0,
        memcpy=lambda to, source, size, kind, *_: (machine.refuse("memcpy"), move(to, source, size, kind))[1],
        memset=lambda address, byte, size, *_: (machine.refuse("memset"), fill(address, byte, size))[1],
        memcpyAsync=lambda to, source, size, kind, stream, *_: to_stream(stream, lambda: move(to, source, size, kind)),
        memsetAsync=lambda address, byte, size, stream, *_: to_stream(stream, lambda: fill(address, byte, size)),
        memcpyPeer=peer, memcpyPeerAsync=peer,
        streamCreate=lambda *_: new_stream(), streamCreateWithFlags=lambda flags, *_: new_stream(flags),
        streamCreateWithPriority=lambda flags, priority, *_: new_stream(flags, priority),
        streamDestroy=lambda stream, *_: streams.pop(stream, None) and None,
        streamSynchronize=lambda stream, *_: stream_of(stream).synchronize(), streamQuery=lambda *_: 0,
        streamIsCapturing=lambda stream, *_: int(stream_of(stream).is_capturing()),
        streamBeginCapture=lambda stream, *_: stream_of(stream).begin_capture(),
        streamEndCapture=lambda stream, *_: keep_graph(stream_of(stream).end_capture()),
        streamWaitEvent=lambda stream, event, *_: stream_of(stream).wait_event(events[event]),
        launchHostFunc=lambda stream, call, argument, *_: to_stream(stream, lambda: call(argument)),
        eventCreate=new_event, eventCreateWithFlags=new_event, eventQuery=lambda *_: 0,
        eventDestroy=lambda event, *_: events.pop(event, None) and None,
        eventRecord=lambda event, stream, *_: events[event].record(stream_of(stream)),
        eventSynchronize=lambda event, *_: events[event].synchronize(),
        eventElapsedTime=lambda start, end, *_: machine.elapsed_time(events[start], events[end]),
        graphInstantiate=lambda graph, *_: keep_graph(graphs[graph]),
        graphLaunch=lambda graph, stream, *_: graphs[graph].launch(stream_of(stream)),
        graphUpload=nothing, graphDestroy=lambda graph, *_: graphs.pop(graph, None) and None,
        graphExecDestroy=lambda graph, *_: graphs.pop(graph, None) and None,
    )  # fmt: skip


# -- kernels ------------------------------------------------------------------------------------------------------

functions: dict[int, launching.Function] = {}
modules: dict[int, Callable[[str], launching.Function]] = {}  # by what name a module finds its kernels
ATTRIBUTES = (
    "max_threads_per_block", "shared_size_bytes", "const_size_bytes", "local_size_bytes", "num_regs",
)  # fmt: skip
MOST_DYNAMIC = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES


def load_module(*_: Any) -> int:
    """cuModuleLoadData: real_cupy says at once what kernels it has."""
    return next(numbers)


def get_function(module: int, name: str, *_: Any) -> int:
    """cuModuleGetFunction."""
    functions[number := next(numbers)] = modules[module](name)
    return number


def function_attribute(which: int, function: int, *_: Any) -> int:
    """cuFuncGetAttribute."""
    found = functions[function]
    if which == MOST_DYNAMIC:
        return found.most_dynamic
    return found.attributes[ATTRIBUTES[which]] if which < len(ATTRIBUTES) else 0


def set_function_attribute(function: int, which: int, value: int, *_: Any) -> None:
    """cuFuncSetAttribute."""
    if which == MOST_DYNAMIC:
        functions[function].max_dynamic_shared_size_bytes = value


def launch(function: int, *rest: int) -> None:
    """cuLaunchKernel: arguments are read from where CuPy has put them, as wide as the kernel takes them."""
    gx, gy, gz, bx, by, bz, shared, stream, parameters = rest[:9]
    found = functions[function]
    addresses = (ctypes.c_void_p * len(found.kernel.kinds)).from_address(parameters)
    values = [argument(at, kind) for at, kind in zip(addresses, found.kernel.kinds)]
    found.launch((gx, gy, gz), (bx, by, bz), shared, values, stream_of(stream))


def argument(at: Any, kind: int) -> Any:
    """The argument at an address."""
    size, what = (kind & ~toolchain.POINTER) >> 4, kind & 15
    if kind & toolchain.POINTER:
        return ctypes.c_uint64.from_address(at).value
    if what == toolchain.FLOAT:
        return (ctypes.c_float if size == 4 else ctypes.c_double).from_address(at).value
    if what == toolchain.INTEGER:
        integer = {1: ctypes.c_uint8, 2: ctypes.c_uint16, 4: ctypes.c_uint32, 8: ctypes.c_uint64}[size]
        return integer.from_address(at).value
    return ctypes.string_at(at, size)  # a struct


def driver_functions() -> dict[str, Callable[..., Any]]:
    """CUDA's driver."""
    return dict(
        moduleLoadData=load_module, moduleGetFunction=get_function, moduleUnload=lambda *_: None, launchKernel=launch,
        funcGetAttribute=function_attribute, funcSetAttribute=set_function_attribute, ctxGetCurrent=lambda *_: 1,
        occupancyMaxActiveBlocksPerMultiprocessor=lambda *_: 2, occupancyMaxPotentialBlockSize=lambda *_: (8, 256),
    )  # fmt: skip


# -- in CuPy's place ----------------------------------------------------------------------------------------------


def own_error(error: BaseException) -> BaseException:
    """CuPy's error for one of the emulator's."""
    if isinstance(error, machine.CUDARuntimeError):
        made = errors["runtime"](error.status)
    elif isinstance(error, machine.CUDADriverError):
        made = errors["driver"].__new__(errors["driver"], str(error))  # its __init__ would ask the driver for words
        made.status = error.status
    else:
        return error
    made.add_note(str(error))
    return made


def translated(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as Python code calls it."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (machine.CUDARuntimeError, machine.CUDADriverError) as error:
            raise own_error(error) from None

    return call


def signature(module: Any, name: str) -> tuple[str, list[str]]:
    """The C types of what a function returns and takes."""
    text = python.PyCapsule_GetName(module.__pyx_capi__[name]).decode()
    result, _, arguments = text.partition("(")
    parts = [part.strip().replace(" __pyx_skip_dispatch", "") for part in arguments.rstrip(")").split(",")]
    parts = [POINTER if "__pyx_opt_args" in part else part for part in parts if part != "void"]
    result = result.strip()
    return "PyObject *" if result.startswith("struct") else result, parts


def trampoline(name: str, result: str, parts: list[str]) -> str:
    """The C function that CuPy calls."""
    c = lambda kind: POINTER if kind == "PyObject *" else kind
    failed = FAILED.get(name) or FAILED.get(result) or "0"
    return TRAMPOLINE % {
        "name": name, "type": c(result), "types": ", ".join(map(c, parts)), "failed": failed,
        "parameters": ", ".join(f"{c(kind)} a{i}" for i, kind in enumerate(parts)),
        "arguments": ", ".join(f"a{i}" for i in range(len(parts))),
    }  # fmt: skip


def replace(modules_: list[tuple[Any, dict[str, Callable[..., Any]]]]) -> None:
    """Put these functions in the places of those in CuPy's modules, for callers in C and in Python."""
    wanted = [
        (module, name, function, *signature(module, name))
        for module, functions_ in modules_
        for name, function in functions_.items()
        if name in module.__pyx_capi__
    ]
    code = TRAMPOLINES + "".join(trampoline(name, result, parts) for _, name, _, result, parts in wanted) + "}\n"
    library = ctypes.PyDLL(str(toolchain.build("driver", code, ["-O1", "-std=c++17", "-fPIC", "-shared", "-w"])))
    raised = ctypes.c_void_p.in_dll(library, "raised")
    raised_kind = ctypes.c_void_p.in_dll(library, "raised_kind")
    pending: list[Any] = []

    def guard(function: Callable[..., Any], is_object: bool) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            try:
                return function(*args)
            except BaseException as error:
                made = own_error(error)
                pending[:] = [made, type(made)]  # kept until the next one
                raised.value, raised_kind.value = id(made), id(type(made))
                return None if is_object else 0

        return call

    for module, name, function, result, parts in wanted:
        types = [C_TYPES.get(part, ctypes.c_void_p) for part in parts]
        restype = C_TYPES[result]
        inner = ctypes.PYFUNCTYPE(restype, *types)(guard(function, restype is ctypes.py_object))
        ctypes.c_void_p.in_dll(library, f"inner_{name}").value = ctypes.cast(inner, ctypes.c_void_p).value
        outer = ctypes.cast(getattr(library, f"outer_{name}"), ctypes.c_void_p)
        capsule_name = python.PyCapsule_GetName(module.__pyx_capi__[name])
        kept.extend([inner, capsule_name])
        module.__pyx_capi__[name] = python.PyCapsule_New(outer, capsule_name, None)
    for module, functions_ in modules_:
        for name, function in functions_.items():
            setattr(module, name, translated(function))
    kept.append(library)


def install() -> None:
    """Replace CUDA beneath CuPy, which nothing may have imported yet."""
    import sys

    if "cupy" in sys.modules:
        raise RuntimeError("CuPy is imported already; its driver must be replaced first")
    from cupy_backends.cuda.api import driver, runtime

    errors.update(runtime=runtime.CUDARuntimeError, driver=driver.CUDADriverError)
    replace([(runtime, runtime_functions(runtime)), (driver, driver_functions())])
