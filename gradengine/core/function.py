"""`Function`: a user-defined op with a hand-written gradient, as PyTorch's autograd.Function.

In the graph a call is two nodes: one that gathers the inputs into a bundle and one that computes, so that `backward`
runs once however many inputs there are; each of several outputs is a third. A gradient rule like those of the
engine's own ops (`gradengine.primitive`) is shorter; a Function may compute anything in Python.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DTypeError, GradengineError, GraphError, ShapeError, SignatureError, describe
from ..shapes import broadcast
from ..shapes.dtypes import is_floating
from ..validation import known_class, known_words
from .dispatch import no_grad, set_grad_enabled
from .tensor_class import EMPTY, Op, Tensor, constant, mode, order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Bundle:
    """Several arrays (or Tensors, or None) that go through the graph as one value."""

    __slots__ = ("items",)
    shape: tuple[int, ...] = ()
    dtype = np.dtype(object)
    size = nbytes = -1  # smaller than any array, so no backend looks for a generated kernel

    def __init__(self, items: Iterable[Any]) -> None:
        self.items = tuple(items)

    def __add__(self, other: Bundle) -> Bundle:
        pairs = zip(self.items, other.items, strict=True)
        return Bundle(b if a is None else a if b is None else a + b for a, b in pairs)


@known_class
class Context:
    """What a Function's `forward` keeps for its `backward`: Tensors, and any attribute that is set on it."""

    def __init__(self, name: str, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self._name = name
        self._to_save: tuple[Any, ...] = ()
        self._saved: tuple[tuple[str, Any], ...] = ()  # where each saved Tensor comes from
        self._inputs: tuple[Tensor, ...] = ()  # while backward runs: the Tensors among the arguments
        self._outputs: tuple[Any, ...] = ()
        self._materialize = True
        self._constant: set[int] = set()
        self._tensor_arguments: tuple[bool, ...] = ()
        self._differentiable: tuple[bool, ...] = ()
        self._given = GivenRules()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep Tensors for `backward`, which finds them in `saved_tensors`. Raises DTypeError for anything else."""
        for i, t in enumerate(tensors):
            if t is not None and not isinstance(t, Tensor):
                raise DTypeError(
                    f"{self._name}: save_for_backward takes Tensors and None, argument {i} is {describe(t)}; set other "
                    "values as attributes of ctx"
                )
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The Tensors of `save_for_backward`, with the values that they had then; there while `backward` runs."""
        if self._to_save or (self._saved and not self._inputs):
            raise GraphError(f"{self._name}: ctx.saved_tensors can be read in backward only")
        found = {"input": self._inputs, "output": self._outputs}
        return tuple(found[source][value] if source in found else value for source, value in self._saved)

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """Say that these outputs have no gradient; `backward` gets zeros for them."""
        self._constant.update(id(t) for t in outputs)

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros (True, as from the start) or None for an output that has no gradient."""
        self._materialize = bool(value)

    def mark_dirty(self, *inputs: Tensor) -> None:
        """Not supported: raises GraphError. Return a new Tensor in place of a changed input."""
        raise GraphError(f"{self._name}: forward must not change its inputs in place; return a new Tensor instead")


class Function:
    """An op with a gradient of its own: subclass it, and call `Subclass.apply(*args)`.

    `forward(ctx, *args, **kwargs)` computes, unrecorded, and returns a Tensor or a tuple of Tensors.
    `backward(ctx, *gradients)` takes a gradient per output and returns one per positional argument of forward, None
    where there is none to have; written in Tensor ops it can itself be differentiated. Both are static methods. As
    in PyTorch, forward may leave out `ctx` when `setup_context(ctx, inputs, output)` is given.

    `apply` raises DTypeError when forward returns no Tensor. A backward pass raises GraphError for a wrong number
    of gradients, DTypeError for one that is no Tensor, ShapeError for one of the wrong shape.

    >>> import gradengine as ge
    >>> class Cube(ge.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x * x
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return g * 3 * x * x
    >>> x = ge.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)
    """

    call_op: Op  # made when the subclass is: the graph's names for its nodes
    output_op: Op

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args or kwargs:
            raise SignatureError(f"{type(self).__name__}: no Function is called; use its class's apply(...)")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name = cls.__name__
        cls.call_op = Op(name, kind="function", rules=(functools.partial(call_rule, cls),), names=("ctx",))
        cls.output_op = Op(name, kind="function", rules=(output_rule,), names=("index", "count"))

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the outputs; to be written by the subclass."""
        raise NotImplementedError("a Function needs a static method forward(ctx, *args)")

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep what backward needs, for a `forward` that is written without `ctx`."""
        raise NotImplementedError

    @staticmethod
    def backward(ctx: Context, *gradients: Any) -> Any:
        """Compute the gradients of the arguments; to be written by the subclass."""
        raise NotImplementedError("a Function needs a static method backward(ctx, *gradients)")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`, and record the call when an argument requires grad."""
        if cls is Function:
            raise ArgumentError("Function.apply: subclass Function and call the subclass's apply")
        name = cls.__name__
        for key, value in kwargs.items():
            if isinstance(value, Tensor) and value.op is not None and mode.recording:
                raise ArgumentError(
                    f"{name}.apply: {key!r} requires grad but is given by keyword; only positional arguments have "
                    "gradients"
                )
        ctx = Context(name, tuple(isinstance(x, Tensor) and x.op is not None for x in args))
        arrays = tuple(x.array for x in args if isinstance(x, Tensor))
        with no_grad():
            if cls.setup_context is Function.setup_context:
                result = cls.forward(ctx, *args, **kwargs)
            else:
                result = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, result)
        outputs = result if isinstance(result, tuple) else (result,)
        if not any(isinstance(y, Tensor) for y in outputs):
            raise DTypeError(f"{name}.forward: must return a Tensor or a tuple of Tensors, got {describe(result)}")
        inputs = tuple(x for x in args if isinstance(x, Tensor))
        if any(x.array is not array for x, array in zip(inputs, arrays, strict=True)):
            ctx.mark_dirty()
        recorded = mode.recording and any(ctx.needs_input_grad)
        made = record(cls, ctx, args, inputs, outputs) if recorded else [fresh(y) for y in outputs]
        return tuple(made) if isinstance(result, tuple) else made[0]


def fresh(y: Any) -> Any:
    """An output outside the graph, in a Tensor of its own."""
    return y.detach() if isinstance(y, Tensor) else y


def record(
    cls: type[Function], ctx: Context, args: tuple[Any, ...], inputs: tuple[Tensor, ...], outputs: tuple[Any, ...]
) -> list[Any]:
    """The outputs as Tensors of the graph."""
    differentiable = tuple(
        isinstance(y, Tensor) and is_floating(y.dtype) and id(y) not in ctx._constant for y in outputs
    )
    if not any(differentiable):
        return [fresh(y) for y in outputs]
    ctx._saved = tuple(source_of(t, inputs, outputs) for t in ctx._to_save)
    ctx._to_save, ctx._constant = (), set()
    ctx._tensor_arguments = tuple(isinstance(x, Tensor) for x in args)
    ctx._differentiable = differentiable
    backend = inputs[0].backend
    for op in (cls.call_op, cls.output_op):
        backend.rules.setdefault(op, op.rules)  # a walk over large arrays looks there
    saved = tuple(x.array for x in inputs)
    gather = Op(f"inputs of {cls.__name__}", kind="function", rules=ctx._given, names=("ctx",))  # type: ignore[arg-type]
    gathered = node(Bundle(saved), backend, gather, inputs, saved, EMPTY)
    if len(outputs) == 1:
        return [node(outputs[0].array, backend, cls.call_op, (gathered,), (gathered.array,), {"ctx": ctx})]
    arrays = Bundle(y.array if isinstance(y, Tensor) else y for y in outputs)
    call = node(arrays, backend, cls.call_op, (gathered,), (gathered.array,), {"ctx": ctx})
    return [output_of(cls, call, i) if differentiable[i] else fresh(y) for i, y in enumerate(outputs)]


def source_of(t: Any, inputs: tuple[Tensor, ...], outputs: tuple[Any, ...]) -> tuple[str, Any]:
    """Where a Tensor to be saved comes from: an input, an output, or itself."""
    if t is not None:
        for source, candidates in (("input", inputs), ("output", outputs)):
            for i, candidate in enumerate(candidates):
                if candidate is t:
                    return source, i
    return "value", t if t is None or t.op is not None else t.detach()


def node(
    array: Any, backend: Any, op: Op, inputs: tuple[Tensor, ...], saved: tuple[Any, ...], params: dict[str, Any]
) -> Tensor:
    """A recorded Tensor."""
    out = constant(array, backend)
    out.op, out.inputs, out.saved, out.params, out.order = op, inputs, saved, params, next(order)
    return out


def output_of(cls: type[Function], call: Tensor, index: int) -> Tensor:
    """Output `index` of a recorded call that has several."""
    params = {"index": index, "count": len(call.array.items)}
    return node(call.array.items[index], call.backend, cls.output_op, (call,), (call.array,), params)


def output_rule(k: Any, g: Any, y: Any, call: Any, index: int, count: int) -> Bundle:
    """One output's cotangent, in its place among the outputs."""
    return Bundle(g if i == index else None for i in range(count))


class GivenRules:
    """The rules of a call's gathered inputs: which inputs have a gradient is known when `backward` has run."""

    given: tuple[bool, ...] = ()

    def __getitem__(self, i: int) -> Callable[..., Any] | None:
        return (lambda k, g, y, *inputs: g.items[i]) if self.given[i] else None

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Any:
        return iter((self.__getitem__,))


def call_rule(cls: type[Function], k: Any, g: Any, y: Any, gathered: Any, ctx: Context) -> Bundle:
    """The cotangents of a call's inputs, from one run of `backward`: on Tensors outside any graph, or recorded."""
    raw = not isinstance(y, Tensor)
    arrays = y if raw else y.array
    items = arrays.items if isinstance(arrays, Bundle) else (arrays,)
    gradients = g.items if isinstance(g, Bundle) else (g,)
    if raw:
        ctx._inputs = tuple(constant(array, k) for array in gathered.items)
        ctx._outputs = tuple(constant(array, k) if hasattr(array, "dtype") else array for array in items)
        gradients = tuple(None if d is None else constant(d, k) for d in gradients)
    else:
        ctx._inputs = gathered.inputs
        ctx._outputs = recorded_outputs(cls, ctx, y)
    backend = k if raw else y.backend
    if ctx._materialize:
        gradients = tuple(
            constant(backend.new_ones(array.shape, array.dtype) * 0, backend)
            if d is None and hasattr(array, "dtype")
            else d
            for d, array in zip(gradients, items, strict=True)
        )
    try:
        with set_grad_enabled(not raw):
            result = cls.backward(ctx, *gradients)
        found = checked(cls.__name__, result, ctx)
    finally:
        ctx._inputs = ctx._outputs = ()
    ctx._given.given = tuple(d is not None for d in found)
    return Bundle(d.array if raw and d is not None else d for d in found)


def recorded_outputs(cls: type[Function], ctx: Context, y: Tensor) -> tuple[Any, ...]:
    """The outputs that were saved, as Tensors that depend on the call."""
    if not isinstance(y.array, Bundle):
        return (y,)
    saved = {value for source, value in ctx._saved if source == "output"}
    return tuple(
        None if i not in saved else output_of(cls, y, i) if ctx._differentiable[i] else constant(array, y.backend)
        for i, array in enumerate(y.array.items)
    )


def checked(name: str, result: Any, ctx: Context) -> list[Tensor | None]:
    """The gradients of the Tensors among the arguments, as `backward` returned them."""
    gradients = result if isinstance(result, (tuple, list)) else (result,)
    wanted = ctx._tensor_arguments
    if len(gradients) < len(wanted) or any(d is not None for d in gradients[len(wanted) :]):
        raise GraphError(
            f"{name}.backward: returned {len(gradients)} gradient{'s' if len(gradients) != 1 else ''}, but forward "
            f"took {len(wanted)} argument{'s' if len(wanted) != 1 else ''}; return one for each, None where there is "
            "none to have"
        )
    found: list[Tensor | None] = []
    inputs = iter(ctx._inputs)
    for i, is_tensor in enumerate(wanted):
        d = gradients[i]
        if not is_tensor:
            if d is not None:
                raise GraphError(f"{name}.backward: gradient {i} is for an argument that is no Tensor; return None")
            continue
        x = next(inputs)
        if d is not None:
            if not isinstance(d, Tensor):
                raise DTypeError(f"{name}.backward: gradient {i} must be a Tensor or None, got {describe(d)}")
            if d.shape != x.shape and not broadcasts_from(x.shape, d.shape):
                raise ShapeError(
                    f"{name}.backward: gradient {i} has shape {d.shape}, but argument {i} has shape {x.shape}; they "
                    "must be equal"
                )
        found.append(d)
    return found


def broadcasts_from(x: tuple[int, ...], d: tuple[int, ...]) -> bool:
    """Whether `d` is a shape that `x` broadcasts to, so that a gradient can be summed to `x`."""
    try:
        return broadcast("backward", x, d) == d
    except GradengineError:
        return False


# -- backward functions that are not to be differentiated ---------------------------------------------------------


class OnceRules:
    """The same rule for any number of arrays: this gradient has no gradient."""

    def __getitem__(self, i: int) -> Callable[..., Any]:
        return refuse

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Any:
        return iter((refuse,))


def refuse(k: Any, g: Any, y: Any, *sources: Any, name: str) -> Any:
    """Raise GraphError: the gradient of `once_differentiable` gradients was asked for."""
    raise GraphError(f"{name}: its backward is marked once_differentiable, so its gradient cannot be differentiated")


ONCE = Op("once_differentiable", kind="function", rules=OnceRules(), names=("name",))  # type: ignore[arg-type]


@known_words
def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a `backward` that is not written in Tensor ops: differentiating its result is then a GraphError.

    >>> import numpy as np
    >>> import gradengine as ge
    >>> class Sine(ge.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.cosine = np.cos(x.numpy(force=True))
    ...         return ge.tensor(np.sin(x.numpy(force=True)))
    ...     @staticmethod
    ...     @ge.autograd.once_differentiable
    ...     def backward(ctx, g):
    ...         return ge.tensor(g.numpy() * ctx.cosine)
    >>> x = ge.tensor(0.0, requires_grad=True)
    >>> Sine.apply(x).backward()
    >>> x.grad
    tensor(1.)
    """

    @functools.wraps(backward)
    def call(ctx: Context, *gradients: Any) -> Any:
        with no_grad():
            result = backward(ctx, *[g.detach() if isinstance(g, Tensor) else g for g in gradients])
        sources = tuple(t for t in (*gradients, *ctx._inputs) if isinstance(t, Tensor) and t.op is not None)
        if not mode.recording or not sources:
            return result
        found = result if isinstance(result, (tuple, list)) else (result,)
        return tuple(guarded(d, sources, ctx._name) if isinstance(d, Tensor) else d for d in found)

    return call


def guarded(d: Tensor, sources: tuple[Tensor, ...], name: str) -> Tensor:
    """The gradient `d`, whose own gradient raises."""
    d.backend.rules.setdefault(ONCE, ONCE.rules)
    return node(d.array, d.backend, ONCE, sources, tuple(t.array for t in sources), {"name": name})
