"""The models that can be trained by name, and the optimizer and schedule that the options ask for."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import nn, optim
from ..core.tensor_class import Tensor
from ..nn import functional as F
from ..optim import lr_scheduler

if TYPE_CHECKING:
    from collections.abc import Callable

    from .options import Options


class Recipe(NamedTuple):
    """A kind of network: its hidden layers, what comes between them, its loss, and what its outputs mean."""

    hidden: tuple[int, ...]
    activation: type[nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    probabilities: Callable[[Tensor], Tensor]
    normalize: bool  # whether pixels are shifted and scaled to mean 0 and deviation 1
    squashed: bool = False  # whether the activation follows the last layer too
    prepare: Callable[[nn.Linear], None] | None = None  # other initial values than PyTorch's


def squared_error(outputs: Tensor, labels: Tensor) -> Tensor:
    """Half the squared distance to the one-hot label, summed over the outputs; the mean over the batch.

    Nielsen, Neural Networks and Deep Learning, equation 6.
    """
    batch, classes = outputs.shape
    return F.mse_loss(outputs, F.one_hot(labels, classes).to(outputs.dtype), reduction="sum") * (0.5 / batch)


def normal_start(layer: nn.Linear) -> None:
    """Normal biases, and normal weights over the root of the number of inputs, so that no sigmoid starts flat."""
    nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.in_features))
    if layer.bias is not None:
        nn.init.normal_(layer.bias)


def _sums_to_one(outputs: Tensor) -> Tensor:
    return outputs / outputs.sum(axis=-1, keepdims=True)


RECIPES = {
    "mlp": Recipe((128,), nn.ReLU, F.cross_entropy, F.softmax, normalize=True),
    "16x16": Recipe((16, 16), nn.ReLU, F.cross_entropy, F.softmax, normalize=True),
    "nielsen": Recipe((30,), nn.Sigmoid, squared_error, _sums_to_one, False, squashed=True, prepare=normal_start),
}


def build(recipe: Recipe, features: int, classes: int) -> nn.Sequential:
    """The network for pictures of `features` pixels, with initial values from the engine's generator."""
    sizes = (features, *recipe.hidden, classes)
    layers: dict[str, nn.Module] = {}
    for number, (size_in, size_out) in enumerate(itertools.pairwise(sizes), start=1):
        linear = nn.Linear(size_in, size_out)
        if recipe.prepare is not None:
            recipe.prepare(linear)
        layers[f"linear{number}"] = linear
        if number < len(sizes) - 1 or recipe.squashed:
            layers[f"{recipe.activation.__name__.lower()}{number}"] = recipe.activation()
    return nn.Sequential(layers)


def describe(model: nn.Sequential) -> str:
    """Sizes of the layers and number of parameters.

    >>> describe(build(RECIPES["16x16"], 784, 10))
    '784-16-16-10, 13,002 parameters'
    """
    layers = [layer for layer in model if isinstance(layer, nn.Linear)]
    sizes = [layers[0].in_features, *(layer.out_features for layer in layers)]
    parameters = sum(p.size for p in model.parameters())
    return f"{'-'.join(map(str, sizes))}, {parameters:,} parameters"


def make_optimizer(options: Options, model: nn.Module) -> optim.Optimizer:
    """The optimizer of this name, with these settings."""
    settings: dict[str, Any] = {"lr": options.lr, "weight_decay": options.weight_decay}
    if options.momentum is not None:
        settings["momentum"] = options.momentum
    kinds: dict[str, Callable[..., optim.Optimizer]] = {
        "sgd": optim.SGD,
        "adam": optim.Adam,
        "adamw": optim.AdamW,
        "rmsprop": optim.RMSprop,
        "adagrad": optim.Adagrad,
        "adadelta": optim.Adadelta,
    }
    return kinds[options.optimizer](model.parameters(), **settings)


class Schedule(NamedTuple):
    """A schedule of the learning rate, and whether it steps with each batch or with each epoch."""

    scheduler: lr_scheduler.LRScheduler | None
    each_batch: bool = False


def make_schedule(options: Options, optimizer: optim.Optimizer, batches: int) -> Schedule:
    """The schedule of this name, for a run of `options.epochs` epochs of `batches` batches."""
    total = options.epochs * batches
    if options.schedule == "step":
        return Schedule(lr_scheduler.StepLR(optimizer, options.step_size or 1, options.gamma or 1.0))
    if options.schedule == "exponential":
        return Schedule(lr_scheduler.ExponentialLR(optimizer, options.gamma or 1.0))
    if options.schedule == "cosine":
        return Schedule(lr_scheduler.CosineAnnealingLR(optimizer, total), each_batch=True)
    if options.schedule == "linear":
        return Schedule(lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total), each_batch=True)
    if options.schedule == "onecycle":
        # Momentum is cycled where there is one to cycle; a plain SGD stays plain.
        cycled = "betas" in optimizer.defaults or bool(options.momentum)
        one = lr_scheduler.OneCycleLR(optimizer, options.lr, total, cycle_momentum=cycled)
        return Schedule(one, each_batch=True)
    return Schedule(None)
