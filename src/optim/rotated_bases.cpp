// How the bases of rotated matrices begin and follow the gradients.
#include "strait/kernels/matmul.hpp"
#include "strait/kernels/rotated_adam.hpp"

#include "rotated_matrices.hpp"

#include <algorithm>

namespace strait::optim {

using kernels::matmul;
using kernels::Transpose;

template <class T>
void RotatedMatrices<T>::start_basis(const ExecutionSpace& exec, int index) {
  const Region region("strait::optim::start_basis");
  const auto left = square_of(left_, left_.basis, index), right = square_of(right_, right_.basis, index);
  if (kind_.from_mean) {
    start_from_mean(exec, mean(index), left, right);
  } else {
    for (const Side* side : {&left_, &right_}) {
      const auto basis = square_of(*side, side->basis, index);
      if (basis.size() == 0) continue;
      Kokkos::deep_copy(exec, basis, square_of(*side, side->gram, index));
      decomposer_.eigenvectors(exec, basis);
    }
  }
  has_basis_[index] = true;
}

template <class T>
void RotatedMatrices<T>::start_from_mean(const ExecutionSpace& exec, const Matrix<T>& m,
                                         const Matrix<T>& left, const Matrix<T>& right) const {
  const auto rank = static_cast<std::int64_t>(std::min(m.extent(0), m.extent(1)));
  if (m.extent(0) < m.extent(1)) {
    matmul<T>(exec, left, m, m, {.b = Transpose::yes});
    decomposer_.eigenvectors(exec, left);
    if (right.size() == 0) return;
    matmul<T>(exec, rows(right, 0, rank), left, m);
    decomposer_.orthonormal_basis(exec, right, rank);
  } else {
    matmul<T>(exec, right, m, m, {.a = Transpose::yes});
    decomposer_.eigenvectors(exec, right);
    if (left.size() == 0) return;
    matmul<T>(exec, rows(left, 0, rank), right, m, {.b = Transpose::yes});
    decomposer_.orthonormal_basis(exec, left, rank);
  }
}

template <class T>
void RotatedMatrices<T>::refresh_basis(const ExecutionSpace& exec, int index) const {
  const Region region("strait::optim::refresh_basis");
  const auto left = square_of(left_, left_.basis, index), right = square_of(right_, right_.basis, index);
  const auto m = mean(index);
  const auto row_count = m.extent(0), column_count = m.extent(1);
  const bool both = left.size() > 0 && right.size() > 0;
  Vector<int> row_position, column_position;
  if (!kind_.from_mean) {
    if (left.size() > 0) row_position = follow_gram(exec, left, square_of(left_, left_.gram, index), 0);
    if (right.size() > 0)
      column_position = follow_gram(exec, right, square_of(right_, right_.gram, index), 1);
  } else if (both) {
    const auto of_left = scratch(0, row_count, column_count);   // rows M^T u
    const auto of_right = scratch(1, column_count, row_count);  // rows M v
    matmul<T>(exec, of_left, left, m);
    matmul<T>(exec, of_right, right, m, {.b = Transpose::yes});
    row_position = order(exec, of_left, of_left, 0);
    column_position = order(exec, of_right, of_right, 1);
    become(exec, left, of_right, column_position);
    become(exec, right, of_left, row_position);
  } else if (left.size() > 0) {
    const auto image = scratch(0, row_count, column_count), next = scratch(1, row_count, row_count);
    matmul<T>(exec, image, left, m);
    matmul<T>(exec, next, image, m, {.b = Transpose::yes});
    row_position = order(exec, image, image, 0);
    become(exec, left, next, row_position);
  } else {
    const auto image = scratch(0, column_count, row_count), next = scratch(1, column_count, column_count);
    matmul<T>(exec, image, right, m, {.b = Transpose::yes});
    matmul<T>(exec, next, image, m);
    column_position = order(exec, image, image, 1);
    become(exec, right, next, column_position);
  }
  const auto square = layout_.view(square_, index), before = scratch(2, row_count, column_count);
  Kokkos::deep_copy(exec, before, square);
  kernels::move_to_positions<T>(exec, square, before, row_position, column_position);
}

template <class T>
Vector<int> RotatedMatrices<T>::follow_gram(const ExecutionSpace& exec, const Matrix<T>& basis,
                                            const Matrix<T>& gram, int side) const {
  const auto images = scratch(0, basis.extent(0), basis.extent(1));
  matmul<T>(exec, images, basis, gram);
  const auto position = order(exec, basis, images, side);
  become(exec, basis, images, position);
  return position;
}

template <class T>
Vector<int> RotatedMatrices<T>::order(const ExecutionSpace& exec, ConstMatrix<T> a, ConstMatrix<T> b,
                                      int side) const {
  const auto count = static_cast<std::int64_t>(a.extent(0));
  const Vector<T> carried(carried_.data(), count);
  const Vector<int> position(position_.data() + side * extents_.side, count);
  kernels::row_products<T>(exec, carried, a, b);
  kernels::descending_positions<T>(exec, position, carried);
  return position;
}

template <class T>
void RotatedMatrices<T>::become(const ExecutionSpace& exec, const Matrix<T>& basis, const Matrix<T>& images,
                                const Vector<int>& position) const {
  kernels::move_to_positions<T>(exec, basis, images, position, {});
  decomposer_.orthonormal_basis(exec, basis,
                                static_cast<std::int64_t>(std::min(basis.extent(0), images.extent(0))));
}

#define STRAIT_INSTANTIATE(T)                                                \
  template void RotatedMatrices<T>::start_basis(const ExecutionSpace&, int); \
  template void RotatedMatrices<T>::refresh_basis(const ExecutionSpace&, int) const;
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::optim
