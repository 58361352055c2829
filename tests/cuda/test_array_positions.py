"""Indexing, gather and scatter, kernels of labels, and random numbers on CuPy's arrays: what NumPy's give.

Random numbers are compared bit for bit.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from gradengine_kernels.cupy_cuda.lazy_cupy import cp
from tests.cuda.array_checks import (
    BFLOAT,
    DOUBLE,
    FLOATS,
    HALF,
    INF,
    INTEGERS,
    KERNELS,
    NAN,
    REFERENCE,
    SINGLE,
    Generator,
    agree,
    layouts,
    numbers,
    to_device,
)

pytestmark = pytest.mark.cuda


# -- positions ----------------------------------------------------------------------------------------------------

N, E = None, ...


def index_cases(rng: Generator) -> list[tuple[Any, list[np.ndarray]]]:
    """Indices of an array of shape (4, 5, 6), with their arrays."""
    some = lambda size, *shape: rng.integers(-size, size, shape)
    mask = lambda *shape: rng.random(shape) < 0.5
    I, M, all_ = "integers", "mask", slice(None)
    return [
        ((2,), []),
        ((1, all_, -2), []),
        ((E, slice(None, None, -2)), []),
        ((N, 1, N, slice(1, 3)), []),
        ((I,), [some(4, 7)]),
        ((I,), [some(4, 2, 3).astype("i")]),
        ((I,), [some(4)]),
        ((I,), [np.zeros(0, int)]),
        ((I,), [rng.integers(0, 4, 5).astype("B")]),
        ((all_, I), [some(5, 9)]),
        ((E, I), [some(6, 3)]),
        ((all_, I, all_), [some(5, 2, 2)]),
        ((I, I), [some(4, 6), some(5, 6)]),
        ((I, I, I), [some(4, 6), some(5, 6), some(6, 2, 1)]),
        ((I, all_, I), [some(4, 3), some(6, 3)]),
        ((all_, I, I), [some(5, 3, 1), some(6, 2)]),
        ((1, all_, I), [some(6, 3)]),
        ((I, N, I), [some(4, 3), some(5, 3)]),
        ((slice(1, 3), I), [some(5, 4)]),
        ((M,), [mask(4, 5, 6)]),
        ((M,), [mask(4, 5)]),
        ((M,), [mask(4)]),
        ((all_, M), [mask(5)]),
        ((all_, M), [mask(5, 6)]),
        ((E, M), [mask(6)]),
        ((M, I), [np.array([True, False, True, False]), some(5, 2)]),
        ((M, all_, I), [np.array([True, False, True, False]), some(6, 2)]),
        ((M,), [np.zeros((4, 5, 6), bool)]),
        ((M,), [np.array(True)]),
        ((M,), [np.array(False)]),
        ((all_, M), [np.array(True)]),
        ((M, I), [np.array(True), some(4, 3)]),
    ]


@pytest.mark.parametrize("case", range(32))
def test_indexing(case: int, rng: Generator) -> None:
    index, at = index_cases(rng)[case]
    shape = (4, 5, 6)
    for dtype in (SINGLE, HALF, BFLOAT, np.dtype("l"), np.dtype("h"), np.dtype(bool)):
        x = numbers(rng, shape, dtype)
        for given in layouts(x):
            read = agree("getitem", given, *at, index=index, exact=True)
            written = numbers(rng, read.shape, dtype)
            agree("put_at", given, written, *at, index=index, exact=True)
        agree("put_at", x, 1, *at, index=index, exact=True)
        agree("put_at", x, written[None], *at, index=index, exact=True)
        if dtype.kind != "b":
            agree("place", written, *at, index=index, shape=shape)
    if "integers" in index:
        agree("last_writes", *at, index=index, shape=shape)


def test_writing_in_place(rng: Generator) -> None:
    for index, at in index_cases(rng):
        x, v = numbers(rng, (4, 5, 6)), np.array(9.0, SINGLE)
        expected, got = x.copy(), to_device(x)
        REFERENCE["put_at"](expected, v, *at, index=index, copy=False)
        out = KERNELS["put_at"](got, to_device(v), *map(to_device, at), index=index, copy=False)
        assert out is got
        np.testing.assert_array_equal(cp.asnumpy(got), expected)


def test_that_the_last_of_many_writes_counts(rng: Generator) -> None:
    at, v = rng.integers(0, 3, 2000), numbers(rng, (2000, 2))
    agree("put_at", numbers(rng, (3, 2)), v, at, index=("integers",), exact=True)
    agree("put_at", numbers(rng, (2, 3)), v.T, at, index=(slice(None), "integers"), exact=True)
    agree("put_at", numbers(rng, (3, 3)), v[:, 0], at, at[::-1], index=("integers", "integers"), exact=True)
    agree("last_writes", at, index=("integers",), shape=(3,))


def test_indices_out_of_range(rng: Generator) -> None:
    x = numbers(rng, (3, 4))
    words = "index 3 is out of range for axis 0 with size 3"
    for bad in (np.array([0, 3, 1]), np.array([[1], [3]], "i"), np.array([3], "B"), np.array(3)):
        agree("getitem", x, bad, index=("integers",), words=words)
        agree("take", x, bad, axis=0, words=words)
        agree("put_at", x, 1.0, bad, index=("integers",), words=words)
    agree("getitem", x, np.array([-5, 1]), index=(slice(None), "integers"), words="index -5 is out of range for axis 1")
    agree("getitem", x, np.array([1, 1]), np.array([0, 4]), index=("integers",) * 2, words="out of range for axis 1")
    agree("accumulate", x, np.array([0, 3, 1]), axis=0, shape=(3, 4), words=words)
    agree("accumulate", x[:2], np.array([0, -4]), axis=0, shape=(3, 4), words="index -4 is out of range for axis 0")
    agree("take", x, np.array([12]), axis=None, words="index 12 is out of range for axis 0 with size 12")
    agree("take", x, np.array([0]), axis=2)
    agree("take", np.zeros((0, 3)), np.array([0]), axis=0, words="out of range for axis 0 with size 0")
    agree("take", x, np.array([0.5]), axis=0, words="indices must be integers, got float64")
    agree("take", x, np.array([True]), axis=0, words="indices must be integers, got bool")
    agree("take_along_axis", x, np.array([[4]]), axis=1, words="index 4 is out of range for axis 1 with size 4")
    agree("take_along_axis", x, np.array([[0.5]]), axis=1, words="indices must be integers, got float64")
    agree("accumulate_along_axis", x, np.full((3, 4), 4), axis=1, shape=(3, 4), words="index 4 is out of range")
    agree("getitem", x, np.zeros((4, 4), bool), index=("mask",), words="boolean index did not match")
    agree("getitem", x, np.zeros(3, int), np.zeros(3, int), np.zeros(3, int), index=("integers",) * 3)
    agree("getitem", x, index=(5,), words="out of range")
    agree("one_hot", np.array([0, 3, 1]), num_classes=3, dtype=SINGLE, words="label 3 is out of range for 3 classes")
    agree("one_hot", np.array([0, -1]), num_classes=3, dtype=SINGLE, words="label -1 is out of range for 3 classes")
    agree("one_hot", np.array([0.0]), num_classes=3, dtype=SINGLE, words="labels must be integers, got float64")
    agree("getitem", x, np.array([0, 2, 1]), index=("integers",))  # nothing is left behind by an error


@pytest.mark.parametrize("dtype", [*FLOATS, np.dtype("l"), np.dtype("b"), np.dtype("H"), np.dtype(bool)], ids=str)
def test_take_and_accumulate(dtype: Any, rng: Generator) -> None:
    for shape, axis in (((7, 4), 0), ((7, 4), 1), ((3, 7, 4), 1), ((7, 3), -1), ((5, 8), None), ((6,), 0)):
        size = math.prod(shape) if axis is None else shape[axis]
        for kind, many in itertools.product("ilB", ((5,), (2, 30), (0,), ())):
            at = rng.integers(0 if kind == "B" else -size, size, many).astype(kind)
            for x in layouts(numbers(rng, shape, dtype)):
                read = agree("take", x, at, axis=axis, exact=True)
            if dtype.kind != "b":
                for g in layouts(numbers(rng, read.shape, dtype)):
                    agree("accumulate", g, at, axis=axis, shape=shape)
    x = numbers(rng, (4, 5), dtype)
    for axis, many in ((0, (3, 5)), (1, (4, 9)), (-1, (1, 3)), (0, (2, 1))):
        at = rng.integers(-x.shape[axis], x.shape[axis], many)
        read = agree("take_along_axis", x, at, axis=axis, exact=True)
        if dtype.kind != "b":
            agree("accumulate_along_axis", numbers(rng, read.shape, dtype), at, axis=axis, shape=x.shape)
    agree("argwhere", x)
    agree("argwhere", x[0, 0])
    for classes in (6, -1):
        agree("one_hot", rng.integers(0, 6, (3, 2)), num_classes=classes, dtype=dtype)
    agree("one_hot", np.zeros(0, int), num_classes=-1, dtype=dtype)


def test_rows_of_every_width(rng: Generator) -> None:
    for dtype, width in itertools.product("bhfd", (1, 2, 3, 4, 8, 16)):
        table = rng.integers(0, 100, (9, width)).astype(dtype)
        agree("take", table, rng.integers(0, 9, 20), axis=0, exact=True)
        agree("take", table[1:], rng.integers(0, 8, 20), axis=0, exact=True)
        agree("put_at", table, table[:5] + 1, rng.integers(0, 9, 5), index=("integers",), exact=True)


# -- neural networks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*FLOATS, np.dtype("i")], ids=str)
def test_softmax(dtype: Any, rng: Generator) -> None:
    for shape, axis in itertools.product(((3, 5), (4, 70), (2, 3, 4), (), (0, 3), (3, 0), (1,)), (-1, 0, 1)):
        x = numbers(rng, shape, dtype, -20, 20)
        for name in ("softmax", "log_softmax"):
            for given in layouts(x):
                y = agree(name, given, axis=axis)
            if isinstance(y, np.ndarray) and dtype.kind != "i":
                agree(f"{name}_grad", numbers(rng, y.shape, y.dtype), y, axis=axis)
                if x.size:
                    agree("standardize", x, axis=axis, eps=1e-3)
    if dtype.kind != "i":
        for name in ("softmax", "log_softmax"):
            agree(name, np.array([[1e4, 1e4, 0], [-INF, -INF, -INF], [NAN, 1, 2], [INF, 1, 2]], dtype))
        agree("softmax_grad", 1.0, numbers(rng, (3, 4), dtype), axis=1)
        agree("standardize", numbers(rng, (2, 3, 4), dtype), axis=(1, 2), eps=1e-5)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_cross_entropy(dtype: Any, rng: Generator) -> None:
    for rows, kind, ignored in itertools.product((5, 1, 0), "liB", (False, True)):
        x, labels = numbers(rng, (rows, 6), dtype), rng.integers(0, 6, rows).astype(kind)
        ignore_index = 2 if ignored else -100
        labels[:1] = ignore_index if ignored else 0
        for reduction in ("none", "sum", "mean"):
            params: dict[str, Any] = {"ignore_index": ignore_index, "reduction": reduction}
            losses = agree("cross_entropy_rows", x, labels, **params)
            agree("cross_entropy_rows_grad", numbers(rng, losses.shape, dtype), x, labels, **params)
            agree("cross_entropy_rows_grad", 1.0, x, labels, **params)
            agree("label_weights", labels, x, **params)
        agree("pick_class", x, labels, ignore_index=ignore_index, exact=True)
        agree("pick_class", np.ascontiguousarray(x.T).T, labels, ignore_index=ignore_index, exact=True)
        g = numbers(rng, rows, dtype)
        agree("place_class", g, labels, classes=6, ignore_index=ignore_index, exact=True)
    x = numbers(rng, (3, 4), dtype)
    params = {"ignore_index": -100, "reduction": "mean"}
    for name, given in (("cross_entropy_rows", (x,)), ("pick_class", (x,)), ("cross_entropy_rows_grad", (1.0, x))):
        kept = {"ignore_index": -100} if name == "pick_class" else params
        words = "label 4 at position 1 is out of range for 4 classes"
        agree(name, *given, np.array([0, 4, -1]), **kept, words=words)
        agree(name, *given, np.array([0, 3, -1], "i"), **kept, words="label -1 at position 2 is out of range")
        agree(name, *given, np.array([0.0, 1, 2]), **kept, words="labels must be integers, got float64")
    agree("cross_entropy_rows", x, np.array([-100] * 3), **params)
    agree("cross_entropy_rows", x, np.array([0, 1]), **params, words="3 rows of logits but 2 labels")


def test_mean_squared_error(rng: Generator) -> None:
    for dtype, shape in itertools.product((*FLOATS, np.dtype("i")), ((), (5,), (3, 4), (0,))):
        agree("mean_squared_error", numbers(rng, shape, dtype), numbers(rng, shape, dtype))
    agree("mean_squared_error", numbers(rng, (3, 4)), 1.5)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_embedding(dtype: Any, rng: Generator) -> None:
    weight = numbers(rng, (7, 3), dtype)
    for kind, shape, padding in itertools.product("liB", ((4,), (2, 5), (), (0,)), (None, 2)):
        at = rng.integers(0, 7, shape).astype(kind)
        read = agree("embedding_rows", weight, at, padding_idx=padding, blank=padding is not None, exact=True)
        agree("embedding_rows_grad", numbers(rng, read.shape, dtype), at, rows=7, padding_idx=padding)
    agree("embedding_rows", weight, np.array([2]), padding_idx=2, blank=False, exact=True)
    params: dict[str, Any] = {"padding_idx": None, "blank": False}
    agree("embedding_rows", weight, np.array([[0, 1], [7, -1]]), **params, words="index 7 at position 1, 0 is out of")
    agree("embedding_rows", weight, np.array([0, -1]), **params, words="index -1 at position 1 is out of range for 7")
    agree("embedding_rows", weight, np.array(9), **params, words="index 9 at position 0 is out of range")
    agree("embedding_rows", weight, np.array([0.5]), **params, words="indices must be integers, got float64")
    many = rng.integers(0, 2, 3000)
    agree("embedding_rows_grad", numbers(rng, (3000, 2), SINGLE).round(), many, rows=2, padding_idx=None)


# -- random numbers -----------------------------------------------------------------------------------------------

STATES = [(0, 0), (12345, 7), ((1 << 64) - 1, (1 << 64) - 2), (1 << 63, 1 << 63)]
SIZES: list[tuple[int, ...]] = [(), (0,), (1,), (7,), (8,), (3, 5, 7), (1001,)]


def drawn(name: str, state: tuple[int, int], **params: Any) -> None:
    """Equal bits, for a state on the host and for one on the device."""
    words = np.array(state, np.uint64)
    expected = np.asarray(REFERENCE[name](words, **params))
    for where in (words, cp.asarray(words)):
        got = KERNELS[name](where, **params)
        assert isinstance(got, cp.ndarray)
        found = cp.asnumpy(got)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        assert found.tobytes() == np.ascontiguousarray(expected).tobytes(), f"{name} {params}"


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("state", STATES, ids=str)
def test_random_floats(state: tuple[int, int], dtype: Any) -> None:
    for shape in SIZES:
        for low, high in ((0.0, 1.0), (-1.0, 1.0), (0.1, 0.1000001), (2.0, 2.0), (1e-42, 3e-42)):
            drawn("random_uniform", state, shape=shape, low=low, high=high, dtype=dtype)
        for mean, std in ((0.0, 1.0), (1.5, 0.3), (0.0, 1e-41), (3.0, 1e-6)):
            drawn("random_normal", state, shape=shape, mean=mean, std=std, dtype=dtype)
        for p in (0.0, 0.3, 0.9999, 1.0):
            drawn("random_dropout", state, shape=shape, p=p, dtype=dtype)


@pytest.mark.parametrize("state", STATES, ids=str)
def test_random_integers(state: tuple[int, int], rng: Generator) -> None:
    for dtype, shape in itertools.product(INTEGERS, SIZES):
        held = np.iinfo(dtype)
        for low, high in ((0, 10), (held.min, held.max + 1), (held.min, held.max - held.max // 3)):
            drawn("random_integers", state, shape=shape, low=low, high=high, dtype=dtype)
    for dtype, shape in itertools.product(map(np.dtype, "?blfe"), SIZES):
        for p in (0.0, 0.4, 1.0):
            drawn("random_bernoulli", state, p=p, shape=shape, dtype=dtype)
    for n in (0, 1, 2, 100):
        drawn("random_permutation", state, n=n)
    words = np.array(state, np.uint64)
    for dtype, p in itertools.product((SINGLE, HALF), (rng.random((4, 1)), np.array(0.5), np.array([0.0, 1.0, 0.5]))):
        agree("random_bernoulli", words, p.astype(dtype), shape=(4, 3), dtype=SINGLE, exact=True)


def test_many_normal_numbers() -> None:
    """Enough for the far tails, which have a formula of their own."""
    drawn("random_normal", (3, 9), shape=(200_001,), mean=0.0, std=1.0, dtype=DOUBLE)
    drawn("random_normal", (4, 9), shape=(200_001,), mean=0.0, std=1.0, dtype=HALF)
