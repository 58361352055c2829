"""Rows for functions that are made of other ops, mostly of PyTorch's vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import gradengine as ge

from .case import Case

if TYPE_CHECKING:
    from collections.abc import Callable


def normal(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    """Numbers around 0."""
    return lambda rng: tuple(rng.standard_normal(shape) for shape in shapes)


def positive(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    """Numbers from 0.2 to 0.8, no two of which are close."""

    def sample(rng: np.random.Generator) -> tuple[Any, ...]:
        return tuple(0.2 + 0.6 * rng.permutation(int(np.prod(s))).reshape(s) / max(int(np.prod(s)), 2) for s in shapes)

    return sample


def spread(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    """Numbers of both signs, none of which is close to another or to a whole number."""

    def sample(rng: np.random.Generator) -> tuple[Any, ...]:
        return tuple((rng.permutation(int(np.prod(s))) - int(np.prod(s)) / 2 + 0.3).reshape(s) * 0.7 for s in shapes)

    return sample


ROWS = np.array([[0, 1, 1], [1, 0, 0]])
PLACES = np.array([2, 0])


def index(values: np.ndarray[Any, Any], like: Any) -> Any:
    """Integers beside a Tensor."""
    return ge.tensor(values, device=like.device)


def put_along(x: Any, axis: int, at: Any, values: Any) -> Any:
    """NumPy's `put_along_axis` on a copy."""
    out = np.array(x)
    np.put_along_axis(out, at, values, axis)
    return out


def added(x: Any, axis: int, at: Any, values: Any, ufunc: Any = np.add) -> Any:
    """NumPy's `ufunc.at` along an axis of a matrix."""
    out = np.array(x)
    rows, columns = np.indices(at.shape)
    ufunc.at(out, (at, columns) if axis == 0 else (rows, at), values)
    return out


PRODUCTS = [
    Case("mm", ge.mm, normal((2, 3), (3, 2)), np.matmul, lambda t, a, b: t.mm(a, b)),
    Case("bmm", ge.bmm, normal((2, 2, 3), (2, 3, 2)), np.matmul, lambda t, a, b: t.bmm(a, b)),
    Case("mv", ge.mv, normal((2, 3), (3,)), np.matmul, lambda t, a, b: t.mv(a, b)),
    Case("dot", ge.dot, normal((3,), (3,)), np.dot, lambda t, a, b: t.dot(a, b)),
    Case("inner", ge.inner, normal((2, 3), (4, 3)), np.inner, lambda t, a, b: t.inner(a, b)),
    Case("ger", ge.ger, normal((2,), (3,)), np.outer, lambda t, a, b: t.ger(a, b)),
    Case("kron", ge.kron, normal((2, 1), (2, 3)), np.kron, lambda t, a, b: t.kron(a, b)),
    Case("chain_matmul", ge.chain_matmul, normal((2, 3), (3, 2), (2, 2)), lambda a, b, c: a @ b @ c),
    Case("addmm", lambda x, a, b: ge.addmm(x, a, b, beta=0.5, alpha=2.0), normal((2,), (2, 3), (3, 2)),
         lambda x, a, b: 0.5 * x + 2 * (a @ b), lambda t, x, a, b: t.addmm(x, a, b, beta=0.5, alpha=2.0)),
    Case("addmv", ge.addmv, normal((2,), (2, 3), (3,)), lambda x, a, b: x + a @ b,
         lambda t, x, a, b: t.addmv(x, a, b)),
    Case("baddbmm", ge.baddbmm, normal((2, 2, 2), (2, 2, 3), (2, 3, 2)), lambda x, a, b: x + a @ b,
         lambda t, x, a, b: t.baddbmm(x, a, b)),
    Case("addbmm", ge.addbmm, normal((2, 2), (2, 2, 3), (2, 3, 2)), lambda x, a, b: x + (a @ b).sum(0),
         lambda t, x, a, b: t.addbmm(x, a, b)),
    Case("addr", ge.addr, normal((2, 3), (2,), (3,)), lambda x, a, b: x + np.outer(a, b),
         lambda t, x, a, b: t.addr(x, a, b)),
]  # fmt: skip

POINTWISE = [
    Case("rsub", lambda x, y: ge.rsub(x, y, alpha=2.0), normal((2, 3), (3,)), lambda x, y: y - 2 * x),
    Case("lerp", lambda a, b, w: ge.lerp(a, b, w), normal((2, 3), (2, 3), (3,)), lambda a, b, w: a + w * (b - a),
         lambda t, a, b, w: t.lerp(a, b, w)),
    Case("addcmul", lambda x, a, b: ge.addcmul(x, a, b, value=0.5), normal((3,), (2, 3), (3,)),
         lambda x, a, b: x + 0.5 * a * b, lambda t, x, a, b: t.addcmul(x, a, b, value=0.5)),
    Case("addcdiv", lambda x, a, b: ge.addcdiv(x, a, b, value=2.0),
         lambda rng: (*normal((3,), (2, 3))(rng), *positive((3,))(rng)),
         lambda x, a, b: x + 2 * a / b, lambda t, x, a, b: t.addcdiv(x, a, b, value=2.0)),
    Case("frac", ge.frac, spread((2, 3)), lambda x: x - np.trunc(x), lambda t, x: t.frac(x)),
    Case("fmod", lambda x, y: ge.fmod(x, y), spread((2, 3), (3,)), np.fmod, lambda t, x, y: t.fmod(x, y)),
    Case("clamp_min", lambda x: ge.clamp_min(x, 0.1), spread((2, 3)), lambda x: np.maximum(x, 0.1)),
    Case("clamp_max", lambda x: ge.clamp_max(x, 0.1), spread((2, 3)), lambda x: np.minimum(x, 0.1)),
    Case("nan_to_num", ge.nan_to_num, normal((2, 3)), np.nan_to_num, lambda t, x: t.nan_to_num(x)),
    Case("logit", ge.logit, positive((2, 3)), lambda x: np.log(x / (1 - x)), lambda t, x: t.logit(x)),
    Case("xlogy", ge.xlogy, lambda rng: (np.array([0.0, 1.5, -2.0]), *positive((2, 3))(rng)),
         lambda x, y: x * np.log(y),
         lambda t, x, y: t.xlogy(x, y)),
    Case("fmax", ge.fmax, spread((2, 3), (3,)), np.fmax, lambda t, x, y: t.fmax(x, y)),
    Case("fmin", ge.fmin, spread((2, 3), (3,)), np.fmin, lambda t, x, y: t.fmin(x, y)),
    Case("deg2rad", ge.deg2rad, normal((3,)), np.deg2rad, lambda t, x: t.deg2rad(x)),
    Case("rad2deg", ge.rad2deg, normal((3,)), np.rad2deg, lambda t, x: t.rad2deg(x)),
    Case("logaddexp2", ge.logaddexp2, normal((2, 3), (3,)), np.logaddexp2, lambda t, x, y: t.logaddexp2(x, y)),
    Case("ldexp", ge.ldexp, normal((2, 3), (3,)), lambda x, y: x * 2.0**y, lambda t, x, y: t.ldexp(x, y)),
    Case("float_power", lambda x: ge.float_power(x, 3), positive((2, 3)), lambda x: x**3,
         lambda t, x: t.float_power(x, 3)),
    Case("heaviside", ge.heaviside, normal((2, 3), (3,)), np.heaviside, order=0),
    Case("isposinf", ge.isposinf, normal((3,)), np.isposinf, order=0),
    Case("isneginf", ge.isneginf, normal((3,)), np.isneginf, order=0),
    Case("isreal", ge.isreal, normal((3,)), np.isreal, order=0),
    Case("add/alpha", lambda x, y: ge.add(x, y, alpha=0.5), normal((2, 3), (3,)), lambda x, y: x + 0.5 * y),
    Case("divide/trunc", lambda x, y: ge.div(x, y, rounding_mode="trunc"), spread((2, 3), (3,)),
         lambda x, y: np.trunc(x / y)),
]  # fmt: skip

SHAPES = [
    Case("hstack", lambda x, y: ge.hstack([x, y]), normal((2, 3), (2, 1)), lambda x, y: np.hstack([x, y])),
    Case("vstack", lambda x, y: ge.vstack([x, y]), normal((3,), (2, 3)), lambda x, y: np.vstack([x, y])),
    Case("dstack", lambda x, y: ge.dstack([x, y]), normal((2, 3), (2, 3)), lambda x, y: np.dstack([x, y])),
    Case("column_stack", lambda x, y: ge.column_stack([x, y]), normal((2,), (2, 3)),
         lambda x, y: np.column_stack([x, y])),
    Case("atleast_1d", ge.atleast_1d, normal(()), np.atleast_1d),
    Case("atleast_2d", ge.atleast_2d, normal((3,)), np.atleast_2d),
    Case("atleast_3d", ge.atleast_3d, normal((2, 3)), np.atleast_3d),
    Case("tensor_split", lambda x: ge.tensor_split(x, 3)[0] * 2.0, normal((5, 2)),
         lambda x: np.array_split(x, 3)[0] * 2),
    Case("hsplit", lambda x: ge.hsplit(x, 2)[1] * 2.0, normal((2, 4)), lambda x: np.hsplit(x, 2)[1] * 2),
    Case("vsplit", lambda x: ge.vsplit(x, 2)[1] * 2.0, normal((4, 2)), lambda x: np.vsplit(x, 2)[1] * 2),
    Case("dsplit", lambda x: ge.dsplit(x, 2)[1] * 2.0, normal((1, 2, 4)), lambda x: np.dsplit(x, 2)[1] * 2),
    Case("split_with_sizes", lambda x: ge.split_with_sizes(x, [2, 3])[1], normal((5, 2)), lambda x: x[2:]),
    Case("split/dim", lambda x: ge.split(x, 2, dim=0)[1], normal((5, 2)), lambda x: x[2:4]),
    Case("unsafe_split", lambda x: ge.unsafe_split(x, 2)[2], normal((5, 2)), lambda x: x[4:]),
    Case("block_diag", ge.block_diag, normal((1, 2), (2, 1)),
         lambda x, y: np.block([[x, np.zeros((1, 1))], [np.zeros((2, 2)), y]]), lambda t, x, y: t.block_diag(x, y)),
    Case("cartesian_prod", ge.cartesian_prod, normal((2,), (3,)),
         lambda x, y: np.stack([a.reshape(-1) for a in np.meshgrid(x, y, indexing="ij")], -1),
         lambda t, x, y: t.cartesian_prod(x, y)),
    Case("combinations", ge.combinations, normal((3,)), lambda x: x[[[0, 1], [0, 2], [1, 2]]],
         lambda t, x: t.combinations(x)),
    Case("broadcast_tensors", lambda x, y: ge.broadcast_tensors(x, y)[0] * y, normal((3,), (2, 1)),
         lambda x, y: x * y),
    Case("unflatten", lambda x: ge.unflatten(x, 1, (2, -1)), normal((2, 6)), lambda x: x.reshape(2, 2, 3)),
    Case("unfold", lambda x: x.unfold(1, 3, 2), normal((2, 6)), lambda x: np.stack([x[:, 0:3], x[:, 2:5]], axis=1)),
    Case("unfold/apart", lambda x: x.unfold(0, 2, 3), normal((6, 2)),
         lambda x: x.reshape(2, 3, 2)[:, :2].swapaxes(1, 2)),
    Case("quantile/nearest", lambda x: ge.quantile(x, 0.3, 1, interpolation="nearest"), normal((2, 6)),
         lambda x: np.quantile(x, 0.3, 1, method="nearest")),
    Case("select", lambda x: ge.select(x, 1, -1), normal((2, 3)), lambda x: x[:, -1],
         lambda t, x: t.select(x, 1, -1)),
    Case("index_select", lambda x: ge.index_select(x, 1, index(PLACES, x)), normal((2, 3)), lambda x: x[:, PLACES]),
    Case("take_along_dim", lambda x: ge.take_along_dim(x, index(ROWS, x), 0), normal((2, 3)),
         lambda x: np.take_along_axis(x, ROWS, 0)),
    Case("fliplr", ge.fliplr, normal((2, 3)), np.fliplr),
    Case("flipud", ge.flipud, normal((2, 3)), np.flipud),
    Case("rot90", ge.rot90, normal((2, 3)), np.rot90),
    Case("rot90/3", lambda x: ge.rot90(x, 3), normal((2, 3)), lambda x: np.rot90(x, 3)),
    Case("diag_embed", lambda x: ge.diag_embed(x, offset=1), normal((2, 3)),
         lambda x: np.stack([np.diag(r, 1) for r in x]), lambda t, x: t.diag_embed(x, offset=1)),
    Case("diagflat", ge.diagflat, normal((2, 2)), np.diagflat),
    Case("t", ge.t, normal((2, 3)), np.transpose),
    Case("repeat_interleave", lambda x: ge.repeat_interleave(x, 2, dim=1), normal((2, 3)),
         lambda x: np.repeat(x, 2, 1)),
    Case("squeeze/dim", lambda x: ge.squeeze(x, dim=0), normal((2, 1)), lambda x: x),
]  # fmt: skip

STATISTICS = [
    Case("var_mean", lambda x: ge.var_mean(x, dim=1)[0], normal((2, 4)), lambda x: x.var(1, ddof=1)),
    Case("std_mean", lambda x: ge.std_mean(x, dim=0)[0], normal((4, 2)), lambda x: x.std(0, ddof=1)),
    Case("std/dim", lambda x: ge.std(x, dim=1), normal((2, 4)), lambda x: x.std(1, ddof=1), lambda t, x: t.std(x, 1)),
    Case("max/dim", lambda x: ge.max(x, dim=1).values, spread((2, 4)), lambda x: x.max(1),
         lambda t, x: t.max(x, 1).values),
    Case("min/dim", lambda x: ge.min(x, dim=0).values, spread((4, 2)), lambda x: x.min(0),
         lambda t, x: t.min(x, 0).values),
    Case("sort/dim", lambda x: ge.sort(x, dim=0).values, spread((4, 2)), lambda x: np.sort(x, 0)),
    Case("median/dim", lambda x: ge.median(x, dim=1).values, spread((2, 4)), lambda x: np.sort(x, 1)[:, 1]),
    Case("aminmax", lambda x: ge.aminmax(x).max, spread((2, 4)), np.max),
    Case("cummax", lambda x: ge.cummax(x, 1).values, spread((2, 4)), lambda x: np.maximum.accumulate(x, 1),
         lambda t, x: t.cummax(x, 1).values),
    Case("cummin", lambda x: ge.cummin(x, 0).values, spread((4, 2)), lambda x: np.minimum.accumulate(x, 0)),
    Case("kthvalue", lambda x: ge.kthvalue(x, 2, 1).values, spread((2, 4)), lambda x: np.sort(x, 1)[:, 1]),
    Case("mode", lambda x: ge.mode(x, 1).values, spread((2, 4)), lambda x: np.sort(x, 1)[:, 0]),
    Case("msort", ge.msort, spread((4, 2)), lambda x: np.sort(x, 0)),
    Case("nansum", lambda x: ge.nansum(x, axis=1), normal((2, 3)), lambda x: np.nansum(x, 1)),
    Case("nanmean", lambda x: ge.nanmean(x, axis=1), normal((2, 3)), lambda x: np.nanmean(x, 1)),
    Case("nanmedian", lambda x: ge.nanmedian(x, axis=1), spread((2, 4)), lambda x: np.nanmedian(x, 1)),
    Case("nanquantile", lambda x: ge.nanquantile(x, 0.3, axis=1), spread((2, 4)),
         lambda x: np.nanquantile(x, 0.3, 1)),
    Case("cov", ge.cov, normal((2, 4)), np.cov, lambda t, x: t.cov(x)),
    Case("corrcoef", ge.corrcoef, normal((2, 4)), np.corrcoef, lambda t, x: t.corrcoef(x)),
    Case("cdist", ge.cdist, normal((2, 3), (4, 3)), lambda x, y: np.sqrt(((x[:, None] - y[None]) ** 2).sum(-1)),
         lambda t, x, y: t.cdist(x, y)),
    Case("dist", ge.dist, normal((2, 3), (3,)), lambda x, y: np.linalg.norm((x - y).reshape(-1)),
         lambda t, x, y: t.dist(x, y)),
    Case("cross", ge.cross, normal((2, 3), (2, 3)), np.cross, lambda t, x, y: t.cross(x, y, dim=1)),
    Case("renorm", lambda x: ge.renorm(x, 2, 0, 0.5), normal((2, 3)), None,
         lambda t, x: t.renorm(x, 2, 0, 0.5), order=1),
    Case("logcumsumexp", lambda x: ge.logcumsumexp(x, 1), normal((2, 5)), lambda x: np.log(np.cumsum(np.exp(x), 1)),
         lambda t, x: t.logcumsumexp(x, 1)),
    Case("trapezoid", lambda x, y: ge.trapezoid(y, x), normal((4,), (2, 4)), lambda x, y: np.trapezoid(y, x)),
    Case("cumulative_trapezoid", lambda y: ge.cumulative_trapezoid(y, dx=0.5), normal((2, 4)),
         lambda y: np.cumsum((y[:, 1:] + y[:, :-1]) / 4, 1)),
]  # fmt: skip

WRITING = [
    Case("scatter", lambda x, s: ge.scatter(x, 1, index(ROWS[:, :2], x), s), normal((2, 3), (2, 2)),
         lambda x, s: put_along(x, 1, ROWS[:, :2], s), lambda t, x, s: x.scatter(1, t.tensor(ROWS[:, :2]), s)),
    Case("scatter_reduce", lambda x, s: ge.scatter_reduce(x, 1, index(ROWS, x), s, "mean"),
         normal((2, 3), (2, 3)), None,
         lambda t, x, s: x.scatter_reduce(1, t.tensor(ROWS), s, "mean")),
    Case("scatter_reduce/prod", lambda x, s: ge.scatter_reduce(x, 0, index(ROWS, x), s, "prod"),
         normal((2, 3), (2, 3)),
         lambda x, s: added(x, 0, ROWS, s, np.multiply),
         lambda t, x, s: x.scatter_reduce(0, t.tensor(ROWS), s, "prod")),
    Case("scatter_reduce/amax", lambda x, s: ge.scatter_reduce(x, 1, index(ROWS, x), s, "amax"),
         spread((2, 3), (2, 3)),
         lambda x, s: added(x, 1, ROWS, s, np.maximum)),
    Case("index_fill", lambda x: ge.index_fill(x, 1, index(PLACES, x), 2.0), normal((2, 3)),
         lambda x: put_along(x, 1, np.broadcast_to(PLACES, (2, 2)), 2.0)),
    Case("index_copy", lambda x, s: ge.index_copy(x, 1, index(PLACES, x), s), normal((2, 3), (2, 2)),
         lambda x, s: put_along(x, 1, np.broadcast_to(PLACES, (2, 2)), s)),
    Case("index_put", lambda x, s: ge.index_put(x, (index(PLACES, x),), s, accumulate=True), normal((3,), (2,)),
         lambda x, s: x + np.array([s[1], 0.0, s[0]])),
    Case("masked_scatter",
         lambda x, s: ge.masked_scatter(x, ge.tensor([True, False, True], device=x.device), s), normal((3,), (2,)),
         lambda x, s: np.array([s[0], x[1], s[1]])),
    Case("select_scatter", lambda x, s: ge.select_scatter(x, s, 1, 0), normal((2, 3), (2,)),
         lambda x, s: np.concatenate([s[:, None], x[:, 1:]], 1)),
    Case("slice_scatter", lambda x, s: ge.slice_scatter(x, s, 1, 1, 3), normal((2, 3), (2, 2)),
         lambda x, s: np.concatenate([x[:, :1], s], 1)),
    Case("diagonal_scatter", lambda x, s: ge.diagonal_scatter(x, s), normal((2, 2), (2,)),
         lambda x, s: x * (1 - np.eye(2)) + np.diag(s)),
    Case("put", lambda x, s: ge.put(x, index(PLACES, x), s), normal((2, 2), (2,)),
         lambda x, s: np.array([[s[1], x[0, 1]], [s[0], x[1, 1]]])),
]  # fmt: skip

CASES: list[Case] = [*PRODUCTS, *POINTWISE, *SHAPES, *STATISTICS, *WRITING]
