"""Pickled and deep-copied modules, optimizers and schedulers are what they were, in another process too."""

import copy
import os
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import gradengine as ge
import gradengine.nn.functional as F
from gradengine import nn, optim


class Block(nn.Module):
    """A module of a user's own: nested, with a shared layer, buffers, a frozen parameter and plain attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.again = self.first
        self.inside = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.5))
        self.parts = nn.ModuleDict({"norm": nn.LayerNorm(4), "act": nn.GELU()})
        self.several = nn.ModuleList([nn.Linear(4, 4, bias=False) for _ in range(2)])
        self.scale = nn.Parameter(ge.ones(4), requires_grad=False)
        self.register_buffer("mean", ge.full((4,), 2.0))
        self.register_buffer("hidden", ge.ones(1), persistent=False)
        self.register_parameter("absent", None)
        self.factor = 3

    def forward(self, x: Any) -> Any:
        x = self.parts["act"](self.parts["norm"](self.inside(self.again(self.first(x)))))
        for layer in self.several:
            x = layer(x)
        return (x * self.scale + self.mean) * self.factor


MODULES = {
    "Linear": lambda: nn.Linear(3, 2),
    "no bias": lambda: nn.Linear(3, 2, bias=False),
    "Bilinear": lambda: nn.Bilinear(3, 3, 2) if hasattr(nn, "Bilinear") else nn.Linear(3, 2),
    "Embedding": lambda: nn.Embedding(5, 2),
    "LayerNorm": lambda: nn.LayerNorm(3),
    "PReLU": lambda: nn.PReLU(3),
    "Sequential": lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 2))),
    "ModuleList": lambda: nn.ModuleList([nn.Linear(3, 2), nn.Identity()]),
    "ModuleDict": lambda: nn.ModuleDict({"a": nn.Linear(3, 2)}),
    "own": Block,
    "double": lambda: nn.Linear(3, 2).double(),
}


def describe(module: nn.Module) -> dict[str, Any]:
    """Everything that a copy of a module must have."""
    found: dict[str, Any] = {"repr": repr(module)}
    for path, part in module.named_modules():
        found[f"mode of {path}"] = part.training, type(part).__name__
    for kind, named in (("p", module.named_parameters()), ("b", module.named_buffers())):
        for path, t in named:
            found[f"{kind} {path}"] = t.numpy(force=True).tolist(), str(t.dtype), t.requires_grad, type(t).__name__
    found["state"] = list(module.state_dict())
    return found


@pytest.mark.parametrize("how", [*range(2, pickle.HIGHEST_PROTOCOL + 1), "deepcopy"])
@pytest.mark.parametrize("name", MODULES)
def test_modules_come_back_whole(name: str, how: Any) -> None:
    module = MODULES[name]()
    for training in (True, False):
        module.train(training)
        twin = copy.deepcopy(module) if how == "deepcopy" else pickle.loads(pickle.dumps(module, how))
        assert describe(twin) == describe(module)
        assert len(list(twin.parameters())) == len(list(module.parameters()))
    if name in ("Linear", "own", "Sequential"):
        x = ge.ones(2, 3)
        np.testing.assert_array_equal(twin(x).numpy(force=True), module(x).numpy(force=True))
        before = describe(module)
        twin(x).sum().backward()
        optim.SGD(twin.parameters(), lr=0.1).step()
        assert describe(module) == before
        twin.register_buffer("later", ge.ones(1))  # it is a module like any other
        assert "later" in twin.state_dict()
        assert "later" not in module.state_dict()
    if name == "own":
        assert twin.first is twin.again


def test_another_process_reads_a_pickled_module(tmp_path: Any) -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).eval()
    optimizer = optim.Adam(module.parameters(), lr=0.1)
    module(ge.ones(2, 3)).sum().backward()
    optimizer.step()
    path = tmp_path / "pickled"
    path.write_bytes(pickle.dumps((module, optimizer)))
    code = (
        "import pickle, sys, gradengine as ge\n"
        "module, optimizer = pickle.load(open(sys.argv[1], 'rb'))\n"
        "module(ge.ones(2, 3)).sum().backward(); optimizer.step()\n"
        "print(module(ge.ones(1, 3)).item(), module.training, len(list(module.parameters())))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    module.zero_grad()
    twin_module, twin = pickle.loads(path.read_bytes())
    twin_module(ge.ones(2, 3)).sum().backward()
    twin.step()
    assert done.stdout.split() == [str(twin_module(ge.ones(1, 3)).item()), "False", "4"]


@pytest.mark.parametrize("how", ["pickle", "deepcopy"])
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_optimizers_and_schedulers_go_on_where_they_were(name: str, how: str) -> None:
    layer = nn.Linear(3, 2)
    options = {"momentum": 0.9} if name == "SGD" else {}
    optimizer = getattr(optim, name)(
        [{"params": [layer.weight]}, {"params": [layer.bias], "lr": 0.5}], lr=0.1, **options
    )
    schedulers = [optim.lr_scheduler.StepLR(optimizer, 2), optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)]

    def step(layer: Any, optimizer: Any, schedulers: Any) -> None:
        optimizer.zero_grad()
        F.mse_loss(layer(ge.ones(4, 3)), ge.zeros(4, 2)).backward()
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()

    for _ in range(3):
        step(layer, optimizer, schedulers)
    whole = (layer, optimizer, schedulers)
    twin = copy.deepcopy(whole) if how == "deepcopy" else pickle.loads(pickle.dumps(whole))
    assert twin[1].param_groups[0]["params"][0] is twin[0].weight
    for _ in range(3):
        step(*whole)
        step(*twin)
    np.testing.assert_array_equal(twin[0].weight.numpy(force=True), layer.weight.numpy(force=True))
    np.testing.assert_array_equal(twin[0].bias.numpy(force=True), layer.bias.numpy(force=True))
    assert [s.get_last_lr() for s in twin[2]] == [s.get_last_lr() for s in schedulers]


def test_tensors_keep_their_kind() -> None:
    for dtype in (ge.float32, ge.float64, ge.float16, ge.int8, ge.bool, "bfloat16"):
        if dtype == "bfloat16":
            pytest.importorskip("ml_dtypes")
        x = ge.ones(2, 3, dtype=dtype)
        twin = pickle.loads(pickle.dumps(x))
        assert twin.dtype == x.dtype
        assert twin.tolist() == x.tolist()
        assert not twin.requires_grad
    row = ge.tensor([[1.0, 2.0], [3.0, 4.0]])[0]
    twin = pickle.loads(pickle.dumps(row))
    twin.add_(1.0)
    assert row.tolist() == [1.0, 2.0]
    leaf = pickle.loads(pickle.dumps(ge.ones(2, requires_grad=True)))
    (leaf * 2).sum().backward()
    assert leaf.grad.tolist() == [2.0, 2.0]
