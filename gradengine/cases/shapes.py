"""Rows for shape ops: new shapes, axes in another order, joining, splitting, padding, triangles, creation."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

import gradengine as ge

from .case import Case

if TYPE_CHECKING:
    from collections.abc import Callable


def normal(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    """An array of each shape."""
    return lambda rng: tuple(rng.standard_normal(shape) for shape in shapes)


def row(
    name: str,
    call: Callable[..., Any],
    shape: tuple[int, ...],
    reference: Callable[..., Any],
    torch: Callable[..., Any] | None = None,
) -> Case:
    """A row with one array."""
    return Case(name, call, normal(shape), reference, torch)


SHAPES = [
    row("reshape", lambda x: ge.reshape(x, (3, 2)), (2, 3), lambda x: x.reshape(3, 2),
        lambda torch, x: torch.reshape(x, (3, 2))),
    row("reshape/-1", lambda x: ge.reshape(x, (2, -1, 1)), (4, 3), lambda x: x.reshape(2, -1, 1)),
    row("reshape/to 0-d", lambda x: ge.reshape(x, ()), (1, 1), lambda x: x.reshape(())),
    row("reshape/from 0-d", lambda x: ge.reshape(x, (1, 1)), (), lambda x: x.reshape(1, 1)),
    row("reshape/empty", lambda x: ge.reshape(x, (3, 0)), (0, 2), lambda x: x.reshape(3, 0)),
    row("reshape/strided", lambda x: ge.reshape(ge.matrix_transpose(x), (-1,)), (2, 3), lambda x: x.T.reshape(-1)),
    row("flatten", ge.flatten, (2, 3), np.ravel, lambda torch, x: torch.flatten(x)),
    row("flatten/axes", lambda x: ge.flatten(x, 1, 2), (2, 3, 2, 2), lambda x: x.reshape(2, 6, 2),
        lambda torch, x: torch.flatten(x, 1, 2)),
    row("flatten/0-d", ge.flatten, (), np.ravel, lambda torch, x: torch.flatten(x)),
    row("ravel", ge.ravel, (2, 3), np.ravel),
    row("permute_dims", lambda x: ge.permute_dims(x, (2, 0, 1)), (2, 3, 4), lambda x: x.transpose(2, 0, 1),
        lambda torch, x: x.permute(2, 0, 1)),
    row("permute_dims/negative", lambda x: ge.permute_dims(x, (-1, 0, -2)), (2, 3, 4), lambda x: x.transpose(2, 0, 1)),
    row("permute_dims/0-d", lambda x: ge.permute_dims(x, ()), (), lambda x: x),
    row("transpose", ge.transpose, (2, 3, 4), np.transpose),
    row("transpose/axes", lambda x: ge.transpose(x, (1, 0, 2)), (2, 3, 4), lambda x: np.transpose(x, (1, 0, 2))),
    row("swapaxes", lambda x: ge.swapaxes(x, 0, -1), (2, 3, 4), lambda x: x.swapaxes(0, -1),
        lambda torch, x: torch.swapaxes(x, 0, -1)),
    row("swapaxes/last two", ge.swapaxes, (2, 3, 4), lambda x: x.swapaxes(-1, -2)),
    row("matrix_transpose", ge.matrix_transpose, (2, 3, 4), np.matrix_transpose, lambda torch, x: x.mT),
    row("moveaxis", lambda x: ge.moveaxis(x, 0, -1), (2, 3, 4), lambda x: np.moveaxis(x, 0, -1),
        lambda torch, x: torch.moveaxis(x, 0, -1)),
    row("moveaxis/several", lambda x: ge.moveaxis(x, (0, 2), (1, 0)), (2, 3, 4),
        lambda x: np.moveaxis(x, (0, 2), (1, 0)), lambda torch, x: torch.moveaxis(x, (0, 2), (1, 0))),
    row("expand_dims", lambda x: ge.expand_dims(x, axis=1), (2, 3), lambda x: np.expand_dims(x, 1),
        lambda torch, x: torch.unsqueeze(x, 1)),
    row("expand_dims/several", lambda x: ge.expand_dims(x, axis=(0, -1)), (2, 3), lambda x: np.expand_dims(x, (0, -1))),
    row("expand_dims/0-d", lambda x: ge.expand_dims(x, axis=-1), (), lambda x: np.expand_dims(x, -1)),
    row("squeeze", lambda x: ge.squeeze(x, axis=1), (2, 1, 3), lambda x: np.squeeze(x, 1),
        lambda torch, x: torch.squeeze(x, 1)),
    row("squeeze/all", ge.squeeze, (1, 2, 1), np.squeeze, lambda torch, x: torch.squeeze(x)),
    row("squeeze/several", lambda x: ge.squeeze(x, axis=(0, -1)), (1, 2, 1), lambda x: np.squeeze(x, (0, -1))),
    row("broadcast_to", lambda x: ge.broadcast_to(x, (2, 3, 4)), (3, 1), lambda x: np.broadcast_to(x, (2, 3, 4)),
        lambda torch, x: torch.broadcast_to(x, (2, 3, 4))),
    row("broadcast_to/0-d", lambda x: ge.broadcast_to(x, (2, 3)), (), lambda x: np.broadcast_to(x, (2, 3))),
    row("broadcast_to/large", lambda x: ge.sum(ge.broadcast_to(x, (70, 40, 2)), axis=(0, 1)), (40, 1),
        lambda x: np.broadcast_to(x, (70, 40, 2)).sum(axis=(0, 1))),
    row("broadcast_to/empty", lambda x: ge.broadcast_to(x, (0, 3)), (1, 3), lambda x: np.broadcast_to(x, (0, 3))),
    row("expand", lambda x: ge.expand(x, (2, 3)), (3,), lambda x: np.broadcast_to(x, (2, 3)),
        lambda torch, x: x.expand(2, 3)),
    row("sum_to", lambda x: ge.ops.sum_to(x, (3, 1)), (2, 3, 4), lambda x: x.sum(axis=(0, 2))[:, None],
        lambda torch, x: x.sum_to_size(3, 1)),
    row("sum_to/bias", lambda x: ge.ops.sum_to(x, (4,)), (3, 4), lambda x: x.sum(axis=0)),
    row("sum_to/0-d", lambda x: ge.ops.sum_to(x, ()), (3, 4), np.sum),
    Case("broadcast_arrays", lambda x, y: ge.broadcast_arrays(x, y)[0] * ge.broadcast_arrays(x, y)[1],
         normal((2, 1), (3,)), lambda x, y: x * y),
]  # fmt: skip


def rejoined(pieces: Any, axis: int) -> Any:
    """Pieces joined in reverse order, each with a factor of its own, so that none can stand for another."""
    return ge.concat([piece * (i + 1.5) for i, piece in enumerate(pieces)][::-1], axis=axis)


def np_rejoined(pieces: Any, axis: int) -> Any:
    """The same in NumPy."""
    return np.concatenate([piece * (i + 1.5) for i, piece in enumerate(pieces)][::-1], axis=axis)


JOINS = [
    Case("concat", lambda x, y: ge.concat([x, y]), normal((2, 3), (1, 3)), lambda x, y: np.concat([x, y]),
         lambda torch, x, y: torch.concat([x, y])),
    Case("concat/axis=-1", lambda x, y, z: ge.concat((x, y, z), axis=-1), normal((2, 3), (2, 0), (2, 2)),
         lambda x, y, z: np.concat([x, y, z], axis=-1), lambda torch, x, y, z: torch.concat([x, y, z], -1)),
    Case("concat/axis=None", lambda x, y: ge.concat([x, y], axis=None), normal((2, 3), (2,)),
         lambda x, y: np.concat([x, y], axis=None)),
    Case("concat/same twice", lambda x: ge.concat([x, x * x, x], axis=1), normal((2, 2)),
         lambda x: np.concat([x, x * x, x], axis=1)),
    Case("stack", lambda x, y: ge.stack([x, y]), normal((2, 3), (2, 3)), lambda x, y: np.stack([x, y]),
         lambda torch, x, y: torch.stack([x, y])),
    Case("stack/axis=-1", lambda x, y: ge.stack([x, y], axis=-1), normal((2, 3), (2, 3)),
         lambda x, y: np.stack([x, y], axis=-1), lambda torch, x, y: torch.stack([x, y], -1)),
    Case("stack/0-d", lambda x, y: ge.stack([x, y]), normal((), ()), lambda x, y: np.stack([x, y])),
    row("split", lambda x: rejoined(ge.split(x, 3, axis=1), 1), (2, 6),
        lambda x: np_rejoined(np.split(x, 3, axis=1), 1)),
    row("split/points", lambda x: rejoined(ge.split(x, [1, 1, -1]), 0), (5, 2),
        lambda x: np_rejoined(np.split(x, [1, 1, -1]), 0)),
    row("chunk", lambda x: rejoined(ge.chunk(x, 3, axis=-1), -1), (2, 5),
        lambda x: np_rejoined([x[:, :2], x[:, 2:4], x[:, 4:]], -1),
        lambda torch, x: torch.concat([p * (i + 1.5) for i, p in enumerate(torch.chunk(x, 3, -1))][::-1], -1)),
    row("unstack", lambda x: rejoined(ge.unstack(x, axis=1), 0), (2, 3),
        lambda x: np_rejoined(list(np.moveaxis(x, 1, 0)), 0),
        lambda torch, x: torch.concat([p * (i + 1.5) for i, p in enumerate(torch.unbind(x, 1))][::-1])),
    row("narrow", lambda x: ge.narrow(x, -1, 1, 2), (2, 4), lambda x: x[:, 1:3],
        lambda torch, x: torch.narrow(x, -1, 1, 2)),
    Case("meshgrid", lambda x, y: ge.meshgrid(x, y, indexing="xy")[0] * ge.meshgrid(x, y, indexing="xy")[1],
         normal((2,), (3,)),
         lambda x, y: np.meshgrid(x, y)[0] * np.meshgrid(x, y)[1]),
    Case("meshgrid/ij", lambda x, y: ge.meshgrid(x, y, indexing="ij")[0] - ge.meshgrid(x, y, indexing="ij")[1],
         normal((2,), (3,)), lambda x, y: x[:, None] - y, lambda torch, x, y: x[:, None] - y),
]  # fmt: skip

PAD_WIDTHS: list[tuple[tuple[int, ...], Any]] = [
    ((4,), 2),
    ((3, 4), (1, 2)),
    ((3, 4), ((0, 1), (2, 0))),
    ((2, 3), ((3, 4), (5, 6))),
]


def pads(mode: str) -> list[Case]:
    """A row for each form of widths; the last needs more than one round of the array."""
    return [
        row(
            f"pad/{mode} {shape} {width}",
            functools.partial(ge.pad, pad_width=width, mode=mode),
            shape,
            functools.partial(np.pad, pad_width=width, mode=mode),
        )
        for shape, width in PAD_WIDTHS
    ]


MOVES = [
    row("flip", ge.flip, (2, 3), np.flip, lambda torch, x: torch.flip(x, (0, 1))),
    row("flip/axis=-1", lambda x: ge.flip(x, axis=-1), (2, 3), lambda x: np.flip(x, -1),
        lambda torch, x: torch.flip(x, (-1,))),
    row("flip/axes", lambda x: ge.flip(x, axis=(0, 2)), (2, 3, 2), lambda x: np.flip(x, (0, 2))),
    row("flip/0-d", ge.flip, (), np.flip),
    row("roll", lambda x: ge.roll(x, 2), (2, 3), lambda x: np.roll(x, 2), lambda torch, x: torch.roll(x, 2)),
    row("roll/axes", lambda x: ge.roll(x, (1, -2), axis=(0, 1)), (2, 3), lambda x: np.roll(x, (1, -2), (0, 1)),
        lambda torch, x: torch.roll(x, (1, -2), (0, 1))),
    *[case for mode in ("constant", "edge", "reflect", "symmetric", "wrap") for case in pads(mode)],
    row("pad/constant_values", lambda x: ge.pad(x, (1, 2), constant_values=1.5), (3,),
        lambda x: np.pad(x, (1, 2), constant_values=1.5),
        lambda torch, x: torch.nn.functional.pad(x, (1, 2), value=1.5)),
    row("pad/reflect beside torch", lambda x: ge.pad(x, ((0, 0), (2, 1)), mode="reflect"), (2, 4),
        lambda x: np.pad(x, ((0, 0), (2, 1)), mode="reflect"),
        lambda torch, x: torch.nn.functional.pad(x, (2, 1), mode="reflect")),
    row("unpad", lambda x: ge.ops.unpad(x, ((1, 2),), "edge"), (6,),
        lambda x: np.array([x[0] + x[1], x[2], x[3:].sum()])),
    row("tile", lambda x: ge.tile(x, (2, 1, 3)), (2, 2), lambda x: np.tile(x, (2, 1, 3)),
        lambda torch, x: torch.tile(x, (2, 1, 3))),
    row("tile/fewer", lambda x: ge.tile(x, 2), (2, 3), lambda x: np.tile(x, 2), lambda torch, x: torch.tile(x, (2,))),
    row("tile/none", lambda x: ge.tile(x, (0, 2)), (2, 3), lambda x: np.tile(x, (0, 2))),
    row("repeat", lambda x: ge.repeat(x, 2), (2, 3), lambda x: np.repeat(x, 2),
        lambda torch, x: torch.repeat_interleave(x, 2)),
    row("repeat/axis=1", lambda x: ge.repeat(x, 3, axis=1), (2, 2, 2), lambda x: np.repeat(x, 3, axis=1),
        lambda torch, x: torch.repeat_interleave(x, 3, 1)),
    row("repeat/numbers", lambda x: ge.repeat(x, (2, 0, 3), axis=-1), (2, 3),
        lambda x: np.repeat(x, (2, 0, 3), axis=-1),
        lambda torch, x: torch.repeat_interleave(x, torch.tensor([2, 0, 3]), -1)),
    row("repeat/array", lambda x: ge.repeat(x, np.array([1, 2]), axis=0), (2, 3),
        lambda x: np.repeat(x, [1, 2], axis=0)),
    row("unrepeat", lambda x: ge.ops.unrepeat(x, (2, 1), 0, 2), (3, 2), lambda x: np.stack([x[0] + x[1], x[2]])),
    row("tril", lambda x: ge.tril(x, k=-1), (3, 4), lambda x: np.tril(x, -1), lambda torch, x: torch.tril(x, -1)),
    row("tril/stack", ge.tril, (2, 3, 3), np.tril, lambda torch, x: torch.tril(x)),
    row("triu", lambda x: ge.triu(x, k=1), (3, 4), lambda x: np.triu(x, 1), lambda torch, x: torch.triu(x, 1)),
    row("triu/stack", ge.triu, (2, 3, 3), np.triu, lambda torch, x: torch.triu(x)),
    row("diagonal", ge.diagonal, (3, 4), np.diagonal, lambda torch, x: torch.diagonal(x)),
    row("diagonal/offset", lambda x: ge.diagonal(x, offset=-1, axis1=-2, axis2=-1), (2, 4, 3),
        lambda x: np.linalg.diagonal(x, offset=-1)),
    row("diagonal/axes", lambda x: ge.diagonal(x, offset=1, axis1=2, axis2=0), (3, 2, 3),
        lambda x: np.diagonal(x, 1, 2, 0), lambda torch, x: torch.diagonal(x, 1, 2, 0)),
    row("diagonal/outside", lambda x: ge.diagonal(x, offset=5), (2, 3), lambda x: np.diagonal(x, 5)),
    row("fill_diagonal", lambda x: ge.ops.fill_diagonal(x, (2, 3), offset=1), (2,), lambda x: np.diag(x, 1)[:2]),
    row("diag", lambda x: ge.diag(x, offset=-1), (3,), lambda x: np.diag(x, -1), lambda torch, x: torch.diag(x, -1)),
    row("diag/matrix", ge.diag, (3, 2), np.diag, lambda torch, x: torch.diag(x)),
]  # fmt: skip

CASES: list[Case] = [*SHAPES, *JOINS, *MOVES]
