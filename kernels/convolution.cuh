// The numbers of one 2-D convolution, as minicnn/backends/convolution.py has them.
//
//   y[n, o, r, c] = sum over i, a, b of w[o, i, a, b] x[n, i, r stride_h + a dilation_h - top, c stride_w + ... - left]
//
// A kernel takes them as the parameters PROBLEM and says `const Problem p PROBLEM_VALUES;`.
#pragma once

#define PROBLEM int images, int groups, int in_channels, int out_channels, int in_h, int in_w, int out_h, int out_w, \
                int kernel_h, int kernel_w, int stride_h, int stride_w, int top, int left, int dilation_h, int dilation_w
#define PROBLEM_VALUES {images, groups, in_channels, out_channels, in_h, in_w, out_h, out_w, \
                        kernel_h, kernel_w, stride_h, stride_w, top, left, dilation_h, dilation_w}

struct Problem {
  int images, groups, in_channels, out_channels, in_h, in_w, out_h, out_w;
  int kernel_h, kernel_w, stride_h, stride_w, top, left, dilation_h, dilation_w;

  __device__ __forceinline__ int group_in() const { return in_channels / groups; }
  __device__ __forceinline__ int group_out() const { return out_channels / groups; }
  __device__ __forceinline__ int pixels() const { return in_h * in_w; }
  __device__ __forceinline__ int positions() const { return out_h * out_w; }
  __device__ __forceinline__ int taps() const { return kernel_h * kernel_w; }
  __device__ __forceinline__ bool inside(int row, int col) const {
    return row >= 0 && row < in_h && col >= 0 && col < in_w;
  }
  // Whether windows 4 i .. 4 i + 3 stand in one row and, under every tap, on four neighbouring pixels, the first of which
  // has a number that 4 divides: all of them inside, or none. So do inputs 4 i .. 4 i + 3 on the outputs.
  __device__ __forceinline__ bool in_fours() const {
    return stride_w == 1 && in_w % 4 == 0 && out_w % 4 == 0 && left % 4 == 0 && (kernel_w == 1 || dilation_w % 4 == 0);
  }
  // The output index whose window has its tap at that distance (input index + padding - tap's shift), or -1.
  __device__ __forceinline__ static int met(int distance, int stride, int out) {
    if (distance < 0) return -1;
    if (stride == 1) return distance < out ? distance : -1;
    const int o = distance / stride;
    return o * stride == distance && o < out ? o : -1;
  }
};

// A finished output: with its bias, and rectified; NaN stays NaN.
__device__ __forceinline__ acc finished(acc sum, const real* bias, int channel, bool relu) {
  if (bias) sum += acc(bias[channel]);
  return relu && sum < acc(0) ? acc(0) : sum;
}
