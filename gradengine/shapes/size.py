"""Size: a shape in PyTorch's words."""

from __future__ import annotations

import math
from typing import Any

from ..errors import DTypeError, SignatureError, describe
from ..validation import known_class


@known_class
class Size(tuple[int, ...]):
    """A shape with `numel()`, as `x.size()` gives it. It is a tuple, and equal to one.

    >>> import gradengine as ge
    >>> ge.ones(2, 3).size().numel()
    6
    """

    def __new__(cls, sizes: Any = ()) -> Size:
        """A shape of ints. Raises ShapeError for a size that is none, SignatureError for what is no sequence."""
        if isinstance(sizes, (str, bytes, dict)) or not hasattr(sizes, "__iter__"):
            raise SignatureError(f"Size: needs a sequence of ints, such as (2, 3), got {describe(sizes)}")
        found = tuple(sizes)
        for size in found:
            if not hasattr(size, "__index__"):
                raise DTypeError(f"Size: a size must be an int, got {describe(size)}")
        return super().__new__(cls, found)

    def numel(self) -> int:
        """The number of elements of an array of that shape."""
        return math.prod(self)
