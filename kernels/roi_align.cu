// Means over interpolated points of regions of interest (RoIAlign), and their adjoint. Boxes are rows (image, x1, y1, x2, y2)
// in double; geometry is computed in double, as on the CPU, because the map's border is a jump.
//
// roi_align_1        1. literal: y[k, c, i, j] = mean over the bin's samples, or the sample `chosen`; a thread for each bin and
//                    channel. With `chosen` it stays the one to use, as channels then share nothing
// roi_align          2. the mean, a thread for each bin and FEW channels: where a sample falls takes divisions in double, and
//                    is the same in all channels
// roi_align_choice   which sample of the bin is the greatest, the first among equals; a thread as in roi_align. Values are
//                    computed in double and with the CPU's roundings, because between equals the last bit would decide
//   bytes            each box's part of x once, the rest from cache; y or chosen once
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
#include "roi.cuh"
#include "rounding.cuh"

constexpr int FEW = 8, CHANNELS = 16;

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

KERNEL roi_align_1(const real* x, const double* boxes, const i64* chosen, real* y, double scale, bool aligned, int sampling,
                   int channels, int h, int w, int rows, int columns, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Place at(i, channels, rows, columns, 1);
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

// Four cells and what each counts for, in one sample of any channel.
struct Corners {
  int at, right, below;  // the first cell, and how far behind it the others lie
  double wu, wv;
  bool inside;
  __device__ Corners(const Sample& v, const Sample& u, int w) {
    inside = v.at >= 0 && u.at >= 0;
    at = inside ? v.at * w + u.at : 0;
    right = u.above > 0;
    below = v.above > 0 ? w : 0;
    wu = u.above;
    wv = v.above;
  }
};

// The value of a channel, rounded as on the CPU.
__device__ __forceinline__ double unfused(const real* cell, const Corners& p) {
  const double a = double(acc(cell[0])), b = double(acc(cell[p.right]));
  const double c = double(acc(cell[p.below])), d = double(acc(cell[p.below + p.right]));
  const double top = product(a, 1 - p.wu) + product(b, p.wu), bottom = product(c, 1 - p.wu) + product(d, p.wu);
  return product(top, 1 - p.wv) + product(bottom, p.wv);
}

KERNEL roi_align(const real* x, const double* boxes, real* y, double scale, bool aligned, int sampling, int channels, int h,
                 int w, int rows, int columns, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Place at(i, channels, rows, columns, FEW);
  const double* box = boxes + at.box * 5;
  const Axis down(box[2], box[4], scale, aligned, rows, sampling), across(box[1], box[3], scale, aligned, columns, sampling);
  const int here = channels - at.channel < FEW ? channels - at.channel : FEW, cells = h * w;
  const real* planes = x + ((i64)box[0] * channels + at.channel) * cells;
  acc sum[FEW] = {};
  for (int s = 0; s < down.samples; s++) {
    const Sample v(down, at.row, s, h);
    for (int t = 0; t < across.samples && v.at >= 0; t++) {
      const Corners p(v, Sample(across, at.column, t, w), w);
      if (!p.inside) continue;
      const acc wu = acc(p.wu), wv = acc(p.wv);
      const acc a = (1 - wv) * (1 - wu), b = (1 - wv) * wu, c = wv * (1 - wu), d = wv * wu;
      const real* cell = planes + p.at;
#pragma unroll
      for (int q = 0; q < FEW; q++, cell += cells)
        if (q < here)
          sum[q] += a * acc(cell[0]) + b * acc(cell[p.right]) + c * acc(cell[p.below]) + d * acc(cell[p.below + p.right]);
    }
  }
  const int all = down.samples * across.samples;
  const i64 bins = rows * columns, to = (at.box * channels + at.channel) * bins + at.row * columns + at.column;
  const acc share = 1 / acc(all > 0 ? all : 1);
#pragma unroll
  for (int q = 0; q < FEW; q++)
    if (q < here) y[to + q * bins] = real(sum[q] * share);
}

KERNEL roi_align_choice(const real* x, const double* boxes, i64* chosen, double scale, bool aligned, int sampling,
                        int channels, int h, int w, int rows, int columns, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Place at(i, channels, rows, columns, FEW);
  const double* box = boxes + at.box * 5;
  const Axis down(box[2], box[4], scale, aligned, rows, sampling), across(box[1], box[3], scale, aligned, columns, sampling);
  const int here = channels - at.channel < FEW ? channels - at.channel : FEW, cells = h * w;
  const real* planes = x + ((i64)box[0] * channels + at.channel) * cells;
  double best[FEW] = {};
  int where[FEW];
  for (int q = 0; q < FEW; q++) where[q] = -1;
  for (int s = 0; s < down.samples; s++) {
    const Sample v(down, at.row, s, h);
    for (int t = 0; t < across.samples; t++) {
      const Corners p(v, Sample(across, at.column, t, w), w);
      const real* cell = planes + p.at;
#pragma unroll
      for (int q = 0; q < FEW; q++, cell += cells) {
        const double value = p.inside && q < here ? unfused(cell, p) : 0;
        if (where[q] < 0 || value > best[q] || (value != value && best[q] == best[q])) {
          best[q] = value;
          where[q] = s * across.samples + t;
        }
      }
    }
  }
  const i64 bins = rows * columns, to = (at.box * channels + at.channel) * bins + at.row * columns + at.column;
#pragma unroll
  for (int q = 0; q < FEW; q++)
    if (q < here) chosen[to + q * bins] = where[q];
}

KERNEL roi_align_adjoint_atomic(const real* gy, const double* boxes, const i64* chosen, real* gx, double scale, bool aligned,
                                int sampling, int channels, int h, int w, int rows, int columns, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Place at(i, channels, rows, columns, 1);
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
