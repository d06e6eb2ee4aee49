#include "strait/kernels/rms_norm.hpp"

#include "support/finite_difference.hpp"
#include "support/tensors.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace strait::kernels {
namespace {

constexpr double epsilon = 1e-5;

template <class T>
class RmsNorm : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(RmsNorm, Scalars);

/// y and rstd from their definition, in double on the host.
template <class T>
void expect_definition(const ExecutionSpace& exec, const Matrix<T>& y, const Vector<T>& rstd,
                       const Matrix<T>& x, const Vector<T>& gain) {
  const auto host_x = to_host(exec, x), host_y = to_host(exec, y);
  const auto host_rstd = to_host(exec, rstd), host_gain = to_host(exec, gain);
  for (std::size_t i = 0; i < x.extent(0); ++i) {
    double squares = 0.0;
    for (std::size_t j = 0; j < x.extent(1); ++j) squares += double(host_x(i, j)) * double(host_x(i, j));
    const double expected = 1.0 / std::sqrt(squares / x.extent(1) + epsilon);
    const double tolerance = 8.0 * std::numeric_limits<T>::epsilon();
    EXPECT_NEAR(host_rstd(i), expected, tolerance * expected);
    for (std::size_t j = 0; j < x.extent(1); ++j) {
      const double value = host_x(i, j) * expected * host_gain(j);
      EXPECT_NEAR(host_y(i, j), value, tolerance * std::abs(value)) << i << ", " << j;
    }
  }
}

TYPED_TEST(RmsNorm, ForwardFollowsTheDefinition) {
  using T = TypeParam;
  const ExecutionSpace exec;
  for (const int hidden : {1, 2, 31, 32, 33, 100}) {
    for (const int padding : {0, 3}) {
      const auto x = test::random_matrix<T>(exec, 5, hidden, 1, 2.0, padding);
      const auto y = test::random_matrix<T>(exec, 5, hidden, 2, 1.0, padding);
      const auto gain = test::random_vector<T>(exec, hidden, 3);
      const Vector<T> rstd("strait::test::rstd", 5);
      rms_norm_forward<T>(exec, y, rstd, x, gain, epsilon);
      expect_definition(exec, y, rstd, x, gain);
      const auto again = test::random_matrix<T>(exec, 5, hidden, 4, 1.0, padding);
      rms_norm_recompute<T>(exec, again, x, rstd, gain);
      EXPECT_EQ(test::relative_difference(exec, again, y), 0.0);
    }
  }
}

TYPED_TEST(RmsNorm, AddForwardNormalisesTheSum) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const auto x = test::random_matrix<T>(exec, 5, 40, 1, 1.0, 3);
  const auto branch = test::random_matrix<T>(exec, 5, 40, 2, 1.0, 1);
  const auto gain = test::random_vector<T>(exec, 40, 3);
  const auto y = test::random_matrix<T>(exec, 5, 40, 4);
  const Vector<T> rstd("strait::test::rstd", 5);
  const auto before = to_host(exec, x), added = to_host(exec, branch);
  add_rms_norm_forward<T>(exec, y, rstd, x, branch, gain, epsilon);
  const auto after = to_host(exec, x);
  for (int i = 0; i < 5; ++i) {
    for (int j = 0; j < 40; ++j) EXPECT_EQ(after(i, j), before(i, j) + added(i, j));
  }
  expect_definition(exec, y, rstd, x, gain);
}

TYPED_TEST(RmsNorm, RowOfZerosStaysFinite) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const Matrix<T> x("strait::test::x", 1, 8), y("strait::test::y", 1, 8);
  const Vector<T> rstd("strait::test::rstd", 1);
  const auto gain = test::random_vector<T>(exec, 8, 3);
  rms_norm_forward<T>(exec, y, rstd, x, gain, epsilon);
  expect_definition(exec, y, rstd, x, gain);
}

TEST(RmsNormGradient, MatchesFiniteDifferences) {
  const ExecutionSpace exec;
  for (const int hidden : {3, 40}) {
    const int tokens = 4;
    const auto x = test::random_matrix<double>(exec, tokens, hidden, 1);
    const auto gain = test::random_vector<double>(exec, hidden, 2);
    const auto dy = test::random_matrix<double>(exec, tokens, hidden, 3);
    const auto residual = test::random_matrix<double>(exec, tokens, hidden, 4);
    const Matrix<double> y("strait::test::y", tokens, hidden), dx("strait::test::dx", tokens, hidden);
    const Vector<double> rstd("strait::test::rstd", tokens), dgain("strait::test::dgain", hidden);
    const auto loss = [&] {
      rms_norm_forward<double>(exec, y, rstd, x, gain, epsilon);
      return test::inner_product(exec, y, dy);
    };
    const auto loss_with_residual = [&] { return loss() + test::inner_product(exec, x, residual); };
    loss();
    rms_norm_backward_weight<double>(exec, dgain, dy, x, rstd);
    test::expect_gradient(exec, "gain", gain, dgain, loss);
    loss();
    rms_norm_backward_input<double>(exec, dx, dy, Matrix<double>(), x, rstd, gain);
    test::expect_gradient(exec, "x", x, dx, loss);
    loss();
    rms_norm_backward_input<double>(exec, dx, dy, residual, x, rstd, gain);
    test::expect_gradient(exec, "x with residual", x, dx, loss_with_residual);
  }
}

TYPED_TEST(RmsNorm, BackwardInputMayOverwriteTheResidual) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const auto x = test::random_matrix<T>(exec, 5, 40, 1, 1.0, 3), dy = test::random_matrix<T>(exec, 5, 40, 2);
  const auto residual = test::random_matrix<T>(exec, 5, 40, 3, 1.0, 2);
  const auto gain = test::random_vector<T>(exec, 40, 4);
  const Vector<T> rstd("strait::test::rstd", 5);
  const Matrix<T> y("strait::test::y", 5, 40), dx("strait::test::dx", 5, 40);
  rms_norm_forward<T>(exec, y, rstd, x, gain, epsilon);
  rms_norm_backward_input<T>(exec, dx, dy, residual, x, rstd, gain);
  rms_norm_backward_input<T>(exec, residual, dy, residual, x, rstd, gain);
  EXPECT_EQ(test::relative_difference(exec, residual, dx), 0.0);
}

/// More tokens than one block of the reduction, and a last block that is not full.
TEST(RmsNormGradient, OfTheGainSumsEveryTokenAndAccumulates) {
  const ExecutionSpace exec;
  const int tokens = 300, hidden = 33;
  const auto x = test::random_matrix<double>(exec, tokens, hidden, 1, 1.0, 3);
  const auto dy = test::random_matrix<double>(exec, tokens, hidden, 2, 1.0, 1);
  const auto rstd = test::random_vector<double>(exec, tokens, 3);
  const auto dgain = test::random_vector<double>(exec, hidden, 4);
  const auto before = to_host(exec, dgain);
  const auto host_x = to_host(exec, x), host_dy = to_host(exec, dy);
  const auto host_rstd = to_host(exec, rstd);
  rms_norm_backward_weight<double>(exec, dgain, dy, x, rstd);
  const auto after = to_host(exec, dgain);
  for (int j = 0; j < hidden; ++j) {
    double expected = before(j);
    for (int i = 0; i < tokens; ++i) expected += host_dy(i, j) * host_x(i, j) * host_rstd(i);
    EXPECT_NEAR(after(j), expected, 1e-12);
  }
}

TYPED_TEST(RmsNorm, NoTokensIsNoWork) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const Matrix<T> empty("strait::test::empty", 0, 8);
  const Vector<T> rstd("strait::test::rstd", 0);
  const auto gain = test::random_vector<T>(exec, 8, 1), dgain = test::random_vector<T>(exec, 8, 2);
  const auto unchanged = test::random_vector<T>(exec, 8, 2);
  rms_norm_forward<T>(exec, empty, rstd, empty, gain, epsilon);
  rms_norm_backward_input<T>(exec, empty, empty, Matrix<T>(), empty, rstd, gain);
  rms_norm_backward_weight<T>(exec, dgain, empty, empty, rstd);
  EXPECT_EQ(test::relative_difference(exec, dgain, unchanged), 0.0);
}

}  // namespace
}  // namespace strait::kernels
