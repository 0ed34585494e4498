// Resizing: along each axis a sparse matrix of taps, y = R x C^T; the host makes the taps (backends/resampling.py).
//
// resize      y[p, r, c] = sum over the taps of column c of weight * (sum over the taps of row r of weight * x[p, ., .])
//   mapping   one thread for each output; neighbouring threads read neighbouring columns
//   bytes     x about once (2 x 2 taps for bilinear, 4 x 4 for bicubic come from cache), y written once
//   variants  one, because R and C have a few taps in a row; two passes, one for each axis, would move the map between them
//             through memory
// The adjoint is the same kernel with the transposed taps: every input pixel gathers from the outputs that read it. So
// both are deterministic.
#include "common.cuh"
#include "split.cuh"

KERNEL resize(const real* x, real* y, const int* rfirst, const int* rindex, const acc* rweight, const int* cfirst,
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
