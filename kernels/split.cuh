// Taking a flat index apart into rows and columns.
#pragma once

// i = quotient * by + rest, in 32 bits where the index fits: a GPU has no instruction for division, and 64 bits take a
// routine several times as long. NVRTC's compiler turns i / by and i % by of 64 bits into the same question and the same
// two ways; here it is written out for compilers that do not, and the rest is an int at once.
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
