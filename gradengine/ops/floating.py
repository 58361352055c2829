"""What is asked of floating-point numbers: their sign bit, the next one, and their parts as complex numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.tensor_class import Tensor, wrap
from ..errors import DTypeError
from ..shapes.dtypes import is_floating
from ..validation import known_words
from .arguments import beside, checked
from .creation import zeros_like
from .declare import primitive
from .elementwise import copysign
from .predicates import less
from .tensor_methods import method

__all__ = ["signbit", "nextafter", "conj", "real", "imag"]


@method
@checked
def signbit(x: Any, /) -> Tensor:
    """Whether the sign of a number is negative, also that of -0.0 and NaN.

    >>> import gradengine as ge
    >>> ge.signbit(ge.tensor([1.0, -0.0, -2.0]))
    tensor([False,  True,  True])
    """
    x = wrap(x, None, "signbit").detach()
    return less(copysign(1.0, x) if is_floating(x.dtype) else x, 0)


@primitive(None, None, shown="nextafter", kernel=lambda x1, x2: np.nextafter(x1, x2))
def next_number(x1, x2, /):
    """The op behind `nextafter`."""


@method(in_place=True)
@checked
def nextafter(x1: Any, x2: Any, /) -> Tensor:
    """The next number after `x1` that its dtype has, on the way to `x2`. It has no gradient.

    Raises DTypeError for anything that is not a float.

    >>> import gradengine as ge
    >>> ge.nextafter(ge.tensor(1.0), ge.tensor(2.0)) > 1
    tensor(True)
    """
    x1, x2 = beside("nextafter", x1, x2)
    for x in (x1, x2):
        if not is_floating(x.dtype):
            raise DTypeError(f"nextafter: takes floats, got {x.dtype}; convert with .to(ge.float32)")
    return next_number(x1.detach(), x2.detach())


@method
@known_words
def conj(x: Any, /) -> Tensor:
    """The complex conjugate, which real numbers are themselves: this Tensor.

    >>> import gradengine as ge
    >>> ge.conj(ge.tensor([1.0, -2.0]))
    tensor([ 1., -2.])
    """
    return wrap(x, None, "conj")


@known_words
def real(x: Any, /) -> Tensor:
    """The real part, which real numbers are themselves: this Tensor.

    >>> import gradengine as ge
    >>> ge.real(ge.tensor([1.0, -2.0]))
    tensor([ 1., -2.])
    """
    return wrap(x, None, "real")


@known_words
def imag(x: Any, /) -> Tensor:
    """The imaginary part, which is 0 for real numbers.

    >>> import gradengine as ge
    >>> ge.imag(ge.tensor([1.0, -2.0]))
    tensor([0., 0.])
    """
    return zeros_like(x)
