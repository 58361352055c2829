"""Distribution: the base of all, with shapes, validation, and what follows from a few methods.

A subclass has attributes for its parameters, says in `arg_constraints` what they must fulfil, and defines `rsample`
or `sample`, `log_prob` and whatever else has a formula.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from .. import ops, shapes
from ..core.dispatch import no_grad
from ..core.host_callbacks import current
from ..core.tensor_class import Tensor, wrap
from ..errors import ArgumentError, DTypeError, GraphError, ShapeError, describe
from ..shapes.dtypes import get_default_dtype, is_floating
from ..validation import check_flag, is_number, known_class
from .constraints import Constraint

Shape = tuple[int, ...]


@known_class
class Distribution:
    """The base of all distributions: independent ones in `batch_shape`, each with samples of `event_shape`.

    User-defined subclasses call `super().__init__(batch_shape, event_shape)`. `validate_args` checks parameters and
    values (the default); while a step is traced by `ge.jit`, values are not known and nothing is checked.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support: Any = None
    has_rsample = False
    has_enumerate_support = False
    _validate_by_default: ClassVar[bool] = True
    _takes_integers = False  # whether integers among values stay such

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions check parameters and values unless they are told."""
        Distribution._validate_by_default = check_flag("set_default_validate_args", "value", value)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("gradengine."):
            known_class(cls)

    def __init__(self, batch_shape: Shape = (), event_shape: Shape = (), validate_args: bool | None = None) -> None:
        try:
            self._batch_shape, self._event_shape = tuple(batch_shape), tuple(event_shape)
        except TypeError:
            given = f"{describe(batch_shape)} and {describe(event_shape)}"
            raise DTypeError(f"{type(self).__name__}: the shapes must be tuples, got {given}") from None
        if validate_args is not None:
            check_flag(type(self).__name__, "validate_args", validate_args)
        self._validate_args = Distribution._validate_by_default if validate_args is None else validate_args
        if not self.validates(validate_args):
            return
        for name, constraint in self.arg_constraints.items():
            value = self.__dict__.get(name)
            if value is None or constraint.name == "Dependent()":
                continue
            if not bool(ops.all(constraint.check(value.detach()))):
                raise ArgumentError(
                    f"{type(self).__name__}: the parameter {name.lstrip('_')} must satisfy {constraint}, got "
                    f"{brief(value)}"
                )

    @staticmethod
    def validates(validate_args: bool | None) -> bool:
        """Whether parameters are checked: asked for or by default, and known, which no value is during a trace."""
        wanted = Distribution._validate_by_default if validate_args is None else validate_args
        return bool(wanted) and current.trace is None

    # -- shapes -------------------------------------------------------------------------------------------------

    @property
    def batch_shape(self) -> Shape:
        """The shape of independent distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Shape:
        """The shape of one sample of one distribution."""
        return self._event_shape

    def _extended_shape(self, sample_shape: Any = ()) -> Shape:
        """The shape of samples."""
        return (*self.shape_of(sample_shape), *self._batch_shape, *self._event_shape)

    def shape_of(self, sample_shape: Any) -> Shape:
        """A shape of samples. Raises typed errors for what is none."""
        if isinstance(sample_shape, (int, str)):
            raise DTypeError(
                f"{type(self).__name__}: sample_shape must be a tuple of ints, such as (3,), got "
                f"{describe(sample_shape)}"
            )
        return shapes.sizes_of(type(self).__name__, sample_shape, "sample_shape is")

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same distributions, broadcast to a batch shape."""
        shape = shapes.sizes_of(f"{type(self).__name__}.expand", batch_shape, "batch_shape is")
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__)
        axes = {name: constraint.event_dim for name, constraint in self.arg_constraints.items()}
        for name, value in self.__dict__.items():
            if isinstance(value, Tensor):
                events = axes.get(name, len(self._event_shape))
                tail = value.shape[value.ndim - events :] if events else ()
                made.__dict__[name] = ops.broadcast_to(value, shape=(*shape, *tail))
            elif isinstance(value, Distribution):
                made.__dict__[name] = value.expand((*shape, *value.batch_shape[len(self._batch_shape) :]))
        made._batch_shape = shape
        return made

    # -- what a subclass defines --------------------------------------------------------------------------------

    @property
    def mean(self) -> Any:
        """The mean of each distribution."""
        raise self._lacks("mean")

    @property
    def mode(self) -> Any:
        """The value of the largest density or probability."""
        raise self._lacks("mode")

    @property
    def variance(self) -> Any:
        """The variance of each distribution."""
        raise self._lacks("variance")

    @property
    def stddev(self) -> Any:
        """The standard deviation of each distribution."""
        return ops.sqrt(self.variance)

    def sample(self, sample_shape: Any = ()) -> Any:
        """Samples outside the graph, of shape sample_shape + batch_shape + event_shape."""
        with no_grad():
            return self.rsample(sample_shape).detach()

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Samples that gradients flow through to the parameters. Raises GraphError where there are none such."""
        raise GraphError(
            f"{type(self).__name__} has no rsample: its samples have no gradient by the parameters; use sample(), and "
            "log_prob() for gradients of an expectation"
        )

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density or probability at a value."""
        raise self._lacks("log_prob")

    def cdf(self, value: Any) -> Any:
        """The probability of a value or less."""
        raise self._lacks("cdf")

    def icdf(self, value: Any) -> Any:
        """The inverse of `cdf`."""
        raise self._lacks("icdf")

    def enumerate_support(self, expand: bool = True) -> Any:
        """All values that have a probability, along a new first axis."""
        raise self._lacks("enumerate_support")

    def entropy(self) -> Any:
        """The entropy in nats."""
        raise self._lacks("entropy")

    def perplexity(self) -> Any:
        """The exponential of the entropy."""
        return ops.exp(self.entropy())

    def _lacks(self, name: str) -> NotImplementedError:
        return NotImplementedError(f"{type(self).__name__} has no {name}")

    # -- values -------------------------------------------------------------------------------------------------

    def _validated(self, value: Any) -> Any:
        """A value as a Tensor. Raises typed errors for one that is none, of another shape or outside the support."""
        owner = type(self).__name__
        if not isinstance(value, Tensor):
            if self._validate_args:
                raise DTypeError(f"{owner}: the value must be a Tensor, got {describe(value)}")
            value = wrap(value)
        if not is_floating(value.dtype) and not self._takes_integers:
            like = next((x for x in self.__dict__.values() if isinstance(x, Tensor) and is_floating(x.dtype)), None)
            value = value if like is None else ops.astype(value, dtype=like.dtype)
        if not self._validate_args:
            return value
        events = len(self._event_shape)
        wanted = (*self._batch_shape, *self._event_shape)
        if events and value.shape[max(value.ndim - events, 0) :] != self._event_shape:
            raise ShapeError(f"{owner}: a value must end with the event shape {self._event_shape}, got {value.shape}")
        for a, b in zip(reversed(value.shape), reversed(wanted)):
            if a != b and 1 not in (a, b):
                raise ShapeError(f"{owner}: a value of shape {value.shape} does not broadcast with {wanted}")
        if current.trace is None and self.support is not None and not bool(ops.all(self.support.check(value.detach()))):
            raise ArgumentError(f"{owner}: a value must be in the support, {self.support}, got {brief(value)}")
        return value

    def __repr__(self) -> str:
        names = [name for name in self.arg_constraints if isinstance(self.__dict__.get(name), Tensor)]
        values = [self.__dict__[name].detach() for name in names]
        parts = [f"{name}: {x.shape if x.ndim else x.item()}" for name, x in zip(names, values, strict=True)]
        return f"{type(self).__name__}({', '.join(parts)})"


def brief(value: Tensor) -> str:
    """Some numbers of a Tensor."""
    text = " ".join(repr(value.detach()).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def broadcast_all(owner: str, *values: Any) -> list[Any]:
    """Parameters as floating-point Tensors of one shape; numbers take the dtype of those that are Tensors.

    Raises DTypeError for anything that is not a number, ShapeError for shapes that do not broadcast.
    """
    like = next((value for value in values if isinstance(value, Tensor) and is_floating(value.dtype)), None)
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value if is_floating(value.dtype) else ops.astype(value, dtype=get_default_dtype()))
        elif is_number(value):
            made = wrap(float(value), like)
            found.append(made if hasattr(made.array, "dtype") else ops.asarray(float(value)))
        else:
            raise DTypeError(f"{owner}: a parameter must be a number or a Tensor, got {describe(value)}")
    shape = found[0].shape
    for value in found[1:]:
        shape = shapes.broadcast(owner, shape, value.shape)
    return [value if value.shape == shape else ops.broadcast_to(value, shape=shape) for value in found]


def event_sum(value: Any, count: int) -> Any:
    """The sum over the last `count` axes."""
    return ops.sum(value, axis=tuple(range(-count, 0))) if count else value


def floats(owner: str, name: str, value: Any) -> Any:
    """A parameter as a floating-point Tensor. Raises DTypeError for what is none."""
    if not isinstance(value, Tensor):
        raise DTypeError(f"{owner}: {name} must be a Tensor, got {describe(value)}")
    return value if is_floating(value.dtype) else ops.astype(value, dtype=get_default_dtype())


LOG_2PI = math.log(2 * math.pi)
