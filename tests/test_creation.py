"""New Tensors, dtypes, and memory shared with NumPy and PyTorch."""

import numpy as np
import pytest

import gradengine as ge
from gradengine.errors import ArgumentError, DeviceError, DTypeError, ShapeError


def test_dtypes_of_data():
    assert ge.tensor([1.0]).dtype == ge.tensor(2.5).dtype == ge.float32
    assert ge.tensor([1]).dtype == ge.tensor(2).dtype == ge.int64
    assert ge.tensor([True]).dtype == ge.bool
    assert ge.tensor([1, 2.5]).dtype == ge.float32
    assert ge.tensor([]).dtype == ge.float32
    assert ge.tensor(np.zeros(2)).dtype == ge.float64
    assert ge.tensor(np.zeros(2, np.int8)).dtype == ge.int8
    assert ge.tensor([1, 2], dtype="float16").dtype == ge.float16
    assert ge.tensor(ge.tensor([1.0], dtype=ge.float64)).dtype == ge.float64


def test_tensor_copies_and_asarray_shares():
    a = np.zeros(3)
    copied, shared = ge.tensor(a), ge.asarray(a)
    a[0] = 1
    assert copied.tolist() == [0, 0, 0]
    assert shared.tolist() == [1, 0, 0]
    assert ge.asarray(shared) is shared
    assert ge.asarray(a, copy=True).tolist() == [1, 0, 0]
    a[0] = 2
    assert ge.asarray(a, copy=False).tolist() == [2, 0, 0]
    assert ge.asarray(shared, dtype=ge.float32).dtype == ge.float32
    assert ge.asarray([1.0, 2.0], requires_grad=True).requires_grad
    with pytest.raises(ArgumentError, match="without a copy"):
        ge.asarray([1.0], copy=False)
    with pytest.raises(ArgumentError, match="without a copy"):
        ge.asarray(a, dtype=ge.float32, copy=False)


def test_asarray_keeps_the_graph():
    x = ge.ones(2, requires_grad=True)
    y = x * 2
    assert ge.asarray(y) is y
    assert ge.asarray(y, dtype=ge.float64).requires_grad


def test_changing_a_tensor_does_not_change_numpys_array():
    a = np.zeros(3)
    x = ge.asarray(a)
    x += 1
    assert a.tolist() == [0, 0, 0]


@pytest.mark.torch
def test_torch_tensors_come_and_go_without_a_copy(torch):
    theirs = torch.arange(6.0).reshape(2, 3)
    for ours in (ge.from_dlpack(theirs), ge.asarray(theirs)):
        assert ours.dtype == ge.float32
        theirs[0, 0] += 5
        assert ours[0, 0].item() == theirs[0, 0].item()
    back = torch.from_dlpack(ge.from_dlpack(theirs.mT))
    assert back.data_ptr() == theirs.data_ptr()
    assert back.stride() == (1, 3)
    x = ge.from_dlpack(theirs)
    x += 1
    assert theirs[0, 1] == 1
    assert ge.from_dlpack(theirs, copy=True).tolist() == theirs.tolist()


@pytest.mark.torch
def test_torch_tensors_that_cannot_come(torch):
    with pytest.raises(DTypeError, match="from_dlpack: cannot take this Tensor"):
        ge.from_dlpack(torch.ones(2, requires_grad=True))
    with pytest.raises(DTypeError, match="from_dlpack"):
        ge.from_dlpack(torch.ones(2, dtype=torch.bfloat16))
    with pytest.raises(DTypeError, match="complex64"):
        ge.from_dlpack(torch.ones(2, dtype=torch.complex64))
    with pytest.raises(DTypeError, match="has no __dlpack__"):
        ge.from_dlpack([1.0])


def test_filled():
    assert ge.zeros(2, 3).tolist() == ge.zeros((2, 3)).tolist() == np.zeros((2, 3)).tolist()
    assert ge.ones([2], dtype=ge.int8).dtype == ge.int8
    assert ge.zeros(()).shape == ge.zeros().shape == ()
    assert ge.zeros(3).shape == (3,)
    assert ge.empty(0, 3).shape == (0, 3)
    assert ge.full((2,), 7).dtype == ge.int64
    assert ge.full(2, 1.5).dtype == ge.float32
    assert ge.full((), True).dtype == ge.bool
    assert ge.full((2,), ge.tensor(2.0, dtype=ge.float64)).dtype == ge.float64
    assert ge.zeros(2, requires_grad=True).requires_grad
    x = ge.tensor([[1, 2]], dtype=ge.int8)
    for like in (ge.zeros_like(x), ge.ones_like(x), ge.empty_like(x), ge.full_like(x, 3)):
        assert (like.shape, like.dtype) == ((1, 2), ge.int8)
    assert ge.full_like(x, 2.5, dtype=ge.float64).tolist() == [[2.5, 2.5]]
    assert ge.zeros_like(np.ones(3)).dtype == ge.float64
    assert ge.ones_like(x, dtype=ge.float32, requires_grad=True).requires_grad


@pytest.mark.parametrize(
    "args", [(5,), (0,), (2, 9, 3), (5, 0, -2), (-1,), (0.0, 1.0, 0.1), (3, 4.5), (1, 0), (0, 1, 1 / 3), (2.5,)]
)
def test_arange_is_numpys(args):
    want = np.arange(*args)
    got = ge.arange(*args)
    assert got.dtype == (ge.int64 if want.dtype == np.int64 else ge.float32)
    np.testing.assert_array_equal(got.numpy(), want.astype(got.dtype))
    assert ge.arange(*args, dtype=ge.float64).dtype == ge.float64


def test_arange_by_keyword():
    assert ge.arange(start=1, stop=7, step=2).tolist() == [1, 3, 5]
    assert ge.arange(4, requires_grad=True, dtype=ge.float32).requires_grad
    assert ge.arange(ge.tensor(2), np.int64(4)).tolist() == [2, 3]


def test_linspace_and_eye_are_numpys():
    for endpoint in (True, False):
        want = np.linspace(-1, 2, 7, endpoint=endpoint).astype(np.float32)
        np.testing.assert_array_equal(ge.linspace(-1, 2, 7, endpoint=endpoint).numpy(), want)
    assert ge.linspace(0, 1, 0).shape == (0,)
    assert ge.linspace(0, 1, 3, dtype=ge.float64).dtype == ge.float64
    for n, m, k in ((3, None, 0), (2, 4, 1), (4, 2, -1), (0, 3, 0)):
        np.testing.assert_array_equal(ge.eye(n, m, k=k).numpy(), np.eye(n, m, k))
        np.testing.assert_array_equal(ge.tri(n, m, k=k).numpy(), np.tri(n, m, k))


def test_meshgrid_is_numpys():
    x, y, z = ge.arange(2), ge.arange(3.0), ge.tensor(5)
    for indexing in ("xy", "ij"):
        want = np.meshgrid(x.numpy(), y.numpy(), z.numpy(), indexing=indexing)
        for got, w in zip(ge.meshgrid(x, y, z, indexing=indexing), want, strict=True):
            np.testing.assert_array_equal(got.numpy(), w)
            assert got.dtype == w.dtype
    assert ge.meshgrid(x)[0].shape == (2,)
    assert ge.meshgrid() == []


def test_dtype_questions():
    assert ge.float32 == np.float32
    assert ge.finfo(ge.tensor([1.0])).eps == np.finfo(np.float32).eps
    assert ge.iinfo("uint8").max == 255
    assert ge.result_type(ge.tensor([1.0]), 2.5, ge.float16) == ge.float32
    assert ge.result_type(ge.tensor([1]), 2.5) == ge.float32
    assert ge.result_type(1, 2) == ge.int64
    assert ge.can_cast(ge.tensor([1], dtype=ge.int8), ge.int64)
    assert not ge.can_cast(ge.int64, ge.int8)
    assert ge.isdtype(ge.int8, ("bool", "signed integer"))
    assert not ge.isdtype(ge.int8, "real floating")


def test_the_array_api_s_constants():
    assert (ge.pi, ge.e, ge.inf) == (np.pi, np.e, np.inf)
    assert ge.nan != ge.nan
    assert ge.ones(3)[:, ge.newaxis].shape == (3, 1)
    assert (ge.ones(2) * ge.pi).dtype == ge.float32


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: ge.tensor([[1, 2], [3]]), ShapeError, "tensor: cannot make an array of list"),
        (lambda: ge.tensor("abc"), DTypeError, "no array of numbers"),
        (lambda: ge.tensor(None), DTypeError, "no array of numbers"),
        (lambda: ge.tensor(1j), DTypeError, "tensor: got complex 1j; complex numbers are not supported"),
        (lambda: ge.tensor([1], requires_grad=True), DTypeError, "only floating-point Tensors have gradients"),
        (lambda: ge.zeros(2, dtype=int, requires_grad=True), DTypeError, "only floating-point"),
        (lambda: ge.tensor([1.0], device="tpu"), DeviceError, "there is no 'tpu'"),
        (lambda: ge.zeros(2, device="cuda:99"), DeviceError, "device 'cuda:99'"),
        (lambda: ge.zeros(2, -1), ShapeError, "zeros: shape (2, -1): sizes cannot be negative"),
        (lambda: ge.zeros((2, 3), ge.float32), DTypeError, "zeros: a shape is an int or a tuple of ints"),
        (lambda: ge.ones(2.5), DTypeError, "ones: a shape is an int or a tuple of ints, got 2.5"),
        (lambda: ge.ones(10**10, 10**10), ShapeError, "ones: cannot make an array of shape"),
        (lambda: ge.zeros(2, dtype="floaty"), DTypeError, "'floaty' is no dtype of gradengine's; use ge.float32"),
        (lambda: ge.full((2,), [1, 2]), ShapeError, "full: fill_value must be one number"),
        (lambda: ge.full((2,), "a"), DTypeError, "full: str 'a' is no array of numbers"),
        (lambda: ge.arange(1, 5, 0), ArgumentError, "arange: step must not be 0"),
        (lambda: ge.arange("a"), DTypeError, "arange: takes numbers"),
        (lambda: ge.arange(0, float("inf")), ArgumentError, "arange: "),
        (lambda: ge.arange(300, dtype=ge.int8), ArgumentError, "arange: numbers from 0 to 299 do not fit into int8"),
        (lambda: ge.linspace(0, 1, -1), ArgumentError, "linspace: "),
        (lambda: ge.linspace(0, 1, 2.5), DTypeError, "linspace: num must be an int"),
        (lambda: ge.eye(-1), ShapeError, "eye: shape (-1, -1)"),
        (lambda: ge.meshgrid(ge.ones(2, 2)), ShapeError, "meshgrid: takes 1-d arrays"),
        (lambda: ge.meshgrid(ge.ones(2), indexing="yx"), ArgumentError, "meshgrid: indexing must be"),
        (lambda: ge.finfo(ge.int8), DTypeError, "finfo: int8 is not a floating-point dtype"),
        (lambda: ge.iinfo(ge.float32), DTypeError, "iinfo: float32 is not an integer dtype"),
        (lambda: ge.result_type(), DTypeError, "result_type: give at least one"),
        (lambda: ge.isdtype(ge.int8, "whole"), DTypeError, "isdtype: str 'whole' is no kind of dtype"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


def test_ints_of_more_than_64_bits_say_so():
    for make in (lambda: ge.tensor(2**70), lambda: ge.asarray([1, -(2**70)]), lambda: ge.full(2, 2**64)):
        with pytest.raises(DTypeError, match=r"^\w+: .* does not fit into 64 bits; write a float, such as 1e20$"):
            make()
    assert ge.tensor(2**64 - 1).dtype == ge.uint64
