// Convolution as a product of matrices, by way of memory: windows are copied out as columns, BLAS multiplies.
//
//   forward       y = w @ columns                 (O, K) @ (K, L)    K = C KH KW terms, L positions of a chunk
//   input_grad    x' = col2im(w^T @ y')           (K, O) @ (O, L)
//   weight_grad   w' += y' @ columns^T            (O, L) @ (L, K)    read transposed, as they lie
//
// A chunk is `images` whole images, or `rows` rows of one; positions are counted l = (n, r, c) over the chunk. A row of
// copied positions is `pitch` elements: `length` positions, then zeros, so that each row begins where 16 bytes do and can
// be cut into equal parts. Where maps are large, each image has columns of its own, of which the product is its y, or of
// its y': then nothing else is copied.
//
// im2col            columns[k, l] = x under tap k of window l, 0 in the padding; or columns[n, k, l] of each image
// gather_outputs    flat[o, l] = gy[n, o, r, c]
// scatter_outputs   y[n, o, r, c] = flat[o, l] + bias[o], rectified or not
// col2im            gx[n, i, row, col] (+)= the sum of all columns' entries that were copied from there: the adjoint of
//                   im2col as a gather; images stand `apart` elements from each other in the columns
//   mapping         one thread for each element written, in the order of memory: coalesced writes
//   bytes           K L elements written and read again by BLAS, which is what this algorithm costs
// Deterministic: every element is summed by one thread; chunks come one after the other.
// One variant of each, because a copy has nothing to compute: the bytes are the cost, and what saves them is not to copy
// (convolution_gemm.cu).
#include "common.cuh"
#include "convolution.cuh"
#include "split.cuh"

// Position l of the chunk that starts at image n0 and row r0.
struct Position { int n, r, c; };

__device__ __forceinline__ Position position(const Problem& p, int l, int n0, int r0, int rows) {
  return {n0 + l / p.out_w / rows, r0 + l / p.out_w % rows, l % p.out_w};
}

KERNEL im2col(const real* x, real* columns, PROBLEM, int n0, int r0, int rows, int length, int pitch, i64 count) {
  const Problem p PROBLEM_VALUES;
  const i64 index = global_index();
  if (index >= count) return;
  const Split across = split(index, pitch), term = split(across.quotient, p.in_channels * p.taps());
  const int k = term.rest, b = k % p.kernel_w, a = k / p.kernel_w % p.kernel_h, i = k / p.taps();
  const Position at = position(p, across.rest, n0 + (int)term.quotient, r0, rows);
  const int row = at.r * p.stride_h + a * p.dilation_h - p.top, col = at.c * p.stride_w + b * p.dilation_w - p.left;
  const bool read = across.rest < length && p.inside(row, col);
  columns[index] = read ? x[((i64)at.n * p.in_channels + i) * p.pixels() + row * p.in_w + col] : real(0);
}

KERNEL gather_outputs(const real* gy, real* flat, PROBLEM, int n0, int r0, int rows, int length, int pitch, i64 count) {
  const Problem p PROBLEM_VALUES;
  const i64 i = global_index();
  if (i >= count) return;
  const Split o = split(i, pitch);
  const Position at = position(p, o.rest, n0, r0, rows);
  flat[i] = o.rest < length ? gy[(at.n * p.out_channels + o.quotient) * p.positions() + at.r * p.out_w + at.c] : real(0);
}

KERNEL scatter_outputs(const real* flat, const real* bias, real* y, PROBLEM, int n0, int r0, int rows, int length,
                       int pitch, bool relu, i64 count) {
  const Problem p PROBLEM_VALUES;
  const i64 i = global_index();
  if (i >= count) return;
  const Split o = split(i, length);
  const Position at = position(p, o.rest, n0, r0, rows);
  y[(at.n * p.out_channels + o.quotient) * p.positions() + at.r * p.out_w + at.c] =
      real(finished(acc(flat[o.quotient * pitch + o.rest]), bias, (int)o.quotient, relu));
}

KERNEL col2im(const real* columns, real* gx, PROBLEM, int n0, int r0, int rows, int pitch, i64 apart, bool add,
              i64 count) {
  const Problem p PROBLEM_VALUES;
  const i64 index = global_index();
  if (index >= count) return;
  const Split across = split(index, p.in_w), down = split(across.quotient, p.in_h);
  const Split channel = split(down.quotient, p.in_channels);
  const int col = across.rest, row = down.rest, i = channel.rest;
  real* place = gx + (i64)n0 * p.in_channels * p.pixels() + index;
  acc sum = add ? acc(*place) : acc(0);
  for (int a = 0; a < p.kernel_h; a++) {
    const int r = Problem::met(row + p.top - a * p.dilation_h, p.stride_h, p.out_h) - r0;
    if (r < 0 || r >= rows) continue;
    for (int b = 0; b < p.kernel_w; b++) {
      const int c = Problem::met(col + p.left - b * p.dilation_w, p.stride_w, p.out_w);
      if (c < 0) continue;
      const i64 k = (i64)i * p.taps() + a * p.kernel_w + b;
      sum += acc(columns[k * pitch + channel.quotient * apart + r * p.out_w + c]);  // the image counts in the chunk
    }
  }
  *place = real(sum);
}
