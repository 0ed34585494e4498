// Taking a flat index apart into rows and columns.
#pragma once

// i = quotient * by + rest. A GPU has no instruction for division: 64 bits take a long routine, 32 a few instructions, so
// it is done in 32 where the index fits.
struct Split {
  i64 quotient;
  int rest;
};

__device__ __forceinline__ Split split(i64 i, int by) {
  if (i >> 32 == 0) {
    const unsigned quotient = (unsigned)i / (unsigned)by;
    return {(i64)quotient, (int)((unsigned)i - quotient * (unsigned)by)};
  }
  const i64 quotient = i / by;
  return {quotient, (int)(i - quotient * by)};
}
