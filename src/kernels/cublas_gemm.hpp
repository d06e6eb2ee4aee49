#pragma once
// Products of bfloat16 matrices by cuBLAS, on the stream of the execution space instance; empty without CUDA.

#include "strait/core/kokkos.hpp"

#ifdef KOKKOS_ENABLE_CUDA

#include "strait/core/error.hpp"
#include "strait/kernels/matmul.hpp"

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

template <class T>
inline constexpr cudaDataType_t data_type = is_narrow<T> ? CUDA_R_16BF : CUDA_R_32F;

}  // namespace cublas

/// c = alpha op(a) op(b) + beta c by tensor cores, sums in float. cuBLAS keeps columns together: it is asked
/// for the transpose of c.
template <class C>
void gemm_of_bfloat16(const ExecutionSpace& exec, const Matrix<C>& c, const ConstMatrix<bfloat16>& a,
                      const ConstMatrix<bfloat16>& b, MatmulOptions options, std::int64_t k) {
  const auto op = [](Transpose t) { return t == Transpose::yes ? CUBLAS_OP_T : CUBLAS_OP_N; };
  // Of one row the stride may be anything.
  const auto stride = [](const auto& m) {
    return static_cast<int>(m.extent(0) > 1 ? m.stride(0) : m.extent(1));
  };
  const float alpha = static_cast<float>(options.alpha), beta = static_cast<float>(options.beta);
  cublas::check(cublasGemmEx(cublas::handle_on(exec), op(options.b), op(options.a),
                             static_cast<int>(c.extent(1)), static_cast<int>(c.extent(0)),
                             static_cast<int>(k), &alpha, b.data(), cublas::data_type<bfloat16>, stride(b),
                             a.data(), cublas::data_type<bfloat16>, stride(a), &beta, c.data(),
                             cublas::data_type<C>, stride(c), CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
}

}  // namespace strait::kernels

#endif
