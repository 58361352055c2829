"""The loop IR: the few ops that loops are compiled from, a builder of equations in them, and their types.

Besides these, equations in the loop IR have pointwise ops, and ops whose own kernel is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import devices
from ..core.tensor_class import Op
from .graph import Equation, Var
from .graph_passes import infer
from .tracers import attach_operators

if TYPE_CHECKING:
    from collections.abc import Callable


def reduce_whole(k: Any, x: Any, how: str, axes: tuple[int, ...]) -> Any:
    """A reduction by the backend's own kernel, where no loop can be made of it."""
    wanted = summed_in(x.dtype)
    return getattr(k, how)(x if x.dtype == wanted else k.cast(x, wanted), axis=axes, keepdims=True)


# The ops of the loop IR. A reduction leaves its axes with size 1.
REDUCE = Op("reduce", kind="loop", names=("how", "axes"), body=reduce_whole)
DOT = Op("dot", kind="loop", names=("ta", "tb"))
COPY = Op("copy", kind="loop", names=("start", "steps"))  # element i of the output is the input's at start + i . steps
BROADCAST = Op("broadcast", kind="loop", names=("start", "steps"))  # a copy that repeats elements
AT_COLUMN = Op("at_column", kind="loop")  # whether an element's column is the one that its row names
DRAW = Op("draw", kind="loop", names=("p",))  # 0 with probability p, else 1 / (1 - p)
CHECK = Op("check", kind="check", names=("message",))  # raises where the input is not 0
RESHAPE = Op("view", kind="loop", names=("shape",), same_order=True)


class Node:
    """A variable in the making: what the bodies below compute with."""

    __slots__ = ("k", "var")

    def __init__(self, k: Builder, var: Var) -> None:
        self.k, self.var = k, var

    shape = property(lambda self: self.var.shape)
    dtype = property(lambda self: self.var.dtype)
    ndim = property(lambda self: len(self.var.shape))
    __hash__ = object.__hash__

    if TYPE_CHECKING:
        # What attach_operators gives it.
        def __add__(self, other: Any) -> Node: ...
        def __sub__(self, other: Any) -> Node: ...
        def __mul__(self, other: Any) -> Node: ...
        def __truediv__(self, other: Any) -> Node: ...
        def __rtruediv__(self, other: Any) -> Node: ...


attach_operators(Node)


class Builder:
    """Adds equations to a graph; every pointwise op is a method."""

    def __init__(self, constants: dict[Var, Any], reals: frozenset[str]) -> None:
        self.equations: list[Equation] = []
        self.constants, self.reals = constants, reals
        self.known: dict[tuple[Any, ...], Node] = {}

    def __getattr__(self, name: str) -> Callable[..., Node]:
        op = devices.ALL_OPS.get(name)
        if op is None or op.kind != "pointwise":
            raise AttributeError(name)
        return lambda *inputs, **params: self.pointwise(op, inputs, {**op.defaults, **params})

    def add(self, a: Any, b: Any) -> Node:
        """The sum (a name that a list of equations has too)."""
        return self.pointwise(devices.ALL_OPS["add"], (a, b), {})

    def pointwise(self, op: Any, inputs: tuple[Any, ...], params: dict[str, Any]) -> Node:
        """A pointwise op."""
        nodes = [x for x in inputs if isinstance(x, Node)]
        shape = np.broadcast_shapes(*[x.shape for x in nodes])
        return self.emit(op, inputs, params, shape, result_dtype(op, nodes))

    def emit(self, op: Any, inputs: Any, params: dict[str, Any], shape: Any, dtype: Any) -> Node:
        """An equation."""
        given = tuple([x.var if isinstance(x, Node) else x for x in inputs])
        out = Var(shape, dtype)
        self.equations.append(Equation(op, given, params, out))
        return Node(self, out)

    def reduce(self, how: str, x: Node, axes: tuple[int, ...]) -> Node:
        """The sum, maximum or minimum over axes, which stay with size 1."""
        if all(x.shape[i] == 1 for i in axes):
            return x
        shape = tuple([1 if i in axes else n for i, n in enumerate(x.shape)])
        return self.emit(REDUCE, (x,), {"how": how, "axes": axes}, shape, summed_in(x.dtype))

    def total(self, x: Node, axes: tuple[int, ...]) -> Node:
        """The sum over axes."""
        return self.reduce("sum", x, axes)

    def view(self, x: Node, shape: tuple[int, ...]) -> Node:
        """The same elements in another shape."""
        return x if x.shape == shape else self.emit(RESHAPE, (x,), {"shape": shape}, shape, x.dtype)

    def cast(self, x: Node, dtype: Any) -> Node:
        """0 or 1 for a truth value."""
        return x if x.dtype == dtype else self.where(x, *self.numbers(dtype))

    def numbers(self, dtype: Any) -> tuple[Node, Node]:
        """1 and 0 in a dtype."""
        return self.constant(1, dtype), self.constant(0, dtype)

    def constant(self, value: float, dtype: Any) -> Node:
        """A constant."""
        key = (repr(value), np.dtype(dtype))
        if key not in self.known:
            var = Var((), dtype)
            self.constants[var] = np.asarray(value, dtype)
            self.known[key] = Node(self, var)
        return self.known[key]

    def dot(self, a: Node, b: Node, ta: bool = False, tb: bool = False) -> Node:
        """The product of two matrices, or of two stacks of them, each of which may be stored transposed."""
        m, n = a.shape[-1 if ta else -2], b.shape[-2 if tb else -1]
        return self.emit(DOT, (a, b), {"ta": ta, "tb": tb}, (*a.shape[:-2], m, n), a.dtype)

    def copy(self, x: Node, shape: Any, start: int, steps: tuple[int, ...], dtype: Any = None) -> Node:
        """An array whose elements are those of another, found by steps from the start."""
        return self.emit(COPY, (x,), {"start": start, "steps": steps}, shape, dtype or x.dtype)

    def broadcast(self, x: Node, shape: tuple[int, ...], steps: tuple[int, ...]) -> Node:
        """A copy that repeats elements."""
        return self.emit(BROADCAST, (x,), {"start": 0, "steps": steps}, shape, x.dtype)

    def draw(self, state: Node, shape: tuple[int, ...], p: float, dtype: Any) -> Node:
        """Random numbers: 0 with probability p, else 1 / (1 - p)."""
        return self.emit(DRAW, (state,), {"p": p}, shape, dtype)

    def check(self, bad: Node, message: str) -> Node:
        """Raise an error with that message when the number is not 0."""
        return self.emit(CHECK, (bad,), {"message": message}, (), bad.dtype)

    def unknown(self, shape: tuple[int, ...], dtype: Any) -> Node:
        """What stands for an array of which the shape and dtype alone are asked."""
        return Node(self, Var(shape, dtype))

    def label_is(self, labels: Node, value: int) -> Node:
        """A mask: where a label has that value."""
        return self.emit(LABEL_IS, (labels,), {"value": value}, labels.shape, np.bool_)

    def label_outside(self, labels: Node, classes: int) -> Node:
        """A mask: where a label is none of the classes."""
        return self.emit(LABEL_OUTSIDE, (labels,), {"classes": classes}, labels.shape, np.bool_)

    def at_column(self, labels: Node, shape: tuple[int, ...]) -> Node:
        """A mask of that shape: where the column is the row's label."""
        return self.emit(AT_COLUMN, (labels,), {}, shape, np.bool_)


def summed_in(dtype: Any) -> Any:
    """The dtype of sums: half precision is summed, and its sums are divided, in float32, and rounded in the end."""
    return dtype if dtype.itemsize > 2 else np.dtype(np.float32)


def result_dtype(op: Any, nodes: list[Node]) -> Any:
    """The dtype of a pointwise op's result: the floats', unless the op compares."""
    if op.boolean:
        return np.dtype(np.bool_)
    floats = [x.dtype for x in nodes if x.dtype.name in x.k.reals and not x.var.weak]
    return np.result_type(*(floats or [x.dtype for x in nodes]))


LABEL_IS = Op("label_is", kind="loop", names=("value",))
LABEL_OUTSIDE = Op("label_outside", kind="loop", names=("classes",))


def infer_loop(equation: Equation) -> Var | None:
    """The type of the result of an equation in the loop IR."""
    op, params, out = equation.op, equation.params, equation.out
    if op is REDUCE:
        (x,) = equation.variables()
        return Var(tuple([1 if i in params["axes"] else n for i, n in enumerate(x.shape)]), summed_in(x.dtype))
    if op is DOT:
        a, b = equation.variables()
        m, k = a.shape[-2:][:: -1 if params["ta"] else 1]
        k2, n = b.shape[-2:][:: -1 if params["tb"] else 1]
        return Var((*a.shape[:-2], m, n), a.dtype) if k == k2 else Var((-1,), a.dtype)
    if op is RESHAPE:
        (x,) = equation.variables()
        return Var(params["shape"], x.dtype) if x.size == out.size else Var((-1,), x.dtype)
    return infer(equation)
