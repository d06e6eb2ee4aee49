#include "strait/kernels/elementwise.hpp"

#include "support/tensors.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace strait::kernels {
namespace {

template <class T>
class Elementwise : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Elementwise, Scalars);

TYPED_TEST(Elementwise, AddAndCopyWorkOnStridedRows) {
  using T = TypeParam;
  const ExecutionSpace exec;
  for (const int width : {0, 1, 7, 64}) {
    const auto x = test::random_matrix<T>(exec, 5, width, 1, 1.0, 3);
    const auto y = test::random_matrix<T>(exec, 5, width, 2, 1.0, 5);
    const auto before = to_host(exec, y), added = to_host(exec, x);
    add<T>(exec, y, x);
    const auto sum = to_host(exec, y);
    copy<T>(exec, y, x);
    const auto copied = to_host(exec, y);
    for (int i = 0; i < 5; ++i) {
      for (int j = 0; j < width; ++j) {
        EXPECT_EQ(sum(i, j), before(i, j) + added(i, j));
        EXPECT_EQ(copied(i, j), added(i, j));
      }
    }
  }
}

TYPED_TEST(Elementwise, CombineMayWriteToWhatItReads) {
  using T = TypeParam;
  const ExecutionSpace exec;
  for (const int width : {0, 1, 7, 64}) {
    const auto x = test::random_matrix<T>(exec, 5, width, 1, 1.0, 3);
    const auto y = test::random_matrix<T>(exec, 5, width, 2, 1.0, 5);
    const auto left = to_host(exec, x), right = to_host(exec, y);
    const Matrix<T> z("strait::test::z", 5, width);
    combine<T>(exec, z, 2.0, x, -0.5, y);
    combine<T>(exec, y, 2.0, x, -0.5, y);
    combine<T>(exec, x, 1.0, x, 1.0, x);
    const auto apart = to_host(exec, z), in_place = to_host(exec, y), twice = to_host(exec, x);
    for (int i = 0; i < 5; ++i) {
      for (int j = 0; j < width; ++j) {
        EXPECT_NEAR(apart(i, j), T(2) * left(i, j) - T(0.5) * right(i, j), T(1e-6));
        EXPECT_EQ(in_place(i, j), apart(i, j));
        EXPECT_EQ(twice(i, j), T(2) * left(i, j));
      }
    }
  }
}

TYPED_TEST(Elementwise, CopyLeavesWhatLiesBetweenTheRows) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const Matrix<T> wide("strait::test::wide", 4, 10);
  Kokkos::deep_copy(exec, wide, T(-1));
  copy<T>(exec, columns(wide, 2, 7), test::random_matrix<T>(exec, 4, 5, 1));
  const auto host = to_host(exec, wide);
  for (int i = 0; i < 4; ++i) {
    for (const int j : {0, 1, 7, 8, 9}) EXPECT_EQ(host(i, j), T(-1));
  }
}

/// Sizes around the lanes and the block of the reduction.
TYPED_TEST(Elementwise, SumOfSquaresIsInDouble) {
  using T = TypeParam;
  const ExecutionSpace exec;
  for (const int size : {0, 1, 31, 32, 33, 16383, 16384, 16385, 50000}) {
    const auto x = test::random_vector<T>(exec, size, 1, 100.0);
    const auto host = to_host(exec, x);
    long double expected = 0.0L;
    for (int i = 0; i < size; ++i) expected += static_cast<long double>(host(i)) * host(i);
    EXPECT_NEAR(sum_of_squares<T>(exec, x), double(expected), 1e-14 * double(expected)) << size;
    EXPECT_EQ(sum_of_squares<T>(exec, x), sum_of_squares<T>(exec, x));
  }
}

TYPED_TEST(Elementwise, SumOfSquaresIsNotLostToOverflowOrNan) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const Vector<float> large("strait::test::large", 100);
  Kokkos::deep_copy(exec, large, 1e30f);
  EXPECT_NEAR(sum_of_squares<float>(exec, large), 1e62, 1e56);
  const Vector<T> broken("strait::test::broken", 100);
  Kokkos::deep_copy(exec, Kokkos::subview(broken, 77), std::numeric_limits<T>::quiet_NaN());
  EXPECT_TRUE(std::isnan(sum_of_squares<T>(exec, broken)));
}

TYPED_TEST(Elementwise, FillNormalDrawsTheStatedNumbers) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const Vector<T> x("strait::test::x", 1000);
  fill_normal<T>(exec, x, 0.02, 5, 9);
  const auto host = to_host(exec, x);
  const Philox random(5, 9);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_NEAR(host(i), 0.02 * random.normal(i), 2e-2 * 32 * std::numeric_limits<T>::epsilon()) << i;
  }
}

}  // namespace
}  // namespace strait::kernels
