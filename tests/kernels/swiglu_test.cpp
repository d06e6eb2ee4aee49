#include "strait/kernels/swiglu.hpp"

#include "support/finite_difference.hpp"
#include "support/tensors.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace strait::kernels {
namespace {

template <class T>
class SwiGlu : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(SwiGlu, Scalars);

TYPED_TEST(SwiGlu, ForwardFollowsTheDefinition) {
  using T = TypeParam;
  const ExecutionSpace exec;
  for (const int ffn : {0, 1, 7, 40}) {
    const auto gate_up = test::random_matrix<T>(exec, 3, 2 * ffn, 1, 10.0, 3);
    const auto y = test::random_matrix<T>(exec, 3, ffn, 2, 1.0, 1);
    swiglu_forward<T>(exec, y, gate_up);
    const auto in = to_host(exec, gate_up), out = to_host(exec, y);
    for (int i = 0; i < 3; ++i) {
      for (int j = 0; j < ffn; ++j) {
        const double gate = in(i, j), up = in(i, ffn + j);
        const double expected = gate / (1.0 + std::exp(-gate)) * up;
        EXPECT_NEAR(out(i, j), expected, 8 * std::numeric_limits<T>::epsilon() * std::abs(expected));
      }
    }
  }
}

TEST(SwiGluGradient, MatchesFiniteDifferences) {
  const ExecutionSpace exec;
  const auto gate_up = test::random_matrix<double>(exec, 3, 14, 1, 3.0);
  const auto dy = test::random_matrix<double>(exec, 3, 7, 2);
  const Matrix<double> y("strait::test::y", 3, 7), dgate_up("strait::test::dgate_up", 3, 14);
  swiglu_backward<double>(exec, dgate_up, Matrix<double>(), gate_up, dy);
  test::expect_gradient(exec, "gate_up", gate_up, dgate_up, [&] {
    swiglu_forward<double>(exec, y, gate_up);
    return test::inner_product(exec, y, dy);
  });
}

/// In place, with y again, the result is the same as out of place and without it.
TYPED_TEST(SwiGlu, BackwardWorksInPlaceAndRecomputesTheOutput) {
  using T = TypeParam;
  const ExecutionSpace exec;
  for (const int ffn : {1, 7, 40}) {
    const auto gate_up = test::random_matrix<T>(exec, 3, 2 * ffn, 1, 5.0, 3);
    const auto dy = test::random_matrix<T>(exec, 3, ffn, 2, 1.0, 2);
    const Matrix<T> y("strait::test::y", 3, ffn), dgate_up("strait::test::dgate_up", 3, 2 * ffn);
    const auto y_again = test::random_matrix<T>(exec, 3, ffn, 3, 1.0, 1);
    swiglu_forward<T>(exec, y, gate_up);
    swiglu_backward<T>(exec, dgate_up, Matrix<T>(), gate_up, dy);
    swiglu_backward<T>(exec, gate_up, y_again, gate_up, dy);
    const double rounding = 4 * std::numeric_limits<T>::epsilon();
    EXPECT_LT(test::relative_difference(exec, gate_up, dgate_up), rounding);
    EXPECT_LT(test::relative_difference(exec, y_again, y), rounding);
  }
}

TYPED_TEST(SwiGlu, LargeGatesSaturate) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const Matrix<T> gate_up("strait::test::gate_up", 1, 4), dgate_up("strait::test::dgate_up", 1, 4);
  const Matrix<T> y("strait::test::y", 1, 2), dy("strait::test::dy", 1, 2);
  auto host = to_host(exec, gate_up);
  host(0, 0) = T(1e4), host(0, 1) = T(-1e4), host(0, 2) = T(2), host(0, 3) = T(2);
  to_device(exec, gate_up, host);
  Kokkos::deep_copy(exec, dy, T(1));
  swiglu_backward<T>(exec, dgate_up, y, gate_up, dy);
  const auto out = to_host(exec, y), gradient = to_host(exec, dgate_up);
  EXPECT_EQ(out(0, 0), T(2e4));
  EXPECT_EQ(out(0, 1), T(0));
  EXPECT_EQ(gradient(0, 0), T(2));
  EXPECT_EQ(gradient(0, 1), T(0));
  EXPECT_EQ(gradient(0, 2), T(1e4));
  EXPECT_EQ(gradient(0, 3), T(0));
}

}  // namespace
}  // namespace strait::kernels
