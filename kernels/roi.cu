// Maximum pooling over regions of interest, and its adjoint; means are in roi_align.cu. Boxes are rows (image, x1, y1, x2, y2)
// in double; geometry is computed in double, as on the CPU, because rounding to cells is a jump.
//
// box_fault          1 where a number of the boxes is not finite, 2 where the first is none of the images, else 0; one block
// roi_pool           y[k, c, i, j] = max over the cells of bin (i, j); index = the flat index of that cell in x, -1: empty
//   mapping          one thread for each bin and CHANNELS channels, which share the bin's geometry; bytes: each box's part of
//                    x, y and index once. roi_pool_1 is the literal one, a thread for each output
//   ties             the first in row-major order wins; NaN wins over everything
// gather_bins        y[i] = x[index[i]], 0 where the index is negative; its adjoint is roi_pool_adjoint
// roi_pool_adjoint   gx[i] = sum of gy over the bins whose index is i, those of the boxes in order: a gather, deterministic
//   roi_pool_spans   first writes which cells each box covers: first row, rows, first column, columns
//   mapping          a thread for each cell and CHANNELS channels looks at the boxes of its image; which bins of a box cover
//                    the cell follows from whole numbers, and their indices say whether it won
//   bytes            gx once; gy and index once for each cell of a bin, of which neighbours read the same (from cache)
//   cost             N H W C / CHANNELS tests of a span for each box of the image, which whole warps leave together
#include "common.cuh"
#include "roi.cuh"
#include "rounding.cuh"

constexpr int CHANNELS = 8, THREADS = 256;

KERNEL box_fault(const real* boxes, int* fault, int images, i64 count) {
  SHARED(int, scratch, [THREADS]);
  int infinite = 0, strange = 0;
  for (i64 i = threadIdx.x; i < count; i += blockDim.x) {
    const acc v = acc(boxes[i]);
    infinite |= !(v - v == 0);
    strange |= i % 5 == 0 && !(v >= 0 && v < images && v == floor(v));
  }
  infinite = block_sum(infinite, scratch);
  strange = block_sum(strange, scratch);
  if (threadIdx.x == 0) *fault = infinite ? 1 : strange ? 2 : 0;
}

__device__ __forceinline__ i64 rounded(double value) {  // half away from zero
  return value >= 0 ? (i64)floor(value + 0.5) : -(i64)floor(-value + 0.5);
}

__device__ __forceinline__ int clipped(i64 value, int limit) {
  return value < 0 ? 0 : value > limit ? limit : (int)value;
}

// Cells [low, high) of bin p, clipped to the map; in whole numbers, so that no rounding error adds one.
struct Bin {
  int low, high;
  __device__ Bin(int p, int bins, i64 size, i64 start, int limit, bool overlapping) {
    const i64 next = (p + 1) * size;
    low = clipped(p * size / bins + start, limit);
    high = clipped((overlapping ? (next + bins - 1) / bins : next / bins) + start, limit);
  }
};

// The cells that a box covers along one axis, before it is clipped to the map; at least one.
struct Span {
  i64 start, size;
  __device__ Span(double low, double high, double scale) {
    start = rounded(product(low, scale));
    const i64 cells = rounded(product(high, scale)) - start + 1;
    size = cells > 1 ? cells : 1;
  }
};

// Whether a value takes the place of the best so far, the first of which is `any`.
__device__ __forceinline__ bool better(acc value, acc best, bool any) {
  return !any || value > best || (value != value && best == best);
}

KERNEL roi_pool_1(const real* x, const double* boxes, real* y, i64* index, double scale, bool overlapping, int channels,
                  int h, int w, int rows, int columns, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Place at(i, channels, rows, columns, 1);
  const double* box = boxes + at.box * 5;
  const i64 base = ((i64)box[0] * channels + at.channel) * h * w;
  const Span tall(box[2], box[4], scale), wide(box[1], box[3], scale);
  const Bin down(at.row, rows, tall.size, tall.start, h, overlapping);
  const Bin across(at.column, columns, wide.size, wide.start, w, overlapping);
  acc best = 0;
  i64 where = -1;
  for (int v = down.low; v < down.high; v++)
    for (int u = across.low; u < across.high; u++) {
      const acc value = acc(x[base + (i64)v * w + u]);
      if (better(value, best, where >= 0)) {
        best = value;
        where = base + (i64)v * w + u;
      }
    }
  y[i] = real(best);
  index[i] = where;
}

KERNEL roi_pool(const real* x, const double* boxes, real* y, i64* index, double scale, bool overlapping, int channels,
                int h, int w, int rows, int columns, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Place at(i, channels, rows, columns, CHANNELS);
  const double* box = boxes + at.box * 5;
  const i64 base = ((i64)box[0] * channels + at.channel) * h * w;
  const Span tall(box[2], box[4], scale), wide(box[1], box[3], scale);
  const Bin down(at.row, rows, tall.size, tall.start, h, overlapping);
  const Bin across(at.column, columns, wide.size, wide.start, w, overlapping);
  const int here = channels - at.channel < CHANNELS ? channels - at.channel : CHANNELS, cells = h * w;
  acc best[CHANNELS] = {};
  int where[CHANNELS];
  for (int q = 0; q < CHANNELS; q++) where[q] = -1;
  for (int v = down.low; v < down.high; v++)
    for (int u = across.low; u < across.high; u++) {
      const real* cell = x + base + v * w + u;
#pragma unroll
      for (int q = 0; q < CHANNELS; q++) {
        const acc value = q < here ? acc(cell[(i64)q * cells]) : acc(0);
        if (better(value, best[q], where[q] >= 0)) {
          best[q] = value;
          where[q] = v * w + u;
        }
      }
    }
  const i64 bins = rows * columns, to = (at.box * channels + at.channel) * bins + at.row * columns + at.column;
#pragma unroll
  for (int q = 0; q < CHANNELS; q++)
    if (q < here) {
      y[to + q * bins] = real(best[q]);
      index[to + q * bins] = where[q] < 0 ? -1 : base + (i64)q * cells + where[q];
    }
}

KERNEL gather_bins(const real* x, const i64* index, real* y, i64 count) {
  const i64 i = global_index();
  if (i < count) y[i] = index[i] >= 0 ? x[index[i]] : real(0);
}

// spans[j]: of the box that comes at j in the order by image.
KERNEL roi_pool_spans(const double* boxes, const i64* order, i64* spans, double scale, i64 count) {
  const i64 j = global_index();
  if (j >= count) return;
  const double* box = boxes + order[j] * 5;
  const Span tall(box[2], box[4], scale), wide(box[1], box[3], scale);
  spans[4 * j] = tall.start;
  spans[4 * j + 1] = tall.size;
  spans[4 * j + 2] = wide.start;
  spans[4 * j + 3] = wide.size;
}

// a / b of numbers that are not negative, in 32 bits where they fit.
__device__ __forceinline__ int quotient(i64 a, i64 b) {
  return (a | b) >> 32 ? (int)(a / b) : (int)((unsigned)a / (unsigned)b);
}

// The bins that hold the cell `at` behind the box's first: without overlap the one in which it ends.
struct Bins {
  int first, last;
  __device__ Bins(i64 at, i64 size, int bins, bool overlapping) {
    last = quotient((at + 1) * bins - 1, size);
    first = overlapping ? quotient(at * bins, size) : last;
  }
};

// order, first, stop: the boxes by image (indexing.py: runs).
KERNEL roi_pool_adjoint(const real* gy, const i64* index, const i64* spans, const i64* order, const i64* first,
                        const i64* stop, real* gx, bool overlapping, int channels, int h, int w, int rows, int columns,
                        i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const int groups = (channels + CHANNELS - 1) / CHANNELS, bins = rows * columns, cells = h * w;
  const Split column = split(i, w), row = split(column.quotient, h), group = split(row.quotient, groups);
  const int start = group.rest * CHANNELS, here = channels - start < CHANNELS ? channels - start : CHANNELS;
  const i64 n = group.quotient, place = (n * channels + start) * cells + row.rest * w + column.rest;
  acc sum[CHANNELS] = {};
  for (i64 j = first[n]; j < stop[n]; j++) {
    const i64* span = spans + 4 * j;
    const i64 v = row.rest - span[0], u = column.rest - span[2];
    if (v < 0 || v >= span[1] || u < 0 || u >= span[3]) continue;
    const Bins down(v, span[1], rows, overlapping), across(u, span[3], columns, overlapping);
    const i64 base = (order[j] * channels + start) * bins;
    for (int r = down.first; r <= down.last; r++)
      for (int c = across.first; c <= across.last; c++) {
        const i64 from = base + r * columns + c;
#pragma unroll
        for (int q = 0; q < CHANNELS; q++)
          if (q < here && index[from + q * bins] == place + (i64)q * cells) sum[q] += acc(gy[from + q * bins]);
      }
  }
#pragma unroll
  for (int q = 0; q < CHANNELS; q++)
    if (q < here) gx[place + (i64)q * cells] = real(sum[q]);
}
