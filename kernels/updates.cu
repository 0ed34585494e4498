// Optimiser steps: a parameter, its gradient and its state, read and written once in one pass, in place.
//
//   d = sign g + decay w in all of them (sign -1 ascends)
//   sgd          v <- momentum v + keep d,  w <- w - rate (v | d + momentum v | d); v is null without momentum
//   lars         v <- momentum v + rate d,  w <- w - v
//   adagrad      s <- s + d d,  w <- w - rate d / (sqrt s + eps)
//   adadelta     s <- rho s + (1 - rho) d d,  u = sqrt(a + eps) / sqrt(s + eps) d,  a <- rho a + (1 - rho) u u,  w <- w - rate u
//   rmsprop      s <- alpha s + (1 - alpha) d d,  u = d / (sqrt(s - mean^2 + inner) + outer);  with momentum b <- momentum b + u
//                takes the place of u;  w <- w - rate u; mean (the running mean of d) and b are null where they are not kept
//   adam         m <- b1 m + r1 d,  v <- b2 v + r2 d d,  w <- shrink w - rate m / (sqrt v root + eps); `largest`, where it
//                is kept, takes the place of v (AMSGrad)
//   square_sums  the sum of squares of each block's elements, for the norm; add_squares adds the blocks and takes the root
//
//   mapping      one thread for each pack of 16 bytes
//   bytes        each array read once, and those that change written once: that is all the time that a step takes
//   variants     one of each, the fused one: the literal form is the formulas above, one array operation at a time, each of
//                which reads and writes arrays again
//   determinism  each element is computed by itself; the norm is a sum in double, by blocks of a fixed size and a tree
#include "common.cuh"
#include "packs.cuh"

constexpr int THREADS = 256;
constexpr int EACH = 64;  // packs of one thread in a sum of squares

__device__ __forceinline__ acc descent(real g, real w, acc sign, acc decay) { return sign * acc(g) + decay * acc(w); }

KERNEL sgd(real* w, const real* g, real* v, acc rate, acc momentum, acc keep, acc decay, acc sign, bool nesterov, i64 count) {
  const i64 first = global_index() * LANES;
  if (first >= count) return;
  Pack a = load_pack(w, first, count), velocity;
  const Pack slope = load_pack(g, first, count);
  if (v) velocity = load_pack(v, first, count);
  for (int k = 0; k < LANES; k++) {
    acc d = descent(slope.v[k], a.v[k], sign, decay);
    if (v) {
      const acc moved = momentum * acc(velocity.v[k]) + keep * d;
      velocity.v[k] = real(moved);
      d = nesterov ? d + momentum * moved : moved;
    }
    a.v[k] = real(acc(a.v[k]) - rate * d);
  }
  if (v) store_pack(v, first, count, velocity);
  store_pack(w, first, count, a);
}

KERNEL lars(real* w, const real* g, real* v, acc rate, acc momentum, acc decay, acc sign, i64 count) {
  const i64 first = global_index() * LANES;
  if (first >= count) return;
  Pack a = load_pack(w, first, count), velocity = load_pack(v, first, count);
  const Pack slope = load_pack(g, first, count);
  for (int k = 0; k < LANES; k++) {
    const acc moved = momentum * acc(velocity.v[k]) + rate * descent(slope.v[k], a.v[k], sign, decay);
    velocity.v[k] = real(moved);
    a.v[k] = real(acc(a.v[k]) - moved);
  }
  store_pack(v, first, count, velocity);
  store_pack(w, first, count, a);
}

KERNEL adagrad(real* w, const real* g, real* s, acc rate, acc decay, acc eps, acc sign, i64 count) {
  const i64 first = global_index() * LANES;
  if (first >= count) return;
  Pack a = load_pack(w, first, count), squares = load_pack(s, first, count);
  const Pack slope = load_pack(g, first, count);
  for (int k = 0; k < LANES; k++) {
    const acc d = descent(slope.v[k], a.v[k], sign, decay), sum = acc(squares.v[k]) + d * d;
    squares.v[k] = real(sum);
    a.v[k] = real(acc(a.v[k]) - rate * d / (sqrt(sum) + eps));
  }
  store_pack(s, first, count, squares);
  store_pack(w, first, count, a);
}

KERNEL adadelta(real* w, const real* g, real* s, real* a, acc rate, acc rho, acc rest, acc decay, acc eps, acc sign,
                i64 count) {
  const i64 first = global_index() * LANES;
  if (first >= count) return;
  Pack weights = load_pack(w, first, count), squares = load_pack(s, first, count), deltas = load_pack(a, first, count);
  const Pack slope = load_pack(g, first, count);
  for (int k = 0; k < LANES; k++) {
    const acc d = descent(slope.v[k], weights.v[k], sign, decay);
    const acc mean = rho * acc(squares.v[k]) + rest * d * d, past = acc(deltas.v[k]);
    const acc u = sqrt(past + eps) / sqrt(mean + eps) * d;
    squares.v[k] = real(mean);
    deltas.v[k] = real(rho * past + rest * u * u);
    weights.v[k] = real(acc(weights.v[k]) - rate * u);
  }
  store_pack(s, first, count, squares);
  store_pack(a, first, count, deltas);
  store_pack(w, first, count, weights);
}

KERNEL rmsprop(real* w, const real* g, real* s, real* mean, real* b, acc rate, acc alpha, acc rest, acc inner, acc outer,
               acc decay, acc momentum, acc sign, i64 count) {
  const i64 first = global_index() * LANES;
  if (first >= count) return;
  Pack a = load_pack(w, first, count), squares = load_pack(s, first, count), centre, velocity;
  const Pack slope = load_pack(g, first, count);
  if (mean) centre = load_pack(mean, first, count);
  if (b) velocity = load_pack(b, first, count);
  for (int k = 0; k < LANES; k++) {
    const acc d = descent(slope.v[k], a.v[k], sign, decay);
    acc variance = alpha * acc(squares.v[k]) + rest * d * d;
    squares.v[k] = real(variance);
    if (mean) {
      const acc m = alpha * acc(centre.v[k]) + rest * d;
      centre.v[k] = real(m);
      variance -= m * m;
    }
    acc u = d / (sqrt(variance + inner) + outer);
    if (b) {
      u += momentum * acc(velocity.v[k]);
      velocity.v[k] = real(u);
    }
    a.v[k] = real(acc(a.v[k]) - rate * u);
  }
  store_pack(s, first, count, squares);
  if (mean) store_pack(mean, first, count, centre);
  if (b) store_pack(b, first, count, velocity);
  store_pack(w, first, count, a);
}

KERNEL adam(real* w, const real* g, real* m, real* v, real* largest, acc rate, acc b1, acc r1, acc b2, acc r2, acc root,
            acc eps, acc decay, acc shrink, acc sign, i64 count) {
  const i64 first = global_index() * LANES;
  if (first >= count) return;
  Pack a = load_pack(w, first, count), means = load_pack(m, first, count), squares = load_pack(v, first, count), most;
  const Pack slope = load_pack(g, first, count);
  if (largest) most = load_pack(largest, first, count);
  for (int k = 0; k < LANES; k++) {
    const acc d = descent(slope.v[k], a.v[k], sign, decay);
    const acc mean = b1 * acc(means.v[k]) + r1 * d;
    acc second = b2 * acc(squares.v[k]) + r2 * d * d;
    means.v[k] = real(mean);
    squares.v[k] = real(second);
    if (largest) {
      if (acc(most.v[k]) >= second) second = acc(most.v[k]);
      most.v[k] = real(second);
    }
    a.v[k] = real(shrink * acc(a.v[k]) - rate * mean / (sqrt(second) * root + eps));
  }
  store_pack(m, first, count, means);
  store_pack(v, first, count, squares);
  if (largest) store_pack(largest, first, count, most);
  store_pack(w, first, count, a);
}

// Block b sums EACH packs for each of its threads; neighbouring threads read neighbouring packs.
KERNEL square_sums(const real* x, double* sums, i64 count) {
  SHARED(double, scratch, [THREADS]);
  double sum = 0;
  i64 first = ((i64)blockIdx.x * EACH * THREADS + threadIdx.x) * LANES;
  for (int step = 0; step < EACH && first < count; step++, first += THREADS * LANES) {
    const Pack a = load_pack(x, first, count);
    for (int k = 0; k < LANES; k++) sum += double(acc(a.v[k])) * double(acc(a.v[k]));
  }
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

KERNEL add_squares(const double* sums, double* norm, int blocks) {
  SHARED(double, scratch, [THREADS]);
  double sum = 0;
  for (int b = threadIdx.x; b < blocks; b += THREADS) sum += sums[b];
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) norm[0] = sqrt(sum);
}
