// Adding at indices, where one place may be named many times.
//
// add_rows_atomic   1. literal: one thread for each element, with float atomics; no sort, and not reproducible
//   bytes           rows and index once, out read and written for each row
//
// 2. Floats are added in a fixed order: the host sorts the indices (stably, so equal ones keep their order), and then
//   runs            one thread for each sorted index: where one differs from the one before, a run of equal indices
//                   begins. first, stop: the run of each place, both 0 where nothing goes (the host clears them)
//   add_runs        out[place, column] = sum over the place's run of rows[order[j], column]
//   mapping         a block is so many columns x lanes x places. Neighbouring threads take neighbouring columns (coalesced);
//                   where runs are long, the lanes of one place share its run, and a tree adds up what they found
//   bytes           rows once, out written once, order once for each 32 columns
//   cost            the longest run, over the lanes, is what the launch waits for
// add_integers      whole numbers add up to the same in any order, so atomics are deterministic here
// Places are below `size`; negative indices are dropped.
#include "common.cuh"
#include "split.cuh"

KERNEL runs(const i64* sorted, i64* first, i64* stop, i64 count) {
  const i64 i = global_index();
  if (i >= count || sorted[i] < 0) return;
  if (i == 0 || sorted[i - 1] != sorted[i]) first[sorted[i]] = i;
  if (i == count - 1 || sorted[i + 1] != sorted[i]) stop[sorted[i]] = i + 1;
}

// columns x lanes x places = 256, each a power of two.
KERNEL add_runs(const real* rows, const i64* order, const i64* first, const i64* stop, real* out, int columns, int lanes,
                i64 width, i64 size) {
  SHARED(acc, partial, [256]);
  const int t = threadIdx.x, lane = t / columns % lanes, places = blockDim.x / columns / lanes;
  const i64 across = (width + columns - 1) / columns;  // blocks for one place
  const i64 column = blockIdx.x % across * columns + t % columns;
  const i64 place = blockIdx.x / across * places + t / columns / lanes;
  const bool inside = column < width && place < size;
  acc sum = 0, few = 0;  // two levels, so that a long run does not lose its last rows to rounding
  if (inside) {
    unsigned taken = 0;
    for (i64 j = first[place] + lane; j < stop[place]; j += lanes) {
      few += acc(rows[order[j] * width + column]);
      if ((++taken & 63) == 0) {
        sum += few;
        few = 0;
      }
    }
  }
  partial[t] = sum + few;
  for (int half = lanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane < half) partial[t] += partial[t + half * columns];
  }
  if (inside && lane == 0) out[place * width + column] = real(partial[t]);
}

KERNEL add_rows_atomic(const real* rows, const i64* index, real* out, int width, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Split at = split(i, width);
  const i64 place = index[at.quotient];
  if (place >= 0) atomicAdd(&out[place * width + at.rest], rows[i]);
}

KERNEL add_integers(const i64* values, const i64* index, i64* out, i64 count) {
  const i64 i = global_index();
  if (i < count) atomicAdd((unsigned long long*)&out[index[i]], (unsigned long long)values[i]);
}
