"""In-place methods: `x.add_(y)` and its like turn a Tensor into what the function of that name gives, as in PyTorch.

Most are derived: a declaration says whether its method `f` has an `f_`.
Those of which PyTorch has only the form in place are written out below. All go through `Tensor.become` or `turn`, so
what shares elements with the Tensor follows, and gradients stay those of what was computed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import shapes
from ..core.interpreter import k
from ..core.tensor_class import Tensor
from ..core.views import cut, link_of, turn
from ..errors import ArgumentError, DTypeError, GraphError, ShapeError
from ..shapes.dtypes import get_default_dtype, is_floating
from ..validation import known_words
from .arguments import beside, checked, real
from .methods import assign
from .random import bernoulli, rand, randint, randn
from .tensor_methods import METHODS, Method, listeners

if TYPE_CHECKING:
    from collections.abc import Callable


def in_place(function: Callable[..., Any], name: str, source: str) -> Callable[..., Tensor]:
    """The method `name`, which turns a Tensor into what `function` makes of it; `source` is that function's name."""

    def call(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if any([x is self for x in args]):  # what it is now, not what it is about to be
            return self.become(lambda old: function(old, *[old if x is self else x for x in args], **kwargs), name)
        return self.become(lambda old: function(old, *args, **kwargs), name)

    call.__name__ = name
    call.__doc__ = f"`{source}` in place; returns this Tensor."
    return call


# -- at positions -----------------------------------------------------------------------------------------------


def put(old: Tensor, index: Any, value: Any) -> Tensor:
    """A copy of `old` with `value` at an index."""
    out = k.clone(old)
    out[index] = value
    return out


@checked
def put_(self: Tensor, index: Any, source: Any, accumulate: bool = False) -> Tensor:
    """Set the elements at the integers `index` of this Tensor, counted as if it were flat, to those of `source`."""

    def scatter(old: Tensor) -> Tensor:
        flat, (at, given) = k.reshape(old, (-1,)), beside("put_", index, source)
        new = flat.index_put((k.reshape(at, (-1,)),), k.reshape(given, (-1,)), accumulate)
        return k.reshape(new, old.shape)

    return self.become(scatter, "put_")


@checked
def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Set the main diagonal to a number; `wrap` starts again below a tall matrix, after a row without."""
    if self.ndim < 2 or (self.ndim > 2 and len(set(self.shape)) != 1):
        raise ShapeError(f"fill_diagonal_: needs a matrix, or axes of one size, got shape {self.shape}")
    n, m = self.shape[0], self.shape[-1]
    at: tuple[Any, ...]
    if self.ndim == 2 and wrap:
        flat = np.arange(0, n * m, m + 1)
        at = (flat // m, flat % m)
    else:
        at = (np.arange(min(self.shape)),) * self.ndim
    return self.become(lambda old: put(old, at, fill_value), "fill_diagonal_")


# -- random numbers ---------------------------------------------------------------------------------------------


def draw(distribution: Any, self: Tensor, generator: Any, name: str) -> Tensor:
    """Random numbers of the shape, dtype and device of a floating-point Tensor."""
    if not is_floating(self.dtype):
        raise DTypeError(f"{name}: needs a floating-point Tensor, got {self.dtype}; convert it with .to(...)")
    return distribution(self.shape, dtype=self.dtype, generator=generator, device=self.device)


@checked
def uniform_(self: Tensor, low: float = 0.0, high: float = 1.0, *, generator: Any = None, **words: Any) -> Tensor:
    """Fill with numbers that are uniform from `low` up to `high` (`from` and `to` in PyTorch)."""
    low, high = words.pop("from", low), words.pop("to", high)
    if words:
        raise ArgumentError(f"uniform_: unexpected {', '.join(words)}; accepted: low, high, generator")
    if not low <= high:
        raise ArgumentError(f"uniform_: needs low <= high, got {low} and {high}")
    return assign(self, low + (high - low) * draw(rand, self, generator, "uniform_"), "uniform_")


@checked
def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fill with normal numbers."""
    if not std >= 0:
        raise ArgumentError(f"normal_: std must be a number >= 0, got {std}")
    return assign(self, mean + std * draw(randn, self, generator, "normal_"), "normal_")


@checked
def log_normal_(self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Any = None) -> Tensor:
    """Fill with numbers whose logarithms are normal."""
    if not std > 0:
        raise ArgumentError(f"log_normal_: std must be a number > 0, got {std}")
    return assign(self, k.exp(mean + std * draw(randn, self, generator, "log_normal_")), "log_normal_")


@checked
def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fill with numbers of the exponential distribution of rate `lambd`."""
    if not lambd > 0:
        raise ArgumentError(f"exponential_: lambd must be a number > 0, got {lambd}")
    return assign(self, k.log1p(-draw(rand, self, generator, "exponential_")) * (-1.0 / lambd), "exponential_")


@checked
def cauchy_(self: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fill with numbers of the Cauchy distribution."""
    if not sigma > 0:
        raise ArgumentError(f"cauchy_: sigma must be a number > 0, got {sigma}")
    u = draw(rand, self, generator, "cauchy_")
    return assign(self, median + sigma * k.tan(math.pi * (u - 0.5)), "cauchy_")


@checked
def geometric_(self: Tensor, p: float, *, generator: Any = None) -> Tensor:
    """Fill with how many trials of probability `p` it takes until one succeeds: whole numbers from 1."""
    if not 0 < p < 1:
        raise ArgumentError(f"geometric_: p must be between 0 and 1, got {p}")
    dtype = self.dtype if is_floating(self.dtype) else get_default_dtype()
    u = rand(self.shape, dtype=dtype, generator=generator, device=self.device)
    value = k.maximum(k.ceil(k.log1p(-u) / math.log1p(-p)), 1.0)
    return assign(self, k.astype(value, self.dtype), "geometric_")


@checked
def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Fill with 1 with probability `p`, a number or a Tensor of probabilities, and 0 otherwise."""
    if isinstance(p, Tensor):
        found = bernoulli(k.broadcast_to(p, self.shape), generator=generator)
    else:
        found = bernoulli(real("bernoulli_", "p", p), self.shape, generator=generator, device=self.device)
    return assign(self, k.astype(found, self.dtype), "bernoulli_")


@checked
def random_(self: Tensor, low: int = 0, high: int | None = None, *, generator: Any = None, **words: Any) -> Tensor:
    """Fill with whole numbers from `low` up to, but without, `high`; `random_(n)` is from 0, `random_()` all there are.

    Of a floating-point Tensor these are the integers that its dtype has without gaps.
    """
    low, high = words.pop("from", low), words.pop("to", high)
    if words:
        raise ArgumentError(f"random_: unexpected {', '.join(words)}; accepted: low, high, generator")
    if high is None and low:
        low, high = 0, low
    if high is None:
        if is_floating(self.dtype):
            bits = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}[self.dtype.name]
            high = 2**bits + 1
        else:
            high = 2 if self.dtype == np.bool_ else min(int(np.iinfo(self.dtype).max), 2**63 - 2) + 1
    drawn = randint(low, high, self.shape, generator=generator, device=self.device)
    return assign(self, k.astype(drawn, self.dtype), "random_")


# -- shapes -----------------------------------------------------------------------------------------------------


@checked
def transpose_(self: Tensor, dim0: int, dim1: int) -> Tensor:
    """Swap two axes of this Tensor, which keeps sharing its elements."""
    if not self.ndim:
        shapes.axes_of("transpose_", dim0, 1), shapes.axes_of("transpose_", dim1, 1)
        return self
    return turn(self, lambda old: k.swapaxes(old, dim0, dim1), "transpose_")


@known_words
def t_(self: Tensor) -> Tensor:
    """Transpose this matrix; fewer axes stay as they are."""
    if self.ndim > 2:
        raise ShapeError(f"t_: needs at most two axes, got shape {self.shape}; use .transpose_(axis1, axis2)")
    return turn(self, lambda old: k.swapaxes(old, 0, 1), "t_") if self.ndim == 2 else self


@checked
def squeeze_(self: Tensor, dim: Any = None) -> Tensor:
    """Take away axes of size 1: `dim`, if it has that size, or all of them."""
    axes = range(self.ndim) if dim is None else [a % max(self.ndim, 1) for a in (dim if type(dim) is tuple else (dim,))]
    gone = tuple([a for a in axes if self.ndim and self.shape[a] == 1])
    return turn(self, lambda old: k.squeeze(old, axis=gone), "squeeze_") if gone else self


@checked
def unsqueeze_(self: Tensor, dim: int) -> Tensor:
    """Give this Tensor a new axis of size 1."""
    return turn(self, lambda old: k.expand_dims(old, axis=dim), "unsqueeze_")


@known_words
def detach_(self: Tensor) -> Tensor:
    """Take this Tensor out of the graph. Raises GraphError for a recorded view, as PyTorch does."""
    if self.op is not None and link_of(self) is not None:
        raise GraphError("detach_: a view of a recorded Tensor cannot leave its graph alone; use .detach()")
    if self.is_leaf:
        return self.requires_grad_(False)
    cut(self)
    return self


WRITTEN_OUT = (
    put_, fill_diagonal_, uniform_, normal_, log_normal_, exponential_, cauchy_, geometric_, bernoulli_, random_,
    transpose_, t_, squeeze_, unsqueeze_, detach_,
)  # fmt: skip
ALIASES = {"swapaxes_": transpose_, "swapdims_": transpose_}


def attach_in_place() -> None:
    """Give Tensor its in-place methods, and both forms of what is declared as a method from now on."""
    for name, method in METHODS.items():
        if method.in_place:
            setattr(Tensor, f"{name}_", in_place(getattr(Tensor, name), f"{name}_", name))
    for function in WRITTEN_OUT:
        setattr(Tensor, function.__name__, function)
    for name, function in ALIASES.items():
        setattr(Tensor, name, function)
    listeners.append(attach)


def attach(name: str, method: Method) -> None:
    """Give Tensor a method that a user has declared."""
    setattr(Tensor, name, method.function)
    if method.in_place:
        setattr(Tensor, f"{name}_", in_place(method.function, f"{name}_", name))
