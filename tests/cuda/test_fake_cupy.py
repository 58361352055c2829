"""The module in CuPy's place refuses what CuPy and CUDA refuse, and what a GPU would get wrong in silence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gradengine_kernels.cupy_cuda import driver
from tests.cuda import machine
from tests.cuda.planted import ADD, MARKS, cp, kernel, unrecorded  # noqa: F401
from tests.cuda.toolchain import EmulatorError

pytestmark = MARKS


# -- CuPy's ways --------------------------------------------------------------------------------------------------


def test_numpy_arrays_do_not_mix():
    x, host = cp.ones(3), np.ones(3)
    for mixed in (
        lambda: x + host,
        lambda: host + x,
        lambda: cp.add(x, host),
        lambda: np.add(host, x),
        lambda: cp.sum(host),
    ):
        with pytest.raises(TypeError, match="Unsupported type"):
            mixed()
    with pytest.raises(TypeError):
        x += host
    with pytest.raises(TypeError):
        x[0:3] = host
    with pytest.raises(TypeError):
        x[np.array([0])]
    with pytest.raises(TypeError):
        np.concatenate([x, host])
    assert (x + np.float64(1)).get().tolist() == [2, 2, 2]  # NumPy's scalars are taken


def test_no_implicit_conversion():
    x = cp.ones(3, np.float32)
    for converting in (np.asarray, np.array, lambda a: np.ones(3).__iadd__(a), lambda a: np.float32(a)):
        with pytest.raises(TypeError):
            converting(x)
    assert type(x.get()) is type(cp.asnumpy(x)) is np.ndarray
    assert not isinstance(x, np.ndarray)


def test_single_elements_are_arrays():
    x = cp.arange(6.0).reshape(2, 3)
    for value in (
        x[1, 2],
        x.sum(),
        x.max(),
        cp.mean(x),
        np.sum(x),
        x[1][2],
        x.argmax(),
        cp.add.reduce(x[0]),
        x[0, 0] + 1,
    ):
        assert type(value) is cp.ndarray
        assert value.shape == ()
    x[1, 2][...] = 9  # and views
    assert x.get()[1, 2] == 9
    assert [type(row) for row in x] == [cp.ndarray] * 2


def test_indices_wrap_silently():
    x = cp.arange(5.0)
    assert x[cp.array([5, -6, 7])].get().tolist() == [0, 4, 2]
    assert x.take(cp.array([12])).get().tolist() == [2]
    assert cp.take(x.reshape(1, 5), cp.array([6]), axis=1).get().tolist() == [[1]]
    x[cp.array([5])] = 9
    assert x.get().tolist() == [9, 1, 2, 3, 4]
    x.scatter_add(cp.array([6, 6, 1]), cp.ones(3))
    assert x.get().tolist() == [9, 4, 2, 3, 4]
    with pytest.raises(IndexError):
        x[5]


def test_of_assignments_to_one_element_any_may_last():
    x = cp.zeros(3)
    x[cp.array([1, 1])] = cp.array([1.0, 2.0])
    assert x.get()[1] == 1  # NumPy's answer is 2: who relies on it is found out


def test_names_and_parameters_are_those_of_cupy():
    with pytest.raises(AttributeError, match="no attribute 'put_mask'"):
        cp.put_mask  # noqa: B018
    with pytest.raises(AttributeError):
        cp.matrix_power  # noqa: B018
    with pytest.raises(TypeError, match="unexpected keyword argument 'where'"):
        cp.sum(cp.ones(3), where=cp.ones(3, bool))
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        cp.ones(3).sum(initial=0)
    with pytest.raises(TypeError, match="positional"):
        cp.sort(cp.ones(3), -1, None, None)


def test_types_are_those_of_cupy():
    special = pytest.importorskip("cupyx.scipy.special")
    bfloat16 = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    for given, made in ((np.float16, "d"), (np.float32, "f"), (np.float64, "d"), (bfloat16, "f"), (np.int64, "d")):
        assert special.erf(cp.ones(2, given)).dtype == made
    with pytest.raises(TypeError, match="Wrong type"):
        cp.sort(cp.ones(2, bfloat16))
    assert cp.exp(cp.zeros(2, bfloat16)).dtype == bfloat16


def test_views_share_memory_and_copies_do_not():
    x = cp.arange(12.0).reshape(3, 4)
    for shared in (
        x.T,
        x[1:],
        x.reshape(4, 3),
        x.ravel(),
        x[None],
        x.swapaxes(0, 1),
        cp.broadcast_to(x, (2, 3, 4)),
        x[1, 1],
    ):
        assert shared.base is (x.base if x.base is not None else x)
        assert cp.may_share_memory(shared, x)
    for own in (x + 0, x.copy(), x[cp.array([0])], x.astype(np.float32), cp.ascontiguousarray(x.T)):
        assert own.base is None
        assert not cp.may_share_memory(own, x)
    assert x[1:].data.ptr == x.data.ptr + 32
    assert x.__cuda_array_interface__["data"] == (x.data.ptr, False)
    assert cp.asarray(x) is x
    assert cp.ascontiguousarray(x) is x


def test_dlpack():
    x = cp.arange(6.0).reshape(2, 3)

    class Other:
        def __dlpack__(self, stream=None):
            return x.__dlpack__(stream=stream)

        def __dlpack_device__(self):
            return x.__dlpack_device__()

    y = cp.from_dlpack(Other())
    assert (y.data.ptr, y.shape, x.__dlpack_device__()) == (x.data.ptr, (2, 3), (2, 0))
    y[0, 0] = 5
    assert x.get()[0, 0] == 5
    with pytest.raises(TypeError, match="CPU arrays"):
        cp.from_dlpack(np.ones(3))
    with pytest.raises((BufferError, RuntimeError, TypeError)):
        np.from_dlpack(x)

    class Described:
        __cuda_array_interface__ = x.T.__cuda_array_interface__

    assert cp.asarray(Described()).get().tolist() == x.get().T.tolist()


# -- captures -----------------------------------------------------------------------------------------------------


def captured(work: Any) -> Any:
    stream = cp.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        try:
            work()
        finally:
            graph = stream.end_capture()
    return graph


def test_a_graph_repeats_what_was_captured():
    a, b, c, d = cp.ones(5, np.float32), cp.ones(5, np.float32), cp.zeros(5, np.float32), cp.zeros(5, np.float32)
    add = kernel(ADD, "add")
    add.compile()

    def work() -> None:
        add((1,), (8,), (a, b, c, np.int32(5)))
        stream = cp.cuda.get_current_stream()
        assert stream.is_capturing()
        cp.cuda.runtime.memcpyAsync(d.data.ptr, c.data.ptr, 20, cp.cuda.runtime.memcpyDeviceToDevice, stream.ptr)
        cp.cuda.runtime.memsetAsync(a.data.ptr, 0, 4, stream.ptr)
        b.fill(3)

    graph = captured(work)
    assert not c.get().any()  # recorded, not run
    graph.launch()
    assert (d.get().tolist(), a.get().tolist()) == ([2] * 5, [0, 1, 1, 1, 1])
    graph.launch()
    assert d.get().tolist() == [3, 4, 4, 4, 4]


REFUSED = {
    "allocation": lambda x: cp.empty(3),
    "a result": lambda x: x + x,
    "module load": lambda x: kernel(ADD + "// another", "add")((1,), (1,), (x, x, x, np.int32(1))),
    "stream": lambda x: cp.cuda.get_current_stream().synchronize(),
    "device": lambda x: cp.cuda.Device().synchronize(),
    "get": lambda x: x.get(),
    "item": lambda x: x[0].item(),
    "bool": lambda x: bool(x[0] == 0),
    "float": lambda x: float(x[0]),
    "set": lambda x: x.set(np.ones(3, np.float32)),
    "upload": lambda x: cp.asarray(np.ones(3)),
    "matmul": lambda x: cp.matmul(x, x),
    "random": lambda x: cp.random.random(3),
    "another stream": lambda x: kernel(ADD, "add")((1,), (1,), (x, x, x, np.int32(1)), stream=cp.cuda.Stream.null),
    "free": lambda x: cp.get_default_memory_pool().free_all_blocks(),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_capture_refuses(what):
    x = cp.ones(3, np.float32)
    kernel(ADD, "add")((1,), (1,), (x, x, x, np.int32(1)))
    refused = []

    def work() -> None:
        with pytest.raises(machine.CUDARuntimeError, match=r"cudaErrorStreamCapture(Unsupported|Implicit)"):
            REFUSED[what](x)
        refused.append(what)

    with pytest.raises(machine.CUDARuntimeError, match="Invalidated"):  # the capture is lost too
        captured(work)
    assert refused == [what]
    assert not machine.local.capturing


def test_an_array_is_copied_to_and_from_the_host_by_the_runtime_alone():
    x, room = cp.arange(3.0), cp.cuda.alloc_pinned_memory(24)
    word = np.frombuffer(room, np.float64, 3)
    with pytest.raises(RuntimeError, match="capturing, so D2H transfers are disallowed"):
        captured(lambda: x.data.copy_to_host_async(room.ptr, 24))
    with pytest.raises(RuntimeError, match="capturing, so H2D transfers are disallowed"):
        captured(lambda: x.data.copy_from_host_async(room.ptr, 24))
    graph = captured(lambda: driver.to_host(room.ptr, x))
    x += 1
    graph.launch()
    cp.cuda.get_current_stream().synchronize()
    assert word.tolist() == [1, 2, 3]


def test_the_legacy_stream_cannot_be_captured():
    with pytest.raises(machine.CUDARuntimeError, match="StreamCaptureUnsupported"):
        cp.cuda.Stream.null.begin_capture()


def test_a_graph_that_outlives_its_arrays_is_caught():
    x = cp.ones(5000, np.float32)
    address = x.data.ptr
    graph = captured(lambda: cp.cuda.runtime.memsetAsync(address, 0, 20, cp.cuda.get_current_stream().ptr))
    graph.launch()
    y = cp.zeros(5000, np.float32)
    arrays = [x, y]
    filled = captured(lambda: cp.add(*arrays, out=y))
    filled.launch()
    arrays.clear()
    x = None
    for outlived in (graph, filled):
        with pytest.raises(machine.CUDARuntimeError, match="IllegalAddress"):
            outlived.launch()


# -- memory and devices -------------------------------------------------------------------------------------------


@pytest.fixture
def pool() -> Iterator[Any]:
    pool = cp.get_default_memory_pool()
    pool.free_all_blocks()
    yield pool
    pool.set_limit(0)


def test_the_pool_counts(pool):
    used = pool.used_bytes()
    x = cp.empty(1000, np.uint8)
    assert pool.used_bytes() == used + 1024
    del x
    assert (pool.used_bytes(), pool.total_bytes()) == (used, used + 1024)
    pool.free_all_blocks()
    assert pool.total_bytes() == used


def test_out_of_memory(pool):
    pool.set_limit(pool.total_bytes() + 10_000)
    x = cp.empty(5000, np.uint8)
    with pytest.raises(cp.cuda.memory.OutOfMemoryError, match=r"Out of memory allocating 5,120 bytes .* limit set to"):
        cp.empty(5000, np.uint8)
    del x
    cp.empty(5000, np.uint8)
    pool.set_limit(0)
    with pytest.raises(cp.cuda.memory.OutOfMemoryError):
        cp.empty(1 << 40, np.uint8)


def test_many_arrays_are_more_than_guard_pages():
    arrays = [cp.zeros(3, np.uint8) for _ in range(40_000)]
    assert len({a.data.ptr for a in arrays}) == 40_000
    del arrays
    x = cp.zeros(5000, np.float32)
    with pytest.raises(machine.CUDARuntimeError, match="0 bytes after the end"):  # and there are guard pages again
        kernel(ADD, "add")((20,), (256,), (x, x, x, np.int32(5001)))


def test_several_devices(monkeypatch):
    with pytest.raises(machine.CUDARuntimeError, match="cudaErrorInvalidDevice"):
        cp.cuda.Device(1).use()
    monkeypatch.setenv("GRADENGINE_EMULATED_DEVICES", "2")
    assert cp.cuda.runtime.getDeviceCount() == 2
    x = cp.ones(3, np.float32)
    with cp.cuda.Device(1):
        y = cp.ones(3, np.float32)
        assert (x.device.id, y.device.id) == (0, 1)
        with pytest.raises(ValueError, match="Array device must be same as the current device"):
            x + y
        with pytest.raises(EmulatorError, match="argument 0 is on device 0, current is 1"):
            kernel(ADD, "add")((1,), (1,), (x, y, y, np.int32(1)))
        assert cp.asarray(x).device.id == 1
    assert cp.cuda.runtime.getDevice() == 0
    monkeypatch.setenv("GRADENGINE_EMULATED_DEVICES", "0")
    with pytest.raises(machine.CUDARuntimeError, match="cudaErrorNoDevice"):
        cp.cuda.runtime.getDeviceCount()
    monkeypatch.setenv("GRADENGINE_EMULATED_DEVICES", "none")
    with pytest.raises(machine.CUDARuntimeError, match="cudaErrorInsufficientDriver"):
        cp.cuda.runtime.getDeviceCount()
    assert not cp.cuda.is_available()


def test_copies_are_checked():
    x, host = cp.ones(4, np.float32), np.zeros(4, np.float32)
    runtime = cp.cuda.runtime
    runtime.memcpy(host.ctypes.data, x.data.ptr, 16, runtime.memcpyDeviceToHost)
    assert host.tolist() == [1] * 4
    for to, source, kind in [
        (x.data.ptr, x.data.ptr, 1),
        (host.ctypes.data, x.data.ptr, 3),
        (x.data.ptr, host.ctypes.data, 9),
    ]:
        with pytest.raises(machine.CUDARuntimeError):
            runtime.memcpy(to, source, 17 if kind == 1 else 16, kind)
