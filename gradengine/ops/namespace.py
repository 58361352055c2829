"""What the array API standard asks of the array object beyond operators: its namespace and `to_device`."""

from __future__ import annotations

import sys
from typing import Any

from ..core.tensor_class import Tensor
from ..errors import ArgumentError
from ..validation import known_words


def array_namespace(self: Tensor, /, *, api_version: str | None = None) -> Any:
    """The module whose functions take this Tensor, by the array API standard: `gradengine` itself."""
    from ..array_namespace import check_version

    check_version(api_version)
    return sys.modules["gradengine"]


@known_words
def to_device(self: Tensor, device: Any, /, *, stream: Any = None) -> Tensor:
    """This Tensor on another device, as the array API calls `to(device=...)`; itself when it is there.

    Raises DeviceError for an unknown device, ArgumentError for a stream: what is queued is kept in order.

    >>> import gradengine as ge
    >>> ge.ones(2).to_device("cpu").device
    'cpu'
    """
    if stream is not None:
        raise ArgumentError("to_device: takes no stream; what is queued on the current stream is kept in order")
    return self.to(device=device)


def attach() -> None:
    """Give Tensor these methods."""
    Tensor.__array_namespace__ = array_namespace  # type: ignore[attr-defined]
    Tensor.to_device = to_device  # type: ignore[attr-defined]
