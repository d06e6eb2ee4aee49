#pragma once
// Tensors of random numbers and their comparison, for tests.

#include "strait/core/host_mirror.hpp"
#include "strait/core/random.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace strait::test {

/// [rows, columns], uniform on [-scale, scale); rows are `padding` elements further apart than they are long,
/// and the padding holds NaN, so that a kernel that reads it shows.
template <class T>
Matrix<T> random_matrix(const ExecutionSpace& exec, std::int64_t row_count, std::int64_t column_count,
                        std::uint64_t seed, double scale = 1.0, std::int64_t padding = 0) {
  const Matrix<T> wide("strait::test::random_matrix", row_count, column_count + padding);
  const Philox random(seed, 0);
  auto host = to_host(exec, wide);
  for (std::int64_t i = 0; i < row_count; ++i) {
    for (std::int64_t j = 0; j < column_count + padding; ++j) {
      host(i, j) = j < column_count
                       ? static_cast<T>(scale * (2.0 * random.uniform(i * column_count + j) - 1.0))
                       : std::numeric_limits<T>::quiet_NaN();
    }
  }
  to_device(exec, wide, host);
  return columns(wide, 0, column_count);
}

/// Of the extents of `like`, without gaps.
template <class T>
Matrix<T> zeros(const ConstMatrix<T>& like) {
  return Matrix<T>("strait::test::zeros", like.extent(0), like.extent(1));
}

/// [size], uniform on [-scale, scale).
template <class T>
Vector<T> random_vector(const ExecutionSpace& exec, std::int64_t size, std::uint64_t seed,
                        double scale = 1.0) {
  const Vector<T> vector("strait::test::random_vector", size);
  const Philox random(seed, 1);
  auto host = to_host(exec, vector);
  for (std::int64_t i = 0; i < size; ++i) host(i) = static_cast<T>(scale * (2.0 * random.uniform(i) - 1.0));
  to_device(exec, vector, host);
  return vector;
}

/// Token ids from host values.
template <class Values>
TokenIds token_ids(const ExecutionSpace& exec, const Values& values) {
  const MutableTokenIds ids("strait::test::token_ids", values.size());
  auto host = to_host(exec, ids);
  for (std::size_t i = 0; i < values.size(); ++i) host(i) = values[i];
  to_device(exec, ids, host);
  return ids;
}

/// Sum over all entries of a * b. With random constant b, a scalar whose gradient in a is b.
template <class A, class B>
double inner_product(const ExecutionSpace& exec, const A& a, const B& b) {
  const auto left = to_host(exec, a);
  const auto right = to_host(exec, b);
  double sum = 0.0;
  if constexpr (static_cast<int>(A::rank) == 1) {
    for (std::size_t i = 0; i < left.extent(0); ++i) sum += double(left(i)) * double(right(i));
  } else {
    for (std::size_t i = 0; i < left.extent(0); ++i) {
      for (std::size_t j = 0; j < left.extent(1); ++j) sum += double(left(i, j)) * double(right(i, j));
    }
  }
  return sum;
}

/// Largest |a - b| divided by the largest |b|; infinite where one is not finite.
template <class A, class B>
double relative_difference(const ExecutionSpace& exec, const A& a, const B& b) {
  const auto left = to_host(exec, a);
  const auto right = to_host(exec, b);
  double difference = 0.0, size = 0.0;
  const auto compare = [&](double x, double y) {
    const double d = std::abs(x - y);
    difference = std::isfinite(d) ? std::max(difference, d) : std::numeric_limits<double>::infinity();
    size = std::max(size, std::abs(y));
  };
  if constexpr (static_cast<int>(A::rank) == 1) {
    for (std::size_t i = 0; i < left.extent(0); ++i) compare(left(i), right(i));
  } else {
    for (std::size_t i = 0; i < left.extent(0); ++i) {
      for (std::size_t j = 0; j < left.extent(1); ++j) compare(left(i, j), right(i, j));
    }
  }
  return difference == 0.0 ? 0.0 : difference / size;
}

}  // namespace strait::test
