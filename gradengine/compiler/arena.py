"""The memory plan: a fixed place in one arena for every intermediate result, by its lifetime.

Two results share memory when one is no longer read before the other is written; a result may take the place of an
operand that is read for the last time by the very loop that writes it, element by element.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .graph import Var

LINE = 64  # bytes of a cache line; every place starts with one


@dataclasses.dataclass(eq=False)
class Lifetime:
    """From the unit that writes a variable to the last that reads it; `instead` is an operand whose place it takes."""

    var: Var
    first: int
    last: int
    instead: Lifetime | None = None
    offset: int = -1

    @property
    def size(self) -> int:
        """The bytes that it takes, in whole cache lines."""
        return (self.var.nbytes + LINE - 1) // LINE * LINE


def plan(lifetimes: list[Lifetime]) -> int:
    """Give every lifetime an offset; returns how large the arena is. The largest choose first."""
    chains: dict[Lifetime, list[Lifetime]] = {}
    for life in lifetimes:
        head = life
        while head.instead is not None:
            head = head.instead
        chains.setdefault(head, []).append(life)
    placed: list[tuple[int, int, int, int]] = []  # first, last, offset, end
    total = 0
    for members in sorted(chains.values(), key=lambda several: (-max(m.size for m in several), several[0].first)):
        first, last = min(m.first for m in members), max(m.last for m in members)
        size = max(m.size for m in members)
        offset = 0
        for begin, end in sorted((o, e) for f, la, o, e in placed if f <= last and first <= la):
            if offset + size <= begin:
                break
            offset = max(offset, end)
        for member in members:
            member.offset = offset
        placed.append((first, last, offset, offset + size))
        total = max(total, offset + size)
    return total


def show(lifetimes: list[Lifetime], names: dict[Var, str], total: int) -> str:
    """The plan as text, a line per variable, and what it saves."""
    lines = [
        f"{names[x.var]}:{x.var.type} at {x.offset}, units {x.first} to {x.last}"
        + (f", in the place of {names[x.instead.var]}" if x.instead is not None else "")
        for x in lifetimes
    ]
    separate = sum(x.size for x in lifetimes)
    return "\n".join([*lines, f"arena: {total:,} bytes, where separate arrays would take {separate:,}"])
