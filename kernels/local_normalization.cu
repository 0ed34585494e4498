// Local response normalisation: each value divided by a power of the energy of its neighbours in channel.
//
//   s_c = k + share (sum of x_j^2 over the channels j = c - before .. c + after); channels outside count as zero
//
//   local_response_norm        y = x s^-beta, and s
//   local_response_norm_grad   gx_c = gy_c s_c^-beta - 2 share beta x_c (sum of gy_j x_j s_j^(-beta - 1) over the j whose
//                              windows hold c: c - after .. c + before)
//   channel_window_sum         the sum of x_j over c - before .. c + after, in which second derivatives are written
//
//   mapping      one thread for each element; neighbouring threads stand on neighbouring positions of one channel
//   bytes        forward: x once, y and s written once. gradient: gy, x and s once, gx written once. What a window reads
//                again, once for each of its channels, is (channels of the window) lines apart and comes from cache
//   cost         one power for an output, one more for each channel of the window in the gradient: as much as the bytes
//   variants     one of each. The literal form is array operations: square, window, scale, power, product, each of which
//                reads and writes the map. A sum that slides along the channels would read each element twice at most, but
//                subtracting what leaves it costs digits
//   determinism  each thread adds up its window in the order of the channels
#include "common.cuh"

// The channels c - before .. c + after that there are, and how far element i of channel c is from the first of them.
struct Channels {
  int low, high;
  i64 first;
  __device__ __forceinline__ Channels(i64 i, int channels, int length, int before, int after) {
    const int c = (int)(i / length % channels);
    low = c > before ? c - before : 0;
    high = c < channels - 1 - after ? c + after : channels - 1;
    first = i - (i64)(c - low) * length;
  }
};

KERNEL local_response_norm(const real* x, real* y, real* scale, int channels, int length, int before, int after, acc share,
                           acc beta, acc k, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Channels window(i, channels, length, before, after);
  acc energy = 0;
  for (int j = window.low; j <= window.high; j++) {
    const acc v = acc(x[window.first + (i64)(j - window.low) * length]);
    energy += v * v;
  }
  const acc s = k + share * energy;
  scale[i] = real(s);
  y[i] = real(acc(x[i]) * pow(s, -beta));
}

KERNEL local_response_norm_grad(const real* gy, const real* x, const real* scale, real* gx, int channels, int length,
                                int before, int after, acc share, acc beta, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Channels window(i, channels, length, after, before);
  acc sum = 0;
  for (int j = window.low; j <= window.high; j++) {
    const i64 at = window.first + (i64)(j - window.low) * length;
    const acc s = acc(scale[at]);
    sum += acc(gy[at]) * acc(x[at]) * pow(s, -beta) / s;
  }
  gx[i] = real(acc(gy[i]) * pow(acc(scale[i]), -beta) - 2 * share * beta * acc(x[i]) * sum);
}

KERNEL channel_window_sum(const real* x, real* y, int channels, int length, int before, int after, i64 count) {
  const i64 i = global_index();
  if (i >= count) return;
  const Channels window(i, channels, length, before, after);
  acc sum = 0;
  for (int j = window.low; j <= window.high; j++) sum += acc(x[window.first + (i64)(j - window.low) * length]);
  y[i] = real(sum);
}
