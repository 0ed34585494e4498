// Elementwise functions that the array library does not have.
//
//   erf          y = 2/sqrt(pi) times the integral of exp(-t t) from 0 to x; CUDA's own, within 2 units in the last place
//   mapping      one thread for each pack of 16 bytes
//   bytes        x read once, y written once
//   determinism  each element is computed by itself
//   variants     one, because it is bound by memory already; activations.cu shows the literal mapping beside this one
#include "common.cuh"
#include "packs.cuh"

KERNEL error_function(const real* x, real* y, i64 count) {
  const i64 first = global_index() * LANES;
  if (first >= count) return;
  Pack a = load_pack(x, first, count);
  for (int k = 0; k < LANES; k++) a.v[k] = real(erf(acc(a.v[k])));
  store_pack(y, first, count, a);
}
