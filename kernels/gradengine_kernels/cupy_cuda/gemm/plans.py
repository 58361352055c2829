"""Matrix products planned: a Product says what is to be computed, a Plan runs it through cuBLASLt.

A jit program uses them so:

    p = Product("float32", m, n, k, tb=True, epilogue="relu_bias")   # row-major: d[m, n] = op(a)[m, k] @ op(b)[k, n]
    ready = plan(p)            # before the capture: asks cuBLASLt which algorithm; the same Product gives the same Plan
    ready.warm()               # before the capture, on its stream: loads the kernel, makes room for what it needs
    ready.epilogue_done        # False: cuBLASLt does not do this epilogue here, and run gives the bare product
    ready.run(a, b, d, bias)   # device addresses, on the current stream, captured or not

Addresses must be multiples of `p.align` bytes; for others, plan `dataclasses.replace(p, align=...)`. `d` must not
overlap `a` or `b`. With beta, `d` is read as well. A plan that needs scratch memory (`ready.workspace_bytes`) takes
that of the stream that it runs on. Graphs captured on one stream share it: if they may run at the same time, on
different streams, pass each its own as `workspace=address`.

Which epilogues there are, and which are safe: see product. In float64, of empty products, and of batches (but for bias,
relu and gelu without aux) none is done. A product that cuBLASLt does not support as its operands lie runs over copies
(see copies).
"""

from __future__ import annotations

import functools
import itertools
import threading
import weakref
from ctypes import addressof, c_double, c_float, c_int, c_uint64, sizeof
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .. import driver
from ..driver import CudaError
from ..lazy_cupy import cp
from . import cublaslt
from .copies import Copies, plainest
from .cublaslt import EPILOGUES, HAS_AUX, HAS_BIAS, Compute, Data, Desc, Heuristic, Layout, Preference
from .product import ITEM_SIZES, Product

if TYPE_CHECKING:
    from collections.abc import Callable

PLANS = 1024  # kept at once
CHOICES = 4  # algorithms to ask for; the first that works is taken

tf32 = False


def set_tf32(on: bool) -> None:
    """Whether float32 products may round their operands to TF32: faster on tensor cores, 10 bits of mantissa."""
    global tf32
    tf32 = bool(on)


def is_tf32() -> bool:
    """Whether float32 products may use TF32."""
    return tf32


class Plan:
    """A product ready to run on one device.

    `run(a, b, d, bias=0, aux=0, alpha=1.0, beta=0.0, workspace=0)` computes d = alpha op(a) @ op(b) + beta d, and what
    the epilogue says, on the current stream; all but alpha and beta are device addresses.
    """

    __slots__ = ("__weakref__", "device", "epilogue_done", "product", "run", "warmed", "workspace_bytes")

    run: Callable[..., None]

    def __init__(self, product: Product, device: int, epilogue_done: bool) -> None:
        self.product, self.device, self.epilogue_done = product, device, epilogue_done
        self.workspace_bytes = 0
        self.warmed = False

    def warm(self) -> None:
        """Run once on scratch memory, so that a capture on this stream finds the kernel loaded and its workspace."""
        if capturing():
            raise CudaError(f"{self.product}: warm() cannot run while the stream captures; call it before")
        if self.workspace_bytes:
            workspace_for(self.device, cp.cuda.get_current_stream().ptr)
        if self.warmed:
            return
        p = self.product
        source, target = scratch(max(p.span("a"), p.span("b"))), scratch(p.span("d"))
        bias, aux = scratch(p.bias_length * ITEM_SIZES[p.dtype]), scratch(p.aux_bytes)
        # Not the stream's workspace: a graph that was captured on it may be running on another stream just now.
        room = scratch(self.workspace_bytes)
        self.run(
            source.data.ptr, source.data.ptr, target.data.ptr, bias.data.ptr, aux.data.ptr, workspace=room.data.ptr
        )  # fmt: skip
        self.warmed = True


def scratch(size: int) -> Any:
    return cp.zeros(max(size, 1), "uint8")


def capturing() -> bool:
    return bool(cp.cuda.get_current_stream().is_capturing())


def plan(product: Product) -> Plan:
    """The plan for a product on the current device. New ones ask cuBLASLt, which it refuses while a stream captures."""
    if not product.compute:
        compute = {"float64": "float64", "float32": "tf32" if tf32 else "float32"}.get(product.dtype, "float32")
        product = replace(product, compute=compute)
    return plans(product, driver.here())


@functools.lru_cache(PLANS)
def plans(product: Product, device: int) -> Plan:
    if capturing():
        raise CudaError(f"{product}: no algorithm can be chosen while the stream captures; make the plan before")
    if not product.m * product.n * product.batch:
        made = Plan(product, device, not product.epilogue)
        made.run = lambda *addresses, **scalars: None
        return made
    if not product.k:
        made = Plan(product, device, not product.epilogue)
        made.run = zeros_of(product)
        return made
    try:
        code = EPILOGUES[product.epilogue]
        chosen = None
        if product.epilogue and possible(product):
            chosen = Chosen.make(product, code, device)
        made = Plan(product, device, chosen is not None or not product.epilogue)
        if chosen is None:
            chosen = Chosen.make(product, EPILOGUES[""], device)
    except CudaError:
        raise
    except Exception as error:
        raise cublaslt.failure(error, str(product)) from error
    if chosen is not None:
        made.workspace_bytes, made.run = chosen.workspace_bytes, chosen.runner()
        return made
    plain = plainest(product)
    if plain is None:
        raise cublaslt.failure(cublaslt.NOT_SUPPORTED, f"no algorithm for the {product}")
    through = plans(plain, device)
    made.epilogue_done = not product.epilogue
    made.workspace_bytes, made.run = through.workspace_bytes, Copies(product, plain, through.run).run
    return made


def possible(product: Product) -> bool:
    """False for epilogues not worth asking for: cuBLASLt has none in float64, and for batches we leave most out."""
    if product.dtype == "float64":
        return False
    return product.batch == 1 or not EPILOGUES[product.epilogue] & (HAS_AUX | HAS_BIAS & ~cublaslt.READS_BIAS)


def forget_plans() -> None:
    """Drop all plans and handles; graphs made of them stay good."""
    plans.cache_clear()
    handle_of.cache_clear()


@functools.cache
def handle_of(device: int) -> int:
    """cuBLASLt's handle for a device, which must be the current one when it is made."""
    return int(cublaslt.lib().create())


# -- scratch memory -------------------------------------------------------------------------------------------------

PER_THREAD_STREAM = 2  # one number, a stream for each thread
workspaces: dict[tuple[int, ...], Any] = {}


@functools.cache
def workspace_size(device: int) -> int:
    """What NVIDIA recommends: 32 MiB from Hopper on, 4 MiB before."""
    return (32 if int(cp.cuda.runtime.getDeviceProperties(device)["major"]) >= 9 else 4) << 20


def workspace_for(device: int, stream: int) -> int:
    """The address of a stream's scratch memory, which is never given back: graphs may refer to it."""
    key = (device, stream) if stream != PER_THREAD_STREAM else (device, stream, threading.get_ident())
    found = workspaces.get(key)
    if found is None:
        if capturing():
            raise CudaError(
                "a captured matrix product has no scratch memory: call its plan's warm() on the stream before"
            )
        found = workspaces[key] = cp.empty(workspace_size(device), "uint8")
    return int(found.data.ptr)


# -- what runs ------------------------------------------------------------------------------------------------------


def zeros_of(product: Product) -> Callable[..., None]:
    """A product of nothing: sums of no terms. cuBLASLt takes no such matrices."""
    item = ITEM_SIZES[product.dtype]
    row, lines = product.n * item, [(0, product.span("d"))]
    if product.span("d") != product.batch * product.m * row:
        starts = itertools.product(range(product.batch), range(product.m))
        lines = [((i * product.stride_d + j * product.ldd) * item, row) for i, j in starts]

    def run(
        a: int, b: int, d: int, bias: int = 0, aux: int = 0, alpha: float = 1.0, beta: float = 0.0, workspace: int = 0
    ) -> None:
        if beta == 1.0:
            return
        if beta != 0.0:
            raise CudaError(f"{product}: beta must be 0 or 1 where k is 0, not {beta}")
        stream = cp.cuda.get_current_stream().ptr
        for offset, length in lines:
            cp.cuda.runtime.memsetAsync(d + offset, 0, length, stream)

    return run


class Chosen:
    """cuBLASLt's descriptors of a product and the algorithm that it has chosen. Its A is our b: it computes d.T."""

    def __init__(self, product: Product, epilogue: int, device: int) -> None:
        self.product, self.epilogue, self.device = product, epilogue, device
        self.lib = lib = cublaslt.lib()
        self.workspace_bytes = 0
        made: list[tuple[Callable[[int], None], int]] = []
        # Not at exit: the library may be gone by then, and so is all that it holds.
        self.release = weakref.finalize(self, destroy, made)
        self.release.atexit = False
        scale = Data.float64 if product.dtype == "float64" else Data.float32
        self.real = c_double if product.dtype == "float64" else c_float
        self.desc = desc = int(lib.matmul_desc_create(int(Compute[product.compute]), int(scale)))
        made.append((lib.matmul_desc_destroy, desc))
        cublaslt.set_desc(desc, Desc.TRANSA, product.tb)
        cublaslt.set_desc(desc, Desc.TRANSB, product.ta)
        if epilogue != EPILOGUES[""]:
            self.set_epilogue()
        self.layouts = []
        for name in "bad":
            rows, columns = product.stored(name)
            # Rows of ours are columns of cuBLASLt's.
            ld = getattr(product, f"ld{name}")
            layout = int(lib.matrix_layout_create(int(Data[product.dtype]), columns, rows, ld))
            made.append((lib.matrix_layout_destroy, layout))
            if product.batch > 1:
                cublaslt.set_layout(layout, Layout.BATCH_COUNT, product.batch)
                cublaslt.set_layout(layout, Layout.STRIDED_BATCH_OFFSET, getattr(product, f"stride_{name}"))
            self.layouts.append(layout)

    def set_epilogue(self) -> None:
        product, desc = self.product, self.desc
        cublaslt.set_desc(desc, Desc.EPILOGUE, self.epilogue)
        # The addresses come with each run; until then their alignment is all that matters.
        if self.epilogue & HAS_BIAS:
            cublaslt.set_desc(desc, Desc.BIAS_POINTER, product.align)
        if self.epilogue & HAS_AUX:
            cublaslt.set_desc(desc, Desc.EPILOGUE_AUX_POINTER, product.align)
            cublaslt.set_desc(desc, Desc.EPILOGUE_AUX_LD, product.aux_ld)

    @classmethod
    def make(cls, product: Product, epilogue: int, device: int) -> Chosen | None:
        """Descriptors with an algorithm; None where cuBLASLt has none."""
        handle = handle_of(device)
        try:
            chosen = cls(product, epilogue, device)
            return chosen if chosen.ask(handle) else None
        except Exception as error:
            # An invalid value is a mistake of ours, unless it is an epilogue that this version does not know.
            unknown = (cublaslt.INVALID_VALUE,) if epilogue != EPILOGUES[""] else ()
            if cublaslt.status_of(error) in (cublaslt.NOT_SUPPORTED, *unknown):
                return None
            raise

    def ask(self, handle: int) -> bool:
        """Ask for algorithms and take the first that works."""
        lib, product = self.lib, self.product
        self.handle = handle
        self.results = (Heuristic * CHOICES)()
        returned = c_int()
        preference = int(lib.matmul_preference_create())
        try:
            cublaslt.set_preference(preference, Preference.MAX_WORKSPACE_BYTES, workspace_size(self.device))
            if product.dtype in ("float16", "bfloat16"):  # else parts of a sum would be rounded one by one
                scheme = cublaslt.REDUCE_IN_COMPUTE_TYPE
                cublaslt.set_preference(preference, Preference.REDUCTION_SCHEME_MASK, scheme)
            for name in "ABCD":
                attribute = Preference[f"MIN_ALIGNMENT_{name}_BYTES"]
                cublaslt.set_preference(preference, attribute, product.align)
            b, a, d = self.layouts
            given = (preference, CHOICES, addressof(self.results), addressof(returned))
            lib.matmul_algo_get_heuristic(handle, self.desc, b, a, d, d, *given)
        finally:
            lib.matmul_preference_destroy(preference)
        for result in self.results[: returned.value]:
            if result.state == 0:
                self.algorithm, self.workspace_bytes = addressof(result), int(result.workspace)
                self.taken = result  # `algorithm` points into it
                return True
        return False

    def runner(self) -> Callable[..., None]:
        """What a plan runs: everything that can be known before is at hand. It keeps `self`, and so all addresses."""
        matmul, fixed = self.lib.matmul, getattr(self.lib, "fixed", int)
        handle, desc, algorithm = fixed(self.handle), fixed(self.desc), fixed(self.algorithm)
        layout_b, layout_a, layout_d = map(fixed, self.layouts)
        device, size, real, mask = self.device, self.workspace_bytes, self.real, self.product.align - 1
        self.constants = constants = (real * 2)(0.0, 1.0)
        zero, one = fixed(addressof(constants)), fixed(addressof(constants) + sizeof(real))
        stream_of, find = cp.cuda.get_current_stream, workspaces.get

        def run(
            a: int,
            b: int,
            d: int,
            bias: int = 0,
            aux: int = 0,
            alpha: float = 1.0,
            beta: float = 0.0,
            workspace: int = 0,
        ) -> None:
            if (a | b | d | bias | aux) & mask:  # to the device this would be a fault, the end of all work on it
                words = f"an address is no multiple of {mask + 1}, for which the plan was made"
                raise CudaError(f"{words}: {at(self.product, a, b, d, bias, aux)}")
            stream = stream_of().ptr
            if size and not workspace:
                memory = find((device, stream))
                workspace = workspace_for(device, stream) if memory is None else memory.data.ptr
            first, second = one, zero
            if alpha != 1.0:
                scale = real(alpha)
                first = addressof(scale)
            if beta != 0.0:
                share = real(beta)
                second = addressof(share)
            try:
                status = matmul(
                    handle, desc, first, b, layout_b, a, layout_a, second, d, layout_d, d, layout_d,
                    algorithm, workspace, size, stream,
                )  # fmt: skip
            except Exception as error:
                raise cublaslt.failure(error, at(self.product, a, b, d, bias, aux)) from error
            if status:
                raise cublaslt.failure(status, at(self.product, a, b, d, bias, aux))
            if driver.synchronous:
                driver.wait()

        return run if self.epilogue == EPILOGUES[""] else self.with_addresses(run)

    def with_addresses(self, run: Callable[..., None]) -> Callable[..., None]:
        """`run`, which first tells cuBLASLt where bias and aux are. They are part of the description: one at a time."""
        set_attribute, desc, lock = self.lib.matmul_desc_set_attribute, self.desc, threading.Lock()
        cells = (c_uint64 * 2)(self.product.align, self.product.align)  # what they are now
        at_bias, at_aux = addressof(cells), addressof(cells) + 8
        bias_pointer, aux_pointer = int(Desc.BIAS_POINTER), int(Desc.EPILOGUE_AUX_POINTER)
        has_bias, has_aux = bool(self.epilogue & HAS_BIAS), bool(self.epilogue & HAS_AUX)

        def run_with(
            a: int,
            b: int,
            d: int,
            bias: int = 0,
            aux: int = 0,
            alpha: float = 1.0,
            beta: float = 0.0,
            workspace: int = 0,
        ) -> None:
            with lock:
                try:
                    if has_bias and cells[0] != bias:
                        cells[0] = bias
                        set_attribute(desc, bias_pointer, at_bias, 8)
                    if has_aux and cells[1] != aux:
                        cells[1] = aux
                        set_attribute(desc, aux_pointer, at_aux, 8)
                except Exception as error:
                    raise cublaslt.failure(error, at(self.product, a, b, d, bias, aux)) from error
                run(a, b, d, bias, aux, alpha, beta, workspace)

        return run_with


def destroy(made: list[tuple[Callable[[int], None], int]]) -> None:
    for release, handle in made:
        release(handle)


def at(product: Product, *addresses: int) -> str:
    """A product with the addresses that it was run at."""
    names = zip(("a", "b", "d", "bias", "aux"), addresses)
    return f"{product}, {', '.join(f'{name} at {address:#x}' for name, address in names if address)}"
