"""The backward walk: `backward` and `grad`.

The walk visits every recorded Tensor after all of its consumers, asks its op's rules for the cotangents of its
inputs and sums what arrives over several paths. It is iterative, so the length of a chain does not matter. Rules
run on raw arrays, or on Tensors when the gradients themselves are to have gradients.

May import tensor and errors; the ops only when rules run on Tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import ArgumentError, DTypeError, GraphError, ShapeError
from .tensor import LEAF, Tensor, constant, describe, mode, set_grad_enabled, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence


POSITIONS = tuple(tuple(range(n)) for n in range(8))  # iterating over a tuple beats making a range


def backward(
    root: Tensor,
    gradient: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Accumulate d(root)/d(leaf) into the `grad` of the leaves (or only of `inputs`)."""
    seed = start(root, gradient, "backward", create_graph)
    targets = None if inputs is None else list(as_sequence(inputs))
    for x in targets or ():
        if x.op is None:
            raise GraphError("backward: one of `inputs` does not require grad; set requires_grad on it")
    keep = create_graph if retain_graph is None else retain_graph
    found = walk([root], [seed], keep, create_graph, targets)
    for leaf, g in found.items():
        if targets is not None and not any(leaf is x for x in targets):
            continue
        add_to_grad(leaf, g, create_graph)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """d(sum of outputs)/d(inputs) as a tuple, one gradient per input; touches no `.grad`.

    `grad_outputs` are the cotangents to start from, one per output (a scalar output needs none). With
    `create_graph` the gradients are recorded, so they can be differentiated again. Raises GraphError for an input
    that does not require grad or that the outputs do not depend on (unless `allow_unused`, which gives None).

    >>> import gradengine as ge
    >>> x = ge.tensor(2.0, requires_grad=True)
    >>> (first,) = ge.grad(x ** 3, x, create_graph=True)
    >>> (second,) = ge.grad(first, x)
    >>> first.item(), second.item()
    (12.0, 12.0)
    """
    roots, targets = as_sequence(outputs), as_sequence(inputs)
    seeds = [None] * len(roots) if grad_outputs is None else as_sequence(grad_outputs)
    if len(seeds) != len(roots):
        raise ArgumentError(f"grad: {len(roots)} outputs but {len(seeds)} grad_outputs; give one for each")
    for i, x in enumerate(targets):
        if not isinstance(x, Tensor) or x.op is None:
            raise GraphError(f"grad: inputs[{i}] does not require grad; create it with requires_grad=True")
    started = [start(root, seed, "grad", create_graph) for root, seed in zip(roots, seeds, strict=True)]
    keep = create_graph if retain_graph is None else retain_graph
    found = walk(roots, started, keep, create_graph, targets)
    result: list[Tensor | None] = []
    for i, x in enumerate(targets):
        g = found.get(x)
        if g is None and not allow_unused:
            raise GraphError(
                f"grad: the outputs do not depend on inputs[{i}] (shape {x.shape}); "
                "pass allow_unused=True to get None for it"
            )
        result.append(g if g is None or isinstance(g, Tensor) else constant(g, x.backend))
    return tuple(result)


def as_sequence(value: Any) -> Sequence[Any]:
    """One Tensor or several, as a sequence."""
    return value if isinstance(value, (list, tuple)) else (value,)


def start(root: Any, gradient: Any, what: str, create_graph: bool) -> Any:
    """The cotangent that the walk starts from: raw, or a Tensor when rules run on Tensors."""
    if not isinstance(root, Tensor):
        raise DTypeError(f"{what}: needs a Tensor, got {describe(root)}")
    if root.op is None:
        raise GraphError(
            f"{what}: this Tensor (shape {root.shape}) has no graph: nothing it was computed from requires grad, "
            "or it was computed under no_grad; set requires_grad=True on the inputs"
        )
    if gradient is None:
        if root.size != 1:
            raise GraphError(
                f"{what}: only a scalar can start without a gradient, this Tensor has shape {root.shape}; "
                "reduce it first (.sum(), .mean()) or pass a gradient of its shape"
            )
        array = root.backend.new_ones(root.shape, root.dtype)
        return constant(array, root.backend) if create_graph else array
    given = gradient if isinstance(gradient, Tensor) else wrap(gradient, root)
    if given.shape != root.shape:
        raise ShapeError(f"{what}: the gradient has shape {given.shape}, the Tensor {root.shape}; they must be equal")
    if given.dtype != root.dtype:
        given = given.to(root.dtype)
    return given if create_graph else given.array


def plan(roots: Sequence[Tensor], needed: set[Tensor] | None) -> dict[Tensor, int]:
    """How many recorded consumers each Tensor below `roots` has; with `needed`, of those in it alone."""
    consumers: dict[Tensor, int] = dict.fromkeys(roots, 0)
    stack = [root for root in consumers if root.op is not LEAF]
    while stack:
        t = stack.pop()
        inputs = t.inputs
        if inputs is None:
            raise GraphError(
                f"backward: the graph behind {t.op.name} was released by an earlier backward; "  # type: ignore[union-attr]
                "pass retain_graph=True to the first call to walk it twice"
            )
        for x in inputs:
            if x.op is not None:
                if x in consumers:
                    consumers[x] += 1
                elif needed is None or x in needed:
                    consumers[x] = 1
                    if x.op is not LEAF:
                        stack.append(x)
    return consumers


def relink_graph(roots: Sequence[Tensor], leaves_too: bool) -> None:
    """Point every node below `roots` at the Tensors that it has read, where they were changed in place since.

    With `leaves_too`, a parameter that an optimizer has stepped since is a GraphError; rules that run on raw arrays
    need not care, for they read what was saved.
    """
    seen = set(roots)
    stack = list(roots)
    while stack:
        t = stack.pop()
        for x, array in zip(t.inputs or (), t.saved or (), strict=True):
            if x.array is not array and (leaves_too or x.op is not LEAF):
                relink(t, x, array)
        for x in t.inputs or ():
            if x.op is not None and x not in seen:
                seen.add(x)
                stack.append(x)


def relink(t: Tensor, x: Tensor, array: Any) -> None:
    """Replace `x`, an input of `t` that was changed in place since, by its old self."""
    past = x
    while past.array is not array:
        if past.op is None:
            past = constant(array, x.backend)
        elif past.op is LEAF or not past.inputs:
            raise GraphError(
                f"backward: an input of {t.op.name} (shape {x.shape}) was changed in place after "  # type: ignore[union-attr]
                f"{t.op.name} had used it; run backward before the change, or change a .clone()"  # type: ignore[union-attr]
            )
        else:
            past = past.inputs[0]  # an in-place op's first input is the Tensor's old self
    t.inputs = tuple([past if i is x and s is array else i for i, s in zip(t.inputs, t.saved, strict=True)])  # type: ignore[arg-type]


def between(roots: Sequence[Tensor], targets: Sequence[Tensor]) -> set[Tensor]:
    """The Tensors through which a cotangent can get from `roots` to `targets`."""
    needed, seen = set(targets), set[Tensor]()
    stack: list[tuple[Tensor, bool]] = [(root, False) for root in roots]
    while stack:
        t, done = stack.pop()
        inputs = t.inputs or ()
        if done:
            if any(x in needed for x in inputs):
                needed.add(t)
        elif t not in seen:
            seen.add(t)
            stack.append((t, True))
            for x in inputs:
                if x.op is not None and x not in seen:
                    stack.append((x, False))
    return needed


def walk(
    roots: Sequence[Tensor], seeds: list[Any], keep: bool, create_graph: bool, targets: Sequence[Tensor] | None
) -> dict[Tensor, Any]:
    """The cotangents of all leaves (and of `targets`) below `roots`: raw arrays, or Tensors when `create_graph`."""
    if create_graph or Tensor.changed_in_place:
        relink_graph(roots, leaves_too=create_graph)
    consumers = plan(roots, None if targets is None else between(roots, targets))
    backend = roots[0].backend
    cotangents: dict[Tensor, Any] = {}
    for root, seed in zip(roots, seeds, strict=True):
        cotangents[root] = cotangents[root] + seed if root in cotangents else seed
    wanted = {id(x) for x in targets} if targets is not None else None
    kept: dict[Tensor, Any] = {}
    ready = [root for root in cotangents if consumers[root] == 0 and root.op is not LEAF]
    if create_graph:
        from . import ops as k

        with set_grad_enabled(True), backend.quiet():
            walk_tensors(ready, cotangents, consumers, kept, wanted, k)
    else:
        before, mode.recording = mode.recording, False
        try:
            with backend.quiet():
                walk_arrays(ready, cotangents, consumers, kept, wanted, backend, keep)
        finally:
            mode.recording = before
    for leaf, g in cotangents.items():
        kept[leaf] = run_hooks(leaf, g) if leaf.hooks else g
    return kept


def walk_arrays(
    ready: list[Tensor],
    cotangents: dict[Tensor, Any],
    consumers: dict[Tensor, int],
    kept: dict[Tensor, Any],
    wanted: set[int] | None,
    backend: Any,
    keep: bool,
) -> None:
    """Run the rules on raw arrays, releasing each node behind the walk unless `keep`."""
    small, fused = backend.small, backend.rules
    while ready:
        t = ready.pop()
        g = cotangents.pop(t, None)
        if g is None:  # every path to it went through an input that has no gradient rule
            pass_over(t, consumers, ready)
            continue
        if t.hooks:
            g = run_hooks(t, g)
        if wanted is not None and id(t) in wanted:
            kept[t] = g
        inputs, saved, params, y = t.inputs, t.saved, t.params, t.array
        rules = t.op.rules if y.size < small else fused[t.op]  # type: ignore[union-attr, index]
        count = len(saved)  # type: ignore[arg-type]
        last = True
        for i in POSITIONS[count] if count < 8 else range(count):
            x = inputs[i]  # type: ignore[index]
            if x.op is None or (wanted is not None and x not in consumers):
                continue
            last = False
            rule = rules[i]
            if rule is not None:
                array = saved[i]  # type: ignore[index]
                if params:
                    d = rule(backend, g, y, *saved, **params)  # type: ignore[misc]
                elif count == 2:
                    d = rule(backend, g, y, saved[0], saved[1])  # type: ignore[index]
                else:
                    d = rule(backend, g, y, *saved)  # type: ignore[misc]
                if d.shape != array.shape:
                    d = backend.sum_to(d, shape=array.shape)
                if d.dtype is not array.dtype and d.dtype != array.dtype:
                    d = backend.cast(d, array.dtype)
                cotangents[x] = cotangents[x] + d if x in cotangents else d
            n = consumers[x] - 1
            consumers[x] = n
            if n == 0 and x.op is not LEAF:
                ready.append(x)
        if not keep and not last:  # a target whose own graph was not walked stays whole
            t.inputs = t.saved = None


def walk_tensors(
    ready: list[Tensor],
    cotangents: dict[Tensor, Any],
    consumers: dict[Tensor, int],
    kept: dict[Tensor, Any],
    wanted: set[int] | None,
    k: Any,
) -> None:
    """Run the rules on Tensors, so that the gradients are recorded like any other computation."""
    while ready:
        t = ready.pop()
        g = cotangents.pop(t, None)
        if g is None:  # every path to it went through an input that has no gradient rule
            pass_over(t, consumers, ready)
            continue
        if t.hooks:
            g = run_hooks(t, g)
        if wanted is not None and id(t) in wanted:
            kept[t] = g
        inputs, rules = t.inputs, t.op.rules  # type: ignore[union-attr]
        for i, x in enumerate(inputs):  # type: ignore[arg-type]
            if x.op is None or (wanted is not None and x not in consumers):
                continue
            rule = rules[i]
            if rule is not None:
                d = rule(k, g, t, *inputs, **t.params)  # type: ignore[misc]
                if d.shape != x.shape:
                    d = k.sum_to(d, shape=x.shape)
                if d.dtype != x.dtype:
                    d = d.to(x.dtype)
                cotangents[x] = cotangents[x] + d if x in cotangents else d
            consumers[x] -= 1
            if consumers[x] == 0 and x.op is not LEAF:
                ready.append(x)


def pass_over(t: Tensor, consumers: dict[Tensor, int], ready: list[Tensor]) -> None:
    """Count a node that no cotangent reaches as done, for the sake of what lies below it."""
    for x in t.inputs or ():
        if x in consumers and x.op is not None:
            consumers[x] -= 1
            if consumers[x] == 0 and x.op is not LEAF:
                ready.append(x)


def run_hooks(t: Tensor, g: Any) -> Any:
    """Pass a cotangent through a Tensor's hooks."""
    raw = not isinstance(g, Tensor)
    current = constant(g, t.backend) if raw else g
    for hook in list(t.hooks.values()):  # type: ignore[union-attr]
        changed = hook(current)
        if changed is not None:
            if not isinstance(changed, Tensor) or changed.shape != t.shape:
                raise ShapeError(f"hook: must return None or a Tensor of shape {t.shape}, got {describe(changed)}")
            current = changed
    return current.array if raw else current


def add_to_grad(leaf: Tensor, g: Any, create_graph: bool) -> None:
    """Accumulate a cotangent into `leaf.grad`."""
    if not isinstance(g, Tensor):
        g = constant(g, leaf.backend)
    if leaf.grad is None:
        leaf.grad = g
    elif create_graph:
        leaf.grad = leaf.grad + g
    else:
        leaf.grad = constant(leaf.grad.array + g.array, leaf.backend)
