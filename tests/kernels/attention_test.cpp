#include "strait/kernels/attention.hpp"

#include "support/attention.hpp"
#include "support/finite_difference.hpp"
#include "support/tensors.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace strait::kernels {
namespace {

using test::qkv_columns;
using test::query_columns;
using test::tokens_of;
using Reference = test::AttentionReference;
template <class T>
using Result = test::AttentionResult<T>;

template <class T>
class Attention : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Attention, Scalars);

TYPED_TEST(Attention, FollowsTheDefinitionForEveryShape) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const AttentionShape shapes[] = {
      {1, 1, 1, 1, 1},     // the smallest
      {2, 1, 2, 1, 4},     // one token a sequence
      {3, 31, 2, 2, 8},    // shorter than a tile
      {2, 32, 2, 2, 64},   // one tile
      {2, 33, 4, 2, 16},   // one row more
      {1, 97, 6, 2, 7},    // head size without a factor of 4, three queries a key head
      {1, 200, 1, 1, 160}  // keys that need more than one product
  };
  for (const AttentionShape& s : shapes) {
    const auto qkv = test::random_matrix<T>(exec, tokens_of(s), qkv_columns(s), 1, 2.0);
    const auto dout = test::random_matrix<T>(exec, tokens_of(s), query_columns(s), 2);
    const Reference expected(exec, qkv, dout, s);
    const Result<T> result(exec, qkv, dout, s);
    const double tolerance = 40 * std::numeric_limits<T>::epsilon();
    SCOPED_TRACE("length " + std::to_string(s.sequence_length) + ", heads " + std::to_string(s.heads) + '/' +
                 std::to_string(s.kv_heads) + ", head_dim " + std::to_string(s.head_dim));
    EXPECT_LT(test::relative_difference(exec, result.out, expected.out), tolerance);
    EXPECT_LT(test::relative_difference(exec, result.lse, expected.lse), tolerance);
    if (s.sequence_length > 1) {
      EXPECT_LT(test::relative_difference(exec, result.dqkv, expected.dqkv), tolerance);
    }
  }
}

TYPED_TEST(Attention, RowsMayBeStrided) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const AttentionShape s{2, 40, 2, 1, 8};
  const auto plain = test::random_matrix<T>(exec, tokens_of(s), qkv_columns(s), 1);
  const auto strided = test::random_matrix<T>(exec, tokens_of(s), qkv_columns(s), 1, 1.0, 5);
  const auto dout = test::random_matrix<T>(exec, tokens_of(s), query_columns(s), 2);
  const Result<T> a(exec, plain, dout, s), b(exec, strided, dout, s);
  EXPECT_EQ(test::relative_difference(exec, a.out, b.out), 0.0);
  EXPECT_EQ(test::relative_difference(exec, a.dqkv, b.dqkv), 0.0);
}

TYPED_TEST(Attention, NoTokenSeesALaterOneOrAnotherSequence) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const AttentionShape s{2, 70, 2, 2, 8};
  const auto qkv = test::random_matrix<T>(exec, tokens_of(s), qkv_columns(s), 1);
  const auto dout = test::random_matrix<T>(exec, tokens_of(s), query_columns(s), 2);
  const Result<T> before(exec, qkv, dout, s);
  constexpr int changed = 41;
  auto host = to_host(exec, qkv);
  for (int column = 0; column < qkv_columns(s); ++column) host(changed, column) += T(1);
  to_device(exec, qkv, host);
  const Result<T> after(exec, qkv, dout, s);
  EXPECT_EQ(test::relative_difference(exec, rows(after.out, 0, changed), rows(before.out, 0, changed)), 0.0);
  EXPECT_EQ(test::relative_difference(exec, rows(after.out, 70, 140), rows(before.out, 70, 140)), 0.0);
  EXPECT_GT(test::relative_difference(exec, rows(after.out, changed, 70), rows(before.out, changed, 70)),
            1e-3);
}

TYPED_TEST(Attention, LargeScoresDoNotOverflow) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const AttentionShape s{1, 50, 1, 1, 16};
  const auto qkv = test::random_matrix<T>(exec, tokens_of(s), qkv_columns(s), 1, 100.0);
  const auto dout = test::random_matrix<T>(exec, tokens_of(s), query_columns(s), 2);
  const Reference expected(exec, qkv, dout, s);
  const Result<T> result(exec, qkv, dout, s);
  // Scores near 10^4 carry their rounding error into the exponent.
  const double tolerance = 1e5 * std::numeric_limits<T>::epsilon();
  EXPECT_LT(test::relative_difference(exec, result.out, expected.out), tolerance);
  EXPECT_LT(test::relative_difference(exec, result.dqkv, expected.dqkv), tolerance);
}

TYPED_TEST(Attention, ANonFiniteInputShowsInTheOutput) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const AttentionShape s{1, 40, 2, 1, 8};
  const auto dout = test::random_matrix<T>(exec, tokens_of(s), query_columns(s), 2);
  for (const T bad : {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity()}) {
    for (const int column : {0, 16, 24}) {  // a query, a key, a value
      const auto qkv = test::random_matrix<T>(exec, tokens_of(s), qkv_columns(s), 1);
      auto host = to_host(exec, qkv);
      host(5, column) = bad;
      to_device(exec, qkv, host);
      const Result<T> result(exec, qkv, dout, s);
      const auto out = to_host(exec, result.out), dqkv = to_host(exec, result.dqkv);
      bool seen = false, seen_backward = false;
      for (int c = 0; c < query_columns(s); ++c) seen = seen || !std::isfinite(out(5, c));
      for (int c = 0; c < qkv_columns(s); ++c) seen_backward = seen_backward || !std::isfinite(dqkv(5, c));
      EXPECT_TRUE(seen) << "column " << column << ", value " << bad;
      EXPECT_TRUE(seen_backward) << "column " << column << ", value " << bad;
    }
  }
}

TEST(AttentionGradient, MatchesFiniteDifferences) {
  const ExecutionSpace exec;
  for (const AttentionShape& s : {AttentionShape{2, 11, 4, 2, 6}, {1, 41, 2, 1, 4}}) {
    const auto qkv = test::random_matrix<double>(exec, tokens_of(s), qkv_columns(s), 1);
    const auto dout = test::random_matrix<double>(exec, tokens_of(s), query_columns(s), 2);
    const Result<double> result(exec, qkv, dout, s);
    const auto loss = [&] {
      attention_forward<double>(exec, result.out, result.lse, qkv, s);
      return test::inner_product(exec, result.out, dout);
    };
    test::expect_gradient(exec, "qkv", qkv, result.dqkv, loss, {.entries = 200});
  }
}

TEST(AttentionDeathTest, ShapesThatDoNotMatchAreAProgrammingError) {
  const ExecutionSpace exec;
  const Matrix<float> qkv("strait::test::qkv", 8, 24), out("strait::test::out", 8, 8);
  const Matrix<float> lse("strait::test::lse", 8, 2);
  EXPECT_DEATH(attention_forward<float>(exec, out, lse, qkv, {2, 5, 2, 2, 4}), "extents of qkv");
  EXPECT_DEATH(attention_forward<float>(exec, out, lse, qkv, {2, 4, 2, 2, 5}), "extents of qkv");
  EXPECT_DEATH(attention_forward<float>(exec, lse, lse, qkv, {2, 4, 2, 2, 4}), "extents of out");
  EXPECT_DEATH(attention_forward<float>(exec, out, out, qkv, {2, 4, 2, 2, 4}), "extents of lse");
  EXPECT_DEATH(attention_forward<float>(exec, out, lse, qkv, {2, 4, 3, 2, 4}), "must divide heads");
}

}  // namespace
}  // namespace strait::kernels
