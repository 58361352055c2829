"""The real CuPy over an emulated driver: what the driver refuses arrives as CuPy's own errors, and nothing is missed.

Runs where GRADENGINE_TEST_CUDA is "cupy"; `make cuda-test` does so.
"""

import contextlib
import os
import subprocess
import sys

import numpy as np
import pytest

import gradengine as ge
from tests.cuda import guarded

if os.environ.get("GRADENGINE_TEST_CUDA") != "cupy":
    pytest.skip("about the real CuPy: GRADENGINE_TEST_CUDA=cupy", allow_module_level=True)

import cupy

from tests.cuda import host_driver, real_cupy

pytestmark = pytest.mark.cuda
CUDARuntimeError = cupy.cuda.runtime.CUDARuntimeError


def kernel(body, name="tried", arguments="float* x"):
    return cupy.RawKernel(f'extern "C" __global__ void {name}({arguments}) {{ {body} }}', name)


def test_it_is_the_real_one():
    assert cupy.__version__.startswith("14.2")
    assert type(cupy.ndarray).__module__ == "builtins"
    assert cupy.ndarray.__module__ == "cupy"
    assert "cupy._core.core" in sys.modules
    assert (cupy.arange(3) + 1.5).dtype == np.float64
    assert cupy.asarray(np.float32(2)).get().dtype == np.float32


def test_new_memory_is_full_of_nan_and_ends_where_the_array_does():
    x = cupy.empty(5, np.float32)
    assert np.isnan(x.get()).all()
    assert host_driver.blocks[x.data.ptr].size == 20
    with pytest.raises(CUDARuntimeError, match="IllegalAddress") as caught:
        kernel("x[8] = 1;")((1,), (1,), (x,))
    assert "after the end of an array of 20 bytes" in caught.value.__notes__[0]
    kernel("x[6] = 1;")((1,), (1,), (x,))  # too near to the end for the page behind it
    del x
    (found,) = guarded.damage
    guarded.damage.clear()
    assert "was written to after its end" in found


def test_memory_that_there_is_not():
    with pytest.raises(CUDARuntimeError, match="MemoryAllocation"):
        cupy.empty(1 << 40, np.float64)
    with real_cupy.pooled(), pytest.raises(cupy.cuda.memory.OutOfMemoryError, match="allocating 8,796,093,022,208"):
        cupy.empty(1 << 40, np.float64)
    assert (cupy.ones(3) + 1).get().tolist() == [2, 2, 2]


@pytest.mark.parametrize(("grid", "block", "shared"), [((1,), (1025,), 0), ((1, 70000), (1,), 0), ((1,), (1,), 60000)])
def test_launches_that_cuda_refuses(grid, block, shared):
    with pytest.raises(cupy.cuda.driver.CUDADriverError, match="INVALID_VALUE"):
        kernel("x[0] = 1;")(grid, block, (cupy.zeros(3, np.float32),), shared_mem=shared)


def test_kernels_that_do_not_compile():
    with pytest.raises(cupy.cuda.compiler.CompileException, match="undeclared"):
        cupy.RawKernel(
            '// ---- prelude ends ----\nextern "C" __global__ void f(float* x) { x[0] = undeclared; }', "f"
        ).compile()


@pytest.mark.parametrize(
    "work",
    [
        lambda x: cupy.empty(3),
        lambda x: x.get(),
        lambda x: cupy.cuda.Device().synchronize(),
        lambda x: cupy.cuda.Stream.null.synchronize() or cupy.cuda.get_current_stream().synchronize(),
        lambda x: kernel("x[0] = 2;", "not_loaded").compile(),
        lambda x: [add((1,), (1,), (x,), stream=cupy.cuda.Stream(non_blocking=True)) for add in [ONE]],
    ],
    ids=["malloc", "copy", "synchronize", "stream", "load", "another stream"],
)
def test_what_a_capture_does_not_permit(work):
    x, stream = cupy.zeros(3, np.float32), cupy.cuda.Stream(non_blocking=True)
    ONE((1,), (1,), (x,))
    with stream:
        stream.begin_capture()
        with pytest.raises((CUDARuntimeError, RuntimeError), match=r"[Cc]aptur"):
            work(x)
        with contextlib.suppress(CUDARuntimeError):  # spoilt, unless CuPy itself has refused
            stream.end_capture()


ONE = kernel("x[0] += 1;", "one")


def test_a_graph_repeats_what_was_captured():
    x, stream = cupy.zeros(3, np.float32), cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        ONE((1,), (1,), (x,))
        ONE((1,), (1,), (x,))
        graph = stream.end_capture()
        assert x.get().tolist() == [0, 0, 0]
        graph.launch()
        graph.launch()
    assert x.get().tolist() == [4, 0, 0]


def test_errors_become_those_of_the_engine():
    x = ge.ones(3, device="cuda")
    with pytest.raises(ge.OutOfMemoryError, match="zeros"):
        ge.zeros(1 << 45, device="cuda")
    from gradengine_kernels.cupy_cuda import driver

    with pytest.raises(CUDARuntimeError) as caught:
        driver.launch(kernel("*(volatile int*)16 = 1;"), 1, 1, (x.array,))
    assert isinstance(x.backend.typed("add", caught.value), ge.CudaFaultError)


def test_its_status_is_that_of_the_tests(tmp_path):
    for body, status in (("pass", 0), ("assert False", 1)):
        path = tmp_path / "test_one.py"
        path.write_text(f"def test_one(): {body}\n")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider", str(path)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == status, done.stdout
        assert f"1 {'failed' if status else 'passed'}" in done.stdout


def test_nobody_may_import_cupy_first():
    with pytest.raises(RuntimeError, match="CuPy is imported already"):
        host_driver.install()
