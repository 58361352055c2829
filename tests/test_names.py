"""The names of the public face: that all are listed, and what is said of those that are not there."""

import ast
import contextlib
import functools
import importlib
import inspect
import pkgutil
import pydoc
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import gradengine as ge
import gradengine_kernels
from gradengine import DTypeError, migration_hints
from gradengine.module_paths import WHERE


def test_every_public_name_is_listed_once():
    listed = ge.__all__
    assert len(set(listed)) == len(listed)
    names = {name for name in vars(ge) if not name.startswith("_")}
    loaded = {name for name in names if isinstance(getattr(ge, name), types.ModuleType)}
    assert names - loaded <= set(listed)
    assert set(listed) <= set(dir(ge))
    assert not [name for name in dir(ge) if name.startswith("_") and not name.startswith("__")]
    for name in listed:
        getattr(ge, name)


def test_help_lists_ops_and_classes():
    text = pydoc.plaintext.document(ge)
    for line in (
        "    tanh(x, /)",
        "    class Tensor(builtins.object)",
        "    jit(",
        "    class ShapeError(",
        "    sum(x, /, axis",
    ):
        assert line in text
    for internal in ("SUBMODULES", "LAZY", "OTHERWISE"):
        assert internal not in text


def test_looking_for_names_raises_nothing_where_ml_dtypes_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    assert not hasattr(ge, "bfloat16")
    assert getattr(ge, "bfloat16", None) is None
    assert "tanh" in dict(inspect.getmembers(ge))
    pydoc.plaintext.document(ge)
    for kind in (DTypeError, AttributeError):
        with pytest.raises(kind, match=r"bfloat16: ml_dtypes is not installed; .* -m pip install"):
            ge.bfloat16  # noqa: B018
    exec("from gradengine import *", {})


def packages():
    """The names of all packages here, and of all modules that can be imported from each."""
    children = {}
    for root in (gradengine_kernels, ge):
        children.setdefault(root.__name__, set())
        for found in pkgutil.walk_packages(root.__path__, f"{root.__name__}."):
            package, _, name = found.name.rpartition(".")
            children.setdefault(package, set()).add(name)
    for path in [*WHERE, *(f"gradengine.{path}" for path in migration_hints.ABSENT_MODULES)]:
        package, _, name = path.rpartition(".")
        children.setdefault(package, set()).add(name)
    return children


def test_no_module_has_the_name_of_something_in_its_package():
    # Whichever is imported later would replace the other; an editor takes `ge.tensor` for the module.
    hidden = {}
    for package, names in packages().items():
        if package in WHERE or package.endswith("__main__"):
            continue
        tree = ast.parse(Path(importlib.import_module(package).__file__).read_text(encoding="utf-8"))
        taken = set(getattr(sys.modules[package], "__all__", ()))
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                taken.add(node.name)
            elif isinstance(node, ast.ImportFrom) and node.module:
                taken |= {alias.asname or alias.name for alias in node.names}
        hidden[package] = {
            name for name in names & taken if not isinstance(getattr(sys.modules[package], name, sys), types.ModuleType)
        }
    assert {package: names for package, names in hidden.items() if names} == {"gradengine.autograd": {"gradcheck"}}


@pytest.mark.parametrize("line", ["import gradengine.autograd.gradcheck", "from gradengine.autograd import gradcheck"])
def test_a_path_of_pytorch_s_leaves_the_function_of_its_name(line):
    code = f"{line}\nimport gradengine as ge\nfrom gradengine.autograd.gradcheck import GradcheckError, gradcheck"
    code += "\nimport gradengine.autograd.gradcheck\nprint(callable(ge.autograd.gradcheck), gradcheck.__name__)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "True gradcheck\n"


def test_every_module_can_be_imported_and_replaces_nothing():
    public = {
        (package, name): getattr(sys.modules[package], name)
        for package in packages()
        if package not in WHERE and importlib.import_module(package)
        for name in getattr(sys.modules[package], "__all__", ())
        if hasattr(sys.modules[package], name)
    }
    for package, names in packages().items():
        for name in names - {"__main__"}:
            with contextlib.suppress(ImportError):  # of what is not installed, or not there yet
                importlib.import_module(f"{package}.{name}")
    assert not [at for at, value in public.items() if getattr(sys.modules[at[0]], at[1]) is not value]


def test_star_import_gives_what_is_listed():
    code = "from gradengine import *; print(tanh(tensor([0.0])), jit, Tensor)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.startswith("tensor([0.])")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_train_brings_in_cupy_where_it_is_asked_to(tmp_path):
    root = Path(__file__).parent.parent

    def planned(*settings):
        line = ["make", "--dry-run", "train", f"VENV={tmp_path}/none", "ARGS=--device cuda", *settings]
        return subprocess.run(line, cwd=root, capture_output=True, text=True, check=True).stdout

    for version in ("12", "13"):
        plan = planned(f"CUDA={version}")
        assert plan.index(f"'.[cuda{version}]'") < plan.index("gradengine train --device cuda")
    assert "cuda1" not in planned()


MISSING = {
    "ge.fft": "; Fourier transforms are not there yet",
    "ge.det": "; most of linear algebra is not there yet; there are @, ge.norm, ge.trace, ge.outer, ge.einsum, ge.cov",
    "ge.hann_window": "; Fourier transforms are not there yet",
    "ge.power": "; use ge.pow",
    "ge.no_such": "",
    "ge.tenosr": "; did you mean tensor?",
    "ge.float23": "; did you mean float32?",
    "ge.nn.Conv2d": "; convolutions, pooling and recurrent layers are not there yet",
    "ge.nn.BatchNorm1d": "; layer norm and RMS norm are the normalisations that there are",
    "ge.nn.Relu": "; did you mean ReLU?",
    "ge.nn.Lineer": "; did you mean Linear?",
    "ge.nn.functional.rellu": "; did you mean relu?",
    "ge.optim.Adm": "; did you mean Adam?",
    "ge.optim.Lion": "; there are the optimizers of ge.optim.__all__",
    "ge.distributions.Norml": "; did you mean Normal?",
    "ge.nn.init.xavier_unform_": "; did you mean xavier_uniform_?",
    "ge.utils.data.DataLaoder": "; did you mean DataLoader?",
    "ge.cuda.is_avaliable": "; did you mean is_available?",
    "ge.nn.init.xavier_normal": "; here it is ge.nn.init.xavier_normal_",
    "ge.nn.utils.parametrize": "; compute the weight from its parameters in forward, and call F.linear with it",
    "ge.nn.EmbeddingBag": "; use nn.Embedding, and the sum or mean of its rows",
    "ge.nn.functional.max_pool2d": "; convolutions, pooling and recurrent layers are not there yet",
    "ge.optim.SparseAdam": "; gradients are never sparse here; use ge.optim.Adam",
    "ge.data.DistributedSampler": "; there is one process; use RandomSampler",
    "ge.utils.tensorboard": "; write values with the tensorboard package, from x.item() or x.numpy()",
    "ge.cuda.max_memory_allocated": "; no peak is kept; memory_allocated() and memory_reserved() say what is taken now",
}


@pytest.mark.parametrize("path", MISSING)
def test_a_name_of_pytorch_or_numpy_leads_to_the_one_here(path):
    *owners, name = path.split(".")[1:]
    module = functools.reduce(getattr, owners, ge)
    said = f"module {module.__name__!r} has no attribute {name!r}{MISSING[path]}"
    with pytest.raises(AttributeError, match=f"^{re.escape(said)}"):
        getattr(module, name)
    said = f"cannot import name {name!r} from {module.__name__!r}{MISSING[path]}"
    with pytest.raises(ImportError, match=f"^{re.escape(said)}"):
        exec(f"from {module.__name__} import {name}")
    assert not hasattr(module, name)


def test_submodules_are_imported_from_their_package():
    out = subprocess.run(
        [sys.executable, "-c", "from gradengine.nn import functional, init; from gradengine import nn, optim, data"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not out.returncode, out.stderr


def test_what_is_said_of_missing_names_is_true():
    for module, instead in migration_hints.INSTEAD.items():
        loaded = importlib.import_module(module)
        for name, said in instead.items():
            if "*" not in name:
                assert not hasattr(loaded, name), name
            for path in re.findall(r"\bge\.(\w+(?:\.\w+)*)", said):
                functools.reduce(getattr, path.split("."), ge)


def test_hints_for_methods_name_what_is_there():
    x = ge.ones((2, 2))
    for name, hint in migration_hints.METHODS.items():
        with pytest.raises(AttributeError, match=re.escape(f"no attribute {name!r}; {hint}")):
            getattr(x, name)
        for path in re.findall(r"\bge\.(\w+(?:\.\w+)*)", hint):
            functools.reduce(getattr, path.split("."), ge)
        for method in re.findall(r"(?:use |\bx)\.(\w+)", hint):
            getattr(x, method)


def test_an_argument_of_pytorch_s_leads_to_what_to_do_here(tmp_path):
    calls = {
        "load": lambda **more: ge.load(tmp_path / "x", **more),
    }
    for name, arguments in migration_hints.ARGUMENTS.items():
        for argument, said in arguments.items():
            with pytest.raises(DTypeError, match=f"^{name}: does not take {argument}; {re.escape(said)}$"):
                calls[name](**{argument: 0})
    with pytest.raises(TypeError, match=r"unexpected keyword 'workers' \(did you mean num_workers\?\)"):
        ge.data.DataLoader(ge.ones(2), workers=2)


def test_functions_that_were_methods_only():
    a, b = ge.tensor([-2.0, 3.0]), ge.tensor([4.0, 5.0])
    for name, arguments in {"sub": (b,), "mul": (b,), "div": (b,), "neg": (), "clamp": (-1.0, 1.0)}.items():
        assert getattr(ge, name)(a, *arguments).tolist() == getattr(a, name)(*arguments).tolist()


@pytest.mark.torch
def test_methods_that_were_functions_only(torch, rng):
    a = rng.normal(size=(3, 4)).astype(np.float32)
    b = np.abs(a) + 1
    whole, ones = np.arange(12).reshape(3, 4), np.ones((3, 4), np.int64)
    rows, index = np.ones((2, 4), np.float32), np.array([2, 0])
    two = ("allclose", "atan2", "copysign", "floor_divide", "hypot", "isclose", "logaddexp", "remainder")
    ordered = ("greater", "greater_equal", "less", "less_equal", "not_equal")
    bits = ("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift")
    plain = ("argwhere", "diag", "exp2", "positive", "ravel", "sinc")
    calls = {
        **{name: lambda t, name=name: getattr(t(a), name)(t(b)) for name in (*two, *ordered)},
        **{name: lambda t, name=name: getattr(t(a), name)() for name in plain},
        **{name: lambda t, name=name: getattr(t(whole), name)(t(ones)) for name in bits},
        **{f"logical_{o}": lambda t, o=o: getattr(t(a > 0), f"logical_{o}")(t(b > 2)) for o in ("and", "or", "xor")},
        "chunk": lambda t: t(a).chunk(2, 1)[1],
        "index_add": lambda t: t(a).index_add(0, t(index), t(rows)),
        "masked_fill": lambda t: t(a).masked_fill(t(a > 0), 0.5),
        "masked_select": lambda t: t(a).masked_select(t(a > 0)),
        "median": lambda t: t(a[:, :3]).median(),
        "narrow": lambda t: t(a).narrow(1, 1, 2),
        "outer": lambda t: t(a[0]).outer(t(b[1])),
        "quantile": lambda t: t(a).quantile(0.3),
    }
    for name, call in calls.items():
        assert getattr(ge.Tensor, name) is getattr(ge, name)
        np.testing.assert_allclose(np.asarray(call(ge.tensor)), np.asarray(call(torch.tensor)), rtol=1e-5, err_msg=name)
