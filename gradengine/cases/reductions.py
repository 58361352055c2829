"""Rows for reductions, running totals and sorting."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

import gradengine as ge

from .case import Case

if TYPE_CHECKING:
    from collections.abc import Callable


def normal(*shape: int) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    """Numbers around 0."""
    return lambda rng: (rng.standard_normal(shape),)


def distinct(*shape: int) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    """Numbers of both signs, no two of which are close or of close magnitude."""

    def sample(rng: np.random.Generator) -> tuple[Any, ...]:
        size = int(np.prod(shape))
        magnitudes = rng.permutation(size) * 0.5 + rng.uniform(0.2, 0.4, size)
        return ((magnitudes * rng.choice([-1.0, 1.0], size)).reshape(shape),)

    return sample


def constant(values: Any) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    """These numbers."""
    return lambda rng: (np.array(values),)


def whole(*shape: int) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    """Integers from -3 to 3."""
    return lambda rng: (rng.integers(-3, 4, shape),)


def truths(*shape: int) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    """Bools."""
    return lambda rng: (rng.integers(0, 2, shape).astype(bool),)


AXES: list[tuple[tuple[int, ...], Any, bool]] = [
    ((2, 3), None, False),
    ((2, 3), None, True),
    ((2, 3), 0, False),
    ((2, 3), 1, True),
    ((2, 3, 2), (0, -1), False),
    ((2, 3, 2), (1, 0), True),
    ((2, 3), (), False),
    ((2, 1, 3), 1, False),
    ((), None, False),
]


def rows(
    name: str,
    call: Callable[..., Any],
    reference: Callable[..., Any],
    torch: Callable[..., Any] | None = None,
    sample: Callable[..., Any] = normal,
    order: int = 2,
    **settings: Any,
) -> list[Case]:
    """A row per variant of axis and keepdims; `torch(torch, x, dim, keepdim)`."""
    found = []
    for shape, axis, keepdims in AXES:
        if axis == () and name not in ("sum", "max", "prod"):
            continue
        beside = None
        if torch is not None and axis != () and not (axis is None and keepdims):
            beside = functools.partial(with_torch, torch, axis, keepdims)
        found.append(
            Case(
                f"{name}/{shape} axis={axis}{' keepdims' if keepdims else ''}",
                functools.partial(call, axis=axis, keepdims=keepdims),
                sample(*shape),
                functools.partial(reference, axis=axis, keepdims=keepdims),
                beside,
                order,
                **settings,
            )
        )
    view = lambda x: call(ge.flip(ge.matrix_transpose(x), axis=0), axis=-1)
    found.append(
        Case(f"{name}/strided", view, sample(3, 2), lambda x: reference(x.T[::-1], axis=-1), None, order, **settings)
    )
    return found


def with_torch(function: Callable[..., Any], axis: Any, keepdims: bool, torch: Any, x: Any) -> Any:
    """PyTorch's reduction over the same axes; None is all of them there too."""
    return function(torch, x, tuple(range(x.ndim)) if axis is None else axis, keepdims)


def np_logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) as NumPy finds it."""
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


def np_norm(x: Any, ord: Any = 2, axis: Any = None, keepdims: bool = False) -> Any:
    """The array API's vector norm."""
    return np.linalg.vector_norm(x, ord=ord, axis=axis, keepdims=keepdims)


def silent(function: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy function without its warnings about empty slices."""

    def call(*args: Any, **kwargs: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*args, **kwargs)

    return call


def norm_rows(ord: float) -> list[Case]:
    """Rows for one order of the norm."""
    bind = functools.partial
    return rows(
        f"vector_norm/ord={ord}",
        bind(ge.vector_norm, ord=ord),
        bind(np_norm, ord=ord),
        lambda torch, x, dim, keepdim: torch.linalg.vector_norm(x, ord, dim, keepdim),
        distinct,
        order=2 if ord else 0,
    )


REDUCTIONS = [
    *rows("sum", ge.sum, np.sum, lambda torch, x, dim, keepdim: torch.sum(x, dim, keepdim)),
    *rows("mean", ge.mean, np.mean, lambda torch, x, dim, keepdim: torch.mean(x, dim, keepdim)),
    *rows("prod", ge.prod, np.prod),
    *rows("max", ge.max, np.max, lambda torch, x, dim, keepdim: torch.amax(x, dim, keepdim), distinct),
    *rows("min", ge.min, np.min, lambda torch, x, dim, keepdim: torch.amin(x, dim, keepdim), distinct),
    *rows("var", ge.var, np.var, lambda torch, x, dim, keepdim: torch.var(x, dim, correction=0, keepdim=keepdim)),
    *rows(
        "logsumexp", ge.logsumexp, np_logsumexp, lambda torch, x, dim, keepdim: torch.logsumexp(x, dim, keepdim)
    ),
    *[row for ord in (0, 1, 2, 3, 0.5, 1.5, -1, np.inf, -np.inf) for row in norm_rows(ord)],
    *rows("any", ge.any, np.any, None, truths, 0),
    *rows("all", ge.all, np.all, None, truths, 0),
    *rows("count_nonzero", ge.count_nonzero, np.count_nonzero, None, whole, 0),
    Case("std", ge.std, normal(2, 3), np.std, lambda torch, x: torch.std(x, correction=0)),
    Case(
        "std/axis=0",
        lambda x: ge.std(x, axis=0, correction=1, keepdims=True),
        normal(3, 2),
        lambda x: np.std(x, axis=0, correction=1, keepdims=True),
        lambda torch, x: torch.std(x, 0, keepdim=True),
    ),
    Case(
        "std/axis=(0, -1)",
        lambda x: ge.std(x, axis=(0, -1)),
        normal(3, 2, 2),
        lambda x: np.std(x, axis=(0, -1)),
        lambda torch, x: torch.std(x, (0, -1), correction=0),
    ),
    Case("std/is 0", lambda x: ge.std(x, axis=1), constant([[1.0, 1.0], [2.0, 2.0]]), lambda x: np.std(x, axis=1),
         lambda torch, x: torch.std(x, 1, correction=0), 0),
    Case("var/correction", lambda x: ge.var(x, axis=1, correction=1.5), normal(2, 3),
         lambda x: np.var(x, axis=1, correction=1.5), lambda torch, x: torch.var(x, 1, correction=1.5)),
    Case("var/too few", lambda x: ge.var(x, axis=0, correction=1), normal(1, 3),
         silent(lambda x: np.var(x, axis=0, correction=1)), order=0),
    Case("sum/integers", ge.sum, whole(2, 3), np.sum, order=0),
    Case("sum/bools", lambda x: ge.sum(x, axis=0), truths(4, 2), lambda x: np.sum(x, axis=0), order=0),
    Case("sum/dtype", lambda x: ge.sum(x, axis=0, dtype=ge.float64), normal(3, 2), lambda x: np.sum(x, axis=0)),
    Case("sum/empty", lambda x: ge.sum(x, axis=0), normal(0, 3), lambda x: np.sum(x, axis=0)),
    Case("sum/long", lambda x: ge.sum(x, axis=0) * ge.sum(x), normal(40, 3), lambda x: np.sum(x, axis=0) * np.sum(x)),
    Case("mean/integers", ge.mean, whole(2, 3), np.mean, order=0),
    Case("mean/empty", lambda x: ge.mean(x, axis=0), normal(0, 3), silent(lambda x: np.mean(x, axis=0)), order=0),
    Case("prod/empty", lambda x: ge.prod(x, axis=0), normal(0, 3), lambda x: np.prod(x, axis=0)),
    Case("prod/one zero", ge.prod, constant([2.0, 0.0, -3.0, 0.5]), np.prod, lambda torch, x: torch.prod(x)),
    Case("prod/two zeros", ge.prod, constant([2.0, 0.0, -3.0, 0.0]), np.prod, lambda torch, x: torch.prod(x)),
    Case("prod/zeros by row", lambda x: ge.prod(x, axis=1),
         constant([[2.0, 0.0, 3.0], [0.0, 0.0, 1.0], [1.0, 2.0, 3.0]]), lambda x: np.prod(x, axis=1),
         lambda torch, x: torch.prod(x, 1)),
    Case("prod/integers", lambda x: ge.prod(x, axis=1), whole(2, 3), lambda x: np.prod(x, axis=1), order=0),
    Case("product_of_others", lambda x: ge.ops.product_of_others(x, axis=(0, 2)), normal(2, 2, 2),
         lambda x: np.prod(x, axis=(0, 2), keepdims=True) / x),
    Case("product_of_others/zeros", lambda x: ge.ops.product_of_others(x, axis=1),
         constant([[0.0, 2.0, 3.0], [0.0, 0.0, 3.0]]), lambda x: np.array([[6.0, 0.0, 0.0], [0.0, 0.0, 0.0]])),
    Case("max/ties", lambda x: ge.max(x, axis=1), constant([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]),
         lambda x: np.max(x, axis=1), lambda torch, x: torch.amax(x, 1), 0),
    Case("max/NaN and inf", lambda x: ge.max(x, axis=1), constant([[1.0, np.nan], [np.inf, 2.0], [-np.inf, -np.inf]]),
         lambda x: np.max(x, axis=1), order=0),
    Case("max/integers", lambda x: ge.max(x, axis=0), whole(2, 3), lambda x: np.max(x, axis=0), order=0),
    Case("min/bools", lambda x: ge.min(x, axis=0), truths(2, 3), lambda x: np.min(x, axis=0), order=0),
    Case("amax", lambda x: ge.amax(x, axis=1), distinct(2, 3), lambda x: np.amax(x, axis=1),
         lambda torch, x: torch.amax(x, 1)),
    Case("amin", lambda x: ge.amin(x, axis=1), distinct(2, 3), lambda x: np.amin(x, axis=1),
         lambda torch, x: torch.amin(x, 1)),
    Case("logsumexp/large", ge.logsumexp, constant([1000.0, 1000.5, -1000.0]), lambda x: 1000 + np_logsumexp(x - 1000),
         lambda torch, x: torch.logsumexp(x, 0)),
    Case("logsumexp/inf", lambda x: ge.logsumexp(x, axis=1),
         constant([[-np.inf, 1.0], [-np.inf, -np.inf], [np.inf, 1.0], [np.nan, 1.0]]),
         lambda x: np_logsumexp(x, axis=1), order=0),
    Case("logsumexp/empty", lambda x: ge.logsumexp(x, axis=0), normal(0, 2), lambda x: np.full(2, -np.inf)),
    Case("norm", ge.norm, distinct(2, 3), np_norm, lambda torch, x: torch.linalg.vector_norm(x)),
    Case("vector_norm/zeros", lambda x: ge.vector_norm(x, axis=1), constant([[0.0, 0.0], [3.0, 4.0]]),
         lambda x: np_norm(x, axis=1), lambda torch, x: torch.linalg.vector_norm(x, 2, 1), 0),
    Case("vector_norm/integers", ge.vector_norm, whole(2, 3), np_norm, order=0),
    Case("vector_norm/empty", lambda x: ge.vector_norm(x, axis=1), normal(2, 0), lambda x: np.zeros(2)),
    Case("trace", ge.trace, normal(3, 3), np.trace, lambda torch, x: torch.trace(x)),
    Case("trace/stack", lambda x: ge.trace(x, offset=1), normal(2, 3, 4), lambda x: np.linalg.trace(x, offset=1)),
]  # fmt: skip

EXTREMA = [
    Case("argmax", ge.argmax, distinct(2, 3), np.argmax, lambda torch, x: torch.argmax(x), 0),
    Case("argmax/axis=0", lambda x: ge.argmax(x, axis=0), whole(4, 3), lambda x: np.argmax(x, axis=0), order=0),
    Case("argmax/keepdims", lambda x: ge.argmax(x, axis=-1, keepdims=True), distinct(2, 3),
         lambda x: np.argmax(x, axis=-1, keepdims=True), lambda torch, x: torch.argmax(x, -1, True), 0),
    Case("argmin", ge.argmin, distinct(2, 3), np.argmin, lambda torch, x: torch.argmin(x), 0),
    Case("argmin/NaN", lambda x: ge.argmin(x, axis=1), constant([[1.0, np.nan, np.nan], [2.0, 1.0, 1.0]]),
         lambda x: np.argmin(x, axis=1), order=0),
]  # fmt: skip

SCANS = [
    Case("cumsum", lambda x: ge.cumsum(x, axis=1), normal(2, 3), lambda x: np.cumsum(x, axis=1),
         lambda torch, x: torch.cumsum(x, 1)),
    Case("cumsum/axis=None", ge.cumsum, normal(2, 3), np.cumsum),
    Case("cumsum/axis=-2", lambda x: ge.cumsum(x, axis=-2), normal(2, 3, 2), lambda x: np.cumsum(x, axis=-2)),
    Case("cumsum/integers", lambda x: ge.cumsum(x, axis=0), whole(4, 2), lambda x: np.cumsum(x, axis=0), order=0),
    Case("cumsum/empty", lambda x: ge.cumsum(x, axis=1), normal(2, 0), lambda x: np.cumsum(x, axis=1)),
    Case("cumsum/0-d", ge.cumsum, normal(), np.cumsum),
    Case("cumprod", lambda x: ge.cumprod(x, axis=1), normal(2, 3), lambda x: np.cumprod(x, axis=1),
         lambda torch, x: torch.cumprod(x, 1)),
    Case("cumprod/axis=None", ge.cumprod, normal(2, 3), np.cumprod),
    Case("cumprod/axis=0", lambda x: ge.cumprod(x, axis=0), normal(5, 2), lambda x: np.cumprod(x, axis=0),
         lambda torch, x: torch.cumprod(x, 0)),
    Case("cumprod/zeros", lambda x: ge.cumprod(x, axis=-1), constant([[2.0, 0.0, 3.0, 4.0], [0.0, 1.0, 0.0, 5.0]]),
         lambda x: np.cumprod(x, axis=-1), lambda torch, x: torch.cumprod(x, -1)),
    Case("cumprod/empty", lambda x: ge.cumprod(x, axis=0), normal(0, 2), lambda x: np.cumprod(x, axis=0)),
    Case("cumulative_sum", lambda x: ge.cumulative_sum(x, axis=1, include_initial=True), normal(2, 3),
         lambda x: np.insert(np.cumsum(x, axis=1), 0, 0, axis=1)),
    Case("cumulative_prod", lambda x: ge.cumulative_prod(x, include_initial=True), normal(4),
         lambda x: np.insert(np.cumprod(x), 0, 1)),
]  # fmt: skip

SORTS = [
    Case("sort", ge.sort, distinct(2, 4), np.sort, lambda torch, x: torch.sort(x)[0]),
    Case("sort/descending", lambda x: ge.sort(x, axis=0, descending=True), distinct(4, 2),
         lambda x: np.sort(x, axis=0)[::-1], lambda torch, x: torch.sort(x, 0, descending=True)[0]),
    Case("sort/ties", lambda x: ge.sort(x, axis=1), constant([[2.0, 1.0, 2.0, 1.0]]), lambda x: np.sort(x, axis=1),
         lambda torch, x: torch.sort(x, dim=1, stable=True)[0], 0),
    Case("sort/NaN", ge.sort, constant([1.0, np.nan, np.inf, -np.inf]), np.sort, lambda torch, x: torch.sort(x)[0], 0),
    Case("sort/empty", ge.sort, normal(2, 0), np.sort),
    Case("argsort", ge.argsort, distinct(2, 4), np.argsort, lambda torch, x: torch.argsort(x), 0),
    Case("argsort/descending", lambda x: ge.argsort(x, descending=True), whole(3, 6),
         lambda x: np.argsort(-x, stable=True),
         lambda torch, x: torch.argsort(x, descending=True, stable=True), 0),
    Case("topk", lambda x: ge.topk(x, 2)[0], distinct(3, 4), lambda x: np.sort(x)[:, :-3:-1],
         lambda torch, x: torch.topk(x, 2)[0]),
    Case("topk/smallest", lambda x: ge.topk(x, 2, axis=0, largest=False)[0], distinct(4, 2),
         lambda x: np.sort(x, axis=0)[:2], lambda torch, x: torch.topk(x, 2, 0, largest=False)[0]),
    Case("topk/indices", lambda x: ge.topk(x, 3)[1], distinct(3, 5), lambda x: np.argsort(-x)[:, :3],
         lambda torch, x: torch.topk(x, 3)[1], 0),
    Case("searchsorted", lambda x, v: ge.searchsorted(x, v, side="right"),
         lambda rng: (np.array([1.0, 2.0, 2.0, 5.0]), np.array([[0.0, 2.0], [3.0, 9.0]])),
         lambda x, v: np.searchsorted(x, v, side="right"),
         lambda torch, x, v: torch.searchsorted(x, v, right=True), 0),
    Case("unique_values", ge.unique_values, whole(3, 6), np.unique, lambda torch, x: torch.unique(x), 0),
    Case("unique_inverse", lambda x: ge.unique_inverse(x).inverse_indices, whole(3, 6),
         lambda x: np.unique_inverse(x).inverse_indices, lambda torch, x: torch.unique(x, return_inverse=True)[1], 0),
    Case("unique_counts", lambda x: ge.unique_counts(x).counts, whole(3, 6), lambda x: np.unique_counts(x).counts,
         lambda torch, x: torch.unique(x, return_counts=True)[1], 0),
    Case("isin", ge.isin, lambda rng: (rng.integers(0, 9, (3, 4)), np.array([2, 5, 7])), np.isin,
         lambda torch, x, v: torch.isin(x, v), 0),
    Case("diff", ge.diff, normal(3, 5), np.diff, lambda torch, x: torch.diff(x)),
    Case("diff/twice along 0", lambda x: ge.diff(x, 2, axis=0), normal(5, 2), lambda x: np.diff(x, 2, axis=0),
         lambda torch, x: torch.diff(x, 2, dim=0)),
    Case("median", ge.median, distinct(2, 3), np.median),
    Case("median/axis=1", lambda x: ge.median(x, axis=1, keepdims=True), distinct(2, 5),
         lambda x: np.median(x, axis=1, keepdims=True), lambda torch, x: torch.median(x, 1, True)[0]),
    Case("median/NaN", lambda x: ge.median(x, axis=1), constant([[1.0, np.nan, 2.0], [3.0, 1.0, 2.0]]),
         silent(lambda x: np.median(x, axis=1)), order=0),
    Case("median/integers", lambda x: ge.median(x, axis=(0, 1)), whole(2, 2, 3), lambda x: np.median(x, axis=(0, 1)),
         order=0),
    Case("quantile", lambda x: ge.quantile(x, 0.3, axis=0), distinct(5, 2), lambda x: np.quantile(x, 0.3, axis=0),
         lambda torch, x: torch.quantile(x, 0.3, 0)),
    Case("quantile/several", lambda x: ge.quantile(x, [0.0, 0.25, 1.0], axis=-1), distinct(2, 6),
         lambda x: np.quantile(x, [0.0, 0.25, 1.0], axis=-1)),
]  # fmt: skip

CASES: list[Case] = [*REDUCTIONS, *EXTREMA, *SCANS, *SORTS]
