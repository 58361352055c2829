"""Write tests/programs/functional/reference.json: what autograd and JAX themselves compute, in double precision.

Needs both installed, beside NumPy: `pip install autograd jax`, then `python tests/programs/reference.py`.
"""

import json
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "functional"


def main() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        namespace = {"__name__": path.stem}
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), namespace)
        curve, arrays = namespace["main"]()
        lists = [np.asarray(a, dtype=np.float64).tolist() for a in arrays]
        found[path.stem] = {"curve": [float(x) for x in curve], "arrays": lists}
    text = json.dumps(json.loads(json.dumps(found), parse_float=lambda x: float(f"{float(x):.10g}")), indent=None)
    (FOLDER / "reference.json").write_text(text.replace("}, ", "},\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
