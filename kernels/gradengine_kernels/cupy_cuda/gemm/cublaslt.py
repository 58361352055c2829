"""cuBLASLt, NVIDIA's library of matrix products: the functions, types and attributes that plans use.

`lib()` is nvmath's binding where nvmath is installed, else the same functions, under the same names and with the same
arguments, through ctypes. Every argument is a number: pointers are addresses.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
from ctypes import c_float, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from enum import IntEnum
from typing import Any

from ..driver import CudaError

NOT_SUPPORTED, INVALID_VALUE = 15, 7  # what cuBLASLt answers to a product for which it has no kernel
VERSIONS = (13, 12)  # majors of CUDA whose cuBLASLt has all that is used here


class Data(IntEnum):
    """cudaDataType, by NumPy's names."""

    float32 = 0
    float64 = 1
    float16 = 2
    bfloat16 = 14


class Compute(IntEnum):
    """cublasComputeType_t: what is multiplied and summed in what."""

    float32 = 68
    float64 = 70
    tf32 = 77


class Desc(IntEnum):
    """cublasLtMatmulDescAttributes_t."""

    COMPUTE_TYPE = 0
    SCALE_TYPE = 1
    POINTER_MODE = 2
    TRANSA = 3
    TRANSB = 4
    EPILOGUE = 7
    BIAS_POINTER = 8
    BIAS_BATCH_STRIDE = 10
    EPILOGUE_AUX_POINTER = 11
    EPILOGUE_AUX_LD = 12
    EPILOGUE_AUX_BATCH_STRIDE = 13
    EPILOGUE_AUX_DATA_TYPE = 22
    BIAS_DATA_TYPE = 26


class Layout(IntEnum):
    """cublasLtMatrixLayoutAttribute_t."""

    TYPE = 0
    ORDER = 1
    ROWS = 2
    COLS = 3
    LD = 4
    BATCH_COUNT = 5
    STRIDED_BATCH_OFFSET = 6


class Preference(IntEnum):
    """cublasLtMatmulPreferenceAttributes_t."""

    SEARCH_MODE = 0
    MAX_WORKSPACE_BYTES = 1
    REDUCTION_SCHEME_MASK = 3
    MIN_ALIGNMENT_A_BYTES = 5
    MIN_ALIGNMENT_B_BYTES = 6
    MIN_ALIGNMENT_C_BYTES = 7
    MIN_ALIGNMENT_D_BYTES = 8


REDUCE_IN_COMPUTE_TYPE = 2  # CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE: parts of a sum are kept as they were computed

# Epilogues under cuBLASLt's names; an epilogue's number says by its bits what it reads and writes.
EPILOGUES = {
    "": 1,
    "relu": 2,
    "bias": 4,
    "relu_bias": 6,
    "relu_aux": 130,
    "relu_aux_bias": 134,
    "drelu": 136,
    "drelu_bgrad": 152,
    "gelu": 32,
    "gelu_bias": 36,
    "gelu_aux": 160,
    "gelu_aux_bias": 164,
    "dgelu": 192,
    "dgelu_bgrad": 208,
    "bgrad_a": 256,
    "bgrad_b": 512,
}
HAS_AUX = 128
HAS_BIAS = 4 | 16 | 256 | 512
READS_BIAS = 4
OF_RELU, OF_GELU = 2 | 8, 32 | 64

# The C type of each attribute: cuBLASLt refuses a value of another size.
TYPES: dict[IntEnum, Any] = {
    Desc.COMPUTE_TYPE: c_int32,
    Desc.SCALE_TYPE: c_int32,
    Desc.POINTER_MODE: c_int32,
    Desc.TRANSA: c_int32,
    Desc.TRANSB: c_int32,
    Desc.EPILOGUE: c_uint32,
    Desc.BIAS_POINTER: c_uint64,
    Desc.BIAS_BATCH_STRIDE: c_int64,
    Desc.EPILOGUE_AUX_POINTER: c_uint64,
    Desc.EPILOGUE_AUX_LD: c_int64,
    Desc.EPILOGUE_AUX_BATCH_STRIDE: c_int64,
    Desc.EPILOGUE_AUX_DATA_TYPE: c_int32,
    Desc.BIAS_DATA_TYPE: c_int32,
}
LAYOUT_TYPES: dict[IntEnum, Any] = {
    Layout.TYPE: c_uint32,
    Layout.ORDER: c_int32,
    Layout.ROWS: c_uint64,
    Layout.COLS: c_uint64,
    Layout.LD: c_int64,
    Layout.BATCH_COUNT: c_int32,
    Layout.STRIDED_BATCH_OFFSET: c_int64,
}
PREFERENCE_TYPES: dict[IntEnum, Any] = {
    Preference.SEARCH_MODE: c_uint32,
    Preference.MAX_WORKSPACE_BYTES: c_uint64,
    Preference.REDUCTION_SCHEME_MASK: c_uint32,
    Preference.MIN_ALIGNMENT_A_BYTES: c_uint32,
    Preference.MIN_ALIGNMENT_B_BYTES: c_uint32,
    Preference.MIN_ALIGNMENT_C_BYTES: c_uint32,
    Preference.MIN_ALIGNMENT_D_BYTES: c_uint32,
}


class Heuristic(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t: a way to compute a product. It begins with the algorithm itself."""

    _fields_ = [
        ("algo", c_uint64 * 8),
        ("workspace", c_size_t),
        ("state", c_int),
        ("waves", c_float),
        ("reserved", c_int * 4),
    ]


# -- the library ----------------------------------------------------------------------------------------------------


class StatusError(Exception):
    """A status other than success, as nvmath raises it: the number is `status`."""

    def __init__(self, status: int, name: str) -> None:
        super().__init__(name)
        self.status = status


class Library:
    """cuBLASLt through ctypes, with the names and arguments of nvmath.bindings.cublasLt.

    Only `matmul`, which every product goes through, returns its status instead of raising it, and takes addresses that
    never change as `fixed(address)` too: ctypes converts a number at every call, at half the cost of the call.
    """

    fixed = c_void_p

    def __init__(self, path: str) -> None:
        self.path = path
        self.dll = dll = ctypes.CDLL(path)
        p, n, u, size = c_void_p, c_int, c_uint64, c_size_t
        signatures = {
            "Create": (p,),
            "Destroy": (p,),
            "Matmul": (p, p, p, p, p, p, p, p, p, p, p, p, p, p, size, p),
            "MatmulAlgoGetHeuristic": (p, p, p, p, p, p, p, n, p, p),
            "MatmulDescCreate": (p, n, n),
            "MatmulDescDestroy": (p,),
            "MatmulDescGetAttribute": (p, n, p, size, p),
            "MatmulDescSetAttribute": (p, n, p, size),
            "MatmulPreferenceCreate": (p,),
            "MatmulPreferenceDestroy": (p,),
            "MatmulPreferenceGetAttribute": (p, n, p, size, p),
            "MatmulPreferenceSetAttribute": (p, n, p, size),
            "MatrixLayoutCreate": (p, n, u, u, c_int64),
            "MatrixLayoutDestroy": (p,),
            "MatrixLayoutGetAttribute": (p, n, p, size, p),
            "MatrixLayoutSetAttribute": (p, n, p, size),
        }
        self.functions: dict[str, Any] = {}
        for name, types in signatures.items():
            function = self.functions[name] = getattr(dll, f"cublasLt{name}")
            function.argtypes, function.restype = types, c_int
        dll.cublasLtGetVersion.restype = c_size_t
        dll.cublasLtGetStatusName.argtypes, dll.cublasLtGetStatusName.restype = (c_int,), ctypes.c_char_p
        self.matmul = self.functions["Matmul"]

    def call(self, name: str, *arguments: int) -> None:
        status = self.functions[name](*arguments)
        if status:
            raise StatusError(status, self.get_status_name(status))

    def new(self, name: str, *arguments: int) -> int:
        """What a function makes and stores where its first argument points to."""
        made = c_void_p()
        self.call(name, ctypes.addressof(made), *arguments)
        return made.value or 0

    def get_version(self) -> int:
        return int(self.dll.cublasLtGetVersion())

    def get_status_name(self, status: int) -> str:
        return str(self.dll.cublasLtGetStatusName(status).decode())

    def create(self) -> int:
        return self.new("Create")

    def destroy(self, handle: int) -> None:
        self.call("Destroy", handle)

    def matmul_desc_create(self, compute: int, scale: int) -> int:
        return self.new("MatmulDescCreate", compute, scale)

    def matmul_desc_destroy(self, desc: int) -> None:
        self.call("MatmulDescDestroy", desc)

    def matmul_desc_set_attribute(self, desc: int, attribute: int, address: int, size: int) -> None:
        self.call("MatmulDescSetAttribute", desc, attribute, address, size)

    def matmul_desc_get_attribute(self, desc: int, attribute: int, address: int, size: int, written: int) -> None:
        self.call("MatmulDescGetAttribute", desc, attribute, address, size, written)

    def matmul_preference_create(self) -> int:
        return self.new("MatmulPreferenceCreate")

    def matmul_preference_destroy(self, preference: int) -> None:
        self.call("MatmulPreferenceDestroy", preference)

    def matmul_preference_set_attribute(self, preference: int, attribute: int, address: int, size: int) -> None:
        self.call("MatmulPreferenceSetAttribute", preference, attribute, address, size)

    def matmul_preference_get_attribute(
        self, preference: int, attribute: int, address: int, size: int, written: int
    ) -> None:
        self.call("MatmulPreferenceGetAttribute", preference, attribute, address, size, written)

    def matrix_layout_create(self, type: int, rows: int, columns: int, ld: int) -> int:
        return self.new("MatrixLayoutCreate", type, rows, columns, ld)

    def matrix_layout_destroy(self, layout: int) -> None:
        self.call("MatrixLayoutDestroy", layout)

    def matrix_layout_set_attribute(self, layout: int, attribute: int, address: int, size: int) -> None:
        self.call("MatrixLayoutSetAttribute", layout, attribute, address, size)

    def matrix_layout_get_attribute(self, layout: int, attribute: int, address: int, size: int, written: int) -> None:
        self.call("MatrixLayoutGetAttribute", layout, attribute, address, size, written)

    def matmul_algo_get_heuristic(
        self,
        handle: int,
        desc: int,
        a: int,
        b: int,
        c: int,
        d: int,
        preference: int,
        requested: int,
        results: int,
        returned: int,
    ) -> None:
        self.call("MatmulAlgoGetHeuristic", handle, desc, a, b, c, d, preference, requested, results, returned)


found: Any = None  # what lib() has found


def lib() -> Any:
    """cuBLASLt: nvmath's binding if there is one, else our own. Raises CudaError where there is no cuBLASLt."""
    global found
    if found is None:
        found = through_nvmath() or Library(path())
    return found


def through_nvmath() -> Any:
    """nvmath's binding, if nvmath is installed and finds the library and the driver that it wants."""
    try:
        binding = importlib.import_module("nvmath.bindings.cublasLt")
        binding.get_version()
    except Exception:  # whatever keeps nvmath from working, ctypes may still work
        return None
    return binding


def path() -> str:
    """Where cuBLASLt is, or the name under which it is loaded already."""
    try:
        pathfinder = importlib.import_module("cuda.pathfinder")
        return str(pathfinder.load_nvidia_dynamic_lib("cublasLt").abs_path)
    except Exception as error:  # no pathfinder, an old one, or no library where it looks
        reason = str(error) or type(error).__name__
    try:
        importlib.import_module("cupy_backends.cuda.libs.cublas")  # CuPy finds cuBLAS, which loads cuBLASLt
    except Exception as error:
        reason = f"{reason}; CuPy: {error}"
    names = [f"cublasLt64_{v}.dll" if sys.platform == "win32" else f"libcublasLt.so.{v}" for v in VERSIONS]
    for name in names:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return name
    reason = " ".join(reason.split())
    raise CudaError(
        f"cuBLASLt, which computes matrix products on the GPU, is not installed: none of {', '.join(names)} could be "
        f"loaded ({reason}). Install it with: {sys.executable} -m pip install nvidia-cublas cuda-pathfinder"
    )


# -- attributes and errors ------------------------------------------------------------------------------------------


def set_desc(desc: int, attribute: Desc, value: int) -> None:
    """Set what a product is to be like."""
    cell = TYPES[attribute](value)
    lib().matmul_desc_set_attribute(desc, int(attribute), ctypes.addressof(cell), ctypes.sizeof(cell))


def set_layout(layout: int, attribute: Layout, value: int) -> None:
    """Set how a matrix lies in memory."""
    cell = LAYOUT_TYPES[attribute](value)
    lib().matrix_layout_set_attribute(layout, int(attribute), ctypes.addressof(cell), ctypes.sizeof(cell))


def set_preference(preference: int, attribute: Preference, value: int) -> None:
    """Set what an algorithm must be content with."""
    cell = PREFERENCE_TYPES[attribute](value)
    lib().matmul_preference_set_attribute(preference, int(attribute), ctypes.addressof(cell), ctypes.sizeof(cell))


def status_of(error: BaseException) -> int | None:
    """The status that an error of either binding is about."""
    status = getattr(error, "status", None)
    return None if status is None else int(status)


def failure(reason: BaseException | int, what: str) -> CudaError:
    """The error to raise when cuBLASLt has refused `what`, with the status or error that it gave."""
    status = reason if isinstance(reason, int) else status_of(reason)
    words = str(reason) if status is None else lib().get_status_name(status)
    return CudaError(f"cuBLASLt: {words}: {what}. CUBLASLT_LOG_LEVEL=5 in the environment makes it say more")
