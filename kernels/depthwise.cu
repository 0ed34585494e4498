// Convolution with filters of its own for each input channel (groups == channels): no sum over channels, so no product
// of matrices; each element is read a few times and the kernels run at the speed of memory and cache.
//
// 1. literal, for any kernel, stride and dilation (convolution.cu has them for any groups, too)
// forward             one thread for each output; neighbouring threads read neighbouring windows, the weights come from cache
// input_grad          one thread for each input, which gathers from the outputs whose windows hold it
// weight_grad         one block for a run of up to RUN taps of one row of one filter, over some of the images: every thread
//                     sums each tap over every THREADS-th position, then the block adds up in a tree
//   bytes             gy once for each run, x for each tap (from the first-level cache)
//
// 2. for 3 x 3 and 5 x 5 at stride 1 or 2 without dilation: loops are unrolled, and weights stay in registers
// forward_square      one thread for ROWS outputs, one below the other, whose windows share rows
// input_grad_square   at stride 1 the same with the filter turned round; at stride 2 a thread for each input
// weight_grad_square  one block for a whole filter, over some of the images; each thread has a sum for each tap, and walks
//                     through the positions without a division
//   bytes             x, gy and y once; what windows share comes from the first-level cache
//
// Parts of a weight gradient are added by sum_parts (convolution.cu).
// Deterministic: sums run in an order that the sizes fix.
#include "common.cuh"
#include "convolution.cuh"
#include "split.cuh"

constexpr int RUN = 8, THREADS = 256, ROWS = 4, MOST = 25;

// i = (plane * tall + row) * wide + column.
struct Place {
  int row, column;
  i64 plane;
  __device__ __forceinline__ Place(i64 i, int wide, int tall) {
    const Split across = split(i, wide), down = split(across.quotient, tall);
    row = down.rest;
    column = across.rest;
    plane = down.quotient;
  }
};

KERNEL forward(const real* x, const real* w, const real* bias, real* y, PROBLEM, bool relu, i64 count) {
  const Problem p PROBLEM_VALUES;
  const i64 index = global_index();
  if (index >= count) return;
  const Place at(index, p.out_w, p.out_h);
  const Split image = split(at.plane, p.out_channels);
  const int c = at.column, r = at.row, o = image.rest;
  const real* plane = x + (image.quotient * p.in_channels + o / p.group_out()) * p.pixels();
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
  const Place at(index, p.in_w, p.in_h);
  const Split image = split(at.plane, p.in_channels);
  const int col = at.column, row = at.row, i = image.rest;
  acc sum = 0;
  for (int o = i * p.group_out(); o < (i + 1) * p.group_out(); o++) {
    const real* plane = gy + (image.quotient * p.out_channels + o) * p.positions();
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
    const Place at(k, p.out_w, p.out_h);
    const int n = n0 + (int)at.plane, r = at.row, c = at.column;
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

// -- squares ---------------------------------------------------------------------------------------------------------

// Sums of the windows of outputs (row + q, c) in a plane of h x w, with the filter as it is or turned round.
template <int K, int S, bool TURNED>
__device__ __forceinline__ void add_windows(const real* plane, const real* filter, int h, int w, int row, int c, int top,
                                            int left, acc* sum) {
  acc taps[K * K];
#pragma unroll
  for (int t = 0; t < K * K; t++) taps[t] = acc(filter[TURNED ? K * K - 1 - t : t]);
  const int first = row * S - top, start = c * S - left;
#pragma unroll
  for (int j = 0; j < (ROWS - 1) * S + K; j++) {
    const bool inside = first + j >= 0 && first + j < h;
    const real* line = plane + (i64)(first + j) * w + start;
#pragma unroll
    for (int b = 0; b < K; b++) {
      const acc v = inside && start + b >= 0 && start + b < w ? acc(line[b]) : acc(0);
#pragma unroll
      for (int q = 0; q < ROWS; q++)
        if (j - q * S >= 0 && j - q * S < K) sum[q] += taps[(j - q * S) * K + b] * v;
    }
  }
}

KERNEL __launch_bounds__(256) forward_square(const real* x, const real* w, const real* bias, real* y, PROBLEM, bool relu,
                                             i64 count) {
  const Problem p PROBLEM_VALUES;
  const i64 index = global_index();
  if (index >= count) return;
  const Place at(index, p.out_w, (p.out_h + ROWS - 1) / ROWS);
  const Split image = split(at.plane, p.out_channels);
  const int o = image.rest, r = at.row * ROWS, c = at.column, taps = p.taps();
  const real* plane = x + (image.quotient * p.in_channels + o / p.group_out()) * p.pixels();
  const real* filter = w + (i64)o * taps;
  acc sum[ROWS] = {};
  if (p.kernel_h == 3 && p.stride_h == 1) add_windows<3, 1, false>(plane, filter, p.in_h, p.in_w, r, c, p.top, p.left, sum);
  else if (p.kernel_h == 3) add_windows<3, 2, false>(plane, filter, p.in_h, p.in_w, r, c, p.top, p.left, sum);
  else if (p.stride_h == 1) add_windows<5, 1, false>(plane, filter, p.in_h, p.in_w, r, c, p.top, p.left, sum);
  else add_windows<5, 2, false>(plane, filter, p.in_h, p.in_w, r, c, p.top, p.left, sum);
  real* out = y + at.plane * p.positions() + r * p.out_w + c;
#pragma unroll
  for (int q = 0; q < ROWS; q++)
    if (r + q < p.out_h) out[q * p.out_w] = real(finished(sum[q], bias, o, relu));
}

// One input of stride 2: every second tap meets an output.
template <int K>
__device__ __forceinline__ acc add_outputs(const real* plane, const real* filter, int h, int w, int row, int col) {
  acc sum = 0;
#pragma unroll 1
  for (int a = 0; a < K; a++)
#pragma unroll
    for (int b = 0; b < K; b++) {
      const int r = row - a, c = col - b;
      if (r >= 0 && c >= 0 && r % 2 == 0 && c % 2 == 0 && r / 2 < h && c / 2 < w)
        sum += acc(filter[a * K + b]) * acc(plane[r / 2 * w + c / 2]);
    }
  return sum;
}

KERNEL __launch_bounds__(256) input_grad_square(const real* gy, const real* w, real* gx, PROBLEM, i64 count) {
  const Problem p PROBLEM_VALUES;
  const i64 index = global_index();
  if (index >= count) return;
  const int rows = p.stride_h == 1 ? ROWS : 1, last = p.kernel_h - 1;
  const Place at(index, p.in_w, (p.in_h + rows - 1) / rows);
  const Split image = split(at.plane, p.in_channels);
  const int row = at.row * rows, col = at.column;
  acc sum[ROWS] = {};
#pragma unroll 1
  for (int m = 0; m < p.group_out(); m++) {
    const int o = image.rest * p.group_out() + m;
    const real* plane = gy + (image.quotient * p.out_channels + o) * p.positions();
    const real* filter = w + (i64)o * p.taps();
    if (rows == 1)
      sum[0] += p.kernel_h == 3 ? add_outputs<3>(plane, filter, p.out_h, p.out_w, row + p.top, col + p.left)
                                : add_outputs<5>(plane, filter, p.out_h, p.out_w, row + p.top, col + p.left);
    else if (p.kernel_h == 3)
      add_windows<3, 1, true>(plane, filter, p.out_h, p.out_w, row, col, last - p.top, last - p.left, sum);
    else add_windows<5, 1, true>(plane, filter, p.out_h, p.out_w, row, col, last - p.top, last - p.left, sum);
  }
  real* out = gx + at.plane * p.pixels() + row * p.in_w + col;
#pragma unroll
  for (int q = 0; q < ROWS; q++)
    if (q < rows && row + q < p.in_h) out[q * p.in_w] = real(sum[q]);
}

// The taps' sums over images n0 .. n0 + some - 1, of which the threads take every THREADS-th position.
template <int K>
__device__ __forceinline__ void add_taps(const real* gy, const real* x, const Problem& p, int o, int n0, int some, acc* warps) {
  const Place first(threadIdx.x, p.out_w, p.out_h), step(THREADS, p.out_w, p.out_h);
  const int channel = o / p.group_out();
  int n = (int)first.plane, r = first.row, c = first.column;
  acc sums[K * K] = {};
  while (n < some) {
    const acc g = acc(gy[((i64)(n0 + n) * p.out_channels + o) * p.positions() + r * p.out_w + c]);
    const real* plane = x + ((i64)(n0 + n) * p.in_channels + channel) * p.pixels();
    const int row = r * p.stride_h - p.top, col = c * p.stride_w - p.left;
#pragma unroll
    for (int a = 0; a < K; a++)
#pragma unroll
      for (int b = 0; b < K; b++)
        sums[a * K + b] += g * (p.inside(row + a, col + b) ? acc(plane[(row + a) * p.in_w + col + b]) : acc(0));
    c += step.column;
    r += step.row;
    n += (int)step.plane;
    if (c >= p.out_w) { c -= p.out_w; r++; }
    if (r >= p.out_h) { r -= p.out_h; n++; }
  }
#pragma unroll
  for (int t = 0; t < K * K; t++) {
    acc sum = sums[t];
    for (int by = 16; by > 0; by /= 2) sum += __shfl_xor_sync(0xffffffff, sum, by);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32 * MOST + t] = sum;
  }
}

// grid: filters, parts of the images
KERNEL __launch_bounds__(256) weight_grad_square(const real* gy, const real* x, acc* parts, PROBLEM, int together) {
  SHARED(acc, warps, [THREADS / 32 * MOST]);
  const Problem p PROBLEM_VALUES;
  const int o = blockIdx.x, n0 = blockIdx.y * together, some = min(together, p.images - n0), t = threadIdx.x;
  if (p.kernel_h == 3) add_taps<3>(gy, x, p, o, n0, some, warps);
  else add_taps<5>(gy, x, p, o, n0, some, warps);
  __syncthreads();
  acc sum = 0;
  if (t < p.taps()) {
    for (int v = 0; v < THREADS / 32; v++) sum += warps[v * MOST + t];
    parts[((i64)blockIdx.y * p.out_channels + o) * p.taps() + t] = sum;
  }
}
