// Convolution with filters of its own for each input channel (groups == channels): no sum over channels, so no product
// of matrices; each element is read a few times and the kernels run at the speed of memory and cache.
//
// forward       one thread for each output; neighbouring threads read neighbouring windows, the weights come from cache
// input_grad    one thread for each input, which gathers from the outputs whose windows hold it
// weight_grad   one block for a run of up to RUN taps of one row of one filter, over some of the images: every thread
//               sums each tap over every THREADS-th position, then the block adds up in a tree
//   bytes       gy once for each run, x for each tap (from the first-level cache); parts are added by sum_parts
//               (convolution.cu)
// Deterministic: sums run in an order that the sizes fix.
// One variant of each, because convolution.cu has the literal one, and tiles in shared memory would only repeat what the
// first-level cache does for windows of a few taps; whether they would win has to be measured on a GPU first.
#include "common.cuh"
#include "convolution.cuh"

constexpr int RUN = 8, THREADS = 256;

KERNEL forward(const real* x, const real* w, const real* bias, real* y, PROBLEM, bool relu, i64 count) {
  const Problem p PROBLEM_VALUES;
  const i64 index = global_index();
  if (index >= count) return;
  const int c = index % p.out_w, r = index / p.out_w % p.out_h;
  const int o = index / p.positions() % p.out_channels, n = index / p.positions() / p.out_channels;
  const real* plane = x + ((i64)n * p.in_channels + o / p.group_out()) * p.pixels();
  const real* filter = w + (i64)o * p.taps();
  acc sum = 0;
  for (int a = 0; a < p.kernel_h; a++)
    for (int b = 0; b < p.kernel_w; b++) {
      const int row = r * p.stride_h + a * p.dilation_h - p.top, col = c * p.stride_w + b * p.dilation_w - p.left;
      if (p.inside(row, col)) sum += acc(filter[a * p.kernel_w + b]) * acc(plane[row * p.in_w + col]);
    }
  y[index] = real(finished(sum, bias, o, relu));
}

KERNEL input_grad(const real* gy, const real* w, real* gx, PROBLEM, i64 count) {
  const Problem p PROBLEM_VALUES;
  const i64 index = global_index();
  if (index >= count) return;
  const int col = index % p.in_w, row = index / p.in_w % p.in_h;
  const int i = index / p.pixels() % p.in_channels, n = index / p.pixels() / p.in_channels;
  acc sum = 0;
  for (int o = i * p.group_out(); o < (i + 1) * p.group_out(); o++) {
    const real* plane = gy + ((i64)n * p.out_channels + o) * p.positions();
    for (int a = 0; a < p.kernel_h; a++) {
      const int r = Problem::met(row + p.top - a * p.dilation_h, p.stride_h, p.out_h);
      if (r < 0) continue;
      for (int b = 0; b < p.kernel_w; b++) {
        const int c = Problem::met(col + p.left - b * p.dilation_w, p.stride_w, p.out_w);
        if (c >= 0) sum += acc(w[(i64)o * p.taps() + a * p.kernel_w + b]) * acc(plane[r * p.out_w + c]);
      }
    }
  }
  gx[index] = real(sum);
}

// grid: filters, runs of taps, parts of the images
KERNEL __launch_bounds__(256) weight_grad(const real* gy, const real* x, acc* parts, PROBLEM, int together) {
  SHARED(acc, scratch, [THREADS]);
  const Problem p PROBLEM_VALUES;
  const int runs = (p.kernel_w + RUN - 1) / RUN, o = blockIdx.x, a = blockIdx.y / runs, b0 = blockIdx.y % runs * RUN;
  const int n0 = blockIdx.z * together, some = min(together, p.images - n0);
  acc sums[RUN] = {};
  for (i64 k = threadIdx.x; k < (i64)some * p.positions(); k += THREADS) {
    const int n = n0 + (int)(k / p.positions()), r = k % p.positions() / p.out_w, c = k % p.out_w;
    const int row = r * p.stride_h + a * p.dilation_h - p.top;
    if (row < 0 || row >= p.in_h) continue;
    const acc g = acc(gy[((i64)n * p.out_channels + o) * p.positions() + r * p.out_w + c]);
    const real* line = x + (((i64)n * p.in_channels + o / p.group_out()) * p.in_h + row) * p.in_w;
#pragma unroll
    for (int b = 0; b < RUN; b++) {
      const int col = c * p.stride_w + (b0 + b) * p.dilation_w - p.left;
      if (b0 + b < p.kernel_w && col >= 0 && col < p.in_w) sums[b] += g * acc(line[col]);
    }
  }
#pragma unroll
  for (int b = 0; b < RUN; b++) {
    const acc total = block_sum(sums[b], scratch);
    if (threadIdx.x == 0 && b0 + b < p.kernel_w)
      parts[((i64)blockIdx.z * p.out_channels + o) * p.taps() + a * p.kernel_w + b0 + b] = total;
  }
}
