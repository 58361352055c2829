"""Arrays of CuPy, PyTorch and JAX become Tensors, and Tensors theirs, without a copy and in order.

Runs on the emulator, on the real CuPy over an emulated driver, or on a GPU (see GRADENGINE_TEST_CUDA).
"""

import gc
import os

import numpy as np
import pytest

import gradengine as ge

cupy = pytest.importorskip("cupy")
pytestmark = pytest.mark.cuda
EMULATED = os.environ.get("GRADENGINE_TEST_CUDA", "") != "device"


class ByDLPack:
    """Another library's array, which has DLPack and nothing else."""

    def __init__(self, array):
        self.array, self.streams = array, []

    def __dlpack__(self, *, stream=None, **settings):
        self.streams.append(stream)
        return self.array.__dlpack__(stream=stream, **settings)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class ByInterface:
    """Another library's array, which has the CUDA array interface and nothing else."""

    def __init__(self, array):
        self.array = array

    @property
    def __cuda_array_interface__(self):
        return self.array.__cuda_array_interface__


FOREIGN = [lambda x: x, ByDLPack, ByInterface]


def address(t):
    return t.array.data.ptr


@pytest.mark.parametrize("wrapped", FOREIGN)
def test_arrays_of_others_stay_where_they_are(wrapped):
    array = cupy.arange(6, dtype="float32").reshape(2, 3)
    for take in (ge.asarray, lambda x: ge.asarray(x, copy=False), lambda x: ge.asarray(x, device="cuda")):
        x = take(wrapped(array))
        assert (x.device, x.shape, x.dtype) == ("cuda:0", (2, 3), ge.float32)
        assert address(x) == array.data.ptr
    array[0, 0] = 9
    assert x[0, 0].item() == 9
    copied = ge.tensor(wrapped(array))
    assert copied.device == "cuda:0"
    assert address(copied) != array.data.ptr
    assert address(ge.asarray(wrapped(array), copy=True)) != array.data.ptr
    home = ge.asarray(wrapped(array), device="cpu")
    assert (home.device, home.tolist()) == ("cpu", [[9.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    for take in (ge.tensor, ge.asarray):
        assert take(wrapped(array), device="cpu").dtype == ge.float32
        assert take(wrapped(array), device="cpu", dtype=ge.float64).dtype == ge.float64
    with pytest.raises(ge.ArgumentError, match="without a copy"):
        ge.asarray(wrapped(array), dtype=ge.float64, copy=False)
    with pytest.raises(ge.ArgumentError, match="without a copy"):
        ge.asarray(np.zeros(2), device="cuda", copy=False)


def test_from_dlpack_stays_where_it_is():
    array = cupy.arange(4, dtype="int32")[::2]
    x = ge.from_dlpack(ByDLPack(array))
    assert (address(x), x.tolist(), x.device) == (array.data.ptr, [0, 2], "cuda:0")
    assert ge.from_dlpack(ByDLPack(array), device="cpu").device == "cpu"
    assert address(ge.from_dlpack(ByDLPack(array), copy=True)) != array.data.ptr
    ge.set_default_device("cuda")
    host = np.arange(3.0)
    assert np.shares_memory(host, ge.from_dlpack(host).numpy())
    with pytest.raises(ge.DTypeError, match="complex numbers are not supported"):
        ge.from_dlpack(ByDLPack(cupy.zeros(2, "complex64")))


def test_an_array_that_its_owner_does_not_give():
    class Refusing(ByDLPack):
        def __dlpack__(self, **settings):
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")

    for take in (ge.asarray, ge.tensor, ge.from_dlpack):
        with pytest.raises(ge.DTypeError, match=r"require gradient, use tensor\.detach"):
            take(Refusing(cupy.ones(2)))


def test_arrays_of_others_among_the_operands():
    x = ge.tensor([1.0, 2.0], device="cuda", requires_grad=True)
    (x * cupy.array([3.0, 4.0], "float32")).sum().backward()
    assert x.grad.tolist() == [3.0, 4.0]
    assert ge.exp(cupy.zeros(2)).device == "cuda:0"
    assert ge.nn.Parameter(cupy.zeros(2)).device == "cuda:0"
    assert x[cupy.array([1, 0])].tolist() == [2.0, 1.0]
    assert x[cupy.array([False, True])].tolist() == [2.0]
    pairs = ge.data.TensorDataset(cupy.arange(4), np.arange(4))
    assert [t.device for t in pairs.tensors] == ["cuda:0", "cpu"]


def test_an_array_of_cupy_on_the_left_leaves_the_operator_to_the_tensor():
    array = cupy.array([3.0, 4.0], "float32")
    x = ge.tensor([1.0, 2.0], device="cuda", requires_grad=True)
    matrix = ge.eye(2, device="cuda", requires_grad=True)
    for found, expected in (
        (array * x, [3.0, 8.0]),
        (array - x, [2.0, 2.0]),
        (array**x, [3.0, 16.0]),
        (array @ matrix, [3.0, 4.0]),
        (array * x.detach(), [3.0, 8.0]),
        (array > x, [True, True]),
        (array == x.detach(), [False, False]),
    ):
        assert isinstance(found, ge.Tensor)
        assert found.device == "cuda:0"
        assert found.tolist() == expected
    (array * x).sum().backward()
    assert x.grad.tolist() == [3.0, 4.0]
    assert ge.nn.Parameter(x.detach()).__array_ufunc__ is None
    with pytest.raises(ge.DeviceError, match=r"multiply: .*'cpu'.*'cuda:0'"):
        array * ge.ones(2)


def test_tensors_go_to_others():
    x = ge.arange(6, dtype=ge.float32, device="cuda").reshape(2, 3)
    assert x.__dlpack_device__() == (2, 0)
    taken = cupy.from_dlpack(x)
    assert (taken.data.ptr, taken.shape, taken.dtype) == (address(x), (2, 3), np.float32)
    described = x.__cuda_array_interface__
    assert (described["shape"], described["typestr"], described["version"]) == ((2, 3), "<f4", 3)
    assert described["data"][0] == address(x)
    assert cupy.asarray(x).data.ptr == address(x)
    assert cupy.from_dlpack(x.T).tolist() == x.T.tolist()
    assert cupy.asarray(x.T).tolist() == x.T.tolist()
    x.requires_grad_()
    for refused in (lambda: x.__dlpack__(), lambda: x.__cuda_array_interface__):
        with pytest.raises(ge.GraphError, match=r"export \.detach\(\)"):
            refused()
    assert not hasattr(x.detach().cpu(), "__cuda_array_interface__")


def test_an_address_given_away_stays_good():
    x = ge.ones(1000, device="cuda")
    taken = cupy.asarray(x)
    x += 1  # gives the Tensor another array
    gc.collect()
    ge.full((1000,), 7, device="cuda")  # would take the place of the old one
    assert taken.tolist() == [1.0] * 1000


def test_dlpack_hands_over_the_stream():
    stream = cupy.cuda.Stream(non_blocking=True)
    array = ByDLPack(cupy.ones(3))
    with stream:
        ge.asarray(array)
        ge.from_dlpack(array)
    assert array.streams == [stream.ptr, stream.ptr]


@pytest.mark.skipif(EMULATED, reason="PyTorch and JAX see no emulated GPU")
def test_torch_without_copies(torch):
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    x = torch.arange(6.0, device="cuda").reshape(2, 3)
    for take in (ge.asarray, ge.from_dlpack):
        assert address(take(x)) == x.data_ptr()
    assert ge.tensor(x).device == "cuda:0"
    y = ge.ones((2, 3), device="cuda")
    for take in (torch.from_dlpack, torch.as_tensor):
        assert take(y).data_ptr() == address(y)
    with pytest.raises(ge.GradengineError, match="grad"):
        ge.asarray(x.clone().requires_grad_())
    assert torch.equal(torch.from_dlpack(ge.asarray(x) * 2), x * 2)


@pytest.mark.skipif(EMULATED, reason="PyTorch and JAX see no emulated GPU")
def test_jax_without_copies():
    jax = pytest.importorskip("jax")
    try:
        device = jax.devices("cuda")[0]
    except RuntimeError:
        pytest.skip("this JAX has no CUDA")
    x = jax.device_put(jax.numpy.arange(6.0).reshape(2, 3), device)
    for take in (ge.asarray, ge.from_dlpack):
        assert address(take(x)) == x.unsafe_buffer_pointer()
    y = ge.ones((2, 3), device="cuda")
    taken = jax.dlpack.from_dlpack(y)
    assert taken.unsafe_buffer_pointer() == address(y)


def test_memory_of_others_is_not_written_in_place():
    borrowed = ge.asarray(ByDLPack(cupy.zeros(3)))
    assert borrowed.dtype == ge.float64
    before = address(borrowed)
    borrowed[0] = 1.0
    assert address(borrowed) != before
