"""Modules, layers, losses, initial values and utilities: PyTorch's behaviour, and how mistakes are told."""

import copy
import math
import re
from collections import OrderedDict
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import gradengine as ge
from gradengine import nn
from gradengine.errors import (
    ArgumentError,
    CheckpointError,
    DTypeError,
    GradengineError,
    IndexRangeError,
    ShapeError,
    TrainingError,
)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.register_buffer("seen", ge.zeros(1))
        self.register_buffer("scratch", ge.zeros(1), persistent=False)

    def forward(self, x: ge.Tensor) -> ge.Tensor:
        return x + self.linear(x)


class Net(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(width), Block(width)])
        self.head = nn.Linear(width, 2, bias=False)
        self.scale = nn.Parameter(ge.ones(1))

    def forward(self, x: ge.Tensor) -> ge.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.scale * self.head(x)


# -- Module -----------------------------------------------------------------------------------------------------


def test_names_come_in_pytorchs_order() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        "scale",
        "blocks.0.linear.weight",
        "blocks.0.linear.bias",
        "blocks.1.linear.weight",
        "blocks.1.linear.bias",
        "head.weight",
    ]
    assert [name for name, _ in net.named_buffers()] == [
        "blocks.0.seen",
        "blocks.0.scratch",
        "blocks.1.seen",
        "blocks.1.scratch",
    ]
    assert [name for name, _ in net.named_modules()] == [
        "",
        "blocks",
        "blocks.0",
        "blocks.0.linear",
        "blocks.1",
        "blocks.1.linear",
        "head",
    ]
    assert [name for name, _ in net.named_children()] == ["blocks", "head"]
    assert [name for name, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert next(name for name, _ in net.named_parameters(prefix="net")) == "net.scale"
    assert list(net.state_dict()) == [
        "scale",
        "blocks.0.seen",
        "blocks.0.linear.weight",
        "blocks.0.linear.bias",
        "blocks.1.seen",
        "blocks.1.linear.weight",
        "blocks.1.linear.bias",
        "head.weight",
    ]


def test_shared_parameters_and_modules_come_once() -> None:
    net = nn.Module()
    net.a, net.b = nn.Linear(2, 2), nn.Linear(2, 2)
    net.b.weight = net.a.weight
    net.c = net.a
    assert [name for name, _ in net.named_parameters()] == ["a.weight", "a.bias", "b.bias"]
    assert [name for name, _ in net.named_children()] == ["a", "b"]
    assert len(list(net.named_parameters(remove_duplicate=False))) == 6
    assert set(net.state_dict()) == {f"{m}.{p}" for m in "abc" for p in ("weight", "bias")}


def test_attributes_become_what_they_are_assigned_as() -> None:
    module = nn.Module()
    module.x = 3
    module.x = nn.Parameter(ge.ones(2))
    assert [name for name, _ in module.named_parameters()] == ["x"]
    module.x = nn.Linear(1, 1)
    assert [name for name, _ in module.named_parameters()] == ["x.weight", "x.bias"]
    module.x = None
    assert list(module.parameters()) == []
    with pytest.raises(DTypeError, match=re.escape("Module.x is a module: assign a nn.Module or None, not int 3")):
        module.x = 3
    del module.x
    module.x = 3
    assert module.x == 3
    module.weight = nn.Parameter(ge.ones(2))
    with pytest.raises(DTypeError, match=r"Module\.weight is a parameter.*makes one of a Tensor"):
        module.weight = ge.ones(2)
    module.register_buffer("mean", ge.zeros(2))
    module.mean = module.mean + 1
    assert dict(module.named_buffers())["mean"].tolist() == [1.0, 1.0]
    module.register_parameter("bias", None)
    assert module.bias is None
    module.bias = nn.Parameter(ge.ones(1))
    assert [name for name, _ in module.named_parameters()] == ["weight", "bias"]
    with pytest.raises(AttributeError):
        module.nothing  # noqa: B018


def test_names_that_cannot_be_registered_are_refused() -> None:
    module = nn.Linear(1, 1)
    with pytest.raises(ArgumentError, match=r"buffer name 'a.b' must be non-empty and without dots"):
        module.register_buffer("a.b", ge.zeros(1))
    with pytest.raises(ArgumentError, match="non-empty"):
        module.add_module("", nn.ReLU())
    with pytest.raises(ArgumentError, match="'forward' is taken by another attribute"):
        module.register_parameter("forward", None)
    with pytest.raises(DTypeError, match="module 'x' must be a Module, got int 3"):
        module.add_module("x", 3)  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="name must be a str"):
        module.add_module(3, nn.ReLU())  # type: ignore[arg-type]


def test_layers_may_be_assigned_before_the_base_is_initialised() -> None:
    class Early(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(1, 1)
            super().__init__()

    assert len(list(Early().parameters())) == 2


def test_submodules_parameters_and_buffers_are_found_by_path() -> None:
    net = Net()
    assert net.get_submodule("blocks.1.linear") is net.blocks[1].linear
    assert net.get_submodule("") is net
    assert net.get_parameter("blocks.0.linear.weight") is net.blocks[0].linear.weight
    assert net.get_buffer("blocks.0.seen") is net.blocks[0].seen
    with pytest.raises(AttributeError, match=r"has no module 'blocks\.7': ModuleList has '0', '1', not '7'"):
        net.get_submodule("blocks.7")
    with pytest.raises(AttributeError, match=r"no parameter 'head\.bias2'"):
        net.get_parameter("head.bias2")


def test_modes_apply_and_requires_grad() -> None:
    net = Net()
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    net.train()
    assert all(module.training for module in net.modules())
    order: list[str] = []
    net.apply(lambda module: order.append(type(module).__name__))
    assert order == ["Linear", "Block", "Linear", "Block", "ModuleList", "Linear", "Net"]
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    assert not net(ge.ones((1, 4))).requires_grad
    with pytest.raises(ge.SignatureError, match="mode must be True or False"):
        net.train("yes")  # type: ignore[arg-type]


def test_zero_grad() -> None:
    net = Net()
    net(ge.ones((1, 4))).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all(not p.grad.numpy().any() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_to_casts_in_place_and_keeps_identity() -> None:
    net = Net()
    net.register_buffer("count", ge.tensor([3]))
    net(ge.ones((1, 4))).sum().backward()
    before = list(net.parameters())
    assert net.double() is net
    assert all(a is b for a, b in zip(net.parameters(), before, strict=True))
    assert {p.dtype for p in net.parameters()} == {np.dtype(np.float64)}
    assert {p.grad.dtype for p in net.parameters()} == {np.dtype(np.float64)}
    assert net.blocks[0].seen.dtype == np.float64
    assert net.count.dtype == np.int64
    assert net(ge.ones((1, 4), dtype=ge.float64)).dtype == np.float64
    assert net.half().head.weight.dtype == np.float16
    assert net.float().head.weight.dtype == np.float32
    assert net.to("cpu", ge.float64).head.weight.dtype == np.float64
    assert net.to(ge.ones(1)).head.weight.dtype == np.float32
    assert net.to(dtype=np.float64).head.weight.dtype == np.float64
    with pytest.raises(DTypeError, match="can only become floating-point, not int32"):
        net.to(ge.int32)


def test_deepcopy_shares_nothing() -> None:
    net = Net()
    net.tied = net.scale
    twin = copy.deepcopy(net)
    assert twin.tied is twin.scale
    assert twin.scale is not net.scale
    assert isinstance(twin.scale, nn.Parameter)
    assert twin.scale.requires_grad
    with ge.no_grad():
        twin.scale += 1
    assert net.scale.item() == 1.0
    x = ge.ones((1, 4))
    np.testing.assert_allclose(twin(x).detach().numpy(), 2 * net(x).detach().numpy(), rtol=1e-6)


def test_hooks_see_and_change_arguments_and_outputs() -> None:
    layer = nn.Identity()
    seen: list[Any] = []
    handles = [
        layer.register_forward_pre_hook(lambda module, args: (args[0] + 1,)),
        layer.register_forward_pre_hook(lambda module, args: seen.append(args[0].item())),
        layer.register_forward_hook(lambda module, args, output: output * 10),
        layer.register_forward_hook(lambda module, args, output: seen.append(output.item())),
    ]
    assert layer(ge.tensor(1.0)).item() == 20.0
    assert seen == [2.0, 20.0]
    for handle in handles:
        handle.remove()
    assert layer(ge.tensor(1.0)).item() == 1.0


def test_hooks_work_when_their_handles_are_dropped() -> None:
    layer = nn.Identity()
    for _ in range(3):
        layer.register_forward_hook(lambda module, args, output: output * 2)
    assert layer(ge.tensor(1.0)).item() == 8.0


def test_a_module_without_forward_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Net2 has no forward"):
        type("Net2", (nn.Module,), {})()(1)


def test_dir_leaves_out_numbers() -> None:
    names = dir(nn.Sequential(nn.ReLU()))
    assert "forward" in names
    assert "0" not in names


@pytest.mark.torch
def test_repr_and_names_are_pytorchs(torch: ModuleType) -> None:
    def build(nn: Any) -> Any:
        class Classifier(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.features = nn.Sequential(
                    OrderedDict(flat=nn.Flatten(), hidden=nn.Linear(4, 3), act=nn.ReLU(inplace=True))
                )
                self.same = nn.ModuleList([nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False), nn.Tanh()])
                self.heads = nn.ModuleDict({"a": nn.Embedding(5, 2, padding_idx=-1), "b": nn.Embedding(3, 1)})
                self.empty, self.nothing = nn.ModuleList(), nn.Sequential()
                self.drop = nn.Dropout(0.25)

        return Classifier()

    ours, theirs = build(nn), build(torch.nn)
    assert repr(ours) == repr(theirs)
    for name in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        assert [n for n, _ in getattr(ours, name)()] == [n for n, _ in getattr(theirs, name)()]
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(theirs.state_dict())


ACTIVATIONS: list[tuple[str, dict[str, Any]]] = [
    ("ReLU", {}),
    ("ReLU", dict(inplace=True)),
    ("ReLU6", {}),
    ("LeakyReLU", {}),
    ("LeakyReLU", dict(negative_slope=0.2)),
    ("PReLU", {}),
    ("PReLU", dict(num_parameters=5, init=0.1)),
    ("ELU", {}),
    ("ELU", dict(alpha=0.7)),
    ("SELU", {}),
    ("CELU", dict(alpha=1.7)),
    ("GELU", {}),
    ("GELU", dict(approximate="tanh")),
    ("SiLU", {}),
    ("Mish", {}),
    ("Softplus", {}),
    ("Softplus", dict(beta=2.0, threshold=3.0)),
    ("Softsign", {}),
    ("Hardtanh", {}),
    ("Hardtanh", dict(min_val=-0.5, max_val=0.25)),
    ("Hardsigmoid", {}),
    ("Hardswish", {}),
    ("Sigmoid", {}),
    ("LogSigmoid", {}),
    ("Tanh", {}),
    ("Tanhshrink", {}),
    ("Hardshrink", dict(lambd=1.0)),
    ("Softshrink", {}),
    ("Threshold", dict(threshold=0.5, value=-7)),
    ("Threshold", dict(threshold=0.5, value=-7, inplace=True)),
    ("Softmin", dict(dim=1)),
    ("Softmax", dict(dim=1)),
    ("LogSoftmax", dict(dim=0)),
]


@pytest.mark.torch
@pytest.mark.parametrize(("name", "options"), ACTIVATIONS)
def test_activation_layers_equal_pytorchs(
    name: str, options: dict[str, Any], backend: str, torch: ModuleType, rng: np.random.Generator
) -> None:
    ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options).double()
    assert repr(ours) == repr(theirs)
    ours.double()
    x = 3 * rng.standard_normal((4, 5))
    compare(ours, theirs, torch, x)


LOSSES: list[tuple[str, dict[str, Any], str]] = [
    ("MSELoss", {}, "values"),
    ("MSELoss", dict(reduction="sum"), "values"),
    ("MSELoss", dict(reduction="none"), "values"),
    ("L1Loss", {}, "values"),
    ("HuberLoss", {}, "values"),
    ("HuberLoss", dict(delta=0.5, reduction="sum"), "values"),
    ("SmoothL1Loss", {}, "values"),
    ("SmoothL1Loss", dict(beta=0.5, reduction="none"), "values"),
    ("CrossEntropyLoss", {}, "classes"),
    ("CrossEntropyLoss", dict(label_smoothing=0.1, reduction="sum"), "classes"),
    ("CrossEntropyLoss", dict(weight=[0.5, 1.0, 2.0, 0.1], ignore_index=2), "classes"),
    ("CrossEntropyLoss", {}, "probabilities"),
    ("NLLLoss", {}, "classes"),
    ("NLLLoss", dict(weight=[0.5, 1.0, 2.0, 0.1], ignore_index=1, reduction="none"), "classes"),
    ("BCELoss", {}, "probabilities"),
    ("BCELoss", dict(weight=[0.5, 1.0, 2.0, 0.1], reduction="sum"), "probabilities"),
    ("BCEWithLogitsLoss", {}, "probabilities"),
    ("BCEWithLogitsLoss", dict(weight=[1.0, 1.0, 2.0, 0.1], pos_weight=[1.0, 3.0, 2.0, 0.1]), "probabilities"),
    ("KLDivLoss", dict(reduction="batchmean"), "probabilities"),
    ("KLDivLoss", dict(reduction="sum", log_target=True), "values"),
    ("SoftMarginLoss", {}, "signs"),
    ("HingeEmbeddingLoss", {}, "signs"),
    ("HingeEmbeddingLoss", dict(margin=0.3, reduction="sum"), "signs"),
]


@pytest.mark.torch
@pytest.mark.parametrize(("name", "options", "kind"), LOSSES)
def test_loss_layers_equal_pytorchs(
    name: str, options: dict[str, Any], kind: str, backend: str, torch: ModuleType, rng: np.random.Generator
) -> None:
    weights = {k: v for k, v in options.items() if isinstance(v, list)}
    others = {k: v for k, v in options.items() if k not in weights}
    ours = getattr(nn, name)(**others, **{k: ge.tensor(v, dtype=ge.float64) for k, v in weights.items()})
    theirs = getattr(torch.nn, name)(**others, **{k: torch.tensor(v, dtype=torch.float64) for k, v in weights.items()})
    assert repr(ours) == repr(theirs)
    x = rng.standard_normal((6, 4))
    if name == "BCELoss":
        x = 1 / (1 + np.exp(-x))
    target = {
        "values": lambda: rng.standard_normal((6, 4)),
        "classes": lambda: rng.integers(0, 4, 6),
        "probabilities": lambda: rng.dirichlet(np.ones(4), 6),
        "signs": lambda: rng.choice([-1.0, 1.0], (6, 4)),
    }[kind]()
    compare(ours, theirs, torch, x, target)


def compare(ours: nn.Module, theirs: Any, torch: ModuleType, x: np.ndarray, *rest: np.ndarray) -> None:
    """Forward and every gradient of a layer equal PyTorch's, in float64."""
    a, b = ge.tensor(x, requires_grad=x.dtype.kind == "f"), torch.tensor(x, requires_grad=x.dtype.kind == "f")
    y = ours(a * 1.0 if getattr(ours, "inplace", False) else a, *[ge.tensor(r) for r in rest])
    z = theirs(b.clone(), *[torch.tensor(r) for r in rest])  # PyTorch's `inplace` overwrites its input
    assert y.shape == tuple(z.shape)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-7, atol=1e-12)
    seed = np.cos(np.arange(y.size, dtype=np.float64)).reshape(y.shape)
    y.backward(ge.tensor(seed))
    z.backward(torch.tensor(seed))
    pairs = [(p.grad, q.grad) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True)]
    for p, q in pairs + ([(a.grad, b.grad)] if a.requires_grad else []):
        np.testing.assert_allclose(p.numpy(), q.numpy(), rtol=1e-7, atol=1e-12)


@pytest.mark.torch
def test_layers_with_weights_equal_pytorchs(backend: str, torch: ModuleType, rng: np.random.Generator) -> None:
    for bias in (True, False):
        ours, theirs = nn.Linear(4, 3, bias=bias).double(), torch.nn.Linear(4, 3, bias=bias).double()
        ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
        for shape in ((2, 4), (4,), (2, 3, 4), (0, 4)):
            compare(ours, theirs, torch, rng.standard_normal(shape))
            ours.zero_grad()
            theirs.zero_grad()
    table, other = nn.Embedding(6, 3, padding_idx=2).double(), torch.nn.Embedding(6, 3, padding_idx=2).double()
    assert table.weight[2].tolist() == [0.0, 0.0, 0.0]
    table.load_state_dict({"weight": other.weight.detach().numpy()})
    compare(table, other, torch, np.array([[1, 2, 5], [1, 0, 2]]))
    for options in ({}, {"bias": False}, {"elementwise_affine": False}):
        norm, other_norm = nn.LayerNorm((3, 4), **options).double(), torch.nn.LayerNorm((3, 4), **options).double()
        assert repr(norm) == repr(other_norm)
        compare(norm, other_norm, torch, rng.standard_normal((2, 3, 4)))
    ranking, other_ranking = nn.MarginRankingLoss(0.2), torch.nn.MarginRankingLoss(0.2)
    compare(ranking, other_ranking, torch, rng.standard_normal(5), rng.standard_normal(5), rng.choice([-1.0, 1.0], 5))
    compare(nn.Flatten(), torch.nn.Flatten(), torch, rng.standard_normal((2, 3, 4)))
    compare(nn.Flatten(0, 1), torch.nn.Flatten(0, 1), torch, rng.standard_normal((2, 3, 4)))
    compare(nn.Unflatten(1, (3, -1)), torch.nn.Unflatten(1, (3, -1)), torch, rng.standard_normal((2, 12)))
    compare(nn.Identity(3, a=1), torch.nn.Identity(3, a=1), torch, rng.standard_normal((2, 3)))


def test_dropout_scales_what_it_keeps_and_only_in_training(backend: str) -> None:
    layer = nn.Dropout(0.3)
    x = ge.ones(10_000)
    y = layer(x).numpy()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs((y == 0).mean() - 0.3) < 0.02
    ge.manual_seed(3)
    first = layer(x).numpy()
    ge.manual_seed(3)
    np.testing.assert_array_equal(layer(x).numpy(), first)
    layer.eval()
    np.testing.assert_array_equal(layer(x).numpy(), x.numpy())
    assert not nn.Dropout(1.0)(x).numpy().any()
    with pytest.raises(ArgumentError, match=r"p must be a probability from 0 to 1, got float 1\.5"):
        nn.Dropout(1.5)


def test_embedding_from_a_table_is_frozen() -> None:
    layer = nn.Embedding.from_pretrained(ge.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert layer(ge.tensor([1])).tolist() == [[3.0, 4.0]]
    assert not layer.weight.requires_grad


# -- containers -------------------------------------------------------------------------------------------------


def test_sequential_is_indexed_sliced_and_edited() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert net[0] is next(iter(net))
    assert isinstance(net[-1], nn.Linear)
    assert len(net[1:]) == 2
    assert list(net[1:].state_dict()) == ["2.weight", "2.bias"]  # as in PyTorch, a slice keeps the names
    assert len(net[1:].append(nn.ReLU())) == 3
    net[1] = nn.Tanh()
    assert isinstance(net[1], nn.Tanh)
    net.append(nn.Sigmoid())
    net.insert(1, nn.Identity())
    assert [type(m).__name__ for m in net] == ["Linear", "Identity", "Tanh", "Linear", "Sigmoid"]
    assert [name for name, _ in net.named_children()] == ["0", "1", "2", "3", "4"]
    del net[1]
    assert isinstance(net.pop(), nn.Sigmoid)
    assert len(net) == 3
    assert net(ge.ones((5, 2))).shape == (5, 1)
    named = nn.Sequential(OrderedDict(first=nn.Linear(2, 2), act=nn.ReLU()))
    assert named.first is named[0]
    assert list(named.state_dict()) == ["first.weight", "first.bias"]
    with pytest.raises(IndexRangeError, match="index 9 is out of range for 3 modules"):
        net[9]
    with pytest.raises(DTypeError, match="must be a Module"):
        nn.Sequential(nn.ReLU(), ge.relu)


def test_module_list_is_a_list() -> None:
    layers = nn.ModuleList([nn.Linear(1, 1)])
    layers.append(nn.ReLU()).extend([nn.Tanh(), nn.Tanh()])
    layers += [nn.Sigmoid()]
    assert [type(m).__name__ for m in layers] == ["Linear", "ReLU", "Tanh", "Tanh", "Sigmoid"]
    assert layers[1] in layers
    assert len(layers[1:3]) == 2
    assert list(dict(layers[2:4].named_children())) == ["0", "1"]
    del layers[0:2]
    assert [name for name, _ in layers.named_children()] == ["0", "1", "2"]
    assert len(layers + [nn.ReLU()]) == 4
    with pytest.raises(NotImplementedError):
        layers(1)


def test_module_dict_is_a_dict() -> None:
    heads = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
    heads["c"] = nn.Linear(1, 1)
    heads.update([("d", nn.Identity())])
    assert list(heads) == heads.keys() == ["a", "b", "c", "d"]
    assert "a" in heads
    assert "z" not in heads
    assert [name for name, _ in heads.items()] == list(heads)
    assert isinstance(heads.pop("b"), nn.Tanh)
    del heads["a"]
    assert len(heads) == 2
    assert list(heads.state_dict()) == ["c.weight", "c.bias"]
    with pytest.raises(KeyError):
        heads["b"]
    with pytest.raises(ArgumentError, match="'train' is taken"):
        heads["train"] = nn.ReLU()
    with pytest.raises(DTypeError, match="needs a mapping or pairs"):
        heads.update([3])
    heads.clear()
    assert len(heads) == 0


# -- state_dict -------------------------------------------------------------------------------------------------


def test_state_dict_round_trip_and_snapshot() -> None:
    a, b = Net(), Net()
    x = ge.ones((3, 4))
    live = a.state_dict()
    saved = copy.deepcopy(live)
    assert repr(b.load_state_dict(saved)) == "<All keys matched successfully>"
    np.testing.assert_array_equal(a(x).detach().numpy(), b(x).detach().numpy())
    with ge.no_grad():
        for p in a.parameters():
            p += 1
    assert live["scale"].item() == 2.0
    b.load_state_dict(saved)
    assert b.scale.item() == 1.0
    assert a.scale.item() == 2.0
    assert a.state_dict(keep_vars=True)["scale"] is a.scale
    assert "net.scale" in a.state_dict(prefix="net.")


def test_loading_casts_and_copies() -> None:
    layer = nn.Linear(2, 1)
    weight = np.ones((1, 2))
    layer.load_state_dict({"weight": weight, "bias": ge.zeros(1, dtype=ge.float64)})
    weight[:] = 5
    assert layer.weight.dtype == np.float32
    assert layer.weight.tolist() == [[1.0, 1.0]]
    assert isinstance(layer.weight, nn.Parameter)
    assert layer.weight.requires_grad


def test_loading_another_models_state_names_everything_and_changes_nothing() -> None:
    net = Net()
    before = net.state_dict()
    state = dict(before)
    del state["scale"], state["blocks.1.seen"]
    state["head.bias"] = ge.zeros(2)
    state["head.weight"] = ge.zeros((10, 4))
    state["blocks.0.linear.weight"] = ge.zeros((4, 4))
    with pytest.raises(CheckpointError) as caught:
        net.load_state_dict(state)
    message = str(caught.value)
    for part in (
        "load_state_dict: the values are not those of this Net",
        "missing: scale, (1,)",
        "missing: blocks.1.seen, (1,)",
        "unexpected: head.bias, (2,)",
        "wrong shape: head.weight, (10, 4) where the model has (2, 4)",
    ):
        assert part in message
    after = net.state_dict()
    assert all(np.array_equal(after[name].numpy(), before[name].numpy()) for name in before)
    with pytest.raises(CheckpointError, match="wrong shape") as loose:
        net.load_state_dict(state, strict=False)
    assert "missing" not in str(loose.value)
    with pytest.raises(DTypeError, match="needs a mapping of path to value, got int 3"):
        net.load_state_dict(3)  # type: ignore[arg-type]
    del state["head.weight"]
    left_out = net.load_state_dict(state, strict=False)
    assert left_out.missing_keys == ["scale", "blocks.1.seen", "head.weight"]
    assert left_out.unexpected_keys == ["head.bias"]
    assert not net.blocks[0].linear.weight.detach().numpy().any()


# -- messages ---------------------------------------------------------------------------------------------------


def test_an_error_names_the_module_it_comes_from() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Flatten(), Net(4))
            self.hidden = [nn.Linear(2, 2)]  # not registered: it has no path

        def forward(self, x: ge.Tensor) -> ge.Tensor:
            return self.body(x)

    net = Outer()
    net.body[1].head = nn.Linear(5, 2)
    place = re.escape("(in body.1.head, Linear(in_features=5, out_features=2, bias=True))") + "$"
    with pytest.raises(ShapeError, match=place) as caught:
        net(ge.ones((3, 2, 2)))
    assert "(3, 4)" in str(caught.value)
    with pytest.raises(ShapeError, match=re.escape("(in Linear(in_features=4, out_features=2, bias=True))") + "$"):
        nn.Linear(4, 2)(ge.ones((1, 3)))


def test_an_error_in_a_forward_of_ones_own_names_its_module() -> None:
    class Bad(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: ge.Tensor) -> ge.Tensor:
            return self.layer(x) @ x

    net = nn.ModuleDict({"bad": Bad()})
    net.forward = lambda x: net["bad"](x)  # type: ignore[method-assign]
    with pytest.raises(ShapeError, match=r"\(in bad, Bad\(\.\.\.\)\)$"):
        net(ge.ones((3, 2)))


def test_a_layer_reached_past_its_parent_has_its_whole_path() -> None:
    class Skips(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.ReLU(), nn.Linear(2, 2))

        def forward(self, x: ge.Tensor) -> ge.Tensor:
            return self.inner[1](x)

    with pytest.raises(ShapeError, match=r"\(in inner\.1, Linear"):
        Skips()(ge.ones(3))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Linear(-1, 2), ArgumentError, "Linear: in_features must be an integer >= 0, got int -1"),
        (lambda: nn.Linear(2, 1.5), ArgumentError, "out_features must be an integer"),  # type: ignore[arg-type]
        (lambda: nn.Embedding(3, 2, padding_idx=3), IndexRangeError, "padding_idx 3 is outside the 3 embeddings"),
        (lambda: nn.Embedding(3, 2)(ge.tensor([3])), IndexRangeError, "3"),
        (lambda: nn.MSELoss("average"), ArgumentError, "reduction must be 'mean', 'sum' or 'none', got 'average'"),
        (lambda: nn.MSELoss()(ge.ones((8, 1)), ge.ones(8)), ShapeError, r"\(8, 1\).*\(8,\).*\(in MSELoss\(\)\)"),
        (lambda: nn.CrossEntropyLoss()(ge.ones((2, 3)), ge.tensor([0, 3])), GradengineError, "CrossEntropyLoss"),
        (lambda: nn.Unflatten(1, (3, 5))(ge.ones((2, 12))), ShapeError, r"axis 1 of \(2, 12\) cannot become \(3, 5\)"),
        (lambda: nn.Parameter(ge.tensor([1, 2])), DTypeError, "only floating-point"),
        (lambda: nn.init.xavier_uniform_(ge.ones(3)), ShapeError, "xavier_uniform_: a fan needs a weight"),
        (lambda: nn.init.kaiming_normal_(ge.ones((3, 3)), mode="fan"), ArgumentError, "mode must be"),
        (lambda: nn.init.calculate_gain("relo"), ArgumentError, "unknown nonlinearity 'relo'"),
        (lambda: nn.init.orthogonal_(ge.ones(3)), ShapeError, "orthogonal_: needs at least two axes"),
        (lambda: nn.init.eye_(ge.ones(3)), ShapeError, "eye_: needs a matrix"),
    ],
)
def test_mistakes_get_typed_errors(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


# -- init -------------------------------------------------------------------------------------------------------


def drawn(function: Callable[..., Any], *args: Any, shape: tuple[int, ...] = (300, 200), **options: Any) -> np.ndarray:
    weight = nn.Parameter(ge.empty(shape))
    assert function(weight, *args, **options) is weight
    assert weight.requires_grad
    assert weight.dtype == np.float32
    return weight.detach().numpy().astype(np.float64)


def assert_uniform(x: np.ndarray, low: float, high: float) -> None:
    assert x.min() >= low
    assert x.max() <= high
    assert x.min() < low + 0.01 * (high - low)
    assert x.max() > high - 0.01 * (high - low)
    assert abs(x.mean() - (low + high) / 2) < 5 * (high - low) / math.sqrt(12 * x.size)
    assert x.std() == pytest.approx((high - low) / math.sqrt(12), rel=0.02)


def assert_normal(x: np.ndarray, mean: float, std: float) -> None:
    assert abs(x.mean() - mean) < 5 * std / math.sqrt(x.size)
    assert x.std() == pytest.approx(std, rel=0.02)
    assert (np.abs(x - mean) < std).mean() == pytest.approx(0.6827, abs=0.01)


def test_init_draws_what_its_name_says(backend: str) -> None:
    init = nn.init
    assert_uniform(drawn(init.uniform_), 0, 1)
    assert_uniform(drawn(init.uniform_, -3, 5), -3, 5)
    assert_normal(drawn(init.normal_), 0, 1)
    assert_normal(drawn(init.normal_, mean=2, std=0.5), 2, 0.5)
    assert (drawn(init.constant_, 0.25) == 0.25).all()
    assert (drawn(init.zeros_) == 0).all()
    assert (drawn(init.ones_) == 1).all()
    np.testing.assert_array_equal(drawn(init.eye_, shape=(3, 5)), np.eye(3, 5))
    bound = math.sqrt(6 / 500)
    assert_uniform(drawn(init.xavier_uniform_), -bound, bound)
    assert_uniform(drawn(init.xavier_uniform_, gain=2), -2 * bound, 2 * bound)
    assert_normal(drawn(init.xavier_normal_), 0, math.sqrt(2 / 500))
    bound = math.sqrt(2) * math.sqrt(3 / 200)
    assert_uniform(drawn(init.kaiming_uniform_, nonlinearity="relu"), -bound, bound)
    bound = math.sqrt(3 / 300)
    assert_uniform(drawn(init.kaiming_uniform_, mode="fan_out", nonlinearity="linear"), -bound, bound)
    assert_normal(drawn(init.kaiming_normal_, a=1.0), 0, 1 / math.sqrt(200))
    kernel = drawn(init.kaiming_normal_, nonlinearity="relu", shape=(64, 32, 5, 5))
    assert_normal(kernel, 0, math.sqrt(2 / (32 * 25)))


def test_truncated_normal_has_its_bounds_and_shape(backend: str) -> None:
    stats = pytest.importorskip("scipy.stats")
    for mean, std, a, b in ((0, 1, -2, 2), (1, 2, 0, 1.5), (0, 0.02, -2, 2), (0, 1, 3, 4)):
        x = drawn(nn.init.trunc_normal_, mean, std, a, b, shape=(20_000,))
        assert x.min() >= a
        assert x.max() <= b
        expected = stats.truncnorm((a - mean) / std, (b - mean) / std, mean, std)
        assert stats.kstest(x, expected.cdf).pvalue > 1e-4


def test_orthogonal_matrices_are_orthogonal() -> None:
    for shape in ((20, 30), (30, 20), (10, 4, 5)):
        flat = drawn(nn.init.orthogonal_, shape=shape, gain=2.0).reshape(shape[0], -1)
        small = flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat
        np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-5)


@pytest.mark.torch
def test_gains_equal_pytorchs(torch: ModuleType) -> None:
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert nn.init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))
    assert nn.init.calculate_gain("leaky_relu", 0.3) == pytest.approx(torch.nn.init.calculate_gain("leaky_relu", 0.3))


@pytest.mark.torch
def test_layers_start_like_pytorchs(torch: ModuleType) -> None:
    for module, drawn_by in ((nn, nn.Linear(50, 400)), (torch.nn, torch.nn.Linear(50, 400))):
        bound = 1 / math.sqrt(50)
        assert_uniform(drawn_by.weight.detach().numpy().astype(np.float64), -bound, bound)
        assert np.abs(drawn_by.bias.detach().numpy()).max() <= bound, module
    assert_normal(nn.Embedding(300, 100).weight.detach().numpy().astype(np.float64), 0, 1)


def test_a_seed_gives_the_same_weights_on_every_backend() -> None:
    weights = []
    for backend in ("numpy", "numba"):
        if ge.backends()[backend] != "available":
            pytest.skip(f"{backend}: {ge.backends()[backend]}")
        ge.set_cpu_backend(backend)
        ge.manual_seed(7)
        weights.append(nn.Linear(300, 200).weight.detach().numpy())
    np.testing.assert_array_equal(*weights)
    first = nn.init.normal_(ge.empty(5), generator=ge.Generator(1)).tolist()
    assert nn.init.normal_(ge.empty(5), generator=ge.Generator(1)).tolist() == first


# -- utils ------------------------------------------------------------------------------------------------------


@pytest.mark.torch
@pytest.mark.parametrize("norm_type", [2.0, 1, 3.5, math.inf, "inf"])
@pytest.mark.parametrize("max_norm", [0.5, 1e9])
def test_clip_grad_norm_equals_pytorchs(
    norm_type: Any, max_norm: float, backend: str, torch: ModuleType, rng: np.random.Generator
) -> None:
    grads = [rng.standard_normal(shape) for shape in ((3, 4), (5,), (), (100, 120))]
    ours = [nn.Parameter(ge.zeros(g.shape, dtype=ge.float64)) for g in grads]
    theirs = [torch.zeros(g.shape, dtype=torch.float64, requires_grad=True) for g in grads]
    for p, q, g in zip(ours, theirs, grads, strict=True):
        p.grad, q.grad = ge.tensor(g), torch.tensor(g)
    without = nn.Parameter(ge.zeros(2))
    total = nn.utils.clip_grad_norm_([*ours, without], max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert total.item() == pytest.approx(expected.item(), rel=1e-12)
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-12)


def test_clip_grad_norm_of_nothing_of_float32_and_of_nan() -> None:
    p = nn.Parameter(ge.zeros(3))
    assert nn.utils.clip_grad_norm_([p], 1.0).item() == 0.0
    p.grad = ge.full((3,), 2.0)
    nn.utils.clip_grad_norm_(p, 1.0)
    assert p.grad.dtype == np.float32
    assert np.linalg.norm(p.grad.numpy()) == pytest.approx(1.0, rel=1e-5)
    p.grad = ge.tensor([1.0, math.nan, 2.0])
    with pytest.raises(TrainingError, match=r"^clip_grad_norm_: the norm of order 2\.0 is nan"):
        nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    assert p.grad[0].item() == 1.0
    with pytest.raises(ArgumentError, match="norm_type must be above 0"):
        nn.utils.clip_grad_norm_([p], 1.0, norm_type=-1)


def test_clip_grad_value_limits_every_element(backend: str) -> None:
    p = nn.Parameter(ge.zeros(3))
    p.grad = ge.tensor([-3.0, 0.5, 2.0])
    nn.utils.clip_grad_value_(p, 1.0)
    assert p.grad.tolist() == [-1.0, 0.5, 1.0]


def test_parameters_to_vector_and_back() -> None:
    net = Net()
    vector = nn.utils.parameters_to_vector(net.parameters())
    assert vector.shape == (sum(p.size for p in net.parameters()),)
    vector.sum().backward()
    assert net.head.weight.grad.numpy().all()
    nn.utils.vector_to_parameters(ge.arange(vector.size, dtype=ge.float32), net.parameters())
    assert net.scale.item() == 0.0
    assert net.head.weight.tolist()[-1][-1] == vector.size - 1
    assert isinstance(net.scale, nn.Parameter)
    with pytest.raises(ShapeError, match=r"have 49 elements, the vector has shape \(3,\)"):
        nn.utils.vector_to_parameters(ge.ones(3), net.parameters())
