// Eigenvectors and orthonormal bases, whichever library finds them.
#include "strait/kernels/decomposition.hpp"

#include "strait/kernels/matmul.hpp"

#include "support/expect_error.hpp"
#include "support/kokkos_tools.hpp"
#include "support/spectral.hpp"
#include "support/tensors.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

namespace strait::kernels {
namespace {

/// x x^T of a random x [n, n].
template <class T>
Matrix<T> random_gram(const ExecutionSpace& exec, int n, std::uint64_t seed) {
  const auto x = test::random_matrix<T>(exec, n, n, seed);
  const Matrix<T> gram("strait::test::gram", n, n);
  matmul<T>(exec, gram, x, x, {.b = Transpose::yes});
  return gram;
}

template <class T>
Matrix<T> copy_of(const ExecutionSpace& exec, const Matrix<T>& a) {
  const Matrix<T> copy("strait::test::copy", a.extent(0), a.extent(1));
  Kokkos::deep_copy(exec, copy, a);
  return copy;
}

/// q a q^T.
template <class T>
auto in_basis(const ExecutionSpace& exec, const Matrix<T>& q, const Matrix<T>& a) {
  const Matrix<T> half("strait::test::half", a.extent(0), a.extent(1));
  const Matrix<T> whole("strait::test::whole", a.extent(0), a.extent(1));
  matmul<T>(exec, half, q, a);
  matmul<T>(exec, whole, half, q, {.b = Transpose::yes});
  return to_host(exec, whole);
}

template <class T>
void diagonalises(int n, double tolerance) {
  const ExecutionSpace exec;
  const auto a = random_gram<T>(exec, n, 3);
  const auto q = copy_of(exec, a);
  const Decomposer<T> decomposer(n);
  decomposer.eigenvectors(exec, q);
  EXPECT_LT(test::orthonormality_error(exec, q), tolerance);
  const auto d = in_basis(exec, q, a);
  for (int i = 0; i < n; ++i) {
    EXPECT_LE(d(i, i), d(std::max(i - 1, 0), std::max(i - 1, 0)) * (1 + tolerance)) << i;
    for (int j = 0; j < i; ++j) EXPECT_NEAR(d(i, j), 0.0, tolerance * d(0, 0)) << i << ", " << j;
  }
}

TEST(Eigenvectors, DiagonaliseWithTheLargestFirst) {
  for (const int n : {1, 2, 7, 64}) {
    SCOPED_TRACE(n);
    diagonalises<double>(n, 1e-12);
    diagonalises<float>(n, 1e-5);
  }
}

TEST(Eigenvectors, NeedFiniteNumbers) {
  const ExecutionSpace exec;
  const auto a = random_gram<double>(exec, 5, 3);
  const auto broken = to_host(exec, a);
  broken(2, 1) = broken(1, 2) = std::numeric_limits<double>::quiet_NaN();
  to_device(exec, a, broken);
  const Decomposer<double> decomposer(5);
  test::expect_error(ExitCode::numerical, "not finite", [&] { decomposer.eigenvectors(exec, a); });
}

template <class T>
void spans_what_it_was_given(int n, int count, double tolerance) {
  const ExecutionSpace exec;
  const auto x = test::random_matrix<T>(exec, n, n, 5);
  const auto q = copy_of(exec, x);
  // A scratch larger than this matrix needs.
  const Decomposer<T> decomposer(2 * n);
  decomposer.orthonormal_basis(exec, q, count);
  EXPECT_LT(test::orthonormality_error(exec, q), tolerance);
  const Matrix<T> products("strait::test::products", n, n);
  matmul<T>(exec, products, x, q, {.b = Transpose::yes});
  const auto host = to_host(exec, products);
  for (int i = 0; i < count; ++i) {
    for (int j = i + 1; j < n; ++j) EXPECT_NEAR(host(i, j), 0.0, n * tolerance) << i << ", " << j;
  }
}

TEST(OrthonormalBasis, SpansTheFirstRowsAndCompletesThem) {
  for (const int n : {1, 5, 70}) {
    for (const int count : {n, (n + 1) / 2, 0}) {
      SCOPED_TRACE(testing::Message() << count << " of " << n);
      spans_what_it_was_given<double>(n, count, 1e-13);
      spans_what_it_was_given<float>(n, count, 1e-5);
    }
  }
}

TEST(OrthonormalBasis, DoesNotDependOnSignsOfRows) {
  const ExecutionSpace exec;
  constexpr int n = 40;
  const auto x = test::random_matrix<float>(exec, n, n, 5), y = copy_of(exec, x);
  const auto flipped = to_host(exec, y);
  for (int i = 0; i < n; i += 3) {
    for (int j = 0; j < n; ++j) flipped(i, j) = -flipped(i, j);
  }
  to_device(exec, y, flipped);
  const Decomposer<float> decomposer(n);
  decomposer.orthonormal_basis(exec, x, n);
  decomposer.orthonormal_basis(exec, y, n);
  EXPECT_EQ(test::relative_difference(exec, x, y), 0.0);
}

TEST(OrthonormalBasis, TakesDependentRows) {
  const ExecutionSpace exec;
  constexpr int n = 12;
  const auto q = test::random_matrix<double>(exec, n, n, 5);
  const auto dependent = to_host(exec, q);
  for (int j = 0; j < n; ++j) {
    dependent(3, j) = dependent(1, j);
    dependent(7, j) = 0.0;
  }
  to_device(exec, q, dependent);
  const Decomposer<double> decomposer(n);
  decomposer.orthonormal_basis(exec, q, n);
  EXPECT_LT(test::orthonormality_error(exec, q), 1e-13);
}

TEST(OrthonormalBasis, AllocatesNothing) {
  const ExecutionSpace exec;
  const auto q = test::random_matrix<float>(exec, 20, 20, 5);
  const Decomposer<float> decomposer(20);
  const test::LabelRecorder recorder;
  decomposer.orthonormal_basis(exec, q, 20);
  EXPECT_EQ(recorder.allocations(), std::set<std::string>{});
}

}  // namespace
}  // namespace strait::kernels
