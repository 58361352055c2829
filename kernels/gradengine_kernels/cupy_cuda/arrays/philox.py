"""CUDA C for random numbers: Philox4x64-10 and what is made of its words, each bit as the NumPy backend has it.

A thread takes a block of four words. The formulas use the operations that round to nearest and are never contracted
into a fused multiply-add; what they are and where the constants come from is said in `numpy_cpu.random`.
"""

from __future__ import annotations

from ...numpy_cpu.random import CENTRE, FAR, LN2_HIGH, LN2_LOW, LOG, NEAR

BASE = r"""
// -- the words of a block; `high` is the counter's second word: a carry, or the attempt
__device__ __forceinline__ void ge_words(u64 seed, u64 low, u64 high, u64* w) {
  u64 c0 = low, c1 = high, c2 = 0, c3 = 0, k0 = seed, k1 = 0;
  const u64 m0 = 0xD2E7470EE14C6C93ULL, m1 = 0xCA5A826395121157ULL;
  #pragma unroll
  for (int i = 0; i < 10; ++i) {
    const u64 h0 = __umul64hi(m0, c0), l0 = m0 * c0, h1 = __umul64hi(m1, c2), l1 = m1 * c2;
    c0 = h1 ^ c1 ^ k0; c1 = l1; c2 = h0 ^ c3 ^ k1; c3 = l0;
    k0 += 0x9E3779B97F4A7C15ULL; k1 += 0xBB67AE8584CAA73BULL;
  }
  w[0] = c0; w[1] = c1; w[2] = c2; w[3] = c3;
}
__device__ __forceinline__ void ge_block(u64 seed, u64 offset, u64 block, u64* w) {
  ge_words(seed, offset + block, offset + block < offset ? 1 : 0, w);
}
__device__ __forceinline__ unsigned int ge_half(const u64* w, int i) {
  return (unsigned int)(w[i / 2] >> (32 * (i % 2)));
}

// -- float64 to what is stored, rounded once; NVRTC's own conversion would flush what is denormal in float32
#ifdef CUDA_EMUL
__device__ __forceinline__ float ge_single(double x) { return (float)x; }
#else
__device__ __forceinline__ float ge_single(double x) {
  float y; asm("cvt.rn.f32.f64 %0, %1;" : "=f"(y) : "d"(x)); return y;
}
#endif
__device__ __forceinline__ float ge_odd(double x) {  // rounded to odd: rounding that again is as good as rounding x
  const float y = ge_single(x);
  const int bits = __float_as_int(y);
  if ((double)y == x || x != x || (bits & 1)) return y;
  return __int_as_float(fabs(x) > fabs((double)y) ? bits + 1 : bits - 1);
}
__device__ __forceinline__ void ge_keep(double& at, double x) { at = x; }
__device__ __forceinline__ void ge_keep(float& at, double x) { at = ge_single(x); }
__device__ __forceinline__ void ge_keep(f16& at, double x) { put(at, ge_odd(x)); }
__device__ __forceinline__ void ge_keep(bf16& at, double x) { put(at, ge_single(x)); }
__device__ __forceinline__ void ge_keep(u8& at, double x) { at = x != 0; }
__device__ __forceinline__ double ge_value(double x) { return x; }
__device__ __forceinline__ double ge_value(float x) { return x; }
__device__ __forceinline__ double ge_value(f16 x) { return get(x); }
__device__ __forceinline__ double ge_value(bf16 x) { return get(x); }

// -- a thread's elements in as few accesses as can be
template <int N, typename T> __device__ __forceinline__ void ge_save(T* out, i64 first, i64 count, const T* x) {
  if (first + N <= count) {
    Vector<N, T> v;
    #pragma unroll
    for (int i = 0; i < N; ++i) v.item[i] = x[i];
    #pragma unroll
    for (int i = 0; i < (int)((sizeof(T) * N + 15) / 16); ++i) ((decltype(&v.word[0]))(out + first))[i] = v.word[i];
  } else {
    for (int i = 0; i < N; ++i) if (first + i < count) out[first + i] = x[i];
  }
}
"""


def number(x: float) -> str:
    """A float64 as C writes it."""
    return repr(float(x))


def horner(name: str, coefficients: tuple[float, ...]) -> str:
    """A polynomial as a function, coefficients from the highest power down."""
    first, *rest = [number(c) for c in coefficients]
    steps = "".join(f"  y = __dadd_rn({'__dmul_rn(y, x)' if i else f'__dmul_rn(x, {first})'}, {c});\n"
                    for i, c in enumerate(rest))  # fmt: skip
    return f"__device__ __forceinline__ double {name}(double x) {{\n  double y;\n{steps}  return y;\n}}\n"


POLYNOMIALS = "".join(
    horner(f"ge_{name}_{part}", coefficients)
    for name, (above, below) in {"centre": CENTRE, "near": NEAR, "far": FAR}.items()
    for part, coefficients in (("above", above), ("below", below))
)

NORMAL = (
    POLYNOMIALS
    + horner("ge_log_part", LOG)
    + r"""
__device__ __forceinline__ double ge_log(double x) {  // of a positive number that is not denormal
  u64 bits = (u64)__double_as_longlong(x);
  i64 e = (i64)(bits >> 52) - 1022;
  double m = __longlong_as_double((i64)((bits & 0xfffffffffffffULL) | 0x3fe0000000000000ULL));
  if (m < 0.7071067811865476) { m = __dadd_rn(m, m); e -= 1; }
  const double n = (double)e, f = __dsub_rn(m, 1.0), s = __ddiv_rn(f, __dadd_rn(2.0, f)), z = __dmul_rn(s, s);
  const double r = __dmul_rn(ge_log_part(z), z), half = __dmul_rn(__dmul_rn(0.5, f), f);
  const double inner = __dadd_rn(__dmul_rn(s, __dadd_rn(half, r)), __dmul_rn(n, LN2_LOW));
  return __dsub_rn(__dmul_rn(n, LN2_HIGH), __dsub_rn(__dsub_rn(half, inner), f));
}
__device__ __forceinline__ double ge_inverse_normal(double p) {
  const double q = __dsub_rn(p, 0.5);
  if (!(fabs(q) > 0.425)) {
    const double r = __dsub_rn(0.180625, __dmul_rn(q, q));
    return __dmul_rn(__ddiv_rn(ge_centre_above(r), ge_centre_below(r)), q);
  }
  const double r = __dsqrt_rn(-ge_log(q < 0 ? p : __dsub_rn(1.0, p)));
  double x;
  if (r > 5.0) { const double t = __dsub_rn(r, 5.0); x = __ddiv_rn(ge_far_above(t), ge_far_below(t)); }
  else { const double t = __dsub_rn(r, 1.6); x = __ddiv_rn(ge_near_above(t), ge_near_below(t)); }
  return q < 0 ? -x : x;
}
""".replace("LN2_LOW", number(LN2_LOW)).replace("LN2_HIGH", number(LN2_HIGH))
)

# -- kernels: BODY makes the elements x[0..N) of block b from its words w -------------------------------------------

FROM_HOST, FROM_DEVICE = "u64 seed, u64 offset", "const u64* state"

KERNEL = r"""
extern "C" __global__ void NAME(STATE, T* out, i64 count, PARAMS) {
  READ
  const i64 blocks = (count + N - 1) / N, step = (i64)gridDim.x * blockDim.x;
  for (i64 b = (i64)blockIdx.x * blockDim.x + threadIdx.x; b < blocks; b += step) {
    u64 w[4];
    T x[N];
    ge_block(seed, offset, (u64)b, w);
    #pragma unroll
    for (int i = 0; i < N; ++i) { BODY }
    ge_save<N>(out, b * N, count, x);
  }
}
"""

UNIFORM = {  # one of the multiples of 2^-KEPT, exact in T; then scaled and moved, if that is asked for
    4: "ge_keep(x[i], __dmul_rn((double)(i64)(w[i] >> 11), UNIT));",
    8: "ge_keep(x[i], __dmul_rn((double)(ge_half(w, i) >> (32 - KEPT)), UNIT));",
}
MOVED = r"""
      if (moved) {
        ge_keep(x[i], __dadd_rn(low, __dmul_rn(span, ge_value(x[i]))));
        if (ge_value(x[i]) > top) ge_keep(x[i], top);
      }"""

DRAWN_NORMAL = {
    4: "double z = ge_inverse_normal(__dmul_rn(__dadd_rn((double)(i64)(w[i] >> 12), 0.5), UNIT));",
    8: "double z = ge_inverse_normal(__dmul_rn(__dadd_rn((double)ge_half(w, i), 0.5), UNIT));",
}
SPREAD = r"""
      if (std != 1) z = __dmul_rn(z, std);
      if (mean != 0) z = __dadd_rn(z, mean);
      ge_keep(x[i], z);"""

INTEGER = r"""
      u64 word = w[i];
      for (u64 attempt = 1, again[4]; limit != 0 && word >= limit; ++attempt) {
        ge_words(seed, offset + (u64)b, attempt, again);
        word = again[i];
      }
      x[i] = (T)((span != 0 ? word % span : word) + low);"""

BELOW = "ge_keep(x[i], (u64)ge_half(w, i) < limit ? yes : no);"


def source(name: str, element: str, per_block: int, body: str, params: str, on_device: bool, helpers: str = "") -> str:
    """A kernel whose state comes by value from the host, or lies on the device, where a graph may change it."""
    words = {
        "NAME": name,
        "STATE": FROM_DEVICE if on_device else FROM_HOST,
        "READ": "const u64 seed = state[0], offset = state[1];" if on_device else "",
        "PARAMS": params,
        "BODY": body,
    }
    text = KERNEL
    for word, value in words.items():
        text = text.replace(word, value)
    return f"{BASE}{helpers}\n#define T {element}\n#define N {per_block}\n{text}"
