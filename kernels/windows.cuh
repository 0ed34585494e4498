// Where a sliding window lies along one axis; max and average pooling share it.
#pragma once

// Output `o` of `out` covers start, start + step, ... below stop; elements in the padding are left out.
// A stride of 0 means adaptive windows: floor(o n / out) .. ceil((o + 1) n / out).
struct Range { int start, stop, step; };

__device__ __forceinline__ Range window(int o, int n, int out, int taps, int stride, int padding, int step) {
  if (stride == 0) return {(int)((i64)o * n / out), (int)(((i64)(o + 1) * n + out - 1) / out), 1};
  const int first = o * stride - padding, stop = first + (taps - 1) * step + 1;
  const int skipped = first < 0 ? (-first + step - 1) / step : 0;
  return {first + skipped * step, stop < n ? stop : n, step};
}
