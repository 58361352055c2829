"""Losses as layers: called with the prediction and the target. `reduction` is "mean", "sum" or "none".

Each applies the function in `nn.functional` that it names, which says what it computes and which shapes it takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..core.tensor_class import Tensor, wrap
from ..errors import ArgumentError
from . import functional as F
from .module import Module


class Loss(Module):
    """The base of all losses: a function of prediction and target, called with the attributes `settings`."""

    function: ClassVar[Callable[..., Tensor]]
    settings: ClassVar[tuple[str, ...]] = ()

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ArgumentError(f"{self._get_name()}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        settings = {name: getattr(self, name) for name in self.settings}
        return type(self).function(input, target, reduction=self.reduction, **settings)


class MSELoss(Loss):
    """The mean of the squared differences: `functional.mse_loss`.

    >>> import gradengine as ge
    >>> ge.nn.MSELoss()(ge.tensor([1.0, 2.0]), ge.tensor([1.0, 4.0])).item()
    2.0
    """

    function = staticmethod(F.mse_loss)


class L1Loss(Loss):
    """The mean of the absolute differences: `functional.l1_loss`.

    >>> import gradengine as ge
    >>> round(ge.nn.L1Loss()(ge.tensor([1.0, 2.0]), ge.tensor([1.0, 4.0])).item(), 4)
    1.0
    """

    function = staticmethod(F.l1_loss)


class HuberLoss(Loss):
    """Half the squared difference up to `delta`, then linear: `functional.huber_loss`.

    >>> import gradengine as ge
    >>> round(ge.nn.HuberLoss(delta=1.0)(ge.tensor([1.0, 2.0]), ge.tensor([1.0, 4.0])).item(), 4)
    0.75
    """

    function = staticmethod(F.huber_loss)
    settings = ("delta",)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta


class SmoothL1Loss(Loss):
    """The absolute difference, rounded off below `beta`: `functional.smooth_l1_loss`.

    >>> import gradengine as ge
    >>> round(ge.nn.SmoothL1Loss(beta=1.0)(ge.tensor([1.0, 2.0]), ge.tensor([1.0, 4.0])).item(), 4)
    0.75
    """

    function = staticmethod(F.smooth_l1_loss)
    settings = ("beta",)

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta


class WeightedLoss(Loss):
    """A loss with a weight per class or element, kept as a buffer so that it moves with the module."""

    def __init__(self, reduction: str, **weights: Any) -> None:
        super().__init__(reduction)
        for name, weight in weights.items():
            self.register_buffer(name, None if weight is None else wrap(weight))


class CrossEntropyLoss(WeightedLoss):
    """Minus the log of the softmax at the target class, or against target probabilities: `functional.cross_entropy`.

    >>> import gradengine as ge
    >>> round(ge.nn.CrossEntropyLoss()(ge.zeros((2, 10)), ge.tensor([3, 7])).item(), 4)
    2.3026
    """

    function = staticmethod(F.cross_entropy)
    settings = ("weight", "ignore_index", "label_smoothing")

    def __init__(
        self,
        weight: Any = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction, weight=weight)
        if not 0 <= label_smoothing <= 1:
            raise ArgumentError(f"CrossEntropyLoss: label_smoothing must be from 0 to 1, got {label_smoothing!r}")
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing


class NLLLoss(WeightedLoss):
    """Minus the given log-probability of the target class: `functional.nll_loss`.

    >>> import gradengine as ge
    >>> round(ge.nn.NLLLoss()(ge.log(ge.tensor([[0.25, 0.75]])), ge.tensor([1])).item(), 4)
    0.2877
    """

    function = staticmethod(F.nll_loss)
    settings = ("weight", "ignore_index")

    def __init__(self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction, weight=weight)
        self.ignore_index = ignore_index


class BCELoss(WeightedLoss):
    """Binary cross-entropy of probabilities: `functional.binary_cross_entropy`.

    >>> import gradengine as ge
    >>> round(ge.nn.BCELoss()(ge.tensor([0.5, 0.75]), ge.tensor([0.0, 1.0])).item(), 4)
    0.4904
    """

    function = staticmethod(F.binary_cross_entropy)
    settings = ("weight",)

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction, weight=weight)


class BCEWithLogitsLoss(WeightedLoss):
    """Binary cross-entropy of the sigmoid of the input: `functional.binary_cross_entropy_with_logits`.

    >>> import gradengine as ge
    >>> round(ge.nn.BCEWithLogitsLoss()(ge.tensor([0.0, 2.0]), ge.tensor([0.0, 1.0])).item(), 4)
    0.41
    """

    function = staticmethod(F.binary_cross_entropy_with_logits)
    settings = ("weight", "pos_weight")

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(reduction, weight=weight, pos_weight=pos_weight)


class KLDivLoss(Loss):
    """The Kullback-Leibler divergence from the target to the input's exp: `functional.kl_div`.

    `reduction="batchmean"`, the sum over the number of rows, is the mathematical one.

    >>> import gradengine as ge
    >>> loss = ge.nn.KLDivLoss(reduction="batchmean")
    >>> round(loss(ge.log(ge.tensor([[0.5, 0.5]])), ge.tensor([[0.25, 0.75]])).item(), 4)
    0.1308
    """

    function = staticmethod(F.kl_div)
    settings = ("log_target",)

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__("mean" if reduction == "batchmean" else reduction)
        self.reduction, self.log_target = reduction, log_target


class HingeEmbeddingLoss(Loss):
    """The distance for targets 1, the distance short of `margin` for targets -1: `functional.hinge_embedding_loss`.

    >>> import gradengine as ge
    >>> round(ge.nn.HingeEmbeddingLoss()(ge.tensor([0.5, 0.5]), ge.tensor([1.0, -1.0])).item(), 4)
    0.5
    """

    function = staticmethod(F.hinge_embedding_loss)
    settings = ("margin",)

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin


class SoftMarginLoss(Loss):
    """`log(1 + exp(-target * input))` for targets 1 and -1: `functional.soft_margin_loss`.

    >>> import gradengine as ge
    >>> round(ge.nn.SoftMarginLoss()(ge.tensor([0.0, 2.0]), ge.tensor([1.0, -1.0])).item(), 4)
    1.41
    """

    function = staticmethod(F.soft_margin_loss)


class MarginRankingLoss(Loss):
    """How far `input1` is from lying `margin` above `input2` (target 1) or below: `functional.margin_ranking_loss`.

    >>> import gradengine as ge
    >>> loss = ge.nn.MarginRankingLoss(margin=0.5)
    >>> loss(ge.tensor([1.0, 2.0]), ge.tensor([0.0, 3.0]), ge.tensor([1.0, 1.0])).item()
    0.75
    """

    function = staticmethod(F.margin_ranking_loss)

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:  # type: ignore[override]
        return F.margin_ranking_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)
