// Activations and their gradients, one pass over memory each; bias and activation in one.
//
//   relu(x) = max(x, 0), relu_grad = gy [y > 0], leaky_relu_grad = gy [x > 0] + slope gy [x <= 0]; NaN counts as > 0
//   sigmoid(x) = 1 / (1 + exp(-x)), sigmoid_grad = gy (y - y y), tanh_grad = gy (p - q y y)
//   softplus(x) = log(1 + exp(beta x)) / beta, x itself where beta x > threshold
//   bias_add, bias_relu: x[n, c, s] + bias[c], then max(., 0); x may be y
//
//   mapping      one thread for each pack of 16 bytes (packs.cuh), neighbouring threads neighbouring packs
//   bytes        each input read once, the output written once; a bias comes from cache
//   determinism  each element is computed by itself
//   variants     1. relu_1: one element for each thread. The same bytes, but four times the instructions to move them
//                2. relu: a pack for each thread; so are all others
//                bias_relu is bias_add and relu in one: the sum between the two is not written to memory
#include "common.cuh"
#include "packs.cuh"

KERNEL relu_1(const real* x, real* y, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  y[i] = acc(x[i]) <= acc(0) ? real(0) : x[i];
}

KERNEL relu(const real* x, real* y, i64 count) {
  const i64 first = global_index() * LANES;
  if (first >= count) return;
  Pack a = load_pack(x, first, count);
  for (int k = 0; k < LANES; k++) a.v[k] = acc(a.v[k]) <= acc(0) ? real(0) : a.v[k];
  store_pack(y, first, count, a);
}

KERNEL relu_grad(const real* gy, const real* y, real* gx, i64 count) {
  const i64 first = global_index() * LANES;
  if (first >= count) return;
  Pack g = load_pack(gy, first, count);
  const Pack a = load_pack(y, first, count);
  for (int k = 0; k < LANES; k++) g.v[k] = acc(a.v[k]) <= acc(0) ? real(0) : g.v[k];
  store_pack(gx, first, count, g);
}

KERNEL leaky_relu_grad(const real* gy, const real* x, real* gx, acc slope, i64 count) {
  const i64 first = global_index() * LANES;
  if (first >= count) return;
  Pack g = load_pack(gy, first, count);
  const Pack a = load_pack(x, first, count);
  for (int k = 0; k < LANES; k++) g.v[k] = acc(a.v[k]) <= acc(0) ? real(slope * acc(g.v[k])) : g.v[k];
  store_pack(gx, first, count, g);
}

KERNEL tanh_grad(const real* gy, const real* y, real* gx, acc p, acc q, i64 count) {
  const i64 first = global_index() * LANES;
  if (first >= count) return;
  Pack g = load_pack(gy, first, count);
  const Pack a = load_pack(y, first, count);
  for (int k = 0; k < LANES; k++) g.v[k] = real(acc(g.v[k]) * (p - acc(a.v[k]) * acc(a.v[k]) * q));
  store_pack(gx, first, count, g);
}

KERNEL sigmoid(const real* x, real* y, i64 count) {
  const i64 first = global_index() * LANES;
  if (first >= count) return;
  Pack a = load_pack(x, first, count);
  for (int k = 0; k < LANES; k++) a.v[k] = real(acc(1) / (acc(1) + exp(-acc(a.v[k]))));  // exp = inf gives the limit, 0
  store_pack(y, first, count, a);
}

KERNEL sigmoid_grad(const real* gy, const real* y, real* gx, i64 count) {
  const i64 first = global_index() * LANES;
  if (first >= count) return;
  Pack g = load_pack(gy, first, count);
  const Pack a = load_pack(y, first, count);
  for (int k = 0; k < LANES; k++) g.v[k] = real(acc(g.v[k]) * (acc(a.v[k]) - acc(a.v[k]) * acc(a.v[k])));
  store_pack(gx, first, count, g);
}

KERNEL softplus(const real* x, real* y, acc beta, acc threshold, i64 count) {
  const i64 first = global_index() * LANES;
  if (first >= count) return;
  Pack a = load_pack(x, first, count);
  for (int k = 0; k < LANES; k++) {
    const acc z = acc(a.v[k]) * beta;
    if (!(z > threshold)) a.v[k] = real((log1p(exp(-fabs(z))) + (z > acc(0) ? z : acc(0))) / beta);
  }
  store_pack(y, first, count, a);
}

// Which channel an element has: elements lie as (outer, channels, run).
__device__ __forceinline__ acc biased(acc v, const real* bias, i64 i, int channels, int run) {
  return v + acc(bias[(run == 1 ? i : i / run) % channels]);
}

KERNEL bias_add(const real* x, const real* bias, real* y, int channels, int run, i64 count) {
  const i64 first = global_index() * LANES;
  if (first >= count) return;
  Pack a = load_pack(x, first, count);
  for (int k = 0; k < LANES; k++) a.v[k] = real(biased(acc(a.v[k]), bias, first + k, channels, run));
  store_pack(y, first, count, a);
}

KERNEL bias_relu(const real* x, const real* bias, real* y, int channels, int run, i64 count) {
  const i64 first = global_index() * LANES;
  if (first >= count) return;
  Pack a = load_pack(x, first, count);
  for (int k = 0; k < LANES; k++) {
    const acc v = biased(acc(a.v[k]), bias, first + k, channels, run);
    a.v[k] = real(v <= acc(0) ? acc(0) : v);
  }
  store_pack(y, first, count, a);
}
