// In place of NVIDIA's header: what CuPy's bfloat16 takes from it.
#pragma once
#include <bit>
#include <cmath>
#include <type_traits>

struct __nv_bfloat16 {  // the upper half of a float
  __nv_bfloat16() = default;
  __nv_bfloat16(float value) {
    const unsigned whole = std::bit_cast<unsigned>(value);  // rounded to the nearest, half to even; a NaN stays one
    bits = value != value ? (whole >> 16) | 64 : (whole + 0x7fff + (whole >> 16 & 1)) >> 16;
  }
  operator float() const { return std::bit_cast<float>((unsigned)bits << 16); }

  unsigned short bits;
};

inline bool __hisnan(__nv_bfloat16 x) { return std::isnan((float)x); }
inline bool __hisinf(__nv_bfloat16 x) { return std::isinf((float)x); }
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x) { return x.bits; }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short x) { return std::bit_cast<__nv_bfloat16>(x); }
