// Max pooling with flat indices; gathering and scattering on such indices.
//
// max_pool2d             y[p, r, o] = max of x[p] over the window; index = where it lies in its plane (-1: all padding)
//   mapping              one thread for each output; neighbouring threads read neighbouring windows
//   bytes                every x about once (overlaps come from cache), y and index written once
//   ties                 the first in row-major order wins; NaN wins over everything, of several the last
//   variants             one: neighbours share what their windows overlap through the first-level cache
// max_pool2d_adjoint     gx[p, i] = sum of gy over the outputs whose maximum lies at i. Only the windows over i can have
//                        named it, so that a gather over these few finds them all
//   mapping              one thread for ROWS places, one below the other: it reads each output of the windows over them once,
//                        and neighbouring threads read and write neighbouring columns
//   bytes                gy and index about once (overlaps come from cache), gx written once; nothing is cleared before
//   order                that of the outputs, as in sum_links
// gather_planes          y[p, i] = x[p, index[p, i]], 0 where the index is negative; one thread for each output, one variant,
//                        because nothing is read twice
// scatter_planes         its adjoint, for any indices, no windows known: gx[p, index[p, o]] += gy[p, o], in two variants
//   scatter_planes_atomic  1. literal: one thread for each output, float atomics; one step, and not reproducible
//   link_planes, sum_links 2. deterministic. Which outputs hit a place is not known before, so there are two steps:
//     link_planes        one thread for each output puts it on the list of its place (in any order: integer atomics)
//     sum_links          one thread for each place adds up its list in the order of the outputs
//   bytes                gy twice, index once, a head for each place and a link for each output
//   cost                 lists of overlapping windows are short, and are searched for the next output each time; where that
//                        would take longer than reading the plane's whole index once in order, the thread does this instead
// last_writers           keeps the last of the outputs that hit one place, in two steps of one thread for each output:
//     mark_last          the greatest output of each place (integer atomics: the same in any order)
//     last_writers       -1 in place of the indices of all others
//   bytes                index twice, the result once, a mark for each place
//   variants             one: a thread that looks for later writers itself reads the plane's index once for each output
#include "common.cuh"
#include "split.cuh"
#include "windows.cuh"

KERNEL max_pool2d(const real* x, real* y, int* index, int h, int w, int oh, int ow, int rtaps, int rstride, int rpadding,
                  int rstep, int ctaps, int cstride, int cpadding, int cstep, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Split column = split(i, ow), row = split(column.quotient, oh);
  const Range rows = window(row.rest, h, oh, rtaps, rstride, rpadding, rstep);
  const Range columns = window(column.rest, w, ow, ctaps, cstride, cpadding, cstep);
  const real* plane = x + row.quotient * h * w;
  real best = -INFINITY_;
  int where = rows.start < rows.stop && columns.start < columns.stop ? rows.start * w + columns.start : -1;
  for (int r = rows.start; r < rows.stop; r += rows.step)
    for (int c = columns.start; c < columns.stop; c += columns.step) {
      const real v = plane[r * w + c];
      if (v > best || v != v) {
        best = v;
        where = r * w + c;
      }
    }
  y[i] = best;
  if (index) index[i] = where;
}

constexpr int ROWS = 4;

// A window with gaps covers less than its extent; which places it does cover, the index says.
KERNEL max_pool2d_adjoint(const real* gy, const int* index, real* gx, int h, int w, int oh, int ow, int rtaps, int rstride,
                          int rpadding, int rstep, int ctaps, int cstride, int cpadding, int cstep, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Split column = split(i, w), strip = split(column.quotient, (h + ROWS - 1) / ROWS);
  const int c = column.rest, first = strip.rest * ROWS, last = first + ROWS < h ? first + ROWS - 1 : h - 1;
  const int tall = (rtaps - 1) * rstep + 1, wide = (ctaps - 1) * cstep + 1, place = first * w + c;
  const int start = outputs_over(first, h, oh, tall, rstride, rpadding).start;
  const int stop = outputs_over(last, h, oh, tall, rstride, rpadding).stop;
  const Range columns = outputs_over(c, w, ow, wide, cstride, cpadding);
  acc sum[ROWS] = {};
  for (int r = start; r < stop; r++) {
    const i64 row = (strip.quotient * oh + r) * ow;
    for (int o = columns.start; o < columns.stop; o++) {
      const int at = index[row + o];
      const acc g = acc(gy[row + o]);
#pragma unroll
      for (int k = 0; k < ROWS; k++)
        if (at == place + k * w) sum[k] += g;
    }
  }
  real* out = gx + strip.quotient * h * w + place;
#pragma unroll
  for (int k = 0; k < ROWS; k++)
    if (first + k <= last) out[(i64)k * w] = real(sum[k]);
}

KERNEL gather_planes(const real* x, const int* index, real* y, int inputs, int outputs, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  y[i] = index[i] >= 0 ? x[split(i, outputs).quotient * inputs + index[i]] : real(0);
}

// A sum of two levels, so that a long list does not lose its last outputs to rounding.
struct Total {
  acc sum = 0, few = 0;
  unsigned taken = 0;
  __device__ __forceinline__ void add(acc v) {
    few += v;
    if ((++taken & 63) == 0) {
      sum += few;
      few = 0;
    }
  }
};

// head[p, place]: the output that came last to this place, -1 for none; next[p, i]: the one that came before i.
KERNEL link_planes(const int* index, int* head, int* next, int inputs, int outputs, i64 count) {
  const i64 i = global_index();
  if (i >= count || index[i] < 0) return;
  const Split at = split(i, outputs);
  next[i] = atomicExch(&head[at.quotient * inputs + index[i]], at.rest);
}

KERNEL sum_links(const real* gy, const int* index, const int* head, const int* next, real* gx, int inputs, int outputs,
                 i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Split at = split(i, inputs);
  const i64 plane = at.quotient * outputs;
  i64 length = 0;
  for (int o = head[i]; o >= 0; o = next[plane + o]) length++;
  Total total;
  if (length * length > outputs) {
    for (int o = 0; o < outputs; o++)
      if (index[plane + o] == at.rest) total.add(acc(gy[plane + o]));
  } else {
    for (int done = -1; length > 0; length--) {  // the next larger output each time
      int least = outputs;
      for (int o = head[i]; o >= 0; o = next[plane + o])
        if (o > done && o < least) least = o;
      total.add(acc(gy[plane + least]));
      done = least;
    }
  }
  gx[i] = real(total.sum + total.few);
}

KERNEL scatter_planes_atomic(const real* gy, const int* index, real* gx, int inputs, int outputs, i64 count) {
  const i64 i = global_index();
  if (i < count && index[i] >= 0) atomicAdd(&gx[split(i, outputs).quotient * inputs + index[i]], gy[i]);
}

KERNEL mark_last(const int* index, int* last, int inputs, int outputs, i64 count) {
  const i64 i = global_index();
  if (i >= count || index[i] < 0) return;
  const Split at = split(i, outputs);
  atomicMax(&last[at.quotient * inputs + index[i]], at.rest);
}

KERNEL last_writers(const int* index, const int* last, int* kept, int inputs, int outputs, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Split at = split(i, outputs);
  kept[i] = index[i] >= 0 && last[at.quotient * inputs + index[i]] == at.rest ? index[i] : -1;
}
