"""Programs written for PyTorch run here with their imports changed, and compute the same.

Each file of tests/programs/pytorch is a program in PyTorch's words. Its function `main` returns the numbers that the
program would print and the Tensors that it ends with. The test runs the source twice: as it stands, and with `torch` in
its import statements replaced by `gradengine`. Nothing else is changed. `set_weights(module, seed)`, which `main` may
ask for, gives the parameters of a module the same start in both.
"""

import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import gradengine as ge

PROGRAMS = sorted((Path(__file__).parent / "programs" / "pytorch").glob("*.py"))
TOLERANCE = 1e-5  # relative to the largest value of a curve or Tensor: float32 rounding over tens of steps


def with_imports_changed(source: str) -> str:
    """The program with `torch` in its import statements replaced by `gradengine`, and nothing else."""
    lines = []
    for line in source.splitlines():
        if line == "import torch":
            line = "import gradengine as torch"
        elif re.match(r"(from|import) torch\b", line):
            line = re.sub(r"\btorch\b", "gradengine", line, count=1)
        lines.append(line)
    return "\n".join(lines)


def set_weights_of(library: ModuleType) -> Any:
    """A function that gives a module's parameters values that depend on the seed alone."""

    def set_weights(module: Any, seed: int = 0) -> Any:
        rng = np.random.default_rng(seed)
        with library.no_grad():
            for parameter in module.parameters():
                if parameter.requires_grad:
                    values = rng.normal(size=tuple(parameter.shape)) / np.sqrt(
                        parameter.shape[-1] if parameter.ndim else 1
                    )
                    parameter.copy_(library.tensor(values, dtype=parameter.dtype))
        return module

    return set_weights


def run(path: Path, library: ModuleType, source: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """What the program's `main` returns, as NumPy arrays."""
    namespace: dict[str, Any] = {"__name__": path.stem}
    before = library.get_default_dtype()
    try:
        exec(compile(source, str(path), "exec"), namespace)
        main = namespace["main"]
        asked = inspect.signature(main).parameters
        curve, tensors = main(set_weights_of(library)) if asked else main()
    finally:
        library.set_default_dtype(before)
    return np.array(curve, np.float64), [np.array(t.detach().cpu().numpy(), np.float64) for t in tensors]


def distance(ours: np.ndarray, reference: np.ndarray) -> float:
    """The largest difference, relative to the largest value (1 at least)."""
    assert ours.shape == reference.shape
    return float(np.max(np.abs(ours - reference), initial=0) / max(1.0, np.max(np.abs(reference), initial=0)))


@pytest.mark.torch
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
@pytest.mark.parametrize("cpu", ["numpy", "numba"])
def test_program_runs_with_its_imports_changed(path: Path, cpu: str, torch: ModuleType) -> None:
    ge.set_cpu_backend(cpu)
    source = path.read_text()
    assert re.search(r"^(import|from) torch\b", source, re.M)
    reference_curve, reference_tensors = run(path, torch, source)
    curve, tensors = run(path, ge, with_imports_changed(source))
    assert len(curve) >= 4
    assert len(set(reference_curve.tolist())) > 2  # it has learnt something that can differ
    assert distance(curve, reference_curve) < TOLERANCE
    for ours, reference in zip(tensors, reference_tensors, strict=True):
        assert distance(ours, reference) < TOLERANCE
