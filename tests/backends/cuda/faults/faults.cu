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

KERNEL block_sums_at_two_places(const real* x, real* y) {
  SHARED(real, scratch, [64]);
  const real v = x[global_index()];
  y[global_index()] = threadIdx.x % 2 ? block_sum(v, scratch)
                                      : block_sum(-v, scratch);
}

KERNEL shared_across_a_shuffle(const real* x, real* y) {  // a shuffle orders no memory
  SHARED(real, tile, [64]);
  tile[threadIdx.x] = x[global_index()];
  const real v = __shfl_xor_sync(0xffffffff, x[global_index()], 1);
  y[global_index()] = v + tile[threadIdx.x ^ 1];
}

KERNEL shared_across_a_warp_barrier(const real* x, real* y) {
  SHARED(real, tile, [64]);
  tile[threadIdx.x] = x[global_index()];
  __syncwarp();
  y[global_index()] = tile[threadIdx.x ^ 1];
}

KERNEL half_a_mask(const real* x, real* y) { y[global_index()] = __shfl_xor_sync(0xffff, x[global_index()], 1); }

KERNEL from_lanes(const real* x, real* y, int source) { y[threadIdx.x] = __shfl_sync(0xffffffff, x[threadIdx.x], source); }

KERNEL greater_and_less(const real* x, const real* other, real* y) {
  y[0] = max(x[0], other[0]);
  y[1] = min(x[0], other[0]);
}

KERNEL uninitialised_local(real* y, int count) {
  real values[4];
  for (int i = 0; i < count; i++) values[i] = real(i);
  y[global_index()] = values[3];
}

KERNEL writes_the_first_half(real* y) {
  if (threadIdx.x < blockDim.x / 2) y[global_index()] = real(1);
}

KERNEL accumulate_twice(real* x, real* same) {  // given one array twice
  x[threadIdx.x] = real(1);
  same[63 - threadIdx.x] = real(2);
}

KERNEL address_modulo_16(const real* x, real* y) {
  if (threadIdx.x == 0 && (i64)x % 16 != 4) y[(i64)1 << 40] = real(0);
}

KERNEL deep_stack(real* y) {
  volatile real values[25000];
  for (int i = 0; i < 25000; i++) values[i] = real(i);
  __syncthreads();
  y[global_index()] = values[24999 - threadIdx.x];
}

KERNEL __launch_bounds__(max(64, 32)) bounded(const real* x /* (x) */, real* y) {  // ) not here
  y[global_index()] = x[global_index()];
}

KERNEL between_blocks(real* y) {  // 512 threads each: blocks race with each other, wherever they lie in the grid
  if (threadIdx.x == 0 && (blockIdx.x == 0 || blockIdx.x == gridDim.x - 1)) y[0] = real(blockIdx.x);
}

#ifdef __CUDACC__
DEVICE_KERNEL for_a_gpu(real* y) { asm("trap;"); }
#endif
