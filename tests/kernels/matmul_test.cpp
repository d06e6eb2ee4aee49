#include "strait/kernels/matmul.hpp"

#include "support/finite_difference.hpp"
#include "support/tensors.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace strait::kernels {
namespace {

/// The definition, on the host.
template <class T>
Matrix<T> reference(const ExecutionSpace& exec, const Matrix<T>& c, const Matrix<T>& a, const Matrix<T>& b,
                    MatmulOptions options) {
  const Matrix<T> result("strait::test::reference", c.extent(0), c.extent(1));
  const auto host_a = to_host(exec, a), host_b = to_host(exec, b), host_c = to_host(exec, c);
  auto host = to_host(exec, result);
  const bool ta = options.a == Transpose::yes, tb = options.b == Transpose::yes;
  const std::size_t k = a.extent(ta ? 0 : 1);
  for (std::size_t i = 0; i < c.extent(0); ++i) {
    for (std::size_t j = 0; j < c.extent(1); ++j) {
      double sum = 0.0;
      for (std::size_t l = 0; l < k; ++l) {
        sum += double(ta ? host_a(l, i) : host_a(i, l)) * double(tb ? host_b(j, l) : host_b(l, j));
      }
      const double before = options.beta == 0.0 ? 0.0 : options.beta * host_c(i, j);
      host(i, j) = static_cast<T>(options.alpha * sum + before);
    }
  }
  to_device(exec, result, host);
  return result;
}

template <class T>
class Matmul : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Matmul, Scalars);

TYPED_TEST(Matmul, FollowsTheDefinitionForEveryShapeTransposeAndStride) {
  using T = TypeParam;
  const ExecutionSpace exec;
  // The last two are large enough to be divided among threads, by rows and by columns.
  for (const auto& [m, n, k] : {std::array{5, 7, 3},
                                {1, 7, 3},
                                {5, 1, 3},
                                {5, 7, 1},
                                {1, 1, 1},
                                {33, 65, 17},
                                {97, 161, 210},
                                {20, 700, 230}}) {
    for (const int padding : {0, 3}) {
      for (const int transposes : {0, 1, 2, 3}) {
        for (const double beta : {0.0, 1.0, -0.5}) {
          const bool ta = transposes & 1, tb = transposes & 2;
          const MatmulOptions options{.a = ta ? Transpose::yes : Transpose::no,
                                      .b = tb ? Transpose::yes : Transpose::no,
                                      .alpha = 1.5,
                                      .beta = beta};
          const auto a = test::random_matrix<T>(exec, ta ? k : m, ta ? m : k, 1, 1.0, padding);
          const auto b = test::random_matrix<T>(exec, tb ? n : k, tb ? k : n, 2, 1.0, padding);
          const auto c = test::random_matrix<T>(exec, m, n, 3, 1.0, padding);
          const auto expected = reference(exec, c, a, b, options);
          matmul<T>(exec, c, a, b, options);
          EXPECT_LT(test::relative_difference(exec, c, expected), 40 * std::numeric_limits<T>::epsilon())
              << m << " x " << n << " x " << k << ", padding " << padding << ", transposes " << transposes
              << ", beta " << beta;
        }
      }
    }
  }
}

TYPED_TEST(Matmul, BetaZeroNeverReadsTheOutput) {
  using T = TypeParam;
  const ExecutionSpace exec;
  for (const int k : {0, 4}) {
    const auto a = test::random_matrix<T>(exec, 3, k, 1), b = test::random_matrix<T>(exec, k, 5, 2);
    const Matrix<T> c("strait::test::c", 3, 5);
    Kokkos::deep_copy(exec, c, std::numeric_limits<T>::quiet_NaN());
    matmul<T>(exec, c, a, b);
    EXPECT_LT(test::relative_difference(exec, c, reference(exec, c, a, b, {})), 1e-5) << "k = " << k;
  }
}

TYPED_TEST(Matmul, NoInnerExtentScalesTheOutput) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const auto a = test::random_matrix<T>(exec, 3, 0, 1), b = test::random_matrix<T>(exec, 0, 5, 2);
  const auto c = test::random_matrix<T>(exec, 3, 5, 3);
  const auto expected = reference(exec, c, a, b, {.beta = -2.0});
  matmul<T>(exec, c, a, b, {.beta = -2.0});
  EXPECT_EQ(test::relative_difference(exec, c, expected), 0.0);
}

TYPED_TEST(Matmul, EmptyOutputsAreLeftAlone) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const Matrix<T> no_rows("strait::test::no_rows", 0, 5), no_columns("strait::test::no_columns", 3, 0);
  matmul<T>(exec, no_rows, Matrix<T>("strait::test::a", 0, 4), test::random_matrix<T>(exec, 4, 5, 2));
  matmul<T>(exec, no_columns, test::random_matrix<T>(exec, 3, 4, 1), Matrix<T>("strait::test::b", 4, 0));
  fence(exec, "strait::test: nothing may run on");
}

TEST(MatmulDeathTest, ExtentsThatDoNotMatchAreAProgrammingError) {
  const ExecutionSpace exec;
  const Matrix<float> a("strait::test::a", 3, 4), b("strait::test::b", 5, 6), c("strait::test::c", 3, 6);
  EXPECT_DEATH(matmul<float>(exec, c, a, b), "extents do not match");
}

TEST(Linear, GradientsMatchFiniteDifferences) {
  const ExecutionSpace exec;
  const auto x = test::random_matrix<double>(exec, 6, 5, 1),
             weight = test::random_matrix<double>(exec, 4, 5, 2);
  const auto dy = test::random_matrix<double>(exec, 6, 4, 3);
  const Matrix<double> y("strait::test::y", 6, 4), dx("strait::test::dx", 6, 5),
      dweight("strait::test::dw", 4, 5);
  const auto loss = [&] {
    linear_forward<double>(exec, y, x, weight);
    return test::inner_product(exec, y, dy);
  };
  linear_backward_input<double>(exec, dx, dy, weight);
  linear_backward_weight<double>(exec, dweight, dy, x);
  test::expect_gradient(exec, "x", x, dx, loss);
  test::expect_gradient(exec, "weight", weight, dweight, loss);
}

TEST(Linear, WeightGradientsAccumulateAndInputGradientsOnRequest) {
  const ExecutionSpace exec;
  const auto x = test::random_matrix<double>(exec, 6, 5, 1),
             weight = test::random_matrix<double>(exec, 4, 5, 2);
  const auto dy = test::random_matrix<double>(exec, 6, 4, 3);
  const auto twice_dy = test::random_matrix<double>(exec, 6, 4, 3, 2.0);
  const Matrix<double> once("strait::test::once", 4, 5), twice("strait::test::twice", 4, 5);
  const Matrix<double> dx("strait::test::dx", 6, 5), twice_dx("strait::test::twice_dx", 6, 5);
  linear_backward_weight<double>(exec, once, twice_dy, x);
  linear_backward_weight<double>(exec, twice, dy, x);
  linear_backward_weight<double>(exec, twice, dy, x);
  EXPECT_LT(test::relative_difference(exec, twice, once), 1e-14);
  Kokkos::deep_copy(exec, dx, 7.0);
  linear_backward_input<double>(exec, dx, dy, weight);
  linear_backward_input<double>(exec, dx, dy, weight, true);
  linear_backward_input<double>(exec, twice_dx, twice_dy, weight);
  EXPECT_LT(test::relative_difference(exec, dx, twice_dx), 1e-14);
}

}  // namespace
}  // namespace strait::kernels
