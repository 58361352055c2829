"""What PyTorch's `torch.accelerator` asks: whether there is a GPU, how many, which.

>>> import gradengine as ge
>>> device = ge.accelerator.current_accelerator() if ge.accelerator.is_available() else ge.device("cpu")
"""

from __future__ import annotations

from typing import Any

from . import cuda
from .backend.device_names import device
from .backend.devices import set_default_device
from .validation import known_calls

__all__ = [
    "current_accelerator", "current_device_index", "device_count", "is_available", "set_device_index", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """Whether there is a GPU that can be used.

    >>> import gradengine as ge
    >>> ge.accelerator.is_available() == ge.cuda.is_available()
    True
    """
    return cuda.is_available()


def device_count() -> int:
    """How many GPUs there are.

    >>> import gradengine as ge
    >>> ge.accelerator.device_count() == ge.cuda.device_count()
    True
    """
    return cuda.device_count()


def current_accelerator(check_available: bool = False) -> device | None:
    """The kind of accelerator, "cuda", or None where there is none and `check_available` asks.

    >>> import gradengine as ge
    >>> ge.accelerator.current_accelerator()
    'cuda'
    """
    return None if check_available and not is_available() else device("cuda")


def current_device_index() -> int:
    """The number of the GPU that "cuda" stands for.

    >>> import gradengine as ge
    >>> number = ge.accelerator.current_device_index() if ge.accelerator.is_available() else None
    """
    return cuda.current_device()


def set_device_index(index: Any) -> None:
    """Make the GPU of that number the default device.

    >>> import gradengine as ge
    >>> if ge.accelerator.is_available():
    ...     ge.accelerator.set_device_index(0)
    ...     ge.set_default_device("cpu")
    """
    set_default_device(device("cuda", int(index)))


def synchronize(device: Any = None) -> None:
    """Wait for what a GPU is computing.

    >>> import gradengine as ge
    >>> ge.accelerator.synchronize()
    """
    if is_available():
        cuda.synchronize(device)


known_calls(__name__)
