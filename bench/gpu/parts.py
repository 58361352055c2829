"""Which parts the check has, in order of importance, how long each may take, and how it is to run."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .report import Report

ROOT = Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Part:
    """One part: `function` of `bench.gpu.<module>` gets the report and the settings, and may take `seconds`."""

    name: str
    module: str
    function: str
    seconds: float
    title: str


PARTS = (
    Part("smoke", "smoke", "run", 45, "an op of each kind, a jitted step, gradients as on the CPU"),
    Part("steps", "steps", "run", 80, "MLP 784-128-10: a training step beside PyTorch and JAX"),
    Part("cases", "suite", "cases", 75, "the case table, eager, first and second order"),
    Part("overhead", "overhead", "run", 12, "chain of 40 small ops, forward and backward, eager"),
    Part("bandwidth", "bandwidth", "run", 40, "kernels over 1e8 numbers, beside a copy"),
    Part("matmul", "matmul", "run", 20, "matrix products of 8192 beside PyTorch"),
    Part("mnist", "mnist", "run", 25, "MNIST, mlp, to 97.5 % test accuracy"),
    Part("jit-cases", "suite", "jit_cases", 65, "the case table, jitted"),
    Part("training", "suite", "training", 30, "the tests of training, layers and optimizers"),
    Part("sanitizer", "sanitizer", "run", 30, "memcheck and racecheck of a small script"),
    Part("errors", "faults", "run", 15, "errors that only a real device can raise"),
    Part("seeds", "seeds", "run", 8, "the same seed on every backend"),
    Part("tests", "suite", "others", 25, "all other tests of the device"),
)
TOTAL = sum(part.seconds for part in PARTS)  # under 8 minutes


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the parts run. `emulate`: on the tests' emulator; `device`: "cpu" is for debugging this script."""

    device: str = "cuda"
    emulate: bool = False
    quick: bool = False
    data: str = ""

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

    def text(self) -> str:
        """For the command line of a part's process."""
        return json.dumps(dataclasses.asdict(self))

    def prepare(self) -> None:
        """Make "cuda" (or what is asked for) the default device of this process."""
        if self.emulate:
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
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # the memory is shared with the others in the process
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TORCHINDUCTOR_COMPILE_THREADS": "4",
        "MPLBACKEND": "Agg",
    }
    if settings.tiny:
        found["JAX_PLATFORMS"] = "cpu"
    if settings.data:
        found["GRADENGINE_DATA"] = settings.data
    return found
