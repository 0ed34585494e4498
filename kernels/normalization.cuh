// How the norms' kernels walk through a row, and the sums over a block that they share.
//
// An array is seen as (outer, rows, length): row b holds x[a, b, i] for all a and i, n = outer * length elements. The
// length is parts of `run` elements that share a weight and a bias, those of (b % groups, i / run). Batch norm has
// outer = N, rows = C, parts = 1; layer norm has outer = 1, rows of independent samples, run = 1; group norm lies between.
#pragma once

#include "packs.cuh"
#include "split.cuh"

constexpr int THREADS = 256;

// Rows are read W neighbours at a time: 16 bytes where lengths and runs are whole packs, else one element. Which of the two
// depends on sizes only, so sums do too; an array that does not lie on 16 bytes is read in the same order, by elements.
__device__ __forceinline__ bool in_packs(int length, int run) {
  return length % LANES == 0 && (run == 1 || run % LANES == 0);
}

// Packs that a thread has under way at a time: loads do not wait for each other, nor sums.
template <int W> constexpr int DEEP = W == 1 ? 8 : 4;
// The same where two arrays are read, or read and written: fewer registers, so that more threads are there to wait.
template <int W> constexpr int SHALLOW = DEEP<W> / 2;

template <int W> struct alignas(W * sizeof(real)) Few { real v[W]; };

template <int W> __device__ __forceinline__ Few<W> take(const real* x, bool whole) {
  if (whole) return *(const Few<W>*)x;
  Few<W> few;
#pragma unroll
  for (int e = 0; e < W; e++) few.v[e] = x[e];
  return few;
}

template <int W> __device__ __forceinline__ void put(real* y, bool whole, const Few<W>& few) {
  if (whole) {
    *(Few<W>*)y = few;
    return;
  }
#pragma unroll
  for (int e = 0; e < W; e++) y[e] = few.v[e];
}

// A row, and which of its packs a block takes: those first .. stop - 1, numbered through (a, i).
struct Row { int rows, length, b; i64 first, stop; };

template <int W> __device__ __forceinline__ Row slice_of(int rows, int outer, int length, int slices, int b, int slice) {
  const i64 n = (i64)outer * (length / W), share = (n + slices - 1) / slices, first = slice * share;
  return {rows, length, b, first < n ? first : n, first + share < n ? first + share : n};
}

// The thread's walk through them, from either end, without a division or a product for each step.
template <int W, bool BACK = false> struct Walk {
  int left;    // packs still to come
  int i;       // the present one within its length, in packs
  i64 place;   // where it begins in the array
  int per, by;
  i64 jump, wrap;  // a step, and what it adds where it leaves a length
  __device__ __forceinline__ Walk(const Row& row) {
    const i64 behind = row.stop - row.first - threadIdx.x;
    left = behind > 0 ? (int)((behind + blockDim.x - 1) / blockDim.x) : 0;
    per = row.length / W;
    const Split at = split(left == 0 ? 0 : BACK ? row.stop - 1 - threadIdx.x : row.first + threadIdx.x, per);
    const Split step = split(blockDim.x, per);
    i = at.rest;
    by = step.rest;
    place = (at.quotient * row.rows + row.b) * row.length + i * W;
    jump = step.quotient * row.rows * row.length + by * W;
    wrap = (i64)(row.rows - 1) * row.length;
  }
  __device__ __forceinline__ void step() {
    left--;
    if (BACK) {
      i -= by;
      place -= jump;
      if (i < 0) { i += per; place -= wrap; }
    } else {
      i += by;
      place += jump;
      if (i >= per) { i -= per; place += wrap; }
    }
  }
};

// The weights, or biases, of a pack; `first` is that of the row.
template <int W> struct Parameters { acc v[W]; };

template <int W>
__device__ __forceinline__ Parameters<W> parameters(const real* p, acc without, int first, int i, int length, int run) {
  Parameters<W> found;
  Few<W> given;
  if (p && run == 1) given = take<W>(p + first + i * W, aligned(p));
  const acc one = !p ? without : run == 1 ? acc(0) : acc(p[first + (run == length ? 0 : i * W / run)]);
#pragma unroll
  for (int e = 0; e < W; e++) found.v[e] = p && run == 1 ? acc(given.v[e]) : one;
  return found;
}

// The sum over the block, the same in every thread. `warps` is shared.
__device__ __forceinline__ double total(double value, double* warps CALLER) {
  for (int by = 16; by > 0; by /= 2) value += __shfl_xor_sync(0xffffffff, value, by);
  if (blockDim.x == 32) return value;
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  double sum = 0;
  for (int w = 0; w < (int)blockDim.x / 32; w++) sum += warps[w];
  __syncthreads();  // so that warps may be used again
  return sum;
}
