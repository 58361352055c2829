"""A module called with other parameters: `functional_call`, PyTorch's `torch.func.functional_call`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.tensor_class import Tensor
from ..errors import ArgumentError, DTypeError, ShapeError, describe
from ..validation import known_words
from .module import Module

__path__: list[str] = []
__all__ = ["functional_call"]


@known_words
def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """What `module(*args, **kwargs)` gives with other Tensors in the place of some parameters and buffers.

    The Tensors are found by their paths, as in `state_dict`; gradients flow to them. `args` is a tuple, or the one
    argument. With `tie_weights`, a parameter that the module has under several paths is replaced under all of them.
    With `strict`, every parameter and buffer must be given and nothing else, or it is an ArgumentError; without, other
    paths are ignored, as in PyTorch. Raises ShapeError for a Tensor of another shape.

    >>> import gradengine as ge
    >>> layer = ge.nn.Linear(2, 1, bias=False)
    >>> ge.func.functional_call(layer, {"weight": ge.ones(1, 2)}, ge.tensor([1.0, 2.0]))
    tensor([3.])
    """
    if not isinstance(module, Module):
        raise DTypeError(f"functional_call: needs a module, got {describe(module)}")
    given = parameter_and_buffer_dicts
    several = [given] if isinstance(given, Mapping) else list(given)
    wanted: dict[str, Any] = {}
    for values in several:
        if wanted.keys() & values.keys():
            raise ArgumentError(f"functional_call: {', '.join(sorted(wanted.keys() & values.keys()))} is given twice")
        wanted.update(values)
    places = found(module, wanted, tie_weights, strict)
    before = [(owner, name, owner.__dict__[name]) for owner, name, _ in places]
    positional = () if args is None else args if isinstance(args, tuple) else (args,)
    try:
        for owner, name, value in places:
            owner.__dict__[name] = value
        return module(*positional, **(kwargs or {}))
    finally:
        for owner, name, value in before:
            owner.__dict__[name] = value


def found(module: Module, wanted: Mapping[str, Any], tie: bool, strict: bool) -> list[tuple[Module, str, Any]]:
    """Which attribute of which part of the module takes which Tensor."""
    places: dict[str, tuple[Module, str, Any]] = {}
    for path, part in module.named_modules(remove_duplicate=False):
        for kind in ("parameter", "buffer"):
            for name, tensor in part._own(kind):
                places[f"{path}.{name}" if path else name] = (part, name, tensor)
    unknown = [path for path in wanted if path not in places]
    if unknown and strict:
        raise ArgumentError(f"functional_call: the module has no {', '.join(map(repr, unknown))}")
    same = {id(places[path][2]): path for path in wanted if path in places} if tie else {}
    taken, missing = [], []
    for path, (part, name, tensor) in places.items():
        source = path if path in wanted else same.get(id(tensor))
        if source is None:
            missing.append(path)
            continue
        value = wanted[source]
        if not isinstance(value, Tensor):
            raise DTypeError(f"functional_call: {source} must be a Tensor, got {describe(value)}")
        if value.shape != tensor.shape:
            raise ShapeError(f"functional_call: {source} has shape {value.shape}, the module's has {tensor.shape}")
        taken.append((part, name, value))
    if strict and missing:
        raise ArgumentError(f"functional_call: strict=True, but {', '.join(map(repr, missing))} is not given")
    return taken
