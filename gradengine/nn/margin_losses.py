"""Losses of margins, triplets, several labels and likelihoods as layers.

Each applies the function in `nn.functional` that it names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.tensor_class import Tensor
from ..errors import ArgumentError, DTypeError, describe
from . import functional as F
from .losses import Loss, WeightedLoss


class CosineEmbeddingLoss(Loss):
    """1 - cos of two inputs where the target is 1, max(0, cos - margin) where it is -1.

    It is `functional.cosine_embedding_loss`.

    >>> import gradengine as ge
    >>> x = ge.tensor([[1.0, 0.0]])
    >>> ge.nn.CosineEmbeddingLoss()(x, x, ge.tensor([-1.0])).item()
    1.0
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:  # type: ignore[override]
        return F.cosine_embedding_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class MultiMarginLoss(WeightedLoss):
    """How far other classes are from lying `margin` below the target's: `functional.multi_margin_loss`.

    >>> import gradengine as ge
    >>> round(ge.nn.MultiMarginLoss()(ge.tensor([[0.1, 0.2, 0.4, 0.8]]), ge.tensor([3])).item(), 4)
    0.325
    """

    function = staticmethod(F.multi_margin_loss)
    settings = ("p", "margin", "weight")

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction, weight=weight)
        if p not in (1, 2):
            raise ArgumentError(f"MultiMarginLoss: p must be 1 or 2, got {p!r}")
        self.p, self.margin = p, margin


class MultiLabelMarginLoss(Loss):
    """How far other classes are from lying 1 below those of the labels: `functional.multilabel_margin_loss`.

    >>> import gradengine as ge
    >>> x, y = ge.tensor([[0.1, 0.2, 0.4, 0.8]]), ge.tensor([[3, 0, -1, 1]])
    >>> round(ge.nn.MultiLabelMarginLoss()(x, y).item(), 4)
    0.85
    """

    function = staticmethod(F.multilabel_margin_loss)


class MultiLabelSoftMarginLoss(WeightedLoss):
    """Binary cross-entropy of logits, as a mean over classes: `functional.multilabel_soft_margin_loss`.

    >>> import gradengine as ge
    >>> round(ge.nn.MultiLabelSoftMarginLoss()(ge.zeros(2, 3), ge.ones(2, 3)).item(), 4)
    0.6931
    """

    function = staticmethod(F.multilabel_soft_margin_loss)
    settings = ("weight",)

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction, weight=weight)


class TripletMarginLoss(Loss):
    """How far the negative is from being `margin` farther away than the positive: `functional.triplet_margin_loss`.

    >>> import gradengine as ge
    >>> a, p, n = ge.tensor([[0.0]]), ge.tensor([[1.0]]), ge.tensor([[1.5]])
    >>> round(ge.nn.TripletMarginLoss()(a, p, n).item(), 4)
    0.5
    """

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        if not margin > 0:
            raise ArgumentError(f"TripletMarginLoss: margin must be above 0, got {margin!r}")
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:  # type: ignore[override]
        return F.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, self.reduction
        )


class TripletMarginWithDistanceLoss(Loss):
    """`TripletMarginLoss` with your own distance: `functional.triplet_margin_with_distance_loss`.

    >>> import gradengine as ge
    >>> loss = ge.nn.TripletMarginWithDistanceLoss(distance_function=lambda x, y: (x - y).abs().sum(axis=-1))
    >>> loss(ge.tensor([[0.0]]), ge.tensor([[1.0]]), ge.tensor([[1.5]])).item()
    0.5
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Any, Any], Any] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        if distance_function is not None and not callable(distance_function):
            raise DTypeError(
                f"{self._get_name()}: distance_function must be a function, got {describe(distance_function)}"
            )
        if not margin > 0:
            raise ArgumentError(f"TripletMarginWithDistanceLoss: margin must be above 0, got {margin!r}")
        self.distance_function, self.margin, self.swap = distance_function, margin, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:  # type: ignore[override]
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )


class GaussianNLLLoss(Loss):
    """Minus the log-likelihood of a normal distribution with a variance of its own: `functional.gaussian_nll_loss`.

    >>> import gradengine as ge
    >>> ge.nn.GaussianNLLLoss()(ge.tensor([1.0]), ge.tensor([3.0]), ge.tensor([1.0])).item()
    2.0
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor) -> Tensor:  # type: ignore[override]
        return F.gaussian_nll_loss(input, target, var, full=self.full, eps=self.eps, reduction=self.reduction)


class PoissonNLLLoss(Loss):
    """Minus the log-likelihood of a Poisson distribution: `functional.poisson_nll_loss`.

    >>> import gradengine as ge
    >>> ge.nn.PoissonNLLLoss()(ge.tensor([0.0]), ge.tensor([2.0])).item()
    1.0
    """

    function = staticmethod(F.poisson_nll_loss)
    settings = ("log_input", "full", "eps")

    def __init__(self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.log_input, self.full, self.eps = log_input, full, eps
