"""Whose code a source file is: the user's own, an installed package's, Python's, or the engine's."""

from __future__ import annotations

import functools
import os
import sysconfig
from pathlib import Path

import numpy as np

ENGINE = Path(__file__).parents[1]
STANDARD = [sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")] + [os.path.dirname(os.__file__)]
FOLDERS = (ENGINE, ENGINE.parent / "kernels" / "gradengine_kernels", Path(str(np.__file__)).parent)
OWN: tuple[str, ...] = ("<frozen", "<__array", *(str(folder) + os.sep for folder in FOLDERS))
# What backends run on: a kernel that compiles during a trace runs their code, which is not state of the step.
RUNTIMES = tuple(f"-packages{os.sep}{name}" for name in ("numba", "llvmlite", "cupy", "scipy", "threadpoolctl", "cuda"))


@functools.cache
def is_outside(file: str) -> bool:
    """Whether a file belongs neither to the engine, to NumPy or another package that it runs on, nor to Python."""
    installed = "site-packages" in file or "dist-packages" in file
    if installed and any([part in file for part in RUNTIMES]):
        return False
    return not file.startswith(OWN) and (installed or not file.startswith(tuple(STANDARD)))


PACKAGES = {str(ENGINE), str(ENGINE.parent / "kernels" / "gradengine_kernels"), os.path.dirname(os.__file__)}
PACKAGES |= {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
LIBRARIES = ("<frozen", "<__array", *(folder + os.sep for folder in PACKAGES))


@functools.cache
def is_users(file: str) -> bool:
    """Whether a file is the user's own: no part of the engine, of Python, or of an installed package."""
    return not (file.startswith(LIBRARIES) or "site-packages" in file or "dist-packages" in file)
