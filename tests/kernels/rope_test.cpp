#include "strait/kernels/rope.hpp"

#include "support/finite_difference.hpp"
#include "support/tensors.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace strait::kernels {
namespace {

constexpr double theta = 1e4;

template <class T>
class Rope : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Rope, Scalars);

/// Hugging Face's x * cos + rotate_half(x) * sin, whose angles repeat in both halves of a head.
TYPED_TEST(Rope, RotatesInHuggingFaceOrder) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const int heads = 3, head_dim = 8, sequence_length = 5, tokens = 10, half = head_dim / 2;
  const Matrix<T> table("strait::test::table", 7, head_dim);
  rope_table<T>(exec, table, theta);
  const auto x = test::random_matrix<T>(exec, tokens, heads * head_dim, 1, 1.0, 6);
  const auto before = to_host(exec, x);
  rope<T>(exec, x, table, heads, head_dim, sequence_length, Rotation::forward);
  const auto after = to_host(exec, x);
  for (int token = 0; token < tokens; ++token) {
    for (int head = 0; head < heads; ++head) {
      for (int i = 0; i < head_dim; ++i) {
        const double angle = (token % sequence_length) * std::pow(theta, -2.0 * (i % half) / head_dim);
        const int partner = i < half ? i + half : i - half;
        const double rotated_half = (i < half ? -1.0 : 1.0) * before(token, head * head_dim + partner);
        const double expected =
            before(token, head * head_dim + i) * std::cos(angle) + rotated_half * std::sin(angle);
        EXPECT_NEAR(after(token, head * head_dim + i), expected, 4 * std::numeric_limits<T>::epsilon());
      }
    }
  }
}

TYPED_TEST(Rope, LeavesTheColumnsBehindTheHeads) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const Matrix<T> table("strait::test::table", 4, 2);
  rope_table<T>(exec, table, theta);
  const auto x = test::random_matrix<T>(exec, 4, 9, 1);
  const auto before = to_host(exec, x);
  rope<T>(exec, x, table, 2, 2, 4, Rotation::forward);
  const auto after = to_host(exec, x);
  for (int token = 0; token < 4; ++token) {
    for (int j = 4; j < 9; ++j) EXPECT_EQ(after(token, j), before(token, j));
    EXPECT_EQ(after(token, 0) == before(token, 0), token == 0);
  }
}

TYPED_TEST(Rope, BackwardUndoesForward) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const Matrix<T> table("strait::test::table", 16, 64);
  rope_table<T>(exec, table, theta);
  const auto x = test::random_matrix<T>(exec, 32, 128, 1),
             original = test::random_matrix<T>(exec, 32, 128, 1);
  rope<T>(exec, x, table, 2, 64, 16, Rotation::forward);
  EXPECT_GT(test::relative_difference(exec, x, original), 0.1);
  rope<T>(exec, x, table, 2, 64, 16, Rotation::backward);
  EXPECT_LT(test::relative_difference(exec, x, original), 8 * std::numeric_limits<T>::epsilon());
}

/// The reason for the rotation: a product of query and key depends on the distance of their positions alone.
TEST(RopeProperty, ScoresDependOnTheDistance) {
  const ExecutionSpace exec;
  const int length = 12, head_dim = 16;
  const Matrix<double> table("strait::test::table", length, head_dim);
  rope_table<double>(exec, table, theta);
  const Matrix<double> x("strait::test::x", length, 2 * head_dim);
  auto host = to_host(exec, x);
  const Philox random(3, 0);
  for (int i = 0; i < length; ++i) {
    for (int j = 0; j < 2 * head_dim; ++j) host(i, j) = random.uniform(j) - 0.5;
  }
  to_device(exec, x, host);
  rope<double>(exec, x, table, 2, head_dim, length, Rotation::forward);
  const auto rotated = to_host(exec, x);
  const auto score = [&](int query, int key) {
    double sum = 0.0;
    for (int j = 0; j < head_dim; ++j) sum += rotated(query, j) * rotated(key, head_dim + j);
    return sum;
  };
  for (int distance = 0; distance < 4; ++distance) {
    for (int key = 1; key + distance < length; ++key) {
      EXPECT_NEAR(score(key + distance, key), score(distance, 0), 1e-13);
    }
  }
}

TEST(RopeGradient, MatchesFiniteDifferences) {
  const ExecutionSpace exec;
  const Matrix<double> table("strait::test::table", 4, 6);
  rope_table<double>(exec, table, theta);
  const auto x = test::random_matrix<double>(exec, 8, 12, 1),
             dy = test::random_matrix<double>(exec, 8, 12, 2);
  const Matrix<double> y("strait::test::y", 8, 12), dx("strait::test::dx", 8, 12);
  Kokkos::deep_copy(exec, dx, dy);
  rope<double>(exec, dx, table, 2, 6, 4, Rotation::backward);
  test::expect_gradient(exec, "x", x, dx, [&] {
    Kokkos::deep_copy(exec, y, x);
    rope<double>(exec, y, table, 2, 6, 4, Rotation::forward);
    return test::inner_product(exec, y, dy);
  });
}

}  // namespace
}  // namespace strait::kernels
