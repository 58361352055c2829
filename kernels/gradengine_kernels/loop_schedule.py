"""Where each value of a loop nest is computed: what is known of it before a line is written, in whatever language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .expr import walk
from .loops import ELEMENT, NUMBER, ONCE, ROW, SCALAR, Compute, Ended, Load, Loop, Number, Reduce
from .scalar_types import KINDS, kind_of

if TYPE_CHECKING:
    from collections.abc import Collection


class Placement:
    """By the name of each value: its kind, its level, its inputs, and the first pass over the columns that knows it.

    A value is computed in the first pass in which all that it needs is known. A later pass that needs it as well
    computes it again, or has it from where it was kept if it was expensive.
    """

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.values = {v.name: v for v in loop.values}
        self.kinds: dict[str, str] = {}
        self.levels: dict[str, int] = {}
        self.inputs: dict[str, list[str]] = {}
        self.passes: dict[str, int] = {}
        for v in loop.values:
            self.place(v)
        self.every_pass = range(1 + max(self.passes.values(), default=0))

    def place(self, v: Any) -> None:
        """Find out where a value is computed, once that of all before it is known."""
        names = self.inputs[v.name] = inputs_of(v) if isinstance(v, Compute) else []
        if isinstance(v, Load):
            kind, level, when = KINDS[v.operand.dtype], v.operand.access.level, 0
        elif isinstance(v, Number):
            kind, level, when = SCALAR, ONCE, 0
        elif isinstance(v, Ended):
            kind, level, when = NUMBER, ONCE, 0
        elif isinstance(v, Reduce):
            kind, level, when = NUMBER, ROW, self.passes[v.source] + 1
        else:
            kind = kind_of(v.expr, self.kinds)
            level = ELEMENT if uses_column(v) else max([self.levels[n] for n in names], default=ONCE)
            when = max([self.passes[n] for n in names], default=0)
        if self.loop.columns == 1:
            level = min(level, ROW)
        self.kinds[v.name], self.levels[v.name], self.passes[v.name] = kind, level, when

    def roots(self, when: int) -> list[str]:
        """The values of elements that a pass has to compute for themselves: to be stored or summed."""
        found = [s.name for s in self.loop.stores if s.operand.access.level == ELEMENT]
        found += [t.name for t in self.loop.totals if t.by_columns or self.levels[t.name] == ELEMENT]
        found += [v.source for v in self.loop.values if isinstance(v, Reduce)]
        return [name for name in dict.fromkeys(found) if self.passes[name] == when]

    def needed_later(self, heavy: Collection[str]) -> list[str]:
        """Values of elements that a later pass needs again, and that a heavy operation is in."""
        found: dict[str, None] = {}
        seen: set[tuple[str, int]] = set()

        def need(name: str, when: int) -> None:
            if self.levels[name] != ELEMENT or (name, when) in seen:
                return
            seen.add((name, when))
            if self.passes[name] < when and has(self.values[name], heavy):
                found[name] = None  # it is kept, so that what it is made of need not be
                return
            for n in self.inputs[name]:
                need(n, when)

        for when in self.every_pass:
            for name in self.roots(when):
                need(name, when)
        return list(found)


def inputs_of(v: Compute) -> list[str]:
    """The values that a computed value reads."""
    return [e.args[0] for e in walk([v.expr]) if e.op == "input"]


def has(v: Any, operations: Collection[str]) -> bool:
    """Whether a value is computed with one of those operations."""
    return isinstance(v, Compute) and any(e.op in operations for e in walk([v.expr]))


def uses_column(v: Any) -> bool:
    """Whether a value asks which column it is in."""
    return has(v, ("at_column",))
