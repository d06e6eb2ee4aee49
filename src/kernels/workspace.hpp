#pragma once
// Scratch tensors of a kernel and cheap views of tensors.

#include "strait/core/scratch.hpp"

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
      : storage_(scratch<T>(label, row_count * column_count)),
        view(as_matrix(storage_, 0, row_count, column_count)) {}

 private:
  Vector<T> storage_;

 public:
  const Matrix<T> view;  ///< unmanaged
};

}  // namespace strait::kernels
