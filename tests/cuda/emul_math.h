// CUDA's mathematical functions, for g++: libm's, under the names and overloads that NVRTC knows without a header.
#pragma once
#define EMU_1(name)                                                                                             \
  extern "C" double name(double);                                                                               \
  extern "C" float name##f(float);                                                                              \
  static inline float name(float x) { return name##f(x); }
#define EMU_2(name)                                                                                             \
  extern "C" double name(double, double);                                                                       \
  extern "C" float name##f(float, float);                                                                       \
  static inline float name(float x, float y) { return name##f(x, y); }
EMU_1(exp) EMU_1(exp2) EMU_1(expm1) EMU_1(log) EMU_1(log2) EMU_1(log10) EMU_1(log1p) EMU_1(sqrt) EMU_1(cbrt)
EMU_1(sin) EMU_1(cos) EMU_1(tan) EMU_1(asin) EMU_1(acos) EMU_1(atan) EMU_1(sinh) EMU_1(cosh) EMU_1(tanh)
EMU_1(asinh) EMU_1(acosh) EMU_1(atanh) EMU_1(erf) EMU_1(erfc) EMU_1(lgamma) EMU_1(tgamma) EMU_1(floor) EMU_1(ceil)
EMU_1(trunc) EMU_1(round) EMU_1(rint) EMU_1(nearbyint) EMU_1(fabs) EMU_1(logb)
EMU_2(pow) EMU_2(fmod) EMU_2(remainder) EMU_2(atan2) EMU_2(hypot) EMU_2(copysign) EMU_2(fmax) EMU_2(fmin) EMU_2(fdim)
EMU_2(nextafter)
extern "C" double fma(double, double, double); extern "C" float fmaf(float, float, float);
static inline float fma(float x, float y, float z) { return fmaf(x, y, z); }
extern "C" double ldexp(double, int); extern "C" float ldexpf(float, int);
extern "C" double scalbn(double, int); extern "C" float scalbnf(float, int);
extern "C" double frexp(double, int*); extern "C" float frexpf(float, int*);
extern "C" double modf(double, double*); extern "C" float modff(float, float*);
extern "C" int ilogb(double); extern "C" int ilogbf(float);
extern "C" long lrint(double); extern "C" long lrintf(float);
extern "C" long long llrint(double); extern "C" long long llrintf(float);
extern "C" long lround(double); extern "C" long lroundf(float);
extern "C" long long llround(double); extern "C" long long llroundf(float);
extern "C" double exp10(double); extern "C" float exp10f(float);
extern "C" double j0(double); extern "C" double j1(double);
extern "C" void sincos(double, double*, double*); extern "C" void sincosf(float, float*, float*);
extern "C" int abs(int);
extern "C" long long llabs(long long);
static inline float abs(float x) { return __builtin_fabsf(x); }
static inline double abs(double x) { return __builtin_fabs(x); }
static inline long abs(long x) { return x < 0 ? -x : x; }
static inline long long abs(long long x) { return x < 0 ? -x : x; }
#define EMU_BY_BITS(T)                                                                                          \
  static inline bool isnan(T x) { return __builtin_isnan(x); }                                                  \
  static inline bool isinf(T x) { return __builtin_isinf(x); }                                                  \
  static inline bool isfinite(T x) { return __builtin_isfinite(x); }                                            \
  static inline bool signbit(T x) { return __builtin_signbit(x); }
EMU_BY_BITS(float) EMU_BY_BITS(double)
#define EMU_ORDER(T)                                                                                            \
  static inline T max(T a, T b) { return a < b ? b : a; }                                                       \
  static inline T min(T a, T b) { return b < a ? b : a; }
EMU_ORDER(int) EMU_ORDER(unsigned) EMU_ORDER(long) EMU_ORDER(unsigned long)
EMU_ORDER(long long) EMU_ORDER(unsigned long long)
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline float min(float a, float b) { return fminf(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }

static inline float rsqrtf(float x) { return (float)(1.0 / sqrt((double)x)); }
static inline double rsqrt(double x) { return 1.0 / sqrt(x); }
static inline float rsqrt(float x) { return rsqrtf(x); }
static inline float rcbrtf(float x) { return 1.0f / cbrtf(x); }
static inline double rcbrt(double x) { return 1.0 / cbrt(x); }
static inline float erfinvf(float x) { return emu_erfinvf(x); }
static inline double erfinv(double x) { return emu_erfinv(x); }
static inline float erfinv(float x) { return emu_erfinvf(x); }
static inline float erfcinvf(float x) { return emu_erfcinvf(x); }
static inline double erfcinv(double x) { return emu_erfcinv(x); }
static inline float normcdff(float x) { return 0.5f * erfcf(-x * 0.70710678118654752f); }
static inline double normcdf(double x) { return 0.5 * erfc(-x * 0.70710678118654752); }
static inline float normcdfinvf(float x) { return -1.4142135623730951f * erfcinvf(2 * x); }
static inline double normcdfinv(double x) { return -1.4142135623730951 * erfcinv(2 * x); }
static inline float sinpif(float x) { return (float)sin(3.14159265358979323846 * fmod((double)x, 2.0)); }
static inline float cospif(float x) { return (float)cos(3.14159265358979323846 * fmod((double)x, 2.0)); }
static inline double sinpi(double x) { return sin(3.14159265358979323846 * fmod(x, 2.0)); }
static inline double cospi(double x) { return cos(3.14159265358979323846 * fmod(x, 2.0)); }

// ---- intrinsics: the fast ones are only less exact on a device
static inline float __expf(float x) { return expf(x); }
static inline float __exp10f(float x) { return exp10f(x); }
static inline float __logf(float x) { return logf(x); }
static inline float __log2f(float x) { return log2f(x); }
static inline float __log10f(float x) { return log10f(x); }
static inline float __sinf(float x) { return sinf(x); }
static inline float __cosf(float x) { return cosf(x); }
static inline float __tanf(float x) { return tanf(x); }
static inline float __tanhf(float x) { return tanhf(x); }
static inline void __sincosf(float x, float* s, float* c) { sincosf(x, s, c); }
static inline float __powf(float x, float y) { return powf(x, y); }
static inline float __fdividef(float x, float y) { return x / y; }
static inline float fdividef(float x, float y) { return x / y; }
static inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1) : 0; }
static inline float __fadd_rn(float x, float y) { return x + y; }
static inline float __fsub_rn(float x, float y) { return x - y; }
static inline float __fmul_rn(float x, float y) { return x * y; }
static inline float __fdiv_rn(float x, float y) { return x / y; }
static inline float __frcp_rn(float x) { return 1.0f / x; }
static inline float __fsqrt_rn(float x) { return sqrtf(x); }
static inline float __frsqrt_rn(float x) { return rsqrtf(x); }
static inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
static inline double __dadd_rn(double x, double y) { return x + y; }
static inline double __dsub_rn(double x, double y) { return x - y; }
static inline double __dmul_rn(double x, double y) { return x * y; }
static inline double __ddiv_rn(double x, double y) { return x / y; }
static inline double __drcp_rn(double x) { return 1.0 / x; }
static inline double __dsqrt_rn(double x) { return sqrt(x); }
static inline double __fma_rn(double x, double y, double z) { return fma(x, y, z); }

// ---- conversions: a device saturates where C++ leaves the result open, and makes zero of NaN
template <class To, class From> static inline To emu_saturate(From x, double low, double high, To least, To most) {
  return x != x ? (To)0 : (double)x <= low ? least : (double)x >= high ? most : (To)x;
}
#define EMU_CONVERT(To, from, From, to, low, high, least, most)                                                 \
  static inline To __##from##2##to##_rz(From x) { return emu_saturate<To>(x, low, high, least, most); }         \
  static inline To __##from##2##to##_rn(From x) { return emu_saturate<To>(rint(x), low, high, least, most); }   \
  static inline To __##from##2##to##_rd(From x) { return emu_saturate<To>(floor(x), low, high, least, most); }  \
  static inline To __##from##2##to##_ru(From x) { return emu_saturate<To>(ceil(x), low, high, least, most); }
#define EMU_CONVERTS(from, From)                                                                                \
  EMU_CONVERT(int, from, From, int, -2147483648.0, 2147483647.0, -2147483647 - 1, 2147483647)                   \
  EMU_CONVERT(unsigned, from, From, uint, 0.0, 4294967295.0, 0u, 4294967295u)                                   \
  EMU_CONVERT(long long, from, From, ll, -9223372036854775808.0, 9223372036854775807.0,                         \
              -9223372036854775807ll - 1, 9223372036854775807ll)                                                \
  EMU_CONVERT(unsigned long long, from, From, ull, 0.0, 18446744073709551615.0, 0ull, ~0ull)
EMU_CONVERTS(float, float) EMU_CONVERTS(double, double)
static inline float __int2float_rn(int x) { return (float)x; }
static inline float __uint2float_rn(unsigned x) { return (float)x; }
static inline float __ll2float_rn(long long x) { return (float)x; }
static inline float __ull2float_rn(unsigned long long x) { return (float)x; }
static inline double __int2double_rn(int x) { return (double)x; }
static inline double __uint2double_rn(unsigned x) { return (double)x; }
static inline double __ll2double_rn(long long x) { return (double)x; }
static inline double __ull2double_rn(unsigned long long x) { return (double)x; }
static inline float __double2float_rn(double x) { return (float)x; }
