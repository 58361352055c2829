"""Tensor itself: construction, interop with NumPy and DLPack, changes in place, what it prints."""

import copy
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradengine as ge
from gradengine import ArgumentError, DeviceError, DTypeError, GradengineError, GraphError, ShapeError


def test_python_floats_become_float32_and_arrays_keep_their_dtype():
    assert ge.tensor(1.5).dtype == np.float32
    assert ge.tensor([1.5, 2]).dtype == np.float32
    assert ge.tensor([1, 2]).dtype == np.int64
    assert ge.tensor([True]).dtype == np.bool_
    assert ge.tensor(np.zeros(2)).dtype == np.float64
    assert ge.tensor(np.float64(2)).dtype == np.float64
    assert ge.tensor([np.float64(2)]).dtype == np.float64
    assert ge.tensor([1, 2], dtype=ge.float16).dtype == np.float16
    assert ge.Tensor([[1.0]]).shape == (1, 1)


def test_tensor_copies_and_asarray_shares():
    source = np.zeros(3)
    copied, shared = ge.tensor(source), ge.asarray(source)
    source[0] = 7
    assert copied.tolist() == [0, 0, 0]
    assert shared.tolist() == [7, 0, 0]


@pytest.mark.parametrize(
    ("data", "error"),
    [([[1.0], [1.0, 2.0]], ShapeError), ("text", GradengineError), ([1j], DTypeError), (object(), GradengineError)],
)
def test_what_is_no_array_is_refused(data, error):
    with pytest.raises(error, match=r"tensor|dtype"):
        ge.tensor(data)


def test_requires_grad_wants_floats():
    with pytest.raises(DTypeError, match=r"only floating-point.*int64.*\.to\(ge\.float32\)"):
        ge.tensor([1, 2], requires_grad=True)
    with pytest.raises(GraphError, match="result of multiply, not a leaf"):
        (ge.tensor(1.0, requires_grad=True) * 2).requires_grad_(False)


def test_numpy_comes_out_read_only_and_unchanging():
    x = ge.tensor([1.0, 2.0])
    view = x.numpy()
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 5
    x += 1
    x[0] = 9
    assert view.tolist() == [1.0, 2.0]
    with pytest.raises(GraphError, match=r"\.detach\(\)\.numpy\(\)"):
        ge.tensor([1.0], requires_grad=True).numpy()
    with pytest.raises(GraphError, match=r"\.detach\(\)\.numpy\(\)"):
        np.asarray(ge.tensor([1.0], requires_grad=True))
    assert np.asarray(x, dtype=np.float64).dtype == np.float64


def test_numpy_on_the_left_gives_a_tensor():
    x = ge.tensor([1.0, 2.0], requires_grad=True)
    for y in (np.array([3.0, 4.0]) * x, np.float32(3) * x, np.array([3.0, 4.0]) @ x, np.exp(x), np.add(1.0, x)):
        assert isinstance(y, ge.Tensor)
        assert y.requires_grad
    assert (np.array([3.0, 4.0]) - x).tolist() == [2.0, 2.0]
    assert (np.array([1.0, 9.0]) == x).tolist() == [True, False]
    with pytest.raises(GraphError, match=r"np\.frexp has no gradient"):
        np.frexp(x)
    assert np.add.reduce(x).requires_grad
    assert np.sum(x).requires_grad
    assert np.concatenate([x, x]).requires_grad
    assert np.mean(x, axis=0).item() == 1.5
    assert np.kron(x, x).requires_grad


@pytest.mark.parametrize(
    "mix",
    [
        lambda w: ge.ones(2) * [w, w],
        lambda w: ge.tensor([w, w * 2]),
        lambda w: ge.where(ge.tensor([True, False]), [w, w], 0.0),
        lambda w: ge.concat([[w], [w]]),
    ],
)
def test_tensors_in_python_lists_do_not_silently_leave_the_graph(mix):
    with pytest.raises(GraphError, match="requires grad"):
        mix(ge.tensor(1.0, requires_grad=True))


def test_a_numpy_operand_may_change_before_backward():
    factor = np.array([3.0, 4.0])
    x = ge.tensor([1.0, 2.0], requires_grad=True)
    y = (factor * x).sum()
    factor[:] = 100
    y.backward()
    assert x.grad.tolist() == [3.0, 4.0]


def test_dlpack_to_and_from_torch_without_a_copy(torch):
    source = torch.arange(6.0).reshape(2, 3)
    x = ge.from_dlpack(source)
    source[0, 0] = 99
    assert x.tolist()[0][0] == 99
    back = torch.from_dlpack(x)
    back[1, 1] = -5
    assert source[1, 1] == -5
    assert back.data_ptr() == source.data_ptr()
    assert np.from_dlpack(x).tolist() == x.tolist()
    with pytest.raises(GraphError, match="export"):
        torch.from_dlpack(ge.tensor([1.0], requires_grad=True))


def test_torch_shared_memory_is_never_written(torch):
    source = torch.zeros(3)
    x = ge.from_dlpack(source)
    del source
    view = torch.from_dlpack(x)
    x += 1
    x[0] = 5
    assert view.tolist() == [0, 0, 0]


def test_scalars():
    x = ge.tensor(2.5)
    assert (float(x), int(x), bool(x), f"{x:.1f}", x.item()) == (2.5, 2, True, "2.5", 2.5)
    assert [10, 11, 12][ge.tensor(1)] == 11
    with pytest.raises(DTypeError, match="index"):
        [1, 2][ge.tensor(1.0)]
    with pytest.raises(ShapeError, match=r"item.*\(2,\)"):
        ge.tensor([1.0, 2.0]).item()
    with pytest.raises(ShapeError, match=r"no single truth value.*any"):
        bool(ge.tensor([1.0, 2.0]))
    with pytest.raises(TypeError, match="0-d"):
        len(x)
    with pytest.raises(TypeError, match="0-d"):
        iter(x)


def test_python_scalars_take_the_tensors_dtype():
    for dtype in (np.float16, np.float32, np.float64):
        x = ge.tensor(np.ones(2, dtype))
        for y in (x * 2, 2 * x, x + 1.5, 1.5 - x, x / 3, 1 / x, x**2, x**0.5, x * True):
            assert y.dtype == dtype
        assert x.sum().dtype == dtype
        assert (x.sum() * 2.0).dtype == dtype


def test_repr():
    assert repr(ge.tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert repr(ge.tensor([[1, 2], [3, 4]])) == "tensor([[1, 2],\n        [3, 4]])"
    assert repr(ge.tensor(1.0, requires_grad=True)) == "tensor(1., requires_grad=True)"
    assert repr(ge.tensor(1.0, requires_grad=True) * 2) == "tensor(2., op=multiply)"
    assert repr(ge.tensor(np.zeros(1))) == "tensor([0.], dtype=float64)"
    assert "shape=(0, 3)" in repr(ge.zeros((0, 3)))
    assert len(repr(ge.zeros((1000, 1000)))) < 1000


def test_iteration_containment_equality():
    x = ge.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert [row.tolist() for row in x] == [[1.0, 2.0], [3.0, 4.0]]
    assert 3.0 in x
    assert 5.0 not in x
    assert (x == None) is False  # noqa: E711 - the comparison itself is what is tested
    assert x in [x]
    assert len({x, x}) == 1


def test_repr_does_not_hide_small_numbers():
    assert repr(ge.tensor([1e-6, 3e-5])) == "tensor([1.e-06, 3.e-05])"
    assert repr(ge.tensor(1e-5)) == "tensor(1.e-05)"


def test_deepcopy_and_pickle_of_leaves():
    x = ge.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    y = copy.deepcopy(x)
    assert y.requires_grad
    assert y.grad.tolist() == [2.0, 4.0]
    y.data = ge.tensor([5.0, 5.0])
    assert x.tolist() == [1.0, 2.0]
    with pytest.raises(GraphError, match="only leaves"):
        copy.deepcopy(x * 2)


# -- in place ---------------------------------------------------------------------------------------------------


def test_in_place_on_a_leaf_is_refused_while_recording():
    x = ge.tensor([1.0], requires_grad=True)
    with pytest.raises(GraphError, match=r"leaf that requires grad.*no_grad"):
        x += 1
    with pytest.raises(GraphError, match="leaf"):
        x[0] = 3.0
    with ge.no_grad():
        x += 1
        x[0] = x[0] * 3
    assert x.tolist() == [6.0]
    assert x.is_leaf


def test_in_place_keeps_earlier_consumers_right():
    x = ge.tensor([3.0], requires_grad=True)
    y = x * 2
    before = y * y  # consumed at 6
    y += 1
    after = y * y  # consumed at 7
    (before + after).sum().backward()
    assert x.grad.tolist() == [2 * 6 * 2 + 2 * 7 * 2]


def test_in_place_repeatedly_and_on_itself():
    x = ge.tensor([3.0], requires_grad=True)
    y = x * 1.0
    y *= y
    y *= y
    y -= x
    y.sum().backward()
    assert x.grad.tolist() == [4 * 27 - 1]


def test_in_place_makes_a_constant_part_of_the_graph():
    w = ge.tensor([2.0], requires_grad=True)
    total = ge.zeros(1)
    early = total * w  # total is still 0 here
    for i in range(3):
        total += w * i
    (total + early).sum().backward()
    assert w.grad.tolist() == [3.0]


def test_filling_a_result_cuts_it_off():
    x = ge.tensor([1.0, 2.0], requires_grad=True)
    w = ge.tensor([3.0, 4.0], requires_grad=True)
    for fill in (lambda y: y.fill_(0), lambda y: y.zero_(), lambda y: y.copy_(ge.tensor([5.0, 5.0]))):
        x.grad = None
        y = ge.tanh(x)
        before = (y * y).sum()
        fill(y)
        (before + (y * x).sum()).backward()
        t = np.tanh([1.0, 2.0])
        np.testing.assert_allclose(x.grad.numpy(), 2 * t * (1 - t * t) + y.detach().numpy(), rtol=1e-6)
    x.grad = None
    y = x * 2
    z = (y * y).sum()
    y.copy_(w)
    (z + (y * y).sum()).backward()
    assert x.grad.tolist() == [8.0, 16.0]
    assert w.grad.tolist() == [6.0, 8.0]
    y = x * 2
    y.copy_(y)
    assert ge.grad(y.sum(), x, allow_unused=True)[0].tolist() == [2.0, 2.0]


def test_a_failed_change_in_place_changes_nothing():
    x = ge.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 10)
    with pytest.raises(ShapeError):
        y += ge.ones((3, 2))
    y.sum().backward()
    assert y.grad.tolist() == [10.0, 10.0]
    assert x.grad.tolist() == [20.0, 20.0]


def test_a_constant_that_becomes_a_leaf_was_a_constant_before():
    c = ge.tensor([1.0, 2.0])
    x = ge.tensor([3.0, 4.0], requires_grad=True)
    y = (x * c).sum()
    c.requires_grad_()
    (y + (c * 2).sum()).backward()
    assert c.grad.tolist() == [2.0, 2.0]
    assert x.grad.tolist() == [1.0, 2.0]


def test_metadata_may_change_after_its_use():
    counts = np.array([1, 3])
    width = ([1, 0],)
    x = ge.tensor([1.0, 2.0], requires_grad=True)
    y = ge.repeat(x, counts).sum() + (ge.pad(x, width) * ge.tensor([1.0, 2.0, 4.0])).sum()
    counts[:] = [3, 1]
    width[0][:] = [0, 1]
    y.backward()
    assert x.grad.tolist() == [1.0 + 2.0, 3.0 + 4.0]


def test_in_place_under_no_grad_on_a_result_changes_its_value_alone():
    x = ge.tensor([1.0], requires_grad=True)
    y = x.exp()
    with ge.no_grad():
        y += 1
    assert y.tolist() == pytest.approx([np.e + 1])
    (g,) = ge.grad(y.sum(), x, create_graph=True)  # PyTorch refuses this: the saved result has changed
    assert g.tolist() == pytest.approx([np.e])
    assert ge.grad(g.sum(), x)[0].tolist() == pytest.approx([np.e])


def test_second_order_sees_the_values_of_its_time():
    x = ge.tensor([3.0], requires_grad=True)
    w = ge.tensor([5.0])
    y = x * x * w
    w += 100  # a constant changed after its use
    (g,) = ge.grad(y.sum(), x, create_graph=True)
    assert g.tolist() == [30.0]
    assert ge.grad(g.sum(), x)[0].tolist() == [10.0]


def test_stepping_a_parameter_before_second_order_is_refused():
    p = ge.tensor([3.0], requires_grad=True)
    y = (p * p).sum()
    with ge.no_grad():
        p -= 1
    with pytest.raises(GraphError, match="changed in place after multiply had used it"):
        ge.grad(y, p, create_graph=True)


def test_first_order_after_a_step_is_that_of_the_old_value():
    p = ge.tensor([3.0], requires_grad=True)
    y = (p * p).sum()
    with ge.no_grad():
        p -= 1
    y.backward()
    assert p.grad.tolist() == [6.0]


def test_slices_alias():
    x = ge.tensor([1.0, 2.0, 3.0])
    part = x[:2]
    part += 10
    assert x.tolist() == [11.0, 12.0, 3.0]
    x[:2] = 0
    assert part.tolist() == [0.0, 0.0]


def test_detach_is_not_changed_behind_a_graph():
    p = ge.tensor([3.0], requires_grad=True)
    frozen = p.detach()
    w = ge.tensor([1.0], requires_grad=True)
    y = (frozen * w).sum()
    with ge.no_grad():
        p += 1
    y.backward()
    assert w.grad.tolist() == [3.0]


def test_data_changes_its_owner():
    p = ge.tensor([1.0, 2.0], requires_grad=True)
    p.data.fill_(5)
    assert p.tolist() == [5.0, 5.0]
    p.data[0] = 7
    p.data += 1
    p.data.mul_(2)
    assert p.tolist() == [16.0, 12.0]
    assert p.is_leaf
    assert not p.data.requires_grad
    p.data = ge.zeros(2)
    assert p.tolist() == [0.0, 0.0]
    with pytest.raises(GraphError, match="recorded result"):
        (p * 2).data = ge.zeros(2)
    first = p.data
    p.data += 1
    first += 1
    assert p.tolist() == [2.0, 2.0]
    source = np.ones(2)
    p.data = source
    source[:] = 7
    assert p.tolist() == [1.0, 1.0]
    with pytest.raises(DTypeError, match="requires grad"):
        p.data = np.array([1, 2])


def test_a_torch_tensor_is_copied_without_a_warning(torch):
    source = torch.ones(2)
    x = ge.tensor(source)
    source[0] = 5
    assert x.tolist() == [1.0, 1.0]


def test_in_place_must_keep_shape_and_dtype():
    x = ge.zeros(2)
    with pytest.raises(ShapeError, match=r"must keep \(2,\)"):
        x += ge.zeros((3, 2))
    n = ge.tensor([1, 2])
    with pytest.raises(DTypeError, match=r"float.*does not fit into int64"):
        n += 0.5


def test_writes_in_place_only_where_nobody_looks():
    x = ge.zeros(4)
    held = x.array
    x[1] = 5
    assert held.tolist() == [0, 0, 0, 0]  # `held` was another view of the memory, so x got its own
    del held
    address = x.array.__array_interface__["data"][0]
    x[2] = 6
    assert x.array.__array_interface__["data"][0] == address  # now x is alone with it
    assert x.tolist() == [0, 5, 6, 0]


@given(st.lists(st.tuples(st.sampled_from("+*-i"), st.floats(-2, 2)), max_size=8), st.randoms(use_true_random=False))
def test_random_in_place_programs_equal_their_functional_twins(program, random):
    """The same program, written in place and out of place, has the same value and gradient."""
    start = np.array([0.5, -1.5, 2.0])
    results = []
    choices = [random.randrange(3) for _ in program]
    for functional in (False, True):
        x = ge.tensor(start, requires_grad=True)
        y = x * 1.5
        taps = []
        for (what, value), i in zip(program, choices, strict=True):
            taps.append(y * y)
            if what == "i":
                if functional:
                    mask = ge.tensor(np.arange(3) == i)
                    y = ge.where(mask, x[0] * value, y)
                else:
                    y[i] = x[0] * value
            elif functional:
                y = {"+": y + value * x, "*": y * (value + x), "-": y - y * value}[what]
            elif what == "+":
                y += value * x
            elif what == "*":
                y *= value + x
            else:
                y -= y * value
        total = y.sum()
        for tap in taps:
            total = total + tap.sum()
        total.backward()
        results.append((total.item(), x.grad.numpy()))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-10, atol=1e-10)


# -- devices ----------------------------------------------------------------------------------------------------


def test_unknown_devices_and_backends():
    with pytest.raises(DeviceError, match=r"no 'tpu'; use 'cpu'"):
        ge.tensor(1.0, device="tpu")
    with pytest.raises(DeviceError, match="cuda"):
        ge.zeros(2, device="cuda:7")
    with pytest.raises(DeviceError, match=r"no 'fast' for the CPU; choose one of numba, numpy"):
        ge.set_cpu_backend("fast")
    with pytest.raises(DeviceError, match="mars"):
        ge.tensor(1.0).to("mars")


@pytest.fixture
def other_device():
    """A second device: NumPy's kernels under another name."""
    from gradengine.backend import devices as backend
    from gradengine_kernels import numpy_cpu

    backend._loaded["elsewhere"] = backend.Backend("elsewhere", "elsewhere:0", numpy_cpu.KERNELS)
    yield "elsewhere:0"
    del backend._loaded["elsewhere"]


def test_two_devices_do_not_mix(other_device):
    here, there = ge.ones((2, 3)), ge.ones((2, 3), device=other_device)
    assert (there * there).device == other_device
    for mix in (lambda: here + there, lambda: ge.where(here > 0, here, there), lambda: here.mT @ there):
        with pytest.raises(DeviceError, match=r"'cpu'.*'elsewhere:0'.*on 'cpu' with \.to\('elsewhere:0'\)"):
            mix()
    assert (here + there.to("cpu")).device == "cpu"
    assert here.to(there).device == other_device


def test_what_requires_grad_stays_where_it_is(other_device):
    data, there = ge.ones((2, 3)), ge.ones((2, 3), device=other_device)
    model = ge.nn.Linear(3, 2)
    for call, moved in (
        (lambda: model(there), r"linear: .*the one on 'elsewhere:0' with \.to\('cpu'\)"),
        (lambda: model.to(other_device)(data), r"linear: .*the one on 'cpu' with \.to\('elsewhere:0'\)"),
        (lambda: data.clone().requires_grad_() * there, r"the one on 'elsewhere:0' with \.to\('cpu'\)"),
        (lambda: there * data.clone().requires_grad_(), r"the one on 'elsewhere:0' with \.to\('cpu'\)"),
    ):
        with pytest.raises(DeviceError, match=moved):
            call()


def test_a_gradient_on_another_device_is_refused(other_device):
    here, there = ge.ones(2, requires_grad=True), ge.ones(2, device=other_device, requires_grad=True)
    for x, g in ((here, there.detach()), (there, here.detach())):
        words = f"the gradient is on '{g.device}', .* on '{x.device}'; move the gradient with .to..{x.device}"
        with pytest.raises(DeviceError, match=f"backward: {words}"):
            x.exp().backward(g)
        for create_graph in (False, True):
            with pytest.raises(DeviceError, match=f"grad: {words}"):
                ge.grad(x.exp(), x, g, create_graph=create_graph)
        x.exp().backward(g.to(x.device))
        assert x.grad.device == x.device


def test_the_variable_that_names_no_cpu_backend_is_named(monkeypatch):
    from gradengine.backend import devices as backend

    monkeypatch.setattr(backend, "_chosen_cpu", None)
    monkeypatch.setenv("GRADENGINE_CPU_BACKEND", "cupy")
    with pytest.raises(DeviceError, match=r"^GRADENGINE_CPU_BACKEND: there is no 'cupy' for the CPU"):
        ge.get_cpu_backend()


def test_operands_that_are_no_numbers():
    c = ge.ones(2)
    for call, words in (
        (lambda: c + "a", "add: str 'a' is no array of numbers"),
        (lambda: c * None, "multiply: NoneType None is no array of numbers"),
        (lambda: c + 1j, "add: got complex 1j; complex numbers are not supported"),
        (lambda: ge.exp("a"), "exp: str 'a'"),
        (lambda: ge.where(c > 0, "a", c), "where: str 'a'"),
        (lambda: ge.softmax("a"), "softmax: str 'a'"),
        (lambda: c.fill_("a"), "fill_: str 'a'"),
        (lambda: c.__setitem__(0, "a"), "setitem: str 'a'"),
        (lambda: ge.nn.functional.mse_loss(c, "a"), "mse_loss: str 'a'"),
        (lambda: ge.stack(["a"]), "stack: str 'a'"),
    ):
        with pytest.raises(DTypeError, match=f"^{words}"):
            call()


def test_other_libraries_dtypes():
    class Foreign:
        def __repr__(self):
            return "torch.float16"

    with pytest.raises(DTypeError, match=r"^zeros: torch\.float16 is no dtype of gradengine's; use ge\.float16$"):
        ge.zeros(2, dtype=Foreign())
    with pytest.raises(DTypeError, match=r"^autocast: torch\.float16 is no dtype"):
        ge.autocast("cuda", dtype=Foreign())


def test_names_of_pytorch_are_led_to_those_here():
    with pytest.raises(AttributeError, match=r"no attribute 'power'; use ge\.pow"):
        ge.power(ge.ones(1), 2)
    with pytest.raises(AttributeError, match=r"'max_memory_allocated'; no peak is kept; memory_allocated\(\)"):
        ge.cuda.max_memory_allocated()
    with pytest.raises(AttributeError, match=r"has no attribute 'catt'; did you mean cat\?$"):
        ge.catt  # noqa: B018
    with pytest.raises(AttributeError, match=r"cuda' has no attribute 'strem'$"):
        ge.cuda.strem  # noqa: B018
    assert not ge.ones(1).is_cuda


@pytest.mark.parametrize("switch", [ge.cuda.set_tf32, ge.cuda.set_synchronous])
def test_switches_of_cuda_are_on_or_off(switch):
    for wrong in ("yes", 1, None):
        with pytest.raises(ge.ArgumentError, match=f"cuda.{switch.__name__}: takes True or False"):
            switch(wrong)


@pytest.mark.parametrize("name", ["b 7", "7b", "class", "", 7, None])
def test_the_name_of_an_op_is_a_python_name(name):
    with pytest.raises(ge.ArgumentError, match="the name must be a Python name"):
        ge.elementwise(name, lambda k, g, y, x: g, body=lambda k, x: x)


def test_both_cpu_backends_mix():
    ge.set_cpu_backend("numpy")
    a = ge.ones(3)
    if ge.backends()["numba"] != "available":
        pytest.skip("Numba is not installed")
    ge.set_cpu_backend("numba")
    assert (a + ge.ones(3)).tolist() == [2.0, 2.0, 2.0]


def test_environment_chooses_the_backend(tmp_path):
    import subprocess

    def run(value):
        return subprocess.run(
            [sys.executable, "-c", "import gradengine as ge; ge.zeros(1); print(ge.get_cpu_backend())"],
            env={"GRADENGINE_CPU_BACKEND": value, "PATH": "", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    assert run("numpy").stdout.strip() == "numpy"
    wrong = run("fortran")
    assert wrong.returncode == 1
    assert "there is no 'fortran'" in wrong.stderr


def test_backends_says_why_not():
    status = ge.backends()
    assert status["numpy"] == "available"
    assert set(status) == {"numpy", "numba", "cupy"}
    assert (status["cupy"] == "available") == ge.cuda.is_available()


def test_metadata_mistakes_are_named():
    x = ge.zeros((2, 3))
    with pytest.raises(TypeError, match=r"sum: unexpected keyword 'along'; accepted: axis, keepdims, dtype"):
        ge.sum(x, along=0)
    with pytest.raises(TypeError, match="sum"):
        ge.sum(x, 0, axis=0)
    with pytest.raises(ShapeError, match=r"sum: axis 5 is out of range for 2 dimensions; valid are -2 to 1"):
        x.sum(axis=5)


def declare_scaled(factor):
    return ge.elementwise("doc_scaled", lambda k, g, y, x: g * factor, body=lambda k, x: x * factor)


def test_an_op_of_ones_own_may_be_declared_again():
    for factor in (2.0, 3.0):
        x = ge.tensor(1.0, requires_grad=True)
        declare_scaled(factor)(x).backward()
        assert x.grad.item() == factor
    bare = ge.elementwise("doc_bare", lambda k, g, y, x: g)
    with pytest.raises(GradengineError, match="declare the op with a body or a kernel"):
        bare(ge.ones(2))


def test_ops_declare_once():
    with pytest.raises(ArgumentError, match="declared already"):
        ge.elementwise("tanh", lambda k, g, y, x: g, body=lambda k, x: x)


def test_a_declared_op_works_on_every_backend_and_order(backend):
    cube = ge.elementwise("doc_test_cube", lambda k, g, y, x: g * 3 * x * x, body=lambda k, x: x * x * x)
    x = ge.tensor(np.array([1.0, 2.0]), requires_grad=True)
    y = cube(x)
    (g,) = ge.grad(y.sum(), x, create_graph=True)
    (h,) = ge.grad(g.sum(), x)
    assert y.tolist() == [1.0, 8.0]
    assert g.tolist() == [3.0, 12.0]
    assert h.tolist() == [6.0, 12.0]


def test_an_elementwise_declaration_counts_its_arguments():
    with pytest.raises(ArgumentError, match=r"2 gradient rules it has 2 arrays, so the body must take \(k, then each"):
        ge.elementwise("doc_two_rules", None, None, body=lambda k, a: a * 1)
    with pytest.raises(ArgumentError, match=r"a rule must take \(k, g, y, then each array\), but takes 3"):
        ge.elementwise("doc_short_rule", lambda k, g, x: g, body=lambda k, x: x * 1)
    once = ge.elementwise("doc_one_rule", lambda k, g, y, a, b: g * b, body=lambda k, a, b: a * b)
    with pytest.raises(DTypeError, match=r"doc_one_rule: got a Tensor of shape \(2,\) where a setting belongs \(b\)"):
        once(ge.ones(2), ge.ones(2))


def test_copies_and_formats():
    x = ge.tensor([1.0, 2.0], requires_grad=True)
    assert copy.copy(x).requires_grad
    assert copy.copy(x * 2).tolist() == [2.0, 4.0]
    assert f"{ge.tensor(1.5)}" == "tensor(1.5)"
    with pytest.raises(ShapeError, match="needs one element"):
        format(x.detach(), ".2f")
