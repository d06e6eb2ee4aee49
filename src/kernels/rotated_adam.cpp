#include "strait/kernels/rotated_adam.hpp"

#include "strait/core/error.hpp"

#include "rows.hpp"

namespace strait::kernels {

template <class T>
void rotated_adam(const ExecutionSpace& exec, const Vector<T>& d, const Vector<T>& s, ConstVector<T> g,
                  const RotatedAdamOptions& options) {
  ensure(s.extent(0) == d.extent(0) && g.extent(0) == d.extent(0), "rotated_adam: extents do not match");
  const auto beta2 = static_cast<T>(options.beta2), rest2 = static_cast<T>(1.0 - options.beta2);
  const auto epsilon = static_cast<T>(options.epsilon);
  Kokkos::parallel_for(
      "strait::rotated_adam::step", RangePolicy(exec, 0, d.extent(0)), KOKKOS_LAMBDA(std::int64_t i) {
        const T square = beta2 * s(i) + rest2 * g(i) * g(i);
        s(i) = square;
        d(i) = d(i) / (math::sqrt(square) + epsilon);
      });
}

template <class T>
void row_products(const ExecutionSpace& exec, const Vector<T>& e, ConstMatrix<T> a, ConstMatrix<T> b) {
  ensure(a.extent(0) == e.extent(0) && b.extent(0) == e.extent(0) && a.extent(1) == b.extent(1),
         "row_products: extents do not match");
  const auto width = static_cast<std::int64_t>(a.extent(1));
  for_each_row(
      "strait::rotated_adam::row_products", exec, e.extent(0), KOKKOS_LAMBDA(const Row& row, std::int64_t i) {
        const T* const a_row = &a(i, 0);
        const T* const b_row = &b(i, 0);
        const T sum = row_sum<T>(row, width, [&](std::int64_t j) { return a_row[j] * b_row[j]; });
        row_once(row, [&] { e(i) = sum; });
      });
}

template <class T>
void descending_positions(const ExecutionSpace& exec, const Vector<int>& position, ConstVector<T> e) {
  ensure(position.extent(0) == e.extent(0), "descending_positions: extents do not match");
  const auto count = static_cast<std::int64_t>(e.extent(0));
  for_each_row(
      "strait::rotated_adam::positions", exec, count, KOKKOS_LAMBDA(const Row& row, std::int64_t i) {
        const T* const values = &e(0);
        const T own = values[i];
        const int before = row_sum<int>(row, count, [&](std::int64_t j) {
          return static_cast<int>(values[j] > own) |
                 (static_cast<int>(values[j] == own) & static_cast<int>(j < i));
        });
        row_once(row, [&] { position(i) = before; });
      });
}

template <class T>
void move_to_positions(const ExecutionSpace& exec, const Matrix<T>& to, ConstMatrix<T> from,
                       const Vector<int>& row_position, const Vector<int>& column_position) {
  const bool moves_rows = row_position.extent(0) > 0, moves_columns = column_position.extent(0) > 0;
  ensure(to.extent(1) == from.extent(1) && (!moves_rows || row_position.extent(0) == from.extent(0)) &&
             (!moves_columns || column_position.extent(0) == from.extent(1)),
         "move_to_positions: extents do not match");
  const auto width = static_cast<std::int64_t>(from.extent(1));
  const auto row_count = static_cast<std::int64_t>(to.extent(0));
  for_each_row(
      "strait::rotated_adam::move", exec, from.extent(0), KOKKOS_LAMBDA(const Row& row, std::int64_t i) {
        const std::int64_t place = moves_rows ? row_position(i) : i;
        if (place >= row_count) return;
        T* const to_row = &to(place, 0);
        const T* const from_row = &from(i, 0);
        if (moves_columns) {
          row_for(row, width, [&](std::int64_t j) { to_row[column_position(j)] = from_row[j]; });
        } else {
          row_for(row, width, [&](std::int64_t j) { to_row[j] = from_row[j]; });
        }
      });
}

#define STRAIT_INSTANTIATE(T)                                                                              \
  template void rotated_adam<T>(const ExecutionSpace&, const Vector<T>&, const Vector<T>&, ConstVector<T>, \
                                const RotatedAdamOptions&);                                                \
  template void row_products<T>(const ExecutionSpace&, const Vector<T>&, ConstMatrix<T>, ConstMatrix<T>);  \
  template void descending_positions<T>(const ExecutionSpace&, const Vector<int>&, ConstVector<T>);        \
  template void move_to_positions<T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>,              \
                                     const Vector<int>&, const Vector<int>&);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::kernels
