// Maximum and sum of exponentials of a row, found together in one reading ("online") and joined across lanes.
//
// Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018.
#pragma once

// Maximum so far, and the sum of exp(z - maximum).
struct Softmax { acc top; double sum; };

__device__ __forceinline__ Softmax take(Softmax s, acc v) {
  if (v > s.top || v != v) return {v, s.sum * double(exp(s.top - v)) + 1};
  if (v > -acc(INFINITY_)) s.sum += double(exp(v - s.top));
  return s;
}

__device__ __forceinline__ Softmax join(Softmax a, Softmax b) {
  if (!(a.top >= b.top)) { const Softmax c = a; a = b; b = c; }  // a is the larger one, or NaN
  if (b.top != b.top) return b;
  return {a.top, a.sum + (b.top == a.top ? b.sum : b.sum * double(exp(b.top - a.top)))};
}

// How many threads share a row: one; the lanes of a warp; or those of a block, which has so many warps at most.
constexpr int WARPS = 8;

// The sum over the `width` threads of a row, the same in each. `warps` is shared by the block.
__device__ __forceinline__ double row_sum(double value, int width, double* warps CALLER) {
  for (int by = min(width, 32) / 2; by > 0; by /= 2) value += __shfl_xor_sync(0xffffffff, value, by);
  if (width <= 32) return value;
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  double sum = 0;
  for (int w = 0; w < width / 32; w++) sum += warps[w];
  __syncthreads();  // so that warps may be used again
  return sum;
}

// Maximum and sum of a whole row, in each of its `width` threads, which read it `pitch` elements apart.
__device__ __forceinline__ Softmax softmax_of(const real* z, bool inside, int classes, int pitch, int lane, int width,
                                              Softmax* warps CALLER) {
  Softmax s = {-acc(INFINITY_), 0};
  if (inside)
    for (int c = lane; c < classes; c += width) s = take(s, acc(z[(i64)c * pitch]));
  for (int by = min(width, 32) / 2; by > 0; by /= 2) {
    const acc top = __shfl_xor_sync(0xffffffff, s.top, by);
    s = join(s, {top, __shfl_xor_sync(0xffffffff, s.sum, by)});
  }
  if (width > 32) {
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = s;
    __syncthreads();
    s = warps[0];
    for (int w = 1; w < width / 32; w++) s = join(s, warps[w]);
  }
  s.sum += double(s.top - s.top);  // infinite or NaN: the row is NaN
  return s;
}
