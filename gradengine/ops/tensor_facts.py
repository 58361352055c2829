"""Methods of Tensor that tell what it is: its dtype, its size, where it is. None of them is an op.

`x.size` is NumPy's attribute and PyTorch's method at once: an int that can be called.
"""

from __future__ import annotations

from typing import Any

from ..backend.device_names import check_device
from ..core.tensor_class import Tensor, wrap
from ..shapes import axis_of
from ..shapes.dtypes import is_floating
from ..shapes.size import Size

__all__ = [
    "is_floating_point", "is_complex", "is_signed", "nelement", "numel", "dim", "ndimension", "element_size",
    "get_device", "pin_memory", "is_pinned", "is_shared", "share_memory_", "is_inference", "is_same_size", "is_nonzero",
]  # fmt: skip


def is_floating_point(self: Tensor) -> bool:
    """Whether the elements are floating-point numbers.

    >>> import gradengine as ge
    >>> ge.ones(2).is_floating_point(), ge.arange(2).is_floating_point()
    (True, False)
    """
    return is_floating(self.dtype)


def is_complex(self: Tensor) -> bool:
    """False: there are no complex numbers here.

    >>> import gradengine as ge
    >>> ge.ones(2).is_complex()
    False
    """
    return False


def is_signed(self: Tensor) -> bool:
    """Whether the dtype has negative numbers.

    >>> import gradengine as ge
    >>> ge.ones(2, dtype=ge.uint8).is_signed()
    False
    """
    return self.dtype.kind in "ifV"


def nelement(self: Tensor) -> int:
    """The number of elements.

    >>> import gradengine as ge
    >>> ge.ones(2, 3).nelement()
    6
    """
    return int(self.size)


def numel(self: Tensor) -> int:
    """The number of elements.

    >>> import gradengine as ge
    >>> ge.ones(2, 3).numel()
    6
    """
    return int(self.size)


def dim(self: Tensor) -> int:
    """The number of axes.

    >>> import gradengine as ge
    >>> ge.ones(2, 3).dim()
    2
    """
    return self.ndim


def ndimension(self: Tensor) -> int:
    """The number of axes.

    >>> import gradengine as ge
    >>> ge.ones(2, 3).ndimension()
    2
    """
    return self.ndim


def element_size(self: Tensor) -> int:
    """The number of bytes of an element.

    >>> import gradengine as ge
    >>> ge.ones(2).element_size()
    4
    """
    return int(self.dtype.itemsize)


def get_device(self: Tensor) -> int:
    """The number of the GPU where this Tensor is; -1 on the CPU.

    >>> import gradengine as ge
    >>> ge.ones(2, device="cpu").get_device()
    -1
    """
    return -1 if self.device == "cpu" else int(self.device.partition(":")[2] or 0)


def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """This Tensor: no memory is pinned.

    >>> import gradengine as ge
    >>> ge.ones(1).pin_memory()
    tensor([1.])
    """
    check_device(device)
    return self


def is_pinned(self: Tensor, device: Any = None) -> bool:
    """False: no memory is pinned.

    >>> import gradengine as ge
    >>> ge.ones(1).is_pinned()
    False
    """
    check_device(device)
    return False


def share_memory_(self: Tensor) -> Tensor:
    """This Tensor: threads share all Tensors."""
    return self


def is_shared(self: Tensor) -> bool:
    """Whether other processes share the memory: False.

    >>> import gradengine as ge
    >>> ge.ones(1).is_shared()
    False
    """
    return False


def is_inference(self: Tensor) -> bool:
    """False: inference mode is `no_grad` here.

    >>> import gradengine as ge
    >>> ge.ones(1).is_inference()
    False
    """
    return False


def is_same_size(self: Tensor, other: Tensor) -> bool:
    """Whether another Tensor has the same shape.

    >>> import gradengine as ge
    >>> ge.ones(2).is_same_size(ge.zeros(2))
    True
    """
    return self.shape == wrap(other, self, "is_same_size").shape


def is_nonzero(self: Tensor) -> bool:
    """Whether the one element is not 0. Raises ShapeError for more or fewer.

    >>> import gradengine as ge
    >>> ge.tensor([0.5]).is_nonzero()
    True
    """
    return bool(self)


class ElementCount(int):
    """The number of elements, an int as NumPy's `x.size`, which can be called as PyTorch's `x.size()`."""

    shape: tuple[int, ...]

    def __call__(self, dim: int | None = None) -> Any:
        """The shape, or the size along one axis."""
        if dim is None:
            return Size(self.shape)
        return self.shape[axis_of("size", dim, len(self.shape))]

    def __reduce__(self) -> Any:
        return int, (int(self),)


def element_count(self: Tensor) -> ElementCount:
    """The number of elements, as NumPy's; called, the shape, or the size along one axis, as PyTorch's."""
    shape = self.shape
    count = 1
    for n in shape:
        count *= n
    found = ElementCount(count)
    found.shape = shape
    return found
