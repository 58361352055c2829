"""The backward walk: `backward` and `grad`.

The walk visits recorded Tensors in the reverse order of their making, so each after all of its consumers. It asks
the op's rules for the cotangents of its inputs and sums what arrives over several paths. It is iterative, so the
length of a chain does not matter. Rules run on raw arrays, or on Tensors when the gradients themselves are to have
gradients.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, DeviceError, DTypeError, GraphError, ShapeError, describe
from ..validation import known_words
from .dispatch import set_grad_enabled, uncast
from .interpreter import k
from .tensor_class import LEAF, RETAIN, Tensor, accumulating, constant, wrap
from .views import set_value

if TYPE_CHECKING:
    from collections.abc import Sequence


@known_words
def backward(
    self: Tensor,
    gradient: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add d(self)/d(leaf) to the `grad` of every leaf that this Tensor was computed from.

    `gradient` is the cotangent to start from, of this Tensor's shape; a scalar needs none. `retain_graph`
    keeps what the walk would release, so that it can run again (default: `create_graph`). `create_graph`
    records the gradients' own computation. Raises GraphError for a Tensor without graph, a freed graph, or a
    non-scalar without `gradient`.

    >>> import gradengine as ge
    >>> x = ge.tensor(3.0, requires_grad=True)
    >>> (x ** 2).backward()
    >>> x.grad
    tensor(6.)
    """
    seed = start(self, gradient, "backward", create_graph)
    targets = None if inputs is None else list(as_sequence(inputs))
    for x in targets or ():
        if not isinstance(x, Tensor) or x.op is None:
            raise GraphError("backward: one of `inputs` is no Tensor that requires grad; set requires_grad on it")
    keep = create_graph if retain_graph is None else retain_graph
    found = walk([self], [seed], keep, create_graph, targets)
    with accumulating:
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
    if not roots:
        raise ArgumentError("grad: got no outputs; give the Tensors to differentiate")
    seeds = [None] * len(roots) if grad_outputs is None else as_sequence(grad_outputs)
    if len(seeds) != len(roots):
        raise ArgumentError(f"grad: {len(roots)} outputs but {len(seeds)} grad_outputs; give one for each")
    for i, x in enumerate(targets):
        if not isinstance(x, Tensor) or x.op is None:
            raise GraphError(f"grad: inputs[{i}] does not require grad; create it with requires_grad=True")
    if allow_unused:  # an output that is a constant depends on nothing, which is what is allowed
        pairs = [
            (r, seed) for r, seed in zip(roots, seeds, strict=True) if not isinstance(r, Tensor) or r.op is not None
        ]
        roots, seeds = [r for r, _ in pairs], [seed for _, seed in pairs]
        if not roots:
            return (None,) * len(targets)
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
    """One Tensor, or an iterable of several, as a sequence."""
    if isinstance(value, Tensor) or not hasattr(value, "__iter__"):
        return (value,)
    return value if isinstance(value, (list, tuple)) else tuple(value)


def start(root: Any, gradient: Any, what: str, create_graph: bool) -> Any:
    """The cotangent that the walk starts from: raw, or a Tensor when rules run on Tensors."""
    if not isinstance(root, Tensor):
        raise DTypeError(f"{what}: needs a Tensor, got {describe(root)}")
    if root.op is None:
        raise GraphError(
            f"{what}: this Tensor (shape {root.shape}) has no graph: nothing it was computed from requires grad, "
            "or it was computed under no_grad, or by a step that ge.jit has compiled (run backward inside it), or it "
            "is a gradient that no longer depends on anything (ge.grad gives None for it with allow_unused=True); set "
            "requires_grad=True on the inputs"
        )
    if gradient is None:
        if root.array.size != 1:
            raise GraphError(
                f"{what}: only a scalar can start without a gradient, this Tensor has shape {root.shape}; "
                "reduce it first (.sum(), .mean()) or pass a gradient of its shape"
            )
        array = root.backend.new_ones(root.shape, root.dtype)
        return constant(array, root.backend) if create_graph else array
    given = gradient if isinstance(gradient, Tensor) else wrap(gradient, root)
    if given.device != root.device:
        raise DeviceError(
            f"{what}: the gradient is on {given.device!r}, the Tensor (shape {root.shape}) on {root.device!r}; move "
            f"the gradient with .to({root.device!r})"
        )
    if given.shape != root.shape:
        raise ShapeError(f"{what}: the gradient has shape {given.shape}, the Tensor {root.shape}; they must be equal")
    if given.dtype != root.dtype:
        given = given.to(root.dtype)
    return given if create_graph else given.array


def relink_graph(roots: Sequence[Tensor], leaves_too: bool) -> list[Tensor]:
    """Point every node below `roots` at the Tensors that it has read, where they were changed in place since.

    Returns the nodes that have become what they are by a change in place.

    With `leaves_too`, a parameter that an optimizer has stepped since is a GraphError; rules that run on raw arrays
    need not care, for they read what was saved, nor does the rule of a view, which reads no value.
    """
    seen = set(roots)
    stack = list(roots)
    changed = []
    while stack:
        t = stack.pop()
        if hasattr(t, "past"):
            changed.append(t)
        for x, array in zip(t.inputs or (), t.saved or (), strict=True):
            if x.op is LEAF and x.order < t.order:  # it has become a leaf since
                replace(t, x, array, constant(array, x.backend))
            elif x.op is None and hasattr(x, "past") and x.order < t.order:  # it has left the graph since
                relink(t, x, array, x.past)
            elif x.array is not array and (x.op is not LEAF or (leaves_too and not t.op.view)):  # type: ignore[union-attr]
                relink(t, x, array, x)
        for x in t.inputs or ():
            if x.op is not None and x not in seen:
                seen.add(x)
                stack.append(x)
    return changed


def relink(t: Tensor, x: Tensor, array: Any, past: Tensor) -> None:
    """Replace `x`, an input of `t` that was changed in place since, by its old self: `past` or what that was before."""
    was_constant = False
    while past is not None and past.array is not array:
        was_constant |= past.op is None
        past = getattr(past, "past", None)  # type: ignore[assignment]
    if past is None and was_constant:
        past = constant(array, x.backend)
    if past is None:
        raise GraphError(
            f"backward: an input of {t.op.shown} (shape {x.shape}) was changed in place after "
            f"{t.op.shown} had used it; run backward before the change, or change a .clone()"
        )
    replace(t, x, array, past)


def replace(t: Tensor, x: Tensor, array: Any, past: Tensor) -> None:
    """Let `t` have `past` as the input that was `x` when it held `array`."""
    pairs = zip(t.inputs, t.saved, strict=True)  # type: ignore[arg-type]
    t.inputs = tuple([past if i is x and s is array else i for i, s in pairs])


def between(roots: Sequence[Tensor], targets: Sequence[Tensor]) -> set[Tensor]:
    """The Tensors through which a cotangent can get from `roots` to `targets`."""
    needed, seen = set(targets), set[Tensor]()
    stack: list[tuple[Tensor, bool]] = [(root, False) for root in roots]
    while stack:
        t, done = stack.pop()
        if t.inputs is None and t.op is not LEAF and t not in needed:
            raise released(t)
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
    changed = relink_graph(roots, leaves_too=create_graph) if create_graph or Tensor.changed_in_place else ()
    needed = None if targets is None else between(roots, targets)
    backend = roots[0].backend
    cotangents: dict[Tensor, Any] = {}
    ready: list[tuple[int, Tensor]] = []
    for root, seed in zip(roots, seeds, strict=True):
        if root in cotangents:
            cotangents[root] = cotangents[root] + seed
        else:
            cotangents[root] = seed
            if root.op is not LEAF:
                heappush(ready, (root.order, root))
    kept: dict[Tensor, Any] = {}
    wanted = {id(x) for x in targets or ()}
    if create_graph:
        with backend.quiet(), set_grad_enabled(True), uncast():
            walk_tensors(ready, cotangents, kept, wanted, needed)
    while ready:
        if ready[0][1].device != backend.device:  # the graph comes from another device
            backend = ready[0][1].backend
        try:
            with backend.quiet():
                walk_arrays(ready, cotangents, kept, wanted, needed, backend, keep)
        except AttributeError as error:
            if "'nbytes'" not in str(error):
                raise
            raise DTypeError(
                "backward: a gradient rule returned something that is no array; return one, such as g * 0"
            ) from None
        except Exception as error:
            typed = backend.typed("backward", error)
            if typed is None:
                raise
            raise typed from error
    for leaf, g in cotangents.items():
        if g.shape != leaf.shape:
            g = (backend if leaf.device == backend.device else leaf.backend).reshape(g, shape=leaf.shape)
        kept[leaf] = run_hooks(leaf, g) if leaf.hooks else g
    for t in changed:
        if t.inputs is None:
            del t.past  # whose graph has been released as well
    return kept


def walk_arrays(
    ready: list[tuple[int, Tensor]],
    cotangents: dict[Tensor, Any],
    kept: dict[Tensor, Any],
    wanted: set[int],
    needed: set[Tensor] | None,
    backend: Any,
    keep: bool,
) -> None:
    """Run the rules on raw arrays, releasing each node behind the walk unless `keep`; stop at another device's node.

    The case of two arrays and no metadata is written out: small graphs spend their time in this loop, and a loop
    over two operands costs as much as what it does. There `nbytes` stands for shape and dtype: a cotangent as large
    as its operand has at most leading axes of size 1 too many, which go where a shape matters.
    """
    small, fused = (0, backend.rules_in_halves) if backend.low else (backend.small, backend.rules)
    plus = backend.plus
    while ready:
        t = ready[0][1]
        if t.backend is not backend and t.backend.device != backend.device:
            return
        heappop(ready)
        g = cotangents.pop(t)
        op, inputs, saved, y = t.op, t.inputs, t.saved, t.array
        if inputs is None:
            raise released(t)
        rules = op.rules if y.size < small else fused.get(op, op.rules)  # type: ignore[union-attr]
        if op.pair and needed is None and not t.hooks:  # type: ignore[union-attr]
            a, b = saved  # type: ignore[misc]
            x, z = inputs
            if x.op is not None:
                d = rules[0](backend, g, y, a, b)  # type: ignore[misc]
                if not d.nbytes == a.nbytes > 0:
                    d = fit(d, a, t)
                if x in cotangents:
                    cotangents[x] = plus(cotangents[x], d)
                else:
                    cotangents[x] = d
                    if x.op is not LEAF:
                        heappush(ready, (x.order, x))
            if z.op is not None:
                d = rules[1](backend, g, y, a, b)  # type: ignore[misc]
                if not d.nbytes == b.nbytes > 0:
                    d = fit(d, b, t)
                if z in cotangents:
                    cotangents[z] = plus(cotangents[z], d)
                else:
                    cotangents[z] = d
                    if z.op is not LEAF:
                        heappush(ready, (z.order, z))
        else:
            if g.shape != y.shape:
                g = backend.reshape(g, shape=y.shape)
            if t.hooks:
                g = run_hooks(t, g)
            if id(t) in wanted:
                kept[t] = g
            params, walked = t.params, False
            for i, x in enumerate(inputs):
                if x.op is None or (needed is not None and x not in needed):
                    continue
                walked = True
                rule = rules[i]
                if rule is None:
                    continue
                d = fit(rule(backend, g, y, *saved, **params), saved[i], t)  # type: ignore[misc, index]
                if x in cotangents:
                    here = x.backend is backend or x.backend.device == backend.device
                    cotangents[x] = (plus if here else x.backend.plus)(cotangents[x], d)
                else:
                    cotangents[x] = d
                    if x.op is not LEAF:
                        heappush(ready, (x.order, x))
            if not walked:
                continue  # a target whose own graph is not asked for stays whole
        if not keep:
            t.inputs = t.saved = None


def walk_tensors(
    ready: list[tuple[int, Tensor]],
    cotangents: dict[Tensor, Any],
    kept: dict[Tensor, Any],
    wanted: set[int],
    needed: set[Tensor] | None,
) -> None:
    """Run the rules on Tensors, so that the gradients are recorded like any other computation."""
    while ready:
        t = heappop(ready)[1]
        g = cotangents.pop(t)
        if t.inputs is None:
            raise released(t)
        if t.hooks:
            g = run_hooks(t, g)
        if id(t) in wanted:
            kept[t] = g
        for i, x in enumerate(t.inputs):
            rule = t.op.rules[i]  # type: ignore[union-attr]
            if x.op is None or rule is None or (needed is not None and x not in needed):
                continue
            d = rule(k, g, t, *t.inputs, **t.params)
            if not hasattr(d, "shape"):  # a Python number
                d = wrap(d, x)
            if d.shape != x.shape:
                check_fits(d.shape, x.shape, t)
                d = k.sum_to(d, shape=x.shape)
            if d.dtype != x.dtype:
                d = d.to(x.dtype)
            if x in cotangents:
                cotangents[x] = cotangents[x] + d
            else:
                cotangents[x] = d
                if x.op is not LEAF:
                    heappush(ready, (x.order, x))


def released(t: Tensor) -> GraphError:
    """The error for a second walk over a graph that the first one has used up."""
    return GraphError(
        f"backward: the graph behind {t.op.shown} was released by an earlier backward; "  # type: ignore[union-attr]
        "pass retain_graph=True to the first call to walk it twice"
    )


def fit(d: Any, array: Any, t: Tensor) -> Any:
    """What a rule of `t` returned, summed to the shape of its operand and cast to its dtype."""
    backend = t.backend
    if not hasattr(d, "shape"):
        d = backend.asarray(d, array.dtype)
    if d.shape != array.shape:
        check_fits(d.shape, array.shape, t)
        d = backend.sum_to(d, shape=array.shape)
    return d if d.dtype == array.dtype else backend.cast(d, array.dtype)


def check_fits(found: tuple[int, ...], wanted: tuple[int, ...], t: Tensor) -> None:
    """Raise ShapeError unless `found` is what `wanted` broadcasts to."""
    stretched = found[len(found) - len(wanted) :]
    if len(found) < len(wanted) or any(n not in (1, m) for n, m in zip(wanted, stretched, strict=True)):
        raise ShapeError(
            f"{t.op.shown}: a gradient rule returned shape {found} for an operand of shape {wanted}; "  # type: ignore[union-attr]
            "it must return that shape, or the shape that the operand was broadcast to"
        )


def run_hooks(t: Tensor, g: Any) -> Any:
    """Pass a cotangent through a Tensor's hooks."""
    raw = not isinstance(g, Tensor)
    current = constant(g, t.backend) if raw else g
    hooks = dict(t.hooks)  # type: ignore[arg-type]
    for hook in [
        *(hook for key, hook in hooks.items() if key != RETAIN),
        *([hooks[RETAIN]] if RETAIN in hooks else []),
    ]:
        with set_grad_enabled(not raw):
            changed = hook(current)
        if changed is not None:
            if not isinstance(changed, Tensor) or changed.shape != t.shape:
                raise ShapeError(f"hook: must return None or a Tensor of shape {t.shape}, got {describe(changed)}")
            current = changed if changed.dtype == t.dtype else changed.to(t.dtype)
    return current.array if raw else current


def add_to_grad(leaf: Tensor, g: Any, create_graph: bool) -> None:
    """Accumulate a cotangent into `leaf.grad`: in place, unless the gradient is recorded, as in PyTorch."""
    if not isinstance(g, Tensor):
        g = constant(g, leaf.backend)
    elif leaf.grad is None:
        g = g.clone()  # others may have the same
    if leaf.grad is None:
        leaf.grad = g
    elif not isinstance(leaf.grad, Tensor) or leaf.grad.shape != leaf.shape:
        raise ShapeError(
            f"backward: a leaf of shape {leaf.shape} has {describe(leaf.grad)} as its grad; "
            "set grad to None or to a Tensor of the leaf's shape"
        )
    elif leaf.grad.backend is not leaf.backend and leaf.grad.device != leaf.device:
        raise DeviceError(
            f"backward: a leaf of shape {leaf.shape} is on {leaf.device!r}, its grad on {leaf.grad.device!r}; set "
            f"grad to None or move it with .to({leaf.device!r})"
        )
    elif create_graph:
        leaf.grad = leaf.grad + g
    else:
        set_value(leaf.grad, fitted(leaf.backend.plus(leaf.grad.array, g.array), leaf.grad))


def fitted(array: Any, t: Tensor) -> Any:
    """An array in the dtype of `t`, whose place it is to take."""
    return array if array.dtype == t.dtype else t.backend.cast(array, t.dtype)


Tensor.backward = backward  # type: ignore[method-assign]
