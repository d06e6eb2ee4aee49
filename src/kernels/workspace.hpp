#pragma once
// Scratch tensors of a kernel and cheap views of tensors.

#include "strait/core/tensor.hpp"

#include <string>

namespace strait::kernels {

/// The same tensor without reference count: its copies and subviews cost a few instructions.
template <class T>
Matrix<T> unmanaged(const Matrix<T>& m) {
  const std::int64_t stride = m.extent(0) > 1 ? m.stride(0) : m.extent(1);
  return columns(Matrix<T>(m.data(), m.extent(0), stride), 0, m.extent(1));
}

/// A matrix that lives as long as this object; not initialised.
template <class T>
class Workspace {
 public:
  Workspace(const std::string& label, std::int64_t row_count, std::int64_t column_count)
      : storage_(Kokkos::view_alloc(Kokkos::WithoutInitializing, label), row_count, column_count),
        view(unmanaged(storage_)) {}

 private:
  Matrix<T> storage_;

 public:
  const Matrix<T> view;  ///< unmanaged
};

}  // namespace strait::kernels
