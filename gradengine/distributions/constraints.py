"""Constraints: what the parameters and the samples of a distribution must fulfil.

`constraint.check(value)` is a Tensor of bools, one per event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import ops
from ..core.tensor_class import wrap
from ..validation import known_calls

__all__ = [
    "Constraint",
    "boolean",
    "dependent",
    "greater_than",
    "half_open_interval",
    "independent",
    "integer_interval",
    "interval",
    "lower_cholesky",
    "nonnegative",
    "nonnegative_integer",
    "one_hot",
    "positive",
    "positive_definite",
    "real",
    "real_vector",
    "simplex",
    "unit_interval",
]


class Constraint:
    """A named condition on the elements of a Tensor, or on its last `event_dim` axes together."""

    def __init__(self, name: str, check: Callable[[Any], Any], event_dim: int = 0, is_discrete: bool = False) -> None:
        self.name, self.holds, self.event_dim, self.is_discrete = name, check, event_dim, is_discrete

    def check(self, value: Any) -> Any:
        """Where the condition holds.

        >>> import gradengine as ge
        >>> ge.distributions.constraints.positive.check(ge.tensor([1.0, -1.0])).tolist()
        [True, False]
        """
        return self.holds(value)

    def __repr__(self) -> str:
        return self.name


def whole(x: Any) -> Any:
    """Where numbers are integers."""
    return ops.equal(ops.floor(x), x) if x.dtype.kind == "f" else ops.equal(x, x)


def last(x: Any, count: int = 1) -> Any:
    """Whether all along the last axes are true."""
    return ops.all(x, axis=tuple(range(-count, 0)))


def interval(low: Any, high: Any) -> Constraint:
    """Numbers from `low` to `high`."""
    return Constraint(f"Interval({low}, {high})", lambda x: (x >= low) & (x <= high))


def half_open_interval(low: Any, high: Any) -> Constraint:
    """Numbers from `low` up to below `high`."""
    return Constraint(f"HalfOpenInterval({low}, {high})", lambda x: (x >= low) & (x < high))


def greater_than(low: Any) -> Constraint:
    """Numbers above `low`."""
    return Constraint(f"GreaterThan({low})", lambda x: x > low)


def integer_interval(low: Any, high: Any) -> Constraint:
    """Integers from `low` to `high`."""
    return Constraint(
        f"IntegerInterval({low}, {high})", lambda x: whole(x) & (x >= low) & (x <= high), is_discrete=True
    )


def independent(base: Constraint, reinterpreted: int) -> Constraint:
    """A constraint of which the last axes count as one event."""
    return Constraint(
        f"IndependentConstraint({base}, {reinterpreted})",
        lambda x: last(base.check(x), reinterpreted) if reinterpreted else base.check(x),
        base.event_dim + reinterpreted,
        base.is_discrete,
    )


def is_simplex(x: Any) -> Any:
    return last(x >= 0) & (ops.abs(ops.sum(x, axis=-1) - 1) < 1e-6)


def is_one_hot(x: Any) -> Any:
    return last((x == 0) | (x == 1)) & ops.equal(ops.sum(x, axis=-1), 1)


def is_lower_cholesky(x: Any) -> Any:
    return last(ops.equal(ops.tril(x), x), 2) & last(ops.diagonal(x, axis1=-2, axis2=-1) > 0)


def is_positive_definite(x: Any) -> Any:
    values = x.detach().numpy()
    symmetric = np.isclose(values, np.swapaxes(values, -1, -2), atol=1e-6).all(axis=(-2, -1))
    with np.errstate(all="ignore"):
        finite = np.isfinite(values).all(axis=(-2, -1))
        safe = np.where(finite[..., None, None], values, np.eye(values.shape[-1]))
        least = np.linalg.eigvalsh(safe.astype(np.float64))[..., 0]
    return wrap(np.asarray(symmetric & finite & (least > 0)))


dependent = Constraint("Dependent()", lambda x: ops.equal(x, x))
boolean = Constraint("Boolean()", lambda x: (x == 0) | (x == 1), is_discrete=True)
real = Constraint("Real()", lambda x: ops.equal(x, x))
real_vector = Constraint("IndependentConstraint(Real(), 1)", lambda x: last(ops.equal(x, x)), 1)
positive = greater_than(0.0)
nonnegative = Constraint("GreaterThanEq(lower_bound=0.0)", lambda x: x >= 0)
unit_interval = interval(0.0, 1.0)
nonnegative_integer = Constraint("IntegerGreaterThan(0)", lambda x: whole(x) & (x >= 0), is_discrete=True)
simplex = Constraint("Simplex()", is_simplex, 1)
one_hot = Constraint("OneHot()", is_one_hot, 1, True)
lower_cholesky = Constraint("LowerCholesky()", is_lower_cholesky, 2)
positive_definite = Constraint("PositiveDefinite()", is_positive_definite, 2)


known_calls(__name__)
