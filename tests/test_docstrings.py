"""Every public op and function has a docstring with an example, and the examples are true.

Ops are closures made in another module than they are declared in, so a plain doctest run passes them by.
"""

import doctest
import inspect

import numpy as np
import pytest

import gradengine as ge
from gradengine import nn, ops
from gradengine.nn import functional

WITHOUT_EXAMPLE = {"manual_seed", "Tensor.become", "Tensor.become_leaf", "Tensor.is_exclusive", "Tensor.bfloat16"}


def public_functions():
    found = {}
    for module in (ge, functional, nn.init, nn.utils, nn.utils.rnn, ge.cuda, ge.accelerator, ge.func, ge.tree):
        for name in getattr(module, "__all__", vars(module)):
            value = getattr(module, name)
            if not name.startswith("_") and inspect.isroutine(value) and value.__module__.startswith("gradengine"):
                found.setdefault(id(value), (f"{module.__name__}.{name}".removeprefix("gradengine."), value))
    for name in dir(ge.ones(1)):  # without the names that only say what to use instead
        value = getattr(ge.Tensor, name)
        if not name.startswith("_") and not name.endswith("_") and inspect.isroutine(value):
            found.setdefault(id(value), (f"Tensor.{name}", value))
    return dict(sorted(found.values(), key=lambda item: item[0]))


FUNCTIONS = public_functions()
LISTED = {id(f) for f in FUNCTIONS.values()}
OPS = {name: f for name, f in vars(ops).items() if hasattr(f, "op") and id(f) not in LISTED}
INTERNAL = {name: f for name, f in OPS.items() if ">>>" in (f.__doc__ or "")}


@pytest.mark.parametrize("name", [*FUNCTIONS, *INTERNAL])
def test_example(name):
    function = FUNCTIONS.get(name) or INTERNAL[name]
    text = inspect.cleandoc(function.__doc__ or "")
    assert len(text.split("\n\n")[0]) > 5, f"{name} has no docstring"
    if name in WITHOUT_EXAMPLE:
        return
    assert ">>>" in text, f"{name}: the docstring has no example"
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    test = doctest.DocTestParser().get_doctest(text, {"ge": ge, "np": np}, name, name, 0)
    failures = []
    doctest.DocTestRunner(optionflags=flags).run(test, out=failures.append)
    assert not failures, "".join(failures)


def test_signatures_name_the_metadata():
    assert str(inspect.signature(ge.tanh)) == "(x, /)"
    assert list(inspect.signature(ge.sum).parameters)[:3] == ["x", "axis", "keepdims"]
