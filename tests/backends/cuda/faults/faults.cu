// Kernels with one fault each, and their right twins: what the executors must notice.
#include "common.cuh"

// reverse the elements of each block through shared memory
KERNEL reversed(const real* x, real* y) {
  SHARED(real, tile, [64]);
  tile[threadIdx.x] = x[global_index()];
  __syncthreads();
  y[global_index()] = tile[blockDim.x - 1 - threadIdx.x];
}

KERNEL reversed_without_barrier(const real* x, real* y) {
  SHARED(real, tile, [64]);
  tile[threadIdx.x] = x[global_index()];
  y[global_index()] = tile[blockDim.x - 1 - threadIdx.x];
}

KERNEL divergent_barrier(const real* x, real* y) {
  SHARED(real, tile, [64]);
  tile[threadIdx.x] = x[global_index()];
  if (threadIdx.x % 2) __syncthreads();
  else __syncthreads();
  y[global_index()] = tile[threadIdx.x];
}

KERNEL returns_before_barrier(const real* x, real* y, int count) {
  SHARED(real, tile, [64]);
  if (global_index() >= count) return;
  tile[threadIdx.x] = x[global_index()];
  __syncthreads();
  y[global_index()] = tile[threadIdx.x];
}

KERNEL divergent_shuffle(const real* x, real* y) {
  if (threadIdx.x % 2) y[global_index()] = __shfl_xor_sync(0xffffffff, x[global_index()], 1);
}

KERNEL reads_before_writing(real* y) {
  SHARED(real, tile, [64]);
  y[global_index()] = tile[threadIdx.x];
}

KERNEL sum_race_between_blocks(const real* x, real* y) { y[0] += x[global_index()]; }

KERNEL sum_atomic(const real* x, real* y) { atomicAdd(&y[0], x[global_index()]); }

KERNEL overrun_read(const real* x, real* y) { y[global_index()] = x[global_index() + 1]; }

KERNEL overrun_write(const real* x, real* y) { y[global_index() + 1] = x[global_index()]; }

KERNEL overrun_shared(const real* x, real* y) {
  SHARED(real, tile, [63]);
  tile[threadIdx.x] = x[global_index()];
  __syncthreads();
  y[global_index()] = tile[threadIdx.x];
}

KERNEL warp_sum(const real* x, real* y) {
  real sum = x[global_index()];
  for (int by = 16; by; by /= 2) sum += __shfl_down_sync(0xffffffff, sum, by);
  if (threadIdx.x % 32 == 0) y[global_index() / 32] = sum;
}

KERNEL block_total(const real* x, real* y) {
  SHARED(real, scratch, [64]);
  y[blockIdx.x] = block_sum(x[global_index()], scratch);
}
