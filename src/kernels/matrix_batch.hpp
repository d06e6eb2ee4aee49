#pragma once
// Matrices of one shape, wherever in memory each of them lies.

#include "strait/core/kokkos.hpp"

#include <cstdint>
#include <type_traits>

namespace strait::kernels {

/// Where a matrix begins, in memory of the device.
struct Address {
  void* data;
};

/// Matrix `item` is [row_count, column_count].
template <class T>
struct MatrixBatch {
  const Address* addresses;  ///< of the items, in memory of the device
  int row_count;
  int column_count;
  std::int64_t row_stride;

  KOKKOS_FUNCTION T* row(int item, std::int64_t i) const {
    return static_cast<T*>(addresses[item].data) + i * row_stride;
  }
  /// The first columns.
  MatrixBatch narrowed(int columns) const { return {addresses, row_count, columns, row_stride}; }
  template <class U>
  requires std::is_same_v<U, const T>
  operator MatrixBatch<U>() const { return {addresses, row_count, column_count, row_stride}; }
};

}  // namespace strait::kernels
