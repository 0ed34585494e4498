// Winograd's minimal filtering F(m x m, 3 x 3), m = 2 and 4: the transforms; the products between are batched matmuls.
//
// With E = m + 2, the matrices B, G, A below, and * element by element,
//
//   forward       y tile = A^T [ sum over channels (G w G^T) * (B^T d B) ] A    d: the E x E inputs that the tile needs
//   input_grad    the same with gy for x, filters turned by 180 degrees, channels exchanged
//   weight_grad   gw = G^T [ sum over tiles (A gy tile A^T) * (B^T d B) ] G       the adjoint of the forward pass by w
//
// The sum over channels (or tiles) is a product of matrices for each of the E^2 elements.
//
// filters        U[e, g, o, i] = (G w G^T)[e], or turned; one thread for each filter
// input_tiles    V[e, part, channel, tile] = (B^T d B)[e]; one thread for each tile of a channel
// output_tiles   y = A^T M A, with bias and ReLU, from M[e, o, tile]; one thread for each tile of a channel
// grad_tiles     D[e, part, o, tile] = (A gy A^T)[e]; one thread for each tile of a channel
// filter_grads   gw = G^T S G from the sum over the parts of S[e, part, o, i]; one thread for each filter
//   bytes        V is E^2 / m^2 times the size of x (2.25 for m = 4, 4 for m = 2), M likewise of y; each moved twice, by
//                way of the L2 cache where the caller hands over as many tiles as it holds
//   variants     1. m = 2: 4 products for each output. 2. m = 4: 2.25, and fewer exact digits. Transforms and products
//                are steps of their own, because products are then large enough for cuBLAS, at the price of the bytes above
//   access       neighbouring threads have neighbouring tiles: they write neighbouring elements, and read pixels m apart
//
// Tiles are counted (n, tile row, tile column) over the batch; a call handles some from `first` on, in one part or several
// of `length` tiles each: sums over tiles are products of each part. Tiles from `total` on do not exist: they are zeros.
// Transformed elements are acc: the matrices would cost half types most of their digits.
// Deterministic: every element is computed by one thread, parts are added in their order.
//
// Lavin, Gray, Fast algorithms for convolutional neural networks, CVPR 2016, sections 4 and 5.
#include "common.cuh"
#include "split.cuh"

// One dimension of each transform: B^T v, A^T v, G v, and the adjoints A v, G^T v.
struct F2 {
  static constexpr int M = 2, E = 4;
  static __device__ __forceinline__ void input(const acc (&v)[4], acc (&to)[4]) {
    to[0] = v[0] - v[2];
    to[1] = v[1] + v[2];
    to[2] = v[2] - v[1];
    to[3] = v[1] - v[3];
  }
  static __device__ __forceinline__ void output(const acc (&v)[4], acc (&to)[2]) {
    to[0] = v[0] + v[1] + v[2];
    to[1] = v[1] - v[2] - v[3];
  }
  static __device__ __forceinline__ void grad(const acc (&v)[2], acc (&to)[4]) {
    to[0] = v[0];
    to[1] = v[0] + v[1];
    to[2] = v[0] - v[1];
    to[3] = -v[1];
  }
  static __device__ __forceinline__ void filter(const acc (&v)[3], acc (&to)[4]) {
    to[0] = v[0];
    to[1] = (v[0] + v[1] + v[2]) / 2;
    to[2] = (v[0] - v[1] + v[2]) / 2;
    to[3] = v[2];
  }
  static __device__ __forceinline__ void filter_grad(const acc (&v)[4], acc (&to)[3]) {
    to[0] = v[0] + (v[1] + v[2]) / 2;
    to[1] = (v[1] - v[2]) / 2;
    to[2] = (v[1] + v[2]) / 2 + v[3];
  }
};

struct F4 {
  static constexpr int M = 4, E = 6;
  static __device__ __forceinline__ void input(const acc (&v)[6], acc (&to)[6]) {
    to[0] = 4 * v[0] - 5 * v[2] + v[4];
    to[1] = -4 * (v[1] + v[2]) + v[3] + v[4];
    to[2] = 4 * (v[1] - v[2]) - v[3] + v[4];
    to[3] = -2 * v[1] - v[2] + 2 * v[3] + v[4];
    to[4] = 2 * v[1] - v[2] - 2 * v[3] + v[4];
    to[5] = 4 * v[1] - 5 * v[3] + v[5];
  }
  static __device__ __forceinline__ void output(const acc (&v)[6], acc (&to)[4]) {
    to[0] = v[0] + v[1] + v[2] + v[3] + v[4];
    to[1] = v[1] - v[2] + 2 * (v[3] - v[4]);
    to[2] = v[1] + v[2] + 4 * (v[3] + v[4]);
    to[3] = v[1] - v[2] + 8 * (v[3] - v[4]) + v[5];
  }
  static __device__ __forceinline__ void grad(const acc (&v)[4], acc (&to)[6]) {
    to[0] = v[0];
    to[1] = v[0] + v[1] + v[2] + v[3];
    to[2] = v[0] - v[1] + v[2] - v[3];
    to[3] = v[0] + 2 * v[1] + 4 * v[2] + 8 * v[3];
    to[4] = v[0] - 2 * v[1] + 4 * v[2] - 8 * v[3];
    to[5] = v[3];
  }
  static __device__ __forceinline__ void filter(const acc (&v)[3], acc (&to)[6]) {
    to[0] = v[0] / 4;
    to[1] = -(v[0] + v[1] + v[2]) / 6;
    to[2] = -(v[0] - v[1] + v[2]) / 6;
    to[3] = v[0] / 24 + v[1] / 12 + v[2] / 6;
    to[4] = v[0] / 24 - v[1] / 12 + v[2] / 6;
    to[5] = v[2];
  }
  static __device__ __forceinline__ void filter_grad(const acc (&v)[6], acc (&to)[3]) {
    to[0] = v[0] / 4 - (v[1] + v[2]) / 6 + (v[3] + v[4]) / 24;
    to[1] = (v[2] - v[1]) / 6 + (v[3] - v[4]) / 12;
    to[2] = (v[3] + v[4] - v[1] - v[2]) / 6 + v[5];
  }
};

// The transform of all rows, then of all columns: T v T^T.
template <int FROM, int TO, class Transform>
__device__ __forceinline__ void both_ways(const acc (&v)[FROM][FROM], acc (&to)[TO][TO], Transform transform) {
  acc half[TO][FROM], line[FROM], out[TO];
#pragma unroll
  for (int c = 0; c < FROM; c++) {
#pragma unroll
    for (int r = 0; r < FROM; r++) line[r] = v[r][c];
    transform(line, out);
#pragma unroll
    for (int r = 0; r < TO; r++) half[r][c] = out[r];
  }
#pragma unroll
  for (int r = 0; r < TO; r++) transform(half[r], to[r]);
}

// A batch of planes (images, channels, h, w) cut into tiles.
struct Planes {
  int channels, h, w, tiles_h, tiles_w;
  __device__ __forceinline__ int row(i64 tile) const { return tile / tiles_w % tiles_h; }
  __device__ __forceinline__ int col(i64 tile) const { return tile % tiles_w; }
  __device__ __forceinline__ i64 plane(i64 tile, int channel) const {
    return (tile / tiles_w / tiles_h * channels + channel) * h * w;
  }
};

// Which tile of which channel element i of V[e] or D[e] belongs to.
struct Which {
  i64 tile;
  int channel;
};

__device__ __forceinline__ Which which(i64 i, int channels, i64 first, int length) {
  const Split t = split(i, length), c = split(t.quotient, channels);
  return {first + c.quotient * length + t.rest, c.rest};
}

template <class F>
__device__ __forceinline__ void transform_filter(const real* w, acc* u, int group_out, int group_in, bool turned,
                                                 i64 i, i64 count) {
  acc v[3][3], to[F::E][F::E];
#pragma unroll
  for (int k = 0; k < 9; k++) v[k / 3][k % 3] = acc(w[i * 9 + (turned ? 8 - k : k)]);
  both_ways(v, to, F::filter);
  const i64 o = i / group_in, c = i % group_in, g = o / group_out;
  const i64 place = turned ? (g * group_in + c) * group_out + o % group_out : i;
#pragma unroll
  for (int e = 0; e < F::E * F::E; e++) u[e * count + place] = to[e / F::E][e % F::E];
}

KERNEL filters(const real* w, acc* u, int group_out, int group_in, bool turned, int m, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  if (m == 4) transform_filter<F4>(w, u, group_out, group_in, turned, i, count);
  else transform_filter<F2>(w, u, group_out, group_in, turned, i, count);
}

template <class F>
__device__ __forceinline__ void transform_input(const real* x, acc* v, const Planes& p, int top, int left, Which at,
                                                bool exists, i64 i, i64 count) {
  acc d[F::E][F::E], to[F::E][F::E];
  const int row = p.row(at.tile) * F::M - top, col = p.col(at.tile) * F::M - left;
  const real* plane = x + p.plane(at.tile, at.channel);
#pragma unroll
  for (int r = 0; r < F::E; r++)
#pragma unroll
    for (int c = 0; c < F::E; c++) {
      const bool inside = exists && (unsigned)(row + r) < (unsigned)p.h && (unsigned)(col + c) < (unsigned)p.w;
      d[r][c] = inside ? acc(plane[(row + r) * p.w + col + c]) : acc(0);
    }
  both_ways(d, to, F::input);
#pragma unroll
  for (int e = 0; e < F::E * F::E; e++) v[e * count + i] = to[e / F::E][e % F::E];
}

KERNEL input_tiles(const real* x, acc* v, int channels, int h, int w, int tiles_h, int tiles_w, int top, int left,
                   int m, i64 first, i64 total, int length, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Which at = which(i, channels, first, length);
  const Planes p = {channels, h, w, tiles_h, tiles_w};
  if (m == 4) transform_input<F4>(x, v, p, top, left, at, at.tile < total, i, count);
  else transform_input<F2>(x, v, p, top, left, at, at.tile < total, i, count);
}

template <class F>
__device__ __forceinline__ void transform_output(const acc* products, const real* bias, real* y, const Planes& p,
                                                 bool relu, Which at, i64 i, i64 count) {
  acc v[F::E][F::E], to[F::M][F::M];
#pragma unroll
  for (int e = 0; e < F::E * F::E; e++) v[e / F::E][e % F::E] = products[e * count + i];
  both_ways(v, to, F::output);
  const int row = p.row(at.tile) * F::M, col = p.col(at.tile) * F::M;
  real* plane = y + p.plane(at.tile, at.channel);
  const acc shift = bias ? acc(bias[at.channel]) : acc(0);
#pragma unroll
  for (int r = 0; r < F::M; r++)
#pragma unroll
    for (int c = 0; c < F::M; c++) {
      const acc sum = to[r][c] + shift;
      if (row + r < p.h && col + c < p.w) plane[(row + r) * p.w + col + c] = real(relu && sum < acc(0) ? acc(0) : sum);
    }
}

KERNEL output_tiles(const acc* products, const real* bias, real* y, int channels, int h, int w, int tiles_h,
                    int tiles_w, bool relu, int m, i64 first, i64 total, int length, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Which at = which(i, channels, first, length);
  if (at.tile >= total) return;
  const Planes p = {channels, h, w, tiles_h, tiles_w};
  if (m == 4) transform_output<F4>(products, bias, y, p, relu, at, i, count);
  else transform_output<F2>(products, bias, y, p, relu, at, i, count);
}

template <class F>
__device__ __forceinline__ void transform_grad(const real* gy, acc* d, const Planes& p, Which at, bool exists, i64 i,
                                               i64 count) {
  acc v[F::M][F::M], to[F::E][F::E];
  const int row = p.row(at.tile) * F::M, col = p.col(at.tile) * F::M;
  const real* plane = gy + p.plane(at.tile, at.channel);
#pragma unroll
  for (int r = 0; r < F::M; r++)
#pragma unroll
    for (int c = 0; c < F::M; c++)
      v[r][c] = exists && row + r < p.h && col + c < p.w ? acc(plane[(row + r) * p.w + col + c]) : acc(0);
  both_ways(v, to, F::grad);
#pragma unroll
  for (int e = 0; e < F::E * F::E; e++) d[e * count + i] = to[e / F::E][e % F::E];
}

KERNEL grad_tiles(const real* gy, acc* d, int channels, int h, int w, int tiles_h, int tiles_w, int m, i64 first,
                  i64 total, int length, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Which at = which(i, channels, first, length);
  const Planes p = {channels, h, w, tiles_h, tiles_w};
  if (m == 4) transform_grad<F4>(gy, d, p, at, at.tile < total, i, count);
  else transform_grad<F2>(gy, d, p, at, at.tile < total, i, count);
}

template <class F>
__device__ __forceinline__ void transform_filter_grad(const acc* sums, real* gw, int parts, i64 i, i64 count) {
  acc v[F::E][F::E] = {}, to[3][3];
  for (int part = 0; part < parts; part++)
#pragma unroll
    for (int e = 0; e < F::E * F::E; e++) v[e / F::E][e % F::E] += sums[((i64)e * parts + part) * count + i];
  both_ways(v, to, F::filter_grad);
#pragma unroll
  for (int k = 0; k < 9; k++) gw[i * 9 + k] = real(to[k / 3][k % 3]);
}

KERNEL filter_grads(const acc* sums, real* gw, int parts, int m, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  if (m == 4) transform_filter_grad<F4>(sums, gw, parts, i, count);
  else transform_filter_grad<F2>(sums, gw, parts, i, count);
}
