// Softmax cross-entropy with class labels, and its gradient.
//
// Logits are (N, C, S) with S positions for each sample; a row is one (n, s). With q_c = (1 - smoothing) w_c [c = label]
// + smoothing / C w_c, 0 for an ignored label, and the probabilities p = softmax(z) over C:
//
//   softmax_cross_entropy   losses[row] = sum_c q_c (log sum exp z - z_c), and p; for each block the sums of losses and label
//                           weights and the first label out of range
//   add_blocks              those of all blocks: total, weight, their quotient, first bad row (-1: none)
//   softmax_cross_entropy_grad   gz = scale gy (p sum_c q_c - q)
//
//   mapping      `width` threads for each row, as for softmax (softmax.cu):
//                1. where S is more than 1, a thread: its neighbours stand on neighbouring positions
//                2. where S is 1, a warp: its lanes stand on neighbouring classes
//                3. where S is 1, rows are long and too few to fill a device with warps, a block of 256 threads
//   bytes        z read twice (a row of a few thousand classes the second time from cache), p written once; the gradient reads
//                p once and writes gz
//   determinism  lanes are joined by a tree of fixed shape, warps in their order (softmax.cuh); the exponentials of a row are
//                added in double, so that a small loss keeps its digits; blocks are added in order
//   variants     one kernel; the three mappings above are its numbered variants, from literal to fast for long rows
//   NaN          a row with a NaN, with +inf, or of nothing but -inf is NaN
#include "common.cuh"
#include "softmax.cuh"

constexpr int ROW_THREADS = 256;
constexpr i64 NO_ROW = 0x7fffffffffffffff;

KERNEL softmax_cross_entropy(const real* z, const i64* labels, const double* weight, real* p, real* losses, double* sums,
                             i64* bad, i64 rows, int classes, int positions, int width, i64 ignore, double smoothing) {
  SHARED(double, scratch, [ROW_THREADS]);
  SHARED(i64, first, [ROW_THREADS]);
  SHARED(Softmax, warps, [WARPS]);
  const i64 row = global_index() / width;
  const int lane = (int)(global_index() % width);
  const i64 base = row / positions * classes * positions + row % positions;
  const Softmax s = softmax_of(z + base, row < rows, classes, positions, lane, width, warps);
  const double norm = log(s.sum);
  double spread = 0, loss = 0, mass = 0;
  i64 wrong = NO_ROW;
  if (row < rows) {
    const acc scale = acc(1 / s.sum);
    for (int c = lane; c < classes; c += width) {
      const i64 i = base + (i64)c * positions;
      const acc v = acc(z[i]) - s.top;
      p[i] = real(exp(v) * scale);
      if (smoothing > 0) spread += (weight ? weight[c] : 1.0) * (norm - double(v));
    }
  }
  spread = row_sum(spread, width, scratch);
  if (row < rows && lane == 0) {
    const i64 label = labels[row];
    if (label != ignore) {
      if (label >= 0 && label < classes) {
        mass = weight ? weight[label] : 1.0;
        const double v = double(acc(z[base + label * positions]) - s.top);
        loss = (1 - smoothing) * mass * (norm - v) + smoothing / classes * spread;
      } else {
        wrong = row;
      }
    }
    losses[row] = real(acc(loss));
  }
  const double total = block_sum(loss, scratch);
  const double weights = block_sum(mass, scratch);
  first[threadIdx.x] = wrong;
  for (int half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half && first[threadIdx.x + half] < first[threadIdx.x]) first[threadIdx.x] = first[threadIdx.x + half];
  }
  if (threadIdx.x == 0) {
    sums[2 * (i64)blockIdx.x] = total;
    sums[2 * (i64)blockIdx.x + 1] = weights;
    bad[blockIdx.x] = first[0];
  }
}

// One block. `bad` is read as a double in `out`: row numbers below 2^53 are exact.
KERNEL add_blocks(const double* sums, const i64* bad, double* out, int blocks) {
  SHARED(double, scratch, [ROW_THREADS]);
  SHARED(i64, first, [ROW_THREADS]);
  double total = 0, mass = 0;
  i64 wrong = NO_ROW;
  for (int b = threadIdx.x; b < blocks; b += blockDim.x) {
    total += sums[2 * (i64)b];
    mass += sums[2 * (i64)b + 1];
    if (bad[b] < wrong) wrong = bad[b];
  }
  total = block_sum(total, scratch);
  mass = block_sum(mass, scratch);
  first[threadIdx.x] = wrong;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int t = 1; t < blockDim.x; t++)
      if (first[t] < wrong) wrong = first[t];
    out[0] = total;
    out[1] = mass;
    out[2] = total / mass;  // NaN where every label is ignored
    out[3] = wrong == NO_ROW ? -1.0 : (double)wrong;
  }
}

// weight[classes] is the sum of all weights.
KERNEL softmax_cross_entropy_grad(const real* gy, const real* p, const i64* labels, const double* weight, real* gz, i64 rows,
                                  int classes, int positions, int width, int upstream, i64 ignore, double smoothing,
                                  double scale) {
  const i64 row = global_index() / width;
  if (row >= rows) return;
  const i64 label = labels[row], base = row / positions * classes * positions + row % positions;
  const bool counts = label != ignore;
  const double g = counts ? scale * double(acc(gy[upstream > 1 ? row : 0])) : 0;
  const double hit = counts ? g * (1 - smoothing) * (weight ? weight[label] : 1.0) : 0;
  const double share = g * smoothing / classes, weights = weight ? weight[classes] : (double)classes;
  const acc mass = acc(hit + share * weights);
  for (int c = (int)(global_index() % width); c < classes; c += width) {
    const i64 i = base + (i64)c * positions;
    acc value = mass * acc(p[i]);
    if (smoothing > 0) value -= acc(share * (weight ? weight[c] : 1.0));
    gz[i] = real(c == label ? value - acc(hit) : value);
  }
}
