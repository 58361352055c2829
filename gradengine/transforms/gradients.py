"""Gradients of functions: `ge.grad(f)` and `ge.value_and_grad(f)`, as JAX and autograd have them.

A call takes the arguments at `argnums` apart into leaves, puts fresh variables in their place, runs the function and
walks back to them. The result is in an outer graph, and itself differentiable, exactly where the function depends on
Tensors that require grad elsewhere: a parameter that it finds, or an argument of an outer `grad`.
"""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

import numpy as np

from .. import ops
from ..core import autodiff, pytrees
from ..core.dispatch import mode, set_grad_enabled
from ..core.tensor_class import LEAF, Tensor
from ..errors import ArgumentError, DTypeError, ShapeError, describe
from ..shapes.dtypes import get_default_dtype, is_floating
from ..validation import known_words

__all__ = ["grad", "value_and_grad"]

Argnums = int | Sequence[int]


@overload
def grad(
    outputs: Callable[..., Any], inputs: Argnums = 0, grad_outputs: bool = False, *,
    argnums: Argnums | None = None, has_aux: bool = False,
) -> Callable[..., Any]: ...  # fmt: skip
@overload
def grad(
    outputs: Tensor | Sequence[Tensor], inputs: Tensor | Sequence[Tensor], grad_outputs: Any = None,
    retain_graph: bool | None = None, create_graph: bool = False, allow_unused: bool = False, *,
    only_inputs: Literal[True] = True, materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]: ...  # fmt: skip
@known_words
def grad(
    outputs: Any,
    inputs: Any = None,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
    *,
    argnums: Any = None,
    has_aux: bool = False,
    only_inputs: bool = True,
    materialize_grads: bool = False,
    is_grads_batched: bool = False,
) -> Any:
    """The gradients of Tensors, as in PyTorch; or of a function, `ge.grad(f)`, as in JAX and autograd.

    `grad(outputs, inputs)` is d(sum of outputs)/d(inputs) as a tuple, one gradient per input; it touches no `.grad`.
    `grad_outputs` are the cotangents to start from, one per output (a scalar output needs none). With `create_graph`
    the gradients are recorded, so they can be differentiated again. Raises GraphError for an input that does not
    require grad or that the outputs do not depend on (unless `allow_unused`, which gives None, or
    `materialize_grads`, which gives zeros). `only_inputs` must be true: `backward` adds to the `.grad` of leaves.

    `grad(f, argnums=0, has_aux=False)` is a function that takes the arguments of `f`, which returns a scalar, and
    returns the gradient by the argument at `argnums` (by several, for a tuple), in containers like the argument's. With
    `has_aux` f returns a pair (scalar, anything), and the result is (gradient, anything).

    >>> import gradengine as ge
    >>> x = ge.tensor(2.0, requires_grad=True)
    >>> (first,) = ge.grad(x ** 3, x, create_graph=True)
    >>> (second,) = ge.grad(first, x)
    >>> first.item(), second.item()
    (12.0, 12.0)
    >>> ge.grad(lambda p: (p["w"] * 3 + p["b"]).sum())({"w": ge.tensor([1.0, 2.0]), "b": 0.5})
    {'w': tensor([3., 3.]), 'b': tensor(2.)}
    >>> ge.grad(ge.grad(lambda x: x ** 3))(2.0)
    tensor(12.)
    """
    if callable(outputs) and not isinstance(outputs, Tensor):
        if retain_graph is not None or create_graph or allow_unused:
            raise ArgumentError(
                "grad: of a function, takes argnums and has_aux; its gradients can be differentiated again without "
                "create_graph, and an argument that it does not use has gradient 0"
            )
        if isinstance(inputs, Tensor) or (isinstance(inputs, (list, tuple)) and any_tensor(inputs)):
            raise ArgumentError("grad: the first argument is a function; call it: grad(f)(x), or give its result")
        chosen = argnums if argnums is not None else 0 if inputs is None else inputs
        aux = has_aux or bool(grad_outputs)
        return differentiated("grad", outputs, chosen, aux, with_value=False)
    if argnums is not None or has_aux:
        raise ArgumentError(f"grad: argnums and has_aux are for functions, got {describe(outputs)}")
    if inputs is None:
        raise ArgumentError("grad: of Tensors, needs inputs: grad(outputs, inputs)")
    if not only_inputs:
        raise ArgumentError("grad: only_inputs=False is not supported; use backward, which adds to every leaf's .grad")
    if is_grads_batched:
        raise ArgumentError("grad: is_grads_batched is not supported; call grad for each of the grad_outputs")
    unused = bool(allow_unused) or materialize_grads
    found = autodiff.grad(outputs, inputs, grad_outputs, retain_graph, create_graph, unused)
    if not materialize_grads:
        return found
    return tuple(
        [ops.zeros_like(x) if g is None else g for g, x in zip(found, autodiff.as_sequence(inputs), strict=True)]
    )


def any_tensor(values: Any) -> bool:
    """Whether one of several values is a Tensor."""
    return any([isinstance(value, Tensor) for value in values])


@known_words
def value_and_grad(function: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns what `function` returns, and its gradient: `loss, gradient = value_and_grad(f)(x)`.

    `function` returns a scalar; the gradient is by the argument at `argnums`, or by several for a tuple, in containers
    like the argument's: tuples, lists, dicts, named tuples and dataclasses of Tensors, arrays and floats. With
    `has_aux` it returns a pair (scalar, anything), and the result is ((scalar, anything), gradient).

    Raises ShapeError for a result that is not a scalar, DTypeError for integers to differentiate by, ArgumentError for
    `argnums` that the call does not have.

    >>> import gradengine as ge
    >>> loss, (dw, db) = ge.value_and_grad(lambda w, b, x: ((x * w + b) ** 2).sum(), argnums=(0, 1))(3.0, 1.0, 2.0)
    >>> loss.item(), dw.item(), db.item()
    (49.0, 28.0, 14.0)
    """
    return differentiated("value_and_grad", function, argnums, has_aux, with_value=True)


def differentiated(name: str, function: Any, argnums: Any, has_aux: bool, with_value: bool) -> Callable[..., Any]:
    """The function that `grad` and `value_and_grad` return."""
    if not callable(function):
        raise DTypeError(f"{name}: needs a function, got {describe(function)}")
    several = isinstance(argnums, (list, tuple))
    try:
        places = tuple([operator.index(place) for place in (argnums if several else (argnums,))])
    except TypeError:
        raise DTypeError(f"{name}: argnums must be an int or a tuple of ints, got {describe(argnums)}") from None
    if any([isinstance(place, bool) for place in (argnums if several else (argnums,))]) or not places:
        raise ArgumentError(f"{name}: argnums must be an int or a tuple of ints, got {describe(argnums)}")

    def call(*args: Any, **kwargs: Any) -> Any:
        value, aux, found = run(name, function, places, has_aux, args, kwargs)
        gradient = tuple(found) if several else found[0]
        if with_value:
            return ((value, aux) if has_aux else value), gradient
        return (gradient, aux) if has_aux else gradient

    with contextlib.suppress(AttributeError, TypeError):
        functools.update_wrapper(call, function, updated=())
    return call


def run(
    name: str, function: Any, places: tuple[int, ...], has_aux: bool, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Any, list[Any]]:
    """The value, what came with it, and the gradients by the arguments at `places`."""
    recording = mode.recording
    at = [positive_place(name, place, len(args)) for place in places]
    if len(set(at)) < len(at):
        raise ArgumentError(f"{name}: argnums {places} name an argument twice")
    given, variables, structures, inside = list(args), [], [], False
    for place in at:
        leaves: list[Any] = []
        structure = pytrees.flatten(args[place], leaves)
        inside = inside or (recording and any([isinstance(leaf, Tensor) and leaf.op is not None for leaf in leaves]))
        with set_grad_enabled(True):
            fresh = [variable(name, leaf, place, recording) for leaf in leaves]
        given[place] = pytrees.unflatten(structure, iter(fresh))
        structures.append((structure, fresh))
        variables += [x for x in fresh if x is not None]
    mode.differentiating += 1
    try:
        with set_grad_enabled(True):
            result = function(*given, **kwargs)
    finally:
        mode.differentiating -= 1
    output, aux = split_result(name, result, has_aux)
    parts: list[Any] = []
    nested = pytrees.flatten(aux, parts)
    roots = [t for t in (output, *parts) if isinstance(t, Tensor) and t.op is not None]
    connected = recording and (inside or depends_on_others(roots, variables))
    gradients = gradients_of(output, variables, connected)
    if not connected:
        output = output.detach()
        parts = [part.detach() if isinstance(part, Tensor) and part.op is not None else part for part in parts]
    found = [
        pytrees.unflatten(structure, iter([None if x is None else gradients[id(x)] for x in fresh]))
        for structure, fresh in structures
    ]
    return output, pytrees.unflatten(nested, iter(parts)), found


def positive_place(name: str, place: int, count: int) -> int:
    """A position among the arguments, counted from the front."""
    if not -count <= place < count:
        raise ArgumentError(
            f"{name}: argnums has {place}, but the call has {count} positional arguments; those to differentiate "
            "by are given by position"
        )
    return place % count


def variable(name: str, leaf: Any, place: int, recording: bool) -> Tensor | None:
    """What stands for a leaf of an argument while the function runs: a Tensor of its own, in the outer graph if any."""
    if leaf is None:
        return None
    if not isinstance(leaf, (Tensor, float, int, np.generic)) and not hasattr(leaf, "__array__"):
        raise DTypeError(
            f"{name}: argument {place} holds {describe(leaf)}; takes Tensors, arrays and floats in tuples, lists, "
            "dicts, named tuples and dataclasses"
        )
    fresh = leaf if isinstance(leaf, Tensor) else ops.tensor(leaf)
    if getattr(fresh.array, "weak", False) and is_floating(
        fresh.dtype
    ):  # a number among the arguments of a jitted step
        fresh = ops.astype(fresh, get_default_dtype())
    if not is_floating(fresh.dtype):
        raise DTypeError(
            f"{name}: argument {place} holds {fresh.dtype} {describe(leaf)}, which has no gradient; give floats, or "
            "name another argument in argnums"
        )
    if recording and fresh.op is not None:
        return ops.clone(fresh)
    return fresh.detach().become_leaf()


def split_result(name: str, result: Any, has_aux: bool) -> tuple[Tensor, Any]:
    """The scalar that a function has returned, and what came with it."""
    aux = None
    if has_aux:
        if not isinstance(result, tuple) or len(result) != 2:
            raise ArgumentError(
                f"{name}: with has_aux the function must return a pair (scalar, anything), got {describe(result)}"
            )
        result, aux = result
    if not isinstance(result, Tensor):
        advice = "use has_aux=True for a pair" if isinstance(result, tuple) else "leave out .item(), float() and NumPy"
        raise DTypeError(f"{name}: the function must return a scalar Tensor, got {describe(result)}; {advice}")
    if result.size != 1:
        raise ShapeError(
            f"{name}: the function must return a scalar, got shape {result.shape}; reduce it with .sum() or .mean()"
        )
    if not is_floating(result.dtype):
        raise DTypeError(f"{name}: the function must return a float, got {result.dtype}")
    return result, aux


def depends_on_others(roots: list[Tensor], variables: list[Tensor]) -> bool:
    """Whether Tensors depend on a leaf other than the variables."""
    seen = {id(x) for x in variables}
    stack = [t for t in roots if id(t) not in seen]
    while stack:
        t = stack.pop()
        if t.op is LEAF:
            return True
        for x in t.inputs or ():
            if x.op is not None and id(x) not in seen:
                seen.add(id(x))
                stack.append(x)
    return False


def gradients_of(output: Tensor, variables: list[Tensor], connected: bool) -> dict[int, Tensor]:
    """The gradient by each variable, by its identity; zeros by those that the output does not depend on."""
    found: Sequence[Tensor | None] = [None] * len(variables)
    if output.op is not None and variables:
        found = autodiff.grad(output, variables, create_graph=connected, allow_unused=True)
    return {id(x): ops.zeros_like(x) if g is None else g for x, g in zip(variables, found, strict=True)}
