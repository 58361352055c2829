"""Source code that is generated, and the modules that it becomes.

No source is read from a file, so none can be damaged; jit_cache keeps the machine code.
"""

from __future__ import annotations

import ast
import hashlib
import linecache
import os
import re
import sys
import threading
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_lock = threading.RLock()
_loaded: dict[str, ModuleType] = {}


def load_source(name: str, source: str) -> ModuleType:
    """The module with that source. Its name holds a digest of it, so equal sources are one module."""
    digest = hashlib.sha256(source.encode()).hexdigest()[:20]
    stem = f"gradengine_generated_{re.sub(r'[^A-Za-z0-9_]', '_', name)}_{digest}"
    with _lock:
        if stem in _loaded:
            return _loaded[stem]
        module = ModuleType(stem)
        module.__dict__["__source__"] = source
        file = os.path.join(os.path.dirname(__file__), f"{stem}.py")  # where no file is
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)  # for tracebacks
        sys.modules[stem] = module  # where Numba looks for it when it reads machine code from the cache
        try:
            exec(compile(source, file, "exec"), module.__dict__)
        except BaseException:
            del sys.modules[stem]
            raise
        return _loaded.setdefault(stem, module)


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
