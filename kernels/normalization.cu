// Normalisation by statistics of rows, its gradient, and scaling by statistics that are given.
//
// An array is seen as (outer, rows, length): row b holds x[a, b, i] for all a and i, n = outer * length elements. The
// length is parts of `run` elements that share a weight and a bias, those of (b % groups, i / run). Batch norm has
// outer = N, rows = C, parts = 1; layer norm has outer = 1, rows of independent samples, run = 1; group norm lies between.
//
//   normalize            1. y = (x - mean) / sqrt(var + eps) * weight + bias; mean and biased variance of each row. One block for
//                        each row
//   row_statistics,      2. the same in two steps where rows are few and long: `slices` blocks for each row take (mean, spread)
//   row_normalize        of a slice, then each block joins those of its row, in order, and normalises a slice
//   normalize_grad       1. gx = r (g - <g> - x^ <g x^>) with g = gy weight, x^ = (x - mean) r, r = 1 / sqrt(var + eps), <.> the
//                        mean over the row; and sums of gy, gy x^ over the row
//   gradient_sums,       2. the same in two steps
//   gradient_apply
//   parameter_sums       1. sums of gy and gy x^ for each weight where a row has several (parts > 1): a block for each weight if
//                        its elements are neighbours (run > 1)
//   column_sums          2. idem with run = 1: a thread for each weight, neighbours read neighbouring columns; `slots` parts of
//                        the rows are taken by blocks of their own
//   add_slots            adds the parts in order
//   scale_shift          y = x scale + shift, one pair for each row
//                        One variant, because it streams: x is read once, and its pair of numbers once for a line
//
//   bytes                forward: x twice, once for the statistics and once to be normalised, y once. gradient: gy and x twice,
//                        gx once, and gy and x once more where a row has several weights. What a second reading costs depends
//                        on whether the row, or the slice, is still in cache
//   precision            mean and spread in one reading: each thread by Welford (1962), of distances from its first element (a
//                        mean far from zero costs no digits); threads and slices are joined by Chan, Golub and LeVeque (1979),
//                        in double
//   determinism          slices, slots and trees depend on the sizes only
#include "common.cuh"

constexpr int THREADS = 256;

// A row, and which of its elements a block takes: those first .. stop - 1 of its n, numbered through (a, i).
struct Row { int rows, length, b; i64 first, stop; };

// The thread's walk through them, without a division for each step.
struct Walk {
  i64 at;       // number within the row
  int a, i;     // at = a * length + i
  int over, by; // a step is `by` elements, or over whole lengths and the rest
  const Row& row;
  __device__ __forceinline__ Walk(const Row& row) : row(row) {
    at = row.first + threadIdx.x;
    a = (int)(at / row.length);
    i = (int)(at % row.length);
    over = blockDim.x / row.length;
    by = blockDim.x % row.length;
  }
  __device__ __forceinline__ bool inside() const { return at < row.stop; }
  __device__ __forceinline__ i64 place() const { return ((i64)a * row.rows + row.b) * row.length + i; }
  __device__ __forceinline__ void step() {
    at += blockDim.x;
    a += over;
    i += by;
    if (i >= row.length) { i -= row.length; a++; }
  }
};

__device__ __forceinline__ Row slice_of(int rows, int outer, int length, int slices) {
  const i64 n = (i64)outer * length, share = (n + slices - 1) / slices, first = blockIdx.y * share;
  return {rows, length, (int)blockIdx.x, first < n ? first : n, first + share < n ? first + share : n};
}

struct Statistics { double count, mean, spread; };  // spread: the sum of squared deviations

__device__ __forceinline__ Statistics join(Statistics a, Statistics b) {
  if (b.count == 0) return a;
  const double count = a.count + b.count, step = b.mean - a.mean;
  return {count, a.mean + step * b.count / count, a.spread + b.spread + step * step * a.count * b.count / count};
}

__device__ __forceinline__ Statistics statistics(const real* x, const Row& row, double* scratch) {
  const double count = double(row.stop - row.first);
  Walk w(row);
  const acc shift = w.inside() ? acc(x[w.place()]) : acc(0);
  acc offset = 0, spread = 0;  // the mean of x - shift so far, and the squared deviations from it
  int taken = 0;
  for (; w.inside(); w.step()) {
    const acc d = acc(x[w.place()]) - shift, before = d - offset;
    offset += before / acc(++taken);
    spread += before * (d - offset);
  }
  const double mine = double(shift) + double(offset);
  const double mean = block_sum(taken * mine, scratch) / (count > 0 ? count : 1), off = mine - mean;
  return {count, mean, block_sum(double(spread) + taken * off * off, scratch)};
}

__device__ __forceinline__ int parameter(const Row& row, int i, int groups, int run) {
  return row.b % groups * (row.length / run) + (run == 1 ? i : run == row.length ? 0 : i / run);
}

__device__ __forceinline__ void write_normalized(const real* x, const real* weight, const real* bias, real* y, real* mean,
                                                 real* var, const Row& row, Statistics all, int groups, int run, double eps) {
  const double biased = all.spread / all.count;
  const real m = real(acc(all.mean));
  const acc scale = acc(1 / sqrt(biased + eps));
  const acc rest = scale * acc(all.mean - double(acc(m)));  // what rounding took from the mean
  if (threadIdx.x == 0 && blockIdx.y == 0) {
    mean[row.b] = m;
    var[row.b] = real(acc(biased));
  }
  for (Walk w(row); w.inside(); w.step()) {
    const i64 at = w.place();
    const int p = parameter(row, w.i, groups, run);
    const acc hat = (acc(x[at]) - acc(m)) * scale - rest;
    y[at] = real(hat * (weight ? acc(weight[p]) : acc(1)) + (bias ? acc(bias[p]) : acc(0)));
  }
}

KERNEL normalize(const real* x, const real* weight, const real* bias, real* y, real* mean, real* var, int rows, int outer,
                 int length, int groups, int run, double eps) {
  SHARED(double, scratch, [THREADS]);
  const Row row = slice_of(rows, outer, length, 1);
  write_normalized(x, weight, bias, y, mean, var, row, statistics(x, row, scratch), groups, run, eps);
}

// found[slice, b]: count, mean, spread.
KERNEL row_statistics(const real* x, double* found, int rows, int outer, int length, int slices) {
  SHARED(double, scratch, [THREADS]);
  const Statistics s = statistics(x, slice_of(rows, outer, length, slices), scratch);
  double* mine = found + ((i64)blockIdx.y * rows + blockIdx.x) * 3;
  if (threadIdx.x == 0) {
    mine[0] = s.count;
    mine[1] = s.mean;
    mine[2] = s.spread;
  }
}

KERNEL row_normalize(const real* x, const real* weight, const real* bias, const double* found, real* y, real* mean, real* var,
                     int rows, int outer, int length, int slices, int groups, int run, double eps) {
  Statistics all = {0, 0, 0};
  for (int s = 0; s < slices; s++) {
    const double* other = found + ((i64)s * rows + blockIdx.x) * 3;
    all = join(all, {other[0], other[1], other[2]});
  }
  const Row row = slice_of(rows, outer, length, slices);
  write_normalized(x, weight, bias, y, mean, var, row, all, groups, run, eps);
}

// -- gradient --------------------------------------------------------------------------------------------------------

struct Sums { double g, gx; };  // of gy weight, and of gy weight x^

// With one weight for the whole row it is left out of the sums, which are then also the gradients of weight and bias.
__device__ __forceinline__ Sums gradient(const real* gy, const real* x, const real* weight, acc m, double scale,
                                         const Row& row, int groups, int run, double* scratch) {
  acc g = 0, gx = 0;
  const bool several = weight && run < row.length;
  for (Walk w(row); w.inside(); w.step()) {
    const i64 at = w.place();
    acc t = acc(gy[at]);
    if (several) t *= acc(weight[parameter(row, w.i, groups, run)]);
    g += t;
    gx += t * (acc(x[at]) - m);
  }
  const double total = block_sum(double(g), scratch);
  return {total, block_sum(double(gx), scratch) * scale};
}

__device__ __forceinline__ void write_gradient(const real* gy, const real* x, const real* weight, real* gx, acc m,
                                               double scale, const Row& row, Sums s, i64 n, int groups, int run) {
  const bool several = weight && run < row.length;
  const double one = weight && !several ? double(acc(weight[row.b % groups])) : 1;
  const acc lift = acc(-scale * one * s.g / n), slope = acc(-scale * scale * one * s.gx / n), r = acc(scale);
  for (Walk w(row); w.inside(); w.step()) {
    const i64 at = w.place();
    const acc factor = several ? acc(weight[parameter(row, w.i, groups, run)]) : acc(one);
    gx[at] = real(r * factor * acc(gy[at]) + slope * (acc(x[at]) - m) + lift);
  }
}

__device__ __forceinline__ double inverse_deviation(const real* var, int b, double eps) {
  return 1 / sqrt(double(acc(var[b])) + eps);
}

// sums[b]: those of the row.
KERNEL normalize_grad(const real* gy, const real* x, const real* weight, const real* mean, const real* var, real* gx,
                      double* sums, int rows, int outer, int length, int groups, int run, double eps) {
  SHARED(double, scratch, [THREADS]);
  const Row row = slice_of(rows, outer, length, 1);
  const acc m = acc(mean[row.b]);
  const double scale = inverse_deviation(var, row.b, eps);
  const Sums s = gradient(gy, x, weight, m, scale, row, groups, run, scratch);
  if (threadIdx.x == 0) {
    sums[2 * row.b] = s.g;
    sums[2 * row.b + 1] = s.gx;
  }
  write_gradient(gy, x, weight, gx, m, scale, row, s, row.stop, groups, run);
}

// sums[slice, b]: those of a slice.
KERNEL gradient_sums(const real* gy, const real* x, const real* weight, const real* mean, const real* var, double* sums,
                     int rows, int outer, int length, int slices, int groups, int run, double eps) {
  SHARED(double, scratch, [THREADS]);
  const Row row = slice_of(rows, outer, length, slices);
  const double scale = inverse_deviation(var, row.b, eps);
  const Sums s = gradient(gy, x, weight, acc(mean[row.b]), scale, row, groups, run, scratch);
  if (threadIdx.x == 0) {
    sums[2 * ((i64)blockIdx.y * rows + row.b)] = s.g;
    sums[2 * ((i64)blockIdx.y * rows + row.b) + 1] = s.gx;
  }
}

KERNEL gradient_apply(const real* gy, const real* x, const real* weight, const real* mean, const real* var,
                      const double* sums, real* gx, int rows, int outer, int length, int slices, int groups, int run,
                      double eps) {
  const Row row = slice_of(rows, outer, length, slices);
  Sums s = {0, 0};
  for (int k = 0; k < slices; k++) {
    s.g += sums[2 * ((i64)k * rows + row.b)];
    s.gx += sums[2 * ((i64)k * rows + row.b) + 1];
  }
  const double scale = inverse_deviation(var, row.b, eps);
  write_gradient(gy, x, weight, gx, acc(mean[row.b]), scale, row, s, (i64)outer * length, groups, run);
}

// Block (g, r): over the repeats of group g, elements r run .. (r + 1) run - 1 of each. sums[g, r].
KERNEL parameter_sums(const real* gy, const real* x, const real* mean, const real* var, double* sums, int repeats, int groups,
                      int parts, int run, double eps) {
  SHARED(double, scratch, [THREADS]);
  const int g = blockIdx.x / parts, r = blockIdx.x % parts;
  double to_bias = 0, to_weight = 0;
  for (int k = 0; k < repeats; k++) {
    const int b = k * groups + g;
    const i64 base = ((i64)b * parts + r) * run;
    const acc m = acc(mean[b]);
    acc t = 0, tx = 0;
    for (int i = threadIdx.x; i < run; i += blockDim.x) {
      t += acc(gy[base + i]);
      tx += acc(gy[base + i]) * (acc(x[base + i]) - m);
    }
    to_bias += double(t);
    to_weight += double(tx) * inverse_deviation(var, b, eps);
  }
  to_bias = block_sum(to_bias, scratch);
  to_weight = block_sum(to_weight, scratch);
  if (threadIdx.x == 0) {
    sums[2 * (i64)blockIdx.x] = to_bias;
    sums[2 * (i64)blockIdx.x + 1] = to_weight;
  }
}

// Slot blockIdx.y takes a part of the repeats; sums[slot, g, i].
KERNEL column_sums(const real* gy, const real* x, const real* mean, const real* var, double* sums, int repeats, int groups,
                   int length, double eps) {
  const i64 columns = (i64)groups * length, column = global_index();
  if (column >= columns) return;
  const int share = (repeats + gridDim.y - 1) / gridDim.y, first = blockIdx.y * share;
  double to_bias = 0, to_weight = 0;
  for (int k = first; k < first + share && k < repeats; k++) {
    const int b = k * groups + (int)(column / length);
    const i64 at = k * columns + column;
    to_bias += double(acc(gy[at]));
    to_weight += double(acc(gy[at]) * (acc(x[at]) - acc(mean[b])) * acc(inverse_deviation(var, b, eps)));
  }
  sums[2 * (blockIdx.y * columns + column)] = to_bias;
  sums[2 * (blockIdx.y * columns + column) + 1] = to_weight;
}

KERNEL add_slots(const double* sums, real* gweight, real* gbias, int slots, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  double to_bias = 0, to_weight = 0;
  for (int s = 0; s < slots; s++) {
    to_bias += sums[2 * (s * count + i)];
    to_weight += sums[2 * (s * count + i) + 1];
  }
  gweight[i] = real(acc(to_weight));
  gbias[i] = real(acc(to_bias));
}

// -- given statistics ------------------------------------------------------------------------------------------------

// A block takes blockDim.y rows of the `lines` = outer * rows, blockDim.x neighbouring elements of each at a time.
KERNEL scale_shift(const real* x, const real* scale, const real* shift, real* y, i64 lines, int rows, int length) {
  const i64 line = (i64)blockIdx.x * blockDim.y + threadIdx.y;
  if (line >= lines) return;
  const acc s = acc(scale[line % rows]), t = acc(shift[line % rows]);
  for (int i = blockIdx.y * blockDim.x + threadIdx.x; i < length; i += blockDim.x * gridDim.y)
    y[line * length + i] = real(acc(x[line * length + i]) * s + t);
}
