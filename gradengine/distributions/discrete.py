"""Distributions on integers and classes."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from .. import ops, shapes
from ..core.host_callbacks import current
from ..errors import ArgumentError, ShapeError
from ..shapes.dtypes import finfo
from ..validation import check_integer
from . import constraints
from .constraints import Constraint
from .continuous import uniform01
from .distribution import Distribution, brief, broadcast_all, floats


def exactly_one(owner: str, probs: Any, logits: Any) -> None:
    """Raise ArgumentError unless one of both is given."""
    if (probs is None) == (logits is None):
        raise ArgumentError(f"{owner}: give either probs or logits, got {'neither' if probs is None else 'both'}")


def away_from_ends(p: Any) -> Any:
    """Probabilities that have finite logits."""
    eps = float(finfo(p.dtype).eps)
    return ops.clip(p, min=eps, max=1 - eps)


class Binary(Distribution):
    """The base of distributions with one probability: `probs`, or `logits` that are log(p / (1 - p))."""

    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "_probs": constraints.unit_interval,
        "_logits": constraints.real,
    }

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        exactly_one(type(self).__name__, probs, logits)
        self._probs = self._logits = None
        if probs is not None:
            (self._probs,) = broadcast_all(type(self).__name__, probs)
        else:
            (self._logits,) = broadcast_all(type(self).__name__, logits)
        super().__init__(self._parameter.shape, (), validate_args)

    @property
    def _parameter(self) -> Any:
        return self._logits if self._probs is None else self._probs

    @property
    def probs(self) -> Any:
        """The probabilities."""
        return ops.sigmoid(self._logits) if self._probs is None else self._probs

    @property
    def logits(self) -> Any:
        """log(p / (1 - p)), of probabilities that are not quite 0 or 1."""
        if self._logits is not None:
            return self._logits
        p = away_from_ends(self._probs)
        return ops.log(p) - ops.log1p(-p)

    @property
    def param_shape(self) -> tuple[int, ...]:
        """The shape of the parameter."""
        return self._parameter.shape

    def cross_entropy(self, value: Any) -> Any:
        """Minus the log-probability of 1 with probability `value`."""
        logits, value = self.logits, value
        shape = (0 * logits + 0 * value).shape
        x = ops.broadcast_to(logits, shape=shape)
        return ops.where(x > 0, x * (1 - value), -x * value) + ops.log1p(ops.exp(-ops.abs(x)))


class Bernoulli(Binary):
    """1 with probability p, else 0.

    >>> import gradengine as ge
    >>> ge.distributions.Bernoulli(probs=0.25).log_prob(ge.tensor(1.0)).exp().item()
    0.25
    """

    support = constraints.boolean
    has_enumerate_support = True

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def mode(self) -> Any:
        p = self.probs
        return ops.where(p == 0.5, math.nan, ops.astype(p >= 0.5, dtype=p.dtype))

    @property
    def variance(self) -> Any:
        p = self.probs
        return p * (1 - p)

    def sample(self, sample_shape: Any = ()) -> Any:
        p = self.probs.detach()
        u = ops.rand(self._extended_shape(sample_shape), dtype=p.dtype, device=p.device)
        return ops.astype(u < p, dtype=p.dtype)

    def log_prob(self, value: Any) -> Any:
        return -self.cross_entropy(self._validated(value))

    def entropy(self) -> Any:
        return self.cross_entropy(self.probs)

    def enumerate_support(self, expand: bool = True) -> Any:
        values = ops.reshape(ops.arange(2, dtype=self._parameter.dtype), (2, *(1,) * len(self._batch_shape)))
        return ops.broadcast_to(values, shape=(2, *self._batch_shape)) if expand else values


class Geometric(Binary):
    """How many failures come before the first success of probability p.

    >>> import gradengine as ge
    >>> ge.distributions.Geometric(probs=0.25).mean.item()
    3.0
    """

    support = constraints.nonnegative_integer

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        super().__init__(probs, logits, validate_args)
        if self._validate_args and current.trace is None and not bool(ops.all(self.probs > 0)):
            raise ArgumentError("Geometric: the parameter probs must be above 0")

    @property
    def mean(self) -> Any:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Any:
        return ops.zeros_like(self.probs.detach())

    @property
    def variance(self) -> Any:
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape: Any = ()) -> Any:
        p = self.probs.detach()
        return ops.floor(ops.log(uniform01(self._extended_shape(sample_shape), p)) / ops.log1p(-p))

    def log_prob(self, value: Any) -> Any:
        value, p = self._validated(value), self.probs
        certain = (p == 1) & (value == 0)
        safe = ops.where(certain, 0.0 * p, p)
        return value * ops.log1p(-safe) + ops.log(p)

    def entropy(self) -> Any:
        return self.cross_entropy(self.probs) / self.probs


class Poisson(Distribution):
    """How many events happen, of which `rate` are expected.

    >>> import gradengine as ge
    >>> round(ge.distributions.Poisson(2.0).log_prob(ge.tensor(0.0)).item(), 4)
    -2.0
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all("Poisson", rate)
        super().__init__(self.rate.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return self.rate

    @property
    def mode(self) -> Any:
        return ops.floor(self.rate)

    @property
    def variance(self) -> Any:
        return self.rate

    def sample(self, sample_shape: Any = ()) -> Any:
        return ops.poisson(ops.broadcast_to(self.rate.detach(), shape=self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        value = self._validated(value)
        term = ops.where((value == 0) & (self.rate == 0), 0.0 * self.rate, value * ops.log(self.rate))
        return term - self.rate - ops.lgamma(value + 1)


class Classes(Distribution):
    """The base of distributions over classes along the last axis: `probs` (made to add up to 1) or `logits`."""

    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "probs": constraints.simplex,
        "logits": constraints.real_vector,
    }
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        owner = type(self).__name__
        exactly_one(owner, probs, logits)
        given = floats(owner, "probs", probs) if probs is not None else floats(owner, "logits", logits)
        if not given.ndim:
            raise ShapeError(f"{owner}: {'probs' if logits is None else 'logits'} must have an axis of classes")
        self._by_probs = probs is not None
        if self.validates(validate_args):
            self.check_weights(given)
        if self._by_probs:
            self.probs = given / ops.sum(given, axis=-1, keepdims=True)
            self.logits = ops.log(away_from_ends(self.probs))
        else:
            self.logits = given - ops.logsumexp(given, axis=-1, keepdims=True)
            self.probs = ops.softmax(self.logits, axis=-1)
        self._num_events = given.shape[-1]

    def check_weights(self, given: Any) -> None:
        """Raise ArgumentError for weights that no probabilities come of, before they are made to add up to 1."""
        values, owner = given.detach(), type(self).__name__
        if not self._by_probs:
            if bool(ops.any(ops.isnan(values) | (values == math.inf))):
                raise ArgumentError(f"{owner}: logits must be numbers below infinity, got {brief(values)}")
        elif not bool(ops.all((values >= 0) & (values < math.inf))):
            raise ArgumentError(f"{owner}: probs must be finite and not negative, got {brief(values)}")
        elif not bool(ops.all(ops.sum(values, axis=-1) > 0)):
            raise ArgumentError(f"{owner}: probs must not all be 0, got {brief(values)}")

    @property
    def param_shape(self) -> tuple[int, ...]:
        """The shape of the parameter."""
        return self.logits.shape

    def draw(self, sample_shape: Any) -> Any:
        """Classes, of shape sample_shape + batch_shape."""
        shape = (*self.shape_of(sample_shape), *self._batch_shape)
        ends = ops.cumsum(self.probs.detach(), axis=-1)
        u = ops.rand(shape, dtype=ends.dtype, device=ends.device) * ends[..., -1]
        passed = ops.less_equal(ends, ops.expand_dims(u, axis=-1))
        index = ops.sum(ops.astype(passed, dtype="int64"), axis=-1)
        possible = ops.where(self.probs.detach() > 0, ops.arange(self._num_events, device=ends.device), -1)
        return ops.minimum(index, ops.max(possible, axis=-1))  # rounding may lead beyond the last class

    def entropy(self) -> Any:
        least = float(finfo(self.logits.dtype).min)
        return -ops.sum(ops.clip(self.logits, min=least) * self.probs, axis=-1)


class Categorical(Classes):
    """A class 0 to K - 1, with `probs` or `logits` (..., K).

    >>> import gradengine as ge
    >>> ge.distributions.Categorical(probs=ge.tensor([1.0, 3.0])).log_prob(ge.tensor(1)).exp().item()
    0.75
    """

    _takes_integers = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        super().__init__(probs, logits, validate_args)
        Distribution.__init__(self, self.logits.shape[:-1], (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def mean(self) -> Any:
        return ops.full(self._batch_shape, math.nan, dtype=self.probs.dtype, device=self.probs.device)

    @property
    def mode(self) -> Any:
        return ops.argmax(self.probs, axis=-1)

    @property
    def variance(self) -> Any:
        return ops.full(self._batch_shape, math.nan, dtype=self.probs.dtype, device=self.probs.device)

    def sample(self, sample_shape: Any = ()) -> Any:
        return self.draw(sample_shape)

    def log_prob(self, value: Any) -> Any:
        value = ops.astype(self._validated(value), dtype="int64")
        shape = shapes.broadcast("Categorical", value.shape, self._batch_shape)
        place = ops.expand_dims(ops.broadcast_to(value, shape=shape), axis=-1)
        rows = ops.broadcast_to(self.logits, shape=(*shape, self._num_events))
        return ops.squeeze(ops.take_along_axis(rows, place, axis=-1), axis=-1)

    def enumerate_support(self, expand: bool = True) -> Any:
        values = ops.reshape(ops.arange(self._num_events), (-1, *(1,) * len(self._batch_shape)))
        return ops.broadcast_to(values, shape=(self._num_events, *self._batch_shape)) if expand else values


class OneHotCategorical(Classes):
    """A class as a one-hot vector, with `probs` or `logits` (..., K).

    >>> import gradengine as ge
    >>> ge.distributions.OneHotCategorical(probs=ge.tensor([0.0, 1.0])).sample().tolist()
    [0.0, 1.0]
    """

    support = constraints.one_hot

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        super().__init__(probs, logits, validate_args)
        Distribution.__init__(self, self.logits.shape[:-1], self.logits.shape[-1:], validate_args)

    def vectors(self, index: Any) -> Any:
        """Classes as one-hot vectors."""
        places = ops.arange(self._num_events, device=self.probs.device)
        return ops.astype(ops.equal(ops.expand_dims(index, axis=-1), places), dtype=self.probs.dtype)

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def mode(self) -> Any:
        return self.vectors(ops.argmax(self.probs, axis=-1))

    @property
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        return self.vectors(self.draw(sample_shape))

    def log_prob(self, value: Any) -> Any:
        value = self._validated(value)
        return ops.sum(ops.where(value > 0, self.logits, 0.0 * self.logits), axis=-1)

    def enumerate_support(self, expand: bool = True) -> Any:
        count = self._num_events
        values = ops.reshape(ops.eye(count, dtype=self.probs.dtype), (count, *(1,) * len(self._batch_shape), count))
        return ops.broadcast_to(values, shape=(count, *self._batch_shape, count)) if expand else values


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """One-hot samples with the gradient of the probabilities (Bengio et al. 2013).

    >>> import gradengine as ge
    >>> ge.distributions.OneHotCategoricalStraightThrough(probs=ge.tensor([0.0, 1.0])).rsample().tolist()
    [0.0, 1.0]
    """

    has_rsample = True

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.sample(sample_shape) + (self.probs - self.probs.detach())


class Multinomial(Classes):
    """How often each class comes in `total_count` draws, with `probs` or `logits` (..., K).

    >>> import gradengine as ge
    >>> ge.distributions.Multinomial(5, probs=ge.tensor([0.0, 1.0])).sample().tolist()
    [0.0, 5.0]
    """

    has_enumerate_support = False

    def __init__(
        self, total_count: int = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self.total_count = check_integer("Multinomial", "total_count", total_count, 0)
        super().__init__(probs, logits, validate_args)
        Distribution.__init__(self, self.logits.shape[:-1], self.logits.shape[-1:], validate_args)

    @property
    def support(self) -> Constraint:
        total = self.total_count
        return Constraint(
            f"Multinomial({total})",
            lambda x: constraints.last(constraints.nonnegative_integer.check(x)) & (ops.sum(x, axis=-1) == total),
            1,
            True,
        )

    @property
    def mean(self) -> Any:
        return self.probs * self.total_count

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        drawn = self.draw((self.total_count, *self.shape_of(sample_shape)))
        places = ops.arange(self._num_events, device=self.probs.device)
        hits = ops.astype(ops.equal(ops.expand_dims(drawn, axis=-1), places), dtype=self.probs.dtype)
        return ops.sum(hits, axis=0)

    def log_prob(self, value: Any) -> Any:
        value = self._validated(value)
        terms = ops.where((value == 0) & ops.isinf(self.logits), 0.0 * value, self.logits * value)
        factorials = ops.lgamma(ops.sum(value, axis=-1) + 1) - ops.sum(ops.lgamma(value + 1), axis=-1)
        return factorials + ops.sum(terms, axis=-1)

    def entropy(self) -> Any:
        raise self._lacks("entropy")
