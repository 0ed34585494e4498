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

// That of a whole row, in each of the `width` lanes (a power of two) that read it `pitch` elements apart.
__device__ __forceinline__ Softmax softmax_of(const real* z, bool inside, int classes, int pitch, int lane, int width) {
  Softmax s = {-acc(INFINITY_), 0};
  if (inside)
    for (int c = lane; c < classes; c += width) s = take(s, acc(z[(i64)c * pitch]));
  for (int by = width / 2; by > 0; by /= 2) {
    const acc top = __shfl_xor_sync(0xffffffff, s.top, by);
    s = join(s, {top, __shfl_xor_sync(0xffffffff, s.sum, by)});
  }
  s.sum += double(s.top - s.top);  // infinite or NaN: the row is NaN
  return s;
}
