"""Random numbers: rand, randn, uniform, normal, randint, randperm, bernoulli, and the Generator that they draw from.

A draw is an op on the generator's state, seed and offset, as it was when the draw began; the numbers depend on
nothing else.
"""

from __future__ import annotations

import functools
import math
import operator
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import devices
from ..backend.device_names import device as device_name
from ..core.host_callbacks import current, host_callback
from ..core.tensor_class import Tensor, constant
from ..errors import ArgumentError, CheckpointError, DTypeError, ShapeError, TraceError, describe
from ..shapes import broadcast
from ..shapes.dtypes import check_dtype, get_default_dtype, is_floating
from ..validation import known_class, known_words
from . import loop_forms
from .arguments import checked, real, whole
from .declare import primitive
from .tensor_methods import method

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Generator", "default_generator", "manual_seed", "rand", "randn", "uniform", "normal", "randint", "randperm",
    "bernoulli",
]  # fmt: skip

IGNORED = frozenset({"layout", "memory_format", "pin_memory", "names"})  # words of PyTorch's that change nothing here
LIMIT = 1 << 64


class Seed(int):
    """The seed of a Generator, an int that can be called as PyTorch's method."""

    generator: Generator

    def __call__(self) -> int:
        """Start the stream of a seed from the operating system, and return that."""
        fresh = int.from_bytes(os.urandom(7), "little")
        self.generator.manual_seed(fresh)
        return fresh

    def __reduce__(self) -> Any:
        return int, (int(self),)


@known_class
class Generator:
    """A stream of random numbers, told by its `seed` and its `offset`: an equal pair gives equal numbers everywhere.

    The numbers are Philox4x64-10 of a counter. `offset` counts blocks of four 64-bit words that were drawn. A draw
    starts at a block of its own and takes a word per element, or half a word for rand and randn below float64,
    bernoulli and dropout masks. Without a seed, one is taken from the operating system. Threads may share a Generator.
    `device` is accepted as PyTorch's: one stream serves all devices. Raises ArgumentError for a seed outside 0 to
    2^64 - 1.

    >>> import gradengine as ge
    >>> generator = ge.Generator(1)
    >>> first = ge.rand(3, generator=generator)
    >>> generator.offset
    1
    >>> bool((ge.rand(3, generator=ge.Generator(1)) == first).all())
    True
    """

    def __init__(self, seed: Any = None, *, device: Any = None) -> None:
        if isinstance(seed, str):  # PyTorch's Generator("cpu"): its state is in host memory on every device
            seed, device = None, seed
        if device is not None and device_name(device).type != "cpu":
            devices.for_device(device)  # which there must be
        self._lock = threading.Lock()
        self._seed, self._offset = 0, 0
        if seed is None:
            self._set(lambda: (int.from_bytes(os.urandom(7), "little"), 0))
        else:
            self.manual_seed(seed)

    def __repr__(self) -> str:
        return f"Generator(seed={self._seed}, offset={self._offset})"

    @property
    def seed(self) -> Seed:
        """The key of the stream; called, as PyTorch's `seed()`, it takes another one from the operating system."""
        found = Seed(self._seed)
        found.generator = self
        return found

    @property
    def offset(self) -> int:
        """How many blocks of four words were drawn; settable."""
        return self._offset

    @offset.setter
    def offset(self, value: int) -> None:
        offset = word("offset", value)
        self._set(lambda: (self._seed, offset))

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of another seed, at its beginning; returns the Generator."""
        start = word("seed", seed)
        self._set(lambda: (start, 0))
        return self

    def initial_seed(self) -> int:
        """The seed, as PyTorch asks for it."""
        return self._seed

    def advance(self, words: int) -> Any:
        """The state to draw `words` words from, which are the caller's alone from now on."""
        return host_callback(lambda: self._take(words), lambda: functools.partial(self._put, self._stand()))

    def _set(self, place: Callable[[], tuple[int, int]]) -> None:
        """Go to the seed and offset that `place` gives, at each call of a compiled step too."""
        host_callback(lambda: self._put(place()), lambda: functools.partial(self._put, self._stand()))

    def _put(self, place: tuple[int, int]) -> None:
        with self._lock:
            self._seed, self._offset = place

    def _stand(self) -> tuple[int, int]:
        with self._lock:
            return self._seed, self._offset

    def _take(self, words: int) -> np.ndarray[Any, Any]:
        with self._lock:
            state = np.array([self._seed, self._offset], np.uint64)
            self._offset = (self._offset + (words + 3) // 4) % LIMIT
        return state

    def _read(self) -> tuple[int, int]:
        """The state for a user. Raises TraceError in a traced step, which would have it as a constant."""
        if current.trace is not None:
            raise TraceError(
                "Generator: a compiled step cannot read the state, which is another one at each call; read it outside "
                "the step, or seed the generator in the step"
            )
        return self._stand()

    def state_dict(self) -> dict[str, int]:
        """Seed and offset, from which `load_state_dict` continues."""
        seed, offset = self._read()
        return {"seed": seed, "offset": offset}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue where `state` was taken. Raises CheckpointError for anything that is not such a state."""
        try:
            seed, offset = word("seed", state["seed"]), word("offset", state["offset"])
        except (TypeError, KeyError, ArgumentError, DTypeError):
            raise CheckpointError(
                f"Generator: a state has the integers seed and offset, this is {describe(state)}"
            ) from None
        self._set(lambda: (seed, offset))

    @property
    def device(self) -> device_name:
        """Where the state is: in host memory, "cpu"."""
        return device_name("cpu")

    def get_state(self) -> Tensor:
        """Seed and offset as a Tensor of two uint64, for `set_state`."""
        seed, offset = self._read()
        return constant(np.array([seed, offset], np.uint64), devices.for_device("cpu"))

    def set_state(self, state: Any) -> Generator:
        """Continue where `get_state` was called. Raises CheckpointError for anything that is not such a state."""
        values = np.asarray(state.numpy() if isinstance(state, Tensor) else state)
        if values.shape != (2,) or values.dtype != np.uint64:
            raise CheckpointError(f"Generator: needs what get_state gave, got {describe(state)}")
        self.load_state_dict({"seed": int(values[0]), "offset": int(values[1])})
        return self

    def clone(self) -> Generator:
        """Another Generator in the same state."""
        other = Generator(0)
        other._set(self._stand)
        return other

    def __copy__(self) -> Generator:
        return self.clone()

    def __deepcopy__(self, memo: dict[int, Any]) -> Generator:
        return self.clone()

    def __getstate__(self) -> dict[str, int]:
        return self.state_dict()

    def __setstate__(self, state: dict[str, int]) -> None:
        self._lock = threading.Lock()
        self._seed, self._offset = 0, 0
        self.load_state_dict(state)


def word(what: str, value: Any) -> int:
    """An unsigned 64-bit integer."""
    try:
        number = operator.index(value)
    except TypeError:
        raise DTypeError(f"{what}: must be an int, got {describe(value)}") from None
    if not 0 <= number < LIMIT:
        raise ArgumentError(f"{what}: must be from 0 to 2**64 - 1, got {number}")
    return number


default_generator = Generator()


@known_words
def manual_seed(seed: int) -> Generator:
    """Seed the generator that every draw uses when it is given no other; returns that generator.

    >>> import gradengine as ge
    >>> _ = ge.manual_seed(0)
    >>> a = ge.rand(2)
    >>> _ = ge.manual_seed(0)
    >>> bool((ge.rand(2) == a).all())
    True
    """
    return default_generator.manual_seed(seed)


# -- the draws as ops on a state --------------------------------------------------------------------------------


@primitive(None, any_precision=True)
def random_uniform(state, /, shape, low, high, dtype):
    """Uniform numbers in [low, high)."""


@primitive(None, any_precision=True)
def random_normal(state, /, shape, mean, std, dtype):
    """Normal numbers."""


@primitive(None, any_precision=True)
def random_integers(state, /, shape, low, high, dtype):
    """Integers in [low, high)."""


@primitive(None, any_precision=True)
def random_permutation(state, /, n):
    """A permutation of 0 to n - 1."""


@primitive(None, None, any_precision=True)
def random_bernoulli(state, p, /, shape, dtype):
    """1 with probability p, else 0."""


@primitive(None, any_precision=True, loop_form=loop_forms.dropout)
def random_dropout(state, /, shape, p, dtype):
    """0 with probability p, else 1 / (1 - p)."""


def state_of(name: str, generator: Generator | None, words: int, device: Any) -> Tensor:
    """The state of a draw, as an operand; it stays in host memory."""
    source = default_generator if generator is None else generator
    if not isinstance(source, Generator):
        raise DTypeError(f"{name}: generator must be a ge.Generator, got {describe(source)}")
    return constant(source.advance(words), devices.for_device(device))


def shape_of(name: str, shape: Any) -> tuple[int, ...]:
    """A shape given as ints, or as one sequence of them."""
    sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    try:
        out = tuple([operator.index(n) for n in sizes])
    except TypeError:
        raise DTypeError(f"{name}: a shape must consist of ints, got {describe(sizes)}") from None
    if any(n < 0 for n in out):
        raise ShapeError(f"{name}: sizes cannot be negative, got {out}")
    return out


def float_dtype(name: str, dtype: Any) -> np.dtype[Any]:
    """A floating-point dtype, the default one unless given."""
    found = get_default_dtype() if dtype is None else check_dtype(dtype, name)
    if not is_floating(found):
        raise DTypeError(f"{name}: draws floating-point numbers, not {found}; use randint or bernoulli")
    return found


def words_for(count: int, dtype: Any) -> int:
    """How many words `count` numbers take."""
    return count if dtype == np.float64 else (count + 1) // 2


@checked(ignored=IGNORED)
def rand(
    *shape: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Uniform numbers in [0, 1): multiples of 2^-24 in float32, of 2^-53 in float64. The shape as ints or a tuple.

    Raises ShapeError for a negative size, DTypeError for a dtype that is not floating-point.

    >>> import gradengine as ge
    >>> _ = ge.manual_seed(0)
    >>> ge.rand(2, 2)
    tensor([[0.7899, 0.0872],
            [0.403 , 0.856 ]])
    """
    sizes, kind = shape_of("rand", shape), float_dtype("rand", dtype)
    state = state_of("rand", generator, words_for(math.prod(sizes), kind), device)
    out = random_uniform(state, shape=sizes, low=0.0, high=1.0, dtype=kind)
    return out.become_leaf() if requires_grad else out


@checked(ignored=IGNORED)
def randn(
    *shape: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Normal numbers of mean 0 and standard deviation 1. The shape as ints or a tuple.

    The inverse distribution function (Wichura's AS 241) of uniform numbers, in float64. Raises ShapeError for a
    negative size, DTypeError for a dtype that is not floating-point.

    >>> import gradengine as ge
    >>> _ = ge.manual_seed(0)
    >>> ge.randn(3)
    tensor([ 0.806 , -1.358 , -0.2455])
    """
    sizes, kind = shape_of("randn", shape), float_dtype("randn", dtype)
    state = state_of("randn", generator, words_for(math.prod(sizes), kind), device)
    out = random_normal(state, shape=sizes, mean=0.0, std=1.0, dtype=kind)
    return out.become_leaf() if requires_grad else out


@checked
def uniform(
    low: float = 0.0,
    high: float = 1.0,
    shape: Any = (),
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
) -> Tensor:
    """Uniform numbers in [low, high). Raises ArgumentError unless low <= high and both are finite.

    >>> import gradengine as ge
    >>> x = ge.uniform(-1.0, 1.0, (1000,))
    >>> bool((x >= -1).all() and (x < 1).all())
    True
    """
    sizes, kind = shape_of("uniform", (shape,)), float_dtype("uniform", dtype)
    low, high = real("uniform", "low", low), real("uniform", "high", high)
    if not -math.inf < low <= high < math.inf:
        raise ArgumentError(f"uniform: low and high must be finite and in order, got {low} and {high}")
    state = state_of("uniform", generator, words_for(math.prod(sizes), kind), device)
    return random_uniform(state, shape=sizes, low=float(low), high=float(high), dtype=kind)


@checked
def normal(
    mean: float = 0.0,
    std: float = 1.0,
    shape: Any = (),
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
) -> Tensor:
    """Normal numbers of that mean and standard deviation, each of which may be a Tensor, as in PyTorch.

    Of Tensors the result has their common shape; it has no gradient (write `mean + std * ge.randn_like(mean)`).
    Raises ArgumentError for a negative `std`.

    >>> import gradengine as ge
    >>> ge.normal(5.0, 0.0, (2,))
    tensor([5., 5.])
    """
    arrays: list[Any] = [x for x in (mean, std) if isinstance(x, Tensor) and x.ndim]
    if arrays and shape == ():
        return normal_around(mean, std, arrays[0], generator, dtype)
    sizes, kind = shape_of("normal", (shape,)), float_dtype("normal", dtype)
    mean, std = real("normal", "mean", mean), real("normal", "std", std)
    if not std >= 0:
        raise ArgumentError(f"normal: std cannot be negative, got {std}")
    state = state_of("normal", generator, words_for(math.prod(sizes), kind), device)
    return random_normal(state, shape=sizes, mean=float(mean), std=float(std), dtype=kind)


def normal_around(mean: Any, std: Any, like: Tensor, generator: Generator | None, dtype: Any) -> Tensor:
    """Normal numbers, each of a mean and standard deviation of its own."""
    mean, std = [x.detach() if isinstance(x, Tensor) else x for x in (mean, std)]
    where = [x.shape for x in (mean, std) if isinstance(x, Tensor)]
    kind = float_dtype("normal", like.dtype if dtype is None else dtype)
    drawn = randn(broadcast("normal", *where), generator=generator, dtype=kind, device=like.device)
    return drawn * std + mean


@checked(ignored=IGNORED)
def randint(
    low: int = 0,
    high: Any = None,
    shape: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = np.int64,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers from low to high - 1, each as likely: `randint(low, high, shape)`, or `randint(high, shape)` from 0.

    Raises ArgumentError for an empty range or one that the dtype does not hold.

    >>> import gradengine as ge
    >>> x = ge.randint(0, 10, (1000,))
    >>> x.min().item(), x.max().item()
    (0, 9)
    """
    if high is None or isinstance(high, (tuple, list)):
        low, high, shape = 0, low, high if shape is None and high is not None else shape
    sizes, kind = shape_of("randint", (() if shape is None else shape,)), check_dtype(dtype, "randint")
    try:
        low, high = operator.index(low), operator.index(high)
    except TypeError:
        raise DTypeError(f"randint: the bounds must be ints, got {describe((low, high))}") from None
    if kind.kind not in "iu":
        raise DTypeError(f"randint: draws integers, not {kind}")
    held = np.iinfo(kind)
    if not held.min <= low < high <= held.max + 1:
        raise ArgumentError(f"randint: [{low}, {high}) must hold an integer, and {kind} must hold them all")
    if requires_grad:
        raise DTypeError("randint: integers have no gradient; leave out requires_grad, or convert them first")
    return random_integers(
        state_of("randint", generator, math.prod(sizes), device), shape=sizes, low=low, high=high, dtype=kind
    )


@checked(ignored=IGNORED)
def randperm(n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None) -> Tensor:
    """The integers 0 to n - 1 in random order, int64 unless told otherwise. Raises ShapeError for a negative n.

    >>> import gradengine as ge
    >>> sorted(ge.randperm(5).tolist())
    [0, 1, 2, 3, 4]
    """
    (n,) = shape_of("randperm", (whole("randperm", "n", n),))
    order = random_permutation(state_of("randperm", generator, n, device), n=n)
    return order if dtype is None else order.to(check_dtype(dtype, "randperm"))


@method
@checked(words={"input": "p"})
def bernoulli(
    p: Any, shape: Any = None, *, generator: Generator | None = None, dtype: Any = None, device: Any = None
) -> Tensor:
    """1 with probability `p`, else 0; `p` is a number, or a Tensor of probabilities that broadcasts to `shape`.

    Without `shape` the result has the shape of `p`, and without `dtype` its dtype. The probability is exact to 2^-32.
    Raises ArgumentError for a probability outside 0 to 1, ShapeError when `p` does not broadcast to `shape`. `p` has
    no gradient.

    >>> import gradengine as ge
    >>> ge.bernoulli(ge.tensor([0.0, 1.0, 1.0]))
    tensor([0., 1., 1.])
    """
    given = getattr(p, "shape", ())
    sizes = tuple(given) if shape is None else shape_of("bernoulli", (shape,))
    own = p.dtype if isinstance(p, Tensor) and is_floating(p.dtype) else get_default_dtype()
    kind = own if dtype is None else check_dtype(dtype, "bernoulli")
    if not isinstance(p, Tensor) or current.trace is None:  # a traced value cannot be looked at
        values = np.asarray(p.numpy(force=True) if isinstance(p, Tensor) else p)
        if values.dtype.kind not in "fiubV":
            raise DTypeError(f"bernoulli: p must be a number or an array of them, got {describe(p)}")
        if not ((values >= 0) & (values <= 1)).all():
            raise ArgumentError(f"bernoulli: probabilities must be from 0 to 1, got {describe(p)}")
    if len(given) > len(sizes) or any(m not in (1, n) for m, n in zip(reversed(given), reversed(sizes))):
        raise ShapeError(f"bernoulli: probabilities of shape {tuple(given)} do not broadcast to {sizes}")
    if isinstance(p, Tensor) and device is None:
        device = p.device
    state = state_of("bernoulli", generator, (math.prod(sizes) + 1) // 2, device)
    return random_bernoulli(state, p.detach() if isinstance(p, Tensor) else p, shape=sizes, dtype=kind)


@checked
def dropout_mask(
    shape: Any, p: float, *, generator: Generator | None = None, dtype: Any = None, device: Any = None
) -> Tensor:
    """What dropout multiplies with: 0 with probability `p`, else 1 / (1 - p). Raises ArgumentError for a bad `p`.

    >>> import gradengine as ge
    >>> ge.ops.dropout_mask((3,), 0.0), ge.ops.dropout_mask((3,), 1.0)
    (tensor([1., 1., 1.]), tensor([0., 0., 0.]))
    """
    sizes, kind = shape_of("dropout_mask", (shape,)), float_dtype("dropout_mask", dtype)
    if not 0 <= real("dropout_mask", "p", p) <= 1:
        raise ArgumentError(f"dropout_mask: p is the probability to drop, from 0 to 1; got {p}")
    state = state_of("dropout_mask", generator, (math.prod(sizes) + 1) // 2, device)
    return random_dropout(state, shape=sizes, p=float(p), dtype=kind)
