"""The case table that every test file reads: it ships with the package, so that `gradengine check` has it too."""

from gradengine.cases import Case, table

__all__ = ["CASES", "Case"]

CASES = table()
