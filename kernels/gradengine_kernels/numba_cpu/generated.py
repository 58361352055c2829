"""Source code that is generated, and kept in a cache folder beside its machine code.

Numba keeps the machine code of a function next to the file that it stands in and goes by that file's name and time
of change. So every source gets a file of its own, named by a hash of what is in it.

Imports nothing of this package.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import functools
import hashlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from types import ModuleType


@functools.cache
def cache_folder() -> Path:
    """The folder of generated sources and their machine code; a temporary one where nothing else can be written."""
    import numba

    named = os.environ.get("GRADENGINE_CACHE_DIR")
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    leaf = f"numba-{numba.__version__}-numpy-{np.__version__}-py{sys.version_info[0]}{sys.version_info[1]}"
    folder = Path(named or os.path.join(home, "gradengine")) / leaf
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    # Not a name that somebody else could have taken before: what lies in this folder is run.
    folder = Path(tempfile.mkdtemp(prefix="gradengine-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def load_source(name: str, source: str) -> ModuleType:
    """The module with that source, from a file in the cache folder whose name holds a hash of it."""
    digest = hashlib.sha256(source.encode()).hexdigest()[:20]
    stem = f"{re.sub(r'[^A-Za-z0-9_]', '_', name)}_{digest}"
    path = cache_folder() / f"{stem}.py"
    if not path.exists():
        # A hard link appears all at once and never replaces: Numba's cache goes by the file's time of change, so
        # the first of several processes decides it.
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(descriptor, "w") as file:
            file.write(source)
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            os.replace(temporary, path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    spec = importlib.util.spec_from_file_location(f"gradengine_generated_{stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load the generated kernel {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where Numba looks for it when it reads machine code from its cache
    spec.loader.exec_module(module)
    return module


class Retyped(ast.NodeTransformer):
    """Gives every float literal, infinity and NaN the dtype `real`: Numba takes them for float64 otherwise."""

    def __init__(self, real: str) -> None:
        self.real = real

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return self.retype(node) if isinstance(node.value, float) else node

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        named = isinstance(node.value, ast.Name) and node.value.id == "math" and node.attr in ("inf", "nan")
        return self.retype(node) if named else self.generic_visit(node)

    def retype(self, node: ast.expr) -> ast.expr:
        return ast.Call(ast.Name(self.real, ast.Load()), [node], [])


def functions_for(real: str, path: Path) -> tuple[str, dict[str, str]]:
    """What a Python file defines, as source for dtype `real`: its constants, and its functions by name."""
    constants, functions = "", {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign | ast.FunctionDef):
            source = ast.unparse(ast.fix_missing_locations(Retyped(real).visit(node))) + "\n"
            if isinstance(node, ast.Assign):
                constants += source
            else:
                functions[node.name] = source
    return constants, functions
