// Products that are rounded by themselves. CUDA's compiler fuses a product with the sum that it goes into, which rounds
// once where the CPU rounds twice; where the result is compared with a limit or rounded to a cell, the last bit decides.
#pragma once

#ifdef __CUDACC__
__device__ __forceinline__ double product(double a, double b) { return __dmul_rn(a, b); }
#else
inline double product(double a, double b) { return a * b; }  // the emulator is compiled with -ffp-contract=off
#endif
