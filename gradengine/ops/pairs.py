"""Values with their indices, as PyTorch's `max(dim=)` and `sort(dim=)` give them, and what happens to those who expect
them of `max(x, 1)`.

By position the second argument is the array API's `axis`, and the result is the values alone. `v, i = x.max(1)` and
`x.max(1)[1]` are then no errors by themselves, but not what PyTorch means: `ValuesAlone` says so.
"""

from __future__ import annotations

import functools
import opcode
import sys
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.tensor_class import Tensor
from ..errors import SignatureError, SpellingWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ValuesIndices"]

UNPACK = opcode.opmap["UNPACK_SEQUENCE"]


class ValuesIndices(NamedTuple):
    """Values along an axis, and at which index each was found. It is also a plain tuple of the two."""

    values: Tensor
    indices: Tensor


class ValuesAlone(Tensor):
    """The values that `max(x, 1)` and the like give. Who takes `[0]`, `[1]` or two parts may mean PyTorch's pair."""

    __slots__ = ()
    call = ""  # how it was asked for; a class for each

    def __getitem__(self, index: Any) -> Tensor:
        if type(index) is int and index in (0, 1, -1):
            self.warn(f"{self.call}[{index}]")
        return Tensor.__getitem__(self, index)

    def __iter__(self) -> Iterator[Tensor]:
        caller = sys._getframe(1)
        code, at = caller.f_code.co_code, caller.f_lasti
        if code[at] == UNPACK and code[at + 1] == 2 and self.shape:
            if self.shape[0] != 2:
                raise SignatureError(f"v, i = {self.call}: {self.advice()}")
            self.warn(f"v, i = {self.call}")
        return (Tensor.__getitem__(self, i) for i in range(len(self)))

    def _like(self, array: Any) -> Tensor:
        out = super()._like(array)
        out.__class__ = Tensor
        return out

    def advice(self) -> str:
        """How to write what is meant."""
        head, _, rest = self.call.partition("(")
        axis = rest.rstrip(")") or "-1"
        return (
            f"{self.call} gives the values alone, as in NumPy; write {head}(dim={axis}) for PyTorch's (values, "
            f"indices), or {head}(axis={axis}) for the values"
        )

    def warn(self, what: str) -> None:
        """Say it once, at the caller's line."""
        advice = self.advice()
        self.__class__ = Tensor  # type: ignore[assignment]
        warnings.warn(f"{what}: {advice}", SpellingWarning, stacklevel=3)


@functools.lru_cache(maxsize=256)
def asked_by(call: str) -> type[ValuesAlone]:
    """The class of what `call` gives."""
    return type("Tensor", (ValuesAlone,), {"__slots__": (), "call": call, "__reduce__": as_tensor})


def as_tensor(self: Tensor) -> Any:
    """Pickled, it is a Tensor like any other."""
    self.__class__ = Tensor
    return self.__reduce__()


def values_alone(result: Tensor, name: str, given: dict[str, Any]) -> Tensor:
    """The result of a call whose axis came by position, or by no word at all."""
    if type(result) is Tensor and result.shape and given.get("axis", -1) is not None:
        axis = given.get("axis")
        result.__class__ = asked_by(f"x.{name}({'' if axis is None else axis})")
    return result


values_alone.unless = "axis"  # type: ignore[attr-defined]


def last_two_axes(result: Tensor, name: str, given: dict[str, Any]) -> Tensor:
    """The diagonal of an array of more than two axes, where nothing says of which: a SpellingWarning."""
    if len(result.shape) > 1 and "axis1" not in given:
        warnings.warn(
            f"{name}: of more than two axes this takes the last two, as the array API, where NumPy and PyTorch take "
            "the first two; write axis1=-2, axis2=-1 for this, or dim1=0, dim2=1",
            SpellingWarning,
            stacklevel=3,
        )
    return result


last_two_axes.unless = "axis1"  # type: ignore[attr-defined]
