"""Learning-rate schedules: what sets `lr` in an optimizer's groups after each epoch or step.

    scheduler = StepLR(optimizer, step_size=30)
    for epoch in range(100):
        train(...)
        scheduler.step()

Names, formulas and defaults are those of `torch.optim.lr_scheduler`: a schedule changes the rate that it finds, so
several can act on one optimizer.
"""

from .base import LRScheduler
from .cycles import CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR
from .decay import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from .plateau import ReduceLROnPlateau
from .sequential import ChainedScheduler, SequentialLR

_LRScheduler = LRScheduler  # PyTorch's former name, from which user-defined schedules inherit

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
