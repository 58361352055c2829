"""Optimizers and learning-rate schedules, with PyTorch's names, formulas and defaults."""

from typing import TYPE_CHECKING, Any

from . import lr_scheduler
from .adam import Adam, AdamW
from .adaptive import Adadelta, Adagrad, RMSprop
from .optimizer import Optimizer
from .sgd import SGD

__all__ = ["Adadelta", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "SGD", "lr_scheduler"]


if not TYPE_CHECKING:  # to a type checker, other names are simply missing

    def __getattr__(name: str) -> Any:
        from ..elsewhere import missing

        raise missing(__name__, name)
