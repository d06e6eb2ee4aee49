#pragma once
// Many independent products of one shape.

#include "strait/kernels/matmul.hpp"

#include "cublas_gemm.hpp"
#include "host_product.hpp"
#include "matrix_batch.hpp"

#include <type_traits>

namespace strait::kernels {

/// One matrix of a batch whose addresses the host may read.
template <class T>
Matrix<T> matrix_of(const MatrixBatch<T>& batch, std::int64_t item) {
  const Matrix<T> rows(batch.row(static_cast<int>(item), 0), batch.row_count, batch.row_stride);
  return columns(rows, 0, batch.column_count);
}

/// Product `item` of a batch, by the one thread that calls.
template <class T>
struct HostProducts {
  MatrixBatch<T> c;
  MatrixBatch<const T> a, b;
  MatmulOptions options;
  void operator()(std::int64_t item) const {
    HostProduct<T>(matrix_of(c, item), matrix_of(a, item), matrix_of(b, item), options).compute();
  }
};

/// c = alpha op(a) op(b) + beta c for the first `items` of each; no two items write to the same entry. On
/// CUDA one launch, of bfloat16 by tensor cores.
template <class C, class T>
void batched_matmul(const ExecutionSpace& exec, int items, const MatrixBatch<C>& c,
                    const MatrixBatch<const T>& a, const MatrixBatch<const T>& b,
                    const MatmulOptions& options) {
#ifdef KOKKOS_ENABLE_CUDA
  multiply_batch<C, T>(exec, items, c, a, b, options);
#else
  static_assert(host_accessible, "on devices but CUDA nobody multiplies batches yet");
  if constexpr (std::is_floating_point_v<T>) {
    if (items > 1 && exec.concurrency() > 1) {
      Kokkos::parallel_for("strait::matmul::batch", RangePolicy(exec, 0, items),
                           HostProducts<T>{c, a, b, options});
      return;
    }
  }
  for (int item = 0; item < items; ++item) {
    matmul<C, T>(exec, matrix_of(c, item), matrix_of(a, item), matrix_of(b, item), options);
  }
#endif
}

}  // namespace strait::kernels
