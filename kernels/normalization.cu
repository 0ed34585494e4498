// Normalisation by statistics of rows (normalization.cuh says what a row is), and scaling by statistics that are given; the
// gradient is in normalization_grad.cu.
//
//   y = (x - mean) / sqrt(var + eps) * weight + bias; mean and biased variance of each row
//   normalize_1          1. literal: one block for each row, one element at a time; x is read twice
//   normalize_held       2. one block for each row, whose threads hold it in registers between finding the statistics and
//                        using them: x is read once
//   normalize            3. the same for rows that do not fit; x is read twice
//   row_statistics,      4. in two steps where rows are few and long: `slices` blocks for each row take (mean, spread) of a
//   row_normalize        slice, then each block joins those of its row, in order, and normalises a slice. The second step
//                        reads from the end, as what was read last is still in the second-level cache
//   scale_shift          y = x scale + shift, one pair for each row
//                        One variant, because it streams: x is read once, in packs, and its pair of numbers once for a line
//
//   bytes                x once (2) or twice (3, 4: the second time partly from cache), y once
//   precision            threads take the mean of a tile of a few packs, then the squares of its deviations, of distances from
//                        their first element (a mean far from zero costs no digits); tiles, threads and slices are joined by
//                        Chan, Golub and LeVeque (1979), the last two in double. normalize_1: by Welford (1962)
//   determinism          slices, tiles and trees depend on the sizes only
#include "common.cuh"
#include "normalization.cuh"

struct Statistics { double count, mean, spread; };  // spread: the sum of squared deviations

__device__ __forceinline__ Statistics join(Statistics a, Statistics b) {
  if (b.count == 0) return a;
  const double count = a.count + b.count, step = b.mean - a.mean;
  return {count, a.mean + step * b.count / count, a.spread + b.spread + step * step * a.count * b.count / count};
}

// What one thread has found: of x - shift, as mean and spread of its first `count` elements.
struct Found {
  acc shift, mean, spread;
  int count;
  __device__ __forceinline__ void join(acc other, acc squares, int size) {
    count += size;
    const acc step = other - mean, part = acc(size) / acc(count);
    mean += step * part;
    spread += squares + step * step * acc(count - size) * part;
  }
};

__device__ __forceinline__ Statistics over_block(const Found& f, double count, double* warps CALLER) {
  const double mine = double(f.shift) + double(f.mean);
  const double mean = total(f.count * mine, warps) / (count > 0 ? count : 1), off = mine - mean;
  return {count, mean, total(double(f.spread) + f.count * off * off, warps)};
}

template <int W, int DEPTH>
__device__ __forceinline__ void take_tile(const real* x, bool whole, Walk<W>& w, Found& f) {
  Few<W> packs[DEPTH];
  acc sums[DEPTH] = {}, squares[DEPTH] = {}, sum = 0, square = 0;
#pragma unroll
  for (int k = 0; k < DEPTH; k++, w.step()) packs[k] = take<W>(x + w.place, whole);
#pragma unroll
  for (int k = 0; k < DEPTH; k++) {
#pragma unroll
    for (int e = 0; e < W; e++) sums[k] += acc(packs[k].v[e]) - f.shift;
    sum += sums[k];
  }
  const acc mean = sum / acc(DEPTH * W);
#pragma unroll
  for (int k = 0; k < DEPTH; k++) {
#pragma unroll
    for (int e = 0; e < W; e++) {
      const acc d = acc(packs[k].v[e]) - f.shift - mean;
      squares[k] += d * d;
    }
    square += squares[k];
  }
  f.join(mean, square, DEPTH * W);
}

template <int W> __device__ __forceinline__ Statistics statistics(const real* x, const Row& row, double* warps) {
  const bool whole = aligned(x);
  Walk<W> w(row);
  Found f = {w.left ? acc(x[w.place]) : acc(0), 0, 0, 0};
  while (w.left >= DEEP<W>) take_tile<W, DEEP<W>>(x, whole, w, f);
  while (w.left > 0) take_tile<W, 1>(x, whole, w, f);
  return over_block(f, double(row.stop - row.first) * W, warps);
}

// What turns x into y, but for weight and bias: x^ = (x - mean) scale - rest.
struct Scaling {
  acc mean, scale, rest;  // rest: what rounding took from the mean
  __device__ Scaling(const Statistics& s, real* means, real* vars, int b, double eps, bool write) {
    const double biased = s.spread / s.count;
    const real m = real(acc(s.mean));
    mean = acc(m);
    scale = acc(1 / sqrt(biased + eps));
    rest = scale * acc(s.mean - double(mean));
    if (threadIdx.x == 0 && write) {
      means[b] = m;
      vars[b] = real(acc(biased));
    }
  }
};

// Where the row's parameters are, and how they lie in it.
struct Affine {
  const real *weight, *bias;
  int first, length, run;
  __device__ Affine(const real* weight, const real* bias, int b, int groups, int length, int run)
      : weight(weight), bias(bias), first(b % groups * (length / run)), length(length), run(run) {}
  template <int W> __device__ __forceinline__ Few<W> apply(const Few<W>& x, const Scaling& s, int i) const {
    const Parameters<W> scale = parameters<W>(weight, acc(1), first, i, length, run);
    const Parameters<W> shift = parameters<W>(bias, acc(0), first, i, length, run);
    Few<W> y;
#pragma unroll
    for (int e = 0; e < W; e++) y.v[e] = real(((acc(x.v[e]) - s.mean) * s.scale - s.rest) * scale.v[e] + shift.v[e]);
    return y;
  }
};

template <int W, bool BACK>
__device__ __forceinline__ void write_normalized(const real* x, real* y, const Row& row, const Scaling& s,
                                                 const Affine& affine) {
  const bool whole_x = aligned(x), whole_y = aligned(y);
  for (Walk<W, BACK> w(row); w.left > 0;) {
    Few<W> packs[SHALLOW<W>];
    Walk<W, BACK> out = w;
#pragma unroll
    for (int k = 0; k < SHALLOW<W>; k++, w.step())
      if (w.left > 0) packs[k] = take<W>(x + w.place, whole_x);
#pragma unroll
    for (int k = 0; k < SHALLOW<W>; k++, out.step())
      if (out.left > 0) put<W>(y + out.place, whole_y, affine.template apply<W>(packs[k], s, out.i));
  }
}

// One element at a time.
KERNEL normalize_1(const real* x, const real* weight, const real* bias, real* y, real* mean, real* var, int rows, int outer,
                   int length, int groups, int run, double eps) {
  SHARED(double, warps, [THREADS / 32]);
  const int b = blockIdx.x;
  const i64 n = (i64)outer * length;
  Found f = {0, 0, 0, 0};
  for (i64 at = threadIdx.x; at < n; at += blockDim.x) {
    const acc v = acc(x[(at / length * rows + b) * length + at % length]);
    if (f.count == 0) f.shift = v;
    const acc before = v - f.shift - f.mean;
    f.mean += before / acc(++f.count);
    f.spread += before * (v - f.shift - f.mean);
  }
  const Scaling s(over_block(f, double(n), warps), mean, var, b, eps, true);
  for (i64 at = threadIdx.x; at < n; at += blockDim.x) {
    const i64 place = (at / length * rows + b) * length + at % length;
    const int p = b % groups * (length / run) + (int)(at % length) / run;
    const acc hat = (acc(x[place]) - s.mean) * s.scale - s.rest;
    y[place] = real(hat * (weight ? acc(weight[p]) : acc(1)) + (bias ? acc(bias[p]) : acc(0)));
  }
}

template <int W>
__device__ __forceinline__ void hold(const real* x, real* y, real* mean, real* var, int rows, int outer, const Affine& affine,
                                     double eps, double* warps) {
  const Row row = slice_of<W>(rows, outer, affine.length, 1, blockIdx.x, 0);
  const double count = double(row.stop) * W;
  const bool whole_x = aligned(x), whole_y = aligned(y);
  Walk<W> w(row), out = w;
  const int mine = w.left;
  Few<W> packs[DEEP<W>];
  acc sums[DEEP<W>] = {}, squares[DEEP<W>] = {}, sum = 0, square = 0;
#pragma unroll
  for (int k = 0; k < DEEP<W>; k++, w.step())
    if (k < mine) packs[k] = take<W>(x + w.place, whole_x);
  const acc shift = mine ? acc(packs[0].v[0]) : acc(0);
#pragma unroll
  for (int k = 0; k < DEEP<W>; k++) {
#pragma unroll
    for (int e = 0; e < W; e++) sums[k] += k < mine ? acc(packs[k].v[e]) - shift : acc(0);
    sum += sums[k];
  }
  const double average = total(double(sum) + double(mine * W) * double(shift), warps) / count;
  const acc near = acc(average - double(shift));
#pragma unroll
  for (int k = 0; k < DEEP<W>; k++) {
#pragma unroll
    for (int e = 0; e < W; e++) {
      const acc d = k < mine ? acc(packs[k].v[e]) - shift - near : acc(0);
      squares[k] += d * d;
    }
    square += squares[k];
  }
  const Scaling s({count, average, total(double(square), warps)}, mean, var, row.b, eps, true);
#pragma unroll
  for (int k = 0; k < DEEP<W>; k++, out.step())
    if (k < mine) put<W>(y + out.place, whole_y, affine.template apply<W>(packs[k], s, out.i));
}

// Rows of at most blockDim.x * DEEP packs.
KERNEL normalize_held(const real* x, const real* weight, const real* bias, real* y, real* mean, real* var, int rows,
                      int outer, int length, int groups, int run, double eps) {
  SHARED(double, warps, [THREADS / 32]);
  const Affine affine(weight, bias, blockIdx.x, groups, length, run);
  if (in_packs(length, run)) hold<LANES>(x, y, mean, var, rows, outer, affine, eps, warps);
  else hold<1>(x, y, mean, var, rows, outer, affine, eps, warps);
}

template <int W>
__device__ __forceinline__ void read_twice(const real* x, real* y, real* mean, real* var, int rows, int outer,
                                           const Affine& affine, double eps, double* warps) {
  const Row row = slice_of<W>(rows, outer, affine.length, 1, blockIdx.x, 0);
  const Scaling s(statistics<W>(x, row, warps), mean, var, row.b, eps, true);
  write_normalized<W, true>(x, y, row, s, affine);
}

KERNEL normalize(const real* x, const real* weight, const real* bias, real* y, real* mean, real* var, int rows, int outer,
                 int length, int groups, int run, double eps) {
  SHARED(double, warps, [THREADS / 32]);
  const Affine affine(weight, bias, blockIdx.x, groups, length, run);
  if (in_packs(length, run)) read_twice<LANES>(x, y, mean, var, rows, outer, affine, eps, warps);
  else read_twice<1>(x, y, mean, var, rows, outer, affine, eps, warps);
}

// found[slice, b]: count, mean, spread.
KERNEL row_statistics(const real* x, double* found, int rows, int outer, int length, int run, int slices) {
  SHARED(double, warps, [THREADS / 32]);
  const int b = blockIdx.x, slice = blockIdx.y;
  const Statistics s = in_packs(length, run)
                           ? statistics<LANES>(x, slice_of<LANES>(rows, outer, length, slices, b, slice), warps)
                           : statistics<1>(x, slice_of<1>(rows, outer, length, slices, b, slice), warps);
  double* mine = found + ((i64)slice * rows + b) * 3;
  if (threadIdx.x == 0) {
    mine[0] = s.count;
    mine[1] = s.mean;
    mine[2] = s.spread;
  }
}

KERNEL row_normalize(const real* x, const real* weight, const real* bias, const double* found, real* y, real* mean, real* var,
                     int rows, int outer, int length, int slices, int groups, int run, double eps) {
  const int b = rows - 1 - blockIdx.x, slice = slices - 1 - blockIdx.y;
  Statistics all = {0, 0, 0};
  for (int k = 0; k < slices; k++) {
    const double* other = found + ((i64)k * rows + b) * 3;
    all = join(all, {other[0], other[1], other[2]});
  }
  const Scaling s(all, mean, var, b, eps, slice == 0);
  const Affine affine(weight, bias, b, groups, length, run);
  if (in_packs(length, run))
    write_normalized<LANES, true>(x, y, slice_of<LANES>(rows, outer, length, slices, b, slice), s, affine);
  else write_normalized<1, true>(x, y, slice_of<1>(rows, outer, length, slices, b, slice), s, affine);
}

template <int W>
__device__ __forceinline__ void scale_line(const real* x, real* y, acc s, acc t, int length) {
  const bool whole_x = aligned(x), whole_y = aligned(y);
  const i64 step = (i64)blockDim.x * gridDim.y * W;  // sums of it and i may pass 2^31
  for (i64 i = (blockIdx.y * blockDim.x + threadIdx.x) * W; i < length; i += 2 * step) {  // two loads under way
    Few<W> a = take<W>(x + i, whole_x), b = a;
    if (i + step < length) b = take<W>(x + i + step, whole_x);
#pragma unroll
    for (int e = 0; e < W; e++) a.v[e] = real(acc(a.v[e]) * s + t), b.v[e] = real(acc(b.v[e]) * s + t);
    put<W>(y + i, whole_y, a);
    if (i + step < length) put<W>(y + i + step, whole_y, b);
  }
}

// A block takes blockDim.y rows of the `lines` = outer * rows, blockDim.x neighbouring packs of each at a time.
KERNEL scale_shift(const real* x, const real* scale, const real* shift, real* y, i64 lines, int rows, int length) {
  const i64 line = (i64)blockIdx.x * blockDim.y + threadIdx.y;
  if (line >= lines) return;
  const int row = split(line, rows).rest;
  const acc s = acc(scale[row]), t = acc(shift[row]);
  if (length % LANES == 0) scale_line<LANES>(x + line * length, y + line * length, s, t, length);
  else scale_line<1>(x + line * length, y + line * length, s, t, length);
}
