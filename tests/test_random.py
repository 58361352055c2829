"""Random numbers: bit for bit Philox, on every backend; the right distributions; streams that can be continued."""

import copy
import json
import pickle
import threading
import time

import numpy as np
import pytest
from scipy import special, stats

import gradengine as ge
from gradengine_kernels.numpy_cpu import random as kernels

MASK = (1 << 64) - 1


def philox(counter, key):
    """Philox4x64-10 as its paper gives it, on Python's integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        left, right = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [right >> 64 ^ c[1] ^ k[0], right & MASK, left >> 64 ^ c[3] ^ k[1], left & MASK]
        k = [k[0] + 0x9E3779B97F4A7C15 & MASK, k[1] + 0xBB67AE8584CAA73B & MASK]
    return c


def state(seed, offset=0):
    return np.array([seed, offset], np.uint64)


# From kat_vectors of the Random123 distribution: counter, key, result.
KNOWN_ANSWERS = """
0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000
16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b
ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff
87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0
243f6a8885a308d3 13198a2e03707344 a4093822299f31d0 082efa98ec4e6c89 452821e638d01377 be5466cf34e90c6c
a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6
"""


def test_the_reference_gives_the_published_answers():
    numbers = [int(word, 16) for word in KNOWN_ANSWERS.split()]
    for i in range(0, len(numbers), 10):
        assert philox(numbers[i : i + 4], numbers[i + 4 : i + 6]) == numbers[i + 6 : i + 10]


@pytest.mark.parametrize("key", [0, 1, 2**63, MASK])
@pytest.mark.parametrize("offset", [0, 1, 2**32 - 1, 2**63, MASK - 1])
@pytest.mark.parametrize("attempt", [0, 1, 7])
def test_words_are_philox_of_seed_and_offset(key, offset, attempt):
    words = kernels.random_bits(state(key, offset), 8, attempt).tolist()
    assert words == [w for block in (0, 1) for w in philox([offset + block, attempt, 0, 0], [key, 0])]


def draws():
    """One of each, in fixed order."""
    ge.manual_seed(20)
    return [
        ge.rand(3, 5),
        ge.rand(7, dtype=ge.float64),
        ge.rand(3, dtype=ge.float16),
        ge.randn(5),
        ge.randn(2, 3, dtype=ge.float64),
        ge.uniform(-1, 1, (4,)),
        ge.normal(1, 2, (4,)),
        ge.randint(0, 100, (6,)),
        ge.randperm(9),
        ge.bernoulli(0.3, (8,)),
        ge.ops.dropout_mask((8,), 0.5),
    ]


def test_every_backend_draws_the_same_bits(backend):
    got = [t.numpy() for t in draws()]
    ge.set_cpu_backend("numpy")
    for a, b in zip(got, draws(), strict=True):
        np.testing.assert_array_equal(a, b.numpy())
        assert a.dtype == b.dtype


def test_numbers_are_told_by_seed_and_offset():
    """The values themselves are part of the interface: a seed must go on meaning what it means."""
    ge.manual_seed(7)
    words = np.array([w for block in range(5) for w in philox([block, 0, 0, 0], [7, 0])], np.uint64)
    half = np.stack([words & 0xFFFFFFFF, words >> np.uint64(32)], 1).ravel()
    np.testing.assert_array_equal(ge.rand(3).numpy(), (half[:3] >> np.uint64(8)) / 2**24)
    assert ge.default_generator.offset == 1
    np.testing.assert_array_equal(ge.rand(5, dtype=ge.float64).numpy(), (words[4:9] >> np.uint64(11)) / 2**53)
    assert ge.default_generator.offset == 3
    np.testing.assert_array_equal(ge.randint(0, 10, (2,)).numpy(), words[12:14] % 10)
    z = ge.randn(4).numpy()
    np.testing.assert_allclose(z, special.ndtri((half[32:36] + 0.5) / 2**32), rtol=1e-6)
    assert ge.default_generator.offset == 5


# -- distributions ----------------------------------------------------------------------------------------------

COUNT = 200_000


def passes(result):
    assert result.pvalue > 1e-4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform(dtype):
    x = ge.rand(COUNT, dtype=dtype, generator=ge.Generator(1)).numpy().astype(np.float64)
    assert x.min() >= 0
    assert x.max() < 1
    passes(stats.kstest(x, "uniform"))
    passes(stats.kstest((x * 2**16) % 1, "uniform"))  # the low bits too
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 0.01


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal(dtype):
    x = ge.randn(COUNT, dtype=dtype, generator=ge.Generator(2)).numpy().astype(np.float64)
    passes(stats.kstest(x, "norm"))
    passes(stats.normaltest(x))
    assert abs(x.mean()) < 4 / COUNT**0.5
    assert abs(x.var() - 1) < 4 * (2 / COUNT) ** 0.5
    assert abs(stats.kurtosis(x)) < 4 * (24 / COUNT) ** 0.5
    y = ge.normal(3.0, 0.5, (COUNT,), dtype=dtype, generator=ge.Generator(2)).numpy()
    np.testing.assert_allclose(y, 3 + 0.5 * x, rtol=1e-6)


def test_inverse_normal_distribution_to_the_last_places():
    p = np.concatenate(
        [np.linspace(1e-6, 1 - 1e-6, 100_001), 0.5 * 2.0 ** -np.arange(52), 1 - 2.0 ** -np.arange(2, 53)]
    )
    want = special.ndtri(p)
    np.testing.assert_allclose(kernels.inverse_normal(p), want, rtol=5e-15, atol=5e-15)
    x = np.concatenate([np.linspace(0.01, 3, 10_001), 2.0 ** np.arange(-1000, 1000, 7), [1 - 2**-53, 1 + 2**-52]])
    np.testing.assert_allclose(kernels.log(x), np.log(x), rtol=3e-16, atol=0)


@pytest.mark.parametrize("word", [0, MASK])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_smallest_and_largest_words_stay_in_range(word, dtype, monkeypatch):
    monkeypatch.setattr(kernels, "random_bits", lambda state, count, attempt=0: np.full(count, word, np.uint64))
    kind = np.dtype(dtype)
    for low, high in ((0.0, 1.0), (-1.0, 1.0), (1e4, 1e4 + 64), (0.0, 1e-3)):
        u = kernels.random_uniform(state(0), (2,), low, high, kind)
        assert (u >= kind.type(low)).all()
        assert (u < kind.type(high)).all()
    assert np.isfinite(kernels.random_normal(state(0), (2,), 0.0, 1.0, kind)).all()


@pytest.mark.parametrize(("low", "high"), [(0, 10), (-3, 4), (0, 1), (5, 5 + 64)])
def test_randint(low, high):
    x = ge.randint(low, high, (COUNT,), generator=ge.Generator(3)).numpy()
    counts = np.bincount(x - low, minlength=high - low)
    assert len(counts) == high - low
    passes(stats.chisquare(counts)) if len(counts) > 1 else None


def test_randint_over_whole_types():
    for dtype in (np.int8, np.uint8, np.int64, np.uint64):
        held = np.iinfo(dtype)
        x = ge.randint(held.min, held.max + 1, (1000,), dtype=dtype).numpy()
        assert x.dtype == dtype
        assert (x > held.max // 2).any()
        if held.min:
            assert (x < held.min // 2).any()
    assert ge.randint(2**63, 2**63 + 1, (2,), dtype=ge.uint64).tolist() == [2**63] * 2


def test_randint_rejects_what_would_favour_small_numbers():
    """With a range of 3/4 of 2^64, every fourth word is one too many: it is drawn again, under the same offset."""
    span = 3 << 62
    generator = ge.Generator(5)
    x = ge.randint(0, span, (4000,), dtype=ge.uint64, generator=generator).numpy()
    assert generator.offset == 1000
    passes(stats.kstest(x / span, "uniform"))
    for i in range(40):
        attempt = 0
        while (word := philox([i // 4, attempt, 0, 0], [5, 0])[i % 4]) >= span:
            attempt += 1
        assert int(x[i]) == word


def test_randperm():
    for n in (0, 1, 2, 1000):
        assert sorted(ge.randperm(n).tolist()) == list(range(n))
    generator = ge.Generator(6)
    counts = np.zeros((4, 4))
    for _ in range(4000):
        counts[np.arange(4), ge.randperm(4, generator=generator).numpy()] += 1
    passes(stats.chisquare(counts.ravel()))


def test_randperm_keeps_the_order_of_equal_words(monkeypatch):
    words = np.array([5, 1, 5, 1, 0] * 40, np.uint64)
    monkeypatch.setattr(kernels, "random_bits", lambda state, count, attempt=0: words)
    np.testing.assert_array_equal(kernels.random_permutation(state(0), 200), np.argsort(words, kind="stable"))


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_bernoulli_and_dropout(p):
    x = ge.bernoulli(p, (COUNT,), generator=ge.Generator(8)).numpy()
    assert set(np.unique(x)) <= {0, 1}
    assert abs(x.mean() - p) <= 4 * (p * (1 - p) / COUNT) ** 0.5
    mask = ge.ops.dropout_mask((COUNT,), p, generator=ge.Generator(8)).numpy()
    scale = np.float32(0 if p == 1 else 1 / (1 - p))
    np.testing.assert_array_equal(mask, (1 - x) * scale)


def test_bernoulli_takes_probabilities():
    p = ge.tensor([[0.0], [0.5], [1.0]], requires_grad=True)
    x = ge.bernoulli(p, (3, 1000))
    assert not x.requires_grad
    means = x.numpy().mean(1)
    assert means[0] == 0
    assert 0.4 < means[1] < 0.6
    assert means[2] == 1
    assert ge.bernoulli(np.array([True, False])).tolist() == [1, 0]
    assert ge.bernoulli(0.5, (3,), dtype=ge.bool).dtype == np.bool_


# -- the generator ----------------------------------------------------------------------------------------------


def test_a_draw_takes_blocks_of_its_own():
    generator = ge.Generator(0)
    for draw, blocks in (
        (lambda: ge.rand(8, generator=generator), 1),
        (lambda: ge.rand(9, generator=generator), 2),
        (lambda: ge.rand(4, dtype=ge.float64, generator=generator), 1),
        (lambda: ge.randint(0, 5, (5,), generator=generator), 2),
        (lambda: ge.rand(0, generator=generator), 0),
        (lambda: ge.randn((), generator=generator), 1),
    ):
        before = generator.offset
        draw()
        assert generator.offset == before + blocks


def test_states_continue():
    generator = ge.Generator(11)
    ge.rand(100, generator=generator)
    saved = json.loads(json.dumps(generator.state_dict()))
    twins = [generator.clone(), copy.deepcopy(generator), pickle.loads(pickle.dumps(generator)), ge.Generator(0)]
    twins[-1].load_state_dict(saved)
    want = ge.randn(10, generator=generator).tolist()
    for twin in twins:
        assert ge.randn(10, generator=twin).tolist() == want
    generator.manual_seed(11)
    assert generator.state_dict() == {"seed": 11, "offset": 0}
    generator.offset = saved["offset"]
    assert ge.randn(10, generator=generator).tolist() == want


def test_fresh_generators_differ():
    assert ge.Generator().seed != ge.Generator().seed


def test_threads_share_a_generator_without_drawing_twice():
    generator = ge.Generator(12)
    drawn = []

    def work():
        for _ in range(200):
            drawn.append(ge.rand(8, generator=generator).numpy())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert generator.offset == 800
    want = ge.rand(6400, generator=ge.Generator(12)).numpy().reshape(800, 8)
    np.testing.assert_array_equal(np.unique(drawn, axis=0), np.unique(want, axis=0))


def test_draws_can_be_leaves():
    assert ge.rand(2, requires_grad=True).requires_grad
    assert ge.randn(2, 3, requires_grad=True).is_leaf
    assert ge.rand((2, 3)).shape == ge.rand(2, 3).shape == (2, 3)


def test_a_million_uniform_numbers_take_milliseconds():
    times = []
    for _ in range(5):
        start = time.perf_counter()
        ge.rand(1_000_000)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.05  # some 3 ms on an idle machine


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: ge.Generator(-1), ge.ArgumentError, "seed: must be from 0"),
        (lambda: ge.manual_seed(2**64), ge.ArgumentError, "seed: must be from 0"),
        (lambda: ge.manual_seed("a"), ge.DTypeError, "seed: must be an int"),
        (lambda: ge.Generator(0).load_state_dict({"seed": 1}), ge.CheckpointError, "seed and offset"),
        (lambda: ge.Generator(0).load_state_dict({"seed": 1, "offset": -1}), ge.CheckpointError, "seed and offset"),
        (lambda: ge.rand(2, -1), ge.ShapeError, "rand: sizes cannot be negative"),
        (lambda: ge.rand(2.5), ge.DTypeError, "rand: a shape must consist of ints"),
        (lambda: ge.rand(2, dtype=ge.int64), ge.DTypeError, "rand: draws floating-point numbers, not int64"),
        (lambda: ge.rand(2, generator=np.random.default_rng(0)), ge.DTypeError, "must be a ge.Generator"),
        (lambda: ge.rand(2, device="cuda:7"), ge.DeviceError, "cuda"),
        (lambda: ge.uniform(1, 0, (2,)), ge.ArgumentError, "uniform: low and high"),
        (lambda: ge.uniform(0, np.inf, (2,)), ge.ArgumentError, "uniform: low and high"),
        (lambda: ge.normal(0, -1, (2,)), ge.ArgumentError, "normal: std"),
        (lambda: ge.randint(3, 3, (2,)), ge.ArgumentError, "must hold an integer"),
        (lambda: ge.randint(0, 300, (2,), dtype=ge.uint8), ge.ArgumentError, "uint8 must hold them all"),
        (lambda: ge.randint(0, 2.5, (2,)), ge.DTypeError, "bounds must be ints"),
        (lambda: ge.randint(0, 2, (2,), dtype=ge.float32), ge.DTypeError, "draws integers, not float32"),
        (lambda: ge.randperm(-1), ge.ShapeError, "randperm"),
        (lambda: ge.bernoulli(1.5, (2,)), ge.ArgumentError, "probabilities must be from 0 to 1"),
        (lambda: ge.bernoulli(float("nan"), (2,)), ge.ArgumentError, "probabilities must be from 0 to 1"),
        (lambda: ge.bernoulli(np.array([0.5, 0.5]), (3,)), ge.ShapeError, "do not broadcast"),
        (lambda: ge.ops.dropout_mask((2,), -0.1), ge.ArgumentError, "^dropout_mask: p"),
    ],
)
def test_errors_say_what_was_wrong(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
