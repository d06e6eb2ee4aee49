#pragma once
// Many independent products of one shape.

#include "strait/kernels/matmul.hpp"

#include "cublas_gemm.hpp"
#include "host_item.hpp"
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
  for (int item = 0; item < items; ++item) {
    matmul<C, T>(exec, matrix_of(c, item), matrix_of(a, item), matrix_of(b, item), options);
  }
#endif
}

/// The product of one item alone, by the calling thread.
template <class C, class T>
void batched_matmul(const HostItem& own, int, const MatrixBatch<C>& c, const MatrixBatch<const T>& a,
                    const MatrixBatch<const T>& b, const MatmulOptions& options) {
  static_assert(std::is_same_v<C, T>, "a BLAS multiplies numbers of one type");
  HostProduct<C>(matrix_of(c, own.item), matrix_of(a, own.item), matrix_of(b, own.item), options).compute();
}

}  // namespace strait::kernels
