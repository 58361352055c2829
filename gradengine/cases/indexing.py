"""Rows for reading and writing at positions: every kind of index, take, gather, scatter_add, one_hot, nonzero."""

from __future__ import annotations

from typing import Any

import numpy as np

import gradengine as ge

from .case import Case

Shape = tuple[int, ...]
MASK = np.array([[True, False, True], [False, True, True]])


def normal(*shapes: Shape) -> Any:
    """A sampler of arrays of these shapes."""
    return lambda rng: tuple([rng.standard_normal(shape) for shape in shapes])


def with_constants(sampler: Any, *constants: Any) -> Any:
    """A sampler that gives arrays, then constants as arrays."""
    return lambda rng: (*sampler(rng), *[np.array(c) for c in constants])


def read_row(name: str, shape: Shape, index: Any, torch: bool = True) -> Case:
    """`x[index]` with a constant index."""
    return Case(
        f"getitem/{name}",
        lambda x: x[index],
        normal(shape),
        lambda x: x[index],
        (lambda torch, x: x[index]) if torch else None,
    )


def write_row(name: str, shape: Shape, index: Any, value: Shape, torch: bool = True) -> Case:
    """`x[index] = v` in a copy of x."""

    def ours(x: Any, v: Any) -> Any:
        y = x.clone()
        y[index] = v
        return y

    def numpy(x: Any, v: Any) -> Any:
        y = x.copy()
        y[index] = v
        return y

    return Case(
        f"setitem/{name}", ours, normal(shape, value), numpy, (lambda torch, x, v: ours(x, v)) if torch else None
    )


def scatter_add(x: Any, axis: int, index: Any, src: Any) -> Any:
    """PyTorch's definition, element by element."""
    out = x.copy()
    for at in np.ndindex(index.shape):
        target = list(at)
        target[axis] = index[at]
        out[tuple(target)] += src[at]
    return out


CASES: list[Case] = [
    read_row("int", (3, 2), 1),
    read_row("negative int", (3, 2), -1),
    read_row("ints", (3, 2), (1, 0)),
    read_row("slice", (4, 2), slice(1, 3)),
    read_row("steps", (5, 3), (slice(None, None, 2), slice(2, 0, -1)), torch=False),
    read_row("empty slice", (3, 2), slice(2, 2)),
    read_row("ellipsis", (2, 3, 2), (..., 1)),
    read_row("new axis", (2, 3), (None, slice(None), None, 1)),
    read_row("nothing", (2,), ()),
    read_row("list", (3, 2), [2, 0, 2]),
    read_row("no elements", (3, 2), np.zeros(0, np.int64)),
    read_row("matrix of integers", (3, 2), np.array([[0, -1], [1, 1]])),
    read_row("second axis", (2, 3), (slice(None), [0, 2, 0])),
    read_row("last axis", (2, 2, 3), (..., np.array([0, 2, 0]))),
    read_row("pairs", (3, 3), (np.array([0, 2, 0]), np.array([1, -1, 1]))),
    read_row("grid", (3, 3), (np.array([[0], [2]]), np.array([1, 1, 0]))),
    read_row("arrays apart", (2, 3, 2), (np.array([0, 1, 0]), slice(None), np.array([1, 0, 1]))),
    read_row("int beside an array", (2, 3, 2), (0, slice(None), np.array([1, 0, 1])), torch=False),
    read_row("array and new axis", (3, 2), (np.array([2, 2]), None)),
    read_row("mask", (2, 3), MASK),
    read_row("mask of an axis", (3, 2), np.array([True, False, True])),
    read_row("mask of the second axis", (2, 3), (slice(None), np.array([True, False, True]))),
    read_row("mask beside an array", (2, 3), (np.array([True, True]), np.array([2, 2]))),
    read_row("true", (2,), True),
    Case(
        "getitem/tensors",
        lambda x, i, j: x[i, j],
        with_constants(normal((3, 3)), [0, 2, 0], [1, 1, 1]),
        lambda x, i, j: x[i, j],
        lambda torch, x, i, j: x[i, j],
    ),
    write_row("int", (3, 2), 1, (2,)),
    write_row("broadcast", (3, 2), slice(0, 2), (1,)),
    write_row("leading axis", (3, 2), slice(0, 2), (1, 2, 2)),
    write_row("element", (3, 2), (1, -1), ()),
    write_row("ellipsis", (2, 2, 2), (..., 0), (2, 2)),
    write_row("all", (2, 2), ..., (2, 2)),
    write_row("list", (3, 2), [2, 0], (2, 2)),
    write_row("twice", (3, 2), [2, 0, 2], (3, 2), torch=False),
    write_row("twice, broadcast", (2, 3), (slice(None), [1, 1]), (2, 1), torch=False),
    write_row("pairs", (3, 3), (np.array([0, 2]), np.array([1, 1])), (2,)),
    write_row("mask", (2, 3), MASK, (4,)),
    write_row("mask, broadcast", (2, 3), MASK, ()),
    Case("take", lambda x, i: ge.take(x, i), with_constants(normal((2, 3)), [0, 5, -1, 0]), np.take),
    Case(
        "take/axis=0",
        lambda x, i: ge.take(x, i, axis=0),
        with_constants(normal((3, 2)), [[0, 2], [2, 2]]),
        lambda x, i: np.take(x, i, 0),
        lambda torch, x, i: x[i],
    ),
    Case(
        "take/axis=-1",
        lambda x, i: ge.take(x, i, axis=-1),
        with_constants(normal((2, 3)), [2, 0, 2, 1]),
        lambda x, i: np.take(x, i, -1),
        lambda torch, x, i: torch.index_select(x, -1, i),
    ),
    Case(
        "take_along_axis",
        ge.take_along_axis,
        with_constants(normal((2, 3)), [[2, 0], [1, 1]]),
        lambda x, i: np.take_along_axis(x, i, -1),
        lambda torch, x, i: torch.take_along_dim(x, i, -1),
    ),
    Case(
        "take_along_axis/one each",
        ge.take_along_axis,
        with_constants(normal((2, 3)), [[2], [0]]),
        lambda x, i: np.take_along_axis(x, i, -1),
        lambda torch, x, i: torch.take_along_dim(x, i, -1),
    ),
    Case(
        "take_along_axis/broadcast",
        lambda x, i: ge.take_along_axis(x, i, axis=0),
        with_constants(normal((3, 1)), [[0, 2], [0, 1]]),
        lambda x, i: np.take_along_axis(x, i, 0),
        lambda torch, x, i: torch.take_along_dim(x, i, 0),
    ),
    Case(
        "gather",
        lambda x, i: ge.gather(x, 1, i),
        with_constants(normal((3, 3)), [[2, 0, 0, 2], [1, 1, 1, 0]]),
        lambda x, i: np.take_along_axis(x[:2], i, 1),
        lambda torch, x, i: torch.gather(x, 1, i),
    ),
    Case(
        "scatter_add",
        lambda x, src, i: ge.scatter_add(x, 0, i, src),
        with_constants(normal((3, 2), (2, 2)), [[0, 2], [0, 2]]),
        lambda x, src, i: scatter_add(x, 0, i, src),
        lambda torch, x, src, i: torch.scatter_add(x, 0, i, src),
    ),
    Case(
        "scatter_add/smaller index",
        lambda x, src, i: ge.scatter_add(x, 1, i, src),
        with_constants(normal((3, 2), (3, 4)), [[0, 1, 0], [1, 1, 1]]),
        lambda x, src, i: scatter_add(x, 1, i, src),
    ),
    Case(
        "index_add",
        lambda x, src, i: ge.index_add(x, 0, i, src),
        with_constants(normal((3, 2), (4, 2)), [0, 2, 0, 1]),
        lambda x, src, i: scatter_add(x, 0, np.stack([i, i], 1), src),
        lambda torch, x, src, i: torch.index_add(x, 0, i, src),
    ),
    Case(
        "one_hot",
        lambda labels: ge.one_hot(labels, 4),
        with_constants(normal(), [[0, 3], [2, 2]]),
        lambda labels: np.eye(4)[labels],
        lambda torch, labels: torch.nn.functional.one_hot(labels, 4),
        order=0,
    ),
    Case(
        "argwhere",
        ge.argwhere,
        with_constants(normal(), [[0, 5, 0], [6, 0, 7]]),
        np.argwhere,
        lambda torch, x: torch.argwhere(x),
        order=0,
    ),
    Case(
        "nonzero",
        lambda x: ge.nonzero(x)[1],
        with_constants(normal(), [[0, 5, 0], [6, 0, 7]]),
        lambda x: np.nonzero(x)[1],
        lambda torch, x: torch.nonzero(x, as_tuple=True)[1],
        order=0,
    ),
    Case(
        "masked_select",
        ge.masked_select,
        with_constants(normal((3,)), MASK),
        lambda x, mask: np.broadcast_to(x, (2, 3))[mask],
        lambda torch, x, mask: torch.masked_select(x, mask),
    ),
    Case(
        "masked_fill",
        lambda x, mask: ge.masked_fill(x, mask, 2.0),
        with_constants(normal((2, 3)), MASK),
        lambda x, mask: np.where(mask, 2.0, x),
        lambda torch, x, mask: x.masked_fill(mask, 2.0),
    ),
    Case(
        "overwrite/copy_",
        lambda x, v: (x * 1).copy_(v),
        lambda rng: (rng.normal(size=(2, 3)), rng.normal(size=3)),
        lambda x, v: np.broadcast_to(v, x.shape),
        lambda torch, x, v: (x * 1).copy_(v),
    ),
]
