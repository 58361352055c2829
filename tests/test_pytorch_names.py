"""Every public name of PyTorch is there, or says what to do instead; docs/pytorch_names.md lists them as they are."""

import importlib
import re
import sys

import numpy as np
import pytest

import gradengine as ge
from docs import make_pytorch_names as names
from gradengine import migration_hints, missing_names

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def installed(torch):
    if not torch.__version__.startswith("2.13"):
        pytest.skip(f"the page is of PyTorch 2.13, this is {torch.__version__}")


@pytest.mark.parametrize("path", names.MODULES)
def test_every_name_is_there_or_has_a_hint(path):
    found = {}
    for name in names.public(path):
        try:
            found[name] = names.find(path, name)
        except AttributeError as error:
            found[name] = error
    unhinted = [str(hint) for hint in found.values() if isinstance(hint, AttributeError)]
    assert not unhinted, "\n".join(unhinted)
    assert len(found) > (300 if path in ("torch", "torch.Tensor") else 3)


@pytest.mark.parametrize("path", [path for path in names.MODULES if names.MODULES[path]])
def test_an_import_says_the_same(path):
    module = names.MODULES[path]
    try:
        importlib.import_module(module)
    except ModuleNotFoundError:
        return
    for name in names.public(path):
        hint = names.find(path, name)
        if hint:
            with pytest.raises(ImportError, match=re.escape(hint)):
                exec(f"from {module} import {name}")


def test_hints_name_what_is_there():
    for path in names.MODULES:
        for name in names.public(path):
            for named in re.findall(r"\bge\.((?:\w+\.)*\w+)", names.find(path, name)):
                value = ge
                for part in named.split("."):
                    assert hasattr(value, part), f"{path}.{name}: the hint names ge.{named}"
                    value = getattr(value, part)


def test_the_page_is_up_to_date():
    page = names.PAGE.read_text(encoding="utf-8")
    assert names.compose(page) == page, "run `make docs`"


# Names of other places in PyTorch, and ones that people try, for which there are rows too.
TRIED = {
    "gradengine": {"_dynamo", "cross_entropy", "functional_call", "onnx", "relu6", "view"},
    "gradengine.nn.utils": {"prune"},
}


def names_of_libraries(module):
    """The names that PyTorch and NumPy have, public or not, where gradengine has a module."""
    path = module.replace("gradengine", "torch", 1)
    owners = ["torch.utils.data" if path == "torch.data" else path, *(["numpy"] if module == "gradengine" else [])]
    found = {name for owner in owners for name in dir(importlib.import_module(owner))}
    found |= {name.rpartition(".")[2] for name in sys.modules if name.startswith(f"{path}.")}
    return found | TRIED.get(module, set()) | set(names.public(path) if path in names.MODULES else ())


@pytest.mark.parametrize("module", migration_hints.INSTEAD)
def test_no_row_of_the_hints_is_dead(module):
    importlib.import_module("torch.utils.checkpoint")
    rows, here = migration_hints.INSTEAD[module], importlib.import_module(module)
    absent = {name for name in names_of_libraries(module) if not hasattr(here, name)}
    absent |= {"tensorboard"} if module == "gradengine.utils" else set()  # a package of its own
    used = {missing_names.row_for(module, name) for name in absent}
    assert not rows.keys() - used - {"*"}


def test_no_row_of_a_method_s_hints_is_dead(torch):
    of_old = {"itemset", "names", "rename", "rename_", "refine_names", "align_to", "align_as", "quantize", "ptp"}
    there = {*dir(torch.Tensor), *dir(np.ndarray), *of_old}
    assert not [name for name in migration_hints.METHODS if name not in there]
