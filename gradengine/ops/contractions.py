"""`einsum`: sums of products told by index letters, as a sequence of matrix products.

NumPy chooses the order of contraction; every contraction is a `matmul` of permuted and reshaped operands, so it runs
in BLAS and has gradients of every order.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..core.tensor_class import Tensor, wrap
from ..errors import ArgumentError, ShapeError
from ..shapes.dtypes import is_floating
from .arguments import checked
from .elementwise import multiply
from .linalg import matmul, vecdot
from .reduce import sum as sum_over
from .shape import diagonal, permute_dims, reshape

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"  # what `import string` would cost a start-up for
__all__ = ["einsum"]

Shape = tuple[int, ...]


@checked
def einsum(equation: str, /, *operands: Any) -> Tensor:
    """Sum of products over index letters: `einsum("ij,jk->ik", a, b)` is the matrix product.

    A letter that is missing after `->` is summed over; without `->` the result has the letters that occur once, in
    alphabetical order. A letter that an operand has twice takes the diagonal. `...` stands for axes that broadcast,
    and an axis of size 1 broadcasts under any letter. Raises ArgumentError for an equation that cannot be read,
    ShapeError when operands do not fit it.

    >>> import gradengine as ge
    >>> a = ge.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> ge.einsum("ij,kj->ik", a, a)
    tensor([[ 5., 11.],
            [11., 25.]])
    >>> ge.einsum("ii", a)
    tensor(5.)
    """
    if not isinstance(equation, str):
        raise ArgumentError(f"einsum: the equation comes first, as a string; got {type(equation).__name__}")
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)) and equation.partition("->")[0].count(","):
        operands = tuple(operands[0])  # as PyTorch takes them too
    like = next((x for x in operands if isinstance(x, Tensor)), None)
    tensors = [x if isinstance(x, Tensor) else wrap(x, like) for x in operands]
    terms, output, path = plan(equation, tuple([x.shape for x in tensors]))
    work = [simplify(x, term, kept) for x, term, kept in zip(tensors, *terms)]
    for pair in path:
        chosen = [work.pop(i) for i in sorted(pair, reverse=True)][::-1]
        while len(chosen) > 1:
            others = output + "".join([letters for _, letters in work + chosen[2:]])
            chosen[:2] = [contract(*chosen[0], *chosen[1], others)]
        work.append(chosen[0])
    x, letters = work[0]
    x, letters = total(x, letters, output)
    return permute_dims(x, axes=tuple([letters.index(c) for c in output]))


def simplify(x: Tensor, term: str, kept: str) -> tuple[Tensor, str]:
    """An operand with one axis per letter of `kept`: diagonals taken, broadcast axes dropped, lone letters summed."""
    for letter in sorted(set(term)):
        while term.count(letter) > 1:
            first = term.index(letter)
            second = term.index(letter, first + 1)
            x = diagonal(x, offset=0, axis1=first, axis2=second)
            term = term[:first] + term[first + 1 : second] + term[second + 1 :] + letter
    return total(x, term, kept)


def total(x: Tensor, term: str, kept: str) -> tuple[Tensor, str]:
    """The sum over the letters that are not kept."""
    axes = tuple([i for i, c in enumerate(term) if c not in kept])
    if not axes:
        return x, term
    rest = "".join([c for c in term if c in kept])
    if all(x.shape[i] == 1 for i in axes):
        return reshape(x, shape=tuple([n for i, n in enumerate(x.shape) if i not in axes])), rest
    return sum_over(x, axis=axes, dtype=None if is_floating(x.dtype) else x.dtype), rest


def contract(a: Tensor, left: str, b: Tensor, right: str, others: str) -> tuple[Tensor, str]:
    """The product of two operands, summed over the letters that they share and nobody else needs."""
    a, left = total(a, left, right + others)
    b, right = total(b, right, left + others)
    batch = [c for c in left if c in right and c in others]
    inner = [c for c in left if c in right and c not in others]
    rows = [c for c in left if c not in right]
    columns = [c for c in right if c not in left]
    size = dict(zip(left, a.shape)) | dict(zip(right, b.shape))
    stack = tuple([size[c] for c in batch])
    letters = "".join(batch + rows + columns)
    shape = tuple([size[c] for c in letters])
    if not inner:
        a = arrange(a, left, batch + rows, (*stack, *[size[c] for c in rows], *[1] * len(columns)))
        b = arrange(b, right, batch + columns, (*stack, *[1] * len(rows), *[size[c] for c in columns]))
        return multiply(a, b), letters
    k, m, n = (math.prod([size[c] for c in group]) for group in (inner, rows, columns))
    if not rows and not columns:
        return vecdot(
            arrange(a, left, batch + inner, (*stack, k)), arrange(b, right, batch + inner, (*stack, k))
        ), letters
    a = arrange(a, left, batch + rows + inner, (*stack, m, k))
    b = arrange(b, right, batch + inner + columns, (*stack, k, n))
    product = matmul(a, b)
    return product if product.shape == shape else reshape(product, shape=shape), letters


def arrange(x: Tensor, term: str, order: list[str], shape: Shape) -> Tensor:
    """The axes in an order, then in a shape."""
    axes = tuple([term.index(c) for c in order])
    if axes != tuple(range(len(axes))):
        x = permute_dims(x, axes=axes)
    return x if x.shape == shape else reshape(x, shape=shape)


# -- reading the equation ---------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def plan(equation: str, shapes: tuple[Shape, ...]) -> tuple[tuple[list[str], list[str]], str, list[Any]]:
    """The letters of every operand, those that it keeps when it stands alone, the output's, and the order."""
    text = equation.replace(" ", "")
    inputs, arrow, output = text.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(shapes) or not shapes:
        raise ArgumentError(f"einsum {equation!r}: the equation has {len(terms)} operands, {len(shapes)} were given")
    for part in (*terms, output):
        letters = part.replace("...", "", 1)
        if not set(letters) <= set(LETTERS):
            raise ArgumentError(f"einsum {equation!r}: {part!r} may consist of letters and one '...' only")
    free = [c for c in LETTERS if c not in text]
    widest = 0
    for i, (term, shape) in enumerate(zip(terms, shapes)):
        extra = len(shape) - len(term.replace("...", ""))
        if extra < 0 or (extra and "..." not in term):
            raise ShapeError(f"einsum {equation!r}: {term!r} does not describe operand {i}, whose shape is {shape}")
        if "..." in term:
            widest = max(widest, extra)
    if widest > len(free):
        raise ArgumentError(f"einsum {equation!r}: more indices than letters")
    dots = "".join(free[:widest])
    for i, (term, shape) in enumerate(zip(terms, shapes)):
        extra = len(shape) - len(term.replace("...", ""))
        terms[i] = term.replace("...", dots[widest - extra :])
    everything = "".join(terms)
    if arrow:
        output = output.replace("...", dots)
    else:
        output = dots + "".join(sorted(c for c in set(everything) if everything.count(c) == 1 and c not in dots))
    if len(set(output)) != len(output) or not set(output) <= set(everything):
        raise ArgumentError(f"einsum {equation!r}: each letter of the output must occur in an operand, and once only")
    size = sizes(equation, terms, shapes, dots)
    kept = []
    for i, (term, shape) in enumerate(zip(terms, shapes)):
        others = "".join(terms[:i] + terms[i + 1 :]) + output
        kept.append("".join([c for c, n in zip(term, shape) if c in others and n == size[c]]))
    return (terms, kept), output, order(kept, output, size)


def sizes(equation: str, terms: list[str], shapes: tuple[Shape, ...], dots: str) -> dict[str, int]:
    """The size that every letter stands for."""
    size: dict[str, int] = {}
    for term, shape in zip(terms, shapes):
        own: dict[str, int] = {}
        for c, n in zip(term, shape):
            if own.setdefault(c, n) != n:
                raise ShapeError(f"einsum {equation!r}: {c!r} names axes of sizes {own[c]} and {n} of one operand")
            if n != 1 and size.get(c, 1) not in (1, n):
                name = "..." if c in dots else c
                raise ShapeError(
                    f"einsum {equation!r}: {name!r} has sizes {size[c]} and {n} in operands of shapes "
                    f"{' and '.join(map(str, shapes))}"
                )
            size[c] = n if size.get(c, 1) == 1 else size[c]
    return size


def order(terms: list[str], output: str, size: dict[str, int]) -> list[Any]:
    """Which operands to contract, step by step; NumPy's own optimizer decides."""
    if len(terms) < 3:
        return [tuple(range(len(terms)))]
    dummies = [np.broadcast_to(np.float32(0), tuple([size[c] for c in dict.fromkeys(term)])) for term in terms]
    equation = ",".join(["".join(dict.fromkeys(term)) for term in terms])
    how = "optimal" if len(terms) <= 5 else "greedy"
    return np.einsum_path(f"{equation}->{output}", *dummies, optimize=how)[0][1:]
