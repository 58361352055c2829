"""Shape rules, one per kind of op: what shape comes out, or a ShapeError that says what does not fit.

A rule is `rule(name, *shapes, **metadata) -> shape`. Rules run when a kernel has failed, to explain it, and when a
graph is traced; the path that works pays nothing. This file only gives names; each family has a file, which imports
axes and errors only.
"""

from .axes import Shape, axes_of, axis_of, broadcast, matrices, same, sizes_of
from .copies import PAD_MODES, diag, diagonal, fill_diagonal, pad, pad_widths, repeat, tile, triangle, unpad, unrepeat
from .indexing import accumulate, getitem, one_hot, place, put_at, rows_of_table, take, take_along_axis
from .moves import (
    broadcast_to,
    concat,
    expand_dims,
    flatten,
    flip,
    matrix_transpose,
    moveaxis,
    narrow,
    permutation,
    reshape,
    roll,
    squeeze,
    stack,
    sum_to,
    swapaxes,
)
from .products import linear, matmul, tensordot_axes, vecdot
from .reductions import accumulation, extremum, reduction, searchsorted, single_axis_extremum, sort, topk, vector_norm

__all__ = [
    "Shape", "broadcast", "axis_of", "axes_of", "sizes_of", "same", "matrices",
    "reduction", "extremum", "single_axis_extremum", "vector_norm", "accumulation", "sort", "topk", "searchsorted",
    "reshape", "flatten", "broadcast_to", "sum_to", "permutation", "swapaxes", "matrix_transpose", "moveaxis",
    "expand_dims", "squeeze", "flip", "roll", "concat", "stack", "narrow",
    "PAD_MODES", "pad_widths", "pad", "unpad", "tile", "repeat", "unrepeat", "triangle", "diagonal", "fill_diagonal",
    "diag",
    "getitem", "place", "put_at", "take", "take_along_axis", "accumulate", "one_hot", "rows_of_table",
    "matmul", "vecdot", "linear", "tensordot_axes",
]  # fmt: skip
