"""MultivariateNormal: normal vectors with a covariance."""

from __future__ import annotations

from typing import Any, ClassVar

from .. import ops, shapes
from ..errors import ArgumentError, ShapeError
from . import constraints
from .constraints import Constraint
from .distribution import LOG_2PI, Distribution, floats
from .triangular import cholesky, solve_triangular


class MultivariateNormal(Distribution):
    """The normal distribution of vectors with mean `loc` (..., n), and one of three matrices (..., n, n).

    `covariance_matrix`, its inverse `precision_matrix`, or `scale_tril`, the lower Cholesky factor of the covariance,
    which is the cheapest.

    >>> import gradengine as ge
    >>> normal = ge.distributions.MultivariateNormal(ge.zeros(2), covariance_matrix=ge.eye(2))
    >>> round(normal.log_prob(ge.zeros(2)).item(), 4)
    -1.8379
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        owner = "MultivariateNormal"
        given = {"covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril}
        names = [name for name, value in given.items() if value is not None]
        if len(names) != 1:
            raise ArgumentError(
                f"{owner}: give exactly one of covariance_matrix, precision_matrix and scale_tril, got "
                f"{' and '.join(names) or 'none'}"
            )
        loc = floats(owner, "loc", loc)
        if not loc.ndim:
            raise ShapeError(f"{owner}: loc must have at least one axis")
        matrix = floats(owner, names[0], given[names[0]])
        n = loc.shape[-1]
        if matrix.ndim < 2 or matrix.shape[-2:] != (n, n):
            raise ShapeError(f"{owner}: {names[0]} must be (..., {n}, {n}), as loc is {loc.shape}, got {matrix.shape}")
        batch = shapes.broadcast(owner, matrix.shape[:-2], loc.shape[:-1])
        matrix = ops.broadcast_to(matrix, shape=(*batch, n, n))
        self.loc = ops.broadcast_to(loc, shape=(*batch, n))
        self.__dict__[names[0]] = matrix  # what is given is checked
        self._name = names[0]
        super().__init__(batch, (n,), validate_args)
        del self.__dict__[names[0]]
        if names[0] == "scale_tril":
            self._tril = matrix
        elif names[0] == "covariance_matrix":
            self._tril = cholesky(matrix)
        else:  # with J the matrix that reverses: P = J M M.T J for the factor M of J P J, so that L = (J M J).T ** -1
            reverse = ops.flip(cholesky(ops.flip(matrix, axis=(-2, -1))), axis=(-2, -1))
            eye = ops.broadcast_to(ops.eye(n, dtype=matrix.dtype, device=matrix.device), shape=matrix.shape)
            self._tril = solve_triangular(ops.matrix_transpose(reverse), eye)

    @property
    def scale_tril(self) -> Any:
        """The lower Cholesky factor of the covariance."""
        return self._tril

    @property
    def covariance_matrix(self) -> Any:
        """The covariance."""
        return ops.matmul(self._tril, ops.matrix_transpose(self._tril))

    @property
    def precision_matrix(self) -> Any:
        """The inverse of the covariance."""
        n = self._event_shape[0]
        eye = ops.broadcast_to(ops.eye(n, dtype=self.loc.dtype, device=self.loc.device), shape=self._tril.shape)
        inverse = solve_triangular(self._tril, eye)
        return ops.matmul(ops.matrix_transpose(inverse), inverse)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return ops.sum(self._tril * self._tril, axis=-1)

    def expand(self, batch_shape: Any, _instance: Any = None) -> MultivariateNormal:
        """The same distributions, broadcast to a batch shape."""
        shape = shapes.sizes_of("MultivariateNormal.expand", batch_shape, "batch_shape is")
        n = self._event_shape[0]
        made = MultivariateNormal.__new__(type(self))
        made.__dict__.update(self.__dict__, _batch_shape=shape)
        made.loc = ops.broadcast_to(self.loc, shape=(*shape, n))
        made._tril = ops.broadcast_to(self._tril, shape=(*shape, n, n))
        return made

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        z = ops.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + ops.squeeze(ops.matmul(self._tril, ops.expand_dims(z, axis=-1)), axis=-1)

    def log_prob(self, value: Any) -> Any:
        difference = self._validated(value) - self.loc
        z = ops.squeeze(solve_triangular(self._tril, ops.expand_dims(difference, axis=-1)), axis=-1)
        return -0.5 * (self._event_shape[0] * LOG_2PI + ops.sum(z * z, axis=-1)) - half_log_det(self._tril)

    def entropy(self) -> Any:
        return 0.5 * self._event_shape[0] * (1.0 + LOG_2PI) + half_log_det(self._tril)


def half_log_det(tril: Any) -> Any:
    """Half of the logarithm of the covariance's determinant."""
    return ops.sum(ops.log(ops.diagonal(tril, axis1=-2, axis2=-1)), axis=-1)
