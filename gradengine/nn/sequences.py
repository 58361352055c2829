"""Sequences of different lengths as one Tensor, and back: PyTorch's `nn.utils.rnn`, as far as it needs no layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import ops
from ..core.tensor_class import Tensor, wrap
from ..errors import ArgumentError, ShapeError
from ..ops.arguments import checked

__path__: list[str] = []
__all__ = ["pad_sequence", "unpad_sequence"]


@checked
def pad_sequence(
    sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Tensors (L, *) of different lengths L as one, (longest, batch, *) or with `batch_first` (batch, longest, *).

    What is missing is `padding_value`, behind each sequence or before it (`padding_side` "left"). Raises ShapeError
    for Tensors that differ in other axes, ArgumentError where there are none, or for another side.

    >>> import gradengine as ge
    >>> ge.nn.utils.rnn.pad_sequence([ge.tensor([1, 2]), ge.tensor([3])], batch_first=True)
    tensor([[1, 2],
            [3, 0]])
    """
    rows = [wrap(row, None, "pad_sequence") for row in sequences]
    if padding_side not in ("left", "right"):
        raise ArgumentError(f"pad_sequence: padding_side must be 'left' or 'right', got {padding_side!r}")
    if not rows:
        raise ArgumentError("pad_sequence: needs at least one sequence")
    if any(row.ndim != rows[0].ndim or row.shape[1:] != rows[0].shape[1:] for row in rows) or not rows[0].ndim:
        shapes = ", ".join([str(row.shape) for row in rows])
        raise ShapeError(f"pad_sequence: sequences may differ along the first axis alone, got shapes {shapes}")
    longest, value = max([row.shape[0] for row in rows]), padding_value
    if rows[0].dtype.kind in "iub" and value == int(value):
        value = int(value)
    padded = []
    for row in rows:
        missing = longest - row.shape[0]
        width = (missing, 0) if padding_side == "left" else (0, missing)
        filled = ops.pad(row, pad_width=(width, *((0, 0),) * (row.ndim - 1)), constant_values=value)
        padded.append(filled if missing else row)
    return ops.stack(padded, axis=0 if batch_first else 1)


@checked
def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences of a padded Tensor, each cut to its length.

    >>> import gradengine as ge
    >>> ge.nn.utils.rnn.unpad_sequence(ge.tensor([[1, 2], [3, 0]]), ge.tensor([2, 1]), batch_first=True)
    [tensor([1, 2]), tensor([3])]
    """
    rows = padded_sequences if batch_first else ops.swapaxes(padded_sequences, axis1=0, axis2=1)
    return [row[: int(length)] for row, length in zip(rows, wrap(lengths).tolist(), strict=True)]


if not TYPE_CHECKING:  # to a type checker, other names are simply missing

    def __getattr__(name: str) -> Any:
        from ..missing_names import missing

        raise missing("gradengine.nn.utils.rnn", name)
