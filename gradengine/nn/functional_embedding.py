"""Rows of a table by integers, and what PyTorch's settings do to the table and its gradient."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..core.dispatch import no_grad
from ..core.tensor_class import Tensor
from ..errors import DTypeError, IndexRangeError, ShapeError
from ..ops import nn
from ..ops.arguments import beside, checked, real, whole

__all__ = ["embedding"]


@checked
def embedding(
    input: Any,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` (N, D) at the indices `input` (any shape): shape (*input.shape, D).

    The row `padding_idx` gets no gradient. With `max_norm`, the rows that are asked for are first scaled down in
    place to that `norm_type`-norm where theirs is larger. `scale_grad_by_freq` divides the gradient of each row by how
    often it is asked for. Gradients are dense, whatever `sparse` says.

    Raises IndexRangeError for an index outside 0..N-1, DTypeError for indices that are not integers, ShapeError when
    `weight` is not a table.

    >>> import gradengine as ge
    >>> table = ge.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]])
    >>> ge.nn.functional.embedding(ge.tensor([2, 1]), table)
    tensor([[3., 4.],
            [1., 2.]])
    """
    weight, indices = beside("embedding", weight, input)
    if len(weight.shape) != 2:
        raise ShapeError(f"embedding: weight must be a table (N, D), got shape {weight.shape}")
    rows = weight.shape[0]
    if indices.dtype.kind not in "iu":
        raise DTypeError(f"embedding: indices must be integers, got {indices.dtype}; use .to(ge.int64)")
    if padding_idx is not None:
        padding_idx = whole("embedding", "padding_idx", padding_idx)
        if not -rows <= padding_idx < rows:
            raise IndexRangeError(f"embedding: padding_idx {padding_idx} is out of range for {rows} rows")
        padding_idx %= rows
    if max_norm is not None:
        limit(weight, indices, real("embedding", "max_norm", max_norm), real("embedding", "norm_type", norm_type))
    found = nn.embedding_rows(weight, indices, padding_idx=padding_idx)
    if not scale_grad_by_freq or not found.requires_grad:
        return found
    counts = ops.index_add(
        ops.zeros(rows, dtype=weight.dtype), 0, indices.reshape(-1), ops.ones_like(indices.reshape(-1)).to(weight.dtype)
    )
    share = ops.expand_dims(1 / ops.take(counts, indices, axis=0), axis=-1)
    scaled: Any = found * share
    return found.detach() + (scaled - scaled.detach())


def limit(weight: Tensor, indices: Tensor, max_norm: Any, norm_type: Any) -> None:
    """Scale down the rows of a table that are asked for and longer than `max_norm`, as `embedding_renorm_`."""
    with no_grad():
        lengths: Any = ops.vector_norm(weight, ord=norm_type, axis=1)
        asked = ops.index_fill(
            ops.zeros(weight.shape[0], dtype="bool", device=weight.device), 0, indices.reshape(-1), True
        )
        scale = ops.where(ops.logical_and(asked, lengths > max_norm), max_norm / (lengths + 1e-7), 1.0)
        weight.mul_(ops.expand_dims(scale, axis=-1))
