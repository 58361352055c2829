"""A Numba that is installed but cannot be imported: NumPy takes its place, and those who ask for it learn why."""

import os
import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("scipy")
SAID = "Numba needs NumPy 2.3 or less. Got NumPy 2.4."
REASON = f"Numba is installed, but cannot be imported: {SAID}"
LARGE = {
    "pointwise": "(x * x + x).sum().item() == 2.0 * n",
    "rows": "bool((ge.softmax(x.reshape(-1, 64), axis=-1) == 1 / 64).all())",
    "a product": "(m @ m)[0, 0].item() == 512.0",
    "a jitted gradient": "bool((ge.jit(lambda x: ge.grad((x * x * x).sum(), x)[0])(x) == 3).all())",
    "an update": "train()",
}


@pytest.fixture
def run(tmp_path):
    """Run code where `import numba` raises that error."""
    folder = tmp_path / "numba"
    folder.mkdir()

    def call(code, error=f"ImportError({SAID!r})", **variables):
        (folder / "__init__.py").write_text(f"raise {error}\n")
        kept = {key: value for key, value in os.environ.items() if key != "GRADENGINE_CPU_BACKEND"}
        path = os.pathsep.join([str(tmp_path), *sys.path])
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            env={**kept, "PYTHONPATH": path, **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    return call


START = """
    import warnings
    import gradengine as ge
    n = 1 << 21
    x, m = ge.ones(n, requires_grad=True), ge.ones((512, 512))
    def train():
        layer = ge.nn.Linear(512, 512)
        optimizer = ge.optim.Adam(layer.parameters())
        (layer(m) ** 2).mean().backward()
        optimizer.step()
        return True
"""


@pytest.mark.parametrize("name", LARGE)
def test_numpy_takes_its_place(run, name):
    found = run(
        f"""{START}
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert {LARGE[name]}
        assert {LARGE[name]}
    assert ge.get_cpu_backend() == "numpy"
    print([str(w.message) for w in seen if w.category is RuntimeWarning])
    """
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == repr([f"{REASON}; NumPy computes in its place"])


@pytest.mark.parametrize("error", ["OSError('libllvmlite.so')", "SystemError()"])
def test_whatever_it_raises(run, error):
    found = run(f"{START}\n    assert (x + x)[0].item() == 2\n    print(ge.backends()['numba'])", error)
    assert found.returncode == 0, found.stderr
    words = error.split("'")[1] if "'" in error else "SystemError"
    assert found.stdout.strip() == f"Numba is installed, but cannot be imported: {words}"


def test_small_arrays_ask_nothing_of_it(run):
    code = "import gradengine as ge; (ge.ones(9) + 1).sum().item(); print(ge.get_cpu_backend())"
    found = run(code, PYTHONWARNINGS="error")
    assert (found.returncode, found.stdout.strip()) == (0, "numba"), found.stderr


def test_whoever_asks_for_it_learns_why(run):
    for code, variables in (
        ("import gradengine as ge; ge.set_cpu_backend('numba')", {}),
        ("import gradengine as ge; ge.zeros(1)", {"GRADENGINE_CPU_BACKEND": "numba"}),
    ):
        found = run(code, **variables)
        assert found.returncode == 1
        assert found.stderr.strip().splitlines()[-1].endswith(f"DeviceError: backend 'numba': {REASON}")
    found = run("from gradengine.cli import main; main(['backends'])")
    assert REASON in " ".join(found.stdout.split()), found.stderr
