// What the text of CuPy's kernels needs beside kernels/emulator.hpp: a header that is compiled once and put before each.
#pragma once
#define EMULATE_FOREIGN
#include "emulator.hpp"

#include <cassert>
#include <bit>
#include <utility>

#define __shared__ static  // blocks run one after another
#define __noinline__ __attribute__((noinline))
#define __CUDACC_VER_MAJOR__ 12  // so that halves are those of cuda_fp16.h

inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
inline long long clock64() { static long long ticks = 0; return ticks += 1 << 20; }

template <typename T> inline T atomicCAS(T* at, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  std::atomic_ref<T>(*at).compare_exchange_strong(expected, value);
  return expected;
}

#include <cupy/complex.cuh>
#include <cupy/carray.cuh>
#include <cupy/atomics.cuh>
#include <cupy/math_constants.h>

static void** arguments;  // of the launch under way: addresses of their values, as the driver is given them
inline int launch(void (*call)(), const unsigned* s, void** given) {
  arguments = given;
  return emulator::run({s[0], s[1], s[2]}, {s[3], s[4], s[5]}, call);
}
extern "C" const char* emulator_message() { return emulator::message; }
