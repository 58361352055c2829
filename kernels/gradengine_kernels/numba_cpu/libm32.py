"""Elementary functions for float32, without branches, so that LLVM turns a loop over them into SIMD instructions.

Numba without Intel's SVML calls the C library for every single element. These are compiled from this source, whose
float literals take the dtype of the function; run as plain Python on np.float32 they give the same.

The polynomials are minimax fits made for this file (Remez exchange in 200-bit arithmetic, relative error of the
result); the reductions are the usual ones of Cody and Waite. Errors are bounded by tests, in units of the last place.
"""

# mypy: no-check-untyped-defs

import math

import numpy as np

real = np.float32
LAST = 0x7FFFFFFF
LOG2_E = 1.4426950408889634
LN2_HIGH = 0.693145751953125  # 16 bits, so that its product with a whole number below 2**8 is exact
LN2_LOW = 1.42860677e-06
TINY = 1.17549435e-38  # the smallest normal number
# Added to a number below 2**22 it leaves the nearest whole number in the low bits: rounds without a conversion.
ROUND = 12582912.0
ROUND_BITS = 0x4B400000


def order(x):
    """A whole number that grows with x: integer maxima are SIMD instructions whatever NaN is to mean."""
    bits = np.float32(x).view(np.int32)
    return np.int32(bits ^ (np.int32(bits >> 31) & 0x7FFFFFFF))


def number_at(k):
    """The number whose `order` is k; NaN for the first and the last."""
    return np.int32(k ^ (np.int32(k >> 31) & 0x7FFFFFFF)).view(np.float32)


def power_of_two(n):
    """2**n for a whole n from -126 to 127."""
    return np.int32((n + 127) << 23).view(np.float32)


def whole_bits(shifted):
    """The whole number that was rounded by adding ROUND."""
    return np.int32(np.float32(shifted).view(np.int32) - ROUND_BITS)


def expm1_reduced(r):
    """exp(r) - 1 for |r| up to log(2) / 2."""
    q = 0.0001991450862 * r + 0.001394120694
    q = q * r + 0.008333272466
    q = q * r + 0.04166635229
    q = q * r + 0.1666666682
    q = q * r + 0.5000000047
    return q * (r * r) + r


def exp(x):
    # Beyond these the result is infinite or rounds to zero; a NaN passes both comparisons by.
    c = 89.0 if x > 89.0 else x
    c = -104.0 if c < -104.0 else c
    shifted = c * LOG2_E + ROUND
    n = whole_bits(shifted)
    whole = shifted - ROUND
    r = (c - whole * LN2_HIGH) - whole * LN2_LOW
    # 2**n in two steps: either alone is a normal number where n alone may not be one's exponent.
    half = np.int32(n >> 1)
    return ((expm1_reduced(r) + 1.0) * power_of_two(half)) * power_of_two(np.int32(n - half))


def exp_between(x):
    """exp(x) for x from -87 to 88, which needs no care at the ends."""
    shifted = x * LOG2_E + ROUND
    whole = shifted - ROUND
    r = (x - whole * LN2_HIGH) - whole * LN2_LOW
    return (expm1_reduced(r) + 1.0) * power_of_two(whole_bits(shifted))


def expm1(x):
    c = 89.0 if x > 89.0 else x
    c = -30.0 if c < -30.0 else c
    shifted = c * LOG2_E + ROUND
    whole = shifted - ROUND
    r = (c - whole * LN2_HIGH) - whole * LN2_LOW
    half = power_of_two(np.int32(whole_bits(shifted) - 1))
    result = 2.0 * (expm1_reduced(r) * half + (half - 0.5))
    return x if abs(x) < TINY else result


def log1p_reduced(f):
    """log(1 + f) - f for f from -1/3 to 1/3."""
    q = 0.1235794081 * f - 0.1284711807
    q = q * f + 0.10661384
    q = q * f - 0.1219528454
    q = q * f + 0.1431283636
    q = q * f - 0.166796158
    q = q * f + 0.1999930607
    q = q * f - 0.2499981939
    q = q * f + 0.3333333874
    square = f * f
    return q * (square * f) - 0.5 * square


def log(x):
    small = x < TINY
    c = x * 8388608.0 if small else x
    bits = np.float32(c).view(np.int32)
    # The exponent that leaves a significand from 2/3 to 4/3: near 1 nothing is added to the polynomial.
    exponent = np.int32(np.int32(bits - 0x3F2AAAAB) >> 23)
    f = np.int32(bits - (exponent << 23)).view(np.float32) - 1.0
    n = np.float32(exponent)
    n = n - 23.0 if small else n
    result = (n * LN2_LOW + log1p_reduced(f)) + f + n * LN2_HIGH
    result = result if x < math.inf else x  # infinity and NaN
    result = -math.inf if x == 0.0 else result
    return math.nan if x < 0.0 else result


def log1p(x):
    u = x + 1.0
    exponent = np.int32(np.int32(np.float32(u).view(np.int32) - 0x3F2AAAAB) >> 23)
    # (1 + x) / 2**n - 1 without the rounding error of 1 + x.
    scale = power_of_two(np.int32(2 - exponent))
    f = (0.25 * x) * scale + (0.25 * scale - 1.0)
    n = np.float32(exponent)
    result = (n * LN2_LOW + log1p_reduced(f)) + f + n * LN2_HIGH
    result = result if (abs(x) > 8.0 * TINY) & (x < math.inf) else x
    result = -math.inf if x == -1.0 else result
    return math.nan if x < -1.0 else result


def tanh(x):
    a = abs(x)
    c = 10.0 if a > 10.0 else a
    t = expm1(c + c)
    t = t / (t + 2.0)
    t = -t if x < 0.0 else t
    return x if a < TINY else t


def erf(x):
    a = abs(x)
    z = x * x
    q = 8.36012233e-5 * z - 0.0008140964759
    q = q * z + 0.005200944759
    q = q * z - 0.0268593954
    q = q * z + 0.1128369617
    q = q * z - 0.3761263384
    q = q * z + 0.1283791667
    near = q * x + x
    c = 4.0 if a > 4.0 else a
    # log(erfc(c)) + c
    q = -1.152580103e-5 * c + 0.0003257540847
    q = q * c - 0.003654465982
    q = q * c + 0.02378748367
    q = q * c - 0.1062664226
    q = q * c - 0.6351334309
    q = q * c - 0.1286528998
    far = 1.0 - exp_between(q * c - c)
    far = -far if x < 0.0 else far
    return near if a < 0.9277 else far
