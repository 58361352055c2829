"""The real cuBLASLt, as far as it goes without a driver: descriptors are built by it, read back, and compared.

The reference that all other tests of products run on holds the same attributes, value by value. Skips where the
library is not installed (pip install nvidia-cublas cuda-pathfinder; nvmath-python for the second binding).
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gradengine_kernels.cupy_cuda.driver import CudaError
from gradengine_kernels.cupy_cuda.gemm import cublaslt
from gradengine_kernels.cupy_cuda.gemm.cublaslt import Compute, Data, Desc, Layout, Preference
from gradengine_kernels.cupy_cuda.gemm.plans import Chosen
from gradengine_kernels.cupy_cuda.gemm.product import Product
from tests.cuda import reference_products

PRODUCTS = [
    Product("float32", 3, 5, 7, compute="float32"),
    Product("float32", 3, 5, 7, ta=True, tb=True, lda=4, ldb=9, ldd=6, compute="tf32"),
    Product("float64", 8, 1, 2, batch=6, stride_a=0, compute="float64"),
    Product("float16", 2, 3, 4, batch=2, tb=True, stride_b=24, epilogue="bias", compute="float32"),
    Product("bfloat16", 16, 130, 8, ta=True, epilogue="relu_aux_bias", compute="float32", align=2),
    *(Product("float32", 4, 9, 6, epilogue=name, compute="float32") for name in cublaslt.EPILOGUES),
]


@functools.cache
def real_library() -> Any:
    """cuBLASLt through ctypes, or the reason why not."""
    try:
        return cublaslt.Library(cublaslt.path())
    except (CudaError, OSError) as error:
        return str(error)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    found = real_library()
    if isinstance(found, str):
        pytest.skip(f"no cuBLASLt: {found}")
    monkeypatch.setattr(cublaslt, "found", found)
    return found


def attributes(get: Any, thing: int, types: dict[Any, Any]) -> dict[str, int]:
    """Everything that a descriptor holds."""
    values = {}
    for name, kind in types.items():
        cell, written = kind(), ctypes.c_size_t()
        get(thing, int(name), ctypes.addressof(cell), ctypes.sizeof(cell), ctypes.addressof(written))
        assert written.value == ctypes.sizeof(cell), name
        values[name.name] = cell.value
    return values


def built(product: Product) -> dict[str, dict[str, int]]:
    """What the library that is in use holds of a product's descriptors."""
    lib = cublaslt.lib()
    chosen = Chosen(product, cublaslt.EPILOGUES[product.epilogue], 0)
    found = {"desc": attributes(lib.matmul_desc_get_attribute, chosen.desc, cublaslt.TYPES)}
    for name, layout in zip("bad", chosen.layouts):
        found[name] = attributes(lib.matrix_layout_get_attribute, layout, cublaslt.LAYOUT_TYPES)
    return found


@pytest.mark.parametrize("product", PRODUCTS, ids=str)
def test_the_library_holds_what_the_reference_holds(product, library, monkeypatch):
    real = built(product)
    reference = reference_products.Reference()
    monkeypatch.setattr(cublaslt, "found", reference)
    assert real == built(product)
    assert not reference.things, "descriptors are destroyed with their owner"


def test_preferences_are_read_back(library):
    preference = library.matmul_preference_create()
    before = attributes(library.matmul_preference_get_attribute, preference, cublaslt.PREFERENCE_TYPES)
    assert [before[f"MIN_ALIGNMENT_{name}_BYTES"] for name in "ABCD"] == [256] * 4
    wanted = {name.name: 2 for name in Preference} | {"MAX_WORKSPACE_BYTES": 32 << 20, "SEARCH_MODE": 0}
    for name in Preference:
        cublaslt.set_preference(preference, name, wanted[name.name])
    assert attributes(library.matmul_preference_get_attribute, preference, cublaslt.PREFERENCE_TYPES) == wanted
    library.matmul_preference_destroy(preference)


def test_the_library_refuses_a_value_of_another_size(library):
    desc = library.matmul_desc_create(int(Compute.float32), int(Data.float32))
    cell = ctypes.c_int32(1)
    with pytest.raises(cublaslt.StatusError, match="CUBLAS_STATUS_INVALID_VALUE") as caught:
        library.matmul_desc_set_attribute(desc, int(Desc.EPILOGUE_AUX_LD), ctypes.addressof(cell), 4)
    assert caught.value.status == cublaslt.INVALID_VALUE
    library.matmul_desc_destroy(desc)


def test_the_library_says_what_went_wrong(library):
    assert library.get_version() >= 120000
    assert library.get_status_name(cublaslt.NOT_SUPPORTED) == "CUBLAS_STATUS_NOT_SUPPORTED"
    error = cublaslt.failure(cublaslt.NOT_SUPPORTED, "float16 product (2, 3) @ (3, 4)")
    assert isinstance(error, CudaError)
    assert "CUBLAS_STATUS_NOT_SUPPORTED: float16 product (2, 3) @ (3, 4)" in str(error)


def test_without_a_driver_the_handle_is_refused_with_a_status(library, monkeypatch):
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        pass
    else:
        pytest.skip("there is a driver")
    with pytest.raises(cublaslt.StatusError, match="CUBLAS_STATUS_NOT_INITIALIZED"):
        library.create()


def test_where_there_is_no_library_the_error_says_what_to_install(monkeypatch):
    def nothing(*names: str) -> Any:
        raise OSError("no such file")

    monkeypatch.setattr(cublaslt, "found", None)
    monkeypatch.setattr(cublaslt.importlib, "import_module", nothing)
    monkeypatch.setattr(cublaslt.ctypes, "CDLL", nothing)
    with pytest.raises(CudaError, match=r"cuBLASLt.* is not installed.*pip install nvidia-cublas"):
        cublaslt.lib()


def test_without_pathfinder_the_library_that_cupy_has_loaded_is_taken(monkeypatch):
    asked = []

    def import_module(name: str) -> Any:
        asked.append(name)
        if name == "cuda.pathfinder":
            raise ImportError(name)

    def load(name: str) -> None:
        if "13" in name:
            raise OSError("no such file")

    monkeypatch.setattr(cublaslt.importlib, "import_module", import_module)
    monkeypatch.setattr(cublaslt.ctypes, "CDLL", load)
    assert cublaslt.path() in ("libcublasLt.so.12", "cublasLt64_12.dll")
    assert asked == ["cuda.pathfinder", "cupy_backends.cuda.libs.cublas"]


# -- nvmath's binding -----------------------------------------------------------------------------------------------

# nvmath wants a driver before it lets anybody call cuBLASLt. This one has a version and nothing else.
DRIVER = """
int cuDriverGetVersion(int *version) { *version = 13000; return 0; }
int cuGetProcAddress_v2(const char *name, void **address, int version, unsigned long flags, void *found) {
    *address = 0;
    return 500;
}
"""


@pytest.fixture(scope="module")
def nvmath_says(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a process with nvmath's binding reads back of all products, and its enums."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for the driver that nvmath wants to see")
    if isinstance(real_library(), str):
        pytest.skip(f"no cuBLASLt: {real_library()}")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "driver.c").write_text(DRIVER)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "libcuda.so.1", folder / "driver.c"], check=True)
    environment = dict(os.environ)
    paths = [str(folder), *environment.get("LD_LIBRARY_PATH", "").split(os.pathsep)]
    environment["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, paths))
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", "from tests.cuda import test_cublaslt; test_cublaslt.say()"],
        env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    if "missing" in said:
        pytest.skip(f"no nvmath: {said['missing']}")
    return said


def say() -> None:
    """Print what nvmath's binding makes of the products, and what it calls things."""
    try:
        from nvmath import CudaDataType
        from nvmath.bindings import cublas, cublasLt
    except ImportError as error:
        print(json.dumps({"missing": str(error)}))
        return
    binding = cublaslt.through_nvmath()
    assert cublaslt.lib() is binding
    assert binding is cublasLt
    enums = {
        "Data": CudaDataType,
        "Compute": cublas.ComputeType,
        "Desc": cublasLt.MatmulDescAttribute,
        "Layout": cublasLt.MatrixLayoutAttribute,
        "Preference": cublasLt.MatmulPreferenceAttribute,
        "Epilogue": cublasLt.Epilogue,
    }
    try:
        binding.matmul_desc_create(999, 999)
        status = None
    except Exception as error:
        status = cublaslt.status_of(error)
    said: dict[str, Any] = {name: {one.name: int(one) for one in enum} for name, enum in enums.items()}
    said["heuristic"] = cublasLt.matmul_heuristic_result_dtype.itemsize
    said["built"] = [built(product) for product in PRODUCTS]
    said["create"] = status
    said["failure"] = str(cublaslt.failure(cublaslt.NOT_SUPPORTED, "this"))
    print(json.dumps(said))


def test_both_bindings_build_the_same_descriptors(nvmath_says, library):
    assert nvmath_says["built"] == [built(product) for product in PRODUCTS]
    assert "CUBLAS_STATUS_NOT_SUPPORTED: this" in nvmath_says["failure"]


def test_numbers_are_those_of_nvmath(nvmath_says):
    for enum in (Desc, Layout, Preference):
        theirs = nvmath_says[enum.__name__]
        assert {one.name: int(one) for one in enum}.items() <= theirs.items()
    data = {"float32": "CUDA_R_32F", "float64": "CUDA_R_64F", "float16": "CUDA_R_16F", "bfloat16": "CUDA_R_16BF"}
    assert {one.name: int(one) for one in Data} == {ours: nvmath_says["Data"][theirs] for ours, theirs in data.items()}
    compute = {"float32": "COMPUTE_32F", "float64": "COMPUTE_64F", "tf32": "COMPUTE_32F_FAST_TF32"}
    wanted = {ours: nvmath_says["Compute"][theirs] for ours, theirs in compute.items()}
    assert {one.name: int(one) for one in Compute} == wanted
    names = {"": "DEFAULT", "bgrad_a": "BGRADA", "bgrad_b": "BGRADB"}
    for ours, number in cublaslt.EPILOGUES.items():
        assert number == nvmath_says["Epilogue"][names.get(ours, ours.upper())], ours
    assert nvmath_says["heuristic"] == ctypes.sizeof(cublaslt.Heuristic)
