"""Write cupy_api.json: the names that real CuPy has, with their parameters. Run it where CuPy is installed.

python tests/cuda/make_api.py
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

BFLOAT16 = "E"  # the letter of ml_dtypes.bfloat16 in a list of types


def parameters(function: Any) -> list[str] | None:
    """The names of a function's parameters, "*" where keywords begin; None where nothing is known."""
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError):
        first = (function.__doc__ or "").strip().split("\n")[0].replace("\\*", "*")
        match = re.match(r"[\w.]+\((.*)\)", first)
        if not match:
            return None
        names = [re.split(r"[=:]", part)[0].split()[-1:] for part in re.split(r",\s*(?![^()]*\))", match[1])]
        flat = [name[0] for name in names if name and name[0] != "/"]
        return [name for name in flat if name != "self"]
    out: list[str] = []
    for p in found.parameters.values():
        if p.kind is p.KEYWORD_ONLY and not any(name.startswith("*") for name in out):
            out.append("*")
        prefix = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        out.append(prefix + p.name)
    return [name for name in out if name != "self"]


def describe(module: Any) -> dict[str, Any]:
    """What kind of thing each public name is, and the parameters of functions."""
    out: dict[str, Any] = {}
    for name in sorted(dir(module)):
        if name.startswith("_"):
            continue
        value = getattr(module, name)
        kind = type(value).__name__
        if kind == "module":
            continue
        out[name] = parameters(value) if callable(value) and not isinstance(value, type) else kind
    return out


def main() -> None:
    """Ask CuPy, and write."""
    import cupy
    import cupyx
    import cupyx.scipy.special

    found = {
        "version": cupy.__version__,
        "cupy": describe(cupy),
        "ufuncs": sorted(n for n in dir(cupy) if type(getattr(cupy, n)).__name__ in ("ufunc", "_GUFunc")),
        "ndarray": describe(cupy.ndarray),
        "random": describe(cupy.random),
        "linalg": describe(cupy.linalg),
        "cupyx": describe(cupyx),
        "special": describe(cupyx.scipy.special),
        "special_types": {n: list(f.types) for n, f in vars(cupyx.scipy.special).items() if isinstance(f, cupy.ufunc)},
        "no_bfloat16": sorted(  # of the functions of floats
            n
            for n in dir(cupy)
            if isinstance(f := getattr(cupy, n), cupy.ufunc)
            and any(char in t for t in f.types for char in "fd")
            and not any(BFLOAT16 in t for t in f.types)
        ),
        "runtime": sorted(n for n in dir(cupy.cuda.runtime) if not n.startswith("_")),
    }
    lines = []
    for key, value in found.items():
        if isinstance(value, dict):
            rows = ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            lines.append(f"  {json.dumps(key)}: {{\n{rows}\n  }}")
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    Path(__file__).with_name("cupy_api.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
