"""A GPU's memory counted and used up, kernels that fail, streams, threads, and the synchronous mode.

Runs on the emulator, on the real CuPy over an emulated driver, or on a GPU (see GRADENGINE_TEST_CUDA).
"""

import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import gradengine as ge
from gradengine import DeviceError
from gradengine.backend import devices

cupy = pytest.importorskip("cupy")
pytestmark = pytest.mark.cuda
WHERE = os.environ.get("GRADENGINE_TEST_CUDA", "")
EMULATED = WHERE != "device"


@pytest.fixture(autouse=True)
def with_a_pool():
    """Memory comes from CuPy's pool; other tests of the real CuPy without a GPU have it from the driver itself."""
    if WHERE == "cupy":
        from tests.cuda import real_cupy

        with real_cupy.pooled():
            yield
    else:
        yield


def test_memory_is_counted_and_given_back():
    gc.collect()
    before = ge.cuda.memory_allocated()
    x = ge.zeros((1 << 20,), device="cuda")
    assert ge.cuda.memory_allocated() - before == 4 << 20
    assert ge.cuda.memory_reserved() >= ge.cuda.memory_allocated()
    free, total = ge.cuda.mem_get_info()
    assert 0 < free <= total
    del x
    assert ge.cuda.memory_allocated() == before
    ge.cuda.empty_cache()
    assert ge.cuda.memory_reserved() - ge.cuda.memory_allocated() < 4 << 20


def test_out_of_memory_says_who_has_it():
    pool = cupy.get_default_memory_pool()
    x = ge.ones((1 << 20,), device="cuda")
    limit = pool.get_limit()
    pool.set_limit(size=pool.total_bytes() + (1 << 20))
    try:
        for call, name in (
            (lambda: ge.stack([x] * 64), "stack"),
            (lambda: ge.zeros((1 << 26,), device="cuda"), "zeros"),
        ):
            with pytest.raises(ge.OutOfMemoryError, match=name) as caught:
                call()
            assert isinstance(caught.value, MemoryError)
            assert "'cuda:0' arrays take" in str(caught.value)
        with pytest.raises(ge.OutOfMemoryError):
            ge.tensor(np.zeros(1 << 25), device="cuda")
    finally:
        pool.set_limit(size=limit)
    assert (x + 1)[0].item() == 2.0


def test_memory_that_only_a_cycle_or_the_pool_holds_is_found():
    gc.collect()
    ge.cuda.empty_cache()
    pool = cupy.get_default_memory_pool()
    limit = pool.get_limit()
    pool.set_limit(size=pool.used_bytes() + (6 << 20))
    try:
        x = ge.zeros((1 << 20,), device="cuda")
        del x  # now the pool has it, in a piece that is too small
        assert ge.ones((5 << 18,), device="cuda")[0].item() == 1.0
    finally:
        pool.set_limit(size=limit)


def test_a_kernel_that_does_not_compile(monkeypatch):
    from gradengine_kernels.cupy_cuda import driver

    code = 'extern "C" __global__ void broken(float* x) {\n  oops;\n}'
    here = devices.for_device("cuda")
    monkeypatch.setitem(here.table, ge.exp.op, lambda x: driver.function("broken", code))
    with pytest.raises(ge.CompileError, match="exp: the CUDA compiler refuses a kernel") as caught:
        ge.exp(ge.ones(2, device="cuda"))
    assert "oops" in caught.value.log
    assert caught.value.source.endswith(code)
    assert "  oops;" in str(caught.value)


@pytest.mark.skipif(not EMULATED, reason="the device is of no use to the process afterwards")
def test_a_kernel_that_reads_what_is_not_there(monkeypatch):
    from gradengine_kernels.cupy_cuda import driver

    code = 'extern "C" __global__ void wild(float* x) { x[0] = x[1LL << 40]; }'
    here = devices.for_device("cuda")

    def wild(x):
        driver.launch(driver.function("wild", code), 1, 1, (x,))
        return x

    monkeypatch.setitem(here.table, ge.exp.op, wild)
    with pytest.raises(ge.CudaFaultError, match="exp: a kernel on 'cuda:0' has failed: cudaErrorIllegalAddress"):
        ge.exp(ge.ones(2, device="cuda"))


def test_streams_are_cupys():
    stream = cupy.cuda.Stream()
    with stream:
        y = ge.ones(1000, device="cuda") * 2 + 1
        total = y.sum()
    stream.synchronize()
    assert total.item() == 3000.0
    ge.cuda.synchronize()
    ge.cuda.synchronize("cuda:0")
    with pytest.raises(DeviceError, match="'cpu' is no GPU"):
        ge.cuda.synchronize("cpu")


def test_threads_share_the_device():
    results = []

    def work(seed):
        x = ge.tensor(np.full(1000, float(seed)), device="cuda", requires_grad=True)
        (x * x).sum().backward()
        results.append((seed, x.grad[0].item()))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [(i, 2.0 * i) for i in range(4)]


def test_synchronous_mode_waits_for_every_kernel(monkeypatch):
    from gradengine_kernels.cupy_cuda import driver

    waits = []
    monkeypatch.setattr(driver, "wait", lambda: waits.append(1))
    x = ge.ones(3, device="cuda", requires_grad=True)
    y = (x.exp() * 2).sum()
    assert not waits
    ge.cuda.set_synchronous(True)
    try:
        assert ge.cuda.is_synchronous()
        for call in (lambda: x.exp(), lambda: x.sum(), lambda: x[[0, 1]], lambda: ge.sort(x), lambda: y.backward()):
            waits.clear()
            call()
            assert waits
        np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp([1.0] * 3), rtol=1e-6)
    finally:
        ge.cuda.set_synchronous(False)
    waits.clear()
    x.exp()
    assert not waits


def test_the_environment_asks_for_synchronous_mode():
    code = "import gradengine as ge; print(ge.cuda.is_synchronous())"
    for value, said in (("1", "True"), ("0", "False"), ("", "False")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "GRADENGINE_CUDA_SYNC": value},
            capture_output=True,
            check=True,
        )
        assert done.stdout.decode().strip() == said
