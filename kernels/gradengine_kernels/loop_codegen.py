"""What writers of loop nests share, whatever the language: variables, and how a value is read or computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .loop_schedule import Placement
from .loops import ONCE, Access, Load, Number
from .render import write

if TYPE_CHECKING:
    from .loops import Loop, Operand, Size
    from .render import Dialect

PLACE = "place"  # the kind of variable that holds where a row starts


class Scope:
    """Variables by the names of values; what is not found here is looked for outside."""

    def __init__(self, outer: Scope | None = None) -> None:
        self.names: dict[str, str] = {}
        self.converted: dict[str, str] = {}  # variables of numbers by those of what they were made of
        self.rows: dict[Access, str] = {}  # where a row of an operand starts
        self.outer = outer

    def find(self, name: str) -> str:
        """The variable that holds a value."""
        if name in self.names:
            return self.names[name]
        if self.outer is None:
            raise KeyError(name)
        return self.outer.find(name)


class Writer(Placement):
    """A loop nest on its way to source. What comes first is what each language writes in its own way."""

    dialect: Dialect
    size = "{}"  # how a size is written that an index is multiplied with

    def __init__(self, loop: Loop, prefix: str) -> None:
        super().__init__(loop)
        self.real, self.prefix, self.count = loop.real, prefix, 0
        self.before: list[str] = []  # the code before all rows

    def declared(self, kind: str, name: str, value: str) -> str:
        """The line that gives a value a variable."""
        raise NotImplementedError

    def pointer(self, slot: int, dtype: str) -> str:
        """The variable that holds an array's address."""
        raise NotImplementedError

    def term(self, over: Size, count: Size, step: Size) -> str:
        """One part of a row's place."""
        raise NotImplementedError

    def read(self, place: str, kind: str) -> str:
        """An element of an array, as a value of that kind."""
        raise NotImplementedError

    def number(self, v: Number) -> str:
        """A number that is given at each run."""
        raise NotImplementedError

    # -- what is alike in all of them ---------------------------------------------------------------------------

    def fresh(self) -> str:
        """A name for a variable."""
        self.count += 1
        return f"{self.prefix}{self.count}"

    def hold(self, kind: str, value: str, lines: list[str]) -> str:
        """A new variable for a value."""
        name = self.fresh()
        lines.append(self.declared(kind, name, value))
        return name

    def row_part(self, access: Access, scope: Scope, lines: list[str]) -> str:
        """Where a row of an operand starts; `lines` get what is to be computed for that, once for a row."""
        key = Access(access.terms, 0, access.offset)
        if key not in scope.rows:
            parts = [self.term(*t) for t in access.terms] + ([str(access.offset)] if access.offset else [])
            scope.rows[key] = self.hold(PLACE, " + ".join(parts) or "0", lines)
        return scope.rows[key]

    def element(self, operand: Operand, scope: Scope, lines: list[str]) -> str:
        """The element of an operand."""
        a = operand.access
        pointer = self.pointer(operand.slot, operand.dtype)
        if a.level == ONCE:
            return f"{pointer}[{a.offset}]"
        row = self.row_part(a, scope, lines)
        column = "" if a.column == 0 else " + j" if a.column == 1 else f" + j * {self.size.format(a.column)}"
        return f"{pointer}[{row}{column}]"

    def emit(self, v: Any, scope: Scope, lines: list[str], row_lines: list[str], rows: Scope | None = None) -> None:
        """Add the code of a value to `lines`; where its row starts is known in `rows`, or added to `row_lines`."""
        kind = self.kinds[v.name]
        if isinstance(v, Load):
            value = self.read(self.element(v.operand, rows or scope, row_lines), kind)
            scope.names[v.name] = self.hold(kind, value, lines)
        elif isinstance(v, Number):
            scope.names[v.name] = self.hold(kind, self.number(v), lines)
        else:
            find = lambda name: (scope.find(name), self.kinds[name])
            hold = lambda kind, value, once: self.hold(kind, value, lines)
            ((scope.names[v.name], _),) = write([v.expr], self.dialect, self.real, find, hold, scope.converted)

    def once_scope(self) -> Scope:
        """What is the same for all elements, computed before all rows."""
        scope = Scope()
        for v in self.loop.values:
            if self.levels[v.name] == ONCE:
                self.emit(v, scope, self.before, self.before)
        return scope
