"""The sources that generated modules are put together from: what every kernel needs, by dtype.

Elementary functions, pieces of kernels and the kernels written by hand stand in Python files of this folder, without
Numba. Here they get their dtype and their decorators, and what Python cannot say is added as LLVM code.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from .generated_modules import functions_for, load_source

if TYPE_CHECKING:
    from types import ModuleType

HEADER = """\
import math
import numpy as np
from numba import float32, float64, int64, intp, types, uint8
from gradengine_kernels.numba_cpu.jit_cache import cfunc, njit
"""

KERNEL = """
signature = types.void(
    types.CPointer(types.CPointer(REAL)), types.CPointer(types.CPointer(uint8)),
    types.CPointer(types.CPointer(int64)), types.CPointer(intp), types.CPointer(float64), intp, intp,
)
kernel = cfunc(signature, nopython=True, error_model="numpy")(kernel)
"""

# The driver. `objects` of the table's entries are NumPy arrays given by the address of the Python object: NumPy's C
# interface fixes that the pointer to the elements comes right after the object's head. Fetching it here costs a
# nanosecond; `array.ctypes.data` costs one call nearly a microsecond for each array.
DRIVER = """
from llvmlite import ir
from numba import prange
from numba.extending import intrinsic

@intrinsic
def call(typingctx, address, objects, table, scalars, start, stop):
    def codegen(context, builder, signature, args):
        address, objects, table, scalars, start, stop = args
        word, double = ir.IntType(64), ir.DoubleType()
        pointer = word.as_pointer()
        entries = builder.alloca(ir.ArrayType(word, signature.args[2].count))
        for i in range(signature.args[2].count):
            value = builder.extract_value(table, i)
            slot = builder.gep(entries, [ir.IntType(32)(0), ir.IntType(32)(i)])
            is_object = builder.icmp_signed("<", word(i), objects)
            with builder.if_else(is_object) as (then, otherwise):
                with then:
                    data = builder.inttoptr(builder.add(value, word({head})), pointer)
                    builder.store(builder.load(data), slot)
                with otherwise:
                    builder.store(value, slot)
        numbers = builder.alloca(ir.ArrayType(double, signature.args[3].count))
        for i in range(signature.args[3].count):
            slot = builder.gep(numbers, [ir.IntType(32)(0), ir.IntType(32)(i)])
            builder.store(builder.extract_value(scalars, i), slot)
        entries = builder.bitcast(entries, pointer)
        numbers = builder.bitcast(numbers, double.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [pointer] * 4 + [double.as_pointer(), word, word])
        function = builder.inttoptr(address, kind.as_pointer())
        builder.call(function, [entries] * 4 + [numbers, start, stop])
        return context.get_dummy_value()
    return types.void(types.int64, types.int64, table, scalars, types.int64, types.int64), codegen

@njit(nogil=True)
def serial(address, total, tasks, objects, {slots}, {numbers}):
    call(address, objects, ({slots}), ({numbers}), 0, total)

@njit(nogil=True, parallel=True)
def spread(address, total, tasks, objects, {slots}, {numbers}):
    # Whole cache lines of the smallest element type, so that no two threads write to one.
    share = (total // tasks + 63) // 64 * 64 if total > 64 * tasks else (total + tasks - 1) // tasks
    for task in prange(tasks):
        start = min(task * share, total)
        stop = total if task == tasks - 1 else min(start + share, total)
        if stop > start:
            call(address, objects, ({slots}), ({numbers}), start, stop)
"""

INTRINSIC_HEADER = """\
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic
"""

# How the functions that kernels call are compiled. Elementary functions may round a * b + c once, which makes them
# more exact, and one kind of sum may be added in any order. Kernels themselves get no such leave: each operation
# rounds as NumPy's does, and NaN, infinities and signed zeros are what IEEE 754 says.
INLINED = 'njit(forceinline=True, error_model="numpy"{flags})'
CONTRACT, ANY_ORDER = ', fastmath={"contract"}', ', fastmath={"contract", "reassoc"}'
FOLDER = Path(__file__).parent


# What a kernel cannot say in Python, by the name of the function that stands for it in the kernels' files.
INTRINSICS = {
    # LLVM halves the vectors of AVX-512, for the sake of processors of 2017 that slowed down; elementary functions
    # are a third faster with whole ones. llvmlite knows no such attribute, but writes what is in the set.
    "wide_vectors": """
@intrinsic
def wide_vectors(typingctx):
    def codegen(context, builder, signature, args):
        if isinstance(builder.function.attributes, set):
            set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()
    return types.void(), codegen
""",
    "block_buffer": """
@intrinsic
def block_buffer(typingctx, like):
    def codegen(context, builder, signature, args):
        space = cgutils.alloca_once(builder, context.get_value_type(like.dtype), size=BLOCK)
        return builder.bitcast(space, context.get_value_type(like))
    return like(like), codegen
""",
    # Fortran takes everything by address: characters, sizes, factors. A size of 64 bits serves BLAS with 32 as well,
    # which reads its lower half.
    "call_gemm": """
@intrinsic
def call_gemm(typingctx, gemm, ta, tb, m, n, k, a, lda, b, ldb, c, ldc, one):
    def codegen(context, builder, signature, args):
        gemm, ta, tb, m, n, k, a, lda, b, ldb, c, ldc, one = args
        byte = ir.IntType(8)
        def at(value):
            slot = cgutils.alloca_once(builder, value.type)
            builder.store(value, slot)
            return builder.bitcast(slot, byte.as_pointer())
        def flag(value):
            return at(builder.select(builder.icmp_signed("!=", value, value.type(0)), byte(ord("T")), byte(ord("N"))))
        def size(value):
            return at(value)
        def matrix(value):
            return builder.inttoptr(value, byte.as_pointer())
        given = [flag(ta), flag(tb), size(m), size(n), size(k), at(one), matrix(a), size(lda), matrix(b), size(ldb)]
        given += [at(one.type(0.0)), matrix(c), size(ldc)]
        kind = ir.FunctionType(ir.VoidType(), [byte.as_pointer()] * 13)
        builder.call(builder.inttoptr(gemm, kind.as_pointer()), given)
        return context.get_dummy_value()
    return types.void(*[types.int64] * 12, one), codegen
""",
}


@functools.cache
def elementary(real: str) -> ModuleType:
    """The elementary functions for a dtype; each is compiled when it is first used."""
    source = HEADER + INTRINSIC_HEADER
    for file in (f"libm{real.removeprefix('float')}.py", "libm.py"):
        constants, functions = functions_for(real, FOLDER / file)
        source += constants
        for name, text in functions.items():
            source += INTRINSICS.get(name, f"\n\n@{INLINED.format(flags=CONTRACT)}\n{text}")
    return load_source(f"elementary_{real}", source)


@functools.cache
def pieces(file: str, real: str) -> tuple[ModuleType, dict[str, str]]:
    """What the kernels in a file are made of, for a dtype, and the sources of the kernels themselves by name."""
    constants, functions = functions_for(real, FOLDER / file)
    source, kernels = f"{HEADER}{names_of(elementary(real))}{constants}", {}
    for name, text in functions.items():
        if text.startswith(f"def {name}(reals,"):
            kernels[name] = text.replace(f"def {name}(", "def kernel(", 1)
        else:
            flags = ANY_ORDER if name.startswith("any_order_") else ""
            source += INTRINSICS.get(name, f"\n\n@{INLINED.format(flags=flags)}\n{text}")
    return load_source(f"{file.removesuffix('_kernels.py')}_{real}", source), kernels


def names_of(module: ModuleType) -> str:
    """The statement that imports everything which a generated module defines or has imported from another."""
    given = HEADER.replace(",", "").split()
    names = [name for name in vars(module) if not name.startswith("__") and name not in given]
    return f"from {module.__name__} import {', '.join(sorted(names))}\n"


def kernel_source(source: str, real: str) -> str:
    """A generated kernel with all that it refers to."""
    return f"{HEADER}{names_of(elementary(real))}\n\n{source}{KERNEL.replace('REAL', real)}"


def driver_source(slots: int, numbers: int) -> str:
    """The driver with room for so many table entries and scalars."""
    return HEADER + DRIVER.format(
        head=object.__basicsize__,
        slots=", ".join(f"a{i}" for i in range(slots)),
        numbers=", ".join(f"s{i}" for i in range(numbers)),
    )
