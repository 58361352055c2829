"""The CUDA C that every generated kernel starts with: types, what elements are in memory, sums over threads.

No header is included: NVRTC then needs no folder of them, and compiles in a third of the time. CUDA_EMUL is defined
where the same source is compiled for the CPU; see the tests.
"""

from __future__ import annotations

END = "// ---- prelude ends ----"

PRELUDE = (
    r"""
typedef long long i64;
typedef unsigned long long u64;
typedef unsigned char u8;
#define NAN32 __int_as_float(0x7fc00000)
#define NAN64 __longlong_as_double(0x7ff8000000000000LL)
#define INF32 __int_as_float(0x7f800000)
#define INF64 __longlong_as_double(0x7ff0000000000000LL)

// -- half precision: stored in two bytes, computed in float
struct f16 { unsigned short bits; };
struct bf16 { unsigned short bits; };
#ifndef CUDA_EMUL
__device__ __forceinline__ unsigned short ge_f32_to_f16(float x) {
  unsigned short h; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x)); return h; }
__device__ __forceinline__ float ge_f16_to_f32(unsigned short h) {
  float x; asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(h)); return x; }
__device__ __forceinline__ unsigned short ge_f32_to_bf16(float x) {
  unsigned short h; asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h) : "f"(x)); return h; }
__device__ __forceinline__ float ge_bf16_to_f32(unsigned short h) { return __int_as_float((int)h << 16); }
#endif
__device__ __forceinline__ float get(float x) { return x; }
__device__ __forceinline__ double get(double x) { return x; }
__device__ __forceinline__ float get(f16 x) { return ge_f16_to_f32(x.bits); }
__device__ __forceinline__ float get(bf16 x) { return ge_bf16_to_f32(x.bits); }
__device__ __forceinline__ bool get(u8 x) { return x != 0; }
__device__ __forceinline__ i64 get(i64 x) { return x; }
__device__ __forceinline__ void put(float& at, float x) { at = x; }
__device__ __forceinline__ void put(double& at, double x) { at = x; }
__device__ __forceinline__ void put(f16& at, float x) { at.bits = ge_f32_to_f16(x); }
__device__ __forceinline__ void put(bf16& at, float x) { at.bits = ge_f32_to_bf16(x); }
__device__ __forceinline__ void put(u8& at, bool x) { at = x; }
__device__ __forceinline__ void put(i64& at, i64 x) { at = x; }

// -- several elements in one access
template <int BYTES> struct Word;
template <> struct Word<1> { typedef unsigned char type; };
template <> struct Word<2> { typedef unsigned short type; };
template <> struct Word<4> { typedef unsigned int type; };
template <> struct Word<8> { typedef uint2 type; };
template <> struct Word<16> { typedef uint4 type; };
template <int V, typename T> struct Vector {
  union { T item[V]; typename Word<sizeof(T) * V < 16 ? sizeof(T) * V : 16>::type word[(sizeof(T) * V + 15) / 16]; };
};
template <int V, typename T> __device__ __forceinline__ void fetch(const T* p, Vector<V, T>& v) {
  #pragma unroll
  for (int i = 0; i < (int)((sizeof(T) * V + 15) / 16); ++i) v.word[i] = ((decltype(&v.word[0]))p)[i];
}
template <int V, typename T, typename R> __device__ __forceinline__ void spread(const Vector<V, T>& v, R* x) {
  #pragma unroll
  for (int u = 0; u < V; ++u) x[u] = get(v.item[u]);
}
template <int V, typename T, typename R> __device__ __forceinline__ void load(const T* p, R* x) {
  Vector<V, T> v;
  fetch(p, v);
  spread(v, x);
}
template <int V, typename T, typename R> __device__ __forceinline__ void store(T* p, const R* x) {
  Vector<V, T> v;
  #pragma unroll
  for (int u = 0; u < V; ++u) put(v.item[u], x[u]);
  #pragma unroll
  for (int i = 0; i < (int)((sizeof(T) * V + 15) / 16); ++i) ((decltype(&v.word[0]))p)[i] = v.word[i];
}
// the same for the end of an array, of which `left` elements are there
template <int V, typename T, typename R, typename I>
__device__ __forceinline__ void load_some(const T* p, R* x, I left) {
  if (left >= V) { load<V>(p, x); return; }
  #pragma unroll
  for (int u = 0; u < V; ++u) x[u] = u < left ? get(p[u]) : (R)0;
}
template <int V, typename T, typename R, typename I>
__device__ __forceinline__ void store_some(T* p, const R* x, I left) {
  if (left >= V) { store<V>(p, x); return; }
  #pragma unroll
  for (int u = 0; u < V; ++u) if (u < left) put(p[u], x[u]);
}

// -- sums, maxima and minima over the lanes of a team: 1 to 32 lanes of a warp, or all threads of a block. NaN wins.
struct Sum {
  template <typename T> static __device__ __forceinline__ T of(T a, T b) { return a + b; } };
struct Max {
#if __CUDA_ARCH__ >= 800
  static __device__ __forceinline__ float of(float a, float b) {  // one instruction, not four that wait for each other
    float y; asm("max.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b)); return y; }
#endif
  template <typename T> static __device__ __forceinline__ T of(T a, T b) { return a >= b || a != a ? a : b; } };
struct Min {
#if __CUDA_ARCH__ >= 800
  static __device__ __forceinline__ float of(float a, float b) {
    float y; asm("min.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b)); return y; }
#endif
  template <typename T> static __device__ __forceinline__ T of(T a, T b) { return a <= b || a != a ? a : b; } };
template <typename How, int LANES, typename T> __device__ __forceinline__ T warp_reduce(T x) {
  #pragma unroll
  for (int o = LANES / 2; o > 0; o >>= 1) x = How::of(x, __shfl_xor_sync(0xffffffffu, x, o));
  return x;
}
template <typename How, int TEAM, typename T> __device__ __forceinline__ T reduce(T x, T nothing) {
  if (TEAM <= 32) return warp_reduce<How, (TEAM < 32 ? TEAM : 32)>(x);
  __shared__ T parts[32];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  x = warp_reduce<How, 32>(x);
  if (lane == 0) parts[warp] = x;
  __syncthreads();
  x = lane < TEAM / 32 ? parts[lane] : nothing;
  __syncthreads();
  return warp_reduce<How, 32>(x);
}

// -- the block that is the last to come by adds up what all have left; the counter is 0 again afterwards
__device__ __forceinline__ bool is_last_block(unsigned int* counter) {
  __shared__ unsigned int before;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) before = atomicInc(counter, gridDim.x - 1);
  __syncthreads();
  __threadfence();
  return before == gridDim.x - 1;
}

// -- scalar functions that CUDA does not have, or has otherwise
__device__ __forceinline__ float ge_sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
__device__ __forceinline__ double ge_sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }
template <typename T> __device__ __forceinline__ T ge_max(T a, T b) { return a >= b || a != a ? a : b; }
template <typename T> __device__ __forceinline__ T ge_min(T a, T b) { return a <= b || a != a ? a : b; }
template <typename T> __device__ __forceinline__ T ge_sign(T x) { return x > 0 ? (T)1 : x < 0 ? (T)-1 : x + (T)0; }
__device__ __forceinline__ float ge_remainder(float a, float b) {
  float m = fmodf(a, b);
  if (m == 0.0f) return copysignf(0.0f, b);
  return (m < 0.0f) != (b < 0.0f) ? m + b : m;
}
__device__ __forceinline__ double ge_remainder(double a, double b) {
  double m = fmod(a, b);
  if (m == 0.0) return copysign(0.0, b);
  return (m < 0.0) != (b < 0.0) ? m + b : m;
}

// -- Philox4x64-10 of the counter (offset + block, carry, 0, 0) under the key (seed, 0)
struct Words { u64 item[4]; };
__device__ __forceinline__ Words philox(u64 seed, u64 offset, u64 block) {
  u64 c0 = offset + block, c1 = c0 < offset ? 1 : 0, c2 = 0, c3 = 0, k0 = seed, k1 = 0;
  const u64 m0 = 0xD2E7470EE14C6C93ULL, m1 = 0xCA5A826395121157ULL;
  #pragma unroll
  for (int i = 0; i < 10; ++i) {
    const u64 h0 = __umul64hi(m0, c0), l0 = m0 * c0, h1 = __umul64hi(m1, c2), l1 = m1 * c2;
    c0 = h1 ^ c1 ^ k0; c1 = l1; c2 = h0 ^ c3 ^ k1; c3 = l0;
    k0 += 0x9E3779B97F4A7C15ULL; k1 += 0xBB67AE8584CAA73BULL;
  }
  Words w; w.item[0] = c0; w.item[1] = c1; w.item[2] = c2; w.item[3] = c3; return w;
}
"""
    + END
)
