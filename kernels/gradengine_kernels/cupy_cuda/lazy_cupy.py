"""CuPy, imported when it is first used: `cp.empty(...)`."""

from __future__ import annotations

import importlib
from typing import Any


class Lazy:
    """A module that is imported with the first attribute that is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)  # doctest and inspect ask every object for such
        found = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, found)
        return found


cp = Lazy("cupy")
