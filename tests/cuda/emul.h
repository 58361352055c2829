// What a CUDA C source sees when g++ compiles it: CUDA's keywords, built-in variables, vector types and intrinsics.
// Everything else is in runtime.cpp, compiled once; this header is parsed for every kernel, so it includes nothing.
#pragma once
#define CUDA_EMUL 1

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
#define __restrict__ __restrict
#define __grid_constant__
// Blocks run one at a time, so a static is per block; its section lets the runtime poison it and watch it for races.
#define __shared__ static __attribute__((section("emu_shared")))

typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;
typedef unsigned long long emu_word;

// ---- vector types ----------------------------------------------------------------------------------------------
#define EMU_VECTOR(T, name, align2, align4)                                                                     \
  struct name##1 { T x; };                                                                                      \
  struct alignas(align2) name##2 { T x, y; };                                                                   \
  struct name##3 { T x, y, z; };                                                                                \
  struct alignas(align4) name##4 { T x, y, z, w; };                                                             \
  static inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                             \
  static inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }                                     \
  static inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
EMU_VECTOR(signed char, char, 2, 4)
EMU_VECTOR(unsigned char, uchar, 2, 4)
EMU_VECTOR(short, short, 4, 8)
EMU_VECTOR(unsigned short, ushort, 4, 8)
EMU_VECTOR(int, int, 8, 16)
EMU_VECTOR(unsigned, uint, 8, 16)
EMU_VECTOR(long long, longlong, 16, 16)
EMU_VECTOR(unsigned long long, ulonglong, 16, 16)
EMU_VECTOR(float, float, 8, 16)
EMU_VECTOR(double, double, 16, 16)
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};

// ---- where a thread is -----------------------------------------------------------------------------------------
struct EmuPlace { uint3 thread, block; dim3 threads, blocks; };
static EmuPlace emu_place;
#define threadIdx emu_place.thread
#define blockIdx emu_place.block
#define blockDim emu_place.threads
#define gridDim emu_place.blocks
#define warpSize 32

// ---- the runtime -----------------------------------------------------------------------------------------------
struct EmuVote { int any, all, count; };
extern "C" {
EmuVote emu_barrier(int predicate, int line);
const emu_word* emu_meet(unsigned mask, emu_word value, int operation, int line);  // the values of a warp's lanes
unsigned emu_present(unsigned mask);                                               // its lanes that exist
int emu_lane();
char* emu_dynamic();
void emu_atomic(const void* address, int size);
unsigned short emu_f32_to_f16(float);
float emu_f16_to_f32(unsigned short);
float emu_erfinvf(float); double emu_erfinv(double); float emu_erfcinvf(float); double emu_erfcinv(double);
int printf(const char*, ...);
}

// A site is known by its line: threads of one block that wait at different lines are caught, whatever the compiler did.
#define EMU_LINE int line = __builtin_LINE()
static inline void __syncthreads(EMU_LINE) { emu_barrier(0, line); }
static inline int __syncthreads_or(int p, EMU_LINE) { return emu_barrier(p, line).any; }
static inline int __syncthreads_and(int p, EMU_LINE) { return emu_barrier(p, line).all; }
static inline int __syncthreads_count(int p, EMU_LINE) { return emu_barrier(p, line).count; }
static inline void __threadfence() {}
static inline void __threadfence_block() {}
static inline void __threadfence_system() {}
static inline void __nanosleep(unsigned) {}
static inline unsigned __activemask() { return emu_present(~0u); }
[[noreturn]] static inline void __trap() { __builtin_trap(); }

enum { EMU_SYNC, EMU_SHUFFLE, EMU_UP, EMU_DOWN, EMU_XOR, EMU_BALLOT, EMU_ANY, EMU_ALL, EMU_REDUCE, EMU_MATCH };
static inline void __syncwarp(unsigned mask = ~0u, EMU_LINE) { emu_meet(mask, 0, EMU_SYNC, line); }

// A lane that names no partner keeps its value; one whose partner takes no part gets what the hardware leaves undefined.
template <class T> static inline T emu_shuffle(unsigned mask, T value, int source, int operation, int line) {
  static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
  emu_word word = 0;
  __builtin_memcpy(&word, &value, sizeof(T));
  const emu_word* all = emu_meet(mask, word, operation, line);
  word = emu_present(mask) >> source & 1 ? all[source] : ~0ull;
  __builtin_memcpy(&value, &word, sizeof(T));
  return value;
}
template <class T> static inline T __shfl_sync(unsigned mask, T v, int source, int width = 32, EMU_LINE) {
  return emu_shuffle(mask, v, (emu_lane() & ~(width - 1)) | (source & (width - 1)), EMU_SHUFFLE, line);
}
template <class T> static inline T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = 32, EMU_LINE) {
  const int lane = emu_lane(), source = lane - (int)delta;
  return emu_shuffle(mask, v, source < (lane & ~(width - 1)) ? lane : source, EMU_UP, line);
}
template <class T> static inline T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = 32, EMU_LINE) {
  const int lane = emu_lane(), source = lane + (int)delta;
  return emu_shuffle(mask, v, source > (lane | (width - 1)) ? lane : source, EMU_DOWN, line);
}
template <class T> static inline T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32, EMU_LINE) {
  const int lane = emu_lane(), source = lane ^ bits;
  return emu_shuffle(mask, v, source > (lane | (width - 1)) ? lane : source, EMU_XOR, line);
}
static inline unsigned emu_ballot(unsigned mask, int p, int operation, int line) {
  const emu_word* all = emu_meet(mask, p != 0, operation, line);
  unsigned bits = 0;
  for (unsigned lanes = emu_present(mask); lanes; lanes &= lanes - 1)
    bits |= (unsigned)all[__builtin_ctz(lanes)] << __builtin_ctz(lanes);
  return bits;
}
static inline unsigned __ballot_sync(unsigned mask, int p, EMU_LINE) { return emu_ballot(mask, p, EMU_BALLOT, line); }
static inline int __any_sync(unsigned mask, int p, EMU_LINE) { return emu_ballot(mask, p, EMU_ANY, line) != 0; }
static inline int __all_sync(unsigned mask, int p, EMU_LINE) { return emu_ballot(mask, !p, EMU_ALL, line) == 0; }
template <class T, class F> static inline T emu_reduce(unsigned mask, T value, F fold, int line) {
  static_assert(sizeof(T) == 4, "__reduce_*_sync takes 32-bit integers");
  const emu_word* all = emu_meet(mask, (emu_word)(unsigned)value, EMU_REDUCE, line);
  unsigned lanes = emu_present(mask);
  T out = (T)(unsigned)all[__builtin_ctz(lanes)];
  for (lanes &= lanes - 1; lanes; lanes &= lanes - 1) out = fold(out, (T)(unsigned)all[__builtin_ctz(lanes)]);
  return out;
}
#define EMU_REDUCTION(name, expression)                                                                         \
  template <class T> static inline T name(unsigned mask, T value, EMU_LINE) {                                   \
    return emu_reduce(mask, value, [](T a, T b) -> T { return expression; }, line);                             \
  }
EMU_REDUCTION(__reduce_add_sync, a + b)
EMU_REDUCTION(__reduce_max_sync, a > b ? a : b)
EMU_REDUCTION(__reduce_min_sync, a < b ? a : b)
EMU_REDUCTION(__reduce_and_sync, a & b)
EMU_REDUCTION(__reduce_or_sync, a | b)
EMU_REDUCTION(__reduce_xor_sync, a ^ b)
template <class T> static inline unsigned __match_any_sync(unsigned mask, T value, EMU_LINE) {
  emu_word word = 0;
  __builtin_memcpy(&word, &value, sizeof(T));
  const emu_word* all = emu_meet(mask, word, EMU_MATCH, line);
  unsigned bits = 0;
  for (unsigned lanes = emu_present(mask); lanes; lanes &= lanes - 1)
    if (all[__builtin_ctz(lanes)] == word) bits |= 1u << __builtin_ctz(lanes);
  return bits;
}

// ---- atomics: one thread of the machine runs them all, so each is a plain read and write -------------------------
template <class T> struct emu_same { typedef T type; };  // the second operand converts to the first one's type
#define EMU_ATOMIC(name, expression)                                                                            \
  template <class T>                                                                                            \
  __attribute__((no_sanitize("thread"))) static inline T name(T* p, typename emu_same<T>::type v) {             \
    emu_atomic(p, sizeof(T));                                                                                   \
    const T old = *p;                                                                                           \
    *p = (expression);                                                                                          \
    return old;                                                                                                 \
  }                                                                                                             \
  template <class T> static inline T name##_block(T* p, typename emu_same<T>::type v) { return name(p, v); }
EMU_ATOMIC(atomicAdd, old + v)
EMU_ATOMIC(atomicSub, old - v)
EMU_ATOMIC(atomicMax, old < v ? v : old)
EMU_ATOMIC(atomicMin, v < old ? v : old)
EMU_ATOMIC(atomicExch, v)
EMU_ATOMIC(atomicAnd, old & v)
EMU_ATOMIC(atomicOr, old | v)
EMU_ATOMIC(atomicXor, old ^ v)
EMU_ATOMIC(atomicInc, old >= v ? 0 : old + 1)
EMU_ATOMIC(atomicDec, old == 0 || old > v ? v : old - 1)
template <class T> __attribute__((no_sanitize("thread")))
static inline T atomicCAS(T* p, typename emu_same<T>::type compare, typename emu_same<T>::type v) {
  static_assert(sizeof(T) >= 2, "atomicCAS takes 16, 32 or 64 bits");
  emu_atomic(p, sizeof(T));
  const T old = *p;
  if (old == compare) *p = v;
  return old;
}

// ---- memory and bits -------------------------------------------------------------------------------------------
#define EMU_LOAD(name) template <class T> static inline T name(const T* p) { return *p; }
EMU_LOAD(__ldg) EMU_LOAD(__ldcg) EMU_LOAD(__ldca) EMU_LOAD(__ldcs) EMU_LOAD(__ldlu) EMU_LOAD(__ldcv)
#define EMU_STORE(name) template <class T> static inline void name(T* p, typename emu_same<T>::type v) { *p = v; }
EMU_STORE(__stcg) EMU_STORE(__stcs) EMU_STORE(__stwb) EMU_STORE(__stwt)
#define EMU_BITS(name, To, From)                                                                                \
  static inline To name(From v) { To out; __builtin_memcpy(&out, &v, sizeof out); return out; }
EMU_BITS(__int_as_float, float, int)
EMU_BITS(__uint_as_float, float, unsigned)
EMU_BITS(__float_as_int, int, float)
EMU_BITS(__float_as_uint, unsigned, float)
EMU_BITS(__longlong_as_double, double, long long)
EMU_BITS(__double_as_longlong, long long, double)
static inline double __hiloint2double(int hi, int lo) {
  return __longlong_as_double((long long)((emu_word)(unsigned)hi << 32 | (unsigned)lo));
}
static inline int __double2hiint(double v) { return (int)(__double_as_longlong(v) >> 32); }
static inline int __double2loint(double v) { return (int)__double_as_longlong(v); }
static inline int __popc(unsigned v) { return __builtin_popcount(v); }
static inline int __popcll(emu_word v) { return __builtin_popcountll(v); }
static inline int __clz(int v) { return v ? __builtin_clz((unsigned)v) : 32; }
static inline int __clzll(long long v) { return v ? __builtin_clzll((emu_word)v) : 64; }
static inline int __ffs(int v) { return __builtin_ffs(v); }
static inline int __ffsll(long long v) { return __builtin_ffsll(v); }
static inline unsigned __brev(unsigned v) {
  unsigned out = 0;
  for (int i = 0; i < 32; ++i) out |= (v >> i & 1u) << (31 - i);
  return out;
}
static inline unsigned __funnelshift_l(unsigned lo, unsigned hi, unsigned n) {
  return (unsigned)(((emu_word)hi << 32 | lo) << (n & 31) >> 32);
}
static inline unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned n) {
  return (unsigned)(((emu_word)hi << 32 | lo) >> (n & 31));
}
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((emu_word)a * b >> 32); }
static inline int __mulhi(int a, int b) { return (int)((long long)a * b >> 32); }
static inline emu_word __umul64hi(emu_word a, emu_word b) { return (emu_word)((unsigned __int128)a * b >> 64); }
static inline long long __mul64hi(long long a, long long b) { return (long long)((__int128)a * b >> 64); }

// ---- 16-bit floats, which our own sources leave to the emulator ---------------------------------------------------
static inline unsigned short ge_f32_to_bf16(float f) {
  const unsigned u = __float_as_uint(f);
  return f != f ? (unsigned short)(u >> 16 | 0x40) : (unsigned short)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
static inline float ge_bf16_to_f32(unsigned short h) { return __uint_as_float((unsigned)h << 16); }
#ifdef __F16C__
typedef float emu_v4sf __attribute__((vector_size(16)));
typedef short emu_v8hi __attribute__((vector_size(16)));
static inline unsigned short ge_f32_to_f16(float f) {
  const emu_v4sf v = {f, 0, 0, 0};
  return (unsigned short)((emu_v8hi)__builtin_ia32_vcvtps2ph(v, 0))[0];
}
static inline float ge_f16_to_f32(unsigned short h) {
  const emu_v8hi v = {(short)h, 0, 0, 0, 0, 0, 0, 0};
  return ((emu_v4sf)__builtin_ia32_vcvtph2ps(v))[0];
}
#else
static inline unsigned short ge_f32_to_f16(float f) { return emu_f32_to_f16(f); }
static inline float ge_f16_to_f32(unsigned short h) { return emu_f16_to_f32(h); }
#endif

#include "emul_math.h"

// ---- a kernel as the runtime sees it -----------------------------------------------------------------------------
// An argument is described by 16 * its size + what it is; a pointer by what it points to, with bit 15 set.
enum { EMU_INTEGER = 1, EMU_FLOAT = 2, EMU_OTHER = 3, EMU_POINTER = 1 << 15 };
template <class T> struct EmuKind {
  static constexpr int kind = EMU_OTHER;
  static constexpr int code = 16 * sizeof(T) + EMU_OTHER;
};
#define EMU_KIND(T, k) template <> struct EmuKind<T> { static constexpr int code = 16 * sizeof(T) + k; };
EMU_KIND(bool, EMU_INTEGER) EMU_KIND(char, EMU_INTEGER) EMU_KIND(signed char, EMU_INTEGER)
EMU_KIND(unsigned char, EMU_INTEGER) EMU_KIND(short, EMU_INTEGER) EMU_KIND(unsigned short, EMU_INTEGER)
EMU_KIND(int, EMU_INTEGER) EMU_KIND(unsigned, EMU_INTEGER) EMU_KIND(long, EMU_INTEGER)
EMU_KIND(unsigned long, EMU_INTEGER) EMU_KIND(long long, EMU_INTEGER) EMU_KIND(unsigned long long, EMU_INTEGER)
EMU_KIND(float, EMU_FLOAT) EMU_KIND(double, EMU_FLOAT)
template <> struct EmuKind<void> { static constexpr int code = EMU_OTHER; };
template <class T> struct EmuKind<const T> : EmuKind<T> {};
template <class T> struct EmuKind<T*> { static constexpr int code = EMU_POINTER | EmuKind<T>::code; };
template <class T> struct EmuKind<T* __restrict> : EmuKind<T*> {};
template <class T> struct EmuKind<T* const> : EmuKind<T*> {};

struct alignas(16) EmuLaunch { unsigned blocks[3], threads[3]; int seed; unsigned dynamic; char arguments[]; };
struct EmuKernel {
  int arity;
  const int* kinds;
  EmuPlace* place;
  char *shared, *shared_end;
  void (*all)(const EmuLaunch*);         // every thread of every block, for a kernel whose threads never wait
  void (*thread)(const char* arguments);  // one thread, for one whose threads do
};
extern "C" char __start_emu_shared[] __attribute__((weak, visibility("hidden")));
extern "C" char __stop_emu_shared[] __attribute__((weak, visibility("hidden")));

template <int... I> struct EmuList {};
template <int N, int... I> struct EmuCount : EmuCount<N - 1, N - 1, I...> {};
template <int... I> struct EmuCount<0, I...> { typedef EmuList<I...> type; };
constexpr int emu_padded(int size) { return (size + 7) / 8 * 8; }
template <class... A> struct EmuArguments {
  static constexpr int kinds[sizeof...(A) + 1] = {EmuKind<A>::code..., 0};
  static constexpr int offset(int index) {
    const int sizes[sizeof...(A) + 1] = {emu_padded(sizeof(A))..., 0};
    int sum = 0;
    for (int i = 0; i < index; ++i) sum += sizes[i];
    return sum;
  }
};
template <auto kernel, class... A, int... I>
__attribute__((no_sanitize("thread"))) static inline void emu_call(void (*)(A...), const char* at, EmuList<I...>) {
  kernel(*(const A*)(at + EmuArguments<A...>::offset(I))...);
}
template <auto kernel, class... A> static inline void emu_call(void (*f)(A...), const char* at) {
  emu_call<kernel>(f, at, typename EmuCount<(int)sizeof...(A)>::type());
}
template <auto kernel> static void emu_thread(const char* arguments) { emu_call<kernel>(kernel, arguments); }
// Odd seeds walk backwards: no kernel may rely on the order of its threads.
template <auto kernel> static void emu_all(const EmuLaunch* launch) {
  const unsigned *g = launch->blocks, *b = launch->threads, back = launch->seed & 1;
  const unsigned blocks = g[0] * g[1] * g[2], threads = b[0] * b[1] * b[2];
  for (unsigned i = 0; i < blocks; ++i) {
    const unsigned block = back ? blocks - 1 - i : i;
    emu_place.block = {block % g[0], block / g[0] % g[1], block / g[0] / g[1]};
    uint3 at = {0, 0, 0};
    if (back) at = {b[0] - 1, b[1] - 1, b[2] - 1};
    for (unsigned j = 0; j < threads; ++j) {
      emu_place.thread = at;
      emu_call<kernel>(kernel, launch->arguments);
      if (back) {
        if (at.x-- == 0) { at.x = b[0] - 1; if (at.y-- == 0) { at.y = b[1] - 1; --at.z; } }
      } else {
        if (++at.x == b[0]) { at.x = 0; if (++at.y == b[1]) { at.y = 0; ++at.z; } }
      }
    }
  }
}
template <class... A> static constexpr int emu_arity(void (*)(A...)) { return sizeof...(A); }
template <class... A> static constexpr const int* emu_kinds(void (*)(A...)) { return EmuArguments<A...>::kinds; }
#define EMU_EXPORT(name, runs, waits)                                                                           \
  extern "C" __attribute__((visibility("default"))) EmuKernel emu_kernel_##name;                               \
  EmuKernel emu_kernel_##name = {emu_arity(&name), emu_kinds(&name), &emu_place, __start_emu_shared,            \
                                 __stop_emu_shared, runs<&name>, waits<&name>};
template <auto kernel> static constexpr decltype(nullptr) emu_none = nullptr;
