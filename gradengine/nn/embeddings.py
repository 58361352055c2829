"""Embedding: a table of vectors, looked up by integers."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..core.tensor_class import Tensor, constant
from ..errors import DTypeError, IndexRangeError, ShapeError, describe
from . import functional as F
from . import init
from .layers import size
from .module import Module
from .parameter import Parameter


class Embedding(Module):
    """A table of vectors, looked up by integers: from (...) to (..., embedding_dim).

    `weight` is (num_embeddings, embedding_dim), drawn from the standard normal distribution. The row `padding_idx`
    starts as zeros and gets no gradient. `max_norm`, `norm_type` and `scale_grad_by_freq` are those of
    `functional.embedding`. Raises IndexRangeError for an index outside the table.

    >>> import gradengine as ge
    >>> ge.nn.Embedding(10, 3)(ge.tensor([[1, 2, 4, 5]])).shape
    (1, 4, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = size("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = size("Embedding", "embedding_dim", embedding_dim)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise IndexRangeError(f"Embedding: padding_idx {padding_idx} is outside the {num_embeddings} embeddings")
        self.padding_idx = padding_idx if padding_idx is None else padding_idx % num_embeddings
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        if _weight is None:
            self.weight = Parameter(
                ops.empty((num_embeddings, embedding_dim), device=device, dtype=dtype), requires_grad=not _freeze
            )
            self.reset_parameters()
            return
        if _weight.shape != (num_embeddings, embedding_dim):
            raise ShapeError(f"Embedding: the table must be {(num_embeddings, embedding_dim)}, got {_weight.shape}")
        self.weight = Parameter(_weight, requires_grad=not _freeze)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """An Embedding with the given (num_embeddings, embedding_dim) table, which is not trained if `freeze`."""
        if not isinstance(embeddings, Tensor):
            raise DTypeError(f"Embedding: a table must be a Tensor, got {describe(embeddings)}")
        if embeddings.ndim != 2:
            raise ShapeError(f"Embedding: a table has two axes, got shape {embeddings.shape}")
        count, width = embeddings.shape
        made = cls(count, width, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight=embeddings)
        made.weight.requires_grad_(not freeze)
        return made

    def reset_parameters(self) -> None:
        """Draw new vectors."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            table = constant(self.weight.array, self.weight.backend)
            table[self.padding_idx] = 0.0
            self.weight.data = table

    def forward(self, input: Tensor) -> Tensor:
        settings = self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        return F.embedding(input, self.weight, *settings)

    def extra_repr(self) -> str:
        shown = [f"{self.num_embeddings}, {self.embedding_dim}"]
        for name, usual in (("padding_idx", None), ("max_norm", None), ("norm_type", 2), ("scale_grad_by_freq", False)):
            if getattr(self, name) != usual:
                shown.append(f"{name}={getattr(self, name)}")
        return ", ".join(shown)
