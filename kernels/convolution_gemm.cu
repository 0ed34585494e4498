// Implicit GEMM: each pass of a convolution as one product of matrices whose right factor is never written to memory;
// the loaders of the tiles compute where in the image each of its elements lies.
//
//                 C (M x N)              left (M x K)        right (K x N), from the image
//   forward       y  (O x N OH OW)       w                   x under tap k of window n
//   input_grad    gx (C x N H W)         w^T                 gy where tap k of its window meets input n
//   weight_grad   gw (O x C KH KW)       gy                  x under tap n of window k
//
// In all three an element of the right factor is image[place of k + place of n], zero where that lies outside.
// input_grad with a stride: inputs fall into stride_h stride_w phases, each met by taps of its own. A phase is a product
// by itself (blockIdx.x counts them), so that nothing is multiplied by a zero between outputs.
// Where C has fewer tiles than a GPU has multiprocessors, K is cut into parts of `length` terms, whose sums
// convolution.sum_parts adds up afterwards, in order, with bias and ReLU. So it always is in weight_grad, where K is long
// (all windows of the batch) and C small.
//
//   mapping   a block of 256 threads for a tile of C (of a part); tiles.cuh has the products
//   bytes     the left factor once for each tile of columns of C, the right one for each tile of rows; C once, or each of
//             its parts written and read
//   variants  1. forward_1: tiles of 16 x 16, one element after the other: the literal one
//             2. forward: tiles of 128 x 128, of which each thread has 8 x 8; forward_small: 64 x 64 and 4 x 4, for few
//                channels or little work; forward_narrow: 16 x 256 and 4 x 4, for few rows. Two buffers; loads of 16 bytes
//                wherever a factor has four neighbours in line:
//                left      in forward if 4 divides C KH KW, in weight_grad if it divides OH OW, in input_grad if it
//                          divides KH KW and the stride is 1
//                right     if rows of both images are of whole fours and each shift is (in_fours of convolution.cuh):
//                          1 x 1 windows, or dilation and padding of fours; other shifts break the alignment
//                and stores of 16 bytes where C has: 4 divides OH OW, C KH KW, or, with a stride of 1, H W
//             3. forward_tf32: tensor cores, factors rounded to TF32; buffers and loads as in 2
//             The other passes likewise.
//
// Numbers of windows, inputs and terms are int: implicit_gemm.py refuses larger ones.
// Deterministic: each element of C (of a part) is summed by one thread, k upwards.
#include "common.cuh"
#include "convolution.cuh"
#include "tiles.cuh"

constexpr int BLOCKS = sizeof(acc) == 4 ? 2 : 1;  // blocks on a multiprocessor: 128 registers a thread, or 255
constexpr int SMALL_BLOCKS = sizeof(real) == 4 ? 4 : 2;  // of forward_small: 64 registers, which halves exceed by a few
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

// Four neighbours, at one load; of doubles at two, of halves at 8 bytes.
template <typename T>
struct alignas(sizeof(T) > 4 ? 16 : 4 * sizeof(T)) Quad { T v[4]; };

template <typename T>
__device__ __forceinline__ bool begins_a_quad(const T* x) { return (unsigned long long)x % alignof(Quad<T>) == 0; }

// Where sums go: into the result, with bias and ReLU, or as they are into the parts, whose first index is the part.
struct Out {
  real* result;
  acc* parts;  // null if K is whole
  const real* bias;
  int channel;  // of row 0
  bool relu;

  __device__ __forceinline__ bool in_fours() const { return parts ? begins_a_quad(parts) : begins_a_quad(result); }
  __device__ __forceinline__ void one(i64 at, int m, acc sum) const {
    if (parts) parts[at] = sum;
    else result[at] = real(finished(sum, bias, channel + m, relu));
  }
  __device__ __forceinline__ void four(i64 at, int m, const Quad<acc>& sums) const {
    if (parts) {
      *(Quad<acc>*)(parts + at) = sums;
      return;
    }
    Quad<real> quad;
#pragma unroll
    for (int j = 0; j < 4; j++) quad.v[j] = real(finished(sums.v[j], bias, channel + m, relu));
    *(Quad<real>*)(result + at) = quad;
  }
};

// The product.
//
// Variant 1: a tile of 16 x 16, one element of it for each thread, which loads one element of each factor every 16 terms.
template <class Pass>
__device__ __forceinline__ void gemm(Literal, const Pass& pass, const real* left, const real* image, int n0,
                                     const Out& out) {
  SHARED(acc, a, [16][17]);  // 17: the 16 rows of a column lie in different banks
  SHARED(acc, b, [16][17]);
  const int row = threadIdx.x / 16, column = threadIdx.x % 16, m = blockIdx.y * 16 + row, n = n0 + column;
  const Place base = n < pass.columns ? pass.column(n) : Place{0, NOWHERE, NOWHERE};
  acc sum = 0;
  for (int k = pass.first(); k < pass.terms; k += 16) {
    const bool mine = k + column < pass.terms && m < pass.rows;
    a[row][column] = mine ? acc(left[pass.term(k + column).left + (i64)m * pass.pitch()]) : acc(0);
    const Place shift = k + row < pass.terms ? pass.term(k + row).place : Place{0, NOWHERE, NOWHERE};
    b[row][column] = pass.inside(base, shift) ? acc(image[base.at + shift.at]) : acc(0);
    __syncthreads();
    for (int i = 0; i < 16; i++) sum += a[row][i] * b[i][column];
    __syncthreads();
  }
  if (m < pass.rows && n < pass.columns) out.one(pass.target(n) + m * pass.out_pitch(), m, sum);
}

// A tile of a factor, LINES (rows of the left one, columns of the right one) by DEPTH terms: which of its elements, number
// j < EACH, a thread brings. Neighbouring threads take neighbouring terms of a line, or one term of neighbouring lines; so
// do the four of a quad.
struct Element { int term, line; };

template <int LINES, int DEPTH>
struct Shares {
  static constexpr int EACH = (LINES * DEPTH + THREADS - 1) / THREADS, QUADS = (EACH + 3) / 4;
  static constexpr bool FULL = LINES * DEPTH >= 4 * THREADS;  // else some threads bring none

  static __device__ __forceinline__ Element along_terms(int j, bool quad) {
    const int t = threadIdx.x;
    return quad ? Element{t % (DEPTH / 4) * 4 + j % 4, t / (DEPTH / 4) + j / 4 * (THREADS * 4 / DEPTH)}
                : Element{t % DEPTH, t / DEPTH + j * (THREADS / DEPTH)};
  }
  static __device__ __forceinline__ Element along_lines(int j, bool quad) {
    const int t = threadIdx.x;
    return quad ? Element{t / (LINES / 4) + j / 4 * (THREADS * 4 / LINES), t % (LINES / 4) * 4 + j % 4}
                : Element{t / LINES + j * (THREADS / LINES), t % LINES};
  }
};

__device__ __forceinline__ acc& element(Four* line, int i) { return ((acc*)line)[i]; }

// Variants 2 and 3: the next DEPTH terms are loaded into registers while the present ones are multiplied, and then written
// to the other of two buffers, which nobody reads: one barrier for each step.
template <class Product, class Pass>
__device__ __forceinline__ void gemm(Product product, const Pass& pass, const real* left, const real* image, int n0,
                                     const Out& out) {
  constexpr int ROWS = Product::ROWS, COLUMNS = Product::COLUMNS, DEPTH = Product::DEPTH;
  using Left = Shares<ROWS, DEPTH>;
  using Right = Shares<COLUMNS, DEPTH>;
  static_assert(Right::FULL, "four elements of the right tile, or more, for each thread");
  SHARED(Term, terms, [2][DEPTH]);
  SHARED(Four, a, [2][DEPTH][Product::LEFT]);
  SHARED(Four, b, [2][DEPTH][Product::RIGHT]);
  SHARED(float, scratch, [Product::SCRATCH]);  // where tensor cores are made up for
  const int t = threadIdx.x, m0 = blockIdx.y * ROWS;
  constexpr bool BY_TERM = Pass::TERMS_ARE_NEIGHBOURS;
  const bool left_quads = pass.left_in_fours() && begins_a_quad(left);
  const bool image_quads = pass.image_in_fours() && begins_a_quad(image);
  const auto in_left = [](int j, bool quad) { return Left::along_terms(j, quad); };
  const auto in_image = [](int j, bool quad) {
    return BY_TERM ? Right::along_terms(j, quad) : Right::along_lines(j, quad);
  };

  const Place nowhere = {0, NOWHERE, NOWHERE};
  Place columns[BY_TERM ? Right::EACH : 1];
#pragma unroll
  for (int j = 0; j < (BY_TERM ? Right::EACH : 1); j++) {
    const int n = n0 + in_image(j, image_quads).line;
    columns[j] = n < pass.columns ? pass.column(n) : nowhere;
  }

  const auto term = [&](int k) { return k < pass.terms ? pass.term(k) : Term{-1, nowhere}; };
  Quad<real> from_left[Left::QUADS], from_image[Right::QUADS];
  const auto row_of = [&](Element e, i64 at) {  // of the left factor, or -1
    const int m = m0 + e.line;
    return at >= 0 && m < pass.rows && (Left::FULL || e.line < ROWS) ? m : -1;
  };
  const auto fetch = [&](const Term* next) {
    if (left_quads) {
#pragma unroll
      for (int q = 0; q < Left::QUADS; q++) {
        const i64 at = next[in_left(4 * q, true).term].left;
        const i64 m = row_of(in_left(4 * q, true), at);
        from_left[q] = m >= 0 ? *(const Quad<real>*)(left + at + m * pass.pitch()) : Quad<real>{};
      }
    } else {
#pragma unroll
      for (int j = 0; j < Left::EACH; j++) {
        const i64 at = next[in_left(j, false).term].left;
        const i64 m = row_of(in_left(j, false), at);
        from_left[j / 4].v[j % 4] = m >= 0 ? left[at + m * pass.pitch()] : real(0);
      }
    }
    if (image_quads) {
#pragma unroll
      for (int q = 0; q < Right::QUADS; q++) {
        const Place shift = next[in_image(4 * q, true).term].place, base = columns[BY_TERM ? 4 * q : 0];
        from_image[q] = pass.inside(base, shift) ? *(const Quad<real>*)(image + base.at + shift.at) : Quad<real>{};
      }
    } else {
#pragma unroll
      for (int j = 0; j < Right::EACH; j++) {
        const Place shift = next[in_image(j, false).term].place, base = columns[BY_TERM ? j : 0];
        from_image[j / 4].v[j % 4] = pass.inside(base, shift) ? image[base.at + shift.at] : real(0);
      }
    }
  };
  const auto keep = [&](Four (*to_a)[Product::LEFT], Four (*to_b)[Product::RIGHT]) {
#pragma unroll
    for (int j = 0; j < (Left::FULL ? Left::EACH : 4); j++) {
      const Element e = in_left(j, left_quads);
      if (Left::FULL || (e.line < ROWS && (left_quads || j < Left::EACH)))
        element(to_a[e.term], e.line) = Product::staged(acc(from_left[j / 4].v[j % 4]));
    }
#pragma unroll
    for (int q = 0; q < Right::QUADS; q++) {
      Four four;
#pragma unroll
      for (int j = 0; j < 4; j++) four.v[j] = Product::staged(acc(from_image[q].v[j]));
      if (image_quads && !BY_TERM) {
        to_b[in_image(4 * q, true).term][in_image(4 * q, true).line / 4] = four;
      } else {
#pragma unroll
        for (int j = 0; j < 4; j++) {
          const Element e = in_image(4 * q + j, image_quads);
          element(to_b[e.term], e.line) = four.v[j];
        }
      }
    }
  };

  if (t < 2 * DEPTH) terms[t / DEPTH][t % DEPTH] = term(pass.first() + t);
  __syncthreads();
  fetch(terms[0]);
  keep(a[0], b[0]);
  __syncthreads();
  for (int k = pass.first(), now = 0; k < pass.terms; k += DEPTH, now ^= 1) {
    fetch(terms[now ^ 1]);  // beyond the last term there is nothing to read
    product.multiply(a[now], b[now], scratch);
    keep(a[now ^ 1], b[now ^ 1]);
    if (t < DEPTH) terms[now][t] = term(k + 2 * DEPTH + t);
    __syncthreads();
  }

  if (Product::IN_FOURS && pass.target_in_fours() && out.in_fours()) {
#pragma unroll
    for (int i = 0; i < Product::OUTPUTS; i += 4) {
      const int m = m0 + Product::row(i), n = n0 + Product::column(i);
      Quad<acc> four;
#pragma unroll
      for (int j = 0; j < 4; j++) four.v[j] = product.sum(i + j);
      if (m < pass.rows && n < pass.columns) out.four(pass.target(n) + m * pass.out_pitch(), m, four);
    }
  } else {
#pragma unroll
    for (int i = 0; i < Product::OUTPUTS; i++) {
      const int m = m0 + Product::row(i), n = n0 + Product::column(i);
      const acc sum = product.sum(i);
      if (m < pass.rows && n < pass.columns) out.one(pass.target(n) + m * pass.out_pitch(), m, sum);
    }
  }
}

using Large = Micro<8, 16>;
using Small = Micro<4, 16>;
using Narrow = Micro<4, 4>;

// Grid: (parts x phases x groups) x tiles of columns, tiles of rows.
template <class Pass, class Product>
__device__ __forceinline__ void run(const real* left, const real* image, real* result, acc* parts, const real* bias,
                                    const Problem& p, int tiles, int length, bool relu) {
  const Pass pass(p, blockIdx.x / tiles, length);
  const Out out = {result, parts, bias, pass.group * pass.rows, relu};
  gemm(Product(), pass, left, image, blockIdx.x % tiles * Product::COLUMNS, out);
}

KERNEL __launch_bounds__(256) forward_1(
    const real* x, const real* w, const real* bias, real* y, acc* parts, PROBLEM, int tiles, int length, bool relu) {
  run<Forward, Literal>(w, x, y, parts, bias, PROBLEM_VALUES, tiles, length, relu);
}
KERNEL __launch_bounds__(256, BLOCKS) forward(
    const real* x, const real* w, const real* bias, real* y, acc* parts, PROBLEM, int tiles, int length, bool relu) {
  run<Forward, Large>(w, x, y, parts, bias, PROBLEM_VALUES, tiles, length, relu);
}
KERNEL __launch_bounds__(256, SMALL_BLOCKS) forward_small(
    const real* x, const real* w, const real* bias, real* y, acc* parts, PROBLEM, int tiles, int length, bool relu) {
  run<Forward, Small>(w, x, y, parts, bias, PROBLEM_VALUES, tiles, length, relu);
}
KERNEL __launch_bounds__(256, BLOCKS) forward_narrow(
    const real* x, const real* w, const real* bias, real* y, acc* parts, PROBLEM, int tiles, int length, bool relu) {
  run<Forward, Narrow>(w, x, y, parts, bias, PROBLEM_VALUES, tiles, length, relu);
}
KERNEL __launch_bounds__(256, BLOCKS) forward_tf32(
    const real* x, const real* w, const real* bias, real* y, acc* parts, PROBLEM, int tiles, int length, bool relu) {
  run<Forward, Tensor>(w, x, y, parts, bias, PROBLEM_VALUES, tiles, length, relu);
}

KERNEL __launch_bounds__(256) input_grad_1(
    const real* gy, const real* w, real* gx, acc* parts, PROBLEM, int tiles, int length) {
  run<InputGrad, Literal>(w, gy, gx, parts, nullptr, PROBLEM_VALUES, tiles, length, false);
}
KERNEL __launch_bounds__(256, BLOCKS) input_grad(
    const real* gy, const real* w, real* gx, acc* parts, PROBLEM, int tiles, int length) {
  run<InputGrad, Large>(w, gy, gx, parts, nullptr, PROBLEM_VALUES, tiles, length, false);
}
KERNEL __launch_bounds__(256) input_grad_small(
    const real* gy, const real* w, real* gx, acc* parts, PROBLEM, int tiles, int length) {
  run<InputGrad, Small>(w, gy, gx, parts, nullptr, PROBLEM_VALUES, tiles, length, false);
}
KERNEL __launch_bounds__(256, BLOCKS) input_grad_narrow(
    const real* gy, const real* w, real* gx, acc* parts, PROBLEM, int tiles, int length) {
  run<InputGrad, Narrow>(w, gy, gx, parts, nullptr, PROBLEM_VALUES, tiles, length, false);
}
KERNEL __launch_bounds__(256, BLOCKS) input_grad_tf32(
    const real* gy, const real* w, real* gx, acc* parts, PROBLEM, int tiles, int length) {
  run<InputGrad, Tensor>(w, gy, gx, parts, nullptr, PROBLEM_VALUES, tiles, length, false);
}

KERNEL __launch_bounds__(256) weight_grad_1(
    const real* gy, const real* x, acc* parts, PROBLEM, int tiles, int length) {
  run<WeightGrad, Literal>(gy, x, nullptr, parts, nullptr, PROBLEM_VALUES, tiles, length, false);
}
KERNEL __launch_bounds__(256, BLOCKS) weight_grad(
    const real* gy, const real* x, acc* parts, PROBLEM, int tiles, int length) {
  run<WeightGrad, Large>(gy, x, nullptr, parts, nullptr, PROBLEM_VALUES, tiles, length, false);
}
KERNEL __launch_bounds__(256) weight_grad_small(
    const real* gy, const real* x, acc* parts, PROBLEM, int tiles, int length) {
  run<WeightGrad, Small>(gy, x, nullptr, parts, nullptr, PROBLEM_VALUES, tiles, length, false);
}
KERNEL __launch_bounds__(256, BLOCKS) weight_grad_narrow(
    const real* gy, const real* x, acc* parts, PROBLEM, int tiles, int length) {
  run<WeightGrad, Narrow>(gy, x, nullptr, parts, nullptr, PROBLEM_VALUES, tiles, length, false);
}
KERNEL __launch_bounds__(256, BLOCKS) weight_grad_tf32(
    const real* gy, const real* x, acc* parts, PROBLEM, int tiles, int length) {
  run<WeightGrad, Tensor>(gy, x, nullptr, parts, nullptr, PROBLEM_VALUES, tiles, length, false);
}
