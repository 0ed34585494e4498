// One block's product of two tiles, C (ROWS x COLUMNS) += A (ROWS x DEPTH) B (DEPTH x COLUMNS), from shared memory to
// registers.
//
//   1. Literal    every thread of 16 x 16 has one element of C: two reads of shared memory for a product (its loop stands
//                 in convolution_gemm.cu)
//   2. Micro<N>   an N x N micro-tile in registers: N / 2 reads of 16 bytes of shared memory for N^2 products. Micro<N, 16>
//                 has 16 threads down and across, Micro<4, 4> 4 down and 64 across: 16 x 256, for results of few rows
//   3. Tensor     every warp of 4 x 2 multiplies 32 x 64 on tensor cores: factors rounded to TF32 (10 bits of mantissa, an
//                 error of 2^-11 or less each), sums in float. The half types lose nothing by it. Where there are none
//                 (the emulator, devices before sm_80) the same fragments are multiplied from shared memory.
#pragma once

constexpr int THREADS = 256;

struct alignas(16) Four { acc v[4]; };  // of a row of a tile, read at once

struct Literal { static constexpr int COLUMNS = 16; };

// LEFT, RIGHT: Fours of a row of A and of B, with a margin so that neighbouring rows lie in other banks.
// IN_FOURS: whether sums 4 i .. 4 i + 3 are neighbours in a row of C.
template <int N, int DOWN>
struct Micro {
  static constexpr int ACROSS = THREADS / DOWN, ROWS = DOWN * N, COLUMNS = ACROSS * N, DEPTH = ROWS == 64 ? 16 : 8;
  static constexpr int LEFT = ROWS / 4 + 1, RIGHT = COLUMNS / 4 + 1, OUTPUTS = N * N, SCRATCH = 1;
  static constexpr bool IN_FOURS = true;
  acc sums[N][N] = {};

  static __device__ __forceinline__ acc staged(acc v) { return v; }
  static __device__ __forceinline__ int down() { return DOWN == 4 ? threadIdx.x % DOWN : threadIdx.x / ACROSS; }
  static __device__ __forceinline__ int across() { return DOWN == 4 ? threadIdx.x / DOWN : threadIdx.x % ACROSS; }
  static __device__ __forceinline__ int row(int i) { return (i / N / 4 * DOWN + down()) * 4 + i / N % 4; }
  static __device__ __forceinline__ int column(int i) { return (i % N / 4 * ACROSS + across()) * 4 + i % 4; }
  __device__ __forceinline__ acc sum(int i) const { return sums[i / N][i % N]; }

  __device__ __forceinline__ void multiply(const Four (*a)[LEFT], const Four (*b)[RIGHT], float*) {
#pragma unroll 1  // unrolled it takes more registers than there are
    for (int k = 0; k < DEPTH; k++) {
      Four left[N / 4], right[N / 4];
#pragma unroll
      for (int i = 0; i < N / 4; i++) {
        left[i] = a[k][DOWN * i + down()];
        right[i] = b[k][ACROSS * i + across()];
      }
#pragma unroll
      for (int i = 0; i < N; i++)
#pragma unroll
        for (int j = 0; j < N; j++) sums[i][j] += left[i / 4].v[i % 4] * right[j / 4].v[j % 4];
    }
  }
};

// C (16 x 8) += A (16 x 8) B (8 x 8) by one warp. With g = lane / 4 and t = lane % 4, a lane holds
//   a: A[g][t], A[g + 8][t], A[g][t + 4], A[g + 8][t + 4]     b: B[t][g], B[t + 4][g]
//   c: C[g][2 t], C[g][2 t + 1], C[g + 8][2 t], C[g + 8][2 t + 1]
__device__ __forceinline__ void multiply_fragments(float (&c)[4], const float (&a)[4], const float (&b)[2],
                                                   float* scratch) {
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(__float_as_int(a[0])), "r"(__float_as_int(a[1])), "r"(__float_as_int(a[2])), "r"(__float_as_int(a[3])),
        "r"(__float_as_int(b[0])), "r"(__float_as_int(b[1])));
#else
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  float* warp = scratch + threadIdx.x / 32 * 32 * 6;  // a and b of every lane
  for (int i = 0; i < 4; i++) warp[lane * 6 + i] = a[i];
  for (int i = 0; i < 2; i++) warp[lane * 6 + 4 + i] = b[i];
  __syncwarp();
  for (int k = 0; k < 8; k++) {  // lane 4 g + k % 4 holds A[g][k] and A[g + 8][k], lane 4 n + k % 4 holds B[k][n]
    const float* left = warp + (4 * g + k % 4) * 6 + k / 4 * 2;
    const float even = warp[(8 * t + k % 4) * 6 + 4 + k / 4], odd = warp[(8 * t + 4 + k % 4) * 6 + 4 + k / 4];
    c[0] += left[0] * even;
    c[1] += left[0] * odd;
    c[2] += left[1] * even;
    c[3] += left[1] * odd;
  }
  __syncwarp();  // so that nobody overwrites what is still to be read
#endif
}

struct Tensor {
  static constexpr int ROWS = 128, COLUMNS = 128, DEPTH = 8, LEFT = 34, RIGHT = 34, OUTPUTS = 64, SCRATCH = THREADS * 6;
  static constexpr bool IN_FOURS = false;
  static constexpr int DOWN = 2, ACROSS = 8;  // fragments of a warp
  float sums[DOWN][ACROSS][4] = {};

  // The nearest number with 10 bits of mantissa, ties away from zero; infinities and NaN as they are.
  static __device__ __forceinline__ acc staged(acc v) {
    union { float value; unsigned bits; } word = {float(v)};
    if ((word.bits & 0x7f800000u) != 0x7f800000u) word.bits = (word.bits + 0x1000u) & ~0x1fffu;
    return acc(word.value);
  }
  static __device__ __forceinline__ int top() { return threadIdx.x / 64 * 32; }
  static __device__ __forceinline__ int left() { return threadIdx.x / 32 % 2 * 64; }
  static __device__ __forceinline__ int row(int i) {
    return top() + i / 4 / ACROSS * 16 + i / 2 % 2 * 8 + threadIdx.x % 32 / 4;
  }
  static __device__ __forceinline__ int column(int i) {
    return left() + i / 4 % ACROSS * 8 + threadIdx.x % 4 * 2 + i % 2;
  }
  __device__ __forceinline__ acc sum(int i) const { return acc(sums[i / 4 / ACROSS][i / 4 % ACROSS][i % 4]); }

  static __device__ __forceinline__ float element(const Four* line, int i) { return float(((const acc*)line)[i]); }

  __device__ __forceinline__ void multiply(const Four (*a)[LEFT], const Four (*b)[RIGHT], float* scratch) {
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    float rows[DOWN][4];
#pragma unroll
    for (int i = 0; i < DOWN; i++)
#pragma unroll
      for (int k = 0; k < 4; k++) rows[i][k] = element(a[t + k / 2 * 4], top() + i * 16 + k % 2 * 8 + g);
#pragma unroll
    for (int j = 0; j < ACROSS; j++) {
      const float columns[2] = {element(b[t], left() + j * 8 + g), element(b[t + 4], left() + j * 8 + g)};
#pragma unroll
      for (int i = 0; i < DOWN; i++) multiply_fragments(sums[i][j], rows[i], columns, scratch);
    }
  }
};
