// Pooling over regions of interest. Boxes are rows (image, x1, y1, x2, y2) in double; geometry is computed in double, as on
// the CPU, because rounding to cells and the map's border are jumps.
//
// roi_pool           y[k, c, i, j] = max over the cells of bin (i, j); index = the flat index of that cell in x, -1: empty
//   mapping          one thread for each bin and channel; bytes: each box's part of x, y and index once
//   ties             the first in row-major order wins; NaN wins over everything
// gather_bins        y[i] = x[index[i]], 0 where the index is negative (its adjoint is indexing.cu's add_runs)
// roi_align          y[k, c, i, j] = mean over the bin's samples, or the sample `chosen`; one thread for each bin and channel
// roi_align_choice   which sample of the bin is the greatest, the first among equals
//
// roi_align_adjoint_atomic  1. literal: one thread for each bin and channel spreads each sample over its four cells, with
//                           float atomics; work in proportion to the samples, not reproducible
// roi_align_adjoint         2. a gather, deterministic: sampling is separable, gx[n, c] = sum over k of A_k^T gy[k, c] B_k, so
//   roi_align_axis          first makes the matrices A (K, bins, cells) and the span of cells that each bin reaches;
//   mapping                 then one thread for each cell and CHANNELS channels looks at the boxes of its image in their order
//   bytes                   the matrices once for each cell in their span (from cache), gy about once for each cell of its bin
//   cost                    N H W C / CHANNELS tests of a span for each box of the image (1000 boxes on 512 x 38 x 50:
//                           61 million), each of them an early exit that whole warps take together
#include "common.cuh"

#define CHANNELS 16

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

KERNEL roi_pool(const real* x, const double* boxes, real* y, i64* index, double scale, bool overlapping, int channels,
                int h, int w, int rows, int columns, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const double* box = boxes + i / columns / rows / channels * 5;
  const i64 base = ((i64)box[0] * channels + i / columns / rows % channels) * h * w;
  const i64 left = rounded(box[1] * scale), top = rounded(box[2] * scale);
  const i64 right = rounded(box[3] * scale), bottom = rounded(box[4] * scale);
  const Bin down(i / columns % rows, rows, bottom - top + 1 > 1 ? bottom - top + 1 : 1, top, h, overlapping);
  const Bin across(i % columns, columns, right - left + 1 > 1 ? right - left + 1 : 1, left, w, overlapping);
  acc best = 0;
  i64 where = -1;
  for (int v = down.low; v < down.high; v++)
    for (int u = across.low; u < across.high; u++) {
      const acc value = acc(x[base + (i64)v * w + u]);
      if (where < 0 || value > best || (value != value && best == best)) {
        best = value;
        where = base + (i64)v * w + u;
      }
    }
  y[i] = real(best);
  index[i] = where;
}

KERNEL gather_bins(const real* x, const i64* index, real* y, i64 count) {
  const i64 i = global_index();
  if (i < count) y[i] = index[i] >= 0 ? x[index[i]] : real(0);
}

// One axis of a box on the map: where it starts, how long a bin is, and how many samples one has.
struct Axis {
  double start, step;
  int samples;
  __device__ Axis(double low, double high, double scale, bool aligned, int bins, int sampling) {
    const double shift = aligned ? 0.5 : 0.0;
    start = low * scale - shift;
    double size = high * scale - shift - start;
    if (!aligned && size < 1) size = 1;
    step = size / bins;
    samples = sampling > 0 ? sampling : step > 0 ? (int)ceil(step) : 0;
  }
};

// Where a sample falls: between cell `at` (-1: outside, worth nothing) and the next, which has the weight `above`.
struct Sample {
  int at;
  double above;
  __device__ Sample(const Axis& axis, int p, int s, int limit) {
    double position = axis.start + axis.step * (p + (s + 0.5) / axis.samples);
    at = -1;
    above = 0;
    if (!(position >= -1 && position <= limit)) return;
    if (position < 0) position = 0;
    at = (int)position;
    if (at >= limit - 1) at = limit - 1;
    else above = position - at;
  }
  // What cell `cell` counts for in it.
  __device__ acc weight(int cell) const {
    if (at < 0) return 0;
    return cell == at ? acc(1 - above) : cell == at + 1 ? acc(above) : acc(0);
  }
};

// Value between four cells; the neighbour behind the last row or column is not read.
__device__ __forceinline__ acc interpolated(const real* plane, const Sample& v, const Sample& u, int w) {
  if (v.at < 0 || u.at < 0) return 0;
  const real* cell = plane + (i64)v.at * w + u.at;
  const int right = u.above > 0, below = v.above > 0 ? w : 0;
  const acc wu = acc(u.above), wv = acc(v.above);
  const acc top = acc(cell[0]) * (1 - wu) + acc(cell[right]) * wu;
  const acc bottom = acc(cell[below]) * (1 - wu) + acc(cell[below + right]) * wu;
  return top * (1 - wv) + bottom * wv;
}

KERNEL roi_align(const real* x, const double* boxes, const i64* chosen, real* y, double scale, bool aligned, int sampling,
                 int channels, int h, int w, int rows, int columns, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const double* box = boxes + i / columns / rows / channels * 5;
  const Axis down(box[2], box[4], scale, aligned, rows, sampling), across(box[1], box[3], scale, aligned, columns, sampling);
  const real* plane = x + ((i64)box[0] * channels + i / columns / rows % channels) * h * w;
  const int all = down.samples * across.samples, only = chosen ? (int)chosen[i] : -1;
  const int r = i / columns % rows, c = i % columns;
  acc sum = 0;
  if (chosen) {
    if (only >= 0)
      sum = interpolated(plane, Sample(down, r, only / across.samples, h), Sample(across, c, only % across.samples, w), w);
  } else {
    for (int s = 0; s < down.samples; s++) {
      const Sample v(down, r, s, h);
      for (int t = 0; t < across.samples && v.at >= 0; t++) sum += interpolated(plane, v, Sample(across, c, t, w), w);
    }
    sum /= acc(all > 0 ? all : 1);
  }
  y[i] = real(sum);
}

KERNEL roi_align_choice(const real* x, const double* boxes, i64* chosen, double scale, bool aligned, int sampling,
                        int channels, int h, int w, int rows, int columns, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const double* box = boxes + i / columns / rows / channels * 5;
  const Axis down(box[2], box[4], scale, aligned, rows, sampling), across(box[1], box[3], scale, aligned, columns, sampling);
  const real* plane = x + ((i64)box[0] * channels + i / columns / rows % channels) * h * w;
  acc best = 0;
  int where = -1;
  for (int s = 0; s < down.samples; s++) {
    const Sample v(down, i / columns % rows, s, h);
    for (int t = 0; t < across.samples; t++) {
      const acc value = interpolated(plane, v, Sample(across, i % columns, t, w), w);
      if (where < 0 || value > best || (value != value && best == best)) {
        best = value;
        where = s * across.samples + t;
      }
    }
  }
  chosen[i] = where;
}

KERNEL roi_align_adjoint_atomic(const real* gy, const double* boxes, const i64* chosen, real* gx, double scale, bool aligned,
                                int sampling, int channels, int h, int w, int rows, int columns, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const double* box = boxes + i / columns / rows / channels * 5;
  const Axis down(box[2], box[4], scale, aligned, rows, sampling), across(box[1], box[3], scale, aligned, columns, sampling);
  real* plane = gx + ((i64)box[0] * channels + i / columns / rows % channels) * h * w;
  const int all = down.samples * across.samples;
  const int first = chosen ? (int)chosen[i] : 0, stop = chosen ? (first < 0 ? first : first + 1) : all;
  const acc g = acc(gy[i]) / acc(chosen || all == 0 ? 1 : all);
  for (int s = first; s < stop; s++) {
    const Sample v(down, i / columns % rows, s / across.samples, h), u(across, i % columns, s % across.samples, w);
    if (v.at < 0 || u.at < 0) continue;
    for (int a = 0; a < (v.above > 0 ? 2 : 1); a++)
      for (int b = 0; b < (u.above > 0 ? 2 : 1); b++)
        atomicAdd(&plane[(i64)(v.at + a) * w + u.at + b], real(g * v.weight(v.at + a) * u.weight(u.at + b)));
  }
}

// For bin p of box k along one axis: weights[k, p, cell] = its mean weight over the bin's samples (the host clears them);
// low, high[k, p] = the cells it reaches, low > high where none. `low_at` is where a box holds this axis' lower corner.
KERNEL roi_align_axis(const double* boxes, acc* weights, int* low, int* high, double scale, bool aligned, int sampling,
                      int low_at, int bins, int cells, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const double* box = boxes + i / bins * 5;
  const Axis axis(box[low_at], box[low_at + 2], scale, aligned, bins, sampling);
  acc* row = weights + i * cells;
  int least = cells, most = -1;
  for (int s = 0; s < axis.samples; s++) {
    const Sample sample(axis, i % bins, s, cells);
    if (sample.at < 0) continue;
    const int last = sample.at + (sample.above > 0);
    for (int cell = sample.at; cell <= last; cell++) row[cell] += sample.weight(cell) / acc(axis.samples);
    least = sample.at < least ? sample.at : least;
    most = last > most ? last : most;
  }
  low[i] = least;
  high[i] = most;
}

// order, first, stop: the boxes by image (backends/cuda/indexing.py: runs). spans (K, 4): the rows and columns a box reaches.
KERNEL roi_align_adjoint(const real* gy, const double* boxes, const i64* chosen, const acc* down, const acc* across,
                         const int* spans, const i64* order, const i64* first, const i64* stop, real* gx, double scale,
                         bool aligned, int sampling, int channels, int h, int w, int rows, int columns, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const int u = i % w, v = i / w % h, groups = (channels + CHANNELS - 1) / CHANNELS;
  const int start = i / w / h % groups * CHANNELS, here = channels - start < CHANNELS ? channels - start : CHANNELS;
  const i64 n = i / w / h / groups, bins = (i64)rows * columns;
  acc sum[CHANNELS];
  for (int q = 0; q < CHANNELS; q++) sum[q] = 0;
  for (i64 at = first[n]; at < stop[n]; at++) {
    const i64 k = order[at];
    const int* span = spans + 4 * k;
    if (v < span[0] || v > span[1] || u < span[2] || u > span[3]) continue;
    for (int r = 0; r < rows; r++) {
      const acc a = down[(k * rows + r) * h + v];
      if (a == 0) continue;
      for (int c = 0; c < columns; c++) {
        const acc b = across[(k * columns + c) * w + u];
        if (b == 0) continue;
        const i64 from = (k * channels + start) * bins + r * columns + c;
        if (!chosen) {
#pragma unroll
          for (int q = 0; q < CHANNELS; q++)
            if (q < here) sum[q] += a * b * acc(gy[from + q * bins]);
          continue;
        }
        const double* box = boxes + 5 * k;
        const Axis axis_v(box[2], box[4], scale, aligned, rows, sampling);
        const Axis axis_u(box[1], box[3], scale, aligned, columns, sampling);
#pragma unroll
        for (int q = 0; q < CHANNELS; q++) {
          const int only = q < here ? (int)chosen[from + q * bins] : -1;
          if (only < 0) continue;
          const acc weight = Sample(axis_v, r, only / axis_u.samples, h).weight(v) *
                             Sample(axis_u, c, only % axis_u.samples, w).weight(u);
          if (weight != 0) sum[q] += weight * acc(gy[from + q * bins]);
        }
      }
    }
  }
  real* out = gx + ((n * channels + start) * h + v) * w + u;
#pragma unroll
  for (int q = 0; q < CHANNELS; q++)
    if (q < here) out[(i64)q * h * w] = real(sum[q]);
}
