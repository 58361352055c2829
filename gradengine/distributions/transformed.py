"""Distributions made of others: Independent, TransformedDistribution, LogNormal, MixtureSameFamily."""

from __future__ import annotations

from typing import Any, ClassVar

from .. import ops, shapes
from ..core.dispatch import no_grad
from ..errors import ArgumentError, DTypeError, ShapeError, describe
from ..validation import check_integer
from . import constraints
from .constraints import Constraint
from .continuous import Normal
from .discrete import Categorical
from .distribution import Distribution, event_sum
from .transforms import ExpTransform, checked_transforms


def checked_base(owner: str, name: str, value: Any) -> Any:
    """Raise DTypeError for anything that is not a distribution."""
    if not isinstance(value, Distribution):
        raise DTypeError(f"{owner}: {name} must be a Distribution, got {describe(value)}")
    return value


class Independent(Distribution):
    """A distribution whose last batch axes count as one event, so that `log_prob` sums over them.

    >>> import gradengine as ge
    >>> d = ge.distributions
    >>> d.Independent(d.Normal(ge.zeros(3), ge.ones(3)), 1).event_shape
    (3,)
    """

    def __init__(
        self, base_distribution: Any, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
        base = checked_base("Independent", "base_distribution", base_distribution)
        count = check_integer("Independent", "reinterpreted_batch_ndims", reinterpreted_batch_ndims, 0)
        if count > len(base.batch_shape):
            raise ShapeError(f"Independent: there are {len(base.batch_shape)} batch axes, {count} cannot be one event")
        shape = base.batch_shape + base.event_shape
        events = count + len(base.event_shape)
        self.base_dist, self.reinterpreted_batch_ndims = base, count
        cut = len(shape) - events
        super().__init__(shape[:cut], shape[cut:], validate_args)
        self.has_rsample, self.has_enumerate_support = base.has_rsample, base.has_enumerate_support and not count

    @property
    def support(self) -> Any:
        base = self.base_dist.support
        return None if base is None else constraints.independent(base, self.reinterpreted_batch_ndims)

    @property
    def mean(self) -> Any:
        return self.base_dist.mean

    @property
    def mode(self) -> Any:
        return self.base_dist.mode

    @property
    def variance(self) -> Any:
        return self.base_dist.variance

    def expand(self, batch_shape: Any, _instance: Any = None) -> Independent:
        """The same distributions, broadcast to a batch shape."""
        shape = shapes.sizes_of("Independent.expand", batch_shape, "batch_shape is")
        inner = self._event_shape[: self.reinterpreted_batch_ndims]
        return Independent(self.base_dist.expand((*shape, *inner)), self.reinterpreted_batch_ndims)

    def sample(self, sample_shape: Any = ()) -> Any:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Any) -> Any:
        return event_sum(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Any:
        return event_sum(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def enumerate_support(self, expand: bool = True) -> Any:
        if self.reinterpreted_batch_ndims:
            raise self._lacks("enumerate_support of several axes")
        return self.base_dist.enumerate_support(expand)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist!r}, {self.reinterpreted_batch_ndims})"


class TransformedDistribution(Distribution):
    """The distribution of `transform(x)` for an x of a base distribution, through one transform or several.

    >>> import gradengine as ge
    >>> d = ge.distributions
    >>> logistic = d.TransformedDistribution(d.Uniform(0.0, 1.0), [d.SigmoidTransform().inv])
    >>> round(logistic.log_prob(ge.tensor(0.0)).exp().item(), 4)
    0.25
    """

    def __init__(self, base_distribution: Any, transforms: Any, validate_args: bool | None = None) -> None:
        owner = type(self).__name__
        self.base_dist = checked_base(owner, "base_distribution", base_distribution)
        self.transforms = checked_transforms(owner, transforms)
        self._events = max([len(self.base_dist.event_shape), *[t.event_dim for t in self.transforms]])
        shape = self.base_dist.batch_shape + self.base_dist.event_shape
        if self._events > len(shape):
            raise ShapeError(f"{owner}: the transforms need events of {self._events} axes, the base has shape {shape}")
        cut = len(shape) - self._events
        super().__init__(shape[:cut], shape[cut:], validate_args)
        self.has_rsample = self.base_dist.has_rsample

    @property
    def support(self) -> Any:
        if not self.transforms:
            return self.base_dist.support
        last = self.transforms[-1].codomain
        return constraints.independent(last, self._events - last.event_dim) if last.event_dim < self._events else last

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same distributions, broadcast to a batch shape."""
        made = type(self).__new__(type(self))
        shape = shapes.sizes_of(f"{type(self).__name__}.expand", batch_shape, "batch_shape is")
        more = self._event_shape[: self._events - len(self.base_dist.event_shape)]
        made.__dict__.update(self.__dict__, base_dist=self.base_dist.expand((*shape, *more)), _batch_shape=shape)
        return made

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            return self.through(self.base_dist.sample(sample_shape)).detach()

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.through(self.base_dist.rsample(sample_shape))

    def through(self, x: Any) -> Any:
        """What the transforms make of a value."""
        for transform in self.transforms:
            x = transform(x)
        return x

    def log_prob(self, value: Any) -> Any:
        y, events = self._validated(value), self._events
        total: Any = 0.0
        for transform in reversed(self.transforms):
            x = transform._inverse(y)
            total = total - event_sum(transform.log_abs_det_jacobian(x, y), events - transform.event_dim)
            y = x
        return total + event_sum(self.base_dist.log_prob(y), events - len(self.base_dist.event_shape))

    def sign(self) -> Any:
        """Whether the transforms rise (1) or fall (-1)."""
        sign: Any = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        return sign

    def cdf(self, value: Any) -> Any:
        y = self._validated(value)
        for transform in reversed(self.transforms):
            y = transform._inverse(y)
        found, sign = self.base_dist.cdf(y), self.sign()
        return sign * (found - 0.5) + 0.5

    def icdf(self, value: Any) -> Any:
        sign = self.sign()
        return self.through(self.base_dist.icdf(sign * (value - 0.5) + 0.5))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_dist!r}, {self.transforms})"


class LogNormal(TransformedDistribution):
    """The distribution of exp(x) for a normal x with mean `loc` and standard deviation `scale`.

    >>> import gradengine as ge
    >>> round(ge.distributions.LogNormal(0.0, 1.0).mean.item(), 4)
    1.6487
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {"loc": constraints.real, "scale": constraints.positive}

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Normal(loc, scale, validate_args=validate_args), ExpTransform(), validate_args)

    @property
    def loc(self) -> Any:
        """The mean of the logarithm."""
        return self.base_dist.loc

    @property
    def scale(self) -> Any:
        """The standard deviation of the logarithm."""
        return self.base_dist.scale

    @property
    def mean(self) -> Any:
        return ops.exp(self.loc + self.scale * self.scale / 2)

    @property
    def mode(self) -> Any:
        return ops.exp(self.loc - self.scale * self.scale)

    @property
    def variance(self) -> Any:
        square = self.scale * self.scale
        return ops.expm1(square) * ops.exp(2 * self.loc + square)

    def entropy(self) -> Any:
        return self.base_dist.entropy() + self.loc


class MixtureSameFamily(Distribution):
    """A mixture: a Categorical chooses one of the distributions along the last batch axis of another.

    >>> import gradengine as ge
    >>> d = ge.distributions
    >>> parts = d.Normal(ge.tensor([-1.0, 1.0]), ge.tensor([0.5, 0.5]))
    >>> d.MixtureSameFamily(d.Categorical(probs=ge.tensor([0.25, 0.75])), parts).mean.item()
    0.5
    """

    def __init__(
        self, mixture_distribution: Any, component_distribution: Any, validate_args: bool | None = None
    ) -> None:
        owner = "MixtureSameFamily"
        if not isinstance(mixture_distribution, Categorical):
            raise DTypeError(
                f"{owner}: mixture_distribution must be a Categorical, got {describe(mixture_distribution)}"
            )
        parts = checked_base(owner, "component_distribution", component_distribution)
        weights = mixture_distribution
        if not parts.batch_shape or parts.batch_shape[-1] != weights._num_events:
            raise ArgumentError(
                f"{owner}: the components have batch shape {parts.batch_shape}, whose last axis must be the "
                f"{weights._num_events} classes of the mixture"
            )
        self.mixture_distribution, self.component_distribution = weights, parts
        super().__init__(parts.batch_shape[:-1], parts.event_shape, validate_args)

    @property
    def support(self) -> Any:
        return self.component_distribution.support

    def weights(self) -> Any:
        """The probabilities, beside the components' events."""
        p = self.mixture_distribution.probs
        return ops.reshape(p, (*p.shape, *(1,) * len(self._event_shape)))

    @property
    def mean(self) -> Any:
        return ops.sum(self.weights() * self.component_distribution.mean, axis=-1 - len(self._event_shape))

    @property
    def variance(self) -> Any:
        axis, parts, p = -1 - len(self._event_shape), self.component_distribution, self.weights()
        difference = parts.mean - ops.expand_dims(self.mean, axis=axis)
        return ops.sum(p * parts.variance, axis=axis) + ops.sum(p * difference * difference, axis=axis)

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            events = len(self._event_shape)
            index = ops.broadcast_to(
                self.mixture_distribution.sample(sample_shape),
                shape=(*self.shape_of(sample_shape), *self._batch_shape),
            )
            drawn = self.component_distribution.sample(sample_shape)
            place = ops.reshape(index, (*index.shape, 1, *(1,) * events))
            place = ops.broadcast_to(place, shape=(*index.shape, 1, *self._event_shape))
            axis = -1 - events
            return ops.squeeze(ops.take_along_axis(drawn, place, axis=axis), axis=axis).detach()

    def log_prob(self, value: Any) -> Any:
        value = ops.expand_dims(self._validated(value), axis=-1 - len(self._event_shape))
        parts = self.component_distribution.log_prob(value)
        return ops.logsumexp(parts + self.mixture_distribution.logits, axis=-1)

    def cdf(self, value: Any) -> Any:
        parts = self.component_distribution.cdf(ops.expand_dims(self._validated(value), axis=-1))
        return ops.sum(parts * self.mixture_distribution.probs, axis=-1)

    def __repr__(self) -> str:
        return f"MixtureSameFamily({self.mixture_distribution!r}, {self.component_distribution!r})"
