// Softmax along one axis, and its gradient.
//
// An array is (N, C, S) with C the axis and S positions behind it; a row is one (n, s).
//
//   softmax        p = exp(z - max) / sum exp(z - max)
//   softmax_grad   gz = p (gy - sum gy p)
//
//   mapping        `width` threads for each row, chosen by softmax.py:
//                  1. where S is more than 1, a thread: its neighbours stand on neighbouring positions
//                  2. where S is 1, a warp: its lanes stand on neighbouring classes
//                  3. where S is 1, rows are long and too few to fill a device with warps, a block of 256 threads
//   bytes          inputs twice (a row of a few thousand classes the second time from cache), the result written once
//   determinism    lanes are joined by a tree of fixed shape, warps in their order; sums are in double
//   variants       one kernel each; the three mappings above are its numbered variants, from literal to fast for long rows
//   NaN            a row with a NaN, with +inf, or of nothing but -inf is NaN
#include "common.cuh"
#include "softmax.cuh"

KERNEL softmax(const real* z, real* p, i64 rows, int classes, int positions, int width) {
  SHARED(Softmax, warps, [WARPS]);
  const i64 row = global_index() / width;
  const int lane = (int)(global_index() % width);
  const i64 base = row / positions * classes * positions + row % positions;
  const Softmax s = softmax_of(z + base, row < rows, classes, positions, lane, width, warps);
  if (row >= rows) return;
  const acc scale = acc(1 / s.sum);
  for (int c = lane; c < classes; c += width) {
    const i64 i = base + (i64)c * positions;
    p[i] = real(exp(acc(z[i]) - s.top) * scale);
  }
}

KERNEL softmax_grad(const real* gy, const real* p, real* gz, i64 rows, int classes, int positions, int width) {
  SHARED(double, warps, [WARPS]);
  const i64 row = global_index() / width;
  const int lane = (int)(global_index() % width);
  const i64 base = row / positions * classes * positions + row % positions;
  double sum = 0;
  if (row < rows)
    for (int c = lane; c < classes; c += width) {
      const i64 i = base + (i64)c * positions;
      sum += double(acc(gy[i])) * double(acc(p[i]));
    }
  sum = row_sum(sum, width, warps);
  if (row >= rows) return;
  for (int c = lane; c < classes; c += width) {
    const i64 i = base + (i64)c * positions;
    gz[i] = real(acc(p[i]) * (acc(gy[i]) - acc(sum)));
  }
}
