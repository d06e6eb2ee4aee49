#pragma once
// Tensors of bfloat16 numbers for tests, and what rounding may do to a result.

#include "strait/core/bits16.hpp"
#include "strait/kernels/elementwise.hpp"

#include "support/tensors.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace strait::test {

/// As random_matrix, rounded.
inline Matrix<bfloat16> narrow_matrix(const ExecutionSpace& exec, std::int64_t row_count,
                                      std::int64_t column_count, std::uint64_t seed, double scale = 1.0,
                                      std::int64_t padding = 0) {
  const auto wide = random_matrix<float>(exec, row_count, column_count, seed, scale);
  const Matrix<bfloat16> padded("strait::test::narrow_matrix", row_count, column_count + padding);
  const auto narrow = columns(padded, 0, column_count);
  kernels::copy<bfloat16, float>(exec, narrow, wide);
  return narrow;
}

inline Vector<bfloat16> narrow_vector(const ExecutionSpace& exec, std::int64_t size, std::uint64_t seed) {
  const auto values = narrow_matrix(exec, 1, size, seed);
  const Vector<bfloat16> vector("strait::test::narrow_vector", size);
  Kokkos::deep_copy(exec, vector, Vector<bfloat16>(values.data(), size));
  return vector;
}

/// A copy in float.
template <class T>
Matrix<float> widened(const ExecutionSpace& exec, const Matrix<T>& x) {
  const Matrix<float> wide("strait::test::widened", x.extent(0), x.extent(1));
  kernels::copy<float, T>(exec, wide, x);
  return wide;
}
template <class T>
Vector<float> widened(const ExecutionSpace& exec, const Vector<T>& x) {
  const Vector<float> wide("strait::test::widened", x.extent(0));
  kernels::copy<float, T>(exec, as_matrix(wide, 0, 1, x.extent(0)), Matrix<T>(x.data(), 1, x.extent(0)));
  return wide;
}

/// Each entry of `found` is that of `wanted` to half a unit in its last place, and to what sums of float in
/// another order may differ by: `order` of the largest entry.
inline void expect_rounded(const ExecutionSpace& exec, const Matrix<bfloat16>& found,
                           const Matrix<float>& wanted, double order = 1e-6) {
  const auto a = to_host(exec, found);
  const auto b = to_host(exec, wanted);
  double largest = 0.0;
  for (std::size_t i = 0; i < b.extent(0); ++i) {
    for (std::size_t j = 0; j < b.extent(1); ++j) largest = std::max(largest, std::abs(double(b(i, j))));
  }
  for (std::size_t i = 0; i < b.extent(0); ++i) {
    for (std::size_t j = 0; j < b.extent(1); ++j) {
      const double value = b(i, j);
      const double unit = value == 0.0 ? 0.0 : std::ldexp(1.0, std::ilogb(value) - 7);
      ASSERT_LE(std::abs(double(float(a(i, j))) - value), 0.5 * unit + order * largest)
          << "entry " << i << ", " << j << " of " << value;
    }
  }
}

}  // namespace strait::test
