// libcublas as far as products need it: column-major matrices, by the definition, in host memory.
#include <cstdint>
#include <type_traits>

#include <cuda_bf16.h>

namespace {

enum Type { R32F = 0, R64F = 1, R16F = 2, R16BF = 14 };
enum { COMPUTE_64F = 70, COMPUTE_64F_PEDANTIC = 71 };
enum { OK = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };

double read(const void* at, int type, long i) {
  switch (type) {
    case R32F: return ((const float*)at)[i];
    case R64F: return ((const double*)at)[i];
    case R16BF: return (float)((const __nv_bfloat16*)at)[i];
    default: return (double)((const _Float16*)at)[i];
  }
}
void write(void* at, int type, long i, double value) {
  switch (type) {
    case R32F: ((float*)at)[i] = (float)value; break;
    case R64F: ((double*)at)[i] = value; break;
    case R16BF: ((__nv_bfloat16*)at)[i] = (float)value; break;
    default: ((_Float16*)at)[i] = (_Float16)(float)value;
  }
}

// c (m, n) = alpha a b + beta c for a batch; what the documentation forbids is refused.
int multiply(void* handle, int transa, int transb, int m, int n, int k, double alpha, const void* a, int ta, int lda,
             long long sa, const void* b, int tb, int ldb, long long sb, double beta, void* c, int tc, int ldc,
             long long sc, int batch, bool wide) {
  if (!handle) return NOT_INITIALIZED;
  if (transa < 0 || transa > 1 || transb < 0 || transb > 1 || m < 0 || n < 0 || k < 0 || batch < 0) return INVALID_VALUE;
  if (lda < (transa ? k : m) || ldb < (transb ? n : k) || ldc < m || lda < 1 || ldb < 1 || ldc < 1) return INVALID_VALUE;
  if (ta != tb || wide != (ta == R64F) || (tc != ta && (tc != R32F || wide))) return NOT_SUPPORTED;
  for (long p = 0; p < batch; p++)
    for (long j = 0; j < n; j++)
      for (long i = 0; i < m; i++) {
        double sum = 0;
        for (long l = 0; l < k; l++)
          sum += read(a, ta, p * sa + (transa ? i * lda + l : l * lda + i)) * read(b, tb, p * sb + (transb ? l * ldb + j : j * ldb + l));
        const long at = p * sc + j * ldc + i;
        write(c, tc, at, alpha * sum + (beta ? beta * read(c, tc, at) : 0.0));
      }
  return OK;
}

bool is_wide(int compute) { return compute == COMPUTE_64F || compute == COMPUTE_64F_PEDANTIC; }
double scalar(const void* at, bool wide) { return wide ? *(const double*)at : *(const float*)at; }
template <typename T> constexpr int type_of = std::is_same_v<T, double> ? R64F : R32F;
void* stream_of_all = nullptr;

}  // namespace

extern "C" {

void (*before_work)(std::uintptr_t stream);  // CuPy names the stream before each call, which is made at once

int cublasCreate_v2(void** handle) { *handle = &stream_of_all; return OK; }
int cublasDestroy_v2(void*) { return OK; }
int cublasGetVersion_v2(void*, int* version) { *version = 120000; return OK; }
int cublasSetStream_v2(void*, void* stream) {
  before_work((std::uintptr_t)stream);
  stream_of_all = stream;
  return OK;
}
int cublasGetStream_v2(void*, void** stream) { *stream = stream_of_all; return OK; }
int cublasSetMathMode(void*, int) { return OK; }
int cublasGetMathMode(void*, int* mode) { *mode = 0; return OK; }
int cublasSetPointerMode_v2(void*, int) { return OK; }
int cublasGetPointerMode_v2(void*, int* mode) { *mode = 0; return OK; }

int cublasGemmEx(void* h, int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int at, int lda,
                 const void* b, int bt, int ldb, const void* beta, void* c, int ct, int ldc, int compute, int) {
  const bool w = is_wide(compute);
  return multiply(h, ta, tb, m, n, k, scalar(alpha, w), a, at, lda, 0, b, bt, ldb, 0, scalar(beta, w), c, ct, ldc, 0, 1, w);
}
int cublasGemmStridedBatchedEx(void* h, int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int at,
                               int lda, long long sa, const void* b, int bt, int ldb, long long sb, const void* beta,
                               void* c, int ct, int ldc, long long sc, int batch, int compute, int) {
  const bool w = is_wide(compute);
  return multiply(h, ta, tb, m, n, k, scalar(alpha, w), a, at, lda, sa, b, bt, ldb, sb, scalar(beta, w), c, ct, ldc, sc, batch, w);
}

#define PRODUCTS(LETTER, T)                                                                                             \
  int cublas##LETTER##gemm_v2(void* h, int ta, int tb, int m, int n, int k, const T* alpha, const T* a, int lda,         \
                              const T* b, int ldb, const T* beta, T* c, int ldc) {                                      \
    return multiply(h, ta, tb, m, n, k, *alpha, a, type_of<T>, lda, 0, b, type_of<T>, ldb, 0, *beta, c, type_of<T>,      \
                    ldc, 0, 1, type_of<T> == R64F);                                                                     \
  }                                                                                                                     \
  int cublas##LETTER##dot_v2(void*, int n, const T* x, int dx, const T* y, int dy, T* result) {                         \
    double sum = 0;                                                                                                     \
    for (long i = 0; i < n; i++) sum += (double)x[i * dx] * y[i * dy];                                                  \
    *result = (T)sum;                                                                                                   \
    return OK;                                                                                                          \
  }                                                                                                                     \
  int cublas##LETTER##gemv_v2(void* h, int t, int m, int n, const T* alpha, const T* a, int lda, const T* x, int dx,     \
                              const T* beta, T* y, int dy) {                                                            \
    for (long i = 0; i < (t ? n : m); i++) {                                                                            \
      double sum = 0;                                                                                                   \
      for (long j = 0; j < (t ? m : n); j++) sum += (double)(t ? a[i * lda + j] : a[j * lda + i]) * x[j * dx];           \
      y[i * dy] = (T)(*alpha * sum + (*beta ? *beta * y[i * dy] : 0));                                                  \
    }                                                                                                                   \
    return h ? OK : NOT_INITIALIZED;                                                                                    \
  }
PRODUCTS(S, float)
PRODUCTS(D, double)

}  // extern "C"
