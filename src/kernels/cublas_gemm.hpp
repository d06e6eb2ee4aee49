#pragma once
// Products by cuBLAS, on the stream of the execution space instance: of bfloat16 matrices, and of batches of
// matrices; empty without CUDA.

#include "strait/core/kokkos.hpp"

#ifdef KOKKOS_ENABLE_CUDA

#include "strait/core/error.hpp"
#include "strait/kernels/matmul.hpp"

#include "matrix_batch.hpp"

#include <cublas_v2.h>

namespace strait::kernels {

namespace cublas {

inline void check(cublasStatus_t status) {
  ensure(status == CUBLAS_STATUS_SUCCESS, "matmul: cuBLAS refuses its arguments");
}

/// The handle of this process, on the stream of `exec`; lives until Kokkos ends.
inline cublasHandle_t handle_on(const ExecutionSpace& exec) {
  static const cublasHandle_t handle = [] {
    cublasHandle_t created = nullptr;
    check(cublasCreate(&created));
    Kokkos::push_finalize_hook([created] { cublasDestroy(created); });
    return created;
  }();
  check(cublasSetStream(handle, exec.cuda_stream()));
  return handle;
}

inline cublasOperation_t operation(Transpose t) { return t == Transpose::yes ? CUBLAS_OP_T : CUBLAS_OP_N; }

template <class T>
inline constexpr cudaDataType_t data_type = is_narrow<T>                ? CUDA_R_16BF
                                            : std::is_same_v<T, double> ? CUDA_R_64F
                                                                        : CUDA_R_32F;

/// Of sums of products of T. That of float does not round factors to TF32.
template <class T>
inline constexpr cublasComputeType_t compute_type =
    std::is_same_v<T, double> ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F;

}  // namespace cublas

/// c = alpha op(a) op(b) + beta c by tensor cores, sums in float. cuBLAS keeps columns together: it is asked
/// for the transpose of c.
template <class C>
void gemm_of_bfloat16(const ExecutionSpace& exec, const Matrix<C>& c, const ConstMatrix<bfloat16>& a,
                      const ConstMatrix<bfloat16>& b, MatmulOptions options, std::int64_t k) {
  // Of one row the stride may be anything.
  const auto stride = [](const auto& m) {
    return static_cast<int>(m.extent(0) > 1 ? m.stride(0) : m.extent(1));
  };
  const float alpha = static_cast<float>(options.alpha), beta = static_cast<float>(options.beta);
  cublas::check(cublasGemmEx(
      cublas::handle_on(exec), cublas::operation(options.b), cublas::operation(options.a),
      static_cast<int>(c.extent(1)), static_cast<int>(c.extent(0)), static_cast<int>(k), &alpha, b.data(),
      cublas::data_type<bfloat16>, stride(b), a.data(), cublas::data_type<bfloat16>, stride(a), &beta,
      c.data(), cublas::data_type<C>, stride(c), cublas::compute_type<bfloat16>, CUBLAS_GEMM_DEFAULT));
}

/// c = alpha op(a) op(b) + beta c for the first `items` matrices of each, in one launch.
template <class C, class T>
void batched_gemm(const ExecutionSpace& exec, int items, const MatrixBatch<C>& c,
                  const MatrixBatch<const T>& a, const MatrixBatch<const T>& b,
                  const MatmulOptions& options) {
  const bool transpose_a = options.a == Transpose::yes, transpose_b = options.b == Transpose::yes;
  const int k = transpose_a ? a.row_count : a.column_count;
  ensure((transpose_a ? a.column_count : a.row_count) == c.row_count &&
             (transpose_b ? b.row_count : b.column_count) == c.column_count &&
             (transpose_b ? b.column_count : b.row_count) == k,
         "batched_matmul: extents do not match");
  static_assert(sizeof(Address) == sizeof(void*));
  const auto factors = [](const auto& m) { return reinterpret_cast<const void* const*>(m.addresses); };
  const auto results = reinterpret_cast<void* const*>(c.addresses);
  const auto stride = [](const auto& m) { return static_cast<int>(m.row_stride); };
  const auto alpha = static_cast<Compute<T>>(options.alpha), beta = static_cast<Compute<T>>(options.beta);
  cublas::check(cublasGemmBatchedEx(cublas::handle_on(exec), cublas::operation(options.b),
                                    cublas::operation(options.a), c.column_count, c.row_count, k, &alpha,
                                    factors(b), cublas::data_type<T>, stride(b), factors(a),
                                    cublas::data_type<T>, stride(a), &beta, results, cublas::data_type<C>,
                                    stride(c), items, cublas::compute_type<T>, CUBLAS_GEMM_DEFAULT));
}

}  // namespace strait::kernels

#endif
