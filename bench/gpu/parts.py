"""Which parts the check has, in two calls, how long each may take, and how it is to run.

A GPU is rarely at hand, and then for minutes. The first call asks *is it right*, the second *how fast*. A stage is what
runs at the same time: what is measured runs alone.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .report import Report

ROOT = Path(__file__).parents[2]
PLACE = ROOT / ".gpu"  # not tracked: what travels to the GPU's machine and back
CACHES = PLACE / "cache"


@dataclasses.dataclass(frozen=True)
class Part:
    """One part: `function` of `bench.gpu.<module>` gets the report and the settings, and may take `seconds`."""

    name: str
    module: str
    function: str
    seconds: float
    title: str
    most: float = float("inf")  # seconds, even where others have left more


Stage = tuple[Part, ...]
RIGHT: tuple[Stage, ...] = (
    (Part("light", "light", "run", 14, "launch, NVRTC, capture, copies and cuBLASLt, each by itself", most=20),),
    (Part("smoke", "smoke", "run", 40, "an op of each kind, a jitted step, gradients as on the CPU", most=60),),
    (Part("quick", "quick", "run", 30, "overhead and a training step, measured in short", most=45),),
    (
        Part("tests", "suite", "run", 100, "both case tables, training, and all other tests of the device"),
        Part("memcheck", "sanitizer", "memcheck", 90, "a small script under memcheck", most=90),
        Part("errors", "faults", "run", 60, "errors that only a real device can raise", most=60),
        Part("seeds", "seeds", "run", 45, "the same seed on every backend", most=45),
    ),
)
FAST: tuple[Stage, ...] = (
    (Part("again", "suite", "again", 40, "what has failed, with synchronous launches", most=60),),
    (Part("steps", "steps", "run", 115, "MLP 784-128-10: a training step beside PyTorch and JAX"),),
    (Part("overhead", "overhead", "run", 15, "chain of 40 small ops, forward and backward, eager"),),
    (Part("bandwidth", "bandwidth", "run", 60, "kernels over 1e8 numbers, beside a copy"),),
    (Part("matmul", "matmul", "run", 30, "matrix products of 8192 beside PyTorch"),),
    (Part("mnist", "mnist", "run", 35, "MNIST, mlp, to 97.5 % test accuracy"),),
    (Part("racecheck", "sanitizer", "racecheck", 60, "the small script under racecheck", most=90),),
    (Part("initcheck", "sanitizer", "initcheck", 30, "the small script under initcheck", most=60),),
)
CALLS = {"right": RIGHT, "fast": FAST}
SECONDS = {"right": 200.0, "fast": 420.0}  # of a whole call, the reports and the archive included
REST = 12.0  # of them, for asking the machine what it is, and for the archive
PARTS = tuple(part for stages in CALLS.values() for stage in stages for part in stage)


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the parts run. `emulate`: on the tests' emulator; `device`: "cpu" is for debugging this script."""

    device: str = "cuda"
    emulate: bool = False
    quick: bool = False
    data: str = ""
    failed: tuple[str, ...] = ()  # tests that the first call has seen fail

    @property
    def tiny(self) -> bool:
        """Whether sizes are small: only that everything runs is of interest."""
        return self.emulate or self.device == "cpu"

    @property
    def peers(self) -> bool:
        """Whether PyTorch and JAX are measured beside."""
        return not self.emulate

    @property
    def torch(self) -> bool:
        """Whether PyTorch is one of them."""
        return self.peers and importlib.util.find_spec("torch") is not None

    @property
    def rounds(self) -> int:
        """Turns of each candidate."""
        return 2 if self.tiny else 5 if self.quick else 9

    @property
    def target(self) -> float:
        """Seconds of one candidate's turn."""
        return 0.002 if self.tiny else 0.05

    @property
    def burst(self) -> int:
        """Calls in a row before the device is waited for, so that the host is ahead of it."""
        return 1 if self.tiny else 10

    @property
    def emulation(self) -> str:
        """What the tests call the place where the device is: see tests/conftest.py."""
        return "device" if not self.emulate else "cupy" if has_real_cupy() else "emulator"

    def text(self) -> str:
        """For the command line of a part's process."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def read(cls, text: str) -> Settings:
        """The settings of such a text."""
        found = json.loads(text)
        return cls(**{**found, "failed": tuple(found["failed"])})

    def after(self, parts: dict[str, Any]) -> Settings:
        """The same, knowing what these parts have found."""
        failed = parts.get("tests", {}).get("failed tests", [])
        return dataclasses.replace(self, failed=tuple(failed))

    def prepare(self) -> None:
        """Make "cuda" (or what is asked for) the default device of this process."""
        if self.emulation == "cupy":
            from tests.cuda import real_cupy

            real_cupy.install()
        if self.emulation == "emulator":
            from tests.cuda import fake_cupy

            fake_cupy.install()
            from tests.cuda import reference_products  # it loads the backend

            reference_products.install()
        import gradengine as ge

        if self.device != "cpu":
            ge.set_default_device(self.device)

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.device != "cpu":
            import gradengine as ge

            ge.cuda.synchronize()


def has_real_cupy() -> bool:
    """Whether a dry run can use CuPy itself, over the emulated driver."""
    return importlib.util.find_spec("cupy_backends") is not None


def halves(report: Report) -> tuple[str, ...]:
    """The half precisions that can be had here; what is left out is noted."""
    if importlib.util.find_spec("ml_dtypes") is not None:
        return "float16", "bfloat16"
    report.note("bfloat16: left out, since ml_dtypes is not installed")
    return ("float16",)


def environment(settings: Settings) -> dict[str, str]:
    """The environment of every process of the check."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "NVIDIA_TF32_"))}
    paths = [str(ROOT), str(ROOT / "kernels"), *filter(None, [os.environ.get("PYTHONPATH")])]
    found = {
        **kept,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONFAULTHANDLER": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "GRADENGINE_CPU_BACKEND": "numpy",  # the reference: nothing is to be compiled for it
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # the memory is shared with the others in the process
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TORCHINDUCTOR_COMPILE_THREADS": "4",
        "MPLBACKEND": "Agg",
    }
    if settings.tiny:
        found["JAX_PLATFORMS"] = "cpu"
    else:  # kernels that the first call has compiled come along to the second
        found["CUPY_CACHE_DIR"] = str(CACHES / "cupy")
        found["GRADENGINE_CACHE_DIR"] = str(CACHES / "gradengine")
    if settings.data:
        found["GRADENGINE_DATA"] = settings.data
    return found
