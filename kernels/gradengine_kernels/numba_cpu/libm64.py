"""Elementary functions for float64; see libm32, which has the same functions for float32 and says what they are."""

# mypy: no-check-untyped-defs

import math

import numpy as np

real = np.float64
LAST = 0x7FFFFFFFFFFFFFFF
LOG2_E = 1.4426950408889634
LN2_HIGH = 0.6931471803691238  # 33 bits; this split of log(2) is fdlibm's
LN2_LOW = 1.9082149292705877e-10
TINY = 2.2250738585072014e-308
ROUND = 6755399441055744.0
ROUND_BITS = 0x4338000000000000


def order(x):
    bits = np.float64(x).view(np.int64)
    return bits ^ ((bits >> 63) & 0x7FFFFFFFFFFFFFFF)


def number_at(k):
    return np.int64(k ^ ((k >> 63) & 0x7FFFFFFFFFFFFFFF)).view(np.float64)


def power_of_two(n):
    """2**n for a whole n from -1022 to 1023."""
    return np.int64((n + 1023) << 52).view(np.float64)


def whole_bits(shifted):
    """The whole number that was rounded by adding ROUND."""
    return np.float64(shifted).view(np.int64) - ROUND_BITS


def whole_number(n):
    """A whole number as a float; processors before AVX-512 have no SIMD instruction for it."""
    return np.int64(n + ROUND_BITS).view(np.float64) - ROUND


def expm1_reduced(r):
    """exp(r) - 1 for |r| up to log(2) / 2."""
    q = 2.092461917536141888e-9 * r + 2.510926188433140539e-8
    q = q * r + 2.755724219604385267e-7
    q = q * r + 2.755724360894589331e-6
    q = q * r + 0.00002480158736120670526
    q = q * r + 0.0001984126988667365664
    q = q * r + 0.001388888888886651548
    q = q * r + 0.008333333333321436152
    q = q * r + 0.04166666666666670199
    q = q * r + 0.1666666666666667679
    q = q * r + 0.4999999999999999999
    return q * (r * r) + r


def exp(x):
    c = 710.0 if x > 710.0 else x
    c = -746.0 if c < -746.0 else c
    shifted = c * LOG2_E + ROUND
    n = whole_bits(shifted)
    whole = shifted - ROUND
    r = (c - whole * LN2_HIGH) - whole * LN2_LOW
    half = n >> 1
    return ((expm1_reduced(r) + 1.0) * power_of_two(half)) * power_of_two(n - half)


def expm1(x):
    c = 710.0 if x > 710.0 else x
    c = -60.0 if c < -60.0 else c
    shifted = c * LOG2_E + ROUND
    whole = shifted - ROUND
    r = (c - whole * LN2_HIGH) - whole * LN2_LOW
    half = power_of_two(whole_bits(shifted) - 1)
    result = 2.0 * (expm1_reduced(r) * half + (half - 0.5))
    return x if abs(x) < TINY else result


def log1p_tail(f):
    """f - log(1 + f) for f from -1/3 to 1/3."""
    s = f / (f + 2.0)
    z = s * s
    q = 0.06920426358681450377 * z + 0.06586960913375163953
    q = q * z + 0.07695546412524624631
    q = q * z + 0.09090833228800544551
    q = q * z + 0.1111111214343211758
    q = q * z + 0.1428571427795574743
    q = q * z + 0.2000000000002817279
    q = q * z + 0.3333333333333329838
    half_square = 0.5 * f * f
    return half_square - s * (half_square + 2.0 * z * q)


def log(x):
    small = x < TINY
    c = x * 18014398509481984.0 if small else x
    bits = np.float64(c).view(np.int64)
    exponent = np.int64(bits - 0x3FE5555555555555) >> 52
    f = np.int64(bits - (exponent << 52)).view(np.float64) - 1.0
    n = whole_number(exponent)
    n = n - 54.0 if small else n
    result = n * LN2_HIGH + (f - (log1p_tail(f) - n * LN2_LOW))
    result = result if x < math.inf else x  # infinity and NaN
    result = -math.inf if x == 0.0 else result
    return math.nan if x < 0.0 else result


def log1p(x):
    u = x + 1.0
    exponent = np.int64(np.float64(u).view(np.int64) - 0x3FE5555555555555) >> 52
    scale = power_of_two(2 - exponent)
    f = (0.25 * x) * scale + (0.25 * scale - 1.0)
    n = whole_number(exponent)
    result = n * LN2_HIGH + (f - (log1p_tail(f) - n * LN2_LOW))
    result = result if (abs(x) > 8.0 * TINY) & (x < math.inf) else x
    result = -math.inf if x == -1.0 else result
    return math.nan if x < -1.0 else result


def tanh(x):
    a = abs(x)
    c = 20.0 if a > 20.0 else a
    t = expm1(c + c)
    t = t / (t + 2.0)
    return x if a < TINY else -t if x < 0.0 else t


def erf(x):
    a = abs(x)
    z = x * x
    q = -7.8011855661378458012e-10 * z + 1.3722973393101035683e-8
    q = q * z - 1.6209174955405772893e-7
    q = q * z + 1.644751750927067629e-6
    q = q * z - 0.000014924744645627166294
    q = q * z + 0.00012055295319334417297
    q = q * z - 0.00085483259896491166913
    q = q * z + 0.0052239776074222741311
    q = q * z - 0.026866170643276047679
    q = q * z + 0.11283791670945252009
    q = q * z - 0.37612638903183546594
    q = q * z + 0.12837916709551256679
    near = q * x + x
    # exp(c * c) * erfc(c) * (c + 1) as a polynomial of (c - 3) / (c + 3)
    c = 6.0 if a > 6.0 else a
    w = (c - 3.0) / (c + 3.0)
    q = 0.000014974477601357373169 * w - 0.00010058733529622569907
    q = q * w - 0.00044328708525096274122
    q = q * w + 0.00060178793299194330455
    q = q * w + 0.0016019201206710150022
    q = q * w - 0.0097548576527768354752
    q = q * w + 0.021957090558656106453
    q = q * w - 0.023803977358775529793
    q = q * w - 0.010235391517794439715
    q = q * w + 0.099020753752641432335
    q = q * w - 0.23092733307399251743
    q = q * w + 0.71600460472575654827
    far = 1.0 - exp(-(c * c)) * q / (c + 1.0)
    far = -far if x < 0.0 else far
    return near if a < 1.0 else far
