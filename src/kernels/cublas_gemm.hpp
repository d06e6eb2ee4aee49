#pragma once
// Matrix products by cuBLAS, on the stream of the execution space instance; empty without CUDA. Not by way of
// KokkosBlas: small products with a transposed first factor are added up there by atomics, in any order.

#include "strait/core/kokkos.hpp"

#ifdef KOKKOS_ENABLE_CUDA

#include "strait/core/error.hpp"
#include "strait/kernels/matmul.hpp"

#include "matrix_batch.hpp"

#include <cublas_v2.h>

#include <type_traits>

namespace strait::kernels {

namespace cublas {

inline void check(cublasStatus_t status) {
  ensure(status == CUBLAS_STATUS_SUCCESS, "matmul: cuBLAS refuses its arguments");
}

/// The handle of this process, on the stream of `exec`; lives until Kokkos ends. Sums are kept as wide as
/// they are computed where a product is divided.
inline cublasHandle_t handle_on(const ExecutionSpace& exec) {
  static const cublasHandle_t handle = [] {
    cublasHandle_t created = nullptr;
    check(cublasCreate(&created));
    check(cublasSetMathMode(created, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION));
    Kokkos::push_finalize_hook([created] { cublasDestroy(created); });
    return created;
  }();
  check(cublasSetStream(handle, exec.cuda_stream()));
  return handle;
}

inline cublasOperation_t operation(Transpose t) { return t == Transpose::yes ? CUBLAS_OP_T : CUBLAS_OP_N; }

template <class T>
inline constexpr cudaDataType_t data_type = CUDA_R_32F;
template <>
inline constexpr cudaDataType_t data_type<double> = CUDA_R_64F;
template <>
inline constexpr cudaDataType_t data_type<bfloat16> = CUDA_R_16BF;

/// Of the sums: never TF32.
template <class T>
inline constexpr cublasComputeType_t compute_type =
    std::is_same_v<T, double> ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F;

}  // namespace cublas

/// c = alpha op(a) op(b) + beta c, of bfloat16 by tensor cores. cuBLAS keeps columns together: it is asked
/// for the transpose of c.
template <class C, class T>
void multiply(const ExecutionSpace& exec, const Matrix<C>& c, const ConstMatrix<T>& a,
              const ConstMatrix<T>& b, MatmulOptions options, std::int64_t k) {
  using cublas::data_type;
  // Of one row the stride may be anything.
  const auto stride = [](const auto& m) {
    return static_cast<int>(m.extent(0) > 1 ? m.stride(0) : m.extent(1));
  };
  const auto alpha = static_cast<Compute<T>>(options.alpha), beta = static_cast<Compute<T>>(options.beta);
  cublas::check(cublasGemmEx(cublas::handle_on(exec), cublas::operation(options.b),
                             cublas::operation(options.a), static_cast<int>(c.extent(1)),
                             static_cast<int>(c.extent(0)), static_cast<int>(k), &alpha, b.data(),
                             data_type<T>, stride(b), a.data(), data_type<T>, stride(a), &beta, c.data(),
                             data_type<C>, stride(c), cublas::compute_type<T>, CUBLAS_GEMM_DEFAULT));
}

/// The same for the first `items` matrices of each, in one launch.
template <class C, class T>
void multiply_batch(const ExecutionSpace& exec, int items, const MatrixBatch<C>& c,
                    const MatrixBatch<const T>& a, const MatrixBatch<const T>& b,
                    const MatmulOptions& options) {
  using cublas::data_type;
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
  cublas::check(cublasGemmBatchedEx(
      cublas::handle_on(exec), cublas::operation(options.b), cublas::operation(options.a), c.column_count,
      c.row_count, k, &alpha, factors(b), data_type<T>, stride(b), factors(a), data_type<T>, stride(a), &beta,
      results, data_type<C>, stride(c), items, cublas::compute_type<T>, CUBLAS_GEMM_DEFAULT));
}

}  // namespace strait::kernels

#endif
