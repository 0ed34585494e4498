// Convolution as a product of matrices, by way of memory: windows are copied out as columns, BLAS multiplies.
//
//   forward       y = w @ columns                 (O, K) @ (K, L)    K = C KH KW terms, L positions of a chunk
//   input_grad    x' = col2im(w^T @ y')           (K, O) @ (O, L)
//   weight_grad   w' += y' @ columns^T            (O, L) @ (L, K)
//
// A chunk is `images` whole images, or `rows` rows of one; positions are counted l = (n, r, c) over the chunk.
//
// im2col            columns[k, l] = x under tap k of window l, 0 in the padding
// im2col_by_window  the same as columns[l, k], as the weight gradient multiplies it
// gather_outputs    flat[o, l] = gy[n, o, r, c]
// scatter_outputs   y[n, o, r, c] = flat[o, l] + bias[o], rectified or not
// col2im            gx[n, i, row, col] (+)= the sum of all columns' entries that were copied from there: the adjoint of
//                   im2col as a gather
//   mapping         one thread for each element written, in the order of memory: coalesced writes
//   bytes           K L elements written and read again by BLAS, which is what this algorithm costs
// Deterministic: every element is summed by one thread; chunks come one after the other.
// One variant of each, because a copy has nothing to compute: the bytes are the cost, and what saves them is not to copy
// (convolution_gemm.cu). im2col and im2col_by_window are two layouts, not two variants.
#include "common.cuh"
#include "convolution.cuh"

// Position l of the chunk that starts at image n0 and row r0.
struct Position { int n, r, c; };

__device__ __forceinline__ Position position(const Problem& p, i64 l, int n0, int r0, int rows) {
  return {n0 + (int)(l / p.out_w / rows), r0 + (int)(l / p.out_w % rows), (int)(l % p.out_w)};
}

__device__ __forceinline__ real tapped(const Problem& p, const real* x, i64 k, Position at) {
  const int b = k % p.kernel_w, a = k / p.kernel_w % p.kernel_h, i = k / p.taps();
  const int row = at.r * p.stride_h + a * p.dilation_h - p.top, col = at.c * p.stride_w + b * p.dilation_w - p.left;
  return p.inside(row, col) ? x[((i64)at.n * p.in_channels + i) * p.pixels() + row * p.in_w + col] : real(0);
}

KERNEL im2col(const real* x, real* columns, PROBLEM, int n0, int r0, int rows, i64 length, i64 count) {
  const Problem p PROBLEM_VALUES;
  const i64 i = global_index();
  if (i < count) columns[i] = tapped(p, x, i / length, position(p, i % length, n0, r0, rows));
}

// columns[g, l, k]: each group's terms stand together
KERNEL im2col_by_window(const real* x, real* columns, PROBLEM, int n0, int r0, int rows, i64 length, i64 count) {
  const Problem p PROBLEM_VALUES;
  const i64 i = global_index();
  if (i >= count) return;
  const int terms = p.group_in() * p.taps();
  const i64 g = i / terms / length;
  columns[i] = tapped(p, x, g * terms + i % terms, position(p, i / terms % length, n0, r0, rows));
}

KERNEL gather_outputs(const real* gy, real* flat, PROBLEM, int n0, int r0, int rows, i64 length, i64 count) {
  const Problem p PROBLEM_VALUES;
  const i64 i = global_index();
  if (i >= count) return;
  const Position at = position(p, i % length, n0, r0, rows);
  flat[i] = gy[((i64)at.n * p.out_channels + i / length) * p.positions() + at.r * p.out_w + at.c];
}

KERNEL scatter_outputs(const real* flat, const real* bias, real* y, PROBLEM, int n0, int r0, int rows, i64 length,
                       bool relu, i64 count) {
  const Problem p PROBLEM_VALUES;
  const i64 i = global_index();
  if (i >= count) return;
  const int o = i / length;
  const Position at = position(p, i % length, n0, r0, rows);
  y[((i64)at.n * p.out_channels + o) * p.positions() + at.r * p.out_w + at.c] =
      real(finished(acc(flat[i]), bias, o, relu));
}

KERNEL col2im(const real* columns, real* gx, PROBLEM, int n0, int r0, int rows, i64 length, bool add, i64 count) {
  const Problem p PROBLEM_VALUES;
  const i64 index = global_index();
  if (index >= count) return;
  const int col = index % p.in_w, row = index / p.in_w % p.in_h;
  const int i = index / p.pixels() % p.in_channels, n = index / p.pixels() / p.in_channels;  // n counts in the chunk
  real* place = gx + (i64)n0 * p.in_channels * p.pixels() + index;
  acc sum = add ? acc(*place) : acc(0);
  for (int a = 0; a < p.kernel_h; a++) {
    const int r = Problem::met(row + p.top - a * p.dilation_h, p.stride_h, p.out_h) - r0;
    if (r < 0 || r >= rows) continue;
    for (int b = 0; b < p.kernel_w; b++) {
      const int c = Problem::met(col + p.left - b * p.dilation_w, p.stride_w, p.out_w);
      if (c < 0) continue;
      const i64 k = (i64)i * p.taps() + a * p.kernel_w + b;
      sum += acc(columns[k * length + ((i64)n * rows + r) * p.out_w + c]);
    }
  }
  *place = real(sum);
}
