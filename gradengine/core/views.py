"""Views, and changes in place: which Tensors share elements, and what each of them is after one of them has changed.

Arrays are values, so Tensors that share elements are kept equal by hand. A Tensor knows what it is a view of:
`view_of` is `(base, op, params, index arrays)`, which holds the base alive. A base knows its views by `family`, a list
of weak references; Tensors that share all of their elements (`detach()`, `.data`) share that list. After a change of
any member the base gets its new value, by writing the view's value into it, and every live view is computed from the
base again. So reading costs nothing, and what is recorded is what the same program without views would have recorded.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from ..errors import DTypeError, GraphError, ShapeError
from ..shapes.dtypes import fits, is_floating
from ..validation import known_words
from .dispatch import enroll, switch
from .host_callbacks import current
from .interpreter import k
from .tensor_class import EMPTY, EXCLUSIVE, LEAF, RETAIN, Op, Tensor, constant, mode, order, to_array, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Link = tuple[Tensor, Op, dict[str, Any], tuple[Tensor, ...]]
# A change reads the old value and writes the new one: two threads that add to one Tensor must not do so in turns.
changing = threading.RLock()

READ: Any = None  # the op of x[index], which gradengine.ops.index declares

# The value of a recorded result was exchanged outside the graph: its gradient is that of what was computed.
EXCHANGED = Op("exchanged", rules=(lambda k, g, y, x: g,), shown="a change of .data")


def link_of(t: Tensor) -> Link | None:
    """What a Tensor is a view of, None for one that is not a view."""
    link = getattr(t, "view_of", None)
    if link is None or len(link) != 2:
        return link
    base, index = link  # of `x[index]`, written short
    return base, READ, {"index": index if type(index) is tuple else (index,)}, ()


def root_of(t: Tensor) -> Tensor:
    """The Tensor at the end of a chain of views."""
    while (link := link_of(t)) is not None:
        t = link[0]
    return t


def is_repeated(t: Tensor) -> bool:
    """Whether a view shows elements several times, as of a broadcast."""
    while (link := link_of(t)) is not None:
        base, op, *_ = link
        if t.size > base.size or not op.rules:
            return True
        t = base
    return False


def image(link: Link, recorded: bool = False) -> Tensor:
    """What a view shows of its base now, as a node of the graph if it is to be `recorded`."""
    base, op, params, at = link
    if op.kind == "composite":  # which is a function of Tensors
        body: Any = op.body
        recording = mode.recording
        switch(recorded)
        try:
            return wrap(body(k, base, *at, **params))
        finally:
            switch(recording)
    arrays = (base.array, *[a.array for a in at])
    node = constant(base.backend.table[op](*arrays, **params), base.backend)
    if recorded:
        node.op, node.inputs, node.saved, node.params = op, (base, *at), arrays, params
    return node


# -- families ---------------------------------------------------------------------------------------------------


def members(t: Tensor) -> Iterator[Tensor]:
    """The other live Tensors of the family of `t`: its views, and what shares all of its elements."""
    for member in tuple(t.family or ()):
        found = member()
        if found is not None and found is not t and (current.trace is None or current.trace.knows(found)):
            yield found


def is_shared(t: Tensor) -> bool:
    """Whether another live Tensor shares elements with `t`. A family that has died out is forgotten."""
    if link_of(t) is not None:
        return True
    family = t.family
    if family is None:
        return False
    if any([(found := member()) is not None and found is not t for member in tuple(family)]):
        return True
    t.family = None
    return False


def share(out: Tensor, source: Tensor) -> None:
    """Let `out`, which has the array of `source`, share its elements from now on, but nothing of its graph."""
    link = link_of(source)
    if link is not None:
        base, *rest = link
        out.view_of, out.family = (base.detach(), *rest), [ref(out)]
        enroll(out.view_of[0], out)
    else:
        enroll(source, out)
        out.family = source.family


def leave(t: Tensor) -> None:
    """Take `t` out of its family before it gets an array of its own; the others keep the old elements.

    A hidden Tensor takes its place as the base of its views.
    """
    if link_of(t) is None and t.family is None:
        return
    inherit(snapshot(t), t)
    t.family = t.view_of = None


def inherit(ghost: Tensor, t: Tensor) -> None:
    """Give `ghost` the place of `t` in its family."""
    family, link = t.family, link_of(t)
    for member in tuple(family or ()):
        view = member()
        if view is not None and (held := link_of(view)) is not None and held[0] is t:
            view.view_of = (ghost, *held[1:])
    ghost.family, ghost.view_of = family, link
    for whose in (family, link and link[0].family):
        if whose is not None:
            whose[:] = [ref(ghost) if member() is t else member for member in whose]


# -- changing a value -------------------------------------------------------------------------------------------


def snapshot(t: Tensor) -> Tensor:
    """What `t` is now, under another identity: the node of the graph that a change leaves behind."""
    old = Tensor.__new__(Tensor)
    old.array, old.backend, old.op = t.array, t.backend, t.op
    old._grad = old.hooks = old.family = old.view_of = None
    if t.op is not None:
        old.inputs, old.saved, old.params = t.inputs, t.saved, t.params
        if t.op is not LEAF:
            old.order = t.order
            if t.inputs is not None and (past := getattr(t, "past", None)) is not None:
                old.past = past
    return old


def become(self: Tensor, compute: Callable[[Tensor], Tensor], what: str) -> Tensor:
    """Turn this Tensor into `compute(its old self)`, keeping its identity: what an in-place operator does.

    The old node lives on under another object, so the graph before and after stays right. What shares elements with
    this Tensor follows. Where nothing is recorded, a recorded result changes its value alone: its gradient stays that
    of what was computed, as in PyTorch. Raises GraphError for a leaf that requires grad, or a view of one, while ops
    are recorded; ShapeError or DTypeError when the result would not fit into this Tensor. Then nothing is changed.
    """
    with changing:
        check_change(self, what)
        old = snapshot(self)
        new = fitting(compute(old), self, what)
        if is_shared(self):
            spread(self, new, old)
        elif not mode.recording and self.op is not None and self.op is not LEAF:
            exchange(self, new.array)
        else:
            adopt(self, new, old)
    return self


def check_change(t: Tensor, what: str) -> None:
    """Raise GraphError where a change of `t` would leave the graph wrong."""
    if mode.recording:
        if t.op is LEAF:
            raise GraphError(
                f"{what}: a leaf that requires grad cannot be changed in place while ops are recorded; "
                "wrap the change in `with ge.no_grad():` or write it out of place"
            )
        base = t
        while (link := link_of(base)) is not None:
            base = link[0]
            if base.op is LEAF:
                raise GraphError(
                    f"{what}: a view of a leaf that requires grad (shape {base.shape}) cannot be changed in place "
                    "while ops are recorded; wrap the change in `with ge.no_grad():` or change a .clone()"
                )


def fitting(new: Tensor, t: Tensor, what: str) -> Tensor:
    """A new value in the dtype of `t`."""
    if new.shape != t.shape:
        raise ShapeError(f"{what}: the result has shape {new.shape}, but a change in place must keep {t.shape}")
    if new.dtype != t.dtype:
        if not fits(new.dtype, t.dtype):
            raise DTypeError(f"{what}: the result is {new.dtype} and does not fit into {t.dtype}; use .to(...)")
        new = new.to(t.dtype)
    return new


def adopt(t: Tensor, node: Tensor, old: Tensor) -> None:
    """Give `t` the value of `node`, and its place in the graph if it has one."""
    if mode.recording and node.op is None and t.op is not None and t.op is not LEAF:
        node = k.overwrite(old, node)  # of an op without gradients, such as a comparison: none flows to the old value
    t.array = node.array
    if mode.recording and node.op is not None:
        become_node(t, node.op, node.inputs, node.saved, node.params, old)
        t.order = node.order


def become_node(t: Tensor, op: Op, inputs: Any, saved: Any, params: dict[str, Any], old: Tensor) -> None:
    """Make `t` the result of an op; what has read it before is led to `old` when a gradient asks for it."""
    Tensor.changed_in_place = True
    t.op, t.inputs, t.saved, t.params, t.order, t.past = op, inputs, saved, params, next(order), old
    if t.hooks is not None:  # they belong to the value that they were registered on; `grad` to the Tensor
        old.hooks = {key: hook for key, hook in t.hooks.items() if key != RETAIN}
        t.hooks = {key: hook for key, hook in t.hooks.items() if key == RETAIN}


def spread(t: Tensor, new: Tensor, old: Tensor) -> None:
    """Give `t` the value `new`, its bases the values that follow, and then all that are views of them."""
    if new.op is None and (t.op is None or t.op is LEAF):
        old.array = None  # unused, and a reference less lets write_through see sole ownership
        if write_through(t, new.array):
            return
    before = {id(t): old}
    while (link := link_of(t)) is not None:
        t = link[0]
        old = before[id(t)] = snapshot(t)
        new = written(old, new, link)
    if t.op is not None and t.op is not LEAF and not mode.recording:
        exchange(t, new.array)
    else:
        adopt(t, new, old)
    refresh(t, before)


def refresh(root: Tensor, before: dict[int, Tensor] = EMPTY) -> None:  # type: ignore[assignment]
    """Bring up to date all that shares elements with `root`, which has a new value.

    `before` has what some of them were, by id: an old self must be in the graph once.
    """
    for member in members(root):
        if link_of(member) is None:
            exchange(member, root.array)
    for member in members(root):
        derive(member, before)


def exchange(t: Tensor, array: Any) -> None:
    """Give `t` a value outside the graph. What the gradient rules of a recorded result read stays what was computed."""
    if t.op is None or t.op is LEAF:
        t.array = array
        return
    old = snapshot(t)
    t.array = array
    become_node(t, EXCHANGED, (old,), (old.array,), EMPTY, old)


def derive(view: Tensor, before: dict[int, Tensor] = EMPTY) -> None:  # type: ignore[assignment]
    """Compute a view from its base again, and all views of it."""
    link = link_of(view)
    if link is None:
        return
    base, op, params, at = link
    recorded = view.op is not LEAF and base.op is not None and (view.op is not None or mode.recording)
    node = image(link, recorded)
    if recorded and node.op is not None:
        old = before[id(view)] if id(view) in before else snapshot(view)
        view.array = node.array
        become_node(view, node.op, node.inputs, node.saved, node.params, old)
    else:
        if view.op is not None and view.op is not LEAF:
            cut(view)
        view.array = node.array
    for member in members(view):  # for a view, all others are views of it
        derive(member, before)


def written(base: Tensor, value: Tensor, link: Link) -> Tensor:
    """`base` with the elements of a view of it replaced by `value`."""
    _, op, params, at = link
    if op.name == "getitem":
        return k.put_at(base, value, *at, index=params["index"])
    if value.size > base.size or not op.rules:  # a composite view shows elements several times
        raise GraphError(
            f"{op.shown}: several elements of this view (shape {value.shape}) are one element of what it shows (shape "
            f"{base.shape}), so it cannot be changed in place; change a .clone()"
        )
    adjoint: Any = op.rules[0]
    found = adjoint(k, value, None, base, **params)
    if value.size == base.size:
        return found
    touched = adjoint(k, k.ones(value.shape, dtype=np.float32, device=value.device), None, base, **params)
    return k.where(touched != 0, found, base)


def set_value(t: Tensor, array: Any) -> None:
    """Give `t` another array of the same shape and dtype, recording nothing; what shares its elements follows."""
    with changing:
        if not is_shared(t):
            exchange(t, array)
            return
        recording = mode.recording
        switch(False)
        try:
            spread(t, constant(array, t.backend), snapshot(t))
        finally:
            switch(recording)


def cut(t: Tensor) -> None:
    """Take a recorded result out of the graph; what has read it before still leads to what it was."""
    old = snapshot(t)
    Tensor.changed_in_place = True
    t.op, t.order, t.past = None, next(order), old


def turn(t: Tensor, make: Callable[[Tensor], Tensor], what: str) -> Tensor:
    """Turn `t` into a view of its old self, of another shape maybe; it keeps sharing its elements."""
    with changing:
        check_change(t, what)
        old = snapshot(t)
        if is_shared(t):
            if current.trace is not None:
                current.trace.check_data(t, None)
            inherit(old, t)
        elif current.trace is not None:
            current.trace.check_shape(t, what)
        new = make(old)
        adopt(t, new, old)
        t.family, t.view_of = None, None
        if is_shared(old):
            t.view_of = new.view_of
            enroll(old, t)
    return t


def clear_grad(parameter: Tensor, set_to_none: bool) -> None:
    """Forget a gradient, or set it to zeros in place, out of any graph."""
    if set_to_none:
        parameter.grad = None
        return
    grad = parameter.grad
    if grad is not None:
        if grad.op is not None:
            cut(grad)
        with grad.backend.quiet():
            set_value(grad, grad.backend.arrays.full(grad.shape, 0, grad.dtype))


# -- in memory --------------------------------------------------------------------------------------------------


def write_through(t: Tensor, array: Any) -> bool:
    """Write to the memory of a whole family at once, if nothing outside holds it. Otherwise do nothing, return False.

    Else a loop that fills a Tensor row by row would copy all of it for every row.
    """
    root = root_of(t)
    owner = root.array
    if current.trace is not None or type(owner) is not np.ndarray or not root.backend.writable(owner):
        return False
    holders, elsewhere = 0, []
    for member in relatives(root):
        if member.op is not None and member.op is not LEAF:
            return False
        held = member.array
        if held is owner:
            holders += 1
        elif type(held) is np.ndarray and held.base is owner:
            holders += 1
            if sys.getrefcount(held) != EXCLUSIVE:
                return False
        else:
            elsewhere.append(member)  # an element, which NumPy copies
    held, link = t.array, link_of(t)
    if sys.getrefcount(owner) != EXCLUSIVE + holders + (held is owner):
        return False
    if is_part(held, owner):
        np.copyto(held, array)
    elif link is not None and link[1] is READ and not link[3] and is_part(link[0].array, owner):
        link[0].array[link[2]["index"]] = array
    else:
        return False
    for member in elsewhere:
        derive(member)
    return True


def is_part(array: Any, owner: Any) -> bool:
    """Whether an array can be written to, and is in the memory of `owner`."""
    return array is owner or (type(array) is np.ndarray and array.base is owner and array.flags.writeable)


def relatives(t: Tensor) -> Iterator[Tensor]:
    """All other live Tensors that share elements with `t`, those before that are views of them."""
    for member in members(t):
        yield member
        if link_of(member) is not None:
            yield from relatives(member)


# -- methods of Tensor ------------------------------------------------------------------------------------------


@known_words
def detach(self: Tensor) -> Tensor:
    """The same elements outside the graph: a change in place of either is seen in both.

    The graph keeps the arrays that it was computed with, so a gradient stays that of what was computed.

    >>> import gradengine as ge
    >>> x = ge.tensor([1.0, 2.0], requires_grad=True)
    >>> x.detach().mul_(10.0)
    tensor([10., 20.])
    >>> x
    tensor([10., 20.], requires_grad=True)
    """
    out = constant(self.array, self.backend)
    share(out, self)
    return out


def give_data(self: Tensor, value: Any) -> None:
    """`t.data = value`: another value, for this Tensor alone; of a Tensor, the elements are shared from now on."""
    array = to_array(value, None, self.backend, copy=not isinstance(value, Tensor))
    if self.op is LEAF and not is_floating(array.dtype):
        raise DTypeError(f"data: this Tensor requires grad, so its value must be floating-point, got {array.dtype}")
    if current.trace is not None:
        current.trace.check_data(self, value)
    if self.op is not None and self.op is not LEAF:
        raise GraphError(f"data: cannot replace the value of a recorded result of {self.op.shown}; use .detach()")
    leave(self)
    self.array = array
    if isinstance(value, Tensor) and value.array is array:
        share(self, value)


DATA = """The same elements outside the graph, as `detach()`; assigning a Tensor makes this one share its elements.

Raises GraphError on assignment to the result of an op, DTypeError for a value that this Tensor cannot have.
"""
for name, attribute in {
    "become": become,
    "detach": detach,
    "data": property(detach, give_data, doc=DATA),
}.items():
    setattr(Tensor, name, attribute)
