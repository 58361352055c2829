"""Random numbers from a counter: Philox4x64-10, so that an equal seed and offset give equal bits on every backend.

Every draw reads a `state` of two uint64, seed and offset. Block b of a draw is Philox of the counter
(offset + b, attempt, 0, 0) under the key (seed, 0): four 64-bit words. Element i uses word i, or, where 32 bits are
enough, half of word i // 2, the low half first. What is computed from the words uses only operations that IEEE 754
rounds exactly (+, -, *, /, sqrt, comparisons) and no fused multiply-add: another backend can, and must, repeat each
bit. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from ..xp_kernels import by_name

MASK = (1 << 64) - 1
CHUNK = 16384  # elements that the normal distribution is computed for at a time: its temporaries stay in the cache


class Bits(threading.local):
    """NumPy's Philox, one per thread: setting its counter costs less than making one."""

    def __init__(self) -> None:
        self.source = np.random.Philox(key=0)


bits = Bits()


def random_bits(state: Any, count: int, attempt: int = 0) -> Any:
    """The first `count` words, uint64."""
    seed, offset = int(state[0]), int(state[1])
    before = (offset + (attempt << 64) - 1) % (1 << 256)  # NumPy steps the counter before it uses it
    counter = np.array([before >> shift & MASK for shift in (0, 64, 128, 192)], np.uint64)
    bits.source.state = {
        "bit_generator": "Philox",
        "state": {"counter": counter, "key": np.array([seed, 0], np.uint64)},
        "buffer": np.zeros(4, np.uint64),
        "buffer_pos": 4,
        "has_uint32": 0,
        "uinteger": 0,
    }
    return bits.source.random_raw(count)


def halves(state: Any, count: int) -> Any:
    """The first `count` half words, uint32."""
    words = random_bits(state, (count + 1) // 2)
    return words.astype("<u8", copy=False).view("<u4")[:count]


def random_uniform(state: Any, shape: tuple[int, ...], low: float, high: float, dtype: Any) -> Any:
    """Uniform in [low, high): multiples of 2^-53, 2^-24 (float32), 2^-11 (float16), 2^-8 (bfloat16); scaled, moved."""
    count = math.prod(shape)
    if dtype == np.float64:
        u = (random_bits(state, count) >> np.uint64(11)).view(np.int64) * 2.0**-53
    else:
        kept = 24 if dtype == np.float32 else 11 if dtype == np.float16 else 8
        u = (halves(state, count) >> np.uint32(32 - kept)).view(np.int32).astype(dtype)
        u *= dtype.type(2.0**-kept)
    if low != 0 or high != 1:
        u = (low + (high - low) * u.astype(np.float64)).astype(dtype)
        if low < high:  # rounding may have reached the bound
            np.minimum(u, np.nextafter(dtype.type(high), dtype.type(low)), out=u)
    return u.reshape(shape)


# The inverse of the normal distribution function: Wichura, algorithm AS 241 (PPND16), Applied Statistics 37 (1988).
# fmt: off
CENTRE = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
     1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
     5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0),
)
NEAR = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
     3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
     6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0),
)
FAR = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
     2.96560571828504891230e-1, 1.78482653991729133580e0, 5.46378491116411436990e0, 6.65790464350110377720e0),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
     1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0),
)
# log: FreeBSD's e_log.c (Sun Microsystems, fdlibm), error below one unit in the last place.
LOG = (1.479819860511658591e-1, 1.531383769920937332e-1, 1.818357216161805012e-1, 2.222219843214978396e-1,
       2.857142874366239149e-1, 3.999999999940941908e-1, 6.666666666666735130e-1)
# fmt: on
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10


def horner(coefficients: tuple[float, ...], x: Any) -> Any:
    """A polynomial, coefficients from the highest power down."""
    out = x * coefficients[0]
    for c in coefficients[1:-1]:
        out += c
        out *= x
    out += coefficients[-1]
    return out


def ratio(polynomials: Any, x: Any) -> Any:
    """A rational function."""
    above = horner(polynomials[0], x)
    above /= horner(polynomials[1], x)
    return above


def log(x: Any) -> Any:
    """The natural logarithm of positive float64, from operations that round alike everywhere."""
    m, e = np.frexp(x)
    low = m < 0.7071067811865476
    m = np.where(low, m + m, m)
    n = (e - low).astype(np.float64)
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    r = horner(LOG, z) * z
    half = 0.5 * f * f
    return n * LN2_HIGH - ((half - (s * (half + r) + n * LN2_LOW)) - f)


def inverse_normal(p: Any) -> Any:
    """The x below which a standard normal number lies with probability p; p is float64 in (0, 1)."""
    q = p - 0.5
    r = 0.180625 - q * q
    out = ratio(CENTRE, r)
    out *= q
    tail = np.flatnonzero(np.abs(q) > 0.425)
    if tail.size:
        q = q[tail]
        p = p[tail]
        r = np.sqrt(-log(np.where(q < 0, p, 1.0 - p)))
        x = ratio(NEAR, r - 1.6)
        far = np.flatnonzero(r > 5.0)
        if far.size:
            x[far] = ratio(FAR, r[far] - 5.0)
        out[tail] = np.where(q < 0, -x, x)
    return out


def random_normal(state: Any, shape: tuple[int, ...], mean: float, std: float, dtype: Any) -> Any:
    """Normal numbers: the inverse distribution function of (k + 1/2) / 2^52 (float64) or / 2^32, in float64."""
    count = math.prod(shape)
    out = np.empty(count, dtype)
    if dtype == np.float64:
        words, scale = random_bits(state, count) >> np.uint64(12), 2.0**-52
    else:
        words, scale = halves(state, count), 2.0**-32
    for start in range(0, count, CHUNK):
        p = words[start : start + CHUNK].astype(np.float64)
        p += 0.5
        p *= scale
        z = inverse_normal(p)
        if std != 1:
            z *= std
        if mean != 0:
            z += mean
        out[start : start + CHUNK] = z
    return out.reshape(shape)


def random_integers(state: Any, shape: tuple[int, ...], low: int, high: int, dtype: Any) -> Any:
    """Integers in [low, high): word modulo range.

    Words beyond the largest multiple of the range would favour small results. An element that meets one takes the
    same word of the next attempt, which is another counter: so it is exact, and offsets do not depend on the draw.
    """
    count, span = math.prod(shape), high - low
    words = random_bits(state, count)
    limit = (1 << 64) - (1 << 64) % span
    if limit < 1 << 64:
        for i in np.flatnonzero(words >= np.uint64(limit)):
            attempt, block = 0, np.array([int(state[0]), (int(state[1]) + int(i) // 4) & MASK], np.uint64)
            while words[i] >= limit:
                attempt += 1
                words[i] = random_bits(block, 4, attempt)[i % 4]
    if span < 1 << 64:
        words -= words // np.uint64(span) * np.uint64(span)  # NumPy divides by a scalar faster than it takes a modulus
    words += np.uint64(low & MASK)  # two's complement: wraps to the right signed value
    return words.astype(dtype).reshape(shape)


def random_permutation(state: Any, n: int) -> Any:
    """0 to n - 1 in the order of n random words; equal words keep their order."""
    words = random_bits(state, n)
    order = np.argsort(words)
    in_order = words[order]
    if (in_order[1:] == in_order[:-1]).any():  # all but impossible, and the only case that needs the slower sort
        order = np.argsort(words, kind="stable")
    return order.astype(np.int64, copy=False)


def below(state: Any, p: Any, shape: tuple[int, ...]) -> Any:
    """True with probability p: the half word is below p times 2^32, rounded up."""
    limit = np.ceil(np.asarray(p, np.float64) * 2.0**32).astype(np.uint64)
    drawn = halves(state, math.prod(shape)).reshape(shape)
    if limit.ndim == 0:
        return np.ones(shape, np.bool_) if limit >> np.uint64(32) else drawn < limit.astype(np.uint32)
    return drawn.astype(np.uint64) < limit


def random_bernoulli(state: Any, p: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """1 with probability p, else 0."""
    return below(state, p, shape).astype(dtype)


def random_dropout(state: Any, shape: tuple[int, ...], p: float, dtype: Any) -> Any:
    """0 with probability p, else 1 / (1 - p)."""
    if p == 1:
        return np.zeros(shape, dtype)
    return np.multiply(~below(state, p, shape), dtype.type(1.0 / (1.0 - p)), dtype=dtype)


KERNELS = by_name(
    random_uniform, random_normal, random_integers, random_permutation, random_bernoulli, random_dropout,
)  # fmt: skip
