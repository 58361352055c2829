"""Write what cuda.md shows of generated CUDA C: kernels as the backend writes them, and the launches of one step.

`make docs` runs it, as `python -m docs.make_cuda`; with `--check` it only says whether the page is what the project
does now. Sources are text, so neither a GPU nor CuPy is needed: where the backend would ask for a device, this file
answers in its place. The tests compare what comes out with what the emulated device is given.
"""

from __future__ import annotations

import contextlib
import doctest
import inspect
import math
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import gradengine as ge
from docs.make_jit import fenced, filled, write_or_check
from gradengine.backend import devices, gpu
from gradengine_kernels.cupy_cuda import dialect, driver, loop_codegen, loop_kernel, programs, row_kernels
from gradengine_kernels.cupy_cuda.gemm import kernels

PAGE = Path(__file__).parent / "cuda.md"
MULTIPROCESSORS = 132  # of the GPU that the page counts blocks for


# -- kernels of their own ---------------------------------------------------------------------------------------------


def of_rows(write: Any, rows: int, columns: int, real: str = "float32") -> loop_codegen.Source:
    """The kernel of a draft for about so many rows, of so many columns at most."""
    draft = row_kernels.Draft(real)
    write(draft)
    scalars = tuple(draft.scalars)
    given = loop_codegen.Given(rows, ("columns",), scalars, columns, math.gcd(columns, 16))
    return loop_kernel.source_of(draft.loop, given, write.__name__)


def declaration(op: Any) -> str:
    """What declares a pointwise op without a body: its name and its rules."""
    rules = [inspect.getsource(rule).strip().rstrip(",") for rule in op.rules]
    return f'{op.name} = elementwise("{op.name}", {", ".join(rules)})'


# -- a step without a device ------------------------------------------------------------------------------------------


class Located(np.ndarray):
    """An array on the host that says where it is as CuPy's do."""

    @property
    def data(self) -> Any:  # type: ignore[override]
        return types.SimpleNamespace(ptr=self.ctypes.data)


def located(shape: Any, dtype: Any) -> Any:
    """Such an array."""
    return np.zeros(shape, dtype).view(Located)


HOST = types.SimpleNamespace(
    ndarray=Located,
    empty=located,
    zeros=located,
    array=lambda value, dtype=None, order="C": np.array(value, dtype, order=order).view(Located),
)


class OnPaper(gpu.GpuBackend):
    """The backend as far as compiling needs it."""

    def __init__(self) -> None:
        self.name, self.device, self.arrays, self.program = "cupy", "cuda:0", HOST, programs.Program
        self.operations = lambda: dialect.OPERATIONS


@contextlib.contextmanager
def no_device() -> Iterator[None]:
    """Answers in the place of a device: kernels are not compiled, and products not looked up."""
    answers = {"here": lambda: 0, "multiprocessors": lambda device: MULTIPROCESSORS, "function": lambda *code: code}
    with (
        mock.patch.multiple(driver, **answers),
        mock.patch.object(programs, "cp", HOST),
        mock.patch.object(kernels, "plan", lambda product: product),
    ):
        yield


def executor_of(made: dict[str, Any]) -> Any:
    """The page's step, compiled, with an array for everything that a kernel reads or writes."""
    step = made["step"]
    _, arguments, leaves, structure = step.take_apart((made["x"], made["y"]), {})
    program = step.traced(arguments, leaves, structure)
    program.backend = OnPaper()
    executor = program.compile().executor
    for var in (*executor.inputs, *(var for _, var in executor.fresh)):
        if not var.weak and var not in executor.arrays:
            executor.bind(var, located(var.shape, var.dtype))
            if var in executor.replaced:
                executor.bind(executor.replaced[var], executor.arrays[var])
    return executor


def groups_of(executor: Any) -> list[list[tuple[list[Any], list[str]]]]:
    """What each graph launches, in order: launches that are one, and the ops of the first of them."""
    (program,) = executor.programs
    stages = [stage for maker in executor.makers for stage in maker.unit.stages]
    computing = iter(stages)
    ops = {}
    for launch in program.launches:
        looks_at_a_flag = launch.source is None and launch.plan is None
        ops[id(launch)] = [] if looks_at_a_flag else [e.name for e in next(computing).every()]
    parts = [programs.joined(part, program.arrays) for part in program.parts]
    return [[(group, list(dict.fromkeys(ops[id(group[0])]))) for group in groups] for groups in parts]


def listed(parts: list[list[tuple[list[Any], list[str]]]]) -> str:
    """The launches as a table: the first graph has the checks, and tells the host what they have found."""
    lines = ["| | launch | what it computes | blocks of threads |", "| ---: | --- | --- | --- |"]
    told = len(parts[0]) if len(parts) > 1 else -1
    for i, (group, ops) in enumerate([x for groups in parts for x in groups]):
        if i == told:
            lines.append("| | copy to the host | whether a label is out of range | |")
        first = group[0]
        if first.source is None and first.plan is None:
            row = "note_failure", "stops what follows if a label is out of range", "1 of 1"
        elif first.plan is not None:
            row = "cuBLASLt", f"`{shown(first.plan)}`", "chosen by cuBLASLt"
        else:
            blocks = sum(x.source.grid(x.rows, MULTIPROCESSORS) for x in group)
            several = f", for {len(group)} arrays" if len(group) > 1 else ""
            name = first.source.several[0] if len(group) > 1 else first.source.name
            row = f"`{name}`", ", ".join(ops) + several, f"{blocks} of {first.source.block}"
        lines.append(f"| {i + 1} | {' | '.join(row)} |")
    return "\n".join(lines)


def shown(plan: Any) -> str:
    """A product as Python has it."""
    product = getattr(plan, "product", plan)
    a, b = (str(product.stored(name)) + ".T" * t for name, t in (("a", product.ta), ("b", product.tb)))
    return f"{a} @ {b}"


# -- the page ---------------------------------------------------------------------------------------------------------


def example(page: str) -> dict[str, Any]:
    """What the step of the page defines, made on the default device."""
    begin, end = page.index("## A training step"), page.index("<!-- launches")
    found: dict[str, Any] = {"ge": ge, "nn": ge.nn}
    for piece in doctest.DocTestParser().get_examples(page[begin:end]):
        exec(piece.source, found)
    return found


def blocks(page: str) -> dict[str, str]:
    """The text of each block by name."""
    tanh = devices.ALL_OPS["tanh"]
    with no_device():
        executor = executor_of(example(page))
        groups = groups_of(executor)
    updates = max((group for part in groups for group, _ in part), key=len)
    return {
        "declaration": fenced(declaration(tanh), "python"),
        "gradient": fenced(ge.cuda.source(ge.tanh, gradient=0).rstrip(), "c"),
        "draft": fenced(inspect.getsource(row_kernels.softmax).rstrip(), "python"),
        "rows": fenced(of_rows(row_kernels.softmax, 1024, 1024).code.rstrip(), "c"),
        "launches": listed(groups),
        "update": fenced(updates[0].source.several[1].rstrip(), "c"),
    }


def compose(page: str) -> str:
    """The page with all blocks regenerated."""
    before = ge.get_cpu_backend(), ge.get_default_device()
    ge.set_cpu_backend("numpy")
    ge.set_default_device("cpu")
    try:
        return filled(page, blocks(page), PAGE)
    finally:
        ge.set_cpu_backend(before[0])
        ge.set_default_device(before[1])


if __name__ == "__main__":
    write_or_check(PAGE, compose)
