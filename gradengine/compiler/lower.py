"""Lowering: the graph in the loop IR. Each op whose declaration has a loop form is replaced by that."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import loop_forms
from ..ops.loop_forms import ON_CPU, is_copied
from .graph import Equation, Graph, Var
from .loop_ir import Builder, Node


def lower(graph: Graph, reals: frozenset[str] = ON_CPU) -> Graph:
    """The graph in the loop IR. Every equation whose op has a loop form is replaced by what it is made of.

    `reals` are the floating-point dtypes that kernels are compiled for.
    """
    k = Builder(dict(graph.constants), reals)
    found: dict[Var, Any] = {}
    for e in graph.equations:
        inputs = tuple([found.get(x, x) if isinstance(x, Var) else x for x in e.inputs])
        nodes = [Node(k, x) if isinstance(x, Var) else x for x in inputs]
        form, made = e.op.loop_form, None
        mark = len(k.equations)
        if e.op.same_order and (inputs[0].dtype == np.int64 or is_copied(k, inputs[0].dtype)):
            made = k.view(nodes[0], e.out.shape)
        elif form is not None and not any(x.weak for x in e.variables()) and (nodes and isinstance(nodes[-1], Node)):
            made = form(k, *nodes, **e.params)
        if made is not None and made.dtype != e.out.dtype and not k.reals <= ON_CPU:
            made = loop_forms.cast(k, made, e.out.dtype) or made  # what was summed in single precision
        if made is None or (made.shape, made.dtype) != (e.out.shape, e.out.dtype):
            del k.equations[mark:]
            k.equations.append(Equation(e.op, inputs, e.params, e.out))
        else:
            found[e.out] = made.var
    outputs = [found.get(x, x) if isinstance(x, Var) else x for x in graph.outputs]
    return Graph(graph.inputs, k.constants, k.equations, outputs)
