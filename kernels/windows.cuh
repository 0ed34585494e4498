// Where a sliding window lies along one axis; max and average pooling share it.
#pragma once

// A window has `taps` elements, `step` apart (the dilation), and moves by `stride`; n is the input's length.
// Output `o` of `out` covers start, start + step, ... below stop; elements in the padding are left out.
// A stride of 0 means adaptive windows: floor(o n / out) .. ceil((o + 1) n / out).
struct Range { int start, stop, step; };

__device__ __forceinline__ Range window(int o, int n, int out, int taps, int stride, int padding, int step) {
  if (stride == 0) return {(int)((i64)o * n / out), (int)(((i64)(o + 1) * n + out - 1) / out), 1};
  const int first = o * stride - padding, stop = first + (taps - 1) * step + 1;
  const int skipped = first < 0 ? (-first + step - 1) / step : 0;
  return {first + skipped * step, stop < n ? stop : n, step};
}

// What numbers that are not negative give. A division is a long sequence of instructions; strides are seldom above two,
// and a branch that all threads take alike costs one.
__device__ __forceinline__ int quotient(int number, int stride) {
  return stride == 1 ? number : stride == 2 ? number >> 1 : (int)((unsigned)number / (unsigned)stride);
}

// The same relation read backwards: the outputs whose windows cover input `i` (windows without gaps).
__device__ __forceinline__ Range outputs_over(int i, int n, int out, int taps, int stride, int padding) {
  if (stride == 0) return {(int)((i64)i * out / n), (int)(((i64)(i + 1) * out + n - 1) / n), 1};
  const int before = i + padding - taps;  // the first window that covers i starts behind it
  const int first = before < 0 ? 0 : quotient(before, stride) + 1, stop = quotient(i + padding, stride) + 1;
  return {first, stop < out ? stop : out, 1};
}

// What an average divides by along one axis: the window's elements, with `counted` also those in the padding.
__device__ __forceinline__ int elements(Range range, int o, int n, int taps, int stride, int padding, bool counted) {
  if (stride == 0) return range.stop - range.start;
  if (!counted) return range.stop - range.start > 1 ? range.stop - range.start : 1;
  const int start = o * stride - padding, stop = start + taps;
  return (stop < n + padding ? stop : n + padding) - start;
}
