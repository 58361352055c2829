"""What every test may ask for: a backend, seeded random numbers, PyTorch, the MNIST files.

A test draws the same numbers wherever it runs, alone or with others: everything random is seeded by the test's name.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import random
import shutil
import signal
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

# Libraries read these once, when they are loaded, so nothing that loads NumPy may be imported above. Several pytest
# workers share the machine: BLAS and OpenMP get one thread each, Numba two, so that parallel kernels stay parallel.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "2")
# Generated kernels are compiled once, for all workers and all later runs, and no test writes to the user's own cache.
os.environ.setdefault("GRADENGINE_CACHE_DIR", str(Path(__file__).parents[1] / ".cache" / "tests"))
os.environ.setdefault("MPLBACKEND", "Agg")
# Device "cuda" is emulated, CuPy included ("emulator"), unless GRADENGINE_TEST_CUDA asks for the real CuPy over an
# emulated driver ("cupy"), or for the GPU that is here ("device").
PLACES = ("emulator", "cupy", "device")
WHERE = os.environ.get("GRADENGINE_TEST_CUDA", "") or "emulator"
ON_DEVICE = WHERE == "device"

import hypothesis
import numpy as np
import pytest

if not ON_DEVICE:
    from tests.cuda import guarded, toolchain
if WHERE == "emulator":
    from tests.cuda import fake_cupy

    fake_cupy.install()
    from tests.cuda import reference_products

    reference_products.install()
if WHERE == "cupy":
    from tests.cuda import real_cupy

    if not real_cupy.why_not():
        real_cupy.install()
if not ON_DEVICE:
    from tests.cuda import untraced

    untraced.install()

collect_ignore_glob = ["cuda/[!t]*.py", "cuda/toolchain.py", "programs/*"]  # what is there besides tests
RUNS_KEPT = 5  # runs whose CUDA sources stay, for `python -m tests.cuda.nvrtc`
LONGEST_RUN = 7200 * 10**9  # nanoseconds

# Compiling a kernel on first use would count as slowness, so there are no deadlines.
hypothesis.settings.register_profile("gradengine", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=2000, print_blob=True)
hypothesis.settings.load_profile("gradengine")

CUDA_REQUIRED = os.environ.get("GRADENGINE_REQUIRE_CUDA", "") not in ("", "0")
TORCH_REQUIRED = os.environ.get("GRADENGINE_REQUIRE_TORCH", "") not in ("", "0")


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def pytest_configure(config: pytest.Config) -> None:
    if WHERE not in PLACES:
        raise pytest.UsageError(
            f"GRADENGINE_TEST_CUDA must be 'device', 'cupy' or 'emulator', which is the default, not {WHERE!r}"
        )
    if TORCH_REQUIRED and not installed("torch"):
        raise pytest.UsageError("GRADENGINE_REQUIRE_TORCH is set, but PyTorch is not installed: make test installs it")
    if CUDA_REQUIRED and not ON_DEVICE and (reason := why_no_cuda()):
        raise pytest.UsageError(f"GRADENGINE_REQUIRE_CUDA is set, but tests of device 'cuda' cannot run: {reason}")
    if WHERE in ("cupy", "device") and (reason := why_no_cuda()):
        raise pytest.UsageError(f"GRADENGINE_TEST_CUDA={WHERE}, but there is no device to test on: {reason}")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a background job, where tests of Ctrl-C would hang
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not ON_DEVICE and not hasattr(config, "workerinput"):  # workers write where the process that starts them says
        runs = toolchain.cache_folder() / "sources"
        for former in sorted(runs.glob("*"))[:-RUNS_KEPT]:
            if time.time_ns() - int(former.name) > LONGEST_RUN:  # others may be under way
                shutil.rmtree(former, ignore_errors=True)
        os.environ.setdefault("EMULATED_SOURCES", str(runs / f"{time.time_ns()}"))


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark most of each wide grid as slow, where a row has kernels of its own to compile.

    `make test` and `make cuda-test` run one or two rows of each family of names ("softmax/first" and "softmax/last"
    are one): `grid("first")`, `grid("ends")`, or `grid("last")` where there are several. `grid("first", 0, 2)` takes
    every second family, and `grid("first", 1, 2)` the others. `make grid-test` runs the rest.
    """
    families: dict[Any, list[pytest.Item]] = {}
    for item in items:
        grid = item.get_closest_marker("grid")
        if grid is not None and isinstance(item, pytest.Function) and not item.get_closest_marker("slow"):
            params = item.callspec.params
            if params["backend"] != "numpy":
                family = (item.path, item.originalname, params["backend"], params["name"].partition("/")[0])
                families.setdefault((*family, grid.args), []).append(item)
    for (*_, name, (kept, *share)), rows in families.items():
        chosen = {"first": rows[:1], "last": rows[1:][-1:], "ends": [rows[0], rows[-1]]}[kept]
        if share and zlib.crc32(name.encode()) % share[1] != share[0]:
            chosen = []
        for row in rows:
            if row not in chosen:
                row.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Spare the garbage collector the tests themselves and all that they import: a third of what compiling takes."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    passed = sum("cuda" in report.keywords for report in terminalreporter.stats.get("passed", ()))
    if passed and not ON_DEVICE:
        sources = len(list(Path(os.environ["EMULATED_SOURCES"]).glob("*.cu")))
        how = "the real CuPy over an emulated driver" if WHERE == "cupy" else "emulated"
        terminalreporter.line(f"device cuda, {how}: {passed} tests passed; {sources} CUDA sources compiled and run")


def pytest_sessionfinish(exitstatus: int) -> None:
    if WHERE == "cupy":
        real_cupy.status = int(exitstatus)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("torch") and not installed("torch"):
        pytest.skip("PyTorch is not installed")
    if "bfloat16" in item.name.partition("[")[2] and not installed("ml_dtypes"):
        pytest.skip("bfloat16: ml_dtypes is not installed")
    if item.get_closest_marker("cuda") and (reason := why_no_cuda()):
        pytest.skip(reason)


def why_no_cuda() -> str:
    """Why tests of device "cuda" cannot run here, or ""."""
    if WHERE == "emulator":
        return toolchain.why_not()
    if WHERE == "cupy" and (reason := real_cupy.why_not()):
        return reason
    from gradengine.backend import devices

    return devices.why_not("cupy")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A number that depends on the test's name alone."""
    return zlib.crc32(request.node.nodeid.encode())


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """NumPy's random numbers, seeded by the test's name."""
    return np.random.default_rng(seed)


@pytest.fixture(autouse=True)
def clean_state(seed: int) -> Iterator[None]:
    """Seed what draws from global state, and put the CPU backend and the default device back afterwards."""
    import gradengine as ge

    random.seed(seed)
    np.random.seed(seed)
    ge.manual_seed(seed)
    chosen, device = ge.get_cpu_backend(), ge.get_default_device()
    yield
    ge.set_cpu_backend(chosen)
    ge.set_default_device(device)
    if not ON_DEVICE and guarded.damage:
        found = "; ".join(guarded.damage)
        guarded.damage.clear()
        pytest.fail(f"a kernel has written where it must not: {found}")


@pytest.fixture(params=["numpy", "numba", pytest.param("cupy", marks=pytest.mark.cuda)])
def backend(request: pytest.FixtureRequest, clean_state: None) -> str:
    """The test runs once on each backend, which it finds chosen; `clean_state` puts the former one back."""
    if request.param == "numba" and not installed("numba"):
        pytest.skip("Numba is not installed: pip install 'gradengine[numba]'")
    import gradengine as ge

    if request.param == "cupy":
        ge.set_default_device("cuda")
    else:
        ge.set_cpu_backend(request.param)
    return request.param


@pytest.fixture
def torch(seed: int) -> ModuleType:
    """PyTorch, seeded by the test's name, to compare with. The test skips where it is not installed."""
    if not installed("torch"):
        pytest.skip("PyTorch is not installed")
    import torch

    torch.manual_seed(seed)
    return torch


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """The folder of the four MNIST files, where GRADENGINE_DATA says; the test skips where nothing is said."""
    data = os.environ.get("GRADENGINE_DATA")
    if not data:
        pytest.skip("GRADENGINE_DATA is not set: it names the folder that holds mnist/")
    folder = Path(data) / "mnist"
    if not folder.is_dir():
        pytest.fail(f"GRADENGINE_DATA is {data}, but there is no folder {folder}")
    return folder
