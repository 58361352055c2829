"""PyTorch's products by the number of axes: mm, bmm, mv, dot, inner, and sums with a product (addmm and its like).

Each checks what PyTorch checks, and is made of `matmul`.
"""

from __future__ import annotations

from typing import Any

from ..core.tensor_class import Tensor, wrap
from ..errors import ShapeError
from .arguments import checked
from .elementwise import add, multiply
from .linalg import matmul, outer, tensordot
from .reduce import sum
from .shape import reshape
from .tensor_methods import method

__all__ = [
    "mm", "bmm", "mv", "dot", "inner", "ger", "addmm", "addmv", "addbmm", "baddbmm", "addr", "kron", "chain_matmul",
]  # fmt: skip


def with_axes(name: str, *operands: tuple[Any, int]) -> list[Tensor]:
    """Operands as Tensors. Raises ShapeError unless each has as many axes as PyTorch asks for."""
    like = next((x for x, _ in operands if isinstance(x, Tensor)), None)
    tensors = [wrap(x, like, name) for x, _ in operands]
    if any([t.ndim != ndim for t, (_, ndim) in zip(tensors, operands, strict=True)]):
        wanted = " and ".join([f"{ndim}-d" for _, ndim in operands])
        given = " and ".join([str(t.shape) for t in tensors])
        raise ShapeError(f"{name}: takes {wanted} arrays, got shapes {given}; @ takes others")
    return tensors


@method
@checked(words={"mat2": "x2"})
def mm(x1: Any, x2: Any, /) -> Tensor:
    """The product of two matrices, (m, n) and (n, p). Raises ShapeError for anything but a matrix or does not fit.

    >>> import gradengine as ge
    >>> ge.mm(ge.tensor([[1.0, 2.0]]), ge.tensor([[3.0], [4.0]]))
    tensor([[11.]])
    """
    return matmul(*with_axes("mm", (x1, 2), (x2, 2)))


@method
@checked(words={"mat2": "x2"})
def bmm(x1: Any, x2: Any, /) -> Tensor:
    """The products of as many matrices, (b, m, n) and (b, n, p). Raises ShapeError for other shapes.

    >>> import gradengine as ge
    >>> ge.bmm(ge.ones(2, 1, 3), ge.ones(2, 3, 1)).shape
    (2, 1, 1)
    """
    a, b = with_axes("bmm", (x1, 3), (x2, 3))
    if a.shape[0] != b.shape[0]:
        raise ShapeError(f"bmm: {a.shape} and {b.shape} must have as many matrices; @ broadcasts them")
    return matmul(a, b)


@method
@checked(words={"vec": "x2"})
def mv(x1: Any, x2: Any, /) -> Tensor:
    """The product of a matrix (m, n) and a vector (n,). Raises ShapeError for other shapes.

    >>> import gradengine as ge
    >>> ge.mv(ge.tensor([[1.0, 2.0], [3.0, 4.0]]), ge.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """
    return matmul(*with_axes("mv", (x1, 2), (x2, 1)))


@method
@checked(words={"tensor": "x2"})
def dot(x1: Any, x2: Any, /) -> Tensor:
    """The dot product of two vectors. NumPy's `dot` of more axes is `@` or `tensordot`; for them it raises ShapeError.

    >>> import gradengine as ge
    >>> ge.dot(ge.tensor([1.0, 2.0]), ge.tensor([3.0, 4.0]))
    tensor(11.)
    """
    return matmul(*with_axes("dot", (x1, 1), (x2, 1)))


@method
@checked
def inner(x1: Any, x2: Any, /) -> Tensor:
    """Dot products of the last axes, for every pair of the others; a 0-d operand multiplies, as in NumPy and PyTorch.

    >>> import gradengine as ge
    >>> ge.inner(ge.tensor([1.0, 2.0]), ge.tensor([[3.0, 4.0], [5.0, 6.0]]))
    tensor([11., 17.])
    """
    a, b = wrap(x1, x2, "inner"), wrap(x2, x1, "inner")
    if not a.ndim or not b.ndim:
        return multiply(a, b)
    if a.shape[-1] != b.shape[-1]:
        raise ShapeError(f"inner: the last axes of {a.shape} and {b.shape} must be equal")
    return tensordot(a, b, axes=((-1,), (-1,)))


@method
@checked(words={"vec2": "x2"})
def ger(x1: Any, x2: Any, /) -> Tensor:
    """The outer product of two vectors, as `outer`. Raises ShapeError for other shapes.

    >>> import gradengine as ge
    >>> ge.ger(ge.tensor([1.0, 2.0]), ge.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    return outer(*with_axes("ger", (x1, 1), (x2, 1)))


def plus_product(x: Any, product: Tensor, beta: Any, alpha: Any) -> Tensor:
    """`beta * x + alpha * product`; where `beta` is 0, `x` is not looked at, so that NaN in it goes nowhere."""
    scaled = product if alpha == 1 else multiply(product, alpha)
    if beta == 0:
        return scaled
    return add(x if beta == 1 else multiply(x, beta), scaled)


@method(in_place=True)
@checked(words={"mat1": "x1", "mat2": "x2"})
def addmm(x: Any, x1: Any, x2: Any, /, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * x + alpha * (x1 @ x2)` for matrices x1 and x2; x broadcasts.

    >>> import gradengine as ge
    >>> ge.addmm(ge.tensor([10.0]), ge.tensor([[1.0, 2.0]]), ge.tensor([[3.0], [4.0]]), alpha=2)
    tensor([[32.]])
    """
    return plus_product(x, matmul(*with_axes("addmm", (x1, 2), (x2, 2))), beta, alpha)


@method(in_place=True)
@checked(words={"mat": "x1", "vec": "x2"})
def addmv(x: Any, x1: Any, x2: Any, /, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * x + alpha * (x1 @ x2)` for a matrix x1 and a vector x2; x broadcasts.

    >>> import gradengine as ge
    >>> ge.addmv(ge.tensor([1.0]), ge.tensor([[1.0, 2.0]]), ge.tensor([3.0, 4.0]))
    tensor([12.])
    """
    return plus_product(x, matmul(*with_axes("addmv", (x1, 2), (x2, 1))), beta, alpha)


@method(in_place=True)
@checked(words={"batch1": "x1", "batch2": "x2"})
def baddbmm(x: Any, x1: Any, x2: Any, /, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * x + alpha * bmm(x1, x2)`; x broadcasts.

    >>> import gradengine as ge
    >>> ge.baddbmm(ge.ones(2, 1, 1), ge.ones(2, 1, 3), ge.ones(2, 3, 1)).tolist()
    [[[4.0]], [[4.0]]]
    """
    return plus_product(x, bmm(x1, x2), beta, alpha)


@method(in_place=True)
@checked(words={"batch1": "x1", "batch2": "x2"})
def addbmm(x: Any, x1: Any, x2: Any, /, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * x + alpha *` the sum of the matrices of `bmm(x1, x2)`; x broadcasts.

    >>> import gradengine as ge
    >>> ge.addbmm(ge.ones(1, 1), ge.ones(2, 1, 3), ge.ones(2, 3, 1))
    tensor([[7.]])
    """
    return plus_product(x, sum(bmm(x1, x2), axis=0), beta, alpha)


@method(in_place=True)
@checked(words={"vec1": "x1", "vec2": "x2"})
def addr(x: Any, x1: Any, x2: Any, /, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * x + alpha * outer(x1, x2)` for vectors; x broadcasts.

    >>> import gradengine as ge
    >>> ge.addr(ge.ones(1, 1), ge.tensor([2.0]), ge.tensor([3.0]))
    tensor([[7.]])
    """
    return plus_product(x, outer(*with_axes("addr", (x1, 1), (x2, 1))), beta, alpha)


@method
@checked
def kron(x1: Any, x2: Any, /) -> Tensor:
    """The Kronecker product: each element of x1 times all of x2, in blocks.

    >>> import gradengine as ge
    >>> ge.kron(ge.tensor([1.0, 10.0]), ge.tensor([1.0, 2.0]))
    tensor([ 1.,  2., 10., 20.])
    """
    a, b = wrap(x1, x2, "kron"), wrap(x2, x1, "kron")
    ndim = max(a.ndim, b.ndim)
    left, right = ((1,) * (ndim - t.ndim) + t.shape for t in (a, b))
    spread = reshape(a, shape=tuple([n for size in left for n in (size, 1)]))
    blocks = multiply(spread, reshape(b, shape=tuple([n for size in right for n in (1, size)])))
    return reshape(blocks, shape=tuple([m * n for m, n in zip(left, right, strict=True)]))


@checked
def chain_matmul(*matrices: Any) -> Tensor:
    """The product of several matrices, from left to right. Raises ShapeError for anything that is not a matrix.

    >>> import gradengine as ge
    >>> ge.chain_matmul(ge.ones(1, 2), ge.ones(2, 3), ge.ones(3, 1))
    tensor([[6.]])
    """
    first, *rest = with_axes("chain_matmul", *[(m, 2) for m in matrices])
    for matrix in rest:
        first = matmul(first, matrix)
    return first
