// In place of NVIDIA's header: what CuPy's float16 and the test of detection.py take from it.
#pragma once
#include <bit>

struct __half_raw { unsigned short x; };

struct half {
  half() = default;
  template <typename T> half(T value) requires(std::is_arithmetic_v<T>) : value_((_Float16)value) {}
  half(__half_raw raw) : value_(std::bit_cast<_Float16>(raw.x)) {}
  operator float() const { return (float)value_; }
  operator __half_raw() const { return {std::bit_cast<unsigned short>(value_)}; }

 private:
  _Float16 value_;
};
typedef half __half;

inline half __float2half(float x) { return half(x); }
inline unsigned short __half_as_ushort(half x) { return __half_raw(x).x; }
inline half __ushort_as_half(unsigned short x) { return half(__half_raw{x}); }
