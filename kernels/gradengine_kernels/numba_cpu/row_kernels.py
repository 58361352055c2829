"""Kernels along rows, as source for either dtype: a row is `columns` neighbours, and start to stop count rows.

Each takes `(reals, masks, ints, sizes, scalars, start, stop)` like every kernel; the first four are one table, seen as
addresses of numbers, of bytes, of int64s, and as whole numbers. A function whose name begins with `any_order_` may
add in any order, so that LLVM keeps many sums in SIMD registers; it runs over one block at a time, and the blocks'
sums are added in double precision. Float literals take the dtype of the rows, `np.float64(0)` stays what it is.
"""

# mypy: no-check-untyped-defs

import math

import numpy as np

from .libm import wide_vectors
from .libm64 import LAST, exp, log, number_at, order, real

BLOCK = 1024  # elements that go through a loop of their own while they are in the L1 cache
SUMMED = 256  # elements that are summed in any order


# -- pieces -----------------------------------------------------------------------------------------------------


def block_buffer(like):
    """A kernel's own memory for one block of numbers like those; what is compiled has it on the stack."""
    return np.empty(BLOCK, real)


def any_order_sum(p, start, stop):
    total = 0.0
    for i in range(start, stop):
        total += p[i]
    return total


def any_order_dot(p, q, start, stop):
    total = 0.0
    for i in range(start, stop):
        total += p[i] * q[i]
    return total


def any_order_squared_distance(p, q, start, stop):
    total = 0.0
    for i in range(start, stop):
        total += (p[i] - q[i]) * (p[i] - q[i])
    return total


def two_sum(total, rest, x):
    """total + x, and rest plus what that lost to rounding (Knuth); infinities lose nothing."""
    new = total + x
    back = new - total
    lost = (total - (new - back)) + (x - back)
    return new, rest + (lost if lost == lost else np.float64(0))


def row_sum(p, start, stop):
    total, rest = np.float64(0), np.float64(0)
    for i in range(start, stop, SUMMED):
        total, rest = two_sum(total, rest, np.float64(any_order_sum(p, i, min(i + SUMMED, stop))))
    return total + rest


def row_dot(p, q, start, stop):
    total, rest = np.float64(0), np.float64(0)
    for i in range(start, stop, SUMMED):
        total, rest = two_sum(total, rest, np.float64(any_order_dot(p, q, i, min(i + SUMMED, stop))))
    return total + rest


def exp_in_place(p, start, stop):
    for i in range(start, stop):
        p[i] = exp(p[i])


def finite(x):
    """0 in place of an infinity."""
    return 0.0 if abs(x) == math.inf else x


def long_row_exp_sum(p, buffer, start, stop, top):
    """sum(exp(p - top)), block by block."""
    total, rest = np.float64(0), np.float64(0)
    for i in range(start, stop, BLOCK):
        length = min(BLOCK, stop - i)
        for j in range(length):
            buffer[j] = exp(p[i + j] - top)
        total, rest = two_sum(total, rest, np.float64(any_order_sum(buffer, 0, length)))
    return real(total + rest)


def shift_row(p, q, to, start, columns, shift_by_infinity):
    """q[to:] = a row less its maximum, which is returned; 0 takes an infinity's place where that is asked for."""
    top = highest(p, start, start + columns)
    top = top if shift_by_infinity else finite(top)
    for j in range(columns):
        q[to + j] = p[start + j] - top
    return top


# -- sums -------------------------------------------------------------------------------------------------------


def sum_rows(reals, masks, ints, sizes, scalars, start, stop):
    x, out = reals[0], reals[1]
    columns = sizes[2]
    for r in range(start, stop):
        out[r] = row_sum(x, r * columns, (r + 1) * columns) / scalars[0]


def sum_columns(reals, masks, ints, sizes, scalars, start, stop):
    """Sums over `height` rows at a time, four rows in one go as they lie in memory."""
    x, out = reals[0], reals[1]
    columns, height, rows = sizes[2], sizes[3], sizes[4]
    for group in range(start, stop):
        to = group * columns
        first, last = group * height, min((group + 1) * height, rows)
        for j in range(columns):
            out[to + j] = 0.0
        for r in range(first, last - 3, 4):
            a, b, c, d = r * columns, (r + 1) * columns, (r + 2) * columns, (r + 3) * columns
            for j in range(columns):
                out[to + j] += (x[a + j] + x[b + j]) + (x[c + j] + x[d + j])
        for r in range(last - (last - first) % 4, last):
            for j in range(columns):
                out[to + j] += x[r * columns + j]


def keep(out, r, s):
    """A sum in two parts, out[2 r] and what that rounds off."""
    out[2 * r] = s
    out[2 * r + 1] = s - out[2 * r] if abs(out[2 * r]) < math.inf else 0.0


def sum_stretches(reals, masks, ints, sizes, scalars, start, stop):
    """The sum of each stretch of `length` elements, out of `total`."""
    x, out = reals[0], reals[1]
    length, total = sizes[2], sizes[3]
    for r in range(start, stop):
        keep(out, r, row_sum(x, r * length, min((r + 1) * length, total)))


def squared_distances(reals, masks, ints, sizes, scalars, start, stop):
    """sum((a - b)**2) of each stretch of `length` elements, out of `total`."""
    a, b, out = reals[0], reals[1], reals[2]
    length, total = sizes[3], sizes[4]
    for r in range(start, stop):
        most = min((r + 1) * length, total)
        s, rest = np.float64(0), np.float64(0)
        for i in range(r * length, most, SUMMED):
            s, rest = two_sum(s, rest, np.float64(any_order_squared_distance(a, b, i, min(i + SUMMED, most))))
        keep(out, r, s + rest)


# -- extremes ---------------------------------------------------------------------------------------------------


def highest(p, start, stop):
    """The largest element; NaN where there is one."""
    top = -LAST
    for i in range(start, stop):
        k = order(p[i])
        k = LAST if p[i] != p[i] else k
        top = k if k > top else top
    return number_at(top)


def lowest(p, start, stop):
    bottom = LAST
    for i in range(start, stop):
        k = order(p[i])
        k = -LAST if p[i] != p[i] else k
        bottom = k if k < bottom else bottom
    return number_at(bottom)


def max_rows(reals, masks, ints, sizes, scalars, start, stop):
    x, out = reals[0], reals[1]
    columns = sizes[2]
    for r in range(start, stop):
        out[r] = highest(x, r * columns, (r + 1) * columns)


def min_rows(reals, masks, ints, sizes, scalars, start, stop):
    x, out = reals[0], reals[1]
    columns = sizes[2]
    for r in range(start, stop):
        out[r] = lowest(x, r * columns, (r + 1) * columns)


# -- softmax ----------------------------------------------------------------------------------------------------
# Rows are taken in groups of about BLOCK elements, so that short rows share one SIMD loop over their exponentials.


def softmax(reals, masks, ints, sizes, scalars, start, stop):
    wide_vectors()
    x, out = reals[0], reals[1]
    columns = sizes[2]
    group = max(BLOCK // columns, 1)
    for first in range(start, stop, group):
        last = min(first + group, stop)
        for r in range(first, last):
            shift_row(x, out, r * columns, r * columns, columns, True)
        exp_in_place(out, first * columns, last * columns)
        for r in range(first, last):
            scale = real(1 / row_sum(out, r * columns, (r + 1) * columns))
            for i in range(r * columns, (r + 1) * columns):
                out[i] = out[i] * scale


def softmax_grad(reals, masks, ints, sizes, scalars, start, stop):
    g, y, out = reals[0], reals[1], reals[2]
    columns = sizes[3]
    for r in range(start, stop):
        total = real(row_dot(g, y, r * columns, (r + 1) * columns))
        for i in range(r * columns, (r + 1) * columns):
            out[i] = y[i] * (g[i] - total)


def log_softmax(reals, masks, ints, sizes, scalars, start, stop):
    wide_vectors()
    x, out = reals[0], reals[1]
    columns = sizes[2]
    group = max(BLOCK // columns, 1)
    tops = np.empty(group, real)
    for first in range(start, stop, group):
        last = min(first + group, stop)
        for r in range(first, last):
            tops[r - first] = shift_row(x, out, r * columns, r * columns, columns, True)
        exp_in_place(out, first * columns, last * columns)
        for r in range(first, last):
            top = tops[r - first]
            rest = log(real(row_sum(out, r * columns, (r + 1) * columns)))
            for i in range(r * columns, (r + 1) * columns):
                out[i] = (x[i] - top) - rest


def log_softmax_grad(reals, masks, ints, sizes, scalars, start, stop):
    wide_vectors()
    g, y, out = reals[0], reals[1], reals[2]
    columns = sizes[3]
    for r in range(start, stop):
        total = real(row_sum(g, r * columns, (r + 1) * columns))
        for i in range(r * columns, (r + 1) * columns):
            out[i] = g[i] - exp(y[i]) * total


def logsumexp(reals, masks, ints, sizes, scalars, start, stop):
    wide_vectors()
    x, out = reals[0], reals[1]
    columns = sizes[2]
    buffer = block_buffer(x)
    group = max(BLOCK // columns, 1)
    for first in range(start, stop, group):
        last = min(first + group, stop)
        if columns <= BLOCK:
            for r in range(first, last):
                out[r] = shift_row(x, buffer, (r - first) * columns, r * columns, columns, False)
            exp_in_place(buffer, 0, (last - first) * columns)
            for r in range(first, last):
                out[r] += log(real(any_order_sum(buffer, (r - first) * columns, (r - first + 1) * columns)))
        else:
            top = finite(highest(x, first * columns, last * columns))
            out[first] = top + log(long_row_exp_sum(x, buffer, first * columns, last * columns, top))


def cross_entropy(reals, masks, ints, sizes, scalars, start, stop):
    """log(sum(exp(x))) - x[label] of each row; 0 where the label is to be ignored."""
    wide_vectors()
    x, labels, out = reals[0], ints[1], reals[2]
    columns, ignored = sizes[3], sizes[4]
    buffer = block_buffer(x)
    group = max(BLOCK // columns, 1)
    for first in range(start, stop, group):
        last = min(first + group, stop)
        if columns <= BLOCK:
            for r in range(first, last):
                top = shift_row(x, buffer, (r - first) * columns, r * columns, columns, True)
                out[r] = 0.0 if labels[r] == ignored else x[r * columns + labels[r]] - top
            exp_in_place(buffer, 0, (last - first) * columns)
            for r in range(first, last):
                total = real(any_order_sum(buffer, (r - first) * columns, (r - first + 1) * columns))
                out[r] = 0.0 if labels[r] == ignored else log(total) - out[r]
        else:
            top = highest(x, first * columns, last * columns)
            total = long_row_exp_sum(x, buffer, first * columns, last * columns, top)
            label = labels[first]
            out[first] = 0.0 if label == ignored else log(total) - (x[first * columns + label] - top)


def cross_entropy_grad(reals, masks, ints, sizes, scalars, start, stop):
    """(softmax(x) - one_hot(label)) * scale of each row; 0 where the label is to be ignored."""
    wide_vectors()
    x, labels, scales, out = reals[0], ints[1], reals[2], reals[3]
    columns, ignored = sizes[4], sizes[5]
    group = max(BLOCK // columns, 1)
    for first in range(start, stop, group):
        last = min(first + group, stop)
        for r in range(first, last):
            shift_row(x, out, r * columns, r * columns, columns, True)
        exp_in_place(out, first * columns, last * columns)
        for r in range(first, last):
            scale = scales[r] / real(row_sum(out, r * columns, (r + 1) * columns))
            if labels[r] == ignored:
                for i in range(r * columns, (r + 1) * columns):
                    out[i] = 0.0
            else:
                for i in range(r * columns, (r + 1) * columns):
                    out[i] = out[i] * scale
                out[r * columns + labels[r]] -= scales[r]
