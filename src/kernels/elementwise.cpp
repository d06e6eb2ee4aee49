#include "strait/kernels/elementwise.hpp"

#include "strait/core/bits16.hpp"
#include "strait/core/error.hpp"
#include "strait/core/host_mirror.hpp"
#include "strait/core/random.hpp"
#include "strait/core/scratch.hpp"

#include "rows.hpp"

namespace strait::kernels {

template <class T>
void add(const ExecutionSpace& exec, const Matrix<T>& y, ConstMatrix<T> x) {
  ensure(y.extent(0) == x.extent(0) && y.extent(1) == x.extent(1), "add: extents do not match");
  const auto width = static_cast<std::int64_t>(y.extent(1));
  if (width == 0) return;
  for_each_part_of_row(
      "strait::elementwise::add", exec, y.extent(0), width,
      KOKKOS_LAMBDA(const Row& row, std::int64_t i, std::int64_t first, std::int64_t count) {
        T* const y_row = &y(i, first);
        const T* const x_row = &x(i, first);
        row_for(row, count, [&](std::int64_t j) { y_row[j] = static_cast<T>(y_row[j] + x_row[j]); });
      });
}

template <class T, class From>
void copy(const ExecutionSpace& exec, const Matrix<T>& y, ConstMatrix<From> x) {
  ensure(y.extent(0) == x.extent(0) && y.extent(1) == x.extent(1), "copy: extents do not match");
  const auto width = static_cast<std::int64_t>(y.extent(1));
  if (width == 0) return;
  for_each_part_of_row(
      "strait::elementwise::copy", exec, y.extent(0), width,
      KOKKOS_LAMBDA(const Row& row, std::int64_t i, std::int64_t first, std::int64_t count) {
        T* const y_row = &y(i, first);
        const From* const x_row = &x(i, first);
        row_for(row, count, [&](std::int64_t j) { y_row[j] = static_cast<T>(x_row[j]); });
      });
}

template <class T>
void combine(const ExecutionSpace& exec, const Matrix<T>& z, double alpha, ConstMatrix<T> x, double beta,
             ConstMatrix<T> y) {
  ensure(z.extent(0) == x.extent(0) && z.extent(1) == x.extent(1) && z.extent(0) == y.extent(0) &&
             z.extent(1) == y.extent(1),
         "combine: extents do not match");
  const auto width = static_cast<std::int64_t>(z.extent(1));
  if (width == 0) return;
  const T a = static_cast<T>(alpha), b = static_cast<T>(beta);
  for_each_part_of_row(
      "strait::elementwise::combine", exec, z.extent(0), width,
      KOKKOS_LAMBDA(const Row& row, std::int64_t i, std::int64_t first, std::int64_t count) {
        T* const z_row = &z(i, first);
        const T* const x_row = &x(i, first);
        const T* const y_row = &y(i, first);
        row_for(row, count, [&](std::int64_t j) { z_row[j] = a * x_row[j] + b * y_row[j]; });
      });
}

template <class T>
double sum_of_squares(const ExecutionSpace& exec, ConstVector<T> x) {
  constexpr std::int64_t block = 16384;
  const auto size = static_cast<std::int64_t>(x.extent(0));
  const std::int64_t blocks = (size + block - 1) / block;
  const auto partial = scratch<double>("strait::elementwise::partial_sums", blocks);
  const auto total = scratch<double>("strait::elementwise::sum", 1);
  for_each_row(
      "strait::elementwise::sum_of_squares", exec, blocks, KOKKOS_LAMBDA(const Row& row, std::int64_t index) {
        const T* const values = x.data() + index * block;
        const std::int64_t count = size - index * block < block ? size - index * block : block;
        const double sum = row_sum<double>(row, count, [&](std::int64_t j) {
          const double value = static_cast<double>(values[j]);
          return value * value;
        });
        row_once(row, [&] { partial(index) = sum; });
      });
  for_each_row(
      "strait::elementwise::sum_partial_sums", exec, 1, KOKKOS_LAMBDA(const Row& row, std::int64_t) {
        const double sum = row_sum<double>(row, blocks, [&](std::int64_t index) { return partial(index); });
        row_once(row, [&] { total(0) = sum; });
      });
  return to_host(exec, total)(0);
}

template <class T>
double sum_of_squares(const ExecutionSpace& exec, ConstMatrix<T> x) {
  ensure(x.span_is_contiguous(), "sum_of_squares: rows without gaps");
  return sum_of_squares<T>(exec, ConstVector<T>(x.data(), x.size()));
}

template <class T>
void fill_normal(const ExecutionSpace& exec, const Vector<T>& x, double standard_deviation,
                 std::uint64_t seed, std::uint64_t stream) {
  const Philox random(seed, stream);
  Kokkos::parallel_for(
      "strait::elementwise::fill_normal", RangePolicy(exec, 0, x.extent(0)), KOKKOS_LAMBDA(std::int64_t i) {
        x(i) = static_cast<T>(standard_deviation * random.normal(static_cast<std::uint64_t>(i)));
      });
}

#define STRAIT_INSTANTIATE(T)                                                                       \
  template void add<T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>);                    \
  template void copy<T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>);                   \
  template void combine<T>(const ExecutionSpace&, const Matrix<T>&, double, ConstMatrix<T>, double, \
                           ConstMatrix<T>);                                                         \
  template double sum_of_squares<T>(const ExecutionSpace&, ConstVector<T>);                         \
  template double sum_of_squares<T>(const ExecutionSpace&, ConstMatrix<T>);                         \
  template void fill_normal<T>(const ExecutionSpace&, const Vector<T>&, double, std::uint64_t, std::uint64_t);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

template void add<bfloat16>(const ExecutionSpace&, const Matrix<bfloat16>&, ConstMatrix<bfloat16>);
template void copy<bfloat16>(const ExecutionSpace&, const Matrix<bfloat16>&, ConstMatrix<bfloat16>);
template void copy<bfloat16, float>(const ExecutionSpace&, const Matrix<bfloat16>&, ConstMatrix<float>);
template void copy<float, bfloat16>(const ExecutionSpace&, const Matrix<float>&, ConstMatrix<bfloat16>);

}  // namespace strait::kernels
