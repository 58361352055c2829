"""Write docs/pytorch_names.md: PyTorch's public names, and what each is here. `make docs` runs it where PyTorch is."""

from __future__ import annotations

import importlib
import inspect
import sys
import types
from pathlib import Path
from typing import Any

import gradengine as ge

PAGE = Path(__file__).with_name("pytorch_names.md")
BEGIN, END = "<!-- names -->", "<!-- end of names -->"
# PyTorch's modules, and those here. Tensor's attributes are asked of a Tensor.
MODULES = {
    "torch": "gradengine",
    "torch.Tensor": "",
    "torch.nn": "gradengine.nn",
    "torch.nn.functional": "gradengine.nn.functional",
    "torch.nn.utils": "gradengine.nn.utils",
    "torch.nn.init": "gradengine.nn.init",
    "torch.optim": "gradengine.optim",
    "torch.optim.lr_scheduler": "gradengine.optim.lr_scheduler",
    "torch.optim.swa_utils": "gradengine.optim.swa_utils",
    "torch.utils.data": "gradengine.utils.data",
    "torch.distributions": "gradengine.distributions",
}
ELSEWHERE = ("use ", "write ", "look in ", "it is in ", "set ")  # hints that name another way begin so


def public(path: str) -> list[str]:
    """The names of a module of PyTorch, or of its Tensor, that are meant for others."""
    owner: Any = importlib.import_module("torch").Tensor if path == "torch.Tensor" else importlib.import_module(path)
    names = getattr(owner, "__all__", None) if path != "torch.Tensor" else None
    if names is None:
        names = [name for name in dir(owner) if is_own(path, name, getattr(owner, name))]
    return sorted({name for name in names if not name.startswith("_") and not is_module(owner, name)})


def is_module(owner: Any, name: str) -> bool:
    """Whether a name stands for a module, which has a table of its own or none."""
    return isinstance(getattr(owner, name, None), types.ModuleType)


def is_own(path: str, name: str, value: Any) -> bool:
    """Whether what a name of a module without `__all__` stands for belongs to PyTorch."""
    if path in ("torch", "torch.Tensor"):
        return True
    module = getattr(value, "__module__", None) or "torch"
    return callable(value) and module.startswith("torch") and not (inspect.isclass(value) and path not in module)


def find(path: str, name: str) -> str:
    """The hint for a name that is not here; "" for one that is. Raises AttributeError for one without a hint."""
    try:
        owner = importlib.import_module(MODULES[path]) if MODULES[path] else ge.ones(2, 2)
        getattr(owner, name)
    except ModuleNotFoundError:
        return "the module is not there yet"
    except AttributeError as error:
        said = str(error).split(f"has no attribute {name!r}", 1)[-1]
        if not said.startswith("; "):
            raise AttributeError(f"{path}.{name}: no hint says what to do instead: {error}") from None
        return said[2:]
    return ""


def table(path: str) -> str:
    """The section of one module."""
    there: list[str] = []
    absent: dict[str, list[str]] = {}
    for name in public(path):
        hint = find(path, name)
        (absent.setdefault(hint, []) if hint else there).append(f"`{name}`")
    elsewhere = {hint: names for hint, names in absent.items() if hint.startswith(ELSEWHERE)}
    missing = {hint: names for hint, names in absent.items() if hint not in elsewhere}
    count = lambda groups: sum([len(names) for names in groups.values()])
    lines = [f"## {path}", ""]
    lines += [f"{len(there)} there, {count(elsewhere)} in other words, {count(missing)} absent.", ""]
    lines += [f"**There:** {', '.join(there) or 'none'}.", ""]
    for title, groups in (("In other words", elsewhere), ("Absent, and why", missing)):
        if groups:
            lines += [f"| {title} | Names |", "| --- | --- |"]
            lines += [
                f"| {hint.replace('|', '&#124;')} | {', '.join(names)} |" for hint, names in sorted(groups.items())
            ]
            lines += [""]
    return "\n".join(lines)


def compose(page: str) -> str:
    """The page with the tables in their place."""
    for marker in (BEGIN, END):
        if page.count(marker) != 1:
            raise SystemExit(f"{PAGE.name} needs the line {marker} once")
    before, rest = page.split(BEGIN)
    made = "\n".join([table(path) for path in MODULES])
    return f"{before}{BEGIN}\n{made}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    try:
        PAGE.write_text(compose(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    except ModuleNotFoundError as error:
        sys.stdout.write(f"{PAGE.name} stays as it is: {error}\n")
