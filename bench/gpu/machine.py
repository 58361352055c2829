"""What the check ran on: the GPU with its driver, clocks and memory, and the versions of everything that took part."""

from __future__ import annotations

import subprocess
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import timing
from .parts import ROOT

if TYPE_CHECKING:
    from .parts import Settings

FIXED = ("name", "driver_version", "memory.total", "clocks.max.sm", "clocks.max.memory", "power.limit", "vbios_version")
EMULATION = "the tests' emulation"
MOVING = ("clocks.sm", "clocks.memory", "memory.used", "temperature.gpu", "power.draw", "pstate")
PACKAGES = (
    *("cupy-cuda13x", "cupy-cuda12x", "cupy", "cuda-bindings", "cuda-core", "nvmath-python", "cuda-pathfinder"),
    *("nvidia-cublas", "nvidia-cublas-cu12", "nvidia-cuda-nvrtc", "nvidia-cuda-runtime", "triton", "llvmlite"),
    *("jax-cuda13-plugin", "ml-dtypes", "pytest", "pytest-xdist", "hypothesis", "safetensors"),
)


def environment(settings: Settings) -> dict[str, Any]:
    """The machine and the versions, with the GPU's state before anything ran. A dry run names no GPU, used or not."""
    found = timing.environment()
    found["versions"]["gradengine"] = found["versions"]["gradengine"] or own_version()
    for package in PACKAGES:
        try:
            found["versions"][package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    found["commit"] = commit()
    if settings.emulate:
        absent = [name for name in found["versions"] if name.startswith("cupy")]
        found["versions"] = {name: v for name, v in found["versions"].items() if name not in absent}
        found["versions"]["cupy"] = EMULATION
    if settings.tiny:
        return {**found, "dry run": "emulated" if settings.emulate else "on the CPU"}
    return {**found, "gpu": query(FIXED), "cuda": driver_cuda(), "before": state()}


def own_version() -> str | None:
    """The version of gradengine in this folder, which need not be installed."""
    for line in (ROOT / "gradengine" / "_version.py").read_text().splitlines():
        if line.startswith("__version__"):
            return line.partition("=")[2].strip(" \"'")
    return None


def commit() -> str | None:
    """The commit that is checked out, where this is a checkout."""
    said = output(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"])
    return said.strip() or None


def state() -> dict[str, str]:
    """Clocks, memory in use, temperature and power now."""
    return query(MOVING)


def query(fields: tuple[str, ...]) -> dict[str, str]:
    """What the driver's tool says of the first GPU; nothing where there is no such tool."""
    for names in (fields, fields[:-1]):  # an old tool may not know the last field
        said = output(["nvidia-smi", "--id=0", f"--query-gpu={','.join(names)}", "--format=csv,noheader"])
        values = [value.strip() for value in said.strip().split(",")]
        if len(values) == len(names):
            return dict(zip(names, values, strict=True))
    return {}


def driver_cuda() -> str | None:
    """The newest CUDA that the driver can run."""
    for line in output(["nvidia-smi"]).splitlines():
        if "CUDA Version:" in line:
            return line.partition("CUDA Version:")[2].split()[0]
    return None


def output(command: list[str]) -> str:
    """What a command prints, or nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=Path(ROOT))
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
