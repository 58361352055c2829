"""Grids of large arrays: no index of 32 bits wraps around, which is computed from the sources without running them."""

import re

import pytest

from gradengine_kernels import expr
from gradengine_kernels.cupy_cuda import row_kernels
from gradengine_kernels.cupy_cuda.loop_codegen import WIDE, Given
from gradengine_kernels.cupy_cuda.loop_kernel import source_of
from gradengine_kernels.cupy_cuda.row_kernels import Draft, writer_of
from gradengine_kernels.cupy_cuda.rows import at_one_column
from gradengine_kernels.loops import Access, Compute, Load, Loop, Operand, Store

MULTIPROCESSORS = 132
LOOPS = re.compile(r"for \(idx (\w+) = [^;]*; \1 < (\w+); \1 \+= (\(idx\)gridDim\.x[^)]*)\)")
WRITERS = [
    row_kernels.sum_rows, row_kernels.max_rows, row_kernels.sum_all, row_kernels.squares_all, row_kernels.softmax,
    row_kernels.softmax_grad, row_kernels.logsumexp, row_kernels.standardize_grad,
    writer_of(row_kernels.cross_entropy, -100, "mean"),
]  # fmt: skip


def furthest(source, rows, columns):
    """The largest index that a loop over the grid computes: its last, and one step on."""
    found = LOOPS.findall(source.code)
    assert found
    ends = {"rows": rows * source.elements, "n": rows * columns}
    blocks = source.grid(rows, MULTIPROCESSORS)
    steps = [eval(step.replace("(idx)gridDim.x", str(blocks))) for _, _, step in found]
    return max(ends[end] - 1 + step for (_, end, _), step in zip(found, steps))


@pytest.mark.parametrize("real", ["float32", "float64", "float16"])
@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_rows(write, real):
    for columns in (1, 2, 3, 8, 1024):
        draft = Draft(real, "columns" if columns > 1 else 1)
        write(draft)
        if columns == 1:
            draft.loop = at_one_column(draft.loop)
        sizes = ("columns",) if columns > 1 else ()
        for rows in {WIDE // columns - 1, WIDE // columns // 2 + 3, WIDE // columns // 4}:
            for about in (1 << 20, min(1 << (rows - 1).bit_length(), 1 << 20)):
                given = Given(about, sizes, tuple(draft.scalars), columns, columns & -columns)
                assert furthest(source_of(draft.loop, given), rows, columns) < 1 << 31, (columns, rows)


@pytest.mark.parametrize("real", ["float32", "float64", "float16", "bool"])
def test_elements(real):
    """A kernel without sums: of a line, of rows of known length, and of rows whose length it is told."""
    for columns in (1, 2, 24, 4096, "columns"):
        access = Access(((1, 0, columns),), 1) if columns != 1 else Access(((1, 0, 1),))
        row = Access((), 1) if columns != 1 else access
        values = [Load("x", Operand(0, real, access)), Load("w", Operand(1, real, row))]
        values.append(
            Compute("y", expr.Expr("logical_and" if real == "bool" else "add", *[expr.Expr("input", n) for n in "xw"]))
        )
        loop = Loop("float32" if real == "bool" else real, columns, values, [Store("y", Operand(2, real, access))])
        length = 16 if columns == "columns" else columns
        for rows in (WIDE // length - 1, WIDE // length // 4 + 1):
            source = source_of(loop, Given(rows, ("columns",) if columns == "columns" else (), (), length, 16))
            assert furthest(source, rows, length) < 1 << 31, (columns, rows)
