// Average pooling and its adjoint.
//
// avg_pool2d             1. y[p, r, o] = sum of x[p] over the window / its number of elements, or / `divisor` if not 0
//   mapping              one thread for each output; neighbouring threads read neighbouring windows
//   bytes                every x about once (overlaps come from cache), y written once
// avg_pool2d_wide        2. the same for windows of many elements, such as whole maps: one block for each output, whose
//                        threads read neighbouring elements; a sum for each thread, then a tree
// avg_pool2d_adjoint_1   1. literal: gx[p, i, c] = sum of gy / number over the outputs whose windows cover the element: a
//                        gather, so nothing is added twice at once; one thread for each element of gx
// avg_pool2d_adjoint     2. one thread for ROWS elements, one below the other, which share the outputs over them and what is
//                        computed for these; neighbouring threads read and write neighbouring columns
//   bytes                gy about once, gx written once
// All are deterministic: the order of addition depends on sizes only.
#include "common.cuh"
#include "split.cuh"
#include "windows.cuh"

constexpr int ROWS = 4;

KERNEL avg_pool2d(const real* x, real* y, int h, int w, int oh, int ow, int rtaps, int rstride, int rpadding, int ctaps,
                  int cstride, int cpadding, bool counted, int divisor, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Split column = split(i, ow), row = split(column.quotient, oh);
  const int r = row.rest, o = column.rest;
  const Range rows = window(r, h, oh, rtaps, rstride, rpadding, 1);
  const Range columns = window(o, w, ow, ctaps, cstride, cpadding, 1);
  const real* plane = x + row.quotient * h * w;
  acc sum = 0;
  for (int v = rows.start; v < rows.stop; v++)
    for (int u = columns.start; u < columns.stop; u++) sum += acc(plane[v * w + u]);
  const acc number = divisor ? acc(divisor) : acc(elements(rows, r, h, rtaps, rstride, rpadding, counted)) *
                                                  acc(elements(columns, o, w, ctaps, cstride, cpadding, counted));
  y[i] = real(sum / number);
}

KERNEL avg_pool2d_wide(const real* x, real* y, int h, int w, int oh, int ow, int rtaps, int rstride, int rpadding,
                       int ctaps, int cstride, int cpadding, bool counted, int divisor) {
  SHARED(acc, scratch, [128]);
  const i64 i = blockIdx.x;
  const Split column = split(i, ow), row = split(column.quotient, oh);
  const int r = row.rest, o = column.rest;
  const Range rows = window(r, h, oh, rtaps, rstride, rpadding, 1);
  const Range columns = window(o, w, ow, ctaps, cstride, cpadding, 1);
  const real* plane = x + row.quotient * h * w;
  const int wide = columns.stop > columns.start ? columns.stop - columns.start : 0;
  const int size = rows.stop > rows.start ? (rows.stop - rows.start) * wide : 0;
  acc sum = 0;
  for (int e = threadIdx.x; e < size; e += blockDim.x)
    sum += acc(plane[(rows.start + e / wide) * w + columns.start + e % wide]);
  sum = block_sum(sum, scratch);
  const acc number = divisor ? acc(divisor) : acc(elements(rows, r, h, rtaps, rstride, rpadding, counted)) *
                                                  acc(elements(columns, o, w, ctaps, cstride, cpadding, counted));
  if (threadIdx.x == 0) y[i] = real(sum / number);
}

KERNEL avg_pool2d_adjoint_1(const real* gy, real* gx, int h, int w, int oh, int ow, int rtaps, int rstride, int rpadding,
                            int ctaps, int cstride, int cpadding, bool counted, int divisor, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Split column = split(i, w), row = split(column.quotient, h);
  const Range over_rows = outputs_over(row.rest, h, oh, rtaps, rstride, rpadding);
  const Range over_columns = outputs_over(column.rest, w, ow, ctaps, cstride, cpadding);
  const real* plane = gy + row.quotient * oh * ow;
  acc sum = 0;
  for (int r = over_rows.start; r < over_rows.stop; r++) {
    const acc tall = elements(window(r, h, oh, rtaps, rstride, rpadding, 1), r, h, rtaps, rstride, rpadding, counted);
    for (int o = over_columns.start; o < over_columns.stop; o++) {
      const Range columns = window(o, w, ow, ctaps, cstride, cpadding, 1);
      const acc wide = elements(columns, o, w, ctaps, cstride, cpadding, counted);
      sum += acc(plane[r * ow + o]) / (divisor ? acc(divisor) : tall * wide);
    }
  }
  gx[i] = real(sum);
}

KERNEL avg_pool2d_adjoint(const real* gy, real* gx, int h, int w, int oh, int ow, int rtaps, int rstride, int rpadding,
                          int ctaps, int cstride, int cpadding, bool counted, int divisor, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Split column = split(i, w), strip = split(column.quotient, (h + ROWS - 1) / ROWS);
  const int c = column.rest, first = strip.rest * ROWS, last = first + ROWS < h ? first + ROWS - 1 : h - 1;
  const int start = outputs_over(first, h, oh, rtaps, rstride, rpadding).start;
  const int stop = outputs_over(last, h, oh, rtaps, rstride, rpadding).stop;
  const Range over = outputs_over(c, w, ow, ctaps, cstride, cpadding);
  acc sum[ROWS] = {};
  for (int r = start; r < stop; r++) {
    const Range rows = window(r, h, oh, rtaps, rstride, rpadding, 1);
    const acc tall = elements(rows, r, h, rtaps, rstride, rpadding, counted);
    const real* line = gy + (strip.quotient * oh + r) * ow;
    acc share = 0;
    for (int o = over.start; o < over.stop; o++) {
      const acc wide = elements(window(o, w, ow, ctaps, cstride, cpadding, 1), o, w, ctaps, cstride, cpadding, counted);
      share += acc(line[o]) / (divisor ? acc(divisor) : tall * wide);
    }
#pragma unroll
    for (int k = 0; k < ROWS; k++)
      if (first + k >= rows.start && first + k < rows.stop) sum[k] += share;
  }
  real* out = gx + (strip.quotient * h + first) * w + c;
#pragma unroll
  for (int k = 0; k < ROWS; k++)
    if (first + k <= last) out[(i64)k * w] = real(sum[k]);
}
