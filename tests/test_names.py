"""The names of the public face: that all are listed, and what is said of those that are not there."""

import inspect
import pydoc
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

import gradengine as ge
from gradengine import DTypeError


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
