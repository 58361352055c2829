"""Passes that make a graph smaller without changing a bit of what it computes.

A pass takes a graph and returns one; `simplify` runs all of them in turn and typechecks after each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .graph import Equation, Graph, Var, typecheck

if TYPE_CHECKING:
    from collections.abc import Callable

    Listener = Callable[[str, Graph], None]

COMPARED = 1 << 12  # the largest constant, in bytes, that is compared with others


def simplify(
    graph: Graph,
    listen: Listener | None = None,
    passes: dict[str, Callable[[Graph], Graph]] | None = None,
    types: Callable[[Equation], Var | None] | None = None,
) -> Graph:
    """The graph after all passes; `listen(name, graph)` is told of each, and `types` infers what equations make."""
    for name, run in (PASSES if passes is None else passes).items():
        graph = typecheck(run(graph), types or infer, name)
        if listen is not None:
            listen(name, graph)
    return graph


def infer(equation: Equation) -> Var | None:
    """What an equation makes, for the ops whose rule is that of broadcasting."""
    if equation.op.kind != "pointwise":
        return None
    shapes = [x.shape for x in equation.variables()]
    return Var(np.broadcast_shapes(*shapes), equation.out.dtype)


def rewrite(graph: Graph, change: Callable[[Equation], Any]) -> Graph:
    """The graph with each equation replaced by `change(equation)`: itself, another, or what its output equals."""
    found: dict[Var, Any] = {}
    equations = []

    def current(x: Any) -> Any:
        return found.get(x, x) if isinstance(x, Var) else x

    for e in graph.equations:
        inputs = tuple([current(x) for x in e.inputs])
        result = change(e if inputs == e.inputs else Equation(e.op, inputs, e.params, e.out))
        if isinstance(result, Equation):  # which may read what an earlier equation read, before that was rewritten
            inputs = tuple([current(x) for x in result.inputs])
            equations.append(result if inputs == result.inputs else Equation(result.op, inputs, result.params, e.out))
        else:
            found[e.out] = current(result)
    return Graph(graph.inputs, graph.constants, equations, [current(x) for x in graph.outputs])


# -- the passes ---------------------------------------------------------------------------------------------------


def drop_dead_code(graph: Graph) -> Graph:
    """Without the equations and constants that nothing reads."""
    needed = {x for x in graph.outputs if isinstance(x, Var)}
    kept = []
    for e in reversed(graph.equations):
        if e.out in needed or e.op.kind == "check":
            kept.append(e)
            needed.update(e.variables())
    constants = {var: value for var, value in graph.constants.items() if var in needed}
    return Graph(graph.inputs, constants, kept[::-1], graph.outputs)


def merge_constants(graph: Graph) -> Graph:
    """Equal small constants as one."""
    first: dict[Any, Var] = {}
    replaced: dict[Var, Var] = {}
    for var, value in graph.constants.items():
        if var.nbytes <= COMPARED:
            key = (var.shape, var.dtype, np.asarray(value).tobytes())
            replaced[var] = first.setdefault(key, var)
    known = {var: value for var, value in graph.constants.items() if replaced.get(var, var) is var}
    change = lambda x: replaced.get(x, x) if isinstance(x, Var) else x
    equations = [Equation(e.op, tuple([change(x) for x in e.inputs]), e.params, e.out) for e in graph.equations]
    return Graph(graph.inputs, known, equations, [change(x) for x in graph.outputs])


def merge_common(graph: Graph) -> Graph:
    """Equal equations as one. Draws are no exception: each has a state of its own among its inputs."""
    seen: dict[Any, Var] = {}

    def change(e: Equation) -> Any:
        try:
            inputs = tuple([x if isinstance(x, Var) else (type(x), repr(x)) for x in e.inputs])
            key = (e.op, inputs, frozen(e.params), e.out.shape, e.out.dtype, e.out.weak)
            return seen[key] if key in seen else (seen.setdefault(key, e.out), e)[1]
        except TypeError:  # metadata that cannot be compared
            return e

    return rewrite(graph, change)


def frozen(value: Any) -> Any:
    """Metadata as a key; 1, 1.0 and True are three things, and so are 0.0 and -0.0."""
    if isinstance(value, dict):
        return tuple([(name, frozen(item)) for name, item in sorted(value.items())])
    if isinstance(value, tuple):
        return tuple, tuple([frozen(item) for item in value])
    return type(value), repr(value) if type(value) is float else value


def apply_identities(graph: Graph) -> Graph:
    """Without ops that change nothing: x * 1, x / 1, -(-x), casts to the own dtype, moves to the own shape, copies."""
    definitions = graph.definitions()

    def scalar(x: Any) -> Any:
        """The number that an operand is at each of its elements, if it is a constant with one value."""
        if isinstance(x, Var):
            value = graph.constants.get(x)
            return value.item() if value is not None and value.size == 1 else None
        return x

    def change(e: Equation) -> Any:
        inputs, out = e.inputs, e.out
        same = lambda x: isinstance(x, Var) and not x.weak and (x.shape, x.dtype) == (out.shape, out.dtype)
        if e.name in ("multiply", "divide") and same(inputs[0]) and is_one(scalar(inputs[1])):
            return inputs[0]
        if e.name == "multiply" and same(inputs[1]) and is_one(scalar(inputs[0])):
            return inputs[1]
        if e.name in ("astype", "sum_to", "positive", "clone", "detach") and same(inputs[0]):
            return inputs[0]
        if (e.op.same_order or e.name == "broadcast_to") and same(inputs[0]):
            return inputs[0]
        if e.name == "overwrite" and same(inputs[1]):
            return inputs[1]
        before = definitions.get(inputs[0]) if inputs and isinstance(inputs[0], Var) else None
        if e.name == "negative" and before is not None and before.name == "negative":
            return before.inputs[0]
        if e.op.same_order and e.op.names == ("shape",) and before is not None and before.op.same_order:
            source = before.inputs[0]
            return source if same(source) else Equation(e.op, (source,), e.params, out)
        if e.name == "matrix_transpose" and before is not None and before.name == "matrix_transpose":
            return before.inputs[0]
        return e

    return rewrite(graph, change)


def is_one(x: Any) -> bool:
    """True for the number 1."""
    return x is not None and not isinstance(x, bool) and x == 1


PASSES: dict[str, Callable[[Graph], Graph]] = {
    "dead code": drop_dead_code,
    "merge constants": merge_constants,
    "identities": apply_identities,
    "common subexpressions": merge_common,
    "identities again": apply_identities,
    "dead code again": drop_dead_code,
}
