"""Matrix products on the GPU: the kernels matmul, linear, linear_no_bias and vecdot.

Floating-point matrices go through cuBLASLt and are read as they lie: a transposed view is a flag, a slice of rows or
columns a leading dimension, a broadcast matrix a batch stride of 0; anything else is copied first. What a call needs is
worked out once for each combination of shapes, strides and dtypes. Integers and bool, which cuBLASLt does not multiply
as NumPy does, go through CuPy.

How a jit program makes and runs plans of its own: see plans. Which epilogues there are, and which are safe: see
product.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import driver
from ..driver import CudaError
from ..lazy_cupy import cp
from . import plans
from .plans import Plan, forget_plans, is_tf32, plan, set_tf32
from .product import ALIGNED, ITEM_SIZES, Product

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Plan", "Product", "forget", "is_tf32", "linear", "linear_no_bias", "matmul", "plan", "set_tf32", "vecdot"]

RECIPES = 4096  # kept at once
LOW_BITS = ALIGNED - 1
MATMUL, VECDOT = "(n?,k),(k,m?)->(n?,m?)", "(n),(n)->()"  # NumPy's signatures
Shape = tuple[int, ...]


class Recipe(NamedTuple):
    """How to compute a product of operands of given shapes, strides and dtypes."""

    shape: Shape
    dtype: Any
    new: Callable[..., Any]  # cupy.ndarray
    run: Callable[..., None]
    otherwise: Callable[..., Any] | None  # what to call with the operands instead


def instead(call: Callable[..., Any]) -> Recipe:
    """The recipe of a product that takes another way."""
    return Recipe((), None, call, call, call)


# -- the kernels ----------------------------------------------------------------------------------------------------


def matmul(x1: Any, x2: Any) -> Any:
    """The matrix product over the last two axes; the axes before them broadcast."""
    try:
        p, q = x1.data, x2.data
        a, b = p.ptr, q.ptr
    except AttributeError:
        raise no_array("matmul", MATMUL, x1, x2) from None
    low = (a | b) & LOW_BITS
    r = recipe(
        x1.dtype, x1.shape, x1.strides, x2.dtype, x2.shape, x2.strides, low, plans.tf32, p.device_id
    )  # fmt: skip
    if r.otherwise is not None:
        return r.otherwise(x1, x2)
    d = r.new(r.shape, r.dtype)
    r.run(a, b, d.data.ptr)
    return d


def linear_no_bias(x: Any, weight: Any) -> Any:
    """`x @ weight.T`."""
    if getattr(weight, "ndim", 0) != 2:
        raise ValueError("weight must have two dimensions")
    return matmul(x, weight.T)


def linear(x: Any, weight: Any, bias: Any) -> Any:
    """`x @ weight.T + bias`."""
    try:
        p, q = x.data, weight.data
        a, b, c = p.ptr, q.ptr, bias.data.ptr
    except AttributeError:
        raise no_array("linear", MATMUL, x, weight, bias) from None
    low = (a | b | c) & LOW_BITS
    r = linear_recipe(
        x.dtype, x.shape, x.strides, weight.dtype, weight.shape, weight.strides, bias.dtype, bias.shape, bias.strides,
        low, plans.tf32, p.device_id,
    )  # fmt: skip
    if r.otherwise is not None:
        return r.otherwise(x, weight, bias)
    d = r.new(r.shape, r.dtype)
    r.run(a, b, d.data.ptr, c)
    return d


def vecdot(x1: Any, x2: Any, axis: int = -1) -> Any:
    """Dot products along an axis: no work for matrix units, which need both operands more than once."""
    if not getattr(x1, "ndim", 0) or not getattr(x2, "ndim", 0):
        raise no_array("vecdot", VECDOT, x1, x2)
    a, b = cp.moveaxis(x1, axis, -1), cp.moveaxis(x2, axis, -1)
    if a.shape[-1] != b.shape[-1]:
        raise mismatch("vecdot", VECDOT, a.shape[-1], b.shape[-1])
    dtype = promoted(a.dtype, b.dtype)
    if dtype.kind == "b":
        return cp.any(a & b, axis=-1)
    # Halves are multiplied and summed as float32, and rounded once.
    wide = np.dtype(np.float32) if ITEM_SIZES.get(dtype.name) == 2 else dtype
    products = cp.multiply(a.astype(wide, copy=False), b.astype(wide, copy=False))
    return cp.sum(products, axis=-1, dtype=wide).astype(dtype, copy=False)


def integer_matmul(x1: Any, x2: Any) -> Any:
    """Products of integers, and of bools: "or" of "and"s."""
    if x1.dtype.kind == x2.dtype.kind == "b":
        return cp.matmul(x1.astype(np.int32), x2.astype(np.int32)) != 0
    return cp.matmul(x1, x2)


def add_bias(x: Any, weight: Any, bias: Any) -> Any:
    """`linear` where the bias cannot be added by the product itself."""
    y = linear_no_bias(x, weight)
    if bias.dtype != y.dtype:
        return y + bias
    y += bias
    return y


def forget() -> None:
    """Drop all that is kept between calls: for those who change the library or the device beneath it."""
    recipe.cache_clear()
    linear_recipe.cache_clear()
    forget_plans()


# -- recipes --------------------------------------------------------------------------------------------------------


@functools.lru_cache(RECIPES)
def linear_recipe(
    dtype_x: Any, shape_x: Shape, strides_x: Shape, dtype_w: Any, shape_w: Shape, strides_w: Shape,
    dtype_b: Any, shape_b: Shape, strides_b: Shape, low: int, tf32: bool, device: int,
) -> Recipe:  # fmt: skip
    """The recipe of `x @ weight.T + bias`."""
    if len(shape_w) != 2:
        raise ValueError("weight must have two dimensions")
    if shape_b != shape_w[:1]:
        check(shape_x, shape_w[::-1])
        raise ValueError("bias must have one element per row of weight")
    if shape_b != (1,) and strides_b != (dtype_b.itemsize,):
        return instead(add_bias)
    epilogue = "bias" if dtype_b == dtype_x == dtype_w else ""
    found = recipe(
        dtype_x, shape_x, strides_x, dtype_w, shape_w[::-1], strides_w[::-1], low, tf32, device, epilogue
    )  # fmt: skip
    return found if epilogue and found.otherwise is None else instead(add_bias)


@functools.lru_cache(RECIPES)
def recipe(
    dtype_a: Any, shape_a: Shape, strides_a: Shape, dtype_b: Any, shape_b: Shape, strides_b: Shape,
    low: int, tf32: bool, device: int, epilogue: str = "",
) -> Recipe:  # fmt: skip
    """The recipe of `a @ b`, by NumPy's rules for shapes and dtypes. `low`: the low bits of all addresses, or-ed."""
    check(shape_a, shape_b)
    if len(shape_a) == len(shape_b) == 1:
        return instead(vecdot)
    batch = np.broadcast_shapes(shape_a[:-2], shape_b[:-2])
    shape = batch + shape_a[-2:-1] + (shape_b[-1:] if len(shape_b) > 1 else ())
    dtype = promoted(dtype_a, dtype_b)
    if not math.prod(shape) or not shape_a[-1]:
        return instead(lambda a, b: cp.zeros(shape, dtype))
    if dtype.name not in ITEM_SIZES:
        return instead(integer_matmul)
    if dtype_a != dtype or dtype_b != dtype:
        return instead(lambda a, b: matmul(a.astype(dtype, copy=False), b.astype(dtype, copy=False)))
    if len(shape_a) == 1:
        shape_a, strides_a = (1, *shape_a), (0, *strides_a)
    if len(shape_b) == 1:
        shape_b, strides_b = (*shape_b, 1), (*strides_b, 0)
    a = matrices(shape_a, strides_a, dtype.itemsize, batch)
    b = matrices(shape_b, strides_b, dtype.itemsize, batch)
    if a is None:
        return instead(lambda a, b: matmul(copied(a, batch), b))
    if b is None:
        return instead(lambda a, b: matmul(a, copied(b, batch)))
    if device != driver.here():
        raise CudaError(f"matmul: the operands are on device {device}, but device {driver.here()} is the current one")
    (lda, ta, stride_a), (ldb, tb, stride_b) = a, b
    count, (m, k), n = math.prod(batch), shape_a[-2:], shape_b[-1]
    if count > 1 and not stride_b and not ta:  # one matrix for the whole batch: stacked rows are one tall matrix
        if m == 1 and stride_a >= k:
            count, m, lda = 1, count, stride_a
        elif stride_a == m * lda:
            count, m = 1, count * m
    product = Product(
        dtype.name, m, n, k, count, ta, tb, lda, ldb, 0, stride_a, stride_b, -1, epilogue,
        align=low & -low or ALIGNED,
    )  # fmt: skip
    ready = plan(product)
    if epilogue and not ready.epilogue_done:
        return instead(add_bias)
    return Recipe(shape, dtype, cp.ndarray, ready.run, None)


def matrices(shape: Shape, strides: Shape, item: int, batch: Shape) -> tuple[int, bool, int] | None:
    """(leading dimension, transposed, batch stride) of a stack of matrices broadcast to `batch`.

    None where memory does not hold them so that cuBLASLt can read them. Nothing is empty.

    >>> matrices((5, 2, 3), (24, 12, 4), 4, (7, 5))  # does not broadcast at one stride
    >>> matrices((2, 3), (4, 8), 4, (7, 5))
    (2, True, 0)
    """
    if any([stride % item for stride in strides]):
        return None
    rows, columns = shape[-2:]
    down, right = strides[-2] // item, strides[-1] // item
    if columns == 1 or right == 1:
        ld, least, transposed = (down if rows > 1 else columns), columns, False
    elif rows == 1 or down == 1:
        ld, least, transposed = right, rows, True
    else:
        return None
    missing = len(batch) - len(shape) + 2
    step, expected = 0, None
    for size, own, stride in zip(batch[::-1], (shape[-3::-1] + (1,) * missing), (strides[-3::-1] + (0,) * missing)):
        if size == 1:
            continue
        stride = stride // item if own > 1 else 0
        if expected is None:
            step = stride
        elif stride != expected:
            return None
        expected = stride * size
    return None if ld < least or step < 0 else (ld, transposed, step)


def copied(x: Any, batch: Shape) -> Any:
    """A stack of matrices, broadcast to `batch` unless it is one for all, without gaps."""
    if math.prod(x.shape[:-2]) > 1:
        x = cp.broadcast_to(x, batch + x.shape[-2:])
    return cp.ascontiguousarray(x)


def promoted(a: Any, b: Any) -> Any:
    """The dtype of a product: NumPy's rules, in which bfloat16 is what float16 is."""
    names = a.name, b.name
    if a == b or "bfloat16" not in names:
        return np.result_type(a, b)
    half, other = (a, b) if names[0] == "bfloat16" else (b, a)
    found = np.result_type(np.float32, other)
    return half if found == np.float32 and other.kind != "f" else found


def check(a: Shape, b: Shape) -> None:
    """Refuse shapes that do not multiply, in NumPy's words."""
    if not a or not b:
        raise few_dimensions("matmul", MATMUL, int(bool(a)))
    if a[-1] != b[-2:][0]:
        raise mismatch("matmul", MATMUL, a[-1], b[-2:][0])


def no_array(name: str, signature: str, *operands: Any) -> Exception:
    """The error for operands that are not all arrays of this backend with an axis to sum over."""
    sizes = [getattr(x, "ndim", 0) for x in operands]
    if all(sizes):
        return TypeError(f"{name}: all operands must be CuPy arrays, got {[type(x).__name__ for x in operands]}")
    return few_dimensions(name, signature, sizes.index(0))


def few_dimensions(name: str, signature: str, i: int) -> ValueError:
    """The error for an operand that is a number."""
    words = f"has 0, gufunc core with signature {signature} requires 1"
    return ValueError(f"{name}: Input operand {i} does not have enough dimensions ({words})")


def mismatch(name: str, signature: str, first: int, second: int) -> ValueError:
    """The error for sizes that should be equal."""
    words = f"with gufunc signature {signature} (size {second} is different from {first})"
    return ValueError(f"{name}: Input operand 1 has a mismatch in its core dimension 0, {words}")


KERNELS: dict[str, Callable[..., Any]] = {
    "matmul": matmul,
    "linear": linear,
    "linear_no_bias": linear_no_bias,
    "vecdot": vecdot,
}
