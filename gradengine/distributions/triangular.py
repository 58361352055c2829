"""Cholesky factors and triangular systems, as far as multivariate normal distributions need them.

Both are ops with gradients of any order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..ops.declare import primitive

Shape = tuple[int, ...]


def square(name: str, shape: Shape) -> Shape:
    """Raise ShapeError for anything that is not a square matrix, or a batch of them."""
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ShapeError(f"{name}: needs square matrices (..., n, n), got shape {shape}")
    return shape


def cholesky_shape(name: str, a: Shape) -> Shape:
    return square(name, a)


def solve_shape(name: str, a: Shape, b: Shape, upper: bool = False) -> Shape:
    from .. import shapes

    square(name, a)
    if len(b) < 2 or b[-2] != a[-1]:
        raise ShapeError(
            f"{name}: matrices {a} do not go with right-hand sides {b}; needed are (..., n, n), (..., n, k)"
        )
    return (*shapes.broadcast(name, a[:-2], b[:-2]), *b[-2:])


def lower_with_half_diagonal(k: Any, x: Any) -> Any:
    """The lower triangle, with half of the diagonal."""
    return 0.5 * (k.tril(x, k=0) + k.tril(x, k=-1))


def transposed(k: Any, x: Any) -> Any:
    return k.matrix_transpose(x)


def solver(k: Any) -> Any:
    """The solution of a triangular system as the interpreter has it; on Tensors it is the op below."""
    return getattr(k, "solve_triangular", None) or solve_triangular


def cholesky_rule(k: Any, g: Any, y: Any, a: Any) -> Any:
    """Murray, Differentiation of the Cholesky decomposition (2016), equation 10: symmetric."""
    inner = lower_with_half_diagonal(k, k.matmul(transposed(k, y), g))
    left = solver(k)(transposed(k, y), inner, upper=True)
    both = transposed(k, solver(k)(transposed(k, y), transposed(k, left), upper=True))
    return 0.5 * (both + transposed(k, both))


def factor(a: Any) -> Any:
    """The lower Cholesky factor of raw arrays."""
    square("cholesky", a.shape)
    try:
        return np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        raise ArgumentError("cholesky: a matrix is not positive definite") from None


def solved(a: Any, b: Any, upper: bool) -> Any:
    """The solution of a triangular system of raw arrays."""
    solve_shape("solve_triangular", a.shape, b.shape)
    return np.linalg.solve(np.triu(a) if upper else np.tril(a), b)


def solve_rule_a(k: Any, g: Any, y: Any, a: Any, b: Any, upper: bool) -> Any:
    h = solver(k)(transposed(k, a), g, upper=not upper)
    full = -k.matmul(h, transposed(k, y))
    return k.triu(full, k=0) if upper else k.tril(full, k=0)


def solve_rule_b(k: Any, g: Any, y: Any, a: Any, b: Any, upper: bool) -> Any:
    return solver(k)(transposed(k, a), g, upper=not upper)


@primitive(cholesky_rule, shape=cholesky_shape, kernel=factor)
def cholesky(a, /):
    """The lower triangular L with L @ L.mT = a, for symmetric positive definite matrices (..., n, n).

    Only the lower triangle is read; the gradient is symmetric. Raises ArgumentError for other matrices.

    >>> import gradengine as ge
    >>> from gradengine.distributions.triangular import cholesky
    >>> cholesky(ge.tensor([[4.0, 2.0], [2.0, 2.0]]))
    tensor([[2., 0.],
            [1., 1.]])
    """


@primitive(solve_rule_a, solve_rule_b, shape=solve_shape, kernel=solved)
def solve_triangular(a, b, /, upper=False):
    """The x with a @ x = b, where of `a` only the lower triangle counts, or the upper one.

    >>> import gradengine as ge
    >>> from gradengine.distributions.triangular import solve_triangular
    >>> solve_triangular(ge.tensor([[2.0, 0.0], [1.0, 1.0]]), ge.tensor([[2.0], [3.0]])).tolist()
    [[1.0], [2.0]]
    """
