"""The emulator catches what it is there to catch: planted faults in kernels and in their launches, each of them seen.

A right kernel passes for every seed; a fault that depends on the order of threads is caught for every seed.
"""

from __future__ import annotations

import ast
import ctypes
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.cuda import guarded, launching, machine, toolchain
from tests.cuda.planted import ADD, MARKS, cp, kernel, unrecorded  # noqa: F401
from tests.cuda.toolchain import EmulatorError

pytestmark = MARKS

SEEDS = range(8)
SOFTMAX = """
__device__ float warp_max(float v) {
  for (int o = 16; o > 0; o >>= 1) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, o));
  return v;
}
__device__ float warp_sum(float v) {
  for (int o = 16; o > 0; o >>= 1) v += __shfl_xor_sync(0xffffffffu, v, o);
  return v;
}
extern "C" __global__ void __launch_bounds__(128) softmax(const float* __restrict__ x, float* y, int cols) {
  __shared__ float part[32];
  const int t = threadIdx.x, lane = t & 31, warp = t >> 5, warps = (blockDim.x + 31) >> 5;
  x += (size_t)blockIdx.x * cols;
  y += (size_t)blockIdx.x * cols;
  float m = __int_as_float(0xff800000);
  for (int i = t; i < cols; i += blockDim.x) m = fmaxf(m, x[i]);
  m = warp_max(m);
  if (lane == 0) part[warp] = m;
  __syncthreads();  // 1
  m = warp_max(part[lane < warps ? lane : 0]);
  __syncthreads();  // 2
  float s = 0.0f;
  for (int i = t; i < cols; i += blockDim.x) s += expf(x[i] - m);
  s = warp_sum(s);
  if (lane == 0) part[warp] = s;
  __syncthreads();  // 3
  s = warp_sum(lane < warps ? part[lane] : 0.0f);
  for (int i = t; i < cols; i += blockDim.x) y[i] = expf(x[i] - m) / s;
}
"""
TRANSPOSE = """
extern "C" __global__ void transpose(const double* x, double* y, long long n) {
  extern __shared__ double tile[];
  const int i = threadIdx.y, j = threadIdx.x;
  if (i < n && j < n) tile[i * n + j] = x[i * n + j];
  __syncthreads();
  if (i < n && j < n) y[i * n + j] = tile[j * n + i];
}
"""
COUNT = """
extern "C" __global__ void count(const int* x, int* found, unsigned* blocks, int n) {
  __shared__ int here;
  if (threadIdx.x == 0) here = 0;
  __syncthreads();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
    if (x[i] > 0) atomicAdd(&here, 1);
  __syncthreads();
  const int positive = __syncthreads_count(here > 0);
  if (threadIdx.x == 0) { atomicAdd(found, here); atomicInc(blocks, 1000); if (positive == 0) found[1] = 1; }
}
"""


def changed(source: str, old: str, new: str) -> str:
    assert source.count(old) == 1, f"the source has {old!r} {source.count(old)} times"
    return source.replace(old, new)


def softmax(source: str, seed: int, rows: int = 3, columns: int = 200) -> None:
    """Run a softmax kernel, and compare. Raises for whatever is wrong."""
    launching.set_seed(seed)
    x = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32) * 3
    y = cp.empty_like(cp.asarray(x))
    kernel(source, "softmax")((rows,), (128,), (cp.asarray(x), y, np.int32(columns)))
    e = np.exp(x - x.max(1, keepdims=True))
    np.testing.assert_allclose(y.get(), e / e.sum(1, keepdims=True), rtol=1e-5, atol=1e-7)


# -- kernels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_right_kernels_pass(seed):
    for columns in (1, 31, 200, 1000):
        softmax(SOFTMAX, seed, columns=columns)
    x = cp.arange(25.0).reshape(5, 5)
    y = cp.empty((5, 5))
    kernel(TRANSPOSE, "transpose")((1,), (8, 8), (x, y, 5), shared_mem=200)
    np.testing.assert_array_equal(y.get(), x.get().T)
    numbers = cp.asarray(np.random.default_rng(seed).integers(-3, 4, 1000).astype(np.int32))
    found, blocks = cp.zeros(2, np.int32), cp.zeros(1, np.uint32)
    kernel(COUNT, "count")((5,), (96,), (numbers, found, blocks, np.int32(1000)))
    assert found.get().tolist() == [int((numbers.get() > 0).sum()), 0]
    assert blocks.item() == 5


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("barrier", [1, 2, 3])
def test_missing_barrier(barrier, seed):
    with pytest.raises(EmulatorError, match=r"softmax: race in shared memory: this thread (reads|writes) byte \d+"):
        softmax(changed(SOFTMAX, f"__syncthreads();  // {barrier}\n", "\n"), seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_missing_barrier_in_dynamic_shared_memory(seed):
    launching.set_seed(seed)
    x = cp.arange(25.0).reshape(5, 5)
    broken = kernel(changed(TRANSPOSE, "__syncthreads();", ""), "transpose")
    with pytest.raises(EmulatorError, match="of the dynamic shared memory"):
        broken((1,), (8, 8), (x, cp.empty((5, 5)), 5), shared_mem=200)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_warp_that_does_not_synchronise(seed):
    source = """
    extern "C" __global__ void turn(float* x) {
      __shared__ float s[32];
      s[threadIdx.x] = x[threadIdx.x];
      __syncwarp();
      x[threadIdx.x] = s[31 - threadIdx.x];
    }"""
    launching.set_seed(seed)
    x = cp.arange(32, dtype=np.float32)
    kernel(source, "turn")((1,), (32,), (x,))
    assert x.get().tolist() == list(range(31, -1, -1))
    with pytest.raises(EmulatorError, match="race"):
        kernel(changed(source, "__syncwarp();", ""), "turn")((1,), (32,), (x,))
    shuffled = changed(source, "__syncwarp();", "s[threadIdx.x] += 0 * __shfl_sync(~0u, x[0], 0);")
    with pytest.raises(EmulatorError, match="race"):  # a shuffle says nothing about memory
        kernel(shuffled, "turn")((1,), (32,), (x,))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "__syncthreads();  // 2",
            "if (warp < 2) __syncthreads();",
            "divergent barrier: threads of one block wait|race",
        ),
        (
            "__syncthreads();  // 2",
            "if (warp == 3) return; __syncthreads();",
            "divergent barrier: 96 of 128 threads wait",
        ),
        ("m = warp_max(m);", "if (lane < 16) m = warp_max(m);", "deadlock: in warp . lanes 0000ffff wait at line 3"),
        ("m = warp_max(m);", "m = __shfl_xor_sync(0xffffu, m, 1);", "lane .. is not in its own mask 0000ffff"),
        ("m = warp_max(m);", "m = lane & 1 ? __shfl_xor_sync(~0u, m, 2) : warp_max(m);", "divergent warp: lanes meet"),
    ],
)
def test_divergence(seed, old, new, words):
    with pytest.raises(EmulatorError, match=words):
        softmax(changed(SOFTMAX, old, new), seed)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("start", ["int o = 16; o > 0; o >>= 1) v +=", "float s = 0.0f"])
def test_wrong_numbers(start, seed):
    wrong = {"int o = 16; o > 0; o >>= 1) v +=": "int o = 8; o > 0; o >>= 1) v +=", "float s = 0.0f": "float s = 1.0f"}
    with pytest.raises(AssertionError):
        softmax(changed(SOFTMAX, start, wrong[start]), seed)


def test_uninitialised_shared_memory_is_nan():
    source = 'extern "C" __global__ void f(float* x) { __shared__ float s[8]; __syncthreads(); x[0] = s[3]; }'
    x = cp.zeros(1, np.float32)
    kernel(source, "f")((1,), (1,), (x,))
    assert np.isnan(x.item())
    source = """
    extern "C" __global__ void f(float* x) {
      extern __shared__ float s[]; __syncthreads(); x[0] = s[3]; s[3] = 1; }"""
    for _ in range(2):  # what a former launch has written is not there either
        x.fill(0)
        kernel(source, "f")((1,), (1,), (x,), shared_mem=32)
        assert np.isnan(x.item())


def test_new_memory_is_poisoned():
    assert np.isnan(cp.empty(5, np.float32).get()).all()
    assert np.isnan(cp.empty((2, 3)).get()).all()
    assert (cp.empty(5, np.int32).get() == np.array(0xA5A5A5A5, np.uint32).view(np.int32)).all()
    c = cp.empty(10, np.float32)
    kernel(ADD, "add")((1,), (32,), (cp.ones(10, np.float32), cp.ones(10, np.float32), c, np.int32(9)))
    assert np.isnan(c.get()[9])  # the element that was forgotten
    assert (c.get()[:9] == 2).all()


@pytest.mark.parametrize("count", [4, 100, 1024, 5000])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_out_of_range(count, which):
    arrays = [cp.ones(count + 64, np.float32) for _ in range(3)]
    arrays[which] = cp.ones(count, np.float32)
    with pytest.raises(machine.CUDARuntimeError, match=r"add touches \d+ bytes after the end of an array") as caught:
        kernel(ADD, "add")((100,), (64,), (*arrays, np.int32(count + 4)))
    assert str(caught.value).startswith("cudaErrorIllegalAddress")
    assert caught.value.status == 700
    kernel(ADD, "add")((1,), (64,), (*arrays, np.int32(count and 4)))  # and the process goes on


def test_written_beside_an_array():
    x = cp.ones(3, np.float32)  # a block ends at a multiple of 16 bytes: these 4 have no guard page behind them
    with pytest.raises(EmulatorError, match="f: an argument was written to after its end"):
        kernel('extern "C" __global__ void f(float* x) { x[3] = 0; }', "f")((1,), (1,), (x,))
    y = cp.ones(3, np.float32)
    with pytest.raises(EmulatorError, match="f: an argument was written to before its beginning"):
        kernel('extern "C" __global__ void f(float* x) { x[-2] = 0; }', "f")((1,), (1,), (y,))


def test_freed_memory_is_forgotten():
    x = cp.ones(100, np.float32)
    address = x.data.ptr
    del x
    assert not guarded.is_live(address)
    with pytest.raises(EmulatorError, match="argument 0 is the address of memory of no array"):
        kernel(ADD, "add")((1,), (1,), (address, address, address, np.int32(1)))


def test_other_signals():
    with pytest.raises(machine.CUDARuntimeError, match="SIGFPE"):
        kernel('extern "C" __global__ void f(int* x) { x[0] = x[1] / x[2]; }', "f")(
            (1,), (1,), (cp.zeros(4, np.int32),)
        )
    with pytest.raises(machine.CUDARuntimeError, match=r"SIGILL|SIGTRAP"):
        kernel('extern "C" __global__ void f(int* x) { __trap(); }', "f")((1,), (1,), (cp.zeros(4, np.int32),))
    source = """
    extern "C" __global__ void f(int* x) {
      volatile int room[100000]; __syncthreads(); room[x[0]] = 1; x[1] = room[x[2]]; }"""
    with pytest.raises(machine.CUDARuntimeError, match=r"SIGSEGV|touches"):  # more local memory than a thread has here
        kernel(source, "f")((1,), (2,), (cp.zeros(4, np.int32),))


def test_several_elements_at_a_place_that_is_not_theirs():
    """A GPU takes 16 bytes at once from multiples of 16 alone; the CPU would not mind."""
    source = """
    extern "C" __global__ void f(const float* x, float* y) { *(float4*)y = *(const float4*)x; }"""
    x = cp.zeros(16, np.float32)
    kernel(source, "f")((1,), (1,), (x[4:], x[8:]))
    for start in (1, 2, 3):
        with pytest.raises(machine.CUDARuntimeError, match="an access that is not aligned"):
            kernel(source, "f")((1,), (1,), (x[start:], x[8:]))


@pytest.mark.parametrize("memory", ["__shared__ float", "float"])
def test_an_index_outside_of_an_array_of_the_kernel(memory):
    source = f"""
    extern "C" __global__ void f(float* x, int at) {{
      {memory} s[4]; for (int i = 0; i < 4; ++i) s[i] = x[i]; __syncwarp(); x[0] = s[at]; }}"""
    x = cp.ones(4, np.float32)
    kernel(source, "f")((1,), (1,), (x, np.int32(3)))
    with pytest.raises(machine.CUDARuntimeError, match="an index outside of an array"):
        kernel(source, "f")((1,), (1,), (x, np.int32(4)))


def test_a_source_that_does_not_compile():
    with pytest.raises(launching.CompileException, match=r"kernel:2:\d+: error: .*nothing") as caught:
        kernel('// first\nextern "C" __global__ void f(float* x) { x[0] = nothing; }', "f").compile()
    assert "nothing" in caught.value.get_message()
    with pytest.raises(machine.CUDADriverError, match="CUDA_ERROR_NOT_FOUND"):
        kernel(ADD, "no_such_kernel").compile()


def test_functions_agree_with_numpy():
    import scipy.special

    names = {
        "expf": np.exp, "expm1f": np.expm1, "logf": np.log, "log1pf": np.log1p, "log2f": np.log2, "log10f": np.log10,
        "exp2f": np.exp2, "tanhf": np.tanh, "erff": scipy.special.erf, "erfcf": scipy.special.erfc,
        "erfinvf": scipy.special.erfinv, "sqrtf": np.sqrt, "rsqrtf": lambda x: 1 / np.sqrt(x), "sinf": np.sin,
        "cosf": np.cos, "lgammaf": scipy.special.gammaln, "rintf": np.rint, "floorf": np.floor, "cbrtf": np.cbrt,
    }  # fmt: skip
    body = "\n".join(f"  y[{i} * n + i] = {name}(x[i]);" for i, name in enumerate(names))
    source = (
        f'extern "C" __global__ void f(const float* x, float* y, int n) {{\n  const int i = threadIdx.x;\n{body}\n}}'
    )
    x = np.linspace(0.01, 0.99, 64).astype(np.float32)
    y = cp.empty((len(names), 64), np.float32)
    kernel(source, "f")((1,), (64,), (cp.asarray(x), y, np.int32(64)))
    for row, (name, function) in zip(y.get(), names.items()):
        np.testing.assert_allclose(row, function(x.astype(np.float64)), rtol=3e-7, err_msg=name)


def test_half_precision_rounds_to_even():
    source = """
    extern "C" __global__ void f(const float* x, unsigned short* h, unsigned short* b, float* y, float* z) {
      const int i = blockIdx.x * 256 + threadIdx.x;
      h[i] = ge_f32_to_f16(x[i]); b[i] = ge_f32_to_bf16(x[i]);
      y[i] = ge_f16_to_f32(h[i]); z[i] = ge_bf16_to_f32(b[i]); }"""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    bits = np.random.default_rng(0).integers(0, 1 << 32, 1 << 16, dtype=np.uint32)
    bits[: 1 << 15] = np.arange(1 << 15, dtype=np.uint32) << 13 | 0x38000000 | (1 << 12)  # halfway between neighbours
    x = bits.view(np.float32)
    h, b = (cp.empty(x.size, np.uint16) for _ in range(2))
    y, z = (cp.empty(x.size, np.float32) for _ in range(2))
    kernel(source, "f")((256,), (256,), (cp.asarray(x), h, b, y, z))
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(h.get().view(np.float16), x.astype(np.float16))
        np.testing.assert_array_equal(
            b.get().view(ml_dtypes.bfloat16).astype(np.float32), x.astype(ml_dtypes.bfloat16).astype(np.float32)
        )
        np.testing.assert_array_equal(y.get(), x.astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal(z.get(), b.get().view(ml_dtypes.bfloat16).astype(np.float32))
    # where the processor does not know the type, software does the same
    to, of = toolchain.runtime().emu_f32_to_f16, toolchain.runtime().emu_f16_to_f32
    to.restype, to.argtypes, of.restype, of.argtypes = (
        ctypes.c_ushort,
        [ctypes.c_float],
        ctypes.c_float,
        [ctypes.c_ushort],
    )
    for value, expected in zip(x[::37].tolist(), h.get()[::37].tolist()):
        if value == value:
            assert to(value) == expected
            assert of(expected) == np.array(expected, np.uint16).view(np.float16)


def test_seeds_change_the_order():
    source = 'extern "C" __global__ void f(int* turn, int* x) { x[atomicAdd(turn, 1)] = threadIdx.x; __syncthreads(); }'
    orders = set()
    for seed in SEEDS:
        launching.set_seed(seed)
        x = cp.empty(96, np.int32)
        kernel(source, "f")((1,), (96,), (cp.zeros(1, np.int32), x))
        orders.add(tuple(x.get().tolist()))
        assert sorted(x.get().tolist()) == list(range(96))
    assert len(orders) == len(SEEDS)
    assert all(a != b for a, b in itertools.pairwise(orders))


# -- arguments and launches ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("position", "value", "words"),
    [
        (3, 5, r"argument 3 is int \(int64\), the kernel wants an integer of 4 bytes"),
        (3, 5.0, "argument 3 is float"),
        (3, np.float32(5), r"argument 3 is float32 \(float32\), the kernel wants an integer of 4 bytes"),
        (3, True, "argument 3 is bool"),
        (0, 5.0, "argument 0 is float, the kernel wants a pointer"),
        (0, 123456, "argument 0 is the address of memory of no array"),
        (0, np.ones(9, np.float32), "argument 0 is ndarray, the kernel wants a pointer"),
        (0, np.ones(9), "argument 0 is ndarray, the kernel wants a pointer"),
    ],
)
def test_arguments(position, value, words):
    args = [cp.ones(5, np.float32), cp.ones(5, np.float32), cp.ones(5, np.float32), np.int32(5)]
    kernel(ADD, "add")((1,), (8,), tuple(args))
    args[position] = value
    with pytest.raises(EmulatorError, match=words):
        kernel(ADD, "add")((1,), (8,), tuple(args))


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32])
def test_arrays_of_another_dtype(dtype):
    x = cp.ones(5, np.float32)
    with pytest.raises(EmulatorError, match=f"argument 1 is an array of {np.dtype(dtype)}, the kernel reads"):
        kernel(ADD, "add")((1,), (8,), (x, cp.ones(5, dtype), x, np.int32(5)))


def test_number_of_arguments():
    x = cp.ones(5, np.float32)
    with pytest.raises(EmulatorError, match="add: 3 arguments, the kernel takes 4"):
        kernel(ADD, "add")((1,), (8,), (x, x, x))
    with pytest.raises(EmulatorError, match="add: 5 arguments, the kernel takes 4"):
        kernel(ADD, "add")((1,), (8,), (x, x, x, np.int32(5), np.int32(5)))


def test_scalars_of_each_kind():
    source = """
    extern "C" __global__ void f(double* y, long long a, double b, float c, unsigned d, bool e, short f,
                                 unsigned char g, float2* p) {
      y[0] = a; y[1] = b; y[2] = c; y[3] = d; y[4] = e; y[5] = f; y[6] = g; y[7] = p[1].y; }"""
    y, pairs = cp.zeros(8), cp.arange(4, dtype=np.float32)
    given = (-5, 2.5, np.float32(1.5), np.uint32(4_000_000_000), True, np.int16(-7), np.uint8(200), pairs)
    kernel(source, "f")((1,), (1,), (y, *given))
    assert y.get().tolist() == [-5, 2.5, 1.5, 4_000_000_000, 1, -7, 200, 3]


@pytest.mark.parametrize(
    ("grid", "block", "shared"),
    [((0,), (1,), 0), ((1,), (1025,), 0), ((1,), (64, 32), 0), ((1, 70000), (1,), 0), ((1,), (1, 1, 65), 0)]
    + [((1,), (1,), 49153), ((1,), (0,), 0)],
)
def test_launches_that_cuda_refuses(grid, block, shared):
    x = cp.ones(5, np.float32)
    with pytest.raises(machine.CUDADriverError, match="CUDA_ERROR_INVALID_VALUE"):
        kernel(ADD, "add")(grid, block, (x, x, x, np.int32(5)), shared_mem=shared)


def test_more_threads_than_the_kernel_was_compiled_for():
    x = cp.ones((1, 8), np.float32)
    with pytest.raises(machine.CUDADriverError, match="at most 128 threads"):
        kernel(SOFTMAX, "softmax")((1,), (256,), (x, x, np.int32(8)))


def test_large_shared_memory_has_to_be_asked_for():
    source = """
    extern "C" __global__ void f(float* x) {
      extern __shared__ float s[]; s[threadIdx.x] = 1; __syncthreads(); x[0] = s[0]; }"""
    f, x = kernel(source, "f"), cp.zeros(1, np.float32)
    with pytest.raises(machine.CUDADriverError, match="at most 49152"):
        f((1,), (1,), (x,), shared_mem=100_000)
    f.max_dynamic_shared_size_bytes = 100_000
    f((1,), (1,), (x,), shared_mem=100_000)
    with pytest.raises(machine.CUDADriverError, match="CUDA_ERROR_INVALID_VALUE"):
        f.max_dynamic_shared_size_bytes = 228 << 10


def test_which_kernels_have_barriers():
    source = """
    #define MEET __syncthreads()
    struct Team { static __device__ float sum(float x) { return __shfl_sync(~0u, x, 0); } };
    template <class T> __device__ T helper(T x) { return Team::sum(x); }
    __device__ float plain(float x) { return x; } // __syncthreads()
    extern "C" __global__ void a(float* x) { x[0] = helper(x[0]); }
    extern "C" __global__ void b(float* x) { x[0] = plain(x[0]); }
    extern "C" __global__ void c(float* x) { MEET; }
    """
    assert toolchain.waiting(source, ["a", "b", "c"]) == {"a", "c"}


ROUNDED = """
extern "C" __global__ void rounded(const float* x, float* y) {
  y[0] = x[0] * x[1] + x[2];
  y[1] = x[3] * x[4];
  __syncthreads();
  y[2] = x[3] * x[4];
}
"""


@pytest.mark.parametrize(("rounding", "wanted"), [("exact", [0.0, 1e-41, 1e-41]), ("device", [2.0**-24, 0.0, 0.0])])
def test_rounding_as_a_device_has_it(rounding, wanted):
    """Products that are added at once round once, and denormals are zero; the rest of the process is as before."""
    code = f"""
import numpy as np
from tests.cuda import fake_cupy
cp = fake_cupy.install()
x = np.array([1 + 2**-12, 1 + 2**-12, -1 - 2**-11, 1e-38, 1e-3], np.float32)
y = cp.empty(3, np.float32)
cp.RawKernel({ROUNDED!r}, "rounded")((1,), (32,), (cp.asarray(x), y))
print(y.get().tolist(), float(x[3] * x[4]) > 0)
"""
    where = {**os.environ, "GRADENGINE_EMULATOR_ROUNDING": rounding}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=where)
    found, _, elsewhere = done.stdout.strip().rpartition(" ")
    np.testing.assert_allclose(ast.literal_eval(found), wanted, rtol=1e-3, err_msg=done.stderr)
    assert elsewhere == "True"


def test_a_rounding_that_there_is_not(monkeypatch):
    monkeypatch.setattr(toolchain, "ROUNDING", "fused")
    assert toolchain.why_not() == "GRADENGINE_EMULATOR_ROUNDING must be one of exact, device, not 'fused'"
