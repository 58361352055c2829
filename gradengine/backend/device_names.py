"""`ge.device`: the name of a device, which is a str that also has a `type` and an `index`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import DeviceError, describe
from ..validation import known_class

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("cpu", "cuda")
default: list[Any] = []  # `devices` puts here how the default device is read and set


@known_class
class device(str):
    """The name of a device, "cpu", "cuda" or "cuda:1", with its `type` and `index`, as PyTorch's `device`.

    It is a str, so that `x.device == "cpu"` holds. As a context manager it is the default device inside. Raises
    DeviceError for a kind of device that there is not.

    >>> import gradengine as ge
    >>> d = ge.device("cuda", 1)
    >>> d, d.type, d.index
    ('cuda:1', 'cuda', 1)
    """

    __slots__ = ()

    def __new__(cls, type: Any = "cpu", index: int | None = None) -> device:
        if isinstance(type, int) and not isinstance(type, bool):
            type, index = "cuda", type
        kind, _, number = str(type).partition(":")
        if kind not in KINDS or (number and not number.isdecimal()):
            raise DeviceError(f"device: there is no {describe(type)}; use 'cpu', 'cuda' or 'cuda:<number>'")
        if index is not None and (not isinstance(index, int) or isinstance(index, bool) or index < 0):
            raise DeviceError(f"device: the index of a GPU is an int from 0 on, got {describe(index)}")
        if number and index is not None:
            raise DeviceError(f"device: {type!r} has an index already, got another, {index}")
        if index is not None:
            number = str(index)
        if kind == "cpu":
            number = ""
        return str.__new__(cls, f"{kind}:{number}" if number else kind)

    @property
    def type(self) -> str:
        """The kind of device: "cpu" or "cuda"."""
        return self.partition(":")[0]

    @property
    def index(self) -> int | None:  # type: ignore[override]
        """The number of the GPU, where the name has one."""
        number = self.partition(":")[2]
        return int(number) if number else None

    def __enter__(self) -> device:
        read, choose = default
        before.append(read())
        choose(self)
        return self

    def __exit__(self, *exception: object) -> None:
        default[1](before.pop())

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return device, (str(self),)


before: list[str] = []  # the default devices to go back to


def check_device(value: Any) -> None:
    """Raise DeviceError for what names no device; None does, and one that is not here may be named."""
    if value is not None:
        device(value)
