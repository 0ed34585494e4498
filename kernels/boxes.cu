// Greedy non-maximum suppression of boxes that are sorted by falling score.
//
// overlap_bits   bit b of bits[i, w]: box i meets box j = 64 w + b, j > i, of its class, by more than the threshold
//   mapping      a block of 64 threads compares 64 boxes with 64 others, which wait in shared memory; blocks below the
//                diagonal have nothing to do, and nobody reads their words
//   bytes        n^2 / 8 written (12 MB for 10,000 boxes), boxes n^2 / 64 times
// keep_greedily  alive[i]: no box before i that is alive meets it. One block; 64 boxes at a time: as many threads fetch the
//                words by which these meet each other, one thread settles them in shared memory, a few instructions a box and
//                none that waits for memory; then all threads drop what the survivors meet later, one word each
//   bytes        the words of boxes that are kept, once
// One variant of each, because the two are the split already: what is quadratic runs on all multiprocessors and leaves bits,
// and what has to go box by box, by definition of greedy, reads nothing else.
// Overlaps are computed in double, by the CPU's formula and with its roundings; nothing depends on timing.
#include "common.cuh"
#include "rounding.cuh"

typedef unsigned long long u64;

// Intersection over union; 0 where the union has no area.
__device__ __forceinline__ double overlap(const double* a, const double* b, double extra) {
  const double width = (a[2] < b[2] ? a[2] : b[2]) - (a[0] > b[0] ? a[0] : b[0]) + extra;
  const double height = (a[3] < b[3] ? a[3] : b[3]) - (a[1] > b[1] ? a[1] : b[1]) + extra;
  if (!(width > 0 && height > 0)) return 0;
  const double shared = product(width, height);
  const double first = product(a[2] - a[0] + extra, a[3] - a[1] + extra);
  const double second = product(b[2] - b[0] + extra, b[3] - b[1] + extra);
  return shared / (first + second - shared);
}

KERNEL overlap_bits(const double* boxes, const i64* classes, i64* bits, double threshold, double extra, int n, int words) {
  SHARED(double, other, [256]);
  SHARED(i64, group, [64]);
  const int t = threadIdx.x, i = blockIdx.y * 64 + t, start = blockIdx.x * 64;
  if (start + t < n) {
    for (int k = 0; k < 4; k++) other[4 * t + k] = boxes[4 * (i64)(start + t) + k];
    group[t] = classes ? classes[start + t] : 0;
  }
  __syncthreads();
  if (i >= n || blockIdx.x < blockIdx.y) return;
  const i64 mine = classes ? classes[i] : 0;
  u64 word = 0;
  for (int b = i < start ? 0 : i - start + 1; b < 64 && start + b < n; b++)
    if (group[b] == mine && overlap(boxes + 4 * (i64)i, other + 4 * b, extra) > threshold) word |= (u64)1 << b;
  bits[(i64)i * words + blockIdx.x] = (i64)word;
}

// `dropped` holds a bit for each box, cleared by the host.
KERNEL keep_greedily(const i64* bits, i64* dropped, bool* alive, int n, int words) {
  SHARED(u64, met, [64]);
  SHARED(u64, kept, [1]);
  const int t = threadIdx.x;
  for (int first = 0; first < words; first++) {
    const int low = 64 * first, size = n - low < 64 ? n - low : 64;
    if (t < 64) met[t] = t < size ? (u64)bits[(i64)(low + t) * words + first] : 0;
    __syncthreads();
    if (t == 0) {
      u64 gone = (u64)dropped[first], stay = 0;
#pragma unroll
      for (int b = 0; b < 64; b++) {
        const u64 free = ~gone >> b & 1;
        stay |= free << b;
        gone |= free ? met[b] : 0;
      }
      kept[0] = stay;
    }
    __syncthreads();
    const u64 stay = kept[0];
    if (t < size) alive[low + t] = stay >> t & 1;
    for (int w = first + 1 + t; w < words; w += blockDim.x) {
      u64 later = 0;
      for (int b = 0; b < size; b++)
        if (stay >> b & 1) later |= (u64)bits[(i64)(low + b) * words + w];
      dropped[w] |= (i64)later;
    }
    __syncthreads();
  }
}
