"""Rows for products: matmul in every combination of ranks, vecdot, outer, tensordot, einsum, linear."""

from __future__ import annotations

from typing import Any

import numpy as np

import gradengine as ge

from .case import Case

Shape = tuple[int, ...]


def normal(*shapes: Shape) -> Any:
    """A sampler of arrays of these shapes."""
    return lambda rng: tuple([rng.standard_normal(shape) for shape in shapes])


def matmul_row(a: Shape, b: Shape) -> Case:
    """A product of operands of two shapes."""
    return Case(f"matmul/{a}@{b}", ge.matmul, normal(a, b), np.matmul, lambda torch, a, b: torch.matmul(a, b))


MATMULS = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((1, 3), (3, 1)), ((2, 1), (1, 3)),
    ((2, 2, 3), (3,)), ((3,), (2, 3, 2)), ((2, 2, 3), (3, 2)), ((2, 3), (2, 3, 2)), ((2, 2, 3), (2, 3, 2)),
    ((1, 2, 3), (2, 3, 1)), ((2, 1, 2, 3), (3, 3, 2)), ((2, 1, 2, 3), (3,)), ((3,), (2, 1, 3, 2)), ((0, 3), (3, 2)),
]  # fmt: skip


def einsum_row(equation: str, *shapes: Shape, torch: bool = True) -> Case:
    """A sum of products."""
    return Case(
        f"einsum/{equation}" if len(shapes[0]) < 4 else f"einsum/{equation} {shapes[0]}",
        lambda *xs: ge.einsum(equation, *xs),
        normal(*shapes),
        lambda *xs: np.einsum(equation, *xs),
        (lambda torch, *xs: torch.einsum(equation, *xs)) if torch else None,
    )


EINSUMS = [
    einsum_row("ij,jk->ik", (2, 3), (3, 2)),
    einsum_row("ij,kj", (2, 3), (2, 3)),
    einsum_row("i,i->", (3,), (3,)),
    einsum_row("i,j->ji", (2,), (3,)),
    einsum_row("ij->ji", (2, 3)),
    einsum_row("ij->", (2, 3)),
    einsum_row("ij->j", (2, 3)),
    einsum_row("ii", (3, 3)),
    einsum_row("ii->i", (3, 3)),
    einsum_row("iji->j", (2, 3, 2)),
    einsum_row("ijij,jk->ik", (2, 2, 2, 2), (2, 3)),
    einsum_row("bij,bjk->bik", (2, 2, 3), (2, 3, 2)),
    einsum_row("bi,bi->b", (2, 3), (2, 3)),
    einsum_row("bi,bj->bij", (2, 3), (2, 2)),
    einsum_row("ij,ij->ij", (2, 3), (2, 3)),
    einsum_row("bhqd,bhkd->bhqk", (2, 2, 2, 3), (2, 2, 2, 3)),
    einsum_row("...ij,...jk->...ik", (2, 2, 3), (3, 2)),
    einsum_row("...i,...i->...", (2, 1, 3), (2, 3)),
    einsum_row("i...->...", (2, 3)),
    einsum_row("b...,...->b...", (2, 3), (3,)),
    einsum_row("ij,jk->ki", (2, 1), (3, 2)),
    einsum_row("ij,kj->ijk", (1, 3), (2, 1)),
    einsum_row("ij,jk,kl->il", (2, 3), (3, 2), (2, 3)),
    einsum_row("a,b,c->cab", (2,), (3,), (2,)),
    einsum_row("ij,jk,kl,lm,m->i", (2, 3), (3, 2), (2, 2), (2, 3), (3,)),
    einsum_row("bi,ijk,bj->bk", (2, 2), (2, 3, 2), (2, 3)),
    einsum_row("i,i,i->i", (3,), (3,), (3,)),
    einsum_row(",ij->ij", (), (2, 3)),
]

CASES: list[Case] = [
    *[matmul_row(a, b) for a, b in MATMULS],
    Case("vecdot", ge.vecdot, normal((2, 3), (2, 3)), np.vecdot, lambda torch, a, b: torch.linalg.vecdot(a, b)),
    Case("vecdot/1d", ge.vecdot, normal((3,), (3,)), np.vecdot, lambda torch, a, b: torch.linalg.vecdot(a, b)),
    Case("vecdot/broadcast", ge.vecdot, normal((2, 1, 3), (2, 3)), np.vecdot),
    Case(
        "vecdot/axis=0",
        lambda a, b: ge.vecdot(a, b, axis=0),
        normal((3, 2), (3, 2)),
        lambda a, b: (a * b).sum(0),
        lambda torch, a, b: torch.linalg.vecdot(a, b, dim=0),
    ),
    Case(
        "vecdot/axis=-2",
        lambda a, b: ge.vecdot(a, b, axis=-2),
        normal((2, 3, 1), (3, 2)),
        lambda a, b: (a * b).sum(-2),
    ),
    Case("outer", ge.outer, normal((2,), (3,)), np.outer, lambda torch, a, b: torch.outer(a, b)),
    Case("outer/2d", ge.outer, normal((2, 2), (3, 1)), np.outer),
    Case(
        "tensordot",
        ge.tensordot,
        normal((2, 2, 3), (2, 3, 2)),
        np.tensordot,
        lambda torch, a, b: torch.tensordot(a, b, dims=2),
    ),
    Case(
        "tensordot/axes=0",
        lambda a, b: ge.tensordot(a, b, axes=0),
        normal((2,), (2, 3)),
        lambda a, b: np.tensordot(a, b, axes=0),
        lambda torch, a, b: torch.tensordot(a, b, dims=0),
    ),
    Case(
        "tensordot/pairs",
        lambda a, b: ge.tensordot(a, b, axes=([0, -1], [1, 0])),
        normal((2, 2, 3), (3, 2, 2)),
        lambda a, b: np.tensordot(a, b, axes=([0, -1], [1, 0])),
        lambda torch, a, b: torch.tensordot(a, b, dims=([0, -1], [1, 0])),
    ),
    *EINSUMS,
    *[
        Case(
            f"linear/{x}{' without bias' if not bias else ''}",
            ge.linear,
            normal(x, (2, 3), *bias),
            lambda x, w, b=0.0: x @ w.T + b,
            lambda torch, *xs: torch.nn.functional.linear(*xs),
        )
        for x in [(3,), (2, 3), (0, 3), (2, 2, 3)]
        for bias in [(), ((2,),)]
    ],
]
