"""Device "cuda": making, moving and exchanging Tensors, what a seed gives there, memory, streams, two GPUs.

Runs on the emulator, on the real CuPy over an emulated driver, or on a GPU (see GRADENGINE_TEST_CUDA).
"""

import copy
import os
import pickle

import numpy as np
import pytest

import gradengine as ge
from gradengine import DeviceError
from gradengine.backend import devices
from gradengine.inspect import check

cupy = pytest.importorskip("cupy")
pytestmark = pytest.mark.cuda
EMULATED = os.environ.get("GRADENGINE_TEST_CUDA", "") != "device"


def address(t):
    return t.array.data.ptr


# -- making and moving ------------------------------------------------------------------------------------------------


def test_names_of_the_device():
    for name in ("cuda", "cuda:0"):
        x = ge.zeros(2, device=name)
        assert x.device == "cuda:0"
        assert type(x.array) is cupy.ndarray
    assert x.to("cuda") is x.to("cuda:0") is x.cuda() is x.cuda(0) is x.cuda(non_blocking=True) is x
    assert x.is_cuda
    assert not x.cpu().is_cuda
    for wrong in ("cpu", "tpu"):
        with pytest.raises(DeviceError, match=f"cuda: '{wrong}' is no GPU"):
            x.cuda(wrong)
        with pytest.raises(DeviceError, match=f"cuda: '{wrong}' is no GPU"):
            ge.nn.Linear(2, 2).cuda(wrong)
    assert ge.nn.Linear(2, 2).cuda("cuda:0").weight.device == ge.nn.Linear(2, 2).cuda(0).weight.device == "cuda:0"
    assert ge.backends()["cupy"] == "available"
    assert devices.load("cupy") is devices.for_device("cuda") is x.backend
    assert repr(x.backend) == "<backend cupy on cuda:0>"


def test_a_number_is_a_gpu_wherever_a_device_is_taken():
    here, values = ge.ones(2), np.ones(2, np.float32)
    for number in (0, np.int64(0)):
        for made in (
            ge.tensor([1.0], device=number),
            ge.Tensor(here, device=number),
            ge.asarray(values, device=number),
            ge.asarray(here, device=number),
            ge.from_dlpack(values, device=number),
            ge.zeros(2, device=number),
            ge.arange(3, device=number),
            ge.zeros_like(here, device=number),
            ge.full_like(here, 2.0, device=number),
            ge.rand(2, device=number),
            here.to(number),
            here.to(number, ge.float64),
            here.to(device=number),
            here.cuda(number),
            ge.nn.Linear(2, 3, device=number).weight,
            ge.nn.Linear(2, 3).to(number).weight,
            ge.nn.Linear(2, 3).to(device=number).weight,
            ge.nn.Linear(2, 3).cuda(number).bias,
            next(iter(ge.data.DataLoader(here, device=number)))[0],
            ge.amp.GradScaler(device=number).scale(ge.ones(1, device="cuda")),
        ):
            assert made.device == "cuda:0"
        assert ge.cuda.get_device_name(number) == ge.cuda.get_device_name("cuda")
    ge.set_default_device(0)
    assert ge.get_default_device() == "cuda:0"


TAKES_A_DEVICE = {
    "tensor": lambda device: ge.tensor([1.0], device=device),
    "asarray": lambda device: ge.asarray(np.ones(2), device=device),
    "asarray of a Tensor": lambda device: ge.asarray(ge.ones(2), device=device),
    "from_dlpack": lambda device: ge.from_dlpack(np.ones(2), device=device),
    "zeros": lambda device: ge.zeros(2, device=device),
    "zeros_like": lambda device: ge.zeros_like(ge.ones(2), device=device),
    "full_like": lambda device: ge.full_like(ge.ones(2), 1.0, device=device),
    "arange": lambda device: ge.arange(2, device=device),
    "rand": lambda device: ge.rand(2, device=device),
    "to": lambda device: ge.ones(2).to(device=device),
    "module": lambda device: ge.nn.Linear(1, 1).to(device=device),
    "loader": lambda device: ge.data.DataLoader(ge.ones(2), device=device),
    "scaler": lambda device: ge.amp.GradScaler(device=device),
    "default": lambda device: ge.set_default_device(device),
}


@pytest.mark.parametrize("takes", TAKES_A_DEVICE.values(), ids=TAKES_A_DEVICE)
def test_what_is_no_device_is_an_error(takes):
    for wrong in ("", "gpu", -1, True, 1.5):
        with pytest.raises(DeviceError, match=r"^device: there is no .*; use 'cpu', 'cuda' or 'cuda:<number>'"):
            takes(wrong)
    with pytest.raises(DeviceError, match="'cuda:7'"):
        takes(7)


@pytest.mark.torch
def test_devices_of_pytorch_are_devices_here(torch):
    here = ge.ones(2)
    for device in (torch.device("cuda"), torch.device("cuda", 0), torch.device("cuda:0")):
        assert {here.to(device).device, here.to(device, ge.float64).device, ge.zeros(1, device=device).device} == {
            "cuda:0"
        }
        assert ge.nn.Linear(1, 1).to(device).weight.device == "cuda:0"
    assert here.to(torch.device("cpu")) is here
    with pytest.raises(DeviceError, match="there is no 'meta'"):
        here.to(torch.device("meta"))


def test_everything_that_makes_a_tensor_makes_it_there(rng):
    values = rng.normal(size=(3, 4)).astype(np.float32)
    pairs = [
        (lambda **d: ge.tensor(values, **d)), (lambda **d: ge.tensor([[1, 2], [3, 4]], **d)),
        (lambda **d: ge.tensor(True, **d)), (lambda **d: ge.tensor(1.5, **d)), (lambda **d: ge.asarray(values, **d)),
        (lambda **d: ge.zeros(2, 3, **d)), (lambda **d: ge.ones((2,), dtype=ge.int8, **d)),
        (lambda **d: ge.full((2, 2), 7, **d)), (lambda **d: ge.arange(2, 9, 3, **d)),
        (lambda **d: ge.eye(3, 4, k=1, **d)),
        (lambda **d: ge.linspace(0, 1, 7, **d)), (lambda **d: ge.tri(3, **d)), (lambda **d: ge.zeros((0, 3), **d)),
        (lambda **d: ge.zeros_like(values, **d)), (lambda **d: ge.full_like(ge.tensor([1, 2]), 3, **d)),
    ]  # fmt: skip
    for make in pairs:
        here, there = make(device="cpu"), make(device="cuda")
        assert there.device == "cuda:0"
        assert (there.dtype, there.shape) == (here.dtype, here.shape)
        np.testing.assert_array_equal(there.numpy(), here.numpy())
    assert ge.empty(2, 3, device="cuda").shape == (2, 3)
    assert ge.zeros(2, device="cuda", requires_grad=True).requires_grad


def test_the_default_device():
    ge.set_default_device("cuda")
    assert ge.get_default_device() == "cuda:0"
    model = ge.nn.Sequential(ge.nn.Linear(3, 4), ge.nn.LayerNorm(4))
    assert {p.device for p in model.parameters()} == {"cuda:0"}
    assert {ge.tensor([1.0]).device, ge.exp(1.0).device, ge.rand(2).device} == {"cuda:0"}
    assert ge.cuda.current_device() == 0
    with check.on_backend("numpy"):
        assert ge.zeros(1).device == "cpu"
    assert ge.zeros(1).device == "cuda:0"


def test_on_backend_runs_there():
    with check.on_backend("cupy"):
        assert ge.zeros(1).device == "cuda:0"
    assert ge.zeros(1).device == "cpu"


def test_moving_there_and_back(rng):
    for dtype in ("float32", "float64", "float16", "int64", "int8", "uint8", "bool"):
        values = rng.integers(0, 2, (3, 4)).astype(dtype)
        there = ge.tensor(values).to("cuda")
        assert (there.device, there.dtype) == ("cuda:0", np.dtype(dtype))
        assert there.to("cpu").device == there.cpu().device == "cpu"
        np.testing.assert_array_equal(there.cpu().numpy(), values)
    x = ge.tensor([1.7, 2.2])
    assert x.to("cuda", ge.int64).tolist() == [1, 2]
    assert x.to(ge.zeros(1, dtype=ge.float64, device="cuda")).dtype == ge.float64
    assert x.to("cuda", non_blocking=True).device == "cuda:0"


def test_values_come_to_the_host():
    x = ge.tensor([[1.0, 2.5]], device="cuda")
    assert x.tolist() == [[1.0, 2.5]]
    assert x[0, 1].item() == float(x[0, 1]) == 2.5
    assert int(x[0, 0]) == 1
    assert bool(x[0, 0])
    assert repr(x) == "tensor([[1. , 2.5]], device='cuda:0')"
    assert 2.5 in x
    assert [row.device for row in x] == ["cuda:0"]
    assert np.asarray(x).tolist() == [[1.0, 2.5]]
    assert list(range(5))[ge.tensor(3, device="cuda")] == 3
    host = x.numpy()
    assert not host.flags.writeable
    x += 1
    assert host.tolist() == [[1.0, 2.5]]
    with pytest.raises(DeviceError, match="without a copy"):
        np.asarray(x, copy=False)


def test_copies():
    x = ge.tensor([1.0, 2.0], device="cuda", requires_grad=True)
    (x * x).sum().backward()
    other = copy.deepcopy(x)
    assert (other.device, other.grad.device, other.requires_grad) == ("cuda:0", "cuda:0", True)
    with ge.no_grad():
        other += 1
        other.grad += 1
    assert (x.tolist(), x.grad.tolist()) == ([1.0, 2.0], [2.0, 4.0])
    loaded = pickle.loads(pickle.dumps(x))
    assert (loaded.device, loaded.requires_grad, loaded.tolist()) == ("cpu", True, [1.0, 2.0])
    assert ge.tensor(x.detach()).array is not x.array


def test_operands_on_two_devices():
    here, there = ge.ones((2, 3)), ge.ones((2, 3), device="cuda")
    for mix in (
        lambda: here + there,
        lambda: ge.where(here > 0, here, there),
        lambda: here.mT @ there,
        lambda: ge.stack([here, there]),
    ):
        with pytest.raises(DeviceError, match=r"'cpu'.*'cuda:0'.*the one on 'cpu' with \.to\('cuda:0'\)"):
            mix()
    with pytest.raises(DeviceError, match=r"'cpu'.*'cuda:0'"):
        here + cupy.ones((2, 3), "float32")
    words = r"^copy_: this Tensor lives on 'cpu', the other on 'cuda:0'; move that one with \.to\('cpu'\)$"
    for other in (there, cupy.ones((2, 3), "float32")):
        with pytest.raises(DeviceError, match=words):
            here.copy_(other)
    assert here.fill_(2.0).tolist() == there.fill_(2.0).tolist() == [[2.0] * 3] * 2
    assert (there + np.ones((2, 3), np.float32)).device == (there + [1.0, 2.0, 3.0]).device == "cuda:0"


def test_in_place_writes_only_where_nobody_looks():
    x = ge.zeros(4, device="cuda")
    before = address(x)
    x[1] = 5.0
    assert address(x) == before
    w = ge.ones(4, device="cuda", requires_grad=True)
    y = (x * w).sum()  # which has saved x's array
    x[2] = 7.0
    assert address(x) != before
    y.backward()
    assert (x.tolist(), w.grad.tolist()) == ([0.0, 5.0, 7.0, 0.0], [0.0, 5.0, 0.0, 0.0])
    same = x.detach()
    x[3] = 1.0
    assert same.tolist() == [0.0, 5.0, 7.0, 1.0]


def test_gradients_flow_through_moves():
    x = ge.tensor([1.0, 2.0, 3.0], requires_grad=True)
    weight = ge.tensor([2.0, 3.0, 4.0], device="cuda", requires_grad=True)
    y = x.to("cuda")
    (((y * weight * y).cpu() * x).sum()).backward()  # x ** 3 * weight
    np.testing.assert_allclose(x.grad.numpy(), 3 * np.array([1.0, 4.0, 9.0]) * [2.0, 3.0, 4.0])
    np.testing.assert_allclose(weight.grad.numpy(), [1.0, 8.0, 27.0])
    assert (x.grad.device, weight.grad.device) == ("cpu", "cuda:0")


def test_hooks_and_retained_gradients_are_there():
    x = ge.tensor([1.0, 2.0], device="cuda", requires_grad=True)
    seen = []
    y = x * 3
    y.retain_grad()
    y.register_hook(lambda g: seen.append(g.device) or g * 2)
    x.register_hook(lambda g: seen.append(g.device))
    y.sum().backward()
    assert seen == ["cuda:0", "cuda:0"]
    assert (y.grad.device, x.grad.tolist()) == ("cuda:0", [6.0, 6.0])


def test_gradcheck_there():
    ge.set_default_device("cuda")
    x = ge.tensor([[0.3, -0.2], [0.7, 0.9]], dtype=ge.float64, requires_grad=True)
    assert ge.autograd.gradcheck(lambda a: (a.tanh() @ a).exp(), (x,))
    assert ge.autograd.gradgradcheck(lambda a: (a * a).tanh(), (x,))


# -- a seed gives the same everywhere ---------------------------------------------------------------------------------


def everywhere(make):
    """What `make()` gives on each backend, after one seed."""
    found = []
    for name, status in ge.backends().items():
        if status == "available":
            with check.on_backend(name, every_size=False):
                ge.manual_seed(2024)
                found.append([np.array(x.numpy(force=True)) for x in make()])
    assert len(found) > 1
    return found


@pytest.mark.parametrize(
    "make",
    [
        lambda: ge.nn.Sequential(ge.nn.Linear(40, 30), ge.nn.Linear(30, 10), ge.nn.Embedding(7, 5)).parameters(),
        lambda: [ge.nn.init.kaiming_normal_(ge.empty((30, 20)), nonlinearity="relu")],
        lambda: [ge.nn.init.xavier_uniform_(ge.empty((30, 20))), ge.nn.init.normal_(ge.empty(100), 1.0, 0.02)],
        lambda: [ge.nn.init.trunc_normal_(ge.empty(1000), std=0.02), ge.nn.init.uniform_(ge.empty(999), -0.3, 0.7)],
        lambda: [ge.nn.init.orthogonal_(ge.empty((9, 6))), ge.nn.init.eye_(ge.empty((3, 4)))],
        lambda: [ge.nn.functional.dropout(ge.ones((33, 7)), p) for p in (0.1, 0.5, 0.9)],
        lambda: [ge.rand(1001), ge.randn(1001), ge.randint(-5, 900, (77,)), ge.randperm(101), ge.bernoulli(0.3, (99,))],
        lambda: [ge.rand(99, dtype=ge.float64), ge.randn(99, dtype=ge.float64), ge.uniform(-1.0, 3.0, (99,))],
        lambda: [x for _ in range(2) for x in LOADER],
    ],
)
def test_a_seed_gives_the_same_bits_on_every_backend(make):
    first, *others = everywhere(make)
    for other in others:
        for a, b in zip(first, other, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


LOADER = ge.data.DataLoader(np.arange(103), 10, shuffle=True)


def test_a_state_goes_on_elsewhere():
    generator = ge.Generator(5)
    ge.rand(10, generator=generator, device="cuda")
    state = generator.state_dict()
    there = ge.rand(10, generator=generator, device="cuda")
    assert ge.rand(10, generator=ge.Generator(0), device="cpu").device == "cpu"
    other = ge.Generator(0)
    other.load_state_dict(state)
    np.testing.assert_array_equal(ge.rand(10, generator=other).numpy(), there.numpy())


# -- training ---------------------------------------------------------------------------------------------------------


def trained(device, steps, model=None, optimizer=None):
    """A model and its optimizer after some steps of a small problem."""
    if model is None:
        ge.manual_seed(3)
        model = ge.nn.Sequential(ge.nn.Linear(5, 8), ge.nn.Tanh(), ge.nn.Linear(8, 3)).to(device)
        optimizer = ge.optim.Adam(model.parameters(), lr=0.05)
    rng = np.random.default_rng(1)
    data = (rng.normal(size=(20, 5)).astype(np.float32), rng.integers(0, 3, 20))
    loader = ge.data.DataLoader(data, 10, shuffle=True, generator=ge.Generator(4), device=device)
    for _ in range(steps):
        for x, y in loader:
            optimizer.zero_grad()
            ge.nn.functional.cross_entropy(model(x), y).backward()
            ge.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    return model, optimizer


def close(a, b):
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=2e-4, atol=2e-6)


def test_training_there_is_training_here():
    here, _ = trained("cpu", 4)
    there, optimizer = trained("cuda", 4)
    assert {p.device for p in there.parameters()} == {"cuda:0"}
    assert {held["exp_avg"].device for held in optimizer.state.values()} == {"cuda:0"}
    close(here, there)


@pytest.mark.parametrize(("first", "then"), [("cuda", "cpu"), ("cpu", "cuda"), ("cuda", "cuda")])
def test_a_checkpoint_goes_on_on_either_device(tmp_path, first, then):
    pytest.importorskip("safetensors")
    model, optimizer = trained(first, 2)
    ge.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "state.safetensors")
    state = ge.load(tmp_path / "state.safetensors")
    assert {value.device for value in state["model"].values()} == {"cpu"}
    other, other_optimizer = trained(then, 0)
    other.load_state_dict(state["model"])
    other_optimizer.load_state_dict(state["optimizer"])
    assert {p.device for p in other.parameters()} == {ge.zeros(1, device=then).device}
    trained(then, 2, other, other_optimizer)
    trained(first, 2, model, optimizer)
    close(model, other)


def test_a_model_may_move_between_steps():
    model, optimizer = trained("cpu", 2)
    trained("cuda", 2, model.cuda(), optimizer)
    moved, _ = trained("cpu", 1, model.cpu(), optimizer)
    stayed, stayed_optimizer = trained("cpu", 2)
    for steps in (2, 1):
        trained("cpu", steps, stayed, stayed_optimizer)
    close(moved, stayed)


# -- two GPUs ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def two_gpus(monkeypatch):
    """Two GPUs, of which kernels and arrays know."""
    if EMULATED:
        monkeypatch.setenv("GRADENGINE_EMULATED_DEVICES", "2")
    elif ge.cuda.device_count() < 2:
        pytest.skip("there is one GPU")
    for name in ("cupy", "cupy:1"):
        monkeypatch.delitem(devices._loaded, name, raising=False)
    yield
    for name in ("cupy", "cupy:1"):
        devices._loaded.pop(name, None)


def test_tensors_compute_where_they_are(two_gpus):
    x = ge.tensor([[1.0, 2.0], [3.0, 4.0]], device="cuda:1", requires_grad=True)
    y = ((x @ x).tanh() * x).sum(axis=0)
    assert (x.device, y.device, x.array.device.id, y.array.device.id) == ("cuda:1", "cuda:1", 1, 1)
    y.sum().backward()
    assert x.grad.array.device.id == 1
    here = x.detach().cpu().requires_grad_()
    ((here @ here).tanh() * here).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), here.grad.numpy(), rtol=1e-6)
    assert cupy.cuda.runtime.getDevice() == 0
    assert ge.cuda.device_count() == 2
    assert len(ge.cuda.names()) == 2


def test_two_gpus_do_not_mix(two_gpus):
    a, b = ge.ones(3, device="cuda:0"), ge.ones(3, device="cuda:1")
    with pytest.raises(DeviceError, match=r"'cuda:0'.*'cuda:1'"):
        a + b
    assert (a + b.to("cuda:0")).device == "cuda:0"
    assert b.cuda(0).array.device.id == 0
    with pytest.raises(DeviceError, match="the 2 GPUs are 'cuda:0' to 'cuda:1'"):
        ge.zeros(1, device="cuda:2")


def test_graphs_and_optimizers_over_two_gpus(two_gpus):
    first = ge.nn.Linear(3, 4).to("cuda:0")
    second = ge.nn.Linear(4, 2).to("cuda:1")
    twin = [copy.deepcopy(layer).cpu() for layer in (first, second)]
    x = np.ones((5, 3), np.float32)
    hidden = first(ge.tensor(x, device="cuda:0")).tanh()
    (second(hidden.to("cuda:1")).sum() + (hidden.to("cuda:1") ** 2).sum()).backward()
    hidden = twin[0](ge.tensor(x)).tanh()
    (twin[1](hidden).sum() + (hidden**2).sum()).backward()
    for layer, other in zip((first, second), twin, strict=True):
        for p, q in zip(layer.parameters(), other.parameters(), strict=True):
            assert p.grad.device == p.device
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-5)
    for layers in ((first, second), twin):
        parameters = [p for layer in layers for p in layer.parameters()]
        ge.nn.utils.clip_grad_norm_(parameters, 0.5)
        ge.optim.Adam(parameters, lr=0.1).step()
    for layer, other in zip((first, second), twin, strict=True):
        for p, q in zip(layer.parameters(), other.parameters(), strict=True):
            np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-5, atol=1e-7)


def test_the_default_may_be_the_second(two_gpus):
    ge.set_default_device("cuda:1")
    assert ge.cuda.current_device() == 1
    x = ge.rand(10)
    assert x.device == "cuda:1"
    assert x.array.device.id == 1
    assert ge.zeros(1, device="cuda").device == "cuda:0"
    assert ge.asarray(cupy.zeros(2)).device == "cuda:0"
