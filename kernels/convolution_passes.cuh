// The three passes of a convolution as products of matrices: which element of which array a term of a sum reads, and where
// its result goes. convolution_gemm.cu multiplies what these say.
//
// The right factor's element (term k, column n) is image[place of k + place of n], zero where that lies outside.
// input_grad with a stride: inputs fall into stride_h stride_w phases, each met by taps of its own.
#pragma once

#include "convolution.cuh"

constexpr int NOWHERE = -(1 << 29);  // a row outside every image, also after any shift

struct Place { i64 at; int row, col; };    // an element of the image, or a shift
struct Term { i64 left; Place place; };    // what term k of the sum reads: left[left + m pitch]; -1: no such term

// Whether the element that is `shift` away from `base` lies in an image of that size.
__device__ __forceinline__ bool within(Place base, Place shift, int height, int width) {
  return (unsigned)(base.row + shift.row) < (unsigned)height && (unsigned)(base.col + shift.col) < (unsigned)width;
}

// left_in_fours: whether what terms 4 i .. 4 i + 3 (counted from first()) read of the left factor stands together, in each
// of its rows, at a number that 4 divides.
struct Forward {
  static constexpr bool TERMS_ARE_NEIGHBOURS = false;  // neighbouring windows, not taps, read neighbouring pixels
  Problem p;
  int group, part;
  int start, terms, columns, rows;

  __device__ Forward(const Problem& p, int z, int length)
      : p(p), group(z % p.groups), part(z / p.groups), start(part * length),
        terms(min(start + length, p.group_in() * p.taps())), columns(p.images * p.positions()),
        rows(p.group_out()) {}
  __device__ __forceinline__ int first() const { return start; }
  __device__ __forceinline__ int pitch() const { return p.group_in() * p.taps(); }
  __device__ __forceinline__ i64 out_pitch() const { return p.positions(); }
  __device__ __forceinline__ bool left_in_fours() const { return pitch() % 4 == 0 && start % 4 == 0; }
  __device__ __forceinline__ bool target_in_fours() const { return p.positions() % 4 == 0; }
  __device__ __forceinline__ bool image_in_fours() const { return p.in_fours(); }
  __device__ __forceinline__ bool inside(Place a, Place b) const { return within(a, b, p.in_h, p.in_w); }

  __device__ __forceinline__ Term term(int k) const {
    const int b = k % p.kernel_w * p.dilation_w, a = k / p.kernel_w % p.kernel_h * p.dilation_h;
    return {(i64)group * rows * pitch() + k, {(i64)(k / p.taps()) * p.pixels() + (i64)a * p.in_w + b, a, b}};
  }
  __device__ __forceinline__ Place column(int n) const {
    const int row = n / p.out_w % p.out_h * p.stride_h - p.top, col = n % p.out_w * p.stride_w - p.left;
    const i64 channel = (i64)(n / p.positions()) * p.in_channels + group * p.group_in();
    return {channel * p.pixels() + (i64)row * p.in_w + col, row, col};
  }
  __device__ __forceinline__ i64 target(int n) const {
    const i64 image = (i64)part * p.images + n / p.positions();
    return (image * p.out_channels + group * rows) * p.positions() + n % p.positions();
  }
};

// One axis of one phase of the input gradient: positions first, first + stride, ... and the taps that meet them.
struct Phase {
  int first, positions;      // inputs
  int tap, taps, tap_step;   // the first tap, their number, and the distance between two
  int origin, shift;         // the output that the first tap of the first input meets, and how far the next tap's lies back

  __device__ Phase(int phase, int in, int kernel, int stride, int padding, int dilation)
      : tap(0), taps(0), tap_step(1) {
    first = (phase - padding % stride + stride) % stride;
    positions = first < in ? (in - first + stride - 1) / stride : 0;
    for (int a = 0; a < kernel; a++)
      if (a * dilation % stride == phase) {
        if (taps == 0) tap = a;
        if (taps == 1) tap_step = a - tap;
        taps++;
      }
    origin = (first + padding - tap * dilation) / stride;  // without rest, if there is a tap
    shift = tap_step * dilation / stride;
  }
};

struct InputGrad {
  static constexpr bool TERMS_ARE_NEIGHBOURS = false;
  Problem p;
  int group, part;
  Phase h, w;
  int start, terms, columns, rows;

  __device__ InputGrad(const Problem& p, int z, int length)
      : p(p), group(z % p.groups), part(z / p.groups / p.stride_w / p.stride_h),
        h(z / p.groups / p.stride_w % p.stride_h, p.in_h, p.kernel_h, p.stride_h, p.top, p.dilation_h),
        w(z / p.groups % p.stride_w, p.in_w, p.kernel_w, p.stride_w, p.left, p.dilation_w),
        start(part * length), terms(min(start + length, p.group_out() * h.taps * w.taps)),
        columns(p.images * h.positions * w.positions), rows(p.group_in()) {}
  __device__ __forceinline__ int first() const { return start; }
  __device__ __forceinline__ int pitch() const { return p.taps(); }
  __device__ __forceinline__ i64 out_pitch() const { return p.pixels(); }
  __device__ __forceinline__ bool target_in_fours() const {
    return p.pixels() % 4 == 0 && p.stride_h == 1 && p.stride_w == 1;
  }
  __device__ __forceinline__ bool left_in_fours() const {
    return p.taps() % 4 == 0 && p.stride_h == 1 && p.stride_w == 1 && start % 4 == 0;  // one phase, of all taps
  }
  __device__ __forceinline__ bool image_in_fours() const { return p.in_fours(); }
  __device__ __forceinline__ bool inside(Place a, Place b) const { return within(a, b, p.out_h, p.out_w); }

  __device__ __forceinline__ Term term(int k) const {
    const int b = k % w.taps, a = k / w.taps % h.taps, o = k / w.taps / h.taps;
    const int tap = (h.tap + a * h.tap_step) * p.kernel_w + w.tap + b * w.tap_step;
    const int row = -a * h.shift, col = -b * w.shift;
    return {((i64)group * p.group_out() + o) * rows * p.taps() + tap,
            {(i64)o * p.positions() + (i64)row * p.out_w + col, row, col}};
  }
  __device__ __forceinline__ Place column(int n) const {
    const int row = h.origin + n / w.positions % h.positions, col = w.origin + n % w.positions;
    const i64 channel = (i64)(n / w.positions / h.positions) * p.out_channels + group * p.group_out();
    return {channel * p.positions() + (i64)row * p.out_w + col, row, col};
  }
  __device__ __forceinline__ i64 target(int n) const {
    const i64 row = h.first + n / w.positions % h.positions * p.stride_h, col = w.first + n % w.positions * p.stride_w;
    const i64 image = (i64)part * p.images + n / w.positions / h.positions;
    return (image * p.in_channels + group * rows) * p.pixels() + row * p.in_w + col;
  }
};

struct WeightGrad {
  static constexpr bool TERMS_ARE_NEIGHBOURS = true;
  Problem p;
  int group, part;
  int start, terms, columns, rows;

  __device__ WeightGrad(const Problem& p, int z, int length)
      : p(p), group(z % p.groups), part(z / p.groups), start(part * length),
        terms(min(start + length, p.images * p.positions())), columns(p.group_in() * p.taps()),
        rows(p.group_out()) {}
  __device__ __forceinline__ int first() const { return start; }
  __device__ __forceinline__ int pitch() const { return p.positions(); }
  __device__ __forceinline__ i64 out_pitch() const { return columns; }
  __device__ __forceinline__ bool target_in_fours() const { return columns % 4 == 0; }
  __device__ __forceinline__ bool left_in_fours() const {
    return p.positions() % 4 == 0 && start % 4 == 0 && terms % 4 == 0;
  }
  __device__ __forceinline__ bool image_in_fours() const { return p.in_fours() && left_in_fours(); }
  __device__ __forceinline__ bool inside(Place a, Place b) const { return within(a, b, p.in_h, p.in_w); }

  __device__ __forceinline__ Term term(int k) const {
    const i64 n = k / p.positions();
    const int at = k % p.positions();
    const int row = at / p.out_w * p.stride_h - p.top, col = at % p.out_w * p.stride_w - p.left;
    return {(n * p.out_channels + group * rows) * p.positions() + at,
            {(n * p.in_channels + group * p.group_in()) * p.pixels() + (i64)row * p.in_w + col, row, col}};
  }
  __device__ __forceinline__ Place column(int n) const {
    const int b = n % p.kernel_w * p.dilation_w, a = n / p.kernel_w % p.kernel_h * p.dilation_h;
    return {(i64)(n / p.taps()) * p.pixels() + (i64)a * p.in_w + b, a, b};
  }
  __device__ __forceinline__ i64 target(int n) const {
    return ((i64)part * p.out_channels + group * rows) * columns + n;
  }
};
