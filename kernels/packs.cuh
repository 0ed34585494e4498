// Sixteen bytes at a time: kernels that only stream memory load and store whole packs where their arrays are aligned.
#pragma once

constexpr int LANES = 16 / sizeof(real);

struct alignas(16) Pack { real v[LANES]; };

__device__ __forceinline__ bool aligned(const real* x) { return (unsigned long long)x % 16 == 0; }

// Elements first .. first + LANES - 1 of an array of `count`; what lies beyond its end is 0.
__device__ __forceinline__ Pack load_pack(const real* x, i64 first, i64 count) {
  if (first + LANES <= count && aligned(x)) return *(const Pack*)(x + first);
  Pack pack;
  for (int k = 0; k < LANES; k++) pack.v[k] = first + k < count ? x[first + k] : real(0);
  return pack;
}

__device__ __forceinline__ void store_pack(real* y, i64 first, i64 count, const Pack& pack) {
  if (first + LANES <= count && aligned(y)) {
    *(Pack*)(y + first) = pack;
    return;
  }
  for (int k = 0; k < LANES; k++)
    if (first + k < count) y[first + k] = pack.v[k];
}
