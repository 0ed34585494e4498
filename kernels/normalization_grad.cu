// The gradient of normalisation by statistics of rows (normalization.cuh says what a row is).
//
//   gx = r (g - <g> - x^ <g x^>) with g = gy weight, x^ = (x - mean) r, r = 1 / sqrt(var + eps), <.> the mean over the row;
//   and for weight and bias the sums of gy x^ and gy
//   normalize_grad_1     1. literal: one block for each row, one element at a time; gy and x are read twice
//   normalize_grad_held  2. one block for each row, whose threads hold both in registers: they are read once
//   normalize_grad       3. the same for rows that do not fit: they are read twice
//   gradient_sums,       4. in two steps where rows are few and long: `slices` blocks for each row; the second step reads
//   gradient_apply       from the end, as what was read last is still in the second-level cache
//                        All of 1 to 4 leave <g> and <g x^> times n in sums[slice, b], and r of each row in scales
//   parameter_sums       1. sums of gy and gy x^ for each weight where a row has several (parts > 1): a block for each weight
//                        if its elements are neighbours (run > 1), and each of `slots` parts of the rows
//   column_sums          2. idem with run = 1: a thread for each weight and slot, neighbours read neighbouring columns
//   add_slots            adds the parts in order
//
//   bytes                gy and x once (2) or twice (3, 4), gx once; gy and x once more where a row has several weights
//   determinism          slices, slots, tiles and trees depend on the sizes only
#include "common.cuh"
#include "normalization.cuh"

struct Sums { double g, gx; };  // of g, and of g x^

__device__ __forceinline__ double inverse_deviation(const real* var, int b, double eps) {
  return 1 / sqrt(double(acc(var[b])) + eps);
}

// What a row needs to turn gy and x into gx. With one weight for the whole row it is left out of the sums, which are then
// also the gradients of weight and bias.
struct Slope {
  const real *gy, *x, *weight;
  int first, length, run;
  bool several, whole;
  acc mean;
  double scale;
  __device__ Slope(const real* gy, const real* x, const real* weight, const real* mean, const real* var, int b, int groups,
                   int length, int run, double eps)
      : gy(gy), x(x), weight(weight), first(b % groups * (length / run)), length(length), run(run),
        several(weight && run < length), whole(aligned(gy) && aligned(x)), mean(acc(mean[b])),
        scale(inverse_deviation(var, b, eps)) {}
  template <int W> __device__ __forceinline__ void add(const Few<W>& slope, const Few<W>& value, int i, acc& g, acc& gx) const {
    const Parameters<W> p = parameters<W>(several ? weight : nullptr, acc(1), first, i, length, run);
#pragma unroll
    for (int e = 0; e < W; e++) {
      const acc t = acc(slope.v[e]) * p.v[e];
      g += t;
      gx += t * (acc(value.v[e]) - mean);
    }
  }
};

// gx = r factor gy + slope (x - mean) + lift.
struct Line {
  acc lift, slope, r;
  __device__ Line(const Slope& row, Sums s, double n) {
    const double one = row.weight && !row.several ? double(acc(row.weight[row.first])) : 1;
    lift = acc(-row.scale * one * s.g / n);
    slope = acc(-row.scale * row.scale * one * s.gx / n);
    r = acc(row.scale);
  }
  template <int W>
  __device__ __forceinline__ Few<W> apply(const Slope& row, const Few<W>& gy, const Few<W>& x, int i) const {
    const Parameters<W> p = parameters<W>(row.weight, acc(1), row.first, i, row.length, row.run);
    Few<W> gx;
#pragma unroll
    for (int e = 0; e < W; e++) gx.v[e] = real(r * p.v[e] * acc(gy.v[e]) + slope * (acc(x.v[e]) - row.mean) + lift);
    return gx;
  }
};

__device__ __forceinline__ Sums keep_sums(Sums s, double scale, double* sums, double* scales, i64 at, int b) {
  if (threadIdx.x == 0) {
    sums[2 * at] = s.g;
    sums[2 * at + 1] = s.gx;
    if (at == b) scales[b] = scale;  // the first slice, one block of the row
  }
  return s;
}

template <int W> __device__ __forceinline__ Sums gradient(const Slope& s, const Row& row, double* warps) {
  acc g[SHALLOW<W>] = {}, gx[SHALLOW<W>] = {};
  for (Walk<W> w(row); w.left > 0;) {
    Few<W> slopes[SHALLOW<W>], values[SHALLOW<W>];
    int at[SHALLOW<W>];
    const int mine = w.left;
#pragma unroll
    for (int k = 0; k < SHALLOW<W>; k++, w.step()) {
      at[k] = w.i;
      if (k < mine) slopes[k] = take<W>(s.gy + w.place, s.whole), values[k] = take<W>(s.x + w.place, s.whole);
    }
#pragma unroll
    for (int k = 0; k < SHALLOW<W>; k++)
      if (k < mine) s.add<W>(slopes[k], values[k], at[k], g[k], gx[k]);
  }
  double all = 0, slope = 0;
#pragma unroll
  for (int k = 0; k < SHALLOW<W>; k++) all += double(g[k]), slope += double(gx[k]);
  all = total(all, warps);
  return {all, total(slope, warps) * s.scale};
}

template <int W> __device__ __forceinline__ void write_gradient(const Slope& s, const Row& row, const Line& line, real* gx) {
  const bool whole = aligned(gx);
  for (Walk<W, true> w(row); w.left > 0;) {
    Few<W> slopes[SHALLOW<W>], values[SHALLOW<W>];
    Walk<W, true> out = w;
#pragma unroll
    for (int k = 0; k < SHALLOW<W>; k++, w.step())
      if (w.left > 0) slopes[k] = take<W>(s.gy + w.place, s.whole), values[k] = take<W>(s.x + w.place, s.whole);
#pragma unroll
    for (int k = 0; k < SHALLOW<W>; k++, out.step())
      if (out.left > 0) put<W>(gx + out.place, whole, line.apply<W>(s, slopes[k], values[k], out.i));
  }
}

KERNEL normalize_grad_1(const real* gy, const real* x, const real* weight, const real* mean, const real* var, real* gx,
                        double* sums, double* scales, int rows, int outer, int length, int groups, int run, double eps) {
  SHARED(double, warps, [THREADS / 32]);
  const int b = blockIdx.x, first = b % groups * (length / run);
  const Slope s(gy, x, weight, mean, var, b, groups, length, run, eps);
  const i64 n = (i64)outer * length;
  acc g = 0, slope = 0;
  for (i64 at = threadIdx.x; at < n; at += blockDim.x) {
    const i64 place = (at / length * rows + b) * length + at % length;
    const acc t = acc(gy[place]) * (s.several ? acc(weight[first + at % length / run]) : acc(1));
    g += t;
    slope += t * (acc(x[place]) - s.mean);
  }
  const double all = total(double(g), warps);
  const Sums found = keep_sums({all, total(double(slope), warps) * s.scale}, s.scale, sums, scales, b, b);
  const Line line(s, found, double(n));
  for (i64 at = threadIdx.x; at < n; at += blockDim.x) {
    const i64 place = (at / length * rows + b) * length + at % length;
    const acc factor = weight ? acc(weight[first + at % length / run]) : acc(1);
    gx[place] = real(line.r * factor * acc(gy[place]) + line.slope * (acc(x[place]) - s.mean) + line.lift);
  }
}

template <int W>
__device__ __forceinline__ void hold(const Slope& s, const Row& row, real* gx, double* sums, double* scales, double* warps) {
  const bool whole = aligned(gx);
  Walk<W> w(row), again = w, out = w;
  const int mine = w.left;
  Few<W> slopes[DEEP<W>], values[DEEP<W>];
#pragma unroll
  for (int k = 0; k < DEEP<W>; k++, w.step())
    if (k < mine) slopes[k] = take<W>(s.gy + w.place, s.whole), values[k] = take<W>(s.x + w.place, s.whole);
  double all = 0, slope = 0;
#pragma unroll
  for (int k = 0; k < DEEP<W>; k++, again.step()) {
    acc g = 0, gx = 0;
    if (k < mine) s.add<W>(slopes[k], values[k], again.i, g, gx);
    all += double(g);
    slope += double(gx);
  }
  all = total(all, warps);
  const Sums found = keep_sums({all, total(slope, warps) * s.scale}, s.scale, sums, scales, row.b, row.b);
  const Line line(s, found, double(row.stop) * W);
#pragma unroll
  for (int k = 0; k < DEEP<W>; k++, out.step())
    if (k < mine) put<W>(gx + out.place, whole, line.apply<W>(s, slopes[k], values[k], out.i));
}

// Rows of at most blockDim.x * DEEP packs.
KERNEL normalize_grad_held(const real* gy, const real* x, const real* weight, const real* mean, const real* var, real* gx,
                           double* sums, double* scales, int rows, int outer, int length, int groups, int run, double eps) {
  SHARED(double, warps, [THREADS / 32]);
  const Slope s(gy, x, weight, mean, var, blockIdx.x, groups, length, run, eps);
  if (in_packs(length, run))
    hold<LANES>(s, slice_of<LANES>(rows, outer, length, 1, blockIdx.x, 0), gx, sums, scales, warps);
  else hold<1>(s, slice_of<1>(rows, outer, length, 1, blockIdx.x, 0), gx, sums, scales, warps);
}

template <int W>
__device__ __forceinline__ void read_twice(const Slope& s, const Row& row, real* gx, double* sums, double* scales,
                                           double* warps) {
  const Sums found = keep_sums(gradient<W>(s, row, warps), s.scale, sums, scales, row.b, row.b);
  write_gradient<W>(s, row, Line(s, found, double(row.stop) * W), gx);
}

KERNEL normalize_grad(const real* gy, const real* x, const real* weight, const real* mean, const real* var, real* gx,
                      double* sums, double* scales, int rows, int outer, int length, int groups, int run, double eps) {
  SHARED(double, warps, [THREADS / 32]);
  const Slope s(gy, x, weight, mean, var, blockIdx.x, groups, length, run, eps);
  if (in_packs(length, run))
    read_twice<LANES>(s, slice_of<LANES>(rows, outer, length, 1, blockIdx.x, 0), gx, sums, scales, warps);
  else read_twice<1>(s, slice_of<1>(rows, outer, length, 1, blockIdx.x, 0), gx, sums, scales, warps);
}

KERNEL gradient_sums(const real* gy, const real* x, const real* weight, const real* mean, const real* var, double* sums,
                     double* scales, int rows, int outer, int length, int slices, int groups, int run, double eps) {
  SHARED(double, warps, [THREADS / 32]);
  const int b = blockIdx.x, slice = blockIdx.y;
  const Slope s(gy, x, weight, mean, var, b, groups, length, run, eps);
  const Sums found = in_packs(length, run)
                         ? gradient<LANES>(s, slice_of<LANES>(rows, outer, length, slices, b, slice), warps)
                         : gradient<1>(s, slice_of<1>(rows, outer, length, slices, b, slice), warps);
  keep_sums(found, s.scale, sums, scales, (i64)slice * rows + b, b);
}

KERNEL gradient_apply(const real* gy, const real* x, const real* weight, const real* mean, const real* var,
                      const double* sums, real* gx, int rows, int outer, int length, int slices, int groups, int run,
                      double eps) {
  const int b = rows - 1 - blockIdx.x, slice = slices - 1 - blockIdx.y;
  const Slope s(gy, x, weight, mean, var, b, groups, length, run, eps);
  Sums all = {0, 0};
  for (int k = 0; k < slices; k++) {
    all.g += sums[2 * ((i64)k * rows + b)];
    all.gx += sums[2 * ((i64)k * rows + b) + 1];
  }
  const Line line(s, all, double(outer) * length);
  if (in_packs(length, run)) write_gradient<LANES>(s, slice_of<LANES>(rows, outer, length, slices, b, slice), line, gx);
  else write_gradient<1>(s, slice_of<1>(rows, outer, length, slices, b, slice), line, gx);
}

// -- weights and biases of which a row has several -------------------------------------------------------------------

template <int W>
__device__ __forceinline__ void add_run(const real* gy, const real* x, acc m, int run, acc& t, acc& tx) {
  const bool whole = aligned(gy) && aligned(x);
#pragma unroll 4
  for (int i = threadIdx.x * W; i < run; i += blockDim.x * W) {
    const Few<W> slope = take<W>(gy + i, whole), value = take<W>(x + i, whole);
#pragma unroll
    for (int e = 0; e < W; e++) {
      t += acc(slope.v[e]);
      tx += acc(slope.v[e]) * (acc(value.v[e]) - m);
    }
  }
}

// Block (g, r) and slot blockIdx.y: over its repeats of group g, elements r run .. (r + 1) run - 1 of each. sums[slot, g, r].
KERNEL parameter_sums(const real* gy, const real* x, const real* mean, const double* scales, double* sums, int repeats,
                      int groups, int parts, int run) {
  SHARED(double, warps, [THREADS / 32]);
  const int g = blockIdx.x / parts, r = blockIdx.x % parts;
  const int share = (repeats + gridDim.y - 1) / gridDim.y, first = blockIdx.y * share;
  double to_bias = 0, to_weight = 0;
  for (int k = first; k < first + share && k < repeats; k++) {
    const int b = k * groups + g;
    const i64 base = ((i64)b * parts + r) * run;
    acc t = 0, tx = 0;
    if (run % LANES == 0) add_run<LANES>(gy + base, x + base, acc(mean[b]), run, t, tx);
    else add_run<1>(gy + base, x + base, acc(mean[b]), run, t, tx);
    to_bias += double(t);
    to_weight += double(tx) * scales[b];
  }
  to_bias = total(to_bias, warps);
  to_weight = total(to_weight, warps);
  if (threadIdx.x == 0) {
    double* mine = sums + 2 * ((i64)blockIdx.y * gridDim.x + blockIdx.x);
    mine[0] = to_bias;
    mine[1] = to_weight;
  }
}

// Slot blockIdx.y takes a part of the repeats; sums[slot, g, i].
KERNEL column_sums(const real* gy, const real* x, const real* mean, const double* scales, double* sums, int repeats,
                   int groups, int length) {
  const i64 columns = (i64)groups * length, column = global_index();
  if (column >= columns) return;
  const int share = (repeats + gridDim.y - 1) / gridDim.y, first = blockIdx.y * share;
  const int stop = first + share < repeats ? first + share : repeats, group = split(column, length).quotient;
  double to_bias = 0, to_weight = 0;
#pragma unroll 4
  for (int k = first; k < stop; k++) {
    const int b = k * groups + group;
    const acc slope = acc(gy[k * columns + column]);
    to_bias += double(slope);
    to_weight += double(slope * (acc(x[k * columns + column]) - acc(mean[b])) * acc(scales[b]));
  }
  sums[2 * (blockIdx.y * columns + column)] = to_bias;
  sums[2 * (blockIdx.y * columns + column) + 1] = to_weight;
}

KERNEL add_slots(const double* sums, real* gweight, real* gbias, int slots, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  double to_bias = 0, to_weight = 0;
#pragma unroll 8
  for (int s = 0; s < slots; s++) {
    to_bias += sums[2 * (s * count + i)];
    to_weight += sums[2 * (s * count + i) + 1];
  }
  gweight[i] = real(acc(to_weight));
  gbias[i] = real(acc(to_bias));
}
