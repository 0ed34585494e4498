// Softmax along one axis, and its gradient.
//
// An array is (N, C, S) with C the axis and S positions behind it; a row is one (n, s).
//
//   softmax        p = exp(z - max) / sum exp(z - max)
//   softmax_grad   gz = p (gy - sum gy p)
//
//   mapping        where S is 1, a warp for each row: its lanes stand on neighbouring classes (width 32)
//                  otherwise a thread for each row: its neighbours stand on neighbouring positions (width 1)
//   bytes          inputs once from memory and once from cache, the result written once
//   determinism    lanes are joined by a tree of fixed shape; sums are in double
//   NaN            a row with a NaN, with +inf, or of nothing but -inf is NaN
#include "common.cuh"
#include "softmax.cuh"

KERNEL softmax(const real* z, real* p, i64 rows, int classes, int positions, int width) {
  const i64 row = global_index() / width;
  const int lane = (int)(global_index() % width);
  const i64 base = row / positions * classes * positions + row % positions;
  const Softmax s = softmax_of(z + base, row < rows, classes, positions, lane, width);
  if (row >= rows) return;
  const acc scale = acc(1 / s.sum);
  for (int c = lane; c < classes; c += width) {
    const i64 i = base + (i64)c * positions;
    p[i] = real(exp(acc(z[i]) - s.top) * scale);
  }
}

KERNEL softmax_grad(const real* gy, const real* p, real* gz, i64 rows, int classes, int positions, int width) {
  const i64 row = global_index() / width;
  const int lane = (int)(global_index() % width);
  const i64 base = row / positions * classes * positions + row % positions;
  double sum = 0;
  if (row < rows)
    for (int c = lane; c < classes; c += width) {
      const i64 i = base + (i64)c * positions;
      sum += double(acc(gy[i])) * double(acc(p[i]));
    }
  for (int by = width / 2; by > 0; by /= 2) sum += __shfl_xor_sync(0xffffffff, sum, by);
  if (row >= rows) return;
  for (int c = lane; c < classes; c += width) {
    const i64 i = base + (i64)c * positions;
    gz[i] = real(acc(p[i]) * (acc(gy[i]) - acc(sum)));
  }
}
