"""What is said where CUDA cannot be used, and what an error of CUDA's becomes: each names its cause and the remedy.

CuPy is a stand-in here, so that each failure can be had: what is asked of it is what CuPy 14 answers.
"""

import subprocess
import sys
import types

import numpy as np
import pytest

import gradengine as ge
from gradengine.backend import devices, gpu
from gradengine_kernels.cupy_cuda import diagnosis, driver, memory


class CUDARuntimeError(RuntimeError):
    """Named as CuPy's: that is how it is known."""


class CUDADriverError(RuntimeError):
    """Named as CuPy's."""


class CompileException(Exception):
    """Named as CuPy's."""

    def __init__(self, message, source):
        super().__init__()
        self.message, self.source = message, source

    def get_message(self):
        return self.message

    def __str__(self):
        return self.message


NO_DRIVER = CUDARuntimeError(
    "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version"
)


def raising(error):
    def call(*arguments, **settings):
        raise error

    return call


@pytest.fixture
def stand_in(monkeypatch):
    """`stand_in(count=..., driver=..., runtime=..., nvrtc=..., headers=...)` is CuPy on such a machine."""
    for name in ("cupy", "cupy:1", "cupy:2"):
        monkeypatch.delitem(devices._loaded, name, raising=False)

    def make(count=1, driver=13000, runtime=13020, nvrtc=(13, 0), headers="/include"):
        def answer(value):
            return raising(value) if isinstance(value, Exception) else lambda: value

        cupy = types.ModuleType("cupy")
        cupy.cuda = types.SimpleNamespace(
            runtime=types.SimpleNamespace(
                getDeviceCount=answer(count), driverGetVersion=answer(driver), runtimeGetVersion=answer(runtime)
            ),
            nvrtc=types.SimpleNamespace(getVersion=answer(nvrtc)),
        )
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        finder = types.ModuleType("cuda.pathfinder")
        finder.find_nvidia_header_directory = lambda name: {"cudart": headers}[name]
        monkeypatch.setitem(sys.modules, "cuda.pathfinder", finder)
        return cupy

    return make


def reason():
    """What `ge.backends()` says, which is what using the device raises."""
    status = ge.backends()["cupy"]
    for device in ("cuda", "cuda:0", "cuda:3"):
        with pytest.raises(ge.DeviceError) as caught:
            ge.zeros(2, device=device)
        assert str(caught.value) == f"device {device!r}: {status}; or use device='cpu'"
    with pytest.raises(ge.DeviceError) as caught:
        ge.set_default_device("cuda")
    assert ge.get_default_device() == "cpu"
    assert not ge.cuda.is_available()
    assert ge.cuda.device_count() == 0
    assert ge.cuda.names() == []
    return status


# -- why there is none ----------------------------------------------------------------------------------------------


def test_no_cupy(monkeypatch):
    monkeypatch.delitem(devices._loaded, "cupy", raising=False)
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert f"CuPy is not installed; {sys.executable} -m pip install '.[cuda13]' in gradengine's folder" in reason()


def test_a_switch_in_the_environment_that_is_neither_on_nor_off(monkeypatch):
    monkeypatch.delitem(devices._loaded, "cupy", raising=False)
    monkeypatch.setenv("GRADENGINE_CUDA_SYNC", "yes please")
    assert "GRADENGINE_CUDA_SYNC must be 1 or 0, not 'yes please'" in reason()


def test_cupy_cannot_be_imported(monkeypatch, tmp_path):
    monkeypatch.delitem(devices._loaded, "cupy", raising=False)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    (tmp_path / "cupy.py").write_text("raise ImportError('libcudart.so.13: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    assert reason() == ("CuPy is installed, but cannot be imported: libcudart.so.13: cannot open shared object file")


def test_no_driver(stand_in):
    stand_in(count=NO_DRIVER, driver=0)
    said = reason()
    assert said.startswith("no CUDA driver on this machine (CUDA says cudaErrorInsufficientDriver: ")
    assert "install NVIDIA's driver" in said
    assert "--gpus all" in said


def test_a_driver_for_an_older_cuda(stand_in):
    stand_in(count=NO_DRIVER, driver=12080, runtime=13020)
    assert reason() == (
        "this CuPy is built for CUDA 13, the driver supports CUDA 12.8; install cupy-cuda12x in its place, or a newer "
        "driver"
    )


def test_no_gpu(stand_in, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    stand_in(count=0)
    assert reason() == "CUDA sees no GPU"
    stand_in(count=CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected"))
    assert reason() == "CUDA sees no GPU"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert reason() == "CUDA sees no GPU (CUDA_VISIBLE_DEVICES is '')"


def test_cuda_does_not_start_for_another_reason(stand_in):
    stand_in(count=CUDARuntimeError("cudaErrorUnknown: unknown error"))
    assert reason() == "CUDA does not start: cudaErrorUnknown: unknown error (driver for CUDA 13.0, CuPy for CUDA 13.2)"


def test_no_compiler(stand_in):
    stand_in(nvrtc=RuntimeError("CuPy failed to load libnvrtc.so.13: OSError: no such file\nmore\nlines"))
    said = reason()
    assert "CuPy does not find NVRTC" in said
    assert "(CuPy failed to load libnvrtc.so.13: OSError: no such file)" in said
    assert "pip install 'cupy-cuda13x[ctk]'" in said


def test_no_headers(stand_in):
    stand_in(headers=None)
    said = reason()
    assert said.startswith("CuPy does not find CUDA's headers, without which it compiles no kernel; ")
    assert "pip install 'cupy-cuda13x[ctk]'" in said


def test_a_cupy_that_asks_nobody_for_headers(stand_in, monkeypatch):
    stand_in()
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", None)
    assert diagnosis.why_not() == ""


@pytest.mark.parametrize(
    ("count", "there"), [(1, "there is one GPU, 'cuda:0'"), (4, "the 4 GPUs are 'cuda:0' to 'cuda:3'")]
)
def test_no_such_device(stand_in, count, there):
    stand_in(count=count)
    with pytest.raises(ge.DeviceError) as caught:
        ge.zeros(2, device="cuda:7")
    assert str(caught.value) == f"device 'cuda:7': {there}"


@pytest.mark.parametrize("device", ["cuda:", "cuda:x", "cuda:-1", "gpu", "cuda:1.0", "cuda:²"])
def test_no_device_at_all(device):
    with pytest.raises(ge.DeviceError) as caught:
        ge.zeros(2, device=device)
    assert str(caught.value) == f"device: there is no {device!r}; use 'cpu', 'cuda' or 'cuda:<number>'"


def test_nothing_of_cupy_is_imported_before_it_is_asked_for():
    code = "import sys, gradengine as ge; ge.zeros(2); ge.cuda; assert 'cupy' not in sys.modules, 'cupy'"
    subprocess.run([sys.executable, "-c", code], check=True)


# -- what CUDA's errors become --------------------------------------------------------------------------------------


class Known(gpu.GpuBackend):
    """A GPU that only says what errors mean."""

    def __init__(self, waiting=False):
        self.device, self.waiting = "cuda:0", waiting
        self.memory = types.SimpleNamespace(
            free_and_total=lambda: (3 << 29, 80 << 30), used=lambda: 70 << 30, reserved=lambda: 78 << 30
        )


@pytest.mark.parametrize(
    "error",
    [
        driver.OutOfMemoryError("Out of memory allocating 8,589,934,592 bytes"),
        MemoryError("Out of memory allocating 8,589,934,592 bytes"),
        CUDARuntimeError("cudaErrorMemoryAllocation: out of memory"),
        CUDADriverError("CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
        driver.CudaError("cuBLASLt: CUBLAS_STATUS_ALLOC_FAILED: float32 product"),
    ],
)
def test_out_of_memory(error):
    typed = Known().typed("matmul", error)
    assert type(typed) is ge.OutOfMemoryError
    assert isinstance(typed, MemoryError)
    words = str(typed)
    assert words.startswith(f"matmul: {error}; on 'cuda:0' arrays take 70.00 GiB of the 78.00 GiB that this process")
    assert "1.50 of 80.00 GiB are free" in words
    assert "smaller batches" in words


def test_words_that_end_with_a_stop_are_gone_on_from():
    """As those of CuPy do."""
    words = "Out of memory allocating 8 bytes (allocated so far: 4 bytes)."
    assert "(allocated so far: 4 bytes); on 'cuda:0'" in str(Known().typed("add", MemoryError(words)))
    fault = driver.FaultError("CUDA_ERROR_ILLEGAL_ADDRESS: illegal.")
    assert "illegal. Kernels" in str(Known().typed("add", fault))


def test_out_of_memory_where_the_device_says_nothing_more():
    broken = Known()
    broken.memory.free_and_total = raising(RuntimeError("context is destroyed"))
    assert "no longer says how much is in use (context is destroyed)" in str(broken.typed("add", MemoryError("none")))


@pytest.mark.parametrize(
    "error",
    [
        driver.FaultError("CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered"),
        CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered"),
        CUDADriverError("CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered"),
        CUDARuntimeError("cudaErrorLaunchFailure: unspecified launch failure"),
        CUDADriverError("CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure"),
        CUDARuntimeError("cudaErrorMisalignedAddress: misaligned address"),
        CUDADriverError("CUDA_ERROR_INVALID_PC: invalid program counter"),
    ],
)
def test_a_fault_that_is_noticed_late(error):
    typed = Known().typed("item", error)
    assert type(typed) is ge.CudaFaultError
    assert isinstance(typed, ge.DeviceError)
    assert str(typed).startswith(f"item: a kernel on 'cuda:0' has failed: {error}. Kernels run asynchronously")
    assert "GRADENGINE_CUDA_SYNC=1" in str(typed)
    assert "ge.cuda.set_synchronous(True)" in str(typed)
    assert "start a new one" in str(typed)


def test_a_fault_of_an_op_that_was_waited_for():
    error = driver.FaultError("CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered")
    typed = Known(waiting=True).typed("take", error)
    assert str(typed).startswith("take: a kernel on 'cuda:0' has failed")
    assert "asynchronously" not in str(typed)


@pytest.mark.parametrize(
    "error",
    [
        driver.CompileError("does not compile", 'extern "C" __global__ void f() { oops }', "error: oops"),
        CompileException("error: oops", 'extern "C" __global__ void f() { oops }'),
    ],
)
def test_a_kernel_that_does_not_compile(error):
    typed = Known().typed("tanh", error)
    assert type(typed) is ge.CompileError
    assert typed.source == 'extern "C" __global__ void f() { oops }'
    assert typed.log == "error: oops"
    assert str(typed).startswith("tanh: the CUDA compiler refuses a kernel")
    assert "error: oops" in str(typed)
    assert "void f() { oops }" in str(typed)


def test_the_source_around_what_the_compiler_complains_of():
    source = "\n".join(f"line {n};" for n in range(1, 101))
    log = "/tmp/k.cu(40): error: no such thing\n/tmp/k.cu(42): warning: f(3) is odd\n"
    shown = diagnosis.excerpt(source, log).splitlines()
    assert shown[0].split() == ["37", "line", "37;"]
    assert shown[-1].split() == ["45", "line", "45;"]
    assert len(shown) == 9
    assert diagnosis.excerpt(source, "no lines named", most=2).split() == ["99", "line", "99;", "100", "line", "100;"]
    assert diagnosis.excerpt(source, "k.cu(4000): error").splitlines()[0].split()[0] == "61"


@pytest.mark.parametrize(
    "error",
    [
        driver.CudaError("cuBLASLt: status 14"),
        CUDARuntimeError("cudaErrorInvalidValue: invalid argument"),
        CUDADriverError("CUDA_ERROR_INVALID_HANDLE: invalid resource handle"),
    ],
)
def test_any_other_error_of_cudas(error):
    typed = Known().typed("exp", error)
    assert type(typed) is ge.DeviceError
    assert str(typed) == f"exp: CUDA on 'cuda:0' says {error}"


@pytest.mark.parametrize("error", [ValueError("no"), TypeError("no"), KeyError("no"), RuntimeError("no")])
def test_errors_that_are_not_the_devices_are_left_alone(error):
    assert Known().typed("exp", error) is None
    with pytest.raises(type(error)):
        Known().tried("exp", raising(error))


def test_an_index_that_a_kernel_found_out_of_range_later():
    with pytest.raises(ge.IndexRangeError, match="index 7 is out of range"):
        Known().tried("numpy", raising(IndexError("take: index 7 is out of range")))


def test_an_op_and_a_backward_walk_raise_the_typed_error(monkeypatch):
    """From a kernel, from a rule, and from where an array is made, whatever the device raises."""
    here = devices.for_device("cpu")
    fault = CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered")
    monkeypatch.setattr(here, "typed", Known().typed, raising=False)
    x = ge.ones(3, requires_grad=True)
    y = ge.exp(x).sum()
    for op in (ge.exp.op, ge.add.op, ge.sum.op):
        monkeypatch.setitem(here.table, op, raising(fault))
    monkeypatch.setattr(here, "part", raising(fault), raising=False)
    for call, name in (
        (lambda: ge.exp(x), "exp"),
        (lambda: x + x, "add"),
        (lambda: x.sum(), "sum"),
        (lambda: x[0], "index"),
    ):
        with pytest.raises(ge.CudaFaultError, match=f"^{name}: a kernel on 'cuda:0' has failed"):
            call()
    monkeypatch.setitem(here.rules, ge.exp.op, (raising(fault),))
    monkeypatch.setattr(here, "small", 0)
    monkeypatch.setattr(here, "low", False)
    with pytest.raises(ge.CudaFaultError, match="backward: a kernel"):
        y.backward()
    monkeypatch.setattr(here, "arrays", types.SimpleNamespace(zeros=raising(MemoryError("none left"))), raising=False)
    with pytest.raises(ge.OutOfMemoryError, match="zeros: none left; on 'cuda:0'"):
        ge.zeros(3)


# -- arrays that others look at -------------------------------------------------------------------------------------


def test_exported_arrays_live_as_long_as_what_exported_them():
    import gc
    import weakref

    class Owner:
        """What gave the address away."""

    class Array(np.ndarray):
        """One that can be referred to weakly."""

    exports, owner, first, second = memory.Exports(), Owner(), np.zeros(2).view(Array), np.zeros(2).view(Array)
    alive = [weakref.ref(first), weakref.ref(second)]
    exports.keep(owner, first, weakref.ref)
    exports.keep(owner, first, weakref.ref)
    exports.keep(owner, second, weakref.ref)
    del first, second
    gc.collect()
    assert all(ref() is not None for ref in alive)
    assert [len(arrays) for _, arrays in exports.kept.values()] == [2]
    del owner
    gc.collect()
    assert all(ref() is None for ref in alive)
    assert not exports.kept


def test_the_kinds_of_errors_are_told_by_cudas_own_names():
    assert diagnosis.kind(CUDARuntimeError("cudaErrorStreamCaptureUnsupported: not permitted")) == "cuda"
    assert diagnosis.kind(ValueError("cudaErrorIllegalAddress: text alone proves nothing")) == ""
