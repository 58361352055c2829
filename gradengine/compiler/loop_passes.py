"""Passes over a graph in the loop IR, and all that a graph goes through on the way to kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import devices
from ..shapes.layout import strides_of
from .graph import Equation, Graph, Var
from .graph_passes import apply_identities, drop_dead_code, merge_common, merge_constants, rewrite
from .loop_ir import BROADCAST, CHECK, COPY, DOT, LABEL_IS, LABEL_OUTSIDE, REDUCE, RESHAPE
from .lower import lower

if TYPE_CHECKING:
    from collections.abc import Callable


LARGE = 1 << 18  # multiplications of a product whose operands' layout matters


def fold_transposes(graph: Graph) -> Graph:
    """Products that read a transposed operand where it lies."""
    definitions = graph.definitions()

    def source(x: Any) -> Var | None:
        """What a variable is the transposed copy of."""
        e = definitions.get(x)
        if e is None or e.op is not COPY or e.params["start"] or len(x.shape) < 2:
            return None
        given = e.inputs[0]
        stored = (*x.shape[:-2], x.shape[-1], x.shape[-2])
        steps = strides_of(stored)
        turned = e.params["steps"] == (*steps[:-2], steps[-1], steps[-2])
        fits = given.dtype == x.dtype and given.shape == stored and turned
        return given if fits else None

    def change(e: Equation) -> Equation:
        if e.op is not DOT:
            return e
        a, b = (source(x) for x in e.inputs)
        params = {"ta": e.params["ta"] ^ (a is not None), "tb": e.params["tb"] ^ (b is not None)}
        return Equation(DOT, (a or e.inputs[0], b or e.inputs[1]), params, e.out)

    return rewrite(graph, change)


def turn_products(graph: Graph) -> Graph:
    """Products of few rows with a large matrix that is stored transposed, computed as their transpose.

    BLAS lays out what it is given as transposed for its own use, slowly: it had better be the smaller operand.
    """
    equations = []
    for e in graph.equations:
        (m, n) = e.out.shape if e.op is DOT and len(e.out.shape) == 2 else (0, 0)
        if 4 * m <= n and m > 1 and e.params["tb"] and not e.params["ta"] and m * n * e.inputs[0].shape[-1] >= LARGE:
            turned = Var((n, m), e.out.dtype)
            equations.append(Equation(DOT, (e.inputs[1], e.inputs[0]), e.params, turned))
            e = Equation(COPY, (turned,), {"start": 0, "steps": (1, m)}, e.out)
        equations.append(e)
    return Graph(graph.inputs, graph.constants, equations, graph.outputs)


def fold_broadcasts(graph: Graph) -> Graph:
    """Pointwise ops that stretch an operand themselves."""
    definitions = graph.definitions()

    def change(e: Equation) -> Equation:
        if e.op.kind != "pointwise":
            return e
        inputs = list(e.inputs)
        for i, x in enumerate(inputs):
            before = definitions.get(x) if isinstance(x, Var) else None
            if before is not None and before.op is BROADCAST:
                tried = [*inputs[:i], before.inputs[0], *inputs[i + 1 :]]
                if np.broadcast_shapes(*[v.shape for v in tried if isinstance(v, Var)]) == e.out.shape:
                    inputs = tried
        return e if tuple(inputs) == e.inputs else Equation(e.op, tuple(inputs), e.params, e.out)

    return rewrite(graph, change)


def join_checks(graph: Graph) -> Graph:
    """All checks of one dtype as one, at the place of the last: a kernel has one flag."""
    checks: dict[Any, list[Equation]] = {}
    for e in graph.equations:
        if e.op is CHECK:
            checks.setdefault(e.out.dtype, []).append(e)
    last = {several[-1]: several for several in checks.values() if len(several) > 1}
    joined = {e for several in last.values() for e in several}
    equations: list[Equation] = []
    for e in graph.equations:
        if e in last:
            total = last[e][0].inputs[0]
            for other in last[e][1:]:
                added = Var(total.shape, total.dtype)
                equations.append(Equation(devices.ALL_OPS["add"], (total, other.inputs[0]), {}, added))
                total = added
            message = "; or ".join(dict.fromkeys(check.params["message"] for check in last[e]))
            equations.append(Equation(CHECK, (total,), {"message": message}, e.out))
        elif e not in joined:
            equations.append(e)
    return Graph(graph.inputs, graph.constants, equations, graph.outputs)


def labels_first(graph: Graph) -> Graph:
    """Checks of labels, and counts of them, before all else: a GPU's host then waits for little more than these.

    What they are made of is computed once more where others read it, rather than brought there through memory.
    """
    known = {x for x in graph.inputs if x.dtype.kind in "bi" and not x.weak} | set(graph.constants)
    definitions: dict[Any, Equation] = {}
    sums: dict[Equation, None] = {}
    checks: dict[Equation, None] = {}
    follow: dict[Equation, None] = {}  # what single numbers are computed from sums
    numbers: set[Any] = set()
    for e in graph.equations:
        light = e.op.kind == "pointwise" or e.op in (BROADCAST, CHECK, COPY, LABEL_IS, LABEL_OUTSIDE, REDUCE, RESHAPE)
        if not light or not known.issuperset(e.variables()):
            continue
        known.add(e.out)
        definitions[e.out] = e
        if e.op is CHECK:
            checks[e] = None
        elif e.out.size == 1 and (e.op is REDUCE or not numbers.isdisjoint(e.variables())):
            (sums if e.op is REDUCE else follow)[e] = None
            numbers.add(e.out)
    if not checks:
        return graph
    roots = {**sums, **checks, **follow}
    at_once, later = (needed_for(definitions, e) for e in ([*sums, *checks], [*follow]))
    front = [e for x, e in definitions.items() if e.op is not CHECK and (e in sums or x in at_once)]
    front += checks
    placed = set(front)
    front += [e for x, e in definitions.items() if e not in placed and (e in follow or x in later)]
    made: dict[Any, Var] = {e.out: e.out for e in roots}
    first: list[Equation] = []
    for e in front:
        out = made.setdefault(e.out, Var(e.out.shape, e.out.dtype))
        inputs = tuple([made.get(x, x) if isinstance(x, Var) else x for x in e.inputs])
        first.append(Equation(e.op, inputs, e.params, out))
    rest = [e for e in graph.equations if e not in roots]
    return Graph(graph.inputs, graph.constants, first + rest, graph.outputs)


def needed_for(definitions: dict[Any, Equation], equations: list[Equation]) -> set[Any]:
    """All variables that these equations are made of."""
    found = {x for e in equations for x in e.variables()}
    for e in reversed(definitions.values()):
        if e.out in found:
            found.update(e.variables())
    return found


def loop_passes(reals: frozenset[str], waiting: bool = False) -> dict[str, Callable[[Graph], Graph]]:
    """All that a graph goes through for a backend whose kernels are compiled for these floating-point dtypes.

    With `waiting`, the host does not run the kernels, but waits for what they find.
    """
    passes = {**LOOP_PASSES, "lower": lambda graph: lower(graph, reals)}
    if not waiting:
        del passes["labels first"]
    return passes


LOOP_PASSES: dict[str, Callable[[Graph], Graph]] = {
    "lower": lower,
    "transposes into products": fold_transposes,
    "products turned": turn_products,
    "broadcasts into their readers": fold_broadcasts,
    "constants in loops": merge_constants,
    "identities in loops": apply_identities,
    "common loop terms": merge_common,
    "labels first": labels_first,
    "checks": join_checks,
    "dead loop terms": drop_dead_code,
}
