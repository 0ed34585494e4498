// What every kernel file includes: its element types and the few words that CUDA and the emulator spell differently.
//
// A file is compiled once for each element type. The compiler is given
//   REAL   the type of float arrays: float, double, __half or __nv_bfloat16
//   ACC    the type that sums are kept in: float for the half types, REAL itself for the others
//
// Rules that every kernel keeps
//   - arrays are contiguous, row-major; their sizes come as int, flat indices are i64
//   - a kernel with a barrier lets every thread of its block reach it: no early return before the last barrier
//   - shared arrays are declared by SHARED at the top of the kernel, with a constant extent
//   - no float atomics, unless the kernel's name ends in _atomic: sums are added in an order that the sizes fix
#pragma once

typedef REAL real;
typedef ACC acc;
typedef long long i64;
typedef unsigned char u8;

#define KERNEL extern "C" __global__ void

// A kernel that the emulator cannot run: it stands between #ifdef __CUDACC__ and #endif, beside a KERNEL that does the same.
#define DEVICE_KERNEL KERNEL

#ifdef __CUDACC__  // NVRTC and nvcc; kernels/emulator.hpp defines the other spelling
#define CALLER  // ends the parameters of a function with a barrier: the emulator tells its calls apart by it
#define SHARED(type, name, extent) __shared__ type name extent
#define INFINITY_ (__int_as_float(0x7f800000))
#endif

// The number of this thread among all of a one-dimensional grid.
__device__ __forceinline__ i64 global_index() { return (i64)blockIdx.x * blockDim.x + threadIdx.x; }

// Sum over the block, the same in every thread. `scratch` is a shared array of blockDim.x (a power of two) elements.
// A tree of fixed shape: the order of addition depends on the block's size only.
template <typename T>
__device__ __forceinline__ T block_sum(T value, T* scratch CALLER) {
  const int t = threadIdx.x;
  scratch[t] = value;
  __syncthreads();
  for (int half = blockDim.x / 2; half > 0; half /= 2) {
    if (t < half) scratch[t] += scratch[t + half];
    __syncthreads();
  }
  const T total = scratch[0];
  __syncthreads();  // so that scratch may be used again
  return total;
}
