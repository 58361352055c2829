"""`clone`, the identity with an array of its own, and `overwrite`, what filling in place is."""

from . import loop_forms
from .declare import primitive

__all__ = ["clone"]


@primitive(lambda k, g, y, x: g, kernel=lambda x: x.copy(), loop_form=loop_forms.clone)
def clone(x, /):
    """A copy of the value in a Tensor of its own; gradients flow through.

    >>> import gradengine as ge
    >>> ge.ops.clone(ge.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """


# The old value has gradient 0, as in PyTorch, rather than none: an optimizer must not skip what it came from.
@primitive(
    lambda k, g, y, old, value: k.equal(old, old) * 0.0,
    lambda k, g, y, old, value: g,
    any_precision=True,
    loop_form=loop_forms.overwrite,
)
def overwrite(old, value, /):
    """`value` in the shape and dtype of `old`, whose own value is lost: what `fill_` and `copy_` turn a Tensor into."""
