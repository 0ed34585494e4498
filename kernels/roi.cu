// Pooling over regions of interest. Boxes are rows (image, x1, y1, x2, y2) in double; geometry is computed in double, as on
// the CPU, because rounding to cells and the map's border are jumps.
//
// roi_pool           y[k, c, i, j] = max over the cells of bin (i, j); index = the flat index of that cell in x, -1: empty
//   mapping          one thread for each bin and channel; bytes: each box's part of x, y and index once
//   ties             the first in row-major order wins; NaN wins over everything
// gather_bins        y[i] = x[index[i]], 0 where the index is negative (its adjoint is indexing.cu's add_runs)
// roi_align          y[k, c, i, j] = mean over the bin's samples, or the sample `chosen`; a thread for each bin and channel
// roi_align_choice   which sample of the bin is the greatest, the first among equals
//                    One variant of each of these, because an output reads its own cells and few others read the same
//
// roi_align_adjoint_atomic  1. literal: one thread for each bin and channel spreads each sample over its four cells, with
//                           float atomics; work in proportion to the samples, not reproducible
// roi_align_adjoint         2. a gather, deterministic: sampling is separable, gx[n, c] = sum over k A_k^T gy[k, c] B_k, so
//   roi_align_axis          first makes the matrices A (K, bins, cells) and the span of cells that each bin reaches;
//   mapping                 then a thread for each cell and CHANNELS channels looks at the boxes of its image in order
//   bytes                   the matrices once for each cell in their span (from cache), gy once for each cell of its bin
//   cost                    N H W C / CHANNELS tests of a span for each box of the image (1000 boxes on 512 x 38 x 50:
//                           61 million), each of them an early exit that whole warps take together
#include "common.cuh"
#include "rounding.cuh"
#include "split.cuh"

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

// The bin that an output belongs to: i = ((box C + channel) rows + row) columns + column.
struct Place {
  i64 box;
  int channel, row, column;
  __device__ Place(i64 i, int channels, int rows, int columns) {
    const Split across = split(i, columns), down = split(across.quotient, rows), deep = split(down.quotient, channels);
    box = deep.quotient;
    channel = deep.rest;
    row = down.rest;
    column = across.rest;
  }
};

KERNEL roi_pool(const real* x, const double* boxes, real* y, i64* index, double scale, bool overlapping, int channels,
                int h, int w, int rows, int columns, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Place at(i, channels, rows, columns);
  const double* box = boxes + at.box * 5;
  const i64 base = ((i64)box[0] * channels + at.channel) * h * w;
  const i64 left = rounded(product(box[1], scale)), top = rounded(product(box[2], scale));
  const i64 right = rounded(product(box[3], scale)), bottom = rounded(product(box[4], scale));
  const Bin down(at.row, rows, bottom - top + 1 > 1 ? bottom - top + 1 : 1, top, h, overlapping);
  const Bin across(at.column, columns, right - left + 1 > 1 ? right - left + 1 : 1, left, w, overlapping);
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
    start = product(low, scale) - shift;
    double size = product(high, scale) - shift - start;
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
    double position = axis.start + product(axis.step, p + (s + 0.5) / axis.samples);
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
  const Place at(i, channels, rows, columns);
  const double* box = boxes + at.box * 5;
  const Axis down(box[2], box[4], scale, aligned, rows, sampling), across(box[1], box[3], scale, aligned, columns, sampling);
  const real* plane = x + ((i64)box[0] * channels + at.channel) * h * w;
  const int all = down.samples * across.samples, only = chosen ? (int)chosen[i] : -1;
  acc sum = 0;
  if (chosen) {
    if (only >= 0) {
      const Sample v(down, at.row, only / across.samples, h), u(across, at.column, only % across.samples, w);
      sum = interpolated(plane, v, u, w);
    }
  } else {
    for (int s = 0; s < down.samples; s++) {
      const Sample v(down, at.row, s, h);
      for (int t = 0; t < across.samples && v.at >= 0; t++)
        sum += interpolated(plane, v, Sample(across, at.column, t, w), w);
    }
    sum /= acc(all > 0 ? all : 1);
  }
  y[i] = real(sum);
}

KERNEL roi_align_choice(const real* x, const double* boxes, i64* chosen, double scale, bool aligned, int sampling,
                        int channels, int h, int w, int rows, int columns, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Place at(i, channels, rows, columns);
  const double* box = boxes + at.box * 5;
  const Axis down(box[2], box[4], scale, aligned, rows, sampling), across(box[1], box[3], scale, aligned, columns, sampling);
  const real* plane = x + ((i64)box[0] * channels + at.channel) * h * w;
  acc best = 0;
  int where = -1;
  for (int s = 0; s < down.samples; s++) {
    const Sample v(down, at.row, s, h);
    for (int t = 0; t < across.samples; t++) {
      const acc value = interpolated(plane, v, Sample(across, at.column, t, w), w);
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
  const Place at(i, channels, rows, columns);
  const double* box = boxes + at.box * 5;
  const Axis down(box[2], box[4], scale, aligned, rows, sampling), across(box[1], box[3], scale, aligned, columns, sampling);
  real* plane = gx + ((i64)box[0] * channels + at.channel) * h * w;
  const int all = down.samples * across.samples;
  const int first = chosen ? (int)chosen[i] : 0, stop = chosen ? (first < 0 ? first : first + 1) : all;
  const acc g = acc(gy[i]) / acc(chosen || all == 0 ? 1 : all);
  for (int s = first; s < stop; s++) {
    const Sample v(down, at.row, s / across.samples, h), u(across, at.column, s % across.samples, w);
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
  const Split at = split(i, bins);
  const double* box = boxes + at.quotient * 5;
  const Axis axis(box[low_at], box[low_at + 2], scale, aligned, bins, sampling);
  acc* row = weights + i * cells;
  int least = cells, most = -1;
  for (int s = 0; s < axis.samples; s++) {
    const Sample sample(axis, at.rest, s, cells);
    if (sample.at < 0) continue;
    const int last = sample.at + (sample.above > 0);
    for (int cell = sample.at; cell <= last; cell++) row[cell] += sample.weight(cell) / acc(axis.samples);
    least = sample.at < least ? sample.at : least;
    most = last > most ? last : most;
  }
  low[i] = least;
  high[i] = most;
}

// order, first, stop: the boxes by image (indexing.py: runs). spans (K, 4): the rows and columns that a box reaches.
KERNEL roi_align_adjoint(const real* gy, const double* boxes, const i64* chosen, const acc* down, const acc* across,
                         const int* spans, const i64* order, const i64* first, const i64* stop, real* gx, double scale,
                         bool aligned, int sampling, int channels, int h, int w, int rows, int columns, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const int groups = (channels + CHANNELS - 1) / CHANNELS, bins = rows * columns;
  const Split column = split(i, w), row = split(column.quotient, h), group = split(row.quotient, groups);
  const int u = column.rest, v = row.rest, start = group.rest * CHANNELS;
  const int here = channels - start < CHANNELS ? channels - start : CHANNELS;
  const i64 n = group.quotient;
  acc sum[CHANNELS];
  for (int q = 0; q < CHANNELS; q++) sum[q] = 0;
  for (i64 j = first[n]; j < stop[n]; j++) {
    const i64 k = order[j];
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
            if (q < here) sum[q] += a * b * acc(gy[from + (i64)q * bins]);
          continue;
        }
        const double* box = boxes + 5 * k;
        const Axis axis_v(box[2], box[4], scale, aligned, rows, sampling);
        const Axis axis_u(box[1], box[3], scale, aligned, columns, sampling);
#pragma unroll
        for (int q = 0; q < CHANNELS; q++) {
          const int only = q < here ? (int)chosen[from + (i64)q * bins] : -1;
          if (only < 0) continue;
          const acc weight = Sample(axis_v, r, only / axis_u.samples, h).weight(v) *
                             Sample(axis_u, c, only % axis_u.samples, w).weight(u);
          if (weight != 0) sum[q] += weight * acc(gy[from + (i64)q * bins]);
        }
      }
    }
  }
  real* out = gx + ((n * channels + start) * h + v) * w + u;
#pragma unroll
  for (int q = 0; q < CHANNELS; q++)
    if (q < here) out[(i64)q * h * w] = real(sum[q]);
}
