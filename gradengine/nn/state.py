"""Loading saved values into named Tensors: all of them or none, and every one that does not fit is named.

`Module.load_state_dict` is built on it. May import tensor, views and errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import CheckpointError, DTypeError, describe
from ..tensor import Tensor, to_array
from ..views import set_value

if TYPE_CHECKING:
    from collections.abc import Mapping


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict(strict=False)` left out: keys it had no value for, and keys it had no use for."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def load_values(owner: str, own: Mapping[str, Tensor], state_dict: Mapping[str, Any], strict: bool) -> IncompatibleKeys:
    """Set the Tensors `own`, named by their paths in a module of the class `owner`, to copies of the values given."""
    if not hasattr(state_dict, "keys"):
        raise DTypeError(f"load_state_dict: needs a mapping of path to value, got {describe(state_dict)}")
    keys = IncompatibleKeys([k for k in own if k not in state_dict], [k for k in state_dict if k not in own])
    given = {path: state_dict[path] for path in own if path in state_dict}
    problems = []
    if strict:
        problems += [f"missing: {path}, {shape_of(own[path])}" for path in keys.missing_keys]
        problems += [f"unexpected: {path}, {shape_of(state_dict[path])}" for path in keys.unexpected_keys]
    for path, value in given.items():
        if shape_of(value) != shape_of(own[path]):
            problems.append(f"wrong shape: {path}, {shape_of(value)} where the model has {shape_of(own[path])}")
    if problems:
        listed = "\n    ".join(problems)
        raise CheckpointError(
            f"load_state_dict: the values are not those of this {owner}:\n    {listed}\n"
            "Build the model with the sizes it was saved with"
            + (", or pass strict=False to load what fits by name" if strict else "")
        )
    arrays = [to_array(value, own[path].dtype, own[path].backend, copy=True) for path, value in given.items()]
    for path, array in zip(given, arrays, strict=True):
        set_value(own[path], array)
    return keys


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of a Tensor, an array or nested lists."""
    return tuple(value.shape) if hasattr(value, "shape") else np.shape(value)
