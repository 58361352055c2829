"""Whether two values are the same, without running any code of theirs."""

from __future__ import annotations

from typing import Any

import numpy as np

PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None), range, slice})
NOTHING = object()  # what is found where nothing is


def is_a(value: Any, kinds: Any) -> bool:
    """`isinstance` without asking the value itself, which would run code of the user's."""
    return issubclass(type(value), kinds)


def same(a: Any, b: Any) -> bool:
    """Whether two values are one object, or plain values that cannot be told apart."""
    if a is b or type(a) is not type(b):
        return a is b
    if type(a) is tuple:
        return len(a) == len(b) and all(map(same, a, b))
    if type(a) in PLAIN or is_a(a, np.generic):
        return bool((a == b and (a or str(a) == str(b))) or (a != a and b != b))  # 0.0 and -0.0 are two numbers
    return False
