"""Every public name of PyTorch is there, or says what to do instead; docs/pytorch_names.md lists them as they are."""

import importlib
import re

import pytest

import gradengine as ge
from docs import make_pytorch_names as names

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
