#include "strait/kernels/rope.hpp"

#include "strait/core/error.hpp"

#include "rows.hpp"

namespace strait::kernels {

template <class T>
void rope_table(const ExecutionSpace& exec, const Matrix<T>& table, double theta) {
  ensure(table.extent(1) % 2 == 0, "rope_table: head_dim is odd");
  const auto half = static_cast<std::int64_t>(table.extent(1) / 2);
  Kokkos::parallel_for(
      "strait::rope::table", RangePolicy(exec, 0, table.extent(0) * half), KOKKOS_LAMBDA(std::int64_t index) {
        const std::int64_t position = index / half, i = index % half;
        const double frequency = math::pow(theta, -static_cast<double>(i) / static_cast<double>(half));
        const double angle = static_cast<double>(position) * frequency;
        table(position, i) = static_cast<T>(math::cos(angle));
        table(position, half + i) = static_cast<T>(math::sin(angle));
      });
}

template <class T>
void rope(const ExecutionSpace& exec, const Matrix<T>& x, ConstMatrix<Compute<T>> table, int heads,
          int head_dim, int sequence_length, Rotation direction) {
  using C = Compute<T>;
  ensure(head_dim % 2 == 0 && static_cast<std::size_t>(head_dim) == table.extent(1) &&
             x.extent(1) >= static_cast<std::size_t>(heads) * head_dim &&
             static_cast<std::size_t>(sequence_length) <= table.extent(0),
         "rope: extents do not match");
  if (heads == 0 || head_dim == 0) return;
  const std::int64_t half = head_dim / 2;
  const C sign = direction == Rotation::forward ? C(1) : C(-1);
  for_each_row(
      "strait::rope::rotate", exec, x.extent(0), KOKKOS_LAMBDA(const Row& row, std::int64_t token) {
        T* const x_row = &x(token, 0);
        const C* const cosine = &table(token % sequence_length, 0);
        const C* const sine = cosine + half;
        row_for(row, heads, half, [&](std::int64_t head, std::int64_t i) {
          T* const pair = x_row + head * (2 * half) + i;
          const C a = pair[0], b = pair[half];
          const C c = cosine[i], s = sign * sine[i];
          pair[0] = static_cast<T>(a * c - b * s);
          pair[half] = static_cast<T>(b * c + a * s);
        });
      });
}

template void rope_table<float>(const ExecutionSpace&, const Matrix<float>&, double);
template void rope_table<double>(const ExecutionSpace&, const Matrix<double>&, double);
template void rope<float>(const ExecutionSpace&, const Matrix<float>&, ConstMatrix<float>, int, int, int,
                          Rotation);
template void rope<double>(const ExecutionSpace&, const Matrix<double>&, ConstMatrix<double>, int, int, int,
                           Rotation);
template void rope<bfloat16>(const ExecutionSpace&, const Matrix<bfloat16>&, ConstMatrix<float>, int, int,
                             int, Rotation);

}  // namespace strait::kernels
