"""A graph run equation by equation, with the kernels of a backend: what `jit` does where nothing is compiled.

May import graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .graph import Graph, Var

if TYPE_CHECKING:
    from collections.abc import Callable


class Replay:
    """`run(values)` gives the outputs of a graph for the values of its inputs; results are arrays of their own."""

    source = ""
    in_place: ClassVar[dict[Var, Var]] = {}

    def __init__(self, graph: Graph, backend: Any) -> None:
        self.graph, self.backend, self.outputs = graph, backend, graph.outputs
        self.places: dict[Var, int] = {}
        for var in (*graph.inputs, *graph.constants, *(e.out for e in graph.equations)):
            self.places[var] = len(self.places)
        self.constants = [np.asarray(value) for value in graph.constants.values()]
        self.steps = [self.step(i) for i in range(len(graph.equations))]
        self.results = [self.places[x] if isinstance(x, Var) else x for x in graph.outputs]

    def step(self, index: int) -> tuple[Callable[..., Any], list[Any], dict[str, Any], int, list[int]]:
        """An equation as what is called: kernel, places of its inputs, metadata, place of its output, what dies."""
        e = self.graph.equations[index]
        later = {x for other in self.graph.equations[index + 1 :] for x in other.variables()}
        kept = later | {x for x in self.graph.outputs if isinstance(x, Var)} | {*self.graph.inputs}
        dead = [self.places[x] for x in {*e.variables()} - kept - {*self.graph.constants}]
        inputs = [self.places[x] if isinstance(x, Var) else Literal(x) for x in e.inputs]
        return kernel_of(self.backend, e.op), inputs, e.params, self.places[e.out], dead

    def run(self, values: list[Any], targets: dict[int, Any]) -> list[Any]:
        """The outputs, for the values of the inputs."""
        held: list[Any] = [*values, *self.constants, *[None] * len(self.steps)]
        with np.errstate(all="ignore"):
            for kernel, inputs, params, place, dead in self.steps:
                held[place] = kernel(*[held[x] if type(x) is int else x.value for x in inputs], **params)
                for x in dead:
                    held[x] = None
        return [held[x] if type(x) is int else x for x in self.results]

    def show_groups(self) -> str:
        """Nothing: each equation runs by itself."""
        return ""

    def show_memory(self) -> str:
        """Nothing: results are freed when they have been read for the last time."""
        return ""

    def holds(self, var: Any, array: Any) -> bool:
        """False: nothing is bound beyond a call."""
        return False


class Literal:
    """A number among the inputs."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def kernel_of(backend: Any, op: Any) -> Callable[..., Any]:
    """The kernel that runs an op on raw arrays; what a rule has called of NumPy's is run as it was."""
    if op.kind == "call":
        return op.body
    return backend.table[op] if op in backend.table else lambda *arrays, **params: op.body(backend, *arrays, **params)
