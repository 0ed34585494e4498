// Columns of windows (im2col), and the adjoint map back (col2im).
//
// unfold      columns[n, i, a, b, r, c] = x[n, i, r s - p + a d, c s - p + b d], 0 outside the input
//   mapping   one thread for each element of columns: writes are coalesced; at stride 1 reads are too, and each x is read
//             by about kernel_h x kernel_w threads, from cache
//   bytes     x once, columns written once
// fold        x[n, i, v, u] = sum of the columns' elements that were read from there: a gather over the window's taps, in
//             their order, so deterministic; one thread for each element of x, neighbours read neighbours at stride 1
//   bytes     columns once, x written once
//   variants  one of each, because both only move: columns are kernel_h kernel_w times the size of x, and their bytes the cost
#include "common.cuh"
#include "split.cuh"

KERNEL unfold(const real* x, real* columns, int h, int w, int kh, int kw, int oh, int ow, int sh, int sw, int ph, int pw,
              int dh, int dw, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Split c = split(i, ow), r = split(c.quotient, oh), b = split(r.quotient, kw), a = split(b.quotient, kh);
  const int v = r.rest * sh - ph + a.rest * dh, u = c.rest * sw - pw + b.rest * dw;
  const bool inside = 0 <= v && v < h && 0 <= u && u < w;
  columns[i] = inside ? x[(a.quotient * h + v) * w + u] : real(0);
}

KERNEL fold(const real* columns, real* x, int h, int w, int kh, int kw, int oh, int ow, int sh, int sw, int ph, int pw,
            int dh, int dw, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Split column = split(i, w), row = split(column.quotient, h);
  const int u = column.rest, v = row.rest;
  acc sum = 0;
  for (int a = 0; a < kh; a++) {
    const int rows = v + ph - a * dh;  // output row x stride
    if (rows < 0 || rows % sh || rows / sh >= oh) continue;
    for (int b = 0; b < kw; b++) {
      const int steps = u + pw - b * dw;
      if (steps < 0 || steps % sw || steps / sw >= ow) continue;
      sum += acc(columns[(((row.quotient * kh + a) * kw + b) * oh + rows / sh) * ow + steps / sw]);
    }
  }
  x[i] = real(sum);
}
