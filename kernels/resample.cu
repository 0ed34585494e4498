// Resizing: along each axis a sparse matrix of taps, y = R x C^T; the host makes the taps (backends/resampling.py).
//
// y[p, r, c] = sum over the taps of column c of weight * (sum over the taps of row r of weight * x[p, ., .])
// resize_1    1. literal: one thread for each output; neighbouring threads read neighbouring columns
// resize      2. one thread for an output's place in PLANES planes, for which it reads taps and weights once
//   bytes     x about once (2 x 2 taps for bilinear, 4 x 4 for bicubic come from cache), y written once
//   No variant has two passes, one for each axis: R and C have a few taps in a row, and the map between them would go
//   through memory.
// The adjoint is the same kernel with the transposed taps: every input pixel gathers from the outputs that read it. So
// both are deterministic.
#include "common.cuh"
#include "split.cuh"

constexpr int PLANES = 4;

KERNEL resize_1(const real* x, real* y, const int* rfirst, const int* rindex, const acc* rweight, const int* cfirst,
                const int* cindex, const acc* cweight, int h, int w, int oh, int ow, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Split across = split(i, ow), along = split(across.quotient, oh);
  const int c = across.rest, r = along.rest;
  const real* plane = x + along.quotient * h * w;
  const int top = rfirst[r], bottom = rfirst[r + 1];
  acc sum = 0;
  for (int t = cfirst[c]; t < cfirst[c + 1]; t++) {
    const real* column = plane + cindex[t];
    acc down = 0;
    for (int s = top; s < bottom; s++) down += rweight[s] * acc(column[(i64)rindex[s] * w]);
    sum += cweight[t] * down;
  }
  y[i] = real(sum);
}

KERNEL resize(const real* x, real* y, const int* rfirst, const int* rindex, const acc* rweight, const int* cfirst,
              const int* cindex, const acc* cweight, int h, int w, int oh, int ow, int planes, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Split across = split(i, ow), along = split(across.quotient, oh);
  const int c = across.rest, r = along.rest, top = rfirst[r], bottom = rfirst[r + 1];
  const i64 first = along.quotient * PLANES, size = (i64)h * w;
  const int here = planes - first < PLANES ? (int)(planes - first) : PLANES;
  acc sum[PLANES] = {};
  for (int t = cfirst[c]; t < cfirst[c + 1]; t++) {
    const real* column = x + first * size + cindex[t];
    acc down[PLANES] = {};
    for (int s = top; s < bottom; s++) {
      const i64 row = (i64)rindex[s] * w;
      const acc weight = rweight[s];
#pragma unroll
      for (int q = 0; q < PLANES; q++)
        if (q < here) down[q] += weight * acc(column[row + q * size]);
    }
#pragma unroll
    for (int q = 0; q < PLANES; q++) sum[q] += cweight[t] * down[q];
  }
  real* out = y + (first * oh + r) * ow + c;
#pragma unroll
  for (int q = 0; q < PLANES; q++)
    if (q < here) out[(i64)q * oh * ow] = real(sum[q]);
}
