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
// weight_grad: K is long (all windows of the batch) and C small, so K is cut into parts that convolution.sum_parts adds
// up afterwards, in order.
//
//   mapping   a block of 256 threads for a TILE x TILE tile of C; loads of the next DEPTH terms are under way while the
//             present ones are multiplied; tiles.cuh has the products
//   bytes     each factor once for every TILE rows or columns of C; C once
//   variants  forward: tiles of 128 x 128. forward_small: 64 x 64, for few channels or little work. forward_tf32: tensor
//             cores, factors rounded to TF32. The other passes likewise.
//
// Numbers of windows, inputs and terms are int: implicit_gemm.py refuses larger ones.
// Deterministic: each element of C (of a part) is summed by one thread, k upwards.
#include "common.cuh"
#include "convolution.cuh"
#include "tiles.cuh"

constexpr int BLOCKS = sizeof(acc) == 4 ? 2 : 1;  // blocks on a multiprocessor: 128 registers a thread, or 255
constexpr int NOWHERE = -(1 << 29);  // a row outside every image, also after any shift

struct Place { i64 at; int row, col; };    // an element of the image, or a shift
struct Term { i64 left; Place place; };    // what term k of the sum reads: left[left + m pitch]; -1: no such term

struct Forward {
  static constexpr bool TERMS_ARE_NEIGHBOURS = false;  // neighbouring windows, not taps, read neighbouring pixels
  Problem p;
  int group;
  int terms, columns, rows;

  __device__ Forward(const Problem& p, int z)
      : p(p), group(z), terms(p.group_in() * p.taps()), columns(p.images * p.positions()),
        rows(p.group_out()) {}
  __device__ __forceinline__ int first() const { return 0; }
  __device__ __forceinline__ int height() const { return p.in_h; }
  __device__ __forceinline__ int width() const { return p.in_w; }
  __device__ __forceinline__ i64 pitch() const { return terms; }
  __device__ __forceinline__ i64 out_pitch() const { return p.positions(); }

  __device__ __forceinline__ Term term(int k) const {
    const int b = k % p.kernel_w * p.dilation_w, a = k / p.kernel_w % p.kernel_h * p.dilation_h;
    return {(i64)group * rows * terms + k, {(i64)(k / p.taps()) * p.pixels() + (i64)a * p.in_w + b, a, b}};
  }
  __device__ __forceinline__ Place column(int n) const {
    const int row = n / p.out_w % p.out_h * p.stride_h - p.top, col = n % p.out_w * p.stride_w - p.left;
    const i64 channel = (i64)(n / p.positions()) * p.in_channels + group * p.group_in();
    return {channel * p.pixels() + (i64)row * p.in_w + col, row, col};
  }
  __device__ __forceinline__ i64 target(int n) const {
    return ((i64)(n / p.positions()) * p.out_channels + group * rows) * p.positions() + n % p.positions();
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
  int group;
  Phase h, w;
  int terms, columns, rows;

  __device__ InputGrad(const Problem& p, int z)
      : p(p), group(z % p.groups),
        h(z / p.groups / p.stride_w, p.in_h, p.kernel_h, p.stride_h, p.top, p.dilation_h),
        w(z / p.groups % p.stride_w, p.in_w, p.kernel_w, p.stride_w, p.left, p.dilation_w),
        terms(p.group_out() * h.taps * w.taps), columns(p.images * h.positions * w.positions),
        rows(p.group_in()) {}
  __device__ __forceinline__ int first() const { return 0; }
  __device__ __forceinline__ int height() const { return p.out_h; }
  __device__ __forceinline__ int width() const { return p.out_w; }
  __device__ __forceinline__ i64 pitch() const { return p.taps(); }
  __device__ __forceinline__ i64 out_pitch() const { return p.pixels(); }

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
    return ((i64)(n / w.positions / h.positions) * p.in_channels + group * rows) * p.pixels() + row * p.in_w + col;
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
  __device__ __forceinline__ int height() const { return p.in_h; }
  __device__ __forceinline__ int width() const { return p.in_w; }
  __device__ __forceinline__ i64 pitch() const { return p.positions(); }
  __device__ __forceinline__ i64 out_pitch() const { return columns; }

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

// The product; out(flat index of the result, row, sum) keeps an element.
template <class Product, class Pass, class Out>
__device__ __forceinline__ void gemm(const Pass& pass, const real* left, const real* image, int n0, Out out) {
  constexpr int TILE = Product::TILE, LOADS = TILE * DEPTH / THREADS;
  SHARED(Term, terms, [DEPTH]);
  SHARED(acc, a, [DEPTH][TILE + MARGIN]);
  SHARED(acc, b, [DEPTH][TILE + MARGIN]);
  SHARED(float, scratch, [Product::SCRATCH]);  // where tensor cores are made up for
  const int t = threadIdx.x, m0 = blockIdx.y * TILE;
  const Place nowhere = {0, NOWHERE, NOWHERE};

  // Of a tile of the left factor a thread loads term t % DEPTH of every 32nd row. Of the right factor it does the same by
  // columns, or it loads every few terms of one column, whichever reads neighbouring pixels.
  constexpr bool BY_TERM = Pass::TERMS_ARE_NEIGHBOURS;
  constexpr int COLUMNS = BY_TERM ? LOADS : 1;
  Place columns[COLUMNS];
#pragma unroll
  for (int j = 0; j < COLUMNS; j++) {
    const int n = n0 + (BY_TERM ? t / DEPTH + j * (THREADS / DEPTH) : t % TILE);
    columns[j] = n < pass.columns ? pass.column(n) : nowhere;
  }

  const auto term = [&](int k) { return k < pass.terms ? pass.term(k) : Term{-1, nowhere}; };
  acc from_left[LOADS], from_image[LOADS];
  const auto fetch = [&]() {
    const i64 at = terms[t % DEPTH].left;
#pragma unroll
    for (int j = 0; j < LOADS; j++) {
      const int m = m0 + t / DEPTH + j * (THREADS / DEPTH);
      from_left[j] = at >= 0 && m < pass.rows ? acc(left[at + m * pass.pitch()]) : acc(0);
      const Place shift = terms[BY_TERM ? t % DEPTH : t / TILE + j * (THREADS / TILE)].place;
      const Place base = columns[BY_TERM ? j : 0];
      const int row = base.row + shift.row, col = base.col + shift.col;
      const bool inside = (unsigned)row < (unsigned)pass.height() && (unsigned)col < (unsigned)pass.width();
      from_image[j] = inside ? acc(image[base.at + shift.at]) : acc(0);
    }
  };

  Product product;
  if (t < DEPTH) terms[t] = term(pass.first() + t);
  __syncthreads();
  fetch();
  __syncthreads();
  for (int k = pass.first(); k < pass.terms; k += DEPTH) {
#pragma unroll
    for (int j = 0; j < LOADS; j++) {
      a[t % DEPTH][t / DEPTH + j * (THREADS / DEPTH)] = Product::staged(from_left[j]);
      if (BY_TERM) b[t % DEPTH][t / DEPTH + j * (THREADS / DEPTH)] = Product::staged(from_image[j]);
      else b[t / TILE + j * (THREADS / TILE)][t % TILE] = Product::staged(from_image[j]);
    }
    if (t < DEPTH) terms[t] = term(k + DEPTH + t);
    __syncthreads();
    fetch();  // of the next terms; beyond the last one there is nothing to read
    product.multiply(a, b, scratch);
    __syncthreads();
  }

#pragma unroll
  for (int i = 0; i < Product::OUTPUTS; i++) {
    const int m = m0 + Product::row(i);
    const int n = n0 + Product::column(i);
    if (m < pass.rows && n < pass.columns) out(pass.target(n) + m * pass.out_pitch(), m, product.sum(i));
  }
}

// Grid: (groups or phases or parts) x tiles of columns, tiles of rows.
template <class Product>
__device__ __forceinline__ void forward_by(const real* x, const real* w, const real* bias, real* y, const Problem& p,
                                           int tiles, bool relu) {
  const Forward pass(p, blockIdx.x / tiles);
  gemm<Product>(pass, w, x, blockIdx.x % tiles * Product::TILE, [&](i64 at, int m, acc sum) {
    y[at] = real(finished(sum, bias, pass.group * pass.rows + m, relu));
  });
}

template <class Product>
__device__ __forceinline__ void input_grad_by(const real* gy, const real* w, real* gx, const Problem& p, int tiles) {
  const InputGrad pass(p, blockIdx.x / tiles);
  gemm<Product>(pass, w, gy, blockIdx.x % tiles * Product::TILE,
                [&](i64 at, int, acc sum) { gx[at] = real(sum); });
}

template <class Product>
__device__ __forceinline__ void weight_grad_by(const real* gy, const real* x, acc* parts, const Problem& p, int tiles,
                                               int length) {
  const WeightGrad pass(p, blockIdx.x / tiles, length);
  gemm<Product>(pass, gy, x, blockIdx.x % tiles * Product::TILE,
                [&](i64 at, int, acc sum) { parts[at] = sum; });
}

KERNEL __launch_bounds__(256, BLOCKS) forward(const real* x, const real* w, const real* bias, real* y, PROBLEM,
                                              int tiles, bool relu) {
  forward_by<Micro<8>>(x, w, bias, y, PROBLEM_VALUES, tiles, relu);
}
KERNEL __launch_bounds__(256) forward_small(const real* x, const real* w, const real* bias, real* y, PROBLEM,
                                            int tiles, bool relu) {
  forward_by<Micro<4>>(x, w, bias, y, PROBLEM_VALUES, tiles, relu);
}
KERNEL __launch_bounds__(256, BLOCKS) forward_tf32(const real* x, const real* w, const real* bias, real* y, PROBLEM,
                                                   int tiles, bool relu) {
  forward_by<Tensor>(x, w, bias, y, PROBLEM_VALUES, tiles, relu);
}

KERNEL __launch_bounds__(256, BLOCKS) input_grad(const real* gy, const real* w, real* gx, PROBLEM, int tiles) {
  input_grad_by<Micro<8>>(gy, w, gx, PROBLEM_VALUES, tiles);
}
KERNEL __launch_bounds__(256) input_grad_small(const real* gy, const real* w, real* gx, PROBLEM, int tiles) {
  input_grad_by<Micro<4>>(gy, w, gx, PROBLEM_VALUES, tiles);
}
KERNEL __launch_bounds__(256, BLOCKS) input_grad_tf32(const real* gy, const real* w, real* gx, PROBLEM, int tiles) {
  input_grad_by<Tensor>(gy, w, gx, PROBLEM_VALUES, tiles);
}

KERNEL __launch_bounds__(256, BLOCKS) weight_grad(const real* gy, const real* x, acc* parts, PROBLEM, int tiles,
                                                  int length) {
  weight_grad_by<Micro<8>>(gy, x, parts, PROBLEM_VALUES, tiles, length);
}
KERNEL __launch_bounds__(256) weight_grad_small(const real* gy, const real* x, acc* parts, PROBLEM, int tiles,
                                                int length) {
  weight_grad_by<Micro<4>>(gy, x, parts, PROBLEM_VALUES, tiles, length);
}
KERNEL __launch_bounds__(256, BLOCKS) weight_grad_tf32(const real* gy, const real* x, acc* parts, PROBLEM, int tiles,
                                                       int length) {
  weight_grad_by<Tensor>(gy, x, parts, PROBLEM_VALUES, tiles, length);
}
