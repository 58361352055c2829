"""A traced step as a program: where its inputs are found at each call, and where its outputs go."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING, Any

from ..backend.backend import Backend
from ..core import pytrees as tree
from ..core.dispatch import explain
from ..core.tensor_class import EXCLUSIVE, Tensor, constant
from ..core.views import set_value
from ..errors import GradengineError, IndexRangeError
from .graph import Graph, Var, typecheck
from .graph_passes import simplify
from .guards import Guard, Source, find
from .host_executor import Compiled
from .interrupts import uninterrupted
from .replay import Replay
from .tracers import ARRAY, Traced
from .tracing import Trace

if TYPE_CHECKING:
    from collections.abc import Callable


class GuardFailure(Exception):
    """A host callback returned another structure or type than in the trace: retrace."""


def typed(error: Exception, backend: Backend) -> Exception:
    """A kernel's failure as the engine's own error, in the name of its op."""
    if isinstance(error, IndexError) and not isinstance(error, GradengineError):
        return IndexRangeError(f"jit: {str(error).replace('out of bounds', 'out of range')}")
    equation, given = getattr(error, "equation", (None, ()))
    if equation is None or isinstance(error, GradengineError):
        return error
    found = explain(equation.op, error, tuple([constant(x, backend) for x in given]), equation.params)
    found.misfit = not isinstance(error, GradengineError)  # type: ignore[attr-defined]
    return found


class Program:
    """A compiled step for arguments of one kind. `run(arguments)` does what the step does."""

    def __init__(self, trace: Trace, result: Any, read: list[Any], backend: Backend) -> None:
        self.backend, self.lock = backend, threading.RLock()
        self.guard = Guard(trace, read)
        self.owners: list[Any] = []  # weak references to the arguments that are built in
        self.host, self.sources = trace.host, trace.sources
        self.keep = [t for t in trace.tensors.values() if trace.source_of(t).kind != "argument"]
        self.written: dict[int, Var] = {}  # inputs that the program overwrites, and with what
        self.given: dict[int, Any] = {}  # the gradients of the last call
        self.undone: list[Callable[[], None]] = []  # what undoes the host's part of the last call
        self.stretch = 0  # steps that `over` had better run in one go, once that is known
        graph = trace.graph
        leaves: list[Any] = []
        self.structure = tree.flatten(result, leaves)
        self.results = [self.result(trace, leaf) for leaf in leaves]
        self.states: list[tuple[Source, int]] = []  # where an output becomes the array of a Tensor from outside
        for key, array in trace.arrays.items():
            if array is not trace.lifted[key]:
                self.states.append((trace.origins[key], self.output(trace, array)))
        self.grads: list[tuple[Source, Any]] = []  # where an output becomes a gradient; None is none
        for key, grad in trace.grads.items():
            made = None if grad is None else self.result(trace, grad)
            self.grads.append((trace.source_of(trace.tensors[key]), made))
        trace.graph = Graph([], {}, [], [])
        self.traced = typecheck(graph)

    def output(self, trace: Trace, array: Any) -> int:
        """The place among the graph's outputs of what a Tensor has been given."""
        trace.graph.outputs.append(array.var if type(array) is Traced else array)
        return len(trace.graph.outputs) - 1

    def result(self, trace: Trace, leaf: Any) -> tuple[str, Any]:
        """How a leaf of the result is made at each call."""
        if not isinstance(leaf, Tensor):
            if isinstance(leaf, Traced):
                return "array", self.output(trace, leaf)
            return "fixed", leaf
        array = ARRAY.__get__(leaf)
        if type(array) is Traced:
            return "number" if array.var.weak else "tensor", self.output(trace, array)
        if isinstance(array, trace.kinds):
            return "same", trace.source_of(leaf)
        return "tensor", self.output(trace, array)

    def compile(self, listen: Callable[[str, Graph], None] | None = None) -> Program:
        """Simplify the graph and compile it, where the backend can compile."""
        if listen is not None:
            listen("trace", self.traced)
        self.graph = simplify(self.traced, listen)
        if not self.backend.compiles():
            self.executor: Any = Replay(self.graph, self.backend)  # whose results are arrays of their own
            self.moving, self.whole, self.reusable = self.states, False, []
            return self
        places = {id(source): i for i, source in enumerate(self.sources)}
        updates = [(place, places[id(source)]) for source, place in self.states if id(source) in places]
        passing = [i for i, source in enumerate(self.sources) if source.kind in ("argument", "host")]
        kept = {made[1] for _, made in self.grads if made is not None} | {place for _, place in self.states}
        returned = [what for kind, what in self.results if kind in ("tensor", "array") and what not in kept]
        self.executor = Compiled(self.graph, self.backend, updates, passing, returned, listen)
        self.whole = True
        writers = {old: new for new, old in self.executor.in_place.items()}
        self.written = {i: writers[var] for i, var in enumerate(self.graph.inputs) if var in writers}
        kept = self.executor.in_place
        self.moving = [(source, place) for source, place in self.states if self.executor.outputs[place] not in kept]
        self.reusable = [  # gradients whose arrays can be written to again, as far as is known by now
            (k, source, made[1], self.executor.outputs[made[1]])
            for k, (source, made) in enumerate(self.grads)
            if made is not None and made[0] == "tensor" and made[1] in self.executor.own
            if self.executor.outputs[made[1]] in self.executor.certain
        ]
        return self

    # -- running ------------------------------------------------------------------------------------------------

    def run(self, arguments: list[Any]) -> Any:
        """Run one call. Raises GuardFailure before it changes anything, if a host callback returns another type.

        Where kernels are compiled, an interrupt waits for the end of the step, which it would meet half done.
        """
        with self.lock, uninterrupted() if self.whole else contextlib.nullcontext():
            host = self.host_values(arguments)
            for i, var in self.written.items():
                self.own(self.graph.inputs[i], var, find(self.sources[i], arguments))
            values = [
                s.tensor.array if s.kind == "tensor" else self.value(s, arguments, host)  # type: ignore[union-attr]
                for s in self.sources
            ]
            targets, again = self.targets(arguments)
            try:
                outputs = self.executor.run(values, targets)
            except Exception as error:
                self.undo()
                self.forget(arguments, again)
                raise typed(error, self.backend) from None
            del values, targets
            return self.write(outputs, arguments, again)

    def own(self, old: Var, new: Var, t: Tensor) -> None:
        """Give a Tensor that is to be written to an array that nobody else sees."""
        array = t.array
        arrays = self.executor.arrays
        if arrays.get(old) is array and arrays.get(new) is array and sys.getrefcount(array) == EXCLUSIVE + 2:
            return  # as at the last call, which has looked at it more closely
        held = self.executor.holds(old, array) + self.executor.holds(new, array)
        buffers = self.executor.buffers
        if not buffers.alone(array) or sys.getrefcount(array) - held != EXCLUSIVE:
            t.array = buffers.copy(array)

    def targets(self, arguments: list[Any]) -> tuple[dict[int, Any], set[int]]:
        """Arrays of gradients from the last call that can be written again: nobody has them but the gradient's owner.

        Also returns which gradients those are: their owners keep them as they are.
        """
        found: dict[int, Any] = {}
        again: set[int] = set()
        for k, source, place, root in self.reusable:
            last = self.given.get(k)
            if last is None or root in self.executor.staying or find(source, arguments).grad is not last:
                continue
            array = last.array
            held = self.executor.holds(root, array)
            # Beside what every array has, a gradient is in its owner, as well as in the table of those given.
            alone = sys.getrefcount(last) == EXCLUSIVE + 1 and sys.getrefcount(array) - held == EXCLUSIVE
            if alone and array.base is None and place not in found:
                found[place] = array
                again.add(k)
        return found, again

    def host_values(self, arguments: list[Any]) -> list[Any]:
        """Do the host's part of a call; the inputs that it gives, the first one last."""
        found: list[list[Any]] = []
        self.undone.clear()
        for work in self.host:
            self.undone.append(work.restore())
            try:
                values = work.run(arguments, found)
            except BaseException:
                self.undo()
                raise
            if values is None:
                self.undo()
                raise GuardFailure
            values.reverse()
            found.append(values)
        return found

    def forget(self, arguments: list[Any], again: set[int]) -> None:
        """Take away gradients of the last call that a call which has failed has written over."""
        for k in again:
            source, made = self.grads[k]
            if self.executor.outputs[made[1]] in self.executor.lost:
                find(source, arguments).grad = None
                self.given.pop(k, None)

    def undo(self) -> None:
        """Let the host stand where it stood before this call."""
        for back in reversed(self.undone):
            back()

    def value(self, source: Source, arguments: list[Any], host: list[Any]) -> Any:
        """The array or number that an input has at this call."""
        if source.kind == "host":
            return host[source.place].pop()
        found = find(source, arguments)
        return found.array if isinstance(found, Tensor) else found

    def write(self, outputs: list[Any], arguments: list[Any], again: set[int]) -> Any:
        """Give Tensors from outside what they were given in the trace, and return the result."""
        leaves = [self.leaf(made, outputs, arguments) for made in self.results]
        new = [
            (k, find(source, arguments), made and self.leaf(made, outputs, arguments))
            for k, (source, made) in enumerate(self.grads)
            if k not in again
        ]
        targets = [(find(source, arguments), outputs[place]) for source, place in self.moving]
        for k, t, grad in new:
            t.grad = grad
            if grad is not None and self.grads[k][1][0] == "tensor":
                self.given[k] = grad
        for t, array in targets:
            if t.family is None and getattr(t, "view_of", None) is None:
                t.array = array
            else:
                set_value(t, array)
        for i in self.written:
            t = find(self.sources[i], arguments)
            if t.family is not None or getattr(t, "view_of", None) is not None:
                set_value(t, t.array)
        return tree.unflatten(self.structure, iter(leaves))

    def leaf(self, made: tuple[str, Any], outputs: list[Any], arguments: list[Any]) -> Any:
        """A leaf of the result, or a gradient."""
        kind, what = made
        if kind == "tensor":
            return constant(outputs[what], self.backend)
        if kind == "fixed":
            return what
        if kind == "number":
            return outputs[what]
        return find(what, arguments) if kind == "same" else outputs[what]
