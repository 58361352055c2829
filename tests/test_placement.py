"""Devices without a GPU: a second one that is NumPy under another name, the default one, and graphs over both."""

import copy
import pickle

import numpy as np
import pytest

import gradengine as ge
from gradengine import DeviceError
from gradengine.backend import devices
from gradengine.cases import table
from gradengine.inspect import check
from gradengine_kernels import numpy_cpu


class Elsewhere(devices.Backend):
    """NumPy's kernels on a device of its own, which counts what is moved there."""

    def __init__(self):
        super().__init__("elsewhere", "elsewhere:0", numpy_cpu.KERNELS)
        self.received = []

    def receive(self, array, origin):
        self.received.append(np.shape(array))
        return np.array(array)


@pytest.fixture
def elsewhere():
    """A device "elsewhere:0" for the test."""
    made = devices._loaded["elsewhere"] = Elsewhere()
    yield made
    ge.set_default_device("cpu")
    del devices._loaded["elsewhere"]


def test_the_default_device_is_where_new_tensors_are(elsewhere):
    assert ge.get_default_device() == "cpu"
    ge.set_default_device("elsewhere:0")
    assert ge.get_default_device() == "elsewhere:0"
    made = [
        ge.tensor([1.0]), ge.zeros(2), ge.ones(2), ge.full((2,), 3), ge.empty(2), ge.arange(3), ge.linspace(0, 1, 3),
        ge.eye(2), ge.tri(2), ge.rand(2), ge.randn(2), ge.randint(3, (2,)), ge.randperm(3), ge.bernoulli(0.5, (2,)),
        ge.asarray(np.zeros(2)), ge.exp(1.0), ge.nn.Parameter([1.0]), ge.nn.Linear(2, 2).weight,
        ge.zeros_like(np.zeros(2)), ge.stack([[1.0], [2.0]]),
    ]  # fmt: skip
    assert {x.device for x in made} == {"elsewhere:0"}
    assert ge.zeros(2, device="cpu").device == "cpu"
    ge.set_default_device(None)
    assert ge.get_default_device() == ge.zeros(2).device == "cpu"


def test_an_unknown_default_device_changes_nothing(elsewhere):
    ge.set_default_device("elsewhere:0")
    with pytest.raises(DeviceError, match="no 'tpu'"):
        ge.set_default_device("tpu")
    assert ge.get_default_device() == "elsewhere:0"


def test_what_has_a_device_stays_there(elsewhere):
    there = ge.tensor([1.0, 2.0], device="elsewhere:0")
    made = [
        ge.tensor(there), ge.asarray(there), there + 1, 1 - there, there + np.ones(2), there.detach(), there.clone(),
        ge.zeros_like(there), ge.full_like(there, 2), there[0], there[[0, 1]], there.to(ge.float64), copy.copy(there),
        copy.deepcopy(there), ge.clip(there, 0, 1), ge.where(there > 1, there, 0), ge.nn.Parameter(there),
        ge.nn.functional.dropout(there), ge.bernoulli(there / 2), ge.one_hot(there.to(ge.int64), 3),
    ]  # fmt: skip
    assert {x.device for x in made} == {"elsewhere:0"}
    assert ge.full((2,), there[0]).device == "cpu"
    assert pickle.loads(pickle.dumps(there)).device == "cpu"


OWN_TENSORS = ("weight", "all options")  # rows that make Tensors of their own, where the default device is


@pytest.mark.parametrize("default", ["cpu", "elsewhere:0"])
def test_every_op_stays_on_the_device_of_its_operands(elsewhere, default):
    other = "elsewhere:0" if default == "cpu" else "cpu"
    ge.set_default_device(default)
    ran = 0
    for case in table():
        arrays = check.in_dtype(check.sample(case), np.float32)
        inputs = [ge.tensor(a, device=other) if isinstance(a, np.ndarray) else a for a in arrays]
        for x in inputs:
            if isinstance(x, ge.Tensor) and x.dtype == ge.float32:
                x.requires_grad_()
        if any(word in case.name for word in OWN_TENSORS) or not any(isinstance(x, ge.Tensor) for x in inputs):
            continue
        ran += 1
        with np.errstate(all="ignore"):
            y = case.call(*inputs)
        assert y.device == other, case.name
        if y.requires_grad:
            with np.errstate(all="ignore"):
                y.sum().backward()
            grads = [x.grad for x in inputs if isinstance(x, ge.Tensor) and x.grad is not None]
            assert {g.device for g in grads} == {other}, case.name
    assert ran > 600


def test_gradients_flow_through_a_move(elsewhere):
    x = ge.tensor([1.0, 2.0, 3.0], dtype=ge.float64, requires_grad=True)
    y = (x * 2).to("elsewhere:0")
    assert (y.device, y.requires_grad, y.is_leaf) == ("elsewhere:0", True, False)
    loss = (y * y).sum() + y[1]
    loss.backward()
    assert x.grad.device == "cpu"
    np.testing.assert_allclose(x.grad.numpy(), 8 * x.detach().numpy() + [0, 2, 0])
    assert elsewhere.received == [(3,)]  # the value went over, and nothing else


def test_gradients_of_a_move_add_up_on_either_side(elsewhere):
    x = ge.tensor([1.0, 2.0], requires_grad=True)
    weight = ge.tensor([3.0, 4.0], device="elsewhere:0", requires_grad=True)
    there, again = x.to("elsewhere:0"), x.to("elsewhere:0")
    back = (there * weight * again).to("cpu")
    (back * x).sum().backward()  # x ** 3 * weight
    np.testing.assert_allclose(x.grad.numpy(), [9.0, 48.0])
    assert weight.grad.device == "elsewhere:0"
    np.testing.assert_allclose(weight.grad.numpy(), [1.0, 8.0])


def test_second_order_gradients_flow_through_a_move(elsewhere):
    x = ge.tensor([2.0], dtype=ge.float64, requires_grad=True)
    y = x.to("elsewhere:0")
    (first,) = ge.grad((y * y * y).sum(), x, create_graph=True)
    (second,) = ge.grad(first.sum(), x)
    assert (first.device, second.device) == ("cpu", "cpu")
    assert (first.item(), second.item()) == (12.0, 12.0)


def test_nothing_is_recorded_of_a_move_without_grad(elsewhere):
    x = ge.tensor([1.0], requires_grad=True)
    with ge.no_grad():
        assert not x.to("elsewhere:0").requires_grad
    assert not x.detach().to("elsewhere:0").requires_grad


def test_a_gradient_on_another_device_is_an_error(elsewhere):
    x = ge.tensor([1.0], requires_grad=True)
    with pytest.raises(DeviceError, match=r"grad: the Tensor is on 'cpu', its gradient on 'elsewhere:0'"):
        x.grad = ge.ones(1, device="elsewhere:0")
    x._grad = ge.ones(1, device="elsewhere:0")  # as it may be after the value has moved
    with pytest.raises(DeviceError, match=r"leaf of shape \(1,\) is on 'cpu', its grad on 'elsewhere:0'"):
        (x * 2).sum().backward()
    with pytest.raises(DeviceError, match=r"SGD: .*'cpu'.*'elsewhere:0'.*\.to\('cpu'\)"):
        ge.optim.SGD([x], lr=0.1).step()


def test_optimizer_state_follows_its_parameters(elsewhere):
    def steps(moves):
        ge.manual_seed(0)
        model = ge.nn.Linear(3, 2)
        optimizer = ge.optim.Adam(model.parameters(), lr=0.1)
        for move in moves:
            model.to(move)
            optimizer.zero_grad()
            (model(ge.ones((4, 3), device=move)) ** 2).sum().backward()
            optimizer.step()
            assert {value.device for held in optimizer.state.values() for value in (held["exp_avg"],)} == {move}
        return [p.detach().cpu().numpy() for p in model.parameters()]

    for moved, stayed in zip(steps(["cpu", "elsewhere:0", "cpu"]), steps(["cpu"] * 3), strict=True):
        np.testing.assert_array_equal(moved, stayed)


def test_saved_state_goes_to_where_the_parameters_are(elsewhere):
    model = ge.nn.Linear(3, 2)
    optimizer = ge.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(ge.ones((4, 3))).sum().backward()
    optimizer.step()
    other = ge.nn.Linear(3, 2).to("elsewhere:0")
    other.load_state_dict(model.state_dict())
    follower = ge.optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    follower.load_state_dict(optimizer.state_dict())
    assert {p.device for p in other.parameters()} == {"elsewhere:0"}
    assert {held["momentum_buffer"].device for held in follower.state.values()} == {"elsewhere:0"}
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


def test_clipping_takes_gradients_of_several_devices_together(elsewhere):
    here = ge.tensor([3.0], requires_grad=True)
    there = ge.tensor([4.0], device="elsewhere:0", requires_grad=True)
    for x in (here, there):
        (x * x / 2).sum().backward()
    assert ge.nn.utils.clip_grad_norm_([here, there], 1.0).item() == 5.0
    assert (here.grad.device, there.grad.device) == ("cpu", "elsewhere:0")
    np.testing.assert_allclose([here.grad.item(), there.grad.item()], [0.6, 0.8], rtol=1e-6)


def test_batches_are_made_where_the_data_is(elsewhere):
    def epoch(**settings):
        loader = ge.data.DataLoader((ge.arange(10), np.arange(10.0)), 4, True, generator=ge.Generator(5), **settings)
        return [tuple(loader) for _ in range(2)]

    here, there = epoch(), epoch(device="elsewhere:0")
    assert {t.device for batches in there for batch in batches for t in batch} == {"elsewhere:0"}
    for a, b in zip(here, there, strict=True):
        for x, y in zip(a, b, strict=True):
            assert [t.tolist() for t in x] == [t.tolist() for t in y]
    # Both arrays went over once, and for each epoch its order; no batch did.
    assert elsewhere.received == [(10,)] * 4


def test_a_checkpoint_is_read_to_the_default_device(elsewhere, tmp_path):
    pytest.importorskip("safetensors")
    ge.save({"w": ge.ones(2, device="elsewhere:0")}, tmp_path / "w.safetensors")
    assert ge.load(tmp_path / "w.safetensors")["w"].device == "cpu"
    ge.set_default_device("elsewhere:0")
    assert ge.load(tmp_path / "w.safetensors")["w"].device == "elsewhere:0"


def test_host_memory_is_no_cuda_array():
    x = ge.ones(2)
    assert not hasattr(x, "__cuda_array_interface__")
    assert x.__dlpack_device__() == (1, 0)


def test_a_view_of_another_device_is_refused(elsewhere):
    x = ge.ones(2, device="elsewhere:0")
    assert np.asarray(x).tolist() == [1.0, 1.0]
    with pytest.raises(DeviceError, match="without a copy"):
        np.asarray(x, copy=False)


def test_an_op_whose_name_is_declared_again_works_on_backends_that_load_later(monkeypatch):
    """As when the cell of a notebook runs twice, while a model holds the first op."""
    first, second = [ge.elementwise("twice_declared", None, body=lambda k, x, n=n: x * n) for n in (2.0, 3.0)]
    ge.set_cpu_backend("numpy")
    monkeypatch.delitem(devices._loaded, "numpy")
    x = ge.ones(2)
    assert (first(x) + second(x)).tolist() == [5.0, 5.0]
