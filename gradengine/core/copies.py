"""Copies of Tensors: `copy.copy`, which shares elements, and `copy.deepcopy`, which keeps shared what is shared."""

from __future__ import annotations

from typing import Any

from ..errors import GraphError
from .dispatch import enroll
from .tensor_class import Tensor, constant
from .views import image, link_of, root_of, share


def copied(self: Tensor) -> Tensor:
    """`copy.copy(t)`: another leaf with the same elements; of a recorded result, a clone."""
    if not self.is_leaf:
        return self.clone()
    out = self._like(self.array)
    share(out, self)
    return out


def copied_alone(self: Tensor, memo: dict[int, Any]) -> Tensor:
    """`copy.deepcopy` of a Tensor that shares its elements with no other copy, as that of a parameter in PyTorch.

    Raises GraphError for the result of an op.
    """
    if not self.is_leaf:
        raise GraphError(f"deepcopy: only leaves can be copied, this is the result of {self.op.shown}; detach it")  # type: ignore[union-attr]
    out = self._like(self.backend.duplicate(self.array))
    return remembered(self, out, memo)


def copied_with_views(self: Tensor, memo: dict[int, Any]) -> Tensor:
    """`copy.deepcopy(t)`: another leaf. Copies of Tensors that share elements share theirs, as in PyTorch.

    Raises GraphError for the result of an op.
    """
    root = root_of(self)
    if root.family is None or not self.is_leaf:
        return copied_alone(self, memo)
    key = id(root.family)  # which lives as long as this Tensor, and so as long as what is copied
    base = memo.get(key)
    if base is None:
        base = memo[key] = constant(root.backend.duplicate(root.array), root.backend)
    view = same_view(self, base)
    out = self._like(view.array)
    share(out, view)
    return remembered(self, out, memo)


def same_view(t: Tensor, base: Tensor) -> Tensor:
    """What `t` shows of the Tensor that it is a view of, of `base`."""
    link = link_of(t)
    if link is None:
        return base
    above, op, params, at = link
    parent = same_view(above, base)
    out = image((parent, op, params, at))
    out.view_of = (parent, op, params, at)
    enroll(parent, out)
    return out


def remembered(t: Tensor, out: Tensor, memo: dict[int, Any]) -> Tensor:
    """A copy, with a copy of the gradient, as `deepcopy` finds it again."""
    out.grad = None if t.grad is None else t.grad.detach().clone()
    memo[id(t)] = out
    return out
