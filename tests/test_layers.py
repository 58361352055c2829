"""The rooms of the house stand in layers: an import goes down or stays in its room, also one inside a function."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
# From the bottom to the top. A name is that of a module or of a package with all that is in it.
LAYERS = [
    ["_version", "constants", "errors"],
    ["migration_hints", "validation"],
    ["missing_names"],
    ["gradengine_kernels"],
    ["backend"],
    ["shapes"],
    ["core"],
    ["array_namespace", "module_paths", "tree"],
    ["ops"],
    ["io", "transforms", "cuda"],
    ["accelerator", "data", "distributions", "environment", "nn"],
    ["func", "optim", "utils"],
    ["scaler"],
    ["amp"],
    ["cuda_amp"],
    ["compiler"],
    ["gradengine"],  # `__init__.py`, which gives the names of all rooms
    ["cases"],
    ["inspect"],
    ["autograd"],
    ["training"],
    ["cli"],
    ["__main__"],
]
LAYER = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}


def modules() -> dict[str, Path]:
    found = {}
    for folder in (ROOT / "gradengine", ROOT / "kernels" / "gradengine_kernels"):
        for path in folder.rglob("*.py"):
            name = ".".join(path.relative_to(folder.parent).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imports(name: str) -> set[str]:
    """The modules of the project that a module imports, wherever in its file."""
    path = MODULES[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                found.add(inner if inner in MODULES else origin)
    return {other for other in found if other in MODULES} - {name}


IMPORTS = {name: imports(name) for name in MODULES}


def room(name: str) -> str:
    parts = name.split(".")
    return parts[0] if parts[0] == "gradengine_kernels" or len(parts) == 1 else parts[1]


def test_every_module_has_a_layer():
    rooms = {room(name) for name in MODULES}
    assert sorted(rooms - LAYER.keys()) == []
    assert sorted(LAYER.keys() - rooms) == []


def test_imports_go_down():
    """All but those of `gradengine/__init__.py`, which anybody's import runs first, and which gives names alone."""
    wrong = [
        f"{name} imports {other}"
        for name, others in IMPORTS.items()
        for other in sorted(others)
        if room(other) != room(name) and LAYER[room(other)] >= LAYER[room(name)] and name != "gradengine"
    ]
    assert wrong == []


def cycles() -> list[list[str]]:
    """The sets of modules that import each other in a circle (Tarjan's algorithm)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        number[name] = low[name] = len(number)
        stack.append(name)
        for other in IMPORTS[name]:
            if other not in number:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == number[name]:
            at = stack.index(name)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for name in IMPORTS:
        if name not in number:
            visit(name)
    return found


def test_no_circle_has_more_than_two_modules():
    assert [circle for circle in cycles() if len(circle) > 2] == []
