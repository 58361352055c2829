"""PyTorch's module paths: names are found there, and what is absent says so."""

import importlib

import pytest

import gradengine as ge
from gradengine.migration_hints import ABSENT_MODULES
from gradengine.module_paths import PUBLIC, WHERE


@pytest.mark.torch
@pytest.mark.parametrize("path", sorted(WHERE))
def test_pytorchs_paths_give_the_names_that_are_here(path, torch):
    ours = importlib.import_module(path)
    theirs = importlib.import_module(path.replace("gradengine", "torch", 1))
    home = importlib.import_module(WHERE[path])
    public = [name for name in getattr(theirs, "__all__", vars(theirs)) if not name.startswith("_")]
    common = [name for name in public if name in getattr(home, "__all__", dir(home))]
    assert common  # otherwise nobody needs the path
    for name in common:
        assert getattr(ours, name) is getattr(home, name)
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        ours.Nonsense  # noqa: B018


@pytest.mark.torch
@pytest.mark.parametrize("path", sorted(ABSENT_MODULES))
def test_absent_modules_say_what_to_do_instead(path, torch):
    importlib.import_module(f"torch.{path}") if path != "utils.tensorboard" else None
    with pytest.raises(ModuleNotFoundError, match="; "):
        importlib.import_module(f"gradengine.{path}")
    package, _, name = f"gradengine.{path}".rpartition(".")
    if package != "gradengine.nn.utils":
        with pytest.raises(AttributeError, match=f"has no attribute {name!r}; (?!did you mean)"):
            getattr(importlib.import_module(package), name)


def test_other_modules_are_as_absent_as_anywhere():
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'gradengine.nonsense'$"):
        importlib.import_module("gradengine.nonsense")


@pytest.mark.parametrize(
    ("path", "meant"),
    [("optm", "optim"), ("nn.functonal", "nn.functional"), ("optim.lr_schedular", "optim.lr_scheduler")],
)
def test_a_misspelt_module_is_led_to_the_one_that_was_meant(path, meant):
    with pytest.raises(ModuleNotFoundError, match=rf"'gradengine\.{path}'; did you mean gradengine\.{meant}\?$"):
        importlib.import_module(f"gradengine.{path}")


def test_the_modules_that_may_be_meant_are_there():
    for path in PUBLIC:
        importlib.import_module(path)


@pytest.mark.torch
def test_arguments_of_grad_that_pytorch_has(torch):
    for library in (torch, ge):
        x, unused = library.ones(2, requires_grad=True), library.ones(3, requires_grad=True)
        g = library.autograd.grad((x * x).sum(), x, only_inputs=True, is_grads_batched=False)[0]
        assert g.tolist() == [2.0, 2.0]
        g, zeros = library.autograd.grad((x * x).sum(), (x, unused), materialize_grads=True)
        assert zeros.tolist() == [0.0, 0.0, 0.0]
        v = library.autograd.Variable(x.detach(), requires_grad=True)
        (v * 3).sum().backward()
        assert v.grad.tolist() == [3.0, 3.0]
    for setting in ({"only_inputs": False}, {"is_grads_batched": True}):
        with pytest.raises(ge.errors.ArgumentError, match=next(iter(setting))):
            ge.grad((x * x).sum(), x, **setting)
