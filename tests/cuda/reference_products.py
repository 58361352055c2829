"""cuBLASLt in NumPy, on emulated device memory: it honours the descriptors that it is given, and is strict about them.

`install()` puts it where `cublaslt.lib()` finds it. What cuBLASLt would answer with a status is answered so; what it
would silently get wrong (a misaligned address, an operand that overlaps the result) raises Misuse.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradengine_kernels.cupy_cuda.gemm import cublaslt, kernels
from gradengine_kernels.cupy_cuda.gemm.cublaslt import Compute, Data, Desc, Heuristic, Layout, Preference, StatusError

NOT_INITIALIZED, INVALID_VALUE, NOT_SUPPORTED = 1, 7, 15
NAMES = {1: "CUBLAS_STATUS_NOT_INITIALIZED", 7: "CUBLAS_STATUS_INVALID_VALUE", 15: "CUBLAS_STATUS_NOT_SUPPORTED"}
RELU, BIAS, DRELU, BGRAD, GELU, DGELU, AUX, BGRADA, BGRADB = 2, 4, 8, 16, 32, 64, 128, 256, 512
SCALE_OF = {Compute.float32: Data.float32, Compute.tf32: Data.float32, Compute.float64: Data.float64}
OPERANDS_OF = {
    Compute.float32: {Data.float32, Data.float16, Data.bfloat16},
    Compute.tf32: {Data.float32},
    Compute.float64: {Data.float64},
}
SUMS_IN_PARTS = 64  # a sum of more terms needs a workspace here


class Misuse(AssertionError):
    """What the real library would not notice."""


def refuse(status: int) -> StatusError:
    return StatusError(status, NAMES[status])


def need(condition: Any, words: str) -> None:
    if not condition:
        raise Misuse(words)


def dtype_of(data: int) -> np.dtype[Any]:
    if data == Data.bfloat16:
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(Data(data).name)


@dataclass
class Thing:
    """A descriptor: its attributes, with the C type of each."""

    kind: str
    types: dict[Any, Any]
    values: dict[int, int] = field(default_factory=dict)

    def __getitem__(self, attribute: int) -> int:
        return self.values[int(attribute)]

    def cell(self, attribute: int, size: int) -> Any:
        found = {int(name): type for name, type in self.types.items()}.get(attribute)
        if found is None or ctypes.sizeof(found) != size:
            raise refuse(INVALID_VALUE)
        return found

    def set(self, attribute: int, address: int, size: int) -> None:
        self.values[attribute] = self.cell(attribute, size).from_address(address).value

    def get(self, attribute: int, address: int, size: int, written: int) -> None:
        self.cell(attribute, size).from_address(address).value = self.values[attribute]
        ctypes.c_size_t.from_address(written).value = size


@dataclass
class Hooks:
    """What the reference asks of whoever emulates the device."""

    capturing: Callable[[], bool] = lambda: False
    enqueue: Callable[[int, Callable[[], None]], None] = lambda stream, work: work()
    check: Callable[[int, int, str], None] = lambda address, size, what: None  # is all of it allocated?


class Reference:
    """The functions of nvmath.bindings.cublasLt that plans call, on NumPy."""

    def __init__(self, hooks: Hooks | None = None) -> None:
        self.hooks = hooks or Hooks()
        self.numbers = itertools.count(0x1000, 0x10)
        self.things: dict[int, Thing] = {}
        self.handles: set[int] = set()
        self.algorithms: dict[int, tuple[Any, dict[str, int], int]] = {}
        self.products = self.questions = 0
        self.unsupported: set[int] = set()  # epilogues to refuse, for tests
        self.plain_only = False  # refuse what is transposed, has gaps or is not aligned, for tests
        self.workspace_always = False

    def get_version(self) -> int:
        return 131000

    def get_status_name(self, status: int) -> str:
        return NAMES[status]

    def create(self) -> int:
        self.handles.add(number := next(self.numbers))
        return number

    def destroy(self, handle: int) -> None:
        self.handles.remove(handle)

    # -- descriptors ----------------------------------------------------------------------------------------------

    def new(self, kind: str, types: dict[Any, Any], **values: int) -> int:
        thing = Thing(kind, types)
        thing.values = {int(name): values.get(name.name, 0) for name in types}
        self.things[number := next(self.numbers)] = thing
        return number

    def known(self, number: int, kind: str) -> Thing:
        need(number in self.things, f"{number:#x} is no {kind}: it was destroyed, or never made")
        need(self.things[number].kind == kind, f"{number:#x} is a {self.things[number].kind}, not a {kind}")
        return self.things[number]

    def release(self, number: int, kind: str) -> None:
        self.known(number, kind)
        del self.things[number]

    def matmul_desc_create(self, compute: int, scale: int) -> int:
        if compute not in SCALE_OF or SCALE_OF[Compute(compute)] != scale:
            raise refuse(NOT_SUPPORTED)
        unset = dict(EPILOGUE_AUX_DATA_TYPE=-1, BIAS_DATA_TYPE=-1, EPILOGUE=1)
        return self.new("desc", cublaslt.TYPES, COMPUTE_TYPE=compute, SCALE_TYPE=scale, **unset)

    def matmul_desc_destroy(self, desc: int) -> None:
        self.release(desc, "desc")

    def matmul_desc_set_attribute(self, desc: int, attribute: int, address: int, size: int) -> None:
        self.known(desc, "desc").set(attribute, address, size)

    def matmul_desc_get_attribute(self, desc: int, attribute: int, address: int, size: int, written: int) -> None:
        self.known(desc, "desc").get(attribute, address, size, written)

    def matrix_layout_create(self, type: int, rows: int, columns: int, ld: int) -> int:
        need(rows > 0 and columns > 0, f"an empty matrix, {rows} by {columns}")
        return self.new("layout", cublaslt.LAYOUT_TYPES, TYPE=type, ROWS=rows, COLS=columns, LD=ld, BATCH_COUNT=1)

    def matrix_layout_destroy(self, layout: int) -> None:
        self.release(layout, "layout")

    def matrix_layout_set_attribute(self, layout: int, attribute: int, address: int, size: int) -> None:
        self.known(layout, "layout").set(attribute, address, size)

    def matrix_layout_get_attribute(self, layout: int, attribute: int, address: int, size: int, written: int) -> None:
        self.known(layout, "layout").get(attribute, address, size, written)

    def matmul_preference_create(self) -> int:
        whole = {f"MIN_ALIGNMENT_{name}_BYTES": 256 for name in "ABCD"}
        return self.new("preference", cublaslt.PREFERENCE_TYPES, REDUCTION_SCHEME_MASK=7, **whole)

    def matmul_preference_destroy(self, preference: int) -> None:
        self.release(preference, "preference")

    def matmul_preference_set_attribute(self, preference: int, attribute: int, address: int, size: int) -> None:
        self.known(preference, "preference").set(attribute, address, size)

    def matmul_preference_get_attribute(self, p: int, attribute: int, address: int, size: int, written: int) -> None:
        self.known(p, "preference").get(attribute, address, size, written)

    # -- algorithms -----------------------------------------------------------------------------------------------

    def problem(self, desc: int, a: int, b: int, c: int, d: int) -> Any:
        """All that an algorithm is chosen for, checked; addresses are no part of it."""
        descriptor = self.known(desc, "desc")
        layouts = [self.known(layout, "layout") for layout in (a, b, c, d)]
        compute = Compute(descriptor[Desc.COMPUTE_TYPE])
        data = {layout[Layout.TYPE] for layout in layouts}
        if len(data) > 1 or not data <= OPERANDS_OF[compute] or descriptor[Desc.SCALE_TYPE] != SCALE_OF[compute]:
            raise refuse(NOT_SUPPORTED)
        need(descriptor[Desc.POINTER_MODE] == 0, "alpha and beta are read from the host")
        need({descriptor[Desc.TRANSA], descriptor[Desc.TRANSB]} <= {0, 1}, "transposes are 0 or 1")
        batch = layouts[0][Layout.BATCH_COUNT]
        for layout in layouts:
            need(layout[Layout.ORDER] == 0, "all matrices are column-major")
            if layout[Layout.LD] < layout[Layout.ROWS] or layout[Layout.BATCH_COUNT] != batch or batch < 1:
                raise refuse(INVALID_VALUE)
        if batch > 1:
            matrix = layouts[3][Layout.LD] * (layouts[3][Layout.COLS] - 1) + layouts[3][Layout.ROWS]
            need(layouts[3][Layout.STRIDED_BATCH_OFFSET] >= matrix, "results of a batch overlap")
        if descriptor[Desc.TRANSA]:
            k, rows = layouts[0][Layout.ROWS], layouts[0][Layout.COLS]
        else:
            rows, k = layouts[0][Layout.ROWS], layouts[0][Layout.COLS]
        if descriptor[Desc.TRANSB]:
            columns, other = layouts[1][Layout.ROWS], layouts[1][Layout.COLS]
        else:
            other, columns = layouts[1][Layout.ROWS], layouts[1][Layout.COLS]
        for layout in layouts[2:]:
            if (layout[Layout.ROWS], layout[Layout.COLS], k) != (rows, columns, other):
                raise refuse(INVALID_VALUE)
        self.check_epilogue(descriptor, rows, batch, layouts[3][Layout.TYPE])
        pointers = (Desc.BIAS_POINTER, Desc.EPILOGUE_AUX_POINTER)
        kept = tuple(value for name, value in descriptor.values.items() if name not in pointers)
        return kept, *(tuple(layout.values.values()) for layout in layouts), k

    def check_epilogue(self, descriptor: Thing, rows: int, batch: int, data: int) -> None:
        epilogue, ld = descriptor[Desc.EPILOGUE], descriptor[Desc.EPILOGUE_AUX_LD]
        if epilogue == 1:
            return
        if epilogue not in cublaslt.EPILOGUES.values():
            raise refuse(INVALID_VALUE)
        if data == Data.float64 or epilogue in self.unsupported:
            raise refuse(NOT_SUPPORTED)
        if epilogue & AUX:
            if ld < rows or ld % (128 if epilogue & (RELU | DRELU) else 8):
                raise refuse(INVALID_VALUE)
            need(descriptor[Desc.EPILOGUE_AUX_POINTER], "no address for aux, whose alignment matters")
            need(descriptor[Desc.EPILOGUE_AUX_DATA_TYPE] in (-1, data), "aux has the type of d")
            need(batch == 1, "aux of a batch needs a stride")
        if epilogue & (BIAS | BGRAD | BGRADA | BGRADB):
            need(descriptor[Desc.BIAS_POINTER], "no address for bias, whose alignment matters")
            need(descriptor[Desc.BIAS_DATA_TYPE] in (-1, data), "bias has the type of d")
        need(batch == 1 or not epilogue & (BGRAD | BGRADA | BGRADB), "bias gradients of a batch")

    def matmul_algo_get_heuristic(
        self, handle: int, desc: int, a: int, b: int, c: int, d: int,
        preference: int, requested: int, results: int, returned: int,
    ) -> None:  # fmt: skip
        need(handle in self.handles, "no such handle")
        need(not self.hooks.capturing(), "an algorithm is asked for while a stream captures")
        self.questions += 1
        problem = self.problem(desc, a, b, c, d)
        wanted = self.known(preference, "preference")
        if self.plain_only:
            self.need_plain(self.known(desc, "desc"), [self.known(x, "layout") for x in (a, b, d)], wanted)
        aligned = {name: wanted[Preference[f"MIN_ALIGNMENT_{name}_BYTES"]] for name in "ABCD"}
        for name in "ABCD":
            power = aligned[name]
            need(power & -power == power >= dtype_of(problem[4][0]).itemsize, f"alignment {power} of {name}")
        for name in (Desc.BIAS_POINTER, Desc.EPILOGUE_AUX_POINTER):  # what they are now tells how they will be aligned
            address = self.known(desc, "desc")[name]
            aligned[name.name] = address & -address
        halves = dtype_of(problem[4][0]).itemsize == 2
        need(not halves or wanted[Preference.REDUCTION_SCHEME_MASK] in (0, 2), "sums of halves are rounded in parts")
        space = 4096 if problem[-1] > SUMS_IN_PARTS or self.workspace_always else 0
        if space > wanted[Preference.MAX_WORKSPACE_BYTES]:
            space = 0
        answers = (Heuristic * requested).from_address(results)
        # The first answer is one that does not work, as cuBLASLt may give.
        answers[0].state, answers[0].algo[0] = NOT_SUPPORTED, 0xBAD
        count = 1
        if requested > 1:
            number = next(self.numbers)
            self.algorithms[number] = problem, aligned, space
            answers[1].state, answers[1].algo[0], answers[1].workspace = 0, number, space
            count = 2
        ctypes.c_int.from_address(returned).value = count

    def need_plain(self, desc: Thing, layouts: list[Thing], wanted: Thing) -> None:
        """Refuse to support anything else."""
        gaps = any(layout[Layout.LD] != layout[Layout.ROWS] for layout in layouts)
        stretched = any(
            layout[Layout.BATCH_COUNT] > 1
            and layout[Layout.STRIDED_BATCH_OFFSET] != layout[Layout.ROWS] * layout[Layout.COLS]
            for layout in layouts
        )
        if desc[Desc.TRANSA] or desc[Desc.TRANSB] or gaps or stretched or wanted[Preference.MIN_ALIGNMENT_A_BYTES] < 16:
            raise refuse(NOT_SUPPORTED)

    # -- products -------------------------------------------------------------------------------------------------

    def view(self, address: int, layout: Thing, name: str) -> np.ndarray[Any, Any]:
        """A matrix, or a batch of them, as (batch, rows, columns)."""
        dtype = dtype_of(layout[Layout.TYPE])
        rows, columns, ld = layout[Layout.ROWS], layout[Layout.COLS], layout[Layout.LD]
        batch, stride = layout[Layout.BATCH_COUNT], layout[Layout.STRIDED_BATCH_OFFSET]
        need(batch == 1 or stride >= 0, f"{name} runs backwards")
        size = (((batch - 1) * stride if batch > 1 else 0) + (columns - 1) * ld + rows) * dtype.itemsize
        steps = (stride * dtype.itemsize, dtype.itemsize, ld * dtype.itemsize)
        memory = self.memory(address, size, name).view(dtype)
        return np.lib.stride_tricks.as_strided(memory, (batch, rows, columns), steps)

    def memory(self, address: int, size: int, name: str) -> np.ndarray[Any, Any]:
        need(address, f"{name} has no address")
        self.hooks.check(address, size, name)
        return np.frombuffer((ctypes.c_uint8 * size).from_address(address), np.uint8)

    def matmul(
        self, handle: int, desc: int, alpha: int, a: int, layout_a: int, b: int, layout_b: int, beta: int, c: int,
        layout_c: int, d: int, layout_d: int, algorithm: int, workspace: int, workspace_size: int, stream: int,
    ) -> None:  # fmt: skip
        need(handle in self.handles, "no such handle")
        problem, descriptor = self.problem(desc, layout_a, layout_b, layout_c, layout_d), self.known(desc, "desc")
        number = ctypes.c_uint64.from_address(algorithm).value
        need(number in self.algorithms, f"no such algorithm: {number:#x}")
        chosen_for, aligned, space = self.algorithms[number]
        need(chosen_for == problem, "the algorithm was chosen for another product")
        for name, address in zip("ABCD", (a, b, c, d)):
            need(address and address % aligned[name] == 0, f"{name} at {address:#x} is not aligned to {aligned[name]}")
        for name, bit in ((Desc.BIAS_POINTER, BIAS | BGRAD | BGRADA | BGRADB), (Desc.EPILOGUE_AUX_POINTER, AUX)):
            if descriptor[Desc.EPILOGUE] & bit and descriptor[Desc.EPILOGUE] != 1:
                address, promised = descriptor[name], aligned[name.name]
                need(address, f"{name.name} is no address")
                need(address % promised == 0, f"{name.name} {address:#x} is not aligned to {promised}")
        need(workspace_size >= space, f"{workspace_size} bytes of workspace, {space} needed")
        need(workspace or not space, "no workspace")
        need(workspace % 16 == 0, "the workspace is not aligned")
        scalar = ctypes.c_double if descriptor[Desc.SCALE_TYPE] == Data.float64 else ctypes.c_float
        scalars = scalar.from_address(alpha).value, scalar.from_address(beta).value
        if scalars[1]:
            need(c == d and layout_c == layout_d, "c is d")
        # Captured as it is now: layouts and descriptors may be gone, or say otherwise, when a graph runs.
        frozen = Thing("desc", descriptor.types, dict(descriptor.values))
        layouts = [self.known(layout, "layout") for layout in (layout_a, layout_b, layout_d)]
        addresses = (a, b, d, workspace, space)
        self.hooks.enqueue(stream, lambda: self.compute(frozen, layouts, addresses, scalars))

    def compute(
        self, desc: Thing, layouts: list[Thing], addresses: tuple[int, ...], scalars: tuple[float, float]
    ) -> None:
        self.products += 1
        at_a, at_b, at_d, workspace, space = addresses
        a, b, d = (self.view(at, layout, name) for at, layout, name in zip(addresses, layouts, "ABD"))
        for name, operand in (("A", a), ("B", b)):
            need(not overlap(operand, d), f"{name} overlaps D")
        if space:
            self.memory(workspace, space, "workspace")[:] = 0xFF  # NaN, should anything that is needed be there
        epilogue = desc[Desc.EPILOGUE]
        real = np.float64 if desc[Desc.SCALE_TYPE] == Data.float64 else np.float32
        left = (a.swapaxes(1, 2) if desc[Desc.TRANSA] else a).astype(real)
        right = (b.swapaxes(1, 2) if desc[Desc.TRANSB] else b).astype(real)
        if desc[Desc.COMPUTE_TYPE] == Compute.tf32:
            left, right = to_tf32(left), to_tf32(right)
        alpha, beta = (real(scalar) for scalar in scalars)
        with np.errstate(all="ignore"):
            x = alpha * np.matmul(left, right)
            if beta:
                x = x + beta * d.astype(real)
            x = self.finish(x, desc, epilogue, d, left, right)
            d[...] = x.astype(d.dtype)

    def finish(self, x: Any, desc: Thing, epilogue: int, d: Any, left: Any, right: Any) -> Any:
        """What the epilogue does to x and to memory besides d."""
        batch, rows, columns = x.shape
        if epilogue & (BIAS | BGRAD | BGRADA | BGRADB):
            length = columns if epilogue & BGRADB else rows
            at, item = desc[Desc.BIAS_POINTER], d.dtype.itemsize
            bias = self.memory(at, length * item, "bias").view(d.dtype)
            need(not overlap(bias, d), "bias overlaps D")
        if epilogue & AUX:
            at, ld = desc[Desc.EPILOGUE_AUX_POINTER], desc[Desc.EPILOGUE_AUX_LD]
            if epilogue & (RELU | DRELU):
                aux = self.memory(at, columns * ld // 8, "aux").reshape(columns, ld // 8)
            else:
                aux = self.memory(at, columns * ld * d.dtype.itemsize, "aux").view(d.dtype).reshape(columns, ld)
            need(not overlap(aux, d), "aux overlaps D")
        if epilogue & BIAS:
            x = x + bias.astype(x.dtype)[:, None]
        if epilogue & RELU:
            if epilogue & AUX:
                bits = np.packbits(x[0].T > 0, axis=1, bitorder="little")
                aux[:, : bits.shape[1]] = bits
            x = np.maximum(x, 0)
        elif epilogue & GELU:
            if epilogue & AUX:
                aux[:, :rows] = x[0].T.astype(aux.dtype)
            x = gelu(x)
        elif epilogue & DRELU:
            x = x * np.unpackbits(aux, axis=1, count=rows, bitorder="little").T
        elif epilogue & DGELU:
            x = x * gelu_slope(aux[:, :rows].T.astype(x.dtype))
        if epilogue & BGRAD:
            bias[:] = x[0].sum(1).astype(bias.dtype)
        elif epilogue & BGRADA:
            bias[:] = left[0].sum(1).astype(bias.dtype)
        elif epilogue & BGRADB:
            bias[:] = right[0].sum(0).astype(bias.dtype)
        return x


def overlap(one: Any, other: Any) -> bool:
    try:
        return bool(np.shares_memory(one, other, max_work=100_000))
    except np.exceptions.TooHardError:
        return True


def to_tf32(x: Any) -> Any:
    """Rounded to 10 bits of mantissa, ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = ((bits + 0xFFF + ((bits >> 13) & 1)) & np.uint32(0xFFFFE000)).view(np.float32)
    return np.where(np.isfinite(x), rounded, x)


def gelu(x: Any) -> Any:
    """The tanh approximation, which is cuBLASLt's."""
    return x * (1 + np.tanh(INNER * (x + CUBE * x**3))) / 2


def gelu_slope(x: Any) -> Any:
    t = np.tanh(INNER * (x + CUBE * x**3))
    return (1 + t) / 2 + x * (1 - t * t) / 2 * INNER * (1 + 3 * CUBE * x**2)


INNER, CUBE = np.float32(np.sqrt(2 / np.pi)), np.float32(0.044715)


def emulated() -> Hooks:
    """The emulator's streams and memory."""
    from . import guarded, machine

    def check(address: int, size: int, what: str) -> None:
        need(guarded.is_live(address, size), f"{what}: {size} bytes at {address:#x}: {guarded.explain(address)}")

    return Hooks(
        capturing=lambda: bool(machine.local.capturing),
        enqueue=lambda stream, work: machine.perform(work, machine.stream_of(stream)),
        check=check,
    )


def install() -> Reference:
    """Let all plans that are made from now on go through a new Reference, on the emulator's memory."""
    kernels.forget()
    reference = cublaslt.found = Reference(emulated())
    return reference
