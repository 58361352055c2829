"""Case: a row of the case table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


@dataclass(frozen=True)
class Case:
    """One row: an op with one way to call it.

    `name` starts with the op's public name, a variant follows a slash ("sum/axis=-1"). `call(*tensors)` runs it;
    `sample(rng)` makes its float64 (or integer, bool) arrays; `reference(*arrays)` is the same in NumPy, and None
    where NumPy and SciPy have nothing of the kind. `torch(torch, *tensors)` is the same in PyTorch. `order` is how
    often it can be differentiated with respect to its floating-point inputs: 2, or 0 for none.
    """

    name: str
    call: Callable[..., Any]
    sample: Callable[[np.random.Generator], tuple[Any, ...]]
    reference: Callable[..., Any] | None = None
    torch: Callable[..., Any] | None = None
    order: int = 2
    rtol: float = 1e-6  # of float64 gradients against finite differences, relative to their largest element
    ulp32: float = 64.0  # of the float32 forward against the float64 reference, relative to the largest element

    @property
    def op(self) -> str:
        """The op's public name."""
        return self.name.partition("/")[0]
