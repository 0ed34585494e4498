// Random bits: Philox4x32-10, word for word those of core/rng.py; and the product with a mask.
//
// philox_mask    keep[i] = word i of the call >= threshold: raw words and an integer comparison, so the same mask everywhere
//   mapping      one thread for each counter, which gives four words; it writes four bytes at once
//   bytes        the mask is written once
// masked_scale   y = x times scale where kept, x times 0 elsewhere (NaN stays NaN); one thread for each pack
//   bytes        x and the mask read once, y written once
// variants       one of each, because Philox is arithmetic in registers and the product streams: both wait for memory alone
// determinism    a word is a function of (key, call, element) alone: no order of threads can change it
//
// Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#include "common.cuh"
#include "packs.cuh"

struct Words { unsigned w0, w1, w2, w3; };

__device__ __forceinline__ Words philox(Words c, unsigned k0, unsigned k1) {
  for (int round = 0; round < 10; round++) {
    const unsigned high0 = __umulhi(0xD2511F53u, c.w0), low0 = 0xD2511F53u * c.w0;
    const unsigned high1 = __umulhi(0xCD9E8D57u, c.w2), low1 = 0xCD9E8D57u * c.w2;
    c = {high1 ^ c.w1 ^ k0, low1, high0 ^ c.w3 ^ k1, low0};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

// `keep` holds four entries for each of the `counters`; `least` is the threshold, 2^32 (nothing is kept) included.
KERNEL philox_mask(bool* keep, unsigned k0, unsigned k1, unsigned call_low, unsigned call_high, i64 least, i64 counters) {
  const i64 i = global_index();
  if (i >= counters) return;
  const Words words = philox({(unsigned)i, (unsigned)(i >> 32), call_low, call_high}, k0, k1);
  const unsigned b0 = (i64)words.w0 >= least, b1 = (i64)words.w1 >= least;
  const unsigned b2 = (i64)words.w2 >= least, b3 = (i64)words.w3 >= least;
  ((unsigned*)keep)[i] = b0 | b1 << 8 | b2 << 16 | b3 << 24;
}

KERNEL masked_scale(const real* x, const bool* keep, real* y, acc scale, i64 count) {
  const i64 first = global_index() * LANES;
  if (first >= count) return;
  Pack a = load_pack(x, first, count);
  for (int k = 0; k < LANES; k++)
    if (first + k < count) a.v[k] = real(acc(a.v[k]) * (keep[first + k] ? scale : acc(0)));
  store_pack(y, first, count, a);
}
