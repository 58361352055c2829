"""Fill the table of docs/spellings.md: lines that mean different things in NumPy and PyTorch, and what each gives.

Every line runs in all three libraries, so no cell is written by hand but the last: `python docs/make_spellings.py`
writes the page again. tests/test_spellings_page.py asks whether it is up to date.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import gradengine as ge

PAGE = Path(__file__).parent / "spellings.md"
BEGIN, END = "<!-- table -->\n", "<!-- /table -->\n"
ARRAYS: dict[str, Any] = {
    "x": [[1.0, 9.0], [7.0, 2.0]],
    "y": [[5.0, 0.0], [3.0, 8.0]],
    "v": [1.0, 2.0],
    "w": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    "c": np.arange(8.0).reshape(2, 2, 2).tolist(),
    "n": [3.0, float("nan"), float("nan"), 3.0],
}

# The line, and why it gives here what it gives. A NumPy line of other words stands after `//`.
ROWS = """
x.max(1)                          by position, the array API's
x.max(1)[1]                       a row of values; who means PyTorch's index is warned
x.max(axis=1)                     NumPy's word
x.max(dim=1)                      PyTorch's word
m.max(x, y)                       an error in NumPy, so it can only mean PyTorch's
m.sort(x)                         the array API's; taking it apart as a pair warns
m.sort(x, axis=0)                 NumPy's word
m.sort(x, dim=0)                  PyTorch's word
m.median(w)                       the mean of the middle two, as in NumPy
m.median(x, axis=1)               NumPy's word
m.median(x, dim=1)                PyTorch's word: the lower of the two
x.std(0)                          correction 0, the array API's
x.std(axis=0)                     NumPy's word
x.std(dim=0)                      PyTorch's word: correction 1
x.var(0, keepdim=True)            PyTorch's word: correction 1
x.std(unbiased=False)             PyTorch's word
m.split(w, 3)                     the number of pieces, as in NumPy; PyTorch's is the size, so it warns
m.split(w, [1, 4])                indices, as in NumPy; PyTorch refuses them
m.split(w, [2, 4])                indices that add up to the length are PyTorch's sizes, too, so it warns
m.split(w, 3, axis=0)             NumPy's word
m.split(w, 3, dim=0)              PyTorch's word
v.repeat(2)                       the array API's; it warns
v.repeat(2, 3)                    no axis 3, so it can only mean PyTorch's
x.repeat(2, 1)                    PyTorch's, which is what programs write; it warns
x.repeat(2, axis=1)               NumPy's word
x.repeat(2, 0)                    no use in PyTorch, so it means NumPy's
m.tile(x, (2, 1))                 the same in both, and never ambiguous
c.transpose(0, 2)                 two axes are swapped; NumPy has no such call for three axes
c.transpose(2, 0, 1)              three axes are NumPy's order
x.transpose(0, 1)                 swapped, as in PyTorch; NumPy's call changes nothing
m.diagonal(c)                     the last two axes, the array API's; it warns
m.diagonal(c, dim1=0, dim2=1)     PyTorch's words
x.squeeze(axis=0)                 NumPy's word: an axis of another size is an error
x.squeeze(dim=0)                  PyTorch's word: it stays
m.nonzero(x)                      a tuple of arrays, as in NumPy
m.nonzero(x, as_tuple=False)      PyTorch's word
m.meshgrid(v, v)[0]               "xy", as in NumPy and the array API; PyTorch's is "ij", so it warns
m.meshgrid(v, v, indexing="ij")[0] the same in both
x.size                            NumPy's attribute
x.size(0)                         called, PyTorch's
m.equal(x, x)                     element by element, as in NumPy; it has no truth value
x.equal(x)                        arrays of NumPy have no such method, so it is PyTorch's
m.dot(x, y)                       PyTorch refuses matrices, and so does this: write `x @ y`
m.outer(x, v)                     NumPy's, which flattens
m.unique(n)                       each NaN by itself, as in PyTorch; `np.unique(t)` gives NumPy's
m.cumsum(x)                       flattened, as in NumPy
m.norm(x, 2)                      of all elements, as in PyTorch // np.linalg.norm(x, 2)
m.cov(x, correction=0)            PyTorch's word // np.cov(x, ddof=0)
m.flip(x)                         all axes, as in NumPy
m.flip(x, ())                     no axis, as in both
m.nn.functional.softmax(c)[0, 0]  the first of three axes, as in PyTorch; it warns
m.where(x > 5)                    the same in both
m.Tensor([1, 2])                  a float32 one, as in PyTorch
m.Tensor(2, 3).shape              by sizes, as in PyTorch
m.tril_indices(2, 2)              one array, as in PyTorch; NumPy's second argument is another
m.mean(m.arange(4))               floats of the default dtype
x.view(-1)                        PyTorch's; NumPy's takes a dtype
c.T.shape                         all axes in reverse, as in NumPy
""".strip().split("\n")


def shown(value: Any) -> str:
    """A result in a cell of the table."""
    if hasattr(value, "_fields"):
        names = dict(zip(value._fields, value, strict=True))
        return ", ".join(f"{name} {shown(part)}" for name, part in names.items())
    if isinstance(value, tuple) and hasattr(value, "values"):  # PyTorch's own named tuples
        return f"values {shown(value.values)}, indices {shown(value.indices)}"
    if hasattr(value, "detach"):
        value = value.detach().numpy()
    if isinstance(value, np.ndarray | np.generic):
        numbers = np.round(value.astype(np.float64), 3) if value.dtype.kind == "f" else value
        return re.sub(r"\.0\b", "", str(numbers.tolist()))
    if isinstance(value, (tuple, list)):
        return ", ".join(shown(part) for part in value) if any(np.ndim(v) for v in value) else str(tuple(value))
    return str(value)


def outcome(line: str, module: Any, make: Any) -> str:
    """What a line gives in a library: its result, or the kind of error; and whether gradengine warns."""
    known = {"m": module, "np": np, **{name: make(x) for name, x in ARRAYS.items()}}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            text = shown(eval(line, known))
        except Exception:
            return "error"
    if " at 0x" in text:
        return "a method"
    return text + (" (warns)" if any(issubclass(w.category, ge.SpellingWarning) for w in caught) else "")


def row(text: str, torch: Any) -> str:
    """A line of the table."""
    line, said = split(text)
    said, _, other = said.partition(" // ")
    cells = [
        outcome(other or line, np, np.array),
        outcome(line, torch, torch.tensor),
        outcome(line, ge, ge.tensor),
    ]
    code = f"`{line}`" + (f", in NumPy `{other}`" if other else "")
    return f"| {code} | {' | '.join(cells)} | {said} |"


def split(text: str) -> tuple[str, str]:
    """The code of a row, and what is said of it."""
    if text[33] == " ":
        return text[:34].strip(), text[34:].strip()
    code, _, said = text.partition("] ")
    return code + "]", said


def compose(page: str, torch: Any) -> str:
    """The page with its table as it is now."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    lines = ["| line | NumPy | PyTorch | here | why |", "| --- | --- | --- | --- | --- |"]
    return head + BEGIN + "\n" + "\n".join([*lines, *[row(text, torch) for text in ROWS]]) + "\n\n" + END + tail


if __name__ == "__main__":
    import torch

    PAGE.write_text(compose(PAGE.read_text(encoding="utf-8"), torch), encoding="utf-8")
