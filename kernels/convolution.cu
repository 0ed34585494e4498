// Convolution by its definition, and the small steps that several algorithms share.
//
// forward, input_grad, weight_grad   the three passes as seven loops each, to be checked by eye; every other algorithm
//                                    must equal them. Sums run in double whatever the type.
//   mapping                          one thread for each element of the result, which gathers all that it sums
//   bytes                            each operand again for every use; caches keep some of it
// sum_parts                          total[i] = sum over parts of part[p, i], in the order of the parts, in double; then the
//                                    bias of its channel, and rectified or not
//   mapping                          one thread for each element; neighbouring threads read neighbouring elements; loads
//                                    of eight parts are under way at once
// sum_many_parts                     the same sum where parts are many: cut into eight runs, which are added in their order
//   mapping                          a warp for each run of 32 elements, which shared memory joins: few elements would leave
//                                    most multiprocessors idle
//
//   determinism                      one thread adds up each element (of a run of parts), in the order of the loops
//
// Variants: 1. these loops. 2. im2col.cu: copy, then BLAS. 3. convolution_gemm.cu: the copy only in shared memory. 4. winograd.cu:
// fewer multiplications. 5. depthwise.cu: no sum over channels.
#include "common.cuh"
#include "convolution.cuh"

KERNEL forward(const real* x, const real* w, const real* bias, real* y, PROBLEM, bool relu, i64 count) {
  const Problem p PROBLEM_VALUES;
  const i64 index = global_index();
  if (index >= count) return;
  const int c = index % p.out_w, r = index / p.out_w % p.out_h;
  const int o = index / p.positions() % p.out_channels, n = index / p.positions() / p.out_channels;
  const int first = o / p.group_out() * p.group_in();  // the first input channel of this output's group
  double sum = bias ? double(acc(bias[o])) : 0;
  for (int i = 0; i < p.group_in(); i++)
    for (int a = 0; a < p.kernel_h; a++)
      for (int b = 0; b < p.kernel_w; b++) {
        const int row = r * p.stride_h + a * p.dilation_h - p.top, col = c * p.stride_w + b * p.dilation_w - p.left;
        if (!p.inside(row, col)) continue;
        const acc weight = acc(w[((i64)(o * p.group_in() + i) * p.kernel_h + a) * p.kernel_w + b]);
        sum += double(weight) * double(acc(x[((i64)n * p.in_channels + first + i) * p.pixels() + row * p.in_w + col]));
      }
  y[index] = real(acc(relu && sum < 0 ? 0 : sum));
}

KERNEL input_grad(const real* gy, const real* w, real* gx, PROBLEM, i64 count) {
  const Problem p PROBLEM_VALUES;
  const i64 index = global_index();
  if (index >= count) return;
  const int col = index % p.in_w, row = index / p.in_w % p.in_h;
  const int i = index / p.pixels() % p.in_channels, n = index / p.pixels() / p.in_channels;
  const int first = i / p.group_in() * p.group_out();  // the first output channel of this input's group
  double sum = 0;
  for (int o = first; o < first + p.group_out(); o++)
    for (int a = 0; a < p.kernel_h; a++)
      for (int b = 0; b < p.kernel_w; b++) {
        const int r = Problem::met(row + p.top - a * p.dilation_h, p.stride_h, p.out_h);
        const int c = Problem::met(col + p.left - b * p.dilation_w, p.stride_w, p.out_w);
        if (r < 0 || c < 0) continue;
        const acc weight = acc(w[((i64)(o * p.group_in() + i % p.group_in()) * p.kernel_h + a) * p.kernel_w + b]);
        sum += double(weight) * double(acc(gy[((i64)n * p.out_channels + o) * p.positions() + r * p.out_w + c]));
      }
  gx[index] = real(acc(sum));
}

KERNEL weight_grad(const real* gy, const real* x, real* gw, PROBLEM, i64 count) {
  const Problem p PROBLEM_VALUES;
  const i64 index = global_index();
  if (index >= count) return;
  const int b = index % p.kernel_w, a = index / p.kernel_w % p.kernel_h;
  const int i = index / p.taps() % p.group_in(), o = index / p.taps() / p.group_in();
  const int channel = o / p.group_out() * p.group_in() + i;
  double sum = 0;
  for (int n = 0; n < p.images; n++)
    for (int r = 0; r < p.out_h; r++)
      for (int c = 0; c < p.out_w; c++) {
        const int row = r * p.stride_h + a * p.dilation_h - p.top, col = c * p.stride_w + b * p.dilation_w - p.left;
        if (!p.inside(row, col)) continue;
        const acc g = acc(gy[((i64)n * p.out_channels + o) * p.positions() + r * p.out_w + c]);
        sum += double(g) * double(acc(x[((i64)n * p.in_channels + channel) * p.pixels() + row * p.in_w + col]));
      }
  gw[index] = real(acc(sum));
}

KERNEL sum_parts(const acc* parts, const real* bias, real* total, int many, int channels, int positions, bool relu,
                 i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  double sum = 0;
#pragma unroll 8
  for (int part = 0; part < many; part++) sum += double(parts[part * count + i]);
  total[i] = real(finished(acc(sum), bias, i / positions % channels, relu));
}

KERNEL sum_many_parts(const acc* parts, real* total, int many, i64 count) {
  SHARED(double, runs, [8][32]);
  const int lane = threadIdx.x % 32, run = threadIdx.x / 32, length = (many + 7) / 8;
  const i64 i = (i64)blockIdx.x * 32 + lane;
  double sum = 0;
#pragma unroll 8
  for (int part = run * length; part < min((run + 1) * length, many); part++)
    if (i < count) sum += double(parts[part * count + i]);
  runs[run][lane] = sum;
  __syncthreads();
  if (run > 0 || i >= count) return;
  for (int k = 1; k < 8; k++) sum += runs[k][lane];
  total[i] = real(acc(sum));
}
