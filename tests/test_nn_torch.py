"""Layers, losses, functions and module methods that PyTorch's users know, beside PyTorch."""

import copy
import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import gradengine as ge
import gradengine.nn.functional as F
from gradengine import nn
from gradengine.errors import ArgumentError, CheckpointError, DTypeError, GraphError, IndexRangeError, ShapeError

R = np.random.default_rng(0)
A, B, C = (R.standard_normal((4, 6)) for _ in range(3))
IMAGES = R.standard_normal((2, 8, 4, 6))
LABELS = np.array([1, 0, 5, 3])
MANY = np.array([[3, 0, -1, 1, 2, 2], [5, -1, 0, 0, 0, 0], [0, 1, 2, 3, 4, 5], [-1, 1, 1, 1, 1, 1]])
SIGNS = np.array([1.0, -1.0, 1.0, -1.0])

# name, settings, arguments of the call
LAYERS: list[tuple[str, dict[str, Any], tuple[Any, ...]]] = [
    ("GLU", dict(), (A,)),
    ("GLU", dict(dim=0), (A,)),
    ("Softmax2d", dict(), (IMAGES,)),
    ("Softmax2d", dict(), (IMAGES[0],)),
    ("RMSNorm", dict(normalized_shape=6), (A,)),
    ("RMSNorm", dict(normalized_shape=(4, 6), eps=0.1, elementwise_affine=False), (IMAGES,)),
    ("PixelShuffle", dict(upscale_factor=2), (IMAGES,)),
    ("PixelUnshuffle", dict(downscale_factor=2), (IMAGES,)),
    ("ChannelShuffle", dict(groups=4), (IMAGES,)),
    ("CosineSimilarity", dict(), (A, B)),
    ("CosineSimilarity", dict(dim=0, eps=1.0), (A, B)),
    ("PairwiseDistance", dict(), (A, B)),
    ("PairwiseDistance", dict(p=1.0, eps=0.1, keepdim=True), (A, B)),
    ("PairwiseDistance", dict(p=math.inf), (A, B[0])),
    ("RReLU", dict(), (A,)),
    ("CosineEmbeddingLoss", dict(margin=0.1), (A, B, SIGNS)),
    ("CosineEmbeddingLoss", dict(reduction="none"), (A, B, SIGNS)),
    ("CosineEmbeddingLoss", dict(), (A[0], B[0], SIGNS[0])),
    ("TripletMarginLoss", dict(), (A, B, C)),
    ("TripletMarginLoss", dict(margin=2.0, p=1.0, swap=True, reduction="none"), (A, B, C)),
    ("TripletMarginWithDistanceLoss", dict(margin=3.0, swap=True, reduction="sum"), (A, B, C)),
    ("MultiMarginLoss", dict(), (A, LABELS)),
    ("MultiMarginLoss", dict(p=2, margin=0.5, reduction="none"), (A, LABELS)),
    ("MultiMarginLoss", dict(), (A[0], LABELS[0])),
    ("MultiLabelMarginLoss", dict(), (A, MANY)),
    ("MultiLabelMarginLoss", dict(reduction="none"), (A, MANY)),
    ("MultiLabelMarginLoss", dict(reduction="sum"), (A[0], MANY[0])),
    ("MultiLabelSoftMarginLoss", dict(), (A, (B > 0).astype(float))),
    ("MultiLabelSoftMarginLoss", dict(reduction="none"), (A, (B > 0).astype(float))),
    ("GaussianNLLLoss", dict(), (A, B, C * C)),
    ("GaussianNLLLoss", dict(full=True, eps=0.5, reduction="sum"), (A, B, C * C)),
    ("GaussianNLLLoss", dict(), (A, B, (C * C)[:, 0])),
    ("GaussianNLLLoss", dict(reduction="none"), (A, B, (C * C)[:, :1])),
    ("PoissonNLLLoss", dict(), (A, np.abs(B) * 3)),
    ("PoissonNLLLoss", dict(log_input=False, full=True, reduction="sum"), (np.abs(A), np.abs(B) * 3)),
    *[
        (f"{kind}{n}d", dict(padding=padding, **more), (np.ascontiguousarray(IMAGES[: 2 if n < 3 else 1]),))
        for kind, more in (
            ("ZeroPad", {}), ("ConstantPad", {"value": 2.5}), ("ReflectionPad", {}), ("ReplicationPad", {}),
            ("CircularPad", {}),
        )
        for n, padding in ((2, 1), (2, (1, 2, 0, 3)))
    ],
]  # fmt: skip


def run(module: Any, tensor: Any, layer: Any, inputs: tuple[Any, ...]) -> list[np.ndarray]:
    """The output and the gradients of all floating-point inputs."""
    given = [tensor(np.asarray(x)) for x in inputs]
    for x in given:
        if "float" in str(x.dtype):
            x.requires_grad_()
    y = layer(*given)
    seed = np.cos(np.arange(y.detach().numpy().size, dtype=np.float64)).reshape(tuple(y.shape))
    if y.requires_grad:
        y.backward(tensor(seed))
    grads = [x.grad for x in given if x.requires_grad and x.grad is not None]
    return [np.asarray(y.detach()), *[np.asarray(g) for g in grads]]


@pytest.mark.torch
@pytest.mark.parametrize(("name", "options", "inputs"), LAYERS, ids=[f"{r[0]}-{i}" for i, r in enumerate(LAYERS)])
def test_layers_and_losses_are_pytorchs(name: str, options: dict[str, Any], inputs: Any, torch: ModuleType) -> None:
    ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
    if list(theirs.parameters()):
        ours.double(), theirs.double()
    ours.eval(), theirs.eval()
    if not name.endswith(("Similarity", "Distance", "Loss")):
        assert repr(ours) == repr(theirs)
    a, b = run(nn, ge.tensor, ours, inputs), run(torch.nn, torch.tensor, theirs, inputs)
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-11)


@pytest.mark.torch
def test_bilinear_multi_margin_weights_and_pdist_are_pytorchs(torch: ModuleType) -> None:
    ours, theirs = nn.Bilinear(6, 6, 3).double(), torch.nn.Bilinear(6, 6, 3).double()
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    for inputs in ((A, B), (A[0], B[0]), (A.reshape(2, 2, 6), B.reshape(2, 2, 6))):
        for x, y in zip(run(nn, ge.tensor, ours, inputs), run(torch, torch.tensor, theirs, inputs), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)
    w = np.arange(6.0)
    for name in ("MultiMarginLoss", "MultiLabelSoftMarginLoss"):
        second = LABELS if name == "MultiMarginLoss" else (B > 0).astype(float)
        a = run(nn, ge.tensor, getattr(nn, name)(weight=w), (A, second))
        b = run(torch, torch.tensor, getattr(torch.nn, name)(weight=torch.tensor(w)), (A, second))
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)
    for p in (1.0, 2.0, math.inf):
        a = run(nn, ge.tensor, lambda x, p=p: F.pdist(x, p), (A,))
        b = run(torch, torch.tensor, lambda x, p=p: torch.nn.functional.pdist(x, p), (A,))
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)


def test_second_order_gradients_of_the_new_losses() -> None:
    for name, options, inputs in LAYERS:
        if "eps" in options and name != "RMSNorm":
            continue  # the bound is no part of the gradient, as in PyTorch
        if "Pad" in name or name in ("ChannelShuffle", "PixelShuffle", "PixelUnshuffle", "RReLU", "Softmax2d"):
            continue
        layer = getattr(nn, name)(**options)
        if isinstance(layer, nn.RMSNorm):
            layer.double()
        x = ge.tensor(inputs[0])
        rest = [ge.tensor(np.asarray(r)) for r in inputs[1:]]
        v = ge.tensor(np.sin(np.arange(x.size, dtype=float)).reshape(x.shape))

        def slope(x: Any, layer: Any = layer, rest: Any = rest, v: Any = v) -> Any:
            x = x.requires_grad_()
            y = layer(x, *rest)
            return (ge.grad((y * y).sum(), x, create_graph=True)[0] * v).sum(), x

        s, x = slope(x)
        (exact,) = ge.grad(s, x, allow_unused=True)
        h = 1e-5
        d = np.cos(np.arange(x.size, dtype=float)).reshape(x.shape)
        up, down = (slope(ge.tensor(inputs[0] + sign * h * d))[0].item() for sign in (1, -1))
        expected = (up - down) / (2 * h)
        found = 0.0 if exact is None else (exact.numpy() * d).sum()
        assert found == pytest.approx(expected, rel=2e-4, abs=2e-5), name


# -- what draws -----------------------------------------------------------------------------------------------------


def test_dropout_of_channels_and_alpha_dropout() -> None:
    x = ge.ones(40, 25, 2, 3)
    y = F.dropout2d(x, 0.4)
    whole = y.sum(axis=(2, 3)).numpy()
    assert set(np.unique(np.round(whole, 4))) == {0.0, 10.0}
    assert (whole == 0).mean() == pytest.approx(0.4, abs=0.06)
    assert F.dropout1d(ge.ones(5, 3)).shape == (5, 3)
    assert F.dropout3d(ge.ones(2, 2, 2, 2), 0.5).shape == (2, 2, 2, 2)
    z = ge.randn(200_000)
    for p in (0.2, 0.7):
        dropped = F.alpha_dropout(z, p, training=True).numpy()
        assert dropped.mean() == pytest.approx(0, abs=0.02)
        assert dropped.std() == pytest.approx(1, abs=0.02)
    features = F.feature_alpha_dropout(ge.ones(40, 25, 4), 0.5, training=True).numpy()
    assert all(len(np.unique(row)) == 1 for row in features.reshape(-1, 4))
    for function in (F.dropout2d, F.alpha_dropout, F.dropout):
        assert function(x, 0.3, training=False) is x
    t = ge.ones(100)
    assert F.dropout(t, 0.5, True, True) is t
    assert set(t.tolist()) == {0.0, 2.0}
    slopes = F.rrelu(-ge.ones(10_000), 0.1, 0.3, training=True).numpy()
    assert (slopes.min(), slopes.max()) == (pytest.approx(-0.3, abs=1e-3), pytest.approx(-0.1, abs=1e-3))


def test_gumbel_softmax_draws_by_the_logits_and_has_a_gradient() -> None:
    logits = ge.tensor(np.log([[0.1, 0.6, 0.3]]), requires_grad=True)
    many = ge.broadcast_to(logits, (20_000, 3))
    hard = F.gumbel_softmax(many, tau=0.5, hard=True)
    np.testing.assert_allclose(hard.detach().numpy().mean(axis=0), [0.1, 0.6, 0.3], atol=0.015)
    np.testing.assert_allclose(np.sort(hard.detach().numpy(), axis=1)[:, :2], 0, atol=1e-6)
    (hard * ge.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert np.isfinite(logits.grad.numpy()).all()
    assert abs(logits.grad.numpy()).max() > 0
    soft = F.gumbel_softmax(ge.zeros(2, 3, 4), dim=1)
    np.testing.assert_allclose(soft.sum(axis=1).numpy(), 1, rtol=1e-5)


@pytest.mark.torch
def test_in_place_activations_change_their_input(torch: ModuleType) -> None:
    x = np.linspace(-2, 2, 9)
    for name in ("relu_", "celu_", "elu_", "hardtanh_", "leaky_relu_", "selu_"):
        a, b = ge.tensor(x), torch.tensor(x)
        assert getattr(F, name)(a) is a
        getattr(torch.nn.functional, name)(b)
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)
    for name in ("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "silu", "mish", "hardswish", "hardtanh"):
        a, b = ge.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, z = a * 1.0, b * 1.0
        assert getattr(F, name)(y, inplace=True) is y
        getattr(torch.nn.functional, name)(z, inplace=True)
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-12)
        (y * y).sum().backward()
        (z * z).sum().backward()
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-12)
        with pytest.raises(GraphError, match="leaf"):
            getattr(F, name)(a, inplace=True)
    x = ge.tensor([-1.0, 1.0])
    nn.ReLU(inplace=True)(x)
    assert x.tolist() == [0.0, 1.0]


# -- containers, buffers, lazy layers -------------------------------------------------------------------------------


@pytest.mark.torch
def test_parameter_containers_are_pytorchs(torch: ModuleType) -> None:
    found = []
    for module, one in ((nn, ge.ones), (torch.nn, torch.ones)):
        held = module.ParameterList([one(2), module.Parameter(one(3))])
        held.append(one(4)).extend([one(5)])
        held += [one(6)]
        held[0] = one(7)
        d = module.ParameterDict({"a": one(1)})
        d["b"] = one(2)
        d.update([("c", one(3))])
        popped = d.pop("a")
        d.setdefault("d", one(4))
        both = d | {"e": one(9)}
        net = module.Module()
        net.weights, net.by_name = held, d
        found.append(
            [
                len(held), [tuple(p.shape) for p in held], tuple(held[-1].shape), [tuple(p.shape) for p in held[1:3]],
                [n for n, _ in net.named_parameters()], list(net.state_dict()), list(d.keys()), "b" in d, len(d),
                tuple(popped.shape), list(both.keys()), d.get("zzz"), next(iter(d.popitem())),
                all(isinstance(p, module.Parameter) for p in held),
            ]
        )  # fmt: skip
    assert found[0] == found[1]
    with pytest.raises(IndexRangeError, match="index 5 is out of range for 5"):
        nn.ParameterList([ge.ones(1)] * 5)[5]
    with pytest.raises(DTypeError, match="needs a list of parameters"):
        nn.ParameterList(5)
    with pytest.raises(KeyError):
        nn.ParameterDict()["a"]
    with pytest.raises(ArgumentError, match="taken by another attribute"):
        nn.ParameterDict({"train": ge.ones(1)})


def test_buffers_as_attributes() -> None:
    layer = nn.Identity()
    layer.mean = nn.Buffer(ge.zeros(2))
    layer.scratch = nn.Buffer(ge.ones(2), persistent=False)
    assert [name for name, _ in layer.named_buffers()] == ["mean", "scratch"]
    assert list(layer.state_dict()) == ["mean"]


def test_a_lazy_layer_takes_its_size_from_the_first_input() -> None:
    net = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(2, bias=False))
    assert repr(net[0].weight) == "<UninitializedParameter>"
    for look in (
        lambda w: w.shape,
        lambda w: w * 2,
        lambda w: w.sum(),
        lambda w: w.size,
        lambda w: w.numpy(force=True),
    ):
        with pytest.raises(ArgumentError, match="call the module once with an input"):
            look(net[0].weight)
    with pytest.raises(ArgumentError, match="call the module"):
        ge.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(ge.TraceError, match="call the model once with an input before the step is compiled"):
        ge.jit(lambda x: net(x))(ge.ones(3, 5))
    assert net(ge.ones(3, 5)).shape == (3, 2)
    assert [type(m) for m in net] == [nn.Linear, nn.ReLU, nn.Linear]
    assert (net[0].in_features, net[2].weight.shape) == (5, (2, 4))
    assert not net[0]._forward_pre_hooks
    assert ge.jit(lambda x: net(x))(ge.ones(3, 5)).shape == (3, 2)
    optimizer = ge.optim.SGD(net.parameters(), lr=0.1)
    net(ge.ones(3, 5)).sum().backward()
    optimizer.step()
    other = nn.LazyLinear(4)
    other.load_state_dict(net[0].state_dict())
    assert other.weight.shape == (4, 5)
    np.testing.assert_array_equal(other.weight.detach().numpy(), net[0].weight.detach().numpy())
    assert nn.LazyLinear(2, dtype=ge.float64)(ge.ones(1, 3, dtype=ge.float64)).dtype == np.float64


# -- hooks ----------------------------------------------------------------------------------------------------------


@pytest.mark.torch
def test_hooks_of_every_sort_are_pytorchs(torch: ModuleType) -> None:
    def logged(module: Any, tensor: Any) -> list[Any]:
        log: list[Any] = []

        class Net(module.Module):  # type: ignore[name-defined, misc]
            def forward(self, x: Any, scale: float = 1.0, fail: bool = False) -> Any:
                if fail:
                    raise ValueError("no")
                return x * scale, x.sum()

        net = Net()
        value = lambda t: None if t is None else np.asarray(t.detach()).tolist()
        net.register_forward_pre_hook(lambda m, args: log.append("pre") or (args[0] + 1,))
        net.register_forward_pre_hook(
            lambda m, args, kwargs: log.append("pre kw") or (args, {**kwargs, "scale": 3.0}),
            with_kwargs=True,
            prepend=True,
        )
        net.register_forward_hook(lambda m, args, out: log.append(("after", value(args[0]), value(out[0]))))
        net.register_forward_hook(
            lambda m, args, kwargs, out: log.append(("kw", sorted(kwargs), out is None)),
            with_kwargs=True,
            always_call=True,
        )
        net.register_forward_hook(lambda m, args, out: log.append("first"), prepend=True)
        net.register_full_backward_pre_hook(lambda m, g: log.append(("back pre", [*map(value, g)])) or (g[0] * 2, g[1]))
        net.register_full_backward_hook(
            lambda m, gi, go: log.append(("back", [*map(value, gi)], [*map(value, go)])) or (gi[0] * 10,)
        )
        x = tensor([1.0, 2.0], requires_grad=True)
        y, s = net(x * 1.0, scale=2.0)
        (y.sum() + s).backward()
        log.append(value(x.grad))
        with pytest.raises(ValueError, match="no"):
            net(x, fail=True)
        return log

    assert logged(nn, ge.tensor) == logged(torch.nn, torch.tensor)


def test_backward_hooks_without_input_gradients_and_with_wrong_results() -> None:
    layer, seen = nn.Linear(2, 1), []
    handle = layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
    layer(ge.ones(1, 2)).sum().backward()
    assert seen[0][0] == (None,)
    assert seen[0][1][0].tolist() == [[1.0]]
    handle.remove()
    layer.register_full_backward_hook(lambda m, gi, go: (1, 2))
    with pytest.raises(ArgumentError, match="returned 2 gradients in the place of 1"):
        layer(ge.ones(1, 2, requires_grad=True)).sum().backward()


@pytest.mark.torch
def test_backward_hooks_and_second_order_gradients_are_pytorchs(torch: ModuleType) -> None:
    found = []
    for module, tensor, grad in ((nn, ge.tensor, ge.grad), (torch.nn, torch.tensor, torch.autograd.grad)):
        x = tensor([[1.0, 2.0]], requires_grad=True)
        layer = module.Tanh()
        layer.register_full_backward_hook(lambda m, gi, go: (gi[0] * 2,))
        (g,) = grad(layer(x).sum(), x, create_graph=True)
        (second,) = grad(g.sum(), x)
        found.append((g.tolist(), second.tolist()))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


@pytest.mark.torch
def test_states_with_hooks_prefixes_and_extra_state_are_pytorchs(torch: ModuleType) -> None:
    def logged(module: Any, tensor: Any) -> list[Any]:
        class Counted(module.Linear):  # type: ignore[name-defined, misc]
            count = 3

            def get_extra_state(self) -> Any:
                return {"count": self.count}

            def set_extra_state(self, state: Any) -> None:
                self.count = state["count"]

        log: list[Any] = []
        net = module.Sequential(Counted(2, 2), module.Linear(2, 2, bias=False))
        net[0].register_state_dict_pre_hook(lambda m, prefix, keep: log.append((prefix, keep)))
        net[1].register_state_dict_post_hook(
            lambda m, state, prefix, meta: state.update({f"{prefix}more": tensor(1.0)})
        )
        held: dict[str, Any] = {}
        state = net.state_dict(destination=held, prefix="net.", keep_vars=True)
        assert state is held
        assert state["net.0.weight"] is net[0].weight
        log.append(list(state))
        net[1]._state_dict_hooks.clear()
        state = {f"old_{k}": v for k, v in net.state_dict().items()}
        state["old_0._extra_state"] = {"count": 7}

        def rename(m: Any, state: Any, prefix: str, *more: Any) -> None:
            for key in list(state):
                state[key.removeprefix("old_")] = state.pop(key)

        net.register_load_state_dict_pre_hook(rename)
        net.register_load_state_dict_post_hook(lambda m, keys: log.append([list(keys[0]), list(keys[1])]))
        net.load_state_dict(dict(state))
        log.append(net[0].count)
        net.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
        net.load_state_dict({k: v for k, v in state.items() if "1.weight" not in k})
        weight = tensor(np.ones((2, 2)))
        keys = net.load_state_dict({"1.weight": weight}, strict=False, assign=True)
        log += [str(net[1].weight.dtype)[-7:], isinstance(net[1].weight, module.Parameter), net[1].weight.requires_grad]
        log.append(keys.unexpected_keys)
        return log

    assert logged(nn, ge.tensor) == logged(torch.nn, torch.tensor)
    with pytest.raises(CheckpointError, match=r"unexpected: no, \(2,\)"):
        nn.Identity().load_state_dict({"no": ge.ones(2)})
    bad = ({"weight": "a", "bias": 3}, {"weight": [[1, 2], [3]], "bias": [0.0]}, {"weight": None, "bias": None})
    for forged in bad:
        layer = nn.Linear(2, 1)
        before = layer.weight.detach().numpy().copy()
        with pytest.raises(CheckpointError, match="load_state_dict: the values are not those"):
            layer.load_state_dict(forged)
        np.testing.assert_array_equal(layer.weight.detach().numpy(), before)


@pytest.mark.torch
def test_module_methods_are_pytorchs(torch: ModuleType) -> None:
    found = []
    for module, tensor, f64 in ((nn, ge.tensor, ge.float64), (torch.nn, torch.tensor, torch.float64)):
        shared = module.Linear(2, 2)
        net = module.Sequential(shared, module.Sequential(shared, module.ReLU()), module.Identity())
        net.register_buffer("mean", tensor([1.0]))
        log = [
            [n for n, _ in net.named_parameters()],
            [n for n, _ in net.named_parameters(prefix="p", remove_duplicate=False)],
            [n for n, _ in net.named_parameters(recurse=False)],
            [n for n, _ in net.named_buffers(prefix="q")],
            [n for n, _ in net.named_modules(remove_duplicate=False)],
            [n for n, _ in net.named_children()],
            len(list(net.modules())),
            type(net.get_submodule("1.1")).__name__,
            net.get_buffer("mean").tolist(),
        ]
        net.set_submodule("1.1", module.Tanh())
        log.append(repr(net[1][1]))
        with pytest.raises(AttributeError):
            net.set_submodule("9.9.9", module.Tanh())
        with pytest.raises(AttributeError):
            net.set_submodule("8", module.Tanh(), strict=True)
        net.type(f64)
        log.append(str(net.mean.dtype)[-7:])
        net.to(tensor([1.0]), non_blocking=True)
        log.append(str(net[0].weight.dtype)[-7:])
        net.to("cpu", f64, True)
        net.to(dtype=f64, device="cpu", non_blocking=True)
        log.append(str(net[0].weight.dtype)[-7:])
        net.requires_grad_(False)
        log.append(any(p.requires_grad for p in net.parameters()))
        found.append(log)
    assert found[0] == found[1]
    assert copy.deepcopy(nn.Sequential(nn.Linear(2, 2)))[0].weight.shape == (2, 2)


@pytest.mark.torch
def test_initial_values_are_pytorchs(torch: ModuleType) -> None:
    for shape, groups in (((2, 2, 3), 1), ((4, 2, 3, 3), 2), ((3, 5, 2, 3, 4), 1)):
        np.testing.assert_array_equal(
            nn.init.dirac_(ge.empty(shape), groups).numpy(), torch.nn.init.dirac_(torch.empty(shape), groups).numpy()
        )
    values = nn.init.sparse_(ge.empty(50, 40), 0.33, std=2.0).numpy()
    assert ((values == 0).sum(axis=0) == 17).all()
    assert values[values != 0].std() == pytest.approx(2, rel=0.1)


# -- mistakes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.Linear("3", 2), "Linear: in_features must be an integer, got str '3'"),
        (lambda: nn.Linear(3, 2.0), "Linear: out_features must be an integer"),
        (lambda: nn.Linear(3, -2), "out_features must be an integer >= 0"),
        (lambda: nn.Linear(3, 2, "no"), "Linear: bias must be True or False"),
        (lambda: nn.Linear(3, 2, biass=True), r"Linear: unexpected keyword 'biass' \(did you mean bias\?\)"),
        (lambda: nn.Linear(3), "Linear: missing a required argument: 'out_features'"),
        (lambda: nn.Linear(3, 2, True, None, None, 5), "Linear: takes at most 5 positional arguments, got 6"),
        (lambda: nn.LeakyReLU("a"), "LeakyReLU: negative_slope must be a number"),
        (lambda: nn.LeakyReLU(math.nan), "LeakyReLU: negative_slope must be a number, got float nan"),
        (lambda: nn.Dropout(2.0), "Dropout: p must be a probability"),
        (lambda: nn.Dropout(None), "Dropout: p must be a number"),
        (lambda: nn.Dropout(rate=0.5), r"unexpected keyword 'rate' \(did you mean p\?\)"),
        (lambda: nn.LayerNorm("a"), "a shape is an int or a tuple of ints"),
        (lambda: nn.LayerNorm(3, eps="a"), "LayerNorm: eps must be a number"),
        (lambda: nn.Embedding(3, "a"), "Embedding: embedding_dim must be an integer"),
        (lambda: nn.MSELoss(reduction="avg"), "reduction must be"),
        (lambda: nn.MSELoss(reduction=3), "MSELoss: reduction must be a str"),
        (lambda: nn.Sequential(5), "Sequential: module '0' must be a Module"),
        (lambda: nn.Sequential(nn.ReLU), r"must be a Module, got type .*; make one of the class: ReLU\(...\)"),
        (lambda: nn.Sequential(F.relu), "must be a Module, got function .*; call a function in forward"),
        (lambda: nn.Sequential([nn.ReLU()]), r"must be a Module, got list .*; .* Sequential\(\*modules\)"),
        (lambda: ge.optim.SGD(nn.ReLU(), lr=0.1), r"SGD: params must be .*, got ReLU\(\); use .parameters\(\)"),
        (lambda: nn.ModuleList(5), "ModuleList: "),
        (lambda: nn.ReLU(5.5), "ReLU: inplace must be True or False"),
        (lambda: nn.Flatten("a"), "Flatten: start_dim must be an integer"),
        (lambda: nn.Module(5), "nn.Module takes no arguments, got int 5"),
        (lambda: nn.Linear(1, 1).apply(5), "Linear.apply: function must be a function"),
        (lambda: nn.Linear(1, 1).register_forward_hook(5), "Linear.register_forward_hook: hook must be a function"),
        (lambda: nn.Linear(1, 1).requires_grad_("no"), "requires_grad must be True or False"),
        (lambda: nn.Linear(1, 1).to(ge.int64), "can only become floating-point"),
        (lambda: nn.Linear(1, 1).load_state_dict(5), "needs a mapping"),
        (lambda: nn.Linear(1, 1).get_submodule(5), "a path of modules must be a str"),
        (lambda: nn.ConstantPad2d((1, 2), 0.0), "padding must be an int or 4 ints, got 2"),
        (lambda: nn.ZeroPad1d("a"), "padding must be an int or a tuple of ints"),
        (lambda: nn.MultiMarginLoss(p=3), "p must be 1 or 2"),
        (lambda: nn.TripletMarginLoss(margin=0.0), "margin must be above 0"),
        (lambda: nn.RReLU(0.5, 0.1), "lower must not be above upper"),
        (lambda: nn.init.normal_(ge.empty(2), 0.0, -1.0), "normal_: std must be a finite number >= 0, got float -1.0"),
        (lambda: nn.init.normal_([1.0]), "normal_: needs a Tensor to fill"),
        (lambda: nn.init.uniform_(ge.empty(2), 1.0, 0.0), "a must not be above b"),
        (lambda: nn.init.uniform_(ge.empty(2), math.nan), "uniform_: a must be a finite number"),
        (lambda: nn.init.constant_(ge.empty(2), "a"), "val must be a number"),
        (lambda: nn.init.trunc_normal_(ge.empty(2), std=0.0), "std must be a finite number above 0"),
        (lambda: nn.init.kaiming_normal_(ge.empty(2, 2), a="a"), "kaiming_normal_: a must be"),
        (lambda: nn.init.xavier_normal_(ge.empty(2, 2), gain=math.inf), "gain must be"),
        (lambda: nn.init.dirac_(ge.empty(2, 2)), "needs a weight with 3 to 5 axes"),
        (lambda: nn.init.dirac_(ge.empty(3, 2, 2), groups=2), "cannot be cut into 2 groups"),
        (lambda: nn.init.sparse_(ge.empty(2, 2), 1.5), "sparsity must be a number from 0 to 1"),
        (lambda: nn.utils.clip_grad_value_([nn.Parameter(ge.ones(1))], "a"), "clip_value must be a number >= 0"),
        (lambda: nn.utils.clip_grad_norm_([5], 1.0), "needs Tensors, such as model.parameters"),
        (lambda: nn.utils.clip_grad_norm_(5, 1.0), "needs Tensors"),
        (lambda: nn.utils.clip_grad_norm_([ge.ones(1)], math.nan), "max_norm must be a number >= 0"),
        (lambda: nn.utils.clip_grad_norm_([ge.ones(1)], 1.0, -2), "norm_type must be above 0"),
        (lambda: nn.utils.vector_to_parameters([1.0], [ge.ones(1)]), "vec must be a Tensor"),
        (lambda: nn.utils.parameters_to_vector([]), "got no parameters"),
        (lambda: nn.utils.skip_init(5), "needs a class of modules"),
        (lambda: F.gumbel_softmax(ge.ones(2), tau=0), "tau must be above 0"),
        (lambda: F.dropout2d(ge.ones(2)), "dropout2d: needs"),
        (lambda: F.alpha_dropout(ge.ones(2), 1.5), "p must be a probability"),
        (lambda: F.glu(ge.ones(3)), "must be even"),
        (lambda: F.multi_margin_loss(ge.ones(2, 3), ge.tensor([0, 7])), "labels must be from 0 to 2"),
        (lambda: F.multilabel_margin_loss(ge.ones(2, 3), ge.ones(2, 3)), "labels must be integers"),
        (lambda: F.gaussian_nll_loss(ge.ones(2), ge.ones(2), -ge.ones(2)), "var must not be negative"),
        (lambda: F.cosine_embedding_loss(ge.ones(2, 3), ge.ones(2, 3), ge.ones(3)), "needs inputs"),
        (lambda: F.pixel_shuffle(ge.ones(1, 3, 2, 2), 2), "channels divisible by 4"),
        (lambda: F.bilinear(ge.ones(2, 3), ge.ones(2, 3), ge.ones(2, 2)), "bilinear: needs"),
        (lambda: F.relu_(5), "needs a Tensor to change"),
    ],
)
def test_wrong_calls_are_typed(call: Any, message: str) -> None:
    with pytest.raises((ArgumentError, DTypeError, ShapeError, IndexRangeError), match=message):
        call()


def test_attributes_that_are_missing_are_reported() -> None:
    with pytest.raises(
        AttributeError, match="'Linear' object has no attribute 'register_backward_hook'; use register_full"
    ):
        nn.Linear(1, 1).register_backward_hook  # noqa: B018
    with pytest.raises(AttributeError, match=r"'Linear' object has no attribute 'weights'$"):
        nn.Linear(1, 1).weights  # noqa: B018
